/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Finds what the fakes need in a document that another program has written. They are executed thousands of times, and the libraries of a whole parser take longer to load than a fake takes to do its work. */

#include <glib.h>
#include <stdbool.h>

/* The value of a member of the object that begins at object; NULL when there is none (or object is NULL, or no object). */
const char *json_member(const char *object, const char *name);
/* The element of the array that begins at array, from 0 on; NULL behind the last one. */
const char *json_element(const char *array, unsigned number);
char *json_text(const char *value, const char *absent) G_GNUC_WARN_UNUSED_RESULT; /* of a string */
gint64 json_number(const char *value, gint64 absent);
char **json_words(const char *array) G_GNUC_WARN_UNUSED_RESULT; /* of an array of strings; empty for NULL */
bool json_is_object(const char *text); /* whole, from its brace to its brace */
