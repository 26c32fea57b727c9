/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* One method call on its way through the service: the message, who sent it, and the shared context of the bus layer.
 *
 * The generated trampolines (introspection/generate.py) decode the arguments, ask the gate, and call the handler: bool NOUN_object_METHOD(Call *call, [Container *container,] arguments…, GError **error). A handler that returns true has answered
 * (call_reply_*) or has kept a reference (call_ref) and will answer later, exactly once; false with *error set makes the trampoline answer with that error. */

#include "base/auto.h"
#include "base/variant.h"
#include "operation/operation.h"

typedef struct Bus Bus;

typedef struct Call {
        unsigned n_references;
        Bus *bus;
        struct Peer *peer; /* its sender; NULL once it is answered or the sender has left */
        sd_bus_message *message;
        Actor *actor; /* never NULL in a handler */
        const char *member; /* for messages: "Kill" */
        GArray *fds; /* duplicates of the message's descriptors */
        sd_event_source *timeout; /* reply-timeout-usec */
        bool answered;
        bool waits; /* for a container, as long as that takes */
        bool whole; /* the caller may be told everything: root, or who may do the action of the annotation io.conbus1.Access.Whole */
        void (*caller_left)(struct Call *call, void *userdata); /* set by handlers that wait: the sender left the bus; call_reply_* after it is a no-op */
        void *userdata;
} Call;

Call *call_ref(Call *call);
void call_unref(Call *call);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Call, call_unref)

/* Answers; each at most once per call. The generated headers have typed forms (container_reply_wait(call, run, exit_code, signal, result)) that use these. */
void call_reply(Call *call, const char *types, ...);
/* What can be long is appended as it is found, without a GVariant in between. */
typedef int (*CallBuild)(sd_bus_message *answer, void *userdata); /* appends what the member returns; negative errno */
void call_reply_built(Call *call, CallBuild build, void *userdata);
void call_reply_variant(Call *call, GVariant *tuple); /* a tuple; borrowed or floating */
void call_reply_error(Call *call, const GError *error); /* bus/reply.c: the only place where an error becomes a named D-Bus error */

int call_fd(Call *call, gint32 index); /* borrowed; -1 when the index is wrong */
/* Arms reply-timeout-usec of the options: Timeout after that long, while the effect goes on. */
void call_arm_timeout(Call *call, GVariant *options);
