/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The first message of a row makes a source at the priority of work. The loop comes to it when all work that was there before has had its turn, which ends the row. It is made anew for each row: one that is only enabled again is as old as when it was made, and
 * sd-event serves the oldest first. */

#include "bus/turns.h"
#include "base/log.h"
#include <glib.h>
#include <stdbool.h>
#include <string.h>

#define PRIORITY_CALLS (SD_EVENT_PRIORITY_NORMAL - 2)
#define PRIORITY_AFTER_WORK (SD_EVENT_PRIORITY_NORMAL + 1)

struct Turns {
        sd_bus *connection;
        sd_event *event;
        sd_event_source *row_over, *give_way;
        unsigned n; /* messages in this row */
        bool after_work;
};

static void attach(Turns *turns, bool after_work) {
        (void) sd_bus_detach_event(turns->connection);
        int r = sd_bus_attach_event(turns->connection, turns->event, after_work ? PRIORITY_AFTER_WORK : PRIORITY_CALLS);
        if (r < 0) {
                log_error("attach the connection to the loop again: %s", strerror(-r));
                (void) sd_event_exit(turns->event, r); /* deaf for ever else */
        }
        turns->after_work = after_work;
}

static int on_row_over(sd_event_source *source, void *userdata) {
        Turns *turns = userdata;

        turns->row_over = sd_event_source_disable_unref(source);
        turns->n = 0;
        if (turns->after_work)
                attach(turns, false);
        return 0;
}

static int on_give_way(sd_event_source *source, void *userdata) {
        Turns *turns = userdata;

        if (turns->n > 0 && !turns->after_work)
                attach(turns, true);
        return 0;
}

Turns *turns_new(sd_bus *connection, sd_event *event, int *ret_error) {
        Turns *turns = g_new0(Turns, 1);

        *turns = (Turns) {.connection = sd_bus_ref(connection), .event = sd_event_ref(event)};
        /* Not from within the connection's own dispatch, which would lose its source. */
        int r = sd_event_add_defer(event, &turns->give_way, on_give_way, turns);
        if (r >= 0)
                r = sd_event_source_set_enabled(turns->give_way, SD_EVENT_OFF);
        if (r >= 0)
                r = sd_event_source_set_priority(turns->give_way, PRIORITY_CALLS - 1);
        if (r >= 0)
                r = sd_bus_attach_event(connection, event, PRIORITY_CALLS);
        if (r >= 0)
                return turns;
        *ret_error = r;
        turns_free(turns);
        return NULL;
}

void turns_count(Turns *turns) {
        if (turns->n++ == 0 && sd_event_add_defer(turns->event, &turns->row_over, on_row_over, turns) < 0)
                turns->n = 0;
        if (turns->n == TURNS_CALLS_MAX)
                (void) sd_event_source_set_enabled(turns->give_way, SD_EVENT_ONESHOT);
}

void turns_free(Turns *turns) {
        if (!turns)
                return;
        sd_event_source_disable_unref(turns->row_over);
        sd_event_source_disable_unref(turns->give_way);
        sd_bus_unref(turns->connection);
        sd_event_unref(turns->event);
        g_free(turns);
}
