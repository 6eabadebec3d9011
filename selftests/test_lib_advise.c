// SPDX-License-Identifier: GPL-2.0-only
/*
 * Advice through the library: names, classes, probes, and what madvise() really
 * does, point by point, on the running kernel. Where kernels differ both
 * answers are known here.
 */
/* vm: --no-module */
#include "test_lib.h"

FIXTURE(advise) {
	char *p;	/* four private anonymous pages, filled */
};

FIXTURE_SETUP(advise)
{
	self->p = anon(4);
	ASSERT_NE(MAP_FAILED, self->p);
	ASSERT_EQ(0, ptf_advise(self->p, PAGES(4), PTF_MADV_NOHUGEPAGE));
	pages_fill(self->p, 4, 1);
	ptf_failure_clear();
}

FIXTURE_TEARDOWN(advise)
{
	munmap(self->p, PAGES(4));
}

static bool swap_is_on(void)
{
	char line[256];
	int lines = 0;
	FILE *f = fopen("/proc/swaps", "r");

	if (!f)
		return false;
	while (fgets(line, sizeof(line), f))
		lines++;
	fclose(f);
	return lines > 1;
}

/* --- the number space -------------------------------------------------- */

TEST(numbers_are_the_kernels)
{
	EXPECT_EQ(MADV_NORMAL, PTF_MADV_NORMAL);
	EXPECT_EQ(MADV_RANDOM, PTF_MADV_RANDOM);
	EXPECT_EQ(MADV_SEQUENTIAL, PTF_MADV_SEQUENTIAL);
	EXPECT_EQ(MADV_WILLNEED, PTF_MADV_WILLNEED);
	EXPECT_EQ(MADV_DONTNEED, PTF_MADV_DONTNEED);
	EXPECT_EQ(MADV_FREE, PTF_MADV_FREE);
	EXPECT_EQ(MADV_REMOVE, PTF_MADV_REMOVE);
	EXPECT_EQ(MADV_DONTFORK, PTF_MADV_DONTFORK);
	EXPECT_EQ(MADV_DOFORK, PTF_MADV_DOFORK);
	EXPECT_EQ(MADV_MERGEABLE, PTF_MADV_MERGEABLE);
	EXPECT_EQ(MADV_UNMERGEABLE, PTF_MADV_UNMERGEABLE);
	EXPECT_EQ(MADV_HUGEPAGE, PTF_MADV_HUGEPAGE);
	EXPECT_EQ(MADV_NOHUGEPAGE, PTF_MADV_NOHUGEPAGE);
	EXPECT_EQ(MADV_DONTDUMP, PTF_MADV_DONTDUMP);
	EXPECT_EQ(MADV_DODUMP, PTF_MADV_DODUMP);
	EXPECT_EQ(MADV_HWPOISON, PTF_MADV_HWPOISON);
	EXPECT_EQ(MADV_WIPEONFORK, PTF_MADV_WIPEONFORK);
	EXPECT_EQ(MADV_KEEPONFORK, PTF_MADV_KEEPONFORK);
	EXPECT_EQ(MADV_COLD, PTF_MADV_COLD);
	EXPECT_EQ(MADV_PAGEOUT, PTF_MADV_PAGEOUT);
	EXPECT_EQ(22, PTF_MADV_POPULATE_READ);
	EXPECT_EQ(23, PTF_MADV_POPULATE_WRITE);
	EXPECT_EQ(24, PTF_MADV_DONTNEED_LOCKED);
	EXPECT_EQ(25, PTF_MADV_COLLAPSE);
	EXPECT_EQ(101, PTF_MADV_SOFT_OFFLINE);
	EXPECT_EQ(102, PTF_MADV_GUARD_INSTALL);
	EXPECT_EQ(103, PTF_MADV_GUARD_REMOVE);
}

TEST(names_go_both_ways)
{
	unsigned int i, j, n = ptf_advice_count();
	char text[64];

	EXPECT_EQ(27 + 19, n);
	EXPECT_EQ(-ENOENT, ptf_advice_at(n));
	ptf_failure_clear();
	EXPECT_EQ(-ENOENT, ptf_advice_at(UINT_MAX));
	EXPECT_EQ(ENOENT, ptf_failure_last()->err);
	EXPECT_STREQ("ptf_advice_at", ptf_failure_last()->op);
	for (i = 0; i < n; i++) {
		int advice = ptf_advice_at(i);
		bool module = advice >= PTF_ADV_BASE;
		const char *name = ptf_advice_name(advice);

		ASSERT_NE(NULL, name);
		EXPECT_EQ(advice, ptf_advice_parse(name));
		snprintf(text, sizeof(text), "%s%s", module ? "ptf_adv_" : "MADV_", name);
		EXPECT_EQ(advice, ptf_advice_parse(text));
		for (j = 0; text[j]; j++)
			text[j] = text[j] >= 'A' && text[j] <= 'Z' ? text[j] + 32 :
				text[j] >= 'a' && text[j] <= 'z' ? text[j] - 32 : text[j];
		EXPECT_EQ(advice, ptf_advice_parse(text));
		/* The other family's prefix is no name of it. */
		snprintf(text, sizeof(text), "%s%s", module ? "MADV_" : "PTF_ADV_", name);
		EXPECT_EQ(-EINVAL, ptf_advice_parse(text));
		snprintf(text, sizeof(text), "%s ", name);
		EXPECT_EQ(-EINVAL, ptf_advice_parse(text));
		snprintf(text, sizeof(text), "%.*s", (int)strlen(name) - 1, name);
		EXPECT_NE(advice, ptf_advice_parse(text));
		/* No value twice. */
		for (j = 0; j < i; j++)
			EXPECT_NE(advice, ptf_advice_at(j));
	}
	EXPECT_EQ(-EINVAL, ptf_advice_parse(""));
	EXPECT_EQ(-EINVAL, ptf_advice_parse("MADV_"));
	EXPECT_EQ(-EINVAL, ptf_advice_parse("4"));
	EXPECT_EQ(NULL, ptf_advice_name(-1));
	EXPECT_EQ(NULL, ptf_advice_name(5));
	EXPECT_EQ(NULL, ptf_advice_name(PTF_ADV_BASE));
	EXPECT_EQ(NULL, ptf_advice_name(PTF_ADV_LAST + 1));
}

TEST(classes)
{
	static const struct { int advice, cls; } want[] = {
		{ PTF_MADV_NORMAL, PTF_CLASS_VMAFLAG },
		{ PTF_MADV_WILLNEED, PTF_CLASS_HINT },
		{ PTF_MADV_COLD, PTF_CLASS_HINT },
		{ PTF_MADV_DONTFORK, PTF_CLASS_VMAFLAG },
		{ PTF_MADV_PAGEOUT, PTF_CLASS_TRANSLATION },
		{ PTF_MADV_POPULATE_WRITE, PTF_CLASS_TRANSLATION },
		{ PTF_MADV_COLLAPSE, PTF_CLASS_TRANSLATION },
		{ PTF_MADV_DONTNEED, PTF_CLASS_CONTENT },
		{ PTF_MADV_DONTNEED_LOCKED, PTF_CLASS_CONTENT },
		{ PTF_MADV_FREE, PTF_CLASS_CONTENT },
		{ PTF_MADV_REMOVE, PTF_CLASS_CONTENT },
		{ PTF_MADV_GUARD_INSTALL, PTF_CLASS_CONTENT },
		{ PTF_MADV_HWPOISON, PTF_CLASS_FATAL },
		{ PTF_ADV_NOTPRESENT, PTF_CLASS_TRANSLATION },
		{ PTF_ADV_STASH, PTF_CLASS_TRANSLATION },
		{ PTF_ADV_UNMAP_FILE_COW, PTF_CLASS_CONTENT },
		{ PTF_ADV_EVICT, PTF_CLASS_TRANSLATION },
		{ PTF_ADV_POISON, PTF_CLASS_CONTENT },
		{ PTF_ADV_RESET, PTF_CLASS_HINT },
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(want); i++) {
		EXPECT_EQ(want[i].cls, ptf_advice_class(want[i].advice)) {
			TH_LOG("%s", ptf_advice_name(want[i].advice));
		}
	}
	for (i = 0; i < ptf_advice_count(); i++)
		EXPECT_NE(NULL, ptf_advice_class_name(ptf_advice_class(ptf_advice_at(i))));
	EXPECT_EQ(-EINVAL, ptf_advice_class(5));
	EXPECT_EQ(-EINVAL, ptf_advice_class(-1));
	ptf_failure_clear();
	EXPECT_EQ(-EINVAL, ptf_advice_class(99999));
	EXPECT_EQ(EINVAL, ptf_failure_last()->err);
	EXPECT_STREQ("ptf_advice_class", ptf_failure_last()->op);
	EXPECT_STREQ("CONTENT", ptf_advice_class_name(PTF_CLASS_CONTENT));
	EXPECT_EQ(NULL, ptf_advice_class_name(0));
	EXPECT_EQ(NULL, ptf_advice_class_name(PTF_CLASS_FATAL + 1));
}

TEST(probes_say_what_the_kernel_says)
{
	bool module = !access("/dev/ptefault", F_OK);
	unsigned int i;

	for (i = 0; i < ptf_advice_count(); i++) {
		int advice = ptf_advice_at(i);

		if (advice >= PTF_ADV_BASE) {
			if (!module)
				EXPECT_EQ(0, ptf_advice_probe(advice));
			continue;
		}
		EXPECT_EQ(!syscall(SYS_madvise, NULL, 0, advice),
			  ptf_advice_probe(advice)) {
			TH_LOG("%s", ptf_advice_name(advice));
		}
	}
	EXPECT_EQ(1, ptf_advice_probe(PTF_MADV_DONTNEED));
	EXPECT_EQ(kernel_version() >= 613, ptf_advice_probe(PTF_MADV_GUARD_INSTALL));
	EXPECT_EQ(-EINVAL, ptf_advice_probe(5));
	EXPECT_EQ(-EINVAL, ptf_advice_probe(-1));
	EXPECT_EQ(-EINVAL, ptf_advice_probe(PTF_ADV_LAST + 1));
	ptf_failure_clear();
	EXPECT_EQ(-EINVAL, ptf_advice_probe(99999));
	EXPECT_EQ(EINVAL, ptf_failure_last()->err);
	EXPECT_STREQ("ptf_advice_probe", ptf_failure_last()->op);
}

TEST_F(advise, checked_refuses_what_can_lose_data)
{
	unsigned int i;

	for (i = 0; i < ptf_advice_count(); i++) {
		int advice = ptf_advice_at(i);

		if (ptf_advice_class(advice) < PTF_CLASS_CONTENT)
			continue;
		EXPECT_EQ(-EPERM, ptf_advise(self->p, PAGES(4), advice));
		EXPECT_EQ(EPERM, ptf_failure_last()->err);
		EXPECT_EQ(PTF_LAYER_ARGUMENT, ptf_failure_last()->layer);
		EXPECT_EQ(self->p, ptf_failure_last()->addr);
		EXPECT_STREQ("ptf_advise", ptf_failure_last()->op);
		EXPECT_EQ(-EPERM, ptf_advise_pid(getpid(), (uintptr_t)self->p,
						 PAGES(4), advice));
		EXPECT_EQ(true, pages_have(self->p, 4, 1));
	}
}

TEST_F(advise, what_keeps_content_keeps_content)
{
	unsigned int i;

	for (i = 0; i < ptf_advice_count(); i++) {
		int advice = ptf_advice_at(i);

		if (advice >= PTF_ADV_BASE ||
		    ptf_advice_class(advice) >= PTF_CLASS_CONTENT ||
		    (advice == PTF_MADV_SOFT_OFFLINE && !in_guest()))
			continue;
		if (ptf_advise(self->p, PAGES(4), advice) == -EINVAL &&
		    ptf_advice_probe(advice) && advice != PTF_MADV_COLLAPSE)
			TH_LOG("%s answers EINVAL", ptf_advice_name(advice));
		EXPECT_EQ(true, pages_have(self->p, 4, 1)) {
			TH_LOG("after %s", ptf_advice_name(advice));
		}
	}
}

TEST_F(advise, module_values_need_a_session)
{
	EXPECT_EQ(-EOPNOTSUPP, ptf_advise(self->p, PAGES(4), PTF_ADV_NOTPRESENT));
	EXPECT_EQ(PTF_LAYER_MODULE, ptf_failure_last()->layer);
	EXPECT_NE(NULL, strstr(ptf_failure_last()->way, "ptf_session_advise"));
	EXPECT_EQ(-EOPNOTSUPP, ptf_advise_unchecked(self->p, PAGES(4), PTF_ADV_POISON));
	EXPECT_EQ(-EPERM, ptf_advise(self->p, PAGES(4), PTF_ADV_POISON));
	EXPECT_EQ(true, pages_have(self->p, 4, 1));
}

/* --- the measured table ------------------------------------------------- */

TEST_F(advise, unaligned_address)
{
	EXPECT_EQ(-EINVAL, ptf_advise(self->p + 1, PAGE, PTF_MADV_NORMAL));
	EXPECT_EQ(-EINVAL, ptf_advise(self->p + 1, 0, PTF_MADV_NORMAL));
	EXPECT_EQ(-EINVAL, ptf_advise(self->p + PAGE - 1, PAGE, PTF_MADV_NORMAL));
	EXPECT_EQ(self->p + PAGE - 1, ptf_failure_last()->addr);
	EXPECT_EQ(-EINVAL, ptf_advise_unchecked(self->p + 1, PAGE, PTF_MADV_DONTNEED));
	EXPECT_EQ(true, pages_have(self->p, 4, 1));
}

TEST_F(advise, length_zero)
{
	unsigned int i;

	for (i = 0; i < ptf_advice_count(); i++) {
		int advice = ptf_advice_at(i);

		if (advice >= PTF_ADV_BASE || !ptf_advice_probe(advice))
			continue;
		EXPECT_EQ(0, ptf_advise_unchecked(NULL, 0, advice));
		EXPECT_EQ(0, ptf_advise_unchecked(self->p, 0, advice));
	}
	EXPECT_EQ(true, pages_have(self->p, 4, 1));
}

TEST_F(advise, unknown_and_impossible)
{
	static const size_t lengths[] = { 0, 1, PAGE, PTRDIFF_MAX, SIZE_MAX };
	static const int unknown[] = { -1, 5, 7, 26, 99, 104, 0x6fff, INT_MAX, INT_MIN };
	unsigned int i, j;

	for (i = 0; i < ARRAY_SIZE(unknown); i++)
		for (j = 0; j < ARRAY_SIZE(lengths); j++) {
			EXPECT_EQ(-EINVAL, ptf_advise(self->p, lengths[j], unknown[i]));
			EXPECT_EQ(-EINVAL, ptf_advise_unchecked(self->p, lengths[j], unknown[i]));
		}
	/* Rounds to 0. */
	EXPECT_EQ(-EINVAL, ptf_advise_unchecked(self->p, SIZE_MAX, PTF_MADV_DONTNEED));
	EXPECT_EQ(-EINVAL, ptf_advise_unchecked(self->p, SIZE_MAX - PAGE + 2, PTF_MADV_DONTNEED));
	/* Wraps. */
	EXPECT_EQ(-EINVAL, ptf_advise_unchecked(self->p, SIZE_MAX - PAGE + 1, PTF_MADV_DONTNEED));
	EXPECT_EQ(-EINVAL, ptf_advise((void *)-PAGES(2), PAGES(3), PTF_MADV_NORMAL));
	EXPECT_EQ(true, pages_have(self->p, 4, 1));
}

TEST_F(advise, length_rounds_up)
{
	EXPECT_EQ(0, ptf_advise_unchecked(self->p, PAGE + 1, PTF_MADV_DONTNEED));
	EXPECT_EQ(true, page_zero(self->p, 0));
	EXPECT_EQ(true, page_zero(self->p, 1));
	EXPECT_EQ(true, page_has(self->p, 2, 1));
	EXPECT_EQ(0, ptf_advise_unchecked(self->p + PAGES(2), PAGE - 1, PTF_MADV_DONTNEED));
	EXPECT_EQ(true, page_zero(self->p, 2));
	EXPECT_EQ(true, page_has(self->p, 3, 1));
}

TEST_F(advise, hole_in_the_range)
{
	ASSERT_EQ(0, munmap(self->p + PAGE, PAGE));
	EXPECT_EQ(-ENOMEM, ptf_advise_unchecked(self->p, PAGES(4), PTF_MADV_DONTNEED));
	EXPECT_EQ(self->p + PAGE, ptf_failure_last()->addr);
	EXPECT_EQ(PAGES(4), ptf_failure_last()->wanted);
	EXPECT_EQ(PAGE, ptf_failure_last()->done);
	EXPECT_EQ(PTF_LAYER_VMA, ptf_failure_last()->layer);
	/* The rest is done. */
	EXPECT_EQ(true, page_zero(self->p, 0));
	EXPECT_EQ(true, page_zero(self->p, 2));
	EXPECT_EQ(true, page_zero(self->p, 3));
}

TEST_F(advise, hole_stops_populate_on_newer_kernels)
{
	if (!ptf_advice_probe(PTF_MADV_POPULATE_READ))
		SKIP(return, "no MADV_POPULATE_READ");
	ASSERT_EQ(0, ptf_advise_unchecked(self->p, PAGES(4), PTF_MADV_DONTNEED));
	ASSERT_EQ(0, munmap(self->p + PAGE, PAGE));
	EXPECT_EQ(-ENOMEM, ptf_advise(self->p, PAGES(4), PTF_MADV_POPULATE_WRITE));
	EXPECT_EQ(true, is_present(self->p));
	if (kernel_version() <= 601)
		EXPECT_EQ(true, is_present(self->p + PAGES(2)));
	if (kernel_version() >= 612)
		EXPECT_EQ(false, is_present(self->p + PAGES(2)));
}

TEST_F(advise, one_vma_refuses)
{
	/* The second page is locked: DONTNEED says EINVAL there. */
	ASSERT_EQ(0, lock_pages(self->p + PAGE, PAGE));
	EXPECT_EQ(-EINVAL, ptf_advise_unchecked(self->p, PAGES(4), PTF_MADV_DONTNEED));
	EXPECT_EQ(true, page_zero(self->p, 0));
	EXPECT_EQ(true, page_has(self->p, 1, 1));
	EXPECT_EQ(true, page_has(self->p, 2, 1));
	EXPECT_EQ(true, page_has(self->p, 3, 1));
}

TEST_F(advise, dontneed_on_locked)
{
	ASSERT_EQ(0, lock_pages(self->p, PAGES(4)));
	EXPECT_EQ(-EINVAL, ptf_advise_unchecked(self->p, PAGES(4), PTF_MADV_DONTNEED));
	EXPECT_EQ(true, pages_have(self->p, 4, 1));
	if (!ptf_advice_probe(PTF_MADV_DONTNEED_LOCKED))
		SKIP(return, "no MADV_DONTNEED_LOCKED");
	EXPECT_EQ(0, ptf_advise_unchecked(self->p, PAGE, PTF_MADV_DONTNEED_LOCKED));
	EXPECT_EQ(true, page_zero(self->p, 0));
	EXPECT_EQ(true, page_has(self->p, 1, 1));
}

static char *huge_page(void)
{
	char *p = mmap(NULL, 2 * MB, PROT_READ | PROT_WRITE, MAP_PRIVATE |
		       MAP_ANONYMOUS | MAP_HUGETLB | 21 << 26, -1, 0);
	FILE *f;

	if (p != MAP_FAILED)
		return p;
	f = fopen("/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages", "w");
	if (f) {
		fprintf(f, "2\n");
		fclose(f);
	}
	return mmap(NULL, 2 * MB, PROT_READ | PROT_WRITE, MAP_PRIVATE |
		    MAP_ANONYMOUS | MAP_HUGETLB | 21 << 26, -1, 0);
}

TEST(hugetlb)
{
	char *p = huge_page();

	if (p == MAP_FAILED)
		SKIP(return, "no 2 MiB hugetlb pages to be had");
	pages_fill(p, 512, 9);
	EXPECT_EQ(-EINVAL, ptf_advise_unchecked(p, 2 * MB, PTF_MADV_FREE));
	EXPECT_EQ(true, pages_have(p, 512, 9));
	EXPECT_EQ(0, ptf_advise_unchecked(p, 2 * MB, PTF_MADV_DONTNEED));
	EXPECT_EQ(true, page_zero(p, 0));
	EXPECT_EQ(true, page_zero(p, 511));
	munmap(p, 2 * MB);
}

TEST_F(advise, free_where_it_can)
{
	int fd = filled_memfd(1, 2), zero = open("/dev/zero", O_RDWR);
	char *file, *shared, *priv;

	file = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	shared = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	priv = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, zero, 0);
	ASSERT_NE(MAP_FAILED, file);
	ASSERT_NE(MAP_FAILED, shared);
	ASSERT_NE(MAP_FAILED, priv);
	EXPECT_EQ(-EINVAL, ptf_advise_unchecked(file, PAGE, PTF_MADV_FREE));
	EXPECT_EQ(true, page_has(file, 0, 2));
	EXPECT_EQ(-EINVAL, ptf_advise_unchecked(shared, PAGE, PTF_MADV_FREE));
	*priv = 1;
	EXPECT_EQ(0, ptf_advise_unchecked(priv, PAGE, PTF_MADV_FREE));
	EXPECT_EQ(0, ptf_advise_unchecked(self->p, PAGE, PTF_MADV_FREE));
	/* Not freed yet, or freed: never anything else. */
	EXPECT_EQ(true, page_has(self->p, 0, 1) || page_zero(self->p, 0));
	ASSERT_EQ(0, lock_pages(self->p + PAGE, PAGE));
	EXPECT_EQ(-EINVAL, ptf_advise_unchecked(self->p + PAGE, PAGE, PTF_MADV_FREE));
	munmap(file, PAGE);
	munmap(shared, PAGE);
	munmap(priv, PAGE);
	close(fd);
	close(zero);
}

TEST_F(advise, remove_where_it_can)
{
	int fd = filled_memfd(2, 2);
	char *priv, *ro, *rw;

	EXPECT_EQ(-EINVAL, ptf_advise_unchecked(self->p, PAGE, PTF_MADV_REMOVE));
	priv = mmap(NULL, PAGES(2), PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	ro = mmap(NULL, PAGES(2), PROT_READ, MAP_SHARED, fd, 0);
	rw = mmap(NULL, PAGES(2), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ASSERT_NE(MAP_FAILED, priv);
	ASSERT_NE(MAP_FAILED, ro);
	ASSERT_NE(MAP_FAILED, rw);
	EXPECT_EQ(-EACCES, ptf_advise_unchecked(priv, PAGES(2), PTF_MADV_REMOVE));
	ASSERT_EQ(0, lock_pages(rw, PAGES(2)));
	EXPECT_EQ(-EINVAL, ptf_advise_unchecked(rw, PAGES(2), PTF_MADV_REMOVE));
	EXPECT_EQ(true, pages_have(rw, 2, 2));
	unlock_pages(rw, PAGES(2));
	/* A read-only mapping of a file opened for writing is enough. */
	EXPECT_EQ(0, ptf_advise_unchecked(ro, PAGE, PTF_MADV_REMOVE));
	EXPECT_EQ(true, page_zero(rw, 0));
	EXPECT_EQ(true, page_has(rw, 1, 2));
	EXPECT_EQ(true, page_zero(priv, 0));
	munmap(priv, PAGES(2));
	munmap(ro, PAGES(2));
	munmap(rw, PAGES(2));
	close(fd);
}

TEST_F(advise, willneed_on_anonymous)
{
	EXPECT_EQ(0, ptf_advise(self->p, PAGES(4), PTF_MADV_WILLNEED));
	EXPECT_EQ(true, pages_have(self->p, 4, 1));
}

TEST_F(advise, wipeonfork)
{
	int fd = filled_memfd(1, 2), zero = open("/dev/zero", O_RDWR), verdict;
	char *file, *priv, *shared;

	file = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	priv = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, zero, 0);
	shared = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	EXPECT_EQ(-EINVAL, ptf_advise(file, PAGE, PTF_MADV_WIPEONFORK));
	EXPECT_EQ(-EINVAL, ptf_advise(priv, PAGE, PTF_MADV_WIPEONFORK));
	EXPECT_EQ(-EINVAL, ptf_advise(shared, PAGE, PTF_MADV_WIPEONFORK));
	EXPECT_EQ(0, ptf_advise(self->p, PAGE, PTF_MADV_WIPEONFORK));
	EXPECT_EQ(0, ptf_advise(self->p + PAGE, PAGE, PTF_MADV_WIPEONFORK));
	EXPECT_EQ(0, ptf_advise(self->p + PAGE, PAGE, PTF_MADV_KEEPONFORK));
	IN_CHILD(verdict, {
		CHILD_CHECK(1, page_zero(self->p, 0));
		CHILD_CHECK(2, page_has(self->p, 1, 1));
	});
	EXPECT_EQ(0, verdict);
	EXPECT_EQ(true, pages_have(self->p, 4, 1));
	munmap(file, PAGE);
	munmap(priv, PAGE);
	munmap(shared, PAGE);
	close(fd);
	close(zero);
}

TEST_F(advise, mergeable)
{
	int fd = filled_memfd(1, 2);
	char *file;

	if (!ptf_advice_probe(PTF_MADV_MERGEABLE))
		SKIP(return, "a kernel without KSM");
	file = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0);
	EXPECT_EQ(0, ptf_advise(self->p, PAGES(4), PTF_MADV_MERGEABLE));
	EXPECT_EQ(true, vma_flag(self->p, "mg"));
	EXPECT_EQ(0, ptf_advise(self->p, PAGES(4), PTF_MADV_UNMERGEABLE));
	EXPECT_EQ(false, vma_flag(self->p, "mg"));
	EXPECT_EQ(0, ptf_advise(file, PAGE, PTF_MADV_MERGEABLE));
	EXPECT_EQ(false, vma_flag(file, "mg"));
	munmap(file, PAGE);
	close(fd);
}

TEST_F(advise, collapse_needs_an_aligned_piece)
{
	if (!ptf_advice_probe(PTF_MADV_COLLAPSE))
		SKIP(return, "no MADV_COLLAPSE");
	EXPECT_EQ(-EINVAL, ptf_advise(self->p, PAGES(4), PTF_MADV_COLLAPSE));
	EXPECT_EQ(true, pages_have(self->p, 4, 1));
}

TEST_F(advise, pageout_of_anonymous)
{
	EXPECT_EQ(0, ptf_advise(self->p, PAGES(4), PTF_MADV_PAGEOUT));
	if (!swap_is_on()) {
		EXPECT_EQ(true, is_present(self->p));
		EXPECT_EQ(true, is_present(self->p + PAGES(3)));
	}
	EXPECT_EQ(true, pages_have(self->p, 4, 1));
}

/* Soft offline and poison are given back to nobody: only where nothing is hit. */
TEST_F(advise, hwpoison_refusals)
{
	int fd = filled_memfd(1, 2), verdict;
	char *file, *none;

	if (!ptf_advice_probe(PTF_MADV_HWPOISON))
		SKIP(return, "a kernel without MEMORY_FAILURE");
	if (geteuid())
		SKIP(return, "needs root");
	none = mmap(NULL, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	EXPECT_EQ(-EFAULT, ptf_advise_unchecked(none, PAGE, PTF_MADV_HWPOISON));
	munmap(none, PAGE);
	EXPECT_EQ(-EFAULT, ptf_advise_unchecked(none, PAGE, PTF_MADV_HWPOISON));
	file = mmap(NULL, PAGES(2), PROT_READ, MAP_SHARED, fd, 0);
	EXPECT_EQ(-EFAULT, ptf_advise_unchecked(file + PAGE, PAGE, PTF_MADV_HWPOISON));
	IN_CHILD(verdict, {
		CHILD_CHECK(1, !setresuid(65534, 65534, 65534));
		CHILD_CHECK(2, ptf_advise_unchecked(self->p, PAGE, PTF_MADV_HWPOISON) == -EPERM);
	});
	EXPECT_EQ(0, verdict);
	EXPECT_EQ(true, pages_have(self->p, 4, 1));
	munmap(file, PAGES(2));
	close(fd);
}

TEST(hwpoison_zero_page)
{
	char *p = anon(1);

	if (!in_guest())
		SKIP(return, "only in a VM that ends with the tests");
	if (!ptf_advice_probe(PTF_MADV_HWPOISON))
		SKIP(return, "a kernel without MEMORY_FAILURE");
	EXPECT_EQ(0, *(volatile char *)p);
	EXPECT_EQ(-EBUSY, ptf_advise_unchecked(p, PAGE, PTF_MADV_HWPOISON));
	munmap(p, PAGE);
}

TEST_F(advise, hwpoison_never_on_shared_frames)
{
	static const int deadly[] = { PTF_MADV_HWPOISON, PTF_MADV_SOFT_OFFLINE };
	const struct ptf_vma_entry *e;
	struct ptf_vma_list *l;
	unsigned int i, tried = 0;
	size_t n;

	ASSERT_EQ(0, ptf_vma_list_create(0, &l));
	for (n = 0; (e = ptf_vma_list_at(l, n)); n++) {
		if (!e->special)
			continue;
		tried++;
		for (i = 0; i < ARRAY_SIZE(deadly); i++) {
			char *at = (char *)(uintptr_t)e->start;
			size_t bytes = e->end - e->start;

			EXPECT_EQ(-EOPNOTSUPP, ptf_advise_unchecked(at, bytes, deadly[i]));
			EXPECT_EQ(at, ptf_failure_last()->addr);
			EXPECT_NE(NULL, strstr(ptf_failure_last()->annotation, e->name));
			EXPECT_EQ(-EOPNOTSUPP, ptf_advise_unchecked(at, 1, deadly[i]));
			/* It ends one byte inside, or begins before. */
			EXPECT_EQ(-EOPNOTSUPP, ptf_advise_unchecked(at - PAGE, PAGE + 1,
								    deadly[i]));
			EXPECT_EQ(-EOPNOTSUPP, ptf_advise_unchecked(at + bytes - PAGE, PAGE,
								    deadly[i]));
		}
	}
	/* And in a range that reaches over everything. */
	if (tried)
		EXPECT_EQ(-EOPNOTSUPP, ptf_advise_unchecked(NULL, SIZE_MAX, PTF_MADV_HWPOISON));
	ptf_vma_list_destroy(l);
	if (!tried)
		SKIP(return, "this kernel maps no vdso");
}

#ifndef SYS_mseal
#define SYS_mseal 462
#endif

TEST_F(advise, sealed_memory)
{
	if (syscall(SYS_mseal, self->p, 0, 0)) {
		EXPECT_LT(kernel_version(), 610);
		SKIP(return, "no mseal() before 6.10");
	}
	ASSERT_EQ(0, mprotect(self->p, PAGES(4), PROT_READ));
	ASSERT_EQ(0, syscall(SYS_mseal, self->p, PAGES(4), 0));
	EXPECT_EQ(-EPERM, ptf_advise_unchecked(self->p, PAGES(4), PTF_MADV_DONTNEED));
	EXPECT_EQ(-EPERM, ptf_advise_unchecked(self->p, PAGES(4), PTF_MADV_FREE));
	EXPECT_NE(PTF_LAYER_ARGUMENT, ptf_failure_last()->layer);
	EXPECT_EQ(0, ptf_advise(self->p, PAGES(4), PTF_MADV_WILLNEED));
	EXPECT_EQ(true, pages_have(self->p, 4, 1));
}

TEST(part_of_a_special_mapping)
{
	static const int values[] = { PTF_MADV_DONTDUMP, PTF_MADV_DONTFORK, PTF_MADV_RANDOM };
	const struct ptf_vma_entry *e;
	struct ptf_vma_list *l;
	unsigned int i, tried = 0;
	size_t n;

	ASSERT_EQ(0, ptf_vma_list_create(0, &l));
	for (n = 0; (e = ptf_vma_list_at(l, n)); n++) {
		if (!e->special || e->end - e->start < PAGES(2) || !strcmp(e->name, "[vsyscall]"))
			continue;
		tried++;
		for (i = 0; i < ARRAY_SIZE(values); i++) {
			void *at = (void *)(uintptr_t)e->start;
			/* What has the flag already is not split for it. */
			bool has = values[i] == PTF_MADV_DONTDUMP && vma_flag(at, "dd");

			EXPECT_EQ(has ? 0 : -EINVAL, ptf_advise(at, PAGE, values[i])) {
				TH_LOG("%s on %s", ptf_advice_name(values[i]), e->name);
			}
		}
	}
	ptf_vma_list_destroy(l);
	if (!tried)
		SKIP(return, "this kernel maps no vdso of two pages");
}

/* --- more of what values do ---------------------------------------------- */

TEST_F(advise, guard)
{
	size_t done;
	char c;

	if (!ptf_advice_probe(PTF_MADV_GUARD_INSTALL))
		SKIP(return, "no MADV_GUARD_INSTALL before 6.13");
	EXPECT_EQ(0, ptf_advise_unchecked(self->p + PAGE, PAGE, PTF_MADV_GUARD_INSTALL));
	EXPECT_EQ(-EFAULT, ptf_copy_in(&c, self->p + PAGE, 1, 0, &done));
	EXPECT_EQ(true, page_has(self->p, 0, 1));
	EXPECT_EQ(true, page_has(self->p, 2, 1));
	EXPECT_EQ(0, ptf_advise(self->p + PAGE, PAGE, PTF_MADV_GUARD_REMOVE));
	EXPECT_EQ(true, page_zero(self->p, 1));
}

TEST_F(advise, populate_and_break_cow)
{
	int fd;
	char *p;

	if (!ptf_advice_probe(PTF_MADV_POPULATE_WRITE))
		SKIP(return, "no MADV_POPULATE_WRITE");
	fd = filled_memfd(1, 2);
	p = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	EXPECT_EQ(0, ptf_advise(p, PAGE, PTF_MADV_POPULATE_WRITE));
	EXPECT_EQ(true, is_present(p));
	/* A copy of its own: what the file gets now is not seen. */
	ASSERT_EQ(4, pwrite(fd, "abcd", 4, 0));
	EXPECT_EQ(true, page_has(p, 0, 2));
	munmap(p, PAGE);
	close(fd);
}

TEST(populate_says_where_it_stopped)
{
	static const int advices[] = { PTF_MADV_POPULATE_READ, PTF_MADV_POPULATE_WRITE };
	unsigned int i;
	int fd, ret;
	char *p;

	if (!ptf_advice_probe(PTF_MADV_POPULATE_READ))
		SKIP(return, "no MADV_POPULATE_READ");
	for (i = 0; i < ARRAY_SIZE(advices); i++) {
		p = anon(16);
		ASSERT_EQ(0, mprotect(p + PAGES(12), PAGE, PROT_NONE));
		ret = ptf_advise(p, PAGES(16), advices[i]);
		EXPECT_EQ(true, ret == -EINVAL || ret == -EFAULT);
		EXPECT_EQ(p + PAGES(12), ptf_failure_last()->addr);
		EXPECT_EQ(PAGES(12), ptf_failure_last()->done);
		EXPECT_EQ(PAGES(16), ptf_failure_last()->wanted);
		munmap(p, PAGES(16));
		/* In the middle of one mapping. */
		fd = filled_memfd(13, 2);
		p = mmap(NULL, PAGES(16), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		EXPECT_EQ(-EFAULT, ptf_advise(p, PAGES(16), advices[i]));
		EXPECT_EQ(p + PAGES(13), ptf_failure_last()->addr);
		EXPECT_EQ(PAGES(13), ptf_failure_last()->done);
		munmap(p, PAGES(16));
		close(fd);
	}
}

/* The text names the address, also the first of all. */
TEST(address_nothing)
{
	char text[512];

	EXPECT_EQ(-ENOMEM, ptf_advise(NULL, PAGE, PTF_MADV_NORMAL));
	EXPECT_EQ(NULL, ptf_failure_last()->addr);
	ptf_failure_text(text, sizeof(text));
	EXPECT_NE(NULL, strstr(text, " at 0x0,"));
	/* What has no address doesn't show one. */
	EXPECT_EQ(-EINVAL, ptf_advice_parse("no such"));
	ptf_failure_text(text, sizeof(text));
	EXPECT_EQ(NULL, strstr(text, " at 0x"));
}

TEST_F(advise, other_process)
{
	int go[2], pid, pidfd, status;
	size_t hole = PAGE;

	ASSERT_EQ(0, pipe(go));
	ASSERT_EQ(0, munmap(self->p + PAGES(3), hole));
	pid = fork();
	if (!pid) {
		char c;

		close(go[1]);
		_exit(read(go[0], &c, 1) == 1 && pages_have(self->p, 3, 1) ? 0 : 1);
	}
	pidfd = syscall(SYS_pidfd_open, pid, 0);
	ASSERT_LE(0, pidfd);
	EXPECT_EQ(0, ptf_advise_pid(pid, (uintptr_t)self->p, PAGES(3), PTF_MADV_COLD));
	EXPECT_EQ(0, ptf_advise_process(pidfd, (uintptr_t)self->p, PAGES(3), PTF_MADV_PAGEOUT));
	EXPECT_EQ(0, ptf_advise_process(pidfd, (uintptr_t)self->p, PAGES(3), PTF_MADV_WILLNEED));
	EXPECT_EQ(0, ptf_advise_process(pidfd, (uintptr_t)self->p, 0, PTF_MADV_WILLNEED));
	EXPECT_EQ(-EINVAL, ptf_advise_process(pidfd, (uintptr_t)self->p + 1, PAGE, PTF_MADV_COLD));
	/* Not from outside. */
	EXPECT_EQ(-EINVAL, ptf_advise_process_unchecked(pidfd, (uintptr_t)self->p,
							PAGES(3), PTF_MADV_DONTNEED));
	EXPECT_EQ(-EINVAL, ptf_advise_process(pidfd, (uintptr_t)self->p, PAGES(3),
					      PTF_MADV_DONTFORK));
	EXPECT_EQ(-EPERM, ptf_advise_process(pidfd, (uintptr_t)self->p, PAGES(3),
					     PTF_MADV_DONTNEED));
	EXPECT_EQ(-EOPNOTSUPP, ptf_advise_process(pidfd, (uintptr_t)self->p, PAGES(3),
						  PTF_ADV_STASH));
	EXPECT_EQ(-ENOMEM, ptf_advise_process(pidfd, (uintptr_t)self->p, PAGES(4),
					      PTF_MADV_COLD));
	EXPECT_EQ(self->p + PAGES(3), ptf_failure_last()->addr);
	EXPECT_EQ(PAGES(3), ptf_failure_last()->done);
	ASSERT_EQ(1, write(go[1], "x", 1));
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	EXPECT_EQ(-ESRCH, ptf_advise_process(pidfd, (uintptr_t)self->p, PAGE, PTF_MADV_COLD));
	EXPECT_EQ(-ESRCH, ptf_advise_pid(pid, (uintptr_t)self->p, PAGE, PTF_MADV_COLD));
	close(pidfd);
	EXPECT_EQ(-EBADF, ptf_advise_process(pidfd, (uintptr_t)self->p, PAGE, PTF_MADV_COLD));
	EXPECT_EQ(-EBADF, ptf_advise_process(-1, (uintptr_t)self->p, PAGE, PTF_MADV_COLD));
	EXPECT_EQ(true, pages_have(self->p, 3, 1));
}

TEST_F(advise, other_process_without_right)
{
	pid_t parent = getpid();
	int verdict;

	if (geteuid())
		SKIP(return, "needs root");
	IN_CHILD(verdict, {
		int ret;

		CHILD_CHECK(1, !setresuid(65534, 65534, 65534));
		ret = ptf_advise_pid(parent, (uintptr_t)self->p, PAGE, PTF_MADV_COLD);
		/* The kernel said EACCES first, later EPERM. */
		CHILD_CHECK(2, ret == -EPERM || ret == -EACCES);
		CHILD_CHECK(3, ptf_failure_last()->layer == PTF_LAYER_PROCESS);
	});
	EXPECT_EQ(0, verdict);
}

TEST(file_side)
{
	char path[] = "/tmp/ptf-advise-XXXXXX";
	int fd = mkstemp(path), ro = open(path, O_RDONLY), pipes[2], mem;
	int null = open("/dev/null", O_RDWR), dir = open("/tmp", O_RDONLY);
	int wo = open(path, O_WRONLY), ret;
	static char buf[8 * 4096], back[4096];
	uint64_t cached, length;

	ASSERT_LE(0, fd);
	unlink(path);
	pages_fill(buf, 8, 3);
	ASSERT_EQ(sizeof(buf), write(fd, buf, sizeof(buf)));
	ASSERT_EQ(0, pipe(pipes));

	EXPECT_EQ(0, ptf_file_advise(fd, 0, 0, PTF_MADV_NORMAL));
	EXPECT_EQ(0, ptf_file_advise(fd, 0, 0, PTF_MADV_RANDOM));
	EXPECT_EQ(0, ptf_file_advise(fd, 0, 4096, PTF_MADV_SEQUENTIAL));
	EXPECT_EQ(0, ptf_file_advise(fd, 0, 0, PTF_MADV_WILLNEED));
	EXPECT_EQ(0, ptf_file_advise(fd, 0, 0, PTF_MADV_DONTNEED));
	EXPECT_EQ(-EINVAL, ptf_file_advise(fd, 0, 0, PTF_MADV_FREE));
	EXPECT_EQ(-EINVAL, ptf_file_advise(fd, 0, 0, 5));
	EXPECT_EQ(-EPERM, ptf_file_advise(fd, 0, 4096, PTF_MADV_REMOVE));
	EXPECT_EQ(-EOPNOTSUPP, ptf_file_advise(fd, 0, 4096, PTF_ADV_EVICT));
	EXPECT_EQ(-EBADF, ptf_file_advise(-1, 0, 0, PTF_MADV_NORMAL));
	EXPECT_EQ(-ESPIPE, ptf_file_advise(pipes[0], 0, 0, PTF_MADV_NORMAL));
	EXPECT_EQ(-EOVERFLOW, ptf_file_advise(fd, UINT64_MAX, 1, PTF_MADV_NORMAL));
	EXPECT_EQ(-EOVERFLOW, ptf_file_advise(fd, INT64_MAX, 1, PTF_MADV_NORMAL));
	EXPECT_EQ(-EBADF, ptf_file_advise_unchecked(ro, 0, 4096, PTF_MADV_REMOVE));
	/* What can't be punched can't be with any length. */
	for (length = 0; length <= 4096; length += 4096) {
		EXPECT_EQ(-EBADF, ptf_file_advise_unchecked(ro, 8 * 4096, length,
							    PTF_MADV_REMOVE));
		EXPECT_EQ(-EBADF, ptf_file_advise_unchecked(-1, 0, length, PTF_MADV_REMOVE));
		EXPECT_EQ(-ESPIPE, ptf_file_advise_unchecked(pipes[0], 0, length,
							     PTF_MADV_REMOVE));
		EXPECT_EQ(-ESPIPE, ptf_file_advise_unchecked(pipes[1], 0, length,
							     PTF_MADV_REMOVE));
		EXPECT_EQ(-ENODEV, ptf_file_advise_unchecked(null, 0, length, PTF_MADV_REMOVE));
		EXPECT_EQ(-EISDIR, ptf_file_advise_unchecked(dir, 0, length, PTF_MADV_REMOVE));
	}
	close(null);
	close(dir);
	/* Nothing of that changed the file. */
	ASSERT_EQ(4096, pread(fd, back, 4096, 0));
	EXPECT_EQ(0, memcmp(back, buf, 4096));

	/* The cache: after writing it is there, after DONTNEED of clean pages not. */
	ASSERT_EQ(sizeof(buf), pwrite(fd, buf, sizeof(buf), 0));
	EXPECT_EQ(0, ptf_file_cached(fd, 0, 0, &cached));
	EXPECT_EQ(sizeof(buf), cached);
	EXPECT_EQ(0, ptf_file_cached(fd, 4095, 2, &cached));
	EXPECT_EQ(8192, cached);
	EXPECT_EQ(0, ptf_file_cached(fd, sizeof(buf), 4096, &cached));
	EXPECT_EQ(0, cached);
	EXPECT_EQ(-ENODEV, ptf_file_cached(pipes[0], 0, 0, &cached));
	EXPECT_EQ(-EBADF, ptf_file_cached(-1, 0, 0, &cached));
	EXPECT_EQ(-EOVERFLOW, ptf_file_cached(fd, UINT64_MAX, 1, &cached));
	EXPECT_EQ(-EOVERFLOW, ptf_file_cached(fd, INT64_MAX, 1, &cached));
	/* Kernels with cachestat(2) need no right to read. */
	ret = ptf_file_cached(wo, 0, 0, &cached);
	EXPECT_EQ(true, ret == -EACCES || (kernel_version() >= 605 && !ret));
	close(wo);

	/* REMOVE: zero there, the rest and the size as before. */
	mem = filled_memfd(4, 4);
	EXPECT_EQ(0, ptf_file_advise_unchecked(mem, PAGE, PAGE, PTF_MADV_REMOVE));
	ASSERT_EQ(4096, pread(mem, back, 4096, PAGE));
	EXPECT_EQ(true, page_zero(back, 0));
	EXPECT_EQ(PAGES(4), lseek(mem, 0, SEEK_END));
	EXPECT_EQ(0, ptf_file_cached(mem, 0, 0, &cached));
	EXPECT_EQ(PAGES(3), cached);
	EXPECT_EQ(0, ptf_file_advise_unchecked(mem, PAGES(3), 0, PTF_MADV_REMOVE));
	EXPECT_EQ(0, ptf_file_cached(mem, 0, 0, &cached));
	EXPECT_EQ(PAGES(2), cached);
	ASSERT_EQ(0, fcntl(mem, F_ADD_SEALS, F_SEAL_WRITE));
	EXPECT_EQ(-EPERM, ptf_file_advise_unchecked(mem, 0, PAGE, PTF_MADV_REMOVE));
	EXPECT_EQ(0, ptf_file_cached(mem, 0, 0, &cached));
	EXPECT_EQ(PAGES(2), cached);
	close(mem);
	close(fd);
	close(ro);
}

TEST_HARNESS_MAIN
