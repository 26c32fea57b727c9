/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The connection and what every part of the surface shares. */

#include "bus/call.h"

struct Bus {
        sd_bus *connection;
        sd_event *event;
        Engine *engine;
        Registry *registry;
        GHashTable *peers; /* unique name -> struct Peer (bus/peers.c): credentials asked for once, calls and waits of that client */
        GPtrArray *slots; /* of sd_bus_slot: vtables, matches */
        void (*activity)(void *userdata); /* manager: something happened, look at idleness again */
        void *activity_userdata;
        guint64 log_level_changes;
};

/* Registers every object of the tree; the caller requests the name io.conbus1 afterwards. The engine's registry gets the announce observer. */
Bus *bus_new(sd_bus *connection, sd_event *event, Engine *engine, GError **error) G_GNUC_WARN_UNUSED_RESULT;
void bus_free(Bus *bus);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Bus, bus_free)
bool bus_is_busy(const Bus *bus); /* parked calls, waits, followed event streams, jobs, a peer that called GetManagedObjects */
