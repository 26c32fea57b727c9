/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The process of an exec session and its end.
 *
 * As with PID 1 (lifecycle.c) the kernel's status counts before conmon's exit file, which says that all output has been drained; but a process of crun exec may have ended before it was ever seen, and is then known by that file alone.
 * A session that a former life of the service has begun to launch goes on by itself, since conmon takes the end of its pipes as "go": crun's pid file, the exit file or conmon's end say what came of it.
 * A conmon that dies in a launch leaves its crun behind, which goes on and may put a process into the container: it is waited for as conmon would be, and then its pid file is believed, if what it names is such a process. Where the launch has failed that one is killed, else it goes on without streams, as any whose conmon has died. A process that no crun came to write down is killed in any case. */

#include "operation/internal.h"
#include "operation/sessions.h"
#include "base/clock.h"
#include "base/log.h"
#include "runtime/cgroup.h"
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/inotify.h>

struct SessionWatch {
        Engine *engine;
        Session *session; /* owns this */
        Conmon *conmon; /* NULL after adoption */
        sd_event_source *main_source, *monitor_source, *file_source, *patience, *retry, *kill, *look;
        guint64 kill_at; /* CLOCK_BOOTTIME; 0: not asked for */
        unsigned n_patience;
        bool monitor_gone, has_status;
        int status;
        bool failed; /* the launch has, with this code: the end comes when nothing is left of it */
        bool decided; /* what follows is the end, which the store may have refused so far */
        int code, signal;
        GPtrArray *operations; /* with references: they wait for the end */
};

static void conclude(struct SessionWatch *watch);
static int on_monitor(sd_event_source *source, int fd, uint32_t revents, void *userdata);
static void wait_for_sources(struct SessionWatch *watch, guint64 usec);

static void unwatch(struct SessionWatch *watch) {
        reaper_unwatch_owner(watch->engine->reaper, watch);
        g_clear_pointer(&watch->main_source, sd_event_source_disable_unref);
        g_clear_pointer(&watch->monitor_source, sd_event_source_disable_unref);
        g_clear_pointer(&watch->file_source, sd_event_source_disable_unref);
        g_clear_pointer(&watch->patience, sd_event_source_disable_unref);
        g_clear_pointer(&watch->kill, sd_event_source_disable_unref);
        g_clear_pointer(&watch->look, sd_event_source_disable_unref);
}

void session_watch_free(struct SessionWatch *watch) {
        if (!watch)
                return;
        unwatch(watch);
        g_clear_pointer(&watch->retry, sd_event_source_disable_unref);
        conmon_free(watch->conmon);
        for (guint i = 0; i < watch->operations->len; i++)
                operation_unref(watch->operations->pdata[i]);
        g_ptr_array_unref(watch->operations);
        g_free(watch);
}

/* --- the end --- */

static GVariant *details_of(const Session *session, const SessionLife *life) {
        GVariantDict details;

        g_variant_dict_init(&details, NULL);
        g_variant_dict_insert(&details, "session", "t", session->number);
        if (life->state == SESSION_STOPPED) {
                g_variant_dict_insert(&details, "exit-code", "i", life->exit_code);
                g_variant_dict_insert(&details, "signal", "i", life->exit_signal);
        }
        return g_variant_dict_end(&details);
}

bool session_commit_running(Session *session, Actor *actor, GError **error) {
        g_autoptr(Commit) commit = commit_new(session->container, actor);
        SessionLife *life = &commit->session_life;

        commit_set_session(commit, session);
        life->state = SESSION_RUNNING;
        life->launching = false;
        life->start_usec = clock_realtime_usec();
        life->main = (StoredProcess) {.pid = session->main.pid, .start_time = session->main.start_time};
        commit_event(commit, "exec", details_of(session, life));
        return commit_apply(commit, error);
}

static bool commit_end(struct SessionWatch *watch, GError **error) {
        Session *session = watch->session;
        g_autoptr(Commit) commit = commit_new(session->container, NULL);
        SessionLife *life = &commit->session_life;

        commit_set_session(commit, session);
        life->state = SESSION_STOPPED;
        life->launching = false;
        life->finish_usec = clock_realtime_usec();
        life->exit_code = watch->code;
        life->exit_signal = watch->signal;
        life->main = (StoredProcess) {0};
        commit_event(commit, "exec-died", details_of(session, life));
        return commit_apply(commit, error);
}

/* conmon may stay a moment longer, and its control group with it. */
static void let_monitor_go(struct SessionWatch *watch) {
        Session *session = watch->session;

        if (!watch->engine->units && pidref_is_set(&session->monitor) && !pidref_has_ended(&session->monitor))
                monitors_watch(watch->engine, session->container->id, &session->monitor);
        pidref_clear(&session->monitor);
        pidref_clear(&session->main);
}

static int on_retry(sd_event_source *source, guint64 usec, void *userdata) {
        struct SessionWatch *watch = userdata;

        g_clear_pointer(&watch->retry, sd_event_source_disable_unref);
        conclude(watch);
        return 0;
}

static void retry_later(struct SessionWatch *watch, const GError *error) {
        g_autofree char *title = session_title(watch->session);

        log_error("record the end of %s: %s; trying again each second", title, error->message);
        int r = sd_event_add_time(watch->engine->event, &watch->retry, CLOCK_BOOTTIME, clock_boottime_in(G_USEC_PER_SEC), 0, on_retry, watch);
        g_assert(r >= 0);
}

static void finish(struct SessionWatch *watch) {
        g_autoptr(Session) session = session_ref(watch->session);
        g_autoptr(GError) error = NULL;
        Engine *engine = watch->engine;

        watch->decided = true;
        unwatch(watch);
        if (!commit_end(watch, &error)) {
                retry_later(watch, error);
                return;
        }
        let_monitor_go(watch);
        GPtrArray *operations = g_steal_pointer(&watch->operations);
        watch->operations = g_ptr_array_new();
        session->watch = NULL;
        session_watch_free(watch);
        attachments_session_ended(engine, session);
        session_has_ended(engine, session);
        for (guint i = 0; i < operations->len; i++) {
                operation_continue(operations->pdata[i]);
                operation_unref(operations->pdata[i]);
        }
        g_ptr_array_unref(operations);
}

/* What crun said to a launch that nobody was there to hear of. */
static int code_of_launch(struct SessionWatch *watch) {
        g_autofree char *directory = paths_session(watch->engine->paths, watch->session->number), *log = g_build_filename(directory, "crun.log", NULL), *said = crun_last_log_message(log);
        g_autoptr(GError) error = NULL;

        if (said)
                crun_set_error(&error, "exec", said);
        return crun_exit_code_of(error);
}

static void decide(struct SessionWatch *watch, bool has_file, int file_code) {
        Life outcome = {.exit_code = -1};

        lifecycle_set_outcome(&outcome, watch->has_status, watch->status, has_file, file_code, 0);
        watch->code = outcome.exit_code;
        watch->signal = outcome.exit_signal;
        if (!watch->has_status && !has_file && watch->session->life.launching)
                watch->code = code_of_launch(watch);
        finish(watch);
}

/* --- a launch without its conmon --- */

static bool is_below(const char *cgroup, const char *top) {
        return *top && g_str_has_prefix(cgroup, top) && (cgroup[strlen(top)] == '/' || cgroup[strlen(top)] == '\0');
}

/* conmon gives it the session's process.json by name. */
static bool serves_session(pid_t pid, const char *process) {
        g_autofree char *path = g_strdup_printf("/proc/%d/cmdline", (int) pid), *words = NULL;
        gsize size = 0;

        if (!g_file_get_contents(path, &words, &size, NULL))
                return false;
        for (const char *word = words; word < words + size; word += strlen(word) + 1)
                if (g_str_equal(word, process))
                        return true;
        return false;
}

/* In the group of conmon, which nothing of the container's is in. */
static bool find_crun(const struct SessionWatch *watch, PidRef *ret) {
        const Container *container = watch->session->container;
        g_autofree char *group = watch->engine->units ? scope_group(watch->engine, container) : cgroup_path_for_monitor(container->id);
        g_autofree char *directory = paths_session(watch->engine->paths, watch->session->number), *process = g_build_filename(directory, "process.json", NULL);
        g_autoptr(GPtrArray) processes = cgroup_list(group);

        for (guint i = 0; i < processes->len; i++) {
                const CgroupProcess *one = processes->pdata[i];
                g_auto(PidRef) found = PIDREF_NULL;
                if (is_below(one->cgroup, container->life.cgroup) || !pidref_open(one->pid, &found, NULL) || !serves_session(one->pid, process))
                        continue;
                *ret = pidref_steal(&found);
                return true;
        }
        return false;
}

/* What crun exec puts into a container has its parent outside of it; a number that somebody else in the container bears by now has not. */
static bool is_put_into(pid_t pid, const char *container_group) {
        g_autofree char *group = cgroup_of_pid(pid), *parents = cgroup_of_pid(pid_parent(pid));

        return group && parents && is_below(group, container_group) && !is_below(parents, container_group);
}

/* crun takes conmon's place. */
static bool wait_for_crun(struct SessionWatch *watch) {
        Session *session = watch->session;
        g_auto(PidRef) crun = PIDREF_NULL;

        if (!watch->monitor_gone || !session->life.launching || pidref_is_set(&session->main) || !find_crun(watch, &crun))
                return false;
        pidref_clear(&session->monitor);
        session->monitor = pidref_steal(&crun);
        int r = sd_event_add_io(watch->engine->event, &watch->monitor_source, session->monitor.fd, EPOLLIN, on_monitor, watch);
        g_assert(r >= 0);
        watch->monitor_gone = false;
        if (!watch->patience)
                wait_for_sources(watch, watch->engine->settings.create_usec);
        return true;
}

/* --- sources --- */

static void kill_monitor(struct SessionWatch *watch) {
        const PidRef *monitor = &watch->session->monitor;

        if (watch->conmon)
                conmon_kill(watch->conmon);
        else if (pidref_is_set(monitor)) {
                if (watch->session->life.launching)
                        pid_kill_children(monitor->pid);
                (void) !pidref_signal(monitor, SIGKILL, NULL, NULL);
        }
}

static int on_patience_ended(sd_event_source *source, guint64 usec, void *userdata) {
        struct SessionWatch *watch = userdata;
        g_autofree char *title = session_title(watch->session);

        g_clear_pointer(&watch->patience, sd_event_source_disable_unref);
        watch->n_patience++;
        if (watch->n_patience == 1 && !watch->monitor_gone) {
                log_warning("the conmon of %s does not come to an end; killing it", title);
                kill_monitor(watch);
        }
        conclude(watch);
        return 0;
}

static void wait_for_sources(struct SessionWatch *watch, guint64 usec) {
        if (watch->patience)
                return;
        int r = sd_event_add_time(watch->engine->event, &watch->patience, CLOCK_BOOTTIME, clock_boottime_in(usec), 1000, on_patience_ended, watch);
        g_assert(r >= 0);
}

static int on_main(sd_event_source *source, int fd, uint32_t revents, void *userdata) {
        /* Readable: it has ended. Hung up: it has been reaped, and the kernel can tell its status. */
        if (revents & EPOLLHUP)
                sd_event_source_set_enabled(source, SD_EVENT_OFF);
        else
                sd_event_source_set_io_events(source, 0);
        conclude(userdata);
        return 0;
}

static void on_main_reaped(pid_t pid, int wait_status, void *userdata) {
        struct SessionWatch *watch = userdata;

        watch->has_status = true;
        watch->status = wait_status;
        conclude(watch);
}

static void watch_main(struct SessionWatch *watch) {
        PidRef *main = &watch->session->main;

        if (main->fd < 0)
                return;
        int r = sd_event_add_io(watch->engine->event, &watch->main_source, main->fd, EPOLLIN, on_main, watch);
        if (r >= 0)
                r = sd_event_source_set_priority(watch->main_source, PRIORITY_END);
        g_assert(r >= 0);
        reaper_watch(watch->engine->reaper, main->pid, on_main_reaped, watch);
}

static void monitor_is_gone(struct SessionWatch *watch) {
        Session *session = watch->session;

        if (watch->monitor_gone)
                return;
        watch->monitor_gone = true;
        g_clear_pointer(&watch->monitor_source, sd_event_source_disable_unref);
        pidref_clear(&session->monitor);
        if (session->main.fd >= 0 && !pidref_has_ended(&session->main))
                attachments_session_lost(watch->engine, session);
        conclude(watch);
}

static void on_monitor_ended(int wait_status, void *userdata) {
        monitor_is_gone(userdata);
}

static int on_monitor(sd_event_source *source, int fd, uint32_t revents, void *userdata) {
        monitor_is_gone(userdata);
        return 0;
}

static int on_file(sd_event_source *source, const struct inotify_event *event, void *userdata) {
        conclude(userdata);
        return 0;
}

/* A child of the conmon, or of the crun that has written the file and that conmon still waits for; which may end between two looks. */
static bool is_begun_by(pid_t pid, pid_t monitor) {
        pid_t parent = pid_parent(pid);

        return monitor > 0 && (parent == monitor || pid_parent(parent) == monitor || pid_parent(pid) == monitor);
}

/* By crun's pid file. */
static bool find_noted(const struct SessionWatch *watch, PidRef *ret) {
        const Session *session = watch->session;
        g_autofree char *directory = paths_session(watch->engine->paths, session->number), *path = g_build_filename(directory, "pidfile", NULL), *text = NULL;
        g_auto(PidRef) found = PIDREF_NULL;

        if (!g_file_get_contents(path, &text, NULL, NULL) || !pidref_open(atoi(text), &found, NULL))
                return false;
        if (!(watch->monitor_gone ? is_put_into(found.pid, session->container->life.cgroup) : is_begun_by(found.pid, session->monitor.pid)))
                return false;
        *ret = pidref_steal(&found);
        return true;
}

static bool is_known(const Container *container, pid_t pid) {
        bool known = container->main.pid == pid;

        for (guint i = 0; i < container->sessions->len && !known; i++)
                known = ((const Session *) container->sessions->pdata[i])->main.pid == pid;
        return known;
}

/* Where the container has no PID namespace of its own, what its processes leave behind looks the same, and is not touched. */
static bool is_left_by_crun(pid_t pid) {
        pid_t parent = pid_parent(pid);

        return pid_depth(pid) > 1 && pid_depth(parent) <= 1 && (parent == getpid() || pid_is_exiting(parent));
}

/* crun lets a process go and writes down its number then. If it dies in between, with conmon, the process is ours by birth, as soon as they are reaped, and nothing else tells of it. */
static bool find_unnoted(const struct SessionWatch *watch, PidRef *ret) {
        const Container *container = watch->session->container;
        g_autoptr(GPtrArray) processes = cgroup_list(container->life.cgroup);

        for (guint i = 0; i < processes->len; i++) {
                g_auto(PidRef) found = PIDREF_NULL;
                if (!pidref_open(((const CgroupProcess *) processes->pdata[i])->pid, &found, NULL) || found.start_time < watch->session->life.monitor.start_time)
                        continue;
                if (is_known(container, found.pid) || !is_left_by_crun(found.pid))
                        continue;
                *ret = pidref_steal(&found);
                return true;
        }
        return false;
}

/* A launch that outlived its service: the pid file may bear a number by now. It is looked at once, for nothing tells when crun ends. */
static void find_launched(struct SessionWatch *watch) {
        Session *session = watch->session;
        g_auto(PidRef) found = PIDREF_NULL;
        g_autoptr(GError) error = NULL;

        if (!session->life.launching || pidref_is_set(&session->main))
                return;
        if (!find_noted(watch, &found)) {
                if (!watch->monitor_gone || !find_unnoted(watch, &found))
                        return;
                if (!watch->failed)
                        watch->code = code_of_launch(watch);
                watch->failed = true;
        }
        session->main = pidref_steal(&found);
        watch_main(watch);
        g_clear_pointer(&watch->patience, sd_event_source_disable_unref);
        if (watch->failed) {
                session_watch_kill(session);
                return;
        }
        if (!session_commit_running(session, NULL, &error))
                log_error("%s", error->message);
        attachments_session_running(watch->engine, session);
        if (watch->monitor_gone)
                attachments_session_lost(watch->engine, session);
}

/* Nothing of it is left, or will ever go. */
static void conclude_failed(struct SessionWatch *watch) {
        const Session *session = watch->session;

        if (watch->monitor_gone && (!pidref_is_set(&session->main) || pidref_has_ended(&session->main)))
                finish(watch);
}

static void conclude(struct SessionWatch *watch) {
        g_autoptr(Session) session = session_ref(watch->session); /* what the reaper finds may end the watch, and with it the session */
        g_autofree char *directory = paths_session(watch->engine->paths, session->number);
        int file_code = -1;

        if (watch->decided) {
                if (!watch->retry) /* else its time has not come */
                        finish(watch);
                return;
        }
        if (wait_for_crun(watch))
                return;
        find_launched(watch);
        if (watch->failed) {
                conclude_failed(watch);
                return;
        }
        bool has_file = conmon_read_exit_file(directory, session->container->id, &file_code), known = pidref_is_set(&session->main);
        if (!has_file && (known ? !pidref_has_ended(&session->main) : !watch->monitor_gone))
                return;
        if (known && !watch->has_status)
                watch->has_status = pidref_exit_status(&session->main, &watch->status);
        if (known && !watch->has_status && watch->monitor_gone && session->main.fd >= 0) {
                reaper_check(watch->engine->reaper, session->main.pid); /* our child since conmon's death; on_main_reaped sees to the rest */
                if (session->watch != watch || watch->has_status)
                        return;
        }
        bool settled = watch->has_status || watch->n_patience >= 1 || pidref_status_is_lost(&session->main);
        if (has_file || (watch->monitor_gone && settled) || watch->n_patience >= 2)
                decide(watch, has_file, file_code);
        else
                wait_for_sources(watch, watch->engine->settings.exit_file_usec);
}

static int on_look(sd_event_source *source, void *userdata) {
        struct SessionWatch *watch = userdata;

        g_clear_pointer(&watch->look, sd_event_source_disable_unref);
        conclude(watch);
        return 0;
}

/* --- beginning --- */

static struct SessionWatch *watch_new(Engine *engine, Session *session) {
        struct SessionWatch *watch = g_new0(struct SessionWatch, 1);

        g_assert(!session->watch);
        watch->engine = engine;
        watch->session = session;
        watch->operations = g_ptr_array_new();
        session->watch = watch;
        return watch;
}

void session_watch_begin(Engine *engine, Session *session, Conmon *conmon) {
        struct SessionWatch *watch = watch_new(engine, session);
        g_autofree char *directory = paths_session(engine->paths, session->number);
        int r;

        watch->conmon = conmon;
        watch_main(watch);
        if (conmon)
                conmon_on_end(conmon, on_monitor_ended, watch);
        else if (pidref_is_set(&session->monitor)) {
                r = sd_event_add_io(engine->event, &watch->monitor_source, session->monitor.fd, EPOLLIN, on_monitor, watch);
                g_assert(r >= 0);
        } else
                watch->monitor_gone = true;
        r = sd_event_add_inotify(engine->event, &watch->file_source, directory, IN_MOVED_TO | IN_CLOSE_WRITE | IN_ONLYDIR, on_file, watch);
        if (r >= 0)
                r = sd_event_source_set_priority(watch->file_source, PRIORITY_END);
        if (r < 0)
                log_debug("watch %s: %s", directory, g_strerror(-r)); /* conmon's end is seen in any case */
        if (session->life.launching && !pidref_is_set(&session->main))
                wait_for_sources(watch, engine->settings.create_usec);
        r = sd_event_add_defer(engine->event, &watch->look, on_look, watch); /* it may all have happened already */
        g_assert(r >= 0);
}

bool session_watch_fail(Engine *engine, Session *session, int code) {
        struct SessionWatch *watch = watch_new(engine, session);

        watch->code = code;
        watch->failed = true;
        watch->monitor_gone = true;
        conclude(watch);
        return !session->watch || session->watch->decided;
}

void session_watch_await(Session *session, Operation *operation) {
        g_ptr_array_add(session->watch->operations, operation_ref(operation));
}

void session_watch_kill(Session *session) {
        if (pidref_is_set(&session->main))
                (void) !pidref_signal(&session->main, SIGKILL, NULL, NULL);
        else
                kill_monitor(session->watch);
}

static int on_kill_due(sd_event_source *source, guint64 usec, void *userdata) {
        struct SessionWatch *watch = userdata;

        g_clear_pointer(&watch->kill, sd_event_source_disable_unref);
        session_watch_kill(watch->session);
        return 0;
}

void session_watch_kill_at(Session *session, guint64 boottime_usec) {
        struct SessionWatch *watch = session->watch;

        if (boottime_usec == UINT64_MAX || (watch->kill_at != 0 && watch->kill_at <= boottime_usec))
                return;
        watch->kill_at = boottime_usec;
        g_clear_pointer(&watch->kill, sd_event_source_disable_unref);
        int r = sd_event_add_time(watch->engine->event, &watch->kill, CLOCK_BOOTTIME, boottime_usec, 1000, on_kill_due, watch);
        g_assert(r >= 0);
}
