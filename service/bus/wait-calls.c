/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Deferred answers to waits. One WaitCall stands for one method call: it has one wait (Wait, WaitFor, OpenWait) or several of which the first to be met answers (WaitAny); it counts once against the caller's limit. */

#include "bus/wait-calls.h"
#include "bus/discreet.h"
#include "bus/peers.h"
#include "bus/json-members.h"
#include "base/clock.h"
#include "base/fd-store.h"
#include "base/log.h"
#include "container-interface.h"
#include "manager-interface.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>

#define WAIT_ANY_MAX 4096 /* containers in one call */

typedef enum Form { FORM_WAIT, FORM_WAIT_FOR, FORM_WAIT_ANY, FORM_PIPE } Form;

typedef struct WaitCall {
        Bus *bus;
        Call *call; /* NULL for a pipe */
        WaitSlot *slot; /* its place among the caller's waits */
        Actor *reader;
        bool whole; /* the reader may know everything */
        Form form;
        int fd; /* writing end of a pipe */
        sd_event_source *closed; /* the reader of the pipe has gone */
        char *stored; /* name of the pipe in the descriptor store */
        GPtrArray *entries; /* of Entry */
} WaitCall;

typedef struct Entry {
        WaitCall *owner;
        guint32 index;
        Wait *wait; /* NULL once it has answered */
} Entry;

static const OptionKey keys[] = {{"run", "t"}, {"after-run", "t"}, {"final", "b"}, {"timeout-usec", "t"}, {"interval-usec", "t"}, {NULL}};
static const OptionKey any_keys[] = {{"timeout-usec", "t"}, {"final", "b"}, {"interval-usec", "t"}, {NULL}};

struct WaitSlot {
        char *peer; /* unique name */
        User *user;
};

WaitSlot *wait_slot_take(Call *call, GError **error) {
        Peer *peer = peer_find(call->bus, sd_bus_message_get_sender(call->message));
        unsigned limit = call->bus->engine->settings.waits_per_caller;

        /* Pipes of waits outlive the connection that opened them: who is not root is counted as a user. */
        if (!peer || peer->n_waits >= limit || (peer->user->uid != 0 && peer->user->n_waits >= limit)) {
                error_set(error, CONBUS_ERROR_LIMITS_EXCEEDED, "%s: this client has %u waits open already; Manager.WaitAny waits for many containers in one", call->member, limit);
                return NULL;
        }
        WaitSlot *slot = g_new0(WaitSlot, 1);
        slot->peer = g_strdup(peer->name);
        slot->user = user_ref(peer->user);
        slot->user->n_waits++;
        peer->n_waits++;
        call->bus->n_waits++;
        return slot;
}

void wait_slot_give_back(Bus *bus, WaitSlot *slot) {
        Peer *peer = slot ? peer_find(bus, slot->peer) : NULL;

        if (peer)
                peer->n_waits--;
        if (slot) {
                slot->user->n_waits--;
                user_unref(slot->user);
                g_free(slot->peer);
                g_free(slot);
        }
        bus->n_waits--;
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
        if (wait_call->stored)
                fd_store_remove(wait_call->stored);
        g_free(wait_call->stored);
        close_fd(wait_call->fd);
        call_unref(wait_call->call);
        actor_unref(wait_call->reader);
        wait_slot_give_back(wait_call->bus, wait_call->slot);
        g_free(wait_call);
}

static void on_caller_left(Call *call, void *userdata) {
        wait_call_free(userdata);
}

static void write_line(int fd, const WaitAnswer *answer) {
        g_autoptr(JsonBuilder) builder = json_builder_new();

        json_builder_begin_object(builder);
        add_string(builder, "condition", answer->condition);
        add_string(builder, "container", answer->container);
        add_int(builder, "run", answer->run);
        add_int(builder, "exit-code", answer->exit_code);
        add_int(builder, "signal", answer->exit_signal);
        add_string(builder, "result", result_to_string(answer->result));
        json_builder_set_member_name(builder, "record");
        json_builder_add_value(builder, json_gvariant_serialize(answer->details));
        json_builder_end_object(builder);
        g_autoptr(JsonNode) root = json_builder_get_root(builder);
        g_autofree char *text = json_to_string(root, FALSE), *line = g_strconcat(text, "\n", NULL);
        /* Far below PIPE_BUF's room in an empty pipe; a reader that has gone is no concern. */
        (void) !write(fd, line, strlen(line));
}

static void reply_any(const WaitCall *wait_call, const Entry *entry, const WaitAnswer *answer) {
        g_autofree char *path = g_strconcat("/io/conbus1/container/", answer->container, NULL);
        GVariantDict details;

        if (g_str_equal(answer->condition, "timeout")) { /* of all of them */
                manager_reply_wait_any(wait_call->call, 0, "/", 0, answer->condition, g_variant_new("a{sv}", NULL));
                return;
        }
        g_variant_dict_init(&details, answer->details);
        g_variant_dict_insert(&details, "exit-code", "i", answer->exit_code);
        g_variant_dict_insert(&details, "signal", "i", answer->exit_signal);
        g_variant_dict_insert(&details, "result", "s", result_to_string(answer->result));
        manager_reply_wait_any(wait_call->call, entry->index, path, answer->run, answer->condition, g_variant_dict_end(&details));
}

static void tell(const WaitCall *wait_call, const Entry *entry, const WaitAnswer *met) {
        g_autoptr(GVariant) details = discreet(met->details, wait_call->reader, wait_call->whole);
        const char *result = result_to_string(met->result);
        WaitAnswer answer = *met;

        answer.details = details;
        switch (wait_call->form) {
        case FORM_WAIT:
                container_reply_wait(wait_call->call, answer.run, answer.exit_code, answer.exit_signal, result);
                break;
        case FORM_WAIT_FOR:
                container_reply_wait_for(wait_call->call, answer.condition, answer.run, answer.exit_code, answer.exit_signal, result, details);
                break;
        case FORM_WAIT_ANY:
                reply_any(wait_call, entry, &answer);
                break;
        case FORM_PIPE:
                write_line(wait_call->fd, &answer);
                break;
        }
}

static void on_answer(const WaitAnswer *answer, const GError *error, void *userdata) {
        Entry *entry = userdata;
        WaitCall *wait_call = entry->owner;

        entry->wait = NULL;
        if (error && wait_call->call)
                call_reply_error(wait_call->call, error);
        else if (!error)
                tell(wait_call, entry, answer);
        wait_call_free(wait_call);
}

static WaitCall *wait_call_alloc(Bus *bus, Form form, WaitSlot *slot) {
        WaitCall *wait_call = g_new0(WaitCall, 1);

        wait_call->bus = bus;
        wait_call->form = form;
        wait_call->fd = -1;
        wait_call->slot = slot;
        wait_call->entries = g_ptr_array_new_with_free_func(g_free);
        return wait_call;
}

static WaitCall *wait_call_new(Call *call, Form form, GError **error) {
        WaitSlot *slot = wait_slot_take(call, error);

        if (!slot)
                return NULL;
        WaitCall *wait_call = wait_call_alloc(call->bus, form, slot);
        wait_call->reader = actor_ref(call->actor);
        wait_call->whole = call->whole;
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

/* That of the container with this path or alias, or what the path of one that was removed says. */
static const char *id_of_path(Call *call, const char *path) {
        static const char prefix[] = "/io/conbus1/container/";
        Container *container = bus_find_container(call->bus, call->peer, path);

        return container ? container->id : g_str_has_prefix(path, prefix) ? path + strlen(prefix) : path;
}

bool wait_calls_wait_any(Call *call, GVariant *containers, const char *const *conditions, GVariant *options, GError **error) {
        WaitOptions wait = {.conditions = conditions};
        GVariantIter iter;
        const char *path;
        guint32 index = 0;

        if (!options_check(options, any_keys, error))
                return false;
        if (g_variant_n_children(containers) == 0 || g_variant_n_children(containers) > WAIT_ANY_MAX)
                return error_set(error, CONBUS_ERROR_INVALID_ARGS, "WaitAny: the list has %zu containers; it takes 1 to %d", g_variant_n_children(containers), WAIT_ANY_MAX);
        WaitCall *wait_call = wait_call_new(call, FORM_WAIT_ANY, error);
        if (!wait_call)
                return false;
        g_variant_iter_init(&iter, containers);
        while (g_variant_iter_next(&iter, "(&ot)", &path, &wait.run)) {
                guint64 run = wait.run;
                read_options(options, &wait);
                wait.run = run;
                wait.has_run = run != 0;
                if (!add_wait(wait_call, index++, id_of_path(call, path), &wait, error))
                        return false;
        }
        call_arm_timeout(call, options);
        return true;
}

static int on_closed(sd_event_source *source, int fd, uint32_t revents, void *userdata) {
        wait_call_free(userdata);
        return 0;
}

static void watch_pipe(WaitCall *wait_call, int fd) {
        (void) fcntl(fd, F_SETFL, O_NONBLOCK);
        wait_call->fd = fd;
        int r = sd_event_add_io(wait_call->bus->event, &wait_call->closed, fd, 0, on_closed, wait_call);
        g_assert(r >= 0);
}

/* --- pipes in the descriptor store ---
 *
 * The name says all there is to the wait: wait-NUMBER-ID-BOUND-RUN-AFTER-FINAL-DEADLINE-CONDITIONS, absent numbers as x, conditions as one hexadecimal digit each. */

static const char *condition_of(unsigned digit) {
        static const char *const others[] = {"ready", "healthy", "unhealthy", "removed"};

        return digit < N_STATES ? state_to_string((State) digit) : digit - N_STATES < G_N_ELEMENTS(others) ? others[digit - N_STATES] : NULL;
}

static void append_number(GString *name, bool given, guint64 number) {
        if (given)
                g_string_append_printf(name, "-%" G_GUINT64_FORMAT, number);
        else
                g_string_append(name, "-x");
}

static char *pipe_name(const WaitCall *wait_call, const char *id, const WaitOptions *options) {
        const Entry *entry = wait_call->entries->pdata[0];
        GString *name = g_string_new(NULL);

        g_string_append_printf(name, "wait-%08x-%s", g_random_int(), id);
        append_number(name, true, wait_run(entry->wait));
        append_number(name, options->has_run, options->run);
        append_number(name, options->has_after_run, options->after_run);
        append_number(name, options->final, 1);
        append_number(name, options->timeout_usec != UINT64_MAX, clock_boottime_in(options->timeout_usec));
        g_string_append_c(name, '-');
        for (const char *const *condition = options->conditions; *condition; condition++)
                for (unsigned digit = 0; condition_of(digit); digit++)
                        if (g_str_equal(*condition, condition_of(digit)) && name->len < 250)
                                g_string_append_printf(name, "%x", digit);
        return g_string_free(name, FALSE);
}

static guint64 read_number(const char *word, bool *ret_given) {
        *ret_given = !g_str_equal(word, "x");
        return *ret_given ? g_ascii_strtoull(word, NULL, 10) : 0;
}

static void restore(Bus *bus, const char *name) {
        g_auto(GStrv) words = g_strsplit(name, "-", -1);
        g_autoptr(GPtrArray) conditions = g_ptr_array_new();
        g_autoptr(GError) error = NULL;
        autofd int fd = fd_store_take(name);
        WaitOptions options = {.timeout_usec = UINT64_MAX};
        bool ends;

        if (g_strv_length(words) != 9)
                return;
        options.bound = read_number(words[3], &ends);
        options.run = read_number(words[4], &options.has_run);
        options.after_run = read_number(words[5], &options.has_after_run);
        (void) read_number(words[6], &options.final);
        guint64 deadline = read_number(words[7], &ends), now = clock_boottime_usec();
        if (ends)
                options.timeout_usec = deadline > now ? deadline - now : 1;
        for (const char *digit = words[8]; *digit; digit++)
                g_ptr_array_add(conditions, (void *) condition_of((unsigned) g_ascii_xdigit_value(*digit)));
        g_ptr_array_add(conditions, NULL);
        options.conditions = (const char *const *) conditions->pdata;
        bus->n_waits++;
        WaitCall *wait_call = wait_call_alloc(bus, FORM_PIPE, NULL); /* its caller is not known any more */
        wait_call->stored = g_strdup(name);
        watch_pipe(wait_call, steal_fd(&fd));
        if (!add_wait(wait_call, 0, words[2], &options, &error))
                log_notice("a wait that came back is let go: %s", error->message);
}

void wait_calls_restore(Bus *bus) {
        g_auto(GStrv) names = fd_store_list("wait-");

        for (char **name = names; *name; name++)
                restore(bus, *name);
}

bool wait_calls_open_wait(Call *call, const char *id, const char *const *conditions, GVariant *options, GError **error) {
        WaitOptions wait = {.conditions = conditions};
        int ends[2];
        WaitCall *wait_call;

        if (pipe2(ends, O_CLOEXEC) < 0)
                return error_errno(error, errno, "make a pipe for a wait");
        autofd int reading = ends[0];
        autofd int writing = ends[1];
        if (!begin_one(call, FORM_PIPE, id, conditions, options, &wait_call, error))
                return false;
        watch_pipe(wait_call, steal_fd(&writing));
        read_options(options, &wait);
        wait_call->stored = pipe_name(wait_call, id, &wait);
        fd_store_push(wait_call->stored, wait_call->fd, FD_STORE_DROP_AT_HANGUP);
        container_reply_open_wait(call, reading);
        return true;
}
