/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What waits for jobs and for processes alike. */

#include "bus/waiting.h"
#include <errno.h>
#include <fcntl.h>

static void on_caller_left(Call *call, void *userdata) {
        Waiting *waiting = userdata;

        waiting->cancel(waiting->wait);
        waiting_free(waiting);
}

static int on_closed(sd_event_source *source, int fd, uint32_t revents, void *userdata) {
        on_caller_left(NULL, userdata);
        return 0;
}

Waiting *waiting_new(Call *call, unsigned form, void (*cancel)(void *wait), GError **error) {
        WaitSlot *slot = wait_slot_take(call, error);

        if (!slot)
                return NULL;
        Waiting *waiting = g_new0(Waiting, 1);
        *waiting = (Waiting) {.bus = call->bus, .form = form, .fd = -1, .slot = slot, .cancel = cancel};
        g_queue_push_tail(&call->bus->waitings, waiting);
        return waiting;
}

void waiting_free(Waiting *waiting) {
        g_queue_remove(&waiting->bus->waitings, waiting);
        g_clear_pointer(&waiting->closed, sd_event_source_disable_unref);
        close_fd(waiting->fd);
        call_unref(waiting->call);
        wait_slot_give_back(waiting->bus, waiting->slot);
        g_free(waiting);
}

void waitings_free(Bus *bus) {
        Waiting *waiting;

        while ((waiting = g_queue_peek_head(&bus->waitings)))
                on_caller_left(NULL, waiting);
}

void waiting_set_call(Waiting *waiting, Call *call) {
        waiting->call = call_ref(call);
        call->caller_left = on_caller_left;
        call->userdata = waiting;
}

void waiting_set_pipe(Waiting *waiting, int *writing) {
        waiting->fd = steal_fd(writing);
        int r = sd_event_add_io(waiting->bus->event, &waiting->closed, waiting->fd, 0, on_closed, waiting);
        g_assert(r >= 0);
}

bool waiting_make_pipe(int *ret_reading, int *ret_writing, GError **error) {
        int ends[2];

        if (pipe2(ends, O_CLOEXEC) < 0)
                return error_errno(error, errno, "make a pipe for a wait");
        (void) fcntl(ends[1], F_SETFL, O_NONBLOCK);
        *ret_reading = ends[0];
        *ret_writing = ends[1];
        return true;
}
