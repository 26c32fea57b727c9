/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The words of a volume. Anonymous ones are called by the container's id and a checksum of the target, so that no other container can name them and each run finds its own. */

#include "model/volume.h"
#include "model/config-value.h"
#include <string.h>

#define ID_LENGTH 64

static const struct {
        const char *word, *opposite; /* both may not be given */
} words[] = {
        {"ro", "rw"}, {"rw", "ro"}, {"nocopy", "copy"}, {"copy", "nocopy"}, {"exec", "noexec"}, {"noexec", "exec"}, {"suid", "nosuid"}, {"nosuid", "suid"}, {"dev", "nodev"}, {"nodev", "dev"},
};

void volume_clear(Volume *volume) {
        g_clear_pointer(&volume->name, g_free);
        g_clear_pointer(&volume->target, g_free);
        g_clear_pointer(&volume->options, g_ptr_array_unref);
}

static bool is_anonymous(const char *name) {
        return strspn(name, "0123456789abcdef") == ID_LENGTH && name[ID_LENGTH] == '.';
}

bool volume_is_name(const char *name) {
        return config_value_is_name(name, 253) && !is_anonymous(name);
}

char *volume_anonymous_name(const char *container_id, const char *target) {
        g_autofree char *sum = g_compute_checksum_for_string(G_CHECKSUM_SHA256, target, -1);

        return g_strdup_printf("%s.%.16s", container_id, sum);
}

static bool check_words(const char *text, char **given, GError **error) {
        for (char **option = given; *option; option++) {
                gsize i = 0;
                while (i < G_N_ELEMENTS(words) && !g_str_equal(words[i].word, *option))
                        i++;
                if (i == G_N_ELEMENTS(words))
                        return config_value_refuse(error, "volumes", "\"%s\" has the option \"%s\", which is not known; give some of ro, rw, copy, nocopy, exec, noexec, suid, nosuid, dev and nodev, with commas", text, *option);
                if (g_strv_contains((const char *const *) given, words[i].opposite))
                        return config_value_refuse(error, "volumes", "\"%s\" has both %s and %s", text, words[i].word, words[i].opposite);
        }
        return true;
}

static bool has(char **given, const char *word) {
        return g_strv_contains((const char *const *) given, word);
}

/* Devices and set-user-id files of a volume are of no use but to break out with, so whoever wants them says so. */
static void set_options(Volume *volume, char **given) {
        const char *const options[] = {"rbind", "rprivate", volume->read_only ? "ro" : "rw", has(given, "noexec") ? "noexec" : "exec", has(given, "suid") ? "suid" : "nosuid", has(given, "dev") ? "dev" : "nodev", NULL};

        volume->options = g_ptr_array_new();
        for (gsize i = 0; i < G_N_ELEMENTS(options); i++)
                g_ptr_array_add(volume->options, (char *) options[i]);
}

/* An absolute path begins each target, and nothing else. */
bool volume_parse(const char *text, Volume *ret, GError **error) {
        g_auto(GStrv) parts = g_strsplit(text, ":", -1);
        unsigned n = g_strv_length(parts), at = n > 0 && *parts[0] != '/' ? 1 : 0;
        const char *target = at < n ? parts[at] : "";

        if (*target != '/' || n > at + 2)
                return config_value_refuse(error, "volumes", "\"%.300s\" is no volume; give [NAME:]TARGET[:OPTIONS], the target as an absolute path without colons", text);
        if (at == 1 && !volume_is_name(parts[0]))
                return config_value_refuse(error, "volumes", "\"%.300s\" cannot be the name of a volume; it takes 1 to 253 of A-Z a-z 0-9 _ . - and begins with a letter or digit; a directory of the host's is a mount", parts[0]);
        if (!config_value_check_path("volumes", target, error))
                return false;
        g_autofree char *clean = g_canonicalize_filename(target, "/");
        g_auto(GStrv) given = g_strsplit(at + 1 < n ? parts[at + 1] : "", ",", -1);
        if (g_str_equal(clean, "/"))
                return config_value_refuse(error, "volumes", "nothing can be mounted over the root; set rootfs instead");
        if (!check_words(text, given, error))
                return false;
        *ret = (Volume) {.name = at == 1 ? g_strdup(parts[0]) : NULL, .target = g_steal_pointer(&clean), .read_only = has(given, "ro"), .copy = !has(given, "nocopy")};
        set_options(ret, given);
        return true;
}

bool volume_check_value(const char *key, GVariant *value, GError **error) {
        g_autofree const char **entries = g_variant_get_strv(value, NULL);

        for (gsize i = 0; entries[i]; i++) {
                g_auto(Volume) volume = {0};
                if (!volume_parse(entries[i], &volume, error))
                        return false;
        }
        return true;
}
