// SPDX-License-Identifier: GPL-2.0-only
/*
 * Access that never signals, to every kind of memory that may not be there;
 * pins; and that no signal handler of the caller's is touched or called.
 */
/* vm: --no-module */
#include "test_lib.h"

#include <stdatomic.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>

#define NR 6

FIXTURE(access) {
	char *p;	/* good, good, PROT_NONE, read-only, hole, good */
	char *buf;
	int fd;
	char *file;	/* one page, and one behind the end of the file */
};

static volatile sig_atomic_t signals;

static void on_signal(int sig)
{
	signals++;
	_exit(100 + sig);
}

FIXTURE_SETUP(access)
{
	self->p = anon(NR);
	self->buf = anon(NR);
	pages_fill(self->p, NR, 1);
	ASSERT_EQ(0, mprotect(self->p + PAGES(2), PAGE, PROT_NONE));
	ASSERT_EQ(0, mprotect(self->p + PAGES(3), PAGE, PROT_READ));
	ASSERT_EQ(0, munmap(self->p + PAGES(4), PAGE));
	self->fd = filled_memfd(1, 2);
	self->file = mmap(NULL, PAGES(2), PROT_READ | PROT_WRITE, MAP_SHARED, self->fd, 0);
	ASSERT_NE(MAP_FAILED, self->file);
	signal(SIGSEGV, on_signal);
	signal(SIGBUS, on_signal);
}

FIXTURE_TEARDOWN(access)
{
	struct sigaction act;

	/* The caller's handlers are where they were. */
	sigaction(SIGSEGV, NULL, &act);
	EXPECT_EQ((void *)on_signal, (void *)act.sa_handler);
	sigaction(SIGBUS, NULL, &act);
	EXPECT_EQ((void *)on_signal, (void *)act.sa_handler);
	EXPECT_EQ(0, signals);
	munmap(self->p, PAGES(NR));
	munmap(self->buf, PAGES(NR));
	munmap(self->file, PAGES(2));
	close(self->fd);
}

/*
 * The same facts whatever way the copy goes, so they are a function that runs
 * as it is and with the system call forbidden. Returns the line that failed.
 */
#define FACT(what) do { if (!(what)) return __LINE__; } while (0)

static int copy_facts(char *p, char *buf, char *file)
{
	size_t done, i;

	/* In: all; up to the PROT_NONE page; from inside a page. */
	memset(buf, 'q', PAGES(NR));
	FACT(!ptf_copy_in(buf, p, PAGES(2), 0, &done) && done == PAGES(2));
	FACT(pages_have(buf, 2, 1) && buf[PAGES(2)] == 'q');
	memset(buf, 'q', PAGES(NR));
	FACT(ptf_copy_in(buf, p, PAGES(NR), 0, &done) == -EFAULT && done == PAGES(2));
	FACT(pages_have(buf, 2, 1));
	for (i = PAGES(2); i < PAGES(NR); i++)
		FACT(buf[i] == 'q');
	FACT(ptf_failure_last()->err == EFAULT);
	FACT(ptf_failure_last()->addr == p + PAGES(2));
	FACT(ptf_failure_last()->wanted == PAGES(NR));
	FACT(ptf_failure_last()->done == PAGES(2));
	FACT(ptf_copy_in(buf, p + PAGES(2) - 3, 10, 0, &done) == -EFAULT && done == 3);
	FACT(!memcmp(buf, p + PAGES(2) - 3, 3));
	FACT(ptf_copy_in(buf, p + PAGES(2), 1, 0, &done) == -EFAULT && !done);
	FACT(ptf_copy_in(buf, p + PAGES(4), 1, 0, &done) == -EFAULT && !done);
	FACT(!ptf_copy_in(buf, p + PAGES(3), PAGE, 0, &done) && done == PAGE);
	FACT(!memcmp(buf, p + PAGES(3), PAGE));
	/* Nothing is always fine, wherever. */
	FACT(!ptf_copy_in(buf, p + PAGES(4), 0, 0, &done) && !done);
	FACT(!ptf_copy_out(NULL, buf, 0, 0, NULL));
	FACT(!ptf_zero_out((void *)8, 0, 0, &done) && !done);
	/* Addresses that no program has. */
	FACT(ptf_copy_in(buf, NULL, 1, 0, &done) == -EFAULT && !done);
	FACT(ptf_copy_in(buf, (void *)-PAGE, PAGE, 0, &done) == -EFAULT && !done);
	FACT(ptf_copy_in(buf, (void *)0x800000000000, 8, 0, &done) == -EFAULT && !done);
	FACT(ptf_copy_in(buf, p, SIZE_MAX, 0, &done) == -EFAULT && done == PAGES(2));
	FACT(ptf_copy_in(buf, p, PTRDIFF_MAX, 0, &done) == -EFAULT && done == PAGES(2));
	/* Behind the end of a file. */
	FACT(ptf_copy_in(buf, file, PAGE + 1, 0, &done) == -EFAULT && done == PAGE);
	FACT(page_has(buf, 0, 2));

	/* Out. */
	memset(buf, 'w', PAGES(NR));
	FACT(ptf_copy_out(p + PAGE, buf, PAGES(4), 0, &done) == -EFAULT && done == PAGE);
	FACT(page_has(p, 0, 1));
	for (i = PAGE; i < PAGES(2); i++)
		FACT(p[i] == 'w');
	FACT(ptf_copy_out(p + PAGES(3), buf, 1, 0, &done) == -EFAULT && !done);
	FACT(page_has(p, 3, 1));
	FACT(ptf_copy_out(p + PAGES(2) - 5, "12345678", 8, 0, &done) == -EFAULT && done == 5);
	FACT(!memcmp(p + PAGES(2) - 5, "12345", 5));
	FACT(ptf_copy_out(file + PAGE - 1, "xy", 2, 0, &done) == -EFAULT && done == 1);
	FACT(file[PAGE - 1] == 'x');
	FACT(!ptf_copy_out(p + PAGES(5), buf, PAGE, 0, NULL));
	FACT(p[PAGES(6) - 1] == 'w');

	/* Zero. */
	FACT(ptf_zero_out(p + PAGE, PAGES(2), 0, &done) == -EFAULT && done == PAGE);
	FACT(page_zero(p, 1) && page_has(p, 0, 1));
	FACT(ptf_zero_out(p + PAGES(3), 1, 0, &done) == -EFAULT && !done);
	FACT(!ptf_zero_out(p + PAGES(5) + 1, PAGE - 2, 0, &done) && done == PAGE - 2);
	FACT(p[PAGES(5)] == 'w' && !p[PAGES(5) + 1] && !p[PAGES(6) - 2] && p[PAGES(6) - 1] == 'w');
	FACT(ptf_copy_in(buf, p, 1, 2, &done) == -EINVAL && !done);
	FACT(ptf_copy_out(p, buf, 1, 2, &done) == -EINVAL && !done);
	FACT(ptf_zero_out(p, 1, 2, &done) == -EINVAL && !done);
	return 0;
}

TEST_F(access, copies)
{
	EXPECT_EQ(0, copy_facts(self->p, self->buf, self->file));
}

TEST_F(access, copies_where_the_call_is_forbidden)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_process_vm_readv, 1, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_process_vm_writev, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = { ARRAY_SIZE(code), code };
	int verdict, fds = 0, i;

	IN_CHILD(verdict, {
		prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
		CHILD_CHECK(1, !prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog));
		for (i = 0; i < 64; i++)
			fds += fcntl(i, F_GETFD) >= 0;
		i = copy_facts(self->p, self->buf, self->file);
		if (i)
			fprintf(stderr, "# line %d\n", i);
		CHILD_CHECK(2, !i);
		/* No pipe is left behind. */
		for (i = 0; i < 64; i++)
			fds -= fcntl(i, F_GETFD) >= 0;
		CHILD_CHECK(3, !fds);
	});
	EXPECT_EQ(0, verdict);
}

TEST_F(access, large_copies)
{
	size_t done, nr = 16 * MB / PAGE;
	char *a = anon(nr + 1), *b = anon(nr + 1);

	pages_fill(a, nr, 5);
	munmap(a + PAGES(nr), PAGE);
	EXPECT_EQ(-EFAULT, ptf_copy_in(b + 3, a + 1, PAGES(nr) + 7, 0, &done));
	EXPECT_EQ(PAGES(nr) - 1, done);
	EXPECT_EQ(0, memcmp(b + 3, a + 1, PAGES(nr) - 1));
	EXPECT_EQ(-EFAULT, ptf_zero_out(a + 1, PAGES(nr), 0, &done));
	EXPECT_EQ(PAGES(nr) - 1, done);
	EXPECT_EQ(true, page_zero(a, nr - 1));
	EXPECT_NE(0, a[0] | a[1] | 1);
	munmap(a, PAGES(nr));
	munmap(b, PAGES(nr + 1));
}

TEST_F(access, ignoring_protection)
{
	size_t done;
	char *shared, *ro;
	int fd;

	EXPECT_EQ(0, ptf_copy_in(self->buf, self->p + PAGES(2), PAGE, PTF_COPY_F_FORCE, &done));
	EXPECT_EQ(PAGE, done);
	EXPECT_EQ(-EFAULT, ptf_copy_in(self->buf + PAGES(0), self->p, PAGES(NR), PTF_COPY_F_FORCE,
				       &done));
	EXPECT_EQ(PAGES(4), done);
	EXPECT_EQ(true, pages_have(self->buf, 4, 1));
	EXPECT_EQ(0, ptf_copy_out(self->p + PAGES(3) + 1, "force", 5, PTF_COPY_F_FORCE, &done));
	EXPECT_EQ(5, done);
	EXPECT_EQ(0, memcmp(self->p + PAGES(3) + 1, "force", 5));
	EXPECT_EQ(PROT_READ, prot_at(self->p + PAGES(3)));
	EXPECT_EQ(0, ptf_zero_out(self->p + PAGES(2), PAGE, PTF_COPY_F_FORCE, &done));
	EXPECT_EQ(PROT_NONE, prot_at(self->p + PAGES(2)));
	mprotect(self->p + PAGES(2), PAGE, PROT_READ);
	EXPECT_EQ(true, page_zero(self->p, 2));
	EXPECT_EQ(-EFAULT, ptf_copy_out(self->p + PAGES(4), "x", 1, PTF_COPY_F_FORCE, &done));
	EXPECT_EQ(0, done);
	EXPECT_EQ(-EFAULT, ptf_copy_in(self->buf, self->file, PAGES(2), PTF_COPY_F_FORCE, &done));
	EXPECT_EQ(PAGE, done);
	EXPECT_EQ(-EFAULT, ptf_copy_in(self->buf, (void *)-PAGE, 1, PTF_COPY_F_FORCE, &done));
	EXPECT_EQ(-EFAULT, ptf_copy_in(self->buf, NULL, 1, PTF_COPY_F_FORCE, &done));
	/* A read-only private file page gets a copy; the file is not touched. */
	fd = filled_memfd(1, 4);
	ro = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, fd, 0);
	shared = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0);
	EXPECT_EQ(0, ptf_zero_out(ro, PAGE, PTF_COPY_F_FORCE, NULL));
	EXPECT_EQ(true, page_zero(ro, 0));
	EXPECT_EQ(true, page_has(shared, 0, 4));
	EXPECT_EQ(-EFAULT, ptf_zero_out(shared, PAGE, PTF_COPY_F_FORCE, &done));
	EXPECT_EQ(true, page_has(shared, 0, 4));
	munmap(ro, PAGE);
	munmap(shared, PAGE);
	close(fd);
}

/* --- 32 bits ---------------------------------------------------------------- */

TEST_F(access, words)
{
	uint32_t *w = (uint32_t *)self->p, v, bad = 0xdeadbeef;
	void *bads[] = {
		self->p + PAGES(2), self->p + PAGES(4), NULL, self->file + PAGE,
		(char *)-PAGE, (char *)0x8000000000000000,
	};
	unsigned int i;
	char text[512];

	w[1] = 0x11223344;
	EXPECT_EQ(0, ptf_load32(&w[1], &v));
	EXPECT_EQ(0x11223344, v);
	EXPECT_EQ(0, ptf_load32((uint32_t *)(self->p + PAGES(3)), &v));
	EXPECT_EQ(*(uint32_t *)(self->p + PAGES(3)), v);
	EXPECT_EQ(0, ptf_swap32(&w[1], 0x55667788, &v));
	EXPECT_EQ(0x11223344, v);
	EXPECT_EQ(0x55667788, w[1]);
	EXPECT_EQ(0, ptf_swap32(&w[1], 1, NULL));
	EXPECT_EQ(1, w[1]);
	/* Not equal: the old value, and nothing changed. */
	EXPECT_EQ(0, ptf_cmpxchg32(&w[1], 2, 3, &v));
	EXPECT_EQ(1, v);
	EXPECT_EQ(1, w[1]);
	EXPECT_EQ(0, ptf_cmpxchg32(&w[1], 1, 3, &v));
	EXPECT_EQ(1, v);
	EXPECT_EQ(3, w[1]);
	EXPECT_EQ(0, ptf_cmpxchg32(&w[1], 3, 4, NULL));
	EXPECT_EQ(4, w[1]);
	for (i = 0; i < ARRAY_SIZE(bads); i++) {
		v = bad;
		EXPECT_EQ(-EFAULT, ptf_load32((uint32_t *)bads[i], &v));
		EXPECT_EQ(-EFAULT, ptf_swap32((uint32_t *)bads[i], 1, &v));
		EXPECT_EQ(-EFAULT, ptf_cmpxchg32((uint32_t *)bads[i], 0, 1, &v));
		EXPECT_EQ(bad, v);
		EXPECT_EQ(bads[i], ptf_failure_last()->addr);
	}
	/* Read-only: may be loaded, not exchanged. */
	EXPECT_EQ(-EFAULT, ptf_swap32((uint32_t *)(self->p + PAGES(3)), 1, &v));
	EXPECT_EQ(true, page_has(self->p, 3, 1));
	for (i = 1; i < 4; i++) {
		EXPECT_EQ(-EINVAL, ptf_load32((uint32_t *)(self->p + i), &v));
		EXPECT_EQ(-EINVAL, ptf_swap32((uint32_t *)(self->p + i), 1, &v));
		EXPECT_EQ(-EINVAL, ptf_cmpxchg32((uint32_t *)(self->p + i), 1, 1, &v));
		ptf_failure_text(text, sizeof(text));
		EXPECT_EQ(NULL, strstr(text, "range"));
		EXPECT_NE(NULL, strstr(text, "aligned word"));
	}
	EXPECT_EQ(bad, v);
}

/* No mapping, one that forbids it, a file that ends, a page that can't come. */
TEST_F(access, failures_name_the_layer)
{
	struct { void *at; bool write; int layer; } cases[] = {
		{ self->p + PAGES(4), false, PTF_LAYER_VMA },
		{ self->p + PAGES(2), false, PTF_LAYER_VMA },
		{ self->p + PAGES(3), true, PTF_LAYER_VMA },
		{ self->file + PAGE, false, PTF_LAYER_FILEMAP },
		{ self->file + PAGE, true, PTF_LAYER_FILEMAP },
		{ NULL, false, PTF_LAYER_VMA },
		{ (char *)-PAGE, true, PTF_LAYER_VMA },
		{ self->p, false, PTF_LAYER_PTE },
	};
	char c = 1, text[512], want[32];
	unsigned int i, n = ARRAY_SIZE(cases);
	int ret;

	/* Guards are of Linux 6.13. */
	if (madvise(self->p, PAGE, PTF_MADV_GUARD_INSTALL))
		n--;
	for (i = 0; i < n; i++) {
		if (cases[i].write)
			ret = ptf_copy_out(cases[i].at, &c, 1, 0, NULL);
		else
			ret = ptf_copy_in(&c, cases[i].at, 1, 0, NULL);
		EXPECT_EQ(-EFAULT, ret);
		EXPECT_EQ(cases[i].layer, ptf_failure_last()->layer) {
			TH_LOG("case %u", i);
		}
		ptf_failure_text(text, sizeof(text));
		snprintf(want, sizeof(want), " at 0x%jx,", (uintmax_t)(uintptr_t)cases[i].at);
		EXPECT_NE(NULL, strstr(text, want)) {
			TH_LOG("%s", text);
		}
	}
}

TEST_F(access, words_leave_the_caller_alone)
{
	uint32_t v, *w = (uint32_t *)self->p;
	sigset_t before, after, some;
	int status;

	sigemptyset(&some);
	sigaddset(&some, SIGUSR1);
	sigaddset(&some, SIGSEGV);
	pthread_sigmask(SIG_SETMASK, &some, &before);
	/* Also with the fault signals blocked. */
	EXPECT_EQ(-EFAULT, ptf_swap32((uint32_t *)(self->p + PAGES(2)), 1, &v));
	EXPECT_EQ(0, ptf_swap32(w, 9, &v));
	pthread_sigmask(SIG_SETMASK, &before, &after);
	EXPECT_EQ(1, sigismember(&after, SIGUSR1));
	EXPECT_EQ(1, sigismember(&after, SIGSEGV));
	EXPECT_EQ(0, sigismember(&after, SIGTERM));
	/* No child is left, nor seen. */
	EXPECT_EQ(-1, waitpid(-1, &status, WNOHANG | __WALL));
	EXPECT_EQ(ECHILD, errno);
}

struct race {
	_Atomic int stop, errors, done;
	uint32_t *word;
};

static void *writer(void *arg)
{
	struct race *r = arg;
	uint32_t v = 0;

	/* All four bytes are equal: a torn load would show. */
	while (!r->stop)
		__atomic_store_n(r->word, (v++ & 0xff) * 0x01010101U, __ATOMIC_RELAXED);
	return NULL;
}

TEST_F_TIMEOUT(access, loads_are_never_torn, 120)
{
	struct race r = { .word = (uint32_t *)self->p };
	pthread_t t;
	uint32_t v;
	int i, changed = 0;
	uint32_t last = 0;

	*r.word = 0;
	ASSERT_EQ(0, pthread_create(&t, NULL, writer, &r));
	for (i = 0; i < (int)rounds(2000) || (changed < 20 && i < 1000000); i++) {
		ASSERT_EQ(0, ptf_load32(r.word, &v));
		EXPECT_EQ((v & 0xff) * 0x01010101U, v);
		changed += v != last;
		last = v;
	}
	r.stop = 1;
	pthread_join(t, NULL);
	EXPECT_LT(10, changed);
}

#define ADDS (int)rounds(200)

static void *adder(void *arg)
{
	struct race *r = arg;
	uint32_t seen, v;
	int i;

	for (i = 0; i < ADDS; ) {
		if (ptf_load32(r->word, &seen) ||
		    ptf_cmpxchg32(r->word, seen, seen + 1, &v)) {
			r->errors++;
			break;
		}
		i += v == seen;
	}
	return NULL;
}

static void *native_adder(void *arg)
{
	struct race *r = arg;
	int i;

	for (i = 0; i < 100000; i++)
		__atomic_add_fetch(r->word, 1, __ATOMIC_SEQ_CST);
	return NULL;
}

TEST_F_TIMEOUT(access, exchanges_are_atomic, 120)
{
	struct race r = { .word = (uint32_t *)self->p };
	pthread_t t[3];
	int i;

	*r.word = 0;
	for (i = 0; i < 2; i++)
		ASSERT_EQ(0, pthread_create(&t[i], NULL, adder, &r));
	ASSERT_EQ(0, pthread_create(&t[2], NULL, native_adder, &r));
	for (i = 0; i < 3; i++)
		pthread_join(t[i], NULL);
	EXPECT_EQ(0, r.errors);
	EXPECT_EQ(2 * ADDS + 100000, *r.word);
}

static void *flipper(void *arg)
{
	struct race *r = arg;

	while (!r->stop) {
		mprotect(r->word, PAGE, PROT_NONE);
		mprotect(r->word, PAGE, PROT_READ | PROT_WRITE);
		r->done++;
	}
	return NULL;
}

TEST_F_TIMEOUT(access, memory_that_comes_and_goes, 120)
{
	struct race r = { .word = (uint32_t *)self->p };
	char buf[256];
	int i, ret, seen[2] = { 0 };
	uint32_t v;
	size_t done;
	pthread_t t;

	ASSERT_EQ(0, pthread_create(&t, NULL, flipper, &r));
	for (i = 0; i < (int)rounds(3000) || !seen[0] || !seen[1]; i++) {
		ret = i % 3 == 0 ? ptf_copy_in(buf, self->p + 100, sizeof(buf), 0, &done) :
		      i % 3 == 1 ? ptf_copy_out(self->p + 100, buf, sizeof(buf), 0, &done) :
		      ptf_load32(r.word, &v);
		ASSERT_EQ(true, !ret || ret == -EFAULT);
		if (i % 3 < 2)
			EXPECT_EQ(ret ? 0 : sizeof(buf), done);
		seen[!!ret]++;
		if (i % 64 == 0) {
			ret = ptf_swap32(r.word, i, NULL);
			EXPECT_EQ(true, !ret || ret == -EFAULT);
		}
		if (i > 1000000)
			break;
	}
	r.stop = 1;
	pthread_join(t, NULL);
	EXPECT_LT(0, seen[0]);
	EXPECT_LT(0, seen[1]);
}

/* --- pins -------------------------------------------------------------------- */

/*
 * Does a page keep its frame when a child is made and the parent writes? That
 * is what a pin is for: without one the parent gets a copy. -1: the child did
 * not have what was there when it was made.
 */
static int keeps_its_frame(char *p, size_t nr)
{
	uint64_t was;
	int status, ret;
	pid_t pid;

	pages_fill(p, nr, 3);
	was = frame(p);
	pid = fork();
	if (!pid) {
		usleep(100000);
		_exit(pages_have(p, nr, 3) ? 0 : 1);
	}
	p[0] ^= 1;
	ret = was && was == frame(p);
	p[0] ^= 1;
	waitpid(pid, &status, 0);
	return status ? -1 : ret;
}

TEST_F(access, pin_keeps_the_frame)
{
	struct ptf_usage u = { .size = sizeof(u) }, v = u;
	struct ptf_pin *pin;
	char *p = anon(2);
	int ret, verdict;

	if (geteuid())
		SKIP(return, "needs root to see frames");
	EXPECT_EQ(0, keeps_its_frame(p, 2));
	ASSERT_EQ(0, ptf_usage_get(0, &u));
	ret = ptf_pin_create(p + 5, PAGE, &pin);
	if (ret == -EOPNOTSUPP)
		SKIP(return, "no io_uring here: %s", ptf_failure_last()->annotation);
	ASSERT_EQ(0, ret);
	/* Newer kernels don't count it for who may lock without limit. */
	ASSERT_EQ(0, ptf_usage_get(0, &v));
	if (kernel_version() <= 612)
		EXPECT_EQ(PAGES(2), v.pinned_bytes - u.pinned_bytes);
	EXPECT_EQ(1, keeps_its_frame(p, 2));
	EXPECT_EQ(1, keeps_its_frame(p + PAGE, 1));
	/* A child that unpins takes nothing away from its parent. */
	IN_CHILD(verdict, ptf_pin_destroy(pin));
	EXPECT_EQ(0, verdict);
	EXPECT_EQ(1, keeps_its_frame(p, 2));
	ptf_pin_destroy(pin);
	ptf_pin_destroy(NULL);
	EXPECT_EQ(0, keeps_its_frame(p, 2));
	ASSERT_EQ(0, ptf_usage_get(0, &v));
	EXPECT_EQ(u.pinned_bytes, v.pinned_bytes);
	munmap(p, PAGES(2));
}

TEST_F(access, pin_breaks_copy_on_write)
{
	struct ptf_pin *pin;
	char *p = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, self->fd, 0);
	char *zero = anon(1);
	uint64_t file;
	int ret;

	EXPECT_EQ(true, page_has(p, 0, 2));
	file = frame(p);
	ret = ptf_pin_create(zero, PAGE, &pin);
	if (ret == -EOPNOTSUPP)
		SKIP(return, "no io_uring here: %s", ptf_failure_last()->annotation);
	ASSERT_EQ(0, ret);
	EXPECT_EQ(true, is_present(zero));
	ptf_pin_destroy(pin);
	ret = ptf_pin_create(p, PAGE, &pin);
	if (ret == -EOPNOTSUPP) {
		/* 6.1 takes no mapping of a file but memfd; a memfd it is. */
		TH_LOG("private file mapping can't be pinned on this kernel");
	} else {
		ASSERT_EQ(0, ret);
		/* The page is our own now: the file's next write isn't seen. */
		if (file)
			EXPECT_NE(file, frame(p));
		self->file[0] = self->file[0] + 1;
		EXPECT_EQ(true, page_has(p, 0, 2));
		ptf_pin_destroy(pin);
	}
	munmap(p, PAGE);
	munmap(zero, PAGE);
}

TEST_F(access, pin_refusals)
{
	struct ptf_pin *pin = (void *)-1;
	int ret = ptf_pin_create(self->p, PAGE, &pin), verdict;

	if (ret == -EOPNOTSUPP)
		SKIP(return, "no io_uring here: %s", ptf_failure_last()->annotation);
	ASSERT_EQ(0, ret);
	ptf_pin_destroy(pin);
	EXPECT_EQ(-EFAULT, ptf_pin_create(self->p + PAGES(2), PAGE, &pin));
	EXPECT_EQ(NULL, pin);
	EXPECT_EQ(-EFAULT, ptf_pin_create(self->p + PAGES(3), PAGE, &pin));
	EXPECT_EQ(-EFAULT, ptf_pin_create(self->p + PAGES(4), PAGE, &pin));
	EXPECT_EQ(-EFAULT, ptf_pin_create(self->p, PAGES(NR), &pin));
	EXPECT_EQ(-EINVAL, ptf_pin_create(self->p, 0, &pin));
	EXPECT_EQ(-EINVAL, ptf_pin_create(self->p, SIZE_MAX, &pin));
	EXPECT_EQ(-EINVAL, ptf_pin_create((void *)-PAGE, PAGES(2), &pin));
	EXPECT_EQ(-EINVAL, ptf_pin_create((void *)-PAGE, 10, &pin));
	EXPECT_EQ(-EFAULT, ptf_pin_create((void *)-PAGES(2), 10, &pin));
	if (geteuid())
		return;
	IN_CHILD(verdict, {
		struct rlimit few = { PAGES(1), PAGES(1) };
		char *p = anon(64);

		setrlimit(RLIMIT_MEMLOCK, &few);
		CHILD_CHECK(1, !setresuid(65534, 65534, 65534));
		ret = ptf_pin_create(p, PAGES(64), &pin);
		CHILD_CHECK(2, ret == -ENOMEM);
		CHILD_CHECK(3, strstr(ptf_failure_last()->way, "RLIMIT_MEMLOCK"));
	});
	EXPECT_EQ(0, verdict);
}

TEST_HARNESS_MAIN
