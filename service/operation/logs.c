/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The rotation of a log goes on as long as conmon lives (runtime/log-rotation.h). Followers of a log are told through a file in the container's run directory (stream/log-state.h), which is there once somebody has followed: so the service need not know who follows, and after a restart the file itself says that somebody may. */

#include "operation/logs.h"
#include "base/clock.h"
#include "base/log.h"
#include "operation/internal.h"
#include "runtime/control-fifo.h"
#include "runtime/log-rotation.h"
#include "stream/log-answer.h"
#include "stream/log-files.h"
#include "stream/log-journal.h"
#include "stream/log-state.h"
#include "stream/log-tail.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#define FILES_MAX 5 /* log-max-files */

struct Logs {
        GHashTable *followed; /* container id -> LogState as it was written last */
        GHashTable *rotations; /* container id -> LogRotation, while conmon lives */
};

static const char *driver_of(const Container *container) {
        return config_string(container->config, "log-driver", "k8s-file");
}

/* --- rotation --- */

/* False: the log has no limit. */
static bool get_limits(const Container *container, LogLimits *ret) {
        *ret = (LogLimits) {.size_max = config_uint64(container->config, "log-size-max", 0), .files_max = config_uint32(container->config, "log-max-files", FILES_MAX)};
        return ret->size_max > 0 && g_str_equal(driver_of(container), "k8s-file");
}

void logs_watch(Engine *engine, Container *container) {
        g_autofree char *log = paths_state_of(engine->paths, container->id, "log"), *number = g_strdup_printf("%" G_GUINT64_FORMAT, container->life.run);
        g_autofree char *directory = paths_run_of(engine->paths, container->id, number), *fifo = g_build_filename(directory, CONTROL_FIFO, NULL);
        LogLimits limits;

        if (get_limits(container, &limits) && pidref_is_set(&container->monitor))
                g_hash_table_insert(engine->logs->rotations, g_strdup(container->id), log_rotation_new(engine->event, log, fifo, &limits));
}

void logs_settle(Engine *engine, Container *container) {
        LogRotation *rotation = g_hash_table_lookup(engine->logs->rotations, container->id);

        if (rotation)
                log_rotation_settle(rotation);
}

void logs_unwatch(Engine *engine, Container *container) {
        g_hash_table_remove(engine->logs->rotations, container->id);
}

/* --- followers --- */

static LogState state_of(const Container *container) {
        const Life *life = &container->life;
        LogState state = {.run = life->run, .exit_code = life->run_open ? -1 : life->exit_code};

        if (container->removed || life->state == STATE_REMOVING)
                state.phase = LOG_PHASE_REMOVED;
        else if (life->run_open)
                state.phase = LOG_PHASE_OPEN;
        else if (life->next_restart_usec != 0 || life->state == STATE_STOPPED || g_str_equal(container->operation, "restart") || g_str_equal(container->operation, "start"))
                state.phase = LOG_PHASE_RESTARTING;
        else
                state.phase = LOG_PHASE_ENDED;
        return state;
}

static bool write_state(Engine *engine, Container *container, const LogState *state, GError **error) {
        g_autofree char *directory = paths_run_of(engine->paths, container->id, NULL);

        if (g_mkdir_with_parents(directory, 0700) < 0)
                return error_errno(error, errno, "make the directory %s", directory);
        return log_state_write(directory, state, error);
}

static bool is_same(const LogState *a, const LogState *b) {
        return a->phase == b->phase && a->run == b->run && a->exit_code == b->exit_code;
}

bool logs_follow(Engine *engine, Container *container, GError **error) {
        g_autofree char *directory = paths_state_of(engine->paths, container->id, NULL); /* of the log: it is watched, and before the first run it is not there */
        LogState state = state_of(container);

        if (g_hash_table_contains(engine->logs->followed, container->id))
                return true;
        if (g_mkdir_with_parents(directory, 0700) < 0)
                return error_errno(error, errno, "make the directory %s", directory);
        if (!write_state(engine, container, &state, error))
                return false;
        g_hash_table_insert(engine->logs->followed, g_strdup(container->id), g_memdup2(&state, sizeof state));
        return true;
}

void logs_changed(Engine *engine, const Change *change) {
        Container *container = change->container;
        LogState *known = g_hash_table_lookup(engine->logs->followed, container->id);
        LogState state = state_of(container);
        g_autoptr(GError) error = NULL;

        if (!known || is_same(known, &state))
                return;
        *known = state;
        if (!change->vanished && !write_state(engine, container, &state, &error))
                log_warning("%s: %s", container_title(container), error->message);
        if (change->vanished)
                g_hash_table_remove(engine->logs->followed, container->id);
}

void logs_adopt(Engine *engine, Container *container) {
        g_autofree char *path = paths_run_of(engine->paths, container->id, LOG_STATE_FILE);
        g_autoptr(GError) error = NULL;

        if (access(path, F_OK) == 0 && !logs_follow(engine, container, &error))
                log_warning("%s: %s", container_title(container), error->message);
}

/* --- runs --- */

/* A record that was cut off when conmon was killed ends here, and what is unfinished does not go on in the next run. */
static bool write_mark(int fd, guint64 run, GError **error) {
        g_autofree char *line = log_record_of_run(run, clock_realtime_usec()), *text = NULL;
        struct stat st;
        char last = '\n';

        if (fstat(fd, &st) < 0 || (st.st_size > 0 && pread(fd, &last, 1, st.st_size - 1) < 0))
                return error_errno(error, errno, "look at the log");
        text = g_strconcat(last == '\n' ? "" : "\n", line, NULL);
        return write(fd, text, strlen(text)) == (ssize_t) strlen(text) || error_errno(error, errno, "write the log");
}

char *logs_begin_run(Engine *engine, Container *container, guint64 run) {
        g_autofree char *state = paths_state_of(engine->paths, container->id, NULL), *log = paths_state_of(engine->paths, container->id, "log");
        LogCursor end = log_journal_cursor_at(clock_realtime_usec());
        g_autoptr(GError) error = NULL, too_large = NULL;
        LogLimits limits;

        if (g_str_equal(driver_of(container), "journald"))
                return log_cursor_to_string(&end);
        if (!g_str_equal(driver_of(container), "k8s-file"))
                return g_strdup("");
        if (get_limits(container, &limits) && !log_rotation_between_runs(log, &limits, &too_large))
                log_warning("%s: %s", container_title(container), too_large->message);
        autofd int fd = g_mkdir_with_parents(state, 0700) < 0 ? -1 : open(log, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (fd < 0)
                (void) error_errno(&error, errno, "open %s", log);
        else if (log_files_end(log, &end, &error)) {
                g_autoptr(GError) unmarked = NULL;
                if (!write_mark(fd, run, &unmarked))
                        log_warning("the log of %s: %s", container_title(container), unmarked->message);
                return log_cursor_to_string(&end);
        }
        log_warning("the log of %s: %s", container_title(container), error->message);
        return g_strdup("");
}

/* --- what is to be read --- */

static const OptionKey answer_keys[] = {{"cursor", "s"}, {"run", "t"}, {"since-usec", "t"}, {"until-usec", "t"}, {"streams", "as"}, {NULL}};
static const OptionKey open_keys[] = {{"cursor", "s"}, {"run", "t"}, {"since-usec", "t"}, {"until-usec", "t"}, {"streams", "as"}, {"tail", "u"}, {"follow", "b"}, {"timestamps", "b"}, {"format", "s"}, {NULL}};

static bool check_driver(Container *container, GError **error) {
        const char *driver = driver_of(container), *title = container_title(container);

        if (container->removed || container->life.state == STATE_REMOVING)
                return error_set(error, CONBUS_ERROR_REMOVED, "read the log of %s: it is being removed", title);
        if (g_str_equal(driver, "k8s-file") || g_str_equal(driver, "journald"))
                return true;
        return error_set(error, CONBUS_ERROR_NO_LOGS, "read the log of %s: the log driver %s keeps no log that can be read; k8s-file and journald do", title, driver);
}

static bool read_streams(GVariant *options, unsigned *ret, GError **error) {
        g_autofree const char **streams = NULL;
        unsigned mask = 0;

        *ret = STREAM_MASK(STREAM_STDOUT) | STREAM_MASK(STREAM_STDERR);
        if (!g_variant_lookup(options, "streams", "^a&s", &streams))
                return true;
        for (const char **stream = streams; *stream; stream++) {
                unsigned one = g_str_equal(*stream, "stdout") ? STREAM_STDOUT : g_str_equal(*stream, "stderr") ? STREAM_STDERR : STREAM_STDIN;
                if (one == STREAM_STDIN)
                        return error_set(error, CONBUS_ERROR_INVALID_ARGS, "\"%s\" is no stream of a log; there are stdout and stderr", *stream);
                mask |= STREAM_MASK(one);
        }
        if (mask == 0)
                return error_set(error, CONBUS_ERROR_INVALID_ARGS, "streams is empty; it takes stdout, stderr or both");
        *ret = mask;
        return true;
}

static bool get_record(Engine *engine, Container *container, guint64 run, Run **ret, GError **error) {
        if (container->life.run == 0)
                return error_set(error, CONBUS_ERROR_NO_SUCH_RUN, "%s has no run yet", container_title(container));
        if (!store_get_run(engine->store, container->id, run, ret, error))
                return false;
        return *ret || error_set(error, CONBUS_ERROR_NO_SUCH_RUN, "%s has no record of run %" G_GUINT64_FORMAT, container_title(container), run);
}

/* The journal knows no runs: there they are told apart by the time at which an entry was sent. */
static void bound_by_time(const Run *record, const Run *next, LogPlan *plan) {
        LogCursor begin, end;

        if (log_cursor_parse(record->log_cursor, &begin, NULL))
                plan->since_usec = MAX(plan->since_usec, begin.offset);
        if (next && log_cursor_parse(next->log_cursor, &end, NULL))
                plan->until_usec = MIN(plan->until_usec, end.offset);
}

static bool bound_by_run(Engine *engine, Container *container, guint64 run, LogPlan *plan, GError **error) {
        g_autoptr(Run) record = NULL, next = NULL;

        if (!get_record(engine, container, run, &record, error))
                return false;
        plan->run = record->number;
        if (record->number < container->life.run && !get_record(engine, container, record->number + 1, &next, error))
                return false;
        if (!plan->path) {
                bound_by_time(record, next, plan);
                return true;
        }
        if (next && *next->log_cursor)
                plan->end = g_strdup(next->log_cursor);
        if (!plan->from && !*record->log_cursor)
                return error_set(error, CONBUS_ERROR_NO_LOGS, "nobody knows where in the log of %s run %" G_GUINT64_FORMAT " begins; cursors and times lead into it", container_title(container), run);
        if (!plan->from) {
                plan->from = g_strdup(record->log_cursor);
                plan->from_run = true;
        }
        return true;
}

static bool read_common(Engine *engine, Container *container, GVariant *options, LogPlan *plan, GError **error) {
        LogPosition position;
        guint64 run;

        if (!check_driver(container, error) || !read_streams(options, &plan->streams, error))
                return false;
        plan->id = g_strdup(container->id);
        plan->name = g_strdup(container->name);
        plan->path = g_str_equal(driver_of(container), "k8s-file") ? paths_state_of(engine->paths, container->id, "log") : NULL;
        plan->directory = paths_run_of(engine->paths, container->id, NULL);
        plan->until_usec = UINT64_MAX;
        plan->tail = -1;
        (void) g_variant_lookup(options, "since-usec", "t", &plan->since_usec);
        (void) g_variant_lookup(options, "until-usec", "t", &plan->until_usec);
        if (plan->until_usec <= plan->since_usec)
                return error_set(error, CONBUS_ERROR_INVALID_ARGS, "until-usec has to be greater than since-usec: lines from since on and before until are read");
        if (g_variant_lookup(options, "cursor", "s", &plan->from) && !log_position_parse(plan->from, &position, error))
                return false;
        return !g_variant_lookup(options, "run", "t", &run) || bound_by_run(engine, container, run, plan, error);
}

bool logs_plan_answer(Engine *engine, Container *container, guint32 lines, GVariant *options, LogPlan *ret, GError **error) {
        g_auto(LogPlan) plan = {.format = LOG_FORMAT_ANSWER};

        if (!options_check(options, answer_keys, error) || !read_common(engine, container, options, &plan, error))
                return false;
        if (plan.from && !plan.from_run && lines == 0)
                return error_set(error, CONBUS_ERROR_INVALID_ARGS, "from a cursor on 0 lines lead nowhere; ask for 1 to %d", LOG_ANSWER_LINES);
        if (plan.from && !plan.from_run)
                plan.limit = MIN(lines, LOG_ANSWER_LINES);
        else
                plan.tail = MIN(lines, LOG_ANSWER_LINES);
        *ret = plan;
        plan = (LogPlan) {0};
        return true;
}

static bool read_tail(GVariant *options, LogPlan *plan, GError **error) {
        guint32 tail;

        if (!g_variant_lookup(options, "tail", "u", &tail))
                return true;
        if (tail > LOG_TAIL_MAX)
                return error_set(error, CONBUS_ERROR_INVALID_ARGS, "tail goes to %d lines; leave it out for all of them", LOG_TAIL_MAX);
        plan->tail = tail;
        return true;
}

bool logs_plan_open(Engine *engine, Container *container, GVariant *options, LogPlan *ret, GError **error) {
        g_auto(LogPlan) plan = {0};
        gboolean follow = FALSE, timestamps = FALSE;
        const char *format = "text";

        if (!options_check(options, open_keys, error) || !read_common(engine, container, options, &plan, error) || !read_tail(options, &plan, error))
                return false;
        (void) g_variant_lookup(options, "follow", "b", &follow);
        (void) g_variant_lookup(options, "timestamps", "b", &timestamps);
        (void) g_variant_lookup(options, "format", "&s", &format);
        plan.follow = follow;
        plan.timestamps = timestamps;
        if (!log_format_from_string(format, &plan.format))
                return error_set(error, CONBUS_ERROR_INVALID_ARGS, "format is \"%s\"; it can be text, json or export", format);
        *ret = plan;
        plan = (LogPlan) {0};
        return true;
}

/* --- start and end --- */

struct Logs *logs_new(void) {
        struct Logs *logs = g_new0(struct Logs, 1);

        logs->rotations = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify) log_rotation_free);
        logs->followed = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
        return logs;
}

void logs_free(struct Logs *logs) {
        if (!logs)
                return;
        g_hash_table_unref(logs->rotations);
        g_hash_table_unref(logs->followed);
        g_free(logs);
}
