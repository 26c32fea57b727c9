/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The health of a running container (behaviour.md section 11): statuses, counters, actions, startup checks, the log, and who waits for a check. A check is what /bin/true, /bin/false or a script says in place of crun. */

#include "fixture.h"
#include "base/clock.h"
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define OFTEN "'interval-usec': <uint64 1000>"

static Container *add(Fixture *fixture, const char *health) {
        g_autofree char *config = g_strdup_printf("{'health': <{'test': <['CMD', 'regular']>%s%s}>}", *health ? ", " : "", health), *name = g_strdup_printf("c%u", fixture->n_ids);

        return fixture_add(fixture, name, config);
}

static Container *add_started(Fixture *fixture, const char *health) {
        Container *container = add(fixture, health);

        (void) fixture_run(fixture, container, STATE_RUNNING);
        health_started(fixture->engine, container);
        return container;
}

static void checks_fail(Fixture *fixture) {
        fixture->paths.crun = (char *) "/bin/false";
}

static void checks_succeed(Fixture *fixture) {
        fixture->paths.crun = (char *) "/bin/true";
}

static unsigned n_checks(Container *container) {
        g_autoptr(GPtrArray) log = health_log(container);

        return log->len;
}

struct Wanted {
        Container *container;
        const char *status;
        unsigned n;
};

static bool has_status(void *userdata) {
        struct Wanted *wanted = userdata;

        return g_str_equal(health_status(wanted->container), wanted->status);
}

static bool has_checks(void *userdata) {
        struct Wanted *wanted = userdata;

        return n_checks(wanted->container) >= wanted->n;
}

static void run_until_status(Fixture *fixture, Container *container, const char *status) {
        testing_run_until(fixture->event, has_status, &(struct Wanted) {.container = container, .status = status});
}

static void run_until_checks(Fixture *fixture, Container *container, unsigned n) {
        testing_run_until(fixture->event, has_checks, &(struct Wanted) {.container = container, .n = n});
}

/* --- statuses --- */

static void test_the_first_success_is_healthy(Fixture *fixture, gconstpointer unused) {
        Container *container = add(fixture, "");

        g_assert_cmpstr(health_status(container), ==, "stopped");
        (void) fixture_run(fixture, container, STATE_RUNNING);
        health_started(fixture->engine, container);
        g_assert_cmpstr(health_status(container), ==, "starting");
        run_until_status(fixture, container, "healthy");
        g_assert_cmpuint(n_checks(container), ==, 1);
        g_assert_cmpuint(health_last_check_usec(container), >, 0);
}

static void test_so_many_failures_in_a_row_are_unhealthy(Fixture *fixture, gconstpointer unused) {
        checks_fail(fixture);
        Container *container = add_started(fixture, OFTEN ", 'retries': <uint32 3>, 'log-count': <uint32 0>");
        for (unsigned n = 1; n < 3; n++) {
                run_until_checks(fixture, container, n);
                g_assert_cmpuint(health_streak(container), ==, n);
                g_assert_cmpstr(health_status(container), ==, "starting");
        }
        run_until_status(fixture, container, "unhealthy");
        g_assert_cmpuint(n_checks(container), ==, 3);
        g_assert_cmpuint(health_streak(container), ==, 3);
}

static void test_a_success_ends_the_streak(Fixture *fixture, gconstpointer unused) {
        checks_fail(fixture);
        Container *container = add_started(fixture, OFTEN ", 'retries': <uint32 2>, 'log-count': <uint32 0>");
        run_until_checks(fixture, container, 1);
        checks_succeed(fixture);
        run_until_status(fixture, container, "healthy");
        g_assert_cmpuint(health_streak(container), ==, 0);
        checks_fail(fixture);
        run_until_status(fixture, container, "unhealthy");
        checks_succeed(fixture);
        run_until_status(fixture, container, "healthy");
        g_assert_cmpuint(health_streak(container), ==, 0);
}

static void test_only_changes_are_announced(Fixture *fixture, gconstpointer unused) {
        Container *container = add_started(fixture, OFTEN ", 'log-count': <uint32 0>");

        run_until_checks(fixture, container, 5);
        g_autofree char *events = fixture_events(fixture);
        g_assert_cmpstr(events, ==, "health-status health-status "); /* starting, healthy */
}

static void test_failures_in_the_start_period_do_not_count(Fixture *fixture, gconstpointer unused) {
        checks_fail(fixture);
        Container *container = add_started(fixture, OFTEN ", 'retries': <uint32 1>, 'start-period-usec': <uint64 18446744073709551615>, 'log-count': <uint32 0>");
        run_until_checks(fixture, container, 5);
        g_assert_cmpstr(health_status(container), ==, "starting");
        g_assert_cmpuint(health_streak(container), ==, 0);
        checks_succeed(fixture);
        run_until_status(fixture, container, "healthy"); /* a success does */
        checks_fail(fixture);
        run_until_status(fixture, container, "unhealthy"); /* and ends it */
}

static void test_without_an_interval_nothing_is_checked_unasked(Fixture *fixture, gconstpointer unused) {
        Container *container = add_started(fixture, "'interval-usec': <uint64 0>");

        testing_run_idle(fixture->event);
        g_assert_cmpuint(n_checks(container), ==, 0);
        g_assert_cmpstr(health_status(container), ==, "starting");
}

static void test_the_end_of_the_run_is_stopped(Fixture *fixture, gconstpointer unused) {
        Container *container = add_started(fixture, OFTEN);

        run_until_status(fixture, container, "healthy");
        g_assert_true(pidref_signal(&container->main, SIGKILL, NULL, NULL));
        fixture_run_until_state(fixture, container, STATE_EXITED);
        g_assert_cmpstr(health_status(container), ==, "stopped");
        unsigned n = n_checks(container);
        testing_run_idle(fixture->event);
        g_assert_cmpuint(n_checks(container), ==, n);
        g_autoptr(Run) run = NULL;
        g_assert_true(store_get_run(fixture->store, container->id, 0, &run, NULL));
        g_assert_cmpstr(run->health, ==, "healthy");
}

static void pause_and_resume(Fixture *fixture, Container *container, bool fail_after) {
        fixture_enter(container, STATE_PAUSED);
        health_paused(container);
        g_assert_cmpstr(health_status(container), ==, "suspended");
        unsigned n = n_checks(container);
        testing_run_idle(fixture->event);
        g_assert_cmpuint(n_checks(container), ==, n);
        if (fail_after)
                checks_fail(fixture);
        fixture_enter(container, STATE_RUNNING);
        health_resumed(container);
        g_assert_cmpstr(health_status(container), ==, "suspended");
        run_until_checks(fixture, container, n + 1); /* at once */
}

static void test_a_pause_suspends_until_the_next_result(Fixture *fixture, gconstpointer unused) {
        Container *container = add_started(fixture, "'interval-usec': <uint64 86400000000>, 'log-count': <uint32 0>, 'retries': <uint32 2>");

        run_until_status(fixture, container, "healthy");
        pause_and_resume(fixture, container, false);
        g_assert_cmpstr(health_status(container), ==, "healthy");
        pause_and_resume(fixture, container, true); /* one failure of two: what it was before */
        g_assert_cmpstr(health_status(container), ==, "healthy");
        g_assert_cmpuint(health_streak(container), ==, 1);
        pause_and_resume(fixture, container, true); /* the streak was kept */
        g_assert_cmpstr(health_status(container), ==, "unhealthy");
}

static void test_without_a_check_there_is_no_status(Fixture *fixture, gconstpointer unused) {
        Container *container = fixture_add(fixture, "web", "@a{sv} {}");

        (void) fixture_run(fixture, container, STATE_RUNNING);
        health_started(fixture->engine, container);
        health_paused(container);
        health_resumed(container);
        health_ended(container);
        g_assert_cmpstr(health_status(container), ==, "");
        g_assert_cmpuint(n_checks(container) + health_streak(container), ==, 0);
}

static void test_ready_comes_with_healthy(Fixture *fixture, gconstpointer unused) {
        Container *container = fixture_add(fixture, "web", "{'notify': <'healthy'>, 'health': <{'test': <['x']>}>}");

        (void) fixture_run(fixture, container, STATE_RUNNING);
        health_started(fixture->engine, container);
        g_assert_false(container->life.ready);
        run_until_status(fixture, container, "healthy");
        g_assert_true(container->life.ready);
}

static void test_an_adopted_one_keeps_its_status(Fixture *fixture, gconstpointer unused) {
        Container *container = add(fixture, OFTEN ", 'retries': <uint32 2>");

        (void) fixture_run(fixture, container, STATE_RUNNING);
        container->life.start_usec -= G_TIME_SPAN_HOUR;
        life_set_string(&container->life.health, "healthy");
        checks_fail(fixture);
        health_adopt(fixture->engine, container);
        g_assert_cmpstr(health_status(container), ==, "healthy");
        run_until_status(fixture, container, "unhealthy");
}

/* --- trouble --- */

static void test_trouble_of_the_runtime_is_tried_again_once(Fixture *fixture, gconstpointer unused) {
        g_autofree char *trouble = testing_program(fixture->directory, "trouble", "for word; do [ \"$before\" = --log ] && log=$word; before=$word; done; mkdir -p ${log%/*}; echo '{\"msg\": \"it is not running\"}' >$log; exit 1");

        fixture->paths.crun = trouble;
        Container *container = add_started(fixture, "'interval-usec': <uint64 86400000000>, 'retries': <uint32 1>");
        run_until_checks(fixture, container, 1);
        g_assert_cmpstr(health_status(container), ==, "starting");
        g_assert_cmpuint(health_streak(container), ==, 0);
        run_until_status(fixture, container, "unhealthy");
        g_assert_cmpuint(n_checks(container), ==, 2);
        checks_succeed(fixture);
}

static void test_a_check_that_cannot_begin_is_trouble(Fixture *fixture, gconstpointer unused) {
        fixture->paths.crun = (char *) "no-such-crun";
        Container *container = add_started(fixture, "");
        run_until_checks(fixture, container, 1);
        g_autoptr(GPtrArray) log = health_log(container);
        g_assert_cmpint(((HealthEntry *) log->pdata[0])->code, ==, 125);
        g_assert_cmpstr(((HealthEntry *) log->pdata[0])->output, ==, "the program no-such-crun is not installed");
}

static void test_a_timeout_is_a_failure(Fixture *fixture, gconstpointer unused) {
        g_autofree char *slow = testing_program(fixture->directory, "slow", "exec sleep 1000");

        fixture->paths.crun = slow;
        Container *container = add_started(fixture, "'timeout-usec': <uint64 1000>, 'retries': <uint32 1>");
        run_until_status(fixture, container, "unhealthy");
        g_autoptr(GPtrArray) log = health_log(container);
        g_assert_cmpint(((HealthEntry *) log->pdata[0])->code, ==, -1);
        checks_succeed(fixture);
}

/* --- actions --- */

#define FAIL_ONCE OFTEN ", 'retries': <uint32 1>, 'on-failure': "

static void test_the_action_kill_is_no_stop(Fixture *fixture, gconstpointer unused) {
        checks_fail(fixture);
        Container *container = add_started(fixture, FAIL_ONCE "<'kill'>");
        run_until_status(fixture, container, "unhealthy");
        fixture_run_until_state(fixture, container, STATE_STOPPED);
        g_assert_cmpint(container->life.exit_signal, ==, SIGKILL);
        g_assert_false(container->life.stopped_by_user);
        checks_succeed(fixture);
        fixture_run_until_state(fixture, container, STATE_EXITED);
        g_assert_cmpuint(container->life.next_restart_usec, ==, 0);
}

static void test_the_action_stop_is_a_stop(Fixture *fixture, gconstpointer unused) {
        checks_fail(fixture);
        Container *container = add_started(fixture, FAIL_ONCE "<'stop'>");
        fixture_run_until_state(fixture, container, STATE_EXITED);
        checks_succeed(fixture);
        g_assert_cmpint(container->life.exit_signal, ==, SIGTERM);
        g_assert_true(container->life.stopped_by_user);
}

static void test_the_action_restart_plans_one(Fixture *fixture, gconstpointer unused) {
        checks_fail(fixture);
        Container *container = fixture_add(fixture, "web", "{'restart-sec-usec': <uint64 86400000000>, 'health': <{'test': <['x']>, " FAIL_ONCE "<'restart'>}>}");
        (void) fixture_run(fixture, container, STATE_RUNNING);
        health_started(fixture->engine, container);
        fixture_run_until_state(fixture, container, STATE_EXITED);
        checks_succeed(fixture);
        g_assert_false(container->life.stopped_by_user);
        g_assert_cmpuint(container->life.next_restart_usec, >, 0); /* though its policy is no */
}

static void test_the_action_is_taken_once_for_each_turn(Fixture *fixture, gconstpointer unused) {
        checks_fail(fixture);
        Container *container = fixture_add(fixture, "web", "{'stop-signal': <17>, 'stop-timeout-usec': <uint64 18446744073709551615>, 'health': <{'test': <['x']>, 'log-count': <uint32 0>, " OFTEN
                                                           ", 'retries': <uint32 1>}>}");
        (void) fixture_run(fixture, container, STATE_RUNNING);
        health_started(fixture->engine, container);
        run_until_checks(fixture, container, 5);
        g_autofree char *events = fixture_events(fixture);
        g_assert_cmpstr(events, ==, "health-status health-status "); /* it stays unhealthy, and none is an action of its own */
        g_assert_cmpint(container->life.state, ==, STATE_RUNNING);
}

/* --- startup --- */

/* Notes which test it is asked for, and fails that one if the file says so. */
static char *noting_crun(Fixture *fixture) {
        g_autofree char *script = g_strdup_printf("for word; do last=$word; done\necho $last >>%s/asked\n[ \"$last\" != \"$(cat %s/failing 2>/dev/null)\" ]", fixture->directory, fixture->directory);

        return testing_program(fixture->directory, "noting", script);
}

static void test_the_startup_check_comes_first_and_alone(Fixture *fixture, gconstpointer unused) {
        g_autofree char *crun = noting_crun(fixture);

        fixture->paths.crun = crun;
        Container *container = add_started(fixture, OFTEN ", 'startup-test': <['CMD', 'startup']>, 'startup-interval-usec': <uint64 1000>, 'startup-successes': <uint32 2>, 'log-count': <uint32 0>");
        run_until_status(fixture, container, "healthy");
        checks_succeed(fixture);
        g_autofree char *asked = testing_read(fixture->directory, "asked");
        g_assert_cmpstr(asked, ==, "startup\nstartup\nregular\n");
}

typedef struct Told {
        unsigned n;
        int code;
        GError *error;
} Told;

static void told_clear(Told *told) {
        g_clear_error(&told->error);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Told, told_clear)

static void on_told(Container *container, const HealthEntry *entry, const GError *error, void *userdata) {
        Told *told = userdata;

        told->n++;
        told->code = entry ? entry->code : 99;
        g_clear_error(&told->error);
        told->error = error ? g_error_copy(error) : NULL;
}

static void ask(Fixture *fixture, Container *container, Told *told) {
        g_autoptr(GError) error = NULL;

        g_assert_true(health_check(fixture->engine, container, on_told, told, &error));
        g_assert_no_error(error);
}

static void test_startup_counters_are_consecutive(Fixture *fixture, gconstpointer unused) {
        g_autofree char *crun = noting_crun(fixture);

        fixture->paths.crun = crun;
        Container *container = add_started(fixture, "'startup-test': <['CMD', 'startup']>, 'startup-interval-usec': <uint64 86400000000>, 'startup-successes': <uint32 2>, 'log-count': <uint32 0>");
        static const char *const failing[] = {"startup", "none"};
        g_auto(Told) told = {0};
        run_until_checks(fixture, container, 1); /* a success, a failure, a success: not two in a row */
        for (unsigned i = 0; i < G_N_ELEMENTS(failing); i++) {
                testing_write(fixture->directory, "failing", failing[i]);
                ask(fixture, container, &told);
                testing_run_until_count(fixture->event, &told.n, i + 1);
                g_assert_cmpstr(health_status(container), ==, "starting");
        }
        ask(fixture, container, &told);
        run_until_status(fixture, container, "healthy");
        checks_succeed(fixture);
}

static void test_a_startup_check_that_keeps_failing_restarts(Fixture *fixture, gconstpointer unused) {
        checks_fail(fixture);
        Container *container = fixture_add(fixture, "web", "{'restart-sec-usec': <uint64 86400000000>, 'health': <{'test': <['x']>, 'startup-test': <['y']>, 'startup-interval-usec': <uint64 1000>, "
                                                           "'startup-retries': <uint32 3>, 'log-count': <uint32 0>}>}");
        (void) fixture_run(fixture, container, STATE_RUNNING);
        health_started(fixture->engine, container);
        fixture_run_until_state(fixture, container, STATE_EXITED);
        g_assert_cmpuint(n_checks(container), ==, 3);
        checks_succeed(fixture);
        g_assert_cmpuint(container->life.next_restart_usec, >, 0);
}

/* --- the log --- */

static void test_the_log_keeps_the_latest(Fixture *fixture, gconstpointer unused) {
        Container *container = add_started(fixture, OFTEN ", 'log-count': <uint32 3>");
        guint64 last = 0;

        for (unsigned i = 0; i < 6; i++) {
                while (health_last_check_usec(container) == last)
                        g_assert_cmpint(sd_event_run(fixture->event, TESTING_DEADLINE_USEC), >=, 0);
                last = health_last_check_usec(container);
                g_assert_cmpuint(n_checks(container), <=, 3);
        }
        g_autoptr(GPtrArray) log = health_log(container);
        g_assert_cmpuint(log->len, ==, 3);
        g_assert_cmpuint(((HealthEntry *) log->pdata[0])->end_usec, ==, last);
        g_assert_cmpuint(((HealthEntry *) log->pdata[0])->start_usec, >=, ((HealthEntry *) log->pdata[1])->end_usec); /* never overlapping */
}

static void test_results_go_to_a_file(Fixture *fixture, gconstpointer unused) {
        g_autofree char *health = g_strdup_printf("'log-destination': <'%s'>", fixture->directory);
        g_autofree char *talking = testing_program(fixture->directory, "talking", "echo 'two\nlines'");

        fixture->paths.crun = talking;
        Container *container = add_started(fixture, health);
        run_until_status(fixture, container, "healthy");
        checks_succeed(fixture);
        g_autofree char *name = g_strdup_printf("%s-healthcheck.log", container->id), *text = testing_read(fixture->directory, name), *last = health_last_output(container);
        g_assert_nonnull(text);
        g_assert_true(g_str_has_suffix(text, " 0 \"two\\nlines\"\n"));
        g_assert_cmpstr(last, ==, "two\nlines");
}

static void test_results_go_to_the_event_log(Fixture *fixture, gconstpointer unused) {
        Container *container = add_started(fixture, "'log-destination': <'events'>");

        run_until_status(fixture, container, "healthy");
        g_autofree char *events = fixture_events(fixture);
        g_assert_cmpstr(events, ==, "health-status health-check health-status ");
}

/* --- checks by hand --- */

static void test_a_check_by_hand_counts(Fixture *fixture, gconstpointer unused) {
        Container *container = add_started(fixture, "'interval-usec': <uint64 86400000000>, 'retries': <uint32 1>");
        g_auto(Told) told = {0};

        run_until_status(fixture, container, "healthy");
        checks_fail(fixture);
        ask(fixture, container, &told);
        g_assert_cmpuint(told.n, ==, 0);
        testing_run_until_count(fixture->event, &told.n, 1);
        g_assert_cmpint(told.code, ==, 1);
        g_assert_cmpstr(health_status(container), ==, "unhealthy");
}

static void test_callers_share_a_check(Fixture *fixture, gconstpointer unused) {
        Container *container = add_started(fixture, "'interval-usec': <uint64 86400000000>, 'log-count': <uint32 0>");
        g_auto(Told) one = {0}, two = {0}, gone = {0};

        run_until_status(fixture, container, "healthy");
        ask(fixture, container, &one);
        ask(fixture, container, &two);
        ask(fixture, container, &gone);
        health_check_forget(container, &gone);
        testing_run_until_count(fixture->event, &two.n, 1);
        g_assert_cmpuint(one.n, ==, 1);
        g_assert_cmpuint(gone.n, ==, 0);
        g_assert_cmpuint(n_checks(container), ==, 2);
}

static void test_a_caller_learns_of_the_timeout(Fixture *fixture, gconstpointer unused) {
        g_autofree char *slow = testing_program(fixture->directory, "slow", "exec sleep 1000");
        Container *container = add_started(fixture, "'interval-usec': <uint64 86400000000>, 'timeout-usec': <uint64 1000>");
        g_auto(Told) told = {0};

        fixture->paths.crun = slow;
        ask(fixture, container, &told);
        testing_run_until_count(fixture->event, &told.n, 1);
        testing_expect_error(&told.error, CONBUS_ERROR_HEALTH_CHECK_TIMEOUT, "did not end in its time");
        checks_succeed(fixture);
}

static void test_a_caller_learns_of_the_end(Fixture *fixture, gconstpointer unused) {
        g_autofree char *slow = testing_program(fixture->directory, "slow", "exec sleep 1000");
        Container *container = add(fixture, "'interval-usec': <uint64 86400000000>");
        g_auto(Told) told = {0};

        fixture->paths.crun = slow;
        (void) fixture_run(fixture, container, STATE_RUNNING);
        health_started(fixture->engine, container);
        ask(fixture, container, &told);
        testing_run_idle(fixture->event);
        checks_succeed(fixture);
        g_assert_true(pidref_signal(&container->main, SIGKILL, NULL, NULL));
        testing_run_until_count(fixture->event, &told.n, 1);
        testing_expect_error(&told.error, CONBUS_ERROR_NOT_RUNNING, "it ended meanwhile");
}

static void expect_refused(Fixture *fixture, Container *container, ConbusError code) {
        g_autoptr(GError) error = NULL;

        g_assert_false(health_check(fixture->engine, container, on_told, NULL, &error));
        testing_expect_error(&error, code, "check container");
}

static void test_what_does_not_run_is_not_checked(Fixture *fixture, gconstpointer unused) {
        Container *container = add(fixture, ""), *plain = fixture_add(fixture, "plain", "@a{sv} {}");

        expect_refused(fixture, plain, CONBUS_ERROR_NO_HEALTH_CHECK);
        expect_refused(fixture, container, CONBUS_ERROR_NOT_RUNNING);
        (void) fixture_run(fixture, container, STATE_INITIALIZED);
        expect_refused(fixture, container, CONBUS_ERROR_INVALID_STATE);
        fixture_enter(container, STATE_RUNNING);
        fixture_enter(container, STATE_PAUSED);
        expect_refused(fixture, container, CONBUS_ERROR_INVALID_STATE);
        fixture_enter(container, STATE_STOPPING);
        expect_refused(fixture, container, CONBUS_ERROR_INVALID_STATE);
}

/* --- many --- */

static void test_checks_of_many_are_spread(Fixture *fixture, gconstpointer unused) {
        Container *containers[20];
        unsigned most = 0, done = 0;

        for (size_t i = 0; i < G_N_ELEMENTS(containers); i++)
                containers[i] = add_started(fixture, "'interval-usec': <uint64 86400000000>");
        while (done < G_N_ELEMENTS(containers)) {
                g_assert_cmpint(sd_event_run(fixture->event, TESTING_DEADLINE_USEC), >, 0);
                most = MAX(most, fixture->engine->n_checks);
                done = 0;
                for (size_t i = 0; i < G_N_ELEMENTS(containers); i++)
                        done += g_str_equal(health_status(containers[i]), "healthy");
        }
        g_assert_cmpuint(most, ==, 8);
        g_assert_cmpuint(fixture->engine->n_checks, ==, 0);
}

static void test_the_defaults_are_those_of_the_contract(Fixture *fixture, gconstpointer unused) {
        HealthSettings settings;

        health_settings(add(fixture, ""), &settings);
        g_assert_cmpuint(settings.interval_usec, ==, 30 * G_USEC_PER_SEC);
        g_assert_cmpuint(settings.timeout_usec, ==, 30 * G_USEC_PER_SEC);
        g_assert_cmpuint(settings.retries, ==, 3);
        g_assert_cmpuint(settings.start_period_usec, ==, 0);
        g_assert_cmpuint(settings.startup_retries, ==, 0);
        g_assert_cmpuint(settings.startup_successes, ==, 1);
        g_assert_cmpuint(settings.log_count, ==, 5);
        g_assert_cmpuint(settings.log_size, ==, 500);
        g_assert_cmpstr(settings.on_failure, ==, "none");
        g_assert_cmpstr(settings.log_destination, ==, "local");
}

int main(int argc, char *argv[]) {
        static const struct {
                const char *path;
                void (*test)(Fixture *fixture, gconstpointer unused);
        } tests[] = {
                {"/health/the-first-success-is-healthy", test_the_first_success_is_healthy},
                {"/health/so-many-failures-in-a-row-are-unhealthy", test_so_many_failures_in_a_row_are_unhealthy},
                {"/health/a-success-ends-the-streak", test_a_success_ends_the_streak},
                {"/health/only-changes-are-announced", test_only_changes_are_announced},
                {"/health/failures-in-the-start-period-do-not-count", test_failures_in_the_start_period_do_not_count},
                {"/health/without-an-interval-nothing-is-checked-unasked", test_without_an_interval_nothing_is_checked_unasked},
                {"/health/the-end-of-the-run-is-stopped", test_the_end_of_the_run_is_stopped},
                {"/health/a-pause-suspends-until-the-next-result", test_a_pause_suspends_until_the_next_result},
                {"/health/without-a-check-there-is-no-status", test_without_a_check_there_is_no_status},
                {"/health/ready-comes-with-healthy", test_ready_comes_with_healthy},
                {"/health/an-adopted-one-keeps-its-status", test_an_adopted_one_keeps_its_status},
                {"/health/trouble-of-the-runtime-is-tried-again-once", test_trouble_of_the_runtime_is_tried_again_once},
                {"/health/a-check-that-cannot-begin-is-trouble", test_a_check_that_cannot_begin_is_trouble},
                {"/health/a-timeout-is-a-failure", test_a_timeout_is_a_failure},
                {"/health/the-action-kill-is-no-stop", test_the_action_kill_is_no_stop},
                {"/health/the-action-stop-is-a-stop", test_the_action_stop_is_a_stop},
                {"/health/the-action-restart-plans-one", test_the_action_restart_plans_one},
                {"/health/the-action-is-taken-once-for-each-turn", test_the_action_is_taken_once_for_each_turn},
                {"/health/the-startup-check-comes-first-and-alone", test_the_startup_check_comes_first_and_alone},
                {"/health/startup-counters-are-consecutive", test_startup_counters_are_consecutive},
                {"/health/a-startup-check-that-keeps-failing-restarts", test_a_startup_check_that_keeps_failing_restarts},
                {"/health/the-log-keeps-the-latest", test_the_log_keeps_the_latest},
                {"/health/results-go-to-a-file", test_results_go_to_a_file},
                {"/health/results-go-to-the-event-log", test_results_go_to_the_event_log},
                {"/health/a-check-by-hand-counts", test_a_check_by_hand_counts},
                {"/health/callers-share-a-check", test_callers_share_a_check},
                {"/health/a-caller-learns-of-the-timeout", test_a_caller_learns_of_the_timeout},
                {"/health/a-caller-learns-of-the-end", test_a_caller_learns_of_the_end},
                {"/health/what-does-not-run-is-not-checked", test_what_does_not_run_is_not_checked},
                {"/health/checks-of-many-are-spread", test_checks_of_many_are_spread},
                {"/health/the-defaults-are-those-of-the-contract", test_the_defaults_are_those_of_the_contract},
        };

        g_test_init(&argc, &argv, NULL);
        for (size_t i = 0; i < G_N_ELEMENTS(tests); i++)
                g_test_add(tests[i].path, Fixture, NULL, fixture_set_up, tests[i].test, fixture_tear_down);
        return g_test_run();
}
