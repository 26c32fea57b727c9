/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Each stream has at most one line that has begun. Where both have one, the place to go on from differs between them. */

#include "stream/log-lines.h"
#include <string.h>

typedef struct Begun {
        bool open;
        guint64 usec;
        LogCursor at;
        GByteArray *text;
        size_t good_size; /* of the text up to the last record that ended between two characters */
        LogCursor good_after;
} Begun;

struct LogLines {
        LogLineDone done;
        void *userdata;
        Begun begun[STREAM_STDERR + 1];
        LogPosition place; /* behind the last record of each stream that was seen */
};

LogLines *log_lines_new(const LogPosition *from, LogLineDone done, void *userdata) {
        LogLines *lines = g_new0(LogLines, 1);

        lines->done = done;
        lines->userdata = userdata;
        lines->place = *from;
        for (guint8 stream = STREAM_STDOUT; stream <= STREAM_STDERR; stream++)
                lines->begun[stream].text = g_byte_array_new();
        return lines;
}

void log_lines_free(LogLines *lines) {
        if (!lines)
                return;
        for (guint8 stream = STREAM_STDOUT; stream <= STREAM_STDERR; stream++)
                g_byte_array_unref(lines->begun[stream].text);
        g_free(lines);
}

LogPosition log_lines_position(const LogLines *lines) {
        LogPosition position = lines->place;

        for (guint8 stream = STREAM_STDOUT; stream <= STREAM_STDERR; stream++)
                if (lines->begun[stream].open)
                        position.of[stream] = lines->begun[stream].at;
        return position;
}

void log_lines_pass(LogLines *lines, const LogCursor *place) {
        lines->place = log_position_at(place);
}

static void tell(LogLines *lines, LogLine *line) {
        line->after = log_lines_position(lines);
        lines->done(line, lines->userdata);
}

/* Gives out the first bytes of what has begun; what is left goes on as a line that begins at rest. */
static void give(LogLines *lines, guint8 stream, size_t size, LogLineEnd end, const LogCursor *rest) {
        Begun *begun = &lines->begun[stream];
        LogLine line = {.usec = begun->usec, .stream = stream, .end = end, .text = begun->text->data, .size = size, .at = begun->at};

        begun->open = end == LOG_LINE_GOES_ON;
        begun->at = *rest;
        begun->good_size = 0;
        tell(lines, &line);
        g_byte_array_remove_range(begun->text, 0, (guint) size);
}

static bool ends_between_characters(const GByteArray *text) {
        const char *end = NULL;

        /* Only what the last few bytes have begun is of interest: 4 bytes are the longest character. */
        for (guint n = 1; n <= 4 && n <= text->len; n++) {
                guint8 byte = text->data[text->len - n];
                if ((byte & 0xc0) == 0x80)
                        continue;
                return byte < 0x80 || g_utf8_validate((const char *) text->data + text->len - n, n, &end);
        }
        return true;
}

static void begin(Begun *begun, guint64 usec, const LogCursor *at) {
        begun->open = true;
        begun->usec = usec;
        begun->at = *at;
        begun->good_size = 0;
        g_byte_array_set_size(begun->text, 0);
}

static void append(LogLines *lines, const LogRecord *record, const guint8 *text, size_t size, const LogCursor *at, const LogCursor *after) {
        Begun *begun = &lines->begun[record->stream];

        if (begun->text->len > 0 && begun->text->len + size > LOG_LINE_MAX)
                give(lines, record->stream, begun->good_size > 0 ? begun->good_size : begun->text->len, LOG_LINE_GOES_ON, begun->good_size > 0 ? &begun->good_after : at);
        g_byte_array_append(begun->text, text, (guint) size);
        if (ends_between_characters(begun->text)) {
                begun->good_size = begun->text->len;
                begun->good_after = *after;
        }
}

void log_lines_feed(LogLines *lines, const LogRecord *record, guint64 usec, const LogCursor *at, const LogCursor *after) {
        size_t size = record->size - (record->partial || record->size == 0 ? 0 : 1);

        if (record->run > 0)
                log_lines_finish(lines);
        lines->place = log_position_at(after);
        if (record->stream == STREAM_STDIN)
                return;
        Begun *begun = &lines->begun[record->stream];
        if (!begun->open && !record->partial) {
                LogLine line = {.usec = usec, .stream = record->stream, .text = record->text, .size = size, .at = *at};
                tell(lines, &line);
                return;
        }
        if (!begun->open)
                begin(begun, usec, at);
        append(lines, record, record->text, size, at, after);
        if (!record->partial)
                give(lines, record->stream, begun->text->len, LOG_LINE_WHOLE, after);
}

void log_lines_finish(LogLines *lines) {
        for (guint8 stream = STREAM_STDOUT; stream <= STREAM_STDERR; stream++)
                if (lines->begun[stream].open)
                        give(lines, stream, lines->begun[stream].text->len, LOG_LINE_UNFINISHED, &lines->place.of[stream]);
}
