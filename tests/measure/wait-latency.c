/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* How long from the death of PID 1 until a waiting client has its answer: tests/sandbox BUILD/tests/measure/wait-latency [RUNS]
 *
 * Each run starts a container, calls Wait, kills PID 1 by SIGKILL through its pidfd and takes the time (CLOCK_MONOTONIC) of four moments: the kill; the pidfd readable; conmon's exit file in place, which is when its output is known to be drained
 * and so the earliest moment at which the end may be told; the answer. The first three are taken by a thread of their own, so that the measuring client does no more than any client: it sleeps in poll(2) on its bus connection. */

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/syscall.h>
#include <systemd/sd-bus.h>
#include <time.h>
#include <unistd.h>

#define NAME "io.conbus1"
#define INTERFACE "io.conbus1.Container"
#define EXITS "/run/conbus/exits"
#define RUNS_MAX 10000

enum { PIDFD, EXIT_FILE, ANSWER, AFTER_FILE, N_MOMENTS };
static const char *const titles[N_MOMENTS] = {"pidfd readable", "exit file of conmon in place", "answer to Wait", "from exit file to answer"};

typedef struct Watch {
        int pidfd, inotify;
        uint64_t readable, in_place; /* usec */
} Watch;

static uint64_t now_usec(void) {
        struct timespec now;

        clock_gettime(CLOCK_MONOTONIC, &now);
        return (uint64_t) now.tv_sec * 1000000 + (uint64_t) now.tv_nsec / 1000;
}

static void check(int r, const char *what) {
        if (r >= 0)
                return;
        fprintf(stderr, "wait-latency: %s: %s\n", what, strerror(-r));
        exit(EXIT_FAILURE);
}

static void *watch(void *userdata) {
        Watch *w = userdata;
        struct pollfd pollfds[] = {{.fd = w->pidfd, .events = POLLIN}, {.fd = w->inotify, .events = POLLIN}};
        char buffer[4096];

        while (w->in_place == 0 || w->readable == 0) {
                if (poll(pollfds, 2, -1) < 0)
                        continue;
                if (pollfds[0].revents) {
                        w->readable = now_usec();
                        pollfds[0].fd = -1;
                }
                if (pollfds[1].revents) {
                        w->in_place = now_usec();
                        pollfds[1].fd = read(w->inotify, buffer, sizeof buffer) > 0 ? -1 : w->inotify;
                }
        }
        return NULL;
}

static char *create(sd_bus *bus) {
        sd_bus_message *answer = NULL;
        sd_bus_error error = SD_BUS_ERROR_NULL;
        const char *path;

        int r = sd_bus_call_method(bus, NAME, "/io/conbus1", "io.conbus1.Manager", "CreateContainer", &error, &answer, "ssa{sv}", "wait-latency", "", 2, "rootfs", "s", getenv("CONBUS_TEST_ROOTFS"),
                                   "command", "as", 2, "sleep", "100000");
        if (r < 0)
                fprintf(stderr, "%s\n", error.message);
        check(r, "CreateContainer");
        check(sd_bus_message_read(answer, "o", &path), "read the path");
        char *copy = strdup(path);
        sd_bus_message_unref(answer);
        return copy;
}

/* The call is known to have been received: a later one has been answered. */
static void begin_wait(sd_bus *bus, const char *path, uint64_t *ret_cookie) {
        sd_bus_message *call = NULL;

        check(sd_bus_message_new_method_call(bus, &call, NAME, path, INTERFACE, "Wait"), "build Wait");
        check(sd_bus_send(bus, call, ret_cookie), "send Wait");
        sd_bus_message_unref(call);
        check(sd_bus_call_method(bus, NAME, path, "org.freedesktop.DBus.Peer", "Ping", NULL, NULL, ""), "Ping");
}

static uint64_t await_answer(sd_bus *bus, uint64_t cookie) {
        for (;;) {
                sd_bus_message *message = NULL;
                uint64_t reply = 0;
                int r = sd_bus_process(bus, &message);
                check(r, "receive");
                if (message && sd_bus_message_get_reply_cookie(message, &reply) >= 0 && reply == cookie) {
                        uint64_t arrived = now_usec();
                        check(sd_bus_message_is_method_error(message, NULL) ? -EIO : 0, "Wait");
                        sd_bus_message_unref(message);
                        return arrived;
                }
                sd_bus_message_unref(message);
                if (r == 0)
                        check(sd_bus_wait(bus, UINT64_MAX), "wait");
        }
}

static void measure(sd_bus *bus, const char *path, uint64_t moments[N_MOMENTS]) {
        Watch w = {.inotify = inotify_init1(IN_CLOEXEC)};
        pthread_t thread;
        uint64_t cookie;
        uint32_t pid = 0;

        check(sd_bus_call_method(bus, NAME, path, INTERFACE, "Start", NULL, NULL, ""), "Start");
        check(sd_bus_get_property_trivial(bus, NAME, path, INTERFACE, "MainPID", NULL, 'u', &pid), "MainPID");
        w.pidfd = (int) syscall(SYS_pidfd_open, (pid_t) pid, 0);
        check(w.pidfd, "open a pidfd");
        check(inotify_add_watch(w.inotify, EXITS, IN_MOVED_TO), "watch " EXITS);
        begin_wait(bus, path, &cookie);
        check(-pthread_create(&thread, NULL, watch, &w), "make a thread");
        uint64_t killed = now_usec();
        check((int) syscall(SYS_pidfd_send_signal, w.pidfd, SIGKILL, NULL, 0), "kill PID 1");
        moments[ANSWER] = await_answer(bus, cookie) - killed;
        pthread_join(thread, NULL);
        moments[PIDFD] = w.readable - killed;
        moments[EXIT_FILE] = w.in_place - killed;
        moments[AFTER_FILE] = moments[ANSWER] > moments[EXIT_FILE] ? moments[ANSWER] - moments[EXIT_FILE] : 0;
        close(w.pidfd);
        close(w.inotify);
        check(sd_bus_call_method(bus, NAME, path, INTERFACE, "WaitFor", NULL, NULL, "asa{sv}", 1, "exited", 0), "wait for the cleanup");
}

static int compare(const void *a, const void *b) {
        uint64_t x = *(const uint64_t *) a, y = *(const uint64_t *) b;

        return x < y ? -1 : x > y;
}

static void print(const char *title, uint64_t *times, size_t n) {
        qsort(times, n, sizeof *times, compare);
        printf("%-30s min %6.2f  median %6.2f  p90 %6.2f  max %6.2f ms\n", title, (double) times[0] / 1e3, (double) times[n / 2] / 1e3, (double) times[n * 9 / 10] / 1e3, (double) times[n - 1] / 1e3);
}

int main(int argc, char **argv) {
        size_t n = argc > 1 ? strtoul(argv[1], NULL, 10) : 100;
        static uint64_t times[N_MOMENTS][RUNS_MAX];
        sd_bus *bus = NULL;

        if (n == 0 || n > RUNS_MAX || !getenv("CONBUS_TEST_ROOTFS")) {
                fprintf(stderr, "usage: tests/sandbox wait-latency [RUNS], at most %d\n", RUNS_MAX);
                return 2;
        }
        check(sd_bus_open_system(&bus), "connect to the bus");
        char *path = create(bus);
        for (size_t i = 0; i < n; i++) {
                uint64_t moments[N_MOMENTS];
                measure(bus, path, moments);
                for (size_t j = 0; j < N_MOMENTS; j++)
                        times[j][i] = moments[j];
        }
        printf("%zu runs, milliseconds after SIGKILL of PID 1:\n", n);
        for (size_t j = 0; j < N_MOMENTS; j++)
                print(titles[j], times[j], n);
        check(sd_bus_call_method(bus, NAME, path, INTERFACE, "Remove", NULL, NULL, ""), "Remove");
        free(path);
        sd_bus_flush_close_unref(bus);
        return EXIT_SUCCESS;
}
