/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A pointer into the text is a value; what comes before the one that is looked for is skipped. */

#include "json.h"
#include <stdlib.h>
#include <string.h>

static const char *skip_space(const char *p) {
        return p + strspn(p, " \t\r\n");
}

/* p is at the quote; behind the other one, or at the end of the text. */
static const char *skip_string(const char *p) {
        for (p++; *p && *p != '"'; p++)
                if (*p == '\\' && p[1])
                        p++;
        return *p ? p + 1 : p;
}

static const char *skip_value(const char *p) {
        unsigned depth = 0;

        do {
                p = skip_space(p);
                if (*p == '"')
                        p = skip_string(p);
                else if (*p == '{' || *p == '[') {
                        depth++;
                        p++;
                } else if (*p == '}' || *p == ']') {
                        depth--;
                        p++;
                } else if (*p == ',' || *p == ':')
                        p++;
                else
                        p += strcspn(p, ",:]} \t\r\n");
        } while (depth > 0 && *p);
        return p;
}

static const char *skip_comma(const char *p) {
        p = skip_space(p);
        return skip_space(*p == ',' ? p + 1 : p);
}

const char *json_member(const char *object, const char *name) {
        size_t length = strlen(name);

        if (!object || *object != '{')
                return NULL;
        for (const char *p = skip_space(object + 1); *p == '"'; p = skip_comma(skip_value(p))) {
                bool found = strncmp(p + 1, name, length) == 0 && p[1 + length] == '"';
                p = skip_space(skip_string(p));
                p = skip_space(*p == ':' ? p + 1 : p);
                if (found)
                        return p;
        }
        return NULL;
}

const char *json_element(const char *array, unsigned number) {
        if (!array || *array != '[')
                return NULL;
        const char *p = skip_space(array + 1);
        while (number-- > 0 && *p && *p != ']')
                p = skip_comma(skip_value(p));
        return *p && *p != ']' ? p : NULL;
}

/* The four digits behind \u, and a second such half where the first one asks for it. */
static const char *add_code(GString *text, const char *p) {
        gunichar code = (gunichar) strtoul((const char[]) {p[0], p[1], p[2], p[3], '\0'}, NULL, 16);

        p += 4;
        if (code >= 0xd800 && code < 0xdc00 && p[0] == '\\' && p[1] == 'u') {
                gunichar low = (gunichar) strtoul((const char[]) {p[2], p[3], p[4], p[5], '\0'}, NULL, 16);
                code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
                p += 6;
        }
        g_string_append_unichar(text, code);
        return p;
}

char *json_text(const char *value, const char *absent) {
        static const char letters[] = "bfnrt", meanings[] = "\b\f\n\r\t";

        if (!value || *value != '"')
                return g_strdup(absent);
        const char *end = skip_string(value);
        GString *text = g_string_new(NULL);
        for (const char *p = value + 1; p < end - 1;) {
                const char *letter;
                if (*p != '\\') {
                        g_string_append_c(text, *p++);
                        continue;
                }
                p += 2;
                if (p[-1] == 'u')
                        p = add_code(text, p);
                else
                        g_string_append_c(text, (letter = strchr(letters, p[-1])) ? meanings[letter - letters] : p[-1]);
        }
        return g_string_free(text, FALSE);
}

gint64 json_number(const char *value, gint64 absent) {
        return value && (*value == '-' || g_ascii_isdigit(*value)) ? g_ascii_strtoll(value, NULL, 10) : absent;
}

char **json_words(const char *array) {
        GPtrArray *words = g_ptr_array_new();
        const char *value;

        for (unsigned i = 0; (value = json_element(array, i)); i++)
                g_ptr_array_add(words, json_text(value, ""));
        g_ptr_array_add(words, NULL);
        return (char **) g_ptr_array_free(words, FALSE);
}

bool json_is_object(const char *text) {
        const char *begin = skip_space(text), *end = skip_value(begin);

        return *begin == '{' && end[-1] == '}' && *skip_space(end) == '\0';
}
