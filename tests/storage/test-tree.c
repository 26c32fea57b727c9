/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What is removed at once, and what is left to rm(1). */

#include "storage/tree.h"
#include "testing.h"
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct Fixture {
        char *directory, *tree;
        unsigned before;
} Fixture;

static void set_up(Fixture *fixture, gconstpointer unused) {
        fixture->before = testing_count_descriptors();
        fixture->directory = testing_directory_new();
        fixture->tree = g_build_filename(fixture->directory, "tree", NULL);
        g_assert_cmpint(mkdir(fixture->tree, 0700), ==, 0);
}

static void tear_down(Fixture *fixture, gconstpointer unused) {
        testing_directory_free(fixture->directory);
        g_free(fixture->tree);
        g_assert_cmpuint(testing_count_descriptors(), ==, fixture->before);
}

static bool remove_tree(const char *path) {
        return tree_remove((const char *const[]) {"rm", "-rf", "--", path, NULL});
}

static void make_file(const char *directory, const char *name) {
        g_autofree char *path = g_build_filename(directory, name, NULL);
        g_autoptr(GError) error = NULL;

        g_assert_true(g_file_set_contents(path, "x", 1, &error));
}

static void make_deep(const char *directory, unsigned depth) {
        g_autoptr(GString) path = g_string_new(directory);

        for (unsigned i = 0; i < depth; i++)
                g_string_append(path, "/d");
        g_assert_cmpint(g_mkdir_with_parents(path->str, 0700), ==, 0);
        make_file(path->str, "last");
}

static void test_everything_goes(Fixture *fixture, gconstpointer unused) {
        make_deep(fixture->tree, 5);
        make_file(fixture->tree, "one");
        make_file(fixture->tree, "-two");
        g_assert_true(remove_tree(fixture->tree));
        g_assert_cmpint(access(fixture->tree, F_OK), <, 0);
}

static void test_what_is_not_there_is_gone(Fixture *fixture, gconstpointer unused) {
        const char *const nothing[] = {"rm", "--", NULL};
        g_autofree char *other = g_build_filename(fixture->directory, "other", NULL);

        g_assert_true(remove_tree(other));
        g_assert_true(tree_remove(nothing));
        g_assert_true(tree_remove(nothing + 2));
}

static void test_several_go(Fixture *fixture, gconstpointer unused) {
        g_autofree char *file = g_build_filename(fixture->directory, "file", NULL);
        const char *const words[] = {"rm", "-rf", "--one-file-system", "--", fixture->tree, file, NULL};

        make_file(fixture->directory, "file");
        make_file(fixture->tree, "one");
        g_assert_true(tree_remove(words));
        g_assert_cmpint(access(fixture->tree, F_OK), <, 0);
        g_assert_cmpint(access(file, F_OK), <, 0);
}

/* A link goes, and what it leads to stays. */
static void test_links_are_not_followed(Fixture *fixture, gconstpointer unused) {
        g_autofree char *elsewhere = g_build_filename(fixture->directory, "elsewhere", NULL), *link = g_build_filename(fixture->tree, "link", NULL), *kept = g_build_filename(elsewhere, "kept", NULL);

        g_assert_cmpint(mkdir(elsewhere, 0700), ==, 0);
        make_file(elsewhere, "kept");
        g_assert_cmpint(symlink(elsewhere, link), ==, 0);
        g_assert_true(remove_tree(fixture->tree));
        g_assert_cmpint(access(kept, F_OK), ==, 0);
        g_assert_cmpint(symlink(elsewhere, fixture->tree), ==, 0); /* nor at the top */
        g_assert_true(remove_tree(fixture->tree));
        g_assert_cmpint(access(kept, F_OK), ==, 0);
}

static void test_what_is_deep_is_left(Fixture *fixture, gconstpointer unused) {
        g_autofree char *shallow = g_build_filename(fixture->tree, "shallow", NULL);

        make_file(fixture->tree, "shallow");
        make_deep(fixture->tree, 1000);
        g_assert_false(remove_tree(fixture->tree));
        g_assert_cmpint(access(fixture->tree, F_OK), ==, 0);
        g_assert_cmpint(access(shallow, F_OK), <, 0); /* the rest goes all the same */
}

static bool remove_small(const char *path) {
        return tree_remove_small((const char *const[]) {"rm", "-rf", "--", path, NULL});
}

static void test_small_goes_at_once(Fixture *fixture, gconstpointer unused) {
        g_autofree char *other = g_build_filename(fixture->directory, "other", NULL);

        make_deep(fixture->tree, 5);
        make_file(fixture->tree, "one");
        g_assert_true(remove_small(fixture->tree));
        g_assert_cmpint(access(fixture->tree, F_OK), <, 0);
        g_assert_true(remove_small(other));
}

/* One directory, and the 32nd and further files are one too many. */
static void test_many_are_left(Fixture *fixture, gconstpointer unused) {
        for (unsigned i = 0; i < 40; i++) {
                g_autofree char *name = g_strdup_printf("%u", i);
                make_file(fixture->tree, name);
        }
        g_assert_false(remove_small(fixture->tree));
        g_assert_cmpint(access(fixture->tree, F_OK), ==, 0);
        g_assert_true(remove_small(fixture->tree)); /* each time it does its part */
        g_assert_cmpint(access(fixture->tree, F_OK), <, 0);
}

static void test_large_is_left(Fixture *fixture, gconstpointer unused) {
        g_autofree char *large = g_build_filename(fixture->tree, "large", NULL);

        make_file(fixture->tree, "large");
        make_file(fixture->tree, "small");
        g_assert_cmpint(truncate(large, 1024 * 1024 + 1), ==, 0);
        g_assert_false(remove_small(fixture->tree));
        g_assert_cmpint(access(large, F_OK), ==, 0);
        g_assert_cmpint(truncate(large, 1024 * 1024), ==, 0);
        g_assert_true(remove_small(fixture->tree));
}

#define ADD(name, function) g_test_add("/tree/" name, Fixture, NULL, set_up, function, tear_down)

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        ADD("everything-goes", test_everything_goes);
        ADD("what-is-not-there-is-gone", test_what_is_not_there_is_gone);
        ADD("several-go", test_several_go);
        ADD("links-are-not-followed", test_links_are_not_followed);
        ADD("what-is-deep-is-left", test_what_is_deep_is_left);
        ADD("small-goes-at-once", test_small_goes_at_once);
        ADD("many-are-left", test_many_are_left);
        ADD("large-is-left", test_large_is_left);
        return g_test_run();
}
