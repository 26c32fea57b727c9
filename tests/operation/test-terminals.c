/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Sizes of terminals: whose they are, when they can be set, and what conmon gets of them when it is slow, or not there yet. */

#define FAKES_UNIT "terminals"
#include "attached-session.h"
#include "operation/attachments-internal.h"
#include <signal.h>
#include <string.h>
#include <sys/wait.h>

#define SAY_SIZES "while read line; do stty size; done"
#define CONTAINER "{'terminal': <true>, 'stdin-open': <true>, 'command': <['sh', '-c', '" SAY_SIZES "']>}"
#define TERMINAL "{'terminal': <true>}"

static void refuse(Fixture *fixture, Container *container, unsigned rows, unsigned columns, ConbusError code, const char *part) {
        g_autoptr(GError) error = NULL;

        g_assert_false(attachments_resize(fixture->engine, container, rows, columns, &error));
        testing_expect_error(&error, code, part);
}

static void refuse_session(Fixture *fixture, Session *session, unsigned rows, unsigned columns, ConbusError code, const char *part) {
        g_autoptr(GError) error = NULL;

        g_assert_false(attachments_resize_session(fixture->engine, session, rows, columns, &error));
        testing_expect_error(&error, code, part);
}

static void resize_session(Fixture *fixture, Session *session, unsigned rows, unsigned columns) {
        g_autoptr(GError) error = NULL;

        g_assert_true(attachments_resize_session(fixture->engine, session, rows, columns, &error));
        g_assert_no_error(error);
}

static guint count_terminals(Fixture *fixture) {
        return g_hash_table_size(fixture->engine->attachments->terminals);
}

/* --- of containers --- */

static void test_states_that_refuse(Fixture *fixture, gconstpointer unused) {
        static const struct {
                State state;
                ConbusError code;
                const char *part;
        } table[] = {
                {STATE_CREATED, CONBUS_ERROR_NOT_RUNNING, "resize the terminal of container \"c0\": it is created"},
                {STATE_STOPPED, CONBUS_ERROR_NOT_RUNNING, "it is stopped"},
                {STATE_EXITED, CONBUS_ERROR_NOT_RUNNING, "it is exited"},
                {STATE_UNKNOWN, CONBUS_ERROR_INVALID_STATE, "it is unknown; possible when it is initialized, running, paused or stopping"},
                {STATE_REMOVING, CONBUS_ERROR_REMOVED, "it is being removed"},
        };

        for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
                g_autofree char *name = g_strdup_printf("c%zu", i), *plain_name = g_strdup_printf("p%zu", i);
                Container *container = fakes_add(fixture, name, CONTAINER), *plain = fakes_add(fixture, plain_name, NULL);

                if (table[i].state != STATE_CREATED) {
                        fixture_enter(container, table[i].state);
                        fixture_enter(plain, table[i].state);
                }
                refuse(fixture, container, 24, 80, table[i].code, table[i].part);
                if (table[i].state == STATE_REMOVING)
                        refuse(fixture, plain, 24, 80, CONBUS_ERROR_REMOVED, "it is being removed");
                else
                        refuse(fixture, plain, 24, 80, CONBUS_ERROR_NO_TERMINAL, "it was made without one");
        }
        g_assert_cmpuint(count_terminals(fixture), ==, 0);
}

static void test_states_that_allow(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add(fixture, "web", CONTAINER);
        g_auto(Client) client = {0};
        g_auto(Answer) answer = {0};

        fixture_do(fixture, container, VERB_INIT, NULL, &answer);
        g_assert_true(attachments_resize(fixture->engine, container, 11, 12, NULL)); /* the command finds it */
        fixture_do(fixture, container, VERB_START, NULL, &answer);
        g_assert_no_error(answer.error);
        client_attach(&client, fixture, container, NULL);
        client_await_size(&client, "11 12");
        fixture_do(fixture, container, VERB_PAUSE, NULL, &answer);
        g_assert_true(attachments_resize(fixture->engine, container, 13, 14, NULL));
        fixture_do(fixture, container, VERB_RESUME, NULL, &answer);
        client_await_size(&client, "13 14");
        g_assert_cmpuint(count_terminals(fixture), ==, 1);
}

static void test_each_run_has_its_own(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add_started(fixture, "web", CONTAINER);
        g_auto(Client) client = {0};
        g_auto(Answer) answer = {0};

        g_assert_true(attachments_resize(fixture->engine, container, 11, 12, NULL));
        g_assert_cmpuint(count_terminals(fixture), ==, 1);
        fixture_do(fixture, container, VERB_STOP, "{'timeout-usec': <uint64 0>}", &answer);
        g_assert_cmpuint(count_terminals(fixture), ==, 0);
        fixture_do(fixture, container, VERB_START, NULL, &answer);
        g_assert_no_error(answer.error);
        g_assert_true(attachments_resize(fixture->engine, container, 21, 22, NULL));
        client_attach(&client, fixture, container, NULL);
        client_await_size(&client, "21 22");
}

static void test_sizes_that_are_none(Fixture *fixture, gconstpointer unused) {
        static const unsigned table[][2] = {{0, 80}, {24, 0}, {1001, 80}, {24, 1001}, {UINT_MAX, UINT_MAX}};
        Container *container = fakes_add_started(fixture, "web", CONTAINER);
        Session *session = session_run(fixture, container, SAY_SIZES, TERMINAL);

        for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
                refuse(fixture, container, table[i][0], table[i][1], CONBUS_ERROR_INVALID_ARGS, "both go from 1 to 1000");
                refuse_session(fixture, session, table[i][0], table[i][1], CONBUS_ERROR_INVALID_ARGS, "both go from 1 to 1000");
        }
        resize_session(fixture, session, 1, 1000);
        resize_session(fixture, session, 1000, 1);
}

/* --- of exec sessions --- */

static void test_sessions_that_refuse(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add_started(fixture, "web", CONTAINER);
        Session *plain = session_run(fixture, container, "read line", NULL), *session = session_make(fixture, container, "exit 3", TERMINAL);

        refuse_session(fixture, plain, 24, 80, CONBUS_ERROR_NO_TERMINAL, "it was made without one"); /* though its container has one */
        refuse_session(fixture, session, 24, 80, CONBUS_ERROR_INVALID_STATE, "it is created; possible when it is running");
        session_start(fixture, session);
        session_await_end(fixture, session, 3);
        refuse_session(fixture, session, 24, 80, CONBUS_ERROR_INVALID_STATE, "resize the terminal of process 2 of container \"web\": it is stopped");
        g_assert_cmpuint(count_terminals(fixture), ==, 0);
}

static void test_each_session_has_its_own(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add_started(fixture, "web", CONTAINER);
        Session *a = session_run(fixture, container, SAY_SIZES, TERMINAL), *b = session_run(fixture, container, SAY_SIZES "; exit 0", TERMINAL);
        g_auto(Client) client = {0}, client_a = {0}, client_b = {0};
        g_autoptr(GError) error = NULL;

        client_attach(&client, fixture, container, NULL);
        client_attach_session(&client_a, fixture, a, NULL);
        client_attach_session(&client_b, fixture, b, NULL);
        g_assert_true(attachments_resize(fixture->engine, container, 11, 12, &error));
        resize_session(fixture, a, 21, 22);
        resize_session(fixture, b, 31, 32);
        client_await_size(&client, "11 12");
        client_await_size(&client_a, "21 22");
        client_await_size(&client_b, "31 32");
        g_assert_null(strstr(client.received->str, "21 22"));
        g_assert_cmpuint(count_terminals(fixture), ==, 3);
        client_say(&client_b, "\4");
        session_await_end(fixture, b, 0);
        g_assert_cmpuint(count_terminals(fixture), ==, 2);
        resize_session(fixture, a, 23, 24);
        client_await_size(&client_a, "23 24");
}

static void test_before_it_executes(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add_started(fixture, "web", NULL);
        Session *session = session_make(fixture, container, SAY_SIZES, TERMINAL);
        g_auto(Client) client = {0};
        g_auto(Answer) answer = {0};

        Gate *gate = fakes_gate(fixture, "conmon create");
        execute_begin(fixture, session, &answer);
        gate_reach(gate);
        g_assert_true(session->life.launching);
        resize_session(fixture, session, 41, 42);
        gate_open(gate);
        testing_run_until_count(fixture->event, &answer.n, 1);
        g_assert_no_error(answer.error);
        client_attach_session(&client, fixture, session, NULL);
        client_await_size(&client, "41 42");
}

static void test_conmon_is_not_there_yet(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add_started(fixture, "web", NULL);
        Session *session = session_make(fixture, container, SAY_SIZES, TERMINAL);
        g_auto(Client) client = {0};
        g_auto(Answer) answer = {0};

        Gate *gate = fakes_gate(fixture, "conmon begin");
        execute_begin(fixture, session, &answer);
        gate_reach(gate);
        refuse_session(fixture, session, 41, 42, CONBUS_ERROR_NOT_RUNNING, "set the size of the terminal: conmon has gone");
        gate_open(gate);
        testing_run_until_count(fixture->event, &answer.n, 1);
        resize_session(fixture, session, 43, 44); /* and nothing of it stays */
        client_attach_session(&client, fixture, session, NULL);
        client_await_size(&client, "43 44");
        g_assert_null(strstr(client.received->str, "41 42"));
}

/* It is a child of the test, as of the service. */
static void hold(pid_t pid) {
        siginfo_t info;

        g_assert_cmpint(kill(pid, SIGSTOP), ==, 0);
        g_assert_cmpint(waitid(P_PID, (id_t) pid, &info, WSTOPPED | WNOWAIT), ==, 0);
}

/* The last size counts: one that conmon has not taken, and what was asked for meanwhile. */
static void test_a_conmon_that_is_slow(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add_started(fixture, "web", NULL);
        Session *session = session_run(fixture, container, SAY_SIZES, TERMINAL);
        g_auto(Client) client = {0};

        client_attach_session(&client, fixture, session, NULL);
        resize_session(fixture, session, 11, 12);
        client_await_size(&client, "11 12"); /* whatever it was told before has been taken */
        hold(session->monitor.pid);
        resize_session(fixture, session, 21, 22);
        resize_session(fixture, session, 31, 32);
        resize_session(fixture, session, 51, 52);
        g_assert_cmpint(kill(session->monitor.pid, SIGCONT), ==, 0);
        client_await_size(&client, "51 52");
        g_assert_null(strstr(client.received->str, "31 32"));
        g_assert_cmpuint(count_terminals(fixture), ==, 1);
}

/* What is still to be told to a conmon goes with the session. */
static void test_the_end_while_a_size_waits(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add_started(fixture, "web", NULL);
        Session *session = session_run(fixture, container, SAY_SIZES, TERMINAL);
        g_autoptr(GError) error = NULL;
        pid_t monitor = session->monitor.pid;

        hold(monitor);
        resize_session(fixture, session, 21, 22);
        resize_session(fixture, session, 31, 32);
        g_assert_true(session_kill(session, SIGKILL, &error));
        g_assert_cmpint(kill(monitor, SIGCONT), ==, 0);
        session_await_end(fixture, session, 137);
        g_assert_cmpuint(count_terminals(fixture), ==, 0);
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        SESSION_ADD(states_that_refuse);
        SESSION_ADD(states_that_allow);
        SESSION_ADD(each_run_has_its_own);
        SESSION_ADD(sizes_that_are_none);
        SESSION_ADD(sessions_that_refuse);
        SESSION_ADD(each_session_has_its_own);
        SESSION_ADD(before_it_executes);
        SESSION_ADD(conmon_is_not_there_yet);
        SESSION_ADD(a_conmon_that_is_slow);
        SESSION_ADD(the_end_while_a_size_waits);
        return g_test_run();
}
