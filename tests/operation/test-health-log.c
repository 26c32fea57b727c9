/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The results of checks: how many are kept, what a service takes over from the one before it. */

#include "operation/health-log.h"
#include <glib/gstdio.h>
#include <string.h>

static const HealthSettings local = {.log_count = 3, .log_destination = "local"};

static void add(HealthLog *log, const HealthSettings *settings, int code, const char *output) {
        static guint64 now = 1000;
        CheckResult result = {.start_usec = now, .end_usec = now + 5, .code = code, .output = (char *) output};

        now += 10;
        health_log_add(log, NULL, settings, &result);
}

static void test_the_newest_are_kept(void) {
        HealthLog log;

        health_log_init(&log);
        for (int i = 0; i < 10; i++)
                add(&log, &local, i, "x");
        g_assert_cmpuint(log.entries.length, ==, 3);
        g_assert_cmpint(((HealthEntry *) g_queue_peek_head(&log.entries))->code, ==, 9);
        g_assert_cmpuint(log.n_bytes, ==, 3);
        health_log_clear(&log);
        g_assert_cmpuint(log.n_bytes, ==, 0);
}

static void test_the_cap_holds_without_a_limit(void) {
        HealthSettings unlimited = {.log_count = 0, .log_destination = "local"};
        g_autofree char *long_one = g_strnfill(HEALTH_LOG_CAP / 4, 'x'), *too_long = g_strnfill(2 * HEALTH_LOG_CAP, 'y');
        HealthLog log;

        health_log_init(&log);
        for (int i = 0; i < 10; i++)
                add(&log, &unlimited, i, long_one);
        g_assert_cmpuint(log.entries.length, ==, 4);
        add(&log, &unlimited, 0, too_long);
        g_assert_cmpuint(log.entries.length, ==, 1);
        health_log_clear(&log);
}

static void test_saved_is_loaded_once(void) {
        g_autofree char *directory = g_dir_make_tmp(NULL, NULL), *path = g_build_filename(directory, "health", NULL);
        HealthLog log, loaded;
        guint32 streak = 7;

        health_log_init(&log);
        health_log_init(&loaded);
        health_log_load(&loaded, path, &streak);
        g_assert_cmpuint(streak, ==, 7);
        add(&log, &local, 1, "quote \" and ä");
        add(&log, &local, -1, "");
        health_log_save(&log, path, 2);
        health_log_load(&loaded, path, &streak);
        g_assert_cmpuint(streak, ==, 2);
        g_assert_cmpuint(loaded.entries.length, ==, 2);
        const HealthEntry *newest = g_queue_peek_head(&loaded.entries), *oldest = g_queue_peek_tail(&loaded.entries);
        g_assert_cmpint(newest->code, ==, -1);
        g_assert_cmpstr(oldest->output, ==, "quote \" and ä");
        g_assert_false(g_file_test(path, G_FILE_TEST_EXISTS));
        health_log_clear(&log);
        health_log_clear(&loaded);
        g_assert_cmpint(g_rmdir(directory), ==, 0);
}

static void test_a_file_of_nonsense_is_forgotten(void) {
        g_autofree char *directory = g_dir_make_tmp(NULL, NULL), *path = g_build_filename(directory, "health", NULL);
        HealthLog log;
        guint32 streak = 7;

        health_log_init(&log);
        g_assert_true(g_file_set_contents(path, "(uint32 1, [", -1, NULL));
        health_log_load(&log, path, &streak);
        g_assert_cmpuint(streak, ==, 7);
        g_assert_cmpuint(log.entries.length, ==, 0);
        g_assert_false(g_file_test(path, G_FILE_TEST_EXISTS));
        g_assert_cmpint(g_rmdir(directory), ==, 0);
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/health-log/the-newest-are-kept", test_the_newest_are_kept);
        g_test_add_func("/health-log/the-cap-holds", test_the_cap_holds_without_a_limit);
        g_test_add_func("/health-log/saved-is-loaded-once", test_saved_is_loaded_once);
        g_test_add_func("/health-log/nonsense-is-forgotten", test_a_file_of_nonsense_is_forgotten);
        return g_test_run();
}
