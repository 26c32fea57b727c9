/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Exec sessions: made and started by operations of their container (exec.c), watched until their end is recorded (session-watch.c), and what can be done to one meanwhile (sessions.c). */

#include "operation/operation.h"

/* Descriptors of a caller for the process. */
typedef struct SessionDescriptors {
        bool has_stdio; /* it gets these three instead of streams that can be attached to */
        int stdio[3];
        int fds[CONMON_FDS_MAX]; /* from 3 on */
        unsigned n_fds;
} SessionDescriptors;
SessionDescriptors *session_descriptors_new(void) G_GNUC_WARN_UNUSED_RESULT;
void session_descriptors_free(SessionDescriptors *descriptors);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(SessionDescriptors, session_descriptors_free)

typedef struct ExecPlan {
        GVariant *request; /* checked (model/session.h); floating or not */
        SessionDescriptors *descriptors; /* taken when sessions_exec succeeds; NULL: none */
        bool wants_terminal; /* its terminal goes to the caller: exec_take_terminal */
} ExecPlan;

/* Makes a session and, unless the request's `start` is false, starts it. The result is (ou): its path and pid, 0 when it was not started. Beside those of operation_submit: LimitsExceeded, NotRunning, InvalidState, InvalidArgs (the user),
 * RuntimeCommandNotFound, RuntimePermissionDenied, RuntimeFailed, MonitorFailed; the session is then `stopped` with 127, 126 or 125. */
Operation *sessions_exec(Engine *engine, Container *container, ExecPlan *plan, Actor *actor, OperationDone done, void *userdata, GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* Starts one that was made so: the same. Interrupted when its descriptors were lost with a former life of the service. */
Operation *sessions_start(Engine *engine, Session *session, Actor *actor, OperationDone done, void *userdata, GError **error) G_GNUC_WARN_UNUSED_RESULT;
int exec_take_terminal(Operation *operation); /* in done; the caller's to close, -1 if there is none */

/* For the states in which something can be executed: NotRunning, InvalidState, Removed. what: "execute in". */
bool sessions_check_state(Container *container, const char *what, GError **error) G_GNUC_WARN_UNUSED_RESULT;
char *sessions_config_of(Engine *engine, const Container *container) G_GNUC_WARN_UNUSED_RESULT; /* config.json of the present run */

/* InvalidState, InvalidArgs. */
bool session_kill(Session *session, int signal, GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* SIGTERM, and SIGKILL after the grace (0: at once, UINT64_MAX: never). Its end is waited for by session_wait. Nothing for one that has ended; a shorter grace than that of another call counts. InvalidState. */
bool session_stop(Engine *engine, Session *session, guint64 grace_usec, GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* One that does not run; InvalidState, and what the store says. */
bool session_remove(Engine *engine, Session *session, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* Called once: its end is recorded (error NULL), or it has gone without having been started (Removed), or timeout_usec has passed (Timeout). */
typedef void (*SessionWaited)(Session *session, const GError *error, void *userdata);
typedef struct SessionWait SessionWait;
SessionWait *session_wait(Engine *engine, Session *session, guint64 timeout_usec, SessionWaited done, void *userdata) G_GNUC_WARN_UNUSED_RESULT; /* of one that has not ended; never before it has returned */
void session_wait_cancel(SessionWait *wait);

/* A client has left the bus: what was to live as long as it ends. */
void sessions_client_left(Engine *engine, const char *bus_name);
/* Those whose clients may have left unseen: a vector of bus names. */
GPtrArray *sessions_list_clients(Engine *engine) G_GNUC_WARN_UNUSED_RESULT;
