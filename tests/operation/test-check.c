/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One health check: what the end of crun exec is taken for, what is kept of its output, how it is called and killed. crun is a script. */

#include "fixture.h"
#include "operation/check.h"
#include <errno.h>
#include <signal.h>
#include <string.h>

typedef struct Checked {
        unsigned n;
        int code;
        char *output;
        guint64 start_usec, end_usec;
} Checked;

static void checked_clear(Checked *checked) {
        g_free(checked->output);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Checked, checked_clear)

static void on_checked(const CheckResult *result, void *userdata) {
        Checked *checked = userdata;

        checked->n++;
        checked->code = result->code;
        checked->start_usec = result->start_usec;
        checked->end_usec = result->end_usec;
        g_free(checked->output);
        checked->output = g_strdup(result->output);
}

static const char *const plain_test[] = {"CMD", "true", NULL};

static Check *begin(Fixture *fixture, Container *container, const char *script, const char *const *test, guint64 timeout_usec, gsize output_max, Checked *checked) {
        g_autofree char *program = testing_program(fixture->directory, "crun", script);
        g_autoptr(GError) error = NULL;

        fixture->paths.crun = program;
        Check *check = check_begin(fixture->engine, container, test, timeout_usec, output_max, on_checked, checked, &error);
        g_assert_no_error(error);
        fixture->paths.crun = (char *) "/bin/true";
        g_assert_cmpuint(checked->n, ==, 0);
        return check;
}

static void run(Fixture *fixture, Container *container, const char *script, const char *const *test, gsize output_max, Checked *checked) {
        (void) begin(fixture, container, script, test, 60 * G_USEC_PER_SEC, output_max, checked);
        testing_run_until_count(fixture->event, &checked->n, 1);
}

/* crun's own failures are in its log. */
#define SAY_IN_LOG "for word; do [ \"$before\" = --log ] && log=$word; before=$word; done; mkdir -p ${log%/*}; echo '{\"msg\": \"container is not running\"}' >$log; "

static void test_codes(Fixture *fixture, gconstpointer unused) {
        static const struct {
                const char *script;
                int code;
        } table[] = {
                {"exit 0", 0},
                {"exit 1", 1},
                {"exit 2", 1},
                {"exit 124", 1},
                {"exit 125", 1},
                {"exit 126", 1},
                {"exit 127", 1}, /* the shell's own */
                {"exit 255", 1},
                {"kill -9 $$", 125},
                {"echo 'container x does not exist' >&2; exit 1", 1}, /* the check's own words */
                {SAY_IN_LOG "exit 1", 125},
                {SAY_IN_LOG "exit 255", 125},
        };
        Container *container = fixture_add(fixture, "web", "@a{sv} {}");

        for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
                g_auto(Checked) checked = {0};
                run(fixture, container, table[i].script, plain_test, 0, &checked);
                if (checked.code != table[i].code)
                        g_error("%s: %d", table[i].script, checked.code);
                g_assert_cmpuint(checked.end_usec, >=, checked.start_usec);
        }
}

static void test_output_is_kept_as_text(Fixture *fixture, gconstpointer unused) {
        static const struct {
                const char *script;
                gsize max;
                const char *output;
        } table[] = {
                {"echo out; echo err >&2", 0, "out\nerr"},
                {"printf 'abc\\n\\n'", 0, "abc"},
                {"true", 0, ""},
                {"printf abcdef", 3, "abc"},
                {"printf abc", 3, "abc"},
                {"printf '\\303\\244\\303\\266\\303\\274'", 2, "äö"}, /* characters, not bytes */
                {"printf 'a\\377b'", 0, "a\xef\xbf\xbd" "b"},
        };
        Container *container = fixture_add(fixture, "web", "@a{sv} {}");

        for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
                g_auto(Checked) checked = {0};
                run(fixture, container, table[i].script, plain_test, table[i].max, &checked);
                g_assert_cmpstr(checked.output, ==, table[i].output);
        }
}

/* A check that never stops writing costs no more memory than what is kept of it, and holds up nothing. */
static void test_endless_output_is_bounded(Fixture *fixture, gconstpointer unused) {
        Container *container = fixture_add(fixture, "web", "@a{sv} {}");
        g_auto(Checked) checked = {0}, brief = {0};

        run(fixture, container, "yes | head -c 300000000; echo the end; exit 1", plain_test, 500, &checked);
        g_assert_cmpint(checked.code, ==, 1);
        g_assert_cmpuint(strlen(checked.output), ==, 500);
        (void) begin(fixture, container, "exec yes", plain_test, 200000, 0, &brief);
        testing_run_until_count(fixture->event, &brief.n, 1);
        g_assert_cmpint(brief.code, ==, -1);
        g_assert_cmpuint(strlen(brief.output), <=, 1 << 20);
}

/* The next service knows nothing of it; under the sanitizers this is where a leak shows. */
static void test_a_service_that_leaves_takes_its_checks_along(Fixture *fixture, gconstpointer unused) {
        Container *container = fixture_add(fixture, "web", "@a{sv} {}");
        g_auto(Checked) checked = {0};

        check_abandon(begin(fixture, container, "exec sleep 1000", plain_test, G_TIME_SPAN_DAY, 0, &checked));
        fixture_crash(fixture, NULL);
        g_assert_cmpuint(checked.n, ==, 0);
        g_assert_nonnull(registry_find(fixture->registry, "web", NULL));
}

static void test_forms_of_commands(Fixture *fixture, gconstpointer unused) {
        static const struct {
                const char *test[5], *words;
        } table[] = {
                {{"CMD", "/check", "a b", NULL}, "[/check][a b]"},
                {{"CMD-SHELL", "exit 0", NULL}, "[/bin/sh][-c][exit 0]"},
                {{"/check", "CMD", NULL}, "[/check][CMD]"},
        };
        Container *container = fixture_add(fixture, "web", "{'cwd': <'/srv/x'>}");
        g_autofree char *head = g_strdup_printf("[--root][%s/crun][--log][", fixture->paths.run), *tail = g_strdup_printf("][--log-format=json][exec][--cgroup][conbus-check][--cwd][/srv/x][%s]", container->id);

        for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
                g_auto(Checked) checked = {0};
                g_autofree char *wanted = g_strconcat(tail, table[i].words, NULL);
                run(fixture, container, "printf '[%s]' \"$@\"", table[i].test, 0, &checked);
                g_assert_true(g_str_has_prefix(checked.output, head));
                g_assert_true(g_str_has_suffix(checked.output, wanted));
        }
}

static void test_a_check_that_takes_too_long_is_killed(Fixture *fixture, gconstpointer unused) {
        Container *container = fixture_add(fixture, "web", "@a{sv} {}");
        g_auto(Checked) checked = {0};

        (void) begin(fixture, container, "trap '' TERM; exec sleep 1000", plain_test, 1000, 0, &checked);
        testing_run_until_count(fixture->event, &checked.n, 1);
        g_assert_cmpint(checked.code, ==, -1);
}

static void test_an_abandoned_check_says_nothing(Fixture *fixture, gconstpointer unused) {
        Container *container = fixture_add(fixture, "web", "@a{sv} {}");
        g_auto(Checked) checked = {0};

        check_abandon(begin(fixture, container, "exec sleep 1000", plain_test, G_TIME_SPAN_DAY, 0, &checked));
        testing_run_idle(fixture->event);
        g_assert_cmpuint(checked.n, ==, 0); /* the fixture waits for its end */
}

static void test_a_check_that_cannot_begin(Fixture *fixture, gconstpointer unused) {
        Container *container = fixture_add(fixture, "web", "@a{sv} {}");
        g_autoptr(GError) error = NULL;

        fixture->paths.crun = (char *) "no-such-crun";
        g_assert_null(check_begin(fixture->engine, container, plain_test, 1000, 0, on_checked, NULL, &error));
        testing_expect_error(&error, CONBUS_ERROR_HELPER_MISSING, "no-such-crun");
}

int main(int argc, char *argv[]) {
        static const struct {
                const char *path;
                void (*test)(Fixture *fixture, gconstpointer unused);
        } tests[] = {
                {"/check/codes", test_codes},
                {"/check/output-is-kept-as-text", test_output_is_kept_as_text},
                {"/check/endless-output-is-bounded", test_endless_output_is_bounded},
                {"/check/a-service-that-leaves-takes-its-checks-along", test_a_service_that_leaves_takes_its_checks_along},
                {"/check/forms-of-commands", test_forms_of_commands},
                {"/check/a-check-that-takes-too-long-is-killed", test_a_check_that_takes_too_long_is_killed},
                {"/check/an-abandoned-check-says-nothing", test_an_abandoned_check_says_nothing},
                {"/check/a-check-that-cannot-begin", test_a_check_that_cannot_begin},
        };

        g_test_init(&argc, &argv, NULL);
        for (size_t i = 0; i < G_N_ELEMENTS(tests); i++)
                g_test_add(tests[i].path, Fixture, NULL, fixture_set_up, tests[i].test, fixture_tear_down);
        return g_test_run();
}
