/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The client behind a call, and its form on the wire. */

#include "model/actor.h"
#include "testing.h"

static void test_what_is_not_known_is_empty(void) {
        g_autoptr(Actor) actor = actor_new(0, 1, NULL, NULL, NULL);

        g_assert_cmpstr(actor->comm, ==, "");
        g_assert_cmpstr(actor->unit, ==, "");
        g_assert_cmpstr(actor->bus_name, ==, "");
}

static void test_the_wire_form_has_every_field(void) {
        g_autoptr(Actor) actor = actor_new(1000, 42, "busctl", "session.scope", ":1.5");
        g_autoptr(GVariant) variant = g_variant_ref_sink(actor_to_variant(actor));
        g_autoptr(GVariant) expected = testing_parse("{'uid': <uint32 1000>, 'pid': <uint32 42>, 'comm': <'busctl'>, 'unit': <'session.scope'>, 'bus-name': <':1.5'>}");
        GVariantIter iter;
        const char *key;
        GVariant *child;

        g_assert_cmpuint(g_variant_n_children(variant), ==, g_variant_n_children(expected));
        g_variant_iter_init(&iter, expected);
        while (g_variant_iter_next(&iter, "{&sv}", &key, &child)) {
                g_autoptr(GVariant) wanted = child, found = g_variant_lookup_value(variant, key, NULL);
                g_assert_cmpvariant(found, wanted);
        }
}

static void test_the_service_itself_is_nobody(void) {
        g_assert_null(actor_ref(NULL));
        g_assert_null(actor_to_variant(NULL));
        actor_unref(NULL);
}

static void test_the_last_reference_frees(void) {
        Actor *actor = actor_new(1, 2, "a", "b", "c"), *again = actor_ref(actor);

        g_assert_true(again == actor);
        actor_unref(actor);
        g_assert_cmpstr(again->comm, ==, "a");
        actor_unref(again);
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/actor/what-is-not-known-is-empty", test_what_is_not_known_is_empty);
        g_test_add_func("/actor/the-wire-form-has-every-field", test_the_wire_form_has_every_field);
        g_test_add_func("/actor/the-service-itself-is-nobody", test_the_service_itself_is_nobody);
        g_test_add_func("/actor/the-last-reference-frees", test_the_last_reference_frees);
        return g_test_run();
}
