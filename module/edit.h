/* SPDX-License-Identifier: GPL-2.0-only */
/* What changes an entry: edit.c. Who calls it, and when it flushes: advise.c. */
#ifndef PTF_EDIT_H
#define PTF_EDIT_H

#include "walk.h"
#include "compat.h"

/* Pages that are worked on in one go, and runs that they may lie in. */
#define PTF_BATCH_PAGES	512
#define PTF_BATCH_RUNS	64
#define PTF_BATCH_CHUNK	64

/**
 * struct ptf_batch - pages for which work needs no page table lock, or to sleep
 * @nr: runs filled in
 * @pages: pages in them
 * @run: addresses; no run spans two VMAs
 * @src: for migrate.c
 * @dst: likewise
 * @page: likewise
 */
struct ptf_batch {
	unsigned int nr;
	unsigned int pages;
	struct ptf_batch_run {
		unsigned long start, end;
	} run[PTF_BATCH_RUNS];
	unsigned long src[PTF_BATCH_CHUNK];
	unsigned long dst[PTF_BATCH_CHUNK];
	struct page *page[PTF_BATCH_CHUNK];
};

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
 * @batch: what is left to do when no page table is locked any more
 * @split: a huge page is to be split before the walk goes on
 * @split_failed: it could not be
 * @split_addr: an address in it
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
	struct ptf_batch *batch;
	bool split, split_failed;
	unsigned long split_addr;
};

/* How often STASH waits for core mm before it answers EBUSY for a page. */
#define PTF_STASH_TRIES	100

/* What must be had before a walk can go on (ptf_edit.need). */
#define PTF_NEED_EXACT	BIT(0)	/* the space armed for exact heals */
#define PTF_NEED_POOL	BIT(1)	/* nodes for stashes */
#define PTF_NEED_WAIT	BIT(2)	/* core mm's work on the address space to end */

/*
 * The page of a present entry, if core mm counts it: vm_normal_page() without
 * its look at VM_PFNMAP (such VMAs never get here).
 */
static inline struct page *ptf_edit_page(pte_t pte)
{
	if (pte_special(pte) || ptf_pte_devmap(pte))
		return NULL;
	return pfn_to_page(pte_pfn(pte));
}

/*
 * Where the folio of the page at @addr would be mapped whole, as far as the page
 * table of @addr reaches. Nobody says that all of that is one VMA.
 */
static inline void ptf_edit_folio_range(struct page *page, unsigned long addr,
					unsigned long *start, unsigned long *end)
{
	struct folio *folio = page_folio(page);
	unsigned long off = folio_page_idx(folio, page) << PAGE_SHIFT;
	unsigned long table = addr & PMD_MASK;

	*start = off > addr - table ? table : addr - off;
	*end = min(table + PMD_SIZE, addr - off + folio_size(folio));
}

/* Does a write to it make a private copy? is_cow_mapping() has several names. */
static inline bool ptf_vma_is_cow(const struct vm_area_struct *vma)
{
	return (vma->vm_flags & (VM_SHARED | VM_MAYWRITE)) == VM_MAYWRITE;
}

int ptf_edit_skip(struct ptf_walk *w, unsigned long addr, unsigned long end, int why);
int ptf_edit_skip_leaf(struct ptf_walk *w, unsigned int level, void *entry,
		       unsigned long addr, unsigned long end);
int ptf_edit_split_leaf(struct ptf_walk *w, unsigned int level, void *entry,
			unsigned long addr, unsigned long end);
int ptf_edit_hint_leaf(struct ptf_walk *w, unsigned int level, void *entry,
		       unsigned long addr, unsigned long end);
int ptf_edit_unhint_leaf(struct ptf_walk *w, unsigned int level, void *entry,
			 unsigned long addr, unsigned long end);
int ptf_edit_wrprotect_leaf(struct ptf_walk *w, unsigned int level, void *entry,
			    unsigned long addr, unsigned long end);
int ptf_edit_wrunprotect_leaf(struct ptf_walk *w, unsigned int level, void *entry,
			      unsigned long addr, unsigned long end);
int ptf_edit_old_leaf(struct ptf_walk *w, unsigned int level, void *entry,
		      unsigned long addr, unsigned long end);
bool ptf_edit_page_pinned(struct folio *folio, struct page *page);
int ptf_edit_absent_why(pte_t pte);
struct ptf_target *ptf_edit_stasher(struct ptf_edit *e, unsigned long addr, pte_t pte);
int ptf_edit_collect(struct ptf_walk *w, unsigned long addr, unsigned long end);
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
bool ptf_edit_hint_pmd(struct vm_area_struct *vma, pmd_t *pmdp, unsigned long addr, bool dry);
bool ptf_edit_unhint_pmd(struct vm_area_struct *vma, pmd_t *pmdp, unsigned long addr);

/* migrate.c */
int ptf_migrate_split(struct vm_area_struct *vma, unsigned long addr);
int ptf_migrate_ptes(struct ptf_walk *w, pte_t *ptep, unsigned long addr,
		     unsigned long end);
void ptf_migrate_work(struct ptf_edit *e, struct ptf_walk *w);
int ptf_split_ptes(struct ptf_walk *w, pte_t *ptep, unsigned long addr,
		   unsigned long end);
int ptf_split_leaf(struct ptf_walk *w, unsigned int level, void *entry,
		   unsigned long addr, unsigned long end);
void ptf_split_work(struct ptf_edit *e, struct ptf_walk *w);
int ptf_unshare_ptes(struct ptf_walk *w, pte_t *ptep, unsigned long addr,
		     unsigned long end);
int ptf_unshare_leaf(struct ptf_walk *w, unsigned int level, void *entry,
		     unsigned long addr, unsigned long end);
void ptf_unshare_work(struct ptf_edit *e, struct ptf_walk *w);
int ptf_zap_refusal(struct vm_area_struct *vma);
int ptf_zap_ptes(struct ptf_walk *w, pte_t *ptep, unsigned long addr, unsigned long end);
int ptf_zap_leaf(struct ptf_walk *w, unsigned int level, void *entry,
		 unsigned long addr, unsigned long end);
void ptf_zap_work(struct ptf_edit *e, struct ptf_walk *w);

#endif /* PTF_EDIT_H */
