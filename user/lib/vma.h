/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the library's other files want of vma.c. */
#ifndef PTF_LIB_VMA_H
#define PTF_LIB_VMA_H

#include <stdbool.h>

#include <ptefault/vma.h>

/* vdso, vvar and other mappings whose frames all processes share. */
bool ptf_vma_name_special(const char *name);

#endif
