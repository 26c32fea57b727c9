/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The test is the service manager with its descriptor store: what is put into it and taken out as runs begin and end, and what is believed of what comes back. */

#include "fixture.h"
#include "base/fd-store.h"
#include "notified.h"
#include <fcntl.h>
#include <string.h>
#include <sys/wait.h>

#define ID "00000000000000000000000000000000000000000000000000000000000000aa"

typedef struct Case {
        char *directory;
        int manager; /* its notify socket; high, since low numbers are for what is passed */
        Container *container;
        Life old, now;
        PidRef process;
        unsigned before;
} Case;

static void case_set_up(Case *test, gconstpointer unused) {
        g_autoptr(GVariant) config = g_variant_ref_sink(g_variant_new("a{sv}", NULL));
        g_autoptr(GError) error = NULL;

        test->before = testing_count_descriptors();
        test->directory = testing_directory_new();
        autofd int low = notified_open(test->directory);
        test->manager = fcntl(low, F_DUPFD_CLOEXEC, 32);
        test->container = container_new(ID, "web", 0, config);
        test->container->life.run = 7;
        test->process = PIDREF_NULL;
        g_assert_true(pidref_open(testing_child_new(), &test->process, &error));
        int high = fcntl(test->process.fd, F_DUPFD_CLOEXEC, 32);
        close_fd(test->process.fd);
        test->process.fd = high;
}

static void end_process(Case *test) {
        if (test->process.pid <= 0)
                return;
        g_assert_no_errno(kill(test->process.pid, SIGKILL));
        g_assert_cmpint(waitpid(test->process.pid, NULL, 0), ==, test->process.pid);
        test->process.pid = 0;
}

static void case_tear_down(Case *test, gconstpointer unused) {
        end_process(test);
        pidref_clear(&test->process);
        container_unref(test->container);
        fd_store_drop_rest();
        notified_close(test->manager);
        testing_directory_free(test->directory);
        g_assert_cmpuint(testing_count_descriptors(), ==, test->before);
}

static char *name_of(guint64 run, const char *role, pid_t pid, guint64 start_time) {
        return g_strdup_printf("pidfd-" ID "-%" G_GUINT64_FORMAT "-%s-%d-%" G_GUINT64_FORMAT, run, role, (int) pid, start_time);
}

static void follow(Case *test) {
        const Change change = {.container = test->container, .old = &test->old, .now = &test->now};

        descriptors_follow(&change);
}

static void expect_stored(Case *test, guint64 run, const char *role) {
        g_autofree char *name = name_of(run, role, test->process.pid, test->process.start_time), *wanted = g_strdup_printf("FDSTORE=1\nFDNAME=%s\nFDPOLL=0", name);
        autofd int fd = -1;
        g_autofree char *text = notified_next(test->manager, &fd);

        g_assert_cmpstr(text, ==, wanted);
        g_assert_cmpint(fd, >=, 0);
        PidRef copy = {.pid = test->process.pid, .fd = fd};
        g_assert_false(pidref_has_ended(&copy));
}

static void expect_removed(Case *test, guint64 run, const char *role, pid_t pid, guint64 start_time) {
        g_autofree char *name = name_of(run, role, pid, start_time), *wanted = g_strdup_printf("FDSTOREREMOVE=1\nFDNAME=%s", name);

        notified_expect(test->manager, wanted);
}

static void hold(PidRef *to, const PidRef *process) {
        *to = (PidRef) {.pid = process->pid, .fd = fcntl(process->fd, F_DUPFD_CLOEXEC, 32), .start_time = process->start_time};
}

/* --- storing --- */

static void test_begin_and_end_of_a_run(Case *test, gconstpointer unused) {
        const StoredProcess process = {.pid = test->process.pid, .start_time = test->process.start_time};

        test->old.run = 1;
        test->now.run = 2;
        test->now.main = test->now.monitor = process;
        hold(&test->container->main, &test->process);
        hold(&test->container->monitor, &test->process);
        follow(test);
        expect_stored(test, 2, "main");
        expect_stored(test, 2, "monitor");
        test->old = test->now;
        follow(test); /* nothing has changed */
        notified_expect(test->manager, NULL);
        test->now.main = (StoredProcess) {0};
        test->now.run = 3;
        follow(test);
        expect_removed(test, 2, "main", process.pid, process.start_time);
        notified_expect(test->manager, NULL); /* the monitor lives on */
}

static void test_one_process_after_another(Case *test, gconstpointer unused) {
        test->old.run = test->now.run = 4;
        test->old.main = (StoredProcess) {.pid = 11, .start_time = 12};
        test->now.main = (StoredProcess) {.pid = test->process.pid, .start_time = test->process.start_time};
        hold(&test->container->main, &test->process);
        follow(test);
        expect_removed(test, 4, "main", 11, 12);
        expect_stored(test, 4, "main");
        test->old.main = test->now.main;
        test->old.main.start_time++; /* the number was used again */
        follow(test);
        expect_removed(test, 4, "main", test->process.pid, test->process.start_time + 1);
        expect_stored(test, 4, "main");
        test->old.main = test->now.main;
        test->old.main.pid++; /* both began in one tick of the clock */
        follow(test);
        expect_removed(test, 4, "main", test->process.pid + 1, test->process.start_time);
        expect_stored(test, 4, "main");
        notified_expect(test->manager, NULL);
}

static void test_only_the_pidfd_of_the_row_is_stored(Case *test, gconstpointer unused) {
        test->now.main = (StoredProcess) {.pid = test->process.pid, .start_time = test->process.start_time};
        test->container->main = (PidRef) {.pid = test->process.pid, .fd = -1}; /* found again without one */
        follow(test);
        notified_expect(test->manager, NULL);
        hold(&test->container->main, &test->process);
        test->container->main.pid++; /* another's */
        follow(test);
        notified_expect(test->manager, NULL);
}

/* --- restoring --- */

/* What comes back under a name of the test's process. Takes fd. */
static void pass(Case *test, int fd, const char *role) {
        g_autofree char *name = name_of(7, role, test->process.pid, test->process.start_time);

        notified_pass(&fd, 1, name);
        fd_store_receive();
}

static bool restore(Case *test, const char *role, PidRef *ret) {
        const StoredProcess process = {.pid = test->process.pid, .start_time = test->process.start_time};

        return descriptors_restore(test->container, role, &process, ret);
}

static void test_the_stored_one_comes_back(Case *test, gconstpointer unused) {
        g_auto(PidRef) found = PIDREF_NULL;

        pass(test, fcntl(test->process.fd, F_DUPFD_CLOEXEC, 16), "main");
        g_assert_true(restore(test, "main", &found));
        g_assert_cmpint(found.fd, ==, 3); /* itself, not one that was opened anew */
        g_assert_cmpint(found.pid, ==, test->process.pid);
        g_assert_cmpuint(found.start_time, ==, test->process.start_time);
        notified_expect(test->manager, NULL);
}

static void test_of_an_ended_process_too(Case *test, gconstpointer unused) {
        g_auto(PidRef) found = PIDREF_NULL;
        pid_t pid = test->process.pid;
        const StoredProcess process = {.pid = pid, .start_time = test->process.start_time};

        pass(test, fcntl(test->process.fd, F_DUPFD_CLOEXEC, 16), "main");
        end_process(test);
        g_assert_true(descriptors_restore(test->container, "main", &process, &found));
        g_assert_cmpint(found.fd, ==, 3);
        g_assert_cmpint(found.pid, ==, pid);
        g_assert_true(pidref_has_ended(&found));
        g_auto(PidRef) again = PIDREF_NULL;
        g_assert_false(descriptors_restore(test->container, "main", &process, &again)); /* without it nobody finds the process */
}

static void test_roles_are_not_mixed_up(Case *test, gconstpointer unused) {
        g_auto(PidRef) found = PIDREF_NULL;

        pass(test, fcntl(test->process.fd, F_DUPFD_CLOEXEC, 16), "monitor");
        g_assert_true(restore(test, "main", &found)); /* it lives, so it is found */
        g_assert_cmpint(found.fd, !=, 3);
        expect_stored(test, 7, "main");
        g_assert_cmpint(fcntl(3, F_GETFD), >=, 0);
        fd_store_drop_rest();
        expect_removed(test, 7, "monitor", test->process.pid, test->process.start_time);
}

static void test_what_is_no_pidfd_is_dropped(Case *test, gconstpointer unused) {
        g_auto(PidRef) found = PIDREF_NULL;

        pass(test, open("/dev/null", O_RDONLY | O_CLOEXEC), "main");
        g_assert_true(restore(test, "main", &found));
        expect_removed(test, 7, "main", test->process.pid, test->process.start_time);
        expect_stored(test, 7, "main");
        g_autofree char *info = g_strdup_printf("/proc/self/fdinfo/%d", found.fd), *text = NULL;
        g_assert_true(g_file_get_contents(info, &text, NULL, NULL));
        g_assert_nonnull(strstr(text, "\nPid:"));
}

static void test_a_pidfd_of_another_is_dropped(Case *test, gconstpointer unused) {
        g_auto(PidRef) found = PIDREF_NULL, other = PIDREF_NULL;
        pid_t pid = testing_child_new();
        unsigned before;

        g_assert_true(pidref_open(pid, &other, NULL));
        before = testing_count_descriptors();
        pass(test, steal_fd(&other.fd), "main");
        g_assert_true(restore(test, "main", &found));
        g_assert_cmpint(found.pid, ==, test->process.pid);
        expect_removed(test, 7, "main", test->process.pid, test->process.start_time);
        expect_stored(test, 7, "main");
        g_assert_cmpuint(testing_count_descriptors(), ==, before); /* one came, one is held */
        g_assert_no_errno(kill(pid, SIGKILL));
        g_assert_cmpint(waitpid(pid, NULL, 0), ==, pid);
        g_assert_false(pidref_has_ended(&found));
}

/* And stored again, for the next time. */
static void test_without_a_store_the_process_is_looked_for(Case *test, gconstpointer unused) {
        g_auto(PidRef) found = PIDREF_NULL, none = PIDREF_NULL;
        const StoredProcess gone = {.pid = test->process.pid, .start_time = test->process.start_time + 1}, never = {0};

        g_assert_true(restore(test, "main", &found));
        g_assert_cmpint(found.pid, ==, test->process.pid);
        expect_stored(test, 7, "main");
        g_assert_false(descriptors_restore(test->container, "main", &gone, &none));
        g_assert_false(descriptors_restore(test->container, "main", &never, &none));
        g_assert_false(pidref_is_set(&none));
        notified_expect(test->manager, NULL);
}

#define ADD(name, function) g_test_add("/descriptors/" name, Case, NULL, case_set_up, function, case_tear_down)

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        notified_clear_place();
        ADD("begin-and-end-of-a-run", test_begin_and_end_of_a_run);
        ADD("one-process-after-another", test_one_process_after_another);
        ADD("only-the-pidfd-of-the-row-is-stored", test_only_the_pidfd_of_the_row_is_stored);
        ADD("the-stored-one-comes-back", test_the_stored_one_comes_back);
        ADD("of-an-ended-process-too", test_of_an_ended_process_too);
        ADD("roles-are-not-mixed-up", test_roles_are_not_mixed_up);
        ADD("what-is-no-pidfd-is-dropped", test_what_is_no_pidfd_is_dropped);
        ADD("a-pidfd-of-another-is-dropped", test_a_pidfd_of_another_is_dropped);
        ADD("without-a-store-the-process-is-looked-for", test_without_a_store_the_process_is_looked_for);
        return g_test_run();
}
