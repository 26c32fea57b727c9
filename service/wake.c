/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* conbus-wake [AWAKE] [ADDRESS]: conmon's exit command. Asks the bus to activate conbus, so that an end is recorded although the service was down; nothing but that depends on it.
 *
 * It runs at every end, beside the service that records it and the client that waits. So where the service is there, which it says by a lock on the file AWAKE, that is all there is to do; and only where it is not is libsystemd loaded (dlopen(3)), which costs more than everything else here. */

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/file.h>
#include <systemd/sd-bus.h>
#include <unistd.h>

static bool is_awake(const char *path) {
        int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
        bool awake = fd >= 0 && flock(fd, LOCK_SH | LOCK_NB) < 0 && errno == EWOULDBLOCK;

        if (fd >= 0)
                close(fd);
        return awake;
}

static bool activate(void) {
        void *library = dlopen("libsystemd.so.0", RTLD_NOW);
        sd_bus *bus = NULL;

        if (!library)
                return false;
        typeof(sd_bus_open_system) *open_system = (typeof(open_system)) dlsym(library, "sd_bus_open_system");
        typeof(sd_bus_call_method_async) *call = (typeof(call)) dlsym(library, "sd_bus_call_method_async");
        typeof(sd_bus_flush_close_unref) *close_bus = (typeof(close_bus)) dlsym(library, "sd_bus_flush_close_unref");
        typeof(sd_bus_flush) *flush = (typeof(flush)) dlsym(library, "sd_bus_flush");
        if (!open_system || !call || !close_bus || !flush || open_system(&bus) < 0)
                return false;
        bool asked = call(bus, NULL, "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", "StartServiceByName", NULL, NULL, "su", "io.conbus1", 0u) >= 0 && flush(bus) >= 0;
        close_bus(bus);
        return asked;
}

/* A path begins with a slash, an address never does. */
int main(int argc, char *argv[]) {
        int next = 1;

        if (next < argc && argv[next][0] == '/' && is_awake(argv[next++]))
                return EXIT_SUCCESS;
        if (next < argc)
                setenv("DBUS_SYSTEM_BUS_ADDRESS", argv[next], 1);
        return activate() ? EXIT_SUCCESS : EXIT_FAILURE;
}
