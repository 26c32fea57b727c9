/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A conmon for tests, with the contract of the real one as far as conbusd uses it (conmon(8), and what 2.1 was seen to do): start byte, crun create or exec, one packet on the sync pipe, streams, exit files by rename, exit command. It survives whoever started it.
 *
 * Faults beside those of fault.h. At `created`: `packet TEXT` (instead of the answer), `pid NUMBER` (in the answer), `mute` (the sync pipe is closed, conmon lives on). At `ended`: `code TEXT` (what the exit files hold), `no-file` (none is written). */

#include "conmon.h"
#include "fault.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static int descriptor_from(const char *variable) {
        const char *number = g_getenv(variable);
        int fd = number ? atoi(number) : -1;

        if (fd >= 0)
                (void) fcntl(fd, F_SETFD, FD_CLOEXEC);
        return fd;
}

static void G_GNUC_NORETURN G_GNUC_PRINTF(1, 2) give_up(const char *format, ...) {
        va_list arguments;

        va_start(arguments, format);
        vfprintf(stderr, format, arguments);
        va_end(arguments);
        fputc('\n', stderr);
        exit(EXIT_FAILURE);
}

/* The faults that end conmon at any point; another one is left in ret. */
static bool pass(const char *point, Fault *ret) {
        bool struck = fault_at("conmon", point, ret);

        if (struck && fault_is(ret, "silent"))
                exit(EXIT_FAILURE);
        if (struck && fault_is(ret, "fail"))
                give_up("[conmon:e]: %s", ret->argument);
        return struck;
}

static void answer(Conmon *conmon, int data, const char *message) {
        g_autofree char *escaped = message ? g_strescape(message, "`") : NULL;
        g_autofree char *text = escaped ? g_strdup_printf("{\"data\": %d, \"message\": \"%s\"}\n", data, escaped) : g_strdup_printf("{\"data\": %d}\n", data);

        if (conmon->sync_fd >= 0 && send(conmon->sync_fd, text, strlen(text), MSG_NOSIGNAL) < 0)
                give_up("[conmon:e]: Unable to send container stderr message to parent: %s", strerror(errno));
}

/* --- crun create --- */

static void add(GPtrArray *words, const char *first, const char *second) {
        g_ptr_array_add(words, g_strdup(first));
        if (second)
                g_ptr_array_add(words, g_strdup(second));
}

static GPtrArray *create_words(const Conmon *conmon) {
        GPtrArray *words = g_ptr_array_new_with_free_func(g_free);

        add(words, conmon->runtime, NULL);
        for (char **word = conmon->runtime_arguments; word && *word; word++)
                add(words, *word, NULL);
        if (conmon->systemd_cgroup)
                add(words, "--systemd-cgroup", NULL);
        add(words, conmon->executes ? "exec" : "create", NULL);
        for (char **word = conmon->runtime_options; word && *word; word++)
                add(words, *word, NULL);
        add(words, "--pid-file", conmon->pid_file);
        if (conmon->executes) {
                add(words, "--process", conmon->process);
                add(words, "--detach", NULL);
        } else
                add(words, "--bundle", conmon->bundle);
        if (conmon->terminal)
                add(words, "--console-socket", conmon->console_path);
        add(words, conmon->id, NULL);
        g_ptr_array_add(words, NULL);
        return words;
}

static void unblock_signals(void) {
        sigset_t none;

        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, NULL);
}

static int run_create(Conmon *conmon) {
        g_autoptr(GPtrArray) words = create_words(conmon);
        int status = -1;

        streams_open(conmon);
        conmon->create_pid = fork();
        if (conmon->create_pid == 0) {
                unblock_signals();
                streams_enter(conmon);
                execv(conmon->runtime, (char **) words->pdata);
                _exit(127);
        }
        streams_close_other_side(conmon);
        if (conmon->terminal)
                streams_take_terminal(conmon);
        if (waitpid(conmon->create_pid, &status, 0) != conmon->create_pid)
                give_up("wait for %s: %s", conmon->runtime, strerror(errno));
        return status;
}

static void create(Conmon *conmon) {
        g_autofree char *number = NULL;
        int status = run_create(conmon);

        if (status != 0) {
                g_autofree char *said = streams_read_errors(conmon);
                if (*said)
                        answer(conmon, -1, said);
                exit(EXIT_FAILURE);
        }
        if (!g_file_get_contents(conmon->pid_file, &number, NULL, NULL))
                give_up("no pid file %s", conmon->pid_file);
        conmon->main = (pid_t) atoi(number);
}

static void report(Conmon *conmon) {
        Fault fault;

        pass("created", &fault);
        if (fault_is(&fault, "mute")) {
                close(conmon->sync_fd);
                conmon->sync_fd = -1;
        } else if (fault_is(&fault, "packet"))
                (void) send(conmon->sync_fd, fault.argument, strlen(fault.argument), MSG_NOSIGNAL);
        else
                answer(conmon, fault_is(&fault, "pid") ? atoi(fault.argument) : (int) conmon->main, NULL);
        fault_clear(&fault);
        pass("answered", &fault);
        fault_clear(&fault);
}

/* --- the end --- */

static void write_exit_file(const char *directory, const char *name, const char *text) {
        g_autofree char *path = g_build_filename(directory, name, NULL);
        g_autoptr(GError) error = NULL;

        if (!g_file_set_contents(path, text, -1, &error))
                give_up("[conmon:e]: Failed to write %s: %s", path, error->message);
}

static void write_exit_files(Conmon *conmon) {
        int code = WIFSIGNALED(conmon->wait_status) ? 128 + WTERMSIG(conmon->wait_status) : WEXITSTATUS(conmon->wait_status);
        g_autofree char *number = g_strdup_printf("%d", code);
        Fault fault;

        pass("ended", &fault);
        const char *text = fault_is(&fault, "code") ? fault.argument : number;
        if (!fault_is(&fault, "no-file")) {
                if (conmon->persist_directory)
                        write_exit_file(conmon->persist_directory, "exit", text);
                write_exit_file(conmon->exit_directory, conmon->id, text);
        }
        fault_clear(&fault);
        if (conmon->executes)
                answer(conmon, code, NULL);
        pass("exited", &fault);
        fault_clear(&fault);
}

static void run_exit_command(Conmon *conmon) {
        g_autoptr(GPtrArray) words = g_ptr_array_new_with_free_func(g_free);

        if (!conmon->exit_command)
                return;
        add(words, conmon->exit_command, NULL);
        for (char **word = conmon->exit_arguments; word && *word; word++)
                add(words, *word, NULL);
        g_ptr_array_add(words, NULL);
        pid_t pid = fork();
        if (pid == 0) {
                int null = open("/dev/null", O_RDWR);
                unblock_signals();
                for (int i = 0; i < 3; i++)
                        dup2(null, i);
                execv(conmon->exit_command, (char **) words->pdata);
                _exit(127);
        }
        (void) waitpid(pid, NULL, 0);
}

/* --- beginning --- */

static void parse(Conmon *conmon, int argc, char **argv) {
        gboolean ignored = FALSE;
        char *ignored_text = NULL;
        const GOptionEntry entries[] = {
                {"sync", 0, 0, G_OPTION_ARG_NONE, &conmon->sync, NULL, NULL},
                {"no-sync-log", 0, 0, G_OPTION_ARG_NONE, &ignored, NULL, NULL},
                {"api-version", 0, 0, G_OPTION_ARG_NONE, &ignored, NULL, NULL},
                {"full-attach", 0, 0, G_OPTION_ARG_NONE, &ignored, NULL, NULL},
                {"leave-stdin-open", 0, 0, G_OPTION_ARG_NONE, &conmon->leave_stdin_open, NULL, NULL},
                {"systemd-cgroup", 's', 0, G_OPTION_ARG_NONE, &conmon->systemd_cgroup, NULL, NULL},
                {"terminal", 't', 0, G_OPTION_ARG_NONE, &conmon->terminal, NULL, NULL},
                {"stdin", 'i', 0, G_OPTION_ARG_NONE, &conmon->stdin_open, NULL, NULL},
                {"exec", 'e', 0, G_OPTION_ARG_NONE, &conmon->executes, NULL, NULL},
                {"exec-attach", 0, 0, G_OPTION_ARG_NONE, &conmon->attach_first, NULL, NULL},
                {"exec-process-spec", 0, 0, G_OPTION_ARG_STRING, &conmon->process, NULL, NULL},
                {"runtime-opt", 0, 0, G_OPTION_ARG_STRING_ARRAY, &conmon->runtime_options, NULL, NULL},
                {"version", 0, 0, G_OPTION_ARG_NONE, &conmon->version, NULL, NULL},
                {"cid", 'c', 0, G_OPTION_ARG_STRING, &conmon->id, NULL, NULL},
                {"cuuid", 'u', 0, G_OPTION_ARG_STRING, &ignored_text, NULL, NULL},
                {"name", 'n', 0, G_OPTION_ARG_STRING, &ignored_text, NULL, NULL},
                {"log-level", 0, 0, G_OPTION_ARG_STRING, &ignored_text, NULL, NULL},
                {"runtime", 'r', 0, G_OPTION_ARG_STRING, &conmon->runtime, NULL, NULL},
                {"bundle", 'b', 0, G_OPTION_ARG_STRING, &conmon->bundle, NULL, NULL},
                {"container-pidfile", 'p', 0, G_OPTION_ARG_STRING, &conmon->pid_file, NULL, NULL},
                {"exit-dir", 0, 0, G_OPTION_ARG_STRING, &conmon->exit_directory, NULL, NULL},
                {"persist-dir", '0', 0, G_OPTION_ARG_STRING, &conmon->persist_directory, NULL, NULL},
                {"log-path", 'l', 0, G_OPTION_ARG_STRING, &conmon->log, NULL, NULL},
                {"runtime-arg", 0, 0, G_OPTION_ARG_STRING_ARRAY, &conmon->runtime_arguments, NULL, NULL},
                {"exit-command", 0, 0, G_OPTION_ARG_STRING, &conmon->exit_command, NULL, NULL},
                {"exit-command-arg", 0, 0, G_OPTION_ARG_STRING_ARRAY, &conmon->exit_arguments, NULL, NULL},
                {NULL},
        };
        g_autoptr(GOptionContext) context = g_option_context_new(NULL);
        g_autoptr(GError) error = NULL;

        g_option_context_add_main_entries(context, entries, NULL);
        if (!g_option_context_parse(context, &argc, &argv, &error))
                give_up("conmon: %s", error->message);
        if (conmon->version)
                return;
        if (!conmon->sync || !conmon->id || !conmon->runtime || !conmon->bundle || !conmon->pid_file || !conmon->exit_directory || (conmon->executes ? !conmon->process : !conmon->persist_directory) || !conmon->log)
                give_up("conmon: a required option is missing");
        conmon->console_path = g_strdup_printf("%s/console", conmon->bundle);
}

static void await_byte(int fd) {
        char byte;

        while (fd >= 0 && read(fd, &byte, 1) < 0 && errno == EINTR)
                continue; /* an end of file means go, as with the real one */
}

/* Clients can come from here on, and nothing executes before the second byte. */
static void let_attach(int start_fd) {
        static const char packet[] = "{\"data\": 0}\n";
        int fd = descriptor_from("_OCI_ATTACHPIPE");
        Fault fault;

        pass("attach", &fault);
        fault_clear(&fault);
        (void) send(fd, packet, strlen(packet), MSG_NOSIGNAL);
        await_byte(start_fd);
        close(fd);
}

static void take_signals(Conmon *conmon) {
        sigset_t mask;

        sigemptyset(&mask);
        sigaddset(&mask, SIGCHLD);
        sigaddset(&mask, SIGTERM);
        sigprocmask(SIG_BLOCK, &mask, NULL);
        signal(SIGPIPE, SIG_IGN);
        conmon->signal_fd = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
        (void) setsid();
        (void) prctl(PR_SET_CHILD_SUBREAPER, 1);
}

int main(int argc, char *argv[]) {
        Conmon conmon = {.sync_fd = -1, .input_fd = -1, .output_fd = -1, .errors_fd = -1, .listen_fd = -1, .control_fd = -1, .log_fd = -1};
        Fault fault;

        parse(&conmon, argc, argv);
        if (conmon.version)
                return puts("conmon version 0.fake") < 0;
        conmon.sync_fd = descriptor_from("_OCI_SYNCPIPE");
        pass("begin", &fault);
        int start_fd = descriptor_from("_OCI_STARTPIPE");
        await_byte(start_fd);
        take_signals(&conmon);
        streams_prepare(&conmon);
        if (conmon.attach_first)
                let_attach(start_fd);
        close(start_fd);
        pass("create", &fault);
        create(&conmon);
        report(&conmon);
        streams_serve(&conmon);
        write_exit_files(&conmon);
        streams_remove(&conmon);
        run_exit_command(&conmon);
        return EXIT_SUCCESS;
}
