/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Each level holds a descriptor, and whoever could write to the tree decides how deep it is, how wide, and how large its files are: hence the limits. */

#include "storage/tree.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DEPTH_MAX 16
#define SMALL_ENTRIES_MAX 32
#define SMALL_SIZE_MAX (1024 * 1024) /* of a file, whose blocks are given back, and of a directory, which can be large and empty */

typedef struct Bounds {
        unsigned n_left; /* entries */
        off_t size_max; /* -1: any */
} Bounds;

static bool remove_at(int parent, const char *name, const dev_t *device, unsigned depth, Bounds *bounds);

/* Takes fd. */
static bool empty(int fd, const dev_t *device, unsigned depth, Bounds *bounds) {
        DIR *directory = fdopendir(fd);
        bool whole = true;

        if (!directory) {
                close(fd);
                return false;
        }
        for (struct dirent *entry = readdir(directory); entry && bounds->n_left > 0; entry = readdir(directory))
                if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
                        whole = remove_at(dirfd(directory), entry->d_name, device, depth, bounds) && whole;
        closedir(directory);
        return whole;
}

static bool remove_directory(int parent, const char *name, const dev_t *device, unsigned depth, Bounds *bounds) {
        int fd = depth > 0 ? openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC) : -1;
        struct stat st;

        if (fd < 0)
                return false;
        if (fstat(fd, &st) < 0 || (device && st.st_dev != *device)) {
                close(fd);
                return false;
        }
        return empty(fd, &st.st_dev, depth - 1, bounds) && unlinkat(parent, name, AT_REMOVEDIR) == 0;
}

static bool is_too_large(int parent, const char *name, const Bounds *bounds) {
        struct stat st;

        return bounds->size_max >= 0 && fstatat(parent, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && st.st_size > bounds->size_max;
}

/* A directory says so instead of being unlinked. */
static bool remove_at(int parent, const char *name, const dev_t *device, unsigned depth, Bounds *bounds) {
        if (bounds->n_left == 0 || is_too_large(parent, name, bounds))
                return false;
        bounds->n_left--;
        if (unlinkat(parent, name, 0) == 0 || errno == ENOENT)
                return true;
        return errno == EISDIR && remove_directory(parent, name, device, depth, bounds);
}

static bool remove_all(const char *const *argv, Bounds bounds) {
        bool whole = true;

        while (*argv && strcmp(*argv, "--") != 0)
                argv++;
        for (const char *const *path = *argv ? argv + 1 : argv; *path; path++)
                whole = remove_at(AT_FDCWD, *path, NULL, DEPTH_MAX, &bounds) && whole;
        return whole;
}

bool tree_remove(const char *const *argv) {
        return remove_all(argv, (Bounds) {.n_left = UINT_MAX, .size_max = -1});
}

bool tree_remove_small(const char *const *argv) {
        return remove_all(argv, (Bounds) {.n_left = SMALL_ENTRIES_MAX, .size_max = SMALL_SIZE_MAX});
}
