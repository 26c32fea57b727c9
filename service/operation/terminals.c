/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Sizes of terminals, of containers and of exec sessions. What is kept of one, a size that conmon has not taken yet, is kept by the id of the container or the path of the session. */

#include "operation/attachments-internal.h"
#include <stdio.h>

bool terminals_resize(Engine *engine, const char *key, const char *directory, unsigned rows, unsigned columns, GError **error) {
        Terminal *terminal = g_hash_table_lookup(engine->attachments->terminals, key);

        if (!terminal) {
                terminal = terminal_new(engine->event, directory);
                g_hash_table_insert(engine->attachments->terminals, g_strdup(key), terminal);
        }
        return terminal_resize(terminal, rows, columns, error);
}

static bool check_resize(Container *container, GError **error) {
        State state = container->life.state;
        const char *title = container_title(container);

        if (container->removed || state == STATE_REMOVING)
                return error_set(error, CONBUS_ERROR_REMOVED, "resize the terminal of %s: it is being removed", title);
        if (!config_bool(container->config, "terminal", false))
                return error_set(error, CONBUS_ERROR_NO_TERMINAL, "resize the terminal of %s: it was made without one", title);
        if (state == STATE_UNKNOWN)
                return error_set(error, CONBUS_ERROR_INVALID_STATE, "resize the terminal of %s: it is unknown; possible when it is initialized, running, paused or stopping", title);
        return state_is_active(state) || error_set(error, CONBUS_ERROR_NOT_RUNNING, "resize the terminal of %s: it is %s", title, state_to_string(state));
}

bool attachments_resize(Engine *engine, Container *container, unsigned rows, unsigned columns, GError **error) {
        char number[32];

        if (!check_resize(container, error))
                return false;
        snprintf(number, sizeof number, "%" G_GUINT64_FORMAT, container->life.run);
        g_autofree char *directory = paths_run_of(engine->paths, container->id, number);
        return terminals_resize(engine, container->id, directory, rows, columns, error);
}

bool attachments_resize_session(Engine *engine, Session *session, unsigned rows, unsigned columns, GError **error) {
        g_autofree char *title = session_title(session), *path = session_path(session), *directory = paths_session(engine->paths, session->number);

        if (!session_has_terminal(session))
                return error_set(error, CONBUS_ERROR_NO_TERMINAL, "resize the terminal of %s: it was made without one", title);
        if (session->life.state != SESSION_RUNNING && !session->life.launching)
                return error_set(error, CONBUS_ERROR_INVALID_STATE, "resize the terminal of %s: it is %s; possible when it is running", title, session_state_to_string(session->life.state));
        return terminals_resize(engine, path, directory, rows, columns, error);
}
