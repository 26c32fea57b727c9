/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Who caused something: the client behind a call. Shared by reference; never changes. */

#include <glib.h>
#include <stdbool.h>

typedef struct Actor {
        unsigned n_references;
        guint32 uid, pid;
        char *comm, *unit, *bus_name; /* never NULL, may be empty */
        guint32 *groups; /* group ids of the connection; NULL when the bus does not tell them */
        gsize n_groups;
} Actor;

Actor *actor_new(guint32 uid, guint32 pid, const char *comm, const char *unit, const char *bus_name) G_GNUC_WARN_UNUSED_RESULT;
/* Copies the group ids; only before the actor is shared. */
void actor_set_groups(Actor *actor, const guint32 *groups, gsize n);
bool actor_has_group(const Actor *actor, guint32 gid);
Actor *actor_ref(Actor *actor); /* NULL is the service itself and stays NULL */
void actor_unref(Actor *actor);
/* a{sv} with uid, pid, comm, unit, bus-name; floating. NULL for the NULL actor. */
GVariant *actor_to_variant(const Actor *actor);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Actor, actor_unref)
