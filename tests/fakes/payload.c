/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The child tells its parent what went wrong through a pipe, in crun's words; an empty message is readiness. */

#include "payload.h"
#include "group.h"
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <json-glib/json-glib.h>
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

static JsonObject *member(JsonObject *object, const char *name) {
        JsonNode *node = object ? json_object_get_member(object, name) : NULL;

        return node && JSON_NODE_HOLDS_OBJECT(node) ? json_node_get_object(node) : NULL;
}

static char *text_of(JsonObject *object, const char *name, const char *absent) {
        return g_strdup(object ? json_object_get_string_member_with_default(object, name, absent) : absent);
}

static char **words_of(JsonObject *object, const char *name) {
        g_autoptr(GPtrArray) words = g_ptr_array_new();
        JsonArray *array = object && json_object_has_member(object, name) ? json_object_get_array_member(object, name) : NULL;

        for (guint i = 0; array && i < json_array_get_length(array); i++)
                g_ptr_array_add(words, g_strdup(json_array_get_string_element(array, i)));
        g_ptr_array_add(words, NULL);
        return (char **) g_ptr_array_steal(words, NULL);
}

static bool asks_for_pids(JsonObject *linux_part) {
        JsonArray *array = linux_part && json_object_has_member(linux_part, "namespaces") ? json_object_get_array_member(linux_part, "namespaces") : NULL;

        for (guint i = 0; array && i < json_array_get_length(array); i++) {
                JsonObject *namespace = json_array_get_object_element(array, i);
                if (g_str_equal(json_object_get_string_member_with_default(namespace, "type", ""), "pid"))
                        return !json_object_has_member(namespace, "path");
        }
        return false;
}

static void take_process(Payload *payload, JsonObject *process) {
        JsonObject *user = member(process, "user");

        g_strfreev(payload->argv);
        g_strfreev(payload->environment);
        g_free(payload->cwd);
        payload->argv = words_of(process, "args");
        payload->environment = words_of(process, "env");
        payload->cwd = text_of(process, "cwd", "/");
        payload->uid = user ? (uid_t) json_object_get_int_member_with_default(user, "uid", 0) : 0;
        payload->gid = user ? (gid_t) json_object_get_int_member_with_default(user, "gid", 0) : 0;
}

bool payload_take_process(Payload *payload, const char *path, GError **error) {
        g_autoptr(JsonParser) parser = json_parser_new();

        if (!json_parser_load_from_file(parser, path, error))
                return false;
        take_process(payload, json_node_get_object(json_parser_get_root(parser)));
        return true;
}

Payload *payload_from_bundle(const char *bundle, GError **error) {
        g_autofree char *path = g_build_filename(bundle, "config.json", NULL);
        g_autoptr(JsonParser) parser = json_parser_new();

        if (!json_parser_load_from_file(parser, path, error))
                return NULL;
        JsonObject *root = json_node_get_object(json_parser_get_root(parser));
        Payload *payload = g_new0(Payload, 1);
        g_autofree char *directory = text_of(member(root, "root"), "path", "rootfs");

        take_process(payload, member(root, "process"));
        payload->root = g_canonicalize_filename(directory, bundle);
        payload->cgroup = text_of(member(root, "linux"), "cgroupsPath", "");
        payload->own_pids = asks_for_pids(member(root, "linux"));
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

static void join_groups(const Payload *payload, int report) {
        if (payload->child_cgroup) {
                g_autofree char *child = g_build_filename(payload->cgroup, payload->child_cgroup, NULL);
                group_join_existing(child);
        } else if (*payload->cgroup && !group_join(payload->cgroup))
                give_up(report, "writing file `/sys/fs/cgroup%s/cgroup.procs`: %s", payload->cgroup, strerror(errno));
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

static void G_GNUC_NORETURN run_child(const Payload *payload, int report) {
        int fifo = payload->fifo ? open(payload->fifo, O_RDONLY | O_NONBLOCK | O_CLOEXEC) : -1;

        reset_signals();
        setsid();
        if (payload->fifo && fifo < 0)
                give_up(report, "open `%s`: %s", payload->fifo, strerror(errno));
        join_groups(payload, report);
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

pid_t payload_start(const Payload *payload, GError **error) {
        int report[2];
        char text[512];
        size_t size = 0;
        ssize_t n;

        if (!payload->argv[0]) {
                g_set_error_literal(error, G_FILE_ERROR, G_FILE_ERROR_FAILED, "process.args is empty");
                return 0;
        }
        pid_t pid = pipe2(report, O_CLOEXEC) < 0 ? -1 : fork_into(payload);
        if (pid == 0)
                run_child(payload, report[1]);
        if (pid < 0) {
                g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_FAILED, "clone: %s", g_strerror(errno));
                return 0;
        }
        close(report[1]);
        while (size < sizeof text && (n = read(report[0], text + size, sizeof text - size)) > 0)
                size += (size_t) n;
        close(report[0]);
        if (size == 0)
                return pid;
        waitpid(pid, NULL, 0);
        g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_FAILED, "%.*s", (int) size, text);
        return 0;
}
