/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Looks users up in a container that may lie: names are resolved inside its root, only regular files of at most 1 MiB are read, and a line that does not parse is no line. */

#include "runtime/account.h"
#include "base/auto.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#define FILE_MAX (1024 * 1024)

/* O_PATH comes first: opening a device or a pipe may already do something. */
static int open_inside(int root, const char *path, GError **error) {
        struct open_how how = { .flags = O_PATH | O_CLOEXEC, .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS };
        autofd int found = syscall(SYS_openat2, root, path, &how, sizeof how);
        struct stat st;
        char name[64];

        if (found < 0) {
                int errnum = errno;

                if (errnum != ENOENT && errnum != ENOTDIR)
                        error_set(error, CONBUS_ERROR_INVALID_CONFIG, "read %s of the container: %s", path, g_strerror(errnum));
                return -1;
        }
        if (fstat(found, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size > FILE_MAX) {
                error_set(error, CONBUS_ERROR_INVALID_CONFIG, "read %s of the container: it is not a regular file of at most 1 MiB", path);
                return -1;
        }
        snprintf(name, sizeof name, "/proc/self/fd/%d", found);
        int fd = open(name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
        if (fd < 0)
                error_errno(error, errno, "read %s of the container", path);
        return fd;
}

/* Its lines; none when the file does not exist. NULL with *error set. */
static GStrv read_lines(int root, const char *path, GError **error) {
        g_autoptr(GError) why = NULL;
        autofd int fd = open_inside(root, path, &why);
        g_autofree char *text = g_malloc(FILE_MAX + 1);
        size_t size = 0;
        ssize_t n = 0;

        if (why) {
                g_propagate_error(error, g_steal_pointer(&why));
                return NULL;
        }
        while (fd >= 0 && size < FILE_MAX && (n = read(fd, text + size, FILE_MAX - size)) > 0)
                size += n;
        if (n < 0) {
                error_errno(error, errno, "read %s of the container", path);
                return NULL;
        }
        text[size] = '\0';
        return g_strsplit(text, "\n", -1);
}

static bool parse_id(const char *text, guint32 *ret) {
        guint64 number;

        if (!g_ascii_isdigit(*text) || !g_ascii_string_to_unsigned(text, 10, 0, G_MAXUINT32 - 1, &number, NULL))
                return false;
        *ret = number;
        return true;
}

/* The fields of the line whose name or, for a number, whose id matches; a name wins. NULL: none. Lines with fewer fields or bad numbers are no lines. */
static GStrv find_line(GStrv lines, const char *wanted, unsigned n_fields) {
        g_auto(GStrv) by_id = NULL;
        guint32 wanted_id, id;
        bool is_number = parse_id(wanted, &wanted_id);

        for (unsigned i = 0; lines[i]; i++) {
                g_auto(GStrv) fields = g_strsplit(lines[i], ":", -1);

                if (g_strv_length(fields) < n_fields || !parse_id(fields[2], &id))
                        continue;
                if (g_str_equal(fields[0], wanted))
                        return g_steal_pointer(&fields);
                if (!by_id && is_number && id == wanted_id)
                        by_id = g_steal_pointer(&fields);
        }
        return g_steal_pointer(&by_id);
}

static void add_group(Account *account, guint32 gid) {
        for (unsigned i = 0; i < account->groups->len; i++)
                if (g_array_index(account->groups, guint32, i) == gid)
                        return;
        g_array_append_val(account->groups, gid);
}

static void add_memberships(Account *account, GStrv lines, const char *name) {
        for (unsigned i = 0; lines[i]; i++) {
                g_auto(GStrv) fields = g_strsplit(lines[i], ":", -1);
                guint32 gid;

                if (g_strv_length(fields) < 4 || !parse_id(fields[2], &gid))
                        continue;
                g_auto(GStrv) members = g_strsplit(fields[3], ",", -1);
                if (g_strv_contains((const char *const *) members, name))
                        add_group(account, gid);
        }
}

static bool find_user(Account *account, GStrv lines, const char *wanted, char **ret_name, GError **error) {
        g_auto(GStrv) fields = find_line(lines, wanted, 4);

        if (!fields)
                return parse_id(wanted, &account->uid) ||
                       error_set(error, CONBUS_ERROR_INVALID_CONFIG,
                                 "there is no \"%s\" in /etc/passwd of the container; give one that is, or a number", wanted);
        (void) parse_id(fields[2], &account->uid);
        if (!parse_id(fields[3], &account->gid))
                return error_set(error, CONBUS_ERROR_INVALID_CONFIG, "\"%s\" has no group number in /etc/passwd of the container", wanted);
        if (g_strv_length(fields) > 5 && *fields[5] == '/' && g_utf8_validate(fields[5], -1, NULL)) {
                g_free(account->home);
                account->home = g_strdup(fields[5]);
        }
        if (g_strv_length(fields) > 6 && *fields[6] == '/' && g_utf8_validate(fields[6], -1, NULL)) {
                g_free(account->shell);
                account->shell = g_strdup(fields[6]);
        }
        *ret_name = g_strdup(fields[0]);
        return true;
}

static bool find_groups(Account *account, GStrv lines, const char *wanted, const char *name, GError **error) {
        g_auto(GStrv) fields = wanted ? find_line(lines, wanted, 3) : NULL;

        if (fields)
                (void) parse_id(fields[2], &account->gid);
        else if (wanted && !parse_id(wanted, &account->gid))
                return error_set(error, CONBUS_ERROR_INVALID_CONFIG,
                                 "there is no group \"%s\" in /etc/group of the container; give one that is, or a number", wanted);
        add_group(account, account->gid);
        if (!wanted && name)
                add_memberships(account, lines, name);
        return true;
}

Account *account_find(const char *rootfs, const char *user, GError **error) {
        g_autoptr(Account) account = g_new0(Account, 1);
        autofd int root = open(rootfs, O_PATH | O_DIRECTORY | O_CLOEXEC);
        g_auto(GStrv) parts = g_strsplit(user, ":", 2);
        g_autofree char *name = NULL;

        account->groups = g_array_new(FALSE, FALSE, sizeof(guint32));
        account->home = g_strdup("/");
        account->shell = g_strdup("/bin/sh");
        if (root < 0) {
                if (errno == ENOENT)
                        error_set(error, CONBUS_ERROR_NO_SUCH_PATH, "open the root file system %s: it does not exist", rootfs);
                else
                        error_errno(error, errno, "open the root file system %s", rootfs);
                return NULL;
        }

        g_auto(GStrv) users = read_lines(root, "/etc/passwd", error);
        if (!users || !find_user(account, users, parts[0] && *parts[0] ? parts[0] : "0", &name, error))
                return NULL;
        g_auto(GStrv) groups = read_lines(root, "/etc/group", error);
        if (!groups || !find_groups(account, groups, parts[0] ? parts[1] : NULL, name, error))
                return NULL;
        return g_steal_pointer(&account);
}

void account_free(Account *account) {
        if (!account)
                return;
        g_clear_pointer(&account->groups, g_array_unref);
        g_free(account->home);
        g_free(account->shell);
        g_free(account);
}
