/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The latest output of a container, shared by all its clients: frames one after the other, the oldest overwritten by the newest. A client is a position in it; a position that falls behind the tail is lost, and its client too slow. */

#include "base/error.h"
#include "stream/frame.h"

#define RING_SIZE (1024 * 1024) /* what a client may lag behind */
#define RING_FRAME_MAX 8192 /* data of one frame: what conmon sends at once */
#define RING_FRAMES_AT_ONCE 16 /* there is room for after ring_reserve: what conmon's socket holds, with the default of net.core.wmem_default, and some */

typedef struct Ring Ring;

Ring *ring_new(size_t size, GError **error) G_GNUC_WARN_UNUSED_RESULT; /* at least size bytes of frames are kept */
void ring_free(Ring *ring);

guint64 ring_head(const Ring *ring); /* the position of the frame that comes next */
guint64 ring_tail(const Ring *ring); /* the position of the oldest frame */
guint64 ring_tail_after_reserve(const Ring *ring); /* what ring_tail will be after the next ring_reserve */

/* Room for RING_FRAMES_AT_ONCE frames of RING_FRAME_MAX bytes at the head; the oldest frames go. Valid until the next call. */
void ring_reserve(Ring *ring);
/* Where the data of the frame that comes next + n goes when all in between are full. */
guint8 *ring_place(Ring *ring, unsigned n);
/* The next frame: data is of ring_place, and moves up where frames in front of it were not full. */
void ring_commit(Ring *ring, guint8 stream, const guint8 *data, size_t size);
/* Nobody needs what it holds: it goes, and the next frame comes to the front of the memory, which the processor's caches still have. Not before the ring has been full once: who comes until then may ask for all of it. */
void ring_rewind(Ring *ring);

/* The frame at a position between tail and head, and the position after it. Its data is valid until the tail has passed it. */
Frame ring_frame(const Ring *ring, guint64 position, guint64 *ret_next);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Ring, ring_free)
