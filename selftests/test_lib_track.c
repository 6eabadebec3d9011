// SPDX-License-Identifier: GPL-2.0-only
/*
 * Write tracking by every way that there is on the kernel: exactly the written
 * pages, none missed and none lost between two looks.
 */
/* vm: default */
/* vm: --no-module */
/* timeout: 600 */
#include "test_lib_fault.h"

/* Options with the defaults of a macro, but for what a test is about. */
#pragma GCC diagnostic ignored "-Woverride-init"

#define NR 64

TEST(words)
{
	EXPECT_STREQ("any", ptf_track_method_name(PTF_TRACK_ANY));
	EXPECT_STREQ("module", ptf_track_method_name(PTF_TRACK_MODULE));
	EXPECT_STREQ("scan", ptf_track_method_name(PTF_TRACK_SCAN));
	EXPECT_STREQ("soft-dirty", ptf_track_method_name(PTF_TRACK_SOFT_DIRTY));
	EXPECT_STREQ("?", ptf_track_method_name(4));
}

FIXTURE(track)
{
	struct ptf_session *s;	/* NULL without the module */
	struct ptf_track *t;
	char *p;
	uint64_t start;
	uint64_t end;
};

FIXTURE_VARIANT(track)
{
	unsigned int method;
	bool exact;	/* taking, huge pages, new mappings */
};

FIXTURE_VARIANT_ADD(track, module)
{
	.method = PTF_TRACK_MODULE, .exact = true
};

FIXTURE_VARIANT_ADD(track, scan)
{
	.method = PTF_TRACK_SCAN, .exact = true
};

FIXTURE_VARIANT_ADD(track, soft_dirty)
{
	.method = PTF_TRACK_SOFT_DIRTY
};

#define OPTS(...) (&(struct ptf_track_options) {			\
	.size = sizeof(struct ptf_track_options), .method = variant->method, __VA_ARGS__ })

#define START(from, to, ...) \
	ptf_track_start(self->s, NULL, from, to, OPTS(__VA_ARGS__), &self->t)

FIXTURE_SETUP(track)
{
	const char *why = "";
	char text[256];
	int err;

	if (variant->method == PTF_TRACK_MODULE) {
		self->s = session_or(PTF_FEATURE_TRACK, &why);
		if (!self->s)
			SKIP(return, "%s", why);
	}
	self->p = room_of(NR, 1);
	self->start = (uintptr_t)self->p;
	self->end = self->start + PAGES(NR);
	/* Is there this way at all? Only a kernel that is too old has an excuse. */
	err = START(self->start, self->end);
	if (err == -EOPNOTSUPP && (variant->method != PTF_TRACK_SCAN || kernel_version() < 607)) {
		ptf_failure_text(text, sizeof(text));
		SKIP(return, "%s", text);
	}
	ASSERT_EQ(0, err);
	ptf_track_stop(self->t);
	self->t = NULL;
}

FIXTURE_TEARDOWN(track)
{
	ptf_track_stop(self->t);
	ptf_session_close(self->s);
	if (self->p)
		munmap(self->p, PAGES(NR));
}

/* What a report says, as a set of pages from base on. */
struct pages {
	uint64_t base;
	uint64_t last;		/* end of the run before */
	size_t nr;
	bool bad;		/* not in order, not whole pages, or touching */
	unsigned char written[4096];
};

static int collect(uint64_t start, uint64_t end, void *arg)
{
	struct pages *c = arg;
	uint64_t at;

	c->bad |= start >= end || (start | end) % PAGE || (c->last && start <= c->last);
	c->last = end;
	for (at = start; at < end; at += PAGE) {
		if (at < c->base || (at - c->base) / PAGE >= sizeof(c->written))
			c->bad = true;
		else
			c->written[(at - c->base) / PAGE]++;
		c->nr++;
	}
	return 0;
}

#define COLLECT(c, call, from, to) do {					\
	ssize_t n_;							\
	memset(c, 0, sizeof(*(c)));					\
	(c)->base = self->start;					\
	n_ = call(self->t, from, to, collect, c);			\
	EXPECT_EQ((ssize_t)(c)->nr, n_);				\
	EXPECT_EQ(false, (c)->bad);					\
} while (0)

static struct pages got;

TEST_F(track, exactly_the_written_pages)
{
	struct ptf_track_info info = { .size = sizeof(info) };
	static const unsigned int written[] = { 0, 3, 5, 6, 7, 40, NR - 1 };
	bool want[NR] = { false };
	unsigned int i;
	int fd[2];

	ASSERT_EQ(0, START(self->start, self->end));
	EXPECT_EQ(0, ptf_track_query(self->t, &info));
	EXPECT_EQ(variant->method, info.method);
	EXPECT_EQ(NR, info.pages);
	EXPECT_EQ(0, ptf_track_read(self->t, self->start, self->end, NULL, NULL));
	/* Reading is not writing. */
	for (i = 0; i < NR; i++)
		(void)*(volatile char *)(self->p + PAGES(i));
	EXPECT_EQ(0, ptf_track_read(self->t, self->start, self->end, NULL, NULL));
	for (i = 0; i < ARRAY_SIZE(written); i++) {
		self->p[PAGES(written[i]) + 511 * i] = 'x';
		want[written[i]] = true;
	}
	/* The kernel writes too. */
	ASSERT_EQ(0, pipe(fd));
	ASSERT_EQ(2, write(fd[1], "ab", 2));
	ASSERT_EQ(2, read(fd[0], self->p + PAGES(20) - 1, 2));
	want[19] = true;
	want[20] = true;
	COLLECT(&got, ptf_track_read, self->start, self->end);
	for (i = 0; i < NR; i++)
		EXPECT_EQ(want[i], got.written[i]) {
			TH_LOG("page %u", i);
		}
	/* Only asked: the same again; a part; what is not tracked. */
	COLLECT(&got, ptf_track_read, self->start, self->end);
	EXPECT_EQ(ARRAY_SIZE(written) + 2, got.nr);
	COLLECT(&got, ptf_track_read, self->start + PAGES(4), self->start + PAGES(7));
	EXPECT_EQ(2, got.nr);
	EXPECT_EQ(1, got.written[5] & got.written[6]);
	EXPECT_EQ(2, ptf_track_read(self->t, self->start + PAGES(5), self->start + PAGES(7), NULL,
				    NULL));
	close(fd[0]);
	close(fd[1]);
}

TEST_F(track, taken_is_no_longer_written)
{
	unsigned int i;

	ASSERT_EQ(0, START(self->start, self->end));
	self->p[PAGES(1)] = 1;
	self->p[PAGES(2)] = 1;
	self->p[PAGES(9)] = 1;
	if (!variant->exact) {
		EXPECT_EQ(-EOPNOTSUPP, ptf_track_take(self->t, self->start, self->end, NULL,
						      NULL));
		EXPECT_NE(NULL, strstr(ptf_failure_last()->way, "start again"));
		EXPECT_EQ(3, ptf_track_read(self->t, self->start, self->end, NULL, NULL));
		return;
	}
	/* A part of them; the others stay. */
	COLLECT(&got, ptf_track_take, self->start + PAGES(2), self->start + PAGES(5));
	EXPECT_EQ(1, got.nr);
	EXPECT_EQ(1, got.written[2]);
	COLLECT(&got, ptf_track_read, self->start, self->end);
	EXPECT_EQ(2, got.nr);
	EXPECT_EQ(1, got.written[1] & got.written[9]);
	EXPECT_EQ(2, ptf_track_take(self->t, self->start, self->end, NULL, NULL));
	EXPECT_EQ(0, ptf_track_take(self->t, self->start, self->end, NULL, NULL));
	/* Again and again. */
	for (i = 0; i < NR; i++) {
		self->p[PAGES(i) + 1] = (char)i;
		COLLECT(&got, ptf_track_take, self->start, self->end);
		EXPECT_EQ(1, got.nr);
		EXPECT_EQ(1, got.written[i]);
	}
	EXPECT_EQ(0, ptf_track_read(self->t, self->start, self->end, NULL, NULL));
}

TEST_F(track, many_runs)
{
	enum { MANY = 4000 };
	char *p = room_of(MANY, 2);
	unsigned int i;

	ASSERT_EQ(0, START((uintptr_t)p, (uintptr_t)p + PAGES(MANY)));
	self->start = (uintptr_t)p;
	for (i = 0; i < MANY; i += 2)
		p[PAGES(i)] = 1;
	COLLECT(&got, ptf_track_read, self->start, self->start + PAGES(MANY));
	EXPECT_EQ(MANY / 2, got.nr);
	for (i = 0; i < MANY; i++)
		EXPECT_EQ(!(i & 1), got.written[i]);
	/* Runs that touch are one, whatever the calls underneath. */
	for (i = 1; i < MANY; i += 2)
		p[PAGES(i)] = 1;
	COLLECT(&got, ptf_track_read, self->start, self->start + PAGES(MANY));
	EXPECT_EQ(MANY, got.nr);
	munmap(p, PAGES(MANY));
}

static int third(uint64_t start, uint64_t end, void *arg)
{
	(void)start;
	(void)end;
	return ++*(int *)arg == 3 ? 77 : 0;
}

TEST_F(track, the_callback_ends_it)
{
	int calls = 0;
	unsigned int i;

	ASSERT_EQ(0, START(self->start, self->end));
	for (i = 0; i < NR; i += 4)
		self->p[PAGES(i)] = 1;
	EXPECT_EQ(77, ptf_track_read(self->t, self->start, self->end, third, &calls));
	EXPECT_EQ(3, calls);
}

TEST_F(track, pages_that_come_later)
{
	char *p = anon(8);
	struct ptf_track_info info = { .size = sizeof(info) };

	madvise(p, PAGES(8), MADV_NOHUGEPAGE);
	p[0] = 1;
	ASSERT_EQ(0, START((uintptr_t)p, (uintptr_t)p + PAGES(8)));
	EXPECT_EQ(0, ptf_track_query(self->t, &info));
	EXPECT_EQ(8, info.pages);
	self->start = (uintptr_t)p;
	EXPECT_EQ(0, ptf_track_read(self->t, self->start, self->start + PAGES(8), NULL, NULL));
	/* The zero page is no write, its copy is. */
	(void)*(volatile char *)(p + PAGES(2));
	(void)*(volatile char *)(p + PAGES(3));
	p[PAGES(3)] = 1;
	p[PAGES(4)] = 1;
	COLLECT(&got, ptf_track_read, self->start, self->start + PAGES(8));
	EXPECT_EQ(2, got.nr);
	EXPECT_EQ(1, got.written[3] & got.written[4]);
	munmap(p, PAGES(8));
}

TEST_F(track, files)
{
	int fd = filled_memfd(8, 3);
	char *p = mmap(NULL, PAGES(8), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	char *q = mmap(NULL, PAGES(8), PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	unsigned int i;

	for (i = 0; i < 8; i += 2) {
		p[PAGES(i)] = 1;
		q[PAGES(i)] = 1;
	}
	ASSERT_EQ(0, START((uintptr_t)p, (uintptr_t)p + PAGES(8)));
	self->start = (uintptr_t)p;
	(void)*(volatile char *)(p + PAGES(5));
	p[PAGES(2)] = 2;
	p[PAGES(7)] = 2;
	COLLECT(&got, ptf_track_read, self->start, self->start + PAGES(8));
	EXPECT_EQ(2, got.nr);
	EXPECT_EQ(1, got.written[2] & got.written[7]);
	ptf_track_stop(self->t);
	ASSERT_EQ(0, START((uintptr_t)q, (uintptr_t)q + PAGES(8)));
	self->start = (uintptr_t)q;
	(void)*(volatile char *)(q + PAGES(5));
	q[PAGES(2)] = 2;	/* a copy already */
	q[PAGES(3)] = 2;	/* becomes one */
	COLLECT(&got, ptf_track_read, self->start, self->start + PAGES(8));
	EXPECT_EQ(2, got.nr);
	EXPECT_EQ(1, got.written[2] & got.written[3]);
	munmap(p, PAGES(8));
	munmap(q, PAGES(8));
	close(fd);
}

TEST_F(track, huge_pages)
{
	char *all = mmap(NULL, 4 * MB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *p = (char *)(((uintptr_t)all + 2 * MB - 1) & ~(2 * MB - 1));

	madvise(p, 2 * MB, MADV_HUGEPAGE);
	memset(p, 1, 2 * MB);
	ASSERT_EQ(0, START((uintptr_t)p, (uintptr_t)p + 2 * MB));
	self->start = (uintptr_t)p;
	EXPECT_EQ(0, ptf_track_read(self->t, self->start, self->start + 2 * MB, NULL, NULL));
	p[PAGES(100)] = 2;
	p[PAGES(300)] = 2;
	COLLECT(&got, ptf_track_read, self->start, self->start + 2 * MB);
	EXPECT_EQ(1, got.written[100] & got.written[300]);
	if (variant->exact)
		EXPECT_EQ(2, got.nr);
	munmap(all, 4 * MB);
}

/* --- which memory ------------------------------------------------------------ */

TEST_F(track, a_part_holes_and_read_only)
{
	struct ptf_track_info info = { .size = sizeof(info) };

	ASSERT_EQ(0, munmap(self->p + PAGES(8), PAGES(8)));
	ASSERT_EQ(0, mprotect(self->p + PAGES(20), PAGES(4), PROT_READ));
	ASSERT_EQ(0, START(self->start + PAGES(4), self->start + PAGES(32)));
	EXPECT_EQ(0, ptf_track_query(self->t, &info));
	if (variant->method == PTF_TRACK_MODULE) {
		EXPECT_EQ(8, info.skipped_pages[PTF_SKIP_HOLE]);
	} else {
		EXPECT_EQ(16, info.pages);
	}
	self->p[PAGES(3)] = 1;	/* not tracked */
	self->p[PAGES(4)] = 1;
	self->p[PAGES(31)] = 1;
	self->p[PAGES(32)] = 1;	/* not tracked */
	/* What is made read-only later has been written all the same. */
	ASSERT_EQ(0, mprotect(self->p + PAGES(30), PAGES(2), PROT_READ));
	COLLECT(&got, ptf_track_read, self->start, self->end);
	EXPECT_EQ(2, got.nr);
	EXPECT_EQ(1, got.written[4] & got.written[31]);
	ptf_track_stop(self->t);
	self->t = NULL;
}

/* Every way has the same errno and the same words for it. */
TEST_F(track, nothing_that_can_be_tracked)
{
	ASSERT_EQ(0, munmap(self->p + PAGES(8), PAGES(8)));
	ASSERT_EQ(0, mprotect(self->p + PAGES(20), PAGES(4), PROT_READ));
	ASSERT_EQ(0, mprotect(self->p + PAGES(24), PAGES(4), PROT_NONE));
	EXPECT_EQ(-EACCES, START(self->start + PAGES(20), self->start + PAGES(24)));
	EXPECT_EQ(PTF_LAYER_VMA, ptf_failure_last()->layer);
	EXPECT_EQ(self->p + PAGES(20), ptf_failure_last()->addr);
	EXPECT_STREQ("ptf_track_start", ptf_failure_last()->op);
	EXPECT_STREQ(ptf_skip_text(PTF_SKIP_READONLY), ptf_failure_last()->annotation);
	EXPECT_NE(NULL, strstr(ptf_failure_last()->way, "writable mapping"));
	EXPECT_EQ(-ENOMEM, START(self->start + PAGES(8), self->start + PAGES(16)));
	EXPECT_STREQ(ptf_skip_text(PTF_SKIP_HOLE), ptf_failure_last()->annotation);
	EXPECT_EQ(-EOPNOTSUPP, START(self->start + PAGES(24), self->start + PAGES(28)));
	EXPECT_STREQ(ptf_skip_text(PTF_SKIP_PROTNONE), ptf_failure_last()->annotation);
	/* What comes first. */
	EXPECT_EQ(-ENOMEM, START(self->start + PAGES(15), self->start + PAGES(16)));
	EXPECT_EQ(-EACCES, START(self->start + PAGES(23), self->start + PAGES(25)));
}

static bool is_on_stack;

static int on_stack(uint64_t start, uint64_t end, void *arg)
{
	uintptr_t at = (uintptr_t)arg;

	is_on_stack |= start <= at && at < end;
	return 0;
}

TEST_F(track, everything_but_the_stack)
{
	volatile char here = 1;
	const uint64_t all = 0x7ffffffff000;

	ASSERT_EQ(0, START(0, all, .flags = PTF_TRACK_F_NOSTACK));
	here++;
	self->p[PAGES(7)] = 1;
	is_on_stack = false;
	EXPECT_LT(0, ptf_track_read(self->t, PAGE, all, on_stack, (void *)&here));
	EXPECT_EQ(false, is_on_stack);
	is_on_stack = false;
	EXPECT_LT(0, ptf_track_read(self->t, 0, all, on_stack, self->p + PAGES(7)));
	EXPECT_EQ(true, is_on_stack);
	COLLECT(&got, ptf_track_read, self->start, self->end);
	EXPECT_EQ(1, got.nr);
	ptf_track_stop(self->t);
	self->t = NULL;
	ASSERT_EQ(0, START(0, all));
	here++;
	is_on_stack = false;
	EXPECT_LT(0, ptf_track_read(self->t, 0, all, on_stack, (void *)&here));
	EXPECT_EQ(true, is_on_stack);
}

TEST_F(track, another_process)
{
	struct ptf_target *target = NULL;
	struct ptf_track *t;
	int go[2], back[2], status;
	pid_t pid;
	char c;

	ASSERT_EQ(0, pipe(go));
	ASSERT_EQ(0, pipe(back));
	pid = fork();
	if (!pid) {
		memset(self->p, 'x', PAGES(NR));
		if (write(back[1], "r", 1) != 1 || read(go[0], &c, 1) != 1)
			_exit(1);
		self->p[PAGES(3)] = 1;
		self->p[PAGES(50)] = 1;
		if (write(back[1], "w", 1) != 1 || read(go[0], &c, 1) != 1)
			_exit(1);
		_exit(self->p[PAGES(3)] != 1 || self->p[PAGES(4)] != 'x');
	}
	ASSERT_EQ(1, read(back[0], &c, 1));
	if (variant->method == PTF_TRACK_MODULE) {
		ASSERT_EQ(0, ptf_target_open(self->s, pid, &target));
		ASSERT_EQ(0, ptf_track_start(self->s, target, self->start, self->end,
					     OPTS(.flags = 0), &t));
	} else if (variant->method == PTF_TRACK_SOFT_DIRTY) {
		ASSERT_EQ(0, ptf_track_start(NULL, NULL, self->start, self->end, OPTS(.pid = pid),
					     &t));
	} else {
		EXPECT_EQ(-EOPNOTSUPP, ptf_track_start(NULL, NULL, self->start, self->end,
						       OPTS(.pid = pid), &t));
		EXPECT_EQ(NULL, t);
		kill(pid, SIGKILL);
		waitpid(pid, &status, 0);
		return;
	}
	/* What is written here is not written there. */
	self->p[PAGES(9)] = 1;
	ASSERT_EQ(1, write(go[1], "g", 1));
	ASSERT_EQ(1, read(back[0], &c, 1));
	self->t = t;
	COLLECT(&got, ptf_track_read, self->start, self->end);
	EXPECT_EQ(2, got.nr);
	EXPECT_EQ(1, got.written[3] & got.written[50]);
	ASSERT_EQ(1, write(go[1], "g", 1));
	waitpid(pid, &status, 0);
	EXPECT_EQ(0, status);
	EXPECT_EQ(-ESRCH, ptf_track_read(t, self->start, self->end, NULL, NULL));
	ptf_track_stop(t);
	self->t = NULL;
	ptf_target_close(target);
	if (variant->method == PTF_TRACK_SOFT_DIRTY)
		EXPECT_EQ(-ESRCH, ptf_track_start(NULL, NULL, self->start, self->end,
						  OPTS(.pid = pid), &t));
}

TEST_F(track, over_a_fork)
{
	int verdict;

	ASSERT_EQ(0, START(self->start, self->end));
	self->p[PAGES(1)] = 1;
	IN_CHILD(verdict, self->p[PAGES(2)] = 1;
		ptf_track_stop(self->t));
	EXPECT_EQ(0, verdict);
	/* The parent's goes on, and copy-on-write is a write of ours alone. */
	self->p[PAGES(3)] = 1;
	COLLECT(&got, ptf_track_read, self->start, self->end);
	EXPECT_EQ(2, got.nr);
	EXPECT_EQ(1, got.written[1] & got.written[3]);
}

/* --- writers all the while ----------------------------------------------------------- */

enum { WRITERS = 3 };

struct writer {
	char *p;
	volatile uint32_t *wrote;	/* by page: how often begun */
	volatile bool *end;
	unsigned int nr;
	pthread_t thread;
};

static void *writer(void *arg)
{
	struct writer *w = arg;
	unsigned int seed = w->nr, page;
	uint32_t *at;

	while (!*w->end) {
		/* Pages of its own: a value that only grows. */
		page = (unsigned int)rand_r(&seed) % (NR / WRITERS) * WRITERS + w->nr;
		at = (uint32_t *)(w->p + PAGES(page));
		__atomic_store_n(at, *at + 1, __ATOMIC_SEQ_CST);
	}
	return NULL;
}

TEST_F(track, no_write_is_lost)
{
	volatile bool end = false;
	uint32_t copy[NR];
	struct writer w[WRITERS];
	unsigned int round, i, missed = 0, n = (unsigned int)rounds(2000);
	size_t seen = 0;

	if (!variant->exact)
		SKIP(return, "soft-dirty bits can't be taken");
	for (i = 0; i < NR; i++)
		*(uint32_t *)(self->p + PAGES(i)) = 0;
	ASSERT_EQ(0, START(self->start, self->end));
	for (i = 0; i < NR; i++)
		copy[i] = *(volatile uint32_t *)(self->p + PAGES(i));
	for (i = 0; i < WRITERS; i++) {
		w[i] = (struct writer) { .p = self->p, .end = &end, .nr = i };
		ASSERT_EQ(0, pthread_create(&w[i].thread, NULL, writer, &w[i]));
	}
	/*
	 * A mirror: each round copies what is taken. A write that no round
	 * reports leaves the mirror behind for good.
	 */
	for (round = 0; round <= n; round++) {
		if (round == n) {
			end = true;
			for (i = 0; i < WRITERS; i++)
				pthread_join(w[i].thread, NULL);
		}
		COLLECT(&got, ptf_track_take, self->start, self->end);
		seen += got.nr;
		for (i = 0; i < NR; i++)
			if (got.written[i])
				copy[i] = __atomic_load_n((uint32_t *)(self->p + PAGES(i)),
							  __ATOMIC_SEQ_CST);
	}
	for (i = 0; i < NR; i++)
		missed += copy[i] != *(uint32_t *)(self->p + PAGES(i));
	EXPECT_EQ(0, missed);
	EXPECT_LT(0, seen);
	EXPECT_EQ(0, ptf_track_take(self->t, self->start, self->end, NULL, NULL));
}

/* --- refusals ------------------------------------------------------------------------ */

TEST_F(track, refusals)
{
	struct ptf_track_info info = { .size = 4 };
	struct ptf_track *t = (void *)1;
	struct ptf_session *other;
	const char *why;

	EXPECT_EQ(-EINVAL, START(self->start + 1, self->end));
	EXPECT_EQ(-EINVAL, START(self->end, self->start));
	EXPECT_EQ(-EINVAL, START(self->start, self->start));
	EXPECT_EQ(-EOPNOTSUPP, START(self->start, self->end, .flags = 1U << 20));
	EXPECT_EQ(-EINVAL, START(self->start, self->end, .pid = -1));
	EXPECT_EQ(-EINVAL, ptf_track_start(self->s, NULL, self->start, self->end,
					   OPTS(.size = 3), &t));
	EXPECT_EQ(NULL, t);
	EXPECT_EQ(-EINVAL, ptf_track_start(NULL, NULL, self->start, self->end,
					   &(struct ptf_track_options) {
						.size = sizeof(struct ptf_track_options),
						.method = PTF_TRACK_MODULE }, &t));
	EXPECT_EQ(-EINVAL, ptf_track_start(NULL, NULL, self->start, self->end,
					   &(struct ptf_track_options) {
						.size = sizeof(struct ptf_track_options),
						.method = 9 }, &t));
	ASSERT_EQ(0, START(self->start, self->end));
	EXPECT_EQ(-EINVAL, ptf_track_query(self->t, &info));
	EXPECT_EQ(-EINVAL, ptf_track_read(self->t, self->start, self->start, NULL, NULL));
	EXPECT_EQ(-EINVAL, ptf_track_read(self->t, self->start, self->end + 1, NULL, NULL));
	info.size = 8;
	EXPECT_EQ(0, ptf_track_query(self->t, &info));
	EXPECT_EQ(variant->method, info.method);
	if (variant->method == PTF_TRACK_MODULE) {
		other = session_or(PTF_FEATURE_TRACK, &why);
		ASSERT_NE(NULL, other);
		EXPECT_EQ(-EBUSY, ptf_track_start(other, NULL, self->start, self->end,
						  OPTS(.flags = 0), &t));
		ptf_session_close(other);
	}
	ptf_track_stop(NULL);
}

TEST(the_best_way_there_is)
{
	struct ptf_track_info info = { .size = sizeof(info) };
	struct ptf_session *s;
	struct ptf_track *t;
	const char *why;
	char *p = room_of(4, 1);
	char text[512];
	int err;

	s = session_or(PTF_FEATURE_TRACK, &why);
	ptf_failure_clear();
	err = ptf_track_start(s, NULL, (uintptr_t)p, (uintptr_t)p + PAGES(4), NULL, &t);
	if (err == -EOPNOTSUPP) {
		ptf_failure_text(text, sizeof(text));
		SKIP(return, "%s", text);
	}
	ASSERT_EQ(0, err);
	/* What was tried before it is no failure. */
	EXPECT_EQ(0, ptf_failure_last()->err);
	EXPECT_EQ(0, ptf_track_query(t, &info));
	EXPECT_EQ(s ? PTF_TRACK_MODULE : kernel_version() >= 607 ? PTF_TRACK_SCAN :
		  PTF_TRACK_SOFT_DIRTY, info.method);
	p[PAGES(2)] = 1;
	EXPECT_EQ(1, ptf_track_read(t, (uintptr_t)p, (uintptr_t)p + PAGES(4), NULL, NULL));
	ptf_track_stop(t);
	ptf_session_close(s);
	/* Afterwards all is as it was. */
	p[PAGES(3)] = 1;
	EXPECT_EQ(true, page_has(p, 1, 1));
}

TEST_HARNESS_MAIN
