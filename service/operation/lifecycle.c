/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The processes of an open run, and its end.
 *
 * The trigger is PID 1's pidfd. Sources of the code, best first: the status the kernel gives (waitid when PID 1 became our child because conmon died, PIDFD_GET_INFO once conmon has reaped it), conmon's exit file, nothing (`lost`).
 * While conmon lives the end is committed when its exit file is there, since only then all output has been drained; it is given exit_file_usec, then conmon is killed (its death hands PID 1 over to us, the subreaper) and the same time passes once more.
 * Once conmon is gone no file comes any more, and nothing is waited for but a status that the kernel still may tell.
 * conmon's own end is no trigger: it stays until its exit command has ended. If conmon dies first and PID 1 lives, the run goes on unsupervised.
 * The commit of an end that the store refuses is tried again each second: nothing is answered before it is durable. */

#include "operation/internal.h"
#include "base/clock.h"
#include "base/log.h"
#include "runtime/cgroup.h"
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/wait.h>
#include <unistd.h>

#define KILLED_USEC (10 * G_USEC_PER_SEC) /* for a killed conmon to be gone; only one that hangs in the kernel is not at once */

struct Supervision {
        Engine *engine;
        Container *container; /* owns this */
        Conmon *conmon; /* NULL after adoption */
        sd_event_source *main_source, *monitor_source, *wait_timer, *kill_timer, *retry_timer, *gone_source;
        unsigned n_holds, n_patience; /* how often exit_file_usec has passed */
        bool ended, monitor_gone, has_file, has_status, has_oom_kills;
        guint64 oom_kills;
        int status;
        GPtrArray *waiting; /* of Operation with a reference: lifecycle_await_end */
};

static void conclude(struct Supervision *supervision);

/* PID 1's status as a code. Signals are 128+N with ExitSignal N; of the exit file only 129..192 can be told to be one. */
void lifecycle_set_outcome(Life *life, bool has_status, int wait_status, bool has_file, int file_code, guint64 oom_kills) {
        int signal = 0, code = -1;
        bool dumped = false;

        if (has_status && WIFSIGNALED(wait_status)) {
                signal = WTERMSIG(wait_status);
                dumped = WCOREDUMP(wait_status);
        } else if (has_status)
                code = WEXITSTATUS(wait_status);
        else if (has_file && file_code > 128 && file_code <= 192)
                signal = file_code - 128;
        else if (has_file && file_code >= 0)
                code = file_code;
        life->exit_signal = signal;
        life->exit_code = signal ? 128 + signal : code;
        if (signal == SIGKILL && oom_kills > 0)
                life->result = RESULT_OOM_KILL;
        else if (signal)
                life->result = dumped ? RESULT_CORE_DUMP : RESULT_SIGNAL;
        else if (code < 0)
                life->result = RESULT_LOST;
        else
                life->result = code == 0 ? RESULT_SUCCESS : RESULT_EXIT_CODE;
}

static Reason reason_of_end(const Life *life) {
        switch (life->result) {
        case RESULT_OOM_KILL:
                return REASON_OOM;
        case RESULT_SIGNAL:
        case RESULT_CORE_DUMP:
                return REASON_SIGNAL;
        case RESULT_NEVER_RAN:
                return REASON_NOT_STARTED;
        case RESULT_START_FAILED:
                return REASON_START_FAILED;
        case RESULT_TIMEOUT:
                return REASON_TIMEOUT;
        case RESULT_LOST:
                return REASON_MONITOR_LOST;
        default:
                return REASON_EXIT;
        }
}

static char *exit_directory(Engine *engine) {
        return g_build_filename(engine->paths->run, "exits", NULL);
}

/* Final once PID 1 has died; read while conmon is still at work, so that the end need not wait for it. */
static void read_oom_kills(struct Supervision *supervision) {
        const char *cgroup = supervision->container->life.cgroup;

        if (!supervision->has_oom_kills && *cgroup)
                supervision->oom_kills = cgroup_oom_kills(cgroup);
        supervision->has_oom_kills = true;
}

static guint64 count_oom_kills(struct Supervision *supervision) {
        Container *container = supervision->container;
        char number[48];

        read_oom_kills(supervision);
        snprintf(number, sizeof number, "%" G_GUINT64_FORMAT "/persist/oom", container->life.run);
        g_autofree char *file = paths_run_of(supervision->engine->paths, container->id, number);
        return supervision->oom_kills == 0 && access(file, F_OK) == 0 ? 1 : supervision->oom_kills;
}

static GVariant *died_details(const Life *life) {
        GVariantDict details;

        g_variant_dict_init(&details, NULL);
        g_variant_dict_insert(&details, "exit-code", "i", life->exit_code);
        g_variant_dict_insert(&details, "signal", "i", life->exit_signal);
        g_variant_dict_insert(&details, "result", "s", result_to_string(life->result));
        g_variant_dict_insert(&details, "oom", "b", life->result == RESULT_OOM_KILL);
        return g_variant_dict_end(&details);
}

void lifecycle_close_run(Commit *commit, Result result, Reason reason, int code, int signal) {
        PidRef none = PIDREF_NULL, none_too = PIDREF_NULL;
        Container *container = commit->container;
        Life *life = &commit->life;
        Run *run = commit_edit_run(commit);

        life->result = result;
        life->exit_code = code;
        life->exit_signal = signal;
        life->finish_usec = clock_realtime_usec();
        life->run_open = false;
        life->ready = false;
        life->supervised = false;
        life->stop_deadline = 0;
        life->stop_signal = 0;
        commit_set_main(commit, &none);
        commit_set_monitor(commit, &none_too);
        run->finish_usec = life->finish_usec;
        run->start_usec = life->start_usec;
        run->exit_code = code;
        run->exit_signal = signal;
        run->result = result;
        run->reason = reason;
        g_free(run->health);
        run->health = g_strdup(health_status(container));
        g_free(run->name);
        run->name = g_strdup(container->name);
        commit_set_run_finished(commit);
        commit_event(commit, "died", died_details(life));
}

static void fill_end(struct Supervision *supervision, Commit *commit, int file_code) {
        Container *container = supervision->container;
        Life *life = &commit->life;
        guint64 oom_kills = count_oom_kills(supervision);

        lifecycle_set_outcome(life, supervision->has_status, supervision->status, supervision->has_file, file_code, oom_kills);
        if (container->failed_start_code > 0) {
                life->result = RESULT_START_FAILED;
                life->exit_code = container->failed_start_code;
                life->exit_signal = 0;
        } else if (container->start_timed_out)
                life->result = RESULT_TIMEOUT;
        else if (life->start_usec == 0 && life->exit_signal != 0) /* PID 1 waits for crun start and can only be killed before; one that has exited did run, and the service died before it could say so */
                life->result = RESULT_NEVER_RAN;
        life->boot_due = false;
        if (life->result == RESULT_LOST) {
                g_autoptr(GError) lost = NULL;
                error_set(&lost, CONBUS_ERROR_MONITOR_LOST, "run %" G_GUINT64_FORMAT " of %s ended, but neither the kernel nor conmon could say how", life->run, container_title(container));
                commit_set_error(commit, lost);
        }
        commit_edit_run(commit)->oom_kills = oom_kills;
        lifecycle_close_run(commit, life->result, reason_of_end(life), life->exit_code, life->exit_signal);
}

/* The commit closes the pidfds, so nothing may watch them any more: epoll keeps an entry whose descriptor was closed for as long as a copy is open, and a child has copies of everything between fork and exec. A commit that fails is tried again by
 * a timer and looks at the pidfds itself. */
static void unwatch_processes(struct Supervision *supervision) {
        g_clear_pointer(&supervision->main_source, sd_event_source_disable_unref);
        g_clear_pointer(&supervision->monitor_source, sd_event_source_disable_unref);
}

static bool commit_end(struct Supervision *supervision, int file_code, GError **error) {
        Container *container = supervision->container;
        g_auto(PidRef) monitor = PIDREF_NULL;
        g_autoptr(Commit) commit = commit_new(container, NULL);

        unwatch_processes(supervision);
        fill_end(supervision, commit, file_code);
        if (supervision->has_file && supervision->has_status && file_code >= 0 && file_code != commit->life.exit_code && container->failed_start_code == 0)
                log_notice("%s: conmon says code %d, the kernel %d; the kernel counts", container_title(container), file_code, commit->life.exit_code);
        commit_enter(commit, STATE_STOPPED, reason_of_end(&commit->life));
        bool lingers = !supervision->monitor_gone && pidref_find(container->monitor.pid, container->monitor.start_time, &monitor);
        if (!commit_apply(commit, error))
                return false;
        if (lingers)
                monitors_watch(supervision->engine, container->id, &monitor);
        return true;
}

static int on_retry(sd_event_source *source, guint64 usec, void *userdata) {
        conclude(userdata);
        return 0;
}

static void retry_later(struct Supervision *supervision, const GError *error) {
        if (!supervision->retry_timer)
                log_error("record the end of %s: %s; trying again each second", container_title(supervision->container), error->message);
        g_clear_pointer(&supervision->retry_timer, sd_event_source_disable_unref);
        int r = sd_event_add_time(supervision->engine->event, &supervision->retry_timer, CLOCK_BOOTTIME, clock_boottime_in(G_USEC_PER_SEC), 0, on_retry, supervision);
        g_assert(r >= 0);
}

/* The run is over and recorded: nothing is watched any more, and whoever waited for the end goes on. conmon lives until its exit command has ended; the reaper takes it. */
static void finish_supervision(struct Supervision *supervision) {
        Engine *engine = supervision->engine;
        Container *container = container_ref(supervision->container);
        GPtrArray *waiting = g_steal_pointer(&supervision->waiting);

        attachments_run_ended(engine, container);
        if (supervision->has_file || supervision->monitor_gone) /* conmon writes it after its last look at its FIFO */
                logs_settle(engine, container);
        lifecycle_detach(container);
        container->failed_start_code = 0;
        container->start_timed_out = false;
        container->start_is_doubtful = false;
        health_ended(container);
        readiness_close(container);
        for (guint i = 0; i < waiting->len; i++) {
                Operation *operation = waiting->pdata[i];
                operation_continue(operation);
                operation_unref(operation);
        }
        g_ptr_array_unref(waiting);
        lifecycle_ensure_cleanup(engine, container);
        container_unref(container);
}

static int on_patience_ended(sd_event_source *source, guint64 usec, void *userdata) {
        struct Supervision *supervision = userdata;

        g_clear_pointer(&supervision->wait_timer, sd_event_source_disable_unref);
        supervision->n_patience++;
        conclude(supervision);
        return 0;
}

guint64 lifecycle_patience(const Container *container) {
        const struct Supervision *supervision = container->supervision;

        if (!supervision || !supervision->wait_timer)
                return 0;
        return clock_add_usec(supervision->engine->settings.exit_file_usec, KILLED_USEC);
}

/* Gives the missing source some time; the second time conmon is killed, so that its child becomes ours. */
static void wait_for_sources(struct Supervision *supervision) {
        Container *container = supervision->container;

        guint64 patience = supervision->engine->settings.exit_file_usec;

        if (supervision->wait_timer)
                return;
        if (supervision->n_patience == 1 && !supervision->monitor_gone) {
                g_autoptr(GError) error = NULL;
                patience = KILLED_USEC;
                log_warning("%s ended, but conmon has not said so in %.1f s; killing conmon", container_title(container), (double) supervision->engine->settings.exit_file_usec / G_USEC_PER_SEC);
                if (!pidref_signal(&container->monitor, SIGKILL, NULL, &error))
                        log_warning("kill conmon: %s", error->message);
        }
        int r = sd_event_add_time(supervision->engine->event, &supervision->wait_timer, CLOCK_BOOTTIME, clock_boottime_in(patience), 1000, on_patience_ended, supervision);
        g_assert(r >= 0);
}

/* PID 1 is our child from the moment of conmon's death; its status is there, though its SIGCHLD may come after that of conmon. True if on_main_reaped has seen to the rest. */
static bool inherit_main(struct Supervision *supervision) {
        g_autoptr(Container) container = container_ref(supervision->container);

        if (!supervision->monitor_gone || supervision->has_status || !pidref_is_set(&container->main))
                return false;
        reaper_check(supervision->engine->reaper, container->main.pid);
        return container->supervision != supervision || supervision->has_status;
}

static void conclude(struct Supervision *supervision) {
        Container *container = supervision->container;
        g_autoptr(GError) error = NULL;
        int file_code = -1;

        if (!supervision->ended || supervision->n_holds > 0)
                return;
        if (!supervision->has_status)
                supervision->has_status = pidref_exit_status(&container->main, &supervision->status);
        if (!supervision->monitor_gone)
                supervision->monitor_gone = !pidref_is_set(&container->monitor) || pidref_has_ended(&container->monitor);
        if (inherit_main(supervision))
                return;
        /* After the look at conmon, which may write it and end at any moment. */
        g_autofree char *exits = exit_directory(supervision->engine);
        supervision->has_file = conmon_read_exit_file(exits, container->id, &file_code);
        bool settled = supervision->has_status || supervision->n_patience >= 1 || pidref_status_is_lost(&container->main);
        bool enough = supervision->has_file || (supervision->monitor_gone && settled) || supervision->n_patience >= 2;
        if (!enough) {
                read_oom_kills(supervision);
                wait_for_sources(supervision);
                return;
        }
        g_clear_pointer(&supervision->wait_timer, sd_event_source_disable_unref);
        if (!commit_end(supervision, file_code, &error)) {
                retry_later(supervision, error);
                return;
        }
        finish_supervision(supervision);
}

static int on_main(sd_event_source *source, int fd, uint32_t revents, void *userdata) {
        struct Supervision *supervision = userdata;

        supervision->ended = true;
        /* Readable: it has ended. Hung up (newer kernels): it has been reaped, and the kernel can tell its status. */
        if (revents & EPOLLHUP)
                sd_event_source_set_enabled(source, SD_EVENT_OFF);
        else
                sd_event_source_set_io_events(source, 0);
        conclude(supervision);
        return 0;
}

static void on_main_reaped(pid_t pid, int wait_status, void *userdata) {
        struct Supervision *supervision = userdata;

        supervision->ended = true;
        supervision->has_status = true;
        supervision->status = wait_status;
        conclude(supervision);
}

static void on_monitor_gone(struct Supervision *supervision) {
        Container *container = supervision->container;
        g_autoptr(GError) error = NULL;
        PidRef none = PIDREF_NULL;

        g_clear_pointer(&supervision->monitor_source, sd_event_source_disable_unref);
        if (supervision->monitor_gone)
                return;
        supervision->monitor_gone = true;
        if (!supervision->ended && pidref_is_set(&container->main) && !pidref_has_ended(&container->main)) {
                g_autoptr(Commit) commit = commit_new(container, NULL);
                commit->life.supervised = false;
                commit_set_monitor(commit, &none);
                commit_event(commit, "supervision-lost", NULL);
                if (!commit_apply(commit, &error))
                        log_error("%s: %s", container_title(container), error->message);
                attachments_monitor_lost(supervision->engine, container);
                return;
        }
        conclude(supervision);
}

static void on_monitor_ended(int wait_status, void *userdata) {
        on_monitor_gone(userdata);
}

static int on_monitor(sd_event_source *source, int fd, uint32_t revents, void *userdata) {
        on_monitor_gone(userdata);
        return 0;
}

void lifecycle_attach(Engine *engine, Container *container, Conmon *conmon) {
        g_assert(!container->supervision);
        struct Supervision *supervision = g_new0(struct Supervision, 1);
        int r;

        container->supervision = supervision;
        engine->n_supervised++;
        supervision->engine = engine;
        supervision->container = container;
        supervision->conmon = conmon;
        supervision->waiting = g_ptr_array_new();
        if (pidref_is_set(&container->main)) {
                r = sd_event_add_io(engine->event, &supervision->main_source, container->main.fd, EPOLLIN, on_main, supervision);
                g_assert(r >= 0);
                sd_event_source_set_priority(supervision->main_source, PRIORITY_END);
                reaper_watch(engine->reaper, container->main.pid, on_main_reaped, supervision);
        }
        if (conmon)
                conmon_on_end(conmon, on_monitor_ended, supervision);
        else if (pidref_is_set(&container->monitor)) {
                r = sd_event_add_io(engine->event, &supervision->monitor_source, container->monitor.fd, EPOLLIN, on_monitor, supervision);
                g_assert(r >= 0);
        } else
                supervision->monitor_gone = true;
        logs_watch(engine, container);
        if (container->life.stop_deadline != 0)
                lifecycle_set_kill_deadline(engine, container, container->life.stop_deadline);
}

void lifecycle_detach(Container *container) {
        struct Supervision *supervision = g_steal_pointer(&container->supervision);

        if (!supervision)
                return;
        supervision->engine->n_supervised--;
        logs_unwatch(supervision->engine, container);
        reaper_unwatch_owner(supervision->engine->reaper, supervision);
        unwatch_processes(supervision);
        g_clear_pointer(&supervision->wait_timer, sd_event_source_disable_unref);
        g_clear_pointer(&supervision->kill_timer, sd_event_source_disable_unref);
        g_clear_pointer(&supervision->retry_timer, sd_event_source_disable_unref);
        g_clear_pointer(&supervision->gone_source, sd_event_source_disable_unref);
        g_clear_pointer(&supervision->conmon, conmon_free);
        if (supervision->waiting) {
                for (guint i = 0; i < supervision->waiting->len; i++)
                        operation_unref(supervision->waiting->pdata[i]);
                g_ptr_array_unref(supervision->waiting);
        }
        g_free(supervision);
}

void lifecycle_hold(Container *container) {
        if (container->supervision)
                container->supervision->n_holds++;
}

void lifecycle_release(Container *container) {
        if (container->supervision && --container->supervision->n_holds == 0)
                conclude(container->supervision);
}

bool lifecycle_has_ended(Container *container) {
        return !container->supervision || container->supervision->ended || pidref_has_ended(&container->main);
}

void lifecycle_await_end(Operation *operation) {
        struct Supervision *supervision = operation->container->supervision;

        if (!supervision) {
                operation_continue(operation);
                return;
        }
        g_ptr_array_add(supervision->waiting, operation_ref(operation));
}

bool lifecycle_is_awaited(const Container *container) {
        return container->supervision && container->supervision->waiting->len > 0;
}

void lifecycle_forget(Operation *operation) {
        struct Supervision *supervision = operation->container->supervision;

        if (supervision && supervision->waiting && g_ptr_array_remove(supervision->waiting, operation))
                operation_unref(operation);
}

static int on_kill_deadline(sd_event_source *source, guint64 usec, void *userdata) {
        struct Supervision *supervision = userdata;

        g_clear_pointer(&supervision->kill_timer, sd_event_source_disable_unref);
        log_info("%s did not stop in its time and is killed", container_title(supervision->container));
        kill_now(supervision->container);
        return 0;
}

void lifecycle_set_kill_deadline(Engine *engine, Container *container, guint64 boottime_usec) {
        struct Supervision *supervision = container->supervision;

        if (!supervision)
                return;
        g_clear_pointer(&supervision->kill_timer, sd_event_source_disable_unref);
        if (boottime_usec == UINT64_MAX)
                return;
        int r = sd_event_add_time(engine->event, &supervision->kill_timer, CLOCK_BOOTTIME, boottime_usec, 1000, on_kill_deadline, supervision);
        g_assert(r >= 0);
}

void lifecycle_ensure_cleanup(Engine *engine, Container *container) {
        Operation *head = g_queue_peek_head(&container->operations);

        if (container->removed || container->life.state != STATE_STOPPED || repair_is_due(container) || (head && (head->running || head->verb == VERB_CLEANUP)))
                return;
        operation_submit_first(engine, container, VERB_CLEANUP, NULL, NULL, NULL);
}

static int on_main_was_gone(sd_event_source *source, void *userdata) {
        struct Supervision *supervision = userdata;

        g_clear_pointer(&supervision->gone_source, sd_event_source_disable_unref);
        supervision->ended = true;
        conclude(supervision);
        return 0;
}

void lifecycle_main_is_gone(Container *container) {
        struct Supervision *supervision = container->supervision;
        int r = sd_event_add_defer(supervision->engine->event, &supervision->gone_source, on_main_was_gone, supervision);

        g_assert(r >= 0);
}

void lifecycle_exit_file(Engine *engine, const char *id) {
        Container *container = registry_get(engine->registry, id);

        if (!container || !container->supervision)
                return;
        if (pidref_is_set(&container->main) && pidref_has_ended(&container->main))
                container->supervision->ended = true;
        conclude(container->supervision);
}
