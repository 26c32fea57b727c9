/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What can be done to an exec session between its making and its going, and how it goes: a minute after its end, or by Remove, or with its container. The teardown of a run ends what still runs; a boot leaves none of them. */

#include "operation/sessions.h"
#include "operation/internal.h"
#include "base/clock.h"
#include "base/log.h"
#include <errno.h>
#include <unistd.h>

#define STORE_RETRY_USEC G_USEC_PER_SEC

struct SessionWait {
        Session *session; /* reference */
        sd_event_source *timer;
        SessionWaited done;
        void *userdata;
};

SessionDescriptors *session_descriptors_new(void) {
        SessionDescriptors *descriptors = g_new0(SessionDescriptors, 1);

        for (unsigned i = 0; i < G_N_ELEMENTS(descriptors->stdio); i++)
                descriptors->stdio[i] = -1;
        return descriptors;
}

void session_descriptors_free(SessionDescriptors *descriptors) {
        if (!descriptors)
                return;
        for (unsigned i = 0; i < G_N_ELEMENTS(descriptors->stdio); i++)
                close_fd(descriptors->stdio[i]);
        for (unsigned i = 0; i < descriptors->n_fds; i++)
                close_fd(descriptors->fds[i]);
        g_free(descriptors);
}

/* --- waiting --- */

static void wait_free(SessionWait *wait) {
        g_queue_remove(&wait->session->waits, wait);
        g_clear_pointer(&wait->timer, sd_event_source_disable_unref);
        session_unref(wait->session);
        g_free(wait);
}

static void answer(SessionWait *wait, const GError *error) {
        g_autoptr(Session) session = session_ref(wait->session);
        SessionWaited done = wait->done;
        void *userdata = wait->userdata;

        wait_free(wait);
        done(session, error, userdata);
}

static int on_wait_timeout(sd_event_source *source, guint64 usec, void *userdata) {
        SessionWait *wait = userdata;
        g_autofree char *title = session_title(wait->session);
        g_autoptr(GError) error = g_error_new(CONBUS_ERROR, CONBUS_ERROR_TIMEOUT, "%s has not ended in time", title);

        answer(wait, error);
        return 0;
}

SessionWait *session_wait(Engine *engine, Session *session, guint64 timeout_usec, SessionWaited done, void *userdata) {
        SessionWait *wait = g_new0(SessionWait, 1);

        g_assert(session->life.state != SESSION_STOPPED && !session->removed);
        *wait = (SessionWait) {.session = session_ref(session), .done = done, .userdata = userdata};
        g_queue_push_tail(&session->waits, wait);
        if (timeout_usec != UINT64_MAX) {
                int r = sd_event_add_time(engine->event, &wait->timer, CLOCK_BOOTTIME, clock_boottime_in(timeout_usec), 1000, on_wait_timeout, wait);
                g_assert(r >= 0);
        }
        return wait;
}

void session_wait_cancel(SessionWait *wait) {
        if (wait)
                wait_free(wait);
}

static void answer_all(Session *session, const GError *error) {
        SessionWait *wait;

        while ((wait = g_queue_peek_head(&session->waits)))
                answer(wait, error);
}

/* --- going --- */

/* Flat: process.json, pid file, conmon's socket and FIFOs, its exit file, crun's log. */
void session_remove_directory(Engine *engine, const Session *session) {
        g_autofree char *path = paths_session(engine->paths, session->number);
        g_autoptr(GDir) directory = g_dir_open(path, 0, NULL);

        for (const char *name = directory ? g_dir_read_name(directory) : NULL; name; name = g_dir_read_name(directory)) {
                g_autofree char *file = g_build_filename(path, name, NULL);
                (void) unlink(file);
        }
        if (rmdir(path) < 0 && errno != ENOENT)
                log_warning("remove %s: %s", path, g_strerror(errno));
}

struct SessionRemoval {
        Engine *engine;
        Session *session; /* owns this */
        sd_event_source *timer;
};

static void disarm(Session *session) {
        struct SessionRemoval *removal = g_steal_pointer(&session->removal);

        if (!removal)
                return;
        removal->engine->n_sessions_leaving--;
        g_clear_pointer(&removal->timer, sd_event_source_disable_unref);
        g_free(removal);
}

static bool discard(Engine *engine, Session *session, GError **error) {
        g_autoptr(Session) kept = session_ref(session);
        g_autoptr(Commit) commit = commit_new(session->container, NULL);

        commit_set_session(commit, session);
        commit_set_remove_session(commit);
        if (!commit_apply(commit, error))
                return false;
        disarm(session);
        attachments_session_ended(engine, session);
        g_clear_pointer(&session->descriptors, session_descriptors_free);
        session_remove_directory(engine, session);
        if (!g_queue_is_empty(&session->waits)) {
                g_autofree char *title = session_title(session);
                g_autoptr(GError) gone = g_error_new(CONBUS_ERROR, CONBUS_ERROR_REMOVED, "%s has been removed and was never started", title);
                answer_all(session, gone);
        }
        if (engine->busy_changed)
                engine->busy_changed(engine->busy_userdata);
        return true;
}

static int on_removal(sd_event_source *source, guint64 usec, void *userdata);

static void arm(Engine *engine, Session *session, guint64 usec) {
        struct SessionRemoval *removal = g_new0(struct SessionRemoval, 1);

        disarm(session);
        *removal = (struct SessionRemoval) {.engine = engine, .session = session};
        int r = sd_event_add_time(engine->event, &removal->timer, CLOCK_BOOTTIME, clock_boottime_in(usec), CLAMP(usec / 100, 1, G_USEC_PER_SEC / 4), on_removal, removal);
        g_assert(r >= 0);
        session->removal = removal;
        engine->n_sessions_leaving++;
}

/* A client that reads slowly is found again after a restart by what lies in the directory. */
static int on_removal(sd_event_source *source, guint64 usec, void *userdata) {
        struct SessionRemoval *removal = userdata;
        Engine *engine = removal->engine;
        Session *session = removal->session;
        g_autoptr(GError) error = NULL;

        if (attachments_session_has(engine, session))
                arm(engine, session, engine->settings.process_keep_usec);
        else if (!discard(engine, session, &error)) {
                log_warning("remove an exec session: %s", error->message);
                arm(engine, session, STORE_RETRY_USEC);
        }
        return 0;
}

static void arm_removal(Engine *engine, Session *session) {
        guint64 keep = engine->settings.process_keep_usec, now = clock_realtime_usec(), since = now > session->life.finish_usec ? now - session->life.finish_usec : 0;

        if (session_goes_by_itself(session) && keep != UINT64_MAX)
                arm(engine, session, keep > since ? keep - since : 0);
}

void session_has_ended(Engine *engine, Session *session) {
        arm_removal(engine, session);
        answer_all(session, NULL);
}

bool session_remove(Engine *engine, Session *session, GError **error) {
        g_autofree char *title = session_title(session);

        if (session->removed)
                return error_set(error, CONBUS_ERROR_REMOVED, "remove %s: it has been removed", title);
        if (session->life.launching)
                return error_set(error, CONBUS_ERROR_INVALID_STATE, "remove %s: it is being started; possible once its start has been answered", title);
        if (session->life.state == SESSION_RUNNING)
                return error_set(error, CONBUS_ERROR_INVALID_STATE, "remove %s: it is running; possible when it is created or stopped, or with force", title);
        return discard(engine, session, error);
}

bool sessions_remove_all(Engine *engine, Container *container, GError **error) {
        while (container->sessions->len > 0)
                if (!discard(engine, container->sessions->pdata[0], error))
                        return false;
        return true;
}

/* --- signals --- */

static bool check_running(const Session *session, const char *what, GError **error) {
        g_autofree char *title = session_title(session);

        if (session->life.state == SESSION_RUNNING)
                return true;
        return error_set(error, CONBUS_ERROR_INVALID_STATE, "%s %s: it is %s; possible when it is running", what, title, session_state_to_string(session->life.state));
}

bool session_kill(Session *session, int signal, GError **error) {
        if (signal < 1 || signal > 64)
                return error_set(error, CONBUS_ERROR_INVALID_ARGS, "signal %d does not exist; signals go from 1 to 64", signal);
        return check_running(session, "kill", error) && pidref_signal(&session->main, signal, NULL, error);
}

bool session_stop(Engine *engine, Session *session, guint64 grace_usec, GError **error) {
        if (session->life.state == SESSION_STOPPED)
                return true;
        if (!check_running(session, "stop", error) || (grace_usec > 0 && !pidref_signal(&session->main, SIGTERM, NULL, error)))
                return false;
        if (session->watch)
                session_watch_kill_at(session, grace_usec == UINT64_MAX ? UINT64_MAX : clock_boottime_in(grace_usec));
        return true;
}

/* --- with the run --- */

void sessions_await_ends(Operation *operation) {
        Container *container = operation->container;

        for (guint i = 0; i < container->sessions->len; i++) {
                Session *session = container->sessions->pdata[i];
                if (!session->watch)
                        continue;
                session_watch_kill(session);
                operation_then(operation, sessions_await_ends);
                session_watch_await(session, operation);
                return;
        }
        operation_continue(operation);
}

/* --- with a client --- */

static bool lives_with_client(const Session *session) {
        return g_str_equal(config_string(session->request, "lifetime", "detached"), "client");
}

/* What was made to be started by a client that has gone is of no use to anybody. */
static void client_of_session_left(Engine *engine, Session *session) {
        g_autoptr(GError) error = NULL;
        bool waits = session->life.state == SESSION_CREATED && !session->life.launching && (session_goes_by_itself(session) || lives_with_client(session));

        if (waits ? !discard(engine, session, &error) : lives_with_client(session) && session->life.state == SESSION_RUNNING && !session_stop(engine, session, container_stop_timeout(session->container), &error))
                log_warning("end what has lost its client: %s", error->message);
}

void sessions_client_left(Engine *engine, const char *bus_name) {
        g_autoptr(GPtrArray) containers = registry_count_sessions(engine->registry) > 0 ? registry_list(engine->registry) : g_ptr_array_new();

        for (guint i = 0; i < containers->len; i++) {
                GPtrArray *sessions = ((Container *) containers->pdata[i])->sessions;
                for (guint j = sessions->len; j > 0; j--)
                        if (g_str_equal(((Session *) sessions->pdata[j - 1])->client, bus_name))
                                client_of_session_left(engine, sessions->pdata[j - 1]);
        }
}

GPtrArray *sessions_list_clients(Engine *engine) {
        g_autoptr(GPtrArray) containers = registry_list(engine->registry);
        GPtrArray *names = g_ptr_array_new_with_free_func(g_free);

        for (guint i = 0; i < containers->len; i++) {
                GPtrArray *sessions = ((Container *) containers->pdata[i])->sessions;
                for (guint j = 0; j < sessions->len; j++) {
                        const Session *session = sessions->pdata[j];
                        if (*session->client && session->life.state != SESSION_STOPPED && !g_ptr_array_find_with_equal_func(names, session->client, g_str_equal, NULL))
                                g_ptr_array_add(names, g_strdup(session->client));
                }
        }
        return names;
}

/* --- after a restart --- */

static void adopt_one(Engine *engine, Session *session) {
        SessionLife *life = &session->life;

        if (life->state == SESSION_STOPPED)
                arm_removal(engine, session);
        if (life->state == SESSION_STOPPED || (life->state == SESSION_CREATED && !life->launching)) {
                attachments_session_adopt(engine, session);
                return;
        }
        if (!pidref_find(life->monitor.pid, life->monitor.start_time, &session->monitor))
                session->monitor = PIDREF_NULL;
        if (life->state == SESSION_RUNNING && !pidref_find(life->main.pid, life->main.start_time, &session->main))
                session->main = (PidRef) {.pid = life->main.pid, .fd = -1};
        attachments_session_adopt(engine, session);
        session_watch_begin(engine, session, NULL);
}

bool sessions_adopt(Engine *engine, Container *container, bool same_boot, GError **error) {
        if (!same_boot)
                return sessions_remove_all(engine, container, error);
        for (guint i = 0; i < container->sessions->len; i++)
                adopt_one(engine, container->sessions->pdata[i]);
        return true;
}

void sessions_forget(Container *container) {
        for (guint i = 0; i < container->sessions->len; i++) {
                Session *session = container->sessions->pdata[i];
                disarm(session);
                g_clear_pointer(&session->watch, session_watch_free);
                g_clear_pointer(&session->descriptors, session_descriptors_free);
                while (!g_queue_is_empty(&session->waits))
                        wait_free(g_queue_peek_head(&session->waits));
        }
}
