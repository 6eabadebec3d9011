// SPDX-License-Identifier: GPL-2.0-only
/*
 * Edits of single entries, under the lock of their table. An entry that is
 * written here is always one that core mm itself could have written: it will
 * meet fork, reclaim, mprotect, migration and exit the next instant.
 */
#include <linux/mm.h>
#include <linux/rmap.h>
#include "edit.h"
#include "rule.h"
#include "space.h"
#include "arch/x86.h"

/**
 * ptf_edit_skip() - leave pages alone and say why
 * @w: the walk
 * @addr: first of them
 * @end: first address behind
 * @why: enum ptf_skip
 *
 * Return: 0, or PTF_WALK_STOP if all must be served
 */
int ptf_edit_skip(struct ptf_walk *w, unsigned long addr, unsigned long end, int why)
{
	struct ptf_edit *e = w->priv;

	if (e->first_skip < 0)
		e->first_skip = why;
	e->a->out_skipped_pages[why] += (end - addr) >> PAGE_SHIFT;
	if (!e->dry)
		return 0;
	w->next = addr;
	return PTF_WALK_STOP;
}

int ptf_edit_skip_leaf(struct ptf_walk *w, unsigned int level, void *entry,
		       unsigned long addr, unsigned long end)
{
	return ptf_edit_skip(w, addr, end, PTF_SKIP_THP);
}

/*
 * Pinned for DMA, as far as the reference count tells. For file pages the
 * references of their mappings are no pins, however many there are.
 */
static noinline bool ptf_edit_pinned_slow(struct folio *folio, struct page *page,
					  bool large)
{
	if (!folio_maybe_dma_pinned(folio))
		return false;
	if (folio_test_anon(folio) || large)
		return true;
	return folio_ref_count(folio) - (int)ptf_page_mapcount(folio, page) >=
	       GUP_PIN_COUNTING_BIAS;
}

bool ptf_edit_page_pinned(struct folio *folio, struct page *page)
{
	return ptf_edit_pinned_slow(folio, page, folio_test_large(folio));
}

static __always_inline bool ptf_edit_pinned(struct folio *folio, struct page *page,
					    bool large)
{
	if (!large && likely(folio_ref_count(folio) < GUP_PIN_COUNTING_BIAS))
		return false;
	return ptf_edit_pinned_slow(folio, page, large);
}

/* Why a page can't become a hint, or -1. */
static __always_inline int ptf_edit_hint_why(struct vm_area_struct *vma, pte_t pte,
					     bool *large)
{
	struct page *page = ptf_edit_page(pte);
	struct folio *folio;

	if (ptf_vma_uffd_rwp(vma) && ptf_pte_uffd(pte))
		return PTF_SKIP_FOREIGN;
	*large = false;
	if (!page) {
		/* the zero page is shared by all and safe to hint, others not */
		return is_zero_pfn(pte_pfn(pte)) ? -1 : PTF_SKIP_SPECIAL;
	}
	folio = page_folio(page);
	*large = folio_test_large(folio);
	return ptf_edit_pinned(folio, page, *large) ? PTF_SKIP_PINNED : -1;
}

int ptf_edit_absent_why(pte_t pte)
{
	return pte_none(pte) ? PTF_SKIP_EMPTY : PTF_SKIP_SWAPPED;
}

/* Who took this entry, if it is one that was taken; NULL if not. */
struct ptf_target *ptf_edit_stasher(struct ptf_edit *e, unsigned long addr, pte_t pte)
{
	struct ptf_target *owner = NULL;
	struct ptf_space *sp;
	pte_t old;

	if (pte_none(pte))
		return NULL;
	sp = ptf_space_find_get(e->t->mm);
	if (sp) {
		owner = ptf_stash_find(sp, addr, &old);
		ptf_space_put(sp);
	}
	return owner;
}

/* NOTPRESENT: present entries become hints. */
int ptf_edit_hint_ptes(struct ptf_walk *w, pte_t *ptep, unsigned long addr,
		       unsigned long end)
{
	struct ptf_edit *e = w->priv;
	unsigned long done = 0, nr_large = 0;
	struct ptf_target *owner;
	bool many_nodes = nr_online_nodes > 1;
	bool dry = e->dry, large;
	int why, ret = 0;
	pte_t pte;

	for (; addr != end; ptep++, addr += PAGE_SIZE) {
		pte = ptep_get(ptep);
		if (unlikely(!pte_present(pte))) {
			owner = ptf_edit_stasher(e, addr, pte);
			if (owner == e->t) {
				e->a->out_same_pages++;
				continue;
			}
			ret = ptf_edit_skip(w, addr, addr + PAGE_SIZE, owner ?
					    PTF_SKIP_FOREIGN : ptf_edit_absent_why(pte));
			if (ret)
				break;
			continue;
		}
		if (pte_protnone(pte)) {
			e->a->out_same_pages++;
			continue;
		}
		why = ptf_edit_hint_why(w->vma, pte, &large);
		if (unlikely(why >= 0)) {
			ret = ptf_edit_skip(w, addr, addr + PAGE_SIZE, why);
			if (ret)
				break;
			continue;
		}
		if (unlikely(large | many_nodes)) {
			/*
			 * Pages of large folios, and all pages where there are
			 * several nodes, come back right only if we heal them
			 * ourselves: that must be armed first.
			 */
			if (!e->exact) {
				e->need = PTF_NEED_EXACT;
				w->next = addr;
				ret = PTF_WALK_BREAK;
				break;
			}
			nr_large += !(e->t->armed & PTF_ARM_EXACT);
		}
		done++;
		if (dry)
			continue;
		/*
		 * Cleared first, as an atomic exchange, so that dirty and
		 * accessed bits that a CPU sets meanwhile are not lost.
		 */
		pte = ptep_get_and_clear(w->mm, addr, ptep);
		set_pte_at(w->mm, addr, ptep, ptf_arch_pte_mkhint(pte));
	}
	e->a->out_done_pages += done;
	e->a->out_large_pages += nr_large;
	if (done && !dry)
		e->need_flush = true;
	return ret;
}

/* One page, if it is present and may be a hint. The caller flushes. */
bool ptf_edit_hint_one(struct vm_area_struct *vma, pte_t *ptep, unsigned long addr)
{
	pte_t pte = ptep_get(ptep);
	bool large;

	if (!pte_present(pte) || pte_protnone(pte) || ptf_edit_hint_why(vma, pte, &large) >= 0)
		return false;
	pte = ptep_get_and_clear(vma->vm_mm, addr, ptep);
	set_pte_at(vma->vm_mm, addr, ptep, ptf_arch_pte_mkhint(pte));
	return true;
}

/*
 * May a hint come back writable without a fault? What core mm asks in
 * can_change_pte_writable(): a private page must be ours alone, a shared one
 * must be dirty already (else the file system wants to hear of the write), and
 * neither userfaultfd nor soft-dirty tracking may wait for that write.
 */
static bool ptf_edit_may_write(struct vm_area_struct *vma, pte_t hint,
			       struct page *page)
{
	if (!(vma->vm_flags & VM_WRITE) || ptf_pte_uffd(hint))
		return false;
	if (ptf_arch_pte_was_writable(hint))
		return true;
	if (IS_ENABLED(CONFIG_MEM_SOFT_DIRTY) &&
	    !(vma->vm_flags & VM_SOFTDIRTY) && !pte_soft_dirty(hint))
		return false;
	if (!(vma->vm_flags & VM_SHARED))
		return page && PageAnon(page) && PageAnonExclusive(page);
	return pte_dirty(hint);
}

/* Make a hint what it was. Nothing was mapped, nothing to flush. */
bool ptf_edit_unhint_one(struct vm_area_struct *vma, pte_t *ptep, unsigned long addr)
{
	pte_t pte = ptep_get(ptep);

	if (!pte_present(pte) || !pte_protnone(pte))
		return false;
	if (ptf_vma_uffd_rwp(vma) && ptf_pte_uffd(pte))
		return false;
	pte = ptep_get_and_clear(vma->vm_mm, addr, ptep);
	pte = ptf_arch_pte_unhint(pte, vma->vm_page_prot,
				  ptf_edit_may_write(vma, pte, ptf_edit_page(pte)));
	set_pte_at(vma->vm_mm, addr, ptep, pte);
	return true;
}

/*
 * An edit of a present entry in place: what all of WRPROTECT, WRUNPROTECT, OLD
 * and CLEAN share. @one answers 1 changed, 0 was so already, or a negative
 * ~(enum ptf_skip).
 */
static __always_inline int
ptf_edit_present(struct ptf_walk *w, pte_t *ptep, unsigned long addr, unsigned long end,
		 int (*one)(struct ptf_walk *w, pte_t *ptep, unsigned long addr, pte_t pte))
{
	struct ptf_edit *e = w->priv;
	pte_t pte;
	int did;

	for (; addr != end; ptep++, addr += PAGE_SIZE) {
		pte = ptep_get(ptep);
		if (!pte_present(pte))
			did = ~ptf_edit_absent_why(pte);
		else if (ptf_vma_uffd_rwp(w->vma) && ptf_pte_uffd(pte))
			did = ~PTF_SKIP_FOREIGN;
		else
			did = one(w, ptep, addr, pte);
		if (did > 0) {
			e->a->out_done_pages++;
			if (!e->dry)
				e->need_flush = true;
		} else if (!did) {
			e->a->out_same_pages++;
		} else if (ptf_edit_skip(w, addr, addr + PAGE_SIZE, ~did)) {
			return PTF_WALK_STOP;
		}
	}
	return 0;
}

static bool ptf_edit_dry(struct ptf_walk *w)
{
	return ((struct ptf_edit *)w->priv)->dry;
}

/* Write permission off. Whoever heals a hint decides anew whether it has any. */
static int ptf_edit_wrprotect_one(struct ptf_walk *w, pte_t *ptep, unsigned long addr,
				  pte_t pte)
{
	if (!(w->vma->vm_flags & VM_WRITE))
		return ~PTF_SKIP_READONLY;
	if (pte_protnone(pte))
		return ~PTF_SKIP_KIND;
	if (!pte_write(pte))
		return 0;
	if (ptf_edit_dry(w))
		return 1;
	pte = ptep_get_and_clear(w->mm, addr, ptep);
	set_pte_at(w->mm, addr, ptep, pte_wrprotect(pte));
	return 1;
}

int ptf_edit_wrprotect_ptes(struct ptf_walk *w, pte_t *ptep, unsigned long addr,
			    unsigned long end)
{
	return ptf_edit_present(w, ptep, addr, end, ptf_edit_wrprotect_one);
}

/* Write permission on, where the next write fault would give it without a copy. */
static int ptf_edit_wrunprotect_one(struct ptf_walk *w, pte_t *ptep, unsigned long addr,
				    pte_t pte)
{
	if (!(w->vma->vm_flags & VM_WRITE))
		return ~PTF_SKIP_READONLY;
	if (pte_protnone(pte))
		return ~PTF_SKIP_KIND;
	if (pte_write(pte))
		return 0;
	if (!ptf_edit_may_write(w->vma, pte, ptf_edit_page(pte)))
		return ~PTF_SKIP_KIND;
	if (ptf_edit_dry(w))
		return 1;
	pte = ptep_get_and_clear(w->mm, addr, ptep);
	set_pte_at(w->mm, addr, ptep, ptf_pte_mkwrite(pte));
	return 1;
}

int ptf_edit_wrunprotect_ptes(struct ptf_walk *w, pte_t *ptep, unsigned long addr,
			      unsigned long end)
{
	return ptf_edit_present(w, ptep, addr, end, ptf_edit_wrunprotect_one);
}

/* Accessed bit off; the CPU sets it again on the next use. */
static int ptf_edit_old_one(struct ptf_walk *w, pte_t *ptep, unsigned long addr, pte_t pte)
{
	/* a hint always counts as accessed, as core mm makes them */
	if (pte_protnone(pte))
		return ~PTF_SKIP_KIND;
	if (!pte_young(pte))
		return 0;
	if (ptf_edit_dry(w))
		return 1;
	pte = ptep_get_and_clear(w->mm, addr, ptep);
	set_pte_at(w->mm, addr, ptep, pte_mkold(pte));
	return 1;
}

int ptf_edit_old_ptes(struct ptf_walk *w, pte_t *ptep, unsigned long addr,
		      unsigned long end)
{
	return ptf_edit_present(w, ptep, addr, end, ptf_edit_old_one);
}

static int ptf_edit_clean_why(pte_t pte)
{
	struct page *page = ptf_edit_page(pte);

	if (!page || PageAnon(page) || pte_protnone(pte))
		return PTF_SKIP_KIND;
	return -1;
}

static int ptf_edit_clean_one(struct ptf_walk *w, pte_t *ptep, unsigned long addr,
			      pte_t pte)
{
	if (ptf_edit_clean_why(pte) >= 0)
		return ~PTF_SKIP_KIND;
	if (!pte_write(pte) && !pte_dirty(pte))
		return 0;
	if (ptf_edit_dry(w))
		return 1;
	/* write permission first; what is dirty is looked at after the flush */
	pte = ptep_get_and_clear(w->mm, addr, ptep);
	set_pte_at(w->mm, addr, ptep, pte_wrprotect(pte));
	return 1;
}

/*
 * CLEAN: the entry's dirty bit moves to the folio. In three steps, all under
 * the table's lock: write-protect; flush, so that no CPU can write through a
 * translation of before, unseen; then move the bits.
 */
int ptf_edit_clean_ptes(struct ptf_walk *w, pte_t *ptep, unsigned long addr,
			unsigned long end)
{
	struct ptf_edit *e = w->priv;
	unsigned long stop;
	pte_t pte;
	int ret;

	ret = ptf_edit_present(w, ptep, addr, end, ptf_edit_clean_one);
	if (!e->need_flush)
		return ret;
	ptf_tlb_flush_all();
	e->need_flush = false;
	e->a->out_flushes++;
	for (stop = end; addr != stop; ptep++, addr += PAGE_SIZE) {
		pte = ptep_get(ptep);
		if (!pte_present(pte) || !pte_dirty(pte) || pte_write(pte) ||
		    ptf_edit_clean_why(pte) >= 0)
			continue;
		folio_mark_dirty(page_folio(ptf_edit_page(pte)));
		pte = ptep_get_and_clear(w->mm, addr, ptep);
		set_pte_at(w->mm, addr, ptep, pte_mkclean(pte));
	}
	return ret;
}

/* Restoring takes the table's lock itself: collect first, restore after. */
static void ptf_edit_note_stash(struct ptf_edit *e, unsigned long addr)
{
	if (!e->stash_nr++)
		e->stash_start = addr;
	e->stash_end = addr + PAGE_SIZE;
}

/* "Nothing to do": with the reasons why a page can't be served. */
#define PTF_UNHINT_SAME	PTF_SKIP_NR

/*
 * Why an entry can't become what it was, or -1. @sp: where pages are marked. A mark
 * keeps its pages closed, whoever asks: it has an advice of its own that ends it.
 * UNPOISON has ended the caller's poison before, and is about nothing else.
 */
static int ptf_edit_unhint_why(struct ptf_walk *w, struct ptf_space *sp,
			       unsigned long addr, pte_t pte)
{
	struct ptf_edit *e = w->priv;
	bool unpoison = e->a->advice == PTF_ADV_UNPOISON;
	struct ptf_target *owner;
	u32 marks;

	if (pte_present(pte) && !pte_protnone(pte))
		return PTF_UNHINT_SAME;
	if (!pte_present(pte)) {
		owner = ptf_edit_stasher(e, addr, pte);
		if (!owner)
			return ptf_edit_absent_why(pte);
		if (unpoison)
			return owner == e->t ? PTF_UNHINT_SAME : PTF_SKIP_FOREIGN;
	} else if (ptf_vma_uffd_rwp(w->vma) && ptf_pte_uffd(pte)) {
		return PTF_SKIP_FOREIGN;
	}
	marks = sp ? ptf_mark_find(sp, addr, false) : 0;
	if (!marks)
		return -1;
	return unpoison && !(marks & PTF_MARK_POISON) ? PTF_UNHINT_SAME : PTF_SKIP_FOREIGN;
}

/* PRESENT: hints and stashed entries become what they were. */
int ptf_edit_unhint_ptes(struct ptf_walk *w, pte_t *ptep, unsigned long addr,
			 unsigned long end)
{
	/* who marks pages closes them later, and for that needs this table's lock */
	struct ptf_space *sp = ptf_mark_space_get(w->mm);
	struct ptf_edit *e = w->priv;
	int why, ret = 0;
	pte_t pte;

	for (; addr != end; ptep++, addr += PAGE_SIZE) {
		pte = ptep_get(ptep);
		why = ptf_edit_unhint_why(w, sp, addr, pte);
		if (why == PTF_UNHINT_SAME) {
			e->a->out_same_pages++;
			continue;
		}
		if (why >= 0) {
			ret = ptf_edit_skip(w, addr, addr + PAGE_SIZE, why);
			if (ret)
				break;
			continue;
		}
		e->a->out_done_pages++;
		if (e->dry)
			continue;
		if (pte_present(pte))
			ptf_edit_unhint_one(w->vma, ptep, addr);
		else
			ptf_edit_note_stash(e, addr);
	}
	if (sp)
		ptf_space_put(sp);
	return ret;
}

/* Why a page can't be stashed, or -1. */
static int ptf_edit_stash_why(struct vm_area_struct *vma, pte_t pte)
{
	struct page *page = ptf_edit_page(pte);
	bool large;

	if (!page)
		return is_zero_pfn(pte_pfn(pte)) ? PTF_SKIP_KIND : PTF_SKIP_SPECIAL;
	/* ksmd replaces pages behind everybody's back; let it have them alone */
	if (PageAnon(page) && folio_test_ksm(page_folio(page)))
		return PTF_SKIP_KIND;
	/* a driver's pages, which it may replace without telling anybody */
	if (vma->vm_flags & VM_MIXEDMAP)
		return PTF_SKIP_SPECIAL;
	return ptf_edit_hint_why(vma, pte, &large);
}

/* STASH: entries are taken away. mmap_lock and the VMA are write-locked. */
int ptf_edit_stash_ptes(struct ptf_walk *w, pte_t *ptep, unsigned long addr,
			unsigned long end)
{
	struct ptf_edit *e = w->priv;
	struct ptf_target *owner;
	struct ptf_stash *s;
	pte_t pte;
	int why;

	for (; addr != end; ptep++, addr += PAGE_SIZE) {
		pte = ptep_get(ptep);
		if (pte_present(pte)) {
			why = ptf_edit_stash_why(w->vma, pte);
		} else {
			owner = ptf_edit_stasher(e, addr, pte);
			if (owner == e->t) {
				e->a->out_same_pages++;
				continue;
			}
			why = owner ? PTF_SKIP_FOREIGN : ptf_edit_absent_why(pte);
		}
		if (why >= 0) {
			if (ptf_edit_skip(w, addr, addr + PAGE_SIZE, why))
				return PTF_WALK_STOP;
			continue;
		}
		if (e->dry) {
			e->a->out_done_pages++;
			continue;
		}
		s = e->pool;
		if (!s) {
			e->need = PTF_NEED_POOL;
			w->next = addr;
			return PTF_WALK_BREAK;
		}
		e->pool = s->next;
		s->owner = e->t;
		if (ptf_stash_take(e->t->space, w->mm, addr, ptep, s)) {
			s->next = e->pool;
			e->pool = s;
			if (e->busy++ < PTF_STASH_TRIES) {
				e->need = PTF_NEED_WAIT;
				w->next = addr;
				return PTF_WALK_BREAK;
			}
			if (ptf_edit_skip(w, addr, addr + PAGE_SIZE, PTF_SKIP_BUSY))
				return PTF_WALK_STOP;
			continue;
		}
		e->busy = 0;
		e->need_flush = true;
		e->a->out_done_pages++;
	}
	return 0;
}

/* ---- huge pages, as a whole or split first ---- */

/* Pages for work that has to wait until no page table is locked. */
int ptf_edit_collect(struct ptf_walk *w, unsigned long addr, unsigned long end)
{
	struct ptf_edit *e = w->priv;
	struct ptf_batch *b = e->batch;
	struct ptf_batch_run *last = b->nr ? &b->run[b->nr - 1] : NULL;

	if (e->dry) {
		e->a->out_done_pages += (end - addr) >> PAGE_SHIFT;
		return 0;
	}
	b->pages += (end - addr) >> PAGE_SHIFT;
	if (last && last->end == addr && addr != w->vma->vm_start)
		last->end = end;
	else
		b->run[b->nr++] = (struct ptf_batch_run){ addr, end };
	if (b->nr < PTF_BATCH_RUNS && b->pages < PTF_BATCH_PAGES)
		return 0;
	w->next = end;
	return PTF_WALK_BREAK;
}

/* Why a leaf can't be worked on at all, or -1. */
static int ptf_edit_leaf_why(struct ptf_walk *w, unsigned int level, pmd_t pmd)
{
	if (level != PTF_LEVEL_PMD)
		return PTF_SKIP_THP;
	if (!pmd_present(pmd))
		return PTF_SKIP_SWAPPED;
	/* a driver's huge pages are not counted as others are */
	if (w->vma->vm_flags & VM_MIXEDMAP)
		return PTF_SKIP_SPECIAL;
	if (ptf_vma_uffd_rwp(w->vma) && ptf_pmd_uffd(pmd))
		return PTF_SKIP_FOREIGN;
	return -1;
}

/* A leaf is edited as one if that is asked for and all of it is in the range. */
static bool ptf_edit_leaf_whole(struct ptf_edit *e, unsigned long addr, unsigned long end)
{
	return e->a->flags & PTF_ADVISE_F_PMD && end - addr == PMD_SIZE;
}

/* The shared huge zero page is the only one in such a VMA that is not anonymous. */
static bool ptf_edit_leaf_zero(struct vm_area_struct *vma, pmd_t pmd)
{
	return vma_is_anonymous(vma) && !PageAnon(pmd_page(pmd));
}

static bool ptf_edit_leaf_pinned(struct vm_area_struct *vma, pmd_t pmd)
{
	struct page *page = pmd_page(pmd);

	return !ptf_edit_leaf_zero(vma, pmd) && ptf_edit_page_pinned(page_folio(page), page);
}

/*
 * Split first, if that is asked for, then come back for the entries. Entries of
 * a file's huge page would be empty then: it is left alone.
 */
static int ptf_edit_leaf_split(struct ptf_walk *w, pmd_t pmd, unsigned long addr,
			       unsigned long end)
{
	struct ptf_edit *e = w->priv;

	if (!(e->a->flags & PTF_ADVISE_F_SPLIT) || !vma_is_anonymous(w->vma))
		return ptf_edit_skip(w, addr, end, PTF_SKIP_THP);
	if (ptf_edit_leaf_pinned(w->vma, pmd))
		return ptf_edit_skip(w, addr, end, PTF_SKIP_PINNED);
	if (ptf_edit_leaf_zero(w->vma, pmd) &&
	    (e->a->advice == PTF_ADV_STASH || e->a->advice == PTF_ADV_MIGRATE))
		return ptf_edit_skip(w, addr, end, PTF_SKIP_KIND);
	if (e->dry) {
		e->a->out_done_pages += (end - addr) >> PAGE_SHIFT;
		return 0;
	}
	if (e->split_failed && !((e->split_addr ^ addr) & PMD_MASK))
		return ptf_edit_skip(w, addr, end, PTF_SKIP_BUSY);
	e->split = true;
	e->split_addr = addr;
	w->next = addr;
	return PTF_WALK_BREAK;
}

/* For advice that has nothing to do with a leaf but to split it. */
int ptf_edit_split_leaf(struct ptf_walk *w, unsigned int level, void *entry,
			unsigned long addr, unsigned long end)
{
	pmd_t pmd = level == PTF_LEVEL_PMD ? READ_ONCE(*(pmd_t *)entry) : __pmd(0);
	int why = ptf_edit_leaf_why(w, level, pmd);

	if (why >= 0)
		return ptf_edit_skip(w, addr, end, why);
	return ptf_edit_leaf_split(w, pmd, addr, end);
}

static int ptf_edit_leaf_did(struct ptf_walk *w, unsigned long addr, unsigned long end)
{
	struct ptf_edit *e = w->priv;

	e->a->out_done_pages += (end - addr) >> PAGE_SHIFT;
	if (!e->dry)
		e->need_flush = true;
	return 0;
}

static int ptf_edit_leaf_same(struct ptf_walk *w, unsigned long addr, unsigned long end)
{
	struct ptf_edit *e = w->priv;

	e->a->out_same_pages += (end - addr) >> PAGE_SHIFT;
	return 0;
}

int ptf_edit_hint_leaf(struct ptf_walk *w, unsigned int level, void *entry,
		       unsigned long addr, unsigned long end)
{
	pmd_t *pmdp = entry, pmd = level == PTF_LEVEL_PMD ? READ_ONCE(*pmdp) : __pmd(0);
	int why = ptf_edit_leaf_why(w, level, pmd);
	struct ptf_edit *e = w->priv;

	if (why >= 0)
		return ptf_edit_skip(w, addr, end, why);
	if (pmd_protnone(pmd))
		return ptf_edit_leaf_same(w, addr, end);
	if (!ptf_edit_leaf_whole(e, addr, end))
		return ptf_edit_leaf_split(w, pmd, addr, end);
	if (ptf_edit_leaf_pinned(w->vma, pmd))
		return ptf_edit_skip(w, addr, end, PTF_SKIP_PINNED);
	/* one fault brings all of them back, whoever heals */
	e->a->out_large_pages += PTRS_PER_PMD;
	if (!e->dry) {
		pmd = ptf_arch_pmd_take(w->vma, addr, pmdp);
		ptf_arch_pmd_set(w->vma, addr, pmdp, ptf_arch_pmd_mkhint(pmd));
	}
	return ptf_edit_leaf_did(w, addr, end);
}

/*
 * A huge page as a whole, if it is present and may be a hint. Its table is locked,
 * and the caller flushes. @dry: only asks.
 */
bool ptf_edit_hint_pmd(struct vm_area_struct *vma, pmd_t *pmdp, unsigned long addr, bool dry)
{
	pmd_t pmd = READ_ONCE(*pmdp);

	if (!pmd_present(pmd) || pmd_protnone(pmd) || vma->vm_flags & VM_MIXEDMAP ||
	    (ptf_vma_uffd_rwp(vma) && ptf_pmd_uffd(pmd)) || ptf_edit_leaf_pinned(vma, pmd))
		return false;
	if (dry)
		return true;
	pmd = ptf_arch_pmd_take(vma, addr & PMD_MASK, pmdp);
	ptf_arch_pmd_set(vma, addr & PMD_MASK, pmdp, ptf_arch_pmd_mkhint(pmd));
	return true;
}

/* May a leaf be writable without a fault? See ptf_edit_may_write(). */
static bool ptf_edit_leaf_may_write(struct vm_area_struct *vma, pmd_t pmd)
{
	if (!(vma->vm_flags & VM_WRITE) || ptf_pmd_uffd(pmd))
		return false;
	if (pmd_protnone(pmd) && ptf_arch_pmd_was_writable(pmd))
		return true;
	if (IS_ENABLED(CONFIG_MEM_SOFT_DIRTY) &&
	    !(vma->vm_flags & VM_SOFTDIRTY) && !pmd_soft_dirty(pmd))
		return false;
	if (!(vma->vm_flags & VM_SHARED))
		return PageAnon(pmd_page(pmd)) && PageAnonExclusive(pmd_page(pmd));
	return pmd_dirty(pmd);
}

/* Make a huge page's hint what it was; its table is locked. Nothing to flush. */
bool ptf_edit_unhint_pmd(struct vm_area_struct *vma, pmd_t *pmdp, unsigned long addr)
{
	pmd_t pmd = READ_ONCE(*pmdp);

	if (!pmd_present(pmd) || !pmd_protnone(pmd) || vma->vm_flags & VM_MIXEDMAP)
		return false;
	if (ptf_vma_uffd_rwp(vma) && ptf_pmd_uffd(pmd))
		return false;
	pmd = ptf_arch_pmd_unhint(pmd, vma->vm_page_prot, ptf_edit_leaf_may_write(vma, pmd));
	ptf_arch_pmd_set(vma, addr, pmdp, pmd);
	return true;
}

/* PRESENT: the hint of a huge page is undone as a whole, whatever the range. */
int ptf_edit_unhint_leaf(struct ptf_walk *w, unsigned int level, void *entry,
			 unsigned long addr, unsigned long end)
{
	pmd_t *pmdp = entry, pmd = level == PTF_LEVEL_PMD ? READ_ONCE(*pmdp) : __pmd(0);
	int why = ptf_edit_leaf_why(w, level, pmd);
	struct ptf_edit *e = w->priv;

	if (why >= 0)
		return ptf_edit_skip(w, addr, end, why);
	if (!pmd_protnone(pmd))
		return ptf_edit_leaf_same(w, addr, end);
	/* as a whole: for a mark anywhere in it */
	if (ptf_mark_any(w->mm, addr & PMD_MASK, (addr & PMD_MASK) + PMD_SIZE))
		return ptf_edit_skip(w, addr, end, PTF_SKIP_FOREIGN);
	e->a->out_done_pages += (end - addr) >> PAGE_SHIFT;
	if (!e->dry)
		ptf_edit_unhint_pmd(w->vma, pmdp, addr);
	return 0;
}

int ptf_edit_wrprotect_leaf(struct ptf_walk *w, unsigned int level, void *entry,
			    unsigned long addr, unsigned long end)
{
	pmd_t *pmdp = entry, pmd = level == PTF_LEVEL_PMD ? READ_ONCE(*pmdp) : __pmd(0);
	int why = ptf_edit_leaf_why(w, level, pmd);
	struct ptf_edit *e = w->priv;

	if (why < 0 && !(w->vma->vm_flags & VM_WRITE))
		why = PTF_SKIP_READONLY;
	if (why >= 0)
		return ptf_edit_skip(w, addr, end, why);
	if (!ptf_edit_leaf_whole(e, addr, end))
		return ptf_edit_leaf_split(w, pmd, addr, end);
	if (pmd_protnone(pmd))
		return ptf_edit_skip(w, addr, end, PTF_SKIP_KIND);
	if (!pmd_write(pmd))
		return ptf_edit_leaf_same(w, addr, end);
	if (!e->dry) {
		pmd = ptf_arch_pmd_take(w->vma, addr, pmdp);
		ptf_arch_pmd_set(w->vma, addr, pmdp, pmd_wrprotect(pmd));
	}
	return ptf_edit_leaf_did(w, addr, end);
}

int ptf_edit_wrunprotect_leaf(struct ptf_walk *w, unsigned int level, void *entry,
			      unsigned long addr, unsigned long end)
{
	pmd_t *pmdp = entry, pmd = level == PTF_LEVEL_PMD ? READ_ONCE(*pmdp) : __pmd(0);
	int why = ptf_edit_leaf_why(w, level, pmd);
	struct ptf_edit *e = w->priv;

	if (why < 0 && !(w->vma->vm_flags & VM_WRITE))
		why = PTF_SKIP_READONLY;
	if (why >= 0)
		return ptf_edit_skip(w, addr, end, why);
	if (!ptf_edit_leaf_whole(e, addr, end))
		return ptf_edit_leaf_split(w, pmd, addr, end);
	if (!pmd_protnone(pmd) && pmd_write(pmd))
		return ptf_edit_leaf_same(w, addr, end);
	if (pmd_protnone(pmd) || !ptf_edit_leaf_may_write(w->vma, pmd))
		return ptf_edit_skip(w, addr, end, PTF_SKIP_KIND);
	if (!e->dry) {
		pmd = ptf_arch_pmd_take(w->vma, addr, pmdp);
		ptf_arch_pmd_set(w->vma, addr, pmdp, ptf_pmd_mkwrite(pmd));
	}
	return ptf_edit_leaf_did(w, addr, end);
}

int ptf_edit_old_leaf(struct ptf_walk *w, unsigned int level, void *entry,
		      unsigned long addr, unsigned long end)
{
	pmd_t *pmdp = entry, pmd = level == PTF_LEVEL_PMD ? READ_ONCE(*pmdp) : __pmd(0);
	int why = ptf_edit_leaf_why(w, level, pmd);
	struct ptf_edit *e = w->priv;

	if (why >= 0)
		return ptf_edit_skip(w, addr, end, why);
	if (!ptf_edit_leaf_whole(e, addr, end))
		return ptf_edit_leaf_split(w, pmd, addr, end);
	if (pmd_protnone(pmd))
		return ptf_edit_skip(w, addr, end, PTF_SKIP_KIND);
	if (!pmd_young(pmd))
		return ptf_edit_leaf_same(w, addr, end);
	if (!e->dry) {
		pmd = ptf_arch_pmd_take(w->vma, addr, pmdp);
		ptf_arch_pmd_set(w->vma, addr, pmdp, pmd_mkold(pmd));
	}
	return ptf_edit_leaf_did(w, addr, end);
}
