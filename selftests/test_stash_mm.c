// SPDX-License-Identifier: GPL-2.0-only
/*
 * STASH against those parts of core mm that work by themselves or on more than
 * a page: khugepaged, compaction, page migration between nodes, large folios of
 * anonymous memory and of the page cache, dropped caches, many threads at exit.
 */
/* vm: default */
/* vm: --numa 2 */
/* timeout: 600 */
#include "ptf_test.h"

#include <sys/uio.h>

#define NR	64
#define LEN	PAGES(NR)
#define SEED	91

#define THP_DIR	"/sys/kernel/mm/transparent_hugepage/"
#define NUMA_SCAN	"/proc/sys/kernel/numa_balancing"

FIXTURE(mm) {
	int fd;
	struct ptf_log log;
	char *mem;
};

FIXTURE_SETUP(mm)
{
	self->fd = ptf_setup(_metadata, &self->log);
	if (self->fd < 0)
		return;
	if (!(ptf_features(self->fd) & PTF_FEATURE_STASH))
		SKIP(return, "no STASH on this kernel: its fault handler can't be hooked");
	self->mem = ptf_anon(LEN);
	ASSERT_NE(NULL, self->mem);
	ptf_fill(self->mem, LEN, SEED);
}

PTF_TEARDOWN(mm)

#define take(addr, len) test_cmd_advise_all(PTF_ADV_STASH, addr, len)

static __u64 held_now(int fd)
{
	struct ptf_ioc_session_stat st;

	return _test_cmd_session_stat(fd, &st) ? ~0ULL : st.out_stashed_pages;
}

/* Pages of a range in a state, and the largest order of their folios. */
static int count_state(int fd, const char *p, size_t len, int state, int *order)
{
	struct ptf_ioc_range_query q;
	struct ptf_row row[64];
	size_t at;
	int n = 0;
	__u64 i;

	if (order)
		*order = 0;
	for (at = 0; at < len; at = q.out_next - u64ptr(p)) {
		if (_test_cmd_range_query(fd, &q, 0, p + at, len - at,
					  PTF_QUERY_F_PAGES | PTF_QUERY_F_HOLES, row, 64) ||
		    q.out_next <= u64ptr(p) + at)
			return -1;
		for (i = 0; i < q.out_rows; i++) {
			n += row[i].state == state;
			if (order && row[i].order > *order)
				*order = row[i].order;
		}
	}
	return n;
}

#define stashed(p, len) count_state(self->fd, p, len, PTF_STATE_STASHED, NULL)

/* A sysfs switch, for the time of a test. */
struct knob {
	char path[160], was[64];
};

static bool turn(struct knob *k, const char *path, const char *to)
{
	char *end;
	FILE *f;

	snprintf(k->path, sizeof(k->path), "%s", path);
	f = fopen(path, "re");
	if (!f)
		return false;
	if (!fgets(k->was, sizeof(k->was), f))
		k->was[0] = 0;
	fclose(f);
	/* of several words the one in brackets */
	end = strchr(k->was, '[');
	if (end) {
		memmove(k->was, end + 1, strlen(end));
		k->was[strcspn(k->was, "]")] = 0;
	}
	return !ptf_write_file(path, to);
}

static void turn_back(struct knob *k)
{
	if (k->path[0])
		ptf_write_file(k->path, k->was);
}

static void take_some(int fd, char *p, size_t nr, unsigned int *seed)
{
	struct ptf_ioc_range_advise cmd;
	size_t at = rand_r(seed) % nr, n = 1 + rand_r(seed) % (nr - at);

	_test_cmd_range_advise(fd, &cmd, 0, PTF_ADV_STASH, p + PAGES(at), PAGES(n), 0);
}

/* ------------------------------------------------------------------ */

static volatile int all_there;

static void *touch_for_ever(void *arg)
{
	for (;;) {
		if (all_there)
			ptf_touch_all(arg, LEN);
		usleep(1000);
	}
	return NULL;
}

static int exit_with_64_threads(void *arg)
{
	struct ptf_ioc_range_advise cmd;
	int fd = open(PTF_DEV, O_RDWR | O_CLOEXEC), i;
	pthread_attr_t attr;
	pthread_t th;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 65536);
	for (i = 0; i < 64; i++)
		if (pthread_create(&th, &attr, touch_for_ever, arg))
			return 2;
	all_there = 1;
	for (i = 0; i < 5; i++)
		if (_test_cmd_range_advise(fd, &cmd, 0, PTF_ADV_STASH, arg, LEN, 0) &&
		    errno != EBUSY)
			return 1;
	return 0;
}

TEST_F_TIMEOUT(mm, exit_group_64_threads, 120)
{
	unsigned int i, n = ptf_rounds(50);

	for (i = 0; i < n; i++)
		ASSERT_EQ(0, ptf_wait(ptf_child(exit_with_64_threads, self->mem)));
	EXPECT_EQ(0, ptf_wrong(self->mem, LEN, SEED));
}

static char *aligned(size_t len)
{
	char *p = mmap(NULL, len + HPAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
		       -1, 0);

	return p == MAP_FAILED ? NULL :
		(char *)(((uintptr_t)p + HPAGE - 1) & ~(HPAGE - 1));
}

/* Two words a page, as 512 of them are many. */
static void mark(char *p, size_t nr, __u64 seed)
{
	size_t i;

	for (i = 0; i < nr; i++) {
		((volatile __u64 *)(p + PAGES(i)))[0] = ptf_word(seed, i, 0);
		((volatile __u64 *)(p + PAGES(i)))[511] = ptf_word(seed, i, 511);
	}
}

static size_t unmarked(const char *p, size_t nr, __u64 seed)
{
	size_t i, bad = 0;

	for (i = 0; i < nr; i++) {
		const volatile __u64 *w = (const void *)(p + PAGES(i));

		bad += w[0] != ptf_word(seed, i, 0) || w[511] != ptf_word(seed, i, 511);
	}
	return bad;
}

/*
 * khugepaged has as much to do as it can take, on pages that come and go. That
 * it works at all shows on memory that nobody disturbs.
 */
TEST_F_TIMEOUT(mm, khugepaged, 120)
{
	struct knob knobs[5] = { };
	char *p = aligned(2 * HPAGE), *other = aligned(2 * HPAGE);
	double t = ptf_seconds(), limit = 15 * ptf_env("PTF_SLOW", 1);
	unsigned long collapsed, rounds = 0;
	unsigned int seed = 5;

	ASSERT_TRUE(p && other);
	madvise(p, 2 * HPAGE, MADV_NOHUGEPAGE);
	madvise(other, 2 * HPAGE, MADV_NOHUGEPAGE);
	mark(p, 1024, SEED);
	mark(other, 1024, SEED);
	collapsed = ptf_read_ulong(THP_DIR "khugepaged/pages_collapsed", 0);
	if (!turn(&knobs[0], THP_DIR "khugepaged/scan_sleep_millisecs", "5"))
		SKIP(return, "no khugepaged in this kernel");
	turn(&knobs[1], THP_DIR "khugepaged/alloc_sleep_millisecs", "5");
	turn(&knobs[2], THP_DIR "khugepaged/pages_to_scan", "8192");
	turn(&knobs[3], THP_DIR "enabled", "madvise");
	turn(&knobs[4], THP_DIR "defrag", "madvise");
	madvise(p, 2 * HPAGE, MADV_HUGEPAGE);
	madvise(other, 2 * HPAGE, MADV_HUGEPAGE);
	while (ptf_seconds() - t < limit) {
		take_some(self->fd, p, 1024, &seed);
		if (rounds % 4 == 0)
			usleep(2000);
		ASSERT_EQ(0, unmarked(p, 1024, SEED));
		if (rounds % 16 == 15)
			mark(p, 1024, SEED);
		/* a huge page that was made is taken apart again */
		if (rounds % 16 == 7) {
			mprotect(p, PAGE, PROT_READ);
			mprotect(p, PAGE, PROT_READ | PROT_WRITE);
		}
		rounds++;
		if (rounds >= ptf_rounds(1000) &&
		    ptf_read_ulong(THP_DIR "khugepaged/pages_collapsed", 0) > collapsed + 2)
			break;
	}
	EXPECT_LT(collapsed, ptf_read_ulong(THP_DIR "khugepaged/pages_collapsed", 0)) {
		TH_LOG("khugepaged did nothing in %lu rounds", rounds);
	}
	EXPECT_EQ(0, unmarked(p, 1024, SEED));
	EXPECT_EQ(0, unmarked(other, 1024, SEED));
	turn_back(&knobs[0]);
	turn_back(&knobs[1]);
	turn_back(&knobs[2]);
	turn_back(&knobs[3]);
	turn_back(&knobs[4]);
}

static void *compact_for_ever(void *arg)
{
	volatile int *stop = arg;

	while (!*stop) {
		ptf_write_file("/proc/sys/vm/compact_memory", "1");
		usleep(2000);
	}
	return NULL;
}

TEST_F_TIMEOUT(mm, compaction, 120)
{
	unsigned int i, n = ptf_rounds(1000), seed = 3;
	volatile int stop = 0;
	pthread_t th;

	if (access("/proc/sys/vm/compact_memory", W_OK))
		SKIP(return, "no compaction in this kernel");
	ASSERT_EQ(0, pthread_create(&th, NULL, compact_for_ever, (void *)&stop));
	for (i = 0; i < n; i++) {
		take_some(self->fd, self->mem, NR, &seed);
		ASSERT_EQ(0, ptf_wrong(self->mem, LEN, SEED));
		if (i % 8 == 0)
			ptf_fill(self->mem, LEN, SEED);
	}
	stop = 1;
	pthread_join(th, NULL);
	EXPECT_EQ(0, ptf_wrong(self->mem, LEN, SEED));
}

static void *drop_for_ever(void *arg)
{
	volatile int *stop = arg;

	while (!*stop) {
		ptf_write_file("/proc/sys/vm/drop_caches", "3");
		usleep(2000);
	}
	return NULL;
}

TEST_F_TIMEOUT(mm, drop_caches, 120)
{
	unsigned int i, n = ptf_rounds(500), seed = 4;
	int file = ptf_file_in(PTF_SCRATCH, LEN, SEED);
	volatile int stop = 0;
	char *s, *p;
	pthread_t th;

	if (!ptf_is_fs(PTF_SCRATCH, PTF_EXT4_MAGIC))
		SKIP(return, PTF_SCRATCH " is not ext4");
	ASSERT_LE(0, file);
	s = mmap(NULL, LEN, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
	p = mmap(NULL, LEN, PROT_READ | PROT_WRITE, MAP_PRIVATE, file, 0);
	ASSERT_TRUE(s != MAP_FAILED && p != MAP_FAILED);
	ASSERT_EQ(0, pthread_create(&th, NULL, drop_for_ever, (void *)&stop));
	for (i = 0; i < n; i++) {
		ptf_touch_all(s, LEN);
		ptf_touch_all(p, LEN);
		take_some(self->fd, s, NR, &seed);
		take_some(self->fd, p, NR, &seed);
		if (i % 4 == 0)
			ptf_fill(s, LEN, SEED);
		if (i % 16 == 0)
			fsync(file);
		ASSERT_EQ(0, ptf_wrong(s, LEN, SEED));
		ASSERT_EQ(0, ptf_wrong(p, LEN, SEED));
	}
	stop = 1;
	pthread_join(th, NULL);
	munmap(s, LEN);
	munmap(p, LEN);
	close(file);
}

/* ------------------------------------------------------------------ */
/* Large folios                                                        */

/* Large folios of anonymous memory, smaller than a PMD (mTHP). */
TEST_F_TIMEOUT(mm, large_anonymous_folios, 60)
{
	struct knob knobs[3] = { };
	unsigned int i, round;
	int order = 0;
	long min;
	char *p;

	if (!turn(&knobs[0], THP_DIR "hugepages-64kB/enabled", "always"))
		SKIP(return, "no large anonymous folios in this kernel");
	turn(&knobs[1], THP_DIR "hugepages-2048kB/enabled", "never");
	/* what scans for where pages are used puts them back, too */
	turn(&knobs[2], NUMA_SCAN, "0");
	p = aligned(LEN);
	ASSERT_NE(NULL, p);
	for (round = 0; round < 3; round++) {
		ptf_fill(p, LEN, SEED);
		EXPECT_EQ(NR, count_state(self->fd, p, LEN, PTF_STATE_PRESENT, &order));
		if (!round)
			EXPECT_EQ(4, order);
		/* every second page is away while its neighbours fault */
		for (i = 0; i < NR; i += 2)
			take(p + PAGES(i), PAGE);
		test_cmd_advise_all(PTF_ADV_NOTPRESENT, p + PAGES(1), PAGE);
		ptf_touch(p + PAGES(1));
		EXPECT_EQ(NR / 2, stashed(p, LEN));
		min = ptf_minflt();
		EXPECT_EQ(0, ptf_wrong(p, LEN, SEED));
		EXPECT_EQ(min + NR / 2, ptf_minflt());
		/* holes among stashes are filled by a large folio where it fits */
		take(p, LEN);
		ASSERT_EQ(0, madvise(p + PAGES(16), PAGES(32), MADV_DONTNEED));
		EXPECT_EQ(NR - 32, stashed(p, LEN));
		ptf_store(p + PAGES(20), 1);
		EXPECT_EQ(NR - 32, stashed(p, LEN));
		for (i = 16; i < 48; i++)
			ptf_fill_page(p + PAGES(i), SEED, i);
		EXPECT_EQ(0, ptf_wrong(p, LEN, SEED));
		/* one page of a folio in the middle of its neighbours' stashes */
		take(p, LEN);
		ASSERT_EQ(0, madvise(p + PAGES(5), PAGE, MADV_DONTNEED));
		ptf_fill_page(p + PAGES(5), SEED, 5);
		EXPECT_EQ(NR - 1, stashed(p, LEN));
		EXPECT_EQ(0, ptf_wrong(p, LEN, SEED));
		take(p, LEN);
		madvise(p, LEN, MADV_PAGEOUT);
		EXPECT_EQ(0, ptf_wrong(p, LEN, SEED));
	}
	turn_back(&knobs[0]);
	turn_back(&knobs[1]);
	turn_back(&knobs[2]);
	EXPECT_EQ(0, held_now(self->fd));
}

/* A file whose pages stand in large folios in the cache, mapped by small entries. */
static void on_large_file(struct __test_metadata *_metadata, int dev, int file, size_t nr)
{
	size_t len = PAGES(nr), i;
	struct knob knob = { };
	char *s, *p, *at;
	int order = 0;
	long min;

	FIXTURE_DATA(mm) data = { .fd = dev }, *self = &data;

	/* neither writeback nor a scan for where pages are used is to put any back */
	fsync(file);
	turn(&knob, NUMA_SCAN, "0");
	/* not aligned as a huge page is, so that none maps it whole */
	at = aligned(2 * HPAGE + len);
	ASSERT_NE(NULL, at);
	s = mmap(at + PAGES(3), len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, file, 0);
	p = mmap(at + HPAGE + PAGES(3), len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED,
		 file, 0);
	ASSERT_TRUE(s != MAP_FAILED && p != MAP_FAILED);
	ptf_touch_all(s, len);
	ptf_touch_all(p, len);
	EXPECT_EQ(nr, count_state(self->fd, s, len, PTF_STATE_PRESENT, &order));
	if (!order) {
		turn_back(&knob);
		SKIP(return, "the page cache has single pages");
	}
	take(s, len);
	/* a neighbour's fault maps those around it: not these */
	test_cmd_advise_all(PTF_ADV_PRESENT, s + PAGES(2), PAGES(2));
	ASSERT_EQ(0, madvise(s + PAGES(2), PAGES(2), MADV_DONTNEED));
	ptf_touch(s + PAGES(2));
	EXPECT_EQ(nr - 2, stashed(s, len));
	min = ptf_minflt();
	for (i = 4; i < 20; i++)
		ptf_touch(s + PAGES(i));
	EXPECT_EQ(min + 16, ptf_minflt());
	EXPECT_EQ(0, unmarked(s, nr, SEED));
	/* copies among the file's pages */
	for (i = 0; i < nr; i += 3)
		((volatile __u64 *)(p + PAGES(i)))[9] = i;
	take(p, len);
	EXPECT_EQ(0, unmarked(p, nr, SEED));
	take(p, len);
	take(s, len);
	mark(s, nr, SEED);
	fsync(file);
	EXPECT_EQ(0, unmarked(s, nr, SEED));
	for (i = 0; i < nr; i += 3)
		EXPECT_EQ(i, ((volatile __u64 *)(p + PAGES(i)))[9]);
	/* truncated in the middle of a folio */
	take(s, len);
	ASSERT_EQ(0, ftruncate(file, PAGES(7)));
	/* its folio may have been split, for which all of it is unmapped */
	EXPECT_GE(7, stashed(s, len));
	EXPECT_EQ(0, unmarked(s, 7, SEED));
	ASSERT_EQ(0, ftruncate(file, len));
	EXPECT_EQ(0, ptf_touch(s + PAGES(7)));
	turn_back(&knob);
	munmap(s, len);
	munmap(p, len);
}

/* A page of its own content each, in one write. */
static int write_at_once(int file, size_t nr)
{
	char *buf = malloc(PAGES(nr));
	ssize_t n;

	if (!buf)
		return -1;
	memset(buf, 0, PAGES(nr));
	mark(buf, nr, SEED);
	n = pwrite(file, buf, PAGES(nr), 0);
	free(buf);
	return n == PAGES(nr) ? 0 : -1;
}

TEST_F_TIMEOUT(mm, large_folios_of_ext4, 60)
{
	char path[] = PTF_SCRATCH "/ptf-large-XXXXXX";
	int file;

	if (!ptf_is_fs(PTF_SCRATCH, PTF_EXT4_MAGIC))
		SKIP(return, PTF_SCRATCH " is not ext4");
	file = mkostemp(path, O_CLOEXEC);
	ASSERT_LE(0, file);
	unlink(path);
	ASSERT_EQ(0, write_at_once(file, 128));
	on_large_file(_metadata, self->fd, file, 128);
	close(file);
}

TEST_F_TIMEOUT(mm, large_folios_of_shmem, 60)
{
	struct knob knob = { };
	int file = memfd_create("large", MFD_CLOEXEC);

	ASSERT_LE(0, file);
	if (!turn(&knob, THP_DIR "shmem_enabled", "force"))
		SKIP(return, "no huge pages in shmem here");
	ASSERT_EQ(0, ftruncate(file, HPAGE));
	ASSERT_EQ(0, write_at_once(file, 512));
	turn_back(&knob);
	on_large_file(_metadata, self->fd, file, 512);
	close(file);
}

/* ------------------------------------------------------------------ */
/* Nodes                                                               */

TEST_F_TIMEOUT(mm, moved_between_nodes, 60)
{
	unsigned int round, i, n = ptf_rounds(200), seed = 8, moved = 0;
	int node[NR], status[NR];
	void *page[NR];

	if (access("/sys/devices/system/node/node1", F_OK))
		SKIP(return, "one node");
	for (round = 0; round < n; round++) {
		take_some(self->fd, self->mem, NR, &seed);
		for (i = 0; i < NR; i++) {
			page[i] = self->mem + PAGES(i);
			node[i] = round & 1;
			status[i] = -1;
		}
		EXPECT_EQ(0, syscall(SYS_move_pages, 0, (long)NR, page, node, status, 2) < 0);
		for (i = 0; i < NR; i++)
			moved += status[i] == (round & 1);
		ASSERT_EQ(0, ptf_wrong(self->mem, LEN, SEED));
		if (round % 3 == 0)
			ptf_fill(self->mem, LEN, SEED);
	}
	EXPECT_LT(n * NR / 2, moved);
	/* a page comes back with the frame that it had, whatever node it is on */
	for (round = 0; round < 4; round++) {
		struct ptf_row was[NR], is[NR];

		ptf_pin_cpu(round & 1);
		test_cmd_query_pages(0, self->mem, LEN, was);
		take(self->mem, LEN);
		ptf_touch_all(self->mem, LEN);
		test_cmd_query_pages(0, self->mem, LEN, is);
		for (i = 0; i < NR; i++)
			EXPECT_EQ(was[i].pte_pfn, is[i].pte_pfn);
	}
	EXPECT_EQ(0, ptf_wrong(self->mem, LEN, SEED));
}

TEST_HARNESS_MAIN
