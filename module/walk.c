// SPDX-License-Identifier: GPL-2.0-only
/*
 * Walking page tables. Owns: finding the entries of an address, their locks,
 * and not being fooled by tables that go while we look. Leaves to others: what
 * an entry means (report.c) and changing it (edit.c).
 *
 * Theory of operation. pte_offset_map_lock() can't be linked by a module since
 * 6.5, walk_page_range() never could, and apply_to_page_range() allocates
 * tables for holes, warns on huge leaves, and destroys migration entries of
 * THPs. So: from the top with READ_ONCE, following only what is a table, down to a PMD
 * value that we keep. mmap_lock keeps page tables of its VMAs from being freed
 * by munmap; khugepaged may free a table of file memory without it (6.6), after
 * an RCU grace period: so rcu_read_lock() from the look at the PMD on, and a
 * second look at the PMD once the lock of the table is taken. If it changed,
 * the table may have been replaced: look again.
 */
#include <linux/hugetlb.h>
#include <linux/mmap_lock.h>
#include <linux/sched/signal.h>
#include "walk.h"
#include "arch/x86.h"

static int ptf_walk_leaf(struct ptf_walk *w, unsigned int level, void *entry,
			 unsigned long addr, unsigned long end)
{
	w->next = end;
	return w->leaf(w, level, entry, addr, end);
}

static int ptf_walk_hole(struct ptf_walk *w, unsigned long addr, unsigned long end)
{
	w->next = end;
	return w->hole(w, addr, end);
}

/* One PMD entry: [addr, end) lies inside what it spans. */
static noinline int ptf_walk_pmd_one(struct ptf_walk *w, pmd_t *pmd,
				     unsigned long addr, unsigned long end)
{
	spinlock_t *ptl;
	pmd_t val;
	pte_t *ptep;
	int ret;

again:
	val = READ_ONCE(*pmd);
	if (likely(ptf_arch_entry_is_table(pmd_val(val))))
		goto table;
	if (pmd_none(val))
		return ptf_walk_hole(w, addr, end);
	if (!pmd_present(val) || pmd_leaf(val)) {
		ptl = pmd_lock(w->mm, pmd);
		if (!pmd_same(val, READ_ONCE(*pmd))) {
			spin_unlock(ptl);
			goto again;
		}
		ret = ptf_walk_leaf(w, PTF_LEVEL_PMD, pmd, addr, end);
		spin_unlock(ptl);
		return ret;
	}
	/* no table, no leaf, not empty: damaged, or a kind we don't know */
	return ptf_walk_hole(w, addr, end);

table:
	rcu_read_lock();
	ptep = pte_offset_kernel(&val, addr);
	ptl = pte_lockptr(w->mm, &val);
	spin_lock(ptl);
	if (!pmd_same(val, READ_ONCE(*pmd))) {
		spin_unlock(ptl);
		rcu_read_unlock();
		goto again;
	}
	w->next = end;
	ret = w->ptes(w, ptep, addr, end);
	spin_unlock(ptl);
	rcu_read_unlock();
	return ret;
}

/* Between two tables, no lock but mmap_lock held. */
static bool ptf_walk_should_break(struct ptf_walk *w)
{
	return need_resched() || fatal_signal_pending(current) ||
	       mmap_lock_is_contended(w->mm);
}

static int ptf_walk_pmd(struct ptf_walk *w, pud_t *pud, unsigned long addr,
			unsigned long end)
{
	pmd_t *pmd = pmd_offset(pud, addr);
	unsigned long next;
	int ret;

	do {
		next = pmd_addr_end(addr, end);
		ret = ptf_walk_pmd_one(w, pmd, addr, next);
		if (ret)
			return ret;
		if (next != end && ptf_walk_should_break(w))
			return PTF_WALK_BREAK;
	} while (pmd++, addr = next, addr != end);
	return 0;
}

static int ptf_walk_pud(struct ptf_walk *w, p4d_t *p4d, unsigned long addr,
			unsigned long end)
{
	pud_t *pud = pud_offset(p4d, addr);
	unsigned long next;
	spinlock_t *ptl;
	pud_t val;
	int ret;

	do {
		next = pud_addr_end(addr, end);
		val = READ_ONCE(*pud);
		if (likely(ptf_arch_entry_is_table(pud_val(val)))) {
			ret = ptf_walk_pmd(w, pud, addr, next);
		} else if (pud_none(val)) {
			ret = ptf_walk_hole(w, addr, next);
		} else if (pud_leaf(val)) {
			ptl = pud_lock(w->mm, pud);
			ret = pud_leaf(READ_ONCE(*pud)) ?
				ptf_walk_leaf(w, PTF_LEVEL_PUD, pud, addr, next) :
				ptf_walk_hole(w, addr, next);
			spin_unlock(ptl);
		} else {
			ret = ptf_walk_hole(w, addr, next);
		}
		if (ret)
			return ret;
	} while (pud++, addr = next, addr != end);
	return 0;
}

static int ptf_walk_p4d(struct ptf_walk *w, pgd_t *pgd, unsigned long addr,
			unsigned long end)
{
	p4d_t *p4d = p4d_offset(pgd, addr);
	unsigned long next;
	p4d_t val;
	int ret;

	do {
		next = p4d_addr_end(addr, end);
		val = READ_ONCE(*p4d);
		if (likely(ptf_arch_entry_is_table(p4d_val(val))))
			ret = ptf_walk_pud(w, p4d, addr, next);
		else
			ret = ptf_walk_hole(w, addr, next);
		if (ret)
			return ret;
	} while (p4d++, addr = next, addr != end);
	return 0;
}

/* The PMD entry of @addr, if tables lead to it. */
static __always_inline pmd_t *ptf_walk_to_pmd(struct mm_struct *mm, unsigned long addr)
{
	pgd_t *pgd = pgd_offset(mm, addr);
	p4d_t *p4d;
	pud_t *pud;

	if (pgtable_l5_enabled() && !ptf_arch_entry_is_table(pgd_val(READ_ONCE(*pgd))))
		return NULL;
	p4d = p4d_offset(pgd, addr);
	if (!ptf_arch_entry_is_table(p4d_val(READ_ONCE(*p4d))))
		return NULL;
	pud = pud_offset(p4d, addr);
	if (!ptf_arch_entry_is_table(pud_val(READ_ONCE(*pud))))
		return NULL;
	return pmd_offset(pud, addr);
}

/**
 * ptf_entry_lock() - the last-level entry of one page, its table locked
 * @mm: address space; the tables of @addr can't go: mmap_lock or the VMA's
 *	lock is held, or the caller is an mmu notifier for that address
 * @addr: page
 * @ptl: the lock that is held on success
 *
 * Return: the entry, to be unlocked by ptf_entry_unlock(); NULL if there is no
 * last-level table there (nothing, or a huge page)
 */
pte_t *ptf_entry_lock(struct mm_struct *mm, unsigned long addr, spinlock_t **ptl)
{
	pmd_t *pmd = ptf_walk_to_pmd(mm, addr);
	pmd_t val;

	if (!pmd)
		return NULL;
	rcu_read_lock();
	for (;;) {
		val = READ_ONCE(*pmd);
		if (!ptf_arch_entry_is_table(pmd_val(val))) {
			rcu_read_unlock();
			return NULL;
		}
		*ptl = pte_lockptr(mm, &val);
		spin_lock(*ptl);
		if (likely(pmd_same(val, READ_ONCE(*pmd)))) {
			/* for sparse, which knows no lock that is had or not */
			__release(RCU);
			__release(*ptl);
			return pte_offset_kernel(&val, addr);
		}
		spin_unlock(*ptl);
	}
}

void ptf_entry_unlock(spinlock_t *ptl)
{
	__acquire(*ptl);
	__acquire(RCU);
	spin_unlock(ptl);
	rcu_read_unlock();
}

/* The entry of a page as it stands now, without its lock; none if there is none. */
pte_t ptf_entry_peek(struct mm_struct *mm, unsigned long addr)
{
	pmd_t *pmd = ptf_walk_to_pmd(mm, addr), val;
	pte_t pte = __pte(0);

	if (!pmd)
		return pte;
	rcu_read_lock();
	val = READ_ONCE(*pmd);
	if (ptf_arch_entry_is_table(pmd_val(val)))
		pte = ptep_get(pte_offset_kernel(&val, addr));
	rcu_read_unlock();
	return pte;
}

/**
 * ptf_walk_range() - call back for all entries and holes of a range
 * @w: the walk; mmap_lock of its mm held, for reading or writing
 * @addr: first address, page-aligned
 * @end: first address behind, page-aligned
 *
 * Return: 0 all done; PTF_WALK_STOP or a negative errno as a callback
 * answered; PTF_WALK_BREAK the lock should be given up (somebody waits for it,
 * or a fatal signal came). w->next says where to go on.
 */
int ptf_walk_range(struct ptf_walk *w, unsigned long addr, unsigned long end)
{
	unsigned long next;
	pgd_t *pgd, val;
	pmd_t *pmd;
	int ret;

	mmap_assert_locked(w->mm);
	w->next = addr;
	/* a page or two is what most calls are about: straight down */
	if (!((addr ^ (end - 1)) & PMD_MASK)) {
		pmd = ptf_walk_to_pmd(w->mm, addr);
		if (pmd)
			return ptf_walk_pmd_one(w, pmd, addr, end);
	}
	pgd = pgd_offset(w->mm, addr);
	do {
		next = pgd_addr_end(addr, end);
		/* with 4 levels the PGD is the P4D, and looked at there */
		val = READ_ONCE(*pgd);
		if (pgtable_l5_enabled() && !ptf_arch_entry_is_table(pgd_val(val)))
			ret = ptf_walk_hole(w, addr, next);
		else
			ret = ptf_walk_p4d(w, pgd, addr, next);
		if (ret)
			return ret;
	} while (pgd++, addr = next, addr != end);
	return 0;
}

/**
 * ptf_leaf_lock() - the entry that maps the huge page at an address, locked
 * @mm: address space, mmap_lock held
 * @addr: an address in it
 * @ptl: the lock that is held on success
 *
 * Return: the PMD entry, present or not, to be unlocked by ptf_leaf_unlock();
 * NULL if there is none, or a table
 */
pmd_t *ptf_leaf_lock(struct mm_struct *mm, unsigned long addr, spinlock_t **ptl)
{
	pmd_t *pmd = ptf_walk_to_pmd(mm, addr);
	pmd_t val;

	if (!pmd)
		return NULL;
	*ptl = pmd_lock(mm, pmd);
	val = READ_ONCE(*pmd);
	if (!pmd_none(val) && (!pmd_present(val) || pmd_leaf(val)) &&
	    !ptf_arch_entry_is_table(pmd_val(val))) {
		__release(*ptl);	/* for sparse, see ptf_entry_lock() */
		return pmd;
	}
	spin_unlock(*ptl);
	return NULL;
}

void ptf_leaf_unlock(spinlock_t *ptl)
{
	__acquire(*ptl);
	spin_unlock(ptl);
}

static bool ptf_walk_note(struct ptf_walk_entry **e, u8 level, u16 index,
			  u64 raw, bool leaf, bool bad)
{
	**e = (struct ptf_walk_entry) {
		.raw = raw, .index = index, .level = level, .leaf = leaf, .bad = bad,
	};
	(*e)++;
	return !leaf && !bad;
}

/**
 * ptf_walk_levels() - every entry that leads to @addr
 * @mm: address space, mmap_lock held
 * @addr: any address
 * @e: filled in from the top level down to where the walk ends
 *
 * Takes no page table lock: each entry is read once and as it stood. Interrupts
 * are off as in GUP-fast, which keeps tables of hugetlb memory from going.
 *
 * Return: entries filled in, at least 1
 */
unsigned int ptf_walk_levels(struct mm_struct *mm, unsigned long addr,
			     struct ptf_walk_entry e[PTF_LEVEL_NR])
{
	struct ptf_walk_entry *p = e;
	unsigned long irq;
	pgd_t *pgd;
	p4d_t *p4d, p4dval;
	pud_t *pud, pudval;
	pmd_t *pmd, pmdval;
	pte_t pte;
	bool end;

	mmap_assert_locked(mm);
	rcu_read_lock();
	local_irq_save(irq);

	pgd = pgd_offset(mm, addr);
	if (pgtable_l5_enabled()) {
		pgd_t val = READ_ONCE(*pgd);

		if (!ptf_walk_note(&p, PTF_LEVEL_PGD, pgd_index(addr),
				   pgd_val(val), false, false) ||
		    pgd_none(val) || pgd_bad(val))
			goto out;
	}
	p4d = p4d_offset(pgd, addr);
	p4dval = READ_ONCE(*p4d);
	/* with 4 levels the P4D is folded into the PGD: that is its name then */
	ptf_walk_note(&p, pgtable_l5_enabled() ? PTF_LEVEL_P4D : PTF_LEVEL_PGD,
		      pgtable_l5_enabled() ? p4d_index(addr) : pgd_index(addr),
		      p4d_val(p4dval), false, !p4d_none(p4dval) && p4d_bad(p4dval));
	if (p4d_none(p4dval) || p4d_bad(p4dval))
		goto out;

	pud = pud_offset(p4d, addr);
	pudval = READ_ONCE(*pud);
	end = pud_none(pudval) || pud_leaf(pudval) || pud_bad(pudval);
	ptf_walk_note(&p, PTF_LEVEL_PUD, pud_index(addr), pud_val(pudval),
		      !pud_none(pudval) && pud_leaf(pudval),
		      !pud_none(pudval) && !pud_leaf(pudval) && pud_bad(pudval));
	if (end)
		goto out;

	pmd = pmd_offset(pud, addr);
	pmdval = READ_ONCE(*pmd);
	end = pmd_none(pmdval) || !pmd_present(pmdval) || pmd_leaf(pmdval) ||
	      pmd_bad(pmdval);
	ptf_walk_note(&p, PTF_LEVEL_PMD, pmd_index(addr), pmd_val(pmdval),
		      pmd_present(pmdval) && pmd_leaf(pmdval),
		      pmd_present(pmdval) && !pmd_leaf(pmdval) && pmd_bad(pmdval));
	if (end)
		goto out;

	pte = READ_ONCE(*pte_offset_kernel(&pmdval, addr));
	ptf_walk_note(&p, PTF_LEVEL_PTE, pte_index(addr), pte_val(pte), true, false);
out:
	local_irq_restore(irq);
	rcu_read_unlock();
	return p - e;
}
