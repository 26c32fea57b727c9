/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A launch of conmon, which is a script here: what it is given, what each of its answers is taken for, and that exactly one comes. */

#include "runtime/conmon.h"
#include "base/auto.h"
#include "runtime/sealed.h"
#include "testing.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>

/* --- the sync pipe --- */

static void test_a_packet_is_understood(void) {
        static const struct {
                const char *text;
                int data;
                const char *message;
        } table[] = {
                {"{\"data\": 42}", 42, ""},
                {"{\"data\": 42}\n", 42, ""},
                {"{\"data\":-1,\"message\":\"executable file `x` not found\"}", -1, "executable file `x` not found"},
                {"{\"data\": -1, \"message\": \"a\\nb\"}", -1, "a\nb"},
                {"{\"data\": -1, \"message\": null}", -1, ""},
                {"{\"data\": -1, \"message\": 7}", -1, ""},
                {"{\"message\": \"\", \"data\": 2147483647, \"more\": [1]}", 2147483647, ""},
        };

        for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
                g_autofree char *message = NULL;
                int data = 0;

                if (!conmon_parse_sync(table[i].text, strlen(table[i].text), &data, &message))
                        g_error("%s is refused", table[i].text);
                g_assert_cmpint(data, ==, table[i].data);
                g_assert_cmpstr(message, ==, table[i].message);
        }
}

static void test_a_packet_that_is_none_is_refused(void) {
        static const char *const table[] = {
                "", " ", "\n", "{", "{}", "[]", "42", "null", "\"data\"", "{\"data\": \"42\"}", "{\"data\": 4.2}", "{\"data\": true}", "{\"data\": null}", "{\"data\": {}}", "{\"data\": [42]}",
                "{\"Data\": 42}", "{\"data\": 42", "{\"data\": 4294967297}", "{\"data\": -4294967297}", "{\"data\": 2147483648}", "/* nothing */", "conmon: error",
        };

        for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
                char *message = NULL;
                int data = 7;

                if (conmon_parse_sync(table[i], strlen(table[i]), &data, &message))
                        g_error("%s passed", table[i]);
                g_assert_cmpint(data, ==, 7);
                g_assert_null(message);
        }
}

static void test_only_the_packet_is_read(void) {
        g_autofree char *message = NULL;
        int data = 0;

        g_assert_true(conmon_parse_sync("{\"data\": 5}6}", strlen("{\"data\": 5}"), &data, &message));
        g_assert_cmpint(data, ==, 5);
}

/* --- exit files --- */

static void test_an_exit_file_is_a_number(void) {
        static const struct {
                const char *text;
                int code; /* -2: refused */
        } table[] = {
                {"0", 0}, {"7", 7}, {"255", 255}, {"-1", -1}, {"137", 137}, {"7\n", 7}, {"", -2}, {"\n", -2}, {"-2", -2}, {"256", -2}, {"99999999999999999999", -2},
                {"-99999999999999999999", -2}, {"x", -2}, {"7x", -2}, {"7 8", -2}, {"0x7", -2}, {"--1", -2}, {"-", -2}, {"1.0", -2},
        };
        g_autoptr(TestingDirectory) directory = testing_directory_new();

        for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
                int code = 99;

                testing_write(directory, "id", table[i].text);
                if (conmon_read_exit_file(directory, "id", &code) != (table[i].code != -2))
                        g_error("\"%s\"", table[i].text);
                g_assert_cmpint(code, ==, table[i].code == -2 ? 99 : table[i].code);
        }
}

static void test_no_exit_file_is_no_code(void) {
        g_autoptr(TestingDirectory) directory = testing_directory_new();
        int code = 99;

        g_assert_false(conmon_read_exit_file(directory, "id", &code));
        g_assert_cmpint(code, ==, 99);
}

static void test_an_exit_file_is_removed(void) {
        g_autoptr(TestingDirectory) directory = testing_directory_new();

        testing_write(directory, "id", "0");
        testing_write(directory, "a-directory/x", "");
        g_assert_true(conmon_remove_exit_file(directory, "id"));
        g_autofree char *text = testing_read(directory, "id");
        g_assert_null(text);
        g_assert_true(conmon_remove_exit_file(directory, "id"));
        g_assert_false(conmon_remove_exit_file(directory, "a-directory"));
}

/* --- launches --- */

typedef struct Fixture {
        sd_event *event;
        Reaper *reaper;
        char *directory, *program, *exits;
        Paths paths;
        ConmonLaunch launch;
        ConmonExec exec;
        Conmon *conmon;
        pid_t pid;
        unsigned n, n_ended, n_attachable;
        int status;
        PidRef main;
        GError *error;
} Fixture;

#define AWAIT_START "dd bs=1 count=1 <&4 2>/dev/null >/dev/null\n"

static void set_up(Fixture *fixture, gconstpointer script) {
        g_assert_cmpint(sd_event_new(&fixture->event), >=, 0);
        fixture->reaper = reaper_new(fixture->event);
        fixture->directory = testing_directory_new();
        fixture->program = testing_program(fixture->directory, "conmon", script);
        fixture->exits = g_build_filename(fixture->directory, "exits", NULL);
        fixture->paths = (Paths) {.run = fixture->directory, .crun = (char *) "/bin/true", .conmon = fixture->program, .wake = (char *) "/no/wake"};
        fixture->launch = (ConmonLaunch) {.id = "the-id", .name = "web", .bundle = fixture->directory, .persist_dir = "/persist", .exit_dir = fixture->exits, .log_driver = "k8s-file", .log_path = "/log"};
        fixture->main = PIDREF_NULL;
}

static bool is_gone(void *pid) {
        return kill(*(pid_t *) pid, 0) < 0 && errno == ESRCH;
}

static void tear_down(Fixture *fixture, gconstpointer script) {
        if (fixture->conmon) {
                conmon_kill(fixture->conmon);
                conmon_free(fixture->conmon);
                testing_run_until(fixture->event, is_gone, &fixture->pid);
        }
        if (pidref_is_set(&fixture->main))
                (void) !pidref_signal(&fixture->main, SIGKILL, NULL, NULL);
        pidref_clear(&fixture->main);
        g_clear_error(&fixture->error);
        sealed_forget();
        reaper_free(fixture->reaper);
        sd_event_unref(fixture->event);
        testing_directory_free(fixture->directory);
        g_free(fixture->program);
        g_free(fixture->exits);
}

static void on_launched(PidRef *main, const GError *error, void *userdata) {
        Fixture *fixture = userdata;

        fixture->n++;
        if (!error) {
                fixture->main = pidref_steal(main);
                return;
        }
        g_assert_false(pidref_is_set(main));
        fixture->error = g_error_copy(error);
        conmon_free(g_steal_pointer(&fixture->conmon));
}

static void begin(Fixture *fixture) {
        g_autoptr(GError) error = NULL;

        fixture->conmon = conmon_begin(fixture->event, fixture->reaper, &fixture->paths, &fixture->launch, on_launched, fixture, &error);
        g_assert_no_error(error);
        fixture->pid = conmon_pid(fixture->conmon)->pid;
        g_assert_cmpint(fixture->pid, >, 0);
        g_assert_cmpuint(fixture->n, ==, 0);
}

static void launch(Fixture *fixture) {
        begin(fixture);
        conmon_release(fixture->conmon, NULL);
        testing_run_until_count(fixture->event, &fixture->n, 1);
}

static void expect_failure(Fixture *fixture, ConbusError code, const char *part) {
        g_assert_nonnull(fixture->error);
        g_assert_true(g_str_has_prefix(fixture->error->message, "create container \"web\": "));
        testing_expect_error(&fixture->error, code, part);
        g_assert_true(is_gone(&fixture->pid)); /* killed and reaped before it is told */
        testing_run_idle(fixture->event);
        g_assert_cmpuint(fixture->n, ==, 1);
}

static void test_success_brings_a_pidfd(Fixture *fixture, gconstpointer script) {
        launch(fixture);
        g_assert_no_error(fixture->error);
        g_assert_true(pidref_is_set(&fixture->main));
        g_assert_false(pidref_has_ended(&fixture->main));
        g_assert_cmpuint(fixture->main.start_time, ==, pid_start_time(fixture->main.pid));
}

static void on_ended(int wait_status, void *userdata) {
        Fixture *fixture = userdata;

        fixture->n_ended++;
        fixture->status = wait_status;
}

static void test_its_later_end_is_told(Fixture *fixture, gconstpointer script) {
        launch(fixture);
        conmon_on_end(fixture->conmon, on_ended, fixture);
        testing_run_idle(fixture->event);
        g_assert_cmpuint(fixture->n_ended, ==, 0);
        g_assert_cmpint(kill(fixture->pid, SIGKILL), ==, 0);
        testing_run_until_count(fixture->event, &fixture->n_ended, 1);
        g_assert_cmpint(WTERMSIG(fixture->status), ==, SIGKILL);
        g_assert_cmpuint(fixture->n, ==, 1);
        conmon_on_end(fixture->conmon, on_ended, fixture); /* who asks late is told too */
        g_assert_cmpuint(fixture->n_ended, ==, 1);
        testing_run_until_count(fixture->event, &fixture->n_ended, 2);
        g_assert_cmpint(WTERMSIG(fixture->status), ==, SIGKILL);
}

static void test_nothing_runs_before_the_release(Fixture *fixture, gconstpointer script) {
        begin(fixture);
        testing_run_idle(fixture->event);
        g_autofree char *before = testing_read(fixture->directory, "ran");
        g_assert_null(before);
        conmon_kill(fixture->conmon);
        conmon_free(g_steal_pointer(&fixture->conmon));
        testing_run_until(fixture->event, is_gone, &fixture->pid);
        g_autofree char *after = testing_read(fixture->directory, "ran");
        g_assert_null(after);
        g_assert_cmpuint(fixture->n, ==, 0); /* a killed launch is not answered */
}

static void test_what_crun_said_is_classed(Fixture *fixture, gconstpointer script) {
        launch(fixture);
        expect_failure(fixture, CONBUS_ERROR_RUNTIME_COMMAND_NOT_FOUND, "executable file `x` not found");
}

static void test_the_log_of_crun_comes_before_conmons_words(Fixture *fixture, gconstpointer script) {
        launch(fixture);
        expect_failure(fixture, CONBUS_ERROR_RUNTIME_PERMISSION_DENIED, "open executable: Permission denied");
}

static void test_a_silent_end_is_explained(Fixture *fixture, gconstpointer script) {
        launch(fixture);
        expect_failure(fixture, CONBUS_ERROR_MONITOR_FAILED, "conmon ended before crun had created it: Failed to do it");
}

static void test_a_silent_end_with_a_log_is_cruns(Fixture *fixture, gconstpointer script) {
        launch(fixture);
        expect_failure(fixture, CONBUS_ERROR_RUNTIME_FAILED, "mount: it broke");
}

static void test_nonsense_is_refused(Fixture *fixture, gconstpointer script) {
        launch(fixture);
        expect_failure(fixture, CONBUS_ERROR_MONITOR_FAILED, "not understood: hello");
}

static void test_a_first_process_that_is_gone(Fixture *fixture, gconstpointer script) {
        launch(fixture);
        expect_failure(fixture, CONBUS_ERROR_RUNTIME_FAILED, "its first process is gone");
}

static void test_a_launch_that_hangs_is_ended(Fixture *fixture, gconstpointer script) {
        fixture->launch.timeout_usec = 100 * G_TIME_SPAN_MILLISECOND;
        launch(fixture);
        expect_failure(fixture, CONBUS_ERROR_MONITOR_FAILED, "crun create did not end in 0.1 s");
}

static void test_an_answer_before_the_end_counts(Fixture *fixture, gconstpointer script) {
        launch(fixture);
        expect_failure(fixture, CONBUS_ERROR_RUNTIME_FAILED, "said at the last moment");
}

/* Its child keeps the sync pipe open and silent. */
static void test_an_end_beside_an_open_pipe_is_seen(Fixture *fixture, gconstpointer script) {
        launch(fixture);
        g_autofree char *number = testing_read(fixture->directory, "child");
        g_assert_cmpint(kill(atoi(number), SIGKILL), ==, 0);
        expect_failure(fixture, CONBUS_ERROR_MONITOR_FAILED, "conmon ended before crun had created it");
}

static void test_a_cancelled_launch_is_answered(Fixture *fixture, gconstpointer script) {
        begin(fixture);
        conmon_release(fixture->conmon, NULL);
        conmon_cancel(fixture->conmon);
        g_assert_cmpuint(fixture->n, ==, 0);
        testing_run_until_count(fixture->event, &fixture->n, 1);
        expect_failure(fixture, CONBUS_ERROR_CANCELLED, "cancelled");
}

static void test_a_missing_program_is_named(Fixture *fixture, gconstpointer script) {
        g_autoptr(GError) error = NULL;

        fixture->paths.crun = (char *) "no-such-crun";
        g_assert_null(conmon_begin(fixture->event, fixture->reaper, &fixture->paths, &fixture->launch, on_launched, fixture, &error));
        testing_expect_error(&error, CONBUS_ERROR_HELPER_MISSING, "no-such-crun");
        fixture->paths.crun = (char *) "/bin/true";
        fixture->paths.conmon = (char *) "no-such-conmon";
        g_assert_null(conmon_begin(fixture->event, fixture->reaper, &fixture->paths, &fixture->launch, on_launched, fixture, &error));
        testing_expect_error(&error, CONBUS_ERROR_HELPER_MISSING, "no-such-conmon");
        g_assert_cmpuint(fixture->n, ==, 0);
}

/* --- what conmon is given --- */

/* The script has written its words and its environment, a line each. */
static char *words_of(Fixture *fixture) {
        launch(fixture);
        g_clear_error(&fixture->error);
        char *text = testing_read(fixture->directory, "words");
        g_assert_nonnull(text);
        return text;
}

static void expect_words(const char *text, const char *words) {
        g_autofree char *lines = g_strdelimit(g_strdup_printf("\n%s\n", words), " ", '\n');

        if (!strstr(text, lines))
                g_error("\"%s\" is not in:%s", words, text);
}

static void test_the_arguments(Fixture *fixture, gconstpointer script) {
        g_autofree char *text = words_of(fixture), *places = g_strdup_printf("-r /proc/self/fd/5 -b %s", fixture->directory), *exits = g_strdup_printf("--exit-dir %s", fixture->exits),
                        *root = g_strdup_printf("--runtime-arg --root --runtime-arg %s/crun", fixture->directory), *log = g_strdup_printf("--runtime-arg --log --runtime-arg %s/crun.log", fixture->directory);

        expect_words(text, "--sync");
        expect_words(text, "-c the-id");
        expect_words(text, "-n web");
        expect_words(text, places);
        expect_words(text, exits);
        expect_words(text, "--persist-dir /persist");
        expect_words(text, "-l k8s-file:/log");
        expect_words(text, "--full-attach");
        expect_words(text, "--leave-stdin-open");
        expect_words(text, "--runtime-arg --log-format=json");
        expect_words(text, root);
        expect_words(text, log);
        expect_words(text, "_OCI_SYNCPIPE=3");
        expect_words(text, "_OCI_STARTPIPE=4");
        static const char *const absent[] = {"\n-t\n", "\n-i\n", "\n-s\n", "--exit-command", "NOTIFY_SOCKET"};
        for (size_t i = 0; i < G_N_ELEMENTS(absent); i++)
                g_assert_null(strstr(text, absent[i]));
}

static void test_the_arguments_of_a_terminal(Fixture *fixture, gconstpointer script) {
        fixture->launch.terminal = fixture->launch.stdin_open = true;
        fixture->launch.log_driver = "none";
        fixture->launch.systemd_cgroup = true;
        g_autofree char *text = words_of(fixture);
        expect_words(text, "-t");
        expect_words(text, "-s");
        expect_words(text, "-l none");
        g_assert_null(strstr(text, "\n-i\n"));
}

static void test_the_arguments_of_one_input(Fixture *fixture, gconstpointer script) {
        fixture->launch.stdin_open = fixture->launch.stdin_once = true;
        g_autofree char *text = words_of(fixture);
        expect_words(text, "-i");
        g_assert_null(strstr(text, "--leave-stdin-open"));
}

static void test_the_exit_command_knows_the_bus(Fixture *fixture, gconstpointer script) {
        fixture->paths.wake = (char *) "/bin/true";
        g_setenv("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/b", true);
        g_autofree char *text = words_of(fixture);
        g_unsetenv("DBUS_SYSTEM_BUS_ADDRESS");
        g_autofree char *awake = g_strdup_printf("--exit-command-arg %s/awake", fixture->directory);
        expect_words(text, "--exit-command /bin/true");
        expect_words(text, awake);
        expect_words(text, "--exit-command-arg unix:path=/b");
}

/* --- crun exec --- */

static void use_exec(Fixture *fixture) {
        fixture->exec = (ConmonExec) {.session = "7", .process = "/process.json"};
        fixture->launch.exec = &fixture->exec;
        fixture->launch.log_driver = "none";
}

static void test_the_arguments_of_an_execution(Fixture *fixture, gconstpointer script) {
        static const char *const absent[] = {"--persist-dir", "--exec-attach", "--runtime-opt", "_OCI_ATTACHPIPE"};

        use_exec(fixture);
        fixture->paths.wake = (char *) "/bin/true";
        g_autofree char *text = words_of(fixture);
        expect_words(text, "-c the-id -u 7");
        expect_words(text, "--exit-command /bin/true");
        expect_words(text, "-e --exec-process-spec /process.json");
        for (size_t i = 0; i < G_N_ELEMENTS(absent); i++)
                g_assert_null(strstr(text, absent[i]));
}

static void test_the_arguments_of_an_execution_with_everything(Fixture *fixture, gconstpointer script) {
        autofd int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
        const int fds[] = {null, null};

        use_exec(fixture);
        fixture->exec.cgroup = "sub";
        fixture->exec.console = "/console";
        fixture->exec.waits = true;
        fixture->exec.fds = fds;
        fixture->exec.n_fds = 2;
        g_autofree char *text = words_of(fixture);
        expect_words(text, "--exec-attach");
        expect_words(text, "--runtime-opt --cgroup --runtime-opt sub");
        expect_words(text, "--runtime-opt --console-socket --runtime-opt /console");
        expect_words(text, "--runtime-opt --preserve-fds --runtime-opt 2");
        expect_words(text, "_OCI_SYNCPIPE=5");
        expect_words(text, "_OCI_STARTPIPE=6");
        expect_words(text, "_OCI_ATTACHPIPE=7");
}

static void test_streams_of_the_caller_are_the_process_own(Fixture *fixture, gconstpointer script) {
        int output[2];
        char text[64] = "";

        use_exec(fixture);
        g_assert_cmpint(pipe2(output, O_CLOEXEC), ==, 0);
        const int stdio[] = {output[0], output[1], output[1]};
        fixture->exec.stdio = stdio;
        launch(fixture);
        g_assert_no_error(fixture->error);
        close(output[1]);
        g_assert_cmpint(read(output[0], text, sizeof text), ==, 8);
        g_assert_cmpstr(text, ==, "out\nerr\n");
        close(output[0]);
}

static void on_attachable(void *userdata) {
        ((Fixture *) userdata)->n_attachable++;
}

static void test_an_execution_waits_until_it_may_go_on(Fixture *fixture, gconstpointer script) {
        use_exec(fixture);
        fixture->exec.waits = true;
        begin(fixture);
        conmon_on_attachable(fixture->conmon, on_attachable, fixture);
        conmon_release(fixture->conmon, NULL);
        testing_run_until_count(fixture->event, &fixture->n_attachable, 1);
        testing_run_idle(fixture->event);
        g_assert_cmpuint(fixture->n, ==, 0);
        conmon_go_on(fixture->conmon);
        testing_run_until_count(fixture->event, &fixture->n, 1);
        g_assert_no_error(fixture->error);
        g_assert_false(pidref_has_ended(&fixture->main));
        g_assert_cmpuint(fixture->n_attachable, ==, 1);
}

static void test_a_process_that_has_ended_already(Fixture *fixture, gconstpointer script) {
        use_exec(fixture);
        launch(fixture);
        g_assert_no_error(fixture->error);
        g_assert_cmpint(fixture->main.pid, >, 0);
        g_assert_cmpint(fixture->main.fd, ==, -1);
        g_assert_true(pidref_has_ended(&fixture->main));
}

/* Whose number it is by now does not matter. */
static void test_a_process_of_another_parent_is_not_taken(Fixture *fixture, gconstpointer script) {
        use_exec(fixture);
        launch(fixture);
        g_assert_no_error(fixture->error);
        g_assert_cmpint(fixture->main.pid, ==, 1);
        g_assert_cmpint(fixture->main.fd, ==, -1);
}

static void test_an_execution_that_hangs_is_ended_with_its_crun(Fixture *fixture, gconstpointer script) {
        use_exec(fixture);
        fixture->launch.timeout_usec = 300 * G_TIME_SPAN_MILLISECOND;
        launch(fixture);
        g_assert_nonnull(fixture->error);
        testing_expect_error(&fixture->error, CONBUS_ERROR_MONITOR_FAILED, "execute in container \"web\": crun exec did not end in 0.3 s");
        g_autofree char *number = testing_read(fixture->directory, "child");
        g_assert_nonnull(number);
        pid_t child = atoi(number);
        testing_run_until(fixture->event, is_gone, &child);
}

#define WRITE_WORDS "cd \"$(dirname \"$0\")\"\n{ echo; printf '%s\\n' \"$@\"; env; } >words\n"
#define REPORT_AND_STAY AWAIT_START "sleep 1000 3>&- 4>&- &\necho \"{\\\"data\\\": $!}\" >&3\nexec 3>&-\nwait"
#define ATTACHABLE "echo '{\"data\": 0}' >&5\n"

int main(int argc, char *argv[]) {
        static const struct {
                const char *path;
                void (*test)(Fixture *fixture, gconstpointer script);
                const char *script;
        } tests[] = {
                {"/conmon/success-brings-a-pidfd", test_success_brings_a_pidfd, REPORT_AND_STAY},
                {"/conmon/its-later-end-is-told", test_its_later_end_is_told, REPORT_AND_STAY},
                {"/conmon/nothing-runs-before-the-release", test_nothing_runs_before_the_release, "touch \"$(dirname \"$0\")/ran\""},
                {"/conmon/what-crun-said-is-classed", test_what_crun_said_is_classed, AWAIT_START "echo '{\"data\": -1, \"message\": \"executable file `x` not found in $PATH\"}' >&3; exec sleep 1000"},
                {"/conmon/the-log-of-crun-comes-before-conmons-words", test_the_log_of_crun_comes_before_conmons_words,
                 AWAIT_START "echo '{\"msg\": \"open executable: Permission denied\"}' >\"$(dirname \"$0\")/crun.log\"; echo '{\"data\": -1, \"message\": \"something\"}' >&3"},
                {"/conmon/a-silent-end-is-explained", test_a_silent_end_is_explained, AWAIT_START "echo 'Failed to do it' >&2; exit 1"},
                {"/conmon/a-silent-end-with-a-log-is-cruns", test_a_silent_end_with_a_log_is_cruns, AWAIT_START "echo '{\"msg\": \"mount: it broke\"}' >\"$(dirname \"$0\")/crun.log\"; exit 1"},
                {"/conmon/nonsense-is-refused", test_nonsense_is_refused, AWAIT_START "echo hello >&3; exec sleep 1000"},
                {"/conmon/a-first-process-that-is-gone", test_a_first_process_that_is_gone, AWAIT_START "true & wait; echo \"{\\\"data\\\": $!}\" >&3; exec sleep 1000"},
                {"/conmon/a-launch-that-hangs-is-ended", test_a_launch_that_hangs_is_ended, "exec sleep 1000"},
                {"/conmon/an-answer-before-the-end-counts", test_an_answer_before_the_end_counts, AWAIT_START "echo '{\"data\": -1, \"message\": \"said at the last moment\"}' >&3"},
                {"/conmon/an-end-beside-an-open-pipe-is-seen", test_an_end_beside_an_open_pipe_is_seen, "sleep 1000 & echo $! >\"$(dirname \"$0\")/child\"; exit 1"},
                {"/conmon/a-cancelled-launch-is-answered", test_a_cancelled_launch_is_answered, "exec sleep 1000"},
                {"/conmon/a-missing-program-is-named", test_a_missing_program_is_named, ""},
                {"/conmon/the-arguments", test_the_arguments, WRITE_WORDS},
                {"/conmon/the-arguments-of-a-terminal", test_the_arguments_of_a_terminal, WRITE_WORDS},
                {"/conmon/the-arguments-of-one-input", test_the_arguments_of_one_input, WRITE_WORDS},
                {"/conmon/the-arguments-of-an-execution", test_the_arguments_of_an_execution, WRITE_WORDS},
                {"/conmon/the-arguments-of-an-execution-with-everything", test_the_arguments_of_an_execution_with_everything, WRITE_WORDS},
                {"/conmon/streams-of-the-caller-are-the-process-own", test_streams_of_the_caller_are_the_process_own, "echo out; echo err >&2\n" REPORT_AND_STAY},
                {"/conmon/an-execution-waits-until-it-may-go-on", test_an_execution_waits_until_it_may_go_on, AWAIT_START ATTACHABLE REPORT_AND_STAY},
                {"/conmon/a-process-that-has-ended-already", test_a_process_that_has_ended_already, AWAIT_START "true & child=$!; wait; echo \"{\\\"data\\\": $child}\" >&3; exec sleep 1000"},
                {"/conmon/a-process-of-another-parent-is-not-taken", test_a_process_of_another_parent_is_not_taken, AWAIT_START "echo '{\"data\": 1}' >&3; exec sleep 1000"},
                {"/conmon/an-execution-that-hangs-is-ended-with-its-crun", test_an_execution_that_hangs_is_ended_with_its_crun, "sleep 1000 & echo $! >\"$(dirname \"$0\")/child\"; wait"},
                {"/conmon/the-exit-command-knows-the-bus", test_the_exit_command_knows_the_bus, WRITE_WORDS},
        };

        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/conmon/a-packet-is-understood", test_a_packet_is_understood);
        g_test_add_func("/conmon/a-packet-that-is-none-is-refused", test_a_packet_that_is_none_is_refused);
        g_test_add_func("/conmon/only-the-packet-is-read", test_only_the_packet_is_read);
        g_test_add_func("/conmon/an-exit-file-is-a-number", test_an_exit_file_is_a_number);
        g_test_add_func("/conmon/no-exit-file-is-no-code", test_no_exit_file_is_no_code);
        g_test_add_func("/conmon/an-exit-file-is-removed", test_an_exit_file_is_removed);
        for (size_t i = 0; i < G_N_ELEMENTS(tests); i++)
                g_test_add(tests[i].path, Fixture, tests[i].script, set_up, tests[i].test, tear_down);
        return g_test_run();
}
