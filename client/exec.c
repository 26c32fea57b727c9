/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* exec: a command in a container that runs. Attached to before it starts, so that nothing of its output is missed. */

#include "call.h"
#include "commands.h"
#include "session.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct Execution {
        GVariantDict options;
        GPtrArray *env;
        char *detach_keys;
        bool input, terminal, detach;
} Execution;

/* 1: taken, 0: no option, -1: wrong. */
static int take_exec_option(Execution *execution, char ***words) {
        const char *word = **words;
        char *value;

        if (g_str_equal(word, "-i") || g_str_equal(word, "--interactive"))
                execution->input = true;
        else if (g_str_equal(word, "-t") || g_str_equal(word, "--tty"))
                execution->terminal = true;
        else if (g_str_equal(word, "-it") || g_str_equal(word, "-ti"))
                execution->input = execution->terminal = true;
        else if (g_str_equal(word, "-d") || g_str_equal(word, "--detach"))
                execution->detach = true;
        else if (g_str_equal(word, "--privileged"))
                g_variant_dict_insert(&execution->options, CONBUS_OPTION_PRIVILEGED, "b", TRUE);
        else if (take_option(words, "-u", &value) || take_option(words, "--user", &value))
                g_variant_dict_insert(&execution->options, CONBUS_OPTION_USER, "s", value);
        else if (take_option(words, "-w", &value) || take_option(words, "--cwd", &value))
                g_variant_dict_insert(&execution->options, CONBUS_OPTION_CWD, "s", value);
        else if (take_option(words, "-e", &value) || take_option(words, "--env", &value))
                g_ptr_array_add(execution->env, value);
        else if (take_option(words, "--detach-keys", &value))
                execution->detach_keys = value;
        else
                return *word == '-' ? -1 : 0;
        return 1;
}

static char *make_process(Execution *execution, const char *container, char **command) {
        char *path = NULL;

        if (execution->env->len > 0) {
                g_ptr_array_add(execution->env, NULL);
                g_variant_dict_insert(&execution->options, CONBUS_OPTION_ENV, "^as", execution->env->pdata);
        }
        g_variant_dict_insert(&execution->options, CONBUS_OPTION_TERMINAL, "b", (gboolean) execution->terminal);
        g_variant_dict_insert(&execution->options, CONBUS_OPTION_START, "b", FALSE);
        g_variant_dict_insert(&execution->options, CONBUS_OPTION_AUTO_REMOVE, "b", TRUE);
        g_autoptr(GVariant) answer = call_container(container, CONBUS_CONTAINER_EXEC, g_variant_new("(^as@a{sv})", command, g_variant_dict_end(&execution->options)));
        if (answer)
                g_variant_get(answer, "(ou)", &path, NULL);
        return path;
}

/* It could not be executed: the code says why, and the object is of no use any more. */
static int fail_start(const char *process) {
        int code = call_get_exit_code(process);

        call_process_later(process, CONBUS_PROCESS_REMOVE, g_variant_new("(s)", "normal"));
        call_flush();
        return code > 0 ? code : EXIT_CONBUS;
}

static int run_detached(const char *process) {
        g_autoptr(GVariant) started = call_process(process, CONBUS_PROCESS_START, NULL);

        if (!started)
                return fail_start(process);
        puts(process);
        return EXIT_SUCCESS;
}

static int run_attached(const char *process, const Execution *execution) {
        Session session = {.path = process, .is_process = true, .fd = -1, .input = execution->input, .terminal = execution->terminal};
        GVariant *options = session_options(execution->input, execution->terminal, execution->detach_keys);
        g_autoptr(GVariant) attached = call_process_with_fd(process, CONBUS_PROCESS_OPEN_ATTACH, g_variant_new("(@a{sv})", options), &session.fd);
        g_autoptr(GVariant) started = attached ? call_process(process, CONBUS_PROCESS_START, NULL) : NULL;

        if (!started)
                return fail_start(process);
        int status = session_run(&session);
        if (session.exited) {
                call_process_later(process, CONBUS_PROCESS_REMOVE, g_variant_new("(s)", "normal"));
                call_flush();
        }
        return status;
}

int command_exec(char **words) {
        Execution execution = {.env = g_ptr_array_new()};

        g_variant_dict_init(&execution.options, NULL);
        for (; *words; words++) {
                int taken = take_exec_option(&execution, &words);
                if (taken < 0)
                        return 2;
                if (taken == 0)
                        break;
        }
        if (!*words || !words[1])
                return 2;
        g_autofree char *container = call_find(*words++);
        if (*words && g_str_equal(*words, "--"))
                words++;
        if (!*words)
                return 2;
        g_autofree char *process = container ? make_process(&execution, container, words) : NULL;
        if (!process)
                return EXIT_CONBUS;
        return execution.detach ? run_detached(process) : run_attached(process, &execution);
}
