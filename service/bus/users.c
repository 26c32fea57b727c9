/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Users by uid, each for as long as something refers to it. */

#include "bus/users.h"

User *user_get(Bus *bus, guint32 uid) {
        if (!bus->users)
                bus->users = g_hash_table_new(NULL, NULL);
        User *user = g_hash_table_lookup(bus->users, GUINT_TO_POINTER(uid));
        if (user)
                return user_ref(user);
        user = g_new0(User, 1);
        user->n_references = 1;
        user->bus = bus;
        user->uid = uid;
        g_hash_table_insert(bus->users, GUINT_TO_POINTER(uid), user);
        return user;
}

User *user_ref(User *user) {
        user->n_references++;
        return user;
}

void user_unref(User *user) {
        if (!user || --user->n_references > 0)
                return;
        g_hash_table_remove(user->bus->users, GUINT_TO_POINTER(user->uid));
        g_free(user);
}

void users_free(Bus *bus) {
        g_clear_pointer(&bus->users, g_hash_table_unref);
}
