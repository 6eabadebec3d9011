// SPDX-License-Identifier: GPL-2.0-only
/*
 * A module that makes trouble on purpose, to prove that the VM runner and the
 * debug kernel's checkers would have seen it. Loading it with what=NAME does one
 * thing wrong; only the runner's own proof and test_checkers.sh build or load it,
 * and only in a VM.
 */
#include <linux/delay.h>
#include <linux/err.h>
#include <linux/gfp.h>
#include <linux/kthread.h>
#include <linux/list.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/preempt.h>
#include <linux/rcupdate.h>
#include <linux/refcount.h>
#include <linux/sched.h>
#include <linux/sched/task.h>
#include <linux/slab.h>
#include <linux/smp.h>
#include <linux/spinlock.h>
#include <linux/string.h>
#include <linux/timer.h>
#include <linux/uaccess.h>
#include <linux/vmalloc.h>

static char *what = "";
module_param(what, charp, 0);

/* What the compiler must not know, or it would not make the mistake. */
static volatile int five = 5;

static void trouble_warn(void)
{
	WARN(1, "on purpose\n");
}

static void trouble_list(void)
{
	static LIST_HEAD(head);
	static struct list_head node;

	list_add(&node, &head);
	node.prev = &node;
	list_del(&node);
}

/* Found when the process that loads this module exits. */
static void trouble_mm(void)
{
	mm_inc_nr_ptes(current->mm);
}

static void trouble_refcount(void)
{
	refcount_t ref = REFCOUNT_INIT(0);

	refcount_inc(&ref);
}

static void trouble_atomic(void)
{
	preempt_disable();
	schedule_timeout_uninterruptible(1);
	preempt_enable();
}

static void trouble_sleep(void)
{
	static DEFINE_SPINLOCK(lock);

	spin_lock(&lock);
	might_sleep();
	spin_unlock(&lock);
}

/* Two locks in two orders: nothing hangs, but it could. */
static void trouble_deadlock(void)
{
	static DEFINE_MUTEX(first);
	static DEFINE_MUTEX(second);

	mutex_lock(&first);
	mutex_lock(&second);
	mutex_unlock(&second);
	mutex_unlock(&first);
	mutex_lock(&second);
	mutex_lock(&first);
	mutex_unlock(&first);
	mutex_unlock(&second);
}

static void trouble_rcu(void)
{
	static int value;
	static int __rcu *pointer = (int __rcu __force *)&value;

	WRITE_ONCE(value, *rcu_dereference(pointer));
}

/* The caller has made the kernel impatient: 3 s, and 5 more where RCU is checked. */
static void trouble_stall(void)
{
	unsigned long end = jiffies + 13 * HZ;

	preempt_disable();
	rcu_read_lock();
	while (time_before(jiffies, end))
		cpu_relax();
	rcu_read_unlock();
	preempt_enable();
}

static void trouble_hung(void)
{
	schedule_timeout_uninterruptible(10 * HZ);
}

static void trouble_use_after_free(void)
{
	char *p = kmalloc(64, GFP_KERNEL);

	if (!p)
		return;
	kfree(p);
	READ_ONCE(p[five]);
}

static void trouble_out_of_bounds(void)
{
	char *p = vmalloc(PAGE_SIZE - 64);

	if (!p)
		return;
	READ_ONCE(p[PAGE_SIZE - 64 + five]);
	vfree(p);
}

static void trouble_index(void)
{
	static int array[4];

	WRITE_ONCE(array[five], 0);
}

static void trouble_shift(void)
{
	static int shifted;

	WRITE_ONCE(shifted, 1 << (five + 32));
}

/* A page that went back to the allocator already is given back again. */
static void trouble_debug_vm(void)
{
	struct page *page = alloc_page(GFP_KERNEL);

	if (!page)
		return;
	set_page_count(page, 0);
	put_page(page);
}

/* A page is freed that something else still thinks is its own. */
static void trouble_bad_page(void)
{
	struct page *page = alloc_page(GFP_KERNEL);

	if (!page)
		return;
	page->mapping = (void *)8;
	__free_page(page);
}

/* An entry goes that never came. */
static void trouble_page_table(void)
{
	struct page *page = alloc_page(GFP_KERNEL);
	pte_t pte;

	if (!page)
		return;
	pte = pfn_pte(page_to_pfn(page), PAGE_SHARED);
	ptep_get_and_clear(current->active_mm, 0x10000, &pte);
}

/* More than the object holds. */
static void trouble_usercopy(void)
{
	char *p = kmalloc(64, GFP_KERNEL);

	/* Or the compiler would know the size, and the check not be the one. */
	OPTIMIZER_HIDE_VAR(p);
	if (p && copy_to_user((void __user *)0x10000, p, 64 + five))
		kfree(p);
}

static void trouble_tick(struct timer_list *timer)
{
}

struct trouble_timer {
	struct timer_list timer;
};

/* Freed with its timer running; the checker stops it. */
static void trouble_object(void)
{
	struct trouble_timer *t = kzalloc(sizeof(*t), GFP_KERNEL);

	if (!t)
		return;
	timer_setup(&t->timer, trouble_tick, 0);
	mod_timer(&t->timer, jiffies + 3600 * HZ);
	kfree(t);
}

/* Several, because an old pointer may still lie somewhere on a stack. */
static noinline void trouble_leak(void)
{
	char *p;
	int i;

	for (i = 0; i < 16; i++) {
		p = kmalloc(200, GFP_KERNEL);
		if (p)
			p[0] = i;
	}
}

static void trouble_oops(void)
{
	WRITE_ONCE(*(int *)8, 0);
}

static void spin(void *unused)
{
	unsigned long flags;

	local_irq_save(flags);
	for (;;)
		cpu_relax();
}

static void trouble_hang(void)
{
	on_each_cpu(spin, NULL, 0);
}

struct trouble {
	const char *name;
	void (*make)(void);
	/* The one who does it does not come back. */
	bool deadly;
	/* The module stays, for what is found later and should have a name then. */
	bool stay;
};

static const struct trouble troubles[] = {
	{ .name = "warn", .make = trouble_warn },
	{ .name = "oops", .make = trouble_oops },
	{ .name = "list", .make = trouble_list, .deadly = true },
	{ .name = "mm", .make = trouble_mm },
	{ .name = "refcount", .make = trouble_refcount },
	{ .name = "atomic", .make = trouble_atomic },
	{ .name = "sleep", .make = trouble_sleep },
	{ .name = "deadlock", .make = trouble_deadlock },
	{ .name = "rcu", .make = trouble_rcu },
	{ .name = "stall", .make = trouble_stall },
	{ .name = "hung", .make = trouble_hung },
	{ .name = "use-after-free", .make = trouble_use_after_free },
	{ .name = "out-of-bounds", .make = trouble_out_of_bounds },
	{ .name = "index", .make = trouble_index },
	{ .name = "shift", .make = trouble_shift },
	{ .name = "debug-vm", .make = trouble_debug_vm, .deadly = true },
	{ .name = "bad-page", .make = trouble_bad_page },
	{ .name = "page-table", .make = trouble_page_table, .deadly = true },
	{ .name = "usercopy", .make = trouble_usercopy, .deadly = true },
	{ .name = "object", .make = trouble_object },
	{ .name = "leak", .make = trouble_leak, .stay = true },
	{ .name = "hang", .make = trouble_hang },
};

static int trouble_thread(void *data)
{
	const struct trouble *t = data;

	t->make();
	while (!kthread_should_stop())
		msleep(20);
	return 0;
}

static int trouble_by_thread(const struct trouble *t)
{
	struct task_struct *thread = kthread_create(trouble_thread, (void *)t, "trouble");

	if (IS_ERR(thread))
		return PTR_ERR(thread);
	get_task_struct(thread);
	wake_up_process(thread);
	/* Time to die; one who is stopped before it ran would not run at all. */
	msleep(500);
	kthread_stop(thread);
	put_task_struct(thread);
	return 0;
}

static int __init trouble_init(void)
{
	const struct trouble *t;
	int err;

	for (t = troubles; t < troubles + ARRAY_SIZE(troubles); t++) {
		if (strcmp(what, t->name))
			continue;
		if (t->deadly) {
			err = trouble_by_thread(t);
			if (err)
				return err;
		} else {
			t->make();
		}
		/* Done, and the next one can be loaded without unloading this. */
		return t->stay ? 0 : -EAGAIN;
	}
	return -EINVAL;
}
module_init(trouble_init);

MODULE_DESCRIPTION("Kernel complaints on purpose, for a test VM");
MODULE_LICENSE("GPL");
