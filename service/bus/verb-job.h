/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "bus/bus.h"

/* Queue: checks the verb and its options, makes the job, answers with its path, and lets the operation take its place in the container's queue. */
bool verb_job_queue(Call *call, Container *container, const char *word, GVariant *options, GError **error) G_GNUC_WARN_UNUSED_RESULT;
