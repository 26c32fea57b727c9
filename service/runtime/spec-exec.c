/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The process of an exec session is made from that of the run, so that labels, limits and what a patch or a bundle has set hold for it, too. Capabilities are never inheritable; nobody but root and the container's own user gets more than the bounding set. */

#include "runtime/spec-exec.h"
#include "runtime/spec-build.h"
#include <string.h>

#define CONFIG_MAX (4 * 1024 * 1024)

typedef struct Build {
        const ExecSpec *spec;
        JsonObject *process;
        Account *account; /* NULL: the container's user stays */
} Build;

static guint32 container_uid(JsonObject *process) {
        JsonObject *user = document_find_object(process, "user");

        return user ? (guint32) json_object_get_int_member_with_default(user, "uid", 0) : 0;
}

/* What account.c says is about a creation key. */
static Account *find_account(JsonObject *root, const char *user, GError **error) {
        JsonObject *place = document_find_object(root, "root");
        const char *path = place ? document_find_string(place, "path") : NULL;
        GError *why = NULL;
        Account *account = account_find(path ? path : "/nonexistent", user, &why);

        if (account)
                return account;
        if (why->code == CONBUS_ERROR_INVALID_CONFIG) {
                why->code = CONBUS_ERROR_INVALID_ARGS;
                g_prefix_error(&why, "option user: ");
        }
        g_propagate_error(error, why);
        return NULL;
}

static void set_user(Build *build) {
        JsonObject *user = document_object(build->process, "user");

        if (!build->account)
                return;
        json_object_set_int_member(user, "uid", build->account->uid);
        json_object_set_int_member(user, "gid", build->account->gid);
        json_object_remove_member(user, "additionalGids");
        for (unsigned i = 0; i < build->account->groups->len; i++)
                json_array_add_int_element(document_array(user, "additionalGids"), g_array_index(build->account->groups, guint32, i));
}

static void copy_set(JsonObject *capabilities, const char *from, const char *to) {
        JsonArray *names = document_find_array(capabilities, from);

        json_object_remove_member(capabilities, to);
        if (names)
                json_object_set_array_member(capabilities, to, json_array_ref(names));
}

static void set_capabilities(Build *build, guint32 own_uid) {
        JsonObject *capabilities = document_object(build->process, "capabilities");
        guint32 uid = build->account ? build->account->uid : own_uid;

        if (build->spec->privileged)
                spec_set_capabilities(capabilities, "bounding", spec_own_capabilities());
        json_object_remove_member(capabilities, "inheritable");
        if (uid == 0) {
                copy_set(capabilities, "bounding", "effective");
                copy_set(capabilities, "bounding", "permitted");
                json_object_remove_member(capabilities, "ambient");
        } else if (uid != own_uid) {
                json_object_remove_member(capabilities, "effective");
                json_object_remove_member(capabilities, "permitted");
                json_object_remove_member(capabilities, "ambient");
        }
}

static bool has_env(JsonObject *process, const char *name) {
        JsonArray *env = document_array(process, "env");

        for (unsigned i = 0; i < json_array_get_length(env); i++)
                if (g_str_has_prefix(document_array_string(env, i), name) && document_array_string(env, i)[strlen(name)] == '=')
                        return true;
        return false;
}

static void set_env(Build *build) {
        const ExecSpec *spec = build->spec;

        spec_process_unset_env(build->process, "NOTIFY_SOCKET"); /* readiness is the container's own */
        if (build->account)
                spec_process_set_env(build->process, "HOME", build->account->home);
        if (spec->terminal && !has_env(build->process, "TERM"))
                spec_process_set_env(build->process, "TERM", "xterm");
        for (unsigned i = 0; spec->env && spec->env[i]; i++) {
                g_autofree char *name = g_strndup(spec->env[i], strcspn(spec->env[i], "="));
                spec_process_set_env(build->process, name, spec->env[i] + strlen(name) + 1);
        }
}

static void set_terminal(Build *build) {
        const ExecSpec *spec = build->spec;

        json_object_set_boolean_member(build->process, "terminal", spec->terminal);
        json_object_remove_member(build->process, "consoleSize");
        if (!spec->terminal || spec->rows == 0 || spec->columns == 0)
                return;
        JsonObject *size = document_object(build->process, "consoleSize");
        json_object_set_int_member(size, "height", spec->rows);
        json_object_set_int_member(size, "width", spec->columns);
}

static JsonObject *read_config(const char *path, GError **error) {
        g_autoptr(JsonObject) root = document_read(path, CONFIG_MAX, error);

        if (root && !document_find_object(root, "process")) {
                error_set(error, CONBUS_ERROR_INVALID_CONFIG, "%s has no process", path);
                return NULL;
        }
        return g_steal_pointer(&root);
}

char *spec_exec_write(const ExecSpec *spec, GError **error) {
        g_autoptr(JsonObject) root = read_config(spec->config, error);
        g_autoptr(Account) account = NULL;

        if (!root)
                return NULL;
        if (spec->user && *spec->user) {
                account = find_account(root, spec->user, error);
                if (!account)
                        return NULL;
        }
        Build build = {.spec = spec, .process = document_find_object(root, "process"), .account = account};
        guint32 own_uid = container_uid(build.process);
        document_set_strv(build.process, "args", spec->command);
        if (spec->cwd)
                json_object_set_string_member(build.process, "cwd", spec->cwd);
        set_user(&build);
        set_capabilities(&build, own_uid);
        set_env(&build);
        set_terminal(&build);
        return document_print(build.process);
}

char *spec_exec_shell(const char *config, const char *user, GError **error) {
        g_autoptr(JsonObject) root = read_config(config, error);
        g_autoptr(Account) account = root ? find_account(root, user, error) : NULL;

        return account ? g_strdup(account->shell) : NULL;
}
