/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Filtering on the server. Property values come from the getters of the vtable themselves, through a message that is never sent. */

#include "bus/query.h"
#include "container-interface.h"
#include "health-interface.h"
#include "runtime/units.h"
#include <errno.h>
#include <fnmatch.h>
#include <string.h>

static const OptionKey keys[] = {{"state", "as"}, {"label", "as"}, {"image", "s"}, {"health", "as"}, {"owner", "u"}, {"unit", "s"}, {"name", "s"}, {NULL}};

static bool word_passes(GVariant *filter, const char *key, const char *word) {
        g_autofree const char **words = NULL;

        return !g_variant_lookup(filter, key, "^a&s", &words) || g_strv_contains(words, word);
}

static bool labels_pass(GVariant *filter, const Container *container) {
        g_autofree const char **wanted = NULL;
        g_autoptr(GVariant) labels = config_value(container->config, "labels");

        if (!g_variant_lookup(filter, "label", "^a&s", &wanted))
                return true;
        for (const char **want = wanted; *want; want++) {
                const char *equals = strchr(*want, '='), *value = NULL;
                g_autofree char *key = equals ? g_strndup(*want, (gsize) (equals - *want)) : g_strdup(*want);
                if (!labels || !g_variant_lookup(labels, key, "&s", &value) || (equals && !g_str_equal(equals + 1, value)))
                        return false;
        }
        return true;
}

bool query_is_of_unit(const Container *container, const char *unit) {
        g_autofree char *scope = units_unit_of_cgroup(container->life.cgroup);

        return *unit && (g_str_equal(scope, unit) || g_str_equal(container->life.managed_by, unit));
}

static bool passes(GVariant *filter, const Container *container) {
        g_autofree char *unit = units_unit_of_cgroup(container->life.cgroup);
        const char *glob, *text;
        guint32 owner;

        if (g_variant_lookup(filter, "name", "&s", &glob) && fnmatch(glob, container->name, 0) != 0)
                return false;
        if (g_variant_lookup(filter, "owner", "u", &owner) && owner != container->owner_uid)
                return false;
        if (g_variant_lookup(filter, "unit", "&s", &text) && !g_str_equal(text, unit) && !query_is_of_unit(container, text))
                return false;
        if (g_variant_lookup(filter, "image", "&s", &text) && *text)
                return false; /* this build has none */
        return word_passes(filter, "state", state_to_string(container->life.state)) && word_passes(filter, "health", container->life.health) && labels_pass(filter, container);
}

/* The vtable in memory is an opaque format: the names come from the generated list. */
static bool add_property(Bus *bus, Container *container, const ContainerProperty *property, GVariantBuilder *dict, GError **error) {
        g_autoptr(sd_bus_message) message = NULL;
        int r = sd_bus_message_new_signal(bus->connection, &message, "/", "io.conbus1.Query", "Value");

        if (r >= 0)
                r = property->get(bus, container, message);
        if (r >= 0)
                r = sd_bus_message_seal(message, 1, 0);
        if (r >= 0)
                r = sd_bus_message_rewind(message, true);
        if (r < 0)
                return error_errno(error, -r, "read the property %s", property->name);
        g_autoptr(GVariant) value = variant_read(message, NULL, NULL, error);
        if (!value)
                return false;
        g_variant_builder_add(dict, "{sv}", property->name, value);
        return true;
}

/* What a named property may be besides one of io.conbus1.Container: the status of the check, for those that have one. */
static const ContainerProperty health_status_property = {"Status", health_property_status};

static bool check_names(const char *const *names, GError **error) {
        for (const char *const *name = names; *name; name++) {
                bool known = g_str_equal(health_status_property.name, *name);
                for (const ContainerProperty *property = container_properties; property->name; property++)
                        known = known || g_str_equal(property->name, *name);
                if (!known)
                        return error_set(error, CONBUS_ERROR_INVALID_ARGS, "io.conbus1.Container has no property \"%s\"", *name);
        }
        return true;
}

static bool add_properties(Bus *bus, Container *container, const char *const *names, GVariantBuilder *dict, GError **error) {
        for (const ContainerProperty *property = container_properties; property->name; property++)
                if ((!names[0] || g_strv_contains(names, property->name)) && !add_property(bus, container, property, dict, error))
                        return false;
        return !g_strv_contains(names, health_status_property.name) || !container_has_health(container) || add_property(bus, container, &health_status_property, dict, error);
}

GVariant *query_containers(Bus *bus, GVariant *filter, const char *const *names, GError **error) {
        g_autoptr(GPtrArray) containers = registry_list(bus->registry);
        GVariantBuilder list;

        if (!options_check(filter, keys, error) || !check_names(names, error))
                return NULL;
        g_variant_builder_init(&list, G_VARIANT_TYPE("a(oa{sv})"));
        for (guint i = 0; i < containers->len; i++) {
                Container *container = containers->pdata[i];
                g_autofree char *path = container_path(container);
                GVariantBuilder dict;
                if (!passes(filter, container))
                        continue;
                g_variant_builder_init(&dict, G_VARIANT_TYPE_VARDICT);
                if (!add_properties(bus, container, names, &dict, error)) {
                        g_variant_builder_clear(&dict);
                        g_variant_builder_clear(&list);
                        return NULL;
                }
                g_variant_builder_add(&list, "(oa{sv})", path, &dict);
        }
        return g_variant_builder_end(&list);
}
