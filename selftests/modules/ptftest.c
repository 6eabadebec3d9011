// SPDX-License-Identifier: GPL-2.0-only
/*
 * /dev/ptftest: mappings, pins and complaints for the selftests of ptefault.
 * Never meant for a machine that matters.
 */
#include <linux/delay.h>
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include "ptftest.h"

static struct page *ptftest_pages[PTFTEST_PAGES];
static atomic64_t ptftest_faults;

/* One for each open file. */
struct ptftest_pin {
	struct mutex lock; /* protects the pin */
	struct page **pages;
	long nr;
};

static void ptftest_unpin(struct ptftest_pin *pin)
{
	if (!pin->pages)
		return;
	unpin_user_pages(pin->pages, pin->nr);
	kvfree(pin->pages);
	pin->pages = NULL;
	pin->nr = 0;
}

static long ptftest_do_pin(struct ptftest_pin *pin, void __user *arg)
{
	struct ptftest_range r;
	struct page **pages;
	long nr;

	if (copy_from_user(&r, arg, sizeof(r)))
		return -EFAULT;
	if (!r.nr_pages || r.nr_pages > 65536)
		return -EINVAL;
	if (pin->pages)
		return -EBUSY;
	pages = kvcalloc(r.nr_pages, sizeof(*pages), GFP_KERNEL);
	if (!pages)
		return -ENOMEM;
	nr = pin_user_pages_fast(r.start, r.nr_pages, FOLL_WRITE | FOLL_LONGTERM, pages);
	if (nr != r.nr_pages) {
		if (nr > 0)
			unpin_user_pages(pages, nr);
		kvfree(pages);
		return nr < 0 ? nr : -EFAULT;
	}
	pin->pages = pages;
	pin->nr = nr;
	return 0;
}

static long ptftest_complain(unsigned long what)
{
	switch (what) {
	case 0:
		WARN(1, "ptftest: a warning on purpose\n");
		return 0;
	case 1:
		pr_warn("INFO: possible circular locking: on purpose\n");
		return 0;
	case 2:
		add_taint(TAINT_WARN, LOCKDEP_STILL_OK);
		return 0;
	}
	return -EINVAL;
}

static long ptftest_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct ptftest_pin *pin = file->private_data;
	unsigned long flags;
	u64 faults;
	long ret;

	switch (cmd) {
	case PTFTEST_PIN:
		mutex_lock(&pin->lock);
		ret = ptftest_do_pin(pin, (void __user *)arg);
		mutex_unlock(&pin->lock);
		return ret;
	case PTFTEST_UNPIN:
		mutex_lock(&pin->lock);
		ptftest_unpin(pin);
		mutex_unlock(&pin->lock);
		return 0;
	case PTFTEST_WARN:
		return ptftest_complain(arg);
	case PTFTEST_FAULTS:
		faults = atomic64_read(&ptftest_faults);
		return copy_to_user((void __user *)arg, &faults, sizeof(faults)) ? -EFAULT : 0;
	case PTFTEST_IRQS_OFF:
		if (arg > 100)
			return -EINVAL;
		local_irq_save(flags);
		mdelay(arg);
		local_irq_restore(flags);
		return 0;
	}
	return -ENOTTY;
}

static vm_fault_t ptftest_fault(struct vm_fault *vmf)
{
	unsigned long n = (vmf->address - vmf->vma->vm_start) >> PAGE_SHIFT;
	unsigned long address = vmf->address & PAGE_MASK;
	unsigned long pfn;

	atomic64_inc(&ptftest_faults);
	if (n >= PTFTEST_PAGES)
		return VM_FAULT_SIGBUS;
	if (vmf->vma->vm_flags & VM_MIXEDMAP) {
		get_page(ptftest_pages[n]);
		vmf->page = ptftest_pages[n];
		return 0;
	}
	pfn = page_to_pfn(ptftest_pages[n]);
	return vmf_insert_pfn(vmf->vma, address, pfn);
}

static const struct vm_operations_struct ptftest_vm_ops = {
	.fault = ptftest_fault,
};

static int ptftest_mmap(struct file *file, struct vm_area_struct *vma)
{
	unsigned long pfn = page_to_pfn(ptftest_pages[0]), len = vma->vm_end - vma->vm_start;
	unsigned long addr, n;
	int err;

	if (vma_pages(vma) > PTFTEST_PAGES)
		return -EINVAL;
	switch (vma->vm_pgoff << PAGE_SHIFT) {
	case PTFTEST_MAP_FAULT:
		/* The first page makes the VMA VM_PFNMAP, the rest faults. */
		vma->vm_ops = &ptftest_vm_ops;
		return remap_pfn_range(vma, vma->vm_start, pfn, PAGE_SIZE, vma->vm_page_prot);
	case PTFTEST_MAP_REMAP:
		return remap_pfn_range(vma, vma->vm_start, pfn, len, vma->vm_page_prot);
	case PTFTEST_MAP_MIXED:
		vma->vm_ops = &ptftest_vm_ops;
		return vm_insert_page(vma, vma->vm_start, ptftest_pages[0]);
	case PTFTEST_MAP_PAGES:
		for (n = 0, addr = vma->vm_start; addr < vma->vm_end; n++, addr += PAGE_SIZE) {
			err = vm_insert_page(vma, addr, ptftest_pages[n]);
			if (err)
				return err;
		}
		return 0;
	}
	return -EINVAL;
}

static int ptftest_open(struct inode *inode, struct file *file)
{
	struct ptftest_pin *pin = kzalloc(sizeof(*pin), GFP_KERNEL);

	if (!pin)
		return -ENOMEM;
	mutex_init(&pin->lock);
	file->private_data = pin;
	return 0;
}

static int ptftest_release(struct inode *inode, struct file *file)
{
	struct ptftest_pin *pin = file->private_data;

	ptftest_unpin(pin);
	kfree(pin);
	return 0;
}

static const struct file_operations ptftest_fops = {
	.owner		= THIS_MODULE,
	.open		= ptftest_open,
	.release	= ptftest_release,
	.unlocked_ioctl	= ptftest_ioctl,
	.mmap		= ptftest_mmap,
};

static struct miscdevice ptftest_misc = {
	.minor	= MISC_DYNAMIC_MINOR,
	.name	= "ptftest",
	.mode	= 0600,
	.fops	= &ptftest_fops,
};

static void ptftest_free(void)
{
	int n;

	for (n = 0; n < PTFTEST_PAGES; n++)
		put_page(ptftest_pages[n]);
}

static int __init ptftest_init(void)
{
	int n, err, order = get_order(PTFTEST_PAGES * PAGE_SIZE);

	/* One frame after another, but each page by itself. */
	ptftest_pages[0] = alloc_pages(GFP_USER, order);
	if (!ptftest_pages[0])
		return -ENOMEM;
	split_page(ptftest_pages[0], order);
	for (n = 0; n < PTFTEST_PAGES; n++) {
		ptftest_pages[n] = ptftest_pages[0] + n;
		memset(page_address(ptftest_pages[n]), 0x40 + n, PAGE_SIZE);
	}
	err = misc_register(&ptftest_misc);
	if (err)
		ptftest_free();
	return err;
}

static void __exit ptftest_exit(void)
{
	misc_deregister(&ptftest_misc);
	ptftest_free();
}

module_init(ptftest_init);
module_exit(ptftest_exit);

MODULE_DESCRIPTION("what the selftests of ptefault need from a kernel");
MODULE_AUTHOR("ptefault developers");
MODULE_LICENSE("GPL");
