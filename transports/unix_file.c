/* The file of a listening socket: its lock, its mode, its beginning and its end.
 *
 * Two starters, one path: whoever holds the lock on path.lock may look, remove a stale file, and bind; the lock is held as long
 * as the listener lives, so the loser knows at once, without a connection that would disturb the winner. The kernel gives the
 * lock back however the process ends. The lock file is removed at the end, by its holder; one who had opened it just before holds
 * a lock on a file that is no longer there, sees that by its inode, and starts again. A listener that takes no such lock (another
 * program) is found by a connection. */
#include "unix-internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

enum { LOCK_TRIES = 1000 };

static int in_use(const char *path, struct trib_error *err)
{
    return trib_error_set(err, TRIB_ERR_IO, EADDRINUSE, "listen at %s: somebody listens there", path);
}

/* ---- The lock ------------------------------------------------------------------------------------------------- */

/* The lock file is still the one that its name leads to. */
static bool lock_is_named(const struct tribi_unix_file *file)
{
    struct stat held, named;

    return fstat(file->lock, &held) == 0 && fstatat(file->folder, file->lock_name, &named, AT_SYMLINK_NOFOLLOW) == 0 &&
           held.st_dev == named.st_dev && held.st_ino == named.st_ino;
}

static void give_lock_back(struct tribi_unix_file *file)
{
    if (file->lock >= 0) {
        if (lock_is_named(file))
            unlinkat(file->folder, file->lock_name, 0);
        close(file->lock);
    }
    file->lock = -1;
}

static int take_lock(struct tribi_unix_file *file, const char *path, struct trib_error *err)
{
    for (int i = 0; i < LOCK_TRIES; i++) {
        int failed;

        file->lock = openat(file->folder, file->lock_name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
        if (file->lock < 0)
            return trib_error_set(err, TRIB_ERR_IO, errno, "listen at %s: open its lock %s", path, file->lock_name);
        failed = flock(file->lock, LOCK_EX | LOCK_NB) == 0 ? 0 : errno;
        if (failed == 0 && lock_is_named(file))
            return TRIB_OK;
        close(file->lock);
        file->lock = -1;
        if (failed == EWOULDBLOCK)
            return in_use(path, err);
        if (failed != 0 && failed != EINTR)
            return trib_error_set(err, TRIB_ERR_IO, failed, "listen at %s: lock %s", path, file->lock_name);
    }
    return in_use(path, err);
}

/* ---- The socket file ------------------------------------------------------------------------------------------ */

static int look(const struct tribi_unix_file *file, struct stat *ret_st)
{
    return fstatat(file->folder, file->name, ret_st, AT_SYMLINK_NOFOLLOW) == 0 ? 0 : errno;
}

/* 0: a listener answered, or one whose backlog is full; else the errno of connect. */
static int probe(const struct tribi_unix_address *address)
{
    int fd = tribi_unix_socket(SOCK_NONBLOCK), failed;

    if (fd < 0)
        return errno;
    failed = connect(fd, (const struct sockaddr *)&address->name, address->len) == 0 ? 0 : errno;
    close(fd);
    return failed == EAGAIN || failed == EPROTOTYPE ? 0 : failed;
}

static int remove_stale(const struct tribi_unix_file *file, const struct tribi_unix_address *address, struct trib_error *err)
{
    const char *path = address->name.sun_path;
    struct stat st;
    int failed = look(file, &st);

    if (failed == ENOENT)
        return TRIB_OK;
    if (failed != 0)
        return trib_error_set(err, TRIB_ERR_IO, failed, "listen at %s", path);
    if (!S_ISSOCK(st.st_mode))
        return trib_error_set(err, TRIB_ERR_IO, EEXIST, "listen at %s: what is there is not a socket", path);
    failed = probe(address);
    if (failed == 0)
        return in_use(path, err);
    if (failed == ENOENT)
        return TRIB_OK;
    if (failed != ECONNREFUSED)
        return trib_error_set(err, TRIB_ERR_IO, failed, "listen at %s: ask whether somebody listens there", path);
    if (unlinkat(file->folder, file->name, 0) != 0 && errno != ENOENT)
        return trib_error_set(err, TRIB_ERR_IO, errno, "listen at %s: remove the file that nobody listens at", path);
    return TRIB_OK;
}

/* bind gave the file the mode of the socket without the bits of the umask, which belongs to the whole process; here they are
 * added. A chmod by path could follow a link that took the file's place. */
static int add_mode(const struct tribi_unix_file *file, mode_t mode, const char *path, struct trib_error *err)
{
    int failed = 0, fd = openat(file->folder, file->name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    char by_fd[32];
    struct stat st;

    snprintf(by_fd, sizeof(by_fd), "/proc/self/fd/%d", fd);
    if (fd < 0 || fstat(fd, &st) != 0)
        failed = errno;
    else if (st.st_dev == file->device && st.st_ino == file->inode && chmod(by_fd, mode) != 0)
        failed = errno;
    if (fd >= 0)
        close(fd);
    return failed == 0 ? TRIB_OK : trib_error_set(err, TRIB_ERR_IO, failed, "listen at %s: set mode %04o", path, (unsigned)mode);
}

static int bind_with_mode(struct tribi_unix_file *file, int fd, const struct tribi_unix_address *address, mode_t mode,
                          struct trib_error *err)
{
    const char *path = address->name.sun_path;
    struct stat st;
    int failed;

    if (fchmod(fd, mode) != 0 || bind(fd, (const struct sockaddr *)&address->name, address->len) != 0)
        return trib_error_set(err, TRIB_ERR_IO, errno, "listen at %s", path);
    failed = look(file, &st);
    if (failed != 0)
        return trib_error_set(err, TRIB_ERR_IO, failed, "listen at %s: look at the new file", path);
    file->device = st.st_dev;
    file->inode = st.st_ino;
    return (st.st_mode & 07777) == mode ? TRIB_OK : add_mode(file, mode, path, err);
}

static int open_folder(struct tribi_unix_file *file, const char *path, struct trib_error *err)
{
    const char *slash = strrchr(path, '/');
    char folder[sizeof(file->name)];

    if (slash == NULL)
        snprintf(folder, sizeof(folder), ".");
    else
        snprintf(folder, sizeof(folder), "%.*s", slash == path ? 1 : (int)(slash - path), path);
    snprintf(file->name, sizeof(file->name), "%s", slash == NULL ? path : slash + 1);
    snprintf(file->lock_name, sizeof(file->lock_name), "%s.lock", file->name);
    if (file->name[0] == '\0')
        return trib_error_set(err, TRIB_ERR_IO, EISDIR, "listen at %s", path);
    file->folder = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
    return file->folder >= 0 ? TRIB_OK : trib_error_set(err, TRIB_ERR_IO, errno, "listen at %s: open the folder %s", path, folder);
}

int tribi_unix_file_bind(struct tribi_unix_file *file, int fd, const struct tribi_unix_address *address, mode_t mode, int backlog,
                         struct trib_error *err)
{
    const char *path = address->name.sun_path;
    int rc;

    *file = (struct tribi_unix_file)TRIBI_UNIX_NO_FILE;
    rc = open_folder(file, path, err);
    if (rc == TRIB_OK)
        rc = take_lock(file, path, err);
    if (rc == TRIB_OK)
        rc = remove_stale(file, address, err);
    if (rc == TRIB_OK)
        rc = bind_with_mode(file, fd, address, mode, err);
    if (rc == TRIB_OK && listen(fd, backlog) != 0)
        rc = trib_error_set(err, TRIB_ERR_IO, errno, "listen at %s", path);
    if (rc != TRIB_OK)
        tribi_unix_file_remove(file);
    return rc;
}

void tribi_unix_file_remove(struct tribi_unix_file *file)
{
    struct stat st;

    if (file->folder < 0)
        return;
    /* With the lock in our hand nobody who takes it can put another socket there between this look and the removal. */
    if (file->inode != 0 && look(file, &st) == 0 && S_ISSOCK(st.st_mode) && st.st_dev == file->device && st.st_ino == file->inode &&
        st.st_uid == geteuid())
        unlinkat(file->folder, file->name, 0);
    give_lock_back(file);
    close(file->folder);
    file->folder = -1;
}
