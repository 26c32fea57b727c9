/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Mounts that the service holds for a container: places in memory, and trees that somebody has handed over as descriptors. All are private: nothing that happens in them shows elsewhere, and nothing from elsewhere shows in them. */

#include "base/error.h"
#include <glib.h>
#include <sys/types.h>

/* A mount point with a file system of its own. */
bool mounts_is_mounted(const char *path);

/* A tmpfs of at most size bytes at path, whose directory is made, for root alone, and for a group other than 0 to walk through (0710), without devices, programs and set-user-id files, and out of the swap where the kernel can do that (Linux 6.4). One that is there already is kept. */
bool mounts_make_place(const char *path, guint64 size, gid_t gid, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* Whether what fd refers to can be kept: a directory, file or socket (O_PATH will do). InvalidConfig names key and what is right. Asks no file system of anybody's else. */
bool mounts_check_kind(int fd, const char *key, GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* Whether fd is a network namespace (NS_GET_NSTYPE), and not the service's own. InvalidConfig. */
bool mounts_check_network_namespace(int fd, const char *key, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* Keeps what fd refers to as PLACE/NUMBER, with all that is mounted below it: a clone of the mount, or, when it is attached nowhere, the mount itself. The place has been made by mounts_make_place. InvalidConfig for what cannot be mounted; nothing stays on failure but an
 * empty mount point. fd remains the caller's. */
bool mounts_keep(const char *place, gint32 number, int fd, const char *key, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* Unmounts path with everything on it (lazily only if busy) and removes the directory; true if nothing is mounted afterwards. Nothing below a mount is ever deleted. */
bool mounts_release(const char *path, GError **error) G_GNUC_WARN_UNUSED_RESULT;
