/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* conbus-stream as a program: what it must be given, what it refuses, and that it serves and leaves. */

#include "base/log.h"
#include "fake-conmon.h"
#include "runtime/process.h"
#include "stream/channel.h"
#include "stream/protocol.h"
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>

typedef struct Fixture {
        sd_event *event;
        Reaper *reaper;
        FakeConmon *conmon;
        Channel *channel;
        unsigned n_ended, n_words;
        char *word; /* the last one that was heard */
        int status;
        char *errors;
        unsigned before;
} Fixture;

static void set_up(Fixture *fixture, gconstpointer unused) {
        log_set_level(LOG_EMERG);
        fixture->before = testing_count_descriptors();
        g_assert_cmpint(sd_event_new(&fixture->event), >=, 0);
        fixture->reaper = reaper_new(fixture->event);
        fixture->conmon = fake_conmon_new();
}

static void tear_down(Fixture *fixture, gconstpointer unused) {
        channel_free(fixture->channel);
        fake_conmon_free(fixture->conmon);
        reaper_free(fixture->reaper);
        sd_event_unref(fixture->event);
        g_free(fixture->word);
        g_free(fixture->errors);
        g_assert_cmpuint(testing_count_descriptors(), ==, fixture->before);
}

static void on_received(const char *word, GVariant *fields, int fds[CHANNEL_FDS_MAX], void *userdata) {
        Fixture *fixture = userdata;

        g_free(fixture->word);
        fixture->word = g_strdup(word);
        fixture->n_words++;
}

static void on_closed(void *userdata) {
}

static void on_ended(const ProcessResult *result, void *userdata) {
        Fixture *fixture = userdata;

        fixture->status = result->status;
        g_free(fixture->errors);
        fixture->errors = g_strdup(result->errors);
        fixture->n_ended++;
}

/* options: separated by spaces. */
static void begin(Fixture *fixture, const char *options, const int *fds, unsigned n_fds) {
        g_autofree char *program = testing_built("service/conbus-stream"), *line = g_strconcat(program, " ", options, NULL);
        g_auto(GStrv) words = g_strsplit(line, " ", -1);
        ProcessSpec spec = PROCESS_SPEC_INIT;
        g_autoptr(GError) error = NULL;

        if (!*options)
                g_clear_pointer(&words[1], g_free);
        spec.argv = (const char *const *) words;
        spec.fds = fds;
        spec.n_fds = n_fds;
        fixture->n_ended = 0;
        (void) !process_begin(fixture->event, fixture->reaper, &spec, on_ended, fixture, &error);
        g_assert_no_error(error);
}

static void expect_failure(Fixture *fixture, const char *words) {
        testing_run_until_count(fixture->event, &fixture->n_ended, 1);
        g_assert_true(WIFEXITED(fixture->status));
        g_assert_cmpint(WEXITSTATUS(fixture->status), ==, EXIT_FAILURE);
        if (!strstr(fixture->errors, words))
                g_error("\"%s\" does not say \"%s\"", fixture->errors, words);
}

/* Its end of a pair that the fixture's channel has the other end of. */
static int control_new(Fixture *fixture) {
        int ends[2];

        g_assert_no_errno(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends));
        channel_free(fixture->channel);
        fixture->channel = channel_new(fixture->event, ends[1], on_received, on_closed, fixture, NULL);
        return ends[0];
}

static void test_without_descriptors(Fixture *fixture, gconstpointer unused) {
        begin(fixture, "", NULL, 0);
        expect_failure(fixture, "conbus-stream is started by conbusd alone");
        begin(fixture, "", (const int[]) {fixture->conmon->listening}, 1);
        expect_failure(fixture, "conbus-stream is started by conbusd alone");
}

static void test_options_that_are_wrong(Fixture *fixture, gconstpointer unused) {
        static const char *const options[] = {"--odd", "--odd x", "--log", "--from-start", "--stall-usec", "--stall-usec 0", "--stall-usec -1", "--stall-usec x", "--stall-usec 9223372036854775808", "--stdin-once --log", "x"};

        for (unsigned i = 0; i < G_N_ELEMENTS(options); i++) {
                autofd int control = control_new(fixture);
                begin(fixture, options[i], (const int[]) {control, fixture->conmon->directory_fd}, 2);
                expect_failure(fixture, "conbus-stream is started by conbusd alone");
        }
}

static void test_a_start_that_fails_is_told(Fixture *fixture, gconstpointer unused) {
        autofd int control = control_new(fixture);

        begin(fixture, "--from-start nonsense", (const int[]) {control, fixture->conmon->directory_fd}, 2);
        expect_failure(fixture, "\"nonsense\" is no position in a log");
}

static void expect_service(Fixture *fixture, const char *options, const int *fds, unsigned n_fds) {
        fixture->n_words = 0;
        begin(fixture, options, fds, n_fds);
        testing_run_until_count(fixture->event, &fixture->n_words, 1);
        g_assert_cmpstr(fixture->word, ==, STREAM_HELLO);
        g_assert_cmpuint(fixture->n_ended, ==, 0);
}

static void expect_success(Fixture *fixture) {
        testing_run_until_count(fixture->event, &fixture->n_ended, 1);
        g_assert_true(WIFEXITED(fixture->status));
        g_assert_cmpint(WEXITSTATUS(fixture->status), ==, 0);
}

static void test_it_serves_and_leaves(Fixture *fixture, gconstpointer unused) {
        g_autofree char *options = g_strdup_printf("--log %s/log --from-start 0:0 --stdin-once --stall-usec 9223372036854775807", fixture->conmon->directory);
        int control = control_new(fixture);

        expect_service(fixture, options, (const int[]) {control, fixture->conmon->directory_fd}, 2);
        control = close_fd(control);
        autofd int output = fake_conmon_accept(fixture->conmon); /* it wants the first byte */
        g_clear_pointer(&fixture->channel, channel_free);
        expect_success(fixture);
}

static void test_it_leaves_with_conmon(Fixture *fixture, gconstpointer unused) {
        autofd int control = control_new(fixture);
        int monitor[2];

        g_assert_no_errno(pipe2(monitor, O_CLOEXEC));
        autofd int reading = monitor[0];
        expect_service(fixture, "", (const int[]) {control, fixture->conmon->directory_fd, reading}, 3);
        channel_send(fixture->channel, STREAM_REMOVE, g_variant_new_parsed("{'id': <uint64 1>}"), NULL, 0); /* the client it was started for has left */
        close(monitor[1]); /* as readable as a pidfd whose process has ended */
        expect_success(fixture);
}

#define ADD(name, function) g_test_add("/stream/" name, Fixture, NULL, set_up, function, tear_down)

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        ADD("without-descriptors", test_without_descriptors);
        ADD("options-that-are-wrong", test_options_that_are_wrong);
        ADD("a-start-that-fails-is-told", test_a_start_that_fails_is_told);
        ADD("it-serves-and-leaves", test_it_serves_and_leaves);
        ADD("it-leaves-with-conmon", test_it_leaves_with_conmon);
        return g_test_run();
}
