/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* service/stream/ring.c: order, wrap-around, what is lost. */

#include "stream/ring.h"
#include <string.h>

#define SIZE 65536

static void put(Ring *ring, guint8 stream, guint8 byte, size_t size) {
        ring_reserve(ring);
        memset(ring_place(ring, 0), byte, size);
        ring_commit(ring, stream, ring_place(ring, 0), size);
}

static void test_frames_come_in_order(void) {
        g_autoptr(Ring) ring = ring_new(SIZE, NULL);
        guint64 position = 0;

        g_assert_cmpuint(ring_head(ring), ==, 0);
        put(ring, STREAM_STDOUT, 'a', 3);
        put(ring, STREAM_STDERR, 'b', 1);
        Frame first = ring_frame(ring, position, &position), second = ring_frame(ring, position, &position);
        g_assert_cmpuint(first.stream, ==, STREAM_STDOUT);
        g_assert_cmpmem(first.data, first.size, "aaa", 3);
        g_assert_cmpuint(second.stream, ==, STREAM_STDERR);
        g_assert_cmpmem(second.data, second.size, "b", 1);
        g_assert_cmpuint(position, ==, ring_head(ring));
}

/* Every size of frame crosses the end of the memory at some time, and stays one piece. */
static void test_a_frame_across_the_end_is_whole(void) {
        g_autoptr(Ring) ring = ring_new(SIZE, NULL);

        for (unsigned i = 0; i < 1000; i++) {
                size_t size = 1 + i * 37 % RING_FRAME_MAX;
                guint64 place = ring_head(ring), next;
                put(ring, STREAM_STDOUT, (guint8) i, size);
                Frame frame = ring_frame(ring, place, &next);
                g_assert_cmpuint(frame.size, ==, size);
                g_assert_cmpuint(frame.data[0], ==, (guint8) i);
                g_assert_cmpuint(frame.data[size - 1], ==, (guint8) i);
        }
}

static void test_as_much_as_was_asked_for_is_kept(void) {
        g_autoptr(Ring) ring = ring_new(SIZE, NULL);

        for (unsigned i = 0; i < 500; i++) {
                put(ring, STREAM_STDOUT, (guint8) i, 1 + i * 91 % RING_FRAME_MAX);
                g_assert_true(ring_head(ring) - ring_tail(ring) >= MIN(SIZE - RING_FRAME_MAX, ring_head(ring)) || ring_tail(ring) == 0);
                g_assert_true(ring_tail_after_reserve(ring) >= ring_tail(ring));
        }
        g_assert_cmpuint(ring_tail(ring), >, 0);
}

static void test_the_tail_is_always_a_frame(void) {
        g_autoptr(Ring) ring = ring_new(SIZE, NULL);

        for (unsigned i = 0; i < 2000; i++) {
                put(ring, STREAM_STDOUT, 0, 1 + i * 53 % RING_FRAME_MAX);
                guint64 expected = ring_tail_after_reserve(ring), position = ring_tail(ring);
                while (position < ring_head(ring) && position != expected)
                        (void) ring_frame(ring, position, &position);
                g_assert_cmpuint(position, ==, expected);
        }
}

static void test_frames_received_at_once_move_up(void) {
        static const size_t sizes[RING_FRAMES_AT_ONCE] = {RING_FRAME_MAX, 1, RING_FRAME_MAX, 0, 77, RING_FRAME_MAX, RING_FRAME_MAX, 5, RING_FRAME_MAX - 1, 3, RING_FRAME_MAX, 2, 2, RING_FRAME_MAX, 9, RING_FRAME_MAX};
        g_autoptr(Ring) ring = ring_new(SIZE, NULL);

        for (unsigned round = 0; round < 50; round++) { /* over the end of the memory in every way */
                guint8 *places[RING_FRAMES_AT_ONCE];
                guint64 position = ring_head(ring);
                ring_reserve(ring);
                for (unsigned i = 0; i < RING_FRAMES_AT_ONCE; i++) {
                        places[i] = ring_place(ring, i);
                        memset(places[i], (int) (round + i), RING_FRAME_MAX);
                }
                for (unsigned i = 0; i < RING_FRAMES_AT_ONCE; i++)
                        if (sizes[i] > 0)
                                ring_commit(ring, STREAM_STDOUT, places[i], sizes[i]);
                for (unsigned i = 0; i < RING_FRAMES_AT_ONCE; i++) {
                        if (sizes[i] == 0)
                                continue;
                        Frame frame = ring_frame(ring, position, &position);
                        g_assert_cmpuint(frame.size, ==, sizes[i]);
                        for (size_t j = 0; j < frame.size; j++)
                                g_assert_cmpuint(frame.data[j], ==, (guint8) (round + i));
                }
                g_assert_cmpuint(position, ==, ring_head(ring));
        }
}

static void test_rewinding_waits_until_it_has_been_full(void) {
        g_autoptr(Ring) ring = ring_new(SIZE, NULL);
        guint64 position = 0;

        put(ring, STREAM_STDOUT, 'a', 3);
        const guint8 *front = ring_frame(ring, 0, &position).data;
        ring_rewind(ring);
        g_assert_cmpuint(ring_tail(ring), ==, 0);
        while (ring_tail(ring) == 0)
                put(ring, STREAM_STDOUT, 'b', RING_FRAME_MAX);
        for (unsigned i = 0; i < 100; i++) {
                position = ring_head(ring);
                ring_rewind(ring);
                g_assert_cmpuint(ring_tail(ring), ==, position);
                g_assert_cmpuint(ring_head(ring), ==, position);
                put(ring, STREAM_STDERR, (guint8) i, 1 + i);
                Frame frame = ring_frame(ring, position, &position);
                g_assert_true(frame.data == front);
                g_assert_cmpuint(frame.size, ==, 1 + i);
                g_assert_cmpuint(frame.data[i], ==, i);
                g_assert_cmpuint(position, ==, ring_head(ring));
        }
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/ring/frames-come-in-order", test_frames_come_in_order);
        g_test_add_func("/ring/a-frame-across-the-end-is-whole", test_a_frame_across_the_end_is_whole);
        g_test_add_func("/ring/as-much-as-was-asked-for-is-kept", test_as_much_as_was_asked_for_is_kept);
        g_test_add_func("/ring/the-tail-is-always-a-frame", test_the_tail_is_always_a_frame);
        g_test_add_func("/ring/frames-received-at-once-move-up", test_frames_received_at_once_move_up);
        g_test_add_func("/ring/rewinding-waits-until-it-has-been-full", test_rewinding_waits_until_it_has_been_full);
        return g_test_run();
}
