/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* See attached-session.h. */

#include "attached-session.h"
#include "operation/attachments-internal.h"

static void on_done(Operation *operation, GVariant *result, const GError *error, void *userdata) {
        Answer *answer = userdata;

        answer->n++;
        answer->result = result ? g_variant_print(result, false) : NULL;
        answer->error = error ? g_error_copy(error) : NULL;
}

/* own-stdio is the bus's to say, once what was asked for has been checked. */
static GVariant *request_of(const char *script, const char *more) {
        const char *const command[] = {"sh", "-c", script, NULL};
        g_autoptr(GVariant) added = testing_parse(more ? more : "@a{sv} {}");
        g_autoptr(GError) error = NULL;
        GVariantDict dict;

        g_variant_dict_init(&dict, added);
        g_variant_dict_insert(&dict, "command", "^as", command);
        g_variant_dict_insert(&dict, "start", "b", FALSE);
        g_variant_dict_remove(&dict, "own-stdio");
        g_autoptr(GVariant) request = g_variant_ref_sink(g_variant_dict_end(&dict));
        if (!session_request_check(request, &error))
                g_error("%s", error->message);
        return config_merge(request, added);
}

Session *session_make(Fixture *fixture, Container *container, const char *script, const char *more) {
        g_autoptr(GVariant) request = request_of(script, more);
        ExecPlan plan = {.request = request};
        g_auto(Answer) answer = {0};
        g_autoptr(GError) error = NULL;

        Operation *operation = sessions_exec(fixture->engine, container, &plan, NULL, on_done, &answer, &error);
        g_assert_no_error(error);
        g_assert_nonnull(operation);
        testing_run_until_count(fixture->event, &answer.n, 1);
        g_assert_no_error(answer.error);
        return container->sessions->pdata[container->sessions->len - 1];
}

Operation *session_begin(Fixture *fixture, Session *session, Answer *answer) {
        g_autoptr(GError) error = NULL;
        Operation *operation = sessions_start(fixture->engine, session, NULL, on_done, answer, &error);

        g_assert_no_error(error);
        g_assert_nonnull(operation);
        return operation;
}

void session_start(Fixture *fixture, Session *session) {
        g_auto(Answer) answer = {0};

        (void) session_begin(fixture, session, &answer);
        testing_run_until_count(fixture->event, &answer.n, 1);
        g_assert_no_error(answer.error);
}

Session *session_run(Fixture *fixture, Container *container, const char *script, const char *more) {
        Session *session = session_make(fixture, container, script, more);

        session_start(fixture, session);
        g_assert_cmpint(session->life.state, ==, SESSION_RUNNING);
        return session;
}

static bool has_ended(void *userdata) {
        return ((const Session *) userdata)->life.state == SESSION_STOPPED;
}

void session_await_end(Fixture *fixture, Session *session, int code) {
        testing_run_until(fixture->event, has_ended, session);
        g_assert_cmpint(session->life.exit_code, ==, code);
}

Session *session_find(Fixture *fixture) {
        return registry_get_by_name(fixture->registry, "web")->sessions->pdata[0];
}

static bool no_streams_are_left(void *userdata) {
        return g_queue_is_empty(&((const Fixture *) userdata)->engine->attachments->runs);
}

static void expect_empty(const char *directory) {
        g_autoptr(GDir) dir = g_dir_open(directory, 0, NULL);
        const char *left = dir ? g_dir_read_name(dir) : NULL;

        if (left)
                g_error("%s/%s is left", directory, left);
}

void session_tear_down(Fixture *fixture, gconstpointer unused) {
        g_autofree char *exec = g_build_filename(fixture->paths.run, "exec", NULL);
        g_autoptr(GPtrArray) containers = registry_list(fixture->registry);

        for (guint i = 0; i < containers->len; i++) {
                g_auto(Answer) answer = {0};
                fixture_do(fixture, containers->pdata[i], VERB_REMOVE, "{'force': <true>, 'timeout-usec': <uint64 0>}", &answer);
                g_assert_no_error(answer.error);
        }
        testing_run_until(fixture->event, no_streams_are_left, fixture);
        g_assert_cmpuint(g_hash_table_size(fixture->engine->attachments->terminals), ==, 0);
        expect_empty(exec);
        fakes_tear_down(fixture, unused);
}
