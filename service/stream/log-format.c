/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Writing lines. JSON is made by hand here: there may be millions of lines, and all that is in them are numbers and two texts. */

#include "stream/log-format.h"
#include <string.h>

static const char *const names[N_LOG_FORMATS] = {"text", "json", "export", "answer"};

const char *log_format_to_string(LogFormat format) {
        return names[format];
}

bool log_format_from_string(const char *text, LogFormat *ret) {
        for (unsigned i = 0; i < LOG_FORMAT_ANSWER; i++)
                if (g_str_equal(names[i], text)) {
                        *ret = i;
                        return true;
                }
        return false;
}

static void put(GByteArray *out, const char *text) {
        g_byte_array_append(out, (const guint8 *) text, (guint) strlen(text));
}

static void G_GNUC_PRINTF(2, 3) put_format(GByteArray *out, const char *format, ...) {
        va_list arguments;

        va_start(arguments, format);
        g_autofree char *text = g_strdup_vprintf(format, arguments);
        va_end(arguments);
        put(out, text);
}

/* --- text --- */

static void put_time(GByteArray *out, guint64 usec) {
        g_autoptr(GDateTime) time = g_date_time_new_from_unix_utc((gint64) (usec / G_USEC_PER_SEC));
        g_autofree char *text = time ? g_date_time_format(time, "%Y-%m-%dT%H:%M:%S") : g_strdup("1970-01-01T00:00:00");

        put_format(out, "%s.%06uZ ", text, (unsigned) (usec % G_USEC_PER_SEC));
}

static void write_text(LogWriter *writer, const LogLine *line, GByteArray *out) {
        if (writer->timestamps && writer->mid_stream != line->stream) {
                if (writer->mid_stream != 0)
                        put(out, "\n");
                put_time(out, line->usec);
        }
        g_byte_array_append(out, line->text, (guint) line->size);
        if (line->end == LOG_LINE_WHOLE || (writer->timestamps && line->end == LOG_LINE_UNFINISHED))
                put(out, "\n");
        writer->mid_stream = line->end == LOG_LINE_GOES_ON ? line->stream : 0;
}

/* --- JSON --- */

/* The text is UTF-8. */
static void put_json_text(GByteArray *out, const guint8 *text, size_t size) {
        size_t from = 0;

        put(out, "\"");
        for (size_t i = 0; i < size; i++) {
                if (text[i] >= 0x20 && text[i] != '"' && text[i] != '\\' && text[i] != 0x7f)
                        continue;
                g_byte_array_append(out, text + from, (guint) (i - from));
                from = i + 1;
                if (text[i] == '"' || text[i] == '\\')
                        put_format(out, "\\%c", text[i]);
                else
                        put_format(out, "\\u%04x", text[i]);
        }
        g_byte_array_append(out, text + from, (guint) (size - from));
        put(out, "\"");
}

static const char *stream_name(guint8 stream) {
        return stream == STREAM_STDERR ? "stderr" : "stdout";
}

/* g_utf8_validate stops at a NUL, which JSON can hold. */
static bool is_utf8(const guint8 *text, size_t size) {
        const char *at = (const char *) text, *end = at + size;

        while (at < end && !g_utf8_validate(at, end - at, &at)) {
                if (*at != '\0')
                        return false;
                at++;
        }
        return true;
}

static void write_json(const LogLine *line, GByteArray *out) {
        g_autofree char *cursor = log_position_to_string(&line->after);

        put_format(out, "{\"time\":%" G_GUINT64_FORMAT ",\"stream\":\"%s\",", line->usec, stream_name(line->stream));
        if (is_utf8(line->text, line->size)) {
                put(out, "\"text\":");
                put_json_text(out, line->text, line->size);
        } else {
                g_autofree char *data = g_base64_encode(line->text, line->size);
                put_format(out, "\"data\":\"%s\"", data);
        }
        put_format(out, "%s,\"cursor\":\"%s\"}\n", line->end == LOG_LINE_WHOLE ? "" : ",\"partial\":true", cursor);
}

/* --- export --- */

static bool is_plain(const guint8 *text, size_t size) {
        for (size_t i = 0; i < size; i++)
                if (text[i] < 0x20 && text[i] != '\t')
                        return false;
        return is_utf8(text, size);
}

static void put_message(GByteArray *out, const guint8 *text, size_t size) {
        guint64 little = GUINT64_TO_LE((guint64) size);

        if (is_plain(text, size))
                put(out, "MESSAGE=");
        else {
                put(out, "MESSAGE\n");
                g_byte_array_append(out, (const guint8 *) &little, sizeof little);
        }
        g_byte_array_append(out, text, (guint) size);
        put(out, "\n");
}

static void begin_entry(const LogWriter *writer, const LogPosition *position, guint64 usec, GByteArray *out) {
        g_autofree char *cursor = log_position_to_string(position);

        put_format(out, "__CURSOR=%s\n__REALTIME_TIMESTAMP=%" G_GUINT64_FORMAT "\nCONTAINER_ID_FULL=%s\nCONTAINER_ID=%.12s\nCONTAINER_NAME=%s\n", cursor, usec, writer->id, writer->id, writer->name);
}

static void write_export(const LogWriter *writer, const LogLine *line, GByteArray *out) {
        begin_entry(writer, &line->after, line->usec, out);
        put_format(out, "PRIORITY=%d\n", line->stream == STREAM_STDERR ? 3 : 6);
        if (line->end != LOG_LINE_WHOLE)
                put(out, "CONTAINER_PARTIAL_MESSAGE=true\n");
        put_message(out, line->text, line->size);
        put(out, "\n");
}

/* --- all of them --- */

void log_writer_line(LogWriter *writer, const LogLine *line, GByteArray *out) {
        if (writer->format == LOG_FORMAT_JSON)
                write_json(line, out);
        else if (writer->format == LOG_FORMAT_EXPORT)
                write_export(writer, line, out);
        else
                write_text(writer, line, out);
}

void log_writer_gap(LogWriter *writer, const LogPosition *position, GByteArray *out) {
        static const char words[] = "lines are missing: the log was rotated away before they were read";
        g_autofree char *cursor = log_position_to_string(position);

        if (writer->format == LOG_FORMAT_JSON)
                put_format(out, "{\"gap\":\"%s\",\"cursor\":\"%s\"}\n", words, cursor);
        else if (writer->format == LOG_FORMAT_EXPORT) {
                begin_entry(writer, position, (guint64) g_get_real_time(), out);
                put_format(out, "PRIORITY=4\nCONBUS_LOG_GAP=yes\nMESSAGE=%s\n\n", words);
        } else
                put_format(out, "-- conbus: %s --\n", words);
        writer->mid_stream = 0;
}

void log_writer_end(LogWriter *writer, const LogEnd *end, GByteArray *out) {
        g_autofree char *cursor = log_position_to_string(&end->position);

        if (writer->format == LOG_FORMAT_JSON) {
                put_format(out, "{\"end\":\"%s\"", end->reason);
                if (end->run > 0)
                        put_format(out, ",\"run\":%" G_GUINT64_FORMAT, end->run);
                if (end->run > 0 && end->has_code)
                        put_format(out, ",\"exit-code\":%d", end->exit_code);
                put_format(out, ",\"cursor\":\"%s\"}\n", cursor);
        } else if (writer->format == LOG_FORMAT_EXPORT) {
                begin_entry(writer, &end->position, (guint64) g_get_real_time(), out);
                put_format(out, "PRIORITY=7\nCONBUS_LOG_END=%s\nMESSAGE=The log ends here: %s\n\n", end->reason, end->reason);
        }
}
