/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* How an end reads, and how it is known: the kernel's status, the exit file, nothing. PID 1 is a child of the test, conmon another. */

#include "fixture.h"
#include "base/clock.h"
#include "store/internal.h"
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>

#define EXITED(code) ((code) << 8)
#define CORE 0x80

static void test_outcomes(void) {
        static const struct {
                bool has_status;
                int status;
                bool has_file;
                int file_code;
                guint64 oom_kills;
                int exit_code, exit_signal;
                Result result;
        } table[] = {
                /* the kernel's status */
                {true, EXITED(0), false, 0, 0, 0, 0, RESULT_SUCCESS},
                {true, EXITED(1), false, 0, 0, 1, 0, RESULT_EXIT_CODE},
                {true, EXITED(255), false, 0, 0, 255, 0, RESULT_EXIT_CODE},
                {true, EXITED(137), false, 0, 0, 137, 0, RESULT_EXIT_CODE}, /* an exit with that number is no signal */
                {true, SIGKILL, false, 0, 0, 137, SIGKILL, RESULT_SIGNAL},
                {true, SIGTERM, false, 0, 0, 143, SIGTERM, RESULT_SIGNAL},
                {true, SIGSEGV | CORE, false, 0, 0, 139, SIGSEGV, RESULT_CORE_DUMP},
                {true, SIGKILL, false, 0, 1, 137, SIGKILL, RESULT_OOM_KILL},
                {true, SIGTERM, false, 0, 5, 143, SIGTERM, RESULT_SIGNAL}, /* something else in it was killed for memory */
                {true, EXITED(1), false, 0, 5, 1, 0, RESULT_EXIT_CODE},
                /* the kernel before the file */
                {true, EXITED(0), true, 7, 0, 0, 0, RESULT_SUCCESS},
                {true, SIGKILL, true, 0, 0, 137, SIGKILL, RESULT_SIGNAL},
                {true, EXITED(5), true, -1, 0, 5, 0, RESULT_EXIT_CODE},
                /* the file alone */
                {false, 0, true, 0, 0, 0, 0, RESULT_SUCCESS},
                {false, 0, true, 7, 0, 7, 0, RESULT_EXIT_CODE},
                {false, 0, true, 128, 0, 128, 0, RESULT_EXIT_CODE},
                {false, 0, true, 129, 0, 129, SIGHUP, RESULT_SIGNAL},
                {false, 0, true, 137, 0, 137, SIGKILL, RESULT_SIGNAL},
                {false, 0, true, 137, 1, 137, SIGKILL, RESULT_OOM_KILL},
                {false, 0, true, 192, 0, 192, 64, RESULT_SIGNAL},
                {false, 0, true, 193, 0, 193, 0, RESULT_EXIT_CODE},
                {false, 0, true, 255, 0, 255, 0, RESULT_EXIT_CODE},
                {false, 0, true, -1, 0, -1, 0, RESULT_LOST},
                /* nothing: never 0 */
                {false, 0, false, 0, 0, -1, 0, RESULT_LOST},
                {false, SIGKILL, false, 9, 3, -1, 0, RESULT_LOST},
        };

        for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
                Life life;

                life_init(&life);
                life.exit_code = 99;
                life.exit_signal = 99;
                lifecycle_set_outcome(&life, table[i].has_status, table[i].status, table[i].has_file, table[i].file_code, table[i].oom_kills);
                if (life.exit_code != table[i].exit_code || life.exit_signal != table[i].exit_signal || life.result != table[i].result)
                        g_error("row %zu: %d %d %s", i, life.exit_code, life.exit_signal, result_to_string(life.result));
                life_clear(&life);
        }
}

/* --- ends --- */

static Container *add_running(Fixture *fixture, pid_t *ret_pid) {
        Container *container = fixture_add(fixture, "web", "@a{sv} {}");

        *ret_pid = fixture_run(fixture, container, STATE_RUNNING);
        return container;
}

static void expect_record(Fixture *fixture, Container *container, int code, int signal, Result result, Reason reason) {
        g_autoptr(Run) run = NULL;

        g_assert_true(store_get_run(fixture->store, container->id, 0, &run, NULL));
        g_assert_nonnull(run);
        g_assert_cmpint(run->exit_code, ==, code);
        g_assert_cmpint(run->exit_signal, ==, signal);
        g_assert_cmpint(run->result, ==, result);
        g_assert_cmpint(run->reason, ==, reason);
        g_assert_cmpuint(run->finish_usec, >, 0);
        g_assert_cmpstr(run->name, ==, container->name);
        g_assert_cmpint(container->life.exit_code, ==, code);
        g_assert_cmpint(container->life.result, ==, result);
        g_assert_false(container->life.run_open);
        g_assert_false(pidref_is_set(&container->main));
}

static void test_the_kernel_says_how_our_child_ended(Fixture *fixture, gconstpointer unused) {
        pid_t pid;
        Container *container = add_running(fixture, &pid);

        g_assert_cmpint(kill(pid, SIGTERM), ==, 0);
        fixture_run_until_state(fixture, container, STATE_EXITED);
        expect_record(fixture, container, 143, SIGTERM, RESULT_SIGNAL, REASON_SIGNAL);
        g_autofree char *events = fixture_events(fixture);
        g_assert_cmpstr(events, ==, "died cleanup ");
        g_assert_null(container->supervision);
}

/* As between fork and exec of a helper: the pidfd is closed here, but its file lives on. */
static void test_a_pidfd_that_a_child_still_holds_is_not_watched(Fixture *fixture, gconstpointer unused) {
        pid_t pid;
        Container *container = add_running(fixture, &pid);
        autofd int held = fcntl(container->main.fd, F_DUPFD_CLOEXEC, 3);

        g_assert_cmpint(kill(pid, SIGKILL), ==, 0);
        fixture_run_until_state(fixture, container, STATE_EXITED);
        for (int i = 0; i < 20; i++) /* a source that is still in the epoll set would be called, freed as it is */
                testing_run_idle(fixture->event);
}

static void test_an_initialized_one_never_ran(Fixture *fixture, gconstpointer unused) {
        Container *container = fixture_add(fixture, "web", "@a{sv} {}");
        pid_t pid = fixture_run(fixture, container, STATE_INITIALIZED);

        g_assert_cmpint(kill(pid, SIGKILL), ==, 0);
        fixture_run_until_state(fixture, container, STATE_EXITED);
        expect_record(fixture, container, 137, SIGKILL, RESULT_NEVER_RAN, REASON_NOT_STARTED);
}

static void test_a_failed_start_keeps_its_code(Fixture *fixture, gconstpointer unused) {
        Container *container = fixture_add(fixture, "web", "@a{sv} {}");
        pid_t pid = fixture_run(fixture, container, STATE_INITIALIZED);

        container->failed_start_code = 127;
        g_assert_cmpint(kill(pid, SIGKILL), ==, 0);
        fixture_run_until_state(fixture, container, STATE_EXITED);
        expect_record(fixture, container, 127, 0, RESULT_START_FAILED, REASON_START_FAILED);
        g_assert_cmpint(container->failed_start_code, ==, 0);
}

static void test_a_start_that_took_too_long(Fixture *fixture, gconstpointer unused) {
        pid_t pid;
        Container *container = add_running(fixture, &pid);

        container->start_timed_out = true;
        g_assert_cmpint(kill(pid, SIGKILL), ==, 0);
        fixture_run_until_state(fixture, container, STATE_EXITED);
        expect_record(fixture, container, 137, SIGKILL, RESULT_TIMEOUT, REASON_TIMEOUT);
}

static void test_a_held_end_is_committed_at_the_release(Fixture *fixture, gconstpointer unused) {
        pid_t pid;
        Container *container = add_running(fixture, &pid);

        lifecycle_hold(container);
        lifecycle_hold(container);
        g_assert_false(lifecycle_has_ended(container));
        g_assert_cmpint(kill(pid, SIGKILL), ==, 0);
        while (!lifecycle_has_ended(container))
                g_assert_cmpint(sd_event_run(fixture->event, TESTING_DEADLINE_USEC), >=, 0);
        testing_run_idle(fixture->event);
        lifecycle_release(container);
        g_assert_cmpint(container->life.state, ==, STATE_RUNNING);
        lifecycle_release(container);
        g_assert_cmpint(container->life.state, ==, STATE_STOPPED);
}

static unsigned n_continued;

static void note_continued(Operation *operation) {
        n_continued++;
        operation_continue(operation);
}

static void wait_for_end(Operation *operation) {
        operation_then(operation, note_continued);
        lifecycle_await_end(operation);
}

static void test_an_operation_waits_for_the_record(Fixture *fixture, gconstpointer unused) {
        pid_t pid;
        Container *container = add_running(fixture, &pid);
        g_auto(Answer) answer = {0};

        n_continued = 0;
        Operation *operation = fixture_submit(fixture, container, VERB_CLEANUP, NULL, &answer); /* refused in running; the wait comes after it */
        operation_then(operation, wait_for_end);
        testing_run_idle(fixture->event);
        g_assert_cmpuint(n_continued, ==, 0);
        g_assert_cmpint(kill(pid, SIGKILL), ==, 0);
        testing_run_until_count(fixture->event, &answer.n, 1);
        g_assert_cmpuint(n_continued, ==, 1);
}

static void test_nothing_open_is_nothing_to_wait_for(Fixture *fixture, gconstpointer unused) {
        Container *container = fixture_add(fixture, "web", "@a{sv} {}");
        g_auto(Answer) answer = {0};

        n_continued = 0;
        Operation *operation = fixture_submit(fixture, container, VERB_CLEANUP, NULL, &answer);
        operation_then(operation, wait_for_end);
        testing_run_until_count(fixture->event, &answer.n, 1);
        g_assert_cmpuint(n_continued, ==, 1);
        g_assert_true(lifecycle_has_ended(container));
}

/* --- a PID 1 that is not our child --- */

/* PID 1 is a grandchild whose parent, the monitor, lives: only the monitor reaps it, as conmon does. */
static void run_under_monitor(Fixture *fixture, Container *container, pid_t *ret_main, pid_t *ret_monitor) {
        int numbers[2];
        g_autoptr(GError) error = NULL;
        PidRef main = PIDREF_NULL, monitor = PIDREF_NULL;

        g_assert_cmpint(pipe(numbers), ==, 0);
        *ret_monitor = fork();
        if (*ret_monitor == 0) {
                pid_t pid = testing_child_new();
                (void) !write(numbers[1], &pid, sizeof pid);
                for (;;)
                        pause(); /* never reaps it: a conmon that hangs */
        }
        g_assert_cmpint(read(numbers[0], ret_main, sizeof *ret_main), ==, sizeof *ret_main);
        close(numbers[0]);
        close(numbers[1]);
        g_assert_true(pidref_open(*ret_main, &main, &error));
        g_assert_true(pidref_open(*ret_monitor, &monitor, &error));
        g_autoptr(Commit) commit = commit_new(container, NULL);
        commit->life.run = 1;
        commit->life.run_open = commit->life.supervised = true;
        commit->life.start_usec = clock_realtime_usec();
        (void) commit_edit_run(commit);
        commit_set_main(commit, &main);
        commit_set_monitor(commit, &monitor);
        commit_enter(commit, STATE_INITIALIZED, REASON_USER);
        commit_enter(commit, STATE_RUNNING, REASON_USER);
        g_assert_true(commit_apply(commit, &error));
        lifecycle_attach(fixture->engine, container, NULL);
}

static void write_exit_file(Fixture *fixture, Container *container, const char *text) {
        g_autofree char *temporary = g_build_filename(fixture->paths.run, "exits", ".new", NULL), *path = g_build_filename(fixture->paths.run, "exits", container->id, NULL);

        g_assert_true(g_file_set_contents(temporary, text, -1, NULL));
        g_assert_cmpint(rename(temporary, path), ==, 0);
}

static void test_the_exit_file_ends_a_supervised_run(Fixture *fixture, gconstpointer unused) {
        Container *container = fixture_add(fixture, "web", "@a{sv} {}");
        pid_t main, monitor;

        fixture->engine->settings.exit_file_usec = G_TIME_SPAN_DAY;
        run_under_monitor(fixture, container, &main, &monitor);
        g_assert_cmpint(kill(main, SIGKILL), ==, 0);
        while (!container->supervision || !pidref_has_ended(&container->main))
                g_assert_cmpint(sd_event_run(fixture->event, TESTING_DEADLINE_USEC), >=, 0);
        testing_run_idle(fixture->event);
        g_assert_cmpint(container->life.state, ==, STATE_RUNNING); /* its output may not be drained */
        write_exit_file(fixture, container, "9");
        fixture_run_until_state(fixture, container, STATE_EXITED);
        expect_record(fixture, container, 9, 0, RESULT_EXIT_CODE, REASON_EXIT);
        g_autofree char *exits = g_build_filename(fixture->paths.run, "exits", NULL);
        int code;
        g_assert_false(conmon_read_exit_file(exits, container->id, &code)); /* removed once the record is there */
        kill(monitor, SIGKILL);
}

static void test_an_exit_file_for_a_living_process_is_no_end(Fixture *fixture, gconstpointer unused) {
        pid_t pid;
        Container *container = add_running(fixture, &pid);

        write_exit_file(fixture, container, "0");
        write_exit_file(fixture, container, "0");
        testing_run_idle(fixture->event);
        g_assert_cmpint(container->life.state, ==, STATE_RUNNING);
        lifecycle_exit_file(fixture->engine, "no-such-id");
}

/* The monitor never says a word: it is killed, PID 1 becomes our child, and the kernel knows. */
static void test_a_monitor_that_hangs_is_killed(Fixture *fixture, gconstpointer unused) {
        Container *container = fixture_add(fixture, "web", "@a{sv} {}");
        pid_t main, monitor;

        fixture->engine->settings.exit_file_usec = 10 * G_TIME_SPAN_MILLISECOND;
        run_under_monitor(fixture, container, &main, &monitor);
        g_assert_cmpint(kill(main, SIGTERM), ==, 0);
        fixture_run_until_state(fixture, container, STATE_EXITED);
        expect_record(fixture, container, 143, SIGTERM, RESULT_SIGNAL, REASON_SIGNAL);
}

static void test_without_a_monitor_the_run_goes_on(Fixture *fixture, gconstpointer unused) {
        Container *container = fixture_add(fixture, "web", "@a{sv} {}");
        pid_t main, monitor;

        run_under_monitor(fixture, container, &main, &monitor);
        /* PID 1 must outlive its parent here, which testing_child_new does not let it */
        g_autoptr(Commit) commit = commit_new(container, NULL);
        PidRef ours = PIDREF_NULL;
        pid_t other = testing_child_new();
        g_assert_true(pidref_open(other, &ours, NULL));
        lifecycle_detach(container);
        commit_set_main(commit, &ours);
        g_assert_true(commit_apply(commit, NULL));
        lifecycle_attach(fixture->engine, container, NULL);

        g_assert_cmpint(kill(monitor, SIGKILL), ==, 0);
        while (container->life.supervised)
                g_assert_cmpint(sd_event_run(fixture->event, TESTING_DEADLINE_USEC), >, 0);
        g_assert_cmpint(container->life.state, ==, STATE_RUNNING);
        g_assert_false(pidref_is_set(&container->monitor));
        g_autofree char *events = fixture_events(fixture);
        g_assert_cmpstr(events, ==, "supervision-lost ");
        g_assert_cmpint(kill(other, SIGTERM), ==, 0);
        fixture_run_until_state(fixture, container, STATE_EXITED);
        expect_record(fixture, container, 143, SIGTERM, RESULT_SIGNAL, REASON_SIGNAL);
}

static void set_gone(Container *container, StoredProcess main) {
        container->life.main = main;
}

static void test_a_run_that_nobody_knows_of_is_lost(Fixture *fixture, gconstpointer unused) {
        Container *container = fixture_add(fixture, "web", "@a{sv} {}");
        g_autoptr(Commit) commit = commit_new(container, NULL);

        fixture->engine->settings.exit_file_usec = 1000;
        commit->life.run = 1;
        commit->life.run_open = true;
        commit->life.start_usec = 1;
        (void) commit_edit_run(commit);
        commit_enter(commit, STATE_INITIALIZED, REASON_USER);
        commit_enter(commit, STATE_RUNNING, REASON_USER);
        g_assert_true(commit_apply(commit, NULL));
        set_gone(container, (StoredProcess) {0});
        lifecycle_attach(fixture->engine, container, NULL);
        lifecycle_main_is_gone(container);
        fixture_run_until_state(fixture, container, STATE_EXITED);
        expect_record(fixture, container, -1, 0, RESULT_LOST, REASON_MONITOR_LOST);
        g_assert_cmpstr(container->life.error_name, ==, "io.conbus1.Error.MonitorLost");
}

/* --- deadlines, a store that refuses --- */

static void test_at_the_deadline_it_is_killed(Fixture *fixture, gconstpointer unused) {
        pid_t pid;
        Container *container = add_running(fixture, &pid);

        lifecycle_set_kill_deadline(fixture->engine, container, UINT64_MAX);
        lifecycle_set_kill_deadline(fixture->engine, container, clock_boottime_in(1000));
        fixture_run_until_state(fixture, container, STATE_EXITED);
        expect_record(fixture, container, 137, SIGKILL, RESULT_SIGNAL, REASON_SIGNAL);
}

static void test_an_end_that_is_refused_is_tried_again(Fixture *fixture, gconstpointer unused) {
        pid_t pid;
        Container *container = add_running(fixture, &pid);

        fixture_break_store(fixture);
        g_assert_cmpint(kill(pid, SIGKILL), ==, 0);
        while (!lifecycle_has_ended(container))
                g_assert_cmpint(sd_event_run(fixture->event, TESTING_DEADLINE_USEC), >=, 0);
        testing_run_idle(fixture->event);
        g_assert_cmpint(container->life.state, ==, STATE_RUNNING);
        g_assert_true(container->life.run_open);
        g_assert_true(store_exec(fixture->store, "DROP TRIGGER refuse", NULL));
        fixture_run_until_state(fixture, container, STATE_EXITED);
        expect_record(fixture, container, 137, SIGKILL, RESULT_SIGNAL, REASON_SIGNAL);
}

int main(int argc, char *argv[]) {
        static const struct {
                const char *path;
                void (*test)(Fixture *fixture, gconstpointer unused);
        } tests[] = {
                {"/lifecycle/the-kernel-says-how-our-child-ended", test_the_kernel_says_how_our_child_ended},
                {"/lifecycle/a-pidfd-that-a-child-still-holds-is-not-watched", test_a_pidfd_that_a_child_still_holds_is_not_watched},
                {"/lifecycle/an-initialized-one-never-ran", test_an_initialized_one_never_ran},
                {"/lifecycle/a-failed-start-keeps-its-code", test_a_failed_start_keeps_its_code},
                {"/lifecycle/a-start-that-took-too-long", test_a_start_that_took_too_long},
                {"/lifecycle/a-held-end-is-committed-at-the-release", test_a_held_end_is_committed_at_the_release},
                {"/lifecycle/an-operation-waits-for-the-record", test_an_operation_waits_for_the_record},
                {"/lifecycle/nothing-open-is-nothing-to-wait-for", test_nothing_open_is_nothing_to_wait_for},
                {"/lifecycle/the-exit-file-ends-a-supervised-run", test_the_exit_file_ends_a_supervised_run},
                {"/lifecycle/an-exit-file-for-a-living-process-is-no-end", test_an_exit_file_for_a_living_process_is_no_end},
                {"/lifecycle/a-monitor-that-hangs-is-killed", test_a_monitor_that_hangs_is_killed},
                {"/lifecycle/without-a-monitor-the-run-goes-on", test_without_a_monitor_the_run_goes_on},
                {"/lifecycle/a-run-that-nobody-knows-of-is-lost", test_a_run_that_nobody_knows_of_is_lost},
                {"/lifecycle/at-the-deadline-it-is-killed", test_at_the_deadline_it_is_killed},
                {"/lifecycle/an-end-that-is-refused-is-tried-again", test_an_end_that_is_refused_is_tried_again},
        };

        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/lifecycle/outcomes", test_outcomes);
        for (size_t i = 0; i < G_N_ELEMENTS(tests); i++)
                g_test_add(tests[i].path, Fixture, NULL, fixture_set_up, tests[i].test, fixture_tear_down);
        return g_test_run();
}
