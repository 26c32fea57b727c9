/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* All containers, found by id, name or prefix, and their dependencies. */

#include "container/internal.h"
#include <errno.h>
#include <string.h>
#include <sys/random.h>

Registry *registry_new(Store *store) {
        Registry *registry = g_new0(Registry, 1);

        registry->store = store;
        registry->by_id = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, NULL);
        registry->by_name = g_hash_table_new(g_str_hash, g_str_equal);
        registry->reserved = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
        registry->in_order = g_ptr_array_new_with_free_func((GDestroyNotify) container_unref);
        g_queue_init(&registry->pending);
        return registry;
}

void registry_free(Registry *registry) {
        if (!registry)
                return;
        for (guint i = 0; i < registry->in_order->len; i++) {
                Container *container = registry->in_order->pdata[i];
                container->registry = NULL;
                g_ptr_array_set_size(container->sessions, 0); /* each refers to its container */
        }
        g_hash_table_unref(registry->by_id);
        g_hash_table_unref(registry->by_name);
        g_hash_table_unref(registry->reserved);
        g_ptr_array_unref(registry->in_order);
        g_free(registry);
}

void registry_set_observer(Registry *registry, ObserverOrder order, ChangeObserver observer, void *userdata) {
        registry->observers[order] = observer;
        registry->userdata[order] = userdata;
}

Store *registry_store(Registry *registry) {
        return registry->store;
}

void registry_tally(Registry *registry, const Life *life, int change) {
        registry->counts[life->state] += (unsigned) change;
        if (life->next_restart_usec != 0)
                registry->n_restarts += (unsigned) change;
}

void registry_add(Registry *registry, Container *container) {
        container->registry = registry;
        g_ptr_array_add(registry->in_order, container_ref(container));
        g_hash_table_insert(registry->by_id, container->id, container);
        g_hash_table_insert(registry->by_name, container->name, container);
        registry_tally(registry, &container->life, 1);
}

void registry_remove(Registry *registry, Container *container) {
        g_hash_table_remove(registry->by_id, container->id);
        g_hash_table_remove(registry->by_name, container->name);
        registry_tally(registry, &container->life, -1);
        container->removed = true;
        g_ptr_array_remove(registry->in_order, container);
}

void registry_rename(Registry *registry, Container *container, const char *name) {
        g_hash_table_remove(registry->by_name, container->name);
        g_free(container->name);
        g_clear_pointer(&container->title, g_free);
        container->name = g_strdup(name);
        g_hash_table_insert(registry->by_name, container->name, container);
}

Container *registry_get(Registry *registry, const char *id) {
        return g_hash_table_lookup(registry->by_id, id);
}

Container *registry_get_by_name(Registry *registry, const char *name) {
        return g_hash_table_lookup(registry->by_name, name);
}

static bool is_hex(const char *word) {
        return strspn(word, "0123456789abcdef") == strlen(word);
}

static Container *find_by_prefix(Registry *registry, const char *prefix, GError **error) {
        Container *found = NULL;

        for (guint i = 0; i < registry->in_order->len; i++) {
                Container *container = registry->in_order->pdata[i];
                if (!g_str_has_prefix(container->id, prefix))
                        continue;
                if (found) {
                        error_set(error, CONBUS_ERROR_AMBIGUOUS_NAME, "the ids of more than one container begin with \"%s\"; give more digits", prefix);
                        return NULL;
                }
                found = container;
        }
        if (!found)
                error_set(error, CONBUS_ERROR_NO_SUCH_CONTAINER, "no container has the name or id \"%s\"", prefix);
        return found;
}

Container *registry_find(Registry *registry, const char *word, GError **error) {
        Container *container = registry_get_by_name(registry, word);

        if (!container)
                container = registry_get(registry, word);
        if (container)
                return container;
        if (strlen(word) >= 4 && is_hex(word))
                return find_by_prefix(registry, word, error);
        error_set(error, CONBUS_ERROR_NO_SUCH_CONTAINER, "no container has the name or id \"%s\"", word);
        return NULL;
}

GPtrArray *registry_list(Registry *registry) {
        GPtrArray *list = g_ptr_array_new_full(registry->in_order->len, (GDestroyNotify) container_unref);

        for (guint i = 0; i < registry->in_order->len; i++)
                g_ptr_array_add(list, container_ref(registry->in_order->pdata[i]));
        return list;
}

unsigned registry_count(Registry *registry, State state) {
        return state == N_STATES ? registry->in_order->len : registry->counts[state];
}

unsigned registry_count_sessions(Registry *registry) {
        return registry->n_sessions;
}

unsigned registry_count_restarts(Registry *registry) {
        return registry->n_restarts;
}

bool registry_reserve_name(Registry *registry, const char *name, GError **error) {
        if (registry_get_by_name(registry, name) || g_hash_table_contains(registry->reserved, name))
                return error_set(error, CONBUS_ERROR_NAME_IN_USE, "the name \"%s\" is taken by another container; choose another one, or rename or remove that one", name);
        g_hash_table_add(registry->reserved, g_strdup(name));
        return true;
}

void registry_release_name(Registry *registry, const char *name) {
        g_hash_table_remove(registry->reserved, name);
}

char *registry_new_id(Registry *registry) {
        for (;;) {
                guint8 bytes[32];
                GString *id = g_string_sized_new(64);
                if (getrandom(bytes, sizeof bytes, 0) != (ssize_t) sizeof bytes)
                        g_error("getrandom(2) gave no bytes");
                for (size_t i = 0; i < sizeof bytes; i++)
                        g_string_append_printf(id, "%02x", bytes[i]);
                /* A prefix of digits alone reads as a number in many shells and tools; the chance is small, so is the cost. */
                if (!registry_get(registry, id->str) && strspn(id->str, "0123456789") < 12)
                        return g_string_free(id, FALSE);
                g_string_free(id, TRUE);
        }
}

char *registry_new_name(Registry *registry) {
        static const char *const manners[] = {"brave", "calm", "clever", "eager", "gentle", "happy", "keen", "kind", "lively", "merry", "patient", "proud", "quick", "quiet", "steady", "witty"};
        static const char *const animals[] = {"badger", "beaver", "crane", "falcon", "fox", "hare", "heron", "lynx", "marten", "otter", "owl", "raven", "seal", "stork", "swift", "wren"};

        for (;;) {
                guint32 dice = g_random_int();
                g_autofree char *name = g_strdup_printf("%s_%s%u", manners[dice % G_N_ELEMENTS(manners)], animals[(dice >> 8) % G_N_ELEMENTS(animals)], (dice >> 16) % 1000);
                if (!registry_get_by_name(registry, name) && !g_hash_table_contains(registry->reserved, name))
                        return g_steal_pointer(&name);
        }
}

static void on_loaded(const StoredContainer *row, void *userdata) {
        Registry *registry = userdata;
        g_autoptr(Container) container = container_new(row->id, row->name, row->owner_uid, row->config);

        g_free(container->bundle);
        container->bundle = g_strdup(row->bundle);
        container->created_usec = row->created_usec;
        container->generation = row->generation;
        life_clear(&container->life);
        life_copy(&container->life, &row->life);
        registry_add(registry, container);
}

static void on_session_loaded(const StoredSession *row, void *userdata) {
        Container *container = registry_get(userdata, row->container);

        if (!container)
                return;
        Session *session = session_restore(container, row);
        g_ptr_array_add(container->sessions, session);
        container->registry->n_sessions++;
}

bool registry_load(Registry *registry, GError **error) {
        return store_load(registry->store, on_loaded, registry, error) && store_load_sessions(registry->store, on_session_loaded, registry, error);
}

static void add_dependency(Registry *registry, GPtrArray *list, const char *word) {
        g_autoptr(GError) error = NULL;
        Container *dependency = registry_find(registry, word, &error);

        if (dependency && !g_ptr_array_find(list, dependency, NULL))
                g_ptr_array_add(list, dependency);
}

GPtrArray *registry_dependencies(Registry *registry, Container *container) {
        GPtrArray *list = g_ptr_array_new();
        g_autofree const char **depends = config_strv(container->config, "depends");
        const char *network = config_string(container->config, "network", "");

        for (const char **word = depends; word && *word; word++)
                add_dependency(registry, list, *word);
        if (g_str_has_prefix(network, "container:"))
                add_dependency(registry, list, network + strlen("container:"));
        return list;
}

GPtrArray *registry_dependents(Registry *registry, Container *container) {
        GPtrArray *list = g_ptr_array_new();

        for (guint i = 0; i < registry->in_order->len; i++) {
                Container *other = registry->in_order->pdata[i];
                if (other == container)
                        continue;
                g_autoptr(GPtrArray) dependencies = registry_dependencies(registry, other);
                if (g_ptr_array_find(dependencies, container, NULL))
                        g_ptr_array_add(list, other);
        }
        return list;
}
