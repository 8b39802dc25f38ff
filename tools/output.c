/* Where an answer is written: a file, standard output, or nowhere. */
#include "tools/output.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Opened by a name of its own it would begin at the front, and emptied it would lose what others wrote there. */
bool output_is_stdout(const char *path)
{
    return strcmp(path, "-") == 0 || strcmp(path, "/dev/stdout") == 0 || strcmp(path, "/dev/fd/1") == 0 ||
           strcmp(path, "/proc/self/fd/1") == 0;
}

static int check_same(const struct output *output, char *const *inputs, size_t input_count, struct trib_error *err)
{
    struct stat out, in;

    if (fstat(output->fd, &out) != 0)
        return trib_error_set(err, TRIB_ERR_IO, errno, "open %s", output->path);
    for (size_t i = 0; S_ISREG(out.st_mode) && i < input_count; i++) {
        int rc = strcmp(inputs[i], "-") == 0 ? fstat(STDIN_FILENO, &in) : stat(inputs[i], &in);
        if (rc == 0 && in.st_dev == out.st_dev && in.st_ino == out.st_ino)
            return trib_error_set(err, TRIB_ERR_USAGE, 0, "open %s for the answer: it is the same file as the input %s", output->path,
                                  inputs[i]);
    }
    return TRIB_OK;
}

int output_open(struct output *output, const char *path, char *const *inputs, size_t input_count, struct trib_error *err)
{
    int rc;

    output->path = path;
    output->fd = -1;
    if (path == NULL)
        return TRIB_OK;
    /* A copy: a transport may take standard output over. */
    if (output_is_stdout(path))
        output->fd = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
    else
        output->fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
    if (output->fd < 0)
        return trib_error_set(err, TRIB_ERR_IO, errno, "open %s", path);
    rc = check_same(output, inputs, input_count, err);
    if (rc != TRIB_OK)
        close(output->fd);
    return rc;
}

int output_empty(const struct output *output, struct trib_error *err)
{
    struct stat status;

    if (output->path == NULL || output_is_stdout(output->path))
        return TRIB_OK;
    if (fstat(output->fd, &status) != 0 || (S_ISREG(status.st_mode) && ftruncate(output->fd, 0) != 0))
        return trib_error_set(err, TRIB_ERR_IO, errno, "empty %s", output->path);
    return TRIB_OK;
}

int output_write(const struct output *output, struct trib_view view, struct trib_error *err)
{
    while (output->path != NULL && view.len > 0) {
        ssize_t written = write(output->fd, view.data, view.len);
        if (written < 0 && errno != EINTR)
            return trib_error_set(err, TRIB_ERR_IO, errno, "write %s", output->path);
        if (written > 0)
            view = trib_view_sub(view, (size_t)written, view.len - (size_t)written);
    }
    return TRIB_OK;
}

int output_close(struct output *output, struct trib_error *err)
{
    if (output->path == NULL || close(output->fd) == 0)
        return TRIB_OK;
    return trib_error_set(err, TRIB_ERR_IO, errno, "write %s", output->path);
}
