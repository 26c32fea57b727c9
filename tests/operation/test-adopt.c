/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Adoption: each row that a service may leave behind against each way in which what it names may be found. PID 1 and conmon are the fakes' own where it matters that they are; the crash is fixture_crash. */

#define FAKES_UNIT "adopt"
#include "fakes.h"
#include "base/clock.h"
#include "runtime/cgroup.h"
#include <signal.h>
#include <string.h>
#include <sys/stat.h>

#define OTHER_BOOT "UPDATE life SET boot_id = 'another'"

static Container *get(Fixture *fixture, const char *name) {
        Container *container = registry_get_by_name(fixture->registry, name);

        g_assert_nonnull(container);
        return container;
}

/* The service dies, sql changes what it left, and the next one takes over. */
static Container *crash(Fixture *fixture, const char *sql) {
        fixture_crash(fixture, sql);
        fixture_adopt(fixture);
        return get(fixture, "web");
}

static void expect_ended(Fixture *fixture, Container *container, int code, int signal, Result result, Reason reason) {
        g_autoptr(Run) run = fixture_record(fixture, container);

        g_assert_cmpint(run->exit_code, ==, code);
        g_assert_cmpint(run->exit_signal, ==, signal);
        g_assert_cmpint(run->result, ==, result);
        g_assert_cmpint(run->reason, ==, reason);
        g_assert_cmpuint(run->finish_usec, >, 0);
        g_assert_cmpstr(run->name, ==, "web");
        g_assert_false(container->life.run_open);
        g_assert_cmpint(container->life.exit_code, ==, code);
        g_assert_cmpint(container->life.result, ==, result);
        g_assert_false(pidref_is_set(&container->main));
        g_assert_false(pidref_is_set(&container->monitor));
}

static unsigned count_runs(Fixture *fixture, Container *container) {
        g_autoptr(GPtrArray) runs = store_list_runs(fixture->store, container->id, 100, NULL);

        return runs->len;
}

/* --- what lives goes on --- */

static void test_a_running_one_goes_on_unseen(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add_started(fixture, "web", NULL);
        pid_t main = container->main.pid, monitor = container->monitor.pid;
        guint64 transitions = container->life.transitions;

        container = crash(fixture, NULL);
        testing_run_idle(fixture->event);
        fixture_expect(fixture, container, STATE_RUNNING);
        g_assert_cmpint(container->main.pid, ==, main);
        g_assert_cmpint(container->monitor.pid, ==, monitor);
        g_assert_cmpuint(container->life.transitions, ==, transitions);
        g_assert_true(container->life.supervised);
        g_assert_cmpuint(fixture->engine->n_supervised, ==, 1);
        g_assert_cmpuint(fixture->engine->n_accepted, ==, 0); /* not even a Sync */
        fixture_expect_events(fixture, "init start ");
        kill_now(container);
        fixture_run_until_state(fixture, container, STATE_EXITED);
        expect_ended(fixture, container, 137, SIGKILL, RESULT_SIGNAL, REASON_SIGNAL);
        fakes_expect_nothing_runs(fixture, container);
}

static void test_a_paused_one_goes_on(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add_started(fixture, "web", NULL);
        g_auto(Answer) answer = {0};

        fixture_do(fixture, container, VERB_PAUSE, NULL, &answer);
        g_assert_no_error(answer.error);
        container = crash(fixture, NULL);
        g_assert_cmpuint(fixture->engine->n_accepted, ==, 0);
        fixture_expect(fixture, container, STATE_PAUSED);
        fixture_do(fixture, container, VERB_RESUME, NULL, &answer);
        g_assert_no_error(answer.error);
}

/* The crash came between what crun did and the commit: crun is asked before anything else begins. */
static void test_what_was_done_but_not_recorded_is_seen(Fixture *fixture, gconstpointer unused) {
        static const struct {
                const char *sql;
                State state;
                bool freeze;
        } table[] = {
                {"UPDATE life SET state = 'initialized', start_usec = 0", STATE_RUNNING, false}, /* crun start */
                {NULL, STATE_PAUSED, true}, /* crun pause */
                {"UPDATE life SET state = 'paused'", STATE_RUNNING, false}, /* crun resume */
        };

        for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
                g_auto(Answer) answer = {0};
                Container *container = i == 0 ? fakes_add_started(fixture, "web", NULL) : get(fixture, "web");

                if (table[i].freeze) {
                        g_assert_true(cgroup_freeze(container->life.cgroup, true, NULL));
                        while (!cgroup_is_frozen(container->life.cgroup))
                                g_usleep(1000);
                } else {
                        g_assert_true(cgroup_thaw(container->life.cgroup, NULL));
                        while (cgroup_is_frozen(container->life.cgroup))
                                g_usleep(1000);
                }
                container = crash(fixture, table[i].sql);
                g_assert_cmpuint(fixture->engine->n_accepted, ==, 1);
                (void) fixture_submit(fixture, container, VERB_RENAME, "{'name': <'web'>}", &answer); /* behind it */
                testing_run_until_count(fixture->event, &answer.n, 1);
                g_assert_no_error(answer.error);
                fixture_expect(fixture, container, table[i].state);
                g_assert_cmpuint(container->life.start_usec, >, 0);
        }
}

static void test_an_initialized_one_stays_so(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add(fixture, "web", NULL);
        g_auto(Answer) answer = {0};

        fixture_do(fixture, container, VERB_INIT, NULL, &answer);
        container = crash(fixture, NULL);
        fixture_do(fixture, container, VERB_START, NULL, &answer); /* behind the Sync */
        g_assert_no_error(answer.error);
        fixture_expect(fixture, container, STATE_RUNNING);
        g_assert_cmpuint(container->life.run, ==, 1);
}

/* Nobody else would go on with it. */
static void test_a_policys_restart_is_finished(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add(fixture, "web", NULL);
        g_auto(Answer) answer = {0};

        fixture_do(fixture, container, VERB_INIT, NULL, &answer);
        container = crash(fixture, "UPDATE life SET reason = 'policy', restart_count = 1");
        fixture_run_until_state(fixture, container, STATE_RUNNING);
        g_assert_cmpuint(container->life.run, ==, 1);
        g_assert_cmpuint(container->life.restart_count, ==, 1); /* the same attempt */
}

static void test_a_conmon_that_is_gone(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add_started(fixture, "web", NULL);
        pid_t monitor = container->monitor.pid;

        fixture_crash(fixture, NULL);
        g_assert_cmpint(kill(monitor, SIGKILL), ==, 0);
        fakes_run_until_gone(fixture, monitor);
        fixture_adopt(fixture);
        container = get(fixture, "web");
        fixture_expect(fixture, container, STATE_RUNNING);
        g_assert_false(container->life.supervised);
        fixture_expect_events(fixture, "init start supervision-lost ");
        g_assert_true(pidref_signal(&container->main, SIGKILL, NULL, NULL));
        fixture_run_until_state(fixture, container, STATE_EXITED);
        expect_ended(fixture, container, 137, SIGKILL, RESULT_SIGNAL, REASON_SIGNAL); /* the kernel tells: it became our child */
}

/* --- identity: pid and start time --- */

static char *set_process(const char *role, pid_t pid, guint64 start_time) {
        return g_strdup_printf("UPDATE life SET %s_pid = %d, %s_start = %" G_GUINT64_FORMAT, role, (int) pid, role, start_time);
}

static void run_unsupervised(Fixture *fixture, Container *container, State state) {
        (void) fixture_run(fixture, container, state);
        fixture->engine->settings.exit_file_usec = fixture->settings.exit_file_usec = 1000; /* nobody will write one */
}

/* PID 1 and conmon end while no service is there. */
static void end_unseen(Fixture *fixture, Container *container, const char *exit_file) {
        g_autofree char *exits = g_build_filename(fixture->paths.run, "exits", NULL), *id = g_strdup(container->id);
        pid_t pid = container->main.pid;

        fixture_crash(fixture, NULL);
        g_assert_cmpint(kill(pid, SIGKILL), ==, 0);
        fakes_run_until_gone(fixture, pid);
        if (exit_file)
                testing_write(exits, id, exit_file);
}

static void test_a_pid_that_was_given_to_another(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add(fixture, "web", NULL);
        pid_t stranger = testing_child_new();
        g_autofree char *sql = set_process("main", stranger, pid_start_time(stranger) + 1);

        run_unsupervised(fixture, container, STATE_RUNNING);
        end_unseen(fixture, container, NULL);
        container = crash(fixture, sql);
        fixture_run_until_state(fixture, container, STATE_EXITED);
        expect_ended(fixture, container, -1, 0, RESULT_LOST, REASON_MONITOR_LOST);
        g_assert_cmpstr(container->life.error_name, ==, "io.conbus1.Error.MonitorLost");
        g_assert_cmpint(kill(stranger, 0), ==, 0); /* was not touched */
        g_assert_cmpint(kill(stranger, SIGKILL), ==, 0);
}

static void test_a_monitor_that_was_given_to_another(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add(fixture, "web", NULL);
        pid_t stranger = testing_child_new();

        run_unsupervised(fixture, container, STATE_RUNNING);
        g_autofree char *sql = set_process("monitor", stranger, pid_start_time(stranger) + 1);
        fixture_crash(fixture, "UPDATE life SET supervised = 1");
        container = crash(fixture, sql);
        fixture_expect(fixture, container, STATE_RUNNING);
        g_assert_false(pidref_is_set(&container->monitor));
        g_assert_false(container->life.supervised);
        kill_now(container);
        fixture_run_until_state(fixture, container, STATE_EXITED);
        g_assert_cmpint(kill(stranger, 0), ==, 0);
        g_assert_cmpint(kill(stranger, SIGKILL), ==, 0);
}

/* --- what ended meanwhile --- */

static void test_the_exit_file_says_how_it_ended(Fixture *fixture, gconstpointer unused) {
        static const struct {
                State state;
                const char *file;
                int code, signal;
                Result result;
                Reason reason;
        } table[] = {
                {STATE_RUNNING, "0", 0, 0, RESULT_SUCCESS, REASON_EXIT},
                {STATE_RUNNING, "3", 3, 0, RESULT_EXIT_CODE, REASON_EXIT},
                {STATE_RUNNING, "143", 143, SIGTERM, RESULT_SIGNAL, REASON_SIGNAL},
                {STATE_RUNNING, "-1", -1, 0, RESULT_LOST, REASON_MONITOR_LOST},
                {STATE_RUNNING, "nonsense", -1, 0, RESULT_LOST, REASON_MONITOR_LOST},
                {STATE_RUNNING, NULL, -1, 0, RESULT_LOST, REASON_MONITOR_LOST},
                {STATE_PAUSED, "137", 137, SIGKILL, RESULT_SIGNAL, REASON_SIGNAL},
                {STATE_STOPPING, "0", 0, 0, RESULT_SUCCESS, REASON_EXIT},
                {STATE_INITIALIZED, "137", 137, SIGKILL, RESULT_NEVER_RAN, REASON_NOT_STARTED},
                {STATE_INITIALIZED, "4", 4, 0, RESULT_EXIT_CODE, REASON_EXIT}, /* it ran, and the service died before it could say so */
        };

        for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
                g_auto(Answer) answer = {0};
                Container *container = fakes_add(fixture, "web", NULL);

                g_test_message("%s, %s", state_to_string(table[i].state), table[i].file ? table[i].file : "no file");
                run_unsupervised(fixture, container, table[i].state);
                end_unseen(fixture, container, table[i].file);
                fixture_adopt(fixture);
                container = get(fixture, "web");
                fixture_run_until_state(fixture, container, STATE_EXITED);
                expect_ended(fixture, container, table[i].code, table[i].signal, table[i].result, table[i].reason);
                g_assert_cmpuint(count_runs(fixture, container), ==, 1);
                fixture_do(fixture, container, VERB_REMOVE, NULL, &answer);
                g_assert_no_error(answer.error);
        }
}

/* conmon is still about to write it: PID 1 is a zombie of conmon's, and nobody but conmon can say how it ended. */
static void test_a_conmon_that_is_slow(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add_started(fixture, "web", NULL);
        pid_t main = container->main.pid;

        Gate *gate = fakes_gate(fixture, "conmon ended");
        fixture_crash(fixture, NULL);
        g_assert_cmpint(kill(main, SIGKILL), ==, 0);
        gate_reach(gate);
        fixture_adopt(fixture);
        container = get(fixture, "web");
        testing_run_idle(fixture->event);
        g_assert_cmpint(container->life.state, ==, STATE_RUNNING);
        gate_open(gate);
        fixture_run_until_state(fixture, container, STATE_EXITED);
        expect_ended(fixture, container, 137, SIGKILL, RESULT_SIGNAL, REASON_SIGNAL);
        g_assert_cmpuint(count_runs(fixture, container), ==, 1);
}

static void test_an_unknown_one_is_watched_too(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add_started(fixture, "web", NULL);

        container = crash(fixture, "UPDATE life SET state = 'unknown'");
        testing_run_idle(fixture->event);
        g_assert_nonnull(container->supervision);
        fixture_expect(fixture, container, STATE_UNKNOWN);
        kill_now(container);
        fixture_run_until_state(fixture, container, STATE_EXITED);
        expect_ended(fixture, container, 137, SIGKILL, RESULT_SIGNAL, REASON_SIGNAL);
}

/* --- launches that never reached their commit --- */

static void test_a_launch_in_the_middle_is_undone(Fixture *fixture, gconstpointer unused) {
        static const char *const points[] = {"conmon begin", "conmon create", "crun create", "crun create-half", "crun create-done", "conmon created"};

        for (size_t i = 0; i < G_N_ELEMENTS(points); i++) {
                Container *container = fakes_add(fixture, "web", NULL);
                g_autoptr(GError) error = NULL;
                g_auto(Answer) answer = {0};

                g_test_message("%s", points[i]);
                Gate *gate = fakes_gate(fixture, points[i]);
                g_assert_nonnull(operation_submit(fixture->engine, container, VERB_INIT, NULL, NULL, NULL, NULL, &error));
                gate_reach(gate);
                pid_t monitor = container->monitor.pid;
                container = crash(fixture, NULL);
                fixture_expect(fixture, container, STATE_STOPPED);
                g_assert_cmpint(container->life.reason, ==, REASON_START_FAILED);
                gate_open(gate);
                fixture_run_until_state(fixture, container, STATE_EXITED);
                fakes_run_until_gone(fixture, monitor);
                expect_ended(fixture, container, 125, 0, RESULT_START_FAILED, REASON_START_FAILED);
                fakes_expect_nothing_runs(fixture, container);
                fixture_do(fixture, container, VERB_REMOVE, NULL, &answer);
                g_assert_no_error(answer.error);
        }
}

static void test_a_launch_without_a_conmon_is_undone(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add(fixture, "web", NULL);
        pid_t stranger = testing_child_new();

        fixture_exit(fixture, container, NULL);
        g_autofree char *process = set_process("monitor", stranger, pid_start_time(stranger) + 1), *sql = g_strconcat(process, ", run = 2, run_open = 1, result = '', exit_code = -1", NULL);
        container = crash(fixture, sql);
        fixture_expect(fixture, container, STATE_STOPPED);
        fixture_run_until_state(fixture, container, STATE_EXITED);
        expect_ended(fixture, container, 125, 0, RESULT_START_FAILED, REASON_START_FAILED);
        g_assert_cmpuint(container->life.run, ==, 2);
        g_assert_cmpint(kill(stranger, 0), ==, 0); /* has that number by chance */
        g_assert_cmpint(kill(stranger, SIGKILL), ==, 0);
}

/* Its conmon was not in a group of its own yet, as before its scope is made. */
static void test_a_conmon_of_an_undone_launch_is_killed(Fixture *fixture, gconstpointer unused) {
        pid_t monitor = testing_child_new();
        g_autofree char *process = set_process("monitor", monitor, pid_start_time(monitor)), *sql = g_strconcat(process, ", run = 1, run_open = 1", NULL);

        (void) fakes_add(fixture, "web", NULL);
        Container *container = crash(fixture, sql);
        fakes_run_until_gone(fixture, monitor);
        fixture_run_until_state(fixture, container, STATE_EXITED);
        expect_ended(fixture, container, 125, 0, RESULT_START_FAILED, REASON_START_FAILED);
}

/* --- what was in progress goes on --- */

static void test_a_stop_keeps_its_time(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add_started(fixture, "web", NULL);
        g_autoptr(GError) error = NULL;
        g_autoptr(GVariant) options = testing_parse("{'timeout-usec': <uint64 1000000000>}");

        g_assert_nonnull(operation_submit(fixture->engine, container, VERB_STOP, options, NULL, NULL, NULL, &error));
        fixture_run_until_state(fixture, container, STATE_STOPPING);
        guint64 deadline = container->life.stop_deadline;
        container = crash(fixture, NULL);
        testing_run_idle(fixture->event);
        fixture_expect(fixture, container, STATE_STOPPING);
        g_assert_cmpuint(container->life.stop_deadline, ==, deadline);
        g_assert_false(pidref_has_ended(&container->main));
        container = crash(fixture, "UPDATE life SET stop_deadline = 1"); /* long past */
        fixture_run_until_state(fixture, container, STATE_EXITED);
        expect_ended(fixture, container, 137, SIGKILL, RESULT_SIGNAL, REASON_SIGNAL);
        g_assert_true(container->life.stopped_by_user);
}

/* It was stored, and the service died before it could send it. */
static void test_a_stop_whose_signal_was_not_sent(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add_heeding(fixture, "web");
        g_autofree char *sql = g_strdup_printf("UPDATE life SET state = 'stopping', reason = 'user', stopped_by_user = 1, stop_signal = %d, stop_deadline = %" G_GUINT64_FORMAT, SIGTERM, clock_boottime_in(1000 * G_USEC_PER_SEC));

        container = crash(fixture, sql);
        fixture_run_until_state(fixture, container, STATE_EXITED);
        expect_ended(fixture, container, 7, 0, RESULT_EXIT_CODE, REASON_EXIT);
}

static void test_a_health_actions_stop_is_followed_by_its_restart(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add_started(fixture, "web", NULL);

        container = crash(fixture, "UPDATE life SET state = 'stopping', reason = 'health', health_action = 'restart', stop_deadline = 1");
        fixture_run_until_state(fixture, container, STATE_RUNNING);
        g_assert_cmpuint(container->life.run, ==, 2);
}

static void test_a_cleanup_is_done(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add(fixture, "web", NULL);

        fixture_exit(fixture, container, NULL);
        container = crash(fixture, "UPDATE life SET state = 'stopped'");
        fixture_run_until_state(fixture, container, STATE_EXITED);
        fixture_expect_events(fixture, "cleanup ");
}

static void test_the_health_of_an_ended_one_is_said(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add(fixture, "web", "{'health': <{'test': <['CMD', 'true']>}>}");

        fixture_exit(fixture, container, NULL);
        container = crash(fixture, "UPDATE life SET health = 'healthy'");
        g_assert_cmpstr(container->life.health, ==, "stopped");
        fixture_expect_events(fixture, "health-status ");
        container = crash(fixture, NULL);
        fixture_expect_events(fixture, "health-status ");
}

static void test_the_health_of_a_stopping_one_is_said(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add_started(fixture, "web", "{'health': <{'test': <['CMD', 'true']>, 'interval-usec': <uint64 0>}>}");

        container = crash(fixture, "UPDATE life SET state = 'stopping', reason = 'user', stopped_by_user = 1, health = 'starting', stop_deadline = 1");
        g_assert_cmpstr(container->life.health, ==, "starting");
        fixture_run_until_state(fixture, container, STATE_EXITED);
        g_assert_cmpstr(container->life.health, ==, "stopped");
}

static bool is_empty(void *userdata) {
        return registry_count(((Fixture *) userdata)->registry, N_STATES) == 0;
}

static void test_a_removal_is_finished(Fixture *fixture, gconstpointer unused) {
        (void) fakes_add(fixture, "web", NULL);
        (void) crash(fixture, "UPDATE life SET state = 'removing'");
        testing_run_until(fixture->event, is_empty, fixture);
        testing_run_idle(fixture->event);
        fixture_expect_events(fixture, "remove ");
}

static void test_an_auto_removal_is_done(Fixture *fixture, gconstpointer unused) {
        fixture_exit(fixture, fakes_add(fixture, "web", "{'auto-remove': <true>}"), NULL);
        fixture_crash(fixture, NULL);
        fixture_adopt(fixture);
        testing_run_until(fixture->event, is_empty, fixture);
}

static void test_a_planned_restart_comes(Fixture *fixture, gconstpointer unused) {
        fixture_exit(fixture, fakes_add(fixture, "web", "{'restart-policy': <'always'>}"), NULL);
        Container *container = crash(fixture, "UPDATE life SET next_restart_usec = 1");
        fixture_run_until_state(fixture, container, STATE_RUNNING);
        g_assert_cmpuint(container->life.restart_count, ==, 1);
        g_assert_cmpuint(container->life.run, ==, 2);
}

static void test_what_rests_is_left_alone(Fixture *fixture, gconstpointer unused) {
        Container *created = fakes_add(fixture, "web", "{'restart-policy': <'always'>, 'auto-start': <true>}"), *exited = fakes_add(fixture, "exited", "{'restart-policy': <'always'>}");

        fixture_exit(fixture, exited, NULL);
        guint64 transitions = created->life.transitions + exited->life.transitions;
        created = crash(fixture, NULL);
        testing_run_idle(fixture->event);
        exited = get(fixture, "exited");
        g_assert_cmpuint(created->life.transitions + exited->life.transitions, ==, transitions);
        g_assert_cmpuint(fixture->engine->n_accepted, ==, 0);
        g_assert_false(engine_is_busy(fixture->engine));
}

/* --- another boot --- */

static void test_nothing_lives_after_a_boot(Fixture *fixture, gconstpointer unused) {
        static const struct {
                State state;
                bool open;
                State now;
                Result result; /* of the run that was open */
                int code;
        } table[] = {
                {STATE_CREATED, false, STATE_CREATED, RESULT_NONE, -1},
                {STATE_CREATED, true, STATE_CREATED, RESULT_START_FAILED, 125},
                {STATE_INITIALIZED, true, STATE_CREATED, RESULT_NEVER_RAN, -1},
                {STATE_RUNNING, true, STATE_EXITED, RESULT_LOST, -1},
                {STATE_PAUSED, true, STATE_EXITED, RESULT_LOST, -1},
                {STATE_STOPPING, true, STATE_EXITED, RESULT_LOST, -1},
                {STATE_STOPPED, false, STATE_EXITED, RESULT_NONE, -1},
                {STATE_STOPPED, true, STATE_EXITED, RESULT_START_FAILED, 125},
                {STATE_EXITED, false, STATE_EXITED, RESULT_NONE, -1},
                {STATE_EXITED, true, STATE_EXITED, RESULT_START_FAILED, 125},
                {STATE_UNKNOWN, false, STATE_CREATED, RESULT_NONE, -1},
                {STATE_UNKNOWN, true, STATE_EXITED, RESULT_LOST, -1},
        };

        for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
                g_auto(Answer) answer = {0};
                pid_t stranger = testing_child_new(); /* which has by chance both the pid and the start time */
                g_autofree char *sql = g_strdup_printf("UPDATE life SET boot_id = 'another', state = '%s', run = 1, run_open = %d, result = '', exit_code = -1, mounted = 1, cgroup = '/conbus/x', supervised = %d, restart_count = 3, "
                                                       "backoff_usec = 7, next_restart_usec = 1, stop_deadline = %d, main_pid = %d, main_start = %" G_GUINT64_FORMAT ", status_text = 'x'",
                                                       state_to_string(table[i].state), table[i].open, table[i].open, table[i].state == STATE_STOPPING ? 1 : 0, table[i].open ? (int) stranger : 0, table[i].open ? pid_start_time(stranger) : 0);

                g_test_message("%s%s", state_to_string(table[i].state), table[i].open ? ", open" : "");
                (void) fakes_add(fixture, "web", NULL);
                Container *container = crash(fixture, sql);
                const Life *life = &container->life;
                g_assert_cmpuint(fixture->engine->n_accepted + fixture->engine->n_supervised, ==, 0);
                fixture_expect(fixture, container, table[i].now);
                g_assert_cmpstr(life->boot_id, ==, clock_boot_id());
                g_assert_false(life->run_open || life->mounted || life->supervised);
                g_assert_cmpuint(life->restart_count + life->backoff_usec + life->next_restart_usec + life->stop_deadline, ==, 0);
                g_assert_cmpstr(life->cgroup, ==, "");
                g_assert_cmpstr(life->status_text, ==, "");
                g_assert_cmpint(life->main.pid, ==, 0);
                if (table[i].open)
                        expect_ended(fixture, container, table[i].code, 0, table[i].result, REASON_BOOT);
                g_assert_cmpint(life->exit_code, ==, table[i].code);
                g_assert_cmpint(kill(stranger, 0), ==, 0);
                g_assert_cmpint(kill(stranger, SIGKILL), ==, 0);
                fixture_do(fixture, container, VERB_REMOVE, NULL, &answer);
                g_assert_no_error(answer.error);
        }
}

static void test_the_boot_rule(Fixture *fixture, gconstpointer unused) {
        static const struct {
                const char *config;
                bool ever_started, stopped_by_user, starts;
        } table[] = {
                {NULL, true, false, false},
                {"{'auto-start': <true>}", false, true, true},
                {"{'restart-policy': <'on-failure'>}", true, false, false},
                {"{'restart-policy': <'on-failure'>, 'auto-start': <true>}", true, true, true},
                {"{'restart-policy': <'always'>}", true, false, true},
                {"{'restart-policy': <'always'>}", true, true, true},
                {"{'restart-policy': <'always'>}", false, false, false},
                {"{'restart-policy': <'always'>, 'auto-start': <true>}", false, false, true},
                {"{'restart-policy': <'unless-stopped'>}", true, false, true},
                {"{'restart-policy': <'unless-stopped'>}", true, true, false},
                {"{'restart-policy': <'unless-stopped'>}", false, false, false},
                {"{'restart-policy': <'unless-stopped'>, 'auto-start': <true>}", true, true, true},
        };

        for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
                g_auto(Answer) answer = {0};
                g_autofree char *sql = g_strdup_printf("UPDATE life SET boot_id = 'another', ever_started = %d, stopped_by_user = %d", table[i].ever_started, table[i].stopped_by_user);

                g_test_message("%s, %d, %d", table[i].config ? table[i].config : "no policy", table[i].ever_started, table[i].stopped_by_user);
                fixture_exit(fixture, fakes_add(fixture, "web", table[i].config), NULL);
                Container *container = crash(fixture, sql);
                g_assert_cmpuint(fixture->engine->n_accepted, ==, table[i].starts ? 1 : 0);
                if (table[i].starts)
                        fixture_run_until_state(fixture, container, STATE_RUNNING);
                g_assert_cmpuint(container->life.restart_count, ==, 0); /* no restart of the policy's count */
                fixture_do(fixture, container, VERB_REMOVE, "{'force': <true>, 'timeout-usec': <uint64 0>}", &answer);
                g_assert_no_error(answer.error);
        }
}

static void test_the_boot_rule_starts_dependencies_too(Fixture *fixture, gconstpointer unused) {
        (void) fakes_add(fixture, "db", NULL);
        (void) fakes_add(fixture, "web", "{'auto-start': <true>, 'depends': <['db']>}");
        Container *container = crash(fixture, OTHER_BOOT);
        fixture_run_until_state(fixture, container, STATE_RUNNING);
        g_assert_cmpint(get(fixture, "db")->life.state, ==, STATE_RUNNING);
}

/* The service dies between the adoption and the start. */
static void test_the_boot_rule_is_owed(Fixture *fixture, gconstpointer unused) {
        (void) fakes_add(fixture, "web", "{'auto-start': <true>}");
        Container *container = crash(fixture, OTHER_BOOT);
        g_assert_cmpuint(container->life.run, ==, 0);
        container = crash(fixture, NULL);
        fixture_run_until_state(fixture, container, STATE_RUNNING);
        g_assert_false(container->life.boot_due);
        container = crash(fixture, NULL); /* and only once */
        testing_run_idle(fixture->event);
        fixture_expect(fixture, container, STATE_RUNNING);
        g_assert_cmpuint(container->life.run, ==, 1);
}

static void test_the_boot_rule_does_not_start_what_goes(Fixture *fixture, gconstpointer unused) {
        (void) fakes_add(fixture, "web", "{'auto-start': <true>}");
        (void) crash(fixture, "UPDATE life SET boot_id = 'another', state = 'removing'");
        testing_run_until(fixture->event, is_empty, fixture);
        fixture_expect_events(fixture, "remove ");
}

/* An auto-remove container that the boot rule starts is not removed before. */
static void test_the_boot_rule_comes_before_an_auto_removal(Fixture *fixture, gconstpointer unused) {
        fixture_exit(fixture, fakes_add(fixture, "web", "{'auto-start': <true>, 'auto-remove': <true>}"), NULL);
        Container *container = crash(fixture, OTHER_BOOT);
        fixture_run_until_state(fixture, container, STATE_RUNNING);
}

/* --- when everything is known --- */

static unsigned n_known;

static void on_known(void *userdata) {
        n_known++;
}

static void test_it_is_told_when_everything_is_known(Fixture *fixture, gconstpointer unused) {
        n_known = 0;
        (void) fakes_add_started(fixture, "web", NULL);
        (void) crash(fixture, NULL);
        engine_when_adopted(fixture->engine, on_known, NULL);
        g_assert_cmpuint(n_known, ==, 1); /* at once: crun need not be asked */
        (void) crash(fixture, "UPDATE life SET state = 'initialized', start_usec = 0");
        engine_when_adopted(fixture->engine, on_known, NULL);
        g_assert_cmpuint(n_known, ==, 1);
        testing_run_until_count(fixture->event, &n_known, 2);
        g_assert_cmpint(get(fixture, "web")->life.state, ==, STATE_RUNNING);
        testing_run_idle(fixture->event);
        g_assert_cmpuint(n_known, ==, 2);
}

/* Its answer may have come before the power cut. */
static void test_a_removal_is_finished_before_that(Fixture *fixture, gconstpointer unused) {
        n_known = 0;
        (void) fakes_add(fixture, "web", NULL);
        (void) crash(fixture, "UPDATE life SET boot_id = 'another', state = 'removing'");
        g_assert_nonnull(get(fixture, "web"));
        engine_when_adopted(fixture->engine, on_known, NULL);
        g_assert_cmpuint(n_known, ==, 0);
        testing_run_until_count(fixture->event, &n_known, 1);
        g_assert_true(is_empty(fixture));
}

/* --- the store --- */

static void test_what_cannot_be_stored_stops_the_adoption(Fixture *fixture, gconstpointer unused) {
        g_autoptr(GError) error = NULL;

        (void) fakes_add(fixture, "web", NULL);
        fixture_crash(fixture, "UPDATE life SET boot_id = 'another', state = 'running', run = 1, run_open = 1");
        fixture_refuse(fixture, "INSERT ON life");
        g_assert_false(engine_adopt(fixture->engine, &error));
        testing_expect_error(&error, CONBUS_ERROR_STORAGE_FULL, "adopt container \"web\": ");
        fixture_allow(fixture);
        Container *container = crash(fixture, NULL); /* and the next one does it */
        fixture_expect(fixture, container, STATE_EXITED);
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        FAKES_ADD(a_running_one_goes_on_unseen);
        FAKES_ADD(a_paused_one_goes_on);
        FAKES_ADD(what_was_done_but_not_recorded_is_seen);
        FAKES_ADD(an_initialized_one_stays_so);
        FAKES_ADD(a_policys_restart_is_finished);
        FAKES_ADD(a_conmon_that_is_gone);
        FAKES_ADD(a_pid_that_was_given_to_another);
        FAKES_ADD(a_monitor_that_was_given_to_another);
        FAKES_ADD(the_exit_file_says_how_it_ended);
        FAKES_ADD(a_conmon_that_is_slow);
        FAKES_ADD(an_unknown_one_is_watched_too);
        FAKES_ADD(a_launch_in_the_middle_is_undone);
        FAKES_ADD(a_launch_without_a_conmon_is_undone);
        FAKES_ADD(a_conmon_of_an_undone_launch_is_killed);
        FAKES_ADD(a_stop_keeps_its_time);
        FAKES_ADD(a_stop_whose_signal_was_not_sent);
        FAKES_ADD(a_health_actions_stop_is_followed_by_its_restart);
        FAKES_ADD(a_cleanup_is_done);
        FAKES_ADD(the_health_of_an_ended_one_is_said);
        FAKES_ADD(the_health_of_a_stopping_one_is_said);
        FAKES_ADD(a_removal_is_finished);
        FAKES_ADD(an_auto_removal_is_done);
        FAKES_ADD(a_planned_restart_comes);
        FAKES_ADD(what_rests_is_left_alone);
        FAKES_ADD(nothing_lives_after_a_boot);
        FAKES_ADD(the_boot_rule);
        FAKES_ADD(the_boot_rule_starts_dependencies_too);
        FAKES_ADD(the_boot_rule_is_owed);
        FAKES_ADD(the_boot_rule_does_not_start_what_goes);
        FAKES_ADD(the_boot_rule_comes_before_an_auto_removal);
        FAKES_ADD(it_is_told_when_everything_is_known);
        FAKES_ADD(a_removal_is_finished_before_that);
        FAKES_ADD(what_cannot_be_stored_stops_the_adoption);
        return g_test_run();
}
