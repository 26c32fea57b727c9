/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* conbusctl: chooses the command. */

#include "call.h"
#include "conbusctl-commands.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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

/* What is opened in the place of a closed one would be taken for it: the bus for standard output. */
static void fill_standard_descriptors(void) {
        int fd;

        do
                fd = open("/dev/null", O_RDWR | O_CLOEXEC);
        while (fd >= 0 && fd <= STDERR_FILENO);
        if (fd < 0)
                exit(EXIT_CONBUS);
        close(fd);
}

int main(int argc, char *argv[]) {
        char **words = argv + 1;

        fill_standard_descriptors();
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
