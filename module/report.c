// SPDX-License-Identifier: GPL-2.0-only
/*
 * The report: for each page its VMA, filemap and PTE row, and the walk of one
 * address. Reads only. Rows that continue each other become one run.
 *
 * A stretch of rows is put together under the target's mmap_lock in a buffer
 * of our own and copied out after the lock is dropped: the caller's buffer may
 * lie in the very address space that is reported, and a fault on it would wait
 * for the lock for ever once a writer stands in between.
 */
#include <linux/hugetlb.h>
#include <linux/mm.h>
#include <linux/mmap_lock.h>
#include <linux/rmap.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include "report.h"
#include "rule.h"
#include "space.h"
#include "walk.h"
#include "arch/x86.h"

#define PTF_REPORT_ROWS		256
#define PTF_REPORT_VMAS		32
#define PTF_REPORT_NAMES	8192	/* holds the longest path twice */

struct ptf_report {
	struct ptf_row *rows;
	unsigned int nr, cap;
	u32 flags;		/* PTF_QUERY_F_* */
	bool privileged;
	struct ptf_space *sp;	/* NULL: nothing is armed there */
	bool marked;		/* pages may be sticky, or tracked */

	struct ptf_vma *vmas;
	unsigned int nr_vmas, cap_vmas;
	char *names;
	unsigned int nr_names, cap_names;
	u32 vma_base;		/* VMA rows copied out before this stretch */
	u32 name_base;		/* bytes of names copied out before */

	/* the VMA under work; outlives a stretch, so that it gets one row */
	bool have_vma;
	struct ptf_vma cur;
	u32 cur_index;
	u8 cur_kind;		/* of an empty entry */
	struct address_space *mapping;
	pgoff_t index_base;	/* page index in the file of address 0, modulo 2^64 */

	/*
	 * The last present entry of a small page, and what its row was made
	 * from: the next one is mostly the same but for its frame.
	 */
	pteval_t last_pte;		/* flags, and what inverts the frame; 0: none */
	unsigned long last_pg;		/* page flags */
	unsigned long last_mapping;	/* low bits tell anonymous and KSM */
	int last_mapcount;
	struct ptf_row last;
};

static bool ptf_row_extends(const struct ptf_row *a, const struct ptf_row *b)
{
	u64 n = a->nr_pages;

	if (a->start + (n << PAGE_SHIFT) != b->start || a->flags != b->flags ||
	    a->vma != b->vma || a->state != b->state || a->kind != b->kind ||
	    a->mapcount != b->mapcount || a->level != b->level ||
	    a->order != b->order || a->file_state != b->file_state ||
	    a->file_order != b->file_order || a->swap_type != b->swap_type)
		return false;
	if (b->file_pfn && a->file_pfn + n != b->file_pfn)
		return false;
	if (b->pte_pfn && a->pte_pfn + n != b->pte_pfn &&
	    !(b->kind == PTF_KIND_ZERO && a->pte_pfn == b->pte_pfn))
		return false;
	/* where the frame bits are something else the state says it all */
	if (b->state == PTF_STATE_PRESENT || b->state == PTF_STATE_HINT ||
	    b->state == PTF_STATE_PROTNONE)
		return !((a->pte ^ b->pte) & PTE_FLAGS_MASK);
	return true;
}

/*
 * Add a run. Takes as many of its pages as there is room for, and answers the
 * first address not taken.
 */
static unsigned long ptf_report_add(struct ptf_report *r, struct ptf_row *row)
{
	u64 left = row->nr_pages;
	unsigned long end = row->start + (left << PAGE_SHIFT);

	if (r->flags & PTF_QUERY_F_MAPPED && row->state == PTF_STATE_NONE &&
	    row->file_state == PTF_FILEMAP_NONE)
		return end;
	if (!(r->flags & PTF_QUERY_F_PAGES)) {
		if (r->nr && ptf_row_extends(&r->rows[r->nr - 1], row)) {
			r->rows[r->nr - 1].nr_pages += left;
			return end;
		}
		if (r->nr == r->cap)
			return row->start;
		r->rows[r->nr++] = *row;
		return end;
	}
	row->nr_pages = 1;
	for (; left && r->nr < r->cap; left--) {
		r->rows[r->nr++] = *row;
		row->start += PAGE_SIZE;
		if (row->file_pfn)
			row->file_pfn++;
		if (row->pte_pfn && row->kind != PTF_KIND_ZERO)
			row->pte_pfn++;
	}
	return row->start;
}

/*
 * What the session itself has in mind for a page; @end is made smaller where
 * that ends.
 */
static u64 ptf_report_marks(struct ptf_report *r, struct vm_area_struct *vma,
			    unsigned long start, unsigned long *end)
{
	struct ptf_space *sp = r->sp;
	struct ptf_span *s;
	u64 flags = 0;

	if (READ_ONCE(sp->nr_marks)) {
		spin_lock(&sp->rlock);
		for (s = ptf_span_iter_first(&sp->marks, start, *end - 1); s;
		     s = ptf_span_iter_next(s, start, *end - 1)) {
			if (s->start > start) {
				*end = s->start;
				continue;
			}
			*end = min(*end, s->last + 1);
			if (container_of(s, struct ptf_mark, span)->kind == PTF_MARK_STICKY)
				flags |= PTF_ROW_STICKY;
		}
		spin_unlock(&sp->rlock);
	}
	if (READ_ONCE(sp->tracked) && ptf_track_run(sp, vma, start, end))
		flags |= PTF_ROW_TRACKED;
	return flags;
}

/* A run in which not all pages may be marked alike. */
static noinline int ptf_report_emit_marked(struct ptf_report *r, struct ptf_walk *w,
					   const struct ptf_row *row, unsigned long end)
{
	unsigned long start = row->start, stop, n;
	struct ptf_row part;

	for (; start < end; start = stop) {
		part = *row;
		stop = end;
		part.flags |= ptf_report_marks(r, w->vma, start, &stop);
		n = (start - row->start) >> PAGE_SHIFT;
		part.start = start;
		part.nr_pages = (stop - start) >> PAGE_SHIFT;
		if (part.file_pfn)
			part.file_pfn += n;
		if (part.pte_pfn && part.kind != PTF_KIND_ZERO)
			part.pte_pfn += n;
		w->next = ptf_report_add(r, &part);
		if (w->next != stop)
			return PTF_WALK_STOP;
	}
	return 0;
}

static int ptf_report_emit(struct ptf_report *r, struct ptf_walk *w,
			   struct ptf_row *row)
{
	unsigned long end = row->start + (row->nr_pages << PAGE_SHIFT);

	/* the last row is another entry's now: ptf_report_again() must not add to it */
	r->last_pte = 0;
	if (unlikely(r->marked) && row->vma != PTF_VMA_NONE)
		return ptf_report_emit_marked(r, w, row, end);
	w->next = ptf_report_add(r, row);
	return w->next == end ? 0 : PTF_WALK_STOP;
}

/* The filemap rows of [addr, end), where the entries are @proto, all empty. */
static int ptf_report_file(struct ptf_report *r, struct ptf_walk *w,
			   const struct ptf_row *proto, unsigned long addr,
			   unsigned long end)
{
	struct ptf_filemap_entry e;
	struct ptf_row row;
	pgoff_t index, last;

	while (addr < end) {
		bool found = false;

		row = *proto;
		if (row.pte_pfn && row.level)
			row.pte_pfn += (addr - row.start) >> PAGE_SHIFT;
		row.start = addr;
		row.nr_pages = (end - addr) >> PAGE_SHIFT;
		if (r->mapping) {
			index = linear_page_index(w->vma, addr);
			last = index + row.nr_pages - 1;
			found = ptf_filemap_next(r->mapping, index, last, &e);
			if (found && e.index > index) {
				row.nr_pages = e.index - index;
				found = false;
			} else if (found) {
				row.nr_pages = e.nr;
			}
		}
		if (found) {
			row.file_state = e.state;
			row.file_order = e.info.order;
			row.file_pfn = r->privileged ? e.pfn : 0;
			/* nothing is mapped: the folio's flags are the row's */
			if (row.state == PTF_STATE_NONE) {
				row.flags |= e.info.flags;
				row.mapcount = e.info.mapcount;
			}
		}
		addr = row.start + (row.nr_pages << PAGE_SHIFT);
		if (ptf_report_emit(r, w, &row))
			return PTF_WALK_STOP;
		/* a hole may be long, and its file all in the cache */
		if (addr < end && (need_resched() || fatal_signal_pending(current)))
			return PTF_WALK_BREAK;
	}
	return 0;
}

static void ptf_report_proto(struct ptf_report *r, struct ptf_row *row,
			     unsigned long addr)
{
	*row = (struct ptf_row) {
		.start = addr,
		.nr_pages = 1,
		.vma = r->have_vma ? r->cur_index : PTF_VMA_NONE,
		.kind = r->cur_kind,
	};
}

static int ptf_report_hole(struct ptf_walk *w, unsigned long addr, unsigned long end)
{
	struct ptf_row row;

	ptf_report_proto(w->priv, &row, addr);
	return ptf_report_file(w->priv, w, &row, addr, end);
}

static u64 ptf_report_pte_flags(pte_t pte)
{
	u64 flags = 0;

	if (pte_write(pte))
		flags |= PTF_ROW_WRITE;
	if (pte_dirty(pte))
		flags |= PTF_ROW_DIRTY;
	if (pte_young(pte))
		flags |= PTF_ROW_YOUNG;
	if (pte_exec(pte))
		flags |= PTF_ROW_EXEC;
	if (pte_flags(pte) & _PAGE_USER)
		flags |= PTF_ROW_USER;
	if (pte_soft_dirty(pte))
		flags |= PTF_ROW_SOFT_DIRTY;
	if (ptf_pte_uffd(pte))
		flags |= PTF_ROW_UFFD_WP;
	if (pte_special(pte))
		flags |= PTF_ROW_SPECIAL;
	return flags;
}

/* A hint has lost its NX bit: what it will be again stands in the VMA. */
static u64 ptf_report_entry_flags(struct ptf_walk *w, pte_t pte)
{
	u64 flags = ptf_report_pte_flags(pte);

	if (pte_protnone(pte) && !(w->vma->vm_flags & VM_EXEC))
		flags &= ~PTF_ROW_EXEC;
	return flags;
}

/* A page that an entry maps, or would but for its hint. */
static void ptf_report_page(struct ptf_report *r, struct page *page,
			    struct ptf_row *row)
{
	struct folio *folio = page_folio(page);
	struct ptf_folio_info info;

	/* its entry's table is locked, so the folio stays */
	ptf_folio_look(folio, page, &info);
	row->flags |= info.flags;
	row->mapcount = info.mapcount;
	row->order = info.order;
	if (!folio_test_anon(folio)) {
		row->kind = folio_test_swapbacked(folio) ? PTF_KIND_SHMEM : PTF_KIND_FILE;
		return;
	}
	row->kind = folio_test_ksm(folio) ? PTF_KIND_KSM : PTF_KIND_ANON;
	if (PageAnonExclusive(page))
		row->flags |= PTF_ROW_EXCLUSIVE;
	if (r->mapping)
		row->flags |= PTF_ROW_COPIED;
}

/* An entry that is neither none nor present. */
static void ptf_report_absent(struct ptf_report *r, struct ptf_walk *w, pte_t pte,
			      struct ptf_row *row)
{
	struct ptf_leaf_entry leaf = ptf_leaf_of(pte);
	pte_t old;

	row->state = ptf_entry_state(w->vma, pte);
	if (pte_swp_soft_dirty(pte))
		row->flags |= PTF_ROW_SOFT_DIRTY;
	if (ptf_pte_swp_uffd(pte, leaf))
		row->flags |= PTF_ROW_UFFD_WP;
	switch (leaf.leaf) {
	case PTF_LEAF_SWAP:
		row->swap_type = leaf.type;
		row->kind = PTF_KIND_ANON;
		if (pte_swp_exclusive(pte))
			row->flags |= PTF_ROW_EXCLUSIVE;
		break;
	case PTF_LEAF_MIGRATION:
		/* its folio can't be let go of before the entry is replaced */
		if (!is_vm_hugetlb_page(w->vma))
			ptf_report_page(r, pfn_to_page(leaf.value), row);
		if (ptf_migration_dirty(pte))
			row->flags |= PTF_ROW_DIRTY;
		break;
	case PTF_LEAF_HWPOISON:
		if (!r->sp || !ptf_stash_find(r->sp, row->start, &old))
			break;
		row->state = PTF_STATE_STASHED;
		row->flags = ptf_report_pte_flags(old);
		if (!pte_special(old))
			ptf_report_page(r, pfn_to_page(pte_pfn(old)), row);
		break;
	default:
		break;
	}
	if (r->privileged && ptf_leaf_has_value(leaf))
		row->pte_pfn = leaf.value;
}

/*
 * Is @page what the page cache has at this place of the VMA? Then there is no
 * need to look there; nearly every mapped file page is.
 */
static bool ptf_report_is_filemap(struct ptf_report *r, struct ptf_walk *w,
				  struct page *page, unsigned long addr)
{
	struct folio *folio = page_folio(page);

	return READ_ONCE(folio->mapping) == r->mapping &&
	       folio->index + folio_page_idx(folio, page) == linear_page_index(w->vma, addr);
}

/* What must be the same in two small pages for their rows to be alike. */
static void ptf_report_remember(struct ptf_report *r, pte_t pte, struct page *page,
				const struct ptf_row *row)
{
	if (!page || PageCompound(page) || row->flags & PTF_FOLIO_PINNED || r->marked)
		return;
	r->last_pte = ptf_arch_entry_but_frame(pte_val(pte));
	r->last_pg = ptf_page_flags(page);
	r->last_mapping = (unsigned long)READ_ONCE(page_folio(page)->mapping);
	r->last_mapcount = atomic_read(&page->_mapcount);
	r->last = *row;
}

/*
 * A present entry that differs from the last one in its frame alone: nearly
 * all do, and a report of a gigabyte is a quarter of a million of them. Emits
 * the row and answers true, or leaves it to the long way.
 */
static __always_inline bool ptf_report_again(struct ptf_report *r, struct ptf_walk *w,
					     pte_t pte, pteval_t flags_mask,
					     unsigned long addr, int *ret)
{
	/* the bare frame bits, if all others are those of the last entry */
	pteval_t frame = pte_val(pte) ^ r->last_pte;
	unsigned long pfn = frame >> PAGE_SHIFT;
	struct page *page = pfn_to_page(pfn);
	struct folio *folio = (struct folio *)page;	/* small, as checked below */
	unsigned long mapping;
	struct ptf_row *row;

	if (frame & flags_mask)
		return false;
	/* same flags, so no head; and no tail */
	if (PageTail(page) || ptf_page_flags(page) != r->last_pg ||
	    atomic_read(&page->_mapcount) != r->last_mapcount ||
	    page_ref_count(page) >= GUP_PIN_COUNTING_BIAS)
		return false;
	mapping = (unsigned long)READ_ONCE(folio->mapping);
	if (r->mapping) {
		if (mapping != r->last_mapping ||
		    folio->index != (addr >> PAGE_SHIFT) + r->index_base)
			return false;
	} else if ((mapping ^ r->last_mapping) & PTF_MAPPING_FLAGS) {
		return false;
	}

	*ret = 0;
	if (!(r->flags & PTF_QUERY_F_PAGES)) {
		/* the last row of the buffer is the last entry's */
		row = &r->rows[r->nr - 1];
		if (row->start + (row->nr_pages << PAGE_SHIFT) == addr &&
		    (!r->privileged || r->last.pte_pfn + 1 == pfn)) {
			row->nr_pages++;
			r->last.pte_pfn = pfn;
			return true;
		}
	}
	if (r->nr == r->cap) {
		w->next = addr;
		*ret = PTF_WALK_STOP;
		return true;
	}
	if (r->privileged) {
		r->last.pte = pte_val(pte);
		r->last.pte_pfn = pfn;
		if (r->mapping)
			r->last.file_pfn = pfn;
	}
	row = &r->rows[r->nr++];
	*row = r->last;
	row->start = addr;
	return true;
}

static int ptf_report_present(struct ptf_report *r, struct ptf_walk *w, pte_t pte,
			      unsigned long addr)
{
	struct page *page = NULL;
	struct ptf_row row PTF_UNINIT;

	ptf_report_proto(r, &row, addr);
	row.state = PTF_STATE_PRESENT;
	if (pte_protnone(pte))
		row.state = vma_is_accessible(w->vma) ? PTF_STATE_HINT : PTF_STATE_PROTNONE;
	row.flags = ptf_report_entry_flags(w, pte);
	row.pte = r->privileged ? pte_val(pte) : ptf_arch_entry_hide(pte_val(pte));
	if (r->privileged)
		row.pte_pfn = pte_pfn(pte);
	if (pte_special(pte) || ptf_pte_devmap(pte) || w->vma->vm_flags & VM_PFNMAP) {
		row.kind = PTF_KIND_SPECIAL;
		if (!(w->vma->vm_flags & VM_PFNMAP) && is_zero_pfn(pte_pfn(pte)))
			row.kind = PTF_KIND_ZERO;
	} else {
		page = pfn_to_page(pte_pfn(pte));
		ptf_report_page(r, page, &row);
	}
	if (r->mapping && !(page && ptf_report_is_filemap(r, w, page, addr)))
		return ptf_report_file(r, w, &row, addr, addr + PAGE_SIZE);
	if (r->mapping) {
		row.file_state = PTF_FILEMAP_PRESENT;
		row.file_order = row.order;
		row.file_pfn = row.pte_pfn;
	}
	if (ptf_report_emit(r, w, &row))
		return PTF_WALK_STOP;
	ptf_report_remember(r, pte, page, &row);
	return 0;
}

static int ptf_report_ptes(struct ptf_walk *w, pte_t *ptep, unsigned long addr,
			   unsigned long end)
{
	struct ptf_report *r = w->priv;
	const pteval_t flags_mask = PTE_FLAGS_MASK;
	struct ptf_row row;
	unsigned long run;
	pte_t pte;
	int ret;

	while (addr != end) {
		pte = ptep_get(ptep);
		if (pte_present(pte)) {
			if (!ptf_report_again(r, w, pte, flags_mask, addr, &ret))
				ret = ptf_report_present(r, w, pte, addr);
			ptep++;
			addr += PAGE_SIZE;
		} else if (pte_none(pte)) {
			/* empty entries come in runs, and so does the filemap */
			run = addr;
			do {
				ptep++;
				addr += PAGE_SIZE;
			} while (addr != end && pte_none(ptep_get(ptep)));
			ptf_report_proto(r, &row, run);
			ret = ptf_report_file(r, w, &row, run, addr);
		} else {
			ptf_report_proto(r, &row, addr);
			row.pte = r->privileged ? pte_val(pte) : 0;
			ptf_report_absent(r, w, pte, &row);
			ret = ptf_report_file(r, w, &row, addr, addr + PAGE_SIZE);
			ptep++;
			addr += PAGE_SIZE;
		}
		if (ret)
			return ret;
	}
	w->next = end;
	return 0;
}

/* A PMD that maps memory itself or is not present; its lock is held. */
static int ptf_report_pmd(struct ptf_walk *w, pmd_t pmd, unsigned long addr,
			  unsigned long end)
{
	unsigned long nr = (end - addr) >> PAGE_SHIFT;
	unsigned long off = (addr & ~PMD_MASK) >> PAGE_SHIFT;
	struct ptf_report *r = w->priv;
	struct page *page = NULL;
	struct ptf_row row;
	pte_t pte = __pte(pmd_val(pmd));	/* the low bits mean the same */

	ptf_report_proto(r, &row, addr);
	row.level = 1;
	if (!pmd_present(pmd)) {
		/* a THP under migration, or device-private */
		row.pte = r->privileged ? pmd_val(pmd) : 0;
		ptf_report_absent(r, w, pte, &row);
		if (row.pte_pfn)
			row.pte_pfn += off;
		return ptf_report_file(r, w, &row, addr, end);
	}
	row.nr_pages = nr;
	row.state = PTF_STATE_PRESENT;
	if (pmd_protnone(pmd))
		row.state = vma_is_accessible(w->vma) ? PTF_STATE_HINT : PTF_STATE_PROTNONE;
	row.flags = ptf_report_entry_flags(w, pte);
	row.pte = r->privileged ? pmd_val(pmd) : ptf_arch_entry_hide(pmd_val(pmd));
	if (r->privileged)
		row.pte_pfn = pmd_pfn(pmd) + off;
	if (w->vma->vm_flags & (VM_PFNMAP | VM_MIXEDMAP)) {
		row.kind = PTF_KIND_SPECIAL;
		return ptf_report_file(r, w, &row, addr, end);
	}
	page = pfn_to_page(pmd_pfn(pmd)) + off;
	ptf_report_page(r, page, &row);
	/* all that a PMD of anonymous memory maps beside THPs is the huge zero page */
	if (vma_is_anonymous(w->vma) && !folio_test_anon(page_folio(page))) {
		row.kind = PTF_KIND_ZERO;
		row.mapcount = 0;
	} else {
		row.kind = PTF_KIND_THP;
	}
	if (!r->mapping)
		return ptf_report_emit(r, w, &row);
	if (ptf_report_is_filemap(r, w, page, addr)) {
		row.file_state = PTF_FILEMAP_PRESENT;
		row.file_order = row.order;
		row.file_pfn = row.pte_pfn;
		return ptf_report_emit(r, w, &row);
	}
	return ptf_report_file(r, w, &row, addr, end);
}

static int ptf_report_leaf(struct ptf_walk *w, unsigned int level, void *entry,
			   unsigned long addr, unsigned long end)
{
	struct ptf_report *r = w->priv;
	struct ptf_row row;
	u64 raw;

	if (level == PTF_LEVEL_PMD)
		return ptf_report_pmd(w, READ_ONCE(*(pmd_t *)entry), addr, end);
	/* a PUD leaf outside hugetlb: device memory */
	raw = pud_val(READ_ONCE(*(pud_t *)entry));
	ptf_report_proto(r, &row, addr);
	row.nr_pages = (end - addr) >> PAGE_SHIFT;
	row.level = 2;
	row.state = PTF_STATE_PRESENT;
	row.kind = PTF_KIND_SPECIAL;
	row.pte = r->privileged ? raw : ptf_arch_entry_hide(raw);
	if (r->privileged)
		row.pte_pfn = ptf_arch_entry_pfn(raw, true) +
			      ((addr & ~PUD_MASK) >> PAGE_SHIFT);
	return ptf_report_emit(r, w, &row);
}

/* hugetlb has locks of its own; look at each huge page as GUP-fast would. */
static int ptf_report_hugetlb(struct ptf_walk *w, unsigned long addr, unsigned long end)
{
	unsigned long size = huge_page_size(hstate_vma(w->vma)), next;
	struct ptf_walk_entry e[PTF_LEVEL_NR], *leaf;
	struct ptf_report *r = w->priv;
	struct ptf_row row;

	for (; addr < end; addr = next) {
		next = min(ALIGN_DOWN(addr, size) + size, end);
		leaf = &e[ptf_walk_levels(w->mm, addr, e) - 1];
		ptf_report_proto(r, &row, addr);
		row.kind = PTF_KIND_HUGETLB;
		row.nr_pages = (next - addr) >> PAGE_SHIFT;
		row.level = ilog2(size) >= PUD_SHIFT ? 2 : 1;
		if (leaf->leaf) {
			row.state = PTF_STATE_PRESENT;
			if ((leaf->raw & (_PAGE_PRESENT | _PAGE_PROTNONE)) == _PAGE_PROTNONE)
				row.state = vma_is_accessible(w->vma) ?
					PTF_STATE_HINT : PTF_STATE_PROTNONE;
			row.flags = ptf_report_pte_flags(__pte(leaf->raw));
			row.order = ilog2(size) - PAGE_SHIFT;
			row.pte = r->privileged ? leaf->raw : ptf_arch_entry_hide(leaf->raw);
			if (r->privileged)
				row.pte_pfn = ptf_arch_entry_pfn(leaf->raw, true) +
					      ((addr & (size - 1)) >> PAGE_SHIFT);
		} else if (leaf->raw) {
			row.pte = r->privileged ? leaf->raw : 0;
			ptf_report_absent(r, w, __pte(leaf->raw), &row);
		}
		if (ptf_report_emit(r, w, &row))
			return PTF_WALK_STOP;
		if (need_resched() || fatal_signal_pending(current))
			return PTF_WALK_BREAK;
	}
	return 0;
}

static void ptf_report_vma(struct ptf_vma *to, struct vm_area_struct *vma)
{
	const struct inode *inode;

	*to = (struct ptf_vma) {
		.start = vma->vm_start,
		.end = vma->vm_end,
		.flags = ptf_vma_flags(vma),
	};
	if (!vma->vm_file)
		return;
	inode = ptf_file_inode(vma->vm_file);
	to->offset = (u64)vma->vm_pgoff << PAGE_SHIFT;
	to->ino = inode->i_ino;
	to->dev_major = MAJOR(inode->i_sb->s_dev);
	to->dev_minor = MINOR(inode->i_sb->s_dev);
}

/* The name goes to the stretch's buffer. False if it waits for the next one. */
static bool ptf_report_name(struct ptf_report *r, struct vm_area_struct *vma,
			    struct ptf_vma *to)
{
	const char *name = NULL;
	char *at;
	size_t len;

	if (!r->names)
		return true;
	if (vma->vm_file) {
		/* d_path() writes from the end of the room that it is given */
		at = d_path(&vma->vm_file->f_path, r->names + r->nr_names,
			    r->cap_names - r->nr_names);
		if (IS_ERR(at))
			return r->nr_names == 0;	/* never fits: no name */
		name = at;
	} else if (vma->vm_ops && vma->vm_ops->name) {
		name = vma->vm_ops->name(vma);
	}
	if (!name)
		return true;
	len = strlen(name);
	if (len > r->cap_names - r->nr_names)
		return r->nr_names == 0;
	memmove(r->names + r->nr_names, name, len);
	to->name_off = r->name_base + r->nr_names;
	to->name_len = len;
	r->nr_names += len;
	return true;
}

/* Make @vma the one under work. False if its row does not fit any more. */
static bool ptf_report_enter(struct ptf_report *r, struct vm_area_struct *vma)
{
	struct ptf_vma v;

	ptf_report_vma(&v, vma);
	r->mapping = vma->vm_file ? vma->vm_file->f_mapping : NULL;
	r->last_pte = 0;
	r->index_base = vma->vm_pgoff - (vma->vm_start >> PAGE_SHIFT);
	r->cur_kind = PTF_KIND_ANON;
	if (v.flags & (PTF_VMA_PFNMAP | PTF_VMA_IO | PTF_VMA_SPECIAL))
		r->cur_kind = PTF_KIND_SPECIAL;
	else if (v.flags & PTF_VMA_HUGETLB)
		r->cur_kind = PTF_KIND_HUGETLB;
	else if (v.flags & PTF_VMA_SHMEM)
		r->cur_kind = PTF_KIND_SHMEM;
	else if (v.flags & PTF_VMA_FILE)
		r->cur_kind = PTF_KIND_FILE;
	/* in 6.1 its index counts huge pages; its rows come from the entries */
	if (v.flags & PTF_VMA_HUGETLB ||
	    (r->mapping && !S_ISREG(r->mapping->host->i_mode) &&
	     !S_ISBLK(r->mapping->host->i_mode)))
		r->mapping = NULL;

	if (r->have_vma && r->cur.start == v.start && r->cur.end == v.end &&
	    r->cur.flags == v.flags && r->cur.ino == v.ino && r->cur.offset == v.offset)
		return true;	/* as before a stretch's end */
	if (r->cap_vmas) {
		if (r->nr_vmas == r->cap_vmas || !ptf_report_name(r, vma, &v))
			return false;
		r->vmas[r->nr_vmas] = v;
		r->cur_index = r->vma_base + r->nr_vmas++;
	} else {
		r->cur_index = r->have_vma ? r->cur_index + 1 : 0;
	}
	r->cur = v;
	r->have_vma = true;
	return true;
}

/* What is armed there; mmap_lock is held. */
static void ptf_report_space(struct ptf_report *r, struct mm_struct *mm)
{
	if (!r->sp)
		r->sp = ptf_space_find_get(mm);
	r->marked = r->sp && (READ_ONCE(r->sp->nr_marks) || READ_ONCE(r->sp->tracked));
}

/* Rows for [pos, end) until a buffer is full; w->next says how far. */
static int ptf_report_locked(struct ptf_report *r, struct ptf_walk *w,
			     unsigned long pos, unsigned long end)
{
	struct vm_area_struct *vma;
	unsigned long stop;
	struct ptf_row row;
	int ret = 0;

	while (pos < end) {
		w->next = pos;
		vma = ptf_vma_find(w->mm, pos);
		if (!vma || vma->vm_start > pos) {
			stop = vma ? min(vma->vm_start, end) : end;
			if (r->flags & PTF_QUERY_F_HOLES) {
				row = (struct ptf_row) {
					.start = pos,
					.nr_pages = (stop - pos) >> PAGE_SHIFT,
					.vma = PTF_VMA_NONE,
				};
				ret = ptf_report_emit(r, w, &row);
			}
			w->vma = NULL;
		} else {
			stop = min(vma->vm_end, end);
			w->vma = vma;
			if (!ptf_report_enter(r, vma))
				return PTF_WALK_STOP;
			if (is_vm_hugetlb_page(vma))
				ret = ptf_report_hugetlb(w, pos, stop);
			else
				ret = ptf_walk_range(w, pos, stop);
		}
		if (ret)
			return ret;
		pos = stop;
		w->next = pos;
		if (pos < end && (need_resched() || fatal_signal_pending(current)))
			return PTF_WALK_BREAK;
	}
	return 0;
}

/* Copies an array of ours to one of the caller's with another stride. */
static int ptf_report_copy_array(u64 to, u64 at, size_t stride, const void *from,
				 size_t size, unsigned int nr)
{
	u8 __user *p = u64_to_user_ptr(to + at * stride);
	unsigned int i;

	if (stride == size)
		return copy_to_user(p, from, size * nr) ? -EFAULT : 0;
	for (i = 0; i < nr; i++, p += stride, from += size) {
		if (copy_to_user(p, from, size) || clear_user(p + size, stride - size))
			return -EFAULT;
	}
	return 0;
}

/* What one stretch has found goes out, and the buffers are empty again. */
static int ptf_report_copy(struct ptf_report *r, struct ptf_ioc_range_query *a)
{
	int err;

	err = ptf_report_copy_array(a->rows, a->out_rows, a->row_size, r->rows,
				    sizeof(*r->rows), r->nr);
	if (!err && r->nr_vmas)
		err = ptf_report_copy_array(a->vmas, a->out_vmas, a->vma_size, r->vmas,
					    sizeof(*r->vmas), r->nr_vmas);
	if (!err && r->nr_names &&
	    copy_to_user(u64_to_user_ptr(a->names + a->out_names), r->names, r->nr_names))
		err = -EFAULT;
	if (err)
		return err;
	a->out_rows += r->nr;
	a->out_vmas += r->nr_vmas;
	a->out_names += r->nr_names;
	r->vma_base = a->out_vmas;
	r->name_base = a->out_names;
	r->nr = 0;
	r->nr_vmas = 0;
	r->nr_names = 0;
	r->last_pte = 0;	/* its row is gone */
	return 0;
}

static int ptf_report_check(struct ptf_ioc_range_query *a)
{
	int err;

	if (a->flags & ~(PTF_QUERY_F_PAGES | PTF_QUERY_F_HOLES | PTF_QUERY_F_MAPPED))
		return -EOPNOTSUPP;
	err = ptf_check_range(a->start, a->end);
	if (err)
		return err;
	if (a->reserved || !a->rows || !a->nr_rows ||
	    a->row_size < sizeof(struct ptf_row) || a->row_size > PAGE_SIZE)
		return -EINVAL;
	if (!a->vmas != !a->nr_vmas || !a->names != !a->names_size)
		return -EINVAL;
	if (a->vmas && (a->vma_size < sizeof(struct ptf_vma) || a->vma_size > PAGE_SIZE))
		return -EINVAL;
	if (a->nr_rows > SSIZE_MAX / a->row_size)
		return -EOVERFLOW;
	return 0;
}

static int ptf_report_alloc(struct ptf_report *r, struct ptf_ioc_range_query *a)
{
	u64 pages = (a->end - a->start) >> PAGE_SHIFT;

	r->cap = min3((u64)PTF_REPORT_ROWS, a->nr_rows, pages);
	r->rows = kvmalloc_array(r->cap, sizeof(*r->rows), GFP_KERNEL_ACCOUNT);
	if (!r->rows)
		return -ENOMEM;
	if (a->nr_vmas) {
		r->cap_vmas = min3((u64)PTF_REPORT_VMAS, (u64)a->nr_vmas, pages);
		r->vmas = kvmalloc_array(r->cap_vmas, sizeof(*r->vmas), GFP_KERNEL_ACCOUNT);
		if (!r->vmas)
			return -ENOMEM;
	}
	if (a->names_size) {
		r->cap_names = min_t(u32, PTF_REPORT_NAMES, a->names_size);
		r->names = kvmalloc(r->cap_names, GFP_KERNEL_ACCOUNT);
		if (!r->names)
			return -ENOMEM;
	}
	return 0;
}

static void ptf_report_free(struct ptf_report *r)
{
	kvfree(r->rows);
	kvfree(r->vmas);
	kvfree(r->names);
}

int ptf_report_query(struct ptf_cmd *c)
{
	struct ptf_ioc_range_query *a = c->arg;
	struct ptf_report r = { .flags = a->flags, .privileged = c->s->privileged };
	struct ptf_walk w = {
		.priv = &r,
		.ptes = ptf_report_ptes,
		.leaf = ptf_report_leaf,
		.hole = ptf_report_hole,
	};
	unsigned int row_room, vma_room, name_room;
	struct ptf_target *t;
	int err, ret;

	err = ptf_report_check(a);
	if (err)
		return err;
	t = ptf_target_begin(c->s, a->target);
	if (IS_ERR(t))
		return PTR_ERR(t);
	w.mm = t->mm;
	err = ptf_report_alloc(&r, a);
	if (err)
		goto out;

	row_room = r.cap;
	vma_room = r.cap_vmas;
	name_room = r.cap_names;
	a->out_rows = 0;
	a->out_vmas = 0;
	a->out_names = 0;
	a->out_next = a->start;
	c->respond = true;
	do {
		r.cap = min_t(u64, row_room, a->nr_rows - a->out_rows);
		r.cap_vmas = min_t(u64, vma_room, a->nr_vmas - a->out_vmas);
		r.cap_names = min(name_room, a->names_size - a->out_names);
		if (vma_room && !r.cap_vmas)
			break;		/* no room for another VMA */
		if (mmap_read_lock_killable(w.mm)) {
			err = -EINTR;
			break;
		}
		ptf_report_space(&r, w.mm);
		ret = ptf_report_locked(&r, &w, a->out_next, a->end);
		mmap_read_unlock(w.mm);
		if (ret < 0) {
			err = ret;
			break;
		}
		err = ptf_report_copy(&r, a);
		if (err)
			break;
		if (ret == PTF_WALK_STOP && w.next == a->out_next &&
		    a->out_rows == a->nr_rows)
			break;
		a->out_next = w.next;
		if (fatal_signal_pending(current)) {
			err = -EINTR;
			break;
		}
		cond_resched();
	} while (a->out_next < a->end && a->out_rows < a->nr_rows);
out:
	ptf_report_free(&r);
	if (r.sp)
		ptf_space_put(r.sp);
	ptf_target_end(t);
	return err;
}

/* @vma is NULL in a hole: what stands there is as it will be found. */
static void ptf_report_level(struct ptf_level *to, const struct ptf_walk_entry *e,
			     bool privileged, struct vm_area_struct *vma)
{
	pte_t pte = __pte(e->raw);	/* on all levels, these bits mean the same */

	*to = (struct ptf_level) {
		.raw = privileged ? e->raw : ptf_arch_entry_hide(e->raw),
		.flags = ptf_arch_entry_flags(e->raw),
		.index = e->index,
		.level = e->level,
		.state = vma || !pte_protnone(pte) ? ptf_entry_state(vma, pte) : PTF_STATE_HINT,
	};
	if (e->leaf && to->state != PTF_STATE_NONE)
		to->flags |= PTF_LEVEL_LEAF;
	if (e->bad)
		to->flags |= PTF_LEVEL_BAD;
	if (e->leaf && e->level == PTF_LEVEL_PTE && to->flags & PTF_LEVEL_PRESENT &&
	    ptf_pte_uffd(__pte(e->raw)))
		to->flags |= PTF_LEVEL_UFFD_WP;
	if (privileged && (to->state == PTF_STATE_PRESENT ||
			   to->state == PTF_STATE_HINT || to->state == PTF_STATE_PROTNONE))
		to->pfn = ptf_arch_entry_pfn(e->raw, e->leaf && e->level != PTF_LEVEL_PTE);
}

int ptf_report_walk(struct ptf_cmd *c)
{
	struct ptf_ioc_page_walk *a = c->arg;
	struct ptf_row row = {};
	struct ptf_report r = {
		.rows = &row,
		.cap = 1,
		.flags = PTF_QUERY_F_HOLES | PTF_QUERY_F_PAGES,
		.privileged = c->s->privileged,
	};
	struct ptf_walk w = {
		.priv = &r,
		.ptes = ptf_report_ptes,
		.leaf = ptf_report_leaf,
		.hole = ptf_report_hole,
	};
	struct ptf_walk_entry e[PTF_LEVEL_NR];
	unsigned long addr = PAGE_ALIGN_DOWN(a->addr);
	bool hole = false;
	struct ptf_target *t;
	unsigned int i;
	int ret;

	if (a->flags)
		return -EOPNOTSUPP;
	if (a->reserved || a->addr >= TASK_SIZE_MAX)
		return -EINVAL;
	t = ptf_target_begin(c->s, a->target);
	if (IS_ERR(t))
		return PTR_ERR(t);
	/*
	 * Tables outside of VMAs may be freed by a munmap that has downgraded
	 * its lock: for the look into a hole nobody else may hold one.
	 */
	w.mm = t->mm;
	ret = mmap_read_lock_killable(w.mm);
	if (!ret && !find_vma_intersection(w.mm, addr, addr + PAGE_SIZE)) {
		mmap_read_unlock(w.mm);
		hole = true;
		ret = mmap_write_lock_killable(w.mm);
	}
	if (ret) {
		ptf_target_end(t);
		return -EINTR;
	}
	ptf_report_space(&r, w.mm);
	memset(&a->out_vma, 0, sizeof(a->out_vma));
	memset(a->level, 0, sizeof(a->level));
	ret = ptf_report_locked(&r, &w, addr, addr + PAGE_SIZE);
	if (w.vma)
		a->out_vma = r.cur;
	a->out_nr = ptf_walk_levels(t->mm, addr, e);
	for (i = 0; i < a->out_nr; i++)
		ptf_report_level(&a->level[i], &e[i], c->s->privileged, w.vma);
	if (hole)
		mmap_write_unlock(t->mm);
	else
		mmap_read_unlock(t->mm);
	if (r.sp)
		ptf_space_put(r.sp);
	ptf_target_end(t);
	if (ret < 0)
		return ret;
	a->out_row = row;
	a->out_levels = pgtable_l5_enabled() ? 5 : 4;
	/* the entry alone does not tell a stash from a real hwpoison entry */
	if (row.state == PTF_STATE_STASHED && a->level[i - 1].state == PTF_STATE_HWPOISON)
		a->level[i - 1].state = PTF_STATE_STASHED;
	c->respond = true;
	return 0;
}
