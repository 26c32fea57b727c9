/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Jobs of the service manager. A call gives a job's path; JobRemoved says how it ended. Both signals that matter are matched only while a job is waited for, so that an idle service does not wake for the units of others:
 * the match is asked for before the call on the same connection, which the bus daemon serves in order. A scope's name can be taken again only once the manager has let go of the unit (UnitRemoved), which it tells those who called Subscribe. */

#include "runtime/units.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/variant.h"
#include <string.h>
#include <systemd/sd-daemon.h>

#define MANAGER "org.freedesktop.systemd1", "/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager"
#define GONE_USEC (2 * G_USEC_PER_SEC) /* for a unit that has stopped to be let go of: others may hold a reference */

struct Units {
        sd_bus *bus;
        sd_event *event;
        sd_bus_slot *match;
        GPtrArray *jobs; /* of UnitJob */
        struct Question *question; /* about the machine's end */
        bool no_pidfds; /* the manager has refused PIDFDs */
};

struct UnitJob {
        Units *units;
        sd_bus_slot *call;
        sd_event_source *timer;
        char *unit, *path; /* path of the job, NULL until it is known */
        bool by_pidfd; /* of the first try */
        bool stops; /* done when the unit is gone */
        const char *verb; /* for messages */
        ConbusError refusal; /* what it is that the manager takes no such job */
        bool accepted; /* the manager has a job for it */
        UnitDone done;
        void *userdata;
        /* what a second try without pidfds needs */
        char *description, *slice, *after;
        guint64 stop_usec;
        pid_t pid;
        GVariant *properties;
};

bool units_are_here(void) {
        return sd_booted() > 0;
}

static void drop_match_if_idle(Units *units) {
        if (units->jobs->len == 0)
                g_clear_pointer(&units->match, sd_bus_slot_unref);
}

void unit_job_forget(UnitJob *job) {
        if (!job)
                return;
        g_ptr_array_remove_fast(job->units->jobs, job);
        drop_match_if_idle(job->units);
        g_clear_pointer(&job->call, sd_bus_slot_unref);
        g_clear_pointer(&job->timer, sd_event_source_disable_unref);
        g_clear_pointer(&job->properties, g_variant_unref);
        g_free(job->description);
        g_free(job->slice);
        g_free(job->after);
        g_free(job->unit);
        g_free(job->path);
        g_free(job);
}

static void finish(UnitJob *job, const GError *error) {
        UnitDone done = job->done;
        void *userdata = job->userdata;

        unit_job_forget(job);
        done(error, userdata);
}

static void fail(UnitJob *job, const char *what, const char *why) {
        g_autoptr(GError) error = NULL;

        error_set(&error, job->accepted ? CONBUS_ERROR_UNIT_FAILED : job->refusal, "%s %s: %s", what, job->unit, why);
        finish(job, error);
}

static UnitJob *find_by_path(Units *units, const char *path) {
        for (guint i = 0; i < units->jobs->len; i++)
                if (g_strcmp0(((UnitJob *) units->jobs->pdata[i])->path, path) == 0)
                        return units->jobs->pdata[i];
        return NULL;
}

static UnitJob *find_stop(Units *units, const char *unit) {
        for (guint i = 0; i < units->jobs->len; i++) {
                UnitJob *job = units->jobs->pdata[i];
                if (job->stops && job->accepted && g_str_equal(job->unit, unit))
                        return job;
        }
        return NULL;
}

static int on_still_there(sd_event_source *source, guint64 usec, void *userdata) {
        UnitJob *job = userdata;

        log_notice("the service manager keeps %s, which has stopped", job->unit);
        finish(job, NULL);
        return 0;
}

static void on_job_removed(UnitJob *job, const char *result) {
        if (!g_str_equal(result, "done"))
                fail(job, job->verb, result);
        else if (!job->stops)
                finish(job, NULL);
        else {
                int r = sd_event_add_time(job->units->event, &job->timer, CLOCK_BOOTTIME, clock_boottime_in(GONE_USEC), 1000, on_still_there, job);
                g_assert(r >= 0);
        }
}

/* One job of the manager's may be several of ours: whoever asks for a stop that is under way gets its path. */
static int on_signal(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        Units *units = userdata;
        const char *path = NULL, *unit = NULL, *result = NULL;
        UnitJob *job;
        uint32_t number;

        if (sd_bus_message_is_signal(message, NULL, "JobRemoved")) {
                if (sd_bus_message_read(message, "uoss", &number, &path, &unit, &result) < 0)
                        return 0;
                while ((job = find_by_path(units, path))) {
                        g_clear_pointer(&job->path, g_free);
                        on_job_removed(job, result);
                }
        } else if (sd_bus_message_is_signal(message, NULL, "UnitRemoved")) {
                if (sd_bus_message_read(message, "so", &unit, &path) < 0)
                        return 0;
                while ((job = find_stop(units, unit)))
                        finish(job, NULL);
        }
        return 0;
}

static UnitJob *job_new(Units *units, const char *unit, UnitDone done, void *userdata) {
        UnitJob *job = g_new0(UnitJob, 1);

        job->units = units;
        job->unit = g_strdup(unit);
        job->verb = "start";
        job->refusal = CONBUS_ERROR_UNIT_FAILED;
        job->done = done;
        job->userdata = userdata;
        g_ptr_array_add(units->jobs, job);
        if (!units->match) {
                int r = sd_bus_add_match_async(units->bus, &units->match, "type='signal',sender='org.freedesktop.systemd1',path='/org/freedesktop/systemd1',interface='org.freedesktop.systemd1.Manager'", on_signal, NULL, units);
                if (r < 0)
                        log_error("watch jobs of the service manager: %s", g_strerror(-r));
        }
        return job;
}

/* A call that could not even be sent is told in a fresh turn, like every other outcome. */
static int on_not_sent(sd_event_source *source, void *userdata) {
        fail(userdata, "ask for", "the bus does not take the call");
        return 0;
}

static void check_sent(UnitJob *job, int r) {
        if (r >= 0)
                return;
        log_error("ask the service manager for %s: %s", job->unit, g_strerror(-r));
        r = sd_event_add_defer(job->units->event, &job->timer, on_not_sent, job);
        g_assert(r >= 0);
}

static void remember_job(UnitJob *job, sd_bus_message *answer) {
        const char *path;

        if (sd_bus_message_read(answer, "o", &path) < 0) {
                fail(job, job->verb, "the answer is not understood");
                return;
        }
        job->path = g_strdup(path);
        job->accepted = true;
}

/* --- starting --- */

static int on_started(sd_bus_message *answer, void *userdata, sd_bus_error *error);

static int append_process(sd_bus_message *call, UnitJob *job, int pidfd) {
        if (pidfd >= 0)
                return sd_bus_message_append(call, "(sv)", "PIDFDs", "ah", 1, pidfd);
        return sd_bus_message_append(call, "(sv)", "PIDs", "au", 1, (uint32_t) job->pid);
}

static int append_properties(sd_bus_message *call, UnitJob *job, int pidfd) {
        int r = sd_bus_message_append(call, "(sv)(sv)(sv)(sv)(sv)(sv)", "Description", "s", job->description, "Slice", "s", job->slice, "Delegate", "b", 1, "CollectMode", "s", "inactive-or-failed",
                                      "Before", "as", 1, "conbus-containers.target", "After", "as", 1, job->after);

        if (r >= 0 && job->stop_usec != UINT64_MAX)
                r = sd_bus_message_append(call, "(sv)", "TimeoutStopUSec", "t", job->stop_usec);
        if (r >= 0)
                r = append_process(call, job, pidfd);
        for (gsize i = 0; r >= 0 && job->properties && i < g_variant_n_children(job->properties); i++) {
                g_autoptr(GVariant) property = g_variant_get_child_value(job->properties, i);
                r = variant_append(call, property);
        }
        return r;
}

static int send_start(UnitJob *job, int pidfd) {
        g_autoptr(sd_bus_message) call = NULL;
        int r = sd_bus_message_new_method_call(job->units->bus, &call, MANAGER, "StartTransientUnit");

        job->by_pidfd = pidfd >= 0;
        if (r >= 0)
                r = sd_bus_message_append(call, "ss", job->unit, "fail");
        if (r >= 0)
                r = sd_bus_message_open_container(call, 'a', "(sv)");
        if (r >= 0)
                r = append_properties(call, job, pidfd);
        if (r >= 0)
                r = sd_bus_message_close_container(call);
        if (r >= 0)
                r = sd_bus_message_append(call, "a(sa(sv))", 0);
        if (r >= 0)
                r = sd_bus_call_async(job->units->bus, &job->call, call, on_started, job, 0);
        return r;
}

static int on_started(sd_bus_message *answer, void *userdata, sd_bus_error *error) {
        UnitJob *job = userdata;
        const sd_bus_error *failure = sd_bus_message_get_error(answer);

        g_clear_pointer(&job->call, sd_bus_slot_unref);
        if (failure && job->by_pidfd && sd_bus_error_has_name(failure, SD_BUS_ERROR_PROPERTY_READ_ONLY) && strstr(failure->message, "PIDFDs")) {
                job->units->no_pidfds = true;
                check_sent(job, send_start(job, -1));
        } else if (failure)
                fail(job, "start", failure->message);
        else
                remember_job(job, answer);
        return 1;
}

UnitJob *units_start_scope(Units *units, const ScopePlan *plan, UnitDone done, void *userdata) {
        UnitJob *job = job_new(units, plan->name, done, userdata);

        job->description = g_strdup(plan->description);
        job->slice = g_strdup(plan->slice);
        job->after = units_mount_of_path(plan->mount);
        job->stop_usec = plan->stop_usec;
        job->pid = plan->process->pid;
        job->properties = plan->properties ? g_variant_ref(plan->properties) : NULL;
        check_sent(job, send_start(job, units->no_pidfds ? -1 : plan->process->fd));
        return job;
}

/* --- stopping --- */

static int on_stopped(sd_bus_message *answer, void *userdata, sd_bus_error *error) {
        UnitJob *job = userdata;
        const sd_bus_error *failure = sd_bus_message_get_error(answer);

        g_clear_pointer(&job->call, sd_bus_slot_unref);
        if (failure && sd_bus_error_has_name(failure, "org.freedesktop.systemd1.NoSuchUnit"))
                finish(job, NULL);
        else if (failure)
                fail(job, job->verb, failure->message);
        else
                remember_job(job, answer);
        return 1;
}

UnitJob *units_stop_scope(Units *units, const char *name, UnitDone done, void *userdata) {
        UnitJob *job = job_new(units, name, done, userdata);

        job->stops = true;
        job->verb = "stop";
        check_sent(job, sd_bus_call_method_async(units->bus, &job->call, MANAGER, "StopUnit", on_stopped, job, "ss", name, "fail"));
        return job;
}

/* --- services --- */

static int on_service_job(sd_bus_message *answer, void *userdata, sd_bus_error *error) {
        UnitJob *job = userdata;
        const sd_bus_error *failure = sd_bus_message_get_error(answer);

        g_clear_pointer(&job->call, sd_bus_slot_unref);
        if (failure)
                fail(job, job->verb, failure->message);
        else
                remember_job(job, answer);
        return 1;
}

UnitJob *units_run_service(Units *units, ServiceJob what, const char *name, UnitDone done, void *userdata) {
        static const struct {
                const char *verb, *method;
        } jobs[] = {[SERVICE_JOB_START] = {"start", "StartUnit"}, [SERVICE_JOB_STOP] = {"stop", "StopUnit"}, [SERVICE_JOB_RESTART] = {"restart", "RestartUnit"}};
        UnitJob *job = job_new(units, name, done, userdata);
        int r = 0;

        job->verb = jobs[what].verb;
        job->refusal = CONBUS_ERROR_MANAGED_BY_UNIT;
        if (what != SERVICE_JOB_STOP) /* what comes of it does not matter: without it the start may be refused, which is told */
                r = sd_bus_call_method_async(units->bus, NULL, MANAGER, "ResetFailedUnit", NULL, NULL, "s", name);
        if (r >= 0)
                r = sd_bus_call_method_async(units->bus, &job->call, MANAGER, jobs[what].method, on_service_job, job, "ss", name, "replace");
        check_sent(job, r);
        return job;
}

/* --- the machine's end --- */

#define ANSWER_USEC (2 * G_USEC_PER_SEC)
#define STOP_USEC (90 * G_USEC_PER_SEC) /* DefaultTimeoutStopSec= */

struct Question {
        Units *units;
        sd_bus_slot *call;
        sd_event_source *not_sent;
        char *service;
        UnitsShutdown done;
        void *userdata;
};

static void question_free(struct Question *question) {
        if (!question)
                return;
        g_clear_pointer(&question->call, sd_bus_slot_unref);
        g_clear_pointer(&question->not_sent, sd_event_source_disable_unref);
        g_free(question->service);
        g_free(question);
}

static void reply(struct Question *question, bool goes_down, guint64 stop_usec) {
        UnitsShutdown done = question->done;
        void *userdata = question->userdata;

        question->units->question = NULL;
        question_free(question);
        done(goes_down, stop_usec, userdata);
}

static int ask_property(struct Question *question, const char *path, const char *interface, const char *name, sd_bus_message_handler_t on_answer) {
        g_autoptr(sd_bus_message) call = NULL;
        int r = sd_bus_message_new_method_call(question->units->bus, &call, "org.freedesktop.systemd1", path, "org.freedesktop.DBus.Properties", "Get");

        if (r >= 0)
                r = sd_bus_message_append(call, "ss", interface, name);
        return r < 0 ? r : sd_bus_call_async(question->units->bus, &question->call, call, on_answer, question, ANSWER_USEC);
}

static int on_stop_time(sd_bus_message *answer, void *userdata, sd_bus_error *error) {
        guint64 usec = STOP_USEC;

        if (sd_bus_message_is_method_error(answer, NULL) || sd_bus_message_read(answer, "v", "t", &usec) < 0)
                log_warning("the service manager does not say how long this service may take to stop");
        reply(userdata, true, usec);
        return 1;
}

static int on_system_state(sd_bus_message *answer, void *userdata, sd_bus_error *error) {
        struct Question *question = userdata;
        const char *state = "";
        char *path = NULL;

        g_clear_pointer(&question->call, sd_bus_slot_unref);
        if (sd_bus_message_is_method_error(answer, NULL) || sd_bus_message_read(answer, "v", "s", &state) < 0 || !g_str_equal(state, "stopping")) {
                reply(question, false, UINT64_MAX);
                return 1;
        }
        int r = sd_bus_path_encode("/org/freedesktop/systemd1/unit", question->service, &path);
        if (r >= 0)
                r = ask_property(question, path, "org.freedesktop.systemd1.Service", "TimeoutStopUSec", on_stop_time);
        free(path);
        if (r < 0)
                reply(question, true, STOP_USEC);
        return 1;
}

static int on_question_not_sent(sd_event_source *source, void *userdata) {
        reply(userdata, false, UINT64_MAX);
        return 0;
}

void units_ask_shutdown(Units *units, const char *service, UnitsShutdown done, void *userdata) {
        if (units->question)
                return;
        units->question = g_new0(struct Question, 1);
        *units->question = (struct Question) {.units = units, .service = g_strdup(service), .done = done, .userdata = userdata};
        int r = ask_property(units->question, "/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager", "SystemState", on_system_state);
        if (r >= 0)
                return;
        log_error("ask the service manager for its state: %s", g_strerror(-r));
        r = sd_event_add_defer(units->event, &units->question->not_sent, on_question_not_sent, units->question);
        g_assert(r >= 0);
}

/* --- paths --- */

char *units_mount_of_path(const char *path) {
        GString *name = g_string_new(NULL);

        for (const char *p = path + strspn(path, "/"); *p; p++)
                if (*p == '/')
                        g_string_append_c(name, '-');
                else if (g_ascii_isalnum(*p) || *p == '_' || *p == ':' || (*p == '.' && name->len > 0))
                        g_string_append_c(name, *p);
                else
                        g_string_append_printf(name, "\\x%02x", (unsigned char) *p);
        g_string_append(name, name->len > 0 ? ".mount" : "-.mount");
        return g_string_free(name, FALSE);
}

char *units_cgroup_of_slice(const char *slice) {
        g_autoptr(GString) path = g_string_new(NULL);

        if (g_str_equal(slice, "-.slice"))
                return g_strdup("");
        for (const char *dash = strchr(slice, '-'); dash; dash = strchr(dash + 1, '-'))
                g_string_append_printf(path, "/%.*s.slice", (int) (dash - slice), slice);
        g_string_append_printf(path, "/%s", slice);
        return g_string_free(g_steal_pointer(&path), FALSE);
}

char *units_slice_of_cgroup(const char *cgroup) {
        g_auto(GStrv) parts = g_strsplit(cgroup, "/", -1);
        const char *slice = "";

        for (char **part = parts; *part && !g_str_has_suffix(*part, ".scope") && !g_str_has_suffix(*part, ".service"); part++)
                if (g_str_has_suffix(*part, ".slice"))
                        slice = *part;
        return g_strdup(slice);
}

char *units_unit_of_cgroup(const char *cgroup) {
        g_auto(GStrv) parts = g_strsplit(cgroup, "/", -1);

        for (char **part = parts; *part; part++)
                if (g_str_has_suffix(*part, ".scope") || g_str_has_suffix(*part, ".service"))
                        return g_strdup(*part);
        return g_strdup("");
}

/* --- beginning and end --- */

sd_bus *units_bus(Units *units) {
        return units->bus;
}

sd_event *units_event(Units *units) {
        return units->event;
}

Units *units_new(sd_bus *bus, sd_event *event) {
        Units *units = g_new0(Units, 1);

        units->bus = sd_bus_ref(bus);
        units->event = sd_event_ref(event);
        units->jobs = g_ptr_array_new();
        int r = sd_bus_call_method_async(bus, NULL, MANAGER, "Subscribe", NULL, NULL, NULL);
        if (r < 0)
                log_error("subscribe to the service manager: %s", g_strerror(-r));
        return units;
}

void units_free(Units *units) {
        if (!units)
                return;
        while (units->jobs->len > 0)
                unit_job_forget(units->jobs->pdata[units->jobs->len - 1]);
        g_ptr_array_unref(units->jobs);
        question_free(units->question);
        g_clear_pointer(&units->match, sd_bus_slot_unref);
        sd_bus_unref(units->bus);
        sd_event_unref(units->event);
        g_free(units);
}
