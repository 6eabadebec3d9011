/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Write tracking: which pages of a range have been written since.
 *
 * Over the module it is exact, for any target. Without it there are two of the
 * kernel's own ways. Userfaultfd's asynchronous write protection (Linux 6.7) is
 * exact for memory of the calling process that was mapped writable at the
 * start. The soft-dirty bits are for any process whose /proc/PID one may write;
 * a huge page, and a mapping newer than the start, counts as written as a
 * whole, and as there is one set of them in a process, whoever else clears them
 * (CRIU does) disturbs.
 *
 * A track is for one thread at a time. A child of fork() has it not: there it
 * can only be stopped.
 */
#ifndef PTEFAULT_TRACK_H
#define PTEFAULT_TRACK_H

#include <ptefault/target.h>

PTF_BEGIN_DECLS

struct ptf_track;

/* How writes are found. */
enum ptf_track_method {
	PTF_TRACK_ANY,		/* the best that there is */
	PTF_TRACK_MODULE,	/* the module */
	PTF_TRACK_SCAN,		/* userfaultfd and PAGEMAP_SCAN */
	PTF_TRACK_SOFT_DIRTY	/* /proc/PID/clear_refs and pagemap */
};

/**
 * struct ptf_track_options - how to track
 * @size: sizeof(struct ptf_track_options)
 * @flags: PTF_TRACK_F_NOSTACK (without the module: the main thread's alone)
 * @method: enum ptf_track_method
 * @pid: without a session: the process, 0: the calling one. With a session and
 *	a method other than the module it is the target's; 0 then
 */
struct ptf_track_options {
	uint32_t size;
	uint32_t flags;
	uint32_t method;
	int32_t pid;
};

/**
 * @brief Begin to track. From the return on each page of the range that a CPU
 *	writes to is found by ptf_track_read().
 * @param session NULL: without the module
 * @param target NULL: the address space that opened the session, or without a
 *	session the process of the options
 * @param start first address, page-aligned
 * @param end first address behind, page-aligned; the whole address space is
 *	allowed
 * @param opts may be NULL
 * @param out to be released by ptf_track_stop(), before the session
 * @return 0, or -EOPNOTSUPP (no way to track here: the failure's text says why
 *	not), -EBUSY (another session tracks this address space), -EPERM,
 *	-EACCES (another process's soft-dirty bits), -ESRCH, -EINVAL. Where
 *	nothing of the range can be tracked it is the errno of what comes first:
 *	-ENOMEM (a hole, or nothing but a stack with NOSTACK), -EACCES (a
 *	read-only mapping), -EOPNOTSUPP (PROT_NONE, or a kind of memory), -EBUSY
 *	(another userfaultfd has it)
 */
PTF_API int ptf_track_start(const struct ptf_session *session,
			    const struct ptf_target *target, uint64_t start,
			    uint64_t end, const struct ptf_track_options *opts,
			    struct ptf_track **out);

/**
 * @brief End tracking and free.
 * @param track may be NULL
 */
PTF_API void ptf_track_stop(struct ptf_track *track);

/**
 * struct ptf_track_info - what is tracked, and how
 * @size: sizeof(struct ptf_track_info), set by the caller
 * @method: enum ptf_track_method, never PTF_TRACK_ANY
 * @pages: pages in the range that are tracked, mapped or not
 * @skipped_pages: pages that can't be, by enum ptf_skip
 *
 * Both as of the start.
 */
struct ptf_track_info {
	uint32_t size;
	uint32_t method;
	uint64_t pages;
	uint64_t skipped_pages[PTF_SKIP_NR];
};

/**
 * @brief What is tracked, and how.
 * @param info filled in as far as its size goes
 * @return 0; -EINVAL size too small
 */
PTF_API int ptf_track_query(const struct ptf_track *track,
			    struct ptf_track_info *info);

/**
 * @brief The name of an enum ptf_track_method, such as "soft-dirty".
 * @return a static string, "?" for an unknown one
 */
PTF_API const char *ptf_track_method_name(unsigned int method);

/**
 * @brief Called for each run of written pages.
 * @param start first address
 * @param end first address behind
 * @param arg as given to the call
 * @return 0 to go on; anything else ends the call, which returns it
 */
typedef int (*ptf_track_fn)(uint64_t start, uint64_t end, void *arg);

/**
 * @brief Which pages have been written since the start, or since they were
 *	last taken?
 * @param start first address, page-aligned; what is not tracked has no written
 *	pages
 * @param end first address behind, page-aligned
 * @param fn called for each run, in the order of the addresses; NULL: only
 *	count
 * @param arg passed to fn
 * @return pages, what fn answered if that was not 0, or a negative errno:
 *	-ESRCH (the address space is gone), -EINVAL, -ENOMEM
 */
PTF_API ssize_t ptf_track_read(struct ptf_track *track, uint64_t start,
			       uint64_t end, ptf_track_fn fn, void *arg);

/**
 * @brief ptf_track_read(), and what is reported counts as not written from now
 *	on: no write is lost between the two. If fn ends it, what comes behind
 *	may have been taken too.
 * @return as ptf_track_read(); -EOPNOTSUPP with soft-dirty bits, which can't be
 *	read and cleared in one step
 */
PTF_API ssize_t ptf_track_take(struct ptf_track *track, uint64_t start,
			       uint64_t end, ptf_track_fn fn, void *arg);

PTF_END_DECLS

#endif
