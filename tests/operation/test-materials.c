/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a run is given, in a mount namespace of this process. */

#include "fixture.h"
#include "operation/kept.h"
#include "operation/materials.h"
#include "runtime/spec.h"
#include "storage/mounts.h"
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>

static void put_value(Fixture *fixture, const Container *container, gint32 number, const char *value) {
        g_autofree char *path = kept_secret_path(&fixture->paths, container->id, number);

        testing_write("/", path + 1, value);
}

static char *private_path(Fixture *fixture, const Container *container) {
        return paths_run_of(&fixture->paths, container->id, "private");
}

static void expect_prepared(Fixture *fixture, Container *container) {
        g_autoptr(GError) error = NULL;
        bool prepared = materials_prepare(&fixture->paths, container, fixture->directory, &error);

        g_assert_no_error(error);
        g_assert_true(prepared);
}

static void test_nothing_is_made_for_nothing(Fixture *fixture, gconstpointer unused) {
        Container *container = fixture_add(fixture, "web", "@a{sv} {}");
        g_autofree char *place = private_path(fixture, container);
        g_autoptr(GPtrArray) mounts = materials_mounts(&fixture->paths, container);

        expect_prepared(fixture, container);
        g_assert_cmpint(access(place, F_OK), <, 0);
        g_assert_cmpuint(mounts->len, ==, 0);
        g_assert_true(materials_release(&fixture->paths, container->id, NULL));
}

static void test_secrets_lie_in_memory_for_a_run(Fixture *fixture, gconstpointer unused) {
        Container *container = fixture_add(fixture, "web", "{'secrets': <[{'name': <'a'>, 'value-fd': <handle 2>}, {'name': <'b'>, 'value-fd': <handle 5>, 'target': <'/etc/b'>, 'uid': <uint32 7>, 'gid': <uint32 8>, 'mode': <uint32 256>}]>}");
        g_autofree char *place = private_path(fixture, container);
        struct stat st;

        put_value(fixture, container, 2, "first");
        put_value(fixture, container, 5, "second");
        expect_prepared(fixture, container);
        expect_prepared(fixture, container); /* anew */
        g_assert_true(mounts_is_mounted(place));
        g_autoptr(GPtrArray) mounts = materials_mounts(&fixture->paths, container);
        g_assert_cmpuint(mounts->len, ==, 2);
        const SpecMount *first = mounts->pdata[0], *second = mounts->pdata[1];
        g_assert_cmpstr(first->target, ==, "/run/secrets/a");
        g_assert_cmpstr(second->target, ==, "/etc/b");
        g_assert_true(g_strv_contains((const char *const *) second->options, "ro") && g_strv_contains((const char *const *) second->options, "noexec"));
        g_autofree char *text = testing_read("/", second->source + 1);
        g_assert_cmpstr(text, ==, "second");
        g_assert_cmpint(stat(second->source, &st), ==, 0);
        g_assert_cmpint(st.st_mode & 07777, ==, 0400);
        g_assert_cmpuint(st.st_uid, ==, 7);
        g_assert_cmpuint(st.st_gid, ==, 8);
        g_assert_cmpint(stat(first->source, &st), ==, 0);
        g_assert_cmpint(st.st_mode & 07777, ==, 0444);
        g_assert_true(materials_release(&fixture->paths, container->id, NULL));
        g_assert_cmpint(access(place, F_OK), <, 0);
}

static void test_owners_are_those_of_the_user_namespace(Fixture *fixture, gconstpointer unused) {
        Container *container = fixture_add(fixture, "web", "{'uid-map': <[(uint32 0, uint32 1000, uint32 10)]>, 'gid-map': <[(uint32 0, uint32 2000, uint32 10)]>,"
                                                           " 'secrets': <[{'name': <'a'>, 'value-fd': <handle 0>, 'uid': <uint32 7>, 'gid': <uint32 8>}]>}");
        g_autofree char *place = private_path(fixture, container);
        struct stat st;

        put_value(fixture, container, 0, "x");
        expect_prepared(fixture, container);
        g_autoptr(GPtrArray) mounts = materials_mounts(&fixture->paths, container);
        g_assert_cmpint(stat(((SpecMount *) mounts->pdata[0])->source, &st), ==, 0);
        g_assert_cmpuint(st.st_uid, ==, 1007);
        g_assert_cmpuint(st.st_gid, ==, 2008);
        g_assert_cmpint(stat(place, &st), ==, 0);
        g_assert_cmpint(st.st_mode & 07777, ==, 0710);
        g_assert_cmpuint(st.st_uid, ==, 0);
        g_assert_cmpuint(st.st_gid, ==, 2000);
        g_assert_true(materials_release(&fixture->paths, container->id, NULL));
}

static void test_a_value_that_is_lost_is_named(Fixture *fixture, gconstpointer unused) {
        Container *container = fixture_add(fixture, "web", "{'secrets': <[{'name': <'a'>, 'value-fd': <handle 0>}]>}");
        g_autoptr(GError) error = NULL;

        g_assert_false(materials_prepare(&fixture->paths, container, fixture->directory, &error));
        testing_expect_error(&error, CONBUS_ERROR_NO_SUCH_PATH, "the secret \"a\"");
        g_assert_true(materials_release(&fixture->paths, container->id, NULL));
}

static void test_credentials_are_for_the_user(Fixture *fixture, gconstpointer unused) {
        Container *container = fixture_add(fixture, "web", "{'user': <'7:8'>, 'credentials': <['token', 'key.pem']>}");
        g_autofree char *received = g_build_filename(fixture->directory, "received", NULL);
        g_autoptr(GError) error = NULL;
        struct stat st;

        testing_write(received, "token", "t");
        g_assert_false(materials_check_credentials(&fixture->paths, container->config, &error));
        testing_expect_error(&error, CONBUS_ERROR_NO_SUCH_PATH, "no credential \"token\"");
        fixture->paths.credentials = received;
        g_assert_false(materials_check_credentials(&fixture->paths, container->config, &error));
        testing_expect_error(&error, CONBUS_ERROR_NO_SUCH_PATH, "no credential \"key.pem\"");
        g_assert_false(materials_prepare(&fixture->paths, container, fixture->directory, &error));
        testing_expect_error(&error, CONBUS_ERROR_NO_SUCH_PATH, "no credential \"key.pem\"");
        testing_write(received, "key.pem", "k");
        expect_prepared(fixture, container);
        g_autoptr(GPtrArray) mounts = materials_mounts(&fixture->paths, container);
        g_assert_cmpuint(mounts->len, ==, 1);
        const SpecMount *mount = mounts->pdata[0];
        g_assert_cmpstr(mount->target, ==, "/run/host/credentials");
        g_assert_cmpstr(materials_credentials_directory(container), ==, "/run/host/credentials");
        g_autofree char *text = testing_read(mount->source, "token"), *file = g_build_filename(mount->source, "token", NULL);
        g_assert_cmpstr(text, ==, "t");
        g_assert_cmpint(stat(mount->source, &st), ==, 0);
        g_assert_cmpint(st.st_mode & 07777, ==, 0500);
        g_assert_cmpuint(st.st_uid, ==, 7);
        g_assert_cmpuint(st.st_gid, ==, 8);
        g_assert_cmpint(stat(file, &st), ==, 0);
        g_assert_cmpint(st.st_mode & 07777, ==, 0400);
        g_assert_cmpuint(st.st_uid, ==, 7);
        g_assert_true(materials_release(&fixture->paths, container->id, NULL));
        fixture->paths.credentials = NULL;
}

int main(int argc, char *argv[]) {
        static const struct {
                const char *path;
                void (*test)(Fixture *fixture, gconstpointer unused);
        } tests[] = {
                {"/materials/nothing-is-made-for-nothing", test_nothing_is_made_for_nothing},
                {"/materials/secrets-lie-in-memory-for-a-run", test_secrets_lie_in_memory_for_a_run},
                {"/materials/owners-are-those-of-the-user-namespace", test_owners_are_those_of_the_user_namespace},
                {"/materials/credentials-are-for-the-user", test_credentials_are_for_the_user},
                {"/materials/a-value-that-is-lost-is-named", test_a_value_that_is_lost_is_named},
        };

        g_test_init(&argc, &argv, NULL);
        if (!testing_unshare_mounts())
                return 0;
        for (size_t i = 0; i < G_N_ELEMENTS(tests); i++)
                g_test_add(tests[i].path, Fixture, NULL, fixture_set_up, tests[i].test, fixture_tear_down);
        return g_test_run();
}
