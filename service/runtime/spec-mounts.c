/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The mounts of an OCI configuration: the file systems every container has, those of its configuration, the directory of the notify socket. */

#include "runtime/spec-build.h"
#include "model/config.h"
#include "model/id-map.h"
#include <unistd.h>

#define NOTIFY_DIRECTORY "/run/notify"

typedef struct DefaultMount {
        const char *target, *type, *source;
        const char *options[9];
} DefaultMount;

static const DefaultMount default_mounts[] = {
        { "/proc", "proc", "proc", { "nosuid", "noexec", "nodev" } },
        { "/dev", "tmpfs", "tmpfs", { "nosuid", "strictatime", "mode=755", "size=65536k" } },
        { "/sys", "sysfs", "sysfs", { "nosuid", "noexec", "nodev", "ro" } },
        { "/dev/pts", "devpts", "devpts", { "nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5" } },
        { "/dev/mqueue", "mqueue", "mqueue", { "nosuid", "noexec", "nodev" } },
        { "/dev/shm", "tmpfs", "shm", { "nosuid", "noexec", "nodev", "mode=1777", "size=65536k" } },
        { "/sys/fs/cgroup", "cgroup", "cgroup", { "rprivate", "nosuid", "noexec", "nodev", "relatime", "ro" } },
};

static JsonObject *append_mount(JsonArray *mounts, const char *target, const char *type, const char *source, const char *const *options) {
        JsonObject *mount = json_object_new();

        json_object_set_string_member(mount, "destination", target);
        json_object_set_string_member(mount, "type", type);
        json_object_set_string_member(mount, "source", source);
        document_set_strv(mount, "options", options);
        json_array_add_object_element(mounts, mount);
        return mount;
}

/* A privileged container may write to /sys and its cgroups; the group tty must exist in a user namespace. */
static void append_default(SpecBuild *build, JsonArray *mounts, const DefaultMount *mount) {
        g_autoptr(GVariant) gid_map = config_value(build->config, "gid-map");
        g_autoptr(GPtrArray) options = g_ptr_array_new();
        guint32 tty;
        bool has_network = spec_linux_has_namespace(build->os, "network");

        /* The kernel lets a user namespace mount a sysfs only of a network namespace that it owns. */
        if (build->has_user_namespace && !has_network && g_str_equal(mount->type, "sysfs")) {
                append_mount(mounts, mount->target, "bind", "/sys", (const char *const[]) { "rbind", "rprivate", "nosuid", "noexec", "nodev", "ro", NULL });
                return;
        }
        for (unsigned i = 0; mount->options[i]; i++) {
                if (build->privileged && g_str_equal(mount->options[i], "ro"))
                        continue;
                if (g_str_equal(mount->options[i], "gid=5") && build->has_user_namespace && !id_map_find(gid_map, 5, &tty))
                        continue;
                g_ptr_array_add(options, (void *) mount->options[i]);
        }
        g_ptr_array_add(options, NULL);
        append_mount(mounts, mount->target, mount->type, mount->source, (const char *const *) options->pdata);
}

static bool has_any(const char *const *options, const char *const *of) {
        for (unsigned i = 0; options && options[i]; i++)
                if (g_strv_contains(of, options[i]))
                        return true;
        return false;
}

/* What is not said about a bind or a tmpfs: rbind, private, and no devices and set-user-id files on a tmpfs. */
static void append_given(JsonArray *mounts, const char *target, const char *type, const char *source, const char *const *options) {
        static const char *const binds[] = { "bind", "rbind", NULL };
        static const char *const propagations[] = { "private", "rprivate", "shared", "rshared", "slave", "rslave", "unbindable", "runbindable", NULL };
        static const char *const devices[] = { "dev", "nodev", NULL }, *const suids[] = { "suid", "nosuid", NULL };
        JsonArray *all = document_array(append_mount(mounts, target, type, source, options), "options");
        bool is_bind = g_str_equal(type, "bind");

        if (is_bind && !has_any(options, binds))
                json_array_add_string_element(all, "rbind");
        if ((is_bind || g_str_equal(type, "tmpfs")) && !has_any(options, propagations))
                json_array_add_string_element(all, "rprivate");
        if (g_str_equal(type, "tmpfs") && !has_any(options, devices))
                json_array_add_string_element(all, "nodev");
        if (g_str_equal(type, "tmpfs") && !has_any(options, suids))
                json_array_add_string_element(all, "nosuid");
}

static bool add_given(const SpecInput *input, GVariant *mount, JsonArray *mounts, GHashTable *targets, GError **error) {
        const char *target = "", *type = "bind", *source = NULL;
        gint32 number;
        g_autofree const char **options = NULL;

        g_variant_lookup(mount, "target", "&s", &target);
        g_variant_lookup(mount, "type", "&s", &type);
        g_variant_lookup(mount, "source", "&s", &source);
        g_variant_lookup(mount, "options", "^a&s", &options);
        g_autofree char *kept = g_variant_lookup(mount, "source-fd", "h", &number) ? g_strdup_printf("%s/%d", input->kept, (int) number) : NULL;
        if (kept)
                source = kept;
        /* What is kept is there; its file system may be one that answers nobody. */
        if (!kept && g_str_equal(type, "bind") && access(source, F_OK) < 0)
                return error_set(error, CONBUS_ERROR_NO_SUCH_PATH, "mount %s at %s: the source does not exist", source, target);

        g_autofree char *clean = config_clean_path(target);
        append_given(mounts, clean, type, source ? source : type, options);
        g_hash_table_add(targets, g_steal_pointer(&clean));
        return true;
}

static unsigned depth(JsonNode *mount) {
        unsigned n = 0;

        for (const char *p = document_find_string(json_node_get_object(mount), "destination"); *p; p++)
                n += *p == '/';
        return n;
}

/* Parents before what is below them; else the order stays. */
static void sort_mounts(JsonObject *root, JsonArray *from) {
        JsonArray *to = json_array_new();

        for (unsigned level = 0, left = json_array_get_length(from); left > 0; level++)
                for (unsigned i = 0; i < json_array_get_length(from); i++)
                        if (depth(json_array_get_element(from, i)) == level) {
                                json_array_add_element(to, json_node_copy(json_array_get_element(from, i)));
                                left--;
                        }
        json_object_set_array_member(root, "mounts", to);
}

SpecMount *spec_mount_new(const char *target, const char *source, const char *const *options) {
        SpecMount *mount = g_new(SpecMount, 1);

        *mount = (SpecMount) { .target = g_strdup(target), .source = g_strdup(source), .options = g_strdupv((char **) options) };
        return mount;
}

void spec_mount_free(SpecMount *mount) {
        g_free(mount->target);
        g_free(mount->source);
        g_strfreev(mount->options);
        g_free(mount);
}

static bool has_mounts_in_run(const SpecInput *input) {
        for (guint i = 0; input->mounts && i < input->mounts->len; i++)
                if (g_str_has_prefix(((const SpecMount *) input->mounts->pdata[i])->target, "/run/"))
                        return true;
        return input->init || input->notify_directory;
}

/* What the service puts below /run needs mount points there. In a root file system that is not to be written to, or that belongs to nobody whom a user namespace knows, crun can make none. */
static void add_own_run(SpecBuild *build, JsonArray *mounts, GHashTable *targets) {
        const SpecInput *input = build->input;
        bool closed = build->has_user_namespace || input->root_readonly || config_bool(build->config, "read-only", false);

        if (closed && has_mounts_in_run(input) && !g_hash_table_contains(targets, "/run"))
                append_mount(mounts, "/run", "tmpfs", "tmpfs", (const char *const[]) { "nosuid", "nodev", "mode=755", "size=65536k", NULL });
}

bool spec_mounts_add(SpecBuild *build, GError **error) {
        g_autoptr(GVariant) given = config_value(build->config, "mounts");
        g_autoptr(JsonArray) own = json_array_new(), all = json_array_new();
        g_autoptr(GHashTable) targets = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);

        for (gsize i = 0; given && i < g_variant_n_children(given); i++) {
                g_autoptr(GVariant) mount = g_variant_get_child_value(given, i);

                if (!add_given(build->input, mount, own, targets, error))
                        return false;
        }
        add_own_run(build, own, targets);
        if (build->input->init)
                append_mount(own, SPEC_INIT_PATH, "bind", build->input->init, (const char *const[]) { "bind", "rprivate", "nosuid", "nodev", "ro", NULL });
        for (guint i = 0; build->input->mounts && i < build->input->mounts->len; i++) {
                const SpecMount *mount = build->input->mounts->pdata[i];
                append_mount(own, mount->target, "bind", mount->source, (const char *const *) mount->options);
                g_hash_table_add(targets, g_strdup(mount->target));
        }
        for (unsigned i = 0; i < G_N_ELEMENTS(default_mounts); i++)
                if (!g_hash_table_contains(targets, default_mounts[i].target))
                        append_default(build, all, &default_mounts[i]);
        for (unsigned i = 0; i < json_array_get_length(own); i++)
                json_array_add_element(all, json_node_copy(json_array_get_element(own, i)));
        sort_mounts(build->root, all);
        return true;
}

void spec_mounts_add_notify(JsonObject *root, const SpecInput *input) {
        static const char *const options[] = { "bind", "rprivate", "nosuid", "noexec", "nodev", "ro", NULL };

        if (!input->notify_directory)
                return;
        append_mount(document_array(root, "mounts"), NOTIFY_DIRECTORY, "bind", input->notify_directory, options);
        spec_process_set_env(document_object(root, "process"), "NOTIFY_SOCKET", NOTIFY_DIRECTORY "/notify");
}
