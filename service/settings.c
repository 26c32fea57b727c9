/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* conbus.conf(5): sections and keys as in the example that is installed. */

#include "settings.h"
#include "base/log.h"
#include "model/config-unit.h"
#include <stdlib.h>

#define FILE_PATH "/etc/conbus/conbus.conf"

/* What has been read is taken out of the file; so what is left in the end is nothing that this version knows. */
static char *take(GKeyFile *file, const char *group, const char *key) {
        char *word = g_key_file_get_string(file, group, key, NULL);

        (void) g_key_file_remove_key(file, group, key, NULL);
        return word;
}

static void read_number(GKeyFile *file, const char *path, const char *group, const char *key, guint64 *number) {
        g_autoptr(GError) error = NULL;

        if (!g_key_file_has_key(file, group, key, NULL))
                return;
        g_autofree char *word = take(file, group, key);
        if (word && g_str_equal(g_strstrip(word), "infinity"))
                *number = UINT64_MAX;
        else if (!word || !g_ascii_string_to_unsigned(word, 10, 0, G_MAXUINT64, number, &error))
                log_warning("%s: %s in [%s]: %s; give a number or infinity; what counted before counts", path, key, group, error ? error->message : "it is no text");
}

static void read_slice(GKeyFile *file, const char *path, Settings *settings) {
        g_autoptr(GError) error = NULL;
        g_autofree char *word = take(file, "Service", "Slice");
        g_autoptr(GVariant) value = word ? g_variant_ref_sink(g_variant_new_string(g_strstrip(word))) : NULL;

        if (value && !config_unit_check_slice("Slice", value, &error))
                log_warning("%s: %s; what counted before counts", path, error->message);
        else if (value)
                g_strlcpy(settings->slice, word, sizeof settings->slice);
}

static void tell_unknown(GKeyFile *file, const char *path) {
        g_auto(GStrv) groups = g_key_file_get_groups(file, NULL);

        for (char **group = groups; *group; group++) {
                g_auto(GStrv) keys = g_key_file_get_keys(file, *group, NULL, NULL);
                for (char **key = keys; key && *key; key++)
                        log_warning("%s: %s in [%s] is no setting that this version knows; it is ignored", path, *key, *group);
        }
}

static void read_file(const char *path, Settings *settings) {
        g_autoptr(GKeyFile) file = g_key_file_new();
        g_autoptr(GError) error = NULL;
        guint64 operations = settings->operations_max, launches = settings->launches_max, waits = settings->waits_per_caller, checks = settings->checks_per_user, jobs = settings->jobs.unfinished_per_caller, processes = settings->processes_per_user, streams = settings->streams_per_user, queued = settings->operations_per_user;

        if (!g_key_file_load_from_file(file, path, G_KEY_FILE_NONE, &error)) {
                if (!g_error_matches(error, G_FILE_ERROR, G_FILE_ERROR_NOENT))
                        log_warning("%s: %s", path, error->message);
                return;
        }
        read_slice(file, path, settings);
        read_number(file, path, "Service", "IdleExitUSec", &settings->idle_exit_usec);
        read_number(file, path, "Service", "OperationsMax", &operations);
        read_number(file, path, "Service", "WaitsPerCaller", &waits);
        read_number(file, path, "Service", "ChecksPerUser", &checks);
        read_number(file, path, "Service", "JobsPerCaller", &jobs);
        read_number(file, path, "Service", "JobKeepUSec", &settings->jobs.keep_usec);
        read_number(file, path, "Service", "StreamsPerUser", &streams);
        read_number(file, path, "Service", "LaunchesMax", &launches);
        read_number(file, path, "Service", "OperationsPerUser", &queued);
        read_number(file, path, "Service", "ProcessesPerUser", &processes);
        read_number(file, path, "Service", "ProcessKeepUSec", &settings->process_keep_usec);
        read_number(file, path, "Service", "ExitFileUSec", &settings->exit_file_usec);
        read_number(file, path, "Service", "KillUSec", &settings->kill_usec);
        read_number(file, path, "Service", "CreateUSec", &settings->create_usec);
        read_number(file, path, "Service", "RuntimeUSec", &settings->runtime_usec);
        read_number(file, path, "Restart", "BackoffMaxUSec", &settings->backoff_max_usec);
        read_number(file, path, "Restart", "BackoffResetUSec", &settings->backoff_reset_usec);
        read_number(file, path, "Runs", "KeepUSec", &settings->limits.runs_usec);
        read_number(file, path, "Runs", "KeepCount", &settings->limits.runs_count);
        read_number(file, path, "Events", "KeepUSec", &settings->limits.events_usec);
        read_number(file, path, "Events", "KeepCount", &settings->limits.events_count);
        tell_unknown(file, path);
        settings->operations_max = (unsigned) CLAMP(operations, 1, 4096);
        settings->launches_max = (unsigned) MIN(launches, 4096);
        settings->waits_per_caller = (unsigned) CLAMP(waits, 1, 1000000);
        settings->checks_per_user = (unsigned) CLAMP(checks, 1, 1000000);
        settings->jobs.unfinished_per_caller = (unsigned) CLAMP(jobs, 1, 1000000);
        settings->streams_per_user = (unsigned) CLAMP(streams, 1, 1000000);
        settings->processes_per_user = (unsigned) CLAMP(processes, 1, 1000000);
        settings->operations_per_user = (unsigned) CLAMP(queued, 1, 1000000);
}

static int compare_names(const void *a, const void *b) {
        return g_strcmp0(*(const char *const *) a, *(const char *const *) b);
}

static void read_dropins(const char *file, Settings *settings) {
        g_autofree char *path = g_strconcat(file, ".d", NULL);
        g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
        g_autoptr(GDir) directory = g_dir_open(path, 0, NULL);

        for (const char *name = directory ? g_dir_read_name(directory) : NULL; name; name = g_dir_read_name(directory))
                if (g_str_has_suffix(name, ".conf"))
                        g_ptr_array_add(names, g_build_filename(path, name, NULL));
        g_ptr_array_sort(names, compare_names);
        for (guint i = 0; i < names->len; i++)
                read_file(names->pdata[i], settings);
}

void settings_load(Settings *settings) {
        const char *other = getenv("CONBUS_CONFIG"), *file = other ? other : FILE_PATH;

        settings_init(settings);
        read_file(file, settings);
        read_dropins(file, settings);
}
