/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The way of a method call, and its one answer. */

#include "bus/call.h"
#include "base/clock.h"
#include "bus/dispatch.h"
#include "bus/gate.h"
#include "base/log.h"
#include <errno.h>

static void clear_fd(void *fd) {
        close_fd(*(int *) fd);
}

static Call *call_new(Bus *bus, Peer *peer, sd_bus_message *message, const char *member) {
        Call *call = g_new0(Call, 1);

        call->n_references = 1;
        call->bus = bus;
        call->peer = peer;
        call->message = sd_bus_message_ref(message);
        call->actor = actor_ref(peer->actor);
        call->member = member;
        call->fds = g_array_new(FALSE, FALSE, sizeof(int));
        g_array_set_clear_func(call->fds, clear_fd);
        g_ptr_array_add(peer->calls, call);
        return call;
}

Call *call_ref(Call *call) {
        call->n_references++;
        return call;
}

static void forget(Call *call) {
        if (call->peer)
                g_ptr_array_remove_fast(call->peer->calls, call);
        call->peer = NULL;
        g_clear_pointer(&call->timeout, sd_event_source_disable_unref);
}

void call_unref(Call *call) {
        if (!call || --call->n_references > 0)
                return;
        forget(call);
        actor_unref(call->actor);
        g_array_unref(call->fds);
        sd_bus_message_unref(call->message);
        g_free(call);
}

int call_fd(Call *call, gint32 index) {
        return index >= 0 && (guint) index < call->fds->len ? g_array_index(call->fds, int, index) : -1;
}

/* True when an answer is still due; from then on it has been given. */
bool call_take_answer(Call *call) {
        if (call->answered)
                return false;
        call->answered = true;
        call->caller_left = NULL;
        forget(call);
        return true;
}

/* Sends what was built with the outcome r; a call whose answer cannot be built or sent must not wait for ever. */
static void send_answer(Call *call, sd_bus_message *answer, int r) {
        if (r >= 0)
                r = sd_bus_send(NULL, answer, NULL);
        if (r < 0) {
                log_error("answer %s: %s", call->member, g_strerror(-r));
                (void) sd_bus_reply_method_errorf(call->message, "io.conbus1.Error.Internal", "%s: the answer cannot be sent: %s", call->member, g_strerror(-r));
        }
        bus_activity(call->bus);
}

void call_reply(Call *call, const char *types, ...) {
        g_autoptr(sd_bus_message) answer = NULL;
        va_list arguments;

        if (!call_take_answer(call))
                return;
        int r = sd_bus_message_new_method_return(call->message, &answer);
        va_start(arguments, types);
        if (r >= 0 && *types)
                r = sd_bus_message_appendv(answer, types, arguments);
        va_end(arguments);
        send_answer(call, answer, r);
}

void call_reply_built(Call *call, CallBuild build, void *userdata) {
        g_autoptr(sd_bus_message) answer = NULL;

        if (!call_take_answer(call))
                return;
        int r = sd_bus_message_new_method_return(call->message, &answer);
        send_answer(call, answer, r < 0 ? r : build(answer, userdata));
}

static int append_children(sd_bus_message *answer, void *userdata) {
        GVariant *tuple = userdata;
        int r = 0;

        for (gsize i = 0; r >= 0 && i < g_variant_n_children(tuple); i++) {
                g_autoptr(GVariant) child = g_variant_get_child_value(tuple, i);
                r = variant_append(answer, child);
        }
        return r;
}

void call_reply_variant(Call *call, GVariant *tuple) {
        g_autoptr(GVariant) sunk = g_variant_ref_sink(tuple);

        call_reply_built(call, append_children, sunk);
}

/* A wait has no effect that could go on: it ends with its answer, as if its caller had left. */
static int on_timeout(sd_event_source *source, guint64 usec, void *userdata) {
        Call *call = call_ref(userdata);
        void (*end)(Call *call, void *userdata) = call->waits ? call->caller_left : NULL;
        g_autoptr(GError) error = NULL;

        g_clear_pointer(&call->timeout, sd_event_source_disable_unref);
        error_set(&error, CONBUS_ERROR_TIMEOUT, "%s: reply-timeout-usec has passed; %s", call->member, end ? "nobody waits any more" : "the effect goes on");
        call_reply_error(call, error);
        if (end)
                end(call, call->userdata);
        call_unref(call);
        return 0;
}

void call_arm_timeout(Call *call, GVariant *options) {
        guint64 usec;

        if (call->answered || !g_variant_lookup(options, "reply-timeout-usec", "t", &usec) || usec == UINT64_MAX)
                return;
        int r = sd_event_add_time(call->bus->event, &call->timeout, CLOCK_BOOTTIME, clock_boottime_in(usec), 1000, on_timeout, call);
        g_assert(r >= 0);
}

static GVariant *read_arguments(Call *call, const char *signature, GError **error) {
        GVariantBuilder builder;

        if (!sd_bus_message_has_signature(call->message, signature)) {
                error_set(error, CONBUS_ERROR_INVALID_ARGS, "%s takes arguments of the types \"%s\", not \"%s\"", call->member, signature, sd_bus_message_get_signature(call->message, true));
                return NULL;
        }
        g_variant_builder_init(&builder, G_VARIANT_TYPE_TUPLE);
        while (sd_bus_message_at_end(call->message, true) == 0) {
                g_autoptr(GVariant) value = variant_read(call->message, NULL, call->fds, error);
                if (!value) {
                        g_variant_builder_clear(&builder);
                        return NULL;
                }
                g_variant_builder_add_value(&builder, value);
        }
        return g_variant_ref_sink(g_variant_builder_end(&builder));
}

int call_dispatch(sd_bus_message *message, void *object, const CallMember *member) {
        Bus *bus = bus_get();
        Peer *peer = peer_of(bus, message);
        g_autoptr(GError) error = NULL;

        if (!peer)
                return sd_bus_reply_method_errorf(message, SD_BUS_ERROR_ACCESS_DENIED, "%s needs a bus that says who its caller is", member->name);
        g_autoptr(Call) call = call_new(bus, peer, message, member->name);
        GateVerdict verdict = gate_check(call, object, member, &error);
        if (verdict == GATE_PARKED)
                return 1;
        if (verdict == GATE_REFUSED) {
                call_reply_error(call, error);
                return 1;
        }
        g_autoptr(GVariant) arguments = read_arguments(call, member->signature, &error);
        if (!arguments || !member->invoke(call, object, arguments, &error))
                call_reply_error(call, error);
        return 1;
}
