/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Jobs: what a call that may last gives out at once (api.md section 9). The table knows paths, limits, lifetimes and who waits; whoever does the work brings a way to cancel it and tells how it goes. It knows nothing of the bus:
 * job-object.c is its observer and their face. An operation of a container is one kind of work (verb-job.c); anything else that ends once can be another.
 *
 *      job = job_new(jobs, &plan, &error);     the object is there
 *      container_reply_queue(call, job->path); the caller knows its path
 *      job_publish(job);                       from now on it has signals
 *      job_set_running(job); job_set_stage(job, "hijacked"); job_set_bytes(job, done, total); …
 *      job_finish(job, result, error);         exactly once; the worker forgets the job
 */

#include "operation/operation.h" /* JobLimits */

#define JOB_PROGRESS_USEC (250 * G_TIME_SPAN_MILLISECOND) /* between two signals of progress */
#define JOBS_FINISHED_MAX 4096 /* kept at once; beyond that the one that ended first goes early */

typedef enum JobState {
        JOB_QUEUED,
        JOB_RUNNING,
        JOB_CANCELLING,
        JOB_DONE,
        JOB_FAILED,
        JOB_CANCELLED,
        N_JOB_STATES,
} JobState;
const char *job_state_to_string(JobState state) G_GNUC_WARN_UNUSED_RESULT;

typedef struct Jobs Jobs;
typedef struct Job Job;
typedef struct JobWait JobWait;

/* Options that every call which returns a job knows: job-token s, job-lifetime s, inhibit-sleep b. */
typedef struct JobOptions {
        char *token; /* NULL: a number */
        bool until_caller_leaves;
        bool inhibit_sleep;
} JobOptions;
void job_options_clear(JobOptions *options);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(JobOptions, job_options_clear)
/* Takes them out of the options of a call (InvalidArgs); what is left is *ret_rest, for the call's own check. */
bool job_options_take(GVariant *options, JobOptions *ret, GVariant **ret_rest, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* How the work can be reached. Neither is called once job_finish has been. */
typedef struct JobWork {
        void (*cancel)(Job *job, void *userdata); /* end early and undo; job_finish comes in time, perhaps at once, and may also say that it was too late. NULL: it cannot be cancelled */
        void (*forget)(void *userdata); /* the table goes with the service: there will be no job any more; may be NULL */
} JobWork;

typedef struct JobPlan {
        const char *operation; /* the word of the property Operation */
        const char *const *objects; /* object paths */
        Actor *actor; /* the caller; its bus name owns the token and the limit */
        const JobOptions *options;
        const JobWork *work; /* static */
        void *userdata;
} JobPlan;

struct Job {
        Jobs *jobs;
        guint64 number;
        char *path;
        char *operation;
        char **objects;
        Actor *actor;
        guint64 start_usec;
        JobState state;
        char *stage; /* never NULL */
        bool cancellable; /* while it is unfinished */
        guint64 bytes_done, bytes_total, items_done, items_total; /* 0 total: unknown */
        guint64 rate; /* bytes per second, 0 unknown */
        guint64 expected_end_usec; /* 0 unknown */
        GVariant *result; /* a{sv}, never NULL */
        GError *error; /* of a failed or cancelled job */
        bool until_caller_leaves, inhibit_sleep;
        void *face; /* of the observer */

        /* jobs.c alone */
        const JobWork *work;
        void *userdata;
        bool published, released;
        bool progress_due;
        guint64 progress_sent_usec, measured_usec, measured_bytes; /* CLOCK_MONOTONIC */
        sd_event_source *progress_timer, *life_timer;
        GQueue waits;
};

#define JOB_NUMBERS 1000 /* reserved at once */

/* What the observer hears of a published job, each after the change. properties: names of the interface, ended by NULL. */
typedef struct JobObserver {
        void (*appeared)(Job *job, void *userdata);
        void (*changed)(Job *job, const char *const *properties, void *userdata);
        void (*finished)(Job *job, void *userdata); /* after changed, before whoever waits */
        void (*vanished)(Job *job, void *userdata); /* still found by its path */
        void (*counted)(void *userdata); /* there are more or fewer of them */
        guint64 (*reserve)(guint64 last, void *userdata); /* JOB_NUMBERS numbers that no job ever had; last is the last one given so far, the answer the last one before them */
} JobObserver;

/* limits is read at every use and stays the caller's. */
Jobs *jobs_new(sd_event *event, const JobLimits *limits, const JobObserver *observer, void *userdata) G_GNUC_WARN_UNUSED_RESULT;
void jobs_free(Jobs *jobs); /* without another signal; work is told to forget its job */
Job *jobs_find(Jobs *jobs, const char *path);
unsigned jobs_count(const Jobs *jobs);
GPtrArray *jobs_list(Jobs *jobs) G_GNUC_WARN_UNUSED_RESULT; /* of Job, borrowed, in order of creation */
void jobs_caller_left(Jobs *jobs, const char *bus_name); /* cancels what was to live as long as its caller */

/* LimitsExceeded, NameInUse (the token). The job belongs to the table; the worker may use it until it finishes it. */
Job *job_new(Jobs *jobs, const JobPlan *plan, GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* A job of a former life of the service whose work goes on: the same path, number and time. NULL when there is a job at that path. */
Job *job_restore(Jobs *jobs, const JobPlan *plan, const char *path, guint64 number, guint64 start_usec) G_GNUC_WARN_UNUSED_RESULT;
void job_discard(Job *job); /* instead of publishing it: the work could not begin; nobody has seen it */
void job_publish(Job *job); /* right after the reply that holds its path */

void job_set_running(Job *job);
void job_set_stage(Job *job, const char *stage);
void job_set_cancellable(Job *job, bool cancellable);
void job_set_bytes(Job *job, guint64 done, guint64 total);
void job_set_items(Job *job, guint64 done, guint64 total);
/* The end. result: a{sv}, floating or not, NULL none; counts without an error. error: Cancelled makes it cancelled, any other failed. */
void job_finish(Job *job, GVariant *result, const GError *error);

bool job_is_finished(const Job *job);
double job_progress(const Job *job); /* 0 to 1, -1 unknown */
/* True when the job is over, is being cancelled, or is now; InvalidState when it cannot be cancelled any more. */
bool job_cancel(Job *job, GError **error) G_GNUC_WARN_UNUSED_RESULT;
void job_release(Job *job); /* goes now, or with its end */

/* Of an unfinished job: done is called once, at its end or after timeout_usec (UINT64_MAX: never), and never before this has returned; the wait is gone then. job NULL: the table goes with the service. */
typedef void (*JobWaited)(Job *job, void *userdata);
JobWait *job_wait(Job *job, guint64 timeout_usec, JobWaited done, void *userdata) G_GNUC_WARN_UNUSED_RESULT;
void job_wait_cancel(JobWait *wait);
