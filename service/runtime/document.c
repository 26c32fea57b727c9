/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What json-glib lacks for the documents of this layer. */

#include "runtime/document.h"
#include "base/auto.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

JsonObject *document_parse(const char *text, gssize size, const char *what, ConbusError code, GError **error) {
        g_autoptr(JsonParser) parser = json_parser_new();
        g_autoptr(GError) why = NULL;

        if (!g_utf8_validate(text, size, NULL)) {
                error_set(error, code, "%s: it is not UTF-8 text", what);
                return NULL;
        }
        if (!json_parser_load_from_data(parser, text, size, &why)) {
                error_set(error, code, "%s: %s", what, why->message);
                return NULL;
        }

        JsonNode *root = json_parser_get_root(parser);
        if (!root || !JSON_NODE_HOLDS_OBJECT(root)) {
                error_set(error, code, "%s: it is not a JSON object", what);
                return NULL;
        }
        return json_node_dup_object(root);
}

JsonObject *document_read(const char *path, gsize limit, GError **error) {
        autofd int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
        struct stat st;
        gsize size = 0;

        if (fd < 0) {
                if (errno == ENOENT || errno == ENOTDIR)
                        error_set(error, CONBUS_ERROR_NO_SUCH_PATH, "read %s: it does not exist", path);
                else
                        error_set(error, CONBUS_ERROR_INVALID_CONFIG, "read %s: %s", path, g_strerror(errno));
                return NULL;
        }
        if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
                error_set(error, CONBUS_ERROR_INVALID_CONFIG, "read %s: it is not a regular file", path);
                return NULL;
        }

        g_autofree char *text = g_malloc(limit + 1);
        for (;;) {
                ssize_t n = read(fd, text + size, limit + 1 - size);

                if (n < 0) {
                        error_set(error, CONBUS_ERROR_INVALID_CONFIG, "read %s: %s", path, g_strerror(errno));
                        return NULL;
                }
                size += n;
                if (n == 0 || size > limit)
                        break;
        }
        if (size > limit) {
                error_set(error, CONBUS_ERROR_INVALID_CONFIG, "read %s: it is larger than %" G_GSIZE_FORMAT " bytes", path, limit);
                return NULL;
        }
        return document_parse(text, size, path, CONBUS_ERROR_INVALID_CONFIG, error);
}

JsonObject *document_find_object(JsonObject *parent, const char *member) {
        JsonNode *node = json_object_get_member(parent, member);

        return node && JSON_NODE_HOLDS_OBJECT(node) ? json_node_get_object(node) : NULL;
}

JsonArray *document_find_array(JsonObject *parent, const char *member) {
        JsonNode *node = json_object_get_member(parent, member);

        return node && JSON_NODE_HOLDS_ARRAY(node) ? json_node_get_array(node) : NULL;
}

const char *document_find_string(JsonObject *parent, const char *member) {
        JsonNode *node = json_object_get_member(parent, member);

        return node && JSON_NODE_HOLDS_VALUE(node) && json_node_get_value_type(node) == G_TYPE_STRING ? json_node_get_string(node) : NULL;
}

JsonObject *document_object(JsonObject *parent, const char *member) {
        JsonObject *object = document_find_object(parent, member);

        if (!object) {
                object = json_object_new();
                json_object_set_object_member(parent, member, object);
        }
        return object;
}

JsonArray *document_array(JsonObject *parent, const char *member) {
        JsonArray *array = document_find_array(parent, member);

        if (!array) {
                array = json_array_new();
                json_object_set_array_member(parent, member, array);
        }
        return array;
}

void document_append_strv(JsonArray *array, const char *const *strings) {
        for (unsigned i = 0; strings && strings[i]; i++)
                json_array_add_string_element(array, strings[i]);
}

void document_set_strv(JsonObject *parent, const char *member, const char *const *strings) {
        JsonArray *array = json_array_new();

        document_append_strv(array, strings);
        json_object_set_array_member(parent, member, array);
}

const char *document_array_string(JsonArray *array, unsigned i) {
        JsonNode *node = json_array_get_element(array, i);

        return JSON_NODE_HOLDS_VALUE(node) && json_node_get_value_type(node) == G_TYPE_STRING ? json_node_get_string(node) : "";
}

bool document_array_contains(JsonArray *array, const char *text) {
        for (unsigned i = 0; array && i < json_array_get_length(array); i++)
                if (g_str_equal(document_array_string(array, i), text))
                        return true;
        return false;
}

void document_patch(JsonObject *target, JsonObject *patch) {
        JsonObjectIter iter;
        const char *member;
        JsonNode *node;

        json_object_iter_init(&iter, patch);
        while (json_object_iter_next(&iter, &member, &node)) {
                if (JSON_NODE_HOLDS_NULL(node))
                        json_object_remove_member(target, member);
                else if (JSON_NODE_HOLDS_OBJECT(node))
                        document_patch(document_object(target, member), json_node_get_object(node));
                else
                        json_object_set_member(target, member, json_node_copy(node));
        }
}

static bool is_unsigned(const char *member) {
        static const char *const members[] = { "hard", "soft", "value", "valueTwo", NULL };

        return member && g_strv_contains(members, member);
}

/* json-glib escapes, by way of a generator of its own for each string; most have nothing that wants it. */
static void print_string(GString *text, const char *string) {
        const char *end = string;

        while ((unsigned char) *end >= 0x20 && *end != '"' && *end != '\\' && *end != 0x7f)
                end++;
        if (*end == '\0') {
                g_string_append_c(text, '"');
                g_string_append_len(text, string, end - string);
                g_string_append_c(text, '"');
                return;
        }
        g_autoptr(JsonNode) node = json_node_init_string(json_node_alloc(), string);
        g_autofree char *quoted = json_to_string(node, FALSE);

        g_string_append(text, quoted);
}

static void print_node(GString *text, JsonNode *node, const char *member) {
        if (JSON_NODE_HOLDS_OBJECT(node)) {
                const char *separator = "{";
                JsonObjectIter iter;
                JsonNode *child;

                json_object_iter_init_ordered(&iter, json_node_get_object(node));
                while (json_object_iter_next_ordered(&iter, &member, &child)) {
                        g_string_append(text, separator);
                        print_string(text, member);
                        g_string_append_c(text, ':');
                        print_node(text, child, member);
                        separator = ",";
                }
                g_string_append(text, *separator == '{' ? "{}" : "}");
        } else if (JSON_NODE_HOLDS_ARRAY(node)) {
                JsonArray *array = json_node_get_array(node);

                g_string_append_c(text, '[');
                for (unsigned i = 0; i < json_array_get_length(array); i++) {
                        g_string_append(text, i > 0 ? "," : "");
                        print_node(text, json_array_get_element(array, i), NULL);
                }
                g_string_append_c(text, ']');
        } else if (JSON_NODE_HOLDS_VALUE(node) && json_node_get_value_type(node) == G_TYPE_STRING)
                print_string(text, json_node_get_string(node));
        else if (JSON_NODE_HOLDS_VALUE(node) && json_node_get_value_type(node) == G_TYPE_INT64 && is_unsigned(member))
                g_string_append_printf(text, "%" G_GUINT64_FORMAT, (guint64) json_node_get_int(node));
        else {
                g_autofree char *value = json_to_string(node, FALSE);

                g_string_append(text, value);
        }
}

char *document_print(JsonObject *root) {
        g_autoptr(JsonNode) node = json_node_init_object(json_node_alloc(), root);
        GString *text = g_string_new(NULL);

        print_node(text, node, NULL);
        return g_string_free(text, FALSE);
}
