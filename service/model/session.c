/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Words of exec sessions, and what can be asked for. Values of the environment are never told again in a message. */

#include "model/session.h"
#include "model/config.h"
#include <string.h>

static const char *const states[N_SESSION_STATES] = {[SESSION_CREATED] = "created", [SESSION_RUNNING] = "running", [SESSION_STOPPED] = "stopped"};

const char *session_state_to_string(SessionState state) {
        return states[state];
}

bool session_state_from_string(const char *text, SessionState *ret) {
        for (int i = 0; i < N_SESSION_STATES; i++)
                if (g_str_equal(states[i], text)) {
                        *ret = (SessionState) i;
                        return true;
                }
        return false;
}

void session_life_init(SessionLife *life) {
        *life = (SessionLife) {.exit_code = -1};
}

static const OptionKey keys[] = {{"command", "as"}, {"user", "s"}, {"cwd", "s"}, {"env", "as"}, {"terminal", "b"}, {"privileged", "b"}, {"cgroup", "s"}, {"detach-keys", "s"},
                                 {"lifetime", "s"}, {"start", "b"}, {"auto-remove", "b"}, {"stdin-open", "b"}, {NULL}};

static bool check_command(GVariant *request, GError **error) {
        g_autofree const char **command = config_strv(request, "command");

        return (command && command[0] && *command[0]) || error_set(error, CONBUS_ERROR_INVALID_ARGS, "the command is empty; its first word is the program");
}

static bool check_env(GVariant *request, GError **error) {
        g_autofree const char **env = config_strv(request, "env");

        for (unsigned i = 0; env && env[i]; i++)
                if (!strchr(env[i], '=') || *env[i] == '=')
                        return error_set(error, CONBUS_ERROR_INVALID_ARGS, "option env: entry %u is not of the form NAME=VALUE", i + 1);
        return true;
}

/* A group below the container's own: one word, and none that conbus or the kernel uses. */
static bool check_cgroup(const char *name, GError **error) {
        gsize length = strspn(name, G_CSET_A_2_Z G_CSET_a_2_z G_CSET_DIGITS "_-");

        if (length > 0 && length <= 64 && !name[length] && !g_str_has_prefix(name, "conbus") && *name != '-')
                return true;
        return error_set(error, CONBUS_ERROR_INVALID_ARGS, "option cgroup is \"%.100s\"; it takes a word of at most 64 letters, digits, - and _ that does not begin with - or conbus", name);
}

bool session_request_check(GVariant *request, GError **error) {
        if (!options_check(request, keys, error) || !check_command(request, error) || !check_env(request, error))
                return false;
        const char *cwd = config_string(request, "cwd", "/"), *cgroup = config_string(request, "cgroup", NULL), *lifetime = config_string(request, "lifetime", "detached");
        if (*cwd != '/')
                return error_set(error, CONBUS_ERROR_INVALID_ARGS, "option cwd is \"%.100s\"; it takes an absolute path in the container", cwd);
        if (!g_str_equal(lifetime, "detached") && !g_str_equal(lifetime, "client"))
                return error_set(error, CONBUS_ERROR_INVALID_ARGS, "option lifetime is \"%.100s\"; it can be detached or client", lifetime);
        return !cgroup || check_cgroup(cgroup, error);
}
