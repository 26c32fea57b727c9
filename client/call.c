/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Calls through GDBus, which speaks GVariant and reads DBUS_SYSTEM_BUS_ADDRESS. */

#include "call.h"
#include "agent.h"
#include <gio/gunixfdlist.h>
#include <json-glib/json-glib.h>
#include <stdio.h>

bool want_json = false;

static GDBusConnection *connect_bus(void) {
        static GDBusConnection *connection = NULL;
        g_autoptr(GError) error = NULL;

        if (!connection)
                connection = g_bus_get_sync(G_BUS_TYPE_SYSTEM, NULL, &error);
        if (!connection)
                fprintf(stderr, "conbusctl: connect to the system bus: %s\n", error->message);
        return connection;
}

static GVariant *call_once(GDBusConnection *connection, const char *path, const char *interface, const char *method, GVariant *arguments, GUnixFDList **ret_fds, GError **error) {
        return g_dbus_connection_call_with_unix_fd_list_sync(connection, CONBUS_BUS_NAME, path, interface, method, arguments, NULL, G_DBUS_CALL_FLAGS_ALLOW_INTERACTIVE_AUTHORIZATION, G_MAXINT, NULL, ret_fds, NULL, error);
}

static bool lacks_agent(const GError *error) {
        g_autofree char *name = g_dbus_error_get_remote_error(error);

        return g_strcmp0(name, CONBUS_BUS_ERROR_INTERACTIVE_AUTHORIZATION_REQUIRED) == 0;
}

static GVariant *call(const char *path, const char *interface, const char *method, GVariant *arguments, int *ret_fd) {
        GDBusConnection *connection = connect_bus();
        g_autoptr(GVariant) sunk = arguments ? g_variant_ref_sink(arguments) : NULL;
        g_autoptr(GUnixFDList) fds = NULL;
        g_autoptr(GError) error = NULL;

        if (!connection)
                return NULL;
        GVariant *answer = call_once(connection, path, interface, method, sunk, &fds, &error);
        if (!answer && lacks_agent(error) && agent_start()) {
                g_clear_error(&error);
                answer = call_once(connection, path, interface, method, sunk, &fds, &error);
        }
        if (!answer) {
                g_dbus_error_strip_remote_error(error);
                fprintf(stderr, "conbusctl: %s\n", error->message);
                return NULL;
        }
        if (ret_fd)
                *ret_fd = fds ? g_unix_fd_list_get(fds, 0, NULL) : -1;
        return answer;
}

GVariant *call_manager(const char *method, GVariant *arguments) {
        return call(CONBUS_MANAGER_PATH, CONBUS_MANAGER_INTERFACE, method, arguments, NULL);
}

GVariant *call_with_fd(const char *method, GVariant *arguments, int *ret_fd) {
        return call(CONBUS_MANAGER_PATH, CONBUS_MANAGER_INTERFACE, method, arguments, ret_fd);
}

GVariant *call_container(const char *path, const char *method, GVariant *arguments) {
        const char *interface = g_str_equal(method, CONBUS_HEALTH_CHECK) || g_str_equal(method, CONBUS_HEALTH_GET_LOG) ? CONBUS_HEALTH_INTERFACE : CONBUS_CONTAINER_INTERFACE;

        return call(path, interface, method, arguments, NULL);
}

GVariant *call_job(const char *path, const char *method, GVariant *arguments) {
        return call(path, CONBUS_JOB_INTERFACE, method, arguments, NULL);
}

GVariant *call_container_with_fd(const char *path, const char *method, GVariant *arguments, int *ret_fd) {
        return call(path, CONBUS_CONTAINER_INTERFACE, method, arguments, ret_fd);
}

GVariant *call_process(const char *path, const char *method, GVariant *arguments) {
        return call(path, CONBUS_PROCESS_INTERFACE, method, arguments, NULL);
}

GVariant *call_process_with_fd(const char *path, const char *method, GVariant *arguments, int *ret_fd) {
        return call(path, CONBUS_PROCESS_INTERFACE, method, arguments, ret_fd);
}

static void call_later(const char *path, const char *interface, const char *method, GVariant *arguments) {
        GDBusConnection *connection = connect_bus();

        if (connection)
                g_dbus_connection_call(connection, CONBUS_BUS_NAME, path, interface, method, arguments, NULL, G_DBUS_CALL_FLAGS_NONE, -1, NULL, NULL, NULL);
        else
                g_variant_unref(g_variant_ref_sink(arguments));
}

void call_container_later(const char *path, const char *method, GVariant *arguments) {
        call_later(path, CONBUS_CONTAINER_INTERFACE, method, arguments);
}

void call_process_later(const char *path, const char *method, GVariant *arguments) {
        call_later(path, CONBUS_PROCESS_INTERFACE, method, arguments);
}

void call_flush(void) {
        GDBusConnection *connection = connect_bus();

        if (connection)
                (void) g_dbus_connection_flush_sync(connection, NULL, NULL);
}

/* NULL after a message, or when it is of another type. */
static GVariant *get_property(const char *path, const char *interface, const char *property, const GVariantType *type) {
        g_autoptr(GVariant) answer = call(path, "org.freedesktop.DBus.Properties", "Get", g_variant_new("(ss)", interface, property), NULL);
        g_autoptr(GVariant) value = NULL;

        if (answer)
                g_variant_get(answer, "(v)", &value);
        return value && g_variant_is_of_type(value, type) ? g_steal_pointer(&value) : NULL;
}

bool call_get_bool(const char *path, const char *property) {
        g_autoptr(GVariant) value = get_property(path, CONBUS_CONTAINER_INTERFACE, property, G_VARIANT_TYPE_BOOLEAN);

        return value && g_variant_get_boolean(value);
}

char *call_get_owner(const char *path) {
        g_autoptr(GVariant) value = get_property(path, CONBUS_CONTAINER_INTERFACE, CONBUS_CONTAINER_MANAGED_BY, G_VARIANT_TYPE_STRING);

        return value ? g_variant_dup_string(value, NULL) : g_strdup("");
}

int call_get_exit_code(const char *path) {
        g_autoptr(GVariant) value = get_property(path, CONBUS_PROCESS_INTERFACE, CONBUS_PROCESS_EXIT_CODE, G_VARIANT_TYPE_INT32);

        return value ? g_variant_get_int32(value) : -1;
}

char *call_find(const char *name) {
        g_autoptr(GVariant) answer = call_manager(CONBUS_MANAGER_GET_CONTAINER, g_variant_new("(s)", name));
        char *path = NULL;

        if (answer)
                g_variant_get(answer, "(o)", &path);
        return path;
}

GVariant *call_query(GVariant *filter, const char *const *properties) {
        g_autoptr(GVariant) answer = call_manager(CONBUS_MANAGER_QUERY_CONTAINERS, g_variant_new("(@a{sv}^as)", filter, properties));

        return answer ? g_variant_get_child_value(answer, 0) : NULL;
}

void print_json(GVariant *value) {
        g_autoptr(JsonNode) node = json_gvariant_serialize(value);
        g_autofree char *text = json_to_string(node, FALSE);

        puts(text);
}

char *printable(const char *text) {
        GString *clean = g_string_new(NULL);

        for (const char *p = text; *p; p = g_utf8_next_char(p)) {
                gunichar c = g_utf8_get_char(p);
                if (g_unichar_iscntrl(c))
                        g_string_append_printf(clean, "\\x%02x", c);
                else
                        g_string_append_unichar(clean, c);
        }
        return g_string_free(clean, FALSE);
}
