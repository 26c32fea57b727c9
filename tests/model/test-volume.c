/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Volumes as they may be asked for. */

#include "model/volume.h"
#include "testing.h"
#include <string.h>

static void check(const char *text, const char *name, const char *target, bool read_only, bool copy, const char *options) {
        g_auto(Volume) volume = {0};
        g_autoptr(GError) error = NULL;

        g_assert_true(volume_parse(text, &volume, &error));
        g_assert_no_error(error);
        g_assert_cmpstr(volume.name, ==, name);
        g_assert_cmpstr(volume.target, ==, target);
        g_assert_cmpint(volume.read_only, ==, read_only);
        g_assert_cmpint(volume.copy, ==, copy);
        g_autofree char *joined = g_strjoinv(",", (char **) volume.options->pdata);
        g_assert_cmpstr(joined, ==, options);
}

static void refuse(const char *text, const char *part) {
        g_auto(Volume) volume = {0};
        g_autoptr(GError) error = NULL;

        g_assert_false(volume_parse(text, &volume, &error));
        testing_expect_error(&error, CONBUS_ERROR_INVALID_CONFIG, "configuration key \"volumes\"");
        g_assert_false(volume_parse(text, &volume, &error));
        testing_expect_error(&error, CONBUS_ERROR_INVALID_CONFIG, part);
        g_assert_null(volume.target);
}

static void test_what_can_be_asked_for(void) {
        check("data:/var/lib/x", "data", "/var/lib/x", false, true, "rbind,rprivate,rw,exec,nosuid,nodev");
        check("/var//lib/x/", NULL, "/var/lib/x", false, true, "rbind,rprivate,rw,exec,nosuid,nodev");
        check("a.b-c_d:/x:ro,nocopy", "a.b-c_d", "/x", true, false, "rbind,rprivate,ro,exec,nosuid,nodev");
        check("/x:noexec,suid,dev,rw,copy", NULL, "/x", false, true, "rbind,rprivate,rw,noexec,suid,dev");
}

static void test_what_cannot(void) {
        refuse("", "is no volume");
        refuse("data", "is no volume");
        refuse("data:relative", "is no volume");
        refuse("data:/x:ro:more", "is no volume");
        refuse("/x:ro:more", "is no volume");
        refuse(":/x", "cannot be the name");
        refuse("../x:/x", "cannot be the name");
        refuse("a/b:/x", "cannot be the name");
        refuse(".a:/x", "cannot be the name");
        refuse("a b:/x", "cannot be the name");
        refuse("data:/", "over the root");
        refuse("data:/a/../b", "goes through ..");
        refuse("data:/x:sideways", "\"sideways\"");
        refuse("data:/x:ro,rw", "both ro and rw");
        refuse("data:/x:ro,", "\"\"");
}

/* Else a container could reach what is another's alone. */
static void test_anonymous_ones_have_names_that_nobody_can_give(void) {
        g_autofree char *id = g_strnfill(64, 'a'), *one = volume_anonymous_name(id, "/x"), *other = volume_anonymous_name(id, "/y"), *again = volume_anonymous_name(id, "/x");

        g_assert_cmpstr(one, ==, again);
        g_assert_cmpstr(one, !=, other);
        g_assert_true(g_str_has_prefix(one, id));
        g_assert_false(volume_is_name(one));
        g_autofree char *text = g_strconcat(one, ":/x", NULL);
        refuse(text, "cannot be the name");
        g_assert_true(volume_is_name("data"));
        g_assert_true(volume_is_name(id));
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/volume/what-can-be-asked-for", test_what_can_be_asked_for);
        g_test_add_func("/volume/what-cannot", test_what_cannot);
        g_test_add_func("/volume/anonymous-ones-have-names-that-nobody-can-give", test_anonymous_ones_have_names_that_nobody_can_give);
        return g_test_run();
}
