/* The raw socket loop (bench/raw.c) as a peer with the command line of the others: a connection for each measurement, whose worker
 * is told first what comes. As that loop counts messages, as many are sent as fit into the time by the rate of the run before. */
#include "bench/bench.h"
#include "bench/grpc/peer.h"
#include "bench/socket.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

struct announcement {
    uint64_t mode, size, count;
};

static uint64_t trips[PEER_TRIPS_MAX];

static int open_socket(const char *path, struct sockaddr_un *ret_address)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    *ret_address = (struct sockaddr_un){.sun_family = AF_UNIX};
    if (fd < 0 || strlen(path) >= sizeof(ret_address->sun_path))
        bench_die("%s: no socket, or too long a path", path);
    memcpy(ret_address->sun_path, path, strlen(path));
    return fd;
}

static void transfer(int fd, void *data, size_t len, bool out)
{
    ssize_t n = out ? send(fd, data, len, MSG_NOSIGNAL) : recv(fd, data, len, MSG_WAITALL);

    if (n != (ssize_t)len)
        bench_die("raw: %s", n < 0 ? strerror(errno) : "the peer has gone");
}

/* ---- Worker ------------------------------------------------------------------------------------------------------- */

static void serve_one(int fd)
{
    const struct bench_peer *raw = &bench_raw;
    struct announcement asked;
    struct bench_work work = {.payload = NULL};
    void *self;

    transfer(fd, &asked, sizeof(asked), false);
    work.size = asked.size;
    self = raw->open(fd, &work);
    if (asked.mode == PEER_ONE_WAY)
        raw->receive(self, asked.count);
    else if (asked.mode == PEER_ECHO)
        raw->echo_back(self, asked.count);
    else
        raw->pong(self, asked.count);
    if (asked.mode == PEER_ONE_WAY)
        transfer(fd, &asked, sizeof(asked), true);
    raw->close(self);
}

static void serve(const char *path)
{
    struct sockaddr_un address;
    int listener = open_socket(path, &address), fd;

    unlink(path);
    if (bind(listener, (struct sockaddr *)&address, sizeof(address)) != 0 || listen(listener, 4) != 0)
        bench_die("%s: %s", path, strerror(errno));
    peer_ready();
    while ((fd = accept(listener, NULL, NULL)) >= 0)
        serve_one(fd);
}

/* ---- Engine ------------------------------------------------------------------------------------------------------- */

struct loop {
    struct sockaddr_un address;
    enum peer_mode mode; /* of the run before, */
    size_t size;
    double rate;         /* and its messages per second */
};

static void *connect_to(const char *path)
{
    struct loop *loop = calloc(1, sizeof(*loop));

    if (loop == NULL)
        bench_die("no memory");
    close(open_socket(path, &loop->address));
    return loop;
}

static void ping(void *self, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        int64_t start = bench_now();
        bench_raw.ping(self);
        trips[i] = (uint64_t)(bench_now() - start);
    }
}

static void run(struct loop *loop, const struct peer_work *asked, uint64_t count)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct announcement announced = {asked->mode, asked->size, count};
    uint8_t *payload = malloc(asked->size);
    struct bench_work work = {.payload = payload, .size = asked->size, .window = asked->window};
    int64_t start = bench_now();
    void *self;

    if (payload == NULL || fd < 0 || connect(fd, (struct sockaddr *)&loop->address, sizeof(loop->address)) != 0)
        bench_die("raw: connect: %s", strerror(errno));
    memset(payload, 'x', asked->size);
    transfer(fd, &announced, sizeof(announced), true);
    self = bench_raw.open(fd, &work);
    if (asked->mode == PEER_ONE_WAY) {
        bench_raw.send(self, count);
        transfer(fd, &announced, sizeof(announced), false);
    } else if (asked->mode == PEER_ECHO) {
        bench_raw.echo(self, count);
    } else {
        ping(self, count);
    }
    loop->rate = (double)count / (1e-9 * (double)(bench_now() - start));
    bench_raw.close(self);
    free(payload);
}

static void measure(void *self, const struct peer_work *work, struct peer_outcome *ret_outcome)
{
    struct loop *loop = self;
    uint64_t count;

    if (work->mode > PEER_PING_PONG)
        bench_die("raw: has messages only");
    if (loop->rate == 0 || loop->mode != work->mode || loop->size != work->size)
        run(loop, work, work->mode == PEER_PING_PONG ? 1000 : ((size_t)64 << 20) / work->size);
    loop->mode = work->mode;
    loop->size = work->size;
    count = (uint64_t)(loop->rate * work->seconds) + 1;
    if (work->mode == PEER_PING_PONG && count > PEER_TRIPS_MAX)
        count = PEER_TRIPS_MAX;
    run(loop, work, count);
    ret_outcome->messages = count;
    ret_outcome->bytes = count * work->size;
    if (work->mode == PEER_PING_PONG)
        ret_outcome->p50_ns = peer_median(trips, count);
}

int main(int argc, char **argv)
{
    static const struct peer loop = {connect_to, measure, serve};

    return peer_main(&loop, argc, argv);
}
