/* Chunks over mapped files. */
#include <tributary/chunk.h>

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static void unmap(void *arg, const void *data, size_t len)
{
    (void)data;
    munmap(arg, len);
}

static int map_fd(int fd, const char *path, struct trib_chunk **ret_chunk, struct trib_error *err)
{
    struct stat st;
    void *memory;
    int rc;

    if (fstat(fd, &st) != 0)
        return trib_error_set(err, TRIB_ERR_IO, errno, "map %s", path);
    if (!S_ISREG(st.st_mode))
        return trib_error_set(err, TRIB_ERR_IO, S_ISDIR(st.st_mode) ? EISDIR : EINVAL, "map %s: not a regular file", path);
    if ((uintmax_t)st.st_size > SIZE_MAX)
        return trib_error_set(err, TRIB_ERR_IO, EFBIG, "map %s", path);
    if (st.st_size == 0)
        return trib_chunk_new(0, 1, ret_chunk, err);
    memory = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (memory == MAP_FAILED)
        return trib_error_set(err, errno == ENOMEM ? TRIB_ERR_NOMEM : TRIB_ERR_IO, errno, "map %s", path);
    rc = trib_chunk_wrap(memory, (size_t)st.st_size, unmap, memory, ret_chunk, err);
    if (rc != TRIB_OK)
        munmap(memory, (size_t)st.st_size);
    return rc;
}

int trib_chunk_map(const char *path, struct trib_chunk **ret_chunk, struct trib_error *err)
{
    /* Without O_NONBLOCK a fifo without a writer would block here. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK), rc;

    if (fd < 0)
        return trib_error_set(err, TRIB_ERR_IO, errno, "open %s", path);
    rc = map_fd(fd, path, ret_chunk, err);
    close(fd);
    return rc;
}
