/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Launches take turns; what waits can be cancelled and left, and what lasts keeps nobody out. */

#define FAKES_UNIT "pace"
#include "executed.h"
#include <signal.h>

#define FOREVER_USEC (2 * TESTING_DEADLINE_USEC)

/* One place; the first one has it until the gate is opened. */
static Gate *hold(Fixture *fixture, Answer *answer) {
        fixture->engine->settings.launches_max = 1;
        fixture->engine->settings.launch_hold_usec = FOREVER_USEC;
        Gate *gate = fakes_gate(fixture, "crun create");
        (void) fixture_submit(fixture, fakes_add(fixture, "first", NULL), VERB_INIT, NULL, answer);
        gate_reach(gate);
        return gate;
}

static void expect_waits(Fixture *fixture, const Container *container, const Answer *answer) {
        testing_run_idle(fixture->event);
        g_assert_cmpuint(answer->n, ==, 0);
        g_assert_cmpint(container->life.state, ==, STATE_CREATED);
        g_assert_cmpuint(container->life.run, ==, 0); /* nothing is made for it yet */
}

static void let_go(Fixture *fixture, Gate *gate, Answer *first) {
        gate_open(gate);
        testing_run_until_count(fixture->event, &first->n, 1);
        g_assert_no_error(first->error);
}

static void test_launches_take_turns(Fixture *fixture, gconstpointer unused) {
        g_auto(Answer) first = {0}, second = {0}, third = {0}, other = {0};
        Gate *gate = hold(fixture, &first);
        Container *a = fakes_add(fixture, "a", NULL), *b = fakes_add(fixture, "b", NULL), *c = fakes_add(fixture, "c", NULL);

        (void) fixture_submit(fixture, a, VERB_START, NULL, &second);
        (void) fixture_submit(fixture, b, VERB_START, NULL, &third);
        expect_waits(fixture, a, &second);
        expect_waits(fixture, b, &third);
        g_assert_cmpuint(fixture->engine->n_running, ==, 1); /* what waits keeps nobody else from running */
        fixture->engine->settings.operations_max = 2;
        fixture_do(fixture, c, VERB_RENAME, "{'name': <'other'>}", &other);
        g_assert_no_error(other.error);
        Gate *next = NULL;
        let_go(fixture, gate, &first);
        next = fakes_gate(fixture, "crun start");
        gate_reach(next);
        g_assert_cmpint(a->life.state, ==, STATE_INITIALIZED);
        expect_waits(fixture, b, &third); /* the place is held until it is over, not until conmon is there */
        gate_open(next);
        testing_run_until_count(fixture->event, &third.n, 1);
        g_assert_cmpuint(second.n, ==, 1);
        g_assert_no_error(second.error);
        g_assert_no_error(third.error);
}

static void test_what_lasts_keeps_nobody_out(Fixture *fixture, gconstpointer unused) {
        g_auto(Answer) first = {0}, second = {0}, third = {0};
        Container *a, *b;

        fixture->engine->settings.launches_max = 1;
        fixture->engine->settings.launch_hold_usec = 1000;
        Gate *gate = fakes_gate(fixture, "crun create");
        (void) fixture_submit(fixture, fakes_add(fixture, "first", NULL), VERB_INIT, NULL, &first);
        gate_reach(gate);
        a = fakes_add(fixture, "a", NULL);
        fixture_do(fixture, a, VERB_START, NULL, &second);
        g_assert_no_error(second.error);
        g_assert_cmpuint(first.n, ==, 0);
        let_go(fixture, gate, &first);

        /* What ended in time has taken the additional place back. */
        fixture->engine->settings.launch_hold_usec = FOREVER_USEC;
        b = fakes_add(fixture, "b", NULL);
        fixture_do(fixture, b, VERB_START, NULL, &third);
        g_assert_no_error(third.error);
        g_auto(Answer) fourth = {0}, fifth = {0};
        Container *c = fakes_add(fixture, "c", NULL), *d = fakes_add(fixture, "d", NULL);
        Gate *again = fakes_gate(fixture, "crun create");
        (void) fixture_submit(fixture, c, VERB_INIT, NULL, &fourth);
        gate_reach(again);
        (void) fixture_submit(fixture, d, VERB_INIT, NULL, &fifth);
        expect_waits(fixture, d, &fifth);
        gate_open(again);
        testing_run_until_count(fixture->event, &fifth.n, 1);
        g_assert_no_error(fifth.error);
}

static void test_one_that_waits_is_cancelled_at_once(Fixture *fixture, gconstpointer unused) {
        g_auto(Answer) first = {0}, cancelled = {0}, last = {0};
        Gate *gate = hold(fixture, &first);
        Container *a = fakes_add(fixture, "a", NULL), *b = fakes_add(fixture, "b", NULL);

        (void) fixture_submit(fixture, a, VERB_INIT, NULL, &last);
        Operation *operation = fixture_submit(fixture, b, VERB_START, NULL, &cancelled);
        expect_waits(fixture, b, &cancelled);
        operation_cancel(operation);
        testing_run_until_count(fixture->event, &cancelled.n, 1);
        testing_expect_error(&cancelled.error, CONBUS_ERROR_CANCELLED, "start container \"b\": cancelled");
        g_assert_cmpuint(b->life.run, ==, 0);
        expect_waits(fixture, a, &last);
        let_go(fixture, gate, &first);
        testing_run_until_count(fixture->event, &last.n, 1);
        g_assert_no_error(last.error);
}

static void test_one_that_waits_is_dropped_with_its_caller(Fixture *fixture, gconstpointer unused) {
        g_auto(Answer) first = {0}, dropped = {0}, last = {0};
        Gate *gate = hold(fixture, &first);
        Container *a = fakes_add(fixture, "a", NULL);

        Operation *operation = fixture_submit(fixture, a, VERB_START, NULL, &dropped);
        expect_waits(fixture, a, &dropped);
        operation_abandon(operation);
        testing_run_idle(fixture->event);
        g_assert_cmpuint(fixture->engine->n_accepted, ==, 1);
        let_go(fixture, gate, &first);
        testing_run_idle(fixture->event);
        g_assert_cmpuint(dropped.n, ==, 0);
        g_assert_cmpuint(a->life.run, ==, 0);
        fixture_do(fixture, a, VERB_START, NULL, &last);
        g_assert_no_error(last.error);
}

/* It has stopped what ran: who left has to find it running again. */
static void test_a_restart_goes_on_without_its_caller(Fixture *fixture, gconstpointer unused) {
        Container *a = fakes_add_started(fixture, "a", NULL);
        g_auto(Answer) first = {0}, unheard = {0};
        Gate *gate = hold(fixture, &first);

        Operation *operation = fixture_submit(fixture, a, VERB_RESTART, "{'timeout-usec': <uint64 0>}", &unheard);
        fixture_run_until_state(fixture, a, STATE_EXITED);
        testing_run_idle(fixture->event);
        g_assert_cmpuint(a->life.run, ==, 1);
        operation_abandon(operation);
        let_go(fixture, gate, &first);
        fixture_run_until_state(fixture, a, STATE_RUNNING);
        g_assert_cmpuint(a->life.run, ==, 2);
        g_assert_cmpuint(unheard.n, ==, 0);
}

static void test_a_process_whose_container_ends_meanwhile(Fixture *fixture, gconstpointer unused) {
        Container *a = fakes_add_started(fixture, "a", NULL);
        g_auto(Answer) first = {0}, answer = {0};
        Gate *gate = hold(fixture, &first);

        (void) execute_submit(fixture, a, SLEEPS, NULL, &answer);
        testing_run_idle(fixture->event);
        g_assert_cmpuint(answer.n, ==, 0);
        g_assert_cmpint(kill(a->main.pid, SIGKILL), ==, 0);
        fixture_run_until_state(fixture, a, STATE_STOPPED);
        let_go(fixture, gate, &first);
        testing_run_until_count(fixture->event, &answer.n, 1);
        testing_expect_error(&answer.error, CONBUS_ERROR_NOT_RUNNING, "execute in container \"a\": it is stopped");
        fixture_run_until_state(fixture, a, STATE_EXITED);
        executed_expect_none(fixture, a);
}

static void test_a_service_that_dies_meanwhile(Fixture *fixture, gconstpointer unused) {
        g_auto(Answer) first = {0}, waiting = {0}, last = {0};
        Gate *gate = hold(fixture, &first);

        (void) fixture_submit(fixture, fakes_add(fixture, "a", NULL), VERB_START, NULL, &waiting);
        expect_waits(fixture, registry_get_by_name(fixture->registry, "a"), &waiting);
        fixture_crash(fixture, NULL);
        gate_kill(gate);
        fixture_adopt(fixture);
        testing_run_idle(fixture->event);
        Container *a = registry_get_by_name(fixture->registry, "a");
        g_assert_cmpuint(a->life.run, ==, 0);
        fixture_do(fixture, a, VERB_START, NULL, &last);
        g_assert_no_error(last.error);
        g_assert_cmpuint(waiting.n, ==, 0);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        EXECUTED_ADD(launches_take_turns);
        EXECUTED_ADD(what_lasts_keeps_nobody_out);
        EXECUTED_ADD(one_that_waits_is_cancelled_at_once);
        EXECUTED_ADD(one_that_waits_is_dropped_with_its_caller);
        EXECUTED_ADD(a_restart_goes_on_without_its_caller);
        EXECUTED_ADD(a_process_whose_container_ends_meanwhile);
        EXECUTED_ADD(a_service_that_dies_meanwhile);
        return g_test_run();
}
