/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* crun exec as a child of ours, in a control group of its own below the container's, which is killed as a whole at the end and at the timeout. Output comes through pipes, so that one that never stops costs no memory: what is beyond the limit is read and dropped, after everything else has had its turn. */

#include "operation/capture.h"
#include "operation/internal.h"
#include "operation/quota.h"
#include "operation/sessions.h"
#include "base/auto.h"
#include "base/clock.h"
#include "base/log.h"
#include "runtime/cgroup.h"
#include "runtime/dying.h"
#include "runtime/output-pipe.h"
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define PREFIX "conbus-capture-"
#define PATIENCE_USEC (5 * G_USEC_PER_SEC)

struct Capture {
        Engine *engine;
        Container *container; /* reference */
        Actor *actor;
        Process *process;
        sd_event_source *timer;
        OutputPipe *streams[2]; /* output and errors */
        Dying *dying; /* of the group */
        char *directory, *group, *name;
        gsize bytes_max;
        guint64 timeout_usec;
        bool timed_out;
        int exit_code, exit_signal;
        GError *error; /* instead of them */
        CaptureDone done;
        void *userdata;
};

static void remove_files(const char *directory) {
        static const char *const names[] = {"process.json", "crun.log", "", NULL};

        for (const char *const *name = names; *name; name++) {
                g_autofree char *path = g_build_filename(directory, *name, NULL);
                (void) remove(path);
        }
}

static void capture_free(Capture *capture) {
        g_clear_pointer(&capture->timer, sd_event_source_disable_unref);
        dying_free(capture->dying);
        g_clear_error(&capture->error);
        for (unsigned i = 0; i < G_N_ELEMENTS(capture->streams); i++)
                output_pipe_free(capture->streams[i]);
        remove_files(capture->directory);
        g_queue_remove(&capture->engine->captures, capture);
        quota_give(capture->engine, capture->actor);
        actor_unref(capture->actor);
        container_unref(capture->container);
        g_free(capture->directory);
        g_free(capture->group);
        g_free(capture->name);
        g_free(capture);
}

static void record(Capture *capture, const char *action, GVariant *details) {
        g_autoptr(GVariant) sunk = details ? g_variant_ref_sink(details) : NULL;
        g_autoptr(GError) error = NULL;

        if (capture->container->removed || capture->container->life.state == STATE_REMOVING)
                return;
        g_autoptr(Commit) commit = commit_new(capture->container, capture->actor);
        commit_event(commit, action, sunk);
        if (!commit_apply(commit, &error))
                log_warning("%s", error->message); /* what was asked for is done nevertheless */
}

/* --- the end --- */

static void kill_group(Capture *capture) {
        g_autoptr(GError) error = NULL;
        unsigned n = 0;

        if (*capture->group && !cgroup_signal(capture->group, SIGKILL, &n, &error))
                log_warning("end what was executed in %s: %s", container_title(capture->container), error->message);
}

/* What crun is just about to put into the group is its child still. */
static void kill_all(Capture *capture) {
        pid_kill_children(process_pid(capture->process)->pid);
        kill_group(capture);
        process_kill(capture->process, SIGKILL);
}

static GError *failure_of(Capture *capture, const ProcessResult *result) {
        g_autofree char *log = g_build_filename(capture->directory, "crun.log", NULL), *said = crun_last_log_message(log), *subject = g_strdup_printf("execute in %s", container_title(capture->container));
        GError *error = NULL;

        if (capture->timed_out)
                error_set(&error, CONBUS_ERROR_TIMEOUT, "%s: it did not end in %g s and was killed", subject, (double) capture->timeout_usec / G_USEC_PER_SEC);
        else if (said || *result->errors) /* they are of a crun that could not be executed; its own go elsewhere */
                crun_set_error(&error, subject, said ? said : result->errors);
        else if (!WIFEXITED(result->status))
                error_set(&error, CONBUS_ERROR_RUNTIME_FAILED, "%s: crun was killed", subject);
        return error;
}

static void finish(Capture *capture) {
        const GError *error = capture->error;

        for (unsigned i = 0; i < G_N_ELEMENTS(capture->streams); i++)
                output_pipe_drain(capture->streams[i]);
        if (*capture->group)
                cgroup_remove(capture->group);
        record(capture, "exec-died", g_variant_new_parsed("{'exit-code': <%i>, 'signal': <%i>}", error ? crun_exit_code_of(error) : capture->exit_code, capture->exit_signal));
        const CaptureResult answer = {.exit_code = capture->exit_code,
                                      .exit_signal = capture->exit_signal,
                                      .output = output_pipe_bytes(capture->streams[0]),
                                      .errors = output_pipe_bytes(capture->streams[1]),
                                      .truncated = output_pipe_is_truncated(capture->streams[0]) || output_pipe_is_truncated(capture->streams[1])};
        if (capture->done)
                capture->done(error ? NULL : &answer, error, capture->userdata);
        capture_free(capture);
}

static void on_dead(unsigned n_left, void *userdata) {
        Capture *capture = userdata;

        if (n_left > 0)
                log_warning("%s: %u processes of what was executed do not die of SIGKILL", container_title(capture->container), n_left);
        finish(capture);
}

/* A group can be removed, and nothing can write any more, once its processes have ended; in one that is frozen they do not. */
static void end_group(Capture *capture) {
        kill_group(capture);
        g_clear_pointer(&capture->timer, sd_event_source_disable_unref);
        if (*capture->group)
                dying_add(capture->dying, capture->group);
        if (!dying_await(capture->dying, PATIENCE_USEC))
                finish(capture);
}

static void on_process_ended(const ProcessResult *result, void *userdata) {
        Capture *capture = userdata;
        Life outcome = {.exit_code = -1};

        capture->process = NULL;
        capture->error = failure_of(capture, result);
        lifecycle_set_outcome(&outcome, false, 0, !capture->error, WEXITSTATUS(result->status), 0);
        capture->exit_code = outcome.exit_code;
        capture->exit_signal = outcome.exit_signal;
        end_group(capture);
}

static int on_timeout(sd_event_source *source, guint64 usec, void *userdata) {
        Capture *capture = userdata;

        g_clear_pointer(&capture->timer, sd_event_source_disable_unref);
        capture->timed_out = true;
        kill_all(capture);
        return 0;
}

void capture_abandon(Capture *capture) {
        capture->done = NULL;
        if (capture->process) /* else it has ended, and its group is about to */
                kill_all(capture);
}

void captures_free(Engine *engine) {
        Capture *capture;

        while ((capture = g_queue_peek_head(&engine->captures))) {
                if (capture->process) {
                        kill_all(capture);
                        process_detach(capture->process);
                }
                capture_free(capture);
        }
}

/* --- after a crash --- */

static void on_stray_dead(unsigned n_left, void *userdata) {
        Capture *stray = userdata;

        if (n_left > 0)
                log_warning("%s: %u processes of what was executed do not die of SIGKILL", container_title(stray->container), n_left);
        cgroup_remove(stray->group);
        capture_free(stray);
}

/* crun has gone with the service that had begun it, the command has not. */
static void end_stray(Engine *engine, Container *container, const char *name) {
        Capture *stray = g_new0(Capture, 1);

        *stray = (Capture) {.engine = engine, .container = container_ref(container), .dying = dying_new(engine->event, on_stray_dead, stray), .group = g_build_filename(container->life.cgroup, name, NULL)};
        stray->directory = g_build_filename(engine->paths->run, "exec", name, NULL);
        g_queue_push_tail(&engine->captures, stray);
        dying_add(stray->dying, stray->group);
        kill_group(stray);
        if (!dying_await(stray->dying, PATIENCE_USEC))
                on_stray_dead(0, stray);
}

void captures_adopt(Engine *engine) {
        g_autofree char *path = g_build_filename(engine->paths->run, "exec", NULL);
        g_autoptr(GDir) directory = g_dir_open(path, 0, NULL);
        g_autoptr(GPtrArray) containers = registry_list(engine->registry);

        for (const char *name = directory ? g_dir_read_name(directory) : NULL; name; name = g_dir_read_name(directory)) {
                g_autofree char *stray = g_build_filename(path, name, NULL);
                if (!g_str_has_prefix(name, PREFIX))
                        continue;
                for (guint i = 0; i < containers->len; i++)
                        if (*((Container *) containers->pdata[i])->life.cgroup)
                                end_stray(engine, containers->pdata[i], name);
                remove_files(stray);
        }
}

/* --- beginning --- */

static bool write_process(Capture *capture, GVariant *request, const char *path, GError **error) {
        static const guint16 no_size[2] = {0, 0};

        if (g_mkdir_with_parents(capture->directory, 0700) < 0)
                return error_errno(error, errno, "make the directory %s", capture->directory);
        return sessions_write_process(capture->engine, capture->container, request, no_size, path, error);
}

/* A file that cannot be changed any more, since it is the payload's from then on; opened to be read. */
static bool make_input(GVariant *input, int *ret_fd, GError **error) {
        autofd int fd = memfd_create("input", MFD_CLOEXEC | MFD_ALLOW_SEALING);
        g_autofree char *path = g_strdup_printf("/proc/self/fd/%d", fd);
        gsize size = g_variant_get_size(input);

        if (fd < 0 || write(fd, g_variant_get_data(input), size) != (gssize) size || fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) < 0)
                return error_errno(error, errno, "keep the input of a command");
        *ret_fd = open(path, O_RDONLY | O_CLOEXEC);
        return *ret_fd >= 0 || error_errno(error, errno, "open the input of a command");
}

static bool run(Capture *capture, const CapturePlan *plan, const char *process, GError **error) {
        Engine *engine = capture->engine;
        g_autofree char *root = g_build_filename(engine->paths->run, "crun", NULL), *log = g_build_filename(capture->directory, "crun.log", NULL);
        const char *const argv[] = {engine->paths->crun, "--root", root, "--log", log, "--log-format=json", "exec", "--cgroup", capture->name, "--process", process, capture->container->id, NULL};
        autofd int input = -1, output = -1, errors = -1;
        ProcessSpec spec = PROCESS_SPEC_INIT;

        if (plan->input && !make_input(plan->input, &input, error))
                return false;
        if (!(capture->streams[0] = output_pipe_new(engine->event, capture->bytes_max, &output, error)) || !(capture->streams[1] = output_pipe_new(engine->event, capture->bytes_max, &errors, error)))
                return false;
        spec.argv = argv;
        spec.stdin_fd = input;
        spec.output_fd = output;
        spec.errors_fd = errors;
        capture->process = process_begin(engine->event, engine->reaper, &spec, on_process_ended, capture, error);
        return capture->process != NULL;
}

static bool begin(Capture *capture, const CapturePlan *plan, GError **error) {
        const char *cgroup = capture->container->life.cgroup;
        g_autofree char *process = g_build_filename(capture->directory, "process.json", NULL);

        if (!write_process(capture, plan->request, process, error) || (*cgroup && !cgroup_make_child(cgroup, capture->name, error)) || !run(capture, plan, process, error))
                return false;
        int r = sd_event_add_time(capture->engine->event, &capture->timer, CLOCK_BOOTTIME, clock_boottime_in(capture->timeout_usec), 1000, on_timeout, capture);
        g_assert(r >= 0);
        record(capture, "exec", NULL);
        return true;
}

Capture *capture_begin(Engine *engine, Container *container, const CapturePlan *plan, Actor *actor, CaptureDone done, void *userdata, GError **error) {
        static unsigned last;

        if (!sessions_check_state(container, "execute in", error) || !operation_check_quota(engine, actor, "ExecCapture", error))
                return NULL;
        Capture *capture = g_new0(Capture, 1);
        *capture = (Capture) {.engine = engine, .container = container_ref(container), .actor = actor_ref(actor), .bytes_max = plan->bytes_max, .timeout_usec = plan->timeout_usec, .dying = dying_new(engine->event, on_dead, capture), .done = done, .userdata = userdata};
        quota_take(engine, actor);
        g_queue_push_tail(&engine->captures, capture);
        capture->name = g_strdup_printf(PREFIX "%d-%u", (int) getpid(), ++last); /* not one that a former service has left behind */
        capture->directory = g_build_filename(engine->paths->run, "exec", capture->name, NULL);
        capture->group = *container->life.cgroup ? g_build_filename(container->life.cgroup, capture->name, NULL) : g_strdup("");
        if (begin(capture, plan, error))
                return capture;
        if (*capture->group)
                cgroup_remove(capture->group);
        capture_free(capture);
        return NULL;
}
