/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The table of jobs without a bus: a recording observer, work with bytes, the pace of progress, waits, the end of the table. */

#include "bus/jobs.h"
#include <string.h>

typedef struct Fixture {
        sd_event *event;
        JobLimits limits;
        Jobs *jobs;
        Actor *actor;
        GString *heard;
        unsigned n_progress, n_cancelled, n_forgotten;
} Fixture;

static void on_appeared(Job *job, void *userdata) {
        g_string_append(((Fixture *) userdata)->heard, "appeared ");
}

static void on_changed(Job *job, const char *const *properties, void *userdata) {
        Fixture *fixture = userdata;

        if (g_str_equal(properties[0], "Progress"))
                fixture->n_progress++;
        else
                g_string_append_printf(fixture->heard, "%s=%s ", properties[0], g_str_equal(properties[0], "Stage") ? job->stage : job_state_to_string(job->state));
}

static void on_finished(Job *job, void *userdata) {
        g_string_append(((Fixture *) userdata)->heard, "finished ");
}

static void on_vanished(Job *job, void *userdata) {
        g_string_append(((Fixture *) userdata)->heard, "vanished ");
}

static void on_counted(void *userdata) {
}

static guint64 on_reserve(guint64 last, void *userdata) {
        return last + 5;
}

static void set_up(Fixture *fixture, const void *unused) {
        static const JobObserver observer = {on_appeared, on_changed, on_finished, on_vanished, on_counted, on_reserve};

        g_assert_cmpint(sd_event_new(&fixture->event), >=, 0);
        fixture->limits = (JobLimits) {.unfinished_per_caller = 2, .keep_usec = UINT64_MAX};
        fixture->jobs = jobs_new(fixture->event, &fixture->limits, &observer, fixture);
        fixture->actor = actor_new(1000, 1, "", "", ":1.7");
        fixture->heard = g_string_new(NULL);
}

static void tear_down(Fixture *fixture, const void *unused) {
        jobs_free(fixture->jobs);
        actor_unref(fixture->actor);
        g_string_free(fixture->heard, TRUE);
        sd_event_unref(fixture->event);
}

static void cancel(Job *job, void *userdata) {
        ((Fixture *) userdata)->n_cancelled++;
}

static void forget(void *userdata) {
        ((Fixture *) userdata)->n_forgotten++;
}

static Job *make(Fixture *fixture, const char *token, GError **error) {
        static const JobWork work = {cancel, forget};
        static const char *const objects[] = {"/one", "/two", NULL};
        JobOptions options = {.token = (char *) token};
        JobPlan plan = {.operation = "copy-to", .objects = objects, .actor = fixture->actor, .options = &options, .work = &work, .userdata = fixture};

        return job_new(fixture->jobs, &plan, error);
}

static Job *publish(Fixture *fixture) {
        g_autoptr(GError) error = NULL;
        Job *job = make(fixture, NULL, &error);

        g_assert_no_error(error);
        job_publish(job);
        return job;
}

static void run_for(Fixture *fixture, guint64 usec) {
        guint64 now, end;

        sd_event_now(fixture->event, CLOCK_MONOTONIC, &now);
        for (end = now + usec; now < end; sd_event_now(fixture->event, CLOCK_MONOTONIC, &now))
                g_assert_cmpint(sd_event_run(fixture->event, end - now), >=, 0);
}

static void test_silent_until_published(Fixture *fixture, const void *unused) {
        g_autoptr(GError) error = NULL;
        Job *job = make(fixture, NULL, &error);

        job_set_running(job);
        job_set_stage(job, "packing");
        job_set_bytes(job, 1, 2);
        g_assert_cmpstr(fixture->heard->str, ==, "");
        job_publish(job);
        job_set_stage(job, "packing");
        job_set_stage(job, "hijacked");
        job_finish(job, NULL, NULL);
        g_assert_cmpstr(fixture->heard->str, ==, "appeared Stage=hijacked State=done finished ");
        job_release(job);
        g_assert_cmpstr(fixture->heard->str, ==, "appeared Stage=hijacked State=done finished vanished ");
        g_assert_cmpuint(jobs_count(fixture->jobs), ==, 0);
}

static void test_an_end_before_publishing_is_told(Fixture *fixture, const void *unused) {
        g_autoptr(GError) error = NULL, failure = g_error_new(CONBUS_ERROR, CONBUS_ERROR_NO_SUCH_PATH, "no");
        Job *job = make(fixture, NULL, &error);

        job_finish(job, NULL, failure);
        job_publish(job);
        g_assert_cmpstr(fixture->heard->str, ==, "appeared State=failed finished ");
}

static void test_progress_comes_at_its_pace(Fixture *fixture, const void *unused) {
        Job *job = publish(fixture);

        job_set_running(job);
        for (guint64 i = 1; i <= 600; i++) {
                job_set_bytes(job, i * 1000, 1000000);
                run_for(fixture, 1000);
        }
        /* At once, then each 250 ms for the time that 600 turns of at least 1 ms take. */
        g_assert_cmpuint(fixture->n_progress, >=, 3);
        guint64 elapsed = g_get_real_time() - (gint64) job->start_usec;
        g_assert_cmpuint(fixture->n_progress, <=, elapsed / JOB_PROGRESS_USEC + 1);
        g_assert_cmpfloat(job_progress(job), ==, 0.6);
        g_assert_cmpuint(job->rate, >, 0);
        g_assert_cmpuint(job->expected_end_usec, >, job->start_usec);
        job_set_bytes(job, 1000000, 1000000);
        job_finish(job, NULL, NULL);
        g_assert_cmpuint(job->bytes_done, ==, 1000000);
        g_assert_cmpuint(job->expected_end_usec, ==, 0);
        unsigned n = fixture->n_progress;
        run_for(fixture, 300000);
        g_assert_cmpuint(fixture->n_progress, ==, n);
}

static void test_items_count_where_there_are_no_bytes(Fixture *fixture, const void *unused) {
        Job *job = publish(fixture);

        g_assert_cmpfloat(job_progress(job), ==, -1);
        job_set_items(job, 1, 4);
        g_assert_cmpfloat(job_progress(job), ==, 0.25);
        job_set_items(job, 9, 4);
        g_assert_cmpfloat(job_progress(job), ==, 1);
        g_assert_cmpuint(job->rate, ==, 0);
}

static void test_tokens_and_limits(Fixture *fixture, const void *unused) {
        g_autoptr(GError) error = NULL;
        Job *job = make(fixture, "mine", &error);

        g_assert_cmpstr(job->path, ==, "/io/conbus1/job/1_7/mine");
        g_assert_true(jobs_find(fixture->jobs, "/io/conbus1/job/1_7/mine") == job);
        g_assert_null(make(fixture, "mine", &error));
        g_assert_error(error, CONBUS_ERROR, CONBUS_ERROR_NAME_IN_USE);
        g_clear_error(&error);
        Job *second = make(fixture, NULL, &error);
        g_assert_cmpstr(second->path, ==, "/io/conbus1/job/7");
        g_assert_null(make(fixture, NULL, &error));
        g_assert_error(error, CONBUS_ERROR, CONBUS_ERROR_LIMITS_EXCEEDED);
        g_clear_error(&error);
        job_discard(job);
        g_assert_nonnull(make(fixture, "mine", &error));
}

static void test_finished_ones_do_not_count(Fixture *fixture, const void *unused) {
        for (unsigned i = 0; i < JOBS_FINISHED_MAX + 10; i++)
                job_finish(publish(fixture), NULL, NULL);
        g_assert_cmpuint(jobs_count(fixture->jobs), ==, JOBS_FINISHED_MAX);
        g_assert_null(jobs_find(fixture->jobs, "/io/conbus1/job/15"));
        g_assert_nonnull(jobs_find(fixture->jobs, "/io/conbus1/job/16"));
}

static void test_numbers_are_reserved_in_blocks(Fixture *fixture, const void *unused) {
        for (guint64 i = 1; i <= JOB_NUMBERS + 1; i++) {
                Job *job = publish(fixture);
                g_assert_cmpuint(job->number, ==, i <= JOB_NUMBERS ? i + 5 : i + 10);
                job_finish(job, NULL, NULL);
                job_release(job);
        }
}

static void test_cancelling(Fixture *fixture, const void *unused) {
        g_autoptr(GError) error = NULL, end = g_error_new(CONBUS_ERROR, CONBUS_ERROR_CANCELLED, "as asked");
        Job *job = publish(fixture);

        job_set_cancellable(job, false);
        g_assert_false(job_cancel(job, &error));
        g_assert_error(error, CONBUS_ERROR, CONBUS_ERROR_INVALID_STATE);
        g_clear_error(&error);
        job_set_cancellable(job, true);
        g_assert_true(job_cancel(job, &error));
        g_assert_true(job_cancel(job, &error));
        g_assert_cmpuint(fixture->n_cancelled, ==, 1);
        g_assert_cmpint(job->state, ==, JOB_CANCELLING);
        job_set_running(job);
        g_assert_cmpint(job->state, ==, JOB_CANCELLING);
        job_finish(job, NULL, end);
        g_assert_cmpint(job->state, ==, JOB_CANCELLED);
        g_assert_true(job_cancel(job, &error));
}

static void on_waited(Job *job, void *userdata) {
        Fixture *fixture = userdata;

        g_string_append_printf(fixture->heard, "waited:%s ", job ? job_state_to_string(job->state) : "gone");
}

static void test_waits(Fixture *fixture, const void *unused) {
        Job *job = publish(fixture), *other = publish(fixture);

        g_string_truncate(fixture->heard, 0);
        g_assert_nonnull(job_wait(job, UINT64_MAX, on_waited, fixture));
        g_assert_nonnull(job_wait(job, 1000, on_waited, fixture));
        job_wait_cancel(job_wait(job, UINT64_MAX - 1, on_waited, fixture)); /* a span beyond the clock */
        job_wait_cancel(job_wait(job, UINT64_MAX, on_waited, fixture));
        run_for(fixture, 50000);
        g_assert_cmpstr(fixture->heard->str, ==, "waited:queued ");
        job_release(job);
        job_finish(job, g_variant_new_parsed("{'run': <uint64 3>}"), NULL);
        g_assert_cmpstr(fixture->heard->str, ==, "waited:queued State=done finished waited:done vanished ");
        g_assert_nonnull(job_wait(other, UINT64_MAX, on_waited, fixture));
        g_string_truncate(fixture->heard, 0);
        jobs_free(g_steal_pointer(&fixture->jobs));
        g_assert_cmpstr(fixture->heard->str, ==, "waited:gone ");
        g_assert_cmpuint(fixture->n_forgotten, ==, 1);
}

static void test_options(void) {
        g_autoptr(GVariant) given = g_variant_ref_sink(g_variant_new_parsed("{'job-token': <'a_1'>, 'job-lifetime': <'client'>, 'inhibit-sleep': <true>, 'signal': <15>}"));
        g_autoptr(GVariant) rest = NULL, wrong = g_variant_ref_sink(g_variant_new_parsed("{'job-token': <'a'>, 'job-lifetime': <1>}"));
        g_auto(JobOptions) options = {0}, none = {0};
        g_autoptr(GError) error = NULL;

        g_assert_true(job_options_take(given, &options, &rest, &error));
        g_assert_cmpstr(options.token, ==, "a_1");
        g_assert_true(options.until_caller_leaves && options.inhibit_sleep);
        g_assert_cmpuint(g_variant_n_children(rest), ==, 1);
        g_assert_false(job_options_take(wrong, &none, &rest, &error));
        g_assert_error(error, CONBUS_ERROR, CONBUS_ERROR_INVALID_ARGS);
        g_assert_nonnull(strstr(error->message, "job-lifetime"));
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
#define CASE(name, function) g_test_add("/jobs/" name, Fixture, NULL, set_up, function, tear_down)
        CASE("silent-until-published", test_silent_until_published);
        CASE("end-before-publishing", test_an_end_before_publishing_is_told);
        CASE("progress-at-its-pace", test_progress_comes_at_its_pace);
        CASE("items", test_items_count_where_there_are_no_bytes);
        CASE("tokens-and-limits", test_tokens_and_limits);
        CASE("finished-do-not-count", test_finished_ones_do_not_count);
        CASE("numbers", test_numbers_are_reserved_in_blocks);
        CASE("cancelling", test_cancelling);
        CASE("waits", test_waits);
        g_test_add_func("/jobs/options", test_options);
        return g_test_run();
}
