/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A directory with a log in it, for tests of service/stream/log-*.c; included by one file of each program. */

#include "base/auto.h"
#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

typedef struct LogDirectory {
        char *directory, *path;
} LogDirectory;

static inline void log_directory_make(LogDirectory *log, const void *data) {
        log->directory = g_dir_make_tmp("conbus-log-XXXXXX", NULL);
        log->path = g_build_filename(log->directory, "log", NULL);
}

static inline void log_directory_remove(LogDirectory *log, const void *data) {
        g_autoptr(GDir) directory = g_dir_open(log->directory, 0, NULL);

        for (const char *name = g_dir_read_name(directory); name; name = g_dir_read_name(directory)) {
                g_autofree char *path = g_build_filename(log->directory, name, NULL);
                (void) g_remove(path);
        }
        (void) g_rmdir(log->directory);
        g_free(log->directory);
        g_free(log->path);
}

static inline void log_append(const char *path, const char *text) {
        autofd int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);

        g_assert_cmpint(write(fd, text, strlen(text)), ==, (gssize) strlen(text));
}

/* A rotation: a link, and later, when conmon does it, a new file in the place of the old one. */
static inline void log_link(LogDirectory *log, const char *suffix) {
        g_autofree char *old = g_strconcat(log->path, suffix, NULL);

        g_assert_cmpint(link(log->path, old), ==, 0);
}

static inline void log_replace(LogDirectory *log, const char *text) {
        g_autofree char *temporary = g_strconcat(log->path, ".tmp", NULL);

        log_append(temporary, text);
        g_assert_cmpint(g_rename(temporary, log->path), ==, 0);
}

static inline void log_remove_old(LogDirectory *log, const char *suffix) {
        g_autofree char *old = g_strconcat(log->path, suffix, NULL);

        g_assert_cmpint(g_remove(old), ==, 0);
}
