/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The table of jobs. A state or a stage is told at once; progress is told at most every JOB_PROGRESS_USEC, the last of it with the end. A job that nobody has published yet changes in silence. */

#include "bus/jobs.h"
#include "base/clock.h"
#include <string.h>

#define PATH "/io/conbus1/job"
#define TOKEN_MAX 64

struct Jobs {
        sd_event *event;
        const JobLimits *limits;
        const JobObserver *observer;
        void *userdata;
        guint64 last_number, reserved_until;
        GHashTable *by_path;
        GQueue in_order; /* of Job, by creation */
        GQueue ended; /* of Job, by end */
};

struct JobWait {
        Job *job;
        sd_event_source *timer;
        JobWaited done;
        void *userdata;
};

static const char *const state_names[N_JOB_STATES] = {
        [JOB_QUEUED] = "queued", [JOB_RUNNING] = "running", [JOB_CANCELLING] = "cancelling", [JOB_DONE] = "done", [JOB_FAILED] = "failed", [JOB_CANCELLED] = "cancelled",
};

const char *job_state_to_string(JobState state) {
        return state_names[state];
}

bool job_is_finished(const Job *job) {
        return job->state >= JOB_DONE;
}

/* --- options --- */

void job_options_clear(JobOptions *options) {
        g_clear_pointer(&options->token, g_free);
}

static bool check_token(const char *token, GError **error) {
        size_t n = strspn(token, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_");

        if (n > 0 && n <= TOKEN_MAX && !token[n])
                return true;
        return error_set(error, CONBUS_ERROR_INVALID_ARGS, "job-token is \"%s\"; it takes 1 to %d letters, digits and underscores", token, TOKEN_MAX);
}

static bool check_lifetime(const char *lifetime, bool *ret_client, GError **error) {
        *ret_client = g_str_equal(lifetime, "client");
        if (*ret_client || g_str_equal(lifetime, "detached"))
                return true;
        return error_set(error, CONBUS_ERROR_INVALID_ARGS, "job-lifetime is \"%s\"; it can be detached or client", lifetime);
}

static bool take_one(const char *key, GVariant *value, JobOptions *options, GError **error) {
        const char *type = g_str_equal(key, "inhibit-sleep") ? "b" : "s";

        if (!g_variant_is_of_type(value, G_VARIANT_TYPE(type)))
                return error_set(error, CONBUS_ERROR_INVALID_ARGS, "option %s has the type %s instead of %s", key, g_variant_get_type_string(value), type);
        if (g_str_equal(key, "inhibit-sleep")) {
                options->inhibit_sleep = g_variant_get_boolean(value);
                return true;
        }
        const char *text = g_variant_get_string(value, NULL);
        if (g_str_equal(key, "job-lifetime"))
                return check_lifetime(text, &options->until_caller_leaves, error);
        g_free(options->token);
        options->token = g_strdup(text);
        return check_token(text, error);
}

bool job_options_take(GVariant *options, JobOptions *ret, GVariant **ret_rest, GError **error) {
        static const char *const keys[] = {"job-token", "job-lifetime", "inhibit-sleep", NULL};
        g_auto(JobOptions) taken = {0};
        GVariantBuilder rest;
        GVariantIter iter;
        const char *key;
        GVariant *value;

        g_variant_builder_init(&rest, G_VARIANT_TYPE_VARDICT);
        g_variant_iter_init(&iter, options);
        while (g_variant_iter_next(&iter, "{&sv}", &key, &value)) {
                g_autoptr(GVariant) held = value;
                if (!g_strv_contains(keys, key))
                        g_variant_builder_add(&rest, "{sv}", key, held);
                else if (!take_one(key, held, &taken, error)) {
                        g_variant_builder_clear(&rest);
                        return false;
                }
        }
        *ret_rest = g_variant_ref_sink(g_variant_builder_end(&rest));
        *ret = taken;
        taken.token = NULL;
        return true;
}

/* --- the table --- */

static void answer_wait(JobWait *wait, Job *told) {
        JobWaited done = wait->done;
        void *userdata = wait->userdata;

        job_wait_cancel(wait);
        done(told, userdata);
}

static void answer_waits(Job *job, Job *told) {
        for (JobWait *wait = g_queue_peek_head(&job->waits); wait; wait = g_queue_peek_head(&job->waits))
                answer_wait(wait, told);
}

static void job_free(Job *job) {
        g_clear_pointer(&job->progress_timer, sd_event_source_disable_unref);
        g_clear_pointer(&job->life_timer, sd_event_source_disable_unref);
        answer_waits(job, NULL);
        g_strfreev(job->objects);
        g_free(job->path);
        g_free(job->operation);
        g_free(job->stage);
        actor_unref(job->actor);
        g_variant_unref(job->result);
        g_clear_error(&job->error);
        g_free(job);
}

Jobs *jobs_new(sd_event *event, const JobLimits *limits, const JobObserver *observer, void *userdata) {
        Jobs *jobs = g_new0(Jobs, 1);

        jobs->event = sd_event_ref(event);
        jobs->limits = limits;
        jobs->observer = observer;
        jobs->userdata = userdata;
        jobs->by_path = g_hash_table_new(g_str_hash, g_str_equal);
        g_queue_init(&jobs->in_order);
        g_queue_init(&jobs->ended);
        return jobs;
}

void jobs_free(Jobs *jobs) {
        if (!jobs)
                return;
        g_queue_clear(&jobs->ended);
        for (Job *job = g_queue_pop_head(&jobs->in_order); job; job = g_queue_pop_head(&jobs->in_order)) {
                if (!job_is_finished(job) && job->work->forget)
                        job->work->forget(job->userdata);
                job_free(job);
        }
        g_hash_table_unref(jobs->by_path);
        sd_event_unref(jobs->event);
        g_free(jobs);
}

Job *jobs_find(Jobs *jobs, const char *path) {
        return g_hash_table_lookup(jobs->by_path, path);
}

unsigned jobs_count(const Jobs *jobs) {
        return jobs->in_order.length;
}

GPtrArray *jobs_list(Jobs *jobs) {
        GPtrArray *list = g_ptr_array_sized_new(jobs->in_order.length);

        for (GList *link = jobs->in_order.head; link; link = link->next)
                g_ptr_array_add(list, link->data);
        return list;
}

static void tell(Job *job, const char *const *properties) {
        if (job->published)
                job->jobs->observer->changed(job, properties, job->jobs->userdata);
}

static void set_state(Job *job, JobState state) {
        static const char *const properties[] = {"State", NULL};

        job->state = state;
        tell(job, properties);
}

/* One that cannot be cancelled any more ends by itself. */
static Job *next_to_cancel(Jobs *jobs, const char *bus_name) {
        for (GList *link = jobs->in_order.head; link; link = link->next) {
                Job *job = link->data;
                if (job->until_caller_leaves && job->state < JOB_CANCELLING && job->cancellable && g_str_equal(job->actor->bus_name, bus_name))
                        return job;
        }
        return NULL;
}

static void cancel(Job *job) {
        set_state(job, JOB_CANCELLING);
        job->work->cancel(job, job->userdata);
}

/* A cancelled job may be over and gone at once, and take an older one with it: the list is looked through anew each time. */
void jobs_caller_left(Jobs *jobs, const char *bus_name) {
        for (Job *job = next_to_cancel(jobs, bus_name); job; job = next_to_cancel(jobs, bus_name))
                cancel(job);
}

static bool has_room(Jobs *jobs, const JobPlan *plan, GError **error) {
        unsigned n = 0;

        for (GList *link = jobs->in_order.head; link; link = link->next) {
                const Job *job = link->data;
                n += !job_is_finished(job) && g_str_equal(job->actor->bus_name, plan->actor->bus_name);
        }
        if (n < jobs->limits->unfinished_per_caller)
                return true;
        return error_set(error, CONBUS_ERROR_LIMITS_EXCEEDED, "%s: this client has %u unfinished jobs already; wait for one of them or cancel it", plan->operation, n);
}

static char *path_for(Jobs *jobs, const JobPlan *plan, GError **error) {
        const char *name = plan->actor->bus_name;

        if (!plan->options->token)
                return g_strdup_printf(PATH "/%" G_GUINT64_FORMAT, jobs->last_number + 1);
        g_autofree char *sender = g_strdelimit(g_strdup(*name == ':' ? name + 1 : name), ".", '_');
        g_autofree char *path = g_strdup_printf(PATH "/%s/%s", sender, plan->options->token);
        if (!jobs_find(jobs, path))
                return g_steal_pointer(&path);
        error_set(error, CONBUS_ERROR_NAME_IN_USE, "job-token \"%s\" is the name of a job that is still there; release that one or take another token", plan->options->token);
        return NULL;
}

/* A number, and with it a path, is never given twice, so that an old path cannot lead to another job. */
static void reserve_numbers(Jobs *jobs) {
        if (jobs->last_number < jobs->reserved_until)
                return;
        jobs->last_number = jobs->observer->reserve(jobs->last_number, jobs->userdata);
        jobs->reserved_until = jobs->last_number + JOB_NUMBERS;
}

static Job *add_job(Jobs *jobs, const JobPlan *plan, const char *path, guint64 number, guint64 start_usec) {
        Job *job = g_new0(Job, 1);

        job->jobs = jobs;
        job->number = number;
        job->path = g_strdup(path);
        job->operation = g_strdup(plan->operation);
        job->objects = g_strdupv((char **) plan->objects);
        job->actor = actor_ref(plan->actor);
        job->start_usec = start_usec;
        job->measured_usec = clock_boottime_usec();
        job->stage = g_strdup("");
        job->cancellable = plan->work->cancel != NULL;
        job->result = g_variant_ref_sink(g_variant_new("a{sv}", NULL));
        job->until_caller_leaves = plan->options->until_caller_leaves;
        job->inhibit_sleep = plan->options->inhibit_sleep;
        job->work = plan->work;
        job->userdata = plan->userdata;
        g_queue_init(&job->waits);
        g_hash_table_insert(jobs->by_path, job->path, job);
        g_queue_push_tail(&jobs->in_order, job);
        return job;
}

Job *job_new(Jobs *jobs, const JobPlan *plan, GError **error) {
        reserve_numbers(jobs);
        if (!has_room(jobs, plan, error))
                return NULL;
        g_autofree char *path = path_for(jobs, plan, error);
        return path ? add_job(jobs, plan, path, ++jobs->last_number, clock_realtime_usec()) : NULL;
}

Job *job_restore(Jobs *jobs, const JobPlan *plan, const char *path, guint64 number, guint64 start_usec) {
        return jobs_find(jobs, path) ? NULL : add_job(jobs, plan, path, number, start_usec);
}

void job_discard(Job *job) {
        g_hash_table_remove(job->jobs->by_path, job->path);
        g_queue_remove(&job->jobs->in_order, job);
        job_free(job);
}

static void vanish(Job *job) {
        Jobs *jobs = job->jobs;

        if (job->published)
                jobs->observer->vanished(job, jobs->userdata);
        g_queue_remove(&jobs->ended, job);
        bool published = job->published;
        job_discard(job);
        if (published)
                jobs->observer->counted(jobs->userdata);
}

/* --- how it goes --- */

void job_set_running(Job *job) {
        if (job->state == JOB_QUEUED)
                set_state(job, JOB_RUNNING);
}

void job_set_stage(Job *job, const char *stage) {
        static const char *const properties[] = {"Stage", NULL};

        if (g_str_equal(job->stage, stage))
                return;
        g_free(job->stage);
        job->stage = g_strdup(stage);
        tell(job, properties);
}

void job_set_cancellable(Job *job, bool cancellable) {
        static const char *const properties[] = {"Cancellable", NULL};

        if (job->cancellable == cancellable)
                return;
        job->cancellable = cancellable;
        tell(job, properties);
}

double job_progress(const Job *job) {
        guint64 done = job->bytes_total > 0 ? job->bytes_done : job->items_done;
        guint64 total = job->bytes_total > 0 ? job->bytes_total : job->items_total;

        if (job->state == JOB_DONE)
                return 1;
        return total > 0 ? (double) MIN(done, total) / (double) total : -1;
}

/* A mean that leans on what was measured last, so that it neither jumps nor lags. */
static void measure(Job *job, guint64 now) {
        guint64 elapsed = now - job->measured_usec, bytes = job->bytes_done - job->measured_bytes;

        if (elapsed == 0 || job->bytes_done < job->measured_bytes)
                return;
        guint64 rate = (guint64) ((double) bytes * G_USEC_PER_SEC / (double) elapsed);
        job->rate = job->rate == 0 ? rate : (3 * job->rate + rate) / 4;
        job->measured_usec = now;
        job->measured_bytes = job->bytes_done;
        job->expected_end_usec = 0;
        if (job->rate > 0 && job->bytes_total > job->bytes_done)
                job->expected_end_usec = clock_realtime_usec() + (guint64) ((double) (job->bytes_total - job->bytes_done) * G_USEC_PER_SEC / (double) job->rate);
}

static void send_progress(Job *job) {
        static const char *const properties[] = {"Progress", "BytesDone", "BytesTotal", "ItemsDone", "ItemsTotal", "Rate", "ExpectedEndTimestamp", NULL};

        job->progress_due = false;
        job->progress_sent_usec = clock_boottime_usec();
        measure(job, job->progress_sent_usec);
        tell(job, properties);
}

static int on_progress_due(sd_event_source *source, guint64 usec, void *userdata) {
        Job *job = userdata;

        g_clear_pointer(&job->progress_timer, sd_event_source_disable_unref);
        send_progress(job);
        return 0;
}

static void progress(Job *job) {
        guint64 now = clock_boottime_usec(), next = job->progress_sent_usec + JOB_PROGRESS_USEC;

        if (job->progress_due || !job->published)
                return;
        if (job->progress_sent_usec == 0 || now >= next) {
                send_progress(job);
                return;
        }
        job->progress_due = true;
        int r = sd_event_add_time(job->jobs->event, &job->progress_timer, CLOCK_BOOTTIME, next, 1000, on_progress_due, job);
        g_assert(r >= 0);
}

void job_set_bytes(Job *job, guint64 done, guint64 total) {
        if (job->bytes_done == done && job->bytes_total == total)
                return;
        job->bytes_done = done;
        job->bytes_total = total;
        progress(job);
}

void job_set_items(Job *job, guint64 done, guint64 total) {
        if (job->items_done == done && job->items_total == total)
                return;
        job->items_done = done;
        job->items_total = total;
        progress(job);
}

/* --- the end --- */

static int on_life_over(sd_event_source *source, guint64 usec, void *userdata) {
        vanish(userdata);
        return 0;
}

static void keep_for_a_while(Job *job) {
        Jobs *jobs = job->jobs;

        if (job->released) {
                vanish(job);
                return;
        }
        if (jobs->limits->keep_usec != UINT64_MAX) {
                int r = sd_event_add_time(jobs->event, &job->life_timer, CLOCK_BOOTTIME, clock_boottime_in(jobs->limits->keep_usec), G_USEC_PER_SEC / 4, on_life_over, job);
                g_assert(r >= 0);
        }
        g_queue_push_tail(&jobs->ended, job);
        if (jobs->ended.length > JOBS_FINISHED_MAX)
                vanish(g_queue_peek_head(&jobs->ended));
}

static void tell_end(Job *job) {
        static const char *const whole[] = {"State",    "Cancellable", "Result", "ErrorName", "ErrorMessage", "Progress", "BytesDone", "BytesTotal", "ItemsDone", "ItemsTotal",
                                            "Rate",     "ExpectedEndTimestamp", NULL};

        tell(job, whole);
        job->jobs->observer->finished(job, job->jobs->userdata);
        answer_waits(job, job);
        keep_for_a_while(job);
}

void job_finish(Job *job, GVariant *result, const GError *error) {
        g_autoptr(GVariant) sunk = result ? g_variant_ref_sink(result) : NULL;

        g_assert(!job_is_finished(job));
        g_clear_pointer(&job->progress_timer, sd_event_source_disable_unref);
        measure(job, clock_boottime_usec());
        job->expected_end_usec = 0;
        job->cancellable = false;
        job->work = NULL;
        if (error)
                job->error = g_error_copy(error);
        else if (sunk) {
                g_variant_unref(job->result);
                job->result = g_steal_pointer(&sunk);
        }
        job->state = !error ? JOB_DONE : g_error_matches(error, CONBUS_ERROR, CONBUS_ERROR_CANCELLED) ? JOB_CANCELLED : JOB_FAILED;
        if (job->published)
                tell_end(job);
}

void job_publish(Job *job) {
        job->published = true;
        job->jobs->observer->appeared(job, job->jobs->userdata);
        job->jobs->observer->counted(job->jobs->userdata);
        if (job_is_finished(job))
                tell_end(job);
}

bool job_cancel(Job *job, GError **error) {
        if (job_is_finished(job) || job->state == JOB_CANCELLING)
                return true;
        if (!job->cancellable)
                return error_set(error, CONBUS_ERROR_INVALID_STATE, "cancel %s: this %s is %s and cannot be cancelled any more; it ends by itself", job->path, job->operation, job_state_to_string(job->state));
        cancel(job);
        return true;
}

void job_release(Job *job) {
        job->released = true;
        if (job_is_finished(job))
                vanish(job);
}

/* --- waiting --- */

static int on_wait_over(sd_event_source *source, guint64 usec, void *userdata) {
        JobWait *wait = userdata;

        answer_wait(wait, wait->job);
        return 0;
}

JobWait *job_wait(Job *job, guint64 timeout_usec, JobWaited done, void *userdata) {
        JobWait *wait = g_new0(JobWait, 1);

        g_assert(!job_is_finished(job));
        wait->job = job;
        wait->done = done;
        wait->userdata = userdata;
        g_queue_push_tail(&job->waits, wait);
        if (timeout_usec != UINT64_MAX) {
                int r = sd_event_add_time(job->jobs->event, &wait->timer, CLOCK_BOOTTIME, clock_boottime_in(timeout_usec), 1000, on_wait_over, wait);
                g_assert(r >= 0);
        }
        return wait;
}

void job_wait_cancel(JobWait *wait) {
        g_queue_remove(&wait->job->waits, wait);
        g_clear_pointer(&wait->timer, sd_event_source_disable_unref);
        g_free(wait);
}
