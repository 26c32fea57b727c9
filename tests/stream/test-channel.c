/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* service/stream/channel.c: packets with descriptors, a queue when the other side does not read, and what is no packet. */

#include "stream/channel.h"
#include "base/auto.h"
#include <string.h>
#include <sys/socket.h>

typedef struct Side {
        Channel *channel;
        GPtrArray *words;
        unsigned n_fds, n_closed;
        guint64 last;
} Side;

static void on_received(const char *word, GVariant *fields, int fds[CHANNEL_FDS_MAX], void *userdata) {
        Side *side = userdata;

        g_ptr_array_add(side->words, g_strdup(word));
        (void) g_variant_lookup(fields, "number", "t", &side->last);
        for (unsigned i = 0; i < CHANNEL_FDS_MAX; i++)
                side->n_fds += fds[i] >= 0;
}

static void on_closed(void *userdata) {
        Side *side = userdata;

        side->n_closed++;
}

static void run(sd_event *event) {
        for (unsigned i = 0; i < 1000 && sd_event_run(event, 0) > 0; i++)
                ;
}

static GVariant *number(guint64 n) {
        return g_variant_new_parsed("{'number': <%t>}", n);
}

static void side_init(Side *side, sd_event *event, int fd) {
        *side = (Side) {.words = g_ptr_array_new_with_free_func(g_free)};
        side->channel = channel_new(event, fd, on_received, on_closed, side, NULL);
}

static void pair_init(Side *a, Side *b, sd_event **ret_event) {
        int ends[2];

        g_assert_cmpint(sd_event_new(ret_event), >=, 0);
        g_assert_cmpint(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), ==, 0);
        side_init(a, *ret_event, ends[0]);
        side_init(b, *ret_event, ends[1]);
}

static void side_clear(Side *side) {
        channel_free(side->channel);
        g_ptr_array_unref(side->words);
}

static void test_packets_and_descriptors(void) {
        g_autoptr(sd_event) event = NULL;
        Side a, b;

        pair_init(&a, &b, &event);
        channel_send(a.channel, "one", number(1), (const int[]) {0, 1}, 2);
        channel_send(a.channel, "two", number(2), NULL, 0);
        channel_send(b.channel, "back", number(3), NULL, 0);
        run(event);
        g_assert_cmpuint(b.words->len, ==, 2);
        g_assert_cmpstr(b.words->pdata[1], ==, "two");
        g_assert_cmpuint(b.n_fds, ==, 2);
        g_assert_cmpuint(a.last, ==, 3);
        side_clear(&a);
        run(event);
        g_assert_cmpuint(b.n_closed, ==, 1);
        side_clear(&b);
}

static void test_what_does_not_fit_waits(void) {
        g_autoptr(sd_event) event = NULL;
        Side a, b;
        int ends[2];

        g_assert_cmpint(sd_event_new(&event), >=, 0);
        g_assert_cmpint(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), ==, 0);
        side_init(&a, event, ends[0]);
        for (guint64 i = 1; i <= 5000; i++)
                channel_send(a.channel, "n", number(i), NULL, 0);
        side_init(&b, event, ends[1]);
        for (unsigned i = 0; i < 100 && b.words->len < 5000; i++)
                run(event);
        g_assert_cmpuint(b.words->len, ==, 5000);
        g_assert_cmpuint(b.last, ==, 5000);
        side_clear(&a);
        side_clear(&b);
}

static void test_the_last_words_of_one_that_reads_no_more(void) {
        g_autoptr(sd_event) event = NULL;
        Side a, b;

        pair_init(&a, &b, &event);
        channel_send(a.channel, "one", number(1), NULL, 0);
        channel_send(a.channel, "gone", number(2), NULL, 0);
        channel_send(b.channel, "unread", number(3), NULL, 0);
        side_clear(&a);
        run(event);
        g_assert_cmpuint(b.words->len, ==, 2);
        g_assert_cmpuint(b.last, ==, 2);
        g_assert_cmpuint(b.n_closed, ==, 1);
        side_clear(&b);
}

static void test_what_is_no_packet_ends_the_connection(void) {
        const char *const packets[] = {"x", "hello, this is no GVariant at all", ""};

        for (size_t i = 0; i < G_N_ELEMENTS(packets); i++) {
                g_autoptr(sd_event) event = NULL;
                int ends[2];
                Side a;
                g_assert_cmpint(sd_event_new(&event), >=, 0);
                g_assert_cmpint(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), ==, 0);
                autofd int stranger = ends[1];
                side_init(&a, event, ends[0]);
                g_assert_cmpint(send(stranger, packets[i], strlen(packets[i]), 0), >=, 0);
                run(event);
                g_assert_cmpuint(a.words->len, ==, 0);
                g_assert_cmpuint(a.n_closed, ==, 1);
                side_clear(&a);
        }
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/channel/packets-and-descriptors", test_packets_and_descriptors);
        g_test_add_func("/channel/what-does-not-fit-waits", test_what_does_not_fit_waits);
        g_test_add_func("/channel/the-last-words-of-one-that-reads-no-more", test_the_last_words_of_one_that_reads_no_more);
        g_test_add_func("/channel/what-is-no-packet-ends-the-connection", test_what_is_no_packet_ends_the_connection);
        return g_test_run();
}
