// SPDX-License-Identifier: GPL-2.0-only
/*
 * mmap() of a session's fd: the two switch pages, and memory of the session's
 * own for rules to stand on.
 *
 * The switch. A store to the first page arms, one to the second disarms, and
 * has done so when the store is through: because the store faults. At any time
 * only the page of the state that the session is in can be mapped for writing,
 * where a store changes nothing; switching takes the other's away. Both
 * addresses show one and the same page, and its lock orders everything: the
 * handler gives it back locked, core mm maps it, then unlocks it; switching
 * holds it from the change to the zap. So no mapping of the state before is
 * left, or made, behind a switch.
 *
 * Arming works on page tables of other address spaces and must not be done
 * under the lock of a fault: the handler drops that and asks for a retry.
 */
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/slab.h>
#include "rule.h"
#include "compat.h"

#define PTF_SWITCH_ON	0	/* page offsets */
#define PTF_SWITCH_OFF	1

#define PTF_MEMORY_FIRST	((unsigned long)(PTF_MMAP_MEMORY >> PAGE_SHIFT))
#define PTF_MEMORY_PAGES	((unsigned long)(PTF_MMAP_MEMORY_BYTES >> PAGE_SHIFT))

int ptf_memory_init(struct ptf_session *s)
{
	xa_init(&s->memory);
	s->switch_page = alloc_page(GFP_KERNEL_ACCOUNT | __GFP_ZERO);
	return s->switch_page ? 0 : -ENOMEM;
}

/* No mapping is left: each held the file. */
void ptf_memory_free(struct ptf_session *s)
{
	struct page *page;
	unsigned long i;

	xa_for_each(&s->memory, i, page) {
		put_page(page);
		cond_resched();
	}
	xa_destroy(&s->memory);
	put_page(s->switch_page);
}

/* The session's rules are on, or off, from here on. */
void ptf_memory_switched(struct ptf_session *s, bool on)
{
	loff_t other = (on ? PTF_SWITCH_OFF : PTF_SWITCH_ON) * PAGE_SIZE;

	lock_page(s->switch_page);
	WRITE_ONCE(s->q->armed, on);
	/* other sessions' pages there go too, and come back with the next fault */
	unmap_mapping_range(s->file->f_mapping, other, PAGE_SIZE, 0);
	unlock_page(s->switch_page);
}

static vm_fault_t ptf_memory_switch_fault(struct vm_fault *vmf)
{
	struct file *file = vmf->vma->vm_file;
	struct ptf_session *s = file->private_data;
	bool on = vmf->pgoff == PTF_SWITCH_ON;
	u64 pages = 0;

	if (vmf->pgoff > PTF_SWITCH_OFF)
		return VM_FAULT_SIGBUS;
	if (vmf->flags & FAULT_FLAG_WRITE && READ_ONCE(s->q->armed) != on) {
		if (!(vmf->flags & FAULT_FLAG_ALLOW_RETRY) ||
		    vmf->flags & FAULT_FLAG_RETRY_NOWAIT)
			return VM_FAULT_SIGBUS;
		get_file(file);
		ptf_fault_unlock(vmf->vma, vmf->flags);
		ptf_rule_switch(s, on, &pages);
		fput(file);
		return VM_FAULT_RETRY;
	}
	lock_page(s->switch_page);
	get_page(s->switch_page);
	vmf->page = s->switch_page;
	return VM_FAULT_LOCKED;
}

/* A store to the page that was mapped for reading, or is being mapped. */
static vm_fault_t ptf_memory_switch_mkwrite(struct vm_fault *vmf)
{
	struct ptf_session *s = vmf->vma->vm_file->private_data;
	loff_t at = (loff_t)vmf->pgoff << PAGE_SHIFT;
	bool on;

	lock_page(s->switch_page);
	on = vmf->pgoff == PTF_SWITCH_ON;
	if (READ_ONCE(s->q->armed) == on)
		return VM_FAULT_LOCKED;
	unlock_page(s->switch_page);
	/* once more, as a store to nothing: that is where we may drop locks */
	unmap_mapping_range(vmf->vma->vm_file->f_mapping, at, PAGE_SIZE, 0);
	return VM_FAULT_NOPAGE;
}

static const struct vm_operations_struct ptf_memory_switch_ops = {
	.fault		= ptf_memory_switch_fault,
	.page_mkwrite	= ptf_memory_switch_mkwrite,
};

static vm_fault_t ptf_memory_fault(struct vm_fault *vmf)
{
	struct ptf_session *s = vmf->vma->vm_file->private_data;
	unsigned long i = vmf->pgoff - PTF_MEMORY_FIRST;
	struct page *page, *old;

	if (vmf->pgoff < PTF_MEMORY_FIRST || i >= PTF_MEMORY_PAGES)
		return VM_FAULT_SIGBUS;
	/* pages are there until the session goes, and it can't under a mapping */
	page = xa_load(&s->memory, i);
	if (!page) {
		page = alloc_page(GFP_KERNEL_ACCOUNT | __GFP_ZERO);
		if (!page)
			return VM_FAULT_OOM;
		old = xa_cmpxchg(&s->memory, i, NULL, page, GFP_KERNEL_ACCOUNT);
		if (old) {
			put_page(page);
			if (xa_is_err(old))
				return VM_FAULT_OOM;
			page = old;
		}
	}
	get_page(page);
	vmf->page = page;
	return 0;
}

static const struct vm_operations_struct ptf_memory_ops = {
	.fault		= ptf_memory_fault,
};

int ptf_memory_mmap(struct file *file, struct vm_area_struct *vma)
{
	unsigned long pages = vma_pages(vma), first = vma->vm_pgoff;

	if (!(vma->vm_flags & VM_SHARED))
		return -EINVAL;
	if (first < PTF_MEMORY_FIRST) {
		if (first + pages > PTF_MMAP_SWITCH_BYTES >> PAGE_SHIFT ||
		    vma->vm_flags & VM_EXEC)
			return -EINVAL;
		vma->vm_ops = &ptf_memory_switch_ops;
	} else {
		if (first - PTF_MEMORY_FIRST + pages > PTF_MEMORY_PAGES)
			return -EINVAL;
		vma->vm_ops = &ptf_memory_ops;
	}
	/* a child must not keep the session when its owner has gone */
	ptf_vma_flags_add(vma, VM_DONTCOPY | VM_DONTEXPAND | VM_DONTDUMP);
	return 0;
}
