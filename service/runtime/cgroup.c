/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Control groups of either version, by their files alone. On v1 the paths of one process may differ between hierarchies; conbus and crun make them equal, so one hierarchy (pids, else freezer, memory, systemd) stands for membership. */

#include "runtime/cgroup.h"
#include "base/auto.h"
#include "base/log.h"
#include "base/pidref.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>

#define ROOT "/sys/fs/cgroup"
#define ROUNDS_MAX 32 /* a fork bomb that outruns this many rounds of SIGKILL is left to the next caller */

static const char *const hierarchies[] = {"pids", "freezer", "memory", "systemd", "cpu", "cpuacct", "blkio", "devices", "cpuset", NULL};

typedef struct View {
        bool unified, present; /* present: there are control groups at all */
        const char *main;      /* the hierarchy that stands for membership; NULL on v2 */
} View;

static bool exists(const char *path) {
        return access(path, F_OK) == 0;
}

static char *group_path(const char *hierarchy, const char *cgroup, const char *file) {
        return hierarchy ? g_build_filename(ROOT, hierarchy, cgroup, file, NULL) : g_build_filename(ROOT, cgroup, file, NULL);
}

static View look(void) {
        struct statfs st;

        if (statfs(ROOT, &st) == 0 && st.f_type == CGROUP2_SUPER_MAGIC)
                return (View) {.unified = true, .present = true};
        for (const char *const *name = hierarchies; *name; name++) {
                g_autofree char *procs = group_path(*name, "", "cgroup.procs");
                if (exists(procs))
                        return (View) {.present = true, .main = *name};
        }
        return (View) {.main = "pids"};
}

/* What is mounted does not change, and every look takes a lock of the whole tree, which whoever makes or removes a group holds. */
static const View *view(void) {
        static View found;

        if (!found.present)
                found = look();
        return &found;
}

bool cgroup_is_unified(void) {
        return view()->unified;
}

/* NULL on v2. */
static const char *main_hierarchy(void) {
        return view()->main;
}

static bool line_has_controller(const char *controllers, const char *name) {
        g_auto(GStrv) words = g_strsplit(controllers, ",", -1);
        g_autofree char *named = g_strconcat("name=", name, NULL);

        return g_strv_contains((const char *const *) words, name) || g_strv_contains((const char *const *) words, named);
}

static char *cgroup_in(const char *hierarchy, pid_t pid) {
        g_autofree char *path = g_strdup_printf("/proc/%d/cgroup", (int) pid);
        g_autofree char *text = NULL;

        if (!g_file_get_contents(path, &text, NULL, NULL))
                return NULL;
        g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
        for (char **line = lines; *line; line++) {
                g_auto(GStrv) parts = g_strsplit(*line, ":", 3);
                if (g_strv_length(parts) == 3 && (hierarchy ? line_has_controller(parts[1], hierarchy) : g_str_equal(parts[0], "0")))
                        return g_strdup(parts[2]);
        }
        return NULL;
}

char *cgroup_of_pid(pid_t pid) {
        return cgroup_in(main_hierarchy(), pid);
}

char *cgroup_of_unit_process(pid_t pid) {
        return cgroup_in(cgroup_is_unified() ? NULL : "systemd", pid);
}

char *cgroup_scope_of(const char *id) {
        return g_strconcat("conbus-", id, ".scope", NULL);
}

char *cgroup_container_id(const char *cgroup) {
        g_auto(GStrv) parts = g_strsplit(cgroup, "/", -1);

        for (char **part = parts; *part; part++) {
                const char *id = *part;
                if (g_str_has_prefix(id, "conbus-"))
                        id += strlen("conbus-");
                else if (part == parts || !g_str_equal(part[-1], "conbus"))
                        continue;
                if (strspn(id, "0123456789abcdef") == 64 && (id[64] == '\0' || id[64] == '.'))
                        return g_strndup(id, 64);
        }
        return NULL;
}

char *cgroup_path_for(const char *id) {
        return g_strconcat("/conbus/", id, NULL);
}

char *cgroup_path_for_monitor(const char *id) {
        return g_strconcat("/conbus/monitor-", id, NULL);
}

static bool write_text(const char *path, const char *text) {
        autofd int fd = open(path, O_WRONLY | O_CLOEXEC);

        return fd >= 0 && write(fd, text, strlen(text)) == (ssize_t) strlen(text);
}

/* cpuset refuses processes until its two files are filled in; they are inherited by hand. */
static void fill_cpuset(const char *directory) {
        static const char *const files[] = {"cpuset.cpus", "cpuset.mems", NULL};

        for (const char *const *file = files; *file; file++) {
                g_autofree char *parent = g_path_get_dirname(directory);
                g_autofree char *from = g_build_filename(parent, *file, NULL), *to = g_build_filename(directory, *file, NULL), *text = NULL;
                if (g_file_get_contents(from, &text, NULL, NULL))
                        (void) write_text(to, text);
        }
}

static bool make_group(const char *hierarchy, const char *cgroup) {
        g_autofree char *path = group_path(hierarchy, cgroup, NULL);
        g_autofree char *parent = g_path_get_dirname(path);

        (void) mkdir(parent, 0755);
        if (hierarchy && g_str_equal(hierarchy, "cpuset"))
                fill_cpuset(parent);
        bool made = mkdir(path, 0755) == 0 || errno == EEXIST;
        if (made && hierarchy && g_str_equal(hierarchy, "cpuset"))
                fill_cpuset(path);
        return made;
}

char *cgroup_own_file(void) {
        g_autofree char *own = cgroup_of_pid(getpid()), *file = own ? group_path(main_hierarchy(), own, "cgroup.procs") : NULL;

        return file && exists(file) ? g_steal_pointer(&file) : NULL;
}

int cgroup_stay(const char *const *argv) {
        return write_text(argv[1], "0") ? 0 : errno;
}

char *cgroup_monitor_file(const char *id) {
        g_autofree char *cgroup = cgroup_path_for_monitor(id);
        const char *hierarchy = main_hierarchy();

        if (!view()->present) {
                log_debug("there are no control groups here; conmon stays in ours");
                return NULL;
        }
        if (g_strcmp0(hierarchy, "cpuset") == 0) /* which takes nobody before it has been filled in */
                (void) make_group(hierarchy, cgroup);
        return group_path(hierarchy, cgroup, cgroup_is_unified() ? "cgroup.procs" : "tasks");
}

bool cgroup_kill_monitor(const char *id, GError **error) {
        g_autofree char *cgroup = cgroup_path_for_monitor(id);
        unsigned n = 0;

        return cgroup_signal(cgroup, SIGKILL, &n, error);
}

char **cgroup_monitor_files(const char *scope, GError **error) {
        g_autoptr(GStrvBuilder) files = g_strv_builder_new();
        unsigned n = 0;

        if (cgroup_is_unified()) {
                g_autofree char *group = g_strconcat(scope, "/monitor", NULL), *procs = group_path(NULL, group, "cgroup.procs");
                g_strv_builder_add(files, procs);
                n += make_group(NULL, group);
        }
        for (const char *const *name = hierarchies; !cgroup_is_unified() && *name; name++) {
                g_autofree char *tasks = group_path(*name, scope, "tasks");
                if (!exists(tasks))
                        continue;
                g_strv_builder_add(files, tasks);
                n++;
        }
        if (n > 0)
                return g_strv_builder_end(files);
        error_set(error, CONBUS_ERROR_UNIT_FAILED, "there is no control group %s for conmon", scope);
        return NULL;
}

void cgroup_remove_monitor(const char *id) {
        g_autofree char *cgroup = cgroup_path_for_monitor(id);
        g_autofree char *path = group_path(main_hierarchy(), cgroup, NULL);

        (void) rmdir(path);
}

GPtrArray *cgroup_list_monitors(void) {
        GPtrArray *ids = g_ptr_array_new_with_free_func(g_free);
        g_autofree char *parent = group_path(main_hierarchy(), "conbus", NULL);
        g_autoptr(GDir) directory = g_dir_open(parent, 0, NULL);

        for (const char *name = directory ? g_dir_read_name(directory) : NULL; name; name = g_dir_read_name(directory))
                if (g_str_has_prefix(name, "monitor-"))
                        g_ptr_array_add(ids, g_strdup(name + strlen("monitor-")));
        return ids;
}

bool cgroup_make_child(const char *cgroup, const char *name, GError **error) {
        static const char *const needed[] = {"pids", "freezer", NULL};
        g_autofree char *child = g_build_filename(cgroup, name, NULL);
        bool made = false;

        if (cgroup_is_unified())
                made = make_group(NULL, child);
        for (const char *const *hierarchy = needed; !cgroup_is_unified() && *hierarchy; hierarchy++)
                made = make_group(*hierarchy, child) || made;
        return made || error_errno(error, errno, "make the control group %s", child);
}

/* --- walking --- */

static void process_free(void *data) {
        CgroupProcess *process = data;

        g_free(process->cgroup);
        g_free(process);
}

static void list_processes(const char *directory, const char *cgroup, GPtrArray *list) {
        g_autofree char *path = g_build_filename(directory, "cgroup.procs", NULL);
        g_autofree char *text = NULL;

        if (!g_file_get_contents(path, &text, NULL, NULL))
                return;
        for (char *p = text; *p;) {
                pid_t pid = (pid_t) strtol(p, &p, 10);
                while (*p == '\n')
                        p++;
                if (pid <= 0)
                        continue;
                CgroupProcess *process = g_new(CgroupProcess, 1);
                *process = (CgroupProcess) {.cgroup = g_strdup(cgroup), .pid = pid};
                g_ptr_array_add(list, process);
        }
}

/* Groups below a container's are few: those of checks and what the payload makes. */
static void walk(const char *directory, const char *cgroup, GPtrArray *list, bool remove_them) {
        DIR *dir = opendir(directory);

        for (struct dirent *entry = dir ? readdir(dir) : NULL; entry; entry = readdir(dir)) {
                if (entry->d_type != DT_DIR || entry->d_name[0] == '.')
                        continue;
                g_autofree char *child = g_build_filename(directory, entry->d_name, NULL), *name = g_build_filename(cgroup, entry->d_name, NULL);
                walk(child, name, list, remove_them);
        }
        if (dir)
                closedir(dir);
        if (list)
                list_processes(directory, cgroup, list);
        if (remove_them)
                (void) rmdir(directory);
}

static bool is_named(const char *cgroup) {
        return *cgroup && !g_str_equal(cgroup, "/"); /* never everything */
}

GPtrArray *cgroup_list(const char *cgroup) {
        GPtrArray *list = g_ptr_array_new_with_free_func(process_free);
        g_autofree char *directory = group_path(main_hierarchy(), cgroup, NULL);

        if (is_named(cgroup))
                walk(directory, cgroup, list, false);
        return list;
}

void cgroup_remove(const char *cgroup) {
        if (!is_named(cgroup))
                return;
        if (cgroup_is_unified()) {
                g_autofree char *directory = group_path(NULL, cgroup, NULL);
                walk(directory, cgroup, NULL, true);
                return;
        }
        for (const char *const *hierarchy = hierarchies; *hierarchy; hierarchy++) {
                g_autofree char *directory = group_path(*hierarchy, cgroup, NULL);
                if (exists(directory))
                        walk(directory, cgroup, NULL, true);
        }
}

/* --- signals --- */

static bool signal_member(const char *cgroup, pid_t pid, int signal, GHashTable *done) {
        g_auto(PidRef) ref = PIDREF_NULL;

        if (!g_hash_table_add(done, GINT_TO_POINTER(pid)) || !pidref_open(pid, &ref, NULL))
                return false;
        g_autofree char *present = cgroup_of_pid(pid);
        return present && g_str_has_prefix(present, cgroup) && pidref_signal(&ref, signal, NULL, NULL);
}

bool cgroup_signal(const char *cgroup, int signal, unsigned *ret_n, GError **error) {
        g_autoptr(GHashTable) done = g_hash_table_new(NULL, NULL);
        g_autofree char *kill_file = group_path(main_hierarchy(), cgroup, "cgroup.kill");
        bool more = is_named(cgroup);

        *ret_n = 0;
        /* It fails where there is no such file, or no such group any more: then the walk finds nobody. */
        if (more && signal == SIGKILL && write_text(kill_file, "1"))
                return true;
        for (int round = 0; more && round < ROUNDS_MAX; round++) {
                g_autoptr(GPtrArray) list = cgroup_list(cgroup);
                unsigned before = *ret_n;
                for (guint i = 0; i < list->len; i++)
                        if (signal_member(cgroup, ((CgroupProcess *) list->pdata[i])->pid, signal, done))
                                (*ret_n)++;
                more = signal == SIGKILL && *ret_n > before;
        }
        return true;
}

/* --- freezer, memory --- */

bool cgroup_is_frozen(const char *cgroup) {
        bool unified = cgroup_is_unified();
        g_autofree char *path = unified ? group_path(NULL, cgroup, "cgroup.freeze") : group_path("freezer", cgroup, "freezer.state");
        g_autofree char *text = NULL;

        return is_named(cgroup) && g_file_get_contents(path, &text, NULL, NULL) && (unified ? *text == '1' : g_str_has_prefix(text, "FR"));
}

bool cgroup_freeze(const char *cgroup, bool freeze, GError **error) {
        bool unified = cgroup_is_unified();
        g_autofree char *path = unified ? group_path(NULL, cgroup, "cgroup.freeze") : group_path("freezer", cgroup, "freezer.state");
        const char *word = freeze ? "FROZEN" : "THAWED", *number = freeze ? "1" : "0";

        if (!is_named(cgroup) || write_text(path, unified ? number : word))
                return true;
        return error_errno(error, errno, "%s the control group %s", freeze ? "freeze" : "thaw", cgroup);
}

bool cgroup_thaw(const char *cgroup, GError **error) {
        return cgroup_freeze(cgroup, false, error);
}

guint64 cgroup_oom_kills(const char *cgroup) {
        bool unified = cgroup_is_unified();
        g_autofree char *path = unified ? group_path(NULL, cgroup, "memory.events") : group_path("memory", cgroup, "memory.oom_control");
        g_autofree char *text = NULL;

        if (!g_file_get_contents(path, &text, NULL, NULL))
                return 0;
        const char *found = strstr(text, "oom_kill ");
        return found ? g_ascii_strtoull(found + strlen("oom_kill "), NULL, 10) : 0;
}
