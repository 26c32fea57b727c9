/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The streams of exec sessions. Whoever attaches before the start waits here with its end of the socket, in which input may gather; its connection counts as made. At the start all of them are connected before anything executes, and see the first byte.
 * Who comes while it is being started is connected as soon as conmon can be, and told so then.
 * A session keeps no log: who comes later sees what is written from then on. So it is the process that waits for a client which reads slowly, as it would for a pipe, and not the client that is dropped; but nobody is waited for once it has ended. An explicit end of the input is always the end of the process's; leaving never is. */

#include "operation/attachments-internal.h"
#include "base/log.h"

static RunStreams *find_streams(Engine *engine, const Session *session) {
        for (GList *link = engine->attachments->runs.head; link; link = link->next)
                if (((RunStreams *) link->data)->session == session)
                        return link->data;
        return NULL;
}

static bool start_streamer(RunStreams *streams, GError **error) {
        Engine *engine = streams->engine;
        Session *session = streams->session;
        g_autofree char *directory = paths_session(engine->paths, session->number);
        const StreamerSource source = {.directory = directory,
                                       .group_id = session->container->id,
                                       .slice = config_string(session->container->config, "slice", engine->settings.slice),
                                       .monitor = &session->monitor,
                                       .log_start = session->life.launching ? "0:0" : NULL,
                                       .stdin_once = !session_has_terminal(session),
                                       .patient = true};

        streams->ready = false;
        streams->streamer = streamer_start(engine->event, engine->reaper, engine->paths, engine->units, &source, &attachments_streamer_events, streams, error);
        if (streams->streamer && session->life.state == SESSION_RUNNING)
                streamer_set_process(streams->streamer, session->main.fd);
        return streams->streamer != NULL;
}

static bool check(const Attachment *attachment, GError **error) {
        const Session *session = attachment->session;
        g_autofree char *title = session_title(session);

        if (session->removed)
                return error_set(error, CONBUS_ERROR_REMOVED, "attach to %s: it has been removed", title);
        if (config_bool(session->request, "own-stdio", false))
                return error_set(error, CONBUS_ERROR_NOT_ATTACHABLE, "attach to %s: it has the descriptors of its caller", title);
        if (!attachment->plan.follow || !g_str_equal(attachment->plan.from, "now"))
                return error_set(error, CONBUS_ERROR_NO_LOGS, "attach to %s: a process keeps no log; from can be now alone, with follow", title);
        if (session->life.state == SESSION_STOPPED)
                return error_set(error, CONBUS_ERROR_INVALID_STATE, "attach to %s: it is stopped; possible when it is created or running", title);
        if (session->life.state == SESSION_RUNNING && !pidref_is_set(&session->monitor))
                return error_set(error, CONBUS_ERROR_MONITOR_LOST, "attach to %s: its conmon died, and its streams with it", title);
        if (attachment->plan.is_writer && (session->life.launching || session->life.state == SESSION_RUNNING) && !session_has_input(session))
                return error_set(error, CONBUS_ERROR_NOT_ATTACHABLE, "attach to %s: it was made without stdin-open, and nobody who writes was there when it was started, so that it has no standard input", title);
        if (attachment->plan.rows > 0 && !session_has_terminal(session))
                return error_set(error, CONBUS_ERROR_NO_TERMINAL, "attach to %s: it was made without a terminal, so that it has no size", title);
        return true;
}

static bool send_size(Attachment *attachment, GError **error) {
        const AttachPlan *plan = &attachment->plan;

        return plan->rows == 0 || attachments_resize_session(attachment->engine, attachment->session, plan->rows, plan->columns, error);
}

bool attachment_connect_to_session(Attachment *attachment, GError **error) {
        Session *session = attachment->session;
        RunStreams *streams = find_streams(attachment->engine, session);

        if (!check(attachment, error))
                return false;
        if (!streams)
                streams = run_streams_new(attachment->engine, attachment->container, session, attachment->container->life.run);
        attachment_join(attachment, streams);
        if (session->life.state == SESSION_CREATED && !streams->streamer) {
                attachment->early = true;
                if (!session->life.launching) /* else conmon may not wait for it: it is connected when it is */
                        attachment_succeed_later(attachment);
                return true;
        }
        if (!send_size(attachment, error) || (!streams->streamer && !start_streamer(streams, error)))
                return false;
        attachment_send(attachment);
        return true;
}

void session_streams_settle(RunStreams *streams) {
        SessionConnected settled = streams->settled;

        if (!settled || !streams->ready || streams->n_adding > 0)
                return;
        streams->settled = NULL;
        settled(streams->settled_userdata);
}

static GError *not_started(const Session *session) {
        g_autofree char *title = session_title(session);

        return g_error_new(CONBUS_ERROR, CONBUS_ERROR_INVALID_STATE, "attach to %s: it has ended before it could be attached to", title);
}

static void end_all(RunStreams *streams, const GError *error) {
        Attachment *attachment;

        while ((attachment = g_queue_peek_head(&streams->attachments)))
                if (attachment->connected)
                        attachment_fail_later(attachment, error ? g_error_copy(error) : not_started(streams->session));
                else
                        attachment_end(attachment, error ? NULL : run_streams_result(streams, "exited"), error);
}

/* Those that wait for the session's streams, now that it has some. */
static void connect_early(RunStreams *streams) {
        g_autoptr(GError) error = NULL;

        if (!streams->streamer && !start_streamer(streams, &error)) {
                end_all(streams, error);
                streams->ready = true;
                return;
        }
        for (GList *link = streams->attachments.head; link; link = link->next) {
                Attachment *attachment = link->data;
                g_autoptr(GError) size_error = NULL;
                if (!attachment->early)
                        continue;
                if (!send_size(attachment, &size_error))
                        log_debug("%s", size_error->message);
                attachment->adding = true;
                streams->n_adding++;
                attachment_send(attachment);
        }
}

bool attachments_session_has(Engine *engine, const Session *session) {
        const RunStreams *streams = find_streams(engine, session);

        return streams && !g_queue_is_empty(&((RunStreams *) streams)->attachments);
}

bool attachments_session_wants_input(Engine *engine, const Session *session) {
        const RunStreams *streams = find_streams(engine, session);

        for (const GList *link = streams ? streams->attachments.head : NULL; link; link = link->next)
                if (((const Attachment *) link->data)->plan.streams & STREAM_MASK(STREAM_STDIN))
                        return true;
        return false;
}

void attachments_session_size(Engine *engine, const Session *session, guint16 *ret_rows, guint16 *ret_columns) {
        const RunStreams *streams = find_streams(engine, session);

        for (const GList *link = streams ? streams->attachments.head : NULL; link; link = link->next) {
                const AttachPlan *plan = &((const Attachment *) link->data)->plan;
                if (plan->rows > 0) {
                        *ret_rows = plan->rows;
                        *ret_columns = plan->columns;
                }
        }
}

void attachments_session_connect(Engine *engine, Session *session, SessionConnected settled, void *userdata) {
        RunStreams *streams = find_streams(engine, session);

        if (!streams) {
                settled(userdata);
                return;
        }
        streams->settled = settled;
        streams->settled_userdata = userdata;
        connect_early(streams);
        session_streams_settle(streams);
}

void attachments_session_running(Engine *engine, Session *session) {
        RunStreams *streams = find_streams(engine, session);

        if (!streams)
                return;
        streams->settled = NULL;
        if (streams->streamer)
                streamer_set_process(streams->streamer, session->main.fd);
        else if (!g_queue_is_empty(&streams->attachments))
                connect_early(streams);
}

void attachments_session_ended(Engine *engine, Session *session) {
        RunStreams *streams = find_streams(engine, session);
        g_autofree char *path = session_path(session);

        g_hash_table_remove(engine->attachments->terminals, path);
        if (!streams || streams->over)
                return;
        streams->over = true;
        streams->settled = NULL;
        streams->exit_code = session->life.exit_code;
        if (streams->streamer) {
                streamer_end_run(streams->streamer, session->life.run, streams->exit_code);
                return;
        }
        end_all(streams, NULL);
        run_streams_free(streams);
}

void attachments_session_lost(Engine *engine, Session *session) {
        RunStreams *streams = find_streams(engine, session);

        if (!streams || streams->over || !streams->streamer)
                return;
        streams->over = true;
        streamer_lose(streams->streamer);
}

void attachments_session_adopt(Engine *engine, Session *session) {
        g_autofree char *directory = paths_session(engine->paths, session->number);
        RunStreams *streams = run_streams_new(engine, session->container, session, session->life.run);

        streams->streamer = streamer_find(engine->event, engine->units, session->container->id, directory, &attachments_streamer_events, streams);
        if (!streams->streamer)
                run_streams_free(streams);
        else if (session->life.state == SESSION_STOPPED)
                attachments_session_ended(engine, session);
        else if (!pidref_is_set(&session->monitor) && session->main.fd >= 0)
                attachments_session_lost(engine, session);
}
