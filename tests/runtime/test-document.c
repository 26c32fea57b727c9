/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* JSON: what is refused, the merge patch by the examples of RFC 7386, numbers that gint64 cannot hold. */

#include "runtime/document.h"
#include <glib/gstdio.h>
#include <sys/stat.h>

static JsonObject *parse(const char *text) {
        g_autoptr(GError) error = NULL;
        JsonObject *object = document_parse(text, -1, "text", CONBUS_ERROR_INTERNAL, &error);

        g_assert_no_error(error);
        return object;
}

static void test_patch(void) {
        static const char *const cases[][3] = {
                { "{\"a\":\"b\"}", "{\"a\":\"c\"}", "{\"a\":\"c\"}" },
                { "{\"a\":\"b\"}", "{\"b\":\"c\"}", "{\"a\":\"b\",\"b\":\"c\"}" },
                { "{\"a\":\"b\"}", "{\"a\":null}", "{}" },
                { "{\"a\":\"b\",\"b\":\"c\"}", "{\"a\":null}", "{\"b\":\"c\"}" },
                { "{\"a\":[\"b\"]}", "{\"a\":\"c\"}", "{\"a\":\"c\"}" },
                { "{\"a\":\"c\"}", "{\"a\":[\"b\"]}", "{\"a\":[\"b\"]}" },
                { "{\"a\":{\"b\":\"c\"}}", "{\"a\":{\"b\":\"d\",\"c\":null}}", "{\"a\":{\"b\":\"d\"}}" },
                { "{\"a\":[{\"b\":\"c\"}]}", "{\"a\":[1]}", "{\"a\":[1]}" },
                { "{\"e\":null}", "{\"a\":1}", "{\"e\":null,\"a\":1}" },
                { "{}", "{\"a\":{\"bb\":{\"ccc\":null}}}", "{\"a\":{\"bb\":{}}}" },
        };

        for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
                g_autoptr(JsonObject) target = parse(cases[i][0]), patch = parse(cases[i][1]);
                g_autofree char *text = NULL;

                document_patch(target, patch);
                text = document_print(target);
                g_assert_cmpstr(text, ==, cases[i][2]);
        }
}

static void test_print_keeps_numbers_and_texts(void) {
        static const char *const texts[] = {
                "{\"hard\":18446744073709551615,\"soft\":9223372036854775808}",
                "{\"limit\":-1,\"b\":[true,false,null,1.5,-2,{}],\"c\":[]}",
                "{\"args\":[{\"value\":18446744073709551615,\"valueTwo\":0}]}",
                "{\"a\\\"b\":\"\\\\ \\n \\u0001 \303\244\"}",
        };

        for (unsigned i = 0; i < G_N_ELEMENTS(texts); i++) {
                g_autoptr(JsonObject) object = parse(texts[i]);
                g_autofree char *text = document_print(object);

                g_assert_cmpstr(text, ==, texts[i]);
        }
}

static void test_bad_texts_are_refused(void) {
        static const char *const texts[] = { "", "{", "[]", "1", "null", "{\"a\":}", "{\"a\":\"\xff\"}", NULL };

        for (unsigned i = 0; texts[i]; i++) {
                g_autoptr(GError) error = NULL;

                g_assert_null(document_parse(texts[i], -1, "the text", CONBUS_ERROR_INVALID_CONFIG, &error));
                g_assert_error(error, CONBUS_ERROR, CONBUS_ERROR_INVALID_CONFIG);
                g_assert_true(g_str_has_prefix(error->message, "the text: "));
        }
}

static void test_files(void) {
        g_autofree char *directory = g_dir_make_tmp("conbus-document-XXXXXX", NULL), *path = g_build_filename(directory, "a.json", NULL);
        g_autoptr(GError) error = NULL;

        g_assert_null(document_read(path, 100, &error));
        g_assert_error(error, CONBUS_ERROR, CONBUS_ERROR_NO_SUCH_PATH);
        g_clear_error(&error);
        g_assert_null(document_read(directory, 100, &error));
        g_assert_error(error, CONBUS_ERROR, CONBUS_ERROR_INVALID_CONFIG);
        g_clear_error(&error);
        g_assert_true(g_file_set_contents(path, "{\"a\":1}", -1, NULL));
        g_autoptr(JsonObject) exact = document_read(path, 7, &error);
        g_assert_no_error(error);
        g_assert_cmpint(json_object_get_int_member(exact, "a"), ==, 1);
        g_assert_null(document_read(path, 6, &error));
        g_assert_error(error, CONBUS_ERROR, CONBUS_ERROR_INVALID_CONFIG);
        g_clear_error(&error);
        g_unlink(path);
        g_assert_cmpint(mkfifo(path, 0600), ==, 0);
        g_assert_null(document_read(path, 100, &error));
        g_assert_error(error, CONBUS_ERROR, CONBUS_ERROR_INVALID_CONFIG);
        g_unlink(path);
        g_rmdir(directory);
}

static void test_members_of_other_types(void) {
        g_autoptr(JsonObject) object = parse("{\"a\":1,\"b\":\"c\",\"d\":[1,\"e\"]}");

        g_assert_null(document_find_string(object, "a"));
        g_assert_null(document_find_object(object, "b"));
        g_assert_null(document_find_array(object, "nothing"));
        g_assert_cmpstr(document_array_string(document_find_array(object, "d"), 0), ==, "");
        g_assert_true(document_array_contains(document_find_array(object, "d"), "e"));
        g_assert_false(document_array_contains(NULL, "e"));
        json_array_add_int_element(document_array(object, "b"), 1);
        g_assert_cmpuint(json_array_get_length(document_find_array(object, "b")), ==, 1);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/document/patch", test_patch);
        g_test_add_func("/document/print-keeps-numbers-and-texts", test_print_keeps_numbers_and_texts);
        g_test_add_func("/document/bad-texts-are-refused", test_bad_texts_are_refused);
        g_test_add_func("/document/files", test_files);
        g_test_add_func("/document/members-of-other-types", test_members_of_other_types);
        return g_test_run();
}
