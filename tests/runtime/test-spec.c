/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The OCI configuration is read back and looked at fact by fact. The root file system is a real directory. */

#include "runtime/spec.h"
#include "json-facts.h"
#include "base/log.h"
#include "model/config.h"
#include "runtime/cgroup.h"
#include "runtime/document.h"
#include "runtime/seccomp.h"
#include <glib/gstdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static char *rootfs, *bundle;

static SpecInput input_of(GVariant *config) {
        return (SpecInput) { .id = "0123456789abcdef", .name = "web", .config = config, .rootfs = rootfs, .cgroups_path = "/conbus/0123456789abcdef", .hostname_default = "0123456789ab" };
}

/* extra: further keys as GVariant text, without braces. */
static GVariant *config_of(const char *extra) {
        g_autofree char *text = g_strdup_printf("{'rootfs': <'/unused'>, 'command': <['sh', '-c', 'exit 0']>%s%s}", *extra ? ", " : "", extra);
        g_autoptr(GError) error = NULL;
        GVariant *config = g_variant_parse(G_VARIANT_TYPE_VARDICT, text, NULL, NULL, &error);

        g_assert_no_error(error);
        if (!config_check(config, CONFIG_CREATE, &error))
                g_error("%s", error->message);
        return config;
}

static JsonObject *read_back(const char *text) {
        g_autoptr(GError) error = NULL;
        JsonObject *spec = document_parse(text, -1, "spec", CONBUS_ERROR_INTERNAL, &error);

        g_assert_no_error(error);
        return spec;
}

static JsonObject *write_input(const SpecInput *input) {
        g_autoptr(GError) error = NULL;
        g_autofree char *text = spec_write(input, &error);

        g_assert_no_error(error);
        return read_back(text);
}

static JsonObject *write_spec(const char *extra) {
        g_autoptr(GVariant) config = config_of(extra);
        SpecInput input = input_of(config);

        return write_input(&input);
}

static void assert_refused(const char *extra, ConbusError code, const char *part) {
        g_autoptr(GVariant) config = config_of(extra);
        SpecInput input = input_of(config);
        g_autoptr(GError) error = NULL;

        g_assert_null(spec_write(&input, &error));
        if (!g_error_matches(error, CONBUS_ERROR, code) || !strstr(error->message, part))
                g_error("%s: \"%s\" has code %d and lacks \"%s\"", extra, error->message, error->code, part);
}

static int position(JsonObject *spec, const char *destination) {
        JsonArray *mounts = document_find_array(spec, "mounts");

        for (unsigned i = 0; i < json_array_get_length(mounts); i++)
                if (g_str_equal(document_find_string(json_array_get_object_element(mounts, i), "destination"), destination))
                        return i;
        return -1;
}

static void test_basics(void) {
        g_autoptr(JsonObject) spec = write_spec("");

        assert_json(spec, "ociVersion", "\"1.0.2\"");
        g_assert_cmpstr(json_node_get_string(find(spec, "root.path")), ==, rootfs);
        assert_json(spec, "root.readonly", "false");
        assert_json(spec, "hostname", "\"0123456789ab\"");
        assert_json(spec, "process.args", "[\"sh\",\"-c\",\"exit 0\"]");
        assert_json(spec, "process.cwd", "\"/\"");
        assert_json(spec, "process.terminal", "false");
        assert_json(spec, "process.noNewPrivileges", "false");
        assert_json(spec, "process.user", "{\"uid\":0,\"gid\":0,\"umask\":18,\"additionalGids\":[0]}");
        assert_json(spec, "linux.cgroupsPath", "\"/conbus/0123456789abcdef\"");
        assert_json(spec, "process.rlimits", NULL);
        assert_json(spec, "linux.uidMappings", NULL);
        assert_json(spec, "annotations", NULL);
}

static void test_given_settings(void) {
        g_autoptr(JsonObject) spec = write_spec("'entrypoint': <['/init', '--']>, 'cwd': <'/srv'>, 'hostname': <'web'>, 'terminal': <true>, 'read-only': <true>, 'no-new-privileges': <true>, "
                                                "'annotations': <{'a.b': 'c'}>, 'sysctls': <{'net.core.somaxconn': '7'}>");

        assert_json(spec, "process.args", "[\"/init\",\"--\",\"sh\",\"-c\",\"exit 0\"]");
        assert_json(spec, "process.cwd", "\"/srv\"");
        assert_json(spec, "hostname", "\"web\"");
        assert_json(spec, "process.terminal", "true");
        assert_json(spec, "root.readonly", "true");
        assert_json(spec, "process.noNewPrivileges", "true");
        assert_json(spec, "annotations", "{\"a.b\":\"c\"}");
        assert_json(spec, "linux.sysctl", "{\"net.core.somaxconn\":\"7\"}");
}

static void test_environment(void) {
        g_autoptr(JsonObject) plain = write_spec(""), spec = write_spec("'terminal': <true>, 'hostname': <'web'>, 'env': <['A=1', 'HOME=/h', 'B=x=y', 'A=2', 'PATHS=p']>, 'unset-env': <['B', 'PATH']>");

        assert_json(plain, "process.env", "[\"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\",\"container=oci\",\"HOME=/root\",\"HOSTNAME=0123456789ab\"]");
        assert_json(spec, "process.env", "[\"TERM=xterm\",\"container=oci\",\"HOSTNAME=web\",\"HOME=/h\",\"A=2\",\"PATHS=p\"]");
}

static void test_user_is_looked_up_inside(void) {
        g_autoptr(JsonObject) spec = write_spec("'user': <'www'>"), number = write_spec("'user': <'77:88'>");

        assert_json(spec, "process.user", "{\"uid\":33,\"gid\":34,\"umask\":18,\"additionalGids\":[34,29]}");
        g_assert_true(contains(spec, "process.env", "HOME=/var/www"));
        assert_json(number, "process.user", "{\"uid\":77,\"gid\":88,\"umask\":18,\"additionalGids\":[88]}");
        g_assert_true(contains(number, "process.env", "HOME=/"));
        assert_refused("'user': <'nobody'>", CONBUS_ERROR_INVALID_CONFIG, "there is no \"nobody\" in /etc/passwd");
}

static const char default_capabilities[] = "[\"CAP_CHOWN\",\"CAP_DAC_OVERRIDE\",\"CAP_FOWNER\",\"CAP_FSETID\",\"CAP_KILL\",\"CAP_SETGID\",\"CAP_SETUID\",\"CAP_SETPCAP\","
                                           "\"CAP_NET_BIND_SERVICE\",\"CAP_SYS_CHROOT\",\"CAP_SETFCAP\"]";

static void test_capabilities(void) {
        g_autoptr(JsonObject) root = write_spec(""), user = write_spec("'user': <'www'>"), none = write_spec("'cap-drop': <['ALL']>"),
                              one = write_spec("'cap-drop': <['ALL', 'CAP_KILL']>, 'cap-add': <['CAP_CHOWN', 'CAP_KILL']>"), all = write_spec("'cap-add': <['ALL']>, 'cap-drop': <['CAP_SYS_ADMIN']>");

        assert_json(root, "process.capabilities.bounding", default_capabilities);
        assert_json(root, "process.capabilities.effective", default_capabilities);
        assert_json(root, "process.capabilities.permitted", default_capabilities);
        assert_json(root, "process.capabilities.inheritable", NULL);
        assert_json(root, "process.capabilities.ambient", NULL);
        assert_json(user, "process.capabilities.bounding", default_capabilities);
        assert_json(user, "process.capabilities.effective", "[]");
        assert_json(user, "process.capabilities.permitted", "[]");
        assert_json(none, "process.capabilities.bounding", "[]");
        assert_json(one, "process.capabilities.bounding", "[\"CAP_CHOWN\"]");
        g_assert_true(contains(all, "process.capabilities.bounding", "CAP_NET_ADMIN"));
        g_assert_false(contains(all, "process.capabilities.bounding", "CAP_SYS_ADMIN"));
}

static void test_privileged(void) {
        g_autoptr(JsonObject) spec = write_spec("'privileged': <true>"), filtered = write_spec("'privileged': <true>, 'seccomp': <'default'>");

        g_assert_true(contains(spec, "process.capabilities.effective", "CAP_SYS_ADMIN"));
        assert_json(spec, "linux.seccomp", NULL);
        assert_json(spec, "linux.maskedPaths", NULL);
        assert_json(spec, "linux.readonlyPaths", NULL);
        assert_json(spec, "linux.resources.devices", "[{\"allow\":true,\"access\":\"rwm\"}]");
        g_assert_false(document_array_contains(document_find_array(find_entry(spec, "mounts", "destination", "/sys"), "options"), "ro"));
        g_assert_true((find(filtered, "linux.seccomp") != NULL) == (access(SECCOMP_DEFAULT_PROFILE, R_OK) == 0));
}

static void test_default_mounts(void) {
        g_autoptr(JsonObject) spec = write_spec("");
        static const char *const targets[][2] = { { "/proc", "proc" }, { "/dev", "tmpfs" }, { "/sys", "sysfs" }, { "/dev/pts", "devpts" },
                                                  { "/dev/mqueue", "mqueue" }, { "/dev/shm", "tmpfs" }, { "/sys/fs/cgroup", "cgroup" } };

        g_assert_cmpuint(json_array_get_length(document_find_array(spec, "mounts")), ==, G_N_ELEMENTS(targets));
        for (unsigned i = 0; i < G_N_ELEMENTS(targets); i++)
                g_assert_cmpstr(document_find_string(find_entry(spec, "mounts", "destination", targets[i][0]), "type"), ==, targets[i][1]);
        g_assert_true(document_array_contains(document_find_array(find_entry(spec, "mounts", "destination", "/sys"), "options"), "ro"));
        g_assert_true(document_array_contains(document_find_array(find_entry(spec, "mounts", "destination", "/sys/fs/cgroup"), "options"), "ro"));
        g_assert_true(document_array_contains(document_find_array(find_entry(spec, "mounts", "destination", "/proc"), "options"), "nosuid"));
        g_assert_cmpint(position(spec, "/dev"), <, position(spec, "/dev/pts"));
}

static void test_given_mounts(void) {
        g_autofree char *extra = g_strdup_printf("'mounts': <[{'target': <'/data/below/'>, 'source': <'%s'>, 'options': <['ro', 'bind', 'rslave']>}, {'target': <'/data'>, 'source': <'%s'>}, "
                                                 "{'target': <'/tmp'>, 'type': <'tmpfs'>, 'options': <['size=1m', 'suid']>}, {'target': <'/dev/shm'>, 'type': <'tmpfs'>}]>", rootfs, rootfs);
        g_autoptr(JsonObject) spec = write_spec(extra);

        g_autofree char *below = g_strdup_printf("{\"destination\":\"/data/below\",\"type\":\"bind\",\"source\":\"%s\",\"options\":[\"ro\",\"bind\",\"rslave\"]}", rootfs);
        g_autofree char *data = g_strdup_printf("{\"destination\":\"/data\",\"type\":\"bind\",\"source\":\"%s\",\"options\":[\"rbind\",\"rprivate\"]}", rootfs);
        g_autofree char *found_below = document_print(find_entry(spec, "mounts", "destination", "/data/below"));
        g_autofree char *found_data = document_print(find_entry(spec, "mounts", "destination", "/data"));
        g_autofree char *found_tmp = document_print(find_entry(spec, "mounts", "destination", "/tmp"));
        g_autofree char *found_shm = document_print(find_entry(spec, "mounts", "destination", "/dev/shm"));
        g_assert_cmpstr(found_below, ==, below);
        g_assert_cmpstr(found_data, ==, data);
        g_assert_cmpstr(found_tmp, ==, "{\"destination\":\"/tmp\",\"type\":\"tmpfs\",\"source\":\"tmpfs\",\"options\":[\"size=1m\",\"suid\",\"rprivate\",\"nodev\"]}");
        g_assert_cmpstr(found_shm, ==, "{\"destination\":\"/dev/shm\",\"type\":\"tmpfs\",\"source\":\"tmpfs\",\"options\":[\"rprivate\",\"nodev\",\"nosuid\"]}");
        g_assert_cmpint(position(spec, "/data"), <, position(spec, "/data/below"));
        g_assert_cmpuint(json_array_get_length(document_find_array(spec, "mounts")), ==, 10);
        assert_refused("'mounts': <[{'target': <'/a'>, 'source': <'/nonexistent/x'>}]>", CONBUS_ERROR_NO_SUCH_PATH, "mount /nonexistent/x at /a");
}

static void test_notify(void) {
        g_autoptr(GVariant) config = config_of("'env': <['NOTIFY_SOCKET=/elsewhere']>, 'unset-env': <['NOTIFY_SOCKET']>, 'oci-spec-patch': <'{\"mounts\":[]}'>");
        SpecInput input = input_of(config);

        input.notify_directory = "/run/conbus/n";
        g_autoptr(JsonObject) spec = write_input(&input);
        g_assert_true(contains(spec, "process.env", "NOTIFY_SOCKET=/run/notify/notify"));
        g_assert_false(contains(spec, "process.env", "NOTIFY_SOCKET=/elsewhere"));
        g_assert_cmpstr(document_find_string(find_entry(spec, "mounts", "destination", "/run/notify"), "source"), ==, "/run/conbus/n");
        g_assert_cmpuint(json_array_get_length(document_find_array(spec, "mounts")), ==, 1);
}

static void test_an_init_goes_before_the_command(void) {
        g_autoptr(GVariant) config = config_of("'entrypoint': <['env']>, 'init': <true>");
        SpecInput input = input_of(config);

        input.init = "/usr/bin/catatonit";
        g_autoptr(JsonObject) spec = write_input(&input);
        assert_json(spec, "process.args", "[\"/run/conbus-init\",\"--\",\"env\",\"sh\",\"-c\",\"exit 0\"]");
        JsonObject *mount = find_entry(spec, "mounts", "destination", "/run/conbus-init");
        g_assert_nonnull(mount);
        g_assert_cmpstr(document_find_string(mount, "source"), ==, "/usr/bin/catatonit");
        g_assert_true(document_array_contains(document_find_array(mount, "options"), "ro"));
}

static void test_a_closed_root_gets_a_run_of_its_own(void) {
        static const struct {
                const char *extra;
                bool init, expected;
        } cases[] = {
                { "'read-only': <true>", true, true },
                { "'read-only': <true>", false, false },
                { "'read-only': <false>", true, false },
                { "'uid-map': <[(uint32 0, uint32 1, uint32 9)]>, 'gid-map': <[(uint32 0, uint32 1, uint32 9)]>", true, true },
                { "'read-only': <true>, 'mounts': <[{'target': <'/run/'>, 'source': <'/tmp'>}]>", true, false },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                g_autoptr(GVariant) config = config_of(cases[i].extra);
                SpecInput input = input_of(config);
                input.init = cases[i].init ? "/bin/true" : NULL;
                g_autoptr(JsonObject) spec = write_input(&input);
                JsonObject *run = find_entry(spec, "mounts", "destination", "/run");
                g_assert_cmpint(run && g_str_equal(document_find_string(run, "type"), "tmpfs"), ==, cases[i].expected);
                g_assert_cmpint(position(spec, "/run"), <=, position(spec, "/run/conbus-init"));
        }
}

static void test_mounts_of_the_service_and_credentials(void) {
        static const char *const closed[] = { "bind", "ro", NULL };
        g_autoptr(GVariant) config = config_of("'read-only': <true>");
        g_autoptr(GPtrArray) mounts = g_ptr_array_new_with_free_func((GDestroyNotify) spec_mount_free);
        SpecInput input = input_of(config);

        g_ptr_array_add(mounts, spec_mount_new("/run/secrets/a", "/host/a", closed));
        g_ptr_array_add(mounts, spec_mount_new("/dev/shm", "/host/b", closed));
        input.mounts = mounts;
        input.credentials = "/run/host/credentials";
        g_autoptr(JsonObject) spec = write_input(&input);
        g_assert_cmpstr(document_find_string(find_entry(spec, "mounts", "destination", "/run/secrets/a"), "source"), ==, "/host/a");
        g_assert_cmpstr(document_find_string(find_entry(spec, "mounts", "destination", "/dev/shm"), "source"), ==, "/host/b");
        g_assert_nonnull(find_entry(spec, "mounts", "destination", "/run"));
        g_assert_true(contains(spec, "process.env", "CREDENTIALS_DIRECTORY=/run/host/credentials"));
}

static void test_namespaces(void) {
        g_autoptr(JsonObject) spec = write_spec(""), host = write_spec("'network': <'host'>"), path = write_spec("'network': <'ns:/proc/self/ns/net'>");
        static const char *const types[] = { "pid", "ipc", "uts", "mount", "cgroup", "network", NULL };

        for (unsigned i = 0; types[i]; i++) {
                g_assert_nonnull(find_entry(spec, "linux.namespaces", "type", types[i]));
                g_assert_null(document_find_string(find_entry(spec, "linux.namespaces", "type", types[i]), "path"));
        }
        g_assert_null(find_entry(spec, "linux.namespaces", "type", "user"));
        g_assert_null(find_entry(host, "linux.namespaces", "type", "network"));
        g_assert_cmpstr(document_find_string(find_entry(path, "linux.namespaces", "type", "network"), "path"), ==, "/proc/self/ns/net");
        assert_refused("'network': <'ns:/nonexistent/ns'>", CONBUS_ERROR_NO_SUCH_PATH, "join the network namespace /nonexistent/ns");
        assert_refused("'network': <'container:db'>", CONBUS_ERROR_INVALID_CONFIG, "the network of db cannot be joined");
}

static void test_joined_namespaces(void) {
        g_autoptr(GVariant) config = config_of("'network': <'container:db'>");
        SpecInput input = input_of(config);

        input.namespaces[0][0] = "network";
        input.namespaces[0][1] = "/proc/self/ns/net";
        input.namespaces[1][0] = "uts";
        input.namespaces[1][1] = "/proc/self/ns/uts";
        g_autoptr(JsonObject) spec = write_input(&input);
        g_assert_cmpstr(document_find_string(find_entry(spec, "linux.namespaces", "type", "network"), "path"), ==, "/proc/self/ns/net");
        g_assert_cmpuint(json_array_get_length(json_node_get_array(find(spec, "linux.namespaces"))), ==, 6);
        assert_json(spec, "hostname", NULL);
}

static void test_user_namespace(void) {
        g_autoptr(JsonObject) spec = write_spec("'network': <'host'>, 'uid-map': <[(uint32 0, uint32 1000, uint32 5)]>, 'gid-map': <[(uint32 0, uint32 2000, uint32 5)]>");
        g_autoptr(JsonObject) wide = write_spec("'uid-map': <[(uint32 0, uint32 1000, uint32 6)]>, 'gid-map': <[(uint32 0, uint32 2000, uint32 6)]>");

        g_assert_nonnull(find_entry(spec, "linux.namespaces", "type", "user"));
        assert_json(spec, "linux.uidMappings", "[{\"containerID\":0,\"hostID\":1000,\"size\":5}]");
        assert_json(spec, "linux.gidMappings", "[{\"containerID\":0,\"hostID\":2000,\"size\":5}]");
        g_assert_cmpstr(document_find_string(find_entry(spec, "mounts", "destination", "/sys"), "type"), ==, "bind");
        g_assert_false(document_array_contains(document_find_array(find_entry(spec, "mounts", "destination", "/dev/pts"), "options"), "gid=5"));
        g_assert_cmpstr(document_find_string(find_entry(wide, "mounts", "destination", "/sys"), "type"), ==, "sysfs");
        g_assert_true(document_array_contains(document_find_array(find_entry(wide, "mounts", "destination", "/dev/pts"), "options"), "gid=5"));
}

static void test_hidden_paths(void) {
        g_autoptr(JsonObject) spec = write_spec("");

        g_assert_true(contains(spec, "linux.maskedPaths", "/proc/kcore"));
        g_assert_true(contains(spec, "linux.maskedPaths", "/sys/firmware"));
        g_assert_true(contains(spec, "linux.readonlyPaths", "/proc/sys"));
        g_assert_true(contains(spec, "linux.readonlyPaths", "/proc/sysrq-trigger"));
}

static void test_limits(void) {
        g_autoptr(JsonObject) plain = write_spec(""), none = write_spec("'pids': <uint64 0>");
        g_autoptr(JsonObject) spec = write_spec("'pids': <uint64 10>, 'memory': <uint64 8388608>, 'memory-high': <uint64 4194304>, 'cpu-quota-usec': <uint64 50000>, 'cpu-weight': <uint64 100>");

        assert_json(plain, "linux.resources", "{\"devices\":[{\"allow\":false,\"access\":\"rwm\"}],\"pids\":{\"limit\":2048}}");
        assert_json(none, "linux.resources.pids", NULL);
        assert_json(spec, "linux.resources.pids.limit", "10");
        assert_json(spec, "linux.resources.memory.limit", "8388608");
        assert_json(spec, "linux.resources.memory.swap", NULL);
        assert_json(spec, "linux.resources.cpu.quota", "50000");
        assert_json(spec, "linux.resources.cpu.period", "100000");
        if (cgroup_is_unified())
                assert_json(spec, "linux.resources.unified", "{\"memory.high\":\"4194304\",\"cpu.weight\":\"100\"}");
        else {
                assert_json(spec, "linux.resources.memory.reservation", "4194304");
                assert_json(spec, "linux.resources.cpu.shares", "1024");
        }
}

static void test_resources_come_last(void) {
        g_autoptr(JsonObject) spec = write_spec("'pids': <uint64 10>, 'memory': <uint64 8388608>, 'resources': <'{\"pids\":{\"limit\":20},\"memory\":{\"swap\":-1}}'>");

        assert_json(spec, "linux.resources.pids.limit", "20");
        assert_json(spec, "linux.resources.memory", "{\"limit\":8388608,\"swap\":-1}");
}

static void test_devices(void) {
        g_autoptr(JsonObject) spec = write_spec("'devices': <['/dev/null:/dev/hole:r', '/dev/zero']>");

        JsonObject *hole = find_entry(spec, "linux.devices", "path", "/dev/hole");
        g_assert_cmpstr(document_find_string(hole, "type"), ==, "c");
        g_assert_cmpint(json_object_get_int_member(hole, "major"), ==, 1);
        g_assert_cmpint(json_object_get_int_member(hole, "minor"), ==, 3);
        assert_json(spec, "linux.resources.devices", "[{\"allow\":false,\"access\":\"rwm\"},{\"allow\":true,\"type\":\"c\",\"major\":1,\"minor\":3,\"access\":\"r\"},"
                                                     "{\"allow\":true,\"type\":\"c\",\"major\":1,\"minor\":5,\"access\":\"rwm\"}]");
        assert_refused("'devices': <['/nonexistent']>", CONBUS_ERROR_NO_SUCH_PATH, "/nonexistent");
        assert_refused("'devices': <['/etc/passwd']>", CONBUS_ERROR_INVALID_CONFIG, "is not a device");
}

static void test_rlimits_are_clamped(void) {
        struct rlimit lowered = { 100, 200 }, own;
        g_autoptr(JsonObject) spec = NULL;

        g_assert_cmpint(getrlimit(RLIMIT_SIGPENDING, &own), ==, 0);
        lowered.rlim_max = MIN(own.rlim_max, 200);
        g_assert_cmpint(setrlimit(RLIMIT_SIGPENDING, &lowered), ==, 0);
        spec = write_spec("'ulimits': <[('sigpending', uint64 150, uint64 18446744073709551615), ('RLIMIT_CORE', 0, 5)]>");
        assert_json(spec, "process.rlimits", "[{\"type\":\"RLIMIT_SIGPENDING\",\"hard\":200,\"soft\":150},{\"type\":\"RLIMIT_CORE\",\"hard\":5,\"soft\":0}]");
}

static void test_infinite_rlimit_is_written_unsigned(void) {
        g_autoptr(GVariant) config = config_of("'ulimits': <[('fsize', uint64 1, uint64 18446744073709551615)]>");
        SpecInput input = input_of(config);
        struct rlimit own;
        g_autofree char *text = spec_write(&input, NULL), *expected = NULL;

        g_assert_cmpint(getrlimit(RLIMIT_FSIZE, &own), ==, 0);
        expected = g_strdup_printf("{\"type\":\"RLIMIT_FSIZE\",\"hard\":%" G_GUINT64_FORMAT ",\"soft\":1}", (guint64) own.rlim_max);
        g_assert_nonnull(strstr(text, expected));
}

static void test_seccomp(void) {
        g_autofree char *profile = g_build_filename(bundle, "profile.json", NULL), *extra = g_strdup_printf("'seccomp': <'%s'>", profile);
        g_autoptr(JsonObject) plain = write_spec(""), unconfined = write_spec("'seccomp': <'unconfined'>");

        assert_json(unconfined, "linux.seccomp", NULL);
        if (access(SECCOMP_DEFAULT_PROFILE, R_OK) == 0)
                assert_json(plain, "linux.seccomp.defaultAction", "\"SCMP_ACT_ERRNO\"");
        else
                assert_json(plain, "linux.seccomp", NULL);
        g_assert_true(g_file_set_contents(profile, "{\"defaultAction\":\"SCMP_ACT_ALLOW\"}", -1, NULL));
        g_autoptr(JsonObject) own = write_spec(extra);
        assert_json(own, "linux.seccomp.defaultAction", "\"SCMP_ACT_ALLOW\"");
        g_unlink(profile);
        assert_refused(extra, CONBUS_ERROR_NO_SUCH_PATH, "profile.json");
}

static void test_patch_comes_last(void) {
        g_autoptr(JsonObject) spec = write_spec("'hostname': <'a'>, 'cwd': <'/a'>, 'oci-spec-patch': <'{\"hostname\":\"b\",\"process\":{\"cwd\":\"/b\",\"oomScoreAdj\":5,\"terminal\":true,"
                                                "\"consoleSize\":{\"height\":1,\"width\":1}},\"linux\":{\"cgroupsPath\":\"/other\",\"maskedPaths\":null}}'>");

        assert_json(spec, "hostname", "\"b\"");
        assert_json(spec, "process.cwd", "\"/b\"");
        assert_json(spec, "process.oomScoreAdj", "5");
        assert_json(spec, "linux.maskedPaths", NULL);
        assert_json(spec, "process.terminal", "false");
        assert_json(spec, "process.consoleSize", NULL);
        assert_json(spec, "linux.cgroupsPath", "\"/conbus/0123456789abcdef\"");
        assert_refused("'oci-spec-patch': <'{\"process\":{\"cwd\":null}}'>", CONBUS_ERROR_INVALID_CONFIG, "process.cwd");
        assert_refused("'oci-spec-patch': <'{\"root\":null}'>", CONBUS_ERROR_INVALID_CONFIG, "\"root\" is missing");
}

static void test_missing_root(void) {
        g_autoptr(GVariant) config = config_of("");
        SpecInput input = input_of(config);
        g_autoptr(GError) error = NULL;

        input.rootfs = "/nonexistent/root";
        g_assert_null(spec_write(&input, &error));
        g_assert_error(error, CONBUS_ERROR, CONBUS_ERROR_NO_SUCH_PATH);
}

static char *from_bundle(const char *json, const char *config_text, GError **error) {
        g_autofree char *path = g_build_filename(bundle, "config.json", NULL);
        g_autoptr(GVariant) config = g_variant_parse(G_VARIANT_TYPE_VARDICT, config_text, NULL, NULL, NULL);
        SpecInput input = input_of(config);

        g_assert_true(g_file_set_contents(path, json, -1, NULL));
        input.rootfs = NULL;
        input.notify_directory = "/run/conbus/n";
        return spec_from_bundle(bundle, &input, error);
}

#define PROCESS "\"process\":{\"terminal\":true,\"consoleSize\":{\"height\":1,\"width\":2},\"user\":{\"uid\":5,\"gid\":6},\"args\":[\"a\"],\"env\":[\"B=c\"],\"cwd\":\"/x\"," \
                "\"rlimits\":[{\"type\":\"RLIMIT_NOFILE\",\"hard\":18446744073709551615,\"soft\":3}]}"

static void test_bundle_is_kept(void) {
        g_autoptr(GError) error = NULL;
        g_autofree char *text = from_bundle("{\"ociVersion\":\"1.0.0\"," PROCESS ",\"root\":{\"path\":\"rootfs\",\"readonly\":true},\"hostname\":\"h\",\"unknown\":[1],"
                                            "\"linux\":{\"cgroupsPath\":\"/theirs\",\"namespaces\":[{\"type\":\"pid\"}],\"maskedPaths\":[]}}",
                                            "{'oci-spec-patch': <'{\"domainname\":\"d\"}'>}", &error);
        g_assert_no_error(error);
        g_autoptr(JsonObject) spec = read_back(text);
        g_autofree char *root = g_build_filename(bundle, "rootfs", NULL);
        struct rlimit own;

        g_assert_cmpint(getrlimit(RLIMIT_NOFILE, &own), ==, 0);
        assert_json(spec, "ociVersion", "\"1.0.0\"");
        g_assert_cmpstr(json_node_get_string(find(spec, "root.path")), ==, root);
        assert_json(spec, "root.readonly", "true");
        assert_json(spec, "hostname", "\"h\"");
        assert_json(spec, "domainname", "\"d\"");
        assert_json(spec, "unknown", "[1]");
        assert_json(spec, "process.user", "{\"uid\":5,\"gid\":6}");
        assert_json(spec, "process.env", "[\"B=c\",\"NOTIFY_SOCKET=/run/notify/notify\"]");
        assert_json(spec, "process.cwd", "\"/x\"");
        assert_json(spec, "process.terminal", "false");
        assert_json(spec, "process.consoleSize", NULL);
        assert_json(spec, "process.capabilities", NULL);
        assert_json(spec, "linux.cgroupsPath", "\"/conbus/0123456789abcdef\"");
        assert_json(spec, "linux.namespaces", "[{\"type\":\"pid\"}]");
        assert_json(spec, "linux.maskedPaths", "[]");
        g_assert_nonnull(find_entry(spec, "mounts", "destination", "/run/notify"));
        g_assert_cmpint(json_object_get_int_member(find_entry(spec, "process.rlimits", "type", "RLIMIT_NOFILE"), "hard"), ==, (gint64) own.rlim_max);
}

static void test_bundle_terminal_follows_the_key(void) {
        g_autofree char *text = from_bundle("{\"ociVersion\":\"1.0.2\"," PROCESS ",\"root\":{\"path\":\"rootfs\"}}", "{'terminal': <true>}", NULL);
        g_autoptr(JsonObject) spec = read_back(text);

        assert_json(spec, "process.terminal", "true");
        assert_json(spec, "process.consoleSize.width", "2");
}

static void test_bad_bundles_are_refused(void) {
        static const struct {
                const char *json, *part;
                ConbusError code;
        } cases[] = {
                { "{", "config.json: ", CONBUS_ERROR_INVALID_CONFIG },
                { "[]", "it is not a JSON object", CONBUS_ERROR_INVALID_CONFIG },
                { "{" PROCESS ",\"root\":{\"path\":\"rootfs\"}}", "ociVersion", CONBUS_ERROR_INVALID_CONFIG },
                { "{\"ociVersion\":\"2.0\"," PROCESS ",\"root\":{\"path\":\"rootfs\"}}", "ociVersion", CONBUS_ERROR_INVALID_CONFIG },
                { "{\"ociVersion\":\"1.0.2\",\"root\":{\"path\":\"rootfs\"}}", "\"process\" is missing", CONBUS_ERROR_INVALID_CONFIG },
                { "{\"ociVersion\":\"1.0.2\"," PROCESS "}", "\"root\" is missing", CONBUS_ERROR_INVALID_CONFIG },
                { "{\"ociVersion\":\"1.0.2\"," PROCESS ",\"root\":{}}", "root.path is missing", CONBUS_ERROR_INVALID_CONFIG },
                { "{\"ociVersion\":\"1.0.2\"," PROCESS ",\"root\":{\"path\":\"rootfs\"},\"linux\":[]}", "\"linux\" is not an object", CONBUS_ERROR_INVALID_CONFIG },
                { "{\"ociVersion\":\"1.0.2\"," PROCESS ",\"root\":{\"path\":\"rootfs\"},\"mounts\":{}}", "\"mounts\" is not an array", CONBUS_ERROR_INVALID_CONFIG },
                { "{\"ociVersion\":\"1.0.2\",\"process\":{\"cwd\":\"/\"},\"root\":{\"path\":\"rootfs\"}}", "process.args is missing", CONBUS_ERROR_INVALID_CONFIG },
                { "{\"ociVersion\":\"1.0.2\",\"process\":{\"cwd\":\"/\",\"args\":[]},\"root\":{\"path\":\"rootfs\"}}", "process.args is missing or empty", CONBUS_ERROR_INVALID_CONFIG },
                { "{\"ociVersion\":\"1.0.2\",\"process\":{\"cwd\":\"/\",\"args\":[1]},\"root\":{\"path\":\"rootfs\"}}", "process.args has an element", CONBUS_ERROR_INVALID_CONFIG },
                { "{\"ociVersion\":\"1.0.2\",\"process\":{\"cwd\":\"/\",\"args\":[\"a\"],\"env\":{}},\"root\":{\"path\":\"rootfs\"}}", "process.env is not an array", CONBUS_ERROR_INVALID_CONFIG },
                { "{\"ociVersion\":\"1.0.2\",\"process\":{\"cwd\":\"a\",\"args\":[\"a\"]},\"root\":{\"path\":\"rootfs\"}}", "process.cwd", CONBUS_ERROR_INVALID_CONFIG },
                { "{\"ociVersion\":\"1.0.2\"," PROCESS ",\"root\":{\"path\":\"nowhere\"}}", "nowhere", CONBUS_ERROR_NO_SUCH_PATH },
                { "{\"ociVersion\":\"1.0.2\"," PROCESS ",\"root\":{\"path\":\"config.json\"}}", "is not a directory", CONBUS_ERROR_NOT_A_DIRECTORY },
        };

        for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
                g_autoptr(GError) error = NULL;
                g_autofree char *text = from_bundle(cases[i].json, "@a{sv} {}", &error);

                g_assert_null(text);
                if (!g_error_matches(error, CONBUS_ERROR, cases[i].code) || !strstr(error->message, cases[i].part))
                        g_error("%s: \"%s\" has code %d and lacks \"%s\"", cases[i].json, error->message, error->code, cases[i].part);
        }
}

static void test_missing_bundle(void) {
        g_autoptr(GVariant) config = config_of("");
        SpecInput input = input_of(config);
        g_autoptr(GError) error = NULL;

        g_assert_null(spec_from_bundle("/nonexistent", &input, &error));
        g_assert_error(error, CONBUS_ERROR, CONBUS_ERROR_NO_SUCH_PATH);
}

static void put(const char *directory, const char *name, const char *text) {
        g_autofree char *path = g_build_filename(directory, name, NULL), *parent = g_path_get_dirname(path);

        g_assert_cmpint(g_mkdir_with_parents(parent, 0755), ==, 0);
        g_assert_true(g_file_set_contents(path, text, -1, NULL));
}

static void remove_all(void) {
        static const char *const names[] = { "rootfs/etc/passwd", "rootfs/etc/group", "config.json", "rootfs/etc", "rootfs", "", NULL };

        for (unsigned i = 0; names[i]; i++) {
                g_autofree char *path = g_build_filename(bundle, names[i], NULL);

                (void) remove(path);
        }
        g_free(bundle);
        g_free(rootfs);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        log_set_level(LOG_ERR);
        bundle = g_dir_make_tmp("conbus-spec-XXXXXX", NULL);
        rootfs = g_build_filename(bundle, "rootfs", NULL);
        put(rootfs, "etc/passwd", "root:x:0:0:root:/root:/bin/sh\nwww:x:33:34::/var/www:/bin/sh\n");
        put(rootfs, "etc/group", "root:x:0:\naudio:x:29:www\n");
        g_test_add_func("/spec/basics", test_basics);
        g_test_add_func("/spec/given-settings", test_given_settings);
        g_test_add_func("/spec/environment", test_environment);
        g_test_add_func("/spec/user-is-looked-up-inside", test_user_is_looked_up_inside);
        g_test_add_func("/spec/capabilities", test_capabilities);
        g_test_add_func("/spec/privileged", test_privileged);
        g_test_add_func("/spec/default-mounts", test_default_mounts);
        g_test_add_func("/spec/given-mounts", test_given_mounts);
        g_test_add_func("/spec/an-init-goes-before-the-command", test_an_init_goes_before_the_command);
        g_test_add_func("/spec/a-closed-root-gets-a-run-of-its-own", test_a_closed_root_gets_a_run_of_its_own);
        g_test_add_func("/spec/mounts-of-the-service-and-credentials", test_mounts_of_the_service_and_credentials);
        g_test_add_func("/spec/notify", test_notify);
        g_test_add_func("/spec/namespaces", test_namespaces);
        g_test_add_func("/spec/joined-namespaces", test_joined_namespaces);
        g_test_add_func("/spec/user-namespace", test_user_namespace);
        g_test_add_func("/spec/hidden-paths", test_hidden_paths);
        g_test_add_func("/spec/limits", test_limits);
        g_test_add_func("/spec/resources-come-last", test_resources_come_last);
        g_test_add_func("/spec/devices", test_devices);
        g_test_add_func("/spec/rlimits-are-clamped", test_rlimits_are_clamped);
        g_test_add_func("/spec/infinite-rlimit-is-written-unsigned", test_infinite_rlimit_is_written_unsigned);
        g_test_add_func("/spec/seccomp", test_seccomp);
        g_test_add_func("/spec/patch-comes-last", test_patch_comes_last);
        g_test_add_func("/spec/missing-root", test_missing_root);
        g_test_add_func("/spec/bundle-is-kept", test_bundle_is_kept);
        g_test_add_func("/spec/bundle-terminal-follows-the-key", test_bundle_terminal_follows_the_key);
        g_test_add_func("/spec/bad-bundles-are-refused", test_bad_bundles_are_refused);
        g_test_add_func("/spec/missing-bundle", test_missing_bundle);
        int result = g_test_run();
        remove_all();
        return result;
}
