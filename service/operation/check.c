/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One health check. The exit code of crun exec is the check's own, unless crun has written an error into its log: then nothing was executed, and that is trouble of the runtime. */

#include "operation/check.h"
#include "operation/internal.h"
#include "base/clock.h"
#include "base/log.h"
#include "runtime/cgroup.h"
#include "runtime/output-pipe.h"
#include <sys/wait.h>
#include <unistd.h>

#define CHECK_GROUP "conbus-check"
#define OUTPUT_CAP (1 << 20)
#define CHARACTER_BYTES 4 /* at most, in UTF-8 */

struct Check {
        Engine *engine;
        Container *container; /* reference */
        Process *process;
        OutputPipe *output; /* of both streams, in the order in which it is written */
        sd_event_source *timer;
        char *cgroup, *log;
        gsize output_max;
        guint64 start_usec;
        bool timed_out;
        CheckDone done;
        void *userdata;
};

static void check_free(Check *check) {
        g_clear_pointer(&check->timer, sd_event_source_disable_unref);
        output_pipe_free(check->output);
        (void) unlink(check->log);
        g_free(check->log);
        g_free(check->cgroup);
        container_unref(check->container);
        g_free(check);
}

static void kill_group(Check *check) {
        g_autoptr(GError) error = NULL;
        unsigned n = 0;

        if (!cgroup_signal(check->cgroup, SIGKILL, &n, &error))
                log_warning("end a check of %s: %s", container_title(check->container), error->message);
}

/* Characters that are kept. */
static gsize output_limit(gsize output_max) {
        return output_max == 0 ? OUTPUT_CAP : MIN(output_max, OUTPUT_CAP);
}

static char *cut_output(const char *output, gsize size, gsize max) {
        g_autofree char *valid = g_utf8_make_valid(output, (gssize) size);
        glong limit = (glong) output_limit(max);

        g_strchomp(valid);
        return g_utf8_strlen(valid, -1) > limit ? g_utf8_substring(valid, 0, limit) : g_steal_pointer(&valid);
}

static int code_of(const Check *check, const ProcessResult *result) {
        if (check->timed_out)
                return -1;
        if (!WIFEXITED(result->status))
                return 125;
        g_autofree char *message = crun_last_log_message(check->log);
        if (message)
                return 125;
        return WEXITSTATUS(result->status) == 0 ? 0 : 1;
}

/* What was said, and what is wrong if crun could not be executed at all. */
static char *text_of(Check *check, const ProcessResult *result) {
        const GByteArray *bytes = output_pipe_bytes(check->output);
        g_autoptr(GString) text = g_string_new_len((const char *) bytes->data, (gssize) bytes->len);

        g_string_append(text, result->errors);
        return cut_output(text->str, text->len, check->output_max);
}

static void on_exec_done(const ProcessResult *result, void *userdata) {
        Check *check = userdata;

        check->process = NULL;
        kill_group(check);
        output_pipe_drain(check->output);
        g_autofree char *output = text_of(check, result);
        CheckResult answer = {.start_usec = check->start_usec, .end_usec = clock_realtime_usec(), .code = code_of(check, result), .output = output};
        if (check->done)
                check->done(&answer, check->userdata);
        check_free(check);
}

/* The service leaves before the process that was killed has ended. */
static void on_forgotten(void *userdata) {
        check_free(userdata);
}

static int on_timeout(sd_event_source *source, guint64 usec, void *userdata) {
        Check *check = userdata;

        g_clear_pointer(&check->timer, sd_event_source_disable_unref);
        check->timed_out = true;
        kill_group(check);
        process_kill(check->process, SIGKILL);
        return 0;
}

static void add_command(GPtrArray *argv, const char *const *test) {
        if (g_str_equal(test[0], "CMD-SHELL")) {
                g_ptr_array_add(argv, (void *) "/bin/sh");
                g_ptr_array_add(argv, (void *) "-c");
                test++;
        } else if (g_str_equal(test[0], "CMD"))
                test++;
        for (; *test; test++)
                g_ptr_array_add(argv, (void *) *test);
        g_ptr_array_add(argv, NULL);
}

Check *check_begin(Engine *engine, Container *container, const char *const *test, guint64 timeout_usec, gsize output_max, CheckDone done, void *userdata, GError **error) {
        g_autofree char *root = g_build_filename(engine->paths->run, "crun", NULL);
        const char *cwd = config_string(container->config, "cwd", NULL);
        g_autoptr(GPtrArray) argv = g_ptr_array_new();
        g_autofree char *log = paths_run_of(engine->paths, container->id, "check.log");
        const char *const head[] = {engine->paths->crun, "--root", root, "--log", log, "--log-format=json", "exec", "--cgroup", CHECK_GROUP, NULL};
        ProcessSpec spec = PROCESS_SPEC_INIT;
        autofd int output = -1;

        if (*container->life.cgroup && !cgroup_make_child(container->life.cgroup, CHECK_GROUP, error))
                return NULL;
        for (const char *const *word = head; *word; word++)
                g_ptr_array_add(argv, (void *) *word);
        if (cwd) { /* crun uses / unless told */
                g_ptr_array_add(argv, (void *) "--cwd");
                g_ptr_array_add(argv, (void *) cwd);
        }
        g_ptr_array_add(argv, container->id);
        add_command(argv, test);
        spec.argv = (const char *const *) argv->pdata;
        spec.forget = on_forgotten;

        Check *check = g_new0(Check, 1);
        check->engine = engine;
        check->container = container_ref(container);
        check->cgroup = g_strdup_printf("%s/" CHECK_GROUP, container->life.cgroup);
        check->log = g_steal_pointer(&log);
        check->output_max = output_max;
        check->start_usec = clock_realtime_usec();
        check->done = done;
        check->userdata = userdata;
        (void) unlink(check->log);
        check->output = output_pipe_new(engine->event, MIN(CHARACTER_BYTES * output_limit(output_max), OUTPUT_CAP), &output, error);
        spec.output_fd = spec.errors_fd = output;
        if (check->output)
                check->process = process_begin(engine->event, engine->reaper, &spec, on_exec_done, check, error);
        if (!check->process) {
                check_free(check);
                return NULL;
        }
        int r = sd_event_add_time(engine->event, &check->timer, CLOCK_BOOTTIME, clock_boottime_in(timeout_usec), 1000, on_timeout, check);
        g_assert(r >= 0);
        return check;
}

void check_abandon(Check *check) {
        check->done = NULL;
        g_clear_pointer(&check->timer, sd_event_source_disable_unref);
        kill_group(check);
        process_kill(check->process, SIGKILL);
}
