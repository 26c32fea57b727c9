/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* conbusctl: chooses the command. */

#include "call.h"
#include "commands.h"
#include <stdio.h>
#include <string.h>

#define DETACH_KEYS "--detach-keys KEYS  leave without ending it: characters or ctrl-X, separated by commas; ctrl-p,ctrl-q at a terminal, empty for none\n"
#define NO_BLOCK "--no-block  print the path of a job instead of waiting for the end (see job)\n"
#define GRACE "-t, --timeout TIME  from the stop signal to SIGKILL: 0 kills at once, infinity never does\n-s, --signal SIGNAL  instead of the container's own stop signal\n"
#define CREATION                                                                                                                                        \
        "--name NAME  instead of one that is made up\n--rootfs DIRECTORY  base of the root file system\n--bundle DIRECTORY  an OCI bundle instead\n"            \
        "--env NAME=VALUE, --label KEY=VALUE  may be repeated\n--user USER[:GROUP], --cwd DIRECTORY, --hostname NAME\n"                                   \
        "--network none|host|private|container:NAME|ns:PATH\n--restart no|on-failure|always|unless-stopped\n--notify started|ready|healthy\n"             \
        "--seccomp default|unconfined|FILE\n--read-only  no writing to the root file system\n--rm  remove it once it has ended and nothing restarts it\n"     \
        "--set KEY=VALUE  any creation key; VALUE as GVariant text, strings as they are\n"

static const struct Command {
        const char *name, *arguments, *text, *options; /* options: a line each, or "" */
        int (*run)(char **words); /* NULL: a verb */
} commands[] = {
        {"create", "[OPTION]… [--] [COMMAND…]", "make a container and print its id", CREATION, command_create},
        {"run", "[OPTION]… [--] COMMAND…", "make and start one, show its output, and exit with its code",
         "-d, --detach  do not wait; print the id\n-i, --interactive  pass standard input in\n-t, --tty  give it a terminal; -it: this one\n" DETACH_KEYS CREATION, command_run},
        {"attach", "[OPTION]… NAME", "connect to the streams of one that runs", "--no-stdin  watch only\n" DETACH_KEYS, command_attach},
        {"exec", "[OPTION]… NAME COMMAND…", "execute a command in one that runs, and exit with its code",
         "-i, --interactive  pass standard input in\n-t, --tty  give it a terminal; -it: this one\n-u, --user USER[:GROUP]  by name or number in the container\n-w, --cwd DIRECTORY  absolute, in the container\n"
         "-e, --env NAME=VALUE  may be repeated\n--privileged  with every capability; root alone\n-d, --detach  do not wait; print the path of its object\n" DETACH_KEYS,
         command_exec},
        {"logs", "[OPTION]… NAME", "show the log of one",
         "-f, --follow  go on until it has ended and nothing restarts it\n--since TIME, --until TIME  lines from then on, lines before then: \"2026-11-26 12:34\", 12:34, yesterday, @SECONDS, -1h30min, \"5 min ago\", 10m\n"
         "-n, --tail N  the last N lines alone, or all\n-t, --timestamps  the time before each line\n--stream stdout|stderr  one of the two\n--run N  of this run, 0 for the latest\n--cursor CURSOR  from there on\n"
         "--json  an object for each line\n",
         command_logs},
        {"start", "[OPTION]… NAME…", "start", "--recursive  start what it depends on first\n--wait started|ready|healthy  when a start counts as done\n" NO_BLOCK, NULL},
        {"stop", "[OPTION]… NAME…", "stop, and wait until all is cleaned up", GRACE NO_BLOCK, NULL},
        {"restart", "[OPTION]… NAME…", "stop and start", GRACE "--recursive, --wait WHEN  as for start\n" NO_BLOCK, NULL},
        {"kill", "[OPTION]… NAME…", "send a signal", "-s, --signal SIGNAL  name or number, KILL by default\n" NO_BLOCK, NULL},
        {"pause", "[OPTION]… NAME…", "freeze", NO_BLOCK, NULL},
        {"resume", "[OPTION]… NAME…", "thaw", NO_BLOCK, NULL},
        {"rm", "[OPTION]… NAME…", "remove", "-f, --force  stop it first\n--dependents  remove what depends on it first\n-t, --timeout TIME  of the stop\n" NO_BLOCK, NULL},
        {"enable", "[OPTION]… NAME…", "start at boot", NO_BLOCK, NULL},
        {"disable", "[OPTION]… NAME…", "do not start at boot", NO_BLOCK, NULL},
        {"rename", "NAME NEW-NAME", "give another name", "", command_rename},
        {"set-restart-policy", "NAME POLICY[:MAX]", "no, on-failure, unless-stopped or always", "", command_set_restart_policy},
        {"ps", "[OPTION]…", "list those that live, with their health and the next restart of the policy", "-a, --all  list the others, too\n--label KEY[=VALUE]  only those with the label\n", command_ps},
        {"runs", "NAME|ID", "list the records of runs, also of a removed container by its id", "", command_runs},
        {"inspect", "NAME", "everything about one, as JSON", "", command_inspect},
        {"wait", "[OPTION]… NAME", "wait, print what was met and the code, and exit with the code",
         "--condition CONDITION  a state, ready, healthy, unhealthy or removed; stopped by default; may be repeated, the first to be met counts\n"
         "--run N  of exactly this run\n--after-run N  of the first run above N, 0 for the first one at all\n--final  until no restart is due any more\n"
         "--timeout TIME  then print timeout and exit with 124\n",
         command_wait},
        {"health", "run|log NAME", "check now and exit with 0 if all is well, or show the last results", "", command_health},
        {"job", "wait|cancel|release PATH", "wait for a job of --no-block and print its result, cancel it, or let it go", "", command_job},
        {"events", "[OPTION]…", "the log of events", "--since N  those after this number\n-f, --follow  go on as JSON lines\n", command_events},
};

static void print_options(FILE *to, const char *options) {
        g_auto(GStrv) lines = g_strsplit(options, "\n", -1);

        for (char **line = lines; *line && **line; line++) {
                char *text = strstr(*line, "  ");
                if (text && text - *line <= 24)
                        fprintf(to, "      %-24.*s%s\n", (int) (text - *line), *line, text + 2);
                else if (text)
                        fprintf(to, "      %.*s\n      %-24s%s\n", (int) (text - *line), *line, "", text + 2);
                else
                        fprintf(to, "      %s\n", *line);
        }
}

static int usage(FILE *to, int status) {
        fputs("Usage: conbusctl [--json] COMMAND …\n\nCommands, each with --help for its options:\n", to);
        for (size_t i = 0; i < G_N_ELEMENTS(commands); i++)
                fprintf(to, "  %s %s\n      %s\n", commands[i].name, commands[i].arguments, commands[i].text);
        fputs("\nOptions:\n"
              "  --json    what a call returned as JSON, a line each, instead of tables and sentences\n"
              "  --help    this text\n"
              "\nNAME is a name, an id, or the beginning of an id. TIME is 5s, 200ms, 1min, infinity, or seconds.\n"
              "\nExit status: 0 success; 1 failure, with a sentence on standard error; 2 wrong usage; 124 wait: the time is up; 125 run, exec and wait: the trouble is\n"
              "ours, not the container's; otherwise they exit with the container's or command's code, 128+N when signal N ended it.\n"
              "\nEnvironment: NO_COLOR turns colours off; DBUS_SYSTEM_BUS_ADDRESS is another bus.\n"
              "\nExamples:\n"
              "  conbusctl run --rm --rootfs /srv/busybox -- sh -c 'exit 3'; echo $?\n"
              "  conbusctl wait --condition healthy --timeout 30s web\n"
              "  conbusctl job wait $(conbusctl stop --no-block web)\n",
              to);
        return status;
}

static int usage_of(const struct Command *command, FILE *to, int status) {
        fprintf(to, "Usage: conbusctl %s %s\n", command->name, command->arguments);
        if (to == stdout)
                fprintf(to, "      %s\n", command->text);
        if (to == stdout && *command->options) {
                fputs("\nOptions:\n", to);
                print_options(to, command->options);
        }
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
                if (words[1] && g_str_equal(words[1], "--help"))
                        return usage_of(&commands[i], stdout, 0);
                int status = commands[i].run ? commands[i].run(words + 1) : command_verb(commands[i].name, words + 1);
                return status == 2 ? usage_of(&commands[i], stderr, 2) : status;
        }
        fprintf(stderr, "conbusctl: there is no command %s\n", *words);
        return usage(stderr, 2);
}
