/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The child goes on once its parent has put it into its control group, and ends with one that died before. It tells its parent what went wrong through a pipe, in crun's words; an empty message is readiness. */

#include "payload.h"
#include "group.h"
#include "json.h"
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

/* --- config.json --- */

/* Newly allocated. path as in error messages of crun. */
static char *read_document(const char *path, GError **error) {
        g_autofree char *text = NULL;

        if (!g_file_get_contents(path, &text, NULL, error))
                return NULL;
        if (!json_is_object(text)) {
                g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_FAILED, "cannot parse the file `%s`", path);
                return NULL;
        }
        return g_steal_pointer(&text);
}

static bool asks_for_pids(const char *linux_part) {
        const char *array = json_member(linux_part, "namespaces"), *namespace;

        for (unsigned i = 0; (namespace = json_element(array, i)); i++) {
                g_autofree char *type = json_text(json_member(namespace, "type"), "");
                if (g_str_equal(type, "pid"))
                        return !json_member(namespace, "path");
        }
        return false;
}

static void take_process(Payload *payload, const char *process) {
        const char *user = json_member(process, "user");

        g_strfreev(payload->argv);
        g_strfreev(payload->environment);
        g_free(payload->cwd);
        payload->argv = json_words(json_member(process, "args"));
        payload->environment = json_words(json_member(process, "env"));
        payload->cwd = json_text(json_member(process, "cwd"), "/");
        payload->uid = (uid_t) json_number(json_member(user, "uid"), 0);
        payload->gid = (gid_t) json_number(json_member(user, "gid"), 0);
}

bool payload_take_process(Payload *payload, const char *path, GError **error) {
        g_autofree char *text = read_document(path, error);

        if (!text)
                return false;
        take_process(payload, strchr(text, '{'));
        return true;
}

Payload *payload_from_bundle(const char *bundle, GError **error) {
        g_autofree char *path = g_build_filename(bundle, "config.json", NULL), *text = read_document(path, error);

        if (!text)
                return NULL;
        const char *document = strchr(text, '{'), *linux_part = json_member(document, "linux");
        Payload *payload = g_new0(Payload, 1);
        g_autofree char *directory = json_text(json_member(json_member(document, "root"), "path"), "rootfs");

        take_process(payload, json_member(document, "process"));
        payload->root = g_canonicalize_filename(directory, bundle);
        payload->cgroup = json_text(json_member(linux_part, "cgroupsPath"), "");
        payload->own_pids = asks_for_pids(linux_part);
        return payload;
}

void payload_free(Payload *payload) {
        if (!payload)
                return;
        g_strfreev(payload->argv);
        g_strfreev(payload->environment);
        g_free(payload->cwd);
        g_free(payload->root);
        g_free(payload->cgroup);
        g_free(payload->child_cgroup);
        g_free(payload->fifo);
        g_free(payload->console_socket);
        g_free(payload);
}

/* --- in the child --- */

static void G_GNUC_NORETURN G_GNUC_PRINTF(2, 3) give_up(int report, const char *format, ...) {
        char text[512];
        va_list arguments;

        va_start(arguments, format);
        int n = vsnprintf(text, sizeof text, format, arguments);
        va_end(arguments);
        _exit(write(report, text, (size_t) MIN(n, (int) sizeof text)) > 0 ? 255 : 254);
}

static void reset_signals(void) {
        sigset_t none;

        for (int i = 1; i < _NSIG; i++)
                (void) signal(i, SIG_DFL);
        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, NULL);
}

static void await_go(const int go[2]) {
        char byte;

        close(go[1]);
        if (read(go[0], &byte, 1) != 1)
                _exit(254);
        close(go[0]);
}

/* The other side goes to conmon, with SCM_RIGHTS over a stream socket as runc began it. */
static void open_terminal(const char *socket_path, int report) {
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        union {
                struct cmsghdr header;
                char bytes[CMSG_SPACE(sizeof(int))];
        } control = {0};
        int other = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC), own, connection = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        struct iovec name = {.iov_base = (void *) "/dev/ptmx", .iov_len = strlen("/dev/ptmx")};
        struct msghdr message = {.msg_iov = &name, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
        struct cmsghdr *header = CMSG_FIRSTHDR(&message);

        g_strlcpy(address.sun_path, socket_path, sizeof address.sun_path);
        *header = (struct cmsghdr) {.cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof other)};
        memcpy(CMSG_DATA(header), &other, sizeof other);
        if (other < 0 || grantpt(other) < 0 || unlockpt(other) < 0 || (own = open(ptsname(other), O_RDWR)) < 0 || ioctl(own, TIOCSCTTY, 0) < 0 ||
            connect(connection, (struct sockaddr *) &address, sizeof address) < 0 || sendmsg(connection, &message, MSG_NOSIGNAL) < 0)
                give_up(report, "open a terminal for `%s`: %s", socket_path, strerror(errno));
        for (int i = 0; i < 3; i++)
                dup2(own, i);
        close(own);
}

/* As execvp(3) finds it, but the words of failure are crun's. */
static char *find_program(const Payload *payload, int report) {
        const char *name = payload->argv[0], *path = g_environ_getenv(payload->environment, "PATH");
        bool named = strchr(name, '/') != NULL;
        g_auto(GStrv) directories = g_strsplit(named ? payload->cwd : path ? path : "/bin:/usr/bin", named ? "\n" : ":", -1);
        bool forbidden = false;
        struct stat st;

        for (char **directory = directories; *directory; directory++) {
                g_autofree char *candidate = g_path_is_absolute(name) ? g_strdup(name) : g_build_filename(*directory, name, NULL);
                if (stat(candidate, &st) < 0)
                        continue;
                if (S_ISREG(st.st_mode) && access(candidate, X_OK) == 0)
                        return g_steal_pointer(&candidate);
                forbidden = true;
        }
        if (forbidden)
                give_up(report, "open executable: Permission denied");
        give_up(report, "executable file `%s` not found in $PATH: No such file or directory", name);
}

static void wait_for_start(int fifo) {
        struct pollfd pollfd = {.fd = fifo, .events = POLLIN};
        char byte;

        do
                (void) poll(&pollfd, 1, -1);
        while (read(fifo, &byte, 1) != 1);
}

static void G_GNUC_NORETURN run_child(const Payload *payload, int report, const int go[2]) {
        int fifo = payload->fifo ? open(payload->fifo, O_RDONLY | O_NONBLOCK | O_CLOEXEC) : -1;

        reset_signals();
        setsid();
        if (payload->fifo && fifo < 0)
                give_up(report, "open `%s`: %s", payload->fifo, strerror(errno));
        await_go(go);
        if (payload->console_socket)
                open_terminal(payload->console_socket, report);
        if (chdir(payload->root) < 0 || chroot(".") < 0)
                give_up(report, "chroot to `%s`: %s", payload->root, strerror(errno));
        if (chdir(payload->cwd) < 0)
                give_up(report, "chdir `%s`: %s", payload->cwd, strerror(errno));
        if (payload->uid != 0 && (setgroups(0, NULL) < 0 || setresgid(payload->gid, payload->gid, payload->gid) < 0 || setresuid(payload->uid, payload->uid, payload->uid) < 0))
                give_up(report, "set the user: %s", strerror(errno));
        char *program = find_program(payload, report);
        syscall(SYS_close_range, 3 + payload->n_preserved, ~0U, 4 /* CLOSE_RANGE_CLOEXEC */);
        if (payload->fifo) {
                close(report);
                wait_for_start(fifo);
        }
        execve(program, payload->argv, payload->environment);
        if (!payload->fifo)
                give_up(report, "exec `%s`: %s", program, strerror(errno));
        fprintf(stderr, "exec `%s`: %s\n", program, strerror(errno));
        _exit(1);
}

/* --- in crun --- */

static pid_t fork_into(const Payload *payload) {
        if (payload->own_pids)
                return (pid_t) syscall(SYS_clone, CLONE_NEWPID | SIGCHLD, NULL, NULL, NULL, NULL);
        if (payload->join > 0) {
                int pidfd = (int) syscall(SYS_pidfd_open, payload->join, 0);
                if (pidfd < 0 || setns(pidfd, CLONE_NEWPID) < 0)
                        return -1;
                close(pidfd);
        }
        return fork();
}

static bool join_groups(const Payload *payload, pid_t pid) {
        if (!payload->child_cgroup)
                return !*payload->cgroup || group_join(payload->cgroup, pid);
        g_autofree char *child = g_build_filename(payload->cgroup, payload->child_cgroup, NULL);
        group_join_existing(child, pid);
        return true;
}

static pid_t end_child(pid_t pid, GError **error, const char *why) {
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
        g_set_error_literal(error, G_FILE_ERROR, G_FILE_ERROR_FAILED, why);
        return 0;
}

pid_t payload_start(const Payload *payload, GError **error) {
        int report[2], go[2];
        char text[512];
        size_t size = 0;
        ssize_t n;

        if (!payload->argv[0]) {
                g_set_error_literal(error, G_FILE_ERROR, G_FILE_ERROR_FAILED, "process.args is empty");
                return 0;
        }
        pid_t pid = pipe2(report, O_CLOEXEC) < 0 || pipe2(go, O_CLOEXEC) < 0 ? -1 : fork_into(payload);
        if (pid == 0)
                run_child(payload, report[1], go);
        if (pid < 0) {
                g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_FAILED, "clone: %s", g_strerror(errno));
                return 0;
        }
        close(report[1]);
        close(go[0]);
        if (!join_groups(payload, pid)) {
                g_autofree char *why = g_strdup_printf("writing file `/sys/fs/cgroup%s/cgroup.procs`: %s", payload->cgroup, g_strerror(errno));
                return end_child(pid, error, why);
        }
        (void) signal(SIGPIPE, SIG_IGN);
        (void) !write(go[1], "", 1); /* one that was killed meanwhile has gone as any other */
        close(go[1]);
        while (size < sizeof text && (n = read(report[0], text + size, sizeof text - size)) > 0)
                size += (size_t) n;
        close(report[0]);
        if (size == 0)
                return pid;
        waitpid(pid, NULL, 0);
        g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_FAILED, "%.*s", (int) size, text);
        return 0;
}
