// SPDX-License-Identifier: GPL-2.0-only
/*
 * A page that is written all the time, while core mm takes it away: its entries go
 * first, their flush comes later (mm/rmap.c, should_defer_flush()), and what a CPU
 * writes in between is written after it was reported. One CPU each for who writes,
 * who moves and who reads.
 */
/* vm: --cpus 3 --numa 2 */
#include "ptf_test.h"

#define NR	512
#define LEN	PAGES(NR)

FIXTURE(race) {
	int fd;
	struct ptf_log log;
	unsigned long balancing;
};

#define BALANCING "/proc/sys/kernel/numa_balancing"

FIXTURE_SETUP(race)
{
	self->fd = ptf_setup(_metadata, &self->log);
	if (self->fd < 0)
		return;
	if (!(ptf_features(self->fd) & PTF_FEATURE_TRACK))
		SKIP(return, "no tracking here");
	if (ptf_nr_cpus() < 3)
		SKIP(return, "three CPUs are needed");
	self->balancing = ptf_read_ulong(BALANCING, 0);
	ptf_write_file(BALANCING, "0");
}

FIXTURE_TEARDOWN_PARENT(race)
{
	if (self->balancing)
		ptf_write_file(BALANCING, "1");
	ptf_teardown(_metadata, &self->log);
}

struct race {
	char *mem;
	void (*move)(struct race *r);
	volatile long begun, done;	/* writes to the first page */
	volatile unsigned long moves;
	volatile bool rest, resting, stop;
};

static void *write_for_ever(void *arg)
{
	struct race *r = arg;
	volatile long *word = (long *)r->mem;
	long n = 0;

	ptf_pin_cpu(1);
	while (!r->stop) {
		while (r->rest && !r->stop)
			r->resting = true;
		r->resting = false;
		r->begun = ++n;
		__sync_synchronize();
		*word = n;
		__sync_synchronize();
		r->done = n;
	}
	return NULL;
}

static void *move_for_ever(void *arg)
{
	struct race *r = arg;

	ptf_pin_cpu(0);
	while (!r->stop) {
		r->move(r);
		r->moves++;
	}
	return NULL;
}

static void between_nodes(struct race *r)
{
	static void *page[NR];
	static int node[NR], status[NR];
	int i;

	for (i = 0; i < NR; i++) {
		page[i] = r->mem + PAGES(i);
		node[i] = ~r->moves & 1;
	}
	syscall(SYS_move_pages, 0, (long)NR, page, node, status, 1 << 1 /* MPOL_MF_MOVE */);
}

static void page_out(struct race *r)
{
	madvise(r->mem, LEN, MADV_PAGEOUT);
}

/* Is the first page reported? -1: an error. */
static int is_written(int fd, char *mem, __u32 flags)
{
	struct ptf_range range[4];
	struct ptf_ioc_track_read c = {
		.size = sizeof(c), .flags = flags, .start = u64ptr(mem), .end = u64ptr(mem) + PAGE,
		.ranges = u64ptr(range), .nr_ranges = ARRAY_SIZE(range),
	};

	return ioctl(fd, PTF_IOC_TRACK_READ, &c) ? -1 : c.out_pages;
}

/* Return: rounds in which a write that began after it was taken was not reported. */
static unsigned int race(struct __test_metadata *_metadata, int fd, struct race *r)
{
	struct ptf_ioc_track_start start = {
		.size = sizeof(start), .start = u64ptr(r->mem), .end = u64ptr(r->mem) + LEN,
	};
	unsigned int i, n = ptf_rounds(3000), lost = 0, seed = 1;
	double until = ptf_seconds() + 25 * ptf_env("PTF_SLOW", 1);
	unsigned long moved;
	volatile int spin;
	pthread_t th[2];
	long before;

	EXPECT_EQ(0, ioctl(fd, PTF_IOC_TRACK_START, &start));
	EXPECT_EQ(0, pthread_create(&th[0], NULL, write_for_ever, r));
	EXPECT_EQ(0, pthread_create(&th[1], NULL, move_for_ever, r));
	ptf_pin_cpu(2);
	while (!r->moves)
		sched_yield();
	moved = r->moves;
	for (i = 0; i < n && ptf_seconds() < until; i++) {
		for (spin = rand_r(&seed) % 20000; spin; spin--)
			;
		EXPECT_LE(0, is_written(fd, r->mem, PTF_TRACK_F_TAKE))
			break;
		before = r->begun;
		while (r->done <= before)
			;
		r->rest = true;
		while (!r->resting)
			;
		lost += is_written(fd, r->mem, 0) != 1;
		r->rest = false;
		while (r->resting)
			;
	}
	moved = r->moves - moved;
	r->stop = true;
	pthread_join(th[0], NULL);
	pthread_join(th[1], NULL);
	TH_LOG("%u rounds, %lu moves", i, moved);
	EXPECT_LT(0, i);
	EXPECT_LT(0, moved);
	return lost;
}

TEST_F_TIMEOUT(race, moved_between_nodes, 60)
{
	struct race r = { .move = between_nodes };

	if (access("/sys/devices/system/node/node1", F_OK))
		SKIP(return, "there is one NUMA node");
	r.mem = ptf_anon(LEN);
	ASSERT_NE(NULL, r.mem);
	madvise(r.mem, LEN, MADV_NOHUGEPAGE);
	ptf_touch_all(r.mem, LEN);
	ptf_fill(r.mem, LEN, 1);
	EXPECT_EQ(0, race(_metadata, self->fd, &r));
}

TEST_F_TIMEOUT(race, paged_out_to_a_file, 60)
{
	struct race r = { .move = page_out };
	int file = ptf_file_in(PTF_SCRATCH, LEN, 1);

	ASSERT_LE(0, file);
	r.mem = mmap(NULL, LEN, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
	ASSERT_NE(MAP_FAILED, r.mem);
	EXPECT_EQ(0, race(_metadata, self->fd, &r));
}

TEST_HARNESS_MAIN
