/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The service's priority, raised in a child of the test: what it has then, what its own child has, and what is left alone. */

#include "runtime/priority.h"
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

typedef struct Attributes {
        uint32_t size, policy;
        uint64_t flags;
        int32_t nice;
        uint32_t priority;
        uint64_t runtime, deadline, period;
} Attributes;

typedef struct Found {
        Attributes own, child;
} Found;

static bool look(int fd) {
        Attributes attributes = {0};

        return syscall(SYS_sched_getattr, 0, &attributes, sizeof attributes, 0) == 0 && write(fd, &attributes, sizeof attributes) == (ssize_t) sizeof attributes;
}

/* In a child whose nice value and user are these. */
static void raise_and_look(int fd, int nice_value, uid_t uid) {
        if (setpriority(PRIO_PROCESS, 0, nice_value) < 0 || setresuid(uid, uid, uid) < 0)
                _exit(1);
        priority_raise();
        if (!look(fd))
                _exit(2);
        pid_t pid = fork();
        if (pid == 0) {
                priority_restore();
                _exit(look(fd) ? 0 : 3);
        }
        _exit(waitpid(pid, NULL, 0) == pid ? 0 : 4);
}

static Found raise_with(int nice_value, uid_t uid) {
        int fds[2], status;
        Found found = {0};

        g_assert_cmpint(pipe(fds), ==, 0);
        pid_t pid = fork();
        if (pid == 0)
                raise_and_look(fds[1], nice_value, uid);
        g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
        g_assert_cmpint(status, ==, 0);
        g_assert_cmpint(read(fds[0], &found.own, sizeof found.own), ==, sizeof found.own);
        g_assert_cmpint(read(fds[0], &found.child, sizeof found.child), ==, sizeof found.child);
        g_assert_cmpint(close(fds[0]) | close(fds[1]), ==, 0);
        return found;
}

/* Kernels before 6.12 know no slice, and say 0. */
static void expect_slice(const Found *found) {
        if (found->own.runtime == 0)
                return;
        g_assert_cmpuint(found->own.runtime, ==, PRIORITY_SLICE_NSEC);
        g_assert_cmpuint(found->child.runtime, !=, PRIORITY_SLICE_NSEC);
}

static void test_it_goes_first_and_its_children_do_not(void) {
        if (setpriority(PRIO_PROCESS, 0, -1) < 0) {
                g_test_skip("this needs CAP_SYS_NICE");
                return;
        }
        g_assert_cmpint(setpriority(PRIO_PROCESS, 0, 0), ==, 0);
        Found found = raise_with(0, 0);
        g_assert_cmpint(found.own.nice, ==, PRIORITY_NICE);
        g_assert_cmpuint(found.own.policy, ==, SCHED_OTHER);
        g_assert_cmpint(found.child.nice, ==, 0);
        g_assert_cmpuint(found.child.policy, ==, SCHED_OTHER);
        expect_slice(&found);
}

static void test_what_the_kernel_refuses_is_left(void) {
        Found found = raise_with(0, 65534);

        g_assert_cmpint(found.own.nice, ==, 0);
        g_assert_cmpint(found.child.nice, ==, 0);
        expect_slice(&found);
}

static void test_a_nice_value_of_its_own_stays(void) {
        Found found = raise_with(5, 0);

        g_assert_cmpint(found.own.nice, ==, 5);
        g_assert_cmpint(found.child.nice, ==, 5);
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/priority/it-goes-first-and-its-children-do-not", test_it_goes_first_and_its_children_do_not);
        g_test_add_func("/priority/what-the-kernel-refuses-is-left", test_what_the_kernel_refuses_is_left);
        g_test_add_func("/priority/a-nice-value-of-its-own-stays", test_a_nice_value_of_its_own_stays);
        return g_test_run();
}
