/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Calls over restarts of the service. */

#include "request.h"
#include <errno.h>
#include <string.h>

#define RETRY_USEC UINT64_C(200000)

static int on_answer(sd_bus_message *answer, void *userdata, sd_bus_error *error);

/* The service could not be activated. */
static bool was_refused(sd_bus_message *answer) {
        static const char *const prefixes[] = {"org.freedesktop.DBus.Error.Spawn.", "org.freedesktop.systemd1."};
        const sd_bus_error *error = sd_bus_message_get_error(answer);

        for (size_t i = 0; error && i < sizeof prefixes / sizeof *prefixes; i++)
                if (strncmp(error->name, prefixes[i], strlen(prefixes[i])) == 0)
                        return true;
        return false;
}

/* It was not there, or has gone in the middle of the call. */
static bool was_lost(sd_bus_message *answer) {
        static const char *const names[] = {SD_BUS_ERROR_NO_REPLY, SD_BUS_ERROR_SERVICE_UNKNOWN, SD_BUS_ERROR_NAME_HAS_NO_OWNER, SD_BUS_ERROR_DISCONNECTED, SD_BUS_ERROR_TIMEOUT, "org.freedesktop.DBus.Error.TimedOut"};
        const sd_bus_error *error = sd_bus_message_get_error(answer);

        for (size_t i = 0; error && i < sizeof names / sizeof *names; i++)
                if (strcmp(error->name, names[i]) == 0)
                        return true;
        return false;
}

static void send_now(Request *request) {
        if (request->send(request->userdata, &request->slot, on_answer, request) < 0)
                request->answer(request->userdata, NULL);
}

static int on_again(sd_event_source *source, uint64_t usec, void *userdata) {
        Request *request = userdata;

        request->timer = sd_event_source_disable_unref(request->timer);
        if (request->again)
                request->again(request->userdata);
        else
                send_now(request);
        return 0;
}

static int on_answer(sd_bus_message *answer, void *userdata, sd_bus_error *error) {
        Request *request = userdata;
        uint64_t now = 0;

        request->slot = sd_bus_slot_unref(request->slot);
        (void) sd_event_now(request->event, CLOCK_MONOTONIC, &now);
        bool refused = was_refused(answer), lost = was_lost(answer) || (refused && !request->gives_up);
        if (!lost)
                request->since = 0;
        else if (request->since == 0)
                request->since = now;
        if (!lost || now - request->since >= request->patience || sd_event_add_time(request->event, &request->timer, CLOCK_MONOTONIC, now + RETRY_USEC, 1000, on_again, request) < 0)
                request->answer(request->userdata, answer);
        return 1;
}

void request_begin(Request *request, RequestSend send, RequestAnswer answer, uint64_t patience_usec) {
        request_forget(request);
        request->send = send;
        request->answer = answer;
        request->patience = patience_usec;
        request->again = NULL;
        request->gives_up = false;
        send_now(request);
}

void request_forget(Request *request) {
        request->slot = sd_bus_slot_unref(request->slot);
        request->timer = sd_event_source_disable_unref(request->timer);
}

bool request_is_pending(const Request *request) {
        return request->slot || request->timer;
}

bool answer_is(sd_bus_message *answer, const char *name) {
        return answer && sd_bus_message_is_method_error(answer, name);
}

const char *answer_text(sd_bus_message *answer) {
        const sd_bus_error *error = answer ? sd_bus_message_get_error(answer) : NULL;

        if (error)
                return error->message ? error->message : error->name;
        return answer ? "the answer is not understood" : "the bus does not take the call";
}

static int read_field(sd_bus_message *answer, const char *key, const AnswerField *fields, size_t n) {
        for (size_t i = 0; i < n; i++)
                if (strcmp(fields[i].key, key) == 0)
                        return sd_bus_message_read(answer, "v", (char[]) {fields[i].type, '\0'}, fields[i].to);
        return sd_bus_message_skip(answer, "v");
}

int answer_read_fields(sd_bus_message *answer, const AnswerField *fields, size_t n) {
        const char *key;
        int r = sd_bus_message_enter_container(answer, 'a', "{sv}");

        while (r >= 0 && (r = sd_bus_message_enter_container(answer, 'e', "sv")) > 0) {
                r = sd_bus_message_read(answer, "s", &key);
                if (r >= 0)
                        r = read_field(answer, key, fields, n);
                if (r >= 0)
                        r = sd_bus_message_exit_container(answer);
        }
        return r;
}
