/* SPDX-License-Identifier: GPL-2.0-only */
/* What changes an entry: edit.c. Who calls it, and when it flushes: advise.c. */
#ifndef PTF_EDIT_H
#define PTF_EDIT_H

#include "walk.h"

/**
 * struct ptf_edit - one command's edits, in ptf_walk.priv
 * @a: the command; its out_ fields are the counters
 * @dry: only look whether every page could be served
 * @need_flush: an entry was taken away and other CPUs may still hold it
 * @t: whose memory
 * @exact: no need to ask for exact heals (any more)
 * @need: PTF_NEED_* that a walk broke off for
 * @busy: how often it waited for core mm at this place
 * @pool: nodes for stashes
 * @stash_nr: stashed pages that PRESENT has met and that are to be put back
 * @stash_start: first of them
 * @stash_end: behind the last of them
 * @first_skip: enum ptf_skip of the first page left alone, -1 none so far
 */
struct ptf_edit {
	struct ptf_ioc_range_advise *a;
	struct ptf_target *t;
	bool dry;
	bool need_flush;
	bool exact;
	u32 need;
	unsigned int busy;
	struct ptf_stash *pool;
	unsigned long stash_nr, stash_start, stash_end;
	int first_skip;
};

/* How often STASH waits for core mm before it answers EBUSY for a page. */
#define PTF_STASH_TRIES	100

/* What must be had before a walk can go on (ptf_edit.need). */
#define PTF_NEED_EXACT	BIT(0)	/* the space armed for exact heals */
#define PTF_NEED_POOL	BIT(1)	/* nodes for stashes */
#define PTF_NEED_WAIT	BIT(2)	/* core mm's work on the address space to end */

int ptf_edit_skip(struct ptf_walk *w, unsigned long addr, unsigned long end, int why);
int ptf_edit_skip_leaf(struct ptf_walk *w, unsigned int level, void *entry,
		       unsigned long addr, unsigned long end);
int ptf_edit_hint_ptes(struct ptf_walk *w, pte_t *ptep, unsigned long addr,
		       unsigned long end);
int ptf_edit_unhint_ptes(struct ptf_walk *w, pte_t *ptep, unsigned long addr,
			 unsigned long end);
int ptf_edit_stash_ptes(struct ptf_walk *w, pte_t *ptep, unsigned long addr,
			unsigned long end);
int ptf_edit_wrprotect_ptes(struct ptf_walk *w, pte_t *ptep, unsigned long addr,
			    unsigned long end);
int ptf_edit_wrunprotect_ptes(struct ptf_walk *w, pte_t *ptep, unsigned long addr,
			      unsigned long end);
int ptf_edit_old_ptes(struct ptf_walk *w, pte_t *ptep, unsigned long addr,
		      unsigned long end);
int ptf_edit_clean_ptes(struct ptf_walk *w, pte_t *ptep, unsigned long addr,
			unsigned long end);
bool ptf_edit_hint_one(struct vm_area_struct *vma, pte_t *ptep, unsigned long addr);
bool ptf_edit_unhint_one(struct vm_area_struct *vma, pte_t *ptep, unsigned long addr);

#endif /* PTF_EDIT_H */
