/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The table of verbs (word, options, first step, whether a failure is kept in LastError*) and what all of them use. */

#include "operation/internal.h"
#include "base/clock.h"

static const OptionKey no_keys[] = {{NULL}};
static const OptionKey init_keys[] = {{"recursive", "b"}, {NULL}};
static const OptionKey start_keys[] = {{"recursive", "b"}, {"wait", "s"}, {"managed", "b"}, {"force-direct", "b"}, {NULL}};
static const OptionKey stop_keys[] = {{"timeout-usec", "t"}, {"signal", "i"}, {"reason", "s"}, {"force-direct", "b"}, {NULL}};
static const OptionKey restart_keys[] = {{"timeout-usec", "t"}, {"signal", "i"}, {"reason", "s"}, {"recursive", "b"}, {"wait", "s"}, {"force-direct", "b"}, {NULL}};
static const OptionKey kill_keys[] = {{"whom", "s"}, {"signal", "i"}, {NULL}};
static const OptionKey remove_keys[] = {{"force", "b"}, {"volumes", "b"}, {"timeout-usec", "t"}, {"dependents", "b"}, {"force-direct", "b"}, {NULL}};
static const OptionKey rename_keys[] = {{"name", "s"}, {NULL}};
static const OptionKey update_keys[] = {{"auto-start", "b"}, {"restart-policy", "s"}, {"restart-max", "u"}, {NULL}};
static const OptionKey cleanup_keys[] = {{"only-stopped", "b"}, {NULL}};

static const struct VerbInfo {
        const char *word;
        const OptionKey *keys;
        Step step;
        bool keeps_error;
} verbs[N_VERBS] = {
        [VERB_CREATE] = {"create", no_keys, create_step, false},
        [VERB_INIT] = {"init", init_keys, init_step, true},
        [VERB_START] = {"start", start_keys, start_step, true},
        [VERB_STOP] = {"stop", stop_keys, stop_step, true},
        [VERB_RESTART] = {"restart", restart_keys, restart_step, true},
        [VERB_KILL] = {"kill", kill_keys, kill_step, false},
        [VERB_PAUSE] = {"pause", no_keys, pause_step, false},
        [VERB_RESUME] = {"resume", no_keys, resume_step, false},
        [VERB_REMOVE] = {"remove", remove_keys, remove_step, false},
        [VERB_RENAME] = {"rename", rename_keys, rename_step, false},
        [VERB_UPDATE] = {"update", update_keys, update_step, false},
        [VERB_SYNC] = {"sync", no_keys, sync_step, false},
        [VERB_CLEANUP] = {"cleanup", cleanup_keys, cleanup_step, false},
        [VERB_EXEC] = {"exec", no_keys, exec_step, false},
};

const char *verb_to_string(Verb verb) {
        return verbs[verb].word;
}

bool verb_from_string(const char *text, Verb *ret) {
        for (int i = 0; i < N_VERBS; i++)
                if (g_str_equal(verbs[i].word, text)) {
                        *ret = (Verb) i;
                        return true;
                }
        return false;
}

static bool check_wait(GVariant *options, GError **error) {
        const char *wait = NULL;

        if (!g_variant_lookup(options, "wait", "&s", &wait) || g_str_equal(wait, "started") || g_str_equal(wait, "ready") || g_str_equal(wait, "healthy"))
                return true;
        return error_set(error, CONBUS_ERROR_INVALID_ARGS, "option wait is \"%s\"; it can be started, ready or healthy", wait);
}

static bool check_signal(GVariant *options, GError **error) {
        gint32 signal = 1;

        if (!g_variant_lookup(options, "signal", "i", &signal) || (signal >= 1 && signal <= 64))
                return true;
        return error_set(error, CONBUS_ERROR_INVALID_ARGS, "signal %d does not exist; signals go from 1 to 64", signal);
}

/* The method Kill always has one; an a{sv} may lack it. */
static bool check_has_signal(Verb verb, GVariant *options, GError **error) {
        gint32 signal;

        if (verb != VERB_KILL || g_variant_lookup(options, "signal", "i", &signal))
                return true;
        return error_set(error, CONBUS_ERROR_INVALID_ARGS, "kill needs the option signal (i), a number from 1 to 64");
}

static bool check_whom(GVariant *options, GError **error) {
        const char *whom = "leader";

        (void) g_variant_lookup(options, "whom", "&s", &whom);
        if (g_str_equal(whom, "leader") || g_str_equal(whom, "all"))
                return true;
        return error_set(error, CONBUS_ERROR_INVALID_ARGS, "whom is \"%s\"; it can be leader or all", whom);
}

/* To take charge of it for a unit, and to go past that unit. */
static bool check_charge(GVariant *options, GError **error) {
        gboolean managed = FALSE, direct = FALSE;

        (void) g_variant_lookup(options, "managed", "b", &managed);
        (void) g_variant_lookup(options, "force-direct", "b", &direct);
        return !managed || !direct || error_set(error, CONBUS_ERROR_INVALID_ARGS, "the options managed and force-direct contradict each other; give one of them");
}

bool verb_check_options(Verb verb, GVariant *options, GError **error) {
        return options_check(options, verbs[verb].keys, error) && check_wait(options, error) && check_signal(options, error) && check_has_signal(verb, options, error) && check_whom(options, error) && check_charge(options, error);
}

bool verb_is_cancellable(Verb verb) {
        return verb == VERB_INIT || verb == VERB_START || verb == VERB_RESTART;
}

/* While a container is `stopping` the stop holds its queue, for as long as its grace lasts: what would be refused then is refused at once instead of waiting for another state. */
static const char *possible_instead_of_stopping(Verb verb, GVariant *options) {
        gboolean force = FALSE, managed = FALSE;

        switch (verb) {
        case VERB_INIT:
                return "created, stopped or exited";
        case VERB_START:
                return options && g_variant_lookup(options, "managed", "b", &managed) && managed ? NULL : "created, initialized, stopped or exited";
        case VERB_PAUSE:
        case VERB_EXEC:
                return "running";
        case VERB_REMOVE:
                return options && g_variant_lookup(options, "force", "b", &force) && force ? NULL : "created, initialized, stopped or exited; the option force stops it first";
        default:
                return NULL;
        }
}

bool verb_check_state(Verb verb, Container *container, GVariant *options, GError **error) {
        const char *word = verb_to_string(verb), *possible;

        if (container->removed || (container->life.state == STATE_REMOVING && verb != VERB_REMOVE && verb != VERB_SYNC))
                return error_set(error, CONBUS_ERROR_REMOVED, "%s %s: it is being removed", word, container_title(container));
        if (container->life.state != STATE_STOPPING)
                return true;
        if (verb == VERB_RESUME)
                return error_set(error, CONBUS_ERROR_NOT_PAUSED, "%s %s: it is not paused", word, container_title(container));
        possible = possible_instead_of_stopping(verb, options);
        return !possible || error_set(error, CONBUS_ERROR_INVALID_STATE, "%s %s: it is stopping; possible when it is %s", word, container_title(container), possible);
}

Step verb_step(Verb verb) {
        return verbs[verb].step;
}

bool option_bool(const Operation *operation, const char *key) {
        gboolean value = FALSE;

        return g_variant_lookup(operation->options, key, "b", &value) && value;
}

guint64 option_uint64(const Operation *operation, const char *key, guint64 absent) {
        guint64 value = absent;

        (void) g_variant_lookup(operation->options, key, "t", &value);
        return value;
}

gint32 option_int32(Operation *operation, const char *key, gint32 absent) {
        gint32 value = absent;

        (void) g_variant_lookup(operation->options, key, "i", &value);
        return value;
}

const char *option_string(Operation *operation, const char *key, const char *absent) {
        const char *value = absent;

        (void) g_variant_lookup(operation->options, key, "&s", &value);
        return value;
}

void operation_fail_code(Operation *operation, ConbusError code, const char *why) {
        operation_fail(operation, g_error_new(CONBUS_ERROR, (int) code, "%s %s: %s", verb_to_string(operation->verb), container_title(operation->container), why));
}

void operation_fail_state(Operation *operation, const char *possible) {
        operation_fail(operation, g_error_new(CONBUS_ERROR, CONBUS_ERROR_INVALID_STATE, "%s %s: it is %s; possible when it is %s", verb_to_string(operation->verb),
                                              container_title(operation->container), state_to_string(operation->container->life.state), possible));
}

void operation_set_result(Operation *operation, GVariant *tuple) {
        g_clear_pointer(&operation->result, g_variant_unref);
        operation->result = g_variant_ref_sink(tuple);
}

bool operation_commit(Operation *operation, Commit *commit) {
        GError *error = NULL;

        if (commit_apply(commit, &error))
                return true;
        operation_fail(operation, error);
        return false;
}

/* Failures that say something about the container are kept; a wrong state or a caller's change of mind are not (behaviour.md section 3). */
void failure_remember(Operation *operation) {
        Container *container = operation->container;
        const GError *error = operation->error;

        if (!error || !verbs[operation->verb].keeps_error || container->removed || container->life.state == STATE_REMOVING)
                return;
        if (error->domain == CONBUS_ERROR && (error->code == CONBUS_ERROR_INVALID_STATE || error->code == CONBUS_ERROR_ALREADY_RUNNING || error->code == CONBUS_ERROR_NOT_RUNNING ||
                                              error->code == CONBUS_ERROR_REMOVED || error->code == CONBUS_ERROR_CANCELLED))
                return;

        g_autoptr(GError) store_error = NULL;
        g_autoptr(Commit) commit = commit_new(container, operation->actor);
        commit_set_error(commit, error);
        if (!commit_apply(commit, &store_error))
                g_debug("%s", store_error->message); /* the reply carries the first error in any case */
}

static void on_crun(const char *output, const GError *error, void *userdata) {
        Operation *operation = userdata;

        operation->process = NULL;
        g_clear_error(&operation->step_error);
        g_free(operation->output);
        operation->output = g_strdup(output ? output : "");
        if (error)
                operation->step_error = g_error_copy(error);
        operation_continue(operation);
}

void operation_crun(Operation *operation, const char *const *arguments) {
        g_clear_error(&operation->step_error);
        operation->process = crun_begin(operation->engine->event, operation->engine->reaper, operation->engine->paths, arguments, operation->engine->settings.runtime_usec, on_crun, operation, &operation->step_error);
        if (!operation->process)
                operation_continue(operation);
}

static void on_process(const ProcessResult *result, void *userdata) {
        Operation *operation = userdata;

        operation->process = NULL;
        g_clear_error(&operation->step_error);
        if (result->status != 0) {
                g_autofree char *said = g_strchomp(g_strdup(result->errors));
                error_set(&operation->step_error, CONBUS_ERROR_INTERNAL, "%s %s: a helper failed: %s", verb_to_string(operation->verb), container_title(operation->container), *said ? said : "it said nothing");
        }
        operation_continue(operation);
}

static void begin_process(Operation *operation, const ProcessSpec *spec) {
        g_clear_error(&operation->step_error);
        operation->process = process_begin(operation->engine->event, operation->engine->reaper, spec, on_process, operation, &operation->step_error);
        if (!operation->process)
                operation_continue(operation);
}

void operation_process(Operation *operation, const char *const *argv) {
        ProcessSpec spec = PROCESS_SPEC_INIT;

        spec.argv = argv;
        begin_process(operation, &spec);
}

void operation_process_or(Operation *operation, bool (*spare)(const char *const *argv), const char *const *argv) {
        ProcessSpec spec = PROCESS_SPEC_INIT;

        spec.argv = argv;
        spec.spare = spare;
        begin_process(operation, &spec);
}

void operation_call(Operation *operation, int (*call)(const char *const *argv), const char *const *argv) {
        ProcessSpec spec = PROCESS_SPEC_INIT;

        spec.argv = argv;
        spec.call = call;
        begin_process(operation, &spec);
}
