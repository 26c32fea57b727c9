/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* An attachment that has sent all it will ever send, and left: it ends when conmon has taken everything, and then the call is answered. So a container that does not read keeps its callers waiting, and nothing gathers. */

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
        Attachment *attachment;
        int fd; /* the client's end, which is closed when the other one is where it belongs */
} InputCall;

static void input_call_free(InputCall *input) {
        quota_give(input->engine, input->actor);
        actor_unref(input->actor);
        container_unref(input->container);
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
        g_autoptr(GError) failure = NULL;
        const char *reason = "";

        if (result)
                (void) g_variant_lookup(result, "reason", "&s", &reason);
        if (error) {
                failure = g_error_copy(error);
                g_prefix_error(&failure, "write to %s: ", container_title(input->container));
        } else if (!g_str_equal(reason, "client-closed"))
                error_set(&failure, CONBUS_ERROR_NOT_RUNNING, "write to %s: it ended before everything was taken", container_title(input->container));
        if (failure)
                call_reply_error(input->call, failure);
        else
                container_reply_write_input(input->call);
        input_call_free(input);
}

static void on_caller_left(Call *call, void *userdata) {
        InputCall *input = userdata;

        attachment_cancel(input->attachment);
        attachment_free(input->attachment);
        input_call_free(input);
}

static bool check(Container *container, GVariant *data, bool eof, GError **error) {
        const char *title = container_title(container);

        if (g_variant_get_size(data) > DATA_MAX)
                return error_set(error, CONBUS_ERROR_INVALID_ARGS, "write to %s: these are %zu bytes; one call takes at most %d", title, g_variant_get_size(data), DATA_MAX);
        if (!config_bool(container->config, "stdin-open", false) && !config_bool(container->config, "terminal", false))
                return error_set(error, CONBUS_ERROR_NOT_ATTACHABLE, "write to %s: it was made without stdin-open, so that nothing can reach it", title);
        return !eof || config_bool(container->config, "stdin-once", false) || error_set(error, CONBUS_ERROR_INVALID_ARGS, "write to %s: option eof: it was made without stdin-once, so that its standard input does not end", title);
}

bool input_calls_write(Call *call, Container *container, GVariant *data, GVariant *options, GError **error) {
        static const OptionKey keys[] = {{"eof", "b"}, {"reply-timeout-usec", "t"}, {NULL}};
        gboolean eof = FALSE;
        int ends[2];

        if (!options_check(options, keys, error))
                return false;
        (void) g_variant_lookup(options, "eof", "b", &eof);
        if (!check(container, data, eof, error) || !operation_check_quota(call->bus->engine, call->actor, call->member, error))
                return false;
        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
                return error_errno(error, errno, "make a pair of sockets");
        AttachPlan plan = {.streams = STREAM_MASK(STREAM_STDIN), .framing = FRAMING_RAW, .detach_keys = g_strdup(""), .from = g_strdup("now"), .follow = true, .is_writer = true, .ends_input = eof, .ahead = g_variant_ref(data)};
        InputCall *input = g_new0(InputCall, 1);
        *input = (InputCall) {.call = call_ref(call), .engine = call->bus->engine, .actor = actor_ref(call->actor), .container = container_ref(container), .fd = ends[0]};
        quota_take(input->engine, input->actor);
        input->attachment = attachment_new(input->engine, container, NULL, &plan, g_variant_new("a{sv}", NULL), ends[1], -1);
        attachment_on_end(input->attachment, on_ended, input);
        call->caller_left = on_caller_left;
        call->userdata = input;
        call_arm_timeout(call, options);
        attachment_connect(input->attachment, on_connected, input);
        return true;
}
