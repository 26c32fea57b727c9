/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Dependencies: those of `depends` and of joined namespaces. They must run before an Init, Start or Restart; with `recursive` they are started first, each by an operation of its own that starts its own dependencies in turn,
 * so that independent branches run in parallel and every container takes its place in its own queue. Cycles are refused when configured, hence the waiting has an end. */

#include "operation/internal.h"
#include <string.h>

struct Pending {
        unsigned n_left;
        GString *failed; /* names and reasons */
};

static void pending_free(void *data) {
        struct Pending *pending = data;

        g_string_free(pending->failed, TRUE);
        g_free(pending);
}

static void fail_with(Operation *operation, const char *list) {
        operation_fail(operation, g_error_new(CONBUS_ERROR, CONBUS_ERROR_DEPENDENCY_FAILED, "%s %s: these containers that it depends on do not run: %s", verb_to_string(operation->verb),
                                              container_title(operation->container), list));
}

static void on_all_started(Operation *operation) {
        struct Pending *pending = operation->data;

        if (pending->failed->len > 0)
                fail_with(operation, pending->failed->str);
        operation->data = NULL;
        operation->free_data = NULL;
        pending_free(pending);
        operation_continue(operation);
}

static void note_failure(struct Pending *pending, Container *dependency, const char *why) {
        g_string_append_printf(pending->failed, "%s%s (%s)", pending->failed->len ? ", " : "", dependency->id, why);
}

static int on_last_done(sd_event_source *source, void *userdata) {
        Operation *operation = userdata;

        g_clear_pointer(&operation->timer, sd_event_source_disable_unref);
        on_all_started(operation);
        return 0;
}

/* In a turn of its own: a dependency that has waited for its readiness is done in the middle of a commit, and what follows here commits as well. */
static void one_done(Operation *operation) {
        struct Pending *pending = operation->data;

        if (--pending->n_left > 0)
                return;
        int r = sd_event_add_defer(operation->engine->event, &operation->timer, on_last_done, operation);
        g_assert(r >= 0);
}

static void on_dependency_started(Operation *dependency, GVariant *result, const GError *error, void *userdata) {
        Operation *operation = userdata;

        if (error && !g_error_matches(error, CONBUS_ERROR, CONBUS_ERROR_ALREADY_RUNNING))
                note_failure(operation->data, dependency->container, error->message);
        one_done(operation);
        operation_unref(operation);
}

/* A removal with dependents waits for what is under way with each of them, this start among it; so the start cannot wait for the removal, which it would come behind. */
static bool is_to_be_removed(Container *container) {
        for (GList *link = container->operations.head; link; link = link->next)
                if (((Operation *) link->data)->verb == VERB_REMOVE)
                        return true;
        return false;
}

static void start_dependency(Operation *operation, Container *dependency) {
        struct Pending *pending = operation->data;

        if (is_to_be_removed(dependency)) {
                note_failure(pending, dependency, "it is being removed");
                return;
        }
        g_autoptr(GVariant) options = g_variant_ref_sink(g_variant_new_parsed("{'recursive': <true>}"));
        g_autoptr(GError) error = NULL;

        pending->n_left++;
        if (operation_submit(operation->engine, dependency, VERB_START, options, operation->actor, on_dependency_started, operation_ref(operation), &error))
                return;
        note_failure(pending, dependency, error->message);
        pending->n_left--;
        operation_unref(operation);
}

static void start_all(Operation *operation, GPtrArray *dependencies) {
        struct Pending *pending = g_new0(struct Pending, 1);

        pending->failed = g_string_new(NULL);
        pending->n_left = 1; /* until all have been submitted */
        operation->data = pending;
        operation->free_data = pending_free;
        for (guint i = 0; i < dependencies->len; i++) {
                Container *dependency = dependencies->pdata[i];
                if (dependency->life.state != STATE_RUNNING)
                        start_dependency(operation, dependency);
        }
        if (pending->n_left > 1)
                operation_give_slot_back(operation);
        one_done(operation);
}

void dependencies_step(Operation *operation) {
        g_autoptr(GPtrArray) dependencies = registry_dependencies(operation->engine->registry, operation->container);
        g_autoptr(GString) missing = g_string_new(NULL);

        if (operation->dependencies_seen || dependencies->len == 0) {
                operation_continue(operation);
                return;
        }
        if (option_bool(operation, "recursive")) {
                operation->dependencies_seen = true;
                start_all(operation, dependencies);
                return;
        }
        for (guint i = 0; i < dependencies->len; i++) {
                Container *dependency = dependencies->pdata[i];
                if (dependency->life.state != STATE_RUNNING)
                        g_string_append_printf(missing, "%s%s (%s, %s)", missing->len ? ", " : "", dependency->id, dependency->name, state_to_string(dependency->life.state));
        }
        if (missing->len > 0)
                fail_with(operation, missing->str);
        operation_continue(operation);
}

static bool reaches(Registry *registry, Container *from, const char *id, GHashTable *seen) {
        if (g_str_equal(from->id, id))
                return true;
        if (!g_hash_table_add(seen, from->id))
                return false;
        g_autoptr(GPtrArray) next = registry_dependencies(registry, from);
        for (guint i = 0; i < next->len; i++)
                if (reaches(registry, next->pdata[i], id, seen))
                        return true;
        return false;
}

static bool check_one(Registry *registry, const char *id, const char *word, GError **error) {
        g_autoptr(GHashTable) seen = g_hash_table_new(g_str_hash, g_str_equal);
        Container *dependency = registry_find(registry, word, error);

        if (!dependency) {
                g_prefix_error(error, "depend on \"%s\": ", word);
                return false;
        }
        if (id && reaches(registry, dependency, id, seen))
                return error_set(error, CONBUS_ERROR_WOULD_DEADLOCK, "depend on \"%s\": it depends on this container itself; dependencies cannot form a cycle", word);
        return true;
}

bool dependencies_check(Registry *registry, const char *id, GVariant *config, GError **error) {
        g_autofree const char **depends = config_strv(config, "depends");
        const char *network = config_string(config, "network", "");

        for (const char **word = depends; word && *word; word++)
                if (!check_one(registry, id, *word, error))
                        return false;
        return !g_str_has_prefix(network, "container:") || check_one(registry, id, network + strlen("container:"), error);
}

static char *id_of(Registry *registry, const char *word) {
        Container *container = registry_find(registry, word, NULL);

        return g_strdup(container ? container->id : word);
}

GVariant *dependencies_resolve(Registry *registry, GVariant *config) {
        g_autofree const char **depends = config_strv(config, "depends");
        const char *network = config_string(config, "network", "");
        g_autoptr(GPtrArray) ids = g_ptr_array_new_with_free_func(g_free);
        GVariantDict resolved;

        g_variant_dict_init(&resolved, config);
        for (const char **word = depends; word && *word; word++)
                g_ptr_array_add(ids, id_of(registry, *word));
        if (ids->len > 0)
                g_variant_dict_insert_value(&resolved, "depends", g_variant_new_strv((const char *const *) ids->pdata, ids->len));
        if (g_str_has_prefix(network, "container:")) {
                g_autofree char *id = id_of(registry, network + strlen("container:"));
                g_autofree char *joined = g_strconcat("container:", id, NULL);
                g_variant_dict_insert(&resolved, "network", "s", joined);
        }
        return g_variant_ref_sink(g_variant_dict_end(&resolved));
}
