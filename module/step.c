// SPDX-License-Identifier: GPL-2.0-only
/*
 * A fault on every access (STICKY): let one instruction through and close the
 * page behind it. Owns single-stepping of threads that have a sticky page open.
 *
 * Theory of operation
 *
 * A fault from user mode on a sticky page is let through: the page is mapped,
 * and TF is set in the registers that the thread goes back with. After its next
 * instruction it traps; we take the trap away from everybody else who did not
 * ask for it, take TF off again, and have a task work make the page a hint and
 * flush before the thread goes back to user mode. An instruction may need more
 * than one sticky page (its own code, two operands, a page-crossing access): each
 * faults in turn, all stay open until it is through.
 *
 * An access of the kernel for a thread has no instruction to step: its page is
 * closed on the way back to user mode. Accesses by others (GUP from another
 * process, kernel threads) have no way back: a moment later, by a worker.
 *
 * The thread may not come as far as the trap: a signal is delivered first, or it
 * dies. So the task work is added with the fault, without a notification: it
 * then runs when signals are looked at or at exit, and with the trap, which
 * asks for it. It also runs by chance, before the instruction, if something
 * else asks for task works: then it does nothing, and the trap adds it again.
 * What is left open by a thread that got lost in that gap is closed by a sweep.
 *
 * An instruction that enters the kernel (syscall, int) is not stepped: the flag
 * would be copied to a child, or seen by a tracer. Its page is closed a moment
 * later. So is the page of the thread's rseq area when the kernel has written it
 * on the way to user mode: closing it there would send it round for ever.
 *
 * Whose TF is it? If it was set already when the fault came (a debugger, uprobes,
 * the program itself), the trap is theirs: we use it and leave it alone. pushf
 * would show our TF to the program: the word it wrote is mended.
 *
 * Two windows are open by design: other threads reach the page while it is
 * open, and a signal handler that comes between fault and instruction closes it,
 * so the instruction faults a second time when the handler returns.
 *
 * Lifetimes: a step holds its task, and the module while its work is queued or
 * its TF may be on the way; it is kept for a while for the thread's next fault.
 */
#include <linux/hashtable.h>
#include <linux/kdebug.h>
#include <linux/mm.h>
#include <linux/mmap_lock.h>
#include <linux/module.h>
#include <linux/notifier.h>
#include <linux/ptrace.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/sched/task.h>
#include <linux/sched/task_stack.h>
#include <linux/slab.h>
#include <linux/task_work.h>
#include <linux/uaccess.h>
#include <linux/workqueue.h>
#include <uapi/linux/rseq.h>
#include "rule.h"
#include "space.h"
#include "arch/x86.h"

/* Pages that one instruction can have open; the oldest is closed for more. */
#define PTF_STEP_PAGES	8

/* A step that is older has lost its thread, or that is stopped. */
#define PTF_STEP_OLD	(HZ / 5)
#define PTF_STEP_SWEEP	(HZ / 10)

#define PTF_STEP_BITS	8

/**
 * struct ptf_step - a thread that has sticky pages open
 * @node: in the table, by task
 * @task: whose; held
 * @work: closes
 * @sp: space of @page; held while open
 * @page: open pages
 * @nr: how many
 * @gen: of the marks when the first was found sticky
 * @ip: instruction that faulted
 * @since: jiffies of the last fault
 * @open: there is something to close; holds the module
 * @tf: TF is set, and by us
 * @queued: @work is
 * @trapped: the instruction is through, or there was none
 * @owed: signal frames that have a TF of ours, which will be back
 */
struct ptf_step {
	struct hlist_node node;
	struct task_struct *task;
	struct callback_head work;
	struct ptf_space *sp;
	unsigned long page[PTF_STEP_PAGES];
	unsigned int nr;
	unsigned long gen;
	unsigned long ip;
	unsigned long since;
	bool open;
	bool tf;
	bool queued;
	bool trapped;
	unsigned int owed;
};

/* All steps, and what is in them. Taken with interrupts off: by the trap, too. */
static DEFINE_SPINLOCK(ptf_step_lock);
static DEFINE_HASHTABLE(ptf_steps, PTF_STEP_BITS);
static bool ptf_step_usable __read_mostly;

static void ptf_step_sweep_fn(struct work_struct *work);
static DECLARE_DELAYED_WORK(ptf_step_sweep, ptf_step_sweep_fn);

bool ptf_step_can(void)
{
	return ptf_step_usable;
}

/* ptf_step_lock is held. */
static struct ptf_step *ptf_step_find(struct task_struct *task)
{
	struct ptf_step *st;

	hash_for_each_possible(ptf_steps, st, node, (unsigned long)task)
		if (st->task == task)
			return st;
	return NULL;
}

static void ptf_step_free(struct ptf_step *st)
{
	put_task_struct(st->task);
	kfree(st);
}

/* Make the pages of @sp hints again; any thread, no lock held. */
static void ptf_step_close_pages(struct ptf_space *sp, const unsigned long *page,
				 unsigned int nr, unsigned long gen)
{
	struct mm_struct *mm = sp->mm;
	bool own = current->mm == mm;

	if (!nr || (!own && !mmget_not_zero(mm)))
		return;
	mmap_read_lock(mm);
	/* sticky they are still, if no mark has come or gone */
	ptf_mark_hint(mm, READ_ONCE(sp->mark_gen) == gen ? NULL : sp, page, nr);
	mmap_read_unlock(mm);
	if (!own)
		mmput_async(mm);
}

/* The bytes of an instruction, as far as they can be had without a fault. */
static unsigned int ptf_step_insn(unsigned long ip, u8 insn[PTF_ARCH_INSN])
{
	unsigned int nr = PTF_ARCH_INSN, left = PAGE_SIZE - offset_in_page(ip);

	u64 bytes;
	bool got;

	pagefault_disable();
	got = !get_user(bytes, (u64 __user *)ip);
	pagefault_enable();
	if (likely(got)) {
		memcpy(insn, &bytes, nr);
		return nr;
	}
	if (left >= nr || copy_from_user_nofault(insn, (void __user *)ip, left))
		return 0;
	return left;
}

/* A word of the process, if it can be had without a fault. */
static u64 ptf_step_peek(u64 addr)
{
	u64 v;

	return addr && !copy_from_user_nofault(&v, (void __user *)addr, sizeof(v)) ? v : 0;
}

/*
 * Does the kernel look at this page on each way of the thread to user mode: its rseq
 * area, the critical section that this names, or the signature before that one's
 * abort handler? To close it there would make the kernel look again, for ever.
 */
static bool ptf_step_is_rseq(unsigned long page)
{
	u64 area = (u64)ptf_task_rseq(), cs, abort;

	if (!area)
		return false;
	if ((area & PAGE_MASK) == page)
		return true;
	cs = ptf_step_peek(area + offsetof(struct rseq, rseq_cs));
	if (cs && (cs & PAGE_MASK) == page)
		return true;
	abort = cs ? ptf_step_peek(cs + offsetof(struct rseq_cs, abort_ip)) : 0;
	return abort && ((abort - sizeof(u32)) & PAGE_MASK) == page;
}

/* Did it put our TF where the program can see it? */
static void ptf_step_mend_pushf(struct pt_regs *regs, unsigned long ip)
{
	u8 insn[PTF_ARCH_INSN];
	u32 word;

	if (!ptf_arch_shows_flags(insn, ptf_step_insn(ip, insn)))
		return;
	if (copy_from_user_nofault(&word, (void __user *)user_stack_pointer(regs), sizeof(word)))
		return;
	word &= ~PTF_ARCH_STEP_FLAG;
	(void)copy_to_user_nofault((void __user *)user_stack_pointer(regs), &word,
				   sizeof(word));
}

/* The thread on its way to user mode, to a signal handler, or out. */
static void ptf_step_work_fn(struct callback_head *work)
{
	struct ptf_step *st = container_of(work, struct ptf_step, work);
	struct pt_regs *regs = task_pt_regs(current);
	unsigned long page[PTF_STEP_PAGES], ip;
	struct ptf_space *sp;
	unsigned long gen;
	unsigned int nr;
	bool was_tf;

	spin_lock_irq(&ptf_step_lock);
	st->queued = false;
	if (!st->open) {
		spin_unlock_irq(&ptf_step_lock);
		return;
	}
	was_tf = st->tf;
	if (!st->trapped) {
		/* by chance, before the instruction: not yet */
		if (!(current->flags & PF_EXITING) && !signal_pending(current) &&
		    (!st->tf || ptf_arch_step_is_on(regs))) {
			spin_unlock_irq(&ptf_step_lock);
			return;
		}
		/* not there: a signal came in the gap, and has it in its frame */
		if (st->tf && !ptf_arch_step_is_on(regs))
			st->owed++;
		else if (st->tf)
			ptf_arch_step_off(regs);
		was_tf = false;
	}
	st->tf = false;
	st->open = false;
	nr = st->nr;
	gen = st->gen;
	st->nr = 0;
	memcpy(page, st->page, nr * sizeof(*page));
	sp = st->sp;
	st->sp = NULL;
	ip = st->ip;
	/* from here on the sweep may free it */
	spin_unlock_irq(&ptf_step_lock);

	if (was_tf)
		ptf_step_mend_pushf(regs, ip);
	ptf_step_close_pages(sp, page, nr, gen);
	ptf_space_put(sp);
	module_put(THIS_MODULE);
}

/* A trap: of ours, of somebody else's, or of both. Interrupts are off. */
static int ptf_step_trap(struct notifier_block *nb, unsigned long what, void *data)
{
	struct die_args *args = data;
	unsigned long *dr6 = (unsigned long *)args->err;
	struct ptf_step *st;

	if (what != DIE_DEBUG || !user_mode(args->regs) || !(*dr6 & PTF_ARCH_STEP))
		return NOTIFY_DONE;
	spin_lock(&ptf_step_lock);
	st = ptf_step_find(current);
	if (st && !st->open && st->owed && !ptf_arch_step_is_asked()) {
		/* back from a signal handler, with what its frame had kept */
		st->owed--;
		*dr6 &= ~PTF_ARCH_STEP;
		ptf_arch_forget_step();
		ptf_arch_step_off(args->regs);
	} else if (st && st->open) {
		st->trapped = true;
		if (st->tf) {
			/* nobody else has asked for this trap */
			*dr6 &= ~PTF_ARCH_STEP;
			ptf_arch_forget_step();
			ptf_arch_step_off(args->regs);
		}
		if (!st->queued)
			st->queued = !task_work_add(current, &st->work, TWA_RESUME);
		else
			set_tsk_thread_flag(current, TIF_NOTIFY_RESUME);
	}
	spin_unlock(&ptf_step_lock);
	return NOTIFY_DONE;
}

/* Before uprobes, which keep the trap of their own steps to themselves. */
static struct notifier_block ptf_step_nb = {
	.notifier_call = ptf_step_trap,
	.priority = INT_MAX,
};

/* In no table yet. */
static struct ptf_step *ptf_step_create(void)
{
	struct ptf_step *st = kzalloc(sizeof(*st), GFP_KERNEL_ACCOUNT);

	if (!st)
		return NULL;
	st->task = get_task_struct(current);
	init_task_work(&st->work, ptf_step_work_fn);
	return st;
}

static bool ptf_step_among(const unsigned long *page, unsigned int nr, unsigned long addr)
{
	unsigned int i;

	for (i = 0; i < nr; i++)
		if (page[i] == addr)
			return true;
	return false;
}

/* Has the running thread this page open, for the instruction it is at? */
bool ptf_step_has(unsigned long addr)
{
	struct ptf_step *st;
	bool has;

	spin_lock_irq(&ptf_step_lock);
	st = ptf_step_find(current);
	has = st && st->open && ptf_step_among(st->page, st->nr, addr);
	spin_unlock_irq(&ptf_step_lock);
	return has;
}

/*
 * The page of this fault is open: have it closed. @user: after the next
 * instruction; else on the way back to user mode.
 */
static void ptf_step_open(struct ptf_fault *f, bool user)
{
	unsigned long addr = f->address & PAGE_MASK, first;
	struct ptf_space *sp = f->sp, *old = NULL;
	struct ptf_step *st;
	bool evict = false;

	spin_lock_irq(&ptf_step_lock);
	st = ptf_step_find(current);
	if (unlikely(!st)) {
		spin_unlock_irq(&ptf_step_lock);
		st = ptf_step_create();
		if (!st)
			return;
		spin_lock_irq(&ptf_step_lock);
		hash_add(ptf_steps, &st->node, (unsigned long)current);
		queue_delayed_work(ptf_wq, &ptf_step_sweep, PTF_STEP_SWEEP);
	}
	if (st->open && st->sp != sp) {
		/* exec: what was open there is gone */
		old = st->sp;
		st->nr = 0;
		st->sp = NULL;
	} else if (!st->open) {
		/* going: so is whoever wanted the page to fault */
		if (!try_module_get(THIS_MODULE)) {
			spin_unlock_irq(&ptf_step_lock);
			return;
		}
	}
	if (!st->sp) {
		refcount_inc(&sp->refs);
		st->sp = sp;
		st->gen = f->gen;
	}
	st->open = true;
	st->since = jiffies;
	if (!ptf_step_among(st->page, st->nr, addr)) {
		if (st->nr == PTF_STEP_PAGES) {
			evict = true;
			first = st->page[0];
			memmove(st->page, st->page + 1, (PTF_STEP_PAGES - 1) * sizeof(*st->page));
			st->nr--;
		}
		st->page[st->nr++] = addr;
	}
	if (!user) {
		st->trapped = !st->tf;
		if (!st->queued)
			st->queued = !task_work_add(current, &st->work, TWA_RESUME);
		else
			set_tsk_thread_flag(current, TIF_NOTIFY_RESUME);
	} else {
		st->trapped = false;
		st->ip = instruction_pointer(f->regs);
		if (!ptf_arch_step_is_on(f->regs)) {
			/* ours was set, and is not there: it is in a signal frame */
			if (st->tf)
				st->owed++;
			ptf_arch_step_on(f->regs);
			st->tf = true;
		} else if (!st->tf && st->owed && !ptf_arch_step_is_asked()) {
			/* ... and is back with that, at the same instruction */
			st->owed--;
			st->tf = true;
		}
		if (!st->queued)
			st->queued = !task_work_add(current, &st->work, TWA_NONE);
	}
	spin_unlock_irq(&ptf_step_lock);
	/* the lock of the address space is held: the sweep's business */
	if (unlikely(evict))
		ptf_mark_rearm(sp, first, first + PAGE_SIZE);
	if (unlikely(old))
		ptf_space_put(old);
}

/*
 * The instruction is not to be stepped, and only now its second half could be
 * read: what its first page has begun is taken back.
 */
static void ptf_step_forgo(struct pt_regs *regs)
{
	struct ptf_step *st;

	spin_lock_irq(&ptf_step_lock);
	st = ptf_step_find(current);
	if (st && st->open && st->tf && ptf_arch_step_is_on(regs)) {
		ptf_arch_step_off(regs);
		st->tf = false;
	}
	spin_unlock_irq(&ptf_step_lock);
}

/**
 * ptf_step_after() - a fault on a sticky page has been let through
 * @f: fault; its locks may be gone
 */
void ptf_step_after(struct ptf_fault *f)
{
	unsigned long addr = f->address & PAGE_MASK;
	u8 insn[PTF_ARCH_INSN];

	if (current->mm != f->sp->mm || current->flags & (PF_KTHREAD | PTF_PF_WORKER) ||
	    current->flags & PF_EXITING) {
		ptf_mark_rearm(f->sp, addr, addr + PAGE_SIZE);
		return;
	}
	if (!(f->flags & FAULT_FLAG_USER) || !f->regs || !user_mode(f->regs)) {
		if (ptf_step_is_rseq(addr))
			ptf_mark_rearm(f->sp, addr, addr + PAGE_SIZE);
		else
			ptf_step_open(f, false);
		return;
	}
	if (f->flags & FAULT_FLAG_INSTRUCTION &&
	    ptf_arch_enters_kernel(insn, ptf_step_insn(instruction_pointer(f->regs), insn))) {
		ptf_step_forgo(f->regs);
		ptf_mark_rearm(f->sp, addr, addr + PAGE_SIZE);
		return;
	}
	ptf_step_open(f, true);
}

/*
 * One of a bucket that should be closed long since. A thread that lives keeps
 * what it has open, and is asked to look at it: it may be about to go on.
 */
static bool ptf_step_sweep_one(int b)
{
	unsigned long page[PTF_STEP_PAGES];
	struct ptf_step *st, *gone = NULL;
	struct ptf_space *sp = NULL;
	struct hlist_node *tmp;
	bool dead, put = false;
	unsigned long gen = 0;
	unsigned int nr = 0;

	spin_lock_irq(&ptf_step_lock);
	hlist_for_each_entry_safe(st, tmp, &ptf_steps[b], node) {
		if (time_before(jiffies, st->since + PTF_STEP_OLD))
			continue;
		dead = READ_ONCE(st->task->exit_state) && !st->queued;
		if (st->open && !dead && !st->queued)
			st->queued = !task_work_add(st->task, &st->work, TWA_RESUME);
		if (st->open && (dead || st->nr)) {
			nr = st->nr;
			gen = st->gen;
			memcpy(page, st->page, nr * sizeof(*page));
			sp = st->sp;
			refcount_inc(&sp->refs);
			/* not again before it is old once more */
			st->since = jiffies;
			if (dead) {
				st->open = false;
				ptf_space_put(st->sp);
				st->sp = NULL;
				put = true;
			}
		}
		/* a thread that faults no more, or is no more */
		if (!st->open && !st->queued &&
		    (dead || (!st->owed &&
			      time_after(jiffies, st->since + 5 * PTF_STEP_OLD)))) {
			hash_del(&st->node);
			gone = st;
		}
		if (sp || gone)
			break;
	}
	spin_unlock_irq(&ptf_step_lock);
	if (sp) {
		ptf_step_close_pages(sp, page, nr, gen);
		ptf_space_put(sp);
	}
	if (gone)
		ptf_step_free(gone);
	if (put)
		module_put(THIS_MODULE);
	return sp || gone;
}

static void ptf_step_sweep_fn(struct work_struct *work)
{
	bool empty;
	int b;

	for (b = 0; b < HASH_SIZE(ptf_steps); b++)
		while (ptf_step_sweep_one(b))
			cond_resched();
	spin_lock_irq(&ptf_step_lock);
	empty = hash_empty(ptf_steps);
	spin_unlock_irq(&ptf_step_lock);
	if (!empty)
		queue_delayed_work(ptf_wq, &ptf_step_sweep, PTF_STEP_SWEEP);
}

int __init ptf_step_init(void)
{
	int err = register_die_notifier(&ptf_step_nb);

	ptf_step_usable = !err;
	return err;
}

/*
 * No step is open: each holds the module. What is left are threads that may
 * fault no more.
 */
void ptf_step_exit(void)
{
	struct ptf_step *st;
	struct hlist_node *tmp;
	int b;

	cancel_delayed_work_sync(&ptf_step_sweep);
	unregister_die_notifier(&ptf_step_nb);
	hash_for_each_safe(ptf_steps, b, tmp, st, node) {
		hash_del(&st->node);
		ptf_step_free(st);
	}
}
