/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A server whose control connection, conmon and clients are all the test. It has a loop of its own, which it leaves when it has nothing more to do. */

#include "stream/server.h"
#include "base/log.h"
#include "fake-conmon.h"
#include "stream/channel.h"
#include "stream/protocol.h"
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>

typedef struct Fixture {
        sd_event *event, *own; /* the server's, and conbusd's */
        FakeConmon *conmon;
        char *log, *control_path;
        int monitor; /* an eventfd that plays conmon's pidfd: readable once conmon has ended */
        ServerPlan plan;
        Server *server;
        Channel *channel;
        GPtrArray *words; /* what conbusd has heard, as text */
        unsigned n_taken, n_closed;
        int hello_fds[CHANNEL_FDS_MAX]; /* of the last hello */
        int output;
        unsigned before;
} Fixture;

/* --- conbusd --- */

static inline char *words_of(const char *word, GVariant *fields) {
        const char *reason = NULL, *error = "", *message = "";
        guint64 id = 0, in = 0, out = 0;
        g_autoptr(GVariant) clients = g_variant_lookup_value(fields, "clients", NULL), tag = g_variant_lookup_value(fields, "tag", NULL);

        (void) g_variant_lookup(fields, "id", "t", &id);
        (void) g_variant_lookup(fields, "bytes-in", "t", &in);
        (void) g_variant_lookup(fields, "bytes-out", "t", &out);
        (void) g_variant_lookup(fields, "reason", "&s", &reason);
        (void) g_variant_lookup(fields, "error", "&s", &error);
        (void) g_variant_lookup(fields, "message", "&s", &message);
        if (g_str_equal(word, STREAM_HELLO)) {
                guint32 pid = 0;
                g_assert_true(g_variant_lookup(fields, "pid", "u", &pid));
                g_assert_cmpint((pid_t) pid, ==, getpid());
                g_autofree char *text = g_variant_print(clients, false);
                return g_strdup_printf("hello %s", text);
        }
        if (g_str_equal(word, STREAM_ADDED))
                return g_strdup_printf("added %d", (int) id);
        if (g_str_equal(word, STREAM_REFUSED))
                return g_strdup_printf("refused %d %s: %s", (int) id, strrchr(error, '.') + 1, message);
        g_assert_cmpstr(word, ==, STREAM_GONE);
        g_autofree char *text = g_variant_print(tag, false);
        return g_strdup_printf("gone %d %s %d %d %s", (int) id, text, (int) in, (int) out, reason ? reason : message);
}

static inline void on_received(const char *word, GVariant *fields, int fds[CHANNEL_FDS_MAX], void *userdata) {
        Fixture *fixture = userdata;

        g_ptr_array_add(fixture->words, words_of(word, fields));
        for (unsigned i = 0; g_str_equal(word, STREAM_HELLO) && i < CHANNEL_FDS_MAX; i++) {
                close_fd(fixture->hello_fds[i]);
                fixture->hello_fds[i] = steal_fd(&fds[i]);
        }
}

static inline void on_closed(void *userdata) {
        Fixture *fixture = userdata;

        fixture->n_closed++;
}

static inline void set_up(Fixture *fixture, gconstpointer unused) {
        log_set_level(LOG_EMERG);
        fixture->before = testing_count_descriptors();
        g_assert_cmpint(sd_event_new(&fixture->event), >=, 0);
        g_assert_cmpint(sd_event_new(&fixture->own), >=, 0);
        fixture->conmon = fake_conmon_new();
        fixture->log = fake_conmon_log_path(fixture->conmon);
        fixture->control_path = g_build_filename(fixture->conmon->directory, "stream", NULL);
        fixture->words = g_ptr_array_new_with_free_func(g_free);
        fixture->monitor = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        fixture->plan = (ServerPlan) {.directory_fd = fcntl(fixture->conmon->directory_fd, F_DUPFD_CLOEXEC, 3), .monitor_fd = fcntl(fixture->monitor, F_DUPFD_CLOEXEC, 3), .control_fd = -1, .stall_usec = 600 * G_USEC_PER_SEC};
        fixture->output = -1;
        for (unsigned i = 0; i < CHANNEL_FDS_MAX; i++)
                fixture->hello_fds[i] = -1;
}

static inline void tear_down(Fixture *fixture, gconstpointer unused) {
        server_free(fixture->server);
        channel_free(fixture->channel);
        close_fd(fixture->output);
        close_fd(fixture->monitor);
        for (unsigned i = 0; i < CHANNEL_FDS_MAX; i++)
                close_fd(fixture->hello_fds[i]);
        g_ptr_array_unref(fixture->words);
        fake_conmon_free(fixture->conmon);
        sd_event_unref(fixture->event);
        sd_event_unref(fixture->own);
        g_free(fixture->log);
        g_free(fixture->control_path);
        g_assert_cmpuint(testing_count_descriptors(), ==, fixture->before);
}

static inline bool has_left(Fixture *fixture) {
        int code;

        return sd_event_get_exit_code(fixture->event, &code) >= 0;
}

/* Both sides have done what they can. */
static inline void settle(Fixture *fixture) {
        bool goes_on = true;

        while (goes_on) {
                goes_on = !has_left(fixture) && sd_event_run(fixture->event, 0) > 0;
                goes_on = sd_event_run(fixture->own, 0) > 0 || goes_on;
        }
}

static inline void expect_word(Fixture *fixture, const char *wanted) {
        settle(fixture);
        g_assert_cmpuint(fixture->words->len, >, fixture->n_taken);
        g_assert_cmpstr(fixture->words->pdata[fixture->n_taken++], ==, wanted);
}

static inline void expect_silence(Fixture *fixture) {
        settle(fixture);
        if (fixture->words->len > fixture->n_taken)
                g_error("nobody has asked for \"%s\"", (char *) fixture->words->pdata[fixture->n_taken]);
}

static inline void begin(Fixture *fixture) {
        g_autoptr(GError) error = NULL;

        fixture->server = server_new(fixture->event, &fixture->plan, &error);
        g_assert_no_error(error);
}

static inline void begin_with_pair(Fixture *fixture) {
        int ends[2];

        g_assert_no_errno(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends));
        fixture->plan.control_fd = ends[0];
        fixture->channel = channel_new(fixture->own, ends[1], on_received, on_closed, fixture, NULL);
        begin(fixture);
        expect_word(fixture, "hello []");
}

static inline int dial(const char *path) {
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

        snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
        g_assert_no_errno(connect(fd, (struct sockaddr *) &address, sizeof address));
        return fd;
}

static inline void connect_control(Fixture *fixture) {
        channel_free(fixture->channel);
        fixture->channel = channel_new(fixture->own, dial(fixture->control_path), on_received, on_closed, fixture, NULL);
}

static inline void begin_listening(Fixture *fixture) {
        fixture->plan.control_fd = testing_listen(fixture->control_path, SOCK_SEQPACKET);
        begin(fixture);
        connect_control(fixture);
        expect_word(fixture, "hello []");
}

/* Its own end of a new client's socket. fields: without braces, after id and tag. */
static inline int add(Fixture *fixture, unsigned id, const char *fields, int cancel_fd) {
        g_autofree char *text = g_strdup_printf("{'id': <uint64 %u>, 'tag': <{'job': <%u>}>, %s}", id, id, fields);
        int ends[2];

        g_assert_no_errno(socketpair(AF_UNIX, (strstr(fields, "'packets'") ? SOCK_SEQPACKET : SOCK_STREAM) | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends));
        channel_send(fixture->channel, STREAM_ADD, g_variant_new_parsed(text), (const int[]) {ends[0], cancel_fd}, cancel_fd >= 0 ? 2 : 1);
        close(ends[0]);
        return ends[1];
}

static inline void expect_got(Fixture *fixture, int peer, const char *wanted) {
        g_autoptr(GString) text = g_string_new(NULL);
        char bytes[65536];
        ssize_t n;

        settle(fixture);
        while ((n = recv(peer, bytes, sizeof bytes, MSG_DONTWAIT)) > 0)
                g_string_append_len(text, bytes, n);
        g_assert_cmpstr(text->str, ==, wanted);
}

static inline void tell_end(Fixture *fixture, const char *fields) {
        channel_send(fixture->channel, STREAM_END_OF_RUN, g_variant_new_parsed(fields), NULL, 0);
}

#define RAW "'framing': <'raw'>, 'streams': <uint32 7>"
#define PACKETS "'framing': <'packets'>, 'streams': <uint32 6>"
#define WRITER "'framing': <'raw'>, 'streams': <uint32 1>"
#define READER "'framing': <'raw'>, 'streams': <uint32 6>"
