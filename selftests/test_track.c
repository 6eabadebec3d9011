// SPDX-License-Identifier: GPL-2.0-only
/*
 * Write tracking: what is reported is what was written, page by page, neither
 * more nor less. Each kind of memory, each way in which core mm takes entries
 * away or gives write permission back, writers that keep a list of their own,
 * and the kernel as a writer.
 */
#include "ptf_test.h"

#include <linux/userfaultfd.h>
#include <poll.h>
#include <sys/uio.h>

#define NR	64
#define LEN	PAGES(NR)
#define SEED	67
#define MANY	4096

FIXTURE(track) {
	int fd;
	struct ptf_log log;
	char *mem;
	unsigned char *got;		/* a byte a page */
	unsigned char *want;
};

FIXTURE_SETUP(track)
{
	self->fd = ptf_setup(_metadata, &self->log);
	if (self->fd < 0)
		return;
	if (!(ptf_features(self->fd) & PTF_FEATURE_TRACK))
		SKIP(return, "no write tracking on this kernel");
	self->mem = ptf_anon(LEN);
	ASSERT_NE(NULL, self->mem);
	ptf_fill(self->mem, LEN, SEED);
	self->got = ptf_shared(2 * MANY);
	ASSERT_NE(NULL, self->got);
	self->want = self->got + MANY;
}

PTF_TEARDOWN(track)

static int _test_cmd_track_start(int fd, struct ptf_ioc_track_start *cmd, __u32 target,
				 const void *addr, size_t len, __u32 flags)
{
	PTF_POISONED(cmd);
	cmd->flags = flags;
	cmd->target = target;
	cmd->reserved = 0;
	cmd->start = u64ptr(addr);
	cmd->end = u64ptr(addr) + len;
	return ioctl(fd, PTF_IOC_TRACK_START, cmd);
}

static int _test_cmd_track_read(int fd, struct ptf_ioc_track_read *cmd, __u32 target,
				const void *addr, size_t len, __u32 flags,
				struct ptf_range *ranges, __u64 nr)
{
	PTF_POISONED(cmd);
	cmd->flags = flags;
	cmd->target = target;
	cmd->reserved = 0;
	cmd->start = u64ptr(addr);
	cmd->end = u64ptr(addr) + len;
	cmd->ranges = u64ptr(ranges);
	cmd->nr_ranges = nr;
	return ioctl(fd, PTF_IOC_TRACK_READ, cmd);
}

static int _test_cmd_track_stop(int fd, __u32 target)
{
	struct ptf_ioc_track_stop cmd = { .size = sizeof(cmd), .target = target };

	return ioctl(fd, PTF_IOC_TRACK_STOP, &cmd);
}

#define test_cmd_track_start(addr, len) do { \
	struct ptf_ioc_track_start __s; \
	ASSERT_OK(_test_cmd_track_start(self->fd, &__s, 0, addr, len, 0)); \
	ASSERT_EQ((len) / PAGE, __s.out_pages); \
} while (0)
#define test_cmd_track_stop() ASSERT_OK(_test_cmd_track_stop(self->fd, 0))

/*
 * The written pages of a range into @set, a byte a page, added up; with few
 * ranges at a time, so that it takes several calls. Pages, or -errno.
 */
static long read_set(int fd, __u32 target, const char *addr, size_t len, __u32 flags,
		     unsigned char *set)
{
	struct ptf_ioc_track_read c;
	struct ptf_range r[7];
	__u64 at = u64ptr(addr), end = at + len, last = 0, i, p;
	long pages = 0;

	while (at < end) {
		memset(r, POISON, sizeof(r));
		if (_test_cmd_track_read(fd, &c, target, (void *)at, end - at, flags, r,
					 ARRAY_SIZE(r)))
			return -errno;
		if (c.out_ranges > ARRAY_SIZE(r) || c.out_next <= at || c.out_next > end)
			return -ERANGE;
		/* a full array is the only reason to stop */
		if (c.out_next < end && c.out_ranges < ARRAY_SIZE(r))
			return -ENODATA;
		for (i = 0; i < c.out_ranges; i++) {
			if (r[i].start >= r[i].end || r[i].start < at || r[i].end > c.out_next ||
			    (i && r[i].start <= last))
				return -EBADMSG;
			last = r[i].end;
			for (p = r[i].start; p < r[i].end; p += PAGE) {
				set[(p - u64ptr(addr)) / PAGE]++;
				c.out_pages--;
				pages++;
			}
		}
		if (c.out_pages)
			return -EPROTO;
		at = c.out_next;
	}
	return pages;
}

/* Exactly the pages that are set in self->want. */
#define expect_want(addr, nr, flags) do { \
	unsigned int __i, __n = 0, __more = 0; \
	long __ret; \
	memset(self->got, 0, nr); \
	__ret = read_set(self->fd, 0, addr, PAGES(nr), flags, self->got); \
	for (__i = 0; __i < (nr); __i++) { \
		__n += !!self->want[__i]; \
		if (!self->got[__i] == !self->want[__i]) \
			continue; \
		if (!__more++) \
			TH_LOG("page %u: %s", __i, self->got[__i] ? "invented" : "lost"); \
	} \
	EXPECT_EQ(0, __more); \
	EXPECT_EQ(__n, __ret); \
} while (0)

#define want_none(nr) memset(self->want, 0, nr)

static void write_pages(char *mem, unsigned char *want, unsigned int nr, unsigned int from,
			unsigned int step)
{
	unsigned int i;

	for (i = from; i < nr; i += step) {
		ptf_rewrite(mem + PAGES(i));
		want[i] = 1;
	}
}

/* CLEAN takes the dirty bit, and UNPOISON gives write permission: nothing is lost. */
TEST_F(track, advice_loses_nothing)
{
	struct ptf_ioc_range_advise adv;
	char *shared = ptf_shared(PAGES(2));
	struct ptf_row row;

	ASSERT_NE(NULL, shared);
	memset(shared, 1, PAGES(2));
	test_cmd_track_start(shared, PAGES(2));
	ptf_rewrite(shared);
	test_cmd_range_advise(&adv, 0, PTF_ADV_CLEAN, shared, PAGES(2), 0);
	want_none(2);
	self->want[0] = 1;
	expect_want(shared, 2, 0);
	test_cmd_track_stop();

	test_cmd_track_start(self->mem, PAGE);
	test_cmd_range_advise(&adv, 0, PTF_ADV_POISON, self->mem, PAGE, 0);
	test_cmd_range_advise(&adv, 0, PTF_ADV_UNPOISON, self->mem, PAGE, 0);
	test_cmd_query_pages(0, self->mem, PAGE, &row);
	EXPECT_EQ(PTF_STATE_PRESENT, row.state);
	EXPECT_EQ(0, row.flags & PTF_ROW_WRITE);
	want_none(1);
	expect_want(self->mem, 1, 0);
}

TEST_F(track, written_is_reported)
{
	struct ptf_ioc_track_read c;
	struct ptf_range r[4];

	test_cmd_track_start(self->mem, LEN);
	want_none(NR);
	expect_want(self->mem, NR, 0);
	EXPECT_EQ(0, ptf_wrong(self->mem, LEN, SEED));
	expect_want(self->mem, NR, 0);
	ptf_rewrite(self->mem + PAGES(3));
	ptf_rewrite(self->mem + PAGES(7) + 100);
	ptf_rewrite(self->mem + PAGES(9) - 1);
	ASSERT_OK(_test_cmd_track_read(self->fd, &c, 0, self->mem, LEN, 0, r, 4));
	EXPECT_EQ(2, c.out_ranges);
	EXPECT_EQ(3, c.out_pages);
	EXPECT_EQ(u64ptr(self->mem) + LEN, c.out_next);
	EXPECT_EQ(u64ptr(self->mem) + PAGES(3), r[0].start);
	EXPECT_EQ(u64ptr(self->mem) + PAGES(4), r[0].end);
	EXPECT_EQ(u64ptr(self->mem) + PAGES(7), r[1].start);
	EXPECT_EQ(u64ptr(self->mem) + PAGES(9), r[1].end);
	self->want[3] = 1;
	self->want[7] = 1;
	self->want[8] = 1;
	/* reading takes nothing away, taking does */
	expect_want(self->mem, NR, 0);
	expect_want(self->mem, NR, PTF_TRACK_F_TAKE);
	want_none(NR);
	expect_want(self->mem, NR, 0);
	ptf_rewrite(self->mem + PAGES(7));
	self->want[7] = 1;
	expect_want(self->mem, NR, PTF_TRACK_F_TAKE);
	want_none(NR);
	expect_want(self->mem, NR, PTF_TRACK_F_TAKE);
	EXPECT_EQ(0, ptf_wrong(self->mem, LEN, SEED));
	/* from a place in between, the rest later */
	write_pages(self->mem, self->want, NR, 0, 2);
	ASSERT_OK(_test_cmd_track_read(self->fd, &c, 0, self->mem, LEN, PTF_TRACK_F_TAKE, r, 3));
	EXPECT_EQ(3, c.out_ranges);
	EXPECT_EQ(3, c.out_pages);
	EXPECT_EQ(u64ptr(self->mem) + PAGES(4), r[2].start);
	EXPECT_EQ(u64ptr(self->mem) + PAGES(6), c.out_next);
	self->want[0] = 0;
	self->want[2] = 0;
	self->want[4] = 0;
	expect_want(self->mem, NR, PTF_TRACK_F_TAKE);
	test_cmd_track_stop();
	EXPECT_ERRNO(ENOENT, _test_cmd_track_read(self->fd, &c, 0, self->mem, LEN, 0, r, 4));
	EXPECT_ERRNO(ENOENT, _test_cmd_track_stop(self->fd, 0));
	EXPECT_EQ(0, ptf_wrong(self->mem, LEN, SEED));
}

/* The dirty bit that is taken away was all that knew of the content. */
TEST_F(track, taken_is_not_lost)
{
	unsigned char set[NR] = { 0 };
	char *p = mmap(NULL, LEN, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	unsigned int i;

	ASSERT_NE(MAP_FAILED, p);
	/* what is mapped by a read is written without telling anybody but the entry */
	for (i = 0; i < NR; i++)
		ptf_touch(p + PAGES(i));
	ptf_fill(p, LEN, SEED);
	test_cmd_track_start(p, LEN);
	/* reclaimed, wherever there is swap; dropped, if it were clean */
	madvise(p, LEN, MADV_PAGEOUT);
	EXPECT_EQ(0, ptf_wrong(p, LEN, SEED));
	ptf_fill(p, LEN, SEED + 1);
	EXPECT_EQ(NR, read_set(self->fd, 0, p, LEN, PTF_TRACK_F_TAKE, set));
	madvise(p, LEN, MADV_PAGEOUT);
	EXPECT_EQ(0, ptf_wrong(p, LEN, SEED + 1));
	test_cmd_track_stop();
	munmap(p, LEN);
}

/* The rows say so, page by page, where there is nothing and where a mapping is read-only. */
TEST_F(track, rows)
{
	struct ptf_ioc_range_query q;
	struct ptf_ioc_range_advise a;
	struct ptf_row rows[NR];
	char *p = ptf_anon(LEN);
	unsigned int i;

	ASSERT_NE(NULL, p);
	ptf_fill(p, LEN / 2, SEED);
	test_cmd_track_start(p + PAGES(8), LEN / 2);
	test_cmd_query_pages(0, p, LEN, rows);
	for (i = 0; i < NR; i++) {
		EXPECT_EQ(i >= 8 && i < 8 + NR / 2, !!(rows[i].flags & PTF_ROW_TRACKED));
		EXPECT_EQ(0, rows[i].flags & PTF_ROW_STICKY);
		EXPECT_EQ(i < NR / 2 ? PTF_STATE_PRESENT : PTF_STATE_NONE, rows[i].state);
	}
	/* runs end where it does */
	test_cmd_range_query(&q, 0, p + LEN / 2, LEN / 2, 0, rows, NR);
	ASSERT_EQ(2, q.out_rows);
	EXPECT_EQ(8, rows[0].nr_pages);
	EXPECT_NE(0, rows[0].flags & PTF_ROW_TRACKED);
	EXPECT_EQ(NR / 2 - 8, rows[1].nr_pages);
	EXPECT_EQ(0, rows[1].flags & PTF_ROW_TRACKED);
	test_cmd_range_advise(&a, 0, PTF_ADV_STICKY, p + PAGES(4), PAGES(8), 0);
	test_cmd_query_pages(0, p, LEN, rows);
	for (i = 0; i < NR; i++) {
		EXPECT_EQ(i >= 8 && i < 8 + NR / 2, !!(rows[i].flags & PTF_ROW_TRACKED));
		EXPECT_EQ(i >= 4 && i < 12, !!(rows[i].flags & PTF_ROW_STICKY));
	}
	/* pages that fault each time are found as well */
	want_none(NR);
	ptf_rewrite(p + PAGES(5));
	ptf_rewrite(p + PAGES(9));
	ptf_touch_all(p, LEN / 2);
	self->want[9] = 1;
	expect_want(p, NR, 0);
	test_cmd_track_stop();
	test_cmd_query_pages(0, p, LEN, rows);
	for (i = 0; i < NR; i++)
		EXPECT_EQ(0, rows[i].flags & PTF_ROW_TRACKED);
}

/* What was written before counts nothing, whatever happens to it. */
TEST_F(track, before_the_start)
{
	char *more = ptf_anon(LEN);

	ASSERT_NE(NULL, more);
	ptf_fill(more, LEN, SEED);
	want_none(NR);
	test_cmd_track_start(self->mem, LEN / 2);
	expect_want(self->mem, NR / 2, 0);
	/* a second call adds, and leaves what is known */
	write_pages(self->mem, self->want, NR / 2, 1, 4);
	test_cmd_track_start(self->mem, LEN);
	expect_want(self->mem, NR, 0);
	write_pages(self->mem, self->want, NR, NR / 2 + 3, 5);
	expect_want(self->mem, NR, 0);
	test_cmd_track_start(more, LEN);
	expect_want(self->mem, NR, 0);
	memset(self->want, 0, NR);
	expect_want(more, NR, 0);
	/* started again: from nothing */
	test_cmd_track_stop();
	test_cmd_track_start(self->mem, LEN);
	expect_want(self->mem, NR, 0);
	EXPECT_EQ(0, madvise(self->mem, LEN, MADV_PAGEOUT));
	expect_want(self->mem, NR, 0);
	EXPECT_EQ(0, ptf_wrong(self->mem, LEN, SEED));
	expect_want(self->mem, NR, 0);
}

TEST_F(track, arguments)
{
	struct ptf_ioc_track_start s;
	struct ptf_ioc_track_read c;
	struct ptf_ioc_track_stop e = { .size = sizeof(e) };
	struct ptf_range r[4];
	char *p = self->mem, *hole = ptf_hole(PAGES(4));
	int other;

	EXPECT_ERRNO(ENOENT, _test_cmd_track_read(self->fd, &c, 0, p, LEN, 0, r, 4));
	EXPECT_ERRNO(EOPNOTSUPP, _test_cmd_track_start(self->fd, &s, 0, p, LEN, 2));
	EXPECT_ERRNO(EINVAL, _test_cmd_track_start(self->fd, &s, 0, p + 1, LEN, 0));
	EXPECT_ERRNO(EINVAL, _test_cmd_track_start(self->fd, &s, 0, p, 1, 0));
	EXPECT_ERRNO(EINVAL, _test_cmd_track_start(self->fd, &s, 0, p, 0, 0));
	EXPECT_ERRNO(EINVAL, _test_cmd_track_start(self->fd, &s, 0, p, ~0UL - u64ptr(p) + 1, 0));
	EXPECT_ERRNO(ENOENT, _test_cmd_track_start(self->fd, &s, 77, p, LEN, 0));
	EXPECT_ERRNO(ENOMEM, _test_cmd_track_start(self->fd, &s, 0, hole, PAGES(4), 0));
	EXPECT_EQ(4, s.out_skipped_pages[PTF_SKIP_HOLE]);
	EXPECT_EQ(0, s.out_pages);
	ASSERT_EQ(0, mprotect(p, PAGES(2), PROT_READ));
	EXPECT_ERRNO(EACCES, _test_cmd_track_start(self->fd, &s, 0, p, PAGES(2), 0));
	EXPECT_EQ(2, s.out_skipped_pages[PTF_SKIP_READONLY]);
	ASSERT_EQ(0, mprotect(p, PAGES(2), PROT_NONE));
	EXPECT_ERRNO(EOPNOTSUPP, _test_cmd_track_start(self->fd, &s, 0, p, PAGES(2), 0));
	EXPECT_EQ(2, s.out_skipped_pages[PTF_SKIP_PROTNONE]);
	/* nothing of that is left behind */
	EXPECT_ERRNO(ENOENT, _test_cmd_track_read(self->fd, &c, 0, p, LEN, 0, r, 4));
	EXPECT_ERRNO(ENOENT, _test_cmd_track_stop(self->fd, 0));
	ASSERT_OK(_test_cmd_track_start(self->fd, &s, 0, p, LEN, 0));
	EXPECT_EQ(NR - 2, s.out_pages);
	EXPECT_EQ(2, s.out_skipped_pages[PTF_SKIP_PROTNONE]);
	/* but what becomes writable later is found */
	ASSERT_EQ(0, mprotect(p, PAGES(2), PROT_READ | PROT_WRITE));
	want_none(NR);
	expect_want(p, NR, 0);
	write_pages(p, self->want, NR, 1, NR);
	expect_want(p, NR, 0);
	/* once more: all of it */
	ASSERT_OK(_test_cmd_track_start(self->fd, &s, 0, p, LEN, 0));
	EXPECT_EQ(NR, s.out_pages);
	expect_want(p, NR, 0);

	EXPECT_ERRNO(EOPNOTSUPP, _test_cmd_track_read(self->fd, &c, 0, p, LEN, 4, r, 4));
	EXPECT_ERRNO(EINVAL, _test_cmd_track_read(self->fd, &c, 0, p, LEN, 0, r, 0));
	EXPECT_ERRNO(EINVAL, _test_cmd_track_read(self->fd, &c, 0, p, LEN, 0, NULL, 4));
	EXPECT_ERRNO(EINVAL, _test_cmd_track_read(self->fd, &c, 0, p + 8, LEN, 0, r, 4));
	EXPECT_ERRNO(EOVERFLOW, _test_cmd_track_read(self->fd, &c, 0, p, LEN, 0, r, ~0ULL));
	/* where nothing is tracked nothing is written */
	ASSERT_OK(_test_cmd_track_read(self->fd, &c, 0, hole, PAGES(4), 0, r, 4));
	EXPECT_EQ(0, c.out_ranges);
	EXPECT_EQ(u64ptr(hole) + PAGES(4), c.out_next);
	/* what can't be handed over is not taken */
	EXPECT_ERRNO(EFAULT, _test_cmd_track_read(self->fd, &c, 0, p, LEN, PTF_TRACK_F_TAKE,
						  (void *)8, 4));
	expect_want(p, NR, PTF_TRACK_F_TAKE);
	want_none(NR);
	expect_want(p, NR, 0);

	e.flags = 1;
	EXPECT_ERRNO(EOPNOTSUPP, ioctl(self->fd, PTF_IOC_TRACK_STOP, &e));
	e.flags = 0;
	e.reserved = 1;
	EXPECT_ERRNO(EINVAL, ioctl(self->fd, PTF_IOC_TRACK_STOP, &e));
	/* one session at a time */
	other = open(PTF_DEV, O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, other);
	EXPECT_ERRNO(EBUSY, _test_cmd_track_start(other, &s, 0, p, LEN, 0));
	EXPECT_ERRNO(ENOENT, _test_cmd_track_read(other, &c, 0, p, LEN, 0, r, 4));
	EXPECT_ERRNO(ENOENT, _test_cmd_track_stop(other, 0));
	test_cmd_track_stop();
	ASSERT_OK(_test_cmd_track_start(other, &s, 0, p, LEN, 0));
	EXPECT_ERRNO(EBUSY, _test_cmd_track_start(self->fd, &s, 0, p, LEN, 0));
	/* a close is a stop */
	close(other);
	test_cmd_track_start(p, LEN);
	/* and so is RESET */
	{
		struct ptf_ioc_range_advise a;

		test_cmd_range_advise(&a, 0, PTF_ADV_RESET, p, LEN, 0);
	}
	EXPECT_ERRNO(ENOENT, _test_cmd_track_stop(self->fd, 0));
	EXPECT_EQ(0, ptf_wrong(p, LEN, SEED));
}

/* Memory that is not there yet: one write, one page, however much is mapped. */
TEST_F(track, first_touch)
{
	char *p = mmap(NULL, 2 * HPAGE + PAGES(MANY / 4), PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	unsigned int nr = HPAGE / PAGE, i;

	ASSERT_NE(MAP_FAILED, p);
	p = (char *)((u64ptr(p) + HPAGE - 1) & ~(HPAGE - 1));
	/* huge pages are welcome */
	madvise(p, 2 * HPAGE, MADV_HUGEPAGE);
	test_cmd_track_start(p, 2 * HPAGE);
	want_none(2 * nr);
	expect_want(p, 2 * nr, 0);
	ptf_touch(p + PAGES(5));
	ptf_touch(p + HPAGE);
	expect_want(p, 2 * nr, 0);
	ptf_store(p + PAGES(100), 1);
	self->want[100] = 1;
	expect_want(p, 2 * nr, 0);
	ptf_store(p + PAGES(5), 1);
	self->want[5] = 1;
	for (i = nr; i < 2 * nr; i += 33) {
		ptf_store(p + PAGES(i), 2);
		self->want[i] = 1;
	}
	expect_want(p, 2 * nr, PTF_TRACK_F_TAKE);
	want_none(2 * nr);
	expect_want(p, 2 * nr, 0);
	for (i = 0; i < 2 * nr; i++)
		EXPECT_EQ(i == 5 || i == 100 ? 1 : i >= nr && !((i - nr) % 33) ? 2 : 0,
			  p[PAGES(i)]);
	expect_want(p, 2 * nr, 0);
	/* a mapping made later, where it is tracked */
	ASSERT_EQ(p, mmap(p, HPAGE, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
	expect_want(p, 2 * nr, 0);
	ptf_store(p + PAGES(77), 1);
	self->want[77] = 1;
	expect_want(p, 2 * nr, 0);
}

TEST_F(track, huge_pages_are_split)
{
	struct ptf_ioc_page_walk w;
	unsigned int nr = HPAGE / PAGE;
	char *p = mmap(NULL, 2 * HPAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
		       -1, 0);

	ASSERT_NE(MAP_FAILED, p);
	p = (char *)((u64ptr(p) + HPAGE - 1) & ~(HPAGE - 1));
	madvise(p, HPAGE, MADV_HUGEPAGE);
	ptf_fill(p, HPAGE, SEED);
	test_cmd_page_walk(&w, 0, p);
	if (w.out_row.level != 1)
		SKIP(return, "no huge page to be had");
	test_cmd_track_start(p, HPAGE);
	test_cmd_page_walk(&w, 0, p);
	EXPECT_EQ(0, w.out_row.level);
	want_none(nr);
	expect_want(p, nr, 0);
	write_pages(p, self->want, nr, 3, 40);
	expect_want(p, nr, 0);
	/* the kernel may not make one of it again */
	if (!madvise(p, HPAGE, MADV_COLLAPSE))
		TH_LOG("collapsed");
	expect_want(p, nr, 0);
	write_pages(p, self->want, nr, 5, 60);
	expect_want(p, nr, PTF_TRACK_F_TAKE);
	want_none(nr);
	expect_want(p, nr, 0);
	EXPECT_EQ(0, ptf_wrong(p, HPAGE, SEED));
	expect_want(p, nr, 0);
}

/* Files and shared memory: to read is not to write. */
static void *map_of(const char *kind, size_t len, int *file)
{
	int flags = strstr(kind, "private") ? MAP_PRIVATE : MAP_SHARED;
	char *buf;
	void *p;

	*file = -1;
	if (!strcmp(kind, "shared anonymous")) {
		p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
		if (p != MAP_FAILED)
			ptf_fill(p, len, SEED);
		return p;
	}
	*file = ptf_file_in(strstr(kind, "disk") ? PTF_SCRATCH : PTF_SHM, len, SEED);
	if (*file < 0)
		return MAP_FAILED;
	if (strstr(kind, "large")) {
		/* in one go, and so in large folios where there are any */
		buf = ptf_anon(len);
		if (!buf || pread(*file, buf, len, 0) != len || ftruncate(*file, 0) ||
		    pwrite(*file, buf, len, 0) != len)
			return MAP_FAILED;
		munmap(buf, len);
	}
	return mmap(NULL, len, PROT_READ | PROT_WRITE, flags, *file, 0);
}

static const char *const kinds[] = {
	"shared anonymous", "shared tmpfs", "private tmpfs", "shared disk", "private disk",
	"shared disk large", "private disk large",
};

TEST_F_TIMEOUT(track, files, 120)
{
	const unsigned int nr = 256;
	unsigned int k, i;
	int file;
	char *p;

	for (k = 0; k < ARRAY_SIZE(kinds); k++) {
		p = map_of(kinds[k], PAGES(nr), &file);
		ASSERT_NE(MAP_FAILED, p) {
			TH_LOG("%s: %s", kinds[k], strerror(errno));
		}
		TH_LOG("%s", kinds[k]);
		/* some mapped and written before */
		write_pages(p, self->want, nr, 0, 9);
		test_cmd_track_start(p, PAGES(nr));
		want_none(nr);
		expect_want(p, nr, 0);
		write_pages(p, self->want, nr, 2, 51);
		expect_want(p, nr, 0);
		EXPECT_EQ(0, ptf_wrong(p, PAGES(nr), SEED));
		expect_want(p, nr, 0);
		expect_want(p, nr, PTF_TRACK_F_TAKE);
		want_none(nr);
		/* writeback cleans entries on its own account */
		write_pages(p, self->want, nr, 1, 32);
		if (file >= 0)
			ASSERT_EQ(0, fsync(file));
		expect_want(p, nr, 0);
		write_pages(p, self->want, nr, 4, 64);
		expect_want(p, nr, PTF_TRACK_F_TAKE);
		want_none(nr);
		expect_want(p, nr, 0);
		if (strstr(kinds[k], "shared")) {
			/* unmapped here, and still written */
			write_pages(p, self->want, nr, 7, 32);
			ASSERT_EQ(0, madvise(p, PAGES(nr), MADV_DONTNEED));
			expect_want(p, nr, 0);
			EXPECT_EQ(0, ptf_wrong(p, PAGES(nr), SEED));
			expect_want(p, nr, PTF_TRACK_F_TAKE);
			want_none(nr);
			ASSERT_EQ(0, madvise(p, PAGES(nr), MADV_DONTNEED));
			/* a first touch that writes: one of many at a time */
			for (i = 3; i < nr; i += 16) {
				ptf_store(p + PAGES(i), p[PAGES(i)]);
				self->want[i] = 1;
			}
			expect_want(p, nr, 0);
			EXPECT_EQ(0, ptf_wrong(p, PAGES(nr), SEED));
			expect_want(p, nr, PTF_TRACK_F_TAKE);
			ASSERT_EQ(0, madvise(p, PAGES(nr), MADV_DONTNEED));
			want_none(nr);
			for (i = 5; i < nr; i += 32) {
				ptf_store(p + PAGES(i), 0);
				self->want[i] = 1;
			}
			expect_want(p, nr, PTF_TRACK_F_TAKE);
		}
		test_cmd_track_stop();
		munmap(p, PAGES(nr));
		if (file >= 0)
			close(file);
	}
}

static bool swapped(const char *p)
{
	return ptf_pagemap(getpid(), p) & PM_SWAP;
}

TEST_F(track, swap)
{
	unsigned int i, out = 0;

	if (ptf_swap_free_kb() < 4096)
		SKIP(return, "no swap");
	test_cmd_track_start(self->mem, LEN);
	want_none(NR);
	write_pages(self->mem, self->want, NR, 0, 3);
	ASSERT_EQ(0, madvise(self->mem, LEN, MADV_PAGEOUT));
	for (i = 0; i < NR; i++)
		out += swapped(self->mem + PAGES(i));
	EXPECT_LT(0, out);
	expect_want(self->mem, NR, 0);
	/* back by a read: not written */
	EXPECT_EQ(0, ptf_wrong(self->mem, LEN, SEED));
	expect_want(self->mem, NR, PTF_TRACK_F_TAKE);
	want_none(NR);
	expect_want(self->mem, NR, 0);
	ASSERT_EQ(0, madvise(self->mem, LEN, MADV_PAGEOUT));
	expect_want(self->mem, NR, 0);
	/* back by a write, among others that come along */
	write_pages(self->mem, self->want, NR, 1, 5);
	expect_want(self->mem, NR, 0);
	EXPECT_EQ(0, ptf_wrong(self->mem, LEN, SEED));
	expect_want(self->mem, NR, PTF_TRACK_F_TAKE);
	want_none(NR);
	/* read, out, written, out, read */
	ASSERT_EQ(0, madvise(self->mem, LEN, MADV_PAGEOUT));
	EXPECT_EQ(0, ptf_wrong(self->mem, LEN, SEED));
	write_pages(self->mem, self->want, NR, 2, 7);
	ASSERT_EQ(0, madvise(self->mem, LEN, MADV_PAGEOUT));
	EXPECT_EQ(0, ptf_wrong(self->mem, LEN, SEED));
	expect_want(self->mem, NR, PTF_TRACK_F_TAKE);
}

/* Started while it is out. */
TEST_F(track, started_in_swap)
{
	if (ptf_swap_free_kb() < 4096)
		SKIP(return, "no swap");
	ASSERT_EQ(0, madvise(self->mem, LEN, MADV_PAGEOUT));
	test_cmd_track_start(self->mem, LEN);
	want_none(NR);
	EXPECT_EQ(0, ptf_wrong(self->mem, LEN / 2, SEED));
	expect_want(self->mem, NR, 0);
	write_pages(self->mem, self->want, NR, 1, 4);
	expect_want(self->mem, NR, 0);
	EXPECT_EQ(0, ptf_wrong(self->mem, LEN, SEED));
}

/* Who drives the handler has no access that would come again. */
TEST_F(track, driven)
{
	int file = memfd_create("track", MFD_CLOEXEC);
	struct ptf_ioc_range_fault f = { .size = sizeof(f), .access = PTF_ACCESS_WRITE };
	char *p;

	ASSERT_LE(0, file);
	ASSERT_EQ(0, ftruncate(file, PAGES(8)));
	p = mmap(NULL, PAGES(8), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
	ASSERT_NE(MAP_FAILED, p);
	test_cmd_track_start(p, PAGES(8));
	f.start = u64ptr(p);
	f.end = u64ptr(p) + PAGES(4);
	ASSERT_OK(ioctl(self->fd, PTF_IOC_RANGE_FAULT, &f));
	EXPECT_EQ(4, f.out_minor);
	want_none(8);
	memset(self->want, 1, 4);
	expect_want(p, 8, 0);
	test_cmd_track_stop();
	munmap(p, PAGES(8));
	close(file);
}

TEST_F(track, fork)
{
	struct ptf_ioc_track_read c;
	struct ptf_range r[4];
	unsigned int *go = ptf_shared(PAGE);
	pid_t pid;

	ASSERT_NE(NULL, go);
	test_cmd_track_start(self->mem, LEN);
	want_none(NR);
	write_pages(self->mem, self->want, NR, 0, 8);
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		/* the child's writes are its own */
		ptf_fill(self->mem, LEN, SEED + 1);
		/* and it is not tracked, but has the session: that is the parent's */
		if (_test_cmd_track_read(self->fd, &c, 0, self->mem, LEN, 0, r, 4))
			_exit(1);
		__atomic_store_n(&go[0], 1, __ATOMIC_SEQ_CST);
		ptf_await(&go[1], 1, 30000);
		_exit(ptf_wrong(self->mem, LEN, SEED + 1) ? 2 : 0);
	}
	ASSERT_TRUE(ptf_await(&go[0], 1, 30000));
	expect_want(self->mem, NR, 0);
	/* copies on write, and write permission where the child has its own */
	write_pages(self->mem, self->want, NR, 3, 8);
	expect_want(self->mem, NR, PTF_TRACK_F_TAKE);
	want_none(NR);
	expect_want(self->mem, NR, 0);
	write_pages(self->mem, self->want, NR, 3, 16);
	expect_want(self->mem, NR, PTF_TRACK_F_TAKE);
	__atomic_store_n(&go[1], 1, __ATOMIC_SEQ_CST);
	EXPECT_EQ(0, ptf_wait(pid));
	want_none(NR);
	write_pages(self->mem, self->want, NR, 5, 6);
	expect_want(self->mem, NR, 0);
	EXPECT_EQ(0, ptf_wrong(self->mem, LEN, SEED));
}

/* Write permission that core mm gives is not a write, nor a way around. */
TEST_F(track, mprotect)
{
	struct iovec from, to;
	char *src = ptf_anon(PAGE);

	ASSERT_NE(NULL, src);
	test_cmd_track_start(self->mem, LEN);
	want_none(NR);
	write_pages(self->mem, self->want, NR, 0, 16);
	ASSERT_EQ(0, mprotect(self->mem, LEN, PROT_READ));
	expect_want(self->mem, NR, 0);
	ASSERT_EQ(0, mprotect(self->mem, LEN, PROT_READ | PROT_WRITE));
	expect_want(self->mem, NR, 0);
	/* not through the entry of the page */
	memcpy(src, self->mem + PAGES(5), PAGE);
	from = (struct iovec) { src, 64 };
	to = (struct iovec) { self->mem + PAGES(5), 64 };
	ASSERT_EQ(64, process_vm_writev(getpid(), &from, 1, &to, 1, 0));
	self->want[5] = 1;
	expect_want(self->mem, NR, 0);
	ASSERT_EQ(0, mprotect(self->mem, LEN, PROT_NONE));
	expect_want(self->mem, NR, 0);
	ASSERT_EQ(0, mprotect(self->mem, LEN, PROT_READ | PROT_WRITE));
	write_pages(self->mem, self->want, NR, 7, 16);
	expect_want(self->mem, NR, PTF_TRACK_F_TAKE);
	want_none(NR);
	ASSERT_EQ(0, mprotect(self->mem, LEN, PROT_READ));
	ASSERT_EQ(0, mprotect(self->mem, LEN, PROT_READ | PROT_WRITE));
	expect_want(self->mem, NR, 0);
	to.iov_base = self->mem + PAGES(7);
	memcpy(src, self->mem + PAGES(7), PAGE);
	ASSERT_EQ(64, process_vm_writev(getpid(), &from, 1, &to, 1, 0));
	self->want[7] = 1;
	expect_want(self->mem, NR, 0);
	EXPECT_EQ(0, ptf_wrong(self->mem, LEN, SEED));
}

TEST_F(track, hints_and_stashes)
{
	struct ptf_ioc_range_advise a;
	static const __u32 advice[] = { PTF_ADV_NOTPRESENT, PTF_ADV_STASH };
	static const __u32 flags[] = { 0, PTF_ADVISE_F_ONESHOT };
	unsigned int k, f;

	test_cmd_track_start(self->mem, LEN);
	for (k = 0; k < ARRAY_SIZE(advice); k++)
		for (f = 0; f < 2 - k; f++) {
			TH_LOG("advice %x flags %x", advice[k], flags[f]);
			want_none(NR);
			test_cmd_range_advise(&a, 0, advice[k], self->mem, LEN, flags[f]);
			EXPECT_EQ(NR, a.out_done_pages);
			expect_want(self->mem, NR, 0);
			/* read back: not written */
			EXPECT_EQ(0, ptf_wrong(self->mem, LEN, SEED));
			expect_want(self->mem, NR, 0);
			test_cmd_range_advise(&a, 0, advice[k], self->mem, LEN, flags[f]);
			write_pages(self->mem, self->want, NR, 1, 6);
			expect_want(self->mem, NR, 0);
			/* written, and away again: known all the same */
			test_cmd_range_advise(&a, 0, advice[k], self->mem, LEN, flags[f]);
			expect_want(self->mem, NR, 0);
			expect_want(self->mem, NR, PTF_TRACK_F_TAKE);
			want_none(NR);
			expect_want(self->mem, NR, 0);
			EXPECT_EQ(0, ptf_wrong(self->mem, LEN, SEED));
			expect_want(self->mem, NR, 0);
			write_pages(self->mem, self->want, NR, 2, 9);
			/* put back by the session */
			test_cmd_range_advise(&a, 0, advice[k], self->mem, LEN, flags[f]);
			test_cmd_range_advise(&a, 0, PTF_ADV_PRESENT, self->mem, LEN, 0);
			expect_want(self->mem, NR, PTF_TRACK_F_TAKE);
			want_none(NR);
			expect_want(self->mem, NR, 0);
			EXPECT_EQ(0, ptf_wrong(self->mem, LEN, SEED));
		}
}

/* PRESENT and WRUNPROTECT give no way around either. */
TEST_F(track, permission_of_our_own)
{
	struct ptf_ioc_range_advise a;
	struct iovec from, to;
	char *src = ptf_anon(PAGE);

	ASSERT_NE(NULL, src);
	test_cmd_track_start(self->mem, LEN);
	want_none(NR);
	test_cmd_range_advise(&a, 0, PTF_ADV_NOTPRESENT, self->mem, LEN, 0);
	test_cmd_range_advise(&a, 0, PTF_ADV_PRESENT, self->mem, LEN, 0);
	EXPECT_EQ(NR, a.out_done_pages);
	memcpy(src, self->mem + PAGES(5), PAGE);
	from = (struct iovec) { src, 64 };
	to = (struct iovec) { self->mem + PAGES(5), 64 };
	ASSERT_EQ(64, process_vm_writev(getpid(), &from, 1, &to, 1, 0));
	self->want[5] = 1;
	expect_want(self->mem, NR, 0);
	_test_cmd_range_advise(self->fd, &a, 0, PTF_ADV_WRUNPROTECT, self->mem, LEN, 0);
	expect_want(self->mem, NR, 0);
	to.iov_base = self->mem + PAGES(9);
	memcpy(src, self->mem + PAGES(9), PAGE);
	ASSERT_EQ(64, process_vm_writev(getpid(), &from, 1, &to, 1, 0));
	self->want[9] = 1;
	expect_want(self->mem, NR, 0);
	EXPECT_EQ(0, ptf_wrong(self->mem, LEN, SEED));
}

/* CLEAN takes the dirty bit for another reason. */
TEST_F(track, cleaned)
{
	struct ptf_ioc_range_advise a;
	int file;
	char *p = map_of("shared disk", LEN, &file);

	ASSERT_NE(MAP_FAILED, p);
	test_cmd_track_start(p, LEN);
	want_none(NR);
	write_pages(p, self->want, NR, 1, 5);
	test_cmd_range_advise(&a, 0, PTF_ADV_CLEAN, p, LEN, 0);
	expect_want(p, NR, 0);
	expect_want(p, NR, PTF_TRACK_F_TAKE);
	want_none(NR);
	expect_want(p, NR, 0);
	/* nor does taking lose dirt: it reaches the disk */
	ptf_store(p + PAGES(3), 0x5a);
	ptf_store(p + PAGES(4), 0x5b);
	self->want[3] = 1;
	self->want[4] = 1;
	expect_want(p, NR, PTF_TRACK_F_TAKE);
	test_cmd_range_advise(&a, 0, PTF_ADV_EVICT, p, LEN, 0);
	EXPECT_EQ(0x5a, p[PAGES(3)]);
	EXPECT_EQ(0x5b, p[PAGES(4)]);
	want_none(NR);
	expect_want(p, NR, 0);
	munmap(p, LEN);
	close(file);
}

static int poke_others(void *arg)
{
	char **a = arg, path[64], one;
	int fd;

	/* as a debugger does it */
	snprintf(path, sizeof(path), "/proc/%d/mem", getppid());
	fd = open(path, O_RDWR);
	if (fd < 0)
		return 1;
	if (pread(fd, &one, 1, (off_t)(unsigned long)a[0]) != 1 ||
	    pwrite(fd, &one, 1, (off_t)(unsigned long)a[0]) != 1)
		return 2;
	return 0;
}

/* The kernel as a writer, by each of its ways. */
TEST_F(track, kernel_writes)
{
	char *src, *at, path[] = PTF_SCRATCH "/ptf-direct-XXXXXX";
	struct iovec from, to;
	int pipes[2], file;
	pid_t pid;

	ASSERT_EQ(0, pipe(pipes));
	src = ptf_anon(LEN);
	ASSERT_NE(NULL, src);
	memcpy(src, self->mem, LEN);
	file = mkostemp(path, O_CLOEXEC);
	ASSERT_LE(0, file);
	ASSERT_EQ(LEN, write(file, src, LEN));
	ASSERT_EQ(0, fsync(file));
	test_cmd_track_start(self->mem, LEN);
	want_none(NR);

	/* copy_to_user() */
	ASSERT_EQ(100, write(pipes[1], src + PAGES(2), 100));
	ASSERT_EQ(100, read(pipes[0], self->mem + PAGES(2), 100));
	self->want[2] = 1;
	expect_want(self->mem, NR, 0);
	/* over a boundary */
	ASSERT_EQ(100, pread(file, self->mem + PAGES(5) - 50, 100, PAGES(5) - 50));
	self->want[4] = 1;
	self->want[5] = 1;
	expect_want(self->mem, NR, 0);
	/* to write from it is to read it */
	ASSERT_EQ(100, write(pipes[1], self->mem + PAGES(7), 100));
	ASSERT_EQ(100, read(pipes[0], src + PAGES(7), 100));
	expect_want(self->mem, NR, 0);
	/* get_user_pages(), from here and from elsewhere */
	from = (struct iovec) { src + PAGES(9), PAGES(2) };
	to = (struct iovec) { self->mem + PAGES(9), PAGES(2) };
	ASSERT_EQ(PAGES(2), process_vm_writev(getpid(), &from, 1, &to, 1, 0));
	self->want[9] = 1;
	self->want[10] = 1;
	expect_want(self->mem, NR, 0);
	from = (struct iovec) { src + PAGES(12), PAGE };
	to = (struct iovec) { self->mem + PAGES(12), PAGE };
	ASSERT_EQ(PAGE, process_vm_readv(getpid(), &from, 1, &to, 1, 0));
	expect_want(self->mem, NR, 0);
	at = self->mem + PAGES(14);
	pid = ptf_child(poke_others, &at);
	EXPECT_EQ(0, ptf_wait(pid));
	self->want[14] = 1;
	expect_want(self->mem, NR, 0);
	/* no copy at all */
	close(file);
	file = open(path, O_RDWR | O_DIRECT | O_CLOEXEC);
	unlink(path);
	ASSERT_LE(0, file);
	ASSERT_EQ(PAGES(3), pread(file, self->mem + PAGES(20), PAGES(3), PAGES(20)));
	self->want[20] = 1;
	self->want[21] = 1;
	self->want[22] = 1;
	expect_want(self->mem, NR, 0);
	ASSERT_EQ(PAGES(3), pwrite(file, self->mem + PAGES(30), PAGES(3), PAGES(30)));
	expect_want(self->mem, NR, PTF_TRACK_F_TAKE);
	want_none(NR);
	/* and once more, taken in between */
	ASSERT_EQ(PAGE, pread(file, self->mem + PAGES(21), PAGE, PAGES(21)));
	self->want[21] = 1;
	expect_want(self->mem, NR, PTF_TRACK_F_TAKE);
	want_none(NR);
	/* not mapped yet: get_user_pages() maps it */
	ASSERT_EQ(0, madvise(self->mem + PAGES(40), PAGES(8), MADV_DONTNEED));
	ASSERT_EQ(PAGE, pread(file, self->mem + PAGES(43), PAGE, PAGES(43)));
	self->want[43] = 1;
	expect_want(self->mem, NR, 0);
	close(file);
	close(pipes[0]);
	close(pipes[1]);
}

TEST_F(track, unmapped_and_moved)
{
	char *p = ptf_anon(PAGES(256)), *in = ptf_anon(PAGES(8)), *copy = ptf_anon(PAGES(256)), *q;

	ASSERT_NE(NULL, p);
	/* before there is a hole where it might be mapped */
	ASSERT_NE(NULL, in);
	ASSERT_NE(NULL, copy);
	ptf_fill(p, PAGES(256), SEED);
	ptf_fill(in, PAGES(8), SEED);
	memcpy(copy, p, PAGES(256));
	test_cmd_track_start(p, PAGES(256));
	want_none(256);
	write_pages(p, self->want, 128, 1, 11);
	/* written, and gone */
	ASSERT_EQ(0, madvise(p, PAGES(32), MADV_DONTNEED));
	expect_want(p, 256, 0);
	ASSERT_EQ(0, munmap(p + PAGES(32), PAGES(32)));
	expect_want(p, 256, 0);
	ASSERT_EQ(0, madvise(p + PAGES(64), PAGES(32), MADV_FREE));
	expect_want(p, 256, 0);
	q = mremap(p + PAGES(96), PAGES(32), PAGES(32), MREMAP_MAYMOVE);
	ASSERT_EQ(p + PAGES(96), q);
	q = ptf_anon(PAGES(64));
	ASSERT_NE(NULL, q);
	q = mremap(p + PAGES(96), PAGES(32), PAGES(32), MREMAP_MAYMOVE | MREMAP_FIXED, q);
	ASSERT_NE(MAP_FAILED, q);
	expect_want(p, 256, PTF_TRACK_F_TAKE);
	want_none(256);
	expect_want(p, 256, 0);
	/* what is mapped there now is empty, until it is written */
	ASSERT_EQ(p + PAGES(32), mmap(p + PAGES(32), PAGES(32), PROT_READ | PROT_WRITE,
				      MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
	madvise(p + PAGES(32), PAGES(32), MADV_NOHUGEPAGE);
	expect_want(p, 256, 0);
	write_pages(p, self->want, 64, 40, 7);
	expect_want(p, 256, PTF_TRACK_F_TAKE);
	/* moved in, and written before where it came from: it is new here */
	want_none(256);
	ASSERT_EQ(p + PAGES(96), mremap(in, PAGES(8), PAGES(8), MREMAP_MAYMOVE | MREMAP_FIXED,
					p + PAGES(96)));
	EXPECT_EQ(0, ptf_wrong(p + PAGES(96), PAGES(8), SEED));
	memset(self->want + 96, 1, 8);
	expect_want(p, 256, PTF_TRACK_F_TAKE);
	want_none(256);
	expect_want(p, 256, 0);
	ptf_rewrite(p + PAGES(99));
	self->want[99] = 1;
	ASSERT_EQ(0, munmap(p + PAGES(96), PAGES(8)));
	expect_want(p, 256, 0);
	EXPECT_EQ(0, memcmp(p + PAGES(128), copy + PAGES(128), PAGES(128)));
}

/* Pages that are moved to other frames. */
TEST_F(track, migrated)
{
	int i, fd = open("/proc/sys/vm/compact_memory", O_WRONLY);

	if (fd < 0)
		SKIP(return, "no compaction");
	test_cmd_track_start(self->mem, LEN);
	want_none(NR);
	write_pages(self->mem, self->want, NR, 0, 5);
	for (i = 0; i < 3; i++)
		EXPECT_EQ(1, write(fd, "1", 1));
	expect_want(self->mem, NR, 0);
	expect_want(self->mem, NR, PTF_TRACK_F_TAKE);
	want_none(NR);
	EXPECT_EQ(1, write(fd, "1", 1));
	expect_want(self->mem, NR, 0);
	write_pages(self->mem, self->want, NR, 2, 9);
	EXPECT_EQ(1, write(fd, "1", 1));
	expect_want(self->mem, NR, 0);
	EXPECT_EQ(0, ptf_wrong(self->mem, LEN, SEED));
	close(fd);
}

#define PM_SOFT_DIRTY (1ULL << 55)

TEST_F(track, soft_dirty_is_left_alone)
{
	unsigned int i;

	if (ptf_write_file("/proc/self/clear_refs", "4"))
		SKIP(return, "no soft-dirty bits");
	ptf_rewrite(self->mem + PAGES(1));
	if (!(ptf_pagemap(getpid(), self->mem + PAGES(1)) & PM_SOFT_DIRTY))
		SKIP(return, "no soft-dirty bits");
	test_cmd_track_start(self->mem, LEN);
	want_none(NR);
	expect_want(self->mem, NR, 0);
	for (i = 0; i < NR; i++)
		EXPECT_EQ(i == 1, !!(ptf_pagemap(getpid(), self->mem + PAGES(i)) &
				     PM_SOFT_DIRTY));
	write_pages(self->mem, self->want, NR, 4, 8);
	expect_want(self->mem, NR, PTF_TRACK_F_TAKE);
	for (i = 0; i < NR; i++)
		EXPECT_EQ(i == 1 || i % 8 == 4,
			  !!(ptf_pagemap(getpid(), self->mem + PAGES(i)) & PM_SOFT_DIRTY));
	/* somebody else clears them: ours stay */
	write_pages(self->mem, self->want, NR, 6, 8);
	ASSERT_EQ(0, ptf_write_file("/proc/self/clear_refs", "4"));
	memset(self->want, 0, NR);
	for (i = 6; i < NR; i += 8)
		self->want[i] = 1;
	expect_want(self->mem, NR, PTF_TRACK_F_TAKE);
	want_none(NR);
	EXPECT_EQ(0, ptf_wrong(self->mem, LEN, SEED));
	expect_want(self->mem, NR, 0);
}

/* userfaultfd's write protection, and its copies. */
struct uffd_args {
	int fd;
	unsigned int seen;
};

static void *uffd_unprotect(void *arg)
{
	struct uffd_args *u = arg;
	struct uffdio_writeprotect wp;
	struct uffd_msg msg;

	while (read(u->fd, &msg, sizeof(msg)) == sizeof(msg)) {
		memset(&wp, 0, sizeof(wp));
		wp.range.start = msg.arg.pagefault.address & ~(PAGE - 1);
		wp.range.len = PAGE;
		u->seen++;
		ioctl(u->fd, UFFDIO_WRITEPROTECT, &wp);
	}
	return NULL;
}

TEST_F(track, userfaultfd)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register reg = { .mode = UFFDIO_REGISTER_MODE_WP };
	struct uffdio_writeprotect wp = { .mode = UFFDIO_WRITEPROTECT_MODE_WP };
	struct uffdio_copy copy = { .len = PAGES(2) };
	struct uffd_args u = { .fd = syscall(SYS_userfaultfd, O_CLOEXEC) };
	char *src = ptf_anon(PAGES(2)), *q = ptf_anon(LEN);
	pthread_t t;

	if (u.fd < 0 || ioctl(u.fd, UFFDIO_API, &api))
		SKIP(return, "no userfaultfd");
	reg.range.start = u64ptr(self->mem);
	reg.range.len = LEN;
	ASSERT_EQ(0, ioctl(u.fd, UFFDIO_REGISTER, &reg));
	wp.range.start = u64ptr(self->mem);
	wp.range.len = LEN / 2;
	ASSERT_EQ(0, ioctl(u.fd, UFFDIO_WRITEPROTECT, &wp));
	test_cmd_track_start(self->mem, LEN);
	want_none(NR);
	expect_want(self->mem, NR, 0);
	ASSERT_EQ(0, pthread_create(&t, NULL, uffd_unprotect, &u));
	write_pages(self->mem, self->want, NR, 3, 8);
	expect_want(self->mem, NR, 0);
	/* who waits for writes has heard of all, and of no others */
	EXPECT_EQ(NR / 16, u.seen);
	expect_want(self->mem, NR, PTF_TRACK_F_TAKE);
	want_none(NR);
	wp.mode = 0;
	ASSERT_EQ(0, ioctl(u.fd, UFFDIO_WRITEPROTECT, &wp));
	EXPECT_EQ(0, ptf_wrong(self->mem, LEN, SEED));
	expect_want(self->mem, NR, 0);
	wp.mode = UFFDIO_WRITEPROTECT_MODE_WP;
	ASSERT_EQ(0, ioctl(u.fd, UFFDIO_WRITEPROTECT, &wp));
	expect_want(self->mem, NR, PTF_TRACK_F_TAKE);
	write_pages(self->mem, self->want, NR, 1, 8);
	EXPECT_EQ(NR / 8, u.seen);
	expect_want(self->mem, NR, 0);

	/* content from outside is content that is new */
	ASSERT_NE(NULL, q);
	ASSERT_NE(NULL, src);
	ptf_fill(src, PAGES(2), SEED);
	reg.range.start = u64ptr(q);
	reg.mode = UFFDIO_REGISTER_MODE_MISSING;
	ASSERT_EQ(0, ioctl(u.fd, UFFDIO_REGISTER, &reg));
	test_cmd_track_start(q, LEN);
	want_none(NR);
	copy.dst = u64ptr(q) + PAGES(6);
	copy.src = u64ptr(src);
	ASSERT_EQ(0, ioctl(u.fd, UFFDIO_COPY, &copy));
	self->want[6] = 1;
	self->want[7] = 1;
	expect_want(q, NR, 0);
	/* and taken away it is still known */
	ASSERT_EQ(0, madvise(q, LEN, MADV_DONTNEED));
	expect_want(q, NR, PTF_TRACK_F_TAKE);
	want_none(NR);
	expect_want(q, NR, 0);
}

/* ------------------------------------------------------------------ */
/* Stacks                                                              */

struct stack_args {
	unsigned int stage;
	unsigned int go;
	char *page;
};

static void *stack_thread(void *arg)
{
	volatile char room[PAGES(4)];
	struct stack_args *a = arg;
	unsigned int i;

	for (i = 0; i < sizeof(room); i += 64)
		room[i] = i;
	a->page = (char *)room + PAGES(1);
	__atomic_store_n(&a->stage, 1, __ATOMIC_SEQ_CST);
	ptf_await(&a->go, 1, 30000);
	for (i = 0; i < sizeof(room); i += 64)
		room[i]++;
	__atomic_store_n(&a->stage, 2, __ATOMIC_SEQ_CST);
	ptf_await(&a->go, 2, 30000);
	return (void *)(unsigned long)room[100];
}

static unsigned char covered(struct ptf_range *r, __u64 nr, const void *addr)
{
	__u64 i;

	for (i = 0; i < nr; i++)
		if (r[i].start <= u64ptr(addr) && u64ptr(addr) < r[i].end)
			return 1;
	return 0;
}

static char in_bss[PAGES(4)] __attribute__((aligned(4096)));

/* Every writable page of the process, but not its stacks. */
TEST_F(track, all_but_stacks)
{
	struct ptf_ioc_track_start s;
	struct ptf_ioc_track_read c;
	volatile char here[PAGES(3)];
	struct ptf_range *r = calloc(4096, sizeof(*r));
	struct stack_args *a = ptf_shared(PAGE);
	char *heap = malloc(PAGES(8)), *low, *high;
	pthread_t t;
	void *ret;
	int i;

	ASSERT_NE(NULL, r);
	ASSERT_NE(NULL, a);
	/* the thread's stack between two mappings that it may merge with */
	high = ptf_anon(PAGES(16));
	high = mmap(NULL, PAGES(16), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_EQ(0, pthread_create(&t, NULL, stack_thread, a));
	ASSERT_TRUE(ptf_await(&a->stage, 1, 30000));
	low = mmap(NULL, PAGES(16), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, low);
	memset(low, 1, PAGES(16));
	memset(high, 1, PAGES(16));
	memset(heap, 1, PAGES(8));
	memset(in_bss, 1, sizeof(in_bss));
	for (i = 0; i < PAGES(3); i += 64)
		here[i] = i;

	ASSERT_OK(_test_cmd_track_start(self->fd, &s, 0, NULL, USER_END_4,
					PTF_TRACK_F_NOSTACK));
	/* at least what is mapped above */
	EXPECT_LT(NR + 3 * 16, s.out_pages);
	EXPECT_LT(0, s.out_skipped_pages[PTF_SKIP_HOLE]);
	EXPECT_LT(0, s.out_skipped_pages[PTF_SKIP_READONLY]);
	__atomic_store_n(&a->go, 1, __ATOMIC_SEQ_CST);
	ASSERT_TRUE(ptf_await(&a->stage, 2, 30000));
	for (i = 0; i < PAGES(3); i += 64)
		here[i]++;
	for (i = 0; i < 16; i++) {
		ptf_rewrite(high + PAGES(i));
		ptf_rewrite(low + PAGES(i));
	}
	ptf_rewrite(heap + PAGES(4));
	ptf_rewrite(in_bss + PAGES(2));
	ptf_rewrite(self->mem + PAGES(20));
	ASSERT_OK(_test_cmd_track_read(self->fd, &c, 0, NULL, USER_END_4, PTF_TRACK_F_TAKE,
				       r, 4096));
	EXPECT_EQ(USER_END_4, c.out_next);
	for (i = 0; i < 16; i++) {
		EXPECT_EQ(1, covered(r, c.out_ranges, high + PAGES(i)));
		EXPECT_EQ(1, covered(r, c.out_ranges, low + PAGES(i)));
	}
	EXPECT_EQ(1, covered(r, c.out_ranges, heap + PAGES(4)));
	EXPECT_EQ(1, covered(r, c.out_ranges, in_bss + PAGES(2)));
	EXPECT_EQ(1, covered(r, c.out_ranges, self->mem + PAGES(20)));
	EXPECT_EQ(0, covered(r, c.out_ranges, self->mem + PAGES(21)));
	EXPECT_EQ(0, covered(r, c.out_ranges, in_bss + PAGES(1)));
	EXPECT_EQ(0, covered(r, c.out_ranges, (char *)here + PAGES(1)));
	EXPECT_EQ(0, covered(r, c.out_ranges, a->page));
	/* with them, if they are asked for */
	ASSERT_OK(_test_cmd_track_start(self->fd, &s, 0, (void *)(u64ptr(here) & ~(PAGE - 1)),
					PAGES(3), 0));
	EXPECT_EQ(3, s.out_pages);
	for (i = 0; i < PAGES(3); i += 64)
		here[i]++;
	ASSERT_OK(_test_cmd_track_read(self->fd, &c, 0, NULL, USER_END_4, 0, r, 4096));
	EXPECT_EQ(1, covered(r, c.out_ranges, (char *)here + PAGES(1)));
	__atomic_store_n(&a->go, 2, __ATOMIC_SEQ_CST);
	pthread_join(t, &ret);
	test_cmd_track_stop();
}

/* ------------------------------------------------------------------ */
/* Another process                                                     */

struct other {
	unsigned int step;
	unsigned int done;
	char *mem;
};

static int other_writes(void *arg)
{
	struct other *o = arg;
	unsigned int i;

	o->mem = ptf_anon(LEN);
	ptf_fill(o->mem, LEN, SEED);
	__atomic_store_n(&o->done, 1, __ATOMIC_SEQ_CST);
	ptf_await(&o->step, 1, 60000);
	for (i = 2; i < NR; i += 7)
		ptf_rewrite(o->mem + PAGES(i));
	__atomic_store_n(&o->done, 2, __ATOMIC_SEQ_CST);
	ptf_await(&o->step, 2, 60000);
	return ptf_wrong(o->mem, LEN, SEED) != 0;
}

TEST_F(track, another_process)
{
	struct other *o = ptf_shared(PAGE);
	struct ptf_ioc_track_start s;
	struct ptf_ioc_track_read c;
	struct ptf_range r[4];
	unsigned int i;
	__u32 target;
	pid_t pid;

	ASSERT_NE(NULL, o);
	pid = ptf_child(other_writes, o);
	ASSERT_TRUE(ptf_await(&o->done, 1, 30000));
	test_cmd_target_open(pid, &target);
	ASSERT_OK(_test_cmd_track_start(self->fd, &s, target, o->mem, LEN, 0));
	EXPECT_EQ(NR, s.out_pages);
	/* one's own is another thing */
	EXPECT_ERRNO(ENOENT, _test_cmd_track_read(self->fd, &c, 0, o->mem, LEN, 0, r, 4));
	memset(self->got, 0, NR);
	EXPECT_EQ(0, read_set(self->fd, target, o->mem, LEN, 0, self->got));
	__atomic_store_n(&o->step, 1, __ATOMIC_SEQ_CST);
	ASSERT_TRUE(ptf_await(&o->done, 2, 30000));
	EXPECT_EQ(9, read_set(self->fd, target, o->mem, LEN, 0, self->got));
	for (i = 0; i < NR; i++)
		EXPECT_EQ(i % 7 == 2, self->got[i]);
	__atomic_store_n(&o->step, 2, __ATOMIC_SEQ_CST);
	EXPECT_EQ(0, ptf_wait(pid));
	usleep(50000);
	EXPECT_ERRNO(ESRCH, _test_cmd_track_read(self->fd, &c, target, o->mem, LEN, 0, r, 4));
	EXPECT_ERRNO(ESRCH, _test_cmd_track_stop(self->fd, target));
	test_cmd_target_close(target);
}

/* ------------------------------------------------------------------ */
/* Writers that keep a list of their own                               */

#define THREADS	8

struct crowd {
	char *mem;
	unsigned int nr;		/* pages */
	unsigned char *written;		/* by anybody, in this round */
	unsigned long writes;		/* of each thread in a round */
	unsigned int round;		/* go */
	unsigned int ready;		/* threads that are done with a round */
	unsigned int quit;
	unsigned int seed;
	unsigned int disturb;		/* what the others do meanwhile */
	bool whole;			/* large folios may come back as a whole */
};

struct writer {
	struct crowd *c;
	unsigned int nr;
};

static void *crowd_writer(void *arg)
{
	struct writer *w = arg;
	struct crowd *c = w->c;
	unsigned int seed = c->seed + 77 * w->nr, round = 0, page;
	unsigned long i;

	for (;;) {
		while (__atomic_load_n(&c->round, __ATOMIC_ACQUIRE) == round) {
			if (__atomic_load_n(&c->quit, __ATOMIC_ACQUIRE))
				return NULL;
			usleep(100);
		}
		round++;
		for (i = 0; i < c->writes; i++) {
			page = rand_r(&seed) % c->nr;
			if (rand_r(&seed) % 4) {
				/* each its own byte of a page */
				volatile char *p = c->mem + PAGES(page) + 64 * w->nr;

				(*p)++;
				__atomic_store_n(&c->written[page], 1, __ATOMIC_RELEASE);
			} else {
				ptf_touch(c->mem + PAGES(page));
			}
		}
		__atomic_add_fetch(&c->ready, 1, __ATOMIC_SEQ_CST);
	}
}

#define DISTURB_SWAP	1
#define DISTURB_FORK	2
#define DISTURB_HINT	4
#define DISTURB_ZAP	8	/* of shared memory: the content stays */
#define DISTURB_PROT	16
#define DISTURB_COMPACT	32
#define DISTURB_STASH	64
#define DISTURB_THP	128

struct disturber {
	struct crowd *c;
	int fd;
	unsigned long did;
};

static void *crowd_disturber(void *arg)
{
	struct disturber *d = arg;
	struct crowd *c = d->c;
	struct ptf_ioc_range_advise a;
	unsigned int seed = c->seed + 1, page, nr, what, status;
	size_t len;
	char *p;
	pid_t pid;
	int fd;

	while (!__atomic_load_n(&c->quit, __ATOMIC_ACQUIRE)) {
		what = 1U << rand_r(&seed) % 8;
		if (!(what & c->disturb)) {
			usleep(50);
			continue;
		}
		d->did++;
		page = rand_r(&seed) % c->nr;
		nr = 1 + rand_r(&seed) % (c->nr - page);
		p = c->mem + PAGES(page);
		len = PAGES(nr);
		switch (what) {
		case DISTURB_SWAP:
			madvise(p, len, MADV_PAGEOUT);
			break;
		case DISTURB_FORK:
			pid = fork();
			if (!pid)
				_exit(0);
			if (pid > 0)
				waitpid(pid, (int *)&status, 0);
			break;
		case DISTURB_HINT:
			_test_cmd_range_advise(d->fd, &a, 0, PTF_ADV_NOTPRESENT, p, len,
					       rand_r(&seed) % 2 ? PTF_ADVISE_F_ONESHOT : 0);
			break;
		case DISTURB_ZAP:
			madvise(p, len, MADV_DONTNEED);
			break;
		case DISTURB_PROT:
			mprotect(p, len, PROT_READ | PROT_WRITE | PROT_EXEC);
			mprotect(p, len, PROT_READ | PROT_WRITE);
			break;
		case DISTURB_COMPACT:
			fd = open("/proc/sys/vm/compact_memory", O_WRONLY);
			if (fd >= 0) {
				if (write(fd, "1", 1) < 0)
					usleep(1);
				close(fd);
			}
			break;
		case DISTURB_STASH:
			_test_cmd_range_advise(d->fd, &a, 0, PTF_ADV_STASH, p, len, 0);
			break;
		case DISTURB_THP:
			madvise(c->mem, PAGES(c->nr), MADV_COLLAPSE);
			break;
		}
		usleep(rand_r(&seed) % 2000);
	}
	return NULL;
}

/*
 * Rounds: in each the writers write while the reader reads and takes; after it
 * all that was reported together is what was written, and nothing else.
 */
static int crowd_run(struct __test_metadata *_metadata, int fd, struct crowd *c,
		     unsigned long rounds, unsigned long *takes)
{
	struct disturber d = { .c = c, .fd = fd };
	unsigned char *got = ptf_anon(PAGES((c->nr + PAGE - 1) / PAGE));
	pthread_t t[THREADS], dist;
	struct writer w[THREADS];
	unsigned int i, lost, invented, bad = 0;
	unsigned long r;

	c->written = ptf_anon(PAGES((c->nr + PAGE - 1) / PAGE));
	for (i = 0; i < THREADS; i++) {
		w[i] = (struct writer) { c, i };
		pthread_create(&t[i], NULL, crowd_writer, &w[i]);
	}
	pthread_create(&dist, NULL, crowd_disturber, &d);
	for (r = 0; r < rounds && !bad; r++) {
		memset(c->written, 0, c->nr);
		memset(got, 0, c->nr);
		__atomic_store_n(&c->ready, 0, __ATOMIC_SEQ_CST);
		__atomic_add_fetch(&c->round, 1, __ATOMIC_SEQ_CST);
		while (__atomic_load_n(&c->ready, __ATOMIC_ACQUIRE) < THREADS) {
			if (read_set(fd, 0, c->mem, PAGES(c->nr), PTF_TRACK_F_TAKE, got) < 0)
				bad++;
			++*takes;
			/* what is only read comes again */
			if (read_set(fd, 0, c->mem, PAGES(c->nr), 0, got) < 0)
				bad++;
		}
		if (read_set(fd, 0, c->mem, PAGES(c->nr), PTF_TRACK_F_TAKE, got) < 0)
			bad++;
		lost = 0;
		invented = 0;
		for (i = 0; i < c->nr; i++) {
			lost += c->written[i] && !got[i];
			invented += !c->written[i] && got[i];
		}
		if (lost || invented || bad)
			TH_LOG("round %lu: %u lost, %u invented", r, lost, invented);
		bad += lost || (invented && !c->whole);
	}
	__atomic_store_n(&c->quit, 1, __ATOMIC_SEQ_CST);
	for (i = 0; i < THREADS; i++)
		pthread_join(t[i], NULL);
	pthread_join(dist, NULL);
	if (c->disturb)
		TH_LOG("disturbed %lu times, taken %lu times", d.did, *takes);
	return bad;
}

#define crowd_test(_p, _nr, _disturb, _full, ...) do { \
	struct crowd c = { \
		.mem = (_p), .nr = (_nr), .disturb = (_disturb), .seed = 4711, ##__VA_ARGS__ \
	}; \
	unsigned long __rounds = 20, __takes = 0, __writes = ptf_rounds(_full); \
	test_cmd_track_start(c.mem, PAGES(c.nr)); \
	c.writes = __writes / (THREADS * __rounds) + 1; \
	EXPECT_EQ(0, crowd_run(_metadata, self->fd, &c, __rounds, &__takes)); \
	test_cmd_track_stop(); \
} while (0)

/* The plain one, in full: 8 threads, 100,000 writes. */
TEST_F_TIMEOUT(track, crowd, 300)
{
	char *p = ptf_anon(PAGES(600));

	ASSERT_NE(NULL, p);
	ptf_fill(p, PAGES(600), SEED);
	crowd_test(p, 600, 0, 100000 * ptf_env("PTF_DIVIDE", 10));
}

/* From empty memory of which huge pages could be made. */
TEST_F_TIMEOUT(track, crowd_empty, 300)
{
	unsigned int i;
	char *p;

	for (i = 0; i < 4; i++) {
		p = mmap(NULL, 3 * HPAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			 -1, 0);
		ASSERT_NE(MAP_FAILED, p);
		madvise(p, 3 * HPAGE, MADV_HUGEPAGE);
		crowd_test(p, 3 * HPAGE / PAGE, DISTURB_THP, 20000);
		munmap(p, 3 * HPAGE);
	}
}

TEST_F_TIMEOUT(track, crowd_anon, 300)
{
	char *p = ptf_anon(PAGES(300));

	ASSERT_NE(NULL, p);
	ptf_fill(p, PAGES(300), SEED);
	crowd_test(p, 300, DISTURB_SWAP | DISTURB_FORK | DISTURB_HINT | DISTURB_PROT |
		   DISTURB_COMPACT | DISTURB_STASH, 100000);
}

TEST_F_TIMEOUT(track, crowd_shared, 300)
{
	const unsigned int all = DISTURB_FORK | DISTURB_HINT | DISTURB_PROT | DISTURB_COMPACT |
				 DISTURB_SWAP | DISTURB_STASH;
	unsigned int k;
	int file;
	char *p;

	for (k = 0; k < ARRAY_SIZE(kinds); k++) {
		p = map_of(kinds[k], PAGES(300), &file);
		ASSERT_NE(MAP_FAILED, p);
		TH_LOG("%s", kinds[k]);
		/*
		 * From 6.11 on a write fault maps, and calls dirty, all of a large folio
		 * of a shared file: that is kept from it but where the page is taken away
		 * in that very moment. There nothing may be lost; all else is exact.
		 */
		if (ptf_kernel_from(6, 11) && !strcmp(kinds[k], "shared disk large"))
			crowd_test(p, 300, all | DISTURB_ZAP, 40000, .whole = true);
		else
			crowd_test(p, 300, strstr(kinds[k], "shared") ? all | DISTURB_ZAP : all,
				   40000);
		munmap(p, PAGES(300));
		if (file >= 0)
			close(file);
	}
}

TEST_HARNESS_MAIN
