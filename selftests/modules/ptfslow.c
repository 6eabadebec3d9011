// SPDX-License-Identifier: GPL-2.0-only
/*
 * /dev/ptfslow: what is over in an instant is made to last, or is looked at
 * while it lasts, so that the selftests of ptefault need no luck. Never meant
 * for a machine that matters.
 */
#include <linux/delay.h>
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/mm.h>
#include <linux/mmu_notifier.h>
#include <linux/module.h>
#include <linux/rwsem.h>
#include <linux/slab.h>
#include "ptfslow.h"

struct ptfslow {
	struct mmu_notifier mn;
	struct mm_struct *mm;	/* NULL: not registered */
	struct mutex lock; /* protects mm */
	unsigned int ms;
	atomic_t waiting;
};

static int ptfslow_start(struct mmu_notifier *mn, const struct mmu_notifier_range *range)
{
	struct ptfslow *s = container_of(mn, struct ptfslow, mn);

	if (!mmu_notifier_range_blockable(range))
		return 0;
	atomic_inc(&s->waiting);
	msleep(s->ms);
	atomic_dec(&s->waiting);
	return 0;
}

static const struct mmu_notifier_ops ptfslow_ops = {
	.invalidate_range_start = ptfslow_start,
};

static long ptfslow_register(struct ptfslow *s, unsigned long ms)
{
	int err = -EBUSY;

	if (ms > 2000)
		return -EINVAL;
	mutex_lock(&s->lock);
	if (!s->mm) {
		s->ms = ms;
		s->mn.ops = &ptfslow_ops;
		err = mmu_notifier_register(&s->mn, current->mm);
		if (!err) {
			s->mm = current->mm;
			mmgrab(s->mm);
		}
	}
	mutex_unlock(&s->lock);
	return err;
}

static pte_t *ptfslow_entry(struct mm_struct *mm, unsigned long addr)
{
	pgd_t *pgd = pgd_offset(mm, addr);
	p4d_t *p4d;
	pud_t *pud;
	pmd_t *pmd;

	if (pgd_none(*pgd) || pgd_bad(*pgd))
		return NULL;
	p4d = p4d_offset(pgd, addr);
	if (p4d_none(*p4d) || p4d_bad(*p4d))
		return NULL;
	pud = pud_offset(p4d, addr);
	if (pud_none(*pud) || pud_bad(*pud))
		return NULL;
	pmd = pmd_offset(pud, addr);
	if (pmd_none(*pmd) || pmd_bad(*pmd))
		return NULL;
	return pte_offset_kernel(pmd, addr);
}

/* The test keeps the table where it is. */
static long ptfslow_watch(unsigned long addr)
{
	struct mm_struct *mm = current->mm;
	unsigned int us;
	unsigned long flags;
	long seen = 0;
	pte_t *ptep;

	if (addr >= TASK_SIZE_MAX)
		return -EINVAL;
	ptep = ptfslow_entry(mm, addr);
	if (!ptep)
		return -EFAULT;
	local_irq_save(flags);
	for (us = 0; us < 300000; us += 5) {
		if (!(pte_flags(READ_ONCE(*ptep)) & _PAGE_PRESENT)) {
			seen = PTFSLOW_SEEN;
			/* whoever cleared it waits for us now; let it come there */
			udelay(500);
			if (atomic_read(&mm->tlb_flush_pending))
				seen |= PTFSLOW_PENDING;
			if (rwsem_is_locked(&mm->mmap_lock))
				seen |= PTFSLOW_LOCKED;
			break;
		}
		udelay(5);
	}
	local_irq_restore(flags);
	return seen;
}

static long ptfslow_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct ptfslow *s = file->private_data;

	switch (cmd) {
	case PTFSLOW_NOTIFIER:
		return ptfslow_register(s, arg);
	case PTFSLOW_WAITING:
		return atomic_read(&s->waiting);
	case PTFSLOW_WATCH:
		return ptfslow_watch(arg);
	}
	return -ENOTTY;
}

static int ptfslow_open(struct inode *inode, struct file *file)
{
	struct ptfslow *s = kzalloc(sizeof(*s), GFP_KERNEL);

	if (!s)
		return -ENOMEM;
	mutex_init(&s->lock);
	file->private_data = s;
	return 0;
}

static int ptfslow_release(struct inode *inode, struct file *file)
{
	struct ptfslow *s = file->private_data;

	if (s->mm) {
		mmu_notifier_unregister(&s->mn, s->mm);
		mmdrop(s->mm);
	}
	kfree(s);
	return 0;
}

static const struct file_operations ptfslow_fops = {
	.owner		= THIS_MODULE,
	.open		= ptfslow_open,
	.release	= ptfslow_release,
	.unlocked_ioctl	= ptfslow_ioctl,
};

static struct miscdevice ptfslow_misc = {
	.minor	= MISC_DYNAMIC_MINOR,
	.name	= "ptfslow",
	.mode	= 0600,
	.fops	= &ptfslow_fops,
};

module_misc_device(ptfslow_misc);

MODULE_DESCRIPTION("time for the races that the selftests of ptefault look into");
MODULE_AUTHOR("ptefault developers");
MODULE_LICENSE("GPL");
