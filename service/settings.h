/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "operation/operation.h"

/* Defaults, then /etc/conbus/conbus.conf, then its drop-ins /etc/conbus/conbus.conf.d/NAME.conf in order of name; $CONBUS_CONFIG names another file, without drop-ins. A file that cannot be understood is logged and passed over, a key at a time. */
void settings_load(Settings *settings);
