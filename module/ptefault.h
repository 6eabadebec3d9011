/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Private header of the module: objects, lifetimes, lock order. DESIGN.md has
 * the long version.
 *
 * Objects
 *   ptf_session  one per open file; dies with it.
 *   ptf_target   an address space that a session has a right to. Holds the mm
 *		  with mmgrab(), never mm_users: else exit would never come.
 *		  Calls take mm_users only while they run.
 *   ptf_space	  what is armed in an address space, shared by all targets of
 *		  all sessions that arm something there (space.h). Its users
 *		  are targets; the hook is set while there is a space.
 *
 * Lock order, outermost first
 *   session->lock	targets of the session; never held while memory of a
 *			target is worked on
 *   session->rule_lock	rules of the session (taken alone)
 *   target->lock	what the target has armed
 *   mmap_lock		of a target's mm: VMAs and page tables stay
 *   ptf_space_mutex	users of spaces
 *   ptf_hook_mutex	setting and taking off the hook (never with the above)
 *   rcu_read_lock	page tables that may be freed without mmap_lock
 *   page table lock	one last-level table: its entries
 *   space->lock	what is stashed, and windows of core mm's work
 *   space->rlock	rules, marks, notes of an address space (not with space->lock)
 *   queue->lock	events and held threads of a session
 *   ptf_step_lock	threads that are being stepped (innermost, alone, irqs off)
 *
 * A copy to or from user space never happens under a mmap_lock: the buffer may
 * belong to the same address space.
 */
#ifndef PTF_PTEFAULT_H
#define PTF_PTEFAULT_H

#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/mutex.h>
#include <linux/refcount.h>
#include <linux/types.h>
#include <linux/xarray.h>
#include <linux/ptefault.h>
#include "version.h"

#undef pr_fmt
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

struct ptf_space;
struct ptf_queue;

/* What a target arms in its address space (ptf_target.armed). */
#define PTF_ARM_STASH	BIT(0)	/* entries may be taken away */
#define PTF_ARM_EXACT	BIT(1)	/* hints are healed one by one, by us */
#define PTF_ARM_GUP	BIT(2)	/* kernel-mode users fault on hints */
#define PTF_ARM_RULE	BIT(3)	/* rules or marks stand there */
#define PTF_ARM_TRACK	BIT(4)	/* writes are tracked */

struct ptf_target {
	refcount_t refs;
	u32 id;
	u32 opens;		/* by PTF_IOC_TARGET_OPEN, under session->lock */
	struct mm_struct *mm;	/* mmgrab()bed */
	struct mutex lock;	/* space, armed */
	struct ptf_space *space;	/* NULL: nothing armed */
	u32 armed;		/* PTF_ARM_* */
	atomic64_t stashed;	/* entries held now */
	struct list_head space_node;	/* in space->targets with PTF_ARM_RULE */
	struct ptf_session *s;
	struct rcu_head rcu;
};

struct ptf_session {
	struct mutex lock;	/* targets */
	struct xarray targets;
	struct ptf_target *self;	/* PTF_TARGET_SELF, never closed */
	u32 nr_targets;
	u32 next_target;
	struct file *file;
	bool privileged;	/* opener may see frame numbers */
	atomic64_t cleared_pages;
	atomic64_t stashed_total;
	struct ptf_queue *q;	/* events, held threads: rule.h */
	struct mutex rule_lock;	/* rules */
	struct xarray rules;	/* struct ptf_rule_node by id */
	u32 nr_rules;
	u64 next_rule;
	struct page *switch_page;	/* memory.c */
	struct xarray memory;
};

/* session.c */
struct ptf_session *ptf_session_create(struct file *file);
void ptf_session_destroy(struct ptf_session *s);
u32 ptf_session_count(void);
int ptf_session_target_open(struct ptf_session *s, pid_t pid, u32 *id);
int ptf_session_target_close(struct ptf_session *s, u32 id);
struct ptf_target *ptf_target_begin(struct ptf_session *s, u32 id);
void ptf_target_end(struct ptf_target *t);
int ptf_target_arm(struct ptf_target *t, u32 what);
void ptf_target_reset(struct ptf_target *t);
void ptf_target_disarm(struct ptf_target *t);
void ptf_session_sum(struct ptf_session *s, u64 *stashed, u64 *healed);

/* One command: what the dispatcher hands to a handler. */
struct ptf_cmd {
	struct ptf_session *s;
	void *arg;		/* kernel copy of the struct */
	bool respond;		/* out_ fields are to be copied back, error or not */
};

/* A range command's range: what is wrong with it whatever it asks. */
static inline int ptf_check_range(u64 start, u64 end)
{
	if (!PAGE_ALIGNED(start | end) || start >= end || end > TASK_SIZE_MAX)
		return -EINVAL;
	return 0;
}

/* device.c */
extern const struct file_operations ptf_fops;
int ptf_device_register(void);
void ptf_device_unregister(void);

/* report.c */
int ptf_report_query(struct ptf_cmd *c);
int ptf_report_walk(struct ptf_cmd *c);

/* advise.c */
int ptf_advise_range(struct ptf_cmd *c);
int ptf_skip_errno(int why);
int ptf_advise_target(struct ptf_target *t, struct ptf_ioc_range_advise *a, bool *respond);
int ptf_advise_file_range(struct ptf_cmd *c);
u64 ptf_advise_supported(void);

/* drive.c */
int ptf_drive_range(struct ptf_cmd *c);

/* filemap.c */
struct file *ptf_filemap_open(int fd, fmode_t mode, struct address_space **mapping);
int ptf_filemap_query(struct ptf_cmd *c);
bool ptf_filemap_has_cache(struct address_space *mapping);
bool ptf_filemap_may_change(struct file *file);
int ptf_filemap_advise(struct address_space *mapping, struct file *file, u32 advice,
		       pgoff_t first, u64 nr, u64 *done, u64 *busy);

/* mappers.c */
int ptf_mappers_query(struct ptf_cmd *c);

/* track.c */
bool ptf_track_is_on(struct mm_struct *mm);
void ptf_track_advised(struct ptf_target *t, unsigned long start, unsigned long end);
int ptf_track_start(struct ptf_cmd *c);
int ptf_track_read(struct ptf_cmd *c);
int ptf_track_stop(struct ptf_cmd *c);

/* tlb.c */
int ptf_tlb_init(void);
u32 ptf_tlb_method(void);
u64 ptf_tlb_flushes(void);
void ptf_tlb_flush_all(void);

#endif /* PTF_PTEFAULT_H */
