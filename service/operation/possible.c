/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One row for each verb that not every state allows. A verb without a row is possible always: reading, waiting, and Sync. */

#include "operation/possible.h"

#define IN(state) (1U << STATE_##state)
#define STOPPED_STATES (IN(CREATED) | IN(STOPPED) | IN(EXITED))
#define LIVE_STATES (IN(INITIALIZED) | IN(RUNNING) | IN(PAUSED) | IN(STOPPING))
#define ALL_STATES (STOPPED_STATES | LIVE_STATES | IN(UNKNOWN)) /* but removing */

static const struct Row {
        const char *verb;
        unsigned states;
} rows[] = {
        {"init", STOPPED_STATES},
        {"start", STOPPED_STATES | IN(INITIALIZED)},
        {"stop", LIVE_STATES | IN(UNKNOWN)},
        {"restart", STOPPED_STATES | IN(INITIALIZED) | IN(RUNNING) | IN(STOPPING)},
        {"kill", IN(RUNNING) | IN(PAUSED) | IN(STOPPING) | IN(UNKNOWN)},
        {"pause", IN(RUNNING)},
        {"resume", IN(PAUSED)},
        {"check", IN(RUNNING)},
        {"exec", IN(RUNNING)},
        {"spawn", IN(RUNNING)},
        {"exec-capture", IN(RUNNING)},
        {"open-shell", IN(RUNNING)},
        {"cleanup", STOPPED_STATES | IN(INITIALIZED) | IN(STOPPING) | IN(UNKNOWN)},
        {"remove", STOPPED_STATES | IN(INITIALIZED) | IN(REMOVING)},
        {"rename", ALL_STATES},
        {"set-auto-start", ALL_STATES},
        {"set-restart-policy", ALL_STATES},
        {"open-pid-fd", LIVE_STATES},
        {"open-attach", LIVE_STATES},
        {"http-attach", ALL_STATES},
        {"resize-terminal", LIVE_STATES},
        {"get-spec", LIVE_STATES | IN(STOPPED)},
        {"get-processes", ALL_STATES},
};

bool possible_verb(const Container *container, const char *verb) {
        for (size_t i = 0; i < G_N_ELEMENTS(rows); i++)
                if (g_str_equal(rows[i].verb, verb))
                        return rows[i].states & (1U << container->life.state);
        return true;
}

bool possible_process_verb(const Session *session, const char *verb) {
        static const struct {
                const char *verb;
                bool states[N_SESSION_STATES];
        } table[] = {
                {"start", {[SESSION_CREATED] = true}},
                {"stop", {[SESSION_RUNNING] = true, [SESSION_STOPPED] = true}},
                {"kill", {[SESSION_RUNNING] = true}},
                {"resize-terminal", {[SESSION_RUNNING] = true}},
                {"open-pid-fd", {[SESSION_RUNNING] = true}},
                {"open-attach", {[SESSION_CREATED] = true, [SESSION_RUNNING] = true}},
                {"http-attach", {[SESSION_CREATED] = true, [SESSION_RUNNING] = true}},
        };

        for (size_t i = 0; i < G_N_ELEMENTS(table); i++)
                if (g_str_equal(table[i].verb, verb))
                        return table[i].states[session->life.state];
        return true;
}
