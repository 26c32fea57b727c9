/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The health of a running container: when to check, what a result means, what follows from it. Results stay in memory; a commit (store, signals, event) is made only when the status changes.
 *
 * One timer per container in the loop's own heap; the next check is due an interval after the previous end, so that checks of one container never overlap. At most CHECKS_MAX run at once over all containers, the others wait in line: hundreds that are due
 * together are spread instead of forking together. */

#include "operation/health.h"
#include "operation/check.h"
#include "operation/crash-point.h"
#include "operation/health-log.h"
#include "operation/internal.h"
#include "base/clock.h"
#include "base/log.h"

#define CHECKS_MAX 8
#define RETRY_TROUBLE_USEC G_USEC_PER_SEC

struct Waiter {
        HealthChecked done;
        void *userdata;
};

struct Health {
        Engine *engine;
        Container *container; /* owns this */
        sd_event_source *timer;
        Check *check;
        bool was_healthy; /* it was healthy when it was paused */
        bool in_line, active, startup; /* startup: only the startup test runs until it has passed */
        guint32 streak, startup_failures, startup_successes, troubles;
        guint64 last_usec, since_usec; /* since: start of the regular check's start period */
        HealthLog log;
        GArray *waiters; /* of struct Waiter */
};

static void schedule(struct Health *health, guint64 usec);

static GVariant *health_config(Container *container) {
        GVariant *config = config_value(container->config, "health");

        return config ? config : g_variant_ref_sink(g_variant_new("a{sv}", NULL));
}

void health_settings(Container *container, HealthSettings *ret) {
        g_autoptr(GVariant) config = health_config(container);

        *ret = (HealthSettings) {
                .interval_usec = config_uint64(config, "interval-usec", 30 * G_USEC_PER_SEC),
                .timeout_usec = config_uint64(config, "timeout-usec", 30 * G_USEC_PER_SEC),
                .start_period_usec = config_uint64(config, "start-period-usec", 0),
                .retries = MAX(config_uint32(config, "retries", 3), 1),
                .on_failure = g_intern_string(config_string(config, "on-failure", "none")),
                .startup_interval_usec = config_uint64(config, "startup-interval-usec", 30 * G_USEC_PER_SEC),
                .startup_timeout_usec = config_uint64(config, "startup-timeout-usec", 30 * G_USEC_PER_SEC),
                .startup_retries = config_uint32(config, "startup-retries", 0),
                .startup_successes = MAX(config_uint32(config, "startup-successes", 0), 1),
                .log_count = config_uint32(config, "log-count", 5),
                .log_size = config_uint32(config, "log-size", 500),
                .log_destination = g_intern_string(config_string(config, "log-destination", "local")),
        };
}

const char *health_status(Container *container) {
        return container_has_health(container) ? container->life.health : "";
}

guint32 health_streak(Container *container) {
        return container->health ? container->health->streak : 0;
}

guint64 health_last_check_usec(Container *container) {
        return container->health ? container->health->last_usec : 0;
}

GPtrArray *health_log(Container *container) {
        GPtrArray *list = g_ptr_array_new();

        for (GList *link = container->health ? container->health->log.entries.head : NULL; link; link = link->next)
                g_ptr_array_add(list, link->data);
        return list;
}

char *health_last_output(Container *container) {
        HealthEntry *entry = container->health ? g_queue_peek_head(&container->health->log.entries) : NULL;

        return g_strdup(entry ? entry->output : "");
}

/* The status changes with its event and the action that it orders; `healthy` makes a container of notify=healthy ready in the same commit, and takes an order back that could not be followed. */
static void set_status(struct Health *health, const char *status, const char *action) {
        Container *container = health->container;
        GVariantDict details;
        g_autoptr(GError) error = NULL;

        if (g_str_equal(container->life.health, status))
                return;
        g_autoptr(Commit) commit = commit_new(container, NULL);
        life_set_string(&commit->life.health, status);
        if (action)
                commit->life.health_action = action;
        if (g_str_equal(status, "healthy") && commit->life.run_open && g_str_equal(config_string(container->config, "notify", "started"), "healthy"))
                commit->life.ready = true;
        g_variant_dict_init(&details, NULL);
        g_variant_dict_insert(&details, "status", "s", status);
        commit_event(commit, "health-status", g_variant_dict_end(&details));
        if (!commit_apply(commit, &error))
                log_error("health of %s: %s", container_title(container), error->message);
}

/* --- actions --- */

static void submit_action(struct Health *health, Verb verb, GVariant *options, bool by_user) {
        g_autoptr(GError) error = NULL;
        Operation *operation = operation_submit(health->engine, health->container, verb, options, NULL, NULL, NULL, &error);

        if (!operation)
                log_error("health action on %s: %s", container_title(health->container), error->message);
        else {
                operation->not_by_user = !by_user;
                operation->number = (gint64) health->container->life.run;
        }
}

/* What has been ordered is in the store, so that a service that dies before it is done leaves it to the next one. */
static void act(struct Health *health) {
        const char *action = health->container->life.health_action;

        crash_point();
        if (!*action)
                return;
        log_info("%s is unhealthy; action: %s", container_title(health->container), action);
        if (g_str_equal(action, "kill"))
                submit_action(health, VERB_KILL, g_variant_new_parsed("{'signal': <int32 9>}"), false);
        else
                submit_action(health, VERB_STOP, NULL, g_str_equal(action, "stop"));
}

static void restart_by_health(struct Health *health) {
        g_autoptr(GError) error = NULL;
        g_autoptr(Commit) commit = commit_new(health->container, NULL);

        commit->life.health_action = "restart";
        if (commit_apply(commit, &error))
                act(health);
        else
                log_error("order the restart of %s: %s", container_title(health->container), error->message);
}

/* --- what a result means --- */

static void count_startup(struct Health *health, const HealthSettings *settings, bool success) {
        if (g_str_equal(health->container->life.health, "suspended"))
                set_status(health, "starting", NULL);
        if (success) {
                health->startup_failures = 0;
                if (++health->startup_successes < settings->startup_successes)
                        return;
                health->startup = false;
                health->since_usec = clock_boottime_usec();
                schedule(health, 0);
                return;
        }
        health->startup_successes = 0;
        health->startup_failures++;
        if (settings->startup_retries > 0 && health->startup_failures >= settings->startup_retries) {
                health->startup_failures = 0;
                restart_by_health(health);
        }
}

static void count_regular(struct Health *health, const HealthSettings *settings, bool success) {
        Container *container = health->container;

        if (success) {
                health->streak = 0;
                set_status(health, "healthy", "");
                return;
        }
        bool in_start_period = clock_boottime_usec() < clock_add_usec(health->since_usec, settings->start_period_usec) && !g_str_equal(container->life.health, "healthy");
        if (in_start_period) {
                if (g_str_equal(container->life.health, "suspended"))
                        set_status(health, "starting", NULL);
                return;
        }
        health->streak++;
        if (health->streak >= settings->retries) {
                bool turned = !g_str_equal(container->life.health, "unhealthy");
                set_status(health, "unhealthy", g_str_equal(settings->on_failure, "none") ? "" : settings->on_failure);
                if (turned)
                        act(health);
        } else if (g_str_equal(container->life.health, "suspended"))
                set_status(health, health->was_healthy ? "healthy" : "starting", NULL);
}

static void answer_waiters(struct Health *health, const HealthEntry *entry, const GError *error) {
        g_autoptr(GArray) waiters = health->waiters;

        health->waiters = g_array_new(FALSE, FALSE, sizeof(struct Waiter));
        for (guint i = 0; i < waiters->len; i++) {
                struct Waiter *waiter = &g_array_index(waiters, struct Waiter, i);
                waiter->done(health->container, entry, error, waiter->userdata);
        }
}

/* --- running checks --- */

static void begin_next_in_line(Engine *engine);

static void release_slot(Engine *engine) {
        engine->n_checks--;
        begin_next_in_line(engine);
}

static void evaluate(struct Health *health, const HealthSettings *settings, int code) {
        /* Trouble of the runtime is tried again once; the second in a row is a failure. */
        if (code == 125 && health->troubles++ == 0) {
                schedule(health, RETRY_TROUBLE_USEC);
                return;
        }
        if (code != 125)
                health->troubles = 0;
        guint64 interval = health->startup ? settings->startup_interval_usec : settings->interval_usec;
        if (interval > 0)
                schedule(health, interval);
        if (health->startup)
                count_startup(health, settings, code == 0);
        else
                count_regular(health, settings, code == 0);
}

static void on_checked(const CheckResult *result, void *userdata) {
        struct Health *health = userdata;
        g_autoptr(Container) container = container_ref(health->container);
        Engine *engine = health->engine;
        g_autoptr(GError) error = NULL;
        HealthSettings settings;

        health->check = NULL;
        health_settings(container, &settings);
        health_log_add(&health->log, container, &settings, result);
        health->last_usec = result->end_usec;
        if (container->life.state == STATE_RUNNING)
                evaluate(health, &settings, result->code);
        if (result->code == -1)
                error_set(&error, CONBUS_ERROR_HEALTH_CHECK_TIMEOUT, "check %s: it did not end in its time and was killed", container_title(container));
        if (container->health == health)
                answer_waiters(health, g_queue_peek_head(&health->log.entries), error);
        release_slot(engine);
}

static void begin_check(struct Health *health) {
        Container *container = health->container;
        g_autoptr(GVariant) config = health_config(container);
        g_autofree const char **test = config_strv(config, health->startup ? "startup-test" : "test");
        g_autoptr(GError) error = NULL;
        HealthSettings settings;

        health_settings(container, &settings);
        health->engine->n_checks++;
        health->check = check_begin(health->engine, container, test, health->startup ? settings.startup_timeout_usec : settings.timeout_usec, settings.log_size, on_checked, health, &error);
        if (health->check)
                return;
        CheckResult failed = {.start_usec = clock_realtime_usec(), .end_usec = clock_realtime_usec(), .code = 125, .output = error->message};
        on_checked(&failed, health);
}

static void begin_next_in_line(Engine *engine) {
        while (engine->n_checks < CHECKS_MAX) {
                struct Health *health = g_queue_pop_head(&engine->checks_waiting);
                if (!health)
                        return;
                health->in_line = false;
                if (health->active && !health->check && health->container->life.state == STATE_RUNNING)
                        begin_check(health);
        }
}

static void want_check(struct Health *health) {
        if (health->check || health->in_line || !health->active)
                return;
        g_clear_pointer(&health->timer, sd_event_source_disable_unref);
        health->in_line = true;
        g_queue_push_tail(&health->engine->checks_waiting, health);
        begin_next_in_line(health->engine);
}

static int on_due(sd_event_source *source, guint64 usec, void *userdata) {
        struct Health *health = userdata;

        g_clear_pointer(&health->timer, sd_event_source_disable_unref);
        want_check(health);
        return 0;
}

static void schedule(struct Health *health, guint64 usec) {
        g_clear_pointer(&health->timer, sd_event_source_disable_unref);
        if (!health->active)
                return;
        int r = sd_event_add_time(health->engine->event, &health->timer, CLOCK_BOOTTIME, clock_boottime_in(usec), 1000, on_due, health);
        g_assert(r >= 0);
}

/* --- the life of the container --- */

static struct Health *health_of(Engine *engine, Container *container) {
        if (!container->health) {
                container->health = g_new0(struct Health, 1);
                container->health->engine = engine;
                container->health->container = container;
                container->health->waiters = g_array_new(FALSE, FALSE, sizeof(struct Waiter));
                health_log_init(&container->health->log);
        }
        return container->health;
}

static bool has_startup(Container *container) {
        g_autoptr(GVariant) config = health_config(container);
        g_autofree const char **test = config_strv(config, "startup-test");

        return test && test[0];
}

/* With interval 0 there is no timer at all: Check alone. */
static void schedule_first(struct Health *health) {
        HealthSettings settings;

        health_settings(health->container, &settings);
        if ((health->startup ? settings.startup_interval_usec : settings.interval_usec) > 0)
                schedule(health, 0);
}

static void set_since(struct Health *health) {
        guint64 now = clock_boottime_usec(), age = clock_realtime_usec() - MIN(health->container->life.start_usec, clock_realtime_usec());

        health->since_usec = now - MIN(age, now);
}

void health_started(Engine *engine, Container *container) {
        if (!container_has_health(container))
                return;
        struct Health *health = health_of(engine, container);

        health_log_clear(&health->log);
        health->streak = 0;
        health->last_usec = 0;
        set_status(health, "starting", NULL);
        health->active = container->life.state == STATE_RUNNING;
        health->startup = has_startup(container);
        health->startup_failures = health->startup_successes = health->troubles = 0;
        set_since(health);
        schedule_first(health);
}

/* A place in the interval that is its own, for one whose last check nobody remembers: after a crash hundreds must not be due together, then and at each later interval. */
static guint64 place_in(const Container *container, guint64 interval_usec) {
        guint32 scattered = g_str_hash(container->id) * 2654435761u; /* of Fibonacci hashing: ids that are alike are far apart */

        return (guint64) ((double) scattered / (1ull << 32) * (double) interval_usec);
}

/* The rhythm goes on where the last service left it; what has no result yet is not kept waiting. */
static void schedule_adopted(struct Health *health) {
        guint64 interval, now = clock_realtime_usec(), due;
        HealthSettings settings;

        health_settings(health->container, &settings);
        interval = health->startup ? settings.startup_interval_usec : settings.interval_usec;
        if (interval == 0)
                return;
        due = clock_add_usec(health->last_usec, interval);
        if (health->last_usec != 0)
                schedule(health, due > now ? MIN(due - now, interval) : 0);
        else
                schedule(health, g_str_equal(health->container->life.health, "healthy") || g_str_equal(health->container->life.health, "unhealthy") ? place_in(health->container, interval) : 0);
}

static char *memory_path(Engine *engine, Container *container) {
        return paths_state_of(engine->paths, container->id, "health");
}

void health_save(Container *container) {
        struct Health *health = container->health;

        if (!health || !container->life.run_open)
                return;
        g_autofree char *path = memory_path(health->engine, container);
        health_log_save(&health->log, path, health->streak);
}

void health_adopt(Engine *engine, Container *container) {
        if (!container_has_health(container))
                return;
        struct Health *health = health_of(engine, container);
        g_autofree char *path = memory_path(engine, container);
        bool unknown = !*container->life.health || g_str_equal(container->life.health, "stopped");

        health_log_load(&health->log, path, &health->streak);
        const HealthEntry *last = g_queue_peek_head(&health->log.entries);
        health->last_usec = last ? last->end_usec : 0;
        if (unknown) /* the service ended between the start and its first word on it */
                set_status(health, "starting", NULL);
        health->active = container->life.state == STATE_RUNNING;
        health->startup = has_startup(container) && g_str_equal(container->life.health, "starting");
        set_since(health);
        schedule_adopted(health);
        act(health);
}

void health_adopt_ended(Engine *engine, Container *container) {
        if (container_has_health(container))
                (void) health_of(engine, container);
}

void health_adopt_rest(Engine *engine, Container *container) {
        if (container_has_health(container) && *container->life.health)
                set_status(health_of(engine, container), "stopped", NULL);
}

static void end_check(struct Health *health, ConbusError code, const char *why) {
        g_autoptr(GError) error = NULL;

        g_clear_pointer(&health->timer, sd_event_source_disable_unref);
        if (health->in_line)
                g_queue_remove(&health->engine->checks_waiting, health);
        health->in_line = false;
        if (health->check) {
                check_abandon(g_steal_pointer(&health->check));
                release_slot(health->engine);
        }
        error_set(&error, code, "check %s: %s", container_title(health->container), why);
        answer_waiters(health, NULL, error);
}

void health_ended(Container *container) {
        struct Health *health = container->health;

        if (!health)
                return;
        health->active = false;
        end_check(health, CONBUS_ERROR_NOT_RUNNING, "it ended meanwhile");
        set_status(health, "stopped", NULL);
}

void health_paused(Container *container) {
        struct Health *health = container->health;

        if (!health)
                return;
        health->active = false;
        health->was_healthy = g_str_equal(container->life.health, "healthy");
        end_check(health, CONBUS_ERROR_INVALID_STATE, "it was paused meanwhile");
        set_status(health, "suspended", NULL);
}

void health_resumed(Container *container) {
        struct Health *health = container->health;

        if (!health)
                return;
        health->active = container->life.state == STATE_RUNNING;
        schedule_first(health);
}

void health_forget(Container *container) {
        struct Health *health = container->health;

        if (!health)
                return;
        health->active = false;
        end_check(health, CONBUS_ERROR_CANCELLED, "the container goes");
        container->health = NULL;
        health_log_clear(&health->log);
        g_array_unref(health->waiters);
        g_free(health);
}

bool health_check(Engine *engine, Container *container, HealthChecked done, void *userdata, GError **error) {
        State state = container->life.state;
        struct Waiter waiter = {.done = done, .userdata = userdata};

        if (!container_has_health(container))
                return error_set(error, CONBUS_ERROR_NO_HEALTH_CHECK, "check %s: it has no health check", container_title(container));
        if (state == STATE_REMOVING)
                return error_set(error, CONBUS_ERROR_REMOVED, "check %s: it is being removed", container_title(container));
        if (state == STATE_CREATED || state == STATE_STOPPED || state == STATE_EXITED)
                return error_set(error, CONBUS_ERROR_NOT_RUNNING, "check %s: nothing of it runs", container_title(container));
        if (state != STATE_RUNNING)
                return error_set(error, CONBUS_ERROR_INVALID_STATE, "check %s: it is %s; possible when it is running", container_title(container), state_to_string(state));
        struct Health *health = health_of(engine, container);
        g_array_append_val(health->waiters, waiter);
        health->active = true;
        schedule(health, 0); /* a fresh turn of the loop: the answer never comes before this returns */
        return true;
}

void health_check_forget(Container *container, void *userdata) {
        GArray *waiters = container->health ? container->health->waiters : NULL;

        for (guint i = waiters ? waiters->len : 0; i > 0; i--)
                if (g_array_index(waiters, struct Waiter, i - 1).userdata == userdata)
                        g_array_remove_index(waiters, i - 1);
}
