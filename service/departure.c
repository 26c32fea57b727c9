/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Leaving the bus; the head of departure.h says in which order and why. */

#include "departure.h"
#include "base/auto.h"
#include "base/clock.h"
#include "base/log.h"
#include <systemd/sd-daemon.h>

struct Departure {
        DepartureParent parent;
        sd_bus_slot *release;
        sd_event_source *timer;
        bool released, gone;
};

static void go(Departure *departure, bool settled) {
        if (departure->gone)
                return;
        departure->gone = true;
        departure->parent.gone(settled, departure->parent.userdata);
}

void departure_look_again(Departure *departure) {
        if (departure->released && departure->parent.is_settled(departure->parent.userdata))
                go(departure, true);
}

static int on_released(sd_bus_message *answer, void *userdata, sd_bus_error *error) {
        Departure *departure = userdata;

        g_clear_pointer(&departure->release, sd_bus_slot_unref);
        departure->released = true;
        departure_look_again(departure);
        return 1;
}

static int on_time_up(sd_event_source *source, guint64 usec, void *userdata) {
        go(userdata, false);
        return 0;
}

Departure *departure_begin(sd_event *event, sd_bus *connection, const char *name, guint64 patience_usec, const DepartureParent *parent) {
        Departure *departure = g_new0(Departure, 1);

        departure->parent = *parent;
        (void) sd_notify(false, "STOPPING=1");
        int r = sd_bus_release_name_async(connection, &departure->release, name, on_released, departure);
        if (r < 0) {
                log_error("release the name %s: %s", name, g_strerror(-r));
                departure->released = true;
        }
        r = sd_event_add_time(event, &departure->timer, CLOCK_BOOTTIME, clock_boottime_in(patience_usec), 1000, on_time_up, departure);
        g_assert(r >= 0);
        return departure;
}

void departure_free(Departure *departure) {
        if (!departure)
                return;
        g_clear_pointer(&departure->release, sd_bus_slot_unref);
        g_clear_pointer(&departure->timer, sd_event_source_disable_unref);
        g_free(departure);
}
