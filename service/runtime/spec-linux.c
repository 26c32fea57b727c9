/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The object "linux" of an OCI configuration: what separates a container from the rest of the machine. */

#include "runtime/spec-build.h"
#include "base/log.h"
#include "model/config.h"
#include "runtime/cgroup.h"
#include "runtime/seccomp.h"
#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define PIDS_DEFAULT 2048
#define CPU_PERIOD_USEC 100000

static const char *const masked_paths[] = { "/proc/acpi", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/sched_debug", "/proc/scsi", "/proc/timer_list",
                                            "/proc/timer_stats", "/sys/dev/block", "/sys/devices/virtual/powercap", "/sys/firmware", "/sys/fs/selinux", NULL };
static const char *const readonly_paths[] = { "/proc/asound", "/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger", NULL };

static JsonObject *find_namespace(JsonArray *namespaces, const char *type) {
        for (unsigned i = 0; namespaces && i < json_array_get_length(namespaces); i++) {
                JsonNode *node = json_array_get_element(namespaces, i);

                if (JSON_NODE_HOLDS_OBJECT(node) && g_strcmp0(document_find_string(json_node_get_object(node), "type"), type) == 0)
                        return json_node_get_object(node);
        }
        return NULL;
}

bool spec_linux_has_namespace(JsonObject *os, const char *type) {
        return find_namespace(document_find_array(os, "namespaces"), type) != NULL;
}

static void set_namespace(JsonObject *os, const char *type, const char *path) {
        JsonArray *namespaces = document_array(os, "namespaces");
        JsonObject *namespace = find_namespace(namespaces, type);

        if (!namespace) {
                namespace = json_object_new();
                json_object_set_string_member(namespace, "type", type);
                json_array_add_object_element(namespaces, namespace);
        }
        if (path)
                json_object_set_string_member(namespace, "path", path);
}

void spec_linux_join(JsonObject *os, const SpecInput *input) {
        for (unsigned i = 0; i < G_N_ELEMENTS(input->namespaces) && input->namespaces[i][0]; i++)
                set_namespace(os, input->namespaces[i][0], input->namespaces[i][1]);
}

static bool add_namespaces(SpecBuild *build, GError **error) {
        static const char *const types[] = { "pid", "ipc", "uts", "mount", "cgroup", NULL };
        const char *network = config_string(build->config, "network", "private");
        JsonObject *joined;

        for (unsigned i = 0; types[i]; i++)
                set_namespace(build->os, types[i], NULL);
        if (build->has_user_namespace)
                set_namespace(build->os, "user", NULL);
        if (!g_str_equal(network, "host"))
                set_namespace(build->os, "network", g_str_has_prefix(network, "ns:") ? network + strlen("ns:") : NULL);
        spec_linux_join(build->os, build->input);

        joined = find_namespace(document_find_array(build->os, "namespaces"), "network");
        const char *path = joined ? document_find_string(joined, "path") : NULL;
        if (g_str_has_prefix(network, "container:") && !path)
                return error_set(error, CONBUS_ERROR_INVALID_CONFIG, "configuration key \"network\": the network of %s cannot be joined, since it does not run",
                                 network + strlen("container:"));
        if (path && access(path, F_OK) < 0)
                return error_set(error, CONBUS_ERROR_NO_SUCH_PATH, "join the network namespace %s: it does not exist", path);
        return true;
}

static void add_id_map(SpecBuild *build, const char *key, const char *member) {
        g_autoptr(GVariant) map = config_value(build->config, key);
        guint32 inside, outside, size;

        for (gsize i = 0; map && i < g_variant_n_children(map); i++) {
                JsonObject *range = json_object_new();

                g_variant_get_child(map, i, "(uuu)", &inside, &outside, &size);
                json_object_set_int_member(range, "containerID", inside);
                json_object_set_int_member(range, "hostID", outside);
                json_object_set_int_member(range, "size", size);
                json_array_add_object_element(document_array(build->os, member), range);
        }
}

static void allow_device(JsonObject *resources, bool allow, const char *type, const struct stat *st, const char *access) {
        JsonObject *rule = json_object_new();

        json_object_set_boolean_member(rule, "allow", allow);
        if (type)
                json_object_set_string_member(rule, "type", type);
        if (st) {
                json_object_set_int_member(rule, "major", major(st->st_rdev));
                json_object_set_int_member(rule, "minor", minor(st->st_rdev));
        }
        json_object_set_string_member(rule, "access", access);
        json_array_add_object_element(document_array(resources, "devices"), rule);
}

/* HOST[:CONTAINER][:ACCESS] */
static bool add_device(SpecBuild *build, JsonObject *resources, const char *text, GError **error) {
        g_auto(GStrv) parts = g_strsplit(text, ":", 3);
        bool has_path = parts[1] && *parts[1] == '/';
        const char *path = has_path ? parts[1] : parts[0], *access = has_path ? parts[2] : parts[1];
        struct stat st;

        if (stat(parts[0], &st) < 0)
                return errno == ENOENT ? error_set(error, CONBUS_ERROR_NO_SUCH_PATH, "add the device %s: it does not exist", parts[0]) :
                                         error_errno(error, errno, "add the device %s", parts[0]);
        if (!S_ISCHR(st.st_mode) && !S_ISBLK(st.st_mode))
                return error_set(error, CONBUS_ERROR_INVALID_CONFIG, "configuration key \"devices\": %s is not a device; use mounts for files and directories", parts[0]);

        JsonObject *device = json_object_new();
        const char *type = S_ISCHR(st.st_mode) ? "c" : "b";
        json_object_set_string_member(device, "path", path);
        json_object_set_string_member(device, "type", type);
        json_object_set_int_member(device, "major", major(st.st_rdev));
        json_object_set_int_member(device, "minor", minor(st.st_rdev));
        json_object_set_int_member(device, "fileMode", st.st_mode & 07777);
        json_object_set_int_member(device, "uid", st.st_uid);
        json_object_set_int_member(device, "gid", st.st_gid);
        json_array_add_object_element(document_array(build->os, "devices"), device);
        allow_device(resources, true, type, &st, access ? access : "rwm");
        return true;
}

static bool add_devices(SpecBuild *build, JsonObject *resources, GError **error) {
        g_autofree const char **devices = config_strv(build->config, "devices");

        allow_device(resources, build->privileged, NULL, NULL, "rwm");
        for (unsigned i = 0; devices && devices[i]; i++)
                if (!add_device(build, resources, devices[i], error))
                        return false;
        return true;
}

static void set_unified(JsonObject *resources, const char *file, guint64 value) {
        char text[32];

        snprintf(text, sizeof text, "%" G_GUINT64_FORMAT, value);
        json_object_set_string_member(document_object(resources, "unified"), file, text);
}

/* cgroup v1 has neither weights nor memory.high: the shares of equal proportion, and the soft limit that comes nearest. */
static void add_limits(SpecBuild *build, JsonObject *resources) {
        guint64 pids = config_uint64(build->config, "pids", PIDS_DEFAULT), memory = config_uint64(build->config, "memory", 0);
        guint64 high = config_uint64(build->config, "memory-high", 0), quota = config_uint64(build->config, "cpu-quota-usec", 0);
        guint64 weight = config_uint64(build->config, "cpu-weight", 0);
        bool unified = cgroup_is_unified();

        if (pids > 0)
                json_object_set_int_member(document_object(resources, "pids"), "limit", pids);
        if (memory > 0)
                json_object_set_int_member(document_object(resources, "memory"), "limit", memory);
        if (high > 0 && unified)
                set_unified(resources, "memory.high", high);
        else if (high > 0)
                json_object_set_int_member(document_object(resources, "memory"), "reservation", high);
        if (quota > 0) {
                json_object_set_int_member(document_object(resources, "cpu"), "quota", quota);
                json_object_set_int_member(document_object(resources, "cpu"), "period", CPU_PERIOD_USEC);
        }
        if (weight > 0 && unified)
                set_unified(resources, "cpu.weight", weight);
        else if (weight > 0)
                json_object_set_int_member(document_object(resources, "cpu"), "shares", CLAMP(weight * 1024 / 100, 2, 262144));
}

static bool add_resources(SpecBuild *build, GError **error) {
        JsonObject *resources = document_object(build->os, "resources");
        const char *text = config_string(build->config, "resources", NULL);

        if (!add_devices(build, resources, error))
                return false;
        add_limits(build, resources);
        if (!text)
                return true;
        g_autoptr(JsonObject) given = document_parse(text, -1, "configuration key \"resources\"", CONBUS_ERROR_INVALID_CONFIG, error);
        if (given)
                document_patch(resources, given);
        return given != NULL;
}

/* Or tells that it is not known yet. An annotation of the user's own stays. */
static void add_filter(SpecBuild *build, unsigned number) {
        JsonObject *annotations = document_find_object(build->root, "annotations");
        const char *filter = seccomp_filter(number);

        if (annotations && json_object_has_member(annotations, SECCOMP_FILTER_ANNOTATION))
                return;
        if (filter)
                json_object_set_string_member(document_object(build->root, "annotations"), SECCOMP_FILTER_ANNOTATION, filter);
        else if (build->input->ret_unfiltered)
                *build->input->ret_unfiltered = number;
}

static bool add_seccomp(SpecBuild *build, GError **error) {
        static bool missing_logged;
        const char *profile = config_string(build->config, "seccomp", build->privileged ? "unconfined" : "default");
        bool is_default = g_str_equal(profile, "default");
        g_autoptr(GError) why = NULL;
        unsigned number = 0;

        if (g_str_equal(profile, "unconfined"))
                return true;

        JsonArray *bounding = document_find_array(document_object(build->process, "capabilities"), "bounding");
        const char *path = is_default ? SECCOMP_DEFAULT_PROFILE : profile;
        bool is_patched = config_string(build->config, "oci-spec-patch", NULL) != NULL;
        g_autoptr(JsonObject) seccomp = is_patched ? seccomp_read(path, bounding, &why) : seccomp_share(path, bounding, &number, &why);
        if (seccomp) {
                add_filter(build, number);
                json_object_set_object_member(build->os, "seccomp", g_steal_pointer(&seccomp));
                return true;
        }
        if (!is_default || !g_error_matches(why, CONBUS_ERROR, CONBUS_ERROR_NO_SUCH_PATH)) {
                g_propagate_error(error, g_steal_pointer(&why));
                return false;
        }
        if (!missing_logged)
                log_warning("%s is not installed: containers run without a seccomp filter", SECCOMP_DEFAULT_PROFILE);
        missing_logged = true;
        return true;
}

static void add_sysctls(SpecBuild *build) {
        g_autoptr(GVariant) sysctls = config_value(build->config, "sysctls");
        GVariantIter iter;
        const char *name, *value;

        if (!sysctls)
                return;
        g_variant_iter_init(&iter, sysctls);
        while (g_variant_iter_next(&iter, "{&s&s}", &name, &value))
                json_object_set_string_member(document_object(build->os, "sysctl"), name, value);
}

bool spec_linux_add(SpecBuild *build, GError **error) {
        if (!add_namespaces(build, error) || !add_resources(build, error) || !add_seccomp(build, error))
                return false;
        add_id_map(build, "uid-map", "uidMappings");
        add_id_map(build, "gid-map", "gidMappings");
        add_sysctls(build);
        if (!build->privileged) {
                document_set_strv(build->os, "maskedPaths", masked_paths);
                document_set_strv(build->os, "readonlyPaths", readonly_paths);
        }
        return true;
}
