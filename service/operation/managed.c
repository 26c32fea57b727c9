/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Containers whose lifecycle a service of the service manager owns, as conbus-container@.service does. Its main process takes charge with StartWith's option `managed`; that it is this unit's main process is what the manager says, nothing that the caller could.
 * It lasts until the unit is inactive or has failed, in the row and over restarts of this service. Meanwhile the restart policy rests, since Restart= of the unit decides, and what a client wants of the life of the container becomes a job of the manager's on the unit.
 *
 * Such an operation waits in the container's queue for its turn, like any other, and then leaves it: what the unit's own processes ask for in turn, a stop and a start, needs that queue. Whatever comes from within the unit goes directly, and so does what says force-direct. */

#include "operation/internal.h"
#include "base/clock.h"
#include "base/log.h"
#include "runtime/services.h"
#include <string.h>

#define RETRY_USEC G_USEC_PER_SEC

struct Managed {
        Engine *engine;
        Container *container; /* owns this */
        ServiceWatch *watch;
        sd_event_source *retry;
        GVariant *wish; /* a{sv} of the latest stop by a client, for the stop by the unit that follows; NULL */
};

/* An operation that waits for a job on a unit; in operation->data. */
struct ByUnit {
        char *unit;
        guint64 begun_usec;
};

static struct Managed *managed_of(Engine *engine, Container *container) {
        if (!container->managed) {
                container->managed = g_new0(struct Managed, 1);
                *container->managed = (struct Managed) {.engine = engine, .container = container};
        }
        return container->managed;
}

void managed_forget(Container *container) {
        struct Managed *managed = g_steal_pointer(&container->managed);

        if (!managed)
                return;
        service_watch_free(managed->watch);
        g_clear_pointer(&managed->retry, sd_event_source_disable_unref);
        g_clear_pointer(&managed->wish, g_variant_unref);
        g_free(managed);
}

/* --- until the unit ends --- */

static bool commit_owner(Container *container, const char *unit, Actor *actor, GError **error) {
        g_autoptr(Commit) commit = commit_new(container, actor);

        life_set_string(&commit->life.managed_by, unit);
        if (*unit) { /* whatever was to start it */
                commit->life.next_restart_usec = 0;
                commit->life.boot_due = false;
        }
        return commit_apply(commit, error);
}

/* It is in nobody's charge any more. */
static bool let_go(Container *container, Actor *actor, GError **error) {
        if (!commit_owner(container, "", actor, error))
                return false;
        managed_forget(container);
        return true;
}

static void on_unit_ended(void *userdata);

static int on_retry(sd_event_source *source, guint64 usec, void *userdata) {
        struct Managed *managed = userdata;

        g_clear_pointer(&managed->retry, sd_event_source_disable_unref);
        on_unit_ended(managed);
        return 0;
}

static void on_unit_ended(void *userdata) {
        struct Managed *managed = userdata;
        Container *container = managed->container;
        Engine *engine = managed->engine;
        g_autoptr(GError) error = NULL;

        g_clear_pointer(&managed->watch, service_watch_free);
        if (let_go(container, NULL, &error)) {
                shutdown_look_again(engine);
                return;
        }
        log_error("%s is in nobody's charge any more, but this cannot be recorded: %s", container_title(container), error->message);
        int r = sd_event_add_time(engine->event, &managed->retry, CLOCK_BOOTTIME, clock_boottime_in(RETRY_USEC), 1000, on_retry, managed);
        g_assert(r >= 0);
}

static void watch(Engine *engine, Container *container) {
        struct Managed *managed = managed_of(engine, container);

        g_clear_pointer(&managed->retry, sd_event_source_disable_unref);
        g_clear_pointer(&managed->watch, service_watch_free);
        managed->watch = service_watch_new(engine->units, container->life.managed_by, on_unit_ended, managed);
}

void managed_adopt(Engine *engine, Container *container) {
        g_autoptr(GError) error = NULL;

        if (!*container->life.managed_by)
                return;
        if (engine->units)
                watch(engine, container);
        else if (!let_go(container, NULL, &error))
                log_error("%s: %s", container_title(container), error->message);
}

bool managed_release(Operation *operation) {
        Container *container = operation->container;
        GError *error = NULL;

        if (!*container->life.managed_by || !option_bool(operation, "force-direct"))
                return true;
        if (let_go(container, operation->actor, &error))
                return true;
        operation_fail(operation, error);
        return false;
}

/* --- taking charge --- */

/* A unit owns one container at most: another one was its own before it was renamed, perhaps. */
static void release_others(Operation *operation, const char *unit) {
        g_autoptr(GPtrArray) containers = registry_list(operation->engine->registry);

        for (guint i = 0; i < containers->len; i++) {
                Container *other = containers->pdata[i];
                g_autoptr(GError) error = NULL;
                if (other != operation->container && g_str_equal(other->life.managed_by, unit) && !let_go(other, NULL, &error))
                        log_error("%s: %s", container_title(other), error->message);
        }
}

static void take_charge(Operation *operation) {
        Container *container = operation->container;
        const char *unit = operation->actor->unit;
        GError *error = NULL;

        if (*container->life.managed_by && !g_str_equal(container->life.managed_by, unit)) {
                g_autofree char *why = g_strdup_printf("%s owns it already; stop that unit first", container->life.managed_by);
                operation_fail_code(operation, CONBUS_ERROR_MANAGED_BY_UNIT, why);
                return;
        }
        if (g_str_equal(container->life.managed_by, unit) && container->managed && container->managed->watch)
                return;
        if (!commit_owner(container, unit, operation->actor, &error)) {
                operation_fail(operation, error);
                return;
        }
        policy_arm(operation->engine, container);
        watch(operation->engine, container);
        release_others(operation, unit);
}

static void on_claim_answer(const ServiceFacts *facts, const GError *error, void *userdata) {
        Operation *operation = userdata;
        const Actor *actor = operation->actor;

        operation->question = NULL;
        if (error)
                operation_fail(operation, g_error_copy(error));
        else if (facts->main_pid != (pid_t) actor->pid) {
                g_autofree char *why = g_strdup_printf("option managed is for the main process of a service, and that of %s is %d, not the caller, %u", actor->unit, (int) facts->main_pid, actor->pid);
                operation_fail_code(operation, CONBUS_ERROR_INVALID_ARGS, why);
        } else
                take_charge(operation);
        operation_continue(operation);
}

void managed_claim(Operation *operation) {
        const Actor *actor = operation->actor;

        if (!operation->engine->units)
                operation_fail_code(operation, CONBUS_ERROR_NOT_SUPPORTED, "option managed needs systemd as the service manager, which does not run here");
        else if (!actor || !g_str_has_suffix(actor->unit, ".service")) {
                g_autofree char *why = g_strdup_printf("option managed is for the main process of a service, and the caller is in \"%s\"", actor ? actor->unit : "");
                operation_fail_code(operation, CONBUS_ERROR_INVALID_ARGS, why);
        } else {
                operation->question = service_ask(operation->engine->units, actor->unit, on_claim_answer, operation);
                return;
        }
        operation_continue(operation);
}

/* --- the unit's own stop --- */

static bool is_from_within(const Operation *operation) {
        const char *unit = operation->container->life.managed_by;

        return *unit && operation->actor && g_str_equal(operation->actor->unit, unit);
}

bool managed_stops_itself(const Operation *operation) {
        return operation->verb == VERB_STOP && operation->engine->units && !operation->asked_unit && !operation->at_shutdown && is_from_within(operation);
}

/* What a client has wished counts where the unit says nothing; and the grace ends while the unit may still stop. */
static void settle_options(Operation *operation, guint64 unit_usec) {
        struct Managed *managed = operation->container->managed;
        guint64 limit = unit_usec == UINT64_MAX ? UINT64_MAX : unit_usec - MIN(unit_usec / 5, 2 * operation->engine->settings.kill_usec), grace = container_stop_timeout(operation->container);
        g_autoptr(GVariant) wish = managed ? g_steal_pointer(&managed->wish) : NULL;
        GVariantDict dict;
        GVariantIter iter;
        const char *key;
        GVariant *value;

        g_variant_dict_init(&dict, wish);
        g_variant_iter_init(&iter, operation->options);
        while (g_variant_iter_loop(&iter, "{&sv}", &key, &value))
                g_variant_dict_insert_value(&dict, key, value);
        (void) g_variant_dict_lookup(&dict, "timeout-usec", "t", &grace);
        g_variant_dict_insert(&dict, "timeout-usec", "t", MIN(grace, limit));
        g_variant_unref(operation->options);
        operation->options = g_variant_ref_sink(g_variant_dict_end(&dict));
}

static void on_stop_answer(const ServiceFacts *facts, const GError *error, void *userdata) {
        Operation *operation = userdata;

        operation->question = NULL;
        if (error)
                log_warning("%s", error->message);
        if (facts && facts->machine_goes_down) {
                operation->engine->goes_down = true;
                operation->at_shutdown = true;
        }
        settle_options(operation, facts ? facts->stop_usec : UINT64_MAX);
        operation_continue(operation);
}

void managed_prepare_stop(Operation *operation) {
        operation->asked_unit = true;
        operation->question = service_ask(operation->engine->units, operation->container->life.managed_by, on_stop_answer, operation);
}

/* --- what goes by the unit --- */

static bool is_removable(Operation *operation) {
        Container *container = operation->container;
        State state = container->life.state;
        g_autoptr(GPtrArray) dependents = container->registry ? registry_dependents(operation->engine->registry, container) : NULL;

        if (!operation->actor || !dependents || state == STATE_REMOVING || (dependents->len > 0 && !option_bool(operation, "dependents")))
                return false;
        return option_bool(operation, "force") || (state != STATE_UNKNOWN && (!state_is_active(state) || state == STATE_INITIALIZED));
}

/* Where the verb has nothing to do, or would be refused, its own steps say so. */
static bool is_for_the_unit(Operation *operation) {
        const Life *life = &operation->container->life;

        switch (operation->verb) {
        case VERB_START:
                return !state_is_active(life->state) && life->state != STATE_UNKNOWN;
        case VERB_STOP:
                return operation->number == 0 || (life->run == (guint64) operation->number && state_is_active(life->state));
        case VERB_RESTART:
                return life->state != STATE_PAUSED && life->state != STATE_UNKNOWN;
        case VERB_REMOVE:
                return is_removable(operation);
        default:
                return false;
        }
}

bool managed_goes_by_unit(Operation *operation) {
        const Engine *engine = operation->engine;

        if (!engine->units || engine->shutdown || engine->goes_down || !*operation->container->life.managed_by || is_from_within(operation))
                return false;
        if (operation->at_shutdown || operation->boot_rule || operation->internal_restart || option_bool(operation, "managed") || option_bool(operation, "force-direct"))
                return false;
        return is_for_the_unit(operation);
}

static void by_unit_free(void *data) {
        struct ByUnit *by_unit = data;

        g_free(by_unit->unit);
        g_free(by_unit);
}

static const char *unit_of(Operation *operation) {
        return ((struct ByUnit *) operation->data)->unit;
}

static void fail_as_job(Operation *operation) {
        const struct ByUnit *by_unit = operation->data;
        const Life *life = &operation->container->life;
        g_autoptr(GError) error = g_steal_pointer(&operation->step_error);
        bool told = *life->error_name && life->error_usec >= by_unit->begun_usec && operation->verb != VERB_STOP;
        int code = told ? error_code_from_name(life->error_name) : -1;
        g_autofree char *why = NULL;

        if (code >= 0)
                why = g_strdup_printf("%s: %s", by_unit->unit, life->error_message);
        else if (g_error_matches(error, CONBUS_ERROR, CONBUS_ERROR_MANAGED_BY_UNIT))
                why = g_strdup_printf("it is managed by its unit, which could not be asked (%s); use systemctl, or the option force-direct to go past it", error->message);
        else
                why = g_strdup_printf("%s; systemctl status %s says more", error->message, by_unit->unit);
        operation_fail_code(operation, code >= 0 ? (ConbusError) code : (ConbusError) error->code, why);
}

static void on_stop_job(Operation *operation) {
        const Life *life = &operation->container->life;

        if (operation->run == 0) {
                stop_keep_down(operation);
        } else if (life->run == operation->run && life->run_open) {
                g_autofree char *why = g_strdup_printf("%s has stopped, yet run %" G_GUINT64_FORMAT " goes on; the option force-direct stops it", unit_of(operation), operation->run);
                operation_fail_code(operation, CONBUS_ERROR_UNIT_FAILED, why);
        } else {
                operation_set_result(operation, g_variant_new("(t)", operation->run));
                operation->await_condition = "exited"; /* the unit may have been quicker than the cleanup */
        }
        operation_continue(operation);
}

static void on_removed(Operation *removal, GVariant *result, const GError *error, void *userdata) {
        Operation *operation = userdata;

        if (error)
                operation_fail(operation, g_error_copy(error));
        else
                operation_set_result(operation, result);
        operation_continue(operation);
}

static void remove_it(Operation *operation) {
        GVariantDict options;
        GError *error = NULL;

        g_variant_dict_init(&options, operation->options);
        g_variant_dict_insert(&options, "force-direct", "b", TRUE); /* the unit has stopped */
        if (operation_submit(operation->engine, operation->container, VERB_REMOVE, g_variant_dict_end(&options), operation->actor, on_removed, operation, &error))
                return;
        operation_fail(operation, error);
        operation_continue(operation);
}

static void on_job(Operation *operation) {
        if (!operation_check_cancelled(operation)) {
                operation_continue(operation);
        } else if (operation->step_error) {
                fail_as_job(operation);
                operation_continue(operation);
        } else if (operation->verb == VERB_STOP) {
                on_stop_job(operation);
        } else if (operation->verb == VERB_REMOVE) {
                remove_it(operation);
        } else {
                operation->run = operation->container->life.run;
                start_set_result(operation);
                operation_continue(operation);
        }
}

static void on_job_done(const GError *error, void *userdata) {
        Operation *operation = userdata;

        operation->unit_job = NULL;
        operation->step_error = error ? g_error_copy(error) : NULL;
        operation_continue(operation);
}

/* A start that is not wanted any more: undone by the unit's stop. */
static void on_cancel(Operation *operation) {
        unit_job_forget(operation->unit_job);
        operation->unit_job = units_run_service(operation->engine->units, SERVICE_JOB_STOP, unit_of(operation), on_job_done, operation);
}

static ServiceJob job_of(const Operation *operation) {
        bool again = operation->verb == VERB_RESTART || (operation->verb == VERB_STOP && operation->not_by_user); /* health's, which restarts */
        return again ? SERVICE_JOB_RESTART : SERVICE_JOB_STOP;
}

static void run_job(Operation *operation, ServiceJob job) {
        g_clear_error(&operation->step_error);
        operation->unit_job = units_run_service(operation->engine->units, job, unit_of(operation), on_job_done, operation);
        if (verb_is_cancellable(operation->verb))
                operation->cancel = on_cancel;
}

/* A unit that waits for its restart would let a start wait, too. */
static void on_start_answer(const ServiceFacts *facts, const GError *error, void *userdata) {
        Operation *operation = userdata;

        operation->question = NULL;
        if (!operation_check_cancelled(operation))
                operation_continue(operation);
        else
                run_job(operation, facts && facts->waits ? SERVICE_JOB_RESTART : SERVICE_JOB_START);
}

static void remember_wish(Operation *operation) {
        struct Managed *managed = managed_of(operation->engine, operation->container);
        static const char *const keys[] = {"timeout-usec", "signal", "reason"};
        GVariantDict wish;

        g_variant_dict_init(&wish, NULL);
        for (size_t i = 0; i < G_N_ELEMENTS(keys); i++) {
                g_autoptr(GVariant) value = g_variant_lookup_value(operation->options, keys[i], NULL);
                if (value)
                        g_variant_dict_insert_value(&wish, keys[i], value);
        }
        g_clear_pointer(&managed->wish, g_variant_unref);
        managed->wish = g_variant_ref_sink(g_variant_dict_end(&wish));
}

static void ask_unit(Operation *operation) {
        struct ByUnit *by_unit;

        if (operation->error) {
                operation_continue(operation);
                return;
        }
        if (!*operation->container->life.managed_by) { /* while its dependents went */
                remove_it(operation);
                return;
        }
        if (operation->free_data)
                operation->free_data(operation->data);
        by_unit = g_new0(struct ByUnit, 1);
        *by_unit = (struct ByUnit) {.unit = g_strdup(operation->container->life.managed_by), .begun_usec = clock_realtime_usec()};
        operation->data = by_unit;
        operation->free_data = by_unit_free;
        operation_then(operation, on_job);
        if (operation->verb == VERB_START) {
                operation->question = service_ask(operation->engine->units, by_unit->unit, on_start_answer, operation);
                return;
        }
        remember_wish(operation);
        run_job(operation, job_of(operation));
}

static void leave_list(Operation *operation) {
        g_ptr_array_remove_fast(operation->engine->by_unit, operation);
        operation_continue(operation);
}

void managed_step(Operation *operation) {
        const Life *life = &operation->container->life;

        operation_leave_queue(operation);
        g_ptr_array_add(operation->engine->by_unit, operation);
        operation_then(operation, leave_list);
        if (operation->run == 0 && life->run_open) /* else that of the submission: a stop before it may have ended it */
                operation->run = life->run;
        if (operation->attachment) {
                operation_fail_code(operation, CONBUS_ERROR_MANAGED_BY_UNIT, "its unit starts it, so nobody can be attached before; attach afterwards, or use the option force-direct");
                operation_continue(operation);
        } else if (operation->verb == VERB_REMOVE) {
                operation_then(operation, ask_unit);
                removal_of_dependents(operation);
        } else
                ask_unit(operation);
}

void managed_forget_operations(Engine *engine) {
        for (guint i = 0; i < engine->by_unit->len; i++) {
                Operation *operation = engine->by_unit->pdata[i];
                operation->done = NULL;
                g_clear_pointer(&operation->unit_job, unit_job_forget);
                g_clear_pointer(&operation->question, service_question_forget);
                operation_unref(operation);
        }
        g_ptr_array_unref(engine->by_unit);
}
