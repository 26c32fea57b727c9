/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Root alone, for everything that is not open to all. */

#include "bus/gate.h"

bool gate_check(const Peer *peer, const char *action, const char *member, GError **error) {
        if (g_str_equal(action, "open") || (peer->actor && peer->actor->uid == 0 && !peer->unknown))
                return true;
        return error_set(error, CONBUS_ERROR_ACCESS_DENIED, "%s needs the right \"%s\", which only root has", member, action);
}
