/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Profiles on disk: whose files are believed, who may use one, how often, and what is put together. /etc is a tmpfs of the test's own, with users and groups of its own. */

#include "operation/profiles.h"
#include "base/log.h"
#include "container/commit.h"
#include "testing.h"
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#define DIRECTORY "/etc/conbus/profiles.d"
#define ALICE 1000
#define BOB 1001
#define WEB 2000

typedef struct Fixture {
        Store *store;
        Registry *registry;
        Actor *root, *alice, *bob;
} Fixture;

static void write_profile(const char *name, const char *text) {
        g_autofree char *file = g_strconcat(name, ".conf", NULL);

        testing_write(DIRECTORY, file, text);
}

static void set_up(Fixture *fixture, gconstpointer unused) {
        static const guint32 web[] = {BOB, WEB};

        log_set_level(LOG_EMERG); /* what nobody can use is logged */
        g_assert_no_errno(mount("tmpfs", "/etc", "tmpfs", 0, "mode=755"));
        testing_write("/etc", "passwd", "root:x:0:0::/root:/bin/sh\nalice:x:1000:1000::/:/bin/sh\nbob:x:1001:1001::/:/bin/sh\n");
        testing_write("/etc", "group", "root:x:0:\nalice:x:1000:\nbob:x:1001:\nweb:x:2000:bob\n");
        g_assert_cmpint(g_mkdir_with_parents(DIRECTORY, 0755), ==, 0);
        fixture->store = store_open(NULL, NULL, NULL);
        fixture->registry = registry_new(fixture->store);
        fixture->root = actor_new(0, 1, "", "", ":1.1");
        fixture->alice = actor_new(ALICE, 2, "", "", ":1.2");
        fixture->bob = actor_new(BOB, 3, "", "", ":1.3");
        actor_set_groups(fixture->bob, web, G_N_ELEMENTS(web));
}

static void tear_down(Fixture *fixture, gconstpointer unused) {
        actor_unref(fixture->root);
        actor_unref(fixture->alice);
        actor_unref(fixture->bob);
        registry_free(fixture->registry);
        store_close(fixture->store);
        g_assert_no_errno(umount2("/etc", MNT_DETACH));
}

/* The printed configuration, or NULL with the error. */
static char *apply(Fixture *fixture, const char *name, Actor *actor, const char *given, guint *ret_most, GError **error) {
        g_autoptr(GVariant) parsed = testing_parse(given ? given : "@a{sv} {}"), whole = NULL;
        guint most = 77;

        whole = profiles_apply(fixture->registry, name, actor, parsed, &most, error);
        g_assert_true((whole == NULL) == (error && *error));
        if (ret_most)
                *ret_most = most;
        return whole ? g_variant_print(whole, false) : NULL;
}

static void accept(Fixture *fixture, const char *name, Actor *actor, const char *given) {
        g_autoptr(GError) error = NULL;
        g_autofree char *whole = apply(fixture, name, actor, given, NULL, &error);

        if (!whole)
                g_error("%s: %s", name, error->message);
}

static void refuse(Fixture *fixture, const char *name, Actor *actor, const char *given, ConbusError code, const char *part) {
        g_autoptr(GError) error = NULL;
        g_autofree char *whole = apply(fixture, name, actor, given, NULL, &error);

        if (whole)
                g_error("%s passed", name);
        testing_expect_error(&error, code, part);
}

/* --- the whole --- */

static void test_what_counts(Fixture *fixture, gconstpointer unused) {
        g_autoptr(GError) error = NULL;
        guint most = 0;

        write_profile("web", "[Profile]\nOpen=command;memory\n[Config]\nrootfs='/srv'\ncommand=['httpd']\npids=64\n[Maximum]\nmemory=1000000\n");
        g_autofree char *whole = apply(fixture, "web", fixture->alice, "{'command': <['true']>, 'profile': <'web'>}", &most, &error);
        g_assert_no_error(error);
        g_assert_nonnull(strstr(whole, "'command': <['true']>"));
        g_assert_nonnull(strstr(whole, "'rootfs': <'/srv'>"));
        g_assert_nonnull(strstr(whole, "'pids': <uint64 64>"));
        g_assert_nonnull(strstr(whole, "'memory': <uint64 1000000>"));
        g_assert_nonnull(strstr(whole, "'profile': <'web'>"));
        g_assert_cmpuint(most, ==, 16);
        refuse(fixture, "web", fixture->alice, "{'env': <['A=1']>}", CONBUS_ERROR_ACCESS_DENIED, "env");
        refuse(fixture, "web", fixture->alice, "{'memory': <uint64 1000001>}", CONBUS_ERROR_INVALID_CONFIG, "memory");
        refuse(fixture, "web", fixture->root, "{'env': <['A=1']>}", CONBUS_ERROR_ACCESS_DENIED, "env"); /* held to what he asked for */
}

static void test_it_is_read_each_time(Fixture *fixture, gconstpointer unused) {
        refuse(fixture, "web", fixture->alice, NULL, CONBUS_ERROR_INVALID_CONFIG, "there is no profile \"web\" in " DIRECTORY);
        write_profile("web", "[Profile]\n");
        accept(fixture, "web", fixture->alice, NULL);
        write_profile("web", "[Profile]\nUsers=bob\n");
        refuse(fixture, "web", fixture->alice, NULL, CONBUS_ERROR_ACCESS_DENIED, "the profile \"web\" is not for user 1000");
        g_assert_no_errno(unlink(DIRECTORY "/web.conf"));
        refuse(fixture, "web", fixture->alice, NULL, CONBUS_ERROR_INVALID_CONFIG, "there is no profile");
        g_assert_no_errno(rmdir(DIRECTORY));
        refuse(fixture, "web", fixture->alice, NULL, CONBUS_ERROR_INVALID_CONFIG, "there is no profile");
}

/* --- names: nothing leads out of the directory --- */

static void test_names(Fixture *fixture, gconstpointer unused) {
        static const char *const names[] = {"", ".", "..", "../profiles.d/web", "web/../web", "/etc/conbus/profiles.d/web", "-web", "we b", "web\n", "w\303\244b"};
        g_autofree char *longest = g_strnfill(240, 'a'), *too_long = g_strnfill(300, 'a');

        write_profile("web", "[Profile]\n");
        testing_write("/etc/conbus", "outside.conf", "[Profile]\n");
        for (size_t i = 0; i < G_N_ELEMENTS(names); i++)
                refuse(fixture, names[i], fixture->root, NULL, CONBUS_ERROR_INVALID_CONFIG, "cannot be the name of a profile");
        refuse(fixture, too_long, fixture->root, NULL, CONBUS_ERROR_INVALID_CONFIG, "cannot be the name of a profile");
        refuse(fixture, "../outside", fixture->root, NULL, CONBUS_ERROR_INVALID_CONFIG, "cannot be the name of a profile");
        write_profile(longest, "[Profile]\n");
        accept(fixture, longest, fixture->root, NULL);
}

/* --- files that are not believed --- */

#define NOT_USABLE "the profile \"web\" cannot be used: "

static void test_files_of_others(Fixture *fixture, gconstpointer unused) {
        static const mode_t modes[] = {0664, 0646, 0666, 0777};

        write_profile("web", "[Profile]\n");
        for (size_t i = 0; i < G_N_ELEMENTS(modes); i++) {
                g_assert_no_errno(chmod(DIRECTORY "/web.conf", modes[i]));
                refuse(fixture, "web", fixture->root, NULL, CONBUS_ERROR_INVALID_CONFIG, NOT_USABLE);
        }
        g_assert_no_errno(chmod(DIRECTORY "/web.conf", 0600));
        accept(fixture, "web", fixture->alice, NULL); /* nor need others read it */
        g_assert_no_errno(chown(DIRECTORY "/web.conf", ALICE, 0));
        refuse(fixture, "web", fixture->root, NULL, CONBUS_ERROR_INVALID_CONFIG, NOT_USABLE);
        g_assert_no_errno(chown(DIRECTORY "/web.conf", 0, ALICE));
        accept(fixture, "web", fixture->alice, NULL); /* its group cannot write */
}

static void test_directories_of_others(Fixture *fixture, gconstpointer unused) {
        static const char *const directories[] = {DIRECTORY, "/etc/conbus"};

        write_profile("web", "[Profile]\n");
        for (size_t i = 0; i < G_N_ELEMENTS(directories); i++) {
                g_assert_no_errno(chmod(directories[i], 0775));
                refuse(fixture, "web", fixture->root, NULL, CONBUS_ERROR_INVALID_CONFIG, NOT_USABLE);
                g_assert_no_errno(chmod(directories[i], 0755));
                g_assert_no_errno(chown(directories[i], ALICE, 0));
                refuse(fixture, "web", fixture->root, NULL, CONBUS_ERROR_INVALID_CONFIG, NOT_USABLE);
                g_assert_no_errno(chown(directories[i], 0, 0));
                accept(fixture, "web", fixture->alice, NULL);
        }
}

static void test_links(Fixture *fixture, gconstpointer unused) {
        write_profile("real", "[Profile]\n");
        g_assert_no_errno(symlink("real.conf", DIRECTORY "/web.conf"));
        refuse(fixture, "web", fixture->root, NULL, CONBUS_ERROR_INVALID_CONFIG, NOT_USABLE);
        accept(fixture, "real", fixture->root, NULL);
        g_assert_no_errno(rename("/etc/conbus", "/etc/elsewhere"));
        g_assert_no_errno(symlink("/etc/elsewhere", "/etc/conbus"));
        refuse(fixture, "real", fixture->root, NULL, CONBUS_ERROR_INVALID_CONFIG, "symbolic link");
}

static void test_what_is_no_file(Fixture *fixture, gconstpointer unused) {
        g_assert_no_errno(mkdir(DIRECTORY "/web.conf", 0755));
        refuse(fixture, "web", fixture->root, NULL, CONBUS_ERROR_INVALID_CONFIG, NOT_USABLE);
        g_assert_no_errno(rmdir(DIRECTORY "/web.conf"));
        g_assert_no_errno(mkfifo(DIRECTORY "/web.conf", 0600)); /* and nobody who would ever write */
        refuse(fixture, "web", fixture->root, NULL, CONBUS_ERROR_INVALID_CONFIG, NOT_USABLE);
}

static void test_contents(Fixture *fixture, gconstpointer unused) {
        g_autofree char *most = g_strnfill(65536 - strlen("[Profile]\n"), '\n'), *largest = g_strconcat("[Profile]\n", most, NULL), *too_large = g_strconcat(largest, "\n", NULL);

        write_profile("web", "[Profile]\nColour=red\n");
        refuse(fixture, "web", fixture->root, NULL, CONBUS_ERROR_INVALID_CONFIG, NOT_USABLE "[Profile]: \"Colour\" is not known");
        write_profile("web", "no key file");
        refuse(fixture, "web", fixture->root, NULL, CONBUS_ERROR_INVALID_CONFIG, NOT_USABLE);
        write_profile("web", "[Profile]\n# \377\n");
        refuse(fixture, "web", fixture->root, NULL, CONBUS_ERROR_INVALID_CONFIG, NOT_USABLE);
        write_profile("web", "[Profile]\nOpen=mounts\n");
        refuse(fixture, "web", fixture->root, NULL, CONBUS_ERROR_INVALID_CONFIG, "OpenAsRoot");
        write_profile("web", largest);
        accept(fixture, "web", fixture->root, NULL);
        write_profile("web", too_large);
        refuse(fixture, "web", fixture->root, NULL, CONBUS_ERROR_INVALID_CONFIG, "is larger than 65536 bytes");
        write_profile("web", "");
        accept(fixture, "web", fixture->root, NULL); /* opens nothing */
}

/* --- who --- */

static void test_who_is_listed(Fixture *fixture, gconstpointer unused) {
        static const struct {
                const char *lists;
                bool alice, bob;
        } table[] = {
                {"", true, true},
                {"Users=\nGroups=\n", true, true},
                {"Users=alice\n", true, false},
                {"Users=1001\n", false, true},
                {"Users=nobody-knows\n", false, false},
                {"Users=nobody-knows;alice\n", true, false},
                {"Users=root\n", false, false},
                {"Groups=web\n", false, true},
                {"Groups=2000\n", false, true},
                {"Groups=bob\n", false, true},
                {"Groups=alice\n", false, false}, /* the connection does not tell her groups */
                {"Groups=nothing-knows\n", false, false},
                {"Users=alice\nGroups=web\n", true, true},
                {"Groups=root\n", false, false},
        };

        for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
                g_autofree char *text = g_strconcat("[Profile]\n", table[i].lists, NULL);

                g_test_message("%s", table[i].lists);
                write_profile("web", text);
                if (table[i].alice)
                        accept(fixture, "web", fixture->alice, NULL);
                else
                        refuse(fixture, "web", fixture->alice, NULL, CONBUS_ERROR_ACCESS_DENIED, "the profile \"web\" is not for user 1000");
                if (table[i].bob)
                        accept(fixture, "web", fixture->bob, NULL);
                else
                        refuse(fixture, "web", fixture->bob, NULL, CONBUS_ERROR_ACCESS_DENIED, "is not for user 1001");
                accept(fixture, "web", fixture->root, NULL);
                accept(fixture, "web", NULL, NULL); /* the service itself */
        }
}

/* --- how many --- */

static void add(Fixture *fixture, const char *name, guint32 owner, const char *config) {
        g_autofree char *id = registry_new_id(fixture->registry);
        g_autoptr(GVariant) parsed = testing_parse(config);
        g_autoptr(Container) container = container_new(id, name, owner, parsed);
        g_autoptr(Commit) commit = commit_new(container, NULL);

        commit_set_create(commit, fixture->registry);
        g_assert_true(commit_apply(commit, NULL));
}

static void test_how_many(Fixture *fixture, gconstpointer unused) {
        guint most = 0;

        write_profile("web", "[Profile]\nContainersPerUser=2\n");
        add(fixture, "a", ALICE, "{'profile': <'web'>}");
        add(fixture, "b", ALICE, "{'profile': <'other'>}");
        add(fixture, "c", ALICE, "@a{sv} {}");
        add(fixture, "d", BOB, "{'profile': <'web'>}");
        g_autofree char *whole = apply(fixture, "web", fixture->alice, NULL, &most, NULL);
        g_assert_nonnull(whole);
        g_assert_cmpuint(most, ==, 2);
        add(fixture, "e", ALICE, "{'profile': <'web'>}");
        refuse(fixture, "web", fixture->alice, NULL, CONBUS_ERROR_LIMITS_EXCEEDED, "user 1000 has 2 containers of the profile \"web\" already, and 2 is the most");
        accept(fixture, "web", fixture->bob, NULL);
        g_autofree char *as_root = apply(fixture, "web", fixture->root, NULL, &most, NULL);
        g_assert_nonnull(as_root);
        g_assert_cmpuint(most, ==, 0); /* no limit */
}

static void test_no_limit(Fixture *fixture, gconstpointer unused) {
        guint most = 77;

        write_profile("web", "[Profile]\nContainersPerUser=0\n");
        add(fixture, "a", ALICE, "{'profile': <'web'>}");
        g_autofree char *whole = apply(fixture, "web", fixture->alice, NULL, &most, NULL);
        g_assert_nonnull(whole);
        g_assert_cmpuint(most, ==, 0);
}

static void test_room_is_looked_at_again(Fixture *fixture, gconstpointer unused) {
        g_autoptr(GError) error = NULL;

        g_assert_true(profiles_check_room(fixture->registry, "web", ALICE, 1, &error));
        add(fixture, "a", ALICE, "{'profile': <'web'>}");
        g_assert_false(profiles_check_room(fixture->registry, "web", ALICE, 1, &error));
        testing_expect_error(&error, CONBUS_ERROR_LIMITS_EXCEEDED, "1 is the most");
        g_assert_true(profiles_check_room(fixture->registry, "web", ALICE, 0, &error));
        g_assert_true(profiles_check_room(fixture->registry, "web", BOB, 1, &error));
        g_assert_true(profiles_check_room(fixture->registry, "other", ALICE, 1, &error));
}

/* --- the root file system that a creator chose --- */

static void test_a_chosen_root_file_system(Fixture *fixture, gconstpointer unused) {
        write_profile("web", "[Profile]\nOpen=rootfs\nRootfs=/etc/images/;/etc/wide/;/etc/file\n");
        g_assert_cmpint(g_mkdir_with_parents("/etc/images/good", 0755), ==, 0);
        g_assert_cmpint(g_mkdir_with_parents("/etc/wide/image", 0755), ==, 0);
        g_assert_no_errno(symlink("/root", "/etc/images/link"));
        testing_write("/etc", "file", "");
        accept(fixture, "web", fixture->alice, "{'rootfs': <'/etc/images/good'>}");
        refuse(fixture, "web", fixture->alice, "{'rootfs': <'/etc/images/link'>}", CONBUS_ERROR_ACCESS_DENIED, "configuration key \"rootfs\": /etc/images/link: \"link\" is a symbolic link");
        refuse(fixture, "web", fixture->alice, "{'rootfs': <'/etc/images/missing'>}", CONBUS_ERROR_NO_SUCH_PATH, "configuration key \"rootfs\": ");
        refuse(fixture, "web", fixture->alice, "{'rootfs': <'/etc/file'>}", CONBUS_ERROR_NOT_A_DIRECTORY, "configuration key \"rootfs\": ");
        refuse(fixture, "web", fixture->alice, "{'rootfs': <'/etc'>}", CONBUS_ERROR_ACCESS_DENIED, "rootfs");
        refuse(fixture, "web", fixture->alice, "{'rootfs': <'/etc/images/../images'>}", CONBUS_ERROR_ACCESS_DENIED, "rootfs");
        accept(fixture, "web", fixture->alice, "{'rootfs': <'/etc/wide/image'>}");
        g_assert_no_errno(chmod("/etc/wide", 0777));
        refuse(fixture, "web", fixture->alice, "{'rootfs': <'/etc/wide/image'>}", CONBUS_ERROR_ACCESS_DENIED, "others than root can exchange");
}

/* What the file says is the administrator's affair. */
static void test_a_fixed_root_file_system(Fixture *fixture, gconstpointer unused) {
        write_profile("web", "[Config]\nrootfs='/etc/link'\n");
        g_assert_no_errno(symlink("/root", "/etc/link"));
        accept(fixture, "web", fixture->alice, NULL);
}

#define ADD(function) g_test_add("/profiles/" #function, Fixture, NULL, set_up, test_##function, tear_down)

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        ADD(what_counts);
        ADD(it_is_read_each_time);
        ADD(names);
        ADD(files_of_others);
        ADD(directories_of_others);
        ADD(links);
        ADD(what_is_no_file);
        ADD(contents);
        ADD(who_is_listed);
        ADD(how_many);
        ADD(no_limit);
        ADD(room_is_looked_at_again);
        ADD(a_chosen_root_file_system);
        ADD(a_fixed_root_file_system);
        return g_test_run();
}
