/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Log lines on standard error, with the priority prefix of sd-daemon(3) where the journal reads it, and entries with fields for the journal. Nothing here waits for whoever reads: what he does not take is counted, and the count is told when he reads again. */

#include "base/journal.h"
#include <stdbool.h>
#include <glib.h>
#include <syslog.h>

void log_set_level(int level);       /* a syslog priority; lines above it are dropped */
int log_get_level(void);
bool log_set_level_name(const char *name) G_GNUC_WARN_UNUSED_RESULT; /* emerg … debug, as in systemd; false for another word */
const char *log_get_level_name(void);
bool log_set_target_name(const char *name) G_GNUC_WARN_UNUSED_RESULT; /* "console", or "journal" (entries with fields, and prefixed lines); false for another word. At first it is what standard error is */
const char *log_get_target_name(void);
bool log_takes(int level); /* a line of this level would not be dropped */

void log_line(int level, const char *format, ...) G_GNUC_PRINTF(2, 3);
/* An entry with these fields and the line as its MESSAGE; where there is no journal the line alone. */
void log_entry(int level, JournalEntry *entry, const char *line);
#define log_error(...) log_line(LOG_ERR, __VA_ARGS__)
#define log_warning(...) log_line(LOG_WARNING, __VA_ARGS__)
#define log_notice(...) log_line(LOG_NOTICE, __VA_ARGS__)
#define log_info(...) log_line(LOG_INFO, __VA_ARGS__)
#define log_debug(...) log_line(LOG_DEBUG, __VA_ARGS__)
