/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Profiles on disk, and what about them needs the machine: who belongs to whom, and that a root file system cannot be exchanged behind the administrator's back. */

#include "operation/profiles.h"
#include "base/auto.h"
#include "base/log.h"
#include "base/trusted.h"
#include "model/profile.h"
#include "runtime/account.h"

#define PROFILES_DIRECTORY "/etc/conbus/profiles.d"
#define PROFILE_SIZE_MAX 65536

static Profile *load(const char *name, GError **error) {
        g_autofree char *file = g_strconcat(name, ".conf", NULL);
        g_autoptr(GError) why = NULL;
        g_autofree char *text = trusted_read_file(PROFILES_DIRECTORY, file, PROFILE_SIZE_MAX, &why);
        Profile *profile = text ? profile_parse(name, text, &why) : NULL;

        if (profile)
                return profile;
        if (g_error_matches(why, CONBUS_ERROR, CONBUS_ERROR_NO_SUCH_PATH)) {
                error_set(error, CONBUS_ERROR_INVALID_CONFIG, "configuration key \"profile\": there is no profile \"%s\" in " PROFILES_DIRECTORY, name);
                return NULL;
        }
        log_warning("nobody can use the profile \"%s\": %s", name, why->message);
        error_set(error, CONBUS_ERROR_INVALID_CONFIG, "configuration key \"profile\": the profile \"%s\" cannot be used: %s", name, why->message);
        return NULL;
}

/* Users and groups by number, or by a name of the local files: looking further could block. */
static Account *find_account(const Profile *profile, const char *kind, const char *word, const char *listed) {
        g_autoptr(GError) error = NULL;
        Account *account = account_find("/", word, &error);

        if (!account)
                log_warning("the profile \"%s\" names the %s \"%s\", which no local file has: give a number", profile->name, kind, listed);
        return account;
}

static bool is_listed(const Profile *profile, const Actor *actor) {
        if (!profile->users[0] && !profile->groups[0])
                return true;
        for (char **user = profile->users; *user; user++) {
                g_autoptr(Account) account = find_account(profile, "user", *user, *user);
                if (account && account->uid == actor->uid)
                        return true;
        }
        for (char **group = profile->groups; *group; group++) {
                g_autofree char *word = g_strconcat("0:", *group, NULL);
                g_autoptr(Account) account = find_account(profile, "group", word, *group);
                if (account && actor_has_group(actor, account->gid))
                        return true;
        }
        return false;
}

bool profiles_check_room(Registry *registry, const char *name, guint32 uid, guint most, GError **error) {
        g_autoptr(GPtrArray) containers = registry_list(registry);
        guint n = 0;

        for (guint i = 0; i < containers->len; i++) {
                const Container *container = containers->pdata[i];
                n += container->owner_uid == uid && g_str_equal(config_string(container->config, "profile", ""), name);
        }
        return most == 0 || n < most || error_set(error, CONBUS_ERROR_LIMITS_EXCEEDED, "user %u has %u containers of the profile \"%s\" already, and %u is the most", uid, n, name, most);
}

static bool check_actor(Registry *registry, const Profile *profile, const Actor *actor, GError **error) {
        if (!actor || actor->uid == 0)
                return true;
        if (!is_listed(profile, actor))
                return error_set(error, CONBUS_ERROR_ACCESS_DENIED, "the profile \"%s\" is not for user %u", profile->name, actor->uid);
        return profiles_check_room(registry, profile->name, actor->uid, profile->containers_per_user, error);
}

/* Only where the creator chose it: what the file says is the administrator's affair. */
static bool check_rootfs(GVariant *given, GError **error) {
        const char *path = config_string(given, "rootfs", NULL);

        if (!path)
                return true;
        autofd int fd = trusted_open_directory(path, error);
        if (fd < 0)
                g_prefix_error(error, "configuration key \"rootfs\": ");
        return fd >= 0;
}

GVariant *profiles_apply(Registry *registry, const char *name, Actor *actor, GVariant *given, guint *ret_most, GError **error) {
        if (!config_check_name(name, NULL)) {
                error_set(error, CONBUS_ERROR_INVALID_CONFIG, "configuration key \"profile\": \"%.300s\" cannot be the name of a profile", name);
                return NULL;
        }
        g_autoptr(Profile) profile = load(name, error);
        if (!profile || !check_actor(registry, profile, actor, error))
                return NULL;
        g_autoptr(GVariant) whole = profile_apply(profile, given, error);
        if (!whole || !check_rootfs(given, error))
                return NULL;
        *ret_most = actor && actor->uid != 0 ? profile->containers_per_user : 0;
        return g_steal_pointer(&whole);
}
