/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Readiness (key `notify`). `started`: ready once crun start has succeeded. `ready`: a datagram socket of sd_notify(3) in a directory of the run goes into the container; READY=1 and STATUS= are relayed, from any process of
 * the container's cgroup (SCM_CREDENTIALS). `healthy`: by the health check. A container that is not ready within start-timeout-usec is killed, and its run ends with result `timeout`. */

#include "operation/internal.h"
#include "base/clock.h"
#include "base/log.h"
#include "runtime/cgroup.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define MESSAGE_MAX 4096 /* sd_notify(3) messages are small; a longer one is ignored */
#define STATUS_MAX 256

struct Readiness {
        Engine *engine;
        Container *container; /* owns this */
        int fd;
        sd_event_source *source, *timer;
};

static struct Readiness *readiness_of(Engine *engine, Container *container) {
        if (!container->readiness) {
                container->readiness = g_new0(struct Readiness, 1);
                container->readiness->engine = engine;
                container->readiness->container = container;
                container->readiness->fd = -1;
        }
        return container->readiness;
}

void readiness_close(Container *container) {
        struct Readiness *readiness = g_steal_pointer(&container->readiness);

        if (!readiness)
                return;
        g_clear_pointer(&readiness->source, sd_event_source_disable_unref);
        g_clear_pointer(&readiness->timer, sd_event_source_disable_unref);
        close_fd(readiness->fd);
        g_free(readiness);
}

/* Text of a payload goes to the bus: valid UTF-8, one line, bounded. */
static char *clean_status(const char *text, size_t size) {
        g_autofree char *raw = g_strndup(text, MIN(size, STATUS_MAX));
        char *clean = g_utf8_make_valid(raw, -1);

        for (char *p = clean; *p; p++)
                if (g_ascii_iscntrl(*p))
                        *p = ' ';
        return clean;
}

static void apply(struct Readiness *readiness, bool ready, const char *status) {
        Container *container = readiness->container;
        g_autoptr(GError) error = NULL;

        ready = ready && !container->life.ready;
        if (!container->life.run_open || (!ready && (!status || g_str_equal(status, container->life.status_text))))
                return;
        g_autoptr(Commit) commit = commit_new(container, NULL);
        if (ready)
                commit->life.ready = true;
        if (status)
                life_set_string(&commit->life.status_text, status);
        if (!commit_apply(commit, &error))
                log_error("readiness of %s: %s", container_title(container), error->message);
        else if (ready)
                g_clear_pointer(&readiness->timer, sd_event_source_disable_unref);
}

static void take_message(struct Readiness *readiness, const char *message) {
        g_auto(GStrv) lines = g_strsplit(message, "\n", -1);
        g_autofree char *status = NULL;
        bool ready = false;

        for (char **line = lines; *line; line++) {
                if (g_str_equal(*line, "READY=1"))
                        ready = true;
                else if (g_str_has_prefix(*line, "STATUS=")) {
                        g_free(status);
                        status = clean_status(*line + strlen("STATUS="), strlen(*line) - strlen("STATUS="));
                }
        }
        apply(readiness, ready, status);
}

static bool is_inside(Container *container, pid_t pid) {
        g_autofree char *cgroup = cgroup_of_pid(pid);

        return cgroup && *container->life.cgroup && g_str_has_prefix(cgroup, container->life.cgroup);
}

/* A sender that is about to end, as systemd-notify(1) is right after its message, cannot be looked up any more; only processes of the container can reach the socket, for its directory is private. */
static bool is_stranger(Container *container, pid_t pid) {
        return pid > 0 && !is_inside(container, pid) && !pid_is_exiting(pid);
}

static int on_message(sd_event_source *source, int fd, uint32_t revents, void *userdata) {
        struct Readiness *readiness = userdata;
        char buffer[MESSAGE_MAX + 1];
        union {
                struct cmsghdr header;
                char space[CMSG_SPACE(sizeof(struct ucred)) + CMSG_SPACE(sizeof(int) * 16)];
        } control;
        struct iovec iov = {.iov_base = buffer, .iov_len = MESSAGE_MAX};
        struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
        ssize_t n = recvmsg(fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
        struct ucred credentials = {0};

        if (n < 0)
                return 0;
        for (struct cmsghdr *c = CMSG_FIRSTHDR(&message); c; c = CMSG_NXTHDR(&message, c)) {
                if (c->cmsg_level != SOL_SOCKET)
                        continue;
                if (c->cmsg_type == SCM_CREDENTIALS)
                        memcpy(&credentials, CMSG_DATA(c), sizeof credentials);
                if (c->cmsg_type == SCM_RIGHTS) /* FDSTORE and the like: not for us */
                        for (size_t i = 0; i < (c->cmsg_len - CMSG_LEN(0)) / sizeof(int); i++)
                                close(((int *) CMSG_DATA(c))[i]);
        }
        if (message.msg_flags & MSG_TRUNC)
                return 0;
        buffer[n] = '\0';
        if (is_stranger(readiness->container, credentials.pid)) {
                log_debug("a readiness message for %s came from process %d outside of it", container_title(readiness->container), (int) credentials.pid);
                return 0;
        }
        take_message(readiness, buffer);
        return 0;
}

static char *socket_directory(Engine *engine, Container *container, guint64 run) {
        char name[48];

        snprintf(name, sizeof name, "%" G_GUINT64_FORMAT "/notify", run);
        return paths_run_of(engine->paths, container->id, name);
}

/* bind(2) has 108 bytes for a path; the run directory is opened and reached through /proc/self/fd. */
static bool open_socket(struct Readiness *readiness, const char *directory, GError **error) {
        autofd int directory_fd = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
        autofd int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        int on = 1;

        snprintf(address.sun_path, sizeof address.sun_path, "/proc/self/fd/%d/notify", directory_fd);
        g_autofree char *path = g_build_filename(directory, "notify", NULL);
        (void) unlink(path);
        if (directory_fd < 0 || fd < 0 || setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof on) < 0 ||
            bind(fd, (struct sockaddr *) &address, sizeof address) < 0 || chmod(path, 0666) < 0)
                return error_errno(error, errno, "make the notify socket in %s", directory);
        int r = sd_event_add_io(readiness->engine->event, &readiness->source, fd, EPOLLIN, on_message, readiness);
        g_assert(r >= 0);
        readiness->fd = steal_fd(&fd);
        return true;
}

static bool wants_socket(Container *container) {
        return g_str_equal(config_string(container->config, "notify", "started"), "ready");
}

bool readiness_prepare(Engine *engine, Container *container, guint64 run, char **ret_directory, GError **error) {
        readiness_close(container);
        if (!wants_socket(container))
                return true;

        g_autofree char *directory = socket_directory(engine, container, run);
        if (g_mkdir_with_parents(directory, 0755) < 0)
                return error_errno(error, errno, "make the directory %s", directory);
        if (!open_socket(readiness_of(engine, container), directory, error)) {
                readiness_close(container);
                return false;
        }
        *ret_directory = g_steal_pointer(&directory);
        return true;
}

static int on_start_timeout(sd_event_source *source, guint64 usec, void *userdata) {
        struct Readiness *readiness = userdata;
        Container *container = readiness->container;

        g_clear_pointer(&readiness->timer, sd_event_source_disable_unref);
        if (!container->life.run_open || container->life.ready)
                return 0;
        log_info("%s was not ready in time and is killed", container_title(container));
        container->start_timed_out = true;
        kill_now(container);
        return 0;
}

static void arm_timeout(Engine *engine, Container *container) {
        guint64 timeout = config_uint64(container->config, "start-timeout-usec", UINT64_MAX);

        if (timeout == UINT64_MAX || timeout == 0 || container->life.ready)
                return;
        struct Readiness *readiness = readiness_of(engine, container);
        guint64 passed = clock_realtime_usec() - MIN(container->life.start_usec, clock_realtime_usec());
        int r = sd_event_add_time(engine->event, &readiness->timer, CLOCK_BOOTTIME, clock_boottime_in(timeout > passed ? timeout - passed : 0), 1000, on_start_timeout, readiness);
        g_assert(r >= 0);
}

void readiness_set_ready(Engine *engine, Container *container) {
        apply(readiness_of(engine, container), true, NULL);
}

bool readiness_comes_with_start(const Container *container) {
        return g_str_equal(config_string(container->config, "notify", "started"), "started");
}

void readiness_started(Engine *engine, Container *container) {
        if (readiness_comes_with_start(container))
                readiness_set_ready(engine, container);
        else
                arm_timeout(engine, container);
}

/* After a restart of the service the socket is made again under its name: messages sent in between are lost to the payload as with any restarted manager. */
void readiness_attach(Engine *engine, Container *container) {
        g_autoptr(GError) error = NULL;
        g_autofree char *directory = NULL;

        if (!readiness_prepare(engine, container, container->life.run, &directory, &error))
                log_warning("%s: %s", container_title(container), error->message);
        if (container->life.start_usec != 0)
                arm_timeout(engine, container);
}

void readiness_fail_unhealthy(Operation *operation) {
        g_autofree char *output = health_last_output(operation->container);

        operation_fail(operation, g_error_new(CONBUS_ERROR, CONBUS_ERROR_UNHEALTHY, "start %s: it turned unhealthy while its readiness was waited for; the last check said: %s",
                                              container_title(operation->container), output));
}
