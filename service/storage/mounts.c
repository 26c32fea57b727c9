/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The new mount calls of Linux 5.2 and 5.12. A tree is made private before it is attached: a clone belongs to the peer group of what it was cloned from, and to unmount a part of it would unmount that part over there.
 * Its place is private as well, or the tree would be attached again wherever /run has been handed on to. */

#include "storage/mounts.h"
#include "base/auto.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

bool mounts_is_mounted(const char *path) {
        struct stat own, parent;
        g_autofree char *above = g_path_get_dirname(path);

        return stat(path, &own) == 0 && stat(above, &parent) == 0 && own.st_dev != parent.st_dev;
}

static bool mount_tmpfs(const char *path, const char *options) {
        return mount("tmpfs", path, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, options) == 0;
}

bool mounts_make_place(const char *path, guint64 size, gid_t gid, GError **error) {
        g_autofree char *options = g_strdup_printf("mode=%s,size=%" G_GUINT64_FORMAT ",gid=%u", gid ? "0710" : "0700", size, gid);
        g_autofree char *unswapped = g_strconcat(options, ",noswap", NULL);

        if (mounts_is_mounted(path))
                return true;
        if (g_mkdir_with_parents(path, 0700) < 0)
                return error_errno(error, errno, "make the directory %s", path);
        if ((!mount_tmpfs(path, unswapped) && (errno != EINVAL || !mount_tmpfs(path, options))) || mount(NULL, path, NULL, MS_PRIVATE, NULL) < 0) {
                int number = errno;
                (void) umount2(path, UMOUNT_NOFOLLOW | MNT_DETACH);
                (void) rmdir(path);
                return error_errno(error, number, "mount a file system in memory at %s", path);
        }
        return true;
}

static bool refuse(const char *key, const char *why, GError **error) {
        return error_set(error, CONBUS_ERROR_INVALID_CONFIG, "configuration key \"%s\": the descriptor %s", key, why);
}

/* Kind and device are known to the kernel; whatever else a file system in user space would be asked for, it may never answer. */
static bool look_at(int fd, struct statx *ret) {
        return statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC | AT_NO_AUTOMOUNT, STATX_TYPE, ret) == 0;
}

bool mounts_check_kind(int fd, const char *key, GError **error) {
        struct statx st;

        if (!look_at(fd, &st))
                return refuse(key, "cannot be looked at; give one of a directory, a file or a detached mount", error);
        return S_ISDIR(st.stx_mode) || S_ISREG(st.stx_mode) || S_ISSOCK(st.stx_mode) || refuse(key, "is neither a directory nor a file; give one that open(2) with O_PATH or open_tree(2) returns", error);
}

/* All namespaces are of one file system of the kernel's; an ioctl(2) on another would be handed to that. */
static bool is_namespace(int fd, const struct stat *own) {
        struct statx st;

        return look_at(fd, &st) && makedev(st.stx_dev_major, st.stx_dev_minor) == own->st_dev && ioctl(fd, NS_GET_NSTYPE) == CLONE_NEWNET;
}

bool mounts_check_network_namespace(int fd, const char *key, GError **error) {
        struct stat own, other;

        if (stat("/proc/self/ns/net", &own) < 0)
                return error_errno(error, errno, "look at the own network namespace");
        if (!is_namespace(fd, &own) || fstat(fd, &other) < 0)
                return refuse(key, "is no network namespace; open /proc/PID/ns/net or a file of ip-netns(8) for reading", error);
        return own.st_ino != other.st_ino || refuse(key, "is the host's own network namespace; give network host instead", error);
}

static bool make_mount_point(const char *path, mode_t kind, GError **error) {
        if (S_ISDIR(kind))
                return mkdir(path, 0700) == 0 || error_errno(error, errno, "make the mount point %s", path);
        autofd int made = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        return made >= 0 || error_errno(error, errno, "make the mount point %s", path);
}

static bool fail_mount(const char *key, const char *path, GError **error) {
        int number = errno;

        if (number == EINVAL || number == EPERM || number == EBADF)
                return refuse(key, "is of another mount namespace, or of nothing that can be mounted; give one of the host's, or a detached mount of open_tree(2) or fsmount(2)", error);
        return error_errno(error, number, "keep a descriptor as %s", path);
}

bool mounts_keep(const char *place, gint32 number, int fd, const char *key, GError **error) {
        static const unsigned whole = AT_EMPTY_PATH | AT_RECURSIVE;
        struct mount_attr attributes = {.propagation = MS_PRIVATE};
        g_autofree char *path = g_strdup_printf("%s/%d", place, (int) number);
        struct statx st;

        /* EINVAL: it is no part of this namespace; before Linux 6.15 that holds for what is attached nowhere as well. */
        autofd int clone = open_tree(fd, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | whole);
        if (clone < 0 && errno != EINVAL)
                return fail_mount(key, path, error);
        int tree = clone >= 0 ? clone : fd;
        if (!look_at(tree, &st) || mount_setattr(tree, "", whole, &attributes, sizeof attributes) < 0)
                return fail_mount(key, path, error);
        if (!make_mount_point(path, st.stx_mode, error))
                return false;
        return move_mount(tree, "", AT_FDCWD, path, MOVE_MOUNT_F_EMPTY_PATH) == 0 || fail_mount(key, path, error);
}

bool mounts_release(const char *path, GError **error) {
        while (mounts_is_mounted(path))
                if (umount2(path, UMOUNT_NOFOLLOW) < 0 && umount2(path, UMOUNT_NOFOLLOW | MNT_DETACH) < 0)
                        return error_errno(error, errno, "unmount %s", path);
        if (rmdir(path) < 0 && errno != ENOENT)
                return error_errno(error, errno, "remove the mount point %s", path);
        return true;
}
