/* Outcomes of a call: codes, and the caller's struct that says what, where and why. */
#ifndef TRIBUTARY_ERROR_H
#define TRIBUTARY_ERROR_H

#include <tributary/types.h>

TRIB_BEGIN_DECLS

/* Every call that can fail returns one of these as an int. 0: done. Positive: nothing is wrong. Negative: an error.
 * The numbers are final. doc/errors.md says for each call which errors leave its object usable and which stick. */
enum trib_code {
    TRIB_OK = 0,
    TRIB_AGAIN = 1, /* not now: call again, or wait for the callback */
    TRIB_EOF = 2,   /* the end: nothing was left, nothing will come */

    TRIB_ERR_USAGE = -1,       /* the call breaks the contract of its header; mend the caller */
    TRIB_ERR_NOMEM = -2,       /* no memory; the object is as before */
    TRIB_ERR_IO = -3,          /* the system said no: see sys_errno */
    TRIB_ERR_CLOSED = -4,      /* the peer has gone (or will read no more) and more was to be written or read */
    TRIB_ERR_SHORT = -5,       /* the bytes ended before the number asked for: wanted, got; nothing was consumed */
    TRIB_ERR_PROTOCOL = -6,    /* the peer sent what the protocol does not allow */
    TRIB_ERR_LIMIT = -7,       /* more than a limit allows: wanted, got (= the limit); the object is as before */
    TRIB_ERR_TIMEOUT = -8,     /* the deadline passed; the object is as before */
    TRIB_ERR_CANCELLED = -9,   /* somebody cancelled; sticks */
    TRIB_ERR_UNSUPPORTED = -10, /* this channel or transport cannot do that: see its capabilities */
    TRIB_ERR_FAILED = -11      /* the producer said that it failed; the message is its own; sticks */
};

/* Lives in the caller's memory, is written only when a call returns a negative code, and needs no clean-up. Wherever a function
 * takes a `struct trib_error *`, NULL is allowed. */
struct trib_error {
    int code;         /* an enum trib_code, negative */
    int sys_errno;    /* errno of the system call that failed, or 0 */
    uint64_t wanted;  /* TRIB_ERR_SHORT, TRIB_ERR_LIMIT: how many bytes were asked for */
    uint64_t got;     /* TRIB_ERR_SHORT: how many there were; TRIB_ERR_LIMIT: how many are allowed */
    char message[256]; /* one line, no newline, NUL-terminated: operation, object, reason */
};

/* "TRIB_ERR_SHORT" for -5, and so on; "TRIB_ERR_UNKNOWN" for a number that is none. A static string. */
TRIB_API const char *trib_code_name(int code);

/* Fills *err (if not NULL) and returns `code`: `return trib_error_set(err, TRIB_ERR_IO, errno, "connect %s", path);`
 * With a non-zero sys_errno the text of that error is appended after ": ". A message that is too long is cut. Any thread. */
TRIB_API int trib_error_set(struct trib_error *err, int code, int sys_errno, const char *format, ...) TRIB_PRINTF(4, 5);

/* The same for TRIB_ERR_SHORT and TRIB_ERR_LIMIT, with the two numbers, which the text should name as well. */
TRIB_API int trib_error_numbers(struct trib_error *err, int code, uint64_t wanted, uint64_t got, const char *format, ...)
    TRIB_PRINTF(5, 6);

TRIB_END_DECLS

#endif
