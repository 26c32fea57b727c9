/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The output of a program that may never stop writing: read as it comes, kept up to a limit, and dropped beyond it, after everything else in the loop has had its turn. Costs no more memory than the limit, and blocks nobody. */

#include "base/auto.h"
#include <stdbool.h>
#include <glib.h>

typedef struct OutputPipe OutputPipe;

/* *ret_write is the writing end, the caller's to close once the program has it. */
OutputPipe *output_pipe_new(sd_event *event, gsize bytes_max, int *ret_write, GError **error) G_GNUC_WARN_UNUSED_RESULT;
void output_pipe_free(OutputPipe *pipe);
void output_pipe_drain(OutputPipe *pipe); /* reads what is there already, once nothing writes any more; of a writer that goes on all the same no more than a few MiB */
GByteArray *output_pipe_bytes(const OutputPipe *pipe);
bool output_pipe_is_truncated(const OutputPipe *pipe);
