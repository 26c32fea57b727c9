/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The machine goes down: what is stopped in which order, what is killed when, and what is not the user's doing. PID 1 of each container is a child of the test, which may ignore SIGTERM. */

#include "fixture.h"
#include "base/clock.h"
#include "store/internal.h"
#include <string.h>

#define EVER UINT64_MAX
#define LONG (600 * G_USEC_PER_SEC)

typedef struct Case {
        Fixture base;
        unsigned n_done;
} Case;

static void case_set_up(Case *test, gconstpointer unused) {
        fixture_set_up(&test->base, NULL);
}

static void case_tear_down(Case *test, gconstpointer unused) {
        fixture_tear_down(&test->base, NULL);
}

static void on_done(void *userdata) {
        ((Case *) userdata)->n_done++;
}

static void shut_down(Case *test, guint64 budget) {
        engine_shut_down(test->base.engine, budget, on_done, test);
        g_assert_cmpuint(test->n_done, ==, 0); /* never before it has returned */
}

static void expect_done(Case *test) {
        testing_run_until_count(test->base.event, &test->n_done, 1);
        testing_run_idle(test->base.event);
        g_assert_cmpuint(test->n_done, ==, 1);
}

static Container *run(Case *test, const char *name, const char *config, bool ignores_term) {
        Container *container = fixture_add(&test->base, name, config);

        if (ignores_term)
                (void) signal(SIGTERM, SIG_IGN);
        (void) fixture_run(&test->base, container, STATE_RUNNING);
        (void) signal(SIGTERM, SIG_DFL);
        return container;
}

static void expect_down(Container *container, int by) {
        g_assert_cmpint(container->life.state, ==, STATE_EXITED);
        g_assert_cmpint(container->life.exit_signal, ==, by);
        g_assert_false(container->life.stopped_by_user);
}

static void test_nothing_runs(Case *test, gconstpointer unused) {
        fixture_add(&test->base, "a", "@a{sv} {}");
        fixture_exit(&test->base, fixture_add(&test->base, "b", "@a{sv} {}"), NULL);
        shut_down(test, LONG);
        expect_done(test);
        g_assert_cmpuint(test->base.engine->n_accepted, ==, 0);
}

static void test_everything_is_stopped(Case *test, gconstpointer unused) {
        Container *a = run(test, "a", "@a{sv} {}", false), *b = run(test, "b", "{'stop-signal': <2>}", false);

        shut_down(test, LONG);
        expect_done(test);
        expect_down(a, SIGTERM);
        expect_down(b, SIGINT);
}

static void test_dependents_go_first(Case *test, gconstpointer unused) {
        Container *db = run(test, "db", "@a{sv} {}", false);
        g_autofree char *depends = g_strdup_printf("{'depends': <['%s']>}", db->id);
        Container *web = run(test, "web", depends, true);

        shut_down(test, LONG);
        fixture_run_until_state(&test->base, web, STATE_STOPPING);
        g_assert_cmpint(web->life.reason, ==, REASON_NONE); /* nobody has asked */
        testing_run_idle(test->base.event);
        g_assert_cmpint(db->life.state, ==, STATE_RUNNING);
        g_assert_true(pidref_signal(&web->main, SIGKILL, NULL, NULL));
        fixture_run_until_state(&test->base, db, STATE_STOPPING);
        g_assert_cmpint(web->life.state, ==, STATE_EXITED); /* and has been cleaned up */
        g_assert_cmpuint(test->n_done, ==, 0);
        expect_done(test);
        expect_down(web, SIGKILL);
        expect_down(db, SIGTERM);
}

static void test_what_is_left_when_the_time_is_up_is_killed(Case *test, gconstpointer unused) {
        Container *db = run(test, "db", "@a{sv} {}", true);
        g_autofree char *depends = g_strdup_printf("{'depends': <['%s']>}", db->id);
        Container *web = run(test, "web", depends, true);

        shut_down(test, 0); /* no time for an order any more */
        expect_done(test);
        expect_down(web, SIGKILL);
        expect_down(db, SIGKILL);
}

/* Not even its stop has begun: there are too many operations. */
static void test_one_that_could_not_be_asked_is_killed_too(Case *test, gconstpointer unused) {
        Container *a = run(test, "a", "@a{sv} {}", true);

        test->base.engine->settings.operations_queued_max = 0;
        shut_down(test, 1);
        expect_done(test);
        expect_down(a, SIGKILL);
}

/* stop-timeout-usec, but no more than there is. */
static void test_no_stop_takes_longer_than_there_is_time(Case *test, gconstpointer unused) {
        Container *slow = run(test, "slow", "{'stop-timeout-usec': <uint64 600000000>}", true);

        shut_down(test, LONG / 2);
        fixture_run_until_state(&test->base, slow, STATE_STOPPING);
        g_assert_cmpuint(slow->life.stop_deadline, <=, clock_boottime_in(LONG / 2));
        g_assert_true(pidref_signal(&slow->main, SIGKILL, NULL, NULL));
        expect_done(test);
}

static void test_time_without_end(Case *test, gconstpointer unused) {
        Container *quick = run(test, "quick", "{'stop-timeout-usec': <uint64 0>}", true);

        shut_down(test, EVER);
        expect_done(test);
        expect_down(quick, SIGKILL);
}

static void test_policies_are_suspended(Case *test, gconstpointer unused) {
        Container *holds = run(test, "holds", "@a{sv} {}", true), *always = run(test, "always", "{'restart-policy': <'always'>, 'restart-sec-usec': <uint64 1000>}", false);

        shut_down(test, LONG);
        g_assert_true(pidref_signal(&always->main, SIGKILL, NULL, NULL)); /* it ends by itself */
        fixture_run_until_state(&test->base, always, STATE_EXITED);
        testing_run_idle(test->base.event);
        g_assert_cmpuint(always->life.next_restart_usec, ==, 0);
        g_assert_cmpuint(always->life.run, ==, 1);
        fixture_run_until_state(&test->base, holds, STATE_STOPPING);
        g_assert_true(pidref_signal(&holds->main, SIGKILL, NULL, NULL));
        expect_done(test);
        g_assert_cmpint(always->life.state, ==, STATE_EXITED);
}

static void test_an_end_that_comes_by_itself_counts(Case *test, gconstpointer unused) {
        Container *a = run(test, "a", "@a{sv} {}", true);

        fixture_break_store(&test->base); /* no stop can be recorded */
        shut_down(test, LONG);
        testing_run_idle(test->base.event);
        g_assert_cmpint(a->life.state, ==, STATE_RUNNING);
        g_assert_true(store_exec(test->base.store, "DROP TRIGGER refuse", NULL));
        g_assert_true(pidref_signal(&a->main, SIGKILL, NULL, NULL));
        expect_done(test);
        g_assert_cmpint(a->life.state, ==, STATE_EXITED);
}

static void test_a_stop_that_is_not_accepted_is_tried_again(Case *test, gconstpointer unused) {
        Container *a = run(test, "a", "@a{sv} {}", false);
        unsigned most = test->base.engine->settings.operations_queued_max;

        test->base.engine->settings.operations_queued_max = 0;
        shut_down(test, LONG);
        testing_run_idle(test->base.event);
        g_assert_cmpint(a->life.state, ==, STATE_RUNNING);
        test->base.engine->settings.operations_queued_max = most;
        fixture_exit(&test->base, fixture_add(&test->base, "b", "@a{sv} {}"), NULL); /* another one has changed */
        expect_done(test);
        expect_down(a, SIGTERM);
}

static void test_it_is_begun_once(Case *test, gconstpointer unused) {
        Case other = {0};

        run(test, "a", "@a{sv} {}", false);
        shut_down(test, LONG);
        engine_shut_down(test->base.engine, 0, on_done, &other);
        expect_done(test);
        g_assert_cmpuint(other.n_done, ==, 0);
        g_autofree char *events = fixture_events(&test->base);
        g_assert_null(strstr(strstr(events, "stop ") + 1, "stop "));
}

static void test_the_service_may_leave_in_between(Case *test, gconstpointer unused) {
        Container *a = run(test, "a", "@a{sv} {}", true);
        Fixture *base = &test->base;
        g_autoptr(GError) error = NULL;
        Settings settings;

        shut_down(test, LONG);
        fixture_run_until_state(base, a, STATE_STOPPING);
        engine_free(base->engine);
        settings_init(&settings);
        base->engine = engine_new(base->event, base->reaper, &base->paths, base->registry, base->waits, &settings, &error);
        g_assert_no_error(error);
        testing_run_idle(base->event);
        g_assert_cmpuint(test->n_done, ==, 0);
        g_assert_false(pidref_has_ended(&a->main));
        shutdown_look_again(base->engine); /* there is none */
        shutdown_free(base->engine);
}

#define ADD(name, function) g_test_add("/shutdown/" name, Case, NULL, case_set_up, function, case_tear_down)

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        ADD("nothing-runs", test_nothing_runs);
        ADD("everything-is-stopped", test_everything_is_stopped);
        ADD("dependents-go-first", test_dependents_go_first);
        ADD("what-is-left-when-the-time-is-up-is-killed", test_what_is_left_when_the_time_is_up_is_killed);
        ADD("one-that-could-not-be-asked-is-killed-too", test_one_that_could_not_be_asked_is_killed_too);
        ADD("no-stop-takes-longer-than-there-is-time", test_no_stop_takes_longer_than_there_is_time);
        ADD("time-without-end", test_time_without_end);
        ADD("policies-are-suspended", test_policies_are_suspended);
        ADD("an-end-that-comes-by-itself-counts", test_an_end_that_comes_by_itself_counts);
        ADD("a-stop-that-is-not-accepted-is-tried-again", test_a_stop_that_is_not_accepted_is_tried_again);
        ADD("it-is-begun-once", test_it_is_begun_once);
        ADD("the-service-may-leave-in-between", test_the_service_may_leave_in_between);
        return g_test_run();
}
