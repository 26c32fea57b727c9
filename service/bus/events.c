/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The event log on the bus. A stream is behind at first: it reads the log page by page, one in a turn of the loop and the next when the reader has taken it, so that neither a long log nor a slow reader costs more than a page. When it has caught up it follows: it is told of each event.
 * The pipe has a bounded backlog here: a reader that does not keep up with what it follows gets a last line `overrun` with the last number it was sent, and is closed; it can go on from there. */

#include "bus/events.h"
#include "bus/discreet.h"
#include "bus/peers.h"
#include "bus/json-members.h"
#include "base/clock.h"
#include "base/log.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#define EVENTS_MAX 10000
#define BACKLOG_MAX (1 << 20)
#define PAGE_EVENTS 256
#define PAGE_BYTES (64 << 10) /* a page ends here, too: details may be long */

typedef struct Stream {
        Bus *bus;
        int fd;
        sd_event_source *source, *feed, *until; /* feed: one more page, in a fresh turn of the loop; until: the time of its end */
        GString *backlog;
        char **types;
        guint64 last_seq; /* everything up to it has been sent, or was not wanted */
        guint64 until_usec; /* CLOCK_REALTIME; UINT64_MAX: it does not end */
        bool behind, ended; /* ended: closed when the backlog has been taken */
        Actor *reader;
        User *user;
        bool whole; /* the reader may know everything */
} Stream;

struct Streams {
        GPtrArray *list; /* of Stream */
};

static const OptionKey query_keys[] = {{"until-usec", "t"}, {"types", "as"}, {NULL}};

static int on_feed(sd_event_source *source, void *userdata);

static GVariant *event_to_variant(const Event *event, const Call *call) {
        g_autoptr(GVariant) details = discreet(event->details, call->actor, call->whole);

        return g_variant_new("(ttssos@a{sv})", event->seq, event->usec, event->type, event->action, event->object, event->id, details);
}

static char *to_line(const Event *event, GVariant *details) {
        g_autoptr(JsonBuilder) builder = json_builder_new();

        json_builder_begin_object(builder);
        add_int(builder, "seq", event->seq);
        add_int(builder, "usec", event->usec);
        const char *const texts[][2] = {{"type", event->type}, {"action", event->action}, {"object", event->object}, {"id", event->id}};
        for (size_t i = 0; i < G_N_ELEMENTS(texts); i++)
                add_string(builder, texts[i][0], texts[i][1]);
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
        g_autoptr(GPtrArray) events = store_list_events(registry_store(call->bus->registry), after, limit == 0 ? EVENTS_MAX : MIN(limit, EVENTS_MAX), until, types, &gap, error);
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
        g_clear_pointer(&stream->feed, sd_event_source_disable_unref);
        g_clear_pointer(&stream->until, sd_event_source_disable_unref);
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

/* A new source each time: one that is enabled again is as old as when it was made, and sd-event serves the oldest first, so that nothing else would come to its turn before the end of the log. */
static void feed_later(Stream *stream) {
        if (stream->feed)
                return;
        int r = sd_event_add_defer(stream->bus->event, &stream->feed, on_feed, stream);
        g_assert(r >= 0);
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
        if (stream->backlog->len == 0 && stream->ended) {
                stream_close(stream);
                return false;
        }
        /* Without EPOLLOUT only the reader's going (EPOLLERR) wakes the loop. */
        (void) sd_event_source_set_io_events(stream->source, stream->backlog->len > 0 ? EPOLLOUT : 0);
        if (stream->behind && stream->backlog->len == 0)
                feed_later(stream);
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

static bool wants(const Stream *stream, const Event *event) {
        return !stream->types || !stream->types[0] || g_strv_contains((const char *const *) stream->types, event->type);
}

static void stream_add(Stream *stream, const Event *event) {
        if (stream->ended || event->seq <= stream->last_seq)
                return;
        if (event->usec > stream->until_usec) {
                stream->ended = true;
                return;
        }
        if (!wants(stream, event)) {
                stream->last_seq = event->seq;
                return;
        }
        if (stream->backlog->len > BACKLOG_MAX) {
                stream->ended = true;
                g_string_append_printf(stream->backlog, "{\"overrun\":true,\"seq\":%" G_GUINT64_FORMAT "}\n", stream->last_seq);
                return;
        }
        g_autoptr(GVariant) details = discreet(event->details, stream->reader, stream->whole);
        g_autofree char *line = to_line(event, details);
        g_string_append(stream->backlog, line);
        g_string_append_c(stream->backlog, '\n');
        stream->last_seq = event->seq;
}

static void end_if_over(Stream *stream) {
        stream->ended |= !stream->behind && clock_realtime_usec() >= stream->until_usec;
}

/* The next page of the log. */
static bool read_page(Stream *stream, GError **error) {
        bool gap = false;
        g_autoptr(GPtrArray) events = store_list_events(registry_store(stream->bus->registry), stream->last_seq, PAGE_EVENTS, UINT64_MAX, NULL, &gap, error);

        if (!events)
                return false;
        if (gap)
                g_string_append_printf(stream->backlog, "{\"gap\":true,\"after\":%" G_GUINT64_FORMAT "}\n", stream->last_seq);
        stream->behind = events->len == PAGE_EVENTS;
        for (guint i = 0; i < events->len; i++) {
                if (stream->backlog->len > PAGE_BYTES) {
                        stream->behind = true;
                        break;
                }
                stream_add(stream, events->pdata[i]);
        }
        end_if_over(stream);
        return true;
}

static int on_feed(sd_event_source *source, void *userdata) {
        Stream *stream = userdata;
        g_autoptr(GError) error = NULL;

        g_clear_pointer(&stream->feed, sd_event_source_disable_unref);
        if (read_page(stream, &error)) {
                (void) stream_flush(stream);
                return 0;
        }
        log_error("a stream of events ends: %s", error->message);
        stream_close(stream);
        return 0;
}

static int on_until(sd_event_source *source, guint64 usec, void *userdata) {
        Stream *stream = userdata;

        g_clear_pointer(&stream->until, sd_event_source_disable_unref);
        end_if_over(stream);
        (void) stream_flush(stream);
        return 0;
}

void events_published(Bus *bus, const Event *event) {
        for (guint i = bus->streams ? bus->streams->list->len : 0; i > 0 && bus->streams; i--) {
                Stream *stream = bus->streams->list->pdata[i - 1];
                if (stream->behind) /* it comes to it */
                        continue;
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
        stream->last_seq = MIN(after, store_get_event_seq(registry_store(bus->registry))); /* a number of another log is no reason to be silent */
        stream->until_usec = UINT64_MAX;
        (void) g_variant_lookup(options, "until-usec", "t", &stream->until_usec);
        stream->reader = actor_ref(call->actor);
        stream->whole = call->whole;
        stream->user = user_ref(peer_of(bus, call->message)->user);
        stream->user->n_streams++;
        (void) g_variant_lookup(options, "types", "^as", &stream->types);
        int r = sd_event_add_io(bus->event, &stream->source, stream->fd, 0, on_stream, stream);
        if (r >= 0 && stream->until_usec != UINT64_MAX)
                r = sd_event_add_time(bus->event, &stream->until, CLOCK_REALTIME, stream->until_usec, 1000, on_until, stream);
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

        if (!options_check(options, query_keys, error))
                return -1;
        if (call->actor->uid != 0 && peer_of(bus, call->message)->user->n_streams >= limit) {
                error_set(error, CONBUS_ERROR_LIMITS_EXCEEDED, "%s: user %u has %u streams of events open already", call->member, call->actor->uid, limit);
                return -1;
        }
        if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0) {
                error_errno(error, errno, "make a pipe for events");
                return -1;
        }
        Stream *stream = stream_new(call, ends[1], after, options);
        autofd int reading = ends[0];
        if (!read_page(stream, error)) {
                stream_close(stream);
                return -1;
        }
        (void) stream_flush(stream);
        /* The reader's end may block: that is its own affair. */
        (void) fcntl(reading, F_SETFL, 0);
        return steal_fd(&reading);
}
