/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Start and Restart: what runs is recorded and what is not recorded does not run, whatever crun start, the payload, the store or the caller does in between. */

#define FAKES_UNIT "start"
#include "fakes.h"
#include <signal.h>
#include <string.h>

static void expect_running(Fixture *fixture, Container *container, guint64 run) {
        g_autoptr(Run) record = fixture_record(fixture, container);

        fixture_expect(fixture, container, STATE_RUNNING);
        g_assert_cmpuint(container->life.run, ==, run);
        g_assert_true(container->life.run_open && container->life.ever_started);
        g_assert_cmpuint(container->life.start_usec, >, 0);
        g_assert_cmpuint(record->start_usec, ==, container->life.start_usec);
        g_assert_cmpint(record->result, ==, RESULT_NONE);
        g_assert_cmpint(kill(container->main.pid, 0), ==, 0);
        g_assert_false(lifecycle_has_ended(container));
}

static void test_from_created(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add(fixture, "web", NULL);
        g_auto(Answer) answer = {0};

        fixture_do(fixture, container, VERB_START, NULL, &answer);
        g_assert_no_error(answer.error);
        g_assert_cmpstr(answer.result, ==, "(1, {'started': <true>, 'ready': <true>})");
        expect_running(fixture, container, 1);
        fixture_expect_events(fixture, "init start ");
}

static void test_from_initialized(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add(fixture, "web", NULL);
        g_auto(Answer) answer = {0};

        fixture_do(fixture, container, VERB_INIT, NULL, &answer);
        pid_t pid = container->main.pid;
        fixture_do(fixture, container, VERB_START, NULL, &answer);
        g_assert_cmpstr(answer.result, ==, "(1, {'started': <true>, 'ready': <true>})");
        expect_running(fixture, container, 1);
        g_assert_cmpint(container->main.pid, ==, pid);
        fixture_expect_events(fixture, "init start ");
}

static void test_the_record_says_who_asked(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add(fixture, "web", NULL);
        g_autoptr(Actor) actor = actor_new(1000, 7, "who", "", ":1.5");
        g_autoptr(GError) error = NULL;
        Operation *operation = operation_submit(fixture->engine, container, VERB_START, NULL, actor, NULL, NULL, &error);

        g_assert_nonnull(operation);
        fixture_run_until_state(fixture, container, STATE_RUNNING);
        g_autoptr(Run) record = fixture_record(fixture, container);
        g_autofree char *text = g_variant_print(record->actor, false);
        g_assert_nonnull(strstr(text, "'uid': <uint32 1000>"));
}

static void test_states_that_refuse(Fixture *fixture, gconstpointer unused) {
        static const struct {
                Verb verb;
                State state;
                ConbusError code;
                const char *part;
        } table[] = {
                {VERB_START, STATE_RUNNING, CONBUS_ERROR_ALREADY_RUNNING, "it runs already"},
                {VERB_START, STATE_PAUSED, CONBUS_ERROR_INVALID_STATE, "it is paused; possible when it is created, initialized, stopped or exited"},
                {VERB_START, STATE_UNKNOWN, CONBUS_ERROR_INVALID_STATE, "it is unknown"},
                {VERB_RESTART, STATE_PAUSED, CONBUS_ERROR_INVALID_STATE, "it is paused; possible when it is created, initialized, running, stopping, stopped or exited"},
                {VERB_RESTART, STATE_UNKNOWN, CONBUS_ERROR_INVALID_STATE, "it is unknown"},
        };

        for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
                g_autofree char *name = g_strdup_printf("c%zu", i);
                Container *container = fakes_add(fixture, name, NULL);
                g_auto(Answer) answer = {0};

                (void) fixture_run(fixture, container, table[i].state);
                fixture_do(fixture, container, table[i].verb, NULL, &answer);
                testing_expect_error(&answer.error, table[i].code, table[i].part);
                fixture_expect(fixture, container, table[i].state);
                g_assert_cmpuint(container->life.run, ==, 1);
        }
        fixture_expect_events(fixture, "");
}

static void test_a_wait_for_health_needs_a_check(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add(fixture, "web", NULL);
        g_auto(Answer) answer = {0};

        fixture_do(fixture, container, VERB_START, "{'wait': <'healthy'>}", &answer);
        testing_expect_error(&answer.error, CONBUS_ERROR_NO_HEALTH_CHECK, "has no health check");
        fixture_do(fixture, container, VERB_RESTART, "{'wait': <'healthy'>}", &answer);
        testing_expect_error(&answer.error, CONBUS_ERROR_NO_HEALTH_CHECK, "has no health check");
        fixture_expect(fixture, container, STATE_CREATED);
        g_assert_cmpuint(container->life.run, ==, 0);
}

/* The effect is complete and the queue goes on; only the answer waits. */
static void test_a_wait_for_readiness_ends_with_the_run(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add(fixture, "web", "{'notify': <'ready'>}");
        g_auto(Answer) answer = {0};

        (void) fixture_submit(fixture, container, VERB_START, "{'wait': <'ready'>}", &answer);
        fixture_run_until_state(fixture, container, STATE_RUNNING);
        testing_run_idle(fixture->event);
        g_assert_cmpuint(answer.n, ==, 0);
        g_assert_cmpuint(fixture->engine->n_accepted, ==, 0);
        kill_now(container);
        testing_run_until_count(fixture->event, &answer.n, 1);
        testing_expect_error(&answer.error, CONBUS_ERROR_NOT_RUNNING, "run 1 ended (signal, exit code 137) before it was ready");
}

/* --- crun start fails --- */

typedef struct Failure {
        const char *fault;
        ConbusError code;
        const char *part;
        int exit_code;
} Failure;

static const Failure failures[] = {
        {"crun start 1 fail executable file `x` not found in $PATH", CONBUS_ERROR_RUNTIME_COMMAND_NOT_FOUND, "crun start: executable file `x`", 127},
        {"crun start 1 fail open executable: Permission denied", CONBUS_ERROR_RUNTIME_PERMISSION_DENIED, "Permission denied", 126},
        {"crun start 1 fail no such thing", CONBUS_ERROR_RUNTIME_FAILED, "crun start: no such thing", 125},
        {"crun start 1 silent", CONBUS_ERROR_RUNTIME_FAILED, "crun failed without a word", 125},
        {"crun start 1 die 9", CONBUS_ERROR_RUNTIME_FAILED, "crun failed without a word", 125},
        {"crun start-done 1 die 9", CONBUS_ERROR_RUNTIME_FAILED, "crun failed without a word", 125}, /* the payload runs: it is ended, since nobody can know */
};

static void expect_failed(Fixture *fixture, Container *container, int exit_code, State state) {
        fixture_expect(fixture, container, state);
        fixture_expect_start_failed(fixture, container, exit_code);
        fakes_expect_nothing_runs(fixture, container);
        g_assert_cmpint(container->failed_start_code, ==, 0);
        g_assert_false(container->life.ever_started);
}

static void test_a_failure_ends_the_run(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add(fixture, "web", NULL);

        for (size_t i = 0; i < G_N_ELEMENTS(failures); i++) {
                const Failure *failure = &failures[i];
                g_auto(Answer) answer = {0};

                g_test_message("%s", failure->fault);
                fakes_order(failure->fault);
                fixture_do(fixture, container, VERB_START, NULL, &answer);
                testing_expect_error(&answer.error, failure->code, failure->part);
                expect_failed(fixture, container, failure->exit_code, STATE_CREATED);
                g_assert_cmpstr(container->life.error_name, ==, conbus_error_names[failure->code]);
                g_assert_cmpuint(container->life.run, ==, i + 1);
        }
}

static void test_a_failure_from_elsewhere_ends_exited(Fixture *fixture, gconstpointer unused) {
        Container *initialized = fakes_add(fixture, "a", NULL), *exited = fakes_add(fixture, "b", NULL);
        g_auto(Answer) answer = {0};

        fixture_do(fixture, initialized, VERB_INIT, NULL, &answer);
        fakes_order("crun start 1 silent");
        fixture_do(fixture, initialized, VERB_START, NULL, &answer);
        testing_expect_error(&answer.error, CONBUS_ERROR_RUNTIME_FAILED, "");
        expect_failed(fixture, initialized, 125, STATE_EXITED);
        fixture_exit(fixture, exited, NULL);
        fakes_order("crun start 1 silent");
        fixture_do(fixture, exited, VERB_START, NULL, &answer);
        testing_expect_error(&answer.error, CONBUS_ERROR_RUNTIME_FAILED, "");
        fixture_expect(fixture, exited, STATE_EXITED);
        fixture_expect_start_failed(fixture, exited, 125);
        g_assert_cmpuint(exited->life.run, ==, 2);
}

static void test_a_launch_that_fails_is_the_starts_failure(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add(fixture, "web", NULL);
        g_auto(Answer) answer = {0};

        fakes_order("crun create 1 silent");
        fixture_do(fixture, container, VERB_START, NULL, &answer);
        testing_expect_error(&answer.error, CONBUS_ERROR_MONITOR_FAILED, "");
        expect_failed(fixture, container, 125, STATE_CREATED);
        fixture_expect_events(fixture, "died ");
}

static bool has_a_process(void *userdata) {
        return ((Operation *) userdata)->process != NULL;
}

static void test_a_start_that_hangs_is_ended(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add(fixture, "web", NULL);
        g_auto(Answer) init = {0}, answer = {0};

        fixture_do(fixture, container, VERB_INIT, NULL, &init);
        fixture->engine->settings.runtime_usec = 100 * G_TIME_SPAN_MILLISECOND;
        fakes_order("crun start 1 hang"); /* whether it comes that far or not */
        Operation *operation = fixture_submit(fixture, container, VERB_START, NULL, &answer);
        testing_run_until(fixture->event, has_a_process, operation);
        fixture->engine->settings.runtime_usec = fixture->settings.runtime_usec; /* the cleanup has its time */
        testing_run_until_count(fixture->event, &answer.n, 1);
        testing_expect_error(&answer.error, CONBUS_ERROR_RUNTIME_FAILED, "crun did not end in 0.1 s and was killed");
        fakes_cancel();
        expect_failed(fixture, container, 125, STATE_EXITED);
}

/* --- ends and cancellations in between --- */

static void test_killed_before_it_was_started(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add(fixture, "web", NULL);
        g_auto(Answer) answer = {0};

        Gate *gate = fakes_gate(fixture, "crun start");
        (void) fixture_submit(fixture, container, VERB_START, NULL, &answer);
        gate_reach(gate);
        pid_t pid = container->main.pid;
        g_assert_true(pidref_signal(&container->main, SIGKILL, NULL, NULL));
        fakes_run_until_gone(fixture, pid);
        testing_run_idle(fixture->event);
        fixture_expect(fixture, container, STATE_INITIALIZED); /* held: RunFinished never comes before RunStarted */
        gate_open(gate);
        testing_run_until_count(fixture->event, &answer.n, 1);
        testing_expect_error(&answer.error, CONBUS_ERROR_NOT_RUNNING, "run 1 was killed before it was started");
        fixture_expect(fixture, container, STATE_CREATED);
        g_autoptr(Run) record = fixture_record(fixture, container);
        g_assert_cmpint(record->result, ==, RESULT_NEVER_RAN);
        g_assert_cmpint(record->exit_code, ==, 137);
        fakes_expect_nothing_runs(fixture, container);
}

/* A payload that ends while crun start is still on its way back: started first, then ended. */
static void test_ended_before_crun_has_said_so(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add(fixture, "web", "{'command': <['sh', '-c', 'exit 3']>}");
        g_auto(Answer) answer = {0};

        Gate *gate = fakes_gate(fixture, "crun start-done");
        (void) fixture_submit(fixture, container, VERB_START, NULL, &answer);
        gate_reach(gate);
        fakes_run_until_gone(fixture, container->main.pid);
        gate_open(gate);
        testing_run_until_count(fixture->event, &answer.n, 1);
        g_assert_no_error(answer.error);
        fixture_run_until_state(fixture, container, STATE_EXITED);
        fixture_expect_events(fixture, "init start died cleanup ");
        g_assert_cmpint(container->life.exit_code, ==, 3);
}

static void test_cancelled_before_the_payload_runs(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add(fixture, "web", NULL);
        g_auto(Answer) answer = {0};

        Gate *gate = fakes_gate(fixture, "crun create-done");
        Operation *operation = fixture_submit(fixture, container, VERB_START, NULL, &answer);
        gate_reach(gate);
        operation_cancel(operation);
        testing_run_until_count(fixture->event, &answer.n, 1);
        gate_open(gate);
        testing_expect_error(&answer.error, CONBUS_ERROR_CANCELLED, "cancelled");
        fixture_expect(fixture, container, STATE_CREATED);
        fakes_expect_nothing_runs(fixture, container);
}

/* While the dependencies of an initialized container are looked at, nothing can be interrupted; then it stays initialized. */
static void cancel_at_begin(Operation *operation, void *userdata) {
        operation_cancel(operation);
}

static void test_a_cancelled_start_leaves_an_init_of_others(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add(fixture, "web", NULL);
        g_auto(Answer) answer = {0};

        fixture_do(fixture, container, VERB_INIT, NULL, &answer);
        answer_clear(&answer);
        Operation *operation = fixture_submit(fixture, container, VERB_START, NULL, &answer);
        operation->begun = cancel_at_begin;
        testing_run_until_count(fixture->event, &answer.n, 1);
        testing_expect_error(&answer.error, CONBUS_ERROR_CANCELLED, "cancelled");
        fixture_expect(fixture, container, STATE_INITIALIZED);
        g_assert_true(container->life.run_open);
}

/* An Init that was part of the call goes with it. */
static bool is_initialized_and_cancelled;

static void cancel_at_init(const Change *change, void *userdata) {
        Operation *operation = g_queue_peek_head(&change->container->operations);

        if (change->now->state == STATE_INITIALIZED && !is_initialized_and_cancelled) {
                is_initialized_and_cancelled = true;
                operation_cancel(operation);
        }
}

static void test_cancelled_after_its_own_init(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add(fixture, "web", NULL);
        g_auto(Answer) answer = {0};

        is_initialized_and_cancelled = false;
        registry_set_observer(fixture->registry, OBSERVER_ANNOUNCE, cancel_at_init, NULL);
        fixture_do(fixture, container, VERB_START, NULL, &answer);
        registry_set_observer(fixture->registry, OBSERVER_ANNOUNCE, NULL, NULL);
        testing_expect_error(&answer.error, CONBUS_ERROR_CANCELLED, "cancelled");
        fixture_expect(fixture, container, STATE_CREATED);
        g_assert_cmpint(container->life.result, ==, RESULT_NEVER_RAN);
        fakes_expect_nothing_runs(fixture, container);
        fixture_expect_events(fixture, "init died cleanup ");
}

/* --- a store that refuses --- */

static void test_nothing_runs_that_is_not_recorded(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add(fixture, "web", NULL);
        g_auto(Answer) answer = {0};

        fixture_refuse(fixture, "INSERT ON event WHEN new.action = 'start'");
        fixture_do(fixture, container, VERB_START, NULL, &answer);
        testing_expect_error(&answer.error, CONBUS_ERROR_STORAGE_FULL, "");
        fixture_allow(fixture);
        fixture_run_until_state(fixture, container, STATE_CREATED);
        testing_run_idle(fixture->event);
        expect_failed(fixture, container, 125, STATE_CREATED);
}

/* Nor can the end be recorded before there is space: the caller does not wait for that. */
static void test_a_full_disk_does_not_keep_the_caller(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add(fixture, "web", NULL);
        g_auto(Answer) answer = {0};

        fixture_refuse(fixture, "INSERT ON event WHEN new.action IN ('start', 'died')");
        fixture_do(fixture, container, VERB_START, NULL, &answer);
        testing_expect_error(&answer.error, CONBUS_ERROR_STORAGE_FULL, "");
        g_assert_true(container->life.run_open);
        g_assert_cmpuint(fixture->engine->n_accepted, ==, 1);
        fixture_allow(fixture);
        fixture_run_until_state(fixture, container, STATE_CREATED);
        testing_run_idle(fixture->event);
        expect_failed(fixture, container, 125, STATE_CREATED);
}

/* --- a service that died in the middle of a start --- */

static void found_initialized(Fixture *fixture, const char *order, Answer *answer, Container **ret) {
        Container *container = fakes_add(fixture, "web", NULL);

        fixture_do(fixture, container, VERB_INIT, NULL, answer);
        g_assert_no_error(answer->error);
        container->start_is_doubtful = true; /* as adoption sets it */
        fakes_order(order);
        fixture_do(fixture, container, VERB_START, NULL, answer);
        g_assert_false(container->start_is_doubtful);
        *ret = container;
}

/* The earlier service's crun start has come first; ours finds nothing left to do and says that it has failed. */
static void test_a_start_that_another_has_done(Fixture *fixture, gconstpointer unused) {
        g_auto(Answer) answer = {0};
        Container *container;

        found_initialized(fixture, "crun start-done 1 fail unlink exec.fifo: No such file or directory", &answer, &container);
        g_assert_no_error(answer.error);
        expect_running(fixture, container, 1);
        fixture_expect_events(fixture, "init start ");
}

static void test_a_start_that_nobody_has_done_fails(Fixture *fixture, gconstpointer unused) {
        g_auto(Answer) answer = {0};
        Container *container;

        found_initialized(fixture, "crun start 1 fail not today", &answer, &container);
        testing_expect_error(&answer.error, CONBUS_ERROR_RUNTIME_FAILED, "not today");
        fixture_expect_start_failed(fixture, container, 125);
}

/* --- Restart --- */

static void test_a_restart_of_what_runs(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add_started(fixture, "web", NULL);
        g_auto(Answer) answer = {0};
        pid_t old = container->main.pid;

        fixture_do(fixture, container, VERB_RESTART, "{'timeout-usec': <uint64 0>}", &answer);
        g_assert_no_error(answer.error);
        g_assert_cmpstr(answer.result, ==, "(2, {'started': <true>, 'ready': <true>})");
        expect_running(fixture, container, 2);
        g_assert_cmpint(kill(old, 0), ==, -1);
        g_assert_false(container->life.stopped_by_user);
        g_assert_cmpuint(container->life.restart_count, ==, 0); /* counts the policy's alone */
        fixture_expect_events(fixture, "init start stop died cleanup init start restart ");
        g_autoptr(Run) first = NULL;
        g_assert_true(store_get_run(fixture->store, container->id, 1, &first, NULL));
        g_assert_cmpint(first->result, ==, RESULT_SIGNAL);
        g_assert_cmpint(first->exit_code, ==, 137);
}

static void test_a_restart_of_what_does_not_run(Fixture *fixture, gconstpointer unused) {
        Container *created = fakes_add(fixture, "a", NULL), *initialized = fakes_add(fixture, "b", NULL);
        g_auto(Answer) answer = {0};

        fixture_do(fixture, created, VERB_RESTART, NULL, &answer);
        g_assert_no_error(answer.error);
        expect_running(fixture, created, 1);
        fixture_do(fixture, initialized, VERB_INIT, NULL, &answer);
        fixture_do(fixture, initialized, VERB_RESTART, NULL, &answer);
        g_assert_no_error(answer.error);
        expect_running(fixture, initialized, 2);
}

static void test_a_restart_that_comes_half_way_says_so(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add_started(fixture, "web", NULL);
        g_auto(Answer) answer = {0};

        fakes_order("crun create 1 fail no such thing");
        fixture_do(fixture, container, VERB_RESTART, "{'timeout-usec': <uint64 0>}", &answer);
        testing_expect_error(&answer.error, CONBUS_ERROR_RUNTIME_FAILED, "container \"web\" was stopped, but not started again: ");
        fixture_expect(fixture, container, STATE_EXITED);
        fixture_expect_start_failed(fixture, container, 125);
        fakes_expect_nothing_runs(fixture, container);
}

static void test_a_restart_of_what_was_down_does_not_say_so(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add(fixture, "web", NULL);
        g_auto(Answer) answer = {0};

        fakes_order("crun create 1 fail no such thing");
        fixture_do(fixture, container, VERB_RESTART, NULL, &answer);
        g_assert_null(strstr(answer.error->message, "was stopped"));
        testing_expect_error(&answer.error, CONBUS_ERROR_RUNTIME_FAILED, "no such thing");
        expect_failed(fixture, container, 125, STATE_CREATED);
}

static void test_a_restart_that_cannot_stop_does_not_say_so(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add_started(fixture, "web", NULL);
        g_auto(Answer) answer = {0};

        fixture_refuse(fixture, "INSERT ON event WHEN new.action = 'stop'");
        fixture_do(fixture, container, VERB_RESTART, NULL, &answer);
        fixture_allow(fixture);
        g_assert_null(strstr(answer.error->message, "was stopped"));
        testing_expect_error(&answer.error, CONBUS_ERROR_STORAGE_FULL, "");
        expect_running(fixture, container, 1);
}

/* The container runs as it was asked for; that the log lacks a line is no failure of the call. */
static void test_a_restart_whose_event_is_refused_is_done(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add_started(fixture, "web", NULL);
        g_auto(Answer) answer = {0};

        fixture_refuse(fixture, "INSERT ON event WHEN new.action = 'restart'");
        fixture_do(fixture, container, VERB_RESTART, "{'timeout-usec': <uint64 0>}", &answer);
        fixture_allow(fixture);
        g_assert_no_error(answer.error);
        g_assert_cmpstr(answer.result, ==, "(2, {'started': <true>, 'ready': <true>})");
        expect_running(fixture, container, 2);
        g_assert_cmpstr(container->life.error_name, ==, "");
}

static void test_a_restart_that_was_cancelled_stays_down(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add_started(fixture, "web", NULL);
        g_auto(Answer) answer = {0};

        Gate *gate = fakes_gate(fixture, "crun delete");
        Operation *operation = fixture_submit(fixture, container, VERB_RESTART, "{'timeout-usec': <uint64 0>}", &answer);
        gate_reach(gate);
        operation_cancel(operation);
        gate_open(gate);
        testing_run_until_count(fixture->event, &answer.n, 1);
        testing_expect_error(&answer.error, CONBUS_ERROR_CANCELLED, "cancelled");
        fixture_expect(fixture, container, STATE_EXITED);
        g_assert_cmpuint(container->life.run, ==, 1);
        fakes_expect_nothing_runs(fixture, container);
}

/* --- the policy's own --- */

static void test_a_policys_start_that_is_not_due_does_nothing(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add(fixture, "web", NULL);
        g_autoptr(GError) error = NULL;

        fixture_exit(fixture, container, NULL);
        Operation *operation = operation_submit(fixture->engine, container, VERB_START, NULL, NULL, NULL, NULL, &error);
        operation->internal_restart = true;
        operation->number = 1; /* the time of a plan that is none any more */
        testing_run_idle(fixture->event);
        fixture_expect(fixture, container, STATE_EXITED);
        g_assert_cmpuint(container->life.run, ==, 1);
        g_assert_cmpuint(fixture->engine->n_accepted, ==, 0);
}

static void test_a_policys_start_counts(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add(fixture, "web", "{'restart-policy': <'always'>}");
        g_autoptr(GError) error = NULL;

        fixture_exit(fixture, container, NULL);
        Operation *operation = operation_submit(fixture->engine, container, VERB_START, NULL, NULL, NULL, NULL, &error);
        operation->internal_restart = operation->is_due = true;
        fixture_run_until_state(fixture, container, STATE_RUNNING);
        g_assert_cmpuint(container->life.restart_count, ==, 1);
        g_assert_cmpint(container->life.reason, ==, REASON_POLICY);
        fixture_expect_events(fixture, "restart init start ");
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        FAKES_ADD(from_created);
        FAKES_ADD(from_initialized);
        FAKES_ADD(the_record_says_who_asked);
        FAKES_ADD(states_that_refuse);
        FAKES_ADD(a_wait_for_health_needs_a_check);
        FAKES_ADD(a_wait_for_readiness_ends_with_the_run);
        FAKES_ADD(a_failure_ends_the_run);
        FAKES_ADD(a_failure_from_elsewhere_ends_exited);
        FAKES_ADD(a_launch_that_fails_is_the_starts_failure);
        FAKES_ADD(a_start_that_hangs_is_ended);
        FAKES_ADD(killed_before_it_was_started);
        FAKES_ADD(ended_before_crun_has_said_so);
        FAKES_ADD(cancelled_before_the_payload_runs);
        FAKES_ADD(a_cancelled_start_leaves_an_init_of_others);
        FAKES_ADD(cancelled_after_its_own_init);
        FAKES_ADD(nothing_runs_that_is_not_recorded);
        FAKES_ADD(a_full_disk_does_not_keep_the_caller);
        FAKES_ADD(a_start_that_another_has_done);
        FAKES_ADD(a_start_that_nobody_has_done_fails);
        FAKES_ADD(a_restart_of_what_runs);
        FAKES_ADD(a_restart_of_what_does_not_run);
        FAKES_ADD(a_restart_that_comes_half_way_says_so);
        FAKES_ADD(a_restart_of_what_was_down_does_not_say_so);
        FAKES_ADD(a_restart_that_cannot_stop_does_not_say_so);
        FAKES_ADD(a_restart_whose_event_is_refused_is_done);
        FAKES_ADD(a_restart_that_was_cancelled_stays_down);
        FAKES_ADD(a_policys_start_that_is_not_due_does_nothing);
        FAKES_ADD(a_policys_start_counts);
        return g_test_run();
}
