/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The memory is mapped twice, one copy after the other, so that a frame which crosses the end is still one piece. A frame is a head (size, stream) and its data. */

#include "stream/ring.h"
#include "base/auto.h"
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

typedef struct Head {
        guint32 size;
        guint32 stream;
} Head;

struct Ring {
        guint8 *memory;
        size_t size; /* of one of the two mappings */
        guint64 head, tail;
        guint64 front; /* the position that is at the front of the memory; positions after it follow, again and again */
};

#define FRAME_ROOM (sizeof(Head) + RING_FRAME_MAX)
#define RESERVED (RING_FRAMES_AT_ONCE * FRAME_ROOM)

Ring *ring_new(size_t size, GError **error) {
        size_t page = (size_t) getpagesize();
        size_t whole = (size + RESERVED + page - 1) / page * page; /* the frames that are being received displace nothing that counts */
        autofd int fd = memfd_create("ring", MFD_CLOEXEC);

        if (fd < 0 || ftruncate(fd, (off_t) whole) < 0) {
                error_errno(error, errno, "make a ring of %zu bytes", whole);
                return NULL;
        }
        guint8 *memory = mmap(NULL, 2 * whole, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (memory == MAP_FAILED || mmap(memory, whole, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0) == MAP_FAILED ||
            mmap(memory + whole, whole, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0) == MAP_FAILED) {
                error_errno(error, errno, "map a ring of %zu bytes", whole);
                if (memory != MAP_FAILED)
                        munmap(memory, 2 * whole);
                return NULL;
        }
        Ring *ring = g_new0(Ring, 1);
        ring->memory = memory;
        ring->size = whole;
        return ring;
}

void ring_free(Ring *ring) {
        if (!ring)
                return;
        munmap(ring->memory, 2 * ring->size);
        g_free(ring);
}

guint64 ring_head(const Ring *ring) {
        return ring->head;
}

guint64 ring_tail(const Ring *ring) {
        return ring->tail;
}

static guint8 *at(const Ring *ring, guint64 position) {
        return ring->memory + (position - ring->front) % ring->size;
}

Frame ring_frame(const Ring *ring, guint64 position, guint64 *ret_next) {
        const guint8 *place = at(ring, position);
        Head head;

        memcpy(&head, place, sizeof head);
        *ret_next = position + sizeof head + head.size;
        return (Frame) {.stream = (guint8) head.stream, .data = place + sizeof head, .size = head.size};
}

guint64 ring_tail_after_reserve(const Ring *ring) {
        guint64 tail = ring->tail;

        while (ring->head + RESERVED - tail > ring->size)
                (void) ring_frame(ring, tail, &tail);
        return tail;
}

void ring_reserve(Ring *ring) {
        ring->tail = ring_tail_after_reserve(ring);
}

guint8 *ring_place(Ring *ring, unsigned n) {
        return at(ring, ring->head) + n * FRAME_ROOM + sizeof(Head);
}

void ring_commit(Ring *ring, guint8 stream, const guint8 *data, size_t size) {
        Head head = {.size = (guint32) size, .stream = stream};
        guint8 *place = ring_place(ring, 0);

        g_assert(size <= RING_FRAME_MAX);
        if (place != data)
                memmove(place, data, size);
        memcpy(place - sizeof head, &head, sizeof head);
        ring->head += sizeof head + size;
}

void ring_rewind(Ring *ring) {
        if (ring->tail > 0)
                ring->tail = ring->front = ring->head;
}
