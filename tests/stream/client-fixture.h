/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A client between conmon and whoever is attached, both of them the test. Times that the client would wait are over at once or never (--wrap). */

#include "stream/client.h"
#include "fake-conmon.h"
#include "hurried.h"
#include <string.h>
#include <sys/socket.h>

#define BOTH (STREAM_MASK(STREAM_STDOUT) | STREAM_MASK(STREAM_STDERR))
#define ALL (BOTH | STREAM_MASK(STREAM_STDIN))

typedef struct Fixture {
        sd_event *event;
        FakeConmon *conmon;
        int output, input; /* conmon's sides */
        ClientHost host;
        LogMarks *marks; /* once a test has made them */
        char *log;
        bool from_start; /* clients begin with the ring's first byte */
        Client *client; /* NULL once it has ended */
        int peer; /* the client's own side */
        GVariant *tag;
        unsigned n_ended, n_progressed;
        char *end;
        guint64 bytes_in, bytes_out; /* at the end */
        unsigned before;
} Fixture;

static inline bool before_output(void *userdata) {
        Fixture *fixture = userdata;

        if (fixture->client)
                client_lose_before(fixture->client, ring_tail_after_reserve(source_ring(fixture->host.source)));
        return true;
}

static inline void on_output(void *userdata) {
        Fixture *fixture = userdata;

        if (fixture->client)
                (void) client_pump(fixture->client);
}

static inline void on_writable(void *userdata) {
        Fixture *fixture = userdata;

        if (fixture->client)
                (void) client_pump_input(fixture->client);
}

static inline void on_ended(Client *client, const ClientEnd *end, void *userdata) {
        Fixture *fixture = userdata;
        const GError named = {.domain = CONBUS_ERROR, .code = (int) end->error};

        g_assert_true(client == fixture->client);
        fixture->n_ended++;
        g_free(fixture->end);
        fixture->end = end->reason ? g_strdup(end->reason) : g_strdup_printf("%s: %s", strrchr(error_to_name(&named), '.') + 1, end->message);
        fixture->bytes_in = client_bytes_in(client);
        fixture->bytes_out = client_bytes_out(client);
        fixture->client = NULL;
        client_free(client);
}

static inline void on_progressed(void *userdata) {
        Fixture *fixture = userdata;

        fixture->n_progressed++;
}

static inline void set_up(Fixture *fixture, gconstpointer unused) {
        static const SourceEvents events = {before_output, on_output, on_writable};

        hurry = false;
        fixture->before = testing_count_descriptors();
        g_assert_cmpint(sd_event_new(&fixture->event), >=, 0);
        fixture->conmon = fake_conmon_new();
        fixture->log = fake_conmon_log_path(fixture->conmon);
        fixture->host = (ClientHost) {.event = fixture->event, .progressed = on_progressed, .ended = on_ended, .userdata = fixture, .stall_usec = 1};
        fixture->host.source = source_new(fixture->event, fixture->conmon->directory_fd, false, &events, fixture);
        g_assert_true(source_open_output(fixture->host.source, NULL));
        fixture->output = fake_conmon_accept(fixture->conmon);
        g_assert_true(source_open_input(fixture->host.source, NULL));
        fixture->input = fake_conmon_accept(fixture->conmon);
        fixture->tag = g_variant_ref_sink(g_variant_new_parsed("{'job': <'7'>}"));
        fixture->peer = -1;
}

static inline void tear_down(Fixture *fixture, gconstpointer unused) {
        client_free(fixture->client);
        source_free(fixture->host.source);
        log_marks_free(fixture->marks);
        g_free(fixture->host.run_result);
        close_fd(fixture->output);
        close_fd(fixture->input);
        close_fd(fixture->peer);
        fake_conmon_free(fixture->conmon);
        g_variant_unref(fixture->tag);
        sd_event_unref(fixture->event);
        g_free(fixture->log);
        g_free(fixture->end);
        g_assert_cmpuint(testing_count_descriptors(), ==, fixture->before);
}

static inline void attach_with(Fixture *fixture, ClientPlan plan, int cancel_fd) {
        g_autoptr(GError) error = NULL;
        int ends[2];

        g_assert_no_errno(socketpair(AF_UNIX, (plan.framing == FRAMING_PACKETS ? SOCK_SEQPACKET : SOCK_STREAM) | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends));
        fixture->peer = ends[1];
        plan.id = 5;
        plan.tag = fixture->tag;
        plan.position = plan.log || fixture->from_start ? 0 : ring_head(source_ring(fixture->host.source));
        fixture->client = client_new(&fixture->host, &plan, ends[0], cancel_fd, &error);
        g_assert_no_error(error);
        if (client_pump_input(fixture->client))
                (void) client_pump(fixture->client);
}

static inline void attach(Fixture *fixture, unsigned streams, Framing framing) {
        attach_with(fixture, (ClientPlan) {.streams = streams, .framing = framing, .follow = true}, -1);
}

static inline DetachKeys keys_of(const char *text) {
        DetachKeys keys;

        g_assert_true(detach_keys_parse(text, &keys, NULL));
        return keys;
}

/* What the client has got: packets as "STREAM:DATA " each, else the bytes. */
static inline char *got(Fixture *fixture) {
        GString *text = g_string_new(NULL);
        char bytes[FRAME_MAX + 16];
        int type = 0;
        ssize_t n;

        testing_run_idle(fixture->event);
        g_assert_no_errno(getsockopt(fixture->peer, SOL_SOCKET, SO_TYPE, &type, &(socklen_t) {sizeof type}));
        while ((n = recv(fixture->peer, bytes, sizeof bytes, MSG_DONTWAIT)) > 0)
                if (type == SOCK_SEQPACKET)
                        g_string_append_printf(text, "%d:%.*s ", bytes[0], (int) n - 1, bytes + 1);
                else
                        g_string_append_len(text, bytes, n);
        return g_string_free(text, FALSE);
}

static inline void expect_got(Fixture *fixture, const char *wanted) {
        g_autofree char *text = got(fixture);

        g_assert_cmpstr(text, ==, wanted);
}

static inline void expect_input(Fixture *fixture, const char *wanted) {
        testing_run_idle(fixture->event);
        g_autofree char *text = fake_conmon_read(fixture->input, NULL, NULL);
        g_assert_cmpstr(text, ==, wanted);
}

static inline void expect_ended(Fixture *fixture, const char *end) {
        testing_run_until_count(fixture->event, &fixture->n_ended, 1);
        g_assert_cmpstr(fixture->end, ==, end);
        testing_run_idle(fixture->event);
        g_assert_cmpuint(fixture->n_ended, ==, 1);
}

static inline void say(Fixture *fixture, const void *data, size_t size) {
        g_assert_cmpint(send(fixture->peer, data, size, MSG_NOSIGNAL), ==, (ssize_t) size);
}

static inline void hang_up(Fixture *fixture) {
        fixture->peer = close_fd(fixture->peer);
}

static inline void end_run(Fixture *fixture, const char *result) {
        fixture->host.run_ended = true;
        fixture->host.run_end = (ClientEnd) {.reason = "exited"};
        fixture->host.run_result = g_strdup(result);
}

#define ADD(name, function) g_test_add("/client/" name, Fixture, NULL, set_up, function, tear_down)

static inline void add_framed(const char *name, Framing framing, void (*function)(Fixture *fixture, gconstpointer data)) {
        g_autofree char *path = g_strdup_printf("/client/%s/%s", name, framing_to_string(framing));

        g_test_add(path, Fixture, GINT_TO_POINTER(framing), set_up, function, tear_down);
}
