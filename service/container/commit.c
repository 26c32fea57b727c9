/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The one way to change a container: store, memory, observers.
 *
 * An observer may commit in turn (a wait's answer never does, an action of the engine may). Its change is in the store and in memory when its commit_apply returns, but observers hear of it after they have all heard of the first one, so that nobody sees changes
 * in another order than they happened; each change therefore carries copies of the lives before and after. */

#include "container/commit.h"
#include "base/clock.h"
#include "container/internal.h"
#include <string.h>

Commit *commit_new(Container *container, Actor *actor) {
        Commit *commit = g_new0(Commit, 1);

        commit->container = container_ref(container);
        commit->actor = actor_ref(actor);
        life_copy(&commit->life, &container->life);
        commit->events = g_ptr_array_new_with_free_func((GDestroyNotify) event_free);
        commit->main = PIDREF_NULL;
        commit->monitor = PIDREF_NULL;
        return commit;
}

void commit_free(Commit *commit) {
        if (!commit)
                return;
        container_unref(commit->container);
        actor_unref(commit->actor);
        life_clear(&commit->life);
        g_free(commit->new_name);
        g_clear_pointer(&commit->new_config, g_variant_unref);
        run_free(commit->run);
        g_ptr_array_unref(commit->events);
        pidref_clear(&commit->main);
        pidref_clear(&commit->monitor);
        session_unref(commit->session);
        g_free(commit);
}

void commit_enter(Commit *commit, State state, Reason reason) {
        Life *life = &commit->life;

        if (life->state == state)
                return;
        if (!state_may_follow(life->state, state))
                g_error("%s cannot go from %s to %s", container_title(commit->container), state_to_string(life->state), state_to_string(state));
        life->state = state;
        life->reason = reason;
        life->state_usec = clock_realtime_usec();
        life->transitions++;
}

Run *commit_edit_run(Commit *commit) {
        Registry *registry = commit->container->registry;
        g_autoptr(GError) error = NULL;

        if (commit->run)
                return commit->run;
        if (registry && !store_get_run(registry->store, commit->container->id, commit->life.run, &commit->run, &error))
                g_warning("%s: %s", container_title(commit->container), error->message);
        if (!commit->run) {
                commit->run = run_new(commit->container->id, commit->life.run);
                memcpy(commit->run->invocation, commit->life.invocation, INVOCATION_SIZE);
        }
        return commit->run;
}

void commit_set_run_started(Commit *commit) {
        commit->run_started = true;
}

void commit_set_run_finished(Commit *commit) {
        commit->run_finished = true;
}

static void add_value(GVariantDict *dict, const char *key, GVariant *value) {
        if (value)
                g_variant_dict_insert_value(dict, key, value);
}

void commit_event(Commit *commit, const char *action, GVariant *details) {
        Container *container = commit->container;
        g_autoptr(GVariant) given = details ? g_variant_ref_sink(details) : NULL;
        g_autoptr(GVariant) labels = config_value(commit->new_config ? commit->new_config : container->config, "labels");
        g_autofree char *path = container_path(container);
        GVariantDict dict;

        g_variant_dict_init(&dict, given);
        g_variant_dict_insert(&dict, "name", "s", commit->new_name ? commit->new_name : container->name);
        g_variant_dict_insert(&dict, "image", "s", "");
        if (commit->life.run > 0)
                g_variant_dict_insert(&dict, "run", "t", commit->life.run);
        add_value(&dict, "labels", labels);
        add_value(&dict, "actor", actor_to_variant(commit->actor));
        g_ptr_array_add(commit->events, event_new("container", action, path, container->id, g_variant_dict_end(&dict)));
}

static void set_process(PidRef *kept, bool *is_set, StoredProcess *stored, PidRef *given) {
        pidref_clear(kept);
        *kept = pidref_steal(given);
        *is_set = true;
        stored->pid = kept->pid;
        stored->start_time = kept->start_time;
}

void commit_set_main(Commit *commit, PidRef *main) {
        set_process(&commit->main, &commit->set_main, &commit->life.main, main);
}

void commit_set_monitor(Commit *commit, PidRef *monitor) {
        set_process(&commit->monitor, &commit->set_monitor, &commit->life.monitor, monitor);
}

void commit_set_config(Commit *commit, GVariant *config) {
        g_clear_pointer(&commit->new_config, g_variant_unref);
        commit->new_config = g_variant_ref_sink(config);
}

void commit_set_name(Commit *commit, const char *name) {
        g_free(commit->new_name);
        commit->new_name = g_strdup(name);
}

void commit_set_error(Commit *commit, const GError *error) {
        g_autofree char *message = error ? g_utf8_make_valid(error->message, -1) : NULL; /* it may quote a program's output */

        life_set_string(&commit->life.error_name, error ? error_to_name(error) : "");
        life_set_string(&commit->life.error_message, message);
        commit->life.error_usec = error ? clock_realtime_usec() : 0;
}

void commit_set_session(Commit *commit, Session *session) {
        g_assert(!commit->session);
        commit->session = session_ref(session);
        commit->session_life = session->life;
}

void commit_set_add_session(Commit *commit) {
        commit->add_session = true;
}

void commit_set_remove_session(Commit *commit) {
        commit->remove_session = true;
}

void commit_set_create(Commit *commit, Registry *registry) {
        commit->create = true;
        commit->registry = registry;
}

void commit_set_remove(Commit *commit) {
        commit->remove = true;
}

/* --- applying --- */

static bool write_session(Commit *commit, Store *store, GError **error) {
        Session *session = commit->session;
        StoredSession row = {.number = session->number,
                             .container = session->container->id,
                             .owner_uid = session->owner_uid,
                             .client = session->client,
                             .created_usec = session->created_usec,
                             .user = session->user,
                             .request = session->request,
                             .life = commit->session_life};

        if (commit->remove_session)
                return store_delete_session(store, session->number, error);
        return store_put_session(store, &row, error);
}

static bool write_rows(Commit *commit, Store *store, GError **error) {
        Container *container = commit->container;
        bool whole = commit->create || commit->new_name || commit->new_config;
        StoredContainer row = {.id = container->id,
                               .name = commit->new_name ? commit->new_name : container->name,
                               .owner_uid = container->owner_uid,
                               .created_usec = container->created_usec,
                               .generation = container->generation + (commit->new_name || commit->new_config ? 1 : 0),
                               .config = commit->new_config ? commit->new_config : container->config,
                               .bundle = container->bundle,
                               .life = commit->life};

        if ((commit->run && !store_put_run(store, commit->run, error)) || (commit->session && !write_session(commit, store, error)))
                return false;
        if (commit->remove ? !store_delete_container(store, container->id, error) : whole ? !store_put_container(store, &row, error) : !store_put_life(store, container->id, &commit->life, error))
                return false;
        for (guint i = 0; i < commit->events->len; i++)
                if (!store_append_event(store, commit->events->pdata[i], error))
                        return false;
        return true;
}

static bool write_store(Commit *commit, Store *store, GError **error) {
        if (!store_begin(store, error))
                return false;
        if (write_rows(commit, store, error))
                return store_commit(store, error);
        store_rollback(store);
        return false;
}

/* A change and what it points to, until every observer has seen it. */
typedef struct Notice {
        Change change;
        Life old, now;
        SessionLife session_old, session_now;
        Run *run;
        GPtrArray *events;
} Notice;

static void notice_free(Notice *notice) {
        life_clear(&notice->old);
        life_clear(&notice->now);
        run_free(notice->run);
        g_ptr_array_unref(notice->events);
        session_unref(notice->change.session);
        container_unref(notice->change.container);
        g_free(notice);
}

static void notify(Registry *registry, Notice *notice) {
        g_queue_push_tail(&registry->pending, notice);
        if (registry->notifying)
                return;
        registry->notifying = true;
        while ((notice = g_queue_pop_head(&registry->pending))) {
                for (int i = 0; i < N_OBSERVERS; i++)
                        if (registry->observers[i])
                                registry->observers[i](&notice->change, registry->userdata[i]);
                notice_free(notice);
        }
        registry->notifying = false;
}

static Notice *notice_new(Commit *commit, const Life *old) {
        Notice *notice = g_new0(Notice, 1);

        life_copy(&notice->old, old);
        life_copy(&notice->now, &commit->life);
        notice->run = commit->run ? run_copy(commit->run) : NULL;
        notice->events = g_ptr_array_ref(commit->events);
        notice->change = (Change) {
                .container = container_ref(commit->container),
                .old = &notice->old,
                .now = &notice->now,
                .appeared = commit->create,
                .vanished = commit->remove,
                .config_changed = commit->new_name || commit->new_config,
                .run_started = commit->run_started ? notice->run : NULL,
                .run_finished = commit->run_finished ? notice->run : NULL,
                .events = notice->events,
        };
        if (commit->session) {
                notice->session_old = commit->session->life;
                notice->session_now = commit->session_life;
                notice->change.session = session_ref(commit->session);
                notice->change.session_old = &notice->session_old;
                notice->change.session_now = &notice->session_now;
                notice->change.session_appeared = commit->add_session;
                notice->change.session_vanished = commit->remove_session;
        }
        return notice;
}

static void change_session(Commit *commit, Registry *registry) {
        Session *session = commit->session;
        GPtrArray *sessions = session->container->sessions;

        session->life = commit->session_life;
        session->removed = commit->remove_session;
        if (commit->add_session) {
                g_ptr_array_add(sessions, session_ref(session));
                registry->n_sessions++;
        } else if (commit->remove_session) {
                g_ptr_array_remove(sessions, session);
                registry->n_sessions--;
        }
}

static void change_config(Container *container, Registry *registry, GVariant *config) {
        registry_forget_dependencies(registry, container);
        g_variant_unref(container->config);
        container->config = g_variant_ref(config);
        if (container->registry)
                registry_note_dependencies(registry, container);
}

static void change_memory(Commit *commit, Registry *registry) {
        Container *container = commit->container;

        if (!commit->create)
                registry_tally(registry, &container->life, -1);
        life_clear(&container->life);
        life_copy(&container->life, &commit->life);
        if (commit->set_main) {
                pidref_clear(&container->main);
                container->main = pidref_steal(&commit->main);
        }
        if (commit->set_monitor) {
                pidref_clear(&container->monitor);
                container->monitor = pidref_steal(&commit->monitor);
        }
        if (commit->new_config)
                change_config(container, registry, commit->new_config);
        if (commit->new_name || commit->new_config)
                container->generation++;
        if (commit->session)
                change_session(commit, registry);
        if (commit->create) {
                registry_add(registry, container);
                return;
        }
        registry_tally(registry, &container->life, 1);
        if (commit->new_name)
                registry_rename(registry, container, commit->new_name);
        if (commit->remove)
                registry_remove(registry, container);
}

bool commit_apply(Commit *commit, GError **error) {
        Container *container = commit->container;
        Registry *registry = commit->registry ? commit->registry : container->registry;

        g_assert(registry);
        life_set_string(&commit->life.boot_id, clock_boot_id());
        if (commit->new_name && (registry_get_by_name(registry, commit->new_name) || g_hash_table_contains(registry->reserved, commit->new_name)))
                return error_set(error, CONBUS_ERROR_NAME_IN_USE, "rename %s: the name \"%s\" is taken by another container", container_title(container), commit->new_name);
        if (!write_store(commit, registry->store, error)) {
                g_prefix_error(error, "%s: ", container_title(container));
                return false;
        }
        Notice *notice = notice_new(commit, &container->life);
        change_memory(commit, registry);
        notify(registry, notice);
        return true;
}

void registry_notify_operation(Registry *registry, Container *container) {
        Notice *notice = g_new0(Notice, 1);

        life_copy(&notice->old, &container->life);
        life_copy(&notice->now, &container->life);
        notice->events = g_ptr_array_new();
        notice->change = (Change) {.container = container_ref(container), .old = &notice->old, .now = &notice->now, .operation_changed = true, .events = notice->events};
        notify(registry, notice);
}
