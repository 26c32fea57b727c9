/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A configuration as a whole: which keys, the rules between them, reading it, changing it, its text. The rules for single values are in config-value.c. */

#include "model/config.h"
#include "model/config-value.h"
#include "model/id-map.h"
#include "model/secret.h"
#include "model/state.h"
#include "model/volume.h"

/* The whole row is written at each change of the configuration, and every reader gets it whole. */
#define CONFIG_SIZE_MAX (1024 * 1024)

G_STATIC_ASSERT(1 << CONFIG_CREATE == CONFIG_KEY_CREATE);
G_STATIC_ASSERT(1 << CONFIG_BUNDLE == CONFIG_KEY_BUNDLE);
G_STATIC_ASSERT(1 << CONFIG_UPDATE == CONFIG_KEY_UPDATE);

static bool is_given(GVariant *config, const char *key) {
        g_autoptr(GVariant) value = g_variant_lookup_value(config, key, NULL);

        return value != NULL;
}

static bool check_values(GVariant *config, ConfigUse use, GError **error) {
        GVariantIter iter;
        const char *key;
        GVariant *child;

        g_variant_iter_init(&iter, config);
        while (g_variant_iter_next(&iter, "{&sv}", &key, &child)) {
                g_autoptr(GVariant) value = child;

                if (g_str_equal(key, "health") ? !config_health_check(value, 1 << use, error) : !config_value_check(key, value, error))
                        return false;
        }
        return true;
}

static bool check_restart(GVariant *config, ConfigUse use, GError **error) {
        const char *policy = config_string(config, "restart-policy", use == CONFIG_UPDATE ? "on-failure" : "no");

        if (config_uint32(config, "restart-max", 0) > 0 && !g_str_equal(policy, "on-failure"))
                return config_value_refuse(error, "restart-max", "it only counts with the restart-policy on-failure, not with \"%s\"", policy);
        return true;
}

/* crun sets a container up as root of its user namespace. */
static bool check_map(GVariant *config, const char *key, GError **error) {
        g_autoptr(GVariant) map = config_value(config, key);
        guint32 root;

        return id_map_find(map, 0, &root) || config_value_refuse(error, key, "the ranges do not map 0; a container needs its root");
}

static bool check_namespaces(GVariant *config, GError **error) {
        const char *network = config_string(config, "network", "private");

        if (is_given(config, "netns-fd") && is_given(config, "network"))
                return config_value_refuse(error, "netns-fd", "it stands in place of network; give one of them");
        if (is_given(config, "uid-map") != is_given(config, "gid-map"))
                return config_value_refuse(error, is_given(config, "uid-map") ? "uid-map" : "gid-map", "uid-map and gid-map come together");
        if (is_given(config, "uid-map") && g_str_equal(config_string(config, "userns", ""), "host"))
                return config_value_refuse(error, "userns", "host has no uid-map; leave userns empty");
        if (!check_map(config, "uid-map", error) || !check_map(config, "gid-map", error))
                return false;

        g_autoptr(GVariant) sysctls = config_value(config, "sysctls");
        GVariantIter iter;
        const char *name;

        if (!sysctls || !g_str_equal(network, "host"))
                return true;
        g_variant_iter_init(&iter, sysctls);
        while (g_variant_iter_next(&iter, "{&s&s}", &name, NULL))
                if (g_str_has_prefix(name, "net.") || g_str_has_prefix(name, "net/"))
                        return config_value_refuse(error, "sysctls", "\"%s\" would change the host, since network is host", name);
        return true;
}

static bool add_target(GHashTable *targets, const char *key, const char *target, GError **error) {
        return g_hash_table_add(targets, g_canonicalize_filename(target, "/")) || config_value_refuse(error, key, "something else has the target \"%s\" already", target);
}

static bool check_secret(GVariant *config, GHashTable *targets, const Secret *secret, GError **error) {
        guint32 uid, gid;

        if (!config_find_host_ids(config, secret->uid, secret->gid, &uid, &gid))
                return config_value_refuse(error, "secrets/uid", "uid-map and gid-map do not map %u and %u, to whom \"%s\" is to belong", secret->uid, secret->gid, secret->name);
        return add_target(targets, "secrets/target", secret->target, error);
}

/* What is mounted on one place twice is seen once. */
static bool check_targets(GVariant *config, GError **error) {
        g_autoptr(GVariant) mounts = config_value(config, "mounts"), secrets = config_value(config, "secrets");
        g_autoptr(GHashTable) targets = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);

        for (gsize i = 0; mounts && i < g_variant_n_children(mounts); i++) {
                g_autoptr(GVariant) mount = g_variant_get_child_value(mounts, i);
                if (!add_target(targets, "mounts/target", config_string(mount, "target", ""), error))
                        return false;
        }
        g_autofree const char **volumes = config_strv(config, "volumes");
        for (gsize i = 0; volumes && volumes[i]; i++) {
                g_auto(Volume) volume = {0};
                if (!volume_parse(volumes[i], &volume, error) || !add_target(targets, "volumes", volume.target, error))
                        return false;
        }
        g_autofree const char **credentials = config_strv(config, "credentials");
        if (credentials && credentials[0] && !add_target(targets, "credentials", CREDENTIALS_DIRECTORY, error))
                return false;
        for (gsize i = 0; secrets && i < g_variant_n_children(secrets); i++) {
                g_autoptr(GVariant) entry = g_variant_get_child_value(secrets, i);
                g_auto(Secret) secret = {0};
                secret_init(&secret, entry);
                if (!check_secret(config, targets, &secret, error))
                        return false;
        }
        return true;
}

static bool check_memory(GVariant *config, GError **error) {
        guint64 high = config_uint64(config, "memory-high", 0), max = config_uint64(config, "memory", G_MAXUINT64);

        return high <= max ||
               config_value_refuse(error, "memory-high", "%" G_GUINT64_FORMAT " is above memory, %" G_GUINT64_FORMAT ", and would have no effect", high, max);
}

static bool check_notify(GVariant *config, GError **error) {
        g_autoptr(GVariant) health = config_value(config, "health");
        g_autofree const char **test = NULL;

        if (!g_str_equal(config_string(config, "notify", "started"), "healthy"))
                return true;
        if (health && g_variant_lookup(health, "test", "^a&s", &test) && test[0] && !g_str_equal(test[0], "NONE"))
                return true;
        return config_value_refuse(error, "notify", "healthy needs a health check; give health with a test");
}

bool config_check(GVariant *config, ConfigUse use, GError **error) {
        g_assert(g_variant_is_of_type(config, G_VARIANT_TYPE_VARDICT));
        /* In serialised form the strings that the accessors return live as long as the configuration. */
        g_variant_get_data(config);
        if (g_variant_get_size(config) > CONFIG_SIZE_MAX)
                return error_set(error, CONBUS_ERROR_INVALID_CONFIG, "the configuration takes %" G_GSIZE_FORMAT " bytes; at most %d are kept", g_variant_get_size(config), CONFIG_SIZE_MAX);
        return config_value_check_keys(config, conbus_config_keys, "", 1 << use, error) && check_values(config, use, error) &&
               check_restart(config, use, error) && check_namespaces(config, error) && check_targets(config, error) && check_memory(config, error) &&
               (use == CONFIG_UPDATE || check_notify(config, error));
}

bool config_check_complete(GVariant *config, GError **error) {
        g_autofree const char **entrypoint = config_strv(config, "entrypoint");
        g_autofree const char **command = config_strv(config, "command");
        const char *program = entrypoint && entrypoint[0] ? entrypoint[0] : command ? command[0] : NULL;

        if (!is_given(config, "rootfs"))
                return config_value_refuse(error, "rootfs", "it is missing; give the absolute path of a directory");
        if (!program)
                return config_value_refuse(error, "command", "there is no command; give command, entrypoint or both");
        return *program || config_value_refuse(error, entrypoint && entrypoint[0] ? "entrypoint" : "command", "the program is an empty text");
}

char *config_clean_path(const char *path) {
        return g_canonicalize_filename(path + strspn(path, "/"), "/");
}

bool config_check_name(const char *name, GError **error) {
        if (!config_value_is_name(name, 255))
                return error_set(error, CONBUS_ERROR_INVALID_NAME,
                                 "\"%.300s\" cannot be a name: it takes 1 to 255 of A-Z a-z 0-9 _ . - and begins with a letter or digit", name);
        if (g_str_equal(name, "self"))
                return error_set(error, CONBUS_ERROR_INVALID_NAME, "\"self\" cannot be a name: it stands for the caller's own container");
        if (strlen(name) == 64 && strspn(name, "0123456789abcdefABCDEF") == 64)
                return error_set(error, CONBUS_ERROR_INVALID_NAME, "\"%s\" cannot be a name: 64 hexadecimal digits are an id", name);
        return true;
}

/* A full reference in serialised form, as config_check leaves it. */
static GVariant *dict_end(GVariantDict *dict) {
        GVariant *config = g_variant_ref_sink(g_variant_dict_end(dict));

        g_variant_get_data(config);
        return config;
}

static GVariant *merge_health(GVariant *health, GVariant *changes) {
        GVariantDict dict;
        GVariantIter iter;
        const char *key;
        GVariant *value;
        gboolean disable = FALSE;

        if (g_variant_lookup(changes, "disable", "b", &disable) && disable)
                return g_variant_ref(changes);
        g_variant_dict_init(&dict, health);
        g_variant_dict_remove(&dict, "disable");
        g_variant_iter_init(&iter, changes);
        while (g_variant_iter_next(&iter, "{&sv}", &key, &value)) {
                g_variant_dict_insert_value(&dict, key, value);
                g_variant_unref(value);
        }
        return g_variant_ref_sink(g_variant_dict_end(&dict));
}

GVariant *config_merge(GVariant *config, GVariant *changes) {
        GVariantDict dict;
        GVariantIter iter;
        const char *key;
        GVariant *child;

        g_variant_dict_init(&dict, config);
        if (is_given(changes, "restart-policy"))
                g_variant_dict_remove(&dict, "restart-max");
        g_variant_iter_init(&iter, changes);
        while (g_variant_iter_next(&iter, "{&sv}", &key, &child)) {
                g_autoptr(GVariant) value = child;
                g_autoptr(GVariant) old = g_str_equal(key, "health") ? config_value(config, "health") : NULL;
                g_autoptr(GVariant) merged = old ? merge_health(old, value) : g_variant_ref(value);

                g_variant_dict_insert_value(&dict, key, merged);
        }
        return dict_end(&dict);
}

/* The configuration that was looked at last, taken apart: an object has a dozen properties that come from its configuration, and they are asked for together. A search in the serialised form costs a microsecond for each key that it passes. */
typedef struct Entry {
        const char *key;
        GVariant *value;
} Entry;

static void entry_clear(void *entry) {
        g_variant_unref(((Entry *) entry)->value);
}

static GArray *take_apart(GVariant *config) {
        static GVariant *last;
        static GArray *entries;
        GVariantIter iter;
        Entry entry;

        if (config == last)
                return entries;
        if (!entries) {
                entries = g_array_new(FALSE, FALSE, sizeof(Entry));
                g_array_set_clear_func(entries, entry_clear);
        }
        g_array_set_size(entries, 0);
        if (last)
                g_variant_unref(last);
        last = g_variant_ref(config);
        (void) g_variant_get_data(config); /* in serialised form the keys live as long as it does */
        g_variant_iter_init(&iter, config);
        while (g_variant_iter_next(&iter, "{&sv}", &entry.key, &entry.value))
                g_array_append_val(entries, entry);
        return entries;
}

/* Borrowed, or NULL when the key is absent or of another type; type NULL takes any. */
static GVariant *find(GVariant *config, const char *key, const char *type) {
        const GArray *entries = take_apart(config);

        for (guint i = 0; i < entries->len; i++) {
                const Entry *entry = &g_array_index(entries, Entry, i);
                if (g_str_equal(entry->key, key))
                        return !type || g_variant_is_of_type(entry->value, G_VARIANT_TYPE(type)) ? entry->value : NULL;
        }
        return NULL;
}

const char *config_string(GVariant *config, const char *key, const char *absent) {
        GVariant *value = find(config, key, "s");

        return value ? g_variant_get_string(value, NULL) : absent;
}

bool config_bool(GVariant *config, const char *key, bool absent) {
        GVariant *value = find(config, key, "b");

        return value ? g_variant_get_boolean(value) : absent;
}

guint64 config_uint64(GVariant *config, const char *key, guint64 absent) {
        GVariant *value = find(config, key, "t");

        return value ? g_variant_get_uint64(value) : absent;
}

guint32 config_uint32(GVariant *config, const char *key, guint32 absent) {
        GVariant *value = find(config, key, "u");

        return value ? g_variant_get_uint32(value) : absent;
}

gint32 config_int32(GVariant *config, const char *key, gint32 absent) {
        GVariant *value = find(config, key, "i");

        return value ? g_variant_get_int32(value) : absent;
}

const char **config_strv(GVariant *config, const char *key) {
        GVariant *value = find(config, key, "as");

        return value ? g_variant_get_strv(value, NULL) : NULL;
}

GVariant *config_value(GVariant *config, const char *key) {
        GVariant *value = find(config, key, NULL);

        return value ? g_variant_ref(value) : NULL;
}

bool config_find_host_ids(GVariant *config, guint32 uid, guint32 gid, guint32 *ret_uid, guint32 *ret_gid) {
        g_autoptr(GVariant) uid_map = config_value(config, "uid-map"), gid_map = config_value(config, "gid-map");

        return id_map_find(uid_map, uid, ret_uid) && id_map_find(gid_map, gid, ret_gid);
}

bool options_check(GVariant *options, const OptionKey *known, GError **error) {
        static const OptionKey common = { "reply-timeout-usec", "t" };
        GVariantIter iter;
        const char *key;
        GVariant *child;

        g_variant_iter_init(&iter, options);
        while (g_variant_iter_next(&iter, "{&sv}", &key, &child)) {
                g_autoptr(GVariant) value = child;
                const OptionKey *option = known;

                if (g_str_has_prefix(key, "x-"))
                        continue;
                while (option->key && !g_str_equal(option->key, key))
                        option++;
                if (!option->key && g_str_equal(key, common.key))
                        option = &common;
                if (!option->key)
                        return error_set(error, CONBUS_ERROR_UNKNOWN_OPTION, "option \"%s\" is not known here", key);
                if (!g_variant_is_of_type(value, G_VARIANT_TYPE(option->type)))
                        return error_set(error, CONBUS_ERROR_INVALID_ARGS, "option \"%s\" has the type %s; it takes %s", key,
                                         g_variant_get_type_string(value), option->type);
        }
        return true;
}

char *config_to_text(GVariant *config) {
        return g_variant_print(config, TRUE);
}

GVariant *config_from_text(const char *text, GError **error) {
        g_autoptr(GError) why = NULL;
        g_autoptr(GVariant) config = g_variant_parse(G_VARIANT_TYPE_VARDICT, text, NULL, NULL, &why);

        if (!config) {
                error_set(error, CONBUS_ERROR_STORAGE_CORRUPT, "read a stored configuration: %s", why->message);
                return NULL;
        }
        g_variant_get_data(config);
        return g_steal_pointer(&config);
}
