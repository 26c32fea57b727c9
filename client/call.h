/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The bus from the client's side: blocking calls without a time limit (a stop or a wait takes as long as it takes), errors to standard error. */

#include "conbus-names.h"
#include <gio/gio.h>
#include <stdbool.h>

#define EXIT_CONBUS 125 /* run and wait: the trouble is ours, not the container's */

/* NULL after a message on standard error. arguments may be floating or NULL. The result is a tuple to be unreferenced. */
GVariant *call_manager(const char *method, GVariant *arguments);
GVariant *call_container(const char *path, const char *method, GVariant *arguments);
GVariant *call_job(const char *path, const char *method, GVariant *arguments);
GVariant *call_container_with_fd(const char *path, const char *method, GVariant *arguments, int *ret_fd); /* the first descriptor of the answer, -1 if there is none */
GVariant *call_process(const char *path, const char *method, GVariant *arguments);
GVariant *call_process_with_fd(const char *path, const char *method, GVariant *arguments, int *ret_fd);
int call_get_exit_code(const char *path); /* of a process; -1 when that is not known */
/* Sends a call whose answer does not matter. */
void call_container_later(const char *path, const char *method, GVariant *arguments);
void call_process_later(const char *path, const char *method, GVariant *arguments);
void call_flush(void); /* waits until it has been sent */
char *call_get_owner(const char *path); /* the unit that manages a container, "" if none does or nobody says */
bool call_get_bool(const char *path, const char *property); /* of a container; false after a message */
GVariant *call_with_fd(const char *method, GVariant *arguments, int *ret_fd); /* of the manager; the first descriptor of the answer */
char *call_find(const char *name); /* object path of a container, or NULL after a message */
/* Properties of all containers that pass the filter (a{sv}): a(oa{sv}). */
GVariant *call_query(GVariant *filter, const char *const *properties);

extern bool want_json;
void print_json(GVariant *value); /* and a newline */
/* Text from a container or a label for a terminal: control characters escaped. */
char *printable(const char *text);
