/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Finding the files of a log while somebody else rotates it: what was looked at in two steps is looked at again when it has changed in between. */

#include "stream/log-files.h"
#include "base/auto.h"
#include <fcntl.h>
#include <string.h>

#define TRIES 100 /* each needs another rotation at the very moment */

char *log_files_name(const char *path, guint64 number) {
        return g_strdup_printf("%s.%" G_GUINT64_FORMAT, path, number);
}

static int compare_numbers(const void *a, const void *b) {
        const guint64 *first = a, *second = b;

        return *first < *second ? -1 : *first > *second;
}

GArray *log_files_rotated(const char *path) {
        g_autofree char *directory = g_path_get_dirname(path), *base = g_path_get_basename(path), *prefix = g_strconcat(base, ".", NULL);
        g_autoptr(GDir) entries = g_dir_open(directory, 0, NULL);
        GArray *numbers = g_array_new(FALSE, FALSE, sizeof(guint64));
        const char *name;
        guint64 number;

        while (entries && (name = g_dir_read_name(entries)))
                if (g_str_has_prefix(name, prefix) && g_ascii_string_to_unsigned(name + strlen(prefix), 10, 1, G_MAXINT64, &number, NULL))
                        g_array_append_val(numbers, number);
        g_array_sort(numbers, compare_numbers);
        return numbers;
}

static guint64 newest(const char *path) {
        g_autoptr(GArray) numbers = log_files_rotated(path);

        return numbers->len > 0 ? g_array_index(numbers, guint64, numbers->len - 1) : 0;
}

static int open_file(const char *path, struct stat *ret_st) {
        autofd int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);

        if (fd < 0 || fstat(fd, ret_st) < 0 || !S_ISREG(ret_st->st_mode))
                return -1;
        return steal_fd(&fd);
}

static bool is_same_file(const char *path, guint64 number, const struct stat *st) {
        g_autofree char *name = log_files_name(path, number);
        struct stat other;

        return number > 0 && lstat(name, &other) == 0 && other.st_ino == st->st_ino && other.st_dev == st->st_dev;
}

int log_files_open_current(const char *path, guint64 *ret_number, struct stat *ret_st) {
        for (unsigned i = 0; i < TRIES; i++) {
                guint64 last = newest(path);
                autofd int fd = open_file(path, ret_st);
                if (newest(path) != last)
                        continue;
                *ret_number = fd < 0 || is_same_file(path, last, ret_st) ? last : last + 1;
                return steal_fd(&fd);
        }
        return -1;
}

static int open_rotated(const char *path, guint64 number, struct stat *ret_st) {
        g_autofree char *name = log_files_name(path, number);

        return open_file(name, ret_st);
}

static bool is_there(const char *path, guint64 number) {
        g_autofree char *name = log_files_name(path, number);
        struct stat st;

        return lstat(name, &st) == 0 && S_ISREG(st.st_mode);
}

int log_files_open(const char *path, guint64 number, guint64 *ret_number, struct stat *ret_st) {
        for (unsigned i = 0; i < TRIES; i++) {
                guint64 wanted = number > 0 ? number : log_files_after(path, 0), current = 0;
                if (wanted == 0)
                        return -1;
                autofd int fd = open_rotated(path, wanted, ret_st);
                *ret_number = wanted;
                if (fd >= 0)
                        return steal_fd(&fd);
                fd = log_files_open_current(path, &current, ret_st);
                if (fd >= 0 && current == wanted)
                        return steal_fd(&fd);
                /* It may have been rotated a moment ago; and another one is the oldest now. */
                if (number > 0 && !is_there(path, wanted))
                        return -1;
        }
        return -1;
}

bool log_files_end(const char *path, LogCursor *ret, GError **error) {
        guint64 number = 0;
        struct stat st;

        *ret = (LogCursor) {0};
        autofd int fd = log_files_open_current(path, &number, &st);
        if (fd < 0 && number > 0)
                fd = open_rotated(path, number, &st);
        if (fd >= 0)
                *ret = (LogCursor) {.number = number, .offset = (guint64) st.st_size};
        else if (lstat(path, &st) == 0)
                return error_set(error, CONBUS_ERROR_INTERNAL, "the log %s is no file that can be read", path);
        return true;
}

guint64 log_files_after(const char *path, guint64 number) {
        g_autoptr(GArray) numbers = log_files_rotated(path);
        guint64 current = 0;
        struct stat st;

        for (guint i = 0; i < numbers->len; i++)
                if (g_array_index(numbers, guint64, i) > number)
                        return g_array_index(numbers, guint64, i);
        autofd int fd = log_files_open_current(path, &current, &st);
        return fd >= 0 && current > number ? current : 0;
}
