/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Each level holds a descriptor, and whoever could write to the tree decides how deep it is: hence the limit. */

#include "storage/tree.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DEPTH_MAX 16

static bool remove_at(int parent, const char *name, const dev_t *device, unsigned depth);

/* Takes fd. */
static bool empty(int fd, const dev_t *device, unsigned depth) {
        DIR *directory = fdopendir(fd);
        bool whole = true;

        if (!directory) {
                close(fd);
                return false;
        }
        for (struct dirent *entry = readdir(directory); entry; entry = readdir(directory))
                if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
                        whole = remove_at(dirfd(directory), entry->d_name, device, depth) && whole;
        closedir(directory);
        return whole;
}

static bool remove_directory(int parent, const char *name, const dev_t *device, unsigned depth) {
        int fd = depth > 0 ? openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC) : -1;
        struct stat st;

        if (fd < 0)
                return false;
        if (fstat(fd, &st) < 0 || (device && st.st_dev != *device)) {
                close(fd);
                return false;
        }
        return empty(fd, &st.st_dev, depth - 1) && unlinkat(parent, name, AT_REMOVEDIR) == 0;
}

/* A directory says so instead of being unlinked. */
static bool remove_at(int parent, const char *name, const dev_t *device, unsigned depth) {
        if (unlinkat(parent, name, 0) == 0 || errno == ENOENT)
                return true;
        return errno == EISDIR && remove_directory(parent, name, device, depth);
}

bool tree_remove(const char *const *argv) {
        bool whole = true;

        while (*argv && strcmp(*argv, "--") != 0)
                argv++;
        for (const char *const *path = *argv ? argv + 1 : argv; *path; path++)
                whole = remove_at(AT_FDCWD, *path, NULL, DEPTH_MAX) && whole;
        return whole;
}
