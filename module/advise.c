// SPDX-License-Identifier: GPL-2.0-only
/*
 * PTF_IOC_RANGE_ADVISE: takes a range apart into VMAs and tables, keeps the
 * locks and the flush right around the edits, counts what was skipped and why.
 * How one entry is edited stands in edit.c.
 *
 * The rule that everything here serves: from the first edit to the end of the
 * flush, mmap_lock is held and tlb_flush_pending is raised. The first keeps
 * munmap from freeing a page that another CPU still reaches through a stale
 * translation, the second makes ptep_clear_flush() of reclaim and migration
 * flush for a hint, which it otherwise takes for never cached.
 */
#include <linux/delay.h>
#include <linux/file.h>
#include <linux/mm.h>
#include <linux/mmap_lock.h>
#include <linux/pagemap.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include "edit.h"
#include "report.h"
#include "rule.h"
#include "space.h"
#include "compat.h"

/* The errno of a call that could do nothing for this reason. */
int ptf_skip_errno(int why)
{
	static const int number[PTF_SKIP_NR] = {
		[PTF_SKIP_HOLE]		= -ENOMEM,
		[PTF_SKIP_EMPTY]	= -ENODATA,
		[PTF_SKIP_PROTNONE]	= -EOPNOTSUPP,
		[PTF_SKIP_SPECIAL]	= -EOPNOTSUPP,
		[PTF_SKIP_HUGETLB]	= -EOPNOTSUPP,
		[PTF_SKIP_SECRETMEM]	= -EOPNOTSUPP,
		[PTF_SKIP_PINNED]	= -EBUSY,
		[PTF_SKIP_BUSY]		= -EBUSY,
		[PTF_SKIP_SWAPPED]	= -EBUSY,
		[PTF_SKIP_THP]		= -EOPNOTSUPP,
		[PTF_SKIP_KIND]		= -EOPNOTSUPP,
		[PTF_SKIP_FOREIGN]	= -EBUSY,
		[PTF_SKIP_NOSPACE]	= -ENOSPC,
		[PTF_SKIP_READONLY]	= -EACCES,
	};

	return number[why];
}

/* One per advice value: how to edit the entries of a VMA that allows it. */
struct ptf_advice_op {
	int (*ptes)(struct ptf_walk *w, pte_t *ptep, unsigned long addr,
		    unsigned long end);
	int (*leaf)(struct ptf_walk *w, unsigned int level, void *entry,
		    unsigned long addr, unsigned long end);
	/* what the walk has noted, when no page table is locked any more */
	void (*work)(struct ptf_edit *e, struct ptf_walk *w);
	/* which VMAs, if not those of ptf_vma_refusal() */
	int (*refusal)(struct vm_area_struct *vma);
	u32 flags;	/* PTF_ADVISE_F_* that have a meaning for it */
	u32 arm;	/* PTF_ARM_* that it can't do without */
	bool write;	/* faults must be kept out: write-locked */
	bool file;	/* works on the file behind the VMA: filemap.c */
	bool in_place;	/* takes rights from entries: CPUs are to forget them */
	bool gives_write;	/* as mprotect() does, without a write */
	u32 mark;	/* PTF_MARK_*: the range is marked */
};

/* Stash nodes got in one go: what one last-level table can use. */
#define PTF_POOL_NODES ((u64)PTRS_PER_PTE)

#define PTF_F_STRICT	PTF_ADVISE_F_STRICT
#define PTF_F_SPLIT	(PTF_ADVISE_F_STRICT | PTF_ADVISE_F_SPLIT)
#define PTF_F_LEAF	(PTF_F_SPLIT | PTF_ADVISE_F_PMD)

static const struct ptf_advice_op ptf_advice_ops[] = {
	[PTF_ADV_NOTPRESENT - PTF_ADV_BASE] = {
		.ptes = ptf_edit_hint_ptes,
		.in_place = true,
		.leaf = ptf_edit_hint_leaf,
		.flags = PTF_F_LEAF | PTF_ADVISE_F_ONESHOT | PTF_ADVISE_F_GUP,
	},
	[PTF_ADV_STASH - PTF_ADV_BASE] = {
		.ptes = ptf_edit_stash_ptes,
		.in_place = true,
		.leaf = ptf_edit_split_leaf,
		.flags = PTF_F_SPLIT | PTF_ADVISE_F_GUP,
		.arm = PTF_ARM_STASH,
		.write = true,
	},
	[PTF_ADV_STICKY - PTF_ADV_BASE] = {
		.ptes = ptf_edit_hint_ptes,
		.in_place = true,
		.leaf = ptf_edit_split_leaf,
		.flags = PTF_F_SPLIT | PTF_ADVISE_F_GUP,
		.arm = PTF_ARM_EXACT | PTF_ARM_RULE,
		.mark = PTF_MARK_STICKY,
	},
	[PTF_ADV_POISON - PTF_ADV_BASE] = {
		.ptes = ptf_edit_hint_ptes,
		.in_place = true,
		.leaf = ptf_edit_split_leaf,
		.flags = PTF_F_SPLIT,
		.arm = PTF_ARM_EXACT | PTF_ARM_RULE | PTF_ARM_GUP,
		.mark = PTF_MARK_POISON,
	},
	[PTF_ADV_UNPOISON - PTF_ADV_BASE] = {
		.gives_write = true,
		.ptes = ptf_edit_unhint_ptes,
		.leaf = ptf_edit_unhint_leaf,
		.flags = PTF_F_STRICT,
	},
	[PTF_ADV_WRPROTECT - PTF_ADV_BASE] = {
		.ptes = ptf_edit_wrprotect_ptes,
		.in_place = true,
		.leaf = ptf_edit_wrprotect_leaf,
		.flags = PTF_F_LEAF,
	},
	[PTF_ADV_WRUNPROTECT - PTF_ADV_BASE] = {
		.gives_write = true,
		.ptes = ptf_edit_wrunprotect_ptes,
		.leaf = ptf_edit_wrunprotect_leaf,
		.flags = PTF_F_LEAF,
	},
	[PTF_ADV_OLD - PTF_ADV_BASE] = {
		.ptes = ptf_edit_old_ptes,
		.in_place = true,
		.leaf = ptf_edit_old_leaf,
		.flags = PTF_F_LEAF,
	},
	[PTF_ADV_CLEAN - PTF_ADV_BASE] = {
		.ptes = ptf_edit_clean_ptes,
		.in_place = true,
		.leaf = ptf_edit_skip_leaf,
		.flags = PTF_F_STRICT,
	},
	[PTF_ADV_UNMAP_FILE - PTF_ADV_BASE] = {
		.file = true,
	},
	[PTF_ADV_UNMAP_FILE_COW - PTF_ADV_BASE] = {
		.file = true,
	},
	[PTF_ADV_ZAP - PTF_ADV_BASE] = {
		.ptes = ptf_zap_ptes,
		.leaf = ptf_zap_leaf,
		.work = ptf_zap_work,
		.refusal = ptf_zap_refusal,
		.flags = PTF_F_STRICT,
		.write = true,
	},
	[PTF_ADV_EVICT - PTF_ADV_BASE] = {
		.file = true,
	},
	[PTF_ADV_MIGRATE - PTF_ADV_BASE] = {
		.ptes = ptf_migrate_ptes,
		.leaf = ptf_edit_split_leaf,
		.work = ptf_migrate_work,
		.flags = PTF_F_SPLIT,
	},
	[PTF_ADV_UNSHARE - PTF_ADV_BASE] = {
		.ptes = ptf_unshare_ptes,
		.leaf = ptf_unshare_leaf,
		.work = ptf_unshare_work,
		.flags = PTF_F_SPLIT,
	},
	[PTF_ADV_SPLIT - PTF_ADV_BASE] = {
		.ptes = ptf_split_ptes,
		.leaf = ptf_split_leaf,
		.work = ptf_split_work,
		.flags = PTF_F_STRICT,
	},
	[PTF_ADV_RESET - PTF_ADV_BASE] = {
		.ptes = ptf_edit_unhint_ptes,	/* not called */
	},
	[PTF_ADV_PRESENT - PTF_ADV_BASE] = {
		.gives_write = true,
		.ptes = ptf_edit_unhint_ptes,
		.leaf = ptf_edit_unhint_leaf,
		.flags = PTF_F_STRICT,
	},
};

u64 ptf_advise_supported(void)
{
	u64 mask = 0;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(ptf_advice_ops); i++)
		if ((ptf_advice_ops[i].ptes || ptf_advice_ops[i].file) &&
		    (!ptf_advice_ops[i].arm || ptf_hook_can()))
			mask |= 1ULL << i;
	return mask;
}

static const struct ptf_advice_op *ptf_advise_op(u32 advice)
{
	u32 i = advice - PTF_ADV_BASE;

	if (i >= ARRAY_SIZE(ptf_advice_ops) ||
	    !(ptf_advice_ops[i].ptes || ptf_advice_ops[i].file))
		return NULL;
	return &ptf_advice_ops[i];
}

static int ptf_advise_hole(struct ptf_walk *w, unsigned long addr, unsigned long end)
{
	return ptf_edit_skip(w, addr, end, PTF_SKIP_EMPTY);
}

/*
 * Work on [pos, end) under mmap_lock, VMA by VMA. Leaves in w->next where it
 * stopped; answers as ptf_walk_range() does.
 */
static int ptf_advise_locked(struct ptf_walk *w, unsigned long pos, unsigned long end,
			     const struct ptf_advice_op *op)
{
	struct vm_area_struct *vma;
	unsigned long stop;
	int ret = 0, why;

	while (pos < end) {
		vma = ptf_vma_find(w->mm, pos);
		if (!vma || vma->vm_start > pos) {
			stop = vma ? min(vma->vm_start, end) : end;
			w->next = stop;
			ret = ptf_edit_skip(w, pos, stop, PTF_SKIP_HOLE);
		} else {
			stop = min(vma->vm_end, end);
			w->vma = vma;
			why = unlikely(op->refusal) ? op->refusal(vma) : ptf_vma_refusal(vma);
			if (why >= 0) {
				w->next = stop;
				ret = ptf_edit_skip(w, pos, stop, why);
			} else {
				if (op->write)
					ptf_vma_start_write(vma);
				ret = ptf_walk_range(w, pos, stop);
			}
		}
		if (ret)
			return ret;
		pos = stop;
		/* many small VMAs are long work too */
		if (pos < end && (need_resched() || fatal_signal_pending(current))) {
			w->next = pos;
			return PTF_WALK_BREAK;
		}
	}
	return 0;
}

/*
 * Stashed pages that PRESENT met: back they go, and what lay under a stash may
 * have been a hint. mmap_lock is held.
 */
static void ptf_advise_unstash(struct ptf_edit *e, struct ptf_walk *w)
{
	unsigned long addr;
	struct ptf_space *sp = ptf_space_find_get(w->mm);
	struct vm_area_struct *vma;
	spinlock_t *ptl;
	pte_t *ptep;

	for (addr = e->stash_start; sp; addr += PAGE_SIZE) {
		addr = ptf_stash_next(sp, addr);
		if (addr >= e->stash_end)
			break;
		/* without a VMA it is being unmapped, whose notifier restores */
		vma = find_vma(w->mm, addr);
		if (!vma || vma->vm_start > addr ||
		    !ptf_stash_restore(sp, w->mm, addr, NULL))
			continue;
		ptep = ptf_entry_lock(w->mm, addr, &ptl);
		if (!ptep)
			continue;
		ptf_edit_unhint_one(vma, ptep, addr);
		ptf_entry_unlock(ptl);
		cond_resched();
	}
	e->stash_nr = 0;
	if (sp)
		ptf_space_put(sp);
}

/* A huge page is in the way: split it, and go on at the same place. */
static void ptf_advise_split(struct ptf_edit *e, struct ptf_walk *w)
{
	struct vm_area_struct *vma = find_vma(w->mm, e->split_addr);

	e->split = false;
	e->split_failed = ptf_migrate_split(vma, e->split_addr) != 0;
}

/* What had to wait until no page table was locked any more. */
static noinline void ptf_advise_after(struct ptf_edit *e, struct ptf_walk *w,
				      const struct ptf_advice_op *op)
{
	if (e->stash_nr)
		ptf_advise_unstash(e, w);
	if (e->batch && e->batch->nr) {
		op->work(e, w);
		e->batch->nr = 0;
		e->batch->pages = 0;
	}
	if (e->split)
		ptf_advise_split(e, w);
}

/* One stretch under the lock, with the flush that its edits owe. */
static int ptf_advise_stretch(struct ptf_edit *e, struct ptf_walk *w, unsigned long pos,
			      unsigned long end, const struct ptf_advice_op *op)
{
	u64 same = e->a->out_same_pages;
	int ret;

	inc_tlb_flush_pending(w->mm);
	ret = ptf_advise_locked(w, pos, end, op);
	/*
	 * What was so already may have become so a moment ago, by somebody who has
	 * not flushed yet; the caller hears that nobody sees it otherwise any more.
	 */
	if (e->need_flush || (op->in_place && e->a->out_same_pages != same &&
			      mm_tlb_flush_nested(w->mm))) {
		ptf_tlb_flush_all();
		e->need_flush = false;
		e->a->out_flushes++;
	}
	dec_tlb_flush_pending(w->mm);
	if (unlikely(e->stash_nr || e->batch || e->split))
		ptf_advise_after(e, w, op);
	return ret;
}

static int ptf_advise_lock(struct mm_struct *mm, bool write)
{
	return write ? mmap_write_lock_killable(mm) : mmap_read_lock_killable(mm);
}

static void ptf_advise_unlock(struct mm_struct *mm, bool write)
{
	if (write)
		mmap_write_unlock(mm);
	else
		mmap_read_unlock(mm);
}

/* Have what a walk broke off for. @locked: mmap_lock is held, for writing. */
static int ptf_advise_provide(struct ptf_edit *e, bool locked, unsigned long pos)
{
	u64 left = (e->a->end - pos) >> PAGE_SHIFT;
	u32 need = e->need;

	e->need = 0;
	if (need & PTF_NEED_POOL)
		return ptf_stash_pool_fill(&e->pool, min(PTF_POOL_NODES, left));
	/* whoever works on the address space never waits for mmap_lock in there */
	if (need & PTF_NEED_WAIT)
		usleep_range(50, 200);
	if (need & PTF_NEED_EXACT) {
		/*
		 * Without the hook the kernel heals, perhaps in company: the
		 * answer's out_large_pages says so. Arming takes mmap_lock.
		 */
		if (!locked)
			ptf_target_arm(e->t, PTF_ARM_EXACT);
		e->exact = true;
	}
	return 0;
}

/* All or nothing: look first, edit after, and never let the lock go between. */
static int ptf_advise_strict(struct ptf_edit *e, struct ptf_walk *w,
			     const struct ptf_advice_op *op)
{
	struct ptf_ioc_range_advise *a = e->a;
	unsigned long pos;
	u64 pages;
	int ret;

again:
	if (ptf_advise_lock(w->mm, op->write))
		return -EINTR;
	e->dry = true;
	pos = a->start;
	do {
		ret = ptf_advise_locked(w, pos, a->end, op);
		pos = w->next;
		if (fatal_signal_pending(current))
			ret = -EINTR;
		cond_resched();
	} while (ret == PTF_WALK_BREAK && !e->need);
	pages = a->out_done_pages;
	a->out_done_pages = 0;
	a->out_same_pages = 0;
	a->out_large_pages = 0;
	if (ret == PTF_WALK_BREAK) {
		ptf_advise_unlock(w->mm, op->write);
		ret = ptf_advise_provide(e, false, pos);
		if (ret)
			return ret;
		goto again;
	}
	if (ret) {
		a->out_next = ret == PTF_WALK_STOP ? w->next : a->start;
		goto unlock;
	}
	if (op->arm & PTF_ARM_STASH) {
		ret = pages > INT_MAX ? -ENOMEM : ptf_stash_pool_fill(&e->pool, pages);
		if (ret)
			goto unlock;
	}
	e->dry = false;
	/* What changed since the look is skipped and counted, and no success. */
	for (pos = a->start; pos < a->end; pos = w->next) {
		ret = ptf_advise_stretch(e, w, pos, a->end, op);
		cond_resched();
		if (ret == PTF_WALK_BREAK && e->need)
			ret = ptf_advise_provide(e, true, w->next);
		if (ret < 0)
			break;
	}
	if (ret >= 0)
		ret = e->first_skip >= 0 ? PTF_WALK_STOP : 0;
	a->out_next = w->next;
unlock:
	ptf_advise_unlock(w->mm, op->write);
	return ret;
}

static int ptf_advise_loose(struct ptf_edit *e, struct ptf_walk *w,
			    const struct ptf_advice_op *op)
{
	struct ptf_ioc_range_advise *a = e->a;
	unsigned long pos = a->start;
	int ret;

	do {
		if (e->need) {
			ret = ptf_advise_provide(e, false, pos);
			if (ret)
				break;
		}
		if (ptf_advise_lock(w->mm, op->write)) {
			ret = -EINTR;
			break;
		}
		ret = ptf_advise_stretch(e, w, pos, a->end, op);
		ptf_advise_unlock(w->mm, op->write);
		pos = w->next;
		a->out_next = pos;
		if (ret == PTF_WALK_BREAK && fatal_signal_pending(current))
			ret = -EINTR;
		cond_resched();
	} while (ret == PTF_WALK_BREAK);
	return ret;
}

/* RESET: what this session has taken or armed here is put back and off. */
static void ptf_advise_reset(struct ptf_edit *e)
{
	e->a->out_done_pages = atomic64_read(&e->t->stashed);
	ptf_target_reset(e->t);
	e->a->out_next = e->a->end;
}

static void ptf_advise_skip(struct ptf_edit *e, u64 pages, int why)
{
	if (!pages)
		return;
	if (e->first_skip < 0)
		e->first_skip = why;
	e->a->out_skipped_pages[why] += pages;
}

/* Private copies that UNMAP_FILE_COW is about to drop, or has left. */
struct ptf_copies {
	struct address_space *mapping;
	u64 nr;
};

static int ptf_advise_copies_ptes(struct ptf_walk *w, pte_t *ptep, unsigned long addr,
				  unsigned long end)
{
	struct ptf_copies *c = w->priv;
	struct ptf_filemap_entry fe;
	struct page *page;
	pgoff_t index;
	pte_t pte;

	for (; addr != end; ptep++, addr += PAGE_SIZE) {
		pte = ptep_get(ptep);
		if (pte_none(pte))
			continue;
		page = pte_present(pte) ? ptf_edit_page(pte) : NULL;
		if (pte_present(pte) ? !page || !PageAnon(page) :
		    ptf_entry_state(w->vma, pte) != PTF_STATE_SWAP)
			continue;
		/* mapped somewhere else as well: counted there, if that is known by page */
		index = linear_page_index(w->vma, addr);
		if (ptf_filemap_next(c->mapping, index, index, &fe) &&
		    fe.state == PTF_FILEMAP_PRESENT && fe.info.mapcount &&
		    (PTF_MAPCOUNT_PER_PAGE || !fe.info.order))
			continue;
		c->nr++;
	}
	return 0;
}

static int ptf_advise_copies_leaf(struct ptf_walk *w, unsigned int level, void *entry,
				  unsigned long addr, unsigned long end)
{
	return 0;
}

static int ptf_advise_copies_hole(struct ptf_walk *w, unsigned long addr, unsigned long end)
{
	return 0;
}

/* Those of a file's private mapping; mmap_lock is held. */
static u64 ptf_advise_copies(struct vm_area_struct *vma, unsigned long start,
			     unsigned long end)
{
	struct ptf_copies c = { .mapping = vma->vm_file->f_mapping };
	struct ptf_walk w = {
		.mm = vma->vm_mm,
		.vma = vma,
		.next = start,
		.priv = &c,
		.ptes = ptf_advise_copies_ptes,
		.leaf = ptf_advise_copies_leaf,
		.hole = ptf_advise_copies_hole,
	};

	if (!ptf_vma_is_cow(vma))
		return 0;
	while (w.next < end && !fatal_signal_pending(current)) {
		ptf_walk_range(&w, w.next, end);
		cond_resched();
	}
	return c.nr;
}

/* How many of them are still there; nobody has held a lock meanwhile. */
static u64 ptf_advise_copies_left(struct mm_struct *mm, struct file *file,
				  unsigned long start, unsigned long end)
{
	struct vm_area_struct *vma;
	u64 nr = 0;

	mmap_read_lock(mm);
	vma = vma_lookup(mm, start);
	if (vma && vma->vm_file && vma->vm_file->f_mapping == file->f_mapping)
		nr = ptf_advise_copies(vma, start, min(end, vma->vm_end));
	mmap_read_unlock(mm);
	return nr;
}

/* One VMA's part of a file, with no lock held: it may write and wait. */
static int ptf_advise_file(struct ptf_edit *e, struct file *file, pgoff_t first,
			   unsigned long nr, u64 copies)
{
	unsigned long start = e->a->out_next, end = start + nr * PAGE_SIZE;
	u64 done = 0, busy = 0;
	int err;

	if (ptf_mapping_is_shmem(file->f_mapping) && e->a->advice == PTF_ADV_EVICT) {
		ptf_advise_skip(e, nr, PTF_SKIP_KIND);
		return 0;
	}
	err = ptf_filemap_advise(file->f_mapping, file, e->a->advice, first, nr,
				 &done, &busy);
	if (copies)
		done = min(nr - min_t(u64, nr, busy), done + copies -
			   min(copies, ptf_advise_copies_left(e->t->mm, file, start, end)));
	e->a->out_done_pages += done;
	ptf_advise_skip(e, busy, PTF_SKIP_BUSY);
	ptf_advise_skip(e, nr - min_t(u64, nr, done + busy), PTF_SKIP_EMPTY);
	return err;
}

/* UNMAP_FILE and EVICT of an address range: of the files mapped there. */
static int ptf_advise_files(struct ptf_edit *e)
{
	struct ptf_ioc_range_advise *a = e->a;
	struct mm_struct *mm = e->t->mm;
	struct vm_area_struct *vma;
	unsigned long stop, nr;
	struct file *file;
	pgoff_t first = 0;
	int ret = 0, why;
	u64 copies;

	while (!ret && a->out_next < a->end) {
		if (mmap_read_lock_killable(mm))
			return -EINTR;
		file = NULL;
		copies = 0;
		why = PTF_SKIP_HOLE;
		vma = find_vma(mm, a->out_next);
		if (!vma || vma->vm_start > a->out_next) {
			stop = vma ? min_t(u64, vma->vm_start, a->end) : a->end;
		} else {
			stop = min_t(u64, vma->vm_end, a->end);
			why = ptf_vma_refusal(vma);
			/* forbidden to the process, but the file is there */
			if (why < 0 || why == PTF_SKIP_PROTNONE)
				why = PTF_SKIP_KIND;
			if (why == PTF_SKIP_KIND && vma->vm_file &&
			    ptf_filemap_has_cache(vma->vm_file->f_mapping)) {
				file = get_file(vma->vm_file);
				first = linear_page_index(vma, a->out_next);
				copies = a->advice == PTF_ADV_UNMAP_FILE_COW ?
					ptf_advise_copies(vma, a->out_next, stop) : 0;
			}
		}
		mmap_read_unlock(mm);
		nr = (stop - a->out_next) >> PAGE_SHIFT;
		if (file && !ptf_filemap_may_change(file))
			why = PTF_SKIP_READONLY;
		if (file && why == PTF_SKIP_KIND)
			ret = ptf_advise_file(e, file, first, nr, copies);
		else
			ptf_advise_skip(e, nr, why);
		if (file)
			fput(file);
		a->out_next = stop;
		if (fatal_signal_pending(current))
			ret = -EINTR;
		cond_resched();
	}
	return ret;
}

int ptf_advise_file_range(struct ptf_cmd *c)
{
	struct ptf_ioc_file_advise *a = c->arg;
	struct address_space *mapping;
	u64 done = 0, busy = 0, nr;
	struct file *file;
	int err;

	if (a->flags)
		return -EOPNOTSUPP;
	if (a->advice != PTF_ADV_UNMAP_FILE && a->advice != PTF_ADV_UNMAP_FILE_COW &&
	    a->advice != PTF_ADV_EVICT)
		return a->advice > PTF_ADV_BASE && a->advice <= PTF_ADV_LAST ?
			-EOPNOTSUPP : -EINVAL;
	if (!PAGE_ALIGNED(a->start) || !PAGE_ALIGNED(a->end) || a->start >= a->end ||
	    a->end > MAX_LFS_FILESIZE)
		return -EINVAL;
	/* private copies are other processes' data */
	if (a->advice == PTF_ADV_UNMAP_FILE_COW && !capable(CAP_SYS_ADMIN))
		return -EPERM;
	file = ptf_filemap_open(a->fd, FMODE_WRITE, &mapping);
	if (IS_ERR(file))
		return PTR_ERR(file);
	if (a->advice == PTF_ADV_EVICT && ptf_mapping_is_shmem(mapping)) {
		fput(file);
		return -EOPNOTSUPP;
	}
	nr = min_t(u64, a->end, round_up(i_size_read(mapping->host), PAGE_SIZE));
	nr = nr > a->start ? (nr - a->start) >> PAGE_SHIFT : 0;
	memset(a->out_skipped_pages, 0, sizeof(a->out_skipped_pages));
	err = nr ? ptf_filemap_advise(mapping, file, a->advice, a->start >> PAGE_SHIFT, nr,
				      &done, &busy) : 0;
	a->out_done_pages = done;
	a->out_skipped_pages[PTF_SKIP_BUSY] = busy;
	a->out_skipped_pages[PTF_SKIP_EMPTY] = nr - min(nr, done + busy);
	c->respond = true;
	fput(file);
	if (!err && !done)
		err = ptf_skip_errno(busy ? PTF_SKIP_BUSY : PTF_SKIP_EMPTY);
	return err;
}

/* What is wrong with the question, whoever asks about whatever target. */
static int ptf_advise_check(const struct ptf_ioc_range_advise *a)
{
	const struct ptf_advice_op *op = ptf_advise_op(a->advice);
	int err;

	if (a->arg)
		return -EINVAL;
	err = ptf_check_range(a->start, a->end);
	if (err)
		return err;
	if (!op)
		return a->advice > PTF_ADV_BASE && a->advice <= PTF_ADV_LAST ?
			-EOPNOTSUPP : -EINVAL;
	/* private copies are other processes' data */
	if (a->advice == PTF_ADV_UNMAP_FILE_COW && !capable(CAP_SYS_ADMIN))
		return -EPERM;
	return a->flags & ~op->flags ? -EOPNOTSUPP : 0;
}

/* What must be there before the first entry is touched. */
static int ptf_advise_prepare(struct ptf_edit *e, const struct ptf_advice_op *op)
{
	struct ptf_ioc_range_advise *a = e->a;
	struct ptf_target *t = e->t;
	u32 arm = op->arm | (a->flags & PTF_ADVISE_F_GUP ? PTF_ARM_GUP : 0);
	int err;

	/* one-shot: the kernel heals, and nothing hangs on the session */
	e->exact = a->flags & PTF_ADVISE_F_ONESHOT || t->armed & PTF_ARM_EXACT;
	if (arm) {
		err = ptf_target_arm(t, arm);
		if (err)
			return err;
	}
	/* core mm does the rest, and flushes by itself */
	if (op->work) {
		e->batch = kzalloc(sizeof(*e->batch), GFP_KERNEL_ACCOUNT);
		return e->batch ? 0 : -ENOMEM;
	}
	/* devices that share the page tables keep translations of their own */
	if (op->ptes && ptf_mm_has_pasid(t->mm))
		return -EOPNOTSUPP;
	if (a->advice == PTF_ADV_NOTPRESENT && !e->exact && nr_online_nodes > 1) {
		err = ptf_target_arm(t, PTF_ARM_EXACT);
		if (err == -EINTR || err == -ERESTARTNOINTR)
			return err;
		e->exact = true;
	}
	return 0;
}

/**
 * ptf_advise_target() - advise a range of a target
 * @t: target, inside ptf_target_begin(), no lock held
 * @a: the question, checked; its out_ fields are filled in
 * @respond: set once the out_ fields are true, whatever is returned
 *
 * Return: 0 or what PTF_IOC_RANGE_ADVISE answers
 */
int ptf_advise_target(struct ptf_target *t, struct ptf_ioc_range_advise *a, bool *respond)
{
	const struct ptf_advice_op *op = ptf_advise_op(a->advice);
	struct ptf_edit e = { .a = a, .t = t, .first_skip = -1 };
	struct ptf_walk w = {
		.mm = t->mm,
		.priv = &e,
		.ptes = op->ptes,
		.leaf = op->leaf,
		.hole = ptf_advise_hole,
	};
	bool merged = false;
	int ret;

	ret = ptf_advise_prepare(&e, op);
	if (ret)
		return ret;
	a->out_next = a->start;
	a->out_done_pages = 0;
	a->out_same_pages = 0;
	a->out_large_pages = 0;
	a->out_flushes = 0;
	memset(a->out_skipped_pages, 0, sizeof(a->out_skipped_pages));
	*respond = true;

	if (a->advice == PTF_ADV_RESET) {
		ptf_advise_reset(&e);
		return 0;
	}
	/* marked first: no page is a hint without a reason to stay one */
	if (op->mark)
		ret = ptf_queue_ready(t->s->q) ?:
			ptf_mark_add(t, a->start, a->end, op->mark, &merged);
	else if (a->advice == PTF_ADV_UNPOISON)
		ret = ptf_mark_remove(t, a->start, a->end, PTF_MARK_POISON);
	else
		ret = 0;
	if (ret)
		return ret;
	if (op->file)
		ret = ptf_advise_files(&e);
	else if (a->flags & PTF_ADVISE_F_STRICT)
		ret = ptf_advise_strict(&e, &w, op);
	else
		ret = ptf_advise_loose(&e, &w, op);
	if (e.pool)
		ptf_stash_pool_free(&e.pool);
	if (unlikely(e.batch))
		kfree(e.batch);
	/* a skip that ended a strict look, or was all that happened */
	if ((ret == PTF_WALK_STOP || !ret) && e.first_skip >= 0 &&
	    (ret || !(a->out_done_pages | a->out_same_pages)))
		ret = ptf_skip_errno(e.first_skip);
	/* nothing is there that could be marked */
	if (op->mark && ret && !merged && !(a->out_done_pages | a->out_same_pages))
		ptf_mark_remove(t, a->start, a->end, op->mark);
	if (a->advice == PTF_ADV_NOTPRESENT)
		atomic64_add(a->out_done_pages, &t->s->cleared_pages);
	else if (a->advice == PTF_ADV_STASH)
		atomic64_add(a->out_done_pages, &t->s->stashed_total);
	else if (op->gives_write)
		ptf_track_advised(t, a->start, a->end);
	return ret;
}

int ptf_advise_range(struct ptf_cmd *c)
{
	struct ptf_ioc_range_advise *a = c->arg;
	struct ptf_target *t;
	int ret;

	ret = ptf_advise_check(a);
	if (ret)
		return ret;
	t = ptf_target_begin(c->s, a->target);
	if (IS_ERR(t))
		return PTR_ERR(t);
	ret = ptf_advise_target(t, a, &c->respond);
	ptf_target_end(t);
	return ret;
}
