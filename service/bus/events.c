/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The event log on the bus. A followed stream is a pipe with a bounded backlog here: a reader that does not keep up gets a last line `overrun` with the last number it was sent, and is closed; it can go on from there. */

#include "bus/events.h"
#include "bus/discreet.h"
#include "bus/peers.h"
#include "base/log.h"
#include <errno.h>
#include <fcntl.h>
#include <json-glib/json-glib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#define EVENTS_MAX 10000
#define BACKLOG_MAX (1 << 20)

typedef struct Stream {
        Bus *bus;
        int fd;
        sd_event_source *source;
        GString *backlog;
        char **types;
        guint64 last_seq;
        bool overrun;
        Actor *reader;
        User *user;
        bool whole; /* the reader may know everything */
} Stream;

struct Streams {
        GPtrArray *list; /* of Stream */
};

static const OptionKey query_keys[] = {{"until-usec", "t"}, {"types", "as"}, {NULL}};
static const OptionKey open_keys[] = {{"types", "as"}, {NULL}};

static GVariant *event_to_variant(const Event *event, const Call *call) {
        g_autoptr(GVariant) details = discreet(event->details, call->actor, call->whole);

        return g_variant_new("(ttssos@a{sv})", event->seq, event->usec, event->type, event->action, event->object, event->id, details);
}

static char *to_line(const Event *event, GVariant *details) {
        g_autoptr(JsonBuilder) builder = json_builder_new();

        json_builder_begin_object(builder);
        json_builder_set_member_name(builder, "seq");
        json_builder_add_int_value(builder, (gint64) event->seq);
        json_builder_set_member_name(builder, "usec");
        json_builder_add_int_value(builder, (gint64) event->usec);
        const char *const texts[][2] = {{"type", event->type}, {"action", event->action}, {"object", event->object}, {"id", event->id}};
        for (size_t i = 0; i < G_N_ELEMENTS(texts); i++) {
                json_builder_set_member_name(builder, texts[i][0]);
                json_builder_add_string_value(builder, texts[i][1]);
        }
        json_builder_set_member_name(builder, "details");
        json_builder_add_value(builder, json_gvariant_serialize(details));
        json_builder_end_object(builder);
        g_autoptr(JsonNode) root = json_builder_get_root(builder);
        return json_to_string(root, FALSE);
}

GVariant *events_query(Call *call, guint64 after, guint32 limit, GVariant *options, GError **error) {
        guint64 until = UINT64_MAX, next = after;
        g_autofree const char **types = NULL;
        bool gap = false;
        GVariantBuilder list;

        if (!options_check(options, query_keys, error))
                return NULL;
        (void) g_variant_lookup(options, "until-usec", "t", &until);
        (void) g_variant_lookup(options, "types", "^a&s", &types);
        g_autoptr(GPtrArray) events = store_list_events(registry_store(call->bus->registry), after, MIN(limit, EVENTS_MAX), until, types, &gap, error);
        if (!events)
                return NULL;
        g_variant_builder_init(&list, G_VARIANT_TYPE("a(ttssosa{sv})"));
        for (guint i = 0; i < events->len; i++) {
                g_variant_builder_add_value(&list, event_to_variant(events->pdata[i], call));
                next = ((Event *) events->pdata[i])->seq;
        }
        return g_variant_ref_sink(g_variant_new("(@a(ttssosa{sv})tb)", g_variant_builder_end(&list), next, (gboolean) gap));
}

static void stream_free(void *data) {
        Stream *stream = data;

        g_clear_pointer(&stream->source, sd_event_source_disable_unref);
        close_fd(stream->fd);
        g_string_free(stream->backlog, TRUE);
        g_strfreev(stream->types);
        stream->user->n_streams--;
        user_unref(stream->user);
        actor_unref(stream->reader);
        g_free(stream);
}

static void stream_close(Stream *stream) {
        Bus *bus = stream->bus;

        g_ptr_array_remove_fast(bus->streams->list, stream);
        if (bus->streams->list->len == 0)
                events_free(bus);
        bus_activity(bus);
}

void events_free(Bus *bus) {
        if (!bus->streams)
                return;
        g_ptr_array_unref(bus->streams->list);
        g_clear_pointer(&bus->streams, g_free);
}

/* False when the stream has been closed. */
static bool stream_flush(Stream *stream) {
        while (stream->backlog->len > 0) {
                ssize_t n = write(stream->fd, stream->backlog->str, stream->backlog->len);
                if (n < 0 && errno == EAGAIN)
                        break;
                if (n < 0) {
                        stream_close(stream);
                        return false;
                }
                g_string_erase(stream->backlog, 0, n);
        }
        if (stream->backlog->len == 0 && stream->overrun) {
                stream_close(stream);
                return false;
        }
        /* Without EPOLLOUT only the reader's going (EPOLLERR) wakes the loop. */
        (void) sd_event_source_set_io_events(stream->source, stream->backlog->len > 0 ? EPOLLOUT : 0);
        return true;
}

static int on_stream(sd_event_source *source, int fd, uint32_t revents, void *userdata) {
        Stream *stream = userdata;

        if (revents & EPOLLERR)
                stream_close(stream);
        else
                (void) stream_flush(stream);
        return 0;
}

static void stream_add(Stream *stream, const Event *event) {
        if (stream->overrun || (stream->types && stream->types[0] && !g_strv_contains((const char *const *) stream->types, event->type)))
                return;
        if (stream->backlog->len > BACKLOG_MAX) {
                stream->overrun = true;
                g_string_append_printf(stream->backlog, "{\"overrun\":true,\"seq\":%" G_GUINT64_FORMAT "}\n", stream->last_seq);
                return;
        }
        g_autoptr(GVariant) details = discreet(event->details, stream->reader, stream->whole);
        g_autofree char *line = to_line(event, details);
        g_string_append(stream->backlog, line);
        g_string_append_c(stream->backlog, '\n');
        stream->last_seq = event->seq;
}

void events_published(Bus *bus, const Event *event) {
        for (guint i = bus->streams ? bus->streams->list->len : 0; i > 0 && bus->streams; i--) {
                Stream *stream = bus->streams->list->pdata[i - 1];
                stream_add(stream, event);
                (void) stream_flush(stream);
        }
}

static Stream *stream_new(Call *call, int fd, guint64 after, GVariant *options) {
        Bus *bus = call->bus;
        Stream *stream = g_new0(Stream, 1);

        stream->bus = bus;
        stream->fd = fd;
        stream->backlog = g_string_new(NULL);
        stream->last_seq = after;
        stream->reader = actor_ref(call->actor);
        stream->whole = call->whole;
        stream->user = user_ref(peer_of(bus, call->message)->user);
        stream->user->n_streams++;
        (void) g_variant_lookup(options, "types", "^as", &stream->types);
        int r = sd_event_add_io(bus->event, &stream->source, stream->fd, 0, on_stream, stream);
        g_assert(r >= 0);
        if (!bus->streams) {
                bus->streams = g_new0(struct Streams, 1);
                bus->streams->list = g_ptr_array_new_with_free_func(stream_free);
        }
        g_ptr_array_add(bus->streams->list, stream);
        return stream;
}

int events_open(Call *call, guint64 after, GVariant *options, GError **error) {
        Bus *bus = call->bus;
        unsigned limit = bus->engine->settings.streams_per_user;
        int ends[2];
        bool gap = false;

        if (!options_check(options, open_keys, error))
                return -1;
        if (call->actor->uid != 0 && peer_of(bus, call->message)->user->n_streams >= limit) {
                error_set(error, CONBUS_ERROR_LIMITS_EXCEEDED, "%s: user %u has %u streams of events open already", call->member, call->actor->uid, limit);
                return -1;
        }
        g_autoptr(GPtrArray) events = store_list_events(registry_store(bus->registry), after, EVENTS_MAX, UINT64_MAX, NULL, &gap, error);
        if (!events)
                return -1;
        if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0) {
                error_errno(error, errno, "make a pipe for events");
                return -1;
        }
        Stream *stream = stream_new(call, ends[1], after, options);
        if (gap)
                g_string_append_printf(stream->backlog, "{\"gap\":true,\"after\":%" G_GUINT64_FORMAT "}\n", after);
        for (guint i = 0; i < events->len; i++)
                stream_add(stream, events->pdata[i]);
        (void) stream_flush(stream);
        /* The reader's end may block: that is its own affair. */
        (void) fcntl(ends[0], F_SETFL, 0);
        return ends[0];
}
