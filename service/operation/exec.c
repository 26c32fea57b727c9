/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Making and starting an exec session. The operation holds the container's queue until the process runs, so that nothing pauses, stops or removes the container meanwhile; what comes after is session-watch.c's.
 *
 * As with a run conmon is forked held, and its pid committed before it is let go. Whoever has attached to a session before its start is connected to its streams before conmon is told to go on.
 * A terminal that is to be the caller's comes from crun itself, over a socket of its own: conmon does not know of it, but tells the end as ever. */

#include "operation/sessions.h"
#include "operation/internal.h"
#include "base/log.h"
#include "runtime/cgroup.h"
#include "runtime/spec-exec.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#define CONSOLE "console" /* in the session's directory */

typedef struct Exec {
        Session *session; /* reference */
        bool is_new, starts, wants_terminal;
        int listening_fd, terminal_fd;
} Exec;

/* A new session that has come to nothing is known to nobody else, and the descriptors of its caller go with it. */
static void exec_free(void *data) {
        Exec *exec = data;
        Session *session = exec->session;

        if (exec->is_new && !container_find_session(session->container, session->number))
                g_clear_pointer(&session->descriptors, session_descriptors_free);
        session_unref(session);
        close_fd(exec->listening_fd);
        close_fd(exec->terminal_fd);
        g_free(exec);
}

int exec_take_terminal(Operation *operation) {
        return steal_fd(&((Exec *) operation->data)->terminal_fd);
}

char *sessions_config_of(Engine *engine, const Container *container) {
        char name[64];

        snprintf(name, sizeof name, "%" G_GUINT64_FORMAT "/config.json", container->life.run);
        return paths_run_of(engine->paths, container->id, name);
}

bool sessions_check_state(Container *container, const char *what, GError **error) {
        const char *title = container_title(container);
        State state = container->life.state;

        if (container->removed || state == STATE_REMOVING)
                return error_set(error, CONBUS_ERROR_REMOVED, "%s %s: it is being removed", what, title);
        if (state == STATE_CREATED || state == STATE_STOPPED || state == STATE_EXITED)
                return error_set(error, CONBUS_ERROR_NOT_RUNNING, "%s %s: it is %s", what, title, state_to_string(state));
        return state == STATE_RUNNING || error_set(error, CONBUS_ERROR_INVALID_STATE, "%s %s: it is %s; possible when it is running", what, title, state_to_string(state));
}

/* --- what is prepared --- */

bool sessions_write_process(Engine *engine, Container *container, GVariant *request, const guint16 size[2], const char *path, GError **error) {
        g_autofree const char **command = config_strv(request, "command"), **env = config_strv(request, "env");
        g_autofree char *config = sessions_config_of(engine, container);
        const ExecSpec spec = {.config = config,
                               .command = command,
                               .user = config_string(request, "user", NULL),
                               .cwd = config_string(request, "cwd", NULL),
                               .env = env,
                               .terminal = config_bool(request, "terminal", false),
                               .privileged = config_bool(request, "privileged", false),
                               .rows = size[0],
                               .columns = size[1]};
        g_autofree char *text = spec_exec_write(&spec, error);
        g_autoptr(GError) why = NULL;

        if (!text)
                return false;
        if (!path || g_file_set_contents_full(path, text, -1, G_FILE_SET_CONTENTS_NONE, 0600, &why))
                return true;
        return error_set(error, g_error_matches(why, G_FILE_ERROR, G_FILE_ERROR_NOSPC) ? CONBUS_ERROR_STORAGE_FULL : CONBUS_ERROR_INTERNAL, "execute in %s: %s", container_title(container), why->message);
}

static bool write_process(Operation *operation, const char *path, GError **error) {
        const Session *session = ((Exec *) operation->data)->session;
        guint16 size[2] = {0, 0};

        attachments_session_size(operation->engine, session, &size[0], &size[1]);
        return sessions_write_process(operation->engine, operation->container, session->request, size, path, error);
}

static bool make_console(Exec *exec, const char *path, GError **error) {
        struct sockaddr_un address = {.sun_family = AF_UNIX};

        exec->listening_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (g_strlcpy(address.sun_path, path, sizeof address.sun_path) >= sizeof address.sun_path)
                return error_set(error, CONBUS_ERROR_INTERNAL, "the path %s is too long for a socket", path);
        if (exec->listening_fd < 0 || bind(exec->listening_fd, (struct sockaddr *) &address, sizeof address) < 0 || listen(exec->listening_fd, 1) < 0)
                return error_errno(error, errno, "make the socket for a terminal");
        return true;
}

/* crun has sent it before conmon tells the pid. */
static bool take_terminal(Exec *exec, GError **error) {
        autofd int connection = accept4(exec->listening_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        union {
                struct cmsghdr header;
                char bytes[CMSG_SPACE(sizeof(int))];
        } control = {0};
        char name[256];
        struct iovec part = {.iov_base = name, .iov_len = sizeof name};
        struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
        struct cmsghdr *header = connection >= 0 && recvmsg(connection, &message, MSG_CMSG_CLOEXEC) >= 0 ? CMSG_FIRSTHDR(&message) : NULL;

        if (!header || header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS || header->cmsg_len != CMSG_LEN(sizeof(int)))
                return error_set(error, CONBUS_ERROR_RUNTIME_FAILED, "crun has not sent the terminal of the process");
        memcpy(&exec->terminal_fd, CMSG_DATA(header), sizeof(int));
        return true;
}

static bool prepare(Operation *operation, const char *directory, GError **error) {
        Exec *exec = operation->data;
        const char *cgroup = config_string(exec->session->request, "cgroup", NULL);
        g_autofree char *process = g_build_filename(directory, "process.json", NULL), *console = g_build_filename(directory, CONSOLE, NULL);

        if (g_mkdir_with_parents(directory, 0700) < 0)
                return error_errno(error, errno, "make the directory %s", directory);
        if (!write_process(operation, process, error) || (exec->wants_terminal && !make_console(exec, console, error)))
                return false;
        return !cgroup || !*operation->container->life.cgroup || cgroup_make_child(operation->container->life.cgroup, cgroup, error);
}

/* --- the launch --- */

static GVariant *result_of(const Session *session) {
        g_autofree char *path = session_path(session);

        return g_variant_new("(ou)", path, (guint32) MAX(session->life.state == SESSION_RUNNING ? session->life.main.pid : 0, 0));
}

static bool commit_added(Operation *operation, bool launching, GError **error) {
        Exec *exec = operation->data;
        Session *session = exec->session;
        g_autoptr(Commit) commit = commit_new(operation->container, operation->actor);

        commit_set_session(commit, session);
        if (exec->is_new)
                commit_set_add_session(commit);
        commit->session_life.launching = launching;
        commit->session_life.run = launching ? operation->container->life.run : 0;
        commit->session_life.monitor = (StoredProcess) {.pid = session->monitor.pid, .start_time = session->monitor.start_time};
        return commit_apply(commit, error);
}

static void fail_started(Operation *operation, GError *error) {
        Exec *exec = operation->data;
        int code = crun_exit_code_of(error);

        operation_fail(operation, error);
        if (session_watch_fail(operation->engine, exec->session, code))
                operation_continue(operation);
        else
                session_watch_await(exec->session, operation);
}

/* It runs, whatever its record says: the end of it will be recorded. */
static void take_process(Operation *operation, PidRef *main, GError **error) {
        Exec *exec = operation->data;
        Session *session = exec->session;

        session->main = pidref_steal(main);
        bool good = session_commit_running(session, operation->actor, error) && (!exec->wants_terminal || take_terminal(exec, error));
        session_watch_begin(operation->engine, session, g_steal_pointer(&operation->conmon));
        attachments_session_running(operation->engine, session);
        if (!good)
                session_watch_kill(session);
}

static void on_launched(PidRef *main, const GError *launch_error, void *userdata) {
        Operation *operation = userdata;
        Exec *exec = operation->data;
        GError *error = NULL;

        g_clear_pointer(&exec->session->descriptors, session_descriptors_free);
        if (launch_error) {
                error = g_error_copy(launch_error); /* it is conmon's own */
                g_clear_pointer(&operation->conmon, conmon_free);
                fail_started(operation, error);
                return;
        }
        take_process(operation, main, &error);
        if (error)
                operation_fail(operation, error);
        else
                operation_set_result(operation, result_of(exec->session));
        operation_continue(operation);
}

static void on_clients_connected(void *userdata) {
        Operation *operation = userdata;

        if (operation->conmon)
                conmon_go_on(operation->conmon);
}

static void on_attachable(void *userdata) {
        Operation *operation = userdata;

        attachments_session_connect(operation->engine, ((Exec *) operation->data)->session, on_clients_connected, operation);
}

/* A terminal always has an input, and the caller's own descriptors are none of conmon's. */
static bool opens_input(const Operation *operation) {
        const Exec *exec = operation->data;
        const Session *session = exec->session;

        if (session_has_terminal(session))
                return !exec->wants_terminal;
        return config_bool(session->request, "stdin-open", false) || attachments_session_wants_input(operation->engine, session);
}

/* Its conmon belongs to the run, but must not be in the group whose end is the container's. */
static bool begin_conmon(Operation *operation, const char *directory, GError **error) {
        const Exec *exec = operation->data;
        Session *session = exec->session;
        const SessionDescriptors *descriptors = session->descriptors;
        bool own_stdio = descriptors && descriptors->has_stdio;
        g_autofree char *process = g_build_filename(directory, "process.json", NULL), *console = g_build_filename(directory, CONSOLE, NULL);
        g_autofree char *group = operation->engine->units ? NULL : cgroup_monitor_file(operation->container->id);
        char number[32];

        session_set_has_input(session, opens_input(operation));
        ConmonExec plan = {.session = number,
                           .process = process,
                           .cgroup = config_string(session->request, "cgroup", NULL),
                           .console = exec->wants_terminal ? console : NULL,
                           .stdio = own_stdio ? descriptors->stdio : NULL,
                           .fds = descriptors ? descriptors->fds : NULL,
                           .n_fds = descriptors ? descriptors->n_fds : 0,
                           .waits = !own_stdio && attachments_session_has(operation->engine, session)};
        ConmonLaunch launch = {.id = operation->container->id,
                               .name = operation->container->name,
                               .bundle = directory,
                               .exit_dir = directory,
                               .log_driver = own_stdio ? "passthrough" : "none",
                               .cgroup_file = group,
                               .terminal = session_has_terminal(session) && !exec->wants_terminal,
                               .stdin_open = session_has_input(session),
                               .stdin_once = true,
                               .timeout_usec = operation->engine->settings.create_usec,
                               .exec = &plan};

        snprintf(number, sizeof number, "%" G_GUINT64_FORMAT, session->number);
        operation->conmon = conmon_begin(operation->engine->event, operation->engine->reaper, operation->engine->paths, &launch, on_launched, operation, error);
        return operation->conmon != NULL;
}

/* Where there are scopes conmon enters that of the run. */
static bool find_scope(Operation *operation, char ***ret_files, GError **error) {
        g_autofree char *scope = operation->engine->units ? scope_group(operation->engine, operation->container) : NULL;

        return !scope || (*ret_files = cgroup_monitor_files(scope, error));
}

static bool store_monitor(Operation *operation, GError **error) {
        Session *session = ((Exec *) operation->data)->session;
        const PidRef *held = conmon_pid(operation->conmon);

        if (!held || !pidref_find(held->pid, held->start_time, &session->monitor))
                return error_set(error, CONBUS_ERROR_MONITOR_FAILED, "execute in %s: conmon ended before it began", container_title(operation->container));
        return commit_added(operation, true, error);
}

/* Nothing has been recorded: a new session never was, and another one is as it was. */
static void take_back(Operation *operation, GError *error) {
        Exec *exec = operation->data;

        if (operation->conmon)
                conmon_kill(operation->conmon);
        g_clear_pointer(&operation->conmon, conmon_free);
        pidref_clear(&exec->session->monitor);
        session_remove_directory(operation->engine, exec->session);
        operation_fail(operation, error);
        operation_continue(operation);
}

static void start(Operation *operation) {
        Exec *exec = operation->data;
        g_autofree char *directory = paths_session(operation->engine->paths, exec->session->number);
        g_auto(GStrv) groups = NULL;
        GError *error = NULL;

        if (!prepare(operation, directory, &error) || !find_scope(operation, &groups, &error) || !begin_conmon(operation, directory, &error) || !store_monitor(operation, &error)) {
                take_back(operation, error);
                return;
        }
        conmon_on_attachable(operation->conmon, on_attachable, operation);
        conmon_release(operation->conmon, (const char *const *) groups);
}

static void add_only(Operation *operation) {
        Exec *exec = operation->data;
        GError *error = NULL;

        if (!write_process(operation, NULL, &error) || !commit_added(operation, false, &error))
                operation_fail(operation, error);
        else
                operation_set_result(operation, result_of(exec->session));
        operation_continue(operation);
}

static bool check_session(const Exec *exec, GError **error) {
        const Session *session = exec->session;
        g_autofree char *title = session_title(session);

        if (session->removed)
                return error_set(error, CONBUS_ERROR_REMOVED, "start %s: it has been removed", title);
        if (session->life.state != SESSION_CREATED || session->life.launching)
                return error_set(error, CONBUS_ERROR_INVALID_STATE, "start %s: it is %s; possible when it is created", title, session->life.launching ? "being started" : session_state_to_string(session->life.state));
        if (!exec->is_new && !session->descriptors && config_bool(session->request, "own-descriptors", false))
                return error_set(error, CONBUS_ERROR_INTERRUPTED, "start %s: the descriptors that were given for it were lost when the service was restarted; make it again", title);
        return true;
}

static void on_turn(Operation *operation) {
        Exec *exec = operation->data;
        GError *error = NULL;

        if (!operation_check_cancelled(operation))
                operation_continue(operation);
        else if (!sessions_check_state(operation->container, "execute in", &error) || !check_session(exec, &error)) {
                operation_fail(operation, error);
                operation_continue(operation);
        } else if (exec->starts)
                start(operation);
        else
                add_only(operation);
}

void exec_step(Operation *operation) {
        const Exec *exec = operation->data;

        operation_then(operation, on_turn);
        if (exec->starts)
                pace_step(operation);
        else
                operation_continue(operation);
}

/* --- submission --- */

static unsigned count_of(Engine *engine, guint32 uid) {
        g_autoptr(GPtrArray) containers = registry_list(engine->registry);
        unsigned n = 0;

        for (guint i = 0; i < containers->len; i++) {
                GPtrArray *sessions = ((Container *) containers->pdata[i])->sessions;
                for (guint j = 0; j < sessions->len; j++)
                        n += ((Session *) sessions->pdata[j])->owner_uid == uid;
        }
        return n;
}

static bool check_limit(Engine *engine, const Actor *actor, GError **error) {
        unsigned limit = engine->settings.processes_per_user;

        if (!actor || actor->uid == 0 || count_of(engine, actor->uid) < limit)
                return true;
        return error_set(error, CONBUS_ERROR_LIMITS_EXCEEDED, "user %u has %u processes in containers already; some must end or be removed first", actor->uid, limit);
}

static Operation *submit(Engine *engine, Container *container, Exec *exec, Actor *actor, OperationDone done, void *userdata, GError **error) {
        Operation *operation = operation_submit(engine, container, VERB_EXEC, NULL, actor, done, userdata, error);

        if (!operation) {
                exec_free(exec);
                return NULL;
        }
        operation->data = exec;
        operation->free_data = exec_free;
        return operation;
}

Operation *sessions_exec(Engine *engine, Container *container, ExecPlan *plan, Actor *actor, OperationDone done, void *userdata, GError **error) {
        g_autoptr(GVariant) request = g_variant_ref_sink(plan->request);
        const char *user = config_string(request, "user", "");
        Exec *exec;

        if (!sessions_check_state(container, "execute in", error) || !check_limit(engine, actor, error))
                return NULL;
        exec = g_new0(Exec, 1);
        *exec = (Exec) {.is_new = true, .starts = config_bool(request, "start", true), .wants_terminal = plan->wants_terminal, .listening_fd = -1, .terminal_fd = -1};
        exec->session = session_new(container, actor, request, *user ? user : config_string(container->config, "user", "0"));
        Session *session = exec->session;
        Operation *operation = submit(engine, container, exec, actor, done, userdata, error);
        if (operation)
                session->descriptors = g_steal_pointer(&plan->descriptors);
        return operation;
}

Operation *sessions_start(Engine *engine, Session *session, Actor *actor, OperationDone done, void *userdata, GError **error) {
        Exec *exec = g_new0(Exec, 1);

        *exec = (Exec) {.session = session_ref(session), .starts = true, .listening_fd = -1, .terminal_fd = -1};
        return submit(engine, session->container, exec, actor, done, userdata, error);
}
