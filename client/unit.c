/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* conbus-unit NAME: the main process of conbus-container@NAME.service. Starts the container by the bus, holds the pidfd of its run, says when it is ready, stops it at SIGTERM, and ends as it has ended: with its exit code, or by the signal that killed it, so that Restart=on-abnormal,
 * SuccessExitStatus= and `systemctl status` see what they would see of a plain service (128 and the signal would be a failure even where SIGTERM is an orderly end). It forwards nothing: no streams, no other signals.
 * conbus-unit --stop-post, for ExecStopPost=: the main process was killed, so that what it held is still to be stopped.
 *
 * While the container runs there is nothing but the pidfd and a connection to the bus, so that a restart or a crash of the service concerns nothing here. A call that it cuts off is made again (request.h); only where the service cannot be had is the container stopped through the pidfd. */

#include "conbus-names.h"
#include "request.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <systemd/sd-daemon.h>
#include <systemd/sd-login.h>
#include <unistd.h>

#define MANAGER CONBUS_BUS_NAME, CONBUS_MANAGER_PATH, CONBUS_MANAGER_INTERFACE
#define EXIT_CONBUS 125 /* the trouble is not the container's own */
#define SECOND UINT64_C(1000000)
#define PATIENCE_USEC (60 * SECOND) /* with a service that does not come up */
#define STOP_PATIENCE_USEC (5 * SECOND) /* before the container is stopped without it */

typedef struct Unit {
        sd_event *event;
        sd_bus *bus;
        char *name, *path, *id;
        Request line; /* find, look, start, hold, await readiness, end: one after the other */
        Request stop;
        uint64_t before; /* the container's latest run when it was to be started */
        uint64_t run; /* that is held; 0: none yet */
        int pidfd;
        uint32_t pid;
        sd_event_source *ended, *deadline;
        int stop_signal;
        uint64_t stop_usec;
        bool asked, ready, stopping, stopped, ending, over, has_no_check;
        int code, signal; /* how it has ended, once over */
        const char *failure; /* what to end with in any case, or NULL */
        char state[32], health[32]; /* for STATUS= */
} Unit;

static void begin_start(Unit *unit);
static void begin_end(Unit *unit);
static void stop_directly(Unit *unit);

static void tell_status(Unit *unit) {
        if (unit->run == 0)
                (void) sd_notifyf(false, "STATUS=%s container %s", unit->stopping ? "Stopping" : "Starting", unit->name);
        else
                (void) sd_notifyf(false, "STATUS=Container %s, run %llu, process %u: %s%s%s", unit->name, (unsigned long long) unit->run, unit->pid, unit->stopping ? "stopping" : unit->ready || !*unit->state ? unit->state : "starting",
                                  *unit->health && !unit->stopping ? ", " : "", unit->stopping ? "" : unit->health);
}

static void leave(Unit *unit, int code) {
        (void) sd_event_exit(unit->event, code);
}

static void fail(Unit *unit, const char *what, const char *why, int code) {
        fprintf(stderr, SD_ERR "%s container %s: %s\n", what, unit->name, why);
        (void) sd_notifyf(false, "STATUS=%s container %s: %s", what, unit->name, why);
        leave(unit, code);
}

static bool is_error(sd_bus_message *answer) {
        return !answer || answer_is(answer, NULL);
}

static uint64_t now_usec(Unit *unit) {
        uint64_t usec = 0;

        (void) sd_event_now(unit->event, CLOCK_MONOTONIC, &usec);
        return usec;
}

/* --- the end --- */

static void finish(Unit *unit) {
        if (!unit->over || (unit->stopping && !unit->stopped))
                return;
        (void) sd_notifyf(false, "STOPPING=1\nSTATUS=Container %s, run %llu: ended, exit code %d", unit->name, (unsigned long long) unit->run, unit->code);
        if (unit->failure)
                fail(unit, "start", unit->failure, EXIT_CONBUS);
        else
                leave(unit, unit->code >= 0 ? unit->code : EXIT_CONBUS);
}

/* The record of a run. */
static int read_record(sd_bus_message *answer, int *ret_code, int *ret_signal, const char **ret_result) {
        const AnswerField fields[] = {{CONBUS_FIELD_EXIT_CODE, 'i', ret_code}, {CONBUS_FIELD_SIGNAL, 'i', ret_signal}, {CONBUS_FIELD_RESULT, 's', ret_result}};

        return answer_read_fields(answer, fields, sizeof fields / sizeof *fields);
}

static int send_end(void *userdata, sd_bus_slot **ret_slot, sd_bus_message_handler_t handler, Request *request) {
        Unit *unit = userdata;

        return sd_bus_call_method_async(unit->bus, ret_slot, MANAGER, CONBUS_MANAGER_WAIT_ANY, handler, request, "a(ot)asa{sv}", 1, unit->path, unit->run, 1, "stopped", 0);
}

static void on_end(void *userdata, sd_bus_message *answer) {
        Unit *unit = userdata;
        const char *result = "";

        unit->over = true;
        unit->code = -1;
        if (is_error(answer) || sd_bus_message_skip(answer, "uots") < 0 || read_record(answer, &unit->code, &unit->signal, &result) < 0)
                fprintf(stderr, SD_ERR "run %llu of container %s has ended, but how is not to be known: %s\n", (unsigned long long) unit->run, unit->name, answer_text(answer));
        else
                fprintf(stderr, SD_INFO "run %llu of container %s has ended: %s, exit code %d\n", (unsigned long long) unit->run, unit->name, result, unit->code);
        finish(unit);
}

static void begin_end(Unit *unit) {
        unit->ending = true;
        unit->ended = sd_event_source_disable_unref(unit->ended);
        request_begin(&unit->line, send_end, on_end, unit->stopping ? STOP_PATIENCE_USEC : PATIENCE_USEC);
        unit->line.gives_up = unit->stopping;
}

static int on_process_ended(sd_event_source *source, int fd, uint32_t events, void *userdata) {
        begin_end(userdata);
        return 0;
}

/* --- stopping --- */

static int send_stop(void *userdata, sd_bus_slot **ret_slot, sd_bus_message_handler_t handler, Request *request) {
        Unit *unit = userdata;

        return sd_bus_call_method_async(unit->bus, ret_slot, CONBUS_BUS_NAME, unit->path, CONBUS_CONTAINER_INTERFACE, CONBUS_CONTAINER_STOP_WITH, handler, request, "a{sv}", 1, "force-direct", "b", 1);
}

static void on_stop(void *userdata, sd_bus_message *answer) {
        Unit *unit = userdata;
        bool is_down = !is_error(answer) || answer_is(answer, CONBUS_BUS_ERROR_NOT_RUNNING) || answer_is(answer, CONBUS_BUS_ERROR_REMOVED) || answer_is(answer, SD_BUS_ERROR_UNKNOWN_OBJECT);

        if (!is_down) {
                fprintf(stderr, SD_ERR "stop container %s: %s\n", unit->name, answer_text(answer));
                stop_directly(unit);
                return;
        }
        unit->stopped = true;
        finish(unit);
}

static void stop(Unit *unit) {
        unit->stopping = true;
        tell_status(unit);
        if (unit->ending) { /* by itself: nobody has wished it to stay down */
                unit->stopped = true;
                unit->line.patience = STOP_PATIENCE_USEC;
                unit->line.gives_up = true;
        } else if (unit->run != 0) { /* else it is not known yet whether there is anything of ours to stop */
                request_begin(&unit->stop, send_stop, on_stop, STOP_PATIENCE_USEC);
                unit->stop.gives_up = true;
        }
}

static int on_deadline(sd_event_source *source, uint64_t usec, void *userdata) {
        Unit *unit = userdata;

        (void) syscall(SYS_pidfd_send_signal, unit->pidfd, SIGKILL, NULL, 0);
        return 0;
}

/* The last resort. The rest, a record and a cleanup, is for the next service. */
static void stop_directly(Unit *unit) {
        unit->stopped = true;
        if (unit->pidfd < 0) {
                leave(unit, EXIT_CONBUS);
                return;
        }
        fprintf(stderr, SD_WARNING "the service cannot stop container %s; sending signal %d to its process %u\n", unit->name, unit->stop_signal, unit->pid);
        if (syscall(SYS_pidfd_send_signal, unit->pidfd, unit->stop_signal, NULL, 0) < 0 && errno != ESRCH)
                fprintf(stderr, SD_ERR "send the signal: %s\n", strerror(errno));
        uint64_t now = now_usec(unit);
        if (unit->stop_usec < UINT64_MAX - now && sd_event_add_time(unit->event, &unit->deadline, CLOCK_MONOTONIC, now + unit->stop_usec, 1000, on_deadline, unit) < 0)
                leave(unit, EXIT_CONBUS);
        finish(unit);
}

static int on_stop_signal(sd_event_source *source, const struct signalfd_siginfo *info, void *userdata) {
        Unit *unit = userdata;

        if (!unit->asked) /* nothing is ours yet */
                leave(unit, EXIT_SUCCESS);
        else if (!unit->stopping)
                stop(unit);
        return 0;
}

/* --- readiness --- */

static void set_ready(Unit *unit) {
        unit->ready = true;
        (void) sd_notify(false, "READY=1");
        tell_status(unit);
}

static int send_await_ready(void *userdata, sd_bus_slot **ret_slot, sd_bus_message_handler_t handler, Request *request) {
        Unit *unit = userdata;

        if (unit->has_no_check)
                return sd_bus_call_method_async(unit->bus, ret_slot, CONBUS_BUS_NAME, unit->path, CONBUS_CONTAINER_INTERFACE, CONBUS_CONTAINER_WAIT_FOR, handler, request, "asa{sv}", 1, "ready", 1, "run", "t", unit->run);
        return sd_bus_call_method_async(unit->bus, ret_slot, CONBUS_BUS_NAME, unit->path, CONBUS_CONTAINER_INTERFACE, CONBUS_CONTAINER_WAIT_FOR, handler, request, "asa{sv}", 2, "ready", "unhealthy", 1, "run", "t", unit->run);
}

static void on_await_ready(void *userdata, sd_bus_message *answer) {
        Unit *unit = userdata;
        const char *condition = "";

        if (answer_is(answer, CONBUS_BUS_ERROR_NO_HEALTH_CHECK) && !unit->has_no_check) {
                unit->has_no_check = true;
                request_begin(&unit->line, send_await_ready, on_await_ready, PATIENCE_USEC);
        } else if (is_error(answer) || sd_bus_message_read(answer, "s", &condition) < 0 || strcmp(condition, "stopped") == 0)
                begin_end(unit);
        else if (strcmp(condition, "ready") == 0)
                set_ready(unit);
        else {
                unit->failure = "it turned unhealthy before it was ready";
                if (!unit->stopping)
                        stop(unit);
        }
}

/* --- starting --- */

static int send_hold(void *userdata, sd_bus_slot **ret_slot, sd_bus_message_handler_t handler, Request *request) {
        Unit *unit = userdata;

        return sd_bus_call_method_async(unit->bus, ret_slot, CONBUS_BUS_NAME, unit->path, CONBUS_CONTAINER_INTERFACE, CONBUS_CONTAINER_OPEN_PID_FD, handler, request, NULL);
}

/* An error, or another run: this one has ended already. */
static void on_hold(void *userdata, sd_bus_message *answer) {
        Unit *unit = userdata;
        uint64_t run = 0;
        int fd = -1;

        if (!is_error(answer) && sd_bus_message_read(answer, "hut", &fd, &unit->pid, &run) >= 0 && run == unit->run)
                unit->pidfd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
        tell_status(unit);
        if (unit->ready)
                set_ready(unit);
        if (unit->pidfd < 0 || sd_event_add_io(unit->event, &unit->ended, unit->pidfd, EPOLLIN, on_process_ended, unit) < 0)
                begin_end(unit);
        else if (!unit->ready)
                request_begin(&unit->line, send_await_ready, on_await_ready, PATIENCE_USEC);
}

static int exit_code_of(sd_bus_message *answer) {
        return answer_is(answer, CONBUS_BUS_ERROR_RUNTIME_PERMISSION_DENIED) ? 126 : answer_is(answer, CONBUS_BUS_ERROR_RUNTIME_COMMAND_NOT_FOUND) ? 127 : EXIT_CONBUS;
}

static int read_start(sd_bus_message *answer, uint64_t *ret_run, bool *ret_ready) {
        int ready = 0, r = sd_bus_message_read(answer, "t", ret_run);

        if (r >= 0)
                r = answer_read_fields(answer, &(AnswerField) {CONBUS_FIELD_READY, 'b', &ready}, 1);
        *ret_ready = ready;
        return r;
}

static void begin_hold(Unit *unit, uint64_t run) {
        unit->run = run;
        fprintf(stderr, SD_INFO "run %llu of container %s\n", (unsigned long long) run, unit->name);
        request_begin(&unit->line, send_hold, on_hold, PATIENCE_USEC);
        if (unit->stopping)
                stop(unit);
}

static int send_start(void *userdata, sd_bus_slot **ret_slot, sd_bus_message_handler_t handler, Request *request) {
        Unit *unit = userdata;

        return sd_bus_call_method_async(unit->bus, ret_slot, CONBUS_BUS_NAME, unit->path, CONBUS_CONTAINER_INTERFACE, CONBUS_CONTAINER_START_WITH, handler, request, "a{sv}", 3, "managed", "b", 1, "recursive", "b", 1, "wait", "s", "started");
}

static void on_start(void *userdata, sd_bus_message *answer) {
        Unit *unit = userdata;
        uint64_t run = 0;

        if (is_error(answer) && unit->stopping)
                leave(unit, EXIT_SUCCESS);
        else if (is_error(answer) || read_start(answer, &run, &unit->ready) < 0)
                fail(unit, "start", answer_text(answer), exit_code_of(answer));
        else
                begin_hold(unit, run);
}

static int send_look(void *userdata, sd_bus_slot **ret_slot, sd_bus_message_handler_t handler, Request *request) {
        Unit *unit = userdata;

        return sd_bus_call_method_async(unit->bus, ret_slot, MANAGER, CONBUS_MANAGER_GET_RUN, handler, request, "st", unit->id, unit->before + 1);
}

/* The answer of a start was lost. Another one finds the run that is open, or opens one when that of the first was undone; but not after it has ended, or when it is not wanted any more. */
static void on_look(void *userdata, sd_bus_message *answer) {
        Unit *unit = userdata;
        const char *result = "";
        int code = -1, signal = 0;
        bool found = !is_error(answer) && read_record(answer, &code, &signal, &result) >= 0, undone = strcmp(result, "start-failed") == 0;

        if (found && !undone && (*result || unit->stopping)) {
                unit->ready = *result; /* as far as that can be known of one that has ended */
                begin_hold(unit, unit->before + 1);
        } else if (unit->stopping)
                leave(unit, EXIT_SUCCESS);
        else {
                unit->before += undone;
                begin_start(unit);
        }
}

static void look(void *userdata) {
        Unit *unit = userdata;

        request_begin(&unit->line, send_look, on_look, PATIENCE_USEC);
}

static void begin_start(Unit *unit) {
        unit->asked = true;
        request_begin(&unit->line, send_start, on_start, PATIENCE_USEC);
        unit->line.again = look;
}

/* --- finding --- */

static int on_changed(sd_bus_message *signal, void *userdata, sd_bus_error *error) {
        Unit *unit = userdata;
        const char *old, *now;

        if (sd_bus_message_read(signal, "ss", &old, &now) < 0)
                return 0;
        snprintf(sd_bus_message_is_signal(signal, CONBUS_CONTAINER_INTERFACE, NULL) ? unit->state : unit->health, sizeof unit->state, "%s", now);
        if (unit->run != 0 && !unit->over)
                tell_status(unit);
        return 0;
}

static int read_properties(Unit *unit, sd_bus_message *answer) {
        const char *id = "", *state = "";
        const AnswerField fields[] = {
                {CONBUS_CONTAINER_ID, 's', &id},
                {CONBUS_CONTAINER_STATE, 's', &state},
                {CONBUS_CONTAINER_RUN, 't', &unit->before},
                {CONBUS_CONTAINER_STOP_SIGNAL, 'i', &unit->stop_signal},
                {CONBUS_CONTAINER_STOP_TIMEOUT_USEC, 't', &unit->stop_usec},
        };
        int r = answer_read_fields(answer, fields, sizeof fields / sizeof *fields);

        unit->id = strdup(id);
        snprintf(unit->state, sizeof unit->state, "%s", state);
        return unit->id ? r : -ENOMEM;
}

static int send_properties(void *userdata, sd_bus_slot **ret_slot, sd_bus_message_handler_t handler, Request *request) {
        Unit *unit = userdata;

        return sd_bus_call_method_async(unit->bus, ret_slot, CONBUS_BUS_NAME, unit->path, "org.freedesktop.DBus.Properties", "GetAll", handler, request, "s", CONBUS_CONTAINER_INTERFACE);
}

static void on_properties(void *userdata, sd_bus_message *answer) {
        Unit *unit = userdata;
        if (is_error(answer) || read_properties(unit, answer) < 0)
                fail(unit, "start", answer_text(answer), EXIT_CONBUS);
        else
                begin_start(unit);
}

static int send_find(void *userdata, sd_bus_slot **ret_slot, sd_bus_message_handler_t handler, Request *request) {
        Unit *unit = userdata;

        return sd_bus_call_method_async(unit->bus, ret_slot, MANAGER, CONBUS_MANAGER_GET_CONTAINER, handler, request, "s", unit->name);
}

static void on_find(void *userdata, sd_bus_message *answer) {
        Unit *unit = userdata;
        const char *path;

        if (is_error(answer) || sd_bus_message_read(answer, "o", &path) < 0 || !(unit->path = strdup(path))) {
                fail(unit, "start", answer_text(answer), EXIT_CONBUS);
                return;
        }
        /* What happens to it is only shown, so that it does not matter if this fails. */
        (void) sd_bus_match_signal_async(unit->bus, NULL, CONBUS_BUS_NAME, unit->path, CONBUS_CONTAINER_INTERFACE, CONBUS_CONTAINER_STATE_CHANGED, on_changed, NULL, unit);
        (void) sd_bus_match_signal_async(unit->bus, NULL, CONBUS_BUS_NAME, unit->path, CONBUS_HEALTH_INTERFACE, CONBUS_HEALTH_STATUS_CHANGED, on_changed, NULL, unit);
        request_begin(&unit->line, send_properties, on_properties, PATIENCE_USEC);
}

/* --- the program --- */

/* systemd-escape(1) writes \x2d for a dash, which may as well be written as it is: in a name of a container there is nothing for which the dash of an instance could stand. */
static void unescape(char *text) {
        char *to = text;
        unsigned byte;
        int length;

        for (const char *from = text; *from; to++)
                if (sscanf(from, "\\x%2x%n", &byte, &length) == 1 && length == 4) {
                        *to = (char) byte;
                        from += 4;
                } else
                        *to = *from++;
        *to = '\0';
}

static int add_signals(Unit *unit) {
        static const int stops[] = {SIGTERM, SIGINT, SIGQUIT}, ignored[] = {SIGHUP, SIGUSR1, SIGUSR2, SIGPIPE};
        sigset_t mask;
        int r = 0;

        for (size_t i = 0; i < sizeof ignored / sizeof *ignored; i++)
                (void) signal(ignored[i], SIG_IGN);
        sigemptyset(&mask);
        for (size_t i = 0; i < sizeof stops / sizeof *stops; i++)
                sigaddset(&mask, stops[i]);
        (void) sigprocmask(SIG_BLOCK, &mask, NULL);
        for (size_t i = 0; r >= 0 && i < sizeof stops / sizeof *stops; i++)
                r = sd_event_add_signal(unit->event, NULL, stops[i], on_stop_signal, unit);
        return r;
}

/* As the container's first process was ended; no core of this one, for it is not to blame. */
static int end_by_signal(int number) {
        sigset_t mask;

        (void) prctl(PR_SET_DUMPABLE, 0);
        (void) signal(number, SIG_DFL);
        sigemptyset(&mask);
        sigaddset(&mask, number);
        (void) raise(number);
        (void) sigprocmask(SIG_UNBLOCK, &mask, NULL);
        return 128 + number;
}

static int run(char *name) {
        Unit unit = {.name = name, .pidfd = -1, .stop_signal = SIGTERM, .stop_usec = 10 * SECOND, .line.userdata = &unit, .stop.userdata = &unit};
        int r = sd_event_default(&unit.event);

        unescape(name);
        unit.line.event = unit.stop.event = unit.event;
        if (r >= 0)
                r = add_signals(&unit);
        if (r >= 0)
                r = sd_bus_open_system(&unit.bus);
        if (r >= 0)
                r = sd_bus_set_method_call_timeout(unit.bus, UINT64_MAX);
        if (r >= 0)
                r = sd_bus_set_exit_on_disconnect(unit.bus, true);
        if (r >= 0)
                r = sd_bus_attach_event(unit.bus, unit.event, SD_EVENT_PRIORITY_NORMAL);
        if (r < 0) {
                fprintf(stderr, SD_ERR "connect to the system bus: %s\n", strerror(-r));
                return EXIT_CONBUS;
        }
        tell_status(&unit);
        request_begin(&unit.line, send_find, on_find, PATIENCE_USEC);
        r = sd_event_loop(unit.event);
        request_forget(&unit.line);
        request_forget(&unit.stop);
        sd_bus_flush_close_unref(unit.bus);
        sd_event_source_disable_unref(unit.ended);
        sd_event_source_disable_unref(unit.deadline);
        sd_event_unref(unit.event);
        free(unit.path);
        free(unit.id);
        return unit.over && unit.signal > 0 && !unit.failure ? end_by_signal(unit.signal) : r < 0 ? EXIT_CONBUS : r;
}

/* systemd.exec(5) has EXIT_CODE. A main process that has ended by itself has seen the container down, and after one that was killed the unit says by its name which container is its own. */
static int stop_post(void) {
        sd_bus_error error = SD_BUS_ERROR_NULL;
        const char *how = getenv("EXIT_CODE"), *path;
        sd_bus_message *answer = NULL, *stopped = NULL;
        sd_bus *bus = NULL;
        char *unit = NULL;
        uint32_t pid = 0;

        if (!how || strcmp(how, "exited") == 0)
                return EXIT_SUCCESS;
        int r = sd_pid_get_unit(0, &unit);
        if (r >= 0)
                r = sd_bus_open_system(&bus);
        if (r >= 0)
                r = sd_bus_set_method_call_timeout(bus, UINT64_MAX);
        if (r >= 0)
                r = sd_bus_call_method(bus, MANAGER, CONBUS_MANAGER_GET_CONTAINER_BY_UNIT, &error, &answer, "s", unit);
        if (r >= 0)
                r = sd_bus_message_read(answer, "o", &path);
        if (r >= 0)
                r = sd_bus_get_property_trivial(bus, CONBUS_BUS_NAME, path, CONBUS_CONTAINER_INTERFACE, CONBUS_CONTAINER_MAIN_PID, &error, 'u', &pid);
        if (r >= 0 && pid != 0)
                r = sd_bus_call_method(bus, CONBUS_BUS_NAME, path, CONBUS_CONTAINER_INTERFACE, CONBUS_CONTAINER_STOP_WITH, &error, &stopped, "a{sv}", 1, "force-direct", "b", 1);
        bool is_down = r >= 0 || sd_bus_error_has_name(&error, CONBUS_BUS_ERROR_NO_SUCH_CONTAINER) || sd_bus_error_has_name(&error, CONBUS_BUS_ERROR_NOT_RUNNING);
        if (!is_down)
                fprintf(stderr, SD_ERR "stop what %s has left: %s\n", unit ? unit : "this unit", error.message ? error.message : strerror(-r));
        sd_bus_error_free(&error);
        sd_bus_message_unref(answer);
        sd_bus_message_unref(stopped);
        sd_bus_flush_close_unref(bus);
        free(unit);
        return is_down ? EXIT_SUCCESS : EXIT_FAILURE;
}

int main(int argc, char *argv[]) {
        if (argc == 2 && strcmp(argv[1], "--stop-post") == 0)
                return stop_post();
        if (argc != 2 || argv[1][0] == '-' || argv[1][0] == '\0') {
                fputs("Usage: conbus-unit NAME\n       conbus-unit --stop-post\nThe main process of conbus-container@NAME.service, which see.\n", stderr);
                return 2;
        }
        return run(argv[1]);
}
