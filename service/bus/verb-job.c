/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A job that is one operation of a container. What the verb returns is the job's result, by name. */

#include "bus/verb-job.h"
#include "container-interface.h"

typedef struct VerbJob {
        Job *job;
        Operation *operation;
} VerbJob;

static void on_begun(Operation *operation, void *userdata) {
        VerbJob *verb_job = userdata;

        job_set_running(verb_job->job);
        job_set_cancellable(verb_job->job, verb_is_cancellable(operation->verb));
}

/* Verbs return nothing, a run, a run and a dictionary. */
static GVariant *result_by_name(GVariant *tuple) {
        GVariantDict dict;
        g_autoptr(GVariant) details = NULL;

        if (g_variant_n_children(tuple) > 1)
                details = g_variant_get_child_value(tuple, 1);
        g_variant_dict_init(&dict, details && g_variant_is_of_type(details, G_VARIANT_TYPE_VARDICT) ? details : NULL);
        if (g_variant_n_children(tuple) > 0) {
                g_autoptr(GVariant) run = g_variant_get_child_value(tuple, 0);
                g_variant_dict_insert_value(&dict, "run", run);
        }
        return g_variant_dict_end(&dict);
}

static void on_done(Operation *operation, GVariant *tuple, const GError *error, void *userdata) {
        VerbJob *verb_job = userdata;
        GVariant *result = error ? NULL : result_by_name(tuple);

        job_finish(verb_job->job, result, error);
        g_free(verb_job);
}

static void cancel(Job *job, void *userdata) {
        VerbJob *verb_job = userdata;

        operation_cancel(verb_job->operation);
}

static void forget(void *userdata) {
        VerbJob *verb_job = userdata;

        verb_job->operation->begun = NULL;
        verb_job->operation->done = NULL;
        g_free(verb_job);
}

static bool read_verb(const char *word, Verb *ret, GError **error) {
        static const char *const words[] = {"init", "start", "stop", "restart", "kill", "pause", "resume", "remove", "update", "cleanup", NULL};

        if (g_strv_contains(words, word) && verb_from_string(word, ret))
                return true;
        g_autofree char *list = g_strjoinv(", ", (char **) words);
        return error_set(error, CONBUS_ERROR_INVALID_ARGS, "\"%s\" is no verb of Queue; the verbs are %s", word, list);
}

/* The job comes first, since its limits may refuse; should the operation be refused nobody has seen the job yet. */
static bool begin(Call *call, Container *container, Verb verb, GVariant *options, const JobOptions *job_options, GError **error) {
        static const JobWork work = {.cancel = cancel, .forget = forget};
        g_autofree char *path = container_path(container);
        const char *const objects[] = {path, NULL};
        VerbJob *verb_job = g_new0(VerbJob, 1);
        JobPlan plan = {.operation = verb_to_string(verb), .objects = objects, .actor = call->actor, .options = job_options, .work = &work, .userdata = verb_job};

        verb_job->job = job_new(call->bus->jobs, &plan, error);
        if (!verb_job->job) {
                g_free(verb_job);
                return false;
        }
        verb_job->operation = operation_submit(call->bus->engine, container, verb, options, call->actor, on_done, verb_job, error);
        if (!verb_job->operation) {
                job_discard(verb_job->job);
                g_free(verb_job);
                return false;
        }
        verb_job->operation->begun = on_begun;
        verb_job->operation->job = g_strdup(verb_job->job->path);
        container_reply_queue(call, verb_job->job->path);
        job_publish(verb_job->job);
        return true;
}

bool verb_job_queue(Call *call, Container *container, const char *word, GVariant *options, GError **error) {
        g_auto(JobOptions) job_options = {0};
        g_autoptr(GVariant) rest = NULL;
        Verb verb;

        return operation_check_quota(call->bus->engine, call->actor, call->member, error) && read_verb(word, &verb, error) && job_options_take(options, &job_options, &rest, error) && verb_check_options(verb, rest, error) &&
               begin(call, container, verb, rest, &job_options, error);
}
