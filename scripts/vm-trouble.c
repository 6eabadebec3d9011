// SPDX-License-Identifier: GPL-2.0-only
/*
 * A module that makes trouble on purpose, to prove that the VM runner would
 * have seen it. Loading it with what=NAME does one thing wrong; nothing but
 * scripts/vm-selftest builds or loads it, and only in a VM.
 */
#include <linux/list.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/preempt.h>
#include <linux/refcount.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/smp.h>
#include <linux/string.h>

static char *what = "";
module_param(what, charp, 0);

static void break_list(void)
{
	static LIST_HEAD(head);
	static struct list_head node;

	list_add(&node, &head);
	node.prev = &node;
	list_del(&node);
}

/* Found when the process that loads this module exits. */
static void break_mm(void)
{
	mm_inc_nr_ptes(current->mm);
}

static void break_refcount(void)
{
	refcount_t ref = REFCOUNT_INIT(0);

	refcount_inc(&ref);
}

static void break_atomic(void)
{
	preempt_disable();
	schedule_timeout_uninterruptible(1);
	preempt_enable();
}

static void spin(void *unused)
{
	unsigned long flags;

	local_irq_save(flags);
	for (;;)
		cpu_relax();
}

static int __init trouble_init(void)
{
	if (!strcmp(what, "warn"))
		WARN(1, "on purpose\n");
	else if (!strcmp(what, "oops"))
		WRITE_ONCE(*(int *)8, 0);
	else if (!strcmp(what, "list"))
		break_list();
	else if (!strcmp(what, "mm"))
		break_mm();
	else if (!strcmp(what, "refcount"))
		break_refcount();
	else if (!strcmp(what, "atomic"))
		break_atomic();
	else if (!strcmp(what, "hang"))
		on_each_cpu(spin, NULL, 0);
	else
		return -EINVAL;
	/* Done, and the next one can be loaded without unloading this. */
	return -EAGAIN;
}
module_init(trouble_init);

MODULE_DESCRIPTION("Kernel complaints on purpose, for a test VM");
MODULE_LICENSE("GPL");
