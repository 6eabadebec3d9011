// SPDX-License-Identifier: GPL-2.0-only
/*
 * Targets: whose address space a session may act on, what a number stands for,
 * and what is left of it when the process goes, execs, or its pid is reused.
 */
#include "ptf_test.h"

#include <sys/socket.h>
#include <linux/capability.h>
#include <linux/sched.h>

#define LEN	PAGES(4)
#define SEED	21

FIXTURE(target) {
	int fd;
	struct ptf_log log;
	char *mem;		/* the same address in every child */
	volatile unsigned int *step;
	struct ptf_row rows[8];
};

static volatile unsigned int *child_step;

static int wait_forever(void *unused)
{
	for (;;)
		pause();
	return 0;
}

FIXTURE_SETUP(target)
{
	self->fd = ptf_setup(_metadata, &self->log);
	if (self->fd < 0)
		return;
	self->mem = ptf_anon(LEN);
	ASSERT_NE(NULL, self->mem);
	ptf_fill(self->mem, LEN, SEED);
	self->step = ptf_shared(PAGE);
	ASSERT_NE(NULL, (void *)self->step);
	child_step = self->step;
}

PTF_TEARDOWN(target)

/* Own memory written again, so that parent and child have pages of their own. */
static int refill_and_wait(void *mem)
{
	ptf_fill(mem, LEN, SEED + 1);
	child_step[0]++;
	while (!child_step[1])
		usleep(500);
	if (ptf_wrong(mem, LEN, SEED + 1))
		return 1;
	return 0;
}

TEST_F(target, same_twice)
{
	struct ptf_ioc_range_advise adv;
	__u32 a, b, c, d;
	pid_t pid = ptf_child(wait_forever, NULL);
	pid_t other = ptf_child(wait_forever, NULL);

	test_cmd_target_open(pid, &a);
	test_cmd_target_open(pid, &b);
	EXPECT_EQ(a, b);
	EXPECT_NE(PTF_TARGET_SELF, a);
	test_cmd_target_open(other, &c);
	EXPECT_NE(a, c);
	EXPECT_NE(PTF_TARGET_SELF, c);
	/* Counted: the first close leaves it open. */
	test_cmd_target_close(a);
	test_cmd_range_advise(&adv, a, PTF_ADV_PRESENT, self->mem, LEN, 0);
	test_cmd_target_close(a);
	test_err_range_advise(ENOENT, &adv, a, PTF_ADV_PRESENT, self->mem, LEN, 0);
	test_err_target_close(ENOENT, a);
	test_cmd_range_advise(&adv, c, PTF_ADV_PRESENT, self->mem, LEN, 0);
	/* A number never comes back for another one. */
	test_cmd_target_open(pid, &d);
	EXPECT_NE(c, d);
	test_cmd_target_close(d);
	test_cmd_target_close(c);
	ptf_kill(pid);
	ptf_kill(other);
}

TEST_F(target, close_wrong)
{
	static const __u32 t[] = { 1, 2, 99, 0x7fffffff, 0x80000000, 0xffffffff };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(t); i++)
		test_err_target_close(ENOENT, t[i]);
	test_err_target_close(EINVAL, PTF_TARGET_SELF);
	/* And it is still there. */
	test_cmd_advise_all(PTF_ADV_NOTPRESENT, self->mem, LEN);
}

/* Numbers belong to a session. */
TEST_F(target, of_another_session)
{
	struct ptf_ioc_range_advise adv;
	int fd2 = open(PTF_DEV, O_RDWR | O_CLOEXEC);
	pid_t pid = ptf_child(wait_forever, NULL);
	__u32 a;

	ASSERT_LE(0, fd2);
	test_cmd_target_open(pid, &a);
	EXPECT_ERRNO(ENOENT, _test_cmd_range_advise(fd2, &adv, a, PTF_ADV_NOTPRESENT,
						    self->mem, LEN, 0));
	EXPECT_ERRNO(ENOENT, _test_cmd_target_close(fd2, a));
	test_cmd_range_advise(&adv, a, PTF_ADV_NOTPRESENT, self->mem, LEN, 0);
	close(fd2);
	test_cmd_range_advise(&adv, a, PTF_ADV_PRESENT, self->mem, LEN, 0);
	ptf_kill(pid);
}

TEST_F(target, bad_pids)
{
	static const int nonsense[] = { 0, -1, -2, INT_MIN };
	unsigned int i;
	pid_t pid;

	for (i = 0; i < ARRAY_SIZE(nonsense); i++) {
		__u32 t;

		errno = 0;
		EXPECT_EQ(-1, _test_cmd_target_open(self->fd, nonsense[i], &t));
		EXPECT_TRUE(errno == EINVAL || errno == ESRCH) {
			TH_LOG("pid %d: %s", nonsense[i], strerror(errno));
		}
	}
	/* More than any kernel gives out. */
	test_err_target_open(ESRCH, 4194304 + 1);
	test_err_target_open(ESRCH, INT_MAX);
	/* A kernel thread. */
	test_err_target_open(ESRCH, 2);
	/* A zombie, and then nobody. */
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid)
		_exit(0);
	ASSERT_EQ(0, waitid(P_PID, pid, NULL, WEXITED | WNOWAIT));
	test_err_target_open(ESRCH, pid);
	ptf_wait(pid);
	test_err_target_open(ESRCH, pid);
}

TEST_F(target, not_ours_to_touch)
{
	volatile unsigned int *s = self->step;
	__u32 a;
	pid_t pid;

	/* The clear reaches the child's page and leaves ours alone. */
	pid = ptf_child(refill_and_wait, self->mem);
	ASSERT_TRUE(ptf_await(s, 1, 10000));
	ptf_fill(self->mem, LEN, SEED);
	test_cmd_target_open(pid, &a);
	test_cmd_advise_target_all(a, PTF_ADV_NOTPRESENT, self->mem, LEN);
	test_cmd_query_pages(a, self->mem, LEN, self->rows);
	EXPECT_EQ(PTF_STATE_HINT, self->rows[0].state);
	EXPECT_EQ(PTF_STATE_HINT, self->rows[3].state);
	test_cmd_query_pages(0, self->mem, LEN, self->rows);
	EXPECT_EQ(PTF_STATE_PRESENT, self->rows[0].state);
	EXPECT_EQ(PTF_STATE_PRESENT, self->rows[3].state);
	s[1] = 1;
	EXPECT_EQ(0, ptf_wait(pid));
	EXPECT_EQ(0, ptf_wrong(self->mem, LEN, SEED));
}

static void *thread_waits(void *arg)
{
	*(volatile pid_t *)arg = syscall(SYS_gettid);
	for (;;)
		pause();
	return NULL;
}

/* A thread's id stands for the address space of its process. */
TEST_F(target, by_thread)
{
	volatile pid_t tid = 0;
	pthread_t th;
	__u32 a, b;

	ASSERT_EQ(0, pthread_create(&th, NULL, thread_waits, (void *)&tid));
	while (!tid)
		sched_yield();
	test_cmd_target_open(tid, &a);
	test_cmd_target_open(getpid(), &b);
	EXPECT_EQ(a, b);
	test_cmd_advise_target_all(a, PTF_ADV_NOTPRESENT, self->mem, LEN);
	test_cmd_query_pages(0, self->mem, LEN, self->rows);
	EXPECT_EQ(PTF_STATE_HINT, self->rows[0].state);
}

/* Of the very address space that opened the fd, whoever holds it. */
static int inherited(void *arg)
{
	struct ptf_row rows[4];
	struct ptf_ioc_range_query q;
	struct ptf_ioc_range_advise adv;
	char **p = arg;
	int fd = *(int *)p[1];

	ptf_fill(p[0], LEN, SEED + 2);
	if (_test_cmd_range_advise(fd, &adv, PTF_TARGET_SELF, PTF_ADV_NOTPRESENT, p[0], LEN, 0))
		return 1;
	if (adv.out_done_pages != 4)
		return 2;
	/* Ours is untouched: our own faults tell. */
	long min0 = ptf_minflt();

	ptf_touch_all(p[0], LEN);
	if (ptf_minflt() != min0)
		return 3;
	if (_test_cmd_range_query(fd, &q, PTF_TARGET_SELF, p[0], LEN, PTF_QUERY_F_PAGES, rows, 4))
		return 4;
	if (rows[0].state != PTF_STATE_HINT || rows[3].state != PTF_STATE_HINT)
		return 5;
	return ptf_wrong(p[0], LEN, SEED + 2) ? 6 : 0;
}

TEST_F(target, self_is_the_opener)
{
	char *arg[2] = { self->mem, (char *)&self->fd };
	long min0;
	pid_t pid = ptf_child(inherited, arg);

	EXPECT_EQ(0, ptf_wait(pid));
	test_cmd_query_pages(0, self->mem, LEN, self->rows);
	EXPECT_EQ(PTF_STATE_HINT, self->rows[0].state);
	min0 = ptf_minflt();
	ptf_touch_all(self->mem, LEN);
	EXPECT_EQ(min0 + 4, ptf_minflt());
	EXPECT_EQ(0, ptf_wrong(self->mem, LEN, SEED));
}

/* The opener gone, its fd still held by another: the number stands for nobody. */
TEST_F(target, opener_gone)
{
	struct ptf_ioc_range_advise adv;
	struct ptf_ioc_range_query q;
	struct ptf_ioc_page_walk walk;
	struct ptf_ioc_features_get f;
	struct ptf_ioc_session_stat st;
	struct {
		struct cmsghdr h;
		int fd;
	} c = { .h = { .cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET,
		       .cmsg_type = SCM_RIGHTS } };
	char byte = 0;
	struct iovec iov = { &byte, 1 };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &c,
			      .msg_controllen = CMSG_SPACE(sizeof(int)) };
	int sv[2], fd;
	pid_t pid;
	__u32 t;

	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, sv));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		c.fd = open(PTF_DEV, O_RDWR);
		_exit(c.fd < 0 || sendmsg(sv[0], &msg, 0) != 1);
	}
	EXPECT_EQ(0, ptf_wait(pid));
	ASSERT_EQ(1, recvmsg(sv[1], &msg, 0));
	fd = c.fd;
	EXPECT_ERRNO(ESRCH, _test_cmd_range_advise(fd, &adv, 0, PTF_ADV_NOTPRESENT, self->mem,
						   LEN, 0));
	EXPECT_ERRNO(ESRCH, _test_cmd_range_query(fd, &q, 0, self->mem, LEN, 0, self->rows, 8));
	EXPECT_ERRNO(ESRCH, _test_cmd_page_walk(fd, &walk, 0, self->mem));
	ASSERT_OK(_test_cmd_features_get(fd, &f, 0));
	ASSERT_OK(_test_cmd_session_stat(fd, &st));
	/* A target of its own still works through it. */
	ASSERT_OK(_test_cmd_target_open(fd, getpid(), &t));
	ASSERT_OK(_test_cmd_range_advise(fd, &adv, t, PTF_ADV_NOTPRESENT, self->mem, LEN, 0));
	EXPECT_EQ(4, adv.out_done_pages);
	EXPECT_EQ(0, ptf_wrong(self->mem, LEN, SEED));
	close(fd);
}

/* exec makes a new address space; the old number must not follow it there. */
TEST_F(target, exec)
{
	struct ptf_ioc_range_advise adv;
	struct ptf_ioc_range_query q;
	struct ptf_ioc_page_walk walk;
	int out[2], in[2];
	__u32 a, b;
	char byte;
	pid_t pid;

	ASSERT_EQ(0, pipe(out));
	ASSERT_EQ(0, pipe(in));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (read(in[0], &byte, 1) != 1)
			_exit(1);
		dup2(out[1], 1);
		execl("/bin/sh", "sh", "-c", "echo x; while :; do sleep 1; done", NULL);
		_exit(2);
	}
	test_cmd_target_open(pid, &a);
	test_cmd_range_advise(&adv, a, PTF_ADV_NOTPRESENT, self->mem, LEN, 0);
	ASSERT_EQ(1, write(in[1], "x", 1));
	ASSERT_EQ(1, read(out[0], &byte, 1));
	test_err_range_advise(ESRCH, &adv, a, PTF_ADV_NOTPRESENT, self->mem, LEN, 0);
	test_err_range_query(ESRCH, &q, a, self->mem, LEN, 0, self->rows, 8);
	test_err_page_walk(ESRCH, &walk, a, self->mem);
	/* The same pid again is another target. */
	test_cmd_target_open(pid, &b);
	EXPECT_NE(a, b);
	test_err_range_advise(ESRCH, &adv, a, PTF_ADV_NOTPRESENT, self->mem, LEN, 0);
	test_cmd_range_advise(&adv, b, PTF_ADV_NOTPRESENT, (void *)0, USER_END_4, 0);
	EXPECT_LT(0, adv.out_done_pages);
	test_cmd_target_close(a);
	test_cmd_target_close(b);
	EXPECT_EQ(256 + SIGKILL, ptf_kill(pid));
}

/* A pid that comes back is not the process that was meant. */
TEST_F(target, reused_pid)
{
	struct clone_args args = { .exit_signal = SIGCHLD, .set_tid_size = 1 };
	struct ptf_ioc_range_advise adv;
	pid_t pid, again;
	__u32 a, b;
	long min0, min1, maj;

	pid = ptf_child(wait_forever, NULL);
	test_cmd_target_open(pid, &a);
	ptf_kill(pid);
	test_err_range_advise(ESRCH, &adv, a, PTF_ADV_NOTPRESENT, self->mem, LEN, 0);
	args.set_tid = u64ptr(&pid);
	again = syscall(SYS_clone3, &args, sizeof(args));
	if (again < 0)
		SKIP(return, "clone3 with a chosen pid: %s", strerror(errno));
	if (!again) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		self->step[0] = 1;
		_exit(refill_and_wait(self->mem));
	}
	ASSERT_EQ(pid, again);
	ASSERT_TRUE(ptf_await(self->step, 2, 10000));
	ASSERT_EQ(0, ptf_tid_faults(again, again, &min0, &maj));
	test_err_range_advise(ESRCH, &adv, a, PTF_ADV_NOTPRESENT, self->mem, LEN, 0);
	self->step[1] = 1;
	EXPECT_EQ(0, waitid(P_PID, again, NULL, WEXITED | WNOWAIT));
	ASSERT_EQ(0, ptf_tid_faults(again, again, &min1, &maj));
	EXPECT_GT(min0 + 4, min1);
	EXPECT_EQ(0, ptf_wait(again));
	/* The dead one does not hold the number for the new. */
	pid = ptf_child(wait_forever, NULL);
	test_cmd_target_open(pid, &b);
	EXPECT_NE(a, b);
	test_cmd_target_close(a);
	test_cmd_target_close(b);
	ptf_kill(pid);
}

static int try_open(int fd, pid_t pid)
{
	__u32 t;

	return _test_cmd_target_open(fd, pid, &t) ? errno : 0;
}

/* No right: not by uid, only by CAP_SYS_PTRACE over the target's namespace. */
TEST_F(target, permission)
{
	struct __user_cap_header_struct hdr = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct data[2];
	pid_t pid, other = ptf_child(wait_forever, NULL);
	__u32 t;

	/* Another user, holding an fd that root opened. */
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		if (setresgid(65534, 65534, 65534) || setresuid(65534, 65534, 65534))
			_exit(1);
		if (try_open(self->fd, other) != EPERM)
			_exit(2);
		if (try_open(self->fd, 1) != EPERM)
			_exit(3);
		/* One's own is one's own. */
		if (try_open(self->fd, getpid()) != 0)
			_exit(4);
		/* And the opener's was passed on with the fd. */
		if (try_open(self->fd, getppid()) != 0)
			_exit(5);
		_exit(0);
	}
	EXPECT_EQ(0, ptf_wait(pid));

	/* Root by uid, but without the capability. */
	ASSERT_EQ(0, syscall(SYS_capget, &hdr, data));
	data[CAP_SYS_PTRACE / 32].effective &= ~(1U << (CAP_SYS_PTRACE % 32));
	ASSERT_EQ(0, syscall(SYS_capset, &hdr, data));
	test_err_target_open(EPERM, other);
	test_err_target_open(EPERM, 1);
	test_cmd_target_open(getpid(), &t);
	data[CAP_SYS_PTRACE / 32].effective |= 1U << (CAP_SYS_PTRACE % 32);
	ASSERT_EQ(0, syscall(SYS_capset, &hdr, data));
	test_cmd_target_open(other, &t);
	ptf_kill(other);
}

static int in_new_userns(void *arg)
{
	char **p = arg;
	int fd = *(int *)p[1];
	pid_t outside = *(pid_t *)p[0];
	pid_t child;
	int ret = 0, i;

	if (unshare(CLONE_NEWUSER))
		return errno == ENOSYS || errno == EPERM || errno == ENOSPC ? 77 : 1;
	/* All capabilities, but here. */
	child = fork();
	if (child < 0)
		return 1;
	if (!child) {
		/* A new address space is the namespace's own only after exec. */
		execl("/bin/sleep", "sleep", "30", NULL);
		_exit(1);
	}
	for (i = 0; i < 200 && try_open(fd, child); i++)
		usleep(50000);
	if (try_open(fd, outside) != EPERM)
		ret = 2;
	else if (try_open(fd, 1) != EPERM)
		ret = 3;
	else if (try_open(fd, child) != 0)
		ret = 4;
	else if (try_open(fd, getpid()) != 0)
		ret = 5;
	child_step[0] = child;
	while (!child_step[1])
		usleep(1000);
	ptf_kill(child);
	return ret;
}

TEST_F(target, user_namespace)
{
	pid_t other = ptf_child(wait_forever, NULL), pid;
	char *arg[2] = { (char *)&other, (char *)&self->fd };
	__u32 t;
	int ret;

	pid = ptf_child(in_new_userns, arg);
	if (ptf_await(self->step, 1, 15000)) {
		/* From outside, with the capability over everything. */
		test_cmd_target_open(self->step[0], &t);
	}
	self->step[1] = 1;
	ret = ptf_wait(pid);
	ptf_kill(other);
	if (ret == 77)
		SKIP(return, "no user namespaces here");
	EXPECT_EQ(0, ret);
}

static int in_new_pidns(void *arg)
{
	char **p = arg;
	int fd = *(int *)p[1], err;
	struct ptf_ioc_range_advise adv;
	__u32 t;

	/* Process 1 is the caller itself there, and outsiders have no number. */
	if (getpid() != 1)
		return 10;
	ptf_fill(p[0], LEN, SEED + 3);
	if (_test_cmd_target_open(fd, 1, &t))
		return 1;
	if (_test_cmd_range_advise(fd, &adv, t, PTF_ADV_NOTPRESENT, p[0], LEN, 0))
		return 2;
	if (adv.out_done_pages != 4)
		return 3;
	long min0 = ptf_minflt();

	ptf_touch_all(p[0], LEN);
	if (ptf_minflt() != min0 + 4)
		return 4;
	err = try_open(fd, *(pid_t *)p[2]);
	if (err != ESRCH)
		return 5;
	return ptf_wrong(p[0], LEN, SEED + 3) ? 6 : 0;
}

TEST_F(target, pid_namespace)
{
	pid_t other = ptf_child(wait_forever, NULL), pid;
	char *arg[3] = { self->mem, (char *)&self->fd, (char *)&other };

	if (unshare(CLONE_NEWPID))
		SKIP(return, "no pid namespaces here: %s", strerror(errno));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid)
		_exit(in_new_pidns(arg));
	EXPECT_EQ(0, ptf_wait(pid));
	ptf_kill(other);
}

static unsigned long available_kb(void)
{
	unsigned long kb = 0;
	char line[128];
	FILE *f = fopen("/proc/meminfo", "re");

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "MemAvailable: %lu", &kb) == 1)
			break;
	if (f)
		fclose(f);
	return kb;
}

static int hold_memory(void *unused)
{
	char *m = mmap(NULL, 128 * MB, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

	if (m == MAP_FAILED)
		return 1;
	child_step[0]++;
	return wait_forever(NULL);
}

/* Targets hold no memory of a process that has gone. */
TEST_F_TIMEOUT(target, memory_goes_with_the_process, 60)
{
	struct ptf_ioc_range_advise adv;
	unsigned long before = available_kb(), with, after;
	int i;
	__u32 t;
	pid_t pid;

	pid = ptf_child(hold_memory, NULL);
	test_cmd_target_open(pid, &t);
	ASSERT_TRUE(ptf_await(self->step, 1, 30000));
	test_cmd_range_advise(&adv, t, PTF_ADV_NOTPRESENT, (void *)0, USER_END_4, 0);
	with = available_kb();
	ASSERT_LT(64 * 1024, before - with);
	ptf_kill(pid);
	for (i = 0; i < 100; i++) {
		after = available_kb();
		if (after > with + 64 * 1024)
			break;
		usleep(50000);
	}
	EXPECT_GT(100, i) {
		TH_LOG("%lu kB before, %lu with, %lu after it went", before, with, after);
	}
	test_err_range_advise(ESRCH, &adv, t, PTF_ADV_NOTPRESENT, self->mem, LEN, 0);

	for (i = 0; i < 50; i++) {
		pid = ptf_child(wait_forever, NULL);
		test_cmd_target_open(pid, &t);
		test_cmd_range_advise(&adv, t, PTF_ADV_NOTPRESENT, self->mem, LEN, 0);
		ptf_kill(pid);
		/* Dead, though the target is open. */
		test_err_range_advise(ESRCH, &adv, t, PTF_ADV_NOTPRESENT, self->mem, LEN, 0);
		if (i & 1)
			test_cmd_target_close(t);
	}
}

TEST_F_TIMEOUT(target, many, 120)
{
	struct ptf_ioc_session_stat st;
	int i, j, n = ptf_many(200);
	pid_t pid[200];
	__u32 t[200];

	for (i = 0; i < n; i++) {
		pid[i] = ptf_child(wait_forever, NULL);
		ASSERT_LT(0, pid[i]);
		test_cmd_target_open(pid[i], &t[i]);
		for (j = 0; j < i; j++)
			ASSERT_NE(t[j], t[i]);
	}
	test_cmd_session_stat(&st);
	EXPECT_LE(n, st.out_targets);
	for (i = 0; i < n; i++) {
		struct ptf_ioc_range_advise adv;

		test_cmd_range_advise(&adv, t[i], PTF_ADV_NOTPRESENT, self->mem, LEN, 0);
		ASSERT_EQ(4, adv.out_done_pages + adv.out_same_pages);
	}
	for (i = 0; i < n; i++)
		ptf_kill(pid[i]);
	EXPECT_EQ(0, ptf_wrong(self->mem, LEN, SEED));
}

TEST_HARNESS_MAIN
