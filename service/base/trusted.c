/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Walks a path name by name, so that what was looked at is what is opened. */

#include "base/trusted.h"
#include "base/auto.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

static bool is_writable_by_others(const struct stat *st) {
        return st->st_uid != 0 || (st->st_mode & (S_IWGRP | S_IWOTH));
}

static bool fail_open(GError **error, const char *path) {
        if (errno == ENOENT)
                return error_set(error, CONBUS_ERROR_NO_SUCH_PATH, "%s does not exist", path);
        return error_errno(error, errno, "open %s", path);
}

/* Whether what lies in this directory is out of reach for everyone but root: others may write to a sticky one, but not rename or remove what is root's. */
static bool check_above(const struct stat *above, const struct stat *below, const char *path, GError **error) {
        bool sticky = above->st_uid == 0 && (above->st_mode & S_ISVTX) && below->st_uid == 0;

        return !is_writable_by_others(above) || sticky || error_set(error, CONBUS_ERROR_ACCESS_DENIED, "others than root can exchange %s", path);
}

/* One name further: *fd and *at become the directory below. */
static bool step(int *fd, struct stat *at, const char *name, const char *path, GError **error) {
        struct stat st;
        autofd int below = openat(*fd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);

        if (below < 0)
                return fail_open(error, path);
        if (fstat(below, &st) < 0)
                return error_errno(error, errno, "%s", path);
        if (S_ISLNK(st.st_mode))
                return error_set(error, CONBUS_ERROR_ACCESS_DENIED, "%s: \"%s\" is a symbolic link", path, name);
        if (!S_ISDIR(st.st_mode))
                return error_set(error, CONBUS_ERROR_NOT_A_DIRECTORY, "%s: \"%s\" is no directory", path, name);
        if (!check_above(at, &st, path, error))
                return false;
        close_fd(*fd);
        *fd = steal_fd(&below);
        *at = st;
        return true;
}

int trusted_open_directory(const char *path, GError **error) {
        g_auto(GStrv) names = g_strsplit(path, "/", -1);
        autofd int fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
        struct stat st;

        if (!g_path_is_absolute(path)) {
                error_set(error, CONBUS_ERROR_INVALID_ARGS, "\"%s\" is no absolute path", path);
                return -1;
        }
        if (fd < 0 || fstat(fd, &st) < 0) {
                error_errno(error, errno, "open /");
                return -1;
        }
        for (char **name = names; *name; name++)
                if (**name && !g_str_equal(*name, ".") && !step(&fd, &st, *name, path, error))
                        return -1;
        return steal_fd(&fd);
}

static char *read_whole(int fd, const char *path, gsize max, GError **error) {
        g_autofree char *text = g_malloc(max + 1);
        gsize length = 0;
        ssize_t n;

        while (length <= max && (n = read(fd, text + length, max + 1 - length)) != 0) {
                if (n < 0) {
                        error_errno(error, errno, "read %s", path);
                        return NULL;
                }
                length += (gsize) n;
        }
        if (length > max || !g_utf8_validate_len(text, length, NULL)) {
                error_set(error, CONBUS_ERROR_INVALID_CONFIG, length > max ? "%s is larger than %zu bytes" : "%s is no UTF-8 text of at most %zu bytes", path, max);
                return NULL;
        }
        return g_strndup(text, length);
}

char *trusted_read_file(const char *directory, const char *name, gsize max, GError **error) {
        g_autofree char *path = g_build_filename(directory, name, NULL);
        autofd int at = trusted_open_directory(directory, error);
        struct stat above, st;

        if (at < 0)
                return NULL;
        autofd int fd = openat(at, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
        if (fd < 0 && errno == ELOOP) {
                error_set(error, CONBUS_ERROR_ACCESS_DENIED, "%s is a symbolic link", path);
                return NULL;
        }
        if (fd < 0 || fstat(at, &above) < 0 || fstat(fd, &st) < 0) {
                fail_open(error, path);
                return NULL;
        }
        if (!S_ISREG(st.st_mode) || is_writable_by_others(&st) || is_writable_by_others(&above)) {
                error_set(error, CONBUS_ERROR_ACCESS_DENIED, "%s must be a file of root that nobody else can write, in a directory of which the same holds", path);
                return NULL;
        }
        return read_whole(fd, path, max, error);
}
