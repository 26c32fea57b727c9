/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Log lines and entries: level and target can change at run time (org.freedesktop.LogControl1). */

#include "base/log.h"
#include "base/auto.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

static const char *const level_names[] = {"emerg", "alert", "crit", "err", "warning", "notice", "info", "debug"};
static int current_level = LOG_INFO;
static bool prefixed = false;
static bool target_known = false;
static unsigned n_lost = 0; /* lines and entries that nobody took */
static bool torn = false; /* the last line is there in part */

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

/* JOURNAL_STREAM (systemd.exec(5)) may have been inherited by a program whose standard error goes elsewhere. */
static bool is_journal_stream(void) {
        const char *said = getenv("JOURNAL_STREAM");
        char text[64];
        struct stat st;

        if (!said || fstat(STDERR_FILENO, &st) < 0)
                return false;
        snprintf(text, sizeof text, "%ju:%ju", (uintmax_t) st.st_dev, (uintmax_t) st.st_ino);
        return strcmp(said, text) == 0;
}

static void find_target(void) {
        if (target_known)
                return;
        prefixed = is_journal_stream();
        target_known = true;
}

const char *log_get_target_name(void) {
        find_target();
        return prefixed ? "journal" : "console";
}

bool log_takes(int level) {
        return level <= current_level;
}

/* On a socket without waiting, on anything else as it is. */
static bool put(const char *text) {
        size_t size = strlen(text);
        ssize_t n = send(STDERR_FILENO, text, size, MSG_DONTWAIT | MSG_NOSIGNAL);

        if (n < 0 && errno == ENOTSOCK)
                n = write(STDERR_FILENO, text, size);
        if (n > 0)
                torn = (size_t) n < size;
        return n >= 0;
}

static void put_line(int level, const char *line) {
        g_autofree char *text = prefixed ? g_strdup_printf("%s<%d>%s\n", torn ? "\n" : "", level, line) : g_strdup_printf("%sconbusd: %s\n", torn ? "\n" : "", line);

        n_lost += !put(text);
}

static void tell_lost(void) {
        unsigned n = n_lost;

        if (n == 0)
                return;
        n_lost = 0;
        g_autofree char *line = g_strdup_printf("%u lines of the log are missing here, since nobody read them", n);
        put_line(LOG_NOTICE, line);
        if (n_lost > 0)
                n_lost += n - 1;
}

/* One line, whatever a container or a program has put into it, and nothing that a terminal or journalctl would not show. */
static void flatten(char *text) {
        for (char *p = text; *p; p++)
                if ((unsigned char) *p < ' ' || *p == 0x7f)
                        *p = ' ';
}

void log_line(int level, const char *format, ...) {
        if (!log_takes(level))
                return;
        find_target();
        tell_lost();

        va_list arguments;
        va_start(arguments, format);
        g_autofree char *text = g_strdup_vprintf(format, arguments);
        va_end(arguments);
        flatten(text);
        put_line(level, text);
}

void log_entry(int level, JournalEntry *entry, const char *line) {
        g_autofree char *text = g_strdup(line);

        if (!log_takes(level))
                return;
        find_target();
        tell_lost();
        flatten(text);
        if (prefixed) {
                journal_entry_add(entry, "MESSAGE", text);
                journal_entry_add_number(entry, "PRIORITY", level);
                journal_entry_add(entry, "SYSLOG_IDENTIFIER", "conbusd");
        }
        JournalOutcome outcome = prefixed ? journal_send(entry) : JOURNAL_ABSENT;
        if (outcome == JOURNAL_ABSENT)
                put_line(level, text);
        n_lost += outcome == JOURNAL_FULL;
}
