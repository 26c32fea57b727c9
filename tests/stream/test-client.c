/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The test is conmon at one end and the client at the other: what reaches whom, and who leaves how. Who is too slow is in test-client-slow.c. */

#include "client-fixture.h"
#include <sys/eventfd.h>

/* --- output --- */

static void test_framings(Fixture *fixture, gconstpointer data) {
        static const char *const wanted[N_FRAMINGS] = {"1:out 2:error ", "\1", "outerror"};
        Framing framing = GPOINTER_TO_INT(data);

        attach(fixture, BOTH, framing);
        g_assert_cmpuint(client_id(fixture->client), ==, 5);
        g_assert_cmpvariant(client_tag(fixture->client), fixture->tag);
        fake_conmon_send(fixture->output, 2, "out", 3);
        fake_conmon_send(fixture->output, 3, "error", 5);
        expect_got(fixture, wanted[framing]); /* multiplexed: up to the first zero byte */
        g_assert_cmpuint(client_bytes_out(fixture->client), ==, 8);
        g_assert_cmpuint(client_bytes_in(fixture->client), ==, 0);
}

static void test_only_what_was_asked_for(Fixture *fixture, gconstpointer unused) {
        fake_conmon_send(fixture->output, 2, "before", 6);
        testing_run_idle(fixture->event);
        attach(fixture, STREAM_MASK(STREAM_STDERR), FRAMING_PACKETS);
        for (unsigned i = 0; i < 2 * OUTPUT_FRAMES; i++)
                fake_conmon_send(fixture->output, 2, "out", 3);
        fake_conmon_send(fixture->output, 3, "error", 5);
        expect_got(fixture, "2:error ");
        g_assert_cmpuint(client_bytes_out(fixture->client), ==, 5);
}

static void test_head_comes_first(Fixture *fixture, gconstpointer unused) {
        g_autoptr(GVariant) head = g_variant_ref_sink(g_variant_new_fixed_array(G_VARIANT_TYPE_BYTE, "HTTP", 4, 1));

        attach_with(fixture, (ClientPlan) {.streams = BOTH, .framing = FRAMING_RAW, .follow = true, .head = head}, -1);
        fake_conmon_send(fixture->output, 2, "out", 3);
        expect_got(fixture, "HTTPout");
        g_assert_cmpuint(client_bytes_out(fixture->client), ==, 3);
}

static void test_last_packet_has_the_result(Fixture *fixture, gconstpointer unused) {
        attach(fixture, BOTH, FRAMING_PACKETS);
        fake_conmon_send(fixture->output, 2, "out", 3);
        end_run(fixture, "{\"exit-code\":3}");
        testing_run_idle(fixture->event);
        g_assert_cmpuint(fixture->n_ended, ==, 0); /* there may be more output */
        fake_conmon_send(fixture->output, 2, "last", 4);
        fixture->output = close_fd(fixture->output);
        expect_ended(fixture, "exited");
        expect_got(fixture, "1:out 1:last 3:{\"exit-code\":3} ");
        g_assert_cmpuint(fixture->bytes_out, ==, 7); /* the last packet is no data */
}

static void test_the_record_is_waited_for(Fixture *fixture, gconstpointer unused) {
        attach(fixture, BOTH, FRAMING_RAW);
        fake_conmon_send(fixture->output, 2, "out", 3);
        fixture->output = close_fd(fixture->output);
        expect_got(fixture, "out");
        g_assert_cmpuint(fixture->n_ended, ==, 0);
        end_run(fixture, "{}");
        g_assert_false(client_pump(fixture->client));
        expect_ended(fixture, "exited");
        expect_got(fixture, "");
}

static void test_one_without_output_ends_with_the_run(Fixture *fixture, gconstpointer unused) {
        attach(fixture, STREAM_MASK(STREAM_STDIN), FRAMING_PACKETS);
        fake_conmon_send(fixture->output, 2, "out", 3);
        expect_got(fixture, "");
        end_run(fixture, "{}");
        g_assert_false(client_pump(fixture->client));
        expect_ended(fixture, "exited");
        expect_got(fixture, "3:{} ");
}

static void test_lost_streams_are_told(Fixture *fixture, gconstpointer data) {
        static const char *const wanted[N_FRAMINGS] = {"3:{\"error\":\"io.conbus1.Error.MonitorLost\",\"message\":\"conmon died\"} ", "\2", "Error: conmon died\n"};
        Framing framing = GPOINTER_TO_INT(data);

        attach(fixture, BOTH, framing);
        fixture->host.run_ended = true;
        fixture->host.run_end = (ClientEnd) {.error = CONBUS_ERROR_MONITOR_LOST, .message = "conmon died"};
        fixture->output = close_fd(fixture->output);
        expect_ended(fixture, "MonitorLost: conmon died");
        expect_got(fixture, wanted[framing]);
}

static void test_a_client_that_leaves(Fixture *fixture, gconstpointer data) {
        attach(fixture, ALL, GPOINTER_TO_INT(data));
        hang_up(fixture);
        expect_ended(fixture, "client-closed");
}

static void test_a_client_that_has_left_when_output_comes(Fixture *fixture, gconstpointer data) {
        attach(fixture, BOTH, GPOINTER_TO_INT(data));
        say(fixture, "\0", 1); /* an end of input in packets, a byte that nobody wants elsewhere */
        testing_run_idle(fixture->event);
        hang_up(fixture);
        fake_conmon_send(fixture->output, 2, "out", 3);
        expect_ended(fixture, "client-closed");
}

static void test_cancelling_detaches(Fixture *fixture, gconstpointer unused) {
        int cancel = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        autofd int ours = dup(cancel);

        attach_with(fixture, (ClientPlan) {.streams = ALL, .framing = FRAMING_PACKETS, .follow = true}, cancel);
        testing_run_idle(fixture->event);
        g_assert_cmpuint(fixture->n_ended, ==, 0);
        g_assert_no_errno(eventfd_write(ours, 1));
        expect_ended(fixture, "detached");
        expect_got(fixture, "3:{\"reason\":\"detached\"} ");
}

/* What was sent and not read by the other side would make the end an error there. */
static void test_the_last_bytes_are_no_error(Fixture *fixture, gconstpointer data) {
        const ClientEnd end = {.reason = "detached"};
        char byte;

        attach(fixture, BOTH, GPOINTER_TO_INT(data));
        fake_conmon_send(fixture->output, 2, "out", 3);
        testing_run_idle(fixture->event);
        for (unsigned i = 0; i < 20; i++)
                say(fixture, "\0never read", 11);
        client_end(fixture->client, &end);
        g_assert_cmpuint(fixture->n_ended, ==, 1);
        g_autofree char *text = got(fixture);
        g_assert_true(g_str_has_prefix(text, GPOINTER_TO_INT(data) == FRAMING_RAW ? "out" : "1:out 3:"));
        g_assert_cmpint(recv(fixture->peer, &byte, 1, MSG_DONTWAIT), ==, 0);
}

static void test_much_output_leaves_others_their_turn(Fixture *fixture, gconstpointer unused) {
        enum { N = 3000 };

        for (unsigned i = 0; i < N; i++) {
                fake_conmon_send(fixture->output, 2, "x", 1);
                testing_run_idle(fixture->event);
        }
        fixture->from_start = true;
        attach(fixture, BOTH, FRAMING_RAW);
        g_assert_cmpuint(client_bytes_out(fixture->client), >, 0);
        g_assert_cmpuint(client_bytes_out(fixture->client), <, N);
        g_autofree char *text = got(fixture);
        g_assert_cmpuint(strlen(text), ==, N);
}

/* --- input --- */

static void test_input_reaches_the_container(Fixture *fixture, gconstpointer data) {
        bool packets = GPOINTER_TO_INT(data) == FRAMING_PACKETS;

        attach(fixture, ALL, GPOINTER_TO_INT(data));
        say(fixture, packets ? "\0hello" : "hello", packets ? 6 : 5);
        expect_input(fixture, "hello");
        g_assert_cmpuint(client_bytes_in(fixture->client), ==, 5);
}

static void test_input_that_was_not_asked_for_is_counted_and_dropped(Fixture *fixture, gconstpointer unused) {
        attach(fixture, BOTH, FRAMING_RAW);
        say(fixture, "hello", 5);
        expect_input(fixture, "");
        g_assert_cmpuint(client_bytes_in(fixture->client), ==, 5);
}

static void test_input_read_ahead_comes_first(Fixture *fixture, gconstpointer unused) {
        g_autoptr(GVariant) ahead = g_variant_ref_sink(g_variant_new_fixed_array(G_VARIANT_TYPE_BYTE, "first", 5, 1));

        attach_with(fixture, (ClientPlan) {.streams = ALL, .framing = FRAMING_RAW, .follow = true, .ahead = ahead}, -1);
        say(fixture, " second", 7);
        expect_input(fixture, "first second");
        g_assert_cmpuint(client_bytes_in(fixture->client), ==, 12);
}

static void test_packets_have_a_form(Fixture *fixture, gconstpointer unused) {
        static const char wanted[] = "3:{\"error\":\"org.freedesktop.DBus.Error.InvalidArgs\",\"message\":\"the client sent a packet that is too long or does not begin with a byte 0\"} ";
        g_autofree guint8 *large = g_malloc0(FRAME_MAX + 2);
        size_t size = 0;

        attach(fixture, ALL, FRAMING_PACKETS);
        say(fixture, large, FRAME_MAX + 1);
        testing_run_idle(fixture->event);
        g_autofree char *read = fake_conmon_read(fixture->input, &size, NULL);
        g_assert_cmpuint(size, ==, FRAME_MAX);
        say(fixture, large, FRAME_MAX + 2);
        expect_ended(fixture, "InvalidArgs: the client sent a packet that is too long or does not begin with a byte 0");
        expect_got(fixture, wanted);
        hang_up(fixture);
        fixture->n_ended = 0;
        attach(fixture, ALL, FRAMING_PACKETS);
        say(fixture, "\1hello", 6);
        expect_ended(fixture, "InvalidArgs: the client sent a packet that is too long or does not begin with a byte 0");
        expect_input(fixture, "");
}

static void test_end_of_input_is_the_clients_alone(Fixture *fixture, gconstpointer unused) {
        attach(fixture, ALL, FRAMING_PACKETS);
        say(fixture, "\0last", 5);
        say(fixture, "\0", 1);
        expect_input(fixture, "last");
        expect_input(fixture, ""); /* others may come */
        fake_conmon_send(fixture->output, 2, "out", 3);
        expect_got(fixture, "1:out ");
        g_assert_cmpuint(fixture->n_ended, ==, 0);
}

static void test_end_of_input_of_one_that_has_a_single_one(Fixture *fixture, gconstpointer data) {
        bool packets = GPOINTER_TO_INT(data) == FRAMING_PACKETS;

        fixture->host.stdin_once = true;
        attach(fixture, ALL, GPOINTER_TO_INT(data));
        say(fixture, packets ? "\0last" : "last", packets ? 5 : 4);
        if (packets)
                say(fixture, "\0", 1);
        else
                g_assert_no_errno(shutdown(fixture->peer, SHUT_WR));
        expect_input(fixture, "last");
        expect_input(fixture, NULL);
        fake_conmon_send(fixture->output, 2, "out", 3);
        expect_got(fixture, packets ? "1:out " : "out");
        g_assert_cmpuint(fixture->n_ended, ==, 0);
}

static void test_one_without_input_ends_nobodys(Fixture *fixture, gconstpointer unused) {
        fixture->host.stdin_once = true;
        attach(fixture, BOTH, FRAMING_RAW);
        g_assert_no_errno(shutdown(fixture->peer, SHUT_WR));
        expect_input(fixture, "");
        g_assert_cmpuint(fixture->n_ended, ==, 0);
}

/* A container that does not read keeps the client from sending, and gets its last words all the same. */
static void test_last_words_wait_for_the_container(Fixture *fixture, gconstpointer unused) {
        g_autofree guint8 *filling = g_malloc0(8 << 20);
        size_t filled = source_write(fixture->host.source, filling, 8 << 20), size = 0;

        attach(fixture, ALL, FRAMING_RAW);
        say(fixture, "last words", 10);
        testing_run_idle(fixture->event);
        hang_up(fixture);
        testing_run_idle(fixture->event);
        g_assert_cmpuint(fixture->n_ended, ==, 0);
        g_autofree char *first = fake_conmon_read(fixture->input, &size, NULL);
        g_assert_cmpuint(size, ==, filled);
        expect_ended(fixture, "client-closed");
        expect_input(fixture, "last words");
        g_assert_cmpuint(fixture->bytes_in, ==, 10);
}

/* More than the streamer has read, while the client leaves output unread and more output comes: all of it reaches the container, and the output holds up nobody. */
static void test_what_was_sent_before_it_left(Fixture *fixture, gconstpointer data) {
        enum { N = 6, SIZE = 20000 };
        g_autofree guint8 *filling = g_malloc0(8 << 20), *sent = g_malloc0(SIZE + 1);
        g_autoptr(GByteArray) got = g_byte_array_new();
        bool packets = GPOINTER_TO_INT(data) == FRAMING_PACKETS;
        size_t filled = source_write(fixture->host.source, filling, 8 << 20), size = 0;
        char *piece;

        attach(fixture, ALL, GPOINTER_TO_INT(data));
        fake_conmon_send(fixture->output, 2, "unread", 6);
        testing_run_idle(fixture->event);
        for (unsigned i = 0; i < N; i++) {
                memset(sent + 1, 'a' + (int) i, SIZE);
                say(fixture, packets ? sent : sent + 1, packets ? SIZE + 1 : SIZE);
        }
        testing_run_idle(fixture->event);
        hang_up(fixture);
        testing_run_idle(fixture->event);
        fake_conmon_send(fixture->output, 2, "more", 4);
        testing_run_idle(fixture->event);
        g_assert_cmpuint(fixture->n_ended, ==, 0);
        g_assert_false(client_lags(fixture->client));
        while (got->len < filled + N * SIZE && (piece = fake_conmon_read(fixture->input, &size, NULL))) {
                g_byte_array_append(got, (guint8 *) piece, (guint) size);
                g_free(piece);
                testing_run_idle(fixture->event);
        }
        expect_ended(fixture, "client-closed");
        g_assert_cmpuint(fixture->bytes_in, ==, N * SIZE);
        g_assert_cmpuint(got->len, ==, filled + N * SIZE);
        for (guint i = 0; i < N * SIZE; i++)
                g_assert_cmpint(got->data[filled + i], ==, 'a' + (int) (i / SIZE));
}

/* The container has room for one packet, and the client has sent a byte more. */
static void test_input_that_goes_in_two_pieces(Fixture *fixture, gconstpointer unused) {
        g_autofree guint8 *filling = g_malloc0(8 << 20), *data = g_malloc(FRAME_MAX + 1);
        size_t filled = source_write(fixture->host.source, filling, 8 << 20), size = 0;
        guint8 packet[65536];

        for (unsigned i = 0; i <= FRAME_MAX; i++)
                data[i] = (guint8) (i % 251);
        filled -= (size_t) recv(fixture->input, packet, sizeof packet, 0);
        attach(fixture, ALL, FRAMING_RAW);
        say(fixture, data, FRAME_MAX + 1);
        testing_run_idle(fixture->event);
        g_autoptr(GByteArray) all = g_byte_array_new();
        while (all->len < filled + FRAME_MAX + 1) {
                g_autofree char *read = fake_conmon_read(fixture->input, &size, NULL);
                g_byte_array_append(all, (guint8 *) read, (guint) size);
                g_assert_cmpint(sd_event_run(fixture->event, all->len < filled + FRAME_MAX + 1 ? UINT64_MAX : 0), >=, 0);
        }
        g_assert_cmpmem(all->data + filled, all->len - filled, data, FRAME_MAX + 1);
}

static void test_a_container_that_does_not_read_stops_the_client(Fixture *fixture, gconstpointer unused) {
        g_autofree guint8 *filling = g_malloc0(8 << 20);

        g_assert_cmpuint(source_write(fixture->host.source, filling, 8 << 20), <, 8 << 20);
        attach(fixture, ALL, FRAMING_RAW);
        for (unsigned i = 0; i < 10000 && send(fixture->peer, filling, 4096, MSG_DONTWAIT | MSG_NOSIGNAL) > 0; i++)
                ;
        testing_run_idle(fixture->event);
        while (send(fixture->peer, filling, 4096, MSG_DONTWAIT | MSG_NOSIGNAL) > 0)
                testing_run_idle(fixture->event);
        g_assert_cmpint(send(fixture->peer, filling, 4096, MSG_DONTWAIT | MSG_NOSIGNAL), <, 0);
        g_assert_cmpuint(client_bytes_in(fixture->client), <=, FRAME_MAX + 1);
        fake_conmon_send(fixture->output, 2, "out", 3); /* and its output goes on */
        expect_got(fixture, "out");
}

/* --- detach keys --- */

static void attach_with_keys(Fixture *fixture, const char *keys) {
        attach_with(fixture, (ClientPlan) {.streams = ALL, .framing = FRAMING_RAW, .follow = true, .detach_keys = keys_of(keys)}, -1);
}

static void test_detach_keys(Fixture *fixture, gconstpointer unused) {
        attach_with_keys(fixture, DETACH_KEYS_DEFAULT);
        say(fixture, "before\x10\x11" "after", 13);
        expect_ended(fixture, "detached");
        expect_input(fixture, "before");
        g_assert_cmpuint(fixture->bytes_in, ==, 13);
}

static void test_detach_keys_in_pieces(Fixture *fixture, gconstpointer unused) {
        attach_with_keys(fixture, DETACH_KEYS_DEFAULT);
        say(fixture, "a\x10", 2);
        expect_input(fixture, "a");
        say(fixture, "b", 1); /* it was no beginning */
        expect_input(fixture, "\x10" "b");
        say(fixture, "\x10", 1);
        expect_input(fixture, "");
        say(fixture, "\x11", 1);
        expect_ended(fixture, "detached");
        expect_input(fixture, "");
}

static void test_a_beginning_that_nothing_follows_is_passed_on(Fixture *fixture, gconstpointer unused) {
        hurry = true;
        attach_with_keys(fixture, DETACH_KEYS_DEFAULT);
        say(fixture, "\x10", 1);
        expect_input(fixture, "\x10");
        g_assert_cmpuint(fixture->n_ended, ==, 0);
}

static void test_a_beginning_is_passed_on_at_the_end(Fixture *fixture, gconstpointer unused) {
        attach_with_keys(fixture, DETACH_KEYS_DEFAULT);
        say(fixture, "\x10", 1);
        expect_input(fixture, "");
        hang_up(fixture);
        expect_ended(fixture, "client-closed");
        expect_input(fixture, "\x10");
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        for (Framing framing = 0; framing < N_FRAMINGS; framing++) {
                add_framed("framing", framing, test_framings);
                add_framed("lost-streams-are-told", framing, test_lost_streams_are_told);
                add_framed("a-client-that-leaves", framing, test_a_client_that_leaves);
                add_framed("a-client-that-has-left-when-output-comes", framing, test_a_client_that_has_left_when_output_comes);
        }
        for (Framing framing = FRAMING_PACKETS; framing <= FRAMING_RAW; framing += FRAMING_RAW - FRAMING_PACKETS) {
                add_framed("the-last-bytes-are-no-error", framing, test_the_last_bytes_are_no_error);
                add_framed("input-reaches-the-container", framing, test_input_reaches_the_container);
                add_framed("end-of-input-of-one-that-has-a-single-one", framing, test_end_of_input_of_one_that_has_a_single_one);
        }
        ADD("only-what-was-asked-for", test_only_what_was_asked_for);
        ADD("head-comes-first", test_head_comes_first);
        ADD("last-packet-has-the-result", test_last_packet_has_the_result);
        ADD("the-record-is-waited-for", test_the_record_is_waited_for);
        ADD("one-without-output-ends-with-the-run", test_one_without_output_ends_with_the_run);
        ADD("cancelling-detaches", test_cancelling_detaches);
        ADD("much-output-leaves-others-their-turn", test_much_output_leaves_others_their_turn);
        ADD("input-that-goes-in-two-pieces", test_input_that_goes_in_two_pieces);
        ADD("input-that-was-not-asked-for-is-counted-and-dropped", test_input_that_was_not_asked_for_is_counted_and_dropped);
        ADD("input-read-ahead-comes-first", test_input_read_ahead_comes_first);
        ADD("packets-have-a-form", test_packets_have_a_form);
        ADD("end-of-input-is-the-clients-alone", test_end_of_input_is_the_clients_alone);
        ADD("one-without-input-ends-nobodys", test_one_without_input_ends_nobodys);
        ADD("last-words-wait-for-the-container", test_last_words_wait_for_the_container);
        for (Framing framing = 0; framing < N_FRAMINGS; framing++)
                add_framed("what-was-sent-before-it-left", framing, test_what_was_sent_before_it_left);
        ADD("a-container-that-does-not-read-stops-the-client", test_a_container_that_does_not_read_stops_the_client);
        ADD("detach-keys", test_detach_keys);
        ADD("detach-keys-in-pieces", test_detach_keys_in_pieces);
        ADD("a-beginning-that-nothing-follows-is-passed-on", test_a_beginning_that_nothing_follows_is_passed_on);
        ADD("a-beginning-is-passed-on-at-the-end", test_a_beginning_is_passed_on_at_the_end);
        return g_test_run();
}
