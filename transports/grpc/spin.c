/* Looking again before a thread sleeps: an option (spin_us), off at first.
 *
 * Why: to wake a processor that sleeps costs both sides 10 to 20 microseconds, which is what 16 messages of 4 KiB take to come and go. Where a few
 * messages are under way at a time, an echo of 4 KiB passes 0.65 of what a raw socket loop does without spinning and 1.4 times as much with
 * spin_us 50 on one side, at less processor time a message (bench/grpc/run --only 'echo 4 KiB'). Where many short streams are under way it is the
 * wrong thing, as what comes is then handled one by one: half as many.
 *
 * Looks in vain make the next ones rarer, so that two processes on one processor lose little by it. */
#include "transports/grpc/grpc-internal.h"

enum { MISSES_MAX = 8 };

bool tribi_grpc_spin(struct tribi_grpc_conn *conn, struct pollfd *polled, unsigned count)
{
    int64_t until;
    bool came;

    if (conn->options.spin_us == 0)
        return false;
    if (conn->spin_skip > 0) {
        conn->spin_skip--;
        return false;
    }
    pthread_mutex_unlock(&conn->lock);
    until = trib_now() + conn->options.spin_us * INT64_C(1000);
    do
        came = poll(polled, count, 0) != 0;
    while (!came && trib_now() < until);
    pthread_mutex_lock(&conn->lock);
    if (came)
        conn->spin_misses = 0;
    else if (conn->spin_misses < MISSES_MAX)
        conn->spin_misses++;
    conn->spin_skip = (1u << conn->spin_misses) - 1;
    return came;
}
