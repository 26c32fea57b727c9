/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* service/stream/framing.c: the bytes of each framing, also through a socket that takes little at a time. */

#include "stream/framing.h"
#include "base/auto.h"
#include <string.h>
#include <sys/socket.h>

static void make_pair(int type, int ends[2]) {
        g_assert_cmpint(socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, ends), ==, 0);
}

static void put(Output *output, guint8 stream, const char *text) {
        output->frames[output->n++] = (Frame) {.stream = stream, .data = (const guint8 *) text, .size = strlen(text)};
}

static void expect_stream(Framing framing, const char *expected, size_t size) {
        char bytes[256];
        int ends[2];
        Output output;

        make_pair(SOCK_STREAM, ends);
        autofd int mine = ends[0], other = ends[1];
        output_init(&output, mine, framing);
        g_byte_array_append(output.carry, (const guint8 *) "HEAD", 4);
        put(&output, STREAM_STDOUT, "out\n");
        put(&output, STREAM_STDERR, "error");
        g_assert_true(output_waits(&output));
        g_assert_cmpint(output_flush(&output), ==, OUTPUT_SENT);
        g_assert_false(output_waits(&output));
        g_assert_cmpuint(output.n_bytes[STREAM_STDOUT], ==, 4);
        g_assert_cmpuint(output.n_bytes[STREAM_STDERR], ==, 5);
        ssize_t n = recv(other, bytes, sizeof bytes, MSG_DONTWAIT);
        g_assert_cmpmem(bytes, n, expected, size);
        output_clear(&output);
}

static void test_raw(void) {
        expect_stream(FRAMING_RAW, "HEADout\nerror", 13);
}

static void test_multiplexed(void) {
        expect_stream(FRAMING_MULTIPLEXED, "HEAD\1\0\0\0\0\0\0\4out\n\2\0\0\0\0\0\0\5error", 29);
}

static void test_packets(void) {
        char bytes[64];
        int ends[2];
        Output output;

        make_pair(SOCK_SEQPACKET, ends);
        autofd int mine = ends[0], other = ends[1];
        output_init(&output, mine, FRAMING_PACKETS);
        put(&output, STREAM_STDOUT, "out");
        put(&output, STREAM_END, "{}");
        g_assert_cmpint(output_flush(&output), ==, OUTPUT_SENT);
        ssize_t n = recv(other, bytes, sizeof bytes, MSG_DONTWAIT);
        g_assert_cmpmem(bytes, n, "\1out", 4);
        n = recv(other, bytes, sizeof bytes, MSG_DONTWAIT);
        g_assert_cmpmem(bytes, n, "\3{}", 3);
        output_clear(&output);
}

/* What follows each other in one stream shares a packet, up to what a packet may hold. */
static void test_packets_are_shared(void) {
        g_autofree char *half = g_strnfill(FRAME_MAX / 2, 'x'), *bytes = g_malloc(2 * FRAME_MAX);
        const size_t sizes[] = {1 + FRAME_MAX, 1 + FRAME_MAX / 2 + 3, 1 + 1, 1 + 6};
        int ends[2];
        Output output;

        make_pair(SOCK_SEQPACKET, ends);
        autofd int mine = ends[0], other = ends[1];
        output_init(&output, mine, FRAMING_PACKETS);
        for (unsigned i = 0; i < 3; i++)
                put(&output, STREAM_STDOUT, half);
        put(&output, STREAM_STDOUT, "end");
        put(&output, STREAM_STDERR, "e");
        put(&output, STREAM_STDOUT, "out");
        put(&output, STREAM_STDOUT, "put");
        g_assert_cmpint(output_flush(&output), ==, OUTPUT_SENT);
        for (unsigned i = 0; i < G_N_ELEMENTS(sizes); i++) {
                g_assert_cmpint(recv(other, bytes, 2 * FRAME_MAX, MSG_DONTWAIT), ==, sizes[i]);
                g_assert_cmpint(bytes[0], ==, i == 2 ? STREAM_STDERR : STREAM_STDOUT);
        }
        g_assert_cmpmem(bytes, sizes[3], "\1output", 7);
        g_assert_cmpuint(output.n_bytes[STREAM_STDOUT], ==, 3 * FRAME_MAX / 2 + 9);
        g_assert_cmpuint(output.n_bytes[STREAM_STDERR], ==, 1);
        output_clear(&output);
}

/* The reader takes odd pieces, the writer goes on wherever the socket stopped it. */
static void check_pieces(Framing framing, size_t expected) {
        g_autofree guint8 *data = g_malloc(FRAME_MAX);
        g_autoptr(GByteArray) got = g_byte_array_new();
        int ends[2], room = 4096;
        Output output;

        for (size_t i = 0; i < FRAME_MAX; i++)
                data[i] = (guint8) (i * 7);
        make_pair(SOCK_STREAM, ends);
        autofd int mine = ends[0], other = ends[1];
        g_assert_cmpint(setsockopt(mine, SOL_SOCKET, SO_SNDBUF, &room, sizeof room), ==, 0);
        output_init(&output, mine, framing);
        for (unsigned i = 0; i < 8; i++)
                output.frames[output.n++] = (Frame) {.stream = STREAM_STDOUT, .data = data, .size = FRAME_MAX - i};
        while (output_waits(&output)) {
                guint8 bytes[1013];
                g_assert_cmpint(output_flush(&output), !=, OUTPUT_CLOSED);
                ssize_t n = recv(other, bytes, sizeof bytes, MSG_DONTWAIT);
                if (n > 0)
                        g_byte_array_append(got, bytes, (guint) n);
        }
        for (ssize_t n = 1; n > 0;) {
                guint8 bytes[4096];
                n = recv(other, bytes, sizeof bytes, MSG_DONTWAIT);
                if (n > 0)
                        g_byte_array_append(got, bytes, (guint) n);
        }
        g_assert_cmpuint(got->len, ==, expected);
        size_t at = 0, head = framing == FRAMING_MULTIPLEXED ? 8 : 0;
        for (unsigned i = 0; i < 8; i++) {
                at += head;
                g_assert_cmpint(memcmp(got->data + at, data, FRAME_MAX - i), ==, 0);
                at += FRAME_MAX - i;
        }
        output_clear(&output);
}

static void test_pieces(void) {
        check_pieces(FRAMING_RAW, 8 * FRAME_MAX - 28);
        check_pieces(FRAMING_MULTIPLEXED, 8 * (FRAME_MAX + 8) - 28);
}

/* A frame that is half sent is completed from the copy; those after it are forgotten and do not count as sent. */
static void test_detach_completes_the_half_sent_frame(void) {
        g_autofree guint8 *data = g_malloc0(FRAME_MAX);
        int ends[2], room = 4096;
        size_t got = 0;
        Output output;

        make_pair(SOCK_STREAM, ends);
        autofd int mine = ends[0], other = ends[1];
        g_assert_cmpint(setsockopt(mine, SOL_SOCKET, SO_SNDBUF, &room, sizeof room), ==, 0);
        output_init(&output, mine, FRAMING_MULTIPLEXED);
        for (unsigned i = 0; i < 8; i++)
                output.frames[output.n++] = (Frame) {.stream = STREAM_STDOUT, .data = data, .size = FRAME_MAX};
        g_assert_cmpint(output_flush(&output), ==, OUTPUT_BLOCKED);
        g_assert_cmpuint(output.sent, >, 0);
        output_detach(&output);
        memset(data, 0xff, FRAME_MAX); /* its memory goes */
        while (output_waits(&output) || got == 0) {
                guint8 bytes[4096];
                g_assert_cmpint(output_flush(&output), !=, OUTPUT_CLOSED);
                for (ssize_t n; (n = recv(other, bytes, sizeof bytes, MSG_DONTWAIT)) > 0; got += (size_t) n)
                        g_assert_null(memchr(bytes, 0xff, (size_t) n));
        }
        for (guint8 bytes[4096];;) {
                ssize_t n = recv(other, bytes, sizeof bytes, MSG_DONTWAIT);
                if (n <= 0)
                        break;
                got += (size_t) n;
        }
        g_assert_cmpuint(got % (FRAME_MAX + 8), ==, 0);
        g_assert_cmpuint(output.n_bytes[STREAM_STDOUT], ==, got / (FRAME_MAX + 8) * FRAME_MAX);
        output_clear(&output);
}

static void test_a_closed_socket_is_told(void) {
        int ends[2];
        Output output;

        make_pair(SOCK_STREAM, ends);
        autofd int mine = ends[0];
        close(ends[1]);
        output_init(&output, mine, FRAMING_RAW);
        put(&output, STREAM_STDOUT, "x");
        g_assert_cmpint(output_flush(&output), ==, OUTPUT_CLOSED);
        output_clear(&output);
}

static void test_names(void) {
        Framing framing;

        for (int i = 0; i < N_FRAMINGS; i++) {
                g_assert_true(framing_from_string(framing_to_string((Framing) i), &framing));
                g_assert_cmpint(framing, ==, i);
        }
        g_assert_false(framing_from_string("", &framing));
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/framing/raw", test_raw);
        g_test_add_func("/framing/multiplexed", test_multiplexed);
        g_test_add_func("/framing/packets", test_packets);
        g_test_add_func("/framing/packets-are-shared", test_packets_are_shared);
        g_test_add_func("/framing/pieces", test_pieces);
        g_test_add_func("/framing/detach-completes-the-half-sent-frame", test_detach_completes_the_half_sent_frame);
        g_test_add_func("/framing/a-closed-socket-is-told", test_a_closed_socket_is_told);
        g_test_add_func("/framing/names", test_names);
        return g_test_run();
}
