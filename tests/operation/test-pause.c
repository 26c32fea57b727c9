/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Pause and Resume: the freezer and the state always say the same, whoever fails in between. */

#define FAKES_UNIT "pause"
#include "fakes.h"
#include "runtime/cgroup.h"
#include <signal.h>

static void expect(Fixture *fixture, Container *container, State state) {
        fixture_expect(fixture, container, state);
        g_assert_true(cgroup_is_frozen(container->life.cgroup) == (state == STATE_PAUSED));
        g_assert_cmpint(kill(container->main.pid, 0), ==, 0);
}

static Container *add_paused(Fixture *fixture) {
        Container *container = fakes_add_started(fixture, "web", NULL);
        g_auto(Answer) answer = {0};

        fixture_do(fixture, container, VERB_PAUSE, NULL, &answer);
        g_assert_no_error(answer.error);
        expect(fixture, container, STATE_PAUSED);
        return container;
}

static void test_there_and_back(Fixture *fixture, gconstpointer unused) {
        Container *container = add_paused(fixture);
        g_auto(Answer) answer = {0};

        g_assert_cmpint(container->life.reason, ==, REASON_USER);
        fixture_do(fixture, container, VERB_RESUME, NULL, &answer);
        g_assert_cmpstr(answer.result, ==, "()");
        expect(fixture, container, STATE_RUNNING);
        fixture_expect_events(fixture, "init start pause resume ");
}

static void test_states_that_refuse(Fixture *fixture, gconstpointer unused) {
        static const struct {
                Verb verb;
                State state;
                ConbusError code;
                const char *part;
        } table[] = {
                {VERB_PAUSE, STATE_CREATED, CONBUS_ERROR_NOT_RUNNING, "nothing of it runs"},
                {VERB_PAUSE, STATE_EXITED, CONBUS_ERROR_NOT_RUNNING, "nothing of it runs"},
                {VERB_PAUSE, STATE_INITIALIZED, CONBUS_ERROR_INVALID_STATE, "possible when it is running"},
                {VERB_PAUSE, STATE_PAUSED, CONBUS_ERROR_ALREADY_PAUSED, "it is paused already"},
                {VERB_PAUSE, STATE_UNKNOWN, CONBUS_ERROR_INVALID_STATE, "possible when it is running"},
                {VERB_PAUSE, STATE_RUNNING, CONBUS_ERROR_NO_CGROUPS, "no control group"}, /* as the fixture makes it */
                {VERB_RESUME, STATE_CREATED, CONBUS_ERROR_NOT_PAUSED, "it is not paused"},
                {VERB_RESUME, STATE_INITIALIZED, CONBUS_ERROR_NOT_PAUSED, "it is not paused"},
                {VERB_RESUME, STATE_RUNNING, CONBUS_ERROR_NOT_PAUSED, "it is not paused"},
                {VERB_RESUME, STATE_EXITED, CONBUS_ERROR_NOT_PAUSED, "it is not paused"},
                {VERB_RESUME, STATE_UNKNOWN, CONBUS_ERROR_INVALID_STATE, "possible when it is paused"},
        };

        for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
                g_autofree char *name = g_strdup_printf("c%zu", i);
                Container *container = fakes_add(fixture, name, NULL);
                g_auto(Answer) answer = {0};

                if (table[i].state == STATE_EXITED)
                        fixture_exit(fixture, container, NULL);
                else if (table[i].state != STATE_CREATED)
                        (void) fixture_run(fixture, container, table[i].state);
                fixture_do(fixture, container, table[i].verb, NULL, &answer);
                testing_expect_error(&answer.error, table[i].code, table[i].part);
                fixture_expect(fixture, container, table[i].state);
                g_assert_cmpstr(container->life.error_name, ==, "");
        }
}

/* --- pause fails --- */

static void test_a_pause_that_fails_is_taken_back(Fixture *fixture, gconstpointer unused) {
        static const struct {
                const char *fault, *part;
        } table[] = {
                {"crun pause 1 fail no freezer", "crun pause: no freezer"},
                {"crun pause 1 silent", "crun failed without a word"},
                {"crun pause-done 1 die 9", "crun failed without a word"}, /* it is frozen by then */
                {"crun pause-done 1 fail too late", "too late"},
        };
        Container *container = fakes_add_started(fixture, "web", NULL);

        for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
                g_auto(Answer) answer = {0};
                g_test_message("%s", table[i].fault);
                fakes_order(table[i].fault);
                fixture_do(fixture, container, VERB_PAUSE, NULL, &answer);
                testing_expect_error(&answer.error, CONBUS_ERROR_RUNTIME_FAILED, table[i].part);
                expect(fixture, container, STATE_RUNNING);
        }
        fixture_expect_events(fixture, "init start ");
}

static void test_a_pause_that_cannot_be_recorded_is_taken_back(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add_started(fixture, "web", NULL);
        g_auto(Answer) answer = {0};

        fixture_refuse(fixture, "INSERT ON event WHEN new.action = 'pause'");
        fixture_do(fixture, container, VERB_PAUSE, NULL, &answer);
        testing_expect_error(&answer.error, CONBUS_ERROR_STORAGE_FULL, "");
        fixture_allow(fixture);
        expect(fixture, container, STATE_RUNNING);
}

static void test_an_end_during_a_pause(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add_started(fixture, "web", NULL);
        g_auto(Answer) answer = {0};

        Gate *gate = fakes_gate(fixture, "crun pause");
        (void) fixture_submit(fixture, container, VERB_PAUSE, NULL, &answer);
        gate_reach(gate);
        kill_now(container);
        fixture_run_until_state(fixture, container, STATE_STOPPED);
        gate_open(gate);
        testing_run_until_count(fixture->event, &answer.n, 1);
        testing_expect_error(&answer.error, CONBUS_ERROR_NOT_RUNNING, "it ended meanwhile");
        fixture_run_until_state(fixture, container, STATE_EXITED);
        fixture_expect_events(fixture, "init start died cleanup ");
}

/* A Kill found it running, so nobody thawed it for the SIGKILL: the pause does. */
static void test_a_kill_during_a_pause_is_delivered(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add_started(fixture, "web", NULL);
        g_auto(Answer) pause = {0}, kill = {0};

        Gate *gate = fakes_gate(fixture, "crun pause-done");
        (void) fixture_submit(fixture, container, VERB_PAUSE, NULL, &pause);
        gate_reach(gate);
        g_assert_true(cgroup_is_frozen(container->life.cgroup));
        (void) fixture_submit(fixture, container, VERB_KILL, "{'signal': <9>}", &kill);
        testing_run_idle(fixture->event);
        if (!cgroup_is_unified())
                g_assert_cmpuint(kill.n, ==, 0); /* frozen, it cannot die; in version 2 it can */
        gate_open(gate);
        testing_run_until_count(fixture->event, &kill.n, 1);
        g_assert_no_error(kill.error);
        fixture_run_until_state(fixture, container, STATE_EXITED);
        g_assert_cmpuint(pause.n, ==, 1);
        fixture_expect_events(fixture, cgroup_is_unified() && pause.error ? "init start kill died cleanup " : "init start kill pause died cleanup ");
}

/* --- resume fails --- */

static void test_a_resume_that_fails_stays_paused(Fixture *fixture, gconstpointer unused) {
        Container *container = add_paused(fixture);
        g_auto(Answer) answer = {0};

        fakes_order("crun resume 1 fail no freezer");
        fixture_do(fixture, container, VERB_RESUME, NULL, &answer);
        testing_expect_error(&answer.error, CONBUS_ERROR_RUNTIME_FAILED, "crun resume: no freezer");
        expect(fixture, container, STATE_PAUSED);
        fixture_expect_events(fixture, "init start pause ");
}

static void test_a_resume_that_fails_when_it_is_done_is_done(Fixture *fixture, gconstpointer unused) {
        Container *container = add_paused(fixture);
        g_auto(Answer) answer = {0};

        fakes_order("crun resume-done 1 die 9");
        fixture_do(fixture, container, VERB_RESUME, NULL, &answer);
        g_assert_no_error(answer.error);
        expect(fixture, container, STATE_RUNNING);
}

static void test_a_resume_that_cannot_be_recorded_is_taken_back(Fixture *fixture, gconstpointer unused) {
        Container *container = add_paused(fixture);
        g_auto(Answer) answer = {0};

        fixture_refuse(fixture, "INSERT ON event WHEN new.action = 'resume'");
        fixture_do(fixture, container, VERB_RESUME, NULL, &answer);
        testing_expect_error(&answer.error, CONBUS_ERROR_STORAGE_FULL, "");
        fixture_allow(fixture);
        fixture_expect(fixture, container, STATE_PAUSED);
        while (!cgroup_is_frozen(container->life.cgroup)) /* freezing is begun, and takes its time */
                g_usleep(1000);
}

static void test_an_end_during_a_resume(Fixture *fixture, gconstpointer unused) {
        Container *container = add_paused(fixture);
        g_auto(Answer) answer = {0};

        Gate *gate = fakes_gate(fixture, "crun resume-done");
        (void) fixture_submit(fixture, container, VERB_RESUME, NULL, &answer);
        gate_reach(gate);
        kill_now(container);
        fixture_run_until_state(fixture, container, STATE_STOPPED);
        gate_open(gate);
        testing_run_until_count(fixture->event, &answer.n, 1);
        testing_expect_error(&answer.error, CONBUS_ERROR_NOT_RUNNING, "it ended meanwhile");
        fixture_run_until_state(fixture, container, STATE_EXITED);
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        FAKES_ADD(there_and_back);
        FAKES_ADD(states_that_refuse);
        FAKES_ADD(a_pause_that_fails_is_taken_back);
        FAKES_ADD(a_pause_that_cannot_be_recorded_is_taken_back);
        FAKES_ADD(an_end_during_a_pause);
        FAKES_ADD(a_kill_during_a_pause_is_delivered);
        FAKES_ADD(a_resume_that_fails_stays_paused);
        FAKES_ADD(a_resume_that_fails_when_it_is_done_is_done);
        FAKES_ADD(a_resume_that_cannot_be_recorded_is_taken_back);
        FAKES_ADD(an_end_during_a_resume);
        return g_test_run();
}
