/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* ps, runs, inspect, events: reading. */

#include "call.h"
#include "commands.h"
#include "output.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *owner_of(GVariant *properties) {
        const char *owner = "";

        (void) g_variant_lookup(properties, CONBUS_CONTAINER_MANAGED_BY, "&s", &owner);
        return *owner ? owner : "-";
}

static void print_container(GVariant *properties, int owner_width) {
        const char *id = "", *name = "", *state = "", *command = "", *health = "-";
        guint64 run = 0, next = 0;
        gint32 code = -1;

        (void) g_variant_lookup(properties, CONBUS_CONTAINER_ID, "&s", &id);
        (void) g_variant_lookup(properties, CONBUS_CONTAINER_NAME, "&s", &name);
        (void) g_variant_lookup(properties, CONBUS_CONTAINER_STATE, "&s", &state);
        (void) g_variant_lookup(properties, CONBUS_HEALTH_STATUS, "&s", &health);
        (void) g_variant_lookup(properties, CONBUS_CONTAINER_COMMAND_NAME, "&s", &command);
        (void) g_variant_lookup(properties, CONBUS_CONTAINER_RUN, "t", &run);
        (void) g_variant_lookup(properties, CONBUS_CONTAINER_EXIT_CODE, "i", &code);
        (void) g_variant_lookup(properties, CONBUS_CONTAINER_NEXT_RESTART_TIMESTAMP, "t", &next);
        g_autofree char *clean = printable(command), *due = next ? output_until(next) : g_strdup("-");
        g_autofree char *ended = code >= 0 ? g_strdup_printf("%d", code) : g_strdup("-");
        printf("%.12s  %-20s  %s%-11s%s  %s%-9s%s  %4" G_GUINT64_FORMAT "  %4s  %-12s  %-*s  %s\n", id, name, output_colour(state), state, output_plain(), output_colour(health), health, output_plain(), run,
               ended, due, owner_width, owner_of(properties), clean);
}

static void print_containers(GVariant *list) {
        size_t width = strlen("MANAGED BY");

        for (gsize i = 0; i < g_variant_n_children(list); i++) {
                g_autoptr(GVariant) entry = g_variant_get_child_value(list, i), values = g_variant_get_child_value(entry, 1);
                width = MAX(width, strlen(owner_of(values)));
        }
        printf("%s%-12s  %-20s  %-11s  %-9s  %4s  %4s  %-12s  %-*s  %s%s\n", output_bold(), "ID", "NAME", "STATE", "HEALTH", "RUN", "CODE", "NEXT RESTART", (int) width, "MANAGED BY", "COMMAND", output_plain());
        for (gsize i = 0; i < g_variant_n_children(list); i++) {
                g_autoptr(GVariant) entry = g_variant_get_child_value(list, i), values = g_variant_get_child_value(entry, 1);
                print_container(values, (int) width);
        }
}

int command_ps(char **words) {
        static const char *const properties[] = {CONBUS_CONTAINER_ID, CONBUS_CONTAINER_NAME, CONBUS_CONTAINER_STATE, CONBUS_HEALTH_STATUS, CONBUS_CONTAINER_COMMAND_NAME, CONBUS_CONTAINER_RUN, CONBUS_CONTAINER_EXIT_CODE,
                                                 CONBUS_CONTAINER_NEXT_RESTART_TIMESTAMP, CONBUS_CONTAINER_MANAGED_BY, NULL};
        static const char *const living[] = {CONBUS_CONTAINER_STATE_INITIALIZED, CONBUS_CONTAINER_STATE_RUNNING, CONBUS_CONTAINER_STATE_PAUSED, CONBUS_CONTAINER_STATE_STOPPING, NULL};
        GVariantDict filter;
        bool all = false;
        char *value;

        g_variant_dict_init(&filter, NULL);
        for (; *words; words++) {
                if (g_str_equal(*words, "-a") || g_str_equal(*words, "--all"))
                        all = true;
                else if (take_option(&words, "--label", &value))
                        g_variant_dict_insert(&filter, CONBUS_OPTION_LABEL, "^as", (const char *const[]) {value, NULL});
                else
                        return 2;
        }
        if (!all)
                g_variant_dict_insert(&filter, CONBUS_OPTION_STATE, "^as", living);
        g_autoptr(GVariant) list = call_query(g_variant_dict_end(&filter), properties);
        if (!list)
                return EXIT_FAILURE;
        if (want_json) {
                print_json(list);
                return EXIT_SUCCESS;
        }
        print_containers(list);
        return EXIT_SUCCESS;
}

static void print_run(GVariant *record) {
        guint64 number = 0, start = 0, finish = 0;
        gint32 code = -1;
        const char *result = "", *reason = "";

        (void) g_variant_lookup(record, CONBUS_FIELD_RUN, "t", &number);
        (void) g_variant_lookup(record, CONBUS_FIELD_START, "t", &start);
        (void) g_variant_lookup(record, CONBUS_FIELD_FINISH, "t", &finish);
        (void) g_variant_lookup(record, CONBUS_FIELD_EXIT_CODE, "i", &code);
        (void) g_variant_lookup(record, CONBUS_FIELD_RESULT, "&s", &result);
        (void) g_variant_lookup(record, CONBUS_FIELD_REASON, "&s", &reason);
        g_autofree char *began = output_time(start), *ended = output_time(finish);
        printf("%4" G_GUINT64_FORMAT "  %-19s  %-19s  %4d  %s%-12s%s  %s\n", number, began, ended, code, output_colour(result), *result ? result : "-", output_plain(), reason);
}

int command_runs(char **words) {
        if (!words[0])
                return 2;
        g_autoptr(GVariant) answer = call_manager(CONBUS_MANAGER_LIST_RUNS, g_variant_new("(su)", words[0], 0));
        if (!answer)
                return EXIT_FAILURE;
        g_autoptr(GVariant) list = g_variant_get_child_value(answer, 0);
        if (want_json) {
                print_json(list);
                return EXIT_SUCCESS;
        }
        printf("%s%4s  %-19s  %-19s  %4s  %-12s  %s%s\n", output_bold(), "RUN", "STARTED", "FINISHED", "CODE", "RESULT", "REASON", output_plain());
        for (gsize i = 0; i < g_variant_n_children(list); i++) {
                g_autoptr(GVariant) record = g_variant_get_child_value(list, i);
                print_run(record);
        }
        return EXIT_SUCCESS;
}

int command_inspect(char **words) {
        if (!words[0])
                return 2;
        g_autofree char *path = call_find(words[0]);
        g_autoptr(GVariant) answer = path ? call_container(path, CONBUS_CONTAINER_INSPECT, NULL) : NULL;
        const char *json;

        if (!answer)
                return EXIT_FAILURE;
        g_variant_get(answer, "(&s)", &json);
        puts(json);
        return EXIT_SUCCESS;
}

static void print_event(guint64 usec, const char *action, const char *id, GVariant *details) {
        const char *name = "";
        gint32 code;

        (void) g_variant_lookup(details, "name", "&s", &name);
        g_autofree char *when = output_time(usec);
        printf("%s  %-16s  %.12s  %s", when, action, id, name);
        if (g_variant_lookup(details, CONBUS_FIELD_EXIT_CODE, "i", &code))
                printf("  (exit code %d)", code);
        putchar('\n');
}

/* Without --follow what is in the log; with it JSON lines as they come, until the reader has enough. */
int command_events(char **words) {
        guint64 since = 0;
        bool follow = false;
        char *value;

        for (; *words; words++) {
                if (take_option(&words, "--since", &value)) {
                        if (!parse_number(value, &since))
                                return 2;
                } else if (g_str_equal(*words, "--follow") || g_str_equal(*words, "-f"))
                        follow = true;
                else
                        return 2;
        }
        if (follow) {
                int fd = -1;
                g_autoptr(GVariant) opened = call_with_fd(CONBUS_MANAGER_OPEN_EVENTS, g_variant_new("(t@a{sv})", since, g_variant_new("a{sv}", NULL)), &fd);
                char buffer[65536];
                if (!opened)
                        return EXIT_FAILURE;
                for (ssize_t n; (n = read(fd, buffer, sizeof buffer)) > 0;)
                        if (write(STDOUT_FILENO, buffer, (size_t) n) != n)
                                break;
                return EXIT_SUCCESS;
        }
        g_autoptr(GVariant) answer = call_manager(CONBUS_MANAGER_GET_EVENTS, g_variant_new("(tu@a{sv})", since, 10000, g_variant_new("a{sv}", NULL)));
        if (!answer)
                return EXIT_FAILURE;
        g_autoptr(GVariant) list = g_variant_get_child_value(answer, 0);
        if (want_json) {
                print_json(list);
                return EXIT_SUCCESS;
        }
        for (gsize i = 0; i < g_variant_n_children(list); i++) {
                guint64 usec;
                const char *action, *id;
                g_autoptr(GVariant) event = g_variant_get_child_value(list, i), details = g_variant_get_child_value(event, 6);
                g_variant_get_child(event, 1, "t", &usec);
                g_variant_get_child(event, 3, "&s", &action);
                g_variant_get_child(event, 5, "&s", &id);
                print_event(usec, action, id, details);
        }
        return EXIT_SUCCESS;
}
