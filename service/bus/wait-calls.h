/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Wait, WaitFor, OpenWait and WaitAny for callers on the bus: limits per caller, dropped when the caller leaves. */

#include "bus/bus.h"

/* A place among the waits of the caller, whatever is waited for (LimitsExceeded); the service is busy while it is taken. */
typedef struct WaitSlot WaitSlot;
WaitSlot *wait_slot_take(Call *call, GError **error) G_GNUC_WARN_UNUSED_RESULT;
void wait_slot_give_back(Bus *bus, WaitSlot *slot); /* frees it; NULL: of a caller that is not known any more */

void wait_calls_restore(Bus *bus); /* pipes of OpenWait that came back from the descriptor store; before anything is committed that they may wait for */
bool wait_calls_wait(Call *call, const char *id, GError **error) G_GNUC_WARN_UNUSED_RESULT;
bool wait_calls_wait_for(Call *call, const char *id, const char *const *conditions, GVariant *options, GError **error) G_GNUC_WARN_UNUSED_RESULT;
bool wait_calls_wait_any(Call *call, GVariant *containers, const char *const *conditions, GVariant *options, GError **error) G_GNUC_WARN_UNUSED_RESULT;
bool wait_calls_open_wait(Call *call, const char *id, const char *const *conditions, GVariant *options, GError **error) G_GNUC_WARN_UNUSED_RESULT;
