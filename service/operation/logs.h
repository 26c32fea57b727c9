/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Logs of containers: what a caller wants to read of one, and who is told that a container has ended. The reading itself is done by processes of their own (runtime/log-process.h). */

#include "operation/operation.h"
#include "stream/log-plan.h"

/* Reads the options of ReadLog (lines: how many) and OpenLog. UnknownOption, InvalidArgs, NoLogs, NoSuchRun, NeverStarted, Removed. */
bool logs_plan_answer(Engine *engine, Container *container, guint32 lines, GVariant *options, LogPlan *ret, GError **error) G_GNUC_WARN_UNUSED_RESULT;
bool logs_plan_open(Engine *engine, Container *container, GVariant *options, LogPlan *ret, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* From now on the file that followers watch says what becomes of the container. Before one is started. */
bool logs_follow(Engine *engine, Container *container, GError **error) G_GNUC_WARN_UNUSED_RESULT;
