/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The user a container's process runs as, from /etc/passwd and /etc/group of the container: untrusted data, read without following links out of the root. */

#include "base/error.h"
#include <glib.h>

typedef struct Account {
        guint32 uid, gid;
        GArray *groups; /* of guint32: the primary group first, then the others of the user when no group was asked for */
        char *home; /* absolute; "/" when passwd has none */
        char *shell; /* absolute; "/bin/sh" when passwd has none */
} Account;

/* user: USER[:GROUP] by name or number. InvalidConfig for a name that is not there or a file that is no sane one; NoSuchPath without the root. */
Account *account_find(const char *rootfs, const char *user, GError **error) G_GNUC_WARN_UNUSED_RESULT;
void account_free(Account *account);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Account, account_free)
