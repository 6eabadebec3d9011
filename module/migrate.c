// SPDX-License-Identifier: GPL-2.0-only
/*
 * Advice that core mm carries out for us, with locks of folios, or asleep, so
 * with no page table locked: MIGRATE, SPLIT, UNSHARE, ZAP. Leaves to advise.c the
 * range and mmap_lock, which is held throughout.
 *
 * Each comes in two steps. A walk looks at the entries, counts what can't be
 * served and notes the rest (ptf_edit_collect()); the work on what was noted is
 * done when the walk has given up its locks. What has changed in between is core
 * mm's to find out, and ours to count afterwards: each page is looked at again.
 *
 * Moving and splitting go through migrate_vma_setup() and its two companions,
 * which drivers of devices with memory of their own use. They tell mmu notifiers,
 * so stashes of the range are put back first (space.c).
 *
 * Pages of files are never given a destination there: the page cache would not
 * hear of it. And no page is given one while it is being written to swap, which
 * core mm takes for a bug.
 */
#include <linux/gfp.h>
#include <linux/highmem.h>
#include <linux/migrate.h>
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/rmap.h>
#include <linux/sched/signal.h>
#include "edit.h"
#include "rule.h"
#include "space.h"
#include "arch/x86.h"

/* How often a folio is tried that somebody else has locked. */
#define PTF_MIGRATE_TRIES	4

/* The page of one entry, as work finds it afterwards. */
static pte_t ptf_migrate_entry(struct mm_struct *mm, unsigned long addr)
{
	spinlock_t *ptl;
	pte_t *ptep, pte = __pte(0);

	ptep = ptf_entry_lock(mm, addr, &ptl);
	if (ptep) {
		pte = ptep_get(ptep);
		ptf_entry_unlock(ptl);
	}
	return pte;
}

/*
 * Core mm's own handler, without whoever hooks it: nobody has made an access.
 * The lock stays held, as KSM calls it; userfaultfd then answers with an error
 * and does not wait.
 */
static vm_fault_t ptf_migrate_fault(struct vm_area_struct *vma, unsigned long addr,
				    unsigned int flags)
{
	if (vma->vm_mm != current->mm)
		flags |= FAULT_FLAG_REMOTE;
	if (!ptf_hook_can())
		return handle_mm_fault(vma, addr, flags, NULL);
	return ptf_hook_orig(vma, addr, flags, NULL);
}

/* ---- MIGRATE ---- */

/* Why a page can't be moved, or -1. Its table, or its folio, is locked. */
static int ptf_migrate_why(struct page *page)
{
	struct folio *folio = page_folio(page);

	/* ksmd keeps track of its pages by frame */
	if (!folio_test_anon(folio) || folio_test_ksm(folio))
		return PTF_SKIP_KIND;
	if (folio_test_large(folio) && !PTF_MIGRATE_LARGE)
		return PTF_SKIP_KIND;
	return ptf_edit_page_pinned(folio, page) ? PTF_SKIP_PINNED : -1;
}

static int ptf_migrate_entry_why(struct ptf_edit *e, struct vm_area_struct *vma,
				 unsigned long addr, pte_t pte)
{
	struct ptf_target *owner;
	struct page *page;

	if (!pte_present(pte)) {
		owner = ptf_edit_stasher(e, addr, pte);
		if (owner)	/* put back on the way */
			return owner == e->t ? -1 : PTF_SKIP_FOREIGN;
		return ptf_edit_absent_why(pte);
	}
	if (ptf_vma_uffd_rwp(vma) && ptf_pte_uffd(pte))
		return PTF_SKIP_FOREIGN;
	page = ptf_edit_page(pte);
	if (!page)
		return is_zero_pfn(pte_pfn(pte)) ? PTF_SKIP_KIND : PTF_SKIP_SPECIAL;
	/* a driver's pages, which it knows by frame */
	if (vma->vm_flags & VM_MIXEDMAP)
		return PTF_SKIP_SPECIAL;
	return ptf_migrate_why(page);
}

int ptf_migrate_ptes(struct ptf_walk *w, pte_t *ptep, unsigned long addr,
		     unsigned long end)
{
	int why, ret = 0;

	for (; !ret && addr != end; ptep++, addr += PAGE_SIZE) {
		why = ptf_migrate_entry_why(w->priv, w->vma, addr, ptep_get(ptep));
		if (why >= 0)
			ret = ptf_edit_skip(w, addr, addr + PAGE_SIZE, why);
		else
			ret = ptf_edit_collect(w, addr, addr + PAGE_SIZE);
	}
	return ret;
}

/* Pages to move to; answers how many could be had. */
static unsigned long ptf_migrate_alloc(struct ptf_batch *b, unsigned long nr)
{
	unsigned long i;

	for (i = 0; i < nr; i++) {
		b->page[i] = alloc_page(GFP_HIGHUSER_MOVABLE | __GFP_NOWARN);
		if (!b->page[i])
			break;
	}
	return i;
}

/*
 * The folios that migrate_vma_setup() has found are locked and mapped nowhere.
 * Give those a destination that may have one; the others go back as they were.
 */
static void ptf_migrate_copy(struct migrate_vma *m, struct ptf_batch *b)
{
	struct folio *folio;
	struct page *page;
	unsigned long i;

	for (i = 0; i < m->npages; i++) {
		page = migrate_pfn_to_page(m->src[i]);
		if (!page || !(m->src[i] & MIGRATE_PFN_MIGRATE))
			continue;
		folio = page_folio(page);
		if (folio_test_writeback(folio) || folio_test_large(folio) ||
		    !folio_test_anon(folio) || folio_test_ksm(folio))
			continue;
		lock_page(b->page[i]);
		copy_highpage(b->page[i], page);
		m->dst[i] = migrate_pfn(page_to_pfn(b->page[i]));
		b->page[i] = NULL;	/* given back by migrate_vma_finalize() */
	}
}

/* Up to PTF_BATCH_CHUNK pages of a VMA. */
static void ptf_migrate_chunk(struct ptf_edit *e, struct ptf_walk *w,
			      struct vm_area_struct *vma, unsigned long start,
			      unsigned long nr)
{
	struct ptf_batch *b = e->batch;
	unsigned long got = ptf_migrate_alloc(b, nr), i, addr;
	struct migrate_vma m = {
		.vma = vma,
		.src = b->src,
		.dst = b->dst,
		.start = start,
		.end = start + got * PAGE_SIZE,
		.flags = MIGRATE_VMA_SELECT_SYSTEM,
	};
	int why;

	if (got < nr)
		ptf_edit_skip(w, start + got * PAGE_SIZE, start + nr * PAGE_SIZE,
			      PTF_SKIP_NOSPACE);
	memset(b->src, 0, sizeof(b->src));
	memset(b->dst, 0, sizeof(b->dst));
	if (got && !migrate_vma_setup(&m)) {
		ptf_migrate_copy(&m, b);
		migrate_vma_pages(&m);
		migrate_vma_finalize(&m);
	}
	for (i = 0; i < got; i++) {
		if (b->page[i])
			__free_page(b->page[i]);
		if (b->src[i] & MIGRATE_PFN_MIGRATE && b->src[i] & MIGRATE_PFN_VALID &&
		    b->dst[i]) {
			e->a->out_done_pages++;
			continue;
		}
		addr = start + i * PAGE_SIZE;
		why = ptf_migrate_entry_why(e, vma, addr, ptf_migrate_entry(w->mm, addr));
		ptf_edit_skip(w, addr, addr + PAGE_SIZE, why < 0 ? PTF_SKIP_BUSY : why);
	}
}

void ptf_migrate_work(struct ptf_edit *e, struct ptf_walk *w)
{
	struct ptf_batch *b = e->batch;
	struct vm_area_struct *vma;
	unsigned long addr, nr;
	unsigned int i;

	for (i = 0; i < b->nr; i++) {
		vma = find_vma(w->mm, b->run[i].start);
		for (addr = b->run[i].start; addr < b->run[i].end; addr += nr * PAGE_SIZE) {
			nr = min_t(unsigned long, PTF_BATCH_CHUNK,
				   (b->run[i].end - addr) >> PAGE_SHIFT);
			ptf_migrate_chunk(e, w, vma, addr, nr);
			cond_resched();
		}
		/* what was a hint may be none now */
		ptf_mark_rearm_now(w->mm, b->run[i].start, b->run[i].end);
	}
}

/* ---- SPLIT ---- */

/* Does one entry map the memory around @addr, and is it the shared zero page? */
static bool ptf_split_is_leaf(struct vm_area_struct *vma, unsigned long addr, bool *zero)
{
	spinlock_t *ptl;
	pmd_t *pmdp = ptf_leaf_lock(vma->vm_mm, addr, &ptl);

	if (!pmdp)
		return false;
	*zero = pmd_present(*pmdp) && vma_is_anonymous(vma) && !PageAnon(pmd_page(*pmdp));
	ptf_leaf_unlock(ptl);
	return true;
}

/*
 * By core mm, which looks what stands there under the entry's lock. Zapping a part
 * of it would split it too, but takes along what another thread has written to
 * that part since we looked: a private copy of a file's page, or a page of its own
 * in place of the shared zero page. A hint goes first, GUP may be told to stop at
 * it; it would not outlive the split.
 */
static void ptf_split_by_gup(struct vm_area_struct *vma, unsigned long addr)
{
	spinlock_t *ptl;
	pmd_t *pmdp = ptf_leaf_lock(vma->vm_mm, addr, &ptl);

	if (!pmdp)
		return;
	ptf_edit_unhint_pmd(vma, pmdp, addr);
	ptf_leaf_unlock(ptl);
	ptf_gup_look(vma->vm_mm, addr, FOLL_SPLIT_PMD | FOLL_NOFAULT | FOLL_FORCE);
}

/**
 * ptf_migrate_split() - have a huge page mapped by small entries
 * @vma: mmap_lock is held
 * @addr: an address in it
 *
 * Anonymous memory stays mapped. Of a file's memory the entry is dropped, and
 * the next access maps it anew.
 *
 * Return: 0, or -EBUSY if it is still there
 */
int ptf_migrate_split(struct vm_area_struct *vma, unsigned long addr)
{
	unsigned int tries;
	bool zero = false;

	for (tries = 0; tries < PTF_MIGRATE_TRIES; tries++) {
		unsigned long src = 0, dst = 0;
		struct migrate_vma m = {
			.vma = vma,
			.src = &src,
			.dst = &dst,
			.start = addr,
			.end = addr + PAGE_SIZE,
			.flags = PTF_SPLIT_SELECT,
		};

		if (!ptf_split_is_leaf(vma, addr, &zero))
			return 0;
		cond_resched();
		if (!vma_is_anonymous(vma) || zero)
			ptf_split_by_gup(vma, addr);
		else if (!migrate_vma_setup(&m))
			migrate_vma_finalize(&m);
	}
	return ptf_split_is_leaf(vma, addr, &zero) ? -EBUSY : 0;
}

/* Small entries already. */
int ptf_split_ptes(struct ptf_walk *w, pte_t *ptep, unsigned long addr,
		   unsigned long end)
{
	struct ptf_edit *e = w->priv;
	int ret = 0;

	for (; !ret && addr != end; ptep++, addr += PAGE_SIZE) {
		if (pte_none(ptep_get(ptep)))
			ret = ptf_edit_skip(w, addr, addr + PAGE_SIZE, PTF_SKIP_EMPTY);
		else
			e->a->out_same_pages++;
	}
	return ret;
}

int ptf_split_leaf(struct ptf_walk *w, unsigned int level, void *entry,
		   unsigned long addr, unsigned long end)
{
	pmd_t pmd = level == PTF_LEVEL_PMD ? READ_ONCE(*(pmd_t *)entry) : __pmd(0);
	struct vm_area_struct *vma = w->vma;
	int why = -1;

	if (level != PTF_LEVEL_PMD)
		why = PTF_SKIP_THP;
	else if (!pmd_present(pmd))
		why = PTF_SKIP_SWAPPED;
	else if (vma->vm_flags & VM_MIXEDMAP)
		why = PTF_SKIP_SPECIAL;
	else if (!vma_is_anonymous(vma) && vma->vm_flags & ptf_vma_uffd_flags())
		why = PTF_SKIP_FOREIGN;	/* its write protection would be dropped */
	else if (vma_is_anonymous(vma) && PageAnon(pmd_page(pmd)) &&
		 ptf_edit_page_pinned(page_folio(pmd_page(pmd)), pmd_page(pmd)))
		why = PTF_SKIP_PINNED;
	if (why >= 0)
		return ptf_edit_skip(w, addr, end, why);
	return ptf_edit_collect(w, addr, end);
}

void ptf_split_work(struct ptf_edit *e, struct ptf_walk *w)
{
	struct ptf_batch *b = e->batch;
	struct vm_area_struct *vma;
	unsigned long addr, next;
	unsigned int i;

	for (i = 0; i < b->nr; i++) {
		vma = find_vma(w->mm, b->run[i].start);
		for (addr = b->run[i].start; addr < b->run[i].end; addr = next) {
			next = pmd_addr_end(addr, b->run[i].end);
			if (ptf_migrate_split(vma, addr))
				ptf_edit_skip(w, addr, next, PTF_SKIP_BUSY);
			else
				e->a->out_done_pages += (next - addr) >> PAGE_SHIFT;
			cond_resched();
		}
		/* what was a hint may be none now */
		ptf_mark_rearm_now(w->mm, b->run[i].start, b->run[i].end);
	}
}

/* ---- UNSHARE ---- */

#define PTF_UNSHARE_DONE	(-2)

/* Why a page can't become this mapping's own, -1 if it can, or that it is. */
static int ptf_unshare_why(struct ptf_edit *e, struct vm_area_struct *vma,
			   unsigned long addr, pte_t pte)
{
	struct ptf_target *owner;
	struct page *page;

	if (!pte_present(pte)) {
		owner = ptf_edit_stasher(e, addr, pte);
		if (owner)	/* put back on the way */
			return owner == e->t ? -1 : PTF_SKIP_FOREIGN;
		return ptf_edit_absent_why(pte);
	}
	page = ptf_edit_page(pte);
	if (!page)
		return is_zero_pfn(pte_pfn(pte)) ? -1 : PTF_SKIP_SPECIAL;
	if (PageAnon(page) && !folio_test_ksm(page_folio(page)) && PageAnonExclusive(page))
		return PTF_UNSHARE_DONE;
	/* the write that it may take is userfaultfd's to answer */
	return ptf_pte_uffd(pte) ? PTF_SKIP_FOREIGN : -1;
}

static int ptf_unshare_vma_why(struct vm_area_struct *vma)
{
	if (!(vma->vm_flags & VM_WRITE))
		return PTF_SKIP_READONLY;
	return ptf_vma_is_cow(vma) ? -1 : PTF_SKIP_KIND;
}

int ptf_unshare_ptes(struct ptf_walk *w, pte_t *ptep, unsigned long addr,
		     unsigned long end)
{
	int vma_why = ptf_unshare_vma_why(w->vma), why, ret = 0;
	struct ptf_edit *e = w->priv;

	for (; !ret && addr != end; ptep++, addr += PAGE_SIZE) {
		why = vma_why >= 0 ? vma_why :
			ptf_unshare_why(e, w->vma, addr, ptep_get(ptep));
		if (why == PTF_UNSHARE_DONE)
			e->a->out_same_pages++;
		else if (why >= 0)
			ret = ptf_edit_skip(w, addr, addr + PAGE_SIZE, why);
		else
			ret = ptf_edit_collect(w, addr, addr + PAGE_SIZE);
	}
	return ret;
}

int ptf_unshare_leaf(struct ptf_walk *w, unsigned int level, void *entry,
		     unsigned long addr, unsigned long end)
{
	pmd_t pmd = level == PTF_LEVEL_PMD ? READ_ONCE(*(pmd_t *)entry) : __pmd(0);
	int why = ptf_unshare_vma_why(w->vma);
	struct ptf_edit *e = w->priv;

	if (why >= 0)
		return ptf_edit_skip(w, addr, end, why);
	if (level == PTF_LEVEL_PMD && pmd_present(pmd) && PageAnon(pmd_page(pmd)) &&
	    PageAnonExclusive(pmd_page(pmd))) {
		e->a->out_same_pages += (end - addr) >> PAGE_SHIFT;
		return 0;
	}
	return ptf_edit_split_leaf(w, level, entry, addr, end);
}

/*
 * A hint is healed by the first call. Before 6.2 only anonymous pages know
 * FAULT_FLAG_UNSHARE: for the zero page and a file's pages it takes a write.
 */
static void ptf_unshare_one(struct ptf_edit *e, struct ptf_walk *w,
			    struct vm_area_struct *vma, unsigned long addr)
{
	static const unsigned int flags[] = {
		FAULT_FLAG_UNSHARE, FAULT_FLAG_UNSHARE, FAULT_FLAG_WRITE,
	};
	struct ptf_space *sp = ptf_space_find_get(w->mm);
	vm_fault_t ret = 0;
	unsigned int i;
	int why;

	for (i = 0; i < ARRAY_SIZE(flags) && !(ret & VM_FAULT_ERROR); i++) {
		if (sp)
			ptf_stash_restore(sp, w->mm, addr, e->t);
		why = ptf_unshare_why(e, vma, addr, ptf_migrate_entry(w->mm, addr));
		if (why != -1)
			break;
		ret = ptf_migrate_fault(vma, addr, flags[i]);
	}
	why = ptf_unshare_why(e, vma, addr, ptf_migrate_entry(w->mm, addr));
	if (sp)
		ptf_space_put(sp);
	if (why == PTF_UNSHARE_DONE)
		e->a->out_done_pages++;
	else if (ret & VM_FAULT_OOM)
		ptf_edit_skip(w, addr, addr + PAGE_SIZE, PTF_SKIP_NOSPACE);
	else
		ptf_edit_skip(w, addr, addr + PAGE_SIZE, why < 0 ? PTF_SKIP_BUSY : why);
}

void ptf_unshare_work(struct ptf_edit *e, struct ptf_walk *w)
{
	struct ptf_batch *b = e->batch;
	struct vm_area_struct *vma;
	unsigned long addr;
	unsigned int i;

	for (i = 0; i < b->nr; i++) {
		vma = find_vma(w->mm, b->run[i].start);
		for (addr = b->run[i].start; addr < b->run[i].end; addr += PAGE_SIZE) {
			ptf_unshare_one(e, w, vma, addr);
			cond_resched();
		}
		/* what was a hint may be none now */
		ptf_mark_rearm_now(w->mm, b->run[i].start, b->run[i].end);
	}
}

/* ---- ZAP ---- */

/*
 * May entries of this VMA be dropped, so that its driver's fault handler is asked
 * again? A mapping whose driver has none would be lost; if it has no operations
 * at all, core mm would even take it for anonymous memory.
 */
int ptf_zap_refusal(struct vm_area_struct *vma)
{
	if (ptf_vma_is_special(vma))
		return PTF_SKIP_SPECIAL;
	if (is_vm_hugetlb_page(vma))
		return PTF_SKIP_HUGETLB;
	if (ptf_vma_is_secretmem(vma))
		return PTF_SKIP_SECRETMEM;
	if (!(vma->vm_flags & (VM_PFNMAP | VM_IO)) || !vma->vm_ops || !vma->vm_ops->fault)
		return PTF_SKIP_KIND;
	return -1;
}

/* A private copy of a driver's page is data. */
static bool ptf_zap_is_copy(struct vm_area_struct *vma, pte_t pte)
{
	struct page *page;

	if (!ptf_vma_is_cow(vma))
		return false;
	if (!pte_present(pte))
		return true;
	page = ptf_edit_page(pte);
	return page && pfn_valid(pte_pfn(pte)) && PageAnon(page);
}

int ptf_zap_ptes(struct ptf_walk *w, pte_t *ptep, unsigned long addr, unsigned long end)
{
	int ret = 0;
	pte_t pte;

	for (; !ret && addr != end; ptep++, addr += PAGE_SIZE) {
		pte = ptep_get(ptep);
		if (pte_none(pte))
			ret = ptf_edit_skip(w, addr, addr + PAGE_SIZE, PTF_SKIP_EMPTY);
		else if (ptf_zap_is_copy(w->vma, pte))
			ret = ptf_edit_skip(w, addr, addr + PAGE_SIZE, PTF_SKIP_KIND);
		else
			ret = ptf_edit_collect(w, addr, addr + PAGE_SIZE);
	}
	return ret;
}

/* A huge entry goes as a whole: what is left of it comes back by faults, too. */
int ptf_zap_leaf(struct ptf_walk *w, unsigned int level, void *entry,
		 unsigned long addr, unsigned long end)
{
	return ptf_edit_collect(w, addr, end);
}

void ptf_zap_work(struct ptf_edit *e, struct ptf_walk *w)
{
	struct ptf_batch *b = e->batch;
	unsigned int i;

	/* no fault comes in between: the VMA is write-locked since the walk */
	for (i = 0; i < b->nr; i++) {
		ptf_vma_zap(find_vma(w->mm, b->run[i].start), b->run[i].start, b->run[i].end);
		e->a->out_done_pages += (b->run[i].end - b->run[i].start) >> PAGE_SHIFT;
		cond_resched();
	}
}
