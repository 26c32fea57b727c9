/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Job objects (api.md section 9): the bus face of an operation that may last. A job stays until Release, or five minutes after its end. */

#include "bus/bus.h"

GHashTable *job_table_new(void);
Job *job_find(Bus *bus, const char *path);
GPtrArray *job_list_paths(Bus *bus) G_GNUC_WARN_UNUSED_RESULT; /* of char * */
unsigned job_count_unfinished(Bus *bus, const char *owner); /* owner NULL: of all */

/* Submits the verb with its options (those of a job are taken out of them) and answers the call with the job's path. */
bool job_queue(Call *call, Container *container, Verb verb, GVariant *options, GError **error) G_GNUC_WARN_UNUSED_RESULT;
