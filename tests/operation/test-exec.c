/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A process is put into a container: who may, what is recorded before it runs, and what each step that fails leaves behind. */

#define FAKES_UNIT "exec"
#include "base/auto.h"
#include "executed.h"
#include "runtime/cgroup.h"
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static char *session_file(Fixture *fixture, guint64 number, const char *name) {
        g_autofree char *directory = paths_session(&fixture->paths, number);

        return g_build_filename(directory, name, NULL);
}

static SessionDescriptors *descriptors_of_pipe(int *ret_fd) {
        SessionDescriptors *descriptors = session_descriptors_new();
        int fds[2];

        g_assert_cmpint(pipe2(fds, O_CLOEXEC), ==, 0);
        descriptors->fds[descriptors->n_fds++] = fds[1];
        *ret_fd = fds[0];
        return descriptors;
}

/* The descriptors that came with a request do not outlive it. What was killed may still be on its way out. */
static void expect_closed(int fd) {
        struct pollfd pollfd = {.fd = fd, .events = POLLIN};

        g_assert_cmpint(poll(&pollfd, 1, (int) (TESTING_DEADLINE_USEC / 1000)), ==, 1);
        g_assert_cmpint(pollfd.revents, ==, POLLHUP);
        close(fd);
}

/* Nothing is in the way of the next one. */
static void expect_possible(Fixture *fixture, Container *container) {
        Session *session = execute(fixture, container, SLEEPS);
        g_autoptr(GError) error = NULL;

        executed_expect(fixture, session, SESSION_RUNNING, 0, 0);
        g_assert_true(session_kill(session, SIGKILL, &error));
        executed_run_until(fixture, session, SESSION_STOPPED);
        executed_expect(fixture, session, SESSION_STOPPED, 137, SIGKILL);
        g_assert_true(session_remove(fixture->engine, session, &error));
}

/* --- what succeeds --- */

static void test_it_runs_and_ends(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add_started(fixture, "web", NULL);
        g_auto(Answer) answer = {0};

        execute_do(fixture, container, SLEEPS, &answer);
        Session *session = executed_get(container);
        g_autofree char *path = session_path(session), *result = g_strdup_printf("('%s', %d)", path, (int) session->main.pid);
        g_assert_no_error(answer.error);
        g_assert_cmpstr(answer.result, ==, result);
        executed_expect(fixture, session, SESSION_RUNNING, 0, 0);
        g_assert_cmpint(session->life.main.pid, ==, session->main.pid);
        g_assert_cmpint(pid_parent(session->main.pid), ==, session->monitor.pid);
        g_assert_cmpuint(session->life.run, ==, 1);
        g_assert_true(executed_has_directory(fixture, session));
        g_autofree char *group = cgroup_of_pid(session->main.pid);
        g_assert_cmpstr(group, ==, container->life.cgroup);
        g_assert_true(pidref_signal(&session->main, SIGTERM, NULL, NULL));
        executed_run_until(fixture, session, SESSION_STOPPED);
        executed_expect(fixture, session, SESSION_STOPPED, 143, SIGTERM);
        fixture_expect(fixture, container, STATE_RUNNING);
        fixture_expect_events(fixture, "init start exec exec-died ");
}

static void test_the_code_is_kept(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add_started(fixture, "web", NULL);
        Session *session = execute(fixture, container, "{'command': <['sh', '-c', 'exit 3']>}");

        executed_run_until(fixture, session, SESSION_STOPPED);
        executed_expect(fixture, session, SESSION_STOPPED, 3, 0);
}

/* Whatever happens from here on, the next service knows of it. */
static void test_conmon_is_recorded_before_it_runs(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add_started(fixture, "web", NULL);
        g_auto(Answer) answer = {0};
        Gate *gate = fakes_gate(fixture, "conmon begin");

        (void) execute_submit(fixture, container, SLEEPS, NULL, &answer);
        gate_reach(gate);
        Session *session = executed_get(container);
        executed_expect(fixture, session, SESSION_CREATED, 0, 0);
        g_assert_true(session->life.launching);
        g_assert_cmpuint(session->life.run, ==, 1);
        g_assert_cmpint(session->life.monitor.pid, ==, session->monitor.pid);
        g_assert_cmpuint(session->life.monitor.start_time, ==, pid_start_time(session->monitor.pid));
        g_assert_cmpuint(answer.n, ==, 0);
        fixture_expect_events(fixture, "init start "); /* it does not run yet */
        gate_open(gate);
        testing_run_until_count(fixture->event, &answer.n, 1);
        g_assert_no_error(answer.error);
        executed_expect(fixture, session, SESSION_RUNNING, 0, 0);
        g_assert_false(session->life.launching);
}

/* Nothing pauses, stops or removes the container in the middle of a launch. */
static void test_it_holds_the_queue(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add_started(fixture, "web", NULL);
        g_auto(Answer) answer = {0}, pause = {0};
        Gate *gate = fakes_gate(fixture, "crun exec");

        (void) execute_submit(fixture, container, SLEEPS, NULL, &answer);
        (void) fixture_submit(fixture, container, VERB_PAUSE, NULL, &pause);
        gate_reach(gate);
        testing_run_idle(fixture->event);
        fixture_expect(fixture, container, STATE_RUNNING);
        gate_open(gate);
        testing_run_until_count(fixture->event, &pause.n, 1);
        g_assert_cmpuint(answer.n, ==, 1);
        g_assert_no_error(answer.error);
        g_assert_no_error(pause.error);
        executed_expect(fixture, executed_get(container), SESSION_RUNNING, 0, 0);
        fixture_do(fixture, container, VERB_RESUME, NULL, &pause);
        g_assert_no_error(pause.error);
}

static void test_one_that_is_started_later(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add_started(fixture, "web", NULL);
        g_auto(Answer) answer = {0};

        execute_do(fixture, container, SLEEPS_LATER, &answer);
        Session *session = executed_get(container);
        g_autofree char *path = session_path(session), *result = g_strdup_printf("('%s', 0)", path);
        g_assert_cmpstr(answer.result, ==, result);
        executed_expect(fixture, session, SESSION_CREATED, 0, 0);
        g_assert_false(session->life.launching);
        g_assert_cmpuint(session->life.run, ==, 0);
        g_assert_null(session->watch);
        g_assert_false(executed_has_directory(fixture, session));
        fixture_expect_events(fixture, "init start ");
        execute_begin(fixture, session, &answer);
        testing_run_until_count(fixture->event, &answer.n, 1);
        g_assert_no_error(answer.error);
        executed_expect(fixture, session, SESSION_RUNNING, 0, 0);
        g_assert_cmpuint(session->life.run, ==, 1);
        g_assert_cmpuint(container->sessions->len, ==, 1);
}

static void test_a_group_of_its_own(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add_started(fixture, "web", NULL);
        Session *session = execute(fixture, container, "{'command': <['sleep', '1000']>, 'cgroup': <'job'>}");
        g_autofree char *group = cgroup_of_pid(session->main.pid), *wanted = g_build_filename(container->life.cgroup, "job", NULL);

        g_assert_cmpstr(group, ==, wanted);
}

static void test_descriptors_of_the_caller(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add_started(fixture, "web", NULL);
        SessionDescriptors *descriptors = session_descriptors_new();
        g_auto(Answer) answer = {0};
        int output[2], third[2];

        g_assert_cmpint(pipe2(output, O_CLOEXEC) + pipe2(third, O_CLOEXEC), ==, 0);
        descriptors->has_stdio = true;
        descriptors->stdio[0] = open("/dev/null", O_RDONLY | O_CLOEXEC);
        descriptors->stdio[1] = output[1];
        descriptors->stdio[2] = open("/dev/null", O_WRONLY | O_CLOEXEC);
        descriptors->fds[descriptors->n_fds++] = third[1];
        (void) execute_submit(fixture, container, "{'command': <['sh', '-c', 'echo to one; echo to three >&3; exit 4']>}", descriptors, &answer);
        testing_run_until_count(fixture->event, &answer.n, 1);
        g_assert_no_error(answer.error);
        Session *session = executed_get(container);
        g_assert_null(session->descriptors);
        executed_expect_text(output[0], "to one\n");
        executed_expect_text(third[0], "to three\n");
        executed_run_until(fixture, session, SESSION_STOPPED);
        executed_expect(fixture, session, SESSION_STOPPED, 4, 0);
        expect_closed(output[0]);
        expect_closed(third[0]);
}

/* --- the caller's terminal --- */

struct Given {
        Answer answer;
        int terminal;
};

static void take_terminal(Operation *operation, GVariant *result, const GError *error, void *userdata) {
        struct Given *given = userdata;

        given->terminal = exec_take_terminal(operation);
        g_assert_cmpint(exec_take_terminal(operation), ==, -1); /* it is given once */
        answer_note(operation, result, error, &given->answer);
}

static void submit_terminal(Fixture *fixture, Container *container, struct Given *given) {
        g_autoptr(GVariant) request = testing_parse("{'command': <['sleep', '1000']>, 'terminal': <true>}");
        ExecPlan plan = {.request = request, .wants_terminal = true};
        g_autoptr(GError) error = NULL;

        *given = (struct Given) {.terminal = -1};
        g_assert_nonnull(sessions_exec(fixture->engine, container, &plan, NULL, take_terminal, given, &error));
        g_assert_no_error(error);
}

static void test_a_terminal_for_the_caller(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add_started(fixture, "web", NULL);
        struct Given given;

        submit_terminal(fixture, container, &given);
        testing_run_until_count(fixture->event, &given.answer.n, 1);
        g_assert_no_error(given.answer.error);
        g_assert_true(isatty(given.terminal));
        executed_expect(fixture, executed_get(container), SESSION_RUNNING, 0, 0);
        close(given.terminal);
        answer_clear(&given.answer);
}

/* Somebody else listens where crun sends it. The process would wait for ever. */
static void test_a_terminal_that_does_not_come(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add_started(fixture, "web", NULL);
        Gate *gate = fakes_gate(fixture, "crun exec");
        struct Given given;

        submit_terminal(fixture, container, &given);
        gate_reach(gate);
        Session *session = executed_get(container);
        g_autofree char *path = session_file(fixture, session->number, "console");
        g_assert_cmpint(unlink(path), ==, 0);
        autofd int other = testing_listen(path, SOCK_STREAM);
        g_assert_cmpint(other, >=, 0);
        gate_open(gate);
        testing_run_until_count(fixture->event, &given.answer.n, 1);
        testing_expect_error(&given.answer.error, CONBUS_ERROR_RUNTIME_FAILED, "crun has not sent the terminal");
        g_assert_cmpint(given.terminal, ==, -1);
        executed_run_until(fixture, session, SESSION_STOPPED);
        executed_expect(fixture, session, SESSION_STOPPED, 137, SIGKILL);
}

/* --- refused --- */

static void test_states_that_refuse(Fixture *fixture, gconstpointer unused) {
        static const bool is_living[N_STATES] = {[STATE_INITIALIZED] = true, [STATE_PAUSED] = true, [STATE_STOPPING] = true};
        static const struct {
                State state;
                ConbusError code;
                const char *part;
        } table[] = {
                {STATE_CREATED, CONBUS_ERROR_NOT_RUNNING, "execute in container \"c0\": it is created"},
                {STATE_STOPPED, CONBUS_ERROR_NOT_RUNNING, "it is stopped"},
                {STATE_EXITED, CONBUS_ERROR_NOT_RUNNING, "it is exited"},
                {STATE_UNKNOWN, CONBUS_ERROR_INVALID_STATE, "it is unknown; possible when it is running"},
                {STATE_INITIALIZED, CONBUS_ERROR_INVALID_STATE, "it is initialized; possible when it is running"},
                {STATE_PAUSED, CONBUS_ERROR_INVALID_STATE, "it is paused; possible when it is running"},
                {STATE_STOPPING, CONBUS_ERROR_INVALID_STATE, "it is stopping; possible when it is running"},
                {STATE_REMOVING, CONBUS_ERROR_REMOVED, "it is being removed"},
        };

        for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
                g_autofree char *name = g_strdup_printf("c%zu", i);
                Container *container = fakes_add(fixture, name, NULL);

                if (is_living[table[i].state])
                        (void) fixture_run(fixture, container, table[i].state);
                else if (table[i].state != STATE_CREATED)
                        fixture_enter(container, table[i].state);
                execute_expect_refused(fixture, container, NULL, table[i].code, table[i].part);
                fixture_expect(fixture, container, table[i].state);
                executed_expect_none(fixture, container);
        }
}

static void test_a_state_that_refuses_when_its_turn_has_come(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add_started(fixture, "web", NULL);
        g_auto(Answer) pause = {0}, answer = {0};
        int fd;

        (void) fixture_submit(fixture, container, VERB_PAUSE, NULL, &pause);
        (void) execute_submit(fixture, container, SLEEPS, descriptors_of_pipe(&fd), &answer);
        testing_run_until_count(fixture->event, &answer.n, 1);
        testing_expect_error(&answer.error, CONBUS_ERROR_INVALID_STATE, "it is paused; possible when it is running");
        testing_run_idle(fixture->event);
        executed_expect_none(fixture, container);
        expect_closed(fd);
        fixture_do(fixture, container, VERB_RESUME, NULL, &pause);
        g_assert_no_error(pause.error);
        expect_possible(fixture, container);
}

static void test_one_that_is_cancelled_before_it_begins(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add_started(fixture, "web", NULL);
        g_auto(Answer) pause = {0}, answer = {0};
        int fd;

        (void) fixture_submit(fixture, container, VERB_PAUSE, NULL, &pause);
        Operation *operation = execute_submit(fixture, container, SLEEPS, descriptors_of_pipe(&fd), &answer);
        operation_cancel(operation);
        testing_run_until_count(fixture->event, &pause.n, 1);
        g_assert_cmpuint(answer.n, ==, 1);
        testing_expect_error(&answer.error, CONBUS_ERROR_CANCELLED, "cancelled before it began");
        executed_expect_none(fixture, container);
        expect_closed(fd);
        fixture_do(fixture, container, VERB_RESUME, NULL, &pause);
        g_assert_no_error(pause.error);
}

static void expect_not_started(Fixture *fixture, Session *session, ConbusError code, const char *part) {
        SessionLife before = session->life;
        g_auto(Answer) answer = {0};

        execute_begin(fixture, session, &answer);
        testing_run_until_count(fixture->event, &answer.n, 1);
        testing_expect_error(&answer.error, code, part);
        g_assert_cmpint(session->life.state, ==, before.state);
        g_assert_cmpint(session->life.launching, ==, before.launching);
}

static void test_it_is_started_once(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add_started(fixture, "web", NULL);
        g_autoptr(Session) session = session_ref(execute(fixture, container, SLEEPS_LATER));
        g_auto(Answer) first = {0}, second = {0};
        g_autoptr(GError) error = NULL;

        execute_begin(fixture, session, &first);
        execute_begin(fixture, session, &second);
        testing_run_until_count(fixture->event, &second.n, 1);
        g_assert_cmpuint(first.n, ==, 1);
        g_assert_no_error(first.error);
        testing_expect_error(&second.error, CONBUS_ERROR_INVALID_STATE, "it is running; possible when it is created");
        executed_expect(fixture, session, SESSION_RUNNING, 0, 0); /* the first is none the worse for it */
        g_assert_true(session_kill(session, SIGKILL, &error));
        executed_run_until(fixture, session, SESSION_STOPPED);
        expect_not_started(fixture, session, CONBUS_ERROR_INVALID_STATE, "it is stopped; possible when it is created");
        g_assert_true(session_remove(fixture->engine, session, &error));
        expect_not_started(fixture, session, CONBUS_ERROR_REMOVED, "it has been removed");
        executed_expect_none(fixture, container);
}

/* A former life of the service has begun it, and nobody knows yet what came of it. */
static void test_one_that_is_being_started_is_not_started(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add_started(fixture, "web", NULL);
        g_auto(Answer) answer = {0};
        Gate *gate = fakes_gate(fixture, "crun exec");
        g_autoptr(GError) error = NULL;

        (void) execute_submit(fixture, container, SLEEPS, NULL, &answer);
        gate_reach(gate);
        container = executed_crash(fixture, NULL);
        expect_not_started(fixture, executed_get(container), CONBUS_ERROR_INVALID_STATE, "it is being started; possible when it is created");
        g_assert_false(session_remove(fixture->engine, executed_get(container), &error));
        testing_expect_error(&error, CONBUS_ERROR_INVALID_STATE, "it is being started; possible once its start has been answered");
        gate_open(gate);
        executed_run_until(fixture, executed_get(container), SESSION_RUNNING);
}

static void test_descriptors_that_were_lost(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add_started(fixture, "web", NULL);
        g_auto(Answer) answer = {0};
        int fd;

        (void) execute_submit(fixture, container, "{'command': <['sleep', '1000']>, 'start': <false>, 'own-descriptors': <true>}", descriptors_of_pipe(&fd), &answer);
        testing_run_until_count(fixture->event, &answer.n, 1);
        g_assert_no_error(answer.error);
        g_assert_nonnull(executed_get(container)->descriptors); /* are kept for its start */
        container = executed_crash(fixture, NULL);
        expect_closed(fd);
        expect_not_started(fixture, executed_get(container), CONBUS_ERROR_INTERRUPTED, "were lost when the service was restarted; make it again");
        executed_expect(fixture, executed_get(container), SESSION_CREATED, 0, 0);
}

static void test_descriptors_that_wait_for_the_start(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add_started(fixture, "web", NULL);
        g_auto(Answer) answer = {0};
        int fd;

        (void) execute_submit(fixture, container, "{'command': <['sh', '-c', 'echo here >&3; exit 0']>, 'start': <false>, 'own-descriptors': <true>}", descriptors_of_pipe(&fd), &answer);
        testing_run_until_count(fixture->event, &answer.n, 1);
        Session *session = executed_get(container);
        fixture_refuse(fixture, "INSERT ON session WHEN new.launching");
        expect_not_started(fixture, session, CONBUS_ERROR_STORAGE_FULL, "");
        fixture_allow(fixture);
        g_assert_nonnull(session->descriptors); /* a start that was taken back can be tried again */
        execute_begin(fixture, session, &answer);
        testing_run_until_count(fixture->event, &answer.n, 1);
        g_assert_no_error(answer.error);
        executed_expect_text(fd, "here\n");
        executed_run_until(fixture, session, SESSION_STOPPED);
        executed_expect(fixture, session, SESSION_STOPPED, 0, 0);
        close(fd);
}

/* --- limits --- */

static void submit_as(Fixture *fixture, Container *container, Actor *actor) {
        g_autoptr(GVariant) request = testing_parse(SLEEPS);
        ExecPlan plan = {.request = request};
        g_auto(Answer) answer = {0};
        g_autoptr(GError) error = NULL;

        g_assert_nonnull(sessions_exec(fixture->engine, container, &plan, actor, answer_note, &answer, &error));
        g_assert_no_error(error);
        testing_run_until_count(fixture->event, &answer.n, 1);
        g_assert_no_error(answer.error);
        g_assert_cmpuint(executed_get(container)->owner_uid, ==, actor->uid);
        g_assert_cmpstr(executed_get(container)->client, ==, actor->bus_name);
}

static void test_a_user_has_so_many(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add_started(fixture, "web", NULL), *other = fakes_add_started(fixture, "other", NULL);
        Actor *root = actor_new(0, 1, "root", "", ":1.0"), *user = actor_new(1000, 1, "user", "", ":1.1"), *another = actor_new(1001, 1, "another", "", ":1.2");
        g_autoptr(GError) error = NULL;

        fixture->engine->settings.processes_per_user = 2;
        submit_as(fixture, container, user);
        Session *first = executed_get(container);
        submit_as(fixture, other, user);
        execute_expect_refused(fixture, container, user, CONBUS_ERROR_LIMITS_EXCEEDED, "user 1000 has 2 processes in containers already; some must end or be removed first");
        submit_as(fixture, container, another);
        for (int i = 0; i < 3; i++)
                submit_as(fixture, container, root);
        g_assert_true(session_kill(first, SIGKILL, &error));
        executed_run_until(fixture, first, SESSION_STOPPED);
        execute_expect_refused(fixture, container, user, CONBUS_ERROR_LIMITS_EXCEEDED, "user 1000"); /* its record counts as well */
        g_assert_true(session_remove(fixture->engine, first, &error));
        submit_as(fixture, container, user);
        actor_unref(root);
        actor_unref(user);
        actor_unref(another);
}

/* --- steps that fail before anything is recorded --- */

static void expect_taken_back(Fixture *fixture, Container *container, const char *request, ConbusError code, const char *part) {
        g_auto(Answer) answer = {0};
        int fd;

        (void) execute_submit(fixture, container, request, descriptors_of_pipe(&fd), &answer);
        testing_run_until_count(fixture->event, &answer.n, 1);
        testing_expect_error(&answer.error, code, part);
        testing_run_idle(fixture->event);
        g_assert_cmpuint(container->sessions->len, ==, 0);
        expect_closed(fd);
        fixture_expect(fixture, container, STATE_RUNNING);
        fixture_expect_events(fixture, "init start ");
}

static void test_a_request_that_cannot_be_met(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add_started(fixture, "web", NULL);

        expect_taken_back(fixture, container, "{'command': <['true']>, 'user': <'nobody-knows'>}", CONBUS_ERROR_INVALID_ARGS, "nobody-knows");
        executed_expect_none(fixture, container);
        expect_taken_back(fixture, container, "{'command': <['true']>, 'user': <'nobody-knows'>, 'start': <false>}", CONBUS_ERROR_INVALID_ARGS, "nobody-knows");
        executed_expect_none(fixture, container);
        expect_possible(fixture, container);
}

/* A file stands where something has to be made; the next session's number is one more than the last one's. */
static void test_files_that_cannot_be_made(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add_started(fixture, "web", NULL);
        g_autofree char *top = g_build_filename(fixture->paths.run, "exec", NULL);

        g_assert_cmpint(rmdir(top), ==, 0);
        testing_write(fixture->paths.run, "exec", "");
        expect_taken_back(fixture, container, SLEEPS, CONBUS_ERROR_INTERNAL, "make the directory");
        g_assert_cmpint(unlink(top), ==, 0);
        guint64 next = store_new_session_number(fixture->store) + 1;
        g_autofree char *process = session_file(fixture, next, "process.json");
        g_assert_cmpint(g_mkdir_with_parents(process, 0700), ==, 0);
        expect_taken_back(fixture, container, SLEEPS, CONBUS_ERROR_INTERNAL, "execute in container \"web\": ");
        g_autofree char *directory = paths_session(&fixture->paths, next);
        g_assert_cmpint(rmdir(process) + rmdir(directory), ==, 0);
        expect_possible(fixture, container);
}

static void test_a_console_that_cannot_be_made(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add_started(fixture, "web", NULL);
        g_autofree char *directory = paths_session(&fixture->paths, store_new_session_number(fixture->store) + 1);
        struct Given given;

        testing_write(directory, "console", "");
        submit_terminal(fixture, container, &given);
        testing_run_until_count(fixture->event, &given.answer.n, 1);
        testing_expect_error(&given.answer.error, CONBUS_ERROR_INTERNAL, "make the socket for a terminal");
        g_assert_cmpint(given.terminal, ==, -1);
        executed_expect_none(fixture, container);
        expect_possible(fixture, container);
}

static void test_a_group_that_cannot_be_made(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add_started(fixture, "web", NULL);
        g_autofree char *group = g_strdup(container->life.cgroup);
        g_autoptr(Commit) elsewhere = commit_new(container, NULL), back = commit_new(container, NULL);

        life_set_string(&elsewhere->life.cgroup, "/conbus/no/such");
        g_assert_true(commit_apply(elsewhere, NULL));
        expect_taken_back(fixture, container, "{'command': <['sleep', '1000']>, 'cgroup': <'job'>}", CONBUS_ERROR_INTERNAL, "make the control group /conbus/no/such/job");
        life_set_string(&back->life.cgroup, group);
        g_assert_true(commit_apply(back, NULL));
        executed_expect_none(fixture, container);
        expect_possible(fixture, container);
}

static void test_programs_that_are_missing(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add_started(fixture, "web", NULL);
        char *crun = fixture->paths.crun, *conmon = fixture->paths.conmon;

        fixture->paths.conmon = (char *) "/no/conmon";
        expect_taken_back(fixture, container, SLEEPS, CONBUS_ERROR_HELPER_MISSING, "/no/conmon is not installed");
        fixture->paths.conmon = conmon;
        fixture->paths.crun = (char *) "/no/crun";
        expect_taken_back(fixture, container, SLEEPS, CONBUS_ERROR_HELPER_MISSING, "/no/crun is not installed");
        fixture->paths.crun = crun;
        executed_expect_none(fixture, container);
        expect_possible(fixture, container);
}

static void test_no_conmon_runs_that_cannot_be_stored(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add_started(fixture, "web", NULL);

        fakes_order("conmon begin 1 silent"); /* is never reached: it is held before exec */
        fixture_refuse(fixture, "INSERT ON session");
        expect_taken_back(fixture, container, SLEEPS, CONBUS_ERROR_STORAGE_FULL, "");
        expect_taken_back(fixture, container, SLEEPS_LATER, CONBUS_ERROR_STORAGE_FULL, "");
        fixture_allow(fixture);
        executed_expect_none(fixture, container);
        fakes_cancel();
        expect_possible(fixture, container);
}

/* What was made to be started later stays as it was, and can be. */
static void test_a_later_start_that_is_taken_back(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add_started(fixture, "web", NULL);
        Session *session = execute(fixture, container, SLEEPS_LATER);
        char *conmon = fixture->paths.conmon;
        g_auto(Answer) answer = {0};

        fixture->paths.conmon = (char *) "/no/conmon";
        expect_not_started(fixture, session, CONBUS_ERROR_HELPER_MISSING, "/no/conmon");
        fixture->paths.conmon = conmon;
        executed_expect(fixture, session, SESSION_CREATED, 0, 0);
        g_assert_false(executed_has_directory(fixture, session));
        fixture_refuse(fixture, "INSERT ON session WHEN new.launching");
        expect_not_started(fixture, session, CONBUS_ERROR_STORAGE_FULL, "");
        fixture_allow(fixture);
        executed_expect(fixture, session, SESSION_CREATED, 0, 0);
        g_assert_false(pidref_is_set(&session->monitor));
        g_assert_false(executed_has_directory(fixture, session));
        execute_begin(fixture, session, &answer);
        testing_run_until_count(fixture->event, &answer.n, 1);
        g_assert_no_error(answer.error);
        executed_expect(fixture, session, SESSION_RUNNING, 0, 0);
}

/* --- launches that fail --- */

static void expect_failed(Fixture *fixture, Container *container, const char *request, ConbusError code, const char *part, int exit_code) {
        g_autoptr(GError) error = NULL;
        g_auto(Answer) answer = {0};
        int fd;

        (void) execute_submit(fixture, container, request, descriptors_of_pipe(&fd), &answer);
        testing_run_until_count(fixture->event, &answer.n, 1);
        testing_expect_error(&answer.error, code, part);
        Session *session = executed_get(container);
        executed_expect(fixture, session, SESSION_STOPPED, exit_code, 0);
        g_assert_cmpuint(session->life.start_usec, ==, 0); /* it never ran */
        testing_run_idle(fixture->event);
        expect_closed(fd);
        g_assert_true(session_remove(fixture->engine, session, &error));
        executed_expect_none(fixture, container);
        fixture_expect(fixture, container, STATE_RUNNING);
}

static void test_launches_that_fail(Fixture *fixture, gconstpointer unused) {
        static const struct {
                const char *fault;
                ConbusError code;
                const char *part;
                int exit_code;
        } table[] = {
                {"crun exec 1 fail it broke", CONBUS_ERROR_RUNTIME_FAILED, "execute in container \"web\": it broke", 125},
                {"crun exec 1 fail executable file `x` not found in $PATH", CONBUS_ERROR_RUNTIME_COMMAND_NOT_FOUND, "not found", 127},
                {"crun exec 1 fail open executable: Permission denied", CONBUS_ERROR_RUNTIME_PERMISSION_DENIED, "denied", 126},
                {"crun exec 1 silent", CONBUS_ERROR_MONITOR_FAILED, "conmon ended before crun had started the process", 125},
                {"crun exec 1 die 9", CONBUS_ERROR_MONITOR_FAILED, "conmon ended before", 125},
                {"crun exec-half 1 die 9", CONBUS_ERROR_MONITOR_FAILED, "conmon ended before", 125},
                {"crun exec-half 1 fail no space", CONBUS_ERROR_RUNTIME_FAILED, "no space", 125},
                {"conmon begin 1 silent", CONBUS_ERROR_MONITOR_FAILED, "conmon ended before", 125},
                {"conmon create 1 die 9", CONBUS_ERROR_MONITOR_FAILED, "conmon ended before", 125},
                {"conmon create 1 fail [conmon:e]: no", CONBUS_ERROR_MONITOR_FAILED, "no", 125},
                {"conmon created 1 packet nonsense", CONBUS_ERROR_MONITOR_FAILED, "not understood: nonsense", 125},
                {"conmon created 1 packet {\"data\": -1, \"message\": \"no\"}", CONBUS_ERROR_RUNTIME_FAILED, "no", 125},
                {"conmon created 1 mute", CONBUS_ERROR_MONITOR_FAILED, "conmon ended before", 125},
        };
        Container *container = fakes_add_started(fixture, "web", NULL);
        g_autoptr(GString) events = g_string_new("init start ");

        for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
                g_test_message("%s", table[i].fault);
                fakes_order(table[i].fault);
                expect_failed(fixture, container, SLEEPS, table[i].code, table[i].part, table[i].exit_code);
                g_string_append(events, "exec-died "); /* that it ran is never said */
        }
        expect_failed(fixture, container, "{'command': <['/no/such']>}", CONBUS_ERROR_RUNTIME_COMMAND_NOT_FOUND, "/no/such", 127);
        g_string_append(events, "exec-died ");
        fixture_expect_events(fixture, events->str);
        expect_possible(fixture, container);
}

static void test_launches_that_hang_are_killed(Fixture *fixture, gconstpointer unused) {
        static const char *const faults[] = {"conmon begin 1 hang", "conmon create 1 hang", "crun exec 1 hang", "crun exec-half 1 hang", "conmon created 1 hang"};
        Container *container = fakes_add_started(fixture, "web", NULL);

        for (size_t i = 0; i < G_N_ELEMENTS(faults); i++) {
                g_test_message("%s", faults[i]);
                fixture->engine->settings.create_usec = 100 * G_TIME_SPAN_MILLISECOND;
                fakes_order(faults[i]); /* whenever it is killed, at or before this */
                expect_failed(fixture, container, SLEEPS, CONBUS_ERROR_MONITOR_FAILED, "crun exec did not end in 0.1 s", 125);
                fakes_cancel();
        }
        fixture->engine->settings.create_usec = fixture->settings.create_usec;
        expect_possible(fixture, container);
}

/* The end of it can be recorded, that it runs cannot: it must not run. */
static void test_a_process_whose_start_cannot_be_stored(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add_started(fixture, "web", NULL);
        g_auto(Answer) answer = {0};

        fixture_refuse(fixture, "INSERT ON event WHEN new.action = 'exec'");
        execute_do(fixture, container, SLEEPS, &answer);
        testing_expect_error(&answer.error, CONBUS_ERROR_STORAGE_FULL, "");
        Session *session = executed_get(container);
        executed_run_until(fixture, session, SESSION_STOPPED);
        fixture_allow(fixture);
        executed_expect(fixture, session, SESSION_STOPPED, 137, SIGKILL);
        fixture_expect_events(fixture, "init start exec-died ");
        expect_possible(fixture, container);
}

static void test_the_container_ends_in_the_middle(Fixture *fixture, gconstpointer unused) {
        Container *container = fakes_add_started(fixture, "web", NULL);
        g_auto(Answer) answer = {0};
        Gate *gate = fakes_gate(fixture, "crun exec");

        (void) execute_submit(fixture, container, SLEEPS, NULL, &answer);
        gate_reach(gate);
        kill_now(container);
        fixture_run_until_state(fixture, container, STATE_STOPPED); /* the teardown waits for the launch */
        gate_open(gate);
        testing_run_until_count(fixture->event, &answer.n, 1);
        testing_expect_error(&answer.error, CONBUS_ERROR_RUNTIME_FAILED, "is not running");
        executed_expect(fixture, executed_get(container), SESSION_STOPPED, 125, 0);
        fixture_run_until_state(fixture, container, STATE_EXITED);
        fakes_expect_nothing_runs(fixture, container);
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        EXECUTED_ADD(it_runs_and_ends);
        EXECUTED_ADD(the_code_is_kept);
        EXECUTED_ADD(conmon_is_recorded_before_it_runs);
        EXECUTED_ADD(it_holds_the_queue);
        EXECUTED_ADD(one_that_is_started_later);
        EXECUTED_ADD(a_group_of_its_own);
        EXECUTED_ADD(descriptors_of_the_caller);
        EXECUTED_ADD(a_terminal_for_the_caller);
        EXECUTED_ADD(a_terminal_that_does_not_come);
        EXECUTED_ADD(states_that_refuse);
        EXECUTED_ADD(a_state_that_refuses_when_its_turn_has_come);
        EXECUTED_ADD(one_that_is_cancelled_before_it_begins);
        EXECUTED_ADD(it_is_started_once);
        EXECUTED_ADD(one_that_is_being_started_is_not_started);
        EXECUTED_ADD(descriptors_that_were_lost);
        EXECUTED_ADD(descriptors_that_wait_for_the_start);
        EXECUTED_ADD(a_user_has_so_many);
        EXECUTED_ADD(a_request_that_cannot_be_met);
        EXECUTED_ADD(files_that_cannot_be_made);
        EXECUTED_ADD(a_console_that_cannot_be_made);
        EXECUTED_ADD(a_group_that_cannot_be_made);
        EXECUTED_ADD(programs_that_are_missing);
        EXECUTED_ADD(no_conmon_runs_that_cannot_be_stored);
        EXECUTED_ADD(a_later_start_that_is_taken_back);
        EXECUTED_ADD(launches_that_fail);
        EXECUTED_ADD(launches_that_hang_are_killed);
        EXECUTED_ADD(a_process_whose_start_cannot_be_stored);
        EXECUTED_ADD(the_container_ends_in_the_middle);
        return g_test_run();
}
