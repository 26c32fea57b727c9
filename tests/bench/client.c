/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A client of conbus that measures what a client sees, through sd-bus. Prints one line for each sample, in microseconds.
 *
 *   client lifecycle ROOTFS N MODE       CreateContainer, Start, Wait, Remove of /bin/true; MODE is the key rootfs-mode
 *   client start-stop ROOTFS N MODE      "START STOP" of one that sleeps; stopped by SIGKILL
 *   client death ROOTFS N MODE           SIGKILL of PID 1 until a Wait is answered
 *   client create ROOTFS N PREFIX [MODE] makes N containers that sleep, named PREFIX0 …
 *   client start PREFIX N                starts them all at once; prints "TOTAL PROPERTY-MEDIAN PROPERTY-MAX DAEMON-MEDIAN DAEMON-MAX": meanwhile a second connection reads a property again and again, and in turns with it asks the bus daemon for something, which nobody else has a part in
 *   client exec NAME N                   Exec of /bin/true in a container that runs, Wait, Remove of the process
 *   client waits ROOTFS CONNECTIONS M    M waits on each connection for one end; prints "REGISTERED ANSWERED": until all are known to stand, and from the death to the last answer
 *   client wake PATH INTERFACE MEMBER [STRING…]     the same once, when nobody has the name; prints "OWNED ANSWERED": from the call until the service has its name, and until it has answered
 *   client call N PATH INTERFACE MEMBER [STRING…]   any call with string arguments; prints TIME */

#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <systemd/sd-bus.h>
#include <time.h>
#include <unistd.h>

#define NAME "io.conbus1"
#define MANAGER "io.conbus1.Manager"
#define CONTAINER "io.conbus1.Container"
#define PROCESS "io.conbus1.Process"
#define NEVER UINT64_MAX
#define READS_MAX 1000000

static int64_t now_usec(void) {
        struct timespec t;

        clock_gettime(CLOCK_MONOTONIC, &t);
        return (int64_t) t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static void check(int r, const char *what, const sd_bus_error *error) {
        if (r >= 0)
                return;
        fprintf(stderr, "%s: %s\n", what, error && error->message ? error->message : strerror(-r));
        exit(EXIT_FAILURE);
}

static sd_bus *connect_bus(void) {
        sd_bus *bus = NULL;

        check(sd_bus_open_system(&bus), "connect to the bus", NULL);
        check(sd_bus_set_method_call_timeout(bus, NEVER), "set no time limit", NULL);
        return bus;
}

static sd_bus_message *new_call(sd_bus *bus, const char *path, const char *interface, const char *member) {
        sd_bus_message *message = NULL;

        check(sd_bus_message_new_method_call(bus, &message, NAME, path, interface, member), member, NULL);
        return message;
}

/* Consumes the message. */
static sd_bus_message *call(sd_bus *bus, sd_bus_message *message) {
        sd_bus_error error = SD_BUS_ERROR_NULL;
        sd_bus_message *answer = NULL;

        check(sd_bus_call(bus, message, NEVER, &error, &answer), sd_bus_message_get_member(message), &error);
        sd_bus_error_free(&error);
        sd_bus_message_unref(message);
        return answer;
}

static void verb(sd_bus *bus, const char *path, const char *member) {
        sd_bus_message_unref(call(bus, new_call(bus, path, CONTAINER, member)));
}

static char *create(sd_bus *bus, const char *rootfs, const char *mode, const char *name, const char *program, const char *argument) {
        sd_bus_message *message = new_call(bus, "/io/conbus1", MANAGER, "CreateContainer");
        const char *path;

        check(sd_bus_message_append(message, "ss", name, ""), "CreateContainer", NULL);
        int r = argument ? sd_bus_message_append(message, "a{sv}", 4, "rootfs", "s", rootfs, "rootfs-mode", "s", mode, "network", "s", "none", "command", "as", 2, program, argument)
                         : sd_bus_message_append(message, "a{sv}", 4, "rootfs", "s", rootfs, "rootfs-mode", "s", mode, "network", "s", "none", "command", "as", 1, program);
        check(r, "CreateContainer", NULL);
        sd_bus_message *answer = call(bus, message);
        check(sd_bus_message_read(answer, "o", &path), "CreateContainer", NULL);
        char *copy = strdup(path);
        sd_bus_message_unref(answer);
        return copy;
}

static void stop(sd_bus *bus, const char *path) {
        sd_bus_message *message = new_call(bus, path, CONTAINER, "StopWith");

        check(sd_bus_message_append(message, "a{sv}", 1, "timeout-usec", "t", (uint64_t) 0), "StopWith", NULL);
        sd_bus_message_unref(call(bus, message));
}

static uint32_t main_pid(sd_bus *bus, const char *path) {
        sd_bus_error error = SD_BUS_ERROR_NULL;
        uint32_t pid;

        check(sd_bus_get_property_trivial(bus, NAME, path, CONTAINER, "MainPID", &error, 'u', &pid), "read MainPID", &error);
        return pid;
}

static void kill_main(sd_bus *bus, const char *path) {
        int fd = pidfd_open((pid_t) main_pid(bus, path), 0);

        check(fd < 0 ? -errno : pidfd_send_signal(fd, SIGKILL, NULL, 0), "kill PID 1", NULL);
        close(fd);
}

/* --- what is measured --- */

static void lifecycle(sd_bus *bus, const char *rootfs, const char *mode) {
        int64_t begin = now_usec();
        char *path = create(bus, rootfs, mode, "", "/bin/true", NULL);

        verb(bus, path, "Start");
        verb(bus, path, "Wait");
        verb(bus, path, "Remove");
        printf("%ld\n", (long) (now_usec() - begin));
        free(path);
}

static void start_stop(sd_bus *bus, const char *rootfs, const char *mode) {
        char *path = create(bus, rootfs, mode, "", "/bin/sleep", "1000");
        int64_t begin = now_usec();

        verb(bus, path, "Start");
        int64_t started = now_usec();
        stop(bus, path);
        printf("%ld %ld\n", (long) (started - begin), (long) (now_usec() - started));
        verb(bus, path, "Remove");
        free(path);
}

static int on_answer(sd_bus_message *answer, void *userdata, sd_bus_error *error) {
        unsigned *left = userdata;

        check(sd_bus_message_is_method_error(answer, NULL) ? -EIO : 0, "Wait", sd_bus_message_get_error(answer));
        (*left)--;
        return 0;
}

static void begin_wait(sd_bus *bus, const char *path, unsigned *left) {
        sd_bus_message *message = new_call(bus, path, CONTAINER, "Wait");

        (*left)++;
        check(sd_bus_call_async(bus, NULL, message, on_answer, left, NEVER), "Wait", NULL);
        sd_bus_message_unref(message);
}

static void process_until(sd_bus *bus, const unsigned *left) {
        while (*left > 0) {
                int r = sd_bus_process(bus, NULL);
                check(r, "process", NULL);
                if (r == 0)
                        check(sd_bus_wait(bus, NEVER), "wait", NULL);
        }
}

static void death(sd_bus *bus, const char *rootfs, const char *mode) {
        char *path = create(bus, rootfs, mode, "", "/bin/sleep", "1000");
        unsigned left = 0;

        verb(bus, path, "Start");
        begin_wait(bus, path, &left);
        int fd = pidfd_open((pid_t) main_pid(bus, path), 0); /* its answer comes after the wait stands */
        int64_t begin = now_usec();
        check(fd < 0 ? -errno : pidfd_send_signal(fd, SIGKILL, NULL, 0), "kill PID 1", NULL);
        process_until(bus, &left);
        printf("%ld\n", (long) (now_usec() - begin));
        close(fd);
        verb(bus, path, "Remove");
        free(path);
}

static void waits(sd_bus *bus, const char *rootfs, int n_connections, int n_each) {
        char *path = create(bus, rootfs, "overlay", "", "/bin/sleep", "1000");
        sd_bus **connections = calloc((size_t) n_connections, sizeof *connections);
        unsigned left = 0;

        verb(bus, path, "Start");
        int64_t begin = now_usec();
        for (int i = 0; connections && i < n_connections; i++) {
                connections[i] = connect_bus();
                for (int k = 0; k < n_each; k++)
                        begin_wait(connections[i], path, &left);
                (void) main_pid(connections[i], path);
        }
        int64_t registered = now_usec() - begin;
        begin = now_usec();
        kill_main(bus, path);
        while (left > 0)
                for (int i = 0; i < n_connections; i++) {
                        int r = sd_bus_process(connections[i], NULL);
                        check(r, "process", NULL);
                        if (r == 0 && left > 0)
                                check(sd_bus_wait(connections[i], 1000), "wait", NULL);
                }
        printf("%ld %ld\n", (long) registered, (long) (now_usec() - begin));
        for (int i = 0; i < n_connections; i++)
                sd_bus_flush_close_unref(connections[i]);
        free(connections);
        verb(bus, path, "Remove");
        free(path);
}

static int compare(const void *a, const void *b) {
        int64_t left = *(const int64_t *) a, right = *(const int64_t *) b;

        return left < right ? -1 : left > right;
}

static char *alias_of(const char *prefix, int number) {
        char name[256], *path = NULL;

        snprintf(name, sizeof name, "%s%d", prefix, number);
        check(sd_bus_path_encode("/container", name, &path), "encode a name", NULL);
        return path;
}

/* Times of reads, of which the median and the greatest are told. */
typedef struct Reads {
        int64_t *values;
        size_t n;
} Reads;

static void note_read(Reads *reads, int64_t value) {
        if (!reads->values)
                reads->values = calloc(READS_MAX, sizeof *reads->values);
        if (reads->values && reads->n < READS_MAX)
                reads->values[reads->n++] = value;
}

static void print_reads(Reads *reads) {
        if (reads->n == 0)
                return;
        qsort(reads->values, reads->n, sizeof *reads->values, compare);
        printf(" %ld %ld", (long) reads->values[reads->n / 2], (long) reads->values[reads->n - 1]);
        free(reads->values);
}

static void ask_daemon(sd_bus *bus) {
        check(sd_bus_call_method(bus, "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", "GetId", NULL, NULL, NULL), "GetId", NULL);
}

static void start_all(sd_bus *bus, const char *prefix, int n) {
        sd_bus *second = connect_bus();
        Reads properties = {0}, answers = {0};
        unsigned left = 0;

        char *first = alias_of(prefix, 0);
        (void) main_pid(second, first); /* the second connection is known */
        int64_t begin = now_usec();
        for (int i = 0; i < n; i++) {
                char *path = alias_of(prefix, i);
                sd_bus_message *message = new_call(bus, path, CONTAINER, "Start");
                left++;
                check(sd_bus_call_async(bus, NULL, message, on_answer, &left, NEVER), "Start", NULL);
                sd_bus_message_unref(message);
                free(path);
        }
        check(sd_bus_flush(bus), "send", NULL);
        while (left > 0) {
                int64_t asked = now_usec();
                (void) main_pid(second, first);
                note_read(&properties, now_usec() - asked);
                asked = now_usec();
                ask_daemon(second);
                note_read(&answers, now_usec() - asked);
                while (sd_bus_process(bus, NULL) > 0) {}
                (void) sd_bus_wait(bus, 2000);
        }
        printf("%ld", (long) (now_usec() - begin));
        print_reads(&properties);
        print_reads(&answers);
        printf("\n");
        free(first);
        sd_bus_flush_close_unref(second);
}

static void execute(sd_bus *bus, const char *container) {
        sd_bus_message *message = new_call(bus, container, CONTAINER, "Exec");
        const char *path;

        int64_t begin = now_usec();
        check(sd_bus_message_append(message, "asa{sv}", 1, "/bin/true", 0), "Exec", NULL);
        sd_bus_message *answer = call(bus, message);
        check(sd_bus_message_read(answer, "o", &path), "Exec", NULL);
        sd_bus_message_unref(call(bus, new_call(bus, path, PROCESS, "Wait")));
        printf("%ld\n", (long) (now_usec() - begin));
        message = new_call(bus, path, PROCESS, "Remove");
        check(sd_bus_message_append(message, "s", "normal"), "Remove", NULL);
        sd_bus_message_unref(call(bus, message));
        sd_bus_message_unref(answer);
}

static void execute_many(sd_bus *bus, const char *name, int n) {
        char *path = NULL;

        check(sd_bus_path_encode("/container", name, &path), "encode a name", NULL);
        for (int i = 0; i < n; i++)
                execute(bus, path);
        free(path);
}

/* PATH INTERFACE MEMBER [STRING…] */
static sd_bus_message *call_of_words(sd_bus *bus, char **words) {
        sd_bus_message *message = new_call(bus, words[0], words[1], words[2]);

        for (char **word = words + 3; *word; word++)
                check(sd_bus_message_append(message, "s", *word), "append", NULL);
        return message;
}

static int on_owner(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        int64_t *owned = userdata;

        if (*owned == 0)
                *owned = now_usec();
        return 0;
}

static void wake(sd_bus *bus, char **words) {
        int64_t owned = 0;
        unsigned left = 1;

        check(sd_bus_add_match(bus, NULL, "type='signal',sender='org.freedesktop.DBus',member='NameOwnerChanged',arg0='" NAME "'", on_owner, &owned), "watch the name", NULL);
        sd_bus_message *message = call_of_words(bus, words);
        int64_t begin = now_usec();
        check(sd_bus_call_async(bus, NULL, message, on_answer, &left, NEVER), words[2], NULL);
        sd_bus_message_unref(message);
        process_until(bus, &left);
        printf("%ld %ld\n", (long) (owned - begin), (long) (now_usec() - begin));
}

static void call_many(sd_bus *bus, int n, char **words) {
        for (int i = 0; i < n; i++) {
                sd_bus_message *message = call_of_words(bus, words);
                int64_t begin = now_usec();
                sd_bus_message *answer = call(bus, message);
                int64_t took = now_usec() - begin;
                sd_bus_message_unref(answer);
                printf("%ld\n", (long) took);
        }
}

int main(int argc, char *argv[]) {
        const char *what = argc > 3 ? argv[1] : "";
        sd_bus *bus = connect_bus();

        if (strcmp(what, "wake") == 0 && argc > 4) {
                wake(bus, argv + 2);
                sd_bus_flush_close_unref(bus);
                return EXIT_SUCCESS;
        }
        sd_bus_message_unref(call(bus, new_call(bus, "/io/conbus1", MANAGER, "ListContainers"))); /* it is awake and knows us */
        for (int i = 0; argc == 5 && i < atoi(argv[3]); i++) {
                if (strcmp(what, "lifecycle") == 0)
                        lifecycle(bus, argv[2], argv[4]);
                else if (strcmp(what, "start-stop") == 0)
                        start_stop(bus, argv[2], argv[4]);
                else if (strcmp(what, "death") == 0)
                        death(bus, argv[2], argv[4]);
        }
        if (strcmp(what, "create") == 0 && argc >= 5)
                for (int i = 0; i < atoi(argv[3]); i++) {
                        char name[256];
                        snprintf(name, sizeof name, "%s%d", argv[4], i);
                        free(create(bus, argv[2], argc > 5 ? argv[5] : "overlay", name, "/bin/sleep", "100000"));
                }
        else if (strcmp(what, "start") == 0)
                start_all(bus, argv[2], atoi(argv[3]));
        else if (strcmp(what, "exec") == 0)
                execute_many(bus, argv[2], atoi(argv[3]));
        else if (strcmp(what, "waits") == 0 && argc == 5)
                waits(bus, argv[2], atoi(argv[3]), atoi(argv[4]));
        else if (strcmp(what, "call") == 0 && argc > 5)
                call_many(bus, atoi(argv[2]), argv + 3);
        sd_bus_flush_close_unref(bus);
        return EXIT_SUCCESS;
}
