/* SPDX-License-Identifier: GPL-2.0-only */
/* An armed address space: what the module remembers about it. See space.c. */
#ifndef PTF_SPACE_H
#define PTF_SPACE_H

#include <linux/mmu_notifier.h>
#include <linux/rbtree.h>
#include <linux/refcount.h>
#include <linux/wait.h>
#include <linux/workqueue.h>
#include "ptefault.h"

/**
 * struct ptf_space - one address space that something is armed in
 * @mn: subscription, one per address space, shared by all sessions
 * @node: in the table that the hook looks into, under RCU
 * @refs: one for the users, one for each thread in the hook's wrapper
 * @users: sessions' targets that hold it, under ptf_space_mutex
 * @exact: users who want hints healed one by one, by us
 * @gup: users who want kernel-mode accesses to fault on hints
 * @lock: innermost lock of all, inside the page table lock
 * @windows: invalidations under way; no new stash while there is one (@lock)
 * @dead: release has run, nothing is stashed and nothing will be (@lock)
 * @stash: struct ptf_stash by address (@lock)
 * @nr_stash: how many
 * @healed: hints that we healed
 * @gone: woken when @dead is set
 * @mm: the address space; its struct is kept, its memory is not
 * @rlock: rules, marks and notes; alone, around a queue's lock, or inside the
 *	lock of a page table
 * @rules: struct ptf_rule_node of more than one page, by range (@rlock)
 * @singles: those of one page, by a hash of it; NULL until there are any (@rlock)
 * @marks: struct ptf_mark by range (@rlock)
 * @nr_rules: how many, read without the lock to do nothing cheaply
 * @nr_marks: likewise
 * @mark_gen: counts changes of @marks
 * @notes: what faults of this space have left for their return (@rlock)
 * @nr_notes: how many
 * @rearm: looks at marked pages again; has a reference while it is queued
 * @rearm_start: what it looks at (@rlock)
 * @rearm_end: likewise
 * @rearm_again: and once more (@rlock)
 * @targets: those that want to hear of its end (@rlock)
 * @tracked: writes are tracked, read without a lock to do nothing cheaply
 * @tracker: once they have been; track.c's
 */
struct ptf_space {
	struct mmu_notifier mn;
	struct hlist_node node;
	refcount_t refs;
	unsigned int users;
	atomic_t exact;
	atomic_t gup;
	spinlock_t lock;
	unsigned int windows;
	bool dead;
	struct rb_root stash;
	unsigned long nr_stash;
	atomic64_t healed;
	wait_queue_head_t gone;
	struct mm_struct *mm;
	spinlock_t rlock;
	struct rb_root_cached rules;
	struct hlist_head *singles;
	struct rb_root_cached marks;
	unsigned long nr_rules;
	unsigned long nr_marks;
	unsigned long mark_gen;
	struct list_head notes;
	unsigned long nr_notes;
	struct delayed_work rearm;
	unsigned long rearm_start, rearm_end;
	bool rearm_again;
	struct list_head targets;
	bool tracked;
	struct ptf_tracker *tracker;
	struct rcu_work free;
};

struct ptf_space *ptf_space_open(struct mm_struct *mm);
void ptf_space_close(struct ptf_space *sp);
struct ptf_space *ptf_space_find(struct mm_struct *mm);
struct ptf_space *ptf_space_find_get(struct mm_struct *mm);
void ptf_space_put(struct ptf_space *sp);
int ptf_space_init(void);
void ptf_space_exit(void);
extern struct workqueue_struct *ptf_wq;

/* hook.c */
bool ptf_hook_can(void);
int ptf_hook_get(void);
void ptf_hook_put(void);
bool ptf_hook_is_set(void);
bool ptf_hook_has_gup(void);
bool ptf_hook_has_stash(void);
void ptf_hook_init(void);
void ptf_hook_exit(void);

/* stash.c */

/**
 * struct ptf_stash - an entry taken away
 * @rb: in ptf_space.stash, or in a pool of unused ones
 * @addr: page
 * @pte: what stood there, with the mapping's own reference to the page
 * @owner: target that took it
 */
struct ptf_stash {
	union {
		struct rb_node rb;
		struct ptf_stash *next;
	};
	unsigned long addr;
	pte_t pte;
	struct ptf_target *owner;
};

int ptf_stash_pool_fill(struct ptf_stash **pool, unsigned int nr);
void ptf_stash_pool_free(struct ptf_stash **pool);
int ptf_stash_take(struct ptf_space *sp, struct mm_struct *mm, unsigned long addr,
		   pte_t *ptep, struct ptf_stash *s);
bool ptf_stash_restore(struct ptf_space *sp, struct mm_struct *mm,
		       unsigned long addr, struct ptf_target *owner);
unsigned long ptf_stash_restore_range(struct ptf_space *sp, struct mm_struct *mm,
				      unsigned long start, unsigned long end,
				      struct ptf_target *owner, bool may_sleep);
unsigned long ptf_stash_next(struct ptf_space *sp, unsigned long addr);
struct ptf_stash *ptf_stash_at(struct ptf_space *sp, unsigned long addr);
struct ptf_target *ptf_stash_find(struct ptf_space *sp, unsigned long addr, pte_t *pte);

/* track.c */
bool ptf_track_run(struct ptf_space *sp, struct vm_area_struct *vma, unsigned long start,
		   unsigned long *end);
void ptf_track_invalidating(struct ptf_space *sp, const struct mmu_notifier_range *range);
void ptf_track_invalidated(struct ptf_space *sp, const struct mmu_notifier_range *range);
bool ptf_track_wants(struct ptf_space *sp, struct vm_area_struct *vma, unsigned long addr);
vm_fault_t ptf_track_fault(struct ptf_space *sp, struct vm_area_struct *vma,
			   unsigned long address, unsigned int flags, struct pt_regs *regs);
void ptf_track_space_free(struct ptf_space *sp);
bool ptf_track_drop_target(struct ptf_target *t);

/* fault.c */
vm_fault_t ptf_fault_handle(struct vm_area_struct *vma, unsigned long address,
			    unsigned int flags, struct pt_regs *regs);
vm_fault_t ptf_hook_orig(struct vm_area_struct *vma, unsigned long address,
			 unsigned int flags, struct pt_regs *regs);

#endif /* PTF_SPACE_H */
