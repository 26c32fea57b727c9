/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Running crun, and what its sentences mean. Texts differ between versions, so only the three classes of behaviour.md section 17 are told apart, and state is never judged by text. */

#include "runtime/crun.h"
#include "runtime/document.h"
#include "runtime/sealed.h"
#include <errno.h>
#include <string.h>
#include <sys/wait.h>

#define TIMEOUT_USEC (60 * G_USEC_PER_SEC)

typedef struct Crun {
        CrunDone done;
        void *userdata;
        char *subject;
        guint64 timeout_usec;
} Crun;

void crun_set_error(GError **error, const char *subject, const char *message) {
        g_autofree char *lower = g_ascii_strdown(message, -1);
        ConbusError code = CONBUS_ERROR_RUNTIME_FAILED;

        if (strstr(lower, "permission denied") || strstr(lower, "operation not permitted")) /* the latter also of a directory that was to be executed */
                code = CONBUS_ERROR_RUNTIME_PERMISSION_DENIED;
        else if (g_str_has_prefix(lower, "executable file") || g_str_has_prefix(lower, "open executable"))
                code = CONBUS_ERROR_RUNTIME_COMMAND_NOT_FOUND;
        error_set(error, code, "%s: %s", subject, *message ? message : "crun failed without a word");
}

int crun_exit_code_of(const GError *error) {
        if (g_error_matches(error, CONBUS_ERROR, CONBUS_ERROR_RUNTIME_PERMISSION_DENIED))
                return 126;
        return g_error_matches(error, CONBUS_ERROR, CONBUS_ERROR_RUNTIME_COMMAND_NOT_FOUND) ? 127 : 125;
}

/* The last line without its level and time: `2026-… [conmon:d]` and `crun:` stand in front of some. */
static char *last_line(const char *text) {
        g_autofree char *copy = g_strchomp(g_strdup(text));
        const char *line = strrchr(copy, '\n');

        return g_strdup(line ? line + 1 : copy);
}

static void crun_free(void *userdata) {
        Crun *crun = userdata;

        g_free(crun->subject);
        g_free(crun);
}

static void on_done(const ProcessResult *result, void *userdata) {
        Crun *crun = userdata;
        g_autoptr(GError) error = NULL;
        g_autofree char *said = last_line(result->errors);

        if (result->timed_out)
                error_set(&error, CONBUS_ERROR_RUNTIME_FAILED, "%s: crun did not end in %g s and was killed", crun->subject, (double) crun->timeout_usec / G_USEC_PER_SEC);
        else if (!WIFEXITED(result->status) || WEXITSTATUS(result->status) != 0)
                crun_set_error(&error, crun->subject, said);
        crun->done(result->output, error, crun->userdata);
        crun_free(crun);
}

Process *crun_begin(sd_event *event, Reaper *reaper, const Paths *paths, const char *const *arguments, guint64 timeout_usec, CrunDone done, void *userdata, GError **error) {
        g_autofree char *root = g_build_filename(paths->run, "crun", NULL), *program = g_find_program_in_path(paths->crun);
        g_autoptr(GPtrArray) argv = g_ptr_array_new();
        ProcessSpec spec = PROCESS_SPEC_INIT;
        Crun *crun = g_new0(Crun, 1);

        g_ptr_array_add(argv, paths->crun);
        g_ptr_array_add(argv, (void *) "--root");
        g_ptr_array_add(argv, root);
        for (const char *const *word = arguments; *word; word++)
                g_ptr_array_add(argv, (void *) *word);
        g_ptr_array_add(argv, NULL);
        spec.argv = (const char *const *) argv->pdata;
        spec.program_fd = program ? sealed_program(program) : -1;
        spec.forget = crun_free;
        /* One that is killed after it has opened the FIFO at which PID 1 waits leaves behind a PID 1 that spins, and then dies of the next start (EAGAIN) or of none. */
        spec.survives = g_str_equal(arguments[0], "start");
        spec.timeout_usec = timeout_usec ? timeout_usec : TIMEOUT_USEC;
        *crun = (Crun) {.done = done, .userdata = userdata, .subject = g_strdup_printf("crun %s", arguments[0]), .timeout_usec = spec.timeout_usec};
        Process *process = process_begin(event, reaper, &spec, on_done, crun, error);
        if (!process)
                crun_free(crun);
        return process;
}

bool crun_knows(const Paths *paths, const char *id) {
        g_autofree char *directory = g_build_filename(paths->run, "crun", id, NULL);

        return access(directory, F_OK) == 0 || errno != ENOENT;
}

bool crun_parse_state(const char *output, char **ret_status, pid_t *ret_pid, GError **error) {
        g_autoptr(JsonObject) object = document_parse(output, -1, "crun state gave no JSON", CONBUS_ERROR_RUNTIME_FAILED, error);

        if (!object)
                return false;
        const char *status = document_find_string(object, "status");
        if (!status)
                return error_set(error, CONBUS_ERROR_RUNTIME_FAILED, "crun state gave no status");
        *ret_status = g_strdup(status);
        *ret_pid = (pid_t) json_object_get_int_member_with_default(object, "pid", 0);
        return true;
}

char *crun_last_log_message(const char *path) {
        g_autofree char *text = NULL;

        if (!g_file_get_contents(path, &text, NULL, NULL))
                return NULL;
        g_autofree char *line = last_line(text);
        g_autoptr(JsonObject) object = document_parse(line, -1, path, CONBUS_ERROR_RUNTIME_FAILED, NULL);
        return object ? g_strdup(document_find_string(object, "msg")) : NULL;
}
