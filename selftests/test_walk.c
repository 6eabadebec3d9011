// SPDX-License-Identifier: GPL-2.0-only
/* vm: default */
/* vm: --cpu max */
/*
 * PAGE_WALK: every level of the tables on the way to a page, raw and decoded,
 * held against the row, against other walks, and against pagemap. The second
 * run is on a CPU with five levels.
 */
#include "ptf_test.h"

#define SEED	51

FIXTURE(walk) {
	int fd;
	struct ptf_log log;
	unsigned int levels;
	char *mem;
};

FIXTURE_SETUP(walk)
{
	struct ptf_ioc_features_get f;

	self->fd = ptf_setup(_metadata, &self->log);
	if (self->fd < 0)
		return;
	test_cmd_features_get(&f, 0);
	self->levels = f.out_levels;
	self->mem = ptf_anon(PAGES(16));
	ASSERT_NE(NULL, self->mem);
	ptf_fill(self->mem, PAGES(16), SEED);
}

PTF_TEARDOWN(walk)

static unsigned int index_of(const void *addr, int level)
{
	return (u64ptr(addr) >> (12 + 9 * level)) & 511;
}

/* x86-64, from the manual, not from anybody's header. */
#define X_PRESENT	(1ULL << 0)
#define X_WRITE		(1ULL << 1)
#define X_USER		(1ULL << 2)
#define X_ACCESSED	(1ULL << 5)
#define X_DIRTY		(1ULL << 6)
#define X_PSE		(1ULL << 7)
#define X_NX		(1ULL << 63)
#define X_PFN(raw)	(((raw) & 0x000ffffffffff000ULL) >> 12)

/* What holds of every walk, wherever it ended. */
#define expect_sane(w, addr_) do { \
	unsigned int __i, __top = self->levels == 5 ? PTF_LEVEL_PGD : PTF_LEVEL_PGD; \
	const struct ptf_level *__l; \
	EXPECT_EQ(self->levels, (w)->out_levels); \
	ASSERT_LE(1, (w)->out_nr); \
	ASSERT_GE(self->levels, (w)->out_nr); \
	for (__i = 0; __i < (w)->out_nr; __i++) { \
		__l = &(w)->level[__i]; \
		/* Four levels: there is no P4D of its own. */ \
		EXPECT_EQ(self->levels == 5 ? __top - __i : \
			  (__i ? PTF_LEVEL_PUD + 1 - __i : PTF_LEVEL_PGD), __l->level); \
		EXPECT_EQ(index_of(addr_, self->levels - 1 - __i), __l->index); \
		if (__i + 1 < (w)->out_nr) { \
			EXPECT_NE(0, __l->flags & PTF_LEVEL_PRESENT); \
			EXPECT_EQ(0, __l->flags & PTF_LEVEL_LEAF); \
			EXPECT_NE(0, __l->pfn); \
			EXPECT_EQ(PTF_STATE_PRESENT, __l->state); \
		} \
		EXPECT_EQ(!!(__l->raw & X_PRESENT), !!(__l->flags & PTF_LEVEL_PRESENT)); \
		if (__l->raw & X_PRESENT) { \
			EXPECT_EQ(!!(__l->raw & X_WRITE), !!(__l->flags & PTF_LEVEL_WRITE)); \
			EXPECT_EQ(!!(__l->raw & X_USER), !!(__l->flags & PTF_LEVEL_USER)); \
			EXPECT_EQ(!!(__l->raw & X_ACCESSED), \
				  !!(__l->flags & PTF_LEVEL_ACCESSED)); \
			EXPECT_EQ(!!(__l->raw & X_NX), !!(__l->flags & PTF_LEVEL_NX)); \
			EXPECT_EQ(X_PFN(__l->raw), __l->pfn); \
		} \
		EXPECT_EQ(0, __l->flags & PTF_LEVEL_BAD); \
	} \
	for (; __i < PTF_LEVEL_NR; __i++) { \
		/* What was not reached says nothing. */ \
		EXPECT_EQ(0, (w)->level[__i].raw); \
		EXPECT_EQ(0, (w)->level[__i].pfn); \
		EXPECT_EQ(0, (w)->level[__i].flags); \
	} \
} while (0)

#define last(w) ((w)->level[(w)->out_nr - 1])

TEST_F(walk, present_page)
{
	struct ptf_ioc_page_walk w;
	char *a = self->mem + PAGES(3);

	test_cmd_page_walk(&w, 0, a);
	expect_sane(&w, a);
	ASSERT_EQ(self->levels, w.out_nr);
	EXPECT_EQ(PTF_LEVEL_PTE, last(&w).level);
	EXPECT_EQ(PTF_LEVEL_PRESENT | PTF_LEVEL_WRITE | PTF_LEVEL_USER | PTF_LEVEL_ACCESSED |
		  PTF_LEVEL_DIRTY | PTF_LEVEL_LEAF | PTF_LEVEL_NX,
		  last(&w).flags & ~PTF_LEVEL_SOFT_DIRTY);
	EXPECT_EQ(PTF_STATE_PRESENT, last(&w).state);
	EXPECT_EQ(PM_PFN(ptf_pagemap(getpid(), a)), last(&w).pfn);
	/* The row says the same. */
	EXPECT_EQ(u64ptr(a), w.out_row.start);
	EXPECT_EQ(1, w.out_row.nr_pages);
	EXPECT_EQ(PTF_STATE_PRESENT, w.out_row.state);
	EXPECT_EQ(PTF_KIND_ANON, w.out_row.kind);
	EXPECT_EQ(last(&w).pfn, w.out_row.pte_pfn);
	EXPECT_EQ(last(&w).raw, w.out_row.pte);
	EXPECT_EQ(0, w.out_row.vma);
	EXPECT_EQ(0, w.out_row.level);
	EXPECT_EQ(0, w.out_row.reserved);
	EXPECT_GE(u64ptr(self->mem), w.out_vma.start);
	EXPECT_LE(u64ptr(self->mem) + PAGES(16), w.out_vma.end);
	EXPECT_EQ(PTF_VMA_READ | PTF_VMA_WRITE,
		  w.out_vma.flags & (PTF_VMA_READ | PTF_VMA_WRITE | PTF_VMA_EXEC |
				     PTF_VMA_SHARED | PTF_VMA_FILE | PTF_VMA_STACK |
				     PTF_VMA_HEAP));
	EXPECT_NE(0, w.out_vma.flags & PTF_VMA_NOHUGEPAGE);
	EXPECT_EQ(0, w.out_vma.name_len);
}

/* Any byte of the page will do. */
TEST_F(walk, unaligned)
{
	struct ptf_ioc_page_walk a, b, c;
	static const unsigned int off[] = { 1, 7, 8, 2047, 4095 };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(off); i++) {
		test_cmd_page_walk(&a, 0, self->mem);
		test_cmd_page_walk(&b, 0, self->mem + off[i]);
		test_cmd_page_walk(&c, 0, self->mem);
		EXPECT_EQ(0, memcmp(a.level, b.level, sizeof(a.level)));
		/* the kernel puts a new page into its LRU list when it likes */
		EXPECT_TRUE(!memcmp(&a.out_row, &b.out_row, sizeof(a.out_row)) ||
			    !memcmp(&c.out_row, &b.out_row, sizeof(c.out_row)));
		EXPECT_EQ(u64ptr(self->mem) + off[i], b.addr);
	}
}

/* Two pages of one table share the way there, and the tables are what they are. */
TEST_F(walk, same_table)
{
	struct ptf_ioc_page_walk a, b;
	unsigned int i;

	test_cmd_page_walk(&a, 0, self->mem);
	test_cmd_page_walk(&b, 0, self->mem + PAGE);
	if (index_of(self->mem, 1) != index_of(self->mem + PAGE, 1))
		SKIP(return, "the two pages lie in two tables");
	for (i = 0; i + 1 < a.out_nr; i++) {
		EXPECT_EQ(a.level[i].pfn, b.level[i].pfn);
		EXPECT_EQ(a.level[i].raw, b.level[i].raw);
	}
	EXPECT_NE(last(&a).raw, last(&b).raw);
	EXPECT_NE(last(&a).pfn, last(&b).pfn);
}

TEST_F(walk, cleared_page)
{
	struct ptf_ioc_page_walk a, b, c;

	test_cmd_page_walk(&a, 0, self->mem);
	test_cmd_advise_all(PTF_ADV_NOTPRESENT, self->mem, PAGE);
	test_cmd_page_walk(&b, 0, self->mem);
	expect_sane(&b, self->mem);
	ASSERT_EQ(self->levels, b.out_nr);
	EXPECT_EQ(PTF_STATE_HINT, last(&b).state);
	EXPECT_EQ(0, last(&b).raw & X_PRESENT);
	EXPECT_EQ(0, last(&b).flags & PTF_LEVEL_PRESENT);
	EXPECT_EQ(last(&a).pfn, last(&b).pfn);
	EXPECT_EQ(PTF_STATE_HINT, b.out_row.state);
	EXPECT_EQ(last(&a).pfn, b.out_row.pte_pfn);
	EXPECT_EQ(PTF_KIND_ANON, b.out_row.kind);
	/* The bits above did not change. */
	EXPECT_EQ(a.level[a.out_nr - 2].raw, b.level[b.out_nr - 2].raw);
	/* L1TF: the frame's bits stand inverted in an entry that is not present. */
	EXPECT_NE(X_PFN(last(&b).raw), last(&b).pfn);
	ptf_touch(self->mem);
	test_cmd_page_walk(&c, 0, self->mem);
	EXPECT_EQ(PTF_STATE_PRESENT, last(&c).state);
	EXPECT_EQ(last(&a).pfn, last(&c).pfn);
}

TEST_F(walk, hole)
{
	struct ptf_ioc_page_walk w;
	char *hole = ptf_hole(64 * HPAGE);

	ASSERT_NE(NULL, hole);
	test_cmd_page_walk(&w, 0, hole + 32 * HPAGE);
	expect_sane(&w, hole + 32 * HPAGE);
	EXPECT_EQ(PTF_STATE_NONE, last(&w).state);
	EXPECT_EQ(0, last(&w).flags & PTF_LEVEL_PRESENT);
	EXPECT_EQ(0, last(&w).raw);
	EXPECT_EQ(0, last(&w).pfn);
	EXPECT_EQ(PTF_VMA_NONE, w.out_row.vma);
	EXPECT_EQ(PTF_STATE_NONE, w.out_row.state);
	EXPECT_EQ(PTF_KIND_NONE, w.out_row.kind);
	EXPECT_EQ(0, w.out_vma.start);
	EXPECT_EQ(0, w.out_vma.end);
	/* Where no table is, the walk ends early. */
	test_cmd_page_walk(&w, 0, (void *)0x100000000000UL);
	expect_sane(&w, (void *)0x100000000000UL);
	EXPECT_GT(self->levels, w.out_nr);
	/* The very first page of all, and the last that a program can have. */
	test_cmd_page_walk(&w, 0, (void *)0);
	expect_sane(&w, (void *)0);
	EXPECT_EQ(PTF_VMA_NONE, w.out_row.vma);
	test_cmd_page_walk(&w, 0, (void *)(USER_END_4 - 1));
	expect_sane(&w, (void *)(USER_END_4 - 1));
}

/* Looking makes nothing: no table, no page. */
TEST_F(walk, never_touched)
{
	struct ptf_ioc_page_walk w;
	char *m = mmap(NULL, 1UL << 30, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	long tables = ptf_status_kb(getpid(), "VmPTE");
	size_t i;

	ASSERT_NE(MAP_FAILED, m);
	for (i = 0; i < 1UL << 30; i += 4 * HPAGE) {
		test_cmd_page_walk(&w, 0, m + i);
		EXPECT_EQ(PTF_STATE_NONE, w.out_row.state);
		EXPECT_EQ(0, w.out_row.vma);
		EXPECT_GE(u64ptr(m) + i, w.out_vma.start);
	}
	EXPECT_GE(tables + 8, ptf_status_kb(getpid(), "VmPTE"));
}

TEST_F(walk, huge_leaf)
{
	struct ptf_ioc_page_walk w;
	char *p, *m;

	p = mmap(NULL, 2 * HPAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, p);
	m = (char *)(((uintptr_t)p + HPAGE - 1) & ~(HPAGE - 1));
	if (madvise(m, HPAGE, MADV_HUGEPAGE))
		SKIP(return, "no transparent huge pages in this kernel");
	ptf_fill(m, HPAGE, SEED);
	test_cmd_page_walk(&w, 0, m + PAGES(77));
	if (last(&w).level != PTF_LEVEL_PMD)
		SKIP(return, "the kernel gave no huge page");
	EXPECT_EQ(self->levels - 1, w.out_nr);
	EXPECT_NE(0, last(&w).flags & PTF_LEVEL_LEAF);
	EXPECT_NE(0, last(&w).raw & X_PSE);
	EXPECT_EQ(PTF_STATE_PRESENT, last(&w).state);
	EXPECT_EQ(index_of(m + PAGES(77), 1), last(&w).index);
	EXPECT_EQ(PTF_KIND_THP, w.out_row.kind);
	EXPECT_EQ(1, w.out_row.level);
	EXPECT_EQ(9, w.out_row.order);
	EXPECT_EQ(u64ptr(m) + PAGES(77), w.out_row.start);
	/* The row's frame is this page's own. */
	EXPECT_EQ(PM_PFN(ptf_pagemap(getpid(), m + PAGES(77))), w.out_row.pte_pfn);
	EXPECT_EQ(PM_PFN(ptf_pagemap(getpid(), m)), last(&w).pfn);
}

TEST_F(walk, hugetlb_leaf)
{
	unsigned long was = ptf_read_ulong("/proc/sys/vm/nr_hugepages", 0);
	struct ptf_ioc_page_walk w;
	char text[32], *m;

	snprintf(text, sizeof(text), "%lu", was + 1);
	if (ptf_write_file("/proc/sys/vm/nr_hugepages", text))
		SKIP(return, "no hugetlb in this kernel");
	m = mmap(NULL, HPAGE, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);
	if (m == MAP_FAILED)
		SKIP(return, "no huge page to be had: %s", strerror(errno));
	test_cmd_page_walk(&w, 0, m);
	EXPECT_EQ(PTF_STATE_NONE, w.out_row.state);
	EXPECT_NE(0, w.out_vma.flags & PTF_VMA_HUGETLB);
	m[5] = 1;
	test_cmd_page_walk(&w, 0, m + PAGES(3));
	EXPECT_EQ(PTF_LEVEL_PMD, last(&w).level);
	EXPECT_NE(0, last(&w).flags & PTF_LEVEL_LEAF);
	EXPECT_EQ(PTF_KIND_HUGETLB, w.out_row.kind);
	EXPECT_EQ(1, w.out_row.level);
	EXPECT_EQ(PM_PFN(ptf_pagemap(getpid(), m + PAGES(3))), w.out_row.pte_pfn);
	munmap(m, HPAGE);
	snprintf(text, sizeof(text), "%lu", was);
	ptf_write_file("/proc/sys/vm/nr_hugepages", text);
}

TEST_F(walk, prot_none)
{
	struct ptf_ioc_page_walk a, w;

	test_cmd_page_walk(&a, 0, self->mem);
	ASSERT_EQ(0, mprotect(self->mem, PAGE, PROT_NONE));
	test_cmd_page_walk(&w, 0, self->mem);
	EXPECT_EQ(PTF_STATE_PROTNONE, last(&w).state);
	EXPECT_EQ(PTF_STATE_PROTNONE, w.out_row.state);
	EXPECT_EQ(last(&a).pfn, last(&w).pfn);
	EXPECT_EQ(0, last(&w).raw & X_PRESENT);
	EXPECT_EQ(0, w.out_vma.flags & (PTF_VMA_READ | PTF_VMA_WRITE | PTF_VMA_EXEC));
}

TEST_F(walk, code_and_stack)
{
	struct ptf_ioc_page_walk w;
	char on_stack = 1;

	test_cmd_page_walk(&w, 0, (void *)walk_present_page);
	expect_sane(&w, (void *)walk_present_page);
	EXPECT_EQ(0, last(&w).flags & (PTF_LEVEL_NX | PTF_LEVEL_WRITE));
	EXPECT_EQ(PTF_KIND_FILE, w.out_row.kind);
	EXPECT_NE(0, w.out_row.flags & PTF_ROW_EXEC);
	EXPECT_NE(0, w.out_vma.flags & PTF_VMA_EXEC);
	EXPECT_NE(0, w.out_vma.flags & PTF_VMA_FILE);
	EXPECT_NE(0, w.out_vma.ino);
	EXPECT_EQ(PTF_FILEMAP_PRESENT, w.out_row.file_state);
	EXPECT_EQ(w.out_row.pte_pfn, w.out_row.file_pfn);
	test_cmd_page_walk(&w, 0, &on_stack);
	expect_sane(&w, &on_stack);
	EXPECT_NE(0, w.out_vma.flags & PTF_VMA_STACK);
	EXPECT_NE(0, w.out_vma.flags & PTF_VMA_GROWSDOWN);
	EXPECT_NE(0, last(&w).flags & PTF_LEVEL_NX);
	test_cmd_page_walk(&w, 0, sbrk(0) - 1);
	EXPECT_NE(0, w.out_vma.flags & PTF_VMA_HEAP);
}

/* Addresses above 47 bits, where five levels are in use. */
TEST_F(walk, five_levels)
{
	struct ptf_ioc_range_advise adv;
	struct ptf_ioc_page_walk w;
	char *high = (char *)0x0040000000000000UL;
	char *m;

	if (self->levels != 5)
		SKIP(return, "4-level page tables");
	m = mmap(high, PAGES(16), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, m);
	if (m != high)
		SKIP(return, "no mapping above 47 bits");
	ASSERT_EQ(0, madvise(m, PAGES(16), MADV_NOHUGEPAGE));
	ptf_fill(m, PAGES(16), SEED);
	test_cmd_page_walk(&w, 0, m);
	expect_sane(&w, m);
	EXPECT_EQ(5, w.out_nr);
	EXPECT_EQ(PM_PFN(ptf_pagemap(getpid(), m)), last(&w).pfn);
	test_cmd_advise_all(PTF_ADV_NOTPRESENT, m, PAGES(16));
	test_cmd_page_walk(&w, 0, m);
	EXPECT_EQ(PTF_STATE_HINT, last(&w).state);
	EXPECT_EQ(0, ptf_wrong(m, PAGES(16), SEED));
	/* All 56 bits of it. */
	test_cmd_range_advise(&adv, 0, PTF_ADV_NOTPRESENT, (void *)0, 0x00fffffffffff000UL, 0);
	EXPECT_LE(16, adv.out_done_pages);
	EXPECT_EQ(0x00fffffffffff000UL, adv.out_next);
	EXPECT_EQ(0, ptf_wrong(m, PAGES(16), SEED));
	test_err_page_walk(EINVAL, &w, 0, (void *)0x0100000000000000UL);
}

TEST_HARNESS_MAIN
