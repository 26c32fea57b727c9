/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Directories and programs, with their defaults. */

#include "runtime/paths.h"
#include <stdlib.h>

#ifndef CONBUS_WAKE_PATH
#define CONBUS_WAKE_PATH "/usr/libexec/conbus-wake"
#endif
#ifndef CONBUS_STREAM_PATH
#define CONBUS_STREAM_PATH "/usr/libexec/conbus-stream"
#endif

static char *choose(const char *given, const char *variable, const char *fallback) {
        const char *value = given ? given : getenv(variable);

        return g_strdup(value && *value ? value : fallback);
}

Paths *paths_new(const char *state, const char *run) {
        Paths *paths = g_new0(Paths, 1);

        paths->state = choose(state, "STATE_DIRECTORY", "/var/lib/conbus");
        paths->run = choose(run, "RUNTIME_DIRECTORY", "/run/conbus");
        paths->crun = choose(NULL, "CONBUS_CRUN", "crun");
        paths->conmon = choose(NULL, "CONBUS_CONMON", "conmon");
        paths->wake = choose(NULL, "CONBUS_WAKE", CONBUS_WAKE_PATH);
        paths->stream = choose(NULL, "CONBUS_STREAM", CONBUS_STREAM_PATH);
        return paths;
}

void paths_free(Paths *paths) {
        if (!paths)
                return;
        g_free(paths->state);
        g_free(paths->run);
        g_free(paths->crun);
        g_free(paths->conmon);
        g_free(paths->wake);
        g_free(paths->stream);
        g_free(paths);
}

char *paths_run_of(const Paths *paths, const char *id, const char *name) {
        return g_build_filename(paths->run, "containers", id, name, NULL);
}

char *paths_state_of(const Paths *paths, const char *id, const char *name) {
        return g_build_filename(paths->state, "containers", id, name, NULL);
}
