/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* How crun is called, and what its words are taken for. */

#include "runtime/crun.h"
#include "testing.h"
#include <string.h>

/* --- words --- */

static void test_failures_are_classed(void) {
        static const struct {
                const char *message;
                ConbusError code;
                int exit_code;
        } table[] = {
                {"executable file `nothing` not found in $PATH: No such file or directory", CONBUS_ERROR_RUNTIME_COMMAND_NOT_FOUND, 127},
                {"Executable file `nothing` not found in $PATH", CONBUS_ERROR_RUNTIME_COMMAND_NOT_FOUND, 127},
                {"open executable: No such file or directory", CONBUS_ERROR_RUNTIME_COMMAND_NOT_FOUND, 127},
                {"open executable: Permission denied", CONBUS_ERROR_RUNTIME_PERMISSION_DENIED, 126},
                {"open executable: Operation not permitted", CONBUS_ERROR_RUNTIME_PERMISSION_DENIED, 126}, /* a directory */
                {"executable file `/etc/passwd`: Permission denied", CONBUS_ERROR_RUNTIME_PERMISSION_DENIED, 126},
                {"exec `/etc`: permission denied", CONBUS_ERROR_RUNTIME_PERMISSION_DENIED, 126},
                {"setgid: Operation not permitted", CONBUS_ERROR_RUNTIME_PERMISSION_DENIED, 126},
                {"cannot stat `/missing`: No such file or directory", CONBUS_ERROR_RUNTIME_FAILED, 125}, /* a bind source, not the command */
                {"error executable file", CONBUS_ERROR_RUNTIME_FAILED, 125},
                {"writing file `/sys/fs/cgroup/x`: Invalid argument", CONBUS_ERROR_RUNTIME_FAILED, 125},
        };

        for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
                g_autoptr(GError) error = NULL;
                g_autofree char *sentence = g_strdup_printf("start container \"web\": %s", table[i].message);

                crun_set_error(&error, "start container \"web\"", table[i].message);
                g_assert_cmpint(crun_exit_code_of(error), ==, table[i].exit_code);
                g_assert_cmpstr(error->message, ==, sentence);
                testing_expect_error(&error, table[i].code, "");
        }
}

static void test_a_silent_failure_says_so(void) {
        g_autoptr(GError) error = NULL;

        crun_set_error(&error, "crun start", "");
        testing_expect_error(&error, CONBUS_ERROR_RUNTIME_FAILED, "crun start: crun failed without a word");
}

static void test_other_errors_are_125(void) {
        g_autoptr(GError) error = g_error_new_literal(CONBUS_ERROR, CONBUS_ERROR_MONITOR_FAILED, "x");

        g_assert_cmpint(crun_exit_code_of(error), ==, 125);
}

static void test_what_crun_knows(void) {
        char *directory = testing_directory_new();
        g_autofree char *state = g_build_filename(directory, "crun/id", NULL);
        Paths paths = {.run = directory};

        g_assert_false(crun_knows(&paths, "id"));
        g_assert_cmpint(g_mkdir_with_parents(state, 0700), ==, 0);
        g_assert_true(crun_knows(&paths, "id"));
        g_assert_false(crun_knows(&paths, "other"));
        testing_directory_free(directory);
}

static void test_a_state_is_read(void) {
        g_autofree char *status = NULL, *stopped = NULL;
        g_autoptr(GError) error = NULL;
        pid_t pid = -1;

        g_assert_true(crun_parse_state("{\"ociVersion\":\"1.0.0\", \"id\":\"a\", \"pid\":42, \"status\":\"running\"}", &status, &pid, &error));
        g_assert_cmpstr(status, ==, "running");
        g_assert_cmpint(pid, ==, 42);
        g_assert_true(crun_parse_state("{\"status\":\"stopped\"}", &stopped, &pid, &error));
        g_assert_cmpint(pid, ==, 0);
}

static void test_a_state_that_is_none_is_refused(void) {
        static const char *const outputs[] = {"", " ", "{", "[]", "null", "7", "{}", "{\"pid\":1}", "{\"status\":7}", "{\"status\":null}", "{\"status\":{}}", "container does not exist", "/* nothing */"};

        for (size_t i = 0; i < G_N_ELEMENTS(outputs); i++) {
                g_autoptr(GError) error = NULL;
                char *status = NULL;
                pid_t pid = 7;

                if (crun_parse_state(outputs[i], &status, &pid, &error))
                        g_error("%s passed", outputs[i]);
                g_assert_null(status);
                g_assert_cmpint(pid, ==, 7);
                testing_expect_error(&error, CONBUS_ERROR_RUNTIME_FAILED, "crun state gave no");
        }
}

static void test_the_last_message_of_a_log(void) {
        g_autoptr(TestingDirectory) directory = testing_directory_new();
        g_autofree char *path = g_build_filename(directory, "log", NULL);
        static const char *const table[][2] = {
                {"{\"msg\":\"one\", \"level\":\"error\"}\n{\"msg\":\"two\"}\n", "two"},
                {"{\"msg\":\"one\"}", "one"},
                {"{\"msg\":\"one\"}\n\n\n", "one"},
                {"plain words\n{\"msg\":\"one\"}\n", "one"},
                {"{\"msg\":\"one\"}\nplain words\n", NULL},
                {"{\"msg\":\"one\"}\n{\"msg\":\"tw", NULL},
                {"{\"level\":\"error\"}", NULL},
                {"{\"msg\":7}", NULL},
                {"[\"msg\"]", NULL},
                {"/* nothing */", NULL},
                {"", NULL},
        };

        g_assert_null(crun_last_log_message(path));
        for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
                testing_write(directory, "log", table[i][0]);
                g_autofree char *message = crun_last_log_message(path);
                g_assert_cmpstr(message, ==, table[i][1]);
        }
}

/* --- calls --- */

typedef struct Fixture {
        sd_event *event;
        Reaper *reaper;
        char *directory, *program;
        Paths paths;
        unsigned n;
        char *output;
        GError *error;
} Fixture;

static void set_up(Fixture *fixture, gconstpointer script) {
        g_assert_cmpint(sd_event_new(&fixture->event), >=, 0);
        fixture->reaper = reaper_new(fixture->event);
        fixture->directory = testing_directory_new();
        fixture->program = testing_program(fixture->directory, "crun", script);
        fixture->paths = (Paths) {.run = (char *) "/run/x", .crun = fixture->program};
}

static void tear_down(Fixture *fixture, gconstpointer script) {
        g_free(fixture->output);
        g_clear_error(&fixture->error);
        reaper_free(fixture->reaper);
        sd_event_unref(fixture->event);
        testing_directory_free(fixture->directory);
        g_free(fixture->program);
}

static void on_done(const char *output, const GError *error, void *userdata) {
        Fixture *fixture = userdata;

        fixture->n++;
        fixture->output = g_strdup(output);
        fixture->error = error ? g_error_copy(error) : NULL;
}

static void call(Fixture *fixture, guint64 timeout_usec) {
        const char *const arguments[] = {"start", "an id", NULL};
        g_autoptr(GError) error = NULL;

        g_assert_nonnull(crun_begin(fixture->event, fixture->reaper, &fixture->paths, arguments, timeout_usec, on_done, fixture, &error));
        g_assert_cmpuint(fixture->n, ==, 0);
        testing_run_until_count(fixture->event, &fixture->n, 1);
}

static void test_it_is_called_under_its_own_root(Fixture *fixture, gconstpointer script) {
        call(fixture, 0);
        g_assert_no_error(fixture->error);
        g_assert_cmpstr(fixture->output, ==, "--root\n/run/x/crun\nstart\nan id\n");
}

static void test_its_last_line_is_the_reason(Fixture *fixture, gconstpointer script) {
        call(fixture, 0);
        testing_expect_error(&fixture->error, CONBUS_ERROR_RUNTIME_PERMISSION_DENIED, "crun start: open executable: Permission denied");
}

static void test_a_signal_is_a_failure(Fixture *fixture, gconstpointer script) {
        call(fixture, 0);
        testing_expect_error(&fixture->error, CONBUS_ERROR_RUNTIME_FAILED, "crun start: ");
}

static void test_a_call_that_hangs_is_ended(Fixture *fixture, gconstpointer script) {
        call(fixture, 1000);
        testing_expect_error(&fixture->error, CONBUS_ERROR_RUNTIME_FAILED, "crun start: crun did not end in 0.001 s and was killed");
}

static void test_a_crun_that_is_missing(Fixture *fixture, gconstpointer script) {
        const char *const arguments[] = {"start", "x", NULL};
        g_autoptr(GError) error = NULL;

        fixture->paths.crun = (char *) "no-such-crun";
        g_assert_null(crun_begin(fixture->event, fixture->reaper, &fixture->paths, arguments, 0, on_done, fixture, &error));
        testing_expect_error(&error, CONBUS_ERROR_HELPER_MISSING, "no-such-crun");
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/crun/failures-are-classed", test_failures_are_classed);
        g_test_add_func("/crun/a-silent-failure-says-so", test_a_silent_failure_says_so);
        g_test_add_func("/crun/other-errors-are-125", test_other_errors_are_125);
        g_test_add_func("/crun/what-crun-knows", test_what_crun_knows);
        g_test_add_func("/crun/a-state-is-read", test_a_state_is_read);
        g_test_add_func("/crun/a-state-that-is-none-is-refused", test_a_state_that_is_none_is_refused);
        g_test_add_func("/crun/the-last-message-of-a-log", test_the_last_message_of_a_log);
        g_test_add("/crun/it-is-called-under-its-own-root", Fixture, "printf '%s\\n' \"$@\"", set_up, test_it_is_called_under_its_own_root, tear_down);
        g_test_add("/crun/its-last-line-is-the-reason", Fixture, "echo 'a warning' >&2; echo 'open executable: Permission denied' >&2; exit 1", set_up, test_its_last_line_is_the_reason, tear_down);
        g_test_add("/crun/a-signal-is-a-failure", Fixture, "kill -9 $$", set_up, test_a_signal_is_a_failure, tear_down);
        g_test_add("/crun/a-call-that-hangs-is-ended", Fixture, "exec sleep 1000", set_up, test_a_call_that_hangs_is_ended, tear_down);
        g_test_add("/crun/a-crun-that-is-missing", Fixture, "", set_up, test_a_crun_that_is_missing, tear_down);
        return g_test_run();
}
