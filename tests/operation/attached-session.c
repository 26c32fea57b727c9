/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* See attached-session.h. */

#include "attached-session.h"
#include "operation/attachments-internal.h"

Session *session_make(Fixture *fixture, Container *container, const char *script, const char *more) {
        const char *const command[] = {"sh", "-c", script, NULL};
        g_autoptr(GVariant) added = testing_parse(more ? more : "@a{sv} {}");
        GVariantDict dict;

        g_variant_dict_init(&dict, added);
        g_variant_dict_insert(&dict, "command", "^as", command);
        g_variant_dict_insert(&dict, "start", "b", FALSE);
        g_autoptr(GVariant) request = g_variant_ref_sink(g_variant_dict_end(&dict));
        g_autofree char *text = g_variant_print(request, true);
        return execute(fixture, container, text);
}

void session_start(Fixture *fixture, Session *session) {
        g_auto(Answer) answer = {0};

        execute_begin(fixture, session, &answer);
        testing_run_until_count(fixture->event, &answer.n, 1);
        g_assert_no_error(answer.error);
}

Session *session_run(Fixture *fixture, Container *container, const char *script, const char *more) {
        Session *session = session_make(fixture, container, script, more);

        session_start(fixture, session);
        g_assert_cmpint(session->life.state, ==, SESSION_RUNNING);
        return session;
}

void session_await_end(Fixture *fixture, Session *session, int code) {
        executed_run_until(fixture, session, SESSION_STOPPED);
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
