#include "last_error.h"
#include "atrous.h"
#include <string.h>

static _Thread_local char last_error[1024];

// Where the message is too long, what gives way is its middle: it begins with a file's name, and the reason stands at its end.
void atrous_set_last_error(const char *message) {
    static const char gap[] = " ... ";
    const size_t room = sizeof last_error - 1, head = 256;
    size_t length = strlen(message);
    if (length <= room) {
        memcpy(last_error, message, length + 1);
        return;
    }
    // Not within a character of UTF-8, of which all bytes but the first begin with 10.
    size_t end = head;
    while (end > 0 && (message[end] & 0xC0) == 0x80) end--;
    size_t start = length - (room - end - (sizeof gap - 1));
    while ((message[start] & 0xC0) == 0x80) start++;
    memcpy(last_error, message, end);
    memcpy(last_error + end, gap, sizeof gap - 1);
    memcpy(last_error + end + sizeof gap - 1, message + start, length - start + 1);
}

const char *atrous_last_error(void) { return last_error; }
