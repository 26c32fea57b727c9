/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The clocks against clock_gettime(2), deadlines that cannot overflow, the boot id against the kernel's. */

#include "base/clock.h"
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

static guint64 now_usec(clockid_t clock) {
        struct timespec now;

        g_assert_cmpint(clock_gettime(clock, &now), ==, 0);
        return (guint64) now.tv_sec * G_USEC_PER_SEC + (guint64) now.tv_nsec / 1000;
}

static void test_realtime_is_the_time_since_the_epoch(void) {
        guint64 before = now_usec(CLOCK_REALTIME), now = clock_realtime_usec(), after = now_usec(CLOCK_REALTIME);

        g_assert_cmpuint(now, >=, before);
        g_assert_cmpuint(now, <=, after);
}

static void test_boottime_is_the_time_since_boot(void) {
        guint64 before = now_usec(CLOCK_BOOTTIME), now = clock_boottime_usec(), after = now_usec(CLOCK_BOOTTIME);

        g_assert_cmpuint(now, >=, before);
        g_assert_cmpuint(now, <=, after);
}

static void test_a_deadline_is_now_and_the_span(void) {
        guint64 before = clock_boottime_usec(), deadline = clock_boottime_in(5000), after = clock_boottime_usec();

        g_assert_cmpuint(deadline, >=, before + 5000);
        g_assert_cmpuint(deadline, <=, after + 5000);
}

static void test_a_span_beyond_the_clock_never_ends(void) {
        g_assert_cmpuint(clock_boottime_in(UINT64_MAX), ==, UINT64_MAX);
        g_assert_cmpuint(clock_boottime_in(UINT64_MAX - 1), ==, UINT64_MAX);
        g_assert_cmpuint(clock_add_usec(UINT64_MAX - 5, 5), ==, UINT64_MAX);
        g_assert_cmpuint(clock_add_usec(UINT64_MAX - 5, 6), ==, UINT64_MAX);
        g_assert_cmpuint(clock_add_usec(UINT64_MAX - 5, 4), ==, UINT64_MAX - 1);
        g_assert_cmpuint(clock_add_usec(0, 0), ==, 0);
}

static void test_the_boot_id_is_the_kernels(void) {
        g_autofree char *kernel = NULL;

        if (g_test_subprocess()) {
                g_unsetenv("CONBUS_BOOT_ID");
                g_assert_true(g_file_get_contents("/proc/sys/kernel/random/boot_id", &kernel, NULL, NULL));
                g_assert_cmpuint(strlen(clock_boot_id()), ==, 36);
                g_assert_true(g_str_has_prefix(kernel, clock_boot_id()));
                return;
        }
        g_test_trap_subprocess(NULL, 0, 0);
        g_test_trap_assert_passed();
}

static void test_a_boot_can_be_pretended(void) {
        if (g_test_subprocess()) {
                g_setenv("CONBUS_BOOT_ID", "another-boot", true);
                g_assert_cmpstr(clock_boot_id(), ==, "another-boot");
                return;
        }
        g_test_trap_subprocess(NULL, 0, 0);
        g_test_trap_assert_passed();
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/clock/realtime-is-the-time-since-the-epoch", test_realtime_is_the_time_since_the_epoch);
        g_test_add_func("/clock/boottime-is-the-time-since-boot", test_boottime_is_the_time_since_boot);
        g_test_add_func("/clock/a-deadline-is-now-and-the-span", test_a_deadline_is_now_and_the_span);
        g_test_add_func("/clock/a-span-beyond-the-clock-never-ends", test_a_span_beyond_the_clock_never_ends);
        g_test_add_func("/clock/the-boot-id-is-the-kernels", test_the_boot_id_is_the_kernels);
        g_test_add_func("/clock/a-boot-can-be-pretended", test_a_boot_can_be_pretended);
        return g_test_run();
}
