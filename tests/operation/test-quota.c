/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Operations are counted by user, root's and the service's own are not. */

#include "operation/quota.h"
#include "testing.h"

static bool may(const Engine *engine, const Actor *actor) {
        g_autoptr(GError) error = NULL;
        bool allowed = operation_check_quota(engine, actor, "start", &error);

        if (!allowed)
                testing_expect_error(&error, CONBUS_ERROR_LIMITS_EXCEEDED, "2 operations");
        return allowed;
}

static void test_users_have_a_limit_each(void) {
        Engine engine = {.settings.operations_per_user = 2};
        g_autoptr(Actor) root = actor_new(0, 1, "", "", ":1.1"), alice = actor_new(1000, 2, "", "", ":1.2"), alice_again = actor_new(1000, 3, "", "", ":1.3"), bob = actor_new(1001, 4, "", "", ":1.4");

        for (int i = 0; i < 5; i++) {
                quota_take(&engine, root);
                quota_take(&engine, NULL);
        }
        g_assert_true(may(&engine, root));
        g_assert_true(may(&engine, NULL));
        quota_take(&engine, alice);
        g_assert_true(may(&engine, alice));
        quota_take(&engine, alice_again);
        g_assert_false(may(&engine, alice));
        g_assert_true(may(&engine, bob));
        quota_give(&engine, alice);
        g_assert_true(may(&engine, alice));
        quota_give(&engine, alice);
        g_assert_cmpuint(g_hash_table_size(engine.quotas), ==, 0);
        quota_free(&engine);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/quota/users", test_users_have_a_limit_each);
        return g_test_run();
}
