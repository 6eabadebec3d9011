// SPDX-License-Identifier: GPL-2.0-only
/*
 * STASH against everything that core mm does to a range: the entry is gone, and
 * whatever wants the page must find it, whole, at once.
 */
/* timeout: 900 */
#include "ptf_test.h"

#include <linux/userfaultfd.h>
#include <sys/ptrace.h>
#include <sys/shm.h>
#include <sys/time.h>
#include <sys/uio.h>

#include "modules/ptftest.h"

#ifndef UFFD_FEATURE_WP_HUGETLBFS_SHMEM
#define UFFD_FEATURE_WP_HUGETLBFS_SHMEM	(1 << 12)
#endif
#ifndef SYS_process_mrelease
#define SYS_process_mrelease	448
#endif

#define NR	64
#define LEN	PAGES(NR)
#define SEED	71

FIXTURE(stash) {
	int fd;
	struct ptf_log log;
	char *mem;
	struct ptf_row *rows;
	volatile unsigned int *step;
};

FIXTURE_SETUP(stash)
{
	self->fd = ptf_setup(_metadata, &self->log);
	if (self->fd < 0)
		return;
	if (!(ptf_features(self->fd) & PTF_FEATURE_STASH))
		SKIP(return, "no STASH on this kernel: its fault handler can't be hooked");
	self->mem = ptf_anon(LEN);
	ASSERT_NE(NULL, self->mem);
	ptf_fill(self->mem, LEN, SEED);
	self->rows = calloc(1024, sizeof(struct ptf_row));
	ASSERT_NE(NULL, self->rows);
	self->step = ptf_shared(PAGE);
	ASSERT_NE(NULL, (void *)self->step);
}

PTF_TEARDOWN(stash)

#define take(addr, len) test_cmd_advise_all(PTF_ADV_STASH, addr, len)

/* Pages of a range in one state, by the report; -1 if it can't be asked. */
static int count_state(int fd, __u32 target, const void *addr, size_t len, int state)
{
	struct ptf_ioc_range_query q;
	struct ptf_row row[64];
	size_t at;
	int n = 0;
	__u64 i;

	for (at = 0; at < len; at = q.out_next - u64ptr(addr)) {
		if (_test_cmd_range_query(fd, &q, target, (const char *)addr + at, len - at,
					  PTF_QUERY_F_PAGES | PTF_QUERY_F_HOLES, row, 64) ||
		    q.out_next <= u64ptr(addr) + at)
			return -1;
		for (i = 0; i < q.out_rows; i++)
			n += row[i].state == state;
	}
	return n;
}

#define stashed(addr, len) count_state(self->fd, 0, addr, len, PTF_STATE_STASHED)

static __u64 held_now(int fd)
{
	struct ptf_ioc_session_stat st;

	return _test_cmd_session_stat(fd, &st) ? ~0ULL : st.out_stashed_pages;
}

static int check_and_write(void *mem)
{
	if (ptf_wrong(mem, LEN, SEED))
		return 1;
	ptf_fill(mem, LEN, SEED + 1);
	return ptf_wrong(mem, LEN, SEED + 1) ? 2 : 0;
}

static int check_only(void *mem)
{
	return ptf_wrong(mem, LEN, SEED) ? 1 : 0;
}

/* ------------------------------------------------------------------ */
/* The stash by itself                                                 */

TEST_F(stash, one_fault_each)
{
	long min0, rss;
	int i;

	rss = ptf_status_kb(getpid(), "VmRSS");
	for (i = 0; i < 3; i++) {
		take(self->mem, LEN);
		EXPECT_EQ(NR, stashed(self->mem, LEN));
		EXPECT_EQ(NR, held_now(self->fd));
		/* Its memory is still counted as its own. */
		EXPECT_LE(rss - 64, ptf_status_kb(getpid(), "VmRSS"));
		min0 = ptf_minflt();
		if (i)
			ptf_touch_all(self->mem, LEN);
		else
			ptf_fill(self->mem, LEN, SEED);
		EXPECT_EQ(min0 + NR, ptf_minflt());
		EXPECT_EQ(0, ptf_wrong(self->mem, LEN, SEED));
		EXPECT_EQ(min0 + NR, ptf_minflt());
		EXPECT_EQ(0, stashed(self->mem, LEN));
		EXPECT_EQ(0, held_now(self->fd));
	}
}

/* The very same entry comes back: frame, write bit, dirty bit. */
TEST_F(stash, same_entry_back)
{
	struct ptf_row was[NR], is[NR];
	int i;

	ASSERT_EQ(0, mprotect(self->mem, PAGES(8), PROT_READ));
	test_cmd_query_pages(0, self->mem, LEN, was);
	take(self->mem, LEN);
	test_cmd_query_pages(0, self->mem, LEN, is);
	for (i = 0; i < NR; i++) {
		EXPECT_EQ(PTF_STATE_STASHED, is[i].state);
		EXPECT_EQ(was[i].pte_pfn, is[i].pte_pfn);
	}
	test_cmd_advise_all(PTF_ADV_PRESENT, self->mem, LEN);
	test_cmd_query_pages(0, self->mem, LEN, is);
	for (i = 0; i < NR; i++) {
		EXPECT_EQ(PTF_STATE_PRESENT, is[i].state);
		EXPECT_EQ(was[i].pte_pfn, is[i].pte_pfn);
		EXPECT_EQ(was[i].flags & (PTF_ROW_WRITE | PTF_ROW_DIRTY | PTF_ROW_EXCLUSIVE),
			  is[i].flags & (PTF_ROW_WRITE | PTF_ROW_DIRTY | PTF_ROW_EXCLUSIVE));
	}
}

TEST_F(stash, twice_is_once)
{
	struct ptf_ioc_range_advise cmd;

	take(self->mem, LEN);
	test_cmd_range_advise(&cmd, 0, PTF_ADV_STASH, self->mem, LEN, 0);
	EXPECT_EQ(0, cmd.out_done_pages);
	EXPECT_EQ(NR, cmd.out_same_pages);
	EXPECT_EQ(0, cmd.out_flushes);
	/* NOTPRESENT has nothing to do there either. */
	test_cmd_range_advise(&cmd, 0, PTF_ADV_NOTPRESENT, self->mem, LEN, 0);
	EXPECT_EQ(0, cmd.out_done_pages);
	EXPECT_EQ(NR, cmd.out_same_pages);
	EXPECT_EQ(NR, held_now(self->fd));
	EXPECT_EQ(0, ptf_wrong(self->mem, LEN, SEED));
}

/* A hint goes into the stash as a hint; both are undone by one PRESENT. */
TEST_F(stash, over_hints)
{
	long min0;

	test_cmd_advise_all(PTF_ADV_NOTPRESENT, self->mem, LEN);
	take(self->mem, LEN);
	EXPECT_EQ(NR, stashed(self->mem, LEN));
	min0 = ptf_minflt();
	EXPECT_EQ(0, ptf_wrong(self->mem, LEN, SEED));
	EXPECT_EQ(min0 + NR, ptf_minflt());
	test_cmd_advise_all(PTF_ADV_NOTPRESENT, self->mem, LEN);
	take(self->mem, LEN);
	test_cmd_advise_all(PTF_ADV_PRESENT, self->mem, LEN);
	min0 = ptf_minflt();
	ptf_fill(self->mem, LEN, SEED);
	EXPECT_EQ(min0, ptf_minflt());
}

/* One fault for one page, whatever folio it lies in. */
TEST_F(stash, large_folio)
{
	struct ptf_ioc_range_advise cmd;
	unsigned int i;
	long min0;
	char *p;

	p = mmap(NULL, 2 * HPAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, p);
	p = (char *)(((uintptr_t)p + HPAGE - 1) & ~(HPAGE - 1));
	if (madvise(p, HPAGE, MADV_HUGEPAGE))
		SKIP(return, "no transparent huge pages");
	ptf_fill(p, HPAGE, SEED);
	/* Splits the leaf, not the folio. */
	ASSERT_EQ(0, mprotect(p, PAGE, PROT_READ));
	ASSERT_EQ(0, mprotect(p, PAGE, PROT_READ | PROT_WRITE));
	test_cmd_range_advise(&cmd, 0, PTF_ADV_STASH, p, HPAGE, 0);
	ASSERT_EQ(512, cmd.out_done_pages);
	for (i = 0; i < 512; i++) {
		min0 = ptf_minflt();
		ptf_touch(p + PAGES(i));
		ASSERT_EQ(min0 + 1, ptf_minflt());
	}
	EXPECT_EQ(0, ptf_wrong(p, HPAGE, SEED));
	test_cmd_range_advise(&cmd, 0, PTF_ADV_STASH, p, HPAGE, 0);
	EXPECT_EQ(0, munmap(p, HPAGE));
	EXPECT_EQ(0, held_now(self->fd));
}

TEST_F(stash, refused)
{
	struct ptf_ioc_range_advise cmd;
	struct ptftest_range r;
	char *p;
	int dev;

	/* The zero page belongs to everybody. */
	p = ptf_anon(PAGES(4));
	ptf_touch_all(p, PAGES(4));
	test_err_range_advise(EOPNOTSUPP, &cmd, 0, PTF_ADV_STASH, p, PAGES(4), 0);
	EXPECT_EQ(4, cmd.out_skipped_pages[PTF_SKIP_KIND]);
	/* All or nothing: one such page behind good ones, and nothing moves. */
	ptf_fill(p, PAGES(3), SEED);
	test_err_range_advise(EOPNOTSUPP, &cmd, 0, PTF_ADV_STASH, p, PAGES(4),
			      PTF_ADVISE_F_STRICT);
	EXPECT_EQ(u64ptr(p) + PAGES(3), cmd.out_next);
	EXPECT_EQ(0, cmd.out_done_pages);
	EXPECT_EQ(0, stashed(p, PAGES(4)));
	/* Without STRICT the good ones go. */
	test_cmd_range_advise(&cmd, 0, PTF_ADV_STASH, p, PAGES(4), 0);
	EXPECT_EQ(3, cmd.out_done_pages);
	EXPECT_EQ(1, cmd.out_skipped_pages[PTF_SKIP_KIND]);
	EXPECT_EQ(0, ptf_wrong(p, PAGES(3), SEED));

	dev = open(PTFTEST_DEV, O_RDWR | O_CLOEXEC);
	if (dev < 0)
		SKIP(return, "no " PTFTEST_DEV ": what is pinned was not tried");
	r.start = u64ptr(self->mem);
	r.nr_pages = NR;
	ASSERT_EQ(0, ioctl(dev, PTFTEST_PIN, &r));
	test_err_range_advise(EBUSY, &cmd, 0, PTF_ADV_STASH, self->mem, LEN, 0);
	EXPECT_EQ(NR, cmd.out_skipped_pages[PTF_SKIP_PINNED]);
	EXPECT_EQ(0, stashed(self->mem, LEN));
	ioctl(dev, PTFTEST_UNPIN);
	take(self->mem, LEN);
	EXPECT_EQ(0, ptf_wrong(self->mem, LEN, SEED));
}

TEST_F(stash, strict_all)
{
	struct ptf_ioc_range_advise cmd;
	int i;

	for (i = 0; i < 5; i++) {
		test_cmd_range_advise(&cmd, 0, PTF_ADV_STASH, self->mem, LEN,
				      PTF_ADVISE_F_STRICT);
		EXPECT_EQ(NR, cmd.out_done_pages);
		EXPECT_EQ(u64ptr(self->mem) + LEN, cmd.out_next);
		EXPECT_LE(1, cmd.out_flushes);
		EXPECT_EQ(NR, stashed(self->mem, LEN));
		/* A page made zero first: strict leaves all others in peace. */
		ASSERT_EQ(0, madvise(self->mem + PAGES(20), PAGE, MADV_DONTNEED));
		EXPECT_EQ(NR - 1, stashed(self->mem, LEN));
		test_err_range_advise(ENODATA, &cmd, 0, PTF_ADV_STASH, self->mem, LEN,
				      PTF_ADVISE_F_STRICT);
		EXPECT_EQ(NR - 1, stashed(self->mem, LEN));
		ptf_fill_page(self->mem + PAGES(20), SEED, 20);
		EXPECT_EQ(0, ptf_wrong(self->mem, LEN, SEED));
	}
}

/* ------------------------------------------------------------------ */
/* Processes: fork, exec, exit                                         */

TEST_F(stash, fork)
{
	pid_t pid;
	int i;

	for (i = 0; i < 5; i++) {
		take(self->mem, LEN);
		pid = ptf_child(check_and_write, self->mem);
		EXPECT_EQ(0, ptf_wait(pid));
		EXPECT_EQ(0, ptf_wrong(self->mem, LEN, SEED));
		/* The parent writes while the child has the old pages. */
		take(self->mem, LEN);
		pid = ptf_child(check_and_write, self->mem);
		ptf_fill(self->mem, LEN, SEED + 2);
		EXPECT_EQ(0, ptf_wait(pid));
		EXPECT_EQ(0, ptf_wrong(self->mem, LEN, SEED + 2));
		ptf_fill(self->mem, LEN, SEED);
	}
	/* Pages that two map, taken from each by itself. */
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		struct ptf_ioc_range_advise cmd;
		int fd = open(PTF_DEV, O_RDWR);

		for (i = 0; i < 20; i++)
			if (_test_cmd_range_advise(fd, &cmd, 0, PTF_ADV_STASH, self->mem, LEN, 0) ||
			    cmd.out_done_pages != NR || ptf_wrong(self->mem, LEN, SEED))
				_exit(1);
		_exit(check_and_write(self->mem));
	}
	for (i = 0; i < 20; i++) {
		take(self->mem, LEN);
		EXPECT_EQ(0, ptf_wrong(self->mem, LEN, SEED));
	}
	EXPECT_EQ(0, ptf_wait(pid));
	EXPECT_EQ(0, ptf_wrong(self->mem, LEN, SEED));
}

TEST_F(stash, fork_shared)
{
	char *p = ptf_shared(LEN);
	pid_t pid;

	ASSERT_NE(NULL, p);
	ptf_fill(p, LEN, SEED);
	take(p, LEN);
	pid = ptf_child(check_and_write, p);
	EXPECT_EQ(0, ptf_wait(pid));
	EXPECT_EQ(0, ptf_wrong(p, LEN, SEED + 1));
}

/* Entries of such a mapping are copied by fork, shared or not. */
TEST_F(stash, fork_mixed_map)
{
	struct ptf_ioc_range_advise cmd;
	int dev = open(PTFTEST_DEV, O_RDWR | O_CLOEXEC), i;
	pid_t pid;
	char *p;

	if (dev < 0)
		SKIP(return, "no " PTFTEST_DEV);
	p = mmap(NULL, PAGES(PTFTEST_PAGES), PROT_READ | PROT_WRITE, MAP_SHARED, dev,
		 PTFTEST_MAP_PAGES);
	ASSERT_NE(MAP_FAILED, p);
	_test_cmd_range_advise(self->fd, &cmd, 0, PTF_ADV_STASH, p, PAGES(PTFTEST_PAGES), 0);
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		for (i = 0; i < PTFTEST_PAGES; i++)
			if (ptf_touch(p + PAGES(i)) != 0x40 + i)
				_exit(1);
		_exit(0);
	}
	EXPECT_EQ(0, ptf_wait(pid));
	for (i = 0; i < PTFTEST_PAGES; i++)
		EXPECT_EQ(0x40 + i, ptf_touch(p + PAGES(i)));
}

TEST_F(stash, vfork_and_exec)
{
	struct ptf_ioc_range_advise cmd;
	volatile int i;
	pid_t pid;
	int fd;

	for (i = 0; i < 5; i++) {
		take(self->mem, LEN);
		pid = vfork();
		ASSERT_LE(0, pid);
		if (!pid) {
			execl("/bin/true", "true", NULL);
			_exit(9);
		}
		EXPECT_EQ(0, ptf_wait(pid));
		/* The child never had an address space of its own. */
		EXPECT_EQ(NR, stashed(self->mem, LEN));
		EXPECT_EQ(0, ptf_wrong(self->mem, LEN, SEED));
		pid = fork();
		ASSERT_LE(0, pid);
		if (!pid) {
			/* Kept open over the exec: the session outlives its own memory. */
			fd = open(PTF_DEV, O_RDWR);
			if (_test_cmd_range_advise(fd, &cmd, 0, PTF_ADV_STASH, self->mem, LEN, 0))
				_exit(8);
			execl("/bin/true", "true", NULL);
			_exit(9);
		}
		EXPECT_EQ(0, ptf_wait(pid));
	}
	EXPECT_EQ(0, ptf_wrong(self->mem, LEN, SEED));
}

static void *touch_for_ever(void *arg)
{
	for (;;)
		ptf_touch_all(arg, LEN);
	return NULL;
}

static int exit_with_threads(void *arg)
{
	struct ptf_ioc_range_advise cmd;
	int fd = open(PTF_DEV, O_RDWR | O_CLOEXEC), i;
	pthread_t th;

	for (i = 0; i < 8; i++)
		pthread_create(&th, NULL, touch_for_ever, arg);
	for (i = 0; i < 5; i++)
		if (_test_cmd_range_advise(fd, &cmd, 0, PTF_ADV_STASH, arg, LEN, 0) &&
		    errno != EBUSY)
			return 1;
	return 0;
}

TEST_F_TIMEOUT(stash, exit_group_with_threads, 120)
{
	unsigned int i, n = ptf_rounds(100);

	for (i = 0; i < n; i++)
		ASSERT_EQ(0, ptf_wait(ptf_child(exit_with_threads, self->mem)));
	EXPECT_EQ(0, ptf_wrong(self->mem, LEN, SEED));
}

/* Somebody else's stash in a process that exits, execs or is killed. */
static int wait_for_step(void *arg)
{
	volatile unsigned int *step = arg;

	step[1] = 1;
	while (!step[0])
		usleep(200);
	if (step[0] == 2)
		execl("/bin/true", "true", NULL);
	return 0;
}

TEST_F_TIMEOUT(stash, target_goes, 120)
{
	struct ptf_ioc_range_advise cmd;
	int how, pidfd;
	pid_t pid;
	__u32 t;

	for (how = 0; how < 4; how++) {
		self->step[0] = 0;
		self->step[1] = 0;
		pid = ptf_child(wait_for_step, (void *)self->step);
		ASSERT_TRUE(ptf_await(&self->step[1], 1, 10000));
		test_cmd_target_open(pid, &t);
		test_cmd_advise_target_all(t, PTF_ADV_STASH, self->mem, LEN);
		EXPECT_EQ(NR, held_now(self->fd));
		switch (how) {
		case 0:
		case 1:
			self->step[0] = how + 1;
			EXPECT_EQ(0, ptf_wait(pid));
			break;
		case 2:
			EXPECT_EQ(256 + SIGKILL, ptf_kill(pid));
			break;
		case 3:
			/* Its memory is reaped before it can exit. */
			pidfd = syscall(SYS_pidfd_open, pid, 0);
			kill(pid, SIGKILL);
			syscall(SYS_process_mrelease, pidfd, 0);
			close(pidfd);
			EXPECT_EQ(256 + SIGKILL, ptf_wait(pid));
			break;
		}
		EXPECT_EQ(0, held_now(self->fd));
		test_err_range_advise(ESRCH, &cmd, t, PTF_ADV_STASH, self->mem, LEN, 0);
		test_cmd_target_close(t);
	}
	EXPECT_EQ(0, ptf_wrong(self->mem, LEN, SEED));
}

static int stash_parent(void *arg)
{
	struct ptf_ioc_range_advise cmd;
	int fd = open(PTF_DEV, O_RDWR | O_CLOEXEC);
	__u32 t;

	if (fd < 0 || _test_cmd_target_open(fd, getppid(), &t))
		return 1;
	if (_test_cmd_range_advise(fd, &cmd, t, PTF_ADV_STASH, arg, LEN, 0) ||
	    cmd.out_done_pages != NR)
		return 2;
	kill(getpid(), SIGKILL);
	return 3;
}

TEST_F(stash, owner_killed)
{
	long min0;
	int i;

	for (i = 0; i < 10; i++) {
		ASSERT_EQ(256 + SIGKILL, ptf_wait(ptf_child(stash_parent, self->mem)));
		/* All back before the owner's exit was seen. */
		min0 = ptf_minflt();
		EXPECT_EQ(0, ptf_wrong(self->mem, LEN, SEED));
		EXPECT_EQ(min0, ptf_minflt());
		EXPECT_EQ(0, stashed(self->mem, LEN));
	}
}

/* ------------------------------------------------------------------ */
/* Sessions                                                            */

TEST_F(stash, closed_and_reset)
{
	struct ptf_ioc_range_advise cmd;
	int fd = open(PTF_DEV, O_RDWR | O_CLOEXEC);
	long min0;
	__u32 t;

	ASSERT_LE(0, fd);
	ASSERT_OK(_test_cmd_range_advise(fd, &cmd, 0, PTF_ADV_STASH, self->mem, LEN, 0));
	EXPECT_EQ(NR, cmd.out_done_pages);
	close(fd);
	min0 = ptf_minflt();
	EXPECT_EQ(0, ptf_wrong(self->mem, LEN, SEED));
	EXPECT_EQ(min0, ptf_minflt());

	take(self->mem, LEN);
	test_cmd_range_advise(&cmd, 0, PTF_ADV_RESET, self->mem, PAGE, 0);
	EXPECT_EQ(0, held_now(self->fd));
	min0 = ptf_minflt();
	EXPECT_EQ(0, ptf_wrong(self->mem, LEN, SEED));
	EXPECT_EQ(min0, ptf_minflt());

	/* Its own number for the same memory, opened and closed. */
	fd = fork();
	ASSERT_LE(0, fd);
	if (!fd) {
		for (;;)
			pause();
	}
	test_cmd_target_open(fd, &t);
	test_cmd_advise_target_all(t, PTF_ADV_STASH, self->mem, LEN);
	EXPECT_EQ(NR, held_now(self->fd));
	test_cmd_target_close(t);
	EXPECT_EQ(0, held_now(self->fd));
	test_cmd_target_open(fd, &t);
	EXPECT_EQ(0, count_state(self->fd, t, self->mem, LEN, PTF_STATE_STASHED));
	ptf_kill(fd);
}

TEST_F(stash, two_sessions)
{
	struct ptf_ioc_range_advise cmd;
	int other = open(PTF_DEV, O_RDWR | O_CLOEXEC);
	long min0;

	ASSERT_LE(0, other);
	/* The other has the even pages, we have the rest. */
	for (min0 = 0; min0 < NR; min0 += 2)
		ASSERT_OK(_test_cmd_range_advise(other, &cmd, 0, PTF_ADV_STASH,
						 self->mem + PAGES(min0), PAGE, 0));
	test_cmd_range_advise(&cmd, 0, PTF_ADV_STASH, self->mem, LEN, 0);
	EXPECT_EQ(NR / 2, cmd.out_done_pages);
	EXPECT_EQ(NR / 2, cmd.out_skipped_pages[PTF_SKIP_FOREIGN]);
	EXPECT_EQ(NR / 2, held_now(self->fd));
	EXPECT_EQ(NR / 2, held_now(other));
	/* Each undoes its own alone. */
	close(other);
	EXPECT_EQ(NR / 2, stashed(self->mem, LEN));
	EXPECT_EQ(NR / 2, held_now(self->fd));
	min0 = ptf_minflt();
	EXPECT_EQ(0, ptf_wrong(self->mem, LEN, SEED));
	EXPECT_EQ(min0 + NR / 2, ptf_minflt());
	EXPECT_EQ(0, held_now(self->fd));
}

static void no_op(int sig)
{
}

/* Any signal may be pending when an address space is armed for the first time. */
TEST_F_TIMEOUT(stash, signals_do_not_interrupt, 60)
{
	unsigned int every = 1000 * ptf_env("PTF_SLOW", 1);
	struct itimerval it = { { 0, every }, { 0, every } }, off = { };
	struct sigaction sa = { .sa_handler = no_op };
	unsigned int i, n = ptf_rounds(1000), odd = 0;
	struct ptf_ioc_range_advise cmd;
	int fd;

	ASSERT_EQ(0, sigaction(SIGALRM, &sa, NULL));
	ASSERT_EQ(0, setitimer(ITIMER_REAL, &it, NULL));
	for (i = 0; i < n; i++) {
		do {
			fd = open(PTF_DEV, O_RDWR | O_CLOEXEC);
		} while (fd < 0 && errno == EINTR);
		if (_test_cmd_range_advise(fd, &cmd, 0, PTF_ADV_STASH, self->mem, LEN, 0) &&
		    !odd++)
			TH_LOG("%s", strerror(errno));
		close(fd);
	}
	setitimer(ITIMER_REAL, &off, NULL);
	EXPECT_EQ(0, odd);
	EXPECT_EQ(0, ptf_wrong(self->mem, LEN, SEED));
}

/* Nobody may take the hook away from under a stash. */
TEST_F(stash, ftrace_stays_enabled)
{
	static const char path[] = "/proc/sys/kernel/ftrace_enabled";
	struct ptf_ioc_range_advise cmd;
	int f = open(path, O_WRONLY | O_CLOEXEC), fd, i, ret;

	if (f < 0)
		SKIP(return, "no sysctl kernel.ftrace_enabled");
	take(self->mem, LEN);
	errno = 0;
	ret = pwrite(f, "0", 1, 0);
	EXPECT_EQ(-1, ret);
	/* newer kernels let nobody switch it off at all */
	if (errno == EOPNOTSUPP) {
		EXPECT_EQ(NR, stashed(self->mem, LEN));
		EXPECT_EQ(0, ptf_wrong(self->mem, LEN, SEED));
		return;
	}
	EXPECT_EQ(EBUSY, errno);
	if (ret == 1)
		pwrite(f, "1", 1, 0);
	EXPECT_EQ(NR, stashed(self->mem, LEN));
	EXPECT_EQ(0, ptf_wrong(self->mem, LEN, SEED));
	/* A while after the last session it may; then nothing can be stashed. */
	close(self->fd);
	for (i = 0; i < 200; i++) {
		ret = pwrite(f, "0", 1, 0);
		if (ret == 1)
			break;
		usleep(50000);
	}
	ASSERT_EQ(1, ret) {
		TH_LOG("ftrace can't be disabled: %s", strerror(errno));
	}
	fd = open(PTF_DEV, O_RDWR | O_CLOEXEC);
	ret = _test_cmd_range_advise(fd, &cmd, 0, PTF_ADV_STASH, self->mem, LEN, 0);
	i = errno;
	pwrite(f, "1", 1, 0);
	EXPECT_EQ(-1, ret);
	EXPECT_EQ(EBUSY, i);
	EXPECT_EQ(0, ptf_wrong(self->mem, LEN, SEED));
	ASSERT_OK(_test_cmd_range_advise(fd, &cmd, 0, PTF_ADV_STASH, self->mem, LEN, 0));
	EXPECT_EQ(0, ptf_wrong(self->mem, LEN, SEED));
}

/* ------------------------------------------------------------------ */
/* The address space                                                   */

TEST_F(stash, munmap)
{
	long rss0, rss;
	char *p;
	int i;

	for (i = 0; i < 20; i++) {
		p = ptf_anon(2 * LEN);
		ASSERT_NE(NULL, p);
		ptf_fill(p, 2 * LEN, SEED);
		take(p, 2 * LEN);
		ASSERT_EQ(0, munmap(p + LEN, LEN));
		EXPECT_EQ(NR, held_now(self->fd));
		EXPECT_EQ(0, ptf_wrong(p, LEN, SEED));
		take(p, LEN);
		ASSERT_EQ(0, munmap(p, LEN));
		EXPECT_EQ(0, held_now(self->fd));
	}
	/* What went is free again. */
	rss0 = ptf_status_kb(getpid(), "VmRSS");
	p = ptf_anon(16 * MB);
	ptf_fill(p, 16 * MB, SEED);
	take(p, 16 * MB);
	ASSERT_EQ(0, munmap(p, 16 * MB));
	rss = ptf_status_kb(getpid(), "VmRSS");
	EXPECT_GT(rss0 + 4096, rss);
	/* Mapped anew at the same place: nothing of before. */
	p = ptf_anon(LEN);
	ptf_fill(p, LEN, SEED);
	take(p, LEN);
	ASSERT_EQ(p, mmap(p, LEN, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
	EXPECT_EQ(0, stashed(p, LEN));
	for (i = 0; i < NR; i++)
		EXPECT_EQ(0, ptf_touch(p + PAGES(i)));
}

TEST_F(stash, mprotect)
{
	pid_t pid;
	int i;

	take(self->mem, LEN);
	ASSERT_EQ(0, mprotect(self->mem, LEN, PROT_READ));
	EXPECT_EQ(0, ptf_wrong(self->mem, LEN, SEED));
	for (i = 0; i < 2; i++) {
		/* Stashed before, or while, it is read-only: no right to write. */
		if (i)
			take(self->mem, LEN);
		pid = fork();
		ASSERT_LE(0, pid);
		if (!pid) {
			prctl(PR_SET_DUMPABLE, 0);
			ptf_store(self->mem + PAGES(3), 1);
			_exit(0);
		}
		EXPECT_EQ(256 + SIGSEGV, ptf_wait(pid));
	}
	take(self->mem, LEN);
	ASSERT_EQ(0, mprotect(self->mem, LEN, PROT_READ | PROT_WRITE));
	ptf_fill(self->mem, LEN, SEED + 1);
	EXPECT_EQ(0, ptf_wrong(self->mem, LEN, SEED + 1));

	/* A part in the middle, and no rights at all. */
	take(self->mem, LEN);
	ASSERT_EQ(0, mprotect(self->mem + PAGES(8), PAGES(8), PROT_NONE));
	EXPECT_EQ(NR - 8, stashed(self->mem, LEN));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		prctl(PR_SET_DUMPABLE, 0);
		ptf_touch(self->mem + PAGES(9));
		_exit(0);
	}
	EXPECT_EQ(256 + SIGSEGV, ptf_wait(pid));
	ASSERT_EQ(0, mprotect(self->mem + PAGES(8), PAGES(8), PROT_READ | PROT_WRITE));
	EXPECT_EQ(0, ptf_wrong(self->mem, LEN, SEED + 1));
}

#ifndef MREMAP_DONTUNMAP
#define MREMAP_DONTUNMAP	4
#endif

TEST_F(stash, mremap)
{
	char *m, *to, *old;
	int i;

	take(self->mem, LEN);
	m = mremap(self->mem, LEN, 4 * LEN, MREMAP_MAYMOVE);
	ASSERT_NE(MAP_FAILED, m);
	EXPECT_EQ(0, ptf_wrong(m, LEN, SEED));
	take(m, LEN);
	to = ptf_hole(4 * LEN);
	ASSERT_NE(NULL, to);
	ASSERT_EQ(to, mremap(m, 4 * LEN, 4 * LEN, MREMAP_MAYMOVE | MREMAP_FIXED, to));
	EXPECT_EQ(0, ptf_wrong(to, LEN, SEED));
	m = to;
	/* Onto a range that is stashed itself. */
	to = ptf_anon(4 * LEN);
	ptf_fill(to, 4 * LEN, SEED + 1);
	take(to, 4 * LEN);
	take(m, LEN);
	ASSERT_EQ(to, mremap(m, 4 * LEN, 4 * LEN, MREMAP_MAYMOVE | MREMAP_FIXED, to));
	EXPECT_EQ(0, ptf_wrong(to, LEN, SEED));
	EXPECT_EQ(0, held_now(self->fd));
	m = to;
	take(m, LEN);
	ASSERT_EQ(m, mremap(m, 4 * LEN, LEN / 2, 0));
	EXPECT_EQ(NR / 2, held_now(self->fd));
	EXPECT_EQ(0, ptf_wrong(m, LEN / 2, SEED));
	/* The old place stays, empty. */
	take(m, LEN / 2);
	old = m;
	m = mremap(old, LEN / 2, LEN / 2, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, 0);
	if (m != MAP_FAILED) {
		EXPECT_EQ(0, ptf_wrong(m, LEN / 2, SEED));
		for (i = 0; i < NR / 2; i++)
			EXPECT_EQ(0, ptf_touch(old + PAGES(i)));
	}
	EXPECT_EQ(0, held_now(self->fd));
}

/* Whole tables move at once where both ends are aligned. */
TEST_F_TIMEOUT(stash, mremap_whole_tables, 60)
{
	char *a, *b;
	int i;

	a = mmap(NULL, 8 * HPAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, a);
	a = (char *)(((uintptr_t)a + HPAGE - 1) & ~(HPAGE - 1));
	b = a + 4 * HPAGE;
	ASSERT_NE(MAP_FAILED, mmap(a, 2 * HPAGE, PROT_READ | PROT_WRITE,
				   MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
	ASSERT_EQ(0, madvise(a, 2 * HPAGE, MADV_NOHUGEPAGE));
	ptf_fill(a, 2 * HPAGE, SEED);
	for (i = 0; i < 3; i++) {
		take(a, 2 * HPAGE);
		ASSERT_EQ(b, mremap(a, 2 * HPAGE, 2 * HPAGE, MREMAP_MAYMOVE | MREMAP_FIXED, b));
		EXPECT_EQ(0, held_now(self->fd));
		take(b + PAGES(100), PAGES(300));
		EXPECT_EQ(0, ptf_wrong(b, 2 * HPAGE, SEED));
		take(b, 2 * HPAGE);
		ASSERT_EQ(a, mremap(b, 2 * HPAGE, 2 * HPAGE, MREMAP_MAYMOVE | MREMAP_FIXED, a));
		EXPECT_EQ(0, ptf_wrong(a, 2 * HPAGE, SEED));
	}
}

TEST_F(stash, madvise)
{
	int i, w;

	/* Content that goes because somebody said so. */
	take(self->mem, LEN);
	ASSERT_EQ(0, madvise(self->mem, LEN / 2, MADV_DONTNEED));
	EXPECT_EQ(NR / 2, stashed(self->mem, LEN));
	for (i = 0; i < NR / 2; i++)
		EXPECT_EQ(0, ptf_touch(self->mem + PAGES(i)));
	for (i = 0; i < NR / 2; i++)
		ptf_fill_page(self->mem + PAGES(i), SEED, i);
	EXPECT_EQ(0, ptf_wrong(self->mem, LEN, SEED));

	/* FREE: the old page or zeros, each page whole. */
	take(self->mem, LEN);
	ASSERT_EQ(0, madvise(self->mem, LEN, MADV_FREE));
	for (i = 0; i < NR; i++) {
		const __u64 *p = (void *)(self->mem + PAGES(i));
		bool zero = !p[0];

		for (w = 0; w < PAGE / 8; w++)
			if (p[w] != (zero ? 0 : ptf_word(SEED, i, w)))
				break;
		EXPECT_EQ(PAGE / 8, w);
	}
	ptf_fill(self->mem, LEN, SEED);

	/* Content that must stay. */
	take(self->mem, LEN);
	ASSERT_EQ(0, madvise(self->mem, LEN, MADV_COLD));
	EXPECT_EQ(0, ptf_wrong(self->mem, LEN, SEED));
	take(self->mem, LEN);
	ASSERT_EQ(0, madvise(self->mem, LEN, MADV_PAGEOUT));
	EXPECT_EQ(0, ptf_wrong(self->mem, LEN, SEED));
	/* Neighbours go to swap, and come back around a page that is not there. */
	take(self->mem + PAGES(10), PAGES(10));
	ASSERT_EQ(0, madvise(self->mem, LEN, MADV_PAGEOUT));
	EXPECT_EQ(10, stashed(self->mem, LEN));
	ptf_touch_all(self->mem, PAGES(10));
	ptf_touch_all(self->mem + PAGES(20), PAGES(44));
	EXPECT_EQ(10, stashed(self->mem, LEN));
	EXPECT_EQ(0, ptf_wrong(self->mem, LEN, SEED));
	take(self->mem, LEN);
	EXPECT_EQ(0, madvise(self->mem, LEN, MADV_POPULATE_WRITE));
	EXPECT_EQ(0, stashed(self->mem, LEN));
	EXPECT_EQ(0, ptf_wrong(self->mem, LEN, SEED));
	take(self->mem, LEN);
	EXPECT_EQ(0, madvise(self->mem, LEN, MADV_WILLNEED));
	EXPECT_EQ(0, madvise(self->mem, LEN, MADV_DONTFORK));
	EXPECT_EQ(0, madvise(self->mem, LEN, MADV_DOFORK));
	EXPECT_EQ(0, madvise(self->mem, LEN, MADV_DONTDUMP));
	EXPECT_EQ(0, ptf_wrong(self->mem, LEN, SEED));
}

TEST_F_TIMEOUT(stash, collapse, 60)
{
	struct ptf_ioc_range_advise cmd;
	char *p;
	int ret;

	p = mmap(NULL, 2 * HPAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, p);
	p = (char *)(((uintptr_t)p + HPAGE - 1) & ~(HPAGE - 1));
	madvise(p, HPAGE, MADV_NOHUGEPAGE);
	ptf_fill(p, HPAGE, SEED);
	/* Only then: khugepaged is awake at once, and may be first. */
	take(p + PAGES(7), PAGES(3));
	madvise(p, HPAGE, MADV_HUGEPAGE);
	ret = madvise(p, HPAGE, MADV_COLLAPSE);
	if (ret)
		EXPECT_TRUE(errno == EINVAL || errno == EAGAIN || errno == EBUSY ||
			    errno == ENOMEM) {
			TH_LOG("%s", strerror(errno));
		}
	EXPECT_EQ(0, ptf_wrong(p, HPAGE, SEED));
	EXPECT_EQ(0, held_now(self->fd));
	/* All of it. */
	if (count_state(self->fd, 0, p, HPAGE, PTF_STATE_PRESENT) == 512 && ret) {
		madvise(p, HPAGE, MADV_NOHUGEPAGE);
		if (_test_cmd_range_advise(self->fd, &cmd, 0, PTF_ADV_STASH, p, HPAGE, 0))
			/* khugepaged was first */
			EXPECT_EQ(HPAGE / PAGE, cmd.out_skipped_pages[PTF_SKIP_THP]);
		madvise(p, HPAGE, MADV_HUGEPAGE);
		madvise(p, HPAGE, MADV_COLLAPSE);
		EXPECT_EQ(0, ptf_wrong(p, HPAGE, SEED));
	}
	/* And nothing stands in the way once it is back. */
	if (madvise(p, HPAGE, MADV_COLLAPSE))
		SKIP(return, "MADV_COLLAPSE fails here also without a stash");
	EXPECT_EQ(0, ptf_wrong(p, HPAGE, SEED));
}

TEST_F(stash, mlock)
{
	struct ptf_ioc_range_advise cmd;

	take(self->mem, LEN);
	ASSERT_EQ(0, mlock(self->mem, LEN));
	EXPECT_EQ(0, stashed(self->mem, LEN));
	EXPECT_EQ(0, ptf_wrong(self->mem, LEN, SEED));
	/* mlocked memory is served. */
	take(self->mem, LEN);
	EXPECT_EQ(0, ptf_wrong(self->mem, LEN, SEED));
	take(self->mem, LEN);
	ASSERT_EQ(0, munlock(self->mem, LEN));
	EXPECT_EQ(0, ptf_wrong(self->mem, LEN, SEED));
	ASSERT_EQ(0, mlockall(MCL_CURRENT));
	test_cmd_range_advise(&cmd, 0, PTF_ADV_STASH, self->mem, LEN, 0);
	ASSERT_EQ(0, munlockall());
	EXPECT_EQ(0, ptf_wrong(self->mem, LEN, SEED));
}

TEST_F(stash, guard)
{
	int i;

	take(self->mem, LEN);
	if (madvise(self->mem + PAGES(8), PAGES(8), MADV_GUARD_INSTALL)) {
		EXPECT_EQ(EINVAL, errno);
		EXPECT_EQ(0, ptf_wrong(self->mem, LEN, SEED));
		SKIP(return, "no MADV_GUARD_INSTALL in this kernel");
	}
	EXPECT_EQ(NR - 8, stashed(self->mem, LEN));
	EXPECT_EQ(NR - 8, held_now(self->fd));
	EXPECT_EQ(8, count_state(self->fd, 0, self->mem, LEN, PTF_STATE_GUARD));
	ASSERT_EQ(0, madvise(self->mem + PAGES(8), PAGES(8), MADV_GUARD_REMOVE));
	for (i = 8; i < 16; i++) {
		EXPECT_EQ(0, ptf_touch(self->mem + PAGES(i)));
		ptf_fill_page(self->mem + PAGES(i), SEED, i);
	}
	EXPECT_EQ(0, ptf_wrong(self->mem, LEN, SEED));
}

TEST_F_TIMEOUT(stash, ksm, 120)
{
	static const char run[] = "/sys/kernel/mm/ksm/run";
	struct ptf_ioc_range_advise cmd;
	unsigned int i, n = ptf_rounds(2000);
	double t = ptf_seconds();
	char *p, *q;

	if (access(run, W_OK))
		SKIP(return, "no KSM in this kernel");
	p = ptf_anon(LEN);
	q = ptf_anon(LEN);
	ptf_fill(p, LEN, SEED);
	ptf_fill(q, LEN, SEED);
	ASSERT_EQ(0, madvise(p, LEN, MADV_MERGEABLE));
	ASSERT_EQ(0, madvise(q, LEN, MADV_MERGEABLE));
	ptf_write_file("/sys/kernel/mm/ksm/pages_to_scan", "2000");
	ptf_write_file("/sys/kernel/mm/ksm/sleep_millisecs", "1");
	ASSERT_EQ(0, ptf_write_file(run, "1"));
	for (i = 0; i < n && ptf_seconds() - t < 20 * ptf_env("PTF_SLOW", 1); i++) {
		size_t at = PAGES((i * 7) % (NR - 8));

		_test_cmd_range_advise(self->fd, &cmd, 0, PTF_ADV_STASH, p + at, PAGES(8), 0);
		if (i % 5 == 0)
			usleep(1000);
		EXPECT_EQ(0, ptf_wrong(p, LEN, SEED));
		/* Break what was merged. */
		if (i % 3 == 0)
			ptf_fill(p, LEN, SEED);
	}
	EXPECT_EQ(0, ptf_wrong(q, LEN, SEED));
	_test_cmd_range_advise(self->fd, &cmd, 0, PTF_ADV_STASH, p, LEN, 0);
	EXPECT_EQ(0, ptf_write_file(run, "2"));
	EXPECT_EQ(0, ptf_wrong(p, LEN, SEED));
	EXPECT_EQ(0, ptf_wrong(q, LEN, SEED));
	ptf_write_file(run, "0");
}

/* ------------------------------------------------------------------ */
/* Files                                                               */

static void on_files(struct __test_metadata *_metadata, int dev, const char *dir)
{
	int file = ptf_file_in(dir, LEN, SEED), i;
	char *s, *p, buf[PAGE];
	long min0;

	FIXTURE_DATA(stash) data = { .fd = dev }, *self = &data;

	ASSERT_LE(0, file);
	s = mmap(NULL, LEN, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
	ASSERT_NE(MAP_FAILED, s);
	p = mmap(NULL, LEN, PROT_READ | PROT_WRITE, MAP_PRIVATE, file, 0);
	ASSERT_NE(MAP_FAILED, p);
	EXPECT_EQ(0, ptf_wrong(s, LEN, SEED));
	EXPECT_EQ(0, ptf_wrong(p, LEN, SEED));

	/* A neighbour's fault-around does not fill the place. */
	take(s, LEN);
	take(p, LEN);
	test_cmd_advise_all(PTF_ADV_PRESENT, s, PAGES(4));
	ASSERT_EQ(0, madvise(s, PAGES(4), MADV_DONTNEED));
	ptf_touch(s);
	EXPECT_EQ(NR - 4, stashed(s, LEN));
	min0 = ptf_minflt();
	for (i = 16; i < NR; i++)
		ptf_touch(s + PAGES(i));
	EXPECT_EQ(min0 + NR - 16, ptf_minflt());
	EXPECT_EQ(0, ptf_wrong(s, LEN, SEED));
	EXPECT_EQ(NR, stashed(p, LEN));
	EXPECT_EQ(0, ptf_wrong(p, LEN, SEED));

	/* A private copy of its own, neighbours still of the file. */
	ptf_fill_page(p + PAGES(5), SEED + 5, 5);
	take(p + PAGES(5), PAGE);
	ASSERT_EQ(0, madvise(p, PAGES(5), MADV_DONTNEED));
	ASSERT_EQ(0, madvise(p + PAGES(6), PAGES(10), MADV_DONTNEED));
	ptf_touch(p + PAGES(4));
	ptf_touch(p + PAGES(6));
	EXPECT_EQ(1, stashed(p, LEN));
	ptf_fill_page(buf, SEED + 5, 5);
	EXPECT_EQ(0, memcmp(buf, p + PAGES(5), PAGE));

	/* What others write shows, before and after. */
	take(s, LEN);
	ptf_fill_page(buf, SEED, 9);
	buf[100] ^= 0x55;
	ASSERT_EQ(PAGE, pwrite(file, buf, PAGE, PAGES(9)));
	EXPECT_EQ(0, memcmp(buf, s + PAGES(9), PAGE));
	buf[100] ^= 0x55;
	ptf_fill(s, LEN, SEED);
	take(s, LEN);
	ASSERT_EQ(PAGE, pread(file, buf, PAGE, PAGES(11)));
	EXPECT_EQ(ptf_word(SEED, 11, 3), ((__u64 *)buf)[3]);

	/* Dirty pages, stashed, written back, dropped and read again. */
	ptf_fill(s, LEN, SEED + 1);
	take(s, LEN);
	EXPECT_EQ(0, msync(s, LEN, MS_SYNC));
	EXPECT_EQ(0, fsync(file));
	EXPECT_EQ(0, ptf_wrong(s, LEN, SEED + 1));
	take(s, LEN);
	ptf_fill_page(s + PAGES(2), SEED + 2, 2);
	fsync(file);
	ptf_write_file("/proc/sys/vm/drop_caches", "3");
	ptf_fill_page(s + PAGES(2), SEED + 1, 2);
	EXPECT_EQ(0, ptf_wrong(s, LEN, SEED + 1));
	/* Written after the write-back: dirty again, and it lands in the file. */
	fsync(file);
	take(s, LEN);
	ptf_fill(s, LEN, SEED + 3);
	munmap(s, LEN);
	fsync(file);
	ptf_write_file("/proc/sys/vm/drop_caches", "3");
	s = mmap(NULL, LEN, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
	ASSERT_NE(MAP_FAILED, s);
	EXPECT_EQ(0, ptf_wrong(s, LEN, SEED + 3));

	/* Truncated, and grown again: zeros, in the copy too. */
	take(s, LEN);
	test_cmd_advise_all(PTF_ADV_STASH, p + PAGES(5), PAGE);
	ASSERT_EQ(0, ftruncate(file, PAGES(3)));
	EXPECT_EQ(3, stashed(s, LEN));
	ASSERT_EQ(0, ftruncate(file, LEN));
	EXPECT_EQ(0, ptf_wrong(s, PAGES(3), SEED + 3));
	for (i = 3; i < NR; i++)
		EXPECT_EQ(0, ptf_touch(s + PAGES(i)));
	EXPECT_EQ(0, ptf_touch(p + PAGES(5)));
	ptf_fill(s, LEN, SEED);
	take(s, LEN);
	if (!fallocate(file, 3 /* PUNCH_HOLE | KEEP_SIZE */, PAGES(10), PAGES(10))) {
		EXPECT_EQ(NR - 10, stashed(s, LEN));
		for (i = 10; i < 20; i++) {
			EXPECT_EQ(0, ptf_touch(s + PAGES(i)));
			ptf_fill_page(s + PAGES(i), SEED, i);
		}
	}
	EXPECT_EQ(0, ptf_wrong(s, LEN, SEED));
	munmap(s, LEN);
	munmap(p, LEN);
	close(file);
}

TEST_F_TIMEOUT(stash, file_tmpfs, 60)
{
	on_files(_metadata, self->fd, PTF_SHM);
}

TEST_F_TIMEOUT(stash, file_ext4, 60)
{
	if (!ptf_is_fs(PTF_SCRATCH, PTF_EXT4_MAGIC))
		SKIP(return, PTF_SCRATCH " is not ext4");
	on_files(_metadata, self->fd, PTF_SCRATCH);
}

TEST_F(stash, o_direct)
{
	char path[] = PTF_SCRATCH "/ptf-direct-XXXXXX";
	int fd, i;

	if (!ptf_is_fs(PTF_SCRATCH, PTF_EXT4_MAGIC))
		SKIP(return, PTF_SCRATCH " is not ext4");
	fd = mkostemp(path, O_CLOEXEC | O_DIRECT);
	ASSERT_LE(0, fd);
	unlink(path);
	for (i = 0; i < 5; i++) {
		take(self->mem, LEN);
		ASSERT_EQ(LEN, pwrite(fd, self->mem, LEN, 0));
		EXPECT_EQ(0, ptf_wrong(self->mem, LEN, SEED));
		/* Into pages that hold something else, stashed. */
		ptf_fill(self->mem, LEN, SEED + 1);
		take(self->mem, LEN);
		ASSERT_EQ(LEN, pread(fd, self->mem, LEN, 0));
		EXPECT_EQ(0, ptf_wrong(self->mem, LEN, SEED));
	}
	close(fd);
}

/* ------------------------------------------------------------------ */
/* Kernel-mode users of the page                                       */

TEST_F(stash, kernel_users)
{
	struct iovec l, r = { self->mem, LEN };
	struct ptf_ioc_range_query q;
	char *buf = ptf_anon(LEN);
	int i, mem, pipefd[2];

	l = (struct iovec){ buf, LEN };
	for (i = 0; i < 3; i++) {
		ptf_fill(buf, LEN, 1);
		take(self->mem, LEN);
		ASSERT_EQ(LEN, process_vm_readv(getpid(), &l, 1, &r, 1, 0));
		EXPECT_EQ(0, stashed(self->mem, LEN));
		EXPECT_EQ(0, ptf_wrong(buf, LEN, SEED));
		ptf_fill(buf, LEN, SEED + i + 1);
		take(self->mem, LEN);
		ASSERT_EQ(LEN, process_vm_writev(getpid(), &l, 1, &r, 1, 0));
		EXPECT_EQ(0, ptf_wrong(self->mem, LEN, SEED + i + 1));
		ptf_fill(self->mem, LEN, SEED);
	}
	mem = open("/proc/self/mem", O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, mem);
	take(self->mem, LEN);
	ASSERT_EQ(LEN, pread(mem, buf, LEN, u64ptr(self->mem)));
	EXPECT_EQ(0, ptf_wrong(buf, LEN, SEED));
	ptf_fill(buf, LEN, SEED + 9);
	take(self->mem, LEN);
	ASSERT_EQ(LEN, pwrite(mem, buf, LEN, u64ptr(self->mem)));
	EXPECT_EQ(0, ptf_wrong(self->mem, LEN, SEED + 9));
	close(mem);
	/* copy_from_user, copy_to_user, and pages given to a pipe. */
	ASSERT_EQ(0, pipe2(pipefd, O_CLOEXEC));
	for (i = 0; i < 8; i++) {
		take(self->mem + PAGES(i), PAGE);
		ASSERT_EQ(PAGE, write(pipefd[1], self->mem + PAGES(i), PAGE));
		take(self->mem + PAGES(i + 8), PAGE);
		ASSERT_EQ(PAGE, read(pipefd[0], self->mem + PAGES(i + 8), PAGE));
		EXPECT_EQ(0, memcmp(self->mem + PAGES(i), self->mem + PAGES(i + 8), PAGE));
		take(self->mem + PAGES(i), PAGE);
		r = (struct iovec){ self->mem + PAGES(i), PAGE };
		ASSERT_EQ(PAGE, vmsplice(pipefd[1], &r, 1, 0));
		EXPECT_EQ(0, stashed(self->mem, LEN));
		ASSERT_EQ(PAGE, read(pipefd[0], buf, PAGE));
		EXPECT_EQ(0, memcmp(self->mem + PAGES(i), buf, PAGE));
	}
	/* A result of our own commands, written into a stashed page. */
	ptf_fill(self->mem, LEN, SEED);
	take(self->mem, LEN);
	test_cmd_range_query(&q, 0, self->mem + PAGES(8), PAGES(4), PTF_QUERY_F_PAGES,
			     (struct ptf_row *)self->mem, 4);
	EXPECT_EQ(4, q.out_rows);
	EXPECT_EQ(PTF_STATE_STASHED, ((struct ptf_row *)self->mem)->state);
	EXPECT_EQ(NR - 1, stashed(self->mem, LEN));
}

TEST_F(stash, ptrace_and_mincore)
{
	unsigned char vec[NR];
	pid_t pid;
	__u32 t;
	int i;

	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		ptrace(PTRACE_TRACEME, 0, 0, 0);
		raise(SIGSTOP);
		_exit(check_only(self->mem));
	}
	waitpid(pid, &i, WUNTRACED);
	test_cmd_target_open(pid, &t);
	test_cmd_advise_target_all(t, PTF_ADV_STASH, self->mem, LEN);
	for (i = 0; i < NR; i++)
		EXPECT_EQ(ptf_word(SEED, i, 7),
			  ptrace(PTRACE_PEEKDATA, pid, self->mem + PAGES(i) + 56, 0));
	test_cmd_advise_target_all(t, PTF_ADV_STASH, self->mem, LEN);
	for (i = 0; i < NR; i++)
		EXPECT_EQ(0, ptrace(PTRACE_POKEDATA, pid, self->mem + PAGES(i) + 56,
				    ptf_word(SEED, i, 7)));
	ptrace(PTRACE_CONT, pid, 0, 0);
	EXPECT_EQ(0, ptf_wait(pid));
	/* Looking does not touch. */
	take(self->mem, LEN);
	EXPECT_EQ(0, mincore(self->mem, LEN, vec));
	EXPECT_LE(0, ptf_status_kb(getpid(), "VmRSS"));
	ptf_pagemap(getpid(), self->mem);
	ptf_read_ulong("/proc/self/smaps_rollup", 0);
	EXPECT_EQ(NR, stashed(self->mem, LEN));
	EXPECT_EQ(0, ptf_wrong(self->mem, LEN, SEED));
}

/* Soft-dirty tracking sees the write to a page that was stashed. */
TEST_F(stash, soft_dirty)
{
	char was;

	take(self->mem, LEN);
	if (ptf_write_file("/proc/self/clear_refs", "4"))
		SKIP(return, "no soft-dirty bits in this kernel");
	EXPECT_EQ(0, ptf_wrong(self->mem, LEN, SEED));
	EXPECT_EQ(0, ptf_pagemap(getpid(), self->mem) >> 55 & 1);
	take(self->mem, LEN);
	was = *self->mem;
	ptf_store(self->mem, was);
	EXPECT_EQ(1, ptf_pagemap(getpid(), self->mem) >> 55 & 1);
	EXPECT_EQ(0, ptf_pagemap(getpid(), self->mem + PAGE) >> 55 & 1);
	EXPECT_EQ(0, ptf_wrong(self->mem, LEN, SEED));
	take(self->mem, LEN);
	ptf_write_file("/proc/self/clear_refs", "1");
	EXPECT_EQ(0, ptf_wrong(self->mem, LEN, SEED));
}

TEST_F(stash, core_dump)
{
	struct rlimit rl = { RLIM_INFINITY, RLIM_INFINITY };
	char was[256] = "", dir[] = "/tmp/ptf-core-XXXXXX", path[300], *buf;
	bool found = false;
	size_t n, got = 0;
	pid_t pid;
	FILE *f;

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
		struct ptf_ioc_range_advise cmd;
		int fd = open(PTF_DEV, O_RDWR);

		setrlimit(RLIMIT_CORE, &rl);
		prctl(PR_SET_DUMPABLE, 1);
		if (_test_cmd_range_advise(fd, &cmd, 0, PTF_ADV_STASH, self->mem, LEN, 0) ||
		    cmd.out_done_pages != NR)
			_exit(1);
		kill(getpid(), SIGQUIT);
		_exit(2);
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

/* ------------------------------------------------------------------ */
/* userfaultfd                                                         */

static int uffd_open(__u64 features)
{
	struct uffdio_api api = { .api = UFFD_API, .features = features };
	int uffd = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);

	if (uffd >= 0 && ioctl(uffd, UFFDIO_API, &api)) {
		close(uffd);
		return -1;
	}
	return uffd;
}

static int uffd_register(int uffd, void *addr, size_t len, __u64 mode)
{
	struct uffdio_register r = {
		.range = { u64ptr(addr), len },
		.mode = mode,
	};

	return ioctl(uffd, UFFDIO_REGISTER, &r);
}

TEST_F_TIMEOUT(stash, userfaultfd_missing, 60)
{
	struct uffdio_zeropage z = { };
	struct uffdio_copy c = { };
	int uffd = uffd_open(0), i;
	char *src = ptf_anon(PAGE);

	if (uffd < 0)
		SKIP(return, "no userfaultfd");
	ptf_fill_page(src, SEED + 7, 0);
	for (i = 0; i < 2; i++) {
		/* Registered before and after it was taken. */
		if (i)
			ASSERT_EQ(0, uffd_register(uffd, self->mem, LEN,
						   UFFDIO_REGISTER_MODE_MISSING));
		take(self->mem, LEN);
		if (!i)
			ASSERT_EQ(0, uffd_register(uffd, self->mem, LEN,
						   UFFDIO_REGISTER_MODE_MISSING));
		/* The place is taken. */
		c.dst = u64ptr(self->mem + PAGES(4));
		c.src = u64ptr(src);
		c.len = PAGE;
		EXPECT_EQ(-1, ioctl(uffd, UFFDIO_COPY, &c));
		EXPECT_EQ(EEXIST, errno);
		z.range.start = u64ptr(self->mem + PAGES(5));
		z.range.len = PAGE;
		EXPECT_EQ(-1, ioctl(uffd, UFFDIO_ZEROPAGE, &z));
		EXPECT_EQ(EEXIST, errno);
		EXPECT_EQ(NR, stashed(self->mem, LEN));
		/* Not missing: nobody has to answer. */
		EXPECT_EQ(0, ptf_wrong(self->mem, LEN, SEED));
	}
	/* Dropped while stashed: missing now, and filled by the monitor. */
	take(self->mem, LEN);
	ASSERT_EQ(0, madvise(self->mem + PAGES(4), PAGE, MADV_DONTNEED));
	c.copy = 0;
	EXPECT_EQ(0, ioctl(uffd, UFFDIO_COPY, &c));
	EXPECT_EQ(0, memcmp(src, self->mem + PAGES(4), PAGE));
	ptf_fill_page(self->mem + PAGES(4), SEED, 4);
	EXPECT_EQ(0, ptf_wrong(self->mem, LEN, SEED));
	take(self->mem, LEN);
	close(uffd);
	EXPECT_EQ(0, ptf_wrong(self->mem, LEN, SEED));
}

struct wp_monitor {
	int uffd;
	volatile unsigned int events;
	volatile int stop;
	int forked;
};

static void *wp_answer(void *arg)
{
	struct wp_monitor *m = arg;
	struct uffd_msg msg;

	while (!m->stop) {
		struct uffdio_writeprotect wp = { };

		if (read(m->uffd, &msg, sizeof(msg)) != sizeof(msg)) {
			usleep(500);
			continue;
		}
		if (msg.event == UFFD_EVENT_FORK) {
			m->forked = msg.arg.fork.ufd;
			m->events++;
			continue;
		}
		if (msg.event != UFFD_EVENT_PAGEFAULT)
			continue;
		wp.range.start = msg.arg.pagefault.address & ~(PAGE - 1);
		wp.range.len = PAGE;
		m->events++;
		ioctl(m->uffd, UFFDIO_WRITEPROTECT, &wp);
	}
	return NULL;
}

TEST_F_TIMEOUT(stash, userfaultfd_wp, 60)
{
	struct uffdio_writeprotect wp = { .mode = UFFDIO_WRITEPROTECT_MODE_WP };
	struct wp_monitor m = { .uffd = uffd_open(0) };
	pthread_t th;
	int i;

	if (m.uffd < 0)
		SKIP(return, "no userfaultfd");
	if (uffd_register(m.uffd, self->mem, LEN, UFFDIO_REGISTER_MODE_WP))
		SKIP(return, "no write protection by userfaultfd");
	wp.range.start = u64ptr(self->mem);
	wp.range.len = LEN;
	ASSERT_EQ(0, pthread_create(&th, NULL, wp_answer, &m));
	for (i = 0; i < 3; i++) {
		unsigned int was = m.events;

		/* Protected while it is away, and taken while it is protected. */
		if (i != 1)
			take(self->mem, LEN);
		ASSERT_EQ(0, ioctl(m.uffd, UFFDIO_WRITEPROTECT, &wp));
		if (i)
			take(self->mem, LEN);
		/* Reads are no writes. */
		EXPECT_EQ(0, ptf_wrong(self->mem, LEN, SEED));
		EXPECT_EQ(was, m.events);
		ptf_fill(self->mem, LEN, SEED);
		EXPECT_EQ(was + NR, m.events);
		EXPECT_EQ(0, ptf_wrong(self->mem, LEN, SEED));
	}
	m.stop = 1;
	pthread_join(th, NULL);
}

/*
 * fork copies the entries of a shared mapping that userfaultfd write-protects
 * and follows over forks, registered after its pages were taken.
 */
TEST_F_TIMEOUT(stash, userfaultfd_fork, 60)
{
	struct wp_monitor m = {
		.uffd = uffd_open(UFFD_FEATURE_EVENT_FORK | UFFD_FEATURE_WP_HUGETLBFS_SHMEM),
	};
	char *p = ptf_shared(LEN);
	pthread_t th;
	pid_t pid;

	if (m.uffd < 0)
		SKIP(return, "no write protection of shared memory by userfaultfd");
	ASSERT_NE(NULL, p);
	ptf_fill(p, LEN, SEED);
	take(p, LEN);
	if (uffd_register(m.uffd, p, LEN, UFFDIO_REGISTER_MODE_WP))
		SKIP(return, "userfaultfd does not write-protect shared memory");
	ASSERT_EQ(0, pthread_create(&th, NULL, wp_answer, &m));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		prctl(PR_SET_DUMPABLE, 0);
		_exit(check_only(p));
	}
	EXPECT_EQ(0, ptf_wait(pid));
	EXPECT_EQ(1, m.events);
	m.stop = 1;
	pthread_join(th, NULL);
	EXPECT_EQ(0, ptf_wrong(p, LEN, SEED));
}

/* ------------------------------------------------------------------ */
/* Threads against the stasher                                         */

struct crowd {
	char *mem;
	volatile int stop;
	unsigned long bad;
	unsigned long writes;
};

static void *crowd_reader(void *arg)
{
	struct crowd *c = arg;
	unsigned long bad = 0;
	int i;

	while (!c->stop)
		for (i = 0; i < NR; i++) {
			const volatile __u64 *p = (void *)(c->mem + PAGES(i));

			if (p[1] != ptf_word(SEED, i, 1) || p[300] != ptf_word(SEED, i, 300))
				bad++;
		}
	__atomic_add_fetch(&c->bad, bad, __ATOMIC_RELAXED);
	return NULL;
}

/* Counts in the first word of each page; not one may be lost. */
static void *crowd_writer(void *arg)
{
	struct crowd *c = arg;
	unsigned long n = 0;
	int i;

	while (!c->stop) {
		for (i = 0; i < NR; i++)
			(*(volatile __u64 *)(c->mem + PAGES(i)))++;
		n++;
	}
	c->writes = n;
	return NULL;
}

static void run_crowd(struct __test_metadata *_metadata, int fd, char *mem)
{
	struct ptf_ioc_range_advise cmd;
	unsigned int i, n = ptf_rounds(5500), seed = 12;
	struct crowd c = { .mem = mem };
	unsigned long total = 0;
	pthread_t th[4];
	int w;

	for (i = 0; i < NR; i++)
		*(__u64 *)(c.mem + PAGES(i)) = 0;
	for (w = 0; w < 3; w++)
		ASSERT_EQ(0, pthread_create(&th[w], NULL, crowd_reader, &c));
	ASSERT_EQ(0, pthread_create(&th[3], NULL, crowd_writer, &c));
	for (i = 0; i < n; i++) {
		size_t at = rand_r(&seed) % NR, len = 1 + rand_r(&seed) % (NR - at);

		if (!_test_cmd_range_advise(fd, &cmd, 0, PTF_ADV_STASH, c.mem + PAGES(at),
					    PAGES(len), 0))
			total += cmd.out_done_pages;
		else
			EXPECT_EQ(EBUSY, errno);
		if (i % 16 == 0)
			_test_cmd_range_advise(fd, &cmd, 0, PTF_ADV_PRESENT, c.mem, LEN, 0);
		if (i % 16 == 8)
			_test_cmd_range_advise(fd, &cmd, 0, PTF_ADV_RESET, c.mem, LEN, 0);
	}
	c.stop = 1;
	for (w = 0; w < 4; w++)
		pthread_join(th[w], NULL);
	EXPECT_EQ(0, c.bad);
	EXPECT_LT(n, total);
	for (i = 0; i < NR; i++)
		EXPECT_EQ(c.writes, *(__u64 *)(c.mem + PAGES(i)));
}

TEST_F_TIMEOUT(stash, three_readers_one_writer, 120)
{
	run_crowd(_metadata, self->fd, self->mem);
}

TEST_F_TIMEOUT(stash, three_readers_shared, 120)
{
	char *p = ptf_shared(LEN);

	ptf_fill(p, LEN, SEED);
	run_crowd(_metadata, self->fd, p);
}

/* The stasher against calls that change the range all the time. */
static void *crowd_stasher(void *arg)
{
	struct crowd *c = arg;
	struct ptf_ioc_range_advise cmd;
	int fd = open(PTF_DEV, O_RDWR | O_CLOEXEC);
	unsigned int n = 0;

	while (!c->stop) {
		if (!_test_cmd_range_advise(fd, &cmd, 0, PTF_ADV_STASH, c->mem, LEN, 0))
			c->writes += cmd.out_done_pages;
		if (++n % 64 == 0) {
			close(fd);
			fd = open(PTF_DEV, O_RDWR | O_CLOEXEC);
		}
	}
	close(fd);
	return NULL;
}

TEST_F_TIMEOUT(stash, under_busy_mm, 120)
{
	struct crowd c = { .mem = self->mem };
	unsigned int i, n = ptf_rounds(300);
	pthread_t th;
	char *p;

	ASSERT_EQ(0, pthread_create(&th, NULL, crowd_stasher, &c));
	for (i = 0; i < n; i++) {
		ASSERT_EQ(0, mprotect(self->mem + PAGES(8), PAGES(8), PROT_READ));
		EXPECT_EQ(0, ptf_wrong(self->mem, LEN, SEED));
		ASSERT_EQ(0, mprotect(self->mem + PAGES(8), PAGES(8), PROT_READ | PROT_WRITE));
		ptf_fill(self->mem, LEN, SEED);
		EXPECT_EQ(0, ptf_wait(ptf_child(check_and_write, self->mem)));
		EXPECT_EQ(0, ptf_wrong(self->mem, LEN, SEED));
		madvise(self->mem, LEN, MADV_PAGEOUT);
		/* Away and back to the same place. */
		p = mremap(self->mem, LEN, LEN, MREMAP_MAYMOVE | MREMAP_FIXED,
			   ptf_hole(2 * LEN));
		ASSERT_NE(MAP_FAILED, p);
		EXPECT_EQ(0, ptf_wrong(p, LEN, SEED));
		ASSERT_EQ(self->mem, mremap(p, LEN, LEN, MREMAP_MAYMOVE | MREMAP_FIXED,
					    self->mem));
		EXPECT_EQ(0, ptf_wrong(self->mem, LEN, SEED));
	}
	c.stop = 1;
	pthread_join(th, NULL);
	EXPECT_LT(0, c.writes);
	EXPECT_EQ(0, ptf_wrong(self->mem, LEN, SEED));
}

/* ------------------------------------------------------------------ */
/* Random rounds                                                       */

#define RNR	48
#define RLEN	PAGES(RNR)

enum { R_ANON, R_SHARED, R_PRIVATE, R_KINDS };

/* What each page of a region holds by rights: a generation, 0 is zeros. */
struct region {
	int kind;
	char *p;
	unsigned int gen[RNR], file[RNR];
};

static bool page_is(const char *page, unsigned int gen, unsigned int nr, bool all)
{
	static const unsigned short spot[] = { 0, 511, 77, 256 };
	const volatile __u64 *w = (const void *)page;
	unsigned int i, at;

	for (i = 0; i < (all ? 512 : ARRAY_SIZE(spot)); i++) {
		at = all ? i : spot[i];
		if (w[at] != (gen ? ptf_word(gen, nr, at) : 0))
			return false;
	}
	return true;
}

static int region_wrong(struct region *r, bool all)
{
	unsigned int i;

	for (i = 0; i < RNR; i++)
		if (!page_is(r->p + PAGES(i), r->gen[i], i, all))
			return i;
	return -1;
}

struct random_run {
	int fd, other, mem, memfd;
	unsigned int seed, gen;
	struct region r[R_KINDS];
	const char *what;
	char *buf;
};

static int check_region(void *arg)
{
	return region_wrong(arg, false) >= 0;
}

/* One operation on some pages of a region; false if it failed. */
static bool random_op(struct random_run *run, struct region *r)
{
	unsigned int at = rand_r(&run->seed) % RNR, i;
	unsigned int nr = 1 + rand_r(&run->seed) % (RNR - at);
	char *p = r->p + PAGES(at), *to;
	size_t len = PAGES(nr);
	struct ptf_ioc_range_advise cmd;
	struct iovec l = { run->buf, len }, rem = { p, len };

#define OP(name) (run->what = (name))
	switch (rand_r(&run->seed) % 22) {
	case 0:
		OP("store");
		run->gen++;
		for (i = 0; i < nr; i++)
			ptf_fill_page(p + PAGES(i), run->gen, at + i);
		break;
	case 1:
		OP("process_vm_writev");
		run->gen++;
		for (i = 0; i < nr; i++)
			ptf_fill_page(run->buf + PAGES(i), run->gen, at + i);
		if (process_vm_writev(getpid(), &l, 1, &rem, 1, 0) != len)
			return false;
		break;
	case 2:
		OP("/proc/self/mem");
		run->gen++;
		for (i = 0; i < nr; i++)
			ptf_fill_page(run->buf + PAGES(i), run->gen, at + i);
		if (pwrite(run->mem, run->buf, len, u64ptr(p)) != len)
			return false;
		break;
	case 3:
		OP("process_vm_readv");
		if (process_vm_readv(getpid(), &l, 1, &rem, 1, 0) != len)
			return false;
		for (i = 0; i < nr; i++)
			if (!page_is(run->buf + PAGES(i), r->gen[at + i], at + i, false))
				return false;
		return true;
	case 4:
		OP("pread into it");
		for (i = 0; i < nr; i++)
			ptf_fill_page(run->buf + PAGES(i), run->gen + 1, at + i);
		run->gen++;
		if (pwrite(run->memfd, run->buf, len, 0) != len ||
		    pread(run->memfd, p, len, 0) != len)
			return false;
		break;
	case 5:
		OP("write from it");
		if (pwrite(run->memfd, p, len, 0) != len ||
		    pread(run->memfd, run->buf, len, 0) != len)
			return false;
		for (i = 0; i < nr; i++)
			if (!page_is(run->buf + PAGES(i), r->gen[at + i], at + i, false))
				return false;
		return true;
	case 6:
		OP("fork");
		return !ptf_wait(ptf_child(check_region, r));
	case 7:
		OP("mprotect");
		return !mprotect(p, len, PROT_READ) && region_wrong(r, false) < 0 &&
		       !mprotect(p, len, PROT_READ | PROT_WRITE);
	case 8:
		OP("mprotect to none");
		return !mprotect(p, len, PROT_NONE) &&
		       !mprotect(p, len, PROT_READ | PROT_WRITE);
	case 9:
		OP("mremap");
		to = mmap(NULL, RLEN, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		to = mremap(r->p, RLEN, RLEN, MREMAP_MAYMOVE | MREMAP_FIXED, to);
		if (to == MAP_FAILED)
			return false;
		r->p = to;
		return true;
	case 10:
		OP("DONTNEED");
		for (i = at; i < at + nr; i++) {
			if (r->kind == R_ANON)
				r->gen[i] = 0;
			else if (r->kind == R_PRIVATE)
				r->gen[i] = r->file[i];
		}
		return !madvise(p, len, MADV_DONTNEED);
	case 11:
		OP("PAGEOUT");
		return !madvise(p, len, MADV_PAGEOUT);
	case 12:
		OP("COLD");
		return !madvise(p, len, MADV_COLD);
	case 13:
		OP("mlock");
		return !mlock(p, len) && !munlock(p, len);
	case 14:
		OP("PRESENT");
		return !_test_cmd_range_advise(run->fd, &cmd, 0, PTF_ADV_PRESENT, p, len, 0) ||
		       errno == ENODATA || errno == EBUSY;
	case 15:
		OP("NOTPRESENT");
		return !_test_cmd_range_advise(run->fd, &cmd, 0, PTF_ADV_NOTPRESENT, p, len,
					       rand_r(&run->seed) & PTF_ADVISE_F_GUP) ||
		       errno == ENODATA || errno == EBUSY || errno == EOPNOTSUPP;
	case 16:
		OP("RESET");
		return !_test_cmd_range_advise(run->fd, &cmd, 0, PTF_ADV_RESET, p, len, 0);
	case 17:
		OP("another session");
		return !_test_cmd_range_advise(run->other, &cmd, 0, PTF_ADV_STASH, p, len, 0) ||
		       errno == ENODATA || errno == EBUSY || errno == EOPNOTSUPP;
	case 18:
		OP("close");
		close(run->fd);
		run->fd = run->other;
		run->other = open(PTF_DEV, O_RDWR | O_CLOEXEC);
		return run->other >= 0;
	case 19:
		OP("STRICT");
		return !_test_cmd_range_advise(run->fd, &cmd, 0, PTF_ADV_STASH, p, len,
					       PTF_ADVISE_F_STRICT) ||
		       errno == ENODATA || errno == EBUSY || errno == EOPNOTSUPP;
	case 20:
		OP("load");
		for (i = 0; i < nr; i++)
			ptf_touch(p + PAGES(i));
		return true;
	default:
		OP("POPULATE");
		return !madvise(p, len, MADV_POPULATE_READ);
	}
	for (i = at; i < at + nr; i++) {
		r->gen[i] = run->gen;
		if (r->kind == R_SHARED)
			r->file[i] = run->gen;
	}
	return true;
}

TEST_F_TIMEOUT(stash, random_rounds, 600)
{
	unsigned long n = ptf_rounds(10000), i, seed = ptf_env("PTF_SEED", 1), done = 0;
	struct random_run run = { .seed = seed, .gen = 1, .fd = self->fd };
	struct ptf_ioc_range_advise cmd;
	int bad = -1, k, file[R_KINDS];

	run.other = open(PTF_DEV, O_RDWR | O_CLOEXEC);
	run.mem = open("/proc/self/mem", O_RDWR | O_CLOEXEC);
	run.memfd = memfd_create("buffer", MFD_CLOEXEC);
	run.buf = ptf_anon(RLEN);
	ASSERT_EQ(0, ftruncate(run.memfd, RLEN));
	for (k = 0; k < R_KINDS; k++) {
		struct region *r = &run.r[k];

		r->kind = k;
		file[k] = ptf_file_in(PTF_SHM, RLEN, 1);
		ASSERT_LE(0, file[k]);
		r->p = k == R_ANON ? ptf_anon(RLEN) :
			mmap(NULL, RLEN, PROT_READ | PROT_WRITE,
			     k == R_SHARED ? MAP_SHARED : MAP_PRIVATE, file[k], 0);
		ASSERT_NE(MAP_FAILED, r->p);
		ptf_fill(r->p, RLEN, 1);
		for (i = 0; i < RNR; i++) {
			r->gen[i] = 1;
			r->file[i] = 1;
		}
	}
	for (i = 0; i < n; i++) {
		struct region *r = &run.r[rand_r(&run.seed) % R_KINDS];
		unsigned int at = rand_r(&run.seed) % RNR;
		unsigned int nr = 1 + rand_r(&run.seed) % (RNR - at);
		bool all = i % 64 == 63;

		if (!_test_cmd_range_advise(run.fd, &cmd, 0, PTF_ADV_STASH, r->p + PAGES(at),
					    PAGES(nr), 0))
			done += cmd.out_done_pages;
		ASSERT_TRUE(random_op(&run, r)) {
			TH_LOG("seed %lu, round %lu: %s on region %d failed: %s", seed, i,
			       run.what, r->kind, strerror(errno));
		}
		for (k = all ? 0 : r->kind; k < (all ? R_KINDS : r->kind + 1); k++) {
			bad = region_wrong(&run.r[k], all);
			ASSERT_EQ(-1, bad) {
				TH_LOG("seed %lu, round %lu: %s on region %d, page %d of %d",
				       seed, i, run.what, r->kind, bad, k);
			}
		}
	}
	EXPECT_LT(n * 2, done);
	for (k = 0; k < R_KINDS; k++) {
		ASSERT_OK(_test_cmd_range_advise(run.fd, &cmd, 0, PTF_ADV_RESET, run.r[k].p, RLEN,
						 0));
		EXPECT_EQ(-1, region_wrong(&run.r[k], true));
	}
	EXPECT_EQ(0, held_now(run.fd));
	EXPECT_EQ(0, held_now(run.other));
}

TEST_HARNESS_MAIN
