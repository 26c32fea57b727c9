/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Deferred answers to waits. One WaitCall stands for one method call: it has one wait (Wait, WaitFor, OpenWait) or several of which the first to be met answers (WaitAny); it counts once against the caller's limit. */

#include "bus/wait-calls.h"
#include "bus/peers.h"
#include "container-interface.h"
#include "manager-interface.h"
#include <errno.h>
#include <fcntl.h>
#include <json-glib/json-glib.h>
#include <string.h>
#include <sys/epoll.h>

typedef enum Form { FORM_WAIT, FORM_WAIT_FOR, FORM_WAIT_ANY, FORM_PIPE } Form;

typedef struct WaitCall {
        Bus *bus;
        Call *call; /* NULL for a pipe */
        char *slot; /* its place among the caller's waits */
        Form form;
        int fd; /* writing end of a pipe */
        sd_event_source *closed; /* the reader of the pipe has gone */
        GPtrArray *entries; /* of Entry */
} WaitCall;

typedef struct Entry {
        WaitCall *owner;
        guint32 index;
        Wait *wait; /* NULL once it has answered */
} Entry;

static const OptionKey keys[] = {{"run", "t"}, {"after-run", "t"}, {"final", "b"}, {"timeout-usec", "t"}, {"interval-usec", "t"}, {NULL}};
static const OptionKey any_keys[] = {{"timeout-usec", "t"}, {"final", "b"}, {"interval-usec", "t"}, {NULL}};

char *wait_slot_take(Call *call, GError **error) {
        Peer *peer = peer_find(call->bus, sd_bus_message_get_sender(call->message));
        unsigned limit = call->bus->engine->settings.waits_per_caller;

        if (!peer || peer->n_waits >= limit) {
                error_set(error, CONBUS_ERROR_LIMITS_EXCEEDED, "%s: this client has %u waits open already; Manager.WaitAny waits for many containers in one", call->member, limit);
                return NULL;
        }
        peer->n_waits++;
        call->bus->n_waits++;
        return g_strdup(peer->name);
}

void wait_slot_give_back(Bus *bus, char *slot) {
        Peer *peer = peer_find(bus, slot);

        if (peer)
                peer->n_waits--;
        bus->n_waits--;
        g_free(slot);
        bus_activity(bus);
}

static void wait_call_free(WaitCall *wait_call) {
        for (guint i = 0; i < wait_call->entries->len; i++) {
                Entry *entry = wait_call->entries->pdata[i];
                if (entry->wait)
                        wait_cancel(entry->wait);
        }
        g_ptr_array_unref(wait_call->entries);
        g_clear_pointer(&wait_call->closed, sd_event_source_disable_unref);
        close_fd(wait_call->fd);
        call_unref(wait_call->call);
        wait_slot_give_back(wait_call->bus, wait_call->slot);
        g_free(wait_call);
}

static void on_caller_left(Call *call, void *userdata) {
        wait_call_free(userdata);
}

static void write_line(int fd, const WaitAnswer *answer) {
        g_autoptr(JsonBuilder) builder = json_builder_new();

        json_builder_begin_object(builder);
        json_builder_set_member_name(builder, "condition");
        json_builder_add_string_value(builder, answer->condition);
        json_builder_set_member_name(builder, "container");
        json_builder_add_string_value(builder, answer->container);
        json_builder_set_member_name(builder, "run");
        json_builder_add_int_value(builder, (gint64) answer->run);
        json_builder_set_member_name(builder, "exit-code");
        json_builder_add_int_value(builder, answer->exit_code);
        json_builder_set_member_name(builder, "signal");
        json_builder_add_int_value(builder, answer->exit_signal);
        json_builder_set_member_name(builder, "result");
        json_builder_add_string_value(builder, result_to_string(answer->result));
        json_builder_set_member_name(builder, "record");
        json_builder_add_value(builder, json_gvariant_serialize(answer->details));
        json_builder_end_object(builder);
        g_autoptr(JsonNode) root = json_builder_get_root(builder);
        g_autofree char *text = json_to_string(root, FALSE), *line = g_strconcat(text, "\n", NULL);
        /* Far below PIPE_BUF's room in an empty pipe; a reader that has gone is no concern. */
        (void) !write(fd, line, strlen(line));
}

static void reply_any(WaitCall *wait_call, const Entry *entry, const WaitAnswer *answer) {
        g_autofree char *path = g_strconcat("/io/conbus1/container/", answer->container, NULL);
        GVariantDict details;

        g_variant_dict_init(&details, answer->details);
        g_variant_dict_insert(&details, "exit-code", "i", answer->exit_code);
        g_variant_dict_insert(&details, "signal", "i", answer->exit_signal);
        g_variant_dict_insert(&details, "result", "s", result_to_string(answer->result));
        manager_reply_wait_any(wait_call->call, entry->index, path, answer->run, answer->condition, g_variant_dict_end(&details));
}

static void on_answer(const WaitAnswer *answer, const GError *error, void *userdata) {
        Entry *entry = userdata;
        WaitCall *wait_call = entry->owner;

        entry->wait = NULL;
        if (error && wait_call->call)
                call_reply_error(wait_call->call, error);
        else if (!error) {
                const char *result = result_to_string(answer->result);
                switch (wait_call->form) {
                case FORM_WAIT:
                        container_reply_wait(wait_call->call, answer->run, answer->exit_code, answer->exit_signal, result);
                        break;
                case FORM_WAIT_FOR:
                        container_reply_wait_for(wait_call->call, answer->condition, answer->run, answer->exit_code, answer->exit_signal, result, answer->details);
                        break;
                case FORM_WAIT_ANY:
                        reply_any(wait_call, entry, answer);
                        break;
                case FORM_PIPE:
                        write_line(wait_call->fd, answer);
                        break;
                }
        }
        wait_call_free(wait_call);
}

static WaitCall *wait_call_new(Call *call, Form form, GError **error) {
        char *slot = wait_slot_take(call, error);

        if (!slot)
                return NULL;
        WaitCall *wait_call = g_new0(WaitCall, 1);
        wait_call->bus = call->bus;
        wait_call->form = form;
        wait_call->fd = -1;
        wait_call->slot = slot;
        wait_call->entries = g_ptr_array_new_with_free_func(g_free);
        if (form != FORM_PIPE) {
                wait_call->call = call_ref(call);
                call->waits = true;
                call->caller_left = on_caller_left;
                call->userdata = wait_call;
        }
        return wait_call;
}

static void read_options(GVariant *variant, WaitOptions *options) {
        gboolean final = FALSE;

        options->timeout_usec = UINT64_MAX;
        options->has_run = g_variant_lookup(variant, "run", "t", &options->run);
        options->has_after_run = g_variant_lookup(variant, "after-run", "t", &options->after_run);
        (void) g_variant_lookup(variant, "timeout-usec", "t", &options->timeout_usec);
        (void) g_variant_lookup(variant, "final", "b", &final);
        options->final = final;
}

/* On failure the WaitCall is gone and the caller is to be told the error. */
static bool add_wait(WaitCall *wait_call, guint32 index, const char *id, const WaitOptions *options, GError **error) {
        Entry *entry = g_new0(Entry, 1);

        entry->owner = wait_call;
        entry->index = index;
        g_ptr_array_add(wait_call->entries, entry);
        entry->wait = wait_begin(wait_call->bus->engine->waits, id, options, on_answer, entry, error);
        if (entry->wait)
                return true;
        if (wait_call->call)
                wait_call->call->caller_left = NULL;
        wait_call_free(wait_call);
        return false;
}

static bool begin_one(Call *call, Form form, const char *id, const char *const *conditions, GVariant *variant, WaitCall **ret, GError **error) {
        WaitOptions options = {.conditions = conditions, .timeout_usec = UINT64_MAX};

        if (variant) {
                if (!options_check(variant, keys, error))
                        return false;
                read_options(variant, &options);
        }
        *ret = wait_call_new(call, form, error);
        return *ret && add_wait(*ret, 0, id, &options, error);
}

bool wait_calls_wait(Call *call, const char *id, GError **error) {
        static const char *const stopped[] = {"stopped", NULL};
        WaitCall *wait_call;

        return begin_one(call, FORM_WAIT, id, stopped, NULL, &wait_call, error);
}

bool wait_calls_wait_for(Call *call, const char *id, const char *const *conditions, GVariant *options, GError **error) {
        WaitCall *wait_call;

        if (!begin_one(call, FORM_WAIT_FOR, id, conditions, options, &wait_call, error))
                return false;
        call_arm_timeout(call, options);
        return true;
}

static char *id_of_path(const char *path) {
        static const char prefix[] = "/io/conbus1/container/";

        return g_str_has_prefix(path, prefix) ? g_strdup(path + strlen(prefix)) : NULL;
}

bool wait_calls_wait_any(Call *call, GVariant *containers, const char *const *conditions, GVariant *options, GError **error) {
        WaitOptions wait = {.conditions = conditions};
        GVariantIter iter;
        const char *path;
        guint32 index = 0;

        if (!options_check(options, any_keys, error))
                return false;
        if (g_variant_n_children(containers) == 0)
                return error_set(error, CONBUS_ERROR_INVALID_ARGS, "WaitAny: the list of containers is empty");
        WaitCall *wait_call = wait_call_new(call, FORM_WAIT_ANY, error);
        if (!wait_call)
                return false;
        g_variant_iter_init(&iter, containers);
        while (g_variant_iter_next(&iter, "(&ot)", &path, &wait.run)) {
                guint64 run = wait.run;
                g_autofree char *id = id_of_path(path);
                read_options(options, &wait);
                wait.run = run;
                wait.has_run = run != 0;
                if (!add_wait(wait_call, index++, id ? id : path, &wait, error))
                        return false;
        }
        return true;
}

static int on_closed(sd_event_source *source, int fd, uint32_t revents, void *userdata) {
        wait_call_free(userdata);
        return 0;
}

bool wait_calls_open_wait(Call *call, const char *id, const char *const *conditions, GVariant *options, GError **error) {
        int ends[2];
        WaitCall *wait_call;

        if (pipe2(ends, O_CLOEXEC) < 0)
                return error_errno(error, errno, "make a pipe for a wait");
        autofd int reading = ends[0];
        autofd int writing = ends[1];
        if (!begin_one(call, FORM_PIPE, id, conditions, options, &wait_call, error))
                return false;
        (void) fcntl(writing, F_SETFL, O_NONBLOCK);
        wait_call->fd = steal_fd(&writing);
        int r = sd_event_add_io(call->bus->event, &wait_call->closed, wait_call->fd, 0, on_closed, wait_call);
        g_assert(r >= 0);
        container_reply_open_wait(call, reading);
        return true;
}
