/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* service/stream/log-source.c on files: where a plan begins and ends, and what is heard of a log that is followed. The journal is in test-log-journal.c. */

#include "stream/log-source.h"
#include "log-directory.h"
#include "testing.h"
#include <errno.h>

#define TIME "2026-11-25T22:27:53.660170586+00:00"
#define USEC 1795645673660170
#define OUT TIME " stdout F "

typedef struct Fixture {
        LogDirectory log;
        sd_event *event;
        LogPlan plan; /* all of both streams, followed; what it points to is not its own */
        LogSource *source;
        unsigned n_changed, before;
} Fixture;

static void set_up(Fixture *fixture, gconstpointer unused) {
        log_directory_make(&fixture->log, NULL);
        fixture->before = testing_count_descriptors();
        g_assert_cmpint(sd_event_new(&fixture->event), >=, 0);
        fixture->plan = (LogPlan) {.id = (char *) "id", .name = (char *) "web", .path = fixture->log.path, .streams = STREAM_MASK(STREAM_STDOUT) | STREAM_MASK(STREAM_STDERR), .until_usec = UINT64_MAX, .tail = -1, .follow = true};
}

static void tear_down(Fixture *fixture, gconstpointer unused) {
        log_source_free(fixture->source);
        sd_event_unref(fixture->event);
        g_assert_cmpuint(testing_count_descriptors(), ==, fixture->before);
        log_directory_remove(&fixture->log, NULL);
}

static void open_source(Fixture *fixture) {
        g_autoptr(GError) error = NULL;

        g_clear_pointer(&fixture->source, log_source_free);
        fixture->source = log_source_open(&fixture->plan, &error);
        g_assert_no_error(error);
}

static void expect_refused(Fixture *fixture, ConbusError code, const char *part) {
        unsigned before = testing_count_descriptors();
        g_autoptr(GError) error = NULL;

        g_assert_null(log_source_open(&fixture->plan, &error));
        testing_expect_error(&error, code, part);
        g_assert_cmpuint(testing_count_descriptors(), ==, before);
}

static void expect_bytes(Fixture *fixture, const char *wanted) {
        g_autoptr(GString) text = g_string_new(NULL);
        const guint8 *bytes;
        size_t size;

        while ((size = log_source_read(fixture->source, &bytes)) > 0)
                g_string_append_len(text, (const char *) bytes, (gssize) size);
        g_assert_cmpstr(text->str, ==, wanted);
}

static void expect_read(Fixture *fixture, const char *wanted) {
        open_source(fixture);
        expect_bytes(fixture, wanted);
}

static void write_three(Fixture *fixture) {
        log_append(fixture->log.path, OUT "a\n" TIME " stderr F b\n" OUT "c\n");
}

static void test_records_with_their_times_and_places(Fixture *fixture, gconstpointer unused) {
        LogCursor at, after, before = {.number = 1};
        LogRecord record;
        guint64 usec;
        unsigned n = 0;

        write_three(fixture);
        open_source(fixture);
        g_assert_cmpuint(log_source_start(fixture->source).of[STREAM_STDOUT].offset, ==, 0);
        for (; log_source_next(fixture->source, &record, &usec, &at, &after); n++, before = after) {
                LogCursor place = log_source_place(fixture->source);
                g_assert_cmpuint(usec, ==, USEC);
                g_assert_cmpint(log_cursor_compare(&at, &before), ==, 0);
                g_assert_cmpint(log_cursor_compare(&place, &after), ==, 0);
                g_assert_cmpint(record.text[0], ==, "abc"[n]);
        }
        g_assert_cmpuint(n, ==, 3);
}

/* More records than are read at once. */
static void test_bytes_in_one_piece(Fixture *fixture, gconstpointer unused) {
        g_autoptr(GString) wanted = g_string_new(NULL), lines = g_string_new(NULL);
        const guint8 *bytes = (const guint8 *) "";

        for (unsigned i = 0; i < 1000; i++) {
                g_string_append_printf(wanted, "line %u\n", i);
                g_string_append_printf(lines, TIME " %s F line %u\n", i % 2 ? "stderr" : "stdout", i);
        }
        log_append(fixture->log.path, lines->str);
        expect_read(fixture, wanted->str);
        g_assert_cmpuint(log_source_read(fixture->source, &bytes), ==, 0);
        g_assert_null(bytes);
}

static void test_what_the_plan_leaves_out(Fixture *fixture, gconstpointer unused) {
        write_three(fixture);
        fixture->plan.streams = STREAM_MASK(STREAM_STDERR);
        expect_read(fixture, "b\n");
        fixture->plan.streams |= STREAM_MASK(STREAM_STDOUT);
        fixture->plan.until_usec = USEC;
        expect_read(fixture, "");
        fixture->plan.until_usec = USEC + 1;
        fixture->plan.since_usec = USEC;
        expect_read(fixture, "a\nb\nc\n");
        fixture->plan.since_usec = USEC + 1;
        fixture->plan.until_usec = UINT64_MAX;
        expect_read(fixture, "");
}

static void test_only_what_follows_reads_what_comes(Fixture *fixture, gconstpointer unused) {
        write_three(fixture);
        fixture->plan.follow = false;
        open_source(fixture);
        log_append(fixture->log.path, OUT "d\n");
        expect_bytes(fixture, "a\nb\nc\n");
        fixture->plan.follow = true;
        expect_read(fixture, "a\nb\nc\nd\n");
        log_append(fixture->log.path, OUT "e\n");
        expect_bytes(fixture, "e\n");
        g_assert_false(log_source_has_gap(fixture->source));
        log_source_settle(fixture->source); /* of files nothing is to be waited for */
}

static void test_the_last_lines(Fixture *fixture, gconstpointer unused) {
        g_autofree char *end = g_strdup_printf("1:%zx", strlen(OUT "a\n" TIME " stderr F b\n"));

        write_three(fixture);
        fixture->plan.tail = 2;
        expect_read(fixture, "b\nc\n");
        fixture->plan.tail = 0;
        expect_read(fixture, "");
        log_append(fixture->log.path, OUT "d\n");
        expect_bytes(fixture, "d\n");
        fixture->plan.tail = 1;
        fixture->plan.end = end; /* of a run that is over */
        expect_read(fixture, "b\n");
        fixture->plan.tail = -1;
        expect_read(fixture, "a\nb\n");
}

static void test_a_log_that_is_not_there_yet(Fixture *fixture, gconstpointer unused) {
        expect_read(fixture, "");
        write_three(fixture);
        expect_bytes(fixture, "a\nb\nc\n");
        fixture->plan.path = (char *) "/nonexistent/log";
        fixture->plan.tail = 3;
        expect_read(fixture, "");
}

/* Whoever says where to go on must not be given something else; a run gives what is left of it. */
static void test_a_place_that_was_rotated_away(Fixture *fixture, gconstpointer unused) {
        log_append(fixture->log.path, OUT "a\n" OUT "b\n");
        log_link(&fixture->log, ".1");
        log_replace(&fixture->log, OUT "c\n");
        log_link(&fixture->log, ".2");
        log_replace(&fixture->log, OUT "d\n");
        fixture->plan.from = g_strdup_printf("1:%zx", strlen(OUT "a\n"));
        expect_read(fixture, "b\nc\nd\n");
        log_remove_old(&fixture->log, ".1");
        expect_refused(fixture, CONBUS_ERROR_INVALID_ARGS, "the log has no such position any more");
        fixture->plan.from_run = true;
        expect_read(fixture, "c\nd\n");
        g_free(fixture->plan.from);
}

static void test_what_is_no_place(Fixture *fixture, gconstpointer unused) {
        static const char *const places[] = {"", "x", "1", "1:2:3:4", "1:1000", "2:0", "0:1", "1:0,", "1:0:c0ffee"};

        write_three(fixture);
        for (unsigned i = 0; i < G_N_ELEMENTS(places); i++) {
                fixture->plan.from = (char *) places[i];
                expect_refused(fixture, CONBUS_ERROR_INVALID_ARGS, "position");
        }
        fixture->plan.from = NULL;
        fixture->plan.end = (char *) "x";
        expect_refused(fixture, CONBUS_ERROR_INVALID_ARGS, "\"x\" is no position in a log");
        fixture->plan.end = NULL;
        fixture->plan.path = NULL;
        fixture->plan.from = (char *) "1:2";
        expect_refused(fixture, CONBUS_ERROR_INVALID_ARGS, "the cursor is none of the journal");
}

static void test_a_link_is_no_log(Fixture *fixture, gconstpointer unused) {
        g_assert_no_errno(symlink("/etc/passwd", fixture->log.path));
        fixture->plan.follow = false;
        expect_refused(fixture, CONBUS_ERROR_INTERNAL, "is no file that can be read");
        fixture->plan.follow = true;
        fixture->plan.tail = 1;
        expect_refused(fixture, CONBUS_ERROR_INTERNAL, "is no file that can be read");
}

/* --- following --- */

static void on_changed(void *userdata) {
        Fixture *fixture = userdata;

        fixture->n_changed++;
}

static void watch(Fixture *fixture) {
        g_autoptr(GError) error = NULL;

        open_source(fixture);
        g_assert_true(log_source_watch(fixture->source, fixture->event, on_changed, fixture, &error));
        g_assert_no_error(error);
        testing_run_idle(fixture->event);
        g_assert_cmpuint(fixture->n_changed, ==, 0);
}

static void expect_change(Fixture *fixture) {
        unsigned before = fixture->n_changed;

        testing_run_until_count(fixture->event, &fixture->n_changed, before + 1);
        testing_run_idle(fixture->event);
}

static void test_what_comes_is_heard_of(Fixture *fixture, gconstpointer unused) {
        watch(fixture);
        log_append(fixture->log.path, OUT "a\n"); /* the file is made */
        expect_change(fixture);
        expect_bytes(fixture, "a\n");
        log_append(fixture->log.path, OUT "b\n");
        expect_change(fixture);
        expect_bytes(fixture, "b\n");
        log_link(&fixture->log, ".1");
        log_replace(&fixture->log, OUT "c\n");
        expect_change(fixture);
        expect_bytes(fixture, "c\n");
}

/* A rotation that is heard of is held on to; one that is not leaves a gap, which is said once. */
static void test_files_that_go(Fixture *fixture, gconstpointer unused) {
        log_append(fixture->log.path, OUT "a\n");
        watch(fixture);
        log_link(&fixture->log, ".1");
        log_replace(&fixture->log, OUT "b\n");
        log_link(&fixture->log, ".2");
        log_replace(&fixture->log, OUT "c\n");
        expect_change(fixture);
        log_link(&fixture->log, ".3");
        log_remove_old(&fixture->log, ".1");
        log_remove_old(&fixture->log, ".2");
        expect_bytes(fixture, "a\nb\nc\n");
        g_assert_false(log_source_has_gap(fixture->source));
        log_replace(&fixture->log, OUT "d\n");
        log_link(&fixture->log, ".4");
        log_replace(&fixture->log, OUT "e\n");
        log_remove_old(&fixture->log, ".3");
        log_remove_old(&fixture->log, ".4");
        log_link(&fixture->log, ".5");
        expect_bytes(fixture, "");
        g_assert_true(log_source_has_gap(fixture->source));
        log_source_go_past_gap(fixture->source);
        g_assert_false(log_source_has_gap(fixture->source));
        expect_bytes(fixture, "e\n");
}

static void test_a_directory_that_is_not_there(Fixture *fixture, gconstpointer unused) {
        g_autoptr(GError) error = NULL;

        fixture->plan.path = (char *) "/nonexistent/log";
        open_source(fixture);
        g_assert_false(log_source_watch(fixture->source, fixture->event, on_changed, fixture, &error));
        testing_expect_error(&error, CONBUS_ERROR_INTERNAL, "watch the log: No such file");
}

int main(int argc, char *argv[]) {
        static const struct {
                const char *name;
                void (*run)(Fixture *fixture, gconstpointer unused);
        } tests[] = {
                {"/log-source/records-with-their-times-and-places", test_records_with_their_times_and_places},
                {"/log-source/bytes-in-one-piece", test_bytes_in_one_piece},
                {"/log-source/what-the-plan-leaves-out", test_what_the_plan_leaves_out},
                {"/log-source/only-what-follows-reads-what-comes", test_only_what_follows_reads_what_comes},
                {"/log-source/the-last-lines", test_the_last_lines},
                {"/log-source/a-log-that-is-not-there-yet", test_a_log_that_is_not_there_yet},
                {"/log-source/a-place-that-was-rotated-away", test_a_place_that_was_rotated_away},
                {"/log-source/what-is-no-place", test_what_is_no_place},
                {"/log-source/a-link-is-no-log", test_a_link_is_no_log},
                {"/log-source/what-comes-is-heard-of", test_what_comes_is_heard_of},
                {"/log-source/files-that-go", test_files_that_go},
                {"/log-source/a-directory-that-is-not-there", test_a_directory_that_is_not_there},
        };

        g_test_init(&argc, &argv, NULL);
        for (size_t i = 0; i < G_N_ELEMENTS(tests); i++)
                g_test_add(tests[i].name, Fixture, NULL, set_up, tests[i].run, tear_down);
        return g_test_run();
}
