/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* One conbus-stream as its owner sees it: started, or found again after a restart by the socket in its directory. It serves the streams of one conmon, or, without one, only what a log file holds. */

#include "base/pidref.h"
#include "runtime/paths.h"
#include "runtime/process.h"
#include "runtime/units.h"

#define STREAMER_SOCKET "stream" /* in the directory */

typedef struct StreamerSource {
        const char *directory; /* of conmon's attach socket */
        const char *group_id; /* container: it joins its monitor's control group, or gets a scope of its own in this slice */
        const char *slice;
        const PidRef *monitor; /* conmon; NULL: there is none, and the streamer cannot be found again */
        const char *log; /* file that can be read; NULL: none */
        bool journal; /* the log is in the journal, under group_id */
        const char *log_start; /* nothing has been written yet, and this is the log's position (a cursor, "": not known); NULL: something may have been */
        bool stdin_once;
        bool patient; /* the process waits for its slowest client, as it would for a pipe, while it lives (streamer_set_process); one that takes nothing while others wait is dropped in time */
} StreamerSource;

typedef struct Streamer Streamer;

/* In every one of them but closed the streamer must not be freed. */
typedef struct StreamerEvents {
        void (*ready)(GVariant *clients, void *userdata); /* a(ta{sv}): those it has; it is connected to conmon where log_start was given. May come again */
        void (*added)(guint64 id, void *userdata);
        void (*refused)(guint64 id, const GError *error, void *userdata);
        void (*gone)(guint64 id, GVariant *report, void *userdata); /* fields of `gone` in stream/protocol.h */
        void (*closed)(void *userdata); /* it has ended */
} StreamerEvents;

/* units NULL: systemd is not here. HelperMissing, Internal. */
Streamer *streamer_start(sd_event *event, Reaper *reaper, const Paths *paths, Units *units, const StreamerSource *source, const StreamerEvents *events, void *userdata, GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* The one that a former life of the service has started, or NULL. */
Streamer *streamer_find(sd_event *event, Units *units, const char *group_id, const char *directory, const StreamerEvents *events, void *userdata) G_GNUC_WARN_UNUSED_RESULT;
/* Lets go of it; it goes on. */
void streamer_free(Streamer *streamer);
/* Of one without a monitor, whose client has gone: lets go of it, and it ends, with its scope. */
void streamer_dismiss(Streamer *streamer);

/* fields: floating, the `add` of stream/protocol.h with the id in it. cancel_fd -1: none. Descriptors are borrowed. */
void streamer_add(Streamer *streamer, GVariant *fields, int fd, int cancel_fd);
void streamer_remove(Streamer *streamer, guint64 id);
void streamer_end_run(Streamer *streamer, guint64 run, int exit_code);
void streamer_set_process(Streamer *streamer, int pidfd); /* borrowed; -1: it has ended */
void streamer_lose(Streamer *streamer); /* conmon died */
/* StdinOnce and the streamer has ended: keeps the container's standard input open without it. Takes over its connections to conmon, which the caller closes at the end of the run. */
void streamer_take_connections(Streamer *streamer, int ret_fds[2]);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Streamer, streamer_free)
