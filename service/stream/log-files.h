/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The files of one log: PATH, into which conmon writes, and PATH.1, PATH.2, … which were there before it, the oldest first. The one at PATH has the number after the last of them. Numbers only grow, since the last rotated file is never removed.
 *
 * A rotation links PATH to PATH.N and then lets conmon put a new file in the place of PATH, in one step: PATH is always there, and until that step both are the same file, which has the number N. */

#include "stream/log-cursor.h"
#include <sys/stat.h>

/* The numbers of rotated files, ascending (guint64); empty when there are none. */
GArray *log_files_rotated(const char *path) G_GNUC_WARN_UNUSED_RESULT;
char *log_files_name(const char *path, guint64 number) G_GNUC_WARN_UNUSED_RESULT; /* of a rotated file */

/* Opens a file for reading; -1 when there is none with this number any more, or yet. Number 0: the oldest one. */
int log_files_open(const char *path, guint64 number, guint64 *ret_number, struct stat *ret_st) G_GNUC_WARN_UNUSED_RESULT;
/* The one that conmon writes into; -1 when there is none. */
int log_files_open_current(const char *path, guint64 *ret_number, struct stat *ret_st) G_GNUC_WARN_UNUSED_RESULT;

bool log_files_end(const char *path, LogCursor *ret, GError **error) G_GNUC_WARN_UNUSED_RESULT; /* the present end; {0, 0} while there is no file */
guint64 log_files_after(const char *path, guint64 number); /* the number of the first file that is there after this one; 0: there is none */
