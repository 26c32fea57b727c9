/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Directories and programs, with their defaults. */

#include "runtime/paths.h"
#include <stdlib.h>
#include <string.h>

#ifndef CONBUS_WAKE_PATH
#define CONBUS_WAKE_PATH "/usr/libexec/conbus-wake"
#endif
#ifndef CONBUS_STREAM_PATH
#define CONBUS_STREAM_PATH "/usr/libexec/conbus-stream"
#endif
#ifndef CONBUS_INIT_PROGRAM
#define CONBUS_INIT_PROGRAM "catatonit"
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
        paths->credentials = choose(NULL, "CREDENTIALS_DIRECTORY", NULL);
        paths->init = choose(NULL, "CONBUS_INIT", CONBUS_INIT_PROGRAM);
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
        g_free(paths->init);
        g_free(paths->credentials);
        g_free(paths);
}

char *paths_find_init(const Paths *paths, GError **error) {
        static const char *const places[] = {"/usr/libexec/podman", "/usr/libexec/catatonit", "/usr/lib/podman", NULL};
        char *found = g_find_program_in_path(paths->init);

        for (const char *const *place = places; !found && *place && !strchr(paths->init, '/'); place++) {
                g_autofree char *path = g_build_filename(*place, paths->init, NULL);
                found = g_find_program_in_path(path);
        }
        if (!found)
                error_set(error, CONBUS_ERROR_HELPER_MISSING, "configuration key \"init\": the program %s is not installed", paths->init);
        return found;
}

char *paths_run_of(const Paths *paths, const char *id, const char *name) {
        return g_build_filename(paths->run, "containers", id, name, NULL);
}

char *paths_session(const Paths *paths, guint64 number) {
        return g_strdup_printf("%s/exec/%" G_GUINT64_FORMAT, paths->run, number);
}

char *paths_state_of(const Paths *paths, const char *id, const char *name) {
        return g_build_filename(paths->state, "containers", id, name, NULL);
}
