/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* CreateContainer: everything that is wrong with a request is found before it is accepted, and what was refused, given up or could not be stored leaves neither a container nor its name. */

#define FAKES_UNIT "create"
#include "fakes.h"
#include "base/auto.h"
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BUNDLE_TEXT "{\"ociVersion\": \"1.0.0\", \"process\": {\"args\": [\"sleep\", \"1000\"], \"cwd\": \"/\"}, \"root\": {\"path\": \"rootfs\"}}"

static GVariant *good(const char *more) {
        g_autofree char *text = g_strdup_printf("{'rootfs': <'%s'>, 'command': <['true']>}", g_getenv("CONBUS_TEST_ROOTFS"));
        g_autoptr(GVariant) common = testing_parse(text), added = testing_parse(more ? more : "@a{sv} {}");

        return config_merge(common, added);
}

typedef struct Created {
        unsigned n;
        char *path;
        GError *error;
} Created;

static void created_clear(Created *created) {
        g_clear_pointer(&created->path, g_free);
        g_clear_error(&created->error);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Created, created_clear)

static void on_done(Operation *operation, GVariant *result, const GError *error, void *userdata) {
        Created *created = userdata;

        g_assert_true((result == NULL) == (error != NULL));
        g_assert_cmpuint(created->n++, ==, 0);
        if (result)
                g_variant_get(result, "(o)", &created->path);
        created->error = error ? g_error_copy(error) : NULL;
}

static Operation *submit(Fixture *fixture, const char *name, const char *bundle, GVariant *config, Actor *actor, Created *created) {
        g_autoptr(GError) error = NULL;
        Operation *operation = operation_create(fixture->engine, name, "", bundle, config, NULL, actor, on_done, created, &error);

        g_assert_no_error(error);
        g_assert_nonnull(operation);
        g_assert_cmpuint(created->n, ==, 0);
        return operation;
}

static void expect_free(Fixture *fixture, const char *name) {
        g_autoptr(GError) error = NULL;

        g_assert_true(registry_reserve_name(fixture->registry, name, &error));
        registry_release_name(fixture->registry, name);
        g_assert_cmpuint(registry_count(fixture->registry, N_STATES), ==, 0);
        g_assert_cmpuint(fixture->engine->n_accepted, ==, 0);
}

/* Refused at once: done is never called. */
static void refuse_all(Fixture *fixture, const char *name, const char *image, const char *bundle, GVariant *config, ConbusError code, const char *part) {
        g_autoptr(GError) error = NULL;

        g_assert_null(operation_create(fixture->engine, name, image, bundle, config, NULL, NULL, on_done, NULL, &error));
        testing_expect_error(&error, code, part);
        testing_run_idle(fixture->event);
        g_assert_cmpuint(fixture->engine->n_accepted, ==, 0);
}

static void refuse(Fixture *fixture, const char *config, ConbusError code, const char *part) {
        g_autoptr(GVariant) parsed = testing_parse(config);

        refuse_all(fixture, "web", "", NULL, parsed, code, part);
        expect_free(fixture, "web");
}

/* --- accepted --- */

static void test_a_creation(Fixture *fixture, gconstpointer unused) {
        g_autoptr(GVariant) config = good("{'labels': <{'a': 'b'}>}");
        g_autoptr(Actor) actor = actor_new(1000, 7, "who", "", ":1.5");
        g_auto(Created) created = {0};
        g_autoptr(GError) error = NULL;

        (void) submit(fixture, "web", NULL, config, actor, &created);
        g_assert_false(registry_reserve_name(fixture->registry, "web", &error)); /* taken from now on */
        testing_expect_error(&error, CONBUS_ERROR_NAME_IN_USE, "");
        g_assert_null(registry_get_by_name(fixture->registry, "web"));
        testing_run_until_count(fixture->event, &created.n, 1);
        g_assert_no_error(created.error);
        Container *container = registry_get_by_name(fixture->registry, "web");
        g_autofree char *path = container_path(container);
        g_assert_cmpstr(created.path, ==, path);
        g_assert_cmpuint(strlen(container->id), ==, 64);
        g_assert_cmpuint(container->owner_uid, ==, 1000);
        g_assert_cmpstr(container->bundle, ==, "");
        fixture_expect(fixture, container, STATE_CREATED);
        fixture_expect_events(fixture, "create ");
        g_assert_cmpuint(fixture->engine->n_accepted, ==, 0);
        g_assert_cmpuint(container->operations.length, ==, 0);
        fixture_crash(fixture, NULL);
        container = registry_get_by_name(fixture->registry, "web");
        g_autofree char *text = g_variant_print(container->config, false);
        g_assert_nonnull(strstr(text, "'labels': <{'a': 'b'}>"));
}

static void test_a_name_of_its_own(Fixture *fixture, gconstpointer unused) {
        g_autoptr(GVariant) config = good(NULL);
        g_auto(Created) first = {0}, second = {0};

        (void) submit(fixture, "", NULL, config, NULL, &first);
        (void) submit(fixture, "", NULL, config, NULL, &second);
        testing_run_until_count(fixture->event, &second.n, 1);
        testing_run_until_count(fixture->event, &first.n, 1);
        g_autoptr(GPtrArray) all = registry_list(fixture->registry);
        g_assert_cmpuint(all->len, ==, 2);
        Container *a = all->pdata[0], *b = all->pdata[1];
        g_assert_true(config_check_name(a->name, NULL) && config_check_name(b->name, NULL));
        g_assert_cmpstr(a->name, !=, b->name);
        g_assert_cmpuint(a->owner_uid, ==, 0);
}

static void test_dependencies_are_kept_by_id(Fixture *fixture, gconstpointer unused) {
        Container *db = fakes_add(fixture, "db", NULL);
        g_autoptr(GVariant) config = good("{'depends': <['db']>, 'network': <'container:db'>}");
        g_auto(Created) created = {0};

        (void) submit(fixture, "web", NULL, config, NULL, &created);
        testing_run_until_count(fixture->event, &created.n, 1);
        g_autofree char *text = g_variant_print(registry_get_by_name(fixture->registry, "web")->config, false), *network = g_strdup_printf("'container:%s'", db->id), *depends = g_strdup_printf("['%s']", db->id);
        g_assert_nonnull(strstr(text, network));
        g_assert_nonnull(strstr(text, depends));
}

/* --- refused --- */

static void test_what_is_wrong_with_a_request(Fixture *fixture, gconstpointer unused) {
        g_autofree char *file = g_build_filename(fixture->directory, "file", NULL), *below_file = g_build_filename(file, "below", NULL), *file_config = g_strdup_printf("{'rootfs': <'%s'>}", file),
                        *below_config = g_strdup_printf("{'rootfs': <'%s'>}", below_file);
        g_autofree char *long_name = g_strnfill(300, 'a'), *long_config = g_strdup_printf("{'rootfs': <'/%s'>, 'command': <['true']>}", long_name);
        g_autoptr(GVariant) fine = good(NULL);

        testing_write(fixture->directory, "file", "");
        refuse(fixture, "{'command': <['true']>}", CONBUS_ERROR_INVALID_CONFIG, "neither an image nor the key rootfs is given");
        refuse(fixture, "{'rootfs': <'/no/such'>}", CONBUS_ERROR_NO_SUCH_PATH, "the root file system /no/such does not exist");
        refuse(fixture, below_config, CONBUS_ERROR_NO_SUCH_PATH, "does not exist");
        refuse(fixture, file_config, CONBUS_ERROR_NOT_A_DIRECTORY, "is not a directory");
        refuse(fixture, long_config, CONBUS_ERROR_INVALID_CONFIG, "cannot be used: File name too long");
        refuse(fixture, "{'rootfs': <'/tmp'>}", CONBUS_ERROR_INVALID_CONFIG, "command");
        refuse(fixture, "{'rootfs': <'/tmp'>, 'command': <['true']>, 'oci-spec-patch': <'[]'>}", CONBUS_ERROR_INVALID_CONFIG, "oci-spec-patch");
        refuse(fixture, "{'colour': <'red'>}", CONBUS_ERROR_UNKNOWN_OPTION, "colour");
        refuse(fixture, "{'rootfs': <true>}", CONBUS_ERROR_INVALID_CONFIG, "rootfs");
        refuse(fixture, "{'rootfs': <'/tmp'>, 'command': <['true']>, 'depends': <['nobody']>}", CONBUS_ERROR_NO_SUCH_CONTAINER, "nobody");
        refuse_all(fixture, "web", "busybox", NULL, fine, CONBUS_ERROR_NO_SUCH_IMAGE, "there is no image \"busybox\"");
        refuse_all(fixture, "-web", "", NULL, fine, CONBUS_ERROR_INVALID_NAME, "\"-web\" cannot be a name");
        refuse_all(fixture, "self", "", NULL, fine, CONBUS_ERROR_INVALID_NAME, "self");
        expect_free(fixture, "web");
        fixture_expect_events(fixture, "");
}

static void test_a_name_that_is_taken(Fixture *fixture, gconstpointer unused) {
        g_autoptr(GVariant) config = good(NULL);
        g_auto(Created) created = {0};
        g_autoptr(GError) error = NULL;

        (void) submit(fixture, "web", NULL, config, NULL, &created);
        g_assert_null(operation_create(fixture->engine, "web", "", NULL, config, NULL, NULL, on_done, NULL, &error)); /* by what is under way */
        testing_expect_error(&error, CONBUS_ERROR_NAME_IN_USE, "the name \"web\" is taken");
        testing_run_until_count(fixture->event, &created.n, 1);
        refuse_all(fixture, "web", "", NULL, config, CONBUS_ERROR_NAME_IN_USE, "the name \"web\" is taken"); /* by what is there */
        g_assert_cmpuint(registry_count(fixture->registry, N_STATES), ==, 1);
}

static void test_too_many(Fixture *fixture, gconstpointer unused) {
        g_autoptr(GVariant) config = good(NULL);
        g_autoptr(Actor) actor = actor_new(1000, 7, "who", "", ":1.5");
        g_auto(Created) first = {0}, second = {0};
        g_autoptr(GError) error = NULL;

        fixture->engine->settings.operations_per_user = 1;
        fixture->engine->settings.operations_queued_max = 2;
        (void) submit(fixture, "a", NULL, config, actor, &first);
        g_assert_null(operation_create(fixture->engine, "b", "", NULL, config, NULL, actor, on_done, NULL, &error));
        testing_expect_error(&error, CONBUS_ERROR_LIMITS_EXCEEDED, "");
        (void) submit(fixture, "b", NULL, config, NULL, &second);
        g_assert_null(operation_create(fixture->engine, "c", "", NULL, config, NULL, NULL, on_done, NULL, &error));
        testing_expect_error(&error, CONBUS_ERROR_BUSY, "create \"c\": 2 operations are queued already");
        testing_run_until_count(fixture->event, &second.n, 1);
        testing_run_until_count(fixture->event, &first.n, 1);
        g_assert_cmpuint(registry_count(fixture->registry, N_STATES), ==, 2);
        g_assert_true(operation_check_quota(fixture->engine, actor, "create", &error)); /* given back */
}

/* --- bundles --- */

static char *make_bundle(Fixture *fixture, const char *config) {
        char *bundle = g_build_filename(fixture->directory, "bundle", NULL);

        testing_write(bundle, "config.json", config);
        testing_write(bundle, "rootfs/file", "");
        return bundle;
}

static void test_a_bundle(Fixture *fixture, gconstpointer unused) {
        g_autofree char *bundle = make_bundle(fixture, BUNDLE_TEXT);
        g_autoptr(GVariant) config = testing_parse("{'labels': <{'a': 'b'}>}");
        g_auto(Created) created = {0};

        (void) submit(fixture, "web", bundle, config, NULL, &created);
        testing_run_until_count(fixture->event, &created.n, 1);
        g_assert_no_error(created.error);
        g_assert_cmpstr(registry_get_by_name(fixture->registry, "web")->bundle, ==, bundle);
        fixture_crash(fixture, NULL);
        g_assert_cmpstr(registry_get_by_name(fixture->registry, "web")->bundle, ==, bundle);
}

static void test_bundles_that_are_refused(Fixture *fixture, gconstpointer unused) {
        g_autofree char *bundle = make_bundle(fixture, "no JSON"), *config_file = g_build_filename(bundle, "config.json", NULL);
        g_autoptr(GVariant) none = testing_parse("@a{sv} {}"), command = testing_parse("{'command': <['true']>}");

        refuse_all(fixture, "web", "", "relative", none, CONBUS_ERROR_INVALID_ARGS, "the bundle directory is \"relative\"; it must be an absolute path");
        refuse_all(fixture, "web", "", "/no/bundle", none, CONBUS_ERROR_NO_SUCH_PATH, "the bundle directory /no/bundle does not exist");
        refuse_all(fixture, "web", "", config_file, none, CONBUS_ERROR_NOT_A_DIRECTORY, "is not a directory");
        refuse_all(fixture, "web", "", bundle, none, CONBUS_ERROR_INVALID_CONFIG, "");
        g_assert_cmpint(unlink(config_file), ==, 0);
        refuse_all(fixture, "web", "", bundle, none, CONBUS_ERROR_NO_SUCH_PATH, "");
        testing_write(bundle, "config.json", BUNDLE_TEXT);
        refuse_all(fixture, "web", "", bundle, command, CONBUS_ERROR_UNKNOWN_OPTION, "command"); /* the bundle says it */
        expect_free(fixture, "web");
}

/* --- given up, or not stored --- */

static void test_a_creation_that_is_given_up(Fixture *fixture, gconstpointer unused) {
        g_autoptr(GVariant) config = good(NULL);
        g_auto(Created) created = {0};

        operation_abandon(submit(fixture, "web", NULL, config, NULL, &created));
        testing_run_idle(fixture->event);
        g_assert_cmpuint(created.n, ==, 0);
        expect_free(fixture, "web");
        fixture_expect_events(fixture, "");
}

static void test_a_creation_that_is_cancelled(Fixture *fixture, gconstpointer unused) {
        g_autoptr(GVariant) config = good(NULL);
        g_auto(Created) created = {0};

        operation_cancel(submit(fixture, "web", NULL, config, NULL, &created));
        g_assert_cmpuint(created.n, ==, 1);
        testing_expect_error(&created.error, CONBUS_ERROR_CANCELLED, "cancelled before it began");
        testing_run_idle(fixture->event);
        expect_free(fixture, "web");
}

static void test_a_creation_that_cannot_be_stored(Fixture *fixture, gconstpointer unused) {
        g_autoptr(GVariant) config = good(NULL);
        g_auto(Created) created = {0};

        fixture_refuse(fixture, "INSERT ON container");
        (void) submit(fixture, "web", NULL, config, NULL, &created);
        testing_run_until_count(fixture->event, &created.n, 1);
        fixture_allow(fixture);
        testing_expect_error(&created.error, CONBUS_ERROR_STORAGE_FULL, "");
        expect_free(fixture, "web");
        fixture_expect_events(fixture, "");
}

/* The container is there, and could only be lost by a power cut: the caller hears that it may be. */
static void test_a_creation_that_cannot_be_promised(Fixture *fixture, gconstpointer unused) {
        g_autoptr(GVariant) config = good(NULL);
        g_auto(Created) created = {0};

        fakes_break_disk(fixture);
        (void) submit(fixture, "web", NULL, config, NULL, &created);
        testing_run_until_count(fixture->event, &created.n, 1);
        testing_expect_error(&created.error, CONBUS_ERROR_INTERNAL, "write the database to disk");
        fixture_expect(fixture, registry_get_by_name(fixture->registry, "web"), STATE_CREATED);
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        FAKES_ADD(a_creation);
        FAKES_ADD(a_name_of_its_own);
        FAKES_ADD(dependencies_are_kept_by_id);
        FAKES_ADD(what_is_wrong_with_a_request);
        FAKES_ADD(a_name_that_is_taken);
        FAKES_ADD(too_many);
        FAKES_ADD(a_bundle);
        FAKES_ADD(bundles_that_are_refused);
        FAKES_ADD(a_creation_that_is_given_up);
        FAKES_ADD(a_creation_that_is_cancelled);
        FAKES_ADD(a_creation_that_cannot_be_stored);
        FAKES_ADD(a_creation_that_cannot_be_promised);
        return g_test_run();
}
