#include "memory.h"

#include <link.h>
#include <malloc.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

/*
 * Only segments that were never writable: relocations have changed the others,
 * even those that are read-only by now (RELRO).
 */
static int trim_object(struct dl_phdr_info *info, size_t size, void *ctx)
{
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);

	(void)size;
	(void)ctx;
	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *p = &info->dlpi_phdr[i];
		uintptr_t first, end;

		if (p->p_type != PT_LOAD || (p->p_flags & PF_W) || p->p_memsz != p->p_filesz)
			continue;
		first = (info->dlpi_addr + p->p_vaddr + page - 1) & ~(page - 1);
		end = (info->dlpi_addr + p->p_vaddr + p->p_memsz) & ~(page - 1);
		/* Advice: where it is refused, nothing is lost. */
		if (end > first)
			(void)madvise((void *)first, end - first, MADV_DONTNEED); /* NOLINT */
	}
	return 0;
}

void bh_memory_trim(void)
{
	dl_iterate_phdr(trim_object, NULL);
	malloc_trim(0);
}
