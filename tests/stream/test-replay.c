/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* service/stream/replay.c on files; the journal is in test-log-journal.c. */

#include "stream/replay.h"
#include "log-directory.h"
#include "testing.h"

#define OUT "2026-11-25T22:27:53.660170586+00:00 stdout F "
#define ERR "2026-11-25T22:27:53.660170586+00:00 stderr F "

static Replay *open_replay(LogDirectory *log) {
        g_autoptr(GError) error = NULL;
        LogReader *reader = log_reader_new(log->path, &(LogCursor) {0}, &error);

        g_assert_no_error(error);
        return replay_of_files(reader);
}

static void on_changed(void *userdata) {
        g_assert_not_reached(); /* whoever has it watches the files */
}

static void expect_frames(Replay *replay, const char *wanted) {
        Frame frames[8];
        g_autoptr(GString) text = g_string_new(NULL);
        unsigned n;

        while ((n = replay_read(replay, frames, G_N_ELEMENTS(frames))) > 0)
                for (unsigned i = 0; i < n; i++)
                        g_string_append_printf(text, "%u%.*s/", frames[i].stream, (int) frames[i].size, (const char *) frames[i].data);
        g_assert_cmpstr(text->str, ==, wanted);
}

static void test_files_as_frames(LogDirectory *log, gconstpointer unused) {
        g_autoptr(sd_event) event = NULL;

        g_assert_cmpint(sd_event_new(&event), >=, 0);
        log_append(log->path, OUT "a\n" OUT "b\n" ERR "c\n");
        g_autoptr(Replay) replay = open_replay(log);
        g_assert_true(replay_watch(replay, event, on_changed, NULL, NULL));
        g_assert_cmpuint(replay_backlog(replay, 1), ==, strlen(OUT "a\n" OUT "b\n" ERR "c\n"));
        expect_frames(replay, "1a\nb\n/2c\n/");
        g_assert_cmpuint(replay_backlog(replay, 1), ==, 0);
        g_assert_true(replay_settle(replay)); /* what is in a file is there */
        replay_keep_records(replay);
        log_append(log->path, OUT "d\n" OUT "e\n");
        expect_frames(replay, "1d\n/1e\n/");
        testing_run_idle(event);
}

static void test_an_end(LogDirectory *log, gconstpointer unused) {
        log_append(log->path, OUT "a\n");
        g_autoptr(Replay) replay = open_replay(log);
        g_assert_true(replay_end_here(replay, NULL));
        log_append(log->path, OUT "b\n");
        expect_frames(replay, "1a\n/");
}

static void test_rotation_and_a_gap(LogDirectory *log, gconstpointer unused) {
        log_append(log->path, OUT "a\n");
        g_autoptr(Replay) replay = open_replay(log);
        log_link(log, ".1");
        log_replace(log, OUT "b\n");
        replay_notice_files(replay);
        log_link(log, ".2");
        log_replace(log, OUT "c\n");
        log_remove_old(log, ".1");
        log_remove_old(log, ".2"); /* held */
        log_link(log, ".4");
        expect_frames(replay, "1a\n/1b\n/");
        g_assert_true(replay_has_gap(replay));
}

#define ADD(name, function) g_test_add("/replay/" name, LogDirectory, NULL, log_directory_make, function, log_directory_remove)

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        ADD("files-as-frames", test_files_as_frames);
        ADD("an-end", test_an_end);
        ADD("rotation-and-a-gap", test_rotation_and_a_gap);
        return g_test_run();
}
