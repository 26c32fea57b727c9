/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Reads the text of a profile and puts what a creator asks for over it. */

#include "model/profile.h"
#include "model/config-value.h"
#include <string.h>

#define CONTAINERS_PER_USER 16
#define PROFILE_GROUP "Profile"
#define CONFIG_GROUP "Config"
#define MAXIMUM_GROUP "Maximum"

void profile_free(Profile *profile) {
        if (!profile)
                return;
        g_free(profile->name);
        g_strfreev(profile->users);
        g_strfreev(profile->groups);
        g_strfreev(profile->rootfs);
        g_clear_pointer(&profile->open, g_hash_table_unref);
        g_clear_pointer(&profile->maxima, g_hash_table_unref);
        g_clear_pointer(&profile->config, g_variant_unref);
        g_free(profile);
}

static const ConfigKey *find_key(const ConfigKey *keys, const char *name) {
        for (; keys->name; keys++)
                if (g_str_equal(keys->name, name))
                        return keys;
        return NULL;
}

/* --- reading --- */

static bool fault(GError **error, const char *format, ...) G_GNUC_PRINTF(2, 3);
static bool fault(GError **error, const char *format, ...) {
        va_list arguments;

        va_start(arguments, format);
        g_autofree char *text = g_strdup_vprintf(format, arguments);
        va_end(arguments);
        return error_set(error, CONBUS_ERROR_INVALID_CONFIG, "%s", text);
}

/* A key that a profile may deal with; creation alone takes profiles. */
static const ConfigKey *read_key(const char *group, const char *name, GError **error) {
        const ConfigKey *key = g_str_equal(name, "profile") ? NULL : find_key(conbus_config_keys, name);

        if (key && (key->uses & CONFIG_KEY_CREATE))
                return key;
        fault(error, "[%s]: \"%s\" is no key of a configuration that a profile can have", group, name);
        return NULL;
}

static char **read_list(GKeyFile *file, const char *name) {
        char **list = g_key_file_get_string_list(file, PROFILE_GROUP, name, NULL, NULL);

        return list ? list : g_new0(char *, 1);
}

static bool read_open(Profile *profile, GKeyFile *file, const char *name, bool as_root, GError **error) {
        g_auto(GStrv) words = read_list(file, name);

        for (char **word = words; *word; word++) {
                const ConfigKey *key = read_key(PROFILE_GROUP, *word, error);
                if (!key)
                        return false;
                if ((key->uses & CONFIG_KEY_ROOT) && !as_root)
                        return fault(error, "[%s]: to open the key \"%s\" is as much as to give root; say so with OpenAsRoot", PROFILE_GROUP, *word);
                g_hash_table_add(profile->open, (char *) key->name);
        }
        return true;
}

static bool check_rootfs(const Profile *profile, GError **error) {
        bool open = g_hash_table_contains(profile->open, "rootfs");

        if (open != (profile->rootfs[0] != NULL))
                return fault(error, "[%s]: the open key rootfs and the list Rootfs, of the directories that it may name, come together", PROFILE_GROUP);
        for (char **path = profile->rootfs; *path; path++)
                if (!config_value_check_path("Rootfs", *path, error))
                        return false;
        return true;
}

static bool read_profile_group(Profile *profile, GKeyFile *file, GError **error) {
        static const char *const known[] = {"Users", "Groups", "Open", "OpenAsRoot", "Rootfs", "ContainersPerUser", NULL};
        g_auto(GStrv) names = g_key_file_get_keys(file, PROFILE_GROUP, NULL, NULL);
        g_autofree char *number = g_key_file_get_string(file, PROFILE_GROUP, "ContainersPerUser", NULL);
        guint64 containers = CONTAINERS_PER_USER;

        for (char **name = names; name && *name; name++)
                if (!g_strv_contains(known, *name))
                        return fault(error, "[%s]: \"%s\" is not known; it can be Users, Groups, Open, OpenAsRoot, Rootfs or ContainersPerUser", PROFILE_GROUP, *name);
        if (number && !g_ascii_string_to_unsigned(number, 10, 0, G_MAXUINT, &containers, NULL))
                return fault(error, "[%s]: ContainersPerUser is \"%s\"; it takes a number", PROFILE_GROUP, number);
        profile->containers_per_user = (guint) containers;
        profile->users = read_list(file, "Users");
        profile->groups = read_list(file, "Groups");
        profile->rootfs = read_list(file, "Rootfs");
        return read_open(profile, file, "Open", false, error) && read_open(profile, file, "OpenAsRoot", true, error) && check_rootfs(profile, error);
}

/* A descriptor comes with a call; a number in a file would be taken for one of whoever calls. */
static bool has_handle(GVariant *value) {
        bool found = g_variant_is_of_type(value, G_VARIANT_TYPE_HANDLE);

        for (gsize i = 0; !found && g_variant_is_container(value) && i < g_variant_n_children(value); i++) {
                g_autoptr(GVariant) child = g_variant_get_child_value(value, i);
                found = has_handle(child);
        }
        return found;
}

static bool read_config_group(Profile *profile, GKeyFile *file, GError **error) {
        g_auto(GStrv) names = g_key_file_get_keys(file, CONFIG_GROUP, NULL, NULL);
        GVariantDict dict;

        g_variant_dict_init(&dict, NULL);
        for (char **name = names; name && *name; name++) {
                g_autoptr(GError) why = NULL;
                g_autofree char *text = g_key_file_get_value(file, CONFIG_GROUP, *name, NULL);
                const ConfigKey *key = read_key(CONFIG_GROUP, *name, error);
                g_autoptr(GVariant) value = key ? g_variant_parse(G_VARIANT_TYPE(key->type), text, NULL, NULL, &why) : NULL;
                if (!value) {
                        g_variant_dict_clear(&dict);
                        return key ? fault(error, "[%s]: the value of %s is no text of the type %s: %s", CONFIG_GROUP, *name, key->type, why->message) : false;
                }
                if (has_handle(value)) {
                        g_variant_dict_clear(&dict);
                        return fault(error, "[%s]: the value of %s has a descriptor in it, which only a call can bring", CONFIG_GROUP, *name);
                }
                g_variant_dict_insert_value(&dict, *name, value);
        }
        profile->config = g_variant_ref_sink(g_variant_dict_end(&dict));
        return true;
}

static bool read_maximum_group(Profile *profile, GKeyFile *file, GError **error) {
        g_auto(GStrv) names = g_key_file_get_keys(file, MAXIMUM_GROUP, NULL, NULL);

        for (char **name = names; name && *name; name++) {
                g_autofree char *text = g_key_file_get_string(file, MAXIMUM_GROUP, *name, NULL);
                const ConfigKey *key = read_key(MAXIMUM_GROUP, *name, error);
                guint64 maximum;
                if (!key)
                        return false;
                if (!g_hash_table_contains(profile->open, *name) || !strchr("tu", *key->type))
                        return fault(error, "[%s]: %s is no open key that takes a number", MAXIMUM_GROUP, *name);
                if (!text || !g_ascii_string_to_unsigned(text, 10, 1, *key->type == 't' ? G_MAXUINT64 : G_MAXUINT32, &maximum, NULL))
                        return fault(error, "[%s]: %s takes a number above 0", MAXIMUM_GROUP, *name);
                g_hash_table_insert(profile->maxima, (char *) key->name, g_memdup2(&maximum, sizeof maximum));
        }
        return true;
}

static bool check_groups(GKeyFile *file, GError **error) {
        g_auto(GStrv) groups = g_key_file_get_groups(file, NULL);

        for (char **group = groups; *group; group++)
                if (!g_str_equal(*group, PROFILE_GROUP) && !g_str_equal(*group, CONFIG_GROUP) && !g_str_equal(*group, MAXIMUM_GROUP))
                        return fault(error, "the section [%s] is not known; it can be [Profile], [Config] or [Maximum]", *group);
        return true;
}

Profile *profile_parse(const char *name, const char *text, GError **error) {
        g_autoptr(Profile) profile = g_new0(Profile, 1);
        g_autoptr(GKeyFile) file = g_key_file_new();
        g_autoptr(GError) why = NULL;

        profile->name = g_strdup(name);
        profile->open = g_hash_table_new(g_str_hash, g_str_equal);
        profile->maxima = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, g_free);
        if (!g_key_file_load_from_data(file, text, strlen(text), G_KEY_FILE_NONE, &why)) {
                fault(error, "%s", why->message);
                return NULL;
        }
        if (!check_groups(file, error) || !read_profile_group(profile, file, error) || !read_config_group(profile, file, error) || !read_maximum_group(profile, file, error))
                return NULL;
        return g_steal_pointer(&profile);
}

/* --- applying --- */

static bool refuse(const Profile *profile, const char *key, const char *why, GError **error) {
        return error_set(error, CONBUS_ERROR_ACCESS_DENIED, "configuration key \"%s\": %s the profile \"%s\"", key, why, profile->name);
}

/* An open key may have keys of its own that are not: a health check may not write to a directory of its choice, nor a secret lie over any file. */
static bool check_group(const Profile *profile, const char *group, const ConfigKey *keys, GVariant *dict, GError **error) {
        GVariantIter iter;
        const char *name;

        g_variant_iter_init(&iter, dict);
        while (g_variant_iter_next(&iter, "{&sv}", &name, NULL)) {
                const ConfigKey *key = find_key(keys, name);
                g_autofree char *title = g_strdup_printf("%s/%s", group, name);
                if (key && (key->uses & CONFIG_KEY_ROOT))
                        return refuse(profile, title, "it is not open to creators in", error);
        }
        return true;
}

static bool check_secrets(const Profile *profile, GVariant *secrets, GError **error) {
        for (gsize i = 0; i < g_variant_n_children(secrets); i++) {
                g_autoptr(GVariant) secret = g_variant_get_child_value(secrets, i);
                if (!check_group(profile, "secrets", conbus_secrets_keys, secret, error))
                        return false;
        }
        return true;
}

static bool check_open(const Profile *profile, const char *key, GVariant *value, GError **error) {
        if (g_str_equal(key, "profile") || g_str_has_prefix(key, "x-"))
                return true;
        if (!g_hash_table_contains(profile->open, key))
                return refuse(profile, key, "it is not opened by", error);
        if (g_str_equal(key, "health"))
                return check_group(profile, key, conbus_health_keys, value, error);
        return !g_str_equal(key, "secrets") || check_secrets(profile, value, error);
}

static bool check_path(const Profile *profile, const char *path, GError **error) {
        g_autofree char *above = g_path_get_dirname(path);

        for (char **allowed = profile->rootfs; *allowed; allowed++) {
                gsize length = strlen(*allowed) - (g_str_has_suffix(*allowed, "/") ? 1 : 0);
                const char *compared = (*allowed)[length] ? above : path;
                if (strlen(compared) == length && strncmp(compared, *allowed, length) == 0)
                        return true;
        }
        return refuse(profile, "rootfs", "the directory is not one of those in", error);
}

static bool check_maxima(const Profile *profile, GVariant *config, GError **error) {
        GHashTableIter iter;
        void *key, *maximum;

        g_hash_table_iter_init(&iter, profile->maxima);
        while (g_hash_table_iter_next(&iter, &key, &maximum)) {
                g_autoptr(GVariant) value = g_variant_lookup_value(config, key, NULL);
                guint64 number = g_variant_is_of_type(value, G_VARIANT_TYPE_UINT64) ? g_variant_get_uint64(value) : g_variant_get_uint32(value);
                if (number == 0 || number > *(guint64 *) maximum)
                        return config_value_refuse(error, key, "%" G_GUINT64_FORMAT " is not between 1 and %" G_GUINT64_FORMAT ", the most in the profile \"%s\"", number, *(guint64 *) maximum, profile->name);
        }
        return true;
}

/* What nobody gave would be without a limit: the maximum counts then. */
static GVariant *with_maxima(const Profile *profile, GVariant *config) {
        GHashTableIter iter;
        GVariantDict dict;
        void *key, *maximum;

        g_variant_dict_init(&dict, config);
        g_variant_dict_insert(&dict, "profile", "s", profile->name);
        g_hash_table_iter_init(&iter, profile->maxima);
        while (g_hash_table_iter_next(&iter, &key, &maximum)) {
                if (g_variant_dict_contains(&dict, key))
                        continue;
                if (*find_key(conbus_config_keys, key)->type == 't')
                        g_variant_dict_insert(&dict, key, "t", *(guint64 *) maximum);
                else
                        g_variant_dict_insert(&dict, key, "u", (guint32) *(guint64 *) maximum);
        }
        return g_variant_ref_sink(g_variant_dict_end(&dict));
}

GVariant *profile_apply(const Profile *profile, GVariant *given, GError **error) {
        GVariantIter iter;
        const char *key;
        GVariant *child;

        g_variant_iter_init(&iter, given);
        while (g_variant_iter_next(&iter, "{&sv}", &key, &child)) {
                g_autoptr(GVariant) value = child;
                if (!check_open(profile, key, value, error) || (g_str_equal(key, "rootfs") && !check_path(profile, g_variant_get_string(value, NULL), error)))
                        return NULL;
        }
        g_autoptr(GVariant) merged = config_merge(profile->config, given);
        g_autoptr(GVariant) whole = with_maxima(profile, merged);
        return check_maxima(profile, whole, error) ? g_steal_pointer(&whole) : NULL;
}
