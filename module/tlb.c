// SPDX-License-Identifier: GPL-2.0-only
/*
 * Flushing translations on every CPU. Owns the choice of the method; how one
 * CPU does it is the architecture's.
 *
 * No exported function flushes a user range on x86, so all CPUs drop all they
 * have. "All CPUs" and not mm_cpumask(): a CPU that ran the mm lazily or under
 * another PCID may still hold its translations, and learns of tlb_gen only
 * through core mm's own flush. Over-flushing is correct, under-flushing a
 * silent wrong answer.
 */
#include <linux/module.h>
#include <linux/smp.h>
#include "ptefault.h"
#include "arch/x86.h"

static char *flush = "auto";
module_param(flush, charp, 0444);
MODULE_PARM_DESC(flush, "TLB flush: auto, cr4 or invpcid");

static u32 ptf_tlb_how;
static atomic64_t ptf_tlb_count;

static void ptf_tlb_flush_cr4(void *unused)
{
	ptf_arch_flush_cr4();
}

static void ptf_tlb_flush_invpcid(void *unused)
{
	ptf_arch_flush_invpcid();
}

/**
 * ptf_tlb_flush_all() - drop all translations on all CPUs, and wait for it
 *
 * Context: may sleep (IPIs to all CPUs), interrupts on.
 */
void ptf_tlb_flush_all(void)
{
	smp_call_func_t fn = ptf_tlb_how == PTF_FLUSH_INVPCID ?
		ptf_tlb_flush_invpcid : ptf_tlb_flush_cr4;
	unsigned long irq;

	atomic64_inc(&ptf_tlb_count);
	preempt_disable();
	if (num_online_cpus() == 1) {
		/* nobody to ask; a CPU that comes up now has nothing to drop */
		local_irq_save(irq);
		fn(NULL);
		local_irq_restore(irq);
		preempt_enable();
		return;
	}
	preempt_enable();
	on_each_cpu(fn, NULL, 1);
}

u32 ptf_tlb_method(void)
{
	return ptf_tlb_how;
}

u64 ptf_tlb_flushes(void)
{
	return atomic64_read(&ptf_tlb_count);
}

int ptf_tlb_init(void)
{
	if (!strcmp(flush, "cr4") || !strcmp(flush, "auto")) {
		/*
		 * auto is cr4: it needs no CPU feature, and is the one that
		 * the suite can run everywhere.
		 */
		ptf_tlb_how = PTF_FLUSH_CR4;
		return 0;
	}
	if (!strcmp(flush, "invpcid")) {
		if (!ptf_arch_can_invpcid()) {
			pr_err("flush=invpcid: this CPU has no INVPCID\n");
			return -EOPNOTSUPP;
		}
		ptf_tlb_how = PTF_FLUSH_INVPCID;
		return 0;
	}
	pr_err("flush=%s: not auto, cr4 or invpcid\n", flush);
	return -EINVAL;
}
