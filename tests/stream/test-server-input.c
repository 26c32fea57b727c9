/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The writers of one container's standard input: who comes first, what of those who have left is passed on, and whose end is the end. */

#include "server-fixture.h"

/* Only if it was said so does one that leaves end the input. */
static void test_input_that_ends_with_its_client(Fixture *fixture, gconstpointer unused) {
        fixture->plan.stdin_once = true;
        begin_with_pair(fixture);
        autofd int leaves = add(fixture, 1, WRITER ", 'ahead': <[byte 0x61]>", -1);
        leaves = close_fd(leaves);
        expect_word(fixture, "hello [(1, {'job': <1>})]");
        expect_word(fixture, "added 1");
        expect_word(fixture, "gone 1 {'job': <1>} 1 0 client-closed");
        autofd int input = fake_conmon_accept(fixture->conmon);
        g_autofree char *first = fake_conmon_read(input, NULL, NULL);
        g_assert_cmpstr(first, ==, "a");
        autofd int ends = add(fixture, 2, WRITER ", 'ahead': <[byte 0x62]>, 'ends-input': <true>", -1);
        ends = close_fd(ends);
        expect_word(fixture, "added 2");
        expect_word(fixture, "gone 2 {'job': <2>} 1 0 client-closed");
        g_autofree char *second = fake_conmon_read(input, NULL, NULL), *end = fake_conmon_read(input, NULL, NULL);
        g_assert_cmpstr(second, ==, "b");
        g_assert_null(end);
        autofd int late = add(fixture, 3, WRITER ", 'ahead': <[byte 0x63]>, 'writer': <true>", -1);
        late = close_fd(late);
        expect_word(fixture, "added 3");
        g_assert_true(g_str_has_suffix(fixture->words->pdata[fixture->n_taken++], "the standard input ended before everything was taken"));
}

static bool was_said(Fixture *fixture, const char *text) {
        for (guint i = 0; i < fixture->words->len; i++)
                if (g_str_equal(fixture->words->pdata[i], text))
                        return true;
        return false;
}

/* It has sent SIZE letters of its own and a zero byte, and left; or nothing. */
static void add_writer(Fixture *fixture, unsigned id, size_t size, const char *more) {
        g_autofree char *data = g_strnfill(size, (char) ('a' + id));
        g_autofree char *ahead = size > 0 ? g_strdup_printf(", 'ahead': <b'%s'>", data) : g_strdup(""), *fields = g_strconcat(WRITER ", 'writer': <true>", ahead, more, NULL);

        close(add(fixture, id, fields, -1));
        settle(fixture);
}

/* conmon has room long before it says so: whoever comes then must not go between what another one has begun and the rest of it, nor end the input there. */
static void test_what_one_has_sent_is_kept_together(Fixture *fixture, gconstpointer unused) {
        enum { N = 8, SIZE = 65535 }; /* and the zero byte of a bytestring */
        g_autoptr(GByteArray) all = g_byte_array_new();
        g_autofree char *packet = g_malloc(65536), *piece = NULL;
        autofd int input = -1;
        size_t size = 0;

        fixture->plan.stdin_once = true;
        begin_with_pair(fixture);
        for (unsigned i = 0; i < N; i++) {
                add_writer(fixture, i, SIZE, "");
                if (i == 0)
                        input = fake_conmon_accept(fixture->conmon);
                if (i >= N / 2)
                        g_byte_array_append(all, (guint8 *) packet, (guint) recv(input, packet, 65536, 0));
        }
        add_writer(fixture, N, 0, ", 'ends-input': <true>");
        g_assert_false(was_said(fixture, "gone 7 {'job': <7>} 65536 0 client-closed"));
        while ((piece = fake_conmon_read(input, &size, NULL))) {
                g_byte_array_append(all, (guint8 *) piece, (guint) size);
                g_clear_pointer(&piece, g_free);
                settle(fixture);
        }
        g_assert_cmpuint(all->len, ==, N * (SIZE + 1));
        for (guint i = 0; i < all->len; i++)
                g_assert_cmpint(all->data[i], ==, i % (SIZE + 1) == SIZE ? 0 : 'a' + i / (SIZE + 1));
        for (unsigned i = 0; i < N; i++) {
                g_autofree char *gone = g_strdup_printf("gone %u {'job': <%u>} 65536 0 client-closed", i, i);
                g_assert_true(was_said(fixture, gone));
        }
        g_assert_true(was_said(fixture, "gone 8 {'job': <8>} 0 0 client-closed"));
}

/* Whoever has nothing left need not wait for those who have. */
static void test_one_of_which_everything_is_taken(Fixture *fixture, gconstpointer unused) {
        fixture->plan.stdin_once = true;
        begin_with_pair(fixture);
        autofd int peer = add(fixture, 20, WRITER ", 'writer': <true>, 'ahead': <[byte 0x61]>", -1), ends = add(fixture, 21, WRITER ", 'writer': <true>, 'ends-input': <true>", -1);
        for (unsigned i = 0; i < 8; i++)
                add_writer(fixture, i, 65535, "");
        g_assert_false(was_said(fixture, "gone 7 {'job': <7>} 65536 0 client-closed"));
        peer = close_fd(peer);
        ends = close_fd(ends);
        settle(fixture);
        g_assert_true(was_said(fixture, "gone 20 {'job': <20>} 1 0 client-closed"));
        g_assert_false(was_said(fixture, "gone 21 {'job': <21>} 0 0 client-closed"));
}

/* Nobody waits for one that has gone. */
static void test_the_rest_of_one_that_is_removed(Fixture *fixture, gconstpointer unused) {
        autofd int input = -1;
        size_t size = 0;

        fixture->plan.stdin_once = true;
        begin_with_pair(fixture);
        for (unsigned i = 0; i < 8; i++) {
                add_writer(fixture, i, 65535, "");
                if (i == 0)
                        input = fake_conmon_accept(fixture->conmon);
        }
        add_writer(fixture, 8, 0, ", 'ends-input': <true>");
        for (unsigned i = 0; i < 8; i++)
                channel_send(fixture->channel, STREAM_REMOVE, g_variant_new_parsed("{'id': <%t>}", (guint64) i), NULL, 0);
        settle(fixture);
        g_assert_true(was_said(fixture, "gone 7 {'job': <7>} 65536 0 detached"));
        g_assert_false(was_said(fixture, "gone 8 {'job': <8>} 0 0 client-closed"));
        g_autofree char *first = fake_conmon_read(input, &size, NULL);
        g_assert_cmpuint(size, <, 8 * 65536);
        settle(fixture);
        g_autofree char *end = fake_conmon_read(input, NULL, NULL);
        g_assert_null(end);
        g_assert_true(was_said(fixture, "gone 8 {'job': <8>} 0 0 client-closed"));
}

#define ADD(name, function) g_test_add("/server-input/" name, Fixture, NULL, set_up, function, tear_down)

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        ADD("input-that-ends-with-its-client", test_input_that_ends_with_its_client);
        ADD("what-one-has-sent-is-kept-together", test_what_one_has_sent_is_kept_together);
        ADD("one-of-which-everything-is-taken", test_one_of_which_everything_is_taken);
        ADD("the-rest-of-one-that-is-removed", test_the_rest_of_one_that_is_removed);
        return g_test_run();
}
