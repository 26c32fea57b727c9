/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* See fake-bus.h. */

#include "fake-bus.h"
#include "base/variant.h"
#include "testing.h"
#include <stdarg.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#define DAEMON "org.freedesktop.DBus"

static int on_message(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        FakeBus *bus = userdata;

        if (sd_bus_message_is_method_call(message, DAEMON, "Hello"))
                return bus->refuses_hello ? sd_bus_reply_method_errorf(message, SD_BUS_ERROR_LIMITS_EXCEEDED, "no room") : sd_bus_reply_method_return(message, "s", ":1.7");
        if (sd_bus_message_is_method_call(message, DAEMON, "AddMatch"))
                bus->n_matches++;
        else if (sd_bus_message_is_method_call(message, DAEMON, "RemoveMatch"))
                bus->n_matches--;
        else if (sd_bus_message_is_method_call(message, NULL, NULL)) {
                bus->call(bus, message, bus->userdata);
                return 1;
        } else
                return 0;
        return sd_bus_message_get_expect_reply(message) ? sd_bus_reply_method_return(message, NULL) : 1;
}

/* Takes fd. */
static void serve(FakeBus *bus, int fd) {
        sd_id128_t id;

        g_assert_null(bus->side);
        bus->n_connections++;
        g_assert_cmpint(sd_id128_randomize(&id), >=, 0);
        g_assert_cmpint(sd_bus_new(&bus->side), >=, 0);
        g_assert_cmpint(sd_bus_set_fd(bus->side, fd, fd), >=, 0);
        g_assert_cmpint(sd_bus_set_server(bus->side, true, id), >=, 0);
        g_assert_cmpint(sd_bus_set_anonymous(bus->side, true), >=, 0);
        g_assert_cmpint(sd_bus_negotiate_fds(bus->side, true), >=, 0);
        g_assert_cmpint(sd_bus_add_filter(bus->side, NULL, on_message, bus), >=, 0);
        g_assert_cmpint(sd_bus_start(bus->side), >=, 0);
        g_assert_cmpint(sd_bus_attach_event(bus->side, bus->event, SD_EVENT_PRIORITY_NORMAL), >=, 0);
}

static FakeBus *bus_new(sd_event *event, FakeBusCall call, void *userdata) {
        FakeBus *bus = g_new0(FakeBus, 1);

        bus->event = sd_event_ref(event);
        bus->call = call;
        bus->userdata = userdata;
        return bus;
}

static bool is_ready(void *userdata) {
        return sd_bus_is_ready(userdata) > 0;
}

/* A descriptor can only be sent when both sides have agreed that it can, which sd-bus would wait for without the loop. */
FakeBus *fake_bus_new(sd_event *event, FakeBusCall call, void *userdata) {
        FakeBus *bus = bus_new(event, call, userdata);
        int ends[2];

        g_assert_no_errno(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends));
        serve(bus, ends[0]);
        g_assert_cmpint(sd_bus_new(&bus->client), >=, 0);
        g_assert_cmpint(sd_bus_set_fd(bus->client, ends[1], ends[1]), >=, 0);
        g_assert_cmpint(sd_bus_set_bus_client(bus->client, true), >=, 0);
        g_assert_cmpint(sd_bus_negotiate_fds(bus->client, true), >=, 0);
        g_assert_cmpint(sd_bus_start(bus->client), >=, 0);
        g_assert_cmpint(sd_bus_attach_event(bus->client, event, SD_EVENT_PRIORITY_NORMAL), >=, 0);
        testing_run_until(event, is_ready, bus->client);
        return bus;
}

static int on_connection(sd_event_source *source, int fd, uint32_t revents, void *userdata) {
        int connection = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

        g_assert_cmpint(connection, >=, 0);
        fake_bus_hang_up(userdata);
        serve(userdata, connection);
        return 0;
}

FakeBus *fake_bus_listen(sd_event *event, const char *path, FakeBusCall call, void *userdata) {
        FakeBus *bus = bus_new(event, call, userdata);
        int fd = testing_listen(path, SOCK_STREAM);

        g_assert_cmpint(sd_event_add_io(event, &bus->listening, fd, EPOLLIN, on_connection, bus), >=, 0);
        g_assert_cmpint(sd_event_source_set_io_fd_own(bus->listening, true), >=, 0);
        return bus;
}

void fake_bus_hang_up(FakeBus *bus) {
        g_clear_pointer(&bus->side, sd_bus_close_unref);
}

void fake_bus_free(FakeBus *bus) {
        if (!bus)
                return;
        fake_bus_hang_up(bus);
        g_clear_pointer(&bus->client, sd_bus_close_unref);
        g_clear_pointer(&bus->listening, sd_event_source_disable_unref);
        sd_event_unref(bus->event);
        g_free(bus);
}

char *fake_bus_text_of(sd_bus_message *call, GArray *fds) {
        g_autoptr(GString) text = g_string_new(sd_bus_message_get_member(call));
        g_autoptr(GError) error = NULL;

        while (sd_bus_message_at_end(call, true) == 0) {
                g_autoptr(GVariant) argument = variant_read(call, NULL, fds, &error);
                g_assert_no_error(error);
                g_autofree char *printed = g_variant_print(argument, false);
                g_string_append_printf(text, " %s", printed);
        }
        return g_string_free(g_steal_pointer(&text), FALSE);
}

void fake_bus_signal(FakeBus *bus, const char *path, const char *interface, const char *member, const char *types, ...) {
        g_autoptr(sd_bus_message) message = NULL;
        va_list arguments;

        g_assert_cmpint(sd_bus_message_new_signal(bus->side, &message, path, interface, member), >=, 0);
        g_assert_cmpint(sd_bus_message_set_sender(message, "org.freedesktop.systemd1"), >=, 0);
        va_start(arguments, types);
        g_assert_cmpint(sd_bus_message_appendv(message, types, arguments), >=, 0);
        va_end(arguments);
        g_assert_cmpint(sd_bus_send(bus->side, message, NULL), >=, 0);
}
