/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The only file that knows kernel versions (6.1 to 7.3). Everything here is a
 * small inline with one meaning on every kernel; what a kernel lacks is a
 * constant that says so, never an #ifdef elsewhere.
 */
#ifndef PTF_COMPAT_H
#define PTF_COMPAT_H

#include <linux/capability.h>
#include <linux/ftrace.h>
#include <linux/iommu.h>
#include <linux/mm.h>
#include <linux/mm_inline.h>
#include <linux/pgtable.h>
#include <linux/swap.h>
#include <linux/swapops.h>
#include <linux/sched.h>
#include <linux/version.h>
#if __has_include(<linux/ioasid.h>)
#include <linux/ioasid.h>
#endif
#if __has_include(<linux/sched/exec_state.h>)
#include <linux/sched/exec_state.h>
#define PTF_HAVE_EXEC_STATE 1
#endif

#define PTF_KERNEL(a, b) (LINUX_VERSION_CODE >= KERNEL_VERSION(a, b, 0))

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 1, 0)
#error "ptefault needs Linux 6.1 or later"
#endif
/* Without it nobody, core mm included, makes a hint present again. */
#ifndef CONFIG_NUMA_BALANCING
#error "ptefault needs CONFIG_NUMA_BALANCING"
#endif
#ifndef CONFIG_MMU_NOTIFIER
#error "ptefault needs CONFIG_MMU_NOTIFIER"
#endif
#ifndef CONFIG_DYNAMIC_FTRACE
#error "ptefault needs CONFIG_DYNAMIC_FTRACE"
#endif

/*
 * 6.1 keeps the write permission of a NUMA hint in the hint itself; since 6.3
 * (6a56ccbcf6c6) it is worked out again when the hint is healed.
 */
#define PTF_HINT_KEEPS_WRITE (!PTF_KERNEL(6, 3))

/*
 * For a large variable that is always filled in before use: kernels built with
 * INIT_STACK_ALL_ZERO would clear it each time.
 */
#ifndef __CHECKER__
#if __has_attribute(uninitialized)
#define PTF_UNINIT __attribute__((uninitialized))
#endif
#endif
#ifndef PTF_UNINIT
#define PTF_UNINIT
#endif

/* struct page flags became a struct of their own in 6.18. */
static inline unsigned long ptf_page_flags(const struct page *page)
{
#if PTF_KERNEL(6, 18)
	return READ_ONCE(page->flags.f);
#else
	return READ_ONCE(page->flags);
#endif
}

/*
 * Has the caller @cap over the user namespace that @task's address space @mm
 * was made in? It stood in the mm until exec got a state of its own (7.x).
 * exec_update_lock is held, so @mm and that state belong together.
 */
static inline bool ptf_task_ns_capable(struct task_struct *task,
				       struct mm_struct *mm, int cap)
{
#ifdef PTF_HAVE_EXEC_STATE
	struct task_exec_state *es;
	bool ok;

	rcu_read_lock();
	es = rcu_dereference(task->exec_state);
	ok = es && ns_capable(es->user_ns, cap);
	rcu_read_unlock();
	return ok;
#else
	return ns_capable(mm->user_ns, cap);
#endif
}

/* The registers of a hooked call became opaque in 6.13. */
#ifdef arch_ftrace_regs
#define ptf_fregs(fregs) (&arch_ftrace_regs(fregs)->regs)
#else
#define ptf_fregs(fregs) (&(fregs)->regs)
#endif

/*
 * Live patching's flags: with DYNAMIC_FTRACE_WITH_ARGS arguments are saved
 * anyway, without it all registers must be asked for.
 */
#ifdef CONFIG_HAVE_DYNAMIC_FTRACE_WITH_ARGS
#define PTF_FTRACE_SAVE 0
#else
#define PTF_FTRACE_SAVE FTRACE_OPS_FL_SAVE_REGS
#endif

/* GUP passes through hints unless it is told to honour them (6.6). */
#if PTF_KERNEL(6, 6)
#define PTF_FOLL_HONOR FOLL_HONOR_NUMA_FAULT
#endif

/* Keep faults that take only the VMA's lock out (6.4). */
static inline void ptf_vma_start_write(struct vm_area_struct *vma)
{
#if PTF_KERNEL(6, 4)
	vma_start_write(vma);
#endif
}

/* What /proc/PID/maps calls [heap]: before 6.6 also what ends where it begins. */
static inline bool ptf_vma_is_heap(const struct vm_area_struct *vma)
{
#if PTF_KERNEL(6, 6)
	return vma_is_initial_heap(vma);
#else
	return vma->vm_start <= vma->vm_mm->brk && vma->vm_end >= vma->vm_mm->start_brk;
#endif
}

/*
 * The inode of a mapping as its owner knows it: not the one that a stacked file
 * system (overlay) has below. maps(5) shows it since 6.8.
 */
static inline const struct inode *ptf_file_inode(const struct file *file)
{
#if PTF_KERNEL(6, 8)
	return d_inode(file_user_path(file)->dentry);
#else
	return file_inode(file);
#endif
}

/* Give up what a fault's caller holds, as VM_FAULT_RETRY means. */
static inline void ptf_fault_unlock(struct vm_area_struct *vma, unsigned int flags)
{
#if PTF_KERNEL(6, 4) && defined(CONFIG_PER_VMA_LOCK)
	if (flags & FAULT_FLAG_VMA_LOCK) {
		vma_end_read(vma);
		return;
	}
#endif
	mmap_read_unlock(vma->vm_mm);
}

/*
 * In 6.4 and 6.5 whoever comes with the VMA's lock lets go of it, whatever the
 * answer: what may give it up has to come with mmap_lock instead.
 */
static inline bool ptf_fault_keeps_lock(unsigned int flags)
{
#if PTF_KERNEL(6, 4) && !PTF_KERNEL(6, 6)
	return flags & FAULT_FLAG_VMA_LOCK;
#else
	return false;
#endif
}

/*
 * May core mm have cleared entries whose flush is still to come (mm/rmap.c,
 * should_defer_flush())? Once it has done so ever, we say yes. A page table's lock is
 * held, so that it is seen for what stands there.
 */
static inline bool ptf_mm_flush_deferred(struct mm_struct *mm)
{
#ifdef CONFIG_ARCH_WANT_BATCHED_UNMAP_TLB_FLUSH
	return atomic_read(&mm->tlb_flush_batched);
#else
	return false;
#endif
}

/* Where the kernel writes on a thread's way to user mode, NULL: nowhere. */
static inline void __user *ptf_task_rseq(void)
{
#ifndef CONFIG_RSEQ
	return NULL;
#elif PTF_KERNEL(6, 19)
	return current->rseq.usrptr;
#else
	return current->rseq;
#endif
}

/* Threads of the kernel that work in a process's memory, and never return to it. */
#if PTF_KERNEL(6, 4)
#define PTF_PF_WORKER (PF_IO_WORKER | PF_USER_WORKER)
#else
#define PTF_PF_WORKER PF_IO_WORKER
#endif

static inline void ptf_vma_flags_add(struct vm_area_struct *vma, unsigned long flags)
{
#if PTF_KERNEL(6, 3)
	vm_flags_set(vma, flags);
#else
	vma->vm_flags |= flags;
#endif
}

/*
 * The entry that stands where one was taken away: not empty, never resolved
 * into a page, SIGBUS if it were ever met.
 */
static inline pte_t ptf_stash_entry(unsigned long pfn)
{
#ifdef CONFIG_MEMORY_FAILURE
	return swp_entry_to_pte(swp_entry(SWP_HWPOISON, pfn));
#elif !PTF_KERNEL(6, 6)
	return swp_entry_to_pte(swp_entry(SWP_SWAPIN_ERROR, pfn));
#else
#error "STASH needs CONFIG_MEMORY_FAILURE from 6.6 on"
#endif
}

/*
 * Is the address space shared with devices through an IOMMU? Only core mm can
 * flush their translations, and it won't for a hint.
 */
static inline bool ptf_mm_has_pasid(struct mm_struct *mm)
{
#ifndef CONFIG_IOMMU_SVA
	return false;
#elif PTF_KERNEL(6, 4)
	return mm_valid_pasid(mm);
#else
	return pasid_valid(mm->pasid);
#endif
}

/* pte_uffd_wp() lost its "_wp" when the bit got a second use (RWP, 7.3). */
static inline bool ptf_pte_uffd(pte_t pte)
{
#if PTF_KERNEL(7, 3)
	return pte_uffd(pte);
#elif defined(CONFIG_HAVE_ARCH_USERFAULTFD_WP)
	return pte_uffd_wp(pte);
#else
	return false;
#endif
}

static inline bool ptf_pmd_uffd(pmd_t pmd)
{
#if PTF_KERNEL(7, 3)
	return pmd_uffd(pmd);
#elif defined(CONFIG_HAVE_ARCH_USERFAULTFD_WP)
	return pmd_uffd_wp(pmd);
#else
	return false;
#endif
}

/* Entries with the uffd bit in such a VMA are userfaultfd's own (7.3). */
static inline bool ptf_vma_uffd_rwp(const struct vm_area_struct *vma)
{
#if PTF_KERNEL(7, 3)
	return vma->vm_flags & VM_UFFD_RWP;
#else
	return false;
#endif
}

static inline unsigned long ptf_vma_uffd_flags(void)
{
	unsigned long flags = VM_UFFD_MISSING | VM_UFFD_WP;

#ifdef CONFIG_HAVE_ARCH_USERFAULTFD_MINOR
	flags |= VM_UFFD_MINOR;
#endif
#if PTF_KERNEL(7, 3)
	flags |= VM_UFFD_RWP;
#endif
	return flags;
}

static inline bool ptf_vma_shadow_stack(const struct vm_area_struct *vma)
{
#if PTF_KERNEL(6, 6)
	return vma->vm_flags & VM_SHADOW_STACK;
#else
	return false;
#endif
}

/* pte_devmap() went away in 6.17: DAX pages are ordinary pages since. */
static inline bool ptf_pte_devmap(pte_t pte)
{
#if PTF_KERNEL(6, 17)
	return false;
#else
	return pte_devmap(pte);
#endif
}

static inline pte_t ptf_pte_mkwrite(pte_t pte)
{
#if PTF_KERNEL(6, 6)
	return pte_clear_saveddirty(pte_mkwrite_novma(pte));
#else
	return pte_mkwrite(pte);
#endif
}

static inline pmd_t ptf_pmd_mkwrite(pmd_t pmd)
{
#if PTF_KERNEL(6, 6)
	return pmd_clear_saveddirty(pmd_mkwrite_novma(pmd));
#else
	return pmd_mkwrite(pmd);
#endif
}

/*
 * migrate_vma_setup() splits a huge page that it meets; since 6.19 only if its
 * memory is selected.
 */
#if PTF_KERNEL(6, 19)
#define PTF_SPLIT_SELECT MIGRATE_VMA_SELECT_SYSTEM
#else
#define PTF_SPLIT_SELECT 0
#endif

/* ... and a large folio that is mapped by small entries (6.18). */
#define PTF_MIGRATE_LARGE PTF_KERNEL(6, 18)

/* Drop the entries of part of a VMA: one job under three exported names. */
static inline void ptf_vma_zap(struct vm_area_struct *vma, unsigned long start,
			       unsigned long end)
{
#if PTF_KERNEL(7, 3)
	zap_vma_range(vma, start, end - start);
#elif PTF_KERNEL(6, 3)
	zap_page_range_single(vma, start, end - start, NULL);
#else
	zap_page_range(vma, start, end - start);
#endif
}

/* A page as GUP finds it, for what that does on the way; mmap_lock is held. */
static inline void ptf_gup_look(struct mm_struct *mm, unsigned long addr, unsigned int flags)
{
#if PTF_KERNEL(6, 5)
	get_user_pages_remote(mm, addr, 1, flags, NULL, NULL);
#else
	get_user_pages_remote(mm, addr, 1, flags, NULL, NULL, NULL);
#endif
}

/*
 * How many entries map the folio or page, as far as the kernel counts it. For
 * a large folio newer kernels only keep the sum over its pages; some before 6.10
 * do, too, but don't export it.
 */
static inline unsigned int ptf_page_mapcount(struct folio *folio, struct page *page)
{
#if PTF_KERNEL(6, 10)
	return folio_mapcount(folio);
#else
	return page_mapcount(page);
#endif
}

#define PTF_MAPCOUNT_PER_PAGE (!PTF_KERNEL(6, 10))

/* Low bits of folio->mapping: anonymous, KSM. Renamed in 6.17. */
#ifdef PAGE_MAPPING_FLAGS
#define PTF_MAPPING_FLAGS PAGE_MAPPING_FLAGS
#else
#define PTF_MAPPING_FLAGS FOLIO_MAPPING_FLAGS
#endif

/* What a non-present entry that is no marker of ours stands for. */
enum ptf_leaf {
	PTF_LEAF_SWAP,
	PTF_LEAF_MIGRATION,
	PTF_LEAF_DEVICE,
	PTF_LEAF_HWPOISON,
	PTF_LEAF_GUARD,
	PTF_LEAF_MARKER,
};

struct ptf_leaf_entry {
	enum ptf_leaf leaf;
	unsigned int type;	/* swap area */
	unsigned long value;	/* swap offset or frame */
};

/* @pte is neither none nor present. */
static inline struct ptf_leaf_entry ptf_leaf_of(pte_t pte)
{
	swp_entry_t arch = __pte_to_swp_entry(pte_swp_clear_flags(pte));
	struct ptf_leaf_entry e = {
		.type = __swp_type(arch),
		.value = __swp_offset(arch),
	};

	if (e.type < MAX_SWAPFILES) {
		e.leaf = PTF_LEAF_SWAP;
		return e;
	}
	e.leaf = PTF_LEAF_MARKER;
#ifdef CONFIG_MEMORY_FAILURE
	if (e.type == SWP_HWPOISON)
		e.leaf = PTF_LEAF_HWPOISON;
#endif
#ifdef SWP_SWAPIN_ERROR
	if (e.type == SWP_SWAPIN_ERROR)
		e.leaf = PTF_LEAF_HWPOISON;
#endif
#ifdef CONFIG_MIGRATION
	if (e.type == SWP_MIGRATION_READ || e.type == SWP_MIGRATION_WRITE ||
	    e.type == SWP_MIGRATION_READ_EXCLUSIVE)
		e.leaf = PTF_LEAF_MIGRATION;
#endif
#ifdef CONFIG_DEVICE_PRIVATE
	/* device entries stand together, whatever their number is */
	if (e.type >= SWP_DEVICE_WRITE && e.type < SWP_DEVICE_WRITE + SWP_DEVICE_NUM)
		e.leaf = PTF_LEAF_DEVICE;
#endif
	if (e.leaf != PTF_LEAF_MARKER) {
		e.value &= SWP_PFN_MASK;
		return e;
	}
#ifdef PTE_MARKER_GUARD
	if (e.type == SWP_PTE_MARKER && e.value & PTE_MARKER_GUARD)
		e.leaf = PTF_LEAF_GUARD;
#endif
#ifdef PTE_MARKER_POISONED
	if (e.type == SWP_PTE_MARKER && e.value & PTE_MARKER_POISONED)
		e.leaf = PTF_LEAF_HWPOISON;
#endif
	return e;
}

/* Does its value name a frame, or a place in a swap area? A marker's does not. */
static inline bool ptf_leaf_has_value(struct ptf_leaf_entry e)
{
#ifdef SWP_PTE_MARKER
	if (e.type == SWP_PTE_MARKER)
		return false;
#endif
	return e.leaf != PTF_LEAF_MARKER && e.leaf != PTF_LEAF_GUARD;
}

/* userfaultfd's bit in an entry that is not present, or a marker that says so. */
static inline bool ptf_pte_swp_uffd(pte_t pte, struct ptf_leaf_entry e)
{
#ifdef PTE_MARKER_UFFD_WP
	if (e.type == SWP_PTE_MARKER)
		return e.value & PTE_MARKER_UFFD_WP;
#endif
#if PTF_KERNEL(7, 3)
	return pte_swp_uffd(pte);
#else
	return pte_swp_uffd_wp(pte);
#endif
}

/* Where "dirty" of a page that is being migrated stands, if it is kept at all. */
#define PTF_MIGRATION_DIRTY SWP_MIG_DIRTY

/* Is it a migration entry of a page that had been written to? */
static inline bool ptf_migration_dirty(pte_t pte)
{
	if (pte_none(pte) || pte_present(pte) || ptf_leaf_of(pte).leaf != PTF_LEAF_MIGRATION)
		return false;
	return __swp_offset(__pte_to_swp_entry(pte_swp_clear_flags(pte))) & PTF_MIGRATION_DIRTY;
}

/*
 * A migration entry whose page comes back write-protected and, if @clean, as
 * not written to. mprotect() edits them so, too.
 */
static inline pte_t ptf_migration_protect(pte_t pte, bool clean)
{
	pte_t bare = pte_swp_clear_flags(pte);
	swp_entry_t e = __pte_to_swp_entry(bare);
	unsigned long offset = __swp_offset(e);
	unsigned int type = __swp_type(e);

	if (type == SWP_MIGRATION_WRITE)
		type = PageAnon(pfn_to_page(offset & SWP_PFN_MASK)) ?
			SWP_MIGRATION_READ_EXCLUSIVE : SWP_MIGRATION_READ;
	if (clean)
		offset &= ~PTF_MIGRATION_DIRTY;
	return __pte(pte_val(__swp_entry_to_pte(__swp_entry(type, offset))) |
		     (pte_val(pte) ^ pte_val(bare)));
}

/* A write fault may map more than one page of anonymous memory, all as written. */
#define PTF_FAULT_LARGE_ANON PTF_KERNEL(6, 8)
/* ... of files, and of what comes from swap. */
#define PTF_FAULT_LARGE PTF_KERNEL(6, 11)

/* Is it the caller who holds mmap_lock, and for writing? */
static inline bool ptf_mmap_write_is_mine(struct mm_struct *mm)
{
#ifdef CONFIG_PREEMPT_RT
	return false;	/* not to be told there */
#else
	/* bit 0: readers hold it; bit 1 says nothing of the owner */
	return (atomic_long_read(&mm->mmap_lock.owner) & ~2L) == (long)current;
#endif
}

#endif /* PTF_COMPAT_H */
