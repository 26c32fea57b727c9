/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One user for each uid, as long as something refers to it. */

#include "bus/users.h"

static void test_a_uid_is_one_user(void) {
        Bus bus = {0};
        User *first = user_get(&bus, 1000), *second = user_get(&bus, 1000), *other = user_get(&bus, 1001);

        g_assert_true(first == second);
        g_assert_true(first != other);
        first->n_waits = 3;
        user_unref(first);
        g_assert_cmpuint(second->n_waits, ==, 3);
        user_unref(second);
        user_unref(other);
        g_assert_cmpuint(g_hash_table_size(bus.users), ==, 0);
        User *again = user_get(&bus, 1000);
        g_assert_cmpuint(again->n_waits, ==, 0);
        user_unref(again);
        user_unref(NULL);
        users_free(&bus);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/users/one-for-each-uid", test_a_uid_is_one_user);
        return g_test_run();
}
