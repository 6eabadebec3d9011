/* SPDX-License-Identifier: GPL-2.0-only */
/* The one page-table walk, and what a VMA is. See walk.c and vma.c. */
#ifndef PTF_WALK_H
#define PTF_WALK_H

#include <linux/mm.h>
#include "ptefault.h"

/* A callback's or a walk's answer, beside 0 (go on) and a negative errno. */
#define PTF_WALK_STOP	1	/* the callback has set w->next; walk ends there */
#define PTF_WALK_BREAK	2	/* give the lock up, then come back for w->next */

/**
 * struct ptf_walk - a walk over part of one VMA
 * @mm: address space, mmap_lock held
 * @vma: the VMA that all of the range lies in, or NULL for a raw look
 * @next: first address not walked
 * @priv: the caller's
 * @ptes: [addr, end) inside one last-level table; page table lock held
 * @leaf: a PMD or PUD leaf or a non-present PMD (level PTF_LEVEL_*), its lock
 *	held; [addr, end) is the part of the range inside it
 * @hole: no table below here
 *
 * No callback may sleep.
 */
struct ptf_walk {
	struct mm_struct *mm;
	struct vm_area_struct *vma;
	unsigned long next;
	void *priv;
	int (*ptes)(struct ptf_walk *w, pte_t *ptep, unsigned long addr,
		    unsigned long end);
	int (*leaf)(struct ptf_walk *w, unsigned int level, void *entry,
		    unsigned long addr, unsigned long end);
	int (*hole)(struct ptf_walk *w, unsigned long addr, unsigned long end);
};

int ptf_walk_range(struct ptf_walk *w, unsigned long addr, unsigned long end);

pte_t *ptf_entry_lock(struct mm_struct *mm, unsigned long addr, spinlock_t **ptl);
void ptf_entry_unlock(spinlock_t *ptl);
pte_t ptf_entry_peek(struct mm_struct *mm, unsigned long addr);

/* The entries that lead to an address, from the top; a snapshot. */
struct ptf_walk_entry {
	u64 raw;
	u16 index;
	u8 level;
	bool leaf;
	bool bad;
};

unsigned int ptf_walk_levels(struct mm_struct *mm, unsigned long addr,
			     struct ptf_walk_entry e[PTF_LEVEL_NR]);

/* The entry that maps a huge page. */
pmd_t *ptf_leaf_lock(struct mm_struct *mm, unsigned long addr, spinlock_t **ptl);
void ptf_leaf_unlock(spinlock_t *ptl);

/*
 * find_vma(), by the short way first: an exact look-up costs half of a search
 * for the next VMA, and nearly always hits.
 */
static inline struct vm_area_struct *ptf_vma_find(struct mm_struct *mm, unsigned long addr)
{
	struct vm_area_struct *vma = vma_lookup(mm, addr);

	return vma ?: find_vma(mm, addr);
}

/* vma.c */
u64 ptf_vma_flags(struct vm_area_struct *vma);
bool ptf_vma_is_special(struct vm_area_struct *vma);
bool ptf_vma_is_secretmem(struct vm_area_struct *vma);
bool ptf_mapping_is_shmem(struct address_space *mapping);
int ptf_vma_refusal(struct vm_area_struct *vma);
u8 ptf_entry_state(struct vm_area_struct *vma, pte_t pte);

#endif /* PTF_WALK_H */
