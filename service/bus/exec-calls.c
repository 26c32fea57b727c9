/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* From arguments to a plan, and from the operation's end to the answer. Descriptors are duplicates of the message's own; they go to the process, or are closed with the plan. */

#include "bus/exec-calls.h"
#include "base/log.h"
#include "container-interface.h"
#include "model/config.h"
#include "operation/capture.h"
#include "operation/sessions.h"
#include "process-interface.h"
#include "runtime/spec-exec.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

typedef enum Form { FORM_EXEC, FORM_SHELL, FORM_START } Form;

typedef struct ExecCall {
        Call *call;
        Form form;
        Operation *operation;
} ExecCall;

static void exec_call_free(ExecCall *exec) {
        call_unref(exec->call);
        g_free(exec);
}

static void reply_with_terminal(ExecCall *exec) {
        autofd int terminal = exec_take_terminal(exec->operation);
        unsigned number = 0;
        char name[32];

        (void) ioctl(terminal, TIOCGPTN, &number);
        snprintf(name, sizeof name, "/dev/pts/%u", number);
        container_reply_open_shell(exec->call, terminal, name);
}

static void on_done(Operation *operation, GVariant *result, const GError *error, void *userdata) {
        ExecCall *exec = userdata;
        guint32 pid = 0;

        if (error)
                call_reply_error(exec->call, error);
        else if (exec->form == FORM_SHELL)
                reply_with_terminal(exec);
        else if (exec->form == FORM_START) {
                g_variant_get(result, "(&ou)", NULL, &pid);
                process_reply_start(exec->call, pid);
        } else
                call_reply_variant(exec->call, result);
        exec_call_free(exec);
}

static void on_caller_left(Call *call, void *userdata) {
        ExecCall *exec = userdata;

        operation_abandon(exec->operation);
        exec_call_free(exec);
}

/* session: to be started; else the plan counts. */
static bool begin(Call *call, Form form, Container *container, ExecPlan *plan, Session *session, GError **error) {
        Engine *engine = call->bus->engine;
        ExecCall *exec = g_new0(ExecCall, 1);

        exec->form = form;
        if (operation_check_quota(engine, call->actor, call->member, error))
                exec->operation = session ? sessions_start(engine, session, call->actor, on_done, exec, error) : sessions_exec(engine, container, plan, call->actor, on_done, exec, error);
        if (!exec->operation) {
                g_free(exec);
                return false;
        }
        exec->call = call_ref(call);
        call->caller_left = on_caller_left;
        call->userdata = exec;
        return true;
}

/* --- what is asked for --- */

/* Options of a process alone, with command put in: checked, and what only root may ask for. NULL with *error. */
static GVariant *read_request(Call *call, const char *const *command, GVariant *options, GError **error) {
        GVariantDict dict;

        g_variant_dict_init(&dict, options);
        g_variant_dict_remove(&dict, "reply-timeout-usec");
        g_variant_dict_insert(&dict, "command", "^as", command);
        g_autoptr(GVariant) request = g_variant_ref_sink(g_variant_dict_end(&dict));
        if (!session_request_check(request, error))
                return NULL;
        if (config_bool(request, "privileged", false) && call->actor->uid != 0) {
                error_set(error, CONBUS_ERROR_ACCESS_DENIED, "%s: a privileged process is as much as to be root, so only root may ask for it", call->member);
                return NULL;
        }
        return g_steal_pointer(&request);
}

static bool take_fd(Call *call, gint32 handle, int *ret, GError **error) {
        int fd = call_fd(call, handle);

        *ret = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 3);
        return *ret >= 0 || error_set(error, CONBUS_ERROR_INVALID_ARGS, "%s: there is no descriptor %d in the message", call->member, handle);
}

static int open_null(void) {
        return open("/dev/null", O_RDWR | O_CLOEXEC);
}

static bool read_stdio(Call *call, GVariant *stdio, SessionDescriptors *descriptors, GError **error) {
        if (g_variant_n_children(stdio) != G_N_ELEMENTS(descriptors->stdio))
                return error_set(error, CONBUS_ERROR_INVALID_ARGS, "option stdio has %zu descriptors; it takes three", g_variant_n_children(stdio));
        for (gsize i = 0; i < G_N_ELEMENTS(descriptors->stdio); i++) {
                gint32 handle;
                g_variant_get_child(stdio, i, "h", &handle);
                if (!take_fd(call, handle, &descriptors->stdio[i], error))
                        return false;
        }
        descriptors->has_stdio = true;
        return true;
}

/* A place in between that nobody has filled is /dev/null: else something of crun's could stand there. */
static bool read_fds(Call *call, GVariant *map, bool with_stdio, SessionDescriptors *descriptors, GError **error) {
        GVariantIter iter;
        guint32 place;
        gint32 handle;

        g_variant_iter_init(&iter, map);
        while (g_variant_iter_next(&iter, "{uh}", &place, &handle)) {
                if ((place < 3 && !with_stdio) || place >= 3 + CONMON_FDS_MAX)
                        return error_set(error, CONBUS_ERROR_INVALID_ARGS, "%s: %u is no place for a descriptor; they go from %d to %d", call->member, place, with_stdio ? 0 : 3, 2 + CONMON_FDS_MAX);
                int *slot = place < 3 ? &descriptors->stdio[place] : &descriptors->fds[place - 3];
                while (place >= 3 && descriptors->n_fds <= place - 3)
                        descriptors->fds[descriptors->n_fds++] = -1;
                if (*slot >= 0)
                        return error_set(error, CONBUS_ERROR_INVALID_ARGS, "%s: two descriptors are to be %u", call->member, place);
                if (!take_fd(call, handle, slot, error))
                        return false;
        }
        for (unsigned i = 0; i < descriptors->n_fds; i++)
                if (descriptors->fds[i] < 0)
                        descriptors->fds[i] = open_null();
        for (unsigned i = 0; with_stdio && i < G_N_ELEMENTS(descriptors->stdio); i++)
                if (descriptors->stdio[i] < 0)
                        descriptors->stdio[i] = open_null();
        descriptors->has_stdio = descriptors->has_stdio || with_stdio;
        return true;
}

static bool check_streams(GVariant *request, const SessionDescriptors *descriptors, GError **error) {
        if (!descriptors || !descriptors->has_stdio)
                return true;
        if (config_bool(request, "terminal", false))
                return error_set(error, CONBUS_ERROR_INVALID_ARGS, "a process cannot have both a terminal of its own and the descriptors of its caller");
        return !config_bool(request, "stdin-open", false) || error_set(error, CONBUS_ERROR_INVALID_ARGS, "a process that has the descriptors of its caller has no other standard input that could be kept open");
}

/* What is stored of the descriptors is that there were some. */
static GVariant *with_marks(GVariant *request, const SessionDescriptors *descriptors) {
        GVariantDict dict;

        g_variant_dict_init(&dict, request);
        if (descriptors)
                g_variant_dict_insert(&dict, "own-descriptors", "b", TRUE);
        if (descriptors && descriptors->has_stdio)
                g_variant_dict_insert(&dict, "own-stdio", "b", TRUE);
        return g_variant_dict_end(&dict);
}

static bool submit(Call *call, Container *container, GVariant *request, SessionDescriptors *descriptors, GError **error) {
        g_autoptr(SessionDescriptors) owned = descriptors;

        if (!check_streams(request, owned, error))
                return false;
        ExecPlan plan = {.request = with_marks(request, owned), .descriptors = g_steal_pointer(&owned)};
        bool begun = begin(call, FORM_EXEC, container, &plan, NULL, error);
        session_descriptors_free(plan.descriptors);
        return begun;
}

/* --- the calls --- */

static GVariant *without_descriptors(GVariant *options) {
        GVariantDict dict;

        g_variant_dict_init(&dict, options);
        g_variant_dict_remove(&dict, "stdio");
        g_variant_dict_remove(&dict, "preserve-fds");
        return g_variant_ref_sink(g_variant_dict_end(&dict));
}

/* Of a type that is not right nothing may be left out in silence. */
static bool look_up(GVariant *options, const char *key, const char *type, GVariant **ret, GError **error) {
        g_autoptr(GVariant) value = g_variant_lookup_value(options, key, NULL);

        if (value && !g_variant_is_of_type(value, G_VARIANT_TYPE(type)))
                return error_set(error, CONBUS_ERROR_INVALID_ARGS, "option %s takes the type %s, not %s", key, type, g_variant_get_type_string(value));
        *ret = g_steal_pointer(&value);
        return true;
}

bool exec_calls_exec(Call *call, Container *container, const char *const *command, GVariant *options, GError **error) {
        g_autoptr(GVariant) rest = without_descriptors(options), stdio = NULL, fds = NULL;
        g_autoptr(GVariant) request = read_request(call, command, rest, error);
        g_autoptr(SessionDescriptors) descriptors = NULL;

        if (!request || !look_up(options, "stdio", "ah", &stdio, error) || !look_up(options, "preserve-fds", "a{uh}", &fds, error))
                return false;
        if (stdio || fds)
                descriptors = session_descriptors_new();
        if ((stdio && !read_stdio(call, stdio, descriptors, error)) || (fds && !read_fds(call, fds, false, descriptors, error)))
                return false;
        if (!submit(call, container, request, g_steal_pointer(&descriptors), error))
                return false;
        call_arm_timeout(call, options);
        return true;
}

/* Bytes as g_variant_new_bytestring makes them, or without the NUL at the end; the rest of the way they are text. */
static char *text_of(GVariant *bytes, const char *what, GError **error) {
        gsize size;
        const char *data = g_variant_get_fixed_array(bytes, &size, 1);
        g_autofree char *text = g_strndup(data ? data : "", size);

        if (strlen(text) + 1 >= size && g_utf8_validate(text, -1, NULL))
                return g_steal_pointer(&text);
        error_set(error, CONBUS_ERROR_INVALID_ARGS, "%s is not UTF-8, or has a byte 0 in it", what);
        return NULL;
}

static bool read_argv(GVariant *argv, GPtrArray *words, GError **error) {
        for (gsize i = 0; i < g_variant_n_children(argv); i++) {
                g_autoptr(GVariant) bytes = g_variant_get_child_value(argv, i);
                g_autofree char *what = g_strdup_printf("argument %zu", i);
                char *word = text_of(bytes, what, error);
                if (!word)
                        return false;
                g_ptr_array_add(words, word);
        }
        g_ptr_array_add(words, NULL);
        return true;
}

static bool add_spawn_options(GVariantDict *dict, GVariant *cwd, GVariant *env, GError **error) {
        g_autoptr(GPtrArray) entries = g_ptr_array_new_with_free_func(g_free);
        g_autofree char *directory = text_of(cwd, "the working directory", error);
        const char *name, *value;
        GVariantIter iter;

        if (!directory)
                return false;
        if (g_variant_dict_contains(dict, "cwd") || g_variant_dict_contains(dict, "env") || g_variant_dict_contains(dict, "terminal") || g_variant_dict_contains(dict, "start"))
                return error_set(error, CONBUS_ERROR_UNKNOWN_OPTION, "Spawn has arguments for cwd and env, starts at once, and has no terminal of its own; as options they are unknown");
        if (*directory)
                g_variant_dict_insert(dict, "cwd", "s", directory);
        g_variant_iter_init(&iter, env);
        while (g_variant_iter_next(&iter, "{&s&s}", &name, &value)) {
                if (!*name || strchr(name, '='))
                        return error_set(error, CONBUS_ERROR_INVALID_ARGS, "the environment has a name that is empty or has a = in it");
                g_ptr_array_add(entries, g_strconcat(name, "=", value, NULL));
        }
        g_ptr_array_add(entries, NULL);
        g_variant_dict_insert(dict, "env", "^as", entries->pdata);
        return true;
}

bool exec_calls_spawn(Call *call, Container *container, GVariant *cwd, GVariant *argv, GVariant *fds, GVariant *env, GVariant *options, GError **error) {
        g_autoptr(GPtrArray) words = g_ptr_array_new_with_free_func(g_free);
        g_autoptr(SessionDescriptors) descriptors = session_descriptors_new();
        g_auto(GVariantDict) dict;

        g_variant_dict_init(&dict, options);
        if (!read_argv(argv, words, error) || !add_spawn_options(&dict, cwd, env, error))
                return false;
        g_autoptr(GVariant) merged = g_variant_ref_sink(g_variant_dict_end(&dict));
        g_autoptr(GVariant) request = read_request(call, (const char *const *) words->pdata, merged, error);
        if (!request || !read_fds(call, fds, true, descriptors, error) || !submit(call, container, request, g_steal_pointer(&descriptors), error))
                return false;
        call_arm_timeout(call, options);
        return true;
}

/* As org.freedesktop.machine1(5): nobody given is root, no path the login shell. The first argument cannot be another word than the path. */
bool exec_calls_open_shell(Call *call, Container *container, const char *user, const char *path, const char *const *argv, const char *const *env, GError **error) {
        g_autofree char *config = sessions_config_of(call->bus->engine, container), *shell = NULL;
        g_autoptr(GPtrArray) words = g_ptr_array_new();
        GVariantDict dict;

        if (!*user)
                user = "root";
        if (!sessions_check_state(container, "open a shell in", error))
                return false;
        if (!*path) {
                shell = spec_exec_shell(config, user, error);
                if (!shell)
                        return false;
        } else if (*path != '/')
                return error_set(error, CONBUS_ERROR_INVALID_ARGS, "OpenShell: \"%.100s\" is not an absolute path", path);
        g_ptr_array_add(words, shell ? shell : (void *) path);
        if (shell)
                g_ptr_array_add(words, (void *) "-l");
        for (unsigned i = 1; !shell && argv[0] && argv[i]; i++)
                g_ptr_array_add(words, (void *) argv[i]);
        g_ptr_array_add(words, NULL);
        g_variant_dict_init(&dict, NULL);
        g_variant_dict_insert(&dict, "user", "s", user);
        g_variant_dict_insert(&dict, "terminal", "b", TRUE);
        g_variant_dict_insert(&dict, "env", "^as", env);
        g_autoptr(GVariant) options = g_variant_ref_sink(g_variant_dict_end(&dict));
        g_autoptr(GVariant) request = read_request(call, (const char *const *) words->pdata, options, error);
        if (!request)
                return false;
        g_variant_dict_init(&dict, request);
        g_variant_dict_insert(&dict, "own-stdio", "b", TRUE);
        ExecPlan plan = {.request = g_variant_dict_end(&dict), .wants_terminal = true};
        return begin(call, FORM_SHELL, container, &plan, NULL, error);
}

/* --- ExecCapture --- */

typedef struct CaptureCall {
        Call *call;
        Capture *capture;
} CaptureCall;

static void capture_call_free(CaptureCall *capture_call) {
        call_unref(capture_call->call);
        g_free(capture_call);
}

static GVariant *bytes_of(const GByteArray *bytes) {
        return g_variant_new_fixed_array(G_VARIANT_TYPE_BYTE, bytes->data, bytes->len, 1);
}

static void on_captured(const CaptureResult *result, const GError *error, void *userdata) {
        CaptureCall *capture_call = userdata;

        if (error)
                call_reply_error(capture_call->call, error);
        else
                container_reply_exec_capture(capture_call->call, result->exit_code, result->exit_signal, bytes_of(result->output), bytes_of(result->errors), result->truncated);
        capture_call_free(capture_call);
}

static void on_capturer_left(Call *call, void *userdata) {
        CaptureCall *capture_call = userdata;

        capture_abandon(capture_call->capture);
        capture_call_free(capture_call);
}

/* The keys of a process that make sense for one without an object, and its own three. */
static bool read_capture(GVariant *options, CapturePlan *plan, GVariant **ret_rest, GError **error) {
        static const OptionKey keys[] = {{"max-bytes", "t"}, {"timeout-usec", "t"}, {"input", "ay"}, {"user", "s"}, {"cwd", "s"}, {"env", "as"}, {"privileged", "b"}, {NULL}};
        GVariantDict dict;

        if (!options_check(options, keys, error))
                return false;
        (void) g_variant_lookup(options, "max-bytes", "t", &plan->bytes_max);
        (void) g_variant_lookup(options, "timeout-usec", "t", &plan->timeout_usec);
        g_autoptr(GVariant) input = g_variant_lookup_value(options, "input", G_VARIANT_TYPE_BYTESTRING);
        if (plan->bytes_max > CAPTURE_BYTES_MAX)
                return error_set(error, CONBUS_ERROR_INVALID_ARGS, "option max-bytes is %zu; it takes at most %d", plan->bytes_max, CAPTURE_BYTES_MAX);
        if (input && g_variant_get_size(input) > CAPTURE_INPUT_MAX)
                return error_set(error, CONBUS_ERROR_INVALID_ARGS, "option input has %zu bytes; it takes at most %d", g_variant_get_size(input), CAPTURE_INPUT_MAX);
        g_variant_dict_init(&dict, options);
        g_variant_dict_remove(&dict, "max-bytes");
        g_variant_dict_remove(&dict, "timeout-usec");
        g_variant_dict_remove(&dict, "input");
        plan->input = g_steal_pointer(&input);
        *ret_rest = g_variant_ref_sink(g_variant_dict_end(&dict));
        return true;
}

bool exec_calls_capture(Call *call, Container *container, const char *const *command, GVariant *options, GError **error) {
        CapturePlan plan = {.bytes_max = CAPTURE_BYTES_DEFAULT, .timeout_usec = CAPTURE_USEC_DEFAULT};
        g_autoptr(GVariant) rest = NULL;

        if (!read_capture(options, &plan, &rest, error))
                return false;
        g_autoptr(GVariant) input = plan.input, request = read_request(call, command, rest, error);
        if (!request)
                return false;
        plan.request = request;
        CaptureCall *capture_call = g_new0(CaptureCall, 1);
        capture_call->capture = capture_begin(call->bus->engine, container, &plan, call->actor, on_captured, capture_call, error);
        if (!capture_call->capture) {
                g_free(capture_call);
                return false;
        }
        capture_call->call = call_ref(call);
        call->caller_left = on_capturer_left;
        call->userdata = capture_call;
        call_arm_timeout(call, options);
        return true;
}

bool exec_calls_start(Call *call, Session *session, GError **error) {
        return begin(call, FORM_START, NULL, NULL, session, error);
}

/* --- clients that have left --- */

typedef struct OwnerQuestion {
        Bus *bus;
        char *name;
} OwnerQuestion;

static void owner_question_free(void *data) {
        OwnerQuestion *question = data;

        g_free(question->name);
        g_free(question);
}

static int on_owner(sd_bus_message *answer, void *userdata, sd_bus_error *error) {
        const OwnerQuestion *question = userdata;

        if (sd_bus_message_is_method_error(answer, SD_BUS_ERROR_NAME_HAS_NO_OWNER))
                sessions_client_left(question->bus->engine, question->name);
        return 1;
}

void exec_calls_ask_for_clients(Bus *bus) {
        g_autoptr(GPtrArray) names = sessions_list_clients(bus->engine);

        for (guint i = 0; i < names->len; i++) {
                OwnerQuestion *question = g_new0(OwnerQuestion, 1);
                sd_bus_slot *slot = NULL;
                *question = (OwnerQuestion) {.bus = bus, .name = g_strdup(names->pdata[i])};
                int r = sd_bus_call_method_async(bus->connection, &slot, "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", "GetNameOwner", on_owner, question, "s", question->name);
                if (r < 0) {
                        log_error("ask for the owner of %s: %s", question->name, g_strerror(-r));
                        owner_question_free(question);
                        continue;
                }
                (void) sd_bus_slot_set_destroy_callback(slot, owner_question_free);
                (void) sd_bus_slot_set_floating(slot, true);
                sd_bus_slot_unref(slot);
        }
}
