// SPDX-License-Identifier: GPL-2.0-only
/*
 * Entries taken away and kept. Owns the stash entry itself, the tree of what
 * was taken, and putting back. Who takes and under which locks: advise.c; when
 * core mm wants things back: space.c.
 *
 * Theory of operation
 *
 * A stashed page is unmapped as far as the CPU and every walker of page tables
 * can see, but still mapped as far as its counters say: the reference, the map
 * count and the rss of the entry that we took are kept, unchanged, by us. In
 * the page table stands an entry that is not empty, so that nothing of core mm
 * fills it (fault-around, UFFDIO_COPY, guard markers, a neighbour's large
 * folio, a fault that had read "empty" before), and that core mm never tries
 * to resolve into a page: a hwpoison entry of the page's own frame. If ever we
 * failed to put an entry back, whoever touches it gets SIGBUS and not somebody
 * else's memory.
 *
 * The price is that core mm must never work on such a range with our entry in
 * it: zapping it would leak the page, forking it would poison the child. So
 * - what changes entries of an address space says so first to its mmu
 *   notifiers, and we put the range back then and there (space.c); the few who
 *   don't are hooked (hook.c);
 * - a fault on the page puts it back (fault.c) before the handler looks;
 * - exit puts everything back while the page tables stand.
 *
 * What keeps a take from racing with those:
 * - invalidate_range_start raises sp->windows first and restores after, both
 *   under sp->lock; a take looks at windows under sp->lock, inside the page
 *   table lock. So a take either comes before, and is restored, or sees the
 *   window and refuses.
 * - a fault that has passed the hook already works on what it read before:
 *   takes run under mmap_write_lock and vma_start_write, so there is none.
 *
 * An entry is put back first and forgotten after, both inside the page table
 * lock and sp->lock: at no time is it in neither place.
 *
 * The entry is put back exactly as it was. That is right, because whatever
 * would have changed it in place meanwhile (mprotect, fork, write protection
 * by writeback, soft-dirty clearing) announces itself to notifiers before it
 * looks at entries.
 */
#include <linux/mm.h>
#include <linux/rbtree.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include "space.h"
#include "walk.h"
#include "compat.h"

/* First stash at or behind @addr; sp->lock held. */
static struct ptf_stash *ptf_stash_first(struct ptf_space *sp, unsigned long addr)
{
	struct rb_node *n = sp->stash.rb_node;
	struct ptf_stash *found = NULL, *s;

	lockdep_assert_held(&sp->lock);
	while (n) {
		s = rb_entry(n, struct ptf_stash, rb);
		if (s->addr >= addr) {
			found = s;
			n = n->rb_left;
		} else {
			n = n->rb_right;
		}
	}
	return found;
}

/* The stash of a page, or NULL; sp->lock held. */
struct ptf_stash *ptf_stash_at(struct ptf_space *sp, unsigned long addr)
{
	struct ptf_stash *s = ptf_stash_first(sp, addr);

	return s && s->addr == addr ? s : NULL;
}

static void ptf_stash_insert(struct ptf_space *sp, struct ptf_stash *s)
{
	struct rb_node **link = &sp->stash.rb_node, *parent = NULL;

	lockdep_assert_held(&sp->lock);
	while (*link) {
		parent = *link;
		if (s->addr < rb_entry(parent, struct ptf_stash, rb)->addr)
			link = &parent->rb_left;
		else
			link = &parent->rb_right;
	}
	rb_link_node(&s->rb, parent, link);
	rb_insert_color(&s->rb, &sp->stash);
	WRITE_ONCE(sp->nr_stash, sp->nr_stash + 1);
}

/**
 * ptf_stash_pool_fill() - have nodes at hand: nothing allocates under the locks
 * @pool: list of unused nodes
 * @nr: how many to add
 *
 * Return: 0, -ENOMEM or -EINTR, with what could be had in the pool
 */
int ptf_stash_pool_fill(struct ptf_stash **pool, unsigned int nr)
{
	struct ptf_stash *s;

	while (nr--) {
		if (fatal_signal_pending(current))
			return -EINTR;
		cond_resched();
		s = kmalloc(sizeof(*s), GFP_KERNEL_ACCOUNT);
		if (!s)
			return -ENOMEM;
		s->next = *pool;
		*pool = s;
	}
	return 0;
}

void ptf_stash_pool_free(struct ptf_stash **pool)
{
	struct ptf_stash *s;

	while ((s = *pool)) {
		*pool = s->next;
		kfree(s);
	}
}

/**
 * ptf_stash_take() - take the entry of a page away
 * @sp: armed space
 * @mm: its address space, mmap_lock held for writing and the VMA write-locked
 * @addr: page
 * @ptep: its entry, present, table locked
 * @s: node to keep it in; the caller has set its owner
 *
 * The caller flushes before it gives mmap_lock back.
 *
 * Return: 0, or -EBUSY while core mm works on the address space
 */
int ptf_stash_take(struct ptf_space *sp, struct mm_struct *mm, unsigned long addr,
		   pte_t *ptep, struct ptf_stash *s)
{
	int err = -EBUSY;
	pte_t pte;

	spin_lock(&sp->lock);
	if (!sp->windows) {
		pte = ptep_get_and_clear(mm, addr, ptep);
		s->addr = addr;
		s->pte = pte;
		ptf_stash_insert(sp, s);
		set_pte_at(mm, addr, ptep, ptf_stash_entry(pte_pfn(pte)));
		atomic64_inc(&s->owner->stashed);
		err = 0;
	}
	spin_unlock(&sp->lock);
	return err;
}

/**
 * ptf_stash_restore() - put one entry back
 * @sp: armed space
 * @mm: its address space; the page tables of @addr can't go
 * @addr: page
 * @owner: only if this target took it; NULL: whoever did
 *
 * Return: true if there was one to put back
 */
bool ptf_stash_restore(struct ptf_space *sp, struct mm_struct *mm,
		       unsigned long addr, struct ptf_target *owner)
{
	struct ptf_stash *s;
	spinlock_t *ptl;
	pte_t *ptep;

	ptep = ptf_entry_lock(mm, addr, &ptl);
	/* nothing frees a table that our entry stands in */
	if (!ptep)
		return false;
	spin_lock(&sp->lock);
	s = ptf_stash_first(sp, addr);
	if (s && (s->addr != addr || (owner && s->owner != owner)))
		s = NULL;
	if (s) {
		if (!WARN_ON_ONCE(!pte_same(ptep_get(ptep),
					    ptf_stash_entry(pte_pfn(s->pte)))))
			set_pte_at(mm, addr, ptep, s->pte);
		rb_erase(&s->rb, &sp->stash);
		atomic64_dec(&s->owner->stashed);
		WRITE_ONCE(sp->nr_stash, sp->nr_stash - 1);
	}
	spin_unlock(&sp->lock);
	ptf_entry_unlock(ptl);
	kfree(s);
	return s;
}

/**
 * ptf_stash_restore_range() - put all entries of a range back
 * @sp: armed space
 * @mm: its address space; page tables of the range can't go: the caller is a
 *	notifier for it, or holds mmap_lock for writing (for reading is not
 *	enough: munmap frees tables under a lock that it has downgraded)
 * @start: first address
 * @end: first address behind
 * @owner: only this target's; NULL: everybody's
 * @may_sleep: give the CPU up now and then
 *
 * Context: any that may take spinlocks.
 *
 * Return: how many
 */
unsigned long ptf_stash_restore_range(struct ptf_space *sp, struct mm_struct *mm,
				      unsigned long start, unsigned long end,
				      struct ptf_target *owner, bool may_sleep)
{
	unsigned long addr = start, nr = 0;
	unsigned int skipped;
	struct rb_node *n;
	struct ptf_stash *s;
	bool foreign;

	/* an owner that goes must have seen the lock: others may name it in there */
	while (owner || READ_ONCE(sp->nr_stash)) {
		spin_lock(&sp->lock);
		s = ptf_stash_first(sp, addr);
		/* pass others' by, but not all of them under one lock */
		for (skipped = 0; s && owner && s->owner != owner && skipped < 256; skipped++) {
			n = rb_next(&s->rb);
			s = n ? rb_entry(n, struct ptf_stash, rb) : NULL;
		}
		addr = s ? s->addr : end;
		foreign = s && owner && s->owner != owner;
		spin_unlock(&sp->lock);
		if (addr >= end)
			break;
		if (!foreign) {
			nr += ptf_stash_restore(sp, mm, addr, owner);
			addr += PAGE_SIZE;
		}
		if (may_sleep)
			cond_resched();
	}
	return nr;
}

/* Address of the first stashed page at or behind @addr, ULONG_MAX if none. */
unsigned long ptf_stash_next(struct ptf_space *sp, unsigned long addr)
{
	struct ptf_stash *s;

	spin_lock(&sp->lock);
	s = ptf_stash_first(sp, addr);
	addr = s ? s->addr : ULONG_MAX;
	spin_unlock(&sp->lock);
	return addr;
}

/*
 * Is a page stashed, and what was its entry? The caller has its table locked.
 * Answers who took it: to be compared, not looked into.
 */
struct ptf_target *ptf_stash_find(struct ptf_space *sp, unsigned long addr, pte_t *pte)
{
	struct ptf_target *owner = NULL;
	struct ptf_stash *s;

	spin_lock(&sp->lock);
	s = ptf_stash_at(sp, addr);
	if (s) {
		*pte = s->pte;
		owner = s->owner;
	}
	spin_unlock(&sp->lock);
	return owner;
}
