/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The end of a process in a container: who tells it, and what holds when one of them does not; and what a service finds that died in the middle. */

#define FAKES_UNIT "session-watch"
#include "executed.h"
#include "runtime/cgroup.h"
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#define EXITS_WITH_4 "{'command': <['sh', '-c', 'exit 4']>}"

static void expect_end(Fixture *fixture, Session *session, int code, int signal) {
        executed_run_until(fixture, session, SESSION_STOPPED);
        executed_expect(fixture, session, SESSION_STOPPED, code, signal);
}

static void hurry(Fixture *fixture) {
        fixture->engine->settings.exit_file_usec = fixture->settings.exit_file_usec = 50 * G_TIME_SPAN_MILLISECOND; /* nobody will write one */
}

/* --- the kernel and the exit file --- */

static void test_signals_and_codes(Fixture *fixture, gconstpointer unused) {
        static const struct {
                const char *script;
                int code, signal;
        } table[] = {{"exit 0", 0, 0}, {"exit 255", 255, 0}, {"kill -9 $$", 137, SIGKILL}, {"kill -15 $$", 143, SIGTERM}};
        Container *container = fakes_add_started(fixture, "web", NULL);

        for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
                g_autofree char *request = g_strdup_printf("{'command': <['sh', '-c', '%s']>}", table[i].script);
                g_test_message("%s", table[i].script);
                expect_end(fixture, execute(fixture, container, request), table[i].code, table[i].signal);
        }
}

/* Whatever conmon does at the end, what the kernel says counts, and nothing is made up. */
static void test_ends_that_are_told_badly(Fixture *fixture, gconstpointer unused) {
        static const char *const faults[] = {"no-file", "code nonsense", "silent", "die 9", "hang"};
        Container *container = fakes_add_started(fixture, "web", NULL);
        bool told = executed_kernel_tells(fixture);

        hurry(fixture);
        for (size_t i = 0; i < G_N_ELEMENTS(faults); i++) {
                g_autofree char *fault = g_strdup_printf("conmon ended 1 %s", faults[i]);
                g_autoptr(GError) error = NULL;
                g_test_message("%s", fault);
                Session *session = execute(fixture, container, SLEEPS);
                pid_t monitor = session->monitor.pid;
                fakes_order(fault);
                g_assert_true(session_kill(session, SIGTERM, &error));
                expect_end(fixture, session, told ? 143 : -1, told ? SIGTERM : 0);
                fakes_run_until_gone(fixture, monitor); /* one that hangs is killed */
        }
}

static void test_the_kernel_counts_before_the_file(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add_started(fixture, "web", NULL);
        Session *session = execute(fixture, container, SLEEPS);
        g_autoptr(GError) error = NULL;
        bool told = executed_kernel_tells(fixture);

        fakes_order("conmon ended 1 code 9");
        g_assert_true(session_kill(session, SIGTERM, &error));
        expect_end(fixture, session, told ? 143 : 9, told ? SIGTERM : 0);
}

/* The output is drained when the file is there, and not before. */
static void test_the_end_waits_for_the_file(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add_started(fixture, "web", NULL);
        Session *session = execute(fixture, container, SLEEPS);
        g_autoptr(GError) error = NULL;
        Gate *gate = fakes_gate(fixture, "conmon ended");

        g_assert_true(session_kill(session, SIGTERM, &error));
        gate_reach(gate);
        testing_run_idle(fixture->event);
        g_assert_true(pidref_has_ended(&session->main));
        executed_expect(fixture, session, SESSION_RUNNING, 0, 0);
        gate_open(gate);
        expect_end(fixture, session, 143, SIGTERM);
}

/* The number is that of a process which has nothing to do with it: it ended before it was seen. */
static void test_the_file_alone_tells(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add_started(fixture, "web", NULL);
        pid_t bystander = testing_child_new();
        g_autofree char *fault = g_strdup_printf("conmon created 1 pid %d", (int) bystander);
        g_autoptr(GError) error = NULL;
        g_auto(Answer) answer = {0};

        fakes_order(fault);
        (void) execute_submit(fixture, container, EXITS_WITH_4, NULL, &answer);
        testing_run_until_count(fixture->event, &answer.n, 1);
        g_assert_no_error(answer.error);
        Session *session = executed_get(container);
        if (session->life.state == SESSION_RUNNING) {
                g_assert_cmpint(session->main.fd, ==, -1);
                g_assert_true(session_kill(session, SIGKILL, &error)); /* no number is ever signalled */
        }
        expect_end(fixture, session, 4, 0);
        g_assert_cmpint(kill(bystander, 0), ==, 0);
        g_assert_cmpint(kill(bystander, SIGKILL), ==, 0);
}

static void test_a_file_of_a_signal_alone(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add_started(fixture, "web", NULL);
        g_auto(Answer) answer = {0};

        fakes_order("conmon created 1 pid 4194303"); /* nobody's */
        fakes_order("conmon ended 1 code 143");
        execute_do(fixture, container, EXITS_WITH_4, &answer);
        g_assert_no_error(answer.error);
        expect_end(fixture, executed_get(container), 143, SIGTERM);
}

static void test_a_conmon_that_dies_first(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add_started(fixture, "web", NULL);
        Session *session = execute(fixture, container, SLEEPS);
        g_autoptr(GError) error = NULL;
        pid_t monitor = session->monitor.pid;

        g_assert_cmpint(kill(monitor, SIGKILL), ==, 0);
        fakes_run_until_gone(fixture, monitor);
        testing_run_idle(fixture->event);
        executed_expect(fixture, session, SESSION_RUNNING, 0, 0);
        g_assert_false(pidref_is_set(&session->monitor));
        g_assert_false(pidref_has_ended(&session->main));
        g_assert_true(session_kill(session, SIGTERM, &error));
        expect_end(fixture, session, 143, SIGTERM); /* it became our child, whatever the kernel */
}

/* --- what is recorded --- */

static void test_an_end_that_cannot_be_stored_is_tried_again(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add_started(fixture, "web", NULL);
        Session *session = execute(fixture, container, SLEEPS);
        g_autoptr(GError) error = NULL;
        pid_t monitor = session->monitor.pid;

        fixture_refuse(fixture, "INSERT ON event WHEN new.action = 'exec-died'");
        g_assert_true(session_kill(session, SIGTERM, &error));
        fakes_run_until_gone(fixture, monitor);
        testing_run_idle(fixture->event);
        g_assert_cmpint(session->life.state, ==, SESSION_RUNNING);
        g_assert_nonnull(session->watch);
        fixture_allow(fixture);
        expect_end(fixture, session, 143, SIGTERM);
        fixture_expect_events(fixture, "init start exec exec-died ");
}

static void test_a_failed_launch_that_cannot_be_stored_is_tried_again(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add_started(fixture, "web", NULL);
        g_auto(Answer) answer = {0};

        fixture_refuse(fixture, "INSERT ON event WHEN new.action = 'exec-died'");
        fakes_order("crun exec 1 fail open executable: Permission denied");
        execute_do(fixture, container, SLEEPS, &answer);
        testing_expect_error(&answer.error, CONBUS_ERROR_RUNTIME_PERMISSION_DENIED, "");
        Session *session = executed_get(container);
        executed_expect(fixture, session, SESSION_CREATED, 0, 0);
        g_assert_true(session->life.launching);
        fixture_allow(fixture);
        expect_end(fixture, session, 126, 0);
}

/* --- a kill that is due --- */

static void test_the_earliest_kill_counts(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add_started(fixture, "web", NULL);
        int fd;
        Session *session = execute_stubborn(fixture, container, &fd);

        session_watch_kill_at(session, UINT64_MAX);
        session_watch_kill_at(session, UINT64_MAX - 1);
        session_watch_kill_at(session, UINT64_MAX);
        testing_let_time_pass(fixture->event, fixture->reaper);
        executed_expect(fixture, session, SESSION_RUNNING, 0, 0);
        session_watch_kill_at(session, 1); /* long ago */
        session_watch_kill_at(session, UINT64_MAX - 1);
        expect_end(fixture, session, 137, SIGKILL);
        close(fd);
}

/* --- a service that dies in the middle --- */

static void test_a_running_one_goes_on_unseen(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add_started(fixture, "web", NULL);
        Session *session = execute(fixture, container, SLEEPS);
        g_autoptr(GError) error = NULL;
        pid_t main = session->main.pid, monitor = session->monitor.pid;

        container = executed_crash(fixture, NULL);
        session = executed_get(container);
        testing_run_idle(fixture->event);
        executed_expect(fixture, session, SESSION_RUNNING, 0, 0);
        g_assert_cmpint(session->main.pid, ==, main);
        g_assert_cmpint(session->monitor.pid, ==, monitor);
        fixture_expect_events(fixture, "init start exec ");
        g_assert_true(session_kill(session, SIGTERM, &error));
        expect_end(fixture, session, 143, SIGTERM);
}

static void test_a_running_one_that_ends_meanwhile(Fixture *fixture, gconstpointer unused) {
        static const bool kills_conmon[] = {false, true};
        Container *container = fakes_add_started(fixture, "web", NULL);

        for (size_t i = 0; i < G_N_ELEMENTS(kills_conmon); i++) {
                Session *session = execute(fixture, container, SLEEPS);
                pid_t main = session->main.pid, monitor = session->monitor.pid;
                hurry(fixture);
                fixture_crash(fixture, NULL);
                if (kills_conmon[i])
                        g_assert_cmpint(kill(monitor, SIGKILL), ==, 0);
                g_assert_cmpint(kill(main, SIGTERM), ==, 0);
                fakes_run_until_gone(fixture, main);
                fakes_run_until_gone(fixture, monitor);
                container = executed_crash(fixture, NULL);
                session = executed_get(container);
                expect_end(fixture, session, kills_conmon[i] ? -1 : 143, kills_conmon[i] ? 0 : SIGTERM);
        }
}

/* Both numbers are somebody else's by now. */
static void test_numbers_that_were_given_to_another(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add_started(fixture, "web", NULL);
        Session *session = execute(fixture, container, SLEEPS);
        pid_t stranger = testing_child_new(), main = session->main.pid, monitor = session->monitor.pid;
        g_autofree char *sql = g_strdup_printf("UPDATE session SET main_pid = %d, monitor_pid = %d, main_start = 1, monitor_start = 1", (int) stranger, (int) stranger);

        hurry(fixture);
        fixture_crash(fixture, NULL);
        g_assert_cmpint(kill(monitor, SIGKILL) + kill(main, SIGKILL), ==, 0);
        fakes_run_until_gone(fixture, main);
        container = executed_crash(fixture, sql);
        expect_end(fixture, executed_get(container), -1, 0);
        g_assert_cmpint(kill(stranger, 0), ==, 0);
        g_assert_cmpint(kill(stranger, SIGKILL), ==, 0);
}

static Gate *begin_until(Fixture *fixture, Container *container, const char *point, const char *request) {
        Answer *never = g_new0(Answer, 1); /* the service that would answer is gone */
        Gate *gate = fakes_gate(fixture, point);

        (void) execute_submit(fixture, container, request, NULL, never);
        gate_reach(gate);
        g_assert_cmpuint(never->n, ==, 0);
        g_free(never);
        return gate;
}

static void test_a_launch_goes_on_by_itself(Fixture *fixture, gconstpointer unused) {
        static const char *const points[] = {"conmon begin", "conmon create", "crun exec", "crun exec-done", "conmon created"};
        Container *container = fakes_add_started(fixture, "web", NULL);

        for (size_t i = 0; i < G_N_ELEMENTS(points); i++) {
                g_autoptr(GError) error = NULL;
                g_test_message("%s", points[i]);
                Gate *gate = begin_until(fixture, container, points[i], SLEEPS);
                container = executed_crash(fixture, NULL);
                Session *session = executed_get(container);
                testing_run_idle(fixture->event);
                if (i < 3) { /* there is no process yet */
                        executed_expect(fixture, session, SESSION_CREATED, 0, 0);
                        g_assert_true(session->life.launching);
                }
                gate_open(gate);
                executed_run_until(fixture, session, SESSION_RUNNING);
                executed_expect(fixture, session, SESSION_RUNNING, 0, 0);
                g_assert_cmpint(session->life.main.pid, ==, session->main.pid);
                g_assert_true(session_kill(session, SIGTERM, &error));
                expect_end(fixture, session, 143, SIGTERM);
                g_assert_true(session_remove(fixture->engine, session, &error));
        }
        fixture_expect_events(fixture, "init start exec exec-died exec exec-died exec exec-died exec exec-died exec exec-died ");
}

static void test_what_came_of_a_launch(Fixture *fixture, gconstpointer unused) {
        static const struct {
                const char *request;
                int code;
        } table[] = {{"{'command': <['sh', '-c', 'exit 5']>}", 5}, {"{'command': <['/no/such']>}", 127}};
        Container *container = fakes_add_started(fixture, "web", NULL);

        for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
                g_autoptr(GError) error = NULL;
                Gate *gate = begin_until(fixture, container, "crun exec", table[i].request);
                container = executed_crash(fixture, NULL);
                gate_open(gate);
                expect_end(fixture, executed_get(container), table[i].code, 0);
                g_assert_true(session_remove(fixture->engine, executed_get(container), &error));
        }
}

/* Nobody will ever say what came of it. */
static void test_a_launch_whose_conmon_is_gone(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add_started(fixture, "web", NULL);
        Gate *gate = begin_until(fixture, container, "conmon begin", SLEEPS);
        pid_t monitor = executed_get(container)->monitor.pid;

        fixture_crash(fixture, NULL);
        gate_kill(gate);
        fakes_run_until_gone(fixture, monitor);
        container = executed_crash(fixture, NULL);
        expect_end(fixture, executed_get(container), 125, 0);
        g_assert_cmpuint(executed_get(container)->life.start_usec, ==, 0);
        fixture_expect_events(fixture, "init start exec-died ");
}

static void test_a_launch_that_hangs_is_killed(Fixture *fixture, gconstpointer unused) {
        static const char *const points[] = {"conmon create", "crun exec", "crun exec-half"};
        Container *container = fakes_add_started(fixture, "web", NULL);

        for (size_t i = 0; i < G_N_ELEMENTS(points); i++) {
                Gate *gate = begin_until(fixture, container, points[i], SLEEPS);
                pid_t monitor = executed_get(container)->monitor.pid;
                g_autoptr(GError) error = NULL;
                fixture->settings.create_usec = 50 * G_TIME_SPAN_MILLISECOND;
                container = executed_crash(fixture, NULL);
                expect_end(fixture, executed_get(container), 125, 0);
                fakes_run_until_gone(fixture, monitor);
                gate_open(gate);
                testing_let_time_pass(fixture->event, fixture->reaper);
                g_autoptr(GPtrArray) processes = cgroup_list(container->life.cgroup);
                g_assert_cmpuint(processes->len, ==, 1); /* no crun has gone on, and no process it had let go */
                g_assert_true(session_remove(fixture->engine, executed_get(container), &error));
                fixture->engine->settings.create_usec = 2 * TESTING_DEADLINE_USEC;
        }
}

/* Those whose conmon is dead are our children, too. */
static void test_what_crun_has_left_is_killed_alone(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add_started(fixture, "web", NULL);
        Session *other = execute(fixture, container, "{'command': <['sh', '-c', 'sleep 1000 & wait']>}");
        const pid_t monitors[] = {container->monitor.pid, other->monitor.pid};
        g_auto(Answer) answer = {0};
        g_autoptr(GError) error = NULL;

        for (size_t i = 0; i < G_N_ELEMENTS(monitors); i++) {
                g_assert_cmpint(kill(monitors[i], SIGKILL), ==, 0);
                fakes_run_until_gone(fixture, monitors[i]);
        }
        fakes_order("crun exec-half 1 die 9");
        execute_do(fixture, container, SLEEPS, &answer);
        testing_expect_error(&answer.error, CONBUS_ERROR_MONITOR_FAILED, "conmon ended before");
        executed_expect(fixture, executed_get(container), SESSION_STOPPED, 125, 0);
        g_autoptr(GPtrArray) processes = cgroup_list(container->life.cgroup);
        g_assert_cmpuint(processes->len, ==, 3);
        g_assert_false(pidref_has_ended(&container->main));
        executed_expect(fixture, other, SESSION_RUNNING, 0, 0);
        g_assert_true(session_remove(fixture->engine, executed_get(container), &error));
}

/* The file of a launch can be written by whoever gets into the directory, and bear any number. */
static void test_only_what_conmon_has_begun_is_taken(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add_started(fixture, "web", NULL);
        pid_t stranger = testing_child_new();
        Gate *gate = begin_until(fixture, container, "crun exec", SLEEPS);
        g_autofree char *directory = paths_session(&fixture->paths, executed_get(container)->number), *number = g_strdup_printf("%d", (int) stranger);

        container = executed_crash(fixture, NULL);
        testing_write(directory, "pidfile", number);
        testing_let_time_pass(fixture->event, fixture->reaper);
        executed_expect(fixture, executed_get(container), SESSION_CREATED, 0, 0);
        g_assert_true(executed_get(container)->life.launching);
        gate_open(gate); /* crun writes the right one */
        executed_run_until(fixture, executed_get(container), SESSION_RUNNING);
        g_assert_cmpint(executed_get(container)->main.pid, !=, stranger);
        g_assert_cmpint(kill(stranger, 0), ==, 0);
        g_assert_cmpint(kill(stranger, SIGKILL), ==, 0);
}

static void test_the_container_ends_before_a_launch_is_known(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add_started(fixture, "web", NULL);
        Gate *gate = begin_until(fixture, container, "crun exec", SLEEPS);
        pid_t monitor = executed_get(container)->monitor.pid;

        container = executed_crash(fixture, NULL);
        kill_now(container);
        fixture_run_until_state(fixture, container, STATE_EXITED); /* crun hangs: it is killed with its conmon */
        executed_expect(fixture, executed_get(container), SESSION_STOPPED, 125, 0);
        fakes_run_until_gone(fixture, monitor);
        fakes_expect_nothing_runs(fixture, container);
        gate_open(gate);
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        EXECUTED_ADD(signals_and_codes);
        EXECUTED_ADD(ends_that_are_told_badly);
        EXECUTED_ADD(the_kernel_counts_before_the_file);
        EXECUTED_ADD(the_end_waits_for_the_file);
        EXECUTED_ADD(the_file_alone_tells);
        EXECUTED_ADD(a_file_of_a_signal_alone);
        EXECUTED_ADD(a_conmon_that_dies_first);
        EXECUTED_ADD(an_end_that_cannot_be_stored_is_tried_again);
        EXECUTED_ADD(a_failed_launch_that_cannot_be_stored_is_tried_again);
        EXECUTED_ADD(the_earliest_kill_counts);
        EXECUTED_ADD(a_running_one_goes_on_unseen);
        EXECUTED_ADD(a_running_one_that_ends_meanwhile);
        EXECUTED_ADD(numbers_that_were_given_to_another);
        EXECUTED_ADD(a_launch_goes_on_by_itself);
        EXECUTED_ADD(what_came_of_a_launch);
        EXECUTED_ADD(a_launch_whose_conmon_is_gone);
        EXECUTED_ADD(a_launch_that_hangs_is_killed);
        EXECUTED_ADD(what_crun_has_left_is_killed_alone);
        EXECUTED_ADD(only_what_conmon_has_begun_is_taken);
        EXECUTED_ADD(the_container_ends_before_a_launch_is_known);
        return g_test_run();
}
