/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A call that is one operation. */

#include "bus/verb-call.h"

typedef struct VerbCall {
        Call *call;
        Operation *operation;
        unsigned n_results;
} VerbCall;

static void verb_call_free(VerbCall *verb_call) {
        call_unref(verb_call->call);
        g_free(verb_call);
}

static void on_done(Operation *operation, GVariant *result, const GError *error, void *userdata) {
        VerbCall *verb_call = userdata;

        if (error)
                call_reply_error(verb_call->call, error);
        else if (verb_call->n_results > 0 && g_variant_n_children(result) > verb_call->n_results) {
                g_autoptr(GVariant) first = g_variant_get_child_value(result, 0);
                call_reply_variant(verb_call->call, g_variant_new_tuple(&first, 1));
        } else
                call_reply_variant(verb_call->call, result);
        verb_call_free(verb_call);
}

static void on_caller_left(Call *call, void *userdata) {
        VerbCall *verb_call = userdata;

        operation_abandon(verb_call->operation);
        verb_call_free(verb_call);
}

bool verb_call(Call *call, Container *container, Verb verb, GVariant *options, unsigned n_results, GError **error) {
        g_autoptr(GVariant) sunk = g_variant_ref_sink(options);

        if (!operation_check_quota(call->bus->engine, call->actor, call->member, error) || !verb_check_options(verb, sunk, error))
                return false;
        VerbCall *verb_call = g_new0(VerbCall, 1);
        verb_call->n_results = n_results;
        verb_call->operation = operation_submit(call->bus->engine, container, verb, sunk, call->actor, on_done, verb_call, error);
        if (!verb_call->operation) {
                g_free(verb_call);
                return false;
        }
        verb_call->call = call_ref(call);
        call->caller_left = on_caller_left;
        call->userdata = verb_call;
        call_arm_timeout(call, sunk);
        return true;
}
