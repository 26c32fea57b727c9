/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* create and run: options become creation keys; --set reaches every key there is, with the type that introspection/config-keys.txt gives it. */

#include "call.h"
#include "commands.h"
#include "conbus-config-keys.h"
#include "session.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct Creation {
        GVariantDict config;
        char *name, *bundle;
        bool runs; /* the command is run: what is attached ends the input when it does */
        bool detach, input, terminal, removes, no_streams;
        char *detach_keys;
        GPtrArray *env, *labels;
} Creation;

/* Options that are creation keys under another spelling. */
static const struct {
        const char *option, *key;
} spellings[] = {{"--rootfs", CONBUS_KEY_ROOTFS}, {"--user", CONBUS_KEY_USER}, {"--cwd", CONBUS_KEY_CWD}, {"--hostname", CONBUS_KEY_HOSTNAME}, {"--network", CONBUS_KEY_NETWORK}, {"--restart", CONBUS_KEY_RESTART_POLICY}, {"--notify", CONBUS_KEY_NOTIFY}, {"--seccomp", CONBUS_KEY_SECCOMP}};

static const char *type_of_key(const char *key) {
        for (const ConfigKey *known = conbus_config_keys; known->name; known++)
                if (g_str_equal(known->name, key))
                        return known->type;
        return NULL;
}

static bool set_key(Creation *creation, const char *assignment) {
        const char *equals = strchr(assignment, '=');
        g_autofree char *key = equals ? g_strndup(assignment, (gsize) (equals - assignment)) : NULL;
        const char *type = key ? type_of_key(key) : NULL;
        g_autoptr(GError) error = NULL;

        if (!type) {
                fprintf(stderr, "conbusctl: --set %s: write KEY=VALUE with a creation key\n", assignment);
                return false;
        }
        GVariant *value = g_str_equal(type, "s") ? g_variant_ref_sink(g_variant_new_string(equals + 1)) : g_variant_parse(G_VARIANT_TYPE(type), equals + 1, NULL, NULL, &error);
        if (!value) {
                fprintf(stderr, "conbusctl: --set %s: not a value of the D-Bus type %s: %s\n", assignment, type, error->message);
                return false;
        }
        g_variant_dict_insert_value(&creation->config, key, value);
        g_variant_unref(value);
        return true;
}

static bool set_label(Creation *creation, const char *label) {
        if (!strchr(label, '=')) {
                fprintf(stderr, "conbusctl: --label %s: write KEY=VALUE\n", label);
                return false;
        }
        g_ptr_array_add(creation->labels, (void *) label);
        return true;
}

/* 1: taken, 0: no option, -1: wrong. */
static int take_creation_option(Creation *creation, char ***words) {
        char *value;

        if (g_str_equal(**words, "-d") || g_str_equal(**words, "--detach"))
                creation->detach = true;
        else if (g_str_equal(**words, "-i") || g_str_equal(**words, "--interactive"))
                creation->input = true;
        else if (g_str_equal(**words, "-t") || g_str_equal(**words, "--tty"))
                creation->terminal = true;
        else if (g_str_equal(**words, "-it") || g_str_equal(**words, "-ti"))
                creation->input = creation->terminal = true;
        else if (take_option(words, "--detach-keys", &value))
                creation->detach_keys = value;
        else if (g_str_equal(**words, "--rm"))
                g_variant_dict_insert(&creation->config, CONBUS_KEY_AUTO_REMOVE, "b", creation->removes = true);
        else if (g_str_equal(**words, "--read-only"))
                g_variant_dict_insert(&creation->config, CONBUS_KEY_READ_ONLY, "b", TRUE);
        else if (take_option(words, "--name", &value))
                creation->name = value;
        else if (take_option(words, "--bundle", &value))
                creation->bundle = value;
        else if (take_option(words, "--env", &value))
                g_ptr_array_add(creation->env, value);
        else if (take_option(words, "--label", &value))
                return set_label(creation, value) ? 1 : -1;
        else if (take_option(words, "--set", &value))
                return set_key(creation, value) ? 1 : -1;
        else {
                for (size_t i = 0; i < G_N_ELEMENTS(spellings); i++)
                        if (take_option(words, spellings[i].option, &value)) {
                                g_variant_dict_insert(&creation->config, spellings[i].key, "s", value);
                                return 1;
                        }
                if (***words != '-')
                        return 0;
                fprintf(stderr, "conbusctl: unknown option %s\n", **words);
                return -1;
        }
        return 1;
}

static GVariant *finish_config(Creation *creation, char **command) {
        const char *driver = "";

        creation->no_streams = g_variant_dict_lookup(&creation->config, CONBUS_KEY_LOG_DRIVER, "&s", &driver) && g_str_equal(driver, "passthrough");
        if (creation->env->len > 0) {
                g_ptr_array_add(creation->env, NULL);
                g_variant_dict_insert(&creation->config, CONBUS_KEY_ENV, "^as", creation->env->pdata);
        }
        if (creation->labels->len > 0) {
                GVariantBuilder labels;
                g_variant_builder_init(&labels, G_VARIANT_TYPE("a{ss}"));
                for (guint i = 0; i < creation->labels->len; i++) {
                        g_auto(GStrv) parts = g_strsplit(creation->labels->pdata[i], "=", 2);
                        g_variant_builder_add(&labels, "{ss}", parts[0], parts[1]);
                }
                g_variant_dict_insert_value(&creation->config, CONBUS_KEY_LABELS, g_variant_builder_end(&labels));
        }
        if (creation->terminal)
                g_variant_dict_insert(&creation->config, CONBUS_KEY_TERMINAL, "b", TRUE);
        if (creation->input)
                g_variant_dict_insert(&creation->config, CONBUS_KEY_STDIN_OPEN, "b", TRUE);
        if (creation->input && creation->runs && !creation->detach)
                g_variant_dict_insert(&creation->config, CONBUS_KEY_STDIN_ONCE, "b", TRUE);
        if (*command)
                g_variant_dict_insert(&creation->config, CONBUS_KEY_COMMAND, "^as", command);
        return g_variant_dict_end(&creation->config);
}

static char *create(Creation *creation, char **words) {
        char *path = NULL;

        for (; *words; words++) {
                if (g_str_equal(*words, "--")) {
                        words++;
                        break;
                }
                int taken = take_creation_option(creation, &words);
                if (taken < 0)
                        return NULL;
                if (taken == 0)
                        break;
        }
        GVariant *config = finish_config(creation, words);
        const char *name = creation->name ? creation->name : "";
        g_autoptr(GVariant) answer = creation->bundle ? call_manager(CONBUS_MANAGER_CREATE_CONTAINER_FROM_BUNDLE, g_variant_new("(ss@a{sv})", name, creation->bundle, config))
                                                      : call_manager(CONBUS_MANAGER_CREATE_CONTAINER, g_variant_new("(ss@a{sv})", name, "", config));
        if (answer)
                g_variant_get(answer, "(o)", &path);
        return path;
}

static void creation_init(Creation *creation) {
        *creation = (Creation) {.env = g_ptr_array_new(), .labels = g_ptr_array_new()};
        g_variant_dict_init(&creation->config, NULL);
}

static void print_id(const char *id) {
        g_autoptr(GVariant) text = g_variant_ref_sink(g_variant_new_string(id));

        if (want_json)
                print_json(text);
        else
                puts(id);
}

int command_create(char **words) {
        Creation creation;

        creation_init(&creation);
        g_autofree char *path = create(&creation, words);
        if (!path)
                return EXIT_FAILURE;
        print_id(strrchr(path, '/') + 1);
        return EXIT_SUCCESS;
}

/* A container that could not be started is removed again; the code says why. */
static int fail_start(const char *path) {
        g_autoptr(GVariant) record = call_manager(CONBUS_MANAGER_GET_RUN, g_variant_new("(st)", strrchr(path, '/') + 1, (guint64) 0));
        g_autoptr(GVariant) removed = call_container(path, CONBUS_CONTAINER_REMOVE_WITH, g_variant_new_parsed("({'" CONBUS_OPTION_FORCE "': <true>},)"));
        g_autoptr(GVariant) fields = record ? g_variant_get_child_value(record, 0) : NULL;
        int code;

        return fields && g_variant_lookup(fields, CONBUS_FIELD_EXIT_CODE, "i", &code) && code > 0 ? code : EXIT_CONBUS;
}

static int run_detached(const char *path) {
        g_autoptr(GVariant) started = call_container(path, CONBUS_CONTAINER_START, NULL);

        if (!started)
                return fail_start(path);
        print_id(strrchr(path, '/') + 1);
        return EXIT_SUCCESS;
}

/* The streams come to us; the exit status is the container's code. */
static int run_attached(const char *path, const Creation *creation) {
        GVariant *attach = session_options(creation->input, creation->terminal, creation->detach_keys);
        Session session = {.path = path, .fd = -1, .input = creation->input, .terminal = creation->terminal};
        g_autoptr(GVariant) started = call_container_with_fd(path, CONBUS_CONTAINER_START_WITH, g_variant_new_parsed("({'" CONBUS_OPTION_ATTACH "': <%@a{sv}>},)", attach), &session.fd);

        if (!started)
                return fail_start(path);
        int status = session_run(&session);
        if (session.exited && creation->removes) { /* who asked for that can use its name again */
                g_autoptr(GVariant) answer = call_manager(CONBUS_MANAGER_WAIT_ANY, g_variant_new_parsed("([(%o, @t 0)], ['removed'], @a{sv} {})", path));
        }
        return status;
}

/* Without streams (log driver passthrough) there is only the end to wait for. */
static int run_and_wait(const char *path) {
        g_autoptr(GVariant) started = call_container(path, CONBUS_CONTAINER_START, NULL);
        guint64 run;
        int code;

        if (!started)
                return fail_start(path);
        g_variant_get(started, "(t)", &run);
        g_autoptr(GVariant) answer = call_manager(CONBUS_MANAGER_WAIT_ANY, g_variant_new_parsed("([(%o, %t)], ['" CONBUS_CONTAINER_STATE_STOPPED "'], @a{sv} {})", path, run));
        g_autoptr(GVariant) details = answer ? g_variant_get_child_value(answer, 4) : NULL;
        return details && g_variant_lookup(details, CONBUS_FIELD_EXIT_CODE, "i", &code) && code >= 0 ? code : EXIT_CONBUS;
}

int command_run(char **words) {
        Creation creation;

        creation_init(&creation);
        creation.runs = true;
        g_autofree char *path = create(&creation, words);
        if (!path)
                return EXIT_CONBUS;
        if (creation.detach)
                return run_detached(path);
        return creation.no_streams ? run_and_wait(path) : run_attached(path, &creation);
}
