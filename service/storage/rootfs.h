/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The root file system of a container: an overlay over a directory that stays untouched (upper and work under STATE, merged under RUN), the directory itself ("direct"), or the directory read-only. */

#include "base/error.h"
#include <glib.h>

typedef struct RootfsPlan {
        const char *base; /* the directory of the configuration */
        const char *mode; /* "overlay", "direct", "read-only" */
        const char *upper, *work, *merged; /* directories that this module makes when the mode needs them */
} RootfsPlan;

/* Prepares it and returns the path for root.path. Idempotent: an overlay that is mounted already is kept. NoSuchPath, NotADirectory, StorageFull, Internal; nothing stays mounted or made on failure. */
char *rootfs_prepare(const RootfsPlan *plan, GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* Unmounts merged (lazily only if busy) and removes that directory; true if nothing is mounted afterwards. Nothing below a mount is ever deleted. */
bool rootfs_release(const char *merged, GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* The unmount alone, for a child of its own: {"unmount", merged, NULL} to 0 or an errno. It writes back the whole file system below the overlay (ovl_sync_fs), which takes as long as the disk does. */
int rootfs_unmount(const char *const *argv);
bool rootfs_is_mounted(const char *merged);
