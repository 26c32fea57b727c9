/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The floor of the service's resident memory: a program that is linked to what conbusd is linked to, uses each library once, and does nothing else. Prints its resident memory in bytes. */

#include <json-glib/json-glib.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>
#include <unistd.h>

int main(void) {
        JsonParser *parser = json_parser_new();
        sd_event *event = NULL;
        sd_bus *bus = NULL;
        sqlite3 *db = NULL;
        long pages = 0;

        if (!json_parser_load_from_data(parser, "{\"a\": [1, \"b\"]}", -1, NULL) || sd_event_default(&event) < 0 || sd_bus_open_system(&bus) < 0 || sd_bus_attach_event(bus, event, 0) < 0 || sd_event_run(event, 0) < 0 ||
            sd_bus_call_method(bus, "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", "GetId", NULL, NULL, NULL) < 0 ||
            sqlite3_open(":memory:", &db) != SQLITE_OK || sqlite3_exec(db, "CREATE TABLE a (b); INSERT INTO a VALUES (1); SELECT b FROM a", NULL, NULL, NULL) != SQLITE_OK)
                return EXIT_FAILURE;
        FILE *statm = fopen("/proc/self/statm", "re");
        if (!statm || fscanf(statm, "%*d %ld", &pages) != 1)
                return EXIT_FAILURE;
        printf("%ld\n", pages * sysconf(_SC_PAGESIZE));
        fclose(statm);
        sqlite3_close(db);
        sd_bus_flush_close_unref(bus);
        sd_event_unref(event);
        g_object_unref(parser);
        return EXIT_SUCCESS;
}
