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
#include <linux/mm.h>
#include <linux/mmap_lock.h>
#include <linux/sched/signal.h>
#include "edit.h"
#include "compat.h"

static const int ptf_skip_errno[PTF_SKIP_NR] = {
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

/* One per advice value: how to edit the entries of a VMA that allows it. */
struct ptf_advice_op {
	int (*ptes)(struct ptf_walk *w, pte_t *ptep, unsigned long addr,
		    unsigned long end);
	int (*leaf)(struct ptf_walk *w, unsigned int level, void *entry,
		    unsigned long addr, unsigned long end);
	u32 flags;	/* PTF_ADVISE_F_* that have a meaning for it */
};

static const struct ptf_advice_op ptf_advice_ops[] = {
	[PTF_ADV_NOTPRESENT - PTF_ADV_BASE] = {
		.ptes = ptf_edit_hint_ptes,
		.leaf = ptf_edit_skip_leaf,
		.flags = PTF_ADVISE_F_STRICT | PTF_ADVISE_F_ONESHOT,
	},
	[PTF_ADV_PRESENT - PTF_ADV_BASE] = {
		.ptes = ptf_edit_unhint_ptes,
		.leaf = ptf_edit_skip_leaf,
		.flags = PTF_ADVISE_F_STRICT,
	},
};

u64 ptf_advise_supported(void)
{
	u64 mask = 0;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(ptf_advice_ops); i++)
		if (ptf_advice_ops[i].ptes)
			mask |= 1ULL << i;
	return mask;
}

static const struct ptf_advice_op *ptf_advise_op(u32 advice)
{
	u32 i = advice - PTF_ADV_BASE;

	if (i >= ARRAY_SIZE(ptf_advice_ops) || !ptf_advice_ops[i].ptes)
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
static int ptf_advise_locked(struct ptf_walk *w, unsigned long pos,
			     unsigned long end)
{
	struct vm_area_struct *vma;
	unsigned long stop;
	int ret = 0, why;

	while (pos < end) {
		vma = find_vma(w->mm, pos);
		if (!vma || vma->vm_start > pos) {
			stop = vma ? min(vma->vm_start, end) : end;
			w->next = stop;
			ret = ptf_edit_skip(w, pos, stop, PTF_SKIP_HOLE);
		} else {
			stop = min(vma->vm_end, end);
			w->vma = vma;
			why = ptf_vma_refusal(vma);
			if (why >= 0) {
				w->next = stop;
				ret = ptf_edit_skip(w, pos, stop, why);
			} else {
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

/* One stretch under the lock, with the flush that its edits owe. */
static int ptf_advise_stretch(struct ptf_edit *e, struct ptf_walk *w,
			      unsigned long pos, unsigned long end)
{
	int ret;

	inc_tlb_flush_pending(w->mm);
	ret = ptf_advise_locked(w, pos, end);
	if (e->need_flush) {
		ptf_tlb_flush_all();
		e->need_flush = false;
		e->a->out_flushes++;
	}
	dec_tlb_flush_pending(w->mm);
	return ret;
}

/* All or nothing: look first, edit after, and never let the lock go between. */
static int ptf_advise_strict(struct ptf_edit *e, struct ptf_walk *w)
{
	struct ptf_ioc_range_advise *a = e->a;
	unsigned long pos = a->start;
	int ret;

	if (mmap_read_lock_killable(w->mm))
		return -EINTR;
	e->dry = true;
	do {
		ret = ptf_advise_locked(w, pos, a->end);
		pos = w->next;
		if (fatal_signal_pending(current))
			ret = -EINTR;
		cond_resched();
	} while (ret == PTF_WALK_BREAK);
	a->out_done_pages = 0;
	a->out_same_pages = 0;
	a->out_large_pages = 0;
	if (ret) {
		a->out_next = w->next;
		goto unlock;
	}
	e->dry = false;
	/* What changed since the look is skipped and counted. */
	for (pos = a->start; pos < a->end; pos = w->next) {
		ret = ptf_advise_stretch(e, w, pos, a->end);
		cond_resched();
		if (ret < 0)
			break;
	}
	if (ret > 0)
		ret = 0;
	a->out_next = w->next;
unlock:
	mmap_read_unlock(w->mm);
	return ret;
}

static int ptf_advise_loose(struct ptf_edit *e, struct ptf_walk *w)
{
	struct ptf_ioc_range_advise *a = e->a;
	unsigned long pos = a->start;
	int ret;

	do {
		if (mmap_read_lock_killable(w->mm)) {
			ret = -EINTR;
			break;
		}
		ret = ptf_advise_stretch(e, w, pos, a->end);
		mmap_read_unlock(w->mm);
		pos = w->next;
		a->out_next = pos;
		if (ret == PTF_WALK_BREAK && fatal_signal_pending(current))
			ret = -EINTR;
		cond_resched();
	} while (ret == PTF_WALK_BREAK);
	return ret;
}

int ptf_advise_range(struct ptf_cmd *c)
{
	struct ptf_ioc_range_advise *a = c->arg;
	const struct ptf_advice_op *op = ptf_advise_op(a->advice);
	struct ptf_edit e = { .a = a, .first_skip = -1 };
	struct ptf_walk w = { .priv = &e, .hole = ptf_advise_hole };
	struct ptf_target *t;
	int ret;

	if (a->arg)
		return -EINVAL;
	ret = ptf_check_range(a->start, a->end);
	if (ret)
		return ret;
	if (!op)
		return a->advice > PTF_ADV_BASE && a->advice <= PTF_ADV_LAST ?
			-EOPNOTSUPP : -EINVAL;
	if (a->flags & ~op->flags)
		return -EOPNOTSUPP;
	t = ptf_target_begin(c->s, a->target);
	if (IS_ERR(t))
		return PTR_ERR(t);

	a->out_next = a->start;
	a->out_done_pages = 0;
	a->out_same_pages = 0;
	a->out_large_pages = 0;
	a->out_flushes = 0;
	memset(a->out_skipped_pages, 0, sizeof(a->out_skipped_pages));
	c->respond = true;

	w.mm = t->mm;
	w.ptes = op->ptes;
	w.leaf = op->leaf;
	if (a->flags & PTF_ADVISE_F_STRICT)
		ret = ptf_advise_strict(&e, &w);
	else
		ret = ptf_advise_loose(&e, &w);
	/* a skip that ended a strict look, or was all that happened */
	if ((ret == PTF_WALK_STOP || !ret) && e.first_skip >= 0 &&
	    (ret || !(a->out_done_pages | a->out_same_pages)))
		ret = ptf_skip_errno[e.first_skip];
	if (a->advice == PTF_ADV_NOTPRESENT)
		atomic64_add(a->out_done_pages, &c->s->cleared_pages);
	ptf_target_end(t);
	return ret;
}
