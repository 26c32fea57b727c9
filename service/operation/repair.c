/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A cleanup or a removal that failed is tried again by itself, later and later: settings repair_usec and repair_max_usec. Whoever cleans up, starts or removes the container meanwhile is not kept waiting for it. */

#include "operation/internal.h"
#include "base/clock.h"
#include "base/log.h"

struct Repair {
        Engine *engine;
        Container *container; /* owns this */
        sd_event_source *timer;
        guint64 delay_usec;
};

static int on_due(sd_event_source *source, guint64 usec, void *userdata) {
        struct Repair *repair = userdata;

        g_clear_pointer(&repair->timer, sd_event_source_disable_unref);
        lifecycle_ensure_cleanup(repair->engine, repair->container);
        removal_retry(repair->engine, repair->container);
        return 0;
}

void repair_later(Engine *engine, Container *container) {
        struct Repair *repair = container->repair;

        if (!repair) {
                repair = container->repair = g_new0(struct Repair, 1);
                repair->engine = engine;
                repair->container = container;
        }
        if (repair->timer)
                return;
        repair->delay_usec = CLAMP(repair->delay_usec * 2, engine->settings.repair_usec, engine->settings.repair_max_usec);
        log_warning("the %s of %s failed; trying again in %.0f s", container->life.state == STATE_STOPPED ? "cleanup" : "removal", container_title(container), (double) repair->delay_usec / G_USEC_PER_SEC);
        int r = sd_event_add_time(engine->event, &repair->timer, CLOCK_BOOTTIME, clock_boottime_in(repair->delay_usec), 0, on_due, repair);
        g_assert(r >= 0);
}

bool repair_is_due(const Container *container) {
        return container->repair && container->repair->timer;
}

void repair_forget(Container *container) {
        if (!container->repair)
                return;
        g_clear_pointer(&container->repair->timer, sd_event_source_disable_unref);
        g_clear_pointer(&container->repair, g_free);
}
