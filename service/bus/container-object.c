/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Methods of a container: check the options, submit the verb, answer when it is done. */

#include "bus/attach-calls.h"
#include "bus/discreet.h"
#include "bus/exec-calls.h"
#include "bus/input-calls.h"
#include "bus/inspect.h"
#include "bus/log-calls.h"
#include "bus/verb-call.h"
#include "bus/verb-job.h"
#include "bus/wait-calls.h"
#include "container-interface.h"
#include "operation/attachments.h"
#include "operation/policy.h"
#include "runtime/cgroup.h"
#include <string.h>

static GVariant *no_options(void) {
        return g_variant_new("a{sv}", NULL);
}

bool container_object_init(Call *call, Container *container, GError **error) {
        return verb_call(call, container, VERB_INIT, no_options(), 0, error);
}

bool container_object_init_with(Call *call, Container *container, GVariant *options, GError **error) {
        return verb_call(call, container, VERB_INIT, options, 0, error);
}

bool container_object_start(Call *call, Container *container, GError **error) {
        return verb_call(call, container, VERB_START, no_options(), 1, error);
}

bool container_object_start_with(Call *call, Container *container, GVariant *options, GError **error) {
        g_autoptr(GVariant) attach = g_variant_lookup_value(options, "attach", NULL);

        return attach ? attach_calls_start(call, container, options, error) : verb_call(call, container, VERB_START, options, 0, error);
}

bool container_object_stop(Call *call, Container *container, GError **error) {
        return verb_call(call, container, VERB_STOP, no_options(), 0, error);
}

bool container_object_stop_with(Call *call, Container *container, GVariant *options, GError **error) {
        return verb_call(call, container, VERB_STOP, options, 0, error);
}

bool container_object_restart(Call *call, Container *container, GError **error) {
        return verb_call(call, container, VERB_RESTART, no_options(), 1, error);
}

bool container_object_restart_with(Call *call, Container *container, GVariant *options, GError **error) {
        return verb_call(call, container, VERB_RESTART, options, 1, error);
}

bool container_object_kill(Call *call, Container *container, const char *whom, gint32 signal, GError **error) {
        GVariantDict options;

        g_variant_dict_init(&options, NULL);
        g_variant_dict_insert(&options, "whom", "s", whom);
        g_variant_dict_insert(&options, "signal", "i", signal);
        return verb_call(call, container, VERB_KILL, g_variant_dict_end(&options), 0, error);
}

bool container_object_pause(Call *call, Container *container, GError **error) {
        return verb_call(call, container, VERB_PAUSE, no_options(), 0, error);
}

bool container_object_resume(Call *call, Container *container, GError **error) {
        return verb_call(call, container, VERB_RESUME, no_options(), 0, error);
}

bool container_object_remove(Call *call, Container *container, GError **error) {
        return verb_call(call, container, VERB_REMOVE, no_options(), 0, error);
}

bool container_object_remove_with(Call *call, Container *container, GVariant *options, GError **error) {
        return verb_call(call, container, VERB_REMOVE, options, 0, error);
}

bool container_object_rename(Call *call, Container *container, const char *name, GError **error) {
        return verb_call(call, container, VERB_RENAME, g_variant_new_parsed("{'name': <%s>}", name), 0, error);
}

bool container_object_set_auto_start(Call *call, Container *container, const char *mode, GError **error) {
        bool enabled = g_str_equal(mode, "enabled");

        if (!enabled && !g_str_equal(mode, "disabled"))
                return error_set(error, CONBUS_ERROR_INVALID_ARGS, "\"%s\" is no mode; it can be enabled or disabled", mode);
        return verb_call(call, container, VERB_UPDATE, g_variant_new_parsed("{'auto-start': <%b>}", enabled), 0, error);
}

bool container_object_set_restart_policy(Call *call, Container *container, const char *policy, guint32 max, GError **error) {
        return verb_call(call, container, VERB_UPDATE, g_variant_new_parsed("{'restart-policy': <%s>, 'restart-max': <%u>}", policy, max), 0, error);
}

bool container_object_queue(Call *call, Container *container, const char *verb, GVariant *options, GError **error) {
        return verb_job_queue(call, container, verb, options, error);
}

bool container_object_sync(Call *call, Container *container, GError **error) {
        return verb_call(call, container, VERB_SYNC, no_options(), 0, error);
}

bool container_object_cleanup(Call *call, Container *container, GVariant *options, GError **error) {
        return verb_call(call, container, VERB_CLEANUP, options, 0, error);
}

bool container_object_refresh(Call *call, Container *container, GError **error) {
        return error_set(error, CONBUS_ERROR_NOT_IMPLEMENTED, "Refresh does nothing here and never will: the service adopts its containers by itself when it starts");
}

/* --- waits --- */

bool container_object_wait(Call *call, Container *container, GError **error) {
        return wait_calls_wait(call, container->id, error);
}

bool container_object_wait_for(Call *call, Container *container, const char *const *conditions, GVariant *options, GError **error) {
        return wait_calls_wait_for(call, container->id, conditions, options, error);
}

bool container_object_open_wait(Call *call, Container *container, const char *const *conditions, GVariant *options, GError **error) {
        return wait_calls_open_wait(call, container->id, conditions, options, error);
}

static bool check_not_removing(Call *call, Container *container, GError **error) {
        return container->life.state != STATE_REMOVING || error_set(error, CONBUS_ERROR_REMOVED, "%s of %s: it is being removed", call->member, container_title(container));
}

bool container_object_open_pid_fd(Call *call, Container *container, GError **error) {
        if (!check_not_removing(call, container, error))
                return false;
        if (!pidref_is_set(&container->main))
                return error_set(error, CONBUS_ERROR_NOT_RUNNING, "open a pidfd of %s: nothing of it runs", container_title(container));
        container_reply_open_pid_fd(call, container->main.fd, (guint32) container->main.pid, container->life.run);
        return true;
}

/* --- streams --- */

bool container_object_open_attach(Call *call, Container *container, GVariant *options, GError **error) {
        return attach_calls_open(call, container, NULL, options, error);
}

bool container_object_write_input(Call *call, Container *container, GVariant *data, GVariant *options, GError **error) {
        return input_calls_write(call, container, NULL, data, options, error);
}

bool container_object_http_attach(Call *call, Container *container, int connection, GVariant *ahead, GVariant *options, GError **error) {
        return attach_calls_http(call, container, NULL, connection, ahead, options, error);
}

bool container_object_resize_terminal(Call *call, Container *container, guint16 rows, guint16 columns, GError **error) {
        if (!attachments_resize(call->bus->engine, container, rows, columns, error))
                return false;
        container_reply_resize_terminal(call);
        return true;
}

/* --- logs --- */

bool container_object_read_log(Call *call, Container *container, guint32 lines, GVariant *options, GError **error) {
        return log_calls_read(call, container, lines, options, error);
}

bool container_object_open_log(Call *call, Container *container, GVariant *options, GError **error) {
        return log_calls_open(call, container, options, error);
}

/* --- processes --- */

bool container_object_exec(Call *call, Container *container, const char *const *command, GVariant *options, GError **error) {
        return exec_calls_exec(call, container, command, options, error);
}

bool container_object_spawn(Call *call, Container *container, GVariant *cwd, GVariant *argv, GVariant *fds, GVariant *env, GVariant *options, GError **error) {
        return exec_calls_spawn(call, container, cwd, argv, fds, env, options, error);
}

bool container_object_exec_capture(Call *call, Container *container, const char *const *command, GVariant *options, GError **error) {
        return exec_calls_capture(call, container, command, options, error);
}

bool container_object_open_shell(Call *call, Container *container, const char *user, const char *path, const char *const *argv, const char *const *env, GError **error) {
        return exec_calls_open_shell(call, container, user, path, argv, env, error);
}

/* --- reading --- */

bool container_object_get_run(Call *call, Container *container, guint64 run, GError **error) {
        g_autoptr(Run) record = NULL;

        if (!store_get_run(registry_store(call->bus->registry), container->id, run, &record, error))
                return false;
        if (!record)
                return error_set(error, CONBUS_ERROR_NO_SUCH_RUN, "%s has no record of run %" G_GUINT64_FORMAT, container_title(container), run);
        g_autoptr(GVariant) told = discreet(run_to_variant(record), call->actor, call->whole);
        container_reply_get_run(call, told);
        return true;
}

bool container_object_list_runs(Call *call, Container *container, guint32 max, GError **error) {
        GVariant *records = inspect_list_runs(call, container->id, max, error);

        if (!records)
                return false;
        container_reply_list_runs(call, records);
        return true;
}

bool container_object_should_restart(Call *call, Container *container, GError **error) {
        const char *reason;
        bool restart = policy_should_restart(container, &reason);

        container_reply_should_restart(call, restart, reason);
        return true;
}

bool container_object_inspect(Call *call, Container *container, GError **error) {
        g_autofree char *json = inspect_container(call->bus, container, NULL);

        container_reply_inspect(call, json);
        return true;
}

bool container_object_inspect_with(Call *call, Container *container, GVariant *options, GError **error) {
        static const OptionKey keys[] = {{"size", "b"}, {NULL}};
        gboolean size = FALSE;

        if (!options_check(options, keys, error))
                return false;
        if (g_variant_lookup(options, "size", "b", &size) && size)
                return inspect_size_begin(call, container, options, error);
        return container_object_inspect(call, container, error);
}

bool container_object_get_spec(Call *call, Container *container, GError **error) {
        g_autofree char *json = check_not_removing(call, container, error) ? inspect_spec(call->bus, container, error) : NULL;

        if (!json)
                return false;
        container_reply_get_spec(call, json);
        return true;
}

static char *command_line_of(pid_t pid) {
        g_autofree char *path = g_strdup_printf("/proc/%d/cmdline", (int) pid);
        char *text = NULL;
        gsize size = 0;

        if (!g_file_get_contents(path, &text, &size, NULL))
                return g_strdup("");
        for (gsize i = 0; i + 1 < size; i++)
                if (text[i] == '\0')
                        text[i] = ' ';
        g_autofree char *raw = text;
        return g_utf8_make_valid(raw, -1);
}

bool container_object_get_processes(Call *call, Container *container, GError **error) {
        g_autoptr(GPtrArray) processes = cgroup_list(container->life.cgroup);
        GVariantBuilder list;

        if (!check_not_removing(call, container, error))
                return false;
        g_variant_builder_init(&list, G_VARIANT_TYPE("a(sus)"));
        for (guint i = 0; i < processes->len; i++) {
                const CgroupProcess *process = processes->pdata[i];
                g_autofree char *line = command_line_of(process->pid);
                g_variant_builder_add(&list, "(sus)", process->cgroup, (guint32) process->pid, line);
        }
        container_reply_get_processes(call, g_variant_builder_end(&list));
        return true;
}
