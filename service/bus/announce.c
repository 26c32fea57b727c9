/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Changes become signals. One PropertiesChanged for each interface with exactly the properties that differ, then StateChanged, RunStarted or RunFinished, ReadyChanged and StatusChanged, then Event; at a removal Event is the last before InterfacesRemoved. */

#include "bus/announce.h"
#include "bus/discreet.h"
#include "bus/events.h"
#include "base/log.h"
#include "container-interface.h"
#include "health-interface.h"
#include "manager-interface.h"
#include "process-interface.h"
#include <stdlib.h>
#include <string.h>

#define MANAGER_PATH "/io/conbus1"

static void collect(GPtrArray *names, bool differs, const char *name) {
        if (differs)
                g_ptr_array_add(names, (void *) name);
}

static void collect_life(GPtrArray *names, const Life *old, const Life *now) {
        static const char *const placed[] = {"ControlGroup", "Unit", "Slice"}; /* all read from the group */

        collect(names, old->state != now->state, "State");
        collect(names, old->reason != now->reason, "StateReason");
        collect(names, old->state_usec != now->state_usec, "StateTimestamp");
        collect(names, old->run != now->run, "Run");
        collect(names, memcmp(old->invocation, now->invocation, INVOCATION_SIZE) != 0, "InvocationId");
        collect(names, old->start_usec != now->start_usec, "StartTimestamp");
        collect(names, old->finish_usec != now->finish_usec, "FinishTimestamp");
        collect(names, old->exit_code != now->exit_code, "ExitCode");
        collect(names, old->exit_signal != now->exit_signal, "ExitSignal");
        collect(names, old->result != now->result, "Result");
        collect(names, old->main.pid != now->main.pid, "MainPID");
        collect(names, old->monitor.pid != now->monitor.pid, "MonitorPID");
        collect(names, old->supervised != now->supervised, "Supervised");
        collect(names, !g_str_equal(old->managed_by, now->managed_by), "ManagedBy");
        collect(names, old->stopped_by_user != now->stopped_by_user, "StoppedByUser");
        collect(names, old->ready != now->ready, "Ready");
        collect(names, !g_str_equal(old->status_text, now->status_text), "StatusText");
        collect(names, old->restart_count != now->restart_count, "RestartCount");
        collect(names, old->next_restart_usec != now->next_restart_usec, "NextRestartTimestamp");
        for (size_t i = 0; i < G_N_ELEMENTS(placed); i++)
                collect(names, !g_str_equal(old->cgroup, now->cgroup), placed[i]);
        collect(names, !g_str_equal(old->error_name, now->error_name), "LastErrorName");
        collect(names, !g_str_equal(old->error_message, now->error_message), "LastErrorMessage");
        collect(names, old->error_usec != now->error_usec, "LastErrorTimestamp");
}

static void collect_config(GPtrArray *names) {
        static const char *const derived[] = {"Name", "RestartPolicy", "RestartMax", "AutoStart", "ConfigGeneration"};

        for (size_t i = 0; i < G_N_ELEMENTS(derived); i++)
                g_ptr_array_add(names, (void *) derived[i]);
}

static void emit_changed(Bus *bus, const char *path, const char *interface, GPtrArray *names) {
        if (names->len == 0)
                return;
        g_ptr_array_add(names, NULL);
        int r = sd_bus_emit_properties_changed_strv(bus->connection, path, interface, (char **) names->pdata);
        if (r < 0)
                log_error("send PropertiesChanged of %s: %s", path, g_strerror(-r));
}

/* What the manager counts changes with nearly every commit; it is one signal for each. */
static void emit_manager(Bus *bus, const Change *change) {
        g_autoptr(GPtrArray) names = g_ptr_array_new();
        bool was_running = change->old->state == STATE_RUNNING, is_running = change->now->state == STATE_RUNNING;
        bool was_unhealthy = g_str_equal(change->old->health, "unhealthy"), is_unhealthy = g_str_equal(change->now->health, "unhealthy");

        collect(names, change->appeared || change->vanished, "NContainers");
        collect(names, was_running != is_running, "NRunning");
        collect(names, was_unhealthy != is_unhealthy, "NUnhealthy");
        emit_changed(bus, MANAGER_PATH, MANAGER_INTERFACE, names);
}

static void emit_transitions(Bus *bus, const Change *change, const char *path) {
        const Life *old = change->old, *now = change->now;

        if (old->state != now->state)
                container_emit_state_changed(bus, path, state_to_string(old->state), state_to_string(now->state), reason_to_string(now->reason), now->run, now->transitions);
        if (change->run_started) {
                GVariant *invocation = g_variant_new_fixed_array(G_VARIANT_TYPE_BYTE, now->invocation, INVOCATION_SIZE, 1);
                container_emit_run_started(bus, path, now->run, invocation, (guint32) now->main.pid);
        }
        if (change->run_finished) {
                const Run *run = change->run_finished;
                g_autoptr(GVariant) details = discreet(run_to_variant(run), NULL, false);
                container_emit_run_finished(bus, path, run->number, run->exit_code, run->exit_signal, result_to_string(run->result), details);
        }
        if (old->ready != now->ready)
                container_emit_ready_changed(bus, path, now->run, now->ready);
        if (!g_str_equal(old->health, now->health) && *now->health)
                health_emit_status_changed(bus, path, old->health, now->health, now->run);
}

static void emit_events(Bus *bus, const Change *change) {
        for (guint i = 0; i < change->events->len; i++) {
                const Event *event = change->events->pdata[i];
                g_autoptr(GVariant) details = discreet(event->details, NULL, false);
                manager_emit_event(bus, MANAGER_PATH, event->seq, event->usec, event->type, event->action, event->object, event->id, details);
                events_published(bus, event);
        }
}

static void emit_interfaces(Bus *bus, const Change *change, const char *path) {
        int r = 0;

        if (change->appeared)
                r = sd_bus_emit_object_added(bus->connection, path);
        else if (change->vanished)
                r = sd_bus_emit_object_removed(bus->connection, path);
        if (r < 0)
                log_error("announce %s: %s", path, g_strerror(-r));
}

/* Like those of a container: what is new at the beginning, what has gone at the end. */
static void emit_session_appeared(Bus *bus, const Change *change) {
        g_autofree char *path = session_path(change->session);
        int r = change->session_appeared ? sd_bus_emit_object_added(bus->connection, path) : 0;

        if (r < 0)
                log_error("announce %s: %s", path, g_strerror(-r));
}

static void emit_session_changed(Bus *bus, const Change *change) {
        const SessionLife *old = change->session_old, *now = change->session_now;
        g_autofree char *path = session_path(change->session);
        g_autoptr(GPtrArray) names = g_ptr_array_new();

        collect(names, old->main.pid != now->main.pid, "Pid");
        collect(names, old->state != now->state, "State");
        collect(names, old->exit_code != now->exit_code, "ExitCode");
        collect(names, old->exit_signal != now->exit_signal, "ExitSignal");
        collect(names, old->start_usec != now->start_usec, "StartTimestamp");
        if (!change->session_appeared)
                emit_changed(bus, path, PROCESS_INTERFACE, names);
        if (old->state != now->state && now->state == SESSION_STOPPED)
                process_emit_exited(bus, path, now->exit_code, now->exit_signal);
}

static void emit_session_vanished(Bus *bus, const Change *change) {
        g_autofree char *path = session_path(change->session);

        bus->vanishing_session = change->session;
        int r = sd_bus_emit_object_removed(bus->connection, path);
        bus->vanishing_session = NULL;
        if (r < 0)
                log_error("announce the end of %s: %s", path, g_strerror(-r));
}

static void on_change(const Change *change, void *userdata) {
        Bus *bus = userdata;
        g_autofree char *path = container_path(change->container);
        g_autoptr(GPtrArray) names = g_ptr_array_new(), health = g_ptr_array_new();

        bus->vanishing = change->container; /* also while a later change of it, its removal, waits to be told */
        if (change->appeared)
                emit_interfaces(bus, change, path);
        collect_life(names, change->old, change->now);
        if (change->session)
                emit_session_appeared(bus, change);
        collect(names, change->session_appeared || change->session_vanished, "Processes");
        if (change->config_changed)
                collect_config(names);
        collect(names, change->operation_changed, "Operation");
        if (!change->appeared)
                emit_changed(bus, path, CONTAINER_INTERFACE, names);
        collect(health, !g_str_equal(change->old->health, change->now->health) && container_has_health(change->container), "Status");
        emit_changed(bus, path, HEALTH_INTERFACE, health);
        if (!change->operation_changed)
                emit_manager(bus, change);
        emit_transitions(bus, change, path);
        if (change->session)
                emit_session_changed(bus, change);
        emit_events(bus, change);
        if (change->session_vanished)
                emit_session_vanished(bus, change);
        if (change->vanished)
                emit_interfaces(bus, change, path);
        bus->vanishing = NULL;
}

void announce_begin(Bus *bus) {
        registry_set_observer(bus->registry, OBSERVER_ANNOUNCE, on_change, bus);
}

void announce_end(Bus *bus) {
        registry_set_observer(bus->registry, OBSERVER_ANNOUNCE, NULL, NULL);
}
