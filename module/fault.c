// SPDX-License-Identifier: GPL-2.0-only
/*
 * What happens to a fault in an armed address space. The hook brings it here;
 * core mm's own handler is called from here.
 */
#include <linux/hugetlb.h>
#include <linux/mm.h>
#include "edit.h"
#include "rule.h"
#include "space.h"
#include "walk.h"
#include "arch/x86.h"

/*
 * Make one hint present again, as core mm would, but this one only: newer
 * kernels heal all hints of a large folio together, and with several NUMA
 * nodes they may move the page on the occasion.
 */
static bool ptf_fault_heal(struct ptf_space *sp, struct vm_area_struct *vma,
			   unsigned long addr)
{
	spinlock_t *ptl;
	pte_t *ptep;
	bool healed;

	if (!vma_is_accessible(vma))
		return false;
	ptep = ptf_entry_lock(vma->vm_mm, addr, &ptl);
	if (!ptep)
		return false;
	healed = ptf_edit_unhint_one(vma, ptep, addr);
	if (healed)
		atomic64_inc(&sp->healed);
	ptf_entry_unlock(ptl);
	return healed;
}

vm_fault_t ptf_fault_handle(struct vm_area_struct *vma, unsigned long address,
			    unsigned int flags, struct pt_regs *regs)
{
	struct ptf_space *sp = ptf_space_find_get(vma->vm_mm);
	unsigned long addr = address & PAGE_MASK;
	struct ptf_fault f;
	bool watched, tracked, healed = false;
	vm_fault_t ret;

	if (!sp)
		return ptf_hook_orig(vma, address, flags, regs);
	watched = READ_ONCE(sp->nr_rules) | READ_ONCE(sp->nr_marks) | READ_ONCE(sp->nr_notes);
	if (watched) {
		if (ptf_fault_keeps_lock(flags)) {
			ret = VM_FAULT_RETRY;
			goto put;
		}
		f.sp = sp;
		f.vma = vma;
		f.address = address;
		f.flags = flags;
		f.regs = regs;
		f.rule = NULL;
		f.considered = false;
		f.counted = false;
		f.sticky = false;
		if (ptf_action_before(&f, &ret))
			goto put;
	}
	tracked = READ_ONCE(sp->tracked) && ptf_track_wants(sp, vma, addr);
	/* hugetlb shares tables under locks of its own, and is never edited */
	if (!is_vm_hugetlb_page(vma)) {
		if (READ_ONCE(sp->nr_stash))
			ptf_stash_restore(sp, vma->vm_mm, addr, NULL);
		if (atomic_read(&sp->exact) && !tracked)
			healed = ptf_fault_heal(sp, vma, addr);
	}
	/* the fault is still counted, and what else it needs is done, there */
	ret = tracked ? ptf_track_fault(sp, vma, address, flags, regs) :
			ptf_hook_orig(vma, address, flags, regs);
	if (watched) {
		if (f.rule || f.considered || f.counted)
			ptf_action_after(&f, ret);
		if (READ_ONCE(sp->nr_marks) && !(ret & VM_FAULT_ERROR)) {
			/* what was mapped anew may have come in company */
			if (!healed && !(ret & (VM_FAULT_RETRY | VM_FAULT_COMPLETED)))
				ptf_mark_close_around(&f);
			if (f.sticky)
				ptf_step_after(&f);
		}
	}
put:
	ptf_space_put(sp);
	return ret;
}
