/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* conbus.conf: defaults, the file, its drop-ins in order, and what cannot be understood. */

#include "base/log.h"
#include "settings.h"
#include "testing.h"
#include <string.h>

typedef struct Fixture {
        char *directory;
        Settings settings;
} Fixture;

static void set_up(Fixture *fixture, gconstpointer unused) {
        fixture->directory = testing_directory_new();
        g_autofree char *file = g_build_filename(fixture->directory, "conbus.conf", NULL);
        g_setenv("CONBUS_CONFIG", file, true);
        log_set_level(LOG_EMERG);
}

static void tear_down(Fixture *fixture, gconstpointer unused) {
        testing_directory_free(fixture->directory);
}

static void load(Fixture *fixture, const char *text) {
        testing_write(fixture->directory, "conbus.conf", text);
        settings_load(&fixture->settings);
}

#define N_NUMBERS 21

/* Every number that the file may set, in the order of data/conbus.conf. */
static void get_numbers(const Settings *settings, guint64 numbers[N_NUMBERS]) {
        const guint64 all[N_NUMBERS] = {settings->idle_exit_usec,
                                        settings->operations_max,
                                        settings->launches_max,
                                        settings->operations_per_user,
                                        settings->waits_per_caller,
                                        settings->checks_per_user,
                                        settings->streams_per_user,
                                        settings->processes_per_user,
                                        settings->process_keep_usec,
                                        settings->jobs.unfinished_per_caller,
                                        settings->jobs.keep_usec,
                                        settings->exit_file_usec,
                                        settings->kill_usec,
                                        settings->create_usec,
                                        settings->runtime_usec,
                                        settings->backoff_max_usec,
                                        settings->backoff_reset_usec,
                                        settings->limits.runs_usec,
                                        settings->limits.runs_count,
                                        settings->limits.events_usec,
                                        settings->limits.events_count};

        memcpy(numbers, all, sizeof all);
}

static void expect_defaults(const Settings *settings) {
        guint64 wanted[N_NUMBERS], found[N_NUMBERS];
        Settings defaults;

        settings_init(&defaults);
        get_numbers(&defaults, wanted);
        get_numbers(settings, found);
        for (unsigned i = 0; i < N_NUMBERS; i++)
                g_assert_cmpuint(found[i], ==, wanted[i]);
        g_assert_cmpstr(settings->slice, ==, defaults.slice);
}

static void test_the_defaults_are_those_of_the_contract(Fixture *fixture, gconstpointer unused) {
        settings_load(&fixture->settings);
        expect_defaults(&fixture->settings);
        g_assert_cmpuint(fixture->settings.operations_max, ==, 64);
        g_assert_cmpuint(fixture->settings.exit_file_usec, ==, 5 * G_USEC_PER_SEC);
        g_assert_cmpuint(fixture->settings.kill_usec, ==, 5 * G_USEC_PER_SEC);
        g_assert_cmpuint(fixture->settings.create_usec, ==, 240 * G_USEC_PER_SEC);
        g_assert_cmpuint(fixture->settings.runtime_usec, ==, 60 * G_USEC_PER_SEC);
        g_assert_cmpuint(fixture->settings.backoff_max_usec, ==, 60 * G_USEC_PER_SEC);
        g_assert_cmpuint(fixture->settings.backoff_reset_usec, ==, 10 * G_USEC_PER_SEC);
        g_assert_cmpuint(fixture->settings.idle_exit_usec, ==, 30 * G_USEC_PER_SEC);
        g_assert_cmpuint(fixture->settings.waits_per_caller, ==, 1024);
        g_assert_cmpuint(fixture->settings.limits.runs_usec, ==, 30 * G_TIME_SPAN_DAY);
        g_assert_cmpuint(fixture->settings.limits.runs_count, ==, 10000);
        g_assert_cmpuint(fixture->settings.limits.events_usec, ==, 7 * G_TIME_SPAN_DAY);
        g_assert_cmpuint(fixture->settings.limits.events_count, ==, 10000);
}

static char *read_example(void) {
        g_autofree char *path = g_test_build_filename(G_TEST_DIST, "..", "data", "conbus.conf", NULL);
        char *text = NULL;

        g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
        return text;
}

/* The example with each number that is commented out set to its place in the file, from 1 on. */
static void test_every_key_is_read(Fixture *fixture, gconstpointer unused) {
        g_autofree char *text = read_example();
        g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
        g_autoptr(GString) given = g_string_new(NULL);
        guint64 n = 0, found[N_NUMBERS];

        for (char **line = lines; *line; line++) {
                const char *equals = **line == '#' && g_ascii_isupper((*line)[1]) ? strchr(*line, '=') : NULL;
                if (equals && g_ascii_isdigit(equals[1]))
                        g_string_append_printf(given, "%.*s%" G_GUINT64_FORMAT "\n", (int) (equals - *line), *line + 1, ++n);
                else
                        g_string_append_printf(given, "%s\n", *line);
        }
        g_assert_cmpuint(n, ==, N_NUMBERS);
        load(fixture, given->str);
        get_numbers(&fixture->settings, found);
        for (guint64 i = 0; i < N_NUMBERS; i++)
                g_assert_cmpuint(found[i], ==, i + 1);
}

static void test_infinity_is_never(Fixture *fixture, gconstpointer unused) {
        load(fixture, "[Service]\nIdleExitUSec= infinity \nOperationsMax=infinity\n[Runs]\nKeepCount=infinity\n");
        g_assert_cmpuint(fixture->settings.idle_exit_usec, ==, UINT64_MAX);
        g_assert_cmpuint(fixture->settings.limits.runs_count, ==, UINT64_MAX);
        g_assert_cmpuint(fixture->settings.operations_max, ==, 4096);
}

static void test_counts_have_bounds(Fixture *fixture, gconstpointer unused) {
        load(fixture, "[Service]\nOperationsMax=0\nLaunchesMax=0\nWaitsPerCaller=0\n");
        g_assert_cmpuint(fixture->settings.operations_max, ==, 1);
        g_assert_cmpuint(fixture->settings.launches_max, ==, 0);
        g_assert_cmpuint(fixture->settings.waits_per_caller, ==, 1);
        load(fixture, "[Service]\nOperationsMax=4294967297\nLaunchesMax=4294967297\nWaitsPerCaller=18446744073709551615\n");
        g_assert_cmpuint(fixture->settings.operations_max, ==, 4096);
        g_assert_cmpuint(fixture->settings.launches_max, ==, 4096);
        g_assert_cmpuint(fixture->settings.waits_per_caller, ==, 1000000);
}

static void test_a_bad_value_leaves_the_others(Fixture *fixture, gconstpointer unused) {
        static const char *const bad[] = {"", "x", "5s", "-5", "+5", "1.5", "99999999999999999999999", "5 6"};

        for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
                g_autofree char *text = g_strdup_printf("[Service]\nKillUSec=%s\nExitFileUSec=7\n", bad[i]);
                load(fixture, text);
                g_assert_cmpuint(fixture->settings.kill_usec, ==, 5 * G_USEC_PER_SEC);
                g_assert_cmpuint(fixture->settings.exit_file_usec, ==, 7);
        }
}

static void test_unknown_keys_and_groups_change_nothing(Fixture *fixture, gconstpointer unused) {
        load(fixture, "# a comment\n[Service]\nColour=7\nBackoffMaxUSec=1\n[Other]\nKillUSec=1\n");
        expect_defaults(&fixture->settings);
}

static void test_a_file_that_is_none_changes_nothing(Fixture *fixture, gconstpointer unused) {
        load(fixture, "KillUSec=1\n");
        expect_defaults(&fixture->settings);
}

static void test_dropins_come_after_the_file_in_order_of_name(Fixture *fixture, gconstpointer unused) {
        testing_write(fixture->directory, "conbus.conf.d/20-later.conf", "[Service]\nKillUSec=20\n");
        testing_write(fixture->directory, "conbus.conf.d/10-earlier.conf", "[Service]\nKillUSec=10\nExitFileUSec=10\n");
        testing_write(fixture->directory, "conbus.conf.d/99-other.txt", "[Service]\nKillUSec=99\n");
        load(fixture, "[Service]\nKillUSec=1\nExitFileUSec=1\nCreateUSec=1\n");
        g_assert_cmpuint(fixture->settings.kill_usec, ==, 20);
        g_assert_cmpuint(fixture->settings.exit_file_usec, ==, 10);
        g_assert_cmpuint(fixture->settings.create_usec, ==, 1);
}

static void test_dropins_need_no_file(Fixture *fixture, gconstpointer unused) {
        testing_write(fixture->directory, "conbus.conf.d/a.conf", "[Service]\nKillUSec=3\n");
        settings_load(&fixture->settings);
        g_assert_cmpuint(fixture->settings.kill_usec, ==, 3);
}

static void test_a_bad_dropin_leaves_the_others(Fixture *fixture, gconstpointer unused) {
        testing_write(fixture->directory, "conbus.conf.d/a.conf", "[Service\nKillUSec=3\n");
        testing_write(fixture->directory, "conbus.conf.d/b.conf", "[Service]\nExitFileUSec=4\n");
        settings_load(&fixture->settings);
        g_assert_cmpuint(fixture->settings.kill_usec, ==, 5 * G_USEC_PER_SEC);
        g_assert_cmpuint(fixture->settings.exit_file_usec, ==, 4);
}

/* Each of them, and none that is known. */
static void test_unknown_keys_are_told(Fixture *fixture, gconstpointer unused) {
        if (g_test_subprocess()) {
                log_set_level(LOG_WARNING);
                load(fixture, "[Service]\nKillUSec=1\nKilUSec=2\nSlice=machine-web.slice\n[Restarts]\nBackoffMaxUSec=3\n");
                return;
        }
        g_test_trap_subprocess(NULL, 0, 0);
        g_test_trap_assert_passed();
        g_test_trap_assert_stderr("conbusd: *: KilUSec in [Service] is no setting that this version knows; it is ignored\nconbusd: *: BackoffMaxUSec in [Restarts] is no setting that this version knows; it is ignored\n");
}

static void test_the_installed_example_is_the_defaults(Fixture *fixture, gconstpointer unused) {
        g_autofree char *text = read_example();

        for (char *p = text; (p = strchr(p, '#')); p++) /* as if everything that is commented out were set */
                if (g_ascii_isupper(p[1]))
                        *p = ' ';
        load(fixture, text);
        expect_defaults(&fixture->settings);
}

int main(int argc, char *argv[]) {
        static const struct {
                const char *path;
                void (*test)(Fixture *fixture, gconstpointer unused);
        } tests[] = {
                {"/settings/the-defaults-are-those-of-the-contract", test_the_defaults_are_those_of_the_contract},
                {"/settings/every-key-is-read", test_every_key_is_read},
                {"/settings/infinity-is-never", test_infinity_is_never},
                {"/settings/counts-have-bounds", test_counts_have_bounds},
                {"/settings/a-bad-value-leaves-the-others", test_a_bad_value_leaves_the_others},
                {"/settings/unknown-keys-and-groups-change-nothing", test_unknown_keys_and_groups_change_nothing},
                {"/settings/unknown-keys-are-told", test_unknown_keys_are_told},
                {"/settings/a-file-that-is-none-changes-nothing", test_a_file_that_is_none_changes_nothing},
                {"/settings/dropins-come-after-the-file-in-order-of-name", test_dropins_come_after_the_file_in_order_of_name},
                {"/settings/dropins-need-no-file", test_dropins_need_no_file},
                {"/settings/a-bad-dropin-leaves-the-others", test_a_bad_dropin_leaves_the_others},
                {"/settings/the-installed-example-is-the-defaults", test_the_installed_example_is_the_defaults},
        };

        g_test_init(&argc, &argv, NULL);
        for (size_t i = 0; i < G_N_ELEMENTS(tests); i++)
                g_test_add(tests[i].path, Fixture, NULL, set_up, tests[i].test, tear_down);
        return g_test_run();
}
