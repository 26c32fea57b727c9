/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* See attached-client.h. */

#include "attached-client.h"
#include "base/auto.h"
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

static int on_readable(sd_event_source *source, int fd, uint32_t revents, void *userdata) {
        Client *client = userdata;
        char text[4096];
        ssize_t n = recv(fd, text, sizeof text, MSG_DONTWAIT);

        if (n > 0)
                g_string_append_len(client->received, text, n);
        else if (n == 0 || errno != EAGAIN) {
                client->hung_up = true;
                return sd_event_source_set_enabled(source, SD_EVENT_OFF);
        }
        return 0;
}

static void on_connected(Attachment *attachment, const GError *error, void *userdata) {
        Client *client = userdata;

        g_assert_cmpuint(client->n_connected++, ==, 0);
        g_assert_true(attachment == client->attachment);
        if (!error)
                return;
        client->error = g_error_copy(error);
        attachment_free(g_steal_pointer(&client->attachment));
}

void client_ended(Attachment *attachment, GVariant *result, const GError *error, void *userdata) {
        Client *client = userdata;
        const char *reason = "";
        guint64 run = 0;
        gint32 code = 0;

        g_assert_cmpuint(client->n_ended++, ==, 0);
        g_assert_true((result == NULL) == (error != NULL));
        client->attachment = NULL;
        if (result) {
                g_assert_true(g_variant_lookup(result, "reason", "&s", &reason) && g_variant_lookup(result, "run", "t", &run) && g_variant_lookup(result, "exit-code", "i", &code));
                client->result = g_strdup_printf("%s %" G_GUINT64_FORMAT " %d", reason, run, code);
        }
        client->error = error ? g_error_copy(error) : NULL;
}

static GVariant *make_tag(const char *name) {
        GVariantDict tag;

        g_variant_dict_init(&tag, NULL);
        g_variant_dict_insert(&tag, "job", "s", name);
        return g_variant_dict_end(&tag);
}

static void begin(Client *client, Fixture *fixture, Container *container, Session *session, const char *options) {
        g_autoptr(GVariant) common = testing_parse("{'framing': <'raw'>}"), added = testing_parse(options ? options : "@a{sv} {}"), whole = config_merge(common, added);
        g_auto(AttachPlan) plan = {0};
        g_autoptr(GError) error = NULL;
        int fds[2];

        g_assert_true(attach_plan_read(whole, false, &plan, &error));
        g_assert_cmpint(socketpair(AF_UNIX, (plan.framing == FRAMING_PACKETS ? SOCK_SEQPACKET : SOCK_STREAM) | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds), ==, 0);
        *client = (Client) {.fixture = fixture, .fd = fds[0], .received = g_string_new(NULL)};
        client->attachment = attachment_new(fixture->engine, container, session, &plan, make_tag("mine"), fds[1], -1);
        attachment_on_end(client->attachment, client_ended, client);
        g_assert_cmpint(sd_event_add_io(fixture->event, &client->source, client->fd, EPOLLIN, on_readable, client), >=, 0);
}

void client_begin(Client *client, Fixture *fixture, Container *container, const char *options) {
        begin(client, fixture, container, NULL, options);
}

void client_begin_session(Client *client, Fixture *fixture, Session *session, const char *options) {
        begin(client, fixture, session->container, session, options);
}

void client_connect(Client *client) {
        attachment_connect(client->attachment, on_connected, client);
        g_assert_cmpuint(client->n_connected, ==, 0); /* never before it has returned */
}

void client_close(Client *client) {
        if (client->source)
                sd_event_source_disable_unref(g_steal_pointer(&client->source));
        client->fd = close_fd(client->fd);
}

void client_clear(Client *client) {
        if (!client->received)
                return;
        client_close(client);
        if (client->attachment)
                attachment_free(g_steal_pointer(&client->attachment));
        g_string_free(client->received, TRUE);
        client->received = NULL;
        g_clear_error(&client->error);
        g_free(client->result);
}

static void succeed(Client *client) {
        client_connect(client);
        testing_run_until_count(client->fixture->event, &client->n_connected, 1);
        g_assert_no_error(client->error);
}

void client_attach(Client *client, Fixture *fixture, Container *container, const char *options) {
        client_begin(client, fixture, container, options);
        succeed(client);
}

void client_attach_session(Client *client, Fixture *fixture, Session *session, const char *options) {
        client_begin_session(client, fixture, session, options);
        succeed(client);
}

static void fail(Client *client, ConbusError code, const char *part) {
        client_connect(client);
        testing_run_until_count(client->fixture->event, &client->n_connected, 1);
        testing_expect_error(&client->error, code, part);
        testing_run_idle(client->fixture->event);
        g_assert_cmpuint(client->n_ended, ==, 0);
}

void client_refuse(Fixture *fixture, Container *container, const char *options, ConbusError code, const char *part) {
        g_auto(Client) client = {0};

        client_begin(&client, fixture, container, options);
        fail(&client, code, part);
}

void client_refuse_session(Fixture *fixture, Session *session, const char *options, ConbusError code, const char *part) {
        g_auto(Client) client = {0};

        client_begin_session(&client, fixture, session, options);
        fail(&client, code, part);
}

void client_say(Client *client, const char *text) {
        g_assert_cmpint(send(client->fd, text, strlen(text), MSG_NOSIGNAL), ==, strlen(text));
}

struct Expected {
        Client *client;
        const char *text;
};

static bool has_text(void *userdata) {
        struct Expected *expected = userdata;

        return strstr(expected->client->received->str, expected->text) != NULL;
}

void client_await(Client *client, const char *text) {
        struct Expected expected = {.client = client, .text = text};

        testing_run_until(client->fixture->event, has_text, &expected);
}

void client_await_end(Client *client, const char *result) {
        testing_run_until_count(client->fixture->event, &client->n_ended, 1);
        g_assert_no_error(client->error);
        g_assert_cmpstr(client->result, ==, result);
}

/* conmon takes a size whenever it looks. */
void client_await_size(Client *client, const char *size) {
        gint64 deadline = g_get_monotonic_time() + (gint64) TESTING_DEADLINE_USEC;

        while (!strstr(client->received->str, size)) {
                g_assert_cmpint(g_get_monotonic_time(), <, deadline);
                client_say(client, "\n");
                g_assert_cmpint(sd_event_run(client->fixture->event, 10000), >=, 0);
                testing_run_idle(client->fixture->event);
        }
}
