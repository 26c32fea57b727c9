/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What can be done to a process in a container: waiting, signals, removal; and how it goes by itself, with its container, with its client and with the machine. */

#define FAKES_UNIT "sessions"
#include "executed.h"
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#define OTHER_BOOT "UPDATE life SET boot_id = 'another'"

static void end(Fixture *fixture, Session *session) {
        g_autoptr(GError) error = NULL;

        g_assert_true(session_kill(session, SIGKILL, &error));
        executed_run_until(fixture, session, SESSION_STOPPED);
}

static bool has_none(void *userdata) {
        return ((Container *) userdata)->sessions->len == 0;
}

/* --- descriptors --- */

static void test_descriptors_are_closed_once(Fixture *fixture, gconstpointer unused) {
        SessionDescriptors *descriptors = session_descriptors_new();
        unsigned before = testing_count_descriptors();

        for (unsigned i = 0; i < 3; i++)
                g_assert_cmpint(descriptors->stdio[i], ==, -1);
        g_assert_false(descriptors->has_stdio);
        g_assert_cmpuint(descriptors->n_fds, ==, 0);
        descriptors->stdio[2] = open("/dev/null", O_RDONLY | O_CLOEXEC);
        while (descriptors->n_fds < CONMON_FDS_MAX)
                descriptors->fds[descriptors->n_fds++] = open("/dev/null", O_RDONLY | O_CLOEXEC);
        g_assert_cmpuint(testing_count_descriptors(), ==, before + CONMON_FDS_MAX + 1);
        session_descriptors_free(descriptors);
        g_assert_cmpuint(testing_count_descriptors(), ==, before);
        session_descriptors_free(NULL);
}

/* --- waiting --- */

typedef struct Waited {
        unsigned n;
        SessionState state;
        GError *error;
} Waited;

static void note_waited(Session *session, const GError *error, void *userdata) {
        Waited *waited = userdata;

        waited->n++;
        waited->state = session->life.state;
        waited->error = error ? g_error_copy(error) : NULL;
}

static SessionWait *wait_for(Fixture *fixture, Session *session, guint64 timeout_usec, Waited *waited) {
        SessionWait *wait = session_wait(fixture->engine, session, timeout_usec, note_waited, waited);

        g_assert_nonnull(wait);
        g_assert_cmpuint(waited->n, ==, 0); /* never before it has returned */
        return wait;
}

static void test_whoever_waits_hears_of_the_end(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add_started(fixture, "web", NULL);
        Session *session = execute(fixture, container, SLEEPS);
        Waited waited[3] = {{0}};
        SessionWait *cancelled = wait_for(fixture, session, 1000, &waited[2]);

        for (int i = 0; i < 2; i++)
                (void) wait_for(fixture, session, i == 0 ? UINT64_MAX : 1000 * G_USEC_PER_SEC, &waited[i]);
        session_wait_cancel(cancelled);
        session_wait_cancel(NULL);
        testing_let_time_pass(fixture->event, fixture->reaper);
        g_assert_cmpuint(waited[0].n + waited[1].n, ==, 0);
        end(fixture, session);
        for (int i = 0; i < 2; i++) {
                g_assert_cmpuint(waited[i].n, ==, 1);
                g_assert_no_error(waited[i].error);
                g_assert_cmpint(waited[i].state, ==, SESSION_STOPPED); /* its end is recorded by then */
        }
        g_assert_cmpuint(waited[2].n, ==, 0);
}

static void test_a_wait_has_its_time(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add_started(fixture, "web", NULL);
        Session *session = execute(fixture, container, SLEEPS);
        Waited shorter = {0}, longer = {0};

        (void) wait_for(fixture, session, UINT64_MAX, &longer);
        (void) wait_for(fixture, session, 0, &shorter);
        testing_run_until_count(fixture->event, &shorter.n, 1);
        testing_expect_error(&shorter.error, CONBUS_ERROR_TIMEOUT, "of container \"web\" has not ended in time");
        executed_expect(fixture, session, SESSION_RUNNING, 0, 0);
        end(fixture, session);
        g_assert_cmpuint(shorter.n, ==, 1);
        g_assert_cmpuint(longer.n, ==, 1);
}

static void test_a_wait_for_what_never_starts(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add_started(fixture, "web", NULL);
        Session *session = execute(fixture, container, SLEEPS_LATER);
        g_autoptr(GError) error = NULL;
        Waited waited = {0};

        (void) wait_for(fixture, session, UINT64_MAX, &waited);
        g_assert_true(session_remove(fixture->engine, session, &error));
        g_assert_cmpuint(waited.n, ==, 1);
        testing_expect_error(&waited.error, CONBUS_ERROR_REMOVED, "has been removed and was never started");
}

/* The service leaves: who waits is forgotten, and not answered. */
static void test_a_wait_that_outlives_the_service(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add_started(fixture, "web", NULL);
        Waited waited = {0};

        (void) wait_for(fixture, execute(fixture, container, SLEEPS), 1000 * G_USEC_PER_SEC, &waited);
        container = executed_crash(fixture, NULL);
        end(fixture, executed_get(container));
        g_assert_cmpuint(waited.n, ==, 0);
}

/* --- signals --- */

static void expect_not_killed(Session *session, int signal, ConbusError code, const char *part) {
        g_autoptr(GError) error = NULL;

        g_assert_false(session_kill(session, signal, &error));
        testing_expect_error(&error, code, part);
}

static void expect_not_stopped(Fixture *fixture, Session *session, const char *part) {
        g_autoptr(GError) error = NULL;

        g_assert_false(session_stop(fixture->engine, session, 0, &error));
        testing_expect_error(&error, CONBUS_ERROR_INVALID_STATE, part);
}

static void test_signals(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add_started(fixture, "web", NULL);
        Session *later = execute(fixture, container, SLEEPS_LATER), *session = execute(fixture, container, SLEEPS);
        g_autoptr(GError) error = NULL;

        expect_not_killed(session, 0, CONBUS_ERROR_INVALID_ARGS, "signal 0 does not exist; signals go from 1 to 64");
        expect_not_killed(session, 65, CONBUS_ERROR_INVALID_ARGS, "signal 65 does not exist");
        expect_not_killed(session, -1, CONBUS_ERROR_INVALID_ARGS, "signal -1 does not exist");
        expect_not_killed(later, SIGTERM, CONBUS_ERROR_INVALID_STATE, "it is created; possible when it is running");
        expect_not_stopped(fixture, later, "it is created; possible when it is running");
        g_assert_true(session_kill(session, 64, &error)); /* a real-time signal ends it as well */
        executed_run_until(fixture, session, SESSION_STOPPED);
        executed_expect(fixture, session, SESSION_STOPPED, 192, 64);
        expect_not_killed(session, SIGTERM, CONBUS_ERROR_INVALID_STATE, "it is stopped; possible when it is running");
        executed_expect(fixture, later, SESSION_CREATED, 0, 0);
}

static void test_a_stop_begins_with_term(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add_started(fixture, "web", NULL);
        Session *session = execute(fixture, container, SLEEPS);
        g_autoptr(GError) error = NULL;

        g_assert_true(session_stop(fixture->engine, session, UINT64_MAX, &error));
        executed_run_until(fixture, session, SESSION_STOPPED);
        executed_expect(fixture, session, SESSION_STOPPED, 143, SIGTERM);
        g_assert_true(session_stop(fixture->engine, session, 0, &error)); /* there is nothing left to be done */
        executed_expect(fixture, session, SESSION_STOPPED, 143, SIGTERM);
}

static void test_a_stop_without_grace(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add_started(fixture, "web", NULL);
        Session *session = execute(fixture, container, SLEEPS); /* which the first signal ends */
        g_autoptr(GError) error = NULL;

        g_assert_true(session_stop(fixture->engine, session, 0, &error));
        executed_run_until(fixture, session, SESSION_STOPPED);
        executed_expect(fixture, session, SESSION_STOPPED, 137, SIGKILL);
}

static void test_the_shortest_grace_counts(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add_started(fixture, "web", NULL);
        g_autoptr(GError) error = NULL;
        int fd;
        Session *session = execute_stubborn(fixture, container, &fd);

        g_assert_true(session_stop(fixture->engine, session, UINT64_MAX, &error));
        executed_expect_text(fd, "heard\n");
        g_assert_true(session_stop(fixture->engine, session, 1000 * G_USEC_PER_SEC, &error));
        executed_expect_text(fd, "heard\n");
        testing_run_idle(fixture->event);
        executed_expect(fixture, session, SESSION_RUNNING, 0, 0);
        g_assert_true(session_stop(fixture->engine, session, 1, &error));
        g_assert_true(session_stop(fixture->engine, session, 1000 * G_USEC_PER_SEC, &error));
        executed_run_until(fixture, session, SESSION_STOPPED);
        executed_expect(fixture, session, SESSION_STOPPED, 137, SIGKILL);
        close(fd);
}

/* --- removal --- */

static void expect_not_removed(Fixture *fixture, Session *session, ConbusError code, const char *part) {
        g_autoptr(GError) error = NULL;

        g_assert_false(session_remove(fixture->engine, session, &error));
        testing_expect_error(&error, code, part);
}

static void test_removal(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add_started(fixture, "web", NULL);
        g_autoptr(Session) session = session_ref(execute(fixture, container, SLEEPS)), later = session_ref(execute(fixture, container, SLEEPS_LATER));
        g_autoptr(GError) error = NULL;

        expect_not_removed(fixture, session, CONBUS_ERROR_INVALID_STATE, "it is running; possible when it is created or stopped, or with force");
        executed_expect(fixture, session, SESSION_RUNNING, 0, 0);
        g_assert_true(session_remove(fixture->engine, later, &error));
        g_assert_true(later->removed);
        g_assert_null(container_find_session(container, later->number));
        expect_not_removed(fixture, later, CONBUS_ERROR_REMOVED, "it has been removed");
        end(fixture, session);
        g_assert_true(executed_has_directory(fixture, session));
        g_assert_true(session_remove(fixture->engine, session, &error));
        g_assert_false(executed_has_directory(fixture, session));
        g_assert_cmpuint(fixture->engine->n_sessions_leaving, ==, 0);
        executed_expect_none(fixture, container);
}

static void test_one_that_is_being_started_is_not_removed(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add_started(fixture, "web", NULL);
        g_auto(Answer) answer = {0};
        Gate *gate = fakes_gate(fixture, "crun exec");

        (void) execute_submit(fixture, container, SLEEPS, NULL, &answer);
        gate_reach(gate);
        expect_not_removed(fixture, executed_get(container), CONBUS_ERROR_INVALID_STATE, "it is being started; possible once its start has been answered");
        gate_open(gate);
        testing_run_until_count(fixture->event, &answer.n, 1);
        g_assert_no_error(answer.error);
}

static void test_a_removal_that_cannot_be_stored(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add_started(fixture, "web", NULL);
        Session *session = execute(fixture, container, SLEEPS);

        end(fixture, session);
        fixture_refuse(fixture, "DELETE ON session");
        expect_not_removed(fixture, session, CONBUS_ERROR_STORAGE_FULL, "");
        fixture_allow(fixture);
        executed_expect(fixture, session, SESSION_STOPPED, 137, SIGKILL);
        g_assert_true(executed_has_directory(fixture, session));
        g_assert_cmpuint(fixture->engine->n_sessions_leaving, ==, 1); /* and will go by itself */
}

/* --- its last minute --- */

static void test_it_goes_by_itself(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add_started(fixture, "web", NULL);
        Session *session = execute(fixture, container, SLEEPS);
        g_autofree char *directory = paths_session(&fixture->paths, session->number);

        fixture->engine->settings.process_keep_usec = 1000;
        g_assert_cmpuint(fixture->engine->n_sessions_leaving, ==, 0);
        end(fixture, session);
        g_assert_cmpuint(fixture->engine->n_sessions_leaving, ==, 1);
        testing_run_until(fixture->event, has_none, container);
        g_assert_cmpuint(fixture->engine->n_sessions_leaving, ==, 0);
        g_assert_false(g_file_test(directory, G_FILE_TEST_EXISTS));
        executed_expect_none(fixture, container);
}

static void test_who_stays(Fixture *fixture, gconstpointer unused) {
        static const struct {
                const char *options;
                guint64 keep_usec;
                bool goes;
        } table[] = {
                {"{'command': <['sleep', '1000']>}", UINT64_MAX, false},
                {"{'command': <['sleep', '1000']>, 'start': <false>}", 0, false},
                {"{'command': <['sleep', '1000']>, 'auto-remove': <false>}", 0, false},
                {"{'command': <['sleep', '1000']>, 'start': <false>, 'auto-remove': <true>}", 0, true},
        };
        Container *container = fakes_add_started(fixture, "web", NULL);

        for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
                Session *session = execute(fixture, container, table[i].options);
                g_autoptr(GError) error = NULL;
                g_auto(Answer) answer = {0};

                g_test_message("%s", table[i].options);
                fixture->engine->settings.process_keep_usec = table[i].keep_usec;
                if (session->life.state == SESSION_CREATED) {
                        execute_begin(fixture, session, &answer);
                        testing_run_until_count(fixture->event, &answer.n, 1);
                        g_assert_no_error(answer.error);
                }
                end(fixture, session);
                g_assert_cmpuint(fixture->engine->n_sessions_leaving, ==, table[i].goes);
                testing_run_idle(fixture->event);
                if (table[i].goes)
                        testing_run_until(fixture->event, has_none, container);
                else
                        g_assert_true(session_remove(fixture->engine, session, &error));
        }
}

static void test_a_going_that_cannot_be_stored_is_tried_again(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add_started(fixture, "web", NULL);
        Session *session = execute(fixture, container, SLEEPS);

        fixture->engine->settings.process_keep_usec = 0;
        fixture_refuse(fixture, "DELETE ON session");
        end(fixture, session);
        testing_let_time_pass(fixture->event, fixture->reaper);
        executed_expect(fixture, session, SESSION_STOPPED, 137, SIGKILL);
        g_assert_cmpuint(fixture->engine->n_sessions_leaving, ==, 1);
        fixture_allow(fixture);
        testing_run_until(fixture->event, has_none, container);
        executed_expect_none(fixture, container);
}

/* --- with the container --- */

static void test_it_ends_with_the_container(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add_heeding(fixture, "web");
        Session *session = execute(fixture, container, SLEEPS), *later = execute(fixture, container, SLEEPS_LATER);
        g_auto(Answer) answer = {0};
        Waited waited = {0};

        (void) wait_for(fixture, session, UINT64_MAX, &waited);
        fixture_do(fixture, container, VERB_STOP, NULL, &answer);
        g_assert_no_error(answer.error);
        fixture_expect(fixture, container, STATE_EXITED);
        executed_expect(fixture, session, SESSION_STOPPED, 137, SIGKILL);
        executed_expect(fixture, later, SESSION_CREATED, 0, 0);
        g_assert_cmpuint(waited.n, ==, 1);
        g_assert_no_error(waited.error);
        fakes_expect_nothing_runs(fixture, container);
        execute_begin(fixture, later, &answer);
        testing_run_until_count(fixture->event, &answer.n, 1);
        testing_expect_error(&answer.error, CONBUS_ERROR_NOT_RUNNING, "it is exited");
}

/* The container is not `exited` as long as the end of one of its processes is not recorded. */
static void test_the_teardown_waits_for_the_ends(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add_started(fixture, "web", NULL);
        Session *first = execute(fixture, container, SLEEPS), *second = execute(fixture, container, SLEEPS);

        fixture_refuse(fixture, "INSERT ON event WHEN new.action = 'exec-died'");
        kill_now(container);
        fixture_run_until_state(fixture, container, STATE_STOPPED);
        testing_let_time_pass(fixture->event, fixture->reaper);
        fixture_expect(fixture, container, STATE_STOPPED);
        fixture_allow(fixture);
        fixture_run_until_state(fixture, container, STATE_EXITED);
        executed_expect(fixture, first, SESSION_STOPPED, 137, SIGKILL);
        executed_expect(fixture, second, SESSION_STOPPED, 137, SIGKILL);
        fakes_expect_nothing_runs(fixture, container);
}

static void test_it_goes_with_the_container(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add_started(fixture, "web", NULL);
        g_autoptr(Session) running = session_ref(execute(fixture, container, SLEEPS)), later = session_ref(execute(fixture, container, SLEEPS_LATER)), ended = session_ref(execute(fixture, container, SLEEPS));
        g_autoptr(Container) kept = container_ref(container);
        g_auto(Answer) answer = {0};
        Waited waited = {0};

        end(fixture, ended);
        (void) wait_for(fixture, later, UINT64_MAX, &waited);
        fixture_do(fixture, container, VERB_REMOVE, "{'force': <true>, 'timeout-usec': <uint64 0>}", &answer);
        g_assert_no_error(answer.error);
        g_assert_true(kept->removed && running->removed && later->removed && ended->removed);
        g_assert_cmpint(running->life.state, ==, SESSION_STOPPED);
        g_assert_cmpuint(waited.n, ==, 1);
        testing_expect_error(&waited.error, CONBUS_ERROR_REMOVED, "was never started");
        g_assert_cmpuint(fixture->engine->n_sessions_leaving, ==, 0);
        executed_expect_none(fixture, kept);
}

/* --- with a client --- */

static Session *execute_as(Fixture *fixture, Container *container, const char *bus_name, const char *request) {
        Session *session = execute(fixture, container, request);

        g_free(session->client);
        session->client = g_strdup(bus_name);
        return session;
}

static void test_a_client_that_leaves(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add_started(fixture, "web", "{'stop-timeout-usec': <uint64 0xffffffffffffffff>}");
        Session *detached = execute_as(fixture, container, ":1.1", SLEEPS), *others = execute_as(fixture, container, ":1.2", "{'command': <['sleep', '1000']>, 'lifetime': <'client'>}");
        Session *bound = execute_as(fixture, container, ":1.1", "{'command': <['sleep', '1000']>, 'lifetime': <'client'>}"), *kept = execute_as(fixture, container, ":1.1", SLEEPS_LATER);
        g_autoptr(Session) waiting = session_ref(execute_as(fixture, container, ":1.1", "{'command': <['sleep', '1000']>, 'start': <false>, 'auto-remove': <true>}"));
        g_autoptr(Session) bound_waiting = session_ref(execute_as(fixture, container, ":1.1", "{'command': <['sleep', '1000']>, 'start': <false>, 'lifetime': <'client'>}"));

        sessions_client_left(fixture->engine, ":1.3");
        g_assert_cmpuint(container->sessions->len, ==, 6);
        sessions_client_left(fixture->engine, ":1.1");
        g_assert_true(waiting->removed && bound_waiting->removed);
        executed_run_until(fixture, bound, SESSION_STOPPED);
        executed_expect(fixture, bound, SESSION_STOPPED, 143, SIGTERM);
        executed_expect(fixture, detached, SESSION_RUNNING, 0, 0);
        executed_expect(fixture, others, SESSION_RUNNING, 0, 0);
        executed_expect(fixture, kept, SESSION_CREATED, 0, 0);
        g_assert_cmpuint(container->sessions->len, ==, 4);
}

static void test_clients_are_listed_once(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add_started(fixture, "web", NULL), *other = fakes_add_started(fixture, "other", NULL);
        Session *ended = execute_as(fixture, container, ":1.3", SLEEPS);

        (void) execute_as(fixture, container, "", SLEEPS);
        (void) execute_as(fixture, container, ":1.1", SLEEPS);
        (void) execute_as(fixture, container, ":1.1", SLEEPS_LATER);
        (void) execute_as(fixture, other, ":1.1", SLEEPS);
        (void) execute_as(fixture, other, ":1.2", SLEEPS_LATER);
        end(fixture, ended);
        g_autoptr(GPtrArray) names = sessions_list_clients(fixture->engine);
        g_assert_cmpuint(names->len, ==, 2);
        g_assert_cmpstr(names->pdata[0], ==, ":1.1");
        g_assert_cmpstr(names->pdata[1], ==, ":1.2");
}

/* --- after a restart --- */

static void test_what_a_restart_keeps(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add_started(fixture, "web", NULL);
        Session *later = execute(fixture, container, SLEEPS_LATER), *ended = execute(fixture, container, SLEEPS);

        end(fixture, ended);
        container = executed_crash(fixture, NULL);
        later = container->sessions->pdata[0];
        ended = executed_get(container);
        g_assert_cmpuint(container->sessions->len, ==, 2);
        executed_expect(fixture, later, SESSION_CREATED, 0, 0);
        g_assert_null(later->watch);
        executed_expect(fixture, ended, SESSION_STOPPED, 137, SIGKILL);
        g_assert_cmpuint(fixture->engine->n_sessions_leaving, ==, 1);
        fixture_expect_events(fixture, "init start exec exec-died ");
        g_auto(Answer) answer = {0};
        execute_begin(fixture, later, &answer);
        testing_run_until_count(fixture->event, &answer.n, 1);
        g_assert_no_error(answer.error);
        executed_expect(fixture, later, SESSION_RUNNING, 0, 0);
}

/* Its minute goes on while no service is there; one of which the clock has been put back has a whole one. */
static void test_the_last_minute_goes_on(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add_started(fixture, "web", NULL);

        end(fixture, execute(fixture, container, SLEEPS));
        container = executed_crash(fixture, "UPDATE session SET finish_usec = finish_usec + 3600000000");
        testing_let_time_pass(fixture->event, fixture->reaper);
        g_assert_cmpuint(container->sessions->len, ==, 1);
        container = executed_crash(fixture, "UPDATE session SET finish_usec = 1");
        testing_run_until(fixture->event, has_none, container);
        executed_expect_none(fixture, container);
}

static void test_a_boot_leaves_none(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add_started(fixture, "web", NULL);

        (void) execute(fixture, container, SLEEPS_LATER);
        (void) execute(fixture, container, SLEEPS);
        kill_now(container);
        fixture_run_until_state(fixture, container, STATE_EXITED);
        g_assert_cmpuint(container->sessions->len, ==, 2);
        container = executed_crash(fixture, OTHER_BOOT);
        executed_expect_none(fixture, container);
        g_assert_cmpuint(fixture->engine->n_sessions_leaving, ==, 0);
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        EXECUTED_ADD(descriptors_are_closed_once);
        EXECUTED_ADD(whoever_waits_hears_of_the_end);
        EXECUTED_ADD(a_wait_has_its_time);
        EXECUTED_ADD(a_wait_for_what_never_starts);
        EXECUTED_ADD(a_wait_that_outlives_the_service);
        EXECUTED_ADD(signals);
        EXECUTED_ADD(a_stop_begins_with_term);
        EXECUTED_ADD(a_stop_without_grace);
        EXECUTED_ADD(the_shortest_grace_counts);
        EXECUTED_ADD(removal);
        EXECUTED_ADD(one_that_is_being_started_is_not_removed);
        EXECUTED_ADD(a_removal_that_cannot_be_stored);
        EXECUTED_ADD(it_goes_by_itself);
        EXECUTED_ADD(who_stays);
        EXECUTED_ADD(a_going_that_cannot_be_stored_is_tried_again);
        EXECUTED_ADD(it_ends_with_the_container);
        EXECUTED_ADD(the_teardown_waits_for_the_ends);
        EXECUTED_ADD(it_goes_with_the_container);
        EXECUTED_ADD(a_client_that_leaves);
        EXECUTED_ADD(clients_are_listed_once);
        EXECUTED_ADD(what_a_restart_keeps);
        EXECUTED_ADD(the_last_minute_goes_on);
        EXECUTED_ADD(a_boot_leaves_none);
        return g_test_run();
}
