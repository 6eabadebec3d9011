// SPDX-License-Identifier: GPL-2.0-only
/*
 * Ranges: what is malformed, holes, kinds that can't be served, STRICT, and
 * what the counts say. Whatever is refused must have been left alone.
 */
#include "ptf_test.h"

#include "modules/ptftest.h"

#define NR	8
#define LEN	PAGES(NR)
#define SEED	11

FIXTURE(range) {
	int fd;
	struct ptf_log log;
	char *mem;
	struct ptf_row rows[64];
};

FIXTURE_SETUP(range)
{
	self->fd = ptf_setup(_metadata, &self->log);
	if (self->fd < 0)
		return;
	self->mem = ptf_anon(LEN);
	ASSERT_NE(NULL, self->mem);
	ptf_fill(self->mem, LEN, SEED);
}

PTF_TEARDOWN(range)

/* Nothing of [addr, addr + len) is cleared. */
#define expect_untouched(addr, len) do { \
	struct ptf_ioc_range_advise __c; \
	long __min = ptf_minflt(); \
	ptf_touch_all(addr, len); \
	EXPECT_EQ(__min, ptf_minflt()); \
	test_cmd_range_advise(&__c, 0, PTF_ADV_PRESENT, addr, len, 0); \
	EXPECT_EQ(0, __c.out_done_pages); \
} while (0)

#define expect_state(addr, nr, s) do { \
	unsigned int __i; \
	test_cmd_query_pages(0, addr, PAGES(nr), self->rows); \
	for (__i = 0; __i < (nr); __i++) \
		EXPECT_EQ(s, self->rows[__i].state) { \
			TH_LOG("page %u", __i); \
		} \
} while (0)

TEST_F(range, malformed)
{
	static const struct {
		__u64 start, end;
	} bad[] = {
		{ 0, 0 },				/* empty */
		{ PAGE, PAGE },
		{ PAGE, 0 },				/* backwards, or a wrap */
		{ 2 * PAGE, PAGE },
		{ USER_END_4 - PAGE, 0 },
		{ ~0ULL & ~(PAGE - 1), 0 },
		{ ~0ULL & ~(PAGE - 1), PAGE },
		{ 0, ~0ULL & ~(PAGE - 1) },		/* not user space */
		{ 0xffff888000000000ULL, 0xffff888000001000ULL },
		{ 0xffffffffff600000ULL, 0xffffffffff601000ULL },
		{ 0x8000000000000000ULL, 0x8000000000001000ULL },
		{ PAGE, 0x8000000000001000ULL },
		{ 0x0100000000000000ULL, 0x0100000000001000ULL },
		{ 0, 0x0100000000000000ULL },
		{ ~0ULL, ~0ULL },
	};
	struct ptf_ioc_range_advise adv;
	struct ptf_ioc_range_query q;
	struct ptf_ioc_page_walk walk;
	__u64 a = u64ptr(self->mem);
	unsigned int i;
	static const __u32 advice[] = { PTF_ADV_NOTPRESENT, PTF_ADV_PRESENT };
	static const unsigned int off[] = { 1, 8, 512, 2048, 4095 };

	for (i = 0; i < 2 * ARRAY_SIZE(bad); i++) {
		__u64 s = bad[i / 2].start, e = bad[i / 2].end;

		test_err_range_advise(EINVAL, &adv, 0, advice[i & 1], (void *)s, e - s, 0);
		test_err_range_advise(EINVAL, &adv, 0, advice[i & 1], (void *)s, e - s,
				      PTF_ADVISE_F_STRICT);
		test_err_range_query(EINVAL, &q, 0, (void *)s, e - s, 0, self->rows, 64);
	}
	for (i = 0; i < ARRAY_SIZE(off); i++) {
		test_err_range_advise(EINVAL, &adv, 0, PTF_ADV_NOTPRESENT, self->mem + off[i],
				      LEN, 0);
		test_err_range_advise(EINVAL, &adv, 0, PTF_ADV_NOTPRESENT, self->mem,
				      LEN - off[i], 0);
		test_err_range_advise(EINVAL, &adv, 0, PTF_ADV_NOTPRESENT, self->mem + off[i],
				      PAGE - off[i], 0);
		test_err_range_query(EINVAL, &q, 0, self->mem + off[i], LEN, 0, self->rows, 64);
		test_err_range_query(EINVAL, &q, 0, self->mem, LEN - off[i], 0, self->rows, 64);
	}
	/* On the first address that no program can have, and on the last. */
	if (!ptf_features(self->fd))
		return;
	test_err_page_walk(EINVAL, &walk, 0, (void *)0xffff888000000000ULL);
	test_err_page_walk(EINVAL, &walk, 0, (void *)~0ULL);
	test_err_page_walk(EINVAL, &walk, 0, (void *)0x8000000000000000ULL);
	expect_untouched(self->mem, LEN);
	EXPECT_EQ(a, u64ptr(self->mem));
	EXPECT_EQ(0, ptf_wrong(self->mem, LEN, SEED));
}

TEST_F(range, user_space_ends)
{
	struct ptf_ioc_features_get f;
	struct ptf_ioc_range_advise adv;
	struct ptf_ioc_range_query q;
	bool hole;

	test_cmd_features_get(&f, 0);
	if (f.out_levels != 4)
		SKIP(return, "5-level page tables: the end is elsewhere");
	test_err_range_advise(EINVAL, &adv, 0, PTF_ADV_NOTPRESENT, (void *)USER_END_4, PAGE, 0);
	test_err_range_query(EINVAL, &q, 0, (void *)USER_END_4, PAGE, 0, self->rows, 64);
	test_err_range_advise(EINVAL, &adv, 0, PTF_ADV_NOTPRESENT, (void *)(USER_END_4 - PAGE),
			      2 * PAGE, 0);
	/* The last page is user space: a hole, or the stack's if that is not moved about. */
	hole = madvise((void *)(USER_END_4 - PAGE), PAGE, MADV_NORMAL) && errno == ENOMEM;
	if (hole)
		test_err_range_advise(ENOMEM, &adv, 0, PTF_ADV_NOTPRESENT,
				      (void *)(USER_END_4 - PAGE), PAGE, 0);
	else
		test_cmd_range_advise(&adv, 0, PTF_ADV_NOTPRESENT,
				      (void *)(USER_END_4 - PAGE), PAGE, 0);
	test_cmd_range_query(&q, 0, (void *)(USER_END_4 - PAGE), PAGE, PTF_QUERY_F_HOLES,
			     self->rows, 64);
	EXPECT_EQ(1, q.out_rows);
	EXPECT_EQ(hole, self->rows[0].vma == PTF_VMA_NONE);
	EXPECT_EQ(USER_END_4, q.out_next);
}

TEST_F(range, no_target)
{
	struct ptf_ioc_range_advise adv;
	struct ptf_ioc_range_query q;
	struct ptf_ioc_page_walk walk;
	static const __u32 t[] = { 1, 77, 0x7fffffff, 0x80000000, 0xffffffff };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(t); i++) {
		test_err_range_advise(ENOENT, &adv, t[i], PTF_ADV_NOTPRESENT, self->mem, LEN, 0);
		test_err_range_query(ENOENT, &q, t[i], self->mem, LEN, 0, self->rows, 64);
		test_err_page_walk(ENOENT, &walk, t[i], self->mem);
	}
	expect_untouched(self->mem, LEN);
}

/*
 * Holes at the start, in the middle and at the end: skipped and counted, or
 * with STRICT an errno before anything is changed.
 */
TEST_F(range, holes)
{
	static const struct {
		const char *name;
		unsigned int first, nr;
	} holes[] = {
		{ "start", 0, 1 }, { "start, long", 0, 3 },
		{ "middle", 3, 1 }, { "middle, long", 2, 4 },
		{ "end", 7, 1 }, { "end, long", 5, 3 },
	};
	struct ptf_ioc_range_advise adv;
	unsigned int i, p, h;
	char *m;

	for (h = 0; h < ARRAY_SIZE(holes); h++) {
		m = ptf_anon(LEN);
		ASSERT_NE(NULL, m);
		ptf_fill(m, LEN, SEED);
		ASSERT_EQ(0, munmap(m + PAGES(holes[h].first), PAGES(holes[h].nr)));

		test_err_range_advise(ENOMEM, &adv, 0, PTF_ADV_NOTPRESENT, m, LEN,
				      PTF_ADVISE_F_STRICT);
		EXPECT_EQ(u64ptr(m) + PAGES(holes[h].first), adv.out_next) {
			TH_LOG("hole at %s", holes[h].name);
		}
		EXPECT_EQ(0, adv.out_done_pages);
		for (p = 0; p < NR; p++)
			if (p < holes[h].first || p >= holes[h].first + holes[h].nr)
				expect_untouched(m + PAGES(p), PAGE);

		test_cmd_range_advise(&adv, 0, PTF_ADV_NOTPRESENT, m, LEN, 0);
		EXPECT_EQ(NR - holes[h].nr, adv.out_done_pages) {
			TH_LOG("hole at %s", holes[h].name);
		}
		EXPECT_EQ(holes[h].nr, adv.out_skipped_pages[PTF_SKIP_HOLE]);
		EXPECT_EQ(holes[h].nr, ptf_skipped(&adv));
		EXPECT_EQ(u64ptr(m) + LEN, adv.out_next);

		test_cmd_query_pages(0, m, LEN, self->rows);
		for (p = 0; p < NR; p++) {
			if (p >= holes[h].first && p < holes[h].first + holes[h].nr) {
				EXPECT_EQ(PTF_VMA_NONE, self->rows[p].vma);
				EXPECT_EQ(PTF_STATE_NONE, self->rows[p].state);
			} else {
				EXPECT_EQ(PTF_STATE_HINT, self->rows[p].state);
			}
		}
		/* The same for the way back. */
		test_err_range_advise(ENOMEM, &adv, 0, PTF_ADV_PRESENT, m, LEN,
				      PTF_ADVISE_F_STRICT);
		EXPECT_EQ(0, adv.out_done_pages);
		test_cmd_range_advise(&adv, 0, PTF_ADV_PRESENT, m, LEN, 0);
		EXPECT_EQ(NR - holes[h].nr, adv.out_done_pages);
		EXPECT_EQ(holes[h].nr, adv.out_skipped_pages[PTF_SKIP_HOLE]);

		for (p = 0; p < NR; p++) {
			__u64 *w = (__u64 *)(m + PAGES(p));

			if (p >= holes[h].first && p < holes[h].first + holes[h].nr)
				continue;
			for (i = 0; i < PAGE / 8; i++)
				ASSERT_EQ(ptf_word(SEED, p, i), w[i]);
		}
		munmap(m, LEN);
	}
}

TEST_F(range, one_single_hole)
{
	struct ptf_ioc_range_advise adv;
	void *hole = ptf_hole(LEN);

	ASSERT_NE(NULL, hole);
	test_err_range_advise(ENOMEM, &adv, 0, PTF_ADV_NOTPRESENT, hole, LEN, 0);
	EXPECT_EQ(0, adv.out_done_pages);
	EXPECT_EQ(NR, adv.out_skipped_pages[PTF_SKIP_HOLE]);
	test_err_range_advise(ENOMEM, &adv, 0, PTF_ADV_NOTPRESENT, hole, LEN,
			      PTF_ADVISE_F_STRICT);
	EXPECT_EQ(u64ptr(hole), adv.out_next);
	test_err_range_advise(ENOMEM, &adv, 0, PTF_ADV_PRESENT, hole, LEN, 0);
}

/* A VMA in which nothing was ever touched has nothing to clear. */
TEST_F(range, empty)
{
	struct ptf_ioc_range_advise adv;
	long rss;
	char *m = ptf_anon(LEN);

	ASSERT_NE(NULL, m);
	rss = ptf_status_kb(getpid(), "VmRSS");
	test_err_range_advise(ENODATA, &adv, 0, PTF_ADV_NOTPRESENT, m, LEN, 0);
	EXPECT_EQ(NR, adv.out_skipped_pages[PTF_SKIP_EMPTY]);
	EXPECT_EQ(NR, ptf_skipped(&adv));
	EXPECT_EQ(0, adv.out_done_pages);
	test_err_range_advise(ENODATA, &adv, 0, PTF_ADV_NOTPRESENT, m, LEN,
			      PTF_ADVISE_F_STRICT);
	/* Nothing came to be there by asking. */
	expect_state(m, NR, PTF_STATE_NONE);
	EXPECT_GT(512, ptf_status_kb(getpid(), "VmRSS") - rss);
	/* One page of it is. */
	ptf_store(m + PAGES(5), 1);
	test_cmd_range_advise(&adv, 0, PTF_ADV_NOTPRESENT, m, LEN, 0);
	EXPECT_EQ(1, adv.out_done_pages);
	EXPECT_EQ(NR - 1, adv.out_skipped_pages[PTF_SKIP_EMPTY]);
	test_cmd_query_pages(0, m, LEN, self->rows);
	EXPECT_EQ(PTF_STATE_HINT, self->rows[5].state);
	EXPECT_EQ(PTF_STATE_NONE, self->rows[4].state);
	EXPECT_EQ(1, m[PAGES(5)]);
}

/* The kinds that are refused, each between two pages that are served. */
#define expect_refused(_errno, skip, addr, nr) do { \
	struct ptf_ioc_range_advise __a; \
	test_err_range_advise(_errno, &__a, 0, PTF_ADV_NOTPRESENT, addr, PAGES(nr), 0); \
	EXPECT_EQ(0, __a.out_done_pages); \
	EXPECT_EQ(nr, __a.out_skipped_pages[skip]); \
	EXPECT_EQ(nr, ptf_skipped(&__a)); \
	test_err_range_advise(_errno, &__a, 0, PTF_ADV_NOTPRESENT, addr, PAGES(nr), \
			      PTF_ADVISE_F_STRICT); \
	EXPECT_EQ(0, __a.out_done_pages); \
	EXPECT_EQ(u64ptr(addr), __a.out_next); \
} while (0)

/* Two of them between pages 0-1 and 4-5 of @m. */
#define expect_refused_between(_errno, skip, m) do { \
	struct ptf_ioc_range_advise __b; \
	test_err_range_advise(_errno, &__b, 0, PTF_ADV_NOTPRESENT, m, PAGES(6), \
			      PTF_ADVISE_F_STRICT); \
	EXPECT_EQ(u64ptr(m) + PAGES(2), __b.out_next); \
	EXPECT_EQ(0, __b.out_done_pages); \
	expect_untouched(m, PAGES(2)); \
	expect_untouched((m) + PAGES(4), PAGES(2)); \
	test_cmd_range_advise(&__b, 0, PTF_ADV_NOTPRESENT, m, PAGES(6), 0); \
	EXPECT_EQ(4, __b.out_done_pages); \
	EXPECT_EQ(2, __b.out_skipped_pages[skip]); \
	EXPECT_EQ(2, ptf_skipped(&__b)); \
	EXPECT_EQ(u64ptr(m) + PAGES(6), __b.out_next); \
} while (0)

TEST_F(range, prot_none)
{
	struct ptf_ioc_range_advise adv;

	ASSERT_EQ(0, mprotect(self->mem + PAGES(2), PAGES(2), PROT_NONE));
	expect_refused(EOPNOTSUPP, PTF_SKIP_PROTNONE, self->mem + PAGES(2), 2);
	expect_refused_between(EOPNOTSUPP, PTF_SKIP_PROTNONE, self->mem);
	/* It must not have been opened up either. */
	test_cmd_query_pages(0, self->mem, LEN, self->rows);
	EXPECT_EQ(PTF_STATE_PROTNONE, self->rows[2].state);
	EXPECT_EQ(PTF_STATE_PROTNONE, self->rows[3].state);
	EXPECT_EQ(PTF_STATE_HINT, self->rows[1].state);
	/* PRESENT takes a mapping's own PROT_NONE for no hint of ours. */
	test_err_range_advise(EOPNOTSUPP, &adv, 0, PTF_ADV_PRESENT, self->mem + PAGES(2),
			      PAGES(2), 0);
	test_cmd_query_pages(0, self->mem, LEN, self->rows);
	EXPECT_EQ(PTF_STATE_PROTNONE, self->rows[2].state);
	EXPECT_EQ(0, self->rows[2].pte & 1);
	ASSERT_EQ(0, mprotect(self->mem + PAGES(2), PAGES(2), PROT_READ));
	EXPECT_EQ(0, ptf_wrong(self->mem, LEN, SEED));
}

/* Cleared first, forbidden then: the hint is not ours to open. */
TEST_F(range, cleared_then_prot_none)
{
	pid_t pid;

	test_cmd_advise_all(PTF_ADV_NOTPRESENT, self->mem, LEN);
	ASSERT_EQ(0, mprotect(self->mem, LEN, PROT_NONE));
	_test_cmd_range_advise(self->fd, &(struct ptf_ioc_range_advise){}, 0, PTF_ADV_PRESENT,
			       self->mem, LEN, 0);
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		signal(SIGSEGV, SIG_DFL);
		ptf_touch(self->mem);
		_exit(0);
	}
	EXPECT_EQ(256 + SIGSEGV, ptf_wait(pid));
	ASSERT_EQ(0, mprotect(self->mem, LEN, PROT_READ | PROT_WRITE));
	EXPECT_EQ(0, ptf_wrong(self->mem, LEN, SEED));
	ptf_fill(self->mem, LEN, SEED + 1);
	EXPECT_EQ(0, ptf_wrong(self->mem, LEN, SEED + 1));
}

TEST_F(range, mlocked_is_served)
{
	long min0;

	ASSERT_EQ(0, mlock(self->mem, LEN));
	test_cmd_advise_all(PTF_ADV_NOTPRESENT, self->mem, LEN);
	min0 = ptf_minflt();
	ptf_touch_all(self->mem, LEN);
	EXPECT_EQ(min0 + NR, ptf_minflt());
	EXPECT_EQ(0, ptf_wrong(self->mem, LEN, SEED));
	ASSERT_EQ(0, mlock2(self->mem, LEN, MLOCK_ONFAULT));
	test_cmd_advise_all(PTF_ADV_NOTPRESENT, self->mem, LEN);
	ASSERT_EQ(0, munlock(self->mem, LEN));
	EXPECT_EQ(0, ptf_wrong(self->mem, LEN, SEED));
}

TEST_F(range, hugetlb)
{
	struct ptf_ioc_range_advise adv;
	unsigned long was = ptf_read_ulong("/proc/sys/vm/nr_hugepages", 0);
	char text[32], *h, *m;

	snprintf(text, sizeof(text), "%lu", was + 2);
	if (ptf_write_file("/proc/sys/vm/nr_hugepages", text))
		SKIP(return, "no hugetlb in this kernel");
	m = mmap(NULL, 3 * HPAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, m);
	m = (char *)(((uintptr_t)m + HPAGE - 1) & ~(HPAGE - 1));
	h = mmap(m, HPAGE, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB | MAP_FIXED, -1, 0);
	if (h == MAP_FAILED)
		SKIP(return, "no huge page to be had: %s", strerror(errno));
	memset(h, 0x5A, HPAGE);
	test_err_range_advise(EOPNOTSUPP, &adv, 0, PTF_ADV_NOTPRESENT, h, HPAGE, 0);
	EXPECT_EQ(HPAGE / PAGE, adv.out_skipped_pages[PTF_SKIP_HUGETLB]);
	EXPECT_EQ(HPAGE / PAGE, ptf_skipped(&adv));
	/* A part of one is no better. */
	test_err_range_advise(EOPNOTSUPP, &adv, 0, PTF_ADV_NOTPRESENT, h + PAGE, PAGE, 0);
	test_err_range_advise(EOPNOTSUPP, &adv, 0, PTF_ADV_NOTPRESENT, h + PAGE, PAGE,
			      PTF_ADVISE_F_STRICT | PTF_ADVISE_F_PMD);
	test_err_range_advise(EOPNOTSUPP, &adv, 0, PTF_ADV_PRESENT, h, HPAGE, 0);
	EXPECT_EQ(0x5A, h[HPAGE - 1]);
	EXPECT_EQ(0x5A, h[0]);
	munmap(h, HPAGE);
	snprintf(text, sizeof(text), "%lu", was);
	ptf_write_file("/proc/sys/vm/nr_hugepages", text);
}

TEST_F(range, secretmem)
{
	int fd = syscall(447 /* memfd_secret */, 0);
	char *m;

	if (fd < 0)
		SKIP(return, "no memfd_secret(2) here: %s", strerror(errno));
	ASSERT_EQ(0, ftruncate(fd, LEN));
	m = mmap(self->mem + PAGES(2), PAGES(2), PROT_READ | PROT_WRITE,
		 MAP_SHARED | MAP_FIXED, fd, 0);
	ASSERT_NE(MAP_FAILED, m);
	m[0] = 1;
	m[PAGE] = 2;
	expect_refused(EOPNOTSUPP, PTF_SKIP_SECRETMEM, m, 2);
	expect_refused_between(EOPNOTSUPP, PTF_SKIP_SECRETMEM, self->mem);
	EXPECT_EQ(1, m[0]);
	EXPECT_EQ(2, m[PAGE]);
	close(fd);
}

static char *find_map(const char *name, size_t *len)
{
	unsigned long s, e;
	char line[512], *p = NULL;
	FILE *f = fopen("/proc/self/maps", "re");

	if (!f)
		return NULL;
	while (fgets(line, sizeof(line), f)) {
		line[strcspn(line, "\n")] = 0;
		if (strlen(line) < strlen(name) ||
		    strcmp(line + strlen(line) - strlen(name), name))
			continue;
		if (sscanf(line, "%lx-%lx", &s, &e) == 2) {
			p = (char *)s;
			*len = e - s;
			break;
		}
	}
	fclose(f);
	return p;
}

TEST_F(range, vdso_and_vvar)
{
	static const char *const names[] = { "[vdso]", "[vvar]" };
	struct ptf_ioc_range_advise adv;
	struct timespec ts;
	unsigned int i;
	size_t len;
	char *m;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	for (i = 0; i < ARRAY_SIZE(names); i++) {
		m = find_map(names[i], &len);
		ASSERT_NE(NULL, m) {
			TH_LOG("no %s", names[i]);
		}
		test_err_range_advise(EOPNOTSUPP, &adv, 0, PTF_ADV_NOTPRESENT, m, len, 0);
		EXPECT_EQ(0, adv.out_done_pages);
		EXPECT_EQ(len / PAGE, adv.out_skipped_pages[PTF_SKIP_SPECIAL]);
		test_err_range_advise(EOPNOTSUPP, &adv, 0, PTF_ADV_NOTPRESENT, m, PAGE,
				      PTF_ADVISE_F_STRICT);
		test_err_range_advise(EOPNOTSUPP, &adv, 0, PTF_ADV_PRESENT, m, PAGE, 0);
	}
	EXPECT_EQ(0, clock_gettime(CLOCK_MONOTONIC, &ts));
}

/* Drivers' mappings, from the test module. */
TEST_F(range, driver_mappings)
{
	static const off_t kinds[] = { PTFTEST_MAP_FAULT, PTFTEST_MAP_REMAP };
	struct ptf_ioc_range_advise adv;
	unsigned int i, n;
	char *m;
	int fd;

	fd = open(PTFTEST_DEV, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		SKIP(return, "no " PTFTEST_DEV ": the test module is not loaded");
	for (i = 0; i < ARRAY_SIZE(kinds); i++) {
		m = mmap(self->mem + PAGES(2), PAGES(2), PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_FIXED, fd, kinds[i]);
		ASSERT_NE(MAP_FAILED, m);
		for (n = 0; n < 2; n++)
			EXPECT_EQ(0x40 + n, m[PAGES(n)]);
		expect_refused(EOPNOTSUPP, PTF_SKIP_SPECIAL, m, 2);
		expect_refused_between(EOPNOTSUPP, PTF_SKIP_SPECIAL, self->mem);
		ptf_touch_all(self->mem, LEN);
		for (n = 0; n < 2; n++)
			EXPECT_EQ(0x40 + n, m[PAGES(n)]);
	}
	/* Not even faulted in yet. */
	m = mmap(NULL, PAGES(4), PROT_READ, MAP_SHARED, fd, PTFTEST_MAP_FAULT);
	ASSERT_NE(MAP_FAILED, m);
	test_err_range_advise(EOPNOTSUPP, &adv, 0, PTF_ADV_NOTPRESENT, m, PAGES(4), 0);
	EXPECT_EQ(0, adv.out_done_pages);
	close(fd);
}

/* Pinned for DMA: a device would go on writing behind the program's back. */
TEST_F(range, pinned)
{
	struct ptftest_range r = { u64ptr(self->mem) + PAGES(2), 2 };
	struct ptf_ioc_range_advise adv;
	int fd;

	fd = open(PTFTEST_DEV, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		SKIP(return, "no " PTFTEST_DEV ": the test module is not loaded");
	ASSERT_EQ(0, ioctl(fd, PTFTEST_PIN, &r));
	expect_refused(EBUSY, PTF_SKIP_PINNED, self->mem + PAGES(2), 2);
	expect_refused_between(EBUSY, PTF_SKIP_PINNED, self->mem);
	test_cmd_query_pages(0, self->mem, LEN, self->rows);
	EXPECT_EQ(PTF_STATE_PRESENT, self->rows[2].state);
	EXPECT_NE(0, self->rows[2].flags & PTF_FOLIO_PINNED);
	EXPECT_EQ(0, self->rows[1].flags & PTF_FOLIO_PINNED);
	ASSERT_EQ(0, ioctl(fd, PTFTEST_UNPIN, 0));
	/* And served when the pin has gone. */
	test_cmd_range_advise(&adv, 0, PTF_ADV_NOTPRESENT, self->mem, LEN, 0);
	EXPECT_EQ(NR, adv.out_done_pages + adv.out_same_pages);
	EXPECT_LE(2, adv.out_done_pages);
	EXPECT_EQ(0, ptf_skipped(&adv));
	EXPECT_EQ(0, ptf_wrong(self->mem, LEN, SEED));
	close(fd);
}

/* Kinds together in one call, each counted under its own reason. */
TEST_F(range, reasons_together)
{
	struct ptftest_range r;
	struct ptf_ioc_range_advise adv;
	char *m = ptf_anon(PAGES(16));
	int fd = open(PTFTEST_DEV, O_RDWR | O_CLOEXEC);

	if (fd < 0)
		SKIP(return, "no " PTFTEST_DEV ": the test module is not loaded");
	ASSERT_NE(NULL, m);
	ptf_fill(m, PAGES(16), SEED);
	/* 0 fine, 1 hole, 2-4 PROT_NONE, 5 empty, 6 driver, 7-8 pinned, 9-15 fine */
	ASSERT_EQ(0, munmap(m + PAGES(1), PAGE));
	ASSERT_EQ(0, mprotect(m + PAGES(2), PAGES(3), PROT_NONE));
	ASSERT_EQ(0, madvise(m + PAGES(5), PAGE, MADV_DONTNEED));
	ASSERT_NE(MAP_FAILED, mmap(m + PAGES(6), PAGE, PROT_READ, MAP_SHARED | MAP_FIXED, fd,
				   PTFTEST_MAP_REMAP));
	r = (struct ptftest_range){ u64ptr(m) + PAGES(7), 2 };
	ASSERT_EQ(0, ioctl(fd, PTFTEST_PIN, &r));
	test_cmd_range_advise(&adv, 0, PTF_ADV_NOTPRESENT, m, PAGES(16), 0);
	EXPECT_EQ(8, adv.out_done_pages);
	EXPECT_EQ(1, adv.out_skipped_pages[PTF_SKIP_HOLE]);
	EXPECT_EQ(3, adv.out_skipped_pages[PTF_SKIP_PROTNONE]);
	EXPECT_EQ(1, adv.out_skipped_pages[PTF_SKIP_EMPTY]);
	EXPECT_EQ(1, adv.out_skipped_pages[PTF_SKIP_SPECIAL]);
	EXPECT_EQ(2, adv.out_skipped_pages[PTF_SKIP_PINNED]);
	EXPECT_EQ(8, ptf_skipped(&adv));
	EXPECT_EQ(u64ptr(m) + PAGES(16), adv.out_next);
	/* Nothing could be done: the errno of the first. */
	test_err_range_advise(ENOMEM, &adv, 0, PTF_ADV_NOTPRESENT, m + PAGES(1), PAGES(8), 0);
	test_err_range_advise(EOPNOTSUPP, &adv, 0, PTF_ADV_NOTPRESENT, m + PAGES(2), PAGES(7),
			      0);
	test_err_range_advise(ENODATA, &adv, 0, PTF_ADV_NOTPRESENT, m + PAGES(5), PAGES(4), 0);
	test_err_range_advise(EBUSY, &adv, 0, PTF_ADV_NOTPRESENT, m + PAGES(7), PAGES(2), 0);
	close(fd);
}

TEST_F(range, swapped)
{
	struct ptf_ioc_range_advise adv;
	int tries;

	if (!ptf_swap_free_kb())
		SKIP(return, "no swap");
	for (tries = 0; tries < 20; tries++) {
		madvise(self->mem + PAGES(2), PAGES(2), MADV_PAGEOUT);
		test_cmd_query_pages(0, self->mem, LEN, self->rows);
		if (self->rows[2].state == PTF_STATE_SWAP &&
		    self->rows[3].state == PTF_STATE_SWAP)
			break;
		usleep(20000);
	}
	ASSERT_GT(20, tries) {
		TH_LOG("MADV_PAGEOUT did not move the pages");
	}
	expect_refused(EBUSY, PTF_SKIP_SWAPPED, self->mem + PAGES(2), 2);
	test_cmd_range_advise(&adv, 0, PTF_ADV_NOTPRESENT, self->mem, PAGES(6), 0);
	EXPECT_EQ(4, adv.out_done_pages);
	EXPECT_EQ(2, adv.out_skipped_pages[PTF_SKIP_SWAPPED]);
	test_cmd_query_pages(0, self->mem, LEN, self->rows);
	EXPECT_EQ(PTF_STATE_SWAP, self->rows[2].state);
	EXPECT_EQ(0, ptf_wrong(self->mem, LEN, SEED));
}

/* A huge page mapped by one entry, and no flag that says how. */
TEST_F(range, thp_without_a_flag)
{
	struct ptf_ioc_range_advise adv;
	struct ptf_ioc_page_walk walk;
	char *m, *p;

	p = mmap(NULL, 2 * HPAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, p);
	m = (char *)(((uintptr_t)p + HPAGE - 1) & ~(HPAGE - 1));
	if (madvise(m, HPAGE, MADV_HUGEPAGE))
		SKIP(return, "no transparent huge pages in this kernel");
	ptf_fill(m, HPAGE, SEED);
	test_cmd_page_walk(&walk, 0, m);
	if (walk.level[walk.out_nr - 1].level != PTF_LEVEL_PMD)
		SKIP(return, "the kernel gave no huge page");
	test_err_range_advise(EOPNOTSUPP, &adv, 0, PTF_ADV_NOTPRESENT, m, HPAGE, 0);
	EXPECT_EQ(512, adv.out_skipped_pages[PTF_SKIP_THP]);
	EXPECT_EQ(512, ptf_skipped(&adv));
	test_err_range_advise(EOPNOTSUPP, &adv, 0, PTF_ADV_NOTPRESENT, m + PAGES(7), PAGES(3),
			      0);
	EXPECT_EQ(3, adv.out_skipped_pages[PTF_SKIP_THP]);
	test_err_range_advise(EOPNOTSUPP, &adv, 0, PTF_ADV_NOTPRESENT, m + PAGES(7), PAGES(3),
			      PTF_ADVISE_F_STRICT);
	EXPECT_EQ(u64ptr(m) + PAGES(7), adv.out_next);
	test_cmd_page_walk(&walk, 0, m);
	EXPECT_EQ(PTF_LEVEL_PMD, walk.level[walk.out_nr - 1].level);
	EXPECT_EQ(0, ptf_wrong(m, HPAGE, SEED));
}

/* The zero page: one frame for everybody, and still a translation of ours. */
TEST_F(range, zero_page)
{
	struct ptf_ioc_range_advise adv;
	char *m = ptf_anon(LEN);
	long min0;
	int i;

	ASSERT_NE(NULL, m);
	ptf_touch_all(m, LEN);
	test_cmd_query_pages(0, m, LEN, self->rows);
	EXPECT_EQ(PTF_KIND_ZERO, self->rows[0].kind);
	if (_test_cmd_range_advise(self->fd, &adv, 0, PTF_ADV_NOTPRESENT, m, LEN, 0)) {
		/* To refuse it is as good, but not by half. */
		EXPECT_EQ(EOPNOTSUPP, errno);
		EXPECT_EQ(0, adv.out_done_pages);
		EXPECT_EQ(NR, ptf_skipped(&adv));
		min0 = ptf_minflt();
		ptf_touch_all(m, LEN);
		EXPECT_EQ(min0, ptf_minflt());
	} else {
		EXPECT_EQ(NR, adv.out_done_pages);
		min0 = ptf_minflt();
		ptf_touch_all(m, LEN);
		EXPECT_EQ(min0 + NR, ptf_minflt());
	}
	for (i = 0; i < LEN; i++)
		ASSERT_EQ(0, m[i]);
	ptf_fill(m, LEN, SEED);
	EXPECT_EQ(0, ptf_wrong(m, LEN, SEED));
}

/* The whole address space of a live program, many times. */
static int busy(void *arg)
{
	volatile unsigned int *turns = arg;
	char *m = ptf_anon(PAGES(64));

	if (!m)
		return 1;
	ptf_fill(m, PAGES(64), 99);
	for (;;) {
		if (ptf_wrong(m, PAGES(64), 99))
			return 2;
		if (turns[1])
			return 0;
		turns[0]++;
	}
}

TEST_F_TIMEOUT(range, whole_address_space, 60)
{
	struct ptf_ioc_range_advise adv;
	struct ptf_ioc_features_get f;
	volatile unsigned int *turns = ptf_shared(PAGE);
	unsigned int was;
	double t;
	__u32 target;
	size_t end;
	pid_t pid;
	int i;

	ASSERT_NE(NULL, (void *)turns);
	test_cmd_features_get(&f, 0);
	end = f.out_levels == 5 ? 0xfffffffffff000UL : USER_END_4;
	pid = ptf_child(busy, (void *)turns);
	ASSERT_LT(0, pid);
	ASSERT_TRUE(ptf_await(turns, 1, 10000));
	test_cmd_target_open(pid, &target);
	for (i = 0; i < 20; i++) {
		t = ptf_seconds();
		test_cmd_range_advise(&adv, target, PTF_ADV_NOTPRESENT, (void *)0, end, 0);
		t = ptf_seconds() - t;
		EXPECT_GT(5, t) {
			TH_LOG("%.1f s: holes are not cheap", t);
		}
		EXPECT_EQ(end, adv.out_next);
		EXPECT_LE(64, adv.out_done_pages + adv.out_same_pages);
		EXPECT_LE(1, adv.out_skipped_pages[PTF_SKIP_SPECIAL]);
		/* Every page of the range is accounted for. */
		EXPECT_EQ(end / PAGE, adv.out_done_pages + adv.out_same_pages +
			  ptf_skipped(&adv));
		was = turns[0];
		ASSERT_TRUE(ptf_await(turns, was + 1, 10000));
	}
	/* And its whole address space mapped again. */
	test_cmd_range_advise(&adv, target, PTF_ADV_PRESENT, (void *)0, end, 0);
	turns[1] = 1;
	EXPECT_EQ(0, ptf_wait(pid));
}

/* One's own whole address space: the stack, the code and the struct itself. */
TEST_F_TIMEOUT(range, own_whole_address_space, 60)
{
	struct ptf_ioc_range_advise adv;
	struct ptf_ioc_features_get f;
	size_t end;
	int i;

	test_cmd_features_get(&f, 0);
	end = f.out_levels == 5 ? 0xfffffffffff000UL : USER_END_4;
	for (i = 0; i < 20; i++) {
		test_cmd_range_advise(&adv, 0, PTF_ADV_NOTPRESENT, (void *)0, end, 0);
		EXPECT_LE(NR, adv.out_done_pages + adv.out_same_pages);
		EXPECT_EQ(end, adv.out_next);
		EXPECT_EQ(0, ptf_wrong(self->mem, LEN, SEED));
	}
}

TEST_F(range, advice_wrong)
{
	struct ptf_ioc_range_advise adv;

	test_err_range_advise(EINVAL, &adv, 0, 0, self->mem, LEN, 0);
	test_err_range_advise(EINVAL, &adv, 0, PTF_ADV_BASE, self->mem, LEN, 0);
	test_err_range_advise(EINVAL, &adv, 0, PTF_ADV_LAST + 1, self->mem, LEN, 0);
	test_err_range_advise(EINVAL, &adv, 0, ~0U, self->mem, LEN, 0);
	expect_untouched(self->mem, LEN);
}

/* A call that runs long ends when its process is killed. */
static int clear_for_ever(void *arg)
{
	struct ptf_ioc_range_advise *cmd = arg;
	char *m;
	int fd = open(PTF_DEV, O_RDWR);
	size_t i, len = PAGES(ptf_many(64 * MB / PAGE));

	m = ptf_anon(len);
	if (fd < 0 || !m)
		return 1;
	for (i = 0; i < len; i += PAGE)
		m[i] = 1;
	cmd->out_done_pages = 1;
	for (;;) {
		_test_cmd_range_advise(fd, cmd, 0, PTF_ADV_NOTPRESENT, m, len, 0);
		_test_cmd_range_advise(fd, cmd, 0, PTF_ADV_PRESENT, m, len, 0);
	}
}

TEST_F_TIMEOUT(range, killed, 120)
{
	struct ptf_ioc_range_advise *cmd = ptf_shared(PAGE);
	double t;
	pid_t pid;
	int i;

	ASSERT_NE(NULL, cmd);
	for (i = 0; i < 8; i++) {
		cmd->out_done_pages = 0;
		pid = ptf_child(clear_for_ever, cmd);
		ASSERT_LT(0, pid);
		t = ptf_seconds();
		while (!*(volatile __u64 *)&cmd->out_done_pages &&
		       ptf_seconds() - t < 10 * ptf_env("PTF_SLOW", 1))
			usleep(1000);
		usleep(1000 * i);
		t = ptf_seconds();
		EXPECT_EQ(256 + SIGKILL, ptf_kill(pid));
		t = ptf_seconds() - t;
		/* Up to 64 MB of pages go with it: half a second where nothing is slow. */
		EXPECT_GT(2 * ptf_env("PTF_SLOW", 1), t) {
			TH_LOG("%.1f s to die", t);
		}
	}
}

TEST_HARNESS_MAIN
