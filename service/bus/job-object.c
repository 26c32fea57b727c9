/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The face of the jobs. A job's signals begin when it is published, right after the reply that holds its path; at its end PropertiesChanged comes first, then Finished, then the replies of whoever waits. */

#include "bus/job-object.h"
#include "bus/sleep-lock.h"
#include "bus/target.h"
#include "bus/waiting.h"
#include "bus/json-members.h"
#include "base/log.h"
#include "job-interface.h"
#include "manager-interface.h"
#include <errno.h>
#include <string.h>

#define MANAGER_PATH "/io/conbus1"

/* The container that it works on, if it is still there: rules on labels count for its jobs, too. */
void target_of_job(const void *job, Target *ret) {
        const char *object = ((const Job *) job)->objects[0], *id = object ? strrchr(object, '/') : NULL;

        *ret = (Target) {.container = id ? registry_get(bus_get()->registry, id + 1) : NULL, .owner_uid = ((const Job *) job)->actor->uid};
}

/* --- properties --- */

#define BASIC(name, type, kind, value)                                         \
        int job_property_##name(Bus *bus, Job *job, sd_bus_message *reply) {   \
                kind wire = value;                                             \
                return sd_bus_message_append_basic(reply, type, &wire);        \
        }
#define STRING(name, value)                                                    \
        int job_property_##name(Bus *bus, Job *job, sd_bus_message *reply) {   \
                return sd_bus_message_append_basic(reply, 's', value);         \
        }

BASIC(id, 't', guint64, job->number)
STRING(operation, job->operation)
BASIC(owner_uid, 'u', guint32, job->actor->uid)
BASIC(start_timestamp, 't', guint64, job->start_usec)
STRING(state, job_state_to_string(job->state))
STRING(stage, job->stage)
BASIC(cancellable, 'b', int, job->cancellable)
BASIC(progress, 'd', double, job_progress(job))
BASIC(bytes_done, 't', guint64, job->bytes_done)
BASIC(bytes_total, 't', guint64, job->bytes_total)
BASIC(items_done, 't', guint64, job->items_done)
BASIC(items_total, 't', guint64, job->items_total)
BASIC(rate, 't', guint64, job->rate)
BASIC(expected_end_timestamp, 't', guint64, job->expected_end_usec)
STRING(error_name, job->error ? error_to_name(job->error) : "")
STRING(error_message, job->error ? job->error->message : "")

int job_property_objects(Bus *bus, Job *job, sd_bus_message *reply) {
        int r = sd_bus_message_open_container(reply, 'a', "o");

        for (char **object = job->objects; r >= 0 && *object; object++)
                r = sd_bus_message_append_basic(reply, 'o', *object);
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

int job_property_result(Bus *bus, Job *job, sd_bus_message *reply) {
        return variant_append(reply, job->result);
}

/* --- signals --- */

static void log_failure(const char *what, const char *path, int r) {
        if (r < 0)
                log_error("%s of %s: %s", what, path, g_strerror(-r));
}

static void on_appeared(Job *job, void *userdata) {
        Bus *bus = userdata;

        if (job->inhibit_sleep && !job_is_finished(job))
                job->face = sleep_lock_take(bus, job->operation);
        log_failure("announce the job", job->path, sd_bus_emit_object_added(bus->connection, job->path));
}

static void on_changed(Job *job, const char *const *properties, void *userdata) {
        Bus *bus = userdata;

        log_failure("send PropertiesChanged", job->path, sd_bus_emit_properties_changed_strv(bus->connection, job->path, JOB_INTERFACE, (char **) properties));
}

static void on_finished(Job *job, void *userdata) {
        const char *name = job->error ? error_to_name(job->error) : "", *message = job->error ? job->error->message : "";

        job_emit_finished(userdata, job->path, job_state_to_string(job->state), name, message, job->result);
        g_clear_pointer(&job->face, sleep_lock_free);
}

static void on_vanished(Job *job, void *userdata) {
        Bus *bus = userdata;

        log_failure("announce the end", job->path, sd_bus_emit_object_removed(bus->connection, job->path));
}

static void on_counted(void *userdata) {
        Bus *bus = userdata;

        log_failure("send PropertiesChanged", MANAGER_PATH, sd_bus_emit_properties_changed(bus->connection, MANAGER_PATH, MANAGER_INTERFACE, "NJobs", NULL));
        bus_activity(bus);
}

static guint64 on_reserve(guint64 last, void *userdata) {
        Bus *bus = userdata;
        g_autoptr(GError) error = NULL;

        if (!store_reserve_job_numbers(registry_store(bus->registry), JOB_NUMBERS, &last, &error))
                log_error("%s", error->message);
        return last;
}

Jobs *job_objects_new(Bus *bus) {
        static const JobObserver observer = {.appeared = on_appeared, .changed = on_changed, .finished = on_finished, .vanished = on_vanished, .counted = on_counted, .reserve = on_reserve};

        return jobs_new(bus->event, &bus->engine->settings.jobs, &observer, bus);
}

/* --- waits --- */

typedef enum Form { FORM_WAIT, FORM_WAIT_FOR, FORM_PIPE } Form;

static void write_line(int fd, const Job *job) {
        g_autoptr(JsonBuilder) builder = json_builder_new();

        json_builder_begin_object(builder);
        add_string(builder, "job", job->path);
        add_string(builder, "state", job_state_to_string(job->state));
        add_string(builder, "error-name", job->error ? error_to_name(job->error) : "");
        add_string(builder, "error-message", job->error ? job->error->message : "");
        json_builder_set_member_name(builder, "result");
        json_builder_add_value(builder, json_gvariant_serialize(job->result));
        json_builder_end_object(builder);
        g_autoptr(JsonNode) root = json_builder_get_root(builder);
        g_autofree char *text = json_to_string(root, FALSE), *line = g_strconcat(text, "\n", NULL);
        /* Far below what an empty pipe takes; a reader that has gone is no concern. */
        (void) !write(fd, line, strlen(line));
}

static void reply(Call *call, Form form, Job *job) {
        if (form == FORM_WAIT_FOR)
                job_reply_wait_for(call, job_state_to_string(job->state), job->result);
        else if (job->error)
                call_reply_error(call, job->error);
        else
                job_reply_wait(call, job->result);
}

static void on_waited(Job *job, void *userdata) {
        Waiting *waiting = userdata;

        if (job && waiting->form == FORM_PIPE)
                write_line(waiting->fd, job);
        else if (job)
                reply(waiting->call, waiting->form, job);
        waiting_free(waiting);
}

static void cancel(void *wait) {
        job_wait_cancel(wait);
}

static Waiting *begin_waiting(Call *call, Job *job, Form form, guint64 timeout_usec, GError **error) {
        Waiting *waiting = waiting_new(call, form, cancel, error);

        if (!waiting)
                return NULL;
        waiting->wait = job_wait(job, timeout_usec, on_waited, waiting);
        if (form != FORM_PIPE)
                waiting_set_call(waiting, call);
        return waiting;
}

/* --- methods --- */

bool job_object_wait(Call *call, Job *job, GError **error) {
        if (!job_is_finished(job))
                return begin_waiting(call, job, FORM_WAIT, UINT64_MAX, error) != NULL;
        reply(call, FORM_WAIT, job);
        return true;
}

bool job_object_wait_for(Call *call, Job *job, guint64 timeout_usec, GError **error) {
        if (!job_is_finished(job) && timeout_usec > 0)
                return begin_waiting(call, job, FORM_WAIT_FOR, timeout_usec, error) != NULL;
        reply(call, FORM_WAIT_FOR, job);
        return true;
}

bool job_object_open_wait(Call *call, Job *job, GError **error) {
        autofd int reading = -1, writing = -1;

        if (!waiting_make_pipe(&reading, &writing, error))
                return false;
        if (job_is_finished(job))
                write_line(writing, job);
        else {
                Waiting *waiting = begin_waiting(call, job, FORM_PIPE, UINT64_MAX, error);
                if (!waiting)
                        return false;
                waiting_set_pipe(waiting, &writing);
        }
        job_reply_open_wait(call, reading);
        return true;
}

bool job_object_cancel(Call *call, Job *job, GError **error) {
        if (!job_cancel(job, error))
                return false;
        job_reply_cancel(call);
        return true;
}

bool job_object_release(Call *call, Job *job, GError **error) {
        job_reply_release(call);
        job_release(job);
        return true;
}
