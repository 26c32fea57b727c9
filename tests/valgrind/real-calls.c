/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Preloaded into programs that run under valgrind, by tests/valgrind/run: system calls that its older versions do not know (3.19 answers pidfd_open with ENOSYS) are made on the real processor, where valgrind does not see them.
 * None of the calls here gives the caller memory to read, so memcheck misses nothing. Outside of valgrind everything passes through, as in children that have executed another program. */

#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <valgrind/valgrind.h>

#define N_ARGUMENTS 6

typedef struct RealCall {
        long number;
        long arguments[N_ARGUMENTS];
} RealCall;

/* Runs on the real processor with valgrind's own thread state: no libc, no errno, no stack protector. */
__attribute__((optimize("no-stack-protector"))) static long make_call(long thread, RealCall *call) {
#if defined(__x86_64__)
        register long a4 __asm__("r10") = call->arguments[3];
        register long a5 __asm__("r8") = call->arguments[4];
        register long a6 __asm__("r9") = call->arguments[5];
        long result;

        __asm__ volatile("syscall"
                         : "=a"(result)
                         : "a"(call->number), "D"(call->arguments[0]), "S"(call->arguments[1]), "d"(call->arguments[2]), "r"(a4), "r"(a5), "r"(a6)
                         : "rcx", "r11", "memory");
        return result;
#elif defined(__aarch64__)
        register long number __asm__("x8") = call->number;
        register long a1 __asm__("x0") = call->arguments[0];
        register long a2 __asm__("x1") = call->arguments[1];
        register long a3 __asm__("x2") = call->arguments[2];
        register long a4 __asm__("x3") = call->arguments[3];
        register long a5 __asm__("x4") = call->arguments[4];
        register long a6 __asm__("x5") = call->arguments[5];

        __asm__ volatile("svc 0" : "+r"(a1) : "r"(number), "r"(a2), "r"(a3), "r"(a4), "r"(a5), "r"(a6) : "memory");
        return a1;
#else
        return -ENOSYS;
#endif
}

static int is_unknown_to_valgrind(long number) {
        switch (number) {
        case SYS_pidfd_open:
        case SYS_pidfd_send_signal:
        case SYS_openat2:
        case SYS_open_tree:
        case SYS_move_mount:
        case SYS_mount_setattr:
        case SYS_fsopen:
        case SYS_fsconfig:
        case SYS_fsmount:
                return 1;
        default:
                return 0;
        }
}

long syscall(long number, ...) {
        static long (*next)(long, ...);
        RealCall call = {.number = number};
        va_list arguments;

        va_start(arguments, number);
        for (int i = 0; i < N_ARGUMENTS; i++)
                call.arguments[i] = va_arg(arguments, long);
        va_end(arguments);
        if (RUNNING_ON_VALGRIND && is_unknown_to_valgrind(number)) {
                long result = (long) VALGRIND_NON_SIMD_CALL1(make_call, &call);
                if (result >= 0)
                        return result;
                errno = (int) -result;
                return -1;
        }
        if (!next)
                *(void **) &next = dlsym(RTLD_NEXT, "syscall");
        return next(number, call.arguments[0], call.arguments[1], call.arguments[2], call.arguments[3], call.arguments[4], call.arguments[5]);
}

/* The C library has functions for these, which make the calls themselves. */
int open_tree(int fd, const char *path, unsigned flags) {
        return (int) syscall(SYS_open_tree, (long) fd, path, (long) flags);
}

int move_mount(int from, const char *from_path, int to, const char *to_path, unsigned flags) {
        return (int) syscall(SYS_move_mount, (long) from, from_path, (long) to, to_path, (long) flags);
}

int mount_setattr(int fd, const char *path, unsigned flags, struct mount_attr *attributes, size_t size) {
        return (int) syscall(SYS_mount_setattr, (long) fd, path, (long) flags, attributes, size);
}

int fsopen(const char *name, unsigned flags) {
        return (int) syscall(SYS_fsopen, name, (long) flags);
}

int fsconfig(int fd, unsigned command, const char *key, const void *value, int auxiliary) {
        return (int) syscall(SYS_fsconfig, (long) fd, (long) command, key, value, (long) auxiliary);
}

int fsmount(int fd, unsigned flags, unsigned attributes) {
        return (int) syscall(SYS_fsmount, (long) fd, (long) flags, (long) attributes);
}

/* What valgrind shows to the program it keeps for itself: the real process has other limits and every signal blocked. */
enum { SET_DATA, SET_STACK, SET_MASK, EXECUTE, RESTORE_MASK, N_CALLS };

static long make_calls(long thread, RealCall *calls) {
        for (int i = SET_DATA; i < EXECUTE; i++)
                (void) make_call(thread, &calls[i]);
        long result = make_call(thread, &calls[EXECUTE]);
        (void) make_call(thread, &calls[RESTORE_MASK]);
        return result;
}

/* Valgrind's own execve(2) ends the process where the real one fails late (a script without its interpreter), and takes /proc/self/exe for itself. */
int execve(const char *path, char *const arguments[], char *const environment[]) {
        static int (*next)(const char *, char *const[], char *const[]);
        unsigned long mask[16] = {0}, old_mask[16];
        struct rlimit data, stack;
        char own[PATH_MAX];

        if (!RUNNING_ON_VALGRIND) {
                if (!next)
                        *(void **) &next = dlsym(RTLD_NEXT, "execve");
                return next(path, arguments, environment);
        }
        if (strcmp(path, "/proc/self/exe") == 0) {
                ssize_t length = readlink(path, own, sizeof own - 1); /* which valgrind answers rightly */
                if (length < 0)
                        return -1;
                own[length] = '\0';
                path = own;
        }
        if (sigprocmask(SIG_SETMASK, NULL, (sigset_t *) mask) < 0 || getrlimit(RLIMIT_DATA, &data) < 0 || getrlimit(RLIMIT_STACK, &stack) < 0)
                return -1;
        RealCall calls[N_CALLS] = {
                [SET_DATA] = {SYS_prlimit64, {0, RLIMIT_DATA, (long) &data, 0}},
                [SET_STACK] = {SYS_prlimit64, {0, RLIMIT_STACK, (long) &stack, 0}},
                [SET_MASK] = {SYS_rt_sigprocmask, {SIG_SETMASK, (long) mask, (long) old_mask, 8}},
                [EXECUTE] = {SYS_execve, {(long) path, (long) arguments, (long) environment}},
                [RESTORE_MASK] = {SYS_rt_sigprocmask, {SIG_SETMASK, (long) old_mask, 0, 8}},
        };
        errno = (int) -(long) VALGRIND_NON_SIMD_CALL1(make_calls, calls);
        return -1;
}

/* Only forked children call this; a search for leaks in them is slow, and what it found would change their status. */
void _exit(int status) {
        RealCall call = {SYS_exit_group, {status}};

        if (RUNNING_ON_VALGRIND)
                (void) VALGRIND_NON_SIMD_CALL1(make_call, &call);
        (void) syscall(SYS_exit_group, status);
        __builtin_unreachable();
}
