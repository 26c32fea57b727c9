/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* How the streams are put on a client's socket (api.md section 4), and the sending of it without blocking.
 *
 * packets      SOCK_SEQPACKET: a byte for the stream and up to 32 KiB of data; at the end a byte 3 and the result as JSON
 * multiplexed  SOCK_STREAM: for each piece 8 bytes (stream, three zero bytes, length in big endian) and its data
 * raw          SOCK_STREAM: the data alone */

#include "base/error.h"
#include "stream/frame.h"

typedef enum Framing {
        FRAMING_PACKETS,
        FRAMING_MULTIPLEXED,
        FRAMING_RAW,
        N_FRAMINGS,
} Framing;
const char *framing_to_string(Framing framing) G_GNUC_WARN_UNUSED_RESULT;
bool framing_from_string(const char *text, Framing *ret) G_GNUC_WARN_UNUSED_RESULT;

#define OUTPUT_FRAMES 64

/* Frames on their way into one socket. */
typedef struct Output {
        int fd; /* not owned */
        Framing framing;
        GByteArray *carry; /* bytes that go before the frames; not of `packets` */
        Frame frames[OUTPUT_FRAMES]; /* to be filled by the owner when n is 0 */
        unsigned n, first; /* the frames that wait: from first, before n */
        size_t sent; /* of the first one, its head included */
        guint64 n_bytes[STREAM_END + 1]; /* data sent so far, of each stream, without heads */
        guint64 n_calls_sent; /* grows whenever the socket takes anything */
} Output;

typedef enum OutputResult {
        OUTPUT_SENT, /* nothing waits any more */
        OUTPUT_BLOCKED,
        OUTPUT_CLOSED, /* the other side has gone */
} OutputResult;

void output_init(Output *output, int fd, Framing framing);
void output_clear(Output *output);
OutputResult output_flush(Output *output);
bool output_waits(const Output *output); /* there is something that the socket has not taken */
/* Copies what is left of a frame that is half sent, which counts as sent, and forgets the frames: their memory goes. */
void output_detach(Output *output);
void output_forget(Output *output); /* all that waits */
