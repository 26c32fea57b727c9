/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The test is conmon: what it sends, in packets of every size, what it takes, and how it goes. */

#include "stream/source.h"
#include "fake-conmon.h"
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

typedef struct Fixture {
        sd_event *event;
        FakeConmon *conmon;
        Source *source;
        int output, input; /* conmon's sides */
        unsigned n_before, n_output, n_writable;
        guint64 heads_seen; /* by before_output */
        unsigned before;
        bool one_connection, hold;
} Fixture;

static bool before_output(void *userdata) {
        Fixture *fixture = userdata;

        fixture->n_before++;
        fixture->heads_seen = ring_head(source_ring(fixture->source));
        return !fixture->hold;
}

static void on_output(void *userdata) {
        Fixture *fixture = userdata;

        fixture->n_output++;
}

static void on_writable(void *userdata) {
        Fixture *fixture = userdata;

        fixture->n_writable++;
}

static void make_source(Fixture *fixture) {
        static const SourceEvents events = {before_output, on_output, on_writable};

        fixture->source = source_new(fixture->event, fixture->conmon->directory_fd, fixture->one_connection, &events, fixture);
}

static void set_up(Fixture *fixture, gconstpointer unused) {
        fixture->before = testing_count_descriptors();
        g_assert_cmpint(sd_event_new(&fixture->event), >=, 0);
        fixture->conmon = fake_conmon_new();
        make_source(fixture);
        fixture->output = fixture->input = -1;
}

static void tear_down(Fixture *fixture, gconstpointer unused) {
        source_free(fixture->source);
        close_fd(fixture->output);
        close_fd(fixture->input);
        fake_conmon_free(fixture->conmon);
        sd_event_unref(fixture->event);
        g_assert_cmpuint(testing_count_descriptors(), ==, fixture->before);
}

static void open_output(Fixture *fixture) {
        g_autoptr(GError) error = NULL;

        g_assert_null(source_ring(fixture->source));
        g_assert_true(source_open_output(fixture->source, &error));
        g_assert_no_error(error);
        fixture->output = fake_conmon_accept(fixture->conmon);
}

static void open_input(Fixture *fixture) {
        g_autoptr(GError) error = NULL;

        g_assert_true(source_open_input(fixture->source, &error));
        g_assert_no_error(error);
        fixture->input = fake_conmon_accept(fixture->conmon);
}

/* "1:text 2:text " of all frames. */
static char *frames_of(Fixture *fixture) {
        Ring *ring = source_ring(fixture->source);
        GString *text = g_string_new(NULL);

        for (guint64 position = ring_tail(ring); position < ring_head(ring);) {
                Frame frame = ring_frame(ring, position, &position);
                g_string_append_printf(text, "%u:%.*s ", frame.stream, (int) frame.size, frame.data);
        }
        return g_string_free(text, FALSE);
}

static void test_packets_become_frames(Fixture *fixture, gconstpointer unused) {
        open_output(fixture);
        fake_conmon_send(fixture->output, 2, "out", 3);
        fake_conmon_send(fixture->output, 3, "error", 5);
        fake_conmon_send(fixture->output, 2, "", 0); /* nothing of a stream */
        fake_conmon_send(fixture->output, 2, "more", 4);
        testing_run_idle(fixture->event);
        g_autofree char *frames = frames_of(fixture);
        g_assert_cmpstr(frames, ==, "1:out 2:error 1:more ");
        g_assert_cmpuint(source_total(fixture->source, STREAM_STDOUT), ==, 7);
        g_assert_cmpuint(source_total(fixture->source, STREAM_STDERR), ==, 5);
        g_assert_cmpuint(fixture->n_output, ==, 1); /* after all of them */
        g_assert_cmpuint(fixture->n_before, ==, 1); /* before the look that found them all */
        g_assert_cmpuint(fixture->heads_seen, ==, 0);
        g_assert_false(source_has_ended(fixture->source));
}

static void test_largest_packet_and_one_that_is_too_large(Fixture *fixture, gconstpointer unused) {
        g_autofree char *data = g_strnfill(RING_FRAME_MAX + 10, 'x');

        open_output(fixture);
        fake_conmon_send(fixture->output, 2, data, RING_FRAME_MAX);
        fake_conmon_send(fixture->output, 2, data, RING_FRAME_MAX + 10); /* conmon never does */
        fake_conmon_send(fixture->output, 3, "y", 1);
        testing_run_idle(fixture->event);
        g_autofree char *frames = frames_of(fixture), *wanted = g_strdup_printf("1:%.*s 1:%.*s 2:y ", RING_FRAME_MAX, data, RING_FRAME_MAX, data);
        g_assert_cmpstr(frames, ==, wanted);
        g_assert_cmpuint(source_total(fixture->source, STREAM_STDOUT), ==, 2 * RING_FRAME_MAX);
}

/* Where the small ones left room, the large ones behind them move up. */
static void test_large_and_small_packets_in_one_look(Fixture *fixture, gconstpointer unused) {
        g_autoptr(GString) wanted = g_string_new(NULL);

        open_output(fixture);
        for (unsigned i = 0; i < 12; i++) {
                g_autofree char *data = g_strnfill(i % 3 ? RING_FRAME_MAX - i : 1 + i, (char) ('a' + i));
                fake_conmon_send(fixture->output, i % 2 ? 3 : 2, data, strlen(data));
                g_string_append_printf(wanted, "%u:%s ", i % 2 ? 2 : 1, data);
        }
        testing_run_idle(fixture->event);
        g_autofree char *frames = frames_of(fixture);
        g_assert_cmpstr(frames, ==, wanted->str);
        g_assert_cmpuint(fixture->n_output, ==, 1);
}

static void test_many_packets_leave_others_their_turn(Fixture *fixture, gconstpointer unused) {
        enum { N = 200 };

        open_output(fixture);
        for (unsigned i = 0; i < N; i++)
                fake_conmon_send(fixture->output, 2, "x", 1);
        testing_run_idle(fixture->event);
        g_assert_cmpuint(source_total(fixture->source, STREAM_STDOUT), ==, N);
        g_assert_cmpuint(fixture->n_output, >=, 3);
}

static void test_end_of_output(Fixture *fixture, gconstpointer unused) {
        open_output(fixture);
        fake_conmon_send(fixture->output, 2, "last", 4);
        fixture->output = close_fd(fixture->output);
        testing_run_idle(fixture->event); /* and nothing goes round for ever */
        g_assert_true(source_has_ended(fixture->source));
        g_assert_cmpuint(source_total(fixture->source, STREAM_STDOUT), ==, 4);
        g_assert_cmpuint(fixture->n_output, ==, 1);
        source_finish(fixture->source);
        g_assert_cmpuint(fixture->n_output, ==, 2);
}

static void test_what_waits_is_taken_at_the_finish(Fixture *fixture, gconstpointer unused) {
        open_output(fixture);
        for (unsigned i = 0; i < 100; i++)
                fake_conmon_send(fixture->output, 2, "x", 1);
        source_finish(fixture->source);
        g_assert_cmpuint(source_total(fixture->source, STREAM_STDOUT), ==, 100);
        g_assert_true(source_has_ended(fixture->source)); /* though conmon is still there */
        g_assert_cmpuint(fixture->n_output, ==, 1);
        fake_conmon_send(fixture->output, 2, "x", 1);
        testing_run_idle(fixture->event);
        g_assert_cmpuint(source_total(fixture->source, STREAM_STDOUT), ==, 100);
}

static void test_finish_without_output(Fixture *fixture, gconstpointer unused) {
        source_finish(fixture->source);
        g_assert_cmpuint(fixture->n_output, ==, 1);
        g_assert_null(source_ring(fixture->source));
}

static void test_connections_are_made_once(Fixture *fixture, gconstpointer unused) {
        g_assert_cmpint(source_output_fd(fixture->source), ==, -1);
        g_assert_cmpint(source_input_fd(fixture->source), ==, -1);
        open_output(fixture);
        open_input(fixture);
        g_assert_true(source_open_output(fixture->source, NULL));
        g_assert_true(source_open_input(fixture->source, NULL));
        g_assert_false(fake_conmon_is_asked(fixture->conmon));
        testing_run_idle(fixture->event);
        g_assert_cmpuint(fixture->n_writable, ==, 0); /* nobody has waited */
        g_assert_cmpint(source_output_fd(fixture->source), >=, 0);
        g_assert_cmpint(source_input_fd(fixture->source), >=, 0);
}

static void expect_ended(Fixture *fixture) {
        unsigned before = testing_count_descriptors();

        g_assert_true(source_open_output(fixture->source, NULL));
        g_assert_true(source_open_input(fixture->source, NULL));
        g_assert_nonnull(source_ring(fixture->source));
        g_assert_true(source_has_ended(fixture->source));
        g_assert_cmpuint(source_write(fixture->source, (const guint8 *) "word", 4), ==, 4);
        source_end_input(fixture->source);
        source_finish(fixture->source);
        g_assert_cmpuint(testing_count_descriptors(), ==, before);
        source_free(fixture->source);
        make_source(fixture);
}

static void test_without_conmon_all_is_at_its_end(Fixture *fixture, gconstpointer unused) {
        g_autofree char *path = g_build_filename(fixture->conmon->directory, "attach", NULL);

        fixture->conmon->listening = close_fd(fixture->conmon->listening);
        expect_ended(fixture); /* its socket is there still */
        g_assert_no_errno(unlink(path));
        expect_ended(fixture);
        fixture->one_connection = true;
        source_free(fixture->source);
        make_source(fixture);
        expect_ended(fixture);
}

static void test_what_is_not_conmons(Fixture *fixture, gconstpointer unused) {
        g_autofree char *path = g_build_filename(fixture->conmon->directory, "attach", NULL);
        g_autoptr(GError) error = NULL;

        fixture->conmon->listening = close_fd(fixture->conmon->listening);
        g_assert_no_errno(unlink(path));
        autofd int other = testing_listen(path, SOCK_STREAM);
        g_assert_false(source_open_output(fixture->source, &error));
        testing_expect_error(&error, CONBUS_ERROR_INTERNAL, "connect to conmon");
        g_assert_false(source_open_input(fixture->source, &error));
        testing_expect_error(&error, CONBUS_ERROR_INTERNAL, "connect to conmon");
        g_assert_null(source_ring(fixture->source));
        g_assert_false(source_has_ended(fixture->source));
}

static void test_input_is_passed_in_packets_that_conmon_reads_whole(Fixture *fixture, gconstpointer unused) {
        g_autofree guint8 *data = g_malloc(100000);
        size_t size = 0, largest = 0;

        for (unsigned i = 0; i < 100000; i++)
                data[i] = (guint8) (i % 251);
        open_input(fixture);
        g_assert_cmpuint(source_write(fixture->source, data, 0), ==, 0);
        g_assert_cmpuint(source_write(fixture->source, data, 100000), ==, 100000);
        g_autofree char *read = fake_conmon_read(fixture->input, &size, &largest);
        g_assert_cmpmem(read, size, data, 100000);
        g_assert_cmpuint(largest, ==, 32768);
}

static void test_conmon_can_never_write_into_the_input(Fixture *fixture, gconstpointer unused) {
        open_input(fixture);
        g_assert_cmpint(send(fixture->input, "x", 1, MSG_NOSIGNAL), <, 0);
        g_assert_cmpint(errno, ==, EPIPE);
}

static void test_a_conmon_that_does_not_read_is_waited_for(Fixture *fixture, gconstpointer unused) {
        g_autofree guint8 *data = g_malloc0(8 << 20);
        size_t done, size = 0;

        open_input(fixture);
        done = source_write(fixture->source, data, 8 << 20);
        g_assert_cmpuint(done, >, 0);
        g_assert_cmpuint(done, <, 8 << 20);
        testing_run_idle(fixture->event);
        g_assert_cmpuint(fixture->n_writable, ==, 0);
        g_autofree char *first = fake_conmon_read(fixture->input, &size, NULL);
        g_assert_cmpuint(size, ==, done);
        testing_run_until_count(fixture->event, &fixture->n_writable, 1);
        testing_run_idle(fixture->event);
        g_assert_cmpuint(fixture->n_writable, ==, 1); /* once for each time that it was needed */
        g_assert_cmpuint(source_write(fixture->source, data, 10), ==, 10);
}

static void test_what_nobody_reads_is_dropped(Fixture *fixture, gconstpointer unused) {
        g_autofree guint8 *data = g_malloc0(8 << 20);

        g_assert_cmpuint(source_write(fixture->source, data, 5), ==, 5); /* not even connected */
        open_input(fixture);
        g_assert_cmpuint(source_write(fixture->source, (const guint8 *) "heard", 5), ==, 5);
        g_autofree char *read = fake_conmon_read(fixture->input, NULL, NULL);
        g_assert_cmpstr(read, ==, "heard");
        source_end_input(fixture->source);
        g_assert_cmpuint(source_write(fixture->source, data, 5), ==, 5);
}

static void test_conmon_goes_while_it_is_waited_for(Fixture *fixture, gconstpointer unused) {
        g_autofree guint8 *data = g_malloc0(8 << 20);

        open_input(fixture);
        g_assert_cmpuint(source_write(fixture->source, data, 8 << 20), <, 8 << 20);
        fixture->input = close_fd(fixture->input);
        testing_run_until_count(fixture->event, &fixture->n_writable, 1);
        g_assert_cmpuint(source_write(fixture->source, data, 8 << 20), ==, 8 << 20);
        testing_run_idle(fixture->event);
        g_assert_cmpuint(fixture->n_writable, ==, 1);
}

static void test_conmon_has_gone_before(Fixture *fixture, gconstpointer unused) {
        open_input(fixture);
        fixture->input = close_fd(fixture->input);
        g_assert_cmpuint(source_write(fixture->source, (const guint8 *) "x", 1), ==, 1); /* and no SIGPIPE */
}

static void test_end_of_input(Fixture *fixture, gconstpointer unused) {
        size_t size = 0;

        open_input(fixture);
        g_assert_cmpuint(source_write(fixture->source, (const guint8 *) "last", 4), ==, 4);
        source_end_input(fixture->source);
        g_assert_cmpuint(source_write(fixture->source, (const guint8 *) "late", 4), ==, 4);
        g_autofree char *read = fake_conmon_read(fixture->input, &size, NULL), *end = fake_conmon_read(fixture->input, NULL, NULL);
        g_assert_cmpstr(read, ==, "last");
        g_assert_null(end);
}

/* Nobody is lost to a packet for which there is no room yet: it stays with conmon. */
static void test_output_is_held_until_it_may_go_on(Fixture *fixture, gconstpointer unused) {
        open_output(fixture);
        fixture->hold = true;
        fake_conmon_send(fixture->output, 2, "one", 3);
        testing_run_idle(fixture->event); /* and nothing goes round for ever */
        g_assert_cmpuint(fixture->n_before, ==, 1);
        g_assert_cmpuint(source_total(fixture->source, STREAM_STDOUT), ==, 0);
        source_finish(fixture->source); /* the end comes after what is held */
        g_assert_false(source_has_ended(fixture->source));
        fixture->hold = false;
        source_go_on(fixture->source);
        testing_run_idle(fixture->event);
        g_autofree char *frames = frames_of(fixture);
        g_assert_cmpstr(frames, ==, "1:one ");
        fixture->output = close_fd(fixture->output);
        testing_run_idle(fixture->event);
        g_assert_true(source_has_ended(fixture->source));
}

static void test_one_connection_for_both_directions(Fixture *fixture, gconstpointer unused) {
        size_t size = 0;

        source_free(fixture->source);
        fixture->one_connection = true;
        make_source(fixture);
        open_output(fixture);
        g_assert_true(source_open_input(fixture->source, NULL));
        g_assert_false(fake_conmon_is_asked(fixture->conmon));
        g_assert_cmpuint(source_write(fixture->source, (const guint8 *) "in", 2), ==, 2);
        source_end_input(fixture->source);
        g_autofree char *read = fake_conmon_read(fixture->output, &size, NULL), *end = fake_conmon_read(fixture->output, NULL, NULL);
        g_assert_cmpstr(read, ==, "in");
        g_assert_null(end);
        fake_conmon_send(fixture->output, 2, "late", 4); /* output goes on after the end of the input */
        testing_run_idle(fixture->event);
        g_assert_cmpuint(source_total(fixture->source, STREAM_STDOUT), ==, 4);
        g_assert_false(source_has_ended(fixture->source));
}

/* The kernel tells first that input was thrown away, and then hands out what was written before. */
static void test_output_of_a_conmon_that_leaves_input_unread(Fixture *fixture, gconstpointer unused) {
        source_free(fixture->source);
        fixture->one_connection = true;
        make_source(fixture);
        open_output(fixture);
        g_assert_true(source_open_input(fixture->source, NULL));
        g_assert_cmpuint(source_write(fixture->source, (const guint8 *) "unread", 6), ==, 6);
        fake_conmon_send(fixture->output, 2, "last words", 10);
        fixture->output = close_fd(fixture->output);
        testing_run_idle(fixture->event);
        g_autofree char *frames = frames_of(fixture);
        g_assert_cmpstr(frames, ==, "1:last words ");
        g_assert_true(source_has_ended(fixture->source));
}

#define ADD(name, function) g_test_add("/source/" name, Fixture, NULL, set_up, function, tear_down)

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        ADD("packets-become-frames", test_packets_become_frames);
        ADD("largest-packet-and-one-that-is-too-large", test_largest_packet_and_one_that_is_too_large);
        ADD("large-and-small-packets-in-one-look", test_large_and_small_packets_in_one_look);
        ADD("many-packets-leave-others-their-turn", test_many_packets_leave_others_their_turn);
        ADD("end-of-output", test_end_of_output);
        ADD("what-waits-is-taken-at-the-finish", test_what_waits_is_taken_at_the_finish);
        ADD("finish-without-output", test_finish_without_output);
        ADD("connections-are-made-once", test_connections_are_made_once);
        ADD("without-conmon-all-is-at-its-end", test_without_conmon_all_is_at_its_end);
        ADD("what-is-not-conmons", test_what_is_not_conmons);
        ADD("input-is-passed-in-packets-that-conmon-reads-whole", test_input_is_passed_in_packets_that_conmon_reads_whole);
        ADD("conmon-can-never-write-into-the-input", test_conmon_can_never_write_into_the_input);
        ADD("a-conmon-that-does-not-read-is-waited-for", test_a_conmon_that_does_not_read_is_waited_for);
        ADD("what-nobody-reads-is-dropped", test_what_nobody_reads_is_dropped);
        ADD("conmon-goes-while-it-is-waited-for", test_conmon_goes_while_it_is_waited_for);
        ADD("conmon-has-gone-before", test_conmon_has_gone_before);
        ADD("end-of-input", test_end_of_input);
        ADD("output-is-held-until-it-may-go-on", test_output_is_held_until_it_may_go_on);
        ADD("one-connection-for-both-directions", test_one_connection_for_both_directions);
        ADD("output-of-a-conmon-that-leaves-input-unread", test_output_of_a_conmon_that_leaves_input_unread);
        return g_test_run();
}
