/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Code and constants are given back and come again; variables and what linking has written stay. */

#include "base/pages.h"
#include <glib.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static int changed = 1;
static const char *const relocated[] = {"one", "two", "three"}; /* pointers that linking writes: RELRO */

/* Resident KB of private mappings of files that may not be written. */
static unsigned resident_of_files(void) {
        g_autofree char *text = NULL;
        unsigned sum = 0, kilobytes;
        bool counts = false;

        g_assert_true(g_file_get_contents("/proc/self/smaps", &text, NULL, NULL));
        g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
        for (char **line = lines; *line; line++) {
                char rights[5];
                if (sscanf(*line, "%*x-%*x %4s", rights) == 1)
                        counts = rights[1] == '-' && strchr(*line, '/');
                else if (counts && sscanf(*line, "Rss: %u kB", &kilobytes) == 1)
                        sum += kilobytes;
        }
        return sum;
}

static void test_code_goes_and_comes_again(void) {
        changed = 2;
        unsigned before = resident_of_files();
        pages_give_back();
        unsigned after = resident_of_files(); /* what it took to look is there again */

        g_assert_cmpuint(after, <, before);
        g_assert_cmpint(changed, ==, 2);
        g_assert_cmpstr(relocated[g_random_int_range(2, 3)], ==, "three");
        g_autofree char *text = g_strdup_printf("%s of %d", relocated[0], changed);
        g_assert_cmpstr(text, ==, "one of 2");
}

static void test_again_and_again_is_no_harm(void) {
        for (int i = 0; i < 100; i++) {
                g_autofree char *text = g_strdup_printf("%d", i);
                pages_give_back();
                g_assert_cmpint((int) g_ascii_strtoll(text, NULL, 10), ==, i);
        }
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/pages/code-goes-and-comes-again", test_code_goes_and_comes_again);
        g_test_add_func("/pages/again-and-again-is-no-harm", test_again_and_again_is_no_harm);
        return g_test_run();
}
