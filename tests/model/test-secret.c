/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Secrets and credentials as they may be asked for. */

#include "model/secret.h"
#include "testing.h"

static bool check(bool (*check_value)(const char *key, GVariant *value, GError **error), const char *key, const char *type, const char *text, GError **error) {
        g_autoptr(GError) why = NULL;
        g_autoptr(GVariant) value = g_variant_parse(G_VARIANT_TYPE(type), text, NULL, NULL, &why);

        g_assert_no_error(why);
        return check_value(key, value, error);
}

static void refuse_secret(const char *text, ConbusError code, const char *part) {
        g_autoptr(GError) error = NULL;

        g_assert_false(check(secret_check_value, "secrets", "aa{sv}", text, &error));
        testing_expect_error(&error, code, part);
}

static void test_good_secrets_pass(void) {
        g_autoptr(GError) error = NULL;

        g_assert_true(check(secret_check_value, "secrets", "aa{sv}",
                            "[{'name': <'a'>, 'value-fd': <handle 0>}, {'name': <'b.c-d_e'>, 'value-fd': <handle 1>, 'target': <'/etc/key'>, 'uid': <uint32 5>, 'gid': <uint32 6>, 'mode': <uint32 256>},"
                            " {'name': <'a'>, 'value-fd': <handle 2>, 'target': <'below/it'>}]",
                            &error));
        g_assert_no_error(error);
        g_assert_true(check(secret_check_value, "secrets", "aa{sv}", "[]", &error));
}

static void test_bad_secrets_are_refused(void) {
        refuse_secret("[{'value-fd': <handle 0>}]", CONBUS_ERROR_INVALID_CONFIG, "\"secrets/name\"");
        refuse_secret("[{'name': <'a'>}]", CONBUS_ERROR_INVALID_CONFIG, "\"secrets/value-fd\": \"a\" has no value");
        refuse_secret("[{'name': <'a'>, 'value-fd': <'value'>}]", CONBUS_ERROR_INVALID_CONFIG, "it takes h");
        refuse_secret("[{'name': <'a'>, 'value': <'value'>}]", CONBUS_ERROR_UNKNOWN_OPTION, "\"secrets/value\"");
        refuse_secret("[{'name': <'a/b'>, 'value-fd': <handle 0>}]", CONBUS_ERROR_INVALID_CONFIG, "\"a/b\" cannot be a name");
        refuse_secret("[{'name': <'.a'>, 'value-fd': <handle 0>}]", CONBUS_ERROR_INVALID_CONFIG, "cannot be a name");
        refuse_secret("[{'name': <''>, 'value-fd': <handle 0>}]", CONBUS_ERROR_INVALID_CONFIG, "cannot be a name");
        for (const char *const *target = (const char *const[]) {"", "a/", "/", "../a", "/run/../etc/passwd", "a/./b", NULL}; *target; target++) {
                g_autofree char *text = g_strdup_printf("[{'name': <'a'>, 'value-fd': <handle 0>, 'target': <'%s'>}]", *target);
                refuse_secret(text, CONBUS_ERROR_INVALID_CONFIG, "\"secrets/target\"");
        }
        refuse_secret("[{'name': <'a'>, 'value-fd': <handle 0>, 'mode': <uint32 2541>}]", CONBUS_ERROR_INVALID_CONFIG, "4755 is no mode");
        refuse_secret("[{'name': <'a'>, 'value-fd': <handle 0>}, {'name': <'b'>, 'target': <'/run/secrets//a'>, 'value-fd': <handle 1>}]", CONBUS_ERROR_INVALID_CONFIG, "two secrets");
}

static void test_defaults_and_places(void) {
        static const char *const places[][2] = {{"'name': <'key'>", "/run/secrets/key"}, {"'name': <'key'>, 'target': <'other'>", "/run/secrets/other"}, {"'name': <'key'>, 'target': <'/etc//x'>", "/etc/x"}};

        for (size_t i = 0; i < G_N_ELEMENTS(places); i++) {
                g_autofree char *text = g_strdup_printf("{%s, 'value-fd': <handle 4>}", places[i][0]);
                g_autoptr(GVariant) entry = testing_parse(text);
                g_auto(Secret) secret = {0};
                secret_init(&secret, entry);
                g_assert_cmpstr(secret.name, ==, "key");
                g_assert_cmpstr(secret.target, ==, places[i][1]);
                g_assert_cmpuint(secret.uid + secret.gid, ==, 0);
                g_assert_cmpuint(secret.mode, ==, 0444);
                g_assert_cmpint(secret.number, ==, 4);
        }
}

static void test_credentials(void) {
        static const char *const bad[] = {"", ".", "..", "a/b", "a:b", "a b", "a\\n", "\\u00e4"};
        g_autoptr(GError) error = NULL;

        g_assert_true(check(secret_check_credentials, "credentials", "as", "['a', 'b.c@d-e', '.hidden']", &error));
        g_assert_no_error(error);
        for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
                g_autofree char *text = g_strdup_printf("['%s']", bad[i]);
                g_assert_false(check(secret_check_credentials, "credentials", "as", text, &error));
                testing_expect_error(&error, CONBUS_ERROR_INVALID_CONFIG, "name of a credential");
        }
        g_assert_false(check(secret_check_credentials, "credentials", "as", "['a', 'b', 'a']", &error));
        testing_expect_error(&error, CONBUS_ERROR_INVALID_CONFIG, "given twice");
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/secret/good-secrets-pass", test_good_secrets_pass);
        g_test_add_func("/secret/bad-secrets-are-refused", test_bad_secrets_are_refused);
        g_test_add_func("/secret/defaults-and-places", test_defaults_and_places);
        g_test_add_func("/secret/credentials", test_credentials);
        return g_test_run();
}
