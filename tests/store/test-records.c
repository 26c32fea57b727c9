/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Records of runs: found by number, by what came after, by invocation; kept as long as the limits say and no less. */

#include "base/clock.h"
#include "store/internal.h"
#include "testing.h"
#include <string.h>

static Store *open_memory(void) {
        g_autoptr(GError) error = NULL;
        Store *store = store_open(NULL, NULL, &error);

        g_assert_no_error(error);
        return store;
}

static void put(Store *store, const char *container, guint64 number, Result result, guint64 finish_usec) {
        g_autoptr(Run) run = run_new(container, number);
        g_autoptr(GError) error = NULL;

        run->result = result;
        run->exit_code = (int) number;
        run->finish_usec = finish_usec;
        memset(run->invocation, (int) number, INVOCATION_SIZE);
        g_assert_true(store_put_run(store, run, &error));
        g_assert_no_error(error);
}

static void test_every_field_comes_back(void) {
        g_autoptr(Store) store = open_memory();
        g_autoptr(Run) run = run_new("c", 3), found = NULL;

        memset(run->invocation, 7, INVOCATION_SIZE);
        run->pid = 44;
        run->start_usec = 10;
        run->finish_usec = 20;
        run->exit_code = 139;
        run->exit_signal = 11;
        run->result = RESULT_CORE_DUMP;
        run->reason = REASON_SIGNAL;
        run->oom_kills = 2;
        run->restarts = 5;
        life_set_string(&run->health, "healthy");
        life_set_string(&run->log_cursor, "cursor");
        life_set_string(&run->name, "web");
        run->actor = testing_parse("{'uid': <uint32 7>}");
        g_assert_true(store_put_run(store, run, NULL));
        g_assert_true(store_get_run(store, "c", 3, &found, NULL));
        g_autoptr(GVariant) wanted = g_variant_ref_sink(run_to_variant(run)), read = g_variant_ref_sink(run_to_variant(found));
        g_assert_cmpvariant(read, wanted);
        g_assert_cmpstr(found->name, ==, "web");
        g_assert_cmpstr(found->container, ==, "c");
}

static void test_a_record_without_an_actor(void) {
        g_autoptr(Store) store = open_memory();
        g_autoptr(Run) found = NULL;

        put(store, "c", 1, RESULT_SUCCESS, 1);
        g_assert_true(store_get_run(store, "c", 1, &found, NULL));
        g_assert_null(found->actor);
}

static void test_number_zero_is_the_latest(void) {
        g_autoptr(Store) store = open_memory();
        g_autoptr(Run) latest = NULL, none = NULL;

        put(store, "c", 1, RESULT_SUCCESS, 1);
        put(store, "c", 10, RESULT_NONE, 0);
        put(store, "c", 9, RESULT_SUCCESS, 9);
        put(store, "d", 99, RESULT_SUCCESS, 9);
        g_assert_true(store_get_run(store, "c", 0, &latest, NULL));
        g_assert_cmpuint(latest->number, ==, 10);
        g_assert_true(store_get_run(store, "e", 0, &none, NULL));
        g_assert_null(none);
}

static void test_a_record_that_is_not_there_is_no_error(void) {
        g_autoptr(Store) store = open_memory();
        g_autoptr(Run) none = NULL;

        put(store, "c", 1, RESULT_SUCCESS, 1);
        g_assert_true(store_get_run(store, "c", 2, &none, NULL));
        g_assert_null(none);
        g_assert_true(store_get_run(store, "c", UINT64_MAX, &none, NULL));
        g_assert_null(none);
}

static guint64 number_after(Store *store, guint64 after) {
        g_autoptr(Run) run = NULL;

        g_assert_true(store_get_run_after(store, "c", after, &run, NULL));
        return run ? run->number : 0;
}

static void test_after_is_the_first_ended_run_above(void) {
        g_autoptr(Store) store = open_memory();

        put(store, "c", 1, RESULT_SUCCESS, 1);
        put(store, "c", 2, RESULT_EXIT_CODE, 2);
        put(store, "c", 3, RESULT_NONE, 0);
        g_assert_cmpuint(number_after(store, 0), ==, 1);
        g_assert_cmpuint(number_after(store, 1), ==, 2);
        g_assert_cmpuint(number_after(store, 2), ==, 0); /* 3 is open */
        g_assert_cmpuint(number_after(store, INT64_MAX), ==, 0);
        g_assert_cmpuint(number_after(store, (guint64) INT64_MAX + 1), ==, 0);
        g_assert_cmpuint(number_after(store, UINT64_MAX), ==, 0);
}

static void test_a_list_is_newest_first_and_bounded(void) {
        g_autoptr(Store) store = open_memory();

        for (guint64 i = 1; i <= 5; i++)
                put(store, "c", i, RESULT_SUCCESS, i);
        g_autoptr(GPtrArray) two = store_list_runs(store, "c", 2, NULL), all = store_list_runs(store, "c", 100, NULL), none = store_list_runs(store, "d", 100, NULL);
        g_assert_cmpuint(two->len, ==, 2);
        g_assert_cmpuint(((Run *) two->pdata[0])->number, ==, 5);
        g_assert_cmpuint(((Run *) two->pdata[1])->number, ==, 4);
        g_assert_cmpuint(all->len, ==, 5);
        g_assert_cmpuint(none->len, ==, 0);
}

static void test_a_run_is_found_by_invocation(void) {
        g_autoptr(Store) store = open_memory();
        g_autoptr(Run) found = NULL, none = NULL;
        guint8 invocation[INVOCATION_SIZE];

        put(store, "c", 1, RESULT_SUCCESS, 1);
        put(store, "d", 2, RESULT_SUCCESS, 1);
        memset(invocation, 2, sizeof invocation);
        g_assert_true(store_find_invocation(store, invocation, &found, NULL));
        g_assert_cmpstr(found->container, ==, "d");
        memset(invocation, 3, sizeof invocation);
        g_assert_true(store_find_invocation(store, invocation, &none, NULL));
        g_assert_null(none);
}

static void test_a_record_is_rewritten_in_its_place(void) {
        g_autoptr(Store) store = open_memory();

        put(store, "c", 1, RESULT_NONE, 0);
        put(store, "c", 1, RESULT_SUCCESS, 5);
        g_autoptr(GPtrArray) all = store_list_runs(store, "c", 100, NULL);
        g_assert_cmpuint(all->len, ==, 1);
        g_assert_cmpint(((Run *) all->pdata[0])->result, ==, RESULT_SUCCESS);
}

/* --- limits --- */

static unsigned count(Store *store, const char *container) {
        g_autoptr(GPtrArray) all = store_list_runs(store, container, 100000, NULL);

        return all->len;
}

static void trim(Store *store, guint64 usec, guint64 n) {
        g_autoptr(GError) error = NULL;

        store_set_limits(store, &(StoreLimits) {.runs_usec = usec, .runs_count = n, .events_usec = UINT64_MAX, .events_count = UINT64_MAX});
        g_assert_true(store_trim(store, &error));
        g_assert_no_error(error);
}

/* Ten records that ended long ago, in order. */
static void put_old(Store *store) {
        for (guint64 i = 1; i <= 10; i++)
                put(store, "c", i, RESULT_SUCCESS, i);
}

static void test_the_greater_limit_counts(void) {
        static const struct {
                guint64 usec, count;
                unsigned left;
        } table[] = {
                {0, 3, 3}, {0, 10, 10}, {0, 11, 10}, {0, 1, 1}, {UINT64_MAX, 1, 10}, {0, UINT64_MAX, 10}, {UINT64_MAX, UINT64_MAX, 10}, {G_TIME_SPAN_DAY, 4, 4},
        };

        for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
                g_autoptr(Store) store = open_memory();

                put_old(store);
                trim(store, table[i].usec, table[i].count);
                g_assert_cmpuint(count(store, "c"), ==, table[i].left);
        }
}

static void test_a_young_record_stays(void) {
        g_autoptr(Store) store = open_memory();

        put_old(store);
        put(store, "c", 11, RESULT_SUCCESS, clock_realtime_usec());
        put(store, "c", 12, RESULT_SUCCESS, clock_realtime_usec());
        trim(store, G_TIME_SPAN_DAY, 1);
        g_assert_cmpuint(count(store, "c"), ==, 2);
}

static void test_an_open_run_stays(void) {
        g_autoptr(Store) store = open_memory();

        put(store, "d", 1, RESULT_NONE, 0);
        put_old(store);
        trim(store, 0, 1);
        g_assert_cmpuint(count(store, "d"), ==, 1);
}

static void test_the_last_run_of_a_living_container_stays(void) {
        g_autoptr(Store) store = open_memory();
        Life life;

        life_init(&life);
        life.run = 4;
        g_assert_true(store_put_life(store, "c", &life, NULL));
        life_clear(&life);
        put_old(store);
        trim(store, 0, 1);
        g_autoptr(GPtrArray) left = store_list_runs(store, "c", 100, NULL);
        g_assert_cmpuint(left->len, ==, 2);
        g_assert_cmpuint(((Run *) left->pdata[1])->number, ==, 4);
}

static void test_records_are_trimmed_as_they_come(void) {
        g_autoptr(Store) store = open_memory();

        store_set_limits(store, &(StoreLimits) {.runs_usec = 0, .runs_count = 10, .events_usec = 0, .events_count = 10});
        for (guint64 i = 1; i <= 1024; i++)
                put(store, "c", i, RESULT_SUCCESS, i);
        g_assert_cmpuint(count(store, "c"), <=, 10 + 256);
}

static void test_a_record_of_another_world_is_named(void) {
        static const char *const table[][2] = {
                {"UPDATE run SET result = 'fine'", "\"fine\" as a result"},
                {"UPDATE run SET reason = 'whim'", "\"whim\" as a reason"},
                {"UPDATE run SET actor = '{'", "read a stored configuration"},
        };

        for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
                g_autoptr(Store) store = open_memory();
                g_autoptr(GError) error = NULL;
                Run *run = NULL;

                put(store, "c", 1, RESULT_SUCCESS, 1);
                g_assert_true(store_exec(store, table[i][0], NULL));
                g_assert_false(store_get_run(store, "c", 1, &run, &error));
                g_assert_null(run);
                testing_expect_error(&error, CONBUS_ERROR_STORAGE_CORRUPT, table[i][1]);
                g_assert_null(store_list_runs(store, "c", 5, &error));
                testing_expect_error(&error, CONBUS_ERROR_STORAGE_CORRUPT, table[i][1]);
        }
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/records/every-field-comes-back", test_every_field_comes_back);
        g_test_add_func("/records/a-record-without-an-actor", test_a_record_without_an_actor);
        g_test_add_func("/records/number-zero-is-the-latest", test_number_zero_is_the_latest);
        g_test_add_func("/records/a-record-that-is-not-there-is-no-error", test_a_record_that_is_not_there_is_no_error);
        g_test_add_func("/records/after-is-the-first-ended-run-above", test_after_is_the_first_ended_run_above);
        g_test_add_func("/records/a-list-is-newest-first-and-bounded", test_a_list_is_newest_first_and_bounded);
        g_test_add_func("/records/a-run-is-found-by-invocation", test_a_run_is_found_by_invocation);
        g_test_add_func("/records/a-record-is-rewritten-in-its-place", test_a_record_is_rewritten_in_its_place);
        g_test_add_func("/records/the-greater-limit-counts", test_the_greater_limit_counts);
        g_test_add_func("/records/a-young-record-stays", test_a_young_record_stays);
        g_test_add_func("/records/an-open-run-stays", test_an_open_run_stays);
        g_test_add_func("/records/the-last-run-of-a-living-container-stays", test_the_last_run_of_a_living_container_stays);
        g_test_add_func("/records/records-are-trimmed-as-they-come", test_records_are_trimmed_as_they_come);
        g_test_add_func("/records/a-record-of-another-world-is-named", test_a_record_of_another_world_is_named);
        return g_test_run();
}
