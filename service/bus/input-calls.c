/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* An attachment that has sent all it will ever send, and left: it ends when conmon has taken everything, and then the call is answered. So a container that does not read keeps its callers waiting, and nothing gathers.
 * What is written to a process that has not been started waits for the start, as who attaches does. */

#include "bus/input-calls.h"
#include "container-interface.h"
#include "operation/attachments.h"
#include "operation/quota.h"
#include <errno.h>
#include <sys/socket.h>

#define DATA_MAX (64 * 1024)

typedef struct InputCall {
        Call *call;
        Engine *engine;
        Actor *actor;
        Container *container; /* reference */
        Session *session; /* reference; NULL: to the container itself */
        char *title;
        Attachment *attachment;
        int fd; /* the client's end, which is closed when the other one is where it belongs */
} InputCall;

static void input_call_free(InputCall *input) {
        quota_give(input->engine, input->actor);
        actor_unref(input->actor);
        session_unref(input->session);
        container_unref(input->container);
        g_free(input->title);
        call_unref(input->call);
        close_fd(input->fd);
        g_free(input);
}

static void on_connected(Attachment *attachment, const GError *error, void *userdata) {
        InputCall *input = userdata;

        input->fd = close_fd(input->fd);
        if (!error)
                return;
        call_reply_error(input->call, error);
        attachment_free(attachment);
        input_call_free(input);
}

static void on_ended(Attachment *attachment, GVariant *result, const GError *error, void *userdata) {
        InputCall *input = userdata;
        const Session *session = input->session;
        g_autoptr(GError) failure = NULL;
        const char *reason = "";

        if (result)
                (void) g_variant_lookup(result, "reason", "&s", &reason);
        if (error) {
                failure = g_error_copy(error);
                g_prefix_error(&failure, "write to %s: ", input->title);
        } else if (session && session->removed && session->life.state == SESSION_CREATED)
                error_set(&failure, CONBUS_ERROR_REMOVED, "write to %s: it has been removed and was never started", input->title);
        else if (!g_str_equal(reason, "client-closed"))
                error_set(&failure, CONBUS_ERROR_NOT_RUNNING, "write to %s: it ended before everything was taken", input->title);
        if (failure)
                call_reply_error(input->call, failure);
        else /* what a process and a container answer is of one form */
                container_reply_write_input(input->call);
        input_call_free(input);
}

static void on_caller_left(Call *call, void *userdata) {
        InputCall *input = userdata;

        attachment_cancel(input->attachment);
        attachment_free(input->attachment);
        input_call_free(input);
}

static bool check_size(GVariant *data, const char *title, GError **error) {
        return g_variant_get_size(data) <= DATA_MAX || error_set(error, CONBUS_ERROR_INVALID_ARGS, "write to %s: these are %zu bytes; one call takes at most %d", title, g_variant_get_size(data), DATA_MAX);
}

/* Whether it has a standard input is known when it is started, see attachment_connect. */
static bool check_session(const Session *session, bool eof, const char *title, GError **error) {
        return !eof || !session_has_terminal(session) || error_set(error, CONBUS_ERROR_INVALID_ARGS, "write to %s: option eof: it has a terminal, whose input does not end; a program that reads lines takes the byte 4 for an end", title);
}

static bool check_container(const Container *container, bool eof, const char *title, GError **error) {
        if (!config_bool(container->config, "stdin-open", false) && !config_bool(container->config, "terminal", false))
                return error_set(error, CONBUS_ERROR_NOT_ATTACHABLE, "write to %s: it was made without stdin-open, so that nothing can reach it", title);
        return !eof || config_bool(container->config, "stdin-once", false) || error_set(error, CONBUS_ERROR_INVALID_ARGS, "write to %s: option eof: it was made without stdin-once, so that its standard input does not end", title);
}

bool input_calls_write(Call *call, Container *container, Session *session, GVariant *data, GVariant *options, GError **error) {
        static const OptionKey keys[] = {{"eof", "b"}, {"reply-timeout-usec", "t"}, {NULL}};
        g_autofree char *title = session ? session_title(session) : g_strdup(container_title(container));
        gboolean eof = FALSE;
        int ends[2];

        if (!options_check(options, keys, error))
                return false;
        (void) g_variant_lookup(options, "eof", "b", &eof);
        if (!check_size(data, title, error) || !(session ? check_session(session, eof, title, error) : check_container(container, eof, title, error)) || !operation_check_quota(call->bus->engine, call->actor, call->member, error))
                return false;
        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
                return error_errno(error, errno, "make a pair of sockets");
        AttachPlan plan = {.streams = STREAM_MASK(STREAM_STDIN), .framing = FRAMING_RAW, .detach_keys = g_strdup(""), .from = g_strdup("now"), .follow = true, .is_writer = true, .ends_input = eof, .ahead = g_variant_ref(data)};
        InputCall *input = g_new0(InputCall, 1);
        *input = (InputCall) {.call = call_ref(call), .engine = call->bus->engine, .actor = actor_ref(call->actor), .container = container_ref(container), .session = session ? session_ref(session) : NULL, .title = g_steal_pointer(&title), .fd = ends[0]};
        quota_take(input->engine, input->actor);
        input->attachment = attachment_new(input->engine, container, session, &plan, g_variant_new("a{sv}", NULL), ends[1], -1);
        attachment_on_end(input->attachment, on_ended, input);
        call->caller_left = on_caller_left;
        call->userdata = input;
        call_arm_timeout(call, options);
        attachment_connect(input->attachment, on_connected, input);
        return true;
}
