/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Each commit is looked at once it is stored: its events, the end of its run, and what its life says of readiness and restarts become messages. introspection/messages.txt is the list of them and of their fields. */

#include "operation/messages.h"
#include "operation/internal.h"
#include "base/clock.h"
#include "base/log.h"
#include "conbus-messages.h"
#include "runtime/cgroup.h"
#include <stdio.h>
#include <string.h>

typedef struct Message {
        const Change *change;
        Engine *engine;
        const Event *event; /* that it is about, or NULL */
        JournalEntry *entry;
} Message;

static void add_invocation(JournalEntry *entry, const Life *life) {
        char text[2 * INVOCATION_SIZE + 1];

        for (size_t i = 0; i < INVOCATION_SIZE; i++)
                snprintf(text + 2 * i, 3, "%02x", life->invocation[i]);
        journal_entry_add(entry, "CONBUS_INVOCATION_ID", text);
}

static void add_actor(const Message *message) {
        g_autoptr(GVariant) actor = message->event ? g_variant_lookup_value(message->event->details, "actor", G_VARIANT_TYPE_VARDICT) : NULL;
        const char *unit = "";
        guint32 uid = 0;

        if (!actor || !g_variant_lookup(actor, "uid", "u", &uid))
                return;
        journal_entry_add_number(message->entry, "CONBUS_ACTOR_UID", uid);
        if (g_variant_lookup(actor, "unit", "&s", &unit) && *unit)
                journal_entry_add(message->entry, "CONBUS_ACTOR_UNIT", unit);
}

/* Fields that every message has. */
static void identify(const Message *message) {
        Container *container = message->change->container;
        const Life *life = message->change->now;
        const Operation *operation = g_queue_peek_head(&container->operations);

        journal_entry_add(message->entry, "CONBUS_CONTAINER_ID", container->id);
        journal_entry_add(message->entry, "CONBUS_CONTAINER_NAME", container->name);
        if (life->run > 0) {
                journal_entry_add_number(message->entry, "CONBUS_RUN", (gint64) life->run);
                add_invocation(message->entry, life);
        }
        if (operation && operation->job)
                journal_entry_add(message->entry, "CONBUS_JOB", operation->job);
        if (message->engine->units) {
                g_autofree char *scope = cgroup_scope_of(container->id);
                journal_entry_add(message->entry, "OBJECT_SYSTEMD_UNIT", scope);
        }
        add_actor(message);
}

static bool begin(Message *message, const Change *change, Engine *engine, const Event *event, ConbusMessage kind) {
        if (!log_takes(conbus_messages[kind].priority))
                return false;
        *message = (Message) {.change = change, .engine = engine, .event = event, .entry = journal_entry_new()};
        journal_entry_add(message->entry, "MESSAGE_ID", conbus_messages[kind].id);
        identify(message);
        return true;
}

static void G_GNUC_PRINTF(3, 4) finish(Message *message, ConbusMessage kind, const char *format, ...) {
        g_autoptr(JournalEntry) entry = g_steal_pointer(&message->entry);
        va_list arguments;

        va_start(arguments, format);
        g_autofree char *what = g_strdup_vprintf(format, arguments);
        va_end(arguments);
        g_autofree char *line = g_strdup_printf("%s %s", container_title(message->change->container), what);
        log_entry(conbus_messages[kind].priority, entry, line);
}

/* A message that says what its kind says, and no more. */
static void say(const Change *change, Engine *engine, const Event *event, ConbusMessage kind, const char *what) {
        Message message;

        if (begin(&message, change, engine, event, kind))
                finish(&message, kind, "%s", what);
}

/* --- ends of runs --- */

static ConbusMessage kind_of_end(const Change *change) {
        const Run *run = change->run_finished;

        switch (run->result) {
        case RESULT_START_FAILED:
                return CONBUS_MESSAGE_START_FAILED;
        case RESULT_OOM_KILL:
                return CONBUS_MESSAGE_OUT_OF_MEMORY;
        case RESULT_LOST:
                return CONBUS_MESSAGE_LOST;
        default:
                return change->old->state == STATE_STOPPING || change->now->stopped_by_user || run->result == RESULT_NEVER_RAN ? CONBUS_MESSAGE_STOPPED : run->exit_code == 0 ? CONBUS_MESSAGE_ENDED : CONBUS_MESSAGE_FAILED;
        }
}

static const char *words_of_end(ConbusMessage kind) {
        return kind == CONBUS_MESSAGE_OUT_OF_MEMORY ? "was out of memory" : kind == CONBUS_MESSAGE_STOPPED ? "has been stopped" : kind == CONBUS_MESSAGE_ENDED ? "has ended" : "has failed";
}

static void tell_failed_start(Message *message, const Run *run) {
        Container *container = message->change->container;
        const Operation *operation = g_queue_peek_head(&container->operations);
        const char *why = operation && operation->error ? operation->error->message : "its launch did not come to its end";

        if (operation && operation->error)
                journal_entry_add(message->entry, "CONBUS_ERROR", error_to_name(operation->error));
        journal_entry_add(message->entry, "CONBUS_ERROR_MESSAGE", why);
        finish(message, CONBUS_MESSAGE_START_FAILED, "could not be started (run %" G_GUINT64_FORMAT "): %s", run->number, why);
}

static void tell_end(const Change *change, Engine *engine, const Event *event) {
        ConbusMessage kind = kind_of_end(change);
        const Run *run = change->run_finished;
        Message message;

        if (!begin(&message, change, engine, event, kind))
                return;
        journal_entry_add(message.entry, "CONBUS_RESULT", result_to_string(run->result));
        journal_entry_add_number(message.entry, "CONBUS_EXIT_CODE", run->exit_code);
        if (run->exit_signal > 0)
                journal_entry_add_number(message.entry, "CONBUS_EXIT_SIGNAL", run->exit_signal);
        if (kind == CONBUS_MESSAGE_START_FAILED)
                tell_failed_start(&message, run);
        else if (kind == CONBUS_MESSAGE_LOST)
                finish(&message, kind, "has ended, and nobody knows how (run %" G_GUINT64_FORMAT ")", run->number);
        else if (run->exit_signal > 0)
                finish(&message, kind, "%s (run %" G_GUINT64_FORMAT "): signal %d", words_of_end(kind), run->number, run->exit_signal);
        else
                finish(&message, kind, "%s (run %" G_GUINT64_FORMAT "): exit code %d", words_of_end(kind), run->number, run->exit_code);
}

/* --- events --- */

static void tell_started(const Change *change, Engine *engine, const Event *event) {
        Message message;

        if (!begin(&message, change, engine, event, CONBUS_MESSAGE_STARTED))
                return;
        journal_entry_add_number(message.entry, "CONBUS_PID", change->now->main.pid);
        finish(&message, CONBUS_MESSAGE_STARTED, "has been started (run %" G_GUINT64_FORMAT ", process %d)", change->now->run, (int) change->now->main.pid);
}

static void tell_renamed(const Change *change, Engine *engine, const Event *event) {
        const char *old = "";
        Message message;

        if (!begin(&message, change, engine, event, CONBUS_MESSAGE_RENAMED))
                return;
        (void) g_variant_lookup(event->details, "old-name", "&s", &old);
        journal_entry_add(message.entry, "CONBUS_OLD_NAME", old);
        finish(&message, CONBUS_MESSAGE_RENAMED, "was called \"%s\" before", old);
}

static void tell_signalled(const Change *change, Engine *engine, const Event *event) {
        gint32 number = 0;
        Message message;

        if (!begin(&message, change, engine, event, CONBUS_MESSAGE_SIGNALLED))
                return;
        (void) g_variant_lookup(event->details, "signal", "i", &number);
        journal_entry_add_number(message.entry, "CONBUS_SIGNAL", number);
        finish(&message, CONBUS_MESSAGE_SIGNALLED, "was sent signal %d", number);
}

static void tell_health(const Change *change, Engine *engine, const Event *event) {
        const char *status = change->now->health;
        ConbusMessage kind = g_str_equal(status, "healthy") ? CONBUS_MESSAGE_HEALTHY : CONBUS_MESSAGE_UNHEALTHY;
        Message message;

        /* `starting`, `suspended` and `stopped` follow from what else is told. */
        if ((kind == CONBUS_MESSAGE_UNHEALTHY && !g_str_equal(status, "unhealthy")) || !begin(&message, change, engine, event, kind))
                return;
        journal_entry_add(message.entry, "CONBUS_HEALTH", status);
        finish(&message, kind, "is %s", status);
}

static void tell_executed(const Change *change, Engine *engine, const Event *event) {
        guint64 session = 0;
        Message message;

        if (!begin(&message, change, engine, event, CONBUS_MESSAGE_EXECUTED))
                return;
        if (g_variant_lookup(event->details, "session", "t", &session))
                journal_entry_add_number(message.entry, "CONBUS_PROCESS", (gint64) session);
        finish(&message, CONBUS_MESSAGE_EXECUTED, "has a command executed in it");
}

static void tell_corrected(const Change *change, Engine *engine, const Event *event) {
        const char *state = state_to_string(change->now->state);
        Message message;

        if (!begin(&message, change, engine, event, CONBUS_MESSAGE_CORRECTED))
                return;
        journal_entry_add(message.entry, "CONBUS_STATE", state);
        finish(&message, CONBUS_MESSAGE_CORRECTED, "is %s by what its runtime says", state);
}

static void tell_plain(const Change *change, Engine *engine, const Event *event) {
        static const struct {
                const char *action;
                ConbusMessage kind;
                const char *what;
        } plain[] = {
                {"create", CONBUS_MESSAGE_CREATED, "has been created"},      {"stop", CONBUS_MESSAGE_STOPPING, "is being stopped"},
                {"pause", CONBUS_MESSAGE_PAUSED, "has been paused"},         {"resume", CONBUS_MESSAGE_RESUMED, "has been resumed"},
                {"update", CONBUS_MESSAGE_UPDATED, "has been configured anew"}, {"remove", CONBUS_MESSAGE_REMOVED, "has been removed"},
                {"supervision-lost", CONBUS_MESSAGE_SUPERVISION_LOST, "has lost its monitor"},
        };

        for (size_t i = 0; i < G_N_ELEMENTS(plain); i++)
                if (g_str_equal(event->action, plain[i].action))
                        say(change, engine, event, plain[i].kind, plain[i].what);
}

static void tell_event(const Change *change, Engine *engine, const Event *event) {
        static const struct {
                const char *action;
                void (*tell)(const Change *change, Engine *engine, const Event *event);
        } tellers[] = {
                {"start", tell_started}, {"rename", tell_renamed}, {"kill", tell_signalled}, {"health-status", tell_health}, {"exec", tell_executed}, {"sync", tell_corrected},
        };

        if (g_str_equal(event->action, "died") && change->run_finished) {
                tell_end(change, engine, event);
                return;
        }
        for (size_t i = 0; i < G_N_ELEMENTS(tellers); i++)
                if (g_str_equal(event->action, tellers[i].action)) {
                        tellers[i].tell(change, engine, event);
                        return;
                }
        tell_plain(change, engine, event);
}

/* --- lives --- */

static void tell_restart(const Change *change, Engine *engine) {
        const Life *now = change->now;
        guint64 present = clock_realtime_usec(), delay = now->next_restart_usec > present ? now->next_restart_usec - present : 0;
        Message message;

        if (!begin(&message, change, engine, NULL, CONBUS_MESSAGE_RESTART_PLANNED))
                return;
        journal_entry_add_number(message.entry, "CONBUS_RESTART_USEC", (gint64) delay);
        journal_entry_add_number(message.entry, "CONBUS_RESTART_COUNT", now->restart_count);
        finish(&message, CONBUS_MESSAGE_RESTART_PLANNED, "will be restarted in %.1f s (restarts so far: %u)", (double) delay / G_USEC_PER_SEC, now->restart_count);
}

static bool is_given_up(const Change *change) {
        const char *why;

        return change->now->state == STATE_EXITED && change->old->state != STATE_EXITED && change->now->next_restart_usec == 0 && !change->container->removed && !policy_should_restart(change->container, &why) && g_str_equal(why, "retries-exhausted");
}

void messages_follow(const Change *change, void *userdata) {
        const Life *old = change->old, *now = change->now;
        Engine *engine = userdata;

        for (guint i = 0; i < change->events->len; i++)
                tell_event(change, engine, change->events->pdata[i]);
        /* Where nothing else says so, a container is ready when it has been started. */
        if (now->ready && !old->ready && !g_str_equal(config_string(change->container->config, "notify", "started"), "started"))
                say(change, engine, NULL, CONBUS_MESSAGE_READY, "is ready");
        if (now->next_restart_usec != 0 && now->next_restart_usec != old->next_restart_usec)
                tell_restart(change, engine);
        else if (is_given_up(change))
                say(change, engine, NULL, CONBUS_MESSAGE_RESTARTS_EXHAUSTED, "has failed too often and will not be restarted again");
}

void messages_adopted(Engine *engine, Container *container) {
        const Change change = {.container = container, .old = &container->life, .now = &container->life};

        say(&change, engine, NULL, CONBUS_MESSAGE_ADOPTED, "has been running meanwhile");
}
