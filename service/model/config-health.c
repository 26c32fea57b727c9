/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The rules for the keys of a health check. */

#include "model/config-value.h"

#define USEC_PER_SEC 1000000ULL
#define USEC_PER_MSEC 1000ULL

static bool check_test(const char *key, GVariant *value, GError **error) {
        g_autofree const char **test = g_variant_get_strv(value, NULL);
        unsigned n = g_strv_length((char **) test);

        if (n == 0 || g_str_equal(test[0], "NONE"))
                return n <= 1 || config_value_refuse(error, key, "NONE turns the check off and takes no arguments");
        if (g_str_equal(test[0], "CMD-SHELL"))
                return (n == 2 && *test[1]) || config_value_refuse(error, key, "CMD-SHELL takes exactly one command line, which is not empty");
        if (g_str_equal(test[0], "CMD"))
                return (n >= 2 && *test[1]) || config_value_refuse(error, key, "CMD takes a program, which is not empty, and its arguments");
        return *test[0] || config_value_refuse(error, key, "the command is empty; give NONE to have no check");
}

static bool check_times(GVariant *health, GError **error) {
        guint64 usec;

        if (g_variant_lookup(health, "interval-usec", "t", &usec) && usec > 0 &&
            !config_value_check_usec("health/interval-usec", usec, USEC_PER_MSEC, error))
                return false;
        if (g_variant_lookup(health, "timeout-usec", "t", &usec) &&
            !config_value_check_usec("health/timeout-usec", usec, USEC_PER_SEC, error))
                return false;
        if (g_variant_lookup(health, "start-period-usec", "t", &usec) &&
            !config_value_check_usec("health/start-period-usec", usec, 0, error))
                return false;
        if (g_variant_lookup(health, "startup-interval-usec", "t", &usec) &&
            !config_value_check_usec("health/startup-interval-usec", usec, USEC_PER_MSEC, error))
                return false;
        return !g_variant_lookup(health, "startup-timeout-usec", "t", &usec) ||
               config_value_check_usec("health/startup-timeout-usec", usec, USEC_PER_SEC, error);
}

static bool check_words(GVariant *health, GError **error) {
        static const char *const actions[] = { "none", "kill", "restart", "stop", NULL };
        const char *word;
        guint32 retries;

        if (g_variant_lookup(health, "retries", "u", &retries) && retries == 0)
                return config_value_refuse(error, "health/retries", "0 failures cannot make a container unhealthy; give 1 or more");
        if (g_variant_lookup(health, "on-failure", "&s", &word) && !config_value_check_word("health/on-failure", word, actions, error))
                return false;
        if (!g_variant_lookup(health, "log-destination", "&s", &word) || g_str_equal(word, "local") || g_str_equal(word, "events"))
                return true;
        if (*word != '/')
                return config_value_refuse(error, "health/log-destination", "\"%s\" is not known; give local, events or an absolute directory", word);
        return config_value_check_path("health/log-destination", word, error);
}

static bool has_command(GVariant *health, const char *key) {
        g_autofree const char **test = NULL;

        return g_variant_lookup(health, key, "^a&s", &test) && test[0] && !g_str_equal(test[0], "NONE");
}

/* Rules between the keys. An update alone may lack what the configuration has already. */
static bool check_together(GVariant *health, unsigned use, GError **error) {
        bool has_test = has_command(health, "test"), has_startup = has_command(health, "startup-test");
        gboolean disable = FALSE;
        GVariantIter iter;
        const char *key;
        GVariant *value;

        if (g_variant_lookup(health, "disable", "b", &disable) && disable && g_variant_n_children(health) > 1)
                return config_value_refuse(error, "health/disable", "true excludes every other key of health");
        if (use != CONFIG_KEY_UPDATE && has_startup && !has_test)
                return config_value_refuse(error, "health/startup-test", "it only precedes the regular check; give test as well");
        g_variant_iter_init(&iter, health);
        while (use != CONFIG_KEY_UPDATE && g_variant_iter_next(&iter, "{&sv}", &key, &value)) {
                g_autofree char *name = g_strconcat("health/", key, NULL);

                g_variant_unref(value);
                if (g_str_has_prefix(key, "startup-") && !g_str_equal(key, "startup-test") && !has_startup)
                        return config_value_refuse(error, name, "it is the setting of a startup check; give startup-test as well");
                if (!has_test && !g_str_equal(key, "test") && !g_str_equal(key, "disable") && !g_str_has_prefix(key, "startup-") &&
                    !g_str_has_prefix(key, "x-"))
                        return config_value_refuse(error, name, "it is the setting of a check; give test as well");
        }
        return true;
}

bool config_health_check(GVariant *health, unsigned use, GError **error) {
        g_autoptr(GVariant) test = g_variant_lookup_value(health, "test", NULL);
        g_autoptr(GVariant) startup_test = g_variant_lookup_value(health, "startup-test", NULL);

        return config_value_check_keys(health, conbus_health_keys, "health", use, error) &&
               (!test || check_test("health/test", test, error)) &&
               (!startup_test || check_test("health/startup-test", startup_test, error)) &&
               check_times(health, error) && check_words(health, error) && check_together(health, use, error);
}
