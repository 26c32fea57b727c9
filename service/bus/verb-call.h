/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "bus/bus.h"

/* Checks the options (floating or not), submits the verb and answers the call with the verb's result; when the caller leaves first a waiting operation is dropped and a running one finishes unheard. n_results: only that many of the results (0: all). */
bool verb_call(Call *call, Container *container, Verb verb, GVariant *options, unsigned n_results, GError **error) G_GNUC_WARN_UNUSED_RESULT;
