/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Names of errors both ways, and errno where it enters. */

#include "testing.h"
#include <errno.h>

static void test_every_code_has_a_name_that_leads_back(void) {
        for (int code = 0; code < CONBUS_N_ERRORS; code++) {
                g_autoptr(GError) error = g_error_new_literal(CONBUS_ERROR, code, "x");

                g_assert_cmpint(error_code_from_name(error_to_name(error)), ==, code);
                g_assert_true(g_str_has_prefix(error_to_name(error), "io.conbus1.Error.") || g_str_has_prefix(error_to_name(error), "org.freedesktop.DBus.Error."));
        }
}

static void test_an_unknown_name_has_no_code(void) {
        g_assert_cmpint(error_code_from_name("io.conbus1.Error.Nonsense"), ==, -1);
        g_assert_cmpint(error_code_from_name(""), ==, -1);
}

static void test_a_foreign_error_is_internal(void) {
        g_autoptr(GError) foreign = g_error_new_literal(G_FILE_ERROR, G_FILE_ERROR_NOENT, "x"), beyond = g_error_new_literal(CONBUS_ERROR, CONBUS_N_ERRORS, "x"),
                          below = g_error_new_literal(CONBUS_ERROR, -1, "x");

        g_assert_cmpstr(error_to_name(foreign), ==, "io.conbus1.Error.Internal");
        g_assert_cmpstr(error_to_name(beyond), ==, "io.conbus1.Error.Internal");
        g_assert_cmpstr(error_to_name(below), ==, "io.conbus1.Error.Internal");
}

static void test_errno_is_classed_and_said(void) {
        static const struct {
                int errnum;
                ConbusError code;
        } table[] = {
                {ENOSPC, CONBUS_ERROR_STORAGE_FULL}, {EDQUOT, CONBUS_ERROR_STORAGE_FULL}, {EACCES, CONBUS_ERROR_INTERNAL},
                {ENOENT, CONBUS_ERROR_INTERNAL},     {EIO, CONBUS_ERROR_INTERNAL},
        };

        for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
                g_autoptr(GError) error = NULL;
                g_autofree char *sentence = g_strdup_printf("write page 7: %s", g_strerror(table[i].errnum));

                g_assert_false(error_errno(&error, table[i].errnum, "write page %d", 7));
                g_assert_error(error, CONBUS_ERROR, (int) table[i].code);
                g_assert_cmpstr(error->message, ==, sentence);
        }
}

static void test_a_set_error_keeps_code_and_sentence(void) {
        g_autoptr(GError) error = NULL;

        g_assert_false(error_set(&error, CONBUS_ERROR_IN_USE, "%s is %d%%", "it", 5));
        g_assert_error(error, CONBUS_ERROR, CONBUS_ERROR_IN_USE);
        g_assert_cmpstr(error->message, ==, "it is 5%");
}

static void test_nobody_need_listen(void) {
        g_assert_false(error_set(NULL, CONBUS_ERROR_INTERNAL, "x"));
        g_assert_false(error_errno(NULL, EIO, "x"));
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/error/every-code-has-a-name-that-leads-back", test_every_code_has_a_name_that_leads_back);
        g_test_add_func("/error/an-unknown-name-has-no-code", test_an_unknown_name_has_no_code);
        g_test_add_func("/error/a-foreign-error-is-internal", test_a_foreign_error_is_internal);
        g_test_add_func("/error/errno-is-classed-and-said", test_errno_is_classed_and_said);
        g_test_add_func("/error/a-set-error-keeps-code-and-sentence", test_a_set_error_keeps_code_and_sentence);
        g_test_add_func("/error/nobody-need-listen", test_nobody_need_listen);
        return g_test_run();
}
