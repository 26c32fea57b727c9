/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* conbusctl: chooses the command. */

#include "call.h"
#include "commands.h"
#include <stdio.h>
#include <string.h>

static const struct Command {
        const char *name, *arguments, *text;
        int (*run)(char **words); /* NULL: a verb */
} commands[] = {
        {"create", "[OPTION]… [--] [COMMAND…]", "make a container and print its id", command_create},
        {"run", "[OPTION]… [--] COMMAND…", "make and start one, wait, and exit with its code (-d: do not wait)", command_run},
        {"start", "[--recursive] [--wait started|ready|healthy] NAME…", "start", NULL},
        {"stop", "[-t TIME] [-s SIGNAL] NAME…", "stop, and wait until all is cleaned up", NULL},
        {"restart", "[-t TIME] NAME…", "stop and start", NULL},
        {"kill", "[-s SIGNAL] NAME…", "send a signal, KILL by default", NULL},
        {"pause", "NAME…", "freeze", NULL},
        {"resume", "NAME…", "thaw", NULL},
        {"rm", "[-f] [--dependents] NAME…", "remove", NULL},
        {"enable", "NAME…", "start at boot", NULL},
        {"disable", "NAME…", "do not start at boot", NULL},
        {"rename", "NAME NEW-NAME", "give another name", command_rename},
        {"set-restart-policy", "NAME POLICY[:MAX]", "no, on-failure, unless-stopped or always", command_set_restart_policy},
        {"ps", "[-a] [--label KEY[=VALUE]]", "list those that live, or all", command_ps},
        {"runs", "NAME|ID", "list the records of runs, also of a removed container by its id", command_runs},
        {"inspect", "NAME", "everything about one, as JSON", command_inspect},
        {"wait", "[--condition C]… [--run N] [--after-run N] [--final] [--timeout TIME] NAME", "wait, and exit with the code; 124 at the timeout", command_wait},
        {"health", "run|log NAME", "check now, or show the last results", command_health},
        {"events", "[--since N] [--follow]", "the log of events", command_events},
};

static int usage(FILE *to, int status) {
        fputs("Usage: conbusctl [--json] COMMAND …\n\n", to);
        for (size_t i = 0; i < G_N_ELEMENTS(commands); i++)
                fprintf(to, "  %-18s %s\n  %-18s     %s\n", commands[i].name, commands[i].arguments, "", commands[i].text);
        fputs("\nOptions of create and run: --name --bundle --rootfs --env --label --user --cwd --hostname --network --restart --notify --seccomp --read-only --rm,\n"
              "and --set KEY=VALUE for every creation key (VALUE as GVariant text, strings as they are). TIME: 5s, 200ms, 1min, infinity.\n",
              to);
        return status;
}

int main(int argc, char *argv[]) {
        char **words = argv + 1;

        for (; *words && **words == '-'; words++) {
                if (g_str_equal(*words, "--json"))
                        want_json = true;
                else
                        return g_str_equal(*words, "--help") ? usage(stdout, 0) : usage(stderr, 2);
        }
        if (!*words)
                return usage(stderr, 2);
        for (size_t i = 0; i < G_N_ELEMENTS(commands); i++) {
                if (!g_str_equal(commands[i].name, *words))
                        continue;
                int status = commands[i].run ? commands[i].run(words + 1) : command_verb(commands[i].name, words + 1);
                if (status == 2)
                        fprintf(stderr, "Usage: conbusctl %s %s\n", commands[i].name, commands[i].arguments);
                return status;
        }
        fprintf(stderr, "conbusctl: there is no command %s\n", *words);
        return usage(stderr, 2);
}
