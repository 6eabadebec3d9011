// SPDX-License-Identifier: GPL-2.0-only
/*
 * Threads that wait for an answer, handlers of another module, the switch pages,
 * and all of it while somebody is killed, closes, or unloads.
 */
/* vm: default */
/* vm: --numa 2 */
#include "ptf_test.h"
#include "rule.h"

#include <sys/uio.h>

#include <poll.h>
#include <sys/epoll.h>

#define NR	16
#define LEN	PAGES(NR)
#define SEED	83

FIXTURE(hold) {
	int fd;
	struct ptf_log log;
	char *mem;
};

FIXTURE_SETUP(hold)
{
	self->fd = ptf_setup(_metadata, &self->log);
	if (self->fd < 0)
		return;
	if (!(ptf_features(self->fd) & PTF_FEATURE_RULE))
		SKIP(return, "the fault handler can't be hooked here");
	self->mem = ptf_anon(LEN);
	ASSERT_NE(NULL, self->mem);
	ptf_fill(self->mem, LEN, SEED);
	ASSERT_EQ(0, ptf_catch());
}

PTF_TEARDOWN(hold)

/* One event, within ten seconds. */
static int next_event(int fd, struct ptf_event *ev)
{
	struct pollfd p = { fd, POLLIN, 0 };

	memset(ev, POISON, sizeof(*ev));
	if (poll(&p, 1, 10000) != 1)
		return -1;
	return read(fd, ev, sizeof(*ev)) == sizeof(*ev) ? 0 : -1;
}

static int answer(int fd, __u64 held, __u32 action, const void *content, __u32 bytes)
{
	struct ptf_ioc_held_answer a = { .size = sizeof(a), .held = held, .action = action,
					 .content = u64ptr(content), .content_bytes = bytes };

	return ioctl(fd, PTF_IOC_HELD_ANSWER, &a);
}

struct access {
	char *p;
	bool write;
	volatile int ret;
	volatile unsigned int done, tid;
	unsigned char saw;
};

static void *do_access(void *arg)
{
	struct access *a = arg;

	a->tid = syscall(SYS_gettid);
	a->ret = a->write ? ptf_try_write(a->p) : ptf_try_read(a->p);
	if (!a->ret)
		a->saw = *(volatile unsigned char *)a->p;
	__atomic_store_n(&a->done, 1, __ATOMIC_SEQ_CST);
	return NULL;
}

#define start(th, a, addr, ...) do { \
	*(a) = (struct access){ .p = (addr), ##__VA_ARGS__ }; \
	ASSERT_EQ(0, pthread_create(th, NULL, do_access, a)); \
} while (0)

TEST_F(hold, outcomes)
{
	static const struct {
		__u32 action;
		int ret;
	} t[] = {
		{ PTF_ACT_GO, 0 }, { PTF_ACT_SIGBUS, -SIGBUS }, { PTF_ACT_SIGSEGV, -SIGSEGV },
		{ PTF_ACT_HWPOISON, -SIGBUS }, { PTF_ACT_OOM, 0 }, { PTF_ACT_RETRY, 0 },
	};
	struct ptf_ioc_session_stat st;
	struct ptf_event ev;
	struct access a;
	struct ptf_rule r;
	pthread_t th;
	unsigned int i;

	test_rule_add(&r, self->mem, LEN, PTF_ACT_HOLD, .origin = PTF_ORIGIN_USER);
	test_rule_arm(0);
	for (i = 0; i < ARRAY_SIZE(t); i++) {
		start(&th, &a, self->mem + PAGES(i) + 3, .write = i & 1);
		ASSERT_EQ(0, next_event(self->fd, &ev));
		EXPECT_EQ(PTF_EVENT_HELD, ev.type);
		EXPECT_EQ(i + 1, ev.held);
		EXPECT_EQ(u64ptr(a.p), ev.addr);
		EXPECT_EQ(a.tid, ev.tid);
		EXPECT_EQ(i & 1 ? PTF_ACCESS_WRITE : PTF_ACCESS_READ, ev.access);
		usleep(5000);
		EXPECT_EQ(0, a.done);
		test_cmd_session_stat(&st);
		EXPECT_EQ(1, st.out_held);
		ASSERT_EQ(0, answer(self->fd, ev.held, t[i].action, NULL, 0));
		pthread_join(th, NULL);
		EXPECT_EQ(t[i].ret, a.ret) {
			TH_LOG("action %u", t[i].action);
		}
		/* nobody waits under that number any more */
		EXPECT_ERRNO(ENOENT, answer(self->fd, ev.held, PTF_ACT_GO, NULL, 0));
	}
	test_cmd_session_stat(&st);
	EXPECT_EQ(0, st.out_held);
	EXPECT_EQ(ARRAY_SIZE(t), st.out_rule_hits);
	EXPECT_EQ(0, st.out_events_lost);
}

/* Content first: on every kind of page, and nobody sees half of it. */
struct half {
	volatile unsigned char *p;
	volatile unsigned int stop, torn, looks, first;
};

static void *look_for_halves(void *arg)
{
	struct half *h = arg;
	unsigned char a, b;

	while (!h->stop) {
		/* the end is written last, and looked at last: it is new if the beginning is */
		a = h->p[0];
		__atomic_thread_fence(__ATOMIC_SEQ_CST);
		b = h->p[PAGE - 1];
		if (a == 0xc7 && b != 0xc7)
			h->torn++;
		h->looks++;
	}
	return NULL;
}

/* Content that was put in is a write for who keeps track of them, a read or not. */
TEST_F(hold, content_is_tracked)
{
	struct ptf_ioc_track_start ts = { .size = sizeof(ts), .start = u64ptr(self->mem),
					  .end = u64ptr(self->mem) + LEN };
	struct ptf_range got;
	struct ptf_ioc_track_read tr = { .size = sizeof(tr), .start = u64ptr(self->mem),
					 .end = u64ptr(self->mem) + LEN,
					 .ranges = u64ptr(&got), .nr_ranges = 1 };
	struct ptf_event ev;
	struct access a;
	struct ptf_rule r;
	pthread_t th;

	if (!(ptf_features(self->fd) & PTF_FEATURE_TRACK))
		SKIP(return, "no write tracking on this kernel");
	ASSERT_OK(ioctl(self->fd, PTF_IOC_TRACK_START, &ts));
	test_rule_add(&r, self->mem, LEN, PTF_ACT_HOLD, .origin = PTF_ORIGIN_USER, .times = 1);
	test_rule_arm(0);
	start(&th, &a, self->mem + PAGES(2));
	ASSERT_EQ(0, next_event(self->fd, &ev));
	ASSERT_EQ(0, answer(self->fd, ev.held, PTF_ACT_GO, "content", 7));
	pthread_join(th, NULL);
	EXPECT_EQ(0, a.ret);
	EXPECT_EQ('c', a.saw);
	ASSERT_OK(ioctl(self->fd, PTF_IOC_TRACK_READ, &tr));
	EXPECT_EQ(1, tr.out_pages);
	EXPECT_EQ(1, tr.out_ranges);
	EXPECT_EQ(u64ptr(self->mem) + PAGES(2), got.start);
}

TEST_F_TIMEOUT(hold, content, 60)
{
	char *kind[7], content[PAGE];
	int shm = ptf_file_in("/dev/shm", PAGE, SEED), file = ptf_file_in("/tmp", PAGE, SEED);
	struct ptf_event ev;
	struct ptf_rule r;
	struct access a;
	struct half h;
	pthread_t th, looker;
	unsigned int i;
	pid_t child;

	memset(content, 0xc7, PAGE);
	kind[0] = self->mem;
	kind[1] = mmap(NULL, PAGE, 3, MAP_SHARED, shm, 0);
	kind[2] = mmap(NULL, PAGE, 3, MAP_PRIVATE, file, 0);	/* never written */
	kind[3] = mmap(NULL, PAGE, 3, MAP_SHARED, file, 0);
	kind[4] = mmap(NULL, PAGE, 3, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);	/* none */
	kind[5] = self->mem + PAGE;	/* shared with a child */
	kind[6] = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0); /* zero page */
	ptf_touch(kind[2]);
	ptf_touch(kind[6]);
	for (i = 0; i < ARRAY_SIZE(kind); i++) {
		ASSERT_NE(MAP_FAILED, kind[i]);
		child = -1;
		if (i == 5) {
			child = fork();
			if (!child) {
				for (;;)
					pause();
			}
		}
		test_rule_add(&r, kind[i], PAGE, PTF_ACT_HOLD, .times = 1);
		test_rule_arm(0);
		start(&th, &a, kind[i]);
		ASSERT_EQ(0, next_event(self->fd, &ev));
		/* the rule is spent: this one faults and goes on at will */
		memset(&h, 0, sizeof(h));
		h.p = (unsigned char *)kind[i];
		ASSERT_EQ(0, pthread_create(&looker, NULL, look_for_halves, &h));
		ASSERT_TRUE(ptf_await(&h.looks, 10, 10000));
		EXPECT_EQ(0, answer(self->fd, ev.held, PTF_ACT_GO, content, PAGE)) {
			TH_LOG("kind %u: %s", i, strerror(errno));
		}
		pthread_join(th, NULL);
		EXPECT_EQ(0xc7, a.saw) {
			TH_LOG("kind %u", i);
		}
		h.stop = 1;
		pthread_join(looker, NULL);
		EXPECT_EQ(0, h.torn);
		EXPECT_EQ(0, memcmp(kind[i], content, PAGE)) {
			TH_LOG("kind %u", i);
		}
		test_rule_delete_all();
		if (child > 0) {
			/* its copy is its own */
			char buf[PAGE];
			struct iovec l = { buf, PAGE }, rem = { kind[i], PAGE };

			EXPECT_EQ(PAGE, process_vm_readv(child, &l, 1, &rem, 1, 0));
			EXPECT_EQ(0, ptf_wrong_page(buf, SEED, 1));
			ptf_kill(child);
		}
	}
	/* the private mapping's file is untouched but by the shared one, its content is */
	char buf[PAGE];

	ASSERT_EQ(PAGE, pread(file, buf, PAGE, 0));
	EXPECT_EQ(0, memcmp(buf, content, PAGE));
	ASSERT_EQ(PAGE, pread(shm, buf, PAGE, 0));
	EXPECT_EQ(0, memcmp(buf, content, PAGE));
	/* part of a page: the rest stays */
	test_rule_add(&r, self->mem + PAGES(2), PAGE, PTF_ACT_HOLD, .times = 1);
	start(&th, &a, self->mem + PAGES(2));
	ASSERT_EQ(0, next_event(self->fd, &ev));
	EXPECT_EQ(0, answer(self->fd, ev.held, PTF_ACT_GO, content, 8));
	pthread_join(th, NULL);
	EXPECT_EQ(0, memcmp(self->mem + PAGES(2), content, 8));
	EXPECT_EQ(ptf_word(SEED, 2, 1), ((__u64 *)(self->mem + PAGES(2)))[1]);
	test_rule_delete_all();
	/* a shared page that may not be written through this mapping */
	char *ro = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, shm, 0);

	test_rule_add(&r, ro, PAGE, PTF_ACT_HOLD, .times = 1);
	start(&th, &a, ro);
	ASSERT_EQ(0, next_event(self->fd, &ev));
	EXPECT_ERRNO(EACCES, answer(self->fd, ev.held, PTF_ACT_GO, content, 8));
	EXPECT_EQ(0, a.done);
	EXPECT_EQ(0, answer(self->fd, ev.held, PTF_ACT_GO, NULL, 0));
	pthread_join(th, NULL);
}

/* The session's close lets everybody go; so does the death of its owner. */
struct often {
	volatile __u64 *p;
	volatile unsigned int tid, looks, torn;
	volatile bool stop;
};

static void *fault_often(void *arg)
{
	struct often *o = arg;

	ptf_pin_cpu(0);
	o->tid = syscall(SYS_gettid);
	while (!o->stop) {
		(void)o->p[7];
		sched_yield();
	}
	return NULL;
}

/* The content only grows: what is looked at later is not older. */
static void *look_often(void *arg)
{
	struct often *o = arg;
	__u64 first, last;

	ptf_pin_cpu(1 % ptf_nr_cpus());
	while (!o->stop) {
		first = o->p[0];
		__atomic_thread_fence(__ATOMIC_SEQ_CST);
		last = o->p[511];
		o->torn += last < first;
		o->looks++;
	}
	return NULL;
}

/* Filled so often that a look falls into it. */
TEST_F_TIMEOUT(hold, content_is_never_half, 60)
{
	double until = ptf_seconds() + 3 * ptf_env("PTF_SLOW", 1);
	unsigned int i, n = ptf_rounds(20000), filled = 0, met = 0, before;
	struct often o = { .p = (void *)self->mem };
	struct pollfd poll_fd = { self->fd, POLLIN, 0 };
	struct ptf_event ev;
	struct ptf_rule r;
	__u64 content[512];
	pthread_t th[2];

	memset(self->mem, 0, PAGE);
	ASSERT_EQ(0, pthread_create(&th[0], NULL, fault_often, &o));
	ASSERT_EQ(0, pthread_create(&th[1], NULL, look_often, &o));
	ASSERT_TRUE(ptf_await(&o.tid, 1, 10000));
	ptf_pin_cpu(0);
	test_rule_add(&r, self->mem, PAGE, PTF_ACT_HOLD, .tid = o.tid);
	while (filled < n && ptf_seconds() < until) {
		test_rule_arm(0);
		/* the one who looks may have had the fault */
		if (poll(&poll_fd, 1, 2) != 1 || read(self->fd, &ev, sizeof(ev)) != sizeof(ev))
			continue;
		filled++;
		for (i = 0; i < 512; i++)
			content[i] = filled;
		before = o.looks;
		ASSERT_EQ(0, answer(self->fd, ev.held, PTF_ACT_GO, content, PAGE));
		met += o.looks != before;
	}
	o.stop = true;
	test_rule_delete_all();
	/* whoever was held meanwhile goes on */
	while (poll(&poll_fd, 1, 200) == 1 && read(self->fd, &ev, sizeof(ev)) == sizeof(ev))
		answer(self->fd, ev.held, PTF_ACT_GO, NULL, 0);
	pthread_join(th[0], NULL);
	pthread_join(th[1], NULL);
	TH_LOG("filled %u times, %u of them looked at meanwhile", filled, met);
	EXPECT_LT(0, met);
	EXPECT_EQ(0, o.torn);
}

/* Where the kernel would give a huge page: content for one, and nothing for others. */
TEST_F(hold, content_of_huge_memory)
{
	size_t huge = 2 << 20;
	char *room = ptf_anon(2 * huge), *p;
	char content[PAGE];
	struct ptf_event ev;
	struct ptf_rule r;
	struct access a;
	struct ptf_row row[2];
	pthread_t th;

	ASSERT_NE(NULL, room);
	p = (char *)(((unsigned long)room + huge - 1) & -huge);
	if (madvise(p, huge, MADV_HUGEPAGE))
		SKIP(return, "no huge pages here");
	memset(content, 5, PAGE);
	test_rule_add(&r, p, huge, PTF_ACT_HOLD);
	test_rule_arm(0);
	start(&th, &a, p + PAGES(3));
	ASSERT_EQ(0, next_event(self->fd, &ev));
	ASSERT_EQ(PTF_EVENT_HELD, ev.type);
	ASSERT_OK(answer(self->fd, ev.held, PTF_ACT_GO, content, PAGE));
	pthread_join(th, NULL);
	EXPECT_EQ(0, a.ret);
	EXPECT_EQ(5, a.saw);
	test_cmd_query_pages(0, p + PAGES(3), PAGES(2), row);
	EXPECT_EQ(PTF_STATE_PRESENT, row[0].state);
	EXPECT_EQ(PTF_STATE_NONE, row[1].state);
	/* its neighbour asks, too */
	start(&th, &a, p + PAGES(4));
	ASSERT_EQ(0, next_event(self->fd, &ev));
	ASSERT_OK(answer(self->fd, ev.held, PTF_ACT_SIGBUS, NULL, 0));
	pthread_join(th, NULL);
	EXPECT_EQ(-SIGBUS, a.ret);
	munmap(room, 2 * huge);
}

TEST_F(hold, close_lets_go)
{
	struct access a[NR];
	struct ptf_event ev;
	pthread_t th[NR];
	struct ptf_rule r;
	unsigned int i;

	test_rule_add(&r, self->mem, LEN, PTF_ACT_HOLD, .origin = PTF_ORIGIN_USER);
	test_rule_arm(0);
	for (i = 0; i < NR; i++)
		start(&th[i], &a[i], self->mem + PAGES(i));
	/* some told of, some not */
	for (i = 0; i < NR / 2; i++)
		ASSERT_EQ(0, next_event(self->fd, &ev));
	usleep(20000);
	for (i = 0; i < NR; i++)
		EXPECT_EQ(0, a[i].done);
	close(self->fd);
	for (i = 0; i < NR; i++) {
		pthread_join(th[i], NULL);
		EXPECT_EQ(0, a[i].ret);
	}
	EXPECT_EQ(0, ptf_wrong(self->mem, LEN, SEED));
}

struct owner {
	char *mem;
	pid_t target;
	volatile unsigned int ready;
};

static int own_and_hold(void *arg)
{
	struct owner *o = arg;
	struct ptf_rule r = { };
	int fd = open(PTF_DEV, O_RDWR | O_CLOEXEC);

	if (fd < 0 || _test_cmd_target_open(fd, o->target, &r.target) ||
	    _test_rule_add(fd, &r, o->mem, LEN, PTF_ACT_HOLD) || _test_rule_arm(fd, 0))
		return 1;
	o->ready = 1;
	for (;;)
		pause();
}

TEST_F(hold, owner_is_killed)
{
	struct owner *o = ptf_shared(PAGE);
	struct access a;
	pthread_t th;
	pid_t pid;

	o->mem = self->mem;
	o->target = getpid();
	pid = ptf_child(own_and_hold, o);
	ASSERT_TRUE(ptf_await(&o->ready, 1, 10000));
	start(&th, &a, self->mem);
	usleep(30000);
	EXPECT_EQ(0, a.done);
	ptf_kill(pid);
	pthread_join(th, NULL);
	EXPECT_EQ(0, a.ret);
	EXPECT_EQ(0, ptf_wrong(self->mem, LEN, SEED));
}

static int touch_and_leave(void *p)
{
	return ptf_touch(p) != 1;
}

/* Whoever waits can be killed, and is forgotten then. */
TEST_F(hold, target_is_killed)
{
	struct ptf_ioc_session_stat st;
	struct ptf_event ev;
	struct ptf_rule r;
	__u32 target;
	pid_t pid;
	unsigned int i;
	char *page = ptf_anon(PAGE);

	*page = 1;
	for (i = 0; i < 3; i++) {
		int go[2];

		ASSERT_EQ(0, pipe(go));
		pid = fork();
		if (!pid) {
			char c;

			(void)!read(go[0], &c, 1);
			_exit(touch_and_leave(page));
		}
		ASSERT_LT(0, pid);
		test_cmd_target_open(pid, &target);
		test_rule_add(&r, page, PAGE, PTF_ACT_HOLD, .target = target);
		test_rule_arm(0);
		ASSERT_EQ(1, write(go[1], "x", 1));
		ASSERT_EQ(0, next_event(self->fd, &ev));
		EXPECT_EQ(pid, ev.pid);
		EXPECT_EQ(target, ev.target);
		if (i == 1)
			kill(pid, SIGSTOP);
		EXPECT_EQ(256 + SIGKILL, ptf_kill(pid));
		EXPECT_ERRNO(ENOENT, answer(self->fd, ev.held, PTF_ACT_GO, NULL, 0));
		/* its end is told of */
		ASSERT_EQ(0, next_event(self->fd, &ev));
		EXPECT_EQ(PTF_EVENT_GONE, ev.type);
		EXPECT_EQ(target, ev.target);
		test_cmd_session_stat(&st);
		EXPECT_EQ(0, st.out_held);
		test_rule_delete_all();
		test_cmd_target_close(target);
		close(go[0]);
		close(go[1]);
	}
}

/* A signal does not end the wait; it is delivered behind it. */
static volatile unsigned int signals;

static void on_usr1(int sig)
{
	signals++;
}

TEST_F(hold, signal_waits)
{
	struct ptf_event ev;
	struct access a;
	struct ptf_rule r;
	pthread_t th;

	signal(SIGUSR1, on_usr1);
	test_rule_add(&r, self->mem, PAGE, PTF_ACT_HOLD, .times = 1);
	test_rule_arm(0);
	start(&th, &a, self->mem);
	ASSERT_EQ(0, next_event(self->fd, &ev));
	pthread_kill(th, SIGUSR1);
	usleep(30000);
	EXPECT_EQ(0, a.done);
	EXPECT_EQ(0, signals);
	ASSERT_EQ(0, answer(self->fd, ev.held, PTF_ACT_GO, NULL, 0));
	pthread_join(th, NULL);
	EXPECT_EQ(1, signals);
	EXPECT_EQ(0, a.ret);
}

/* read, poll and epoll say the same; a small buffer is an error. */
TEST_F(hold, reading)
{
	struct epoll_event e = { .events = EPOLLIN };
	struct ptf_event ev[4];
	struct access a[3];
	pthread_t th[3];
	struct ptf_rule r;
	struct pollfd p = { self->fd, POLLIN, 0 };
	int ep = epoll_create1(0);
	unsigned int i;

	ASSERT_EQ(0, epoll_ctl(ep, EPOLL_CTL_ADD, self->fd, &e));
	EXPECT_EQ(0, poll(&p, 1, 0));
	EXPECT_EQ(0, epoll_wait(ep, &e, 1, 0));
	test_rule_add(&r, self->mem, LEN, PTF_ACT_HOLD);
	test_rule_arm(0);
	EXPECT_ERRNO(EAGAIN, read(self->fd, ev, sizeof(ev)));
	EXPECT_ERRNO(EINVAL, read(self->fd, ev, sizeof(*ev) - 1));
	EXPECT_ERRNO(EINVAL, read(self->fd, ev, 0));
	for (i = 0; i < 3; i++)
		start(&th[i], &a[i], self->mem + PAGES(i));
	for (i = 0; i < 2000; i++) {
		struct ptf_ioc_session_stat st;

		test_cmd_session_stat(&st);
		if (st.out_held == 3)
			break;
		usleep(1000);
	}
	EXPECT_EQ(1, poll(&p, 1, 0));
	EXPECT_EQ(1, epoll_wait(ep, &e, 1, 0));
	EXPECT_EQ(3 * sizeof(*ev), read(self->fd, ev, sizeof(ev)));
	EXPECT_EQ(0, poll(&p, 1, 0));
	EXPECT_EQ(1, ev[0].seq);
	EXPECT_EQ(2, ev[1].seq);
	EXPECT_EQ(3, ev[2].seq);
	for (i = 0; i < 3; i++)
		ASSERT_EQ(0, answer(self->fd, ev[2 - i].held, PTF_ACT_GO, NULL, 0));
	for (i = 0; i < 3; i++)
		pthread_join(th[i], NULL);
	close(ep);
}

/* More than the queue holds: read + lost = hits, and what is read is in order. */
TEST_F_TIMEOUT(hold, lost, 60)
{
	unsigned int i, nr = 6000, got = 0;
	struct ptf_ioc_range_advise adv;
	struct ptf_ioc_session_stat st;
	struct ptf_event ev[64];
	struct ptf_rule r;
	__u64 seq = 0;
	ssize_t n;

	test_rule_add(&r, self->mem, PAGE, PTF_ACT_NOTIFY, .origin = PTF_ORIGIN_USER,
		      .flags = PTF_RULE_F_PASSIVE);
	test_rule_arm(0);
	for (i = 0; i < nr; i++) {
		test_cmd_range_advise(&adv, 0, PTF_ADV_NOTPRESENT, self->mem, PAGE, 0);
		ptf_touch(self->mem);
	}
	test_cmd_session_stat(&st);
	EXPECT_EQ(nr, st.out_rule_hits);
	EXPECT_EQ(nr, st.out_events_queued + st.out_events_lost);
	EXPECT_LT(0, st.out_events_lost);
	while ((n = read(self->fd, ev, sizeof(ev))) > 0)
		for (i = 0; i < n / sizeof(*ev); i++, got++) {
			ASSERT_EQ(++seq, ev[i].seq);
			ASSERT_EQ(PTF_FAULTED_MINOR, ev[i].answer);
			ASSERT_EQ(PTF_STATE_HINT, ev[i].state);
		}
	EXPECT_EQ(st.out_events_queued, got);
	/* room again, and the number shows the gap */
	test_cmd_range_advise(&adv, 0, PTF_ADV_NOTPRESENT, self->mem, PAGE, 0);
	ptf_touch(self->mem);
	ASSERT_EQ(sizeof(*ev), read(self->fd, ev, sizeof(ev)));
	EXPECT_EQ(nr + 1, ev[0].seq);
}

/* ---- the switch ---- */

TEST_F(hold, switch_pages)
{
	volatile char *sw = mmap(NULL, PAGES(2), 3, MAP_SHARED, self->fd, PTF_MMAP_SWITCH);
	struct ptf_ioc_session_stat st;
	struct ptf_rule r;
	unsigned int i;
	int fd[2];

	ASSERT_NE(MAP_FAILED, (void *)sw);
	test_rule_add(&r, self->mem, LEN, PTF_ACT_SIGBUS, .origin = PTF_ORIGIN_USER);
	EXPECT_EQ(0, ptf_try_read(self->mem));
	/* looking changes nothing */
	ptf_touch((char *)sw);
	ptf_touch((char *)sw + PAGE);
	test_cmd_session_stat(&st);
	EXPECT_EQ(0, st.out_armed);
	for (i = 0; i < 50; i++) {
		sw[8] = i;
		EXPECT_EQ(-SIGBUS, ptf_try_read(self->mem + PAGES(i % NR)));
		sw[16] = i;
		EXPECT_EQ(-SIGBUS, ptf_try_read(self->mem + PAGES((i + 1) % NR)));
		if (i & 1)
			ptf_touch((char *)sw + PAGE);
		sw[PAGE + 8] = i;
		EXPECT_EQ(0, ptf_try_read(self->mem + PAGES(i % NR)));
		if (i & 2)
			ptf_touch((char *)sw);
	}
	/* the command and the switch are one thing */
	test_rule_arm(0);
	sw[PAGE] = 1;
	EXPECT_EQ(0, ptf_try_read(self->mem));
	sw[0] = 1;
	test_rule_arm(PTF_RULE_ARM_F_OFF);
	EXPECT_EQ(0, ptf_try_read(self->mem));
	sw[0] = 2;
	EXPECT_EQ(-SIGBUS, ptf_try_read(self->mem));
	test_rule_arm(PTF_RULE_ARM_F_OFF);
	/* the kernel's stores as well */
	ASSERT_EQ(0, pipe(fd));
	ASSERT_EQ(1, write(fd[1], "x", 1));
	ASSERT_EQ(1, read(fd[0], (char *)sw, 1));
	EXPECT_EQ(-SIGBUS, ptf_try_read(self->mem));
	sw[PAGE] = 1;
	/* bad ways to map */
	EXPECT_EQ(MAP_FAILED, mmap(NULL, PAGE, 3, MAP_PRIVATE, self->fd, 0));
	EXPECT_EQ(MAP_FAILED, mmap(NULL, PAGES(3), 3, MAP_SHARED, self->fd, 0));
	EXPECT_EQ(MAP_FAILED, mmap(NULL, PAGE, 3, MAP_SHARED, self->fd, PAGES(2)));
	EXPECT_EQ(MAP_FAILED, mmap(NULL, PAGES(2), 3, MAP_SHARED, self->fd,
				   PTF_MMAP_MEMORY + PTF_MMAP_MEMORY_BYTES - PAGE));
	/* a mapping keeps the session; its end lets go */
	sw[0] = 1;
	close(self->fd);
	EXPECT_EQ(-SIGBUS, ptf_try_read(self->mem));
	munmap((void *)sw, PAGES(2));
	EXPECT_EQ(0, ptf_wrong(self->mem, LEN, SEED));
}

struct switcher {
	volatile char *sw;
	unsigned int rounds;
};

static void *switch_it(void *arg)
{
	struct switcher *s = arg;
	unsigned int i;

	for (i = 0; i < s->rounds; i++)
		s->sw[i & 1 ? PAGE : 0] = i;
	return NULL;
}

/* Two threads at it: whatever the end is, a store still does what it says. */
TEST_F_TIMEOUT(hold, switch_race, 60)
{
	struct switcher s = { mmap(NULL, PAGES(2), 3, MAP_SHARED, self->fd, 0), ptf_rounds(3000) };
	struct ptf_rule r;
	pthread_t th[2];
	unsigned int i;

	test_rule_add(&r, self->mem, PAGES(2), PTF_ACT_SIGBUS, .origin = PTF_ORIGIN_USER);
	for (i = 0; i < 2; i++)
		ASSERT_EQ(0, pthread_create(&th[i], NULL, switch_it, &s));
	for (i = 0; i < 2; i++)
		pthread_join(th[i], NULL);
	for (i = 0; i < 3; i++) {
		s.sw[0] = 1;
		EXPECT_EQ(-SIGBUS, ptf_try_read(self->mem));
		s.sw[PAGE] = 1;
		EXPECT_EQ(0, ptf_try_read(self->mem));
	}
}

/* ---- handlers of another module ---- */

static int load(const char *name, const char *args)
{
	const char *one = getenv("PTF_TEST_MODULE");
	char path[256];
	int fd, ret;

	/* beside the other test module */
	snprintf(path, sizeof(path), "%.*s/%s.ko",
		 one ? (int)(strrchr(one, '/') - one) : 1, one ?: ".", name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	ret = syscall(SYS_finit_module, fd, args, 0);
	close(fd);
	return ret;
}

#define PTFHANDLER "/sys/module/ptfhandler/parameters/"

TEST_F(hold, handler)
{
	struct ptf_rule r = { };
	unsigned int i;

	if (load("ptfhandler", ""))
		SKIP(return, "ptfhandler.ko: %s", strerror(errno));
	strcpy(r.handler, "every-third");
	r.origin = PTF_ORIGIN_USER;
	ASSERT_OK(_test_rule_add(self->fd, &r, self->mem, LEN, PTF_ACT_HANDLER));
	test_rule_arm(0);
	for (i = 0; i < 9; i++)
		EXPECT_EQ(i % 3 == 2 ? -SIGBUS : 0, ptf_try_read(self->mem + PAGES(i)));
	EXPECT_EQ(9, ptf_read_ulong(PTFHANDLER "faults", 0));
	/* not while a rule names it */
	EXPECT_ERRNO(EWOULDBLOCK, syscall(SYS_delete_module, "ptfhandler", O_NONBLOCK));
	ASSERT_EQ(0, ptf_write_file(PTFHANDLER "answer", "5"));
	test_rule_arm(0);
	EXPECT_EQ(-SIGSEGV, ptf_try_read(self->mem));
	ASSERT_EQ(0, ptf_write_file(PTFHANDLER "answer", "7"));
	test_rule_arm(0);
	EXPECT_EQ(0, ptf_try_read(self->mem + PAGES(1)));
	/* nonsense is taken for "go on" */
	ASSERT_EQ(0, ptf_write_file(PTFHANDLER "answer", "1234"));
	test_rule_arm(0);
	EXPECT_EQ(0, ptf_try_read(self->mem + PAGES(2)));
	/* deleted under a fault: the fault has a hold on it */
	struct access a;
	pthread_t th;

	ASSERT_EQ(0, ptf_write_file(PTFHANDLER "answer", "0"));
	ASSERT_EQ(0, ptf_write_file(PTFHANDLER "sleep_ms", "300"));
	test_rule_arm(0);
	start(&th, &a, self->mem + PAGES(5));
	usleep(100000);
	test_rule_delete_all();
	EXPECT_ERRNO(EWOULDBLOCK, syscall(SYS_delete_module, "ptfhandler", O_NONBLOCK));
	pthread_join(th, NULL);
	EXPECT_EQ(0, a.ret);
	EXPECT_EQ(0, syscall(SYS_delete_module, "ptfhandler", O_NONBLOCK));
	EXPECT_EQ(0, ptf_wrong(self->mem, LEN, SEED));
}

/* ---- all at once ---- */

struct storm {
	char *mem;
	volatile unsigned int stop;
	volatile unsigned long faults, signals;
};

static void *fault_away(void *arg)
{
	struct storm *s = arg;
	unsigned int seed = syscall(SYS_gettid);

	while (!s->stop) {
		if (ptf_try_read(s->mem + PAGES(rand_r(&seed) % NR)))
			__atomic_add_fetch(&s->signals, 1, __ATOMIC_RELAXED);
		__atomic_add_fetch(&s->faults, 1, __ATOMIC_RELAXED);
	}
	return NULL;
}

static void *answer_away(void *arg)
{
	int fd = *(int *)arg;
	struct ptf_event ev[8];
	struct pollfd p = { fd, POLLIN, 0 };
	ssize_t n, i;

	while (*(volatile int *)arg >= 0 && poll(&p, 1, 20) >= 0) {
		n = read(fd, ev, sizeof(ev));
		for (i = 0; i < n / (ssize_t)sizeof(*ev); i++)
			if (ev[i].type == PTF_EVENT_HELD)
				answer(fd, ev[i].held, i & 1 ? PTF_ACT_GO : PTF_ACT_SIGBUS,
				       NULL, 0);
	}
	return NULL;
}

TEST_F_TIMEOUT(hold, storm, 120)
{
	static const __u32 acts[] = {
		PTF_ACT_COUNT, PTF_ACT_NOTIFY, PTF_ACT_SIGBUS, PTF_ACT_SIGSEGV,
		PTF_ACT_RETRY, PTF_ACT_OOM, PTF_ACT_DELAY, PTF_ACT_HOLD
	};
	struct storm s = { .mem = self->mem };
	unsigned int i, round, rounds = ptf_rounds(60);
	struct ptf_rule r[1000 / 8];
	pthread_t th[8], an;
	int fd;

	for (i = 0; i < 8; i++)
		ASSERT_EQ(0, pthread_create(&th[i], NULL, fault_away, &s));
	for (round = 0; round < rounds; round++) {
		volatile int in_thread;

		fd = open(PTF_DEV, O_RDWR | O_CLOEXEC | O_NONBLOCK);
		ASSERT_LE(0, fd);
		in_thread = fd;
		ASSERT_EQ(0, pthread_create(&an, NULL, answer_away, (void *)&in_thread));
		memset(r, 0, sizeof(r));
		for (i = 0; i < ARRAY_SIZE(r); i++) {
			r[i].value = acts[i % 8] == PTF_ACT_DELAY ? 1000 : 0;
			r[i].order = i;
			r[i].times = 1 + i % 5;
			ASSERT_OK(_test_rule_add(fd, &r[i], self->mem + PAGES(i % NR), PAGES(1),
						 acts[i % 8]));
			if (i == 20)
				ASSERT_OK(_test_rule_arm(fd, 0));
		}
		for (i = 0; i < ARRAY_SIZE(r); i += 3) {
			struct ptf_ioc_rule_delete d = { .size = sizeof(d), .id = r[i].id };

			ASSERT_OK(ioctl(fd, PTF_IOC_RULE_DELETE, &d));
			ASSERT_OK(_test_rule_arm(fd, i & 1));
		}
		ASSERT_OK(_test_rule_arm(fd, 0));
		usleep(20000);
		in_thread = -1;
		pthread_join(an, NULL);
		/* every other time closed with threads held */
		if (round & 1)
			usleep(10000);
		close(fd);
	}
	s.stop = 1;
	for (i = 0; i < 8; i++)
		pthread_join(th[i], NULL);
	EXPECT_LT(0, s.faults);
	EXPECT_LT(0, s.signals);
	EXPECT_EQ(0, ptf_wrong(self->mem, LEN, SEED));
}

/* The sysctl can't pull the hook from under it. */
TEST_F(hold, ftrace_off)
{
	struct ptf_rule r;

	test_rule_add(&r, self->mem, PAGE, PTF_ACT_SIGBUS);
	test_rule_arm(0);
	EXPECT_EQ(-1, ptf_write_file("/proc/sys/kernel/ftrace_enabled", "0"));
	EXPECT_EQ(-SIGBUS, ptf_try_read(self->mem));
	EXPECT_ERRNO(EWOULDBLOCK, syscall(SYS_delete_module, "ptefault", O_NONBLOCK));
}

TEST_HARNESS_MAIN
