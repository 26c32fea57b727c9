/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Words of the wire and the table of legal transitions. */

#include "model/state.h"

static const char *const state_names[N_STATES] = {
        [STATE_CREATED] = "created",   [STATE_INITIALIZED] = "initialized", [STATE_RUNNING] = "running",
        [STATE_PAUSED] = "paused",     [STATE_STOPPING] = "stopping",       [STATE_STOPPED] = "stopped",
        [STATE_EXITED] = "exited",     [STATE_REMOVING] = "removing",       [STATE_UNKNOWN] = "unknown",
};

static const char *const reason_names[N_REASONS] = {
        [REASON_NONE] = "",
        [REASON_USER] = "user",
        [REASON_EXIT] = "exit",
        [REASON_SIGNAL] = "signal",
        [REASON_OOM] = "oom",
        [REASON_HEALTH] = "health",
        [REASON_DEPENDENCY] = "dependency",
        [REASON_POLICY] = "policy",
        [REASON_START_FAILED] = "start-failed",
        [REASON_NOT_STARTED] = "not-started",
        [REASON_TIMEOUT] = "timeout",
        [REASON_CHECKPOINT] = "checkpoint",
        [REASON_MONITOR_LOST] = "monitor-lost",
        [REASON_BOOT] = "boot",
};

static const char *const result_names[N_RESULTS] = {
        [RESULT_NONE] = "",
        [RESULT_SUCCESS] = "success",
        [RESULT_EXIT_CODE] = "exit-code",
        [RESULT_SIGNAL] = "signal",
        [RESULT_CORE_DUMP] = "core-dump",
        [RESULT_OOM_KILL] = "oom-kill",
        [RESULT_START_FAILED] = "start-failed",
        [RESULT_NEVER_RAN] = "never-ran",
        [RESULT_TIMEOUT] = "timeout",
        [RESULT_LOST] = "lost",
};

static const char *const policy_names[N_POLICIES] = {
        [POLICY_NO] = "no",
        [POLICY_ON_FAILURE] = "on-failure",
        [POLICY_UNLESS_STOPPED] = "unless-stopped",
        [POLICY_ALWAYS] = "always",
};

static int find_name(const char *const *names, int n, const char *text) {
        for (int i = 0; i < n; i++)
                if (g_str_equal(names[i], text))
                        return i;
        return -1;
}

#define DEFINE_STRINGS(Type, prefix, N)                                     \
        const char *prefix##_to_string(Type value) {                        \
                return prefix##_names[value];                               \
        }                                                                   \
        bool prefix##_from_string(const char *text, Type *ret) {            \
                int found = find_name(prefix##_names, N, text);             \
                if (found >= 0)                                             \
                        *ret = (Type) found;                                \
                return found >= 0;                                          \
        }

DEFINE_STRINGS(State, state, N_STATES)
DEFINE_STRINGS(Reason, reason, N_REASONS)
DEFINE_STRINGS(Result, result, N_RESULTS)

const char *policy_to_string(Policy policy) {
        return policy_names[policy];
}

bool policy_from_string(const char *text, Policy *ret) {
        int found = find_name(policy_names, N_POLICIES, *text ? text : "no");

        if (found >= 0)
                *ret = (Policy) found;
        return found >= 0;
}

#define BIT(state) (1u << STATE_##state)

/* A launch that is undone at adoption goes through `stopped`, so that the cleanup empties the runtime. From every state a removal may begin and a contradiction be found; what a row adds is the life cycle itself. */
static const unsigned followers[N_STATES] = {
        [STATE_CREATED] = BIT(INITIALIZED) | BIT(STOPPED) | BIT(EXITED) | BIT(REMOVING) | BIT(UNKNOWN),
        [STATE_INITIALIZED] = BIT(RUNNING) | BIT(STOPPING) | BIT(STOPPED) | BIT(CREATED) | BIT(EXITED) | BIT(REMOVING) | BIT(UNKNOWN),
        [STATE_RUNNING] = BIT(PAUSED) | BIT(STOPPING) | BIT(STOPPED) | BIT(EXITED) | BIT(REMOVING) | BIT(UNKNOWN),
        [STATE_PAUSED] = BIT(RUNNING) | BIT(STOPPING) | BIT(STOPPED) | BIT(EXITED) | BIT(REMOVING) | BIT(UNKNOWN),
        [STATE_STOPPING] = BIT(STOPPED) | BIT(EXITED) | BIT(REMOVING) | BIT(UNKNOWN),
        [STATE_STOPPED] = BIT(INITIALIZED) | BIT(EXITED) | BIT(CREATED) | BIT(REMOVING) | BIT(UNKNOWN),
        [STATE_EXITED] = BIT(INITIALIZED) | BIT(STOPPED) | BIT(REMOVING) | BIT(UNKNOWN),
        [STATE_REMOVING] = 0,
        [STATE_UNKNOWN] = BIT(CREATED) | BIT(INITIALIZED) | BIT(RUNNING) | BIT(PAUSED) | BIT(STOPPING) | BIT(STOPPED) | BIT(EXITED) | BIT(REMOVING),
};

bool state_may_follow(State from, State to) {
        return (followers[from] & (1u << to)) != 0;
}

bool state_is_active(State state) {
        return state == STATE_INITIALIZED || state == STATE_RUNNING || state == STATE_PAUSED || state == STATE_STOPPING;
}
