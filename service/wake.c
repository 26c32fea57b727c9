/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* conbus-wake [ADDRESS]: conmon's exit command. Asks the bus to activate conbus, so that an end is recorded although the service was down; nothing but that depends on it. */

#include <stdlib.h>
#include <systemd/sd-bus.h>

int main(int argc, char *argv[]) {
        sd_bus *bus = NULL;

        if (argc > 1)
                setenv("DBUS_SYSTEM_BUS_ADDRESS", argv[1], 1);
        if (sd_bus_open_system(&bus) < 0)
                return EXIT_FAILURE;
        int r = sd_bus_call_method_async(bus, NULL, "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", "StartServiceByName", NULL, NULL, "su", "io.conbus1", 0u);
        if (r >= 0)
                r = sd_bus_flush(bus);
        sd_bus_unref(bus);
        return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
