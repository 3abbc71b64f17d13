#pragma once
/* Keeps a copy of the calling thread's last failure for atrous_last_error(). */
void atrous_set_last_error(const char *message);
