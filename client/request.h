/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A call that is made until the service has answered it: one that a restart or a crash of the service cuts off is made again, and activates the next one. For conbus-unit. */

#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>

typedef struct Request Request;
/* Sends the call; handler and request are for sd_bus_call_method_async. A negative errno ends it. */
typedef int (*RequestSend)(void *userdata, sd_bus_slot **ret_slot, sd_bus_message_handler_t handler, Request *request);
typedef void (*RequestAnswer)(void *userdata, sd_bus_message *answer); /* borrowed: a result, an error, or, when patience has ended, the error that says how it was lost; NULL: it could not be sent. It may begin the request anew. */

struct Request { /* zero it, and set event and userdata */
        sd_event *event;
        void *userdata;
        RequestSend send;
        RequestAnswer answer;
        sd_bus_slot *slot;
        sd_event_source *timer;
        uint64_t since; /* the service has been away, CLOCK_MONOTONIC; 0: it was not */
        uint64_t patience; /* usec */
        bool gives_up; /* at once where the service cannot be activated; set after request_begin, else false */
        void (*again)(void *userdata); /* instead of the same call once more; set after request_begin, or NULL */
};

void request_begin(Request *request, RequestSend send, RequestAnswer answer, uint64_t patience_usec);
void request_forget(Request *request); /* its effect goes on */
bool request_is_pending(const Request *request);

/* answer may be NULL. */
bool answer_is(sd_bus_message *answer, const char *name); /* an error, NULL: any */
const char *answer_text(sd_bus_message *answer); /* why it is of no use */

/* What is wanted of a dictionary a{sv}, as a value of a basic type: where it goes, as for sd_bus_message_read_basic. */
typedef struct AnswerField {
        const char *key;
        char type;
        void *to;
} AnswerField;

/* Reads the dictionary that comes next in the answer; others of its keys are passed over. A negative errno. */
int answer_read_fields(sd_bus_message *answer, const AnswerField *fields, size_t n);
