/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The tables of kernel names hold every number without a hole, and nothing else is a name. */

#include "model/capability.h"
#include "model/rlimit.h"
#include <glib.h>
#include <linux/capability.h>
#include <sys/resource.h>

static void test_capabilities_both_ways(void) {
        for (int i = 0; i <= CAP_LAST_CAP; i++) {
                g_assert_nonnull(capability_to_name(i));
                g_assert_cmpint(capability_from_name(capability_to_name(i)), ==, i);
        }
        g_assert_null(capability_to_name(CAP_LAST_CAP + 1));
        g_assert_null(capability_to_name(-1));
        g_assert_cmpstr(capability_to_name(CAP_SYS_ADMIN), ==, "CAP_SYS_ADMIN");
        g_assert_cmpint(capability_from_name("SYS_ADMIN"), ==, -1);
        g_assert_cmpint(capability_from_name("cap_sys_admin"), ==, -1);
}

static void test_rlimits_both_ways(void) {
        for (int i = 0; i < RLIM_NLIMITS; i++) {
                g_assert_nonnull(rlimit_to_name(i));
                g_assert_cmpint(rlimit_from_name(rlimit_to_name(i)), ==, i);
        }
        g_assert_null(rlimit_to_name(RLIM_NLIMITS));
        g_assert_cmpint(rlimit_from_name("nofile"), ==, RLIMIT_NOFILE);
        g_assert_cmpint(rlimit_from_name("RLIMIT_"), ==, -1);
        g_assert_cmpint(rlimit_from_name(""), ==, -1);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/capability/both-ways", test_capabilities_both_ways);
        g_test_add_func("/rlimit/both-ways", test_rlimits_both_ways);
        return g_test_run();
}
