/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The sequence of keys by which a client leaves: looked for byte by byte in its input, whatever the sizes of the reads. */

#include "base/error.h"

#define DETACH_KEYS_DEFAULT "ctrl-p,ctrl-q"
#define DETACH_KEYS_MAX 16
#define DETACH_KEYS_HOLD_USEC (500 * G_TIME_SPAN_MILLISECOND) /* a beginning that nothing follows is passed on */

typedef struct DetachKeys {
        guint8 keys[DETACH_KEYS_MAX];
        unsigned n; /* 0: off */
        unsigned held; /* bytes of the sequence seen and not passed on */
} DetachKeys;

/* Keys separated by commas: one character, or ctrl- with a letter or one of @[\]^_. Empty: off. InvalidArgs. */
bool detach_keys_parse(const char *text, DetachKeys *ret, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* Appends to out what is no part of the sequence. True when the sequence is complete; what follows it is dropped. */
bool detach_keys_feed(DetachKeys *keys, const guint8 *data, size_t size, GByteArray *out) G_GNUC_WARN_UNUSED_RESULT;
/* Appends what is held: the time is over, or the input. */
void detach_keys_flush(DetachKeys *keys, GByteArray *out);
