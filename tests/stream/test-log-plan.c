/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* service/stream/log-plan.c: a plan comes over to the process that reads as it is. */

#include "stream/log-plan.h"

static void test_there_and_back(void) {
        LogPlan plan = {.id = g_strdup("id"), .name = g_strdup("it's \"quoted\" \\"), .path = g_strdup("/var/lib/a b/log"), .directory = g_strdup("/run/x"), .streams = 6, .since_usec = 1, .until_usec = UINT64_MAX,
                        .from = g_strdup("1:2,3:4"), .end = g_strdup("5:6"), .tail = -1, .limit = 7, .run = G_MAXUINT64, .format = LOG_FORMAT_EXPORT, .follow = true, .from_run = true};
        g_autofree char *text = log_plan_to_string(&plan);
        g_auto(LogPlan) back = {0};

        g_assert_true(log_plan_parse(text, &back, NULL));
        const char *const texts[][2] = {{plan.id, back.id}, {plan.name, back.name}, {plan.path, back.path}, {plan.directory, back.directory}, {plan.from, back.from}, {plan.end, back.end}};
        for (size_t i = 0; i < G_N_ELEMENTS(texts); i++)
                g_assert_cmpstr(texts[i][0], ==, texts[i][1]);
        g_assert_cmpuint(back.streams, ==, plan.streams);
        g_assert_cmpuint(back.since_usec, ==, 1);
        g_assert_cmpuint(back.until_usec, ==, UINT64_MAX);
        g_assert_cmpint(back.tail, ==, -1);
        g_assert_cmpuint(back.limit, ==, 7);
        g_assert_cmpuint(back.run, ==, G_MAXUINT64);
        g_assert_cmpint(back.format, ==, LOG_FORMAT_EXPORT);
        g_assert_true(back.follow && back.from_run && !back.timestamps);
        LogFilter filter = log_plan_filter(&back);
        g_assert_cmpuint(filter.streams, ==, 6);
        g_assert_cmpuint(filter.since_usec, ==, 1);
        log_plan_clear(&plan);
}

static void test_what_is_absent_stays_absent(void) {
        const LogPlan plan = {.id = (char *) "id", .name = (char *) ""};
        g_autofree char *text = log_plan_to_string(&plan);
        g_auto(LogPlan) back = {0};

        g_assert_true(log_plan_parse(text, &back, NULL));
        g_assert_null(back.path);
        g_assert_null(back.from);
        g_assert_null(back.end);
}

static void test_other_texts(void) {
        const char *const wrong[] = {"", "()", "{}", "(nothing,)"};

        for (size_t i = 0; i < G_N_ELEMENTS(wrong); i++) {
                g_auto(LogPlan) plan = {0};
                g_autoptr(GError) error = NULL;
                g_assert_false(log_plan_parse(wrong[i], &plan, &error));
                g_assert_error(error, CONBUS_ERROR, CONBUS_ERROR_INTERNAL);
        }
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/log-plan/there-and-back", test_there_and_back);
        g_test_add_func("/log-plan/what-is-absent-stays-absent", test_what_is_absent_stays_absent);
        g_test_add_func("/log-plan/other-texts", test_other_texts);
        return g_test_run();
}
