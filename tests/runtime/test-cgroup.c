/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Control groups on the kernel's own, in the view of tests/sandbox: version 1 or unified, as the machine has it. */

#include "runtime/cgroup.h"
#include "runtime/process.h"
#include "testing.h"
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define TOP "/sys/fs/cgroup"
#define ID "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define GROUP "/conbus/" ID

/* The hierarchies that the tests use; "" is the unified one. */
static const char *const *hierarchies(void) {
        static const char *const version_1[] = {"pids", "freezer", NULL}, *const unified[] = {"", NULL};

        return cgroup_is_unified() ? unified : version_1;
}

static char *path_in(const char *hierarchy, const char *cgroup, const char *file) {
        return g_build_filename(TOP, cgroup_is_unified() ? "" : hierarchy, cgroup, file, NULL);
}

static bool exists(const char *hierarchy, const char *cgroup) {
        g_autofree char *path = path_in(hierarchy, cgroup, NULL);

        return access(path, F_OK) == 0;
}

static bool put(const char *hierarchy, const char *cgroup, const char *file, const char *text) {
        g_autofree char *path = path_in(hierarchy, cgroup, file);
        FILE *stream = fopen(path, "we");
        bool done = stream && fputs(text, stream) >= 0;

        return stream && fclose(stream) == 0 && done;
}

static void make(const char *cgroup) {
        for (const char *const *hierarchy = hierarchies(); *hierarchy; hierarchy++) {
                g_autofree char *path = path_in(*hierarchy, cgroup, NULL);
                g_assert_cmpint(g_mkdir_with_parents(path, 0755), ==, 0);
        }
}

static pid_t child_in(const char *cgroup) {
        pid_t pid = testing_child_new();
        g_autofree char *number = g_strdup_printf("%d", (int) pid);

        make(cgroup);
        for (const char *const *hierarchy = hierarchies(); *hierarchy; hierarchy++)
                g_assert_true(put(*hierarchy, cgroup, "cgroup.procs", number));
        return pid;
}

/* The signal it ended by, 0 if it lives. */
static int ended_by(pid_t pid, bool wait) {
        int status = 0;

        if (waitpid(pid, &status, wait ? 0 : WNOHANG) != pid)
                return 0;
        return WTERMSIG(status);
}

static void end(pid_t pid) {
        g_assert_cmpint(kill(pid, SIGKILL), ==, 0);
        g_assert_cmpint(ended_by(pid, true), ==, SIGKILL);
}

/* --- names --- */

static void test_the_id_in_a_path(void) {
        static const struct {
                const char *path;
                bool found;
        } table[] = {
                {"/conbus/" ID, true},
                {"/conbus/" ID "/conbus-check", true},
                {"/a/conbus/" ID, true},
                {"/machine.slice/conbus-" ID ".scope", true},
                {"/machine.slice/conbus-" ID ".scope/container", true},
                {"/conbus/monitor-" ID, false},
                {"/podman/" ID, false},
                {"/" ID, false},
                {ID, false},
                {"/conbus/" ID "0", false},
                {"/conbus/0123", false},
                {"/conbus/" "X123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef", false},
                {"/conbus", false},
                {"/", false},
                {"", false},
        };

        for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
                g_autofree char *id = cgroup_container_id(table[i].path);
                if ((id != NULL) != table[i].found)
                        g_error("%s: %s", table[i].path, id ? id : "none");
                g_assert_cmpstr(id, ==, table[i].found ? ID : NULL);
        }
}

static void test_the_path_of_an_id_leads_back(void) {
        g_autofree char *path = cgroup_path_for(ID), *id = cgroup_container_id(path);

        g_assert_cmpstr(path, ==, GROUP);
        g_assert_cmpstr(id, ==, ID);
}

/* --- membership --- */

static void test_a_process_is_found_in_its_group(void) {
        pid_t pid = child_in(GROUP);
        g_autofree char *cgroup = cgroup_of_pid(pid);

        g_assert_cmpstr(cgroup, ==, GROUP);
        end(pid);
        g_assert_null(cgroup_of_pid(pid));
        cgroup_remove(GROUP);
}

typedef struct Monitor {
        unsigned n;
        char *cgroup;
} Monitor;

static void on_monitor_ended(const ProcessResult *result, void *userdata) {
        Monitor *monitor = userdata;

        g_assert_cmpstr(result->errors, ==, "");
        monitor->cgroup = g_strdup(result->output);
        monitor->n++;
}

/* It is there already while the monitor of another run is in it, and may go before the process has entered it. Nothing but that process makes it. */
static void test_a_monitor_enters_a_group_of_its_own(gconstpointer there) {
        g_autofree char *file = cgroup_monitor_file(ID), *directory = g_path_get_dirname(file), *parent = g_path_get_dirname(directory);
        g_autoptr(GError) error = NULL;
        sd_event *event = NULL;
        Monitor monitor = {};
        ProcessSpec spec = PROCESS_SPEC_INIT;

        g_assert_cmpint(sd_event_new(&event), >=, 0);
        g_autoptr(Reaper) reaper = reaper_new(event);
        g_assert_false(exists("pids", "/conbus/monitor-" ID));
        if (GPOINTER_TO_INT(there))
                g_assert_cmpint(g_mkdir_with_parents(directory, 0755), ==, 0);
        else
                (void) !rmdir(parent); /* which is empty when this runs alone */
        spec.argv = (const char *const[]) {"cat", "/proc/self/cgroup", NULL};
        spec.cgroup_file = file;
        spec.hold = true;
        Process *process = process_begin(event, reaper, &spec, on_monitor_ended, &monitor, &error);
        g_assert_nonnull(process);
        process_release(process);
        testing_run_until_count(event, &monitor.n, 1);
        g_assert_nonnull(strstr(monitor.cgroup, ":/conbus/monitor-" ID "\n"));
        cgroup_remove_monitor(ID);
        g_assert_false(exists("pids", "/conbus/monitor-" ID));
        cgroup_remove_monitor(ID);
        g_free(monitor.cgroup);
        sd_event_unref(event);
}

static bool is_group_file(const char *file, const char *cgroup) {
        g_autofree char *end = g_strconcat(cgroup, cgroup_is_unified() ? "/monitor/cgroup.procs" : "/tasks", NULL);

        return g_str_has_suffix(file, end) && access(file, W_OK) == 0;
}

/* What runs in a scope is in all of its groups. */
static void test_a_monitor_enters_every_group_of_a_scope(void) {
        static const char scope[] = "/conbus/conbus-" ID ".scope";
        g_autoptr(GError) error = NULL;
        guint n = 0;

        make(scope);
        g_auto(GStrv) files = cgroup_monitor_files(scope, &error);
        g_assert_no_error(error);
        for (const char *const *hierarchy = hierarchies(); *hierarchy; hierarchy++)
                n++;
        g_assert_cmpuint(g_strv_length(files), ==, n);
        for (guint i = 0; i < n; i++)
                g_assert_true(is_group_file(files[i], scope));
        cgroup_remove(scope);
}

static void test_a_scope_that_has_gone_cannot_be_entered(void) {
        g_autoptr(GError) error = NULL;

        g_assert_null(cgroup_monitor_files("/no/such/conbus-" ID ".scope", &error));
        testing_expect_error(&error, CONBUS_ERROR_UNIT_FAILED, "there is no control group /no/such/conbus-");
}

static int compare_pids(const void *a, const void *b) {
        return (*(CgroupProcess *const *) a)->pid - (*(CgroupProcess *const *) b)->pid;
}

static void test_a_list_holds_the_groups_below(void) {
        pid_t top = child_in(GROUP), below = child_in(GROUP "/a/b"), other = child_in("/conbus/other");
        g_autoptr(GPtrArray) list = cgroup_list(GROUP), none = cgroup_list("/conbus/nothing");

        g_ptr_array_sort(list, compare_pids);
        g_assert_cmpuint(list->len, ==, 2);
        bool top_first = top < below;
        CgroupProcess *first = list->pdata[top_first ? 0 : 1], *second = list->pdata[top_first ? 1 : 0];
        g_assert_cmpint(first->pid, ==, top);
        g_assert_cmpstr(first->cgroup, ==, GROUP);
        g_assert_cmpint(second->pid, ==, below);
        g_assert_cmpstr(second->cgroup, ==, GROUP "/a/b");
        g_assert_cmpuint(none->len, ==, 0);
        end(top);
        end(below);
        end(other);
        cgroup_remove(GROUP);
        cgroup_remove("/conbus/other");
}

static void test_the_root_is_no_group(void) {
        g_autoptr(GPtrArray) root = cgroup_list("/"), empty = cgroup_list("");
        unsigned n = 7;

        g_assert_cmpuint(root->len + empty->len, ==, 0);
        g_assert_true(cgroup_signal("/", SIGTERM, &n, NULL)); /* would end this test */
        g_assert_cmpuint(n, ==, 0);
        g_assert_true(cgroup_signal("", SIGKILL, &n, NULL));
        g_assert_cmpuint(n, ==, 0);
        cgroup_remove("/");
        cgroup_remove("");
        g_assert_true(cgroup_thaw("", NULL));
        g_assert_false(cgroup_is_frozen("/"));
        g_assert_true(exists("pids", ""));
}

static void test_a_removal_takes_the_groups_below(void) {
        make(GROUP "/a/b");
        make(GROUP "/c");
        cgroup_remove(GROUP);
        for (const char *const *hierarchy = hierarchies(); *hierarchy; hierarchy++)
                g_assert_false(exists(*hierarchy, GROUP));
        cgroup_remove(GROUP);
}

static void test_a_child_group_is_made(void) {
        g_autoptr(GError) error = NULL;

        make(GROUP);
        g_assert_true(cgroup_make_child(GROUP, "conbus-check", &error));
        g_assert_no_error(error);
        for (const char *const *hierarchy = hierarchies(); *hierarchy; hierarchy++)
                g_assert_true(exists(*hierarchy, GROUP "/conbus-check"));
        g_assert_true(cgroup_make_child(GROUP, "conbus-check", &error)); /* it may be there */
        cgroup_remove(GROUP);
}

static void test_a_child_group_of_nothing_cannot_be_made(void) {
        g_autoptr(GError) error = NULL;

        g_assert_false(cgroup_make_child("/no/such/group", "conbus-check", &error));
        testing_expect_error(&error, CONBUS_ERROR_INTERNAL, "make the control group /no/such/group/conbus-check");
}

/* --- signals --- */

static void test_a_signal_goes_to_every_member_and_to_nobody_else(void) {
        pid_t top = child_in(GROUP), below = child_in(GROUP "/a"), other = child_in("/conbus/other");
        unsigned n = 0;

        g_assert_true(cgroup_signal(GROUP, SIGTERM, &n, NULL));
        g_assert_cmpuint(n, ==, 2);
        g_assert_cmpint(ended_by(top, true), ==, SIGTERM);
        g_assert_cmpint(ended_by(below, true), ==, SIGTERM);
        g_assert_cmpint(ended_by(other, false), ==, 0);
        end(other);
        cgroup_remove(GROUP);
        cgroup_remove("/conbus/other");
}

static void test_a_signal_to_an_empty_group(void) {
        unsigned n = 7;

        make(GROUP);
        g_assert_true(cgroup_signal(GROUP, SIGTERM, &n, NULL));
        g_assert_cmpuint(n, ==, 0);
        cgroup_remove(GROUP);
        g_assert_true(cgroup_signal(GROUP, SIGKILL, &n, NULL));
        g_assert_cmpuint(n, ==, 0);
}

/* A process that forks as fast as it can until a limit. */
static pid_t breeder_in(const char *cgroup) {
        int ready[2];
        char byte;

        g_assert_cmpint(pipe(ready), ==, 0);
        pid_t pid = fork();
        if (pid == 0) {
                g_autofree char *number = g_strdup_printf("%d", (int) getpid());
                for (const char *const *hierarchy = hierarchies(); *hierarchy; hierarchy++)
                        (void) put(*hierarchy, cgroup, "cgroup.procs", number);
                close(ready[0]);
                (void) !write(ready[1], "", 1);
                close(ready[1]);
                for (int i = 0; i < 300; i++)
                        if (fork() == 0)
                                break;
                for (;;)
                        pause();
        }
        close(ready[1]);
        g_assert_cmpint(read(ready[0], &byte, 1), ==, 1);
        close(ready[0]);
        return pid;
}

static bool is_empty(void *userdata) {
        g_autoptr(GPtrArray) left = cgroup_list(GROUP);

        while (waitpid(-1, NULL, WNOHANG) > 0)
                ;
        return left->len == 0;
}

static void test_sigkill_reaches_what_is_born_meanwhile(void) {
        g_autoptr(sd_event) event = NULL;
        unsigned n = 0;

        g_assert_cmpint(sd_event_new(&event), >=, 0);
        make(GROUP);
        (void) breeder_in(GROUP);
        g_assert_true(cgroup_signal(GROUP, SIGKILL, &n, NULL));
        gint64 deadline = g_get_monotonic_time() + (gint64) TESTING_DEADLINE_USEC;
        while (!is_empty(NULL) && g_get_monotonic_time() < deadline)
                (void) waitpid(-1, NULL, 0);
        g_assert_true(is_empty(NULL));
        cgroup_remove(GROUP);
}

/* --- the freezer, memory --- */

static void freeze(const char *cgroup) {
        g_assert_true(cgroup_is_unified() ? put("", cgroup, "cgroup.freeze", "1") : put("freezer", cgroup, "freezer.state", "FROZEN"));
}

/* Version 2 may let a fatal signal through (kernel/signal.c, complete_signal), version 1 keeps even SIGKILL. */
static void test_a_frozen_group_is_seen_and_thawed(void) {
        pid_t pid = child_in(GROUP);
        g_autoptr(GError) error = NULL;

        g_assert_false(cgroup_is_frozen(GROUP));
        freeze(GROUP);
        g_assert_true(cgroup_is_frozen(GROUP));
        g_assert_cmpint(kill(pid, SIGTERM), ==, 0);
        bool ended = ended_by(pid, false) == SIGTERM;
        g_assert_true(!ended || cgroup_is_unified());
        g_assert_true(cgroup_thaw(GROUP, &error));
        g_assert_no_error(error);
        g_assert_true(ended || ended_by(pid, true) == SIGTERM);
        g_assert_false(cgroup_is_frozen(GROUP));
        cgroup_remove(GROUP);
}

static void test_a_group_that_is_gone_cannot_be_thawed(void) {
        g_autoptr(GError) error = NULL;

        g_assert_false(cgroup_is_frozen("/conbus/nothing"));
        g_assert_false(cgroup_thaw("/conbus/nothing", &error));
        testing_expect_error(&error, CONBUS_ERROR_INTERNAL, "thaw the control group /conbus/nothing");
}

static void run_out_of_memory(void) {
        for (;;) {
                char *page = g_malloc(1 << 20);
                memset(page, 1, 1 << 20);
        }
}

static void test_a_kill_for_memory_is_counted(void) {
        const char *limit = cgroup_is_unified() ? "memory.max" : "memory.limit_in_bytes";
        g_autofree char *directory = path_in("memory", GROUP, NULL);

        g_assert_cmpuint(cgroup_oom_kills(GROUP), ==, 0);
        g_assert_cmpint(g_mkdir_with_parents(directory, 0755), ==, 0);
        if (cgroup_is_unified())
                g_assert_true(put("", "/conbus", "cgroup.subtree_control", "+memory"));
        g_assert_true(put("memory", GROUP, limit, "4194304"));
        (void) put("memory", GROUP, cgroup_is_unified() ? "memory.swap.max" : "memory.memsw.limit_in_bytes", cgroup_is_unified() ? "0" : "4194304");
        pid_t pid = fork();
        if (pid == 0) {
                if (!put("memory", GROUP, "cgroup.procs", "0"))
                        _exit(1);
                run_out_of_memory();
        }
        g_assert_cmpint(ended_by(pid, true), ==, SIGKILL);
        g_assert_cmpuint(cgroup_oom_kills(GROUP), ==, 1);
        cgroup_remove(GROUP);
}

static void test_a_move_to_where_one_is(void) {
        g_autofree char *file = cgroup_own_file(), *before = cgroup_of_pid(getpid());
        const char *const argv[] = {"stay", file, NULL}, *const nowhere[] = {"stay", "/nonexistent/cgroup.procs", NULL};

        g_assert_nonnull(file);
        g_assert_cmpint(cgroup_stay(argv), ==, 0);
        g_autofree char *after = cgroup_of_pid(getpid());
        g_assert_cmpstr(after, ==, before);
        g_assert_cmpint(cgroup_stay(nowhere), ==, ENOENT);
}

static bool has_memory_controller(void) {
        g_autofree char *text = NULL;

        return cgroup_is_unified() ? g_file_get_contents(TOP "/cgroup.controllers", &text, NULL, NULL) && strstr(text, "memory") : access(TOP "/memory", F_OK) == 0;
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/cgroup/the-id-in-a-path", test_the_id_in_a_path);
        g_test_add_func("/cgroup/the-path-of-an-id-leads-back", test_the_path_of_an_id_leads_back);
        g_test_add_func("/cgroup/a-process-is-found-in-its-group", test_a_process_is_found_in_its_group);
        g_test_add_data_func("/cgroup/a-monitor-enters-a-group-of-its-own", GINT_TO_POINTER(false), test_a_monitor_enters_a_group_of_its_own);
        g_test_add_data_func("/cgroup/a-monitor-enters-a-group-that-is-there", GINT_TO_POINTER(true), test_a_monitor_enters_a_group_of_its_own);
        g_test_add_func("/cgroup/a-monitor-enters-every-group-of-a-scope", test_a_monitor_enters_every_group_of_a_scope);
        g_test_add_func("/cgroup/a-scope-that-has-gone-cannot-be-entered", test_a_scope_that_has_gone_cannot_be_entered);
        g_test_add_func("/cgroup/a-list-holds-the-groups-below", test_a_list_holds_the_groups_below);
        g_test_add_func("/cgroup/the-root-is-no-group", test_the_root_is_no_group);
        g_test_add_func("/cgroup/a-removal-takes-the-groups-below", test_a_removal_takes_the_groups_below);
        g_test_add_func("/cgroup/a-child-group-is-made", test_a_child_group_is_made);
        g_test_add_func("/cgroup/a-child-group-of-nothing-cannot-be-made", test_a_child_group_of_nothing_cannot_be_made);
        g_test_add_func("/cgroup/a-signal-goes-to-every-member-and-to-nobody-else", test_a_signal_goes_to_every_member_and_to_nobody_else);
        g_test_add_func("/cgroup/a-signal-to-an-empty-group", test_a_signal_to_an_empty_group);
        g_test_add_func("/cgroup/sigkill-reaches-what-is-born-meanwhile", test_sigkill_reaches_what_is_born_meanwhile);
        g_test_add_func("/cgroup/a-frozen-group-is-seen-and-thawed", test_a_frozen_group_is_seen_and_thawed);
        g_test_add_func("/cgroup/a-group-that-is-gone-cannot-be-thawed", test_a_group_that_is_gone_cannot_be_thawed);
        g_test_add_func("/cgroup/a-move-to-where-one-is", test_a_move_to_where_one_is);
        if (has_memory_controller())
                g_test_add_func("/cgroup/a-kill-for-memory-is-counted", test_a_kill_for_memory_is_counted);
        return g_test_run();
}
