/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Calls that put a process into a container: Exec, Spawn, OpenShell, ExecCapture, and Process.Start. */

#include "bus/call.h"
#include "container/session.h"

bool exec_calls_exec(Call *call, Container *container, const char *const *command, GVariant *options, GError **error) G_GNUC_WARN_UNUSED_RESULT;
bool exec_calls_spawn(Call *call, Container *container, GVariant *cwd, GVariant *argv, GVariant *fds, GVariant *env, GVariant *options, GError **error) G_GNUC_WARN_UNUSED_RESULT;
bool exec_calls_open_shell(Call *call, Container *container, const char *user, const char *path, const char *const *argv, const char *const *env, GError **error) G_GNUC_WARN_UNUSED_RESULT;
bool exec_calls_capture(Call *call, Container *container, const char *const *command, GVariant *options, GError **error) G_GNUC_WARN_UNUSED_RESULT;
bool exec_calls_start(Call *call, Session *session, GError **error) G_GNUC_WARN_UNUSED_RESULT;
/* After adoption: asks the bus for the clients of sessions, since one may have left while no service was there. */
void exec_calls_ask_for_clients(Bus *bus);
