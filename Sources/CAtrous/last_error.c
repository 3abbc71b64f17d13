#include "last_error.h"
#include "atrous.h"
#include <string.h>

static _Thread_local char last_error[1024];

void atrous_set_last_error(const char *message) {
    strncpy(last_error, message, sizeof last_error - 1);
}

const char *atrous_last_error(void) { return last_error; }
