/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Verbs on containers, at once or as jobs; rename, policies. */

#include "call.h"
#include "commands.h"
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int take_option(char ***words, const char *name, char **ret) {
        size_t length = strlen(name);

        if (g_str_equal(**words, name) && (*words)[1]) {
                *ret = (*words)[1];
                (*words)++;
                return 1;
        }
        if (strncmp(**words, name, length) != 0 || (**words)[length] != '=')
                return 0;
        *ret = **words + length + 1;
        return 1;
}

bool parse_number(const char *text, guint64 *ret) {
        return g_ascii_string_to_unsigned(text, 10, 0, G_MAXUINT64, ret, NULL);
}

int parse_duration(const char *text, unsigned long *ret) {
        static const struct {
                const char *unit;
                double usec;
        } units[] = {{"", 1e6}, {"s", 1e6}, {"ms", 1e3}, {"us", 1}, {"min", 6e7}, {"h", 3.6e9}};
        char *end;
        double number = g_ascii_strtod(text, &end);

        if (g_str_equal(text, "infinity")) {
                *ret = G_MAXULONG;
                return 1;
        }
        if (end == text || !(number >= 0) || number > 1e9)
                return 0;
        for (size_t i = 0; i < G_N_ELEMENTS(units); i++)
                if (g_str_equal(end, units[i].unit)) {
                        *ret = (unsigned long) (number * units[i].usec);
                        return 1;
                }
        return 0;
}

static int signal_number(const char *word) {
        static const struct {
                const char *name;
                int number;
        } names[] = {{"HUP", SIGHUP}, {"INT", SIGINT}, {"QUIT", SIGQUIT}, {"KILL", SIGKILL}, {"USR1", SIGUSR1}, {"USR2", SIGUSR2}, {"TERM", SIGTERM}, {"CONT", SIGCONT}, {"STOP", SIGSTOP}, {"WINCH", SIGWINCH}};

        if (g_str_has_prefix(word, "SIG"))
                word += 3;
        for (size_t i = 0; i < G_N_ELEMENTS(names); i++)
                if (g_str_equal(names[i].name, word))
                        return names[i].number;
        return atoi(word);
}

typedef struct VerbOptions {
        GVariantDict dict;
        char *signal;
        bool no_block;
} VerbOptions;

static int take_verb_options(VerbOptions *options, char ***words) {
        unsigned long usec;
        char *value;

        for (; **words && ***words == '-'; (*words)++) {
                if (g_str_equal(**words, "--force") || g_str_equal(**words, "-f"))
                        g_variant_dict_insert(&options->dict, CONBUS_OPTION_FORCE, "b", TRUE);
                else if (g_str_equal(**words, "--recursive"))
                        g_variant_dict_insert(&options->dict, CONBUS_OPTION_RECURSIVE, "b", TRUE);
                else if (g_str_equal(**words, "--dependents"))
                        g_variant_dict_insert(&options->dict, CONBUS_OPTION_DEPENDENTS, "b", TRUE);
                else if (g_str_equal(**words, "--force-direct"))
                        g_variant_dict_insert(&options->dict, CONBUS_OPTION_FORCE_DIRECT, "b", TRUE);
                else if (g_str_equal(**words, "--no-block"))
                        options->no_block = true;
                else if (take_option(words, "--wait", &value))
                        g_variant_dict_insert(&options->dict, CONBUS_OPTION_WAIT, "s", value);
                else if (take_option(words, "--signal", &value) || take_option(words, "-s", &value))
                        options->signal = value;
                else if ((take_option(words, "--timeout", &value) || take_option(words, "-t", &value)) && parse_duration(value, &usec))
                        g_variant_dict_insert(&options->dict, CONBUS_OPTION_TIMEOUT_USEC, "t", (guint64) usec);
                else {
                        fprintf(stderr, "conbusctl: unknown or incomplete option %s\n", **words);
                        return 0;
                }
        }
        return 1;
}

static GVariant *call_verb(const char *verb, const char *path, GVariant *dict, const char *signal) {
        if (g_str_equal(verb, "kill"))
                return call_container(path, CONBUS_CONTAINER_KILL, g_variant_new("(si)", "leader", signal ? signal_number(signal) : SIGKILL));
        if (g_str_equal(verb, "pause"))
                return call_container(path, CONBUS_CONTAINER_PAUSE, NULL);
        if (g_str_equal(verb, "resume"))
                return call_container(path, CONBUS_CONTAINER_RESUME, NULL);
        if (g_str_equal(verb, "enable") || g_str_equal(verb, "disable"))
                return call_container(path, CONBUS_CONTAINER_SET_AUTO_START, g_variant_new("(s)", g_str_equal(verb, "enable") ? "enabled" : "disabled"));
        const char *method = g_str_equal(verb, "start") ? CONBUS_CONTAINER_START_WITH : g_str_equal(verb, "stop") ? CONBUS_CONTAINER_STOP_WITH : g_str_equal(verb, "restart") ? CONBUS_CONTAINER_RESTART_WITH : CONBUS_CONTAINER_REMOVE_WITH;
        return call_container(path, method, g_variant_new("(@a{sv})", dict));
}

/* enable and disable are update to a job, and rm is remove. */
static GVariant *queue_verb(const char *verb, const char *path, GVariant *dict, const char *signal) {
        GVariantDict options;

        g_variant_dict_init(&options, dict);
        if (g_str_equal(verb, "kill")) {
                g_variant_dict_insert(&options, CONBUS_OPTION_WHOM, "s", "leader");
                g_variant_dict_insert(&options, CONBUS_OPTION_SIGNAL, "i", signal ? signal_number(signal) : SIGKILL);
        } else if (g_str_equal(verb, "enable") || g_str_equal(verb, "disable")) {
                g_variant_dict_insert(&options, CONBUS_OPTION_AUTO_START, "b", g_str_equal(verb, "enable"));
                verb = "update";
        } else if (g_str_equal(verb, "rm"))
                verb = "remove";
        return call_container(path, CONBUS_CONTAINER_QUEUE, g_variant_new("(s@a{sv})", verb, g_variant_dict_end(&options)));
}

/* With --json what the call returned, one line for each container; else the path of a job, and nothing for what is done. */
static void print_answer(GVariant *answer, bool no_block) {
        const char *job;

        if (want_json)
                print_json(answer);
        else if (no_block) {
                g_variant_get(answer, "(&o)", &job);
                puts(job);
        }
}

/* The unit of the service manager that does it instead, or "". */
static char *owner_of(const char *verb, const char *path, GVariant *dict) {
        static const char *const verbs[] = {"start", "stop", "restart", "rm", NULL};
        gboolean direct = FALSE;

        (void) g_variant_lookup(dict, CONBUS_OPTION_FORCE_DIRECT, "b", &direct);
        return direct || !g_strv_contains(verbs, verb) ? g_strdup("") : call_get_owner(path);
}

static bool do_verb(const char *verb, const char *name, const VerbOptions *options, GVariant *dict) {
        g_autofree char *path = call_find(name), *owner = path ? owner_of(verb, path, dict) : NULL;
        g_autoptr(GVariant) answer = !path ? NULL : options->no_block ? queue_verb(verb, path, dict, options->signal) : call_verb(verb, path, dict, options->signal);

        if (!answer)
                return false;
        print_answer(answer, options->no_block);
        if (*owner && !want_json)
                fprintf(stderr, "%s: %s by a job of the service manager on %s\n", name, options->no_block ? "goes" : "done", owner);
        return true;
}

int command_verb(const char *verb, char **words) {
        VerbOptions options = {0};
        int status = EXIT_SUCCESS;

        g_variant_dict_init(&options.dict, NULL);
        if (!take_verb_options(&options, &words))
                return 2;
        if (!*words) {
                fprintf(stderr, "conbusctl %s: name a container\n", verb);
                return 2;
        }
        if (options.signal && !g_str_equal(verb, "kill"))
                g_variant_dict_insert(&options.dict, CONBUS_OPTION_SIGNAL, "i", signal_number(options.signal));
        g_autoptr(GVariant) dict = g_variant_ref_sink(g_variant_dict_end(&options.dict));
        for (; *words; words++)
                if (!do_verb(verb, *words, &options, dict))
                        status = EXIT_FAILURE;
        return status;
}

int command_rename(char **words) {
        if (!words[0] || !words[1])
                return 2;
        g_autofree char *path = call_find(words[0]);
        g_autoptr(GVariant) answer = path ? call_container(path, CONBUS_CONTAINER_RENAME, g_variant_new("(s)", words[1])) : NULL;
        return answer ? EXIT_SUCCESS : EXIT_FAILURE;
}

int command_set_restart_policy(char **words) {
        if (!words[0] || !words[1])
                return 2;
        g_auto(GStrv) parts = g_strsplit(words[1], ":", 2);
        g_autofree char *path = call_find(words[0]);
        g_autoptr(GVariant) answer = path ? call_container(path, CONBUS_CONTAINER_SET_RESTART_POLICY, g_variant_new("(su)", parts[0], (guint32) (parts[1] ? atoi(parts[1]) : 0))) : NULL;
        return answer ? EXIT_SUCCESS : EXIT_FAILURE;
}
