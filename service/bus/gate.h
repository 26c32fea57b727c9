/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The one gate: may this caller do this? The action of each member comes from the XML (annotation io.conbus1.Access); a member without one does not build. */

#include "bus/peers.h"

/* action: "open" or the last part of a polkit action. AccessDenied, or true. */
bool gate_check(const Peer *peer, const char *action, const char *member, GError **error) G_GNUC_WARN_UNUSED_RESULT;
