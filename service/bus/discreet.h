/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What everybody is told about what others did. Details of events and records of runs name the client behind them; its uid, which OwnerUID tells as well, and its bus name, by which a client knows its own doing, are open to all; its pid, command and unit, and the output of health checks, are for those who may inspect containers, and for that user himself. */

#include "model/actor.h"

/* details: an a{sv}, floating or not. reader: who is told, NULL for everyone at once (a signal). whole: he may know everything. A new reference, never floating. */
GVariant *discreet(GVariant *details, const Actor *reader, bool whole) G_GNUC_WARN_UNUSED_RESULT;
