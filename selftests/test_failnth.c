// SPDX-License-Identifier: GPL-2.0-only
/*
 * Every command with its first allocation failing, then its second, and so on
 * until no failure is left: it answers an errno, what it says it did is what
 * was done, and the memory is whole. Copies from user space fail in turn too.
 * Needs a kernel with fault injection.
 */
/* timeout: 300 */
#include "ptf_test.h"

#include <sys/utsname.h>

/* More than the nodes that a stash gets in one go. */
#define NR	600
#define LEN	PAGES(NR)
#define SEED	91

FIXTURE(failnth) {
	int fd;
	struct ptf_log log;
	char *mem;
	int nth;
};

static void allow_failures(const char *what)
{
	char path[96];

	snprintf(path, sizeof(path), "/sys/kernel/debug/%s/ignore-gfp-wait", what);
	ptf_write_file(path, "N");
	snprintf(path, sizeof(path), "/sys/kernel/debug/%s/verbose", what);
	ptf_write_file(path, "0");
	snprintf(path, sizeof(path), "/sys/kernel/debug/%s/min-order", what);
	ptf_write_file(path, "0");
}

FIXTURE_SETUP(failnth)
{
	char path[64];

	self->fd = ptf_setup(_metadata, &self->log);
	if (self->fd < 0)
		return;
	/* By thread: the file is the calling one's. */
	snprintf(path, sizeof(path), "/proc/self/task/%d/fail-nth", (int)gettid());
	self->nth = open(path, O_RDWR | O_CLOEXEC);
	if (self->nth < 0)
		SKIP(return, "this kernel has no fault injection (CONFIG_FAULT_INJECTION)");
	mkdir("/sys/kernel/debug", 0700);
	if (access("/sys/kernel/debug/failslab", F_OK)) {
		pid_t pid = fork();

		if (!pid) {
			execlp("mount", "mount", "-t", "debugfs", "none",
			       "/sys/kernel/debug", NULL);
			_exit(1);
		}
		ptf_wait(pid);
	}
	if (access("/sys/kernel/debug/failslab", F_OK))
		SKIP(return, "no /sys/kernel/debug/failslab: slab allocations can't fail here");
	allow_failures("failslab");
	allow_failures("fail_page_alloc");
	allow_failures("fail_usercopy");
	self->mem = ptf_anon(LEN);
	ASSERT_NE(NULL, self->mem);
	ptf_fill(self->mem, LEN, SEED);
}

PTF_TEARDOWN(failnth)

static void arm(int nth, unsigned int n)
{
	char buf[16];
	int len = snprintf(buf, sizeof(buf), "%u", n);

	if (pwrite(nth, buf, len, 0) != len)
		abort();
}

/*
 * Was there a failure? None is left over in any case. Asking is a copy to user
 * space, which may be the one that fails: then the command had none.
 */
static bool disarm(int nth)
{
	char buf[16] = "";
	bool injected = false;
	int i;

	if (pread(nth, buf, sizeof(buf) - 1, 0) > 0)
		injected = !atoi(buf);
	for (i = 0; i < 3; i++)
		if (pwrite(nth, "0", 1, 0) == 1)
			return injected;
	abort();
}

/* A look at each page, and a close one at some. */
static size_t wrong(const char *mem)
{
	static unsigned int turn;
	size_t i, bad = 0;

	turn++;
	for (i = 0; i < NR; i++) {
		const volatile __u64 *p = (const void *)(mem + PAGES(i));

		if (p[0] != ptf_word(SEED, i, 0) || p[511] != ptf_word(SEED, i, 511) ||
		    p[turn % 512] != ptf_word(SEED, i, turn % 512))
			bad++;
	}
	return turn % 16 ? bad : bad + ptf_wrong(mem, LEN, SEED);
}

struct act {
	int fd;		/* session that the command goes to */
	char *mem;
	pid_t child;
	int file;
	__u32 target;
	int ret, err;
	struct ptf_ioc_range_advise adv;
};

static int held(int fd, __u64 *stashed)
{
	struct ptf_ioc_session_stat st;
	int ret = _test_cmd_session_stat(fd, &st);

	*stashed = st.out_stashed_pages;
	return ret;
}

static int count(int fd, const void *addr, size_t len, int state)
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

/* How a step of the sweep went: NULL as it should. */
typedef const char *(*check_fn)(struct act *);

/*
 * Failures n = 1, 2, ... and the larger n is, the larger the steps; sooner where
 * not all rounds are asked for.
 */
#define NOTHING
#define step_from(n)	(1 + ((n) > (ptf_env("PTF_DIVIDE", 10) > 1 ? 12 : 40) ? (n) / 4 : 0))
#define sweep(_name, before, run, after) ({ \
	unsigned int __n = 0, __failed = 0; \
	bool __injected; \
	do { \
		const char *__wrong; \
		__n += step_from(__n); \
		before; \
		arm(self->nth, __n); \
		errno = 0; \
		run; \
		a.err = errno; \
		__injected = disarm(self->nth); \
		__failed += __injected && a.ret < 0; \
		ASSERT_TRUE(a.ret >= 0 || (__injected && (a.err == ENOMEM || a.err == EFAULT))) { \
			TH_LOG("%s, failure %u: %s", _name, __n, strerror(a.err)); \
		} \
		__wrong = after; \
		ASSERT_EQ(NULL, __wrong) { \
			TH_LOG("%s, failure %u (%s): %s", _name, __n, \
			       a.ret ? strerror(a.err) : "hidden", __wrong); \
		} \
		ASSERT_EQ(0, wrong(a.mem)) { \
			TH_LOG("%s, failure %u", _name, __n); \
		} \
	} while (__injected && __n < 5000); \
	ASSERT_FALSE(__injected); \
	TH_LOG("%s: %u of %u failures shown", _name, __failed, __n - 1); \
	__failed; \
})

static int advise(struct act *a, __u32 advice, __u32 flags)
{
	return _test_cmd_range_advise(a->fd, &a->adv, 0, advice, a->mem, LEN, flags);
}

/* What RANGE_ADVISE says against what the report sees. */
static const char *as_told(struct act *a, int state, bool strict)
{
	__u64 done = a->adv.out_done_pages, stashed;
	int seen = count(a->fd, a->mem, LEN, state);

	if (done == POISON64)	/* it did not come that far */
		done = 0;
	else if (a->ret && a->adv.out_next != u64ptr(a->mem) + done * PAGE)
		return "out_next is not the first page not worked on";
	if (seen < 0)
		return "the report failed";
	if (seen != done)
		return "pages done and pages told differ";
	if (a->ret == 0 && done != NR)
		return "not all done, and no error";
	if (a->ret && strict && done)
		return "STRICT did a part of it";
	if (held(a->fd, &stashed) || stashed != (state == PTF_STATE_STASHED ? done : 0))
		return "the session holds another number of pages";
	return NULL;
}

static const char *all_well(struct act *a)
{
	return NULL;
}

static int idle(void *arg)
{
	while (pause())
		continue;
	return 0;
}

/* Commands that only look. */
TEST_F_TIMEOUT(failnth, look, 120)
{
	struct act a = { .fd = self->fd, .mem = self->mem };
	struct ptf_ioc_features_get f;
	struct ptf_ioc_session_stat st;
	struct ptf_ioc_page_walk w;
	struct ptf_ioc_file_query fq;
	struct ptf_file_row frows[8];
	struct ptf_ioc_range_query q;
	struct ptf_row rows[8];
	struct ptf_vma vmas[8];
	char names[256];
	int file = ptf_file_in(PTF_SHM, PAGES(8), SEED), fd;

	ASSERT_LE(0, file);
	sweep("FEATURES_GET", NOTHING, a.ret = _test_cmd_features_get(a.fd, &f, 0), all_well(&a));
	sweep("SESSION_STAT", NOTHING, a.ret = _test_cmd_session_stat(a.fd, &st), all_well(&a));
	sweep("PAGE_WALK", NOTHING, a.ret = _test_cmd_page_walk(a.fd, &w, 0, a.mem), all_well(&a));
	sweep("FILE_QUERY", NOTHING,
	      a.ret = _test_cmd_file_query(a.fd, &fq, file, 0, PAGES(8), 0, frows, 8),
	      all_well(&a));
	sweep("RANGE_QUERY", ({
		memset(&q, 0, sizeof(q));
		q.size = sizeof(q);
		q.row_size = sizeof(rows[0]);
		q.end = USER_END_4;
		q.rows = u64ptr(rows);
		q.nr_rows = 8;
		q.vmas = u64ptr(vmas);
		q.nr_vmas = 8;
		q.vma_size = sizeof(vmas[0]);
		q.names = u64ptr(names);
		q.names_size = sizeof(names);
	      }), a.ret = ioctl(a.fd, PTF_IOC_RANGE_QUERY, &q), all_well(&a));
	EXPECT_LT(0, q.out_rows);
	sweep("open", NOTHING, a.ret = fd = open(PTF_DEV, O_RDWR | O_CLOEXEC),
	      ({ if (fd >= 0) close(fd); NULL; }));
	test_cmd_session_stat(&st);
	EXPECT_EQ(1, st.out_sessions);
}

TEST_F_TIMEOUT(failnth, targets, 120)
{
	struct act a = { .fd = self->fd, .mem = self->mem };
	struct ptf_ioc_session_stat st;
	pid_t pid = ptf_child(idle, NULL);
	__u32 t = 0;

	sweep("TARGET_OPEN", NOTHING, a.ret = _test_cmd_target_open(a.fd, pid, &t),
	      ({ a.ret ? NULL : _test_cmd_target_close(a.fd, t) ? "can't be closed" : NULL; }));
	test_cmd_session_stat(&st);
	EXPECT_EQ(1, st.out_targets);
	sweep("TARGET_CLOSE", ASSERT_OK(_test_cmd_target_open(a.fd, pid, &t)),
	      a.ret = _test_cmd_target_close(a.fd, t),
	      ({ a.ret && _test_cmd_target_close(a.fd, t) ? "lost" : NULL; }));
	test_cmd_session_stat(&st);
	EXPECT_EQ(1, st.out_targets);
	ptf_kill(pid);
}

static int undo(struct act *a)
{
	struct ptf_ioc_range_advise cmd;

	return _test_cmd_range_advise(a->fd, &cmd, 0, PTF_ADV_RESET, a->mem, LEN, 0) ||
	       wrong(a->mem);
}

TEST_F_TIMEOUT(failnth, hints, 180)
{
	struct act a = { .fd = self->fd, .mem = self->mem };

	sweep("NOTPRESENT", ASSERT_EQ(0, undo(&a)), a.ret = advise(&a, PTF_ADV_NOTPRESENT, 0),
	      as_told(&a, PTF_STATE_HINT, false));
	sweep("NOTPRESENT strict", ASSERT_EQ(0, undo(&a)),
	      a.ret = advise(&a, PTF_ADV_NOTPRESENT, PTF_ADVISE_F_STRICT),
	      as_told(&a, PTF_STATE_HINT, true));
	sweep("NOTPRESENT, a new session, GUP", ({
		ASSERT_EQ(0, undo(&a));
		close(a.fd);
		a.fd = open(PTF_DEV, O_RDWR | O_CLOEXEC);
		ASSERT_LE(0, a.fd);
	      }), a.ret = advise(&a, PTF_ADV_NOTPRESENT, PTF_ADVISE_F_GUP),
	      as_told(&a, PTF_STATE_HINT, false));
	sweep("PRESENT", ({
		ASSERT_EQ(0, undo(&a));
		ASSERT_EQ(0, advise(&a, PTF_ADV_NOTPRESENT, 0));
	      }), a.ret = advise(&a, PTF_ADV_PRESENT, 0),
	      a.ret && !count(a.fd, a.mem, LEN, PTF_STATE_HINT) ? "done and failed" : NULL);
}

/* Other edits: whatever fails, the content stays. */
TEST_F_TIMEOUT(failnth, edits, 180)
{
	static const struct {
		const char *name;
		__u32 advice;
	} edit[] = {
		{ "WRPROTECT", PTF_ADV_WRPROTECT }, { "WRUNPROTECT", PTF_ADV_WRUNPROTECT },
		{ "OLD", PTF_ADV_OLD }, { "CLEAN", PTF_ADV_CLEAN }, { "EVICT", PTF_ADV_EVICT },
	};
	struct act a = { .fd = self->fd, .mem = self->mem };
	int file = ptf_file_in(PTF_SHM, LEN, SEED), i;
	struct ptf_ioc_file_advise fa;
	struct ptf_ioc_range_fault f;
	char *p;

	ASSERT_LE(0, file);
	p = mmap(NULL, LEN, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
	ASSERT_NE(MAP_FAILED, p);
	a.mem = p;
	for (i = 0; i < ARRAY_SIZE(edit); i++) {
		ptf_touch_all(p, LEN);
		/* One that this kernel or this memory has not is no failure. */
		if (advise(&a, edit[i].advice, 0) && (errno == EOPNOTSUPP || errno == EBUSY))
			continue;
		sweep(edit[i].name, ptf_touch_all(p, LEN),
		      ({ a.ret = advise(&a, edit[i].advice, 0); }), all_well(&a));
	}
	sweep("RANGE_FAULT", ({
		PTF_POISONED(&f);
		f.target = 0;
		f.access = PTF_ACCESS_READ;
		f.start = u64ptr(p);
		f.end = f.start + PAGES(8);
		f.results = 0;
		madvise(p, LEN, MADV_DONTNEED);
	      }), a.ret = ioctl(a.fd, PTF_IOC_RANGE_FAULT, &f), all_well(&a));
	sweep("FILE_ADVISE", ({
		memset(&fa, 0, sizeof(fa));
		fa.size = sizeof(fa);
		fa.fd = file;
		fa.advice = PTF_ADV_UNMAP_FILE;
		fa.end = LEN;
		ptf_touch_all(p, LEN);
	      }), a.ret = ioctl(a.fd, PTF_IOC_FILE_ADVISE, &fa), all_well(&a));
}

TEST_F_TIMEOUT(failnth, stash, 300)
{
	struct act a = { .fd = self->fd, .mem = self->mem };
	unsigned int seen;

	if (!(ptf_features(self->fd) & PTF_FEATURE_STASH))
		SKIP(return, "no STASH on this kernel");
	seen = sweep("STASH", ASSERT_EQ(0, undo(&a)), a.ret = advise(&a, PTF_ADV_STASH, 0),
		     as_told(&a, PTF_STATE_STASHED, false));
	EXPECT_LT(10, seen);
	seen = sweep("STASH strict", ASSERT_EQ(0, undo(&a)),
		     a.ret = advise(&a, PTF_ADV_STASH, PTF_ADVISE_F_STRICT),
		     as_told(&a, PTF_STATE_STASHED, true));
	EXPECT_LT(10, seen);
	/* A session of its own each time: the address space is armed anew. */
	sweep("STASH, a new session", ({
		ASSERT_EQ(0, undo(&a));
		close(a.fd);
		a.fd = open(PTF_DEV, O_RDWR | O_CLOEXEC);
		ASSERT_LE(0, a.fd);
	      }), a.ret = advise(&a, PTF_ADV_STASH, PTF_ADVISE_F_GUP),
	      as_told(&a, PTF_STATE_STASHED, false));
	sweep("PRESENT", ({
		ASSERT_EQ(0, undo(&a));
		ASSERT_EQ(0, advise(&a, PTF_ADV_STASH, 0));
	      }), a.ret = advise(&a, PTF_ADV_PRESENT, 0),
	      a.ret && !count(a.fd, a.mem, LEN, PTF_STATE_STASHED) ? "done and failed" : NULL);
	sweep("RESET", ({
		ASSERT_EQ(0, undo(&a));
		ASSERT_EQ(0, advise(&a, PTF_ADV_STASH, 0));
	      }), a.ret = advise(&a, PTF_ADV_RESET, 0),
	      ({ !a.ret && count(a.fd, a.mem, LEN, PTF_STATE_STASHED) ? "not all back" : NULL; }));
	/* Nothing may fail a close. */
	sweep("close", ({
		ASSERT_EQ(0, undo(&a));
		ASSERT_EQ(0, advise(&a, PTF_ADV_STASH, 0));
	      }), a.ret = close(a.fd), ({
		a.fd = open(PTF_DEV, O_RDWR | O_CLOEXEC);
		count(a.fd, a.mem, LEN, PTF_STATE_STASHED) ? "not all back" : NULL;
	      }));
}

/* The kernel's own allocations of the calls that meet a stash. */
TEST_F_TIMEOUT(failnth, core_mm, 300)
{
	struct act a = { .fd = self->fd, .mem = self->mem };
	char *p;

	if (!(ptf_features(self->fd) & PTF_FEATURE_STASH))
		SKIP(return, "no STASH on this kernel");
#define all_away() ({ \
		ASSERT_EQ(0, undo(&a)); \
		ASSERT_EQ(0, advise(&a, PTF_ADV_STASH, 0)); \
	})
	sweep("mprotect", all_away(),
	      a.ret = mprotect(a.mem + PAGES(7), PAGES(9), PROT_READ),
	      ({ mprotect(a.mem, LEN, PROT_READ | PROT_WRITE) ? "not undone" : NULL; }));
	sweep("fork", all_away(), ({
		a.ret = fork();
		if (!a.ret)
			_exit(0);
	      }), ({ a.ret > 0 && ptf_wait(a.ret) ? "the child failed" : NULL; }));
	p = ptf_hole(LEN);
	sweep("mremap", all_away(), ({
		a.ret = mremap(a.mem, LEN, LEN, MREMAP_MAYMOVE | MREMAP_FIXED, p) == p ? 0 : -1;
	      }), ({
		!a.ret && mremap(p, LEN, LEN, MREMAP_MAYMOVE | MREMAP_FIXED, a.mem) != a.mem ?
			"not moved back" : NULL;
	      }));
}

static void set_linger(const char *ms)
{
	int fd = open("/sys/module/ptefault/parameters/linger", O_WRONLY | O_CLOEXEC);

	if (fd >= 0) {
		if (write(fd, ms, strlen(ms)) < 0)
			perror("linger");
		close(fd);
	}
}

/* Setting the hook itself: each time from nothing, which takes grace periods. */
TEST_F_TIMEOUT(failnth, hook, 300)
{
	struct act a = { .fd = self->fd, .mem = self->mem };
	struct ptf_ioc_session_stat st;
	double t0 = ptf_seconds();
	unsigned int n;
	bool injected = true;
	int i;

	if (!(ptf_features(self->fd) & PTF_FEATURE_STASH))
		SKIP(return, "no STASH on this kernel");
	set_linger("0");
	for (n = 1; injected && ptf_seconds() - t0 < 250 * ptf_env("PTF_SLOW", 1);
	     n += step_from(n)) {
		close(a.fd);
		a.fd = open(PTF_DEV, O_RDWR | O_CLOEXEC);
		ASSERT_LE(0, a.fd);
		for (i = 0; i < 3000; i++) {
			ASSERT_OK(_test_cmd_session_stat(a.fd, &st));
			if (!st.out_hooked)
				break;
			usleep(10000);
		}
		ASSERT_EQ(0, st.out_hooked);
		arm(self->nth, n);
		a.ret = advise(&a, PTF_ADV_STASH, 0);
		a.err = errno;
		injected = disarm(self->nth);
		ASSERT_TRUE(!a.ret || (injected && (a.err == ENOMEM || a.err == EFAULT))) {
			TH_LOG("failure %u: %s", n, strerror(a.err));
		}
		ASSERT_EQ(NULL, as_told(&a, PTF_STATE_STASHED, false)) {
			TH_LOG("failure %u", n);
		}
		ASSERT_EQ(0, wrong(a.mem));
	}
	set_linger("2000");
	TH_LOG("up to failure %u", n);
	EXPECT_FALSE(injected);
}

/* Skipping is for stock kernels: our own debug kernel must have all of it. */
TEST(debug_kernel_injects_faults)
{
	struct utsname u;

	ASSERT_EQ(0, uname(&u));
	if (!strstr(u.release, "ptefault-debug"))
		return;
	EXPECT_EQ(0, access("/proc/thread-self/fail-nth", F_OK));
	EXPECT_EQ(0, access("/sys/kernel/debug/failslab", F_OK));
}

TEST_HARNESS_MAIN
