/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The streams of one run are served by one conbus-stream. It is started with the first attachment, if that comes before the run has begun then before crun start, so that it sees the first byte; it is told of the end once the run's record is there.
 * It outlives the service: its socket lies in the run's directory, and what it tells at a new connection (its clients, each with the tag that was given for it) is all that is needed to know them again.
 * An exec session has streams of the same kind (session-streams.c).
 * A client that only reads what a log holds, while no run is there, gets a streamer of its own without a conmon. */

#include "operation/attachments-internal.h"
#include "base/log.h"
#include <stdio.h>
#include <sys/random.h>

/* --- attachments --- */

Attachment *attachment_new(Engine *engine, Container *container, Session *session, AttachPlan *plan, GVariant *tag, int fd, int cancel_fd) {
        Attachment *attachment = g_new0(Attachment, 1);

        *attachment = (Attachment) {.engine = engine, .container = container_ref(container), .session = session ? session_ref(session) : NULL, .plan = *plan, .tag = g_variant_ref_sink(tag), .fd = fd, .cancel_fd = cancel_fd};
        *plan = (AttachPlan) {0};
        if (getrandom(&attachment->id, sizeof attachment->id, 0) != sizeof attachment->id)
                g_error("getrandom(2) gave no bytes");
        return attachment;
}

/* The start of its session waits for it no longer. */
static void stop_adding(Attachment *attachment) {
        if (attachment->adding)
                attachment->streams->n_adding--;
        attachment->adding = attachment->early = false;
}

static void leave_streams(Attachment *attachment) {
        RunStreams *streams = attachment->streams;

        if (!streams)
                return;
        stop_adding(attachment);
        g_queue_remove(&streams->attachments, attachment);
        attachment->streams = NULL;
        session_streams_settle(streams);
}

void attachment_free(Attachment *attachment) {
        if (!attachment)
                return;
        leave_streams(attachment);
        g_clear_pointer(&attachment->defer, sd_event_source_disable_unref);
        g_clear_error(&attachment->failure);
        attach_plan_clear(&attachment->plan);
        g_variant_unref(attachment->tag);
        close_fd(attachment->fd);
        close_fd(attachment->cancel_fd);
        session_unref(attachment->session);
        container_unref(attachment->container);
        g_free(attachment);
}

void attachment_on_end(Attachment *attachment, AttachmentEnded ended, void *userdata) {
        attachment->ended = ended;
        attachment->ended_userdata = userdata;
}

Session *attachment_session(const Attachment *attachment) {
        return attachment->session;
}

guint64 attachment_bytes_in(const Attachment *attachment) {
        return attachment->bytes_in;
}

guint64 attachment_bytes_out(const Attachment *attachment) {
        return attachment->bytes_out;
}

/* The attachment belongs to whoever hears of the failure. */
static void tell_connected(Attachment *attachment, const GError *error) {
        AttachmentConnected connected = attachment->connected;

        attachment->connected = NULL;
        if (error)
                leave_streams(attachment);
        if (connected)
                connected(attachment, error, attachment->connected_userdata);
}

static int on_told(sd_event_source *source, void *userdata) {
        Attachment *attachment = userdata;
        g_autoptr(GError) failure = g_steal_pointer(&attachment->failure);

        g_clear_pointer(&attachment->defer, sd_event_source_disable_unref);
        if (attachment->connected || !failure)
                tell_connected(attachment, failure);
        else
                attachment_end(attachment, NULL, failure);
        return 0;
}

void attachment_succeed_later(Attachment *attachment) {
        int r = sd_event_add_defer(attachment->engine->event, &attachment->defer, on_told, attachment);

        g_assert(r >= 0);
}

void attachment_fail_later(Attachment *attachment, GError *error) {
        leave_streams(attachment);
        if (attachment->failure) {
                g_error_free(error);
                return;
        }
        attachment->failure = error;
        if (!attachment->defer)
                attachment_succeed_later(attachment);
}

void attachment_end(Attachment *attachment, GVariant *result, const GError *error) {
        g_autoptr(GVariant) sunk = result ? g_variant_ref_sink(result) : NULL;

        leave_streams(attachment);
        if (attachment->ended)
                attachment->ended(attachment, sunk, error, attachment->ended_userdata);
        attachment_free(attachment);
}

void attachment_cancel(Attachment *attachment) {
        attachment->cancelled = true;
        if (attachment->streams && attachment->streams->streamer)
                streamer_remove(attachment->streams->streamer, attachment->id);
        if (attachment->connected || (attachment->streams && !attachment->streams->streamer))
                attachment_fail_later(attachment, g_error_new(CONBUS_ERROR, CONBUS_ERROR_CANCELLED, "attach to %s: cancelled before the client was connected", container_title(attachment->container)));
}

/* --- streams of runs --- */

static char *directory_of(Engine *engine, Container *container, guint64 run) {
        char number[32];

        snprintf(number, sizeof number, "%" G_GUINT64_FORMAT, run);
        return paths_run_of(engine->paths, container->id, number);
}

RunStreams *run_streams_new(Engine *engine, Container *container, Session *session, guint64 run) {
        RunStreams *streams = g_new0(RunStreams, 1);

        *streams = (RunStreams) {.engine = engine, .container = container_ref(container), .session = session ? session_ref(session) : NULL, .run = run, .exit_code = -1, .connections = {-1, -1}, .waiting = g_ptr_array_new()};
        g_queue_push_tail(&engine->attachments->runs, streams);
        return streams;
}

void run_streams_let_go(RunStreams *streams) {
        GPtrArray *waiting = g_steal_pointer(&streams->waiting);

        streams->waiting = g_ptr_array_new();
        for (guint i = 0; i < waiting->len; i++) {
                operation_continue(waiting->pdata[i]);
                operation_unref(waiting->pdata[i]);
        }
        g_ptr_array_unref(waiting);
}

void run_streams_free(RunStreams *streams) {
        Attachment *attachment;

        g_queue_remove(&streams->engine->attachments->runs, streams);
        while ((attachment = g_queue_pop_head(&streams->attachments)))
                attachment->streams = NULL;
        for (guint i = 0; i < streams->waiting->len; i++)
                operation_unref(streams->waiting->pdata[i]);
        g_ptr_array_unref(streams->waiting);
        streamer_free(streams->streamer);
        for (unsigned i = 0; i < G_N_ELEMENTS(streams->connections); i++)
                close_fd(streams->connections[i]);
        session_unref(streams->session);
        container_unref(streams->container);
        g_free(streams);
}

static RunStreams *find_streams(Engine *engine, Container *container, guint64 run) {
        for (GList *link = engine->attachments->runs.head; link; link = link->next) {
                RunStreams *streams = link->data;
                if (streams->container == container && !streams->session && streams->run == run && run != 0)
                        return streams;
        }
        return NULL;
}

static const char *driver_of(Container *container) {
        return config_string(container->config, "log-driver", "k8s-file");
}

/* "" when nobody knows: the log could not be opened when the run began. */
static char *log_start_of(Engine *engine, Container *container) {
        g_autoptr(Run) record = NULL;
        g_autoptr(GError) error = NULL;

        if (container->life.run == 0)
                return g_strdup("0:0");
        if (!store_get_run(engine->store, container->id, container->life.run, &record, &error))
                log_warning("%s: %s", container_title(container), error->message);
        return g_strdup(record ? record->log_cursor : "");
}

static bool start_streamer(RunStreams *streams, GError **error) {
        Engine *engine = streams->engine;
        Container *container = streams->container;
        g_autofree char *directory = streams->run ? directory_of(engine, container, streams->run) : g_strdup(engine->paths->run);
        g_autofree char *log = g_str_equal(driver_of(container), "k8s-file") ? paths_state_of(engine->paths, container->id, "log") : NULL, *start = log_start_of(engine, container);
        const StreamerSource source = {.directory = directory,
                                       .group_id = container->id,
                                       .slice = config_string(container->config, "slice", engine->settings.slice),
                                       .monitor = streams->run ? &container->monitor : NULL,
                                       .log = log,
                                       .journal = g_str_equal(driver_of(container), "journald"),
                                       .log_start = streams->run && container->life.state == STATE_INITIALIZED ? start : NULL,
                                       .stdin_once = config_bool(container->config, "stdin-once", false)};

        streams->ready = false;
        streams->streamer = streamer_start(engine->event, engine->reaper, engine->paths, engine->units, &source, &attachments_streamer_events, streams, error);
        return streams->streamer != NULL;
}

/* A streamer for the run that is there, or one of its own for a client that only reads the log. */
static RunStreams *streams_for(Engine *engine, Container *container, bool needs_conmon, GError **error) {
        guint64 run = needs_conmon || (state_is_active(container->life.state) && pidref_is_set(&container->monitor)) ? container->life.run : 0;
        RunStreams *streams = find_streams(engine, container, run);

        if (!streams)
                streams = run_streams_new(engine, container, NULL, run);
        if (streams->streamer || start_streamer(streams, error))
                return streams;
        if (streams->connections[0] < 0)
                run_streams_free(streams);
        return NULL;
}

static GVariant *fields_of(Attachment *attachment) {
        const AttachPlan *plan = &attachment->plan;
        g_autofree char *start = attachment->session ? g_strdup("0:0") : log_start_of(attachment->engine, attachment->container);
        GVariantDict fields;

        g_variant_dict_init(&fields, NULL);
        g_variant_dict_insert(&fields, "id", "t", attachment->id);
        g_variant_dict_insert_value(&fields, "tag", attachment->tag);
        g_variant_dict_insert(&fields, "streams", "u", (guint32) plan->streams);
        g_variant_dict_insert(&fields, "framing", "s", framing_to_string(plan->framing));
        g_variant_dict_insert(&fields, "detach-keys", "s", plan->detach_keys);
        g_variant_dict_insert(&fields, "from", "s", plan->from);
        g_variant_dict_insert(&fields, "run-start", "s", start);
        g_variant_dict_insert(&fields, "follow", "b", (gboolean) plan->follow);
        g_variant_dict_insert(&fields, "records", "b", (gboolean) plan->records);
        g_variant_dict_insert(&fields, "writer", "b", (gboolean) plan->is_writer);
        g_variant_dict_insert(&fields, "ends-input", "b", (gboolean) plan->ends_input);
        if (plan->head)
                g_variant_dict_insert_value(&fields, "head", plan->head);
        if (plan->ahead)
                g_variant_dict_insert_value(&fields, "ahead", plan->ahead);
        return g_variant_dict_end(&fields);
}

void attachment_join(Attachment *attachment, RunStreams *streams) {
        attachment->streams = streams;
        g_queue_push_tail(&streams->attachments, attachment);
}

void attachment_send(Attachment *attachment) {
        streamer_add(attachment->streams->streamer, fields_of(attachment), attachment->fd, attachment->cancel_fd);
}

/* --- connecting --- */

static bool check_state(Attachment *attachment, GError **error) {
        Container *container = attachment->container;
        State state = container->life.state;
        const char *title = container_title(container);

        if (container->removed || state == STATE_REMOVING)
                return error_set(error, CONBUS_ERROR_REMOVED, "attach to %s: it is being removed", title);
        if (!attachment->plan.follow)
                return g_str_equal(driver_of(container), "k8s-file") || g_str_equal(driver_of(container), "journald") ||
                       error_set(error, CONBUS_ERROR_NO_LOGS, "attach to %s: the log driver %s keeps no log that can be read", title, driver_of(container));
        if (g_str_equal(driver_of(container), "passthrough"))
                return error_set(error, CONBUS_ERROR_NOT_ATTACHABLE, "attach to %s: its log driver is passthrough, so that it has its streams for itself", title);
        if (state == STATE_UNKNOWN)
                return error_set(error, CONBUS_ERROR_INVALID_STATE, "attach to %s: it is unknown; possible when it is initialized, running, paused or stopping", title);
        if (!state_is_active(state))
                return error_set(error, CONBUS_ERROR_NOT_RUNNING, "attach to %s: it is %s", title, state_to_string(state));
        if (!pidref_is_set(&container->monitor))
                return error_set(error, CONBUS_ERROR_MONITOR_LOST, "attach to %s: its conmon died, and its streams with it", title);
        return true;
}

static bool connect_attachment(Attachment *attachment, GError **error) {
        const AttachPlan *plan = &attachment->plan;

        if (attachment->session)
                return attachment_connect_to_session(attachment, error);
        if (!check_state(attachment, error))
                return false;
        if (plan->rows > 0 && !attachments_resize(attachment->engine, attachment->container, plan->rows, plan->columns, error))
                return false;
        RunStreams *streams = streams_for(attachment->engine, attachment->container, plan->follow, error);
        if (!streams)
                return false;
        attachment_join(attachment, streams);
        attachment_send(attachment);
        return true;
}

void attachment_connect(Attachment *attachment, AttachmentConnected connected, void *userdata) {
        GError *error = NULL;

        attachment->connected = connected;
        attachment->connected_userdata = userdata;
        if (!connect_attachment(attachment, &error))
                attachment_fail_later(attachment, error);
}

/* --- what the streamer says --- */

static Attachment *find_attachment(RunStreams *streams, guint64 id) {
        for (GList *link = streams->attachments.head; link; link = link->next)
                if (((Attachment *) link->data)->id == id)
                        return link->data;
        return NULL;
}

/* A streamer without a run has had its one client. */
static void free_if_alone(RunStreams *streams) {
        if (streams->run != 0 || !g_queue_is_empty(&streams->attachments))
                return;
        streamer_dismiss(g_steal_pointer(&streams->streamer));
        run_streams_free(streams);
}

static Attachment *adopt_attachment(RunStreams *streams, guint64 id, GVariant *tag) {
        struct Attachments *attachments = streams->engine->attachments;
        AttachPlan plan = {.follow = true};
        Attachment *attachment = attachment_new(streams->engine, streams->container, streams->session, &plan, tag, -1, -1);

        attachment->id = id;
        attachment_join(attachment, streams);
        if (attachments->adopted)
                attachments->adopted(streams->container, attachment, tag, attachments->userdata);
        return attachment;
}

static void on_ready(GVariant *clients, void *userdata) {
        RunStreams *streams = userdata;
        GVariantIter iter;
        GVariant *tag;
        guint64 id;

        streams->ready = true;
        g_variant_iter_init(&iter, clients);
        while (g_variant_iter_next(&iter, "(t@a{sv})", &id, &tag)) {
                g_autoptr(GVariant) owned = tag;
                if (!find_attachment(streams, id))
                        (void) adopt_attachment(streams, id, owned);
        }
        run_streams_let_go(streams);
        session_streams_settle(streams);
        adoption_look(streams->engine);
}

/* One that was there before its session has been told of its connection long ago. */
static void on_added(guint64 id, void *userdata) {
        RunStreams *streams = userdata;
        Attachment *attachment = find_attachment(streams, id);

        if (!attachment)
                return;
        attachment->fd = close_fd(attachment->fd);
        attachment->cancel_fd = close_fd(attachment->cancel_fd);
        stop_adding(attachment);
        tell_connected(attachment, NULL);
        session_streams_settle(streams);
}

static void on_refused(guint64 id, const GError *error, void *userdata) {
        RunStreams *streams = userdata;
        Attachment *attachment = find_attachment(streams, id);

        if (attachment)
                stop_adding(attachment);
        if (attachment && attachment->connected)
                tell_connected(attachment, error);
        else if (attachment)
                attachment_end(attachment, NULL, error);
        session_streams_settle(streams);
        free_if_alone(streams);
}

GVariant *run_streams_result(RunStreams *streams, const char *reason) {
        GVariantDict result;

        g_variant_dict_init(&result, NULL);
        g_variant_dict_insert(&result, "reason", "s", reason);
        g_variant_dict_insert(&result, "run", "t", streams->run ? streams->run : streams->container->life.run);
        g_variant_dict_insert(&result, "exit-code", "i", streams->run ? streams->exit_code : streams->container->life.exit_code);
        return g_variant_dict_end(&result);
}

static void on_gone(guint64 id, GVariant *report, void *userdata) {
        RunStreams *streams = userdata;
        Attachment *attachment = find_attachment(streams, id);
        const char *reason = NULL, *name = "", *message = "";

        /* Its end came while no service was there; those reports come before the word that makes the streamer ready. */
        if (!attachment && !streams->ready) {
                g_autoptr(GVariant) tag = g_variant_lookup_value(report, "tag", G_VARIANT_TYPE_VARDICT);
                attachment = tag ? adopt_attachment(streams, id, tag) : NULL;
        }
        if (!attachment) {
                free_if_alone(streams);
                return;
        }
        (void) g_variant_lookup(report, "bytes-in", "t", &attachment->bytes_in);
        (void) g_variant_lookup(report, "bytes-out", "t", &attachment->bytes_out);
        if (g_variant_lookup(report, "reason", "&s", &reason))
                attachment_end(attachment, run_streams_result(streams, reason), NULL);
        else {
                (void) g_variant_lookup(report, "error", "&s", &name);
                (void) g_variant_lookup(report, "message", "&s", &message);
                int code = error_code_from_name(name);
                g_autoptr(GError) error = g_error_new(CONBUS_ERROR, code < 0 ? CONBUS_ERROR_INTERNAL : code, "attach to %s: %s", container_title(streams->container), message);
                attachment_end(attachment, NULL, error);
        }
        free_if_alone(streams);
}

/* The streamer has ended. Whoever was attached has lost its streams; whoever it had not answered yet tries another one, once. */
static void lose_attachment(Attachment *attachment) {
        g_autoptr(GError) error = NULL;

        error_set(&error, CONBUS_ERROR_INTERRUPTED, "attach to %s: the process that served its streams has ended", container_title(attachment->container));
        if (!attachment->connected) {
                attachment_end(attachment, NULL, error);
                return;
        }
        leave_streams(attachment);
        if (!attachment->tried_again && !attachment->cancelled) {
                attachment->tried_again = true;
                g_clear_error(&error);
                if (connect_attachment(attachment, &error))
                        return;
        }
        attachment_fail_later(attachment, g_steal_pointer(&error));
}

static void on_closed(void *userdata) {
        RunStreams *streams = userdata;
        Engine *engine = streams->engine;
        g_autoptr(Container) container = container_ref(streams->container);
        bool keep = !streams->over && streams->run != 0 && (streams->session || (container->life.run == streams->run && container->life.run_open));
        GQueue lost = streams->attachments;

        g_queue_init(&streams->attachments);
        if (keep)
                streamer_take_connections(streams->streamer, streams->connections);
        g_clear_pointer(&streams->streamer, streamer_free);
        for (GList *link = lost.head; link; link = link->next) {
                Attachment *attachment = link->data;
                stop_adding(attachment);
                attachment->streams = NULL;
        }
        streams->ready = true;
        run_streams_let_go(streams);
        session_streams_settle(streams);
        if (!keep)
                run_streams_free(streams);
        Attachment *attachment;
        while ((attachment = g_queue_pop_head(&lost)))
                lose_attachment(attachment);
        adoption_look(engine);
}

const StreamerEvents attachments_streamer_events = {on_ready, on_added, on_refused, on_gone, on_closed};

/* --- what the runs say --- */

void attachments_settle(Operation *operation) {
        RunStreams *streams = find_streams(operation->engine, operation->container, operation->container->life.run);

        if (!streams || !streams->streamer || streams->ready) {
                operation_continue(operation);
                return;
        }
        g_ptr_array_add(streams->waiting, operation_ref(operation));
}

void attachments_run_ended(Engine *engine, Container *container) {
        RunStreams *streams = find_streams(engine, container, container->life.run);

        g_hash_table_remove(engine->attachments->terminals, container->id);
        if (!streams || streams->over)
                return;
        streams->over = true;
        streams->exit_code = container->life.exit_code;
        if (streams->streamer)
                streamer_end_run(streams->streamer, streams->run, streams->exit_code);
        else
                run_streams_free(streams);
}

void attachments_monitor_lost(Engine *engine, Container *container) {
        RunStreams *streams = find_streams(engine, container, container->life.run);

        if (!streams || streams->over)
                return;
        streams->over = true;
        if (streams->streamer)
                streamer_lose(streams->streamer);
        else
                run_streams_free(streams);
}

bool attachments_are_ready(const Engine *engine) {
        for (GList *link = engine->attachments->runs.head; link; link = link->next) {
                const RunStreams *streams = link->data;
                if (streams->streamer && !streams->ready)
                        return false;
        }
        return true;
}

void attachments_adopt(Engine *engine, Container *container) {
        g_autofree char *directory = directory_of(engine, container, container->life.run);

        if (container->life.run == 0)
                return;
        RunStreams *streams = run_streams_new(engine, container, NULL, container->life.run);
        streams->streamer = streamer_find(engine->event, engine->units, container->id, directory, &attachments_streamer_events, streams);
        if (!streams->streamer)
                run_streams_free(streams);
        else if (!container->life.run_open)
                attachments_run_ended(engine, container);
        else if (!container->life.supervised)
                attachments_monitor_lost(engine, container);
}

/* --- start and end --- */

struct Attachments *attachments_new(void) {
        struct Attachments *attachments = g_new0(struct Attachments, 1);

        attachments->terminals = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify) terminal_free);
        return attachments;
}

void attachments_free(struct Attachments *attachments) {
        RunStreams *streams;

        if (!attachments)
                return;
        while ((streams = g_queue_peek_head(&attachments->runs)))
                run_streams_free(streams);
        g_hash_table_unref(attachments->terminals);
        g_free(attachments);
}

void attachments_on_adopted(Engine *engine, AttachmentAdopted adopted, void *userdata) {
        engine->attachments->adopted = adopted;
        engine->attachments->userdata = userdata;
}
