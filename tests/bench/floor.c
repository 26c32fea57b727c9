/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The floor: the same conmon and crun commands that conbusd runs, by posix_spawn(3) and pidfds, and nothing else: no bus, no store. Prints one line for each sample, in microseconds.
 *
 *   floor DIRECTORY TEMPLATE lifecycle|start-stop|death|exec N     one after the other; start-stop prints "START STOP" (by SIGKILL, so that the payload has no say), death "READABLE EXIT-FILE"
 *   floor DIRECTORY TEMPLATE conmon-exec N                                 /bin/true in a container that runs, under a conmon of its own, until that says the code
 *   floor DIRECTORY TEMPLATE parallel N                                    N starts at once; prints the time until the last has started
 *
 * TEMPLATE is a config.json in which every @ID@ is replaced by the container's id. With a further argument, BASE, each container gets an overlay over that directory, on DIRECTORY/bundles/ID/rootfs, and its removal takes it away. */

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/mount.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

typedef struct Place {
        const char *directory;
        char *template;
        const char *base; /* of overlays, or NULL */
        int exits; /* inotify of DIRECTORY/exits */
} Place;

typedef struct Container {
        const Place *place;
        char id[65], bundle[4096];
        pid_t monitor, main;
        int main_fd;
} Container;

static const char *const environment[] = {"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "_OCI_SYNCPIPE=3", "_OCI_STARTPIPE=4", NULL};

static void __attribute__((noreturn, format(printf, 1, 2))) die(const char *format, ...) {
        va_list arguments;

        va_start(arguments, format);
        vfprintf(stderr, format, arguments);
        va_end(arguments);
        fprintf(stderr, ": %s\n", strerror(errno));
        exit(EXIT_FAILURE);
}

static int64_t now_usec(void) {
        struct timespec t;

        clock_gettime(CLOCK_MONOTONIC, &t);
        return (int64_t) t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static pid_t spawn(char *const argv[], const int *fds, int n_fds) {
        posix_spawn_file_actions_t actions;
        posix_spawnattr_t attributes;
        pid_t pid;

        posix_spawn_file_actions_init(&actions);
        posix_spawnattr_init(&attributes);
        posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSID);
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDWR, 0);
        posix_spawn_file_actions_adddup2(&actions, 0, 1);
        for (int i = 0; i < n_fds; i++)
                posix_spawn_file_actions_adddup2(&actions, fds[i], 3 + i);
        errno = posix_spawnp(&pid, argv[0], &actions, &attributes, argv, (char *const *) environment);
        if (errno)
                die("spawn %s", argv[0]);
        posix_spawn_file_actions_destroy(&actions);
        posix_spawnattr_destroy(&attributes);
        return pid;
}

static void run(char *const argv[]) {
        int status;
        pid_t pid = spawn(argv, NULL, 0);

        if (waitpid(pid, &status, 0) < 0 || status != 0)
                die("%s %s ended with %d", argv[0], argv[3], status);
}

/* --- one container --- */

static void write_config(const Container *container) {
        char path[4200];
        const char *rest = container->place->template;

        snprintf(path, sizeof path, "%s/config.json", container->bundle);
        FILE *file = fopen(path, "we");
        if (!file)
                die("write %s", path);
        for (const char *mark; (mark = strstr(rest, "@ID@")); rest = mark + strlen("@ID@")) {
                fwrite(rest, 1, (size_t) (mark - rest), file);
                fputs(container->id, file);
        }
        fputs(rest, file);
        if (fclose(file) != 0)
                die("write %s", path);
}

static void mount_overlay(const Container *container) {
        static const char *const names[] = {"upper", "work", "rootfs", NULL};
        char path[4200], options[16384];

        for (const char *const *name = names; *name; name++) {
                snprintf(path, sizeof path, "%s/%s", container->bundle, *name);
                if (mkdir(path, 0755) < 0)
                        die("make %s", path);
        }
        snprintf(options, sizeof options, "lowerdir=%s,upperdir=%s/upper,workdir=%s/work", container->place->base, container->bundle, container->bundle);
        if (mount("overlay", path, "overlay", 0, options) < 0 || mount(NULL, path, NULL, MS_PRIVATE, NULL) < 0)
                die("mount %s", path);
}

static void unmount_overlay(const Container *container) {
        char path[4200];

        snprintf(path, sizeof path, "%s/rootfs", container->bundle);
        if (umount2(path, UMOUNT_NOFOLLOW) < 0)
                die("unmount %s", path);
}

static void create(Container *container, const Place *place) {
        static const char digits[] = "0123456789abcdef";
        static unsigned count;
        int sync[2], start[2];
        char pidfile[4200], log[4200], exits[4200], persist[4200], runtime_log[4200], root[4200], packet[65536];

        *container = (Container) {.place = place};
        unsigned number = ++count ^ ((unsigned) getpid() << 12);
        for (int i = 0; i < 64; i++)
                container->id[i] = digits[i < 56 ? (unsigned) (i * 7 + 3) % 16 : (number >> (4 * (63 - i))) & 15];
        snprintf(container->bundle, sizeof container->bundle, "%s/bundles/%s", place->directory, container->id);
        snprintf(pidfile, sizeof pidfile, "%s/pidfile", container->bundle);
        snprintf(log, sizeof log, "k8s-file:%s/log", container->bundle);
        snprintf(runtime_log, sizeof runtime_log, "%s/crun.log", container->bundle);
        snprintf(persist, sizeof persist, "%s/persist", container->bundle);
        snprintf(exits, sizeof exits, "%s/exits", place->directory);
        snprintf(root, sizeof root, "%s/crun", place->directory);
        if (mkdir(container->bundle, 0700) < 0 || mkdir(persist, 0700) < 0)
                die("make %s", container->bundle);
        write_config(container);
        if (place->base)
                mount_overlay(container);
        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sync) < 0 || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, start) < 0)
                die("make the pipes");
        char *const argv[] = {"conmon", "--sync", "--api-version", "--no-sync-log", "-c", container->id, "-u", container->id, "-r", "/usr/bin/crun", "-b", container->bundle, "-p", pidfile, "-n", container->id,
                              "--exit-dir", exits, "--persist-dir", persist, "--full-attach", "-l", log, "--log-level", "warning", "--leave-stdin-open",
                              "--runtime-arg", "--log-format=json", "--runtime-arg", "--log", "--runtime-arg", runtime_log, "--runtime-arg", "--root", "--runtime-arg", root, NULL};
        const int fds[] = {sync[1], start[1]};
        container->monitor = spawn(argv, fds, 2);
        close(sync[1]);
        close(start[1]);
        if (send(start[0], "", 1, MSG_NOSIGNAL) != 1)
                die("start conmon");
        ssize_t n = recv(sync[0], packet, sizeof packet - 1, 0);
        packet[n > 0 ? n : 0] = '\0';
        const char *colon = strchr(packet, ':');
        container->main = colon ? atoi(colon + 1) : 0;
        if (container->main <= 0)
                die("conmon said \"%s\"", packet);
        container->main_fd = pidfd_open(container->main, 0);
        close(sync[0]);
        close(start[0]);
}

static void crun(Container *container, char *verb, char *option) {
        char root[4200];

        snprintf(root, sizeof root, "%s/crun", container->place->directory);
        char *const argv[] = {"crun", "--root", root, verb, option ? option : container->id, option ? container->id : NULL, NULL};
        run(argv);
}

static void await_main(Container *container) {
        struct pollfd poll_fd = {.fd = container->main_fd, .events = POLLIN};

        if (poll(&poll_fd, 1, 30000) != 1)
                die("container %s does not end", container->id);
}

static void await_exit_file(Container *container) {
        char buffer[4096] __attribute__((aligned(8)));

        for (;;) {
                ssize_t n = read(container->place->exits, buffer, sizeof buffer);
                if (n <= 0)
                        die("read the watch of exit files");
                for (char *p = buffer; p < buffer + n;) {
                        struct inotify_event *event = (struct inotify_event *) p;
                        if (event->len && strcmp(event->name, container->id) == 0)
                                return;
                        p += sizeof *event + event->len;
                }
        }
}

static void clean(Container *container) {
        static const char *const names[] = {"config.json", "pidfile", "log", "crun.log", "attach", "ctl", "winsz", "persist/exit", "persist", "upper", "work/work", "work", "rootfs", NULL};
        char path[4200];

        crun(container, "delete", "--force");
        if (container->place->base)
                unmount_overlay(container);
        for (const char *const *name = names; *name; name++) {
                snprintf(path, sizeof path, "%s/%s", container->bundle, *name);
                (void) remove(path);
        }
        snprintf(path, sizeof path, "%s/exits/%s", container->place->directory, container->id);
        (void) remove(path);
        (void) remove(container->bundle);
        close(container->main_fd);
}

static void finish(Container *container) {
        if (waitpid(container->monitor, NULL, 0) < 0)
                die("wait for conmon");
        (void) remove(container->bundle);
}

static void kill_main(Container *container, int number) {
        if (pidfd_send_signal(container->main_fd, number, NULL, 0) < 0)
                die("signal %d", container->main);
}

/* --- what is measured --- */

static void lifecycle(const Place *place) {
        Container container;
        int64_t begin = now_usec();

        create(&container, place);
        crun(&container, "start", NULL);
        await_main(&container);
        await_exit_file(&container);
        clean(&container);
        printf("%ld\n", (long) (now_usec() - begin));
        finish(&container);
}

static void start_stop(const Place *place) {
        Container container;
        int64_t begin = now_usec();

        create(&container, place);
        crun(&container, "start", NULL);
        int64_t started = now_usec();
        kill_main(&container, SIGKILL);
        await_main(&container);
        await_exit_file(&container);
        clean(&container);
        printf("%ld %ld\n", (long) (started - begin), (long) (now_usec() - started));
        finish(&container);
}

static void death(const Place *place) {
        Container container;

        create(&container, place);
        crun(&container, "start", NULL);
        int64_t begin = now_usec();
        kill_main(&container, SIGKILL);
        await_main(&container);
        int64_t readable = now_usec();
        await_exit_file(&container);
        printf("%ld %ld\n", (long) (readable - begin), (long) (now_usec() - begin));
        clean(&container);
        finish(&container);
}

/* A bare crun exec of /bin/true: what a health check is made of. */
static void exec_many(const Place *place, int n) {
        Container container;
        char root[4200];

        create(&container, place);
        crun(&container, "start", NULL);
        snprintf(root, sizeof root, "%s/crun", place->directory);
        char *const argv[] = {"crun", "--root", root, "exec", container.id, "/bin/true", NULL};
        for (int i = 0; i < n; i++) {
                int64_t begin = now_usec();
                run(argv);
                printf("%ld\n", (long) (now_usec() - begin));
        }
        kill_main(&container, SIGKILL);
        await_main(&container);
        await_exit_file(&container);
        clean(&container);
        finish(&container);
}

/* The first packet has the number of the process, the second one its code. */
static void await_packet(int fd) {
        char packet[65536];
        ssize_t n = recv(fd, packet, sizeof packet - 1, 0);

        packet[n > 0 ? n : 0] = '\0';
        if (!strchr(packet, ':'))
                die("conmon said \"%s\"", packet);
}

static void conmon_exec(Container *container, const char *process, unsigned number) {
        char session[32], pidfile[4300], exits[4200], runtime_log[4200], root[4200];
        int sync[2], start[2];

        snprintf(session, sizeof session, "exec%u", number);
        snprintf(pidfile, sizeof pidfile, "%s/exec-pidfile", container->bundle);
        snprintf(runtime_log, sizeof runtime_log, "%s/exec.log", container->bundle);
        snprintf(exits, sizeof exits, "%s/exits", container->place->directory);
        snprintf(root, sizeof root, "%s/crun", container->place->directory);
        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sync) < 0 || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, start) < 0)
                die("make the pipes");
        char *const argv[] = {"conmon", "--sync", "--api-version", "--no-sync-log", "-c", container->id, "-u", session, "-r", "/usr/bin/crun", "-b", container->bundle, "-p", pidfile, "-n", container->id,
                              "--exit-dir", exits, "--full-attach", "-l", "none", "--log-level", "warning", "--leave-stdin-open",
                              "--runtime-arg", "--log-format=json", "--runtime-arg", "--log", "--runtime-arg", runtime_log, "--runtime-arg", "--root", "--runtime-arg", root,
                              "-e", "--exec-process-spec", (char *) process, NULL};
        const int fds[] = {sync[1], start[1]};
        int64_t begin = now_usec();
        pid_t monitor = spawn(argv, fds, 2);
        close(sync[1]);
        close(start[1]);
        if (send(start[0], "", 1, MSG_NOSIGNAL) != 1)
                die("start conmon");
        await_packet(sync[0]);
        await_packet(sync[0]);
        printf("%ld\n", (long) (now_usec() - begin));
        close(sync[0]);
        close(start[0]);
        (void) waitpid(monitor, NULL, 0);
        (void) remove(pidfile);
        (void) remove(runtime_log);
        snprintf(pidfile, sizeof pidfile, "%s/%s", exits, session);
        (void) remove(pidfile);
}

static void conmon_exec_many(const Place *place, int n) {
        Container container;
        char process[4200];

        create(&container, place);
        crun(&container, "start", NULL);
        snprintf(process, sizeof process, "%s/process.json", place->directory); /* as the service has written it for a process of its own */
        for (int i = 0; i < n; i++)
                conmon_exec(&container, process, (unsigned) i);
        kill_main(&container, SIGKILL);
        await_main(&container);
        await_exit_file(&container);
        clean(&container);
        finish(&container);
}

/* As many at once as the service allows itself; each in a process of its own. */
static void parallel(const Place *place, int n) {
        Container *containers = calloc((size_t) n, sizeof *containers);
        int ready[2], go[2], sound = pipe(ready) | pipe(go);
        char byte;

        if (!containers || sound < 0)
                die("prepare");
        int64_t begin = now_usec(); /* the first ones run while the last ones are forked */
        for (int i = 0; i < n; i++) {
                if (fork() != 0)
                        continue;
                close(ready[0]);
                close(go[1]);
                Container container;
                create(&container, place);
                crun(&container, "start", NULL);
                (void) !write(ready[1], "", 1);
                (void) !read(go[0], &byte, 1); /* the end of file: all have started */
                kill_main(&container, SIGKILL);
                await_main(&container);
                finish(&container);
                clean(&container);
                _exit(EXIT_SUCCESS);
        }
        close(ready[1]);
        for (int i = 0; i < n; i++)
                if (read(ready[0], &byte, 1) != 1)
                        die("a start failed");
        printf("%ld\n", (long) (now_usec() - begin));
        close(go[1]);
        while (wait(NULL) > 0) {}
        free(containers);
}

static char *read_file(const char *path) {
        FILE *file = fopen(path, "re");
        char *text = NULL;
        size_t size = 0;

        if (!file || getdelim(&text, &size, '\0', file) < 0)
                die("read %s", path);
        fclose(file);
        return text;
}

int main(int argc, char *argv[]) {
        static const char *const names[] = {"bundles", "exits", "crun", NULL};
        char path[4096];

        if (argc != 5 && argc != 6) {
                fputs("usage: floor DIRECTORY TEMPLATE lifecycle|start-stop|death|exec|conmon-exec|parallel N [BASE]\n", stderr);
                return 2;
        }
        Place place = {.directory = argv[1], .template = read_file(argv[2]), .base = argv[5], .exits = inotify_init1(IN_CLOEXEC)};
        int n = atoi(argv[4]);
        for (const char *const *name = names; *name; name++) {
                snprintf(path, sizeof path, "%s/%s", argv[1], *name);
                if (mkdir(path, 0700) < 0 && errno != EEXIST)
                        die("make %s", path);
        }
        snprintf(path, sizeof path, "%s/exits", argv[1]);
        if (inotify_add_watch(place.exits, path, IN_MOVED_TO) < 0)
                die("watch %s", path);
        if (strcmp(argv[3], "parallel") == 0)
                parallel(&place, n);
        else if (strcmp(argv[3], "exec") == 0)
                exec_many(&place, n);
        else if (strcmp(argv[3], "conmon-exec") == 0)
                conmon_exec_many(&place, n);
        else
                for (int i = 0; i < n; i++)
                        (strcmp(argv[3], "lifecycle") == 0 ? lifecycle : strcmp(argv[3], "death") == 0 ? death : start_stop)(&place);
        free(place.template);
        return EXIT_SUCCESS;
}
