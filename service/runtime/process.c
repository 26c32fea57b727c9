/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Helpers: fork, a child that only makes system calls until exec, output in memfds, the end from the reaper.
 *
 * Most are made by vfork(2): no page tables are copied, and neither side has its pages copied afterwards. The service stands still until the child has executed its program, and the child uses the memory of the service, so it is for those
 * whose way to exec is short (is_quick): they wait for nobody, enter no control group, and do nothing themselves. What run_child writes to is its own frame, above that of the caller, and errno. */

#include "runtime/process.h"
#include "base/clock.h"
#include "base/auto.h"
#include "runtime/priority.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define CAPTURE_LIMIT (64 * 1024)
#define FDS_MAX 40
#define GROUP_ATTEMPTS 8
#define GROUPS_SIZE 32768 /* names of control group files for a held child */
#define DEFAULT_PATH "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

struct Process {
        sd_event *event;
        Reaper *reaper;
        PidRef pid;
        ProcessDone done;
        void (*forget)(void *userdata);
        void *userdata;
        int output_fd, errors_fd, exec_fd, hold_fd;
        gsize limit;
        bool timed_out;
        char *program;
        sd_event_source *timer;
};

static rlim_t children_nofile = RLIM_INFINITY;

void process_set_nofile_limit(guint64 soft) {
        children_nofile = soft;
}

static bool is_quick(const ProcessSpec *spec) {
        return !spec->hold && !spec->call && !spec->spare && !spec->cgroup_file;
}

/* --- in the child: nothing but system calls --- */

static void die(int exec_fd) {
        int number = errno;

        (void) !write(exec_fd, &number, sizeof number);
        _exit(127);
}

static void reset_signals(void) {
        struct sigaction dispositions = {.sa_handler = SIG_DFL};
        sigset_t none;

        for (int i = 1; i < _NSIG; i++)
                (void) sigaction(i, &dispositions, NULL);
        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, NULL);
}

/* Descriptors are first moved out of the way of their places, then into them; the last one or two are closed by exec. */
static int place_fds(const ProcessSpec *spec, int output, int errors, int *exec_fd, int *program_fd) {
        int sources[FDS_MAX + 5], n = 0;

        sources[n++] = spec->stdin_fd;
        sources[n++] = output;
        sources[n++] = errors;
        for (unsigned i = 0; i < spec->n_fds; i++)
                sources[n++] = spec->fds[i];
        int n_kept = n;
        sources[n++] = *exec_fd;
        if (*program_fd >= 0)
                sources[n++] = *program_fd;
        for (int i = 0; i < n; i++) {
                sources[i] = fcntl(sources[i], F_DUPFD_CLOEXEC, 64);
                if (sources[i] < 0)
                        return -1;
        }
        for (int i = 0; i < n; i++)
                if (dup3(sources[i], i, i < n_kept ? 0 : O_CLOEXEC) < 0)
                        return -1;
        *exec_fd = n_kept;
        *program_fd = *program_fd >= 0 ? n_kept + 1 : -1;
        return (int) syscall(SYS_close_range, n, ~0U, 0);
}

static bool enter_group_once(const char *file) {
        int fd = open(file, O_WRONLY | O_CLOEXEC);
        bool entered = fd >= 0 && write(fd, "0", 1) == 1;

        if (fd >= 0)
                close(fd);
        return entered;
}

static bool make_directory(const char *path) {
        return mkdir(path, 0755) == 0 || errno == EEXIST;
}

static bool make_group(const char *file) {
        char directory[PATH_MAX];
        int length = (int) (strrchr(file, '/') - file);

        (void) snprintf(directory, sizeof directory, "%.*s", length, file);
        if (make_directory(directory))
                return true;
        char *end = strrchr(directory, '/');
        if (errno != ENOENT || end == directory)
                return false;
        *end = '\0'; /* that of all containers is not there either */
        bool made = make_directory(directory);
        *end = '/';
        return made && make_directory(directory);
}

/* The first one in makes it, and an empty group may be removed at any time, by the end of who was in it before (ENODEV: between the open and the write). */
static void enter_group(const char *file, int exec_fd) {
        for (int i = 0; i < GROUP_ATTEMPTS && !enter_group_once(file); i++)
                if ((errno != ENOENT && errno != ENODEV) || !make_group(file) || i == GROUP_ATTEMPTS - 1)
                        die(exec_fd);
}

/* What process_release_into has written: file names, each with its NUL, and an empty one. Not up to the end of file: other children that are held have copies of the other end. False when the service is gone. */
static bool read_release(int fd, char groups[GROUPS_SIZE]) {
        for (size_t size = 0; size < GROUPS_SIZE;) {
                ssize_t n = read(fd, groups + size, GROUPS_SIZE - size);
                if (n <= 0)
                        return false;
                size += (size_t) n;
                if (!groups[size - 1] && (size == 1 || !groups[size - 2]))
                        return true;
        }
        return false;
}

static void await_release(int fd, int exec_fd) {
        char groups[GROUPS_SIZE];

        if (!read_release(fd, groups))
                _exit(127);
        for (const char *file = groups; *file; file += strlen(file) + 1)
                enter_group(file, exec_fd);
}

static void G_GNUC_NORETURN run_child(const ProcessSpec *spec, const char *program, const char *const *environment, int output, int errors, int exec_fd, const int hold_pipe[2], pid_t service) {
        int program_fd = spec->program_fd;

        close_fd(hold_pipe[1]);
        (void) setsid();
        /* A service that died before the call sends no signal any more. */
        if (!spec->hold && !spec->survives && (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != service))
                _exit(127);
        reset_signals();
        if (!is_quick(spec))
                priority_restore();
        if (hold_pipe[0] >= 0)
                await_release(hold_pipe[0], exec_fd);
        if (spec->cgroup_file)
                enter_group(spec->cgroup_file, exec_fd);
        if (children_nofile != RLIM_INFINITY) {
                struct rlimit limit;
                if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
                        limit.rlim_cur = MIN(children_nofile, limit.rlim_max);
                        (void) setrlimit(RLIMIT_NOFILE, &limit);
                }
        }
        if (chdir(spec->directory ? spec->directory : "/") < 0 || place_fds(spec, output, errors, &exec_fd, &program_fd) < 0)
                die(exec_fd);
        if (spec->call) {
                errno = spec->call(spec->argv);
                if (errno != 0)
                        die(exec_fd);
                _exit(0);
        }
        if (spec->spare && spec->spare(spec->argv))
                _exit(0);
        if (is_quick(spec))
                priority_restore();
        if (program_fd >= 0)
                (void) execveat(program_fd, "", (char *const *) spec->argv, (char *const *) environment, AT_EMPTY_PATH);
        (void) execve(program, (char *const *) spec->argv, (char *const *) environment);
        die(exec_fd);
        __builtin_unreachable();
}

/* --- in the service --- */

static char *read_back(int fd, gsize limit, gsize *ret_size) {
        struct stat st;
        char *text = NULL;

        *ret_size = 0;
        if (fd < 0 || fstat(fd, &st) < 0)
                return g_strdup("");
        gsize size = MIN((gsize) st.st_size, limit);
        text = g_malloc(size + 1);
        ssize_t n = pread(fd, text, size, 0);
        *ret_size = n > 0 ? (gsize) n : 0;
        text[*ret_size] = '\0';
        return text;
}

static void process_free(Process *process) {
        g_clear_pointer(&process->timer, sd_event_source_disable_unref);
        pidref_clear(&process->pid);
        close_fd(process->output_fd);
        close_fd(process->errors_fd);
        close_fd(process->exec_fd);
        close_fd(process->hold_fd);
        sd_event_unref(process->event);
        g_free(process->program);
        g_free(process);
}

static void on_ended(pid_t pid, int wait_status, void *userdata) {
        Process *process = userdata;
        ProcessResult result = {.status = wait_status, .timed_out = process->timed_out};
        g_autofree char *output = read_back(process->output_fd, process->limit, &result.output_size);
        g_autofree char *errors = read_back(process->errors_fd, process->limit, &result.errors_size);
        int number = 0;

        if (read(process->exec_fd, &number, sizeof number) == (ssize_t) sizeof number) {
                g_free(errors);
                errors = g_strdup_printf("%s: %s", process->program, g_strerror(number));
                result.errors_size = strlen(errors);
        }
        result.output = output;
        result.errors = errors;
        if (process->done)
                process->done(&result, process->userdata);
        process_free(process);
}

static void forget_owner(Process *process) {
        void (*forget)(void *userdata) = process->forget;

        process->done = NULL;
        process->forget = NULL;
        if (forget)
                forget(process->userdata);
}

/* The service leaves before it does. */
static void on_forgotten(void *userdata) {
        forget_owner(userdata);
        process_free(userdata);
}

static int on_timeout(sd_event_source *source, guint64 usec, void *userdata) {
        Process *process = userdata;
        bool again = process->timed_out;

        process->timed_out = true;
        process_kill(process, again ? SIGKILL : SIGTERM);
        g_clear_pointer(&process->timer, sd_event_source_disable_unref);
        if (!again)
                (void) sd_event_add_time(process->event, &process->timer, CLOCK_BOOTTIME, clock_boottime_in(G_USEC_PER_SEC), 1000, on_timeout, process);
        return 0;
}

static int open_memfd(const char *name) {
        return memfd_create(name, MFD_CLOEXEC);
}

static bool prepare(Process *process, const ProcessSpec *spec, int exec_pipe[2], int hold_pipe[2], GError **error) {
        if (spec->output_fd < 0)
                process->output_fd = open_memfd("output");
        if (spec->errors_fd < 0)
                process->errors_fd = open_memfd("errors");
        if ((spec->output_fd < 0 && process->output_fd < 0) || (spec->errors_fd < 0 && process->errors_fd < 0) || pipe2(exec_pipe, O_CLOEXEC | O_NONBLOCK) < 0 ||
            (spec->hold && pipe2(hold_pipe, O_CLOEXEC) < 0))
                return error_errno(error, errno, "prepare to run %s", process->program);
        return true;
}

static bool start(Process *process, const ProcessSpec *spec, GError **error) {
        static const char *const plain[] = {DEFAULT_PATH, "LANG=C.UTF-8", NULL};
        autofd int null = spec->stdin_fd < 0 ? open("/dev/null", O_RDWR | O_CLOEXEC) : -1;
        int exec_pipe[2] = {-1, -1}, hold_pipe[2] = {-1, -1};
        ProcessSpec child = *spec;
        GError *failure = NULL;

        if (!prepare(process, spec, exec_pipe, hold_pipe, error))
                return false;
        if (spec->stdin_fd < 0)
                child.stdin_fd = null;
        pid_t service = getpid(), pid = is_quick(spec) ? vfork() : fork();
        if (pid == 0)
                run_child(&child, process->program, spec->environment ? spec->environment : plain, spec->output_fd >= 0 ? spec->output_fd : process->output_fd,
                          spec->errors_fd >= 0 ? spec->errors_fd : process->errors_fd, exec_pipe[1], hold_pipe, service);
        int number = errno;
        close_fd(exec_pipe[1]);
        close_fd(hold_pipe[0]);
        process->exec_fd = exec_pipe[0];
        process->hold_fd = hold_pipe[1];
        if (pid < 0)
                return error_errno(error, number, "fork for %s", process->program);
        /* The child is not reaped before the loop runs again, so the number is its own. */
        if (!pidref_open(pid, &process->pid, &failure)) {
                process->pid.pid = pid;
                g_clear_error(&failure);
        }
        return true;
}

Process *process_begin(sd_event *event, Reaper *reaper, const ProcessSpec *spec, ProcessDone done, void *userdata, GError **error) {
        g_autofree char *program = spec->call ? g_strdup(spec->argv[0]) : g_find_program_in_path(spec->argv[0]);

        g_assert(spec->n_fds <= FDS_MAX);
        if (!program) {
                error_set(error, CONBUS_ERROR_HELPER_MISSING, "the program %s is not installed", spec->argv[0]);
                return NULL;
        }
        Process *process = g_new0(Process, 1);
        *process = (Process) {.event = sd_event_ref(event), .reaper = reaper, .pid = PIDREF_NULL, .done = done, .forget = spec->forget, .userdata = userdata, .output_fd = -1, .errors_fd = -1, .exec_fd = -1, .hold_fd = -1};
        process->limit = spec->capture_limit ? spec->capture_limit : CAPTURE_LIMIT;
        process->program = g_steal_pointer(&program);
        if (!start(process, spec, error)) {
                process_free(process);
                return NULL;
        }
        reaper_watch_owned(reaper, process->pid.pid, on_ended, on_forgotten, process);
        if (spec->timeout_usec > 0)
                (void) sd_event_add_time(event, &process->timer, CLOCK_BOOTTIME, clock_boottime_in(spec->timeout_usec), 1000, on_timeout, process);
        return process;
}

void process_release(Process *process) {
        process_release_into(process, NULL);
}

void process_release_into(Process *process, const char *const *cgroup_files) {
        g_autoptr(GByteArray) message = g_byte_array_new();

        for (; cgroup_files && *cgroup_files; cgroup_files++)
                g_byte_array_append(message, (const guint8 *) *cgroup_files, (guint) strlen(*cgroup_files) + 1);
        g_byte_array_append(message, (const guint8 *) "", 1);
        if (process->hold_fd >= 0)
                (void) !write(process->hold_fd, message->data, message->len);
        process->hold_fd = close_fd(process->hold_fd);
}

const PidRef *process_pid(const Process *process) {
        return &process->pid;
}

void process_kill(Process *process, int signal) {
        (void) !pidref_signal(&process->pid, signal, NULL, NULL);
}

void process_detach(Process *process) {
        forget_owner(process);
        g_clear_pointer(&process->timer, sd_event_source_disable_unref);
}

void process_abandon(Process *process) {
        process_detach(process);
        process_kill(process, SIGKILL);
}
