// SPDX-License-Identifier: GPL-2.0-only
/*
 * PTF_IOC_RANGE_FAULT: calls the fault handler for pages without touching them
 * and says what it answered. The handler is core mm's, with whatever hooks it.
 */
#include <linux/mm.h>
#include <linux/mmap_lock.h>
#include <linux/sched/signal.h>
#include <linux/uaccess.h>
#include "walk.h"

/* A handler that wants another try every time is reported, not waited for. */
#define PTF_DRIVE_TRIES		16
#define PTF_DRIVE_RESULTS	128

static bool ptf_drive_permitted(struct vm_area_struct *vma, u32 access)
{
	if (access == PTF_ACCESS_WRITE)
		return vma->vm_flags & VM_WRITE;
	if (access == PTF_ACCESS_EXEC)
		return vma->vm_flags & VM_EXEC;
	return vma->vm_flags & VM_ACCESS_FLAGS;
}

static u8 ptf_drive_result(vm_fault_t ret)
{
	if (ret & VM_FAULT_OOM)
		return PTF_FAULTED_OOM;
	if (ret & (VM_FAULT_HWPOISON | VM_FAULT_HWPOISON_LARGE))
		return PTF_FAULTED_HWPOISON;
	if (ret & VM_FAULT_SIGBUS)
		return PTF_FAULTED_SIGBUS;
	if (ret & VM_FAULT_SIGSEGV)
		return PTF_FAULTED_SIGSEGV;
	if (ret & VM_FAULT_ERROR)
		return PTF_FAULTED_OTHER;
	return ret & VM_FAULT_MAJOR ? PTF_FAULTED_MAJOR : PTF_FAULTED_MINOR;
}

/*
 * One page. Answers PTF_FAULTED_* or -EINTR; takes and drops mmap_lock. @next is
 * the first page that the answer need not hold for.
 */
static int ptf_drive_one(struct mm_struct *mm, unsigned long addr, u32 access,
			 unsigned int flags, unsigned long *next)
{
	unsigned int tries;
	struct vm_area_struct *vma;
	/* tracking may have a write's first fault only read, since the write comes again */
	bool major = false, again = access & PTF_ACCESS_WRITE && ptf_track_is_on(mm);
	vm_fault_t ret;

	*next = addr + PAGE_SIZE;
	for (tries = 0; tries < PTF_DRIVE_TRIES; tries++) {
		if (fatal_signal_pending(current) || mmap_read_lock_killable(mm))
			return -EINTR;
		vma = find_vma(mm, addr);
		if (!vma || vma->vm_start > addr) {
			*next = vma ? vma->vm_start : ULONG_MAX;
			mmap_read_unlock(mm);
			return PTF_FAULTED_HOLE;
		}
		if (!ptf_drive_permitted(vma, access)) {
			*next = vma->vm_end;
			mmap_read_unlock(mm);
			return PTF_FAULTED_ACCESS;
		}
		ret = handle_mm_fault(vma, addr, flags, NULL);
		if (ret & VM_FAULT_MAJOR)
			major = true;
		if (again && !(ret & (VM_FAULT_RETRY | VM_FAULT_ERROR))) {
			if (!(ret & VM_FAULT_COMPLETED))
				mmap_read_unlock(mm);
			again = false;
			continue;
		}
		/* both mean that the lock is dropped already */
		if (ret & VM_FAULT_COMPLETED)
			return major ? PTF_FAULTED_MAJOR : PTF_FAULTED_MINOR;
		if (ret & VM_FAULT_RETRY) {
			flags |= FAULT_FLAG_TRIED;
			cond_resched();
			continue;
		}
		mmap_read_unlock(mm);
		if (major)
			ret |= VM_FAULT_MAJOR;
		return ptf_drive_result(ret);
	}
	return PTF_FAULTED_RETRY;
}

static void ptf_drive_count(struct ptf_ioc_range_fault *a, u8 result, u64 pages)
{
	if (result == PTF_FAULTED_MINOR)
		a->out_minor += pages;
	else if (result == PTF_FAULTED_MAJOR)
		a->out_major += pages;
	else
		a->out_failed += pages;
}

/* Up to PTF_DRIVE_RESULTS pages, then their results go out. */
static int ptf_drive_some(struct ptf_ioc_range_fault *a, struct mm_struct *mm,
			  unsigned int flags)
{
	u64 base = (a->out_next - a->start) >> PAGE_SHIFT;
	u8 results[PTF_DRIVE_RESULTS];
	unsigned int nr = 0;
	unsigned long next;
	u64 pages;
	int ret = 0;

	while (nr < PTF_DRIVE_RESULTS && a->out_next < a->end) {
		ret = ptf_drive_one(mm, a->out_next, a->access, flags, &next);
		if (ret < 0)
			break;
		/* a hole of many terabytes is one answer, but for who wants one a page */
		pages = (min_t(u64, next, a->end) - a->out_next) >> PAGE_SHIFT;
		if (a->flags & PTF_FAULT_F_STOP)
			pages = 1;
		if (a->results) {
			pages = min_t(u64, pages, PTF_DRIVE_RESULTS - nr);
			memset(results + nr, ret, pages);
			nr += pages;
		} else {
			nr++;
		}
		ptf_drive_count(a, ret, pages);
		a->out_next += pages << PAGE_SHIFT;
		if (ret > PTF_FAULTED_MAJOR && a->flags & PTF_FAULT_F_STOP)
			break;
		cond_resched();
	}
	if (a->results && nr && copy_to_user(u64_to_user_ptr(a->results + base), results, nr))
		return -EFAULT;
	return ret;
}

int ptf_drive_range(struct ptf_cmd *c)
{
	struct ptf_ioc_range_fault *a = c->arg;
	unsigned int flags = FAULT_FLAG_ALLOW_RETRY | FAULT_FLAG_KILLABLE;
	struct ptf_target *t;
	int ret;

	if (a->flags & ~(PTF_FAULT_F_USER | PTF_FAULT_F_STOP))
		return -EOPNOTSUPP;
	ret = ptf_check_range(a->start, a->end);
	if (ret)
		return ret;
	switch (a->access) {
	case PTF_ACCESS_READ:
		break;
	case PTF_ACCESS_WRITE:
		flags |= FAULT_FLAG_WRITE;
		break;
	case PTF_ACCESS_EXEC:
		flags |= FAULT_FLAG_INSTRUCTION;
		break;
	default:
		return -EINVAL;
	}
	if (a->flags & PTF_FAULT_F_USER)
		flags |= FAULT_FLAG_USER;
	t = ptf_target_begin(c->s, a->target);
	if (IS_ERR(t))
		return PTR_ERR(t);
	if (t->mm != current->mm)
		flags |= FAULT_FLAG_REMOTE;
	a->out_next = a->start;
	a->out_minor = 0;
	a->out_major = 0;
	a->out_failed = 0;
	c->respond = true;
	do {
		ret = ptf_drive_some(a, t->mm, flags);
		if (ret < 0 || (ret > PTF_FAULTED_MAJOR && a->flags & PTF_FAULT_F_STOP))
			break;
	} while (a->out_next < a->end);
	ptf_target_end(t);
	return min(ret, 0);
}
