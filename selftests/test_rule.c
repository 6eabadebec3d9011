// SPDX-License-Identifier: GPL-2.0-only
/*
 * Rules: which fault is taken, what it becomes, and what is left behind. The
 * outcome matrix: every action for every way of reaching a page.
 */
/* vm: default */
/* vm: --numa 2 */
#include "ptf_test.h"
#include "rule.h"

#define min(a, b) ((a) < (b) ? (a) : (b))

#include <linux/futex.h>
#include <setjmp.h>
#include <sys/uio.h>

#define NR	16
#define LEN	PAGES(NR)
#define SEED	71

FIXTURE(rule) {
	int fd;
	struct ptf_log log;
	char *mem;
};

FIXTURE_SETUP(rule)
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

PTF_TEARDOWN(rule)

/* ---- the matrix ---- */

/* Ways to reach a page. Each answers 0, or an errno, or minus a signal. */
static int by_read(char *p)
{
	return ptf_try_read(p);
}

static int by_write(char *p)
{
	return ptf_try_write(p);
}

static int by_exec(char *p)
{
	return ptf_try_call(p);
}

/* write(2): the kernel reads the page */
static int by_write2(char *p)
{
	int fd = open("/dev/shm/ptf-rule", O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	int err = write(fd, p, 64) == 64 ? 0 : errno;

	close(fd);
	unlink("/dev/shm/ptf-rule");
	return err;
}

/* read(2): the kernel writes it */
static int by_read2(char *p)
{
	int fd = open("/dev/zero", O_RDONLY | O_CLOEXEC);
	int err = read(fd, p + 256, 64) == 64 ? 0 : errno;

	close(fd);
	return err;
}

static int by_futex(char *p)
{
	struct timespec ts = { 0, 1000 };
	int v = 1;

	/* the word is not v: EAGAIN is what a page that is there answers */
	if (!syscall(SYS_futex, p, FUTEX_WAIT_PRIVATE, v, &ts, NULL, 0))
		return 0;
	return errno == EAGAIN || errno == ETIMEDOUT ? 0 : errno;
}

/* get_user_pages() of the caller's own memory, from the remote side's call */
static int by_vm_readv(char *p)
{
	char buf[64];
	struct iovec local = { buf, 64 }, remote = { p, 64 };

	return process_vm_readv(getpid(), &local, 1, &remote, 1, 0) == 64 ? 0 : errno;
}

static int by_vm_writev(char *p)
{
	char buf[64] = { 0 };
	struct iovec local = { buf, 64 }, remote = { p + 256, 64 };

	return process_vm_writev(getpid(), &local, 1, &remote, 1, 0) == 64 ? 0 : errno;
}

/* O_DIRECT: get_user_pages() without a process in between */
static int by_direct(char *p)
{
	int fd = open(PTF_SCRATCH "/ptf-rule", O_RDWR | O_CREAT | O_TRUNC | O_DIRECT | O_CLOEXEC,
		      0600);
	int err;

	if (fd < 0)
		return 0x1000;
	err = pwrite(fd, p, PAGE, 0) == PAGE ? 0 : errno;
	close(fd);
	unlink(PTF_SCRATCH "/ptf-rule");
	return err;
}

struct way {
	const char *name;
	int (*go)(char *p);
	__u32 access;
	__u32 origin;
};

static const struct way ways[] = {
	{ "a load", by_read, PTF_ACCESS_READ, PTF_ORIGIN_USER },
	{ "a store", by_write, PTF_ACCESS_WRITE, PTF_ORIGIN_USER },
	{ "a call", by_exec, PTF_ACCESS_EXEC, PTF_ORIGIN_USER },
	{ "write(2)", by_write2, PTF_ACCESS_READ, PTF_ORIGIN_KERNEL },
	{ "read(2)", by_read2, PTF_ACCESS_WRITE, PTF_ORIGIN_KERNEL },
	{ "futex", by_futex, PTF_ACCESS_READ, PTF_ORIGIN_KERNEL },
	{ "process_vm_readv", by_vm_readv, PTF_ACCESS_READ, PTF_ORIGIN_GUP },
	{ "process_vm_writev", by_vm_writev, PTF_ACCESS_WRITE, PTF_ORIGIN_GUP },
	{ "O_DIRECT", by_direct, PTF_ACCESS_READ, PTF_ORIGIN_GUP },
};

struct outcome {
	const char *name;
	__u32 action;
	__u64 value;
	int user_sig, user_code, user_lsb;	/* 0: goes on */
	int kernel;		/* errno of a system call that copies */
	int gup;		/* ... that pins */
	int direct;
};

static const struct outcome outcomes[] = {
	{ "count", PTF_ACT_COUNT, 0, 0, 0, 0, 0, 0, 0 },
	{ "notify", PTF_ACT_NOTIFY, 0, 0, 0, 0, 0, 0, 0 },
	{ "delay", PTF_ACT_DELAY, 1000000, 0, 0, 0, 0, 0, 0 },
	{ "sigbus", PTF_ACT_SIGBUS, 0, SIGBUS, BUS_ADRERR, 0, EFAULT, EFAULT, EFAULT },
	{ "sigsegv", PTF_ACT_SIGSEGV, 0, SIGSEGV, SEGV_MAPERR, 0, EFAULT, EFAULT, EFAULT },
	{ "hwpoison", PTF_ACT_HWPOISON, 0, SIGBUS, BUS_MCEERR_AR, 12, EFAULT, EFAULT, EFAULT },
	{ "retry", PTF_ACT_RETRY, 3, 0, 0, 0, 0, 0, 0 },
	{ "oom", PTF_ACT_OOM, 2, 0, 0, 0, EFAULT, EFAULT, ENOMEM },
};

/* A function of one page that is there already: called by by_exec(). */
static void make_code(char *p)
{
	mprotect(p, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC);
	*p = (char)0xc3;	/* ret */
}

TEST_F_TIMEOUT(rule, matrix, 120)
{
	struct ptf_ioc_session_stat st;
	const struct outcome *o;
	const struct way *w;
	struct ptf_rule r;
	struct ptf_event ev[8];
	unsigned int i, j;
	ssize_t n;
	char *p;
	int got, want;

	for (i = 0; i < ARRAY_SIZE(outcomes); i++)
		for (j = 0; j < ARRAY_SIZE(ways); j++) {
			o = &outcomes[i];
			w = &ways[j];
			if (w->go == by_direct && !ptf_is_fs(PTF_SCRATCH, PTF_EXT4_MAGIC))
				continue;
			p = self->mem + PAGES(j);
			ptf_fill_page(p, SEED, j);
			if (w->go == by_exec)
				make_code(p);
			test_rule_add(&r, p, PAGE, o->action, .value = o->value,
				      .access = w->access, .origin = w->origin);
			test_rule_arm(0);
			ptf_caught.sig = 0;
			got = w->go(p);
			if (w->origin == PTF_ORIGIN_USER) {
				EXPECT_EQ(-o->user_sig, got) {
					TH_LOG("%s by %s", o->name, w->name);
				}
				if (o->user_sig) {
					EXPECT_EQ(o->user_code, ptf_caught.code);
					EXPECT_EQ(p, ptf_caught.addr);
					if (o->user_lsb)
						EXPECT_EQ(o->user_lsb, ptf_caught.lsb);
				}
			} else {
				if (w->origin == PTF_ORIGIN_KERNEL)
					want = o->kernel;
				else
					want = w->go == by_direct ? o->direct : o->gup;
				/* a retry of futex's own: it faults the word in and looks again */
				if (w->go == by_futex && want == EFAULT && !got)
					want = 0;
				EXPECT_EQ(want, got) {
					TH_LOG("%s by %s", o->name, w->name);
				}
			}
			test_rule_list_one(&r);
			/* a copy that fails is tried again byte by byte */
			EXPECT_LE(1, r.hits);
			if (w->origin != PTF_ORIGIN_KERNEL || !o->kernel) {
				EXPECT_EQ(1, r.hits) {
					TH_LOG("%s by %s: %llu matches", o->name, w->name,
					       r.matches);
				}
			}
			EXPECT_EQ(0, r.passed);
			/* each was told of, but a mere count */
			n = read(self->fd, ev, sizeof(ev));
			if (o->action == PTF_ACT_COUNT) {
				EXPECT_EQ(-1, n);
				EXPECT_EQ(EAGAIN, errno);
			} else {
				ASSERT_EQ(min(r.hits, ARRAY_SIZE(ev)) * sizeof(ev[0]), n);
				EXPECT_EQ(PTF_EVENT_HIT, ev[0].type);
				EXPECT_EQ(r.id, ev[0].rule);
				EXPECT_EQ(u64ptr(p), ev[0].addr & ~(PAGE - 1));
				EXPECT_EQ(w->access, ev[0].access);
				EXPECT_EQ(w->origin, ev[0].origin);
				EXPECT_EQ(o->action, ev[0].action);
				EXPECT_EQ(getpid(), ev[0].pid);
				EXPECT_EQ(syscall(SYS_gettid), ev[0].tid);
				EXPECT_NE(0, ev[0].ip);
			}
			test_rule_delete_all();
			/* and the page is as it was, but for what read(2) wrote */
			if (w->access != PTF_ACCESS_WRITE && w->go != by_exec)
				EXPECT_EQ(0, ptf_wrong_page(p, SEED, j));
			EXPECT_EQ(0, w->go(p));
		}
	test_cmd_session_stat(&st);
	EXPECT_EQ(0, st.out_rules);
	EXPECT_EQ(0, st.out_events_lost);
}

/* The stack, and the program's own text. */
TEST_F(rule, stack_and_text)
{
	char frame[PAGES(3)];
	char *p = (char *)(((uintptr_t)frame + PAGE - 1) & ~(PAGE - 1));
	struct ptf_rule r;

	ptf_fill_page(p, SEED, 1);
	test_rule_add(&r, p, PAGE, PTF_ACT_SIGBUS, .origin = PTF_ORIGIN_USER);
	test_rule_arm(0);
	EXPECT_EQ(-SIGBUS, ptf_try_read(p + 8));
	EXPECT_EQ(p + 8, ptf_caught.addr);
	EXPECT_EQ(BUS_ADRERR, ptf_caught.code);
	test_rule_delete_all();
	EXPECT_EQ(0, ptf_wrong_page(p, SEED, 1));

	/* a page of text that only this test calls */
	test_rule_add(&r, ptf_text_page, PAGE, PTF_ACT_SIGSEGV, .origin = PTF_ORIGIN_USER,
		      .access = PTF_ACCESS_EXEC);
	EXPECT_EQ(-SIGSEGV, ptf_try_call(ptf_text_page));
	EXPECT_EQ(SEGV_MAPERR, ptf_caught.code);
	EXPECT_EQ(&ptf_text_page[0], ptf_caught.addr);
	/* data accesses of it are none of the rule's */
	EXPECT_EQ(0, ptf_try_read(ptf_text_page));
	test_rule_delete_all();
	EXPECT_EQ(0, ptf_try_call(ptf_text_page));
}

/* ---- when ---- */

/* Which of @nr accesses were taken, as bits. Each page faults once. */
static unsigned long long taken(char *mem, unsigned int nr)
{
	unsigned long long bits = 0;
	unsigned int i;

	for (i = 0; i < nr; i++)
		if (ptf_try_read(mem + PAGES(i)))
			bits |= 1ULL << i;
	return bits;
}

TEST_F(rule, after_interval_times)
{
	static const struct {
		__u64 after, interval, times;
		unsigned long long want;
	} t[] = {
		{ 0, 0, 0, 0xffff }, { 3, 0, 0, 0xfff8 }, { 0, 4, 0, 0x1111 },
		{ 2, 5, 0, 0x1084 }, { 0, 0, 3, 0x0007 }, { 5, 0, 1, 0x0020 },
		{ 1, 3, 2, 0x0012 }, { 16, 0, 0, 0 }, { 15, 1, 9, 0x8000 },
	};
	struct ptf_rule r;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(t); i++) {
		test_rule_add(&r, self->mem, LEN, PTF_ACT_SIGBUS, .origin = PTF_ORIGIN_USER,
			      .after = t[i].after, .interval = t[i].interval, .times = t[i].times);
		test_rule_arm(0);
		EXPECT_EQ(t[i].want, taken(self->mem, NR)) {
			TH_LOG("after %llu interval %llu times %llu", t[i].after, t[i].interval,
			       t[i].times);
		}
		test_rule_list_one(&r);
		EXPECT_EQ(NR, r.matches);
		EXPECT_EQ(__builtin_popcountll(t[i].want), r.hits);
		test_rule_delete_all();
		EXPECT_EQ(0, ptf_wrong(self->mem, LEN, SEED));
	}
}

TEST_F(rule, probability)
{
	unsigned long long first = 0, got;
	unsigned int round, i, sum = 0;
	struct ptf_rule r;

	for (round = 0; round < 40; round++) {
		test_rule_add(&r, self->mem, LEN, PTF_ACT_SIGBUS, .origin = PTF_ORIGIN_USER,
			      .probability = PTF_PROBABILITY_ONE / 4, .seed = 7 + round / 2);
		test_rule_arm(0);
		got = taken(self->mem, NR);
		/* the same seed, the same dice; and another's are others */
		if (round & 1)
			EXPECT_EQ(first, got);
		first = got;
		for (i = 0; i < NR; i++)
			sum += (got >> i) & 1;
		test_rule_delete_all();
	}
	/* 640 throws, every pair alike: 160 expected, 20 is more than 1.3 sigma of pairs */
	EXPECT_LT(90, sum);
	EXPECT_GT(230, sum);
	/* certain, and never */
	test_rule_add(&r, self->mem, LEN, PTF_ACT_SIGBUS, .origin = PTF_ORIGIN_USER,
		      .probability = PTF_PROBABILITY_ONE);
	test_rule_arm(0);
	EXPECT_EQ(0xffff, taken(self->mem, NR));
}

/* The first that matches, "when" included; order before age. */
TEST_F(rule, order)
{
	struct ptf_rule a, b, c;

	test_rule_add(&a, self->mem, LEN, PTF_ACT_SIGBUS, .origin = PTF_ORIGIN_USER, .order = 5,
		      .times = 2);
	test_rule_add(&b, self->mem, PAGES(8), PTF_ACT_SIGSEGV, .origin = PTF_ORIGIN_USER,
		      .order = 4, .times = 1);
	test_rule_add(&c, self->mem, LEN, PTF_ACT_COUNT, .order = 9);
	test_rule_arm(0);
	EXPECT_EQ(-SIGSEGV, ptf_try_read(self->mem));
	EXPECT_EQ(-SIGBUS, ptf_try_read(self->mem));
	EXPECT_EQ(-SIGBUS, ptf_try_read(self->mem + PAGES(9)));
	EXPECT_EQ(0, ptf_try_read(self->mem + PAGES(9)));
	EXPECT_EQ(0, ptf_try_read(self->mem + PAGES(1)));
	test_rule_get(&a);
	test_rule_get(&b);
	test_rule_get(&c);
	EXPECT_EQ(2, a.hits);
	EXPECT_EQ(1, b.hits);
	EXPECT_EQ(2, c.hits);
	/* asked only when nobody before took it */
	EXPECT_EQ(2, c.matches);
	EXPECT_EQ(3, b.matches);

	/* many over one page, each for one fault: in their order */
	test_rule_delete_all();
	for (unsigned int i = 0; i < 50; i++)
		test_rule_add(&a, self->mem, PAGE, i & 1 ? PTF_ACT_SIGBUS : PTF_ACT_SIGSEGV,
			      .origin = PTF_ORIGIN_USER, .order = 50 - i, .times = 1);
	for (unsigned int i = 50; i--;)
		EXPECT_EQ(i & 1 ? -SIGBUS : -SIGSEGV, ptf_try_read(self->mem));
	EXPECT_EQ(0, ptf_try_read(self->mem));
}

/*
 * Each session counts its own rules: ids that are the same are two rules. Many
 * are asked in batches (module/rule.c: PTF_RULE_SORTED), whose end may lie
 * between them.
 */
TEST_F(rule, two_sessions)
{
	int other = open(PTF_DEV, O_RDWR | O_CLOEXEC), first, second;
	struct ptf_rule r;
	unsigned int i;

	ASSERT_LE(0, other);
	for (i = 1; i <= 32; i++) {
		/* but the last they are asked, and do not take */
		test_rule_add(&r, self->mem, PAGE, PTF_ACT_SIGSEGV, .origin = PTF_ORIGIN_USER,
			      .after = i < 32 ? 1U << 30 : 0, .times = 1);
		ASSERT_EQ(i, r.id);
		r = (struct ptf_rule){ .origin = PTF_ORIGIN_USER, .times = 1 };
		ASSERT_OK(_test_rule_add(other, &r, self->mem + (i < 32 ? PAGE : 0), PAGE,
					 PTF_ACT_SIGBUS));
		ASSERT_EQ(i, r.id);
	}
	test_rule_arm(0);
	ASSERT_OK(_test_rule_arm(other, 0));
	/* each has its turn */
	first = ptf_try_read(self->mem);
	second = ptf_try_read(self->mem);
	EXPECT_EQ(-SIGBUS - SIGSEGV, first + second);
	EXPECT_EQ(0, ptf_try_read(self->mem));
	close(other);
}

TEST_F(rule, access_and_origin)
{
	struct ptf_rule r;

	test_rule_add(&r, self->mem, PAGE, PTF_ACT_SIGBUS, .access = PTF_ACCESS_WRITE,
		      .origin = PTF_ORIGIN_USER);
	test_rule_arm(0);
	EXPECT_EQ(0, ptf_try_read(self->mem));
	test_rule_arm(0);
	EXPECT_EQ(-SIGBUS, ptf_try_write(self->mem));
	EXPECT_EQ(0, by_read2(self->mem));
	test_rule_delete_all();
	test_rule_add(&r, self->mem, PAGE, PTF_ACT_SIGBUS, .origin = PTF_ORIGIN_KERNEL);
	EXPECT_EQ(EFAULT, by_write2(self->mem));
	EXPECT_EQ(0, ptf_try_read(self->mem));
	test_rule_arm(0);
	/* short counts: what was before the page has been written */
	int fd[2];

	ASSERT_EQ(0, pipe(fd));
	test_rule_delete_all();
	test_rule_add(&r, self->mem + PAGES(4), PAGE, PTF_ACT_SIGBUS, .origin = PTF_ORIGIN_KERNEL);
	EXPECT_EQ(PAGE, write(fd[1], self->mem + PAGES(3), PAGES(2)));
}

static void *read_it(void *p)
{
	return (void *)(intptr_t)ptf_try_read(p);
}

struct by_thread {
	char *mem;
	unsigned int nr;
	unsigned long long bits;
	volatile unsigned int tid, go;
};

static void *many_reads(void *arg)
{
	struct by_thread *b = arg;

	b->tid = syscall(SYS_gettid);
	ptf_await(&b->go, 1, 20000);
	b->bits = taken(b->mem, b->nr);
	return NULL;
}

TEST_F(rule, threads)
{
	struct by_thread b[4] = { };
	unsigned long long want;
	struct ptf_rule r;
	pthread_t th[4];
	unsigned int i;
	void *got;

	/* one of them only */
	test_rule_add(&r, self->mem, PAGE, PTF_ACT_SIGBUS, .origin = PTF_ORIGIN_USER,
		      .tid = syscall(SYS_gettid));
	test_rule_arm(0);
	ASSERT_EQ(0, pthread_create(&th[0], NULL, read_it, self->mem));
	pthread_join(th[0], &got);
	EXPECT_EQ(NULL, got);
	test_rule_arm(0);
	EXPECT_EQ(-SIGBUS, ptf_try_read(self->mem));
	test_rule_delete_all();

	/* counters of each thread: every one has its own third fault */
	test_rule_add(&r, self->mem, LEN, PTF_ACT_SIGBUS, .origin = PTF_ORIGIN_USER,
		      .flags = PTF_RULE_F_PER_THREAD, .after = 2, .times = 1);
	test_rule_arm(0);
	for (i = 0; i < 4; i++) {
		b[i] = (struct by_thread){ self->mem + PAGES(4 * i), 4, 0, 0, 1 };
		ASSERT_EQ(0, pthread_create(&th[i], NULL, many_reads, &b[i]));
	}
	for (i = 0; i < 4; i++) {
		pthread_join(th[i], NULL);
		EXPECT_EQ(4, b[i].bits);
	}
	test_rule_delete_all();

	/* the dice of each: the same list for the same seed, whoever runs when */
	test_rule_add(&r, self->mem, LEN, PTF_ACT_SIGBUS, .origin = PTF_ORIGIN_USER,
		      .probability = PTF_PROBABILITY_ONE / 2, .seed = 12);
	want = 0;
	for (unsigned int round = 0; round < 6; round++) {
		test_rule_arm(0);
		for (i = 0; i < 4; i++) {
			b[i] = (struct by_thread){ self->mem + PAGES(4 * i), 4, 0, 0, 1 };
			ASSERT_EQ(0, pthread_create(&th[i], NULL, many_reads, &b[i]));
		}
		for (i = 0; i < 4; i++)
			pthread_join(th[i], NULL);
		for (i = 1; i < 4; i++)
			EXPECT_EQ(b[0].bits, b[i].bits);
		if (!round)
			want = b[0].bits;
		EXPECT_EQ(want, b[0].bits);
	}
}

/* ---- the table ---- */

static void *read_once(void *arg)
{
	char **p = arg;

	p[2] = (char *)syscall(SYS_gettid);
	p[1] = (char *)(long)ptf_try_read(p[0]);
	return NULL;
}

/* A tid is somebody else's one day, who begins anew. */
TEST_F(rule, per_thread_of_a_reused_tid)
{
	static const char last[] = "/proc/sys/kernel/ns_last_pid";
	struct ptf_rule r;
	unsigned int i, same = 0;
	char *arg[3], text[32];
	long tid = 0;
	pthread_t th;

	test_rule_add(&r, self->mem, PAGE, PTF_ACT_SIGBUS, .origin = PTF_ORIGIN_USER,
		      .times = 1, .flags = PTF_RULE_F_PER_THREAD);
	for (i = 0; i < 10; i++) {
		test_rule_arm(0);
		if (tid) {
			snprintf(text, sizeof(text), "%ld", tid - 1);
			if (ptf_write_file(last, text))
				SKIP(return, "nobody says which tid is next");
		}
		arg[0] = self->mem;
		ASSERT_EQ(0, pthread_create(&th, NULL, read_once, arg));
		pthread_join(th, NULL);
		same += tid == (long)arg[2];
		tid = (long)arg[2];
		/* joined is not gone: until then nobody else gets its number */
		while (!syscall(SYS_tgkill, getpid(), tid, 0))
			usleep(1000);
		EXPECT_EQ(-SIGBUS, (long)arg[1]);
	}
	EXPECT_LT(0, same);
	test_rule_get(&r);
	EXPECT_EQ(10, r.hits);
}

TEST_F(rule, bad_input)
{
	struct ptf_rule good = {
		.start = u64ptr(self->mem), .end = u64ptr(self->mem) + PAGE,
		.access = PTF_ACCESS_ANY, .origin = PTF_ORIGIN_ANY, .action = PTF_ACT_COUNT,
	}, r;
	struct ptf_ioc_rule_add add = { .size = sizeof(add), .rule_size = sizeof(r), .nr_rules = 1,
					.rules = u64ptr(&r) };
	struct ptf_ioc_rule_list l = { .size = sizeof(l), .rule_size = sizeof(r), .nr_rules = 1,
				       .rules = u64ptr(&r) };
	struct ptf_ioc_session_stat st;

#define bad(_errno, field, v) do { \
	r = good; \
	r.field = (v); \
	EXPECT_ERRNO(_errno, ioctl(self->fd, PTF_IOC_RULE_ADD, &add)); \
} while (0)
	bad(EINVAL, id, 1);
	bad(EINVAL, start, good.start + 1);
	bad(EINVAL, start, good.end);
	bad(EINVAL, end, good.start);
	bad(EINVAL, end, good.end + 8);
	bad(EINVAL, end, USER_END_4 + PAGES(2));
	bad(EINVAL, end, 1ULL << 63);
	bad(EOPNOTSUPP, flags, PTF_RULE_F_QUIET << 1);
	bad(EOPNOTSUPP, flags, 1U << 31);
	bad(EINVAL, access, 0);
	bad(EINVAL, access, 8);
	bad(EINVAL, origin, 0);
	bad(EINVAL, origin, 8);
	bad(EINVAL, action, 0);
	bad(EINVAL, action, PTF_ACT_LAST + 1);
	bad(EINVAL, action, PTF_ACT_DELAY);
	bad(EINVAL, action, PTF_ACT_HANDLER);
	bad(EINVAL, value, 1);
	bad(EINVAL, probability, PTF_PROBABILITY_ONE + 1);
	bad(EINVAL, tid, -1);
	bad(ESRCH, tid, 0x3ffffff);
	bad(ENOENT, target, 77);
	bad(EINVAL, handler[0], 'x');
	bad(EINVAL, handler[31], 'x');
	bad(EINVAL, matches, 1);
	bad(EINVAL, hits, 1);
	bad(EINVAL, passed, 1);
	r = good;
	r.action = PTF_ACT_HANDLER;
	strcpy(r.handler, "nobody");
	EXPECT_ERRNO(ENOENT, ioctl(self->fd, PTF_IOC_RULE_ADD, &add));
	memset(r.handler, 'x', sizeof(r.handler));
	EXPECT_ERRNO(EINVAL, ioctl(self->fd, PTF_IOC_RULE_ADD, &add));
	r = good;
	r.flags = PTF_RULE_F_QUIET;
	r.action = PTF_ACT_HOLD;
	EXPECT_ERRNO(EINVAL, ioctl(self->fd, PTF_IOC_RULE_ADD, &add));
	r.action = PTF_ACT_NOTIFY;
	EXPECT_ERRNO(EINVAL, ioctl(self->fd, PTF_IOC_RULE_ADD, &add));
	r = good;
	r.action = PTF_ACT_DELAY;
	r.value = PTF_DELAY_MAX_NS + 1;
	EXPECT_ERRNO(EINVAL, ioctl(self->fd, PTF_IOC_RULE_ADD, &add));
	add.nr_rules = 0;
	EXPECT_ERRNO(EINVAL, ioctl(self->fd, PTF_IOC_RULE_ADD, &add));
	add.nr_rules = 0xffffffff;
	EXPECT_ERRNO(ENOSPC, ioctl(self->fd, PTF_IOC_RULE_ADD, &add));
	add.nr_rules = 1;
	add.rule_size = sizeof(r) - 1;
	EXPECT_ERRNO(EINVAL, ioctl(self->fd, PTF_IOC_RULE_ADD, &add));
	add.rule_size = PAGE + 1;
	EXPECT_ERRNO(E2BIG, ioctl(self->fd, PTF_IOC_RULE_ADD, &add));
	add.rule_size = sizeof(r);
	add.rules = 8;
	EXPECT_ERRNO(EFAULT, ioctl(self->fd, PTF_IOC_RULE_ADD, &add));
	l.nr_rules = 0;
	EXPECT_ERRNO(EINVAL, ioctl(self->fd, PTF_IOC_RULE_LIST, &l));
	EXPECT_ERRNO(ENOENT, ioctl(self->fd, PTF_IOC_RULE_DELETE,
				   &(struct ptf_ioc_rule_delete){ .size = 16, .id = 5 }));
	EXPECT_ERRNO(EINVAL, ioctl(self->fd, PTF_IOC_RULE_DELETE,
				   &(struct ptf_ioc_rule_delete){ .size = 16, .flags = 1,
								   .id = 5 }));
	EXPECT_ERRNO(ENOENT, ioctl(self->fd, PTF_IOC_HELD_ANSWER,
				   &(struct ptf_ioc_held_answer){ .size = 32, .held = 1 }));
	EXPECT_ERRNO(EINVAL, ioctl(self->fd, PTF_IOC_HELD_ANSWER,
				   &(struct ptf_ioc_held_answer){ .size = 32, .held = 1,
								  .action = PTF_ACT_HOLD }));
	EXPECT_ERRNO(EINVAL, ioctl(self->fd, PTF_IOC_HELD_ANSWER,
				   &(struct ptf_ioc_held_answer){ .size = 32, .held = 1,
								  .content_bytes = 4097,
								  .content = 4096 }));
	test_cmd_session_stat(&st);
	EXPECT_EQ(0, st.out_rules);
}

/* Thousands: added at once, listed in pieces, counters in place. */
TEST_F_TIMEOUT(rule, many, 60)
{
	unsigned int nr = 3000, i, listed = 0;
	struct ptf_ioc_rule_list l = { .size = sizeof(l), .rule_size = sizeof(struct ptf_rule) };
	struct ptf_ioc_rule_add add = { .size = sizeof(add), .rule_size = sizeof(struct ptf_rule) };
	struct ptf_rule *r = calloc(nr, sizeof(*r)), out[7];
	char *mem = ptf_anon(PAGES(nr));

	ASSERT_NE(NULL, mem);
	for (i = 0; i < nr; i++) {
		ptf_store(mem + PAGES(i), i);
		r[i].start = u64ptr(mem) + PAGES(i);
		r[i].end = r[i].start + PAGE;
		r[i].access = 7;
		r[i].origin = 7;
		r[i].action = i % 3 ? PTF_ACT_COUNT : PTF_ACT_SIGBUS;
	}
	add.nr_rules = nr;
	add.rules = u64ptr(r);
	test_rule_arm(0);
	ASSERT_OK(ioctl(self->fd, PTF_IOC_RULE_ADD, &add));
	EXPECT_EQ(nr, add.out_added);
	for (i = 0; i < nr; i += 7)
		EXPECT_EQ(i % 3 ? 0 : -SIGBUS, ptf_try_read(mem + PAGES(i)));
	do {
		l.rules = u64ptr(out);
		l.nr_rules = 7;
		l.first = l.out_next;
		ASSERT_OK(ioctl(self->fd, PTF_IOC_RULE_LIST, &l));
		for (i = 0; i < l.out_rules; i++, listed++) {
			ASSERT_EQ(r[listed].id, out[i].id);
			ASSERT_EQ(r[listed].start, out[i].start);
			ASSERT_EQ(!(listed % 7), out[i].hits);
		}
	} while (l.out_next);
	EXPECT_EQ(nr, listed);
	test_rule_delete_all();
	for (i = 0; i < nr; i++)
		ASSERT_EQ((unsigned char)i, ptf_touch(mem + PAGES(i)));
	free(r);
}

TEST_F(rule, set_and_off)
{
	struct ptf_rule r, other;
	struct ptf_ioc_rule_set set = { .size = sizeof(set), .rule_size = sizeof(r),
					.rule = u64ptr(&r) };

	test_rule_add(&r, self->mem, PAGE, PTF_ACT_SIGBUS, .origin = PTF_ORIGIN_USER);
	test_rule_arm(0);
	EXPECT_EQ(-SIGBUS, ptf_try_read(self->mem));
	test_rule_get(&r);
	EXPECT_EQ(1, r.hits);
	other = r;
	r.hits = 0;
	r.matches = 0;
	r.action = PTF_ACT_SIGSEGV;
	r.start += PAGE;
	r.end += PAGE;
	ASSERT_OK(ioctl(self->fd, PTF_IOC_RULE_SET, &set));
	EXPECT_EQ(0, ptf_try_read(self->mem));
	EXPECT_EQ(-SIGSEGV, ptf_try_read(self->mem + PAGE));
	test_rule_get(&r);
	EXPECT_EQ(1, r.hits);
	EXPECT_EQ(other.id, r.id);
	r.hits = 0;
	r.matches = 0;
	r.flags = PTF_RULE_F_OFF;
	ASSERT_OK(ioctl(self->fd, PTF_IOC_RULE_SET, &set));
	EXPECT_EQ(0, ptf_try_read(self->mem + PAGE));
	r.id += 100;
	EXPECT_ERRNO(ENOENT, ioctl(self->fd, PTF_IOC_RULE_SET, &set));
	/* PASSIVE: what is present does not fault, what is not does */
	test_rule_delete_all();
	test_rule_add(&r, self->mem, PAGES(2), PTF_ACT_SIGBUS, .origin = PTF_ORIGIN_USER,
		      .flags = PTF_RULE_F_PASSIVE);
	test_rule_arm(0);
	EXPECT_EQ(0, ptf_try_read(self->mem));
	ASSERT_EQ(0, madvise(self->mem + PAGE, PAGE, MADV_DONTNEED));
	EXPECT_EQ(-SIGBUS, ptf_try_read(self->mem + PAGE));
}

/* Changing rules brings no more over one page than adding them does. */
TEST_F(rule, set_is_not_deeper)
{
	struct ptf_rule r;
	struct ptf_ioc_rule_set set = { .size = sizeof(set), .rule_size = sizeof(r),
					.rule = u64ptr(&r) };
	unsigned int i;

	for (i = 0; i < 1024; i++)
		test_rule_add(&r, self->mem, PAGE, PTF_ACT_COUNT);
	ASSERT_OK(ioctl(self->fd, PTF_IOC_RULE_SET, &set));
	test_rule_add(&r, self->mem + PAGE, PAGE, PTF_ACT_COUNT);
	r.start -= PAGE;
	r.end -= PAGE;
	EXPECT_ERRNO(ENOSPC, ioctl(self->fd, PTF_IOC_RULE_SET, &set));
	test_rule_get(&r);
	EXPECT_EQ(u64ptr(self->mem) + PAGE, r.start);
}

/* QUIET: counted like any, but no event, and none lost. */
TEST_F(rule, quiet)
{
	static const __u32 acts[] = {
		PTF_ACT_COUNT, PTF_ACT_DELAY, PTF_ACT_SIGBUS, PTF_ACT_RETRY, PTF_ACT_OOM
	};
	struct ptf_ioc_session_stat st;
	struct ptf_event ev;
	struct ptf_rule r;
	unsigned int i;

	for (i = 0; i < sizeof(acts) / sizeof(acts[0]); i++) {
		test_rule_add(&r, self->mem, PAGE, acts[i], .flags = PTF_RULE_F_QUIET,
			      .value = acts[i] == PTF_ACT_DELAY);
		test_rule_arm(0);
		EXPECT_EQ(acts[i] == PTF_ACT_SIGBUS ? -SIGBUS : 0, ptf_try_read(self->mem));
		test_rule_list_one(&r);
		EXPECT_EQ(1, r.hits) {
			TH_LOG("action %u", acts[i]);
		}
		test_rule_delete_all();
		test_cmd_session_stat(&st);
		EXPECT_EQ(i + 1, st.out_rule_hits);
	}
	fcntl(self->fd, F_SETFL, O_NONBLOCK);
	EXPECT_ERRNO(EAGAIN, read(self->fd, &ev, sizeof(ev)));
	EXPECT_EQ(0, st.out_events_lost);
	EXPECT_EQ(0, st.out_events_queued);
	/* one that is told, among them, is number one */
	test_rule_add(&r, self->mem, PAGE, PTF_ACT_SIGBUS);
	test_rule_arm(0);
	EXPECT_EQ(-SIGBUS, ptf_try_read(self->mem));
	ASSERT_EQ(sizeof(ev), read(self->fd, &ev, sizeof(ev)));
	EXPECT_EQ(1, ev.seq);
	test_rule_delete_all();
	EXPECT_EQ(0, ptf_wrong(self->mem, LEN, SEED));
}

/* Everything off, and back, with the close of the session: contents whole. */
TEST_F(rule, close_undoes)
{
	struct ptf_rule r;
	int fd = self->fd;

	test_rule_add(&r, self->mem, LEN, PTF_ACT_SIGBUS);
	test_rule_arm(0);
	EXPECT_EQ(-SIGBUS, ptf_try_read(self->mem));
	EXPECT_EQ(EFAULT, by_write2(self->mem + PAGE));
	close(fd);
	EXPECT_EQ(0, ptf_wrong(self->mem, LEN, SEED));
	self->fd = open(PTF_DEV, O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, self->fd);
	/* RESET: likewise, and the target goes on */
	test_rule_add(&r, self->mem, LEN, PTF_ACT_SIGBUS);
	test_rule_arm(0);
	EXPECT_EQ(-SIGBUS, ptf_try_read(self->mem));
	struct ptf_ioc_range_advise adv;

	test_cmd_range_advise(&adv, 0, PTF_ADV_RESET, self->mem, PAGE, 0);
	EXPECT_EQ(0, ptf_wrong(self->mem, LEN, SEED));
	EXPECT_EQ(0, by_write2(self->mem + PAGE));
	struct ptf_ioc_session_stat st;

	test_cmd_session_stat(&st);
	EXPECT_EQ(0, st.out_rules);
}

/* A child has no rules; its memory is its own. */
static int child_reads(void *p)
{
	return ptf_try_read(p) ? 1 : 0;
}

TEST_F(rule, fork)
{
	struct ptf_rule r;

	test_rule_add(&r, self->mem, LEN, PTF_ACT_SIGBUS);
	test_rule_arm(0);
	EXPECT_EQ(0, ptf_wait(ptf_child(child_reads, self->mem)));
	test_rule_arm(0);
	EXPECT_EQ(-SIGBUS, ptf_try_read(self->mem));
}

/* ---- every kind of memory, and pages that are not there ---- */

TEST_F(rule, kinds)
{
	struct ptf_rule r;
	unsigned int i;
	char *p[6];
	int fd = ptf_file_in("/dev/shm", PAGE, 4), fd2 = ptf_file_in("/tmp", PAGE, 4);

	ASSERT_LE(0, fd);
	ASSERT_LE(0, fd2);
	p[0] = mmap(NULL, PAGE, 3, MAP_SHARED, fd, 0);
	p[1] = mmap(NULL, PAGE, 3, MAP_PRIVATE, fd2, 0);
	p[2] = mmap(NULL, PAGE, 3, MAP_SHARED, fd2, 0);
	p[3] = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	p[4] = mmap(NULL, PAGE, 3, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	p[5] = mmap(NULL, PAGE, 3, MAP_SHARED, self->fd, PTF_MMAP_MEMORY);
	for (i = 0; i < ARRAY_SIZE(p); i++) {
		ASSERT_NE(MAP_FAILED, p[i]);
		/* not there yet: faults by itself; and then it is, and is made to */
		if (i & 1)
			ptf_touch(p[i]);
		test_rule_add(&r, p[i], PAGE, PTF_ACT_SIGBUS, .times = 2);
		test_rule_arm(0);
		EXPECT_EQ(-SIGBUS, ptf_try_read(p[i])) {
			TH_LOG("kind %u", i);
		}
		EXPECT_EQ(EFAULT, by_write2(p[i])) {
			TH_LOG("kind %u", i);
		}
		EXPECT_EQ(0, ptf_try_read(p[i]));
		test_rule_delete_all();
	}
	EXPECT_EQ(0, ptf_wrong(p[0], PAGE, 4));
	EXPECT_EQ(0, ptf_wrong(p[1], PAGE, 4));
	EXPECT_EQ(0, ptf_wrong(p[2], PAGE, 4));
	EXPECT_EQ(0, ptf_touch(p[3]));
}

/* RANGE_FAULT is a fault as well. */
TEST_F(rule, driven)
{
	struct ptf_ioc_range_fault f = {
		.size = sizeof(f), .access = PTF_ACCESS_READ, .start = u64ptr(self->mem),
		.end = u64ptr(self->mem) + PAGES(4),
	};
	unsigned char res[4];
	struct ptf_rule r;

	f.results = u64ptr(res);
	test_rule_add(&r, self->mem, LEN, PTF_ACT_SIGBUS, .after = 2, .times = 1);
	test_rule_arm(0);
	ASSERT_OK(ioctl(self->fd, PTF_IOC_RANGE_FAULT, &f));
	EXPECT_EQ(PTF_FAULTED_MINOR, res[0]);
	EXPECT_EQ(PTF_FAULTED_MINOR, res[1]);
	EXPECT_EQ(PTF_FAULTED_SIGBUS, res[2]);
	EXPECT_EQ(PTF_FAULTED_MINOR, res[3]);
	EXPECT_EQ(1, f.out_failed);
}

/* ---- poison ---- */

TEST_F(rule, poison)
{
	struct ptf_ioc_range_advise adv;
	struct ptf_row row;
	int i;

	test_cmd_query_pages(0, self->mem, PAGE, &row);
	__u64 pfn = row.pte_pfn;

	test_cmd_range_advise(&adv, 0, PTF_ADV_POISON, self->mem, PAGES(8), 0);
	EXPECT_EQ(8, adv.out_done_pages);
	for (i = 0; i < 2; i++) {
		EXPECT_EQ(-SIGBUS, ptf_try_read(self->mem + 40));
		EXPECT_EQ(BUS_MCEERR_AR, ptf_caught.code);
		EXPECT_EQ(12, ptf_caught.lsb);
		EXPECT_EQ(self->mem + 40, ptf_caught.addr);
		EXPECT_EQ(-SIGBUS, ptf_try_write(self->mem + PAGES(7)));
		EXPECT_EQ(EFAULT, by_write2(self->mem + PAGE));
		EXPECT_EQ(EFAULT, by_read2(self->mem + PAGES(2)));
		EXPECT_EQ(EFAULT, by_vm_readv(self->mem + PAGES(3)));
		EXPECT_EQ(EFAULT, by_vm_writev(self->mem + PAGES(3)));
	}
	EXPECT_EQ(0, ptf_try_read(self->mem + PAGES(8)));
	/* not in a child */
	EXPECT_EQ(0, ptf_wait(ptf_child(child_reads, self->mem)));
	/* in the middle: what is around stays poisoned */
	test_cmd_range_advise(&adv, 0, PTF_ADV_UNPOISON, self->mem + PAGES(3), PAGES(2), 0);
	EXPECT_EQ(0, ptf_wrong_page(self->mem + PAGES(3), SEED, 3));
	EXPECT_EQ(0, ptf_wrong_page(self->mem + PAGES(4), SEED, 4));
	EXPECT_EQ(-SIGBUS, ptf_try_read(self->mem + PAGES(2)));
	EXPECT_EQ(-SIGBUS, ptf_try_read(self->mem + PAGES(5)));
	/* core mm may open it for a moment, and no more */
	ASSERT_EQ(0, mprotect(self->mem, PAGES(8), PROT_READ));
	ASSERT_EQ(0, mprotect(self->mem, PAGES(8), PROT_READ | PROT_WRITE));
	usleep(200000);
	EXPECT_EQ(-SIGBUS, ptf_try_read(self->mem + PAGES(2)));
	test_cmd_range_advise(&adv, 0, PTF_ADV_UNPOISON, self->mem, PAGES(8), 0);
	EXPECT_EQ(0, ptf_wrong(self->mem, LEN, SEED));
	/* the kernel may move it to where it is used, if there is more than one node */
	if (access("/sys/devices/system/node/node1", F_OK)) {
		test_cmd_query_pages(0, self->mem, PAGE, &row);
		EXPECT_EQ(pfn, row.pte_pfn);
	}
	/* a mark goes with its mapping */
	test_cmd_range_advise(&adv, 0, PTF_ADV_POISON, self->mem, PAGES(8), 0);
	ASSERT_EQ(self->mem + PAGES(2), mmap(self->mem + PAGES(2), PAGES(2), 3,
					     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
	EXPECT_EQ(0, ptf_try_read(self->mem + PAGES(2)));
	EXPECT_EQ(0, ptf_try_write(self->mem + PAGES(3)));
	EXPECT_EQ(-SIGBUS, ptf_try_read(self->mem + PAGES(1)));
	EXPECT_EQ(-SIGBUS, ptf_try_read(self->mem + PAGES(4)));
	/* vdso: never */
	test_err_range_advise(EOPNOTSUPP, &adv, 0, PTF_ADV_POISON, ptf_vdso(), PAGE, 0);
}

/* Nobody opens what a session has marked, but that session; and it opens at the end. */
TEST_F(rule, marks_stay_closed)
{
	int other = open(PTF_DEV, O_RDWR | O_CLOEXEC), i;
	struct ptf_ioc_range_advise adv;
	struct ptf_ioc_session_stat st;
	struct ptf_row row[8];
	__u64 hits;
	long min;

#define by_other(errno_, advice, addr, len) \
	EXPECT_ERRNO(errno_, _test_cmd_range_advise(other, &adv, 0, advice, addr, len, 0))

	ASSERT_LE(0, other);
	test_cmd_range_advise(&adv, 0, PTF_ADV_POISON, self->mem, PAGE, 0);
	test_cmd_range_advise(&adv, 0, PTF_ADV_STICKY, self->mem + PAGE, PAGE, 0);
	by_other(EBUSY, PTF_ADV_PRESENT, self->mem, PAGE);
	EXPECT_EQ(1, adv.out_skipped_pages[PTF_SKIP_FOREIGN]);
	by_other(EBUSY, PTF_ADV_UNPOISON, self->mem, PAGE);
	by_other(EBUSY, PTF_ADV_PRESENT, self->mem + PAGE, PAGE);
	EXPECT_EQ(-SIGBUS, ptf_try_read(self->mem));
	test_err_range_advise(EBUSY, &adv, 0, PTF_ADV_PRESENT, self->mem, PAGES(2), 0);
	EXPECT_EQ(-SIGBUS, ptf_try_read(self->mem));
	test_cmd_session_stat(&st);
	hits = st.out_sticky_hits;
	for (i = 0; i < 5; i++)
		EXPECT_EQ(0, ptf_try_read(self->mem + PAGE));
	test_cmd_session_stat(&st);
	EXPECT_EQ(5, st.out_sticky_hits - hits);
	/* what is beside them is nobody's */
	EXPECT_EQ(0, _test_cmd_range_advise(other, &adv, 0, PTF_ADV_NOTPRESENT,
					    self->mem, PAGES(4), 0));
	EXPECT_EQ(0, _test_cmd_range_advise(other, &adv, 0, PTF_ADV_PRESENT,
					    self->mem, PAGES(4), 0));
	EXPECT_EQ(2, adv.out_done_pages);
	EXPECT_EQ(2, adv.out_skipped_pages[PTF_SKIP_FOREIGN]);

	/* UNPOISON is about poison: a page that is sticky too stays closed, ... */
	test_cmd_range_advise(&adv, 0, PTF_ADV_POISON, self->mem + PAGE, PAGE, 0);
	EXPECT_EQ(-SIGBUS, ptf_try_read(self->mem + PAGE));
	test_cmd_range_advise(&adv, 0, PTF_ADV_UNPOISON, self->mem, PAGES(2), 0);
	EXPECT_EQ(0, ptf_wrong(self->mem, PAGES(2), SEED));
	test_cmd_query_pages(0, self->mem, PAGES(2), row);
	EXPECT_EQ(PTF_STATE_PRESENT, row[0].state);
	EXPECT_EQ(PTF_STATE_HINT, row[1].state);
	/* ... and what others have stashed stays away */
	EXPECT_EQ(0, _test_cmd_range_advise(other, &adv, 0, PTF_ADV_STASH,
					    self->mem + PAGES(4), PAGES(2), 0));
	test_err_range_advise(EBUSY, &adv, 0, PTF_ADV_UNPOISON, self->mem + PAGES(4), PAGES(2), 0);
	test_cmd_query_pages(0, self->mem + PAGES(4), PAGES(2), row);
	EXPECT_EQ(PTF_STATE_STASHED, row[0].state);
	EXPECT_EQ(PTF_STATE_STASHED, row[1].state);
	/* made sticky while it was away: closed when it comes back */
	test_cmd_range_advise(&adv, 0, PTF_ADV_STICKY, self->mem + PAGES(3), PAGES(2), 0);
	close(other);
	test_cmd_query_pages(0, self->mem + PAGES(3), PAGES(3), row);
	EXPECT_EQ(PTF_STATE_HINT, row[0].state);
	EXPECT_EQ(PTF_STATE_HINT, row[1].state);
	EXPECT_EQ(PTF_STATE_PRESENT, row[2].state);

	/* nothing is left of them */
	test_cmd_range_advise(&adv, 0, PTF_ADV_RESET, self->mem, PAGE, 0);
	test_cmd_query_pages(0, self->mem, PAGES(8), row);
	for (i = 0; i < 8; i++)
		EXPECT_EQ(PTF_STATE_PRESENT, row[i].state) {
			TH_LOG("page %u", i);
		}
	min = ptf_minflt();
	EXPECT_EQ(0, ptf_wrong(self->mem, PAGES(8), SEED));
	EXPECT_EQ(min, ptf_minflt());
#undef by_other
}

static int idle(void *arg)
{
	for (;;)
		pause();
	return 0;
}

/* Core mm opens a page that it moves or copies at our command: not for anybody. */
TEST_F(rule, poison_and_migrate)
{
	struct ptf_ioc_range_advise adv;
	unsigned int i;
	pid_t pid;

	for (i = 0; i < 50; i++) {
		test_cmd_range_advise(&adv, 0, PTF_ADV_POISON, self->mem, PAGES(8), 0);
		test_cmd_range_advise(&adv, 0, PTF_ADV_MIGRATE, self->mem + PAGES(i % 8), PAGE, 0);
		EXPECT_EQ(-SIGBUS, ptf_try_read(self->mem + PAGES(i % 8)));
		test_cmd_range_advise(&adv, 0, PTF_ADV_UNPOISON, self->mem, PAGES(8), 0);
	}
	for (i = 0; i < 8; i++) {
		pid = ptf_child(idle, NULL);
		test_cmd_range_advise(&adv, 0, PTF_ADV_POISON, self->mem + PAGES(i), PAGE, 0);
		test_cmd_range_advise(&adv, 0, PTF_ADV_UNSHARE, self->mem + PAGES(i), PAGE, 0);
		EXPECT_EQ(-SIGBUS, ptf_try_read(self->mem + PAGES(i)));
		test_cmd_range_advise(&adv, 0, PTF_ADV_UNPOISON, self->mem + PAGES(i), PAGE, 0);
		ptf_kill(pid);
	}
	EXPECT_EQ(0, ptf_wrong(self->mem, LEN, SEED));
}

TEST_HARNESS_MAIN
