// SPDX-License-Identifier: GPL-2.0-only
/*
 * FILE_QUERY: what of a file is in the page cache, held against mincore, the
 * rows of a mapping, and what was done to the file.
 */
#include "ptf_test.h"

#include <sys/socket.h>

#define NR	64
#define LEN	PAGES(NR)
#define SEED	71

FIXTURE(filemap) {
	int fd;
	struct ptf_log log;
	int file;
	struct ptf_file_row *rows, *more;
};

FIXTURE_VARIANT(filemap) {
	const char *dir;	/* NULL: a memfd */
	long magic;
	bool shmem;
	bool any;		/* may be either */
};

FIXTURE_VARIANT_ADD(filemap, ext4) { .dir = PTF_SCRATCH, .magic = PTF_EXT4_MAGIC };
FIXTURE_VARIANT_ADD(filemap, tmpfs) { .dir = PTF_SHM, .magic = PTF_TMPFS_MAGIC, .shmem = true };
FIXTURE_VARIANT_ADD(filemap, memfd) { .shmem = true };
/* Whatever /tmp is; in the VM a file system over another one. */
FIXTURE_VARIANT_ADD(filemap, tmp) { .dir = "/tmp", .any = true };

FIXTURE_SETUP(filemap)
{
	char page[PAGE];
	int i;

	self->fd = ptf_setup(_metadata, &self->log);
	if (self->fd < 0)
		return;
	self->rows = calloc(1024, sizeof(*self->rows));
	self->more = calloc(1024, sizeof(*self->more));
	ASSERT_TRUE(self->rows && self->more);
	if (variant->dir) {
		if (variant->magic && !ptf_is_fs(variant->dir, variant->magic))
			SKIP(return, "%s is another file system", variant->dir);
		self->file = ptf_file_in(variant->dir, LEN, SEED);
		ASSERT_LE(0, self->file);
	} else {
		self->file = memfd_create("ptf-test", MFD_CLOEXEC);
		ASSERT_LE(0, self->file);
		for (i = NR; i--;) {
			ptf_fill_page(page, SEED, i);
			ASSERT_EQ(PAGE, pwrite(self->file, page, PAGE, PAGES(i)));
		}
	}
}

PTF_TEARDOWN(filemap)

#define query_file(q, start, end, flags) do { \
	memset(self->rows, POISON, 1024 * sizeof(*self->rows)); \
	test_cmd_file_query(q, self->file, start, end, flags, self->rows, 1023); \
	ASSERT_EQ(POISON64, self->rows[(q)->out_rows].index); \
} while (0)

TEST_F(filemap, all_present)
{
	struct ptf_ioc_file_query q;
	struct ptf_ioc_page_walk w;
	unsigned char vec[NR];
	unsigned int i;
	char *m;

	m = mmap(NULL, LEN, PROT_READ, MAP_SHARED, self->file, 0);
	ASSERT_NE(MAP_FAILED, m);
	ptf_touch_all(m, LEN);
	ASSERT_EQ(0, mincore(m, LEN, vec));
	query_file(&q, 0, LEN, PTF_QUERY_F_PAGES);
	EXPECT_EQ(LEN, q.out_next);
	EXPECT_EQ(LEN, q.out_bytes);
	EXPECT_EQ(NR, q.out_cached_pages);
	ASSERT_EQ(NR, q.out_rows);
	for (i = 0; i < NR; i++) {
		struct ptf_file_row *r = &self->rows[i];

		ASSERT_EQ(1, vec[i] & 1);
		EXPECT_EQ(i, r->index);
		EXPECT_EQ(1, r->nr_pages);
		EXPECT_EQ(PTF_FILEMAP_PRESENT, r->state);
		EXPECT_EQ(1, r->mapcount);
		EXPECT_NE(0, r->flags & PTF_FOLIO_UPTODATE);
		if (!variant->any)
			EXPECT_EQ(variant->shmem, !!(r->flags & PTF_FOLIO_SWAPBACKED));
		EXPECT_EQ(0, r->reserved[0] | r->reserved[1]);
		EXPECT_EQ(PM_PFN(ptf_pagemap(getpid(), m + PAGES(i))), r->pfn);
		test_cmd_page_walk(&w, 0, m + PAGES(i));
		EXPECT_EQ(r->pfn, w.out_row.file_pfn);
		EXPECT_EQ(r->pfn, w.out_row.pte_pfn);
	}
	/* Cleared translations are no matter of the file's. */
	memcpy(self->more, self->rows, NR * sizeof(*self->rows));
	test_cmd_advise_all(PTF_ADV_NOTPRESENT, m, LEN);
	query_file(&q, 0, LEN, PTF_QUERY_F_PAGES);
	for (i = 0; i < NR; i++) {
		EXPECT_EQ(self->more[i].pfn, self->rows[i].pfn);
		EXPECT_EQ(self->more[i].mapcount, self->rows[i].mapcount);
		EXPECT_EQ(PTF_FILEMAP_PRESENT, self->rows[i].state);
	}
	/* munmap drops VMA and PTE, not the filemap row. */
	munmap(m, LEN);
	query_file(&q, 0, LEN, PTF_QUERY_F_PAGES);
	for (i = 0; i < NR; i++) {
		EXPECT_EQ(self->more[i].pfn, self->rows[i].pfn);
		EXPECT_EQ(0, self->rows[i].mapcount);
	}
}

TEST_F(filemap, mapped_by_many)
{
	struct ptf_ioc_file_query q;
	char *m[3];
	int i;

	for (i = 0; i < 3; i++) {
		m[i] = mmap(NULL, PAGES(4), PROT_READ, i ? MAP_PRIVATE : MAP_SHARED,
			    self->file, 0);
		ASSERT_NE(MAP_FAILED, m[i]);
		ptf_touch(m[i]);
	}
	/* Neighbours may be mapped around a fault; the page itself is. */
	query_file(&q, 0, PAGE, PTF_QUERY_F_PAGES);
	ASSERT_EQ(1, q.out_rows);
	EXPECT_EQ(3, self->rows[0].mapcount);
}

TEST_F(filemap, holes_and_end)
{
	struct ptf_ioc_file_query q;
	unsigned int i, n = 0, absent = 0;

	/* Pages 0-63, a hole, page 100, and the end in the middle of page 120. */
	ASSERT_EQ(0, ftruncate(self->file, PAGES(120) + 5));
	ASSERT_EQ(3, pwrite(self->file, "abc", 3, PAGES(100)));
	query_file(&q, 0, PTF_FILE_END, PTF_QUERY_F_PAGES);
	EXPECT_EQ(PAGES(120) + 5, q.out_bytes);
	EXPECT_EQ(NR + 1, q.out_cached_pages);
	EXPECT_EQ(PTF_FILE_END, q.out_next);
	for (i = 0; i < q.out_rows; i++) {
		EXPECT_EQ(n, self->rows[i].index);
		n += self->rows[i].nr_pages;
		if (self->rows[i].state == PTF_FILEMAP_NONE) {
			absent += self->rows[i].nr_pages;
			EXPECT_EQ(0, self->rows[i].pfn);
			EXPECT_EQ(0, self->rows[i].flags);
			EXPECT_EQ(0, self->rows[i].mapcount);
		} else {
			EXPECT_TRUE(self->rows[i].index < NR || self->rows[i].index == 100);
			EXPECT_NE(0, self->rows[i].pfn);
		}
	}
	EXPECT_EQ(121, n);
	EXPECT_EQ(121 - NR - 1, absent);
	/* Only what is there. */
	query_file(&q, 0, PTF_FILE_END, PTF_QUERY_F_PAGES | PTF_QUERY_F_MAPPED);
	EXPECT_EQ(NR + 1, q.out_rows);
	EXPECT_EQ(100, self->rows[NR].index);
	/* A part behind everything. */
	query_file(&q, PAGES(4096), PAGES(8192), 0);
	EXPECT_EQ(0, q.out_rows);
	EXPECT_EQ(PAGES(8192), q.out_next);
	/* The last page of it alone. */
	query_file(&q, PAGES(100), PAGES(101), 0);
	ASSERT_EQ(1, q.out_rows);
	EXPECT_EQ(100, self->rows[0].index);
	EXPECT_EQ(1, self->rows[0].nr_pages);
	/* Cut off again. */
	ASSERT_EQ(0, ftruncate(self->file, 0));
	query_file(&q, 0, PTF_FILE_END, 0);
	EXPECT_EQ(0, q.out_rows);
	EXPECT_EQ(0, q.out_bytes);
	EXPECT_EQ(0, q.out_cached_pages);
}

/* Are runs, taken apart, the pages? The rows of each. */
static bool same_pages(const struct ptf_file_row *page, unsigned int nr_pages,
		       const struct ptf_file_row *run, unsigned int nr_runs)
{
	unsigned int i, j, n = 0;

	for (i = 0; i < nr_runs; i++)
		for (j = 0; j < run[i].nr_pages; j++, n++)
			if (n >= nr_pages || page[n].index != run[i].index + j ||
			    page[n].state != run[i].state || page[n].flags != run[i].flags ||
			    (run[i].state == PTF_FILEMAP_PRESENT &&
			     page[n].pfn != run[i].pfn + j))
				return false;
	return n == nr_pages;
}

/*
 * Two answers, moments apart, are compared here, and reclaim moves pages between its
 * lists when it likes, which is a flag that a row shows: one of a few times nobody has.
 */
#define TRIES	20

TEST_F(filemap, runs_and_small_buffers)
{
	static const unsigned int sizes[] = { 1, 2, 5, 64 };
	static const __u32 flags[] = { 0, PTF_QUERY_F_PAGES, PTF_QUERY_F_MAPPED,
				       PTF_QUERY_F_MAPPED | PTF_QUERY_F_PAGES };
	struct ptf_ioc_file_query q;
	unsigned int f, s, n, all, tries;
	bool same = false;
	__u64 pos;

	ASSERT_EQ(0, ftruncate(self->file, PAGES(200)));
	ASSERT_EQ(3, pwrite(self->file, "abc", 3, PAGES(130)));
	for (tries = 0; !same && tries < TRIES; tries++) {
		query_file(&q, 0, PTF_FILE_END, PTF_QUERY_F_PAGES);
		all = q.out_rows;
		memcpy(self->more, self->rows, all * sizeof(*self->rows));
		query_file(&q, 0, PTF_FILE_END, 0);
		EXPECT_GE(all, q.out_rows);
		same = same_pages(self->more, all, self->rows, q.out_rows);
	}
	EXPECT_TRUE(same);
	/* And small buffers add up to the large one. */
	for (f = 0; f < ARRAY_SIZE(flags); f++) {
		for (s = 0; s < ARRAY_SIZE(sizes); s++) {
			same = false;
			for (tries = 0; !same && tries < TRIES; tries++) {
				test_cmd_file_query(&q, self->file, 0, PTF_FILE_END, flags[f],
						    self->more, 1024);
				all = q.out_rows;
				same = true;
				n = 0;
				for (pos = 0; pos < PTF_FILE_END; pos = q.out_next) {
					memset(self->rows, POISON, 70 * sizeof(*self->rows));
					test_cmd_file_query(&q, self->file, pos, PTF_FILE_END,
							    flags[f], self->rows, sizes[s]);
					ASSERT_LT(pos, q.out_next);
					ASSERT_GE(sizes[s], q.out_rows);
					ASSERT_EQ(POISON64, self->rows[q.out_rows].index);
					same = same && n + q.out_rows <= all &&
					       !memcmp(&self->more[n], self->rows,
						       q.out_rows * sizeof(*self->rows));
					n += q.out_rows;
				}
				same = same && n == all;
			}
			EXPECT_TRUE(same) {
				TH_LOG("flags %u, %u at a time", flags[f], sizes[s]);
			}
		}
	}
}

TEST_F(filemap, dirty_and_clean)
{
	unsigned int i, tries, dirty = 0;
	struct ptf_ioc_file_query q;
	char page[PAGE];

	if (variant->shmem)
		return;
	/* they may just be written back, on the kernel's own account */
	for (tries = 0; dirty < NR && tries < TRIES; tries++) {
		for (i = 0; i < NR && tries; i++) {
			ptf_fill_page(page, SEED, i);
			ASSERT_EQ(PAGE, pwrite(self->file, page, PAGE, PAGES(i)));
		}
		query_file(&q, 0, LEN, PTF_QUERY_F_PAGES);
		ASSERT_EQ(NR, q.out_rows);
		dirty = 0;
		for (i = 0; i < NR; i++)
			dirty += !!(self->rows[i].flags & (PTF_FOLIO_DIRTY | PTF_FOLIO_WRITEBACK));
	}
	EXPECT_EQ(NR, dirty);
	ASSERT_EQ(0, fsync(self->file));
	if (variant->magic != PTF_EXT4_MAGIC)
		return;
	query_file(&q, 0, LEN, PTF_QUERY_F_PAGES);
	for (i = 0; i < NR; i++)
		EXPECT_EQ(0, self->rows[i].flags & (PTF_FOLIO_DIRTY | PTF_FOLIO_WRITEBACK));
	ASSERT_EQ(1, pwrite(self->file, "x", 1, PAGES(7)));
	query_file(&q, 0, LEN, PTF_QUERY_F_PAGES);
	for (i = 0; i < NR; i++)
		EXPECT_EQ(i == 7, !!(self->rows[i].flags & PTF_FOLIO_DIRTY));
	/* Dropped: nothing there, and a read brings it back. */
	ASSERT_EQ(0, fsync(self->file));
	ASSERT_EQ(0, posix_fadvise(self->file, 0, 0, POSIX_FADV_DONTNEED));
	query_file(&q, 0, LEN, PTF_QUERY_F_PAGES | PTF_QUERY_F_MAPPED);
	EXPECT_EQ(0, q.out_cached_pages);
	for (i = 0; i < q.out_rows; i++)
		EXPECT_NE(PTF_FILEMAP_PRESENT, self->rows[i].state);
	ASSERT_EQ(0, posix_fadvise(self->file, 0, 0, POSIX_FADV_RANDOM));
	char byte;

	ASSERT_EQ(1, pread(self->file, &byte, 1, PAGES(9)));
	query_file(&q, PAGES(9), PAGES(10), PTF_QUERY_F_PAGES);
	ASSERT_EQ(1, q.out_rows);
	EXPECT_EQ(PTF_FILEMAP_PRESENT, self->rows[0].state);
}

TEST_F(filemap, evicted_and_swapped)
{
	struct ptf_ioc_file_query q;
	unsigned int i, t, n = 0, want;
	char *m;

	if (!variant->shmem && variant->magic != PTF_EXT4_MAGIC)
		return;
	if (variant->shmem && !ptf_swap_free_kb())
		SKIP(return, "no swap");
	want = variant->shmem ? PTF_FILEMAP_SWAP : PTF_FILEMAP_SHADOW;
	ASSERT_EQ(0, fsync(self->file));
	m = mmap(NULL, LEN, PROT_READ | PROT_WRITE, MAP_SHARED, self->file, 0);
	ASSERT_NE(MAP_FAILED, m);
	ptf_touch_all(m, LEN);
	for (t = 0; t < 30 && n < NR / 2; t++) {
		madvise(m, LEN, MADV_PAGEOUT);
		usleep(20000);
		query_file(&q, 0, LEN, PTF_QUERY_F_PAGES);
		for (i = 0, n = 0; i < q.out_rows; i++)
			n += self->rows[i].state == want;
	}
	EXPECT_LE(NR / 2, n);
	for (i = 0; i < q.out_rows; i++)
		if (self->rows[i].state == want) {
			EXPECT_EQ(0, self->rows[i].pfn);
			EXPECT_EQ(0, self->rows[i].mapcount);
		}
	EXPECT_EQ(NR - n, q.out_cached_pages);
	EXPECT_EQ(0, ptf_wrong(m, LEN, SEED));
}

TEST_F(filemap, arguments)
{
	struct ptf_ioc_file_query q;
	struct {
		__u64 start, end;
	} bad[] = {
		{ 0, 0 }, { PAGE, PAGE }, { PAGE, 0 }, { 2 * PAGE, PAGE },
		{ 1, PAGE }, { 0, 1 }, { 0, PAGE - 1 }, { PAGE + 8, 2 * PAGE },
		{ 0, ~0ULL }, { ~0ULL, ~0ULL },
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(bad); i++)
		test_err_file_query(EINVAL, &q, self->file, bad[i].start, bad[i].end, 0,
				    self->rows, 8);
	test_err_file_query(EINVAL, &q, self->file, 0, LEN, 0, self->rows, 0);
	test_err_file_query(EFAULT, &q, self->file, 0, LEN, 0, (void *)8, 8);
	test_err_file_query(EFAULT, &q, self->file, 0, LEN, 0, (void *)0xffffffff81000000UL, 8);
	test_err_file_query(EOPNOTSUPP, &q, self->file, 0, LEN, PTF_QUERY_F_HOLES, self->rows, 8);
	for (i = 0; i < sizeof(*self->rows); i += 4) {
		PTF_POISONED(&q);
		q.fd = self->file;
		q.row_size = i;
		q.start = 0;
		q.end = LEN;
		q.rows = u64ptr(self->rows);
		q.nr_rows = 8;
		EXPECT_ERRNO(EINVAL, ioctl(self->fd, PTF_IOC_FILE_QUERY, &q));
	}
	/* A wider stride than this module's. */
	memset(self->more, POISON, 1024 * sizeof(*self->more));
	PTF_POISONED(&q);
	q.flags = PTF_QUERY_F_PAGES;
	q.fd = self->file;
	q.row_size = 2 * sizeof(*self->more);
	q.start = 0;
	q.end = PAGES(8);
	q.rows = u64ptr(self->more);
	q.nr_rows = 8;
	ASSERT_OK(ioctl(self->fd, PTF_IOC_FILE_QUERY, &q));
	EXPECT_EQ(8, q.out_rows);
	for (i = 0; i < 8; i++)
		EXPECT_EQ(i, self->more[2 * i].index);
	EXPECT_EQ(POISON64, self->more[16].index);
}

TEST_F(filemap, not_such_files)
{
	struct ptf_ioc_file_query q;
	int fd, p[2];

	test_err_file_query(EBADF, &q, -1, 0, LEN, 0, self->rows, 8);
	test_err_file_query(EBADF, &q, 9999, 0, LEN, 0, self->rows, 8);
	test_err_file_query(EBADF, &q, INT_MIN, 0, LEN, 0, self->rows, 8);
	/* Not open for reading. */
	fd = open("/tmp", O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600);
	if (fd >= 0) {
		test_err_file_query(EBADF, &q, fd, 0, LEN, 0, self->rows, 8);
		close(fd);
	}
	/* Open for nothing at all. */
	fd = open("/etc/passwd", O_PATH | O_CLOEXEC);
	ASSERT_LE(0, fd);
	test_err_file_query(EBADF, &q, fd, 0, LEN, 0, self->rows, 8);
	close(fd);
	/* Without a page cache. */
	ASSERT_EQ(0, pipe(p));
	test_err_file_query(ENODEV, &q, p[0], 0, LEN, 0, self->rows, 8);
	close(p[0]);
	close(p[1]);
	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, p));
	test_err_file_query(ENODEV, &q, p[0], 0, LEN, 0, self->rows, 8);
	close(p[0]);
	close(p[1]);
	fd = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	test_err_file_query(ENODEV, &q, fd, 0, LEN, 0, self->rows, 8);
	close(fd);
	fd = open("/dev/zero", O_RDONLY | O_CLOEXEC);
	test_err_file_query(ENODEV, &q, fd, 0, LEN, 0, self->rows, 8);
	close(fd);
	test_err_file_query(ENODEV, &q, self->fd, 0, LEN, 0, self->rows, 8);
}

TEST_F(filemap, offsets_beyond_4g)
{
	const __u64 far = (1ULL << 33) + PAGES(3);
	struct ptf_ioc_file_query q;

	ASSERT_EQ(3, pwrite(self->file, "abc", 3, far));
	query_file(&q, 0, PTF_FILE_END, PTF_QUERY_F_MAPPED | PTF_QUERY_F_PAGES);
	ASSERT_EQ(NR + 1, q.out_rows);
	EXPECT_EQ(far / PAGE, self->rows[NR].index);
	EXPECT_EQ(far + 3, q.out_bytes);
	query_file(&q, far, far + PAGE, 0);
	ASSERT_EQ(1, q.out_rows);
	EXPECT_EQ(PTF_FILEMAP_PRESENT, self->rows[0].state);
	EXPECT_EQ(far + PAGE, q.out_next);
	/* A hole of two million pages costs no two million rows. */
	query_file(&q, 0, PTF_FILE_END, 0);
	EXPECT_GT(200, q.out_rows);
}

/* While the file is written, cut and grown: rows in order, no complaint. */
struct change {
	volatile unsigned int stop;
	int file;
};

static void *change_file(void *arg)
{
	struct change *c = arg;
	char page[PAGE];
	unsigned int i;

	memset(page, 7, PAGE);
	for (i = 0; !c->stop; i++) {
		if (pwrite(c->file, page, PAGE, PAGES(i % 200)) != PAGE)
			break;
		if (i % 97 == 0 && ftruncate(c->file, PAGES(i % 150)))
			break;
		if (i % 31 == 0)
			posix_fadvise(c->file, 0, 0, POSIX_FADV_DONTNEED);
	}
	return NULL;
}

TEST_F_TIMEOUT(filemap, under_change, 60)
{
	struct change c = { .file = self->file };
	unsigned int i, r, n = ptf_rounds(3000);
	struct ptf_ioc_file_query q;
	pthread_t th;
	__u64 next;

	ASSERT_EQ(0, pthread_create(&th, NULL, change_file, &c));
	for (i = 0; i < n; i++) {
		query_file(&q, 0, PTF_FILE_END, i & 1 ? PTF_QUERY_F_PAGES : 0);
		next = 0;
		for (r = 0; r < q.out_rows; r++) {
			ASSERT_LE(next, self->rows[r].index);
			ASSERT_NE(0, self->rows[r].nr_pages);
			next = self->rows[r].index + self->rows[r].nr_pages;
		}
	}
	c.stop = 1;
	pthread_join(th, NULL);
}

TEST_HARNESS_MAIN
