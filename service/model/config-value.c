/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a single value of a configuration may be. Each refusal names the key, the value and what would be right. Files are not looked at here: they may change before the container starts. */

#include "model/config-value.h"
#include "model/config-unit.h"
#include "model/config.h"
#include "model/capability.h"
#include "model/rlimit.h"
#include "model/secret.h"
#include "model/state.h"
#include "model/volume.h"
#include <json-glib/json-glib.h>

#define USEC_PER_MSEC 1000ULL
#define PIDS_MAX 4194304ULL /* PID_MAX_LIMIT of the kernel */
#define MEMORY_MIN (1024 * 1024ULL)
#define LOG_SIZE_MIN 4096ULL
#define LOG_FILES_MIN 2 /* the last one that was rotated keeps the count (stream/log-files.h) */
#define LOG_FILES_MAX 1000
#define ID_MAP_MAX 340 /* user_namespaces(7) */

bool config_value_refuse(GError **error, const char *key, const char *format, ...) {
        va_list arguments;

        va_start(arguments, format);
        g_autofree char *text = g_strdup_vprintf(format, arguments);
        va_end(arguments);
        return error_set(error, CONBUS_ERROR_INVALID_CONFIG, "configuration key \"%s\": %s", key, text);
}

bool config_value_is_name(const char *name, gsize max) {
        gsize length = strlen(name);
        bool good = length > 0 && length <= max && g_ascii_isalnum(name[0]);

        for (gsize i = 1; good && i < length; i++)
                good = g_ascii_isalnum(name[i]) || strchr("_.-", name[i]);
        return good;
}

static bool check_key(const ConfigKey *known, const char *title, const char *key, GVariant *value, unsigned use, GError **error) {
        static const char *const why[] = {
                [CONFIG_KEY_CREATE] = "is not known here",
                [CONFIG_KEY_BUNDLE] = "is not taken with a bundle, whose config.json decides it",
                [CONFIG_KEY_UPDATE] = "cannot be changed after the creation",
        };

        while (known->name && !g_str_equal(known->name, key))
                known++;
        if (!known->name)
                return error_set(error, CONBUS_ERROR_UNKNOWN_OPTION, "configuration key \"%s\" is not known here", title);
        if (!(known->uses & use))
                return error_set(error, CONBUS_ERROR_UNKNOWN_OPTION, "configuration key \"%s\" %s", title, why[use]);
        return g_variant_is_of_type(value, G_VARIANT_TYPE(known->type)) ||
               config_value_refuse(error, title, "its type is %s; it takes %s", g_variant_get_type_string(value), known->type);
}

bool config_value_check_keys(GVariant *dict, const ConfigKey *known, const char *group, unsigned use, GError **error) {
        g_autoptr(GHashTable) seen = g_hash_table_new(g_str_hash, g_str_equal);
        GVariantIter iter;
        const char *key;
        GVariant *child;

        g_variant_iter_init(&iter, dict);
        while (g_variant_iter_next(&iter, "{&sv}", &key, &child)) {
                g_autoptr(GVariant) value = child;
                g_autofree char *title = g_strconcat(group, *group ? "/" : "", key, NULL);

                if (!g_hash_table_add(seen, (char *) key))
                        return config_value_refuse(error, title, "it is given twice");
                if (!g_str_has_prefix(key, "x-") && !check_key(known, title, key, value, use, error))
                        return false;
        }
        return true;
}

bool config_value_check_word(const char *key, const char *word, const char *const *words, GError **error) {
        if (g_strv_contains(words, word))
                return true;

        g_autofree char *list = g_strjoinv(", ", (char **) words);
        return config_value_refuse(error, key, "\"%s\" is not known; give one of %s", word, list);
}

bool config_value_check_path(const char *key, const char *path, GError **error) {
        if (*path != '/')
                return config_value_refuse(error, key, "\"%s\" is not an absolute path; give one that begins with /", path);

        g_auto(GStrv) parts = g_strsplit(path, "/", -1);
        if (g_strv_contains((const char *const *) parts, ".."))
                return config_value_refuse(error, key, "\"%s\" goes through ..; give the path without it", path);
        return true;
}

bool config_value_check_usec(const char *key, guint64 usec, guint64 least, GError **error) {
        if (usec < least)
                return config_value_refuse(error, key, "%" G_GUINT64_FORMAT " microseconds are too few; give at least %" G_GUINT64_FORMAT, usec, least);
        return true;
}

static bool check_range(const char *key, guint64 number, guint64 least, guint64 most, GError **error) {
        return (number >= least && number <= most) ||
               config_value_refuse(error, key, "%" G_GUINT64_FORMAT " is out of range; give %" G_GUINT64_FORMAT " to %" G_GUINT64_FORMAT, number, least, most);
}

static bool check_path(const char *key, GVariant *value, GError **error) {
        return config_value_check_path(key, g_variant_get_string(value, NULL), error);
}

static bool check_rootfs_mode(const char *key, GVariant *value, GError **error) {
        static const char *const words[] = { "overlay", "direct", "read-only", NULL };

        return config_value_check_word(key, g_variant_get_string(value, NULL), words, error);
}

static bool check_env(const char *key, GVariant *value, GError **error) {
        g_autofree const char **entries = g_variant_get_strv(value, NULL);

        for (unsigned i = 0; entries[i]; i++)
                if (*entries[i] == '=' || !strchr(entries[i], '='))
                        return config_value_refuse(error, key, "\"%s\" is no variable; give NAME=VALUE", entries[i]);
        return true;
}

static bool check_env_names(const char *key, GVariant *value, GError **error) {
        g_autofree const char **names = g_variant_get_strv(value, NULL);

        for (unsigned i = 0; names[i]; i++)
                if (!*names[i] || strchr(names[i], '='))
                        return config_value_refuse(error, key, "\"%s\" is no name of a variable; give NAME alone", names[i]);
        return true;
}

static bool is_account(const char *text) {
        guint64 number;

        if (!*text || *text == '-' || strpbrk(text, " \t\n:/,"))
                return false;
        return strspn(text, "0123456789") != strlen(text) || (g_ascii_string_to_unsigned(text, 10, 0, G_MAXUINT32 - 1, &number, NULL));
}

static bool check_user(const char *key, GVariant *value, GError **error) {
        const char *user = g_variant_get_string(value, NULL);
        g_auto(GStrv) parts = g_strsplit(user, ":", 2);

        if (!parts[0] || !is_account(parts[0]) || (parts[1] && !is_account(parts[1])))
                return config_value_refuse(error, key, "\"%s\" is no account; give USER[:GROUP], each a name or a number up to 4294967294", user);
        return true;
}

static bool check_hostname(const char *key, GVariant *value, GError **error) {
        const char *name = g_variant_get_string(value, NULL);
        size_t length = strlen(name);
        bool good = length > 0 && length <= 64 && g_ascii_isalnum(name[0]) && g_ascii_isalnum(name[length - 1]) && !strstr(name, "..");

        for (size_t i = 0; good && i < length; i++)
                good = g_ascii_isalnum(name[i]) || name[i] == '-' || name[i] == '.';
        return good || config_value_refuse(error, key, "\"%s\" is no host name; it takes 1 to 64 of A-Z a-z 0-9 - . and begins and ends with a letter or digit", name);
}

static bool check_labels(const char *key, GVariant *value, GError **error) {
        GVariantIter iter;
        const char *name;

        g_variant_iter_init(&iter, value);
        while (g_variant_iter_next(&iter, "{&s&s}", &name, NULL))
                if (!*name)
                        return config_value_refuse(error, key, "an empty name cannot be used; give each value a name");
        return true;
}

static bool check_mount_source(const char *key, GVariant *mount, const char *type, GError **error) {
        const char *source = NULL;
        bool has_fd = g_variant_lookup(mount, "source-fd", "h", NULL);

        g_variant_lookup(mount, "source", "&s", &source);
        if (has_fd && (source || !g_str_equal(type, "bind")))
                return config_value_refuse(error, "mounts/source-fd", source ? "it stands in place of source; give one of them" : "it is for mounts of the type bind, not %s", type);
        if (has_fd || !g_str_equal(type, "bind"))
                return true;
        if (!source)
                return config_value_refuse(error, key, "a mount of type bind has no source; give the path on the host, or source-fd");
        return config_value_check_path("mounts/source", source, error);
}

static bool check_mount(const char *key, GVariant *mount, GHashTable *targets, GError **error) {
        static const char *const types[] = { "bind", "tmpfs", "proc", "sysfs", "devpts", "mqueue", "cgroup", "overlay", NULL };
        const char *target = NULL, *type = "bind";

        if (!config_value_check_keys(mount, conbus_mounts_keys, key, CONFIG_KEY_CREATE, error))
                return false;
        g_variant_lookup(mount, "target", "&s", &target);
        g_variant_lookup(mount, "type", "&s", &type);
        if (!target)
                return config_value_refuse(error, key, "a mount has no target; give the path in the container");
        if (!config_value_check_path("mounts/target", target, error))
                return false;

        g_autofree char *clean = config_clean_path(target);
        if (g_str_equal(clean, "/"))
                return config_value_refuse(error, "mounts/target", "nothing can be mounted over the root; set rootfs instead");
        if (!g_hash_table_add(targets, g_steal_pointer(&clean)))
                return config_value_refuse(error, "mounts/target", "two mounts have the target \"%s\"", target);
        if (!config_value_check_word("mounts/type", type, types, error) || !check_mount_source(key, mount, type, error))
                return false;

        g_autofree const char **options = NULL;
        g_variant_lookup(mount, "options", "^a&s", &options);
        for (unsigned i = 0; options && options[i]; i++)
                if (!*options[i] || (strchr(options[i], ',') && !g_str_equal(type, "overlay")))
                        return config_value_refuse(error, "mounts/options", "\"%s\" is no mount option; give one in each text", options[i]);
        return true;
}

static bool check_mounts(const char *key, GVariant *value, GError **error) {
        g_autoptr(GHashTable) targets = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);

        for (gsize i = 0; i < g_variant_n_children(value); i++) {
                g_autoptr(GVariant) mount = g_variant_get_child_value(value, i);

                if (!check_mount(key, mount, targets, error))
                        return false;
        }
        return true;
}

static bool check_devices(const char *key, GVariant *value, GError **error) {
        g_autofree const char **devices = g_variant_get_strv(value, NULL);

        for (unsigned i = 0; devices[i]; i++) {
                g_auto(GStrv) parts = g_strsplit(devices[i], ":", -1);
                unsigned n = g_strv_length(parts);
                const char *access = n == 3 ? parts[2] : n == 2 && *parts[1] != '/' ? parts[1] : "rwm";

                if (n < 1 || n > 3)
                        return config_value_refuse(error, key, "\"%s\" is no device; give HOST[:CONTAINER[:rwm]]", devices[i]);
                if (!config_value_check_path(key, parts[0], error) || (n > 1 && parts[1] != access && !config_value_check_path(key, parts[1], error)))
                        return false;
                if (!*access || strlen(access) > 3 || strspn(access, "rwm") != strlen(access))
                        return config_value_refuse(error, key, "\"%s\" is no access to a device; give some of r, w and m", access);
        }
        return true;
}

static bool check_network(const char *key, GVariant *value, GError **error) {
        const char *mode = g_variant_get_string(value, NULL);

        if (g_str_has_prefix(mode, "ns:"))
                return config_value_check_path(key, mode + strlen("ns:"), error);
        if (g_str_has_prefix(mode, "container:") && mode[strlen("container:")])
                return true;
        if (g_str_equal(mode, "none") || g_str_equal(mode, "host") || g_str_equal(mode, "private"))
                return true;
        return config_value_refuse(error, key, "\"%s\" is not known; give none, host, private, container:ID or ns:PATH", mode);
}

static bool check_capabilities(const char *key, GVariant *value, GError **error) {
        g_autofree const char **names = g_variant_get_strv(value, NULL);

        for (unsigned i = 0; names[i]; i++)
                if (!g_str_equal(names[i], "ALL") && capability_from_name(names[i]) < 0)
                        return config_value_refuse(error, key, "\"%s\" is no capability; give ALL or a name such as CAP_NET_ADMIN", names[i]);
        return true;
}

static bool check_seccomp(const char *key, GVariant *value, GError **error) {
        const char *profile = g_variant_get_string(value, NULL);

        if (g_str_equal(profile, "default") || g_str_equal(profile, "unconfined"))
                return true;
        if (*profile != '/')
                return config_value_refuse(error, key, "\"%s\" is not known; give default, unconfined or the absolute path of a profile", profile);
        return config_value_check_path(key, profile, error);
}

static bool check_userns(const char *key, GVariant *value, GError **error) {
        const char *mode = g_variant_get_string(value, NULL);

        return !*mode || g_str_equal(mode, "host") || config_value_refuse(error, key, "\"%s\" is not known; give host, or nothing with uid-map and gid-map", mode);
}

static bool check_id_map(const char *key, GVariant *value, GError **error) {
        gsize n = g_variant_n_children(value);

        if (n == 0 || n > ID_MAP_MAX)
                return config_value_refuse(error, key, "%" G_GSIZE_FORMAT " ranges cannot be mapped; give 1 to %d", n, ID_MAP_MAX);
        for (gsize i = 0; i < n; i++) {
                guint32 inside, outside, size;

                g_variant_get_child(value, i, "(uuu)", &inside, &outside, &size);
                if (size == 0 || (guint64) inside + size > G_MAXUINT32 || (guint64) outside + size > G_MAXUINT32)
                        return config_value_refuse(error, key, "the range (%u, %u, %u) is empty or passes the last id", inside, outside, size);
                for (gsize j = 0; j < i; j++) {
                        guint32 inside_before, outside_before, size_before;

                        g_variant_get_child(value, j, "(uuu)", &inside_before, &outside_before, &size_before);
                        if ((inside < inside_before + size_before && inside_before < inside + size) ||
                            (outside < outside_before + size_before && outside_before < outside + size))
                                return config_value_refuse(error, key, "the range (%u, %u, %u) overlaps an earlier one", inside, outside, size);
                }
        }
        return true;
}

static bool check_pids(const char *key, GVariant *value, GError **error) {
        return check_range(key, g_variant_get_uint64(value), 0, PIDS_MAX, error);
}

static bool check_memory(const char *key, GVariant *value, GError **error) {
        return check_range(key, g_variant_get_uint64(value), MEMORY_MIN, G_MAXINT64, error);
}

static bool check_cpu_quota(const char *key, GVariant *value, GError **error) {
        return check_range(key, g_variant_get_uint64(value), 1000, 100000ULL * 8192, error);
}

static bool check_cpu_weight(const char *key, GVariant *value, GError **error) {
        return check_range(key, g_variant_get_uint64(value), 1, 10000, error);
}

static bool check_json(const char *key, GVariant *value, GError **error) {
        g_autoptr(JsonParser) parser = json_parser_new_immutable();
        g_autoptr(GError) why = NULL;

        if (!json_parser_load_from_data(parser, g_variant_get_string(value, NULL), -1, &why))
                return config_value_refuse(error, key, "it is not JSON: %s", why->message);

        JsonNode *root = json_parser_get_root(parser);
        return (root && JSON_NODE_HOLDS_OBJECT(root)) || config_value_refuse(error, key, "it is not a JSON object; give one in { }");
}

static bool check_ulimits(const char *key, GVariant *value, GError **error) {
        guint32 seen = 0;

        for (gsize i = 0; i < g_variant_n_children(value); i++) {
                const char *name;
                guint64 soft, hard;

                g_variant_get_child(value, i, "(&stt)", &name, &soft, &hard);
                int resource = rlimit_from_name(name);
                if (resource < 0)
                        return config_value_refuse(error, key, "\"%s\" is no resource limit; give a name such as RLIMIT_NOFILE or nofile", name);
                if (seen & (1U << resource))
                        return config_value_refuse(error, key, "\"%s\" is given twice", name);
                seen |= 1U << resource;
                if (soft > hard)
                        return config_value_refuse(error, key, "the soft limit of \"%s\" is above the hard one", name);
        }
        return true;
}

/* podman's list: what belongs to the namespaces of ipc and network. */
static bool is_namespaced(const char *name) {
        static const char *const names[] = { "kernel.msgmax", "kernel.msgmnb", "kernel.msgmni", "kernel.sem", "kernel.shmall",
                                             "kernel.shmmax", "kernel.shmmni", "kernel.shm_rmid_forced", NULL };

        return g_strv_contains(names, name) || (g_str_has_prefix(name, "net.") && name[strlen("net.")]) ||
               (g_str_has_prefix(name, "fs.mqueue.") && name[strlen("fs.mqueue.")]);
}

static bool check_sysctls(const char *key, GVariant *value, GError **error) {
        GVariantIter iter;
        const char *name, *setting;

        g_variant_iter_init(&iter, value);
        while (g_variant_iter_next(&iter, "{&s&s}", &name, &setting)) {
                if (!is_namespaced(name) || strchr(name, '/') || strstr(name, ".."))
                        return config_value_refuse(error, key, "\"%s\" belongs to the whole machine; give kernel.shm*, kernel.msg*, kernel.sem, fs.mqueue.* or net.*", name);
                if (!*setting || strchr(setting, '\n'))
                        return config_value_refuse(error, key, "the value of \"%s\" is empty or has more than one line", name);
        }
        return true;
}

static bool check_restart_policy(const char *key, GVariant *value, GError **error) {
        const char *word = g_variant_get_string(value, NULL);
        Policy policy;

        return policy_from_string(word, &policy) || config_value_refuse(error, key, "\"%s\" is not known; give one of no, on-failure, always, unless-stopped", word);
}

static bool check_restart_sec(const char *key, GVariant *value, GError **error) {
        return config_value_check_usec(key, g_variant_get_uint64(value), USEC_PER_MSEC, error);
}

static bool check_start_timeout(const char *key, GVariant *value, GError **error) {
        guint64 usec = g_variant_get_uint64(value);

        return usec == 0 || config_value_check_usec(key, usec, USEC_PER_MSEC, error);
}

static bool check_signal(const char *key, GVariant *value, GError **error) {
        gint32 signal = g_variant_get_int32(value);

        return (signal >= 1 && signal <= 64) || config_value_refuse(error, key, "%d is no signal; give a number from 1 to 64", signal);
}

static bool check_notify(const char *key, GVariant *value, GError **error) {
        static const char *const words[] = { "started", "ready", "healthy", NULL };

        return config_value_check_word(key, g_variant_get_string(value, NULL), words, error);
}

static bool check_log_driver(const char *key, GVariant *value, GError **error) {
        static const char *const words[] = { "k8s-file", "journald", "none", "passthrough", NULL };

        return config_value_check_word(key, g_variant_get_string(value, NULL), words, error);
}

static bool check_log_size(const char *key, GVariant *value, GError **error) {
        guint64 size = g_variant_get_uint64(value);

        return size == 0 || check_range(key, size, LOG_SIZE_MIN, G_MAXINT64, error);
}

static bool check_log_files(const char *key, GVariant *value, GError **error) {
        return check_range(key, g_variant_get_uint32(value), LOG_FILES_MIN, LOG_FILES_MAX, error);
}

static bool check_depends(const char *key, GVariant *value, GError **error) {
        g_autofree const char **names = g_variant_get_strv(value, NULL);

        for (unsigned i = 0; names[i]; i++)
                if (!*names[i])
                        return config_value_refuse(error, key, "an empty text names no container; give names or ids");
        return true;
}

static bool check_runtime(const char *key, GVariant *value, GError **error) {
        static const char *const words[] = { "crun", NULL };

        return config_value_check_word(key, g_variant_get_string(value, NULL), words, error);
}

bool config_value_check(const char *key, GVariant *value, GError **error) {
        static const struct {
                const char *key;
                bool (*check)(const char *key, GVariant *value, GError **error);
        } rules[] = {
                { "rootfs", check_path },
                { "rootfs-mode", check_rootfs_mode },
                { "env", check_env },
                { "unset-env", check_env_names },
                { "user", check_user },
                { "cwd", check_path },
                { "hostname", check_hostname },
                { "labels", check_labels },
                { "annotations", check_labels },
                { "mounts", check_mounts },
                { "volumes", volume_check_value },
                { "devices", check_devices },
                { "network", check_network },
                { "cap-add", check_capabilities },
                { "cap-drop", check_capabilities },
                { "seccomp", check_seccomp },
                { "userns", check_userns },
                { "uid-map", check_id_map },
                { "gid-map", check_id_map },
                { "pids", check_pids },
                { "memory", check_memory },
                { "memory-high", check_memory },
                { "cpu-quota-usec", check_cpu_quota },
                { "cpu-weight", check_cpu_weight },
                { "resources", check_json },
                { "ulimits", check_ulimits },
                { "sysctls", check_sysctls },
                { "secrets", secret_check_value },
                { "credentials", secret_check_credentials },
                { "restart-policy", check_restart_policy },
                { "restart-sec-usec", check_restart_sec },
                { "start-timeout-usec", check_start_timeout },
                { "stop-signal", check_signal },
                { "notify", check_notify },
                { "log-driver", check_log_driver },
                { "log-size-max", check_log_size },
                { "log-max-files", check_log_files },
                { "slice", config_unit_check_slice },
                { "unit-properties", config_unit_check_properties },
                { "depends", check_depends },
                { "runtime", check_runtime },
                { "oci-spec-patch", check_json },
        };

        for (unsigned i = 0; i < G_N_ELEMENTS(rules); i++)
                if (g_str_equal(rules[i].key, key))
                        return rules[i].check(key, value, error);
        return true;
}
