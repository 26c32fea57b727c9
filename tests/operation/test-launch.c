/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Init: what a launch leaves when it succeeds, and that of one that fails, at whatever step, nothing is left but a record. */

#define FAKES_UNIT "launch"
#include "fakes.h"
#include "runtime/cgroup.h"
#include "storage/rootfs.h"
#include "stream/log-reader.h"
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>

static char *run_file(Fixture *fixture, Container *container, const char *name) {
        g_autofree char *directory = paths_run_of(&fixture->paths, container->id, NULL);

        return g_build_filename(directory, name, NULL);
}

static char *read_config(Fixture *fixture, Container *container) {
        g_autofree char *directory = paths_run_of(&fixture->paths, container->id, "1");

        return testing_read(directory, "config.json");
}

static void test_a_launch(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add(fixture, "web", NULL);
        g_auto(Answer) answer = {0};
        LogCursor cursor;

        fixture_do(fixture, container, VERB_INIT, NULL, &answer);
        g_assert_no_error(answer.error);
        g_assert_cmpstr(answer.result, ==, "(1,)");
        fixture_expect(fixture, container, STATE_INITIALIZED);
        fixture_expect_events(fixture, "init ");
        g_assert_true(container->life.run_open && container->life.supervised && container->life.mounted);
        g_assert_cmpuint(container->life.start_usec, ==, 0);
        g_assert_nonnull(container->supervision);

        g_autofree char *group = cgroup_path_for(container->id), *monitor_group = cgroup_path_for_monitor(container->id), *group_of_monitor = cgroup_of_pid(container->monitor.pid);
        g_assert_cmpstr(container->life.cgroup, ==, group);
        g_assert_cmpstr(group_of_monitor, ==, monitor_group);
        g_assert_cmpint(kill(container->main.pid, 0), ==, 0);

        g_autoptr(Run) run = fixture_record(fixture, container);
        g_assert_cmpint(run->pid, ==, container->main.pid);
        g_assert_cmpint(run->result, ==, RESULT_NONE);
        g_assert_cmpuint(run->start_usec + run->finish_usec + run->restarts, ==, 0);
        g_assert_cmpmem(run->invocation, INVOCATION_SIZE, container->life.invocation, INVOCATION_SIZE);
        g_assert_true(log_cursor_parse(run->log_cursor, &cursor, NULL));

        g_autofree char *config = read_config(fixture, container);
        g_assert_nonnull(strstr(config, group));
        g_assert_nonnull(strstr(config, "\"sleep\""));
}

static void test_a_launch_forgets_the_last_run(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add(fixture, "web", NULL);
        g_auto(Answer) answer = {0};
        g_autoptr(GError) error = NULL, old = NULL;

        fixture_exit(fixture, container, NULL);
        g_autoptr(Commit) commit = commit_new(container, NULL);
        error_set(&old, CONBUS_ERROR_INTERNAL, "old");
        commit_set_error(commit, old);
        commit->life.restart_count = 3;
        commit->life.backoff_usec = 7;
        commit->life.stopped_by_user = true;
        commit->life.exit_signal = 9;
        g_assert_true(commit_apply(commit, &error));
        fixture_do(fixture, container, VERB_INIT, NULL, &answer);
        g_assert_cmpstr(answer.result, ==, "(2,)");
        fixture_expect(fixture, container, STATE_INITIALIZED);
        g_assert_cmpint(container->life.exit_code, ==, -1);
        g_assert_cmpint(container->life.exit_signal, ==, 0);
        g_assert_cmpint(container->life.result, ==, RESULT_NONE);
        g_assert_cmpuint(container->life.start_usec + container->life.finish_usec + container->life.restart_count + container->life.backoff_usec, ==, 0);
        g_assert_false(container->life.stopped_by_user);
        g_assert_cmpstr(container->life.error_name, ==, "");
}

static void test_only_from_states_without_a_run(Fixture *fixture, gconstpointer unused) {
        static const State states[] = {STATE_INITIALIZED, STATE_RUNNING, STATE_PAUSED, STATE_UNKNOWN};

        for (size_t i = 0; i < G_N_ELEMENTS(states); i++) {
                g_autofree char *name = g_strdup_printf("c%zu", i);
                Container *container = fakes_add(fixture, name, NULL);
                g_auto(Answer) answer = {0};
                (void) fixture_run(fixture, container, states[i]);
                fixture_do(fixture, container, VERB_INIT, NULL, &answer);
                testing_expect_error(&answer.error, CONBUS_ERROR_INVALID_STATE, "possible when it is created, stopped or exited");
                fixture_expect(fixture, container, states[i]);
                g_assert_cmpuint(container->life.run, ==, 1);
        }
}

/* --- what fails --- */

static void expect_undone(Fixture *fixture, Container *container, ConbusError code, int exit_code, State state) {
        fixture_expect(fixture, container, state);
        g_assert_cmpstr(container->life.error_name, ==, conbus_error_names[code]);
        fixture_expect_start_failed(fixture, container, exit_code);
        g_assert_false(container->life.mounted);
        g_assert_cmpstr(container->life.cgroup, ==, "");
        fakes_expect_nothing_runs(fixture, container);
        g_assert_cmpuint(fixture->engine->n_accepted, ==, 0);
        g_assert_cmpuint(fixture->engine->n_supervised, ==, 0);
}

typedef struct Failure {
        const char *fault;
        ConbusError code;
        const char *part;
        int exit_code;
} Failure;

static const Failure failures[] = {
        {"crun create 1 fail executable file `x` not found in $PATH", CONBUS_ERROR_RUNTIME_COMMAND_NOT_FOUND, "executable file `x`", 127},
        {"crun create 1 fail open executable: Permission denied", CONBUS_ERROR_RUNTIME_PERMISSION_DENIED, "Permission denied", 126},
        {"crun create 1 fail no such thing", CONBUS_ERROR_RUNTIME_FAILED, "create container \"web\": no such thing", 125},
        {"crun create 1 silent", CONBUS_ERROR_MONITOR_FAILED, "conmon ended before crun had created it", 125},
        {"crun create-half 1 die 9", CONBUS_ERROR_MONITOR_FAILED, "conmon ended before", 125}, /* PID 1 is there, and crun does not know of it */
        {"crun create-done 1 die 9", CONBUS_ERROR_MONITOR_FAILED, "conmon ended before", 125},
        {"crun create 1 pid 1", CONBUS_ERROR_MONITOR_FAILED, "conmon names process 1, which is in the control group", 125}, /* never to be killed */
        {"conmon begin 1 silent", CONBUS_ERROR_MONITOR_FAILED, "conmon ended before", 125},
        {"conmon begin 1 fail no memory", CONBUS_ERROR_MONITOR_FAILED, "no memory", 125},
        {"conmon create 1 die 9", CONBUS_ERROR_MONITOR_FAILED, "conmon ended before", 125},
        {"conmon created 1 die 9", CONBUS_ERROR_MONITOR_FAILED, "conmon ended before", 125}, /* PID 1 and crun's state are there */
        {"conmon created 1 packet hello", CONBUS_ERROR_MONITOR_FAILED, "not understood: hello", 125},
        {"conmon created 1 mute", CONBUS_ERROR_MONITOR_FAILED, "conmon ended before", 125},
        {"conmon created 1 pid 0", CONBUS_ERROR_RUNTIME_FAILED, "crun failed without a word", 125},
        {"conmon created 1 pid 99999999", CONBUS_ERROR_RUNTIME_FAILED, "its first process is gone", 125},
        {"conmon created 1 pid 1", CONBUS_ERROR_MONITOR_FAILED, "and not in the container's", 125},
};

static void test_a_failure_leaves_a_record_alone(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add(fixture, "web", NULL);

        for (size_t i = 0; i < G_N_ELEMENTS(failures); i++) {
                const Failure *failure = &failures[i];
                g_auto(Answer) answer = {0};

                g_test_message("%s", failure->fault);
                fakes_order(failure->fault);
                fixture_do(fixture, container, VERB_INIT, NULL, &answer);
                testing_expect_error(&answer.error, failure->code, failure->part);
                expect_undone(fixture, container, failure->code, failure->exit_code, STATE_CREATED);
                g_assert_cmpuint(container->life.run, ==, i + 1);
        }
        g_autoptr(GString) events = g_string_new(NULL); /* an end each, and nothing was initialized */
        for (size_t i = 0; i < G_N_ELEMENTS(failures); i++)
                g_string_append(events, "died ");
        fixture_expect_events(fixture, events->str);
}

static void test_a_create_that_hangs_is_killed(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add(fixture, "web", NULL);
        g_auto(Answer) answer = {0};

        fixture->engine->settings.create_usec = 50 * G_TIME_SPAN_MILLISECOND;
        fakes_order("conmon create 1 hang"); /* whenever it is killed, at or before this */
        fixture_do(fixture, container, VERB_INIT, NULL, &answer);
        fakes_cancel();
        testing_expect_error(&answer.error, CONBUS_ERROR_MONITOR_FAILED, "crun create did not end in 0.1 s");
        expect_undone(fixture, container, CONBUS_ERROR_MONITOR_FAILED, 125, STATE_CREATED);
}

static void test_programs_that_are_missing(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add(fixture, "web", NULL);
        g_auto(Answer) answer = {0};
        char *crun = fixture->paths.crun, *conmon = fixture->paths.conmon;

        fixture->paths.conmon = (char *) "/no/conmon";
        fixture_do(fixture, container, VERB_INIT, NULL, &answer);
        testing_expect_error(&answer.error, CONBUS_ERROR_HELPER_MISSING, "/no/conmon is not installed");
        fixture->paths.conmon = conmon;
        expect_undone(fixture, container, CONBUS_ERROR_HELPER_MISSING, 125, STATE_CREATED);
        fixture->paths.crun = (char *) "/no/crun";
        fixture_do(fixture, container, VERB_INIT, NULL, &answer);
        testing_expect_error(&answer.error, CONBUS_ERROR_HELPER_MISSING, "/no/crun is not installed");
        fixture->paths.crun = crun;
        expect_undone(fixture, container, CONBUS_ERROR_HELPER_MISSING, 125, STATE_CREATED);
}

/* A file stands where a directory has to be made. */
static void test_directories_that_cannot_be_made(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add(fixture, "web", NULL);
        g_autofree char *run = run_file(fixture, container, NULL), *run_parent = g_path_get_dirname(run), *state = paths_state_of(&fixture->paths, container->id, NULL), *state_parent = g_path_get_dirname(state);
        g_auto(Answer) answer = {0};

        testing_write(run_parent, container->id, "");
        fixture_do(fixture, container, VERB_INIT, NULL, &answer);
        testing_expect_error(&answer.error, CONBUS_ERROR_INTERNAL, "make the directory");
        g_assert_cmpint(unlink(run), ==, 0);
        expect_undone(fixture, container, CONBUS_ERROR_INTERNAL, 125, STATE_CREATED);
        g_assert_cmpint(remove(state), ==, -1); /* the log is in it */
        g_autofree char *log = g_build_filename(state, "log", NULL);
        g_assert_cmpint(unlink(log) + rmdir(state), ==, 0);
        testing_write(state_parent, container->id, "");
        fixture_do(fixture, container, VERB_INIT, NULL, &answer);
        testing_expect_error(&answer.error, CONBUS_ERROR_INTERNAL, "make the directory");
        g_autoptr(Run) run_record = fixture_record(fixture, container);
        g_assert_cmpstr(run_record->log_cursor, ==, "");
        g_assert_cmpint(unlink(state), ==, 0);
        expect_undone(fixture, container, CONBUS_ERROR_INTERNAL, 125, STATE_CREATED);
}

/* Whoever may write there must not lead the service elsewhere. */
static void test_the_specification_is_written_through_no_link(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add(fixture, "web", NULL);
        g_autofree char *directory = run_file(fixture, container, "1"), *link = g_build_filename(directory, "config.json", NULL), *target = g_build_filename(fixture->directory, "target", NULL);
        g_auto(Answer) answer = {0};

        g_assert_cmpint(g_mkdir_with_parents(directory, 0700), ==, 0);
        g_assert_cmpint(symlink(target, link), ==, 0);
        fixture_do(fixture, container, VERB_INIT, NULL, &answer);
        testing_expect_error(&answer.error, CONBUS_ERROR_INTERNAL, "write ");
        g_assert_false(g_file_test(target, G_FILE_TEST_EXISTS));
        expect_undone(fixture, container, CONBUS_ERROR_INTERNAL, 125, STATE_CREATED);
}

static void test_a_root_file_system_that_is_gone(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add(fixture, "web", "{'rootfs': <'/no/rootfs'>, 'rootfs-mode': <'overlay'>}");
        g_auto(Answer) answer = {0};

        fixture_do(fixture, container, VERB_INIT, NULL, &answer);
        testing_expect_error(&answer.error, CONBUS_ERROR_NO_SUCH_PATH, "/no/rootfs");
        expect_undone(fixture, container, CONBUS_ERROR_NO_SUCH_PATH, 125, STATE_CREATED);
}

static void test_a_user_that_is_unknown(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add(fixture, "web", "{'user': <'nobody-knows'>}");
        g_auto(Answer) answer = {0};

        fixture_do(fixture, container, VERB_INIT, NULL, &answer);
        testing_expect_error(&answer.error, CONBUS_ERROR_INVALID_CONFIG, "nobody-knows");
        expect_undone(fixture, container, CONBUS_ERROR_INVALID_CONFIG, 125, STATE_CREATED);
}

/* --- a store that refuses --- */

static void test_no_run_is_opened_that_cannot_be_stored(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add(fixture, "web", NULL);
        g_auto(Answer) answer = {0};

        fixture_refuse(fixture, "INSERT ON run");
        fixture_do(fixture, container, VERB_INIT, NULL, &answer);
        testing_expect_error(&answer.error, CONBUS_ERROR_STORAGE_FULL, "");
        fixture_allow(fixture);
        fixture_expect(fixture, container, STATE_CREATED);
        g_assert_cmpuint(container->life.run, ==, 0);
        g_assert_cmpint(container->life.result, ==, RESULT_NONE);
        fakes_expect_nothing_runs(fixture, container);
}

static void test_no_conmon_runs_that_cannot_be_stored(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add(fixture, "web", NULL);
        g_auto(Answer) answer = {0};

        fakes_order("conmon begin 1 silent"); /* is never reached: it is held before exec */
        fixture_refuse(fixture, "INSERT ON life WHEN new.monitor_pid > 0");
        fixture_do(fixture, container, VERB_INIT, NULL, &answer);
        testing_expect_error(&answer.error, CONBUS_ERROR_STORAGE_FULL, "");
        expect_undone(fixture, container, CONBUS_ERROR_STORAGE_FULL, 125, STATE_CREATED);
        fakes_cancel();
}

static void test_no_payload_waits_that_cannot_be_stored(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add(fixture, "web", NULL);
        g_auto(Answer) answer = {0};

        fixture_refuse(fixture, "INSERT ON event WHEN new.action = 'init'");
        fixture_do(fixture, container, VERB_INIT, NULL, &answer);
        testing_expect_error(&answer.error, CONBUS_ERROR_STORAGE_FULL, "");
        fixture_allow(fixture);
        expect_undone(fixture, container, CONBUS_ERROR_STORAGE_FULL, 125, STATE_CREATED);
        fixture_expect_events(fixture, "died ");
}

/* The caller hears at once; the record is tried again until it is there, and what waits for the container waits for it. */
static void test_the_record_of_a_failure_is_tried_again(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add(fixture, "web", NULL);
        g_auto(Answer) answer = {0}, second = {0};

        fakes_order("crun create 1 fail no such thing");
        fixture_refuse(fixture, "INSERT ON run WHEN new.finish_usec > 0");
        (void) fixture_submit(fixture, container, VERB_INIT, NULL, &answer);
        (void) fixture_submit(fixture, container, VERB_CLEANUP, NULL, &second);
        testing_run_until_count(fixture->event, &answer.n, 1);
        testing_expect_error(&answer.error, CONBUS_ERROR_RUNTIME_FAILED, "no such thing");
        g_assert_true(container->life.run_open);
        testing_run_idle(fixture->event);
        g_assert_cmpuint(second.n, ==, 0);
        fixture_allow(fixture);
        testing_run_until_count(fixture->event, &second.n, 1);
        g_assert_cmpuint(answer.n, ==, 1);
        expect_undone(fixture, container, CONBUS_ERROR_RUNTIME_FAILED, 125, STATE_CREATED);
}

/* --- from other states --- */

static void test_a_failure_from_exited_stays_exited(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add(fixture, "web", NULL);
        g_auto(Answer) answer = {0};

        fixture_exit(fixture, container, NULL);
        fakes_order("crun create 1 silent");
        fixture_do(fixture, container, VERB_INIT, NULL, &answer);
        testing_expect_error(&answer.error, CONBUS_ERROR_MONITOR_FAILED, "");
        expect_undone(fixture, container, CONBUS_ERROR_MONITOR_FAILED, 125, STATE_EXITED);
        g_assert_cmpuint(container->life.run, ==, 2);
}

static void stop_without_cleanup(Container *container) {
        g_autoptr(GError) error = NULL;
        g_autoptr(Commit) commit = commit_new(container, NULL);

        commit->life.run = 1;
        commit->life.exit_code = 0;
        commit->life.result = RESULT_SUCCESS;
        commit->life.mounted = true;
        commit_enter(commit, STATE_STOPPED, REASON_EXIT);
        g_assert_true(commit_apply(commit, &error));
}

static void test_stopped_is_emptied_first(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add(fixture, "web", "{'rootfs-mode': <'overlay'>}");
        g_autofree char *merged = run_file(fixture, container, "rootfs");
        g_auto(Answer) answer = {0};

        stop_without_cleanup(container);
        fakes_leave_state(fixture, container);
        Gate *gate = fakes_gate(fixture, "crun delete");
        (void) fixture_submit(fixture, container, VERB_INIT, NULL, &answer);
        gate_reach(gate);
        g_assert_cmpuint(container->life.run, ==, 1); /* the new run is not opened before */
        gate_open(gate);
        testing_run_until_count(fixture->event, &answer.n, 1);
        g_assert_no_error(answer.error);
        fixture_expect(fixture, container, STATE_INITIALIZED);
        g_assert_cmpuint(container->life.run, ==, 2);
        g_assert_true(rootfs_is_mounted(merged));
}

static void test_a_failure_from_stopped_ends_exited(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add(fixture, "web", "{'rootfs-mode': <'overlay'>}");
        g_autofree char *merged = run_file(fixture, container, "rootfs");
        g_auto(Answer) answer = {0};

        stop_without_cleanup(container);
        fakes_order("crun create 1 silent");
        fixture_do(fixture, container, VERB_INIT, NULL, &answer);
        testing_expect_error(&answer.error, CONBUS_ERROR_MONITOR_FAILED, "");
        expect_undone(fixture, container, CONBUS_ERROR_MONITOR_FAILED, 125, STATE_EXITED);
        g_assert_false(rootfs_is_mounted(merged));
}

static void test_a_policys_launch_that_fails_is_planned_again(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add(fixture, "web", "{'restart-policy': <'on-failure'>, 'restart-max': <uint32 2>}");
        g_auto(Answer) answer = {0};

        fixture_exit(fixture, container, NULL);
        for (unsigned count = 1; count <= 2; count++) {
                fakes_order("crun create 1 silent");
                Operation *operation = fixture_submit(fixture, container, VERB_START, NULL, &answer);
                operation->internal_restart = operation->is_due = true;
                testing_run_until_count(fixture->event, &answer.n, count);
                g_assert_nonnull(answer.error);
                fixture_expect(fixture, container, STATE_EXITED);
                g_assert_cmpuint(container->life.restart_count, ==, count);
                g_assert_cmpint(container->life.next_restart_usec != 0, ==, count < 2); /* then the attempts are used up */
                policy_forget(container);
        }
        fixture_expect_events(fixture, "restart died restart died ");
}

/* --- cancelled --- */

static void test_a_cancelled_launch_is_undone(Fixture *fixture, gconstpointer unused) {
        static const char *const points[] = {"conmon begin", "crun create", "crun create-half", "conmon created"};

        for (size_t i = 0; i < G_N_ELEMENTS(points); i++) {
                g_autofree char *name = g_strdup_printf("c%zu", i), *fault = NULL;
                Container *container = fakes_add(fixture, name, NULL);
                g_auto(Answer) answer = {0};

                Gate *gate = fakes_gate(fixture, points[i]);
                Operation *operation = fixture_submit(fixture, container, VERB_INIT, NULL, &answer);
                gate_reach(gate);
                operation_cancel(operation);
                g_assert_cmpuint(answer.n, ==, 0);
                testing_run_until_count(fixture->event, &answer.n, 1);
                testing_expect_error(&answer.error, CONBUS_ERROR_CANCELLED, "cancelled");
                gate_open(gate);
                fixture_expect(fixture, container, STATE_CREATED);
                fixture_expect_start_failed(fixture, container, 125);
                fakes_expect_nothing_runs(fixture, container);
                g_assert_cmpstr(container->life.error_name, ==, ""); /* says nothing about the container */
        }
}

/* --- keys --- */

static void test_a_driver_without_a_file_has_no_cursor(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add(fixture, "web", "{'log-driver': <'none'>}");
        g_autofree char *log = paths_state_of(&fixture->paths, container->id, "log");
        g_auto(Answer) answer = {0};

        fixture_do(fixture, container, VERB_INIT, NULL, &answer);
        g_assert_no_error(answer.error);
        g_autoptr(Run) run = fixture_record(fixture, container);
        g_assert_cmpstr(run->log_cursor, ==, "");
        g_assert_false(g_file_test(log, G_FILE_TEST_EXISTS));
}

static void test_networks_that_are_joined(Fixture *fixture, gconstpointer unused) {
        Container *other = fakes_add_started(fixture, "other", NULL), *by_container = fakes_add(fixture, "a", "{'network': <'container:other'>}"), *by_path = fakes_add(fixture, "b", "{'network': <'ns:/proc/1/ns/net'>}");
        g_autofree char *path = g_strdup_printf("/proc/%d/ns/net", (int) other->main.pid);
        g_auto(Answer) answer = {0};

        fixture_do(fixture, by_container, VERB_INIT, NULL, &answer);
        g_assert_no_error(answer.error);
        g_autofree char *config = read_config(fixture, by_container);
        g_assert_nonnull(strstr(config, path));
        fixture_do(fixture, by_path, VERB_INIT, NULL, &answer);
        g_assert_no_error(answer.error);
        g_autofree char *other_config = read_config(fixture, by_path);
        g_assert_nonnull(strstr(other_config, "/proc/1/ns/net"));
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        FAKES_ADD(a_launch);
        FAKES_ADD(a_launch_forgets_the_last_run);
        FAKES_ADD(only_from_states_without_a_run);
        FAKES_ADD(a_failure_leaves_a_record_alone);
        FAKES_ADD(a_create_that_hangs_is_killed);
        FAKES_ADD(programs_that_are_missing);
        FAKES_ADD(directories_that_cannot_be_made);
        FAKES_ADD(the_specification_is_written_through_no_link);
        FAKES_ADD(a_root_file_system_that_is_gone);
        FAKES_ADD(a_user_that_is_unknown);
        FAKES_ADD(no_run_is_opened_that_cannot_be_stored);
        FAKES_ADD(no_conmon_runs_that_cannot_be_stored);
        FAKES_ADD(no_payload_waits_that_cannot_be_stored);
        FAKES_ADD(the_record_of_a_failure_is_tried_again);
        FAKES_ADD(a_failure_from_exited_stays_exited);
        FAKES_ADD(stopped_is_emptied_first);
        FAKES_ADD(a_failure_from_stopped_ends_exited);
        FAKES_ADD(a_policys_launch_that_fails_is_planned_again);
        FAKES_ADD(a_cancelled_launch_is_undone);
        FAKES_ADD(a_driver_without_a_file_has_no_cursor);
        FAKES_ADD(networks_that_are_joined);
        return g_test_run();
}
