/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The test is the service manager, and makes the control groups that systemd would make: what is asked of it, and what becomes of processes that are left at the end. A step of the test stands where the operation would go on. */

#include "fixture.h"
#include "fake-bus.h"
#include "runtime/cgroup.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define TOP "/sys/fs/cgroup"
#define SLICE "/conbus-test.slice"

typedef struct Case {
        Fixture base;
        FakeBus *bus;
        Units *units;
        GPtrArray *calls; /* of text */
        GArray *fds;
        bool refuse;
        Container *container;
        Operation *operation;
        char *scope; /* its unit */
        unsigned before;
} Case;

static unsigned n_continued; /* of the operation in question */

static void on_continued(Operation *operation) {
        n_continued++;
}

static void on_call(FakeBus *bus, sd_bus_message *call, void *userdata) {
        Case *test = userdata;

        if (sd_bus_message_is_method_call(call, NULL, "Subscribe"))
                return;
        g_ptr_array_add(test->calls, fake_bus_text_of(call, test->fds));
        if (test->refuse)
                g_assert_cmpint(sd_bus_reply_method_errorf(call, SD_BUS_ERROR_FAILED, "no"), >=, 0);
        else
                g_assert_cmpint(sd_bus_reply_method_return(call, "o", "/org/freedesktop/systemd1/job/1"), >=, 0);
}

/* An operation by itself, in nobody's queue. */
static Operation *operation_of(Case *test) {
        Operation *operation = g_new0(Operation, 1);

        *operation = (Operation) {.n_references = 1, .engine = test->base.engine, .container = container_ref(test->container), .verb = VERB_STOP, .options = testing_parse("@a{sv} {}"), .main = PIDREF_NULL};
        operation->steps = g_array_new(FALSE, FALSE, sizeof(Step));
        operation_then(operation, on_continued);
        return operation;
}

static void begin(Case *test, const char *config) {
        test->container = fixture_add(&test->base, "web", config);
        test->scope = cgroup_scope_of(test->container->id);
        test->operation = operation_of(test);
        testing_run_idle(test->base.event);
}

static void case_set_up(Case *test, gconstpointer unused) {
        n_continued = 0;
        fixture_set_up(&test->base, NULL);
        test->bus = fake_bus_new(test->base.event, on_call, test);
        test->base.engine->units = test->units = units_new(test->bus->client, test->base.event);
        test->calls = g_ptr_array_new_with_free_func(g_free);
        test->fds = g_array_new(FALSE, FALSE, sizeof(int));
}

static bool conmon_is_gone(void *conmon) {
        return !conmon_pid(conmon);
}

static void case_tear_down(Case *test, gconstpointer unused) {
        scope_forget(test->operation);
        if (test->operation->conmon) {
                conmon_kill(test->operation->conmon);
                testing_run_until(test->base.event, conmon_is_gone, test->operation->conmon);
                g_clear_pointer(&test->operation->conmon, conmon_free);
        }
        operation_unref(test->operation);
        test->base.engine->units = NULL;
        units_free(test->units);
        fake_bus_free(test->bus);
        g_ptr_array_unref(test->calls);
        for (guint i = 0; i < test->fds->len; i++)
                close_fd(g_array_index(test->fds, int, i));
        g_array_unref(test->fds);
        g_free(test->scope);
        fixture_tear_down(&test->base, NULL);
}

static void job_done(Case *test, const char *result) {
        testing_run_idle(test->base.event);
        fake_bus_signal(test->bus, "/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager", "JobRemoved", "uoss", 1u, "/org/freedesktop/systemd1/job/1", test->scope, result);
}

static void unit_gone(Case *test) {
        fake_bus_signal(test->bus, "/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager", "UnitRemoved", "so", test->scope, "/org/freedesktop/systemd1/unit/x");
}

static void expect_continued(Case *test) {
        testing_run_until_count(test->base.event, &n_continued, 1);
        testing_run_idle(test->base.event);
        g_assert_cmpuint(n_continued, ==, 1);
        g_assert_null(test->operation->unit_job);
        g_assert_null(test->operation->scope_end);
}

/* --- beginning --- */

static void on_launched(PidRef *main, const GError *error, void *userdata) {
        g_assert_not_reached();
}

static void begin_scope(Case *test, const char *config) {
        const ConmonLaunch launch = {.id = test->container ? test->container->id : "x", .name = "web", .bundle = test->base.directory, .persist_dir = test->base.directory, .exit_dir = test->base.directory, .log_driver = "none"};
        g_autoptr(GError) error = NULL;

        begin(test, config);
        test->operation->conmon = conmon_begin(test->base.event, test->base.reaper, &test->base.paths, &launch, on_launched, NULL, &error);
        g_assert_no_error(error);
        test->operation->step_error = g_error_new(CONBUS_ERROR, CONBUS_ERROR_INTERNAL, "of an earlier step");
        scope_begin(test->operation);
        g_assert_cmpuint(n_continued, ==, 0);
        testing_run_until_count(test->base.event, &test->calls->len, 1);
}

static void expect_asked_for(Case *test, const char *slice, const char *stop, const char *more) {
        g_autofree char *rootfs = paths_run_of(&test->base.paths, test->container->id, "rootfs"), *mount = units_mount_of_path(rootfs);
        g_auto(GStrv) pieces = g_strsplit(mount, "\\", -1); /* as GVariant text has it */
        g_autofree char *after = g_strjoinv("\\\\", pieces);
        g_autofree char *wanted = g_strdup_printf("StartTransientUnit '%s' 'fail' [('Description', <'Container web'>), ('Slice', <'%s'>), ('Delegate', <true>), ('CollectMode', <'inactive-or-failed'>), "
                                                  "('Before', <['conbus-containers.target']>), ('After', <['%s']>)%s%s%s, ('PIDFDs', <[handle 0]>)%s] []",
                                                  test->scope, slice, after, stop ? ", ('TimeoutStopUSec', <uint64 " : "", stop ? stop : "", stop ? ">)" : "", more);

        g_assert_cmpstr(test->calls->pdata[0], ==, wanted);
        g_autofree char *path = g_strdup_printf("/proc/self/fdinfo/%d", g_array_index(test->fds, int, 0)), *info = NULL, *line = g_strdup_printf("\nPid:\t%d\n", conmon_pid(test->operation->conmon)->pid);
        g_assert_true(g_file_get_contents(path, &info, NULL, NULL));
        g_assert_nonnull(strstr(info, line));
}

static void test_conmon_is_put_into_a_scope(Case *test, gconstpointer unused) {
        begin_scope(test, "@a{sv} {}");
        expect_asked_for(test, "machine-conbus.slice", "15000000", ""); /* 10 s and a margin */
        job_done(test, "done");
        expect_continued(test);
        g_assert_no_error(test->operation->step_error);
}

static void test_what_the_configuration_says_about_it(Case *test, gconstpointer unused) {
        begin_scope(test, "{'slice': <'machine-a.slice'>, 'stop-timeout-usec': <uint64 1>, 'unit-properties': <[('MemoryMax', <uint64 7>)]>}");
        expect_asked_for(test, "machine-a.slice", "5000001", ", ('MemoryMax', <uint64 7>)");
}

static void test_a_stop_without_end_has_the_managers_end(Case *test, gconstpointer unused) {
        begin_scope(test, "{'stop-timeout-usec': <uint64 18446744073709551615>}");
        expect_asked_for(test, "machine-conbus.slice", NULL, "");
}

static void test_a_scope_that_is_refused(Case *test, gconstpointer unused) {
        test->refuse = true;
        begin_scope(test, "@a{sv} {}");
        expect_continued(test);
        g_assert_error(test->operation->step_error, CONBUS_ERROR, CONBUS_ERROR_UNIT_FAILED);
        g_assert_true(g_str_has_suffix(test->operation->step_error->message, ".scope: no"));
}

static void test_a_scope_that_fails(Case *test, gconstpointer unused) {
        begin_scope(test, "@a{sv} {}");
        job_done(test, "failed");
        expect_continued(test);
        g_assert_error(test->operation->step_error, CONBUS_ERROR, CONBUS_ERROR_UNIT_FAILED);
}

static void test_a_beginning_that_is_forgotten(Case *test, gconstpointer unused) {
        begin_scope(test, "@a{sv} {}");
        scope_forget(test->operation);
        scope_forget(test->operation);
        job_done(test, "done");
        testing_run_idle(test->base.event);
        g_assert_cmpuint(n_continued, ==, 0);
}

/* --- where it is --- */

static void expect_group(Case *test, const char *cgroup, const char *format) {
        g_auto(GStrv) pieces = g_strsplit(format, "SCOPE", -1), own = g_strsplit(cgroup, "SCOPE", -1);
        g_autofree char *wanted = g_strjoinv(test->scope, pieces), *set = g_strjoinv(test->scope, own), *found = NULL;

        life_set_string(&test->container->life.cgroup, set);
        found = scope_group(test->base.engine, test->container);
        g_assert_cmpstr(found, ==, wanted);
}

static void test_group_of_the_scope(Case *test, gconstpointer unused) {
        begin(test, "@a{sv} {}");
        expect_group(test, "/machine.slice/machine-x.slice/SCOPE/container", "/machine.slice/machine-x.slice/SCOPE");
        expect_group(test, "/SCOPE", "/SCOPE");
        expect_group(test, "", "/machine.slice/machine-conbus.slice/SCOPE"); /* it was to be there */
        expect_group(test, "/conbus/elsewhere", "/machine.slice/machine-conbus.slice/SCOPE");
}

static void test_group_in_a_slice_of_ones_own(Case *test, gconstpointer unused) {
        begin(test, "{'slice': <'a-b.slice'>}");
        expect_group(test, "", "/a.slice/a-b.slice/SCOPE");
}

/* --- end --- */

static const char *const *hierarchies(void) {
        static const char *const version_1[] = {"pids", "freezer", NULL}, *const unified[] = {"", NULL};

        return cgroup_is_unified() ? unified : version_1;
}

static void put(const char *hierarchy, const char *cgroup, const char *file, const char *text) {
        g_autofree char *path = g_build_filename(TOP, hierarchy, cgroup, file, NULL);
        FILE *stream = fopen(path, "we");

        g_assert_nonnull(stream);
        g_assert_cmpint(fputs(text, stream), >=, 0);
        g_assert_cmpint(fclose(stream), ==, 0);
}

/* A child in a group of the scope. */
static pid_t leave_behind_in(Case *test, const char *name) {
        pid_t pid = testing_child_new();
        g_autofree char *group = g_strconcat(SLICE "/", test->scope, name, NULL), *number = g_strdup_printf("%d", (int) pid);

        for (const char *const *hierarchy = hierarchies(); *hierarchy; hierarchy++) {
                g_autofree char *path = g_build_filename(TOP, *hierarchy, group, NULL);
                g_assert_no_errno(g_mkdir_with_parents(path, 0755));
                put(*hierarchy, group, "cgroup.procs", number);
        }
        life_set_string(&test->container->life.cgroup, group);
        return pid;
}

static pid_t leave_behind(Case *test) {
        return leave_behind_in(test, "/container");
}

static bool is_there(Case *test) {
        g_autofree char *path = g_build_filename(TOP, hierarchies()[0], SLICE, test->scope, NULL);

        return access(path, F_OK) == 0;
}

static void expect_stop_asked_for(Case *test) {
        g_autofree char *wanted = g_strdup_printf("StopUnit '%s' 'fail'", test->scope);

        testing_run_until_count(test->base.event, &test->calls->len, 1);
        g_assert_cmpstr(test->calls->pdata[0], ==, wanted);
}

static void test_an_empty_scope_is_stopped(Case *test, gconstpointer unused) {
        begin(test, "@a{sv} {}");
        scope_end(test->operation);
        expect_stop_asked_for(test);
        job_done(test, "done");
        testing_run_idle(test->base.event);
        g_assert_cmpuint(n_continued, ==, 0); /* its name cannot be taken again yet */
        unit_gone(test);
        expect_continued(test);
}

static void test_a_stop_that_fails_holds_nothing_up(Case *test, gconstpointer unused) {
        test->refuse = true;
        begin(test, "@a{sv} {}");
        scope_end(test->operation);
        expect_continued(test);
        g_assert_no_error(test->operation->step_error);
}

static void test_what_is_left_is_killed_first(Case *test, gconstpointer unused) {
        begin(test, "@a{sv} {}");
        PidRef refs[2] = {PIDREF_NULL, PIDREF_NULL};
        for (unsigned i = 0; i < 2; i++)
                g_assert_true(pidref_open(leave_behind(test), &refs[i], NULL));
        scope_end(test->operation);
        g_assert_cmpuint(test->calls->len, ==, 0);
        expect_stop_asked_for(test);
        for (unsigned i = 0; i < 2; i++) {
                g_assert_true(pidref_has_ended(&refs[i]));
                pidref_clear(&refs[i]);
        }
        g_assert_cmpuint(n_continued, ==, 0);
        job_done(test, "done");
        unit_gone(test);
        expect_continued(test);
        g_assert_false(is_there(test)); /* nor in the hierarchies that systemd does not manage */
}

static bool has_been_asked(void *userdata) {
        return ((Case *) userdata)->calls->len > 0;
}

static bool has_ended(void *ref) {
        return pidref_has_ended(ref);
}

static void test_each_of_what_is_left_is_waited_for(Case *test, gconstpointer unused) {
        begin(test, "@a{sv} {}");
        g_autofree char *group = g_strconcat(SLICE "/", test->scope, "/frozen", NULL);
        g_auto(PidRef) frozen = PIDREF_NULL, other = PIDREF_NULL;
        g_assert_true(pidref_open(leave_behind_in(test, "/frozen"), &frozen, NULL));
        put("freezer", group, "freezer.state", "FROZEN");
        g_assert_true(pidref_open(leave_behind(test), &other, NULL));
        scope_end(test->operation);
        testing_run_until(test->base.event, has_ended, &other);
        testing_run_idle(test->base.event);
        g_assert_cmpuint(test->calls->len, ==, 0);
        put("freezer", group, "freezer.state", "THAWED");
        expect_stop_asked_for(test);
        g_assert_true(pidref_has_ended(&frozen));
        job_done(test, "done");
        unit_gone(test);
        expect_continued(test);
}

/* In version 1 a group that is frozen from above keeps even SIGKILL waiting. */
static void test_what_does_not_die_is_not_waited_for_for_ever(Case *test, gconstpointer unused) {
        begin(test, "@a{sv} {}");
        test->base.engine->settings.kill_usec = 1;
        g_auto(PidRef) ref = PIDREF_NULL;
        g_assert_true(pidref_open(leave_behind(test), &ref, NULL));
        put("freezer", SLICE, "freezer.state", "FROZEN");
        scope_end(test->operation);
        testing_run_until(test->base.event, has_been_asked, test);
        expect_stop_asked_for(test);
        g_assert_false(pidref_has_ended(&ref));
        put("freezer", SLICE, "freezer.state", "THAWED");
        job_done(test, "done");
        unit_gone(test);
        expect_continued(test);
}

static void test_at_shutdown_its_stop_is_queued_already(Case *test, gconstpointer unused) {
        begin(test, "@a{sv} {}");
        engine_shut_down(test->base.engine, UINT64_MAX, NULL, NULL);
        g_auto(PidRef) ref = PIDREF_NULL;
        g_assert_true(pidref_open(leave_behind(test), &ref, NULL));
        scope_end(test->operation);
        expect_continued(test);
        g_assert_true(pidref_has_ended(&ref)); /* what is left is killed all the same */
        g_assert_cmpuint(test->calls->len, ==, 0);
}

static void test_an_end_that_is_forgotten(Case *test, gconstpointer unused) {
        unsigned before = 0;

        begin(test, "@a{sv} {}");
        for (unsigned i = 0; i < 3; i++) {
                (void) leave_behind(test);
                scope_end(test->operation);
                scope_forget(test->operation);
                testing_run_idle(test->base.event);
                if (i == 0) /* the loop has opened what it keeps */
                        before = testing_count_descriptors();
        }
        g_assert_cmpuint(n_continued, ==, 0);
        g_assert_cmpuint(test->calls->len, ==, 0);
        g_assert_cmpuint(testing_count_descriptors(), ==, before);
}

#define ADD(name, function) g_test_add("/scope/" name, Case, NULL, case_set_up, function, case_tear_down)

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        ADD("conmon-is-put-into-a-scope", test_conmon_is_put_into_a_scope);
        ADD("what-the-configuration-says-about-it", test_what_the_configuration_says_about_it);
        ADD("a-stop-without-end-has-the-managers-end", test_a_stop_without_end_has_the_managers_end);
        ADD("a-scope-that-is-refused", test_a_scope_that_is_refused);
        ADD("a-scope-that-fails", test_a_scope_that_fails);
        ADD("a-beginning-that-is-forgotten", test_a_beginning_that_is_forgotten);
        ADD("group-of-the-scope", test_group_of_the_scope);
        ADD("group-in-a-slice-of-ones-own", test_group_in_a_slice_of_ones_own);
        ADD("an-empty-scope-is-stopped", test_an_empty_scope_is_stopped);
        ADD("a-stop-that-fails-holds-nothing-up", test_a_stop_that_fails_holds_nothing_up);
        ADD("what-is-left-is-killed-first", test_what_is_left_is_killed_first);
        if (!cgroup_is_unified()) { /* the freezer of version 2 lets SIGKILL through */
                ADD("each-of-what-is-left-is-waited-for", test_each_of_what_is_left_is_waited_for);
                ADD("what-does-not-die-is-not-waited-for-for-ever", test_what_does_not_die_is_not_waited_for_for_ever);
        }
        ADD("at-shutdown-its-stop-is-queued-already", test_at_shutdown_its_stop_is_queued_already);
        ADD("an-end-that-is-forgotten", test_an_end_that_is_forgotten);
        return g_test_run();
}
