/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Points in time as people write them. */

#include <glib.h>
#include <stdbool.h>

/* Microseconds since 1970 of a time as journalctl(1) takes it: "2026-11-26 12:34:56.789", parts of that from the left or the right, RFC 3339, "now", "today", "yesterday", "tomorrow", "@SECONDS", "-5min", "+1h", "5 min ago"; and a bare span, "10m", which is as
 * long ago. Local time unless said otherwise. False for anything else. */
bool moment_parse(const char *text, guint64 now_usec, guint64 *ret);
