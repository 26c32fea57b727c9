/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* See fakes.h. */

#include "fakes.h"
#include "base/clock.h"
#include "fakes/fault.h"
#include "runtime/cgroup.h"
#include "storage/rootfs.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define RUN "/run/conbus" /* the sandbox's own; paths of sockets must be short */
#define GATE_USEC 2000 /* between two looks at whether a program waits */

static unsigned count_entries(const char *path) {
        g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
        unsigned n = 0;

        for (const char *name = dir ? g_dir_read_name(dir) : NULL; name; name = g_dir_read_name(dir))
                n++;
        return n;
}

static char *from_environment(const char *variable) {
        const char *value = g_getenv(variable);

        if (!value)
                g_error("%s is not set: this test is run by tests/sandbox, with CONBUS_SANDBOX_FAKES=1", variable);
        return (char *) value;
}

void fakes_set_up(Fixture *fixture, gconstpointer unused) {
        g_autoptr(GError) error = NULL;

        g_assert_true(g_setenv("TMPDIR", from_environment("CONBUS_SANDBOX"), TRUE));
        fixture->n_descriptors = count_entries("/proc/self/fd");
        fixture_prepare(fixture);
        g_free(fixture->paths.run);
        fixture->paths.run = g_strdup(RUN);
        fixture->settings.exit_file_usec = fixture->settings.kill_usec = 2 * TESTING_DEADLINE_USEC; /* a slow machine is no failure */
        fixture->paths.crun = from_environment("CONBUS_CRUN");
        fixture->paths.conmon = from_environment("CONBUS_CONMON");
        fixture->paths.stream = from_environment("CONBUS_STREAM");
        g_assert_cmpint(g_mkdir_with_parents(fixture->paths.state, 0700), ==, 0);
        fixture->store = store_open(fixture->paths.state, fixture->event, &error);
        g_assert_no_error(error);
        fixture_open(fixture);
}

/* --- the census --- */

static void expect_empty(const char *directory) {
        g_autoptr(GDir) dir = g_dir_open(directory, 0, NULL);
        const char *name = dir ? g_dir_read_name(dir) : NULL;

        if (name)
                g_error("%s/%s is left", directory, name);
}

static void expect_no_groups(void) {
        static const char *const hierarchies[] = {"pids", "freezer", "unified", "", NULL};

        for (const char *const *hierarchy = hierarchies; *hierarchy; hierarchy++) {
                g_autofree char *top = g_build_filename("/sys/fs/cgroup", *hierarchy, "conbus", NULL);
                g_autoptr(GDir) dir = g_dir_open(top, 0, NULL);
                for (const char *name = dir ? g_dir_read_name(dir) : NULL; name; name = g_dir_read_name(dir)) {
                        g_autofree char *path = g_build_filename(top, name, NULL);
                        if (g_file_test(path, G_FILE_TEST_IS_DIR))
                                g_error("the group %s is left", path);
                }
        }
}

static void expect_nothing_is_left(Fixture *fixture) {
        g_autofree char *exits = g_build_filename(fixture->paths.run, "exits", NULL), *crun = g_build_filename(fixture->paths.run, "crun", NULL), *top = g_build_filename(fixture->paths.run, "containers", NULL);
        g_autoptr(GDir) dir = g_dir_open(top, 0, NULL);

        expect_empty(exits);
        expect_empty(crun);
        for (const char *name = dir ? g_dir_read_name(dir) : NULL; name; name = g_dir_read_name(dir)) {
                g_autofree char *path = g_build_filename(top, name, NULL);
                expect_empty(path);
        }
        expect_no_groups();
}

void fakes_tear_down(Fixture *fixture, gconstpointer unused) {
        static const char *const directories[] = {RUN "/exits", RUN "/crun", RUN "/containers"};
        g_autofree char *plan = NULL;

        if (g_file_get_contents(FAULT_PLAN, &plan, NULL, NULL) && *plan)
                g_error("these faults were not used: %s", plan);
        (void) unlink(FAULT_PLAN);
        fixture_quiesce(fixture);
        testing_run_idle(fixture->event); /* a streamer that has gone is still to be heard of */
        expect_nothing_is_left(fixture);
        unsigned n_descriptors = fixture->n_descriptors;
        fixture_close(fixture);
        for (size_t i = 0; i < G_N_ELEMENTS(directories); i++)
                testing_directory_free(g_strdup(directories[i]));
        g_assert_cmpuint(count_entries("/proc/self/fd"), ==, n_descriptors);
}

/* --- containers --- */

Container *fakes_add(Fixture *fixture, const char *name, const char *more) {
        g_autofree char *text = g_strdup_printf("{'rootfs': <'%s'>, 'rootfs-mode': <'direct'>, 'command': <['sleep', '1000']>}", from_environment("CONBUS_TEST_ROOTFS"));
        g_autoptr(GVariant) common = testing_parse(text), added = testing_parse(more ? more : "@a{sv} {}"), whole = config_merge(common, added);
        g_autofree char *config = g_variant_print(whole, true);

        return fixture_add(fixture, name, config);
}

Container *fakes_add_started(Fixture *fixture, const char *name, const char *more) {
        Container *container = fakes_add(fixture, name, more);
        g_auto(Answer) answer = {0};

        fixture_do(fixture, container, VERB_START, NULL, &answer);
        g_assert_no_error(answer.error);
        g_assert_cmpint(container->life.state, ==, STATE_RUNNING);
        return container;
}

void fakes_enter_monitor(const char *id, pid_t pid) {
        g_autofree char *file = cgroup_monitor_file(id), *directory = g_path_get_dirname(file);

        g_assert_cmpint(g_mkdir_with_parents(directory, 0755), ==, 0);
        FILE *stream = fopen(file, "we");
        g_assert_nonnull(stream);
        g_assert_cmpint(fprintf(stream, "%d", (int) pid), >, 0);
        g_assert_cmpint(fclose(stream), ==, 0);
}

/* PID 1 of a namespace hears of a signal only with a handler, and it says in the log when it has them. */
Container *fakes_add_heeding(Fixture *fixture, const char *name) {
        Container *container = fakes_add_started(fixture, name, "{'command': <['sh', '-c', 'trap \"exit 7\" TERM; trap \"exit 8\" HUP; trap \"\" USR1; echo ready; while :; do sleep 1000 & wait; done']>}");
        g_autofree char *directory = paths_state_of(&fixture->paths, container->id, NULL);
        gint64 deadline = g_get_monotonic_time() + (gint64) TESTING_DEADLINE_USEC;

        for (;;) {
                g_autofree char *log = testing_read(directory, "log");
                if (log && strstr(log, "ready"))
                        return container;
                g_assert_cmpint(g_get_monotonic_time(), <, deadline);
                g_usleep(1000);
        }
}

bool fakes_group_exists(const char *cgroup) {
        g_autofree char *path = g_build_filename("/sys/fs/cgroup", cgroup_is_unified() ? "" : "pids", cgroup, NULL);

        return access(path, F_OK) == 0;
}

void fakes_enter_group(pid_t pid, const char *cgroup) {
        static const char *const version_1[] = {"pids", "freezer", NULL}, *const unified[] = {"", NULL};
        g_autofree char *number = g_strdup_printf("%d", (int) pid);

        for (const char *const *hierarchy = cgroup_is_unified() ? unified : version_1; *hierarchy; hierarchy++) {
                g_autofree char *directory = g_build_filename("/sys/fs/cgroup", *hierarchy, cgroup, NULL), *file = g_build_filename(directory, "cgroup.procs", NULL);
                g_assert_cmpint(g_mkdir_with_parents(directory, 0755), ==, 0);
                FILE *stream = fopen(file, "we");
                g_assert_nonnull(stream);
                g_assert_cmpint(fputs(number, stream), >=, 0);
                g_assert_cmpint(fclose(stream), ==, 0);
        }
}

void fakes_expect_nothing_runs(Fixture *fixture, Container *container) {
        g_autofree char *place = paths_run_of(&fixture->paths, container->id, NULL), *crun = g_build_filename(fixture->paths.run, "crun", container->id, NULL);
        g_autofree char *exit_file = g_build_filename(fixture->paths.run, "exits", container->id, NULL), *group = cgroup_path_for(container->id);

        expect_empty(place);
        g_assert_false(g_file_test(crun, G_FILE_TEST_EXISTS));
        g_assert_false(g_file_test(exit_file, G_FILE_TEST_EXISTS));
        g_assert_false(fakes_group_exists(group));
        g_assert_false(pidref_is_set(&container->main));
        g_assert_null(container->supervision);
}

static bool is_gone(void *userdata) {
        const pid_t *pid = userdata;

        return kill(*pid, 0) < 0 && errno == ESRCH;
}

void fakes_run_until_gone(Fixture *fixture, pid_t pid) {
        testing_run_until(fixture->event, is_gone, &pid);
}

/* --- the disk --- */

static void note_synced(const GError *error, void *userdata) {
        g_assert_no_error(error);
        (*(unsigned *) userdata)++;
}

/* Which descriptors are open on the write-ahead log, as a set of numbers. */
static GHashTable *list_logs(void) {
        GHashTable *numbers = g_hash_table_new(NULL, NULL);
        g_autoptr(GDir) dir = g_dir_open("/proc/self/fd", 0, NULL);

        for (const char *name = g_dir_read_name(dir); name; name = g_dir_read_name(dir)) {
                g_autofree char *path = g_build_filename("/proc/self/fd", name, NULL), *target = g_file_read_link(path, NULL);
                if (target && g_str_has_suffix(target, "/conbus.db-wal"))
                        g_hash_table_add(numbers, GINT_TO_POINTER(atoi(name)));
        }
        return numbers;
}

void fakes_leave_state(Fixture *fixture, const Container *container) {
        g_autofree char *directory = g_build_filename(fixture->paths.run, "crun", container->id, NULL);

        g_assert_cmpint(g_mkdir_with_parents(directory, 0700), ==, 0);
}

void fakes_break_disk(Fixture *fixture) {
        g_autoptr(GHashTable) before = list_logs(), after = NULL;
        GHashTableIter iter;
        void *number;
        unsigned n = 0;
        int fds[2];

        store_sync(fixture->store, note_synced, &n); /* the first one opens it */
        testing_run_until_count(fixture->event, &n, 1);
        after = list_logs();
        g_assert_cmpuint(g_hash_table_size(after), ==, g_hash_table_size(before) + 1);
        g_assert_cmpint(pipe(fds), ==, 0); /* which cannot be synced */
        g_hash_table_iter_init(&iter, after);
        while (g_hash_table_iter_next(&iter, &number, NULL))
                if (!g_hash_table_contains(before, number))
                        g_assert_cmpint(dup2(fds[0], GPOINTER_TO_INT(number)), >=, 0);
        close(fds[0]);
        close(fds[1]);
}

/* --- faults --- */

void fakes_order(const char *fault) {
        FILE *plan = fopen(FAULT_PLAN, "ae");

        g_assert_nonnull(plan);
        g_assert_cmpint(fprintf(plan, "%s\n", fault), >, 0);
        g_assert_cmpint(fclose(plan), ==, 0);
}

void fakes_cancel(void) {
        (void) unlink(FAULT_PLAN);
}

struct Gate {
        Fixture *fixture;
        char *path;
        int fd;
};

Gate *fakes_gate(Fixture *fixture, const char *point) {
        Gate *gate = g_new0(Gate, 1);

        *gate = (Gate) {.fixture = fixture, .path = g_build_filename(fixture->directory, "gate", NULL), .fd = -1};
        g_assert_cmpint(mkfifo(gate->path, 0600), ==, 0);
        g_autofree char *fault = g_strdup_printf("%s 1 gate %s", point, gate->path);
        fakes_order(fault);
        return gate;
}

static int on_look(sd_event_source *source, guint64 usec, void *userdata) {
        g_assert_cmpint(sd_event_source_set_time(source, clock_boottime_in(GATE_USEC)), >=, 0);
        return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

static bool is_awaited(void *userdata) {
        Gate *gate = userdata;

        if (gate->fd < 0)
                gate->fd = open(gate->path, O_WRONLY | O_NONBLOCK | O_CLOEXEC); /* fails until somebody reads */
        return gate->fd >= 0;
}

void gate_reach(Gate *gate) {
        g_autoptr(sd_event_source) timer = NULL;

        g_assert_cmpint(sd_event_add_time(gate->fixture->event, &timer, CLOCK_BOOTTIME, clock_boottime_in(GATE_USEC), 1, on_look, NULL), >=, 0);
        testing_run_until(gate->fixture->event, is_awaited, gate);
        sd_event_source_disable_unref(g_steal_pointer(&timer));
}

/* Whoever has the gate open for reading: it is a child of this process. */
static void kill_reader(const char *path) {
        g_autofree char *list = g_strdup_printf("/proc/self/task/%d/children", (int) gettid()), *text = NULL;

        g_assert_true(g_file_get_contents(list, &text, NULL, NULL));
        g_auto(GStrv) children = g_strsplit(text, " ", -1);
        for (char **child = children; *child && **child; child++) {
                g_autofree char *directory = g_strdup_printf("/proc/%s/fd", *child);
                g_autoptr(GDir) fds = g_dir_open(directory, 0, NULL);
                for (const char *name = fds ? g_dir_read_name(fds) : NULL; name; name = g_dir_read_name(fds)) {
                        g_autofree char *link = g_build_filename(directory, name, NULL), *target = g_file_read_link(link, NULL);
                        if (g_strcmp0(target, path) == 0)
                                (void) kill((pid_t) atoi(*child), SIGKILL);
                }
        }
}

void gate_kill(Gate *gate) {
        kill_reader(gate->path);
        gate_open(gate);
}

void gate_open(Gate *gate) {
        if (gate->fd < 0)
                gate_reach(gate);
        close(gate->fd);
        g_assert_cmpint(unlink(gate->path), ==, 0);
        g_free(gate->path);
        g_free(gate);
}
