/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a client that attaches can ask for, key by key, and what it gets when it asks for nothing. */

#include "operation/attachments.h"
#include "stream/detach-keys.h"
#include "testing.h"
#include <string.h>

#define IN STREAM_MASK(STREAM_STDIN)
#define OUT STREAM_MASK(STREAM_STDOUT)
#define ERR STREAM_MASK(STREAM_STDERR)

static void read_plan(const char *options, bool terminal, AttachPlan *ret) {
        g_autoptr(GVariant) parsed = testing_parse(options);
        g_autoptr(GError) error = NULL;

        if (!attach_plan_read(parsed, terminal, ret, &error))
                g_error("%s: %s", options, error->message);
}

static void test_what_counts_by_default(void) {
        for (int terminal = 0; terminal < 2; terminal++) {
                g_auto(AttachPlan) plan = {0};

                read_plan("@a{sv} {}", terminal, &plan);
                g_assert_cmpuint(plan.streams, ==, IN | OUT | ERR);
                g_assert_cmpint(plan.framing, ==, terminal ? FRAMING_RAW : FRAMING_PACKETS);
                g_assert_cmpstr(plan.detach_keys, ==, DETACH_KEYS_DEFAULT);
                g_assert_cmpstr(plan.from, ==, "now");
                g_assert_true(plan.follow);
                g_assert_cmpuint(plan.rows + plan.columns, ==, 0);
                g_assert_false(plan.records);
                g_assert_null(plan.head);
                g_assert_null(plan.ahead);
        }
}

static void test_everything_can_be_chosen(void) {
        g_auto(AttachPlan) plan = {0};

        read_plan("{'streams': <['stderr', 'stdin']>, 'from': <'1f:a0'>, 'follow': <false>, 'detach-keys': <'ctrl-x'>, 'size': <(uint16 24, uint16 80)>, 'framing': <'multiplexed'>, 'reply-timeout-usec': <uint64 7>, 'x-mine': <1>}", true, &plan);
        g_assert_cmpuint(plan.streams, ==, IN | ERR);
        g_assert_cmpint(plan.framing, ==, FRAMING_MULTIPLEXED);
        g_assert_cmpstr(plan.detach_keys, ==, "ctrl-x");
        g_assert_cmpstr(plan.from, ==, "1f:a0");
        g_assert_false(plan.follow);
        g_assert_cmpuint(plan.rows, ==, 24);
        g_assert_cmpuint(plan.columns, ==, 80);
}

static void test_streams(void) {
        static const struct {
                const char *options;
                unsigned streams;
        } table[] = {
                {"{'streams': <['stdin']>}", IN},
                {"{'streams': <['stdout']>}", OUT},
                {"{'streams': <['stderr', 'stderr']>}", ERR},
                {"{'streams': <['stdin', 'stdout', 'stderr']>}", IN | OUT | ERR},
        };

        for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
                g_autoptr(GVariant) options = testing_parse(table[i].options);
                unsigned streams = 0;
                g_assert_true(attach_streams_read(options, &streams, NULL));
                g_assert_cmpuint(streams, ==, table[i].streams);
        }
}

static void test_values_that_are_possible(void) {
        static const char *const table[] = {
                "{'from': <'now'>}", "{'from': <'run-start'>}", "{'from': <'log-start'>}", "{'from': <'0:0'>}", "{'from': <'run-start'>, 'follow': <false>}", "{'from': <'log-start'>, 'follow': <false>}",
                "{'framing': <'packets'>}", "{'framing': <'raw'>}", "{'detach-keys': <''>}", "{'size': <(uint16 1, uint16 1)>}", "{'size': <(uint16 65535, uint16 65535)>}",
        };

        for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
                g_auto(AttachPlan) plan = {0};
                read_plan(table[i], false, &plan);
        }
}

static void test_values_that_are_not(void) {
        static const struct {
                const char *options;
                ConbusError code;
                const char *part;
        } table[] = {
                {"{'colour': <'red'>}", CONBUS_ERROR_UNKNOWN_OPTION, "option \"colour\" is not known here"},
                {"{'streams': <'stdin'>}", CONBUS_ERROR_INVALID_ARGS, "option \"streams\" has the type s; it takes as"},
                {"{'streams': <@as []>}", CONBUS_ERROR_INVALID_ARGS, "streams is empty; it takes at least one of stdin, stdout and stderr"},
                {"{'streams': <['stdout', 'stdlog']>}", CONBUS_ERROR_INVALID_ARGS, "\"stdlog\" is no stream; there are stdin, stdout and stderr"},
                {"{'streams': <['']>}", CONBUS_ERROR_INVALID_ARGS, "\"\" is no stream"},
                {"{'framing': <'frames'>}", CONBUS_ERROR_INVALID_ARGS, "framing is \"frames\"; it can be packets, multiplexed or raw"},
                {"{'framing': <''>}", CONBUS_ERROR_INVALID_ARGS, "framing is \"\""},
                {"{'size': <(uint16 0, uint16 80)>}", CONBUS_ERROR_INVALID_ARGS, "a terminal of 0 rows and 80 columns is not possible"},
                {"{'size': <(uint16 24, uint16 0)>}", CONBUS_ERROR_INVALID_ARGS, "a terminal of 24 rows and 0 columns is not possible"},
                {"{'size': <(24, 80)>}", CONBUS_ERROR_INVALID_ARGS, "it takes (qq)"},
                {"{'from': <'then'>}", CONBUS_ERROR_INVALID_ARGS, "from is \"then\"; it can be now, run-start, log-start or the cursor of a log"},
                {"{'from': <''>}", CONBUS_ERROR_INVALID_ARGS, "from is \"\""},
                {"{'from': <'1:2:3:4'>}", CONBUS_ERROR_INVALID_ARGS, "from is \"1:2:3:4\""},
                {"{'from': <'-1:2'>}", CONBUS_ERROR_INVALID_ARGS, "from is \"-1:2\""},
                {"{'follow': <false>}", CONBUS_ERROR_INVALID_ARGS, "from now and without follow there is nothing to read"},
                {"{'from': <'now'>, 'follow': <false>}", CONBUS_ERROR_INVALID_ARGS, "from now and without follow there is nothing to read"},
                {"{'detach-keys': <'ctrl-'>}", CONBUS_ERROR_INVALID_ARGS, "ctrl-"},
                {"{'detach-keys': <'ab'>}", CONBUS_ERROR_INVALID_ARGS, "ab"},
                {"{'detach-keys': <'a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,q'>}", CONBUS_ERROR_INVALID_ARGS, "16"},
                {"{'follow': <1>}", CONBUS_ERROR_INVALID_ARGS, "it takes b"},
        };

        for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
                g_autoptr(GVariant) options = testing_parse(table[i].options);
                g_autoptr(GError) error = NULL;
                AttachPlan plan = {.rows = 7};

                if (attach_plan_read(options, false, &plan, &error))
                        g_error("%s passed", table[i].options);
                testing_expect_error(&error, table[i].code, table[i].part);
                g_assert_cmpuint(plan.rows, ==, 7); /* untouched */
                g_assert_null(plan.from);
        }
}

static void test_a_plan_is_cleared_twice(void) {
        g_auto(AttachPlan) plan = {0};

        read_plan("@a{sv} {}", false, &plan);
        plan.head = g_variant_ref_sink(g_variant_new("ay", NULL));
        plan.ahead = g_variant_ref(plan.head);
        attach_plan_clear(&plan);
        g_assert_null(plan.from);
        g_assert_null(plan.head);
        attach_plan_clear(&plan);
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/attach-plan/what-counts-by-default", test_what_counts_by_default);
        g_test_add_func("/attach-plan/everything-can-be-chosen", test_everything_can_be_chosen);
        g_test_add_func("/attach-plan/streams", test_streams);
        g_test_add_func("/attach-plan/values-that-are-possible", test_values_that_are_possible);
        g_test_add_func("/attach-plan/values-that-are-not", test_values_that_are_not);
        g_test_add_func("/attach-plan/a-plan-is-cleared-twice", test_a_plan_is_cleared_twice);
        return g_test_run();
}
