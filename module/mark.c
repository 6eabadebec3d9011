// SPDX-License-Identifier: GPL-2.0-only
/*
 * Pages that are to fault again and again: STICKY and POISON. Owns which ranges
 * those are, and that their pages are hints whenever nobody has a right to have
 * them open. What a fault on one becomes is action.c's, single steps are
 * step.c's.
 *
 * A mark is a range, not a set of pages: a page that is faulted in there later
 * is marked too. It ends with the mapping: what is mapped at the same addresses
 * afterwards is other memory. The pages themselves are hints, which core mm may heal on its own
 * account (mprotect) or replace (migration). After it has worked on a marked
 * range we look again, a moment later and not in the notifier: there, no mmap_lock
 * is held, and migration puts its page back after the notifier's end.
 *
 * Core mm may put a huge page there, too: khugepaged and MADV_COLLAPSE out of the
 * small ones, or a fault where there was nothing. One entry can't be open for one
 * page and closed for the next: anonymous memory is split again. What can't be, and
 * memory of files, whose small entries would be empty, becomes a hint as a whole.
 */
#include <linux/mm.h>
#include <linux/mmap_lock.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/workqueue.h>
#include "edit.h"
#include "rule.h"
#include "space.h"
#include "compat.h"

/* Until core mm's work on a range is done, as a rule. */
#define PTF_MARK_DELAY	1
/* Migration may take longer: once more, then. */
#define PTF_MARK_AGAIN	(HZ / 20)

static unsigned long ptf_mark_rearm_locked(struct ptf_space *sp, struct mm_struct *mm,
					   unsigned long start, unsigned long stop);

static struct ptf_mark *ptf_mark_of(struct ptf_span *span)
{
	return container_of(span, struct ptf_mark, span);
}

/* Kinds of marks over a page; @count: a fault on a sticky one has come. */
u32 ptf_mark_find(struct ptf_space *sp, unsigned long addr, bool count)
{
	struct ptf_span *s;
	struct ptf_mark *m;
	u32 kinds = 0;

	spin_lock(&sp->rlock);
	for (s = ptf_span_iter_first(&sp->marks, addr, addr); s;
	     /* most have one: no need to look for the next */
	     s = sp->nr_marks > 1 ? ptf_span_iter_next(s, addr, addr) : NULL) {
		m = ptf_mark_of(s);
		kinds |= m->kind;
		if (count && m->kind == PTF_MARK_STICKY)
			atomic64_inc(&m->q->sticky_hits);
	}
	spin_unlock(&sp->rlock);
	return kinds;
}

/* The space of an address space in which pages are marked; NULL: none are. */
struct ptf_space *ptf_mark_space_get(struct mm_struct *mm)
{
	struct ptf_space *sp = ptf_space_find_get(mm);

	if (sp && !READ_ONCE(sp->nr_marks)) {
		ptf_space_put(sp);
		sp = NULL;
	}
	return sp;
}

static bool ptf_mark_overlaps(struct ptf_space *sp, unsigned long start, unsigned long end)
{
	bool any;

	spin_lock(&sp->rlock);
	any = ptf_span_iter_first(&sp->marks, start, end - 1);
	spin_unlock(&sp->rlock);
	return any;
}

/* Is any page of a range marked, by whomever? */
bool ptf_mark_any(struct mm_struct *mm, unsigned long start, unsigned long end)
{
	struct ptf_space *sp = ptf_mark_space_get(mm);
	bool any;

	if (!sp)
		return false;
	any = ptf_mark_overlaps(sp, start, end);
	ptf_space_put(sp);
	return any;
}

static struct ptf_mark *ptf_mark_create(struct ptf_target *t, unsigned long start,
					unsigned long last, u32 kind)
{
	struct ptf_mark *m = kzalloc(sizeof(*m), GFP_KERNEL_ACCOUNT);

	if (!m)
		return NULL;
	m->span.start = start;
	m->span.last = last;
	m->t = t;
	m->q = t->s->q;
	ptf_queue_get(m->q);
	m->kind = kind;
	return m;
}

static void ptf_mark_free(struct ptf_mark *m)
{
	if (!m)
		return;
	ptf_queue_put(m->q);
	kfree(m);
}

static void ptf_mark_insert(struct ptf_space *sp, struct ptf_mark *m)
{
	lockdep_assert_held(&sp->rlock);
	ptf_span_insert(&m->span, &sp->marks);
	WRITE_ONCE(sp->nr_marks, sp->nr_marks + 1);
	WRITE_ONCE(sp->mark_gen, sp->mark_gen + 1);
}

static void ptf_mark_erase(struct ptf_space *sp, struct ptf_mark *m)
{
	lockdep_assert_held(&sp->rlock);
	ptf_span_remove(&m->span, &sp->marks);
	WRITE_ONCE(sp->nr_marks, sp->nr_marks - 1);
	WRITE_ONCE(sp->mark_gen, sp->mark_gen + 1);
}

/* A mark of @t's of that kind that overlaps; sp->rlock is held. */
static struct ptf_mark *ptf_mark_first(struct ptf_target *t, unsigned long start,
				       unsigned long last, u32 kind)
{
	struct ptf_space *sp = t->space;
	struct ptf_span *s;
	struct ptf_mark *m;

	for (s = ptf_span_iter_first(&sp->marks, start, last); s;
	     s = ptf_span_iter_next(s, start, last)) {
		m = ptf_mark_of(s);
		if (m->t == t && m->kind & kind)
			return m;
	}
	return NULL;
}

/*
 * Return: 0 or -ENOMEM, nothing changed. The target is armed. @merged: some of it
 * was marked already.
 */
int ptf_mark_add(struct ptf_target *t, unsigned long start, unsigned long end, u32 kind,
		 bool *merged)
{
	struct ptf_space *sp = t->space;
	struct ptf_mark *m, *old;

	*merged = false;
	m = ptf_mark_create(t, start, end - 1, kind);
	if (!m)
		return -ENOMEM;
	spin_lock(&sp->rlock);
	/* one page is marked once by each target, or it would be counted twice */
	while ((old = ptf_mark_first(t, m->span.start, m->span.last, kind))) {
		*merged = true;
		ptf_mark_erase(sp, old);
		m->span.start = min(m->span.start, old->span.start);
		m->span.last = max(m->span.last, old->span.last);
		spin_unlock(&sp->rlock);
		ptf_mark_free(old);
		spin_lock(&sp->rlock);
	}
	ptf_mark_insert(sp, m);
	spin_unlock(&sp->rlock);
	return 0;
}

/**
 * ptf_mark_remove() - take marks of a target away
 * @t: target
 * @start: first address
 * @end: first address behind
 * @kind: PTF_MARK_* bits
 *
 * Return: 0 or -ENOMEM: what is left of a mark on both sides needs a second one
 */
int ptf_mark_remove(struct ptf_target *t, unsigned long start, unsigned long end, u32 kind)
{
	unsigned long last = end - 1;
	struct ptf_space *sp = t->space;
	struct ptf_mark *m, *tail;

	if (!sp || !READ_ONCE(sp->nr_marks))
		return 0;
	for (;;) {
		/* nothing allocates under the lock: have one at hand */
		tail = ptf_mark_create(t, start, last, kind);
		if (!tail)
			return -ENOMEM;
		spin_lock(&sp->rlock);
		m = ptf_mark_first(t, start, last, kind);
		if (!m) {
			spin_unlock(&sp->rlock);
			ptf_mark_free(tail);
			return 0;
		}
		ptf_mark_erase(sp, m);
		if (m->span.last > last) {
			tail->kind = m->kind;
			tail->span.start = end;
			tail->span.last = m->span.last;
			ptf_mark_insert(sp, tail);
			tail = NULL;
		}
		if (m->span.start < start) {
			m->span.last = start - 1;
			ptf_mark_insert(sp, m);
			m = NULL;
		}
		spin_unlock(&sp->rlock);
		ptf_mark_free(m);
		ptf_mark_free(tail);
	}
}

/*
 * A range is being unmapped: it is marked no more. Called by the notifier; if
 * memory for what is left on the far side can't be had, that is marked no more
 * either, which is the safe way to fail.
 */
void ptf_mark_unmapped(struct ptf_space *sp, unsigned long start, unsigned long end)
{
	struct ptf_mark *m, *tail;
	struct ptf_span *s;

	spin_lock(&sp->rlock);
	while ((s = ptf_span_iter_first(&sp->marks, start, end - 1))) {
		m = ptf_mark_of(s);
		ptf_mark_erase(sp, m);
		if (m->span.last >= end) {
			tail = kmemdup(m, sizeof(*m), GFP_ATOMIC);
			if (tail) {
				ptf_queue_get(tail->q);
				tail->span.start = end;
				ptf_mark_insert(sp, tail);
			}
		}
		if (m->span.start < start) {
			m->span.last = start - 1;
			ptf_mark_insert(sp, m);
		} else {
			/* never the last reference: the session has one */
			ptf_mark_free(m);
		}
	}
	spin_unlock(&sp->rlock);
}

static int ptf_mark_open_ptes(struct ptf_walk *w, pte_t *ptep, unsigned long addr,
			      unsigned long end)
{
	struct ptf_space *sp = w->priv;

	for (; addr != end; ptep++, addr += PAGE_SIZE)
		if (!ptf_mark_find(sp, addr, false))
			ptf_edit_unhint_one(w->vma, ptep, addr);
	return 0;
}

static int ptf_mark_open_leaf(struct ptf_walk *w, unsigned int level, void *entry,
			      unsigned long addr, unsigned long end)
{
	unsigned long leaf = addr & PMD_MASK;

	if (level == PTF_LEVEL_PMD && !ptf_mark_overlaps(w->priv, leaf, leaf + PMD_SIZE))
		ptf_edit_unhint_pmd(w->vma, entry, leaf);
	return 0;
}

static int ptf_mark_no_hole(struct ptf_walk *w, unsigned long addr, unsigned long end)
{
	return 0;
}

/* Marked no more: no need to wait for a fault. mmap_lock is held. */
static void ptf_mark_open(struct ptf_space *sp, struct mm_struct *mm, unsigned long start,
			  unsigned long stop)
{
	struct ptf_walk w = {
		.mm = mm,
		.priv = sp,
		.ptes = ptf_mark_open_ptes,
		.leaf = ptf_mark_open_leaf,
		.hole = ptf_mark_no_hole,
	};

	while (start < stop) {
		w.vma = find_vma(mm, start);
		if (!w.vma || w.vma->vm_start >= stop)
			break;
		start = max(start, w.vma->vm_start);
		w.next = min(stop, w.vma->vm_end);
		if (ptf_vma_refusal(w.vma) < 0)
			ptf_walk_range(&w, start, w.next);
		start = w.next;
		cond_resched();
	}
}

/**
 * ptf_mark_drop_target() - a target is reset: its marks go
 * @t: target
 * @open: mmap_lock is held, have the pages open again. Those that somebody tracks
 *	stay hints until their next access: they would become writable unseen.
 */
void ptf_mark_drop_target(struct ptf_target *t, bool open)
{
	struct ptf_space *sp = t->space;
	struct ptf_mark *m;

	while (READ_ONCE(sp->nr_marks)) {
		spin_lock(&sp->rlock);
		m = ptf_mark_first(t, 0, ULONG_MAX, ~0U);
		if (m)
			ptf_mark_erase(sp, m);
		spin_unlock(&sp->rlock);
		if (!m)
			break;
		if (open && !READ_ONCE(sp->tracked))
			ptf_mark_open(sp, t->mm, m->span.start, m->span.last + 1);
		ptf_mark_free(m);
	}
}

/* Is there a huge page that is open? mmap_lock or the VMA's lock is held. */
static bool ptf_mark_leaf_open(struct vm_area_struct *vma, unsigned long addr)
{
	spinlock_t *ptl;
	pmd_t *pmdp = ptf_leaf_lock(vma->vm_mm, addr, &ptl);
	bool open;

	if (!pmdp)
		return false;
	open = ptf_edit_hint_pmd(vma, pmdp, addr, true);
	ptf_leaf_unlock(ptl);
	return open;
}

/*
 * Marked pages lie in huge pages: close all of these. No page table is locked,
 * mmap_lock is held.
 */
static noinline void ptf_mark_close_leaves(struct mm_struct *mm, const unsigned long *addr,
					   unsigned int nr)
{
	unsigned long start;
	unsigned int i;

	for (i = 0; i < nr; i++) {
		start = addr[i] & PMD_MASK;
		ptf_mark_rearm_now(mm, start, start + PMD_SIZE);
	}
}

/**
 * ptf_mark_hint() - make hints of single pages, if they are present
 * @mm: address space, mmap_lock held for reading
 * @sp: only pages that are marked there; NULL: all
 * @addr: pages
 * @nr: how many
 *
 * Context: may sleep.
 */
void ptf_mark_hint(struct mm_struct *mm, struct ptf_space *sp, const unsigned long *addr,
		   unsigned int nr)
{
	bool flush = false, leaves = false;
	struct vm_area_struct *vma;
	spinlock_t *ptl;
	unsigned int i;
	pte_t *ptep;

	inc_tlb_flush_pending(mm);
	for (i = 0; i < nr; i++) {
		if (sp && !ptf_mark_find(sp, addr[i], false))
			continue;
		vma = vma_lookup(mm, addr[i]);
		if (!vma || ptf_vma_refusal(vma) >= 0)
			continue;
		ptep = ptf_entry_lock(mm, addr[i], &ptl);
		if (unlikely(!ptep)) {
			leaves |= ptf_mark_leaf_open(vma, addr[i]);
			continue;
		}
		flush |= ptf_edit_hint_one(vma, ptep, addr[i]);
		ptf_entry_unlock(ptl);
	}
	/* a hint that was there may be another's that has not flushed yet */
	if (flush || mm_tlb_flush_nested(mm))
		ptf_tlb_flush_all();
	dec_tlb_flush_pending(mm);
	if (unlikely(leaves))
		ptf_mark_close_leaves(mm, addr, nr);
}

/* What a read fault on a file maps around its page, at most, unless told more. */
#define PTF_AROUND	SZ_64K

/* A fault may map all of a large folio: make the range that big, in its table. */
static void ptf_mark_with_folio(struct vm_area_struct *vma, unsigned long addr,
				unsigned long *start, unsigned long *end)
{
	unsigned long first, behind;
	struct page *page = NULL;
	spinlock_t *ptl;
	pte_t *ptep, pte;

	ptep = ptf_entry_lock(vma->vm_mm, addr, &ptl);
	if (!ptep)
		return;
	pte = ptep_get(ptep);
	if (pte_present(pte))
		page = ptf_edit_page(pte);
	if (page) {
		ptf_edit_folio_range(page, addr, &first, &behind);
		*start = min(*start, first);
		*end = max(*end, behind);
	}
	ptf_entry_unlock(ptl);
}

/*
 * A fault has been served, and its locks are held still: it may have mapped
 * marked pages beside its own, which close at once. A huge page can't be split
 * here: by the thread itself, if it steps, and by the worker.
 */
void ptf_mark_close_around(struct ptf_fault *f)
{
	unsigned long addr = f->address & PAGE_MASK, start, end, page;
	struct vm_area_struct *vma = f->vma;
	struct mm_struct *mm = vma->vm_mm;
	struct ptf_space *sp = f->sp;
	bool flush = false, any;
	spinlock_t *ptl;
	pte_t *ptep;

	if (ptf_vma_refusal(vma) >= 0)
		return;
	start = ALIGN_DOWN(addr, PTF_AROUND);
	end = start + PTF_AROUND;
	ptf_mark_with_folio(vma, addr, &start, &end);
	start = max(start, vma->vm_start);
	end = min(end, vma->vm_end);
	any = ptf_mark_overlaps(sp, start, end);
	if (unlikely(ptf_mark_leaf_open(vma, addr))) {
		/* who has faulted on a sticky page closes what it has opened */
		if (!f->sticky)
			ptf_mark_rearm(sp, addr & PMD_MASK, (addr & PMD_MASK) + PMD_SIZE);
		return;
	}
	if (!any)
		return;
	inc_tlb_flush_pending(mm);
	for (page = start; page < end; page += PAGE_SIZE) {
		if (page == addr || ptf_step_has(page) || !ptf_mark_find(sp, page, false))
			continue;
		ptep = ptf_entry_lock(mm, page, &ptl);
		if (!ptep)
			break;
		flush |= ptf_edit_hint_one(vma, ptep, page);
		ptf_entry_unlock(ptl);
	}
	if (flush)
		ptf_tlb_flush_all();
	dec_tlb_flush_pending(mm);
}

/* ---- looking again after core mm ---- */

/**
 * struct ptf_rearm - what a walk over marked pages has found
 * @flush: pages were closed
 * @split: an address in a huge page that is in the way, 0 if none
 * @whole: first address behind the one that can't be split
 */
struct ptf_rearm {
	bool flush;
	unsigned long split;
	unsigned long whole;
};

static int ptf_mark_rearm_ptes(struct ptf_walk *w, pte_t *ptep, unsigned long addr,
			       unsigned long end)
{
	struct ptf_rearm *r = w->priv;

	for (; addr != end; ptep++, addr += PAGE_SIZE)
		r->flush |= ptf_edit_hint_one(w->vma, ptep, addr);
	return 0;
}

static int ptf_mark_rearm_leaf(struct ptf_walk *w, unsigned int level, void *entry,
			       unsigned long addr, unsigned long end)
{
	struct ptf_rearm *r = w->priv;

	if (level != PTF_LEVEL_PMD)
		return 0;
	if (addr < r->whole || !vma_is_anonymous(w->vma)) {
		r->flush |= ptf_edit_hint_pmd(w->vma, entry, addr, false);
		return 0;
	}
	if (!ptf_edit_hint_pmd(w->vma, entry, addr, true))
		return 0;
	r->split = addr;
	w->next = addr;
	return PTF_WALK_BREAK;
}

/* The part of the first mark in a range; false: there is none. */
static bool ptf_mark_next(struct ptf_space *sp, unsigned long *start, unsigned long *end,
			  unsigned long stop)
{
	struct ptf_span *first;

	spin_lock(&sp->rlock);
	/* the tree is in the order of their beginnings */
	first = ptf_span_iter_first(&sp->marks, *start, stop - 1);
	if (first) {
		*start = max(*start, first->start);
		*end = min(stop, first->last + 1);
	}
	spin_unlock(&sp->rlock);
	return first;
}

/* mmap_lock is held. Answers where it stopped. */
static unsigned long ptf_mark_rearm_locked(struct ptf_space *sp, struct mm_struct *mm,
					   unsigned long start, unsigned long stop)
{
	struct ptf_rearm r = { };
	struct ptf_walk w = {
		.mm = mm,
		.priv = &r,
		.ptes = ptf_mark_rearm_ptes,
		.leaf = ptf_mark_rearm_leaf,
		.hole = ptf_mark_no_hole,
	};
	struct vm_area_struct *vma;
	unsigned long end;
	int ret = 0;

	inc_tlb_flush_pending(mm);
	while (!ret && start < stop && ptf_mark_next(sp, &start, &end, stop)) {
		vma = find_vma(mm, start);
		if (!vma || vma->vm_start >= end) {
			start = end;
			continue;
		}
		start = max(start, vma->vm_start);
		end = min(end, vma->vm_end);
		if (ptf_vma_refusal(vma) < 0) {
			w.vma = vma;
			ret = ptf_walk_range(&w, start, end);
			end = w.next;
		}
		if (r.split) {
			unsigned long leaf = r.split & PMD_MASK;

			/* the walk has let go of its locks; all of it was open */
			if (ptf_migrate_split(vma, r.split)) {
				r.whole = leaf + PMD_SIZE;
			} else {
				end = max(leaf, vma->vm_start);
				stop = max(stop, min(leaf + PMD_SIZE, vma->vm_end));
			}
			r.split = 0;
			ret = 0;
		}
		start = end;
	}
	if (r.flush)
		ptf_tlb_flush_all();
	dec_tlb_flush_pending(mm);
	return ret ? start : stop;
}

/* What core mm has opened at our command is closed before that returns. mmap_lock is held. */
void ptf_mark_rearm_now(struct mm_struct *mm, unsigned long start, unsigned long end)
{
	struct ptf_space *sp = ptf_mark_space_get(mm);

	if (!sp)
		return;
	while (start < end) {
		start = ptf_mark_rearm_locked(sp, mm, start, end);
		cond_resched();
	}
	ptf_space_put(sp);
}

static void ptf_mark_rearm_fn(struct work_struct *work)
{
	struct ptf_space *sp = container_of(to_delayed_work(work), struct ptf_space, rearm);
	unsigned long start, stop;
	bool again;

	spin_lock(&sp->rlock);
	start = sp->rearm_start;
	stop = sp->rearm_end;
	again = sp->rearm_again;
	sp->rearm_again = false;
	if (!again) {
		sp->rearm_start = ULONG_MAX;
		sp->rearm_end = 0;
	}
	spin_unlock(&sp->rlock);
	/* the space is alive, and so is its mm until its notifier goes */
	if (start < stop && mmget_not_zero(sp->mm)) {
		while (start < stop && READ_ONCE(sp->nr_marks)) {
			mmap_read_lock(sp->mm);
			start = ptf_mark_rearm_locked(sp, sp->mm, start, stop);
			mmap_read_unlock(sp->mm);
			cond_resched();
		}
		mmput_async(sp->mm);
	}
	if (again && queue_delayed_work(ptf_wq, &sp->rearm, PTF_MARK_AGAIN))
		return;
	ptf_space_put(sp);
}

/* Core mm has worked on a range. Any context that may take spinlocks. */
void ptf_mark_rearm(struct ptf_space *sp, unsigned long start, unsigned long end)
{
	spin_lock(&sp->rlock);
	if (ptf_span_iter_first(&sp->marks, start, end - 1)) {
		sp->rearm_start = min(sp->rearm_start, start);
		sp->rearm_end = max(sp->rearm_end, end);
		sp->rearm_again = true;
		refcount_inc(&sp->refs);
		if (!queue_delayed_work(ptf_wq, &sp->rearm, PTF_MARK_DELAY))
			refcount_dec(&sp->refs);	/* it has one already */
	}
	spin_unlock(&sp->rlock);
}

void ptf_mark_space_init(struct ptf_space *sp)
{
	sp->marks = RB_ROOT_CACHED;
	sp->rearm_start = ULONG_MAX;
	INIT_DELAYED_WORK(&sp->rearm, ptf_mark_rearm_fn);
}
