/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The conversion of containers-common's profile format. A profile that is in the OCI form already passes through unchanged.
 *
 * What crun does with it, compiling it to a filter, takes libseccomp some 10 ms, a third of the whole creation of a container. crun can keep filters, but is not built so on Debian 12. So the first container of a profile teaches the service the filter for those that come after it. */

#include "runtime/seccomp.h"
#include "base/file.h"
#include <linux/filter.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PROFILE_MAX (1024 * 1024)

/* The name in archMap and the one in includes and excludes. */
#if defined(__x86_64__)
#define NATIVE_ARCH "SCMP_ARCH_X86_64"
#define NATIVE_NAME "amd64"
#elif defined(__i386__)
#define NATIVE_ARCH "SCMP_ARCH_X86"
#define NATIVE_NAME "x86"
#elif defined(__aarch64__)
#define NATIVE_ARCH "SCMP_ARCH_AARCH64"
#define NATIVE_NAME "arm64"
#elif defined(__arm__)
#define NATIVE_ARCH "SCMP_ARCH_ARM"
#define NATIVE_NAME "arm"
#elif defined(__riscv) && __riscv_xlen == 64
#define NATIVE_ARCH "SCMP_ARCH_RISCV64"
#define NATIVE_NAME "riscv64"
#elif defined(__s390x__)
#define NATIVE_ARCH "SCMP_ARCH_S390X"
#define NATIVE_NAME "s390x"
#elif defined(__powerpc64__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define NATIVE_ARCH "SCMP_ARCH_PPC64LE"
#define NATIVE_NAME "ppc64le"
#else
#error "add the names of this architecture"
#endif

/* "EPERM" → 1; -1 for another text. */
static int errno_from_name(const char *name) {
        for (int i = 1; i < 200; i++)
                if (g_strcmp0(strerrorname_np(i), name) == 0)
                        return i;
        return -1;
}

/* errnoRet, or what the newer member with a name says. */
static void copy_errno(JsonObject *from, JsonObject *to, const char *number_member, const char *name_member) {
        JsonNode *number = json_object_get_member(from, number_member);
        const char *name = document_find_string(from, name_member);

        if (number && JSON_NODE_HOLDS_VALUE(number) && json_node_get_value_type(number) == G_TYPE_INT64)
                json_object_set_int_member(to, number_member, json_node_get_int(number));
        else if (name && errno_from_name(name) > 0)
                json_object_set_int_member(to, number_member, errno_from_name(name));
}

static bool any_in(JsonArray *wanted, JsonArray *present) {
        for (unsigned i = 0; wanted && i < json_array_get_length(wanted); i++)
                if (document_array_contains(present, document_array_string(wanted, i)))
                        return true;
        return false;
}

static bool all_in(JsonArray *wanted, JsonArray *present) {
        for (unsigned i = 0; wanted && i < json_array_get_length(wanted); i++)
                if (!document_array_contains(present, document_array_string(wanted, i)))
                        return false;
        return true;
}

static bool applies(JsonObject *rule, JsonArray *capabilities) {
        JsonObject *includes = document_find_object(rule, "includes"), *excludes = document_find_object(rule, "excludes");
        JsonArray *arches = includes ? document_find_array(includes, "arches") : NULL;

        if (arches && json_array_get_length(arches) > 0 && !document_array_contains(arches, NATIVE_NAME))
                return false;
        if (includes && !all_in(document_find_array(includes, "caps"), capabilities))
                return false;
        return !excludes || (!document_array_contains(document_find_array(excludes, "arches"), NATIVE_NAME) &&
                             !any_in(document_find_array(excludes, "caps"), capabilities));
}

static bool add_rule(JsonObject *rule, JsonArray *rules, const char *path, GError **error) {
        const char *action = document_find_string(rule, "action"), *name = document_find_string(rule, "name");
        JsonArray *names = document_find_array(rule, "names"), *arguments = document_find_array(rule, "args");
        g_autoptr(JsonObject) made = json_object_new();

        if (!action || (!name && (!names || json_array_get_length(names) == 0)))
                return error_set(error, CONBUS_ERROR_INVALID_CONFIG, "read the seccomp profile %s: a rule has no names or no action", path);
        if (name)
                document_set_strv(made, "names", (const char *const[]) { name, NULL });
        else
                json_object_set_array_member(made, "names", json_array_ref(names));
        json_object_set_string_member(made, "action", action);
        copy_errno(rule, made, "errnoRet", "errno");
        if (arguments && json_array_get_length(arguments) > 0)
                json_object_set_array_member(made, "args", json_array_ref(arguments));
        json_array_add_object_element(rules, json_object_ref(made));
        return true;
}

static void add_architectures(JsonObject *profile, JsonObject *to) {
        JsonArray *map = document_find_array(profile, "archMap"), *given = document_find_array(profile, "architectures");

        if (given && json_array_get_length(given) > 0) {
                json_object_set_array_member(to, "architectures", json_array_ref(given));
                return;
        }

        JsonArray *architectures = document_array(to, "architectures");
        json_array_add_string_element(architectures, NATIVE_ARCH);
        for (unsigned i = 0; map && i < json_array_get_length(map); i++) {
                JsonNode *node = json_array_get_element(map, i);
                JsonObject *entry = JSON_NODE_HOLDS_OBJECT(node) ? json_node_get_object(node) : NULL;
                JsonArray *others = entry ? document_find_array(entry, "subArchitectures") : NULL;

                if (!others || g_strcmp0(document_find_string(entry, "architecture"), NATIVE_ARCH) != 0)
                        continue;
                for (unsigned j = 0; j < json_array_get_length(others); j++)
                        json_array_add_string_element(architectures, document_array_string(others, j));
        }
}

JsonObject *seccomp_read(const char *path, JsonArray *capabilities, GError **error) {
        g_autoptr(JsonObject) profile = document_read(path, PROFILE_MAX, error);
        g_autoptr(JsonObject) made = json_object_new();

        if (!profile)
                return NULL;
        if (!document_find_string(profile, "defaultAction")) {
                error_set(error, CONBUS_ERROR_INVALID_CONFIG, "read the seccomp profile %s: it has no defaultAction", path);
                return NULL;
        }
        json_object_set_string_member(made, "defaultAction", document_find_string(profile, "defaultAction"));
        copy_errno(profile, made, "defaultErrnoRet", "defaultErrno");
        add_architectures(profile, made);
        if (document_find_array(profile, "flags"))
                json_object_set_array_member(made, "flags", json_array_ref(document_find_array(profile, "flags")));

        JsonArray *rules = document_find_array(profile, "syscalls"), *kept = document_array(made, "syscalls");
        for (unsigned i = 0; rules && i < json_array_get_length(rules); i++) {
                JsonNode *node = json_array_get_element(rules, i);

                if (!JSON_NODE_HOLDS_OBJECT(node)) {
                        error_set(error, CONBUS_ERROR_INVALID_CONFIG, "read the seccomp profile %s: entry %u of syscalls is not an object", path, i);
                        return NULL;
                }
                if (applies(json_node_get_object(node), capabilities) && !add_rule(json_node_get_object(node), kept, path, error))
                        return NULL;
        }
        return g_steal_pointer(&made);
}

/* A third of what a start costs is to read this file and take it apart (tests/system/test_costs.py), and nearly all containers have the same one and the same capabilities. */
typedef struct Shared {
        char *path, *capabilities;
        struct stat file;
        JsonObject *profile;
        unsigned number;
        char *filter; /* base64; NULL: not known */
} Shared;

static Shared shared;

static char *join(JsonArray *capabilities) {
        GString *text = g_string_new(NULL);

        for (unsigned i = 0; capabilities && i < json_array_get_length(capabilities); i++)
                g_string_append_printf(text, "%s ", document_array_string(capabilities, i));
        return g_string_free(text, FALSE);
}

static void share(const char *path, const char *capabilities, const struct stat *file, JsonObject *profile) {
        unsigned number = shared.number + 1;

        g_free(shared.path);
        g_free(shared.capabilities);
        g_free(shared.filter);
        g_clear_pointer(&shared.profile, json_object_unref);
        shared = (Shared) {.path = g_strdup(path), .capabilities = g_strdup(capabilities), .file = *file, .profile = json_object_ref(profile), .number = number};
}

JsonObject *seccomp_share(const char *path, JsonArray *capabilities, unsigned *ret_number, GError **error) {
        g_autofree char *joined = join(capabilities);
        struct stat file;

        *ret_number = 0;
        if (stat(path, &file) < 0)
                return seccomp_read(path, capabilities, error);
        if (!shared.profile || !g_str_equal(shared.path, path) || !g_str_equal(shared.capabilities, joined) || !file_is_unchanged(&shared.file, &file)) {
                g_autoptr(JsonObject) profile = seccomp_read(path, capabilities, error);
                if (!profile)
                        return NULL;
                share(path, joined, &file, profile);
        }
        *ret_number = shared.number;
        return json_object_ref(shared.profile);
}

const char *seccomp_filter(unsigned number) {
        return number != 0 && number == shared.number ? shared.filter : NULL;
}

void seccomp_learn(unsigned number, const char *crun_root, const char *id) {
        g_autofree char *kept = g_build_filename(crun_root, ".cache/seccomp", NULL), *path = g_build_filename(crun_root, id, "seccomp.bpf", NULL), *filter = NULL;
        gsize size;

        if (number == 0 || number != shared.number || shared.filter || access(kept, F_OK) == 0 || !g_file_get_contents(path, &filter, &size, NULL))
                return;
        if (size > 0 && size % sizeof(struct sock_filter) == 0 && size / sizeof(struct sock_filter) <= BPF_MAXINSNS)
                shared.filter = g_base64_encode((const guchar *) filter, size);
}
