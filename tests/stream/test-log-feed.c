/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* service/stream/log-feed.c, run as conbus-stream runs it: what it says first, what it serves, when it waits and when it leaves. */

#include "stream/log-feed.h"
#include "log-directory.h"
#include "base/log.h"
#include "runtime/process.h"
#include "stream/log-state.h"
#include "testing.h"
#include <errno.h>
#include <stdlib.h>
#include <sys/wait.h>

#define TIME "2026-11-25T22:27:53.660170586+00:00"
#define OUT TIME " stdout F "

typedef struct Fixture {
        LogDirectory log;
        sd_event *event;
        Reaper *reaper;
        LogPlan plan; /* the bytes of both streams; what it points to is not its own */
        Process *process;
        unsigned n_ended;
        int exit_status;
        char *printed, *errors; /* its standard output and error */
        int output, status; /* the test's ends */
        GString *got, *said;
        unsigned before;
} Fixture;

static void set_up(Fixture *fixture, gconstpointer unused) {
        log_set_level(LOG_EMERG);
        log_directory_make(&fixture->log, NULL);
        fixture->before = testing_count_descriptors();
        g_assert_cmpint(sd_event_new(&fixture->event), >=, 0);
        fixture->reaper = reaper_new(fixture->event);
        fixture->plan = (LogPlan) {.id = (char *) "0123456789abcdef", .name = (char *) "web", .path = fixture->log.path, .directory = fixture->log.directory, .streams = STREAM_MASK(STREAM_STDOUT) | STREAM_MASK(STREAM_STDERR),
                                   .until_usec = UINT64_MAX, .tail = -1};
        fixture->output = fixture->status = -1;
        fixture->got = g_string_new(NULL);
        fixture->said = g_string_new(NULL);
}

static void on_ended(const ProcessResult *result, void *userdata) {
        Fixture *fixture = userdata;

        g_assert_true(WIFEXITED(result->status));
        fixture->exit_status = WEXITSTATUS(result->status);
        g_free(fixture->printed);
        g_free(fixture->errors);
        fixture->printed = g_memdup2(result->output, result->output_size + 1);
        fixture->errors = g_strdup(result->errors);
        fixture->n_ended++;
        fixture->process = NULL;
}

static bool has_no_children(void *unused) {
        siginfo_t info;

        return waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) < 0 && errno == ECHILD;
}

static void tear_down(Fixture *fixture, gconstpointer unused) {
        if (fixture->process)
                process_abandon(fixture->process);
        testing_run_until(fixture->event, has_no_children, NULL);
        close_fd(fixture->output);
        close_fd(fixture->status);
        g_string_free(fixture->got, TRUE);
        g_string_free(fixture->said, TRUE);
        g_free(fixture->printed);
        g_free(fixture->errors);
        reaper_free(fixture->reaper);
        sd_event_unref(fixture->event);
        g_assert_cmpuint(testing_count_descriptors(), ==, fixture->before);
        log_directory_remove(&fixture->log, NULL);
}

static void begin_with(Fixture *fixture, const char *text) {
        g_autofree char *program = testing_built("service/conbus-stream");
        const char *const argv[] = {program, "log", text, NULL};
        ProcessSpec spec = PROCESS_SPEC_INIT;
        g_autoptr(GError) error = NULL;
        int output[2], status[2];

        g_assert_no_errno(pipe2(output, O_CLOEXEC));
        g_assert_no_errno(pipe2(status, O_CLOEXEC));
        close_fd(fixture->output);
        close_fd(fixture->status);
        fixture->output = output[0];
        fixture->status = status[0];
        g_assert_no_errno(fcntl(fixture->output, F_SETFL, O_NONBLOCK));
        g_assert_no_errno(fcntl(fixture->status, F_SETFL, O_NONBLOCK));
        spec.argv = argv;
        spec.fds = (const int[]) {output[1], status[1]};
        spec.n_fds = 2;
        fixture->n_ended = 0;
        fixture->process = process_begin(fixture->event, fixture->reaper, &spec, on_ended, fixture, &error);
        g_assert_no_error(error);
        close(output[1]);
        close(status[1]);
}

static void begin(Fixture *fixture) {
        g_autofree char *text = log_plan_to_string(&fixture->plan);

        begin_with(fixture, text);
}

/* Appends what can be read to text. True at the end of the pipe. */
static bool drain(int fd, GString *text) {
        char bytes[65536];
        ssize_t n;

        while ((n = read(fd, bytes, sizeof bytes)) > 0)
                g_string_append_len(text, bytes, n);
        g_assert_true(n == 0 || errno == EAGAIN);
        return n == 0;
}

static int on_readable(sd_event_source *source, int fd, uint32_t revents, void *userdata) {
        return 0;
}

/* Runs the loop until the pipe has something, or has come to its end. */
static void await_more(Fixture *fixture, int fd, gint64 deadline) {
        sd_event_source *source = NULL;

        g_assert_cmpint(g_get_monotonic_time(), <, deadline);
        g_assert_cmpint(sd_event_add_io(fixture->event, &source, fd, EPOLLIN, on_readable, NULL), >=, 0);
        g_assert_cmpint(sd_event_run(fixture->event, TESTING_DEADLINE_USEC), >=, 0);
        sd_event_source_disable_unref(source);
}

static void expect_said(Fixture *fixture, const char *wanted) {
        const gint64 deadline = g_get_monotonic_time() + TESTING_DEADLINE_USEC;

        g_string_truncate(fixture->said, 0);
        while (!drain(fixture->status, fixture->said))
                await_more(fixture, fixture->status, deadline);
        if (!g_str_has_prefix(fixture->said->str, wanted) || (!*wanted && fixture->said->len > 0))
                g_error("\"%s\" is not \"%s\"", fixture->said->str, wanted);
}

/* Waits for all of the text; nothing else has come. */
static void expect_got(Fixture *fixture, const char *wanted) {
        const gint64 deadline = g_get_monotonic_time() + TESTING_DEADLINE_USEC;

        while (!drain(fixture->output, fixture->got) && fixture->got->len < strlen(wanted))
                await_more(fixture, fixture->output, deadline);
        g_assert_cmpstr(fixture->got->str, ==, wanted);
        g_string_truncate(fixture->got, 0);
}

static void expect_left(Fixture *fixture, int status) {
        testing_run_until_count(fixture->event, &fixture->n_ended, 1);
        g_assert_cmpint(fixture->exit_status, ==, status);
}

/* The rest, to the end of the pipe, and the process with it. */
static void expect_rest(Fixture *fixture, const char *wanted) {
        const gint64 deadline = g_get_monotonic_time() + TESTING_DEADLINE_USEC;

        while (!drain(fixture->output, fixture->got))
                await_more(fixture, fixture->output, deadline);
        g_assert_cmpstr(fixture->got->str, ==, wanted);
        g_string_truncate(fixture->got, 0);
        expect_left(fixture, EXIT_SUCCESS);
}

static void put_state(Fixture *fixture, LogPhase phase, guint64 run, int code) {
        const LogState state = {.phase = phase, .run = run, .exit_code = code};

        g_assert_true(log_state_write(fixture->log.directory, &state, NULL));
}

static void follow(Fixture *fixture) {
        fixture->plan.follow = true;
        put_state(fixture, LOG_PHASE_OPEN, 1, -1);
        begin(fixture);
        expect_said(fixture, "ok");
}

/* --- once --- */

static void test_all_there_is(Fixture *fixture, gconstpointer unused) {
        log_append(fixture->log.path, OUT "a\n" TIME " stderr F b\n" TIME " stdout P hal");
        begin(fixture);
        expect_said(fixture, "ok");
        expect_rest(fixture, "a\nb\n");
        fixture->plan.path = (char *) "/nonexistent/log"; /* of a container that has not run */
        begin(fixture);
        expect_said(fixture, "ok");
        expect_rest(fixture, "");
}

static void test_lines_with_their_end(Fixture *fixture, gconstpointer unused) {
        static const char line[] = OUT "a\n";
        g_autofree char *wanted = g_strdup_printf("{\"time\":1795645673660170,\"stream\":\"stdout\",\"text\":\"a\",\"cursor\":\"1:%zx\"}\n{\"end\":\"log-end\",\"cursor\":\"1:%zx\"}\n", strlen(line), strlen(line));

        log_append(fixture->log.path, line);
        fixture->plan.format = LOG_FORMAT_JSON;
        begin(fixture);
        expect_said(fixture, "ok");
        expect_rest(fixture, wanted);
        fixture->plan.format = LOG_FORMAT_TEXT;
        fixture->plan.timestamps = true;
        begin(fixture);
        expect_rest(fixture, "2026-11-25T22:27:53.660170Z a\n");
}

static void test_an_answer(Fixture *fixture, gconstpointer unused) {
        log_append(fixture->log.path, OUT "a\n" OUT "b\n");
        fixture->plan.format = LOG_FORMAT_ANSWER;
        fixture->plan.limit = 1;
        begin(fixture);
        expect_left(fixture, EXIT_SUCCESS);
        g_assert_nonnull(fixture->printed);
        g_assert_cmpstr(fixture->errors, ==, "");
        fixture->plan.from = (char *) "1:1000";
        begin(fixture);
        expect_left(fixture, EXIT_FAILURE);
        g_assert_cmpstr(fixture->printed, ==, "");
        g_assert_cmpstr(fixture->errors, ==, "org.freedesktop.DBus.Error.InvalidArgs\nthe log has no such position any more");
}

/* --- what fails --- */

static void test_a_plan_that_is_not_understood(Fixture *fixture, gconstpointer unused) {
        begin_with(fixture, "nonsense");
        expect_said(fixture, "");
        expect_left(fixture, EXIT_FAILURE);
        fixture->plan.id = NULL;
        begin(fixture);
        expect_said(fixture, "");
        expect_left(fixture, EXIT_FAILURE);
}

static void expect_refused(Fixture *fixture, const char *error) {
        begin(fixture);
        expect_said(fixture, error);
        expect_left(fixture, EXIT_FAILURE);
        g_assert_true(drain(fixture->output, fixture->got));
        g_assert_cmpuint(fixture->got->len, ==, 0);
}

static void test_what_cannot_be_opened(Fixture *fixture, gconstpointer unused) {
        fixture->plan.from = (char *) "7:0";
        expect_refused(fixture, "org.freedesktop.DBus.Error.InvalidArgs\nthe log has no such position any more");
        fixture->plan.from = NULL;
        g_assert_no_errno(symlink("/etc/passwd", fixture->log.path));
        expect_refused(fixture, "io.conbus1.Error.Internal\nthe log ");
        fixture->plan.follow = true;
        fixture->plan.directory = (char *) "/nonexistent";
        expect_refused(fixture, "io.conbus1.Error.Internal\nprepare to read a log: No such file");
        fixture->plan.directory = fixture->log.directory;
        fixture->plan.path = (char *) "/nonexistent/log";
        expect_refused(fixture, "io.conbus1.Error.Internal\nwatch the log: No such file");
}

/* --- following --- */

static void test_what_comes_is_served(Fixture *fixture, gconstpointer unused) {
        follow(fixture);
        log_append(fixture->log.path, OUT "a\n");
        expect_got(fixture, "a\n");
        log_append(fixture->log.path, TIME " stdout P hal");
        log_append(fixture->log.path, "f\n");
        expect_got(fixture, "half");
        log_link(&fixture->log, ".1");
        log_replace(&fixture->log, OUT "b\n");
        expect_got(fixture, "b\n");
        g_assert_cmpuint(fixture->n_ended, ==, 0);
}

static void test_the_end_of_the_run(Fixture *fixture, gconstpointer unused) {
        g_autofree char *wanted = g_strdup_printf("{\"time\":1795645673660170,\"stream\":\"stdout\",\"text\":\"a\",\"cursor\":\"1:%zx\"}\n{\"end\":\"exited\",\"run\":1,\"exit-code\":7,\"cursor\":\"1:%zx\"}\n", strlen(OUT "a\n"), strlen(OUT "a\n"));

        fixture->plan.format = LOG_FORMAT_JSON;
        follow(fixture);
        testing_write(fixture->log.directory, "else", "nothing to it");
        put_state(fixture, LOG_PHASE_RESTARTING, 1, 7); /* it follows beyond it */
        log_append(fixture->log.path, OUT "a\n");
        put_state(fixture, LOG_PHASE_ENDED, 1, 7);
        expect_rest(fixture, wanted);
}

static void test_the_end_of_one_run(Fixture *fixture, gconstpointer unused) {
        fixture->plan.format = LOG_FORMAT_JSON;
        fixture->plan.run = 1;
        follow(fixture);
        put_state(fixture, LOG_PHASE_RESTARTING, 1, 7);
        expect_rest(fixture, "{\"end\":\"exited\",\"run\":1,\"exit-code\":7,\"cursor\":\"0:0\"}\n");
        follow(fixture);
        put_state(fixture, LOG_PHASE_OPEN, 2, -1); /* the next one has followed before it looked */
        expect_rest(fixture, "{\"end\":\"exited\",\"run\":1,\"cursor\":\"0:0\"}\n");
}

static void test_the_end_was_before(Fixture *fixture, gconstpointer unused) {
        log_append(fixture->log.path, OUT "a\n");
        fixture->plan.follow = true;
        put_state(fixture, LOG_PHASE_ENDED, 1, 0);
        begin(fixture);
        expect_said(fixture, "ok");
        expect_rest(fixture, "a\n");
}

static void test_a_container_that_is_removed(Fixture *fixture, gconstpointer unused) {
        fixture->plan.format = LOG_FORMAT_JSON;
        follow(fixture);
        put_state(fixture, LOG_PHASE_REMOVED, 1, 0);
        expect_rest(fixture, "{\"end\":\"removed\",\"run\":1,\"cursor\":\"0:0\"}\n");
        follow(fixture);
        log_remove_old(&(LogDirectory) {.path = fixture->log.directory}, "/" LOG_STATE_FILE);
        expect_rest(fixture, "{\"end\":\"removed\",\"cursor\":\"0:0\"}\n");
}

static void test_a_directory_that_goes(Fixture *fixture, gconstpointer unused) {
        g_autofree char *directory = g_build_filename(fixture->log.directory, "run", NULL);

        g_assert_no_errno(g_mkdir(directory, 0700));
        fixture->plan.directory = directory;
        fixture->plan.follow = true;
        fixture->plan.format = LOG_FORMAT_JSON;
        g_assert_true(log_state_write(directory, &(LogState) {.phase = LOG_PHASE_OPEN, .run = 1, .exit_code = -1}, NULL));
        begin(fixture);
        expect_said(fixture, "ok");
        log_remove_old(&(LogDirectory) {.path = directory}, "/" LOG_STATE_FILE);
        log_remove_old(&(LogDirectory) {.path = directory}, "");
        expect_rest(fixture, "{\"end\":\"removed\",\"cursor\":\"0:0\"}\n");
}

static void test_until_a_time(Fixture *fixture, gconstpointer unused) {
        fixture->plan.format = LOG_FORMAT_JSON;
        fixture->plan.until_usec = (guint64) g_get_real_time() + 1000;
        follow(fixture);
        expect_rest(fixture, "{\"end\":\"until\",\"cursor\":\"0:0\"}\n");
}

/* --- readers --- */

static void test_a_reader_that_leaves(Fixture *fixture, gconstpointer unused) {
        follow(fixture);
        fixture->output = close_fd(fixture->output);
        expect_left(fixture, EXIT_SUCCESS);
}

static char *write_much(Fixture *fixture) {
        g_autoptr(GString) lines = g_string_new(NULL);
        GString *wanted = g_string_new(NULL);

        for (unsigned i = 0; i < 40000; i++) {
                g_string_append_printf(lines, OUT "line number %08u of many\n", i);
                g_string_append_printf(wanted, "line number %08u of many\n", i);
        }
        log_append(fixture->log.path, lines->str);
        return g_string_free(wanted, FALSE);
}

static void test_a_reader_that_leaves_in_the_middle(Fixture *fixture, gconstpointer unused) {
        g_autofree char *all = write_much(fixture);

        begin(fixture);
        expect_said(fixture, "ok");
        fixture->output = close_fd(fixture->output);
        expect_left(fixture, EXIT_SUCCESS);
}

/* By its inode: it may have been opened by another name. */
static bool holds(Fixture *fixture, const char *path) {
        struct stat wanted, found;

        g_autofree char *directory = g_strdup_printf("/proc/%d/fd", (int) process_pid(fixture->process)->pid);
        g_autoptr(GDir) entries = g_dir_open(directory, 0, NULL);

        for (const char *name; entries && (name = g_dir_read_name(entries));) {
                g_autofree char *link = g_build_filename(directory, name, NULL);
                if (stat(path, &wanted) == 0 && stat(link, &found) == 0 && found.st_dev == wanted.st_dev && found.st_ino == wanted.st_ino)
                        return true;
        }
        return false;
}

/* The log is rotated away, and the run ends, while a reader does not read: it gets all that it had taken hold of. */
static void test_a_slow_reader(Fixture *fixture, gconstpointer unused) {
        const gint64 deadline = g_get_monotonic_time() + TESTING_DEADLINE_USEC;
        g_autofree char *first = write_much(fixture), *wanted = g_strconcat(first, "second\nthird\n", NULL), *second = g_strconcat(fixture->log.path, ".2", NULL);

        follow(fixture);
        log_link(&fixture->log, ".1");
        log_replace(&fixture->log, OUT "second\n");
        log_link(&fixture->log, ".2");
        log_replace(&fixture->log, OUT "third\n");
        while (!holds(fixture, second)) {
                g_assert_cmpint(sd_event_run(fixture->event, 1000), >=, 0);
                g_assert_cmpint(g_get_monotonic_time(), <, deadline);
        }
        log_link(&fixture->log, ".3");
        log_remove_old(&fixture->log, ".1");
        log_remove_old(&fixture->log, ".2");
        put_state(fixture, LOG_PHASE_ENDED, 1, 0);
        testing_run_idle(fixture->event);
        g_assert_cmpuint(fixture->n_ended, ==, 0);
        expect_rest(fixture, wanted);
}

static void test_a_gap_is_said(Fixture *fixture, gconstpointer unused) {
        log_append(fixture->log.path, OUT "a\n");
        log_link(&fixture->log, ".1");
        log_replace(&fixture->log, OUT "b\n");
        log_link(&fixture->log, ".2");
        log_replace(&fixture->log, OUT "c\n");
        log_link(&fixture->log, ".3");
        log_replace(&fixture->log, OUT "d\n");
        log_remove_old(&fixture->log, ".2");
        begin(fixture);
        expect_said(fixture, "ok");
        expect_rest(fixture, "a\n-- conbus: lines are missing: the log was rotated away before they were read --\nc\nd\n");
        fixture->plan.timestamps = true;
        begin(fixture);
        expect_rest(fixture, "2026-11-25T22:27:53.660170Z a\n-- conbus: lines are missing: the log was rotated away before they were read --\n2026-11-25T22:27:53.660170Z c\n2026-11-25T22:27:53.660170Z d\n");
}

int main(int argc, char *argv[]) {
        static const struct {
                const char *name;
                void (*run)(Fixture *fixture, gconstpointer unused);
        } tests[] = {
                {"/log-feed/all-there-is", test_all_there_is},
                {"/log-feed/lines-with-their-end", test_lines_with_their_end},
                {"/log-feed/an-answer", test_an_answer},
                {"/log-feed/a-plan-that-is-not-understood", test_a_plan_that_is_not_understood},
                {"/log-feed/what-cannot-be-opened", test_what_cannot_be_opened},
                {"/log-feed/what-comes-is-served", test_what_comes_is_served},
                {"/log-feed/the-end-of-the-run", test_the_end_of_the_run},
                {"/log-feed/the-end-of-one-run", test_the_end_of_one_run},
                {"/log-feed/the-end-was-before", test_the_end_was_before},
                {"/log-feed/a-container-that-is-removed", test_a_container_that_is_removed},
                {"/log-feed/a-directory-that-goes", test_a_directory_that_goes},
                {"/log-feed/until-a-time", test_until_a_time},
                {"/log-feed/a-reader-that-leaves", test_a_reader_that_leaves},
                {"/log-feed/a-reader-that-leaves-in-the-middle", test_a_reader_that_leaves_in_the_middle},
                {"/log-feed/a-slow-reader", test_a_slow_reader},
                {"/log-feed/a-gap-is-said", test_a_gap_is_said},
        };

        g_test_init(&argc, &argv, NULL);
        for (size_t i = 0; i < G_N_ELEMENTS(tests); i++)
                g_test_add(tests[i].name, Fixture, NULL, set_up, tests[i].run, tear_down);
        return g_test_run();
}
