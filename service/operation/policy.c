/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Restart policies (behaviour.md section 10). The decision is planned in the commit that enters `exited`, so that no reader ever sees a container between its end and its plan; the timer of the plan submits an ordinary Start.
 * Back-off: restart-sec-usec (100 ms), doubling to backoff_max_usec, back to the first after a run that lasted backoff_reset_usec. */

#include "operation/internal.h"
#include "base/clock.h"
#include "base/log.h"

#define FIRST_BACKOFF_USEC (100 * G_TIME_SPAN_MILLISECOND)

struct Restart {
        Engine *engine;
        Container *container; /* owns this */
        sd_event_source *timer;
};

static bool decide(Container *container, const Life *life, const char **ret_reason) {
        Policy policy = container_policy(container);
        guint32 max = config_uint32(container->config, "restart-max", 0);

        *ret_reason = "managed-by-unit";
        if (*life->managed_by)
                return false;
        *ret_reason = "policy";
        if (g_str_equal(life->health_action, "restart") && !life->stopped_by_user) {
                *ret_reason = "health-action";
                return true;
        }
        if (life->stopped_by_user) {
                *ret_reason = "stopped-by-user";
                return false;
        }
        if (life->run == 0 || life->run_open || life->start_usec == 0 || life->reason == REASON_BOOT) {
                *ret_reason = "no-end-seen";
                return false;
        }
        if (policy == POLICY_ON_FAILURE) {
                if (life->exit_code == 0)
                        return false;
                if (max != 0 && life->restart_count >= max) {
                        *ret_reason = "retries-exhausted";
                        return false;
                }
                return true;
        }
        return policy == POLICY_ALWAYS || policy == POLICY_UNLESS_STOPPED;
}

bool policy_should_restart(Container *container, const char **ret_reason) {
        return decide(container, &container->life, ret_reason);
}

static guint64 next_backoff(Container *container, const Settings *settings, const Life *life) {
        guint64 first = config_uint64(container->config, "restart-sec-usec", FIRST_BACKOFF_USEC);
        bool lasted = life->start_usec != 0 && life->finish_usec >= clock_add_usec(life->start_usec, settings->backoff_reset_usec);

        if (life->backoff_usec == 0 || lasted)
                return first;
        return MAX(first, MIN(clock_add_usec(life->backoff_usec, life->backoff_usec), settings->backoff_max_usec));
}

static void plan(Engine *engine, Container *container, Life *life) {
        life->backoff_usec = next_backoff(container, &engine->settings, life);
        life->next_restart_usec = clock_add_usec(clock_realtime_usec(), MAX(life->backoff_usec, 1));
}

static bool attempts_left(Container *container, const Life *life) {
        guint32 max = config_uint32(container->config, "restart-max", 0);

        return container_policy(container) != POLICY_NO && (max == 0 || life->restart_count < max);
}

void policy_plan(Engine *engine, Container *container, Commit *commit, bool failed_attempt) {
        Life *life = &commit->life;
        const char *why;
        /* Only a run that the policy opened has a count; the service may have died in the middle of its launch. */
        bool own = *life->managed_by == '\0' && (failed_attempt || (life->result == RESULT_START_FAILED && life->restart_count > 0));
        bool owed = g_str_equal(life->health_action, "restart"); /* until it runs: a service that dies in the middle of the launch leaves it to the next one */
        bool again = own && !owed && life->start_usec == 0 ? !life->stopped_by_user && attempts_left(container, life) : decide(container, life, &why);

        if (!owed || !again)
                life->health_action = "";
        life->next_restart_usec = 0;
        if (again && !engine->shutdown && !engine->goes_down)
                plan(engine, container, life);
}

void policy_attempt_failed(Operation *operation) {
        Container *container = operation->container;
        g_autoptr(GError) error = NULL;

        if (container->life.next_restart_usec == 0 || container->life.state != STATE_EXITED || container->restart == NULL || container->restart->timer)
                return;
        g_autoptr(Commit) commit = commit_new(container, NULL);
        commit->life.restart_count++;
        commit->life.next_restart_usec = 0;
        if (attempts_left(container, &commit->life))
                plan(operation->engine, container, &commit->life);
        if (!commit_apply(commit, &error))
                log_error("plan another restart of %s: %s", container_title(container), error->message);
        policy_arm(operation->engine, container);
}

static int on_due(sd_event_source *source, guint64 usec, void *userdata) {
        struct Restart *restart = userdata;
        g_autoptr(GError) error = NULL;

        g_clear_pointer(&restart->timer, sd_event_source_disable_unref);
        if (restart->engine->shutdown || restart->engine->goes_down)
                return 0;
        g_autoptr(GVariant) options = g_variant_ref_sink(g_variant_new_parsed("{'recursive': <true>}"));
        Operation *operation = operation_submit(restart->engine, restart->container, VERB_START, options, NULL, NULL, NULL, &error);
        if (!operation) {
                log_warning("restart by policy: %s", error->message);
                policy_arm_after(restart->engine, restart->container, G_USEC_PER_SEC);
                return 0;
        }
        operation->internal_restart = true;
        operation->number = (gint64) restart->container->life.next_restart_usec;
        return 0;
}

static struct Restart *restart_of(Engine *engine, Container *container) {
        if (!container->restart) {
                container->restart = g_new0(struct Restart, 1);
                container->restart->engine = engine;
                container->restart->container = container;
        }
        return container->restart;
}

void policy_arm_after(Engine *engine, Container *container, guint64 usec) {
        struct Restart *restart = restart_of(engine, container);

        g_clear_pointer(&restart->timer, sd_event_source_disable_unref);
        int r = sd_event_add_time(engine->event, &restart->timer, CLOCK_BOOTTIME, clock_boottime_in(usec), 1000, on_due, restart);
        g_assert(r >= 0);
}

void policy_arm(Engine *engine, Container *container) {
        guint64 now = clock_realtime_usec(), due = container->life.next_restart_usec;

        if (due == 0) {
                if (container->restart)
                        g_clear_pointer(&container->restart->timer, sd_event_source_disable_unref);
                return;
        }
        /* A wall clock that was set back must not delay it for longer than the back-off was. */
        policy_arm_after(engine, container, due > now ? MIN(due - now, MAX(container->life.backoff_usec, 1)) : 1);
}

void policy_forget(Container *container) {
        if (!container->restart)
                return;
        g_clear_pointer(&container->restart->timer, sd_event_source_disable_unref);
        g_clear_pointer(&container->restart, g_free);
}
