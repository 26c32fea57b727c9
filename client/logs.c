/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* logs: the log of a container, to its end or as long as it goes on. */

#include "call.h"
#include "commands.h"
#include "moment.h"
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define PIECE (256 * 1024)

static int complain(const char *option, const char *value, const char *wanted) {
        fprintf(stderr, "conbusctl logs: %s %s: %s\n", option, value, wanted);
        return 0;
}

static int take_time(GVariantDict *options, const char *key, const char *option, const char *value) {
        guint64 usec;

        if (!moment_parse(value, (guint64) g_get_real_time(), &usec))
                return complain(option, value, "this is no time; there are \"2026-11-26 12:34:56\", \"12:34\", yesterday, @SECONDS, -1h30min, \"5 min ago\" and 10m, which is as long ago");
        g_variant_dict_insert(options, key, "t", usec);
        return 1;
}

static int take_number(GVariantDict *options, const char *key, const char *type, const char *option, const char *value) {
        guint64 number;

        if (!g_ascii_string_to_unsigned(value, 10, 0, *type == 'u' ? G_MAXUINT32 : G_MAXUINT64, &number, NULL))
                return complain(option, value, "give a number");
        if (*type == 'u')
                g_variant_dict_insert(options, key, "u", (guint32) number);
        else
                g_variant_dict_insert(options, key, "t", number);
        return 1;
}

static int take_logs_option(GVariantDict *options, char ***words) {
        char *value;

        if (g_str_equal(**words, "-f") || g_str_equal(**words, "--follow"))
                g_variant_dict_insert(options, CONBUS_OPTION_FOLLOW, "b", TRUE);
        else if (g_str_equal(**words, "-t") || g_str_equal(**words, "--timestamps"))
                g_variant_dict_insert(options, CONBUS_OPTION_TIMESTAMPS, "b", TRUE);
        else if (take_option(words, "--since", &value))
                return take_time(options, CONBUS_OPTION_SINCE_USEC, "--since", value);
        else if (take_option(words, "--until", &value))
                return take_time(options, CONBUS_OPTION_UNTIL_USEC, "--until", value);
        else if (take_option(words, "--tail", &value) || take_option(words, "-n", &value))
                return g_str_equal(value, "all") || take_number(options, CONBUS_OPTION_TAIL, "u", "--tail", value);
        else if (take_option(words, "--run", &value))
                return take_number(options, CONBUS_OPTION_RUN, "t", "--run", value);
        else if (take_option(words, "--cursor", &value))
                g_variant_dict_insert(options, CONBUS_OPTION_CURSOR, "s", value);
        else if (take_option(words, "--stream", &value)) {
                const char *const streams[] = {value, NULL};
                g_variant_dict_insert(options, CONBUS_OPTION_STREAMS, "^as", streams);
        } else if (g_str_equal(**words, "--json"))
                want_json = true;
        else
                return complain("", **words, "unknown or incomplete option");
        return 1;
}

static int write_all(const char *data, size_t size) {
        while (size > 0) {
                ssize_t n = write(STDOUT_FILENO, data, size);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return errno == EPIPE ? 128 + SIGPIPE : EXIT_FAILURE;
                data += n;
                size -= (size_t) n;
        }
        return EXIT_SUCCESS;
}

static int copy(int fd) {
        g_autofree char *piece = g_malloc(PIECE);
        int status = EXIT_SUCCESS;

        while (status == EXIT_SUCCESS) {
                ssize_t n = read(fd, piece, PIECE);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        status = EXIT_FAILURE;
                if (n <= 0)
                        break;
                status = write_all(piece, (size_t) n);
        }
        if (status == EXIT_FAILURE)
                fprintf(stderr, "conbusctl logs: %s\n", g_strerror(errno));
        return status;
}

int command_logs(char **words) {
        GVariantDict options;
        int fd = -1;

        g_variant_dict_init(&options, NULL);
        for (; *words && **words == '-'; words++)
                if (!take_logs_option(&options, &words)) {
                        g_variant_dict_clear(&options);
                        return 2;
                }
        if (!*words || words[1]) {
                g_variant_dict_clear(&options);
                return 2;
        }
        if (want_json)
                g_variant_dict_insert(&options, CONBUS_OPTION_FORMAT, "s", "json");
        (void) signal(SIGPIPE, SIG_IGN);
        g_autoptr(GVariant) dict = g_variant_ref_sink(g_variant_dict_end(&options));
        g_autofree char *path = call_find(*words);
        g_autoptr(GVariant) answer = path ? call_container_with_fd(path, CONBUS_CONTAINER_OPEN_LOG, g_variant_new("(@a{sv})", dict), &fd) : NULL;
        if (!answer || fd < 0)
                return EXIT_FAILURE;
        int status = copy(fd);
        close(fd);
        return status;
}
