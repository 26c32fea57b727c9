/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What each user id has open here, over all its connections: the limits that one user cannot go round by connecting again. Root has none of them. */

#include "bus/bus.h"

typedef struct User {
        unsigned n_references;
        Bus *bus;
        guint32 uid;
        unsigned n_checks; /* questions to polkit, asked or waiting to be */
        unsigned n_prompts, n_asked; /* of these, on the bus: such that may prompt, and the others */
        unsigned n_waits, n_streams;
} User;

User *user_get(Bus *bus, guint32 uid) G_GNUC_WARN_UNUSED_RESULT; /* a reference */
User *user_ref(User *user);
void user_unref(User *user);
void users_free(Bus *bus);
