/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The clients on the bus: who they are (asked of the bus daemon once each, without blocking), what they have open here, and when they leave. */

#include "bus/bus.h"

struct Peer {
        Bus *bus;
        char *name; /* unique name */
        Actor *actor; /* NULL until the bus daemon has answered */
        bool unknown; /* it answered with an error: the sender has left */
        sd_bus_slot *request;
        GQueue parked; /* of sd_bus_message, in order of arrival, to be delivered again */
        GPtrArray *calls; /* of Call, borrowed: unanswered */
        unsigned n_waits;
        bool listed;
};

int peers_watch(Bus *bus); /* the one permanent match on NameOwnerChanged */
void peers_free(Bus *bus);

/* The sender of a message once it is known. NULL: the message is parked and will be delivered again (or its sender has left); the handler returns 1. */
Peer *peer_of(Bus *bus, sd_bus_message *message);
Peer *peer_find(Bus *bus, const char *name); /* one that is known, or NULL */
