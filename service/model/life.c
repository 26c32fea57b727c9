/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Construction, copies and the wire form of lives, runs and events. */

#include "model/life.h"
#include <string.h>

void life_init(Life *life) {
        *life = (Life) {.state = STATE_CREATED, .exit_code = -1, .health_action = ""};
        life->status_text = g_strdup("");
        life->health = g_strdup("");
        life->cgroup = g_strdup("");
        life->managed_by = g_strdup("");
        life->error_name = g_strdup("");
        life->error_message = g_strdup("");
        life->boot_id = g_strdup("");
}

void life_copy(Life *to, const Life *from) {
        *to = *from;
        to->status_text = g_strdup(from->status_text);
        to->health = g_strdup(from->health);
        to->cgroup = g_strdup(from->cgroup);
        to->managed_by = g_strdup(from->managed_by);
        to->error_name = g_strdup(from->error_name);
        to->error_message = g_strdup(from->error_message);
        to->boot_id = g_strdup(from->boot_id);
}

void life_clear(Life *life) {
        g_clear_pointer(&life->status_text, g_free);
        g_clear_pointer(&life->health, g_free);
        g_clear_pointer(&life->cgroup, g_free);
        g_clear_pointer(&life->managed_by, g_free);
        g_clear_pointer(&life->error_name, g_free);
        g_clear_pointer(&life->error_message, g_free);
        g_clear_pointer(&life->boot_id, g_free);
}

void life_set_string(char **field, const char *value) {
        char *copy = g_strdup(value ? value : "");

        g_free(*field);
        *field = copy;
}

Run *run_new(const char *container, guint64 number) {
        Run *run = g_new0(Run, 1);

        run->container = g_strdup(container);
        run->number = number;
        run->exit_code = -1;
        run->health = g_strdup("");
        run->log_cursor = g_strdup("");
        run->name = g_strdup("");
        return run;
}

Run *run_copy(const Run *run) {
        Run *copy = g_memdup2(run, sizeof *run);

        copy->container = g_strdup(run->container);
        copy->health = g_strdup(run->health);
        copy->log_cursor = g_strdup(run->log_cursor);
        copy->name = g_strdup(run->name);
        copy->actor = run->actor ? g_variant_ref(run->actor) : NULL;
        return copy;
}

void run_free(Run *run) {
        if (!run)
                return;
        g_free(run->container);
        g_free(run->health);
        g_free(run->log_cursor);
        g_free(run->name);
        g_clear_pointer(&run->actor, g_variant_unref);
        g_free(run);
}

GVariant *run_to_variant(const Run *run) {
        GVariantDict dict;

        g_variant_dict_init(&dict, NULL);
        g_variant_dict_insert(&dict, "run", "t", run->number);
        g_variant_dict_insert_value(&dict, "invocation-id",
                                    g_variant_new_fixed_array(G_VARIANT_TYPE_BYTE, run->invocation, INVOCATION_SIZE, 1));
        g_variant_dict_insert(&dict, "pid", "u", (guint32) run->pid);
        g_variant_dict_insert(&dict, "start", "t", run->start_usec);
        g_variant_dict_insert(&dict, "finish", "t", run->finish_usec);
        g_variant_dict_insert(&dict, "exit-code", "i", run->exit_code);
        g_variant_dict_insert(&dict, "signal", "i", run->exit_signal);
        g_variant_dict_insert(&dict, "result", "s", result_to_string(run->result));
        g_variant_dict_insert(&dict, "reason", "s", reason_to_string(run->reason));
        g_variant_dict_insert(&dict, "oom-kills", "t", run->oom_kills);
        g_variant_dict_insert(&dict, "restarts", "u", run->restarts);
        g_variant_dict_insert(&dict, "health", "s", run->health);
        g_variant_dict_insert(&dict, "log-cursor", "s", run->log_cursor);
        g_variant_dict_insert_value(&dict, "actor",
                                    run->actor ? run->actor : g_variant_new("a{sv}", NULL));
        return g_variant_dict_end(&dict);
}

Event *event_new(const char *type, const char *action, const char *object, const char *id, GVariant *details) {
        Event *event = g_new0(Event, 1);

        event->type = g_strdup(type);
        event->action = g_strdup(action);
        event->object = g_strdup(object);
        event->id = g_strdup(id);
        event->details = g_variant_ref_sink(details ? details : g_variant_new("a{sv}", NULL));
        return event;
}

void event_free(Event *event) {
        if (!event)
                return;
        g_free(event->type);
        g_free(event->action);
        g_free(event->object);
        g_free(event->id);
        g_variant_unref(event->details);
        g_free(event);
}
