/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Overlay mounts (Documentation/filesystems/overlayfs in the kernel): made in one mount(2), private, released by umount2(2). */

#include "storage/rootfs.h"
#include "storage/mounts.h"
#include <errno.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

static bool check_base(const char *base, struct stat *ret, GError **error) {
        if (stat(base, ret) < 0)
                return errno == ENOENT || errno == ENOTDIR ? error_set(error, CONBUS_ERROR_NO_SUCH_PATH, "the root file system %s does not exist", base)
                                                           : error_errno(error, errno, "the root file system %s", base);
        if (!S_ISDIR(ret->st_mode))
                return error_set(error, CONBUS_ERROR_NOT_A_DIRECTORY, "the root file system %s is not a directory", base);
        return true;
}

bool rootfs_is_mounted(const char *merged) {
        return mounts_is_mounted(merged);
}

/* Options are separated by commas and layers by colons; both can be escaped with a backslash (overlayfs, mount(8)). */
static void append_escaped(GString *options, const char *key, const char *path) {
        g_string_append_printf(options, "%s%s=", options->len ? "," : "", key);
        for (; *path; path++) {
                if (strchr(",:\\", *path))
                        g_string_append_c(options, '\\');
                g_string_append_c(options, *path);
        }
}

static bool make(const char *path, mode_t mode, GError **error) {
        if (g_mkdir_with_parents(path, 0700) < 0 || chmod(path, mode) < 0)
                return error_errno(error, errno, "make the directory %s", path);
        return true;
}

static bool mount_overlay(const RootfsPlan *plan, const struct stat *base, GError **error) {
        g_autoptr(GString) options = g_string_new(NULL);
        bool fresh = access(plan->upper, F_OK) < 0;

        if (fresh && (!make(plan->upper, base->st_mode & 07777, error) || chown(plan->upper, base->st_uid, base->st_gid) < 0))
                return error && *error ? false : error_errno(error, errno, "give %s its owner", plan->upper);
        if (!make(plan->work, 0700, error) || !make(plan->merged, 0755, error))
                return false;
        append_escaped(options, "lowerdir", plan->base);
        append_escaped(options, "upperdir", plan->upper);
        append_escaped(options, "workdir", plan->work);
        if (mount("overlay", plan->merged, "overlay", 0, options->str) < 0) {
                int number = errno;
                (void) rmdir(plan->merged);
                return error_errno(error, number, "mount an overlay over %s", plan->base);
        }
        if (mount(NULL, plan->merged, NULL, MS_PRIVATE, NULL) < 0) {
                int number = errno;
                (void) umount2(plan->merged, MNT_DETACH);
                return error_errno(error, number, "make %s private", plan->merged);
        }
        return true;
}

char *rootfs_prepare(const RootfsPlan *plan, GError **error) {
        struct stat base;

        if (!check_base(plan->base, &base, error))
                return NULL;
        if (!g_str_equal(plan->mode, "overlay"))
                return g_strdup(plan->base);
        if (!rootfs_is_mounted(plan->merged) && !mount_overlay(plan, &base, error))
                return NULL;
        return g_strdup(plan->merged);
}

int rootfs_unmount(const char *const *argv) {
        return umount2(argv[1], UMOUNT_NOFOLLOW) < 0 && umount2(argv[1], UMOUNT_NOFOLLOW | MNT_DETACH) < 0 ? errno : 0;
}

bool rootfs_release(const char *merged, GError **error) {
        return mounts_release(merged, error);
}
