// SPDX-License-Identifier: GPL-2.0-only
/*
 * Armed address spaces: their lifetimes, the table that the hook looks them up
 * in, and what core mm tells us about them through an mmu notifier. What is
 * remembered in them belongs to stash.c and the rules.
 *
 * A space exists from the first thing that a session arms in an address space
 * to the last one's end. It does not keep the address space alive: when that
 * ends, release puts everything back while the page tables still stand, and
 * the space is an empty shell until its users let go of it.
 *
 * The hook is set as long as there is a space. A stash must never outlive the
 * hook, so the space goes first.
 */
#include <linux/delay.h>
#include <linux/hashtable.h>
#include <linux/mm.h>
#include <linux/mmap_lock.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include "rule.h"
#include "space.h"

#define PTF_SPACE_BITS 6

static DEFINE_MUTEX(ptf_space_mutex);
static DEFINE_HASHTABLE(ptf_spaces, PTF_SPACE_BITS);
static atomic_t ptf_nr_spaces = ATOMIC_INIT(0);

struct workqueue_struct *ptf_wq;

/* Under rcu_read_lock() or with preemption off, which RCU counts as that. */
struct ptf_space *ptf_space_find(struct mm_struct *mm)
{
	struct ptf_space *sp;

	hash_for_each_possible_rcu(ptf_spaces, sp, node, (unsigned long)mm) {
		if (sp->mn.mm == mm)
			return sp;
	}
	return NULL;
}

struct ptf_space *ptf_space_find_get(struct mm_struct *mm)
{
	struct ptf_space *sp;

	rcu_read_lock();
	sp = ptf_space_find(mm);
	if (sp && !refcount_inc_not_zero(&sp->refs))
		sp = NULL;
	rcu_read_unlock();
	return sp;
}

static void ptf_space_free_fn(struct work_struct *work)
{
	struct ptf_space *sp = container_of(to_rcu_work(work), struct ptf_space, free);

	ptf_action_space_free(sp);
	ptf_track_space_free(sp);
	kvfree(sp->singles);
	mmdrop(sp->mm);
	kfree(sp);
	atomic_dec(&ptf_nr_spaces);
}

/* Any context: under a page table's lock, and in ftrace's callbacks, too. */
void ptf_space_put(struct ptf_space *sp)
{
	if (refcount_dec_and_test(&sp->refs))
		queue_rcu_work(ptf_wq, &sp->free);
}

/*
 * Core mm is about to work on a range: put back what we took from it, and take
 * nothing more until it is done. Called in any context that may not sleep
 * (OOM reaper) and while reclaim runs: takes spinlocks only, allocates nothing,
 * always succeeds.
 */
static int ptf_space_invalidate_start(struct mmu_notifier *mn,
				      const struct mmu_notifier_range *range)
{
	struct ptf_space *sp = container_of(mn, struct ptf_space, mn);

	spin_lock(&sp->lock);
	sp->windows++;
	spin_unlock(&sp->lock);
	ptf_stash_restore_range(sp, range->mm, range->start, range->end, NULL, false);
	if (READ_ONCE(sp->nr_marks) && range->event == MMU_NOTIFY_UNMAP)
		ptf_mark_unmapped(sp, range->start, range->end);
	if (READ_ONCE(sp->tracked))
		ptf_track_invalidating(sp, range);
	return 0;
}

static void ptf_space_invalidate_end(struct mmu_notifier *mn,
				     const struct mmu_notifier_range *range)
{
	struct ptf_space *sp = container_of(mn, struct ptf_space, mn);

	spin_lock(&sp->lock);
	sp->windows--;
	spin_unlock(&sp->lock);
	if (READ_ONCE(sp->nr_marks))
		ptf_mark_rearm(sp, range->start, range->end);
	if (READ_ONCE(sp->tracked))
		ptf_track_invalidated(sp, range);
}

/* The address space ends; its page tables are still there, whoever calls. */
static void ptf_space_release(struct mmu_notifier *mn, struct mm_struct *mm)
{
	struct ptf_space *sp = container_of(mn, struct ptf_space, mn);
	struct ptf_target *t;

	spin_lock(&sp->lock);
	sp->windows++;		/* for ever: nothing is taken any more */
	spin_unlock(&sp->lock);
	ptf_stash_restore_range(sp, mm, 0, TASK_SIZE_MAX, NULL, true);
	spin_lock(&sp->lock);
	sp->dead = true;
	spin_unlock(&sp->lock);
	wake_up_all(&sp->gone);
	spin_lock(&sp->rlock);
	list_for_each_entry(t, &sp->targets, space_node)
		ptf_event_gone(t);
	spin_unlock(&sp->rlock);
}

static struct mmu_notifier *ptf_space_alloc(struct mm_struct *mm)
{
	struct ptf_space *sp = kzalloc(sizeof(*sp), GFP_KERNEL_ACCOUNT);

	if (!sp)
		return ERR_PTR(-ENOMEM);
	atomic_inc(&ptf_nr_spaces);
	refcount_set(&sp->refs, 1);
	INIT_HLIST_NODE(&sp->node);
	spin_lock_init(&sp->lock);
	sp->stash = RB_ROOT;
	init_waitqueue_head(&sp->gone);
	INIT_RCU_WORK(&sp->free, ptf_space_free_fn);
	sp->mm = mm;
	mmgrab(mm);
	spin_lock_init(&sp->rlock);
	sp->rules = RB_ROOT_CACHED;
	INIT_LIST_HEAD(&sp->notes);
	INIT_LIST_HEAD(&sp->targets);
	ptf_mark_space_init(sp);
	return &sp->mn;
}

static void ptf_space_free(struct mmu_notifier *mn)
{
	ptf_space_put(container_of(mn, struct ptf_space, mn));
}

static const struct mmu_notifier_ops ptf_space_ops = {
	.invalidate_range_start	= ptf_space_invalidate_start,
	.invalidate_range_end	= ptf_space_invalidate_end,
	.release		= ptf_space_release,
	.alloc_notifier		= ptf_space_alloc,
	.free_notifier		= ptf_space_free,
};

/**
 * ptf_space_open() - arm an address space
 * @mm: held by the caller with mm_users; mmap_lock not held
 *
 * Return: the space, to be given back with ptf_space_close(); -EBUSY another
 * user of the fault handler is in the way, -EOPNOTSUPP this kernel can't be
 * hooked, -ENOMEM, -EINTR a fatal signal, -ERESTARTNOINTR another one came
 * first: the call is to be made again
 */
struct ptf_space *ptf_space_open(struct mm_struct *mm)
{
	struct mmu_notifier *mn;
	struct ptf_space *sp;
	int err;

	err = ptf_hook_get();
	if (err)
		return ERR_PTR(err);
	if (mmap_write_lock_killable(mm)) {
		ptf_hook_put();
		return ERR_PTR(-EINTR);
	}
	/* inside mmap_lock: whoever holds that for long stops nobody else */
	mutex_lock(&ptf_space_mutex);
	mn = mmu_notifier_get_locked(&ptf_space_ops, mm);
	if (!IS_ERR(mn)) {
		sp = container_of(mn, struct ptf_space, mn);
		if (!sp->users++)
			hash_add_rcu(ptf_spaces, &sp->node, (unsigned long)mm);
	} else {
		sp = ERR_CAST(mn);
	}
	mutex_unlock(&ptf_space_mutex);
	mmap_write_unlock(mm);
	if (IS_ERR(sp)) {
		ptf_hook_put();
		/* registering gives way to any signal; ours to hide */
		if (PTR_ERR(sp) == -EINTR && !fatal_signal_pending(current))
			sp = ERR_PTR(-ERESTARTNOINTR);
	}
	return sp;
}

/* Whatever the caller had armed in it is undone already. */
void ptf_space_close(struct ptf_space *sp)
{
	mutex_lock(&ptf_space_mutex);
	if (!--sp->users)
		hash_del_rcu(&sp->node);
	mmu_notifier_put(&sp->mn);
	mutex_unlock(&ptf_space_mutex);
	ptf_hook_put();
}

int __init ptf_space_init(void)
{
	ptf_wq = alloc_workqueue("ptefault", WQ_UNBOUND, 0);
	return ptf_wq ? 0 : -ENOMEM;
}

/* All sessions are closed, and nothing is queued any more but by the last shells. */
void ptf_space_exit(void)
{
	mmu_notifier_synchronize();
	/* workers have some too, for a moment */
	while (atomic_read(&ptf_nr_spaces))
		msleep(20);
	rcu_barrier();
	destroy_workqueue(ptf_wq);
}
