/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Sync: the state follows what the kernel and crun say, a living container is never made unusable, and what says nothing changes nothing. */

#define FAKES_UNIT "sync"
#include "fakes.h"
#include "base/clock.h"
#include "runtime/cgroup.h"
#include <signal.h>

static void sync_as(Fixture *fixture, Container *container, const char *result) {
        g_auto(Answer) answer = {0};

        fixture_do(fixture, container, VERB_SYNC, NULL, &answer);
        g_assert_no_error(answer.error);
        g_assert_cmpstr(answer.result, ==, result);
}

/* --- nothing to correct --- */

static void test_what_agrees_stays(Fixture *fixture, gconstpointer unused) {
        Container *running = fakes_add_started(fixture, "a", NULL), *paused = fakes_add_started(fixture, "b", NULL), *initialized = fakes_add(fixture, "c", NULL);
        g_auto(Answer) answer = {0};

        fixture_do(fixture, paused, VERB_PAUSE, NULL, &answer);
        fixture_do(fixture, initialized, VERB_INIT, NULL, &answer);
        guint64 transitions = running->life.transitions + paused->life.transitions + initialized->life.transitions;
        sync_as(fixture, running, "('running', 'running')");
        sync_as(fixture, paused, "('paused', 'paused')");
        sync_as(fixture, initialized, "('initialized', 'initialized')");
        g_assert_cmpuint(running->life.transitions + paused->life.transitions + initialized->life.transitions, ==, transitions);
        fixture_expect_events(fixture, "init start init start pause init ");
}

static void test_where_there_is_nothing_crun_is_not_asked(Fixture *fixture, gconstpointer unused) {
        Container *created = fakes_add(fixture, "a", NULL), *exited = fakes_add(fixture, "b", NULL);

        fixture->paths.crun = (char *) "/no/crun";
        fixture_exit(fixture, exited, NULL);
        sync_as(fixture, created, "('created', 'created')");
        sync_as(fixture, exited, "('exited', 'exited')");
        fixture_expect_events(fixture, "");
}

static void test_what_is_being_removed_is_left_alone(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add(fixture, "web", NULL);

        fixture_enter(container, STATE_REMOVING);
        sync_as(fixture, container, "('removing', 'removing')");
}

/* --- corrected --- */

static void test_frozen_by_somebody_else(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add_started(fixture, "web", NULL);

        g_assert_true(cgroup_freeze(container->life.cgroup, true, NULL));
        while (!cgroup_is_frozen(container->life.cgroup))
                g_usleep(1000);
        sync_as(fixture, container, "('running', 'paused')");
        fixture_expect(fixture, container, STATE_PAUSED);
        g_assert_true(cgroup_thaw(container->life.cgroup, NULL));
        while (cgroup_is_frozen(container->life.cgroup))
                g_usleep(1000);
        sync_as(fixture, container, "('paused', 'running')");
        fixture_expect(fixture, container, STATE_RUNNING);
        fixture_expect_events(fixture, "init start sync sync ");
        bool gap;
        const char *old = NULL;
        g_autoptr(GPtrArray) events = store_list_events(fixture->store, 2, 1, UINT64_MAX, NULL, &gap, NULL);
        g_assert_true(g_variant_lookup(((Event *) events->pdata[0])->details, "old-state", "&s", &old));
        g_assert_cmpstr(old, ==, "running");
}

/* crun finds a process that still runs. */
static void test_one_that_is_being_frozen(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add_started(fixture, "web", NULL);
        g_auto(Answer) answer = {0};

        g_assert_true(cgroup_freeze(container->life.cgroup, true, NULL));
        fakes_order("crun state 1 say {\"status\": \"running\", \"pid\": 1}");
        sync_as(fixture, container, "('running', 'paused')");
        fakes_order("crun state 1 say {\"status\": \"running\", \"pid\": 1}");
        sync_as(fixture, container, "('paused', 'paused')");
        fixture_do(fixture, container, VERB_RESUME, NULL, &answer);
        g_assert_no_error(answer.error);
        fakes_order("crun state 1 say {\"status\": \"running\", \"pid\": 1}");
        sync_as(fixture, container, "('running', 'running')");
}

/* The service died between crun start and the commit of `running`. */
static void test_started_unseen(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add(fixture, "web", NULL);
        g_auto(Answer) answer = {0};

        fixture_do(fixture, container, VERB_INIT, NULL, &answer);
        fakes_order("crun state 1 say {\"status\": \"running\", \"pid\": 1}");
        guint64 before = clock_realtime_usec();
        sync_as(fixture, container, "('initialized', 'running')");
        fixture_expect(fixture, container, STATE_RUNNING);
        g_assert_true(container->life.ever_started);
        g_assert_cmpuint(container->life.start_usec, >=, before);
        g_autoptr(Run) run = fixture_record(fixture, container);
        g_assert_cmpuint(run->start_usec, ==, container->life.start_usec);
        fixture_expect_events(fixture, "init start ");
}

static void test_started_and_frozen_unseen(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add(fixture, "web", NULL);
        g_auto(Answer) answer = {0};

        fixture_do(fixture, container, VERB_INIT, NULL, &answer);
        fakes_order("crun state 1 say {\"status\": \"paused\", \"pid\": 1}");
        sync_as(fixture, container, "('initialized', 'running')");
        fakes_order("crun state 1 say {\"status\": \"paused\", \"pid\": 1}");
        sync_as(fixture, container, "('running', 'paused')");
}

/* A contradiction: crun does not know of a container whose PID 1 lives. */
static void test_a_living_one_that_crun_does_not_know(Fixture *fixture, gconstpointer unused) {
        static const char *const faults[] = {"crun state 1 fail no such container", "crun state 1 silent", "crun state 1 die 9", "crun state 1 say no JSON", "crun state 1 say {}"};

        for (size_t i = 0; i < G_N_ELEMENTS(faults); i++) {
                g_autofree char *name = g_strdup_printf("c%zu", i);
                Container *container = fakes_add_started(fixture, name, NULL);

                g_test_message("%s", faults[i]);
                fakes_order(faults[i]);
                sync_as(fixture, container, "('running', 'unknown')");
                fixture_expect(fixture, container, STATE_UNKNOWN);
                g_assert_cmpint(container->life.reason, ==, REASON_MONITOR_LOST);
                g_assert_nonnull(container->supervision); /* it is still watched */
                sync_as(fixture, container, "('unknown', 'running')");
        }
}

static void test_unknown_ones_come_back(Fixture *fixture, gconstpointer unused) {
        Container *initialized = fakes_add(fixture, "a", NULL), *paused = fakes_add_started(fixture, "b", NULL);
        g_auto(Answer) answer = {0};

        fixture_do(fixture, initialized, VERB_INIT, NULL, &answer);
        fixture_do(fixture, paused, VERB_PAUSE, NULL, &answer);
        fixture_enter(initialized, STATE_UNKNOWN);
        fixture_enter(paused, STATE_UNKNOWN);
        sync_as(fixture, initialized, "('unknown', 'initialized')");
        sync_as(fixture, paused, "('unknown', 'paused')");
}

static void test_unknown_ones_without_a_run(Fixture *fixture, gconstpointer unused) {
        Container *never = fakes_add(fixture, "never", NULL), *once = fakes_add(fixture, "once", NULL);

        fixture_exit(fixture, once, NULL);
        fixture_enter(never, STATE_UNKNOWN);
        fixture_enter(once, STATE_UNKNOWN);
        sync_as(fixture, never, "('unknown', 'created')");
        sync_as(fixture, once, "('unknown', 'exited')");
}

static void test_a_stop_goes_on(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add_started(fixture, "web", NULL);
        g_auto(Answer) sync = {0}, stop = {0};

        (void) fixture_submit(fixture, container, VERB_STOP, "{'timeout-usec': <uint64 1000000000>}", &stop);
        fixture_run_until_state(fixture, container, STATE_STOPPING);
        (void) fixture_submit(fixture, container, VERB_SYNC, NULL, &sync);
        testing_run_idle(fixture->event);
        g_assert_cmpuint(sync.n, ==, 0); /* the stop holds the queue */
        kill_now(container);
        testing_run_until_count(fixture->event, &sync.n, 1);
        g_assert_cmpstr(sync.result, ==, "('exited', 'exited')");
}

/* A stop whose reply has given up: the state stays stopping, though crun says running. */
static void test_stopping_stays_stopping(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add_started(fixture, "web", NULL);

        fixture_enter(container, STATE_STOPPING);
        sync_as(fixture, container, "('stopping', 'stopping')");
}

/* --- an end that nobody has heard of --- */

static bool has_a_process(void *userdata) {
        return ((Operation *) userdata)->process != NULL;
}

static bool has_none(void *userdata) {
        return !has_a_process(userdata);
}

static void test_an_end_is_waited_for(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add_started(fixture, "web", NULL);
        g_auto(Answer) sync = {0};

        Gate *gate = fakes_gate(fixture, "conmon ended"); /* PID 1 is dead, and its exit file is not there yet */
        kill_now(container);
        gate_reach(gate);
        fixture_expect(fixture, container, STATE_RUNNING);
        Operation *operation = fixture_submit(fixture, container, VERB_SYNC, NULL, &sync);
        testing_run_until(fixture->event, has_a_process, operation);
        testing_run_until(fixture->event, has_none, operation); /* crun state has answered */
        g_assert_cmpuint(sync.n, ==, 0);
        gate_open(gate);
        testing_run_until_count(fixture->event, &sync.n, 1);
        g_assert_cmpstr(sync.result, ==, "('running', 'stopped')");
        fixture_run_until_state(fixture, container, STATE_EXITED);
        g_assert_cmpint(container->life.exit_code, ==, 137);
}

/* --- failures --- */

static void test_a_crun_that_is_missing_says_nothing(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add_started(fixture, "web", NULL);
        g_auto(Answer) answer = {0};
        char *crun = fixture->paths.crun;

        fixture->paths.crun = (char *) "/no/crun";
        fixture_do(fixture, container, VERB_SYNC, NULL, &answer);
        fixture->paths.crun = crun;
        testing_expect_error(&answer.error, CONBUS_ERROR_HELPER_MISSING, "/no/crun is not installed");
        fixture_expect(fixture, container, STATE_RUNNING);
}

static void test_a_correction_that_cannot_be_stored(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add_started(fixture, "web", NULL), *initialized = fakes_add(fixture, "b", NULL);
        g_auto(Answer) answer = {0};

        fixture_do(fixture, initialized, VERB_INIT, NULL, &answer);
        fixture_refuse(fixture, "INSERT ON event");
        fakes_order("crun state 1 silent");
        fixture_do(fixture, container, VERB_SYNC, NULL, &answer);
        testing_expect_error(&answer.error, CONBUS_ERROR_STORAGE_FULL, "");
        fakes_order("crun state 1 say {\"status\": \"running\", \"pid\": 1}");
        fixture_do(fixture, initialized, VERB_SYNC, NULL, &answer);
        testing_expect_error(&answer.error, CONBUS_ERROR_STORAGE_FULL, "");
        fixture_allow(fixture);
        fixture_expect(fixture, container, STATE_RUNNING);
        fixture_expect(fixture, initialized, STATE_INITIALIZED);
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        FAKES_ADD(what_agrees_stays);
        FAKES_ADD(where_there_is_nothing_crun_is_not_asked);
        FAKES_ADD(what_is_being_removed_is_left_alone);
        FAKES_ADD(frozen_by_somebody_else);
        FAKES_ADD(one_that_is_being_frozen);
        FAKES_ADD(started_unseen);
        FAKES_ADD(started_and_frozen_unseen);
        FAKES_ADD(a_living_one_that_crun_does_not_know);
        FAKES_ADD(unknown_ones_come_back);
        FAKES_ADD(unknown_ones_without_a_run);
        FAKES_ADD(a_stop_goes_on);
        FAKES_ADD(stopping_stays_stopping);
        FAKES_ADD(an_end_is_waited_for);
        FAKES_ADD(a_crun_that_is_missing_says_nothing);
        FAKES_ADD(a_correction_that_cannot_be_stored);
        return g_test_run();
}
