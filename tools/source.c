/* Files as views: by reference from a mapping, or by blocks from a pipe. */
#include "tools/source.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define PIECE ((size_t)1 << 20)
#define BLOCK ((size_t)256 << 10)
#define WINDOW ((size_t)32 << 20)
#define LAG ((size_t)4 << 20) /* more than a writer gathers */

static bool is_stdin(const char *path)
{
    return strcmp(path, "-") == 0;
}

int source_check(const char *path, struct trib_error *err)
{
    struct stat status;

    if (is_stdin(path))
        return TRIB_OK;
    if (stat(path, &status) != 0 || access(path, R_OK) != 0)
        return trib_error_set(err, TRIB_ERR_IO, errno, "read %s", path);
    if (S_ISDIR(status.st_mode))
        return trib_error_set(err, TRIB_ERR_IO, EISDIR, "read %s", path);
    return TRIB_OK;
}

uint64_t source_total(char *const *paths, size_t count)
{
    struct stat status;
    uint64_t total = 0;

    for (size_t i = 0; i < count; i++) {
        if (is_stdin(paths[i]) || stat(paths[i], &status) != 0 || !S_ISREG(status.st_mode) || status.st_size == 0)
            return 0;
        total += (uint64_t)status.st_size;
    }
    return total;
}

int source_open(struct source *source, const char *path, int stop, struct trib_error *err)
{
    struct stat status;

    memset(source, 0, sizeof(*source));
    source->path = path;
    source->fd = -1;
    source->stop = stop;
    /* A regular file of no size may have bytes all the same, as those of /proc have. */
    if (!is_stdin(path) && stat(path, &status) == 0 && S_ISREG(status.st_mode) && status.st_size > 0)
        return trib_chunk_map(path, &source->chunk, err);
    source->fd = is_stdin(path) ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3) : open(path, O_RDONLY | O_CLOEXEC);
    if (source->fd < 0)
        return trib_error_set(err, TRIB_ERR_IO, errno, "read %s", path);
    source->interactive = true;
    return TRIB_OK;
}

void source_close(struct source *source)
{
    source->chunk = trib_chunk_unref(source->chunk);
    if (source->fd >= 0)
        close(source->fd);
    source->fd = -1;
}

/* Pages of a mapped file that were sent need not stay in this process; one that is read again comes back by itself. */
static void forget_pages(struct source *source)
{
    uint8_t *start;

    if (source->at - source->forgotten < WINDOW + LAG)
        return;
    start = (uint8_t *)(uintptr_t)trib_chunk_data(source->chunk) + source->forgotten;
    if (((uintptr_t)start & ((uintptr_t)sysconf(_SC_PAGESIZE) - 1)) == 0)
        madvise(start, WINDOW, MADV_DONTNEED);
    source->forgotten += WINDOW;
}

static int next_mapped(struct source *source, struct trib_view *ret_view)
{
    struct trib_view all = trib_chunk_view(source->chunk);

    if (source->at == all.len)
        return TRIB_EOF;
    forget_pages(source);
    *ret_view = trib_view_sub(all, source->at, PIECE);
    source->at += ret_view->len;
    return TRIB_OK;
}

/* Until there are bytes, an end, or an order to stop. */
static int wait_bytes(const struct source *source, struct trib_error *err)
{
    struct pollfd fds[2] = {{source->fd, POLLIN, 0}, {source->stop, POLLIN, 0}};
    int ready;

    do
        ready = poll(fds, 2, -1);
    while (ready < 0 && errno == EINTR);
    if (ready < 0)
        return trib_error_set(err, TRIB_ERR_IO, errno, "read %s", source->path);
    if (fds[1].revents != 0)
        return trib_error_set(err, TRIB_ERR_CANCELLED, 0, "read %s: cancelled", source->path);
    return TRIB_OK;
}

static int next_read(struct source *source, struct trib_view *ret_view, struct trib_error *err)
{
    ssize_t got;
    int rc;

    source->chunk = trib_chunk_unref(source->chunk);
    rc = wait_bytes(source, err);
    if (rc == TRIB_OK)
        rc = trib_chunk_new(BLOCK, 0, &source->chunk, err);
    if (rc != TRIB_OK)
        return rc;
    do
        got = read(source->fd, trib_chunk_writable(source->chunk), BLOCK);
    while (got < 0 && errno == EINTR);
    if (got < 0)
        return trib_error_set(err, TRIB_ERR_IO, errno, "read %s", source->path);
    if (got == 0)
        return TRIB_EOF;
    *ret_view = trib_view_sub(trib_chunk_view(source->chunk), 0, (size_t)got);
    return TRIB_OK;
}

int source_next(struct source *source, struct trib_view *ret_view, struct trib_error *err)
{
    return source->fd < 0 ? next_mapped(source, ret_view) : next_read(source, ret_view, err);
}
