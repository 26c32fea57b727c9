/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A client's output comes from the ring, or from the log file by a reader of its own. One that is fed by the ring and falls behind goes on from the log where there is one and the ring is known to hold the run from its first byte: the log has the same bytes,
 * so counting what was sent finds the place. A client that takes nothing for a while although much waits is dropped; nobody ever waits for it. */

#include "stream/client.h"
#include "base/auto.h"
#include "base/clock.h"
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#define ROUNDS_AT_ONCE 32 /* then the others have their turn */
#define OUTPUT_MASK (STREAM_MASK(STREAM_STDOUT) | STREAM_MASK(STREAM_STDERR))

struct Client {
        ClientHost *host;
        guint64 id;
        GVariant *tag;
        unsigned streams;
        int fd, cancel_fd;
        sd_event_source *io, *cancel, *stall, *hold;
        bool follow;
        bool has_more; /* output that was not fetched although the socket would take it */
        bool has_last; /* all output has been fetched, and the last packet is on its way */

        Output output;
        Replay *log;
        guint64 position; /* in the ring: of the frame after those in output */
        guint64 places[OUTPUT_FRAMES]; /* in the ring: of those in output */
        guint64 before[STREAM_END]; /* bytes of each stream that had passed through the ring when the client came */

        DetachKeys detach_keys;
        GByteArray *input; /* accepted and not passed on */
        bool input_ended, input_finished, hung_up, ends_input, is_writer;
        bool input_lost; /* some of it was there when nothing took it any more */
        guint64 n_input;
};

void client_free(Client *client) {
        if (!client)
                return;
        g_clear_pointer(&client->io, sd_event_source_disable_unref);
        g_clear_pointer(&client->cancel, sd_event_source_disable_unref);
        g_clear_pointer(&client->stall, sd_event_source_disable_unref);
        g_clear_pointer(&client->hold, sd_event_source_disable_unref);
        g_clear_pointer(&client->log, replay_free);
        g_clear_pointer(&client->tag, g_variant_unref);
        g_byte_array_unref(client->input);
        output_clear(&client->output);
        close_fd(client->cancel_fd);
        close_fd(client->fd);
        g_free(client);
}

guint64 client_id(const Client *client) {
        return client->id;
}

GVariant *client_tag(const Client *client) {
        return client->tag;
}

guint64 client_bytes_in(const Client *client) {
        return client->n_input;
}

guint64 client_bytes_out(const Client *client) {
        return client->output.n_bytes[STREAM_STDOUT] + client->output.n_bytes[STREAM_STDERR];
}

static bool wants(const Client *client, guint8 stream) {
        return client->streams & STREAM_MASK(stream);
}

/* --- the end --- */

/* Best effort: what a client that has to go can still be told. */
static void send_farewell(Client *client, const ClientEnd *end) {
        const GError named = {.domain = CONBUS_ERROR, .code = (int) end->error};
        g_autofree char *text = NULL;
        guint8 stream = STREAM_END;

        output_detach(&client->output);
        if (client->output.framing == FRAMING_PACKETS)
                text = end->reason ? g_strdup_printf("{\"reason\":\"%s\"}", end->reason) : g_strdup_printf("{\"error\":\"%s\",\"message\":\"%s\"}", error_to_name(&named), end->message);
        else if (!end->reason) {
                text = g_strdup_printf("Error: %s\n", end->message);
                stream = STREAM_STDERR;
        }
        if (!text)
                return;
        client->output.frames[client->output.n++] = (Frame) {.stream = stream, .data = (const guint8 *) text, .size = strlen(text)};
        (void) output_flush(&client->output);
}

/* What the client has sent and nobody has read would reach it as an error in front of its last data. */
static void close_gently(Client *client) {
        char bytes[4096];

        (void) shutdown(client->fd, SHUT_RDWR);
        while (recv(client->fd, bytes, sizeof bytes, MSG_DONTWAIT | MSG_TRUNC) > 0)
                ;
        client->fd = close_fd(client->fd);
}

void client_end(Client *client, const ClientEnd *end) {
        bool is_there = !end->reason || !g_str_equal(end->reason, "client-closed");

        g_clear_pointer(&client->io, sd_event_source_disable_unref);
        if (client->host->writer == client)
                client->host->writer = NULL;
        if (is_there && !client->has_last)
                send_farewell(client, end);
        close_gently(client);
        client->host->ended(client, end, client->host->userdata);
}

/* Both are the last thing that is done with a client, and false for that reason. */
static bool end_for(Client *client, const char *reason) {
        const ClientEnd end = {.reason = reason};

        client_end(client, &end);
        return false;
}

static bool end_with(Client *client, ConbusError error, const char *message) {
        const ClientEnd end = {.error = error, .message = message};

        client_end(client, &end);
        return false;
}

/* --- output --- */

static void update_io(Client *client) {
        bool wants_room = client->has_more || output_waits(&client->output), wants_input = client->input->len == 0 && !client->input_ended;
        int r = sd_event_source_set_io_events(client->io, (wants_room ? EPOLLOUT : 0) | (wants_input ? EPOLLIN : 0));

        if (client->hung_up && wants_input) /* on_io has turned it off */
                r = sd_event_source_set_enabled(client->io, SD_EVENT_ON);
        g_assert(r >= 0);
}

static unsigned fetch_from_ring(Client *client) {
        Ring *ring = source_ring(client->host->source);
        unsigned n = 0;

        while (ring && n < OUTPUT_FRAMES && client->position < ring_head(ring)) {
                guint64 place = client->position;
                Frame frame = ring_frame(ring, place, &client->position);
                if (!wants(client, frame.stream))
                        continue;
                client->places[n] = place;
                client->output.frames[n++] = frame;
        }
        return n;
}

static unsigned fetch_from_log(Client *client) {
        Frame *frames = client->output.frames;
        unsigned n, kept = 0;

        /* A whole piece may hold nothing of the streams wanted. */
        while (kept == 0 && (n = replay_read(client->log, frames, OUTPUT_FRAMES)) > 0)
                for (unsigned i = 0; i < n; i++)
                        if (wants(client, frames[i].stream))
                                frames[kept++] = frames[i];
        return kept;
}

static bool fetch(Client *client) {
        if (client->has_last || !(client->streams & OUTPUT_MASK))
                return false;
        client->output.first = 0;
        client->output.n = client->log ? fetch_from_log(client) : fetch_from_ring(client);
        return client->output.n > 0;
}

static guint64 backlog(Client *client) {
        Ring *ring = source_ring(client->host->source);

        if (client->log)
                return replay_backlog(client->log, RING_SIZE);
        return ring ? ring_head(ring) - client->position : 0;
}

/* In the ring: of the first frame that it has not taken. */
static guint64 lowest_place(const Client *client) {
        return client->output.first < client->output.n ? client->places[client->output.first] : client->position;
}

static bool is_fed_by_ring(const Client *client) {
        return (client->streams & OUTPUT_MASK) && !client->log && !client->has_last;
}

/* Bytes of the ring that it has not taken. */
static guint64 lag(const Client *client) {
        Ring *ring = source_ring(client->host->source);

        return ring && is_fed_by_ring(client) ? ring_head(ring) - lowest_place(client) : 0;
}

bool client_lags(const Client *client) {
        return lag(client) > RING_SIZE / 2;
}

bool client_needs_ring(const Client *client) {
        return lag(client) > 0;
}

static bool is_too_slow(Client *client) {
        const ClientHost *host = client->host;

        return host->patient ? host->n_clients > 1 && client_lags(client) : backlog(client) > RING_SIZE;
}

static void arm_stall(Client *client);

static int on_stall(sd_event_source *source, guint64 usec, void *userdata) {
        Client *client = userdata;

        g_clear_pointer(&client->stall, sd_event_source_disable_unref);
        if (is_too_slow(client))
                (void) end_with(client, CONBUS_ERROR_CLIENT_TOO_SLOW, "the client has taken nothing for too long, and too much waits for it");
        else
                arm_stall(client);
        return 0;
}

static void arm_stall(Client *client) {
        if (client->stall)
                return;
        int r = sd_event_add_time(client->host->event, &client->stall, CLOCK_BOOTTIME, clock_boottime_in(client->host->stall_usec), 1000, on_stall, client);
        g_assert(r >= 0);
}

/* Everything has been fetched that will ever be. */
static bool is_complete(Client *client) {
        const ClientHost *host = client->host;

        if (client->follow && !host->run_ended)
                return false;
        if (client->log)
                return replay_settle(client->log);
        return !client->follow || !(client->streams & OUTPUT_MASK) || !source_ring(host->source) || source_has_ended(host->source);
}

static void put_last(Client *client) {
        const char *text = client->follow ? client->host->run_result : "{\"reason\":\"log-end\"}";

        client->has_last = true;
        if (client->output.framing != FRAMING_PACKETS)
                return;
        client->output.frames[0] = (Frame) {.stream = STREAM_END, .data = (const guint8 *) text, .size = strlen(text)};
        client->output.n = 1;
}

/* Nothing waits and there is nothing to fetch. True: all has been said and done, and the client is gone. */
static bool end_if_complete(Client *client) {
        if (client->has_last)
                return !(client->follow ? end_for(client, client->host->run_end.reason) : end_for(client, "log-end"));
        if (!is_complete(client))
                return false;
        if (client->follow && !client->host->run_end.reason) {
                client_end(client, &client->host->run_end);
                return true;
        }
        put_last(client);
        if (output_flush(&client->output) == OUTPUT_BLOCKED)
                return false;
        return end_if_complete(client);
}

/* It has gone and reads no more; what it has sent before that counts. */
static void stop_output(Client *client) {
        client->hung_up = true;
        client->streams &= ~OUTPUT_MASK;
        output_forget(&client->output);
        g_clear_pointer(&client->log, replay_free);
        g_clear_pointer(&client->stall, sd_event_source_disable_unref);
        client->host->progressed(client->host->userdata);
}

static bool peer_is_gone(Client *client) {
        struct pollfd poll_fd = {.fd = client->fd};

        return poll(&poll_fd, 1, 0) > 0 && (poll_fd.revents & (POLLHUP | POLLERR));
}

bool client_pump(Client *client) {
        guint64 before = client->output.n_calls_sent;
        OutputResult result;
        unsigned rounds = 0;

        do
                result = output_flush(&client->output);
        while (result == OUTPUT_SENT && ++rounds < ROUNDS_AT_ONCE && fetch(client));
        if (result == OUTPUT_CLOSED && !peer_is_gone(client))
                return end_for(client, "client-closed");
        if (result == OUTPUT_CLOSED) {
                stop_output(client);
                return client_pump_input(client);
        }
        client->has_more = result == OUTPUT_SENT && rounds == ROUNDS_AT_ONCE;
        if (result == OUTPUT_SENT && client->log && replay_has_gap(client->log))
                return end_with(client, CONBUS_ERROR_CLIENT_TOO_SLOW, "the log was rotated away before the client had read it");
        if (result == OUTPUT_SENT && !client->has_more && end_if_complete(client))
                return false;
        if (client->output.n_calls_sent != before || !output_waits(&client->output))
                g_clear_pointer(&client->stall, sd_event_source_disable_unref);
        if (output_waits(&client->output))
                arm_stall(client);
        update_io(client);
        client->host->progressed(client->host->userdata);
        return true;
}

/* From the ring to the log, at the byte where it is. */
static bool go_on_from_log(Client *client) {
        const ClientHost *host = client->host;

        if (!host->marks)
                return false;
        output_detach(&client->output);
        LogReader *reader = log_marks_open(host->marks, client->before[STREAM_STDOUT] + client->output.n_bytes[STREAM_STDOUT], client->before[STREAM_STDERR] + client->output.n_bytes[STREAM_STDERR]);
        client->log = reader ? replay_of_files(reader) : NULL;
        return client->log != NULL;
}

void client_notice_files(Client *client) {
        if (client->log)
                replay_notice_files(client->log);
}

void client_lose_before(Client *client, guint64 tail) {
        if (!is_fed_by_ring(client) || lowest_place(client) >= tail || go_on_from_log(client))
                return;
        (void) end_with(client, CONBUS_ERROR_CLIENT_TOO_SLOW, "the client has not read its streams in time");
}

/* --- input --- */

static int on_hold(sd_event_source *source, guint64 usec, void *userdata) {
        Client *client = userdata;

        g_clear_pointer(&client->hold, sd_event_source_disable_unref);
        detach_keys_flush(&client->detach_keys, client->input);
        (void) client_pump_input(client);
        return 0;
}

/* A beginning of the detach keys is held for a time that starts anew with each byte. */
static void arm_hold(Client *client) {
        g_clear_pointer(&client->hold, sd_event_source_disable_unref);
        if (client->detach_keys.held == 0)
                return;
        int r = sd_event_add_time(client->host->event, &client->hold, CLOCK_BOOTTIME, clock_boottime_in(DETACH_KEYS_HOLD_USEC), 1000, on_hold, client);
        g_assert(r >= 0);
}

/* True when the client wants to leave. */
static bool take_input(Client *client, const guint8 *data, size_t size) {
        client->n_input += size;
        if (!wants(client, STREAM_STDIN))
                return false;
        bool detach = detach_keys_feed(&client->detach_keys, data, size, client->input);
        arm_hold(client);
        return detach;
}

typedef enum Input { INPUT_READ, INPUT_NONE, INPUT_END, INPUT_DETACH, INPUT_WRONG } Input;

static Input read_input(Client *client) {
        guint8 bytes[FRAME_MAX + 1];
        bool packets = client->output.framing == FRAMING_PACKETS;
        /* In a stream MSG_TRUNC would mean to throw the bytes away. */
        int flags = MSG_DONTWAIT | (packets ? MSG_TRUNC : 0);
        ssize_t n = recv(client->fd, bytes, sizeof bytes, flags);

        if (n < 0 && errno == ECONNRESET) /* it has left something unread. Of packets that is told once, and before what it has sent (net/unix/af_unix.c) */
                n = recv(client->fd, bytes, sizeof bytes, flags);
        if (n < 0)
                return errno == EAGAIN || errno == EINTR ? INPUT_NONE : INPUT_END;
        if (n == 0)
                return INPUT_END;
        if (!packets)
                return take_input(client, bytes, (size_t) n) ? INPUT_DETACH : INPUT_READ;
        if ((size_t) n > sizeof bytes || bytes[0] != STREAM_STDIN)
                return INPUT_WRONG;
        if (n == 1)
                return INPUT_END;
        return take_input(client, bytes + 1, (size_t) n - 1) ? INPUT_DETACH : INPUT_READ;
}

/* Another one has passed on a part, and the rest of it comes first. */
static bool must_wait(const Client *client) {
        return client->host->writer && client->host->writer != client;
}

static void pass_input(Client *client) {
        if (must_wait(client))
                return;
        size_t size = client->input->len, done = source_write(client->host->source, client->input->data, size);

        client->input_lost = client->input_lost || (size > 0 && !source_takes_input(client->host->source));
        if (done > 0)
                g_byte_array_remove_range(client->input, 0, (guint) done);
        client->host->writer = client->input->len > 0 ? client : NULL;
}

static void end_input(Client *client) {
        client->input_ended = true;
        client->hung_up = client->hung_up || peer_is_gone(client);
        g_clear_pointer(&client->hold, sd_event_source_disable_unref);
        detach_keys_flush(&client->detach_keys, client->input);
}

/* Its end concerns the container too, if the container was made so. */
static bool ends_standard_input(const Client *client) {
        return (!client->hung_up || client->ends_input) && wants(client, STREAM_STDIN) && client->host->stdin_once;
}

static bool can_finish(const Client *client) {
        return client->input_ended && !client->input_finished && client->input->len == 0 && !(must_wait(client) && ends_standard_input(client));
}

/* All of it has been passed on. */
static bool finish_input(Client *client) {
        client->input_finished = true;
        if (client->is_writer && client->input_lost)
                return end_with(client, CONBUS_ERROR_NOT_RUNNING, "the standard input ended before everything was taken");
        if (ends_standard_input(client))
                source_end_input(client->host->source);
        return !client->hung_up || end_for(client, "client-closed");
}

bool client_pump_input(Client *client) {
        Input input = INPUT_READ;

        pass_input(client);
        for (unsigned rounds = 0; rounds < ROUNDS_AT_ONCE && input == INPUT_READ && client->input->len == 0 && !client->input_ended; rounds++) {
                input = read_input(client);
                if (input == INPUT_WRONG)
                        return end_with(client, CONBUS_ERROR_INVALID_ARGS, "the client sent a packet that is too long or does not begin with a byte 0");
                if (input == INPUT_END)
                        end_input(client);
                pass_input(client);
        }
        if (input == INPUT_DETACH)
                return end_for(client, "detached");
        if (can_finish(client) && !finish_input(client))
                return false;
        update_io(client);
        return true;
}

/* --- events --- */

static int on_io(sd_event_source *source, int fd, uint32_t revents, void *userdata) {
        Client *client = userdata;
        bool gone = revents & (EPOLLHUP | EPOLLERR);

        if (gone && client->input_finished)
                (void) end_for(client, "client-closed");
        else if (gone && (client->input->len > 0 || client->input_ended)) { /* its last words wait for the container to read them, and what else its socket holds */
                stop_output(client);
                sd_event_source_set_enabled(source, SD_EVENT_OFF);
        } else if ((!(revents & EPOLLIN) && !gone) || client_pump_input(client))
                (void) ((revents & EPOLLOUT) && client_pump(client));
        return 0;
}

static int on_cancel(sd_event_source *source, int fd, uint32_t revents, void *userdata) {
        (void) end_for(userdata, "detached");
        return 0;
}

static const guint8 *bytes_of(GVariant *variant, size_t *ret_size) {
        return variant ? g_variant_get_fixed_array(variant, ret_size, 1) : NULL;
}

static void on_log_changed(void *userdata) {
        (void) client_pump(userdata);
}

static bool watch(Client *client, GError **error) {
        int r = sd_event_add_io(client->host->event, &client->io, client->fd, EPOLLIN, on_io, client);

        if (r >= 0 && client->cancel_fd >= 0)
                r = sd_event_add_io(client->host->event, &client->cancel, client->cancel_fd, EPOLLIN, on_cancel, client);
        if (r < 0)
                return error_errno(error, -r, "watch a client");
        return !client->log || replay_watch(client->log, client->host->event, on_log_changed, client, error);
}

Client *client_new(ClientHost *host, const ClientPlan *plan, int fd, int cancel_fd, GError **error) {
        Client *client = g_new0(Client, 1);
        size_t n_head = 0, n_ahead = 0;
        const guint8 *head = bytes_of(plan->head, &n_head), *ahead = bytes_of(plan->ahead, &n_ahead);

        *client = (Client) {.host = host, .id = plan->id, .tag = g_variant_ref(plan->tag), .streams = plan->streams, .fd = fd, .cancel_fd = cancel_fd, .follow = plan->follow, .ends_input = plan->ends_input, .is_writer = plan->is_writer, .log = plan->log, .position = plan->position, .detach_keys = plan->detach_keys};
        client->input = g_byte_array_new();
        output_init(&client->output, fd, plan->framing);
        g_byte_array_append(client->output.carry, head, (guint) n_head);
        for (guint8 stream = STREAM_STDOUT; stream <= STREAM_STDERR && plan->position != 0; stream++)
                client->before[stream] = source_total(host->source, stream);
        if (!watch(client, error)) {
                client_free(client);
                return NULL;
        }
        (void) take_input(client, ahead, n_ahead);
        return client;
}
