/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Collecting lines within bounds. */

#include "stream/log-answer.h"
#include <string.h>

#define LINE_OVERHEAD 32 /* time, stream and lengths in a message */

typedef struct Entry {
        guint64 usec;
        guint8 stream;
        char *text;
        size_t size;
} Entry;

typedef struct Answer {
        GQueue entries; /* of Entry */
        size_t size;
        guint64 limit; /* 0: the last ones */
        bool full;
        LogPosition position; /* behind the last entry, once it is full */
} Answer;

static void entry_free(void *data) {
        Entry *entry = data;

        g_free(entry->text);
        g_free(entry);
}

/* NUL, which no message can hold, and everything that is not UTF-8 become U+FFFD. */
static char *make_valid(const guint8 *text, size_t size) {
        g_autoptr(GString) plain = g_string_sized_new(size);

        for (const guint8 *at = text, *end = text + size; at < end; at++) {
                const guint8 *zero = memchr(at, '\0', (size_t) (end - at));
                g_string_append_len(plain, (const char *) at, (zero ? zero : end) - at);
                if (!zero)
                        break;
                g_string_append(plain, "\357\277\275");
                at = zero;
        }
        return g_utf8_make_valid(plain->str, (gssize) plain->len);
}

static void on_line(const LogLine *line, void *userdata) {
        Answer *answer = userdata;

        if (answer->full)
                return;
        g_autofree char *text = make_valid(line->text, line->size);
        size_t size = strlen(text) + LINE_OVERHEAD;
        if (answer->limit > 0 && answer->entries.length > 0 && answer->size + size > LOG_ANSWER_BYTES) {
                answer->full = true;
                return;
        }
        Entry *entry = g_new0(Entry, 1);
        *entry = (Entry) {.usec = line->usec, .stream = line->stream, .text = g_steal_pointer(&text), .size = size};
        g_queue_push_tail(&answer->entries, entry);
        answer->size += size;
        answer->position = line->after;
        if (answer->limit > 0 && answer->entries.length == answer->limit)
                answer->full = true;
        while (answer->limit == 0 && answer->entries.length > 1 && (answer->size > LOG_ANSWER_BYTES || answer->entries.length > LOG_ANSWER_LINES)) {
                Entry *oldest = g_queue_pop_head(&answer->entries);
                answer->size -= oldest->size;
                entry_free(oldest);
        }
}

static GVariant *to_variant(Answer *answer) {
        g_autofree char *cursor = log_position_to_string(&answer->position);
        GVariantBuilder lines;

        g_variant_builder_init(&lines, G_VARIANT_TYPE("a(tss)"));
        for (GList *link = answer->entries.head; link; link = link->next) {
                const Entry *entry = link->data;
                g_variant_builder_add(&lines, "(tss)", entry->usec, entry->stream == STREAM_STDERR ? "stderr" : "stdout", entry->text);
        }
        return g_variant_new("(a(tss)s)", &lines, cursor);
}

GVariant *log_answer_read(LogSource *source, guint64 limit) {
        Answer answer = {.limit = limit, .position = log_source_start(source)};
        const LogPosition start = answer.position;
        g_autoptr(LogLines) lines = log_lines_new(&start, on_line, &answer);
        LogCursor at, after;
        LogRecord record;
        guint64 usec;

        while (!answer.full && log_source_next(source, &record, &usec, &at, &after))
                log_lines_feed(lines, &record, usec, &at, &after);
        if (!answer.full) {
                const LogCursor place = log_source_place(source);
                log_lines_pass(lines, &place);
                LogPosition position = log_lines_position(lines);
                if (limit == 0)
                        log_lines_finish(lines);
                answer.position = position;
        }
        GVariant *variant = to_variant(&answer);
        g_queue_clear_full(&answer.entries, entry_free);
        return variant;
}
