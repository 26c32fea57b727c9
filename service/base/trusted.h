/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Paths that nobody but root can change. */

#include "base/error.h"

/* Opens a directory (O_PATH) to which root alone can lead: each directory above it belongs to root and is writable by no other (or sticky, where what lies in it belongs to root), and no name on the way is a symbolic link. The directory itself may belong to anybody,
 * unless the one above is sticky. AccessDenied with the place that is at fault; NoSuchPath, NotADirectory. */
int trusted_open_directory(const char *path, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* Reads a regular file of at most max bytes that belongs to root and is writable by no other, in a directory of which the same holds. The text is valid UTF-8 without zeros, newly allocated. AccessDenied, NoSuchPath, InvalidConfig. */
char *trusted_read_file(const char *directory, const char *name, gsize max, GError **error) G_GNUC_WARN_UNUSED_RESULT;
