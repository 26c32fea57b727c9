/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The connection and what every part of the surface shares. */

#include "bus/call.h"
#include "bus/jobs.h"

typedef struct Peer Peer;
typedef struct Polkit Polkit;
typedef struct Check Check;

struct Bus {
        sd_bus *connection;
        sd_event *event;
        struct Turns *turns; /* bus/turns.h */
        Engine *engine;
        Registry *registry;
        GHashTable *peers; /* unique name -> struct Peer (bus/peers.c): credentials asked for once, calls and waits of that client */
        bool welcomes; /* calls are answered: peers_welcome */
        GHashTable *users; /* uid -> User (bus/users.c) */
        Polkit *polkit; /* bus/polkit.c */
        GHashTable *delivered; /* message -> Check (bus/gate.c): answered, and put back into the connection's queue */
        Check *passing; /* of the message that is being dispatched */
        GPtrArray *slots; /* of sd_bus_slot: vtables, matches */
        void (*activity)(void *userdata); /* manager: something happened, look at idleness again */
        void *activity_userdata;
        struct Streams *streams; /* bus/streams.c: followed event streams */
        struct LogReaders *log_readers; /* bus/log-calls.c */
        Jobs *jobs;
        GQueue waitings; /* of Waiting */
        unsigned n_waits; /* deferred answers and pipes of waits */
        char *runtime_version, *monitor_version; /* asked for once, at the start; NULL until known */
        Container *self; /* what /container/self is for the message that is being dispatched */
        Container *vanishing; /* removed, and still found until its last signal is sent */
        Session *vanishing_session; /* likewise */
};

/* Registers every object of the tree; calls wait until peers_welcome (bus/peers.h). The engine's registry gets the announce observer. */
Bus *bus_new(sd_bus *connection, sd_event *event, Engine *engine, GError **error) G_GNUC_WARN_UNUSED_RESULT;
void bus_free(Bus *bus);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Bus, bus_free)
Bus *bus_get(void); /* the one connection of this process */
extern const char bus_manager_path[];
/* The container at a path, by its id or by an alias; "self" is that of the peer. Borrowed, or NULL. */
Container *bus_find_container(Bus *bus, Peer *peer, const char *path);
Session *bus_find_session(Bus *bus, const char *path); /* by its path; borrowed, or NULL */
/* Sends a signal; arguments is a floating tuple. */
int bus_emit(Bus *bus, const char *path, const char *interface, const char *member, GVariant *arguments);
void bus_activity(Bus *bus);
bool bus_owes_answers(const Bus *bus); /* a call that is parked or unanswered, waits excepted: those may last for ever */
bool bus_is_busy(const Bus *bus); /* parked calls, waits, jobs, followed event streams, a peer that called GetManagedObjects */
