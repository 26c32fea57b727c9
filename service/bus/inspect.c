/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* JSON and text about containers. Field names of Inspect are libpod's; a time that never was is the year 1. */

#include "bus/inspect.h"
#include "bus/discreet.h"
#include "bus/json-members.h"
#include "model/secret.h"
#include "operation/health.h"
#include "operation/kept.h"
#include "operation/volumes.h"
#include "runtime/document.h"
#include <signal.h>
#include <stdio.h>
#include <string.h>

static void add_time(JsonBuilder *builder, const char *name, guint64 usec) {
        if (usec == 0) {
                add_string(builder, name, "0001-01-01T00:00:00Z");
                return;
        }
        g_autoptr(GDateTime) time = g_date_time_new_from_unix_utc((gint64) (usec / G_USEC_PER_SEC));
        g_autofree char *seconds = g_date_time_format(time, "%Y-%m-%dT%H:%M:%S");
        g_autofree char *text = g_strdup_printf("%s.%06u000Z", seconds, (unsigned) (usec % G_USEC_PER_SEC));
        add_string(builder, name, text);
}

static void add_config_value(JsonBuilder *builder, const char *name, GVariant *config, const char *key, const char *empty_type) {
        g_autoptr(GVariant) value = config_value(config, key);
        g_autoptr(GVariant) empty = g_variant_ref_sink(g_variant_new(empty_type, NULL));

        json_builder_set_member_name(builder, name);
        json_builder_add_value(builder, json_gvariant_serialize(value ? value : empty));
}

static void add_health(JsonBuilder *builder, Container *container) {
        g_autoptr(GPtrArray) log = health_log(container);

        json_builder_set_member_name(builder, "Health");
        json_builder_begin_object(builder);
        add_string(builder, "Status", health_status(container));
        add_int(builder, "FailingStreak", health_streak(container));
        json_builder_set_member_name(builder, "Log");
        json_builder_begin_array(builder);
        for (guint i = 0; i < log->len; i++) {
                const HealthEntry *entry = log->pdata[i];
                json_builder_begin_object(builder);
                add_time(builder, "Start", entry->start_usec);
                add_time(builder, "End", entry->end_usec);
                add_int(builder, "ExitCode", entry->code);
                add_string(builder, "Output", entry->output);
                json_builder_end_object(builder);
        }
        json_builder_end_array(builder);
        json_builder_end_object(builder);
}

static void add_state(JsonBuilder *builder, Container *container) {
        static const char *const checkpoint_names[] = {"Checkpointed", "Restored", NULL};
        const Life *life = &container->life;

        json_builder_set_member_name(builder, "State");
        json_builder_begin_object(builder);
        add_string(builder, "Status", state_to_string(life->state));
        add_bool(builder, "Running", life->state == STATE_RUNNING || life->state == STATE_PAUSED || life->state == STATE_STOPPING);
        add_bool(builder, "Paused", life->state == STATE_PAUSED);
        add_bool(builder, "Restarting", life->next_restart_usec != 0);
        add_bool(builder, "OOMKilled", life->result == RESULT_OOM_KILL);
        add_bool(builder, "Dead", false);
        add_int(builder, "Pid", life->main.pid);
        add_int(builder, "ConmonPid", life->monitor.pid);
        add_int(builder, "ExitCode", life->exit_code);
        add_string(builder, "Error", life->error_message);
        add_time(builder, "StartedAt", life->start_usec);
        add_time(builder, "FinishedAt", life->finish_usec);
        if (container_has_health(container))
                add_health(builder, container);
        for (const char *const *name = checkpoint_names; *name; name++) {
                add_bool(builder, *name, false);
                g_autofree char *when = g_strconcat(*name, "At", NULL);
                add_time(builder, when, 0);
        }
        add_string(builder, "CheckpointPath", "");
        add_string(builder, "CheckpointLog", "");
        add_string(builder, "RestoreLog", "");
        add_string(builder, "CgroupPath", life->cgroup);
        add_bool(builder, "StoppedByUser", life->stopped_by_user);
        json_builder_end_object(builder);
}

static void add_command(JsonBuilder *builder, Container *container) {
        static const char *const keys[] = {"entrypoint", "command", NULL};
        bool first = true;

        add_string(builder, "Path", container_command_name(container));
        json_builder_set_member_name(builder, "Args");
        json_builder_begin_array(builder);
        for (const char *const *key = keys; *key; key++) {
                g_autofree const char **words = config_strv(container->config, *key);
                for (const char **word = words; word && *word; word++) {
                        if (!first)
                                json_builder_add_string_value(builder, *word);
                        first = false;
                }
        }
        json_builder_end_array(builder);
}

/* Where the source of a mount is on the host; what was given by descriptor is kept in the container's own place. */
static char *source_of(Bus *bus, Container *container, GVariant *mount) {
        g_autofree char *place = kept_path(bus->engine->paths, container);
        gint32 number;

        return g_variant_lookup(mount, "source-fd", "h", &number) ? g_strdup_printf("%s/%d", place, (int) number) : g_strdup(config_string(mount, "source", ""));
}

static void add_mount(JsonBuilder *builder, Bus *bus, Container *container, GVariant *mount) {
        g_autofree char *source = source_of(bus, container, mount);
        g_autoptr(GVariant) options = g_variant_lookup_value(mount, "options", G_VARIANT_TYPE_STRING_ARRAY);
        g_autoptr(GVariant) none = g_variant_ref_sink(g_variant_new("as", NULL));
        g_autofree const char **words = options ? g_variant_get_strv(options, NULL) : NULL;

        json_builder_begin_object(builder);
        add_string(builder, "Type", config_string(mount, "type", "bind"));
        add_string(builder, "Source", source);
        add_string(builder, "Destination", config_string(mount, "target", ""));
        json_builder_set_member_name(builder, "Options");
        json_builder_add_value(builder, json_gvariant_serialize(options ? options : none));
        add_bool(builder, "RW", !words || !g_strv_contains(words, "ro"));
        json_builder_end_object(builder);
}

static void add_volume(JsonBuilder *builder, Bus *bus, Container *container, const Volume *volume) {
        g_autofree char *source = volumes_path(bus->engine->paths, container->id, volume), *anonymous = volume_anonymous_name(container->id, volume->target);

        json_builder_begin_object(builder);
        add_string(builder, "Type", "volume");
        add_string(builder, "Name", volume->name ? volume->name : anonymous);
        add_string(builder, "Source", source);
        add_string(builder, "Destination", volume->target);
        add_string(builder, "Driver", "local");
        json_builder_set_member_name(builder, "Options");
        json_builder_begin_array(builder);
        for (char **option = (char **) volume->options->pdata; *option; option++)
                json_builder_add_string_value(builder, *option);
        json_builder_end_array(builder);
        add_bool(builder, "RW", !volume->read_only);
        json_builder_end_object(builder);
}

static void add_mounts(JsonBuilder *builder, Bus *bus, Container *container) {
        g_autoptr(GVariant) mounts = config_value(container->config, "mounts");

        json_builder_set_member_name(builder, "Mounts");
        json_builder_begin_array(builder);
        for (gsize i = 0; mounts && i < g_variant_n_children(mounts); i++) {
                g_autoptr(GVariant) mount = g_variant_get_child_value(mounts, i);
                add_mount(builder, bus, container, mount);
        }
        g_autofree const char **volumes = config_strv(container->config, "volumes");
        for (gsize i = 0; volumes && volumes[i]; i++) {
                g_auto(Volume) volume = {0};
                if (volume_parse(volumes[i], &volume, NULL))
                        add_volume(builder, bus, container, &volume);
        }
        json_builder_end_array(builder);
}

/* Namespaces that are joined have their place; the rest is for networks to come. */
static void add_network(JsonBuilder *builder, Bus *bus, Container *container) {
        const char *network = config_string(container->config, "network", "private");
        g_autofree char *kept = kept_network_path(bus->engine->paths, container);
        g_autofree char *own = container->life.main.pid > 0 ? g_strdup_printf("/proc/%d/ns/net", container->life.main.pid) : g_strdup("");

        json_builder_set_member_name(builder, "NetworkSettings");
        json_builder_begin_object(builder);
        add_string(builder, "IPAddress", "");
        add_string(builder, "Gateway", "");
        add_string(builder, "MacAddress", "");
        add_string(builder, "SandboxKey", kept ? kept : g_str_has_prefix(network, "ns:") ? network + strlen("ns:") : own);
        for (const char *const *name = (const char *const[]) {"Ports", "Networks", NULL}; *name; name++) {
                json_builder_set_member_name(builder, *name);
                json_builder_begin_object(builder);
                json_builder_end_object(builder);
        }
        json_builder_end_object(builder);
}

/* Of the specification of the run that is prepared now; empty while none is. */
static void add_capabilities(JsonBuilder *builder, Bus *bus, Container *container) {
        static const char *const sets[][2] = {{"BoundingCaps", "bounding"}, {"EffectiveCaps", "effective"}};
        g_autofree char *text = inspect_spec(bus, container, NULL);
        g_autoptr(JsonObject) spec = text ? document_parse(text, -1, "the specification", CONBUS_ERROR_INTERNAL, NULL) : NULL;
        JsonObject *process = spec ? document_find_object(spec, "process") : NULL;
        JsonObject *capabilities = process ? document_find_object(process, "capabilities") : NULL;

        for (size_t i = 0; i < G_N_ELEMENTS(sets); i++) {
                JsonArray *names = capabilities ? document_find_array(capabilities, sets[i][1]) : NULL;
                json_builder_set_member_name(builder, sets[i][0]);
                json_builder_begin_array(builder);
                for (guint j = 0; names && j < json_array_get_length(names); j++)
                        json_builder_add_string_value(builder, document_array_string(names, j));
                json_builder_end_array(builder);
        }
}

/* Their names; the values are nowhere to be had. */
static void add_secrets(JsonBuilder *builder, GVariant *config) {
        g_autoptr(GVariant) secrets = config_value(config, "secrets");

        json_builder_set_member_name(builder, "Secrets");
        json_builder_begin_array(builder);
        for (gsize i = 0; secrets && i < g_variant_n_children(secrets); i++) {
                g_autoptr(GVariant) entry = g_variant_get_child_value(secrets, i);
                g_auto(Secret) secret = {0};
                secret_init(&secret, entry);
                json_builder_begin_object(builder);
                add_string(builder, "Name", secret.name);
                add_string(builder, "Target", secret.target);
                add_int(builder, "UID", secret.uid);
                add_int(builder, "GID", secret.gid);
                add_int(builder, "Mode", secret.mode);
                json_builder_end_object(builder);
        }
        json_builder_end_array(builder);
}

static void add_config(JsonBuilder *builder, Container *container) {
        GVariant *config = container->config;

        json_builder_set_member_name(builder, "Config");
        json_builder_begin_object(builder);
        g_autofree char *hostname = g_strndup(container->id, 12);
        add_string(builder, "Hostname", config_string(config, "hostname", hostname));
        add_string(builder, "User", config_string(config, "user", ""));
        add_bool(builder, "Tty", config_bool(config, "terminal", false));
        add_bool(builder, "OpenStdin", config_bool(config, "stdin-open", false));
        add_bool(builder, "StdinOnce", config_bool(config, "stdin-once", false));
        add_config_value(builder, "Env", config, "env", "as");
        add_config_value(builder, "Cmd", config, "command", "as");
        add_config_value(builder, "Entrypoint", config, "entrypoint", "as");
        add_string(builder, "WorkingDir", config_string(config, "cwd", "/"));
        add_config_value(builder, "Labels", config, "labels", "a{ss}");
        add_config_value(builder, "Annotations", config, "annotations", "a{ss}");
        add_secrets(builder, config);
        add_int(builder, "StopSignal", container_stop_signal(container));
        add_int(builder, "StopTimeout", (gint64) (container_stop_timeout(container) / G_USEC_PER_SEC));
        json_builder_end_object(builder);
}

static void add_host_config(JsonBuilder *builder, Bus *bus, Container *container) {
        GVariant *config = container->config;

        json_builder_set_member_name(builder, "HostConfig");
        json_builder_begin_object(builder);
        g_autofree char *kept = kept_network_path(bus->engine->paths, container), *mode = kept ? g_strconcat("ns:", kept, NULL) : g_strdup(config_string(config, "network", "private"));
        add_string(builder, "NetworkMode", mode);
        json_builder_set_member_name(builder, "RestartPolicy");
        json_builder_begin_object(builder);
        add_string(builder, "Name", policy_to_string(container_policy(container)));
        add_int(builder, "MaximumRetryCount", config_uint32(config, "restart-max", 0));
        json_builder_end_object(builder);
        add_bool(builder, "AutoRemove", config_bool(config, "auto-remove", false));
        add_bool(builder, "Init", config_bool(config, "init", false));
        add_bool(builder, "Privileged", config_bool(config, "privileged", false));
        add_bool(builder, "ReadonlyRootfs", config_bool(config, "read-only", false));
        add_int(builder, "Memory", (gint64) config_uint64(config, "memory", 0));
        add_int(builder, "PidsLimit", (gint64) config_uint64(config, "pids", 2048));
        add_config_value(builder, "CapAdd", config, "cap-add", "as");
        add_config_value(builder, "CapDrop", config, "cap-drop", "as");
        json_builder_end_object(builder);
}

static void add_places(JsonBuilder *builder, Bus *bus, Container *container) {
        const Paths *paths = bus->engine->paths;
        g_autofree char *log = paths_state_of(paths, container->id, "log");
        g_autofree char *pidfile = g_strdup_printf("%s/containers/%s/%" G_GUINT64_FORMAT "/pidfile", paths->run, container->id, container->life.run);

        add_string(builder, "LogPath", g_str_equal(config_string(container->config, "log-driver", "k8s-file"), "k8s-file") ? log : "");
        add_string(builder, "PidFile", container->life.run > 0 ? pidfile : "");
        add_string(builder, "ConmonPidFile", "");
        add_string(builder, "Rootfs", config_string(container->config, "rootfs", container->bundle));
}

/* Those that run. */
static void add_sessions(JsonBuilder *builder, const Container *container) {
        json_builder_set_member_name(builder, "ExecIDs");
        json_builder_begin_array(builder);
        for (guint i = 0; i < container->sessions->len; i++) {
                const Session *session = container->sessions->pdata[i];
                g_autofree char *id = g_strdup_printf("%" G_GUINT64_FORMAT, session->number);
                if (session->life.state == SESSION_RUNNING)
                        json_builder_add_string_value(builder, id);
        }
        json_builder_end_array(builder);
}

char *inspect_container(Bus *bus, Container *container, const InspectSize *size) {
        g_autoptr(JsonBuilder) builder = json_builder_new();
        g_autoptr(GPtrArray) dependencies = registry_dependencies(bus->registry, container);

        json_builder_begin_object(builder);
        add_string(builder, "Id", container->id);
        add_string(builder, "Name", container->name);
        add_time(builder, "Created", container->created_usec);
        add_command(builder, container);
        add_string(builder, "Image", "");
        add_string(builder, "MountLabel", "");
        add_string(builder, "ProcessLabel", "");
        add_string(builder, "Driver", config_string(container->config, "rootfs-mode", "overlay"));
        add_state(builder, container);
        add_string(builder, "ManagedBy", container->life.managed_by); /* not libpod's */
        add_int(builder, "RestartCount", container->life.restart_count);
        add_int(builder, "Run", (gint64) container->life.run);
        add_sessions(builder, container);
        json_builder_set_member_name(builder, "Dependencies");
        json_builder_begin_array(builder);
        for (guint i = 0; i < dependencies->len; i++)
                json_builder_add_string_value(builder, ((Container *) dependencies->pdata[i])->id);
        json_builder_end_array(builder);
        add_bool(builder, "IsInfra", false);
        add_string(builder, "Pod", "");
        add_mounts(builder, bus, container);
        add_config(builder, container);
        add_host_config(builder, bus, container);
        add_network(builder, bus, container);
        add_capabilities(builder, bus, container);
        add_places(builder, bus, container);
        if (size) {
                add_int(builder, "SizeRw", (gint64) size->layer);
                add_int(builder, "SizeRootFs", (gint64) size->whole);
        }
        json_builder_end_object(builder);
        g_autoptr(JsonNode) root = json_builder_get_root(builder);
        return json_to_string(root, TRUE);
}

char *inspect_spec(Bus *bus, Container *container, GError **error) {
        g_autofree char *path = g_strdup_printf("%s/containers/%s/%" G_GUINT64_FORMAT "/config.json", bus->engine->paths->run, container->id, container->life.run);
        char *text = NULL;

        if (g_file_get_contents(path, &text, NULL, NULL))
                return text;
        error_set(error, CONBUS_ERROR_NOT_RUNNING, "read the specification of %s: it is made at Init and goes with the run's cleanup; no run is prepared now", container_title(container));
        return NULL;
}

GVariant *inspect_list_runs(Call *call, const char *id, guint32 max, GError **error) {
        g_autoptr(GPtrArray) runs = store_list_runs(registry_store(call->bus->registry), id, max == 0 ? G_MAXINT32 : MIN(max, G_MAXINT32), error);
        GVariantBuilder list;

        if (!runs)
                return NULL;
        g_variant_builder_init(&list, G_VARIANT_TYPE("aa{sv}"));
        for (guint i = 0; i < runs->len; i++) {
                g_autoptr(GVariant) record = discreet(run_to_variant(runs->pdata[i]), call->actor, call->whole);
                g_variant_builder_add_value(&list, record);
        }
        return g_variant_builder_end(&list);
}

char *inspect_dump(Bus *bus) {
        g_autoptr(GPtrArray) containers = registry_list(bus->registry);
        GString *text = g_string_new(NULL);

        g_string_append_printf(text, "containers %u, operations %u (running %u), waits %u, event %" G_GUINT64_FORMAT "\n", containers->len, bus->engine->n_accepted, bus->engine->n_running,
                               waits_count(bus->engine->waits), store_get_event_seq(registry_store(bus->registry)));
        for (guint i = 0; i < containers->len; i++) {
                const Container *container = containers->pdata[i];
                const Life *life = &container->life;
                g_string_append_printf(text, "%s %s state=%s reason=%s run=%" G_GUINT64_FORMAT " open=%d main=%d monitor=%d queued=%u operation=%s supervised=%d\n", container->id, container->name,
                                       state_to_string(life->state), reason_to_string(life->reason), life->run, life->run_open, life->main.pid, life->monitor.pid, container->operations.length,
                                       container->operation, life->supervised);
        }
        return g_string_free(text, FALSE);
}
