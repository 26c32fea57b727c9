/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Clients that fall behind, go on from the log, take nothing for too long, or read the log from the beginning: not a byte is lost or comes twice. */

#include "client-fixture.h"

/* --- slow ones --- */

enum { LINE = 4000, LINES = 2 * RING_SIZE / LINE }; /* more than the ring has room for */

/* Frames that are told apart. */
static void put_lines(Fixture *fixture, unsigned first, unsigned end, bool logged, GString *all) {
        for (unsigned i = first; i < end; i++) {
                g_autofree char *filling = g_strnfill(LINE - 10, (char) ('a' + i % 26)), *text = g_strdup_printf("%08u%s", i, filling);
                g_autofree char *line = g_strconcat(text, "\n", NULL);
                if (logged)
                        fake_conmon_log(fixture->conmon, i % 2 ? "stderr" : "stdout", text);
                fake_conmon_send(fixture->output, i % 2 ? 3 : 2, line, strlen(line));
                testing_run_idle(fixture->event);
                if (all)
                        g_string_append(all, line);
        }
}

static void flood(Fixture *fixture, bool logged, GString *all) {
        put_lines(fixture, 0, LINES, logged, all);
}

static void test_too_slow_without_a_log(Fixture *fixture, gconstpointer unused) {
        attach(fixture, BOTH, FRAMING_RAW);
        flood(fixture, false, NULL);
        expect_ended(fixture, "ClientTooSlow: the client has not read its streams in time");
        g_assert_cmpuint(fixture->bytes_out, <, RING_SIZE);
}

static void test_a_log_of_which_the_place_is_not_known_does_not_help(Fixture *fixture, gconstpointer unused) {
        attach(fixture, BOTH, FRAMING_RAW);
        flood(fixture, true, NULL);
        expect_ended(fixture, "ClientTooSlow: the client has not read its streams in time");
}

/* The ring is known to hold the run from its first byte, which is at this place in the log. */
static void set_start(Fixture *fixture, LogCursor start) {
        fixture->host.marks = fixture->marks = log_marks_new(fixture->log, &start);
}

static void test_a_log_that_is_gone_does_not_help(Fixture *fixture, gconstpointer unused) {
        set_start(fixture, (LogCursor) {.number = 77});
        attach(fixture, BOTH, FRAMING_RAW);
        flood(fixture, false, NULL);
        expect_ended(fixture, "ClientTooSlow: the client has not read its streams in time");
}

/* Not a byte is lost or comes twice, whatever of the two streams the client has missed before it came. */
static void test_one_that_falls_behind_goes_on_from_the_log(Fixture *fixture, gconstpointer unused) {
        g_autoptr(GString) wanted = g_string_new(NULL), found = g_string_new(NULL);

        set_start(fixture, (LogCursor) {0});
        fake_conmon_log(fixture->conmon, "stdout", "before");
        fake_conmon_log(fixture->conmon, "stderr", "before it as well");
        fake_conmon_send(fixture->output, 2, "before\n", 7);
        fake_conmon_send(fixture->output, 3, "before it as well\n", 18);
        testing_run_idle(fixture->event);
        attach(fixture, BOTH, FRAMING_RAW);
        flood(fixture, true, wanted);
        g_assert_cmpuint(fixture->n_ended, ==, 0);
        while (found->len < wanted->len) {
                g_autofree char *text = got(fixture);
                g_assert_cmpuint(fixture->n_ended, ==, 0);
                g_string_append(found, text);
        }
        g_assert_cmpstr(found->str, ==, wanted->str);
        end_run(fixture, "{}");
        g_assert_false(client_pump(fixture->client));
        expect_ended(fixture, "exited");
        g_assert_cmpuint(fixture->bytes_out, ==, wanted->len);
}

/* What has been fetched and not sent is as much in need of the ring as what comes after it. */
static void test_one_that_falls_behind_with_much_in_hand(Fixture *fixture, gconstpointer unused) {
        g_autoptr(GString) wanted = g_string_new(NULL), found = g_string_new(NULL);
        enum { HALF = RING_SIZE / 2 };

        set_start(fixture, (LogCursor) {0});
        fixture->from_start = true;
        for (unsigned i = 0; i < HALF / LINE; i++) {
                g_autofree char *line = g_strnfill(LINE, (char) ('A' + i % 26));
                line[LINE - 1] = '\0';
                fake_conmon_log(fixture->conmon, "stdout", line);
                line[LINE - 1] = '\n';
                fake_conmon_send(fixture->output, 2, line, LINE);
                testing_run_idle(fixture->event);
                g_string_append(wanted, line);
        }
        attach(fixture, BOTH, FRAMING_RAW);
        flood(fixture, true, wanted);
        while (found->len < wanted->len) {
                g_autofree char *text = got(fixture);
                g_assert_cmpuint(fixture->n_ended, ==, 0);
                g_string_append(found, text);
        }
        g_assert_cmpstr(found->str, ==, wanted->str);
}

static void test_one_that_is_ended_with_much_in_hand(Fixture *fixture, gconstpointer data) {
        const ClientEnd end = {.error = CONBUS_ERROR_MONITOR_LOST, .message = "conmon died"};
        unsigned n = 0;

        fixture->from_start = true;
        for (unsigned i = 0; i < 4 * OUTPUT_FRAMES; i++) {
                g_autofree char *line = g_strnfill(2000, 'x');
                fake_conmon_send(fixture->output, 2, line, 2000);
                testing_run_idle(fixture->event);
        }
        attach(fixture, BOTH, GPOINTER_TO_INT(data));
        client_end(fixture->client, &end);
        g_assert_cmpuint(fixture->n_ended, ==, 1);
        g_autofree char *text = got(fixture);
        for (const char *p = text; *p; p++)
                n += *p == 'x';
        g_assert_cmpuint(n + 2000, >=, fixture->bytes_out); /* the rest of a frame that was half sent counts */
        g_assert_cmpuint(n, <, 4 * OUTPUT_FRAMES * 2000);
}

static void test_one_that_takes_nothing_is_dropped(Fixture *fixture, gconstpointer unused) {
        set_start(fixture, (LogCursor) {0});
        attach(fixture, BOTH, FRAMING_RAW);
        flood(fixture, true, NULL);
        g_assert_cmpuint(fixture->n_ended, ==, 0);
        g_autofree char *text = got(fixture);
        hurry = true; /* from here on it takes nothing */
        flood(fixture, true, NULL);
        expect_ended(fixture, "ClientTooSlow: the client has taken nothing for too long, and too much waits for it");
}

static void test_one_that_takes_nothing_of_little_stays(Fixture *fixture, gconstpointer unused) {
        g_autofree char *filling = g_strnfill(RING_FRAME_MAX, 'x');
        size_t n = 0;

        hurry = true;
        attach(fixture, BOTH, FRAMING_RAW);
        for (unsigned i = 0; i < 100; i++) {
                fake_conmon_send(fixture->output, 2, filling, RING_FRAME_MAX);
                g_assert_cmpint(sd_event_run(fixture->event, UINT64_MAX), >, 0);
        }
        for (unsigned i = 0; i < 10; i++) /* the time that it may stall is over, and begins anew */
                g_assert_cmpint(sd_event_run(fixture->event, UINT64_MAX), >, 0);
        hurry = false;
        g_assert_cmpuint(fixture->n_ended, ==, 0);
        while (n < 100 * RING_FRAME_MAX) {
                g_assert_cmpint(sd_event_run(fixture->event, 0), >=, 0);
                char bytes[65536];
                ssize_t size = recv(fixture->peer, bytes, sizeof bytes, MSG_DONTWAIT);
                n += size > 0 ? (size_t) size : 0;
        }
        g_assert_cmpuint(n, ==, 100 * RING_FRAME_MAX);
}

/* --- the log --- */

static void attach_to_log(Fixture *fixture, unsigned streams, bool follow) {
        g_autoptr(GError) error = NULL;
        LogReader *reader = log_reader_new(fixture->log, &(LogCursor) {0}, &error);

        g_assert_no_error(error);
        log_reader_keep_records(reader);
        if (!follow)
                g_assert_true(log_reader_end_here(reader, &error));
        attach_with(fixture, (ClientPlan) {.streams = streams, .framing = FRAMING_PACKETS, .follow = follow, .log = replay_of_files(reader)}, -1);
}

static void test_log_without_following(Fixture *fixture, gconstpointer unused) {
        for (unsigned i = 0; i < 3 * OUTPUT_FRAMES; i++) /* whole pieces of what is not wanted */
                fake_conmon_log(fixture->conmon, "stderr", "no");
        fake_conmon_log(fixture->conmon, "stdout", "one");
        attach_to_log(fixture, STREAM_MASK(STREAM_STDOUT), false);
        expect_ended(fixture, "log-end");
        expect_got(fixture, "1:one\n 3:{\"reason\":\"log-end\"} ");
}

static void test_log_is_followed_until_the_run_has_ended(Fixture *fixture, gconstpointer unused) {
        fake_conmon_log(fixture->conmon, "stdout", "one");
        attach_to_log(fixture, BOTH, true);
        expect_got(fixture, "1:one\n ");
        fake_conmon_log(fixture->conmon, "stderr", "two");
        g_assert_true(client_pump(fixture->client));
        expect_got(fixture, "2:two\n ");
        end_run(fixture, "{}");
        fake_conmon_log(fixture->conmon, "stdout", "three");
        g_assert_false(client_pump(fixture->client));
        expect_ended(fixture, "exited");
        expect_got(fixture, "1:three\n 3:{} ");
}

static void rotate(Fixture *fixture, unsigned number) {
        g_autofree char *old = g_strdup_printf("%s.%u", fixture->log, number);

        g_assert_no_errno(rename(fixture->log, old));
        fake_conmon_log(fixture->conmon, "stdout", "newer");
}

/* The client has the first file, and before it wants the second one there is only the third. */
static void test_what_was_rotated_away_is_told(Fixture *fixture, gconstpointer unused) {
        for (unsigned i = 0; i < 1000; i++) {
                g_autofree char *line = g_strnfill(1000, 'x');
                fake_conmon_log(fixture->conmon, "stdout", line);
        }
        attach_to_log(fixture, BOTH, true);
        g_assert_cmpuint(fixture->n_ended, ==, 0);
        for (unsigned i = 1; i <= 3; i++)
                rotate(fixture, i);
        g_autofree char *second = g_strconcat(fixture->log, ".2", NULL);
        g_assert_no_errno(unlink(second));
        while (fixture->n_ended == 0) {
                g_autofree char *text = got(fixture);
                if (fixture->client)
                        (void) client_pump(fixture->client);
        }
        expect_ended(fixture, "ClientTooSlow: the log was rotated away before the client had read it");
        g_assert_cmpuint(fixture->bytes_out, ==, 1001 * 1000);
}

/* Nothing else has come. */
static void expect_lines(Fixture *fixture, const GString *wanted) {
        g_autoptr(GString) found = g_string_new(NULL);

        for (unsigned i = 0; i < 10 * LINES && found->len < wanted->len; i++) {
                g_autofree char *text = got(fixture);
                g_assert_cmpuint(fixture->n_ended, ==, 0);
                g_string_append(found, text);
        }
        g_assert_cmpstr(found->str, ==, wanted->str);
        expect_got(fixture, "");
}

/* A rotation, with an empty line as the first one of the new file, and all that the server does for it. */
static void rotate_all(Fixture *fixture, const char *suffix, GString *all) {
        g_autofree char *old = g_strconcat(fixture->log, suffix, NULL);

        g_assert_no_errno(rename(fixture->log, old));
        fake_conmon_log(fixture->conmon, "stdout", "");
        fake_conmon_send(fixture->output, 2, "\n", 1);
        testing_run_idle(fixture->event);
        log_marks_notice_files(fixture->marks);
        while (log_marks_count(fixture->marks))
                ;
        client_notice_files(fixture->client);
        if (all)
                g_string_append(all, "\n");
}

static void remove_old(Fixture *fixture, const char *suffix) {
        g_autofree char *old = g_strconcat(fixture->log, suffix, NULL);

        g_assert_no_errno(unlink(old));
}

/* The run's first file is gone by the time that the client is behind the ring; what it needs is in those that followed. */
static void test_one_that_falls_behind_in_a_log_that_was_rotated(Fixture *fixture, gconstpointer unused) {
        g_autoptr(GString) wanted = g_string_new(NULL);

        set_start(fixture, (LogCursor) {0});
        attach(fixture, BOTH, FRAMING_RAW);
        put_lines(fixture, 0, 10, true, wanted);
        rotate_all(fixture, ".1", wanted);
        put_lines(fixture, 0, 100, true, wanted);
        g_autofree char *start = got(fixture);
        g_assert_true(g_str_has_prefix(wanted->str, start));
        g_assert_cmpuint(strlen(start), >, 11 * LINE);
        g_string_erase(wanted, 0, (gssize) strlen(start));
        rotate_all(fixture, ".2", wanted);
        remove_old(fixture, ".1");
        put_lines(fixture, 100, LINES, true, wanted);
        rotate_all(fixture, ".3", wanted);
        expect_lines(fixture, wanted);
}

/* It has taken hold of the files that come next. */
static void test_what_is_rotated_away_is_kept_for_one_that_is_behind(Fixture *fixture, gconstpointer unused) {
        g_autoptr(GString) wanted = g_string_new(NULL);

        set_start(fixture, (LogCursor) {0});
        attach(fixture, BOTH, FRAMING_RAW);
        flood(fixture, true, wanted);
        rotate_all(fixture, ".1", wanted);
        put_lines(fixture, 0, 100, true, wanted);
        rotate_all(fixture, ".2", wanted);
        rotate_all(fixture, ".3", wanted);
        remove_old(fixture, ".1");
        remove_old(fixture, ".2");
        expect_lines(fixture, wanted);
}

static void test_a_file_that_was_rotated_away_does_not_help(Fixture *fixture, gconstpointer unused) {
        set_start(fixture, (LogCursor) {0});
        attach(fixture, BOTH, FRAMING_RAW);
        put_lines(fixture, 0, 100, true, NULL);
        rotate_all(fixture, ".1", NULL);
        rotate_all(fixture, ".2", NULL);
        remove_old(fixture, ".1");
        flood(fixture, true, NULL);
        expect_ended(fixture, "ClientTooSlow: the client has not read its streams in time");
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        add_framed("one-that-is-ended-with-much-in-hand", FRAMING_PACKETS, test_one_that_is_ended_with_much_in_hand);
        add_framed("one-that-is-ended-with-much-in-hand", FRAMING_RAW, test_one_that_is_ended_with_much_in_hand);
        ADD("too-slow-without-a-log", test_too_slow_without_a_log);
        ADD("a-log-of-which-the-place-is-not-known-does-not-help", test_a_log_of_which_the_place_is_not_known_does_not_help);
        ADD("a-log-that-is-gone-does-not-help", test_a_log_that_is_gone_does_not_help);
        ADD("one-that-falls-behind-goes-on-from-the-log", test_one_that_falls_behind_goes_on_from_the_log);
        ADD("one-that-falls-behind-with-much-in-hand", test_one_that_falls_behind_with_much_in_hand);
        ADD("one-that-takes-nothing-is-dropped", test_one_that_takes_nothing_is_dropped);
        ADD("one-that-takes-nothing-of-little-stays", test_one_that_takes_nothing_of_little_stays);
        ADD("what-was-rotated-away-is-told", test_what_was_rotated_away_is_told);
        ADD("log-without-following", test_log_without_following);
        ADD("log-is-followed-until-the-run-has-ended", test_log_is_followed_until_the_run_has_ended);
        ADD("one-that-falls-behind-in-a-log-that-was-rotated", test_one_that_falls_behind_in_a_log_that_was_rotated);
        ADD("what-is-rotated-away-is-kept-for-one-that-is-behind", test_what_is_rotated_away_is_kept_for_one_that_is_behind);
        ADD("a-file-that-was-rotated-away-does-not-help", test_a_file_that_was_rotated_away_does_not_help);
        return g_test_run();
}
