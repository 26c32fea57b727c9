/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Helpers, with real programs: what they are given, what is read back, how they end. */

#include "runtime/process.h"
#include "testing.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

typedef struct Fixture {
        sd_event *event;
        Reaper *reaper;
        char *directory;
        unsigned n;
        int status;
        bool timed_out;
        char *output, *errors;
        gsize output_size, errors_size;
} Fixture;

static void set_up(Fixture *fixture, gconstpointer unused) {
        g_assert_cmpint(sd_event_new(&fixture->event), >=, 0);
        fixture->reaper = reaper_new(fixture->event);
        fixture->directory = testing_directory_new();
}

static void tear_down(Fixture *fixture, gconstpointer unused) {
        g_free(fixture->output);
        g_free(fixture->errors);
        reaper_free(fixture->reaper);
        sd_event_unref(fixture->event);
        testing_directory_free(fixture->directory);
}

static void on_done(const ProcessResult *result, void *userdata) {
        Fixture *fixture = userdata;

        fixture->n++;
        fixture->status = result->status;
        fixture->timed_out = result->timed_out;
        g_assert_cmpint(result->output[result->output_size], ==, '\0');
        g_assert_cmpint(result->errors[result->errors_size], ==, '\0');
        fixture->output = g_memdup2(result->output, result->output_size + 1);
        fixture->errors = g_memdup2(result->errors, result->errors_size + 1);
        fixture->output_size = result->output_size;
        fixture->errors_size = result->errors_size;
}

static void on_never(const ProcessResult *result, void *userdata) {
        g_assert_not_reached();
}

static Process *begin(Fixture *fixture, ProcessSpec spec, const char *const *argv) {
        g_autoptr(GError) error = NULL;

        spec.argv = argv;
        Process *process = process_begin(fixture->event, fixture->reaper, &spec, on_done, fixture, &error);
        g_assert_no_error(error);
        g_assert_nonnull(process);
        g_assert_cmpuint(fixture->n, ==, 0); /* never before it has returned */
        return process;
}

static void run(Fixture *fixture, ProcessSpec spec, const char *const *argv) {
        (void) begin(fixture, spec, argv);
        testing_run_until_count(fixture->event, &fixture->n, 1);
}

static void run_shell(Fixture *fixture, ProcessSpec spec, const char *script) {
        run(fixture, spec, (const char *const[]) {"sh", "-c", script, NULL});
}

static const ProcessSpec plain = PROCESS_SPEC_INIT;

/* --- what is read back --- */

static void test_output_and_errors_are_kept_apart(Fixture *fixture, gconstpointer unused) {
        run_shell(fixture, plain, "echo out; echo err >&2; exit 5");
        g_assert_cmpint(WEXITSTATUS(fixture->status), ==, 5);
        g_assert_cmpstr(fixture->output, ==, "out\n");
        g_assert_cmpstr(fixture->errors, ==, "err\n");
        g_assert_false(fixture->timed_out);
}

static void test_a_silent_helper_has_empty_texts(Fixture *fixture, gconstpointer unused) {
        run(fixture, plain, (const char *const[]) {"true", NULL});
        g_assert_cmpint(fixture->status, ==, 0);
        g_assert_cmpstr(fixture->output, ==, "");
        g_assert_cmpstr(fixture->errors, ==, "");
}

static void test_output_may_hold_any_byte(Fixture *fixture, gconstpointer unused) {
        run_shell(fixture, plain, "printf 'a\\000b'");
        g_assert_cmpmem(fixture->output, fixture->output_size, "a\0b", 3);
}

static void test_no_more_than_the_limit_is_read_back(Fixture *fixture, gconstpointer unused) {
        ProcessSpec spec = PROCESS_SPEC_INIT;

        spec.capture_limit = 5;
        run_shell(fixture, spec, "echo 1234567890; echo abcdefghij >&2");
        g_assert_cmpstr(fixture->output, ==, "12345");
        g_assert_cmpstr(fixture->errors, ==, "abcde");
}

static void test_a_lot_of_output_blocks_nobody(Fixture *fixture, gconstpointer unused) {
        run_shell(fixture, plain, "head -c 1000000 /dev/zero");
        g_assert_cmpint(fixture->status, ==, 0);
        g_assert_cmpuint(fixture->output_size, ==, 64 * 1024);
}

static void test_output_can_go_elsewhere(Fixture *fixture, gconstpointer unused) {
        autofd int output = memfd_create("output", MFD_CLOEXEC), errors = memfd_create("errors", MFD_CLOEXEC);
        ProcessSpec spec = PROCESS_SPEC_INIT;
        char text[16] = "";

        spec.output_fd = output;
        spec.errors_fd = errors;
        run_shell(fixture, spec, "echo out; echo err >&2");
        g_assert_cmpstr(fixture->output, ==, "");
        g_assert_cmpstr(fixture->errors, ==, "");
        g_assert_cmpint(pread(output, text, sizeof text, 0), ==, 4);
        g_assert_cmpmem(text, 4, "out\n", 4);
        g_assert_cmpint(pread(errors, text, sizeof text, 0), ==, 4);
        g_assert_cmpmem(text, 4, "err\n", 4);
}

/* --- what cannot be run --- */

static void test_a_missing_program_is_named(Fixture *fixture, gconstpointer unused) {
        g_autoptr(GError) error = NULL;
        ProcessSpec spec = PROCESS_SPEC_INIT;

        spec.argv = (const char *const[]) {"no-such-program-anywhere", NULL};
        g_assert_null(process_begin(fixture->event, fixture->reaper, &spec, on_never, NULL, &error));
        testing_expect_error(&error, CONBUS_ERROR_HELPER_MISSING, "the program no-such-program-anywhere is not installed");
}

static void test_a_program_that_cannot_be_executed_says_why(Fixture *fixture, gconstpointer unused) {
        g_autofree char *path = g_build_filename(fixture->directory, "broken", NULL), *said = g_strdup_printf("%s: %s", path, g_strerror(ENOENT));

        testing_write(fixture->directory, "broken", "#!/no/such/interpreter\n");
        g_assert_cmpint(chmod(path, 0755), ==, 0);
        run(fixture, plain, (const char *const[]) {path, NULL});
        g_assert_cmpint(WEXITSTATUS(fixture->status), ==, 127);
        g_assert_cmpstr(fixture->errors, ==, said);
}

static void test_a_working_directory_that_is_not_there_says_so(Fixture *fixture, gconstpointer unused) {
        ProcessSpec spec = PROCESS_SPEC_INIT;

        spec.directory = "/no/such/directory";
        run(fixture, spec, (const char *const[]) {"true", NULL});
        g_assert_cmpint(WEXITSTATUS(fixture->status), ==, 127);
        g_assert_nonnull(strstr(fixture->errors, g_strerror(ENOENT)));
}

/* --- what a helper is given --- */

static void test_the_environment_is_clean(Fixture *fixture, gconstpointer unused) {
        g_setenv("NOTIFY_SOCKET", "/run/secret", true);
        run(fixture, plain, (const char *const[]) {"env", NULL});
        g_unsetenv("NOTIFY_SOCKET");
        g_assert_cmpstr(fixture->output, ==, "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\nLANG=C.UTF-8\n");
}

static void test_another_environment_replaces_it(Fixture *fixture, gconstpointer unused) {
        ProcessSpec spec = PROCESS_SPEC_INIT;

        spec.environment = (const char *const[]) {"A=1", NULL};
        run(fixture, spec, (const char *const[]) {"env", NULL});
        g_assert_cmpstr(fixture->output, ==, "A=1\n");
}

static void test_no_descriptor_but_the_standard_ones(Fixture *fixture, gconstpointer unused) {
        int leak = open("/dev/zero", O_RDONLY); /* not close-on-exec */

        run(fixture, plain, (const char *const[]) {"ls", "/proc/self/fd", NULL});
        close(leak);
        g_assert_cmpstr(fixture->output, ==, "0\n1\n2\n3\n"); /* 3 is the directory that ls reads */
}

/* Given in an order that makes each stand in another's place. */
static void test_mapped_descriptors_come_in_order(Fixture *fixture, gconstpointer unused) {
        autofd int a = memfd_create("a", 0), b = memfd_create("b", 0), c = memfd_create("c", 0);
        g_assert_cmpint(write(a, "A", 1) + write(b, "B", 1) + write(c, "C", 1), ==, 3);
        int moved[3] = {fcntl(a, F_DUPFD_CLOEXEC, 10), fcntl(b, F_DUPFD_CLOEXEC, 10), fcntl(c, F_DUPFD_CLOEXEC, 10)};
        ProcessSpec spec = PROCESS_SPEC_INIT;
        const int fds[] = {moved[2], a, moved[1], moved[2]};

        spec.fds = fds;
        spec.n_fds = G_N_ELEMENTS(fds);
        run_shell(fixture, spec, "for fd in 3 4 5 6; do cat /proc/self/fd/$fd; done; [ ! -e /proc/self/fd/7 ]");
        g_assert_cmpint(fixture->status, ==, 0);
        g_assert_cmpstr(fixture->output, ==, "CABC");
        for (int i = 0; i < 3; i++)
                close(moved[i]);
}

static void test_standard_input_is_empty_unless_given(Fixture *fixture, gconstpointer unused) {
        run(fixture, plain, (const char *const[]) {"readlink", "/proc/self/fd/0", NULL});
        g_assert_cmpstr(fixture->output, ==, "/dev/null\n");
}

static void test_standard_input_can_be_given(Fixture *fixture, gconstpointer unused) {
        autofd int input = memfd_create("input", MFD_CLOEXEC);
        ProcessSpec spec = PROCESS_SPEC_INIT;

        g_assert_cmpint(pwrite(input, "hello", 5, 0), ==, 5);
        spec.stdin_fd = input;
        run(fixture, spec, (const char *const[]) {"cat", NULL});
        g_assert_cmpstr(fixture->output, ==, "hello");
}

static void test_the_working_directory_is_the_root_or_the_given(Fixture *fixture, gconstpointer given) {
        ProcessSpec spec = PROCESS_SPEC_INIT;

        spec.directory = given;
        run(fixture, spec, (const char *const[]) {"readlink", "/proc/self/cwd", NULL});
        g_assert_cmpstr(g_strchomp(fixture->output), ==, given ? given : "/");
}

static void test_signals_are_as_at_birth(Fixture *fixture, gconstpointer unused) {
        void (*before)(int) = signal(SIGUSR1, SIG_IGN);

        run(fixture, plain, (const char *const[]) {"grep", "-E", "^Sig(Blk|Ign):", "/proc/self/status", NULL});
        signal(SIGUSR1, before);
        g_assert_cmpstr(fixture->output, ==, "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n");
}

static void test_it_leads_a_session_of_its_own(Fixture *fixture, gconstpointer unused) {
        run(fixture, plain, (const char *const[]) {"cut", "-d", " ", "-f", "1,5,6", "/proc/self/stat", NULL});
        g_auto(GStrv) numbers = g_strsplit(g_strchomp(fixture->output), " ", -1);
        g_assert_cmpuint(g_strv_length(numbers), ==, 3);
        g_assert_cmpstr(numbers[0], ==, numbers[1]);
        g_assert_cmpstr(numbers[0], ==, numbers[2]);
}

static void test_the_limit_of_descriptors_is_the_one_of_before(Fixture *fixture, gconstpointer unused) {
        if (testing_is_under_valgrind()) {
                g_test_skip("valgrind answers setrlimit(2) itself");
                return;
        }
        process_set_nofile_limit(100);
        run_shell(fixture, plain, "ulimit -Sn");
        process_set_nofile_limit(RLIM_INFINITY);
        g_assert_cmpstr(fixture->output, ==, "100\n");
}

static void test_it_enters_its_control_group_before_it_runs(Fixture *fixture, gconstpointer unused) {
        g_autofree char *procs = g_build_filename(fixture->directory, "cgroup.procs", NULL);
        ProcessSpec spec = PROCESS_SPEC_INIT;

        testing_write(fixture->directory, "cgroup.procs", "");
        spec.cgroup_file = procs;
        run(fixture, spec, (const char *const[]) {"cat", procs, NULL});
        g_assert_cmpstr(fixture->output, ==, "0"); /* the writer itself */
}

static void test_without_its_control_group_it_does_not_run(Fixture *fixture, gconstpointer unused) {
        ProcessSpec spec = PROCESS_SPEC_INIT;

        spec.cgroup_file = "/proc/no/such/cgroup.procs";
        run_shell(fixture, spec, "echo ran");
        g_assert_cmpint(WEXITSTATUS(fixture->status), ==, 127);
        g_assert_nonnull(strstr(fixture->errors, "No such file or directory"));
        g_assert_cmpstr(fixture->output, ==, "");
}

static int succeed(const char *const *argv) {
        return argv[1] && argv[1][0] == 'x' && write(STDOUT_FILENO, "done", 4) == 4 ? 0 : EINVAL;
}

static int fail(const char *const *argv) {
        return EBUSY;
}

static void test_a_call_in_a_child(Fixture *fixture, gconstpointer unused) {
        ProcessSpec spec = PROCESS_SPEC_INIT;

        spec.call = succeed;
        run(fixture, spec, (const char *const[]) {"no-such-program", "x", NULL});
        g_assert_cmpint(fixture->status, ==, 0);
        g_assert_cmpstr(fixture->output, ==, "done");
}

static bool is_spared(const char *const *argv) {
        return g_str_equal(argv[1], "spared");
}

static void test_a_program_that_is_spared(Fixture *fixture, gconstpointer unused) {
        ProcessSpec spec = PROCESS_SPEC_INIT;

        spec.spare = is_spared;
        run(fixture, spec, (const char *const[]) {"echo", "spared", NULL});
        g_assert_cmpint(fixture->status, ==, 0);
        g_assert_cmpstr(fixture->output, ==, "");
}

static void test_a_program_that_is_not_spared(Fixture *fixture, gconstpointer unused) {
        ProcessSpec spec = PROCESS_SPEC_INIT;

        spec.spare = is_spared;
        run(fixture, spec, (const char *const[]) {"echo", "needed", NULL});
        g_assert_cmpstr(fixture->output, ==, "needed\n");
}

static void test_a_call_that_fails_says_why(Fixture *fixture, gconstpointer unused) {
        ProcessSpec spec = PROCESS_SPEC_INIT;

        spec.call = fail;
        run(fixture, spec, (const char *const[]) {"unmount", NULL});
        g_assert_cmpint(WEXITSTATUS(fixture->status), ==, 127);
        g_assert_cmpstr(fixture->errors, ==, "unmount: Device or resource busy");
}

/* --- how it ends --- */

static void test_at_the_deadline_it_is_asked_to_end(Fixture *fixture, gconstpointer unused) {
        ProcessSpec spec = PROCESS_SPEC_INIT;

        spec.timeout_usec = 1000;
        run(fixture, spec, (const char *const[]) {"sleep", "1000", NULL});
        g_assert_true(fixture->timed_out);
        g_assert_cmpint(WTERMSIG(fixture->status), ==, SIGTERM);
}

static void test_what_does_not_end_is_killed_a_second_later(Fixture *fixture, gconstpointer unused) {
        ProcessSpec spec = PROCESS_SPEC_INIT;
        gint64 before = g_get_monotonic_time();

        spec.timeout_usec = 200 * G_TIME_SPAN_MILLISECOND;
        run_shell(fixture, spec, "trap '' TERM; echo deaf; exec sleep 1000");
        g_assert_true(fixture->timed_out);
        g_assert_cmpint(WTERMSIG(fixture->status), ==, SIGKILL);
        g_assert_cmpint(g_get_monotonic_time() - before, >=, G_USEC_PER_SEC);
        g_assert_cmpstr(fixture->output, ==, "deaf\n");
}

static void test_a_deadline_that_is_kept_changes_nothing(Fixture *fixture, gconstpointer unused) {
        ProcessSpec spec = PROCESS_SPEC_INIT;

        spec.timeout_usec = UINT64_MAX - 1;
        run(fixture, spec, (const char *const[]) {"true", NULL});
        g_assert_false(fixture->timed_out);
        g_assert_cmpint(fixture->status, ==, 0);
}

static void test_it_can_be_killed(Fixture *fixture, gconstpointer unused) {
        Process *process = begin(fixture, plain, (const char *const[]) {"sleep", "1000", NULL});

        process_kill(process, SIGKILL);
        testing_run_until_count(fixture->event, &fixture->n, 1);
        g_assert_cmpint(WTERMSIG(fixture->status), ==, SIGKILL);
        g_assert_false(fixture->timed_out);
}

static bool is_reaped(void *pid) {
        return kill(*(pid_t *) pid, 0) < 0 && errno == ESRCH;
}

static void test_an_abandoned_helper_is_killed_without_a_word(Fixture *fixture, gconstpointer unused) {
        Process *process = begin(fixture, plain, (const char *const[]) {"sleep", "1000", NULL});
        pid_t pid = process_pid(process)->pid;

        process_abandon(process);
        testing_run_until(fixture->event, is_reaped, &pid);
        g_assert_cmpuint(fixture->n, ==, 0);
}

static bool is_written(void *userdata) {
        Fixture *fixture = userdata;
        g_autofree char *text = testing_read(fixture->directory, "done");

        return text != NULL;
}

/* Nothing of it is left in this process when the service leaves first, as leak checkers see. */
static void test_a_helper_that_outlives_the_reaper(Fixture *fixture, gconstpointer unused) {
        Process *process = begin(fixture, plain, (const char *const[]) {"sleep", "1000", NULL});
        pid_t pid = process_pid(process)->pid;
        int status;

        process_detach(process);
        g_clear_pointer(&fixture->reaper, reaper_free);
        g_assert_cmpint(kill(pid, SIGKILL), ==, 0);
        g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
}

static unsigned n_forgotten;

static void note_forgotten(void *userdata) {
        n_forgotten++;
}

/* Instead of done, not beside it. */
static void test_what_belongs_to_a_helper_goes_with_it(Fixture *fixture, gconstpointer unused) {
        ProcessSpec spec = PROCESS_SPEC_INIT;

        n_forgotten = 0;
        spec.forget = note_forgotten;
        Process *process = begin(fixture, spec, (const char *const[]) {"sleep", "1000", NULL});
        pid_t pid = process_pid(process)->pid;
        process_detach(process);
        g_assert_cmpuint(n_forgotten, ==, 1);
        process_abandon(process);
        testing_run_until(fixture->event, is_reaped, &pid);
        g_assert_cmpuint(n_forgotten, ==, 1);
        g_assert_cmpuint(fixture->n, ==, 0);
        (void) begin(fixture, spec, (const char *const[]) {"true", NULL});
        testing_run_until_count(fixture->event, &fixture->n, 1);
        g_assert_cmpuint(n_forgotten, ==, 1);
        fixture->n = 0;
        pid = process_pid(begin(fixture, spec, (const char *const[]) {"sleep", "1000", NULL}))->pid;
        g_clear_pointer(&fixture->reaper, reaper_free);
        g_assert_cmpuint(n_forgotten, ==, 2);
        g_assert_cmpint(kill(pid, SIGKILL), ==, 0);
        g_assert_cmpint(waitpid(pid, NULL, 0), ==, pid);
}

static void test_a_detached_helper_goes_on_without_a_word(Fixture *fixture, gconstpointer unused) {
        g_autofree char *fifo = g_build_filename(fixture->directory, "fifo", NULL), *script = g_strdup_printf("read line <%s/fifo; echo $line >%s/done", fixture->directory, fixture->directory);
        ProcessSpec spec = PROCESS_SPEC_INIT;

        g_assert_cmpint(mkfifo(fifo, 0600), ==, 0);
        spec.timeout_usec = 1000; /* forgotten with the callback */
        Process *process = begin(fixture, spec, (const char *const[]) {"sh", "-c", script, NULL});
        pid_t pid = process_pid(process)->pid;
        process_detach(process);
        autofd int fd = open(fifo, O_WRONLY | O_CLOEXEC);
        g_assert_cmpint(write(fd, "on\n", 3), ==, 3);
        testing_run_until(fixture->event, is_reaped, &pid);
        g_assert_true(is_written(fixture));
        g_assert_cmpuint(fixture->n, ==, 0);
}

/* --- held --- */

static void test_a_held_helper_runs_when_it_is_released(Fixture *fixture, gconstpointer unused) {
        ProcessSpec spec = PROCESS_SPEC_INIT;
        char name[32];

        spec.hold = true;
        Process *process = begin(fixture, spec, (const char *const[]) {"echo", "ran", NULL});
        g_assert_cmpint(process_pid(process)->pid, >, 0);
        snprintf(name, sizeof name, "/proc/%d", (int) process_pid(process)->pid);
        g_autofree char *text = testing_read(name, "comm");
        g_assert_nonnull(text);
        g_assert_cmpstr(g_strchomp(text), !=, "echo");
        testing_run_idle(fixture->event);
        g_assert_cmpuint(fixture->n, ==, 0);
        process_release(process);
        process_release(process);
        testing_run_until_count(fixture->event, &fixture->n, 1);
        g_assert_cmpstr(fixture->output, ==, "ran\n");
}

static void test_a_held_helper_enters_the_groups_it_is_told_of(Fixture *fixture, gconstpointer missing) {
        g_autofree char *first = g_build_filename(fixture->directory, "first", NULL), *second = g_build_filename(fixture->directory, "second", NULL);
        const char *const groups[] = {first, missing ? missing : second, NULL};
        ProcessSpec spec = PROCESS_SPEC_INIT;

        testing_write(fixture->directory, "first", "");
        testing_write(fixture->directory, "second", "");
        spec.hold = true;
        Process *process = begin(fixture, spec, (const char *const[]) {"cat", first, second, NULL});
        process_release_into(process, groups);
        testing_run_until_count(fixture->event, &fixture->n, 1);
        g_assert_cmpstr(fixture->output, ==, missing ? "" : "00");
        g_assert_cmpint(WEXITSTATUS(fixture->status), ==, missing ? 127 : 0);
}

/* A service that begins a helper and dies. Returns the helper's pid, which becomes our child. */
static pid_t begin_and_die(Fixture *fixture, bool hold, bool survives, const char *script) {
        int numbers[2];
        pid_t helper = 0;

        g_assert_cmpint(pipe2(numbers, O_CLOEXEC), ==, 0);
        pid_t service = fork();
        if (service == 0) {
                g_autoptr(sd_event) event = NULL;
                ProcessSpec spec = PROCESS_SPEC_INIT;
                g_assert_cmpint(sd_event_new(&event), >=, 0);
                Reaper *reaper = reaper_new(event);
                spec.argv = (const char *const[]) {"sh", "-c", script, NULL};
                spec.hold = hold;
                spec.survives = survives;
                Process *process = process_begin(event, reaper, &spec, on_never, NULL, NULL);
                (void) !write(numbers[1], &process_pid(process)->pid, sizeof(pid_t));
                (void) pause();
        }
        g_assert_cmpint(read(numbers[0], &helper, sizeof helper), ==, sizeof helper);
        close(numbers[0]);
        close(numbers[1]);
        g_assert_cmpint(kill(service, SIGKILL), ==, 0);
        testing_run_until(fixture->event, is_reaped, &service);
        return helper;
}

static void test_the_end_of_the_service_does_not_release(Fixture *fixture, gconstpointer unused) {
        g_autofree char *script = g_strdup_printf("echo ran >%s/done", fixture->directory);
        pid_t helper = begin_and_die(fixture, true, false, script);

        testing_run_until(fixture->event, is_reaped, &helper);
        g_assert_false(is_written(fixture));
}

static void test_a_helper_dies_with_the_service(Fixture *fixture, gconstpointer unused) {
        pid_t helper = begin_and_die(fixture, false, false, "exec sleep 1000");

        testing_run_until(fixture->event, is_reaped, &helper);
}

static void test_a_helper_may_survive_the_service(Fixture *fixture, gconstpointer unused) {
        g_autofree char *script = g_strdup_printf("until mkdir %s/go 2>/dev/null; do :; done; echo ran >%s/done", fixture->directory, fixture->directory);
        g_autofree char *go = g_build_filename(fixture->directory, "go", NULL);

        g_assert_cmpint(mkdir(go, 0700), ==, 0);
        pid_t helper = begin_and_die(fixture, false, true, script);
        g_assert_cmpint(rmdir(go), ==, 0);
        testing_run_until(fixture->event, is_reaped, &helper);
        g_assert_true(is_written(fixture));
}

int main(int argc, char *argv[]) {
        static const struct {
                const char *path;
                void (*test)(Fixture *fixture, gconstpointer data);
                const void *data;
        } tests[] = {
                {"/process/output-and-errors-are-kept-apart", test_output_and_errors_are_kept_apart},
                {"/process/a-silent-helper-has-empty-texts", test_a_silent_helper_has_empty_texts},
                {"/process/output-may-hold-any-byte", test_output_may_hold_any_byte},
                {"/process/no-more-than-the-limit-is-read-back", test_no_more_than_the_limit_is_read_back},
                {"/process/a-lot-of-output-blocks-nobody", test_a_lot_of_output_blocks_nobody},
                {"/process/output-can-go-elsewhere", test_output_can_go_elsewhere},
                {"/process/a-missing-program-is-named", test_a_missing_program_is_named},
                {"/process/a-program-that-cannot-be-executed-says-why", test_a_program_that_cannot_be_executed_says_why},
                {"/process/a-working-directory-that-is-not-there-says-so", test_a_working_directory_that_is_not_there_says_so},
                {"/process/the-environment-is-clean", test_the_environment_is_clean},
                {"/process/another-environment-replaces-it", test_another_environment_replaces_it},
                {"/process/no-descriptor-but-the-standard-ones", test_no_descriptor_but_the_standard_ones},
                {"/process/mapped-descriptors-come-in-order", test_mapped_descriptors_come_in_order},
                {"/process/standard-input-is-empty-unless-given", test_standard_input_is_empty_unless_given},
                {"/process/standard-input-can-be-given", test_standard_input_can_be_given},
                {"/process/the-working-directory-is-the-root", test_the_working_directory_is_the_root_or_the_given},
                {"/process/the-working-directory-can-be-given", test_the_working_directory_is_the_root_or_the_given, "/proc"},
                {"/process/signals-are-as-at-birth", test_signals_are_as_at_birth},
                {"/process/it-leads-a-session-of-its-own", test_it_leads_a_session_of_its_own},
                {"/process/the-limit-of-descriptors-is-the-one-of-before", test_the_limit_of_descriptors_is_the_one_of_before},
                {"/process/it-enters-its-control-group-before-it-runs", test_it_enters_its_control_group_before_it_runs},
                {"/process/without-its-control-group-it-does-not-run", test_without_its_control_group_it_does_not_run},
                {"/process/a-call-in-a-child", test_a_call_in_a_child},
                {"/process/a-program-that-is-spared", test_a_program_that_is_spared},
                {"/process/a-program-that-is-not-spared", test_a_program_that_is_not_spared},
                {"/process/a-call-that-fails-says-why", test_a_call_that_fails_says_why},
                {"/process/at-the-deadline-it-is-asked-to-end", test_at_the_deadline_it_is_asked_to_end},
                {"/process/what-does-not-end-is-killed-a-second-later", test_what_does_not_end_is_killed_a_second_later},
                {"/process/a-deadline-that-is-kept-changes-nothing", test_a_deadline_that_is_kept_changes_nothing},
                {"/process/it-can-be-killed", test_it_can_be_killed},
                {"/process/an-abandoned-helper-is-killed-without-a-word", test_an_abandoned_helper_is_killed_without_a_word},
                {"/process/a-helper-that-outlives-the-reaper", test_a_helper_that_outlives_the_reaper},
                {"/process/what-belongs-to-a-helper-goes-with-it", test_what_belongs_to_a_helper_goes_with_it},
                {"/process/a-detached-helper-goes-on-without-a-word", test_a_detached_helper_goes_on_without_a_word},
                {"/process/a-held-helper-runs-when-it-is-released", test_a_held_helper_runs_when_it_is_released},
                {"/process/a-held-helper-enters-the-groups-it-is-told-of", test_a_held_helper_enters_the_groups_it_is_told_of},
                {"/process/a-held-helper-runs-in-all-its-groups-or-not-at-all", test_a_held_helper_enters_the_groups_it_is_told_of, "/proc/no/such/cgroup.procs"},
                {"/process/the-end-of-the-service-does-not-release", test_the_end_of_the_service_does_not_release},
                {"/process/a-helper-dies-with-the-service", test_a_helper_dies_with_the_service},
                {"/process/a-helper-may-survive-the-service", test_a_helper_may_survive_the_service},
        };

        g_test_init(&argc, &argv, NULL);
        for (size_t i = 0; i < G_N_ELEMENTS(tests); i++)
                g_test_add(tests[i].path, Fixture, tests[i].data, set_up, tests[i].test, tear_down);
        return g_test_run();
}
