// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a VMA is: its row in the report, and whether its entries may be edited
 * at all. Looks at nothing below the VMA.
 */
#include <linux/fs.h>
#include <linux/hugetlb.h>
#include <linux/magic.h>
#include "walk.h"
#include "compat.h"

/*
 * vdso, uprobe trampolines and their like: mappings that the kernel set up
 * with operations of its own and no file. Ordinary memory without a file has
 * no operations at all (vma_is_anonymous()), everything else has a file.
 */
bool ptf_vma_is_special(struct vm_area_struct *vma)
{
	return !vma->vm_file && vma->vm_ops;
}

static bool ptf_vma_on_fs(struct vm_area_struct *vma, unsigned long magic)
{
	return vma->vm_file && file_inode(vma->vm_file)->i_sb->s_magic == magic;
}

/* vma_is_secretmem() is not exported; its file system has a magic number. */
bool ptf_vma_is_secretmem(struct vm_area_struct *vma)
{
	return ptf_vma_on_fs(vma, SECRETMEM_MAGIC);
}

/* Nor is shmem_mapping() in 6.1. memfd, SysV and shared anonymous live there too. */
bool ptf_mapping_is_shmem(struct address_space *mapping)
{
	return mapping && mapping->host &&
	       mapping->host->i_sb->s_magic == TMPFS_MAGIC &&
	       S_ISREG(mapping->host->i_mode);
}

/* PTF_VMA_* bits that stand for one VM_ flag each */
static const struct {
	unsigned long vm;
	u64 ptf;
} ptf_vma_bits[] = {
	{ VM_READ, PTF_VMA_READ },
	{ VM_WRITE, PTF_VMA_WRITE },
	{ VM_EXEC, PTF_VMA_EXEC },
	{ VM_SHARED, PTF_VMA_SHARED },
	{ VM_MAYSHARE, PTF_VMA_MAYSHARE },
	{ VM_GROWSDOWN, PTF_VMA_GROWSDOWN },
	{ VM_LOCKED, PTF_VMA_LOCKED },
	{ VM_LOCKONFAULT, PTF_VMA_LOCKONFAULT },
	{ VM_PFNMAP, PTF_VMA_PFNMAP },
	{ VM_IO, PTF_VMA_IO },
	{ VM_HUGETLB, PTF_VMA_HUGETLB },
	{ VM_DONTCOPY, PTF_VMA_DONTCOPY },
	{ VM_DONTDUMP, PTF_VMA_DONTDUMP },
	{ VM_WIPEONFORK, PTF_VMA_WIPEONFORK },
	{ VM_MERGEABLE, PTF_VMA_MERGEABLE },
	{ VM_HUGEPAGE, PTF_VMA_HUGEPAGE },
	{ VM_NOHUGEPAGE, PTF_VMA_NOHUGEPAGE },
	{ VM_SEQ_READ, PTF_VMA_SEQ_READ },
	{ VM_RAND_READ, PTF_VMA_RAND_READ },
	{ VM_NORESERVE, PTF_VMA_NORESERVE },
	{ VM_MIXEDMAP, PTF_VMA_MIXEDMAP },
	{ VM_SOFTDIRTY, PTF_VMA_SOFTDIRTY },
};

/* The whole of [stack] or [heap], as /proc/PID/maps names them. */
static u64 ptf_vma_place(struct vm_area_struct *vma)
{
	struct mm_struct *mm = vma->vm_mm;

	if (vma->vm_start <= mm->start_stack && vma->vm_end >= mm->start_stack)
		return PTF_VMA_STACK;
	if (!vma->vm_file && ptf_vma_is_heap(vma))
		return PTF_VMA_HEAP;
	return 0;
}

u64 ptf_vma_flags(struct vm_area_struct *vma)
{
	unsigned long vm = vma->vm_flags;
	u64 flags = ptf_vma_place(vma);
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(ptf_vma_bits); i++)
		if (vm & ptf_vma_bits[i].vm)
			flags |= ptf_vma_bits[i].ptf;
	if (vm & ptf_vma_uffd_flags())
		flags |= PTF_VMA_UFFD;
	if (ptf_vma_shadow_stack(vma))
		flags |= PTF_VMA_SHADOW_STACK;
	if (ptf_vma_is_special(vma))
		flags |= PTF_VMA_SPECIAL;
	if (!vma->vm_file)
		return flags;
	flags |= PTF_VMA_FILE;
	if (vma->vm_file->f_op == &ptf_fops)
		flags |= PTF_VMA_DEVICE;
	if (ptf_mapping_is_shmem(vma->vm_file->f_mapping))
		flags |= PTF_VMA_SHMEM;
	if (ptf_vma_is_secretmem(vma))
		flags |= PTF_VMA_SECRETMEM;
	return flags;
}

/**
 * ptf_vma_refusal() - may entries of this VMA be edited?
 * @vma: the VMA, mmap_lock held
 *
 * Return: an enum ptf_skip that says why not, or -1 if they may
 */
int ptf_vma_refusal(struct vm_area_struct *vma)
{
	if (vma->vm_flags & (VM_PFNMAP | VM_IO) || ptf_vma_is_special(vma))
		return PTF_SKIP_SPECIAL;
	if (is_vm_hugetlb_page(vma))
		return PTF_SKIP_HUGETLB;
	if (ptf_vma_is_secretmem(vma))
		return PTF_SKIP_SECRETMEM;
	/* write-protected and dirty means something else there */
	if (ptf_vma_shadow_stack(vma))
		return PTF_SKIP_SPECIAL;
	if (vma->vm_file && IS_DAX(file_inode(vma->vm_file)))
		return PTF_SKIP_KIND;
	if (!vma_is_accessible(vma))
		return PTF_SKIP_PROTNONE;
	return -1;
}

/* PTF_STATE_* of an entry; what is stashed looks like hwpoison here. */
u8 ptf_entry_state(struct vm_area_struct *vma, pte_t pte)
{
	static const u8 state[] = {
		[PTF_LEAF_SWAP]		= PTF_STATE_SWAP,
		[PTF_LEAF_MIGRATION]	= PTF_STATE_MIGRATION,
		[PTF_LEAF_DEVICE]	= PTF_STATE_DEVICE,
		[PTF_LEAF_HWPOISON]	= PTF_STATE_HWPOISON,
		[PTF_LEAF_GUARD]	= PTF_STATE_GUARD,
		[PTF_LEAF_MARKER]	= PTF_STATE_MARKER,
	};

	if (pte_none(pte))
		return PTF_STATE_NONE;
	if (!pte_present(pte))
		return state[ptf_leaf_of(pte).leaf];
	if (!pte_protnone(pte))
		return PTF_STATE_PRESENT;
	return vma_is_accessible(vma) ? PTF_STATE_HINT : PTF_STATE_PROTNONE;
}
