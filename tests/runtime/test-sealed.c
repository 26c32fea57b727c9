/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copies of real programs: sealed, executable, made once, and made anew when the file has changed. */

#include "runtime/sealed.h"
#include "runtime/process.h"
#include "testing.h"
#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <sys/stat.h>
#include <sys/wait.h>

typedef struct Fixture {
        char *directory, *program;
        sd_event *event;
        Reaper *reaper;
        unsigned n;
        int status;
} Fixture;

static void put(const Fixture *fixture, const char *from) {
        g_autofree char *content = NULL, *aside = g_strconcat(fixture->program, ".new", NULL);
        gsize size;

        g_assert_true(g_file_get_contents(from, &content, &size, NULL));
        g_assert_true(g_file_set_contents(aside, content, (gssize) size, NULL));
        g_assert_cmpint(chmod(aside, 0755), ==, 0);
        g_assert_cmpint(g_rename(aside, fixture->program), ==, 0); /* as a package manager does it */
}

static void set_up(Fixture *fixture, gconstpointer unused) {
        fixture->directory = testing_directory_new();
        fixture->program = g_build_filename(fixture->directory, "program", NULL);
        g_assert_cmpint(sd_event_new(&fixture->event), >=, 0);
        fixture->reaper = reaper_new(fixture->event);
        put(fixture, "/bin/true");
}

static void tear_down(Fixture *fixture, gconstpointer unused) {
        sealed_forget();
        reaper_free(fixture->reaper);
        sd_event_unref(fixture->event);
        testing_directory_free(fixture->directory);
        g_free(fixture->program);
}

static void on_done(const ProcessResult *result, void *userdata) {
        Fixture *fixture = userdata;

        fixture->n++;
        fixture->status = result->status;
        g_assert_cmpstr(result->errors, ==, "");
}

static int run(Fixture *fixture, int fd) {
        const char *const argv[] = {fixture->program, NULL};
        ProcessSpec spec = PROCESS_SPEC_INIT;
        g_autoptr(GError) error = NULL;

        spec.argv = argv;
        spec.program_fd = fd;
        fixture->n = 0;
        (void) !process_begin(fixture->event, fixture->reaper, &spec, on_done, fixture, &error);
        g_assert_no_error(error);
        testing_run_until_count(fixture->event, &fixture->n, 1);
        return WEXITSTATUS(fixture->status);
}

static void test_nobody_can_write_to_it(Fixture *fixture, gconstpointer unused) {
        int fd = sealed_program(fixture->program);

        g_assert_cmpint(fd, >=, 0);
        g_assert_cmpint(fcntl(fd, F_GET_SEALS), ==, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE); /* what crun looks for */
        g_assert_cmpint(fcntl(fd, F_GETFD) & FD_CLOEXEC, !=, 0);
        errno = 0;
        g_assert_cmpint(pwrite(fd, "x", 1, 0), <, 0);
        g_assert_cmpint(errno, ==, EPERM);
}

static void test_it_is_run(Fixture *fixture, gconstpointer unused) {
        g_assert_cmpint(run(fixture, sealed_program(fixture->program)), ==, 0);
        put(fixture, "/bin/false");
        g_assert_cmpint(run(fixture, sealed_program(fixture->program)), ==, 1);
}

static void test_it_is_made_once(Fixture *fixture, gconstpointer unused) {
        struct stat first, second;
        unsigned before;

        int fd = sealed_program(fixture->program);
        g_assert_cmpint(fstat(fd, &first), ==, 0);
        before = testing_count_descriptors();
        g_assert_cmpint(fstat(sealed_program(fixture->program), &second), ==, 0);
        g_assert_cmpuint(first.st_ino, ==, second.st_ino);
        put(fixture, "/bin/false");
        g_assert_cmpint(fstat(sealed_program(fixture->program), &second), ==, 0);
        g_assert_cmpuint(first.st_ino, !=, second.st_ino);
        g_assert_cmpuint(testing_count_descriptors(), ==, before);
}

static void test_what_cannot_be_copied_is_run_from_its_file(Fixture *fixture, gconstpointer unused) {
        g_autofree char *script = testing_program(fixture->directory, "script", "exit 0");

        g_assert_cmpint(sealed_program(script), ==, -1); /* its interpreter would have to open it */
        g_assert_cmpint(sealed_program("/nonexistent"), ==, -1);
        g_assert_cmpint(sealed_program(fixture->directory), ==, -1);
        g_assert_cmpint(chmod(fixture->program, 04755), ==, 0);
        g_assert_cmpint(sealed_program(fixture->program), ==, -1); /* a copy is not set-user-id */
        g_assert_cmpint(run(fixture, -1), ==, 0);
}

#define ADD(name, function) g_test_add("/sealed/" name, Fixture, NULL, set_up, function, tear_down)

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        ADD("nobody-can-write-to-it", test_nobody_can_write_to_it);
        ADD("it-is-run", test_it_is_run);
        ADD("it-is-made-once", test_it_is_made_once);
        ADD("what-cannot-be-copied-is-run-from-its-file", test_what_cannot_be_copied_is_run_from_its_file);
        return g_test_run();
}
