/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* openat2(2) for what is inside of a container, renameat2(2) for what must not be replaced. */

#include "storage/new-volume.h"
#include "base/auto.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

int new_volume_open_source(const char *rootfs, const char *target, GError **error) {
        struct open_how how = {.flags = O_PATH | O_CLOEXEC, .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS};
        autofd int root = open(rootfs, O_PATH | O_DIRECTORY | O_CLOEXEC);
        autofd int found = root >= 0 ? (int) syscall(SYS_openat2, root, target, &how, sizeof how) : -1;
        struct stat st;

        if (found < 0 && root >= 0 && (errno == ENOENT || errno == ENOTDIR))
                return -1;
        if (found < 0 || fstat(found, &st) < 0) {
                error_errno(error, errno, "look for %s in the root file system", target);
                return -1;
        }
        if (!S_ISDIR(st.st_mode)) {
                error_set(error, CONBUS_ERROR_NOT_A_DIRECTORY, "the root file system has a file at %s, where a volume is to be", target);
                return -1;
        }
        int fd = openat(found, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0)
                error_errno(error, errno, "read %s of the root file system", target);
        return fd;
}

bool new_volume_make(const char *path, GError **error) {
        g_autofree char *above = g_path_get_dirname(path);

        return (g_mkdir_with_parents(above, 0700) == 0 && mkdir(path, 0700) == 0) || error_errno(error, errno, "make the directory %s", path);
}

bool new_volume_publish(const char *path, const char *volume, uid_t uid, gid_t gid, mode_t mode, bool *ret_lost, GError **error) {
        *ret_lost = false;
        if (chown(path, uid, gid) < 0 || chmod(path, mode) < 0)
                return error_errno(error, errno, "give %s its owner", path);
        if (renameat2(AT_FDCWD, path, AT_FDCWD, volume, RENAME_NOREPLACE) == 0)
                return true;
        *ret_lost = errno == EEXIST;
        return *ret_lost || error_errno(error, errno, "make the volume %s", volume);
}
