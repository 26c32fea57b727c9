/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The nine states of a container, why one was entered, and how a run ended; the words are the ones on the wire. */

#include <stdbool.h>
#include <glib.h>

typedef enum State {
        STATE_CREATED,
        STATE_INITIALIZED,
        STATE_RUNNING,
        STATE_PAUSED,
        STATE_STOPPING,
        STATE_STOPPED,
        STATE_EXITED,
        STATE_REMOVING,
        STATE_UNKNOWN,
        N_STATES,
} State;

const char *state_to_string(State state) G_GNUC_WARN_UNUSED_RESULT;
bool state_from_string(const char *text, State *ret) G_GNUC_WARN_UNUSED_RESULT;
/* Whether a container may go from one state to the other (behaviour: "Operations against states" and the moves without a call). */
bool state_may_follow(State from, State to) G_GNUC_WARN_UNUSED_RESULT;
/* initialized, running, paused or stopping: PID 1 lives. */
bool state_is_active(State state) G_GNUC_WARN_UNUSED_RESULT;

typedef enum Reason {
        REASON_NONE, /* "" */
        REASON_USER,
        REASON_EXIT,
        REASON_SIGNAL,
        REASON_OOM,
        REASON_HEALTH,
        REASON_DEPENDENCY,
        REASON_POLICY,
        REASON_START_FAILED,
        REASON_NOT_STARTED,
        REASON_TIMEOUT,
        REASON_CHECKPOINT,
        REASON_MONITOR_LOST,
        REASON_BOOT,
        N_REASONS,
} Reason;

const char *reason_to_string(Reason reason) G_GNUC_WARN_UNUSED_RESULT;
bool reason_from_string(const char *text, Reason *ret) G_GNUC_WARN_UNUSED_RESULT;

typedef enum Result {
        RESULT_NONE, /* "": the run has not ended */
        RESULT_SUCCESS,
        RESULT_EXIT_CODE,
        RESULT_SIGNAL,
        RESULT_CORE_DUMP,
        RESULT_OOM_KILL,
        RESULT_START_FAILED,
        RESULT_NEVER_RAN,
        RESULT_TIMEOUT,
        RESULT_LOST,
        N_RESULTS,
} Result;

const char *result_to_string(Result result) G_GNUC_WARN_UNUSED_RESULT;
bool result_from_string(const char *text, Result *ret) G_GNUC_WARN_UNUSED_RESULT;

typedef enum Policy {
        POLICY_NO,
        POLICY_ON_FAILURE,
        POLICY_UNLESS_STOPPED,
        POLICY_ALWAYS,
        N_POLICIES,
} Policy;

const char *policy_to_string(Policy policy) G_GNUC_WARN_UNUSED_RESULT;
bool policy_from_string(const char *text, Policy *ret) G_GNUC_WARN_UNUSED_RESULT; /* "" is "no" */
