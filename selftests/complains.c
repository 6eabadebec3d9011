// SPDX-License-Identifier: GPL-2.0-only
/*
 * Not a test of anything but the suite itself: here the kernel is made to
 * complain, and the fixture has to notice. "suite" are complaints that every
 * kernel has, and what is none; test_suite.sh runs it. "checkers" is one test for
 * each checker of the debug kernel; test_checkers.sh runs it, and names the
 * module that makes the trouble (scripts/vm-trouble.c) in PTF_TROUBLE. In both
 * "not ok" is what has to come out.
 */
#include "ptf_test.h"

#include "modules/ptftest.h"

FIXTURE(suite) {
	int fd;
	struct ptf_log log;
};

FIXTURE_SETUP(suite)
{
	self->fd = ptf_setup(_metadata, &self->log);
}

PTF_TEARDOWN(suite)

static int complain(int what)
{
	int fd = open(PTFTEST_DEV, O_RDWR | O_CLOEXEC);

	return ioctl(fd, PTFTEST_WARN, what);
}

TEST_F(suite, quiet)
{
	int fd = open("/dev/kmsg", O_WRONLY | O_CLOEXEC);

	/* Words that sound bad and are none. */
	EXPECT_EQ(28, write(fd, "<6>debug: a call, a warning\n", 28));
	close(fd);
}

TEST_F(suite, warns)
{
	EXPECT_EQ(0, complain(0));
}

TEST_F(suite, locks)
{
	EXPECT_EQ(0, complain(1));
}

TEST_F(suite, taints)
{
	EXPECT_EQ(0, complain(2));
}

TEST_F(suite, crashes)
{
	volatile int *volatile nowhere = NULL;

	*nowhere = 0;
}

TEST_F(suite, skips)
{
	SKIP(return, "because it says so");
}

FIXTURE(checkers) {
	int fd;
	const char *module;
	struct ptf_log log;
};

FIXTURE_SETUP(checkers)
{
	self->module = getenv("PTF_TROUBLE");
	if (!self->module)
		SKIP(return, "test_checkers.sh runs it");
	self->fd = ptf_setup(_metadata, &self->log);
}

PTF_TEARDOWN(checkers)

/* The module does it while it loads, and then refuses to. */
static int trouble(const char *module, const char *what)
{
	int fd = open(module, O_RDONLY | O_CLOEXEC);
	char param[64];
	int ret;

	snprintf(param, sizeof(param), "what=%s", what);
	ret = syscall(SYS_finit_module, fd, param, 0);
	close(fd);
	return ret;
}

#define TROUBLE(what)	EXPECT_ERRNO(EAGAIN, trouble(self->module, what))

/*
 * In this order: lockdep stops at its own first report and at others', the search
 * for hung tasks at the first oops, and what leaves the kernel crippled is last.
 */
TEST_F(checkers, rcu_usage)
{
	TROUBLE("rcu");
}

TEST_F(checkers, lock_order)
{
	TROUBLE("deadlock");
}

TEST_F(checkers, sleep_in_atomic)
{
	TROUBLE("sleep");
}

TEST_F(checkers, schedule_in_atomic)
{
	TROUBLE("atomic");
}

TEST_F(checkers, ubsan_index)
{
	TROUBLE("index");
}

TEST_F(checkers, ubsan_shift)
{
	TROUBLE("shift");
}

TEST_F(checkers, refcount)
{
	TROUBLE("refcount");
}

TEST_F(checkers, object_in_use)
{
	TROUBLE("object");
}

TEST_F(checkers, bad_page)
{
	TROUBLE("bad-page");
}

/* The address space that goes is the caller's own; the last of it goes late. */
TEST_F(checkers, mm_counters)
{
	pid_t child = fork();

	ASSERT_LE(0, child);
	if (!child)
		_exit(trouble(self->module, "mm") != -1 || errno != EAGAIN);
	ASSERT_EQ(child, waitpid(child, NULL, 0));
	sleep(2);
}

TEST_F(checkers, hung_task)
{
	ASSERT_EQ(0, ptf_write_file("/proc/sys/kernel/hung_task_timeout_secs", "1"));
	TROUBLE("hung");
	EXPECT_EQ(0, ptf_write_file("/proc/sys/kernel/hung_task_timeout_secs", "120"));
}

TEST_F(checkers, rcu_stall)
{
	static const char timeout[] = "/sys/module/rcupdate/parameters/rcu_cpu_stall_timeout";
	char was[16];

	snprintf(was, sizeof(was), "%lu", ptf_read_ulong(timeout, 60));
	ASSERT_EQ(0, ptf_write_file(timeout, "3"));
	TROUBLE("stall");
	EXPECT_EQ(0, ptf_write_file(timeout, was));
}

TEST_F(checkers, list)
{
	TROUBLE("list");
}

TEST_F(checkers, debug_vm)
{
	TROUBLE("debug-vm");
}

TEST_F(checkers, page_table_check)
{
	TROUBLE("page-table");
}

TEST_F(checkers, usercopy)
{
	TROUBLE("usercopy");
}

TEST_F(checkers, kasan_vmalloc)
{
	TROUBLE("out-of-bounds");
}

TEST_F(checkers, kasan_slab)
{
	TROUBLE("use-after-free");
}

/* No complaint, but it has to work: what is asked to fail fails, also allocations. */
TEST_F(checkers, fail_nth)
{
	char path[64], nth[16];
	int fd, other, n, enomem = 0;

	/* By itself it spares allocations that may wait, which nearly all may. */
	ASSERT_EQ(0, ptf_write_file("/sys/kernel/debug/failslab/ignore-gfp-wait", "N"));
	snprintf(path, sizeof(path), "/proc/self/task/%d/fail-nth", (int)gettid());
	fd = open(path, O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, fd);
	for (n = 1; n < 100; n++) {
		snprintf(nth, sizeof(nth), "%d", n);
		ASSERT_EQ(strlen(nth), pwrite(fd, nth, strlen(nth), 0));
		errno = 0;
		other = open(PTF_DEV, O_RDWR | O_CLOEXEC);
		if (other >= 0)
			break;
		enomem += errno == ENOMEM;
	}
	/* The rest of the count is still there, and may come to this very call. */
	if (pwrite(fd, "0", 1, 0) != 1)
		ASSERT_EQ(1, pwrite(fd, "0", 1, 0));
	EXPECT_LE(0, other);
	EXPECT_LT(0, enomem);
	close(other);
	close(fd);
}

/* Found when the VM ends: the module stays, so that the report can name it. */
TEST_F(checkers, leak)
{
	EXPECT_EQ(0, trouble(self->module, "leak"));
}

TEST_HARNESS_MAIN
