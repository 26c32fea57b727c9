/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Details of a check, the same set for every action so that a message of the policy file can name each of them: verb, container, id, image, owner (uid), own (yes or no), profile, unit (of the run: its scope), managed-by (the service unit that owns the lifecycle), and label.KEY for each label. */

#include "bus/question.h"
#include "runtime/units.h"

static void add(GVariantBuilder *details, const char *key, const char *value) {
        g_variant_builder_add(details, "{ss}", key, value);
}

static Question *question_take(const char *action, GVariant *details, const char *place) {
        Question *question = g_new0(Question, 1);

        question->action = g_strconcat("io.conbus1.", action, NULL);
        question->details = g_variant_ref_sink(details);
        question->place = g_strdup(place);
        return question;
}

static void add_labels(GVariantBuilder *details, const Container *container) {
        g_autoptr(GVariant) labels = config_value(container->config, "labels");
        const char *key, *value;
        GVariantIter iter;

        if (!labels)
                return;
        g_variant_iter_init(&iter, labels);
        while (g_variant_iter_next(&iter, "{&s&s}", &key, &value)) {
                g_autofree char *name = g_strconcat("label.", key, NULL);
                add(details, name, value);
        }
}

static bool is_own(const Actor *actor, const Target *target) {
        return target->owner_uid != UINT32_MAX && target->owner_uid == actor->uid;
}

static const char *action_for(const Actor *actor, const char *action, const Target *target) {
        bool covered = g_str_equal(action, "manage") || g_str_equal(action, "read-logs") || g_str_equal(action, "exec");

        if (covered && target->container && is_own(actor, target) && *config_string(target->container->config, "profile", ""))
                return "manage-own";
        return action;
}

Question *question_new(const Actor *actor, const char *action, const char *verb, const Target *target) {
        const Container *container = target->container;
        g_autofree char *unit = container ? units_unit_of_cgroup(container->life.cgroup) : g_strdup("");
        g_autofree char *owner = target->owner_uid == UINT32_MAX ? g_strdup("") : g_strdup_printf("%u", target->owner_uid);
        GVariantBuilder details;

        g_variant_builder_init(&details, G_VARIANT_TYPE("a{ss}"));
        add(&details, "verb", verb);
        add(&details, "container", container ? container->name : "");
        add(&details, "id", container ? container->id : "");
        add(&details, "image", "");
        add(&details, "owner", owner);
        add(&details, "own", is_own(actor, target) ? "yes" : "no");
        add(&details, "profile", container ? config_string(container->config, "profile", "") : "");
        add(&details, "unit", unit);
        add(&details, "managed-by", container ? container->life.managed_by : "");
        if (container)
                add_labels(&details, container);
        return question_take(action_for(actor, action, target), g_variant_builder_end(&details), container ? container->id : "");
}

Question *question_new_create(const char *action, const char *verb, const NewContainer *wanted) {
        GVariantBuilder details;

        g_variant_builder_init(&details, G_VARIANT_TYPE("a{ss}"));
        add(&details, "verb", verb);
        add(&details, "container", wanted->name);
        add(&details, "id", "");
        add(&details, "image", wanted->image);
        add(&details, "owner", "");
        add(&details, "own", "yes");
        add(&details, "profile", wanted->profile);
        add(&details, "unit", "");
        add(&details, "managed-by", "");
        return question_take(action, g_variant_builder_end(&details), "");
}

void question_free(Question *question) {
        if (!question)
                return;
        g_free(question->action);
        g_free(question->place);
        g_variant_unref(question->details);
        g_free(question);
}

bool question_equal(const Question *a, const Question *b) {
        return g_str_equal(a->action, b->action) && g_variant_equal(a->details, b->details);
}

void target_of_container(const void *container, Target *ret) {
        *ret = (Target) {.container = container, .owner_uid = ((const Container *) container)->owner_uid};
}
