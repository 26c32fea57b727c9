/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Records of k8s-file. */

#include "stream/log-record.h"
#include <string.h>

#define TIME_SIZE 35 /* of conmon's times, which hold no blank */
#define AFTER_TIME 10 /* " stdout P " */
#define RUN_WORDS " conbus F run "

static guint64 run_of(const guint8 *blank, const guint8 *newline) {
        size_t n = strlen(RUN_WORDS);
        guint64 run = 0;

        if ((size_t) (newline - blank) <= n || memcmp(blank, RUN_WORDS, n) != 0)
                return 0;
        g_autofree char *number = g_strndup((const char *) blank + n, (size_t) (newline - blank) - n);
        return g_ascii_string_to_unsigned(number, 10, 1, G_MAXINT64, &run, NULL) ? run : 0;
}

size_t log_record_parse(const guint8 *bytes, size_t size, LogRecord *ret) {
        const guint8 *newline = memchr(bytes, '\n', size);

        if (!newline)
                return 0;
        size_t line = (size_t) (newline - bytes) + 1;
        const guint8 *blank = line > TIME_SIZE && bytes[TIME_SIZE] == ' ' ? bytes + TIME_SIZE : memchr(bytes, ' ', line);
        *ret = (LogRecord) {.stream = STREAM_STDIN, .text = bytes, .size = line};
        if (!blank || newline - blank < AFTER_TIME)
                return line;
        const char *word = (const char *) blank + 1;
        guint8 stream = memcmp(word, "stdout ", 7) == 0 ? STREAM_STDOUT : memcmp(word, "stderr ", 7) == 0 ? STREAM_STDERR : STREAM_STDIN;
        ret->time = (const char *) bytes;
        ret->time_size = (size_t) (blank - bytes);
        if (stream == STREAM_STDIN || (word[7] != 'P' && word[7] != 'F') || word[8] != ' ') {
                ret->run = run_of(blank, newline);
                return line;
        }
        ret->stream = stream;
        ret->partial = word[7] == 'P';
        ret->text = blank + AFTER_TIME;
        ret->size = (size_t) (newline - ret->text) + (ret->partial ? 0 : 1);
        return line;
}

/* --- many --- */

#define HEAD (TIME_SIZE + AFTER_TIME) /* of a record of conmon's */
#define STEP 32 /* bytes that are copied at once; fewer than a head, so that what is written beyond a text's end has been read */
#define SHORT_TEXT 128 /* a call of memmove(3) would cost more than its copying */

static inline guint64 word_at(const guint8 *bytes) {
        guint64 word;

        memcpy(&word, bytes, sizeof word);
        return word;
}

static inline void copy_forward(guint8 *put, const guint8 *from, size_t size) {
        for (size_t i = 0; i < size; i += STEP) {
                guint8 step[STEP];
                memcpy(step, from + i, STEP);
                memcpy(put + i, step, STEP);
        }
}

size_t log_record_move_texts(const guint8 **bytes, size_t size, guint8 stream, guint8 *put, size_t max) {
        const guint8 *at = *bytes, *end = at + size, *newline;
        const guint64 word = word_at((const guint8 *) (stream == STREAM_STDOUT ? " stdout " : " stderr "));
        size_t moved = 0;

        while (end - at > HEAD && (newline = memchr(at, '\n', (size_t) (end - at)))) {
                guint8 kind = at[TIME_SIZE + 8];
                size_t text = (size_t) (newline - at) - HEAD + (kind == 'F');
                if (newline - at < HEAD || word_at(at + TIME_SIZE) != word || (kind != 'F' && kind != 'P') || at[TIME_SIZE + 9] != ' ' || moved + text > max)
                        break;
                if (end - newline > STEP && text <= SHORT_TEXT)
                        copy_forward(put + moved, at + HEAD, text);
                else
                        memmove(put + moved, at + HEAD, text);
                moved += text;
                at = newline + 1;
        }
        *bytes = at;
        return moved;
}

/* --- times --- */

/* n digits as a number, -1 when there are others among them. */
static gint64 digits(const char *text, size_t n) {
        gint64 number = 0;

        for (size_t i = 0; i < n; i++) {
                if (!g_ascii_isdigit(text[i]))
                        return -1;
                number = number * 10 + (text[i] - '0');
        }
        return number;
}

/* Days since 1970 in the Gregorian calendar; the year begins in March, so that the leap day is its last one. */
static gint64 days_since_1970(gint64 year, gint64 month, gint64 day) {
        gint64 shifted = month > 2 ? year : year - 1, in_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;

        return shifted * 365 + shifted / 4 - shifted / 100 + shifted / 400 + in_year - 719468;
}

static gint64 fraction_usec(const char **text, const char *end) {
        gint64 usec = 0, unit = 100000;

        for ((*text)++; *text < end && g_ascii_isdigit(**text); (*text)++, unit /= 10)
                usec += unit * (**text - '0');
        return usec;
}

/* "Z", "+01:00" in seconds; false for anything else. */
static bool read_zone(const char *text, size_t size, gint64 *ret) {
        *ret = 0;
        if (size == 1 && *text == 'Z')
                return true;
        if (size != 6 || (*text != '+' && *text != '-') || text[3] != ':')
                return false;
        gint64 hours = digits(text + 1, 2), minutes = digits(text + 4, 2);
        *ret = (*text == '-' ? -1 : 1) * (hours * 3600 + minutes * 60);
        return hours >= 0 && minutes >= 0;
}

guint64 log_record_usec(const LogRecord *record) {
        static const struct {
                gint8 at, size;
        } places[] = {{0, 4}, {5, 2}, {8, 2}, {11, 2}, {14, 2}, {17, 2}};
        const char *text = record->time, *end = text + record->time_size;
        gint64 parts[G_N_ELEMENTS(places)], usec = 0, zone;

        if (record->time_size < 20 || text[4] != '-' || text[7] != '-' || text[10] != 'T' || text[13] != ':' || text[16] != ':')
                return 0;
        for (size_t i = 0; i < G_N_ELEMENTS(places); i++) {
                parts[i] = digits(text + places[i].at, (size_t) places[i].size);
                if (parts[i] < 0)
                        return 0;
        }
        if (parts[1] < 1 || parts[1] > 12)
                return 0;
        text += 19;
        if (*text == '.')
                usec = fraction_usec(&text, end);
        if (!read_zone(text, (size_t) (end - text), &zone))
                return 0;
        gint64 seconds = days_since_1970(parts[0], parts[1], parts[2]) * 86400 + parts[3] * 3600 + parts[4] * 60 + parts[5] - zone;
        return seconds < 0 ? 0 : (guint64) seconds * G_USEC_PER_SEC + (guint64) usec;
}

char *log_record_of_run(guint64 run, guint64 usec) {
        g_autoptr(GDateTime) time = g_date_time_new_from_unix_utc((gint64) (usec / G_USEC_PER_SEC));
        g_autofree char *text = g_date_time_format(time, "%Y-%m-%dT%H:%M:%S");

        return g_strdup_printf("%s.%06u000+00:00" RUN_WORDS "%" G_GUINT64_FORMAT "\n", text, (unsigned) (usec % G_USEC_PER_SEC), run);
}
