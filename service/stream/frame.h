/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A piece of one stream on its way to a client. */

#include <glib.h>

#define STREAM_STDIN 0
#define STREAM_STDOUT 1
#define STREAM_STDERR 2
#define STREAM_END 3 /* of the framing `packets`: the result as JSON */
#define STREAM_MASK(stream) (1u << (stream))

#define FRAME_MAX 32768 /* bytes of data in one frame, either way */

typedef struct Frame {
        guint8 stream;
        const guint8 *data; /* borrowed */
        size_t size;
} Frame;
