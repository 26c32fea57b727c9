/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Rename, SetAutoStart and SetRestartPolicy: configuration alone, one commit, durable before the answer. */

#include "operation/internal.h"

static void on_synced(const GError *error, void *userdata) {
        Operation *operation = userdata;

        if (error)
                operation_fail(operation, g_error_copy(error));
        operation_set_result(operation, g_variant_new("()"));
        operation_continue(operation);
}

static void commit_and_sync(Operation *operation, Commit *commit) {
        if (operation_commit(operation, commit))
                store_sync(operation->engine->store, on_synced, operation);
        else
                operation_continue(operation);
}

void rename_step(Operation *operation) {
        Container *container = operation->container;
        const char *name = option_string(operation, "name", "");
        GError *error = NULL;

        if (!config_check_name(name, &error)) {
                operation_fail(operation, error);
                operation_continue(operation);
                return;
        }
        if (g_str_equal(name, container->name)) {
                operation_set_result(operation, g_variant_new("()"));
                operation_continue(operation);
                return;
        }
        g_autofree char *old = g_strdup(container->name);
        GVariantDict details;
        g_autoptr(Commit) commit = commit_new(container, operation->actor);
        g_variant_dict_init(&details, NULL);
        g_variant_dict_insert(&details, "old-name", "s", old);
        commit_set_name(commit, name);
        commit_event(commit, "rename", g_variant_dict_end(&details));
        commit_and_sync(operation, commit);
}

/* The policy and its maximum go together: a policy without one sets 0, one without a policy counts for the policy that there is, and only on-failure may have one. */
static GVariant *changes_of(Operation *operation) {
        GVariantDict changes;
        const char *policy = option_string(operation, "restart-policy", NULL);
        gboolean enabled;
        guint32 max = 0;
        bool has_max = g_variant_lookup(operation->options, "restart-max", "u", &max);

        g_variant_dict_init(&changes, NULL);
        if (g_variant_lookup(operation->options, "auto-start", "b", &enabled))
                g_variant_dict_insert(&changes, "auto-start", "b", enabled);
        if (policy || has_max) {
                g_variant_dict_insert(&changes, "restart-policy", "s", policy ? policy : config_string(operation->container->config, "restart-policy", "no"));
                g_variant_dict_insert(&changes, "restart-max", "u", max);
        }
        return g_variant_ref_sink(g_variant_dict_end(&changes));
}

void update_step(Operation *operation) {
        Container *container = operation->container;
        g_autoptr(GVariant) changes = changes_of(operation);
        GError *error = NULL;

        if (!config_check(changes, CONFIG_UPDATE, &error)) {
                operation_fail(operation, error);
                operation_continue(operation);
                return;
        }
        g_autoptr(GVariant) merged = config_merge(container->config, changes);
        g_autoptr(Commit) commit = commit_new(container, operation->actor);
        commit_set_config(commit, merged);
        /* A restart that health has ordered is not the policy's: once it is planned it is called off as any other, but before that, when its stop is still to come, there would be the stop alone. */
        bool cancels = commit->life.next_restart_usec != 0 && g_str_equal(config_string(merged, "restart-policy", "no"), "no");
        if (cancels) {
                commit->life.next_restart_usec = 0;
                commit->life.health_action = "";
        }
        commit_event(commit, "update", NULL);
        if (operation_commit(operation, commit)) {
                if (cancels)
                        policy_arm(operation->engine, container);
                store_sync(operation->engine->store, on_synced, operation);
        } else
                operation_continue(operation);
}
