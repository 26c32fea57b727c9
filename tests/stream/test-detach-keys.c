/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* service/stream/detach-keys.c: what is a sequence, and finding it whatever the sizes of the reads. */

#include "stream/detach-keys.h"
#include <string.h>

static void test_text(void) {
        DetachKeys keys;

        g_assert_true(detach_keys_parse(DETACH_KEYS_DEFAULT, &keys, NULL));
        g_assert_cmpmem(keys.keys, keys.n, "\x10\x11", 2);
        g_assert_true(detach_keys_parse("", &keys, NULL));
        g_assert_cmpuint(keys.n, ==, 0);
        g_assert_true(detach_keys_parse("a,ctrl-@,CTRL-[,ctrl-\\,ctrl-],ctrl-^,ctrl-_,~", &keys, NULL));
        g_assert_cmpmem(keys.keys, keys.n, "a\0\x1b\x1c\x1d\x1e\x1f~", 8);
}

static void test_wrong_text_is_named(void) {
        const char *const wrong[] = {"ctrl-", "ctrl-pp", "ctrl-1", "ab", "a,,b", ",", "a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,q", "\xc3\xa4"};

        for (size_t i = 0; i < G_N_ELEMENTS(wrong); i++) {
                g_autoptr(GError) error = NULL;
                DetachKeys keys;
                g_assert_false(detach_keys_parse(wrong[i], &keys, &error));
                g_assert_error(error, CONBUS_ERROR, CONBUS_ERROR_INVALID_ARGS);
        }
}

/* Feeds the text in pieces of every size; what was passed on must be expected, and the sequence found or not. */
static void check(const char *sequence, const char *text, const char *expected, bool found) {
        for (size_t piece = 1; piece <= strlen(text); piece++) {
                g_autoptr(GByteArray) out = g_byte_array_new();
                DetachKeys keys;
                bool detached = false;
                g_assert_true(detach_keys_parse(sequence, &keys, NULL));
                for (size_t at = 0; at < strlen(text) && !detached; at += piece)
                        detached = detach_keys_feed(&keys, (const guint8 *) text + at, MIN(piece, strlen(text) - at), out);
                if (!detached)
                        detach_keys_flush(&keys, out);
                g_assert_cmpmem(out->data, out->len, expected, strlen(expected));
                g_assert_true(detached == found);
        }
}

static void test_the_sequence_is_found_in_any_pieces(void) {
        check("ctrl-p,ctrl-q", "hello\x10\x11", "hello", true);
        check("ctrl-p,ctrl-q", "\x10\x11rest", "", true);
        check("ctrl-p,ctrl-q", "\x10\x10\x11", "\x10", true);
        check("ctrl-p,ctrl-q", "\x10x\x11\x10", "\x10x\x11\x10", false);
        check("ctrl-p,ctrl-q", "a\x11z", "a\x11z", false);
}

/* The beginning of a sequence can hold a beginning of itself. */
static void test_a_false_beginning_may_hold_a_true_one(void) {
        check("a,a,b", "aaab", "a", true);
        check("a,a,b", "aacaab", "aac", true);
        check("a,b,a,c", "ababac", "ab", true);
        check("a,b,a,b,c", "abababc", "ab", true);
        check("a,a,a", "aabaaa", "aab", true);
}

static void test_off_passes_everything(void) {
        check("", "\x10\x11\x10\x11", "\x10\x11\x10\x11", false);
}

static void test_one_key(void) {
        check("ctrl-]", "ab\x1d", "ab", true);
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/detach-keys/text", test_text);
        g_test_add_func("/detach-keys/wrong-text-is-named", test_wrong_text_is_named);
        g_test_add_func("/detach-keys/the-sequence-is-found-in-any-pieces", test_the_sequence_is_found_in_any_pieces);
        g_test_add_func("/detach-keys/a-false-beginning-may-hold-a-true-one", test_a_false_beginning_may_hold_a_true_one);
        g_test_add_func("/detach-keys/off-passes-everything", test_off_passes_everything);
        g_test_add_func("/detach-keys/one-key", test_one_key);
        return g_test_run();
}
