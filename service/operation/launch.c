/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Init: a run is opened, its place is prepared (root file system, config.json, directories), conmon is launched with crun create, and the container is `initialized`; or all of it is undone and the run has ended as `start-failed`.
 *
 * conmon takes the end of file on its start pipe as "go". So it is forked held, before exec: its pid and start time are committed while it waits, and should the service die in between, it never runs;
 * should the service die later, adoption finds the pid in the row of a run that never reached `initialized`, and kills it. */

#include "operation/internal.h"
#include "operation/kept.h"
#include "operation/materials.h"
#include "operation/volumes.h"
#include "base/clock.h"
#include "base/log.h"
#include "runtime/cgroup.h"
#include "runtime/seccomp.h"
#include "runtime/spec.h"
#include "storage/rootfs.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#define MOVE_USEC 5000

static char *run_path(Operation *operation, const char *name) {
        char number[32];

        snprintf(number, sizeof number, "%" G_GUINT64_FORMAT, operation->run);
        g_autofree char *directory = paths_run_of(operation->engine->paths, operation->container->id, number);
        return name ? g_build_filename(directory, name, NULL) : g_steal_pointer(&directory);
}

static bool make_directory(const char *path, GError **error) {
        if (g_mkdir_with_parents(path, 0700) < 0)
                return error_errno(error, errno, "make the directory %s", path);
        return true;
}

static bool write_file(const char *path, const char *text, GError **error) {
        autofd int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
        size_t left = strlen(text);

        if (fd < 0)
                return error_errno(error, errno, "write %s", path);
        while (left > 0) {
                ssize_t n = write(fd, text, left);
                if (n < 0)
                        return error_errno(error, errno, "write %s", path);
                text += n;
                left -= (size_t) n;
        }
        return true;
}

static bool prepare_rootfs(Operation *operation, GError **error) {
        Container *container = operation->container;
        const Paths *paths = operation->engine->paths;
        const char *base = config_string(container->config, "rootfs", NULL);
        g_autofree char *upper = paths_state_of(paths, container->id, "upper");
        g_autofree char *work = paths_state_of(paths, container->id, "work");
        g_autofree char *merged = paths_run_of(paths, container->id, "rootfs");
        RootfsPlan plan = {.base = base, .mode = config_string(container->config, "rootfs-mode", "overlay"), .upper = upper, .work = work, .merged = merged};

        if (*container->bundle && !base) /* the bundle's own root.path, as it is */
                return true;
        g_free(operation->rootfs);
        operation->rootfs = rootfs_prepare(&plan, error);
        return operation->rootfs != NULL;
}

/* Namespaces of other containers: they run (dependencies_step), and their pidfd keeps the number from being reused while crun opens the path. */
static bool join_namespaces(Operation *operation, SpecInput *input, char **ret_network, GError **error) {
        Container *container = operation->container;
        const char *network = config_string(container->config, "network", "private");

        *ret_network = kept_network_path(operation->engine->paths, container);
        if (g_str_has_prefix(network, "ns:"))
                *ret_network = g_strdup(network + strlen("ns:"));
        else if (g_str_has_prefix(network, "container:")) {
                Container *other = registry_find(operation->engine->registry, network + strlen("container:"), error);
                if (!other)
                        return false;
                if (!pidref_is_set(&other->main))
                        return error_set(error, CONBUS_ERROR_DEPENDENCY_FAILED, "join the network of %s: it does not run", container_title(other));
                *ret_network = g_strdup_printf("/proc/%d/ns/net", (int) other->main.pid);
        }
        if (*ret_network) {
                input->namespaces[0][0] = "network";
                input->namespaces[0][1] = *ret_network;
        }
        return true;
}

static bool write_spec(Operation *operation, const char *cgroup, GError **error) {
        Container *container = operation->container;
        g_autofree char *hostname = g_strndup(container->id, 12);
        g_autofree char *kept = kept_path(operation->engine->paths, container);
        g_autofree char *init = NULL, *network = NULL, *notify = NULL, *text = NULL;
        g_autofree char *config_json = run_path(operation, "config.json");
        SpecInput input = {.id = container->id, .name = container->name, .config = container->config, .rootfs = operation->rootfs, .cgroups_path = cgroup, .hostname_default = hostname, .ret_unfiltered = &operation->unfiltered_profile};

        input.root_readonly = config_bool(container->config, "read-only", false) || g_str_equal(config_string(container->config, "rootfs-mode", "overlay"), "read-only");
        if (!join_namespaces(operation, &input, &network, error) || !readiness_prepare(operation->engine, container, operation->run, &notify, error))
                return false;
        input.notify_directory = notify;
        if (config_bool(container->config, "init", false) && !(init = paths_find_init(operation->engine->paths, error)))
                return false;
        input.init = init;
        input.kept = kept;
        g_autoptr(GPtrArray) mounts = materials_mounts(operation->engine->paths, container);
        input.mounts = mounts;
        input.credentials = materials_credentials_directory(container);
        text = *container->bundle ? spec_from_bundle(container->bundle, &input, error) : spec_write(&input, error);
        return text && write_file(config_json, text, error);
}

static bool let_through(const char *directory, GError **error) {
        return chmod(directory, 0711) == 0 || error_errno(error, errno, "let others through %s", directory);
}

/* What is root in a user namespace walks to the root file system with the rights of the user and the group that it is on the host. It may pass, and change nothing; nobody else gets into the container's directory. */
static bool open_way(Operation *operation, GError **error) {
        const Paths *paths = operation->engine->paths;
        GVariant *config = operation->container->config;
        g_autoptr(GVariant) uid_map = config_value(config, "uid-map");
        g_autofree char *above = g_build_filename(paths->run, "containers", NULL), *directory = paths_run_of(paths, operation->container->id, NULL);
        guint32 uid, gid;

        if (!uid_map)
                return true;
        if (!config_find_host_ids(config, 0, 0, &uid, &gid))
                return error_set(error, CONBUS_ERROR_INVALID_CONFIG, "configuration keys \"uid-map\" and \"gid-map\": they do not map 0");
        if (chown(directory, 0, gid) < 0 || chmod(directory, 0710) < 0)
                return error_errno(error, errno, "give %s its group", directory);
        return let_through(paths->run, error) && let_through(above, error);
}

static bool prepare_place(Operation *operation, GError **error) {
        Container *container = operation->container;
        g_autofree char *directory = run_path(operation, NULL);
        g_autofree char *persist = run_path(operation, "persist");
        g_autofree char *state = paths_state_of(operation->engine->paths, container->id, NULL);

        return make_directory(directory, error) && make_directory(persist, error) && make_directory(state, error) && kept_check(operation->engine->paths, container, error) && open_way(operation, error) && prepare_rootfs(operation, error);
}

static bool prepare_contents(Operation *operation, GError **error) {
        Container *container = operation->container;
        g_autofree char *cgroup = cgroup_path_for(container->id);

        return materials_prepare(operation->engine->paths, container, operation->rootfs, error) &&
               (operation->engine->units || write_spec(operation, cgroup, error)); /* a scope's group is known when it has been made */
}

static void record_later(Operation *operation, const GError *error);

/* Undoing a launch: the runtime has been emptied; the run ends as start-failed and the container is what it was, or `exited` if that was `stopped`. */
static void on_undone(Operation *operation) {
        Container *container = operation->container;
        g_autoptr(GError) error = NULL;
        g_autoptr(Commit) commit = commit_new(container, operation->actor);
        Life *life = &commit->life;

        life->mounted = false;
        life->boot_due = false;
        life->health_action = "";
        life_set_string(&life->cgroup, "");
        lifecycle_close_run(commit, RESULT_START_FAILED, REASON_START_FAILED, crun_exit_code_of(operation->error), 0);
        if (life->state == STATE_STOPPED)
                commit_enter(commit, STATE_EXITED, REASON_START_FAILED);
        if (operation->internal_restart)
                policy_plan(operation->engine, container, commit, true);
        if (!commit_apply(commit, &error)) {
                record_later(operation, error);
                return;
        }
        policy_arm(operation->engine, container);
        operation_continue(operation);
}

static int on_record_due(sd_event_source *source, guint64 usec, void *userdata) {
        Operation *operation = userdata;

        g_clear_pointer(&operation->timer, sd_event_source_disable_unref);
        on_undone(operation);
        return 0;
}

/* A run that is open in the store must not stay so, as after a full disk. The caller need not wait for it. */
static void record_later(Operation *operation, const GError *error) {
        log_error("record that run %" G_GUINT64_FORMAT " of %s failed: %s; trying again each second", operation->run, container_title(operation->container), error->message);
        operation_answer(operation, operation->error);
        int r = sd_event_add_time(operation->engine->event, &operation->timer, CLOCK_BOOTTIME, clock_boottime_in(G_USEC_PER_SEC), 0, on_record_due, operation);
        g_assert(r >= 0);
}

/* What crun has made so far is in the container's group, which is not written down anywhere yet; nor does crun know of it before its create has come to an end. */
void launch_kill(Engine *engine, Container *container) {
        g_autofree char *planned = engine->units ? scope_group(engine, container) : cgroup_path_for(container->id);
        g_autoptr(GError) error = NULL;
        unsigned n = 0;

        if (!cgroup_kill_monitor(container->id, &error) || !cgroup_signal(planned, SIGKILL, &n, &error))
                log_error("undo the launch of %s: %s", container_title(container), error->message);
}

static void undo(Operation *operation, GError *error) {
        operation_fail(operation, error);
        launch_kill(operation->engine, operation->container);
        readiness_close(operation->container);
        operation->keep_rootfs = false;
        operation->undoes_launch = true;
        operation_then(operation, on_undone);
        runtime_discard(operation);
}

static void on_conmon_gone(int wait_status, void *userdata) {
        Operation *operation = userdata;

        g_clear_pointer(&operation->conmon, conmon_free);
        undo(operation, g_steal_pointer(&operation->step_error));
}

/* As undo, once conmon is gone for certain. Takes conmon, whose launch is not told about any more. */
static void undo_conmon(Operation *operation, Conmon *conmon, GError *error) {
        operation->conmon = conmon;
        operation->step_error = error;
        conmon_on_end(conmon, on_conmon_gone, operation);
        conmon_kill(conmon);
}

static void reset_life(Life *life, bool keep_count) {
        life->exit_code = -1;
        life->exit_signal = 0;
        life->result = RESULT_NONE;
        life->start_usec = 0;
        life->finish_usec = 0;
        life->ready = false;
        life_set_string(&life->status_text, "");
        life->stop_deadline = 0;
        life->stop_signal = 0;
        life->next_restart_usec = 0;
        if (!keep_count) {
                life->health_action = "";
                life->restart_count = 0;
                life->backoff_usec = 0;
        }
}

static bool open_run(Operation *operation) {
        Container *container = operation->container;
        g_autoptr(Commit) commit = commit_new(container, operation->actor);
        Life *life = &commit->life;

        reset_life(life, operation->internal_restart);
        life->boot_due &= operation->boot_rule;
        life->run++;
        life->run_open = true;
        if (getrandom(life->invocation, INVOCATION_SIZE, 0) != INVOCATION_SIZE)
                g_error("getrandom(2) gave no bytes");
        if (operation->internal_restart) {
                life->restart_count++;
                commit_event(commit, "restart", NULL);
        }
        Run *run = commit_edit_run(commit);
        run->restarts = life->restart_count;
        run->actor = actor_to_variant(operation->actor);
        if (run->actor)
                g_variant_ref_sink(run->actor);
        memcpy(run->invocation, life->invocation, INVOCATION_SIZE);
        g_free(run->log_cursor);
        run->log_cursor = logs_begin_run(operation->engine, operation->container, life->run);
        operation->run = life->run;
        return operation_commit(operation, commit);
}

static bool store_monitor(Operation *operation, GError **error) {
        Container *container = operation->container;
        g_auto(PidRef) monitor = PIDREF_NULL;
        const PidRef *held = conmon_pid(operation->conmon);

        if (!pidref_find(held->pid, held->start_time, &monitor))
                return error_set(error, CONBUS_ERROR_MONITOR_FAILED, "start %s: conmon ended before it began", container_title(container));
        g_autoptr(Commit) commit = commit_new(container, operation->actor);
        commit->life.mounted = true;
        commit_set_monitor(commit, &monitor);
        return commit_apply(commit, error);
}

static bool commit_initialized(Operation *operation, PidRef *main, GError **error) {
        Container *container = operation->container;
        g_autofree char *cgroup = cgroup_of_pid(main->pid);
        g_autofree char *id = cgroup ? cgroup_container_id(cgroup) : NULL;
        g_autoptr(Commit) commit = NULL;

        /* Whatever was said: a process outside the container's own group is not its own, and would be killed in its place. */
        if (cgroup && g_strcmp0(id, container->id) != 0)
                return error_set(error, CONBUS_ERROR_MONITOR_FAILED, "create %s: conmon names process %d, which is in the control group %s and not in the container's", container_title(container), (int) main->pid, cgroup);
        commit = commit_new(container, operation->actor);
        commit_edit_run(commit)->pid = main->pid;
        commit->life.stopped_by_user = false;
        commit->life.supervised = true;
        life_set_string(&commit->life.cgroup, cgroup);
        commit_set_error(commit, NULL);
        commit_set_main(commit, main);
        commit_enter(commit, STATE_INITIALIZED, start_reason(operation));
        commit_event(commit, "init", NULL);
        return commit_apply(commit, error);
}

static void on_launched(PidRef *main, const GError *launch_error, void *userdata) {
        Operation *operation = userdata;
        Conmon *conmon = g_steal_pointer(&operation->conmon);
        GError *error = NULL;

        operation->cancel = NULL;
        if (launch_error) {
                error = g_error_copy(launch_error); /* it is conmon's own */
                conmon_free(conmon);
                undo(operation, error);
                return;
        }
        g_auto(PidRef) mine = pidref_steal(main);
        if (!commit_initialized(operation, &mine, &error)) {
                undo_conmon(operation, conmon, error);
                return;
        }
        lifecycle_attach(operation->engine, operation->container, conmon);
        if (operation->unfiltered_profile != 0) {
                g_autofree char *root = g_build_filename(operation->engine->paths->run, "crun", NULL);
                seccomp_learn(operation->unfiltered_profile, root, operation->container->id);
        }
        operation_continue(operation);
}

static void on_cancel_launch(Operation *operation) {
        if (operation->conmon)
                conmon_cancel(operation->conmon);
}

/* systemd has put conmon into its scope. In version 2 it goes on to a group of its own in it. */
static bool look_at_scope(Operation *operation, char ***ret_files, GError **error) {
        const PidRef *held = conmon_pid(operation->conmon);
        g_autofree char *scope = held ? cgroup_of_unit_process(held->pid) : NULL, *name = cgroup_scope_of(operation->container->id), *cgroup = g_strconcat(scope, "/container", NULL);

        if (!scope)
                return error_set(error, CONBUS_ERROR_MONITOR_FAILED, "start %s: conmon ended before it began", container_title(operation->container));
        if (!g_str_has_suffix(scope, name))
                return error_set(error, CONBUS_ERROR_UNIT_FAILED, "start %s: conmon is in the control group %s instead of %s", container_title(operation->container), scope, name);
        return (!cgroup_is_unified() || (*ret_files = cgroup_monitor_files(scope, error))) && write_spec(operation, cgroup, error);
}

static void release(Operation *operation, const char *const *groups) {
        operation->cancel = on_cancel_launch;
        conmon_release(operation->conmon, groups);
}

static void on_scope(Operation *operation) {
        GError *error = g_steal_pointer(&operation->step_error);
        g_auto(GStrv) groups = NULL;

        if (error || !look_at_scope(operation, &groups, &error))
                undo_conmon(operation, operation->conmon, error);
        else
                release(operation, (const char *const *) groups);
}

static void launch(Operation *operation) {
        Container *container = operation->container;
        g_autofree char *bundle = run_path(operation, NULL);
        g_autofree char *persist = run_path(operation, "persist");
        g_autofree char *exits = g_build_filename(operation->engine->paths->run, "exits", NULL);
        g_autofree char *log = paths_state_of(operation->engine->paths, container->id, "log");
        g_autofree char *group = operation->engine->units ? NULL : cgroup_monitor_file(container->id);
        GError *error = NULL;

        ConmonLaunch plan = {.id = container->id,
                             .name = container->name,
                             .bundle = bundle,
                             .persist_dir = persist,
                             .exit_dir = exits,
                             .log_driver = config_string(container->config, "log-driver", "k8s-file"),
                             .log_path = log,
                             .cgroup_file = group,
                             .terminal = config_bool(container->config, "terminal", false),
                             .stdin_open = config_bool(container->config, "stdin-open", false),
                             .stdin_once = config_bool(container->config, "stdin-once", false),
                             .timeout_usec = operation->engine->settings.create_usec};

        operation->conmon = conmon_begin(operation->engine->event, operation->engine->reaper, operation->engine->paths, &plan, on_launched, operation, &error);
        if (!operation->conmon) {
                undo(operation, error);
                return;
        }
        if (!store_monitor(operation, &error)) {
                undo_conmon(operation, operation->conmon, error);
                return;
        }
        if (!operation->engine->units) {
                release(operation, NULL);
                return;
        }
        operation_then(operation, on_scope);
        scope_begin(operation);
}

static void on_volumes(Operation *operation) {
        GError *error = g_steal_pointer(&operation->step_error);

        if (!error && operation->cancelled)
                error_set(&error, CONBUS_ERROR_CANCELLED, "start %s: cancelled while its volumes were made", container_title(operation->container));
        if (error || !prepare_contents(operation, &error))
                undo(operation, error);
        else
                launch(operation);
}

/* crun's first move would wait for the kernel (cgroup_stay); while conmon and crun are on their way a child waits ahead of it. One is enough for all launches that begin within the shortest such wait. */
static void begin_move(Engine *engine) {
        const char *const argv[] = {"stay", engine->group_file, NULL};
        guint64 now = clock_boottime_usec();
        ProcessSpec spec = PROCESS_SPEC_INIT;
        g_autoptr(GError) error = NULL;

        if (!engine->group_file || now < engine->moved_usec + MOVE_USEC)
                return;
        engine->moved_usec = now;
        spec.argv = argv;
        spec.call = cgroup_stay;
        if (!process_begin(engine->event, engine->reaper, &spec, NULL, NULL, &error))
                log_debug("%s", error->message);
}

static void on_ready_to_open(Operation *operation) {
        GError *error = NULL;

        begin_move(operation->engine);
        if (!operation_check_cancelled(operation) || !open_run(operation)) {
                operation_continue(operation);
                return;
        }
        policy_arm(operation->engine, operation->container);
        repair_forget(operation->container); /* what was to be cleaned up is gone, and the end of this run is not to wait for that */
        if (!prepare_place(operation, &error)) {
                undo(operation, error);
                return;
        }
        operation_then(operation, on_volumes);
        volumes_prepare(operation);
}

/* From `stopped` the old runtime state goes first; the root file system stays mounted. */
static void on_dependencies(Operation *operation) {
        operation_then(operation, on_ready_to_open);
        operation_then(operation, pace_step);
        if (operation->error || operation->container->life.state != STATE_STOPPED) {
                operation_continue(operation);
                return;
        }
        operation->keep_rootfs = true;
        runtime_discard(operation);
}

void init_begin(Operation *operation) {
        operation->from_state = operation->container->life.state;
        operation_then(operation, on_dependencies);
        dependencies_step(operation);
}

static void on_init_done(Operation *operation) {
        operation_set_result(operation, g_variant_new("(t)", operation->run));
        operation_continue(operation);
}

void init_step(Operation *operation) {
        State state = operation->container->life.state;

        if (state != STATE_CREATED && state != STATE_STOPPED && state != STATE_EXITED) {
                operation_fail_state(operation, "created, stopped or exited");
                operation_continue(operation);
                return;
        }
        operation_then(operation, on_init_done);
        init_begin(operation);
}
