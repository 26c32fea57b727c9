/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* attach: to the streams of a container that runs. */

#include "call.h"
#include "commands.h"
#include "session.h"
#include <stdio.h>
#include <stdlib.h>

int command_attach(char **words) {
        char *detach_keys = NULL;
        bool input = true;

        for (; *words && **words == '-'; words++) {
                if (g_str_equal(*words, "--no-stdin"))
                        input = false;
                else if (!take_option(&words, "--detach-keys", &detach_keys))
                        return 2;
        }
        if (!*words || words[1])
                return 2;
        g_autofree char *path = call_find(*words);
        if (!path)
                return EXIT_FAILURE;
        Session session = {.path = path, .fd = -1, .terminal = call_get_bool(path, CONBUS_CONTAINER_TERMINAL)};
        session.input = input && call_get_bool(path, CONBUS_CONTAINER_STDIN_OPEN);
        g_autoptr(GVariant) answer = call_container_with_fd(path, CONBUS_CONTAINER_OPEN_ATTACH, g_variant_new("(@a{sv})", session_options(session.input, session.terminal, detach_keys)), &session.fd);
        return answer ? session_run(&session) : EXIT_FAILURE;
}
