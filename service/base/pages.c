/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Starting touches nearly every library at many places, in some of which nothing is ever needed again, and around each place the kernel maps 64 KB (fault_around_bytes). All of that counts as resident until the kernel is short of memory.
 *
 * Only segments without PF_W are given back (elf(5)): relocations and variables are in writable ones, of which RELRO is a part. The last page of a segment is left alone unless it is the segment's as a whole, and an object with relocations in its code (DT_TEXTREL) altogether. */

#include "base/pages.h"
#include <glib.h>
#include <link.h>
#include <stdbool.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <unistd.h>

static bool has_changed_code(const struct dl_phdr_info *object) {
        for (unsigned i = 0; i < object->dlpi_phnum; i++) {
                if (object->dlpi_phdr[i].p_type != PT_DYNAMIC)
                        continue;
                for (const ElfW(Dyn) *entry = (const ElfW(Dyn) *) (object->dlpi_addr + object->dlpi_phdr[i].p_vaddr); entry->d_tag != DT_NULL; entry++)
                        if (entry->d_tag == DT_TEXTREL || (entry->d_tag == DT_FLAGS && (entry->d_un.d_val & DF_TEXTREL)))
                                return true;
        }
        return false;
}

static int give_back(struct dl_phdr_info *object, size_t size, void *userdata) {
        const ElfW(Addr) page = *(const ElfW(Addr) *) userdata;

        if (object->dlpi_addr == getauxval(AT_SYSINFO_EHDR) || has_changed_code(object)) /* the former is the kernel's, and no file */
                return 0;
        for (unsigned i = 0; i < object->dlpi_phnum; i++) {
                const ElfW(Phdr) *segment = &object->dlpi_phdr[i];
                ElfW(Addr) begin = object->dlpi_addr + segment->p_vaddr, end = begin + segment->p_filesz;

                begin = (begin + page - 1) & ~(page - 1);
                end &= ~(page - 1);
                if (segment->p_type == PT_LOAD && !(segment->p_flags & PF_W) && begin < end)
                        (void) madvise((void *) begin, end - begin, MADV_DONTNEED); /* of locked memory it refuses (mlockall(2)), which is right */
        }
        return 0;
}

void pages_give_back(void) {
        ElfW(Addr) page = (ElfW(Addr)) sysconf(_SC_PAGESIZE);

        (void) dl_iterate_phdr(give_back, &page);
}
