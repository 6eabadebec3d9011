/* SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note */
/*
 * ptefault: induced page faults through /dev/ptefault.
 *
 * Every command is ioctl(fd, PTF_IOC_<NOUN>_<VERB>, struct ptf_ioc_<noun>_<verb> *).
 * The struct begins with its own size, inputs come first, what the kernel
 * fills in is called out_*. A caller built against a newer header may pass a
 * larger struct as long as what the kernel does not know is zero; a caller
 * built against an older one passes a smaller struct, and the rest counts as
 * zero. The first version of each struct is the smallest size accepted.
 * Layout is the same for 32-bit and 64-bit programs.
 *
 * Errors that any command may answer:
 *   ENOTTY      no such command
 *   E2BIG       a tail that this kernel does not know is not zero
 *   EOPNOTSUPP  an unknown flag, or a kind of memory that cannot be served
 *   EINVAL      understood, but wrong: a struct that is too short, an
 *               unaligned, empty, wrapping or non-user range, a reserved
 *               field that is not zero
 *   EOVERFLOW   a count that does not fit
 *   EFAULT      the struct, or a buffer that it names, is not accessible
 *   ENOENT      no such target, rule or held fault in this session
 *   ESRCH       the target's address space is gone (exit, exec)
 *   EPERM       the opener has no right to this address space
 *   ENOMEM      a hole in the range where STRICT was asked for, a range that
 *               is one single hole, or the kernel is out of memory
 *   EBUSY       pinned pages, or another user holds what is needed
 *   EINTR       a fatal signal came; the out_ fields say how far it got
 *
 * Range commands fill in out_next (the first address not yet worked on) and
 * their counts also when they fail or are interrupted half way.
 */
#ifndef _UAPI_LINUX_PTEFAULT_H
#define _UAPI_LINUX_PTEFAULT_H

#include <linux/ioctl.h>
#include <linux/types.h>

#define PTF_IOC_TYPE	0xF7

/* Bumped only when something old would change its meaning; additions don't. */
#define PTF_API_VERSION	1

#define PTF_IOC_FEATURES_GET	_IO(PTF_IOC_TYPE, 0x00)
#define PTF_IOC_TARGET_OPEN	_IO(PTF_IOC_TYPE, 0x01)
#define PTF_IOC_TARGET_CLOSE	_IO(PTF_IOC_TYPE, 0x02)
#define PTF_IOC_SESSION_STAT	_IO(PTF_IOC_TYPE, 0x03)
#define PTF_IOC_RANGE_QUERY	_IO(PTF_IOC_TYPE, 0x10)
#define PTF_IOC_PAGE_WALK	_IO(PTF_IOC_TYPE, 0x11)
#define PTF_IOC_RANGE_ADVISE	_IO(PTF_IOC_TYPE, 0x12)
#define PTF_IOC_RANGE_FAULT	_IO(PTF_IOC_TYPE, 0x13)
#define PTF_IOC_FILE_QUERY	_IO(PTF_IOC_TYPE, 0x20)
#define PTF_IOC_FILE_MAPPERS	_IO(PTF_IOC_TYPE, 0x21)
#define PTF_IOC_FILE_ADVISE	_IO(PTF_IOC_TYPE, 0x22)
#define PTF_IOC_TRACK_START	_IO(PTF_IOC_TYPE, 0x30)
#define PTF_IOC_TRACK_READ	_IO(PTF_IOC_TYPE, 0x31)
#define PTF_IOC_TRACK_STOP	_IO(PTF_IOC_TYPE, 0x32)
#define PTF_IOC_RULE_ADD	_IO(PTF_IOC_TYPE, 0x40)
#define PTF_IOC_RULE_SET	_IO(PTF_IOC_TYPE, 0x41)
#define PTF_IOC_RULE_DELETE	_IO(PTF_IOC_TYPE, 0x42)
#define PTF_IOC_RULE_LIST	_IO(PTF_IOC_TYPE, 0x43)
#define PTF_IOC_RULE_ARM	_IO(PTF_IOC_TYPE, 0x44)
#define PTF_IOC_HELD_ANSWER	_IO(PTF_IOC_TYPE, 0x48)

/* ------------------------------------------------------------------ */
/* Features: what this module on this kernel can do                    */

#define PTF_FEATURE_QUERY	(1ULL << 0)	/* RANGE_QUERY, PAGE_WALK */
#define PTF_FEATURE_FILEMAP	(1ULL << 1)	/* FILE_QUERY */
#define PTF_FEATURE_HINT	(1ULL << 2)	/* NOTPRESENT, PRESENT */
#define PTF_FEATURE_HOOK	(1ULL << 3)	/* the fault hook can be set */
#define PTF_FEATURE_STASH	(1ULL << 4)	/* STASH */
#define PTF_FEATURE_GUP		(1ULL << 5)	/* PTF_ADVISE_F_GUP */
#define PTF_FEATURE_FAULT	(1ULL << 6)	/* RANGE_FAULT */
#define PTF_FEATURE_TRACK	(1ULL << 7)	/* TRACK_* */
#define PTF_FEATURE_MAPPERS	(1ULL << 8)	/* FILE_MAPPERS */
#define PTF_FEATURE_RULE	(1ULL << 9)	/* RULE_*, events, held faults */
#define PTF_FEATURE_STEP	(1ULL << 10)	/* STICKY: every fetch */
#define PTF_FEATURE_NETLINK	(1ULL << 11)	/* the generic-netlink family */
#define PTF_FEATURE_FILE_ADVISE	(1ULL << 12)	/* FILE_ADVISE */

/* How translations are flushed on all CPUs (out_flush). */
#define PTF_FLUSH_CR4		1	/* CR4.PGE toggled */
#define PTF_FLUSH_INVPCID	2	/* INVPCID, all contexts */
#define PTF_FLUSH_RANGE		3	/* by address range */

/**
 * struct ptf_ioc_features_get - ioctl(PTF_IOC_FEATURES_GET)
 * @size: sizeof(struct ptf_ioc_features_get)
 * @flags: must be 0
 * @required: PTF_FEATURE_* bits without which the caller can't go on; if one
 *	is missing the answer is EOPNOTSUPP, with all out_ fields filled in
 * @out_features: PTF_FEATURE_* bits of this module on this kernel
 * @out_advice: bit n is set if advice PTF_ADV_BASE + n can be served here
 * @out_api: PTF_API_VERSION of the module
 * @out_page_shift: log2 of the page size in bytes
 * @out_levels: levels of the page tables in use, 4 or 5
 * @out_flush: PTF_FLUSH_*
 * @out_nr_nodes: NUMA nodes online; a heal may move a frame if more than one
 * @out_privileged: 1 if frame numbers are shown (the opener had CAP_SYS_ADMIN)
 */
struct ptf_ioc_features_get {
	__u32 size;
	__u32 flags;
	__aligned_u64 required;
	__aligned_u64 out_features;
	__aligned_u64 out_advice;
	__u32 out_api;
	__u32 out_page_shift;
	__u32 out_levels;
	__u32 out_flush;
	__u32 out_nr_nodes;
	__u32 out_privileged;
};

/* ------------------------------------------------------------------ */
/* Targets: address spaces that this session acts on                   */

/* The target that is always there: the address space that opened the fd. */
#define PTF_TARGET_SELF		0

/**
 * struct ptf_ioc_target_open - ioctl(PTF_IOC_TARGET_OPEN)
 * @size: sizeof(struct ptf_ioc_target_open)
 * @flags: must be 0
 * @pid: process or thread, in the caller's pid namespace. Allowed: the
 *	caller's own, any if the caller has CAP_SYS_PTRACE over the user
 *	namespace of its address space
 * @out_target: number of the target in this session; the same address space
 *	opened twice gives the same number, counted
 *
 * The target is an address space, not a process: after exec or exit of the
 * process every command on it answers ESRCH, whoever has the pid then.
 *
 * Errors: ESRCH no such process, a zombie, a kernel thread; EPERM; ENOSPC too
 * many targets in this session.
 */
struct ptf_ioc_target_open {
	__u32 size;
	__u32 flags;
	__s32 pid;
	__u32 out_target;
};

/**
 * struct ptf_ioc_target_close - ioctl(PTF_IOC_TARGET_CLOSE)
 * @size: sizeof(struct ptf_ioc_target_close)
 * @flags: must be 0
 * @target: from PTF_IOC_TARGET_OPEN, not PTF_TARGET_SELF
 * @reserved: must be 0
 *
 * The last close of a target undoes what the session remembers of it.
 */
struct ptf_ioc_target_close {
	__u32 size;
	__u32 flags;
	__u32 target;
	__u32 reserved;
};

/**
 * struct ptf_ioc_session_stat - ioctl(PTF_IOC_SESSION_STAT)
 * @size: sizeof(struct ptf_ioc_session_stat)
 * @flags: must be 0
 * @out_sessions: sessions open on the machine
 * @out_targets: targets open in this session
 * @out_cleared_pages: entries that this session made not present, ever
 * @out_healed_pages: hints that the module itself made present again on a
 *	fault, in the address spaces that this session has armed
 * @out_stashed_pages: entries that this session holds now
 * @out_stashed_total: entries that this session ever took away
 * @out_rules: rules in this session
 * @out_rule_hits: faults that a rule of this session answered
 * @out_events_queued: events waiting to be read
 * @out_events_lost: events that found the queue full
 * @out_held: threads that wait for this session's answer
 * @out_hooked: 1 while the fault hook is set, for whatever session
 * @out_flushes: TLB flushes of all CPUs since the module was loaded
 * @out_sticky_hits: accesses that faulted on pages that are STICKY
 * @out_armed: 1 while the session's rules are armed
 * @reserved: 0
 */
struct ptf_ioc_session_stat {
	__u32 size;
	__u32 flags;
	__u32 out_sessions;
	__u32 out_targets;
	__aligned_u64 out_cleared_pages;
	__aligned_u64 out_healed_pages;
	__aligned_u64 out_stashed_pages;
	__aligned_u64 out_stashed_total;
	__aligned_u64 out_rules;
	__aligned_u64 out_rule_hits;
	__aligned_u64 out_events_queued;
	__aligned_u64 out_events_lost;
	__u32 out_held;
	__u32 out_hooked;
	__aligned_u64 out_flushes;
	__aligned_u64 out_sticky_hits;
	__u32 out_armed;
	__u32 reserved;
};

/* ------------------------------------------------------------------ */
/* The report: VMA, filemap and PTE rows                               */

/* What the VMA is; a stable subset of the kernel's VM_ flags. */
#define PTF_VMA_READ		(1ULL << 0)
#define PTF_VMA_WRITE		(1ULL << 1)
#define PTF_VMA_EXEC		(1ULL << 2)
#define PTF_VMA_SHARED		(1ULL << 3)
#define PTF_VMA_MAYSHARE	(1ULL << 4)
#define PTF_VMA_GROWSDOWN	(1ULL << 5)
#define PTF_VMA_LOCKED		(1ULL << 6)
#define PTF_VMA_PFNMAP		(1ULL << 7)
#define PTF_VMA_IO		(1ULL << 8)
#define PTF_VMA_HUGETLB		(1ULL << 9)
#define PTF_VMA_SPECIAL		(1ULL << 10)	/* vdso, vvar and the like */
#define PTF_VMA_SECRETMEM	(1ULL << 11)
#define PTF_VMA_DONTCOPY	(1ULL << 12)
#define PTF_VMA_DONTDUMP	(1ULL << 13)
#define PTF_VMA_WIPEONFORK	(1ULL << 14)
#define PTF_VMA_MERGEABLE	(1ULL << 15)
#define PTF_VMA_HUGEPAGE	(1ULL << 16)
#define PTF_VMA_NOHUGEPAGE	(1ULL << 17)
#define PTF_VMA_UFFD		(1ULL << 18)
#define PTF_VMA_STACK		(1ULL << 19)	/* the main thread's stack */
#define PTF_VMA_HEAP		(1ULL << 20)	/* brk */
#define PTF_VMA_FILE		(1ULL << 21)	/* has a file behind it */
#define PTF_VMA_SHMEM		(1ULL << 22)	/* tmpfs, memfd, SysV, shared anonymous */
#define PTF_VMA_SEQ_READ	(1ULL << 23)
#define PTF_VMA_RAND_READ	(1ULL << 24)
#define PTF_VMA_NORESERVE	(1ULL << 25)
#define PTF_VMA_MIXEDMAP	(1ULL << 26)
#define PTF_VMA_SOFTDIRTY	(1ULL << 27)
#define PTF_VMA_SHADOW_STACK	(1ULL << 28)
#define PTF_VMA_LOCKONFAULT	(1ULL << 29)
#define PTF_VMA_DEVICE		(1ULL << 30)	/* mapping of this session's fd */

/**
 * struct ptf_vma - one VMA row
 * @start: first address
 * @end: first address behind
 * @flags: PTF_VMA_*
 * @offset: offset in the file in bytes of @start; 0 where no file
 * @ino: inode number, 0 where no file
 * @dev_major: device of the file system, as stat(2) has it
 * @dev_minor: device of the file system
 * @name_off: where its name begins in the names buffer
 * @name_len: bytes of the name without a closing NUL; 0 no name, or no room
 */
struct ptf_vma {
	__aligned_u64 start;
	__aligned_u64 end;
	__aligned_u64 flags;
	__aligned_u64 offset;
	__aligned_u64 ino;
	__u32 dev_major;
	__u32 dev_minor;
	__u32 name_off;
	__u32 name_len;
};

/* State of the entry that the CPU finds (ptf_row.state). */
#define PTF_STATE_NONE		0	/* nothing there */
#define PTF_STATE_PRESENT	1	/* mapped */
#define PTF_STATE_HINT		2	/* present bit off, page and frame kept */
#define PTF_STATE_PROTNONE	3	/* the mapping itself forbids access */
#define PTF_STATE_STASHED	4	/* taken away and kept by a session */
#define PTF_STATE_SWAP		5	/* swap type and offset */
#define PTF_STATE_MIGRATION	6
#define PTF_STATE_HWPOISON	7
#define PTF_STATE_DEVICE	8	/* device private or exclusive */
#define PTF_STATE_GUARD		9	/* MADV_GUARD_INSTALL */
#define PTF_STATE_MARKER	10	/* any other PTE marker */

/* Kind of what is mapped, or would be (ptf_row.kind). */
#define PTF_KIND_NONE		0
#define PTF_KIND_ANON		1	/* anonymous, a private copy included */
#define PTF_KIND_FILE		2
#define PTF_KIND_SHMEM		3
#define PTF_KIND_ZERO		4	/* the shared zero page */
#define PTF_KIND_KSM		5
#define PTF_KIND_SPECIAL	6	/* no struct page that core mm minds */
#define PTF_KIND_THP		7	/* mapped by a PMD or PUD leaf */
#define PTF_KIND_HUGETLB	8

/* The filemap row (ptf_row.file_state, ptf_file_row.state). */
#define PTF_FILEMAP_NONE	0	/* no file, or no page at this index */
#define PTF_FILEMAP_PRESENT	1	/* a page is in the page cache */
#define PTF_FILEMAP_SHADOW	2	/* it was, and was evicted */
#define PTF_FILEMAP_SWAP	3	/* shmem: out in swap */
#define PTF_FILEMAP_DAX		4	/* DAX value entry */

/* Bits of ptf_row.flags: the entry's own ... */
#define PTF_ROW_WRITE		(1ULL << 0)
#define PTF_ROW_DIRTY		(1ULL << 1)
#define PTF_ROW_YOUNG		(1ULL << 2)
#define PTF_ROW_EXEC		(1ULL << 3)
#define PTF_ROW_USER		(1ULL << 4)
#define PTF_ROW_SOFT_DIRTY	(1ULL << 5)
#define PTF_ROW_UFFD_WP		(1ULL << 6)
#define PTF_ROW_SPECIAL		(1ULL << 7)
#define PTF_ROW_EXCLUSIVE	(1ULL << 8)	/* anonymous, ours alone */
#define PTF_ROW_COPIED		(1ULL << 9)	/* private copy of a file page */
#define PTF_ROW_STICKY		(1ULL << 10)	/* cleared again on each access */
#define PTF_ROW_TRACKED		(1ULL << 11)	/* write tracking covers it */
/* ... and those of the folio behind it (the same in ptf_file_row.flags). */
#define PTF_FOLIO_LARGE		(1ULL << 32)
#define PTF_FOLIO_LOCKED	(1ULL << 33)
#define PTF_FOLIO_REFERENCED	(1ULL << 34)
#define PTF_FOLIO_UPTODATE	(1ULL << 35)
#define PTF_FOLIO_DIRTY		(1ULL << 36)
#define PTF_FOLIO_LRU		(1ULL << 37)
#define PTF_FOLIO_ACTIVE	(1ULL << 38)
#define PTF_FOLIO_WRITEBACK	(1ULL << 39)
#define PTF_FOLIO_RECLAIM	(1ULL << 40)
#define PTF_FOLIO_SWAPBACKED	(1ULL << 41)
#define PTF_FOLIO_SWAPCACHE	(1ULL << 42)
#define PTF_FOLIO_UNEVICTABLE	(1ULL << 43)
#define PTF_FOLIO_MLOCKED	(1ULL << 44)
#define PTF_FOLIO_HWPOISON	(1ULL << 45)
#define PTF_FOLIO_IDLE		(1ULL << 46)
#define PTF_FOLIO_PINNED	(1ULL << 47)	/* maybe pinned for DMA */
#define PTF_FOLIO_WORKINGSET	(1ULL << 48)

/* ptf_row.vma where the row lies in no VMA. */
#define PTF_VMA_NONE		0xffffffffU

/**
 * struct ptf_row - one run of equal pages
 * @start: address of the first page
 * @nr_pages: pages in the run; frames and file pages count up along it
 * @pte: raw entry of the first page; its frame bits are 0 without CAP_SYS_ADMIN
 * @pte_pfn: STATE_PRESENT, HINT, PROTNONE, STASHED, MIGRATION, DEVICE,
 *	HWPOISON: frame number (0 without CAP_SYS_ADMIN); STATE_SWAP: offset in
 *	the swap area (0 without CAP_SYS_ADMIN)
 * @file_pfn: frame of the filemap row's first page (0 without CAP_SYS_ADMIN)
 * @flags: PTF_ROW_* and PTF_FOLIO_*
 * @vma: index of its VMA among this call's, or PTF_VMA_NONE for a hole
 * @mapcount: how many entries map the page, as far as the kernel counts it
 * @state: PTF_STATE_*
 * @kind: PTF_KIND_*
 * @level: 0 an entry of a last-level table, 1 PMD, 2 PUD leaf
 * @order: log2 of the pages in the folio that is mapped
 * @file_state: PTF_FILEMAP_*
 * @file_order: log2 of the pages in the filemap row's folio
 * @swap_type: number of the swap area for STATE_SWAP
 * @reserved: 0
 */
struct ptf_row {
	__aligned_u64 start;
	__aligned_u64 nr_pages;
	__aligned_u64 pte;
	__aligned_u64 pte_pfn;
	__aligned_u64 file_pfn;
	__aligned_u64 flags;
	__u32 vma;
	__u32 mapcount;
	__u8 state;
	__u8 kind;
	__u8 level;
	__u8 order;
	__u8 file_state;
	__u8 file_order;
	__u8 swap_type;
	__u8 reserved;
};

#define PTF_QUERY_F_PAGES	(1U << 0)	/* a row for each page, no runs */
#define PTF_QUERY_F_HOLES	(1U << 1)	/* rows for holes too */
#define PTF_QUERY_F_MAPPED	(1U << 2)	/* leave out where both entry and
						 * filemap are empty
						 */

/**
 * struct ptf_ioc_range_query - ioctl(PTF_IOC_RANGE_QUERY)
 * @size: sizeof(struct ptf_ioc_range_query)
 * @flags: PTF_QUERY_F_*
 * @target: PTF_TARGET_SELF or from PTF_IOC_TARGET_OPEN
 * @row_size: sizeof(struct ptf_row) that the caller knows, the stride of @rows
 * @start: first address, page-aligned
 * @end: first address behind, page-aligned
 * @rows: pointer to an array of struct ptf_row
 * @nr_rows: its length, at least 1
 * @vmas: pointer to an array of struct ptf_vma, may be 0
 * @nr_vmas: its length
 * @vma_size: sizeof(struct ptf_vma) that the caller knows, the stride of @vmas
 * @names: pointer to a buffer for names of VMAs, may be 0
 * @names_size: its length in bytes
 * @out_rows: rows filled in
 * @out_next: first address not reported; == @end when all is done. Call
 *	again with it as @start: a full buffer is no error
 * @out_vmas: VMA rows filled in; a call stops early when @vmas is full
 * @out_names: bytes of @names used
 */
struct ptf_ioc_range_query {
	__u32 size;
	__u32 flags;
	__u32 target;
	__u32 row_size;
	__aligned_u64 start;
	__aligned_u64 end;
	__aligned_u64 rows;
	__aligned_u64 nr_rows;
	__aligned_u64 vmas;
	__u32 nr_vmas;
	__u32 vma_size;
	__aligned_u64 names;
	__u32 names_size;
	__u32 reserved;
	__aligned_u64 out_next;
	__aligned_u64 out_rows;
	__u32 out_vmas;
	__u32 out_names;
};

/* Bits of ptf_level.flags */
#define PTF_LEVEL_PRESENT	(1U << 0)
#define PTF_LEVEL_WRITE		(1U << 1)
#define PTF_LEVEL_USER		(1U << 2)
#define PTF_LEVEL_ACCESSED	(1U << 3)
#define PTF_LEVEL_DIRTY		(1U << 4)
#define PTF_LEVEL_LEAF		(1U << 5)	/* maps memory itself */
#define PTF_LEVEL_NX		(1U << 6)
#define PTF_LEVEL_GLOBAL	(1U << 7)
#define PTF_LEVEL_PWT		(1U << 8)
#define PTF_LEVEL_PCD		(1U << 9)
#define PTF_LEVEL_SOFT_DIRTY	(1U << 10)
#define PTF_LEVEL_UFFD_WP	(1U << 11)
#define PTF_LEVEL_SPECIAL	(1U << 12)
#define PTF_LEVEL_BAD		(1U << 13)	/* the kernel calls it bad */
#define PTF_LEVEL_ENCRYPTED	(1U << 14)

#define PTF_LEVEL_PTE		0
#define PTF_LEVEL_PMD		1
#define PTF_LEVEL_PUD		2
#define PTF_LEVEL_P4D		3
#define PTF_LEVEL_PGD		4
#define PTF_LEVEL_NR		5

/**
 * struct ptf_level - one level of a page-table walk
 * @raw: the entry as it stands in memory, frame bits 0 without CAP_SYS_ADMIN
 * @pfn: frame of the next table or, for a leaf, of the memory; 0 without
 *	CAP_SYS_ADMIN or where the entry holds none
 * @flags: PTF_LEVEL_*
 * @index: which entry of its table
 * @level: PTF_LEVEL_PTE to PTF_LEVEL_PGD
 * @state: PTF_STATE_*
 * @reserved: 0
 */
struct ptf_level {
	__aligned_u64 raw;
	__aligned_u64 pfn;
	__u32 flags;
	__u16 index;
	__u8 level;
	__u8 state;
};

/**
 * struct ptf_ioc_page_walk - ioctl(PTF_IOC_PAGE_WALK)
 * @size: sizeof(struct ptf_ioc_page_walk)
 * @flags: must be 0
 * @target: PTF_TARGET_SELF or from PTF_IOC_TARGET_OPEN
 * @reserved: must be 0
 * @addr: any user address, need not be aligned
 * @out_nr: levels filled in, from the top; the last is where the walk ended
 * @out_levels: levels of page tables in use, 4 or 5
 * @out_row: the page's row, as PTF_IOC_RANGE_QUERY has it (vma is
 *	PTF_VMA_NONE in a hole and 0 otherwise)
 * @out_vma: its VMA, without a name
 * @level: the entries, top level first
 */
struct ptf_ioc_page_walk {
	__u32 size;
	__u32 flags;
	__u32 target;
	__u32 reserved;
	__aligned_u64 addr;
	__u32 out_nr;
	__u32 out_levels;
	struct ptf_row out_row;
	struct ptf_vma out_vma;
	struct ptf_level level[PTF_LEVEL_NR];
};

/* ------------------------------------------------------------------ */
/* Advice                                                              */

/*
 * The module's own advice values stand behind all MADV_* values, so that one
 * call of the library takes both.
 */
#define PTF_ADV_BASE		0x7000
#define PTF_ADV_NOTPRESENT	(PTF_ADV_BASE + 1)
#define PTF_ADV_PRESENT		(PTF_ADV_BASE + 2)
#define PTF_ADV_STASH		(PTF_ADV_BASE + 3)
#define PTF_ADV_STICKY		(PTF_ADV_BASE + 4)
#define PTF_ADV_WRPROTECT	(PTF_ADV_BASE + 5)
#define PTF_ADV_WRUNPROTECT	(PTF_ADV_BASE + 6)
#define PTF_ADV_OLD		(PTF_ADV_BASE + 7)
#define PTF_ADV_CLEAN		(PTF_ADV_BASE + 8)
#define PTF_ADV_UNMAP_FILE	(PTF_ADV_BASE + 9)
#define PTF_ADV_UNMAP_FILE_COW	(PTF_ADV_BASE + 10)
#define PTF_ADV_ZAP		(PTF_ADV_BASE + 11)
#define PTF_ADV_EVICT		(PTF_ADV_BASE + 12)
#define PTF_ADV_SWAPOUT		(PTF_ADV_BASE + 13)
#define PTF_ADV_MIGRATE		(PTF_ADV_BASE + 14)
#define PTF_ADV_UNSHARE		(PTF_ADV_BASE + 15)
#define PTF_ADV_SPLIT		(PTF_ADV_BASE + 16)
#define PTF_ADV_POISON		(PTF_ADV_BASE + 17)
#define PTF_ADV_UNPOISON	(PTF_ADV_BASE + 18)
#define PTF_ADV_RESET		(PTF_ADV_BASE + 19)
#define PTF_ADV_LAST		PTF_ADV_RESET

/*
 * Why pages of a range were left alone: indices of out_skipped_pages, and the
 * errno that each answers with PTF_ADVISE_F_STRICT, or where all of a range
 * was left alone for it.
 */
enum ptf_skip {
	PTF_SKIP_HOLE,		/* no VMA there: ENOMEM */
	PTF_SKIP_EMPTY,		/* VMA, but no page mapped there: ENODATA */
	PTF_SKIP_PROTNONE,	/* PROT_NONE mapping: EOPNOTSUPP */
	PTF_SKIP_SPECIAL,	/* VM_PFNMAP, VM_IO, vdso, vvar: EOPNOTSUPP */
	PTF_SKIP_HUGETLB,	/* EOPNOTSUPP */
	PTF_SKIP_SECRETMEM,	/* EOPNOTSUPP */
	PTF_SKIP_PINNED,	/* pinned for DMA: EBUSY */
	PTF_SKIP_BUSY,		/* locked, under writeback, or a race lost: EBUSY */
	PTF_SKIP_SWAPPED,	/* swap, migration or device entry: EBUSY */
	PTF_SKIP_THP,		/* a PMD leaf and no flag says how: EOPNOTSUPP */
	PTF_SKIP_KIND,		/* kind of page the advice has no meaning for: EOPNOTSUPP */
	PTF_SKIP_FOREIGN,	/* userfaultfd's, another session's, or kept closed by
				 * STICKY or POISON: EBUSY
				 */
	PTF_SKIP_NOSPACE,	/* no swap, no memory to move to: ENOSPC */
	PTF_SKIP_READONLY,	/* read-only mapping, or another's file: EACCES */
	PTF_SKIP_NR = 16
};

#define PTF_ADVISE_F_STRICT	(1U << 0)	/* all of it or nothing */
#define PTF_ADVISE_F_GUP	(1U << 1)	/* kernel-mode users fault too */
#define PTF_ADVISE_F_PMD	(1U << 2)	/* a PMD leaf as a whole */
#define PTF_ADVISE_F_SPLIT	(1U << 3)	/* split a PMD leaf first */
#define PTF_ADVISE_F_ONESHOT	(1U << 4)	/* leave nothing to the session: a
						 * hint that the kernel itself heals
						 */

/**
 * struct ptf_ioc_range_advise - ioctl(PTF_IOC_RANGE_ADVISE)
 * @size: sizeof(struct ptf_ioc_range_advise)
 * @flags: PTF_ADVISE_F_*
 * @target: PTF_TARGET_SELF or from PTF_IOC_TARGET_OPEN
 * @advice: PTF_ADV_*
 * @start: first address, page-aligned
 * @end: first address behind, page-aligned; the whole address space is allowed
 * @arg: must be 0
 * @out_next: first address not worked on; == @end when all is done
 * @out_done_pages: pages changed
 * @out_same_pages: pages that were so already
 * @out_large_pages: of the pages changed, those whose fault may not be exact:
 *	in a large folio the kernel may heal neighbours with the first fault,
 *	with several NUMA nodes it may move the frame. 0 while this session
 *	heals itself (it does, but with PTF_ADVISE_F_ONESHOT or where the fault
 *	handler can't be hooked)
 * @out_flushes: TLB flushes of all CPUs that it took
 * @out_skipped_pages: pages left alone, by enum ptf_skip
 *
 * With PTF_ADVISE_F_STRICT the first page that can't be served is an errno and
 * nothing is changed; out_next is its address. What the target changes between
 * the look and the edit is skipped, counted, and answers its errno too. A range
 * in which nothing at all could be done answers the errno of its first skipped
 * page also without it.
 *
 * PTF_ADV_PRESENT puts back what other sessions have taken, too, but opens no page
 * that is STICKY or poisoned: RESET and UNPOISON of the session that made it so end
 * that. PTF_ADV_UNPOISON leaves alone what another session has poisoned or stashed.
 * PTF_ADV_RESET concerns all of the target, whatever the range.
 *
 * UNMAP_FILE, UNMAP_FILE_COW and EVICT concern all who map the file: who may not
 * write it, and has no CAP_SYS_ADMIN, gets EACCES. WRPROTECT, WRUNPROTECT, OLD and
 * CLEAN have no meaning for a hint, and a hint does not keep what they did: whoever
 * heals it decides anew.
 */
struct ptf_ioc_range_advise {
	__u32 size;
	__u32 flags;
	__u32 target;
	__u32 advice;
	__aligned_u64 start;
	__aligned_u64 end;
	__aligned_u64 arg;
	__aligned_u64 out_next;
	__aligned_u64 out_done_pages;
	__aligned_u64 out_same_pages;
	__aligned_u64 out_large_pages;
	__aligned_u64 out_flushes;
	__aligned_u64 out_skipped_pages[PTF_SKIP_NR];
};

/* Access kinds, for PTF_IOC_RANGE_FAULT and rules */
#define PTF_ACCESS_READ		(1U << 0)
#define PTF_ACCESS_WRITE	(1U << 1)
#define PTF_ACCESS_EXEC		(1U << 2)

#define PTF_FAULT_F_USER	(1U << 0)	/* as an access from user mode */
#define PTF_FAULT_F_STOP	(1U << 1)	/* stop at the first failure */

/* What the fault handler answered for a page (ptf_ioc_range_fault.results). */
#define PTF_FAULTED_MINOR	1
#define PTF_FAULTED_MAJOR	2
#define PTF_FAULTED_RETRY	3	/* it kept asking for another try */
#define PTF_FAULTED_SIGBUS	4
#define PTF_FAULTED_SIGSEGV	5
#define PTF_FAULTED_HWPOISON	6
#define PTF_FAULTED_OOM		7
#define PTF_FAULTED_HOLE	8	/* no VMA */
#define PTF_FAULTED_ACCESS	9	/* the VMA forbids this access */
#define PTF_FAULTED_OTHER	10

/**
 * struct ptf_ioc_range_fault - ioctl(PTF_IOC_RANGE_FAULT)
 * @size: sizeof(struct ptf_ioc_range_fault)
 * @flags: PTF_FAULT_F_*
 * @target: PTF_TARGET_SELF or from PTF_IOC_TARGET_OPEN
 * @access: exactly one PTF_ACCESS_* bit
 * @start: first address, page-aligned
 * @end: first address behind, page-aligned
 * @results: pointer to one byte for each page, PTF_FAULTED_*; may be 0
 * @out_next: first address not driven
 * @out_minor: pages whose fault was minor
 * @out_major: pages whose fault was major
 * @out_failed: pages that did not fault in
 */
struct ptf_ioc_range_fault {
	__u32 size;
	__u32 flags;
	__u32 target;
	__u32 access;
	__aligned_u64 start;
	__aligned_u64 end;
	__aligned_u64 results;
	__aligned_u64 out_next;
	__aligned_u64 out_minor;
	__aligned_u64 out_major;
	__aligned_u64 out_failed;
};

/* ------------------------------------------------------------------ */
/* The file side                                                       */

/**
 * struct ptf_file_row - one run of equal pages of a file
 * @index: page index of the first page
 * @nr_pages: pages in the run
 * @pfn: frame of the first page (0 without CAP_SYS_ADMIN)
 * @flags: PTF_FOLIO_*
 * @mapcount: how many entries map the page, as far as the kernel counts it
 * @state: PTF_FILEMAP_*
 * @order: log2 of the pages in the folio
 * @reserved: 0
 */
struct ptf_file_row {
	__aligned_u64 index;
	__aligned_u64 nr_pages;
	__aligned_u64 pfn;
	__aligned_u64 flags;
	__u32 mapcount;
	__u8 state;
	__u8 order;
	__u8 reserved[2];
};

/**
 * struct ptf_ioc_file_query - ioctl(PTF_IOC_FILE_QUERY)
 * @size: sizeof(struct ptf_ioc_file_query)
 * @flags: PTF_QUERY_F_PAGES, PTF_QUERY_F_MAPPED (leave out absent pages)
 * @fd: a regular file, memfd, or block device, open for reading
 * @row_size: sizeof(struct ptf_file_row) that the caller knows
 * @start: first byte, page-aligned
 * @end: first byte behind, page-aligned; ~0ULL with the low bits clear: all.
 *	What lies behind the end of the file and of its cache is not reported
 * @rows: pointer to an array of struct ptf_file_row
 * @nr_rows: its length, at least 1
 * @out_next: first byte not reported
 * @out_rows: rows filled in
 * @out_bytes: size of the file
 * @out_cached_pages: pages that the file has in the cache altogether
 *
 * Errors: EBADF not an open fd, or not open for reading; ENODEV a file
 * without a page cache (pipe, directory, device); EOPNOTSUPP hugetlbfs.
 */
struct ptf_ioc_file_query {
	__u32 size;
	__u32 flags;
	__s32 fd;
	__u32 row_size;
	__aligned_u64 start;
	__aligned_u64 end;
	__aligned_u64 rows;
	__aligned_u64 nr_rows;
	__aligned_u64 out_next;
	__aligned_u64 out_rows;
	__aligned_u64 out_bytes;
	__aligned_u64 out_cached_pages;
};

/**
 * struct ptf_mapper - one place where a file range is mapped
 * @pid: process that has the address space, in the caller's pid namespace; 0
 *	if it can't be seen from there
 * @reserved: 0
 * @start: first address of the part that maps the range
 * @end: first address behind
 * @offset: offset in the file of @start, in bytes
 * @flags: PTF_VMA_*
 * @mapped_pages: entries of it that map something now
 * @copied_pages: of them, private copies
 */
struct ptf_mapper {
	__s32 pid;
	__u32 reserved;
	__aligned_u64 start;
	__aligned_u64 end;
	__aligned_u64 offset;
	__aligned_u64 flags;
	__aligned_u64 mapped_pages;
	__aligned_u64 copied_pages;
};

/**
 * struct ptf_ioc_file_mappers - ioctl(PTF_IOC_FILE_MAPPERS)
 * @size: sizeof(struct ptf_ioc_file_mappers)
 * @flags: must be 0
 * @fd: a file, open for reading
 * @row_size: sizeof(struct ptf_mapper) that the caller knows
 * @start: first byte, page-aligned
 * @end: first byte behind, page-aligned
 * @rows: pointer to an array of struct ptf_mapper
 * @nr_rows: its length
 * @out_rows: rows filled in
 * @out_total: mappings there are; more than @out_rows if the array is short
 *
 * Shown are the address spaces that the session has a right to, the others
 * are only counted in @out_total.
 */
struct ptf_ioc_file_mappers {
	__u32 size;
	__u32 flags;
	__s32 fd;
	__u32 row_size;
	__aligned_u64 start;
	__aligned_u64 end;
	__aligned_u64 rows;
	__aligned_u64 nr_rows;
	__aligned_u64 out_rows;
	__aligned_u64 out_total;
};

/**
 * struct ptf_ioc_file_advise - ioctl(PTF_IOC_FILE_ADVISE)
 * @size: sizeof(struct ptf_ioc_file_advise)
 * @flags: must be 0: a file is worked on page by page, and can't be all or nothing
 * @fd: a file, open for writing (what changes translations of others)
 * @advice: PTF_ADV_UNMAP_FILE, PTF_ADV_UNMAP_FILE_COW, PTF_ADV_EVICT
 * @start: first byte, page-aligned
 * @end: first byte behind, page-aligned
 * @out_done_pages: pages no longer mapped or cached
 * @out_skipped_pages: pages left alone, by enum ptf_skip
 *
 * Of a large folio that reaches beyond the range kernels from 6.10 on don't say
 * whether the part inside is mapped: that part counts as done if anything of the
 * folio was unmapped.
 *
 * Errors: ENODATA nothing of the range was cached or mapped; EBUSY all that was
 * still is.
 */
struct ptf_ioc_file_advise {
	__u32 size;
	__u32 flags;
	__s32 fd;
	__u32 advice;
	__aligned_u64 start;
	__aligned_u64 end;
	__aligned_u64 out_done_pages;
	__aligned_u64 out_skipped_pages[PTF_SKIP_NR];
};

/* ------------------------------------------------------------------ */
/* Write tracking                                                      */

/* Whatever is writable in the range, but not the stacks of its threads. */
#define PTF_TRACK_F_NOSTACK	(1U << 0)
/* TRACK_READ: what is reported counts as not written from now on. */
#define PTF_TRACK_F_TAKE	(1U << 1)

/**
 * struct ptf_ioc_track_start - ioctl(PTF_IOC_TRACK_START)
 * @size: sizeof(struct ptf_ioc_track_start)
 * @flags: PTF_TRACK_F_NOSTACK
 * @target: PTF_TARGET_SELF or from PTF_IOC_TARGET_OPEN
 * @reserved: must be 0
 * @start: first address, page-aligned
 * @end: first address behind, page-aligned; the whole address space is allowed
 * @out_pages: pages in the range that are tracked from now on, mapped or not
 * @out_skipped_pages: pages that can't be, by enum ptf_skip
 *
 * From the return on, each page of the range that a CPU writes to is found by
 * PTF_IOC_TRACK_READ. Writes of devices through pins that are older than this
 * call are not seen. A target tracks one set of pages; a second call adds.
 *
 * Errors: EBUSY another session tracks this address space.
 */
struct ptf_ioc_track_start {
	__u32 size;
	__u32 flags;
	__u32 target;
	__u32 reserved;
	__aligned_u64 start;
	__aligned_u64 end;
	__aligned_u64 out_pages;
	__aligned_u64 out_skipped_pages[PTF_SKIP_NR];
};

/**
 * struct ptf_range - addresses
 * @start: first address
 * @end: first address behind
 */
struct ptf_range {
	__aligned_u64 start;
	__aligned_u64 end;
};

/**
 * struct ptf_ioc_track_read - ioctl(PTF_IOC_TRACK_READ)
 * @size: sizeof(struct ptf_ioc_track_read)
 * @flags: PTF_TRACK_F_TAKE
 * @target: PTF_TARGET_SELF or from PTF_IOC_TARGET_OPEN
 * @reserved: must be 0
 * @start: first address, page-aligned
 * @end: first address behind, page-aligned
 * @ranges: pointer to an array of struct ptf_range
 * @nr_ranges: its length, at least 1
 * @out_next: first address not looked at; == @end when all is done
 * @out_ranges: ranges filled in: runs of pages that were written
 * @out_pages: pages in them
 *
 * Errors: ENOENT nothing is tracked.
 */
struct ptf_ioc_track_read {
	__u32 size;
	__u32 flags;
	__u32 target;
	__u32 reserved;
	__aligned_u64 start;
	__aligned_u64 end;
	__aligned_u64 ranges;
	__aligned_u64 nr_ranges;
	__aligned_u64 out_next;
	__aligned_u64 out_ranges;
	__aligned_u64 out_pages;
};

/**
 * struct ptf_ioc_track_stop - ioctl(PTF_IOC_TRACK_STOP)
 * @size: sizeof(struct ptf_ioc_track_stop)
 * @flags: must be 0
 * @target: PTF_TARGET_SELF or from PTF_IOC_TARGET_OPEN
 * @reserved: must be 0
 *
 * Errors: ENOENT nothing is tracked.
 */
struct ptf_ioc_track_stop {
	__u32 size;
	__u32 flags;
	__u32 target;
	__u32 reserved;
};

/* ------------------------------------------------------------------ */
/* Rules: what a fault answers                                         */

/* Who made the access (ptf_rule.origin, ptf_event.origin). */
#define PTF_ORIGIN_USER		(1U << 0)	/* an instruction in user mode */
#define PTF_ORIGIN_KERNEL	(1U << 1)	/* copy_to_user() and its like */
#define PTF_ORIGIN_GUP		(1U << 2)	/* get_user_pages(), futex, KVM:
						 * the handler called without an
						 * access
						 */
#define PTF_ORIGIN_ANY		7U

#define PTF_ACCESS_ANY		7U

/* What happens (ptf_rule.action). */
#define PTF_ACT_COUNT		1	/* counted, nothing else: no event */
#define PTF_ACT_NOTIFY		2	/* an event, as all that follow have */
#define PTF_ACT_DELAY		3	/* sleeps value nanoseconds, killable */
#define PTF_ACT_SIGBUS		4	/* SIGBUS, BUS_ADRERR */
#define PTF_ACT_SIGSEGV		5	/* SIGSEGV, SEGV_MAPERR */
#define PTF_ACT_HWPOISON	6	/* SIGBUS, BUS_MCEERR_AR, lsb of a page */
#define PTF_ACT_RETRY		7	/* asked to come again, value times */
#define PTF_ACT_OOM		8	/* VM_FAULT_OOM, value times: no kill, the
					 * access is made again
					 */
#define PTF_ACT_HOLD		9	/* waits for PTF_IOC_HELD_ANSWER, killable */
#define PTF_ACT_HANDLER		10	/* asks a handler of another module */
#define PTF_ACT_LAST		PTF_ACT_HANDLER

/* In PTF_IOC_HELD_ANSWER alone: the fault goes on as if there were no rule. */
#define PTF_ACT_GO		0

#define PTF_RULE_F_PASSIVE	(1U << 0)	/* pages are not made to fault */
#define PTF_RULE_F_OFF		(1U << 1)	/* matches nothing for now */
#define PTF_RULE_F_PER_THREAD	(1U << 2)	/* after, interval, times and
						 * probability for each thread by
						 * itself
						 */
#define PTF_RULE_F_QUIET	(1U << 3)	/* hits are counted, not told; not
						 * for NOTIFY and HOLD
						 */

#define PTF_PROBABILITY_ONE	1000000U
#define PTF_HANDLER_NAME_LEN	32

/* Longest delay, and most retries, of one access. */
#define PTF_DELAY_MAX_NS	60000000000ULL
#define PTF_RETRY_MAX		1000000ULL

/**
 * struct ptf_rule - what is to happen to which faults
 * @id: of the rule; 0 in PTF_IOC_RULE_ADD
 * @start: first address, page-aligned
 * @end: first address behind, page-aligned
 * @after: let this many matching faults pass first
 * @interval: then take every one (0 or 1) or each @interval-th
 * @times: take this many, then none; 0: no end
 * @value: PTF_ACT_DELAY nanoseconds, PTF_ACT_RETRY and PTF_ACT_OOM how many
 *	times for one access (0 counts as 1), PTF_ACT_HANDLER the handler's; else 0
 * @seed: of @probability; the n-th fault of a thread that gets as far as the
 *	dice finds the same for the same seed, in whatever order threads run
 * @target: PTF_TARGET_SELF or from PTF_IOC_TARGET_OPEN
 * @flags: PTF_RULE_F_*
 * @access: PTF_ACCESS_* bits
 * @origin: PTF_ORIGIN_* bits
 * @tid: only this thread, in the caller's pid namespace; 0: any
 * @action: PTF_ACT_*
 * @probability: in parts of PTF_PROBABILITY_ONE; 0 counts as certain
 * @order: of all rules that match a fault the one with the lowest is taken;
 *	of equal ones the older
 * @handler: PTF_ACT_HANDLER: name of it, closed by a NUL; else zero
 * @matches: faults that range, access, origin and thread fit (out)
 * @hits: faults that it took (out)
 * @passed: hits that could not be served there and went on: an access that
 *	can't wait or come again (out)
 *
 * after, interval, times and probability are part of the match: a fault that
 * they let pass goes to the next rule.
 */
struct ptf_rule {
	__aligned_u64 id;
	__aligned_u64 start;
	__aligned_u64 end;
	__aligned_u64 after;
	__aligned_u64 interval;
	__aligned_u64 times;
	__aligned_u64 value;
	__aligned_u64 seed;
	__u32 target;
	__u32 flags;
	__u32 access;
	__u32 origin;
	__s32 tid;
	__u32 action;
	__u32 probability;
	__u32 order;
	char handler[PTF_HANDLER_NAME_LEN];
	__aligned_u64 matches;
	__aligned_u64 hits;
	__aligned_u64 passed;
};

/**
 * struct ptf_ioc_rule_add - ioctl(PTF_IOC_RULE_ADD)
 * @size: sizeof(struct ptf_ioc_rule_add)
 * @flags: must be 0
 * @rule_size: sizeof(struct ptf_rule) that the caller knows, the stride
 * @nr_rules: length of @rules, at least 1
 * @rules: pointer to an array of struct ptf_rule; the id of each that was
 *	added is written back
 * @out_added: rules added; less than @nr_rules only with an error
 * @reserved: 0
 *
 * If the session is armed the rules are from the return on, and their present
 * pages have been made to fault: by a stash where accesses of the kernel count,
 * by a hint otherwise. They fault once: what has faulted, or what the kernel has
 * worked on meanwhile (fork, mprotect, ...), is present until the session is armed
 * again; PTF_ADV_STICKY makes pages fault on every access. A child of fork() has no
 * rules.
 *
 * Errors: ENOENT no such target or handler; ESRCH no such thread, or the
 * target is gone; ENOSPC too many rules, for one 1024 that overlap the new one; EBUSY the
 * fault handler is taken.
 */
struct ptf_ioc_rule_add {
	__u32 size;
	__u32 flags;
	__u32 rule_size;
	__u32 nr_rules;
	__aligned_u64 rules;
	__u32 out_added;
	__u32 reserved;
};

/**
 * struct ptf_ioc_rule_set - ioctl(PTF_IOC_RULE_SET)
 * @size: sizeof(struct ptf_ioc_rule_set)
 * @flags: must be 0
 * @rule_size: sizeof(struct ptf_rule) that the caller knows
 * @reserved: must be 0
 * @rule: pointer to a struct ptf_rule; its id says which, its target must be
 *	the one that the rule has
 *
 * The rule is replaced in one step and counts from 0 again.
 */
struct ptf_ioc_rule_set {
	__u32 size;
	__u32 flags;
	__u32 rule_size;
	__u32 reserved;
	__aligned_u64 rule;
};

#define PTF_RULE_DELETE_F_ALL	(1U << 0)	/* all of the session */

/**
 * struct ptf_ioc_rule_delete - ioctl(PTF_IOC_RULE_DELETE)
 * @size: sizeof(struct ptf_ioc_rule_delete)
 * @flags: PTF_RULE_DELETE_F_ALL
 * @id: of the rule; 0 with PTF_RULE_DELETE_F_ALL
 *
 * Who is held by it waits on, for PTF_IOC_HELD_ANSWER.
 */
struct ptf_ioc_rule_delete {
	__u32 size;
	__u32 flags;
	__aligned_u64 id;
};

/**
 * struct ptf_ioc_rule_list - ioctl(PTF_IOC_RULE_LIST)
 * @size: sizeof(struct ptf_ioc_rule_list)
 * @flags: must be 0
 * @rule_size: sizeof(struct ptf_rule) that the caller knows, the stride
 * @nr_rules: length of @rules, at least 1
 * @first: id of the first rule to list; 0: from the beginning
 * @rules: pointer to an array of struct ptf_rule, filled in by id
 * @out_next: where to go on; 0 when all are listed
 * @out_rules: rules filled in
 * @reserved: 0
 */
struct ptf_ioc_rule_list {
	__u32 size;
	__u32 flags;
	__u32 rule_size;
	__u32 nr_rules;
	__aligned_u64 first;
	__aligned_u64 rules;
	__aligned_u64 out_next;
	__u32 out_rules;
	__u32 reserved;
};

#define PTF_RULE_ARM_F_OFF	(1U << 0)

/**
 * struct ptf_ioc_rule_arm - ioctl(PTF_IOC_RULE_ARM)
 * @size: sizeof(struct ptf_ioc_rule_arm)
 * @flags: PTF_RULE_ARM_F_OFF to disarm
 * @out_pages: pages that were made to fault
 *
 * All rules of the session at once. A session begins disarmed. Arming what is
 * armed makes its pages fault again.
 */
struct ptf_ioc_rule_arm {
	__u32 size;
	__u32 flags;
	__aligned_u64 out_pages;
};

/**
 * struct ptf_ioc_held_answer - ioctl(PTF_IOC_HELD_ANSWER)
 * @size: sizeof(struct ptf_ioc_held_answer)
 * @flags: must be 0
 * @held: from ptf_event.held
 * @action: PTF_ACT_GO, SIGBUS, SIGSEGV, HWPOISON, OOM or RETRY
 * @content_bytes: bytes to be put into the page first, 0 to a page; only with
 *	PTF_ACT_GO. What is behind them in the page stays
 * @content: pointer to them
 *
 * A page that is shared or copy-on-write is copied first, as by a write. No
 * other thread sees the content half done, but through accesses of the kernel.
 *
 * Errors: ENOENT nobody waits under this number (any more); EACCES content for
 * a shared page that the mapping may not write; EFAULT it can't be had;
 * EBUSY it is pinned for DMA. After an error the thread waits on.
 */
struct ptf_ioc_held_answer {
	__u32 size;
	__u32 flags;
	__aligned_u64 held;
	__u32 action;
	__u32 content_bytes;
	__aligned_u64 content;
};

/* ------------------------------------------------------------------ */
/* Events: read() on the session's fd gives whole struct ptf_event     */

#define PTF_EVENT_HIT		1	/* a rule took a fault */
#define PTF_EVENT_HELD		2	/* ... and the thread waits */
#define PTF_EVENT_GONE		3	/* a target's address space has ended */

/**
 * struct ptf_event - what happened
 * @size: bytes of this record; a multiple of 8, the next one follows
 * @type: PTF_EVENT_*
 * @seq: counts the session's events, from 1, lost ones too
 * @time_ns: CLOCK_MONOTONIC
 * @rule: id of the rule
 * @held: PTF_EVENT_HELD: number for PTF_IOC_HELD_ANSWER; else 0
 * @addr: address that was accessed
 * @ip: instruction of user mode, or behind the system call, that did it
 * @pte: raw entry before; its frame bits are 0 without CAP_SYS_ADMIN
 * @pid: process, in the session opener's pid namespace (0: not to be seen there)
 * @tid: thread, likewise
 * @target: PTF_TARGET_SELF or from PTF_IOC_TARGET_OPEN
 * @access: PTF_ACCESS_*, one bit
 * @origin: PTF_ORIGIN_*, one bit
 * @action: PTF_ACT_*
 * @state: PTF_STATE_* of the entry before
 * @answer: how it ended, PTF_FAULTED_*; 0 not known yet; PTF_FAULTED_RETRY: the
 *	access comes again, which is no new event
 * @reserved: 0
 *
 * The queue is bounded (module parameter "events"); what finds it full is
 * counted in ptf_ioc_session_stat.out_events_lost: read + queued + lost = hits
 * of all rules but PTF_ACT_COUNT's and quiet ones, and PTF_EVENT_GONE.
 * PTF_EVENT_HELD is never lost.
 *
 * read() takes whole records (EINVAL if not one fits), waits for the first, or
 * answers EAGAIN with O_NONBLOCK. poll() and epoll report EPOLLIN.
 */
struct ptf_event {
	__u32 size;
	__u32 type;
	__aligned_u64 seq;
	__aligned_u64 time_ns;
	__aligned_u64 rule;
	__aligned_u64 held;
	__aligned_u64 addr;
	__aligned_u64 ip;
	__aligned_u64 pte;
	__s32 pid;
	__s32 tid;
	__u32 target;
	__u8 access;
	__u8 origin;
	__u8 action;
	__u8 state;
	__u8 answer;
	__u8 reserved[7];
};

/* ------------------------------------------------------------------ */
/* mmap() of the session's fd, MAP_SHARED only                         */

/*
 * Offset of two pages that switch the session's rules: a store to the first
 * arms them before it returns, a store to the second disarms. What is stored
 * does not matter. The mapping is not inherited by fork().
 */
#define PTF_MMAP_SWITCH		0x0ULL
#define PTF_MMAP_SWITCH_BYTES	0x2000ULL

/*
 * From here on zeroed memory that belongs to the session, one page at each
 * offset, made on first use: for rules, in the same process or another one.
 * At most PTF_MMAP_MEMORY_BYTES. Not inherited by fork() either.
 */
#define PTF_MMAP_MEMORY		0x100000000ULL
#define PTF_MMAP_MEMORY_BYTES	0x40000000ULL

/* ------------------------------------------------------------------ */
/* Generic netlink: family "ptefault", see ptefault.yaml               */

#define PTF_GENL_NAME		"ptefault"
#define PTF_GENL_VERSION	1
#define PTF_GENL_MCGRP_EVENTS	"events"

enum ptf_genl_cmd {
	PTF_GENL_CMD_EVENT = 1,	/* multicast, one event of any session */
};

enum ptf_genl_attr {
	PTF_GENL_A_PAD = 1,
	PTF_GENL_A_SESSION,	/* u32, number of the session */
	PTF_GENL_A_LOST,	/* u64, of this session's messages so far */
	PTF_GENL_A_TYPE,	/* u32, PTF_EVENT_* */
	PTF_GENL_A_SEQ,		/* u64 */
	PTF_GENL_A_TIME_NS,	/* u64 */
	PTF_GENL_A_RULE,	/* u64 */
	PTF_GENL_A_HELD,	/* u64 */
	PTF_GENL_A_ADDR,	/* u64 */
	PTF_GENL_A_IP,		/* u64 */
	PTF_GENL_A_PTE,		/* u64 */
	PTF_GENL_A_PID,		/* u32, initial pid namespace */
	PTF_GENL_A_TID,		/* u32 */
	PTF_GENL_A_TARGET,	/* u32 */
	PTF_GENL_A_ACCESS,	/* u8 */
	PTF_GENL_A_ORIGIN,	/* u8 */
	PTF_GENL_A_ACTION,	/* u8 */
	PTF_GENL_A_STATE,	/* u8 */
	PTF_GENL_A_ANSWER,	/* u8 */
	PTF_GENL_A_LAST = PTF_GENL_A_ANSWER,
};

#endif /* _UAPI_LINUX_PTEFAULT_H */
