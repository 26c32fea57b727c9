/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Small trees of files. */

#include <stdbool.h>

/* Does what the words of rm(1) in argv ask for: removes what stands behind "--", whole, as far as it is shallow and on one file system; true when nothing of it is left. What is deep, mounted or refuses is left to rm(1) itself, which can go to any depth and says what is wrong. */
bool tree_remove(const char *const *argv); /* only in a child process: it can take long */
/* The same within bounds that let the loop do it, where a child would cost twenty times as much: 32 entries, files and directories of 1 MiB at most. When it is false something of it may be gone, and tree_remove goes on with the rest. */
bool tree_remove_small(const char *const *argv);
