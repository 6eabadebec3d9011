/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Shared by the library's own files; not installed.
 */
#ifndef PTF_INTERNAL_H
#define PTF_INTERNAL_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <ptefault/types.h>
#include <ptefault/error.h>

/*
 * Record a failure of this thread and return -@err, so that a caller writes
 * return ptf_fail(...). @fmt (may be NULL) is the annotation. The way out is
 * looked up from @layer and @err when the text is made; ptf_fail_way() after
 * ptf_fail() sets a better one. Both keep errno.
 */
int ptf_fail(int err, enum ptf_layer layer, const char *op, const void *addr,
	     size_t wanted, size_t done, const char *fmt, ...) PTF_PRINTF(7, 8);
void ptf_fail_way(const char *fmt, ...) PTF_PRINTF(1, 2);
/* After ptf_fail(): how many of a list of things were done (no bytes). */
void ptf_fail_done(size_t done);
/* After ptf_fail(): its address is one, also if it is NULL. */
void ptf_fail_at(void);
/* If @ret says that a call within failed: it is a failure of @op. Returns @ret. */
ssize_t ptf_fail_op(const char *op, ssize_t ret);

/*
 * Around what may fail within a call that succeeds: such a call leaves the
 * failure of an earlier one alone.
 */
struct ptf_failure_saved {
	struct ptf_failure failure;
	bool is_at;
};

void ptf_fail_save(struct ptf_failure_saved *to);
void ptf_fail_restore(const struct ptf_failure_saved *from);

/* A name within one line: a newline is \012 there, as in /proc/PID/maps. */
size_t ptf_name_line(const char *name, char *buf, size_t len);

/*
 * Take over an option struct of a caller with an older or newer header: copies
 * min(user->size, ksize) bytes, the rest is zero. A tail that this library
 * does not know must be zero (-E2BIG); a size below @min is -EINVAL. @user
 * NULL gives all zero. Both structs begin with a uint32_t or size_t size of
 * which the low 32 bits are read.
 */
int ptf_opts_copy(void *to, size_t ksize, size_t min, const void *user,
		  const char *op);

/* For structs that we fill in: how much of ours the caller has room for. */
static inline size_t ptf_min_size(size_t a, size_t b)
{
	return a < b ? a : b;
}

static inline uintptr_t ptf_page_down(uintptr_t v, size_t page)
{
	return v & ~(uintptr_t)(page - 1);
}

/* Callers have made sure that v + page - 1 does not wrap. */
static inline uintptr_t ptf_page_up(uintptr_t v, size_t page)
{
	return (v + page - 1) & ~(uintptr_t)(page - 1);
}

/* Bytes in a page of this machine. */
size_t ptf_page_bytes(void);

#define PTF_ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

#endif
