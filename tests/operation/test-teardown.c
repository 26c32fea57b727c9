/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What comes after the end of a run: every step is tried, whatever failed before it, and `exited` is only said when nothing is left. */

#define FAKES_UNIT "teardown"
#include "fakes.h"
#include "runtime/cgroup.h"
#include "storage/rootfs.h"
#include <signal.h>
#include <string.h>
#include <sys/stat.h>

static void enter(Container *container, State state, void (*edit)(Life *life)) {
        g_autoptr(GError) error = NULL;
        g_autoptr(Commit) commit = commit_new(container, NULL);

        commit->life.run = MAX(commit->life.run, 1);
        commit_enter(commit, state, REASON_EXIT);
        if (edit)
                edit(&commit->life);
        g_assert_true(commit_apply(commit, &error));
}

static Container *add_stopped(Fixture *fixture, const char *name, const char *more) {
        Container *container = fakes_add(fixture, name, more);

        enter(container, STATE_STOPPED, NULL);
        return container;
}

static char *run_file(Fixture *fixture, Container *container, const char *name) {
        g_autofree char *directory = paths_run_of(&fixture->paths, container->id, NULL);

        return g_build_filename(directory, name, NULL);
}

static void clean(Fixture *fixture, Container *container, State wanted) {
        g_auto(Answer) answer = {0};

        fixture_do(fixture, container, VERB_CLEANUP, NULL, &answer);
        g_assert_no_error(answer.error);
        g_assert_cmpstr(answer.result, ==, "()");
        fixture_expect(fixture, container, wanted);
        fakes_expect_nothing_runs(fixture, container);
}

/* --- what goes --- */

static void test_everything_of_a_run_goes(Fixture *fixture, gconstpointer unused) {
        static const char *const files[] = {"config.json", "pidfile", "attach", "ctl", "winsz", "stream", "crun.log", "persist/exit", "persist/oom", "notify/notify", NULL};
        Container *container = add_stopped(fixture, "web", NULL);
        g_autofree char *directory = run_file(fixture, container, "1"), *exits = g_build_filename(fixture->paths.run, "exits", NULL), *group = cgroup_path_for(container->id), *below = g_strconcat(group, "/a/b", NULL);
        pid_t top = testing_child_new(), deep = testing_child_new();

        for (const char *const *file = files; *file; file++)
                testing_write(directory, *file, "");
        testing_write(exits, container->id, "0");
        fakes_enter_group(top, group);
        fakes_enter_group(deep, below);
        clean(fixture, container, STATE_EXITED);
        fakes_run_until_gone(fixture, top);
        fakes_run_until_gone(fixture, deep);
        fixture_expect_events(fixture, "cleanup ");
        g_assert_cmpint(container->life.reason, ==, REASON_EXIT); /* of the end, not of the cleanup */
}

static void test_what_is_not_ours_is_not_deleted(Fixture *fixture, gconstpointer unused) {
        Container *container = add_stopped(fixture, "web", NULL);
        g_autofree char *directory = run_file(fixture, container, "1"), *file = g_build_filename(directory, "persist", "of-somebody", NULL);
        g_auto(Answer) answer = {0};

        testing_write(directory, "persist/of-somebody", "");
        fixture_do(fixture, container, VERB_CLEANUP, NULL, &answer);
        g_assert_no_error(answer.error);
        fixture_expect(fixture, container, STATE_EXITED);
        g_assert_cmpint(unlink(file), ==, 0);
        enter(container, STATE_STOPPED, NULL);
        clean(fixture, container, STATE_EXITED);
}

/* What is on its way out of the monitor's group is waited for, not by the cleanup. */
static void test_the_monitors_group_goes_with_its_last_process(Fixture *fixture, gconstpointer unused) {
        Container *container = add_stopped(fixture, "web", NULL);
        g_autofree char *group = cgroup_path_for_monitor(container->id);
        pid_t pid = testing_child_new();

        fakes_enter_monitor(container->id, pid);
        clean(fixture, container, STATE_EXITED);
        g_assert_true(fakes_group_exists(group));
        g_assert_cmpint(kill(pid, SIGKILL), ==, 0);
        fakes_run_until_gone(fixture, pid);
        testing_run_idle(fixture->event);
        g_assert_false(fakes_group_exists(group));
}

static void test_the_mount_goes(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add_started(fixture, "web", "{'rootfs-mode': <'overlay'>}");
        g_autofree char *merged = run_file(fixture, container, "rootfs");

        g_assert_true(rootfs_is_mounted(merged));
        kill_now(container);
        fixture_run_until_state(fixture, container, STATE_EXITED);
        g_assert_false(rootfs_is_mounted(merged));
        g_assert_false(container->life.mounted);
        g_assert_cmpstr(container->life.cgroup, ==, "");
        fakes_expect_nothing_runs(fixture, container);
}

/* The next run uses it, and the plan is in the same commit. */
static void test_the_mount_stays_for_the_policys_restart(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add_started(fixture, "web", "{'rootfs-mode': <'overlay'>, 'restart-policy': <'always'>, 'restart-sec-usec': <uint64 3600000000>}");
        g_autofree char *merged = run_file(fixture, container, "rootfs");
        g_auto(Answer) answer = {0};

        kill_now(container);
        fixture_run_until_state(fixture, container, STATE_EXITED);
        g_assert_true(rootfs_is_mounted(merged));
        g_assert_true(container->life.mounted);
        g_assert_cmpuint(container->life.next_restart_usec, !=, 0);
        fixture_do(fixture, container, VERB_REMOVE, NULL, &answer);
        g_assert_no_error(answer.error);
        g_assert_false(rootfs_is_mounted(merged));
}

/* --- what fails --- */

static void expect_due(Fixture *fixture, Container *container) {
        fixture_expect(fixture, container, STATE_STOPPED);
        g_assert_true(repair_is_due(container));
        repair_forget(container);
}

static void test_a_crun_that_fails_stops_nothing_else(Fixture *fixture, gconstpointer unused) {
        static const char *const faults[] = {"crun delete 1 fail it is busy", "crun delete 1 silent", "crun delete 1 die 9", "crun delete-done 1 die 9"};
        Container *container = add_stopped(fixture, "web", NULL);
        g_autofree char *directory = run_file(fixture, container, "1"), *exits = g_build_filename(fixture->paths.run, "exits", NULL), *group = cgroup_path_for(container->id), *state = g_build_filename(fixture->paths.run, "crun", container->id, NULL);

        for (size_t i = 0; i < G_N_ELEMENTS(faults); i++) {
                g_auto(Answer) answer = {0};
                pid_t pid = testing_child_new();

                testing_write(directory, "config.json", "");
                testing_write(exits, container->id, "0");
                fakes_enter_group(pid, group);
                fakes_leave_state(fixture, container);
                fakes_order(faults[i]);
                fixture_do(fixture, container, VERB_CLEANUP, NULL, &answer);
                testing_expect_error(&answer.error, CONBUS_ERROR_RUNTIME_FAILED, "crun delete: ");
                expect_due(fixture, container);
                fakes_run_until_gone(fixture, pid);
                (void) rmdir(state); /* which is crun's to remove */
                fakes_expect_nothing_runs(fixture, container);
        }
        clean(fixture, container, STATE_EXITED);
        fixture_expect_events(fixture, "cleanup ");
}

static void test_a_crun_that_is_missing(Fixture *fixture, gconstpointer unused) {
        Container *container = add_stopped(fixture, "web", NULL);
        g_auto(Answer) answer = {0};
        char *crun = fixture->paths.crun;

        fakes_leave_state(fixture, container);
        fixture->paths.crun = (char *) "/no/crun";
        fixture_do(fixture, container, VERB_CLEANUP, NULL, &answer);
        fixture->paths.crun = crun;
        testing_expect_error(&answer.error, CONBUS_ERROR_HELPER_MISSING, "/no/crun is not installed");
        expect_due(fixture, container);
        clean(fixture, container, STATE_EXITED);
}

/* Nothing below what may be a mount is ever deleted: whoever put it there has to look. */
static void test_a_root_file_system_that_does_not_go(Fixture *fixture, gconstpointer unused) {
        Container *container = add_stopped(fixture, "web", NULL);
        g_autofree char *merged = run_file(fixture, container, "rootfs"), *file = g_build_filename(merged, "precious", NULL);
        g_auto(Answer) answer = {0};

        testing_write(merged, "precious", "");
        fixture_do(fixture, container, VERB_CLEANUP, NULL, &answer);
        testing_expect_error(&answer.error, CONBUS_ERROR_INTERNAL, merged);
        g_assert_true(g_file_test(file, G_FILE_TEST_EXISTS));
        expect_due(fixture, container);
        g_assert_cmpint(unlink(file), ==, 0);
        clean(fixture, container, STATE_EXITED);
}

static void test_exited_that_cannot_be_stored(Fixture *fixture, gconstpointer unused) {
        Container *container = add_stopped(fixture, "web", NULL);
        g_auto(Answer) answer = {0};

        fixture_refuse(fixture, "INSERT ON event WHEN new.action = 'cleanup'");
        fixture_do(fixture, container, VERB_CLEANUP, NULL, &answer);
        testing_expect_error(&answer.error, CONBUS_ERROR_STORAGE_FULL, "");
        fixture_allow(fixture);
        expect_due(fixture, container);
        clean(fixture, container, STATE_EXITED);
}

/* --- Cleanup in each state --- */

static void test_states(Fixture *fixture, gconstpointer unused) {
        static const struct {
                State state;
                bool only_stopped;
                const char *possible; /* NULL: nothing is to be done */
        } table[] = {
                {STATE_CREATED, false, NULL},
                {STATE_EXITED, false, NULL},
                {STATE_RUNNING, false, "possible when it is created, initialized, stopping, stopped, exited or unknown"},
                {STATE_PAUSED, false, "possible when it is created, initialized, stopping, stopped, exited or unknown"},
                {STATE_CREATED, true, "possible when it is stopped or stopping"},
                {STATE_EXITED, true, "possible when it is stopped or stopping"},
                {STATE_INITIALIZED, true, "possible when it is stopped or stopping"},
                {STATE_RUNNING, true, "possible when it is stopped or stopping"},
                {STATE_UNKNOWN, true, "possible when it is stopped or stopping"},
        };

        for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
                g_autofree char *name = g_strdup_printf("c%zu", i);
                Container *container = fakes_add(fixture, name, NULL);
                g_auto(Answer) answer = {0};

                if (table[i].state == STATE_EXITED)
                        fixture_exit(fixture, container, NULL);
                else if (table[i].state != STATE_CREATED)
                        (void) fixture_run(fixture, container, table[i].state);
                fixture_do(fixture, container, VERB_CLEANUP, table[i].only_stopped ? "{'only-stopped': <true>}" : NULL, &answer);
                if (table[i].possible)
                        testing_expect_error(&answer.error, CONBUS_ERROR_INVALID_STATE, table[i].possible);
                g_assert_no_error(answer.error);
                fixture_expect(fixture, container, table[i].state);
        }
        fixture_expect_events(fixture, "");
}

static void test_what_never_ran_is_created_again(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add(fixture, "web", NULL);
        g_auto(Answer) answer = {0};

        fixture_do(fixture, container, VERB_INIT, NULL, &answer);
        clean(fixture, container, STATE_CREATED);
        g_assert_cmpint(container->life.result, ==, RESULT_NEVER_RAN);
        fixture_expect_events(fixture, "init died cleanup ");
}

static void test_a_stop_is_waited_for(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add_started(fixture, "web", NULL);
        g_auto(Answer) stop = {0}, cleanup = {0};

        (void) fixture_submit(fixture, container, VERB_STOP, "{'timeout-usec': <uint64 1000000000>}", &stop);
        fixture_run_until_state(fixture, container, STATE_STOPPING);
        (void) fixture_submit(fixture, container, VERB_CLEANUP, "{'only-stopped': <true>}", &cleanup); /* has been done when its turn comes */
        testing_run_idle(fixture->event);
        g_assert_cmpuint(cleanup.n, ==, 0);
        kill_now(container);
        testing_run_until_count(fixture->event, &cleanup.n, 1);
        g_assert_no_error(cleanup.error);
        fixture_expect(fixture, container, STATE_EXITED);
        fixture_expect_events(fixture, "init start stop died cleanup ");
}

/* A stop that nobody waits for any more: its reply gave up, or the service was restarted. */
static void test_an_orphaned_stop_is_finished(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add_started(fixture, "web", NULL);
        g_auto(Answer) answer = {0};

        enter(container, STATE_STOPPING, NULL);
        (void) fixture_submit(fixture, container, VERB_CLEANUP, NULL, &answer);
        testing_run_idle(fixture->event);
        g_assert_cmpuint(answer.n, ==, 0);
        kill_now(container);
        testing_run_until_count(fixture->event, &answer.n, 1);
        g_assert_no_error(answer.error);
        fixture_expect(fixture, container, STATE_EXITED);
}

static void test_calls_that_meet_share_one_cleanup(Fixture *fixture, gconstpointer unused) {
        Container *container = add_stopped(fixture, "web", NULL);
        g_auto(Answer) first = {0}, second = {0};

        (void) fixture_submit(fixture, container, VERB_CLEANUP, "{'only-stopped': <true>}", &first);
        (void) fixture_submit(fixture, container, VERB_CLEANUP, "{'only-stopped': <true>}", &second);
        testing_run_until_count(fixture->event, &second.n, 1);
        g_assert_no_error(first.error);
        g_assert_no_error(second.error);
        fixture_expect_events(fixture, "cleanup ");
}

static void open_run(Life *life) {
        life->run_open = true;
}

static void test_an_unknown_one_with_a_process(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add_started(fixture, "web", NULL);

        enter(container, STATE_UNKNOWN, open_run);
        clean(fixture, container, STATE_EXITED);
        g_assert_cmpint(container->life.exit_code, ==, 137); /* what could be learnt was */
        fixture_expect_events(fixture, "init start died cleanup ");
}

static void test_an_unknown_one_without_a_run(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add(fixture, "web", NULL);
        g_auto(Answer) answer = {0};

        enter(container, STATE_UNKNOWN, NULL);
        fixture_refuse(fixture, "INSERT ON life WHEN new.state = 'stopped'");
        fixture_do(fixture, container, VERB_CLEANUP, NULL, &answer);
        testing_expect_error(&answer.error, CONBUS_ERROR_STORAGE_FULL, "");
        fixture_allow(fixture);
        fixture_expect(fixture, container, STATE_UNKNOWN);
        clean(fixture, container, STATE_EXITED);
}

/* --- signals --- */

static void set_cgroup(Container *container, const char *cgroup) {
        g_autoptr(GError) error = NULL;
        g_autoptr(Commit) commit = commit_new(container, NULL);

        life_set_string(&commit->life.cgroup, cgroup);
        g_assert_true(commit_apply(commit, &error));
}

/* PID 1 of a container that shares our PID namespace is an ordinary process: only the group holds all of it. */
static void test_a_leader_without_a_namespace_stands_for_its_group(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add(fixture, "web", NULL);
        g_autofree char *group = cgroup_path_for(container->id);
        g_autoptr(GError) error = NULL;
        pid_t leader = fixture_run(fixture, container, STATE_RUNNING), other = testing_child_new();

        fakes_enter_group(leader, group);
        fakes_enter_group(other, group);
        g_assert_true(signal_leader(container, SIGCONT, &error));
        set_cgroup(container, group);
        g_assert_true(signal_leader(container, SIGTERM, &error));
        fixture_run_until_state(fixture, container, STATE_EXITED);
        fakes_run_until_gone(fixture, other);
        g_assert_cmpint(container->life.exit_signal, ==, SIGTERM);
}

static void test_a_leader_with_a_namespace_stands_for_itself(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add_started(fixture, "web", NULL);
        g_autoptr(GError) error = NULL;
        pid_t other = testing_child_new();
        unsigned n = 0;

        fakes_enter_group(other, container->life.cgroup);
        g_assert_true(signal_leader(container, SIGTERM, &error)); /* which sleep as PID 1 does not hear */
        g_assert_cmpint(kill(other, 0), ==, 0);
        g_assert_true(signal_all(container, SIGUSR1, &n, &error));
        g_assert_cmpuint(n, ==, 2);
        fakes_run_until_gone(fixture, other);
        g_assert_false(pidref_has_ended(&container->main));
}

static void test_without_a_group_there_is_no_all(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add(fixture, "web", NULL);
        g_autoptr(GError) error = NULL;
        unsigned n = 0;

        (void) fixture_run(fixture, container, STATE_RUNNING);
        g_assert_false(signal_all(container, SIGKILL, &n, &error));
        testing_expect_error(&error, CONBUS_ERROR_NO_CGROUPS, "signal every process of container \"web\": it has no control group");
        kill_now(container);
        fixture_run_until_state(fixture, container, STATE_EXITED);
}

static void test_a_frozen_group_dies(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add_started(fixture, "web", NULL);
        g_auto(Answer) answer = {0};
        pid_t other = testing_child_new();

        fakes_enter_group(other, container->life.cgroup);
        fixture_do(fixture, container, VERB_PAUSE, NULL, &answer);
        kill_now(container);
        fixture_run_until_state(fixture, container, STATE_EXITED);
        fakes_run_until_gone(fixture, other);
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        FAKES_ADD(everything_of_a_run_goes);
        FAKES_ADD(what_is_not_ours_is_not_deleted);
        FAKES_ADD(the_monitors_group_goes_with_its_last_process);
        FAKES_ADD(the_mount_goes);
        FAKES_ADD(the_mount_stays_for_the_policys_restart);
        FAKES_ADD(a_crun_that_fails_stops_nothing_else);
        FAKES_ADD(a_crun_that_is_missing);
        FAKES_ADD(a_root_file_system_that_does_not_go);
        FAKES_ADD(exited_that_cannot_be_stored);
        FAKES_ADD(states);
        FAKES_ADD(what_never_ran_is_created_again);
        FAKES_ADD(a_stop_is_waited_for);
        FAKES_ADD(an_orphaned_stop_is_finished);
        FAKES_ADD(calls_that_meet_share_one_cleanup);
        FAKES_ADD(an_unknown_one_with_a_process);
        FAKES_ADD(an_unknown_one_without_a_run);
        FAKES_ADD(a_leader_without_a_namespace_stands_for_its_group);
        FAKES_ADD(a_leader_with_a_namespace_stands_for_itself);
        FAKES_ADD(without_a_group_there_is_no_all);
        FAKES_ADD(a_frozen_group_dies);
        return g_test_run();
}
