/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A crun for tests, with the contract of the real one as far as conbusd and conmon use it (crun(1), and what 1.8 was seen to say): create, start, state, pause, resume, exec, kill, delete. Containers are processes of payload.c; what is known of one is in ROOT/ID/status.
 *
 * Faults beside those of fault.h: `say TEXT` (any verb: on standard output, exit 0, no effect), `pid NUMBER` (create: the pid file names another process). */

#include "fault.h"
#include "group.h"
#include "json.h"
#include "payload.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

typedef struct Crun {
        char *root, *log, *log_format;
        gboolean version, ignored;
        const char *verb;
        char *pid; /* ordered for the pid file */
} Crun;

typedef struct Status {
        pid_t pid;
        gint64 start_time;
        char *bundle, *created;
} Status;

/* --- answers --- */

static int G_GNUC_PRINTF(2, 3) fail(const Crun *crun, const char *format, ...) {
        va_list arguments;
        g_autoptr(GDateTime) now = g_date_time_new_now_utc();
        g_autofree char *time = g_date_time_format(now, "%Y-%m-%dT%H:%M:%S.%fZ");

        va_start(arguments, format);
        g_autofree char *text = g_strdup_vprintf(format, arguments);
        va_end(arguments);
        fprintf(stderr, "%s\n", text);
        FILE *log = crun->log ? fopen(crun->log, "ae") : NULL;
        if (log) {
                g_autofree char *escaped = g_strescape(text, "`");
                fprintf(log, "{\"msg\":\"%s\",\"level\":\"error\",\"time\":\"%s\"}\n", escaped, time);
                fclose(log);
        }
        return 1;
}

/* True: a fault decides how this ends, with the exit status *ret. */
static bool passes(Crun *crun, const char *suffix, int *ret) {
        g_autofree char *point = g_strconcat(crun->verb, suffix, NULL);
        g_auto(Fault) fault = {0};

        *ret = 1;
        if (!fault_at("crun", point, &fault))
                return false;
        if (fault_is(&fault, "pid")) {
                crun->pid = g_steal_pointer(&fault.argument);
                return false;
        }
        if (fault_is(&fault, "fail"))
                fail(crun, "%s", fault.argument);
        else if (fault_is(&fault, "say"))
                *ret = puts(fault.argument) < 0;
        else if (!fault_is(&fault, "silent"))
                fail(crun, "the fault plan says \"%s\" at %s", fault.action, point);
        return true;
}

/* --- what is known of a container --- */

static char *file_of(const Crun *crun, const char *id, const char *name) {
        return g_build_filename(crun->root, id, name, NULL);
}

static gint64 start_time_of(pid_t pid) {
        g_autofree char *path = g_strdup_printf("/proc/%d/stat", (int) pid), *text = NULL;
        const char *p;

        if (!g_file_get_contents(path, &text, NULL, NULL) || !(p = strrchr(text, ')')) || p[2] == 'Z')
                return 0;
        g_auto(GStrv) fields = g_strsplit(p + 2, " ", -1);
        return g_strv_length(fields) > 19 ? g_ascii_strtoll(fields[19], NULL, 10) : 0;
}

static bool write_status(const Crun *crun, const char *id, const char *bundle, pid_t pid, GError **error) {
        g_autofree char *path = file_of(crun, id, "status");
        g_autoptr(GDateTime) now = g_date_time_new_now_utc();
        g_autofree char *created = g_date_time_format(now, "%Y-%m-%dT%H:%M:%S.%fZ");
        g_autofree char *text = g_strdup_printf("{\"pid\":%d,\"process-start-time\":%" G_GINT64_FORMAT ",\"bundle\":\"%s\",\"created\":\"%s\"}", (int) pid, start_time_of(pid), bundle, created);

        return g_file_set_contents(path, text, -1, error);
}

static void status_clear(Status *status) {
        g_free(status->bundle);
        g_free(status->created);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Status, status_clear)

static bool read_status(const Crun *crun, const char *id, Status *ret) {
        g_autofree char *path = file_of(crun, id, "status"), *text = NULL;

        if (!g_file_get_contents(path, &text, NULL, NULL)) {
                fail(crun, "error opening file `%s`: No such file or directory", path);
                return false;
        }
        *ret = (Status) {.pid = (pid_t) json_number(json_member(text, "pid"), 0), .start_time = json_number(json_member(text, "process-start-time"), 0)};
        ret->bundle = json_text(json_member(text, "bundle"), "");
        ret->created = json_text(json_member(text, "created"), "");
        return true;
}

static bool lives(const Status *status) {
        return status->start_time != 0 && start_time_of(status->pid) == status->start_time;
}

static Payload *read_payload(const Crun *crun, const Status *status) {
        g_autoptr(GError) error = NULL;
        Payload *payload = payload_from_bundle(status->bundle, &error);

        if (!payload)
                fail(crun, "%s", error->message);
        return payload;
}

/* --- verbs --- */

typedef struct Options {
        char *bundle, *pid_file, *console_socket, *cgroup, *cwd, *process;
        int n_preserved;
        gboolean force, all, detach, ignored;
} Options;

static int remove_state(const Crun *crun, const char *id) {
        static const char *const names[] = {"exec.fifo", "status", "", NULL};

        for (const char *const *name = names; *name; name++) {
                g_autofree char *path = file_of(crun, id, *name);
                if (remove(path) < 0 && errno != ENOENT)
                        return fail(crun, "remove `%s`: %s", path, strerror(errno));
        }
        return 0;
}

static int write_pid_file(const Crun *crun, const Options *options, pid_t pid) {
        g_autofree char *number = g_strdup_printf("%d", (int) pid);
        g_autoptr(GError) error = NULL;

        if (options->pid_file && !g_file_set_contents(options->pid_file, crun->pid ? crun->pid : number, -1, &error))
                return fail(crun, "%s", error->message);
        return 0;
}

static int take_back(const Crun *crun, const char *id, const Payload *payload, const char *why) {
        fail(crun, "%s", why);
        group_destroy(payload->cgroup);
        (void) remove_state(crun, id);
        return 1;
}

static int create(Crun *crun, const Options *options, char **words) {
        const char *id = words[0];
        g_autofree char *directory = file_of(crun, id, NULL), *fifo = file_of(crun, id, "exec.fifo"), *bundle = g_canonicalize_filename(options->bundle ? options->bundle : ".", NULL);
        g_autoptr(GError) error = NULL;
        g_autoptr(Payload) payload = payload_from_bundle(bundle, &error);

        if (!payload)
                return fail(crun, "%s", error->message);
        if (g_mkdir_with_parents(crun->root, 0700) < 0 || (mkdir(directory, 0700) < 0 && errno != EEXIST))
                return fail(crun, "mkdir `%s`: %s", directory, strerror(errno));
        if (mkfifo(fifo, 0600) < 0)
                return errno == EEXIST ? fail(crun, "container `%s` already exists", id) : fail(crun, "mkfifo `%s`: %s", fifo, strerror(errno));
        payload->fifo = g_strdup(fifo);
        payload->console_socket = g_strdup(options->console_socket);
        pid_t pid = payload_start(payload, &error);
        int status = 1;
        if (pid != 0 && passes(crun, "-half", &status))
                return status;
        if (pid == 0 || !write_status(crun, id, bundle, pid, &error))
                return take_back(crun, id, payload, error->message);
        return write_pid_file(crun, options, pid) == 0 ? 0 : take_back(crun, id, payload, "the pid file was not written");
}

static int start(Crun *crun, const Options *options, char **words) {
        g_autofree char *fifo = file_of(crun, words[0], "exec.fifo");
        g_auto(Status) status = {0};

        if (!read_status(crun, words[0], &status))
                return 1;
        if (!lives(&status))
                return fail(crun, "container `%s` is not running", words[0]);
        int fd = open(fifo, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
        if (fd < 0 || write(fd, "", 1) != 1)
                return fail(crun, "cannot open `%s`: %s", fifo, strerror(errno));
        close(fd);
        return unlink(fifo) == 0 ? 0 : fail(crun, "unlink `%s`: %s", fifo, strerror(errno));
}

static int state(Crun *crun, const Options *options, char **words) {
        g_autofree char *fifo = file_of(crun, words[0], "exec.fifo");
        g_auto(Status) status = {0};
        const char *word;

        if (!read_status(crun, words[0], &status))
                return 1;
        g_autoptr(Payload) payload = read_payload(crun, &status);
        if (!payload)
                return 1;
        if (!lives(&status))
                word = "stopped";
        else if (access(fifo, F_OK) == 0)
                word = "created";
        else
                word = group_is_frozen(payload->cgroup) ? "paused" : "running";
        printf("{\n    \"ociVersion\": \"1.0.0\",\n    \"id\": \"%s\",\n    \"pid\": %d,\n    \"status\": \"%s\",\n    \"bundle\": \"%s\",\n    \"rootfs\": \"%s\",\n    \"created\": \"%s\",\n    \"owner\": \"root\"\n}\n", words[0],
               lives(&status) ? (int) status.pid : 0, word, status.bundle, payload->root, status.created);
        return 0;
}

static int set_frozen(Crun *crun, const char *id, bool freeze) {
        g_auto(Status) status = {0};

        if (!read_status(crun, id, &status))
                return 1;
        g_autoptr(Payload) payload = read_payload(crun, &status);
        if (!payload)
                return 1;
        if (!lives(&status))
                return fail(crun, "the container `%s` is not running: No such process", id);
        return group_freeze(payload->cgroup, freeze) ? 0 : fail(crun, "the freezer of `%s` does not answer: %s", payload->cgroup, strerror(errno));
}

static int pause_verb(Crun *crun, const Options *options, char **words) {
        return set_frozen(crun, words[0], true);
}

static int resume(Crun *crun, const Options *options, char **words) {
        return set_frozen(crun, words[0], false);
}

static int kill_verb(Crun *crun, const Options *options, char **words) {
        g_auto(Status) status = {0};
        int number = words[1] ? atoi(words[1]) : SIGTERM;

        if (!read_status(crun, words[0], &status))
                return 1;
        int pidfd = lives(&status) ? (int) syscall(SYS_pidfd_open, status.pid, 0) : -1;
        if (pidfd < 0 || !lives(&status))
                return fail(crun, "open pidfd: No such process");
        if (syscall(SYS_pidfd_send_signal, pidfd, number, NULL, 0) < 0)
                return fail(crun, "send signal to pidfd: %s", strerror(errno));
        close(pidfd);
        return 0;
}

static int delete_verb(Crun *crun, const Options *options, char **words) {
        g_autofree char *directory = file_of(crun, words[0], NULL), *file = file_of(crun, words[0], "status");
        g_auto(Status) status = {0};

        if (access(file, F_OK) < 0) /* nothing, or what a create left that died half-way */
                return options->force ? remove_state(crun, words[0]) : fail(crun, "cannot open directory '%s': No such file or directory", directory);
        if (!read_status(crun, words[0], &status))
                return 1;
        g_autofree char *fifo = file_of(crun, words[0], "exec.fifo");
        if (lives(&status) && !options->force && access(fifo, F_OK) < 0)
                return fail(crun, "cannot delete `%s`: it is running", words[0]);
        g_autoptr(Payload) payload = read_payload(crun, &status);
        if (lives(&status))
                kill(status.pid, SIGKILL);
        if (payload)
                group_destroy(payload->cgroup);
        return remove_state(crun, words[0]);
}

static int exec(Crun *crun, const Options *options, char **words) {
        g_auto(Status) status = {0};
        g_autoptr(GError) error = NULL;
        int wait_status = 0, ordered = 1;

        if (!read_status(crun, words[0], &status))
                return 1;
        if (!lives(&status))
                return fail(crun, "the container `%s` is not running", words[0]);
        g_autoptr(Payload) payload = read_payload(crun, &status);
        if (!payload)
                return 1;
        if (group_is_frozen(payload->cgroup))
                return fail(crun, "the container `%s` is paused", words[0]);
        if (!options->process) {
                g_strfreev(payload->argv);
                payload->argv = g_strdupv(words + 1);
                g_free(payload->cwd);
                payload->cwd = g_strdup(options->cwd ? options->cwd : "/");
        } else if (!payload_take_process(payload, options->process, &error))
                return fail(crun, "%s", error->message);
        payload->n_preserved = (unsigned) options->n_preserved;
        payload->console_socket = g_strdup(options->console_socket);
        payload->child_cgroup = g_strdup(options->cgroup ? options->cgroup : "");
        payload->join = payload->own_pids ? status.pid : 0;
        payload->own_pids = false;
        pid_t pid = payload_start(payload, &error);
        if (pid == 0) {
                fail(crun, "%s", error->message);
                return 255;
        }
        if (passes(crun, "-half", &ordered))
                return ordered;
        if (options->detach)
                return write_pid_file(crun, options, pid);
        if (waitpid(pid, &wait_status, 0) != pid)
                return fail(crun, "wait: %s", strerror(errno));
        return WIFSIGNALED(wait_status) ? 128 + WTERMSIG(wait_status) : WEXITSTATUS(wait_status);
}

static const struct Verb {
        const char *name;
        int (*run)(Crun *crun, const Options *options, char **words);
} verbs[] = {{"create", create}, {"start", start}, {"state", state}, {"pause", pause_verb}, {"resume", resume}, {"kill", kill_verb}, {"delete", delete_verb}, {"exec", exec}};

/* --- the command line: global options, verb, its options, words --- */

static bool parse(const GOptionEntry *entries, int *argc, char ***argv) {
        g_autoptr(GOptionContext) context = g_option_context_new(NULL);
        g_autoptr(GError) error = NULL;

        g_option_context_set_strict_posix(context, TRUE);
        g_option_context_add_main_entries(context, entries, NULL);
        if (g_option_context_parse(context, argc, argv, &error))
                return true;
        fprintf(stderr, "%s\n", error->message);
        return false;
}

static int run_verb(Crun *crun, int argc, char **argv) {
        Options options = {0};
        const GOptionEntry entries[] = {
                {"bundle", 'b', 0, G_OPTION_ARG_STRING, &options.bundle, NULL, NULL},
                {"pid-file", 0, 0, G_OPTION_ARG_STRING, &options.pid_file, NULL, NULL},
                {"console-socket", 0, 0, G_OPTION_ARG_STRING, &options.console_socket, NULL, NULL},
                {"cgroup", 0, 0, G_OPTION_ARG_STRING, &options.cgroup, NULL, NULL},
                {"cwd", 0, 0, G_OPTION_ARG_STRING, &options.cwd, NULL, NULL},
                {"process", 0, 0, G_OPTION_ARG_STRING, &options.process, NULL, NULL},
                {"preserve-fds", 0, 0, G_OPTION_ARG_INT, &options.n_preserved, NULL, NULL},
                {"detach", 0, 0, G_OPTION_ARG_NONE, &options.detach, NULL, NULL},
                {"force", 'f', 0, G_OPTION_ARG_NONE, &options.force, NULL, NULL},
                {"all", 'a', 0, G_OPTION_ARG_NONE, &options.all, NULL, NULL},
                {"no-pivot", 0, 0, G_OPTION_ARG_NONE, &options.ignored, NULL, NULL},
                {"no-new-keyring", 0, 0, G_OPTION_ARG_NONE, &options.ignored, NULL, NULL},
                {NULL},
        };
        int status = 1;

        if (!parse(entries, &argc, &argv))
                return 1;
        for (size_t i = 0; i < G_N_ELEMENTS(verbs); i++) {
                if (!g_str_equal(verbs[i].name, crun->verb))
                        continue;
                if (argc < 2)
                        return fail(crun, "%s: the id is missing", crun->verb);
                if (passes(crun, "", &status))
                        return status;
                int result = verbs[i].run(crun, &options, argv + 1);
                return result == 0 && passes(crun, "-done", &status) ? status : result;
        }
        return fail(crun, "unknown command %s", crun->verb);
}

int main(int argc, char *argv[]) {
        Crun crun = {0};
        const GOptionEntry entries[] = {
                {"root", 0, 0, G_OPTION_ARG_STRING, &crun.root, NULL, NULL},
                {"log", 0, 0, G_OPTION_ARG_STRING, &crun.log, NULL, NULL},
                {"log-format", 0, 0, G_OPTION_ARG_STRING, &crun.log_format, NULL, NULL},
                {"systemd-cgroup", 0, 0, G_OPTION_ARG_NONE, &crun.ignored, NULL, NULL},
                {"version", 'v', 0, G_OPTION_ARG_NONE, &crun.version, NULL, NULL},
                {NULL},
        };

        if (!parse(entries, &argc, &argv))
                return 1;
        if (crun.version)
                return puts("crun version 0.fake\nspec: 1.0.0") < 0;
        if (argc < 2)
                return fail(&crun, "please specify a command");
        if (!crun.root)
                crun.root = g_strdup("/run/crun");
        crun.verb = argv[1];
        return run_verb(&crun, argc - 1, argv + 1);
}
