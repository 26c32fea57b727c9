/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The one gate: may this caller do this? What each member needs comes from the XML (annotation io.conbus1.Access); a member without one does not build.
 *
 * Root passes, and everybody where a member is open. For all others polkit is asked: the call is parked, and its message is delivered again once there is an answer, so that the object and its state are looked up afresh. The answer counts for that message alone,
 * and only if the question would still be the same: same action, same verb, same container with the same name, labels and so on; otherwise the new question is asked. The caller's leaving cancels it.
 *
 * Gated calls of one client on one container (or on the manager) are decided in the order in which they were sent, so that a Stop and a Start sent in one go cannot change places because one of them took longer to be allowed. Calls that are open to all overtake
 * them: nobody is kept from reading by a prompt, and no answer of a reading call tells whether an earlier call has had its effect. */

#include "bus/dispatch.h"
#include "bus/peers.h"

typedef enum GateVerdict {
        GATE_PASS,
        GATE_REFUSED, /* error is set */
        GATE_PARKED, /* nothing is to be done now */
} GateVerdict;

/* Also fills in call->whole. Looks at no argument but the one that decides, and only as far as it must. */
GateVerdict gate_check(Call *call, void *object, const CallMember *member, GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* Each message that is about to be dispatched (peers.c). */
void gate_see(Bus *bus, sd_bus_message *message);
void gate_forget(Peer *peer); /* it has left: its checks are cancelled */
void gate_free(Bus *bus);

