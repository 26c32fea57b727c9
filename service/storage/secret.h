/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Values that nobody may see: stored for root alone, placed for one run in memory. No value is ever in the memory of the service. */

#include "base/error.h"
#include <glib.h>
#include <sys/types.h>

#define SECRET_SIZE_MAX 512000 /* bytes, as podman takes them */

/* Whether a value can be read from fd at all (InvalidConfig names key): it is open for reading. */
bool secret_check_descriptor(int fd, const char *key, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* What a child of the service does (conbusd --store-secret PATH): reads standard input to its end, waiting where it must, and stores it as the new file PATH, mode 0600, with a sync of the file and of the three directories above it. On failure there is no file, a sentence is on standard error,
 * and the status is one of these. */
enum {
        SECRET_STORED,
        SECRET_BAD_VALUE, /* unreadable, empty or too large */
        SECRET_NOT_STORED,
        SECRET_DISK_FULL,
};
int secret_store_main(const char *path);

/* Copies the file source, of at most max bytes, to the new file target, which gets owner and mode. Inside the kernel. NoSuchPath when there is no such regular file, StorageFull, Internal. Nothing stays on failure. */
bool secret_place(const char *source, const char *target, guint64 max, uid_t uid, gid_t gid, mode_t mode, GError **error) G_GNUC_WARN_UNUSED_RESULT;
