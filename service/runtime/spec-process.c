/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The process of an OCI configuration: command, environment, user, capabilities, resource limits. */

#include "runtime/spec-build.h"
#include "base/log.h"
#include "model/capability.h"
#include "model/config.h"
#include "model/rlimit.h"
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#define BIT(capability) (1ULL << (capability))

/* podman's default set. */
#define DEFAULT_CAPABILITIES                                                                                                              \
        (BIT(CAP_CHOWN) | BIT(CAP_DAC_OVERRIDE) | BIT(CAP_FOWNER) | BIT(CAP_FSETID) | BIT(CAP_KILL) | BIT(CAP_NET_BIND_SERVICE) |        \
         BIT(CAP_SETFCAP) | BIT(CAP_SETGID) | BIT(CAP_SETPCAP) | BIT(CAP_SETUID) | BIT(CAP_SYS_CHROOT))

/* Permitted to it and not dropped from its bounding set. */
guint64 spec_own_capabilities(void) {
        struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
        struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {};
        guint64 own = 0;

        if (syscall(SYS_capget, &header, data) < 0)
                return 0;
        for (int i = 0; capability_to_name(i); i++)
                if (data[i / 32].permitted & (1U << (i % 32)) && prctl(PR_CAPBSET_READ, i, 0, 0, 0) == 1)
                        own |= BIT(i);
        return own;
}

static bool add_capability(guint64 *set, guint64 own, const char *name, GError **error) {
        int capability = capability_from_name(name);

        if (g_str_equal(name, "ALL"))
                *set |= own;
        else if (capability < 0 || !(own & BIT(capability)))
                return error_set(error, CONBUS_ERROR_INVALID_CONFIG,
                                 "configuration key \"cap-add\": this service does not have %s, so it cannot give it to a container", name);
        else
                *set |= BIT(capability);
        return true;
}

/* The default ones (or all), less ALL of cap-drop, plus cap-add, less the names of cap-drop. */
static bool choose_capabilities(SpecBuild *build, GError **error) {
        g_autofree const char **add = config_strv(build->config, "cap-add");
        g_autofree const char **drop = config_strv(build->config, "cap-drop");
        guint64 own = spec_own_capabilities(), set = build->privileged ? own : DEFAULT_CAPABILITIES & own;

        if (drop && g_strv_contains(drop, "ALL"))
                set = 0;
        for (unsigned i = 0; add && add[i]; i++)
                if (!add_capability(&set, own, add[i], error))
                        return false;
        for (unsigned i = 0; drop && drop[i]; i++)
                if (capability_from_name(drop[i]) >= 0)
                        set &= ~BIT(capability_from_name(drop[i]));
        build->capabilities = set;
        return true;
}

void spec_set_capabilities(JsonObject *to, const char *member, guint64 set) {
        JsonArray *names = json_array_new();

        for (int i = 0; capability_to_name(i); i++)
                if (set & BIT(i))
                        json_array_add_string_element(names, capability_to_name(i));
        json_object_set_array_member(to, member, names);
}

/* Root has them; another user may only get them through execve(2) of a file that gives them. Inheritable stays empty. */
static void add_capabilities(SpecBuild *build) {
        JsonObject *capabilities = document_object(build->process, "capabilities");
        guint64 effective = build->account->uid == 0 ? build->capabilities : 0;

        spec_set_capabilities(capabilities, "bounding", build->capabilities);
        spec_set_capabilities(capabilities, "effective", effective);
        spec_set_capabilities(capabilities, "permitted", effective);
}

static void add_user(SpecBuild *build) {
        JsonObject *user = document_object(build->process, "user");

        json_object_set_int_member(user, "uid", build->account->uid);
        json_object_set_int_member(user, "gid", build->account->gid);
        json_object_set_int_member(user, "umask", 0022);
        for (unsigned i = 0; i < build->account->groups->len; i++)
                json_array_add_int_element(document_array(user, "additionalGids"), g_array_index(build->account->groups, guint32, i));
}

static bool is_variable(const char *entry, const char *name) {
        return g_str_has_prefix(entry, name) && entry[strlen(name)] == '=';
}

void spec_process_unset_env(JsonObject *process, const char *name) {
        JsonArray *env = document_array(process, "env");

        for (unsigned i = json_array_get_length(env); i > 0; i--)
                if (is_variable(document_array_string(env, i - 1), name))
                        json_array_remove_element(env, i - 1);
}

void spec_process_set_env(JsonObject *process, const char *name, const char *value) {
        g_autofree char *entry = g_strconcat(name, "=", value, NULL);

        spec_process_unset_env(process, name);
        json_array_add_string_element(document_array(process, "env"), entry);
}

/* Defaults, then env, then what unset-env takes away. */
static void add_env(SpecBuild *build) {
        g_autofree const char **env = config_strv(build->config, "env");
        g_autofree const char **unset = config_strv(build->config, "unset-env");
        const char *hostname = document_find_string(build->root, "hostname");

        spec_process_set_env(build->process, "PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
        if (config_bool(build->config, "terminal", false))
                spec_process_set_env(build->process, "TERM", "xterm");
        spec_process_set_env(build->process, "container", "oci");
        spec_process_set_env(build->process, "HOME", build->account->home);
        if (hostname)
                spec_process_set_env(build->process, "HOSTNAME", hostname);
        if (build->input->credentials)
                spec_process_set_env(build->process, "CREDENTIALS_DIRECTORY", build->input->credentials);
        for (unsigned i = 0; env && env[i]; i++) {
                g_autofree char *name = g_strndup(env[i], strcspn(env[i], "="));

                spec_process_set_env(build->process, name, env[i] + strlen(name) + 1);
        }
        for (unsigned i = 0; unset && unset[i]; i++)
                spec_process_unset_env(build->process, unset[i]);
}

static void add_rlimits(SpecBuild *build) {
        g_autoptr(GVariant) limits = config_value(build->config, "ulimits");
        GVariantIter iter;
        const char *name;
        guint64 soft, hard;

        if (!limits)
                return;
        g_variant_iter_init(&iter, limits);
        while (g_variant_iter_next(&iter, "(&stt)", &name, &soft, &hard)) {
                JsonObject *limit = json_object_new();

                json_object_set_string_member(limit, "type", rlimit_to_name(rlimit_from_name(name)));
                json_object_set_int_member(limit, "hard", hard);
                json_object_set_int_member(limit, "soft", soft);
                json_array_add_object_element(document_array(build->process, "rlimits"), limit);
        }
}

static guint64 read_limit(JsonObject *limit, const char *member) {
        JsonNode *node = json_object_get_member(limit, member);

        return node && JSON_NODE_HOLDS_VALUE(node) ? (guint64) json_node_get_int(node) : 0;
}

static void clamp_rlimit(JsonObject *limit, const char *id) {
        const char *name = document_find_string(limit, "type");
        int resource = name ? rlimit_from_name(name) : -1;
        guint64 hard = read_limit(limit, "hard"), soft = read_limit(limit, "soft");
        struct rlimit own;

        if (resource < 0 || getrlimit(resource, &own) < 0 || (hard <= own.rlim_max && soft <= own.rlim_max))
                return;
        log_notice("container %s: %s is limited to %" G_GUINT64_FORMAT ", the limit of this service", id, name, (guint64) own.rlim_max);
        json_object_set_int_member(limit, "hard", MIN(hard, own.rlim_max));
        json_object_set_int_member(limit, "soft", MIN(soft, own.rlim_max));
}

void spec_process_clamp_rlimits(JsonObject *process, const char *id) {
        JsonArray *limits = document_find_array(process, "rlimits");

        for (unsigned i = 0; limits && i < json_array_get_length(limits); i++) {
                JsonNode *node = json_array_get_element(limits, i);

                if (JSON_NODE_HOLDS_OBJECT(node))
                        clamp_rlimit(json_node_get_object(node), id);
        }
}

static bool find_account(SpecBuild *build, GError **error) {
        GError *why = NULL;

        build->account = account_find(build->input->rootfs, config_string(build->config, "user", "0"), &why);
        if (build->account)
                return true;
        if (why->code == CONBUS_ERROR_INVALID_CONFIG)
                g_prefix_error(&why, "configuration key \"user\": ");
        g_propagate_error(error, why);
        return false;
}

bool spec_process_add(SpecBuild *build, GError **error) {
        g_autofree const char **entrypoint = config_strv(build->config, "entrypoint");
        g_autofree const char **command = config_strv(build->config, "command");

        if (!find_account(build, error) || !config_check_complete(build->config, error) || !choose_capabilities(build, error))
                return false;
        json_object_set_boolean_member(build->process, "terminal", config_bool(build->config, "terminal", false));
        add_user(build);
        if (build->input->init)
                document_append_strv(document_array(build->process, "args"), (const char *const[]) { SPEC_INIT_PATH, "--", NULL });
        document_append_strv(document_array(build->process, "args"), entrypoint);
        document_append_strv(document_array(build->process, "args"), command);
        add_env(build);
        json_object_set_string_member(build->process, "cwd", config_string(build->config, "cwd", "/"));
        add_capabilities(build);
        add_rlimits(build);
        json_object_set_boolean_member(build->process, "noNewPrivileges", config_bool(build->config, "no-new-privileges", false));
        return true;
}
