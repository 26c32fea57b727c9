/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Looking at a JSON document fact by fact. */

#include "runtime/document.h"

/* What a path such as "linux.resources.pids" leads to; NULL when it leads nowhere. */
static inline JsonNode *find(JsonObject *spec, const char *path) {
        g_auto(GStrv) parts = g_strsplit(path, ".", -1);

        for (unsigned i = 0; parts[i + 1]; i++) {
                spec = document_find_object(spec, parts[i]);
                if (!spec)
                        return NULL;
        }
        return json_object_get_member(spec, parts[g_strv_length(parts) - 1]);
}

/* expected NULL: nothing is there. */
static inline void assert_json(JsonObject *spec, const char *path, const char *expected) {
        JsonNode *node = find(spec, path);
        g_autofree char *text = node ? json_to_string(node, FALSE) : NULL;

        if (g_strcmp0(text, expected) != 0)
                g_error("%s is %s, not %s", path, text ? text : "absent", expected ? expected : "absent");
}

static inline bool contains(JsonObject *spec, const char *path, const char *text) {
        JsonNode *node = find(spec, path);

        return node && document_array_contains(json_node_get_array(node), text);
}

/* The object of an array whose member is text. */
static inline JsonObject *find_entry(JsonObject *spec, const char *path, const char *member, const char *text) {
        JsonNode *node = find(spec, path);

        for (unsigned i = 0; node && i < json_array_get_length(json_node_get_array(node)); i++) {
                JsonObject *entry = json_array_get_object_element(json_node_get_array(node), i);

                if (g_strcmp0(document_find_string(entry, member), text) == 0)
                        return entry;
        }
        return NULL;
}
