/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The plan is read and rewritten under a lock, in place: a full disk still has the blocks of the longer text. */

#include "fault.h"
#include <fcntl.h>
#include <glib.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { WORD_PROGRAM, WORD_POINT, WORD_NTH, WORD_ACTION, WORD_ARGUMENT, N_WORDS };

/* Counts one passage. Returns the text of the line from now on, NULL if it is used up; strikes says whether it struck. */
static char *count_line(const char *line, const char *program, const char *point, GPtrArray *strikes) {
        g_auto(GStrv) words = g_strsplit(line, " ", N_WORDS);
        guint n = g_strv_length(words);

        if (n < WORD_ARGUMENT || !g_str_equal(words[WORD_PROGRAM], program) || !g_str_equal(words[WORD_POINT], point))
                return g_strdup(line);
        bool always = g_str_equal(words[WORD_NTH], "*");
        long left = always ? 1 : strtol(words[WORD_NTH], NULL, 10);
        if (left > 1)
                return g_strdup_printf("%s %s %ld %s%s%s", program, point, left - 1, words[WORD_ACTION], n > WORD_ARGUMENT ? " " : "", n > WORD_ARGUMENT ? words[WORD_ARGUMENT] : "");
        Fault *fault = g_new(Fault, 1);
        *fault = (Fault) {.action = g_strdup(words[WORD_ACTION]), .argument = g_strdup(n > WORD_ARGUMENT ? words[WORD_ARGUMENT] : "")};
        g_ptr_array_add(strikes, fault);
        return always ? g_strdup(line) : NULL;
}

static void rewrite(int fd, const char *text) {
        if (pwrite(fd, text, strlen(text), 0) < 0 || ftruncate(fd, (off_t) strlen(text)) < 0)
                abort();
}

static void count_passage(const char *program, const char *point, GPtrArray *strikes) {
        g_autofree char *text = NULL;
        g_autoptr(GString) rest = g_string_new(NULL);
        struct stat st;
        int fd = open(FAULT_PLAN, O_RDWR | O_CLOEXEC);

        if (fd < 0)
                return;
        if (flock(fd, LOCK_EX) < 0 || fstat(fd, &st) < 0)
                abort();
        text = g_malloc0((gsize) st.st_size + 1);
        if (pread(fd, text, (gsize) st.st_size, 0) < 0)
                abort();
        g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
        for (char **line = lines; *line; line++) {
                g_autofree char *left = **line ? count_line(*line, program, point, strikes) : NULL;
                if (left)
                        g_string_append_printf(rest, "%s\n", left);
        }
        if (!g_str_equal(rest->str, text))
                rewrite(fd, rest->str);
        close(fd);
}

static void wait_at_gate(const char *path) {
        char byte;
        int fd = open(path, O_RDONLY | O_CLOEXEC);

        while (fd >= 0 && read(fd, &byte, 1) > 0)
                continue;
        close(fd);
}

static void die(int number) {
        sigset_t none;

        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, NULL);
        signal(number, SIG_DFL);
        raise(number);
}

static void hang(void) {
        for (;;)
                pause();
}

static void fault_free(void *data) {
        fault_clear(data);
        g_free(data);
}

bool fault_at(const char *program, const char *point, Fault *ret) {
        g_autoptr(GPtrArray) strikes = g_ptr_array_new_with_free_func(fault_free);
        bool found = false;

        *ret = (Fault) {0};
        count_passage(program, point, strikes);
        for (guint i = 0; i < strikes->len && !found; i++) {
                Fault *fault = strikes->pdata[i];
                if (fault_is(fault, "gate"))
                        wait_at_gate(fault->argument);
                else if (fault_is(fault, "hang"))
                        hang();
                else if (fault_is(fault, "die"))
                        die(atoi(fault->argument));
                else {
                        *ret = *fault;
                        *fault = (Fault) {0};
                        found = true;
                }
        }
        return found;
}

void fault_clear(Fault *fault) {
        g_clear_pointer(&fault->action, g_free);
        g_clear_pointer(&fault->argument, g_free);
}

bool fault_is(const Fault *fault, const char *action) {
        return fault->action && g_str_equal(fault->action, action);
}
