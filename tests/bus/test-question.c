/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which action polkit is asked about, and with which details. */

#include "bus/question.h"
#include "testing.h"

static Container *container_with(guint32 owner, const char *config) {
        g_autoptr(GVariant) parsed = testing_parse(config);

        return container_new("00ff", "web", owner, parsed);
}

static Question *ask(const Container *container, guint32 uid, const char *action) {
        g_autoptr(Actor) actor = actor_new(uid, 1, "", "", ":1.1");
        Target target = TARGET_NONE;

        if (container)
                target_of_container(container, &target);
        return question_new(actor, action, "start", &target);
}

static void check_action(const Container *container, guint32 uid, const char *action, const char *asked) {
        g_autoptr(Question) question = ask(container, uid, action);

        g_assert_cmpstr(question->action, ==, asked);
}

static void test_an_owner_is_asked_about_his_own(void) {
        g_autoptr(Container) profiled = container_with(1000, "{'profile': <'web'>}"), plain = container_with(1000, "{}");

        check_action(profiled, 1000, "manage", "io.conbus1.manage-own");
        check_action(profiled, 1000, "read-logs", "io.conbus1.manage-own");
        check_action(profiled, 1000, "exec", "io.conbus1.manage-own");
        check_action(profiled, 1000, "remove", "io.conbus1.remove");
        check_action(profiled, 1000, "inspect", "io.conbus1.inspect");
        check_action(profiled, 1001, "manage", "io.conbus1.manage");
        check_action(plain, 1000, "manage", "io.conbus1.manage");
        check_action(NULL, 1000, "manage", "io.conbus1.manage");
}

static void check_detail(const Question *question, const char *key, const char *value) {
        const char *found = NULL;

        g_assert_true(g_variant_lookup(question->details, key, "&s", &found));
        g_assert_cmpstr(found, ==, value);
}

static void test_details_name_everything(void) {
        g_autoptr(Container) container = container_with(1000, "{'profile': <'small'>, 'labels': <{'team': 'web', 'empty': ''}>}");
        g_free(container->life.managed_by);
        container->life.managed_by = g_strdup("conbus-container@web.service");
        g_autoptr(Question) question = ask(container, 1000, "remove");
        const char *const expected[][2] = {{"verb", "start"}, {"container", "web"}, {"id", "00ff"}, {"image", ""}, {"owner", "1000"}, {"own", "yes"}, {"profile", "small"}, {"unit", ""}, {"managed-by", "conbus-container@web.service"}, {"label.team", "web"}, {"label.empty", ""}};

        for (size_t i = 0; i < G_N_ELEMENTS(expected); i++)
                check_detail(question, expected[i][0], expected[i][1]);
        g_assert_cmpuint(g_variant_n_children(question->details), ==, G_N_ELEMENTS(expected));
        g_assert_cmpstr(question->place, ==, "00ff");
}

static void test_without_a_container_details_are_empty(void) {
        g_autoptr(Question) question = ask(NULL, 1000, "inspect");

        check_detail(question, "container", "");
        check_detail(question, "owner", "");
        check_detail(question, "own", "no");
        g_assert_cmpstr(question->place, ==, "");
}

static void test_a_creation_says_what_is_wanted(void) {
        NewContainer wanted = {.name = "shop", .image = "busybox", .profile = "small"};
        g_autoptr(Question) question = question_new_create("create-from-profile", "run-container", &wanted);

        g_assert_cmpstr(question->action, ==, "io.conbus1.create-from-profile");
        check_detail(question, "verb", "run-container");
        check_detail(question, "container", "shop");
        check_detail(question, "image", "busybox");
        check_detail(question, "profile", "small");
}

static void test_what_a_rule_can_see_makes_another_question(void) {
        g_autoptr(Container) web = container_with(1000, "{'labels': <{'team': 'web'}>}"), db = container_with(1000, "{'labels': <{'team': 'db'}>}");
        g_autoptr(Question) a = ask(web, 5, "manage"), same = ask(web, 5, "manage"), action = ask(web, 5, "remove"), label = ask(db, 5, "manage");

        g_assert_true(question_equal(a, same));
        g_assert_false(question_equal(a, action));
        g_assert_false(question_equal(a, label));
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/question/own", test_an_owner_is_asked_about_his_own);
        g_test_add_func("/question/details", test_details_name_everything);
        g_test_add_func("/question/no-container", test_without_a_container_details_are_empty);
        g_test_add_func("/question/creation", test_a_creation_says_what_is_wanted);
        g_test_add_func("/question/equal", test_what_a_rule_can_see_makes_another_question);
        return g_test_run();
}
