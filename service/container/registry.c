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
        registry->dependents = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify) g_ptr_array_unref);
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
        g_hash_table_unref(registry->dependents);
        g_clear_pointer(&registry->by_prefix, g_ptr_array_unref);
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

/* --- in the order of ids --- */

static int compare_ids(const void *a, const void *b) {
        return strcmp((*(Container *const *) a)->id, (*(Container *const *) b)->id);
}

/* Where the first id is that is not below the word. */
static guint lower_bound(const GPtrArray *sorted, const char *word) {
        guint low = 0, high = sorted->len;

        while (low < high) {
                guint middle = low + (high - low) / 2;
                if (strcmp(((Container *) sorted->pdata[middle])->id, word) < 0)
                        low = middle + 1;
                else
                        high = middle;
        }
        return low;
}

/* Sorted once when it is first asked for, which most lives of the service never do, and kept in order from then on. */
static const GPtrArray *ids_in_order(Registry *registry) {
        if (registry->by_prefix)
                return registry->by_prefix;
        registry->by_prefix = g_ptr_array_sized_new(registry->in_order->len);
        for (guint i = 0; i < registry->in_order->len; i++)
                g_ptr_array_add(registry->by_prefix, registry->in_order->pdata[i]);
        g_ptr_array_sort(registry->by_prefix, compare_ids);
        return registry->by_prefix;
}

/* --- who names whom as a dependency --- */

/* Ids as dependencies_resolve has left them, borrowed from the configuration. */
static GPtrArray *dependency_ids(GVariant *config) {
        GPtrArray *ids = g_ptr_array_new();
        g_autofree const char **depends = config_strv(config, "depends");
        const char *network = config_string(config, "network", "");

        for (const char **id = depends; id && *id; id++)
                g_ptr_array_add(ids, (void *) *id);
        if (g_str_has_prefix(network, "container:"))
                g_ptr_array_add(ids, (void *) (network + strlen("container:")));
        return ids;
}

void registry_note_dependencies(Registry *registry, Container *container) {
        g_autoptr(GPtrArray) ids = dependency_ids(container->config);

        for (guint i = 0; i < ids->len; i++) {
                GPtrArray *dependents = g_hash_table_lookup(registry->dependents, ids->pdata[i]);
                if (!dependents) {
                        dependents = g_ptr_array_new();
                        g_hash_table_insert(registry->dependents, g_strdup(ids->pdata[i]), dependents);
                }
                if (!g_ptr_array_find(dependents, container, NULL))
                        g_ptr_array_add(dependents, container);
        }
}

void registry_forget_dependencies(Registry *registry, Container *container) {
        g_autoptr(GPtrArray) ids = dependency_ids(container->config);

        for (guint i = 0; i < ids->len; i++) {
                GPtrArray *dependents = g_hash_table_lookup(registry->dependents, ids->pdata[i]);
                if (dependents && g_ptr_array_remove(dependents, container) && dependents->len == 0)
                        g_hash_table_remove(registry->dependents, ids->pdata[i]);
        }
}

/* --- what there is --- */

void registry_add(Registry *registry, Container *container) {
        container->registry = registry;
        g_ptr_array_add(registry->in_order, container_ref(container));
        g_hash_table_insert(registry->by_id, container->id, container);
        g_hash_table_insert(registry->by_name, container->name, container);
        if (registry->by_prefix)
                g_ptr_array_insert(registry->by_prefix, (int) lower_bound(registry->by_prefix, container->id), container);
        registry_note_dependencies(registry, container);
        registry_tally(registry, &container->life, 1);
}

void registry_remove(Registry *registry, Container *container) {
        g_hash_table_remove(registry->by_id, container->id);
        g_hash_table_remove(registry->by_name, container->name);
        if (registry->by_prefix)
                g_ptr_array_remove_index(registry->by_prefix, lower_bound(registry->by_prefix, container->id));
        registry_forget_dependencies(registry, container);
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
        const GPtrArray *sorted = ids_in_order(registry);
        guint first = lower_bound(sorted, prefix), n = 0;

        while (n < 2 && first + n < sorted->len && g_str_has_prefix(((Container *) sorted->pdata[first + n])->id, prefix))
                n++;
        if (n == 1)
                return sorted->pdata[first];
        if (n == 0)
                error_set(error, CONBUS_ERROR_NO_SUCH_CONTAINER, "no container has the name or id \"%s\"", prefix);
        else
                error_set(error, CONBUS_ERROR_AMBIGUOUS_NAME, "the ids of more than one container begin with \"%s\"; give more digits", prefix);
        return NULL;
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

GPtrArray *registry_dependencies(Registry *registry, Container *container) {
        g_autoptr(GPtrArray) ids = dependency_ids(container->config);
        GPtrArray *list = g_ptr_array_new();

        for (guint i = 0; i < ids->len; i++) {
                Container *dependency = registry_get(registry, ids->pdata[i]);
                if (dependency && !g_ptr_array_find(list, dependency, NULL))
                        g_ptr_array_add(list, dependency);
        }
        return list;
}

GPtrArray *registry_dependents(Registry *registry, Container *container) {
        const GPtrArray *dependents = g_hash_table_lookup(registry->dependents, container->id);
        GPtrArray *list = g_ptr_array_new();

        for (guint i = 0; dependents && i < dependents->len; i++)
                if (dependents->pdata[i] != container)
                        g_ptr_array_add(list, dependents->pdata[i]);
        return list;
}
