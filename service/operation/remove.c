/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Remove: `removing` is stored first and synced, then everything shrinks, then the row goes; the records of runs stay. A service that dies in between resumes it, before anybody is told of the container (adopt.c): so what has been synced once is not undone by a power cut, and the end of the row needs no sync of its own. */

#include "operation/internal.h"
#include "operation/kept.h"
#include "operation/volumes.h"
#include "base/log.h"
#include "storage/tree.h"

static void on_synced(const GError *error, void *userdata) {
        Operation *operation = userdata;

        if (error)
                operation_fail(operation, g_error_copy(error));
        operation_set_result(operation, g_variant_new("()"));
        operation_continue(operation);
}

static GVariant *remove_details(Container *container) {
        GVariantDict details;

        g_variant_dict_init(&details, NULL);
        g_variant_dict_insert(&details, "exit-code", "i", container->life.exit_code);
        g_variant_dict_insert(&details, "signal", "i", container->life.exit_signal);
        g_variant_dict_insert(&details, "result", "s", result_to_string(container->life.result));
        return g_variant_dict_end(&details);
}

/* What it depended on may be an auto-remove container whose removal it was in the way of. */
static void let_dependencies_go(Operation *operation) {
        g_autoptr(GPtrArray) dependencies = registry_dependencies(operation->engine->registry, operation->container);

        for (guint i = 0; i < dependencies->len; i++)
                removal_ensure(operation->engine, dependencies->pdata[i]);
}

static void on_files_gone(Operation *operation) {
        Container *container = operation->container;

        if (operation->step_error)
                operation_fail(operation, g_steal_pointer(&operation->step_error));
        if (operation->error) { /* stays `removing` and is tried again */
                operation_continue(operation);
                return;
        }
        g_autoptr(Commit) commit = commit_new(container, operation->actor);
        commit_set_remove(commit);
        commit_event(commit, "remove", remove_details(container));
        if (!operation_commit(operation, commit)) {
                operation_continue(operation);
                return;
        }
        let_dependencies_go(operation);
        repair_forget(container);
        if (operation->removing_is_synced)
                on_synced(NULL, operation);
        else
                store_sync(operation->engine->store, on_synced, operation);
}

/* Nothing of it is mounted any more. Anonymous volumes of a container that removes itself are as passing as it is. */
static GPtrArray *removal(const Paths *paths, const Container *container) {
        GPtrArray *argv = g_ptr_array_new_with_free_func(g_free);
        bool anonymous = container->life.remove_volumes || config_bool(container->config, "auto-remove", false);

        for (const char *const *word = (const char *const[]) {"rm", "-rf", "--one-file-system", "--", NULL}; *word; word++)
                g_ptr_array_add(argv, g_strdup(*word));
        g_ptr_array_add(argv, paths_state_of(paths, container->id, NULL));
        g_ptr_array_add(argv, paths_run_of(paths, container->id, NULL));
        volumes_add_removed(paths, container, anonymous, argv);
        g_ptr_array_add(argv, NULL);
        return argv;
}

static void remove_files(Operation *operation) {
        g_autoptr(GPtrArray) argv = removal(operation->engine->paths, operation->container);

        g_clear_error(&operation->step_error);
        operation_then(operation, on_files_gone);
        if (tree_remove_small((const char *const *) argv->pdata))
                operation_continue(operation);
        else
                operation_process_or(operation, tree_remove, (const char *const *) argv->pdata);
}

/* A disk that cannot be written to is told of at the end; it is no reason to keep the container. */
static void on_removing_synced(const GError *error, void *userdata) {
        Operation *operation = userdata;

        operation->removing_is_synced = !error;
        remove_files(operation);
}

/* Without the sync a power cut could leave a container that is not `removing` and has lost its files. One that removes itself goes after a boot in any case. */
static void on_runtime_empty(Operation *operation) {
        Container *container = operation->container;
        GError *error = NULL;

        if (!operation->error && (!kept_release(operation->engine->paths, container->id, &error) || !sessions_remove_all(operation->engine, container, &error)))
                operation_fail(operation, error);
        if (operation->error)
                operation_continue(operation);
        else if (config_bool(container->config, "auto-remove", false))
                remove_files(operation);
        else
                store_sync(operation->engine->store, on_removing_synced, operation);
}

static void begin_removing(Operation *operation) {
        Container *container = operation->container;

        if (operation->error) {
                operation_continue(operation);
                return;
        }
        if (container->life.state != STATE_REMOVING) {
                g_autoptr(Commit) commit = commit_new(container, operation->actor);
                commit->life.next_restart_usec = 0;
                commit->life.health_action = "";
                commit->life.boot_due = false;
                commit->life.remove_volumes = option_bool(operation, "volumes");
                commit_enter(commit, STATE_REMOVING, REASON_USER);
                if (!operation_commit(operation, commit)) {
                        operation_continue(operation);
                        return;
                }
                repair_forget(container);
        }
        policy_forget(container);
        managed_forget(container);
        health_forget(container);
        readiness_close(container);
        operation->keep_rootfs = false;
        operation_then(operation, on_runtime_empty);
        runtime_discard(operation);
}

static void on_run_over(Operation *operation) {
        Container *container = operation->container;

        if (!operation->error && (state_is_active(container->life.state) || container->life.run_open)) {
                operation_fail_state(operation, "created, stopped or exited, or with force");
        }
        begin_removing(operation);
}

static void end_run(Operation *operation) {
        Container *container = operation->container;

        if (operation->error) {
                operation_continue(operation);
                return;
        }
        operation_then(operation, on_run_over);
        if (container->life.state == STATE_UNKNOWN || (container->life.state == STATE_PAUSED && container->supervision)) {
                kill_now(container);
                lifecycle_await_end(operation);
        } else if (state_is_active(container->life.state))
                stop_begin(operation);
        else
                operation_continue(operation);
}

/* Dependents go first, each by an operation of its own, in reverse order of dependence since each removes its own dependents before itself. */
struct Dependents {
        unsigned n_left;
};

static void on_dependent_removed(Operation *dependent, GVariant *result, const GError *error, void *userdata) {
        Operation *operation = userdata;
        struct Dependents *dependents = operation->data;

        /* One that depends on two of them is removed by whichever comes first. */
        if (error && !g_error_matches(error, CONBUS_ERROR, CONBUS_ERROR_NO_SUCH_CONTAINER))
                operation_fail(operation, g_error_copy(error));
        if (--dependents->n_left == 0)
                operation_continue(operation);
        operation_unref(operation);
}

static void remove_dependents(Operation *operation, GPtrArray *list) {
        struct Dependents *dependents = g_new0(struct Dependents, 1);

        operation->data = dependents;
        operation->free_data = g_free;
        dependents->n_left = 1; /* until all have been submitted */
        for (guint i = 0; i < list->len; i++) {
                GError *error = NULL;
                dependents->n_left++;
                if (operation_submit(operation->engine, list->pdata[i], VERB_REMOVE, operation->options, operation->actor, on_dependent_removed, operation_ref(operation), &error))
                        continue;
                dependents->n_left--;
                operation_unref(operation);
                if (g_error_matches(error, CONBUS_ERROR, CONBUS_ERROR_REMOVED))
                        g_error_free(error);
                else
                        operation_fail(operation, error);
        }
        operation_give_slot_back(operation);
        if (--dependents->n_left == 0)
                operation_continue(operation);
}

void removal_of_dependents(Operation *operation) {
        g_autoptr(GPtrArray) dependents = registry_dependents(operation->engine->registry, operation->container);

        if (dependents->len > 0)
                remove_dependents(operation, dependents);
        else
                operation_continue(operation);
}

static char *list_names(GPtrArray *containers) {
        GString *text = g_string_new(NULL);

        for (guint i = 0; i < containers->len; i++)
                g_string_append_printf(text, "%s%s", i ? ", " : "", ((Container *) containers->pdata[i])->name);
        return g_string_free(text, FALSE);
}

void remove_step(Operation *operation) {
        Container *container = operation->container;
        State state = container->life.state;
        bool force = option_bool(operation, "force");

        if (container->removed)
                operation_fail_code(operation, CONBUS_ERROR_NO_SUCH_CONTAINER, "it has been removed");
        else if (!force && state != STATE_INITIALIZED && (state_is_active(state) || state == STATE_UNKNOWN))
                operation_fail_state(operation, "created, initialized, stopped or exited; the option force stops it first");
        if (operation->error) {
                operation_continue(operation);
                return;
        }
        if (state == STATE_REMOVING) {
                begin_removing(operation);
                return;
        }
        g_autoptr(GPtrArray) dependents = registry_dependents(operation->engine->registry, container);
        if (dependents->len > 0 && !option_bool(operation, "dependents")) {
                g_autofree char *names = list_names(dependents);
                operation_fail(operation, g_error_new(CONBUS_ERROR, CONBUS_ERROR_DEPENDENTS_EXIST, "remove %s: these containers depend on it: %s; the option dependents removes them first",
                                                      container_title(container), names));
                operation_continue(operation);
                return;
        }
        operation_then(operation, end_run);
        removal_of_dependents(operation);
}

/* It removes itself and its policy has declined, or its removal has begun. */
static bool is_to_go(Container *container) {
        const Life *life = &container->life;
        bool declined = life->state == STATE_EXITED && life->run > 0 && !life->run_open && life->next_restart_usec == 0;

        return !container->removed && (life->state == STATE_REMOVING || (declined && config_bool(container->config, "auto-remove", false)));
}

/* It goes before whatever waits, as the cleanup did before it. */
void removal_retry(Engine *engine, Container *container) {
        Operation *head = g_queue_peek_head(&container->operations);

        if (is_to_go(container) && !(head && (head->running || head->verb == VERB_REMOVE)))
                operation_submit_first(engine, container, VERB_REMOVE, NULL, NULL, NULL);
}

void removal_ensure(Engine *engine, Container *container) {
        if (container->life.state != STATE_REMOVING && !repair_is_due(container))
                removal_retry(engine, container);
}

/* Dependents are no failure that time would mend: their removal is what lets it go. */
void removal_failed(Operation *operation) {
        if (is_to_go(operation->container) && !g_error_matches(operation->error, CONBUS_ERROR, CONBUS_ERROR_DEPENDENTS_EXIST))
                repair_later(operation->engine, operation->container);
}
