/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What stat(2) says of a file. */

#include <stdbool.h>
#include <sys/stat.h>

/* The same file with the same content, as far as its times tell. */
static inline bool file_is_unchanged(const struct stat *before, const struct stat *after) {
        return before->st_dev == after->st_dev && before->st_ino == after->st_ino && before->st_size == after->st_size && before->st_mtim.tv_sec == after->st_mtim.tv_sec && before->st_mtim.tv_nsec == after->st_mtim.tv_nsec &&
               before->st_ctim.tv_sec == after->st_ctim.tv_sec && before->st_ctim.tv_nsec == after->st_ctim.tv_nsec;
}
