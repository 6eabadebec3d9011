/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the module must know of x86-64: the shape of a hint entry, decoding of
 * entries, and a TLB flush of the running CPU.
 *
 * A hint entry is what NUMA balancing leaves in the page tables: present bit
 * off, PROTNONE on, the page, its reverse map and counters as before. Core mm
 * knows it everywhere and makes it present again in do_numa_page() on the next
 * access. We build it from the flags of the old entry, as pte_modify() would,
 * which no module can link (cc_mask is not exported). Starting from
 * pfn_pte(pfn, PAGE_NONE) instead would lose the memory-encryption bit.
 *
 * x86 stores the frame bits of entries that are not present inverted (L1TF);
 * flip_protnone_guard() does and undoes that.
 */
#ifndef PTF_ARCH_X86_H
#define PTF_ARCH_X86_H

#include <asm/cpufeature.h>
#include <asm/debugreg.h>
#include <asm/processor-flags.h>
#include <asm/tlbflush.h>
#include <asm/invpcid.h>
#include "../compat.h"

#ifndef CONFIG_X86_64
#error "ptefault supports x86-64 only so far"
#endif

/* Bits that say who may access and not what is mapped. */
#define PTF_PTE_PROT_BITS \
	(_PAGE_PRESENT | _PAGE_USER | _PAGE_RW | _PAGE_NX | _PAGE_GLOBAL | _PAGE_PKEY_MASK)

static inline pte_t ptf_arch_pte_mkhint(pte_t pte)
{
	pteval_t old, val, keep = 0;

	if (PTF_HINT_KEEPS_WRITE)
		keep = pte_val(pte) & _PAGE_RW;
	else if (pte_write(pte))
		pte = pte_wrprotect(pte);	/* does the saved-dirty shuffle */
	old = pte_val(pte);
	val = (old & ~PTF_PTE_PROT_BITS) | _PAGE_PROTNONE | _PAGE_ACCESSED | keep;
	val = flip_protnone_guard(old, val, PTE_PFN_MASK);
	return __pte(val);
}

/*
 * The way back, with the permissions of @prot (a vm_page_prot), and write
 * permission too if the caller knows that it is due.
 */
static inline pte_t ptf_arch_pte_unhint(pte_t hint, pgprot_t prot, bool write)
{
	pteval_t old = pte_val(hint), val;
	pte_t pte;

	val = old & ~(_PAGE_PROTNONE | PTF_PTE_PROT_BITS);
	val |= pgprot_val(prot) & PTF_PTE_PROT_BITS & ~_PAGE_GLOBAL;
	val |= _PAGE_PRESENT | _PAGE_ACCESSED;
	val = flip_protnone_guard(old, val, PTE_PFN_MASK);
	pte = __pte(val);
	if (write || val & _PAGE_RW)
		pte = ptf_pte_mkwrite(pte);
	return pte;
}

static inline bool ptf_arch_pte_was_writable(pte_t hint)
{
	return PTF_HINT_KEEPS_WRITE && pte_write(hint);
}

/*
 * The same for an entry of the level above that maps a huge page: the bits look
 * alike, but the frame begins higher, and only its bits are inverted.
 */
static inline pmd_t ptf_arch_pmd_mkhint(pmd_t pmd)
{
	pmdval_t old, val, keep = 0;

	if (PTF_HINT_KEEPS_WRITE)
		keep = pmd_val(pmd) & _PAGE_RW;
	else if (pmd_write(pmd))
		pmd = pmd_wrprotect(pmd);
	old = pmd_val(pmd);
	val = (old & ~PTF_PTE_PROT_BITS) | _PAGE_PROTNONE | _PAGE_ACCESSED | keep;
	val = flip_protnone_guard(old, val, PHYSICAL_PMD_PAGE_MASK);
	return __pmd(val);
}

static inline pmd_t ptf_arch_pmd_unhint(pmd_t hint, pgprot_t prot, bool write)
{
	pmdval_t old = pmd_val(hint), val;
	pmd_t pmd;

	val = old & ~(_PAGE_PROTNONE | PTF_PTE_PROT_BITS);
	val |= pgprot_val(prot) & PTF_PTE_PROT_BITS & ~_PAGE_GLOBAL;
	val |= _PAGE_PRESENT | _PAGE_ACCESSED;
	val = flip_protnone_guard(old, val, PHYSICAL_PMD_PAGE_MASK);
	pmd = __pmd(val);
	if (write || val & _PAGE_RW)
		pmd = ptf_pmd_mkwrite(pmd);
	return pmd;
}

static inline bool ptf_arch_pmd_was_writable(pmd_t hint)
{
	return PTF_HINT_KEEPS_WRITE && pmd_write(hint);
}

/*
 * Put another entry in the place of one that maps a huge page, in two steps, as
 * core mm does: at no time is the place empty, which those who look without the
 * lock would believe, and no accessed or dirty bit that a CPU sets is lost. Its
 * table is locked.
 *
 * Return: what stood there
 */
static inline pmd_t ptf_arch_pmd_take(struct vm_area_struct *vma, unsigned long addr,
				      pmd_t *pmdp)
{
	return pmdp_establish(vma, addr & PMD_MASK, pmdp, pmd_mkinvalid(*pmdp));
}

static inline void ptf_arch_pmd_set(struct vm_area_struct *vma, unsigned long addr,
				    pmd_t *pmdp, pmd_t pmd)
{
	set_pmd_at(vma->vm_mm, addr & PMD_MASK, pmdp, pmd);
}

/* An entry without the bits that hold a frame number or a swap offset. */
static inline u64 ptf_arch_entry_hide(u64 raw)
{
	if (raw && !(raw & (_PAGE_PRESENT | _PAGE_PROTNONE)))
		return 0;
	return raw & PTE_FLAGS_MASK;
}

/* Frame number of an entry of any level that is present or a hint. */
static inline u64 ptf_arch_entry_pfn(u64 raw, bool large)
{
	u64 mask = PTE_PFN_MASK;

	if (large)	/* below its frame stand other bits, which are not inverted */
		mask = PHYSICAL_PMD_PAGE_MASK;
	raw ^= protnone_mask(raw);
	return (raw & mask) >> PAGE_SHIFT;
}

/*
 * What two last-level entries must have in common to differ in their frame
 * alone: xor with it leaves the frame bits, bare. Never 0.
 */
static inline u64 ptf_arch_entry_but_frame(u64 raw)
{
	return (raw & PTE_FLAGS_MASK) | (protnone_mask(raw) & PTE_PFN_MASK);
}

/* PTF_LEVEL_* bits of a raw entry; the meaning of LEAF is the caller's. */
static inline u32 ptf_arch_entry_flags(u64 raw)
{
	u32 flags = 0;

	if (raw & _PAGE_PRESENT)
		flags |= PTF_LEVEL_PRESENT;
	if (!(raw & (_PAGE_PRESENT | _PAGE_PROTNONE)))
		return flags;
	if (raw & _PAGE_RW)
		flags |= PTF_LEVEL_WRITE;
	if (raw & _PAGE_USER)
		flags |= PTF_LEVEL_USER;
	if (raw & _PAGE_ACCESSED)
		flags |= PTF_LEVEL_ACCESSED;
	if (raw & _PAGE_DIRTY)
		flags |= PTF_LEVEL_DIRTY;
	if (raw & _PAGE_NX)
		flags |= PTF_LEVEL_NX;
	if (raw & _PAGE_PWT)
		flags |= PTF_LEVEL_PWT;
	if (raw & _PAGE_PCD)
		flags |= PTF_LEVEL_PCD;
	if (raw & _PAGE_PRESENT && raw & _PAGE_GLOBAL)
		flags |= PTF_LEVEL_GLOBAL;
	if (raw & _PAGE_SOFT_DIRTY)
		flags |= PTF_LEVEL_SOFT_DIRTY;
	if (raw & _PAGE_SPECIAL)
		flags |= PTF_LEVEL_SPECIAL;
	if (sme_me_mask && raw & sme_me_mask)
		flags |= PTF_LEVEL_ENCRYPTED;
	return flags;
}

/*
 * Does an entry above the last level lead to another table, and to one of user
 * space? All bits that any of p4d_bad(), pud_bad() and pmd_bad() wants to see.
 */
static inline bool ptf_arch_entry_is_table(u64 raw)
{
	const u64 want = _PAGE_PRESENT | _PAGE_RW | _PAGE_USER;

	return (raw & (want | _PAGE_PSE)) == want;
}

static inline bool ptf_arch_can_invpcid(void)
{
	return boot_cpu_has(X86_FEATURE_INVPCID);
}

/*
 * Drop all translations of this CPU: every address space, every PCID, global
 * entries too. Called with interrupts off.
 *
 * Changing CR4.PGE does that by the manual (SDM volume 3, section 4.10.4.1),
 * whichever way the bit stood. CR4 is written here and not through the
 * kernel's shadow of it, which is the same before and after.
 */
static inline void ptf_arch_flush_cr4(void)
{
	unsigned long cr4;

	asm volatile("mov %%cr4, %0" : "=r"(cr4) : : "memory");
	asm volatile("mov %0, %%cr4" : : "r"(cr4 ^ X86_CR4_PGE) : "memory");
	asm volatile("mov %0, %%cr4" : : "r"(cr4) : "memory");
}

static inline void ptf_arch_flush_invpcid(void)
{
	invpcid_flush_all();
}

/* Arguments of a hooked function, System V order. */
static inline unsigned long ptf_fregs_argument(struct ftrace_regs *fregs, unsigned int n)
{
	struct pt_regs *regs = ptf_fregs(fregs);

	return n == 0 ? regs->di : n == 1 ? regs->si : n == 2 ? regs->dx : regs->cx;
}

static inline void ptf_fregs_or_argument(struct ftrace_regs *fregs, unsigned int n,
					 unsigned long bits)
{
	struct pt_regs *regs = ptf_fregs(fregs);

	*(n == 0 ? &regs->di : n == 1 ? &regs->si : n == 2 ? &regs->dx : &regs->cx) |= bits;
}

static inline void ptf_fregs_redirect(struct ftrace_regs *fregs, unsigned long ip)
{
	ptf_fregs(fregs)->ip = ip;
}

/*
 * Where the body of handle_mm_fault() begins: behind the ENDBR that kernels
 * built for IBT have, and the five bytes that ftrace patches.
 */
#ifdef CONFIG_X86_KERNEL_IBT
#define PTF_FENTRY_OFFSET 4
#else
#define PTF_FENTRY_OFFSET 0
#endif

static inline unsigned long ptf_arch_fentry_ip(void)
{
	return (unsigned long)handle_mm_fault + PTF_FENTRY_OFFSET;
}

/* Is the fentry site what we jump behind: ftrace's nop, or a call of it? */
static inline bool ptf_arch_check_fentry(void)
{
	static const u8 nop5[5] = { 0x0f, 0x1f, 0x44, 0x00, 0x00 };
	const u8 *p = (const u8 *)handle_mm_fault;
	static const u8 endbr[4] = { 0xf3, 0x0f, 0x1e, 0xfa };
	/* an ENDBR that the kernel found unused and sealed */
	static const u8 sealed[4] = { 0x66, 0x0f, 0x1f, 0x00 };
	static const u8 sealed_ud1[4] = { 0x0f, 0x1f, 0x40, 0xd6 };

	if (PTF_FENTRY_OFFSET && memcmp(p, endbr, 4) && memcmp(p, sealed, 4) &&
	    memcmp(p, sealed_ud1, 4))
		return false;
	p += PTF_FENTRY_OFFSET;
	return p[0] == 0xe8 || !memcmp(p, nop5, 5);
}

/*
 * handle_mm_fault() without its hook. A direct call: an indirect one would have
 * to land on an ENDBR where IBT is on.
 */
static inline vm_fault_t ptf_arch_call_behind_fentry(struct vm_area_struct *vma,
						     unsigned long address,
						     unsigned int flags,
						     struct pt_regs *regs)
{
	register unsigned long rdi asm("rdi") = (unsigned long)vma;
	register unsigned long rsi asm("rsi") = address;
	register unsigned long rdx asm("rdx") = flags;
	register unsigned long rcx asm("rcx") = (unsigned long)regs;
	unsigned long ret;

	asm volatile("call handle_mm_fault + %c[body]"
		     : "=a"(ret), "+r"(rdi), "+r"(rsi), "+r"(rdx), "+r"(rcx),
		       ASM_CALL_CONSTRAINT
		     : [body] "i"(PTF_FENTRY_OFFSET + 5)
		     : "r8", "r9", "r10", "r11", "memory", "cc");
	return (__force vm_fault_t)ret;
}

/*
 * Where a thread's user stack pointer was when it last entered the kernel, and
 * its thread pointer. Its kernel stack must not go.
 */
static inline unsigned long ptf_arch_user_sp(struct task_struct *t)
{
	return task_pt_regs(t)->sp;
}

static inline unsigned long ptf_arch_user_tls(struct task_struct *t)
{
	return READ_ONCE(t->thread.fsbase);
}

/* ---- stepping one instruction in user mode ---- */

/* Bit of the trap's status word that says "a step", and of the flags register. */
#define PTF_ARCH_STEP		DR_STEP
#define PTF_ARCH_STEP_FLAG	X86_EFLAGS_TF

static inline bool ptf_arch_step_is_on(const struct pt_regs *regs)
{
	return regs->flags & X86_EFLAGS_TF;
}

/* Has a debugger asked for the running thread to be stepped? */
static inline bool ptf_arch_step_is_asked(void)
{
	return test_thread_flag(TIF_SINGLESTEP);
}

static inline void ptf_arch_step_on(struct pt_regs *regs)
{
	regs->flags |= X86_EFLAGS_TF;
}

static inline void ptf_arch_step_off(struct pt_regs *regs)
{
	regs->flags &= ~X86_EFLAGS_TF;
}

/* The running thread's own view of the trap: without a step of its own. */
static inline void ptf_arch_forget_step(void)
{
	current->thread.virtual_dr6 &= ~DR_STEP;
}

/* Bytes of an instruction that are looked at: prefixes and one or two of it. */
#define PTF_ARCH_INSN	8

/* Behind prefixes that change neither what it does to the flags nor where it goes. */
static inline unsigned int ptf_arch_skip_prefixes(const u8 *insn, unsigned int nr)
{
	unsigned int i;

	for (i = 0; i < nr; i++) {
		switch (insn[i]) {
		case 0x26: case 0x2e: case 0x36: case 0x3e: case 0x64 ... 0x67:
		case 0xf2: case 0xf3: case 0x40 ... 0x4f:
			continue;
		}
		break;
	}
	return i;
}

/* pushf: shows the flags to the program. */
static inline bool ptf_arch_shows_flags(const u8 *insn, unsigned int nr)
{
	unsigned int i = ptf_arch_skip_prefixes(insn, nr);

	return i < nr && insn[i] == 0x9c;
}

/*
 * Does it enter the kernel by itself: syscall, sysenter, int? The flags that it
 * takes along are copied to a new thread, and shown to a tracer.
 */
static inline bool ptf_arch_enters_kernel(const u8 *insn, unsigned int nr)
{
	unsigned int i = ptf_arch_skip_prefixes(insn, nr);

	if (i < nr && (insn[i] == 0xcc || insn[i] == 0xcd || insn[i] == 0xf1))
		return true;
	return i + 1 < nr && insn[i] == 0x0f && (insn[i + 1] == 0x05 || insn[i + 1] == 0x34);
}

#endif /* PTF_ARCH_X86_H */
