/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Names of units and paths of control groups, from tables. */

#include "runtime/units.h"

static void test_mount_units(void) {
        static const char *const table[][2] = {
                {"/", "-.mount"}, {"//", "-.mount"}, {"//run", "run.mount"}, {"/run/conbus", "run-conbus.mount"}, {"/a b", "a\\x20b.mount"}, {"/a-b/c", "a\\x2db-c.mount"}, {"/.a/.b", "\\x2ea-.b.mount"},
                {"/a.b_c:d", "a.b_c:d.mount"}, {"/ä", "\\xc3\\xa4.mount"}, {"/a\\b", "a\\x5cb.mount"},
        };

        for (unsigned i = 0; i < G_N_ELEMENTS(table); i++) {
                g_autofree char *unit = units_mount_of_path(table[i][0]);
                g_assert_cmpstr(unit, ==, table[i][1]);
        }
}

static void test_slices(void) {
        static const char *const table[][2] = {{"-.slice", ""}, {"machine.slice", "/machine.slice"}, {"a-b.slice", "/a.slice/a-b.slice"}, {"a-b-c.slice", "/a.slice/a-b.slice/a-b-c.slice"}};

        for (unsigned i = 0; i < G_N_ELEMENTS(table); i++) {
                g_autofree char *group = units_cgroup_of_slice(table[i][0]);
                g_assert_cmpstr(group, ==, table[i][1]);
        }
}

static void test_units_of_groups(void) {
        static const char *const table[][3] = {
                {"", "", ""},
                {"/", "", ""},
                {"/conbus/0123", "", ""},
                {"/machine.slice/machine-conbus.slice/conbus-a.scope/container", "machine-conbus.slice", "conbus-a.scope"},
                {"/system.slice/conbus.service", "system.slice", "conbus.service"},
                {"/conbus-a.scope", "", "conbus-a.scope"},
                {"/user.slice/user-0.slice/user@0.service/app.slice/x.scope", "user-0.slice", "user@0.service"}, /* what a container's own manager has made does not count */
                {"/machine.slice", "machine.slice", ""},
        };

        for (unsigned i = 0; i < G_N_ELEMENTS(table); i++) {
                g_autofree char *slice = units_slice_of_cgroup(table[i][0]), *unit = units_unit_of_cgroup(table[i][0]);
                g_assert_cmpstr(slice, ==, table[i][1]);
                g_assert_cmpstr(unit, ==, table[i][2]);
        }
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/units-paths/mount-units", test_mount_units);
        g_test_add_func("/units-paths/slices", test_slices);
        g_test_add_func("/units-paths/units-of-groups", test_units_of_groups);
        return g_test_run();
}
