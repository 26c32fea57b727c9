/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* wait, health, job: what something came to. */

#include "call.h"
#include "commands.h"
#include "output.h"
#include <stdio.h>
#include <stdlib.h>

int command_wait(char **words) {
        g_autoptr(GPtrArray) conditions = g_ptr_array_new();
        GVariantDict dict;
        unsigned long usec;
        guint64 run;
        char *value;
        int code;

        g_variant_dict_init(&dict, NULL);
        for (; *words && **words == '-'; words++) {
                if (take_option(&words, "--condition", &value))
                        g_ptr_array_add(conditions, value);
                else if (take_option(&words, "--run", &value) && parse_number(value, &run))
                        g_variant_dict_insert(&dict, CONBUS_OPTION_RUN, "t", run);
                else if (take_option(&words, "--after-run", &value) && parse_number(value, &run))
                        g_variant_dict_insert(&dict, CONBUS_OPTION_AFTER_RUN, "t", run);
                else if (g_str_equal(*words, "--final"))
                        g_variant_dict_insert(&dict, CONBUS_OPTION_FINAL, "b", TRUE);
                else if (take_option(&words, "--timeout", &value) && parse_duration(value, &usec))
                        g_variant_dict_insert(&dict, CONBUS_OPTION_TIMEOUT_USEC, "t", (guint64) usec);
                else
                        return 2;
        }
        if (!*words)
                return 2;
        if (conditions->len == 0)
                g_ptr_array_add(conditions, (void *) CONBUS_CONTAINER_STATE_STOPPED);
        g_ptr_array_add(conditions, NULL);
        g_autofree char *path = call_find(*words);
        g_autoptr(GVariant) answer = path ? call_container(path, CONBUS_CONTAINER_WAIT_FOR, g_variant_new("(^as@a{sv})", conditions->pdata, g_variant_dict_end(&dict))) : NULL;
        if (!answer)
                return EXIT_CONBUS;
        const char *condition, *result;
        g_variant_get(answer, "(&sti@i&s@a{sv})", &condition, NULL, &code, NULL, &result, NULL);
        if (want_json)
                print_json(answer);
        else
                printf("%s%s%s %d\n", output_colour(condition), condition, output_plain(), code);
        if (g_str_equal(condition, "timeout"))
                return 124; /* as timeout(1) */
        return g_str_equal(condition, CONBUS_CONTAINER_STATE_STOPPED) || g_str_equal(condition, CONBUS_CONTAINER_STATE_EXITED) ? (code < 0 ? EXIT_CONBUS : code) : EXIT_SUCCESS;
}

static void print_entry(GVariant *entry) {
        guint64 start, end;
        gint32 code;
        const char *output;

        g_variant_get(entry, "(tti&s)", &start, &end, &code, &output);
        g_autofree char *began = output_time(start), *clean = printable(output);
        printf("%-19s  %7.3f s  %4d  %s\n", began, (double) (end - start) / G_USEC_PER_SEC, code, clean);
}

static int show_log(const char *path) {
        g_autoptr(GVariant) answer = call_container(path, CONBUS_HEALTH_GET_LOG, g_variant_new("(u)", 0));

        if (!answer)
                return EXIT_FAILURE;
        g_autoptr(GVariant) entries = g_variant_get_child_value(answer, 0);
        if (want_json) {
                print_json(entries);
                return EXIT_SUCCESS;
        }
        printf("%s%-19s  %9s  %4s  %s%s\n", output_bold(), "STARTED", "TOOK", "CODE", "OUTPUT", output_plain());
        for (gsize i = 0; i < g_variant_n_children(entries); i++) {
                g_autoptr(GVariant) entry = g_variant_get_child_value(entries, i);
                print_entry(entry);
        }
        return EXIT_SUCCESS;
}

static int check_now(const char *path) {
        g_autoptr(GVariant) answer = call_container(path, CONBUS_HEALTH_CHECK, NULL);
        const char *status, *output;
        int code;

        if (!answer)
                return EXIT_FAILURE;
        g_variant_get(answer, "(&si&s)", &status, &code, &output);
        g_autofree char *clean = printable(output);
        if (want_json)
                print_json(answer);
        else
                printf("%s%s%s %d %s\n", output_colour(status), status, output_plain(), code, clean);
        return code == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

int command_health(char **words) {
        if (!words[0] || !words[1] || (!g_str_equal(words[0], "run") && !g_str_equal(words[0], "log")))
                return 2;
        g_autofree char *path = call_find(words[1]);

        return !path ? EXIT_FAILURE : g_str_equal(words[0], "log") ? show_log(path) : check_now(path);
}

/* The job's own error is an error of ours; its path is what --no-block printed. */
int command_job(char **words) {
        static const struct {
                const char *word, *method;
        } methods[] = {{"wait", CONBUS_JOB_WAIT}, {"cancel", CONBUS_JOB_CANCEL}, {"release", CONBUS_JOB_RELEASE}};

        if (!words[0] || !words[1] || !g_variant_is_object_path(words[1]))
                return 2;
        for (size_t i = 0; i < G_N_ELEMENTS(methods); i++) {
                if (!g_str_equal(methods[i].word, words[0]))
                        continue;
                g_autoptr(GVariant) answer = call_job(words[1], methods[i].method, NULL);
                if (answer && g_variant_n_children(answer) > 0) {
                        g_autoptr(GVariant) result = g_variant_get_child_value(answer, 0);
                        print_json(result);
                }
                return answer ? EXIT_SUCCESS : EXIT_FAILURE;
        }
        return 2;
}
