/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* logind's inhibitor lock against sleep, for as long as something must not be interrupted. */

#include "bus/bus.h"

typedef struct SleepLock SleepLock;

/* Asks without waiting. Where there is no logind nobody puts the machine to sleep in an orderly way either, and nothing is held. why: the verb. */
SleepLock *sleep_lock_take(Bus *bus, const char *why) G_GNUC_WARN_UNUSED_RESULT;
void sleep_lock_free(void *lock); /* gives it back, or forgets the question; NULL is fine */
