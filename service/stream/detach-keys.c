/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Detach keys. What is held is always a beginning of the sequence, so it need not be stored. */

#include "stream/detach-keys.h"
#include <string.h>

static bool parse_key(const char *word, guint8 *ret) {
        static const char others[] = "@abcdefghijklmnopqrstuvwxyz[\\]^_";

        if (word[0] && !word[1]) {
                *ret = (guint8) word[0];
                return true;
        }
        if (g_ascii_strncasecmp(word, "ctrl-", 5) != 0 || !word[5] || word[6])
                return false;
        const char *found = strchr(others, g_ascii_tolower(word[5]));
        if (!found)
                return false;
        *ret = (guint8) (found - others);
        return true;
}

bool detach_keys_parse(const char *text, DetachKeys *ret, GError **error) {
        DetachKeys keys = {.n = 0};

        if (*text) {
                g_auto(GStrv) words = g_strsplit(text, ",", DETACH_KEYS_MAX + 1);
                for (char **word = words; *word; word++) {
                        if (keys.n == DETACH_KEYS_MAX)
                                return error_set(error, CONBUS_ERROR_INVALID_ARGS, "detach-keys has more than %d keys", DETACH_KEYS_MAX);
                        if (!parse_key(*word, &keys.keys[keys.n++]))
                                return error_set(error, CONBUS_ERROR_INVALID_ARGS, "detach-keys: \"%s\" is no key; write single characters or ctrl- and a letter or one of @[\\]^_, separated by commas", *word);
                }
        }
        *ret = keys;
        return true;
}

/* The byte does not continue what is held: as much of that as can still begin the sequence stays held. */
static void fall_back(DetachKeys *keys, guint8 byte, GByteArray *out) {
        unsigned held = keys->held;

        for (unsigned drop = 1; drop <= held; drop++)
                if (memcmp(keys->keys + drop, keys->keys, held - drop) == 0 && keys->keys[held - drop] == byte) {
                        g_byte_array_append(out, keys->keys, drop);
                        keys->held = held - drop + 1;
                        return;
                }
        g_byte_array_append(out, keys->keys, held);
        g_byte_array_append(out, &byte, 1);
        keys->held = 0;
}

bool detach_keys_feed(DetachKeys *keys, const guint8 *data, size_t size, GByteArray *out) {
        while (size > 0) {
                if (keys->held == 0) {
                        const guint8 *first = keys->n > 0 ? memchr(data, keys->keys[0], size) : NULL;
                        size_t plain = first ? (size_t) (first - data) : size;
                        g_byte_array_append(out, data, (guint) plain);
                        data += plain;
                        size -= plain;
                        if (size == 0)
                                return false;
                }
                if (*data == keys->keys[keys->held])
                        keys->held++;
                else
                        fall_back(keys, *data, out);
                data++;
                size--;
                if (keys->held == keys->n) {
                        keys->held = 0;
                        return true;
                }
        }
        return false;
}

void detach_keys_flush(DetachKeys *keys, GByteArray *out) {
        g_byte_array_append(out, keys->keys, keys->held);
        keys->held = 0;
}
