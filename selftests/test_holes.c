// SPDX-License-Identifier: GPL-2.0-only
/*
 * Rules of the module that no ordinary test would see broken, each looked at
 * where it holds: the flush is announced and ends under mmap_lock, nothing is
 * taken while core mm works, nobody is left in the hook when the module goes, no
 * fault is counted twice or not at all.
 */
/* timeout: 300 */
#include "ptf_test.h"

#include <linux/userfaultfd.h>
#include <sys/uio.h>

#include "modules/ptfslow.h"
#include "rule.h"

#define NR	32
#define LEN	PAGES(NR)
#define SEED	17

FIXTURE(holes) {
	int fd;
	struct ptf_log log;
	char *mem;
	volatile unsigned int *step;
};

FIXTURE_SETUP(holes)
{
	self->fd = ptf_setup(_metadata, &self->log);
	if (self->fd < 0)
		return;
	self->mem = ptf_anon(LEN);
	ASSERT_NE(NULL, self->mem);
	ptf_fill(self->mem, LEN, SEED);
	self->step = ptf_shared(PAGE);
	ASSERT_NE(NULL, (void *)self->step);
}

PTF_TEARDOWN(holes)

#define need_stash() do { \
	if (!(ptf_features(self->fd) & PTF_FEATURE_STASH)) \
		SKIP(return, "no STASH on this kernel"); \
} while (0)

static int count_state(int fd, const void *addr, size_t len, int state)
{
	struct ptf_ioc_range_query q;
	struct ptf_row row[64];
	size_t at;
	int n = 0;
	__u64 i;

	for (at = 0; at < len; at = q.out_next - u64ptr(addr)) {
		if (_test_cmd_range_query(fd, &q, 0, (const char *)addr + at, len - at,
					  PTF_QUERY_F_PAGES | PTF_QUERY_F_HOLES, row, 64) ||
		    q.out_next <= u64ptr(addr) + at)
			return -1;
		for (i = 0; i < q.out_rows; i++)
			n += row[i].state == state;
	}
	return n;
}

/* ------------------------------------------------------------------ */
/* The flush                                                           */

struct watch {
	int slow;
	char *mem;
	volatile unsigned int *step;
	int seen;
};

static void *watch_entry(void *arg)
{
	struct watch *w = arg;

	ptf_pin_cpu(1);
	*w->step = 1;
	w->seen = ioctl(w->slow, PTFSLOW_WATCH, w->mem);
	return NULL;
}

/*
 * The other CPU has interrupts off and so keeps the flush from ending: the entry
 * is gone, other CPUs may still use it, and core mm must know.
 */
static void watch_advice(struct __test_metadata *_metadata, int fd, char *mem,
			 volatile unsigned int *step, __u32 advice)
{
	struct ptf_ioc_range_advise cmd;
	struct watch w = { .mem = mem, .step = step };
	pthread_t th;
	int i;

	w.slow = open(PTFSLOW_DEV, O_RDWR | O_CLOEXEC);
	if (w.slow < 0)
		SKIP(return, "no " PTFSLOW_DEV);
	if (ptf_nr_cpus() < 2)
		SKIP(return, "one CPU only");
	ptf_pin_cpu(0);
	/* Setting the hook needs the other CPU: not now. */
	_test_cmd_range_advise(fd, &cmd, 0, advice, mem, PAGE, 0);
	for (i = 0; i < 5; i++) {
		ptf_touch_all(mem, LEN);
		*step = 0;
		ASSERT_EQ(0, pthread_create(&th, NULL, watch_entry, &w));
		ASSERT_TRUE(ptf_await(step, 1, 10000));
		usleep(2000);
		_test_cmd_range_advise(fd, &cmd, 0, advice, mem, PAGE, 0);
		pthread_join(th, NULL);
		EXPECT_EQ(PTFSLOW_SEEN, w.seen & PTFSLOW_SEEN);
		EXPECT_EQ(PTFSLOW_PENDING, w.seen & PTFSLOW_PENDING) {
			TH_LOG("a hint that other CPUs still use, and no flush is announced");
		}
		EXPECT_EQ(PTFSLOW_LOCKED, w.seen & PTFSLOW_LOCKED) {
			TH_LOG("other CPUs still use the entry, and mmap_lock is free");
		}
	}
	EXPECT_EQ(0, ptf_wrong(mem, LEN, SEED));
}

TEST_F_TIMEOUT(holes, flush_is_announced, 60)
{
	watch_advice(_metadata, self->fd, self->mem, self->step, PTF_ADV_NOTPRESENT);
}

TEST_F_TIMEOUT(holes, flush_of_a_stash, 60)
{
	need_stash();
	watch_advice(_metadata, self->fd, self->mem, self->step, PTF_ADV_STASH);
}

/* ------------------------------------------------------------------ */
/* Core mm at work                                                     */

struct cut {
	int file;
	volatile int done;
};

static void *cut_file(void *arg)
{
	struct cut *c = arg;

	c->done = ftruncate(c->file, 0) ? -1 : 1;
	return NULL;
}

TEST_F_TIMEOUT(holes, nothing_is_taken_in_a_window, 60)
{
	struct ptf_ioc_range_advise cmd;
	struct ptf_ioc_session_stat st;
	int slow = open(PTFSLOW_DEV, O_RDWR | O_CLOEXEC), i, ret;
	pthread_t th;
	char *p;

	need_stash();
	if (slow < 0)
		SKIP(return, "no " PTFSLOW_DEV);
	/* There before the module is: so it waits when that has put back. */
	ASSERT_EQ(0, ioctl(slow, PTFSLOW_NOTIFIER, 400));
	for (i = 0; i < 2; i++) {
		struct cut c = { .file = ptf_file_in(PTF_SHM, LEN, SEED) };

		ASSERT_LE(0, c.file);
		p = mmap(NULL, LEN, PROT_READ | PROT_WRITE, MAP_SHARED, c.file, 0);
		ASSERT_NE(MAP_FAILED, p);
		ptf_touch_all(p, LEN);
		if (i)
			test_cmd_advise_all(PTF_ADV_STASH, p, LEN);
		else
			test_cmd_advise_all(PTF_ADV_STASH, self->mem, PAGE);
		ASSERT_EQ(0, pthread_create(&th, NULL, cut_file, &c));
		while (!ioctl(slow, PTFSLOW_WAITING))
			ASSERT_EQ(0, c.done);
		ret = _test_cmd_range_advise(self->fd, &cmd, 0, PTF_ADV_STASH, p, PAGE, 0);
		EXPECT_EQ(-1, ret);
		EXPECT_EQ(0, c.done) {
			TH_LOG("too slow to tell anything");
		}
		EXPECT_EQ(EBUSY, errno);
		EXPECT_EQ(1, cmd.out_skipped_pages[PTF_SKIP_BUSY]);
		EXPECT_EQ(0, count_state(self->fd, p, LEN, PTF_STATE_STASHED));
		pthread_join(th, NULL);
		EXPECT_EQ(1, c.done);
		test_err_range_advise(ENODATA, &cmd, 0, PTF_ADV_STASH, p, PAGE, 0);
		test_cmd_session_stat(&st);
		EXPECT_EQ(i ? 0 : 1, st.out_stashed_pages);
		ptf_touch(self->mem);
		munmap(p, LEN);
		close(c.file);
	}
	close(slow);
	/* And once it is over all is as before. */
	test_cmd_advise_all(PTF_ADV_STASH, self->mem, LEN);
	EXPECT_EQ(0, ptf_wrong(self->mem, LEN, SEED));
}

/* Faults on two pages that are taken again and again. */
struct race {
	char *mem;
	volatile int stop;
	unsigned long wrong;
};

static void *race_reader(void *arg)
{
	struct race *r = arg;
	unsigned long wrong = 0;

	while (!r->stop) {
		wrong += *(volatile __u64 *)r->mem != ptf_word(SEED, 0, 0);
		wrong += *(volatile __u64 *)(r->mem + PAGE) != ptf_word(SEED, 1, 0);
	}
	__atomic_add_fetch(&r->wrong, wrong, __ATOMIC_RELAXED);
	return NULL;
}

TEST_F_TIMEOUT(holes, faults_are_kept_out, 120)
{
	unsigned int i, n = ptf_rounds(20000), t;
	double t0 = ptf_seconds(), patience = 15 * ptf_env("PTF_SLOW", 1);
	struct race r = { .mem = self->mem };
	struct ptf_ioc_range_advise cmd;
	unsigned long done = 0;
	pthread_t th[3];

	need_stash();
	for (t = 0; t < 3; t++)
		ASSERT_EQ(0, pthread_create(&th[t], NULL, race_reader, &r));
	for (i = 0; i < n && ptf_seconds() - t0 < patience; i++)
		if (!_test_cmd_range_advise(self->fd, &cmd, 0, PTF_ADV_STASH,
					    self->mem + i % 2 * PAGE, PAGE, 0))
			done += cmd.out_done_pages;
	r.stop = 1;
	for (t = 0; t < 3; t++)
		pthread_join(th[t], NULL);
	EXPECT_EQ(0, r.wrong);
	EXPECT_LT(i / 10, done);
}

TEST_F(holes, munlock_finds_stashed_pages)
{
	struct ptf_row rows[NR];
	int i, locked, j;

	need_stash();
	for (i = 0; i < 3; i++) {
		ASSERT_EQ(0, mlock(self->mem, LEN));
		test_cmd_query_pages(0, self->mem, LEN, rows);
		for (locked = 0, j = 0; j < NR; j++)
			locked += !!(rows[j].flags & PTF_FOLIO_MLOCKED);
		EXPECT_EQ(NR, locked);
		test_cmd_advise_all(PTF_ADV_STASH, self->mem, LEN);
		switch (i) {
		case 0:
			ASSERT_EQ(0, munlock(self->mem, LEN));
			break;
		case 1:
			ASSERT_EQ(0, munlockall());
			break;
		case 2:
			ASSERT_EQ(0, munlock(self->mem, LEN / 2));
			ASSERT_EQ(0, munlock(self->mem + LEN / 2, LEN / 2));
			break;
		}
		EXPECT_EQ(0, ptf_wrong(self->mem, LEN, SEED));
		test_cmd_query_pages(0, self->mem, LEN, rows);
		for (locked = 0, j = 0; j < NR; j++)
			locked += !!(rows[j].flags & PTF_FOLIO_MLOCKED);
		EXPECT_EQ(0, locked);
	}
}

/* ------------------------------------------------------------------ */
/* The hook                                                            */

static void *touch_slowly(void *arg)
{
	return (void *)(uintptr_t)ptf_touch(arg);
}

/* A process in which a thread sleeps inside a fault of an armed address space. */
static int sleep_in_fault(void *arg)
{
	volatile unsigned int *step = arg;
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register reg = { .mode = UFFDIO_REGISTER_MODE_MISSING };
	struct ptf_ioc_range_advise cmd;
	int uffd = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK), fd;
	char *mem = ptf_anon(PAGE), *away = ptf_anon(PAGE), *src = ptf_anon(PAGE);
	struct uffdio_copy copy = { .len = PAGE };
	struct uffd_msg msg;
	pthread_t th;
	void *got;

	if (uffd < 0 || ioctl(uffd, UFFDIO_API, &api))
		return 10;
	reg.range.start = u64ptr(mem);
	reg.range.len = PAGE;
	if (ioctl(uffd, UFFDIO_REGISTER, &reg))
		return 10;
	memset(away, 1, PAGE);
	memset(src, 0x77, PAGE);
	fd = open(PTF_DEV, O_RDWR | O_CLOEXEC);
	if (_test_cmd_range_advise(fd, &cmd, 0, PTF_ADV_STASH, away, PAGE, 0))
		return 2;
	if (pthread_create(&th, NULL, touch_slowly, mem))
		return 3;
	/* The monitor's message comes from inside the fault. */
	while (read(uffd, &msg, sizeof(msg)) != sizeof(msg))
		usleep(1000);
	close(fd);
	step[0] = 1;
	while (!step[1])
		usleep(1000);
	copy.dst = u64ptr(mem);
	copy.src = u64ptr(src);
	if (ioctl(uffd, UFFDIO_COPY, &copy))
		return 4;
	pthread_join(th, &got);
	return (uintptr_t)got == 0x77 && *away == 1 ? 0 : 5;
}

static int unload_now(void *arg)
{
	volatile unsigned int *step = arg;
	int ret = syscall(SYS_delete_module, "ptefault", O_NONBLOCK);

	step[2] = 1;
	return ret ? errno : 0;
}

TEST_F_TIMEOUT(holes, unload_waits_for_sleepers, 120)
{
	const char *ko = getenv("PTF_MODULE");
	struct timespec start, end;
	pid_t sleeper, unloader;
	int file, i, ret;

	need_stash();
	if (!ko)
		SKIP(return, "PTF_MODULE does not say where the module is");
	file = open(ko, O_RDONLY | O_CLOEXEC);
	ASSERT_LE(0, file);
	/* How long does it take with nobody inside? Grace periods, mostly. */
	test_cmd_advise_all(PTF_ADV_STASH, self->mem, PAGE);
	close(self->fd);
	clock_gettime(CLOCK_MONOTONIC, &start);
	ASSERT_EQ(0, ptf_wait(ptf_child(unload_now, (void *)self->step)));
	clock_gettime(CLOCK_MONOTONIC, &end);
	self->step[2] = 0;
	ASSERT_EQ(0, syscall(SYS_finit_module, file, "", 0));
	sleeper = fork();
	ASSERT_LE(0, sleeper);
	if (!sleeper)
		_exit(sleep_in_fault((void *)self->step));
	for (i = 0; i < 20000 && !self->step[0] && !waitpid(sleeper, &ret, WNOHANG); i++)
		usleep(1000);
	if (!self->step[0] && WEXITSTATUS(ret) == 10)
		SKIP(return, "no userfaultfd");
	ASSERT_EQ(1, self->step[0]);
	unloader = ptf_child(unload_now, (void *)self->step);
	/* With somebody in there it may not go, however long that is. */
	sleep(6 + 4 * (end.tv_sec - start.tv_sec));
	EXPECT_EQ(0, self->step[2]);
	self->step[1] = 1;
	EXPECT_EQ(0, ptf_wait(sleeper));
	EXPECT_EQ(0, ptf_wait(unloader));
	EXPECT_EQ(-1, access(PTF_DEV, F_OK));
	ASSERT_EQ(0, syscall(SYS_finit_module, file, "", 0)) {
		TH_LOG("%s", strerror(errno));
	}
	EXPECT_EQ(0, ptf_wrong(self->mem, LEN, SEED));
}

TEST_F(holes, gup_faults_on_hints)
{
	struct ptf_ioc_range_advise cmd;
	char *buf = ptf_anon(LEN);
	struct iovec l = { buf, LEN }, r = { self->mem, LEN };
	int i, pipefd[2];

	if (!(ptf_features(self->fd) & PTF_FEATURE_GUP))
		SKIP(return, "no PTF_FEATURE_GUP on this kernel");
	for (i = 0; i < 3; i++) {
		test_cmd_range_advise(&cmd, 0, PTF_ADV_NOTPRESENT, self->mem, LEN,
				      PTF_ADVISE_F_GUP);
		EXPECT_EQ(NR, cmd.out_done_pages);
		ASSERT_EQ(LEN, process_vm_readv(getpid(), &l, 1, &r, 1, 0));
		EXPECT_EQ(0, count_state(self->fd, self->mem, LEN, PTF_STATE_HINT));
		EXPECT_EQ(0, ptf_wrong(buf, LEN, SEED));
	}
	ASSERT_EQ(0, pipe2(pipefd, O_CLOEXEC));
	test_cmd_range_advise(&cmd, 0, PTF_ADV_NOTPRESENT, self->mem, LEN, PTF_ADVISE_F_GUP);
	r.iov_len = PAGES(8);
	ASSERT_EQ(PAGES(8), vmsplice(pipefd[1], &r, 1, 0));
	EXPECT_EQ(NR - 8, count_state(self->fd, self->mem, LEN, PTF_STATE_HINT));
	/* Off again with RESET. */
	test_cmd_range_advise(&cmd, 0, PTF_ADV_RESET, self->mem, LEN, 0);
	EXPECT_EQ(0, ptf_wrong(self->mem, LEN, SEED));
}

/* ------------------------------------------------------------------ */
/* Hints                                                               */

#define X86_RW		(1ULL << 1)
#define X86_DIRTY	(1ULL << 6)
#define X86_PROTNONE	(1ULL << 8)
#define X86_SAVED_DIRTY	(1ULL << 58)

/* An entry that core mm itself could have written. */
TEST_F(holes, hint_shape)
{
	struct ptf_row rows[NR];
	struct utsname u;
	__u64 pte;
	int i;

	uname(&u);
	if (strcmp(u.machine, "x86_64"))
		SKIP(return, "entries of another architecture");
	test_cmd_advise_all(PTF_ADV_NOTPRESENT, self->mem, LEN);
	test_cmd_query_pages(0, self->mem, LEN, rows);
	for (i = 0; i < NR; i++) {
		pte = rows[i].pte;
		EXPECT_EQ(0, pte & 1);
		EXPECT_EQ(X86_PROTNONE, pte & X86_PROTNONE);
		if (!ptf_kernel_from(6, 6)) {
			EXPECT_EQ(X86_RW | X86_DIRTY, pte & (X86_RW | X86_DIRTY));
			continue;
		}
		/* Dirty and not writable is a shadow stack's: the bit moves. */
		EXPECT_EQ(0, pte & (X86_RW | X86_DIRTY));
		EXPECT_EQ(X86_SAVED_DIRTY, pte & X86_SAVED_DIRTY);
	}
}

/* The file system waits for the first write to a clean page; an undo is none. */
TEST_F(holes, undo_keeps_write_notify)
{
	struct ptf_row rows[NR];
	int file, i;
	char *p;

	if (!ptf_is_fs(PTF_SCRATCH, PTF_EXT4_MAGIC))
		SKIP(return, PTF_SCRATCH " is not ext4");
	file = ptf_file_in(PTF_SCRATCH, LEN, SEED);
	ASSERT_LE(0, file);
	p = mmap(NULL, LEN, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
	ASSERT_NE(MAP_FAILED, p);
	ptf_fill(p, LEN, SEED);
	ASSERT_EQ(0, fsync(file));
	test_cmd_advise_all(PTF_ADV_NOTPRESENT, p, LEN);
	test_cmd_advise_all(PTF_ADV_PRESENT, p, LEN);
	test_cmd_query_pages(0, p, LEN, rows);
	for (i = 0; i < NR; i++)
		EXPECT_EQ(0, rows[i].flags & PTF_ROW_WRITE);
	/* Written, undone, written again: it lands in the file. */
	ptf_fill(p, LEN, SEED + 1);
	test_cmd_advise_all(PTF_ADV_NOTPRESENT, p, LEN);
	test_cmd_advise_all(PTF_ADV_PRESENT, p, LEN);
	ptf_fill(p, LEN, SEED + 2);
	ASSERT_EQ(0, fsync(file));
	munmap(p, LEN);
	ptf_write_file("/proc/sys/vm/drop_caches", "3");
	p = mmap(NULL, LEN, PROT_READ, MAP_SHARED, file, 0);
	EXPECT_EQ(0, ptf_wrong(p, LEN, SEED + 2));
}

TEST_F(holes, one_fault_in_large_folio)
{
	struct ptf_ioc_range_advise cmd;
	long min0;
	char *p;
	int i;

	if (!(ptf_features(self->fd) & PTF_FEATURE_HOOK))
		SKIP(return, "no hook on this kernel: hints of a large folio heal together");
	p = mmap(NULL, 2 * HPAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, p);
	p = (char *)(((uintptr_t)p + HPAGE - 1) & ~(HPAGE - 1));
	if (madvise(p, HPAGE, MADV_HUGEPAGE))
		SKIP(return, "no transparent huge pages");
	ptf_fill(p, HPAGE, SEED);
	ASSERT_EQ(0, mprotect(p, PAGE, PROT_READ));
	ASSERT_EQ(0, mprotect(p, PAGE, PROT_READ | PROT_WRITE));
	/* khugepaged may have been there again */
	test_cmd_range_advise(&cmd, 0, PTF_ADV_NOTPRESENT, p, HPAGE, PTF_ADVISE_F_SPLIT);
	ASSERT_EQ(512, cmd.out_done_pages);
	for (i = 0; i < 512; i++) {
		min0 = ptf_minflt();
		ptf_touch(p + PAGES(i * 7 % 512));
		ASSERT_EQ(min0 + 1, ptf_minflt());
	}
	EXPECT_EQ(0, ptf_wrong(p, HPAGE, SEED));
}

/* ------------------------------------------------------------------ */
/* Rules                                                               */

#define need_rules() do { \
	if (!(ptf_features(self->fd) & PTF_FEATURE_RULE)) \
		SKIP(return, "the fault handler can't be hooked here"); \
} while (0)

struct faulter {
	int fd;
	char *page;
	unsigned int rounds, failed;
	volatile unsigned int *go;
};

static void *fault_by_rounds(void *arg)
{
	struct ptf_ioc_range_advise cmd;
	struct faulter *f = arg;
	unsigned int i;

	while (!*f->go)
		sched_yield();
	for (i = 0; i < f->rounds; i++) {
		f->failed += _test_cmd_range_advise(f->fd, &cmd, 0, PTF_ADV_NOTPRESENT, f->page,
						    PAGE, 0) || cmd.out_done_pages != 1;
		ptf_touch(f->page);
	}
	return NULL;
}

/* However many threads fault at a time: each fault is one, for every rule. */
TEST_F_TIMEOUT(holes, rules_count_every_fault, 120)
{
	unsigned int i, rounds = ptf_rounds(15000);
	struct ptf_rule r[40];
	struct faulter f[4];
	pthread_t th[4];

	need_rules();
	if (ptf_nr_cpus() < 2)
		SKIP(return, "one CPU only");
	/* None of them ever takes one, so all are asked each time. */
	for (i = 0; i < ARRAY_SIZE(r); i++)
		test_rule_add(&r[i], self->mem, LEN, PTF_ACT_SIGBUS,
			      .flags = PTF_RULE_F_PASSIVE, .after = 1ULL << 40, .order = i % 3);
	test_rule_arm(0);
	for (i = 0; i < ARRAY_SIZE(f); i++) {
		f[i] = (struct faulter){ .fd = self->fd, .page = self->mem + PAGES(2 * i),
					 .rounds = rounds, .go = self->step };
		ASSERT_EQ(0, pthread_create(&th[i], NULL, fault_by_rounds, &f[i]));
	}
	*self->step = 1;
	for (i = 0; i < ARRAY_SIZE(f); i++) {
		pthread_join(th[i], NULL);
		EXPECT_EQ(0, f[i].failed);
	}
	for (i = 0; i < ARRAY_SIZE(r); i++) {
		test_rule_get(&r[i]);
		EXPECT_EQ(ARRAY_SIZE(f) * rounds, r[i].matches);
		EXPECT_EQ(0, r[i].hits);
	}
	EXPECT_EQ(0, ptf_wrong(self->mem, LEN, SEED));
}

/* A page that has to be read first sends the fault round again: still one. */
TEST_F(holes, retries_are_one_fault)
{
	long maj = ptf_majflt();
	struct ptf_rule r;
	int file, i;
	char *p;

	need_rules();
	if (!ptf_is_fs(PTF_SCRATCH, PTF_EXT4_MAGIC))
		SKIP(return, PTF_SCRATCH " is not ext4");
	file = ptf_file_in(PTF_SCRATCH, LEN, SEED);
	ASSERT_LE(0, file);
	ASSERT_EQ(0, fsync(file));
	ASSERT_EQ(0, posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED));
	p = mmap(NULL, LEN, PROT_READ, MAP_SHARED, file, 0);
	ASSERT_NE(MAP_FAILED, p);
	/* One at a time, without what is around it. */
	ASSERT_EQ(0, madvise(p, LEN, MADV_RANDOM));
	test_rule_add(&r, p, LEN, PTF_ACT_COUNT);
	test_rule_arm(0);
	ptf_touch_all(p, LEN);
	test_rule_get(&r);
	EXPECT_EQ(NR, ptf_majflt() - maj);
	EXPECT_EQ(NR, r.matches);
	EXPECT_EQ(NR, r.hits);
	for (i = 0; i < 2; i++) {
		test_cmd_advise_all(PTF_ADV_NOTPRESENT, p, LEN);
		ptf_touch_all(p, LEN);
	}
	test_rule_get(&r);
	EXPECT_EQ(3 * NR, r.matches);
	EXPECT_EQ(0, ptf_wrong(p, LEN, SEED));
}

TEST_HARNESS_MAIN
