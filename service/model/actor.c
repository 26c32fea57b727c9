/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The client behind a call, as events and run records name it. */

#include "model/actor.h"

Actor *actor_new(guint32 uid, guint32 pid, const char *comm, const char *unit, const char *bus_name) {
        Actor *actor = g_new0(Actor, 1);

        actor->n_references = 1;
        actor->uid = uid;
        actor->pid = pid;
        actor->comm = g_strdup(comm ? comm : "");
        actor->unit = g_strdup(unit ? unit : "");
        actor->bus_name = g_strdup(bus_name ? bus_name : "");
        return actor;
}

void actor_set_groups(Actor *actor, const guint32 *groups, gsize n) {
        g_free(actor->groups);
        actor->groups = g_memdup2(groups, n * sizeof *groups);
        actor->n_groups = n;
}

bool actor_has_group(const Actor *actor, guint32 gid) {
        for (gsize i = 0; i < actor->n_groups; i++)
                if (actor->groups[i] == gid)
                        return true;
        return false;
}

Actor *actor_ref(Actor *actor) {
        if (actor)
                actor->n_references++;
        return actor;
}

void actor_unref(Actor *actor) {
        if (!actor || --actor->n_references > 0)
                return;
        g_free(actor->comm);
        g_free(actor->unit);
        g_free(actor->bus_name);
        g_free(actor->groups);
        g_free(actor);
}

GVariant *actor_to_variant(const Actor *actor) {
        GVariantDict dict;

        if (!actor)
                return NULL;
        g_variant_dict_init(&dict, NULL);
        g_variant_dict_insert(&dict, "uid", "u", actor->uid);
        g_variant_dict_insert(&dict, "pid", "u", actor->pid);
        g_variant_dict_insert(&dict, "comm", "s", actor->comm);
        g_variant_dict_insert(&dict, "unit", "s", actor->unit);
        g_variant_dict_insert(&dict, "bus-name", "s", actor->bus_name);
        return g_variant_dict_end(&dict);
}
