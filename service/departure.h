/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* How the service leaves the bus without losing a call.
 *
 * STOPPING=1 comes first: from then on the service manager queues a start behind our end. Then the name is released; calls that were sent before the bus daemon has done so arrive before its answer, and are served; calls that are sent later activate the next
 * instance. Were the name released first, an activation in between would find the unit active, and its call would wait in vain. */

#include <stdbool.h>
#include <glib.h>
#include <systemd/sd-bus.h>

typedef struct Departure Departure;

typedef struct DepartureParent {
        bool (*is_settled)(void *userdata); /* every call that can be answered soon has been */
        void (*gone)(bool settled, void *userdata); /* once; settled is false when the time was up first */
        void *userdata;
} DepartureParent;

/* patience_usec: how long answers are waited for. */
Departure *departure_begin(sd_event *event, sd_bus *connection, const char *name, guint64 patience_usec, const DepartureParent *parent) G_GNUC_WARN_UNUSED_RESULT;
void departure_look_again(Departure *departure); /* something has been answered or has ended */
void departure_free(Departure *departure);
