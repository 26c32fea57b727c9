/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* service/operation/logs.c: what a caller may ask of a log and what is made of it, what followers are told, marks of runs, and when a log is rotated. */

#include "operation/logs.h"
#include "fixture.h"
#include "runtime/control-fifo.h"
#include "store/internal.h"
#include "stream/log-answer.h"
#include "stream/log-state.h"
#include "stream/log-tail.h"
#include <glib/gstdio.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BOTH (STREAM_MASK(STREAM_STDOUT) | STREAM_MASK(STREAM_STDERR))
#define FILES "{'command': <['true']>}"
#define JOURNAL "{'command': <['true']>, 'log-driver': <'journald'>}"
#define NONE "{'command': <['true']>, 'log-driver': <'none'>}"

/* --- plans --- */

static void read_open(Fixture *fixture, Container *container, const char *options, LogPlan *ret) {
        g_autoptr(GVariant) parsed = testing_parse(options);
        g_autoptr(GError) error = NULL;

        if (!logs_plan_open(fixture->engine, container, parsed, ret, &error))
                g_error("%s: %s", options, error->message);
}

static void read_answer(Fixture *fixture, Container *container, guint32 lines, const char *options, LogPlan *ret) {
        g_autoptr(GVariant) parsed = testing_parse(options);
        g_autoptr(GError) error = NULL;

        if (!logs_plan_answer(fixture->engine, container, lines, parsed, ret, &error))
                g_error("%s: %s", options, error->message);
}

static void expect_refused(Fixture *fixture, Container *container, const char *options, ConbusError code, const char *part) {
        g_autoptr(GVariant) parsed = testing_parse(options);
        g_autoptr(GError) error = NULL;
        LogPlan plan = {0};

        g_assert_false(logs_plan_open(fixture->engine, container, parsed, &plan, &error));
        testing_expect_error(&error, code, part);
        g_assert_null(plan.id); /* nothing is left to be freed */
        g_assert_null(plan.path);
}

static void expect_answer_refused(Fixture *fixture, Container *container, const char *options, ConbusError code, const char *part) {
        g_autoptr(GVariant) parsed = testing_parse(options);
        g_autoptr(GError) error = NULL;
        LogPlan plan = {0};

        g_assert_false(logs_plan_answer(fixture->engine, container, 1, parsed, &plan, &error));
        testing_expect_error(&error, code, part);
        g_assert_null(plan.id);
}

static void test_what_counts_by_default(Fixture *fixture, gconstpointer unused) {
        Container *container = fixture_add(fixture, "web", FILES);
        g_autofree char *log = paths_state_of(&fixture->paths, container->id, "log"), *directory = paths_run_of(&fixture->paths, container->id, NULL);
        g_auto(LogPlan) plan = {0};

        read_open(fixture, container, "@a{sv} {}", &plan);
        g_assert_cmpstr(plan.id, ==, container->id);
        g_assert_cmpstr(plan.name, ==, "web");
        g_assert_cmpstr(plan.path, ==, log);
        g_assert_cmpstr(plan.directory, ==, directory);
        g_assert_cmpuint(plan.streams, ==, BOTH);
        g_assert_cmpuint(plan.since_usec, ==, 0);
        g_assert_cmpuint(plan.until_usec, ==, UINT64_MAX);
        g_assert_null(plan.from);
        g_assert_null(plan.end);
        g_assert_cmpint(plan.tail, ==, -1);
        g_assert_cmpuint(plan.run, ==, 0);
        g_assert_cmpint(plan.format, ==, LOG_FORMAT_TEXT);
        g_assert_false(plan.follow || plan.timestamps || plan.from_run);
}

static void test_everything_can_be_chosen(Fixture *fixture, gconstpointer unused) {
        Container *container = fixture_add(fixture, "web", FILES);
        g_auto(LogPlan) plan = {0};

        read_open(fixture, container,
                  "{'streams': <['stderr']>, 'since-usec': <uint64 5>, 'until-usec': <uint64 6>, 'cursor': <'1:2'>, 'tail': <uint32 1000000>, 'follow': <true>, 'timestamps': <true>, 'format': <'json'>, 'reply-timeout-usec': <uint64 1>, 'x-mine': <1>}", &plan);
        g_assert_cmpuint(plan.streams, ==, STREAM_MASK(STREAM_STDERR));
        g_assert_cmpuint(plan.since_usec, ==, 5);
        g_assert_cmpuint(plan.until_usec, ==, 6);
        g_assert_cmpstr(plan.from, ==, "1:2");
        g_assert_cmpint(plan.tail, ==, LOG_TAIL_MAX);
        g_assert_cmpint(plan.format, ==, LOG_FORMAT_JSON);
        g_assert_true(plan.follow && plan.timestamps && !plan.from_run);
}

static void test_answers(Fixture *fixture, gconstpointer unused) {
        static const struct {
                guint32 lines;
                guint64 limit;
                gint64 tail;
        } table[] = {{0, 0, 0}, {1, 1, 1}, {LOG_ANSWER_LINES, LOG_ANSWER_LINES, LOG_ANSWER_LINES}, {UINT32_MAX, LOG_ANSWER_LINES, LOG_ANSWER_LINES}};
        Container *container = fixture_add(fixture, "web", FILES);

        for (unsigned i = 0; i < G_N_ELEMENTS(table); i++) {
                g_auto(LogPlan) last = {0}, next = {0};
                read_answer(fixture, container, table[i].lines, "@a{sv} {}", &last);
                g_assert_cmpint(last.format, ==, LOG_FORMAT_ANSWER);
                g_assert_cmpint(last.tail, ==, table[i].tail);
                if (table[i].lines == 0) /* which lead nowhere from a cursor */
                        continue;
                read_answer(fixture, container, table[i].lines, "{'cursor': <'1:2'>}", &next);
                g_assert_cmpint(next.tail, ==, -1);
                g_assert_cmpuint(next.limit, ==, table[i].limit);
        }
}

static void test_what_is_refused(Fixture *fixture, gconstpointer unused) {
        static const struct {
                const char *options;
                ConbusError code;
                const char *part;
        } table[] = {
                {"{'tails': <uint32 1>}", CONBUS_ERROR_UNKNOWN_OPTION, "option \"tails\" is not known"},
                {"{'follow': <1>}", CONBUS_ERROR_INVALID_ARGS, "option \"follow\" has the type i; it takes b"},
                {"{'streams': <['stdin']>}", CONBUS_ERROR_INVALID_ARGS, "\"stdin\" is no stream of a log"},
                {"{'streams': <['stdout', '']>}", CONBUS_ERROR_INVALID_ARGS, "\"\" is no stream of a log"},
                {"{'streams': <@as []>}", CONBUS_ERROR_INVALID_ARGS, "streams is empty"},
                {"{'until-usec': <uint64 0>}", CONBUS_ERROR_INVALID_ARGS, "until-usec has to be greater than since-usec"},
                {"{'since-usec': <uint64 7>, 'until-usec': <uint64 7>}", CONBUS_ERROR_INVALID_ARGS, "until-usec has to be greater"},
                {"{'cursor': <''>}", CONBUS_ERROR_INVALID_ARGS, "is no position in a log"},
                {"{'cursor': <'1:2,3'>}", CONBUS_ERROR_INVALID_ARGS, "\"3\" is no position in a log"},
                {"{'tail': <uint32 1000001>}", CONBUS_ERROR_INVALID_ARGS, "tail goes to 1000000 lines"},
                {"{'format': <'xml'>}", CONBUS_ERROR_INVALID_ARGS, "format is \"xml\"; it can be text, json or export"},
                {"{'format': <'answer'>}", CONBUS_ERROR_INVALID_ARGS, "format is \"answer\""},
                {"{'run': <uint64 1>}", CONBUS_ERROR_NO_SUCH_RUN, "container \"web\" has no run yet"},
        };
        Container *container = fixture_add(fixture, "web", FILES);

        for (unsigned i = 0; i < G_N_ELEMENTS(table); i++)
                expect_refused(fixture, container, table[i].options, table[i].code, table[i].part);
        expect_answer_refused(fixture, container, "{'tail': <uint32 1>}", CONBUS_ERROR_UNKNOWN_OPTION, "\"tail\"");
        expect_answer_refused(fixture, container, "{'cursor': <'x'>}", CONBUS_ERROR_INVALID_ARGS, "is no position in a log");
}

static void test_logs_that_cannot_be_read(Fixture *fixture, gconstpointer unused) {
        Container *none = fixture_add(fixture, "mute", NONE), *journal = fixture_add(fixture, "web", JOURNAL), *gone = fixture_add(fixture, "gone", FILES);
        g_auto(LogPlan) plan = {0};

        expect_refused(fixture, none, "@a{sv} {}", CONBUS_ERROR_NO_LOGS, "read the log of container \"mute\": the log driver none keeps no log");
        expect_answer_refused(fixture, none, "@a{sv} {}", CONBUS_ERROR_NO_LOGS, "none");
        read_open(fixture, journal, "@a{sv} {}", &plan);
        g_assert_null(plan.path);
        gone->life.state = STATE_REMOVING;
        expect_refused(fixture, gone, "@a{sv} {}", CONBUS_ERROR_REMOVED, "it is being removed");
        gone->life.state = STATE_CREATED;
}

/* --- runs --- */

static void begin_run(Fixture *fixture, Container *container) {
        guint64 run = container->life.run + 1;
        g_autofree char *cursor = logs_begin_run(fixture->engine, container, run);
        g_autoptr(GError) error = NULL;

        (void) fixture_run(fixture, container, STATE_RUNNING);
        g_autoptr(Commit) commit = commit_new(container, NULL);
        g_free(commit_edit_run(commit)->log_cursor);
        commit_edit_run(commit)->log_cursor = g_strdup(cursor);
        g_assert_true(commit_apply(commit, &error));
}

static void end_run(Fixture *fixture, Container *container) {
        g_assert_no_errno(kill(container->main.pid, SIGKILL));
        fixture_run_until_state(fixture, container, STATE_EXITED);
}

static void add_to_log(Fixture *fixture, Container *container, const char *text) {
        g_autofree char *path = paths_state_of(&fixture->paths, container->id, "log");
        FILE *log = g_fopen(path, "a");

        g_assert_nonnull(log);
        g_assert_cmpint(fputs(text, log), >=, 0);
        g_assert_cmpint(fclose(log), ==, 0);
}

static char *read_log(Fixture *fixture, Container *container) {
        g_autofree char *path = paths_state_of(&fixture->paths, container->id, "log");
        char *text = NULL;

        g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
        return text;
}

/* What a run's record says is where its first byte is; what conmon was cut off in is ended before it. */
static void test_runs_are_marked(Fixture *fixture, gconstpointer unused) {
        Container *container = fixture_add(fixture, "web", FILES);
        g_autofree char *first = logs_begin_run(fixture->engine, container, 1);
        g_autofree char *before = read_log(fixture, container);

        g_assert_cmpstr(first, ==, "1:0");
        g_assert_nonnull(strstr(before, " conbus F run 1"));
        g_assert_true(g_str_has_suffix(before, "\n"));
        add_to_log(fixture, container, "2026-01-01T00:00:00.000000000+00:00 stdout F cut");
        g_autofree char *cut = read_log(fixture, container), *second = logs_begin_run(fixture->engine, container, 2), *wanted = g_strdup_printf("1:%zx", strlen(cut)), *after = read_log(fixture, container);
        g_assert_cmpstr(second, ==, wanted);
        g_assert_true(g_str_has_prefix(after + strlen(cut), "\n20"));
        g_assert_nonnull(strstr(after + strlen(cut), " conbus F run 2\n"));
}

static void test_drivers_without_files(Fixture *fixture, gconstpointer unused) {
        Container *journal = fixture_add(fixture, "web", JOURNAL), *none = fixture_add(fixture, "mute", NONE);
        guint64 before = (guint64) g_get_real_time();
        g_autofree char *place = logs_begin_run(fixture->engine, journal, 1), *nowhere = logs_begin_run(fixture->engine, none, 1), *log = paths_state_of(&fixture->paths, journal->id, "log");
        LogCursor cursor;

        g_assert_true(log_cursor_parse(place, &cursor, NULL));
        g_assert_cmpuint(cursor.offset, >=, before);
        g_assert_cmpuint(cursor.offset, <=, (guint64) g_get_real_time());
        g_assert_cmpstr(nowhere, ==, "");
        g_assert_cmpint(access(log, F_OK), <, 0);
}

/* A run goes on without its mark. */
static void test_a_log_that_cannot_be_marked(Fixture *fixture, gconstpointer unused) {
        Container *container = fixture_add(fixture, "web", FILES);
        g_autofree char *state = paths_state_of(&fixture->paths, container->id, NULL), *log = paths_state_of(&fixture->paths, container->id, "log");
        g_autofree char *elsewhere = g_build_filename(fixture->directory, "elsewhere", NULL);

        g_assert_no_errno(g_mkdir_with_parents(state, 0700));
        g_assert_no_errno(symlink(elsewhere, log));
        g_autofree char *linked = logs_begin_run(fixture->engine, container, 1);
        g_assert_cmpstr(linked, ==, "");
        g_assert_cmpint(access(elsewhere, F_OK), <, 0);
        g_assert_no_errno(unlink(log));
        g_assert_no_errno(g_mkdir(log, 0700));
        g_autofree char *directory = logs_begin_run(fixture->engine, container, 1);
        g_assert_cmpstr(directory, ==, "");
        g_assert_no_errno(rmdir(log));
        g_assert_no_errno(rmdir(state));
        g_assert_true(g_file_set_contents(state, "", 0, NULL));
        g_autofree char *nowhere = logs_begin_run(fixture->engine, container, 1);
        g_assert_cmpstr(nowhere, ==, "");
        g_assert_no_errno(unlink(state));
}

static void test_a_log_that_is_too_large_for_another_run(Fixture *fixture, gconstpointer unused) {
        Container *container = fixture_add(fixture, "web", "{'command': <['true']>, 'log-size-max': <uint64 4096>, 'log-max-files': <uint32 2>}");
        g_autofree char *filling = g_strnfill(5000, 'x'), *first = logs_begin_run(fixture->engine, container, 1), *second = NULL, *third = NULL;
        g_autofree char *one = paths_state_of(&fixture->paths, container->id, "log.1"), *two = paths_state_of(&fixture->paths, container->id, "log.2");

        add_to_log(fixture, container, filling);
        second = logs_begin_run(fixture->engine, container, 2);
        g_assert_cmpstr(second, ==, "2:0");
        g_assert_no_errno(access(one, F_OK));
        add_to_log(fixture, container, filling);
        third = logs_begin_run(fixture->engine, container, 3);
        g_assert_cmpstr(third, ==, "3:0");
        g_assert_cmpint(access(one, F_OK), <, 0);
        g_assert_no_errno(access(two, F_OK));
}

static void test_one_run_of_several(Fixture *fixture, gconstpointer unused) {
        Container *container = fixture_add(fixture, "web", FILES);
        g_auto(LogPlan) first = {0}, last = {0}, on = {0}, answer = {0};

        begin_run(fixture, container);
        end_run(fixture, container);
        g_autofree char *text = read_log(fixture, container), *begin = g_strdup_printf("1:%zx", strlen(text));
        begin_run(fixture, container);
        read_open(fixture, container, "{'run': <uint64 1>}", &first);
        g_assert_cmpuint(first.run, ==, 1);
        g_assert_cmpstr(first.from, ==, "1:0");
        g_assert_cmpstr(first.end, ==, begin);
        g_assert_true(first.from_run);
        read_open(fixture, container, "{'run': <uint64 2>}", &last);
        g_assert_cmpuint(last.run, ==, 2);
        g_assert_cmpstr(last.from, ==, begin);
        g_assert_null(last.end);
        read_open(fixture, container, "{'run': <uint64 1>, 'cursor': <'1:10'>}", &on); /* the cursor counts, to the end of that run */
        g_assert_cmpstr(on.from, ==, "1:10");
        g_assert_cmpstr(on.end, ==, begin);
        g_assert_false(on.from_run);
        read_answer(fixture, container, 5, "{'run': <uint64 1>}", &answer);
        g_assert_cmpint(answer.tail, ==, 5); /* its last ones */
        expect_refused(fixture, container, "{'run': <uint64 3>}", CONBUS_ERROR_NO_SUCH_RUN, "container \"web\" has no record of run 3");
        g_assert_true(store_exec(fixture->store, "DELETE FROM run WHERE number = 2", NULL));
        expect_refused(fixture, container, "{'run': <uint64 1>}", CONBUS_ERROR_NO_SUCH_RUN, "container \"web\" has no record of run 2");
        g_assert_true(store_exec(fixture->store, "ALTER TABLE run RENAME TO hidden", NULL));
        expect_refused(fixture, container, "{'run': <uint64 1>}", CONBUS_ERROR_INTERNAL, "read a record");
        g_assert_true(store_exec(fixture->store, "ALTER TABLE hidden RENAME TO run", NULL));
}

/* The journal knows no runs, but the times at which they began. */
static void test_one_run_in_the_journal(Fixture *fixture, gconstpointer unused) {
        Container *container = fixture_add(fixture, "web", JOURNAL);
        g_auto(LogPlan) first = {0}, last = {0}, narrow = {0};

        begin_run(fixture, container);
        end_run(fixture, container);
        begin_run(fixture, container);
        read_open(fixture, container, "{'run': <uint64 1>}", &first);
        read_open(fixture, container, "{'run': <uint64 2>}", &last);
        g_assert_cmpuint(first.since_usec, >, 0);
        g_assert_cmpuint(first.since_usec, <, first.until_usec);
        g_assert_cmpuint(first.until_usec, ==, last.since_usec);
        g_assert_cmpuint(last.until_usec, ==, UINT64_MAX);
        g_assert_null(first.from);
        g_autofree char *options = g_strdup_printf("{'run': <uint64 1>, 'since-usec': <uint64 %" G_GUINT64_FORMAT ">, 'until-usec': <uint64 %" G_GUINT64_FORMAT ">}", first.since_usec + 1, first.since_usec + 2);
        read_open(fixture, container, options, &narrow);
        g_assert_cmpuint(narrow.since_usec, ==, first.since_usec + 1);
        g_assert_cmpuint(narrow.until_usec, ==, MIN(first.since_usec + 2, first.until_usec));
}

/* --- followers --- */

static void expect_state(Fixture *fixture, Container *container, LogPhase phase, guint64 run, int code) {
        g_autofree char *directory = paths_run_of(&fixture->paths, container->id, NULL);
        const LogState state = log_state_read(directory);

        g_assert_cmpint(state.phase, ==, phase);
        g_assert_cmpuint(state.run, ==, run);
        g_assert_cmpint(state.exit_code, ==, code);
}

static bool is_told(Fixture *fixture, Container *container) {
        g_autofree char *path = paths_run_of(&fixture->paths, container->id, LOG_STATE_FILE);

        return access(path, F_OK) == 0;
}

static void follow(Fixture *fixture, Container *container) {
        g_autoptr(GError) error = NULL;

        g_assert_true(logs_follow(fixture->engine, container, &error));
        g_assert_no_error(error);
}

static void plan_restart(Life *life) {
        life->next_restart_usec = UINT64_MAX;
}

static void drop_restart(Life *life) {
        life->next_restart_usec = 0;
}

static void edit(Container *container, void (*change)(Life *life)) {
        g_autoptr(GError) error = NULL;
        g_autoptr(Commit) commit = commit_new(container, NULL);

        change(&commit->life);
        g_assert_true(commit_apply(commit, &error));
}

static void test_followers_are_told(Fixture *fixture, gconstpointer unused) {
        Container *container = fixture_add(fixture, "web", FILES);
        g_autofree char *state = paths_state_of(&fixture->paths, container->id, NULL);

        follow(fixture, container);
        g_assert_true(g_file_test(state, G_FILE_TEST_IS_DIR)); /* which they watch */
        expect_state(fixture, container, LOG_PHASE_ENDED, 0, container->life.exit_code);
        begin_run(fixture, container);
        expect_state(fixture, container, LOG_PHASE_OPEN, 1, -1);
        follow(fixture, container); /* another one */
        end_run(fixture, container);
        expect_state(fixture, container, LOG_PHASE_ENDED, 1, container->life.exit_code);
        edit(container, plan_restart);
        expect_state(fixture, container, LOG_PHASE_RESTARTING, 1, container->life.exit_code);
        edit(container, drop_restart);
        expect_state(fixture, container, LOG_PHASE_ENDED, 1, container->life.exit_code);
        Answer answer = {0};
        fixture_do(fixture, container, VERB_REMOVE, NULL, &answer);
        g_assert_no_error(answer.error);
        answer_clear(&answer);
}

/* Between the end of a run and the next one nothing has ended, whoever ordered it. */
static void test_a_restart_is_no_end(Fixture *fixture, gconstpointer unused) {
        static const char *const operations[] = {"restart", "start"};
        Container *container = fixture_add(fixture, "web", FILES);

        follow(fixture, container);
        for (unsigned i = 0; i < G_N_ELEMENTS(operations); i++) {
                container->operation = operations[i];
                edit(container, plan_restart);
                edit(container, drop_restart);
                expect_state(fixture, container, LOG_PHASE_RESTARTING, 0, container->life.exit_code);
        }
        container->operation = "stop";
        edit(container, plan_restart);
        edit(container, drop_restart);
        expect_state(fixture, container, LOG_PHASE_ENDED, 0, container->life.exit_code);
        container->operation = "";
}

static void test_a_removal_is_told(Fixture *fixture, gconstpointer unused) {
        Container *container = fixture_add(fixture, "web", FILES);

        follow(fixture, container);
        fixture_enter(container, STATE_REMOVING);
        expect_state(fixture, container, LOG_PHASE_REMOVED, 0, container->life.exit_code);
}

static void test_nobody_is_told_who_does_not_follow(Fixture *fixture, gconstpointer unused) {
        Container *container = fixture_add(fixture, "web", FILES);

        begin_run(fixture, container);
        end_run(fixture, container);
        g_assert_false(is_told(fixture, container));
}

static void test_a_file_that_cannot_be_written(Fixture *fixture, gconstpointer unused) {
        Container *container = fixture_add(fixture, "web", FILES), *other = fixture_add(fixture, "other", FILES);
        g_autofree char *directory = paths_run_of(&fixture->paths, container->id, NULL), *state = paths_state_of(&fixture->paths, other->id, NULL), *path = g_build_filename(directory, LOG_STATE_FILE, NULL);
        g_autoptr(GError) error = NULL;

        g_assert_true(g_file_set_contents(directory, "", 0, NULL));
        g_assert_false(logs_follow(fixture->engine, container, &error));
        testing_expect_error(&error, CONBUS_ERROR_INTERNAL, "make the directory");
        g_assert_true(g_file_set_contents(state, "", 0, NULL));
        g_assert_false(logs_follow(fixture->engine, other, &error));
        testing_expect_error(&error, CONBUS_ERROR_INTERNAL, "make the directory");
        g_assert_no_errno(unlink(state));
        g_assert_no_errno(unlink(directory));
        g_assert_no_errno(g_mkdir(directory, 0700));
        g_assert_no_errno(g_mkdir(path, 0700)); /* in the way of the file itself */
        g_assert_false(logs_follow(fixture->engine, container, &error));
        testing_expect_error(&error, CONBUS_ERROR_INTERNAL, "tell the followers of a log");
        g_assert_no_errno(rmdir(path));
        follow(fixture, container); /* it was not taken for followed */
        g_assert_no_errno(unlink(path));
        g_assert_no_errno(g_mkdir(path, 0700));
        edit(container, plan_restart); /* what cannot be told does not stop the change */
        g_assert_cmpuint(container->life.next_restart_usec, ==, UINT64_MAX);
        edit(container, drop_restart);
        g_assert_no_errno(rmdir(path));
}

/* The file itself says to the next service that somebody may follow. */
static void test_the_next_service_tells_them(Fixture *fixture, gconstpointer unused) {
        fixture_add(fixture, "web", FILES);
        Container *followed = fixture_add(fixture, "followed", FILES);

        follow(fixture, followed);
        fixture_crash(fixture, "UPDATE life SET exit_code = 9");
        Container *web = registry_find(fixture->registry, "web", NULL);
        followed = registry_find(fixture->registry, "followed", NULL);
        logs_adopt(fixture->engine, web);
        logs_adopt(fixture->engine, followed);
        g_assert_false(is_told(fixture, web));
        expect_state(fixture, followed, LOG_PHASE_ENDED, 0, 9);
        edit(followed, plan_restart);
        expect_state(fixture, followed, LOG_PHASE_RESTARTING, 0, 9);
        edit(followed, drop_restart);
}

/* --- rotation --- */

#define LIMITED "'log-size-max': <uint64 4096>}"

static bool is_rotated(void *userdata) {
        return access(userdata, F_OK) == 0;
}

static Container *run_limited(Fixture *fixture, const char *name, const char *config) {
        Container *container = fixture_add(fixture, name, config);
        g_autofree char *directory = paths_run_of(&fixture->paths, container->id, "1"), *fifo = g_build_filename(directory, CONTROL_FIFO, NULL);

        begin_run(fixture, container);
        g_assert_no_errno(g_mkdir_with_parents(directory, 0700));
        g_assert_no_errno(mkfifo(fifo, 0600));
        g_assert_true(pidref_open(container->main.pid, &container->monitor, NULL)); /* it plays conmon as well */
        return container;
}

/* Only files have a limit, and only while conmon is there to begin another one. */
static void test_what_is_rotated(Fixture *fixture, gconstpointer unused) {
        Container *without = run_limited(fixture, "without", FILES), *left = run_limited(fixture, "left", "{'command': <['true']>, " LIMITED), *container = run_limited(fixture, "web", "{'command': <['true']>, " LIMITED);
        Container *const all[] = {without, left, container};
        g_autofree char *filling = g_strnfill(10000, 'x'), *one = paths_state_of(&fixture->paths, container->id, "log.1");

        for (unsigned i = 0; i < G_N_ELEMENTS(all); i++)
                logs_watch(fixture->engine, all[i]);
        logs_unwatch(fixture->engine, left);
        for (unsigned i = 0; i < G_N_ELEMENTS(all); i++)
                add_to_log(fixture, all[i], filling);
        testing_run_until(fixture->event, is_rotated, one);
        for (unsigned i = 0; i < 2; i++) {
                g_autofree char *path = paths_state_of(&fixture->paths, all[i]->id, "log.1");
                testing_run_idle(fixture->event);
                g_assert_false(is_rotated(path));
        }
        logs_unwatch(fixture->engine, container);
        logs_unwatch(fixture->engine, container);
}

#define ADD(name, function) g_test_add("/logs/" name, Fixture, NULL, fixture_set_up, function, fixture_tear_down)

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        ADD("what-counts-by-default", test_what_counts_by_default);
        ADD("everything-can-be-chosen", test_everything_can_be_chosen);
        ADD("answers", test_answers);
        ADD("what-is-refused", test_what_is_refused);
        ADD("logs-that-cannot-be-read", test_logs_that_cannot_be_read);
        ADD("runs-are-marked", test_runs_are_marked);
        ADD("drivers-without-files", test_drivers_without_files);
        ADD("a-log-that-cannot-be-marked", test_a_log_that_cannot_be_marked);
        ADD("a-log-that-is-too-large-for-another-run", test_a_log_that_is_too_large_for_another_run);
        ADD("one-run-of-several", test_one_run_of_several);
        ADD("one-run-in-the-journal", test_one_run_in_the_journal);
        ADD("followers-are-told", test_followers_are_told);
        ADD("a-restart-is-no-end", test_a_restart_is_no_end);
        ADD("a-removal-is-told", test_a_removal_is_told);
        ADD("nobody-is-told-who-does-not-follow", test_nobody_is_told_who_does_not_follow);
        ADD("a-file-that-cannot-be-written", test_a_file_that_cannot_be_written);
        ADD("the-next-service-tells-them", test_the_next_service_tells_them);
        ADD("what-is-rotated", test_what_is_rotated);
        return g_test_run();
}
