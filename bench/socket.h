/* One way to move messages over a connected Unix socket: what the raw loop and the library each implement, to be timed alike. */
#ifndef TRIBUTARY_BENCH_SOCKET_H
#define TRIBUTARY_BENCH_SOCKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A message is a 4-byte big-endian length and so many bytes. */
struct bench_work {
    const uint8_t *payload; /* of every message that the engine sends */
    size_t size;            /* its length */
    size_t window;          /* echo: messages in flight at most */
    uint32_t spin_us;
    bool engine;            /* this side is the engine; filled in by bench_pair() */
    unsigned id;            /* of the run, likewise: for an address that nobody else has */
};

/* Each side is made in the process that uses it, over one end of a socketpair. A call ends when `count` messages are done;
 * whatever goes wrong ends the process with a message. */
struct bench_peer {
    const char *name;
    void *(*open)(int fd, const struct bench_work *work);
    void (*close)(void *self);
    void (*send)(void *self, size_t count);        /* engine: count messages one way */
    void (*receive)(void *self, size_t count);     /* worker: takes them */
    void (*echo)(void *self, size_t count);        /* engine: sends and takes back, at most `window` in flight */
    void (*echo_back)(void *self, size_t count);   /* worker: returns each */
    void (*ping)(void *self);                      /* engine: one message there and back */
    void (*pong)(void *self, size_t count);        /* worker */
    void (*call)(void *self, size_t count);        /* engine: count calls, `window` at once; NULL: it has none */
    void (*answer)(void *self, size_t count);      /* worker */
};

extern const struct bench_peer bench_raw;
extern const struct bench_peer bench_raw_whole;
extern const struct bench_peer bench_unix;
extern const struct bench_peer bench_unix_parts;

#endif
