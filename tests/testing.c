/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* See testing.h. */

#include "testing.h"
#include "runtime/process.h"
#include <ftw.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

char *testing_directory_new(void) {
        g_autoptr(GError) error = NULL;
        char *directory = g_dir_make_tmp("conbus-test-XXXXXX", &error);

        g_assert_no_error(error);
        return directory;
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *position) {
        return remove(path);
}

void testing_directory_free(char *directory) {
        if (!directory)
                return;
        g_assert_cmpint(nftw(directory, remove_entry, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT), ==, 0);
        g_free(directory);
}

void testing_write(const char *directory, const char *name, const char *text) {
        g_autofree char *path = g_build_filename(directory, name, NULL);
        g_autofree char *parent = g_path_get_dirname(path);
        g_autoptr(GError) error = NULL;

        g_assert_cmpint(g_mkdir_with_parents(parent, 0755), ==, 0);
        g_file_set_contents(path, text, -1, &error);
        g_assert_no_error(error);
}

char *testing_read(const char *directory, const char *name) {
        g_autofree char *path = g_build_filename(directory, name, NULL);
        char *text = NULL;

        return g_file_get_contents(path, &text, NULL, NULL) ? text : NULL;
}

char *testing_program(const char *directory, const char *name, const char *script) {
        g_autofree char *text = g_strdup_printf("#!/bin/sh\n%s\n", script);

        testing_write(directory, name, text);
        char *path = g_build_filename(directory, name, NULL);
        g_assert_cmpint(chmod(path, 0755), ==, 0);
        return path;
}

static int on_deadline(sd_event_source *source, guint64 usec, void *userdata) {
        g_error("what was waited for did not happen in %d s", (int) (TESTING_DEADLINE_USEC / G_USEC_PER_SEC));
        return 0;
}

void testing_run_until(sd_event *event, bool (*condition)(void *userdata), void *userdata) {
        g_autoptr(sd_event_source) deadline = NULL;

        g_assert_cmpint(sd_event_add_time_relative(event, &deadline, CLOCK_MONOTONIC, TESTING_DEADLINE_USEC, 0, on_deadline, NULL), >=, 0);
        while (!condition(userdata))
                g_assert_cmpint(sd_event_run(event, UINT64_MAX), >=, 0);
}

struct Count {
        const unsigned *count;
        unsigned wanted;
};

static bool is_reached(void *userdata) {
        struct Count *count = userdata;

        return *count->count >= count->wanted;
}

void testing_run_until_count(sd_event *event, const unsigned *count, unsigned wanted) {
        struct Count waited = {.count = count, .wanted = wanted};

        testing_run_until(event, is_reached, &waited);
        g_assert_cmpuint(*count, ==, wanted);
}

void testing_run_idle(sd_event *event) {
        int r;

        while ((r = sd_event_run(event, 0)) > 0)
                ;
        g_assert_cmpint(r, ==, 0);
}

static void on_passed(const ProcessResult *result, void *userdata) {
        ++*(unsigned *) userdata;
}

void testing_let_time_pass(sd_event *event, Reaper *reaper) {
        const char *const argv[] = {"true", NULL};

        for (unsigned i = 0; i < 10; i++) {
                ProcessSpec spec = PROCESS_SPEC_INIT;
                unsigned n = 0;
                spec.argv = argv;
                g_assert_nonnull(process_begin(event, reaper, &spec, on_passed, &n, NULL));
                testing_run_until_count(event, &n, 1);
        }
}

void testing_expect_error(GError **error, ConbusError code, const char *part) {
        if (!g_error_matches(*error, CONBUS_ERROR, (int) code))
                g_error("%s is expected; %s: %s", conbus_error_names[code], *error ? error_to_name(*error) : "no error", *error ? (*error)->message : "");
        if (!strstr((*error)->message, part))
                g_error("\"%s\" does not say \"%s\"", (*error)->message, part);
        g_clear_error(error);
}

GVariant *testing_parse(const char *text) {
        g_autoptr(GError) error = NULL;
        GVariant *parsed = g_variant_parse(G_VARIANT_TYPE_VARDICT, text, NULL, NULL, &error);

        g_assert_no_error(error);
        g_variant_get_data(parsed);
        return parsed;
}

char *testing_built(const char *program) {
        g_assert_nonnull(g_getenv("CONBUS_BUILD_DIR"));
        return g_build_filename(g_getenv("CONBUS_BUILD_DIR"), program, NULL);
}

int testing_listen(const char *path, int type) {
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        int fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

        g_assert_cmpint(fd, >=, 0);
        g_assert_cmpint(snprintf(address.sun_path, sizeof address.sun_path, "%s", path), <, sizeof address.sun_path);
        g_assert_no_errno(bind(fd, (struct sockaddr *) &address, sizeof address));
        if (type != SOCK_DGRAM)
                g_assert_no_errno(listen(fd, 8));
        return fd;
}

unsigned testing_count_descriptors(void) {
        g_autoptr(GDir) directory = g_dir_open("/proc/self/fd", 0, NULL);
        unsigned n = 0;

        while (g_dir_read_name(directory))
                n++;
        return n;
}

bool testing_is_under_valgrind(void) {
        const char *preloaded = g_getenv("LD_PRELOAD");

        return preloaded && strstr(preloaded, "/vgpreload_");
}

pid_t testing_child_new(void) {
        pid_t parent = getpid(), pid = fork();

        g_assert_cmpint(pid, >=, 0);
        if (pid > 0)
                return pid;
        /* A parent that died before the call sends no signal any more. */
        if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent)
                _exit(1);
        for (;;)
                pause();
}

bool testing_unshare_mounts(void) {
        if (unshare(CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_PRIVATE | MS_REC, NULL) == 0)
                return true;
        puts("1..0 # SKIP a mount namespace is not allowed here");
        return false;
}
