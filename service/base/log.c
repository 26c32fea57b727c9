/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Log lines: level and target can change at run time (org.freedesktop.LogControl1). */

#include "base/log.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const level_names[] = {"emerg", "alert", "crit", "err", "warning", "notice", "info", "debug"};
static int current_level = LOG_INFO;
static bool prefixed = false;
static bool target_known = false;

void log_set_level(int level) {
        current_level = CLAMP(level, LOG_EMERG, LOG_DEBUG);
}

int log_get_level(void) {
        return current_level;
}

bool log_set_level_name(const char *name) {
        for (size_t i = 0; i < G_N_ELEMENTS(level_names); i++)
                if (g_str_equal(level_names[i], name)) {
                        current_level = (int) i;
                        return true;
                }
        return false;
}

const char *log_get_level_name(void) {
        return level_names[current_level];
}

bool log_set_target_name(const char *name) {
        if (!g_str_equal(name, "console") && !g_str_equal(name, "journal"))
                return false;
        prefixed = g_str_equal(name, "journal");
        target_known = true;
        return true;
}

static void find_target(void) {
        if (target_known)
                return;
        prefixed = getenv("JOURNAL_STREAM") != NULL;
        target_known = true;
}

const char *log_get_target_name(void) {
        find_target();
        return prefixed ? "journal" : "console";
}

void log_line(int level, const char *format, ...) {
        if (level > current_level)
                return;
        find_target();

        va_list arguments;
        va_start(arguments, format);
        g_autofree char *text = g_strdup_vprintf(format, arguments);
        va_end(arguments);
        for (char *p = text; *p; p++)
                if (*p == '\n')
                        *p = ' ';
        if (prefixed)
                fprintf(stderr, "<%d>%s\n", level, text);
        else
                fprintf(stderr, "conbusd: %s\n", text);
}
