/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Written apart from service/runtime/cgroup.c on purpose: what is tested and what it is tested with must not share their mistakes. */

#include "group.h"
#include <fcntl.h>
#include <glib.h>
#include <linux/magic.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#define TOP "/sys/fs/cgroup"
#define ROUNDS_MAX 2000 /* of 1 ms each */

static const char *const unified[] = {"", NULL};
static const char *const version_1[] = {"pids", "freezer", NULL};

static bool is_unified(void) {
        struct statfs st;

        return statfs(TOP, &st) == 0 && st.f_type == CGROUP2_SUPER_MAGIC;
}

static const char *const *hierarchies(void) {
        return is_unified() ? unified : version_1;
}

static bool put(const char *directory, const char *file, const char *text) {
        g_autofree char *path = g_build_filename(directory, file, NULL);
        int fd = open(path, O_WRONLY | O_CLOEXEC);
        bool done = fd >= 0 && write(fd, text, strlen(text)) > 0;

        if (fd >= 0)
                close(fd);
        return done;
}

static char *get(const char *directory, const char *file) {
        g_autofree char *path = g_build_filename(directory, file, NULL);
        char *text = NULL;

        return g_file_get_contents(path, &text, NULL, NULL) ? text : g_strdup("");
}

bool group_join(const char *cgroup, pid_t pid) {
        g_autofree char *number = g_strdup_printf("%d", (int) pid);
        bool joined = true;

        for (const char *const *hierarchy = hierarchies(); *hierarchy; hierarchy++) {
                g_autofree char *directory = g_build_filename(TOP, *hierarchy, cgroup, NULL);
                joined = g_mkdir_with_parents(directory, 0755) == 0 && put(directory, "cgroup.procs", number) && joined;
        }
        return joined;
}

void group_join_existing(const char *cgroup, pid_t pid) {
        g_autofree char *number = g_strdup_printf("%d", (int) pid);

        for (const char *const *hierarchy = hierarchies(); *hierarchy; hierarchy++) {
                g_autofree char *directory = g_build_filename(TOP, *hierarchy, cgroup, NULL);
                (void) put(directory, "cgroup.procs", number);
        }
}

static char *freezer(const char *cgroup) {
        return g_build_filename(TOP, is_unified() ? "" : "freezer", cgroup, NULL);
}

bool group_is_frozen(const char *cgroup) {
        g_autofree char *directory = freezer(cgroup);
        g_autofree char *text = get(directory, is_unified() ? "cgroup.events" : "freezer.state");

        return is_unified() ? strstr(text, "frozen 1") != NULL : g_str_has_prefix(text, "FROZEN");
}

bool group_freeze(const char *cgroup, bool freeze) {
        g_autofree char *directory = freezer(cgroup);
        const char *word = freeze ? "FROZEN" : "THAWED";
        bool done = is_unified() ? put(directory, "cgroup.freeze", freeze ? "1" : "0") : put(directory, "freezer.state", word);

        for (int round = 0; done && round < ROUNDS_MAX && group_is_frozen(cgroup) != freeze; round++)
                g_usleep(1000);
        return done && group_is_frozen(cgroup) == freeze;
}

/* Children first. Returns how many processes were met. */
static unsigned kill_and_remove(const char *directory) {
        g_autoptr(GDir) dir = g_dir_open(directory, 0, NULL);
        g_autofree char *members = get(directory, "cgroup.procs");
        unsigned n = 0;

        for (const char *name = dir ? g_dir_read_name(dir) : NULL; name; name = g_dir_read_name(dir)) {
                g_autofree char *child = g_build_filename(directory, name, NULL);
                if (g_file_test(child, G_FILE_TEST_IS_DIR))
                        n += kill_and_remove(child);
        }
        for (char *p = members; *p; n++) {
                kill((pid_t) strtol(p, &p, 10), SIGKILL);
                while (*p == '\n')
                        p++;
        }
        if (rmdir(directory) < 0 && access(directory, F_OK) == 0)
                n++;
        return n;
}

void group_destroy(const char *cgroup) {
        if (!*cgroup || g_str_equal(cgroup, "/"))
                return;
        for (int round = 0; round < ROUNDS_MAX; round++) {
                unsigned n = 0;
                for (const char *const *hierarchy = hierarchies(); *hierarchy; hierarchy++) {
                        g_autofree char *directory = g_build_filename(TOP, *hierarchy, cgroup, NULL);
                        n += kill_and_remove(directory);
                }
                if (n == 0)
                        return;
                if (group_is_frozen(cgroup))
                        (void) group_freeze(cgroup, false);
                g_usleep(1000);
        }
}
