/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A cleanup that failed comes again by itself, later and later, and nobody waits for it. */

#define FAKES_UNIT "repair"
#include "fakes.h"
#include "base/clock.h"

#define MSEC G_TIME_SPAN_MILLISECOND

static Container *add_stopped(Fixture *fixture) {
        Container *container = fakes_add(fixture, "web", NULL);
        g_autoptr(GError) error = NULL;
        g_autoptr(Commit) commit = commit_new(container, NULL);

        commit->life.run = 1;
        commit->life.exit_code = 0;
        commit->life.result = RESULT_SUCCESS;
        commit_enter(commit, STATE_STOPPED, REASON_EXIT);
        g_assert_true(commit_apply(commit, &error));
        fakes_leave_state(fixture, container);
        return container;
}

static unsigned n_attempts;
static guint64 attempts[64];

static void note_attempt(const Change *change, void *userdata) {
        if (!change->operation_changed || !g_str_equal(change->container->operation, "cleanup"))
                return;
        if (n_attempts < G_N_ELEMENTS(attempts))
                attempts[n_attempts] = clock_boottime_usec();
        n_attempts++;
}

/* The first cleanup is asked for as after the end of a run; from then on each comes by itself. */
static Container *begin(Fixture *fixture, guint64 first_usec, guint64 max_usec) {
        Container *container = add_stopped(fixture);

        n_attempts = 0;
        fixture->engine->settings.repair_usec = first_usec;
        fixture->engine->settings.repair_max_usec = max_usec;
        registry_set_observer(fixture->registry, OBSERVER_ANNOUNCE, note_attempt, NULL);
        lifecycle_ensure_cleanup(fixture->engine, container);
        return container;
}

static bool has_reached(void *userdata) {
        return n_attempts >= *(unsigned *) userdata;
}

static void run_until_attempts(Fixture *fixture, unsigned n) {
        testing_run_until(fixture->event, has_reached, &n);
}

static void test_it_comes_later_and_later(Fixture *fixture, gconstpointer unused) {
        fakes_order("crun delete * fail it is busy");
        Container *container = begin(fixture, 10 * MSEC, G_TIME_SPAN_HOUR);

        run_until_attempts(fixture, 8);
        for (unsigned i = 1; i < 8; i++) /* the last of these is longer than what crun takes */
                g_assert_cmpuint(attempts[i] - attempts[i - 1], >=, (10 * MSEC) << (i - 1));
        fakes_cancel();
        fixture_run_until_state(fixture, container, STATE_EXITED);
        fixture_expect(fixture, container, STATE_EXITED);
        fixture_expect_events(fixture, "cleanup ");
        g_assert_false(repair_is_due(container));
        g_assert_null(container->repair); /* the next failure begins anew */
}

/* Doubled without an end, the last of these would come after half a minute. */
static void test_but_not_for_ever(Fixture *fixture, gconstpointer unused) {
        fakes_order("crun delete * fail it is busy");
        Container *container = begin(fixture, MSEC, 2 * MSEC);

        run_until_attempts(fixture, 16);
        fakes_cancel();
        fixture_run_until_state(fixture, container, STATE_EXITED);
}

static bool is_due(void *userdata) {
        return repair_is_due(userdata);
}

static void test_one_at_a_time(Fixture *fixture, gconstpointer unused) {
        fakes_order("crun delete 1 fail it is busy");
        Container *container = begin(fixture, G_TIME_SPAN_HOUR, G_TIME_SPAN_DAY);

        testing_run_until(fixture->event, is_due, container);
        testing_run_idle(fixture->event);
        fixture_expect(fixture, container, STATE_STOPPED);
        g_assert_cmpuint(fixture->engine->n_accepted, ==, 0); /* nothing is queued for it meanwhile */
        repair_later(fixture->engine, container);
        lifecycle_ensure_cleanup(fixture->engine, container);
        g_assert_true(g_queue_is_empty(&container->operations));
        g_assert_cmpuint(n_attempts, ==, 1);
        repair_forget(container);
        g_assert_false(repair_is_due(container));
        repair_forget(container); /* nothing is no fault */
        lifecycle_ensure_cleanup(fixture->engine, container);
        fixture_run_until_state(fixture, container, STATE_EXITED);
}

/* Whoever cleans up meanwhile is not kept waiting, and then nothing is due any more. */
static void test_a_call_comes_first(Fixture *fixture, gconstpointer unused) {
        g_auto(Answer) answer = {0};

        fakes_order("crun delete 1 fail it is busy");
        Container *container = begin(fixture, G_TIME_SPAN_HOUR, G_TIME_SPAN_DAY);
        testing_run_until(fixture->event, is_due, container);
        fixture_do(fixture, container, VERB_CLEANUP, NULL, &answer);
        g_assert_no_error(answer.error);
        fixture_expect(fixture, container, STATE_EXITED);
        g_assert_false(repair_is_due(container));
}

static void test_a_start_comes_first(Fixture *fixture, gconstpointer unused) {
        g_auto(Answer) answer = {0};

        fakes_order("crun delete 1 fail it is busy");
        Container *container = begin(fixture, G_TIME_SPAN_HOUR, G_TIME_SPAN_DAY);
        testing_run_until(fixture->event, is_due, container);
        fixture_do(fixture, container, VERB_START, NULL, &answer);
        g_assert_no_error(answer.error);
        fixture_expect(fixture, container, STATE_RUNNING);
}

/* The end of the run that was started meanwhile is cleaned up at once, not in an hour. */
static void test_an_old_repair_does_not_hold_up_a_later_cleanup(Fixture *fixture, gconstpointer unused) {
        g_auto(Answer) answer = {0};

        fakes_order("crun delete 1 fail it is busy");
        Container *container = begin(fixture, G_TIME_SPAN_HOUR, G_TIME_SPAN_DAY);
        testing_run_until(fixture->event, is_due, container);
        fixture_do(fixture, container, VERB_START, NULL, &answer);
        g_assert_no_error(answer.error);
        kill_now(container);
        fixture_run_until_state(fixture, container, STATE_EXITED);
        fixture_expect(fixture, container, STATE_EXITED);
}

static void test_a_record_that_is_refused_is_repaired_too(Fixture *fixture, gconstpointer unused) {
        fixture_refuse(fixture, "INSERT ON event WHEN new.action = 'cleanup'");
        Container *container = begin(fixture, MSEC, MSEC);

        run_until_attempts(fixture, 3);
        fixture_expect(fixture, container, STATE_STOPPED);
        fixture_allow(fixture);
        fixture_run_until_state(fixture, container, STATE_EXITED);
        fixture_expect_events(fixture, "cleanup ");
}

static void test_a_removal_ends_it(Fixture *fixture, gconstpointer unused) {
        g_auto(Answer) answer = {0};

        fakes_order("crun delete 1 fail it is busy");
        g_autoptr(Container) container = container_ref(begin(fixture, G_TIME_SPAN_HOUR, G_TIME_SPAN_DAY));
        testing_run_until(fixture->event, is_due, container);
        fixture_do(fixture, container, VERB_REMOVE, NULL, &answer);
        g_assert_no_error(answer.error);
        g_assert_true(container->removed);
        g_assert_null(container->repair);
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        FAKES_ADD(it_comes_later_and_later);
        FAKES_ADD(but_not_for_ever);
        FAKES_ADD(one_at_a_time);
        FAKES_ADD(a_call_comes_first);
        FAKES_ADD(a_start_comes_first);
        FAKES_ADD(an_old_repair_does_not_hold_up_a_later_cleanup);
        FAKES_ADD(a_record_that_is_refused_is_repaired_too);
        FAKES_ADD(a_removal_ends_it);
        return g_test_run();
}
