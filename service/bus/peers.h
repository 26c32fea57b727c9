/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The clients on the bus: who they are (asked of the bus daemon once each, without blocking), what they have open here, and when they leave. */

#include "bus/users.h"

struct Peer {
        Bus *bus;
        char *name; /* unique name */
        Actor *actor; /* NULL until the bus daemon has answered */
        bool unknown; /* it answered with an error: the sender has left */
        sd_bus_slot *request;
        GQueue parked; /* of sd_bus_message, in order of arrival, to be delivered again */
        User *user; /* set with actor */
        GQueue checks; /* of Check (bus/gate.c), in order of arrival: calls that wait for an authorization */
        GPtrArray *calls; /* of Call, borrowed: unanswered */
        unsigned n_waits;
        bool listed;
};

int peers_watch(Bus *bus); /* the one permanent match on NameOwnerChanged, and the filter that every call passes */
/* From now on calls are answered. Until then, while it is being found out what became of containers, each waits: the name is the service's already. */
void peers_welcome(Bus *bus);
void peers_free(Bus *bus);

/* A client that is known or being asked for, or NULL. In a callback of an object the sender of the message is always known: its actor is set. */
Peer *peer_find(Bus *bus, const char *name);
Peer *peer_of(Bus *bus, sd_bus_message *message); /* peer_find of its sender */
