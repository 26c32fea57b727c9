/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a secret and a credential may be called, and where a secret goes. */

#include "model/secret.h"
#include "model/config-value.h"
#include <string.h>

#define DEFAULT_MODE 0444

void secret_init(Secret *secret, GVariant *entry) {
        const char *target = NULL;

        *secret = (Secret) {.name = "", .mode = DEFAULT_MODE, .number = -1};
        g_variant_lookup(entry, "name", "&s", &secret->name);
        g_variant_lookup(entry, "target", "&s", &target);
        g_variant_lookup(entry, "uid", "u", &secret->uid);
        g_variant_lookup(entry, "gid", "u", &secret->gid);
        g_variant_lookup(entry, "mode", "u", &secret->mode);
        g_variant_lookup(entry, "value-fd", "h", &secret->number);
        secret->target = g_canonicalize_filename(target ? target : secret->name, SECRETS_DIRECTORY);
}

void secret_clear(Secret *secret) {
        g_clear_pointer(&secret->target, g_free);
}

static bool check_target(GVariant *entry, GError **error) {
        const char *target;

        if (!g_variant_lookup(entry, "target", "&s", &target))
                return true;
        g_auto(GStrv) parts = g_strsplit(target, "/", -1);
        if (!*target || g_str_has_suffix(target, "/") || g_strv_contains((const char *const *) parts, "..") || g_strv_contains((const char *const *) parts, "."))
                return config_value_refuse(error, "secrets/target", "\"%s\" is no path of a file; give one without . and .., absolute or below " SECRETS_DIRECTORY, target);
        return true;
}

static bool check_entry(const char *key, GVariant *entry, GHashTable *targets, GError **error) {
        g_auto(Secret) secret = {0};

        if (!config_value_check_keys(entry, conbus_secrets_keys, key, CONFIG_KEY_CREATE, error) || !check_target(entry, error))
                return false;
        secret_init(&secret, entry);
        if (!config_value_is_name(secret.name, 253))
                return config_value_refuse(error, "secrets/name", "\"%.300s\" cannot be a name; it takes 1 to 253 of A-Z a-z 0-9 _ . - and begins with a letter or digit", secret.name);
        if (!g_variant_lookup(entry, "value-fd", "h", NULL))
                return config_value_refuse(error, "secrets/value-fd", "\"%s\" has no value; give a descriptor that it can be read from", secret.name);
        if (secret.mode > 0777)
                return config_value_refuse(error, "secrets/mode", "%o is no mode; give read, write and execute bits alone, as 0400", secret.mode);
        if (!g_hash_table_add(targets, g_strdup(secret.target)))
                return config_value_refuse(error, "secrets/target", "two secrets have the target \"%s\"", secret.target);
        return true;
}

bool secret_check_value(const char *key, GVariant *value, GError **error) {
        g_autoptr(GHashTable) targets = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);

        for (gsize i = 0; i < g_variant_n_children(value); i++) {
                g_autoptr(GVariant) entry = g_variant_get_child_value(value, i);
                if (!check_entry(key, entry, targets, error))
                        return false;
        }
        return true;
}

/* systemd.exec(5): the names of files, without what separates names elsewhere. */
static bool is_credential(const char *name) {
        gsize length = strlen(name);
        bool good = length > 0 && length <= 255 && !g_str_equal(name, ".") && !g_str_equal(name, "..");

        for (gsize i = 0; good && i < length; i++)
                good = g_ascii_isgraph(name[i]) && !strchr("/:", name[i]);
        return good;
}

bool secret_check_credentials(const char *key, GVariant *value, GError **error) {
        g_autofree const char **names = g_variant_get_strv(value, NULL);

        for (gsize i = 0; names[i]; i++) {
                if (!is_credential(names[i]))
                        return config_value_refuse(error, key, "\"%.300s\" cannot be the name of a credential; see systemd.exec(5)", names[i]);
                for (gsize j = 0; j < i; j++)
                        if (g_str_equal(names[i], names[j]))
                                return config_value_refuse(error, key, "\"%s\" is given twice", names[i]);
        }
        return true;
}
