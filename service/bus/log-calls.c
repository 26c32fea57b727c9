/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Logs for callers. All reading is done by processes of their own: one that answers and ends for ReadLog, one that writes into the caller's pipe, for as long as that is read, for OpenLog. */

#include "bus/log-calls.h"
#include "bus/peers.h"
#include "bus/users.h"
#include "container-interface.h"
#include "operation/logs.h"
#include "runtime/log-process.h"
#include "stream/log-answer.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/wait.h>

#define ANSWER_MAX (4 * LOG_ANSWER_BYTES) /* with all that is around the texts */
#define ANSWER_USEC (60 * G_USEC_PER_SEC)

/* --- ReadLog --- */

typedef struct Reading {
        Call *call;
        Process *process;
} Reading;

static void reading_free(void *data) {
        Reading *reading = data;

        call_unref(reading->call);
        g_free(reading);
}

static bool fail_reading(const ProcessResult *result, GError **error) {
        const char *newline = strchr(result->errors, '\n');

        if (result->timed_out)
                return error_set(error, CONBUS_ERROR_TIMEOUT, "ReadLog: the log could not be read in time");
        g_autofree char *name = newline ? g_strndup(result->errors, (gsize) (newline - result->errors)) : NULL;
        int code = name ? error_code_from_name(name) : -1;
        return error_set(error, code < 0 ? CONBUS_ERROR_INTERNAL : (ConbusError) code, "ReadLog: %s", code < 0 ? "the process that reads the log has failed" : newline + 1);
}

static GVariant *answer_of(const ProcessResult *result, GError **error) {
        if (!WIFEXITED(result->status) || WEXITSTATUS(result->status) != 0) {
                (void) fail_reading(result, error);
                return NULL;
        }
        g_autoptr(GBytes) bytes = g_bytes_new(result->output, result->output_size);
        g_autoptr(GVariant) answer = g_variant_ref_sink(g_variant_new_from_bytes(G_VARIANT_TYPE(LOG_ANSWER_TYPE), bytes, FALSE));
        if (g_variant_is_normal_form(answer))
                return g_steal_pointer(&answer);
        (void) error_set(error, CONBUS_ERROR_INTERNAL, "ReadLog: the process that reads the log has given no answer");
        return NULL;
}

static void on_read(const ProcessResult *result, void *userdata) {
        Reading *reading = userdata;
        g_autoptr(GError) error = NULL;
        g_autoptr(GVariant) answer = answer_of(result, &error);

        reading->process = NULL;
        if (answer)
                call_reply_variant(reading->call, answer);
        else
                call_reply_error(reading->call, error);
        reading_free(reading);
}

static void on_reader_left(Call *call, void *userdata) {
        Reading *reading = userdata;

        process_abandon(reading->process);
}

bool log_calls_read(Call *call, Container *container, guint32 lines, GVariant *options, GError **error) {
        Engine *engine = call->bus->engine;
        ProcessSpec spec = PROCESS_SPEC_INIT;
        g_auto(LogPlan) plan = {0};

        if (!logs_plan_answer(engine, container, lines, options, &plan, error))
                return false;
        g_autofree char *text = log_plan_to_string(&plan);
        const char *const argv[] = {engine->paths->stream, "log", text, NULL};
        Reading *reading = g_new0(Reading, 1);
        spec.argv = argv;
        spec.capture_limit = ANSWER_MAX;
        spec.timeout_usec = ANSWER_USEC;
        spec.forget = reading_free;
        reading->process = process_begin(engine->event, engine->reaper, &spec, on_read, reading, error);
        if (!reading->process) {
                g_free(reading);
                return false;
        }
        reading->call = call_ref(call);
        call->caller_left = on_reader_left;
        call->userdata = reading;
        return true;
}

/* --- OpenLog --- */

/* One that has been opened, or is about to be. */
typedef struct Reader {
        Bus *bus;
        Call *call; /* NULL once it is answered */
        User *user; /* reference; it counts among the streams of this user */
        LogProcess *process;
        int client_fd; /* what the caller gets */
} Reader;

struct LogReaders {
        GPtrArray *list; /* of Reader */
};

static void reader_free(void *data) {
        Reader *reader = data;

        log_process_free(reader->process);
        call_unref(reader->call);
        reader->user->n_streams--;
        user_unref(reader->user);
        close_fd(reader->client_fd);
        g_free(reader);
}

static void forget(Reader *reader) {
        Bus *bus = reader->bus;

        g_ptr_array_remove_fast(bus->log_readers->list, reader);
        if (bus->log_readers->list->len == 0)
                log_calls_free(bus);
}

void log_calls_free(Bus *bus) {
        if (!bus->log_readers)
                return;
        g_ptr_array_unref(bus->log_readers->list);
        g_clear_pointer(&bus->log_readers, g_free);
}

static void on_opened(const GError *error, void *userdata) {
        Reader *reader = userdata;

        if (error) {
                call_reply_error(reader->call, error);
                forget(reader);
                return;
        }
        container_reply_open_log(reader->call, reader->client_fd);
        reader->client_fd = close_fd(reader->client_fd);
        reader->call->caller_left = NULL;
        call_unref(g_steal_pointer(&reader->call));
}

static void on_ended(void *userdata) {
        forget(userdata);
}

static void on_opener_left(Call *call, void *userdata) {
        Reader *reader = userdata;

        log_process_kill(g_steal_pointer(&reader->process));
        forget(reader);
}

static bool check_limit(Call *call, GError **error) {
        unsigned limit = call->bus->engine->settings.streams_per_user;

        if (call->actor->uid == 0 || peer_of(call->bus, call->message)->user->n_streams < limit)
                return true;
        return error_set(error, CONBUS_ERROR_LIMITS_EXCEEDED, "OpenLog: user %u has %u streams open already", call->actor->uid, limit);
}

static bool start_reader(Reader *reader, Container *container, const LogPlan *plan, int output_fd, GError **error) {
        Engine *engine = reader->bus->engine;
        g_autofree char *text = log_plan_to_string(plan);
        const LogProcessPlan process = {.id = container->id, .slice = config_string(container->config, "slice", engine->settings.slice), .text = text, .output_fd = output_fd,
                                        .opened = on_opened, .ended = on_ended, .userdata = reader};

        reader->process = log_process_start(engine->event, engine->reaper, engine->paths, engine->units, &process, error);
        return reader->process != NULL;
}

static Reader *reader_new(Call *call, int client_fd) {
        Bus *bus = call->bus;
        Reader *reader = g_new0(Reader, 1);

        *reader = (Reader) {.bus = bus, .user = user_ref(peer_of(bus, call->message)->user), .client_fd = client_fd};
        reader->user->n_streams++;
        if (!bus->log_readers) {
                bus->log_readers = g_new0(struct LogReaders, 1);
                bus->log_readers->list = g_ptr_array_new_with_free_func(reader_free);
        }
        g_ptr_array_add(bus->log_readers->list, reader);
        return reader;
}

bool log_calls_open(Call *call, Container *container, GVariant *options, GError **error) {
        g_auto(LogPlan) plan = {0};
        int ends[2];

        if (!logs_plan_open(call->bus->engine, container, options, &plan, error) || !check_limit(call, error) || (plan.follow && !logs_follow(call->bus->engine, container, error)))
                return false;
        if (pipe2(ends, O_CLOEXEC) < 0)
                return error_errno(error, errno, "make a pipe for the log");
        autofd int theirs = ends[1];
        Reader *reader = reader_new(call, ends[0]);
        if (!start_reader(reader, container, &plan, theirs, error)) {
                forget(reader);
                return false;
        }
        reader->call = call_ref(call);
        call->caller_left = on_opener_left;
        call->userdata = reader;
        return true;
}
