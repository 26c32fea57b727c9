/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One line: phase, run, exit code. */

#include "stream/log-state.h"
#include <stdio.h>

static const char *const names[N_LOG_PHASES] = {"open", "restarting", "ended", "removed"};

bool log_state_write(const char *directory, const LogState *state, GError **error) {
        g_autofree char *path = g_build_filename(directory, LOG_STATE_FILE, NULL), *text = g_strdup_printf("%s %" G_GUINT64_FORMAT " %d\n", names[state->phase], state->run, state->exit_code);
        g_autoptr(GError) failure = NULL;

        if (g_file_set_contents_full(path, text, -1, G_FILE_SET_CONTENTS_CONSISTENT, 0600, &failure))
                return true;
        return error_set(error, CONBUS_ERROR_INTERNAL, "tell the followers of a log: %s", failure->message);
}

LogState log_state_read(const char *directory) {
        g_autofree char *path = g_build_filename(directory, LOG_STATE_FILE, NULL), *text = NULL;
        LogState state = {.phase = LOG_PHASE_REMOVED, .exit_code = -1};
        char word[16];

        if (!g_file_get_contents(path, &text, NULL, NULL) || sscanf(text, "%15s %" G_GUINT64_FORMAT " %d", word, &state.run, &state.exit_code) != 3)
                return state;
        for (unsigned i = 0; i < N_LOG_PHASES; i++)
                if (g_str_equal(names[i], word))
                        state.phase = i;
        return state;
}

bool log_state_has_ended(const LogState *state, guint64 run) {
        if (state->phase == LOG_PHASE_REMOVED)
                return true;
        return run == 0 ? state->phase == LOG_PHASE_ENDED : state->run > run || (state->run == run && state->phase != LOG_PHASE_OPEN);
}
