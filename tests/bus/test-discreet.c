/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Who is told what about whom. */

#include "bus/discreet.h"
#include "testing.h"

#define DETAILS "{'actor': <{'uid': <uint32 1000>, 'pid': <uint32 5>, 'comm': <'busctl'>, 'unit': <''>, 'bus-name': <':1.5'>}>, 'run': <uint64 3>, 'output': <'secret'>}"

static void check(const Actor *reader, bool whole, const char *expected) {
        g_autoptr(GVariant) details = testing_parse(DETAILS), told = discreet(details, reader, whole), wanted = testing_parse(expected);

        g_assert_cmpuint(g_variant_n_children(told), ==, g_variant_n_children(wanted));
        for (const char *const *key = (const char *const[]) {"actor", "run", "output", NULL}; *key; key++) {
                g_autoptr(GVariant) a = g_variant_lookup_value(told, *key, NULL), b = g_variant_lookup_value(wanted, *key, NULL);
                g_assert_true(a == b || (a && b && g_variant_equal(a, b)));
        }
}

static void test_others_are_told_the_outline(void) {
        g_autoptr(Actor) own = actor_new(1000, 9, "", "", ":1.9"), other = actor_new(1001, 9, "", "", ":1.8"), unknown = actor_new(UINT32_MAX, 0, "", "", ":1.7");
        static const char public[] = "{'actor': <{'uid': <uint32 1000>, 'bus-name': <':1.5'>}>, 'run': <uint64 3>}";

        check(NULL, false, public);
        check(other, false, public);
        check(unknown, false, public);
        check(own, false, DETAILS);
        check(other, true, DETAILS);
}

static void test_what_has_no_actor_stays(void) {
        g_autoptr(GVariant) details = testing_parse("{'run': <uint64 3>}"), told = discreet(details, NULL, false);
        g_autoptr(GVariant) empty = discreet(g_variant_new_parsed("{'actor': <@a{sv} {}>, 'run': <uint64 3>}"), NULL, false), actor = g_variant_lookup_value(empty, "actor", NULL);

        g_assert_cmpvariant(told, details);
        g_assert_cmpuint(g_variant_n_children(actor), ==, 0);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/discreet/others", test_others_are_told_the_outline);
        g_test_add_func("/discreet/no-actor", test_what_has_no_actor_stays);
        return g_test_run();
}
