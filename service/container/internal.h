/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Shared by registry.c and commit.c alone. */

#include "container/registry.h"

struct Registry {
        Store *store;
        GHashTable *by_id, *by_name; /* of borrowed Container */
        GHashTable *reserved; /* names that are being created */
        GHashTable *dependents; /* id to GPtrArray of borrowed Container that name it as a dependency, in order of creation; the id need not exist */
        GPtrArray *in_order; /* of Container, holds the references */
        GPtrArray *by_prefix; /* the same by id, borrowed; NULL until a prefix is looked for */
        unsigned counts[N_STATES], n_restarts, n_sessions;
        ChangeObserver observers[N_OBSERVERS];
        void *userdata[N_OBSERVERS];
        GQueue pending; /* commit.c: changes that observers have not seen yet, in order */
        bool notifying;
};

void registry_tally(Registry *registry, const Life *life, int change); /* change: 1 or -1; what is counted of a life */
void registry_add(Registry *registry, Container *container);
void registry_remove(Registry *registry, Container *container);
void registry_note_dependencies(Registry *registry, Container *container); /* from its configuration; before that is replaced they are forgotten */
void registry_forget_dependencies(Registry *registry, Container *container);
void registry_rename(Registry *registry, Container *container, const char *name);
