/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The OCI configuration as a whole: made from a container's configuration, or taken from a bundle. spec-process.c, spec-linux.c and spec-mounts.c write its parts.
 *
 * The patch of the configuration is applied when everything else is there. Only what this service itself depends on is set once more after it: the cgroup, the terminal that conmon serves, the notify socket, resource limits it may not exceed. */

#include "runtime/spec-build.h"
#include "model/config.h"
#include <errno.h>
#include <sys/stat.h>

#define OCI_VERSION "1.0.2"
#define BUNDLE_CONFIG_MAX (4 * 1024 * 1024)

static void add_annotations(SpecBuild *build) {
        g_autoptr(GVariant) annotations = config_value(build->config, "annotations");
        GVariantIter iter;
        const char *name, *value;

        if (!annotations)
                return;
        g_variant_iter_init(&iter, annotations);
        while (g_variant_iter_next(&iter, "{&s&s}", &name, &value))
                json_object_set_string_member(document_object(build->root, "annotations"), name, value);
}

static bool joins(const SpecInput *input, const char *type) {
        for (unsigned i = 0; i < G_N_ELEMENTS(input->namespaces) && input->namespaces[i][0]; i++)
                if (g_str_equal(input->namespaces[i][0], type))
                        return true;
        return false;
}

static void begin(SpecBuild *build) {
        const SpecInput *input = build->input;
        const char *hostname = config_string(build->config, "hostname", input->hostname_default);
        JsonObject *root;

        json_object_set_string_member(build->root, "ociVersion", OCI_VERSION);
        build->process = document_object(build->root, "process");
        root = document_object(build->root, "root");
        json_object_set_string_member(root, "path", input->rootfs);
        json_object_set_boolean_member(root, "readonly", input->root_readonly || config_bool(build->config, "read-only", false));
        /* The name belongs to the owner of the namespace, who has set it already. */
        if (hostname && !joins(input, "uts"))
                json_object_set_string_member(build->root, "hostname", hostname);
        build->os = document_object(build->root, "linux");
}

static bool G_GNUC_PRINTF(3, 4) refuse(GError **error, const char *path, const char *format, ...) {
        va_list arguments;

        va_start(arguments, format);
        g_autofree char *why = g_strdup_vprintf(format, arguments);
        va_end(arguments);
        return error_set(error, CONBUS_ERROR_INVALID_CONFIG, "%s: %s", path, why);
}

static bool check_strings(JsonArray *array, const char *path, const char *member, GError **error) {
        for (unsigned i = 0; array && i < json_array_get_length(array); i++)
                if (json_node_get_value_type(json_array_get_element(array, i)) != G_TYPE_STRING)
                        return refuse(error, path, "%s has an element that is not a text", member);
        return true;
}

/* What crun would only complain about when the container is started. */
static bool check_process(JsonObject *process, const char *path, GError **error) {
        JsonArray *arguments = document_find_array(process, "args"), *env = document_find_array(process, "env");
        const char *cwd = document_find_string(process, "cwd");

        if (!arguments || json_array_get_length(arguments) == 0)
                return refuse(error, path, "process.args is missing or empty; it is the command as an array of texts");
        if (!check_strings(arguments, path, "process.args", error))
                return false;
        if (json_object_has_member(process, "env") && !env)
                return refuse(error, path, "process.env is not an array; it takes texts NAME=VALUE");
        if (!check_strings(env, path, "process.env", error))
                return false;
        return (cwd && *cwd == '/') || refuse(error, path, "process.cwd is missing or not an absolute path");
}

static bool check_document(JsonObject *root, const char *path, GError **error) {
        static const char *const objects[] = { "process", "root", NULL }, *const optional_objects[] = { "linux", "annotations", "hooks", NULL };
        const char *version = document_find_string(root, "ociVersion");

        if (!version || !g_str_has_prefix(version, "1."))
                return refuse(error, path, "ociVersion is missing or not 1.x");
        for (unsigned i = 0; objects[i]; i++)
                if (!document_find_object(root, objects[i]))
                        return refuse(error, path, "\"%s\" is missing or not an object", objects[i]);
        for (unsigned i = 0; optional_objects[i]; i++)
                if (json_object_has_member(root, optional_objects[i]) && !document_find_object(root, optional_objects[i]))
                        return refuse(error, path, "\"%s\" is not an object", optional_objects[i]);
        if (json_object_has_member(root, "mounts") && !document_find_array(root, "mounts"))
                return refuse(error, path, "\"mounts\" is not an array");
        if (!document_find_string(document_find_object(root, "root"), "path"))
                return refuse(error, path, "root.path is missing or not a text");
        return check_process(document_find_object(root, "process"), path, error);
}

static bool apply_patch(SpecBuild *build, GError **error) {
        const char *text = config_string(build->config, "oci-spec-patch", NULL);

        if (!text)
                return true;
        g_autoptr(JsonObject) patch = document_parse(text, -1, "configuration key \"oci-spec-patch\"", CONBUS_ERROR_INVALID_CONFIG, error);
        if (!patch)
                return false;
        document_patch(build->root, patch);
        return check_document(build->root, "after configuration key \"oci-spec-patch\"", error);
}

/* At creation the rest of the specification is not known, but for what every one has. */
bool spec_check_patch(GVariant *config, GError **error) {
        static const char *const command[] = { "true", NULL };
        g_autoptr(JsonObject) root = json_object_new();
        SpecBuild build = { .config = config, .root = root };
        JsonObject *process = document_object(root, "process");

        json_object_set_string_member(root, "ociVersion", OCI_VERSION);
        document_set_strv(process, "args", command);
        json_object_set_string_member(process, "cwd", "/");
        json_object_set_string_member(document_object(root, "root"), "path", "/");
        return apply_patch(&build, error);
}

/* The patch may have replaced the objects, so they are looked up again. */
static char *finish(SpecBuild *build, GError **error) {
        bool terminal = config_bool(build->config, "terminal", false);

        if (!apply_patch(build, error))
                return NULL;

        spec_mounts_add_notify(build->root, build->input);
        JsonObject *process = document_object(build->root, "process");
        json_object_set_boolean_member(process, "terminal", terminal);
        if (!terminal)
                json_object_remove_member(process, "consoleSize");
        spec_process_clamp_rlimits(process, build->input->id);
        if (build->input->cgroups_path)
                json_object_set_string_member(document_object(build->root, "linux"), "cgroupsPath", build->input->cgroups_path);
        return document_print(build->root);
}

char *spec_write(const SpecInput *input, GError **error) {
        g_autoptr(JsonObject) root = json_object_new();
        g_autoptr(GVariant) uid_map = config_value(input->config, "uid-map");
        SpecBuild build = { .input = input, .config = input->config, .root = root };

        build.privileged = config_bool(input->config, "privileged", false);
        build.has_user_namespace = uid_map != NULL;
        begin(&build);
        add_annotations(&build);
        bool done = spec_process_add(&build, error) && spec_linux_add(&build, error) && spec_mounts_add(&build, error);
        g_autoptr(Account) account = build.account;
        return done && account ? finish(&build, error) : NULL;
}

static bool set_root(JsonObject *root, const char *bundle, const SpecInput *input, GError **error) {
        JsonObject *object = document_object(root, "root");
        g_autofree char *path = g_canonicalize_filename(input->rootfs ? input->rootfs : document_find_string(object, "path"), bundle);
        struct stat st;

        if (stat(path, &st) < 0)
                return errno == ENOENT || errno == ENOTDIR ? error_set(error, CONBUS_ERROR_NO_SUCH_PATH, "open the root file system %s: it does not exist", path) :
                                                            error_set(error, CONBUS_ERROR_INVALID_CONFIG, "open the root file system %s: %s", path, g_strerror(errno));
        if (!S_ISDIR(st.st_mode))
                return error_set(error, CONBUS_ERROR_NOT_A_DIRECTORY, "open the root file system %s: it is not a directory", path);
        json_object_set_string_member(object, "path", path);
        if (input->root_readonly)
                json_object_set_boolean_member(object, "readonly", TRUE);
        return true;
}

char *spec_from_bundle(const char *bundle, const SpecInput *input, GError **error) {
        g_autofree char *path = g_build_filename(bundle, "config.json", NULL);
        g_autoptr(JsonObject) root = document_read(path, BUNDLE_CONFIG_MAX, error);
        SpecBuild build = { .input = input, .config = input->config, .root = root };

        g_assert(g_path_is_absolute(bundle));
        if (!root || !check_document(root, path, error) || !set_root(root, bundle, input, error))
                return NULL;
        spec_linux_join(document_object(root, "linux"), input);
        return finish(&build, error);
}

bool spec_find_root(const char *bundle, GVariant *config, char **ret, GError **error) {
        const char *given = config_string(config, "rootfs", NULL);

        if (given || !bundle) {
                *ret = g_strdup(given ? given : "");
                return true;
        }
        g_autofree char *path = g_build_filename(bundle, "config.json", NULL);
        g_autoptr(JsonObject) root = document_read(path, BUNDLE_CONFIG_MAX, error);
        if (!root || !check_document(root, path, error))
                return false;
        *ret = g_canonicalize_filename(document_find_string(document_object(root, "root"), "path"), bundle);
        return true;
}
