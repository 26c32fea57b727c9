/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The configuration of a container: the a{sv} of CreateContainer, checked once and kept as it is. A Config is a GVariant of type a{sv} in normal form;
 * a key that was not given is absent, so that a later default reaches old containers. Keys that take a handle keep its number, by which the service finds what it has made of the descriptor (operation/kept.h). */

#include "base/error.h"
#include <glib.h>

typedef enum ConfigUse {
        CONFIG_CREATE, /* every key of this build */
        CONFIG_BUNDLE, /* CreateContainerFromBundle: what config.json decides is refused */
        CONFIG_UPDATE, /* keys marked U */
} ConfigUse;

/* Checks keys (UnknownOption, with the key's name), types and values (InvalidConfig; sentence says what would be right). Keys that start with "x-" may have any type. */
bool config_check(GVariant *config, ConfigUse use, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* What CreateContainer needs beyond that: a root file system and a command (InvalidConfig). */
bool config_check_complete(GVariant *config, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* A container's name: [a-zA-Z0-9][a-zA-Z0-9_.-]{0,254}, not 64 hex digits, not "self" (InvalidName). */
bool config_check_name(const char *name, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* An absolute path without empty parts, dots and a slash at its end: two leading slashes, which POSIX allows to mean something else, are one. */
char *config_clean_path(const char *path) G_GNUC_WARN_UNUSED_RESULT;

/* The old configuration with the keys of changes put over it, each replaced whole; only health is merged key by key. A new restart-policy without restart-max drops the old one.
 * Update checks the result again as CONFIG_CREATE or CONFIG_BUNDLE, since rules between keys hold for the whole. New reference. */
GVariant *config_merge(GVariant *config, GVariant *changes) G_GNUC_WARN_UNUSED_RESULT;

/* Accessors for a checked configuration. Strings and vectors are valid while the configuration is referenced. */
const char *config_string(GVariant *config, const char *key, const char *absent);
bool config_bool(GVariant *config, const char *key, bool absent);
guint64 config_uint64(GVariant *config, const char *key, guint64 absent);
guint32 config_uint32(GVariant *config, const char *key, guint32 absent);
gint32 config_int32(GVariant *config, const char *key, gint32 absent);
const char **config_strv(GVariant *config, const char *key); /* NULL when absent; free the container with g_free */
GVariant *config_value(GVariant *config, const char *key); /* new reference or NULL: labels, mounts, health … */
/* What ids of the container are on the host, by uid-map and gid-map. False: one of them is not mapped. */
bool config_find_host_ids(GVariant *config, guint32 uid, guint32 gid, guint32 *ret_uid, guint32 *ret_gid) G_GNUC_WARN_UNUSED_RESULT;

/* Same check for the options of one method: table of {key, type}, ended by a NULL key. UnknownOption, or InvalidArgs for a wrong type. "reply-timeout-usec" t and x-* are always known. */
typedef struct OptionKey {
        const char *key, *type;
} OptionKey;
bool options_check(GVariant *options, const OptionKey *known, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* The file form: a GVariant text with types, as g_variant_print(…, TRUE) writes it. */
char *config_to_text(GVariant *config) G_GNUC_WARN_UNUSED_RESULT;
GVariant *config_from_text(const char *text, GError **error) G_GNUC_WARN_UNUSED_RESULT; /* StorageCorrupt */
