/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* org.freedesktop.LogControl1(5): what `systemctl service-log-level conbus` talks to. The vtable is written by hand, since the interface is systemd's.
 * The setters are for root alone. They are flagged unprivileged all the same and look at the sender themselves, since sd-bus would ask the bus daemon for it and block. */

#include "bus/log-control.h"
#include "bus/peers.h"
#include "base/log.h"
#include <errno.h>

static int refuse_others(Bus *bus, const char *property, sd_bus_error *error) {
        sd_bus_message *message = sd_bus_get_current_message(bus->connection);
        Peer *peer = message ? peer_of(bus, message) : NULL;

        if (peer && !peer->unknown && peer->actor->uid == 0)
                return 0;
        return sd_bus_error_setf(error, SD_BUS_ERROR_ACCESS_DENIED, "only root may set %s", property);
}

static int get_level(sd_bus *bus, const char *path, const char *interface, const char *property, sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        return sd_bus_message_append(reply, "s", log_get_level_name());
}

static int set_level(sd_bus *bus, const char *path, const char *interface, const char *property, sd_bus_message *value, void *userdata, sd_bus_error *error) {
        const char *name;
        int r = refuse_others(userdata, property, error);

        if (r >= 0)
                r = sd_bus_message_read(value, "s", &name);
        if (r < 0)
                return r;
        if (!log_set_level_name(name))
                return sd_bus_error_setf(error, SD_BUS_ERROR_INVALID_ARGS, "\"%s\" is no log level; levels are emerg, alert, crit, err, warning, notice, info and debug", name);
        return 0;
}

static int get_target(sd_bus *bus, const char *path, const char *interface, const char *property, sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        return sd_bus_message_append(reply, "s", log_get_target_name());
}

static int set_target(sd_bus *bus, const char *path, const char *interface, const char *property, sd_bus_message *value, void *userdata, sd_bus_error *error) {
        const char *name;
        int r = refuse_others(userdata, property, error);

        if (r >= 0)
                r = sd_bus_message_read(value, "s", &name);
        if (r < 0)
                return r;
        if (!log_set_target_name(name))
                return sd_bus_error_setf(error, SD_BUS_ERROR_INVALID_ARGS, "\"%s\" is no log target; targets are console and journal", name);
        return 0;
}

static int get_identifier(sd_bus *bus, const char *path, const char *interface, const char *property, sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        return sd_bus_message_append(reply, "s", "conbusd");
}

static const sd_bus_vtable vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_WRITABLE_PROPERTY("LogLevel", "s", get_level, set_level, 0, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_WRITABLE_PROPERTY("LogTarget", "s", get_target, set_target, 0, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_PROPERTY("SyslogIdentifier", "s", get_identifier, 0, SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_VTABLE_END,
};

int log_control_add(Bus *bus) {
        sd_bus_slot *slot = NULL;
        int r = sd_bus_add_object_vtable(bus->connection, &slot, "/org/freedesktop/LogControl1", "org.freedesktop.LogControl1", vtable, bus);

        if (r >= 0)
                g_ptr_array_add(bus->slots, slot);
        return r;
}
