/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Containers found by name, id and prefix; names that are taken; who depends on whom; what a restart of the service finds. */

#include "container/commit.h"
#include "testing.h"
#include <string.h>

#define ID_A "aaaa567890aaaa567890aaaa567890aaaa567890aaaa567890aaaa567890aaaa"
#define ID_B "aaaabbbbb0aaaa567890aaaa567890aaaa567890aaaa567890aaaa567890bbbb"
#define ID_D "dddd567890dddd567890dddd567890dddd567890dddd567890dddd567890dddd"
#define ID_C "cccc567890aaaa567890aaaa567890aaaa567890aaaa567890aaaa567890cccc"

typedef struct Fixture {
        char *directory;
        Store *store;
        Registry *registry;
} Fixture;

static void set_up(Fixture *fixture, gconstpointer unused) {
        g_autoptr(GError) error = NULL;

        fixture->directory = testing_directory_new();
        fixture->store = store_open(fixture->directory, NULL, &error);
        g_assert_no_error(error);
        fixture->registry = registry_new(fixture->store);
}

static void tear_down(Fixture *fixture, gconstpointer unused) {
        registry_free(fixture->registry);
        store_close(fixture->store);
        testing_directory_free(fixture->directory);
}

static Container *add(Fixture *fixture, const char *id, const char *name, const char *config) {
        g_autoptr(GError) error = NULL;
        g_autoptr(GVariant) parsed = testing_parse(config);
        g_autoptr(Container) container = container_new(id, name, 7, parsed);
        g_autoptr(Commit) commit = commit_new(container, NULL);

        commit_set_create(commit, fixture->registry);
        g_assert_true(commit_apply(commit, &error));
        g_assert_no_error(error);
        return container; /* the registry holds it */
}

static Container *find(Fixture *fixture, const char *word) {
        g_autoptr(GError) error = NULL;
        Container *found = registry_find(fixture->registry, word, &error);

        g_assert_true((found == NULL) == (error != NULL));
        return found;
}

static void expect_not_found(Fixture *fixture, const char *word, ConbusError code) {
        g_autoptr(GError) error = NULL;

        g_assert_null(registry_find(fixture->registry, word, &error));
        testing_expect_error(&error, code, word);
}

static void test_a_word_is_a_name_an_id_or_a_prefix(Fixture *fixture, gconstpointer unused) {
        Container *a = add(fixture, ID_A, "web", "@a{sv} {}"), *b = add(fixture, ID_B, "db", "@a{sv} {}");

        g_assert_true(find(fixture, "web") == a);
        g_assert_true(find(fixture, ID_B) == b);
        g_assert_true(find(fixture, "aaaa5") == a);
        g_assert_true(find(fixture, "aaaab") == b);
        g_assert_true(registry_get(fixture->registry, ID_A) == a);
        g_assert_null(registry_get(fixture->registry, "aaaa5"));
        g_assert_true(registry_get_by_name(fixture->registry, "db") == b);
        g_assert_null(registry_get_by_name(fixture->registry, ID_B));
}

static void test_what_is_not_found(Fixture *fixture, gconstpointer unused) {
        add(fixture, ID_A, "web", "@a{sv} {}");
        add(fixture, ID_B, "db", "@a{sv} {}");
        expect_not_found(fixture, "aaaa", CONBUS_ERROR_AMBIGUOUS_NAME);
        expect_not_found(fixture, "aaa", CONBUS_ERROR_NO_SUCH_CONTAINER); /* less than four digits are no prefix */
        expect_not_found(fixture, "AAAA5", CONBUS_ERROR_NO_SUCH_CONTAINER);
        expect_not_found(fixture, "dddd", CONBUS_ERROR_NO_SUCH_CONTAINER);
        expect_not_found(fixture, "we", CONBUS_ERROR_NO_SUCH_CONTAINER);
        expect_not_found(fixture, "", CONBUS_ERROR_NO_SUCH_CONTAINER);
        expect_not_found(fixture, ID_A "0", CONBUS_ERROR_NO_SUCH_CONTAINER);
}

static void test_a_name_comes_before_a_prefix(Fixture *fixture, gconstpointer unused) {
        add(fixture, ID_A, "web", "@a{sv} {}");
        Container *b = add(fixture, ID_C, "aaaa", "@a{sv} {}");

        g_assert_true(find(fixture, "aaaa") == b);
}

static void test_a_list_is_in_order_and_holds_references(Fixture *fixture, gconstpointer unused) {
        g_autoptr(GError) error = NULL;
        Container *c = add(fixture, ID_C, "c", "@a{sv} {}"), *a = add(fixture, ID_A, "a", "@a{sv} {}");

        g_autoptr(GPtrArray) list = registry_list(fixture->registry);
        g_assert_cmpuint(list->len, ==, 2);
        g_assert_true(list->pdata[0] == c && list->pdata[1] == a);
        g_autoptr(Commit) commit = commit_new(c, NULL);
        commit_enter(commit, STATE_REMOVING, REASON_USER);
        commit_set_remove(commit);
        g_assert_true(commit_apply(commit, &error));
        g_assert_cmpstr(c->name, ==, "c");
        g_assert_true(c->removed);
}

static void test_states_are_counted(Fixture *fixture, gconstpointer unused) {
        g_autoptr(GError) error = NULL;
        Container *a = add(fixture, ID_A, "a", "@a{sv} {}");

        add(fixture, ID_B, "b", "@a{sv} {}");
        g_autoptr(Commit) commit = commit_new(a, NULL);
        commit_enter(commit, STATE_INITIALIZED, REASON_USER);
        g_assert_true(commit_apply(commit, &error));
        g_assert_cmpuint(registry_count(fixture->registry, STATE_CREATED), ==, 1);
        g_assert_cmpuint(registry_count(fixture->registry, STATE_INITIALIZED), ==, 1);
        g_assert_cmpuint(registry_count(fixture->registry, STATE_RUNNING), ==, 0);
        g_assert_cmpuint(registry_count(fixture->registry, N_STATES), ==, 2);
}

static void test_a_reserved_name_is_taken(Fixture *fixture, gconstpointer unused) {
        g_autoptr(GError) error = NULL;

        add(fixture, ID_A, "web", "@a{sv} {}");
        g_assert_true(registry_reserve_name(fixture->registry, "db", NULL));
        g_assert_false(registry_reserve_name(fixture->registry, "db", &error));
        testing_expect_error(&error, CONBUS_ERROR_NAME_IN_USE, "db");
        g_assert_false(registry_reserve_name(fixture->registry, "web", &error));
        testing_expect_error(&error, CONBUS_ERROR_NAME_IN_USE, "web");
        g_assert_null(registry_get_by_name(fixture->registry, "db"));
        registry_release_name(fixture->registry, "db");
        registry_release_name(fixture->registry, "never reserved");
        g_assert_true(registry_reserve_name(fixture->registry, "db", NULL));
}

static void test_new_ids_and_names_are_unused(Fixture *fixture, gconstpointer unused) {
        g_autoptr(GHashTable) names = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);

        for (int i = 0; i < 100; i++) {
                g_autofree char *id = registry_new_id(fixture->registry);
                g_assert_cmpuint(strlen(id), ==, 64);
                g_assert_cmpuint(strspn(id, "0123456789abcdef"), ==, 64);
                g_assert_cmpuint(strspn(id, "0123456789"), <, 12);
                char *name = registry_new_name(fixture->registry);
                g_assert_true(config_check_name(name, NULL));
                g_assert_true(registry_reserve_name(fixture->registry, name, NULL));
                g_assert_true(g_hash_table_add(names, name));
        }
}

static void drop(Container *container) {
        g_autoptr(GError) error = NULL;
        g_autoptr(Commit) commit = commit_new(container, NULL);

        commit_set_remove(commit);
        g_assert_true(commit_apply(commit, &error));
        g_assert_no_error(error);
}

/* The first search by a prefix sorts the ids; what comes and goes afterwards is put into that order and taken out of it. */
static void test_prefixes_follow_what_comes_and_goes(Fixture *fixture, gconstpointer unused) {
        Container *c = add(fixture, ID_C, "c", "@a{sv} {}"), *a = add(fixture, ID_A, "a", "@a{sv} {}");

        g_assert_true(find(fixture, "aaaa") == a);
        Container *d = add(fixture, ID_D, "d", "@a{sv} {}"), *b = add(fixture, ID_B, "b", "@a{sv} {}");
        g_assert_true(find(fixture, "aaaab") == b && find(fixture, "aaaa5") == a && find(fixture, "cccc") == c && find(fixture, "dddd") == d);
        expect_not_found(fixture, "aaaa", CONBUS_ERROR_AMBIGUOUS_NAME);
        drop(a);
        g_assert_true(find(fixture, "aaaa") == b);
        drop(d);
        expect_not_found(fixture, "dddd", CONBUS_ERROR_NO_SUCH_CONTAINER);
        g_assert_true(find(fixture, "cccc") == c);
}

/* --- dependencies --- */

static void test_dependencies_are_those_of_depends_and_the_network(Fixture *fixture, gconstpointer unused) {
        Container *a = add(fixture, ID_A, "a", "@a{sv} {}"), *b = add(fixture, ID_B, "b", "@a{sv} {}"),
                  *c = add(fixture, ID_C, "c", "{'depends': <['" ID_A "', '" ID_D "', '" ID_A "']>, 'network': <'container:" ID_B "'>}");
        g_autoptr(GPtrArray) of_c = registry_dependencies(fixture->registry, c), of_a = registry_dependencies(fixture->registry, a);

        g_assert_cmpuint(of_c->len, ==, 2); /* each once, without those that are gone */
        g_assert_true(of_c->pdata[0] == a && of_c->pdata[1] == b);
        g_assert_cmpuint(of_a->len, ==, 0);
        g_autoptr(GPtrArray) on_a = registry_dependents(fixture->registry, a), on_b = registry_dependents(fixture->registry, b), on_c = registry_dependents(fixture->registry, c);
        g_assert_cmpuint(on_a->len, ==, 1);
        g_assert_true(on_a->pdata[0] == c);
        g_assert_cmpuint(on_b->len, ==, 1);
        g_assert_cmpuint(on_c->len, ==, 0);
}

static void test_dependents_follow_configurations_and_removals(Fixture *fixture, gconstpointer unused) {
        Container *c = add(fixture, ID_C, "c", "{'depends': <['" ID_A "']>}"), *a = add(fixture, ID_A, "a", "@a{sv} {}"), *b = add(fixture, ID_B, "b", "{'depends': <['" ID_A "']>}");
        g_autoptr(GPtrArray) both = registry_dependents(fixture->registry, a);

        g_assert_cmpuint(both->len, ==, 2); /* in order of creation, also what was there before what it depends on */
        g_assert_true(both->pdata[0] == c && both->pdata[1] == b);
        g_autoptr(Commit) commit = commit_new(c, NULL);
        commit_set_config(commit, testing_parse("{'depends': <['" ID_B "']>}"));
        g_assert_true(commit_apply(commit, NULL));
        g_autoptr(GPtrArray) on_a = registry_dependents(fixture->registry, a), on_b = registry_dependents(fixture->registry, b);
        g_assert_cmpuint(on_a->len, ==, 1);
        g_assert_true(on_a->pdata[0] == b);
        g_assert_cmpuint(on_b->len, ==, 1);
        g_assert_true(on_b->pdata[0] == c);
        drop(b);
        g_autoptr(GPtrArray) none = registry_dependents(fixture->registry, a), of_c = registry_dependencies(fixture->registry, c);
        g_assert_cmpuint(none->len, ==, 0);
        g_assert_cmpuint(of_c->len, ==, 0);
}

/* --- loading --- */

static void test_a_restart_finds_what_was_committed(Fixture *fixture, gconstpointer unused) {
        g_autoptr(GError) error = NULL;
        Container *a = add(fixture, ID_A, "a", "{'memory': <uint64 5>}");

        add(fixture, ID_B, "b", "@a{sv} {}");
        g_autoptr(Commit) commit = commit_new(a, NULL);
        commit->life.run = 3;
        commit->life.stopped_by_user = true;
        commit_set_name(commit, "renamed");
        commit_enter(commit, STATE_EXITED, REASON_EXIT);
        g_assert_true(commit_apply(commit, &error));
        guint64 created = a->created_usec;

        g_autoptr(Registry) again = registry_new(fixture->store);
        g_assert_true(registry_load(again, &error));
        g_assert_cmpuint(registry_count(again, N_STATES), ==, 2);
        g_assert_cmpuint(registry_count(again, STATE_EXITED), ==, 1);
        Container *loaded = registry_get_by_name(again, "renamed");
        g_assert_true(loaded == registry_get(again, ID_A));
        g_assert_cmpuint(loaded->owner_uid, ==, 7);
        g_assert_cmpuint(loaded->created_usec, ==, created);
        g_assert_cmpuint(loaded->generation, ==, 1);
        g_assert_cmpuint(config_uint64(loaded->config, "memory", 0), ==, 5);
        g_assert_cmpuint(loaded->life.run, ==, 3);
        g_assert_true(loaded->life.stopped_by_user);
        g_assert_cmpint(loaded->life.reason, ==, REASON_EXIT);
}

int main(int argc, char *argv[]) {
        static const struct {
                const char *path;
                void (*test)(Fixture *fixture, gconstpointer unused);
        } tests[] = {
                {"/registry/a-word-is-a-name-an-id-or-a-prefix", test_a_word_is_a_name_an_id_or_a_prefix},
                {"/registry/what-is-not-found", test_what_is_not_found},
                {"/registry/a-name-comes-before-a-prefix", test_a_name_comes_before_a_prefix},
                {"/registry/a-list-is-in-order-and-holds-references", test_a_list_is_in_order_and_holds_references},
                {"/registry/states-are-counted", test_states_are_counted},
                {"/registry/a-reserved-name-is-taken", test_a_reserved_name_is_taken},
                {"/registry/new-ids-and-names-are-unused", test_new_ids_and_names_are_unused},
                {"/registry/dependencies-are-those-of-depends-and-the-network", test_dependencies_are_those_of_depends_and_the_network},
                {"/registry/prefixes-follow-what-comes-and-goes", test_prefixes_follow_what_comes_and_goes},
                {"/registry/dependents-follow-configurations-and-removals", test_dependents_follow_configurations_and_removals},
                {"/registry/a-restart-finds-what-was-committed", test_a_restart_finds_what_was_committed},
        };

        g_test_init(&argc, &argv, NULL);
        for (size_t i = 0; i < G_N_ELEMENTS(tests); i++)
                g_test_add(tests[i].path, Fixture, NULL, set_up, tests[i].test, tear_down);
        return g_test_run();
}
