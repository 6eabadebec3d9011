// SPDX-License-Identifier: GPL-2.0-only
/*
 * kill -9 at every step of every command, of the one who calls and of the one
 * that is called for; and the module loaded and unloaded under load. Whether
 * kernel memory is left that nobody owns any more, the debug kernel's VM looks at
 * its end.
 */
/* timeout: 600 */
#include "ptf_test.h"

#define NR	96
#define LEN	PAGES(NR)
#define SEED	31

FIXTURE(kill) {
	int fd;
	struct ptf_log log;
	char *mem;
	volatile unsigned int *step;
};

FIXTURE_SETUP(kill)
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

PTF_TEARDOWN(kill)

/* ------------------------------------------------------------------ */
/* Commands, each to be called in a loop                               */

struct loop {
	int fd;
	__u32 target;
	int file;
	char *mem;
	pid_t pid;		/* of the target */
	volatile unsigned int *step;
	volatile int stop;
	int cmd;
	int err;		/* the last one */
};

static int advise(struct loop *l, __u32 advice, __u32 flags)
{
	struct ptf_ioc_range_advise a;

	return _test_cmd_range_advise(l->fd, &a, l->target, advice, l->mem, LEN, flags);
}

static int do_open(struct loop *l)
{
	int fd = open(PTF_DEV, O_RDWR | O_CLOEXEC);

	return fd < 0 ? -1 : close(fd);
}

static int do_open_and_stash(struct loop *l)
{
	struct ptf_ioc_range_advise a;
	int fd = open(PTF_DEV, O_RDWR | O_CLOEXEC), ret;
	__u32 t = 0;

	if (fd < 0)
		return -1;
	ret = l->target ? _test_cmd_target_open(fd, l->pid, &t) : 0;
	if (!ret)
		ret = _test_cmd_range_advise(fd, &a, t, PTF_ADV_STASH, l->mem, LEN, 0);
	close(fd);
	return ret;
}

static int do_target(struct loop *l)
{
	__u32 t;

	if (_test_cmd_target_open(l->fd, l->pid, &t))
		return -1;
	return t ? _test_cmd_target_close(l->fd, t) : 0;
}

static int do_query(struct loop *l)
{
	struct ptf_ioc_range_query q;
	struct ptf_row rows[64];

	return _test_cmd_range_query(l->fd, &q, l->target, NULL, USER_END_4, 0, rows, 64);
}

static int do_walk(struct loop *l)
{
	struct ptf_ioc_page_walk w;

	return _test_cmd_page_walk(l->fd, &w, l->target, l->mem);
}

static int do_file(struct loop *l)
{
	struct ptf_ioc_file_query q;
	struct ptf_file_row rows[16];

	return _test_cmd_file_query(l->fd, &q, l->file, 0, PTF_FILE_END, 0, rows, 16);
}

static int do_hint(struct loop *l)
{
	return advise(l, PTF_ADV_NOTPRESENT, 0);
}

static int do_hint_strict(struct loop *l)
{
	return advise(l, PTF_ADV_NOTPRESENT, PTF_ADVISE_F_STRICT);
}

static int do_hint_all(struct loop *l)
{
	struct ptf_ioc_range_advise a;

	return _test_cmd_range_advise(l->fd, &a, l->target, PTF_ADV_NOTPRESENT, NULL, USER_END_4,
				      PTF_ADVISE_F_GUP);
}

static int do_stash(struct loop *l)
{
	return advise(l, PTF_ADV_STASH, 0);
}

static int do_stash_strict(struct loop *l)
{
	return advise(l, PTF_ADV_STASH, PTF_ADVISE_F_STRICT);
}

static int do_stash_all(struct loop *l)
{
	struct ptf_ioc_range_advise a;

	return _test_cmd_range_advise(l->fd, &a, l->target, PTF_ADV_STASH, NULL, USER_END_4, 0);
}

static int do_present(struct loop *l)
{
	return advise(l, PTF_ADV_STASH, 0) ?: advise(l, PTF_ADV_PRESENT, 0);
}

static int do_reset(struct loop *l)
{
	return advise(l, PTF_ADV_STASH, 0) ?: advise(l, PTF_ADV_RESET, 0);
}

static int do_wrprotect(struct loop *l)
{
	return advise(l, PTF_ADV_WRPROTECT, 0) ?: advise(l, PTF_ADV_WRUNPROTECT, 0);
}

static int do_fault(struct loop *l)
{
	struct ptf_ioc_range_fault f;

	if (advise(l, PTF_ADV_STASH, 0))
		return -1;
	PTF_POISONED(&f);
	f.target = l->target;
	f.access = PTF_ACCESS_WRITE;
	f.start = u64ptr(l->mem);
	f.end = f.start + LEN;
	f.results = 0;
	return ioctl(l->fd, PTF_IOC_RANGE_FAULT, &f);
}

static const struct {
	const char *name;
	int (*call)(struct loop *l);
} commands[] = {
	{ "open", do_open },
	{ "open, STASH, close", do_open_and_stash },
	{ "TARGET_OPEN, TARGET_CLOSE", do_target },
	{ "RANGE_QUERY", do_query },
	{ "PAGE_WALK", do_walk },
	{ "FILE_QUERY", do_file },
	{ "NOTPRESENT", do_hint },
	{ "NOTPRESENT strict", do_hint_strict },
	{ "NOTPRESENT of everything", do_hint_all },
	{ "STASH", do_stash },
	{ "STASH strict", do_stash_strict },
	{ "STASH of everything", do_stash_all },
	{ "STASH, PRESENT", do_present },
	{ "STASH, RESET", do_reset },
	{ "WRPROTECT, WRUNPROTECT", do_wrprotect },
	{ "STASH, RANGE_FAULT", do_fault },
};

static __u64 held_now(int fd, unsigned int *sessions)
{
	struct ptf_ioc_session_stat st;

	if (_test_cmd_session_stat(fd, &st))
		return ~0ULL;
	if (sessions)
		*sessions = st.out_sessions;
	return st.out_stashed_pages;
}

/* Wait for about that long without asleep. */
static void spin_us(unsigned int us)
{
	double t = ptf_seconds() + us / 1e6;

	while (ptf_seconds() < t)
		;
}

/* ------------------------------------------------------------------ */
/* The caller is killed                                                */

static int call_for_ever(void *arg)
{
	struct loop *l = arg;

	l->fd = open(PTF_DEV, O_RDWR | O_CLOEXEC);
	if (l->fd < 0)
		return 1;
	l->target = 0;
	if (l->pid && _test_cmd_target_open(l->fd, l->pid, &l->target))
		return 2;
	if (!l->pid)
		l->pid = getpid();
	while (!l->stop) {
		l->step[0]++;
		commands[l->cmd].call(l);
		ptf_touch_all(l->mem, LEN);
	}
	return 0;
}

static void kill_callers(struct __test_metadata *_metadata, int fd, char *mem,
			 volatile unsigned int *step, bool on_us)
{
	unsigned int i, n = ptf_rounds(300), sessions, at = 0;
	int file = ptf_file_in(PTF_SHM, PAGES(64), 1), c;
	struct loop l;
	pid_t pid;

	for (c = 0; c < ARRAY_SIZE(commands); c++) {
		for (i = 0; i < n; i++) {
			l = (struct loop){ .mem = mem, .step = step, .cmd = c, .file = file };
			l.pid = on_us ? getpid() : 0;
			step[0] = 0;
			pid = ptf_child(call_for_ever, &l);
			ASSERT_TRUE(ptf_await(step, 1 + i % 3, 20000)) {
				TH_LOG("%s does not return", commands[c].name);
			}
			spin_us(at++ * 37 % 1500);
			ASSERT_EQ(256 + SIGKILL, ptf_kill(pid)) {
				TH_LOG("%s", commands[c].name);
			}
			ASSERT_EQ(0, ptf_wrong(mem, LEN, SEED)) {
				TH_LOG("%s, kill %u", commands[c].name, i);
			}
		}
		ASSERT_EQ(0, held_now(fd, &sessions));
		ASSERT_EQ(1, sessions) {
			TH_LOG("%s", commands[c].name);
		}
	}
	close(file);
}

TEST_F_TIMEOUT(kill, callers_of_their_own, 300)
{
	kill_callers(_metadata, self->fd, self->mem, self->step, false);
}

TEST_F_TIMEOUT(kill, callers_of_ours, 300)
{
	kill_callers(_metadata, self->fd, self->mem, self->step, true);
}

/* ------------------------------------------------------------------ */
/* The target is killed                                                */

static int touch_once(void *mem)
{
	ptf_touch_all(mem, LEN);
	return 0;
}

/* Has its address space changed all the time. */
static int live_busily(void *arg)
{
	struct loop *l = arg;
	char *p;

	while (!l->stop) {
		l->step[0]++;
		ptf_touch_all(l->mem, LEN);
		p = ptf_anon(LEN);
		ptf_fill_page(p + PAGES(3), 1, 3);
		mprotect(p + PAGES(2), PAGES(4), PROT_READ);
		munmap(p, LEN);
		if (l->step[0] % 8 == 0)
			ptf_wait(ptf_child(touch_once, l->mem));
	}
	return 0;
}

static void *call_until_gone(void *arg)
{
	struct loop *l = arg;

	do {
		errno = 0;
		l->err = commands[l->cmd].call(l) ? errno : 0;
		l->step[1]++;
	} while (!l->stop);
	return NULL;
}

TEST_F_TIMEOUT(kill, targets, 300)
{
	unsigned int i, n = ptf_rounds(200), at = 0;
	int c, w, status = 0;
	struct loop l;
	pthread_t th;
	pid_t pid;

	for (c = 0; c < ARRAY_SIZE(commands); c++) {
		for (i = 0; i < n; i++) {
			l = (struct loop){ .mem = self->mem, .step = self->step, .cmd = c,
					   .fd = self->fd, .file = -1 };
			self->step[0] = 0;
			self->step[1] = 0;
			pid = ptf_child(live_busily, &l);
			ASSERT_TRUE(ptf_await(self->step, 1, 20000));
			l.pid = pid;
			test_cmd_target_open(pid, &l.target);
			ASSERT_EQ(0, pthread_create(&th, NULL, call_until_gone, &l));
			ASSERT_TRUE(ptf_await(self->step + 1, 1 + i % 3, 20000));
			spin_us(at++ * 41 % 1500);
			kill(pid, SIGKILL);
			if (i % 2)
				status = ptf_wait(pid);
			l.stop = 1;
			pthread_join(th, NULL);
			if (i % 2 == 0)
				status = ptf_wait(pid);
			ASSERT_EQ(256 + SIGKILL, status);
			/* A worker may have the last of its memory. */
			for (w = 0; w < 1000 && held_now(self->fd, NULL); w++)
				usleep(1000);
			/* Whatever it was doing: nothing of it is left. */
			EXPECT_EQ(0, held_now(self->fd, NULL)) {
				TH_LOG("%s, kill %u", commands[c].name, i);
			}
			l.err = do_walk(&l) ? errno : 0;
			EXPECT_EQ(ESRCH, l.err);
			test_cmd_target_close(l.target);
			ASSERT_EQ(0, ptf_wrong(self->mem, LEN, SEED));
		}
	}
}

/* Both at once, and the session's last reference goes with one of them. */
TEST_F_TIMEOUT(kill, both, 120)
{
	unsigned int i, n = ptf_rounds(300), sessions = 0;
	struct loop t, o;
	pid_t pid[2];

	for (i = 0; i < n; i++) {
		self->step[0] = 0;
		self->step[8] = 0;
		t = (struct loop){ .mem = self->mem, .step = self->step };
		pid[0] = ptf_child(live_busily, &t);
		o = (struct loop){ .mem = self->mem, .step = self->step + 8, .pid = pid[0],
				   .cmd = 6 + i % (ARRAY_SIZE(commands) - 6), .file = -1 };
		pid[1] = ptf_child(call_for_ever, &o);
		ASSERT_TRUE(ptf_await(self->step, 1, 20000));
		ASSERT_TRUE(ptf_await(self->step + 8, 2, 20000));
		spin_us(i * 53 % 2000);
		kill(pid[i % 2], SIGKILL);
		if (i % 3 == 0)
			spin_us(i * 7 % 300);
		kill(pid[!(i % 2)], SIGKILL);
		EXPECT_EQ(256 + SIGKILL, ptf_wait(pid[0]));
		EXPECT_EQ(256 + SIGKILL, ptf_wait(pid[1]));
		held_now(self->fd, &sessions);
		ASSERT_EQ(1, sessions);
	}
	EXPECT_EQ(0, ptf_wrong(self->mem, LEN, SEED));
}

/* Killed while the hook is being set for the first, or taken off for the last. */
TEST_F_TIMEOUT(kill, while_hooking, 120)
{
	unsigned int i, n = ptf_rounds(120), sessions;
	struct ptf_ioc_session_stat st;
	struct loop l;
	pid_t pid;
	int w;

	for (i = 0; i < n; i++) {
		if (i % 2)
			usleep(500000);
		l = (struct loop){ .mem = self->mem, .step = self->step, .cmd = 1, .file = -1 };
		self->step[0] = 0;
		pid = ptf_child(call_for_ever, &l);
		ASSERT_TRUE(ptf_await(self->step, 1, 20000));
		spin_us(i * 911 % 20000);
		ASSERT_EQ(256 + SIGKILL, ptf_kill(pid));
		ASSERT_EQ(0, held_now(self->fd, &sessions));
		ASSERT_EQ(1, sessions);
		ASSERT_EQ(0, ptf_wrong(self->mem, LEN, SEED));
	}
	/* Nobody needs it: it goes. */
	for (w = 0; w < 1000; w++) {
		test_cmd_session_stat(&st);
		if (!st.out_hooked)
			break;
		usleep(20000);
	}
	EXPECT_EQ(0, st.out_hooked);
}

/* ------------------------------------------------------------------ */
/* Loaded and unloaded under load                                      */

static int open_and_stash(void *arg)
{
	struct loop *l = arg;
	struct ptf_ioc_range_advise a;
	/* a module that always has users never goes */
	unsigned int seed = getpid(), pause = 3000 * ptf_env("PTF_SLOW", 1);
	int fd;

	ptf_fill(l->mem, LEN, SEED + 8);
	while (!l->step[2]) {
		fd = open(PTF_DEV, O_RDWR | O_CLOEXEC);
		if (fd >= 0) {
			if (!_test_cmd_range_advise(fd, &a, 0, PTF_ADV_STASH, l->mem, LEN, 0))
				__atomic_add_fetch(l->step + 3, 1, __ATOMIC_RELAXED);
			if (rand_r(&seed) % 2)
				ptf_touch_all(l->mem, LEN);
			close(fd);
		}
		if (ptf_wrong(l->mem, LEN, SEED + 8))
			return 1;
		usleep(rand_r(&seed) % pause);
	}
	return 0;
}

/* Faults by the thousand, so that some are always in the hook. */
static int fault_for_ever(void *arg)
{
	struct loop *l = arg;
	char *p;

	while (!l->step[2]) {
		p = ptf_anon(LEN);
		ptf_fill(p, LEN, 4);
		if (ptf_wrong(p, LEN, 4))
			return 1;
		munmap(p, LEN);
	}
	return 0;
}

TEST_F_TIMEOUT(kill, unload_under_load, 180)
{
	struct loop l = { .step = self->step, .mem = self->mem };
	const char *ko = getenv("PTF_MODULE");
	unsigned int gone = 0, want = ptf_rounds(60), i;
	pid_t pid[4];
	double t;
	int file;

	if (!ko)
		SKIP(return, "PTF_MODULE does not say where the module is");
	file = open(ko, O_RDONLY | O_CLOEXEC);
	ASSERT_LE(0, file);
	close(self->fd);
	for (i = 0; i < 3; i++)
		pid[i] = ptf_child(open_and_stash, &l);
	pid[3] = ptf_child(fault_for_ever, &l);
	t = ptf_seconds();
	while ((gone < want || !self->step[3]) &&
	       ptf_seconds() - t < 60 * ptf_env("PTF_SLOW", 1)) {
		if (!syscall(SYS_delete_module, "ptefault", O_NONBLOCK)) {
			gone++;
			usleep(gone * 977 % 4000);
			ASSERT_EQ(0, syscall(SYS_finit_module, file, "", 0)) {
				TH_LOG("%s", strerror(errno));
			}
			/* Let them in. */
			usleep(gone * 733 % 30000);
		}
		usleep(100);
	}
	self->step[2] = 1;
	for (i = 0; i < 4; i++)
		EXPECT_EQ(0, ptf_wait(pid[i]));
	EXPECT_LT(0, self->step[3]);
	EXPECT_LE(want, gone);
	EXPECT_EQ(0, ptf_wrong(self->mem, LEN, SEED));
}

/* A process whose memory is stashed dies while the module's last user goes. */
TEST_F_TIMEOUT(kill, unload_after_kill, 120)
{
	struct loop l = { .step = self->step, .mem = self->mem, .cmd = 9, .file = -1 };
	const char *ko = getenv("PTF_MODULE");
	unsigned int i, n = ptf_rounds(50);
	pid_t pid;
	int file, w, ret;

	if (!ko)
		SKIP(return, "PTF_MODULE does not say where the module is");
	file = open(ko, O_RDONLY | O_CLOEXEC);
	ASSERT_LE(0, file);
	close(self->fd);
	for (i = 0; i < n; i++) {
		l.pid = i % 2 ? getpid() : 0;
		self->step[0] = 0;
		pid = ptf_child(call_for_ever, &l);
		ASSERT_TRUE(ptf_await(self->step, 2, 20000));
		spin_us(i * 97 % 1000);
		kill(pid, SIGKILL);
		for (w = 0; w < 20000; w++) {
			ret = syscall(SYS_delete_module, "ptefault", O_NONBLOCK);
			if (!ret)
				break;
			usleep(500);
		}
		ASSERT_EQ(0, ret) {
			TH_LOG("%s", strerror(errno));
		}
		EXPECT_EQ(256 + SIGKILL, ptf_wait(pid));
		ASSERT_EQ(0, ptf_wrong(self->mem, LEN, SEED));
		ASSERT_EQ(0, syscall(SYS_finit_module, file, "", 0));
	}
}

TEST_HARNESS_MAIN
