// SPDX-License-Identifier: GPL-2.0-only
/*
 * The mapper: states that only go forward, one system call for a run, records
 * that are true also after a failure, look-ups beside changes, fork beside
 * changes, and a long random walk against a plain reference.
 */
/* vm: --no-module */
#include "test_lib.h"

#include <stdatomic.h>
#include <sys/ptrace.h>
#include <sys/user.h>

#define CHUNK (64 * 1024UL)
#define U PTF_CHUNK_UNMAPPED
#define Q PTF_CHUNK_QUARANTINED
#define M PTF_CHUNK_MAPPED
#define RW (PROT_READ | PROT_WRITE)
#define SPACE (1UL << 47)

/*
 * nr free chunks, aligned, far from where the kernel puts what is asked for
 * without an address: stacks of threads, tables, files.
 */
static char *place(size_t nr)
{
	char *at = (char *)0x200000000000, *p;

	for (;; at += 1UL << 32) {
		p = mmap(at, (nr + 2) * CHUNK, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS |
			 MAP_NORESERVE, -1, 0);
		munmap(p, (nr + 2) * CHUNK);
		if (p == at)
			return at + CHUNK;
	}
}

FIXTURE(mapper) {
	struct ptf_mmapper *m;
	char *p;
};

FIXTURE_SETUP(mapper)
{
	struct ptf_mmapper_options o = { .size = sizeof(o), .log_chunk = 16 };

	ASSERT_EQ(0, ptf_mmapper_create(&o, &self->m));
	self->p = place(64);
	ptf_failure_clear();
}

FIXTURE_TEARDOWN(mapper)
{
	ptf_mmapper_destroy(self->m);
	munmap(self->p, 64 * CHUNK);
}

/* The states of the first nr chunks as a word such as "UQMU". */
static const char *states(struct ptf_mmapper *m, char *p, int nr)
{
	static char word[128];
	int i;

	for (i = 0; i < nr; i++)
		word[i] = "UQM"[ptf_mmapper_state(m, p + i * CHUNK)];
	word[nr] = 0;
	return word;
}

TEST(making)
{
	struct ptf_mmapper_options o = { .size = sizeof(o) };
	struct ptf_mmapper *m = NULL;

	ASSERT_EQ(0, ptf_mmapper_create(NULL, &m));
	EXPECT_EQ(4 * MB, ptf_mmapper_granularity(m));
	EXPECT_EQ(SPACE - 1, ptf_mmapper_max_address(m));
	EXPECT_EQ(0, ptf_mmapper_is_mapped(m, NULL));
	EXPECT_EQ(0, ptf_mmapper_is_mapped(m, &m));
	EXPECT_EQ(U, ptf_mmapper_state(m, (void *)UINTPTR_MAX));
	EXPECT_EQ(U, ptf_mmapper_state(m, (void *)SPACE));
	ptf_mmapper_destroy(m);
	ptf_mmapper_destroy(NULL);
	o.log_chunk = 11;
	EXPECT_EQ(-EINVAL, ptf_mmapper_create(&o, &m));
	o.log_chunk = 41;
	EXPECT_EQ(-EINVAL, ptf_mmapper_create(&o, &m));
	o.size = 4;
	EXPECT_EQ(-EINVAL, ptf_mmapper_create(&o, &m));
	for (o.size = sizeof(o), o.log_chunk = 12; o.log_chunk <= 40; o.log_chunk += 7) {
		ASSERT_EQ(0, ptf_mmapper_create(&o, &m));
		EXPECT_EQ(1UL << o.log_chunk, ptf_mmapper_granularity(m));
		EXPECT_EQ(0, ptf_mmapper_mark(m, (void *)(SPACE - 1), 1));
		EXPECT_EQ(1, ptf_mmapper_is_mapped(m, (void *)(SPACE - 1)));
		EXPECT_EQ(1, ptf_mmapper_is_mapped(m, (void *)(SPACE - (1UL << o.log_chunk))));
		EXPECT_EQ(0, ptf_mmapper_is_mapped(m, (void *)(SPACE - (1UL << o.log_chunk) - 1)));
		EXPECT_EQ(0, ptf_mmapper_is_mapped(m, (void *)0));
		ptf_mmapper_destroy(m);
	}
}

TEST(memory_only_where_it_is_used)
{
	struct ptf_mmapper_options o = { .size = sizeof(o), .log_chunk = 12 };
	struct ptf_usage before = { .size = sizeof(before) }, after = before;
	struct ptf_mmapper *m;
	int i;

	ASSERT_EQ(0, ptf_usage_get(0, &before));
	ASSERT_EQ(0, ptf_mmapper_create(&o, &m));
	for (i = 0; i < 8; i++)
		ASSERT_EQ(0, ptf_mmapper_mark(m, (void *)(i * (SPACE / 8)), 1));
	for (i = 0; i < 8; i++)
		EXPECT_EQ(1, ptf_mmapper_is_mapped(m, (void *)(i * (SPACE / 8))));
	ASSERT_EQ(0, ptf_usage_get(0, &after));
	/* 32 Gi chunks: a byte for each would be 32 GiB. */
	EXPECT_GT(before.rss_bytes + MB, after.rss_bytes);
	EXPECT_GT(before.data_bytes + 8 * MB, after.data_bytes);
	ptf_mmapper_destroy(m);
	ASSERT_EQ(0, ptf_usage_get(0, &after));
	EXPECT_EQ(before.virtual_bytes, after.virtual_bytes);
}

TEST_F(mapper, ranges_widen_to_chunks)
{
	EXPECT_EQ(0, ptf_mmapper_mark(self->m, self->p + CHUNK - 1, 2));
	EXPECT_STREQ("MMU", states(self->m, self->p, 3));
	EXPECT_EQ(1, ptf_mmapper_is_mapped(self->m, self->p));
	EXPECT_EQ(1, ptf_mmapper_is_mapped(self->m, self->p + 2 * CHUNK - 1));
	EXPECT_EQ(0, ptf_mmapper_is_mapped(self->m, self->p + 2 * CHUNK));
	EXPECT_EQ(0, ptf_mmapper_is_mapped(self->m, self->p - 1));
	EXPECT_EQ(0, ptf_mmapper_quarantine(self->m, self->p + 4 * CHUNK + 1, CHUNK, NULL));
	EXPECT_STREQ("MMUUQQU", states(self->m, self->p, 7));
	EXPECT_EQ(PROT_NONE, prot_at(self->p + 4 * CHUNK));
	EXPECT_EQ(PROT_NONE, prot_at(self->p + 6 * CHUNK - 1));
	EXPECT_EQ(-1, prot_at(self->p + 6 * CHUNK));
	EXPECT_EQ(-1, prot_at(self->p + 4 * CHUNK - 1));
	/* Marked, but there is nothing. */
	EXPECT_EQ(-1, prot_at(self->p));
}

TEST_F(mapper, impossible_ranges)
{
	void *out = (void *)-1;

	EXPECT_EQ(-EINVAL, ptf_mmapper_mark(self->m, self->p, 0));
	EXPECT_EQ(-EINVAL, ptf_mmapper_quarantine(self->m, self->p, 0, NULL));
	EXPECT_EQ(-EINVAL, ptf_mmapper_ensure(self->m, self->p, 0, RW, 0, NULL));
	EXPECT_EQ(-EINVAL, ptf_mmapper_mark(self->m, self->p, SIZE_MAX));
	EXPECT_EQ(-EINVAL, ptf_mmapper_mark(self->m, self->p, PTRDIFF_MAX));
	EXPECT_EQ(-EINVAL, ptf_mmapper_mark(self->m, (void *)UINTPTR_MAX, 1));
	EXPECT_EQ(-EINVAL, ptf_mmapper_mark(self->m, (void *)SPACE, 1));
	EXPECT_EQ(-EINVAL, ptf_mmapper_mark(self->m, (void *)(SPACE - 1), 2));
	EXPECT_EQ(-EINVAL, ptf_mmapper_quarantine(self->m, (void *)(SPACE - CHUNK), CHUNK + 1,
						  NULL));
	EXPECT_EQ(-EINVAL, ptf_mmapper_ensure(self->m, self->p, SPACE, RW, 0, NULL));
	EXPECT_EQ(-EINVAL, ptf_mmapper_ensure(self->m, self->p, CHUNK, RW, 2, NULL));
	EXPECT_EQ(-EINVAL, ptf_mmapper_quarantine_any(self->m, 0, 0, NULL, &out));
	EXPECT_EQ(-EINVAL, ptf_mmapper_quarantine_any(self->m, 1, 3, NULL, &out));
	EXPECT_EQ(-EOVERFLOW, ptf_mmapper_quarantine_any(self->m, SIZE_MAX, 0, NULL, &out));
	EXPECT_EQ(-EOVERFLOW, ptf_mmapper_quarantine_any(self->m, 1, 1UL << 63, NULL, &out));
	EXPECT_EQ(-ENOMEM, ptf_mmapper_quarantine_any(self->m, SPACE, 0, NULL, &out));
	EXPECT_EQ(-EINVAL, ptf_mmapper_quarantine_near(self->m, self->p, 0, 0, NULL, &out));
	EXPECT_EQ(-EOVERFLOW, ptf_mmapper_quarantine_near(self->m, self->p, SIZE_MAX, 0, NULL,
							  &out));
	EXPECT_EQ(-ENOMEM, ptf_mmapper_quarantine_near(self->m, self->p, SPACE, 0, NULL, &out));
	EXPECT_EQ((void *)-1, out);
	EXPECT_STREQ("UUU", states(self->m, self->p, 3));
	/* The lowest page belongs to nobody: the kernel says so, nothing is recorded. */
	if (ptf_mmapper_ensure(self->m, (void *)0, 1, RW, 0, NULL)) {
		EXPECT_EQ(U, ptf_mmapper_state(self->m, (void *)0));
	} else {
		munmap(NULL, CHUNK);
	}
}

TEST_F(mapper, only_forward)
{
	EXPECT_EQ(0, ptf_mmapper_quarantine(self->m, self->p, 2 * CHUNK, "first"));
	EXPECT_EQ(-EALREADY, ptf_mmapper_quarantine(self->m, self->p, CHUNK, "second"));
	EXPECT_NE(NULL, strstr(ptf_failure_last()->annotation, "second"));
	EXPECT_NE(NULL, strstr(ptf_failure_last()->annotation, "Quarantined"));
	EXPECT_EQ(0, ptf_mmapper_ensure(self->m, self->p, CHUNK, RW, 0, NULL));
	EXPECT_STREQ("MQU", states(self->m, self->p, 3));
	self->p[0] = 1;
	self->p[CHUNK - 1] = 1;
	EXPECT_EQ(PROT_NONE, prot_at(self->p + CHUNK));
	EXPECT_EQ(-EALREADY, ptf_mmapper_quarantine(self->m, self->p, CHUNK, NULL));
	EXPECT_EQ(1, self->p[0]);
	/* Mapped is left alone, whatever the protection asked for. */
	EXPECT_EQ(0, ptf_mmapper_ensure(self->m, self->p, CHUNK, PROT_READ, 0, NULL));
	EXPECT_EQ(RW, prot_at(self->p));
	/* From Unmapped at once. */
	EXPECT_EQ(0, ptf_mmapper_ensure(self->m, self->p + 2 * CHUNK, 1, PROT_READ,
					PTF_MMAPPER_F_HUGE, "third"));
	EXPECT_EQ(PROT_READ, prot_at(self->p + 3 * CHUNK - 1));
	/* Marking is forward too. */
	EXPECT_EQ(0, ptf_mmapper_mark(self->m, self->p + CHUNK, 1));
	EXPECT_STREQ("MMM", states(self->m, self->p, 3));
	EXPECT_EQ(PROT_NONE, prot_at(self->p + CHUNK));
}

TEST_F(mapper, already_keeps_what_came_before)
{
	ASSERT_EQ(0, ptf_mmapper_quarantine(self->m, self->p + 2 * CHUNK, CHUNK, NULL));
	EXPECT_EQ(-EALREADY, ptf_mmapper_quarantine(self->m, self->p, 5 * CHUNK, NULL));
	EXPECT_EQ(self->p + 2 * CHUNK, ptf_failure_last()->addr);
	EXPECT_EQ(5 * CHUNK, ptf_failure_last()->wanted);
	EXPECT_EQ(2 * CHUNK, ptf_failure_last()->done);
	EXPECT_STREQ("QQQUU", states(self->m, self->p, 5));
	EXPECT_EQ(PROT_NONE, prot_at(self->p));
	EXPECT_EQ(-1, prot_at(self->p + 3 * CHUNK));
}

TEST_F(mapper, conflict)
{
	char *in_the_way = self->p + 5 * CHUNK + PAGE;

	ASSERT_EQ(in_the_way, mmap(in_the_way, PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS |
				   MAP_FIXED, -1, 0));
	pages_fill(in_the_way, 1, 3);
	/* One run: nothing of it is done. */
	EXPECT_EQ(-EEXIST, ptf_mmapper_quarantine(self->m, self->p, 8 * CHUNK, "heap"));
	EXPECT_EQ(in_the_way, ptf_failure_last()->addr);
	EXPECT_EQ(8 * CHUNK, ptf_failure_last()->wanted);
	EXPECT_EQ(0, ptf_failure_last()->done);
	EXPECT_NE(NULL, strstr(ptf_failure_last()->annotation, "heap"));
	EXPECT_STREQ("UUUUUUUU", states(self->m, self->p, 8));
	EXPECT_EQ(-1, prot_at(self->p));
	EXPECT_EQ(true, page_has(in_the_way, 0, 3));
	/* Several runs: the first ones stay, and are recorded. */
	ASSERT_EQ(0, ptf_mmapper_quarantine(self->m, self->p + CHUNK, CHUNK, NULL));
	ASSERT_EQ(0, ptf_mmapper_ensure(self->m, self->p + 3 * CHUNK, CHUNK, RW, 0, NULL));
	EXPECT_EQ(-EEXIST, ptf_mmapper_ensure(self->m, self->p, 8 * CHUNK, RW, 0, "heap"));
	EXPECT_EQ(in_the_way, ptf_failure_last()->addr);
	EXPECT_EQ(4 * CHUNK, ptf_failure_last()->done);
	EXPECT_STREQ("MMMMUUUU", states(self->m, self->p, 8));
	EXPECT_EQ(RW, prot_at(self->p));
	EXPECT_EQ(RW, prot_at(self->p + CHUNK));
	EXPECT_EQ(RW, prot_at(self->p + 2 * CHUNK));
	EXPECT_EQ(-1, prot_at(self->p + 4 * CHUNK));
	EXPECT_EQ(true, page_has(in_the_way, 0, 3));
	/* The way free, it goes on. */
	munmap(in_the_way, PAGE);
	EXPECT_EQ(0, ptf_mmapper_ensure(self->m, self->p, 8 * CHUNK, RW, 0, "heap"));
	EXPECT_STREQ("MMMMMMMM", states(self->m, self->p, 8));
	memset(self->p, 1, 8 * CHUNK);
}

TEST_F(mapper, address_space_runs_out)
{
	int verdict;

	NOT_UNDER_ASAN();
	IN_CHILD(verdict, {
		struct ptf_usage u = { .size = sizeof(u) };
		struct rlimit as;

		/* M.U.Q: the U in the middle can't be had any more. */
		CHILD_CHECK(1, !ptf_mmapper_ensure(self->m, self->p, CHUNK, RW, 0, NULL));
		CHILD_CHECK(2, !ptf_mmapper_quarantine(self->m, self->p + CHUNK, CHUNK, NULL));
		CHILD_CHECK(3, !ptf_mmapper_quarantine(self->m, self->p + 40 * CHUNK, CHUNK, NULL));
		ptf_usage_get(0, &u);
		as.rlim_max = u.virtual_bytes + CHUNK;
		as.rlim_cur = as.rlim_max;
		setrlimit(RLIMIT_AS, &as);
		CHILD_CHECK(4, ptf_mmapper_ensure(self->m, self->p, 41 * CHUNK, RW, 0,
						  "x") == -ENOMEM);
		CHILD_CHECK(5, ptf_failure_last()->done == 2 * CHUNK);
		CHILD_CHECK(6, ptf_failure_last()->addr == self->p + 2 * CHUNK);
		CHILD_CHECK(7, !strcmp(states(self->m, self->p, 4), "MMUU"));
		CHILD_CHECK(8, ptf_mmapper_state(self->m, self->p + 40 * CHUNK) == Q);
		CHILD_CHECK(9, prot_at(self->p + 2 * CHUNK) == -1);
		CHILD_CHECK(10, ptf_mmapper_quarantine(self->m, self->p + 2 * CHUNK, 4 * CHUNK,
						       NULL) == -ENOMEM);
		CHILD_CHECK(11, !strcmp(states(self->m, self->p, 4), "MMUU"));
		CHILD_CHECK(12, !ptf_mmapper_ensure(self->m, self->p + 40 * CHUNK, 1, RW, 0, NULL));
	});
	EXPECT_EQ(0, verdict);
}

TEST_F_TIMEOUT(mapper, opening_fails_in_the_middle, 300)
{
	struct maps_full full;

	NOT_UNDER_ASAN();
	if (max_map_count() > 100000 && !in_guest())
		SKIP(return, "vm.max_map_count is too large to fill");
	ASSERT_EQ(0, ptf_mmapper_quarantine(self->m, self->p, 8 * CHUNK, NULL));
	/* Kept apart by a flag: three mappings, the last one of five chunks. */
	ASSERT_EQ(0, ptf_advise(self->p + CHUNK, 2 * CHUNK, PTF_MADV_DONTFORK));
	ASSERT_EQ(true, maps_fill(&full, 0));
	/* The last run would have to be split, and can't. */
	EXPECT_EQ(-ENOMEM, ptf_mmapper_ensure(self->m, self->p, 5 * CHUNK, RW, 0, "open"));
	EXPECT_EQ(3 * CHUNK, ptf_failure_last()->done);
	EXPECT_EQ(self->p + 3 * CHUNK, ptf_failure_last()->addr);
	maps_release(&full);
	EXPECT_STREQ("MMMQQQQQ", states(self->m, self->p, 8));
	EXPECT_EQ(RW, prot_at(self->p));
	EXPECT_EQ(RW, prot_at(self->p + 3 * CHUNK - 1));
	EXPECT_EQ(PROT_NONE, prot_at(self->p + 3 * CHUNK));
	EXPECT_EQ(0, ptf_mmapper_ensure(self->m, self->p, 5 * CHUNK, RW, 0, "open"));
	EXPECT_STREQ("MMMMMQQQ", states(self->m, self->p, 8));
}

/* --- anywhere and near ------------------------------------------------------- */

TEST_F(mapper, anywhere)
{
	static const size_t aligns[] = { 0, 1, PAGE, CHUNK, 16 * CHUNK, 1UL << 30 };
	struct ptf_usage before = { .size = sizeof(before) }, after = before;
	void *out[ARRAY_SIZE(aligns)];
	size_t total = 0, lines;
	unsigned int i;

	/* Tables first, so that they don't count. */
	for (i = 0; i < 2; i++) {
		ASSERT_EQ(0, ptf_mmapper_quarantine_any(self->m, CHUNK, 1UL << 30, NULL, &out[0]));
		munmap(out[0], CHUNK);
	}
	for (i = 0; i < ARRAY_SIZE(aligns); i++) {
		ASSERT_EQ(0, ptf_usage_get(0, &before));
		lines = vma_count();
		ASSERT_EQ(0, ptf_mmapper_quarantine_any(self->m, 2 * CHUNK + 1, aligns[i],
							"any", &out[i]));
		EXPECT_EQ(0, (uintptr_t)out[i] % (aligns[i] > CHUNK ? aligns[i] : CHUNK));
		EXPECT_STREQ("QQQ", states(self->m, out[i], 3));
		EXPECT_EQ(PROT_NONE, prot_at(out[i]));
		EXPECT_EQ(PROT_NONE, prot_at((char *)out[i] + 3 * CHUNK - 1));
		ASSERT_EQ(0, ptf_usage_get(0, &after));
		/* The padding is given back: 3 chunks, and at most a table more. */
		total = after.virtual_bytes - before.virtual_bytes;
		EXPECT_LE(3 * CHUNK, total);
		EXPECT_GE(3 * CHUNK + CHUNK, total);
		EXPECT_GE(lines + 2, vma_count());
	}
	for (i = 0; i < ARRAY_SIZE(aligns); i++) {
		EXPECT_EQ(0, ptf_mmapper_ensure(self->m, out[i], 3 * CHUNK, RW, 0, NULL));
		memset(out[i], 1, 3 * CHUNK);
		munmap(out[i], 3 * CHUNK);
	}
	/* Where it was, records say Mapped: the kernel's offer is not taken. */
	ASSERT_EQ(0, ptf_mmapper_quarantine_any(self->m, 3 * CHUNK, 0, NULL, &out[0]));
	for (i = 1; i < ARRAY_SIZE(aligns); i++)
		EXPECT_NE(out[i], out[0]);
	EXPECT_STREQ("QQQ", states(self->m, out[0], 3));
	munmap(out[0], 3 * CHUNK);
}

TEST_F(mapper, near)
{
	char *mid = self->p + 32 * CHUNK;
	void *out;

	/* Free: exactly there. */
	ASSERT_EQ(0, ptf_mmapper_quarantine_near(self->m, mid + 5, CHUNK, 0, "near", &out));
	EXPECT_EQ(mid, out);
	/* Taken: the next on either side; below and above are equally far off. */
	ASSERT_EQ(0, ptf_mmapper_quarantine_near(self->m, mid, CHUNK, 0, NULL, &out));
	EXPECT_EQ(true, out == mid - CHUNK || out == mid + CHUNK);
	ASSERT_EQ(0, ptf_mmapper_quarantine_near(self->m, mid, CHUNK, 0, NULL, &out));
	EXPECT_EQ(true, out == mid - CHUNK || out == mid + CHUNK);
	EXPECT_STREQ("QQQ", states(self->m, mid - CHUNK, 3));
	/* Recorded only: as good as taken. */
	ASSERT_EQ(0, ptf_mmapper_mark(self->m, mid + 2 * CHUNK, 3 * CHUNK));
	ASSERT_EQ(0, ptf_mmapper_quarantine_near(self->m, mid + 4 * CHUNK, CHUNK, 0, NULL, &out));
	EXPECT_EQ(mid + 5 * CHUNK, out);
	/* Larger than a gap: behind it. */
	ASSERT_EQ(0, ptf_mmapper_quarantine(self->m, mid + 8 * CHUNK, CHUNK, NULL));
	ASSERT_EQ(0, ptf_mmapper_quarantine_near(self->m, mid + 6 * CHUNK, 2 * CHUNK, 0, NULL,
						 &out));
	EXPECT_EQ(mid + 6 * CHUNK, out);
	ASSERT_EQ(0, ptf_mmapper_quarantine_near(self->m, mid + 7 * CHUNK, 2 * CHUNK, 0, NULL,
						 &out));
	EXPECT_EQ(mid + 9 * CHUNK, out);
	EXPECT_EQ(PROT_NONE, prot_at(out));
	/* Mappings that it doesn't know are left alone. */
	ASSERT_EQ(self->p, mmap(self->p, PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
	ASSERT_EQ(0, ptf_mmapper_quarantine_near(self->m, self->p, CHUNK, 0, NULL, &out));
	EXPECT_NE(self->p, out);
	EXPECT_EQ(RW, prot_at(self->p));
	munmap(out, CHUNK);
	/* Ends of the space. */
	ASSERT_EQ(0, ptf_mmapper_quarantine_near(self->m, NULL, CHUNK, 0, NULL, &out));
	EXPECT_GT(0x1000000UL, (uintptr_t)out);
	munmap(out, CHUNK);
	ASSERT_EQ(0, ptf_mmapper_quarantine_near(self->m, (void *)UINTPTR_MAX, CHUNK, 1UL << 20,
						 NULL, &out));
	EXPECT_LT(SPACE - (64UL << 30), (uintptr_t)out);
	EXPECT_EQ(0, (uintptr_t)out % (1UL << 20));
	munmap(out, CHUNK);
}

/* --- system calls ----------------------------------------------------------------- */

#define COUNT_MAX 64

/*
 * The system calls that body makes, counted from outside between two getppid().
 * nr[] gets their numbers.
 */
static int traced(void (*body)(struct ptf_mmapper *, char *),
		  struct ptf_mmapper *m, char *p, long *nr)
{
	struct user_regs_struct regs;
	int status, count = 0, inside = 0, entry = 0;
	pid_t pid = fork();

	if (!pid) {
		ptrace(PTRACE_TRACEME, 0, NULL, NULL);
		raise(SIGSTOP);
		syscall(SYS_getppid);
		body(m, p);
		syscall(SYS_getppid);
		_exit(0);
	}
	waitpid(pid, &status, 0);
	ptrace(PTRACE_SETOPTIONS, pid, NULL, PTRACE_O_TRACESYSGOOD);
	for (;;) {
		ptrace(PTRACE_SYSCALL, pid, NULL, NULL);
		waitpid(pid, &status, 0);
		if (WIFEXITED(status) || WIFSIGNALED(status))
			break;
		if (!WIFSTOPPED(status) || WSTOPSIG(status) != (SIGTRAP | 0x80))
			continue;
		entry = !entry;
		if (!entry)
			continue;
		ptrace(PTRACE_GETREGS, pid, NULL, &regs);
		if (regs.orig_rax == SYS_getppid)
			inside++;
		else if (inside == 1 && count < COUNT_MAX)
			nr[count++] = regs.orig_rax;
	}
	return WIFEXITED(status) && !WEXITSTATUS(status) ? count : -1;
}

static void body_mark(struct ptf_mmapper *m, char *p)
{
	ptf_mmapper_mark(m, p, 30 * CHUNK);
}

static void body_look(struct ptf_mmapper *m, char *p)
{
	int i;

	for (i = 0; i < 1000; i++)
		ptf_mmapper_is_mapped(m, p + i % 64 * CHUNK);
}

static void body_quarantine(struct ptf_mmapper *m, char *p)
{
	if (ptf_mmapper_quarantine(m, p, 30 * CHUNK, NULL))
		_exit(1);
}

static void body_ensure(struct ptf_mmapper *m, char *p)
{
	/* 10 of each: U, Q, M, U; that is an mmap, an mprotect, nothing, an mmap. */
	if (ptf_mmapper_ensure(m, p, 40 * CHUNK, RW, 0, NULL))
		_exit(1);
}

TEST_F(mapper, one_system_call_for_a_run)
{
	long nr[COUNT_MAX];

	/* The table for this place is there. */
	ASSERT_EQ(0, ptf_mmapper_mark(self->m, self->p + 63 * CHUNK, 1));
	EXPECT_EQ(0, traced(body_mark, self->m, self->p, nr));
	EXPECT_EQ(0, traced(body_look, self->m, self->p, nr));
	ASSERT_EQ(1, traced(body_quarantine, self->m, self->p, nr));
	EXPECT_EQ(SYS_mmap, nr[0]);
	ASSERT_EQ(0, ptf_mmapper_quarantine(self->m, self->p + 10 * CHUNK, 10 * CHUNK, NULL));
	ASSERT_EQ(0, ptf_mmapper_ensure(self->m, self->p + 20 * CHUNK, 10 * CHUNK, RW, 0, NULL));
	ASSERT_EQ(3, traced(body_ensure, self->m, self->p, nr));
	EXPECT_EQ(SYS_mmap, nr[0]);
	EXPECT_EQ(SYS_mprotect, nr[1]);
	EXPECT_EQ(SYS_mmap, nr[2]);
	/* All mapped: none at all. */
	ASSERT_EQ(0, ptf_mmapper_ensure(self->m, self->p, 40 * CHUNK, RW, 0, NULL));
	EXPECT_EQ(0, traced(body_ensure, self->m, self->p, nr));
}

/* --- threads -------------------------------------------------------------------------- */

#define THREADS 8

struct crew {
	_Atomic int done, wins, losses, errors, seen, stop;
	struct ptf_mmapper *m;
	char *p;
	pthread_barrier_t barrier;
	int rounds;
};

static void *boundary(void *arg)
{
	struct crew *c = arg;
	unsigned int seed = (unsigned int)(uintptr_t)&seed;
	char *edge;
	int i, ret;

	for (i = 0; i < c->rounds; i++) {
		pthread_barrier_wait(&c->barrier);
		/* A boundary of its own each round, straddled by all at once. */
		edge = c->p + (2 * i + 1) * CHUNK;
		if (rand_r(&seed) & 1) {
			ret = ptf_mmapper_quarantine(c->m, edge - 1, 2, "boundary");
			if (!ret)
				c->wins++;
			else if (ret == -EALREADY)
				c->losses++;
			else
				c->errors++;
		}
		if (ptf_mmapper_ensure(c->m, edge - 1, 2, RW, 0, NULL))
			c->errors++;
		/* Whoever comes back finds both sides usable. */
		__atomic_store_n(edge - 1, 1, __ATOMIC_RELAXED);
		__atomic_store_n(edge, 1, __ATOMIC_RELAXED);
		if (!ptf_mmapper_is_mapped(c->m, edge - 1) ||
		    !ptf_mmapper_is_mapped(c->m, edge))
			c->errors++;
	}
	return NULL;
}

TEST_F_TIMEOUT(mapper, eight_threads_over_one_boundary, 300)
{
	struct crew c = { .m = self->m, .p = self->p, .rounds = 30 };
	pthread_t t[THREADS];
	int i, again;

	for (again = 0; again < 2 + (int)rounds(18); again++) {
		struct ptf_mmapper_options o = { .size = sizeof(o), .log_chunk = 16 };

		munmap(self->p, 64 * CHUNK);
		ASSERT_EQ(0, ptf_mmapper_create(&o, &c.m));
		pthread_barrier_init(&c.barrier, NULL, THREADS);
		for (i = 0; i < THREADS; i++)
			ASSERT_EQ(0, pthread_create(&t[i], NULL, boundary, &c));
		for (i = 0; i < THREADS; i++)
			pthread_join(t[i], NULL);
		ASSERT_EQ(0, c.errors);
		EXPECT_GE(30 * (again + 1), c.wins);
		for (i = 0; i < 60; i++)
			EXPECT_EQ(M, ptf_mmapper_state(c.m, self->p + i * CHUNK));
		EXPECT_EQ(U, ptf_mmapper_state(c.m, self->p + 60 * CHUNK));
		ptf_mmapper_destroy(c.m);
		pthread_barrier_destroy(&c.barrier);
	}
	/* Both came to pass, or the threads never met. */
	EXPECT_LT(0, c.wins);
	EXPECT_LT(0, c.losses);
}

static void *only_one(void *arg)
{
	struct crew *c = arg;
	int ret;

	pthread_barrier_wait(&c->barrier);
	ret = ptf_mmapper_quarantine(c->m, c->p, 4 * CHUNK, NULL);
	if (!ret)
		c->wins++;
	else if (ret == -EALREADY)
		c->losses++;
	else
		c->errors++;
	return NULL;
}

TEST_F(mapper, one_thread_wins)
{
	struct crew c = { .m = self->m, .p = self->p };
	pthread_t t[THREADS];
	int i;

	pthread_barrier_init(&c.barrier, NULL, THREADS);
	for (i = 0; i < THREADS; i++)
		ASSERT_EQ(0, pthread_create(&t[i], NULL, only_one, &c));
	for (i = 0; i < THREADS; i++)
		pthread_join(t[i], NULL);
	EXPECT_EQ(1, c.wins);
	EXPECT_EQ(THREADS - 1, c.losses);
	EXPECT_EQ(0, c.errors);
}

static void *reader(void *arg)
{
	struct crew *c = arg;
	bool was[64] = { false }, is;
	int i;

	while (!c->stop) {
		for (i = 0; i < 64; i++) {
			is = ptf_mmapper_is_mapped(c->m, c->p + i * CHUNK + i);
			if (was[i] && !is)
				c->errors++;
			/* Mapped means that it can be used now. */
			if (is)
				__atomic_add_fetch(c->p + i * CHUNK + PAGE * 3, 1,
						   __ATOMIC_RELAXED);
			was[i] = is;
			c->seen += is;
		}
	}
	return NULL;
}

TEST_F_TIMEOUT(mapper, is_mapped_under_change, 300)
{
	int i, again, order[64];
	unsigned int seed = 1;
	pthread_t t[3];

	for (again = 0; again < 2 + (int)rounds(18); again++) {
		struct ptf_mmapper_options o = { .size = sizeof(o), .log_chunk = 16 };
		struct crew c = { .p = self->p };

		munmap(self->p, 64 * CHUNK);
		ASSERT_EQ(0, ptf_mmapper_create(&o, &c.m));
		for (i = 0; i < 3; i++)
			ASSERT_EQ(0, pthread_create(&t[i], NULL, reader, &c));
		for (i = 0; i < 64; i++)
			order[i] = i;
		for (i = 63; i > 0; i--) {
			int j = rand_r(&seed) % (i + 1), k = order[i];

			order[i] = order[j];
			order[j] = k;
		}
		for (i = 0; i < 64; i++) {
			char *at = self->p + order[i] * CHUNK;

			if (i & 1)
				ASSERT_EQ(0, ptf_mmapper_quarantine(c.m, at, 1, NULL));
			ASSERT_EQ(0, ptf_mmapper_ensure(c.m, at, 1, RW, 0, NULL));
		}
		/* All three have seen the end. */
		while (c.seen < 64 * 3)
			sched_yield();
		c.stop = 1;
		for (i = 0; i < 3; i++)
			pthread_join(t[i], NULL);
		EXPECT_EQ(0, c.errors);
		ptf_mmapper_destroy(c.m);
	}
}

static void *changer(void *arg)
{
	struct crew *c = arg;
	void *out;

	while (!c->stop) {
		if (ptf_mmapper_quarantine_any(c->m, 4 * CHUNK, 0, NULL, &out) ||
		    ptf_mmapper_ensure(c->m, out, 2 * CHUNK, RW, 0, NULL))
			break;
		*(char *)out = 1;
		c->done++;
		if (c->done > 1000)
			break;
	}
	return NULL;
}

TEST_F_TIMEOUT(mapper, fork_under_change, 300)
{
	struct crew c = { .m = self->m, .p = self->p };
	int i, verdict, before;
	pthread_t t[2];
	void *out;

	for (i = 0; i < 2; i++)
		ASSERT_EQ(0, pthread_create(&t[i], NULL, changer, &c));
	for (i = 0; i < 3 + (int)rounds(17); i++) {
		before = c.done;
		while (c.done == before && c.done < 1000)
			sched_yield();
		IN_CHILD(verdict, {
			const struct ptf_vma_entry *e;
			struct ptf_vma_list *l;
			size_t n;

			alarm(60);
			/* The lock is free here, and the records fit the memory. */
			CHILD_CHECK(1, !ptf_mmapper_quarantine_any(self->m, CHUNK, 0, NULL, &out));
			CHILD_CHECK(2, !ptf_vma_list_create(0, &l));
			for (n = 0; (e = ptf_vma_list_at(l, n)); n++) {
				uint64_t at;

				/* What is recorded as usable, is. */
				for (at = e->start; at < e->end && at % CHUNK == 0; at += CHUNK)
					if (ptf_mmapper_state(self->m, (void *)at) == M)
						CHILD_CHECK(3, e->prot == RW);
					else if (ptf_mmapper_state(self->m, (void *)at) == Q)
						CHILD_CHECK(4, e->prot == PROT_NONE);
			}
			ptf_mmapper_destroy(self->m);
		});
		EXPECT_EQ(0, verdict);
	}
	c.stop = 1;
	for (i = 0; i < 2; i++)
		pthread_join(t[i], NULL);
	EXPECT_LT(3, c.done);
	EXPECT_EQ(0, ptf_mmapper_quarantine_any(self->m, CHUNK, 0, NULL, &out));
}

/* --- the walk ---------------------------------------------------------------------------- */

#define WALK 64

/* A reference that anyone can check: a state and a protection for each chunk. */
struct reference {
	int state[WALK];
	int prot[WALK];		/* -1: nothing there */
};

TEST_F_TIMEOUT(mapper, random_walk, 600)
{
	unsigned long ops = rounds(100000), n;
	unsigned int seed = (unsigned int)env_number("PTF_SEED", 42);
	struct ptf_mmapper_options o = { .size = sizeof(o), .log_chunk = 16 };
	struct reference r;
	int kinds[8] = { 0 };

	for (n = 0; n < ops; n++) {
		int from, to, i, ret, want = 0, how = rand_r(&seed) % 16;
		char *start;
		size_t len;

		/* States only go forward: begin anew now and then. */
		if (n % 40 == 0) {
			ptf_mmapper_destroy(self->m);
			munmap(self->p, WALK * CHUNK);
			ASSERT_EQ(0, ptf_mmapper_create(&o, &self->m));
			for (i = 0; i < WALK; i++) {
				r.state[i] = U;
				r.prot[i] = -1;
			}
		}
		from = rand_r(&seed) % WALK;
		to = from + 1 + rand_r(&seed) % (WALK - from < 12 ? WALK - from : 12);
		/* Somewhere inside the first and last chunk. */
		start = self->p + from * CHUNK + rand_r(&seed) % CHUNK;
		len = self->p + to * CHUNK - rand_r(&seed) % CHUNK - start;
		if ((ssize_t)len <= 0) {
			start = self->p + from * CHUNK;
			len = (to - from) * CHUNK;
		}
		if (how < 1) {
			ret = ptf_mmapper_mark(self->m, start, len);
			for (i = from; i < to; i++)
				r.state[i] = M;
			kinds[0]++;
		} else if (how < 6) {
			ret = ptf_mmapper_quarantine(self->m, start, len, n & 1 ? "walk" : NULL);
			/*
			 * Run by run; a run fails as a whole if a mapping is in
			 * its way, which happens only to a U that is mapped.
			 */
			for (i = from; i < to && !want; ) {
				int j = i, busy = 0;

				if (r.state[i] != U) {
					want = -EALREADY;
					break;
				}
				for (; j < to && r.state[j] == U; j++)
					busy |= r.prot[j] != -1;
				if (busy) {
					want = -EEXIST;
					break;
				}
				for (; i < j; i++) {
					r.state[i] = Q;
					r.prot[i] = PROT_NONE;
				}
			}
			kinds[want ? 1 : 2]++;
		} else if (how < 10) {
			int prot = n & 2 ? RW : PROT_READ;

			ret = ptf_mmapper_ensure(self->m, start, len, prot,
						 n & 1 ? PTF_MMAPPER_F_HUGE : 0, NULL);
			for (i = from; i < to && !want; ) {
				int j = i, busy = 0, state = r.state[i];

				for (; j < to && r.state[j] == state; j++)
					busy |= r.prot[j] != -1;
				if (state == U && busy) {
					want = -EEXIST;
					break;
				}
				for (; i < j; i++) {
					if (state != M)
						r.prot[i] = prot;
					r.state[i] = M;
				}
			}
			kinds[want ? 3 : 4]++;
		} else if (how < 11) {
			/* Someone else maps a chunk. */
			if (r.prot[from] == -1) {
				mmap(self->p + from * CHUNK, CHUNK, PROT_READ, MAP_PRIVATE |
				     MAP_ANONYMOUS | MAP_FIXED, -1, 0);
				r.prot[from] = PROT_READ;
			}
			ret = 0;
			kinds[5]++;
		} else {
			ret = 0;
			EXPECT_EQ(r.state[from], ptf_mmapper_state(self->m, start));
			EXPECT_EQ(r.state[from] == M, ptf_mmapper_is_mapped(self->m, start));
		}
		ASSERT_EQ(want, ret) {
			TH_LOG("operation %lu, kind %d, chunks %d to %d, PTF_SEED=%lu", n, how,
			       from, to, env_number("PTF_SEED", 42));
		}
		for (i = 0; i < WALK; i++) {
			ASSERT_EQ(r.state[i], ptf_mmapper_state(self->m, self->p + i * CHUNK)) {
				TH_LOG("operation %lu, chunk %d", n, i);
			}
		}
		if (n % 500 == 499) {
			for (i = 0; i < WALK; i++)
				ASSERT_EQ(r.prot[i], prot_at(self->p + i * CHUNK)) {
					TH_LOG("operation %lu, chunk %d", n, i);
				}
		}
	}
	TH_LOG("%lu operations: %d marks, %d/%d quarantined, %d/%d mapped, %d by others",
	       ops, kinds[0], kinds[2], kinds[1] + kinds[2], kinds[4],
	       kinds[3] + kinds[4], kinds[5]);
	for (n = 0; n < 6; n++)
		EXPECT_LT(0, kinds[n]);
}

TEST_HARNESS_MAIN
