// SPDX-License-Identifier: GPL-2.0-only
/*
 * The way into core mm's fault path and, harder, out of it again. Owns when the
 * hook is set and that no thread is left in our text when the module goes.
 * What is done with a fault stands in fault.c.
 *
 * handle_mm_fault() is hooked the way live patching does it: an ftrace op that
 * may change the instruction pointer. All faults of user memory come through
 * it, whoever causes them: user mode, copy_to_user() and its like, GUP, KVM. The
 * callback looks whether anything is armed in the address space and, if so,
 * sends the call to our wrapper instead.
 *
 * The wrapper calls the original by jumping behind its fentry site, where
 * ftrace does not see the call. A plain call would be hooked again, and a test
 * for "called by us" would be fooled by tail calls and by handler modules.
 *
 * More ops sit beside it, which do not redirect: on __get_user_pages(), since
 * from 6.6 on GUP reads through hints unless it is told not to, and on those
 * who read entries without telling notifiers first, see there.
 *
 * Going: unregistering waits for RCU-tasks, that is until every task has
 * slept or been in user space; but a task may sleep in our wrapper. So: take
 * the hook off; wait for RCU-tasks, then all who were redirected are counted
 * in; wait until nobody is inside; wait for RCU-tasks again, for the few
 * instructions between counting out and the return.
 */
#include <linux/delay.h>
#include <linux/ftrace.h>
#include <linux/hmm.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/pagewalk.h>
#include <linux/percpu.h>
#include <linux/rcupdate.h>
#include <linux/workqueue.h>
#include "space.h"
#include "arch/x86.h"

/* Taking it off costs grace periods, and setting it stops all CPUs for a moment. */
static unsigned int linger = 2000;
module_param(linger, uint, 0644);
MODULE_PARM_DESC(linger, "milliseconds that the fault hook stays without a user");

static DEFINE_MUTEX(ptf_hook_mutex);
static unsigned int ptf_hook_users;	/* ptf_hook_mutex */
static bool ptf_hook_set;		/* written under ptf_hook_mutex */
static bool ptf_hook_usable __read_mostly;

/*
 * Threads in the wrapper. One may enter on a CPU and leave on another, so only
 * the sum over all CPUs means something, and only once nobody can enter.
 */
static DEFINE_PER_CPU(long, ptf_hook_inside);

static noinline vm_fault_t ptf_hook_wrapper(struct vm_area_struct *vma,
					    unsigned long address, unsigned int flags,
					    struct pt_regs *regs)
{
	vm_fault_t ret;

	this_cpu_inc(ptf_hook_inside);
	ret = ptf_fault_handle(vma, address, flags, regs);
	this_cpu_dec(ptf_hook_inside);
	return ret;
}

vm_fault_t ptf_hook_orig(struct vm_area_struct *vma, unsigned long address,
			 unsigned int flags, struct pt_regs *regs)
{
	return ptf_arch_call_behind_fentry(vma, address, flags, regs);
}

static void notrace ptf_hook_callback(unsigned long ip, unsigned long parent_ip,
				      struct ftrace_ops *op, struct ftrace_regs *fregs)
{
	struct vm_area_struct *vma = (void *)ptf_fregs_argument(fregs, 0);

	/* stands for rcu_read_lock(), and calls nothing that could be traced */
	preempt_disable_notrace();
	if (unlikely(ptf_space_find(vma->vm_mm)))
		ptf_fregs_redirect(fregs, (unsigned long)ptf_hook_wrapper);
	preempt_enable_notrace();
}

static struct ftrace_ops ptf_hook_ops = {
	.func	= ptf_hook_callback,
	.flags	= PTF_FTRACE_SAVE | FTRACE_OPS_FL_IPMODIFY | FTRACE_OPS_FL_PERMANENT,
};

#ifdef PTF_FOLL_HONOR
/* long __get_user_pages(struct mm_struct *mm, start, nr_pages, gup_flags, ...) */
static void notrace ptf_hook_gup_callback(unsigned long ip, unsigned long parent_ip,
					  struct ftrace_ops *op,
					  struct ftrace_regs *fregs)
{
	struct ptf_space *sp;

	preempt_disable_notrace();
	sp = ptf_space_find((void *)ptf_fregs_argument(fregs, 0));
	if (unlikely(sp) && atomic_read(&sp->gup))
		ptf_fregs_or_argument(fregs, 3, PTF_FOLL_HONOR);
	preempt_enable_notrace();
}
#endif

/*
 * int copy_page_range(struct vm_area_struct *dst_vma, *src_vma): fork tells
 * notifiers of private mappings only, but copies the entries of some shared
 * ones as well (write-protected by userfaultfd). The parent's mmap_lock is
 * held for writing, so nothing is taken again before the copy.
 */
static void notrace ptf_hook_fork_callback(unsigned long ip, unsigned long parent_ip,
					   struct ftrace_ops *op,
					   struct ftrace_regs *fregs)
{
	struct vm_area_struct *src = (void *)ptf_fregs_argument(fregs, 1);
	struct ptf_space *sp = ptf_space_find_get(src->vm_mm);

	if (likely(!sp))
		return;
	ptf_stash_restore_range(sp, src->vm_mm, src->vm_start, src->vm_end, NULL, false);
	ptf_space_put(sp);
}

/*
 * int mlock_pte_range(pmd_t *pmd, unsigned long addr, unsigned long end, struct
 * mm_walk *walk): munlock() tells no notifier, and would leave the page of a
 * stash mlocked for ever. It holds mmap_lock for writing.
 */
static void notrace ptf_hook_mlock_callback(unsigned long ip, unsigned long parent_ip,
					    struct ftrace_ops *op,
					    struct ftrace_regs *fregs)
{
	struct mm_walk *walk = (void *)ptf_fregs_argument(fregs, 3);
	struct ptf_space *sp = ptf_space_find_get(walk->mm);

	if (likely(!sp))
		return;
	ptf_stash_restore_range(sp, walk->mm, ptf_fregs_argument(fregs, 1),
				ptf_fregs_argument(fregs, 2), NULL, false);
	ptf_space_put(sp);
}

/*
 * int hmm_range_fault(struct hmm_range *range): would take our entries for
 * damage, without asking the fault handler. It holds mmap_lock.
 */
static void notrace ptf_hook_hmm_callback(unsigned long ip, unsigned long parent_ip,
					  struct ftrace_ops *op,
					  struct ftrace_regs *fregs)
{
	struct hmm_range *range = (void *)ptf_fregs_argument(fregs, 0);
	struct mm_struct *mm = range->notifier->mm;
	struct ptf_space *sp = ptf_space_find_get(mm);
	unsigned long addr;

	if (likely(!sp))
		return;
	/* only where a VMA stands, see DESIGN.md */
	for (addr = ptf_stash_next(sp, range->start); addr < range->end;
	     addr = ptf_stash_next(sp, addr + PAGE_SIZE))
		if (find_vma_intersection(mm, addr, addr + PAGE_SIZE))
			ptf_stash_restore(sp, mm, addr, NULL);
	ptf_space_put(sp);
}

/* Ops that look, or change an argument, but leave the call its way. */
static struct ptf_hook_side {
	const char *name;
	struct ftrace_ops ops;
	bool found;
	bool set;
} ptf_hook_sides[] = {
	{
		.name = "copy_page_range",
		.ops = {
			.func = ptf_hook_fork_callback,
			.flags = PTF_FTRACE_SAVE | FTRACE_OPS_FL_PERMANENT,
		},
	},
	{
		.name = "mlock_pte_range",
		.ops = {
			.func = ptf_hook_mlock_callback,
			.flags = PTF_FTRACE_SAVE | FTRACE_OPS_FL_PERMANENT,
		},
	},
	{
		.name = "hmm_range_fault",
		.ops = {
			.func = ptf_hook_hmm_callback,
			.flags = PTF_FTRACE_SAVE | FTRACE_OPS_FL_PERMANENT,
		},
	},
#ifdef PTF_FOLL_HONOR
	{
		.name = "__get_user_pages",
		.ops = {
			.func = ptf_hook_gup_callback,
			.flags = PTF_FTRACE_SAVE | FTRACE_OPS_FL_PERMANENT,
		},
	},
#endif
};

#define PTF_HOOK_FORK	0
#define PTF_HOOK_MLOCK	1
#define PTF_HOOK_HMM	2
#define PTF_HOOK_GUP	3

static void ptf_hook_sides_on(void)
{
	struct ptf_hook_side *side = ptf_hook_sides;
	unsigned int i;

	/* one that can't be had is missing from what the session may ask for */
	for (i = 0; i < ARRAY_SIZE(ptf_hook_sides); i++, side++)
		side->set = side->found && !register_ftrace_function(&side->ops);
}

static void ptf_hook_sides_off(void)
{
	struct ptf_hook_side *side = ptf_hook_sides;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(ptf_hook_sides); i++, side++) {
		if (side->set)
			unregister_ftrace_function(&side->ops);
		side->set = false;
	}
}

static void ptf_hook_off(void)
{
	lockdep_assert_held(&ptf_hook_mutex);
	if (!ptf_hook_set)
		return;
	unregister_ftrace_function(&ptf_hook_ops);
	ptf_hook_sides_off();
	WRITE_ONCE(ptf_hook_set, false);
}

static void ptf_hook_linger_fn(struct work_struct *work)
{
	mutex_lock(&ptf_hook_mutex);
	if (!ptf_hook_users)
		ptf_hook_off();
	mutex_unlock(&ptf_hook_mutex);
}

static DECLARE_DELAYED_WORK(ptf_hook_linger, ptf_hook_linger_fn);

/**
 * ptf_hook_get() - have the hook set until ptf_hook_put()
 *
 * Return: 0; -EBUSY a live patch or another user redirects handle_mm_fault(),
 * or ftrace is off (sysctl kernel.ftrace_enabled); -EOPNOTSUPP its first bytes
 * are not what we can call behind
 */
int ptf_hook_get(void)
{
	int err = 0;

	mutex_lock(&ptf_hook_mutex);
	if (!ptf_hook_set) {
		err = ptf_hook_usable ? 0 : -EOPNOTSUPP;
		if (!err)
			err = register_ftrace_function(&ptf_hook_ops);
		if (!err) {
			WRITE_ONCE(ptf_hook_set, true);
			ptf_hook_sides_on();
		}
	}
	if (!err)
		ptf_hook_users++;
	mutex_unlock(&ptf_hook_mutex);
	return err;
}

void ptf_hook_put(void)
{
	mutex_lock(&ptf_hook_mutex);
	if (!--ptf_hook_users)
		mod_delayed_work(system_wq, &ptf_hook_linger,
				 msecs_to_jiffies(min(READ_ONCE(linger), 3600000U)));
	mutex_unlock(&ptf_hook_mutex);
}

bool ptf_hook_is_set(void)
{
	return READ_ONCE(ptf_hook_set);
}

/* While the hook is held: can GUP be made to fault on hints? */
bool ptf_hook_has_gup(void)
{
	return ARRAY_SIZE(ptf_hook_sides) <= PTF_HOOK_GUP ||
	       READ_ONCE(ptf_hook_sides[PTF_HOOK_GUP].set);
}

/*
 * While the hook is held: is a stash safe from those who don't tell notifiers?
 * Who has no hmm_range_fault() has nobody who calls it.
 */
bool ptf_hook_has_stash(void)
{
	return READ_ONCE(ptf_hook_sides[PTF_HOOK_FORK].set) &&
	       READ_ONCE(ptf_hook_sides[PTF_HOOK_MLOCK].set) &&
	       (READ_ONCE(ptf_hook_sides[PTF_HOOK_HMM].set) ||
		!IS_ENABLED(CONFIG_HMM_MIRROR));
}

static long ptf_hook_count_inside(void)
{
	long sum = 0;
	int cpu;

	for_each_possible_cpu(cpu)
		sum += per_cpu(ptf_hook_inside, cpu);
	return sum;
}

/* Could this kernel be hooked, were nobody in the way? */
bool ptf_hook_can(void)
{
	return ptf_hook_usable;
}

/*
 * Filters are set once and freed once, at the very end: ftrace_free_filter()
 * leaves the op with a pointer to what it has freed.
 */
void ptf_hook_init(void)
{
	struct ptf_hook_side *side = ptf_hook_sides;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(ptf_hook_sides); i++, side++)
		side->found = !ftrace_set_filter(&side->ops, (unsigned char *)side->name,
						 strlen(side->name), 1);
	ptf_hook_usable = ptf_arch_check_fentry() &&
		!ftrace_set_filter_ip(&ptf_hook_ops, ptf_arch_fentry_ip(), 0, 1);
	if (!ptf_hook_usable)
		pr_warn("handle_mm_fault() can't be hooked here: hints only\n");
}

/* All sessions are closed: nobody sets the hook again. */
void ptf_hook_exit(void)
{
	unsigned int i;

	cancel_delayed_work_sync(&ptf_hook_linger);
	mutex_lock(&ptf_hook_mutex);
	ptf_hook_off();
	mutex_unlock(&ptf_hook_mutex);
	synchronize_rcu_tasks();
	while (ptf_hook_count_inside())
		msleep(20);
	synchronize_rcu_tasks();
	ftrace_free_filter(&ptf_hook_ops);
	for (i = 0; i < ARRAY_SIZE(ptf_hook_sides); i++)
		ftrace_free_filter(&ptf_hook_sides[i].ops);
}
