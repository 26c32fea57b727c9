/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The names of resource limits. */

#include "model/rlimit.h"
#include <glib.h>
#include <sys/resource.h>

static void test_every_limit_of_the_kernel_has_a_name_that_leads_back(void) {
        for (int resource = 0; resource < (int) RLIM_NLIMITS; resource++) {
                const char *name = rlimit_to_name(resource);

                g_assert_nonnull(name);
                g_assert_true(g_str_has_prefix(name, "RLIMIT_"));
                g_assert_cmpint(rlimit_from_name(name), ==, resource);
        }
}

static void test_the_short_names_of_users(void) {
        g_assert_cmpint(rlimit_from_name("nofile"), ==, RLIMIT_NOFILE);
        g_assert_cmpint(rlimit_from_name("core"), ==, RLIMIT_CORE);
        g_assert_cmpint(rlimit_from_name("rttime"), ==, RLIMIT_RTTIME);
}

static void test_other_words_are_none(void) {
        static const char *const words[] = {"", "NOFILE", "rlimit_nofile", "RLIMIT_", "RLIMIT_NOFILES", "nofile "};

        for (size_t i = 0; i < G_N_ELEMENTS(words); i++)
                g_assert_cmpint(rlimit_from_name(words[i]), ==, -1);
}

static void test_a_number_out_of_range_has_no_name(void) {
        g_assert_null(rlimit_to_name(-1));
        g_assert_null(rlimit_to_name((int) RLIM_NLIMITS));
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/rlimit/every-limit-of-the-kernel-has-a-name-that-leads-back", test_every_limit_of_the_kernel_has_a_name_that_leads_back);
        g_test_add_func("/rlimit/the-short-names-of-users", test_the_short_names_of_users);
        g_test_add_func("/rlimit/other-words-are-none", test_other_words_are_none);
        g_test_add_func("/rlimit/a-number-out-of-range-has-no-name", test_a_number_out_of_range_has_no_name);
        return g_test_run();
}
