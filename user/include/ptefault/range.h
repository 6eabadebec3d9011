/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Changing translations through a session: advice on a range of any target,
 * advice on a range of a file, and the fault handler driven by hand.
 */
#ifndef PTEFAULT_RANGE_H
#define PTEFAULT_RANGE_H

#include <ptefault/target.h>

PTF_BEGIN_DECLS

/*
 * A flag of the library beside PTF_ADVISE_F_*: take also advice that may lose
 * content (class CONTENT) or end the process (FATAL). Without it they are
 * -EPERM.
 */
#define PTF_ADVISE_UNCHECKED	(1U << 31)

/**
 * struct ptf_advise_result - what became of each page of a range
 * @size: sizeof(struct ptf_advise_result), set by the caller
 * @reserved: 0
 * @next: first address not worked on
 * @done_pages: pages changed
 * @same_pages: pages that were so already
 * @large_pages: of the pages changed, those in a large folio, where the kernel
 *	may heal neighbours with the first fault
 * @flushes: TLB flushes of all CPUs that it took
 * @skipped_pages: pages left alone, by enum ptf_skip
 */
struct ptf_advise_result {
	uint32_t size;
	uint32_t reserved;
	uint64_t next;
	uint64_t done_pages;
	uint64_t same_pages;
	uint64_t large_pages;
	uint64_t flushes;
	uint64_t skipped_pages[PTF_SKIP_NR];
};

/**
 * @brief Give advice on a range of a target: the module's own (PTF_ADV_*), or
 *	the kernel's (MADV_*), which goes to madvise(2) or process_madvise(2).
 *	SWAPOUT, where the module has no way of its own, is the kernel's PAGEOUT
 *	with the rows compared before and after.
 * @param target NULL: the address space that opened the session
 * @param start first address, page-aligned
 * @param end first address behind, page-aligned (for MADV_* any length)
 * @param advice PTF_ADV_* or MADV_*
 * @param flags PTF_ADVISE_F_* and PTF_ADVISE_UNCHECKED
 * @param result filled in as far as its size goes, also on failure; may be
 *	NULL. MADV_* values count nothing but @next
 * @return 0, or -EINVAL (range, or an unknown advice), -EOPNOTSUPP (a flag that
 *	the advice does not take: UNMAP_FILE, UNMAP_FILE_COW, EVICT and RESET
 *	take none; an advice that can't be served here; a kind of memory),
 *	-EPERM (needs PTF_ADVISE_UNCHECKED), -ENOMEM (a hole), -ENODATA (nothing
 *	mapped there), -EBUSY (pinned, in use, or another session, a mark or
 *	userfaultfd has it), -ENOSPC (no swap), -EACCES (a read-only mapping, or
 *	a file that may not be written), -ESRCH, -EINTR. Pages that can't be
 *	served are skipped and counted; with PTF_ADVISE_F_STRICT, or if there
 *	was nothing else, they are the errno
 */
PTF_API int ptf_session_advise(const struct ptf_session *session,
			       const struct ptf_target *target,
			       uint64_t start, uint64_t end,
			       unsigned int advice, uint32_t flags,
			       struct ptf_advise_result *result);

/**
 * @brief Give advice on a range of a file, for whoever has it mapped.
 * @param fd a file, open for writing
 * @param start first byte, page-aligned
 * @param end first byte behind, page-aligned; UINT64_MAX: to the end
 * @param advice PTF_ADV_UNMAP_FILE, PTF_ADV_UNMAP_FILE_COW (needs
 *	PTF_ADVISE_UNCHECKED) or PTF_ADV_EVICT
 * @param flags PTF_ADVISE_UNCHECKED; files are worked on page by page, so that
 *	all or nothing (PTF_ADVISE_F_STRICT) can't be had
 * @param result filled in as far as its size goes; may be NULL
 * @return 0 or a negative errno as ptf_session_advise(), -EBADF. Pages that
 *	can't be served are skipped and counted: -EBUSY if all of them still are
 *	cached or mapped, -ENODATA if none was
 */
PTF_API int ptf_session_file_advise(const struct ptf_session *session, int fd,
				    uint64_t start, uint64_t end,
				    unsigned int advice, uint32_t flags,
				    struct ptf_advise_result *result);

/**
 * struct ptf_fault_result - how far the fault handler came
 * @size: sizeof(struct ptf_fault_result), set by the caller
 * @reserved: 0
 * @next: first address not driven
 * @minor: pages whose fault was minor
 * @major: pages whose fault was major
 * @failed: pages that did not fault in
 */
struct ptf_fault_result {
	uint32_t size;
	uint32_t reserved;
	uint64_t next;
	uint64_t minor;
	uint64_t major;
	uint64_t failed;
};

/**
 * @brief Drive the kernel's fault handler for each page of a range, without
 *	touching the pages.
 * @param target NULL: the address space that opened the session
 * @param start first address, page-aligned
 * @param end first address behind, page-aligned
 * @param access exactly one PTF_ACCESS_* bit
 * @param flags PTF_FAULT_F_*
 * @param results one byte for each page, PTF_FAULTED_*; may be NULL
 * @param result filled in as far as its size goes; may be NULL
 * @return 0 (also where pages failed: see the result), or a negative errno
 */
PTF_API int ptf_session_fault(const struct ptf_session *session,
			      const struct ptf_target *target,
			      uint64_t start, uint64_t end, uint32_t access,
			      uint32_t flags, uint8_t *results,
			      struct ptf_fault_result *result);

PTF_END_DECLS

#endif
