/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* See executed.h. */

#include "executed.h"
#include "base/auto.h"
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

/* --- making --- */

Operation *execute_submit(Fixture *fixture, Container *container, const char *request, SessionDescriptors *descriptors, Answer *answer) {
        g_autoptr(GVariant) parsed = testing_parse(request);
        ExecPlan plan = {.request = parsed, .descriptors = descriptors};
        g_autoptr(GError) error = NULL;

        g_assert_true(session_request_check(parsed, &error) || g_variant_lookup(parsed, "own-descriptors", "b", NULL));
        g_clear_error(&error);
        Operation *operation = sessions_exec(fixture->engine, container, &plan, NULL, answer_note, answer, &error);
        g_assert_no_error(error);
        g_assert_nonnull(operation);
        g_assert_null(plan.descriptors);
        return operation;
}

void execute_do(Fixture *fixture, Container *container, const char *request, Answer *answer) {
        answer_clear(answer);
        (void) execute_submit(fixture, container, request, NULL, answer);
        testing_run_until_count(fixture->event, &answer->n, 1);
}

Session *execute(Fixture *fixture, Container *container, const char *request) {
        g_auto(Answer) answer = {0};

        execute_do(fixture, container, request, &answer);
        g_assert_no_error(answer.error);
        return executed_get(container);
}

void execute_begin(Fixture *fixture, Session *session, Answer *answer) {
        g_autoptr(GError) error = NULL;

        answer_clear(answer);
        g_assert_nonnull(sessions_start(fixture->engine, session, NULL, answer_note, answer, &error));
        g_assert_no_error(error);
        g_assert_cmpuint(answer->n, ==, 0);
}

void execute_expect_refused(Fixture *fixture, Container *container, Actor *actor, ConbusError code, const char *part) {
        g_autoptr(GVariant) request = testing_parse(SLEEPS);
        g_autoptr(SessionDescriptors) descriptors = session_descriptors_new();
        ExecPlan plan = {.request = request, .descriptors = descriptors};
        g_autoptr(GError) error = NULL;
        guint before = container->sessions->len;

        g_assert_null(sessions_exec(fixture->engine, container, &plan, actor, answer_note, NULL, &error));
        testing_expect_error(&error, code, part);
        g_assert_true(plan.descriptors == descriptors); /* is the caller's still */
        g_assert_cmpuint(container->sessions->len, ==, before);
}

Session *execute_stubborn(Fixture *fixture, Container *container, int *ret_fd) {
        SessionDescriptors *descriptors = session_descriptors_new();
        g_auto(Answer) answer = {0};
        int output[2];

        g_assert_cmpint(pipe2(output, O_CLOEXEC), ==, 0);
        descriptors->has_stdio = true;
        descriptors->stdio[0] = open("/dev/null", O_RDONLY | O_CLOEXEC);
        descriptors->stdio[1] = output[1];
        descriptors->stdio[2] = open("/dev/null", O_WRONLY | O_CLOEXEC);
        (void) execute_submit(fixture, container, "{'command': <['sh', '-c', 'trap \"echo heard\" TERM; echo ready; while :; do sleep 1000 & wait; done']>}", descriptors, &answer);
        testing_run_until_count(fixture->event, &answer.n, 1);
        g_assert_no_error(answer.error);
        executed_expect_text(output[0], "ready\n");
        *ret_fd = output[0];
        return executed_get(container);
}

void executed_expect_text(int fd, const char *text) {
        char buffer[256] = "";
        size_t size = 0, wanted = strlen(text);

        g_assert_cmpuint(wanted, <, sizeof buffer);
        while (size < wanted) {
                struct pollfd pollfd = {.fd = fd, .events = POLLIN};
                g_assert_cmpint(poll(&pollfd, 1, (int) (TESTING_DEADLINE_USEC / 1000)), ==, 1);
                ssize_t n = read(fd, buffer + size, wanted - size);
                g_assert_cmpint(n, >, 0);
                size += (size_t) n;
        }
        g_assert_cmpstr(buffer, ==, text);
}

/* --- what became of it --- */

Session *executed_get(Container *container) {
        g_assert_cmpuint(container->sessions->len, >, 0);
        return container->sessions->pdata[container->sessions->len - 1];
}

struct Wanted {
        const Session *session;
        SessionState state;
};

static bool is_in_state(void *userdata) {
        const struct Wanted *wanted = userdata;

        return wanted->session->life.state == wanted->state;
}

void executed_run_until(Fixture *fixture, Session *session, SessionState state) {
        struct Wanted wanted = {.session = session, .state = state};

        testing_run_until(fixture->event, is_in_state, &wanted);
}

struct Rows {
        const Session *session; /* NULL: they are counted only */
        unsigned n, n_found;
};

static void compare_row(const StoredSession *row, void *userdata) {
        struct Rows *rows = userdata;
        const Session *session = rows->session;

        rows->n++;
        if (!session || row->number != session->number)
                return;
        rows->n_found++;
        g_assert_cmpstr(row->container, ==, session->container->id);
        g_assert_cmpuint(row->owner_uid, ==, session->owner_uid);
        g_assert_cmpint(row->life.state, ==, session->life.state);
        g_assert_cmpint(row->life.launching, ==, session->life.launching);
        g_assert_cmpuint(row->life.run, ==, session->life.run);
        g_assert_cmpint(row->life.main.pid, ==, session->life.main.pid);
        g_assert_cmpuint(row->life.main.start_time, ==, session->life.main.start_time);
        g_assert_cmpint(row->life.monitor.pid, ==, session->life.monitor.pid);
        g_assert_cmpuint(row->life.start_usec, ==, session->life.start_usec);
        g_assert_cmpuint(row->life.finish_usec, ==, session->life.finish_usec);
        g_assert_cmpint(row->life.exit_code, ==, session->life.exit_code);
        g_assert_cmpint(row->life.exit_signal, ==, session->life.exit_signal);
}

bool executed_has_directory(Fixture *fixture, const Session *session) {
        g_autofree char *path = paths_session(&fixture->paths, session->number);

        return g_file_test(path, G_FILE_TEST_EXISTS);
}

void executed_expect(Fixture *fixture, Session *session, SessionState state, int code, int signal) {
        struct Rows rows = {.session = session};
        const SessionLife *life = &session->life;

        if (life->state != state)
                g_error("the process is %s; it should be %s", session_state_to_string(life->state), session_state_to_string(state));
        g_assert_true(store_load_sessions(fixture->store, compare_row, &rows, NULL));
        g_assert_cmpuint(rows.n_found, ==, 1);
        g_assert_cmpint(life->exit_code, ==, state == SESSION_STOPPED ? code : -1);
        g_assert_cmpint(life->exit_signal, ==, state == SESSION_STOPPED ? signal : 0);
        g_assert_cmpint(life->finish_usec > 0, ==, state == SESSION_STOPPED);
        if (state == SESSION_RUNNING) {
                g_assert_cmpuint(life->start_usec, >, 0);
                g_assert_nonnull(session->watch);
        } else
                g_assert_false(pidref_is_set(&session->main));
        if (state != SESSION_STOPPED)
                return;
        g_assert_false(life->launching);
        g_assert_cmpint(life->main.pid, ==, 0);
        g_assert_null(session->watch);
        g_assert_null(session->descriptors);
        g_assert_false(pidref_is_set(&session->monitor));
        g_assert_true(g_queue_is_empty(&session->waits));
}

static void expect_no_rows(Fixture *fixture) {
        struct Rows rows = {0};
        g_autofree char *top = g_build_filename(fixture->paths.run, "exec", NULL);
        g_autoptr(GDir) directory = g_dir_open(top, 0, NULL);
        const char *name = directory ? g_dir_read_name(directory) : NULL;

        g_assert_true(store_load_sessions(fixture->store, compare_row, &rows, NULL));
        g_assert_cmpuint(rows.n, ==, 0);
        if (name)
                g_error("%s/%s is left", top, name);
}

void executed_expect_none(Fixture *fixture, Container *container) {
        g_assert_cmpuint(container->sessions->len, ==, 0);
        expect_no_rows(fixture);
}

/* --- the service's own end --- */

Container *executed_crash(Fixture *fixture, const char *sql) {
        fixture_crash(fixture, sql);
        fixture_adopt(fixture);
        Container *container = registry_get_by_name(fixture->registry, "web");
        g_assert_nonnull(container);
        return container;
}

bool executed_kernel_tells(Fixture *fixture) {
        g_auto(PidRef) child = PIDREF_NULL;
        pid_t pid = testing_child_new();
        int status;

        g_assert_true(pidref_open(pid, &child, NULL));
        g_assert_true(pidref_signal(&child, SIGKILL, NULL, NULL));
        fakes_run_until_gone(fixture, pid);
        return pidref_exit_status(&child, &status);
}

void executed_tear_down(Fixture *fixture, gconstpointer unused) {
        g_autofree char *top = g_build_filename(fixture->paths.run, "exec", NULL);

        fixture_quiesce(fixture);
        g_autoptr(GPtrArray) containers = registry_list(fixture->registry);
        for (guint i = 0; i < containers->len; i++) {
                GPtrArray *sessions = ((Container *) containers->pdata[i])->sessions;
                while (sessions->len > 0) {
                        g_autoptr(GError) error = NULL;
                        g_assert_true(session_remove(fixture->engine, sessions->pdata[0], &error)); /* nothing runs without its container */
                }
        }
        expect_no_rows(fixture);
        g_assert_cmpuint(fixture->engine->n_sessions_leaving, ==, 0);
        g_assert_cmpuint(registry_count_sessions(fixture->registry), ==, 0);
        (void) rmdir(top);
        fakes_tear_down(fixture, NULL);
}
