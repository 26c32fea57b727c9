/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A file in a directory is appended to, and written anew with the entries that are kept once it has grown to twice as many, so that it stays as bounded as the memory. */

#include "operation/health-log.h"
#include "base/log.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define LINES_MIN 16 /* before a file is written anew */

static void entry_free(void *data) {
        HealthEntry *entry = data;

        g_free(entry->output);
        g_free(entry);
}

void health_log_init(HealthLog *log) {
        g_queue_init(&log->entries);
        log->n_bytes = 0;
        log->n_appended = 0;
}

void health_log_clear(HealthLog *log) {
        g_queue_clear_full(&log->entries, entry_free);
        log->n_bytes = 0;
}

static void push(HealthLog *log, guint64 start_usec, guint64 end_usec, int code, const char *output) {
        HealthEntry *entry = g_new0(HealthEntry, 1);

        *entry = (HealthEntry) {.start_usec = start_usec, .end_usec = end_usec, .code = code, .output = g_strdup(output)};
        log->n_bytes += strlen(output);
        g_queue_push_head(&log->entries, entry);
}

static void trim(HealthLog *log, guint32 count) {
        while ((count > 0 && log->entries.length > count) || (log->n_bytes > HEALTH_LOG_CAP && log->entries.length > 1)) {
                HealthEntry *oldest = g_queue_pop_tail(&log->entries);
                log->n_bytes -= strlen(oldest->output);
                entry_free(oldest);
        }
}

/* --- files --- */

static void append_line(GString *text, const HealthEntry *entry) {
        g_autofree char *escaped = g_strescape(entry->output, NULL);

        g_string_append_printf(text, "%" G_GUINT64_FORMAT " %" G_GUINT64_FORMAT " %d \"%s\"\n", entry->start_usec, entry->end_usec, entry->code, escaped);
}

static bool append_to_file(const char *path, const char *text, gsize size) {
        autofd int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

        return fd >= 0 && write(fd, text, size) == (ssize_t) size;
}

static bool replace_file(const char *path, const GString *text, GError **error) {
        return g_file_set_contents_full(path, text->str, (gssize) text->len, G_FILE_SET_CONTENTS_CONSISTENT, 0600, error);
}

static void write_file(HealthLog *log, Container *container, const HealthSettings *settings) {
        g_autofree char *path = g_strdup_printf("%s/%s-healthcheck.log", settings->log_destination, container->id);
        g_autoptr(GString) text = g_string_new(NULL);
        g_autoptr(GError) error = NULL;

        if (log->n_appended < 2 * MAX(log->entries.length, LINES_MIN)) {
                append_line(text, g_queue_peek_head(&log->entries));
                log->n_appended++;
                if (!append_to_file(path, text->str, text->len))
                        log_warning("write %s: %s", path, g_strerror(errno));
                return;
        }
        for (GList *link = log->entries.tail; link; link = link->prev)
                append_line(text, link->data);
        log->n_appended = log->entries.length;
        if (!replace_file(path, text, &error))
                log_warning("%s", error->message);
}

static void write_event(Container *container, const HealthEntry *entry) {
        GVariantDict details;
        g_autoptr(GError) error = NULL;

        g_variant_dict_init(&details, NULL);
        g_variant_dict_insert(&details, "check-code", "i", entry->code);
        g_variant_dict_insert(&details, "output", "s", entry->output);
        g_autofree char *path = container_path(container);
        g_autoptr(Event) event = event_new("container", "health-check", path, container->id, g_variant_dict_end(&details));
        if (!store_append_event(registry_store(container->registry), event, &error))
                log_warning("log a check of %s: %s", container_title(container), error->message);
}

void health_log_add(HealthLog *log, Container *container, const HealthSettings *settings, const CheckResult *result) {
        push(log, result->start_usec, result->end_usec, result->code, result->output);
        trim(log, settings->log_count);
        if (g_str_equal(settings->log_destination, "events"))
                write_event(container, g_queue_peek_head(&log->entries));
        else if (g_path_is_absolute(settings->log_destination))
                write_file(log, container, settings);
}

/* --- from one life of the service to the next --- */

void health_log_save(const HealthLog *log, const char *path, guint32 streak) {
        GVariantBuilder entries;
        g_autoptr(GError) error = NULL;

        g_variant_builder_init(&entries, G_VARIANT_TYPE("a(ttis)"));
        for (GList *link = log->entries.tail; link; link = link->prev) {
                const HealthEntry *entry = link->data;
                g_variant_builder_add(&entries, "(ttis)", entry->start_usec, entry->end_usec, entry->code, entry->output);
        }
        g_autoptr(GVariant) saved = g_variant_ref_sink(g_variant_new("(ua(ttis))", streak, &entries));
        g_autoptr(GString) text = g_variant_print_string(saved, NULL, TRUE);
        if (!replace_file(path, text, &error))
                log_warning("keep the results of checks: %s", error->message);
}

void health_log_load(HealthLog *log, const char *path, guint32 *ret_streak) {
        g_autofree char *text = NULL;
        g_autoptr(GVariantIter) entries = NULL;
        guint64 start, end;
        gint32 code;
        const char *output;

        if (!g_file_get_contents(path, &text, NULL, NULL))
                return;
        (void) unlink(path);
        g_autoptr(GVariant) saved = g_variant_parse(G_VARIANT_TYPE("(ua(ttis))"), text, NULL, NULL, NULL);
        if (!saved) {
                log_warning("%s holds no results of checks; they are forgotten", path);
                return;
        }
        g_variant_get(saved, "(ua(ttis))", ret_streak, &entries);
        while (g_variant_iter_next(entries, "(tti&s)", &start, &end, &code, &output))
                push(log, start, end, code, output);
        trim(log, 0);
}
