/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A caller, or the reader of a pipe, that waits for the end of one object: a job (bus/job-object.c) or a process (bus/process-object.c). It goes when the caller or the reader does. */

#include "bus/wait-calls.h"

typedef struct Waiting {
        Bus *bus;
        Call *call; /* NULL for a pipe */
        unsigned form; /* the owner's: how it is answered */
        int fd; /* writing end of a pipe */
        sd_event_source *closed; /* the reader of the pipe has gone */
        WaitSlot *slot;
        void *wait; /* what is cancelled when nobody waits any more */
        void (*cancel)(void *wait);
} Waiting;

/* Takes one of the caller's places (LimitsExceeded). The owner then sets `wait` and, at the answer, calls waiting_free. */
Waiting *waiting_new(Call *call, unsigned form, void (*cancel)(void *wait), GError **error) G_GNUC_WARN_UNUSED_RESULT;
void waiting_free(Waiting *waiting);
void waitings_free(Bus *bus); /* the service leaves: nobody is answered any more */
void waiting_set_call(Waiting *waiting, Call *call); /* it is the call that is to be answered; else waiting_set_pipe */
void waiting_set_pipe(Waiting *waiting, int *writing); /* takes it */
/* For OpenWait: the writing end does not block. */
bool waiting_make_pipe(int *ret_reading, int *ret_writing, GError **error) G_GNUC_WARN_UNUSED_RESULT;
