/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Takes out of a dictionary what is not for everyone: all of "actor" but uid and bus-name, and "output". */

#include "bus/discreet.h"
#include <stdint.h>

static bool is_own(GVariant *actor, const Actor *reader) {
        guint32 uid = UINT32_MAX;

        return reader && reader->uid != UINT32_MAX && g_variant_lookup(actor, "uid", "u", &uid) && uid == reader->uid;
}

static GVariant *outline(GVariant *actor) {
        static const char *const told[] = {"uid", "bus-name", NULL};
        GVariantBuilder dict;

        g_variant_builder_init(&dict, G_VARIANT_TYPE_VARDICT);
        for (const char *const *key = told; *key; key++) {
                g_autoptr(GVariant) value = g_variant_lookup_value(actor, *key, NULL);
                if (value)
                        g_variant_builder_add(&dict, "{sv}", *key, value);
        }
        return g_variant_builder_end(&dict);
}

GVariant *discreet(GVariant *details, const Actor *reader, bool whole) {
        g_autoptr(GVariant) sunk = g_variant_ref_sink(details);
        g_autoptr(GVariant) actor = g_variant_lookup_value(sunk, "actor", G_VARIANT_TYPE_VARDICT);
        GVariantBuilder told;
        GVariantIter all;
        const char *key;
        GVariant *value;

        if (whole || (actor && is_own(actor, reader)))
                return g_steal_pointer(&sunk);
        g_variant_builder_init(&told, G_VARIANT_TYPE_VARDICT);
        g_variant_iter_init(&all, sunk);
        while (g_variant_iter_loop(&all, "{&sv}", &key, &value))
                if (g_str_equal(key, "actor"))
                        g_variant_builder_add(&told, "{sv}", key, actor ? outline(actor) : value);
                else if (!g_str_equal(key, "output"))
                        g_variant_builder_add(&told, "{sv}", key, value);
        return g_variant_ref_sink(g_variant_builder_end(&told));
}
