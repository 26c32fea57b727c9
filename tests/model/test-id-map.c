/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Ids of a container on the host. */

#include "model/id-map.h"

static GVariant *parse(const char *text) {
        return g_variant_parse(G_VARIANT_TYPE("a(uuu)"), text, NULL, NULL, NULL); /* not floating */
}

static void test_without_a_map_an_id_is_itself(void) {
        guint32 outside = 7;

        g_assert_true(id_map_find(NULL, 1000, &outside));
        g_assert_cmpuint(outside, ==, 1000);
}

static void test_each_range_moves_its_ids(void) {
        g_autoptr(GVariant) map = parse("[(0, 100000, 10), (50, 7, 1), (4294967290, 300000, 5)]");
        guint32 outside = 0;

        g_assert_true(id_map_find(map, 0, &outside));
        g_assert_cmpuint(outside, ==, 100000);
        g_assert_true(id_map_find(map, 9, &outside));
        g_assert_cmpuint(outside, ==, 100009);
        g_assert_true(id_map_find(map, 50, &outside));
        g_assert_cmpuint(outside, ==, 7);
        g_assert_true(id_map_find(map, 4294967294, &outside));
        g_assert_cmpuint(outside, ==, 300004);
}

static void test_what_lies_between_is_not_mapped(void) {
        g_autoptr(GVariant) map = parse("[(1, 100000, 10), (50, 7, 1)]"), none = parse("[]");
        guint32 outside = 3;

        g_assert_false(id_map_find(map, 0, &outside));
        g_assert_false(id_map_find(map, 11, &outside));
        g_assert_false(id_map_find(map, 49, &outside));
        g_assert_false(id_map_find(map, 51, &outside));
        g_assert_false(id_map_find(map, G_MAXUINT32, &outside));
        g_assert_false(id_map_find(none, 0, &outside));
        g_assert_cmpuint(outside, ==, 3);
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/id-map/without-a-map-an-id-is-itself", test_without_a_map_an_id_is_itself);
        g_test_add_func("/id-map/each-range-moves-its-ids", test_each_range_moves_its_ids);
        g_test_add_func("/id-map/what-lies-between-is-not-mapped", test_what_lies_between_is_not_mapped);
        return g_test_run();
}
