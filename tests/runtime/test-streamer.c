/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The test is the program that is started (a script), the streamer that is found (behind its socket), and the service manager that is asked for scopes. */

#include "runtime/streamer.h"
#include "base/log.h"
#include "fake-bus.h"
#include "runtime/cgroup.h"
#include "stream/channel.h"
#include "stream/protocol.h"
#include "testing.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define ID "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

typedef struct Fixture {
        sd_event *event;
        Reaper *reaper;
        char *directory;
        Paths paths;
        FakeBus *bus;
        Units *units;
        GPtrArray *calls; /* of text: member and first argument */
        bool refuse; /* the manager starts no unit */
        Streamer *streamer;
        GPtrArray *told; /* what the owner has heard, as text */
        bool free_when_closed;
        int listening; /* the found streamer's */
        Channel *channel; /* its side */
        GPtrArray *heard; /* what it has heard */
        unsigned n_fds; /* that came with the last word */
        PidRef monitor;
        unsigned before;
} Fixture;

/* --- the owner --- */

static void tell(Fixture *fixture, const char *format, ...) G_GNUC_PRINTF(2, 3);
static void tell(Fixture *fixture, const char *format, ...) {
        va_list arguments;

        va_start(arguments, format);
        g_ptr_array_add(fixture->told, g_strdup_vprintf(format, arguments));
        va_end(arguments);
}

static void on_ready(GVariant *clients, void *userdata) {
        g_autofree char *text = g_variant_print(clients, false);

        tell(userdata, "ready %s", text);
}

static void on_added(guint64 id, void *userdata) {
        tell(userdata, "added %d", (int) id);
}

static void on_refused(guint64 id, const GError *error, void *userdata) {
        g_assert_true(error->domain == CONBUS_ERROR);
        tell(userdata, "refused %d %d %s", (int) id, error->code, error->message);
}

static void on_gone(guint64 id, GVariant *report, void *userdata) {
        g_autofree char *text = g_variant_print(report, false);

        tell(userdata, "gone %d %s", (int) id, text);
}

static void on_closed(void *userdata) {
        Fixture *fixture = userdata;

        tell(fixture, "closed");
        if (fixture->free_when_closed)
                g_clear_pointer(&fixture->streamer, streamer_free);
}

static const StreamerEvents events = {on_ready, on_added, on_refused, on_gone, on_closed};

static void expect_told(Fixture *fixture, unsigned n, const char *wanted) {
        testing_run_until_count(fixture->event, &fixture->told->len, n);
        g_assert_cmpstr(fixture->told->pdata[n - 1], ==, wanted);
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
        fixture->paths = (Paths) {.stream = testing_program(fixture->directory, "program", "exit 0")};
        fixture->calls = g_ptr_array_new_with_free_func(g_free);
        fixture->told = g_ptr_array_new_with_free_func(g_free);
        fixture->heard = g_ptr_array_new_with_free_func(g_free);
        fixture->listening = -1;
        fixture->monitor = PIDREF_NULL;
}

static bool has_no_children(void *unused) {
        siginfo_t info;

        return waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) < 0 && errno == ECHILD;
}

static void tear_down(Fixture *fixture, gconstpointer unused) {
        streamer_free(fixture->streamer);
        channel_free(fixture->channel);
        close_fd(fixture->listening);
        if (fixture->monitor.pid > 0)
                (void) kill(fixture->monitor.pid, SIGKILL);
        testing_run_until(fixture->event, has_no_children, NULL);
        pidref_clear(&fixture->monitor);
        units_free(fixture->units);
        fake_bus_free(fixture->bus);
        g_ptr_array_unref(fixture->calls);
        g_ptr_array_unref(fixture->told);
        g_ptr_array_unref(fixture->heard);
        g_free(fixture->paths.stream);
        reaper_free(fixture->reaper);
        sd_event_unref(fixture->event);
        testing_directory_free(fixture->directory);
        g_assert_cmpuint(testing_count_descriptors(), ==, fixture->before);
}

/* --- starting --- */

static StreamerSource source_of(Fixture *fixture) {
        return (StreamerSource) {.directory = fixture->directory, .group_id = ID, .slice = "machine-a.slice"};
}

static void set_program(Fixture *fixture, const char *script) {
        g_free(fixture->paths.stream);
        fixture->paths.stream = testing_program(fixture->directory, "program", script);
}

static void set_monitor(Fixture *fixture) {
        g_assert_true(pidref_open(testing_child_new(), &fixture->monitor, NULL));
}

static void start(Fixture *fixture, const StreamerSource *source) {
        g_autoptr(GError) error = NULL;

        fixture->streamer = streamer_start(fixture->event, fixture->reaper, &fixture->paths, fixture->units, source, &events, fixture, &error);
        g_assert_no_error(error);
        g_assert_nonnull(fixture->streamer);
        g_assert_cmpuint(fixture->told->len, ==, 0);
}

#define NOTE "echo \"$@\" >$(readlink /proc/self/fd/4)/note.new; for fd in 3 4 5 6; do [ ! -e /proc/$$/fd/$fd ] || echo $fd >>$(readlink /proc/self/fd/4)/note.new; done; mv $(readlink /proc/self/fd/4)/note.new $(readlink /proc/self/fd/4)/note"

static void expect_note(Fixture *fixture, const char *wanted) {
        g_autofree char *text = testing_read(fixture->directory, "note");

        g_assert_cmpstr(text, ==, wanted);
}

static void test_what_the_program_is_given(Fixture *fixture, gconstpointer unused) {
        static const struct {
                const char *log, *log_start, *wanted;
                bool stdin_once, journal;
        } table[] = {
                {NULL, NULL, "\n3\n4\n", false},
                {NULL, "", "--journal " ID " --from-start \n3\n4\n", false, true},
                {"/a b/log", NULL, "--log /a b/log\n3\n4\n", false},
                {NULL, "0:0", "--from-start 0:0\n3\n4\n", false},
                {"/log", "1f:20", "--log /log --from-start 1f:20 --stdin-once\n3\n4\n", true},
        };

        set_program(fixture, NOTE);
        for (unsigned i = 0; i < G_N_ELEMENTS(table); i++) {
                StreamerSource source = source_of(fixture);
                source.log = table[i].log;
                source.log_start = table[i].log_start;
                source.stdin_once = table[i].stdin_once;
                source.journal = table[i].journal;
                start(fixture, &source);
                expect_told(fixture, 1, "closed"); /* with its end; there is nobody else on the connection */
                expect_note(fixture, table[i].wanted);
                g_clear_pointer(&fixture->streamer, streamer_free);
                g_ptr_array_set_size(fixture->told, 0);
        }
        g_autofree char *path = g_build_filename(fixture->directory, STREAMER_SOCKET, NULL);
        g_assert_cmpint(access(path, F_OK), <, 0); /* without conmon it is never looked for again */
}

/* In the control group of its monitor, and to be found by its socket; one of an earlier run is in the way. */
static void test_beside_a_monitor(Fixture *fixture, gconstpointer unused) {
        StreamerSource source = source_of(fixture);

        set_monitor(fixture);
        set_program(fixture, NOTE);
        testing_write(fixture->directory, STREAMER_SOCKET, "stale");
        source.monitor = &fixture->monitor;
        start(fixture, &source);
        fixture->free_when_closed = true;
        expect_told(fixture, 1, "closed");
        expect_note(fixture, "\n3\n4\n5\n");
        g_assert_null(fixture->streamer);
        cgroup_remove_monitor(ID);
}

static void expect_no_start(Fixture *fixture, const StreamerSource *source, ConbusError code, const char *part) {
        g_autoptr(GError) error = NULL;

        testing_run_until(fixture->event, has_no_children, NULL); /* the loop has now opened what it keeps */
        unsigned before = testing_count_descriptors();
        g_assert_null(streamer_start(fixture->event, fixture->reaper, &fixture->paths, fixture->units, source, &events, fixture, &error));
        testing_expect_error(&error, code, part);
        testing_run_until(fixture->event, has_no_children, NULL);
        g_assert_cmpuint(testing_count_descriptors(), ==, before);
        g_assert_cmpuint(fixture->told->len, ==, 0);
}

static void test_starts_that_fail(Fixture *fixture, gconstpointer unused) {
        StreamerSource source = source_of(fixture);
        g_autofree char *file = g_build_filename(fixture->directory, "program", NULL);

        source.directory = "/nonexistent/directory";
        expect_no_start(fixture, &source, CONBUS_ERROR_INTERNAL, "open /nonexistent/directory");
        source.directory = file;
        expect_no_start(fixture, &source, CONBUS_ERROR_INTERNAL, "Not a directory");
        source.directory = fixture->directory;
        g_free(fixture->paths.stream);
        fixture->paths.stream = g_strdup("/nonexistent/conbus-stream");
        expect_no_start(fixture, &source, CONBUS_ERROR_HELPER_MISSING, "/nonexistent/conbus-stream");
        source.monitor = &fixture->monitor;
        source.directory = "/proc";
        expect_no_start(fixture, &source, CONBUS_ERROR_INTERNAL, "make the socket of conbus-stream");
}

/* --- scopes --- */

static void begin_with_scope(Fixture *fixture) {
        StreamerSource source = source_of(fixture);

        with_units(fixture);
        set_program(fixture, NOTE);
        start(fixture, &source);
        testing_run_until_count(fixture->event, &fixture->calls->len, 1);
        g_assert_true(g_str_has_prefix(fixture->calls->pdata[0], "StartTransientUnit conbus-stream-0123456789abcdef-"));
}

static void test_nothing_runs_before_its_scope_is_there(Fixture *fixture, gconstpointer unused) {
        begin_with_scope(fixture);
        testing_let_time_pass(fixture->event, fixture->reaper);
        g_autofree char *begun = testing_read(fixture->directory, "note.new");
        g_assert_null(begun);
        expect_note(fixture, NULL);
        job_done(fixture);
        expect_told(fixture, 1, "closed");
        expect_note(fixture, "\n3\n4\n");
        testing_run_until_count(fixture->event, &fixture->calls->len, 2); /* which is taken away with it */
        g_assert_cmpstr(strchr(fixture->calls->pdata[1], ' '), ==, strchr(fixture->calls->pdata[0], ' '));
        g_assert_true(g_str_has_prefix(fixture->calls->pdata[1], "StopUnit "));
}

static void test_without_its_scope_nothing_runs(Fixture *fixture, gconstpointer unused) {
        fixture->refuse = true;
        begin_with_scope(fixture);
        expect_told(fixture, 1, "closed");
        testing_run_until(fixture->event, has_no_children, NULL);
        expect_note(fixture, NULL);
}

static void test_one_that_is_let_go_before_its_scope_is_there(Fixture *fixture, gconstpointer unused) {
        begin_with_scope(fixture);
        g_clear_pointer(&fixture->streamer, streamer_free);
        testing_run_until(fixture->event, has_no_children, NULL);
        job_done(fixture);
        testing_run_idle(fixture->event);
        expect_note(fixture, NULL);
        g_assert_cmpuint(fixture->told->len, ==, 0);
}

/* --- finding --- */

static void on_heard(const char *word, GVariant *fields, int fds[CHANNEL_FDS_MAX], void *userdata) {
        Fixture *fixture = userdata;
        g_autofree char *text = g_variant_print(fields, false);

        g_ptr_array_add(fixture->heard, g_strdup_printf("%s %s", word, text));
        fixture->n_fds = 0;
        for (unsigned i = 0; i < CHANNEL_FDS_MAX; i++)
                fixture->n_fds += fds[i] >= 0;
}

static void on_let_go(void *userdata) {
        g_ptr_array_add(((Fixture *) userdata)->heard, g_strdup("closed"));
}

static Streamer *look_for(Fixture *fixture) {
        return streamer_find(fixture->event, fixture->units, ID, fixture->directory, &events, fixture);
}

static void find_streamer(Fixture *fixture) {
        g_autofree char *path = g_build_filename(fixture->directory, STREAMER_SOCKET, NULL);

        fixture->listening = testing_listen(path, SOCK_SEQPACKET);
        fixture->streamer = look_for(fixture);
        g_assert_nonnull(fixture->streamer);
        int fd = accept4(fixture->listening, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        g_assert_cmpint(fd, >=, 0);
        fixture->channel = channel_new(fixture->event, fd, on_heard, on_let_go, fixture, NULL);
}

static void speak(Fixture *fixture, const char *word, const char *fields, const int *fds, unsigned n_fds) {
        channel_send(fixture->channel, word, g_variant_new_parsed(fields), fds, n_fds);
}

static void expect_heard(Fixture *fixture, unsigned n, const char *wanted, unsigned n_fds) {
        testing_run_until_count(fixture->event, &fixture->heard->len, n);
        g_assert_cmpstr(fixture->heard->pdata[n - 1], ==, wanted);
        g_assert_cmpuint(fixture->n_fds, ==, n_fds);
}

static void test_nobody_is_found(Fixture *fixture, gconstpointer unused) {
        g_autofree char *path = g_build_filename(fixture->directory, STREAMER_SOCKET, NULL);

        g_assert_null(streamer_find(fixture->event, NULL, ID, "/nonexistent/directory", &events, fixture));
        g_assert_null(look_for(fixture));
        close_fd(testing_listen(path, SOCK_SEQPACKET)); /* left behind */
        g_assert_null(look_for(fixture));
        g_assert_no_errno(unlink(path));
        autofd int other = testing_listen(path, SOCK_STREAM);
        g_assert_null(look_for(fixture));
}

static void test_a_stranger_is_not_believed(Fixture *fixture, gconstpointer unused) {
        g_autofree char *path = g_build_filename(fixture->directory, STREAMER_SOCKET, NULL);
        int ready[2];

        g_assert_no_errno(chmod(fixture->directory, 0777));
        g_assert_no_errno(pipe2(ready, O_CLOEXEC));
        pid_t pid = fork();
        if (pid == 0) {
                if (setresuid(65534, 65534, 65534) < 0)
                        _exit(1);
                int fd = testing_listen(path, SOCK_SEQPACKET);
                if (fd < 0 || write(ready[1], "x", 1) != 1)
                        _exit(1);
                for (;;)
                        pause();
        }
        autofd int reading = ready[0];
        close(ready[1]);
        g_assert_cmpint(read(reading, &(char) {0}, 1), ==, 1);
        g_assert_null(look_for(fixture));
        g_assert_cmpint(errno, ==, EPERM);
        g_assert_no_errno(kill(pid, SIGKILL));
}

static void test_what_a_streamer_says(Fixture *fixture, gconstpointer unused) {
        g_autofree char *refused = g_strdup_printf("refused 2 %d not now", CONBUS_ERROR_NOT_RUNNING), *odd = g_strdup_printf("refused 3 %d ", CONBUS_ERROR_INTERNAL);

        find_streamer(fixture);
        speak(fixture, STREAM_HELLO, "{'pid': <uint32 5>, 'clients': <@a(ta{sv}) [(7, {'a': <1>})]>}", NULL, 0);
        expect_told(fixture, 1, "ready [(7, {'a': <1>})]");
        speak(fixture, STREAM_ADDED, "{'id': <uint64 1>}", NULL, 0);
        expect_told(fixture, 2, "added 1");
        speak(fixture, STREAM_REFUSED, "{'id': <uint64 2>, 'error': <'io.conbus1.Error.NotRunning'>, 'message': <'not now'>}", NULL, 0);
        expect_told(fixture, 3, refused);
        speak(fixture, STREAM_REFUSED, "{'id': <uint64 3>, 'error': <'odd'>}", NULL, 0);
        expect_told(fixture, 4, odd);
        speak(fixture, STREAM_GONE, "{'id': <uint64 4>, 'reason': <'exited'>}", NULL, 0);
        expect_told(fixture, 5, "gone 4 {'id': <uint64 4>, 'reason': <'exited'>}");
        speak(fixture, "dance", "@a{sv} {}", NULL, 0);
        speak(fixture, STREAM_HELLO, "{'clients': <'none'>}", NULL, 0); /* nonsense is no greeting */
        g_clear_pointer(&fixture->channel, channel_free);
        expect_told(fixture, 6, "closed");
}

static void test_what_a_streamer_is_told(Fixture *fixture, gconstpointer unused) {
        find_streamer(fixture);
        streamer_add(fixture->streamer, g_variant_new_parsed("{'id': <uint64 1>}"), 0, -1);
        expect_heard(fixture, 1, "add {'id': <uint64 1>}", 1);
        streamer_add(fixture->streamer, g_variant_new_parsed("{'id': <uint64 2>}"), 0, 1);
        expect_heard(fixture, 2, "add {'id': <uint64 2>}", 2);
        streamer_remove(fixture->streamer, 2);
        expect_heard(fixture, 3, "remove {'id': <uint64 2>}", 0);
        streamer_end_run(fixture->streamer, 3, -1);
        expect_heard(fixture, 4, "end {'run': <uint64 3>, 'exit-code': <-1>}", 0);
        streamer_lose(fixture->streamer);
        expect_heard(fixture, 5, "end {'lost': <true>}", 0);
        g_clear_pointer(&fixture->streamer, streamer_free);
        expect_heard(fixture, 6, "closed", 0);
        g_assert_cmpuint(fixture->told->len, ==, 0);
}

static void test_the_scope_of_one_that_was_found_is_stopped(Fixture *fixture, gconstpointer unused) {
        with_units(fixture);
        find_streamer(fixture);
        speak(fixture, STREAM_HELLO, "{'pid': <uint32 5>}", NULL, 0);
        g_clear_pointer(&fixture->channel, channel_free);
        fixture->free_when_closed = true;
        expect_told(fixture, 1, "closed");
        testing_run_until_count(fixture->event, &fixture->calls->len, 1);
        g_assert_cmpstr(fixture->calls->pdata[0], ==, "StopUnit conbus-stream-0123456789abcdef-5.scope");
}

static void test_one_that_has_not_greeted_has_no_scope(Fixture *fixture, gconstpointer unused) {
        with_units(fixture);
        find_streamer(fixture);
        g_clear_pointer(&fixture->channel, channel_free);
        expect_told(fixture, 1, "closed");
        testing_run_idle(fixture->event);
        g_assert_cmpuint(fixture->calls->len, ==, 0);
}

/* --- connections to conmon --- */

static void test_connections_are_kept_and_handed_over(Fixture *fixture, gconstpointer unused) {
        int old[2], new[2], taken[2];

        find_streamer(fixture);
        streamer_take_connections(fixture->streamer, taken);
        g_assert_cmpint(taken[0], ==, -1);
        g_assert_cmpint(taken[1], ==, -1);
        g_assert_no_errno(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, old));
        g_assert_no_errno(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, new));
        speak(fixture, STREAM_HELLO, "{'clients': <@a(ta{sv}) []>}", old, 2);
        expect_told(fixture, 1, "ready []");
        speak(fixture, STREAM_HELLO, "{'clients': <@a(ta{sv}) []>}", NULL, 0); /* has none to give, and takes none away */
        expect_told(fixture, 2, "ready []");
        speak(fixture, STREAM_HELLO, "{'clients': <@a(ta{sv}) []>}", new, 1); /* a newer one */
        expect_told(fixture, 3, "ready []");
        close(old[0]);
        autofd int peer = new[1], other = old[1];
        close(new[0]);
        streamer_take_connections(fixture->streamer, taken);
        g_clear_pointer(&fixture->streamer, streamer_free);
        autofd int input = taken[0], output = taken[1];
        g_assert_cmpint(send(input, "x", 1, MSG_NOSIGNAL), ==, 1);
        g_assert_cmpint(recv(peer, &(char) {0}, 1, MSG_DONTWAIT), ==, 1);
        g_assert_cmpint(output, >=, 0);
        g_assert_cmpint(send(peer, "x", 1, MSG_NOSIGNAL), <, 0); /* conmon can never wait for us */
        g_assert_cmpint(send(other, "x", 1, MSG_NOSIGNAL), <, 0);
}

static void test_connections_that_nobody_takes_are_closed(Fixture *fixture, gconstpointer unused) {
        int pair[2];

        find_streamer(fixture);
        g_assert_no_errno(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair));
        speak(fixture, STREAM_HELLO, "{'clients': <@a(ta{sv}) []>}", pair, 1);
        expect_told(fixture, 1, "ready []");
        close(pair[0]);
        autofd int peer = pair[1];
        g_clear_pointer(&fixture->streamer, streamer_free);
        g_assert_cmpint(recv(peer, &(char) {0}, 1, MSG_DONTWAIT), ==, 0);
}

#define ADD(name, function) g_test_add("/streamer/" name, Fixture, NULL, set_up, function, tear_down)

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        ADD("what-the-program-is-given", test_what_the_program_is_given);
        ADD("beside-a-monitor", test_beside_a_monitor);
        ADD("starts-that-fail", test_starts_that_fail);
        ADD("nothing-runs-before-its-scope-is-there", test_nothing_runs_before_its_scope_is_there);
        ADD("without-its-scope-nothing-runs", test_without_its_scope_nothing_runs);
        ADD("one-that-is-let-go-before-its-scope-is-there", test_one_that_is_let_go_before_its_scope_is_there);
        ADD("nobody-is-found", test_nobody_is_found);
        ADD("a-stranger-is-not-believed", test_a_stranger_is_not_believed);
        ADD("what-a-streamer-says", test_what_a_streamer_says);
        ADD("what-a-streamer-is-told", test_what_a_streamer_is_told);
        ADD("the-scope-of-one-that-was-found-is-stopped", test_the_scope_of_one_that_was_found_is_stopped);
        ADD("one-that-has-not-greeted-has-no-scope", test_one_that_has_not_greeted_has_no_scope);
        ADD("connections-are-kept-and-handed-over", test_connections_are_kept_and_handed_over);
        ADD("connections-that-nobody-takes-are-closed", test_connections_that_nobody_takes_are_closed);
        return g_test_run();
}
