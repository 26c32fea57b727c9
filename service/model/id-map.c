/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* user_namespaces(7): ranges that do not overlap, so the first that holds an id is the only one. */

#include "model/id-map.h"

bool id_map_find(GVariant *map, guint32 inside, guint32 *ret_outside) {
        guint32 first, outside, size;

        if (!map) {
                *ret_outside = inside;
                return true;
        }
        for (gsize i = 0; i < g_variant_n_children(map); i++) {
                g_variant_get_child(map, i, "(uuu)", &first, &outside, &size);
                if (inside >= first && inside - first < size) {
                        *ret_outside = outside + (inside - first);
                        return true;
                }
        }
        return false;
}
