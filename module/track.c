// SPDX-License-Identifier: GPL-2.0-only
/*
 * Write tracking: which pages of an address space have been written. Owns what
 * is tracked, what is known of it, and the three commands. Core mm's work on
 * entries comes in from space.c, faults from fault.c.
 *
 * Theory of operation
 *
 * The truth is the dirty bit of an entry, which the CPU sets on the first write
 * through it. It is taken off when a page begins to be tracked (what it said
 * goes to the folio first, nothing of the content may be lost), and again when
 * a write has been reported and taken. A bitmap beside the page tables keeps
 * what an entry that went had said. A page counts as written if its entry is
 * dirty, or its bit is set.
 *
 * Write permission is taken off together with the dirty bit. Not for the CPU's
 * sake, but for those who write pages without going through the entry:
 * get_user_pages() asks for write permission, then writes the frame. Without it
 * they come through the fault handler, which sets the dirty bit. Core mm gives
 * write permission back on occasions that are no write (mprotect(), MADV_FREE, a
 * read fault): it is taken off again at once, at the end of a notifier's window
 * or of the fault, and where we can we see to it that it isn't given at all.
 *
 * What must not be lost, and how
 * - Core mm takes an entry away (reclaim, migration, zap, KSM): it tells its
 *   notifiers first, and the entry's dirty bit goes to the bitmap. From then to
 *   the moment when it really goes the CPU may still write through it: if it is
 *   dirty that is known already; if not, it is not writable (see above; if it is
 *   it is made so), and the write is a fault. Faults that write set the bit in
 *   the bitmap as they end. Between the entry's dirty bit and that there is a
 *   gap, in which core mm may take the entry away and another thread may have
 *   written through it: so notifiers also set the bits of all write faults under
 *   way, and a fault that begins while core mm is at work sets its own at once.
 * - An entry is changed from dirty to clean in three steps under its table's
 *   lock: no write permission; flush; clean. If it were clean before the flush
 *   reclaim or writeback would trust that and skip their own flush, while some
 *   CPU still writes through a translation of before.
 * - Kernel memory for the bitmap is there before a page is: a fault brings it
 *   along. What appears in another way (UFFDIO_COPY, mremap) has it when it is
 *   first looked at. If it could not be had in a notifier, which may not wait,
 *   then all pages count as written once.
 *
 * What must not be invented, and how
 * - Core mm marks entries dirty that nobody has written: all of a huge page, or
 *   of a large folio, for one write. So none is mapped where writes are tracked:
 *   huge pages that are there are split; a fault finds a page table in place,
 *   and so never maps a huge page; where anonymous memory is empty it finds the
 *   zero page, which is copied page by page; and what else may come as a large
 *   folio is mapped by a read first and then written. khugepaged finds a page
 *   of the range in use and gives up.
 * - Shared memory would be mapped writable, and newer kernels call it dirty then
 *   (set_pte_range()), when it is only read. vm_page_prot without write
 *   permission, as soft-dirty tracking has it as well, makes it a fault.
 *
 * What is left
 * - Too much: a huge page of a file that something else than a fault has mapped
 *   (MADV_COLLAPSE), or of a range that was moved there (mremap), counts as a
 *   whole; so does a large folio of a file that is unmapped in the moment between
 *   our look at the entry and core mm's. A read fault whose page was gone again
 *   before it returned counts as a write, if it came from swap.
 * - Too little: who holds a pin from before a page was taken writes unseen, and
 *   so does a KVM guest through its own tables. While mprotect() runs, from the
 *   moment it gives permission to its end, a pin that get_user_pages_fast() gets
 *   of a clean page is as old as that; and a page that reclaim had begun to take
 *   before mprotect() came to it, and finishes before that ends, is lost if it was
 *   written between the two. GUP with FOLL_FORCE writes to a private page of a
 *   mapping that is not writable without a fault and without a dirty bit (a
 *   debugger's breakpoint). What khugepaged reads in from swap to collapse it is
 *   writable and clean until the next fault or notifier.
 *
 * Soft-dirty and userfaultfd's bits are left as they are.
 */
#include <linux/bitmap.h>
#include <linux/delay.h>
#include <linux/mm.h>
#include <linux/mmap_lock.h>
#include <linux/oom.h>
#include <linux/overflow.h>
#include <linux/rmap.h>
#include <linux/rwsem.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/sched/task.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/userfaultfd_k.h>
#include <linux/workqueue.h>
#include "edit.h"
#include "report.h"
#include "rule.h"
#include "space.h"
#include "walk.h"
#include "arch/x86.h"

/* Ranges put together between two copies to the user. */
#define PTF_TRACK_RANGES	128
/* Threads whose stacks are left out in one look. */
#define PTF_TRACK_THREADS	256
/* How often a huge page is asked to split. */
#define PTF_TRACK_SPLITS	8
/* Pages kept from khugepaged at a time. */
#define PTF_TRACK_HELD		16

/* Pages of one last-level table that were written, as far as entries don't say. */
struct ptf_track_chunk {
	DECLARE_BITMAP(written, PTRS_PER_PTE);
	struct rcu_head rcu;
};

/* Address ranges, sorted and apart; replaced as a whole, under RCU. */
struct ptf_track_spans {
	struct rcu_head rcu;
	unsigned int nr;
	struct ptf_track_span {
		unsigned long start;
		unsigned long end;
	} v[];
};

/**
 * struct ptf_tracker - write tracking of an address space
 * @lock: start and stop, for writing; for reading while written pages are taken
 * @owner: target whose session tracks, or NULL
 * @spans: what is tracked
 * @chunks: struct ptf_track_chunk by address >> PMD_SHIFT
 * @all: something could not be noted: all pages count as written
 * @losses: how often core mm began to take entries away
 * @flock: @flight, @held; inside page table locks
 * @flight: write faults under way
 * @held: folios with a reference that keeps khugepaged from them
 * @nr_held: how many
 * @work: lets go of them; has a reference to the space
 * @sp: the space
 */
struct ptf_tracker {
	struct rw_semaphore lock;
	struct ptf_target *owner;
	struct ptf_track_spans __rcu *spans;
	struct xarray chunks;
	bool all;
	atomic_t losses;
	spinlock_t flock;
	struct list_head flight;
	struct folio *held[PTF_TRACK_HELD];
	unsigned int nr_held;
	struct delayed_work work;
	struct ptf_space *sp;
};

/* A write fault under way; on the faulting thread's stack. */
struct ptf_track_flight {
	struct list_head node;
	unsigned long addr;
};

/* ------------------------------------------------------------------ */
/* What is tracked                                                     */

/* The first part of what is tracked in [*start, stop); false: none. */
static bool ptf_track_next_span(struct ptf_tracker *tr, unsigned long *start,
				unsigned long *end, unsigned long stop)
{
	struct ptf_track_spans *s;
	unsigned int low = 0, high, mid;
	bool found = false;

	rcu_read_lock();
	s = rcu_dereference(tr->spans);
	high = s ? s->nr : 0;
	while (low < high) {
		mid = (low + high) / 2;
		if (s->v[mid].end <= *start)
			low = mid + 1;
		else
			high = mid;
	}
	if (s && low < s->nr && *start < stop && s->v[low].start < stop) {
		*start = max(*start, s->v[low].start);
		*end = min(stop, s->v[low].end);
		found = true;
	}
	rcu_read_unlock();
	return found;
}

static bool ptf_track_in_spans(struct ptf_tracker *tr, unsigned long start, unsigned long end)
{
	return ptf_track_next_span(tr, &start, &end, end);
}

/* May writes be tracked in a VMA of that kind? enum ptf_skip, or -1 yes. */
static int ptf_track_refusal(struct vm_area_struct *vma)
{
	int why = ptf_vma_refusal(vma);

	if (why >= 0 && why != PTF_SKIP_PROTNONE)
		return why;
	/* may become writable: tracked, but not counted */
	if (why < 0 && !(vma->vm_flags & VM_WRITE))
		why = PTF_SKIP_READONLY;
	return why;
}

static bool ptf_track_is_kind(struct vm_area_struct *vma)
{
	int why = ptf_track_refusal(vma);

	return why < 0 || why == PTF_SKIP_PROTNONE || why == PTF_SKIP_READONLY;
}

/**
 * ptf_track_run() - are writes to these pages tracked?
 * @sp: space
 * @vma: mmap_lock is held
 * @start: first page, in @vma
 * @end: first address behind; made smaller if the answer is not the same for all
 *
 * Return: true if they are
 */
bool ptf_track_run(struct ptf_space *sp, struct vm_area_struct *vma, unsigned long start,
		   unsigned long *end)
{
	struct ptf_tracker *tr = READ_ONCE(sp->tracker);
	unsigned long from = start, to;

	if (!tr || !ptf_track_is_kind(vma) || !ptf_track_next_span(tr, &from, &to, *end))
		return false;
	*end = from == start ? to : from;
	return from == start;
}

/* A copy with room for @more; the lock is held. */
static struct ptf_track_spans *ptf_track_spans_room(struct ptf_tracker *tr, unsigned int more)
{
	struct ptf_track_spans *old, *s;
	unsigned int nr;

	old = rcu_dereference_protected(tr->spans, lockdep_is_held(&tr->lock));
	nr = old ? old->nr : 0;
	s = kvzalloc(struct_size(s, v, nr + more), GFP_KERNEL_ACCOUNT);
	if (s && nr)
		memcpy(s->v, old->v, nr * sizeof(s->v[0]));
	if (s)
		s->nr = nr;
	return s;
}

static void ptf_track_spans_set(struct ptf_tracker *tr, struct ptf_track_spans *s)
{
	struct ptf_track_spans *old;

	old = rcu_replace_pointer(tr->spans, s, lockdep_is_held(&tr->lock));
	if (old)
		kvfree_rcu(old, rcu);
}

/* Take [start, end) out; needs room for one more. */
static void ptf_track_spans_cut(struct ptf_track_spans *s, unsigned long start,
				unsigned long end)
{
	unsigned int i, to = 0, nr = s->nr;
	struct ptf_track_span v, tail = {};

	for (i = 0; i < nr; i++) {
		v = s->v[i];
		if (v.start < end && start < v.end) {
			if (v.end > end) {
				tail.start = end;
				tail.end = v.end;
			}
			if (v.start >= start)
				continue;
			v.end = start;
		}
		s->v[to++] = v;
	}
	s->nr = to;
	if (!tail.end)
		return;
	for (i = to; i > 0 && s->v[i - 1].start > tail.start; i--)
		s->v[i] = s->v[i - 1];
	s->v[i] = tail;
	s->nr++;
}

/* Put [start, end) in; needs room for one more. */
static void ptf_track_spans_add(struct ptf_track_spans *s, unsigned long start,
				unsigned long end)
{
	unsigned int i, to = 0, nr = s->nr;

	for (i = 0; i < nr; i++) {
		if (s->v[i].start <= end && start <= s->v[i].end) {
			start = min(start, s->v[i].start);
			end = max(end, s->v[i].end);
			continue;
		}
		s->v[to++] = s->v[i];
	}
	for (i = to; i > 0 && s->v[i - 1].start > start; i--)
		s->v[i] = s->v[i - 1];
	s->v[i].start = start;
	s->v[i].end = end;
	s->nr = to + 1;
}

/* ------------------------------------------------------------------ */
/* What is known beside the entries                                    */

static unsigned int ptf_track_bit(unsigned long addr)
{
	return (addr & ~PMD_MASK) >> PAGE_SHIFT;
}

/* Under rcu_read_lock(). */
static struct ptf_track_chunk *ptf_track_chunk(struct ptf_tracker *tr, unsigned long addr)
{
	return xa_load(&tr->chunks, addr >> PMD_SHIFT);
}

/* Have the bits of a table. Return: 0 or -ENOMEM */
static int ptf_track_chunk_make(struct ptf_tracker *tr, unsigned long addr, gfp_t gfp)
{
	struct ptf_track_chunk *c;
	int err;

	if (xa_load(&tr->chunks, addr >> PMD_SHIFT))
		return 0;
	c = kzalloc(sizeof(*c), gfp | __GFP_ACCOUNT);
	if (!c)
		return -ENOMEM;
	err = xa_insert(&tr->chunks, addr >> PMD_SHIFT, c, gfp | __GFP_ACCOUNT);
	if (err)
		kfree(c);
	return err == -EBUSY ? 0 : err;
}

/* A page was written, and no entry may say so any more. Any context. */
static void ptf_track_record(struct ptf_tracker *tr, unsigned long addr)
{
	struct ptf_track_chunk *c;

	/* a fault may end when nothing is tracked any more */
	if (!ptf_track_in_spans(tr, addr, addr + PAGE_SIZE))
		return;
	ptf_track_chunk_make(tr, addr, GFP_NOWAIT | __GFP_NOWARN);
	rcu_read_lock();
	c = ptf_track_chunk(tr, addr);
	if (c)
		set_bit(ptf_track_bit(addr), c->written);
	else
		WRITE_ONCE(tr->all, true);
	rcu_read_unlock();
}

/* Forget all bits of [start, end), or all chunks. */
static void ptf_track_clear(struct ptf_tracker *tr, unsigned long start, unsigned long end)
{
	struct ptf_track_chunk *c;
	unsigned long i = start >> PMD_SHIFT, from, to;

	rcu_read_lock();
	xa_for_each_range(&tr->chunks, i, c, i, (end - 1) >> PMD_SHIFT) {
		from = max(start, i << PMD_SHIFT);
		to = min(end - 1, (i << PMD_SHIFT) + PMD_SIZE - 1);
		/* others set bits of the same words meanwhile */
		for (; from <= to; from += PAGE_SIZE)
			clear_bit(ptf_track_bit(from), c->written);
		rcu_read_unlock();
		cond_resched();
		rcu_read_lock();
	}
	rcu_read_unlock();
}

static void ptf_track_drop_chunks(struct ptf_tracker *tr)
{
	struct ptf_track_chunk *c;
	unsigned long i;

	xa_for_each(&tr->chunks, i, c) {
		xa_erase(&tr->chunks, i);
		kfree_rcu(c, rcu);
		cond_resched();
	}
}

/* ------------------------------------------------------------------ */
/* Entries                                                             */

/*
 * Not the zero page: it is never written, and KSM means something else by its
 * dirty bit.
 */
static bool ptf_track_is_page(pte_t pte)
{
	return pte_present(pte) && !(pte_special(pte) && is_zero_pfn(pte_pfn(pte)));
}

/* Writable, and nothing would tell of a write that does not go through it. */
static bool ptf_track_is_weak(pte_t pte)
{
	return pte_present(pte) && pte_write(pte) && !pte_dirty(pte) && ptf_edit_page(pte);
}

/* Does the entry say that the page was written? Its table is locked. */
static bool ptf_track_dirty(struct ptf_space *sp, unsigned long addr, pte_t pte)
{
	if (pte_present(pte))
		return ptf_track_is_page(pte) && pte_dirty(pte);
	if (pte_none(pte))
		return false;
	/* what was taken away is as it was */
	if (READ_ONCE(sp->nr_stash) && ptf_stash_find(sp, addr, &pte))
		return pte_dirty(pte);
	return ptf_migration_dirty(pte);
}

static void ptf_track_mark_dirty(pte_t pte)
{
	struct page *page = ptf_edit_page(pte);

	if (page)
		folio_mark_dirty(page_folio(page));
}

/* An entry that is not present: no CPU changes it, so one step does it. */
static void ptf_track_settle_absent(struct ptf_space *sp, unsigned long addr, pte_t *ptep,
				    bool clean)
{
	pte_t pte = ptep_get(ptep), old;
	struct ptf_stash *s;

	if (pte_none(pte))
		return;
	if (READ_ONCE(sp->nr_stash) && ptf_stash_find(sp, addr, &old)) {
		/* it stays while its table is locked */
		if (clean && pte_dirty(old))
			ptf_track_mark_dirty(old);
		spin_lock(&sp->lock);
		s = ptf_stash_at(sp, addr);
		if (s) {
			s->pte = pte_wrprotect(s->pte);
			if (clean)
				s->pte = pte_mkclean(s->pte);
		}
		spin_unlock(&sp->lock);
		return;
	}
	if (ptf_leaf_of(pte).leaf == PTF_LEAF_MIGRATION)
		set_pte_at(sp->mm, addr, ptep, ptf_migration_protect(pte, clean));
}

/**
 * ptf_track_settle() - take write permission, and dirty bits
 * @sp: space
 * @ptep: entry of @addr; its table is locked
 * @addr: first page
 * @end: first address behind, in the same table
 * @clean: bits of pages that become clean; NULL: none. Others lose write
 *	permission if they have it without being dirty
 */
static void ptf_track_settle(struct ptf_space *sp, pte_t *ptep, unsigned long addr,
			     unsigned long end, const unsigned long *clean)
{
	unsigned long at, nr = (end - addr) >> PAGE_SHIFT, i;
	bool flush = false, mine;
	pte_t pte;

	for (i = 0, at = addr; i < nr; i++, at += PAGE_SIZE) {
		mine = clean && test_bit(ptf_track_bit(at), clean);
		pte = ptep_get(ptep + i);
		if (!pte_present(pte)) {
			ptf_track_settle_absent(sp, at, ptep + i, mine);
			/* a CPU may go on writing through what it remembers of it */
			if (mine && ptf_mm_flush_deferred(sp->mm))
				flush = true;
			continue;
		}
		if (mine ? !ptf_track_is_page(pte) : !ptf_track_is_weak(pte))
			continue;
		if (pte_write(pte)) {
			pte = ptep_get_and_clear(sp->mm, at, ptep + i);
			set_pte_at(sp->mm, at, ptep + i, pte_wrprotect(pte));
			flush = true;
		} else if (pte_dirty(pte)) {
			/* somebody's write protection may not be flushed yet */
			flush = true;
		}
	}
	if (!flush)
		return;
	/*
	 * With the lock held: nobody sees the entries before it is true on all
	 * CPUs, so there is no flush that others might skip.
	 */
	ptf_tlb_flush_all();
	if (!clean)
		return;
	for (i = 0, at = addr; i < nr; i++, at += PAGE_SIZE) {
		pte = ptep_get(ptep + i);
		if (!test_bit(ptf_track_bit(at), clean) || !ptf_track_is_page(pte) ||
		    !pte_dirty(pte))
			continue;
		ptf_track_mark_dirty(pte);
		pte = ptep_get_and_clear(sp->mm, at, ptep + i);
		set_pte_at(sp->mm, at, ptep + i, pte_mkclean(pte));
	}
}

/* The same for a huge page. */
static void ptf_track_settle_pmd(struct ptf_space *sp, unsigned long addr, pmd_t *pmdp)
{
	pmd_t pmd = READ_ONCE(*pmdp);

	if (!pmd_present(pmd) || (!pmd_write(pmd) && !pmd_dirty(pmd)))
		return;
	if (pmd_write(pmd))
		pmdp_set_wrprotect(sp->mm, addr & PMD_MASK, pmdp);
	ptf_tlb_flush_all();
	pmd = READ_ONCE(*pmdp);
	if (!pmd_dirty(pmd))
		return;
	folio_mark_dirty(page_folio(pfn_to_page(pmd_pfn(pmd))));
	/* the CPU may set the accessed bit meanwhile */
	while (!try_cmpxchg(&pmdp->pmd, &pmd.pmd, pmd_mkclean(pmd).pmd))
		;
}

/*
 * The next entry of a PMD table that leads on, at or behind *addr. No locks: the
 * tables of the range can't go, or the caller may not call. NULL: none.
 */
static pmd_t *ptf_track_next_pmd(struct mm_struct *mm, unsigned long *addr, unsigned long end)
{
	pgd_t *pgd;
	p4d_t *p4d;
	pud_t *pud;
	pmd_t *pmd;

	while (*addr < end) {
		pgd = pgd_offset(mm, *addr);
		if (pgtable_l5_enabled() && !ptf_arch_entry_is_table(pgd_val(READ_ONCE(*pgd)))) {
			*addr = pgd_addr_end(*addr, end);
			continue;
		}
		p4d = p4d_offset(pgd, *addr);
		if (!ptf_arch_entry_is_table(p4d_val(READ_ONCE(*p4d)))) {
			*addr = p4d_addr_end(*addr, end);
			continue;
		}
		pud = pud_offset(p4d, *addr);
		if (!ptf_arch_entry_is_table(pud_val(READ_ONCE(*pud)))) {
			*addr = pud_addr_end(*addr, end);
			continue;
		}
		pmd = pmd_offset(pud, *addr);
		if (!pmd_none(READ_ONCE(*pmd)))
			return pmd;
		*addr = pmd_addr_end(*addr, end);
	}
	return NULL;
}

/* ------------------------------------------------------------------ */
/* Core mm at work                                                     */

static void ptf_track_queue(struct ptf_space *sp)
{
	refcount_inc(&sp->refs);
	if (!queue_delayed_work(ptf_wq, &sp->tracker->work, 1))
		refcount_dec(&sp->refs);	/* it has one already */
}

/*
 * khugepaged is about to make a huge page of this range, all dirty. A page that
 * somebody else holds makes it give up; a moment is enough. The table is locked.
 */
static bool ptf_track_hold(struct ptf_tracker *tr, pte_t pte)
{
	struct page *page = ptf_track_is_page(pte) ? ptf_edit_page(pte) : NULL;
	bool held = false;

	if (!page || !PageAnon(page))
		return false;
	spin_lock(&tr->flock);
	if (tr->nr_held < PTF_TRACK_HELD) {
		tr->held[tr->nr_held] = page_folio(page);
		folio_get(tr->held[tr->nr_held++]);
		held = true;
	}
	spin_unlock(&tr->flock);
	return held;
}

/* What the entries of one table say is noted; they are about to go. */
static void ptf_track_note(struct ptf_space *sp, unsigned long addr, unsigned long end,
			   bool collapse)
{
	struct ptf_tracker *tr = sp->tracker;
	struct ptf_track_chunk *c;
	unsigned long at = addr;
	bool weak = false;
	spinlock_t *ptl;
	pte_t *ptep, pte;

	if (ptf_track_chunk_make(tr, addr, GFP_NOWAIT | __GFP_NOWARN))
		WRITE_ONCE(tr->all, true);
	ptep = ptf_entry_lock(sp->mm, addr, &ptl);
	if (!ptep)
		return;
	c = ptf_track_chunk(tr, addr);
	for (; at != end; at += PAGE_SIZE) {
		pte = ptep_get(ptep + ((at - addr) >> PAGE_SHIFT));
		if (ptf_track_dirty(sp, at, pte)) {
			if (c)
				set_bit(ptf_track_bit(at), c->written);
		} else if (ptf_track_is_weak(pte)) {
			weak = true;
		}
		if (collapse && ptf_track_hold(tr, pte))
			collapse = false;
	}
	/* a write from now on must be a fault */
	if (weak)
		ptf_track_settle(sp, ptep, addr, end, NULL);
	ptf_entry_unlock(ptl);
}

/* A huge page that is about to go or to be split. */
static void ptf_track_note_pmd(struct ptf_space *sp, pmd_t *pmdp, unsigned long addr,
			       unsigned long end)
{
	spinlock_t *ptl = pmd_lock(sp->mm, pmdp);
	pmd_t pmd = READ_ONCE(*pmdp);
	bool dirty = pmd_present(pmd) && pmd_leaf(pmd) && pmd_dirty(pmd);

	spin_unlock(ptl);
	if (!dirty)
		return;
	for (; addr < end; addr += PAGE_SIZE)
		ptf_track_record(sp->tracker, addr);
}

/* Does it leave present entries present, and dirty ones dirty? */
static bool ptf_track_harmless(const struct mmu_notifier_range *range)
{
	return range->event == MMU_NOTIFY_PROTECTION_VMA ||
	       range->event == MMU_NOTIFY_SOFT_DIRTY;
}

/**
 * ptf_track_invalidating() - core mm is about to work on a range
 * @sp: space; its windows are counted, what was stashed in the range is back
 * @range: of the notifier
 *
 * Context: that of invalidate_range_start: tables of the range can't go.
 */
void ptf_track_invalidating(struct ptf_space *sp, const struct mmu_notifier_range *range)
{
	unsigned long addr = range->start, end = min(range->end, TASK_SIZE_MAX), stop, next;
	struct ptf_tracker *tr = sp->tracker;
	struct ptf_track_flight *f;
	bool collapse;
	pmd_t *pmd;

	if (ptf_track_harmless(range))
		return;
	atomic_inc(&tr->losses);
	spin_lock(&tr->flock);
	list_for_each_entry(f, &tr->flight, node)
		if (f->addr >= addr && f->addr < end)
			ptf_track_record(tr, f->addr);
	spin_unlock(&tr->flock);
	/* who else clears more than a page and lets nobody in? */
	collapse = range->event == MMU_NOTIFY_CLEAR && end - addr > PAGE_SIZE &&
		   ptf_mmap_write_is_mine(range->mm);
	for (; ptf_track_next_span(tr, &addr, &stop, end); addr = stop) {
		while ((pmd = ptf_track_next_pmd(sp->mm, &addr, stop))) {
			next = pmd_addr_end(addr, stop);
			if (ptf_arch_entry_is_table(pmd_val(READ_ONCE(*pmd))))
				ptf_track_note(sp, addr, next, collapse);
			else
				ptf_track_note_pmd(sp, pmd, addr, next);
			addr = next;
			if (mmu_notifier_range_blockable(range))
				cond_resched();
		}
	}
	if (collapse && READ_ONCE(tr->nr_held))
		ptf_track_queue(sp);
}

/* The same of one table, for write permission that was given without a write. */
static void ptf_track_protect_table(struct ptf_space *sp, unsigned long addr, unsigned long end)
{
	unsigned long at;
	spinlock_t *ptl;
	pte_t *ptep;

	ptep = ptf_entry_lock(sp->mm, addr, &ptl);
	if (!ptep)
		return;
	for (at = addr; at != end; at += PAGE_SIZE) {
		if (ptf_track_is_weak(ptep_get(ptep + ((at - addr) >> PAGE_SHIFT)))) {
			ptf_track_settle(sp, ptep, addr, end, NULL);
			break;
		}
	}
	ptf_entry_unlock(ptl);
}

/* ... of a range; its tables can't go. */
static void ptf_track_protect(struct ptf_space *sp, unsigned long addr, unsigned long end,
			      bool may_sleep)
{
	unsigned long stop, next;
	pmd_t *pmd;

	for (; ptf_track_next_span(sp->tracker, &addr, &stop, end); addr = stop) {
		while ((pmd = ptf_track_next_pmd(sp->mm, &addr, stop))) {
			next = pmd_addr_end(addr, stop);
			ptf_track_protect_table(sp, addr, next);
			addr = next;
			if (may_sleep)
				cond_resched();
		}
	}
}

/**
 * ptf_track_invalidated() - core mm has worked on a range
 * @sp: space
 * @range: of the notifier
 *
 * mprotect() and userfaultfd give write permission, MADV_FREE leaves it and takes
 * the dirty bit. Here and now, before anybody can make use of it.
 *
 * Context: that of invalidate_range_end: tables of the range still can't go.
 */
void ptf_track_invalidated(struct ptf_space *sp, const struct mmu_notifier_range *range)
{
	if (range->event == MMU_NOTIFY_UNMAP || range->event == MMU_NOTIFY_SOFT_DIRTY)
		return;
	ptf_track_protect(sp, range->start, min(range->end, TASK_SIZE_MAX),
			  mmu_notifier_range_blockable(range));
}

/* Let go of what was held. While mmap_lock is held nobody relies on it. */
static void ptf_track_let_go(struct ptf_tracker *tr)
{
	struct folio *held[PTF_TRACK_HELD];
	unsigned int nr;

	spin_lock(&tr->flock);
	nr = tr->nr_held;
	memcpy(held, tr->held, nr * sizeof(held[0]));
	tr->nr_held = 0;
	spin_unlock(&tr->flock);
	while (nr)
		folio_put(held[--nr]);
}

static void ptf_track_work_fn(struct work_struct *work)
{
	struct ptf_tracker *tr = container_of(to_delayed_work(work), struct ptf_tracker, work);
	struct ptf_space *sp = tr->sp;

	/* once we have mmap_lock, whoever was at work is done */
	if (mmget_not_zero(sp->mm)) {
		mmap_read_lock(sp->mm);
		ptf_track_let_go(tr);
		mmap_read_unlock(sp->mm);
		mmput_async(sp->mm);
	} else {
		ptf_track_let_go(tr);
	}
	ptf_space_put(sp);
}

/* ------------------------------------------------------------------ */
/* Faults                                                              */

/* Core mm's own entry of a page of anonymous memory that was only read. */
static void ptf_track_set_zero(struct vm_area_struct *vma, unsigned long addr, pte_t *ptep)
{
	if (pte_none(ptep_get(ptep)))
		set_pte_at(vma->vm_mm, addr, ptep,
			   pte_mkspecial(pfn_pte(page_to_pfn(ZERO_PAGE(addr)),
						 vma->vm_page_prot)));
}

struct ptf_track_fill {
	struct vm_area_struct *vma;
	bool zero;
};

static int ptf_track_fill_fn(pte_t *ptep, unsigned long addr, void *data)
{
	struct ptf_track_fill *fill = data;

	if (fill->zero)
		ptf_track_set_zero(fill->vma, addr, ptep);
	return 0;
}

/* What a fault finds, before it is handled. */
enum ptf_track_found {
	PTF_TRACK_OTHER,
	PTF_TRACK_EMPTY,
	PTF_TRACK_SWAPPED,
};

/*
 * A hint is healed here and without write permission: core mm would give it, and
 * to the neighbours as well.
 */
static void ptf_track_heal(struct ptf_space *sp, struct vm_area_struct *vma,
			   unsigned long addr, pte_t *ptep, pte_t pte)
{
	pgprot_t prot = __pgprot(pgprot_val(vma->vm_page_prot) & ~_PAGE_RW);

	if (!vma_is_accessible(vma) || (ptf_vma_uffd_rwp(vma) && ptf_pte_uffd(pte)))
		return;
	pte = ptep_get_and_clear(vma->vm_mm, addr, ptep);
	set_pte_at(vma->vm_mm, addr, ptep, ptf_arch_pte_unhint(pte, prot, false));
	atomic64_inc(&sp->healed);
}

/*
 * See to it that what a fault maps is one page, and writable only if it is
 * written. The VMA is locked.
 */
static enum ptf_track_found ptf_track_open(struct ptf_space *sp, struct vm_area_struct *vma,
					   unsigned long addr, unsigned int flags)
{
	struct ptf_track_fill fill = { .vma = vma };
	enum ptf_track_found found = PTF_TRACK_OTHER;
	unsigned long at = addr;
	spinlock_t *ptl;
	pte_t *ptep, pte;
	pmd_t *pmd;

	/* as soft-dirty tracking has it: see vma_set_page_prot() */
	if (vma->vm_flags & VM_SHARED && vma->vm_file &&
	    pgprot_val(vma->vm_page_prot) & _PAGE_RW &&
	    ptf_mapping_is_shmem(vma->vm_file->f_mapping))
		WRITE_ONCE(vma->vm_page_prot,
			   __pgprot(pgprot_val(vma->vm_page_prot) & ~_PAGE_RW));
	/* userfaultfd wants to hear of what is missing, and gets small pages only */
	if (vma_is_anonymous(vma) && PTF_FAULT_LARGE_ANON && flags & FAULT_FLAG_WRITE &&
	    !userfaultfd_armed(vma) && !check_stable_address_space(vma->vm_mm))
		fill.zero = true;
	pmd = ptf_track_next_pmd(vma->vm_mm, &at, addr + PAGE_SIZE);
	if (!pmd) {
		/*
		 * A huge page may come only where all of it is one VMA. Nobody
		 * maps one meanwhile: faults come through here, and khugepaged
		 * waits for this one to end.
		 */
		if (!fill.zero && ((addr & PMD_MASK) < vma->vm_start ||
				   (addr & PMD_MASK) + PMD_SIZE > vma->vm_end ||
				   userfaultfd_missing(vma)))
			return PTF_TRACK_EMPTY;
		if (apply_to_page_range(vma->vm_mm, addr, PAGE_SIZE, ptf_track_fill_fn, &fill))
			return PTF_TRACK_OTHER;
		return fill.zero ? PTF_TRACK_OTHER : PTF_TRACK_EMPTY;
	}
	ptep = ptf_entry_lock(vma->vm_mm, addr, &ptl);
	if (!ptep)
		return PTF_TRACK_OTHER;
	pte = ptep_get(ptep);
	if (pte_none(pte) && fill.zero) {
		ptf_track_set_zero(vma, addr, ptep);
	} else if (pte_none(pte)) {
		found = PTF_TRACK_EMPTY;
	} else if (!pte_present(pte)) {
		if (ptf_leaf_of(pte).leaf == PTF_LEAF_SWAP)
			found = PTF_TRACK_SWAPPED;
	} else if (pte_protnone(pte)) {
		ptf_track_heal(sp, vma, addr, ptep, pte);
	}
	ptf_entry_unlock(ptl);
	return found;
}

/*
 * Would a write fault map, and call dirty, a large folio? Then the page is read
 * first: that maps it too, but clean.
 */
static bool ptf_track_read_first(struct vm_area_struct *vma, unsigned long addr,
				 enum ptf_track_found found)
{
	struct ptf_filemap_entry e;
	pgoff_t index;

	if (!PTF_FAULT_LARGE || userfaultfd_armed(vma) || !(vma->vm_flags & VM_READ))
		return false;
	if (found == PTF_TRACK_SWAPPED)
		return true;
	/* a private copy is one page */
	if (found != PTF_TRACK_EMPTY || !(vma->vm_flags & VM_SHARED) || !vma->vm_file ||
	    !ptf_filemap_has_cache(vma->vm_file->f_mapping))
		return false;
	index = linear_page_index(vma, addr);
	return !ptf_filemap_next(vma->vm_file->f_mapping, index, index, &e) ||
	       e.state != PTF_FILEMAP_PRESENT || e.info.order;
}

/*
 * What a fault has made writable without a write: write-protected again. That
 * is the page itself, if it was read, and others of its folio.
 */
static void ptf_track_close(struct ptf_space *sp, struct vm_area_struct *vma,
			    unsigned long addr, bool write, bool gone_counts)
{
	unsigned long start, end;
	struct folio *folio;
	struct page *page;
	spinlock_t *ptl;
	pte_t *ptep, pte;

	ptep = ptf_entry_lock(vma->vm_mm, addr, &ptl);
	if (!ptep)
		return;
	pte = ptep_get(ptep);
	if (!pte_present(pte)) {
		/* was mapped writable, perhaps, and written, and is gone again */
		if (gone_counts)
			ptf_track_record(sp->tracker, addr);
		goto unlock;
	}
	page = ptf_track_is_page(pte) ? ptf_edit_page(pte) : NULL;
	if (!page)
		goto unlock;
	folio = page_folio(page);
	if (!write && pte_write(pte) && !pte_dirty(pte) && folio_maybe_dma_pinned(folio))
		/* it was writable for a moment, and somebody has got hold of it */
		ptf_track_record(sp->tracker, addr);
	ptf_edit_folio_range(page, addr, &start, &end);
	start = max(start, vma->vm_start);
	end = min(end, vma->vm_end);
	ptep -= (addr - start) >> PAGE_SHIFT;
	if (!write) {
		ptf_track_settle(sp, ptep, start, end, NULL);
		goto unlock;
	}
	if (start < addr)
		ptf_track_settle(sp, ptep, start, addr, NULL);
	if (end > addr + PAGE_SIZE)
		ptf_track_settle(sp, ptep + ((addr + PAGE_SIZE - start) >> PAGE_SHIFT),
				 addr + PAGE_SIZE, end, NULL);
unlock:
	ptf_entry_unlock(ptl);
}

/* Ends in the bitmap, whatever core mm does with the entry meanwhile. */
static void ptf_track_fly(struct ptf_space *sp, struct ptf_track_flight *f, unsigned long addr)
{
	struct ptf_tracker *tr = sp->tracker;
	bool windows;

	f->addr = addr;
	spin_lock(&tr->flock);
	list_add(&f->node, &tr->flight);
	/* raised before ptf_track_invalidating() takes this lock */
	windows = READ_ONCE(sp->windows);
	spin_unlock(&tr->flock);
	if (windows)
		ptf_track_record(tr, addr);
}

static void ptf_track_land(struct ptf_space *sp, struct ptf_track_flight *f, bool written)
{
	struct ptf_tracker *tr = sp->tracker;

	if (written)
		ptf_track_record(tr, f->addr);
	spin_lock(&tr->flock);
	list_del(&f->node);
	spin_unlock(&tr->flock);
}

/**
 * ptf_track_wants() - does a fault matter to write tracking?
 * @sp: space
 * @vma: locked by the caller
 * @addr: page
 *
 * Return: true for ptf_track_fault(): a page that is tracked, or has neighbours
 * that are, for whose sake too a huge page would be mapped
 */
bool ptf_track_wants(struct ptf_space *sp, struct vm_area_struct *vma, unsigned long addr)
{
	unsigned long block = addr & PMD_MASK;

	return ptf_track_in_spans(sp->tracker, block, block + PMD_SIZE) &&
	       ptf_track_is_kind(vma);
}

/**
 * ptf_track_fault() - a fault that ptf_track_wants()
 * @sp: space, with a reference
 * @vma: locked by the caller, as for handle_mm_fault()
 * @address: as accessed
 * @flags: FAULT_FLAG_*
 * @regs: of the access, or NULL
 *
 * Return: what core mm's handler, which is called from here, has answered
 */
vm_fault_t ptf_track_fault(struct ptf_space *sp, struct vm_area_struct *vma,
			   unsigned long address, unsigned int flags, struct pt_regs *regs)
{
	unsigned long addr = address & PAGE_MASK;
	bool write = flags & FAULT_FLAG_WRITE, flying;
	struct ptf_tracker *tr = sp->tracker;
	struct ptf_track_flight flight;
	enum ptf_track_found found;
	const vm_fault_t unlocked = VM_FAULT_ERROR | VM_FAULT_RETRY | VM_FAULT_COMPLETED;
	vm_fault_t ret;
	int losses;

	if (ptf_track_chunk_make(tr, addr, GFP_KERNEL))
		return VM_FAULT_OOM;
	found = ptf_track_open(sp, vma, addr, flags);
	losses = atomic_read(&tr->losses);
	if (write && ptf_track_read_first(vma, addr, found)) {
		/* the access comes again, and finds it mapped */
		write = false;
		flags &= ~FAULT_FLAG_WRITE;
	}
	flying = write && ptf_track_in_spans(tr, addr, addr + PAGE_SIZE);
	if (flying)
		ptf_track_fly(sp, &flight, addr);
	ret = ptf_hook_orig(vma, address, flags, regs);
	if (flying)
		ptf_track_land(sp, &flight,
			       !(ret & (VM_FAULT_ERROR | VM_FAULT_RETRY)));
	/* otherwise the VMA may be anybody's by now */
	if (!(ret & unlocked))
		ptf_track_close(sp, vma, addr, write, found == PTF_TRACK_SWAPPED && !write &&
				losses != atomic_read(&tr->losses));
	return ret;
}

/* ------------------------------------------------------------------ */
/* Start                                                               */

/* Where a walk of ours has to be helped on. */
#define PTF_TRACK_NEED_CHUNK	BIT(0)
#define PTF_TRACK_NEED_SPLIT	BIT(1)

/* One command at work; in ptf_walk.priv. */
struct ptf_track_job {
	struct ptf_space *sp;
	struct ptf_tracker *tr;
	u32 need;
	unsigned int splits;	/* asked for, at this place */
	/* start */
	struct ptf_ioc_track_start *a;
	struct ptf_track_spans *cut;	/* huge pages that stay */
	int first_skip;
	bool count;		/* and nothing else */
	/* read */
	struct ptf_target *t;
	bool take;
	bool all;		/* every page counts as written */
	struct ptf_range *ranges;
	unsigned int nr, cap;
	u64 pages;
};

static void ptf_track_skip(struct ptf_track_job *job, unsigned long pages, int why)
{
	if (job->first_skip < 0)
		job->first_skip = why;
	job->a->out_skipped_pages[why] += pages;
}

static int ptf_track_start_ptes(struct ptf_walk *w, pte_t *ptep, unsigned long addr,
				unsigned long end)
{
	struct ptf_track_job *job = w->priv;
	DECLARE_BITMAP(all, PTRS_PER_PTE);

	if (job->count)
		return 0;
	if (!ptf_track_chunk(job->tr, addr)) {
		job->need = PTF_TRACK_NEED_CHUNK;
		w->next = addr;
		return PTF_WALK_BREAK;
	}
	bitmap_fill(all, PTRS_PER_PTE);
	ptf_track_settle(job->sp, ptep, addr, end, all);
	return 0;
}

static int ptf_track_start_leaf(struct ptf_walk *w, unsigned int level, void *entry,
				unsigned long addr, unsigned long end)
{
	struct ptf_track_job *job = w->priv;

	if (job->count)
		return 0;
	/* where splitting drops userfaultfd's write protection it is not done */
	if (job->splits < PTF_TRACK_SPLITS && level == PTF_LEVEL_PMD &&
	    !(w->vma->vm_flags & VM_MIXEDMAP) &&
	    (vma_is_anonymous(w->vma) || !(w->vma->vm_flags & ptf_vma_uffd_flags()))) {
		job->need = PTF_TRACK_NEED_SPLIT;
		w->next = addr;
		return PTF_WALK_BREAK;
	}
	job->splits = 0;
	ptf_track_skip(job, (end - addr) >> PAGE_SHIFT, PTF_SKIP_THP);
	ptf_track_spans_add(job->cut, addr, end);
	return job->cut->nr < PTF_TRACK_RANGES ? 0 : -ENOSPC;
}

static int ptf_track_start_hole(struct ptf_walk *w, unsigned long addr, unsigned long end)
{
	return 0;
}

/* The part of the range that one VMA has, or where none is. mmap_lock is held. */
static int ptf_track_start_locked(struct ptf_walk *w, unsigned long pos, unsigned long end)
{
	struct ptf_track_job *job = w->priv;
	struct vm_area_struct *vma;
	unsigned long stop;
	int ret = 0, why;
	u64 left_out;

	while (pos < end) {
		vma = find_vma(w->mm, pos);
		if (!vma || vma->vm_start > pos) {
			stop = vma ? min(vma->vm_start, end) : end;
			ptf_track_skip(job, (stop - pos) >> PAGE_SHIFT, PTF_SKIP_HOLE);
			w->next = stop;
		} else {
			stop = min(vma->vm_end, end);
			why = ptf_track_refusal(vma);
			w->next = stop;
			if (!ptf_track_is_kind(vma)) {
				ptf_track_skip(job, (stop - pos) >> PAGE_SHIFT, why);
			} else {
				left_out = job->a->out_skipped_pages[PTF_SKIP_THP];
				w->vma = vma;
				ret = ptf_walk_range(w, pos, stop);
				left_out -= job->a->out_skipped_pages[PTF_SKIP_THP];
				if (why >= 0)
					ptf_track_skip(job, (w->next - pos) >> PAGE_SHIFT, why);
				else
					job->a->out_pages += ((w->next - pos) >> PAGE_SHIFT) +
							     left_out;
			}
		}
		pos = w->next;
		if (ret)
			return ret;
		if (pos < end && (need_resched() || fatal_signal_pending(current)))
			return PTF_WALK_BREAK;
	}
	return 0;
}

/* Begin with [start, end), all of it tracked already as far as faults know. */
static int ptf_track_start_span(struct ptf_track_job *job, unsigned long start,
				unsigned long end)
{
	struct ptf_walk w = {
		.mm = job->sp->mm,
		.priv = job,
		.ptes = ptf_track_start_ptes,
		.leaf = ptf_track_start_leaf,
		.hole = ptf_track_start_hole,
	};
	unsigned long pos = start;
	int ret;

	do {
		if (mmap_read_lock_killable(w.mm))
			return -EINTR;
		ret = ptf_track_start_locked(&w, pos, end);
		if (w.next != pos)
			job->splits = 0;
		pos = w.next;
		if (job->need & PTF_TRACK_NEED_SPLIT) {
			job->splits++;
			ptf_migrate_split(vma_lookup(w.mm, pos), pos);
		}
		mmap_read_unlock(w.mm);
		if (job->need & PTF_TRACK_NEED_SPLIT && job->splits > 1)
			usleep_range(500, 2000);	/* somebody holds it, for a moment */
		if (job->need & PTF_TRACK_NEED_CHUNK &&
		    ptf_track_chunk_make(job->tr, pos, GFP_KERNEL))
			return -ENOMEM;
		job->need = 0;
		if (fatal_signal_pending(current))
			return -EINTR;
		cond_resched();
	} while (ret == PTF_WALK_BREAK);
	if (ret < 0)
		return ret;
	/* what was noted meanwhile is what entries had said before */
	if (!job->count)
		ptf_track_clear(job->tr, start, end);
	return 0;
}

/* ---- stacks ---- */

/* Where a thread's stack pointer is, and what it knows its thread's data by. */
struct ptf_track_stack {
	unsigned long sp;
	unsigned long tls;
};

/* All threads that live in @mm, up to @cap; how many there are. */
static unsigned int ptf_track_find_stacks(struct mm_struct *mm, struct ptf_track_stack *v,
					  unsigned int cap)
{
	struct task_struct *p, *t;
	unsigned int nr = 0;

	rcu_read_lock();
	/* for_each_thread() asks for tasklist_lock where lists are checked */
	for_each_process(p) {
		list_for_each_entry_rcu(t, &p->signal->thread_head, thread_node) {
			if (READ_ONCE(t->mm) != mm || t->flags & (PF_KTHREAD | PTF_PF_WORKER))
				continue;
			/* it can't let go of its mm now, and its kernel stack goes later */
			task_lock(t);
			if (t->mm == mm) {
				if (nr < cap) {
					v[nr].sp = ptf_arch_user_sp(t);
					v[nr].tls = ptf_arch_user_tls(t);
				}
				nr++;
			}
			task_unlock(t);
		}
	}
	rcu_read_unlock();
	return nr;
}

/*
 * The stack that a stack pointer lies in. The mapping may be more than that:
 * neighbours of the same kind are merged. What begins at its start and ends with
 * the thread's own data, as C libraries have it, is the stack; where those
 * aren't there, what lies behind the stack pointer is not left out.
 */
static bool ptf_track_stack_of(struct mm_struct *mm, const struct ptf_track_stack *s,
			       struct ptf_track_span *v)
{
	struct vm_area_struct *vma = find_vma(mm, s->sp);

	if (!vma || (vma->vm_start > s->sp && !(vma->vm_flags & VM_GROWSDOWN)))
		return false;
	v->start = vma->vm_start;
	v->end = vma->vm_end;
	if (vma->vm_flags & VM_GROWSDOWN) {
		/* nothing else is mapped where the main stack may grow */
		if (mm->start_stack >= vma->vm_start && mm->start_stack < vma->vm_end &&
		    mm->mmap_base < vma->vm_start)
			v->start = PAGE_ALIGN(mm->mmap_base);
	} else if (s->tls > s->sp && s->tls < vma->vm_end) {
		v->end = PAGE_ALIGN(s->tls + 1);
	} else {
		v->end = PAGE_ALIGN(s->sp + 1);
	}
	return v->start < v->end;
}

/* Take the stacks of all threads out of @s, which is replaced. */
static int ptf_track_cut_stacks(struct mm_struct *mm, struct ptf_track_spans **s)
{
	unsigned int nr, cap = 16, i;
	struct ptf_track_spans *more;
	struct ptf_track_stack *v;
	struct ptf_track_span cut;

	for (;;) {
		v = kvcalloc(cap, sizeof(*v), GFP_KERNEL_ACCOUNT);
		if (!v)
			return -ENOMEM;
		nr = ptf_track_find_stacks(mm, v, cap);
		if (nr <= cap)
			break;
		kvfree(v);
		cap = nr + nr / 4;
	}
	more = kvzalloc(struct_size(more, v, (*s)->nr + nr), GFP_KERNEL_ACCOUNT);
	if (!more) {
		kvfree(v);
		return -ENOMEM;
	}
	memcpy(more->v, (*s)->v, (*s)->nr * sizeof(cut));
	more->nr = (*s)->nr;
	kvfree(*s);
	*s = more;
	if (mmap_read_lock_killable(mm)) {
		kvfree(v);
		return -EINTR;
	}
	for (i = 0; i < nr; i++)
		if (ptf_track_stack_of(mm, &v[i], &cut))
			ptf_track_spans_cut(more, cut.start, cut.end);
	mmap_read_unlock(mm);
	kvfree(v);
	return 0;
}

/* ---- the command ---- */

static struct ptf_tracker *ptf_track_get(struct ptf_space *sp)
{
	struct ptf_tracker *tr = READ_ONCE(sp->tracker), *old;

	if (tr)
		return tr;
	tr = kzalloc(sizeof(*tr), GFP_KERNEL_ACCOUNT);
	if (!tr)
		return NULL;
	init_rwsem(&tr->lock);
	xa_init(&tr->chunks);
	spin_lock_init(&tr->flock);
	INIT_LIST_HEAD(&tr->flight);
	INIT_DELAYED_WORK(&tr->work, ptf_track_work_fn);
	tr->sp = sp;
	old = cmpxchg(&sp->tracker, NULL, tr);
	if (old) {
		kfree(tr);
		tr = old;
	}
	return tr;
}

/* The space goes: nobody else has it. */
void ptf_track_space_free(struct ptf_space *sp)
{
	struct ptf_tracker *tr = sp->tracker;
	struct ptf_track_chunk *c;
	unsigned long i;

	if (!tr)
		return;
	/* one that a fault had brought along too late */
	xa_for_each(&tr->chunks, i, c)
		kfree(c);
	xa_destroy(&tr->chunks);
	kfree(tr);
}

/*
 * Have faults and notifiers know of it. Faults that began before they did have
 * ended, once this returns.
 */
static int ptf_track_publish(struct ptf_tracker *tr, struct ptf_track_spans *s,
			     unsigned long start, unsigned long end)
{
	struct mm_struct *mm = tr->sp->mm;
	struct vm_area_struct *vma;

	if (mmap_write_lock_killable(mm))
		return -EINTR;
	ptf_track_spans_set(tr, s);
	WRITE_ONCE(tr->sp->tracked, true);
	for (vma = find_vma(mm, start); vma && vma->vm_start < end;
	     vma = find_vma(mm, vma->vm_end))
		ptf_vma_start_write(vma);
	mmap_write_unlock(mm);
	return 0;
}

/* Shared memory may be mapped writable on a read again. mmap_lock is held. */
static void ptf_track_reopen(struct mm_struct *mm)
{
	struct vm_area_struct *vma;

	for (vma = find_vma(mm, 0); vma; vma = find_vma(mm, vma->vm_end)) {
		if ((vma->vm_flags & (VM_SHARED | VM_WRITE)) != (VM_SHARED | VM_WRITE) ||
		    !vma->vm_file || !ptf_mapping_is_shmem(vma->vm_file->f_mapping) ||
		    userfaultfd_wp(vma) || (IS_ENABLED(CONFIG_MEM_SOFT_DIRTY) &&
					    !(vma->vm_flags & VM_SOFTDIRTY)))
			continue;
		ptf_vma_start_write(vma);
		WRITE_ONCE(vma->vm_page_prot,
			   __pgprot(pgprot_val(vma->vm_page_prot) | _PAGE_RW));
	}
}

/* Nothing is tracked any more. tr->lock is held. */
static void ptf_track_end(struct ptf_tracker *tr)
{
	struct mm_struct *mm = tr->sp->mm;

	WRITE_ONCE(tr->sp->tracked, false);
	ptf_track_spans_set(tr, NULL);
	if (mmget_not_zero(mm)) {
		mmap_write_lock(mm);
		ptf_track_reopen(mm);
		mmap_write_unlock(mm);
		mmput_async(mm);
	}
	ptf_track_drop_chunks(tr);
	WRITE_ONCE(tr->all, false);
	WRITE_ONCE(tr->owner, NULL);
}

/* A target is reset, or stops tracking. Return: true if it did track */
bool ptf_track_drop_target(struct ptf_target *t)
{
	struct ptf_space *sp = READ_ONCE(t->space);
	struct ptf_tracker *tr = sp ? READ_ONCE(sp->tracker) : NULL;
	bool mine;

	/* nobody else makes it ours: commands on a target that goes have ended */
	if (!tr || READ_ONCE(tr->owner) != t)
		return false;
	down_write(&tr->lock);
	mine = tr->owner == t;
	if (mine)
		ptf_track_end(tr);
	up_write(&tr->lock);
	return mine;
}

/* Begin with the parts in @fresh, and count what is tracked already. */
static int ptf_track_start_all(struct ptf_track_job *job, struct ptf_track_spans *fresh)
{
	unsigned long pos = job->a->start, end = job->a->end, stop;
	unsigned int i;
	int ret = 0;

	for (i = 0; i < fresh->nr && !ret; i++)
		ret = ptf_track_start_span(job, fresh->v[i].start, fresh->v[i].end);
	job->count = true;
	for (i = 0; !ret && ptf_track_next_span(job->tr, &pos, &stop, end); pos = stop) {
		while (i < fresh->nr && fresh->v[i].end <= pos)
			i++;
		if (i < fresh->nr && fresh->v[i].start <= pos) {
			stop = min(stop, fresh->v[i].end);
			continue;
		}
		if (i < fresh->nr)
			stop = min(stop, fresh->v[i].start);
		ret = ptf_track_start_span(job, pos, stop);
	}
	return ret;
}

/* tr->lock is held, and the tracker is ours. */
static int ptf_track_start_locked_all(struct ptf_track_job *job)
{
	struct ptf_ioc_track_start *a = job->a;
	struct ptf_tracker *tr = job->tr;
	struct ptf_track_spans *old, *fresh, *s;
	unsigned int i, nr;
	int ret;

	old = rcu_dereference_protected(tr->spans, lockdep_is_held(&tr->lock));
	nr = old ? old->nr : 0;
	fresh = kvzalloc(struct_size(fresh, v, nr + 2), GFP_KERNEL_ACCOUNT);
	if (!fresh)
		return -ENOMEM;
	fresh->nr = 1;
	fresh->v[0].start = a->start;
	fresh->v[0].end = a->end;
	for (i = 0; i < nr; i++)
		ptf_track_spans_cut(fresh, old->v[i].start, old->v[i].end);
	ret = a->flags & PTF_TRACK_F_NOSTACK ? ptf_track_cut_stacks(job->sp->mm, &fresh) : 0;
	s = ret ? NULL : ptf_track_spans_room(tr, fresh->nr);
	if (!s) {
		kvfree(fresh);
		return ret ?: -ENOMEM;
	}
	for (i = 0; i < fresh->nr; i++)
		ptf_track_spans_add(s, fresh->v[i].start, fresh->v[i].end);
	ret = ptf_track_publish(tr, s, a->start, a->end);
	if (ret) {
		kvfree(s);
		kvfree(fresh);
		return ret;
	}
	ret = ptf_track_start_all(job, fresh);
	if (!ret && !a->out_pages)
		ret = job->first_skip < 0 ? -ENOMEM : ptf_skip_errno(job->first_skip);
	/* what could not be had is not tracked */
	s = ptf_track_spans_room(tr, ret ? fresh->nr : job->cut->nr);
	if (!s)
		ret = -ENOMEM;
	for (i = 0; s && !ret && i < job->cut->nr; i++)
		ptf_track_spans_cut(s, job->cut->v[i].start, job->cut->v[i].end);
	for (i = 0; s && ret && i < fresh->nr; i++)
		ptf_track_spans_cut(s, fresh->v[i].start, fresh->v[i].end);
	if (s)
		ptf_track_spans_set(tr, s);
	if (!s || !s->nr)
		ptf_track_end(tr);
	kvfree(fresh);
	return ret;
}

int ptf_track_start(struct ptf_cmd *c)
{
	struct ptf_ioc_track_start *a = c->arg;
	struct ptf_track_job job = { .a = a, .first_skip = -1 };
	struct ptf_target *t;
	int ret;

	if (a->flags & ~PTF_TRACK_F_NOSTACK)
		return -EOPNOTSUPP;
	if (a->reserved)
		return -EINVAL;
	ret = ptf_check_range(a->start, a->end);
	if (ret)
		return ret;
	t = ptf_target_begin(c->s, a->target);
	if (IS_ERR(t))
		return PTR_ERR(t);
	/* devices that share the page tables keep translations of their own */
	ret = ptf_mm_has_pasid(t->mm) ? -EOPNOTSUPP : ptf_target_arm(t, PTF_ARM_TRACK);
	if (ret)
		goto end;
	job.sp = t->space;
	ret = -ENOMEM;
	job.tr = ptf_track_get(job.sp);
	job.cut = kvzalloc(struct_size(job.cut, v, PTF_TRACK_RANGES + 1), GFP_KERNEL_ACCOUNT);
	if (!job.tr || !job.cut)
		goto free;
	ret = -EINTR;
	if (down_write_killable(&job.tr->lock))
		goto free;
	ret = -EBUSY;
	if (!job.tr->owner || job.tr->owner == t) {
		a->out_pages = 0;
		memset(a->out_skipped_pages, 0, sizeof(a->out_skipped_pages));
		c->respond = true;
		WRITE_ONCE(job.tr->owner, t);
		ret = ptf_track_start_locked_all(&job);
		if (!rcu_access_pointer(job.tr->spans))
			WRITE_ONCE(job.tr->owner, NULL);
	}
	up_write(&job.tr->lock);
free:
	kvfree(job.cut);
end:
	ptf_target_end(t);
	return ret;
}

int ptf_track_stop(struct ptf_cmd *c)
{
	struct ptf_ioc_track_stop *a = c->arg;
	struct ptf_target *t;
	bool did;

	if (a->flags)
		return -EOPNOTSUPP;
	if (a->reserved)
		return -EINVAL;
	t = ptf_target_begin(c->s, a->target);
	if (IS_ERR(t))
		return PTR_ERR(t);
	did = ptf_track_drop_target(t);
	ptf_target_end(t);
	return did ? 0 : -ENOENT;
}

bool ptf_track_is_on(struct mm_struct *mm)
{
	struct ptf_space *sp = ptf_space_find_get(mm);
	bool on = sp && READ_ONCE(sp->tracked);

	if (sp)
		ptf_space_put(sp);
	return on;
}

/**
 * ptf_track_advised() - advice has given write permission, without a write
 * @t: target, no lock held
 * @start: first page
 * @end: first address behind
 *
 * What is tracked has none again on return.
 */
void ptf_track_advised(struct ptf_target *t, unsigned long start, unsigned long end)
{
	struct ptf_space *sp = ptf_space_find_get(t->mm);

	if (!sp)
		return;
	/* a walk outside of a VMA: for writing */
	if (READ_ONCE(sp->tracked) && !mmap_write_lock_killable(t->mm)) {
		ptf_track_protect(sp, start, end, true);
		mmap_write_unlock(t->mm);
	}
	ptf_space_put(sp);
}

/* ------------------------------------------------------------------ */
/* Read                                                                */

/* Written pages go to the ranges. False: no room. */
static bool ptf_track_add(struct ptf_track_job *job, unsigned long start, unsigned long end)
{
	struct ptf_range *last = job->nr ? &job->ranges[job->nr - 1] : NULL;

	if (last && last->end == start) {
		last->end = end;
	} else if (job->nr < job->cap) {
		job->ranges[job->nr].start = start;
		job->ranges[job->nr++].end = end;
	} else {
		return false;
	}
	job->pages += (end - start) >> PAGE_SHIFT;
	return true;
}

static int ptf_track_read_ptes(struct ptf_walk *w, pte_t *ptep, unsigned long addr,
			       unsigned long end)
{
	struct ptf_track_job *job = w->priv;
	struct ptf_track_chunk *c = ptf_track_chunk(job->tr, addr);
	DECLARE_BITMAP(written, PTRS_PER_PTE);
	unsigned long at;
	unsigned int bit;

	/* what is taken, and can't be handed over, must be put back */
	if (job->take && !c) {
		job->need = PTF_TRACK_NEED_CHUNK;
		w->next = addr;
		return PTF_WALK_BREAK;
	}
	bitmap_zero(written, PTRS_PER_PTE);
	for (at = addr; at != end; at += PAGE_SIZE) {
		bit = ptf_track_bit(at);
		if (!job->all && !(c && test_bit(bit, c->written)) &&
		    !ptf_track_dirty(job->sp, at, ptep_get(ptep + ((at - addr) >> PAGE_SHIFT))))
			continue;
		if (!ptf_track_add(job, at, at + PAGE_SIZE))
			break;
		__set_bit(bit, written);
		if (job->take)
			clear_bit(bit, c->written);
	}
	if (job->take)
		ptf_track_settle(job->sp, ptep, addr, at, written);
	w->next = at;
	return at == end ? 0 : PTF_WALK_STOP;
}

static int ptf_track_read_leaf(struct ptf_walk *w, unsigned int level, void *entry,
			       unsigned long addr, unsigned long end)
{
	struct ptf_track_job *job = w->priv;
	struct ptf_track_chunk *c;
	unsigned long at, from, to;
	bool dirty = job->all;
	pmd_t pmd;
	int ret = 0;

	if (level != PTF_LEVEL_PMD)
		return 0;
	rcu_read_lock();
	c = ptf_track_chunk(job->tr, addr);
	if (job->take && !c) {
		job->need = PTF_TRACK_NEED_CHUNK;
		w->next = addr;
		ret = PTF_WALK_BREAK;
		goto unlock;
	}
	/* one bit for all; and while it is migrated nobody knows */
	pmd = READ_ONCE(*(pmd_t *)entry);
	dirty |= !pmd_present(pmd) || pmd_dirty(pmd);
	for (at = addr; at != end; at += PAGE_SIZE) {
		if (!dirty && !(c && test_bit(ptf_track_bit(at), c->written)))
			continue;
		if (!ptf_track_add(job, at, at + PAGE_SIZE))
			break;
		if (job->take)
			clear_bit(ptf_track_bit(at), c->written);
	}
	if (job->take && dirty) {
		/* of those that aren't told now it is kept */
		from = addr & PMD_MASK;
		to = from + PMD_SIZE;
		for (; from != to; from += PAGE_SIZE)
			if (from < addr || from >= at)
				set_bit(ptf_track_bit(from), c->written);
		ptf_track_settle_pmd(job->sp, addr, entry);
	}
	w->next = at;
	if (at != end)
		ret = PTF_WALK_STOP;
unlock:
	rcu_read_unlock();
	return ret;
}

/* Where there are no entries the bits are all there is. */
static int ptf_track_read_hole(struct ptf_walk *w, unsigned long addr, unsigned long end)
{
	struct ptf_track_job *job = w->priv;
	unsigned long i = addr >> PMD_SHIFT, at, to;
	struct ptf_track_chunk *c;

	w->next = end;
	if (job->all && w->vma) {
		/* the bits are told with the rest, and forgotten */
		if (!ptf_track_add(job, addr, end)) {
			w->next = addr;
			return PTF_WALK_STOP;
		}
		if (job->take)
			ptf_track_clear(job->tr, addr, end);
		return 0;
	}
	rcu_read_lock();
	xa_for_each_range(&job->tr->chunks, i, c, i, (end - 1) >> PMD_SHIFT) {
		at = max(addr, i << PMD_SHIFT);
		to = min(end - 1, (i << PMD_SHIFT) + PMD_SIZE - 1);
		for (; at <= to; at += PAGE_SIZE) {
			if (!test_bit(ptf_track_bit(at), c->written))
				continue;
			if (!ptf_track_add(job, at, at + PAGE_SIZE)) {
				rcu_read_unlock();
				w->next = at;
				return PTF_WALK_STOP;
			}
			if (job->take)
				clear_bit(ptf_track_bit(at), c->written);
		}
	}
	rcu_read_unlock();
	return 0;
}

/* mmap_lock is held. */
static int ptf_track_read_locked(struct ptf_walk *w, unsigned long pos, unsigned long end)
{
	struct ptf_track_job *job = w->priv;
	struct vm_area_struct *vma;
	unsigned long stop;
	int ret = 0;

	while (!ret && pos < end) {
		if (!ptf_track_next_span(job->tr, &pos, &stop, end)) {
			w->next = end;
			break;
		}
		vma = find_vma(w->mm, pos);
		if (!vma || vma->vm_start > pos) {
			/* unmapped since, or never mapped */
			stop = vma ? min(stop, vma->vm_start) : stop;
			w->vma = NULL;
			ret = ptf_track_read_hole(w, pos, stop);
		} else {
			stop = min(stop, vma->vm_end);
			w->vma = vma;
			w->next = stop;
			if (ptf_track_is_kind(vma))
				ret = ptf_walk_range(w, pos, stop);
		}
		pos = w->next;
		if (!ret && pos < end && (need_resched() || fatal_signal_pending(current)))
			ret = PTF_WALK_BREAK;
	}
	return ret;
}

/* Our tracking, and nobody else's that began meanwhile. */
static int ptf_track_read_begin(struct ptf_track_job *job)
{
	if (down_read_killable(&job->tr->lock))
		return -EINTR;
	if (job->tr->owner == job->t)
		return 0;
	up_read(&job->tr->lock);
	return -ENOENT;
}

/* Hand over what was found; the last range may go on, unless it is the end. */
static int ptf_track_copy(struct ptf_track_job *job, struct ptf_ioc_track_read *a, bool end)
{
	struct ptf_range __user *to = u64_to_user_ptr(a->ranges);
	unsigned int nr = end ? job->nr : job->nr - 1, i;
	bool again = job->take;
	unsigned long at;

	if (!copy_to_user(to + a->out_ranges, job->ranges, nr * sizeof(*to))) {
		a->out_ranges += nr;
		if (!end)
			job->ranges[0] = job->ranges[nr];
		job->nr -= nr;
		return 0;
	}
	/* not handed over, so not taken */
	a->out_next = job->ranges[0].start;
	if (again) {
		down_read(&job->tr->lock);
		again = job->tr->owner == job->t;
	}
	for (i = 0; i < job->nr; i++)
		for (at = job->ranges[i].start; at != job->ranges[i].end; at += PAGE_SIZE) {
			job->pages--;
			if (again)
				ptf_track_record(job->tr, at);
		}
	if (job->take)
		up_read(&job->tr->lock);
	job->nr = 0;
	return -EFAULT;
}

static int ptf_track_read_all(struct ptf_track_job *job, struct ptf_ioc_track_read *a)
{
	struct ptf_walk w = {
		.mm = job->sp->mm,
		.priv = job,
		.ptes = ptf_track_read_ptes,
		.leaf = ptf_track_read_leaf,
		.hole = ptf_track_read_hole,
	};
	bool full = false;
	int ret = 0, err;

	while (!ret && a->out_next < a->end && !full) {
		/* given up before user memory is touched: whoever stops waits for it */
		ret = ptf_track_read_begin(job);
		if (ret)
			break;
		if (mmap_read_lock_killable(w.mm)) {
			up_read(&job->tr->lock);
			ret = -EINTR;
			break;
		}
		job->cap = min_t(u64, PTF_TRACK_RANGES, a->nr_ranges - a->out_ranges);
		ret = ptf_track_read_locked(&w, a->out_next, a->end);
		mmap_read_unlock(w.mm);
		up_read(&job->tr->lock);
		a->out_next = w.next;
		if (ret == PTF_WALK_STOP) {
			full = a->out_ranges + job->nr == a->nr_ranges;
			ret = full ? 0 : ptf_track_copy(job, a, false);
		} else if (ret == PTF_WALK_BREAK) {
			ret = 0;
		}
		if (!ret && job->need && ptf_track_chunk_make(job->tr, a->out_next, GFP_KERNEL))
			ret = -ENOMEM;
		job->need = 0;
		if (!ret && a->out_next < a->end && fatal_signal_pending(current))
			ret = -EINTR;
		cond_resched();
	}
	err = job->nr ? ptf_track_copy(job, a, true) : 0;
	a->out_pages = job->pages;
	return ret ?: err;
}

/* All that is tracked, so that what could not be noted is told now. */
static bool ptf_track_is_all(struct ptf_tracker *tr, unsigned long start, unsigned long end)
{
	struct ptf_track_spans *s;
	bool all;

	rcu_read_lock();
	s = rcu_dereference(tr->spans);
	all = s && s->nr && start <= s->v[0].start && end >= s->v[s->nr - 1].end;
	rcu_read_unlock();
	return all;
}

static int ptf_track_read_check(const struct ptf_ioc_track_read *a)
{
	if (a->flags & ~PTF_TRACK_F_TAKE)
		return -EOPNOTSUPP;
	if (a->reserved || !a->ranges || !a->nr_ranges)
		return -EINVAL;
	if (a->nr_ranges > SSIZE_MAX / sizeof(struct ptf_range))
		return -EOVERFLOW;
	return ptf_check_range(a->start, a->end);
}

int ptf_track_read(struct ptf_cmd *c)
{
	struct ptf_ioc_track_read *a = c->arg;
	struct ptf_track_job job = { .take = a->flags & PTF_TRACK_F_TAKE };
	struct ptf_target *t;
	bool forget = false;
	int ret;

	ret = ptf_track_read_check(a);
	if (ret)
		return ret;
	t = ptf_target_begin(c->s, a->target);
	if (IS_ERR(t))
		return PTR_ERR(t);
	ret = -ENOENT;
	job.sp = READ_ONCE(t->space);
	job.tr = job.sp ? READ_ONCE(job.sp->tracker) : NULL;
	if (!job.tr || READ_ONCE(job.tr->owner) != t)
		goto end;
	job.t = t;
	ret = -ENOMEM;
	job.ranges = kvmalloc_array(min_t(u64, PTF_TRACK_RANGES, a->nr_ranges),
				    sizeof(*job.ranges), GFP_KERNEL_ACCOUNT);
	if (!job.ranges)
		goto end;
	ret = ptf_track_read_begin(&job);
	if (ret)
		goto free;
	job.all = READ_ONCE(job.tr->all);
	forget = job.all && job.take && ptf_track_is_all(job.tr, a->start, a->end);
	if (forget)
		WRITE_ONCE(job.tr->all, false);
	up_read(&job.tr->lock);
	a->out_next = a->start;
	a->out_ranges = 0;
	a->out_pages = 0;
	c->respond = true;
	ret = ptf_track_read_all(&job, a);
	if (forget && (ret || a->out_next < a->end)) {
		down_read(&job.tr->lock);
		if (job.tr->owner == t)
			WRITE_ONCE(job.tr->all, true);
		up_read(&job.tr->lock);
	}
free:
	kvfree(job.ranges);
end:
	ptf_target_end(t);
	return ret;
}
