/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Records of k8s-file. */

#include "stream/log-record.h"
#include <string.h>

#define AFTER_TIME 10 /* " stdout P " */

size_t log_record_parse(const guint8 *bytes, size_t size, LogRecord *ret) {
        const guint8 *newline = memchr(bytes, '\n', size);

        if (!newline)
                return 0;
        size_t line = (size_t) (newline - bytes) + 1;
        const guint8 *blank = memchr(bytes, ' ', line);
        *ret = (LogRecord) {.stream = STREAM_STDIN, .text = bytes, .size = line};
        if (!blank || newline - blank < AFTER_TIME)
                return line;
        const char *word = (const char *) blank + 1;
        guint8 stream = strncmp(word, "stdout ", 7) == 0 ? STREAM_STDOUT : strncmp(word, "stderr ", 7) == 0 ? STREAM_STDERR : STREAM_STDIN;
        if (stream == STREAM_STDIN || (word[7] != 'P' && word[7] != 'F') || word[8] != ' ')
                return line;
        ret->stream = stream;
        ret->partial = word[7] == 'P';
        ret->time = (const char *) bytes;
        ret->time_size = (size_t) (blank - bytes);
        ret->text = blank + AFTER_TIME;
        ret->size = (size_t) (newline - ret->text) + (ret->partial ? 0 : 1);
        return line;
}
