/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The log of events: numbers without gaps, reading from any number on, trimming that is told. */

#include "base/clock.h"
#include "store/internal.h"
#include "testing.h"

static Store *open_memory(void) {
        g_autoptr(GError) error = NULL;
        Store *store = store_open(NULL, NULL, &error);

        g_assert_no_error(error);
        return store;
}

static guint64 append(Store *store, const char *type, guint64 usec) {
        g_autoptr(Event) event = event_new(type, "died", "/o", "c", g_variant_new_parsed("{'exit-code': <5>}"));
        g_autoptr(GError) error = NULL;

        event->usec = usec;
        g_assert_true(store_append_event(store, event, &error));
        g_assert_no_error(error);
        return event->seq;
}

static GPtrArray *list(Store *store, guint64 after, guint32 limit, guint64 until, const char *const *types, bool *gap) {
        g_autoptr(GError) error = NULL;
        GPtrArray *events = store_list_events(store, after, limit, until, types, gap, &error);

        g_assert_no_error(error);
        return events;
}

static unsigned count(Store *store, guint64 after, bool wanted_gap) {
        bool gap = !wanted_gap;
        g_autoptr(GPtrArray) events = list(store, after, 100000, UINT64_MAX, NULL, &gap);

        g_assert_cmpint(gap, ==, wanted_gap);
        return events->len;
}

static void test_numbers_have_no_gaps(void) {
        g_autoptr(Store) store = open_memory();

        for (guint64 i = 1; i <= 5; i++)
                g_assert_cmpuint(append(store, "container", i), ==, i);
        g_assert_cmpuint(store_get_event_seq(store), ==, 5);
}

static void test_every_field_comes_back(void) {
        g_autoptr(Store) store = open_memory();
        bool gap = true;

        append(store, "container", 17);
        g_autoptr(GPtrArray) events = list(store, 0, 10, UINT64_MAX, NULL, &gap);
        Event *event = events->pdata[0];
        g_autofree char *details = g_variant_print(event->details, true);
        g_assert_cmpuint(event->seq, ==, 1);
        g_assert_cmpuint(event->usec, ==, 17);
        g_assert_cmpstr(event->type, ==, "container");
        g_assert_cmpstr(event->action, ==, "died");
        g_assert_cmpstr(event->object, ==, "/o");
        g_assert_cmpstr(event->id, ==, "c");
        g_assert_cmpstr(details, ==, "{'exit-code': <5>}");
        g_assert_false(gap);
}

static void test_an_event_without_a_time_gets_the_present(void) {
        g_autoptr(Store) store = open_memory();
        guint64 before = clock_realtime_usec();
        bool gap;

        append(store, "container", 0);
        g_autoptr(GPtrArray) events = list(store, 0, 10, UINT64_MAX, NULL, &gap);
        g_assert_cmpuint(((Event *) events->pdata[0])->usec, >=, before);
}

static void test_a_rolled_back_event_gives_its_number_back(void) {
        g_autoptr(Store) store = open_memory();

        append(store, "container", 1);
        g_assert_true(store_begin(store, NULL));
        g_assert_cmpuint(append(store, "container", 2), ==, 2);
        g_assert_cmpuint(append(store, "container", 3), ==, 3);
        store_rollback(store);
        g_assert_cmpuint(store_get_event_seq(store), ==, 1);
        g_assert_cmpuint(append(store, "container", 4), ==, 2);
}

static void test_reading_begins_after_a_number(void) {
        g_autoptr(Store) store = open_memory();

        for (guint64 i = 1; i <= 5; i++)
                append(store, "container", i);
        g_assert_cmpuint(count(store, 0, false), ==, 5);
        g_assert_cmpuint(count(store, 4, false), ==, 1);
        g_assert_cmpuint(count(store, 5, false), ==, 0);
        g_assert_cmpuint(count(store, 6, false), ==, 0);
        g_assert_cmpuint(count(store, UINT64_MAX, false), ==, 0);
}

static void test_reading_is_bounded_by_number_time_and_type(void) {
        g_autoptr(Store) store = open_memory();
        static const char *const image[] = {"image", NULL}, *const both[] = {"image", "container", NULL}, *const nothing[] = {NULL};
        bool gap;

        for (guint64 i = 1; i <= 6; i++)
                append(store, i % 2 ? "container" : "image", i * 10);
        g_autoptr(GPtrArray) two = list(store, 0, 2, UINT64_MAX, NULL, &gap), until = list(store, 0, 100, 30, NULL, &gap), typed = list(store, 0, 2, UINT64_MAX, image, &gap),
                             all = list(store, 0, 100, UINT64_MAX, both, &gap), unbounded = list(store, 0, 100, UINT64_MAX, nothing, &gap), none = list(store, 0, 0, UINT64_MAX, NULL, &gap);
        g_assert_cmpuint(two->len, ==, 2);
        g_assert_cmpuint(((Event *) two->pdata[1])->seq, ==, 2);
        g_assert_cmpuint(until->len, ==, 3);
        g_assert_cmpuint(typed->len, ==, 2);
        g_assert_cmpuint(((Event *) typed->pdata[1])->seq, ==, 4);
        g_assert_cmpuint(all->len, ==, 6);
        g_assert_cmpuint(unbounded->len, ==, 6);
        g_assert_cmpuint(none->len, ==, 0);
}

static void trim(Store *store, guint64 usec, guint64 n) {
        store_set_limits(store, &(StoreLimits) {.runs_usec = 0, .runs_count = 1, .events_usec = usec, .events_count = n});
        g_assert_true(store_trim(store, NULL));
}

static void test_the_greater_limit_counts(void) {
        static const struct {
                guint64 usec, count;
                unsigned left;
        } table[] = {{0, 3, 3}, {0, 10, 10}, {0, 0, 0}, {UINT64_MAX, 0, 10}, {0, UINT64_MAX, 10}, {G_TIME_SPAN_DAY, 4, 4}};

        for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
                g_autoptr(Store) store = open_memory();

                for (guint64 n = 1; n <= 10; n++)
                        append(store, "container", n);
                trim(store, table[i].usec, table[i].count);
                g_assert_cmpuint(count(store, 0, table[i].left < 10), ==, table[i].left);
        }
}

static void test_a_reader_is_told_what_it_missed(void) {
        g_autoptr(Store) store = open_memory();

        for (guint64 n = 1; n <= 10; n++)
                append(store, "container", n);
        trim(store, 0, 3);
        g_assert_cmpuint(count(store, 6, true), ==, 3);
        g_assert_cmpuint(count(store, 7, false), ==, 3);
        trim(store, 0, 0);
        g_assert_cmpuint(count(store, 9, true), ==, 0);
        g_assert_cmpuint(count(store, 10, false), ==, 0);
        g_assert_cmpuint(append(store, "container", 1), ==, 11); /* numbers go on when nothing is left */
}

static void test_events_are_trimmed_as_they_come(void) {
        g_autoptr(Store) store = open_memory();

        store_set_limits(store, &(StoreLimits) {.runs_usec = 0, .runs_count = 1, .events_usec = 0, .events_count = 10});
        for (unsigned i = 0; i < 1024; i++)
                append(store, "container", 1);
        g_assert_cmpuint(count(store, 0, true), <=, 10 + 256);
}

/* The service leaves when nothing runs: most of its lives are short. */
static void test_short_lives_trim_as_well(void) {
        g_autoptr(TestingDirectory) directory = testing_directory_new();
        const StoreLimits limits = {.runs_usec = 0, .runs_count = 1, .events_usec = 0, .events_count = 10};

        for (unsigned life = 0; life < 30; life++) {
                Store *store = store_open(directory, NULL, NULL);
                Run *run = run_new("c", life + 1);

                store_set_limits(store, &limits);
                run->result = RESULT_SUCCESS;
                run->finish_usec = life + 1;
                g_assert_true(store_put_run(store, run, NULL));
                run_free(run);
                for (unsigned i = 0; i < 20; i++)
                        append(store, "container", 1);
                store_close(store);
        }
        g_autoptr(Store) store = store_open(directory, NULL, NULL);
        g_autoptr(GPtrArray) runs = store_list_runs(store, "c", 100, NULL);
        g_assert_cmpuint(count(store, 0, true), <=, 10 + 256);
        g_assert_cmpuint(runs->len, <=, 1 + 256 / 20 + 1);
}

static void test_numbers_and_the_log_id_survive(void) {
        g_autoptr(TestingDirectory) directory = testing_directory_new();
        guint8 id[16];

        Store *store = store_open(directory, NULL, NULL);
        append(store, "container", 1);
        append(store, "container", 1);
        trim(store, 0, 0);
        memcpy(id, store_get_event_log_id(store), sizeof id);
        store_close(store);
        store = store_open(directory, NULL, NULL);
        g_assert_cmpmem(store_get_event_log_id(store), 16, id, 16);
        g_assert_cmpuint(store_get_event_seq(store), ==, 2);
        g_assert_cmpuint(append(store, "container", 1), ==, 3);
        store_close(store);
}

static void test_two_logs_have_two_ids(void) {
        g_autoptr(Store) one = open_memory(), other = open_memory();

        g_assert_cmpint(memcmp(store_get_event_log_id(one), store_get_event_log_id(other), 16), !=, 0);
}

static void test_details_of_another_world_are_named(void) {
        g_autoptr(Store) store = open_memory();
        g_autoptr(GError) error = NULL;
        bool gap;

        append(store, "container", 1);
        g_assert_true(store_exec(store, "UPDATE event SET details = '['", NULL));
        g_assert_null(store_list_events(store, 0, 10, UINT64_MAX, NULL, &gap, &error));
        testing_expect_error(&error, CONBUS_ERROR_STORAGE_CORRUPT, "");
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/event-log/numbers-have-no-gaps", test_numbers_have_no_gaps);
        g_test_add_func("/event-log/every-field-comes-back", test_every_field_comes_back);
        g_test_add_func("/event-log/an-event-without-a-time-gets-the-present", test_an_event_without_a_time_gets_the_present);
        g_test_add_func("/event-log/a-rolled-back-event-gives-its-number-back", test_a_rolled_back_event_gives_its_number_back);
        g_test_add_func("/event-log/reading-begins-after-a-number", test_reading_begins_after_a_number);
        g_test_add_func("/event-log/reading-is-bounded-by-number-time-and-type", test_reading_is_bounded_by_number_time_and_type);
        g_test_add_func("/event-log/the-greater-limit-counts", test_the_greater_limit_counts);
        g_test_add_func("/event-log/a-reader-is-told-what-it-missed", test_a_reader_is_told_what_it_missed);
        g_test_add_func("/event-log/events-are-trimmed-as-they-come", test_events_are_trimmed_as_they_come);
        g_test_add_func("/event-log/short-lives-trim-as-well", test_short_lives_trim_as_well);
        g_test_add_func("/event-log/numbers-and-the-log-id-survive", test_numbers_and_the_log_id_survive);
        g_test_add_func("/event-log/two-logs-have-two-ids", test_two_logs_have_two_ids);
        g_test_add_func("/event-log/details-of-another-world-are-named", test_details_of_another_world_are_named);
        return g_test_run();
}
