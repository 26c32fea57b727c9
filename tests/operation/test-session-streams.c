/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Clients of exec sessions: those that attach before the start and miss nothing, those that come later, and what becomes of them when the session, its launch, conmon, the streamer or the service ends. */

#define FAKES_UNIT "session-streams"
#include "attached-session.h"
#include "operation/attachments-internal.h"
#include "base/auto.h"
#include "runtime/cgroup.h"
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

/* Echoes each line with "got " in front, and leaves at "end N", or with 9 at the end of its input. */
#define ECHO "echo first; while read a b; do [ \"$a\" = end ] && exit $b; echo got $a; done; exit 9"

static RunStreams *find_streams(Fixture *fixture, const Session *session) {
        for (GList *link = fixture->engine->attachments->runs.head; link; link = link->next)
                if (((RunStreams *) link->data)->session == session)
                        return link->data;
        return NULL;
}

/* --- before the start --- */

static void test_the_first_byte(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add_started(fixture, "web", NULL);
        Session *session = session_make(fixture, container, ECHO, NULL);
        g_auto(Client) a = {0}, b = {0};

        g_assert_false(attachments_session_has(fixture->engine, session));
        client_attach_session(&a, fixture, session, NULL);
        client_attach_session(&b, fixture, session, "{'streams': <['stdout']>}");
        g_assert_true(attachments_session_has(fixture->engine, session));
        g_assert_null(find_streams(fixture, session)->streamer); /* there is nothing to serve yet */
        client_say(&a, "early\n"); /* gathers in the socket */
        session_start(fixture, session);
        client_await(&a, "first\ngot early\n");
        client_await(&b, "first\ngot early\n");
        client_say(&a, "end 3\n");
        client_await_end(&a, "exited 1 3");
        client_await_end(&b, "exited 1 3");
        session_await_end(fixture, session, 3);
}

/* Streamers begin when a line is written into *ret_fd. The caller keeps what is returned, their program. */
static char *make_streamers_slow(Fixture *fixture, int *ret_fd) {
        g_autofree char *script = g_strdup_printf("read line <%s/go; exec %s \"$@\"", fixture->directory, fixture->paths.stream), *go = g_build_filename(fixture->directory, "go", NULL);

        g_assert_cmpint(mkfifo(go, 0600), ==, 0);
        *ret_fd = open(go, O_RDWR | O_CLOEXEC);
        return fixture->paths.stream = testing_program(fixture->directory, "slow-stream", script);
}

static void test_nothing_executes_before_they_are_connected(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add_started(fixture, "web", NULL);
        Session *session = session_make(fixture, container, ECHO, NULL);
        autofd int fd = -1;
        g_autofree char *slow = make_streamers_slow(fixture, &fd);
        g_auto(Client) client = {0};
        g_auto(Answer) answer = {0};

        client_attach_session(&client, fixture, session, NULL);
        execute_begin(fixture, session, &answer);
        testing_let_time_pass(fixture->event, fixture->reaper);
        g_assert_cmpuint(answer.n, ==, 0);
        g_assert_true(session->life.launching);
        g_assert_cmpint(write(fd, "\n", 1), ==, 1);
        testing_run_until_count(fixture->event, &answer.n, 1);
        g_assert_no_error(answer.error);
        client_await(&client, "first\n");
}

static void count_call(void *userdata) {
        (*(unsigned *) userdata)++;
}

static void test_whoever_leaves_while_they_are_connected(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add_started(fixture, "web", NULL);
        Session *session = session_make(fixture, container, ECHO, NULL);
        autofd int fd = -1;
        g_autofree char *slow = make_streamers_slow(fixture, &fd);
        g_auto(Client) leaves = {0}, stays = {0};
        g_auto(Answer) answer = {0};

        client_attach_session(&leaves, fixture, session, NULL);
        client_attach_session(&stays, fixture, session, NULL);
        execute_begin(fixture, session, &answer);
        while (!leaves.attachment->adding)
                g_assert_cmpint(sd_event_run(fixture->event, TESTING_DEADLINE_USEC), >, 0);
        g_assert_cmpuint(find_streams(fixture, session)->n_adding, ==, 2);
        attachment_cancel(leaves.attachment);
        attachment_free(g_steal_pointer(&leaves.attachment));
        g_assert_cmpuint(find_streams(fixture, session)->n_adding, ==, 1);
        g_assert_cmpint(write(fd, "\n", 1), ==, 1);
        testing_run_until_count(fixture->event, &answer.n, 1); /* it waits for nobody who has left */
        g_assert_no_error(answer.error);
        client_await(&stays, "first\n");
        client_say(&stays, "end 3\n");
        client_await_end(&stays, "exited 1 3");
}

/* The streamer is connected to conmon, and has each of them. */
static void test_when_all_are_connected(Fixture *fixture, gconstpointer unused) {
        unsigned n = 0;
        RunStreams streams = {.settled = count_call, .settled_userdata = &n};

        session_streams_settle(&streams);
        streams.n_adding = 1;
        streams.ready = true;
        session_streams_settle(&streams);
        g_assert_cmpuint(n, ==, 0);
        streams.n_adding = 0;
        session_streams_settle(&streams);
        session_streams_settle(&streams);
        g_assert_cmpuint(n, ==, 1);
}

static void test_input_is_open_for_those_who_want_it(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add_started(fixture, "web", NULL);
        Session *reading = session_make(fixture, container, ECHO, NULL), *alone = session_make(fixture, container, ECHO, NULL), *writing = session_make(fixture, container, ECHO, NULL);
        g_auto(Client) reader = {0}, writer = {0};

        client_attach_session(&reader, fixture, reading, "{'streams': <['stdout', 'stderr']>}");
        g_assert_false(attachments_session_wants_input(fixture->engine, reading));
        g_assert_false(attachments_session_wants_input(fixture->engine, alone));
        client_attach_session(&writer, fixture, writing, "{'streams': <['stdin']>}");
        g_assert_true(attachments_session_wants_input(fixture->engine, writing));
        session_start(fixture, reading);
        client_await_end(&reader, "exited 1 9"); /* nobody can write */
        client_await(&reader, "first\n"); /* the end is told beside the stream */
        g_assert_cmpstr(reader.received->str, ==, "first\n");
        session_start(fixture, alone);
        session_await_end(fixture, alone, 9);
        session_start(fixture, writing);
        client_say(&writer, "end 2\n");
        client_await_end(&writer, "exited 1 2");
        g_assert_cmpuint(writer.received->len, ==, 0);
}

/* As WriteInput is: it has sent what it had, and left. */
static void begin_writer(Client *client, Fixture *fixture, Session *session) {
        client_begin_session(client, fixture, session, "{'streams': <['stdin']>}");
        client->attachment->plan.is_writer = true;
}

static void write_and_leave(Client *client, Fixture *fixture, Session *session, const char *text) {
        begin_writer(client, fixture, session);
        client_say(client, text);
        client_connect(client);
        client_close(client);
}

static void expect_no_input(Fixture *fixture, Session *session) {
        g_auto(Client) client = {0};

        begin_writer(&client, fixture, session);
        client_connect(&client);
        testing_run_until_count(fixture->event, &client.n_connected, 1);
        testing_expect_error(&client.error, CONBUS_ERROR_NOT_ATTACHABLE, "it was made without stdin-open, and nobody who writes was there when it was started");
}

static void test_input_that_is_kept_open(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add_started(fixture, "web", NULL);
        Session *open = session_run(fixture, container, ECHO, "{'stdin-open': <true>}");
        g_auto(Client) first = {0}, second = {0};

        write_and_leave(&first, fixture, open, "line\n");
        client_await_end(&first, "client-closed 1 -1");
        g_assert_cmpint(open->life.state, ==, SESSION_RUNNING);
        write_and_leave(&second, fixture, open, "end 4\n");
        session_await_end(fixture, open, 4);
}

static void test_input_that_is_not_there(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add_started(fixture, "web", NULL);
        Session *plain = session_run(fixture, container, "while :; do sleep 1000; done", NULL), *launching = session_make(fixture, container, "while :; do sleep 1000; done", NULL);
        Session *terminal = session_run(fixture, container, "read a; exit 7", "{'terminal': <true>}");
        g_auto(Client) writer = {0};
        g_auto(Answer) answer = {0};

        expect_no_input(fixture, plain);
        Gate *gate = fakes_gate(fixture, "crun exec");
        execute_begin(fixture, launching, &answer);
        gate_reach(gate);
        expect_no_input(fixture, launching); /* its conmon has been begun without one */
        gate_open(gate);
        testing_run_until_count(fixture->event, &answer.n, 1);
        g_assert_no_error(answer.error);
        expect_no_input(fixture, launching);
        write_and_leave(&writer, fixture, terminal, "line\n"); /* which always has one */
        session_await_end(fixture, terminal, 7);
}

static void test_a_size_before_the_start(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add_started(fixture, "web", NULL);
        Session *session = session_make(fixture, container, "while read line; do stty size; done", "{'terminal': <true>}"), *other = session_make(fixture, container, "true", "{'terminal': <true>}");
        guint16 rows = 1, columns = 2;
        g_auto(Client) client = {0}, plain = {0};

        attachments_session_size(fixture->engine, session, &rows, &columns);
        client_attach_session(&plain, fixture, session, NULL);
        attachments_session_size(fixture->engine, session, &rows, &columns);
        g_assert_cmpuint(rows, ==, 1); /* nobody has asked for one */
        g_assert_cmpuint(columns, ==, 2);
        client_attach_session(&client, fixture, session, "{'size': <(uint16 33, uint16 44)>}");
        attachments_session_size(fixture->engine, other, &rows, &columns);
        g_assert_cmpuint(rows, ==, 1);
        attachments_session_size(fixture->engine, session, &rows, &columns);
        g_assert_cmpuint(rows, ==, 33);
        g_assert_cmpuint(columns, ==, 44);
        session_start(fixture, session);
        client_await_size(&client, "33 44");
}

static void test_whoever_leaves_before_the_start(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add_started(fixture, "web", NULL);
        Session *session = session_make(fixture, container, ECHO, NULL);
        g_auto(Client) cancelled = {0}, forgotten = {0}, closed = {0}, stays = {0};

        client_attach_session(&cancelled, fixture, session, NULL);
        client_attach_session(&forgotten, fixture, session, NULL);
        client_attach_session(&closed, fixture, session, NULL);
        attachment_cancel(cancelled.attachment);
        g_assert_cmpuint(cancelled.n_ended, ==, 0); /* in a turn of its own */
        testing_run_until_count(fixture->event, &cancelled.n_ended, 1);
        testing_expect_error(&cancelled.error, CONBUS_ERROR_CANCELLED, "cancelled before the client was connected");
        attachment_free(g_steal_pointer(&forgotten.attachment));
        client_close(&closed); /* which is seen when it is connected */
        client_attach_session(&stays, fixture, session, NULL);
        session_start(fixture, session);
        client_await(&stays, "first\n");
        client_await_end(&closed, "client-closed 1 -1");
        client_say(&stays, "hello\n");
        client_await(&stays, "got hello\n"); /* nobody's leaving ends the input */
        g_assert_cmpuint(forgotten.n_ended, ==, 0);
}

static void test_all_have_left_before_the_start(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add_started(fixture, "web", NULL);
        Session *session = session_make(fixture, container, ECHO, NULL);
        g_auto(Client) client = {0};

        client_attach_session(&client, fixture, session, NULL);
        attachment_cancel(client.attachment);
        testing_run_until_count(fixture->event, &client.n_ended, 1);
        testing_expect_error(&client.error, CONBUS_ERROR_CANCELLED, "");
        g_assert_false(attachments_session_has(fixture->engine, session));
        session_start(fixture, session);
        session_await_end(fixture, session, 9); /* nobody could write */
        g_assert_null(find_streams(fixture, session));
}

static void test_it_is_never_started(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add_started(fixture, "web", NULL);
        g_autoptr(Session) session = session_ref(session_make(fixture, container, ECHO, NULL));
        g_autoptr(GError) error = NULL;
        g_auto(Client) client = {0};

        client_attach_session(&client, fixture, session, NULL);
        g_assert_true(session_remove(fixture->engine, session, &error));
        client_await_end(&client, "exited 1 -1");
        testing_run_idle(fixture->event);
        g_assert_true(client.hung_up);
        g_assert_null(find_streams(fixture, session));
        client_refuse_session(fixture, session, NULL, CONBUS_ERROR_REMOVED, "attach to process 1 of container \"web\": it has been removed");
}

static bool are_connected(void *userdata) {
        const RunStreams *streams = userdata;

        return streams->ready && streams->n_adding == 0;
}

static void test_whoever_comes_during_the_launch(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add_started(fixture, "web", NULL);
        Session *session = session_make(fixture, container, "while :; do sleep 1000; done", NULL);
        g_auto(Client) client = {0};
        g_auto(Answer) answer = {0};

        Gate *gate = fakes_gate(fixture, "crun exec");
        execute_begin(fixture, session, &answer); /* conmon waits for nobody */
        gate_reach(gate);
        client_begin_session(&client, fixture, session, NULL);
        client_connect(&client);
        gate_open(gate);
        testing_run_until_count(fixture->event, &answer.n, 1);
        g_assert_no_error(answer.error);
        testing_run_until_count(fixture->event, &client.n_connected, 1); /* when it is */
        g_assert_nonnull(find_streams(fixture, session)->streamer);
        testing_run_until(fixture->event, are_connected, find_streams(fixture, session));
        g_assert_true(session_kill(session, SIGKILL, NULL));
        client_await_end(&client, "exited 1 137");
}

/* --- the launch fails --- */

static void fail_to_start(Fixture *fixture, Session *session, ConbusError code, const char *part) {
        g_auto(Answer) answer = {0};

        execute_begin(fixture, session, &answer);
        testing_run_until_count(fixture->event, &answer.n, 1);
        testing_expect_error(&answer.error, code, part);
        g_assert_cmpint(session->life.state, ==, SESSION_STOPPED);
}

static void test_launches_that_fail(Fixture *fixture, gconstpointer unused) {
        static const struct {
                const char *fault;
                ConbusError code;
                const char *end;
                int exit_code;
        } table[] = {
                {"conmon begin 1 die 9", CONBUS_ERROR_MONITOR_FAILED, "exited 1 125", 125}, /* nobody was connected yet */
                {"conmon create 1 die 9", CONBUS_ERROR_MONITOR_FAILED, "exited 1 125", 125},
                {"crun exec 1 fail it broke", CONBUS_ERROR_RUNTIME_FAILED, "exited 1 125", 125},
                {"crun exec 1 fail executable file `x` not found in $PATH", CONBUS_ERROR_RUNTIME_COMMAND_NOT_FOUND, "exited 1 127", 127},
        };
        Container *container = fakes_add_started(fixture, "web", NULL);

        for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
                Session *session = session_make(fixture, container, ECHO, NULL);
                g_auto(Client) client = {0};
                client_attach_session(&client, fixture, session, NULL);
                fakes_order(table[i].fault);
                fail_to_start(fixture, session, table[i].code, "");
                client_await_end(&client, table[i].end);
                g_assert_cmpint(session->life.exit_code, ==, table[i].exit_code);
                g_assert_cmpuint(client.received->len, ==, 0);
        }
}

/* --- while it runs --- */

static void test_whoever_comes_later(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add_started(fixture, "web", NULL);
        Session *session = session_make(fixture, container, ECHO, NULL);
        g_auto(Client) early = {0}, late = {0}, packets = {0};

        client_attach_session(&early, fixture, session, NULL);
        session_start(fixture, session);
        client_await(&early, "first\n");
        client_attach_session(&late, fixture, session, NULL);
        client_attach_session(&packets, fixture, session, "{'framing': <'packets'>}");
        client_say(&late, "hello\n");
        client_await(&early, "got hello\n");
        client_await(&late, "got hello\n");
        g_assert_cmpstr(late.received->str, ==, "got hello\n"); /* there is no log */
        client_close(&early);
        client_await_end(&early, "client-closed 1 -1");
        attachment_cancel(late.attachment);
        client_await_end(&late, "detached 1 -1");
        g_assert_cmpint(send(packets.fd, "\0end 4\n", 7, MSG_NOSIGNAL), ==, 7); /* the input is open still */
        client_await_end(&packets, "exited 1 4");
        client_await(&packets, "\3{\"reason\":\"exited\",\"run\":1,\"exit-code\":4}");
        session_await_end(fixture, session, 4);
        client_refuse_session(fixture, session, NULL, CONBUS_ERROR_INVALID_STATE, "it is stopped; possible when it is created or running");
}

static void test_an_end_of_input(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add_started(fixture, "web", NULL);
        Session *session = session_make(fixture, container, ECHO, NULL);
        g_auto(Client) client = {0}, other = {0};

        client_attach_session(&client, fixture, session, NULL);
        client_attach_session(&other, fixture, session, NULL);
        session_start(fixture, session);
        client_say(&client, "last\n");
        g_assert_cmpint(shutdown(client.fd, SHUT_WR), ==, 0);
        client_await(&client, "got last\n");
        client_await_end(&client, "exited 1 9"); /* the process's, though another one could write */
        client_await_end(&other, "exited 1 9");
}

static void test_sessions_do_not_meet(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add_started(fixture, "web", NULL);
        Session *a = session_make(fixture, container, ECHO, NULL), *b = session_make(fixture, container, ECHO, NULL);
        g_auto(Client) client_a = {0}, client_b = {0};

        client_attach_session(&client_a, fixture, a, NULL);
        client_attach_session(&client_b, fixture, b, NULL);
        session_start(fixture, a);
        session_start(fixture, b);
        client_say(&client_a, "a\n");
        client_say(&client_b, "b\n");
        client_await(&client_a, "first\ngot a\n");
        client_await(&client_b, "first\ngot b\n");
        client_say(&client_a, "end 1\n");
        client_await_end(&client_a, "exited 1 1");
        g_assert_cmpuint(client_b.n_ended, ==, 0);
        g_assert_null(strstr(client_b.received->str, "got a"));
        client_say(&client_b, "end 2\n");
        client_await_end(&client_b, "exited 1 2");
}

static void test_what_is_refused(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add_started(fixture, "web", NULL);
        Session *own = session_make(fixture, container, "true", "{'own-stdio': <true>, 'own-descriptors': <true>}"), *plain = session_make(fixture, container, "true", NULL);

        client_refuse_session(fixture, own, NULL, CONBUS_ERROR_NOT_ATTACHABLE, "attach to process 1 of container \"web\": it has the descriptors of its caller");
        client_refuse_session(fixture, plain, "{'from': <'run-start'>}", CONBUS_ERROR_NO_LOGS, "a process keeps no log");
        client_refuse_session(fixture, plain, "{'from': <'log-start'>, 'follow': <false>}", CONBUS_ERROR_NO_LOGS, "a process keeps no log");
        client_refuse_session(fixture, plain, "{'size': <(uint16 1, uint16 2)>}", CONBUS_ERROR_NO_TERMINAL, "it was made without a terminal");
        g_assert_null(find_streams(fixture, own));
        g_assert_null(find_streams(fixture, plain));
}

/* --- the streamer fails --- */

static void test_without_a_streamer(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add_started(fixture, "web", NULL);
        Session *session = session_make(fixture, container, "while :; do sleep 1000; done", NULL);
        char *stream = fixture->paths.stream;
        g_auto(Client) client = {0}, again = {0};

        fixture->paths.stream = (char *) "/no/stream";
        client_attach_session(&client, fixture, session, NULL);
        session_start(fixture, session); /* it was promised to execute */
        testing_run_until_count(fixture->event, &client.n_ended, 1);
        testing_expect_error(&client.error, CONBUS_ERROR_HELPER_MISSING, "/no/stream");
        client_refuse_session(fixture, session, NULL, CONBUS_ERROR_HELPER_MISSING, "/no/stream");
        g_assert_cmpint(session->life.state, ==, SESSION_RUNNING);
        fixture->paths.stream = stream;
        client_attach_session(&again, fixture, session, NULL);
        g_assert_true(session_kill(session, SIGKILL, NULL));
        client_await_end(&again, "exited 1 137");
}

static void test_a_streamer_that_dies_at_once(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add_started(fixture, "web", NULL);
        Session *session = session_make(fixture, container, "while :; do sleep 1000; done", NULL);
        g_autofree char *dying = testing_program(fixture->directory, "dying-stream", "exit 0");
        char *stream = fixture->paths.stream;
        g_auto(Client) client = {0}, again = {0};

        fixture->paths.stream = dying;
        client_attach_session(&client, fixture, session, NULL);
        session_start(fixture, session);
        testing_run_until_count(fixture->event, &client.n_ended, 1);
        testing_expect_error(&client.error, CONBUS_ERROR_INTERRUPTED, "the process that served its streams has ended");
        client_refuse_session(fixture, session, NULL, CONBUS_ERROR_INTERRUPTED, "the process that served its streams has ended");
        fixture->paths.stream = stream;
        client_attach_session(&again, fixture, session, NULL);
        g_assert_cmpint(session->life.state, ==, SESSION_RUNNING);
}

static pid_t find_streamer(Session *session) {
        g_autofree char *group = cgroup_path_for_monitor(session->container->id);
        g_autoptr(GPtrArray) members = cgroup_list(group);

        for (guint i = 0; i < members->len; i++) {
                pid_t pid = ((CgroupProcess *) members->pdata[i])->pid;
                if (pid != session->container->monitor.pid && pid != session->monitor.pid)
                        return pid;
        }
        g_assert_not_reached();
}

static void test_a_streamer_that_is_killed(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add_started(fixture, "web", NULL);
        Session *session = session_make(fixture, container, ECHO, NULL);
        g_auto(Client) client = {0}, again = {0};

        client_attach_session(&client, fixture, session, NULL);
        session_start(fixture, session);
        client_await(&client, "first\n");
        g_assert_cmpint(kill(find_streamer(session), SIGKILL), ==, 0);
        testing_run_until_count(fixture->event, &client.n_ended, 1);
        testing_expect_error(&client.error, CONBUS_ERROR_INTERRUPTED, "the process that served its streams has ended");
        client_attach_session(&again, fixture, session, NULL);
        client_say(&again, "hello\n"); /* its input has not ended with it */
        client_await(&again, "got hello\n");
        client_say(&again, "end 5\n");
        client_await_end(&again, "exited 1 5");
}

/* Its end is told without a streamer too, and nothing is left. */
static void test_it_ends_without_a_streamer(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add_started(fixture, "web", NULL);
        Session *session = session_make(fixture, container, ECHO, NULL);
        g_auto(Client) client = {0};

        client_attach_session(&client, fixture, session, NULL);
        session_start(fixture, session);
        client_await(&client, "first\n");
        g_assert_cmpint(kill(find_streamer(session), SIGKILL), ==, 0);
        testing_run_until_count(fixture->event, &client.n_ended, 1);
        testing_expect_error(&client.error, CONBUS_ERROR_INTERRUPTED, "");
        g_assert_nonnull(find_streams(fixture, session)); /* it holds the input open */
        g_assert_true(session_kill(session, SIGKILL, NULL));
        session_await_end(fixture, session, 137);
        g_assert_null(find_streams(fixture, session));
}

/* --- conmon dies --- */

static void test_a_conmon_that_dies(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add_started(fixture, "web", NULL);
        Session *session = session_make(fixture, container, "echo first; while :; do sleep 1000; done", NULL);
        g_auto(Client) client = {0};

        client_attach_session(&client, fixture, session, NULL);
        session_start(fixture, session);
        client_await(&client, "first\n");
        g_assert_cmpint(kill(session->monitor.pid, SIGKILL), ==, 0);
        testing_run_until_count(fixture->event, &client.n_ended, 1);
        testing_expect_error(&client.error, CONBUS_ERROR_MONITOR_LOST, "conmon died");
        g_assert_cmpint(session->life.state, ==, SESSION_RUNNING);
        client_refuse_session(fixture, session, NULL, CONBUS_ERROR_MONITOR_LOST, "its conmon died, and its streams with it");
        g_assert_true(session_kill(session, SIGKILL, NULL));
        session_await_end(fixture, session, 137);
}

/* --- the service is away --- */

static Client *adopting;
static unsigned n_adopted;

static void on_adopted(Container *container, Attachment *attachment, GVariant *tag, void *userdata) {
        g_autofree char *text = g_variant_print(tag, false);

        n_adopted++;
        g_assert_cmpstr(text, ==, "{'job': <'mine'>}");
        g_assert_true(attachment_session(attachment) == container->sessions->pdata[0]);
        adopting->attachment = attachment;
        attachment_on_end(attachment, client_ended, adopting);
}

static void attach_and_start(Client *client, Fixture *fixture) {
        Container *container = fakes_add_started(fixture, "web", NULL);
        Session *session = session_make(fixture, container, ECHO, NULL);

        client_attach_session(client, fixture, session, NULL);
        session_start(fixture, session);
        client_await(client, "first\n");
}

static void crash(Client *client) {
        attachment_free(g_steal_pointer(&client->attachment));
        adopting = client;
        n_adopted = 0;
        fixture_crash(client->fixture, NULL);
        attachments_on_adopted(client->fixture->engine, on_adopted, NULL);
}

static void test_a_client_outlives_the_service(Fixture *fixture, gconstpointer unused) {
        g_auto(Client) client = {0};

        attach_and_start(&client, fixture);
        crash(&client);
        client_say(&client, "hello\n");
        client_await(&client, "got hello\n"); /* while nobody is there */
        fixture_adopt(fixture);
        testing_run_until_count(fixture->event, &n_adopted, 1);
        g_assert_true(attachments_session_has(fixture->engine, session_find(fixture)));
        client_say(&client, "end 6\n");
        client_await_end(&client, "exited 1 6");
        session_await_end(fixture, session_find(fixture), 6);
}

/* With 7. */
static void attach_and_end_without_service(Client *client, Fixture *fixture) {
        attach_and_start(client, fixture);
        pid_t monitor = session_find(fixture)->monitor.pid;
        crash(client);
        client_say(client, "end 7\n");
        fakes_run_until_gone(fixture, monitor);
}

static void test_it_ends_while_the_service_is_away(Fixture *fixture, gconstpointer unused) {
        g_auto(Client) client = {0};

        attach_and_end_without_service(&client, fixture);
        fixture_adopt(fixture);
        client_await_end(&client, "exited 1 7");
        session_await_end(fixture, session_find(fixture), 7);
}

static void test_its_end_was_recorded_before_the_service_died(Fixture *fixture, gconstpointer unused) {
        g_auto(Client) client = {0};

        attach_and_end_without_service(&client, fixture);
        fixture_crash(fixture, "UPDATE session SET state = 'stopped', exit_code = 7, main_pid = 0, monitor_pid = 0");
        attachments_on_adopted(fixture->engine, on_adopted, NULL);
        fixture_adopt(fixture);
        client_await_end(&client, "exited 1 7");
}

static void test_conmon_dies_while_the_service_is_away(Fixture *fixture, gconstpointer unused) {
        g_auto(Client) client = {0};

        attach_and_start(&client, fixture);
        pid_t monitor = session_find(fixture)->monitor.pid;
        crash(&client);
        g_assert_cmpint(kill(monitor, SIGKILL), ==, 0);
        fakes_run_until_gone(fixture, monitor);
        fixture_adopt(fixture);
        testing_run_until_count(fixture->event, &client.n_ended, 1);
        testing_expect_error(&client.error, CONBUS_ERROR_MONITOR_LOST, "conmon died");
}

static void test_without_a_streamer_nothing_is_adopted(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add_started(fixture, "web", NULL);
        g_auto(Client) client = {0};

        (void) session_run(fixture, container, "while :; do sleep 1000; done", NULL);
        fixture_crash(fixture, NULL);
        n_adopted = 0;
        attachments_on_adopted(fixture->engine, on_adopted, NULL);
        fixture_adopt(fixture);
        testing_run_idle(fixture->event);
        g_assert_cmpuint(n_adopted, ==, 0);
        g_assert_null(find_streams(fixture, session_find(fixture)));
        client_attach_session(&client, fixture, session_find(fixture), NULL); /* a new one is made */
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        SESSION_ADD(the_first_byte);
        SESSION_ADD(nothing_executes_before_they_are_connected);
        SESSION_ADD(whoever_leaves_while_they_are_connected);
        SESSION_ADD(when_all_are_connected);
        SESSION_ADD(input_is_open_for_those_who_want_it);
        SESSION_ADD(input_that_is_kept_open);
        SESSION_ADD(input_that_is_not_there);
        SESSION_ADD(a_size_before_the_start);
        SESSION_ADD(whoever_leaves_before_the_start);
        SESSION_ADD(all_have_left_before_the_start);
        SESSION_ADD(it_is_never_started);
        SESSION_ADD(whoever_comes_during_the_launch);
        SESSION_ADD(launches_that_fail);
        SESSION_ADD(whoever_comes_later);
        SESSION_ADD(an_end_of_input);
        SESSION_ADD(sessions_do_not_meet);
        SESSION_ADD(what_is_refused);
        SESSION_ADD(without_a_streamer);
        SESSION_ADD(a_streamer_that_dies_at_once);
        SESSION_ADD(a_streamer_that_is_killed);
        SESSION_ADD(it_ends_without_a_streamer);
        SESSION_ADD(a_conmon_that_dies);
        SESSION_ADD(a_client_outlives_the_service);
        SESSION_ADD(it_ends_while_the_service_is_away);
        SESSION_ADD(its_end_was_recorded_before_the_service_died);
        SESSION_ADD(conmon_dies_while_the_service_is_away);
        SESSION_ADD(without_a_streamer_nothing_is_adopted);
        return g_test_run();
}
