/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Where things lie. STATE (/var/lib/conbus): conbus.db, containers/ID/{upper,work,log,secrets}, volumes/NAME/data. RUN (/run/conbus), gone at boot: containers/ID/{rootfs,kept,private,bundle,persist,notify}, exits/, exec/N of exec sessions, crun/ (its root), awake (locked by the service while it lives). */

#include "base/error.h"
#include <glib.h>

typedef struct Paths {
        char *state, *run; /* directories, absolute */
        char *crun, *conmon; /* programs: name or absolute path */
        char *wake; /* the exit command of conmon (conbus-wake) */
        char *stream; /* serves the streams of a container (conbus-stream) */
        char *credentials; /* $CREDENTIALS_DIRECTORY, what the service manager has handed to the service (systemd.exec(5)); NULL: nothing */
        char *init; /* goes in front of the payload (catatonit) */
} Paths;

/* From arguments or NULL: the environment STATE_DIRECTORY, RUNTIME_DIRECTORY (systemd.exec(5)), CONBUS_CRUN, CONBUS_CONMON, CONBUS_WAKE, CONBUS_STREAM, CONBUS_INIT; then the built-in defaults. */
Paths *paths_new(const char *state, const char *run);
void paths_free(Paths *paths);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Paths, paths_free)

/* The absolute path of the init program; HelperMissing. Beside PATH it is looked for where distributions put what only container engines run. */
char *paths_find_init(const Paths *paths, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* RUN/containers/ID[/name] and STATE/containers/ID[/name]; name may be NULL. */
char *paths_run_of(const Paths *paths, const char *id, const char *name) G_GNUC_WARN_UNUSED_RESULT;
char *paths_session(const Paths *paths, guint64 number) G_GNUC_WARN_UNUSED_RESULT; /* RUN/exec/NUMBER: short, since the addresses of sockets are */
char *paths_state_of(const Paths *paths, const char *id, const char *name) G_GNUC_WARN_UNUSED_RESULT;
