/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The connections to conmon's attach socket: one for output, which is always read at once, since conmon writes blockingly; one for input, whose receiving side is shut down, so that conmon never writes to it.
 *
 * With one_connection there is one for both. conmon frees a connection to which it could not write before it looks at whether the end of it is the end of the standard input (conn_sock.c of 2.1): so that end must come over one that is still read. */

#include "stream/ring.h"
#include <systemd/sd-event.h>

typedef struct Source Source;

typedef struct SourceEvents {
        bool (*before_output)(void *userdata); /* the ring's tail is about to move to ring_tail_after_reserve; false: not yet, source_go_on will say when */
        void (*output)(void *userdata); /* there are new frames, or the end */
        void (*writable)(void *userdata); /* source_write can go on */
} SourceEvents;

Source *source_new(sd_event *event, int directory_fd, bool one_connection, const SourceEvents *events, void *userdata); /* borrows the descriptor */
void source_free(Source *source);

/* Connect; nothing when it is done already. Where conmon serves no streams any more the output has ended and input is dropped. */
bool source_open_output(Source *source, GError **error) G_GNUC_WARN_UNUSED_RESULT;
bool source_open_input(Source *source, GError **error) G_GNUC_WARN_UNUSED_RESULT;

Ring *source_ring(Source *source); /* NULL before source_open_output */
bool source_has_ended(const Source *source); /* there will be no more output */
void source_go_on(Source *source); /* reads again, if it was told not to */
void source_finish(Source *source); /* conmon has sent all there is: takes what still waits and is at the end then */
guint64 source_total(const Source *source, guint8 stream); /* bytes so far */

/* Takes what can be taken now and returns how much; the rest when `writable` says so. What nobody reads any more is taken and dropped. */
size_t source_write(Source *source, const guint8 *data, size_t size);
bool source_takes_input(const Source *source); /* what is written can still reach the container */
void source_end_input(Source *source);

/* The two descriptors, -1 where there is none; borrowed. */
int source_output_fd(const Source *source);
int source_input_fd(const Source *source);
