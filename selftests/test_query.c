// SPDX-License-Identifier: GPL-2.0-only
/*
 * RANGE_QUERY: VMA, filemap and PTE rows, held against /proc/self/maps,
 * pagemap, mincore and what was done to the memory; buffers of every size.
 */
#include "ptf_test.h"

#include <linux/userfaultfd.h>

#include "modules/ptftest.h"

#define NR	64
#define LEN	PAGES(NR)
#define SEED	61
#define ROWS	4096

FIXTURE(query) {
	int fd;
	struct ptf_log log;
	char *mem;
	struct ptf_row *rows, *more;
	struct ptf_vma *vmas;
	char *names;
};

FIXTURE_SETUP(query)
{
	self->fd = ptf_setup(_metadata, &self->log);
	if (self->fd < 0)
		return;
	self->mem = ptf_anon(LEN);
	self->rows = calloc(ROWS + 1, sizeof(*self->rows));
	self->more = calloc(ROWS + 1, sizeof(*self->more));
	self->vmas = calloc(1024, sizeof(*self->vmas));
	self->names = malloc(65536);
	ASSERT_TRUE(self->mem && self->rows && self->more && self->vmas && self->names);
	ptf_fill(self->mem, LEN, SEED);
}

PTF_TEARDOWN(query)

#define query_pages(addr, len) test_cmd_query_pages(0, addr, len, self->rows)

/* A line of maps, as rows should have it. */
struct map {
	__u64 start, end, offset, ino;
	unsigned int major, minor;
	char perms[8], name[256];
};

static int read_maps(struct map *m, int max)
{
	char line[1024];
	FILE *f = fopen("/proc/self/maps", "re");
	int n = 0, pos;

	if (!f)
		return -1;
	while (n < max && fgets(line, sizeof(line), f)) {
		line[strcspn(line, "\n")] = 0;
		pos = 0;
		if (sscanf(line, "%llx-%llx %7s %llx %x:%x %llu %n", &m[n].start, &m[n].end,
			   m[n].perms, &m[n].offset, &m[n].major, &m[n].minor, &m[n].ino,
			   &pos) < 7)
			continue;
		if (m[n].start >> 63)	/* vsyscall is the kernel's */
			continue;
		snprintf(m[n].name, sizeof(m[n].name), "%s", line + pos);
		n++;
	}
	fclose(f);
	return n;
}

/* All VMAs of the process, by one call or by many. */
TEST_F(query, vmas_as_in_maps)
{
	static const unsigned int chunk[] = { 1024, 1, 2, 7 };
	static struct map maps[512];
	struct ptf_ioc_range_query q;
	unsigned int c, n;
	int nmaps, fd;
	__u64 pos;
	char *m;

	/* Something of each: file at an offset, shared, exec, none, locked. */
	fd = ptf_file_in(PTF_SHM, LEN, SEED);
	ASSERT_LE(0, fd);
	m = mmap(NULL, PAGES(8), PROT_READ, MAP_PRIVATE, fd, PAGES(16));
	ASSERT_NE(MAP_FAILED, m);
	m = mmap(NULL, PAGES(8), PROT_READ | PROT_WRITE, MAP_SHARED, fd, PAGES(4));
	ASSERT_NE(MAP_FAILED, m);
	m = mmap(NULL, PAGES(8), PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, m);
	m = mmap(NULL, PAGES(8), PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, m);
	nmaps = read_maps(maps, ARRAY_SIZE(maps));
	nmaps = read_maps(maps, ARRAY_SIZE(maps));
	ASSERT_LT(10, nmaps);

	for (c = 0; c < ARRAY_SIZE(chunk); c++) {
		unsigned int i, rows = 0;
		__u64 last_end = 0;

		n = 0;
		for (pos = 0; pos < USER_END_4; pos = q.out_next) {
			PTF_POISONED(&q);
			q.target = 0;
			q.row_size = sizeof(*self->rows);
			q.start = pos;
			q.end = USER_END_4;
			q.rows = u64ptr(self->rows);
			q.nr_rows = ROWS;
			q.vmas = u64ptr(self->vmas);
			q.nr_vmas = chunk[c];
			q.vma_size = sizeof(*self->vmas);
			q.names = u64ptr(self->names);
			q.names_size = 65536;
			q.reserved = 0;
			memset(self->vmas, POISON, 1024 * sizeof(*self->vmas));
			memset(self->names, POISON, 65536);
			ASSERT_OK(ioctl(self->fd, PTF_IOC_RANGE_QUERY, &q));
			ASSERT_LT(pos, q.out_next);
			ASSERT_GE(chunk[c], q.out_vmas);
			/* Nothing was written behind what is said. */
			EXPECT_EQ(POISON64, self->vmas[q.out_vmas].start);
			EXPECT_EQ((char)POISON, self->names[q.out_names]);
			for (i = 0; i < q.out_rows; i++) {
				ASSERT_GT(q.out_vmas, self->rows[i].vma);
				ASSERT_LE(self->vmas[self->rows[i].vma].start,
					  self->rows[i].start);
				ASSERT_GE(self->vmas[self->rows[i].vma].end,
					  self->rows[i].start + self->rows[i].nr_pages * PAGE);
				ASSERT_LE(last_end, self->rows[i].start);
				last_end = self->rows[i].start + self->rows[i].nr_pages * PAGE;
				rows++;
			}
			for (i = 0; i < q.out_vmas; i++) {
				struct ptf_vma *v = &self->vmas[i];
				struct map *e;
				size_t len;

				/* A VMA that a full buffer cut comes again. */
				if (n && maps[n - 1].start == v->start)
					n--;
				ASSERT_GT(nmaps, n);
				e = &maps[n++];
				EXPECT_EQ(e->start, v->start);
				EXPECT_EQ(e->end, v->end);
				EXPECT_EQ(e->perms[0] == 'r', !!(v->flags & PTF_VMA_READ));
				EXPECT_EQ(e->perms[1] == 'w', !!(v->flags & PTF_VMA_WRITE));
				EXPECT_EQ(e->perms[2] == 'x', !!(v->flags & PTF_VMA_EXEC));
				EXPECT_EQ(e->perms[3] == 's', !!(v->flags & PTF_VMA_MAYSHARE)) {
					TH_LOG("%s", e->name);
				}
				EXPECT_EQ(e->ino, v->ino) {
					TH_LOG("%s", e->name);
				}
				EXPECT_EQ(e->ino != 0, !!(v->flags & PTF_VMA_FILE)) {
					TH_LOG("%s", e->name);
				}
				if (e->ino) {
					EXPECT_EQ(e->offset, v->offset);
					EXPECT_EQ(e->major, v->dev_major);
					EXPECT_EQ(e->minor, v->dev_minor);
				}
				EXPECT_EQ(!strcmp(e->name, "[heap]"),
					  !!(v->flags & PTF_VMA_HEAP));
				EXPECT_EQ(!strcmp(e->name, "[stack]"),
					  !!(v->flags & PTF_VMA_STACK));
				EXPECT_EQ(!strncmp(e->name, "[v", 2),
					  !!(v->flags & PTF_VMA_SPECIAL));
				len = strlen(e->name);
				/* Heap and stack have a flag to tell them by. */
				if (!v->name_len && (v->flags & (PTF_VMA_HEAP | PTF_VMA_STACK)))
					continue;
				if (e->ino || e->name[0] == '[') {
					EXPECT_EQ(len, v->name_len) {
						TH_LOG("%s: %.*s", e->name, (int)v->name_len,
						       self->names + v->name_off);
					}
					ASSERT_GE(q.out_names, v->name_off + v->name_len);
					EXPECT_EQ(0, memcmp(e->name, self->names + v->name_off,
							    v->name_len));
				} else {
					EXPECT_EQ(0, v->name_len);
				}
			}
		}
		EXPECT_EQ(nmaps, n);
		EXPECT_LE(n, rows);
	}
	close(fd);
}

/* Runs put apart give the pages, and pages put together the runs. */
TEST_F(query, runs_and_pages)
{
	struct ptf_ioc_range_query q;
	unsigned int i, j, n;

	/* Frames that are not in the order of their pages. */
	ASSERT_EQ(0, madvise(self->mem, LEN, MADV_DONTNEED));
	for (i = 0; i < NR; i++)
		self->mem[PAGES(i * 37 % NR)] = 1;
	/* Runs of several states and lengths. */
	test_cmd_advise_all(PTF_ADV_NOTPRESENT, self->mem + PAGES(3), PAGES(5));
	ASSERT_EQ(0, madvise(self->mem + PAGES(20), PAGES(7), MADV_DONTNEED));
	ASSERT_EQ(0, munmap(self->mem + PAGES(40), PAGES(2)));
	query_pages(self->mem, LEN);
	for (i = 0; i < NR; i++) {
		ASSERT_EQ(u64ptr(self->mem) + PAGES(i), self->rows[i].start);
		ASSERT_EQ(1, self->rows[i].nr_pages);
	}
	test_cmd_range_query(&q, 0, self->mem, LEN, PTF_QUERY_F_HOLES, self->more, ROWS);
	ASSERT_EQ(u64ptr(self->mem) + LEN, q.out_next);
	EXPECT_GT(NR, q.out_rows);
	for (i = 0, n = 0; i < q.out_rows; i++) {
		struct ptf_row *r = &self->more[i];

		for (j = 0; j < r->nr_pages; j++, n++) {
			struct ptf_row *p = &self->rows[n];

			ASSERT_GT(NR, n);
			ASSERT_EQ(p->start, r->start + PAGES(j));
			ASSERT_EQ(p->state, r->state);
			ASSERT_EQ(p->kind, r->kind);
			ASSERT_EQ(p->flags, r->flags);
			ASSERT_EQ(p->mapcount, r->mapcount);
			ASSERT_EQ(p->file_state, r->file_state);
			if (p->state == PTF_STATE_PRESENT || p->state == PTF_STATE_HINT)
				ASSERT_EQ(p->pte_pfn, r->pte_pfn + j);
		}
	}
	EXPECT_EQ(NR, n);
	/* Without holes, the rest is the same. */
	test_cmd_range_query(&q, 0, self->mem, LEN, PTF_QUERY_F_PAGES, self->more, ROWS);
	EXPECT_EQ(NR - 2, q.out_rows);
	EXPECT_EQ(self->more[39].start + PAGES(3), self->more[40].start);
	/* And without what is empty. */
	test_cmd_range_query(&q, 0, self->mem, LEN, PTF_QUERY_F_PAGES | PTF_QUERY_F_MAPPED,
			     self->more, ROWS);
	EXPECT_EQ(NR - 2 - 7, q.out_rows);
	for (i = 0; i < q.out_rows; i++)
		EXPECT_NE(PTF_STATE_NONE, self->more[i].state);
	EXPECT_EQ(u64ptr(self->mem) + LEN, q.out_next);
}

/* Buffers too small: the call stops, and goes on where it stopped. */
TEST_F(query, small_buffers)
{
	static const __u32 flags[] = { 0, PTF_QUERY_F_PAGES, PTF_QUERY_F_HOLES,
				       PTF_QUERY_F_PAGES | PTF_QUERY_F_HOLES,
				       PTF_QUERY_F_MAPPED };
	static const unsigned int sizes[] = { 1, 2, 3, 17 };
	struct ptf_ioc_range_query q;
	unsigned int f, s, n, i, all;
	char *pos;

	test_cmd_advise_all(PTF_ADV_NOTPRESENT, self->mem + PAGES(3), PAGES(5));
	ASSERT_EQ(0, madvise(self->mem + PAGES(20), PAGES(7), MADV_DONTNEED));
	ASSERT_EQ(0, munmap(self->mem + PAGES(40), PAGES(2)));
	for (f = 0; f < ARRAY_SIZE(flags); f++) {
		test_cmd_range_query(&q, 0, self->mem, LEN, flags[f], self->more, ROWS);
		all = q.out_rows;
		for (s = 0; s < ARRAY_SIZE(sizes); s++) {
			n = 0;
			pos = self->mem;
			while (pos < self->mem + LEN) {
				memset(self->rows, POISON, 20 * sizeof(*self->rows));
				test_cmd_range_query(&q, 0, pos, self->mem + LEN - pos,
						     flags[f], self->rows, sizes[s]);
				ASSERT_GE(sizes[s], q.out_rows);
				ASSERT_LT(u64ptr(pos), q.out_next);
				ASSERT_GE(u64ptr(self->mem) + LEN, q.out_next);
				/* Not one byte behind the rows that it counts. */
				ASSERT_EQ(POISON64, self->rows[q.out_rows].start);
				ASSERT_EQ(POISON, self->rows[q.out_rows].reserved);
				ASSERT_GE(all, n + q.out_rows);
				/* A VMA's number is this call's own. */
				for (i = 0; i < q.out_rows; i++)
					if (self->rows[i].vma != PTF_VMA_NONE)
						self->rows[i].vma = self->more[n + i].vma;
				if (q.out_rows)
					EXPECT_EQ(0, memcmp(&self->more[n], self->rows,
							    q.out_rows * sizeof(*self->rows))) {
						TH_LOG("flags %u, %u rows at a time, at row %u",
						       flags[f], sizes[s], n);
					}
				n += q.out_rows;
				pos = (char *)q.out_next;
			}
			EXPECT_EQ(all, n);
		}
	}
}

TEST_F(query, arguments)
{
	struct ptf_ioc_range_query q;
	unsigned int i;

#define fresh() do { \
	PTF_POISONED(&q); \
	q.target = 0; \
	q.row_size = sizeof(*self->rows); \
	q.start = u64ptr(self->mem); \
	q.end = u64ptr(self->mem) + LEN; \
	q.rows = u64ptr(self->rows); \
	q.nr_rows = ROWS; \
	q.vmas = u64ptr(self->vmas); \
	q.nr_vmas = 8; \
	q.vma_size = sizeof(*self->vmas); \
	q.names = u64ptr(self->names); \
	q.names_size = 4096; \
	q.reserved = 0; \
} while (0)
#define refused(_errno) EXPECT_ERRNO(_errno, ioctl(self->fd, PTF_IOC_RANGE_QUERY, &q))

	fresh();
	ASSERT_OK(ioctl(self->fd, PTF_IOC_RANGE_QUERY, &q));
	fresh();
	q.nr_rows = 0;
	refused(EINVAL);
	for (i = 0; i < sizeof(*self->rows); i += 8) {
		fresh();
		q.row_size = i;
		refused(EINVAL);
	}
	for (i = 0; i < sizeof(*self->vmas); i += 8) {
		fresh();
		q.vma_size = i;
		refused(EINVAL);
	}
	/* Buffers that are not there. */
	fresh();
	q.rows = 0;
	errno = 0;
	EXPECT_EQ(-1, ioctl(self->fd, PTF_IOC_RANGE_QUERY, &q));
	EXPECT_TRUE(errno == EFAULT || errno == EINVAL);
	fresh();
	q.rows = 0xffffffff81000000ULL;
	refused(EFAULT);
	fresh();
	q.rows = ~0ULL;
	refused(EFAULT);
	fresh();
	q.vmas = 8;
	refused(EFAULT);
	/* A count that wraps the size of the buffer. */
	fresh();
	q.nr_rows = ~0ULL;
	errno = 0;
	if (ioctl(self->fd, PTF_IOC_RANGE_QUERY, &q)) {
		EXPECT_TRUE(errno == EINVAL || errno == EOVERFLOW || errno == EFAULT);
	} else {
		EXPECT_LE(1, q.out_rows);
	}
	fresh();
	q.nr_rows = 1ULL << 58;
	errno = 0;
	if (ioctl(self->fd, PTF_IOC_RANGE_QUERY, &q))
		EXPECT_TRUE(errno == EINVAL || errno == EOVERFLOW || errno == EFAULT);
	/* No VMA rows wanted, no names. */
	fresh();
	q.vmas = 0;
	q.nr_vmas = 0;
	q.vma_size = 0;
	q.names = 0;
	q.names_size = 0;
	ASSERT_OK(ioctl(self->fd, PTF_IOC_RANGE_QUERY, &q));
	EXPECT_EQ(0, q.out_vmas);
	EXPECT_EQ(0, q.out_names);
	EXPECT_LE(1, q.out_rows);
	/* No room for names: rows without them. */
	fresh();
	q.start = u64ptr((void *)query_arguments) & ~(PAGE - 1);
	q.end = q.start + PAGE;
	q.names_size = 1;
	self->names[0] = POISON;
	self->names[1] = POISON;
	ASSERT_OK(ioctl(self->fd, PTF_IOC_RANGE_QUERY, &q));
	EXPECT_EQ(1, q.out_vmas);
	EXPECT_EQ(0, self->vmas[0].name_len);
	EXPECT_EQ((char)POISON, self->names[1]);
}

/* A caller of a newer header: rows stand further apart. */
TEST_F(query, wider_stride)
{
	struct ptf_ioc_range_query q;
	const unsigned int wide = sizeof(struct ptf_row) + 24;
	char *buf = calloc(NR + 1, wide);
	unsigned int i;

	query_pages(self->mem, LEN);
	memset(buf, POISON, (NR + 1) * wide);
	PTF_POISONED(&q);
	q.flags = PTF_QUERY_F_PAGES;
	q.target = 0;
	q.row_size = wide;
	q.start = u64ptr(self->mem);
	q.end = u64ptr(self->mem) + LEN;
	q.rows = u64ptr(buf);
	q.nr_rows = NR;
	q.vmas = 0;
	q.nr_vmas = 0;
	q.vma_size = 0;
	q.names = 0;
	q.names_size = 0;
	q.reserved = 0;
	ASSERT_OK(ioctl(self->fd, PTF_IOC_RANGE_QUERY, &q));
	ASSERT_EQ(NR, q.out_rows);
	for (i = 0; i < NR; i++)
		ASSERT_EQ(0, memcmp(buf + i * wide, &self->rows[i], sizeof(struct ptf_row)));
	for (i = 0; i < wide; i++)
		ASSERT_EQ((char)POISON, buf[NR * wide + i]);
	free(buf);
}

/* The report of each kind, and what is never shown as a frame. */
TEST_F(query, kind_zero)
{
	char *m = ptf_anon(PAGES(4));
	int i;

	ptf_touch_all(m, PAGES(4));
	query_pages(m, PAGES(4));
	for (i = 0; i < 4; i++) {
		EXPECT_EQ(PTF_STATE_PRESENT, self->rows[i].state);
		EXPECT_EQ(PTF_KIND_ZERO, self->rows[i].kind);
		EXPECT_EQ(0, self->rows[i].flags & (PTF_ROW_WRITE | PTF_ROW_DIRTY));
		EXPECT_EQ(self->rows[0].pte_pfn, self->rows[i].pte_pfn);
	}
	ptf_store(m + PAGE, 1);
	query_pages(m, PAGES(4));
	EXPECT_EQ(PTF_KIND_ANON, self->rows[1].kind);
	EXPECT_NE(self->rows[0].pte_pfn, self->rows[1].pte_pfn);
	EXPECT_NE(0, self->rows[1].flags & PTF_ROW_WRITE);
	EXPECT_NE(0, self->rows[1].flags & PTF_ROW_EXCLUSIVE);
	/* Runs: one zero page for all is no frame that counts up. */
	struct ptf_ioc_range_query q;

	test_cmd_range_query(&q, 0, m + PAGES(2), PAGES(2), 0, self->rows, ROWS);
	ASSERT_LE(1, q.out_rows);
	EXPECT_EQ(PTF_KIND_ZERO, self->rows[0].kind);
}

TEST_F(query, kind_file)
{
	int fd = ptf_file_in(PTF_SHM, PAGES(8), SEED), i;
	unsigned char vec[8];
	char *s, *p;

	ASSERT_LE(0, fd);
	s = mmap(NULL, PAGES(8), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	p = mmap(NULL, PAGES(8), PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	ASSERT_TRUE(s != MAP_FAILED && p != MAP_FAILED);
	/* Nothing mapped yet, all in the cache. */
	query_pages(s, PAGES(8));
	for (i = 0; i < 8; i++) {
		EXPECT_EQ(PTF_STATE_NONE, self->rows[i].state);
		EXPECT_EQ(PTF_FILEMAP_PRESENT, self->rows[i].file_state);
		EXPECT_NE(0, self->rows[i].file_pfn);
		EXPECT_EQ(0, self->rows[i].pte_pfn);
		EXPECT_EQ(0, self->rows[i].pte);
	}
	ASSERT_EQ(0, mincore(s, PAGES(8), vec));
	EXPECT_EQ(1, vec[3] & 1);
	ptf_touch_all(s, PAGES(8));
	ptf_touch_all(p, PAGES(8));
	query_pages(s, PAGES(8));
	for (i = 0; i < 8; i++) {
		EXPECT_EQ(PTF_STATE_PRESENT, self->rows[i].state);
		EXPECT_EQ(PTF_KIND_SHMEM, self->rows[i].kind);
		EXPECT_EQ(self->rows[i].file_pfn, self->rows[i].pte_pfn);
		EXPECT_EQ(0, self->rows[i].flags & PTF_ROW_COPIED);
		EXPECT_EQ(2, self->rows[i].mapcount);
		EXPECT_EQ(PM_PFN(ptf_pagemap(getpid(), s + PAGES(i))), self->rows[i].pte_pfn);
	}
	/* The first write moves the PTE row, and leaves the filemap row. */
	memcpy(self->more, self->rows, 8 * sizeof(struct ptf_row));
	ptf_store(p + PAGES(2), 9);
	query_pages(p, PAGES(8));
	EXPECT_EQ(self->more[1].pte_pfn, self->rows[1].pte_pfn);
	EXPECT_NE(self->more[2].pte_pfn, self->rows[2].pte_pfn);
	EXPECT_EQ(self->more[2].file_pfn, self->rows[2].file_pfn);
	EXPECT_EQ(PTF_KIND_ANON, self->rows[2].kind);
	EXPECT_EQ(PTF_FILEMAP_PRESENT, self->rows[2].file_state);
	EXPECT_NE(0, self->rows[2].flags & PTF_ROW_COPIED);
	EXPECT_EQ(1, self->rows[2].mapcount);
	query_pages(s, PAGES(8));
	EXPECT_EQ(1, self->rows[2].mapcount);
	EXPECT_EQ(2, self->rows[1].mapcount);
	/* ftruncate drops filemap and PTE rows, not the VMA. */
	ASSERT_EQ(0, ftruncate(fd, 0));
	query_pages(s, PAGES(8));
	for (i = 0; i < 8; i++) {
		EXPECT_EQ(PTF_STATE_NONE, self->rows[i].state);
		EXPECT_EQ(PTF_FILEMAP_NONE, self->rows[i].file_state);
		EXPECT_EQ(0, self->rows[i].file_pfn);
		EXPECT_NE(PTF_VMA_NONE, self->rows[i].vma);
	}
	close(fd);
}

TEST_F(query, kind_ext4)
{
	int fd, i;
	char *s;

	if (!ptf_is_fs(PTF_SCRATCH, PTF_EXT4_MAGIC))
		SKIP(return, "no ext4 at " PTF_SCRATCH);
	fd = ptf_file_in(PTF_SCRATCH, PAGES(8), SEED);
	ASSERT_LE(0, fd);
	s = mmap(NULL, PAGES(8), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ASSERT_NE(MAP_FAILED, s);
	ptf_touch_all(s, PAGES(8));
	query_pages(s, PAGES(8));
	for (i = 0; i < 8; i++) {
		EXPECT_EQ(PTF_KIND_FILE, self->rows[i].kind);
		EXPECT_NE(0, self->rows[i].flags & PTF_FOLIO_UPTODATE);
		EXPECT_NE(0, self->rows[i].flags & PTF_FOLIO_DIRTY);
		EXPECT_EQ(0, self->rows[i].flags & (PTF_FOLIO_SWAPBACKED | PTF_FOLIO_LOCKED));
	}
	ASSERT_EQ(0, fsync(fd));
	query_pages(s, PAGES(8));
	for (i = 0; i < 8; i++)
		EXPECT_EQ(0, self->rows[i].flags & (PTF_FOLIO_DIRTY | PTF_FOLIO_WRITEBACK));
	ptf_store(s + PAGES(3), 1);
	query_pages(s, PAGES(8));
	EXPECT_NE(0, self->rows[3].flags & PTF_ROW_DIRTY);
	EXPECT_NE(0, self->rows[3].flags & PTF_ROW_WRITE);
	EXPECT_EQ(0, self->rows[2].flags & PTF_ROW_DIRTY);
	close(fd);
}

TEST_F(query, kind_swap)
{
	unsigned int i, t, n = 0;
	__u64 pm;

	if (!ptf_swap_free_kb())
		SKIP(return, "no swap");
	for (t = 0; t < 20 && n < NR; t++) {
		madvise(self->mem, LEN, MADV_PAGEOUT);
		usleep(20000);
		query_pages(self->mem, LEN);
		for (i = 0, n = 0; i < NR; i++)
			n += self->rows[i].state == PTF_STATE_SWAP;
	}
	ASSERT_LT(NR / 2, n);
	for (i = 0; i < NR; i++) {
		struct ptf_row *r = &self->rows[i];

		pm = ptf_pagemap(getpid(), self->mem + PAGES(i));
		if (r->state != PTF_STATE_SWAP) {
			EXPECT_EQ(0, pm & PM_SWAP);
			continue;
		}
		EXPECT_NE(0, pm & PM_SWAP);
		EXPECT_EQ(PM_SWAP_TYPE(pm), r->swap_type);
		EXPECT_EQ(PM_SWAP_OFF(pm), r->pte_pfn);
		EXPECT_EQ(0, r->pte & 1);
		EXPECT_NE(0, r->pte);
	}
	EXPECT_EQ(0, ptf_wrong(self->mem, LEN, SEED));
	query_pages(self->mem, LEN);
	for (i = 0; i < NR; i++)
		EXPECT_EQ(PTF_STATE_PRESENT, self->rows[i].state);
}

TEST_F(query, kind_shmem_swap)
{
	char *s = ptf_shared(LEN);
	unsigned int i, t, n = 0;

	if (!ptf_swap_free_kb())
		SKIP(return, "no swap");
	ASSERT_NE(NULL, s);
	ptf_fill(s, LEN, SEED);
	for (t = 0; t < 20 && n < NR; t++) {
		madvise(s, LEN, MADV_PAGEOUT);
		usleep(20000);
		query_pages(s, LEN);
		for (i = 0, n = 0; i < NR; i++)
			n += self->rows[i].file_state == PTF_FILEMAP_SWAP;
	}
	ASSERT_LT(NR / 2, n);
	for (i = 0; i < NR; i++) {
		if (self->rows[i].file_state != PTF_FILEMAP_SWAP)
			continue;
		/* In swap is not in memory: no frame, no entry. */
		EXPECT_EQ(0, self->rows[i].file_pfn);
		EXPECT_EQ(PTF_STATE_NONE, self->rows[i].state);
	}
	EXPECT_EQ(0, ptf_wrong(s, LEN, SEED));
}

TEST_F(query, kind_evicted)
{
	unsigned int i, t, n = 0;
	char *s;
	int fd;

	if (!ptf_is_fs(PTF_SCRATCH, PTF_EXT4_MAGIC))
		SKIP(return, "no ext4 at " PTF_SCRATCH);
	fd = ptf_file_in(PTF_SCRATCH, LEN, SEED);
	ASSERT_LE(0, fd);
	ASSERT_EQ(0, fsync(fd));
	s = mmap(NULL, LEN, PROT_READ, MAP_SHARED, fd, 0);
	ASSERT_NE(MAP_FAILED, s);
	ptf_touch_all(s, LEN);
	for (t = 0; t < 20 && n < NR / 2; t++) {
		madvise(s, LEN, MADV_PAGEOUT);
		usleep(10000);
		query_pages(s, LEN);
		for (i = 0, n = 0; i < NR; i++)
			n += self->rows[i].file_state == PTF_FILEMAP_SHADOW;
	}
	ASSERT_LE(NR / 2, n);
	for (i = 0; i < NR; i++)
		if (self->rows[i].file_state == PTF_FILEMAP_SHADOW) {
			EXPECT_EQ(0, self->rows[i].file_pfn);
			EXPECT_EQ(PTF_STATE_NONE, self->rows[i].state);
		}
	EXPECT_EQ(0, ptf_wrong(s, LEN, SEED));
	close(fd);
}

TEST_F_TIMEOUT(query, kind_ksm, 60)
{
	unsigned int i, t, n = 0;
	char was[2][32];

	if (access("/sys/kernel/mm/ksm/run", W_OK))
		SKIP(return, "no KSM in this kernel");
	snprintf(was[0], 32, "%lu", ptf_read_ulong("/sys/kernel/mm/ksm/sleep_millisecs", 20));
	snprintf(was[1], 32, "%lu", ptf_read_ulong("/sys/kernel/mm/ksm/pages_to_scan", 100));
	for (i = 0; i < NR; i++)
		memset(self->mem + PAGES(i), 0x4B, PAGE);
	if (madvise(self->mem, LEN, MADV_MERGEABLE))
		SKIP(return, "MADV_MERGEABLE: %s", strerror(errno));
	ptf_write_file("/sys/kernel/mm/ksm/sleep_millisecs", "1");
	ptf_write_file("/sys/kernel/mm/ksm/pages_to_scan", "1000");
	ptf_write_file("/sys/kernel/mm/ksm/run", "1");
	for (t = 0; t < 200 && n < 2; t++) {
		usleep(100000);
		query_pages(self->mem, LEN);
		for (i = 0, n = 0; i < NR; i++)
			n += self->rows[i].kind == PTF_KIND_KSM;
	}
	EXPECT_LE(2, n);
	for (i = 0; i < NR; i++)
		if (self->rows[i].kind == PTF_KIND_KSM) {
			EXPECT_EQ(PTF_STATE_PRESENT, self->rows[i].state);
			EXPECT_EQ(0, self->rows[i].flags & PTF_ROW_WRITE);
		}
	/* Cleared, touched, written: content and sharing as they should be. */
	test_cmd_range_advise(&(struct ptf_ioc_range_advise){}, 0, PTF_ADV_NOTPRESENT,
			      self->mem, LEN, 0);
	for (i = 0; i < LEN; i += 64)
		ASSERT_EQ(0x4B, self->mem[i]);
	ptf_store(self->mem, 1);
	for (i = PAGE; i < LEN; i += 64)
		ASSERT_EQ(0x4B, self->mem[i]);
	ptf_write_file("/sys/kernel/mm/ksm/run", "2");
	ptf_write_file("/sys/kernel/mm/ksm/run", "0");
	ptf_write_file("/sys/kernel/mm/ksm/sleep_millisecs", was[0]);
	ptf_write_file("/sys/kernel/mm/ksm/pages_to_scan", was[1]);
}

TEST_F(query, kind_huge)
{
	struct ptf_ioc_range_query q;
	unsigned int i;
	char *p, *m;

	p = mmap(NULL, 3 * HPAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, p);
	m = (char *)(((uintptr_t)p + HPAGE - 1) & ~(HPAGE - 1));
	if (madvise(m, HPAGE, MADV_HUGEPAGE))
		SKIP(return, "no transparent huge pages in this kernel");
	ptf_fill(m, HPAGE, SEED);
	query_pages(m, HPAGE);
	if (self->rows[0].level != 1)
		SKIP(return, "the kernel gave no huge page");
	for (i = 0; i < 512; i++) {
		ASSERT_EQ(PTF_KIND_THP, self->rows[i].kind);
		ASSERT_EQ(PTF_STATE_PRESENT, self->rows[i].state);
		ASSERT_EQ(9, self->rows[i].order);
		ASSERT_EQ(self->rows[0].pte_pfn + i, self->rows[i].pte_pfn);
		ASSERT_NE(0, self->rows[i].flags & PTF_FOLIO_LARGE);
	}
	EXPECT_EQ(PM_PFN(ptf_pagemap(getpid(), m + PAGES(100))), self->rows[100].pte_pfn);
	/* One run, also from its middle. */
	test_cmd_range_query(&q, 0, m, HPAGE, 0, self->rows, ROWS);
	EXPECT_EQ(1, q.out_rows);
	EXPECT_EQ(512, self->rows[0].nr_pages);
	test_cmd_range_query(&q, 0, m + PAGES(5), PAGES(9), 0, self->more, ROWS);
	EXPECT_EQ(1, q.out_rows);
	EXPECT_EQ(9, self->more[0].nr_pages);
	EXPECT_EQ(u64ptr(m) + PAGES(5), self->more[0].start);
	EXPECT_EQ(self->rows[0].pte_pfn + 5, self->more[0].pte_pfn);
}

TEST_F(query, kind_special)
{
	static const off_t maps[] = { PTFTEST_MAP_FAULT, PTFTEST_MAP_REMAP };
	unsigned int i, n;
	char *m;
	int fd;

	fd = open(PTFTEST_DEV, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		SKIP(return, "no " PTFTEST_DEV ": the test module is not loaded");
	for (i = 0; i < ARRAY_SIZE(maps); i++) {
		m = mmap(NULL, PAGES(4), PROT_READ | PROT_WRITE, MAP_SHARED, fd, maps[i]);
		ASSERT_NE(MAP_FAILED, m);
		ptf_touch_all(m, PAGES(4));
		query_pages(m, PAGES(4));
		for (n = 0; n < 4; n++) {
			EXPECT_EQ(PTF_KIND_SPECIAL, self->rows[n].kind);
			EXPECT_EQ(PTF_STATE_PRESENT, self->rows[n].state);
			/* Not core mm's page: nothing may be said of a folio. */
			EXPECT_EQ(0, self->rows[n].flags >> 32);
		}
		EXPECT_EQ(self->rows[0].pte_pfn + 3, self->rows[3].pte_pfn);
		munmap(m, PAGES(4));
	}
	close(fd);
}

TEST_F(query, kind_guard)
{
	if (madvise(self->mem + PAGES(2), PAGES(2), MADV_GUARD_INSTALL))
		SKIP(return, "MADV_GUARD_INSTALL: %s", strerror(errno));
	query_pages(self->mem, PAGES(6));
	EXPECT_EQ(PTF_STATE_PRESENT, self->rows[1].state);
	EXPECT_EQ(PTF_STATE_GUARD, self->rows[2].state);
	EXPECT_EQ(PTF_STATE_GUARD, self->rows[3].state);
	EXPECT_EQ(0, self->rows[2].pte_pfn);
	/* It is nothing to clear, nor to map. */
	struct ptf_ioc_range_advise adv;

	EXPECT_EQ(-1, _test_cmd_range_advise(self->fd, &adv, 0, PTF_ADV_NOTPRESENT,
					     self->mem + PAGES(2), PAGES(2), 0));
	EXPECT_EQ(-1, _test_cmd_range_advise(self->fd, &adv, 0, PTF_ADV_PRESENT,
					     self->mem + PAGES(2), PAGES(2), 0));
	query_pages(self->mem, PAGES(6));
	EXPECT_EQ(PTF_STATE_GUARD, self->rows[2].state);
	ASSERT_EQ(0, madvise(self->mem + PAGES(2), PAGES(2), MADV_GUARD_REMOVE));
	query_pages(self->mem, PAGES(6));
	EXPECT_EQ(PTF_STATE_NONE, self->rows[2].state);
}

static void on_sigbus(int sig)
{
}

TEST_F(query, kind_hwpoison)
{
	unsigned int i;

	/* The kernel tells who had it dirty, and some kernels insist. */
	signal(SIGBUS, on_sigbus);
	if (madvise(self->mem + PAGES(2), PAGE, MADV_HWPOISON))
		SKIP(return, "MADV_HWPOISON: %s", strerror(errno));
	query_pages(self->mem, PAGES(6));
	EXPECT_EQ(PTF_STATE_HWPOISON, self->rows[2].state);
	EXPECT_EQ(0, self->rows[2].pte & 1);
	for (i = 0; i < 6; i++)
		if (i != 2)
			EXPECT_EQ(PTF_STATE_PRESENT, self->rows[i].state);
	struct ptf_ioc_range_advise adv;

	EXPECT_EQ(-1, _test_cmd_range_advise(self->fd, &adv, 0, PTF_ADV_NOTPRESENT,
					     self->mem + PAGES(2), PAGE, 0));
	EXPECT_EQ(-1, _test_cmd_range_advise(self->fd, &adv, 0, PTF_ADV_PRESENT,
					     self->mem + PAGES(2), PAGE, 0));
	query_pages(self->mem, PAGES(6));
	EXPECT_EQ(PTF_STATE_HWPOISON, self->rows[2].state);
	/* Given back, as far as it goes. */
	munmap(self->mem + PAGES(2), PAGE);
}

TEST_F(query, kind_uffd)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register reg = { .range = { u64ptr(self->mem), LEN },
				       .mode = UFFDIO_REGISTER_MODE_WP };
	struct uffdio_writeprotect wp = { .range = { u64ptr(self->mem) + PAGES(4), PAGES(2) },
					  .mode = UFFDIO_WRITEPROTECT_MODE_WP };
	struct ptf_ioc_page_walk w;
	int uffd = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);

	if (uffd < 0)
		SKIP(return, "userfaultfd: %s", strerror(errno));
	if (ioctl(uffd, UFFDIO_API, &api) || ioctl(uffd, UFFDIO_REGISTER, &reg) ||
	    ioctl(uffd, UFFDIO_WRITEPROTECT, &wp))
		SKIP(return, "no write protection by userfaultfd: %s", strerror(errno));
	query_pages(self->mem, PAGES(8));
	EXPECT_NE(0, self->rows[4].flags & PTF_ROW_UFFD_WP);
	EXPECT_EQ(0, self->rows[4].flags & PTF_ROW_WRITE);
	EXPECT_EQ(0, self->rows[3].flags & PTF_ROW_UFFD_WP);
	test_cmd_page_walk(&w, 0, self->mem);
	EXPECT_NE(0, w.out_vma.flags & PTF_VMA_UFFD);
	/* Cleared and healed, it is protected still: by read and by PRESENT. */
	test_cmd_range_advise(&(struct ptf_ioc_range_advise){}, 0, PTF_ADV_NOTPRESENT,
			      self->mem, PAGES(8), 0);
	ptf_touch(self->mem + PAGES(4));
	test_cmd_range_advise(&(struct ptf_ioc_range_advise){}, 0, PTF_ADV_PRESENT,
			      self->mem, PAGES(8), 0);
	query_pages(self->mem, PAGES(8));
	EXPECT_EQ(PTF_STATE_PRESENT, self->rows[4].state);
	EXPECT_EQ(PTF_STATE_PRESENT, self->rows[5].state);
	EXPECT_NE(0, self->rows[4].flags & PTF_ROW_UFFD_WP);
	EXPECT_NE(0, self->rows[5].flags & PTF_ROW_UFFD_WP);
	EXPECT_EQ(0, self->rows[4].flags & PTF_ROW_WRITE);
	EXPECT_EQ(0, self->rows[5].flags & PTF_ROW_WRITE);
	close(uffd);
	ptf_fill(self->mem, LEN, SEED + 1);
	EXPECT_EQ(0, ptf_wrong(self->mem, LEN, SEED + 1));
}

/* VMA flags that madvise and mlock set. */
TEST_F(query, vma_flags)
{
	static const struct {
		int advice;
		__u64 flag;
	} set[] = {
		{ MADV_SEQUENTIAL, PTF_VMA_SEQ_READ }, { MADV_RANDOM, PTF_VMA_RAND_READ },
		{ MADV_DONTFORK, PTF_VMA_DONTCOPY }, { MADV_DONTDUMP, PTF_VMA_DONTDUMP },
		{ MADV_WIPEONFORK, PTF_VMA_WIPEONFORK }, { MADV_MERGEABLE, PTF_VMA_MERGEABLE },
		{ MADV_HUGEPAGE, PTF_VMA_HUGEPAGE },
	};
	struct ptf_ioc_page_walk w;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(set); i++) {
		test_cmd_page_walk(&w, 0, self->mem);
		EXPECT_EQ(0, w.out_vma.flags & set[i].flag);
		if (madvise(self->mem, LEN, set[i].advice))
			continue;
		test_cmd_page_walk(&w, 0, self->mem);
		EXPECT_NE(0, w.out_vma.flags & set[i].flag) {
			TH_LOG("advice %d", set[i].advice);
		}
	}
	ASSERT_EQ(0, mlock(self->mem, LEN));
	test_cmd_page_walk(&w, 0, self->mem);
	EXPECT_NE(0, w.out_vma.flags & PTF_VMA_LOCKED);
	EXPECT_EQ(0, w.out_vma.flags & PTF_VMA_LOCKONFAULT);
	ASSERT_EQ(0, munlock(self->mem, LEN));
	ASSERT_EQ(0, mlock2(self->mem, LEN, MLOCK_ONFAULT));
	test_cmd_page_walk(&w, 0, self->mem);
	EXPECT_NE(0, w.out_vma.flags & PTF_VMA_LOCKONFAULT);
}

/* The whole address space, often, while the process changes its own. */
static void *churn(void *arg)
{
	volatile unsigned int *stop = arg;
	char *m;

	while (!*stop) {
		m = ptf_anon(PAGES(128));
		if (!m)
			continue;
		memset(m, 1, PAGES(128));
		mprotect(m + PAGES(9), PAGES(9), PROT_READ);
		madvise(m + PAGES(50), PAGES(20), MADV_DONTNEED);
		munmap(m, PAGES(128));
	}
	return NULL;
}

TEST_F_TIMEOUT(query, under_change, 60)
{
	volatile unsigned int stop = 0;
	struct ptf_ioc_range_query q;
	unsigned int i, n = ptf_rounds(1000), r;
	pthread_t th[2];
	char *pos;
	__u64 end;

	for (i = 0; i < 2; i++)
		ASSERT_EQ(0, pthread_create(&th[i], NULL, churn, (void *)&stop));
	for (i = 0; i < n; i++) {
		end = 0;
		for (pos = NULL; pos < (char *)USER_END_4; pos = (char *)q.out_next) {
			test_cmd_range_query(&q, 0, pos, (char *)USER_END_4 - pos, 0,
					     self->rows, 16);
			ASSERT_LT(u64ptr(pos), q.out_next);
			for (r = 0; r < q.out_rows; r++) {
				ASSERT_LE(end, self->rows[r].start);
				ASSERT_NE(0, self->rows[r].nr_pages);
				end = self->rows[r].start + PAGES(self->rows[r].nr_pages);
			}
		}
	}
	stop = 1;
	for (i = 0; i < 2; i++)
		pthread_join(th[i], NULL);
}

/* The rows of another process are its own. */
static int other_rows(void *arg)
{
	char **p = arg;

	ptf_fill(p[0], LEN, SEED + 1);
	madvise(p[0] + PAGES(8), PAGES(8), MADV_DONTNEED);
	*(volatile unsigned int *)p[1] = 1;
	for (;;)
		pause();
	return 0;
}

TEST_F(query, of_another_process)
{
	volatile unsigned int *step = ptf_shared(PAGE);
	char *arg[2] = { self->mem, (char *)step };
	unsigned int i;
	__u32 t;
	pid_t pid = ptf_child(other_rows, arg);

	ASSERT_TRUE(ptf_await(step, 1, 10000));
	test_cmd_target_open(pid, &t);
	test_cmd_query_pages(t, self->mem, LEN, self->rows);
	test_cmd_query_pages(0, self->mem, LEN, self->more);
	for (i = 0; i < NR; i++) {
		EXPECT_EQ(i >= 8 && i < 16 ? PTF_STATE_NONE : PTF_STATE_PRESENT,
			  self->rows[i].state);
		EXPECT_EQ(PTF_STATE_PRESENT, self->more[i].state);
		EXPECT_NE(self->more[i].pte_pfn, self->rows[i].pte_pfn);
		EXPECT_EQ(PM_PFN(ptf_pagemap(pid, self->mem + PAGES(i))),
			  self->rows[i].pte_pfn);
	}
	ptf_kill(pid);
}

TEST_HARNESS_MAIN
