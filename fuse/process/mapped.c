/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fuse/process/mapped.h"

#include <link.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

/* What cannot be written was never changed, unless its code had to be: then its pages are this process' own. */
static int let_go_of(struct dl_phdr_info *object, size_t size_bytes, void *context)
{
	uintptr_t page_bytes = *(const uintptr_t *)context, start, end;

	(void)size_bytes;
	for (int i = 0; i < object->dlpi_phnum; i++) {
		const ElfW(Phdr) *part = &object->dlpi_phdr[i];
		const ElfW(Dyn) *entry = (const ElfW(Dyn) *)(object->dlpi_addr + part->p_vaddr);

		for (; part->p_type == PT_DYNAMIC && entry->d_tag != DT_NULL; entry++)
			if (entry->d_tag == DT_TEXTREL || (entry->d_tag == DT_FLAGS && (entry->d_un.d_val & DF_TEXTREL)))
				return 0;
	}
	for (int i = 0; i < object->dlpi_phnum; i++) {
		const ElfW(Phdr) *part = &object->dlpi_phdr[i];

		if (part->p_type != PT_LOAD || (part->p_flags & PF_W))
			continue;
		start = (object->dlpi_addr + part->p_vaddr) & ~(page_bytes - 1);
		end = object->dlpi_addr + part->p_vaddr + part->p_memsz;
		madvise((void *)start, end - start, MADV_DONTNEED);
	}
	return 0;
}

void mapped_let_go(void)
{
	uintptr_t page_bytes = (uintptr_t)sysconf(_SC_PAGESIZE);

	dl_iterate_phdr(let_go_of, &page_bytes);
}
