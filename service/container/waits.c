/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Waits (api.md section 10). A wait is bound to a run when it begins, or to the first run above a number as soon as that opens; every commit of its container is looked at, so that no state is too short to match; the answer is read from the record.
 *
 * `stopped` is met by a record that has ended; `exited` also needs the cleanup, that is, the container is past `stopped` or on its way to the next run. A wait that cannot be met any more because its run has ended (ready, healthy …, and the states of a run that was
 * asked for by its number) is answered `stopped`, and every wait on a container that goes is answered `removed`. `final` is bound to no run, only to one at least: it is met when nothing restarts the container any more, neither its policy nor somebody's Restart, and
 * answers with its last run, or, when its time is up, with the latest. */

#include "container/waits.h"
#include "base/clock.h"
#include "base/log.h"
#include <string.h>

struct Wait {
        unsigned n_references; /* answers of one change may cancel waits that are still to be looked at */
        bool over; /* answered or cancelled */
        Waits *waits;
        char *id;
        char **conditions;
        bool has_run, has_after_run, final;
        guint64 run, after_run; /* run: the bound one, 0 while none */
        sd_event_source *timer, *now;
        WaitDone done;
        void *userdata;
        /* the answer that `now` will give */
        const char *met;
};

struct Waits {
        sd_event *event;
        Registry *registry;
        GHashTable *by_id; /* id -> GPtrArray of Wait */
        unsigned n_waits;
};

static void on_change(const Change *change, void *userdata);

static void free_list(void *list) {
        g_ptr_array_unref(list);
}

Waits *waits_new(sd_event *event, Registry *registry) {
        Waits *waits = g_new0(Waits, 1);

        waits->event = sd_event_ref(event);
        waits->registry = registry;
        waits->by_id = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, free_list);
        registry_set_observer(registry, OBSERVER_WAITS, on_change, waits);
        return waits;
}

static Wait *wait_ref(Wait *wait) {
        wait->n_references++;
        return wait;
}

static void wait_unref(Wait *wait) {
        if (--wait->n_references > 0)
                return;
        g_clear_pointer(&wait->timer, sd_event_source_disable_unref);
        g_clear_pointer(&wait->now, sd_event_source_disable_unref);
        g_strfreev(wait->conditions);
        g_free(wait->id);
        g_free(wait);
}

void waits_free(Waits *waits) {
        GHashTableIter iter;
        void *list;

        if (!waits)
                return;
        registry_set_observer(waits->registry, OBSERVER_WAITS, NULL, NULL);
        g_hash_table_iter_init(&iter, waits->by_id);
        while (g_hash_table_iter_next(&iter, NULL, &list))
                for (guint i = 0; i < ((GPtrArray *) list)->len; i++)
                        wait_unref(((GPtrArray *) list)->pdata[i]);
        g_hash_table_unref(waits->by_id);
        sd_event_unref(waits->event);
        g_free(waits);
}

unsigned waits_count(const Waits *waits) {
        return waits->n_waits;
}

static void unlink_wait(Wait *wait) {
        GPtrArray *list = g_hash_table_lookup(wait->waits->by_id, wait->id);

        wait->over = true;
        g_clear_pointer(&wait->timer, sd_event_source_disable_unref);
        g_clear_pointer(&wait->now, sd_event_source_disable_unref);
        if (!list || !g_ptr_array_remove_fast(list, wait))
                return;
        wait->waits->n_waits--;
        if (list->len == 0)
                g_hash_table_remove(wait->waits->by_id, wait->id);
}

guint64 wait_run(const Wait *wait) {
        return wait->run;
}

void wait_cancel(Wait *wait) {
        unlink_wait(wait);
        wait_unref(wait);
}

static bool wants(const Wait *wait, const char *condition) {
        return g_strv_contains((const char *const *) wait->conditions, condition);
}

/* --- answers --- */

/* Fills in the record where the answer is about an end (or the run has ended in any case). */
static void send_answer(Wait *wait, const char *condition, const Run *record) {
        g_autoptr(Run) stored = NULL;
        g_autoptr(GError) error = NULL;
        WaitAnswer answer = {.container = wait->id, .condition = condition, .run = wait->run, .exit_code = -1};
        WaitDone done = wait->done;
        void *userdata = wait->userdata;

        if (!record && (wait->run > 0 || wait->final || g_str_equal(condition, "removed") || g_str_equal(condition, "removing"))) {
                if (!store_get_run(registry_store(wait->waits->registry), wait->id, wait->run, &stored, &error))
                        log_error("answer a wait: %s", error->message);
                record = stored;
        }
        g_autoptr(GVariant) details = g_variant_ref_sink(record ? run_to_variant(record) : g_variant_new("a{sv}", NULL));
        answer.details = details;
        if (record) {
                answer.run = record->number;
                answer.exit_code = record->exit_code;
                answer.exit_signal = record->exit_signal;
                answer.result = record->result;
        }
        unlink_wait(wait);
        done(&answer, NULL, userdata);
        wait_unref(wait);
}

/* --- is it met --- */

static bool record_has_ended(const Wait *wait, Run **ret) {
        g_autoptr(Run) run = NULL;
        g_autoptr(GError) error = NULL;

        if (wait->run == 0 || !store_get_run(registry_store(wait->waits->registry), wait->id, wait->run, &run, &error) || !run || run->result == RESULT_NONE)
                return false;
        *ret = g_steal_pointer(&run);
        return true;
}

/* The run is over for this life: it is another one, or the same and closed. */
static bool run_is_over(const Wait *wait, const Life *life) {
        return wait->run != 0 && (life->run > wait->run || (life->run == wait->run && !life->run_open));
}

static bool is_cleaned_up(const Wait *wait, const Life *life) {
        return life->run > wait->run || (life->state != STATE_STOPPED && !life->run_open);
}

static bool nothing_will_restart(const Wait *wait, const Life *life) {
        const Container *container = registry_get(wait->waits->registry, wait->id);

        return !life->run_open && life->next_restart_usec == 0 && !life->boot_due && (!container || container->n_restarts == 0) &&
               (life->state == STATE_EXITED || life->state == STATE_CREATED || life->state == STATE_REMOVING);
}

/* The word for an end where every end has been cleaned up. */
static const char *end_condition(const Wait *wait) {
        return wants(wait, "exited") && !wants(wait, "stopped") ? "exited" : "stopped";
}

/* A final wait that names a run means that one or a later one. */
static bool is_late_enough(const Wait *wait, guint64 run) {
        return run > 0 && (!wait->has_run || run >= wait->run) && (!wait->has_after_run || run > wait->after_run);
}

static bool is_tied(const char *condition) {
        return g_str_equal(condition, "ready") || g_str_equal(condition, "healthy") || g_str_equal(condition, "unhealthy");
}

/* Of the bound run, which is over. A wait that names no run waits for a state of whichever comes. */
static bool may_still_come(const Wait *wait, const Life *life, const char *condition) {
        if (is_tied(condition))
                return false;
        if ((!wait->has_run && !wait->has_after_run) || g_str_equal(condition, "exited") || g_str_equal(condition, "removing") || g_str_equal(condition, "removed"))
                return true;
        /* Where the cleanup of a run that was never started leads to. */
        return g_str_equal(condition, "created") && life->run == wait->run && life->state == STATE_STOPPED;
}

static const char *met_by_end(const Wait *wait, const Life *life) {
        if (wait->final)
                return nothing_will_restart(wait, life) && is_late_enough(wait, life->run) ? end_condition(wait) : NULL;
        if (!run_is_over(wait, life))
                return NULL;
        bool waits_for_more = false;
        for (char **condition = wait->conditions; *condition; condition++) {
                if (g_str_equal(*condition, "stopped") || (g_str_equal(*condition, "exited") && is_cleaned_up(wait, life)))
                        return *condition;
                waits_for_more |= may_still_come(wait, life, *condition);
        }
        return waits_for_more ? NULL : "stopped";
}

/* Conditions that a life satisfies while the bound run (if the wait has one) is its current one. */
static const char *met_by_life(const Wait *wait, const Life *life, bool is_commit_of_another_run) {
        if (is_commit_of_another_run)
                return NULL;
        for (char **condition = wait->conditions; *condition; condition++) {
                if (g_str_equal(*condition, "stopped") || g_str_equal(*condition, "exited"))
                        continue;
                if (g_str_equal(*condition, state_to_string(life->state)))
                        return *condition;
                if (life->run_open && g_str_equal(*condition, "ready") && life->ready)
                        return *condition;
                if (life->run_open && g_str_equal(*condition, life->health) && (g_str_equal(*condition, "healthy") || g_str_equal(*condition, "unhealthy")))
                        return *condition;
        }
        return NULL;
}

static void bind(Wait *wait, const Life *life) {
        if (wait->final)
                return;
        if (wait->run == 0 && wait->has_after_run && life->run > wait->after_run)
                wait->run = wait->after_run + 1;
        else if (wait->run == 0 && !wait->has_after_run && life->run_open)
                wait->run = life->run;
}

static const char *find_met(Wait *wait, const Life *life) {
        bind(wait, life);
        if (wait->has_after_run && wait->run == 0 && !wait->final)
                return NULL;
        bool another = wait->run != 0 && wait->run != life->run && (wait->has_run || wait->has_after_run);
        const char *met = wait->final ? NULL : met_by_life(wait, life, another);
        if (!met)
                return met_by_end(wait, life);
        if (!wait->has_run && !wait->has_after_run) /* the run it was bound to may have ended long ago */
                wait->run = life->run;
        return met;
}

static bool is_about_end(const char *condition) {
        return g_str_equal(condition, "stopped") || g_str_equal(condition, "exited");
}

static void give(Wait *wait, const char *met, const Run *finished) {
        bool same = finished && finished->number == wait->run;
        bool going = g_str_equal(met, "removing") || g_str_equal(met, "removed");

        if (wait->final || (going && !wait->has_run && !wait->has_after_run))
                wait->run = 0; /* the last run, whichever that is */
        send_answer(wait, met, is_about_end(met) && same && !wait->final ? finished : NULL);
}

static void unref_element(void *wait) {
        wait_unref(wait);
}

static GPtrArray *copy_list(GPtrArray *list) {
        GPtrArray *copy = g_ptr_array_new_full(list->len, unref_element);

        for (guint i = 0; i < list->len; i++)
                g_ptr_array_add(copy, wait_ref(list->pdata[i]));
        return copy;
}

static void on_change(const Change *change, void *userdata) {
        Waits *waits = userdata;
        GPtrArray *list = g_hash_table_lookup(waits->by_id, change->container->id);

        if (!list || change->operation_changed)
                return;
        /* An answer removes its wait; those that come meanwhile are no concern of this change. */
        g_autoptr(GPtrArray) now = copy_list(list);
        for (guint i = 0; i < now->len; i++) {
                Wait *wait = now->pdata[i];
                if (wait->over || wait->now)
                        continue; /* it has been answered, or is about to be */
                const char *met = change->vanished ? "removed" : find_met(wait, change->now);
                if (change->vanished && !wants(wait, "removed")) {
                        const char *end = find_met(wait, change->now);
                        if (end && is_about_end(end))
                                met = end;
                }
                if (met)
                        give(wait, met, change->run_finished);
        }
}

void waits_look_again(Waits *waits, Container *container) {
        GPtrArray *list = g_hash_table_lookup(waits->by_id, container->id);

        if (!list)
                return;
        g_autoptr(GPtrArray) now = copy_list(list);
        for (guint i = 0; i < now->len; i++) {
                Wait *wait = now->pdata[i];
                const char *met = wait->over || wait->now ? NULL : find_met(wait, &container->life);
                if (met)
                        give(wait, met, NULL);
        }
}

/* --- beginning --- */

static int on_now(sd_event_source *source, void *userdata) {
        Wait *wait = userdata;

        send_answer(wait, wait->met, NULL);
        return 0;
}

/* No end is told, so there is no code: only the run to go on with. */
static int on_deadline(sd_event_source *source, guint64 usec, void *userdata) {
        Wait *wait = userdata;
        Container *container = registry_get(wait->waits->registry, wait->id);
        g_autoptr(GVariant) details = g_variant_ref_sink(g_variant_new("a{sv}", NULL));
        WaitAnswer answer = {.container = wait->id, .condition = "timeout", .run = wait->final && container ? container->life.run : wait->run, .exit_code = -1, .details = details};

        if (wait->now)
                return 0;
        unlink_wait(wait);
        wait->done(&answer, NULL, wait->userdata);
        wait_unref(wait);
        return 0;
}

static bool check_options(const WaitOptions *options, Container *container, GError **error) {
        State state;

        if (options->has_run && options->run != 0 && options->has_after_run)
                return error_set(error, CONBUS_ERROR_INVALID_ARGS, "the options run and after-run exclude one another; run is for one run exactly, after-run for the first one above it");
        if (!options->conditions || !options->conditions[0])
                return error_set(error, CONBUS_ERROR_INVALID_ARGS, "the list of conditions is empty; give a state, ready, healthy, unhealthy or removed");
        for (const char *const *condition = options->conditions; *condition; condition++) {
                bool health = is_tied(*condition) && !g_str_equal(*condition, "ready");
                if (!is_tied(*condition) && !g_str_equal(*condition, "removed") && !state_from_string(*condition, &state))
                        return error_set(error, CONBUS_ERROR_INVALID_ARGS, "\"%s\" is no condition; conditions are the nine states, ready, healthy, unhealthy and removed", *condition);
                if (health && container && !container_has_health(container))
                        return error_set(error, CONBUS_ERROR_NO_HEALTH_CHECK, "wait for %s to be %s: it has no health check", container_title(container), *condition);
        }
        return true;
}

static bool is_ends_alone(const WaitOptions *options) {
        for (const char *const *condition = options->conditions; *condition; condition++)
                if (!is_about_end(*condition))
                        return false;
        return true;
}

static Wait *wait_new(Waits *waits, const char *id, const WaitOptions *options, WaitDone done, void *userdata) {
        Wait *wait = g_new0(Wait, 1);

        wait->n_references = 1;
        wait->waits = waits;
        wait->id = g_strdup(id);
        wait->conditions = g_strdupv((char **) options->conditions);
        wait->has_run = options->has_run && options->run != 0;
        wait->has_after_run = options->has_after_run;
        wait->after_run = options->after_run;
        wait->final = options->final;
        wait->run = wait->has_run ? options->run : options->bound;
        wait->done = done;
        wait->userdata = userdata;
        return wait;
}

static void link_wait(Wait *wait, const char *met, guint64 timeout_usec) {
        Waits *waits = wait->waits;
        GPtrArray *list = g_hash_table_lookup(waits->by_id, wait->id);
        int r = 0;

        if (!list) {
                list = g_ptr_array_new();
                g_hash_table_insert(waits->by_id, g_strdup(wait->id), list);
        }
        g_ptr_array_add(list, wait);
        waits->n_waits++;
        if (met) {
                wait->met = met;
                r = sd_event_add_defer(waits->event, &wait->now, on_now, wait);
        } else if (timeout_usec != UINT64_MAX)
                r = sd_event_add_time(waits->event, &wait->timer, CLOCK_BOOTTIME, clock_boottime_in(timeout_usec), 1000, on_deadline, wait);
        g_assert(r >= 0);
}

/* A container that is gone: only records can answer. */
static const char *met_by_records(Wait *wait, GError **error) {
        Store *store = registry_store(wait->waits->registry);
        g_autoptr(Run) run = NULL;

        bool read = wait->final           ? store_get_run(store, wait->id, 0, &run, error) :
                    wait->has_after_run ? store_get_run_after(store, wait->id, wait->after_run, &run, error) :
                                          store_get_run(store, wait->id, wait->run, &run, error);
        if (!read)
                return NULL;
        if (!run || (wait->final && !is_late_enough(wait, run->number))) {
                error_set(error, wait->has_run ? CONBUS_ERROR_NO_SUCH_RUN : CONBUS_ERROR_NO_SUCH_CONTAINER, "no container has the id \"%s\", and no record of such a run is kept", wait->id);
                return NULL;
        }
        wait->run = run->number;
        return wants(wait, "removed") ? "removed" : end_condition(wait);
}

static const char *met_at_once(Wait *wait, Container *container, const WaitOptions *options, GError **error) {
        const Life *life = &container->life;
        g_autoptr(Run) record = NULL;

        if (wait->final) {
                if (life->run == 0 && !wait->has_after_run && !wait->has_run) {
                        error_set(error, CONBUS_ERROR_NEVER_STARTED, "wait for %s: it was never started", container_title(container));
                        return NULL;
                }
                const char *met = met_by_end(wait, life);
                if (met)
                        wait->run = life->run;
                return met;
        }
        if (wait->has_after_run)
                return NULL; /* what is true already does not count, unless it is of a run above it (bind_after) */
        if (!wait->has_run) {
                if (life->run == 0 && is_ends_alone(options)) {
                        error_set(error, CONBUS_ERROR_NEVER_STARTED, "wait for %s: it was never started", container_title(container));
                        return NULL;
                }
                wait->run = options->bound ? options->bound : life->run;
        } else if (wait->run < life->run) {
                if (!record_has_ended(wait, &record)) {
                        error_set(error, CONBUS_ERROR_NO_SUCH_RUN, "wait for run %" G_GUINT64_FORMAT " of %s: its record is no longer kept", wait->run, container_title(container));
                        return NULL;
                }
        }
        return find_met(wait, life);
}

/* after-run: the first run above the number may be there already, ended or open; of those that have ended, the first whose record is kept. What is true of it counts, as it would if the call had come before. */
static const char *bind_after(Wait *wait, Container *container, GError **error) {
        g_autoptr(Run) record = NULL;

        if (!wait->has_after_run || container->life.run <= wait->after_run || !store_get_run_after(registry_store(wait->waits->registry), wait->id, wait->after_run, &record, error))
                return NULL;
        wait->run = record ? record->number : container->life.run;
        return find_met(wait, &container->life);
}

Wait *wait_begin(Waits *waits, const char *id, const WaitOptions *options, WaitDone done, void *userdata, GError **error) {
        Container *container = registry_get(waits->registry, id);
        GError *failure = NULL;

        if (!check_options(options, container, error))
                return NULL;
        Wait *wait = wait_new(waits, id, options, done, userdata);
        const char *met = container ? met_at_once(wait, container, options, &failure) : met_by_records(wait, &failure);
        if (!failure && !met && container && !wait->final)
                met = bind_after(wait, container, &failure);
        if (failure) {
                g_propagate_error(error, failure);
                wait_unref(wait);
                return NULL;
        }
        link_wait(wait, met, options->timeout_usec);
        return wait;
}
