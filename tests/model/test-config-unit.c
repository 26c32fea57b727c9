/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Names of slices and properties of the unit, from a table: what systemd would refuse, or what the service must set itself, is refused before anything is made. */

#include "model/config-unit.h"
#include "testing.h"
#include <string.h>

static void check_slice(const char *name, bool good) {
        g_autoptr(GVariant) value = g_variant_ref_sink(g_variant_new_string(name));
        g_autoptr(GError) error = NULL;

        if (config_unit_check_slice("slice", value, &error) != good)
                g_error("\"%s\" is %s", name, good ? "refused" : "taken");
        if (!good)
                testing_expect_error(&error, CONBUS_ERROR_INVALID_CONFIG, "configuration key \"slice\": ");
        g_assert_no_error(error);
}

static void test_slices(void) {
        static const char *const good[] = {"machine.slice", "machine-web.slice", "a-b-c.slice", "-.slice", "a.slice", "A_1:x.slice", "a\\x2db.slice", "a.b.slice", "a.slice.slice", "system-conbus\\x40x.slice"};
        static const char *const bad[] = {"", "-", "slice", ".slice", "machine", "machine.scope", "machine.slice ", " machine.slice", "-machine.slice", "machine-.slice", "a--b.slice", "--.slice", "a/b.slice", "../a.slice",
                                          "ä.slice", "a@b.slice", "a b.slice", "a.slice\n", "a%i.slice", "machine.sliceX", ".SLICE", "machine.Slice"};

        for (unsigned i = 0; i < G_N_ELEMENTS(good); i++)
                check_slice(good[i], true);
        for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++)
                check_slice(bad[i], false);
}

static void test_a_name_has_at_most_255_characters(void) {
        g_autofree char *stem = g_strnfill(255 - strlen(".slice"), 'x'), *longest = g_strconcat(stem, ".slice", NULL), *longer = g_strconcat("x", longest, NULL);

        check_slice(longest, true);
        check_slice(longer, false);
}

static void check_property(const char *name, const char *part) {
        g_autoptr(GVariant) value = g_variant_ref_sink(g_variant_new("a(sv)", NULL)), one = NULL;
        g_autoptr(GError) error = NULL;

        g_assert_true(config_unit_check_properties("unit-properties", value, &error)); /* none at all */
        one = g_variant_ref_sink(g_variant_new_parsed("[('CPUWeight', <uint64 7>), (%s, <true>)]", name));
        if (config_unit_check_properties("unit-properties", one, &error) != !part)
                g_error("\"%s\" is %s", name, part ? "taken" : "refused");
        if (part)
                testing_expect_error(&error, CONBUS_ERROR_INVALID_CONFIG, part);
        g_assert_no_error(error);
}

static void test_properties(void) {
        static const char *const good[] = {"MemoryMax", "TasksMax", "IPAddressDeny", "CPUQuotaPerSecUSec", "X", "RuntimeMaxUSec", "slice", "Requires"};
        static const char *const own[] = {"PIDs", "PIDFDs", "Delegate", "DelegateControllers", "DelegateSubgroup", "DisableControllers", "CollectMode", "Controller", "Before", "After", "Description", "DefaultDependencies",
                                          "KillMode", "KillSignal", "SendSIGKILL", "OOMPolicy", "AddRef", "FreezerState"};
        static const char *const bad[] = {"", "Memory Max", "Memory-Max", "Memory.Max", "Größe", "A\n", "MemoryMax="};

        for (unsigned i = 0; i < G_N_ELEMENTS(good); i++)
                check_property(good[i], NULL);
        for (unsigned i = 0; i < G_N_ELEMENTS(own); i++)
                check_property(own[i], "is set by the service, which could not supervise the container otherwise");
        for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++)
                check_property(bad[i], "is no name of a property");
        check_property("Slice", "use the key slice");
        check_property("TimeoutStopUSec", "use the key stop-timeout-usec");
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/config-unit/slices", test_slices);
        g_test_add_func("/config-unit/a-name-has-at-most-255-characters", test_a_name_has_at_most_255_characters);
        g_test_add_func("/config-unit/properties", test_properties);
        return g_test_run();
}
