/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* service/runtime/log-process.c: the test is the program that is started (a script) and the service manager that is asked for scopes. */

#include "runtime/log-process.h"
#include "base/log.h"
#include "fake-bus.h"
#include "testing.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define ID "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define SAY_OK "printf ok >&4; exec 4>&-; "
#define WAIT "exec sleep 1000"

typedef struct Fixture {
        sd_event *event;
        Reaper *reaper;
        char *directory;
        Paths paths;
        FakeBus *bus;
        Units *units;
        GPtrArray *calls; /* of text: member and first argument */
        bool refuse; /* the manager starts no unit */
        LogProcess *process;
        unsigned n_opened, n_ended;
        GError *error; /* of opened */
        int output[2]; /* read by the test, written by the program */
        GString *got;
        unsigned before;
} Fixture;

static void on_opened(const GError *error, void *userdata) {
        Fixture *fixture = userdata;

        g_assert_nonnull(fixture->process);
        g_assert_cmpuint(fixture->n_ended, ==, 0);
        fixture->n_opened++;
        fixture->error = error ? g_error_copy(error) : NULL;
        if (error)
                g_clear_pointer(&fixture->process, log_process_free);
}

static void on_ended(void *userdata) {
        Fixture *fixture = userdata;

        g_assert_cmpuint(fixture->n_opened, ==, 1);
        g_assert_null(fixture->error);
        fixture->n_ended++;
        g_clear_pointer(&fixture->process, log_process_free);
}

/* --- the service manager --- */

static void on_call(FakeBus *bus, sd_bus_message *call, void *userdata) {
        Fixture *fixture = userdata;
        const char *unit;

        if (sd_bus_message_is_method_call(call, NULL, "Subscribe"))
                return;
        g_assert_cmpint(sd_bus_message_read(call, "s", &unit), >=, 0);
        g_ptr_array_add(fixture->calls, g_strdup_printf("%s %s", sd_bus_message_get_member(call), unit));
        if (fixture->refuse)
                g_assert_cmpint(sd_bus_reply_method_errorf(call, SD_BUS_ERROR_FAILED, "no"), >=, 0);
        else
                g_assert_cmpint(sd_bus_reply_method_return(call, "o", "/org/freedesktop/systemd1/job/1"), >=, 0);
}

static void with_units(Fixture *fixture) {
        fixture->bus = fake_bus_new(fixture->event, on_call, fixture);
        fixture->units = units_new(fixture->bus->client, fixture->event);
}

static void job_done(Fixture *fixture) {
        fake_bus_signal(fixture->bus, "/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager", "JobRemoved", "uoss", 1u, "/org/freedesktop/systemd1/job/1", "x.scope", "done");
}

/* --- around each test --- */

static void set_up(Fixture *fixture, gconstpointer unused) {
        log_set_level(LOG_EMERG);
        fixture->before = testing_count_descriptors();
        g_assert_cmpint(sd_event_new(&fixture->event), >=, 0);
        fixture->reaper = reaper_new(fixture->event);
        fixture->directory = testing_directory_new();
        fixture->calls = g_ptr_array_new_with_free_func(g_free);
        fixture->got = g_string_new(NULL);
        g_assert_no_errno(pipe2(fixture->output, O_CLOEXEC | O_NONBLOCK));
}

static bool has_no_children(void *unused) {
        siginfo_t info;

        return waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) < 0 && errno == ECHILD;
}

static void tear_down(Fixture *fixture, gconstpointer unused) {
        if (fixture->process)
                log_process_kill(fixture->process);
        testing_run_until(fixture->event, has_no_children, NULL);
        units_free(fixture->units);
        fake_bus_free(fixture->bus);
        g_ptr_array_unref(fixture->calls);
        g_string_free(fixture->got, TRUE);
        g_clear_error(&fixture->error);
        close_fd(fixture->output[0]);
        close_fd(fixture->output[1]);
        g_free(fixture->paths.stream);
        reaper_free(fixture->reaper);
        sd_event_unref(fixture->event);
        testing_directory_free(fixture->directory);
        g_assert_cmpuint(testing_count_descriptors(), ==, fixture->before);
}

static bool try_start(Fixture *fixture, GError **error) {
        const LogProcessPlan plan = {.id = ID, .slice = "machine-a.slice", .text = "the plan", .output_fd = fixture->output[1], .opened = on_opened, .ended = on_ended, .userdata = fixture};

        fixture->process = log_process_start(fixture->event, fixture->reaper, &fixture->paths, fixture->units, &plan, error);
        return fixture->process != NULL;
}

static void start(Fixture *fixture, const char *script) {
        g_autoptr(GError) error = NULL;

        g_free(fixture->paths.stream);
        fixture->paths.stream = testing_program(fixture->directory, "program", script);
        g_assert_true(try_start(fixture, &error));
        g_assert_no_error(error);
        g_assert_cmpuint(fixture->n_opened, ==, 0);
}

static void expect_opened(Fixture *fixture) {
        testing_run_until_count(fixture->event, &fixture->n_opened, 1);
        g_assert_no_error(fixture->error);
}

static void expect_not_opened(Fixture *fixture, ConbusError code, const char *part) {
        testing_run_until_count(fixture->event, &fixture->n_opened, 1);
        testing_expect_error(&fixture->error, code, part);
        testing_run_until(fixture->event, has_no_children, NULL);
        testing_run_idle(fixture->event);
        g_assert_cmpuint(fixture->n_opened, ==, 1);
        g_assert_cmpuint(fixture->n_ended, ==, 0);
}

static bool has_got_line(void *userdata) {
        Fixture *fixture = userdata;
        char bytes[256];
        ssize_t n = read(fixture->output[0], bytes, sizeof bytes);

        if (n > 0)
                g_string_append_len(fixture->got, bytes, n);
        return strchr(fixture->got->str, '\n');
}

/* What it has written; the loop is woken by its callbacks or by time. */
static const char *await_line(Fixture *fixture) {
        const gint64 deadline = g_get_monotonic_time() + TESTING_DEADLINE_USEC;

        while (!has_got_line(fixture)) {
                g_assert_cmpint(sd_event_run(fixture->event, 1000), >=, 0);
                g_assert_cmpint(g_get_monotonic_time(), <, deadline);
        }
        return fixture->got->str;
}

/* --- its words --- */

static void test_what_the_program_is_given(Fixture *fixture, gconstpointer unused) {
        start(fixture, "printf '%s|' \"$@\" >&3; for fd in 3 4 5 6; do [ ! -e /proc/$$/fd/$fd ] || printf $fd >&3; done; echo >&3; printf ok >&4");
        expect_opened(fixture);
        testing_run_until_count(fixture->event, &fixture->n_ended, 1);
        g_assert_cmpstr(await_line(fixture), ==, "log|the plan|34\n");
}

static void test_it_opens_and_ends(Fixture *fixture, gconstpointer unused) {
        start(fixture, SAY_OK "echo $$ >&3; " WAIT);
        expect_opened(fixture);
        pid_t pid = (pid_t) atoi(await_line(fixture));
        testing_run_idle(fixture->event);
        g_assert_cmpuint(fixture->n_ended, ==, 0);
        g_assert_no_errno(kill(pid, SIGTERM));
        testing_run_until_count(fixture->event, &fixture->n_ended, 1);
        g_assert_cmpuint(fixture->n_opened, ==, 1);
}

/* Whether its end or its last word is heard of first. */
static void test_it_ends_at_once(Fixture *fixture, gconstpointer unused) {
        for (unsigned i = 0; i < 10; i++) {
                fixture->n_opened = fixture->n_ended = 0;
                start(fixture, i % 2 ? "printf ok >&4" : "(sleep 0.01; printf ok >&4) 3>&- & exit 0");
                expect_opened(fixture);
                testing_run_until_count(fixture->event, &fixture->n_ended, 1);
                testing_run_until(fixture->event, has_no_children, NULL);
                g_assert_cmpuint(fixture->n_opened, ==, 1);
                g_assert_cmpuint(fixture->n_ended, ==, 1);
        }
}

static void test_words_come_in_pieces(Fixture *fixture, gconstpointer unused) {
        start(fixture, "printf o >&4; sleep 0.01; printf k >&4");
        expect_opened(fixture);
        testing_run_until_count(fixture->event, &fixture->n_ended, 1);
}

static void test_errors_keep_their_names(Fixture *fixture, gconstpointer unused) {
        start(fixture, "printf 'org.freedesktop.DBus.Error.InvalidArgs\\nno such place' >&4; exit 1");
        expect_not_opened(fixture, CONBUS_ERROR_INVALID_ARGS, "no such place");
}

/* More than is read at once. */
static void test_a_long_error(Fixture *fixture, gconstpointer unused) {
        start(fixture, "printf 'io.conbus1.Error.StorageFull\\n%05000d full' 0 >&4; exit 1");
        expect_not_opened(fixture, CONBUS_ERROR_STORAGE_FULL, "0000 full");
}

static void test_an_error_of_no_name(Fixture *fixture, gconstpointer unused) {
        start(fixture, "printf 'org.example.Odd\\nodd' >&4; exit 1");
        expect_not_opened(fixture, CONBUS_ERROR_INTERNAL, "odd");
}

static void test_it_dies_without_a_word(Fixture *fixture, gconstpointer unused) {
        static const char *const scripts[] = {"exit 0", "kill -9 $$", "printf o >&4", "printf okay >&4", "exec 4>&-; exit 1"};

        for (unsigned i = 0; i < G_N_ELEMENTS(scripts); i++) {
                fixture->n_opened = 0;
                start(fixture, scripts[i]);
                expect_not_opened(fixture, CONBUS_ERROR_INTERNAL, "the process that reads it has ended");
        }
}

static void test_without_the_program(Fixture *fixture, gconstpointer unused) {
        unsigned before = testing_count_descriptors();
        g_autoptr(GError) error = NULL;

        fixture->paths.stream = g_strdup("/nonexistent/conbus-stream");
        g_assert_false(try_start(fixture, &error));
        testing_expect_error(&error, CONBUS_ERROR_HELPER_MISSING, "/nonexistent/conbus-stream");
        testing_run_idle(fixture->event);
        g_assert_cmpuint(fixture->n_opened, ==, 0);
        g_assert_cmpuint(testing_count_descriptors(), ==, before);
}

/* --- owners that go away --- */

static void test_it_is_killed(Fixture *fixture, gconstpointer unused) {
        start(fixture, WAIT); /* before it has said anything */
        log_process_kill(g_steal_pointer(&fixture->process));
        testing_run_until(fixture->event, has_no_children, NULL);
        start(fixture, SAY_OK WAIT);
        expect_opened(fixture);
        log_process_kill(g_steal_pointer(&fixture->process));
        testing_run_until(fixture->event, has_no_children, NULL);
        g_assert_cmpuint(fixture->n_opened, ==, 1);
        g_assert_cmpuint(fixture->n_ended, ==, 0);
}

static void test_it_goes_on_without_its_owner(Fixture *fixture, gconstpointer unused) {
        start(fixture, SAY_OK "echo $$ >&3; " WAIT);
        expect_opened(fixture);
        log_process_free(g_steal_pointer(&fixture->process));
        testing_run_idle(fixture->event);
        pid_t pid = (pid_t) atoi(await_line(fixture));
        g_assert_no_errno(kill(pid, 0));
        g_assert_no_errno(kill(pid, SIGKILL));
        testing_run_until(fixture->event, has_no_children, NULL);
        g_assert_cmpuint(fixture->n_ended, ==, 0);
}

/* --- scopes --- */

static void begin_with_scope(Fixture *fixture, const char *script) {
        with_units(fixture);
        start(fixture, script);
        testing_run_until_count(fixture->event, &fixture->calls->len, 1);
        g_assert_true(g_str_has_prefix(fixture->calls->pdata[0], "StartTransientUnit conbus-log-0123456789abcdef-"));
}

static void expect_scope_stopped(Fixture *fixture) {
        testing_run_until_count(fixture->event, &fixture->calls->len, 2);
        g_assert_true(g_str_has_prefix(fixture->calls->pdata[1], "StopUnit "));
        g_assert_cmpstr(strchr(fixture->calls->pdata[1], ' '), ==, strchr(fixture->calls->pdata[0], ' '));
}

static void test_it_runs_once_its_scope_is_there(Fixture *fixture, gconstpointer unused) {
        begin_with_scope(fixture, "echo begun >&3; printf ok >&4");
        testing_run_idle(fixture->event);
        g_assert_false(has_got_line(fixture));
        job_done(fixture);
        expect_opened(fixture);
        testing_run_until_count(fixture->event, &fixture->n_ended, 1);
        g_assert_cmpstr(await_line(fixture), ==, "begun\n");
        expect_scope_stopped(fixture);
}

static void test_a_scope_that_is_refused(Fixture *fixture, gconstpointer unused) {
        fixture->refuse = true;
        begin_with_scope(fixture, "echo begun >&3; printf ok >&4");
        expect_not_opened(fixture, CONBUS_ERROR_INTERNAL, "the process that reads it has ended");
        g_assert_false(has_got_line(fixture));
        g_assert_cmpuint(fixture->calls->len, ==, 1); /* there is none to be stopped */
}

/* A scope that cannot be stopped is told to the log, and to nobody else. */
static void test_a_scope_that_cannot_be_stopped(Fixture *fixture, gconstpointer unused) {
        begin_with_scope(fixture, "printf ok >&4");
        fixture->refuse = true;
        job_done(fixture);
        expect_opened(fixture);
        testing_run_until_count(fixture->event, &fixture->n_ended, 1);
        expect_scope_stopped(fixture);
        testing_run_idle(fixture->event);
        g_assert_cmpuint(fixture->n_ended, ==, 1);
}

static void test_it_is_killed_before_its_scope_is_there(Fixture *fixture, gconstpointer unused) {
        begin_with_scope(fixture, "echo begun >&3; printf ok >&4");
        log_process_kill(g_steal_pointer(&fixture->process));
        testing_run_until(fixture->event, has_no_children, NULL);
        job_done(fixture);
        testing_run_idle(fixture->event);
        g_assert_false(has_got_line(fixture));
        g_assert_cmpuint(fixture->n_opened, ==, 0);
}

int main(int argc, char *argv[]) {
        static const struct {
                const char *name;
                void (*run)(Fixture *fixture, gconstpointer unused);
        } tests[] = {
                {"/log-process/what-the-program-is-given", test_what_the_program_is_given},
                {"/log-process/it-opens-and-ends", test_it_opens_and_ends},
                {"/log-process/it-ends-at-once", test_it_ends_at_once},
                {"/log-process/words-come-in-pieces", test_words_come_in_pieces},
                {"/log-process/errors-keep-their-names", test_errors_keep_their_names},
                {"/log-process/a-long-error", test_a_long_error},
                {"/log-process/an-error-of-no-name", test_an_error_of_no_name},
                {"/log-process/it-dies-without-a-word", test_it_dies_without_a_word},
                {"/log-process/without-the-program", test_without_the_program},
                {"/log-process/it-is-killed", test_it_is_killed},
                {"/log-process/it-goes-on-without-its-owner", test_it_goes_on_without_its_owner},
                {"/log-process/it-runs-once-its-scope-is-there", test_it_runs_once_its_scope_is_there},
                {"/log-process/a-scope-that-is-refused", test_a_scope_that_is_refused},
                {"/log-process/a-scope-that-cannot-be-stopped", test_a_scope_that_cannot_be_stopped},
                {"/log-process/it-is-killed-before-its-scope-is-there", test_it_is_killed_before_its_scope_is_there},
        };

        g_test_init(&argc, &argv, NULL);
        for (size_t i = 0; i < G_N_ELEMENTS(tests); i++)
                g_test_add(tests[i].name, Fixture, NULL, set_up, tests[i].run, tear_down);
        return g_test_run();
}
