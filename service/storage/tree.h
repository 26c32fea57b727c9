/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Small trees of files. Only in a child process: it blocks. */

#include <stdbool.h>

/* Does what the words of rm(1) in argv ask for: removes what stands behind "--", whole, as far as it is shallow and on one file system; true when nothing of it is left. What is deep, mounted or refuses is left to rm(1) itself, which can go to any depth and says what is wrong. */
bool tree_remove(const char *const *argv);
