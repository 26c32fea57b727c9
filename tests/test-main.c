/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The command line of conbusd. What it does without an option is in test-manager.c. */

#include "runtime/process.h"
#include "testing.h"
#include <string.h>
#include <sys/wait.h>

typedef struct Outcome {
        unsigned n;
        int status;
        char *output, *errors;
} Outcome;

static void on_ended(const ProcessResult *result, void *userdata) {
        Outcome *outcome = userdata;

        *outcome = (Outcome) {.n = 1, .status = result->status, .output = g_strdup(result->output), .errors = g_strdup(result->errors)};
}

static void run(const char *const *options, Outcome *outcome) {
        g_autoptr(sd_event) event = NULL;
        g_autofree char *program = testing_built("service/conbusd");
        const char *argv[8] = {program};
        ProcessSpec spec = PROCESS_SPEC_INIT;
        g_autoptr(GError) error = NULL;

        for (unsigned i = 0; options[i]; i++)
                argv[i + 1] = options[i];
        g_assert_cmpint(sd_event_new(&event), >=, 0);
        g_autoptr(Reaper) reaper = reaper_new(event);
        spec.argv = argv;
        (void) !process_begin(event, reaper, &spec, on_ended, outcome, &error);
        g_assert_no_error(error);
        testing_run_until_count(event, &outcome->n, 1);
}

static void expect(const char *const *options, int status, const char *output, const char *errors) {
        Outcome outcome = {0};

        run(options, &outcome);
        g_assert_true(WIFEXITED(outcome.status));
        g_assert_cmpint(WEXITSTATUS(outcome.status), ==, status);
        g_assert_true(g_str_has_prefix(outcome.output, output));
        g_assert_true(*output || !*outcome.output);
        g_assert_nonnull(strstr(outcome.errors, errors));
        g_assert_true(*errors || !*outcome.errors);
        g_free(outcome.output);
        g_free(outcome.errors);
}

static void test_help_and_version(void) {
        expect((const char *const[]) {"--help", NULL}, 0, "Usage: conbusd ", "");
        expect((const char *const[]) {"--version", NULL}, 0, "conbusd " CONBUS_VERSION "\n", "");
        expect((const char *const[]) {"--log-level=debug", "--version", NULL}, 0, "conbusd ", "");
}

static void test_what_is_wrong(void) {
        expect((const char *const[]) {"--odd", NULL}, 2, "", "Usage: conbusd ");
        expect((const char *const[]) {"-h", NULL}, 2, "", "Usage: conbusd ");
        expect((const char *const[]) {"--log-level=loud", NULL}, 2, "", "Usage: conbusd ");
        expect((const char *const[]) {"--state-directory", NULL}, 2, "", "Usage: conbusd ");
}

static void test_a_checkpoint_of_nothing(void) {
        expect((const char *const[]) {"--checkpoint", "/nonexistent/directory", NULL}, 1, "", "/nonexistent/directory");
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/main/help-and-version", test_help_and_version);
        g_test_add_func("/main/what-is-wrong", test_what_is_wrong);
        g_test_add_func("/main/a-checkpoint-of-nothing", test_a_checkpoint_of_nothing);
        return g_test_run();
}
