/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Finds the last lines of a log without reading all of it. */

#include "stream/log-filter.h"

#define LOG_TAIL_MAX 1000000 /* lines */

/* Where the last n lines before `end` begin that the filter lets through; lines that begin before its cursors do not count. The line that is unfinished at the end is one. NULL error: never fails but for a cursor whose file has gone. */
bool log_tail_find(const char *path, const LogFilter *filter, const LogCursor *end, guint64 n, LogPosition *ret, GError **error) G_GNUC_WARN_UNUSED_RESULT;
