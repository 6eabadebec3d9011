/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What session, target and the calls over them share; not installed.
 */
#ifndef PTF_LIB_SESSION_H
#define PTF_LIB_SESSION_H

#include <ptefault/session.h>
#include <ptefault/target.h>

#include "internal.h"

#define PTF_DEVICE "/dev/ptefault"

struct ptf_session {
	int fd;
	pid_t owner;	/* process that opened it, 0 if it was passed on */
	bool blocking;	/* read() of the fd waits */
	struct ptf_ioc_features_get features;
};

struct ptf_target {
	const struct ptf_session *session;
	uint32_t id;
	pid_t pid;
	int pidfd;
};

/* ioctl() answering 0 or a negative errno. */
int ptf_ioctl(const struct ptf_session *session, unsigned long cmd, void *arg);

/* Does the module itself serve it? */
bool ptf_module_has_advice(const struct ptf_session *session,
			   unsigned int advice);

/* Which layer an errno of a range command speaks of. */
enum ptf_layer ptf_errno_layer(int err);

/*
 * The checks that every range of a target shares: record the failure of @op
 * and answer its negative errno.
 */
int ptf_range_check(const char *op, uint64_t start, uint64_t end);

/*
 * A failure of which the reason (enum ptf_skip) is known; @flags are those of
 * the advice. Returns -@err.
 */
int ptf_skip_fail(const char *op, int err, int reason, uint64_t start,
		  uint64_t end, uint64_t at, uint32_t flags);

/* The reason with this errno (0: any) that most pages have, or -1. */
int ptf_skip_main(const uint64_t *skipped_pages, int err);

/* Is the target (NULL: always) one of this session's? */
int ptf_target_check(const struct ptf_session *session,
		     const struct ptf_target *target, const char *op);

static inline const void *ptf_addr(uint64_t addr)
{
	return (const void *)(uintptr_t)addr;
}

#endif
