/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* An attachment for a caller: a pair of sockets (or the caller's own connection), the attachment of the layer below, and a job that ends when it does. The reply is given when the client is connected.
 * All that is needed to make the job again after a restart of the service goes as a tag to the streamer, and comes back from there. */

#include "bus/attach-calls.h"
#include "bus/verb-call.h"
#include "container-interface.h"
#include "operation/attachments.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#define AHEAD_MAX (64 * 1024)

typedef enum Kind { KIND_OPEN, KIND_START, KIND_HTTP } Kind;

typedef struct AttachCall {
        Kind kind;
        Bus *bus;
        Call *call; /* NULL once it is answered */
        Container *container; /* reference */
        Session *session; /* reference; NULL: of the container itself */
        Job *job;
        Attachment *attachment; /* NULL once it has ended */
        Operation *operation; /* Init of HttpAttach, Start of StartWith; while it runs */
        Framing framing;
        int client_fd; /* what the caller gets */
        bool ended; /* before the answer: the outcome is kept until then */
        GVariant *result;
        GError *error;
} AttachCall;

static void attach_call_free(AttachCall *attach) {
        call_unref(attach->call);
        session_unref(attach->session);
        container_unref(attach->container);
        close_fd(attach->client_fd);
        g_clear_pointer(&attach->result, g_variant_unref);
        g_clear_error(&attach->error);
        g_free(attach);
}

/* Nobody will hear of the job: the attachment did not come about, or its caller has left before. */
static void give_up(AttachCall *attach) {
        if (attach->attachment) {
                attachment_cancel(attach->attachment);
                attachment_free(attach->attachment);
        }
        job_discard(attach->job);
        attach_call_free(attach);
}

static void fail(AttachCall *attach, const GError *error) {
        call_reply_error(attach->call, error);
        give_up(attach);
}

/* --- the job --- */

static void finish_job(AttachCall *attach) {
        job_finish(attach->job, attach->result, attach->error);
        attach_call_free(attach);
}

static void on_ended(Attachment *attachment, GVariant *result, const GError *error, void *userdata) {
        AttachCall *attach = userdata;

        attach->ended = true;
        attach->attachment = NULL;
        attach->result = result ? g_variant_ref(result) : NULL;
        attach->error = error ? g_error_copy(error) : NULL;
        job_set_bytes(attach->job, attachment_bytes_in(attachment) + attachment_bytes_out(attachment), 0);
        if (!attach->call)
                finish_job(attach);
}

static void on_cancel(Job *job, void *userdata) {
        AttachCall *attach = userdata;

        if (attach->attachment)
                attachment_cancel(attach->attachment);
}

static void on_forget(void *userdata) {
        AttachCall *attach = userdata;

        attachment_free(attach->attachment);
        attach_call_free(attach);
}

static const JobWork work = {.cancel = on_cancel, .forget = on_forget};

static bool make_job(AttachCall *attach, Actor *actor, const JobOptions *options, const char *path, guint64 number, guint64 start_usec, GError **error) {
        g_autofree char *object = container_path(attach->container), *process = attach->session ? session_path(attach->session) : NULL;
        const char *const objects[] = {object, process, NULL};
        const JobPlan plan = {.operation = "attach", .objects = objects, .actor = actor, .options = options, .work = &work, .userdata = attach};

        attach->job = path ? job_restore(attach->bus->jobs, &plan, path, number, start_usec) : job_new(attach->bus->jobs, &plan, error);
        return attach->job != NULL;
}

static GVariant *tag_of(Kind kind, const Job *job) {
        GVariantDict tag;

        g_variant_dict_init(&tag, NULL);
        g_variant_dict_insert(&tag, "path", "s", job->path);
        g_variant_dict_insert(&tag, "number", "t", job->number);
        g_variant_dict_insert(&tag, "start", "t", job->start_usec);
        g_variant_dict_insert(&tag, "stage", "s", kind == KIND_HTTP ? "hijacked" : "");
        g_variant_dict_insert_value(&tag, "actor", actor_to_variant(job->actor));
        return g_variant_dict_end(&tag);
}

static AttachCall *attach_call_new(Kind kind, Bus *bus, Container *container, Session *session) {
        AttachCall *attach = g_new0(AttachCall, 1);

        *attach = (AttachCall) {.kind = kind, .bus = bus, .container = container_ref(container), .session = session ? session_ref(session) : NULL, .client_fd = -1};
        return attach;
}

/* --- the answer --- */

static void record_event(AttachCall *attach) {
        g_autoptr(GError) error = NULL;

        if (attach->container->removed || attach->container->life.state == STATE_REMOVING)
                return;
        g_autoptr(Commit) commit = commit_new(attach->container, attach->call->actor);
        commit_event(commit, "attach", attach->session ? g_variant_new_parsed("{'session': <%t>}", attach->session->number) : NULL);
        if (!commit_apply(commit, &error))
                g_debug("%s", error->message); /* the client is attached nevertheless */
}

/* After the reply: from here on the job is the caller's. */
static void publish(AttachCall *attach) {
        call_unref(g_steal_pointer(&attach->call));
        attach->client_fd = close_fd(attach->client_fd);
        job_set_running(attach->job);
        if (attach->kind == KIND_HTTP)
                job_set_stage(attach->job, "hijacked");
        job_publish(attach->job);
        if (attach->ended)
                finish_job(attach);
}

static void on_connected(Attachment *attachment, const GError *error, void *userdata) {
        AttachCall *attach = userdata;

        if (error) {
                fail(attach, error);
                return;
        }
        record_event(attach);
        if (attach->kind == KIND_HTTP) /* what a process and a container answer is of one form */
                container_reply_http_attach(attach->call, attach->job->path);
        else
                container_reply_open_attach(attach->call, attach->client_fd, framing_to_string(attach->framing), attach->job->path);
        publish(attach);
}

static void on_start_done(Operation *operation, GVariant *result, const GError *error, void *userdata) {
        AttachCall *attach = userdata;
        g_autoptr(GVariant) details = NULL;
        gboolean started = TRUE;
        guint64 run;

        attach->operation = NULL;
        if (error || attach->call->answered) {
                if (error)
                        call_reply_error(attach->call, error);
                give_up(attach);
                return;
        }
        record_event(attach);
        g_variant_get(result, "(t@a{sv})", &run, &details);
        (void) g_variant_lookup(details, "started", "b", &started);
        call_reply(attach->call, "ta{sv}", run, 4, "started", "b", (int) started, "stream", "h", attach->client_fd, "framing", "s", framing_to_string(attach->framing), "job", "o", attach->job->path);
        publish(attach);
}

/* An operation that waits is dropped; one that runs goes on, and its end finds the call answered. */
static void on_caller_left(Call *call, void *userdata) {
        AttachCall *attach = userdata;

        if (!attach->operation)
                give_up(attach);
        else if (!attach->operation->running)
                operation_cancel(attach->operation);
}

/* --- beginning --- */

static bool make_sockets(AttachCall *attach, int *ret_theirs, GError **error) {
        int ends[2];

        if (socketpair(AF_UNIX, (attach->framing == FRAMING_PACKETS ? SOCK_SEQPACKET : SOCK_STREAM) | SOCK_CLOEXEC, 0, ends) < 0)
                return error_errno(error, errno, "make a pair of sockets");
        attach->client_fd = ends[0];
        *ret_theirs = ends[1];
        return true;
}

/* The call is kept from now on; on failure everything is gone. fd and cancel_fd are taken. */
static AttachCall *begin(Kind kind, Call *call, Container *container, Session *session, AttachPlan *plan, const JobOptions *options, int fd, int cancel_fd, GError **error) {
        AttachCall *attach = attach_call_new(kind, call->bus, container, session);
        autofd int theirs = fd, cancel = cancel_fd;

        attach->framing = plan->framing;
        if ((kind != KIND_HTTP && !make_sockets(attach, &theirs, error)) || !make_job(attach, call->actor, options, NULL, 0, 0, error)) {
                attach_call_free(attach);
                return NULL;
        }
        attach->attachment = attachment_new(call->bus->engine, container, session, plan, tag_of(kind, attach->job), steal_fd(&theirs), steal_fd(&cancel));
        attachment_on_end(attach->attachment, on_ended, attach);
        attach->call = call_ref(call);
        call->caller_left = on_caller_left;
        call->userdata = attach;
        return attach;
}

static bool is_terminal(const Container *container, const Session *session) {
        return session ? session_has_terminal(session) : config_bool(container->config, "terminal", false);
}

/* A process may have keys of its own. */
static GVariant *with_detach_keys(GVariant *options, const Session *session) {
        const char *keys = session ? config_string(session->request, "detach-keys", NULL) : NULL;
        GVariantDict dict;

        g_variant_dict_init(&dict, options);
        if (keys && !g_variant_dict_contains(&dict, "detach-keys"))
                g_variant_dict_insert(&dict, "detach-keys", "s", keys);
        return g_variant_ref_sink(g_variant_dict_end(&dict));
}

bool attach_calls_open(Call *call, Container *container, Session *session, GVariant *options, GError **error) {
        g_autoptr(GVariant) asked = with_detach_keys(options, session), rest = NULL;
        g_auto(JobOptions) job_options = {0};
        g_auto(AttachPlan) plan = {0};

        if (!job_options_take(asked, &job_options, &rest, error) || !attach_plan_read(rest, is_terminal(container, session), &plan, error))
                return false;
        AttachCall *attach = begin(KIND_OPEN, call, container, session, &plan, &job_options, -1, -1, error);
        if (!attach)
                return false;
        call_arm_timeout(call, rest);
        attachment_connect(attach->attachment, on_connected, attach);
        return true;
}

static GVariant *without_attach(GVariant *options) {
        GVariantDict rest;

        g_variant_dict_init(&rest, options);
        g_variant_dict_remove(&rest, "attach");
        return g_variant_ref_sink(g_variant_dict_end(&rest));
}

bool attach_calls_start(Call *call, Container *container, GVariant *options, GError **error) {
        g_autoptr(GVariant) attach_options = g_variant_lookup_value(options, "attach", G_VARIANT_TYPE_VARDICT), others = without_attach(options), rest = NULL;
        g_auto(JobOptions) job_options = {0};
        g_auto(AttachPlan) plan = {0};

        if (!attach_options)
                return error_set(error, CONBUS_ERROR_INVALID_ARGS, "option attach takes the type a{sv}, the keys of OpenAttach");
        if (!job_options_take(others, &job_options, &rest, error) || !verb_check_options(VERB_START, rest, error) || !attach_plan_read(attach_options, is_terminal(container, NULL), &plan, error))
                return false;
        if (!plan.follow)
                return error_set(error, CONBUS_ERROR_INVALID_ARGS, "option attach: without follow nothing of a start can be seen");
        AttachCall *attach = begin(KIND_START, call, container, NULL, &plan, &job_options, -1, -1, error);
        if (!attach)
                return false;
        attach->operation = operation_submit(call->bus->engine, container, VERB_START, rest, call->actor, on_start_done, attach, error);
        if (!attach->operation) {
                call->caller_left = NULL;
                give_up(attach);
                return false;
        }
        attach->operation->attachment = attach->attachment;
        call_arm_timeout(call, rest);
        return true;
}

/* --- HttpAttach --- */

static const OptionKey http_keys[] = {{"streams", "as"}, {"logs", "b"}, {"stream", "b"}, {"detach-keys", "s"}, {"upgrade", "b"}, {"cancel", "h"}, {NULL}};

static GVariant *http_head(bool terminal, bool upgrade) {
        g_autofree char *text = g_strdup_printf("HTTP/1.1 %s\r\nContent-Type: application/vnd.docker.%s-stream\r\n%s\r\n", upgrade ? "101 UPGRADED" : "200 OK", terminal ? "raw" : "multiplexed",
                                                upgrade ? "Connection: Upgrade\r\nUpgrade: tcp\r\n" : "");

        return g_variant_ref_sink(g_variant_new_fixed_array(G_VARIANT_TYPE_BYTE, text, strlen(text), 1));
}

static bool check_connection(int connection, GVariant *ahead, GError **error) {
        socklen_t size = sizeof(int);
        struct stat st;
        int type = 0;

        if (connection < 0 || fstat(connection, &st) < 0 || !S_ISSOCK(st.st_mode) || getsockopt(connection, SOL_SOCKET, SO_TYPE, &type, &size) < 0 || type != SOCK_STREAM)
                return error_set(error, CONBUS_ERROR_INVALID_ARGS, "HttpAttach takes a connection: a socket of the type SOCK_STREAM");
        if (g_variant_get_size(ahead) > AHEAD_MAX)
                return error_set(error, CONBUS_ERROR_INVALID_ARGS, "HttpAttach takes at most %d bytes that have been read already", AHEAD_MAX);
        return true;
}

static bool check_logs(Container *container, const Session *session, bool logs, bool stream, GError **error) {
        const char *driver = session ? "none" : config_string(container->config, "log-driver", "k8s-file");

        if (!logs && !stream)
                return error_set(error, CONBUS_ERROR_INVALID_ARGS, "HttpAttach needs logs, stream or both");
        if (stream && g_str_equal(driver, "passthrough"))
                return error_set(error, CONBUS_ERROR_NOT_ATTACHABLE, "attach to %s: its log driver is passthrough, so that it has its streams for itself", container_title(container));
        return !logs || g_str_equal(driver, "k8s-file") || g_str_equal(driver, "journald") || error_set(error, CONBUS_ERROR_NO_LOGS, "attach to %s: the log driver %s keeps no log that can be read", container_title(container), driver);
}

static bool read_http_plan(Container *container, const Session *session, GVariant *options, GVariant *ahead, AttachPlan *ret, GError **error) {
        g_autoptr(GVariant) keys = NULL;
        g_auto(AttachPlan) plan = {0};
        gboolean logs = FALSE, stream = FALSE, upgrade = FALSE;
        const char *detach_keys = NULL;
        GVariantDict open;

        if (!options_check(options, http_keys, error))
                return false;
        (void) g_variant_lookup(options, "logs", "b", &logs);
        (void) g_variant_lookup(options, "stream", "b", &stream);
        (void) g_variant_lookup(options, "upgrade", "b", &upgrade);
        if (!check_logs(container, session, logs, stream, error))
                return false;
        g_variant_dict_init(&open, NULL);
        g_autoptr(GVariant) streams = g_variant_lookup_value(options, "streams", NULL);
        if (streams)
                g_variant_dict_insert_value(&open, "streams", streams);
        if (g_variant_lookup(options, "detach-keys", "&s", &detach_keys))
                g_variant_dict_insert(&open, "detach-keys", "s", detach_keys);
        g_variant_dict_insert(&open, "framing", "s", is_terminal(container, session) ? "raw" : "multiplexed");
        g_variant_dict_insert(&open, "from", "s", logs ? "log-start" : "now");
        g_variant_dict_insert(&open, "follow", "b", stream);
        keys = g_variant_ref_sink(g_variant_dict_end(&open));
        if (!attach_plan_read(keys, is_terminal(container, session), &plan, error))
                return false;
        plan.records = true;
        plan.head = http_head(is_terminal(container, session), upgrade);
        plan.ahead = g_variant_ref(ahead);
        *ret = plan;
        plan = (AttachPlan) {0};
        return true;
}

static void on_initialized(Operation *operation, GVariant *result, const GError *error, void *userdata) {
        AttachCall *attach = userdata;

        attach->operation = NULL;
        if (error)
                fail(attach, error);
        else if (attach->call->answered)
                give_up(attach);
        else
                attachment_connect(attach->attachment, on_connected, attach);
}

static bool init_first(AttachCall *attach, GError **error) {
        attach->operation = operation_submit(attach->bus->engine, attach->container, VERB_INIT, NULL, attach->call->actor, on_initialized, attach, error);
        if (attach->operation)
                return true;
        attach->call->caller_left = NULL;
        give_up(attach);
        return false;
}

bool attach_calls_http(Call *call, Container *container, Session *session, int connection, GVariant *ahead, GVariant *options, GError **error) {
        State state = container->life.state;
        g_auto(JobOptions) job_options = {0};
        g_autoptr(GVariant) asked = with_detach_keys(options, session), rest = NULL;
        g_auto(AttachPlan) plan = {0};
        gint32 cancel = -1;

        if (!job_options_take(asked, &job_options, &rest, error) || !check_connection(connection, ahead, error) || !read_http_plan(container, session, rest, ahead, &plan, error))
                return false;
        bool follow = plan.follow;
        (void) g_variant_lookup(rest, "cancel", "h", &cancel);
        int cancel_fd = call_fd(call, cancel) < 0 ? -1 : fcntl(call_fd(call, cancel), F_DUPFD_CLOEXEC, 3);
        AttachCall *attach = begin(KIND_HTTP, call, container, session, &plan, &job_options, fcntl(connection, F_DUPFD_CLOEXEC, 3), cancel_fd, error);
        if (!attach)
                return false;
        if (!session && follow && (state == STATE_CREATED || state == STATE_STOPPED || state == STATE_EXITED))
                return init_first(attach, error);
        attachment_connect(attach->attachment, on_connected, attach);
        return true;
}

/* --- after a restart --- */

static Actor *actor_of(GVariant *tag) {
        g_autoptr(GVariant) fields = g_variant_lookup_value(tag, "actor", G_VARIANT_TYPE_VARDICT);
        const char *comm = "", *unit = "", *bus_name = "";
        guint32 uid = 0, pid = 0;

        if (fields) {
                (void) g_variant_lookup(fields, "uid", "u", &uid);
                (void) g_variant_lookup(fields, "pid", "u", &pid);
                (void) g_variant_lookup(fields, "comm", "&s", &comm);
                (void) g_variant_lookup(fields, "unit", "&s", &unit);
                (void) g_variant_lookup(fields, "bus-name", "&s", &bus_name);
        }
        return actor_new(uid, pid, comm, unit, bus_name);
}

static void on_adopted(Container *container, Attachment *attachment, GVariant *tag, void *userdata) {
        g_autoptr(Actor) actor = actor_of(tag);
        const JobOptions options = {0};
        const char *path = "", *stage = "";
        guint64 number = 0, start = 0;

        (void) g_variant_lookup(tag, "path", "&s", &path);
        (void) g_variant_lookup(tag, "stage", "&s", &stage);
        (void) g_variant_lookup(tag, "number", "t", &number);
        (void) g_variant_lookup(tag, "start", "t", &start);
        AttachCall *attach = attach_call_new(KIND_OPEN, userdata, container, attachment_session(attachment));
        attach->attachment = attachment;
        if (!*path || !make_job(attach, actor, &options, path, number, start, NULL)) {
                attach_call_free(attach);
                return;
        }
        attachment_on_end(attachment, on_ended, attach);
        job_set_running(attach->job);
        job_set_stage(attach->job, stage);
        job_publish(attach->job);
}

void attach_calls_adopt(Bus *bus) {
        attachments_on_adopted(bus->engine, on_adopted, bus);
}
