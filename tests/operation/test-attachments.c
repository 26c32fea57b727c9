/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Who is attached, and what becomes of them when a run, conmon, the streamer or the service ends. The streamer is conbus-stream itself, or a script where it has to fail. */

#define FAKES_UNIT "attachments"
#include "attached-client.h"
#include "base/auto.h"
#include "runtime/cgroup.h"
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define ECHO_ONCE "{'stdin-open': <true>, 'stdin-once': <true>, 'command': <['sh', '-c', 'while read a; do echo got $a; done; sleep 1000']>}"
/* Echoes each line with "got " in front, and leaves at "end N". */
#define ECHO "{'stdin-open': <true>, 'command': <['sh', '-c', 'echo first; while read a b; do [ \"$a\" = end ] && exit $b; echo got $a; done; sleep 1000']>}"

static Client *adopting;
static unsigned n_adopted;

static void on_adopted(Container *container, Attachment *attachment, GVariant *tag, void *userdata) {
        g_autofree char *text = g_variant_print(tag, false);

        n_adopted++;
        g_assert_cmpstr(container->name, ==, "web");
        g_assert_cmpstr(text, ==, "{'job': <'mine'>}");
        adopting->attachment = attachment;
        attachment_on_end(attachment, client_ended, adopting);
}

/* --- attached to a run --- */

static void test_input_output_and_the_end(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add_started(fixture, "web", ECHO);
        g_auto(Client) client = {0};

        client_attach(&client, fixture, container, NULL);
        client_say(&client, "hello\n");
        client_await(&client, "got hello\n");
        g_assert_cmpuint(client.n_ended, ==, 0);
        client_say(&client, "end 3\n");
        client_await_end(&client, "exited 1 3");
        fixture_run_until_state(fixture, container, STATE_EXITED);
}

static guint64 bytes[2];

static void note_bytes(Attachment *attachment, GVariant *result, const GError *error, void *userdata) {
        bytes[0] = attachment_bytes_in(attachment);
        bytes[1] = attachment_bytes_out(attachment);
        client_ended(attachment, result, error, userdata);
}

static void test_bytes_are_counted(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add_started(fixture, "web", ECHO);
        g_auto(Client) client = {0};

        client_attach(&client, fixture, container, "{'from': <'run-start'>}");
        attachment_on_end(client.attachment, note_bytes, &client);
        client_say(&client, "hello\n");
        client_await(&client, "first\ngot hello\n");
        client_say(&client, "end 0\n");
        client_await_end(&client, "exited 1 0");
        g_assert_cmpuint(bytes[0], ==, strlen("hello\nend 0\n"));
        g_assert_cmpuint(bytes[1], ==, strlen("first\ngot hello\n"));
}

static void test_the_last_packet_has_the_code(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add_started(fixture, "web", ECHO);
        g_auto(Client) client = {0};

        client_attach(&client, fixture, container, "{'framing': <'packets'>}");
        g_assert_cmpint(send(client.fd, "\0end 9\n", 7, MSG_NOSIGNAL), ==, 7);
        client_await(&client, "\3{\"reason\":\"exited\",\"run\":1,\"exit-code\":9}");
        client_await_end(&client, "exited 1 9");
}

static void test_clients_share_one_streamer(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add_started(fixture, "web", ECHO);
        g_autofree char *group = cgroup_path_for_monitor(container->id);
        g_auto(Client) a = {0}, b = {0};

        client_attach(&a, fixture, container, NULL);
        client_attach(&b, fixture, container, "{'streams': <['stdout']>}");
        g_autoptr(GPtrArray) members = cgroup_list(group);
        g_assert_cmpuint(members->len, ==, 2); /* conmon and one conbus-stream */
        client_say(&a, "hello\n");
        client_await(&a, "got hello\n");
        client_await(&b, "got hello\n");
        client_say(&a, "end 4\n");
        client_await_end(&a, "exited 1 4");
        client_await_end(&b, "exited 1 4");
}

static void test_a_client_that_is_detached(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add_started(fixture, "web", ECHO);
        g_auto(Client) client = {0}, again = {0};

        client_attach(&client, fixture, container, NULL);
        attachment_cancel(client.attachment);
        client_await_end(&client, "detached 1 -1");
        fixture_expect(fixture, container, STATE_RUNNING);
        client_attach(&again, fixture, container, NULL);
        client_say(&again, "hello\n");
        client_await(&again, "got hello\n");
}

static void test_a_client_that_leaves(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add_started(fixture, "web", ECHO);
        g_auto(Client) client = {0};

        client_attach(&client, fixture, container, NULL);
        client_close(&client);
        client_await_end(&client, "client-closed 1 -1");
        fixture_expect(fixture, container, STATE_RUNNING);
}

/* Whoever forgets it leaves the client attached: the service goes, the client stays. */
static void test_a_client_that_is_forgotten(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add_started(fixture, "web", ECHO);
        g_auto(Client) client = {0};

        client_attach(&client, fixture, container, NULL);
        attachment_free(g_steal_pointer(&client.attachment));
        client_say(&client, "hello\n");
        client_await(&client, "got hello\n");
        client_say(&client, "end 0\n");
        fixture_run_until_state(fixture, container, STATE_EXITED);
        testing_run_idle(fixture->event);
        g_assert_cmpuint(client.n_ended, ==, 0);
}

/* --- refused --- */

static void test_states_that_refuse(Fixture *fixture, gconstpointer unused) {
        static const struct {
                State state;
                ConbusError code;
                const char *part;
        } table[] = {
                {STATE_CREATED, CONBUS_ERROR_NOT_RUNNING, "attach to container \"c0\": it is created"},
                {STATE_EXITED, CONBUS_ERROR_NOT_RUNNING, "it is exited"},
                {STATE_STOPPED, CONBUS_ERROR_NOT_RUNNING, "it is stopped"},
                {STATE_UNKNOWN, CONBUS_ERROR_INVALID_STATE, "it is unknown; possible when it is initialized, running, paused or stopping"},
                {STATE_REMOVING, CONBUS_ERROR_REMOVED, "it is being removed"},
                {STATE_RUNNING, CONBUS_ERROR_MONITOR_LOST, "its conmon died, and its streams with it"}, /* the fixture makes it without one */
        };

        for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
                g_autofree char *name = g_strdup_printf("c%zu", i);
                Container *container = fakes_add(fixture, name, NULL);
                g_auto(Answer) answer = {0};

                if (table[i].state == STATE_RUNNING)
                        (void) fixture_run(fixture, container, STATE_RUNNING);
                else if (table[i].state != STATE_CREATED)
                        fixture_enter(container, table[i].state);
                client_refuse(fixture, container, NULL, table[i].code, table[i].part);
                fixture_expect(fixture, container, table[i].state);
        }
}

static void test_drivers_that_refuse(Fixture *fixture, gconstpointer unused) {
        Container *passthrough = fakes_add(fixture, "a", "{'log-driver': <'passthrough'>}"), *none = fakes_add(fixture, "b", "{'log-driver': <'none'>}");

        (void) fixture_run(fixture, passthrough, STATE_RUNNING);
        client_refuse(fixture, passthrough, NULL, CONBUS_ERROR_NOT_ATTACHABLE, "its log driver is passthrough");
        client_refuse(fixture, none, "{'from': <'log-start'>, 'follow': <false>}", CONBUS_ERROR_NO_LOGS, "the log driver none keeps no log that can be read");
}

static void test_what_the_streamer_refuses(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add_started(fixture, "web", ECHO);
        g_auto(Client) client = {0};

        client_refuse(fixture, container, "{'from': <'1:ffffff'>}", CONBUS_ERROR_INVALID_ARGS, "the log has no such position any more");
        client_attach(&client, fixture, container, NULL); /* of others nothing is the worse for it */
        client_say(&client, "hello\n");
        client_await(&client, "got hello\n");
}

/* --- before the first byte --- */

static void test_a_start_shows_the_first_byte(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add(fixture, "web", ECHO);
        g_auto(Client) client = {0};
        g_auto(Answer) answer = {0};

        client_begin(&client, fixture, container, NULL);
        Operation *operation = fixture_submit(fixture, container, VERB_START, NULL, &answer);
        operation->attachment = client.attachment;
        testing_run_until_count(fixture->event, &answer.n, 1);
        g_assert_no_error(answer.error);
        g_assert_cmpstr(answer.result, ==, "(1, {'started': <true>, 'ready': <true>})");
        client_await(&client, "first\n");
        client_say(&client, "end 0\n");
        client_await_end(&client, "exited 1 0");
}

static void test_a_start_of_what_runs_only_attaches(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add_started(fixture, "web", ECHO);
        g_auto(Client) client = {0};
        g_auto(Answer) answer = {0};

        client_begin(&client, fixture, container, NULL);
        Operation *operation = fixture_submit(fixture, container, VERB_START, NULL, &answer);
        operation->attachment = client.attachment;
        testing_run_until_count(fixture->event, &answer.n, 1);
        g_assert_cmpstr(answer.result, ==, "(1, {'started': <false>, 'ready': <true>})");
        client_say(&client, "hello\n");
        client_await(&client, "got hello\n");
}

static void test_what_cannot_be_attached_to_does_not_start(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add(fixture, "web", NULL);
        g_auto(Client) client = {0};
        g_auto(Answer) answer = {0};

        fixture->paths.stream = (char *) "/no/stream";
        client_begin(&client, fixture, container, NULL);
        Operation *operation = fixture_submit(fixture, container, VERB_START, NULL, &answer);
        operation->attachment = client.attachment;
        testing_run_until_count(fixture->event, &answer.n, 1);
        testing_expect_error(&answer.error, CONBUS_ERROR_HELPER_MISSING, "/no/stream");
        fixture_expect(fixture, container, STATE_CREATED);
        g_assert_false(container->life.ever_started);
        fakes_expect_nothing_runs(fixture, container);
}

/* The start waits for a streamer that is not there yet, though it was attached by another call. */
static void test_a_start_waits_for_whoever_attached_before(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add(fixture, "web", ECHO);
        g_autofree char *script = g_strdup_printf("read line <%s/go; exec %s \"$@\"", fixture->directory, fixture->paths.stream), *go = g_build_filename(fixture->directory, "go", NULL);
        g_autofree char *slow = testing_program(fixture->directory, "slow-stream", script);
        g_auto(Client) client = {0};
        g_auto(Answer) answer = {0};

        g_assert_cmpint(mkfifo(go, 0600), ==, 0);
        autofd int fd = open(go, O_RDWR | O_CLOEXEC);
        fixture_do(fixture, container, VERB_INIT, NULL, &answer);
        fixture->paths.stream = slow;
        client_begin(&client, fixture, container, NULL);
        client_connect(&client);
        answer_clear(&answer);
        (void) fixture_submit(fixture, container, VERB_START, NULL, &answer);
        testing_run_idle(fixture->event);
        g_assert_cmpuint(answer.n + client.n_connected, ==, 0);
        g_assert_cmpint(container->life.state, ==, STATE_INITIALIZED);
        g_assert_cmpint(write(fd, "\n", 1), ==, 1);
        testing_run_until_count(fixture->event, &answer.n, 1);
        g_assert_no_error(answer.error);
        client_await(&client, "first\n");
}

/* --- the streamer fails --- */

static void test_a_streamer_that_dies_at_once_is_tried_twice(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add_started(fixture, "web", ECHO);
        g_autofree char *script = g_strdup_printf("echo >>%s/tries", fixture->directory), *dying = testing_program(fixture->directory, "dying-stream", script);
        g_auto(Client) client = {0};
        char *stream = fixture->paths.stream;

        fixture->paths.stream = dying;
        client_refuse(fixture, container, NULL, CONBUS_ERROR_INTERRUPTED, "the process that served its streams has ended");
        g_autofree char *tries = testing_read(fixture->directory, "tries");
        g_assert_cmpstr(tries, ==, "\n\n");
        fixture->paths.stream = stream;
        client_attach(&client, fixture, container, NULL);
        client_say(&client, "hello\n");
        client_await(&client, "got hello\n");
}

static void test_a_start_goes_on_when_the_streamer_dies(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add(fixture, "web", ECHO);
        g_autofree char *script = g_strdup_printf("read line <%s/go", fixture->directory), *go = g_build_filename(fixture->directory, "go", NULL), *dying = testing_program(fixture->directory, "dying-stream", script);
        g_auto(Client) client = {0};
        g_auto(Answer) answer = {0};

        g_assert_cmpint(mkfifo(go, 0600), ==, 0);
        autofd int fd = open(go, O_RDWR | O_CLOEXEC);
        fixture_do(fixture, container, VERB_INIT, NULL, &answer);
        fixture->paths.stream = dying;
        client_begin(&client, fixture, container, NULL);
        client_connect(&client);
        answer_clear(&answer);
        (void) fixture_submit(fixture, container, VERB_START, NULL, &answer);
        testing_run_idle(fixture->event);
        g_assert_cmpint(write(fd, "\n\n", 2), ==, 2); /* the first, and the second try */
        testing_run_until_count(fixture->event, &answer.n, 1);
        g_assert_no_error(answer.error);
        testing_run_until_count(fixture->event, &client.n_connected, 1);
        testing_expect_error(&client.error, CONBUS_ERROR_INTERRUPTED, "");
        fixture_expect(fixture, container, STATE_RUNNING);
}

static pid_t find_streamer(Container *container) {
        g_autofree char *group = cgroup_path_for_monitor(container->id);
        g_autoptr(GPtrArray) members = cgroup_list(group);

        for (guint i = 0; i < members->len; i++)
                if (((CgroupProcess *) members->pdata[i])->pid != container->monitor.pid)
                        return ((CgroupProcess *) members->pdata[i])->pid;
        return 0;
}

/* It enters the group by itself. */
static pid_t streamer_of(Container *container) {
        gint64 deadline = g_get_monotonic_time() + (gint64) TESTING_DEADLINE_USEC;
        pid_t pid;

        while ((pid = find_streamer(container)) == 0) {
                g_assert_cmpint(g_get_monotonic_time(), <, deadline);
                g_usleep(1000);
        }
        return pid;
}

static void test_a_streamer_that_is_killed(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add_started(fixture, "web", ECHO);
        g_auto(Client) client = {0}, again = {0};

        client_attach(&client, fixture, container, NULL);
        g_assert_cmpint(kill(streamer_of(container), SIGKILL), ==, 0);
        testing_run_until_count(fixture->event, &client.n_ended, 1);
        testing_expect_error(&client.error, CONBUS_ERROR_INTERRUPTED, "attach to container \"web\": the process that served its streams has ended");
        fixture_expect(fixture, container, STATE_RUNNING);
        client_attach(&again, fixture, container, NULL);
        client_say(&again, "hello\n");
        client_await(&again, "got hello\n");
}

/* Of a standard input that ends with its first client: copies of the streamer's connections keep it open. */
static void test_a_streamer_that_is_killed_ends_no_input(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add_started(fixture, "web", ECHO_ONCE);
        g_auto(Client) client = {0}, again = {0};

        n_adopted = 0;
        attachments_on_adopted(fixture->engine, on_adopted, NULL);
        client_attach(&client, fixture, container, NULL);
        client_say(&client, "hello\n");
        client_await(&client, "got hello\n");
        g_assert_cmpuint(n_adopted, ==, 0); /* the streamer says hello once more, with the connections, and names a client that is known */
        g_assert_cmpint(kill(streamer_of(container), SIGKILL), ==, 0);
        testing_run_until_count(fixture->event, &client.n_ended, 1);
        client_attach(&again, fixture, container, NULL);
        client_say(&again, "again\n");
        client_await(&again, "got again\n");
}

static void test_a_client_that_gives_up_waiting(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add_started(fixture, "web", ECHO);
        g_autofree char *hanging = testing_program(fixture->directory, "hanging-stream", "exec sleep 1000");
        g_auto(Client) client = {0};

        fixture->paths.stream = hanging;
        client_begin(&client, fixture, container, NULL);
        client_connect(&client);
        testing_run_idle(fixture->event);
        g_assert_cmpuint(client.n_connected, ==, 0);
        attachment_cancel(client.attachment);
        testing_run_until_count(fixture->event, &client.n_connected, 1);
        testing_expect_error(&client.error, CONBUS_ERROR_CANCELLED, "cancelled before the client was connected");
        g_assert_cmpint(kill(streamer_of(container), SIGKILL), ==, 0);
}

/* --- conmon fails --- */

static void test_a_conmon_that_dies(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add_started(fixture, "web", ECHO);
        g_auto(Client) client = {0};

        client_attach(&client, fixture, container, NULL);
        g_assert_true(pidref_signal(&container->monitor, SIGKILL, NULL, NULL));
        testing_run_until_count(fixture->event, &client.n_ended, 1);
        testing_expect_error(&client.error, CONBUS_ERROR_MONITOR_LOST, "attach to container \"web\": conmon died");
        if (pidref_is_set(&container->monitor)) /* the streamer may have heard of it first */
                testing_run_idle(fixture->event);
}

/* --- the log alone --- */

static void test_the_log_of_what_has_ended(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add(fixture, "web", "{'command': <['sh', '-c', 'echo one; echo two; exit 3']>}");
        g_auto(Client) a = {0}, b = {0};
        g_auto(Answer) answer = {0};

        fixture_do(fixture, container, VERB_START, NULL, &answer);
        g_assert_no_error(answer.error);
        fixture_run_until_state(fixture, container, STATE_EXITED);
        client_attach(&a, fixture, container, "{'from': <'log-start'>, 'follow': <false>}");
        client_attach(&b, fixture, container, "{'from': <'run-start'>, 'follow': <false>, 'streams': <['stdout']>}");
        client_await_end(&a, "log-end 1 3");
        client_await_end(&b, "log-end 1 3");
        client_await(&a, "one\ntwo\n");
        client_await(&b, "one\ntwo\n");
}

static void test_the_log_of_what_never_ran(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add(fixture, "web", NULL);
        g_auto(Client) client = {0};

        client_begin(&client, fixture, container, "{'from': <'run-start'>, 'follow': <false>}");
        client_connect(&client);
        testing_run_until_count(fixture->event, &client.n_connected, 1);
        if (!client.error)
                client_await_end(&client, "log-end 0 -1");
        g_assert_cmpstr(client.received->str, ==, "");
}

/* --- a restart of the service --- */

/* The attachment goes with the service, the client stays. */
static void crash(Client *client) {
        Fixture *fixture = client->fixture;

        attachment_free(g_steal_pointer(&client->attachment));
        adopting = client;
        n_adopted = 0;
        fixture_crash(fixture, NULL);
        attachments_on_adopted(fixture->engine, on_adopted, NULL);
}

static void test_a_client_outlives_the_service(Fixture *fixture, gconstpointer unused) {
        g_auto(Client) client = {0};

        client_attach(&client, fixture, fakes_add_started(fixture, "web", ECHO), NULL);
        crash(&client);
        client_say(&client, "hello\n");
        client_await(&client, "got hello\n"); /* while nobody is there */
        fixture_adopt(fixture);
        testing_run_until_count(fixture->event, &n_adopted, 1);
        client_say(&client, "end 6\n");
        client_await_end(&client, "exited 1 6");
        g_assert_cmpuint(client.n_connected, ==, 1);
}

static void test_an_adopted_client_can_be_detached(Fixture *fixture, gconstpointer unused) {
        g_auto(Client) client = {0};

        client_attach(&client, fixture, fakes_add_started(fixture, "web", ECHO), NULL);
        crash(&client);
        fixture_adopt(fixture);
        testing_run_until_count(fixture->event, &n_adopted, 1);
        attachment_cancel(client.attachment);
        client_await_end(&client, "detached 1 -1");
}

static void test_the_run_ends_while_the_service_is_away(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add_started(fixture, "web", ECHO);
        g_auto(Client) client = {0};

        client_attach(&client, fixture, container, NULL);
        pid_t main = container->main.pid;
        crash(&client);
        client_say(&client, "end 7\n");
        fakes_run_until_gone(fixture, main);
        fixture_adopt(fixture);
        client_await_end(&client, "exited 1 7");
        g_assert_cmpuint(n_adopted, ==, 1);
}

/* The record was there, and the service died before it could say so. */
static void test_the_run_was_recorded_before_the_service_died(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add_started(fixture, "web", ECHO);
        g_auto(Client) client = {0};

        client_attach(&client, fixture, container, NULL);
        pid_t main = container->main.pid;
        crash(&client);
        client_say(&client, "end 7\n");
        fakes_run_until_gone(fixture, main);
        fixture_crash(fixture, "UPDATE life SET state = 'stopped', run_open = 0, result = 'exit-code', exit_code = 7, main_pid = 0, monitor_pid = 0");
        attachments_on_adopted(fixture->engine, on_adopted, NULL);
        fixture_adopt(fixture);
        client_await_end(&client, "exited 1 7");
        fixture_run_until_state(fixture, registry_get_by_name(fixture->registry, "web"), STATE_EXITED);
}

static void test_conmon_dies_while_the_service_is_away(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add_started(fixture, "web", ECHO);
        g_auto(Client) client = {0};

        client_attach(&client, fixture, container, NULL);
        pid_t monitor = container->monitor.pid;
        crash(&client);
        g_assert_cmpint(kill(monitor, SIGKILL), ==, 0);
        fakes_run_until_gone(fixture, monitor);
        fixture_adopt(fixture);
        testing_run_until_count(fixture->event, &client.n_ended, 1);
        testing_expect_error(&client.error, CONBUS_ERROR_MONITOR_LOST, "conmon died");
}

static void test_without_a_streamer_nothing_is_adopted(Fixture *fixture, gconstpointer unused) {
        g_auto(Client) client = {0};

        (void) fakes_add_started(fixture, "web", ECHO);
        fixture_crash(fixture, NULL);
        n_adopted = 0;
        attachments_on_adopted(fixture->engine, on_adopted, NULL);
        fixture_adopt(fixture);
        testing_run_idle(fixture->event);
        g_assert_cmpuint(n_adopted, ==, 0);
        client_attach(&client, fixture, registry_get_by_name(fixture->registry, "web"), NULL); /* a new one is made */
        client_say(&client, "hello\n");
        client_await(&client, "got hello\n");
}

/* --- terminals --- */

#define TERMINAL "{'terminal': <true>, 'stdin-open': <true>, 'command': <['sh', '-c', 'while read line; do stty size; done']>}"

static void test_a_size(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add_started(fixture, "web", TERMINAL);
        g_autoptr(GError) error = NULL;
        g_auto(Client) client = {0}, again = {0};
        g_auto(Answer) answer = {0};

        client_attach(&client, fixture, container, "{'size': <(uint16 11, uint16 22)>}");
        client_await_size(&client, "11 22");
        g_assert_true(attachments_resize(fixture->engine, container, 33, 44, &error));
        client_await_size(&client, "33 44");
        fixture_do(fixture, container, VERB_RESTART, "{'timeout-usec': <uint64 0>}", &answer);
        g_assert_no_error(answer.error);
        client_attach(&again, fixture, container, "{'size': <(uint16 55, uint16 66)>}"); /* of the new run's terminal */
        client_await_size(&again, "55 66");
}

static void test_sizes_that_are_refused(Fixture *fixture, gconstpointer unused) {
        Container *plain = fakes_add_started(fixture, "plain", NULL), *terminal = fakes_add(fixture, "terminal", TERMINAL);
        g_autoptr(GError) error = NULL;
        g_auto(Answer) answer = {0};

        g_assert_false(attachments_resize(fixture->engine, plain, 24, 80, &error));
        testing_expect_error(&error, CONBUS_ERROR_NO_TERMINAL, "resize the terminal of container \"plain\": it was made without one");
        client_refuse(fixture, plain, "{'size': <(uint16 24, uint16 80)>}", CONBUS_ERROR_NO_TERMINAL, "it was made without one");
        g_assert_false(attachments_resize(fixture->engine, terminal, 24, 80, &error));
        testing_expect_error(&error, CONBUS_ERROR_NOT_RUNNING, "resize the terminal of container \"terminal\": it is created");
        fixture_do(fixture, terminal, VERB_START, NULL, &answer);
        g_assert_no_error(answer.error);
        g_assert_false(attachments_resize(fixture->engine, terminal, 1001, 80, &error));
        testing_expect_error(&error, CONBUS_ERROR_INVALID_ARGS, "both go from 1 to 1000");
        fixture_do(fixture, terminal, VERB_STOP, "{'timeout-usec': <uint64 0>}", &answer);
        g_assert_false(attachments_resize(fixture->engine, terminal, 24, 80, &error));
        testing_expect_error(&error, CONBUS_ERROR_NOT_RUNNING, "it is exited");
        g_autoptr(Commit) commit = commit_new(terminal, NULL);
        commit_enter(commit, STATE_UNKNOWN, REASON_MONITOR_LOST);
        g_assert_true(commit_apply(commit, &error));
        g_assert_false(attachments_resize(fixture->engine, terminal, 24, 80, &error));
        testing_expect_error(&error, CONBUS_ERROR_INVALID_STATE, "it is unknown");
        fixture_do(fixture, terminal, VERB_REMOVE, "{'force': <true>}", &answer);
        g_assert_no_error(answer.error);
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        FAKES_ADD(input_output_and_the_end);
        FAKES_ADD(bytes_are_counted);
        FAKES_ADD(the_last_packet_has_the_code);
        FAKES_ADD(clients_share_one_streamer);
        FAKES_ADD(a_client_that_is_detached);
        FAKES_ADD(a_client_that_leaves);
        FAKES_ADD(a_client_that_is_forgotten);
        FAKES_ADD(states_that_refuse);
        FAKES_ADD(drivers_that_refuse);
        FAKES_ADD(what_the_streamer_refuses);
        FAKES_ADD(a_start_shows_the_first_byte);
        FAKES_ADD(a_start_of_what_runs_only_attaches);
        FAKES_ADD(what_cannot_be_attached_to_does_not_start);
        FAKES_ADD(a_start_waits_for_whoever_attached_before);
        FAKES_ADD(a_streamer_that_dies_at_once_is_tried_twice);
        FAKES_ADD(a_start_goes_on_when_the_streamer_dies);
        FAKES_ADD(a_streamer_that_is_killed);
        FAKES_ADD(a_streamer_that_is_killed_ends_no_input);
        FAKES_ADD(a_client_that_gives_up_waiting);
        FAKES_ADD(a_conmon_that_dies);
        FAKES_ADD(the_log_of_what_has_ended);
        FAKES_ADD(the_log_of_what_never_ran);
        FAKES_ADD(a_client_outlives_the_service);
        FAKES_ADD(an_adopted_client_can_be_detached);
        FAKES_ADD(the_run_ends_while_the_service_is_away);
        FAKES_ADD(the_run_was_recorded_before_the_service_died);
        FAKES_ADD(conmon_dies_while_the_service_is_away);
        FAKES_ADD(without_a_streamer_nothing_is_adopted);
        FAKES_ADD(a_size);
        FAKES_ADD(sizes_that_are_refused);
        return g_test_run();
}
