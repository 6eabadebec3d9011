/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the library's other files want of vma.c. */
#ifndef PTF_LIB_VMA_H
#define PTF_LIB_VMA_H

#include <stdbool.h>

#include <ptefault/vma.h>

/* vdso, vvar and other mappings whose frames all processes share. */
bool ptf_vma_name_special(const char *name);

struct ptf_vma_here {
	int prot;
	bool is_file;
};

/*
 * The mapping of an address of the caller, without the heap, so that it works
 * wherever a copy does; false if there is none or it can't be told.
 */
bool ptf_vma_here(uintptr_t addr, struct ptf_vma_here *out);

#endif
