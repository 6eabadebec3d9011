// SPDX-License-Identifier: GPL-2.0-only
/*
 * What core mm does to cleared pages, what becomes of them when their process,
 * the session, its owner or the module goes, and calls that are on their way
 * while all that happens.
 */
#include "ptf_test.h"

#include <sys/uio.h>
#include <sys/ptrace.h>

#define NR	64
#define LEN	PAGES(NR)
#define SEED	41

FIXTURE(life) {
	int fd;
	struct ptf_log log;
	char *mem;
	struct ptf_row *rows;
	volatile unsigned int *step;
};

FIXTURE_SETUP(life)
{
	self->fd = ptf_setup(_metadata, &self->log);
	if (self->fd < 0)
		return;
	self->mem = ptf_anon(LEN);
	ASSERT_NE(NULL, self->mem);
	ptf_fill(self->mem, LEN, SEED);
	self->rows = calloc(1024, sizeof(struct ptf_row));
	ASSERT_NE(NULL, self->rows);
	self->step = ptf_shared(PAGE);
	ASSERT_NE(NULL, (void *)self->step);
}

PTF_TEARDOWN(life)

#define clear(addr, len) test_cmd_advise_all(PTF_ADV_NOTPRESENT, addr, len)

static int check_and_write(void *mem)
{
	if (ptf_wrong(mem, LEN, SEED))
		return 1;
	ptf_fill(mem, LEN, SEED + 1);
	return ptf_wrong(mem, LEN, SEED + 1) ? 2 : 0;
}

/* Both see the old content, and neither sees what the other wrote. */
TEST_F(life, fork_cleared)
{
	long min0;
	pid_t pid;
	int i;

	for (i = 0; i < 5; i++) {
		clear(self->mem, LEN);
		pid = ptf_child(check_and_write, self->mem);
		EXPECT_EQ(0, ptf_wait(pid));
		EXPECT_EQ(0, ptf_wrong(self->mem, LEN, SEED));
		/* Write in the parent while a child holds the old pages. */
		clear(self->mem, LEN);
		pid = ptf_child(check_and_write, self->mem);
		ptf_fill(self->mem, LEN, SEED + 2);
		EXPECT_EQ(0, ptf_wait(pid));
		EXPECT_EQ(0, ptf_wrong(self->mem, LEN, SEED + 2));
		ptf_fill(self->mem, LEN, SEED);
	}
	/* Undone after a fork: still no right to write the shared page. */
	clear(self->mem, LEN);
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		usleep(200000);
		_exit(check_and_write(self->mem));
	}
	test_cmd_advise_all(PTF_ADV_PRESENT, self->mem, LEN);
	min0 = ptf_minflt();
	ptf_touch_all(self->mem, LEN);
	EXPECT_EQ(min0, ptf_minflt());
	ptf_fill(self->mem, LEN, SEED + 3);
	EXPECT_EQ(0, ptf_wait(pid));
	EXPECT_EQ(0, ptf_wrong(self->mem, LEN, SEED + 3));
}

/* Cleared in the child after the fork: pages that two map. */
TEST_F(life, clear_forked)
{
	__u32 t;
	pid_t pid;

	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		while (!self->step[0])
			usleep(200);
		_exit(check_and_write(self->mem));
	}
	test_cmd_target_open(pid, &t);
	test_cmd_advise_target_all(t, PTF_ADV_NOTPRESENT, self->mem, LEN);
	clear(self->mem, LEN);
	/* In the child only, undone. */
	test_cmd_advise_target_all(t, PTF_ADV_PRESENT, self->mem, LEN / 2);
	self->step[0] = 1;
	EXPECT_EQ(0, ptf_wait(pid));
	EXPECT_EQ(0, ptf_wrong(self->mem, LEN, SEED));
	ptf_fill(self->mem, LEN, SEED + 1);
	EXPECT_EQ(0, ptf_wrong(self->mem, LEN, SEED + 1));
}

TEST_F(life, vfork_and_exec)
{
	pid_t pid;
	int i;

	for (i = 0; i < 5; i++) {
		clear(self->mem, LEN);
		pid = vfork();
		ASSERT_LE(0, pid);
		if (!pid) {
			execl("/bin/true", "true", NULL);
			_exit(9);
		}
		EXPECT_EQ(0, ptf_wait(pid));
		EXPECT_EQ(0, ptf_wrong(self->mem, LEN, SEED));
		/* Cleared in a process that execs. */
		pid = fork();
		ASSERT_LE(0, pid);
		if (!pid) {
			struct ptf_ioc_range_advise adv;
			int fd = open(PTF_DEV, O_RDWR);

			if (_test_cmd_range_advise(fd, &adv, 0, PTF_ADV_NOTPRESENT, (void *)0,
						   USER_END_4, 0))
				_exit(8);
			execl("/bin/true", "true", NULL);
			_exit(9);
		}
		EXPECT_EQ(0, ptf_wait(pid));
	}
}

TEST_F(life, mprotect)
{
	struct ptf_ioc_range_query q;
	long min0;

	/* Read-only and back: the content stays, and rights are as told. */
	clear(self->mem, LEN);
	ASSERT_EQ(0, mprotect(self->mem, LEN, PROT_READ));
	EXPECT_EQ(0, ptf_wrong(self->mem, LEN, SEED));
	test_cmd_range_query(&q, 0, self->mem, PAGE, PTF_QUERY_F_PAGES, self->rows, 1);
	EXPECT_EQ(0, self->rows[0].flags & PTF_ROW_WRITE);
	ASSERT_EQ(0, mprotect(self->mem, LEN, PROT_READ | PROT_WRITE));
	ptf_fill(self->mem, LEN, SEED + 1);
	EXPECT_EQ(0, ptf_wrong(self->mem, LEN, SEED + 1));

	/* Cleared while read-only, written when writable again. */
	ASSERT_EQ(0, mprotect(self->mem, LEN, PROT_READ));
	clear(self->mem, LEN);
	ASSERT_EQ(0, mprotect(self->mem, LEN, PROT_READ | PROT_WRITE));
	ptf_fill(self->mem, LEN, SEED + 2);
	EXPECT_EQ(0, ptf_wrong(self->mem, LEN, SEED + 2));

	/* A part of the range only: the VMA splits and merges again. */
	clear(self->mem, LEN);
	ASSERT_EQ(0, mprotect(self->mem + PAGES(8), PAGES(8), PROT_READ));
	test_cmd_query_pages(0, self->mem, LEN, self->rows);
	EXPECT_EQ(PTF_STATE_HINT, self->rows[0].state);
	EXPECT_EQ(PTF_STATE_HINT, self->rows[NR - 1].state);
	ASSERT_EQ(0, mprotect(self->mem + PAGES(8), PAGES(8), PROT_READ | PROT_WRITE));
	EXPECT_EQ(0, ptf_wrong(self->mem, LEN, SEED + 2));

	/* PROT_NONE and back. */
	clear(self->mem, LEN);
	ASSERT_EQ(0, mprotect(self->mem, LEN, PROT_NONE));
	ASSERT_EQ(0, mprotect(self->mem, LEN, PROT_READ | PROT_WRITE));
	min0 = ptf_minflt();
	EXPECT_EQ(0, ptf_wrong(self->mem, LEN, SEED + 2));
	EXPECT_GE(NR, ptf_minflt() - min0);
	ptf_fill(self->mem, LEN, SEED + 3);
	EXPECT_EQ(0, ptf_wrong(self->mem, LEN, SEED + 3));
}

/* A page that may not be read must not become readable by a heal. */
TEST_F(life, prot_none_stays_closed)
{
	struct ptf_ioc_range_advise adv;
	pid_t pid;
	int i;

	for (i = 0; i < 2; i++) {
		if (i)
			ASSERT_EQ(0, mprotect(self->mem, LEN, PROT_READ | PROT_WRITE));
		clear(self->mem, LEN);
		ASSERT_EQ(0, mprotect(self->mem, LEN, PROT_NONE));
		_test_cmd_range_advise(self->fd, &adv, 0,
				       i ? PTF_ADV_PRESENT : PTF_ADV_NOTPRESENT,
				       self->mem, LEN, 0);
		EXPECT_EQ(0, adv.out_done_pages);
		pid = fork();
		ASSERT_LE(0, pid);
		if (!pid) {
			prctl(PR_SET_DUMPABLE, 0);
			ptf_touch(self->mem + PAGES(3));
			_exit(0);
		}
		EXPECT_EQ(256 + SIGSEGV, ptf_wait(pid));
	}
	ASSERT_EQ(0, mprotect(self->mem, LEN, PROT_READ | PROT_WRITE));
	EXPECT_EQ(0, ptf_wrong(self->mem, LEN, SEED));
}

TEST_F(life, mremap)
{
	char *to, *m;

	/* Grow, in place or by moving. */
	clear(self->mem, LEN);
	m = mremap(self->mem, LEN, 4 * LEN, MREMAP_MAYMOVE);
	ASSERT_NE(MAP_FAILED, m);
	EXPECT_EQ(0, ptf_wrong(m, LEN, SEED));
	/* To a chosen address. */
	clear(m, LEN);
	to = ptf_hole(4 * LEN);
	ASSERT_NE(NULL, to);
	m = mremap(m, 4 * LEN, 4 * LEN, MREMAP_MAYMOVE | MREMAP_FIXED, to);
	ASSERT_EQ(to, m);
	test_cmd_query_pages(0, m, LEN, self->rows);
	EXPECT_EQ(PTF_STATE_HINT, self->rows[0].state);
	EXPECT_EQ(0, ptf_wrong(m, LEN, SEED));
	/* Shrink. */
	clear(m, LEN);
	ASSERT_EQ(m, mremap(m, 4 * LEN, LEN / 2, 0));
	EXPECT_EQ(0, ptf_wrong(m, LEN / 2, SEED));
	/* Leave the old range mapped and empty. */
	clear(m, LEN / 2);
	to = mremap(m, LEN / 2, LEN / 2, MREMAP_MAYMOVE | 4 /* DONTUNMAP */, 0);
	if (to != MAP_FAILED) {
		EXPECT_EQ(0, ptf_wrong(to, LEN / 2, SEED));
		EXPECT_EQ(0, *m);
	}
}

/* Whole tables move at once where both ends are aligned. */
TEST_F_TIMEOUT(life, mremap_whole_tables, 60)
{
	char *a, *b, *m;

	a = mmap(NULL, 8 * HPAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, a);
	a = (char *)(((uintptr_t)a + HPAGE - 1) & ~(HPAGE - 1));
	b = a + 4 * HPAGE;
	ASSERT_NE(MAP_FAILED, mmap(a, 2 * HPAGE, PROT_READ | PROT_WRITE,
				   MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
	ASSERT_EQ(0, madvise(a, 2 * HPAGE, MADV_NOHUGEPAGE));
	ptf_fill(a, 2 * HPAGE, SEED);
	clear(a, 2 * HPAGE);
	m = mremap(a, 2 * HPAGE, 2 * HPAGE, MREMAP_MAYMOVE | MREMAP_FIXED, b);
	ASSERT_EQ(b, m);
	test_cmd_query_pages(0, b + PAGES(500), PAGES(24), self->rows);
	EXPECT_EQ(PTF_STATE_HINT, self->rows[0].state);
	EXPECT_EQ(PTF_STATE_HINT, self->rows[23].state);
	EXPECT_EQ(0, ptf_wrong(b, 2 * HPAGE, SEED));
}

TEST_F(life, munmap)
{
	struct ptf_ioc_range_advise adv;
	long rss = ptf_status_kb(getpid(), "RssAnon"), now;
	char *m;
	int i;

	for (i = 0; i < 20; i++) {
		m = ptf_anon(16 * LEN);
		ASSERT_NE(NULL, m);
		ptf_fill(m, 16 * LEN, i);
		clear(m, 16 * LEN);
		ASSERT_EQ(0, munmap(m + LEN, LEN));
		test_err_range_advise(ENOMEM, &adv, 0, PTF_ADV_PRESENT, m + LEN, LEN, 0);
		EXPECT_EQ(0, ptf_wrong(m, LEN, i));
		ASSERT_EQ(0, munmap(m, 16 * LEN));
	}
	/* 16 times 64 pages of 4 kB, 20 times: they would show. */
	now = ptf_status_kb(getpid(), "RssAnon");
	EXPECT_GT(2048, now - rss) {
		TH_LOG("%ld kB, %ld before", now, rss);
	}
}

TEST_F(life, madvise_dontneed)
{
	long min0;
	int i;

	clear(self->mem, LEN);
	ASSERT_EQ(0, madvise(self->mem, LEN / 2, MADV_DONTNEED));
	test_cmd_query_pages(0, self->mem, LEN, self->rows);
	EXPECT_EQ(PTF_STATE_NONE, self->rows[0].state);
	EXPECT_EQ(PTF_STATE_NONE, self->rows[NR / 2 - 1].state);
	EXPECT_EQ(PTF_STATE_HINT, self->rows[NR / 2].state);
	for (i = 0; i < LEN / 2; i++)
		ASSERT_EQ(0, self->mem[i]);
	min0 = ptf_minflt();
	ptf_touch_all(self->mem + LEN / 2, LEN / 2);
	EXPECT_EQ(min0 + NR / 2, ptf_minflt());
	ptf_fill(self->mem, LEN / 2, SEED);
	EXPECT_EQ(0, ptf_wrong(self->mem, LEN / 2, SEED));
}

TEST_F(life, madvise_that_keeps)
{
	static const struct {
		int advice;
		const char *name;
	} keep[] = {
		{ MADV_NORMAL, "NORMAL" }, { MADV_RANDOM, "RANDOM" },
		{ MADV_SEQUENTIAL, "SEQUENTIAL" }, { MADV_WILLNEED, "WILLNEED" },
		{ MADV_COLD, "COLD" }, { MADV_PAGEOUT, "PAGEOUT" },
		{ MADV_DONTFORK, "DONTFORK" }, { MADV_DOFORK, "DOFORK" },
		{ MADV_MERGEABLE, "MERGEABLE" }, { MADV_UNMERGEABLE, "UNMERGEABLE" },
		{ MADV_DONTDUMP, "DONTDUMP" }, { MADV_DODUMP, "DODUMP" },
		{ MADV_HUGEPAGE, "HUGEPAGE" }, { MADV_NOHUGEPAGE, "NOHUGEPAGE" },
		{ MADV_POPULATE_READ, "POPULATE_READ" },
		{ MADV_POPULATE_WRITE, "POPULATE_WRITE" },
		{ MADV_SOFT_OFFLINE, "SOFT_OFFLINE" },
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(keep); i++) {
		struct ptf_ioc_range_advise adv;
		size_t len = keep[i].advice == MADV_SOFT_OFFLINE ? PAGE : LEN;

		ptf_touch_all(self->mem, LEN);
		test_cmd_range_advise(&adv, 0, PTF_ADV_NOTPRESENT, self->mem, LEN, 0);
		madvise(self->mem, len, keep[i].advice);
		EXPECT_EQ(0, ptf_wrong(self->mem, LEN, SEED)) {
			TH_LOG("after MADV_%s", keep[i].name);
		}
		test_cmd_range_advise(&adv, 0, PTF_ADV_NOTPRESENT, self->mem, LEN, 0);
		madvise(self->mem, len, keep[i].advice);
		ptf_fill(self->mem, LEN, SEED + 1);
		EXPECT_EQ(0, ptf_wrong(self->mem, LEN, SEED + 1)) {
			TH_LOG("written after MADV_%s", keep[i].name);
		}
		ptf_fill(self->mem, LEN, SEED);
	}
}

/* Out to swap while cleared, and back. */
TEST_F(life, pageout)
{
	struct ptf_ioc_range_advise adv;
	unsigned int i, swapped = 0;
	int r;

	if (!ptf_swap_free_kb())
		SKIP(return, "no swap");
	for (r = 0; r < 10; r++) {
		test_cmd_range_advise(&adv, 0, PTF_ADV_NOTPRESENT, self->mem, LEN, 0);
		madvise(self->mem, LEN, MADV_PAGEOUT);
		usleep(10000);
		test_cmd_query_pages(0, self->mem, LEN, self->rows);
		for (i = 0; i < NR; i++)
			swapped += self->rows[i].state == PTF_STATE_SWAP;
		EXPECT_EQ(0, ptf_wrong(self->mem, LEN, SEED));
	}
	/* It did go out at times, or this showed nothing. */
	EXPECT_LT(0, swapped);
}

TEST_F(life, mlock_and_munlock)
{
	int i;

	for (i = 0; i < 4; i++) {
		clear(self->mem, LEN);
		ASSERT_EQ(0, mlock(self->mem, LEN));
		EXPECT_EQ(0, ptf_wrong(self->mem, LEN, SEED));
		clear(self->mem, LEN);
		ASSERT_EQ(0, munlock(self->mem, LEN));
		EXPECT_EQ(0, ptf_wrong(self->mem, LEN, SEED));
	}
}

/* The file below goes away: SIGBUS as ever, and no other trace. */
TEST_F(life, truncate)
{
	int fd = ptf_file_in(PTF_SHM, LEN, SEED), i;
	char *m;
	pid_t pid;

	ASSERT_LE(0, fd);
	m = mmap(NULL, LEN, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ASSERT_NE(MAP_FAILED, m);
	ptf_touch_all(m, LEN);
	clear(m, LEN);
	ASSERT_EQ(0, ftruncate(fd, LEN / 2));
	EXPECT_EQ(0, ptf_wrong(m, LEN / 2, SEED));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		prctl(PR_SET_DUMPABLE, 0);
		ptf_touch(m + LEN / 2);
		_exit(0);
	}
	EXPECT_EQ(256 + SIGBUS, ptf_wait(pid));
	/* A hole punched into what is cleared reads zeros. */
	clear(m, LEN / 2);
	ASSERT_EQ(0, fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, PAGES(4)));
	for (i = 0; i < PAGES(4); i++)
		ASSERT_EQ(0, m[i]);
	close(fd);
}

/* Writes of others to the file show through a page that was cleared. */
TEST_F(life, file_writes_show)
{
	int fd = ptf_file_in(PTF_SHM, LEN, SEED);
	char *m, *priv, page[PAGE];
	int i;

	ASSERT_LE(0, fd);
	m = mmap(NULL, LEN, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ASSERT_NE(MAP_FAILED, m);
	priv = mmap(NULL, LEN, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	ASSERT_NE(MAP_FAILED, priv);
	ptf_touch_all(m, LEN);
	ptf_touch_all(priv, LEN);
	/* Half of the private pages are copies now. */
	for (i = 0; i < NR; i += 2)
		ptf_rewrite(priv + PAGES(i));
	clear(m, LEN);
	clear(priv, LEN);
	for (i = 0; i < NR; i++) {
		ptf_fill_page(page, SEED + 9, i);
		ASSERT_EQ(PAGE, pwrite(fd, page, PAGE, PAGES(i)));
	}
	EXPECT_EQ(0, ptf_wrong(m, LEN, SEED + 9));
	for (i = 0; i < NR; i++)
		ASSERT_EQ(ptf_word(i & 1 ? SEED + 9 : SEED, i, 5),
			  *(__u64 *)(priv + PAGES(i) + 40)) {
			TH_LOG("page %d", i);
		}
	/* And back: a store after a heal reaches the file. */
	clear(m, LEN);
	ptf_fill(m, LEN, SEED + 10);
	for (i = 0; i < NR; i++) {
		ASSERT_EQ(PAGE, pread(fd, page, PAGE, PAGES(i)));
		ASSERT_EQ(ptf_word(SEED + 10, i, 7), ((__u64 *)page)[7]);
	}
	close(fd);
}

/* Another process reads and writes the cleared pages through the kernel. */
TEST_F(life, process_vm_and_ptrace)
{
	char *copy = malloc(LEN);
	struct iovec l = { copy, LEN }, r = { self->mem, LEN };
	char path[64];
	pid_t pid;
	__u32 t;
	int fd;

	ASSERT_NE(NULL, copy);
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		while (!self->step[0])
			usleep(200);
		_exit(ptf_wrong(self->mem, LEN, SEED + 6) ? 1 : 0);
	}
	test_cmd_target_open(pid, &t);
	test_cmd_advise_target_all(t, PTF_ADV_NOTPRESENT, self->mem, LEN);
	ASSERT_EQ(LEN, process_vm_readv(pid, &l, 1, &r, 1, 0));
	EXPECT_EQ(0, ptf_wrong(copy, LEN, SEED));
	/* A read that the kernel passes through a hint must not heal it wrongly. */
	ptf_fill(copy, LEN, SEED + 5);
	test_cmd_range_advise(&(struct ptf_ioc_range_advise){}, t, PTF_ADV_NOTPRESENT,
			      self->mem, LEN, 0);
	ASSERT_EQ(LEN, process_vm_writev(pid, &l, 1, &r, 1, 0));
	memset(copy, 0, LEN);
	ASSERT_EQ(LEN, process_vm_readv(pid, &l, 1, &r, 1, 0));
	EXPECT_EQ(0, ptf_wrong(copy, LEN, SEED + 5));
	/* Forced, through its mem file. */
	snprintf(path, sizeof(path), "/proc/%d/mem", pid);
	fd = open(path, O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, fd);
	test_cmd_range_advise(&(struct ptf_ioc_range_advise){}, t, PTF_ADV_NOTPRESENT,
			      self->mem, LEN, 0);
	ptf_fill(copy, LEN, SEED + 6);
	ASSERT_EQ(LEN, pwrite(fd, copy, LEN, u64ptr(self->mem)));
	test_cmd_range_advise(&(struct ptf_ioc_range_advise){}, t, PTF_ADV_NOTPRESENT,
			      self->mem, LEN, 0);
	memset(copy, 0, LEN);
	ASSERT_EQ(LEN, pread(fd, copy, LEN, u64ptr(self->mem)));
	EXPECT_EQ(0, ptf_wrong(copy, LEN, SEED + 6));
	self->step[0] = 1;
	EXPECT_EQ(0, ptf_wait(pid));
	/* The parent's own copy was never touched. */
	EXPECT_EQ(0, ptf_wrong(self->mem, LEN, SEED));
}

TEST_F(life, o_direct)
{
	char *copy = ptf_anon(LEN);
	char path[] = PTF_SCRATCH "/ptf-direct-XXXXXX";
	int fd;

	if (!ptf_is_fs(PTF_SCRATCH, PTF_EXT4_MAGIC))
		SKIP(return, "no ext4 at " PTF_SCRATCH);
	ASSERT_NE(NULL, copy);
	fd = mkostemp(path, O_CLOEXEC | O_DIRECT);
	ASSERT_LE(0, fd);
	unlink(path);
	clear(self->mem, LEN);
	ASSERT_EQ(LEN, pwrite(fd, self->mem, LEN, 0));
	memset(copy, 0, LEN);
	clear(copy, LEN);
	ASSERT_EQ(LEN, pread(fd, copy, LEN, 0));
	EXPECT_EQ(0, ptf_wrong(copy, LEN, SEED));
	EXPECT_EQ(0, ptf_wrong(self->mem, LEN, SEED));
	close(fd);
}

/* A hint is one-shot and outlasts its session. */
TEST_F(life, session_closed)
{
	long min0;
	int fd;

	fd = open(PTF_DEV, O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, fd);
	ASSERT_OK(_test_cmd_range_advise(fd, &(struct ptf_ioc_range_advise){}, 0,
					 PTF_ADV_NOTPRESENT, self->mem, LEN,
					 PTF_ADVISE_F_ONESHOT));
	close(fd);
	min0 = ptf_minflt();
	ptf_touch_all(self->mem, LEN);
	EXPECT_EQ(min0 + NR, ptf_minflt());
	EXPECT_EQ(0, ptf_wrong(self->mem, LEN, SEED));
}

struct session_owner {
	volatile unsigned int *step;
	char *mem;
	pid_t target;
};

static int owner(void *arg)
{
	struct session_owner *o = arg;
	int fd = open(PTF_DEV, O_RDWR | O_CLOEXEC);
	struct ptf_ioc_range_advise adv;
	struct ptf_row rows[NR];
	struct ptf_ioc_range_query q;
	__u32 t;

	if (fd < 0 || _test_cmd_target_open(fd, o->target, &t))
		return 1;
	for (;;) {
		_test_cmd_range_advise(fd, &adv, t, PTF_ADV_NOTPRESENT, o->mem, LEN, 0);
		_test_cmd_range_query(fd, &q, t, o->mem, LEN, PTF_QUERY_F_PAGES, rows, NR);
		_test_cmd_range_advise(fd, &adv, t, PTF_ADV_PRESENT, o->mem, LEN, 0);
		_test_cmd_range_advise(fd, &adv, t, PTF_ADV_NOTPRESENT, (void *)0, USER_END_4, 0);
		o->step[0]++;
	}
}

static int hold_content(void *arg)
{
	struct session_owner *o = arg;

	ptf_fill(o->mem, LEN, SEED + 4);
	o->step[1] = 1;
	while (!o->step[2])
		if (ptf_wrong(o->mem, LEN, SEED + 4))
			return 1;
	return ptf_wrong(o->mem, LEN, SEED + 4) ? 2 : 0;
}

/* The owner is killed at any moment; the target goes on unharmed. */
TEST_F_TIMEOUT(life, owner_killed, 120)
{
	struct session_owner o = { .step = self->step, .mem = self->mem };
	unsigned int i, was, n = ptf_rounds(300);
	struct ptf_ioc_session_stat st;
	pid_t pid;

	o.target = ptf_child(hold_content, &o);
	ASSERT_TRUE(ptf_await(&self->step[1], 1, 10000));
	for (i = 0; i < n; i++) {
		was = self->step[0];
		pid = ptf_child(owner, &o);
		ASSERT_LT(0, pid);
		if (i & 3)
			ASSERT_TRUE(ptf_await(&self->step[0], was + 1, 20000));
		usleep(i * 37 % 5000);
		EXPECT_EQ(256 + SIGKILL, ptf_kill(pid));
	}
	self->step[2] = 1;
	EXPECT_EQ(0, ptf_wait(o.target));
	/* Every session but our own has gone with its owner. */
	for (i = 0; i < 100; i++) {
		test_cmd_session_stat(&st);
		if (st.out_sessions == 1)
			break;
		usleep(20000);
	}
	EXPECT_EQ(1, st.out_sessions);
}

/* The target goes, in every way, while calls are on their way. */
struct victim {
	volatile unsigned int *step;
	char *mem;
	int how;
};

static void *churn(void *arg)
{
	struct victim *v = arg;

	for (;;) {
		char *m = ptf_anon(16 * LEN);

		if (m) {
			ptf_fill(m, 16 * LEN, 1);
			munmap(m, 16 * LEN);
		}
		ptf_touch_all(v->mem, LEN);
	}
	return NULL;
}

static int victim(void *arg)
{
	struct victim *v = arg;
	pthread_t th;
	int i;

	for (i = 0; i < 3; i++)
		pthread_create(&th, NULL, churn, v);
	v->step[1] = 1;
	while (!v->step[2])
		usleep(100);
	switch (v->how) {
	case 0:
		return 0;			/* exit_group with threads */
	case 1:
		kill(getpid(), SIGKILL);
		break;
	case 2:
		execl("/bin/true", "true", NULL);
		break;
	case 3:
		abort();
	case 4:					/* everything but the code and stack */
		munmap(v->mem, LEN);
		syscall(SYS_exit_group, 0);
	}
	return 9;
}

static void *caller(void *arg)
{
	struct {
		volatile unsigned int *stop;
		int fd;
		__u32 target;
		volatile unsigned int calls, odd;
	} *c = arg;
	struct ptf_ioc_range_advise adv;
	struct ptf_ioc_range_query q;
	struct ptf_ioc_page_walk w;
	struct ptf_row rows[64];
	int ret[3], i;

	while (!*c->stop) {
		errno = 0;
		ret[0] = _test_cmd_range_advise(c->fd, &adv, c->target, PTF_ADV_NOTPRESENT,
						(void *)0, USER_END_4, 0) ? errno : 0;
		ret[1] = _test_cmd_range_query(c->fd, &q, c->target, (void *)0, USER_END_4,
					       0, rows, 64) ? errno : 0;
		ret[2] = _test_cmd_page_walk(c->fd, &w, c->target, (void *)0x400000) ? errno : 0;
		for (i = 0; i < 3; i++)
			if (ret[i] && ret[i] != ESRCH)
				c->odd = ret[i] * 10 + i;
		c->calls++;
	}
	return NULL;
}

TEST_F_TIMEOUT(life, target_goes_under_calls, 180)
{
	static const char *const how[] = { "exit", "kill", "exec", "abort", "unmap" };
	unsigned int i, n = ptf_rounds(100), stop;
	struct {
		volatile unsigned int *stop;
		int fd;
		__u32 target;
		volatile unsigned int calls, odd;
	} c[2];
	struct victim v = { .step = self->step, .mem = self->mem };
	pthread_t th[2];
	pid_t pid;
	__u32 t;
	int k;

	prctl(PR_SET_DUMPABLE, 0);
	for (i = 0; i < n; i++) {
		self->step[1] = 0;
		self->step[2] = 0;
		v.how = i % 5;
		pid = ptf_child(victim, &v);
		ASSERT_LT(0, pid);
		ASSERT_TRUE(ptf_await(&self->step[1], 1, 20000));
		test_cmd_target_open(pid, &t);
		stop = 0;
		for (k = 0; k < 2; k++) {
			c[k].stop = &stop;
			c[k].fd = self->fd;
			c[k].target = t;
			c[k].calls = 0;
			c[k].odd = 0;
			ASSERT_EQ(0, pthread_create(&th[k], NULL, caller, &c[k]));
		}
		while (c[0].calls < 2 || c[1].calls < 2)
			sched_yield();
		usleep(i * 131 % 3000);
		self->step[2] = 1;
		ptf_wait(pid);
		usleep(1000);
		*(volatile unsigned int *)&stop = 1;
		for (k = 0; k < 2; k++) {
			pthread_join(th[k], NULL);
			EXPECT_EQ(0, c[k].odd) {
				TH_LOG("%s: call %u answered %s", how[v.how], c[k].odd % 10,
				       strerror(c[k].odd / 10));
			}
		}
		test_cmd_target_close(t);
	}
}

/* mmap, munmap, fork and faults of one's own, under clears of another thread. */
static void *clear_all_the_time(void *arg)
{
	struct {
		volatile unsigned int stop;
		int fd;
		volatile unsigned int calls, odd;
	} *c = arg;
	struct ptf_ioc_range_advise adv;

	while (!c->stop) {
		if (_test_cmd_range_advise(c->fd, &adv, 0, PTF_ADV_NOTPRESENT, (void *)0,
					   USER_END_4, 0))
			c->odd = errno;
		c->calls++;
	}
	return NULL;
}

TEST_F_TIMEOUT(life, busy_process_under_clears, 120)
{
	struct {
		volatile unsigned int stop;
		int fd;
		volatile unsigned int calls, odd;
	} c = { .fd = self->fd };
	unsigned int i, n = ptf_rounds(300);
	pthread_t th;
	pid_t pid;
	char *m;

	ASSERT_EQ(0, pthread_create(&th, NULL, clear_all_the_time, &c));
	for (i = 0; i < n; i++) {
		m = ptf_anon(LEN);
		ASSERT_NE(NULL, m);
		ptf_fill(m, LEN, i);
		EXPECT_EQ(0, ptf_wrong(m, LEN, i));
		ASSERT_EQ(0, mprotect(m + PAGES(8), PAGES(8), PROT_READ));
		EXPECT_EQ(0, ptf_wrong(m, LEN, i));
		ASSERT_EQ(0, mprotect(m + PAGES(8), PAGES(8), PROT_READ | PROT_WRITE));
		m = mremap(m, LEN, 2 * LEN, MREMAP_MAYMOVE);
		ASSERT_NE(MAP_FAILED, m);
		EXPECT_EQ(0, ptf_wrong(m, LEN, i));
		munmap(m, 2 * LEN);
	}
	for (i = 0; i < n / 4 + 1; i++) {
		m = ptf_anon(LEN);
		ptf_fill(m, LEN, SEED);
		pid = fork();
		ASSERT_LE(0, pid);
		if (!pid)
			_exit(check_and_write(m));
		EXPECT_EQ(0, ptf_wrong(m, LEN, SEED));
		EXPECT_EQ(0, ptf_wait(pid));
		EXPECT_EQ(0, ptf_wrong(m, LEN, SEED));
		munmap(m, LEN);
	}
	c.stop = 1;
	pthread_join(th, NULL);
	EXPECT_EQ(0, c.odd);
	EXPECT_LT(0, c.calls);
	EXPECT_EQ(0, ptf_wrong(self->mem, LEN, SEED));
}

/* Exit with everything cleared, many threads inside. */
static void *touch_for_ever(void *arg)
{
	for (;;)
		ptf_touch_all(arg, LEN);
	return NULL;
}

static int exit_with_threads(void *arg)
{
	struct ptf_ioc_range_advise adv;
	int fd = open(PTF_DEV, O_RDWR | O_CLOEXEC), i;
	pthread_t th;

	for (i = 0; i < 16; i++)
		pthread_create(&th, NULL, touch_for_ever, arg);
	for (i = 0; i < 5; i++)
		if (_test_cmd_range_advise(fd, &adv, 0, PTF_ADV_NOTPRESENT, (void *)0,
					   USER_END_4, 0))
			return 1;
	return 0;
}

TEST_F_TIMEOUT(life, exit_cleared, 120)
{
	unsigned int i, n = ptf_rounds(100);

	for (i = 0; i < n; i++)
		ASSERT_EQ(0, ptf_wait(ptf_child(exit_with_threads, self->mem)));
	EXPECT_EQ(0, ptf_wrong(self->mem, LEN, SEED));
}

/* A dump of a process whose pages are cleared has its content. */
TEST_F(life, core_dump)
{
	struct rlimit rl = { RLIM_INFINITY, RLIM_INFINITY };
	char was[256] = "", dir[] = "/tmp/ptf-core-XXXXXX", path[300], *buf;
	FILE *f;
	bool found = false;
	size_t n, got = 0;
	pid_t pid;

	f = fopen("/proc/sys/kernel/core_pattern", "re");
	ASSERT_NE(NULL, f);
	if (!fgets(was, sizeof(was), f))
		was[0] = 0;
	fclose(f);
	ASSERT_NE(NULL, mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/core", dir);
	if (ptf_write_file("/proc/sys/kernel/core_pattern", path))
		SKIP(return, "can't set core_pattern");
	ptf_write_file("/proc/sys/kernel/core_uses_pid", "0");
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		int fd = open(PTF_DEV, O_RDWR);
		struct ptf_ioc_range_advise adv;

		setrlimit(RLIMIT_CORE, &rl);
		prctl(PR_SET_DUMPABLE, 1);
		_test_cmd_range_advise(fd, &adv, 0, PTF_ADV_NOTPRESENT, self->mem, LEN, 0);
		kill(getpid(), SIGQUIT);
		_exit(1);
	}
	EXPECT_EQ(256 + SIGQUIT, ptf_wait(pid));
	ptf_write_file("/proc/sys/kernel/core_pattern", was);
	f = fopen(path, "re");
	ASSERT_NE(NULL, f) {
		TH_LOG("no core file %s: %s", path, strerror(errno));
	}
	buf = malloc(64 * MB);
	ASSERT_NE(NULL, buf);
	got = fread(buf, 1, 64 * MB, f);
	fclose(f);
	for (n = 0; n + LEN <= got && !found; n += PAGE)
		if (*(__u64 *)(buf + n) == ptf_word(SEED, 0, 0) &&
		    *(__u64 *)(buf + n + 8) == ptf_word(SEED, 0, 1)) {
			found = true;
			EXPECT_EQ(0, ptf_wrong(buf + n, LEN, SEED));
		}
	EXPECT_TRUE(found) {
		TH_LOG("the dump of %zu bytes has not the content", got);
	}
	unlink(path);
	rmdir(dir);
}

/* The module stays while it is in use, and goes clean when it is not. */
TEST_F_TIMEOUT(life, unload, 60)
{
	const char *ko = getenv("PTF_MODULE");
	struct ptf_ioc_range_advise adv;
	struct ptf_ioc_session_stat st;
	long min0;
	int fd, i, file;

	if (!ko)
		SKIP(return, "PTF_MODULE does not say where the module is");
	EXPECT_EQ(-1, syscall(SYS_delete_module, "ptefault", O_NONBLOCK));
	EXPECT_TRUE(errno == EAGAIN || errno == EBUSY || errno == EWOULDBLOCK) {
		TH_LOG("%s", strerror(errno));
	}
	/* Still there, and at work. */
	clear(self->mem, LEN);
	close(self->fd);
	for (i = 0; i < 10; i++) {
		ASSERT_EQ(0, syscall(SYS_delete_module, "ptefault", O_NONBLOCK)) {
			TH_LOG("%s: does another process hold " PTF_DEV "?", strerror(errno));
		}
		EXPECT_EQ(-1, access(PTF_DEV, F_OK));
		/* What it cleared heals without it. */
		min0 = ptf_minflt();
		ptf_touch_all(self->mem, LEN);
		EXPECT_EQ(min0 + NR, ptf_minflt());
		EXPECT_EQ(0, ptf_wrong(self->mem, LEN, SEED));
		file = open(ko, O_RDONLY | O_CLOEXEC);
		ASSERT_LE(0, file);
		ASSERT_EQ(0, syscall(SYS_finit_module, file, "", 0)) {
			TH_LOG("%s", strerror(errno));
		}
		close(file);
		fd = open(PTF_DEV, O_RDWR | O_CLOEXEC);
		ASSERT_LE(0, fd);
		ASSERT_OK(_test_cmd_session_stat(fd, &st));
		EXPECT_EQ(1, st.out_sessions);
		EXPECT_EQ(0, st.out_cleared_pages);
		ASSERT_OK(_test_cmd_range_advise(fd, &adv, 0, PTF_ADV_NOTPRESENT, self->mem,
						 LEN, PTF_ADVISE_F_ONESHOT));
		EXPECT_EQ(NR, adv.out_done_pages);
		close(fd);
	}
}

/* Loaded and unloaded while others open it. */
static int open_and_clear(void *arg)
{
	struct session_owner *o = arg;
	struct ptf_ioc_range_advise adv;
	int fd;

	ptf_fill(o->mem, LEN, SEED + 8);
	while (!o->step[2]) {
		fd = open(PTF_DEV, O_RDWR | O_CLOEXEC);
		if (fd >= 0) {
			if (!_test_cmd_range_advise(fd, &adv, 0, PTF_ADV_NOTPRESENT, o->mem,
						    LEN, 0))
				o->step[3]++;
			close(fd);
		}
		if (ptf_wrong(o->mem, LEN, SEED + 8))
			return 1;
	}
	return 0;
}

TEST_F_TIMEOUT(life, unload_under_load, 120)
{
	struct session_owner o = { .step = self->step, .mem = self->mem };
	const char *ko = getenv("PTF_MODULE");
	unsigned int gone = 0, i;
	pid_t pid[2];
	double t;
	int file;

	if (!ko)
		SKIP(return, "PTF_MODULE does not say where the module is");
	file = open(ko, O_RDONLY | O_CLOEXEC);
	ASSERT_LE(0, file);
	close(self->fd);
	for (i = 0; i < 2; i++)
		pid[i] = ptf_child(open_and_clear, &o);
	t = ptf_seconds();
	while (ptf_seconds() - t < 5 ||
	       (gone < 3 && ptf_seconds() - t < 30 * ptf_env("PTF_SLOW", 2))) {
		if (!syscall(SYS_delete_module, "ptefault", O_NONBLOCK)) {
			gone++;
			usleep(2000);
			ASSERT_EQ(0, syscall(SYS_finit_module, file, "", 0)) {
				TH_LOG("%s", strerror(errno));
			}
		}
		usleep(gone * 113 % 3000);
	}
	self->step[2] = 1;
	for (i = 0; i < 2; i++)
		EXPECT_EQ(0, ptf_wait(pid[i]));
	EXPECT_LT(0, self->step[3]);
	EXPECT_LE(3, gone);
}

TEST_HARNESS_MAIN
