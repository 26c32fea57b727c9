/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Keys about the unit that a container lives in. */

#include "model/config-unit.h"
#include "model/config-value.h"
#include <string.h>

#define NAME_MAX_LENGTH 255

bool config_unit_check_slice(const char *key, GVariant *value, GError **error) {
        const char *name = g_variant_get_string(value, NULL);
        gsize stem = g_str_has_suffix(name, ".slice") ? strlen(name) - strlen(".slice") : 0;
        bool valid = stem > 0 && strlen(name) <= NAME_MAX_LENGTH && strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789:_.\\-") == strlen(name);

        /* Dashes are levels (systemd.slice(5)): none may be empty, but the root is a dash alone. */
        valid = valid && (g_str_equal(name, "-.slice") || (*name != '-' && name[stem - 1] != '-' && !strstr(name, "--")));
        return valid || config_value_refuse(error, key, "\"%s\" is no name of a slice; give one such as machine-web.slice", name);
}

bool config_unit_check_properties(const char *key, GVariant *value, GError **error) {
        /* What this service sets itself and counts on. */
        static const char *const own[] = {"PIDs", "PIDFDs", "Slice", "Delegate", "DelegateControllers", "DelegateSubgroup", "DisableControllers", "CollectMode", "Controller", "Before", "After", "TimeoutStopUSec", "Description",
                                          "DefaultDependencies", "KillMode", "KillSignal", "SendSIGKILL", "OOMPolicy", "AddRef", "FreezerState", NULL};
        GVariantIter iter;
        const char *name;

        g_variant_iter_init(&iter, value);
        while (g_variant_iter_next(&iter, "(&sv)", &name, NULL)) {
                if (g_strv_contains(own, name))
                        return config_value_refuse(error, key, "\"%s\" is set by the service, which could not supervise the container otherwise%s", name,
                                                   g_str_equal(name, "Slice") ? "; use the key slice" : g_str_equal(name, "TimeoutStopUSec") ? "; use the key stop-timeout-usec" : "");
                if (strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789") != strlen(name) || !*name)
                        return config_value_refuse(error, key, "\"%s\" is no name of a property", name);
        }
        return true;
}
