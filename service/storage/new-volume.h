/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A volume that is being made: a directory beside the place where the volume will be, which becomes the volume by one rename. So a volume is there whole or not at all, and of two that are made at once the first one is it. */

#include "base/error.h"
#include <glib.h>
#include <sys/types.h>

/* What the root file system has at target, whose links are followed inside of it alone: a directory to copy from, open for reading. -1 with *error unset when there is nothing; NotADirectory, Internal. */
int new_volume_open_source(const char *rootfs, const char *target, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* Makes the directory path, for root alone, and those above it. */
bool new_volume_make(const char *path, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* Gives path its owner and mode and makes it the volume. *ret_lost: there is one already, and path is still to be removed. */
bool new_volume_publish(const char *path, const char *volume, uid_t uid, gid_t gid, mode_t mode, bool *ret_lost, GError **error) G_GNUC_WARN_UNUSED_RESULT;
