/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The service: opens the store, adopts what lives, takes its name on the bus, leaves when it is idle. Containers are not touched by its end. */

#include "manager.h"
#include "base/clock.h"
#include "base/fd-store.h"
#include "base/log.h"
#include "base/pages.h"
#include "bus/bus.h"
#include "bus/exec-calls.h"
#include "bus/peers.h"
#include "bus/wait-calls.h"
#include "departure.h"
#include "manager-interface.h"
#include "runtime/priority.h"
#include "settings.h"
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sysexits.h>
#include <systemd/sd-daemon.h>

#define BUS_NAME "io.conbus1"
#define FREE_MEMORY_MAX (1u << 20)
#define CROWD 256
#define LARGE_BLOCK (256 * 1024)
#define SPARE_HEAP (32 * 1024) /* free at its end before it is given back */

#define CHECKPOINT_RETRY_USEC (60 * G_USEC_PER_SEC)

typedef struct Manager {
        sd_event *event;
        sd_bus *connection;
        Paths *paths;
        Settings settings;
        Reaper *reaper;
        Store *store;
        Registry *registry;
        Waits *waits;
        Engine *engine;
        Units *units;
        Bus *bus;
        Process *checkpoint;
        unsigned n_activities; /* since the heap was looked at */
        guint64 checkpoint_due; /* not before: after one that failed, as on a full disk */
        sd_event_source *idle_timer, *idle_check, *reload;
        Departure *departure; /* NULL until the service leaves */
        char *status; /* last STATUS= */
        bool is_trim; /* what starting took has been given back */
        bool ready; /* what lives is known: who asked for us has an answer, and only now may idleness count */
        bool by_idleness; /* nobody asked for the departure */
        int lock_fd, awake_fd; /* awake: RUN/awake, by whose lock conbus-wake knows that it need not ask for us */
} Manager;

#define DEPARTURE_USEC (3 * G_USEC_PER_SEC) /* for calls that are being served while the service leaves */

/* --- leaving --- */

static bool is_settled(void *userdata) {
        Manager *manager = userdata;

        return manager->engine->n_accepted == 0 && !bus_owes_answers(manager->bus);
}

/* What came in while we left may want a service: ours is going, so the next one is asked for. It starts when this one has ended. */
static void ask_for_next(Manager *manager) {
        int r = sd_bus_call_method_async(manager->connection, NULL, "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", "StartServiceByName", NULL, NULL, "su", BUS_NAME, 0u);

        if (r >= 0)
                r = sd_bus_flush(manager->connection);
        if (r < 0)
                log_error("ask for the next instance of the service: %s", g_strerror(-r));
}

static void on_gone(bool settled, void *userdata) {
        Manager *manager = userdata;

        if (!settled)
                log_notice("leaving while %u operations go on; the next instance takes them up", manager->engine->n_accepted);
        if (manager->by_idleness && engine_is_busy(manager->engine))
                ask_for_next(manager);
        sd_event_exit(manager->event, EXIT_SUCCESS);
}

static void leave(Manager *manager) {
        DepartureParent parent = {.is_settled = is_settled, .gone = on_gone, .userdata = manager};

        if (manager->departure)
                return;
        engine_save(manager->engine);
        manager->awake_fd = close_fd(manager->awake_fd); /* whatever ends from now on may need the next instance */
        manager->departure = departure_begin(manager->event, manager->connection, BUS_NAME, DEPARTURE_USEC, &parent);
}

/* --- idleness --- */

static bool is_idle(Manager *manager) {
        return manager->ready && !engine_is_busy(manager->engine) && !bus_is_busy(manager->bus) && waits_count(manager->waits) == 0 && !manager->checkpoint;
}

static int on_idle(sd_event_source *source, guint64 usec, void *userdata) {
        Manager *manager = userdata;

        g_clear_pointer(&manager->idle_timer, sd_event_source_disable_unref);
        if (is_idle(manager)) {
                log_info("nothing lives and nobody waits; leaving");
                manager->by_idleness = true;
                leave(manager);
        }
        return 0;
}

static void on_checkpoint_done(const ProcessResult *result, void *userdata) {
        Manager *manager = userdata;

        manager->checkpoint = NULL;
        if (result->status != 0) {
                log_warning("the checkpoint of the database failed: %s", result->errors);
                manager->checkpoint_due = clock_boottime_in(CHECKPOINT_RETRY_USEC);
        }
        sd_event_source_set_enabled(manager->idle_check, SD_EVENT_ONESHOT);
}

static void begin_checkpoint(Manager *manager) {
        const char *const argv[] = {"/proc/self/exe", "--checkpoint", manager->paths->state, NULL};
        ProcessSpec spec = PROCESS_SPEC_INIT;
        g_autoptr(GError) error = NULL;

        spec.argv = argv;
        manager->checkpoint = process_begin(manager->event, manager->reaper, &spec, on_checkpoint_done, manager, &error);
        if (!manager->checkpoint)
                log_warning("checkpoint the database: %s", error->message);
}

/* What `systemctl status` says. */
static void tell_status(Manager *manager) {
        unsigned all = registry_count(manager->registry, N_STATES), running = registry_count(manager->registry, STATE_RUNNING), paused = registry_count(manager->registry, STATE_PAUSED);
        g_autofree char *more = paused > 0 ? g_strdup_printf(", %u paused", paused) : g_strdup("");
        g_autofree char *status = g_strdup_printf("STATUS=%u of %u containers running%s", running, all, more);

        if (g_strcmp0(status, manager->status) == 0)
                return;
        (void) sd_notify(false, status);
        g_free(manager->status);
        manager->status = g_steal_pointer(&status);
}

/* What a crowd of callers needed is not kept for the next one. A look at the heap walks all that is free in it, more than a millisecond with thousands of containers, and is not taken after every lone call; a single large answer
 * never comes to lie in the heap (M_MMAP_THRESHOLD is fixed in start). With the heap go the pages of files, and once when the service has started. */
static void give_memory_back(Manager *manager) {
        bool has_started = manager->ready && !manager->is_trim;

        if (manager->n_activities < CROWD && !has_started)
                return;
        manager->n_activities = 0;
        manager->is_trim = manager->ready;
        if (!has_started && mallinfo2().fordblks <= FREE_MEMORY_MAX)
                return;
        (void) malloc_trim(0);
        pages_give_back();
}

/* Runs once after any burst of activity: the idle timer starts anew, the WAL and the heap are looked at. */
static int on_idle_check(sd_event_source *source, void *userdata) {
        Manager *manager = userdata;

        sd_event_source_set_enabled(source, SD_EVENT_OFF);
        give_memory_back(manager);
        g_clear_pointer(&manager->idle_timer, sd_event_source_disable_unref);
        if (manager->departure) {
                departure_look_again(manager->departure);
                return 0;
        }
        tell_status(manager);
        if (!manager->checkpoint && clock_boottime_usec() >= manager->checkpoint_due && store_wants_checkpoint(manager->store, manager->engine->n_accepted > 0))
                begin_checkpoint(manager);
        if (manager->settings.idle_exit_usec != UINT64_MAX && is_idle(manager)) {
                int r = sd_event_add_time(manager->event, &manager->idle_timer, CLOCK_BOOTTIME, clock_boottime_in(manager->settings.idle_exit_usec), CLAMP(manager->settings.idle_exit_usec / 100, 1, G_USEC_PER_SEC / 4), on_idle, manager);
                if (r < 0)
                        log_error("arm the idle timer: %s", g_strerror(-r));
        }
        return 0;
}

static void on_activity(void *userdata) {
        Manager *manager = userdata;

        manager->n_activities++;
        sd_event_source_set_enabled(manager->idle_check, SD_EVENT_ONESHOT);
}

/* --- signals --- */

static void on_all_stopped(void *userdata) {
        leave(userdata);
}

/* A stop of this service alone leaves the containers running; one of the machine stops them, with some time left for what has to be killed. */
static void on_shutdown_known(bool goes_down, guint64 stop_usec, void *userdata) {
        Manager *manager = userdata;

        if (!goes_down) {
                leave(manager);
                return;
        }
        log_info("the machine goes down; stopping what runs");
        (void) sd_notify(false, "STATUS=The machine goes down: stopping containers");
        engine_shut_down(manager->engine, stop_usec == UINT64_MAX ? UINT64_MAX : stop_usec - MIN(stop_usec / 5, 2 * manager->settings.kill_usec), on_all_stopped, manager);
}

static int on_leave(sd_event_source *source, const struct signalfd_siginfo *info, void *userdata) {
        Manager *manager = userdata;

        if (manager->units && !manager->departure)
                units_ask_shutdown(manager->units, "conbus.service", on_shutdown_known, manager);
        else
                leave(manager);
        return 0;
}

static int on_reload(sd_event_source *source, const struct signalfd_siginfo *info, void *userdata) {
        Manager *manager = userdata;

        /* The time tells the service manager which of two reloads this is the end of (systemd.service(5), notify-reload). */
        (void) sd_notifyf(false, "RELOADING=1\nMONOTONIC_USEC=%" G_GINT64_FORMAT, g_get_monotonic_time());
        settings_load(&manager->settings);
        manager->engine->settings = manager->settings;
        store_set_limits(manager->store, &manager->settings.limits);
        manager_emit_reloaded(manager->bus, "/io/conbus1");
        on_activity(manager);
        (void) sd_notify(false, "READY=1");
        return 0;
}

static int add_signals(Manager *manager) {
        sigset_t mask;

        sigemptyset(&mask);
        sigaddset(&mask, SIGTERM);
        sigaddset(&mask, SIGINT);
        sigaddset(&mask, SIGHUP);
        sigprocmask(SIG_BLOCK, &mask, NULL);
        (void) signal(SIGPIPE, SIG_IGN);
        int r = sd_event_add_signal(manager->event, NULL, SIGTERM, on_leave, manager);
        if (r >= 0)
                r = sd_event_add_signal(manager->event, NULL, SIGINT, on_leave, manager);
        if (r >= 0)
                r = sd_event_add_signal(manager->event, &manager->reload, SIGHUP, on_reload, manager);
        /* Before any message: a call that is sent after the signal finds the settings read, which the unit's ExecReload= counts on. */
        return r < 0 ? r : sd_event_source_set_priority(manager->reload, SD_EVENT_PRIORITY_IMPORTANT);
}

/* --- versions --- */

static char *last_word_of_first_line(const char *output) {
        g_auto(GStrv) lines = g_strsplit(output, "\n", 2);
        const char *space = lines[0] ? strrchr(lines[0], ' ') : NULL;

        return g_strdup(space ? space + 1 : "");
}

static void on_runtime_version(const ProcessResult *result, void *userdata) {
        Bus *bus = bus_get();

        if (bus && result->status == 0)
                bus->runtime_version = last_word_of_first_line(result->output);
}

static void on_monitor_version(const ProcessResult *result, void *userdata) {
        Bus *bus = bus_get();

        if (bus && result->status == 0)
                bus->monitor_version = last_word_of_first_line(result->output);
}

static void ask_version(Manager *manager, const char *program, ProcessDone done) {
        const char *const argv[] = {program, "--version", NULL};
        ProcessSpec spec = PROCESS_SPEC_INIT;
        g_autoptr(GError) error = NULL;

        spec.argv = argv;
        spec.timeout_usec = 5 * G_USEC_PER_SEC;
        if (!process_begin(manager->event, manager->reaper, &spec, done, NULL, &error))
                log_warning("%s; containers cannot be run", error->message);
}

/* --- start --- */

/* Two pidfds for each container, pipes for waits: the soft limit is for programs that use select(2), which children may do. */
static void raise_nofile_limit(void) {
        struct rlimit limit;

        if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
                return;
        process_set_nofile_limit(limit.rlim_cur);
        limit.rlim_cur = limit.rlim_max;
        if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
                log_debug("raise the limit of descriptors: %s", g_strerror(errno));
}

static bool open_parts(Manager *manager, GError **error) {
        manager->reaper = reaper_new(manager->event);
        manager->store = store_open(manager->paths->state, manager->event, error);
        if (!manager->store)
                return false;
        store_set_limits(manager->store, &manager->settings.limits);
        manager->registry = registry_new(manager->store);
        manager->waits = waits_new(manager->event, manager->registry);
        manager->engine = engine_new(manager->event, manager->reaper, manager->paths, manager->registry, manager->waits, &manager->settings, error);
        return manager->engine != NULL;
}

/* Before thousands of rows are read, so that whoever waits for the name has it at once; calls that come from then on wait in the connection, and then in peers.c, until all is known. The bus daemon's answer is waited for: there is nothing else to do yet, and nobody to be served. */
static bool take_name(Manager *manager, GError **error) {
        int r = sd_bus_open_system(&manager->connection);

        if (r < 0)
                return error_errno(error, -r, "connect to the system bus");
        r = sd_bus_request_name(manager->connection, BUS_NAME, 0);
        return r >= 0 || error_errno(error, -r, "the name " BUS_NAME " is not to be had on this bus");
}

static bool open_bus(Manager *manager, GError **error) {
        (void) sd_bus_set_exit_on_disconnect(manager->connection, true);
        manager->bus = bus_new(manager->connection, manager->event, manager->engine, error);
        if (!manager->bus)
                return false;
        if (units_are_here())
                manager->engine->units = manager->units = units_new(manager->connection, manager->event);
        manager->bus->activity = on_activity;
        manager->bus->activity_userdata = manager;
        manager->engine->busy_changed = on_activity;
        manager->engine->busy_userdata = manager;
        return true;
}

/* Two services must not change one database: the next instance waits here until the one that leaves has ended. */
static bool take_lock(Manager *manager, GError **error) {
        g_autofree char *path = g_build_filename(manager->paths->state, "lock", NULL);

        (void) g_mkdir_with_parents(manager->paths->state, 0700);
        manager->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (manager->lock_fd < 0)
                return error_errno(error, errno, "open %s", path);
        if (flock(manager->lock_fd, LOCK_EX | LOCK_NB) == 0)
                return true;
        log_info("another instance is still there; waiting for its end");
        return flock(manager->lock_fd, LOCK_EX) == 0 || error_errno(error, errno, "lock %s", path);
}

/* Without it conbus-wake asks the bus at each end, as it would of a service that is not there. */
static void say_awake(Manager *manager) {
        g_autofree char *path = g_build_filename(manager->paths->run, "awake", NULL);

        manager->awake_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (manager->awake_fd < 0 || flock(manager->awake_fd, LOCK_EX | LOCK_NB) < 0)
                log_debug("lock %s: %s", path, g_strerror(errno));
}

static void on_adopted(void *userdata) {
        Manager *manager = userdata;

        manager->ready = true;
        peers_welcome(manager->bus);
        (void) sd_notify(false, "READY=1");
        on_activity(manager);
}

static bool start(Manager *manager, GError **error) {
        int r = sd_event_default(&manager->event);

        if (r >= 0)
                r = add_signals(manager);
        if (r >= 0)
                r = sd_event_add_defer(manager->event, &manager->idle_check, on_idle_check, manager);
        if (r < 0)
                return error_errno(error, -r, "make the event loop");
        (void) sd_event_set_watchdog(manager->event, true);
        raise_nofile_limit();
        priority_raise();
        (void) mallopt(M_TRIM_THRESHOLD, SPARE_HEAP);
        (void) mallopt(M_TOP_PAD, SPARE_HEAP / 2);
        (void) mallopt(M_MMAP_THRESHOLD, LARGE_BLOCK); /* as it is, the first large block that is freed would raise it (mallopt(3)) */
        /* What can be refused comes before the name, and adoption before the first answer: whoever asks the service learns what lives. */
        if (!take_lock(manager, error) || !open_parts(manager, error) || !take_name(manager, error) || !registry_load(manager->registry, error) || !open_bus(manager, error))
                return false;
        say_awake(manager);
        wait_calls_restore(manager->bus);
        if (!engine_adopt(manager->engine, error))
                return false;
        fd_store_drop_rest();
        exec_calls_ask_for_clients(manager->bus);
        ask_version(manager, manager->paths->crun, on_runtime_version);
        ask_version(manager, manager->paths->conmon, on_monitor_version);
        engine_when_adopted(manager->engine, on_adopted, manager);
        return true;
}

static void stop(Manager *manager) {
        g_clear_pointer(&manager->departure, departure_free);
        if (manager->checkpoint)
                process_detach(manager->checkpoint);
        g_clear_pointer(&manager->bus, bus_free);
        g_clear_pointer(&manager->engine, engine_free);
        g_clear_pointer(&manager->units, units_free);
        g_clear_pointer(&manager->waits, waits_free);
        g_clear_pointer(&manager->registry, registry_free);
        g_clear_pointer(&manager->store, store_close);
        g_clear_pointer(&manager->reaper, reaper_free);
        g_clear_pointer(&manager->idle_timer, sd_event_source_disable_unref);
        g_clear_pointer(&manager->idle_check, sd_event_source_disable_unref);
        g_clear_pointer(&manager->reload, sd_event_source_disable_unref);
        g_clear_pointer(&manager->connection, sd_bus_flush_close_unref);
        g_clear_pointer(&manager->event, sd_event_unref);
        paths_free(manager->paths);
        g_free(manager->status);
        close_fd(manager->awake_fd);
        close_fd(manager->lock_fd);
}

int manager_run(const char *state, const char *run) {
        Manager manager = {.paths = paths_new(state, run), .lock_fd = -1, .awake_fd = -1};
        g_autoptr(GError) error = NULL;
        int status = EXIT_FAILURE;

        fd_store_receive();
        settings_load(&manager.settings);
        if (start(&manager, &error)) {
                int r = sd_event_loop(manager.event);
                status = r < 0 ? EXIT_FAILURE : r;
        } else {
                log_error("%s", error->message);
                if (g_error_matches(error, CONBUS_ERROR, CONBUS_ERROR_STORAGE_CORRUPT))
                        status = EX_DATAERR; /* the unit is not to start it again and again */
        }
        stop(&manager);
        return status;
}
