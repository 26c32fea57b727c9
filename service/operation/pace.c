/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Launches take turns. One is some twenty milliseconds of work for conmon and crun, a fifth of it waiting for the kernel: one more than there are processors use the machine up. A hundred at once are no faster; they wait for each other inside the kernel, as does the service, and with it whoever asks it something.
 *
 * An operation takes a place before it opens a run or begins an exec session, and has it until it is over. What lasts and is no work, a hook that sleeps or a file system far away, keeps nobody out for long: a place that has been held for launch_hold_usec while others wait is free again,
 * and there are twice as many; each launch that ends in time takes half of them back, down to what it was. */

#include "operation/internal.h"
#include "base/clock.h"

struct Pace {
        Engine *engine;
        unsigned n_processors; /* at the start: to ask costs reading a file */
        unsigned n_places; /* where they are more than by default */
        GQueue holders; /* of Operation: with a place, the longest first */
        GQueue waiting; /* of Operation: cancelled ones first */
        sd_event_source *turn, *timer;
};

struct Pace *pace_new(Engine *engine) {
        struct Pace *pace = g_new0(struct Pace, 1);

        pace->engine = engine;
        pace->n_processors = g_get_num_processors();
        g_queue_init(&pace->holders);
        g_queue_init(&pace->waiting);
        return pace;
}

void pace_free(struct Pace *pace) {
        if (!pace)
                return;
        g_queue_clear(&pace->holders);
        g_queue_clear(&pace->waiting);
        g_clear_pointer(&pace->turn, sd_event_source_disable_unref);
        g_clear_pointer(&pace->timer, sd_event_source_disable_unref);
        g_free(pace);
}

static unsigned places_by_default(const struct Pace *pace) {
        unsigned configured = pace->engine->settings.launches_max;

        return configured > 0 ? configured : pace->n_processors + 1;
}

static bool has_room(const struct Pace *pace) {
        const Operation *next = g_queue_peek_head((GQueue *) &pace->waiting);

        return pace->holders.length < MAX(pace->n_places, places_by_default(pace)) || (next && next->cancelled);
}

static bool has_held_long(const struct Pace *pace, const Operation *operation, guint64 now) {
        return operation && operation->launch_usec + pace->engine->settings.launch_hold_usec <= now;
}

static void take_place(struct Pace *pace, Operation *operation) {
        operation->launch_usec = clock_boottime_usec();
        g_queue_push_tail(&pace->holders, operation);
}

static void look_again(struct Pace *pace);

/* In a turn of the loop for each, as the queue of operations does (operation.c, on_pump). */
static int on_turn(sd_event_source *source, void *userdata) {
        struct Pace *pace = userdata;

        g_clear_pointer(&pace->turn, sd_event_source_disable_unref);
        if (pace->engine->stopping || g_queue_is_empty(&pace->waiting) || !has_room(pace))
                return 0;
        Operation *operation = g_queue_pop_head(&pace->waiting);
        take_place(pace, operation);
        look_again(pace);
        operation_continue(operation);
        return 0;
}

/* The timer may have been that of one who is over by now. */
static int on_held_long(sd_event_source *source, guint64 usec, void *userdata) {
        struct Pace *pace = userdata;
        guint64 now = clock_boottime_usec();

        g_clear_pointer(&pace->timer, sd_event_source_disable_unref);
        if (has_held_long(pace, g_queue_peek_head(&pace->holders), now))
                pace->n_places = MIN(2 * MAX(pace->n_places, places_by_default(pace)), pace->engine->settings.operations_max);
        while (has_held_long(pace, g_queue_peek_head(&pace->holders), now))
                g_queue_pop_head(&pace->holders);
        look_again(pace);
        return 0;
}

static void look_again(struct Pace *pace) {
        int r = 0;

        if (pace->engine->stopping || g_queue_is_empty(&pace->waiting))
                g_clear_pointer(&pace->timer, sd_event_source_disable_unref);
        else if (has_room(pace)) {
                if (!pace->turn)
                        r = sd_event_add_defer(pace->engine->event, &pace->turn, on_turn, pace);
        } else if (!pace->timer) {
                const Operation *first = g_queue_peek_head(&pace->holders);
                r = sd_event_add_time(pace->engine->event, &pace->timer, CLOCK_BOOTTIME, first->launch_usec + pace->engine->settings.launch_hold_usec, 1000, on_held_long, pace);
        }
        g_assert(r >= 0);
}

static void on_cancel(Operation *operation) {
        struct Pace *pace = operation->engine->pace;

        g_queue_remove(&pace->waiting, operation);
        g_queue_push_head(&pace->waiting, operation);
        look_again(pace);
}

void pace_step(Operation *operation) {
        struct Pace *pace = operation->engine->pace;

        if (operation->error || (g_queue_is_empty(&pace->waiting) && has_room(pace))) {
                take_place(pace, operation);
                operation_continue(operation);
                return;
        }
        operation->cancel = on_cancel;
        g_queue_push_tail(&pace->waiting, operation);
        operation_give_slot_back(operation);
        look_again(pace);
}

bool pace_is_waiting(const Operation *operation) {
        return operation->cancel == on_cancel;
}

void pace_leave(Operation *operation) {
        struct Pace *pace = operation->engine->pace;

        if (operation->launch_usec == 0 || !pace)
                return;
        operation->launch_usec = 0;
        if (g_queue_remove(&pace->holders, operation))
                pace->n_places /= 2;
        look_again(pace);
}
