/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* One entry of the key `secrets`, and the names of `credentials`. The value of a secret is not part of it. */

#include "base/error.h"
#include <glib.h>

#define SECRETS_DIRECTORY "/run/secrets" /* in the container */

#define CREDENTIALS_DIRECTORY "/run/host/credentials" /* in the container, as systemd's container interface has it */

typedef struct Secret {
        const char *name; /* of the entry */
        char *target; /* absolute, in the container */
        guint32 uid, gid, mode; /* in the container: 0, 0, 0444 by default */
        gint32 number; /* handle of the value */
} Secret;

/* entry: one a{sv} of a checked configuration, which must outlive the secret. */
void secret_init(Secret *secret, GVariant *entry);
void secret_clear(Secret *secret);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Secret, secret_clear)

/* The rules for the values of `secrets` and `credentials` (InvalidConfig, UnknownOption). */
bool secret_check_value(const char *key, GVariant *value, GError **error) G_GNUC_WARN_UNUSED_RESULT;
bool secret_check_credentials(const char *key, GVariant *value, GError **error) G_GNUC_WARN_UNUSED_RESULT;
