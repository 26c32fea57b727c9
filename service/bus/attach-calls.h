/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* StartWith with the key attach, OpenAttach and HttpAttach: an attachment with its job. */

#include "bus/bus.h"

bool attach_calls_open(Call *call, Container *container, Session *session, GVariant *options, GError **error) G_GNUC_WARN_UNUSED_RESULT;
bool attach_calls_start(Call *call, Container *container, GVariant *options, GError **error) G_GNUC_WARN_UNUSED_RESULT; /* options have the key attach */
/* connection: borrowed, -1 when the call has none. ahead: ay. */
bool attach_calls_http(Call *call, Container *container, Session *session, int connection, GVariant *ahead, GVariant *options, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* Attachments that outlived the service become jobs again. */
void attach_calls_adopt(Bus *bus);
