/* Wakes a thread that polls. */
#include "wake-internal.h"

#include <errno.h>
#include <fcntl.h>
#include <time.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/eventfd.h>
#endif

int tribi_wake_init(struct tribi_wake *wake, struct trib_error *err)
{
    int ends[2];

#ifdef __linux__
    ends[0] = ends[1] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (ends[0] >= 0) {
        *wake = (struct tribi_wake){ends[0], ends[1]};
        return TRIB_OK;
    }
#endif
    if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0)
        return trib_error_set(err, TRIB_ERR_IO, errno, "create a descriptor for cancel");
    *wake = (struct tribi_wake){ends[0], ends[1]};
    return TRIB_OK;
}

void tribi_wake_set(const struct tribi_wake *wake)
{
    uint64_t one = 1;

    /* Full means that it was set before. */
    if (wake->fd >= 0 && write(wake->other, &one, sizeof(one)) < 0)
        return;
}

void tribi_wake_done(struct tribi_wake *wake)
{
    if (wake->fd >= 0 && wake->other != wake->fd)
        close(wake->other);
    if (wake->fd >= 0)
        close(wake->fd);
    wake->fd = wake->other = -1;
}

const struct timespec *tribi_time_left(int64_t deadline, struct timespec *room)
{
    int64_t left;

    if (deadline == TRIB_FOREVER)
        return NULL;
    left = deadline - trib_now();
    if (left < 0)
        left = 0;
    room->tv_sec = (time_t)(left / 1000000000);
    room->tv_nsec = (long)(left % 1000000000);
    return room;
}
