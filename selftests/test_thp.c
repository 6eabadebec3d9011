// SPDX-License-Identifier: GPL-2.0-only
/*
 * Huge pages mapped by one entry: made not present, write-protected and aged as
 * a whole, or split first; and what core mm does to them meanwhile.
 */
/* vm: default */
/* vm: --numa 2 */
/* timeout: 600 */
#include "ptf_test.h"

#include <sched.h>
#include <sys/mount.h>
#include <sys/uio.h>

#include "modules/ptftest.h"

#define NR	512
#define SEED	19

FIXTURE(thp) {
	int fd;
	struct ptf_log log;
	char *p;		/* a huge page, written */
	char *map;
	struct ptf_row *was, *row;
	bool one_node;
};

/* Two words tell each page: filling all would take most of the time. */
static void fill(char *p, size_t nr, __u64 seed)
{
	size_t i;

	for (i = 0; i < nr; i++) {
		((volatile __u64 *)(p + PAGES(i)))[0] = ptf_word(seed, i, 0);
		((volatile __u64 *)(p + PAGES(i)))[511] = ptf_word(seed, i, 511);
	}
}

static size_t wrong(const char *p, size_t nr, __u64 seed)
{
	size_t i, bad = 0;

	for (i = 0; i < nr; i++) {
		const volatile __u64 *w = (const void *)(p + PAGES(i));

		bad += w[0] != ptf_word(seed, i, 0) || w[511] != ptf_word(seed, i, 511);
	}
	return bad;
}

static bool is_leaf(int fd, __u32 target, const char *p)
{
	struct ptf_ioc_page_walk walk;

	return !_test_cmd_page_walk(fd, &walk, target, p) &&
	       walk.level[walk.out_nr - 1].level == PTF_LEVEL_PMD &&
	       walk.level[walk.out_nr - 1].flags & PTF_LEVEL_LEAF;
}

#define leaf(p) is_leaf(self->fd, 0, p)

/* Two huge pages of room, aligned. */
static char *room(size_t len, char **map)
{
	*map = mmap(NULL, len + HPAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		    0);
	if (*map == MAP_FAILED)
		return NULL;
	return (char *)(((uintptr_t)*map + HPAGE - 1) & ~(HPAGE - 1));
}

FIXTURE_SETUP(thp)
{
	self->fd = ptf_setup(_metadata, &self->log);
	if (self->fd < 0)
		return;
	self->one_node = access("/sys/devices/system/node/node1", F_OK) != 0;
	self->was = calloc(NR, sizeof(struct ptf_row));
	self->row = calloc(NR, sizeof(struct ptf_row));
	ASSERT_TRUE(self->was && self->row);
	self->p = room(HPAGE, &self->map);
	ASSERT_NE(NULL, self->p);
	if (madvise(self->p, HPAGE, MADV_HUGEPAGE))
		SKIP(return, "no transparent huge pages in this kernel");
	fill(self->p, NR, SEED);
	if (!leaf(self->p))
		SKIP(return, "the kernel gave no huge page");
	test_cmd_query_pages(0, self->p, HPAGE, self->was);
}

PTF_TEARDOWN(thp)

/* Rows of a huge page in a state, at a level; and how many have kept their frame. */
#define count_rows(addr, s, lev) ({ \
	unsigned int __i, __n = 0; \
	test_cmd_query_pages(0, addr, HPAGE, self->row); \
	for (__i = 0; __i < NR; __i++) \
		__n += self->row[__i].state == (s) && self->row[__i].level == (lev); \
	__n; \
})
#define same_frames() ({ \
	unsigned int __i, __n = 0; \
	for (__i = 0; __i < NR; __i++) \
		__n += self->row[__i].pte_pfn == self->was[__i].pte_pfn; \
	__n; \
})

/* With several nodes the kernel may move what it heals. */
#define EXPECT_SAME_FRAMES() do { \
	if (self->one_node) \
		EXPECT_EQ(NR, same_frames()); \
} while (0)

/* On the whole leaf, done to all of it. */
#define advise_leaf(advice, flags) do { \
	struct ptf_ioc_range_advise __c; \
	test_cmd_range_advise(&__c, 0, advice, self->p, HPAGE, flags); \
	ASSERT_EQ(NR, __c.out_done_pages) { \
		TH_LOG("same %llu, skipped %llu", __c.out_same_pages, ptf_skipped(&__c)); \
	} \
	ASSERT_EQ(0, ptf_skipped(&__c)); \
	ASSERT_EQ(u64ptr(self->p) + HPAGE, __c.out_next); \
} while (0)

#define hint() advise_leaf(PTF_ADV_NOTPRESENT, PTF_ADVISE_F_PMD)

/* ------------------------------------------------------------------ */
/* As a whole                                                          */

TEST_F(thp, one_fault_for_all)
{
	struct ptf_ioc_range_advise c;
	long min;
	int i;

	for (i = 0; i < 4; i++) {
		test_cmd_range_advise(&c, 0, PTF_ADV_NOTPRESENT, self->p, HPAGE,
				      PTF_ADVISE_F_PMD | (i & 1 ? PTF_ADVISE_F_ONESHOT : 0));
		EXPECT_EQ(NR, c.out_done_pages);
		/* said, since neighbours are healed with the first fault */
		EXPECT_EQ(NR, c.out_large_pages);
		EXPECT_EQ(1, c.out_flushes);
		EXPECT_EQ(NR, count_rows(self->p, PTF_STATE_HINT, 1));
		EXPECT_SAME_FRAMES();
		EXPECT_EQ(PTF_KIND_THP, self->row[0].kind);
		min = ptf_minflt();
		if (i < 2)
			ptf_touch(self->p + PAGES(i * 100 + 7));
		else
			ptf_rewrite(self->p + PAGES(i * 100 + 7));
		EXPECT_EQ(min + 1, ptf_minflt());
		EXPECT_EQ(0, wrong(self->p, NR, SEED));
		fill(self->p, NR, SEED);
		if (self->one_node) {
			EXPECT_EQ(min + 1, ptf_minflt());
			EXPECT_EQ(NR, count_rows(self->p, PTF_STATE_PRESENT, 1));
			EXPECT_SAME_FRAMES();
		}
	}
	/* so already, whatever the flags */
	hint();
	test_cmd_range_advise(&c, 0, PTF_ADV_NOTPRESENT, self->p, HPAGE, 0);
	EXPECT_EQ(NR, c.out_same_pages);
	EXPECT_EQ(0, c.out_done_pages);
}

TEST_F(thp, present_undoes)
{
	struct ptf_ioc_range_advise c;
	long min;

	hint();
	test_cmd_range_advise(&c, 0, PTF_ADV_PRESENT, self->p, HPAGE, 0);
	EXPECT_EQ(NR, c.out_done_pages);
	EXPECT_EQ(NR, count_rows(self->p, PTF_STATE_PRESENT, 1));
	EXPECT_SAME_FRAMES();
	EXPECT_EQ(self->was[0].flags & PTF_ROW_WRITE, self->row[0].flags & PTF_ROW_WRITE);
	min = ptf_minflt();
	EXPECT_EQ(0, wrong(self->p, NR, SEED));
	fill(self->p, NR, SEED);
	EXPECT_EQ(min, ptf_minflt());
	/* a page of it is enough: it is one entry */
	hint();
	test_cmd_range_advise(&c, 0, PTF_ADV_PRESENT, self->p + PAGES(9), PAGE, 0);
	EXPECT_EQ(1, c.out_done_pages);
	EXPECT_EQ(NR, count_rows(self->p, PTF_STATE_PRESENT, 1));
	EXPECT_EQ(0, wrong(self->p, NR, SEED));
}

TEST_F(thp, part_of_a_leaf)
{
	struct ptf_ioc_range_advise c;

	/* not as a whole, and nothing says that it may be split */
	test_err_range_advise(EOPNOTSUPP, &c, 0, PTF_ADV_NOTPRESENT, self->p, PAGES(NR - 1),
			      PTF_ADVISE_F_PMD);
	EXPECT_EQ(NR - 1, c.out_skipped_pages[PTF_SKIP_THP]);
	test_err_range_advise(EOPNOTSUPP, &c, 0, PTF_ADV_NOTPRESENT, self->p + PAGE, PAGES(3),
			      PTF_ADVISE_F_PMD | PTF_ADVISE_F_STRICT);
	EXPECT_EQ(u64ptr(self->p) + PAGE, c.out_next);
	EXPECT_TRUE(leaf(self->p));
	test_cmd_range_advise(&c, 0, PTF_ADV_NOTPRESENT, self->p + PAGE, PAGES(3),
			      PTF_ADVISE_F_PMD | PTF_ADVISE_F_SPLIT);
	EXPECT_EQ(3, c.out_done_pages);
	EXPECT_EQ(0, c.out_large_pages);
	EXPECT_EQ(3, count_rows(self->p, PTF_STATE_HINT, 0));
	EXPECT_SAME_FRAMES();
	EXPECT_EQ(0, wrong(self->p, NR, SEED));
}

TEST_F(thp, strict)
{
	struct ptf_ioc_range_advise c;

	/* a hole behind it: nothing is changed */
	ASSERT_EQ(0, munmap(self->p + HPAGE, PAGE));
	test_err_range_advise(ENOMEM, &c, 0, PTF_ADV_NOTPRESENT, self->p, HPAGE + PAGE,
			      PTF_ADVISE_F_PMD | PTF_ADVISE_F_STRICT);
	EXPECT_EQ(0, c.out_done_pages);
	EXPECT_EQ(NR, count_rows(self->p, PTF_STATE_PRESENT, 1));
	test_err_range_advise(ENOMEM, &c, 0, PTF_ADV_STASH, self->p, HPAGE + PAGE,
			      PTF_ADVISE_F_SPLIT | PTF_ADVISE_F_STRICT);
	EXPECT_EQ(NR, count_rows(self->p, PTF_STATE_PRESENT, 1));
	test_cmd_range_advise(&c, 0, PTF_ADV_NOTPRESENT, self->p, HPAGE,
			      PTF_ADVISE_F_PMD | PTF_ADVISE_F_STRICT);
	EXPECT_EQ(NR, c.out_done_pages);
	EXPECT_EQ(NR, count_rows(self->p, PTF_STATE_HINT, 1));
	EXPECT_EQ(0, wrong(self->p, NR, SEED));
	test_cmd_range_advise(&c, 0, PTF_ADV_STASH, self->p, HPAGE,
			      PTF_ADVISE_F_SPLIT | PTF_ADVISE_F_STRICT);
	EXPECT_EQ(NR, c.out_done_pages);
	EXPECT_EQ(NR, count_rows(self->p, PTF_STATE_STASHED, 0));
	EXPECT_EQ(0, wrong(self->p, NR, SEED));
}

TEST_F(thp, write_protected)
{
	struct ptf_ioc_range_advise c;
	long min;
	int i;

	for (i = 0; i < 2; i++) {
		advise_leaf(PTF_ADV_WRPROTECT, PTF_ADVISE_F_PMD);
		EXPECT_EQ(NR, count_rows(self->p, PTF_STATE_PRESENT, 1));
		EXPECT_EQ(0, self->row[5].flags & PTF_ROW_WRITE);
		EXPECT_SAME_FRAMES();
		min = ptf_minflt();
		EXPECT_EQ(0, wrong(self->p, NR, SEED));
		EXPECT_EQ(min, ptf_minflt());
		fill(self->p, NR, SEED + i);
		EXPECT_EQ(min + 1, ptf_minflt());
		EXPECT_EQ(0, wrong(self->p, NR, SEED + i));
		fill(self->p, NR, SEED);
	}
	test_cmd_range_advise(&c, 0, PTF_ADV_WRPROTECT, self->p, HPAGE, PTF_ADVISE_F_PMD);
	test_cmd_range_advise(&c, 0, PTF_ADV_WRPROTECT, self->p, HPAGE, PTF_ADVISE_F_PMD);
	EXPECT_EQ(NR, c.out_same_pages);
	advise_leaf(PTF_ADV_WRUNPROTECT, PTF_ADVISE_F_PMD);
	min = ptf_minflt();
	fill(self->p, NR, SEED);
	EXPECT_EQ(min, ptf_minflt());
	/* whoever heals a hint decides what it allows */
	hint();
	test_err_range_advise(EOPNOTSUPP, &c, 0, PTF_ADV_WRPROTECT, self->p, HPAGE,
			      PTF_ADVISE_F_PMD);
	EXPECT_EQ(NR, c.out_skipped_pages[PTF_SKIP_KIND]);
	EXPECT_EQ(0, wrong(self->p, NR, SEED));
	fill(self->p, NR, SEED + 3);
	EXPECT_EQ(0, wrong(self->p, NR, SEED + 3));
	ASSERT_EQ(0, mprotect(self->p, HPAGE, PROT_READ));
	test_err_range_advise(EACCES, &c, 0, PTF_ADV_WRPROTECT, self->p, HPAGE,
			      PTF_ADVISE_F_PMD);
	EXPECT_EQ(NR, c.out_skipped_pages[PTF_SKIP_READONLY]);
}

TEST_F(thp, old)
{
	advise_leaf(PTF_ADV_OLD, PTF_ADVISE_F_PMD);
	EXPECT_EQ(NR, count_rows(self->p, PTF_STATE_PRESENT, 1));
	EXPECT_EQ(0, self->row[3].flags & PTF_ROW_YOUNG);
	ptf_touch(self->p + PAGES(3));
	EXPECT_EQ(NR, count_rows(self->p, PTF_STATE_PRESENT, 1));
	EXPECT_NE(0, self->row[3].flags & PTF_ROW_YOUNG);
	EXPECT_EQ(0, wrong(self->p, NR, SEED));
}

/* Shared with a child: writable again would be to write into its memory. */
TEST_F(thp, shared_after_fork)
{
	unsigned int *go = ptf_shared(PAGE);
	struct ptf_ioc_range_advise c;
	pid_t pid;

	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		ptf_await(go, 1, 20000);
		_exit(wrong(self->p, NR, SEED) != 0);
	}
	test_err_range_advise(EOPNOTSUPP, &c, 0, PTF_ADV_WRUNPROTECT, self->p, HPAGE,
			      PTF_ADVISE_F_PMD);
	EXPECT_EQ(NR, c.out_skipped_pages[PTF_SKIP_KIND]);
	hint();
	test_cmd_range_advise(&c, 0, PTF_ADV_PRESENT, self->p, HPAGE, 0);
	EXPECT_EQ(0, wrong(self->p, NR, SEED));
	hint();
	fill(self->p, NR, SEED + 1);
	*go = 1;
	EXPECT_EQ(0, ptf_wait(pid));
	EXPECT_EQ(0, wrong(self->p, NR, SEED + 1));
}

TEST_F(thp, pinned)
{
	struct ptftest_range r = { u64ptr(self->p) + PAGES(7), 2 };
	int dev = open(PTFTEST_DEV, O_RDWR | O_CLOEXEC);
	struct ptf_ioc_range_advise c;

	if (dev < 0)
		SKIP(return, "no " PTFTEST_DEV);
	ASSERT_EQ(0, ioctl(dev, PTFTEST_PIN, &r));
	test_err_range_advise(EBUSY, &c, 0, PTF_ADV_NOTPRESENT, self->p, HPAGE, PTF_ADVISE_F_PMD);
	EXPECT_EQ(NR, c.out_skipped_pages[PTF_SKIP_PINNED]);
	test_err_range_advise(EBUSY, &c, 0, PTF_ADV_STASH, self->p, HPAGE, PTF_ADVISE_F_SPLIT);
	EXPECT_EQ(NR, c.out_skipped_pages[PTF_SKIP_PINNED]);
	test_err_range_advise(EBUSY, &c, 0, PTF_ADV_SPLIT, self->p, HPAGE, 0);
	EXPECT_EQ(NR, c.out_skipped_pages[PTF_SKIP_PINNED]);
	test_err_range_advise(EBUSY, &c, 0, PTF_ADV_MIGRATE, self->p, HPAGE, PTF_ADVISE_F_SPLIT);
	EXPECT_TRUE(leaf(self->p));
	ASSERT_EQ(0, ioctl(dev, PTFTEST_UNPIN, 0));
	hint();
	EXPECT_EQ(0, wrong(self->p, NR, SEED));
	close(dev);
}

TEST_F(thp, kernel_users)
{
	struct iovec l, r = { self->p, HPAGE };
	char *buf = malloc(HPAGE);
	int i, mem = open("/proc/self/mem", O_RDWR | O_CLOEXEC), pipes[2];
	long min;

	ASSERT_NE(NULL, buf);
	memset(buf, 0, HPAGE);
	l = (struct iovec){ buf, HPAGE };
	for (i = 0; i < 2; i++) {
		/* the first time they may pass through, then not */
		advise_leaf(PTF_ADV_NOTPRESENT, PTF_ADVISE_F_PMD | (i ? PTF_ADVISE_F_GUP : 0));
		min = ptf_minflt();
		ASSERT_EQ(HPAGE, process_vm_readv(getpid(), &l, 1, &r, 1, 0));
		if (i)
			EXPECT_LT(min, ptf_minflt());
		EXPECT_EQ(0, wrong(buf, NR, SEED));
		fill(buf, NR, SEED + 1 + i);
		ptf_touch(self->p);
		hint();
		ASSERT_EQ(HPAGE, process_vm_writev(getpid(), &l, 1, &r, 1, 0));
		EXPECT_EQ(0, wrong(self->p, NR, SEED + 1 + i));
		fill(self->p, NR, SEED);
	}
	hint();
	ASSERT_EQ(PAGES(4), pread(mem, buf, PAGES(4), u64ptr(self->p)));
	EXPECT_EQ(0, wrong(buf, 4, SEED));
	ptf_touch(self->p);
	hint();
	/* copy_from_user */
	ASSERT_EQ(0, pipe(pipes));
	ASSERT_EQ(PAGE, write(pipes[1], self->p, PAGE));
	ASSERT_EQ(PAGE, read(pipes[0], buf, PAGE));
	EXPECT_EQ(0, wrong(buf, 1, SEED));
	EXPECT_EQ(0, wrong(self->p, NR, SEED));
	close(mem);
	close(pipes[0]);
	close(pipes[1]);
	free(buf);
}

/* ------------------------------------------------------------------ */
/* What core mm does to a huge page that is a hint                     */

static int check(void *p)
{
	return wrong(p, NR, SEED) != 0;
}

static int write_and_check(void *p)
{
	if (wrong(p, NR, SEED))
		return 1;
	fill(p, NR, SEED + 9);
	return wrong(p, NR, SEED + 9) ? 2 : 0;
}

TEST_F(thp, fork_and_exit)
{
	int i;

	for (i = 0; i < 3; i++) {
		hint();
		EXPECT_EQ(0, ptf_wait(ptf_child(check, self->p)));
		EXPECT_EQ(0, ptf_wait(ptf_child(write_and_check, self->p)));
		EXPECT_EQ(0, wrong(self->p, NR, SEED));
		fill(self->p, NR, SEED);
		if (!leaf(self->p))
			break;	/* it was copied page by page */
	}
	/* the last of it goes with this process, as a hint */
	if (leaf(self->p))
		hint();
}

TEST_F(thp, mprotect)
{
	hint();
	ASSERT_EQ(0, mprotect(self->p, HPAGE, PROT_READ));
	EXPECT_EQ(0, wrong(self->p, NR, SEED));
	ASSERT_EQ(0, mprotect(self->p, HPAGE, PROT_READ | PROT_WRITE));
	hint();
	ASSERT_EQ(0, mprotect(self->p, HPAGE, PROT_NONE));
	EXPECT_EQ(NR, count_rows(self->p, PTF_STATE_PROTNONE, 1));
	EXPECT_SAME_FRAMES();
	ASSERT_EQ(0, mprotect(self->p, HPAGE, PROT_READ | PROT_WRITE));
	EXPECT_EQ(0, wrong(self->p, NR, SEED));
	fill(self->p, NR, SEED);
	hint();
	/* a part of it: core mm splits the entry */
	ASSERT_EQ(0, mprotect(self->p + PAGES(100), PAGES(3), PROT_READ));
	EXPECT_FALSE(leaf(self->p));
	EXPECT_EQ(0, wrong(self->p, NR, SEED));
	ASSERT_EQ(0, mprotect(self->p + PAGES(100), PAGES(3), PROT_READ | PROT_WRITE));
	fill(self->p, NR, SEED + 1);
	EXPECT_EQ(0, wrong(self->p, NR, SEED + 1));
}

TEST_F(thp, mremap_and_munmap)
{
	char *map, *to = room(2 * HPAGE, &map);

	ASSERT_NE(NULL, to);
	hint();
	ASSERT_EQ(to, mremap(self->p, HPAGE, HPAGE, MREMAP_MAYMOVE | MREMAP_FIXED, to));
	EXPECT_EQ(0, wrong(to, NR, SEED));
	self->p = to;
	hint();
	/* not aligned: by small entries */
	ASSERT_EQ(to + PAGES(5), mremap(to, HPAGE - PAGES(5), HPAGE - PAGES(5),
					MREMAP_MAYMOVE | MREMAP_FIXED, to + HPAGE + PAGES(5)) -
		  HPAGE);
	EXPECT_EQ(0, wrong(to + HPAGE + PAGES(5), NR - 5, SEED));
	ASSERT_EQ(0, munmap(map, 3 * HPAGE));

	self->p = room(HPAGE, &map);
	ASSERT_EQ(0, madvise(self->p, HPAGE, MADV_HUGEPAGE));
	fill(self->p, NR, SEED);
	hint();
	ASSERT_EQ(0, munmap(self->p, PAGES(3)));
	EXPECT_EQ(ptf_word(SEED, 3, 0), *(volatile __u64 *)(self->p + PAGES(3)));
	ASSERT_EQ(0, munmap(map, 2 * HPAGE));
}

TEST_F(thp, madvise)
{
	unsigned int i;

	hint();
	ASSERT_EQ(0, madvise(self->p, HPAGE, MADV_COLD));
	EXPECT_EQ(0, wrong(self->p, NR, SEED));
	if (leaf(self->p))
		hint();
	ASSERT_EQ(0, madvise(self->p, HPAGE, MADV_PAGEOUT));
	EXPECT_EQ(0, wrong(self->p, NR, SEED));
	self->p = room(HPAGE, &self->map);
	ASSERT_EQ(0, madvise(self->p, HPAGE, MADV_HUGEPAGE));
	fill(self->p, NR, SEED);
	ASSERT_TRUE(leaf(self->p));
	hint();
	ASSERT_EQ(0, madvise(self->p + PAGES(9), PAGE, MADV_DONTNEED));
	EXPECT_EQ(0, ptf_touch(self->p + PAGES(9)));
	EXPECT_EQ(0, wrong(self->p, 9, SEED));
	ASSERT_EQ(0, madvise(self->p, HPAGE, MADV_DONTNEED));
	for (i = 0; i < NR; i++)
		EXPECT_EQ(0, ptf_touch(self->p + PAGES(i)));
}

/* khugepaged and MADV_COLLAPSE put pages together that are hints. */
TEST_F(thp, collapse)
{
	struct ptf_ioc_range_advise c;
	int i;

	for (i = 0; i < 3; i++) {
		advise_leaf(PTF_ADV_SPLIT, 0);
		EXPECT_EQ(NR, count_rows(self->p, PTF_STATE_PRESENT, 0));
		EXPECT_EQ(0, self->row[0].order);
		EXPECT_EQ(0, wrong(self->p, NR, SEED));
		/* one at least must be writable, which a hint is not on newer kernels */
		test_cmd_range_advise(&c, 0, PTF_ADV_NOTPRESENT, self->p, HPAGE - PAGE, 0);
		EXPECT_EQ(NR - 1, c.out_done_pages);
		if (madvise(self->p, HPAGE, MADV_COLLAPSE))
			SKIP(return, "MADV_COLLAPSE: %s", strerror(errno));
		EXPECT_TRUE(leaf(self->p));
		hint();
		EXPECT_EQ(0, madvise(self->p, HPAGE, MADV_COLLAPSE));
		EXPECT_EQ(0, wrong(self->p, NR, SEED));
		fill(self->p, NR, SEED);
	}
}

static __u64 sticky_hits(int fd)
{
	struct ptf_ioc_session_stat st;

	return _test_cmd_session_stat(fd, &st) ? ~0ULL : st.out_sticky_hits;
}

/* Each of so many loads, one after the other on each of some pages, is a fault. */
#define sticky(addr, nr) do { \
	__u64 __was = sticky_hits(self->fd); \
	unsigned int __i; \
	for (__i = 0; __i < 10 * (nr); __i++) \
		ptf_touch((addr) + PAGES(__i % (nr))); \
	EXPECT_EQ(__was + 10 * (nr), sticky_hits(self->fd)); \
} while (0)

/* Split, or, where that can't be had at this moment, a hint as a whole. */
static bool closed(int fd, const char *p)
{
	struct ptf_ioc_range_query q;
	struct ptf_row row;

	return !is_leaf(fd, 0, p) ||
	       (!_test_cmd_range_query(fd, &q, 0, p, PAGE, PTF_QUERY_F_PAGES, &row, 1) &&
		row.state == PTF_STATE_HINT);
}

/*
 * What core mm has put together is looked at a moment later. And khugepaged may put
 * it together once more meanwhile: it is to stay closed for a while.
 */
static bool in_time(int fd, const char *p)
{
	double t = ptf_seconds();

	while (ptf_seconds() - t < 5 * ptf_env("PTF_SLOW", 1)) {
		usleep(10000);
		if (!closed(fd, p))
			continue;
		usleep(100000 * ptf_env("PTF_SLOW", 1));
		if (closed(fd, p))
			return true;
	}
	return false;
}

/* A huge page in the place of marked pages: they fault as before. */
TEST_F_TIMEOUT(thp, collapse_marked, 60)
{
	struct iovec l = { self->was, PAGE }, r = { self->p + PAGES(200), PAGE };
	struct ptf_ioc_range_advise c;
	int i, splits = 0;
	bool split;
	long min;

	advise_leaf(PTF_ADV_SPLIT, 0);
	test_cmd_advise_all(PTF_ADV_STICKY, self->p + PAGES(100), PAGES(3));
	test_cmd_advise_all(PTF_ADV_POISON, self->p + PAGES(200), PAGE);
	for (i = 0; i < 3; i++) {
		if (madvise(self->p, HPAGE, MADV_COLLAPSE))
			SKIP(return, "MADV_COLLAPSE: %s", strerror(errno));
		ASSERT_TRUE(in_time(self->fd, self->p)) {
			TH_LOG("round %d: the huge page is open", i);
		}
		split = !leaf(self->p);
		splits += split;
		count_rows(self->p, PTF_STATE_HINT, 0);
		EXPECT_EQ(PTF_STATE_HINT, self->row[100].state);
		EXPECT_EQ(PTF_STATE_HINT, self->row[102].state);
		EXPECT_EQ(PTF_STATE_HINT, self->row[200].state);
		sticky(self->p + PAGES(100), 3);
		EXPECT_ERRNO(EFAULT, process_vm_readv(getpid(), &l, 1, &r, 1, 0));
		/* no other page of it does */
		min = ptf_minflt();
		EXPECT_EQ(0, wrong(self->p, 100, SEED));
		if (split && self->one_node)
			EXPECT_EQ(min, ptf_minflt());
	}
	if (splits != i)
		TH_LOG("split %d times of %d, else a hint as a whole", splits, i);
	test_cmd_range_advise(&c, 0, PTF_ADV_RESET, self->p, HPAGE, 0);
	EXPECT_EQ(0, wrong(self->p, NR, SEED));
	fill(self->p, NR, SEED + 1);
	EXPECT_EQ(0, wrong(self->p, NR, SEED + 1));
}

/* A fault that maps a huge page opens marked ones with it: no longer than its own. */
TEST_F_TIMEOUT(thp, faulted_in_marked, 60)
{
	char *map, *p = room(2 * HPAGE, &map);
	struct ptf_ioc_range_advise c;
	__u64 hits;
	int i;

	ASSERT_NE(NULL, p);
	ASSERT_EQ(0, madvise(p, 2 * HPAGE, MADV_HUGEPAGE));
	fill(p, NR, SEED);
	ASSERT_TRUE(leaf(p));
	test_cmd_range_advise(&c, 0, PTF_ADV_SPLIT, p, HPAGE, 0);
	/* one page is there, three are not */
	test_cmd_range_advise(&c, 0, PTF_ADV_STICKY, p + HPAGE - PAGE, PAGES(4), 0);
	EXPECT_EQ(1, c.out_done_pages);
	EXPECT_EQ(3, c.out_skipped_pages[PTF_SKIP_EMPTY]);
	hits = sticky_hits(self->fd);
	ptf_store(p + HPAGE + PAGE, 0x42);
	EXPECT_EQ(hits + 1, sticky_hits(self->fd));
	ASSERT_TRUE(in_time(self->fd, p + HPAGE));
	sticky(p + HPAGE - PAGE, 4);
	for (i = 0; i < 3; i++)
		EXPECT_EQ(i == 1 ? 0x42 : 0, ptf_touch(p + HPAGE + PAGES(i)));
	/* by a neighbour that is not marked, and so is not stepped: soon after */
	ASSERT_EQ(0, munmap(p + HPAGE, HPAGE));
	ASSERT_EQ(p + HPAGE, mmap(p + HPAGE, HPAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE |
				  MAP_ANONYMOUS | MAP_FIXED, -1, 0));
	ASSERT_EQ(0, madvise(p + HPAGE, HPAGE, MADV_HUGEPAGE));
	test_cmd_range_advise(&c, 0, PTF_ADV_STICKY, p + HPAGE - PAGE, PAGES(4), 0);
	ptf_store(p + HPAGE + PAGES(9), 1);
	ASSERT_TRUE(in_time(self->fd, p + HPAGE));
	sticky(p + HPAGE - PAGE, 4);
	EXPECT_EQ(1, ptf_touch(p + HPAGE + PAGES(9)));
	munmap(map, 3 * HPAGE);
}

/* ------------------------------------------------------------------ */
/* Split first                                                         */

TEST_F(thp, split)
{
	struct ptf_ioc_range_advise c;
	long min = ptf_minflt();

	test_cmd_range_advise(&c, 0, PTF_ADV_SPLIT, self->p + PAGES(8), PAGES(2), 0);
	EXPECT_EQ(2, c.out_done_pages);
	EXPECT_EQ(NR, count_rows(self->p, PTF_STATE_PRESENT, 0));
	EXPECT_SAME_FRAMES();
	EXPECT_EQ(0, self->row[0].order);
	EXPECT_EQ(0, wrong(self->p, NR, SEED));
	fill(self->p, NR, SEED);
	EXPECT_EQ(min, ptf_minflt());
	test_cmd_range_advise(&c, 0, PTF_ADV_SPLIT, self->p, HPAGE, 0);
	EXPECT_EQ(NR, c.out_same_pages);
	EXPECT_EQ(0, c.out_done_pages);
	/* what is not there can't be split */
	test_err_range_advise(ENODATA, &c, 0, PTF_ADV_SPLIT, self->p + HPAGE, PAGES(2), 0);
}

TEST_F(thp, split_a_hint)
{
	hint();
	advise_leaf(PTF_ADV_SPLIT, 0);
	EXPECT_EQ(NR, count_rows(self->p, PTF_STATE_PRESENT, 0));
	EXPECT_SAME_FRAMES();
	EXPECT_EQ(0, wrong(self->p, NR, SEED));
}

/* Who maps it as well has small pages too, and its content. */
TEST_F(thp, split_after_fork)
{
	unsigned int *go = ptf_shared(PAGE);
	pid_t pid;
	__u32 t;

	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		ptf_await(go, 1, 20000);
		_exit(write_and_check(self->p));
	}
	usleep(10000);
	test_cmd_target_open(pid, &t);
	advise_leaf(PTF_ADV_SPLIT, 0);
	EXPECT_FALSE(leaf(self->p));
	EXPECT_FALSE(is_leaf(self->fd, t, self->p));
	advise_leaf(PTF_ADV_UNSHARE, 0);
	EXPECT_EQ(NR, count_rows(self->p, PTF_STATE_PRESENT, 0));
	EXPECT_EQ(0, same_frames());
	fill(self->p, NR, SEED + 2);
	*go = 1;
	EXPECT_EQ(0, ptf_wait(pid));
	EXPECT_EQ(0, wrong(self->p, NR, SEED + 2));
}

TEST_F(thp, split_for_others)
{
	static const struct {
		unsigned int advice;
		int state;
	} all[] = {
		{ PTF_ADV_NOTPRESENT, PTF_STATE_HINT },
		{ PTF_ADV_STASH, PTF_STATE_STASHED },
		{ PTF_ADV_WRPROTECT, PTF_STATE_PRESENT },
		{ PTF_ADV_OLD, PTF_STATE_PRESENT },
		{ PTF_ADV_MIGRATE, PTF_STATE_PRESENT },
		{ PTF_ADV_STICKY, PTF_STATE_HINT },
	};
	struct ptf_ioc_range_advise c;
	unsigned int i, n, bad;

	for (i = 0; i < ARRAY_SIZE(all); i++) {
		ASSERT_TRUE(leaf(self->p));
		test_cmd_query_pages(0, self->p, HPAGE, self->was);
		test_cmd_range_advise(&c, 0, all[i].advice, self->p + PAGES(100), PAGES(50),
				      PTF_ADVISE_F_SPLIT);
		/* what is marked may have been closed meanwhile: it was split a moment ago */
		EXPECT_EQ(50, c.out_done_pages +
			  (all[i].advice == PTF_ADV_STICKY ? c.out_same_pages : 0)) {
			TH_LOG("advice %#x", all[i].advice);
		}
		test_cmd_query_pages(0, self->p, HPAGE, self->row);
		for (n = 0, bad = 0; n < NR; n++) {
			bool in = n >= 100 && n < 150;

			bad += self->row[n].level != 0 ||
			       self->row[n].state != (in ? all[i].state : PTF_STATE_PRESENT) ||
			       (self->row[n].pte_pfn != self->was[n].pte_pfn) !=
			       (in && all[i].advice == PTF_ADV_MIGRATE);
		}
		EXPECT_EQ(0, bad) {
			TH_LOG("advice %#x", all[i].advice);
		}
		EXPECT_EQ(0, wrong(self->p, NR, SEED));
		test_cmd_range_advise(&c, 0, PTF_ADV_RESET, self->p, HPAGE, 0);
		EXPECT_EQ(0, wrong(self->p, NR, SEED));
		fill(self->p, NR, SEED);
		if (madvise(self->p, HPAGE, MADV_COLLAPSE))
			break;
	}
	EXPECT_LT(0, i);
}

/* The huge zero page: nobody's, and still a translation of ours. */
TEST_F(thp, zero_page)
{
	static const __u32 how[] = { PTF_ADVISE_F_PMD, PTF_ADVISE_F_SPLIT, 0 };
	struct ptf_ioc_range_advise c;
	unsigned int i, k;
	char *map, *z;

	for (i = 0; i < ARRAY_SIZE(how); i++) {
		z = room(HPAGE, &map);
		ASSERT_NE(NULL, z);
		ASSERT_EQ(0, madvise(z, HPAGE, MADV_HUGEPAGE));
		ptf_touch(z);
		if (!leaf(z))
			SKIP(return, "the kernel has no huge zero page");
		test_cmd_range_advise(&c, 0, how[i] ? PTF_ADV_NOTPRESENT : PTF_ADV_SPLIT, z, HPAGE,
				      how[i]);
		EXPECT_EQ(NR, c.out_done_pages);
		EXPECT_EQ(how[i] == PTF_ADVISE_F_PMD, leaf(z));
		EXPECT_EQ(NR, count_rows(z, how[i] ? PTF_STATE_HINT : PTF_STATE_PRESENT,
					 how[i] == PTF_ADVISE_F_PMD));
		for (k = 0; k < HPAGE; k += 64)
			ASSERT_EQ(0, z[k]);
		EXPECT_EQ(0, ptf_wait(ptf_child(check, self->p)));
		fill(z, NR, SEED);
		EXPECT_EQ(0, wrong(z, NR, SEED));
		ASSERT_EQ(0, munmap(map, 2 * HPAGE));
	}
	z = room(HPAGE, &map);
	ASSERT_EQ(0, madvise(z, HPAGE, MADV_HUGEPAGE));
	ptf_touch(z);
	test_err_range_advise(EOPNOTSUPP, &c, 0, PTF_ADV_STASH, z, HPAGE, PTF_ADVISE_F_SPLIT);
	EXPECT_TRUE(leaf(z));
	test_err_range_advise(EOPNOTSUPP, &c, 0, PTF_ADV_MIGRATE, z, HPAGE, PTF_ADVISE_F_SPLIT);
	EXPECT_TRUE(leaf(z));
	test_cmd_range_advise(&c, 0, PTF_ADV_UNSHARE, z, PAGES(4), PTF_ADVISE_F_SPLIT);
	EXPECT_EQ(4, c.out_done_pages);
	for (k = 0; k < HPAGE; k += 64)
		ASSERT_EQ(0, z[k]);
	munmap(map, 2 * HPAGE);
}

/* ------------------------------------------------------------------ */
/* Files: shmem                                                        */

static char *shmem_huge(int fd, int *file, char **map)
{
	char *p;

	*file = memfd_create("huge", MFD_CLOEXEC);
	if (*file < 0 || ftruncate(*file, HPAGE) || !room(HPAGE, map))
		return NULL;
	p = (char *)(((uintptr_t)*map + HPAGE - 1) & ~(HPAGE - 1));
	p = mmap(p, HPAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, *file, 0);
	if (p == MAP_FAILED || madvise(p, HPAGE, MADV_HUGEPAGE))
		return NULL;
	fill(p, NR, SEED);
	return is_leaf(fd, 0, p) ? p : NULL;
}

TEST_F(thp, shmem)
{
	static const char enabled[] = "/sys/kernel/mm/transparent_hugepage/shmem_enabled";
	struct ptf_ioc_range_advise c;
	char *map, *p;
	int file;
	long min;

	ptf_write_file(enabled, "advise");
	p = shmem_huge(self->fd, &file, &map);
	ptf_write_file(enabled, "never");
	if (!p)
		SKIP(return, "no huge pages in shmem here");
	test_cmd_query_pages(0, p, HPAGE, self->was);
	self->p = p;
	hint();
	EXPECT_EQ(NR, count_rows(p, PTF_STATE_HINT, 1));
	EXPECT_SAME_FRAMES();
	min = ptf_minflt();
	EXPECT_EQ(0, wrong(p, NR, SEED));
	EXPECT_EQ(min + 1, ptf_minflt());
	fill(p, NR, SEED);
	hint();
	EXPECT_EQ(0, ptf_wait(ptf_child(check, p)));
	test_cmd_range_advise(&c, 0, PTF_ADV_PRESENT, p, HPAGE, 0);
	EXPECT_EQ(0, wrong(p, NR, SEED));
	/* nothing would be left to be a hint */
	test_err_range_advise(EOPNOTSUPP, &c, 0, PTF_ADV_NOTPRESENT, p, HPAGE,
			      PTF_ADVISE_F_SPLIT);
	EXPECT_EQ(NR, c.out_skipped_pages[PTF_SKIP_THP]);
	EXPECT_TRUE(leaf(p));
	advise_leaf(PTF_ADV_WRPROTECT, PTF_ADVISE_F_PMD);
	EXPECT_EQ(NR, count_rows(p, PTF_STATE_PRESENT, 1));
	EXPECT_EQ(0, wrong(p, NR, SEED));
	fill(p, NR, SEED + 1);
	EXPECT_EQ(0, wrong(p, NR, SEED + 1));
	fill(p, NR, SEED);
	/* SPLIT drops the entry, here alone, and a fault brings it back */
	if (leaf(p)) {
		advise_leaf(PTF_ADV_SPLIT, 0);
		EXPECT_EQ(NR, count_rows(p, PTF_STATE_NONE, 0));
		EXPECT_EQ(PTF_FILEMAP_PRESENT, self->row[7].file_state);
	}
	min = ptf_minflt();
	EXPECT_EQ(0, wrong(p, NR, SEED));
	munmap(map, 2 * HPAGE);
	close(file);
}

/* Writes to a page at moments that nobody expects, as soon as there is a round. */
struct intruder {
	volatile __u64 *word;
	volatile __u64 round, wrote;	/* 0: none is on */
	volatile bool stop;
};

static void *intrude(void *arg)
{
	struct sched_param high = { .sched_priority = 10 };
	struct intruder *in = arg;
	unsigned int seed = SEED;
	__u64 round;

	/* in place of whoever runs, if there is one CPU */
	pthread_setschedparam(pthread_self(), SCHED_FIFO, &high);
	while (!in->stop) {
		struct timespec t = { .tv_nsec = 20000 + rand_r(&seed) % 200000 };

		clock_nanosleep(CLOCK_MONOTONIC, 0, &t, NULL);
		round = in->round;
		if (!round || in->wrote == round)
			continue;
		*in->word = round;
		in->wrote = round;
	}
	return NULL;
}

/* Return: writes that met a split and were lost. */
static unsigned int split_rounds(struct __test_metadata *_metadata, int fd, char *addr)
{
	struct intruder in = { .word = (volatile __u64 *)addr };
	unsigned int i, lost = 0, met = 0, n = ptf_rounds(20000);
	double until = ptf_seconds() + 10 * ptf_env("PTF_SLOW", 1);
	struct ptf_ioc_range_advise c;
	cpu_set_t all;
	pthread_t th;

	/* both on one: the writer comes in the middle of a split */
	sched_getaffinity(0, sizeof(all), &all);
	ptf_pin_cpu(0);
	EXPECT_EQ(0, pthread_create(&th, NULL, intrude, &in))
		return 1;
	/* some of those that meet one are in time for the harm */
	for (i = 1; (i <= n || met < 100) && ptf_seconds() < until; i++) {
		madvise(addr, HPAGE, MADV_DONTNEED);
		ptf_touch(addr);
		in.round = i;
		_test_cmd_range_advise(fd, &c, 0, PTF_ADV_SPLIT, addr, HPAGE, 0);
		in.round = 0;
		if (in.wrote == i) {
			met++;
			lost += *in.word != i;
		}
	}
	in.stop = true;
	pthread_join(th, NULL);
	sched_setaffinity(0, sizeof(all), &all);
	TH_LOG("%u of %u rounds met a write", met, i - 1);
	EXPECT_LT(0, met);
	return lost;
}

/* What is written while a huge page is being split is there afterwards. */
TEST_F_TIMEOUT(thp, written_while_split, 120)
{
	char *map, *z, *p, *q;
	int file;

	z = room(HPAGE, &map);
	ASSERT_NE(NULL, z);
	ASSERT_EQ(0, madvise(z, HPAGE, MADV_HUGEPAGE));
	EXPECT_EQ(0, split_rounds(_metadata, self->fd, z));
	munmap(map, 2 * HPAGE);

	ptf_write_file("/sys/kernel/mm/transparent_hugepage/shmem_enabled", "advise");
	p = shmem_huge(self->fd, &file, &map);
	ptf_write_file("/sys/kernel/mm/transparent_hugepage/shmem_enabled", "never");
	if (!p)
		SKIP(return, "no huge pages in shmem here");
	munmap(map, 2 * HPAGE);
	q = room(HPAGE, &map);
	ASSERT_NE(NULL, q);
	q = mmap(q, HPAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED, file, 0);
	ASSERT_NE(MAP_FAILED, q);
	ptf_touch(q);
	if (!leaf(q))
		SKIP(return, "no private mapping of huge pages here");
	EXPECT_EQ(0, split_rounds(_metadata, self->fd, q));
	munmap(map, 2 * HPAGE);
	close(file);
}

/* ------------------------------------------------------------------ */
/* Other CPUs                                                          */

struct crowd {
	char *p;
	volatile int stop;
	unsigned long bad, turns;
};

static void *reader(void *arg)
{
	struct crowd *c = arg;
	unsigned long bad = 0;
	int i;

	while (!c->stop)
		for (i = 0; i < NR; i += 7) {
			const volatile __u64 *w = (const void *)(c->p + PAGES(i));

			bad += w[511] != ptf_word(SEED, i, 511);
		}
	__atomic_add_fetch(&c->bad, bad, __ATOMIC_RELAXED);
	return NULL;
}

/* Counts in the first word of each page; not one may be lost. */
static void *writer(void *arg)
{
	struct crowd *c = arg;
	int i;

	for (; !c->stop; c->turns++)
		for (i = 0; i < NR; i += 5)
			(*(volatile __u64 *)(c->p + PAGES(i)))++;
	return NULL;
}

TEST_F_TIMEOUT(thp, three_readers_one_writer, 120)
{
	static const struct {
		unsigned int advice;
		__u32 flags;
	} all[] = {
		{ PTF_ADV_NOTPRESENT, PTF_ADVISE_F_PMD },
		{ PTF_ADV_WRPROTECT, PTF_ADVISE_F_PMD },
		{ PTF_ADV_NOTPRESENT, PTF_ADVISE_F_PMD },
		{ PTF_ADV_OLD, PTF_ADVISE_F_PMD },
		{ PTF_ADV_PRESENT, 0 },
		{ PTF_ADV_NOTPRESENT, PTF_ADVISE_F_SPLIT },
		{ PTF_ADV_MIGRATE, PTF_ADVISE_F_SPLIT },
		{ PTF_ADV_STASH, PTF_ADVISE_F_SPLIT },
	};
	unsigned int i, k, n = ptf_rounds(200), collapsed = 0, split = 0;
	struct crowd c = { .p = self->p };
	struct ptf_ioc_range_advise cmd;
	pthread_t th[4];

	for (i = 0; i < NR; i += 5)
		*(__u64 *)(c.p + PAGES(i)) = 0;
	for (k = 0; k < 3; k++)
		ASSERT_EQ(0, pthread_create(&th[k], NULL, reader, &c));
	ASSERT_EQ(0, pthread_create(&th[3], NULL, writer, &c));
	for (i = 0; i < n; i++) {
		for (k = 0; k < ARRAY_SIZE(all); k++) {
			bool was = leaf(c.p);

			if (_test_cmd_range_advise(self->fd, &cmd, 0, all[k].advice, c.p, HPAGE,
						   all[k].flags) &&
			    errno != EBUSY && errno != EOPNOTSUPP)
				EXPECT_EQ(0, errno) {
					TH_LOG("advice %#x: %s", all[k].advice, strerror(errno));
				}
			split += was && !leaf(c.p);
		}
		/* what nobody touches would be away for ever, and in its way */
		_test_cmd_range_advise(self->fd, &cmd, 0, PTF_ADV_PRESENT, c.p, HPAGE, 0);
		collapsed += !madvise(c.p, HPAGE, MADV_COLLAPSE);
	}
	c.stop = 1;
	for (k = 0; k < 4; k++)
		pthread_join(th[k], NULL);
	EXPECT_EQ(0, c.bad);
	EXPECT_LT(0, c.turns);
	EXPECT_LT(0, split);
	if (ptf_kernel_from(6, 1))
		EXPECT_LT(0, collapsed);
	for (i = 0; i < NR; i += 5)
		EXPECT_EQ(c.turns, *(__u64 *)(c.p + PAGES(i)));
}

/* A CPU that reads, or writes, all the time must lose its translation. */
TEST_F(thp, flushed)
{
	static const struct {
		unsigned int advice;
		void *(*fn)(void *arg);
	} all[] = {
		{ PTF_ADV_NOTPRESENT, reader },
		{ PTF_ADV_WRPROTECT, writer },
	};
	struct ptf_ioc_range_advise cmd;
	long min0, maj, min;
	unsigned int i, k, tries;
	pthread_t th;
	int err;

	if (ptf_nr_cpus() < 2)
		SKIP(return, "one CPU");
	ptf_pin_cpu(0);
	for (k = 0; k < ARRAY_SIZE(all); k++) {
		struct crowd c = { .p = self->p };
		struct rusage ru;

		ASSERT_EQ(0, pthread_create(&th, NULL, all[k].fn, &c));
		usleep(20000);
		getrusage(RUSAGE_SELF, &ru);
		min0 = ru.ru_minflt;
		min = ptf_minflt();
		for (i = 0; i < 10; i++) {
			/* the kernel may just be moving it to the reader's node */
			for (tries = 0; tries < 200; tries++) {
				err = _test_cmd_range_advise(self->fd, &cmd, 0, all[k].advice,
							     self->p, HPAGE, PTF_ADVISE_F_PMD);
				if (!err || errno != EBUSY)
					break;
				usleep(10000);
			}
			ASSERT_OK(err);
			EXPECT_EQ(NR, cmd.out_done_pages);
			usleep(20000);
		}
		getrusage(RUSAGE_SELF, &ru);
		maj = ru.ru_minflt - min0 - (ptf_minflt() - min);
		c.stop = 1;
		pthread_join(th, NULL);
		EXPECT_LE(10, maj);
	}
}

/* ------------------------------------------------------------------ */
/* What is said of large folios                                        */

TEST_F(thp, large_pages_told)
{
	struct ptf_ioc_range_advise c;

	/* one folio, small entries */
	ASSERT_EQ(0, mprotect(self->p + PAGE, PAGE, PROT_READ));
	ASSERT_EQ(0, mprotect(self->p + PAGE, PAGE, PROT_READ | PROT_WRITE));
	ASSERT_EQ(NR, count_rows(self->p, PTF_STATE_PRESENT, 0));
	if (!self->row[0].order)
		SKIP(return, "the folio was split, too");
	test_cmd_range_advise(&c, 0, PTF_ADV_NOTPRESENT, self->p, PAGES(64),
			      PTF_ADVISE_F_ONESHOT);
	EXPECT_EQ(64, c.out_done_pages);
	EXPECT_EQ(64, c.out_large_pages);
	EXPECT_EQ(0, wrong(self->p, NR, SEED));
	/* healed by the session, one by one */
	test_cmd_range_advise(&c, 0, PTF_ADV_NOTPRESENT, self->p, PAGES(64), 0);
	EXPECT_EQ(0, c.out_large_pages);
	EXPECT_EQ(0, wrong(self->p, NR, SEED));
	test_cmd_range_advise(&c, 0, PTF_ADV_WRPROTECT, self->p, PAGES(64), 0);
	EXPECT_EQ(0, c.out_large_pages);
	EXPECT_EQ(0, wrong(self->p, NR, SEED));
}

TEST_HARNESS_MAIN
