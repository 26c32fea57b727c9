/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Calls before work, and work in a flood of calls: two ends of one connection in this process, and a source that plays the work. */

#include "bus/turns.h"
#include <glib.h>
#include <stdbool.h>
#include <sys/socket.h>

typedef struct Fixture {
        sd_event *event;
        sd_bus *server, *client;
        Turns *turns;
        sd_event_source *work;
        unsigned n_calls, n_work, n_calls_at_first_work, n_others, n_calls_at_last_other;
} Fixture;

static int on_message(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        Fixture *fixture = userdata;

        turns_count(fixture->turns);
        fixture->n_calls++;
        return 1;
}

static int on_work(sd_event_source *source, void *userdata) {
        Fixture *fixture = userdata;

        if (fixture->n_work++ == 0)
                fixture->n_calls_at_first_work = fixture->n_calls;
        fixture->work = sd_event_source_disable_unref(source);
        return sd_event_add_defer(fixture->event, &fixture->work, on_work, fixture); /* there is always more, and it gets into the line anew */
}

static int on_other(sd_event_source *source, void *userdata) {
        Fixture *fixture = userdata;

        fixture->n_others++;
        fixture->n_calls_at_last_other = fixture->n_calls;
        return 0;
}

static sd_bus *end_of(int fd, bool server) {
        sd_bus *bus = NULL;
        sd_id128_t id = SD_ID128_MAKE(1, 2, 3, 4, 5, 6, 7, 8, 9, a, b, c, d, e, f, 0);

        g_assert_cmpint(sd_bus_new(&bus), >=, 0);
        g_assert_cmpint(sd_bus_set_fd(bus, fd, fd), >=, 0);
        if (server)
                g_assert_cmpint(sd_bus_set_server(bus, true, id), >=, 0);
        g_assert_cmpint(sd_bus_start(bus), >=, 0);
        return bus;
}

static void set_up(Fixture *fixture, gconstpointer unused) {
        int fds[2], r = 0;

        g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds), ==, 0);
        fixture->server = end_of(fds[0], true);
        fixture->client = end_of(fds[1], false);
        while (sd_bus_is_ready(fixture->server) <= 0 || sd_bus_is_ready(fixture->client) <= 0) {
                g_assert_cmpint(sd_bus_process(fixture->client, NULL), >=, 0);
                g_assert_cmpint(sd_bus_process(fixture->server, NULL), >=, 0);
        }
        g_assert_cmpint(sd_event_new(&fixture->event), >=, 0);
        fixture->turns = turns_new(fixture->server, fixture->event, &r);
        g_assert_cmpint(r, ==, 0);
        g_assert_nonnull(fixture->turns);
        g_assert_cmpint(sd_bus_add_filter(fixture->server, NULL, on_message, fixture), >=, 0);
        g_assert_cmpint(sd_event_add_defer(fixture->event, &fixture->work, on_work, fixture), >=, 0);
}

static void tear_down(Fixture *fixture, gconstpointer unused) {
        turns_free(fixture->turns);
        sd_event_source_disable_unref(fixture->work);
        sd_bus_detach_event(fixture->server);
        sd_bus_close_unref(fixture->server);
        sd_bus_close_unref(fixture->client);
        sd_event_unref(fixture->event);
}

static void flood(Fixture *fixture, unsigned n) {
        for (unsigned i = 0; i < n; i++)
                g_assert_cmpint(sd_bus_emit_signal(fixture->client, "/", "io.conbus1.Test", "Flood", NULL), >=, 0);
        g_assert_cmpint(sd_bus_flush(fixture->client), >=, 0);
}

static void run_until_handled(Fixture *fixture, unsigned n) {
        while (fixture->n_calls < n)
                g_assert_cmpint(sd_event_run(fixture->event, UINT64_MAX), >=, 0);
}

static void test_calls_go_before_work(Fixture *fixture, gconstpointer unused) {
        flood(fixture, TURNS_CALLS_MAX - 1);
        run_until_handled(fixture, TURNS_CALLS_MAX - 1);
        g_assert_cmpuint(fixture->n_work, ==, 0);
}

/* All that waits, also what has come since the connection was attached. */
static void test_work_goes_on_in_a_flood(Fixture *fixture, gconstpointer unused) {
        sd_event_source *others[10];

        flood(fixture, TURNS_CALLS_MAX / 2);
        run_until_handled(fixture, TURNS_CALLS_MAX / 2);
        while (fixture->n_work < 3) /* the row is over */
                g_assert_cmpint(sd_event_run(fixture->event, 0), >=, 0);
        for (size_t i = 0; i < G_N_ELEMENTS(others); i++)
                g_assert_cmpint(sd_event_add_defer(fixture->event, &others[i], on_other, fixture), >=, 0);
        fixture->n_calls = fixture->n_work = 0;
        flood(fixture, 20 * TURNS_CALLS_MAX);
        run_until_handled(fixture, 20 * TURNS_CALLS_MAX);
        g_assert_cmpuint(fixture->n_calls_at_first_work, ==, TURNS_CALLS_MAX);
        g_assert_cmpuint(fixture->n_work, >=, 19);
        g_assert_cmpuint(fixture->n_work, <, 3 * 20); /* each row gives way once, not for good */
        g_assert_cmpuint(fixture->n_others, ==, G_N_ELEMENTS(others));
        g_assert_cmpuint(fixture->n_calls_at_last_other, ==, TURNS_CALLS_MAX);
        for (size_t i = 0; i < G_N_ELEMENTS(others); i++)
                sd_event_source_disable_unref(others[i]);
}

static void test_a_row_ends_with_the_work(Fixture *fixture, gconstpointer unused) {
        for (unsigned i = 1; i <= 3; i++) {
                flood(fixture, TURNS_CALLS_MAX / 2);
                run_until_handled(fixture, i * TURNS_CALLS_MAX / 2);
                g_assert_cmpuint(fixture->n_work, ==, i - 1); /* never in the middle of a row */
                while (fixture->n_work < i)
                        g_assert_cmpint(sd_event_run(fixture->event, 0), >=, 0);
        }
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add("/turns/calls-go-before-work", Fixture, NULL, set_up, test_calls_go_before_work, tear_down);
        g_test_add("/turns/work-goes-on-in-a-flood", Fixture, NULL, set_up, test_work_goes_on_in_a_flood, tear_down);
        g_test_add("/turns/a-row-ends-with-the-work", Fixture, NULL, set_up, test_a_row_ends_with_the_work, tear_down);
        return g_test_run();
}
