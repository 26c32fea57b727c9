/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A profile: what an administrator lets others create. Its file is described in data/profile.conf.example. No I/O here; operation/profiles.c reads the file and knows users, groups and directories. */

#include "model/config.h"

typedef struct Profile {
        char *name;
        char **users, **groups; /* names or numbers; both empty: everyone */
        char **rootfs; /* directories that the key rootfs may name, or with a slash at the end those right inside; empty unless the key is open */
        GHashTable *open; /* set of keys that the creator may give */
        GHashTable *maxima; /* key -> guint64 *: the largest value the creator may give */
        GVariant *config; /* a{sv}: what counts, or where the key is open what counts when the creator does not say */
        guint containers_per_user;
} Profile;

/* text: of the file. InvalidConfig for everything that is not understood: a profile with a fault opens nothing. */
Profile *profile_parse(const char *name, const char *text, GError **error) G_GNUC_WARN_UNUSED_RESULT;
void profile_free(Profile *profile);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Profile, profile_free)

/* The whole configuration of a container: what the creator gave (checked by config_check), over what the profile says. AccessDenied for a key that is not open or a directory that is not allowed, InvalidConfig for a value above its maximum; both name the key. */
GVariant *profile_apply(const Profile *profile, GVariant *given, GError **error) G_GNUC_WARN_UNUSED_RESULT;
