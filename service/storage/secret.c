/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A value may come from a pipe that stays silent or a file system that hangs, so a child reads it; and it goes from its file to its place by sendfile(2). */

#include "storage/secret.h"
#include "base/auto.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

bool secret_check_descriptor(int fd, const char *key, GError **error) {
        int flags = fcntl(fd, F_GETFL);

        return (flags >= 0 && !(flags & O_PATH) && (flags & O_ACCMODE) != O_WRONLY) ||
               error_set(error, CONBUS_ERROR_INVALID_CONFIG, "configuration key \"%s\": the descriptor is not open for reading; give one of a pipe, a file or a socket that is", key);
}

/* --- the child --- */

static int complain(int status, const char *what) {
        int number = errno;

        fprintf(stderr, "%s: %s\n", what, strerror(number));
        return status == SECRET_NOT_STORED && (number == ENOSPC || number == EDQUOT) ? SECRET_DISK_FULL : status;
}

static ssize_t read_some(char *to, size_t size) {
        struct pollfd ready = {.fd = STDIN_FILENO, .events = POLLIN};
        ssize_t n;

        /* The client may have opened it so that reads do not wait. */
        while ((n = read(STDIN_FILENO, to, size)) < 0 && (errno == EINTR || errno == EAGAIN))
                (void) poll(&ready, 1, -1);
        return n;
}

static int read_value(char *value, size_t *ret_size) {
        size_t size = 0;
        ssize_t n = 1;

        while (size <= SECRET_SIZE_MAX && (n = read_some(value + size, SECRET_SIZE_MAX + 1 - size)) > 0)
                size += (size_t) n;
        if (n < 0)
                return complain(SECRET_BAD_VALUE, "the value cannot be read");
        if (size == 0 || size > SECRET_SIZE_MAX) {
                fprintf(stderr, size == 0 ? "the value is empty\n" : "the value has more than %d bytes\n", SECRET_SIZE_MAX);
                return SECRET_BAD_VALUE;
        }
        *ret_size = size;
        return SECRET_STORED;
}

static bool write_all(int fd, const char *value, size_t size) {
        while (size > 0) {
                ssize_t n = write(fd, value, size);
                if (n < 0)
                        return false;
                value += n;
                size -= (size_t) n;
        }
        return fsync(fd) == 0;
}

static bool sync_directories(const char *path) {
        g_autofree char *directory = g_strdup(path);

        for (int i = 0; i < 3; i++) {
                g_autofree char *above = g_path_get_dirname(directory);
                autofd int fd = open(above, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
                if (fd < 0 || fsync(fd) < 0)
                        return false;
                g_free(directory);
                directory = g_steal_pointer(&above);
        }
        return true;
}

int secret_store_main(const char *path) {
        static char value[SECRET_SIZE_MAX + 1];
        size_t size = 0;

        (void) prctl(PR_SET_DUMPABLE, 0); /* no core file */
        int status = read_value(value, &size);
        if (status == SECRET_STORED) {
                autofd int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
                if (fd < 0)
                        status = complain(SECRET_NOT_STORED, "the value cannot be stored");
                else if (!write_all(fd, value, size) || !sync_directories(path)) {
                        status = complain(SECRET_NOT_STORED, "the value cannot be stored");
                        (void) unlink(path);
                }
        }
        explicit_bzero(value, sizeof value);
        return status;
}

/* --- the service --- */

static int open_value(const char *source, guint64 max, off_t *ret_size, GError **error) {
        autofd int fd = open(source, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
        struct stat st;

        if (fd < 0 || fstat(fd, &st) < 0) {
                if (errno == ENOENT)
                        error_set(error, CONBUS_ERROR_NO_SUCH_PATH, "%s does not exist", source);
                else
                        error_errno(error, errno, "open %s", source);
                return -1;
        }
        if (!S_ISREG(st.st_mode) || (guint64) st.st_size > max) {
                error_set(error, CONBUS_ERROR_NO_SUCH_PATH, "%s is no regular file of at most %" G_GUINT64_FORMAT " bytes", source, max);
                return -1;
        }
        *ret_size = st.st_size;
        return steal_fd(&fd);
}

static bool copy(int from, int to, off_t size) {
        while (size > 0) {
                ssize_t n = sendfile(to, from, NULL, (size_t) size);
                if (n < 0)
                        return false;
                if (n == 0) { /* it has become shorter */
                        errno = EIO;
                        return false;
                }
                size -= n;
        }
        return true;
}

bool secret_place(const char *source, const char *target, guint64 max, uid_t uid, gid_t gid, mode_t mode, GError **error) {
        off_t size = 0;
        autofd int from = open_value(source, max, &size, error);

        if (from < 0)
                return false;
        autofd int to = open(target, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (to < 0)
                return error_errno(error, errno, "make %s", target);
        if (copy(from, to, size) && fchown(to, uid, gid) == 0 && fchmod(to, mode) == 0)
                return true;
        int number = errno;
        (void) unlink(target);
        return error_errno(error, number, "write %s", target);
}
