/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Stop and Kill: the wish is stored before the first signal, every call that shares an end has its answer, and what cannot be done says so and changes nothing. */

#define FAKES_UNIT "stop"
#include "fakes.h"
#include "base/clock.h"
#include "runtime/cgroup.h"
#include <signal.h>
#include <string.h>

static void expect_record(Fixture *fixture, Container *container, int code, int signal, Result result) {
        g_autoptr(Run) run = fixture_record(fixture, container);

        g_assert_cmpint(run->exit_code, ==, code);
        g_assert_cmpint(run->exit_signal, ==, signal);
        g_assert_cmpint(run->result, ==, result);
        g_assert_false(container->life.run_open);
        g_assert_cmpuint(container->life.stop_deadline, ==, 0);
}

/* --- Stop --- */

static void test_a_payload_that_heeds_the_signal(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add_heeding(fixture, "web");
        g_auto(Answer) answer = {0};

        fixture_do(fixture, container, VERB_STOP, "{'reason': <'because'>}", &answer);
        g_assert_no_error(answer.error);
        g_assert_cmpstr(answer.result, ==, "(1,)");
        fixture_expect(fixture, container, STATE_EXITED);
        expect_record(fixture, container, 7, 0, RESULT_EXIT_CODE);
        g_assert_true(container->life.stopped_by_user);
        fixture_expect_events(fixture, "init start stop died cleanup ");
        fakes_expect_nothing_runs(fixture, container);
        bool gap;
        g_autoptr(GPtrArray) events = store_list_events(fixture->store, 2, 1, UINT64_MAX, NULL, &gap, NULL);
        const char *reason = NULL;
        g_assert_true(g_variant_lookup(((Event *) events->pdata[0])->details, "reason", "&s", &reason));
        g_assert_cmpstr(reason, ==, "because");
}

static void test_the_signal_can_be_chosen(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add_heeding(fixture, "web");
        g_auto(Answer) answer = {0};

        fixture_do(fixture, container, VERB_STOP, "{'signal': <1>}", &answer);
        g_assert_no_error(answer.error);
        expect_record(fixture, container, 8, 0, RESULT_EXIT_CODE);
}

static void test_a_payload_that_does_not_is_killed_in_time(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add_started(fixture, "web", NULL); /* sleep as PID 1 hears nothing */
        g_auto(Answer) answer = {0};

        fixture_do(fixture, container, VERB_STOP, "{'timeout-usec': <uint64 1>}", &answer);
        g_assert_no_error(answer.error);
        fixture_expect(fixture, container, STATE_EXITED);
        expect_record(fixture, container, 137, SIGKILL, RESULT_SIGNAL);
}

static void test_no_grace_at_all(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add_heeding(fixture, "web");
        g_auto(Answer) answer = {0};

        fixture_do(fixture, container, VERB_STOP, "{'timeout-usec': <uint64 0>}", &answer);
        g_assert_no_error(answer.error);
        expect_record(fixture, container, 137, SIGKILL, RESULT_SIGNAL); /* TERM was not sent first */
}

static void test_what_never_ran_is_killed_at_once(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add(fixture, "web", NULL);
        g_auto(Answer) answer = {0};

        fixture_do(fixture, container, VERB_INIT, NULL, &answer);
        fixture_do(fixture, container, VERB_STOP, NULL, &answer);
        g_assert_cmpstr(answer.result, ==, "(1,)");
        fixture_expect(fixture, container, STATE_EXITED);
        expect_record(fixture, container, 137, SIGKILL, RESULT_NEVER_RAN);
}

static void test_a_paused_one_is_thawed(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add_heeding(fixture, "web");
        g_auto(Answer) answer = {0};

        fixture_do(fixture, container, VERB_PAUSE, NULL, &answer);
        g_assert_no_error(answer.error);
        fixture_do(fixture, container, VERB_STOP, NULL, &answer);
        g_assert_no_error(answer.error);
        fixture_expect(fixture, container, STATE_EXITED);
        expect_record(fixture, container, 7, 0, RESULT_EXIT_CODE);
}

static void test_the_wish_is_stored_before_the_signal(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add_started(fixture, "web", NULL);
        g_auto(Answer) answer = {0};
        guint64 before = clock_boottime_usec();

        (void) fixture_submit(fixture, container, VERB_STOP, "{'timeout-usec': <uint64 1000000000>}", &answer);
        fixture_run_until_state(fixture, container, STATE_STOPPING);
        fixture_expect(fixture, container, STATE_STOPPING);
        g_assert_true(container->life.stopped_by_user);
        g_assert_cmpuint(container->life.stop_deadline, >=, before + 1000000000);
        testing_run_idle(fixture->event);
        g_assert_cmpuint(answer.n, ==, 0);
        kill_now(container);
        testing_run_until_count(fixture->event, &answer.n, 1);
        g_assert_no_error(answer.error);
        expect_record(fixture, container, 137, SIGKILL, RESULT_SIGNAL);
}

static void test_what_cannot_be_stored_is_not_stopped(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add_heeding(fixture, "web");
        g_auto(Answer) answer = {0};

        fixture_refuse(fixture, "INSERT ON event WHEN new.action = 'stop'");
        fixture_do(fixture, container, VERB_STOP, NULL, &answer);
        testing_expect_error(&answer.error, CONBUS_ERROR_STORAGE_FULL, "");
        fixture_allow(fixture);
        fixture_expect(fixture, container, STATE_RUNNING);
        g_assert_false(container->life.stopped_by_user);
        g_assert_false(pidref_has_ended(&container->main));
}

/* --- stops that meet --- */

static void test_a_shorter_stop_ends_a_longer_one(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add_started(fixture, "web", NULL);
        g_auto(Answer) forever = {0}, longer = {0}, shorter = {0};

        (void) fixture_submit(fixture, container, VERB_STOP, "{'timeout-usec': <uint64 0xffffffffffffffff>}", &forever);
        fixture_run_until_state(fixture, container, STATE_STOPPING);
        g_assert_cmpuint(container->life.stop_deadline, ==, UINT64_MAX);
        (void) fixture_submit(fixture, container, VERB_STOP, "{'timeout-usec': <uint64 1000000000>}", &longer);
        g_assert_cmpuint(container->life.stop_deadline, <, UINT64_MAX);
        (void) fixture_submit(fixture, container, VERB_STOP, "{'timeout-usec': <uint64 0>}", &shorter);
        testing_run_until_count(fixture->event, &shorter.n, 1);
        g_assert_cmpuint(forever.n, ==, 1);
        g_assert_cmpuint(longer.n, ==, 1);
        g_assert_cmpstr(forever.result, ==, "(1,)");
        g_assert_cmpstr(longer.result, ==, "(1,)");
        g_assert_cmpstr(shorter.result, ==, "(1,)");
        fixture_expect(fixture, container, STATE_EXITED);
        fixture_expect_events(fixture, "init start stop died cleanup "); /* one stop */
}

static void test_a_longer_stop_does_not_lengthen(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add_started(fixture, "web", NULL);
        g_auto(Answer) first = {0}, second = {0};

        (void) fixture_submit(fixture, container, VERB_STOP, "{'timeout-usec': <uint64 1000000000>}", &first);
        fixture_run_until_state(fixture, container, STATE_STOPPING);
        guint64 deadline = container->life.stop_deadline;
        (void) fixture_submit(fixture, container, VERB_STOP, "{'timeout-usec': <uint64 0xffffffffffffffff>}", &second);
        g_assert_cmpuint(container->life.stop_deadline, ==, deadline);
        kill_now(container);
        testing_run_until_count(fixture->event, &second.n, 1);
        g_assert_no_error(first.error);
        g_assert_no_error(second.error);
}

static void test_a_stop_during_a_restart_stops_what_follows(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add_started(fixture, "web", NULL);
        g_auto(Answer) restart = {0}, stop = {0};

        (void) fixture_submit(fixture, container, VERB_RESTART, "{'timeout-usec': <uint64 1000000000>}", &restart);
        fixture_run_until_state(fixture, container, STATE_STOPPING);
        (void) fixture_submit(fixture, container, VERB_STOP, "{'timeout-usec': <uint64 0>}", &stop);
        g_assert_false(container->life.stopped_by_user); /* the end of this run is the restart's */
        testing_run_until_count(fixture->event, &stop.n, 1);
        g_assert_cmpuint(restart.n, ==, 1);
        g_assert_cmpstr(restart.result, ==, "(2, {'started': <true>, 'ready': <true>})");
        g_assert_cmpstr(stop.result, ==, "(2,)");
        fixture_expect(fixture, container, STATE_EXITED);
        g_assert_true(container->life.stopped_by_user);
}

static void test_a_users_stop_takes_over_a_health_actions(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add_started(fixture, "web", NULL);
        g_auto(Answer) action = {0}, stop = {0};

        Operation *operation = fixture_submit(fixture, container, VERB_STOP, "{'timeout-usec': <uint64 1000000000>}", &action);
        operation->not_by_user = true;
        g_autoptr(Commit) commit = commit_new(container, NULL);
        commit->life.health_action = "restart";
        g_assert_true(commit_apply(commit, NULL));
        fixture_run_until_state(fixture, container, STATE_STOPPING);
        g_assert_false(container->life.stopped_by_user);
        g_assert_cmpint(container->life.reason, ==, REASON_HEALTH);
        (void) fixture_submit(fixture, container, VERB_STOP, "{'timeout-usec': <uint64 0>}", &stop);
        testing_run_until_count(fixture->event, &stop.n, 1);
        testing_run_idle(fixture->event);
        g_assert_true(container->life.stopped_by_user);
        g_assert_cmpuint(container->life.next_restart_usec, ==, 0); /* the restart that was to follow does not */
        g_assert_cmpstr(container->life.health_action, ==, "");
        fixture_expect(fixture, container, STATE_EXITED);
}

/* The container is well again before the stop's turn comes, and the order has been taken back. */
static void test_an_order_of_health_that_was_taken_back(Fixture *fixture, gconstpointer unused) {
        static const bool by_user[] = {false, true}; /* on-failure restart, and stop */

        for (size_t i = 0; i < G_N_ELEMENTS(by_user); i++) {
                Container *container = fakes_add_started(fixture, i ? "b" : "a", NULL);
                Operation *operation = operation_submit(fixture->engine, container, VERB_STOP, NULL, NULL, NULL, NULL, NULL);

                operation->not_by_user = !by_user[i];
                operation->number = 1;
                testing_run_idle(fixture->event);
                g_assert_cmpuint(fixture->engine->n_accepted, ==, 0);
                fixture_expect(fixture, container, STATE_RUNNING);
                g_assert_false(container->life.stopped_by_user);
                g_assert_cmpuint(container->life.run, ==, 1);
        }
}

/* --- an end that cannot be recorded: the reply has a latest moment, the container stays stopping --- */

static bool is_stopping_and_dead(void *container) {
        return ((Container *) container)->life.state == STATE_STOPPING && lifecycle_has_ended(container);
}

static void test_the_reply_gives_up(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add_started(fixture, "web", NULL);
        g_auto(Answer) answer = {0};

        fixture_refuse(fixture, "INSERT ON event WHEN new.action = 'died'");
        Operation *operation = fixture_submit(fixture, container, VERB_STOP, "{'timeout-usec': <uint64 0>}", &answer);
        testing_run_until(fixture->event, is_stopping_and_dead, container);
        while (answer.n == 0) { /* the times of the processes, and of conmon where its word is missing, are over */
                sd_event_source_set_time(operation->timer, 0);
                g_assert_cmpint(sd_event_run(fixture->event, UINT64_MAX), >=, 0);
        }
        testing_expect_error(&answer.error, CONBUS_ERROR_INTERNAL, "stop container \"web\": it has ended, but that could not be recorded yet");
        fixture_expect(fixture, container, STATE_STOPPING);
        g_assert_false(lifecycle_is_awaited(container));
        g_assert_cmpuint(fixture->engine->n_accepted, ==, 0);
        fixture_allow(fixture);
        fixture_run_until_state(fixture, container, STATE_EXITED);
        fixture_expect_events(fixture, "init start stop died cleanup ");
}

static void test_a_stop_that_has_all_the_time_never_gives_up(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add_started(fixture, "web", NULL);
        g_auto(Answer) answer = {0};

        fixture->engine->settings.kill_usec = 0;
        Operation *operation = fixture_submit(fixture, container, VERB_STOP, "{'timeout-usec': <uint64 0xffffffffffffffff>}", &answer);
        fixture_run_until_state(fixture, container, STATE_STOPPING);
        g_assert_null(operation->timer);
        kill_now(container);
        testing_run_until_count(fixture->event, &answer.n, 1);
        g_assert_no_error(answer.error);
}

/* --- where nothing lives --- */

static void plan_restart(Life *life) {
        life->backoff_usec = G_TIME_SPAN_HOUR;
        life->next_restart_usec = clock_realtime_usec() + life->backoff_usec;
}

static void test_the_wish_to_stay_down_is_kept(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add(fixture, "web", "{'restart-policy': <'always'>}");
        g_auto(Answer) answer = {0};

        fixture_exit(fixture, container, plan_restart);
        policy_arm(fixture->engine, container);
        fixture_do(fixture, container, VERB_STOP, NULL, &answer);
        testing_expect_error(&answer.error, CONBUS_ERROR_NOT_RUNNING, "nothing of it runs");
        fixture_expect(fixture, container, STATE_EXITED);
        g_assert_true(container->life.stopped_by_user);
        g_assert_cmpuint(container->life.next_restart_usec, ==, 0);
        fixture_expect_events(fixture, "");
}

static void test_a_wish_that_cannot_be_stored(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add(fixture, "web", "{'restart-policy': <'always'>}");
        g_auto(Answer) answer = {0};

        fixture_exit(fixture, container, plan_restart);
        fixture_refuse(fixture, "INSERT ON life");
        fixture_do(fixture, container, VERB_STOP, NULL, &answer);
        testing_expect_error(&answer.error, CONBUS_ERROR_STORAGE_FULL, ""); /* not NotRunning: the restart would come */
        fixture_allow(fixture);
        g_assert_cmpuint(container->life.next_restart_usec, !=, 0);
}

static void test_a_shutdown_leaves_alone_what_is_down(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add(fixture, "web", NULL);
        g_auto(Answer) answer = {0};

        fixture_exit(fixture, container, NULL);
        Operation *operation = fixture_submit(fixture, container, VERB_STOP, NULL, &answer);
        operation->at_shutdown = true;
        testing_run_until_count(fixture->event, &answer.n, 1);
        g_assert_no_error(answer.error);
        g_assert_false(container->life.stopped_by_user);
}

static void test_a_shutdown_is_no_wish(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add_started(fixture, "web", NULL);
        g_auto(Answer) answer = {0};

        Operation *operation = fixture_submit(fixture, container, VERB_STOP, "{'timeout-usec': <uint64 1>}", &answer);
        operation->at_shutdown = true;
        fixture_run_until_state(fixture, container, STATE_STOPPING);
        g_assert_cmpint(container->life.reason, ==, REASON_NONE);
        testing_run_until_count(fixture->event, &answer.n, 1);
        g_assert_no_error(answer.error);
        g_assert_false(container->life.stopped_by_user);
        fixture_expect(fixture, container, STATE_EXITED);
}

/* --- unknown --- */

static void enter_unknown(Container *container) {
        g_autoptr(GError) error = NULL;
        g_autoptr(Commit) commit = commit_new(container, NULL);

        commit_enter(commit, STATE_UNKNOWN, REASON_MONITOR_LOST);
        g_assert_true(commit_apply(commit, &error));
}

static void test_an_unknown_one_with_a_process_is_killed(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add_started(fixture, "web", NULL);
        g_auto(Answer) answer = {0};

        enter_unknown(container);
        fixture_do(fixture, container, VERB_STOP, NULL, &answer);
        g_assert_cmpstr(answer.result, ==, "(1,)");
        fixture_expect(fixture, container, STATE_EXITED);
        expect_record(fixture, container, 137, SIGKILL, RESULT_SIGNAL);
}

static void test_an_unknown_one_without_a_process_is_taken_down(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add(fixture, "web", NULL);
        g_auto(Answer) answer = {0};

        enter_unknown(container);
        fixture_refuse(fixture, "INSERT ON life WHEN new.state = 'stopped'");
        fixture_do(fixture, container, VERB_STOP, NULL, &answer);
        testing_expect_error(&answer.error, CONBUS_ERROR_STORAGE_FULL, "");
        fixture_allow(fixture);
        fixture_expect(fixture, container, STATE_UNKNOWN);
        fixture_do(fixture, container, VERB_STOP, NULL, &answer);
        g_assert_no_error(answer.error);
        fixture_expect(fixture, container, STATE_EXITED);
        g_assert_true(container->life.stopped_by_user);
}

/* --- Kill --- */

static void test_states_that_refuse_a_kill(Fixture *fixture, gconstpointer unused) {
        Container *created = fakes_add(fixture, "a", NULL), *initialized = fakes_add(fixture, "b", NULL), *exited = fakes_add(fixture, "c", NULL), *unknown = fakes_add(fixture, "d", NULL);
        g_auto(Answer) answer = {0};

        fixture_exit(fixture, exited, NULL);
        enter_unknown(unknown); /* and no process */
        (void) fixture_run(fixture, initialized, STATE_INITIALIZED);
        fixture_do(fixture, initialized, VERB_KILL, "{'signal': <15>}", &answer);
        testing_expect_error(&answer.error, CONBUS_ERROR_INVALID_STATE, "possible when it is running, paused, stopping or unknown");
        Container *const dead[] = {created, exited, unknown};
        for (size_t i = 0; i < G_N_ELEMENTS(dead); i++) {
                fixture_do(fixture, dead[i], VERB_KILL, "{'signal': <15>}", &answer);
                testing_expect_error(&answer.error, CONBUS_ERROR_NOT_RUNNING, "nothing of it runs");
        }
        fixture_expect_events(fixture, "");
}

static void test_which_signals_are_a_wish_to_stop(Fixture *fixture, gconstpointer unused) {
        static const struct {
                int signal;
                bool wish;
        } table[] = {{SIGHUP, false}, {SIGUSR1, false}, {SIGUSR2, true}, {SIGWINCH, false}, {SIGTERM, true}, {SIGINT, true}, {SIGQUIT, true}, {SIGKILL, true}};

        for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
                g_autofree char *name = g_strdup_printf("c%zu", i), *options = g_strdup_printf("{'signal': <%d>}", table[i].signal);
                Container *container = fixture_add(fixture, name, "{'stop-signal': <12>}"); /* USR2 */
                g_auto(Answer) answer = {0};

                (void) fixture_run(fixture, container, STATE_RUNNING);
                fixture_do(fixture, container, VERB_KILL, options, &answer);
                g_assert_no_error(answer.error);
                g_assert_cmpstr(answer.result, ==, "()");
                if (container->life.stopped_by_user != table[i].wish)
                        g_error("signal %d", table[i].signal);
        }
}

static void test_a_signal_that_is_handled(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add_heeding(fixture, "web");
        g_auto(Answer) answer = {0};

        fixture_do(fixture, container, VERB_KILL, "{'signal': <10>}", &answer); /* USR1 is ignored */
        g_assert_no_error(answer.error);
        fixture_expect(fixture, container, STATE_RUNNING);
        fixture_do(fixture, container, VERB_KILL, "{'signal': <1>}", &answer);
        g_assert_no_error(answer.error);
        fixture_run_until_state(fixture, container, STATE_EXITED);
        expect_record(fixture, container, 8, 0, RESULT_EXIT_CODE);
        fixture_expect_events(fixture, "init start kill kill died cleanup ");
}

static void test_sigkill_is_answered_after_the_end(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add_started(fixture, "web", NULL);
        g_auto(Answer) answer = {0};

        fixture_do(fixture, container, VERB_KILL, "{'signal': <9>}", &answer);
        g_assert_no_error(answer.error);
        g_assert_false(container->life.run_open);
        fixture_run_until_state(fixture, container, STATE_EXITED);
        expect_record(fixture, container, 137, SIGKILL, RESULT_SIGNAL);
}

static void test_sigkill_of_a_paused_one_thaws_it(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add_started(fixture, "web", NULL);
        g_auto(Answer) answer = {0};

        fixture_do(fixture, container, VERB_PAUSE, NULL, &answer);
        g_assert_no_error(answer.error);
        fixture_do(fixture, container, VERB_KILL, "{'signal': <9>}", &answer);
        g_assert_no_error(answer.error);
        fixture_run_until_state(fixture, container, STATE_EXITED);
}

static void test_all_of_a_container(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add_heeding(fixture, "web"), *bare = fixture_add(fixture, "bare", "@a{sv} {}");
        g_auto(Answer) answer = {0};

        fixture_do(fixture, container, VERB_KILL, "{'signal': <15>, 'whom': <'all'>}", &answer);
        g_assert_no_error(answer.error);
        fixture_run_until_state(fixture, container, STATE_EXITED);
        (void) fixture_run(fixture, bare, STATE_RUNNING);
        fixture_do(fixture, bare, VERB_KILL, "{'signal': <9>, 'whom': <'all'>}", &answer);
        testing_expect_error(&answer.error, CONBUS_ERROR_NO_CGROUPS, "it has no control group");
        fixture_expect(fixture, bare, STATE_RUNNING);
        g_assert_false(bare->life.stopped_by_user);
}

/* What was delivered cannot be taken back; the caller hears that it is not recorded. */
static void test_a_kill_that_cannot_be_recorded(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add_started(fixture, "web", NULL);
        g_auto(Answer) answer = {0};

        fixture_refuse(fixture, "INSERT ON event WHEN new.action = 'kill'");
        fixture_do(fixture, container, VERB_KILL, "{'signal': <9>}", &answer);
        testing_expect_error(&answer.error, CONBUS_ERROR_STORAGE_FULL, "");
        fixture_allow(fixture);
        fixture_run_until_state(fixture, container, STATE_EXITED);
        fixture_expect_events(fixture, "init start died cleanup ");
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        FAKES_ADD(a_payload_that_heeds_the_signal);
        FAKES_ADD(the_signal_can_be_chosen);
        FAKES_ADD(a_payload_that_does_not_is_killed_in_time);
        FAKES_ADD(no_grace_at_all);
        FAKES_ADD(what_never_ran_is_killed_at_once);
        FAKES_ADD(a_paused_one_is_thawed);
        FAKES_ADD(the_wish_is_stored_before_the_signal);
        FAKES_ADD(what_cannot_be_stored_is_not_stopped);
        FAKES_ADD(a_shorter_stop_ends_a_longer_one);
        FAKES_ADD(a_longer_stop_does_not_lengthen);
        FAKES_ADD(a_stop_during_a_restart_stops_what_follows);
        FAKES_ADD(a_users_stop_takes_over_a_health_actions);
        FAKES_ADD(an_order_of_health_that_was_taken_back);
        FAKES_ADD(the_reply_gives_up);
        FAKES_ADD(a_stop_that_has_all_the_time_never_gives_up);
        FAKES_ADD(the_wish_to_stay_down_is_kept);
        FAKES_ADD(a_wish_that_cannot_be_stored);
        FAKES_ADD(a_shutdown_leaves_alone_what_is_down);
        FAKES_ADD(a_shutdown_is_no_wish);
        FAKES_ADD(an_unknown_one_with_a_process_is_killed);
        FAKES_ADD(an_unknown_one_without_a_process_is_taken_down);
        FAKES_ADD(states_that_refuse_a_kill);
        FAKES_ADD(which_signals_are_a_wish_to_stop);
        FAKES_ADD(a_signal_that_is_handled);
        FAKES_ADD(sigkill_is_answered_after_the_end);
        FAKES_ADD(sigkill_of_a_paused_one_thaws_it);
        FAKES_ADD(all_of_a_container);
        FAKES_ADD(a_kill_that_cannot_be_recorded);
        return g_test_run();
}
