/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The machine goes down: policies are suspended, and what runs is stopped, dependents before what they depend on, within the time that the service manager gives. What a unit owns is left to that unit until the time is up. Nobody has asked for these stops: StoppedByUser stays as it is, and the boot rule brings back
 * what it would bring back after a power cut. */

#include "operation/internal.h"
#include "base/clock.h"
#include "base/log.h"

struct Shutdown {
        Engine *engine;
        guint64 deadline; /* CLOCK_BOOTTIME usec */
        sd_event_source *timer, *next;
        GHashTable *asked; /* ids */
        void (*done)(void *userdata);
        void *userdata;
};

static void look(struct Shutdown *shutdown);

static bool is_up(const Container *container) {
        return state_is_active(container->life.state) || container->life.state == STATE_STOPPED;
}

bool shutdown_has_dependents_up(Engine *engine, Container *container) {
        g_autoptr(GPtrArray) dependents = registry_dependents(engine->registry, container);

        for (guint i = 0; i < dependents->len; i++)
                if (is_up(dependents->pdata[i]))
                        return true;
        return false;
}

static int on_next(sd_event_source *source, void *userdata) {
        struct Shutdown *shutdown = userdata;

        sd_event_source_set_enabled(source, SD_EVENT_OFF);
        look(shutdown);
        return 0;
}

static void on_stopped(Operation *operation, GVariant *result, const GError *error, void *userdata) {
        struct Shutdown *shutdown = userdata;

        if (error && error->code != CONBUS_ERROR_NOT_RUNNING)
                log_warning("%s", error->message);
        else /* should it be up again, it is asked once more */
                g_hash_table_remove(shutdown->asked, operation->container->id);
        sd_event_source_set_enabled(shutdown->next, SD_EVENT_ONESHOT);
}

static void stop(struct Shutdown *shutdown, Container *container) {
        guint64 now = clock_boottime_usec(), left = shutdown->deadline > now ? shutdown->deadline - now : 0;
        g_autoptr(GVariant) options = g_variant_ref_sink(g_variant_new_parsed("{'timeout-usec': <%t>}", MIN(container_stop_timeout(container), left)));
        g_autoptr(GError) error = NULL;

        if (!g_hash_table_add(shutdown->asked, g_strdup(container->id)))
                return;
        Operation *operation = operation_submit(shutdown->engine, container, VERB_STOP, options, NULL, on_stopped, shutdown, &error);
        if (operation) {
                operation->at_shutdown = true;
                return;
        }
        log_warning("%s", error->message);
        g_hash_table_remove(shutdown->asked, container->id); /* with the next change of a state it is asked again */
}

static void look(struct Shutdown *shutdown) {
        g_autoptr(GPtrArray) containers = registry_list(shutdown->engine->registry);
        bool any = false;

        for (guint i = 0; i < containers->len; i++) {
                Container *container = containers->pdata[i];
                if (!is_up(container))
                        continue;
                any = true;
                if (*container->life.managed_by) /* its unit is stopped as well, in its own order, and stops it */
                        continue;
                if (!shutdown_has_dependents_up(shutdown->engine, container))
                        stop(shutdown, container);
        }
        if (!any && shutdown->done) {
                void (*done)(void *) = shutdown->done;
                shutdown->done = NULL;
                done(shutdown->userdata);
        }
}

static int on_time_up(sd_event_source *source, guint64 usec, void *userdata) {
        struct Shutdown *shutdown = userdata;
        g_autoptr(GPtrArray) containers = registry_list(shutdown->engine->registry);

        for (guint i = 0; i < containers->len; i++)
                if (state_is_active(((Container *) containers->pdata[i])->life.state)) {
                        log_warning("%s is killed: the machine goes down", container_title(containers->pdata[i]));
                        kill_now(containers->pdata[i]);
                }
        return 0;
}

void engine_shut_down(Engine *engine, guint64 budget_usec, void (*done)(void *userdata), void *userdata) {
        struct Shutdown *shutdown = g_new0(struct Shutdown, 1);

        if (engine->shutdown) {
                g_free(shutdown);
                return;
        }
        *shutdown = (struct Shutdown) {.engine = engine, .deadline = clock_boottime_in(budget_usec), .done = done, .userdata = userdata};
        shutdown->asked = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
        engine->shutdown = shutdown;
        int r = sd_event_add_defer(engine->event, &shutdown->next, on_next, shutdown);
        if (r >= 0 && shutdown->deadline != UINT64_MAX)
                r = sd_event_add_time(engine->event, &shutdown->timer, CLOCK_BOOTTIME, shutdown->deadline, 1000, on_time_up, shutdown);
        g_assert(r >= 0);
}

/* --- one container, whose unit stops it before this service is told --- */

static void on_dependent_stopped(Operation *dependent, GVariant *result, const GError *error, void *userdata) {
        Operation *operation = userdata;

        if (error && error->code != CONBUS_ERROR_NOT_RUNNING)
                log_warning("%s", error->message);
        if (--operation->n_dependents == 0)
                operation_continue(operation);
}

void shutdown_stop_dependents(Operation *operation) {
        g_autoptr(GPtrArray) dependents = registry_dependents(operation->engine->registry, operation->container);
        guint64 grace = option_uint64(operation, "timeout-usec", UINT64_MAX);

        operation->n_dependents = 1; /* until all have been submitted */
        for (guint i = 0; i < dependents->len; i++) {
                Container *container = dependents->pdata[i];
                g_autoptr(GVariant) options = g_variant_ref_sink(g_variant_new_parsed("{'timeout-usec': <%t>}", MIN(container_stop_timeout(container), grace)));
                g_autoptr(GError) error = NULL;
                Operation *dependent = is_up(container) ? operation_submit(operation->engine, container, VERB_STOP, options, NULL, on_dependent_stopped, operation, &error) : NULL;
                if (dependent) {
                        dependent->at_shutdown = true;
                        operation->n_dependents++;
                } else if (error)
                        log_warning("%s", error->message);
        }
        operation_give_slot_back(operation);
        if (--operation->n_dependents == 0)
                operation_continue(operation);
}

/* An end or a cleanup that came by itself counts as well. */
void shutdown_look_again(Engine *engine) {
        if (engine->shutdown)
                sd_event_source_set_enabled(engine->shutdown->next, SD_EVENT_ONESHOT);
}

void shutdown_free(Engine *engine) {
        struct Shutdown *shutdown = g_steal_pointer(&engine->shutdown);

        if (!shutdown)
                return;
        g_clear_pointer(&shutdown->timer, sd_event_source_disable_unref);
        g_clear_pointer(&shutdown->next, sd_event_source_disable_unref);
        g_hash_table_unref(shutdown->asked);
        g_free(shutdown);
}
