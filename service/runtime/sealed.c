/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One copy, since only crun is run so. The copying does not block: the program is in the page cache, or is about to be read by the execution itself. */

#include "runtime/sealed.h"
#include "base/auto.h"
#include "base/file.h"
#include "base/log.h"
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#ifndef MFD_EXEC
#define MFD_EXEC 0x0010U
#endif
#define SEALS (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) /* these and no others are what crun looks for */

static struct {
        struct stat of; /* the file that was looked at */
        int fd;
} latest = {.fd = -1};

static bool is_elf(int fd) {
        char magic[SELFMAG];

        return pread(fd, magic, sizeof magic, 0) == (ssize_t) sizeof magic && memcmp(magic, ELFMAG, SELFMAG) == 0;
}

static int make_memory_file(void) {
        int fd = memfd_create("crun", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_EXEC);

        return fd < 0 && errno == EINVAL ? memfd_create("crun", MFD_CLOEXEC | MFD_ALLOW_SEALING) : fd; /* before Linux 6.3 */
}

static bool copy(int from, int to, off_t size) {
        off_t done = 0;

        while (done < size)
                if (sendfile(to, from, &done, (size_t) (size - done)) <= 0)
                        return false;
        return true;
}

static int make_copy(const char *path, const struct stat *st) {
        autofd int from = open(path, O_RDONLY | O_CLOEXEC), to = -1;

        if (from < 0 || !is_elf(from) || access("/sys/fs/selinux/enforce", F_OK) == 0)
                return -1;
        to = make_memory_file();
        if (to < 0 || !copy(from, to, st->st_size) || fchmod(to, 0555) < 0 || fcntl(to, F_ADD_SEALS, SEALS) < 0) {
                log_debug("seal a copy of %s: %s; it is run from its file", path, g_strerror(errno));
                return -1;
        }
        return steal_fd(&to);
}

int sealed_program(const char *path) {
        struct stat st;

        if (stat(path, &st) < 0 || !S_ISREG(st.st_mode) || (st.st_mode & (S_ISUID | S_ISGID)))
                return -1;
        if (file_is_unchanged(&latest.of, &st))
                return latest.fd;
        close_fd(latest.fd);
        latest.fd = make_copy(path, &st);
        latest.of = st;
        return latest.fd;
}

void sealed_forget(void) {
        latest.fd = close_fd(latest.fd);
        latest.of = (struct stat) {0};
}
