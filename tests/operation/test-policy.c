/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Restart policies: the decision as a table (behaviour.md section 10), the arithmetic of the back-off, and what cancels a plan. */

#include "fixture.h"
#include "base/clock.h"
#include <signal.h>

#define MSEC G_TIME_SPAN_MILLISECOND

/* --- the decision --- */

typedef struct Row {
        const char *config;
        int exit_code;
        bool stopped_by_user, never_started, open, by_boot;
        guint32 restart_count;
        bool restart;
        const char *reason;
} Row;

static const Row decisions[] = {
        {"{'restart-policy': <'no'>}", 1, .restart = false, .reason = "policy"},
        {"@a{sv} {}", 1, .restart = false, .reason = "policy"},
        {"{'restart-policy': <'always'>}", 0, .restart = true, .reason = "policy"},
        {"{'restart-policy': <'always'>}", 1, .restart = true, .reason = "policy"},
        {"{'restart-policy': <'always'>}", 1, .restart_count = 1000000, .restart = true, .reason = "policy"},
        {"{'restart-policy': <'always'>}", 1, .stopped_by_user = true, .restart = false, .reason = "stopped-by-user"},
        {"{'restart-policy': <'unless-stopped'>}", 0, .restart = true, .reason = "policy"},
        {"{'restart-policy': <'unless-stopped'>}", 0, .stopped_by_user = true, .restart = false, .reason = "stopped-by-user"},
        {"{'restart-policy': <'on-failure'>}", 0, .restart = false, .reason = "policy"},
        {"{'restart-policy': <'on-failure'>}", 1, .restart = true, .reason = "policy"},
        {"{'restart-policy': <'on-failure'>}", -1, .restart = true, .reason = "policy"}, /* a lost run is a failure */
        {"{'restart-policy': <'on-failure'>}", 1, .restart_count = 1000000, .restart = true, .reason = "policy"},
        {"{'restart-policy': <'on-failure'>, 'restart-max': <uint32 3>}", 1, .restart_count = 2, .restart = true, .reason = "policy"},
        {"{'restart-policy': <'on-failure'>, 'restart-max': <uint32 3>}", 1, .restart_count = 3, .restart = false, .reason = "retries-exhausted"},
        {"{'restart-policy': <'on-failure'>, 'restart-max': <uint32 3>}", 0, .restart_count = 3, .restart = false, .reason = "policy"},
        {"{'restart-policy': <'on-failure'>}", 1, .stopped_by_user = true, .restart = false, .reason = "stopped-by-user"},
        {"{'restart-policy': <'always'>}", 1, .never_started = true, .restart = false, .reason = "no-end-seen"},
        {"{'restart-policy': <'always'>}", 1, .open = true, .restart = false, .reason = "no-end-seen"},
        {"{'restart-policy': <'always'>}", -1, .by_boot = true, .restart = false, .reason = "no-end-seen"},
        {"{'restart-policy': <'always'>}", 1, .stopped_by_user = true, .never_started = true, .restart = false, .reason = "stopped-by-user"},
};

static const Row *row;

static void edit_as_row(Life *life) {
        life->exit_code = row->exit_code;
        life->result = row->exit_code == 0 ? RESULT_SUCCESS : row->exit_code < 0 ? RESULT_LOST : RESULT_EXIT_CODE;
        life->stopped_by_user = row->stopped_by_user;
        life->run_open = row->open;
        life->restart_count = row->restart_count;
        if (row->never_started)
                life->start_usec = 0;
        if (row->by_boot)
                life->reason = REASON_BOOT;
}

static void test_the_decision(Fixture *fixture, gconstpointer unused) {
        for (size_t i = 0; i < G_N_ELEMENTS(decisions); i++) {
                g_autofree char *name = g_strdup_printf("c%zu", i);
                Container *container = fixture_add(fixture, name, decisions[i].config);
                const char *reason = NULL;

                row = &decisions[i];
                fixture_exit(fixture, container, edit_as_row);
                guint64 transitions = container->life.transitions;
                if (policy_should_restart(container, &reason) != row->restart || g_strcmp0(reason, row->reason) != 0)
                        g_error("row %zu: %s", i, reason);
                g_assert_cmpuint(container->life.transitions, ==, transitions); /* a question changes nothing */
                g_assert_cmpuint(container->life.next_restart_usec, ==, 0);
        }
}

static void test_never_started_is_no_end(Fixture *fixture, gconstpointer unused) {
        Container *container = fixture_add(fixture, "web", "{'restart-policy': <'always'>}");
        const char *reason = NULL;

        g_assert_false(policy_should_restart(container, &reason));
        g_assert_cmpstr(reason, ==, "no-end-seen");
}

static void order_restart(Life *life) {
        life->health_action = "restart";
}

static void test_a_health_action_restarts_whatever_the_policy(Fixture *fixture, gconstpointer unused) {
        Container *container = fixture_add(fixture, "web", "{'restart-policy': <'no'>}");
        g_autoptr(GError) error = NULL;
        const char *reason = NULL;

        fixture_exit(fixture, container, order_restart);
        g_assert_true(policy_should_restart(container, &reason));
        g_assert_cmpstr(reason, ==, "health-action");
        g_autoptr(Commit) commit = commit_new(container, NULL);
        policy_plan(fixture->engine, container, commit, false);
        g_assert_cmpuint(commit->life.next_restart_usec, >, 0);
        g_assert_true(commit_apply(commit, &error));
        g_assert_true(policy_should_restart(container, &reason)); /* until it runs: the launch may come to nothing with the service */
}

/* --- the back-off --- */

/* Plans a restart after a run of that length; returns the delay. */
static guint64 plan(Fixture *fixture, Container *container, guint64 before, guint64 lasted) {
        guint64 now = clock_realtime_usec();
        g_autoptr(Commit) commit = commit_new(container, NULL);

        commit->life.run = 1;
        commit->life.start_usec = 1000;
        commit->life.finish_usec = 1000 + lasted;
        commit->life.exit_code = 1;
        commit->life.backoff_usec = before;
        policy_plan(fixture->engine, container, commit, false);
        if (commit->life.backoff_usec < UINT64_MAX / 2) {
                g_assert_cmpuint(commit->life.next_restart_usec, >=, now + commit->life.backoff_usec);
                g_assert_cmpuint(commit->life.next_restart_usec, <=, clock_realtime_usec() + commit->life.backoff_usec);
        } else
                g_assert_cmpuint(commit->life.next_restart_usec, ==, UINT64_MAX);
        return commit->life.backoff_usec;
}

static void test_the_delay_doubles_to_its_end(Fixture *fixture, gconstpointer unused) {
        static const guint64 delays[] = {100, 200, 400, 800, 1600, 3200, 6400, 12800, 25600, 51200, 60000, 60000};
        Container *container = fixture_add(fixture, "web", "{'restart-policy': <'always'>}");
        guint64 delay = 0;

        for (size_t i = 0; i < G_N_ELEMENTS(delays); i++) {
                delay = plan(fixture, container, delay, 0);
                g_assert_cmpuint(delay, ==, delays[i] * MSEC);
        }
}

static void test_a_run_that_lasted_begins_anew(Fixture *fixture, gconstpointer unused) {
        Container *container = fixture_add(fixture, "web", "{'restart-policy': <'always'>}");

        g_assert_cmpuint(plan(fixture, container, 6400 * MSEC, 10 * G_USEC_PER_SEC - 1), ==, 12800 * MSEC);
        g_assert_cmpuint(plan(fixture, container, 6400 * MSEC, 10 * G_USEC_PER_SEC), ==, 100 * MSEC);
}

static void test_the_first_delay_can_be_chosen(Fixture *fixture, gconstpointer unused) {
        Container *slow = fixture_add(fixture, "slow", "{'restart-policy': <'always'>, 'restart-sec-usec': <uint64 90000000>}"),
                  *quick = fixture_add(fixture, "quick", "{'restart-policy': <'always'>, 'restart-sec-usec': <uint64 1000>}"),
                  *never = fixture_add(fixture, "never", "{'restart-policy': <'always'>, 'restart-sec-usec': <uint64 18446744073709551615>}");

        g_assert_cmpuint(plan(fixture, quick, 0, 0), ==, 1000);
        g_assert_cmpuint(plan(fixture, quick, 1000, 0), ==, 2000);
        g_assert_cmpuint(plan(fixture, slow, 0, 0), ==, 90 * G_USEC_PER_SEC);
        g_assert_cmpuint(plan(fixture, slow, 90 * G_USEC_PER_SEC, 0), ==, 90 * G_USEC_PER_SEC); /* above the end, it stays */
        g_assert_cmpuint(plan(fixture, never, 0, 0), ==, UINT64_MAX);
        g_assert_cmpuint(plan(fixture, never, UINT64_MAX, 0), ==, UINT64_MAX);
}

static void test_a_reset_that_never_comes(Fixture *fixture, gconstpointer unused) {
        Container *container = fixture_add(fixture, "web", "{'restart-policy': <'always'>}");

        fixture->engine->settings.backoff_reset_usec = UINT64_MAX;
        g_assert_cmpuint(plan(fixture, container, 100 * MSEC, G_TIME_SPAN_DAY), ==, 200 * MSEC);
}

/* --- plans --- */

static void edit_planned(Life *life) {
        life->next_restart_usec = clock_realtime_usec() + G_TIME_SPAN_DAY;
        life->backoff_usec = G_TIME_SPAN_DAY;
}

static Container *add_planned(Fixture *fixture) {
        Container *container = fixture_add(fixture, "web", "{'restart-policy': <'always'>}");

        fixture_exit(fixture, container, edit_planned);
        policy_arm(fixture->engine, container);
        return container;
}

static void test_an_end_is_planned_in_the_commit_of_exited(Fixture *fixture, gconstpointer unused) {
        Container *container = fixture_add(fixture, "web", "{'restart-policy': <'on-failure'>, 'restart-sec-usec': <uint64 86400000000>}");
        pid_t pid = fixture_run(fixture, container, STATE_RUNNING);

        g_assert_cmpint(kill(pid, SIGKILL), ==, 0);
        fixture_run_until_state(fixture, container, STATE_STOPPED);
        g_assert_cmpuint(container->life.next_restart_usec, ==, 0);
        fixture_run_until_state(fixture, container, STATE_EXITED);
        g_assert_cmpuint(container->life.next_restart_usec, >, clock_realtime_usec());
        g_assert_cmpuint(container->life.restart_count, ==, 0); /* it counts when it is tried */
}

static void test_stop_cancels_a_plan_and_says_that_nothing_runs(Fixture *fixture, gconstpointer unused) {
        Container *container = add_planned(fixture);
        g_auto(Answer) answer = {0};

        fixture_do(fixture, container, VERB_STOP, NULL, &answer);
        testing_expect_error(&answer.error, CONBUS_ERROR_NOT_RUNNING, "nothing of it runs");
        g_assert_cmpuint(container->life.next_restart_usec, ==, 0);
        g_assert_true(container->life.stopped_by_user);
}

static void test_an_update_to_no_cancels_a_plan(Fixture *fixture, gconstpointer unused) {
        Container *container = add_planned(fixture);
        g_auto(Answer) answer = {0};

        fixture_do(fixture, container, VERB_UPDATE, "{'auto-start': <true>}", &answer);
        g_assert_no_error(answer.error);
        g_assert_cmpuint(container->life.next_restart_usec, >, 0);
        fixture_do(fixture, container, VERB_UPDATE, "{'restart-policy': <'no'>}", &answer);
        g_assert_no_error(answer.error);
        g_assert_cmpuint(container->life.next_restart_usec, ==, 0);
        g_assert_false(container->life.stopped_by_user);
}

static void test_a_removal_cancels_a_plan(Fixture *fixture, gconstpointer unused) {
        Container *container = add_planned(fixture);
        g_auto(Answer) answer = {0};

        fixture_do(fixture, container, VERB_REMOVE, NULL, &answer);
        g_assert_no_error(answer.error);
        g_assert_cmpuint(registry_count(fixture->registry, N_STATES), ==, 0);
}

static void edit_due(Life *life) {
        life->next_restart_usec = clock_realtime_usec();
        life->backoff_usec = 1;
}

static bool has_tried(void *userdata) {
        return ((Container *) userdata)->life.run > 1;
}

/* conmon is /bin/true here: the attempt fails, counts, and the next one is planned. */
static void test_an_attempt_that_fails_counts_and_is_tried_again(Fixture *fixture, gconstpointer unused) {
        g_autofree char *config = g_strdup_printf("{'rootfs': <'%s'>, 'rootfs-mode': <'direct'>, 'command': <['sh']>, 'restart-policy': <'on-failure'>, 'restart-max': <uint32 2>}", fixture->directory);
        Container *container = fixture_add(fixture, "web", config);

        fixture_exit(fixture, container, edit_due);
        policy_arm(fixture->engine, container);
        testing_run_until(fixture->event, has_tried, container);
        while (container->life.restart_count < 2 || container->life.run_open)
                g_assert_cmpint(sd_event_run(fixture->event, TESTING_DEADLINE_USEC), >, 0);
        testing_run_idle(fixture->event);
        g_assert_cmpint(container->life.state, ==, STATE_EXITED);
        g_assert_cmpint(container->life.result, ==, RESULT_START_FAILED);
        g_assert_cmpuint(container->life.run, ==, 3);
        g_assert_cmpuint(container->life.next_restart_usec, ==, 0); /* restart-max */
}

static void test_a_clock_set_back_delays_no_longer_than_the_back_off(Fixture *fixture, gconstpointer unused) {
        g_autofree char *config = g_strdup_printf("{'rootfs': <'%s'>, 'rootfs-mode': <'direct'>, 'command': <['sh']>, 'restart-policy': <'always'>}", fixture->directory);
        Container *container = fixture_add(fixture, "web", config);

        fixture_exit(fixture, container, edit_planned);
        container->life.backoff_usec = 1;
        policy_arm(fixture->engine, container);
        testing_run_until(fixture->event, has_tried, container);
}

int main(int argc, char *argv[]) {
        static const struct {
                const char *path;
                void (*test)(Fixture *fixture, gconstpointer unused);
        } tests[] = {
                {"/policy/the-decision", test_the_decision},
                {"/policy/never-started-is-no-end", test_never_started_is_no_end},
                {"/policy/a-health-action-restarts-whatever-the-policy", test_a_health_action_restarts_whatever_the_policy},
                {"/policy/the-delay-doubles-to-its-end", test_the_delay_doubles_to_its_end},
                {"/policy/a-run-that-lasted-begins-anew", test_a_run_that_lasted_begins_anew},
                {"/policy/the-first-delay-can-be-chosen", test_the_first_delay_can_be_chosen},
                {"/policy/a-reset-that-never-comes", test_a_reset_that_never_comes},
                {"/policy/an-end-is-planned-in-the-commit-of-exited", test_an_end_is_planned_in_the_commit_of_exited},
                {"/policy/stop-cancels-a-plan-and-says-that-nothing-runs", test_stop_cancels_a_plan_and_says_that_nothing_runs},
                {"/policy/an-update-to-no-cancels-a-plan", test_an_update_to_no_cancels_a_plan},
                {"/policy/a-removal-cancels-a-plan", test_a_removal_cancels_a_plan},
                {"/policy/an-attempt-that-fails-counts-and-is-tried-again", test_an_attempt_that_fails_counts_and_is_tried_again},
                {"/policy/a-clock-set-back-delays-no-longer-than-the-back-off", test_a_clock_set_back_delays_no_longer_than_the_back_off},
        };

        g_test_init(&argc, &argv, NULL);
        for (size_t i = 0; i < G_N_ELEMENTS(tests); i++)
                g_test_add(tests[i].path, Fixture, NULL, fixture_set_up, tests[i].test, fixture_tear_down);
        return g_test_run();
}
