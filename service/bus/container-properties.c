/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The properties of a container: all from memory, none of them holds arguments, environments or output. */

#include "container-interface.h"

static int append_string(sd_bus_message *reply, const char *value) {
        return sd_bus_message_append_basic(reply, 's', value);
}

static int append_uint64(sd_bus_message *reply, guint64 value) {
        return sd_bus_message_append_basic(reply, 't', &value);
}

static int append_uint32(sd_bus_message *reply, guint32 value) {
        return sd_bus_message_append_basic(reply, 'u', &value);
}

static int append_int32(sd_bus_message *reply, gint32 value) {
        return sd_bus_message_append_basic(reply, 'i', &value);
}

static int append_bool(sd_bus_message *reply, bool value) {
        int wire = value;

        return sd_bus_message_append_basic(reply, 'b', &wire);
}

#define PROPERTY(name, append, value)                                                          \
        int container_property_##name(Bus *bus, Container *container, sd_bus_message *reply) { \
                return append(reply, value);                                                   \
        }

PROPERTY(id, append_string, container->id)
PROPERTY(name, append_string, container->name)
PROPERTY(image, append_string, "")
PROPERTY(image_id, append_string, "")
PROPERTY(command_name, append_string, container_command_name(container))
PROPERTY(created_timestamp, append_uint64, container->created_usec)
PROPERTY(owner_uid, append_uint32, container->owner_uid)
PROPERTY(state, append_string, state_to_string(container->life.state))
PROPERTY(state_reason, append_string, reason_to_string(container->life.reason))
PROPERTY(state_timestamp, append_uint64, container->life.state_usec)
PROPERTY(run, append_uint64, container->life.run)
PROPERTY(start_timestamp, append_uint64, container->life.start_usec)
PROPERTY(finish_timestamp, append_uint64, container->life.finish_usec)
PROPERTY(exit_code, append_int32, container->life.exit_code)
PROPERTY(exit_signal, append_int32, container->life.exit_signal)
PROPERTY(result, append_string, result_to_string(container->life.result))
PROPERTY(main_pid, append_uint32, (guint32) container->life.main.pid)
PROPERTY(monitor_pid, append_uint32, (guint32) container->life.monitor.pid)
PROPERTY(supervised, append_bool, container->life.supervised)
PROPERTY(operation, append_string, container->operation)
PROPERTY(stopped_by_user, append_bool, container->life.stopped_by_user)
PROPERTY(ready, append_bool, container->life.ready)
PROPERTY(status_text, append_string, container->life.status_text)
PROPERTY(restart_policy, append_string, policy_to_string(container_policy(container)))
PROPERTY(restart_max, append_uint32, config_uint32(container->config, "restart-max", 0))
PROPERTY(restart_count, append_uint32, container->life.restart_count)
PROPERTY(next_restart_timestamp, append_uint64, container->life.next_restart_usec)
PROPERTY(auto_start, append_bool, container_auto_start(container))
PROPERTY(auto_remove, append_bool, config_bool(container->config, "auto-remove", false))
PROPERTY(control_group, append_string, container->life.cgroup)
PROPERTY(managed_by, append_string, container->life.managed_by)
PROPERTY(terminal, append_bool, config_bool(container->config, "terminal", false))
PROPERTY(stdin_open, append_bool, config_bool(container->config, "stdin-open", false))
PROPERTY(log_driver, append_string, config_string(container->config, "log-driver", "k8s-file"))
PROPERTY(stop_signal, append_int32, container_stop_signal(container))
PROPERTY(stop_timeout_usec, append_uint64, container_stop_timeout(container))
PROPERTY(last_error_name, append_string, container->life.error_name)
PROPERTY(last_error_message, append_string, container->life.error_message)
PROPERTY(last_error_timestamp, append_uint64, container->life.error_usec)
PROPERTY(config_generation, append_uint64, container->generation)

int container_property_unit(Bus *bus, Container *container, sd_bus_message *reply) {
        g_autofree char *unit = units_unit_of_cgroup(container->life.cgroup);

        return append_string(reply, unit);
}

int container_property_slice(Bus *bus, Container *container, sd_bus_message *reply) {
        g_autofree char *slice = units_slice_of_cgroup(container->life.cgroup);

        return append_string(reply, slice);
}

int container_property_labels(Bus *bus, Container *container, sd_bus_message *reply) {
        g_autoptr(GVariant) labels = config_value(container->config, "labels");
        g_autoptr(GVariant) none = g_variant_ref_sink(g_variant_new("a{ss}", NULL));

        return variant_append(reply, labels ? labels : none);
}

int container_property_invocation_id(Bus *bus, Container *container, sd_bus_message *reply) {
        return sd_bus_message_append_array(reply, 'y', container->life.invocation, container->life.run > 0 ? INVOCATION_SIZE : 0);
}

int container_property_processes(Bus *bus, Container *container, sd_bus_message *reply) {
        int r = sd_bus_message_open_container(reply, 'a', "o");

        for (guint i = 0; r >= 0 && i < container->sessions->len; i++) {
                g_autofree char *path = session_path(container->sessions->pdata[i]);
                r = sd_bus_message_append_basic(reply, 'o', path);
        }
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

int container_property_dependencies(Bus *bus, Container *container, sd_bus_message *reply) {
        g_autoptr(GPtrArray) dependencies = container->registry ? registry_dependencies(bus->registry, container) : g_ptr_array_new();
        int r = sd_bus_message_open_container(reply, 'a', "o");

        for (guint i = 0; r >= 0 && i < dependencies->len; i++) {
                g_autofree char *path = container_path(dependencies->pdata[i]);
                r = sd_bus_message_append_basic(reply, 'o', path);
        }
        return r < 0 ? r : sd_bus_message_close_container(reply);
}
