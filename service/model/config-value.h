/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Checks of single values of a configuration; model/config.c has checked their types. Shared inside the model layer alone. */

#include "base/error.h"
#include "conbus-config-keys.h"
#include <glib.h>

/* Sets InvalidConfig: `configuration key "KEY": TEXT`. Always returns false. */
bool config_value_refuse(GError **error, const char *key, const char *format, ...) G_GNUC_PRINTF(3, 4);

/* 1 to max of A-Z a-z 0-9 _ . -, the first one a letter or digit: what may be the name of a file as well. */
bool config_value_is_name(const char *name, gsize max);

/* Every key of dict is in the table (UnknownOption else), is given once, may be used by `use`, and has its type. group: "" or "health". */
bool config_value_check_keys(GVariant *dict, const ConfigKey *known, const char *group, unsigned use, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* The value of one key, by itself; keys without a rule pass. */
bool config_value_check(const char *key, GVariant *value, GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* What is common to words, times and paths; words is a NULL-terminated list of what is allowed. */
bool config_value_check_word(const char *key, const char *word, const char *const *words, GError **error) G_GNUC_WARN_UNUSED_RESULT;
bool config_value_check_path(const char *key, const char *path, GError **error) G_GNUC_WARN_UNUSED_RESULT; /* absolute, without .. */
bool config_value_check_usec(const char *key, guint64 usec, guint64 least, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* The dictionary of the key health (config-health.c). */
bool config_health_check(GVariant *health, unsigned use, GError **error) G_GNUC_WARN_UNUSED_RESULT;
