/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Processes that have been killed and have not ended yet. A control group can be removed, and nothing of what was in it can do anything any more, once they have: until then a killed process counts, on a busy machine for a while, and in a frozen group without an end. */

#include <glib.h>
#include <stdbool.h>
#include <systemd/sd-event.h>

typedef struct Dying Dying;

/* n_left: that did not end in time; 0 when all have. Once, never before dying_await has returned. */
typedef void (*DyingGone)(unsigned n_left, void *userdata);

Dying *dying_new(sd_event *event, DyingGone gone, void *userdata);
void dying_free(Dying *dying); /* nobody is told; NULL is ignored */
void dying_add(Dying *dying, const char *cgroup); /* what is in the group and below it now */
/* True: there are some, and gone will be called, at the latest after that time. False: there is nothing to wait for. */
bool dying_await(Dying *dying, guint64 patience_usec) G_GNUC_WARN_UNUSED_RESULT;
