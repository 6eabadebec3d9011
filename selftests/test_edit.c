// SPDX-License-Identifier: GPL-2.0-only
/*
 * Edits beside NOTPRESENT, the file side, and driving the fault handler: each
 * as a change to the rows, what the next access does, and the contents.
 */
#include "ptf_test.h"

#include <pthread.h>
#include <sys/resource.h>

#define NR	32
#define LEN	PAGES(NR)
#define SEED	23

FIXTURE(edit) {
	int fd;
	struct ptf_log log;
	char *mem;
	struct ptf_row rows[NR];
};

FIXTURE_SETUP(edit)
{
	self->fd = ptf_setup(_metadata, &self->log);
	if (self->fd < 0)
		return;
	self->mem = ptf_anon(LEN);
	ASSERT_NE(NULL, self->mem);
	ptf_fill(self->mem, LEN, SEED);
}

PTF_TEARDOWN(edit)

/* Pages of [addr, addr + LEN) whose rows are in @s with all of @want and none of @not. */
#define count_rows(addr, s, want, not) ({ \
	unsigned int __i, __n = 0; \
	test_cmd_query_pages(0, addr, LEN, self->rows); \
	for (__i = 0; __i < NR; __i++) \
		__n += self->rows[__i].state == (s) && \
		       (self->rows[__i].flags & (want)) == (want) && \
		       !(self->rows[__i].flags & (not)); \
	__n; \
})

/* Minor faults that writing to each page costs. */
static long write_faults(char *mem)
{
	long min = ptf_minflt();
	unsigned int i;

	for (i = 0; i < NR; i++)
		ptf_rewrite(mem + PAGES(i));
	return ptf_minflt() - min;
}

static long read_faults(char *mem)
{
	long min = ptf_minflt();

	ptf_touch_all(mem, LEN);
	return ptf_minflt() - min;
}

TEST_F(edit, wrprotect_anon)
{
	struct ptf_ioc_range_advise c;

	EXPECT_EQ(NR, count_rows(self->mem, PTF_STATE_PRESENT, PTF_ROW_WRITE, 0));
	test_cmd_range_advise(&c, 0, PTF_ADV_WRPROTECT, self->mem, LEN, 0);
	EXPECT_EQ(NR, c.out_done_pages);
	EXPECT_EQ(NR, count_rows(self->mem, PTF_STATE_PRESENT, 0, PTF_ROW_WRITE));
	EXPECT_EQ(0, read_faults(self->mem));
	EXPECT_EQ(NR, write_faults(self->mem));
	EXPECT_EQ(0, ptf_wrong(self->mem, LEN, SEED));
	/* once more: none is protected any more, and the second time all are */
	test_cmd_range_advise(&c, 0, PTF_ADV_WRPROTECT, self->mem, LEN, 0);
	EXPECT_EQ(NR, c.out_done_pages);
	test_cmd_range_advise(&c, 0, PTF_ADV_WRPROTECT, self->mem, LEN, 0);
	EXPECT_EQ(0, c.out_done_pages);
	EXPECT_EQ(NR, c.out_same_pages);
	test_cmd_range_advise(&c, 0, PTF_ADV_WRUNPROTECT, self->mem, LEN, 0);
	EXPECT_EQ(NR, c.out_done_pages);
	EXPECT_EQ(0, write_faults(self->mem));
	EXPECT_EQ(0, ptf_wrong(self->mem, LEN, SEED));
}

/* After fork the pages are shared: unprotecting them would let one write the other's. */
TEST_F(edit, wrunprotect_keeps_cow)
{
	struct ptf_ioc_range_advise c;
	unsigned int *go = ptf_shared(PAGE);
	pid_t pid;

	ASSERT_NE(NULL, go);
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		ptf_await(go, 1, 10000);
		_exit(ptf_wrong(self->mem, LEN, SEED) != 0);
	}
	test_err_range_advise(EOPNOTSUPP, &c, 0, PTF_ADV_WRUNPROTECT, self->mem, LEN, 0);
	EXPECT_EQ(0, c.out_done_pages);
	EXPECT_EQ(NR, c.out_skipped_pages[PTF_SKIP_KIND]);
	ptf_fill(self->mem, LEN, SEED + 1);
	__atomic_store_n(go, 1, __ATOMIC_SEQ_CST);
	EXPECT_EQ(0, ptf_wait(pid));
	EXPECT_EQ(0, ptf_wrong(self->mem, LEN, SEED + 1));
}

/* Whoever heals a hint decides whether it is writable: nothing to protect there. */
TEST_F(edit, hints_are_refused)
{
	static const unsigned int advice[] = {
		PTF_ADV_WRPROTECT, PTF_ADV_WRUNPROTECT, PTF_ADV_OLD,
	};
	struct ptf_ioc_range_advise c;
	unsigned int i;

	test_cmd_range_advise(&c, 0, PTF_ADV_NOTPRESENT, self->mem, LEN, 0);
	for (i = 0; i < ARRAY_SIZE(advice); i++) {
		test_err_range_advise(EOPNOTSUPP, &c, 0, advice[i], self->mem, LEN, 0);
		EXPECT_EQ(NR, c.out_skipped_pages[PTF_SKIP_KIND]);
		test_err_range_advise(EOPNOTSUPP, &c, 0, advice[i], self->mem, LEN,
				      PTF_ADVISE_F_STRICT);
	}
	EXPECT_EQ(NR, count_rows(self->mem, PTF_STATE_HINT, 0, 0));
	/* half of them is */
	test_cmd_range_advise(&c, 0, PTF_ADV_PRESENT, self->mem, LEN / 2, 0);
	test_cmd_range_advise(&c, 0, PTF_ADV_WRPROTECT, self->mem, LEN, 0);
	EXPECT_EQ(NR / 2, c.out_done_pages);
	EXPECT_EQ(NR / 2, c.out_skipped_pages[PTF_SKIP_KIND]);
	EXPECT_EQ(NR / 2, count_rows(self->mem, PTF_STATE_PRESENT, 0, PTF_ROW_WRITE));
	EXPECT_EQ(0, ptf_wrong(self->mem, LEN, SEED));
}

TEST_F(edit, wrprotect_read_only)
{
	struct ptf_ioc_range_advise c;

	ASSERT_EQ(0, mprotect(self->mem, LEN, PROT_READ));
	test_err_range_advise(EACCES, &c, 0, PTF_ADV_WRPROTECT, self->mem, LEN, 0);
	EXPECT_EQ(NR, c.out_skipped_pages[PTF_SKIP_READONLY]);
	test_err_range_advise(EACCES, &c, 0, PTF_ADV_WRUNPROTECT, self->mem, LEN,
			      PTF_ADVISE_F_STRICT);
	EXPECT_EQ(0, c.out_done_pages);
}

static volatile int writer_stop;

/* Of all threads together. */
static long process_faults(void)
{
	struct rusage ru;

	getrusage(RUSAGE_SELF, &ru);
	return ru.ru_minflt;
}

static void *writer(void *arg)
{
	volatile unsigned long *p = arg;

	ptf_pin_cpu(1);
	while (!writer_stop)
		(*p)++;
	return NULL;
}

/* A CPU that writes the page all the time must lose its translation. */
TEST_F(edit, wrprotect_flushes)
{
	struct ptf_ioc_range_advise c;
	unsigned long was;
	pthread_t t;
	long before;
	int i, n;

	if (ptf_nr_cpus() < 2)
		SKIP(return, "one CPU");
	writer_stop = 0;
	ptf_pin_cpu(0);
	ASSERT_EQ(0, pthread_create(&t, NULL, writer, self->mem));
	usleep(20000);
	before = process_faults();
	for (i = 0; i < 20; i++) {
		test_cmd_range_advise(&c, 0, PTF_ADV_WRPROTECT, self->mem, PAGE, 0);
		EXPECT_EQ(1, c.out_done_pages);
		EXPECT_EQ(1, c.out_flushes);
		/* it may not be on its CPU just now */
		was = *(volatile unsigned long *)self->mem;
		for (n = 0; n < 2000 && *(volatile unsigned long *)self->mem == was; n++)
			usleep(5000);
		EXPECT_GT(2000, n);
	}
	writer_stop = 1;
	pthread_join(t, NULL);
	EXPECT_LE(20, process_faults() - before);
}

TEST_F(edit, old)
{
	struct ptf_ioc_range_advise c;
	unsigned int i;

	test_cmd_range_advise(&c, 0, PTF_ADV_OLD, self->mem, LEN, 0);
	EXPECT_EQ(NR, c.out_done_pages);
	EXPECT_EQ(NR, count_rows(self->mem, PTF_STATE_PRESENT, 0, PTF_ROW_YOUNG));
	for (i = 0; i < NR; i += 2)
		ptf_touch(self->mem + PAGES(i));
	EXPECT_EQ(NR / 2, count_rows(self->mem, PTF_STATE_PRESENT, PTF_ROW_YOUNG, 0));
	EXPECT_EQ(0, self->rows[1].flags & PTF_ROW_YOUNG);
	EXPECT_EQ(0, ptf_wrong(self->mem, LEN, SEED));
}

TEST_F(edit, clean)
{
	int file = ptf_file_in(PTF_SCRATCH, LEN, SEED);
	struct ptf_ioc_range_advise c;
	unsigned char first;
	char *map;

	ASSERT_LE(0, file);
	ASSERT_EQ(0, fsync(file));
	map = mmap(NULL, LEN, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
	ASSERT_NE(MAP_FAILED, map);
	write_faults(map);
	EXPECT_EQ(NR, count_rows(map, PTF_STATE_PRESENT, PTF_ROW_DIRTY | PTF_ROW_WRITE, 0));
	first = map[0];
	ptf_store(map, 0x77);
	test_cmd_range_advise(&c, 0, PTF_ADV_CLEAN, map, LEN, 0);
	EXPECT_EQ(NR, c.out_done_pages);
	EXPECT_LE(1, c.out_flushes);
	EXPECT_EQ(NR, count_rows(map, PTF_STATE_PRESENT, PTF_FOLIO_DIRTY,
				 PTF_ROW_DIRTY | PTF_ROW_WRITE));
	EXPECT_EQ(0, read_faults(map));
	/* what was dirty still reaches the disk: drop the cache and read again */
	ASSERT_EQ(0, fsync(file));
	test_cmd_range_advise(&c, 0, PTF_ADV_EVICT, map, LEN, 0);
	EXPECT_EQ(NR, c.out_done_pages);
	EXPECT_EQ(0x77, (unsigned char)map[0]);
	ptf_store(map, first);
	EXPECT_EQ(0, ptf_wrong(map, LEN, SEED));
	/* anonymous memory has no folio dirt to move */
	test_err_range_advise(EOPNOTSUPP, &c, 0, PTF_ADV_CLEAN, self->mem, LEN, 0);
	EXPECT_EQ(NR, c.out_skipped_pages[PTF_SKIP_KIND]);
	munmap(map, LEN);
	close(file);
}

TEST_F(edit, unmap_file_reaches_everybody)
{
	int file = ptf_file_in(PTF_SCRATCH, LEN, SEED);
	struct ptf_ioc_range_advise c;
	char *map, *other, *cow;

	ASSERT_LE(0, file);
	map = mmap(NULL, LEN, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
	other = mmap(NULL, LEN, PROT_READ, MAP_SHARED, file, 0);
	cow = mmap(NULL, LEN, PROT_READ | PROT_WRITE, MAP_PRIVATE, file, 0);
	ASSERT_NE(MAP_FAILED, map);
	ASSERT_NE(MAP_FAILED, other);
	ASSERT_NE(MAP_FAILED, cow);
	ptf_touch_all(map, LEN);
	ptf_touch_all(other, LEN);
	ptf_fill(cow, LEN, SEED + 1);
	test_cmd_range_advise(&c, 0, PTF_ADV_UNMAP_FILE, map, LEN, 0);
	EXPECT_EQ(NR, c.out_done_pages);
	EXPECT_EQ(NR, count_rows(map, PTF_STATE_NONE, 0, 0));
	EXPECT_EQ(PTF_FILEMAP_PRESENT, self->rows[NR - 1].file_state);
	EXPECT_EQ(NR, count_rows(other, PTF_STATE_NONE, 0, 0));
	/* copies are data */
	EXPECT_EQ(NR, count_rows(cow, PTF_STATE_PRESENT, PTF_ROW_COPIED, 0));
	EXPECT_EQ(0, ptf_wrong(cow, LEN, SEED + 1));
	EXPECT_LT(0, read_faults(other));
	EXPECT_EQ(0, ptf_wrong(map, LEN, SEED));
	test_err_range_advise(EOPNOTSUPP, &c, 0, PTF_ADV_UNMAP_FILE, self->mem, LEN, 0);
	munmap(map, LEN);
	munmap(other, LEN);
	munmap(cow, LEN);
	close(file);
}

TEST_F(edit, evict_reads_the_disk)
{
	int file = ptf_file_in(PTF_SCRATCH, LEN, SEED);
	struct ptf_ioc_range_advise c;
	long maj;
	char *map;
	int shm;

	ASSERT_LE(0, file);
	map = mmap(NULL, LEN, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
	ASSERT_NE(MAP_FAILED, map);
	/* dirty: must be written first */
	ptf_fill(map, LEN, SEED + 1);
	test_cmd_range_advise(&c, 0, PTF_ADV_EVICT, map, LEN, 0);
	EXPECT_EQ(NR, c.out_done_pages);
	EXPECT_EQ(NR, count_rows(map, PTF_STATE_NONE, 0, 0));
	EXPECT_NE(PTF_FILEMAP_PRESENT, self->rows[0].file_state);
	EXPECT_NE(PTF_FILEMAP_PRESENT, self->rows[NR - 1].file_state);
	maj = ptf_majflt();
	EXPECT_EQ(0, ptf_wrong(map, LEN, SEED + 1));
	EXPECT_LT(maj, ptf_majflt());
	munmap(map, LEN);
	close(file);

	shm = ptf_file_in(PTF_SHM, LEN, SEED);
	ASSERT_LE(0, shm);
	map = mmap(NULL, LEN, PROT_READ, MAP_SHARED, shm, 0);
	ASSERT_NE(MAP_FAILED, map);
	ptf_touch_all(map, LEN);
	test_err_range_advise(EOPNOTSUPP, &c, 0, PTF_ADV_EVICT, map, LEN, 0);
	EXPECT_EQ(0, read_faults(map));
	munmap(map, LEN);
	close(shm);
}

TEST_F(edit, file_advise)
{
	int file = ptf_file_in(PTF_SCRATCH, LEN, SEED), ro, pipes[2];
	struct ptf_ioc_file_advise c = {
		.size = sizeof(c), .fd = file, .advice = PTF_ADV_UNMAP_FILE, .end = LEN,
	};
	char path[64], *map;

	ASSERT_LE(0, file);
	map = mmap(NULL, LEN, PROT_READ, MAP_SHARED, file, 0);
	ASSERT_NE(MAP_FAILED, map);
	ptf_touch_all(map, LEN);
	ASSERT_OK(ioctl(self->fd, PTF_IOC_FILE_ADVISE, &c));
	EXPECT_EQ(NR, c.out_done_pages);
	EXPECT_EQ(NR, count_rows(map, PTF_STATE_NONE, 0, 0));
	EXPECT_EQ(0, ptf_wrong(map, LEN, SEED));

	/* half of the file, by advice that drops it from the cache */
	c.advice = PTF_ADV_EVICT;
	c.start = LEN / 2;
	ASSERT_OK(ioctl(self->fd, PTF_IOC_FILE_ADVISE, &c));
	EXPECT_EQ(NR / 2, c.out_done_pages);
	test_cmd_query_pages(0, map, LEN, self->rows);
	EXPECT_EQ(PTF_FILEMAP_PRESENT, self->rows[0].file_state);
	EXPECT_NE(PTF_FILEMAP_PRESENT, self->rows[NR - 1].file_state);
	EXPECT_EQ(0, ptf_wrong(map, LEN, SEED));

	/* behind the end, and all gone already */
	c.start = LEN;
	c.end = 2 * LEN;
	EXPECT_ERRNO(ENODATA, ioctl(self->fd, PTF_IOC_FILE_ADVISE, &c));
	c.start = 0;
	c.end = LEN;
	ASSERT_OK(ioctl(self->fd, PTF_IOC_FILE_ADVISE, &c));
	EXPECT_EQ(NR, c.out_done_pages);
	EXPECT_ERRNO(ENODATA, ioctl(self->fd, PTF_IOC_FILE_ADVISE, &c));
	EXPECT_EQ(0, c.out_done_pages);
	EXPECT_EQ(NR, c.out_skipped_pages[PTF_SKIP_EMPTY]);

	c.advice = PTF_ADV_NOTPRESENT;
	EXPECT_ERRNO(EOPNOTSUPP, ioctl(self->fd, PTF_IOC_FILE_ADVISE, &c));
	c.advice = 1;
	EXPECT_ERRNO(EINVAL, ioctl(self->fd, PTF_IOC_FILE_ADVISE, &c));
	c.advice = PTF_ADV_EVICT;
	c.start = 1;
	EXPECT_ERRNO(EINVAL, ioctl(self->fd, PTF_IOC_FILE_ADVISE, &c));
	c.start = LEN;
	EXPECT_ERRNO(EINVAL, ioctl(self->fd, PTF_IOC_FILE_ADVISE, &c));
	c.start = 0;
	c.flags = 0x80000000;
	EXPECT_ERRNO(EOPNOTSUPP, ioctl(self->fd, PTF_IOC_FILE_ADVISE, &c));
	c.flags = PTF_ADVISE_F_STRICT;
	EXPECT_ERRNO(EOPNOTSUPP, ioctl(self->fd, PTF_IOC_FILE_ADVISE, &c));
	c.flags = 0;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", file);
	ro = open(path, O_RDONLY);
	ASSERT_LE(0, ro);
	c.fd = ro;
	EXPECT_ERRNO(EBADF, ioctl(self->fd, PTF_IOC_FILE_ADVISE, &c));
	ASSERT_EQ(0, pipe(pipes));
	c.fd = pipes[1];
	EXPECT_ERRNO(ENODEV, ioctl(self->fd, PTF_IOC_FILE_ADVISE, &c));
	close(pipes[0]);
	close(pipes[1]);
	close(ro);
	munmap(map, LEN);
	close(file);
}

/* What others see of a file is for who may write it. */
TEST_F(edit, files_of_others)
{
	int file = ptf_file_in(PTF_SCRATCH, LEN, SEED), ro;
	char path[64], *map;
	pid_t pid;

	ASSERT_LE(0, file);
	ASSERT_EQ(0, fchmod(file, 0644));
	snprintf(path, sizeof(path), "/proc/self/fd/%d", file);
	ro = open(path, O_RDONLY | O_CLOEXEC);
	ASSERT_LE(0, ro);
	map = mmap(NULL, LEN, PROT_READ, MAP_SHARED, ro, 0);
	ASSERT_NE(MAP_FAILED, map);
	ptf_touch_all(map, LEN);
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		static const unsigned int advice[] = { PTF_ADV_UNMAP_FILE, PTF_ADV_EVICT };
		struct ptf_ioc_range_advise c;
		unsigned int i;

		if (setresgid(65534, 65534, 65534) || setresuid(65534, 65534, 65534))
			_exit(1);
		for (i = 0; i < ARRAY_SIZE(advice); i++) {
			if (!_test_cmd_range_advise(self->fd, &c, 0, advice[i], map, LEN, 0) ||
			    errno != EACCES || c.out_skipped_pages[PTF_SKIP_READONLY] != NR)
				_exit(2 + i);
		}
		_exit(0);
	}
	EXPECT_EQ(0, ptf_wait(pid));
	EXPECT_EQ(NR, count_rows(map, PTF_STATE_PRESENT, 0, 0));
	/* root may, also through a mapping that it may only read */
	ASSERT_OK(({ struct ptf_ioc_range_advise c;
		     _test_cmd_range_advise(self->fd, &c, 0, PTF_ADV_EVICT, map, LEN, 0); }));
	EXPECT_LT(0, read_faults(map));
	munmap(map, LEN);
	close(ro);
	close(file);
}

/*
 * A part of a large folio: where the kernel counts by folio, that the rest of it is
 * mapped does not make the part busy.
 */
TEST_F(edit, part_of_a_large_folio)
{
	size_t len = 1 << 20;
	int file = ptf_file_in(PTF_SCRATCH, len, SEED);
	struct ptf_ioc_range_advise c;
	struct ptf_row row[8];
	char *map, *cow;
	int i;

	ASSERT_LE(0, file);
	/* again in one go: where file systems make large folios, they do for that */
	map = malloc(len);
	ASSERT_EQ(len, pread(file, map, len, 0));
	ASSERT_EQ(0, ftruncate(file, 0));
	ASSERT_EQ(len, pwrite(file, map, len, 0));
	free(map);
	ASSERT_EQ(0, fsync(file));
	map = mmap(NULL, len, PROT_READ, MAP_SHARED, file, 0);
	cow = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE, file, 0);
	ASSERT_NE(MAP_FAILED, map);
	ASSERT_NE(MAP_FAILED, cow);
	ptf_touch_all(map, len);
	test_cmd_query_pages(0, map, PAGES(8), row);
	TH_LOG("folios of order %u", row[0].order);
	test_cmd_range_advise(&c, 0, PTF_ADV_UNMAP_FILE, map, PAGES(4), 0);
	EXPECT_EQ(4, c.out_done_pages);
	EXPECT_EQ(0, c.out_skipped_pages[PTF_SKIP_BUSY]);
	test_cmd_query_pages(0, map, PAGES(8), row);
	for (i = 0; i < 8; i++)
		EXPECT_EQ(i < 4 ? PTF_STATE_NONE : PTF_STATE_PRESENT, row[i].state);
	/* once more: nothing is mapped there */
	test_err_range_advise(ENODATA, &c, 0, PTF_ADV_UNMAP_FILE, map, PAGES(4), 0);
	/* copies */
	ptf_fill(cow + PAGES(2), PAGES(2), SEED + 1);
	test_cmd_range_advise(&c, 0, PTF_ADV_UNMAP_FILE_COW, cow + PAGES(2), PAGES(2), 0);
	EXPECT_EQ(2, c.out_done_pages);
	EXPECT_EQ(0, memcmp(cow, map, len));
	munmap(map, len);
	munmap(cow, len);
	close(file);
}

#define drive(_start, _len, _access, _flags, _results) ({ \
	fault = (struct ptf_ioc_range_fault) { \
		.size = sizeof(fault), .flags = (_flags), .access = (_access), \
		.start = u64ptr(_start), .end = u64ptr(_start) + (_len), \
		.results = u64ptr(_results), \
	}; \
	ioctl(self->fd, PTF_IOC_RANGE_FAULT, &fault); \
})

TEST_F(edit, drive)
{
	struct ptf_ioc_range_fault fault;
	struct ptf_ioc_range_advise c;
	unsigned char results[NR + 2];
	char *fresh = ptf_anon(LEN);
	unsigned int i;
	long min;

	ASSERT_NE(NULL, fresh);
	memset(results, POISON, sizeof(results));
	ASSERT_OK(drive(fresh, LEN, PTF_ACCESS_WRITE, 0, results));
	EXPECT_EQ(NR, fault.out_minor);
	EXPECT_EQ(0, fault.out_failed);
	EXPECT_EQ(u64ptr(fresh) + LEN, fault.out_next);
	for (i = 0; i < NR; i++)
		EXPECT_EQ(PTF_FAULTED_MINOR, results[i]);
	EXPECT_EQ(POISON, results[NR]);
	EXPECT_EQ(NR, count_rows(fresh, PTF_STATE_PRESENT, PTF_ROW_WRITE, 0));
	EXPECT_EQ(0, write_faults(fresh));

	/* cleared pages are healed without being touched */
	test_cmd_range_advise(&c, 0, PTF_ADV_NOTPRESENT, self->mem, LEN, 0);
	ASSERT_OK(drive(self->mem, LEN, PTF_ACCESS_READ, PTF_FAULT_F_USER, 0));
	EXPECT_EQ(NR, fault.out_minor);
	min = ptf_minflt();
	EXPECT_EQ(0, ptf_wrong(self->mem, LEN, SEED));
	EXPECT_EQ(min, ptf_minflt());

	/* what is forbidden, and what is not there */
	ASSERT_EQ(0, mprotect(self->mem, LEN, PROT_READ));
	ASSERT_OK(drive(self->mem, LEN, PTF_ACCESS_WRITE, 0, results));
	EXPECT_EQ(NR, fault.out_failed);
	EXPECT_EQ(PTF_FAULTED_ACCESS, results[0]);
	ASSERT_OK(drive(self->mem, LEN, PTF_ACCESS_EXEC, 0, results));
	EXPECT_EQ(PTF_FAULTED_ACCESS, results[NR - 1]);
	ASSERT_EQ(0, munmap(fresh + PAGE, PAGE));
	memset(results, POISON, sizeof(results));
	ASSERT_OK(drive(fresh, LEN, PTF_ACCESS_READ, PTF_FAULT_F_STOP, results));
	EXPECT_EQ(u64ptr(fresh) + 2 * PAGE, fault.out_next);
	EXPECT_EQ(PTF_FAULTED_MINOR, results[0]);
	EXPECT_EQ(PTF_FAULTED_HOLE, results[1]);
	EXPECT_EQ(POISON, results[2]);

	EXPECT_ERRNO(EINVAL, drive(fresh, LEN, 0, 0, 0));
	EXPECT_ERRNO(EINVAL, drive(fresh, LEN, PTF_ACCESS_READ | PTF_ACCESS_WRITE, 0, 0));
	EXPECT_ERRNO(EINVAL, drive(fresh, LEN, 8, 0, 0));
	EXPECT_ERRNO(EINVAL, drive(fresh + 1, LEN, PTF_ACCESS_READ, 0, 0));
	EXPECT_ERRNO(EINVAL, drive(fresh, 0, PTF_ACCESS_READ, 0, 0));
	EXPECT_ERRNO(EOPNOTSUPP, drive(fresh, LEN, PTF_ACCESS_READ, 0x10, 0));
	EXPECT_ERRNO(EFAULT, drive(fresh, PAGE, PTF_ACCESS_READ, 0, 8));
}

TEST_F(edit, drive_past_the_end_of_a_file)
{
	int file = ptf_file_in(PTF_SCRATCH, LEN, SEED);
	struct ptf_ioc_range_fault fault;
	unsigned char results[NR];
	char *map;

	ASSERT_LE(0, file);
	map = mmap(NULL, LEN, PROT_READ, MAP_SHARED, file, 0);
	ASSERT_NE(MAP_FAILED, map);
	ASSERT_EQ(0, ftruncate(file, LEN / 2));
	ASSERT_OK(drive(map, LEN, PTF_ACCESS_READ, 0, results));
	EXPECT_EQ(NR / 2, fault.out_failed);
	EXPECT_EQ(NR / 2, fault.out_minor + fault.out_major);
	EXPECT_EQ(PTF_FAULTED_SIGBUS, results[NR / 2]);
	munmap(map, LEN);
	close(file);
}

TEST_HARNESS_MAIN
