/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The face of an exec session. */

#include "bus/attach-calls.h"
#include "bus/exec-calls.h"
#include "bus/input-calls.h"
#include "bus/target.h"
#include "bus/waiting.h"
#include "bus/json-members.h"
#include "operation/attachments.h"
#include "operation/sessions.h"
#include "process-interface.h"
#include <errno.h>
#include <string.h>

void target_of_session(const void *session, Target *ret) {
        target_of_container(((const Session *) session)->container, ret);
}

/* --- properties --- */

#define PROPERTY(name, type, kind, value)                                                   \
        int process_property_##name(Bus *bus, Session *session, sd_bus_message *reply) {    \
                kind wire = value;                                                          \
                return sd_bus_message_append_basic(reply, type, &wire);                     \
        }
#define STRING(name, type, value)                                                           \
        int process_property_##name(Bus *bus, Session *session, sd_bus_message *reply) {    \
                return sd_bus_message_append_basic(reply, type, value);                     \
        }

PROPERTY(pid, 'u', guint32, (guint32) session->life.main.pid)
PROPERTY(terminal, 'b', int, session_has_terminal(session))
PROPERTY(exit_code, 'i', gint32, session->life.exit_code)
PROPERTY(exit_signal, 'i', gint32, session->life.exit_signal)
PROPERTY(start_timestamp, 't', guint64, session->life.start_usec)
STRING(user, 's', session->user)
STRING(command_name, 's', session_command_name(session))
STRING(state, 's', session_state_to_string(session->life.state))

int process_property_container(Bus *bus, Session *session, sd_bus_message *reply) {
        g_autofree char *path = container_path(session->container);

        return sd_bus_message_append_basic(reply, 'o', path);
}

/* --- waits --- */

typedef enum Form { FORM_WAIT, FORM_STOP, FORM_REMOVE, FORM_PIPE } Form;

static void write_line(int fd, const Session *session) {
        g_autofree char *path = session_path(session), *line = g_strdup_printf("{\"process\":\"%s\",\"exit-code\":%d,\"signal\":%d}\n", path, session->life.exit_code, session->life.exit_signal);

        /* Far below what an empty pipe takes; a reader that has gone is no concern. */
        (void) !write(fd, line, strlen(line));
}

static void reply_remove(Call *call, Session *session) {
        g_autoptr(GError) error = NULL;

        if (session->removed || session_remove(call->bus->engine, session, &error))
                process_reply_remove(call);
        else
                call_reply_error(call, error);
}

static void on_waited(Session *session, const GError *error, void *userdata) {
        Waiting *waiting = userdata;

        if (waiting->form == FORM_PIPE) {
                if (!error)
                        write_line(waiting->fd, session);
        } else if (error)
                call_reply_error(waiting->call, error);
        else if (waiting->form == FORM_WAIT)
                process_reply_wait(waiting->call, session->life.exit_code, session->life.exit_signal);
        else if (waiting->form == FORM_STOP)
                process_reply_stop(waiting->call);
        else
                reply_remove(waiting->call, session);
        waiting_free(waiting);
}

static void cancel(void *wait) {
        session_wait_cancel(wait);
}

static Waiting *begin_waiting(Call *call, Session *session, Form form, guint64 timeout_usec, GError **error) {
        Waiting *waiting = waiting_new(call, form, cancel, error);

        if (!waiting)
                return NULL;
        waiting->wait = session_wait(call->bus->engine, session, timeout_usec, on_waited, waiting);
        if (form != FORM_PIPE) {
                waiting_set_call(waiting, call);
                call->waits = form == FORM_WAIT;
        }
        return waiting;
}

bool process_object_wait(Call *call, Session *session, GError **error) {
        if (session->life.state != SESSION_STOPPED)
                return begin_waiting(call, session, FORM_WAIT, UINT64_MAX, error) != NULL;
        process_reply_wait(call, session->life.exit_code, session->life.exit_signal);
        return true;
}

bool process_object_open_wait(Call *call, Session *session, GError **error) {
        autofd int reading = -1, writing = -1;

        if (!waiting_make_pipe(&reading, &writing, error))
                return false;
        if (session->life.state == SESSION_STOPPED)
                write_line(writing, session);
        else {
                Waiting *waiting = begin_waiting(call, session, FORM_PIPE, UINT64_MAX, error);
                if (!waiting)
                        return false;
                waiting_set_pipe(waiting, &writing);
        }
        process_reply_open_wait(call, reading);
        return true;
}

/* --- verbs --- */

bool process_object_start(Call *call, Session *session, GError **error) {
        return exec_calls_start(call, session, error);
}

/* What does not die of SIGKILL (in the kernel, or frozen) is not waited for without an end. */
static guint64 patience_of(Call *call, guint64 grace_usec) {
        guint64 kill_usec = call->bus->engine->settings.kill_usec;

        return grace_usec > UINT64_MAX - kill_usec ? UINT64_MAX : grace_usec + kill_usec;
}

bool process_object_stop(Call *call, Session *session, guint64 grace_usec, GError **error) {
        if (!session_stop(call->bus->engine, session, grace_usec, error))
                return false;
        if (session->life.state != SESSION_STOPPED)
                return begin_waiting(call, session, FORM_STOP, patience_of(call, grace_usec), error) != NULL;
        process_reply_stop(call);
        return true;
}

bool process_object_kill(Call *call, Session *session, gint32 signal, GError **error) {
        if (!session_kill(session, signal, error))
                return false;
        process_reply_kill(call);
        return true;
}

bool process_object_remove(Call *call, Session *session, const char *mode, GError **error) {
        bool force = g_str_equal(mode, "force");

        if (!force && !g_str_equal(mode, "normal"))
                return error_set(error, CONBUS_ERROR_INVALID_ARGS, "Remove: \"%.100s\" is no mode; it can be normal or force", mode);
        if (force && session->life.state == SESSION_RUNNING)
                return session_stop(call->bus->engine, session, 0, error) && begin_waiting(call, session, FORM_REMOVE, patience_of(call, 0), error) != NULL;
        if (!session_remove(call->bus->engine, session, error))
                return false;
        process_reply_remove(call);
        return true;
}

bool process_object_resize_terminal(Call *call, Session *session, guint16 rows, guint16 columns, GError **error) {
        if (!attachments_resize_session(call->bus->engine, session, rows, columns, error))
                return false;
        process_reply_resize_terminal(call);
        return true;
}

bool process_object_open_attach(Call *call, Session *session, GVariant *options, GError **error) {
        return attach_calls_open(call, session->container, session, options, error);
}

bool process_object_write_input(Call *call, Session *session, GVariant *data, GVariant *options, GError **error) {
        return input_calls_write(call, session->container, session, data, options, error);
}

bool process_object_http_attach(Call *call, Session *session, int connection, GVariant *ahead, GVariant *options, GError **error) {
        return attach_calls_http(call, session->container, session, connection, ahead, options, error);
}

bool process_object_open_pid_fd(Call *call, Session *session, GError **error) {
        g_autofree char *title = session_title(session);

        if (session->life.state != SESSION_RUNNING || session->main.fd < 0)
                return error_set(error, CONBUS_ERROR_NOT_RUNNING, "open a pidfd of %s: it is %s", title, session->life.state == SESSION_RUNNING ? "about to be stopped" : session_state_to_string(session->life.state));
        process_reply_open_pid_fd(call, session->main.fd, (guint32) session->main.pid);
        return true;
}

/* --- Inspect --- */

static void add_process(JsonBuilder *builder, const Session *session) {
        g_autofree const char **command = config_strv(session->request, "command");

        json_builder_set_member_name(builder, "ProcessConfig");
        json_builder_begin_object(builder);
        add_string(builder, "entrypoint", command[0]);
        json_builder_set_member_name(builder, "arguments");
        json_builder_begin_array(builder);
        for (unsigned i = 1; command[i]; i++)
                json_builder_add_string_value(builder, command[i]);
        json_builder_end_array(builder);
        add_bool(builder, "privileged", config_bool(session->request, "privileged", false));
        add_bool(builder, "tty", session_has_terminal(session));
        add_string(builder, "user", session->user);
        json_builder_end_object(builder);
}

bool process_object_inspect(Call *call, Session *session, GError **error) {
        g_autoptr(JsonBuilder) builder = json_builder_new();
        g_autofree char *id = g_strdup_printf("%" G_GUINT64_FORMAT, session->number);
        bool attachable = !config_bool(session->request, "own-stdio", false);
        bool begun = session->life.state != SESSION_CREATED || session->life.launching; /* before, whoever wants to write may still come */

        json_builder_begin_object(builder);
        add_string(builder, "ID", id);
        add_string(builder, "ContainerID", session->container->id);
        add_string(builder, "State", session_state_to_string(session->life.state));
        add_bool(builder, "Running", session->life.state == SESSION_RUNNING);
        add_bool(builder, "CanRemove", session_goes_by_itself(session));
        add_int(builder, "ExitCode", session->life.exit_code);
        add_int(builder, "ExitSignal", session->life.exit_signal);
        add_int(builder, "Pid", session->life.main.pid);
        add_int(builder, "MonitorPid", session->monitor.pid);
        add_string(builder, "DetachKeys", config_string(session->request, "detach-keys", "ctrl-p,ctrl-q"));
        add_bool(builder, "OpenStdin", attachable && (!begun || session_has_input(session)));
        add_bool(builder, "OpenStdout", attachable);
        add_bool(builder, "OpenStderr", attachable && !session_has_terminal(session));
        add_process(builder, session);
        json_builder_end_object(builder);
        g_autoptr(JsonNode) root = json_builder_get_root(builder);
        g_autofree char *text = json_to_string(root, TRUE);
        process_reply_inspect(call, text);
        return true;
}
