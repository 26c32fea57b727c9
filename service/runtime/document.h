/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* JSON documents of the OCI specifications: reading with a sentence, building, patching, and writing with 64-bit numbers kept whole. */

#include "base/error.h"
#include <json-glib/json-glib.h>

/* The object that text holds, or NULL with the given code: `WHAT: the parser's sentence`. size -1: until NUL. */
JsonObject *document_parse(const char *text, gssize size, const char *what, ConbusError code, GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* A regular file of at most `limit` bytes. NoSuchPath when it does not exist, InvalidConfig otherwise. */
JsonObject *document_read(const char *path, gsize limit, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* The object or array of a member; made when it is absent or something else. Borrowed. */
JsonObject *document_object(JsonObject *parent, const char *member);
JsonArray *document_array(JsonObject *parent, const char *member);
/* The same without making it: NULL. */
JsonObject *document_find_object(JsonObject *parent, const char *member);
JsonArray *document_find_array(JsonObject *parent, const char *member);
/* NULL when absent or no string. */
const char *document_find_string(JsonObject *parent, const char *member);

void document_set_strv(JsonObject *parent, const char *member, const char *const *strings);
void document_append_strv(JsonArray *array, const char *const *strings);
const char *document_array_string(JsonArray *array, unsigned i); /* "" for another type */
bool document_array_contains(JsonArray *array, const char *text); /* NULL array: no */

/* RFC 7386. */
void document_patch(JsonObject *target, JsonObject *patch);

/* The text. json-glib keeps every number as gint64; the unsigned ones of the specification that pass it (limits of RLIMIT_*, arguments of seccomp rules) are written unsigned. */
char *document_print(JsonObject *root) G_GNUC_WARN_UNUSED_RESULT;
