/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the library's other files want of map.c. */
#ifndef PTF_LIB_MAP_H
#define PTF_LIB_MAP_H

#include <stddef.h>

/*
 * Record EEXIST for [addr + done, addr + wanted): the first address in the way
 * and what is there, behind @name (may be NULL). Returns -EEXIST.
 */
int ptf_map_fail_conflict(const char *op, const void *addr, size_t wanted,
			  size_t done, const char *name);

/* A name as the kernel takes it for anonymous memory. */
void ptf_name_clean(char *to, size_t size, const char *from);

#endif
