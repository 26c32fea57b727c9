/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One control connection at a time; a report that cannot be delivered waits for the next one. It leaves when no client and no report is left, and the run's output has ended or conmon has gone; not before the service has said what it was started for. */

#include "stream/server.h"
#include "base/auto.h"
#include "base/clock.h"
#include "base/log.h"
#include "stream/channel.h"
#include "stream/client.h"
#include "stream/log-files.h"
#include "stream/protocol.h"
#include <string.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/socket.h>

struct Server {
        ClientHost host; /* what the clients see */
        int control_fd, directory_fd, monitor_fd, process_fd;
        sd_event_source *control_source, *monitor_source, *process_source, *log_source;
        Channel *channel;
        char *log, *journal; /* path; id: at most one of them */
        LogMarks *marks; /* NULL unless sees_all and there is a log */
        sd_event_source *rename_source, *count_source; /* of the log's directory; counts what was rotated */
        bool sees_all; /* the ring holds the run's output from its first byte on */
        bool monitor_gone, was_connected, was_told;
        GQueue clients; /* of Client */
        GQueue reports; /* of GVariant: `gone` that nobody has heard yet */
};

/* --- leaving --- */

static bool has_nothing_to_do(const Server *server) {
        bool over = server->host.run_ended || server->monitor_gone || source_has_ended(server->host.source);
        bool is_cut_off = server->control_fd < 0 && !server->channel; /* a connected pair that is closed: it brings no client and hears no report any more */

        if (server->clients.length > 0 || (server->reports.length > 0 && !is_cut_off) || (server->channel ? !server->was_told : !server->was_connected))
                return false;
        return over || is_cut_off;
}

static void leave_if_done(Server *server) {
        if (has_nothing_to_do(server))
                (void) sd_event_exit(server->host.event, EXIT_SUCCESS);
}

/* --- waiting for clients --- */

static bool is_held(const Server *server) {
        for (const GList *link = server->host.patient ? server->clients.head : NULL; link; link = link->next)
                if (client_lags(link->data))
                        return true;
        return false;
}

static void on_progressed(void *userdata) {
        Server *server = userdata;

        if (!is_held(server))
                source_go_on(server->host.source);
}

/* --- reports --- */

static void send_reports(Server *server) {
        GVariant *report;

        while (server->channel && (report = g_queue_pop_head(&server->reports))) {
                channel_send(server->channel, STREAM_GONE, report, NULL, 0);
                g_variant_unref(report);
        }
}

static void on_client_ended(Client *client, const ClientEnd *end, void *userdata) {
        Server *server = userdata;
        GVariantDict report;

        g_variant_dict_init(&report, NULL);
        g_variant_dict_insert(&report, "id", "t", client_id(client));
        g_variant_dict_insert_value(&report, "tag", client_tag(client));
        g_variant_dict_insert(&report, "bytes-in", "t", client_bytes_in(client));
        g_variant_dict_insert(&report, "bytes-out", "t", client_bytes_out(client));
        if (end->reason)
                g_variant_dict_insert(&report, "reason", "s", end->reason);
        else {
                const GError named = {.domain = CONBUS_ERROR, .code = (int) end->error};
                g_variant_dict_insert(&report, "error", "s", error_to_name(&named));
                g_variant_dict_insert(&report, "message", "s", end->message);
        }
        g_queue_remove(&server->clients, client);
        server->host.n_clients--;
        client_free(client);
        on_progressed(server);
        g_queue_push_tail(&server->reports, g_variant_ref_sink(g_variant_dict_end(&report)));
        send_reports(server);
        leave_if_done(server);
}

/* --- output and input --- */

typedef enum Pump { PUMP_OUTPUT, PUMP_INPUT, PUMP_RING } Pump;

/* Any of them may go meanwhile, but only the one that is pumped. */
static void pump_all(Server *server, Pump what) {
        guint64 tail = what == PUMP_RING ? ring_tail_after_reserve(source_ring(server->host.source)) : 0;

        for (GList *link = server->clients.head; link;) {
                Client *client = link->data;
                link = link->next;
                if (what == PUMP_RING)
                        client_lose_before(client, tail);
                else
                        (void) (what == PUMP_INPUT ? client_pump_input(client) : client_pump(client));
        }
}

static bool before_output(void *userdata) {
        Server *server = userdata;
        Ring *ring = source_ring(server->host.source);

        if (is_held(server))
                return false;
        if (ring_tail_after_reserve(ring) != ring_tail(ring))
                pump_all(server, PUMP_RING);
        return true;
}

static bool is_ring_needed(const Server *server) {
        for (const GList *link = server->clients.head; link; link = link->next)
                if (client_needs_ring(link->data))
                        return true;
        return false;
}

static void on_output(void *userdata) {
        Server *server = userdata;
        Ring *ring = source_ring(server->host.source);

        pump_all(server, PUMP_OUTPUT);
        if (ring && !is_ring_needed(server))
                ring_rewind(ring);
        leave_if_done(server);
}

/* The one that has begun comes first; after it nobody is left who waits for anything but room. */
static void on_writable(void *userdata) {
        Server *server = userdata;

        if (server->host.writer)
                (void) client_pump_input(server->host.writer);
        pump_all(server, PUMP_INPUT);
}

static int on_log(sd_event_source *source, const struct inotify_event *event, void *userdata) {
        Server *server = userdata;

        if (!(event->mask & IN_MODIFY))
                for (GList *link = server->clients.head; link; link = link->next)
                        client_notice_files(link->data);
        pump_all(server, PUMP_OUTPUT);
        return 0;
}

/* Where the ring's clients would go on: when nothing else is to be done. */
static int on_count(sd_event_source *source, void *userdata) {
        Server *server = userdata;

        if (!log_marks_count(server->marks))
                (void) sd_event_source_set_enabled(source, SD_EVENT_OFF);
        return 0;
}

static int on_renamed(sd_event_source *source, const struct inotify_event *event, void *userdata) {
        Server *server = userdata;

        log_marks_notice_files(server->marks);
        for (GList *link = server->clients.head; link; link = link->next)
                client_notice_files(link->data);
        (void) sd_event_source_set_enabled(server->count_source, SD_EVENT_ON);
        return 0;
}

static bool watch_renames(Server *server, GError **error) {
        g_autofree char *directory = g_path_get_dirname(server->log);
        int r = sd_event_add_inotify(server->host.event, &server->rename_source, directory, IN_CREATE | IN_MOVED_TO, on_renamed, server);

        if (r >= 0)
                r = sd_event_add_defer(server->host.event, &server->count_source, on_count, server);
        if (r >= 0)
                r = sd_event_source_set_priority(server->count_source, SD_EVENT_PRIORITY_IDLE);
        if (r >= 0)
                r = sd_event_source_set_enabled(server->count_source, SD_EVENT_OFF);
        return r >= 0 || error_errno(error, -r, "watch the log");
}

static bool watch_log(Server *server, GError **error) {
        if (server->log_source)
                return true;
        g_autofree char *directory = g_path_get_dirname(server->log);
        int r = sd_event_add_inotify(server->host.event, &server->log_source, directory, IN_MODIFY | IN_CREATE | IN_MOVED_TO, on_log, server);
        return r >= 0 || error_errno(error, -r, "watch the log");
}

/* --- adding a client --- */

static Replay *open_files(Server *server, const LogFilter *filter, bool is_exact, GError **error) {
        LogReader *reader = log_reader_new(server->log, log_position_first(&filter->from), is_exact ? error : NULL);

        if (!reader && !is_exact)
                reader = log_reader_new(server->log, &(LogCursor) {0}, error); /* what is left of the run */
        if (!reader)
                return NULL;
        if (is_exact)
                log_reader_set_filter(reader, filter);
        return replay_of_files(reader);
}

/* What a run before has sent may be received when this one has begun: the times of sending count. */
static Replay *open_journal(Server *server, LogFilter *filter, bool is_run, GError **error) {
        if (is_run)
                filter->since_usec = log_position_first(&filter->from)->offset;
        LogJournal *journal = log_journal_open(NULL, server->journal, log_position_first(&filter->from), filter, error);
        return journal ? replay_of_journal(journal) : NULL;
}

static bool find_start(Server *server, const char *from, const char *run_start, LogPosition *ret, GError **error) {
        LogCursor end = log_journal_cursor_at(clock_realtime_usec());

        *ret = (LogPosition) {0};
        if (g_str_equal(from, "log-start"))
                return true;
        if (g_str_equal(from, "now") && server->log && !log_files_end(server->log, &end, error))
                return false;
        if (g_str_equal(from, "now")) {
                *ret = log_position_at(&end);
                return true;
        }
        if (!g_str_equal(from, "run-start"))
                return log_position_parse(from, ret, error);
        return *run_start ? log_position_parse(run_start, ret, error) : error_set(error, CONBUS_ERROR_NO_LOGS, "nobody knows where in the log the run begins; log-start and cursors lead into it");
}

static Replay *open_log(Server *server, const ClientPlan *plan, const char *from, const char *run_start, GError **error) {
        LogFilter filter = {.streams = STREAM_MASK(STREAM_STDOUT) | STREAM_MASK(STREAM_STDERR), .until_usec = UINT64_MAX};
        bool is_run = g_str_equal(from, "run-start");

        if (!find_start(server, from, run_start, &filter.from, error))
                return NULL;
        if (server->journal && !plan->follow)
                filter.until_usec = clock_realtime_usec();
        return server->journal ? open_journal(server, &filter, is_run, error) : open_files(server, &filter, !is_run, error);
}

/* Where its output comes from: the ring for what is live, the log for what was, and for what is live too when the ring does not know where in the log it stands. */
static bool choose_output(Server *server, GVariant *fields, ClientPlan *plan, GError **error) {
        const char *from = "now", *run_start = "0:0";
        gboolean records = FALSE;

        (void) g_variant_lookup(fields, "from", "&s", &from);
        (void) g_variant_lookup(fields, "run-start", "&s", &run_start);
        (void) g_variant_lookup(fields, "records", "b", &records);
        bool now = g_str_equal(from, "now"), ring = !server->log || (server->sees_all && (now || !*run_start));
        if (!(plan->streams & (STREAM_MASK(STREAM_STDOUT) | STREAM_MASK(STREAM_STDERR))))
                return true;
        if (ring && plan->follow && (now || (g_str_equal(from, "run-start") && server->sees_all))) {
                if (!source_open_output(server->host.source, error))
                        return false;
                plan->position = now ? ring_head(source_ring(server->host.source)) : 0;
                if (plan->position >= ring_tail(source_ring(server->host.source)))
                        return true;
        }
        if (!server->log && !server->journal)
                return error_set(error, CONBUS_ERROR_NO_LOGS, "the container's log driver keeps no log that can be read");
        plan->log = open_log(server, plan, from, run_start, error);
        if (!plan->log || (server->log && !(plan->follow ? watch_log(server, error) : replay_end_here(plan->log, error))))
                return false;
        if (records)
                replay_keep_records(plan->log);
        return true;
}

static bool read_plan(Server *server, GVariant *fields, ClientPlan *plan, GError **error) {
        const char *framing = "", *keys = "";
        gboolean follow = TRUE, ends_input = FALSE, is_writer = FALSE;
        guint32 streams = 0;

        (void) g_variant_lookup(fields, "streams", "u", &streams);
        (void) g_variant_lookup(fields, "framing", "&s", &framing);
        (void) g_variant_lookup(fields, "detach-keys", "&s", &keys);
        (void) g_variant_lookup(fields, "follow", "b", &follow);
        (void) g_variant_lookup(fields, "ends-input", "b", &ends_input);
        (void) g_variant_lookup(fields, "writer", "b", &is_writer);
        plan->tag = g_variant_lookup_value(fields, "tag", G_VARIANT_TYPE_VARDICT);
        plan->head = g_variant_lookup_value(fields, "head", G_VARIANT_TYPE_BYTESTRING);
        plan->ahead = g_variant_lookup_value(fields, "ahead", G_VARIANT_TYPE_BYTESTRING);
        plan->streams = follow ? streams : streams & ~STREAM_MASK(STREAM_STDIN);
        plan->follow = follow;
        plan->ends_input = ends_input;
        plan->is_writer = is_writer;
        if (!framing_from_string(framing, &plan->framing) || !plan->tag)
                return error_set(error, CONBUS_ERROR_INTERNAL, "an attachment without framing or tag");
        if (!detach_keys_parse(keys, &plan->detach_keys, error))
                return false;
        if ((plan->streams & STREAM_MASK(STREAM_STDIN)) && !server->host.run_ended && !source_open_input(server->host.source, error))
                return false;
        return choose_output(server, fields, plan, error);
}

static void plan_clear(ClientPlan *plan) {
        g_clear_pointer(&plan->tag, g_variant_unref);
        g_clear_pointer(&plan->head, g_variant_unref);
        g_clear_pointer(&plan->ahead, g_variant_unref);
}

static GVariant *id_fields(guint64 id, const GError *error) {
        GVariantDict fields;

        g_variant_dict_init(&fields, NULL);
        g_variant_dict_insert(&fields, "id", "t", id);
        if (error) {
                g_variant_dict_insert(&fields, "error", "s", error_to_name(error));
                g_variant_dict_insert(&fields, "message", "s", error->message);
        }
        return g_variant_dict_end(&fields);
}

static void say_hello(Server *server);

static void add_client(Server *server, guint64 id, GVariant *fields, int fds[CHANNEL_FDS_MAX]) {
        bool had_source = source_input_fd(server->host.source) >= 0 && source_output_fd(server->host.source) >= 0;
        ClientPlan plan = {.id = id};
        g_autoptr(GError) error = NULL;
        Client *client = NULL;

        if (read_plan(server, fields, &plan, &error)) {
                client = client_new(&server->host, &plan, steal_fd(&fds[0]), steal_fd(&fds[1]), &error);
                plan.log = NULL;
        }
        g_clear_pointer(&plan.log, replay_free);
        plan_clear(&plan);
        if (!client) {
                channel_send(server->channel, STREAM_REFUSED, id_fields(id, error), NULL, 0);
                return;
        }
        g_queue_push_tail(&server->clients, client);
        server->host.n_clients++;
        if (server->host.stdin_once && !had_source)
                say_hello(server);
        channel_send(server->channel, STREAM_ADDED, id_fields(id, NULL), NULL, 0);
        if (client_pump_input(client))
                (void) client_pump(client);
}

/* --- the control connection --- */

static void say_hello(Server *server) {
        const Source *source = server->host.source;
        GVariantBuilder list;
        GVariantDict fields;
        int fds[2];
        unsigned n = 0;

        g_variant_builder_init(&list, G_VARIANT_TYPE("a(ta{sv})"));
        for (GList *link = server->clients.head; link; link = link->next)
                g_variant_builder_add(&list, "(t@a{sv})", client_id(link->data), client_tag(link->data));
        g_variant_dict_init(&fields, NULL);
        g_variant_dict_insert_value(&fields, "clients", g_variant_builder_end(&list));
        g_variant_dict_insert(&fields, "pid", "u", (guint32) getpid());
        if (server->host.stdin_once && source_input_fd(source) >= 0)
                fds[n++] = source_input_fd(source);
        if (server->host.stdin_once && source_output_fd(source) >= 0)
                fds[n++] = source_output_fd(source);
        channel_send(server->channel, STREAM_HELLO, g_variant_dict_end(&fields), fds, n);
}

static void remove_client(Server *server, guint64 id) {
        const ClientEnd detached = {.reason = "detached"};

        for (GList *link = server->clients.head; link; link = link->next)
                if (client_id(link->data) == id) {
                        client_end(link->data, &detached);
                        return;
                }
}

static void end_run(Server *server, GVariant *fields) {
        guint64 run = 0;
        gint32 code = -1;
        gboolean lost = FALSE;

        if (server->host.run_ended)
                return;
        (void) g_variant_lookup(fields, "run", "t", &run);
        (void) g_variant_lookup(fields, "exit-code", "i", &code);
        (void) g_variant_lookup(fields, "lost", "b", &lost);
        server->host.run_ended = true;
        server->host.run_end = lost ? (ClientEnd) {.error = CONBUS_ERROR_MONITOR_LOST, .message = "conmon died: the container may run on, but its streams are lost"} : (ClientEnd) {.reason = "exited"};
        server->host.run_result = g_strdup_printf("{\"reason\":\"exited\",\"run\":%" G_GUINT64_FORMAT ",\"exit-code\":%d}", run, code);
        source_finish(server->host.source);
}

/* conmon reaps no process while it waits for us, and PID 1 of a container cannot end before all of them are reaped: from the end of the process on nobody is waited for. */
static void lose_patience(Server *server) {
        server->host.patient = false;
        source_go_on(server->host.source);
}

static int on_process_ended(sd_event_source *source, int fd, uint32_t revents, void *userdata) {
        lose_patience(userdata);
        return 0;
}

static void watch_process(Server *server, int fd) {
        server->process_fd = fd;
        int r = fd < 0 || server->process_source ? -EBADF : sd_event_add_io(server->host.event, &server->process_source, fd, EPOLLIN, on_process_ended, server);
        if (r >= 0)
                r = sd_event_source_set_enabled(server->process_source, SD_EVENT_ONESHOT);
        if (r < 0)
                lose_patience(server);
}

static void on_received(const char *word, GVariant *fields, int fds[CHANNEL_FDS_MAX], void *userdata) {
        Server *server = userdata;
        guint64 id = 0;

        server->was_told = server->was_told || !g_str_equal(word, STREAM_PROCESS); /* which comes before the first client */
        (void) g_variant_lookup(fields, "id", "t", &id);
        if (g_str_equal(word, STREAM_ADD) && fds[0] >= 0)
                add_client(server, id, fields, fds);
        else if (g_str_equal(word, STREAM_REMOVE))
                remove_client(server, id);
        else if (g_str_equal(word, STREAM_PROCESS))
                watch_process(server, steal_fd(&fds[0]));
        else if (g_str_equal(word, STREAM_END_OF_RUN))
                end_run(server, fields);
        else
                log_warning("the word \"%s\" is not known here", word);
        leave_if_done(server);
}

static void on_closed(void *userdata) {
        Server *server = userdata;

        g_clear_pointer(&server->channel, channel_free);
        if (!server->process_source)
                lose_patience(server);
        leave_if_done(server);
}

static bool is_trusted(int fd) {
        struct ucred peer;
        socklen_t size = sizeof peer;

        return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 && peer.uid == geteuid();
}

static bool connect_control(Server *server, int fd, GError **error) {
        g_clear_pointer(&server->channel, channel_free);
        server->channel = channel_new(server->host.event, fd, on_received, on_closed, server, error);
        if (!server->channel)
                return false;
        server->was_connected = true;
        send_reports(server); /* of those who went while no service was there: it hears of them before it is ready */
        say_hello(server);
        return true;
}

static int on_connection(sd_event_source *source, int fd, uint32_t revents, void *userdata) {
        autofd int connection = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        g_autoptr(GError) error = NULL;

        if (connection < 0)
                return 0;
        if (!is_trusted(connection))
                log_warning("a stranger wants to control the streams; refused");
        else if (!connect_control(userdata, steal_fd(&connection), &error))
                log_error("%s", error->message);
        return 0;
}

static int on_monitor(sd_event_source *source, int fd, uint32_t revents, void *userdata) {
        Server *server = userdata;

        server->monitor_gone = true;
        leave_if_done(server);
        return 0;
}

/* --- start --- */

static bool begin_control(Server *server, GError **error) {
        socklen_t size = sizeof(int);
        int listening = 0;

        (void) getsockopt(server->control_fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &size);
        if (!listening)
                return connect_control(server, steal_fd(&server->control_fd), error);
        int r = sd_event_add_io(server->host.event, &server->control_source, server->control_fd, EPOLLIN, on_connection, server);
        return r >= 0 || error_errno(error, -r, "listen for the service");
}

static bool begin(Server *server, const ServerPlan *plan, GError **error) {
        if (plan->log_start) {
                LogCursor start;
                if ((*plan->log_start && !log_cursor_parse(plan->log_start, &start, error)) || !source_open_output(server->host.source, error))
                        return false;
                server->sees_all = true;
                server->host.marks = server->marks = server->log && *plan->log_start ? log_marks_new(server->log, &start) : NULL;
                if (server->marks && !watch_renames(server, error))
                        return false;
        }
        if (server->monitor_fd >= 0) {
                int r = sd_event_add_io(server->host.event, &server->monitor_source, server->monitor_fd, EPOLLIN, on_monitor, server);
                if (r >= 0)
                        r = sd_event_source_set_enabled(server->monitor_source, SD_EVENT_ONESHOT);
                if (r < 0)
                        return error_errno(error, -r, "watch conmon");
        }
        return begin_control(server, error);
}

Server *server_new(sd_event *event, const ServerPlan *plan, GError **error) {
        static const SourceEvents events = {before_output, on_output, on_writable};
        g_autoptr(Server) server = g_new0(Server, 1);

        server->control_fd = plan->control_fd;
        server->directory_fd = plan->directory_fd;
        server->monitor_fd = plan->monitor_fd;
        server->process_fd = -1;
        server->log = g_strdup(plan->log);
        server->journal = g_strdup(plan->journal);
        server->host = (ClientHost) {.event = event, .stall_usec = plan->stall_usec, .stdin_once = plan->stdin_once, .patient = plan->patient, .progressed = on_progressed, .ended = on_client_ended, .userdata = server};
        server->host.source = source_new(event, server->directory_fd, plan->stdin_once, &events, server);
        return begin(server, plan, error) ? g_steal_pointer(&server) : NULL;
}

void server_free(Server *server) {
        if (!server)
                return;
        g_clear_pointer(&server->control_source, sd_event_source_disable_unref);
        g_clear_pointer(&server->monitor_source, sd_event_source_disable_unref);
        g_clear_pointer(&server->log_source, sd_event_source_disable_unref);
        g_clear_pointer(&server->rename_source, sd_event_source_disable_unref);
        g_clear_pointer(&server->count_source, sd_event_source_disable_unref);
        g_queue_clear_full(&server->clients, (GDestroyNotify) client_free);
        g_queue_clear_full(&server->reports, (GDestroyNotify) g_variant_unref);
        source_free(server->host.source);
        log_marks_free(server->marks);
        g_free(server->host.run_result);
        g_free(server->log);
        g_free(server->journal);
        close_fd(server->control_fd);
        close_fd(server->directory_fd);
        close_fd(server->monitor_fd);
        g_clear_pointer(&server->process_source, sd_event_source_disable_unref);
        close_fd(server->process_fd);
        /* Last: the service has our scope stopped when it hears of our end, and what closes an inotify lasts some milliseconds. */
        g_clear_pointer(&server->channel, channel_free);
        g_free(server);
}
