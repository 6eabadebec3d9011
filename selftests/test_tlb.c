// SPDX-License-Identifier: GPL-2.0-only
/* vm: default */
/* vm: --append pti=on */
/*
 * No CPU may go on using a translation that was cleared. A thread on another
 * CPU reads or writes the page without pause; once the call has returned and
 * the thread has made one more access, it must have taken the fault: in every
 * single round, and whoever's address space it is.
 *
 * A CPU that has dropped the translation by itself may fault while the entry is
 * being exchanged, that is while it is empty, as it is in core mm's own edits.
 * That fault waits for the lock, finds that somebody was at the entry and leaves
 * it to the next access, which faults once more. It needs a CPU that stops in
 * the middle (a virtual one that its host puts off) and one that flushes just
 * then (entering the kernel with pti=on), and remains rare: see twice.
 */
#include "ptf_test.h"

#define SEED	31

FIXTURE(tlb) {
	int fd;
	struct ptf_log log;
	struct spin *spin;	/* shared with children */
	char *mem;
	int cpu_here, cpu_there;
};

struct spin {
	volatile unsigned int go;	/* round that the caller has finished clearing */
	volatile unsigned int seen;	/* round after which an access was made */
	volatile unsigned int stop;
	volatile int tid;
	volatile unsigned int wrong;
	volatile unsigned long turns;
	bool write;
	int cpu;
	volatile unsigned long *page;
};

FIXTURE_SETUP(tlb)
{
	self->fd = ptf_setup(_metadata, &self->log);
	if (self->fd < 0)
		return;
	if (ptf_nr_cpus() < 2)
		SKIP(return, "one CPU only");
	/* khugepaged would take the threads' stacks from under them. */
	ASSERT_EQ(0, prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0));
	self->cpu_here = 0;
	self->cpu_there = 1;
	ASSERT_EQ(0, ptf_pin_cpu(self->cpu_here));
	self->spin = ptf_shared(PAGE);
	ASSERT_NE(NULL, self->spin);
	self->mem = ptf_anon(PAGES(64));
	ASSERT_NE(NULL, self->mem);
	memset(self->mem, 0, PAGES(64));
}

PTF_TEARDOWN(tlb)

/*
 * Nothing but loads, stores and the page: no system call that could flush.
 */
static void spin(struct spin *s)
{
	unsigned int go;
	unsigned long n = 0;

	ptf_pin_cpu(s->cpu);
	s->tid = syscall(SYS_gettid);
	while (!s->stop) {
		go = __atomic_load_n(&s->go, __ATOMIC_SEQ_CST);
		if (s->write) {
			if (*s->page != n)
				s->wrong++;
			*s->page = ++n;
		} else {
			if (*s->page != 0)
				s->wrong++;
		}
		__atomic_store_n(&s->seen, go, __ATOMIC_SEQ_CST);
		s->turns++;
	}
}

static void *spin_thread(void *arg)
{
	spin(arg);
	return NULL;
}

static int spin_child(void *arg)
{
	spin(arg);
	return 0;
}

/* One more access after now. */
static bool one_more(struct spin *s)
{
	unsigned int go = s->go + 1;

	__atomic_store_n(&s->go, go, __ATOMIC_SEQ_CST);
	return ptf_await(&s->seen, go, 10000);
}

#define ROUNDS	ptf_rounds(1500)

#define rounds(target, pid) do { \
	struct ptf_ioc_range_advise adv; \
	long min0, min1, maj, early = 0; \
	unsigned int r, nr = ROUNDS, twice = 0; \
	ASSERT_TRUE(ptf_await((volatile unsigned int *)&self->spin->tid, 1, 10000)); \
	for (r = 0; r < nr; r++) { \
		/* The translation is in use there. */ \
		ASSERT_TRUE(one_more(self->spin)); \
		ASSERT_EQ(0, ptf_tid_faults(pid, self->spin->tid, &min0, &maj)); \
		test_cmd_range_advise(&adv, target, PTF_ADV_NOTPRESENT, self->mem, PAGE, 0); \
		ASSERT_EQ(1, adv.out_done_pages); \
		ASSERT_TRUE(one_more(self->spin)); \
		ASSERT_EQ(0, ptf_tid_faults(pid, self->spin->tid, &min1, &maj)); \
		ASSERT_LE(min0 + 1, min1) { \
			TH_LOG("round %u: a stale translation was used", r); \
		} \
		ASSERT_GE(min0 + 2, min1) { \
			TH_LOG("round %u: faults that nobody caused", r); \
		} \
		twice += min1 - min0 - 1; \
		early += adv.out_flushes; \
	} \
	EXPECT_LE(nr, early); \
	EXPECT_GE(1 + nr / 20, twice); \
	EXPECT_EQ(0, self->spin->wrong); \
	EXPECT_LT(nr, self->spin->turns); \
} while (0)

TEST_F_TIMEOUT(tlb, reader_thread, 60)
{
	pthread_t th;

	self->spin->page = (void *)self->mem;
	self->spin->cpu = self->cpu_there;
	ASSERT_EQ(0, pthread_create(&th, NULL, spin_thread, self->spin));
	rounds(0, getpid());
	self->spin->stop = 1;
	pthread_join(th, NULL);
}

TEST_F_TIMEOUT(tlb, writer_thread, 60)
{
	pthread_t th;

	self->spin->page = (void *)self->mem;
	self->spin->cpu = self->cpu_there;
	self->spin->write = true;
	ASSERT_EQ(0, pthread_create(&th, NULL, spin_thread, self->spin));
	rounds(0, getpid());
	self->spin->stop = 1;
	pthread_join(th, NULL);
	EXPECT_EQ(self->spin->turns, *self->spin->page);
}

/* Another process: not the caller's address space has to be flushed. */
TEST_F_TIMEOUT(tlb, reader_process, 60)
{
	__u32 target;
	pid_t pid;

	self->spin->page = (void *)self->mem;
	self->spin->cpu = self->cpu_there;
	pid = ptf_child(spin_child, self->spin);
	ASSERT_LT(0, pid);
	test_cmd_target_open(pid, &target);
	rounds(target, pid);
	self->spin->stop = 1;
	EXPECT_EQ(0, ptf_wait(pid));
}

TEST_F_TIMEOUT(tlb, writer_process, 60)
{
	__u32 target;
	pid_t pid;

	self->spin->page = (void *)self->mem;
	self->spin->cpu = self->cpu_there;
	self->spin->write = true;
	pid = ptf_child(spin_child, self->spin);
	ASSERT_LT(0, pid);
	test_cmd_target_open(pid, &target);
	rounds(target, pid);
	self->spin->stop = 1;
	EXPECT_EQ(0, ptf_wait(pid));
}

/* A process that ran here last, and whose translations this CPU still holds. */
TEST_F_TIMEOUT(tlb, process_on_the_same_cpu, 60)
{
	struct ptf_ioc_range_advise adv;
	long min0, min1, maj;
	__u32 target;
	pid_t pid;
	int r;

	self->spin->page = (void *)self->mem;
	self->spin->cpu = self->cpu_here;
	pid = ptf_child(spin_child, self->spin);
	ASSERT_LT(0, pid);
	test_cmd_target_open(pid, &target);
	ASSERT_TRUE(ptf_await((volatile unsigned int *)&self->spin->tid, 1, 10000));
	for (r = 0; r < 100; r++) {
		ASSERT_TRUE(one_more(self->spin));
		ASSERT_EQ(0, ptf_tid_faults(pid, self->spin->tid, &min0, &maj));
		test_cmd_range_advise(&adv, target, PTF_ADV_NOTPRESENT, self->mem, PAGE, 0);
		ASSERT_TRUE(one_more(self->spin));
		ASSERT_EQ(0, ptf_tid_faults(pid, self->spin->tid, &min1, &maj));
		ASSERT_EQ(min0 + 1, min1);
	}
	self->spin->stop = 1;
	EXPECT_EQ(0, ptf_wait(pid));
}

/* Many pages in one call, each of them in use on the other CPU. */
struct sweep {
	volatile unsigned int go, seen, stop;
	volatile int tid;
	unsigned int nr;
	char *mem;
	int cpu;
};

static void *sweep_thread(void *arg)
{
	struct sweep *s = arg;
	unsigned int go, i;

	ptf_pin_cpu(s->cpu);
	s->tid = syscall(SYS_gettid);
	while (!s->stop) {
		go = __atomic_load_n(&s->go, __ATOMIC_SEQ_CST);
		for (i = 0; i < s->nr; i++)
			ptf_touch(s->mem + PAGES(i));
		__atomic_store_n(&s->seen, go, __ATOMIC_SEQ_CST);
	}
	return NULL;
}

TEST_F_TIMEOUT(tlb, many_pages, 60)
{
	struct sweep s = { .nr = 64, .mem = self->mem, .cpu = self->cpu_there };
	long min0, min1, maj, twice = 0;
	struct ptf_row rows[64];
	pthread_t th;
	int r, i;

	ASSERT_EQ(0, pthread_create(&th, NULL, sweep_thread, &s));
	while (!s.tid)
		sched_yield();
	for (r = 1; r <= 100; r++) {
		/* Two sweeps: the second began after the first was seen. */
		s.go++;
		ASSERT_TRUE(ptf_await(&s.seen, s.go, 10000));
		ASSERT_EQ(0, ptf_tid_faults(getpid(), s.tid, &min0, &maj));
		test_cmd_advise_all(PTF_ADV_NOTPRESENT, self->mem, PAGES(64));
		s.go++;
		ASSERT_TRUE(ptf_await(&s.seen, s.go, 10000));
		s.go++;
		ASSERT_TRUE(ptf_await(&s.seen, s.go, 10000));
		ASSERT_EQ(0, ptf_tid_faults(getpid(), s.tid, &min1, &maj));
		/* A stale translation would have left its entry as it was. */
		test_cmd_query_pages(0, self->mem, PAGES(64), rows);
		for (i = 0; i < 64; i++)
			ASSERT_EQ(PTF_STATE_PRESENT, rows[i].state);
		ASSERT_LE(min0 + 64, min1);
		twice += min1 - min0 - 64;
	}
	EXPECT_GE(100 * 64 / 20, twice);
	s.stop = 1;
	pthread_join(th, NULL);
}

/* PRESENT maps nothing new and takes nothing away: no fault at all. */
TEST_F_TIMEOUT(tlb, clear_and_undo_under_use, 60)
{
	struct ptf_ioc_range_advise adv;
	pthread_t th;
	unsigned int r, nr = ptf_rounds(10000);

	self->spin->page = (void *)self->mem;
	self->spin->cpu = self->cpu_there;
	self->spin->write = true;
	ASSERT_EQ(0, pthread_create(&th, NULL, spin_thread, self->spin));
	ASSERT_TRUE(ptf_await((volatile unsigned int *)&self->spin->tid, 1, 10000));
	for (r = 0; r < nr; r++) {
		test_cmd_range_advise(&adv, 0, PTF_ADV_NOTPRESENT, self->mem, PAGE, 0);
		ASSERT_EQ(1, adv.out_done_pages + adv.out_same_pages);
		test_cmd_range_advise(&adv, 0, PTF_ADV_PRESENT, self->mem, PAGE, 0);
		ASSERT_EQ(1, adv.out_done_pages + adv.out_same_pages);
	}
	self->spin->stop = 1;
	pthread_join(th, NULL);
	EXPECT_EQ(0, self->spin->wrong);
	EXPECT_EQ(self->spin->turns, *self->spin->page);
}

/* Four threads count in one page each, while another clears them all. */
struct counter {
	volatile unsigned int *stop;
	char *page;
	unsigned long n;
};

static void *count_thread(void *arg)
{
	struct counter *c = arg;
	volatile unsigned long *p;
	unsigned long i;

	for (i = 0; !*c->stop; i++) {
		p = (volatile unsigned long *)(c->page + i % 512 * 8);
		(*p)++;
		c->n++;
	}
	return NULL;
}

TEST_F_TIMEOUT(tlb, no_write_is_lost, 60)
{
	volatile unsigned int stop = 0;
	struct ptf_ioc_range_advise adv;
	struct counter c[4];
	unsigned long sum, w;
	pthread_t th[4];
	double t;
	int i;

	for (i = 0; i < 4; i++) {
		c[i] = (struct counter){ .stop = &stop, .page = self->mem + PAGES(i) };
		ASSERT_EQ(0, pthread_create(&th[i], NULL, count_thread, &c[i]));
	}
	t = ptf_seconds();
	for (i = 0; i < 20000 && ptf_seconds() - t < 3; i++) {
		test_cmd_range_advise(&adv, 0, PTF_ADV_NOTPRESENT, self->mem, PAGES(4), 0);
		ASSERT_EQ(4, adv.out_done_pages + adv.out_same_pages);
	}
	stop = 1;
	for (i = 0; i < 4; i++) {
		pthread_join(th[i], NULL);
		sum = 0;
		for (w = 0; w < 512; w++)
			sum += ((unsigned long *)c[i].page)[w];
		EXPECT_EQ(c[i].n, sum);
	}
}

/*
 * A stale translation of a page that was freed would read another's data: the
 * pages are cleared, paged out and given to others under a reader's eyes.
 */
TEST_F_TIMEOUT(tlb, cleared_then_reclaimed, 60)
{
	struct ptf_ioc_range_advise adv;
	char *other = ptf_anon(PAGES(64));
	pthread_t th;
	unsigned int r, nr = ptf_rounds(1000);

	if (!ptf_swap_free_kb())
		SKIP(return, "no swap");
	self->spin->page = (void *)self->mem;
	self->spin->cpu = self->cpu_there;
	ASSERT_EQ(0, pthread_create(&th, NULL, spin_thread, self->spin));
	for (r = 0; r < nr; r++) {
		/* Refused where it is out in swap just now. */
		if (_test_cmd_range_advise(self->fd, &adv, 0, PTF_ADV_NOTPRESENT, self->mem,
					   PAGE, 0))
			ASSERT_EQ(EBUSY, errno);
		madvise(self->mem, PAGE, MADV_PAGEOUT);
		memset(other, 0xEE, PAGES(64));
		madvise(other, PAGES(64), MADV_DONTNEED);
	}
	self->spin->stop = 1;
	pthread_join(th, NULL);
	EXPECT_EQ(0, self->spin->wrong);
}

TEST_HARNESS_MAIN
