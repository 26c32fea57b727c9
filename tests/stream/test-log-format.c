/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* service/stream/log-format.c: what a reader gets. */

#include "stream/log-format.h"
#include <json-glib/json-glib.h>
#include <string.h>

#define USEC 1795657599007354

typedef struct Out {
        LogWriter writer;
        GByteArray *bytes;
} Out;

static Out begin(LogFormat format, bool timestamps) {
        return (Out) {.writer = {.format = format, .timestamps = timestamps, .id = "0123456789abcdef", .name = "web"}, .bytes = g_byte_array_new()};
}

static void line(Out *out, guint8 stream, LogLineEnd end, const char *text, size_t size) {
        const LogCursor after = {1, 0x20, ""};
        const LogLine value = {.usec = USEC, .stream = stream, .end = end, .text = (const guint8 *) text, .size = size, .after = log_position_at(&after)};

        log_writer_line(&out->writer, &value, out->bytes);
}

static void expect(Out *out, const char *text, size_t size) {
        g_assert_cmpmem(out->bytes->data, out->bytes->len, text, size);
        g_byte_array_unref(out->bytes);
}

static void test_names(void) {
        LogFormat format;

        for (unsigned i = 0; i < LOG_FORMAT_ANSWER; i++) {
                g_assert_true(log_format_from_string(log_format_to_string(i), &format));
                g_assert_cmpint(format, ==, i);
        }
        g_assert_false(log_format_from_string("answer", &format));
        g_assert_false(log_format_from_string("", &format));
}

static void test_text_is_bytes(void) {
        Out out = begin(LOG_FORMAT_TEXT, false);

        line(&out, STREAM_STDOUT, LOG_LINE_WHOLE, "a\0\xff", 3);
        line(&out, STREAM_STDERR, LOG_LINE_GOES_ON, "b", 1);
        line(&out, STREAM_STDERR, LOG_LINE_UNFINISHED, "c", 1);
        expect(&out, "a\0\xff\nbc", 6);
}

/* Every line begins with its time and every time begins a line. */
static void test_timestamps(void) {
        Out out = begin(LOG_FORMAT_TEXT, true);
        static const char expected[] = "2026-11-26T01:46:39.007354Z a\n2026-11-26T01:46:39.007354Z bc\n2026-11-26T01:46:39.007354Z d\n2026-11-26T01:46:39.007354Z e\n2026-11-26T01:46:39.007354Z f\n";

        line(&out, STREAM_STDOUT, LOG_LINE_WHOLE, "a", 1);
        line(&out, STREAM_STDOUT, LOG_LINE_GOES_ON, "b", 1);
        line(&out, STREAM_STDOUT, LOG_LINE_WHOLE, "c", 1);
        line(&out, STREAM_STDOUT, LOG_LINE_GOES_ON, "d", 1);
        line(&out, STREAM_STDERR, LOG_LINE_UNFINISHED, "e", 1);
        line(&out, STREAM_STDERR, LOG_LINE_WHOLE, "f", 1);
        expect(&out, expected, strlen(expected));
}

static JsonObject *parse(Out *out, JsonParser *parser) {
        g_autoptr(GError) error = NULL;

        g_assert_true(json_parser_load_from_data(parser, (const char *) out->bytes->data, out->bytes->len, &error));
        g_assert_cmpint(out->bytes->data[out->bytes->len - 1], ==, '\n');
        g_assert_cmpint(strcspn((const char *) out->bytes->data, "\n"), ==, out->bytes->len - 1);
        g_byte_array_set_size(out->bytes, 0);
        return json_node_get_object(json_parser_get_root(parser));
}

static void test_json(void) {
        static const char text[] = "\"q\" \\ \t\r\n \x7f \303\251";
        g_autoptr(JsonParser) parser = json_parser_new();
        Out out = begin(LOG_FORMAT_JSON, false);

        line(&out, STREAM_STDERR, LOG_LINE_WHOLE, text, strlen(text));
        JsonObject *object = parse(&out, parser);
        g_assert_cmpstr(json_object_get_string_member(object, "text"), ==, text);
        g_assert_cmpstr(json_object_get_string_member(object, "stream"), ==, "stderr");
        g_assert_cmpstr(json_object_get_string_member(object, "cursor"), ==, "1:20");
        g_assert_cmpint(json_object_get_int_member(object, "time"), ==, USEC);
        g_assert_false(json_object_has_member(object, "partial"));
        line(&out, STREAM_STDOUT, LOG_LINE_UNFINISHED, "a\xff\0", 3);
        object = parse(&out, parser);
        gsize size;
        g_autofree guchar *data = g_base64_decode(json_object_get_string_member(object, "data"), &size);
        g_assert_cmpmem(data, size, "a\xff\0", 3);
        g_assert_true(json_object_get_boolean_member(object, "partial"));
        line(&out, STREAM_STDOUT, LOG_LINE_WHOLE, "a\0b", 3);
        g_assert_nonnull(g_strstr_len((const char *) out.bytes->data, out.bytes->len, "\"a\\u0000b\""));
        g_byte_array_unref(out.bytes);
}

static void test_the_end_in_json(void) {
        const LogCursor place = {2, 0, ""};
        LogEnd end = {.reason = "exited", .run = 7, .has_code = true, .exit_code = 3, .position = log_position_at(&place)};
        g_autoptr(JsonParser) parser = json_parser_new();
        Out out = begin(LOG_FORMAT_JSON, false);

        log_writer_end(&out.writer, &end, out.bytes);
        JsonObject *object = parse(&out, parser);
        g_assert_cmpstr(json_object_get_string_member(object, "end"), ==, "exited");
        g_assert_cmpint(json_object_get_int_member(object, "run"), ==, 7);
        g_assert_cmpint(json_object_get_int_member(object, "exit-code"), ==, 3);
        end.has_code = false;
        log_writer_end(&out.writer, &end, out.bytes);
        g_assert_false(json_object_has_member(parse(&out, parser), "exit-code"));
        log_writer_gap(&out.writer, &end.position, out.bytes);
        g_assert_true(json_object_has_member(parse(&out, parser), "gap"));
        g_byte_array_unref(out.bytes);
}

static void test_export(void) {
        static const char expected[] = "__CURSOR=1:20\n__REALTIME_TIMESTAMP=1795657599007354\nCONTAINER_ID_FULL=0123456789abcdef\nCONTAINER_ID=0123456789ab\nCONTAINER_NAME=web\nPRIORITY=3\nMESSAGE=plain\ttext\n\n"
                                       "__CURSOR=1:20\n__REALTIME_TIMESTAMP=1795657599007354\nCONTAINER_ID_FULL=0123456789abcdef\nCONTAINER_ID=0123456789ab\nCONTAINER_NAME=web\nPRIORITY=6\nCONTAINER_PARTIAL_MESSAGE=true\n"
                                       "MESSAGE\n\3\0\0\0\0\0\0\0a\xff\r\n\n";
        Out out = begin(LOG_FORMAT_EXPORT, false);

        line(&out, STREAM_STDERR, LOG_LINE_WHOLE, "plain\ttext", 10);
        line(&out, STREAM_STDOUT, LOG_LINE_GOES_ON, "a\xff\r", 3);
        expect(&out, expected, sizeof expected - 1);
}

static void test_text_says_what_is_missing(void) {
        const LogPosition position = {0};
        const LogEnd end = {.reason = "exited"};
        Out out = begin(LOG_FORMAT_TEXT, false);

        log_writer_end(&out.writer, &end, out.bytes);
        g_assert_cmpuint(out.bytes->len, ==, 0);
        log_writer_gap(&out.writer, &position, out.bytes);
        g_assert_true(g_str_has_prefix((const char *) out.bytes->data, "-- conbus: "));
        g_byte_array_unref(out.bytes);
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/log-format/names", test_names);
        g_test_add_func("/log-format/text-is-bytes", test_text_is_bytes);
        g_test_add_func("/log-format/timestamps", test_timestamps);
        g_test_add_func("/log-format/json", test_json);
        g_test_add_func("/log-format/the-end-in-json", test_the_end_in_json);
        g_test_add_func("/log-format/export", test_export);
        g_test_add_func("/log-format/text-says-what-is-missing", test_text_says_what_is_missing);
        return g_test_run();
}
