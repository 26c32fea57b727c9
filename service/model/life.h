/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Plain data: what changes while a container lives (Life), the record of one run (Run), an entry of the event log (Event).
 * The store writes them, the container layer owns them, the bus reads them. No I/O here. */

#include "model/state.h"

#define INVOCATION_SIZE 16

/* A process as the store keeps it; see base/pidref.h. */
typedef struct StoredProcess {
        gint32 pid; /* 0: none */
        guint64 start_time;
} StoredProcess;

/* Everything about a container that is neither configuration nor a record. One row, rewritten at each commit. */
typedef struct Life {
        State state;
        Reason reason;
        guint64 state_usec;
        guint64 transitions; /* seq of the last StateChanged */

        guint64 run; /* current or last run, 0 before the first */
        guint8 invocation[INVOCATION_SIZE];
        guint64 start_usec, finish_usec; /* of that run; 0 unset */
        int exit_code; /* -1 before the end */
        int exit_signal;
        Result result;
        bool run_open; /* opened by Init and not yet ended: exactly one record without result */
        bool ever_started; /* some run got as far as crun start (boot rule) */
        bool ready;
        char *status_text; /* never NULL; not persistent across boots */
        char *health; /* Health.Status: starting healthy unhealthy suspended stopped; "" without a check; never NULL */

        StoredProcess monitor, main; /* conmon and PID 1 of the open run */
        bool supervised;
        char *cgroup; /* of PID 1, relative to the cgroup mounts; "" when none */

        bool stopped_by_user;
        guint64 stop_deadline; /* CLOCK_BOOTTIME usec when SIGKILL is due while stopping; 0 none, UINT64_MAX never */
        int stop_signal; /* of the stop in progress, still to be sent; 0: none, or it has been */
        guint32 restart_count;
        guint64 next_restart_usec; /* CLOCK_REALTIME, 0: none pending */
        guint64 backoff_usec; /* delay of the last restart; 0: start at restart-sec-usec */
        const char *health_action; /* ordered and not done yet: kill, restart (until the restart is planned) or stop; "" none; never freed */
        char *managed_by; /* service unit whose main process has taken charge of it, and that has not ended since; never NULL */
        bool boot_due; /* the boot rule starts it, and that start has neither succeeded nor failed yet */

        char *error_name, *error_message; /* last failed operation; never NULL */
        guint64 error_usec;

        char *boot_id; /* boot in which all of this was true; never NULL */
        bool mounted; /* the root file system is prepared under the run directory */
        bool remove_volumes; /* the option of the removal in progress, which a restarted service goes on with */
} Life;

void life_init(Life *life); /* state created, exit code -1, empty strings */
void life_copy(Life *to, const Life *from); /* *to is uninitialized memory */
void life_clear(Life *life);
void life_set_string(char **field, const char *value); /* value may be NULL: "" */

/* The record of a run, kept after removal. */
typedef struct Run {
        char *container; /* id */
        guint64 number;
        guint8 invocation[INVOCATION_SIZE];
        gint32 pid;
        guint64 start_usec, finish_usec; /* 0 unset; start is 0 for a run that never got as far as crun start */
        int exit_code, exit_signal;
        Result result; /* RESULT_NONE: still open */
        Reason reason;
        guint64 oom_kills;
        guint32 restarts; /* RestartCount when the run was opened */
        char *health; /* status at the end, "" without a check */
        GVariant *actor; /* a{sv} of actor.h or NULL */
        char *log_cursor; /* never NULL */
        char *name; /* of the container when the run ended, for people */
} Run;

Run *run_new(const char *container, guint64 number) G_GNUC_WARN_UNUSED_RESULT;
Run *run_copy(const Run *run) G_GNUC_WARN_UNUSED_RESULT;
void run_free(Run *run);
/* a{sv} as GetRun returns it; floating. */
GVariant *run_to_variant(const Run *run);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Run, run_free)

typedef struct Event {
        guint64 seq, usec; /* seq is given by the store */
        char *type, *action; /* "container", "died" */
        char *object, *id; /* object path and container id */
        GVariant *details; /* a{sv}, never NULL */
} Event;

/* details may be floating or NULL. */
Event *event_new(const char *type, const char *action, const char *object, const char *id, GVariant *details) G_GNUC_WARN_UNUSED_RESULT;
void event_free(Event *event);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Event, event_free)
