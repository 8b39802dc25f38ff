/* Error structs: the text of an outcome, put into the caller's memory. */
#include <tributary/error.h>

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const char *trib_code_name(int code)
{
    static const char *const positive[] = {"TRIB_OK", "TRIB_AGAIN", "TRIB_EOF"};
    static const char *const negative[] = {"",
                                           "TRIB_ERR_USAGE",
                                           "TRIB_ERR_NOMEM",
                                           "TRIB_ERR_IO",
                                           "TRIB_ERR_CLOSED",
                                           "TRIB_ERR_SHORT",
                                           "TRIB_ERR_PROTOCOL",
                                           "TRIB_ERR_LIMIT",
                                           "TRIB_ERR_TIMEOUT",
                                           "TRIB_ERR_CANCELLED",
                                           "TRIB_ERR_UNSUPPORTED",
                                           "TRIB_ERR_FAILED"};

    if (code >= 0 && code <= TRIB_EOF)
        return positive[code];
    if (code < 0 && code >= TRIB_ERR_FAILED)
        return negative[-code];
    return "TRIB_ERR_UNKNOWN";
}

enum { TEXT_MAX = sizeof(((struct trib_error *)NULL)->message) };

/* strerror_r comes in two kinds that differ in what they return; both are served. */
static void append_errno(char *message, size_t used, int sys_errno)
{
    char text[128] = "";
#if defined(__GLIBC__) && defined(_GNU_SOURCE)
    const char *reason = strerror_r(sys_errno, text, sizeof(text));
#else
    const char *reason = strerror_r(sys_errno, text, sizeof(text)) == 0 ? text : "unknown error";
#endif
    if (used < TEXT_MAX)
        snprintf(message + used, TEXT_MAX - used, ": %s", reason);
}

static void fill(struct trib_error *err, int code, int sys_errno, const char *format, va_list arguments)
{
    char message[TEXT_MAX] = ""; /* not err's own: the arguments may lie in there */
    int length = vsnprintf(message, sizeof(message), format, arguments);

    if (length < 0)
        message[0] = '\0';
    if (sys_errno != 0)
        append_errno(message, length < 0 ? 0 : (size_t)length, sys_errno);
    *err = (struct trib_error){.code = code, .sys_errno = sys_errno};
    for (size_t i = 0; message[i] != '\0'; i++)
        err->message[i] = message[i] == '\n' || message[i] == '\r' ? ' ' : message[i]; /* one line, whoever wrote it */
}

int trib_error_set(struct trib_error *err, int code, int sys_errno, const char *format, ...)
{
    if (err != NULL) {
        va_list arguments;
        va_start(arguments, format);
        fill(err, code, sys_errno, format, arguments);
        va_end(arguments);
    }
    return code;
}

int trib_error_numbers(struct trib_error *err, int code, uint64_t wanted, uint64_t got, const char *format, ...)
{
    if (err != NULL) {
        va_list arguments;
        va_start(arguments, format);
        fill(err, code, 0, format, arguments);
        va_end(arguments);
        err->wanted = wanted;
        err->got = got;
    }
    return code;
}
