/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A client in C that knows GLib and nothing else (GDBus, GUnixFDList): everything for which descriptors go over the bus, either way. Run in tests/sandbox on real conmon and crun. */

#include <gio/gio.h>
#include <gio/gunixfdlist.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define NAME "io.conbus1"
#define CONTAINER NAME ".Container"
#define PROCESS NAME ".Process"
#define DEADLINE_MSEC 60000

typedef struct Fixture {
        GDBusConnection *bus;
        GUnixFDList *received; /* of the last answer; NULL: none */
        char *path; /* of the container */
} Fixture;

/* --- calls --- */

/* sent may be NULL; it is taken, and so is arguments. */
static GVariant *call(Fixture *fixture, const char *path, const char *interface, const char *method, GVariant *arguments, GUnixFDList *sent) {
        g_autoptr(GError) error = NULL;

        g_clear_object(&fixture->received);
        GVariant *answer = g_dbus_connection_call_with_unix_fd_list_sync(fixture->bus, NAME, path, interface, method, arguments, NULL, G_DBUS_CALL_FLAGS_NONE, DEADLINE_MSEC, sent, &fixture->received, NULL, &error);
        g_assert_no_error(error);
        g_clear_object(&sent);
        return answer;
}

static void call_plain(Fixture *fixture, const char *path, const char *interface, const char *method, GVariant *arguments) {
        g_variant_unref(call(fixture, path, interface, method, arguments, NULL));
}

static int take_fd(Fixture *fixture, gint32 handle) {
        g_autoptr(GError) error = NULL;
        int fd = g_unix_fd_list_get(fixture->received, handle, &error);

        g_assert_no_error(error);
        return fd;
}

static char *read_to_end(int fd) {
        GString *text = g_string_new(NULL);
        struct pollfd readable = {.fd = fd, .events = POLLIN};
        char bytes[4096];
        ssize_t n = 1;

        while (n > 0 && poll(&readable, 1, DEADLINE_MSEC) == 1) {
                n = read(fd, bytes, sizeof bytes);
                g_string_append_len(text, bytes, MAX(n, 0));
        }
        g_assert_cmpint(n, <=, 0); /* the deadline has not passed; a terminal ends with an error */
        close(fd);
        return g_string_free(text, FALSE);
}

static void write_text(int fd, const char *text, size_t size) {
        g_assert_cmpint(write(fd, text, size), ==, (gssize) size);
}

static void make(Fixture *fixture, const char *script) {
        const char *const command[] = {"sh", "-c", script, NULL};
        GVariantDict config;

        g_variant_dict_init(&config, NULL);
        g_variant_dict_insert(&config, "rootfs", "s", g_getenv("CONBUS_TEST_ROOTFS"));
        g_variant_dict_insert(&config, "command", "^as", command);
        g_variant_dict_insert(&config, "stdin-open", "b", TRUE);
        g_variant_dict_insert(&config, "stdin-once", "b", TRUE);
        g_autoptr(GVariant) answer = call(fixture, "/io/conbus1", NAME ".Manager", "CreateContainer", g_variant_new("(ss@a{sv})", "", "", g_variant_dict_end(&config)), NULL);
        g_variant_get(answer, "(o)", &fixture->path);
}

static void start(Fixture *fixture, const char *script) {
        make(fixture, script);
        call_plain(fixture, fixture->path, CONTAINER, "Start", NULL);
}

/* The caller's end of an attachment in the framing raw. */
static int attach(Fixture *fixture, const char *path, const char *interface) {
        gint32 handle;
        const char *framing, *job;
        g_autoptr(GVariant) answer = call(fixture, path, interface, "OpenAttach", g_variant_new_parsed("({'framing': <'raw'>},)"), NULL);

        g_variant_get(answer, "(h&s&o)", &handle, &framing, &job);
        g_assert_cmpstr(framing, ==, "raw");
        g_assert_true(g_str_has_prefix(job, "/io/conbus1/job/"));
        return take_fd(fixture, handle);
}

static char *exec(Fixture *fixture, const char *script, const char *options) {
        const char *const command[] = {"sh", "-c", script, NULL};
        char *process;
        g_autoptr(GVariant) answer = call(fixture, fixture->path, CONTAINER, "Exec", g_variant_new("(^as@a{sv})", command, g_variant_new_parsed(options)), NULL);

        g_variant_get(answer, "(ou)", &process, NULL);
        return process;
}

static void expect_code(Fixture *fixture, const char *process, int code) {
        g_autoptr(GVariant) answer = call(fixture, process, PROCESS, "Wait", NULL, NULL);
        g_autofree char *text = g_variant_print(answer, FALSE), *wanted = g_strdup_printf("(%d, 0)", code);

        g_assert_cmpstr(text, ==, wanted);
}

/* --- around each test --- */

static void set_up(Fixture *fixture, gconstpointer unused) {
        g_autoptr(GError) error = NULL;

        fixture->bus = g_dbus_connection_new_for_address_sync(g_getenv("DBUS_SYSTEM_BUS_ADDRESS"), G_DBUS_CONNECTION_FLAGS_AUTHENTICATION_CLIENT | G_DBUS_CONNECTION_FLAGS_MESSAGE_BUS_CONNECTION, NULL, NULL, &error);
        g_assert_no_error(error);
}

static void tear_down(Fixture *fixture, gconstpointer unused) {
        call_plain(fixture, fixture->path, CONTAINER, "RemoveWith", g_variant_new_parsed("({'force': <true>, 'timeout-usec': <uint64 0>},)"));
        g_clear_object(&fixture->received);
        g_clear_object(&fixture->bus);
        g_clear_pointer(&fixture->path, g_free);
}

/* --- tests --- */

static void test_attach(Fixture *fixture, gconstpointer unused) {
        start(fixture, "cat; echo end");
        int fd = attach(fixture, fixture->path, CONTAINER);

        write_text(fd, "round and back\n", strlen("round and back\n"));
        g_assert_cmpint(shutdown(fd, SHUT_WR), ==, 0);
        g_autofree char *text = read_to_end(fd);
        g_assert_cmpstr(text, ==, "round and back\nend\n");
}

static void test_start_with_attach(Fixture *fixture, gconstpointer unused) {
        gint32 handle;

        make(fixture, "echo first; exit 3");
        g_autoptr(GVariant) answer = call(fixture, fixture->path, CONTAINER, "StartWith", g_variant_new_parsed("({'attach': <{'framing': <'raw'>}>},)"), NULL);
        g_autoptr(GVariant) result = g_variant_get_child_value(answer, 1);
        g_assert_true(g_variant_lookup(result, "stream", "h", &handle));
        g_autofree char *text = read_to_end(take_fd(fixture, handle));
        g_assert_cmpstr(text, ==, "first\n");
}

static void test_exec_with_input(Fixture *fixture, gconstpointer unused) {
        start(fixture, "sleep 1000");
        g_autofree char *process = exec(fixture, "cat; exit 4", "{'start': <false>}");
        int fd = attach(fixture, process, PROCESS);

        call_plain(fixture, process, PROCESS, "Start", NULL);
        write_text(fd, "to it\n", strlen("to it\n"));
        g_assert_cmpint(shutdown(fd, SHUT_WR), ==, 0);
        g_autofree char *text = read_to_end(fd);
        g_assert_cmpstr(text, ==, "to it\n");
        expect_code(fixture, process, 4);
}

static void test_spawn_with_own_descriptors(Fixture *fixture, gconstpointer unused) {
        const char *const words[] = {"sh", "-c", "cat; pwd; echo $A", NULL};
        int in[2], out[2];
        const char *process;

        start(fixture, "sleep 1000");
        g_assert_true(pipe(in) == 0 && pipe(out) == 0);
        g_autoptr(GUnixFDList) sent = g_unix_fd_list_new();
        g_assert_cmpint(g_unix_fd_list_append(sent, in[0], NULL), ==, 0);
        g_assert_cmpint(g_unix_fd_list_append(sent, out[1], NULL), ==, 1);
        close(in[0]);
        close(out[1]);
        g_autoptr(GVariant) answer = call(fixture, fixture->path, CONTAINER, "Spawn", g_variant_new("(^ay^aay@a{uh}@a{ss}@a{sv})", "/etc", words, g_variant_new_parsed("{uint32 0: handle 0, 1: 1}"), g_variant_new_parsed("{'A': 'b'}"), g_variant_new("a{sv}", NULL)), g_steal_pointer(&sent));
        g_variant_get(answer, "(&ou)", &process, NULL);
        write_text(in[1], "mine\n", strlen("mine\n"));
        close(in[1]);
        g_autofree char *text = read_to_end(out[0]);
        g_assert_cmpstr(text, ==, "mine\n/etc\nb\n");
        expect_code(fixture, process, 0);
}

static void test_open_shell(Fixture *fixture, gconstpointer unused) {
        const char *const none[] = {NULL};
        const char *name;
        gint32 handle;

        start(fixture, "sleep 1000");
        g_autoptr(GVariant) answer = call(fixture, fixture->path, CONTAINER, "OpenShell", g_variant_new("(ss^as^as)", "", "/bin/sh", none, none), NULL);
        g_variant_get(answer, "(h&s)", &handle, &name);
        g_assert_true(g_str_has_prefix(name, "/dev/"));
        int fd = take_fd(fixture, handle);
        write_text(fd, "echo $((40+2)); exit\n", strlen("echo $((40+2)); exit\n"));
        g_autofree char *text = read_to_end(fd);
        g_assert_nonnull(strstr(text, "\r\n42\r\n"));
}

static void test_open_log(Fixture *fixture, gconstpointer unused) {
        gint32 handle;

        start(fixture, "echo one; read x; echo two");
        g_autoptr(GVariant) answer = call(fixture, fixture->path, CONTAINER, "OpenLog", g_variant_new_parsed("({'follow': <true>},)"), NULL);
        g_variant_get(answer, "(h)", &handle);
        int log = take_fd(fixture, handle), stream = attach(fixture, fixture->path, CONTAINER);
        write_text(stream, "\n", 1);
        g_autofree char *text = read_to_end(log);
        close(stream);
        g_assert_cmpstr(text, ==, "one\ntwo\n");
}

static void expect_ended(int pidfd) {
        struct pollfd ended = {.fd = pidfd, .events = POLLIN};

        g_assert_cmpint(poll(&ended, 1, DEADLINE_MSEC), ==, 1);
        close(pidfd);
}

static void test_open_wait_and_pidfd(Fixture *fixture, gconstpointer unused) {
        gint32 handle;
        guint32 pid;
        guint64 run;

        start(fixture, "sleep 1000");
        g_autoptr(GVariant) wait = call(fixture, fixture->path, CONTAINER, "OpenWait", g_variant_new_parsed("(['stopped'], @a{sv} {})"), NULL);
        g_variant_get(wait, "(h)", &handle);
        int waiting = take_fd(fixture, handle);
        g_autoptr(GVariant) answer = call(fixture, fixture->path, CONTAINER, "OpenPidFd", NULL, NULL);
        g_variant_get(answer, "(hut)", &handle, &pid, &run);
        g_assert_true(pid > 0 && run == 1);
        int pidfd = take_fd(fixture, handle);
        call_plain(fixture, fixture->path, CONTAINER, "Kill", g_variant_new("(si)", "leader", SIGKILL));
        expect_ended(pidfd);
        g_autofree char *line = read_to_end(waiting);
        g_assert_nonnull(strstr(line, "\"exit-code\":137"));
}

static void test_pidfd_of_a_process(Fixture *fixture, gconstpointer unused) {
        gint32 handle;

        start(fixture, "sleep 1000");
        g_autofree char *process = exec(fixture, "sleep 1000", "@a{sv} {}");
        g_autoptr(GVariant) wait = call(fixture, process, PROCESS, "OpenWait", NULL, NULL);
        g_variant_get(wait, "(h)", &handle);
        int waiting = take_fd(fixture, handle);
        g_autoptr(GVariant) answer = call(fixture, process, PROCESS, "OpenPidFd", NULL, NULL);
        g_variant_get(answer, "(hu)", &handle, NULL);
        int pidfd = take_fd(fixture, handle);
        call_plain(fixture, process, PROCESS, "Kill", g_variant_new("(i)", SIGKILL));
        expect_ended(pidfd);
        g_autofree char *line = read_to_end(waiting);
        g_assert_nonnull(strstr(line, "\"exit-code\":137"));
}

#define ADD(name, function) g_test_add("/gdbus-client/" name, Fixture, NULL, set_up, function, tear_down)

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        if (!g_getenv("CONBUS_SANDBOX"))
                g_error("this test is run by tests/sandbox");
        ADD("attach", test_attach);
        ADD("start-with-attach", test_start_with_attach);
        ADD("exec-with-input", test_exec_with_input);
        ADD("spawn-with-own-descriptors", test_spawn_with_own_descriptors);
        ADD("open-shell", test_open_shell);
        ADD("open-log", test_open_log);
        ADD("open-wait-and-pidfd", test_open_wait_and_pidfd);
        ADD("pidfd-of-a-process", test_pidfd_of_a_process);
        return g_test_run();
}
