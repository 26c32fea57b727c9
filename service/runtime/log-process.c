/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Starting a reader of a log. It says over a pipe whether the log could be opened; the end of that pipe without a word is the end of the process. */

#include "runtime/log-process.h"
#include "base/auto.h"
#include "base/log.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>

struct LogProcess {
        LogProcessPlan plan; /* its callbacks; the rest is not used after the start */
        Units *units;
        Process *process; /* NULL once it has ended */
        UnitJob *scope_job;
        char *scope; /* NULL: it has none */
        int status_fd;
        sd_event_source *status;
        GString *said;
        bool opened;
};

void log_process_free(LogProcess *process) {
        if (!process)
                return;
        if (process->scope_job)
                unit_job_forget(process->scope_job);
        if (process->process)
                process_detach(process->process);
        g_clear_pointer(&process->status, sd_event_source_disable_unref);
        close_fd(process->status_fd);
        g_string_free(process->said, TRUE);
        g_free(process->scope);
        g_free(process);
}

void log_process_kill(LogProcess *process) {
        if (process->process)
                process_kill(process->process, SIGKILL);
        log_process_free(process);
}

/* --- what it says --- */

static GError *error_of(const LogProcess *process) {
        const char *newline = strchr(process->said->str, '\n');

        if (!newline)
                return g_error_new_literal(CONBUS_ERROR, CONBUS_ERROR_INTERNAL, "read the log: the process that reads it has ended");
        g_autofree char *name = g_strndup(process->said->str, (gsize) (newline - process->said->str));
        int code = error_code_from_name(name);
        return g_error_new_literal(CONBUS_ERROR, code < 0 ? CONBUS_ERROR_INTERNAL : code, newline + 1);
}

static int on_status(sd_event_source *source, int fd, uint32_t revents, void *userdata) {
        LogProcess *process = userdata;
        char text[1024];
        ssize_t n = read(fd, text, sizeof text);

        if (n > 0) {
                g_string_append_len(process->said, text, n);
                return 0;
        }
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
                return 0;
        g_clear_pointer(&process->status, sd_event_source_disable_unref);
        bool opened = process->opened = g_str_equal(process->said->str, "ok");
        g_autoptr(GError) error = opened ? NULL : error_of(process);
        process->plan.opened(error, process->plan.userdata);
        if (opened && !process->process)
                process->plan.ended(process->plan.userdata);
        return 0;
}

static void on_scope_stopped(const GError *error, void *userdata) {
        if (error)
                log_warning("stop the scope of a reader of a log: %s", error->message);
}

static void on_ended(const ProcessResult *result, void *userdata) {
        LogProcess *process = userdata;

        process->process = NULL;
        /* systemd may not hear of its end: it is nobody's child there. */
        if (process->scope && !process->scope_job)
                (void) units_stop_scope(process->units, process->scope, on_scope_stopped, NULL);
        if (process->status) /* its last word may still be in the pipe */
                return;
        if (process->opened)
                process->plan.ended(process->plan.userdata);
}

/* --- start --- */

static void on_scope(const GError *error, void *userdata) {
        LogProcess *process = userdata;

        process->scope_job = NULL;
        if (!process->process)
                return;
        if (!error) {
                process_release(process->process);
                return;
        }
        log_error("a scope for a reader of a log: %s", error->message);
        g_clear_pointer(&process->scope, g_free);
        process_kill(process->process, SIGKILL); /* the pipe of its status closes */
}

static void begin_scope(LogProcess *process, const LogProcessPlan *plan) {
        const PidRef *pid = process_pid(process->process);
        g_autofree char *description = g_strdup_printf("Reader of the Log of Container %.12s", plan->id);

        process->scope = g_strdup_printf("conbus-log-%.16s-%d.scope", plan->id, (int) pid->pid);
        const ScopePlan scope = {.name = process->scope, .description = description, .slice = plan->slice, .mount = "/", .process = pid, .stop_usec = G_USEC_PER_SEC};
        process->scope_job = units_start_scope(process->units, &scope, on_scope, process);
}

static bool run(LogProcess *process, sd_event *event, Reaper *reaper, const Paths *paths, const LogProcessPlan *plan, GError **error) {
        const char *const argv[] = {paths->stream, "log", plan->text, NULL};
        ProcessSpec spec = PROCESS_SPEC_INIT;
        int ends[2];

        if (pipe2(ends, O_CLOEXEC) < 0)
                return error_errno(error, errno, "make a pipe for a reader of a log");
        process->status_fd = ends[0];
        autofd int theirs = ends[1];
        int r = fcntl(process->status_fd, F_SETFL, O_NONBLOCK) < 0 ? -errno : sd_event_add_io(event, &process->status, process->status_fd, EPOLLIN, on_status, process);
        if (r < 0)
                return error_errno(error, -r, "watch a reader of a log");
        const int fds[] = {plan->output_fd, theirs};
        spec.argv = argv;
        spec.fds = fds;
        spec.n_fds = G_N_ELEMENTS(fds);
        spec.errors_fd = STDERR_FILENO;
        spec.hold = true; /* it does not die with the service */
        process->process = process_begin(event, reaper, &spec, on_ended, process, error);
        if (!process->process)
                return false;
        if (process->units)
                begin_scope(process, plan);
        else
                process_release(process->process);
        return true;
}

LogProcess *log_process_start(sd_event *event, Reaper *reaper, const Paths *paths, Units *units, const LogProcessPlan *plan, GError **error) {
        LogProcess *process = g_new0(LogProcess, 1);

        *process = (LogProcess) {.plan = *plan, .units = units, .status_fd = -1, .said = g_string_new(NULL)};
        if (run(process, event, reaper, paths, plan, error))
                return process;
        log_process_free(process);
        return NULL;
}
