/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the tests of the module share. A test reads as a list of facts:
 * _test_cmd_x() makes the call and returns its raw result, test_cmd_x() asserts
 * success, test_err_x(errno, ...) asserts that errno. Everything that a call
 * fills in is poisoned first, so that an answer that was never written shows.
 *
 * Each test stands between two looks at the kernel: ptf_setup() puts a marker
 * into the kernel log, and ptf_teardown(), which runs in the parent when the
 * test's own process and its address space are gone, reads the log from the
 * marker on and fails the test if the kernel complained.
 */
#ifndef PTF_TEST_H
#define PTF_TEST_H

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <pthread.h>
#include <regex.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include <linux/ptefault.h>

#define PTF_DEV		"/dev/ptefault"
#define PAGE		4096UL
#define POISON		0xA5
#define POISON32	0xA5A5A5A5U
#define POISON64	0xA5A5A5A5A5A5A5A5ULL
#define PAGES(n)	((size_t)(n) * PAGE)
#define MB		(1024UL * 1024)
#define HPAGE		(2 * MB)
/* One above the highest address that a program may have, 4 levels. */
#define USER_END_4	0x7ffffffff000UL

#ifndef ARRAY_SIZE
#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))
#endif

/* Newer than some C libraries. */
#ifndef MADV_COLD
#define MADV_COLD	20
#endif
#ifndef MADV_PAGEOUT
#define MADV_PAGEOUT	21
#endif
#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ	22
#define MADV_POPULATE_WRITE	23
#endif
#ifndef MADV_SOFT_OFFLINE
#define MADV_SOFT_OFFLINE	101
#endif
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE	25
#endif
#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL	102
#define MADV_GUARD_REMOVE	103
#endif

#define u64ptr(p)	((__u64)(uintptr_t)(p))

/* ------------------------------------------------------------------ */
/* Patience and rounds                                                 */

static inline unsigned long ptf_env(const char *name, unsigned long or_else)
{
	const char *v = getenv(name);

	return v && *v ? strtoul(v, NULL, 0) : or_else;
}

/*
 * The runner knows how slow a kernel is (PTF_SLOW, a factor) and how much of
 * the full rounds a run is for (PTF_DIVIDE: 10 in a check, 1 in a soak).
 */
static inline unsigned long ptf_rounds(unsigned long full)
{
	unsigned long n = full / ptf_env("PTF_DIVIDE", 10);

	return n ?: 1;
}

/*
 * How many pages (or processes) of a kind are enough: all on a stock kernel. One
 * that checks every step of each (PTF_FEWER, a divisor) gets through the same with
 * fewer, but not with so few that they are one batch.
 */
static inline unsigned int ptf_many(unsigned int full)
{
	unsigned int n = full / ptf_env("PTF_FEWER", 1);

	return n < 64 && full >= 64 ? 64 : n ?: 1;
}

static __attribute__((constructor(KSELFTEST_PRIO_XFAIL + 1))) void ptf_be_patient(void)
{
	unsigned long slow = ptf_env("PTF_SLOW", 1);
	struct __fixture_metadata *f;
	struct __test_metadata *t;

	for (f = __fixture_list; f; f = f->next)
		for (t = f->tests; t; t = t->next)
			t->timeout *= slow;
}

/* ------------------------------------------------------------------ */
/* The kernel log                                                      */

/*
 * What a kernel says only when something went wrong: one list, the VM runner's
 * (scripts/vm-complaints tells its format).
 */
#define PTF_RULES_MAX	128

struct ptf_rules {
	struct {
		enum { RULE_COMPLAINT, RULE_HARMLESS, RULE_EXPLAINED } what;
		regex_t re;
	} rule[PTF_RULES_MAX];
	int nr;
	bool explained;
};

static inline bool ptf_rules_read(struct ptf_rules *r)
{
	static const char *const words[] = { "complaint", "harmless", "explained" };
	char line[512], *p;
	unsigned int i;
	FILE *f;

	memset(r, 0, sizeof(*r));
	f = fopen(PTF_COMPLAINTS, "re");
	if (!f)
		return false;
	while (r->nr < PTF_RULES_MAX && fgets(line, sizeof(line), f)) {
		line[strcspn(line, "\n")] = 0;
		for (i = 0; i < ARRAY_SIZE(words); i++)
			if (!strncmp(line, words[i], strlen(words[i])))
				break;
		if (i == ARRAY_SIZE(words))
			continue;
		p = line + strlen(words[i]);
		p += strspn(p, " \t");
		if (regcomp(&r->rule[r->nr].re, p, REG_EXTENDED | REG_NOSUB))
			break;
		r->rule[r->nr++].what = i;
	}
	fclose(f);
	return r->nr > 20 && r->nr < PTF_RULES_MAX;
}

static inline bool ptf_rules_match(struct ptf_rules *r, const char *text, int what)
{
	int i;

	for (i = 0; i < r->nr; i++)
		if (r->rule[i].what == what && !regexec(&r->rule[i].re, text, 0, NULL, 0))
			return true;
	return false;
}

static inline bool ptf_is_complaint(struct ptf_rules *r, const char *text)
{
	if (ptf_rules_match(r, text, RULE_EXPLAINED))
		r->explained = true;
	if (ptf_rules_match(r, text, RULE_HARMLESS))
		return false;
	if (strstr(text, "Call Trace:")) {
		bool was = r->explained;

		r->explained = false;
		return !was;
	}
	return ptf_rules_match(r, text, RULE_COMPLAINT);
}

struct ptf_log {
	char marker[80];
	unsigned long tainted;
	bool active;
};

static inline unsigned long ptf_read_ulong(const char *path, unsigned long or_else)
{
	unsigned long v = or_else;
	FILE *f = fopen(path, "re");

	if (f) {
		if (fscanf(f, "%lu", &v) != 1)
			v = or_else;
		fclose(f);
	}
	return v;
}

static inline int ptf_write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return -1;
	n = write(fd, text, strlen(text));
	close(fd);
	return n == (ssize_t)strlen(text) ? 0 : -1;
}

/* The taint bits that a complaint sets: W, B, D, L, and P S F R for misuse. */
#define PTF_TAINT_BAD	((1UL << 9) | (1UL << 5) | (1UL << 7) | (1UL << 14))

static inline bool ptf_log_begin(struct ptf_log *log, const char *name)
{
	struct timespec ts;
	char text[96];
	int fd, n;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	snprintf(log->marker, sizeof(log->marker), "ptefault-selftest %.24s %d.%ld%09ld",
		 name, getpid(), (long)ts.tv_sec, ts.tv_nsec);
	log->tainted = ptf_read_ulong("/proc/sys/kernel/tainted", 0);
	fd = open("/dev/kmsg", O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	/* No stdio: the device can't tell its position. */
	n = snprintf(text, sizeof(text), "<6>%s\n", log->marker);
	log->active = write(fd, text, n) == n;
	close(fd);
	return log->active;
}

/*
 * Once for the whole program: the rules, and where the log was read to, so that a
 * test need not go through all that the kernel has said since its boot.
 */
static struct ptf_rules ptf_log_rules;
static int ptf_log_fd = -1;

static __attribute__((constructor)) void ptf_log_open(void)
{
	if (!ptf_rules_read(&ptf_log_rules))
		ptf_log_rules.nr = 0;
	ptf_log_fd = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (ptf_log_fd >= 0)
		lseek(ptf_log_fd, 0, SEEK_END);
}

/* Print what the kernel complained about since the marker; how many lines. */
static inline int ptf_log_end(struct ptf_log *log)
{
	bool seen = false, again = false;
	int fd = ptf_log_fd, bad = 0;
	char buf[8192];
	unsigned long tainted;
	ssize_t n;

	if (!log->active)
		return 0;
	if (!ptf_log_rules.nr || fd < 0) {
		fprintf(stderr, "# can't read %s\n", fd < 0 ? "/dev/kmsg" : PTF_COMPLAINTS);
		return 1;
	}
	ptf_log_rules.explained = false;
	for (;;) {
		char *text, *end;

		n = read(fd, buf, sizeof(buf) - 1);
		if (n < 0 && errno == EPIPE)
			continue;
		if (n <= 0) {
			/* Somebody else may have read on: once more, from its start. */
			if (seen || again || lseek(fd, 0, SEEK_SET))
				break;
			again = true;
			continue;
		}
		buf[n] = 0;
		text = strchr(buf, ';');
		if (!text)
			continue;
		text++;
		end = strchr(text, '\n');
		if (end)
			*end = 0;
		if (!seen) {
			seen = strstr(text, log->marker);
			continue;
		}
		if (!ptf_is_complaint(&ptf_log_rules, text))
			continue;
		if (++bad <= 10)
			fprintf(stderr, "# kernel complained: %s\n", text);
	}
	if (!seen) {
		fprintf(stderr, "# the kernel log ran over: what it said is not known\n");
		bad++;
	}
	tainted = ptf_read_ulong("/proc/sys/kernel/tainted", 0);
	if ((tainted ^ log->tainted) & PTF_TAINT_BAD) {
		fprintf(stderr, "# the kernel is tainted now: %#lx, was %#lx\n",
			tainted, log->tainted);
		bad++;
	}
	return bad;
}

/* ------------------------------------------------------------------ */
/* Set up and tear down                                                */

/*
 * Opens the device for a fixture. -1: the module is not there and the test was
 * told to skip; the set-up has to return then.
 */
static inline int ptf_setup(struct __test_metadata *_metadata, struct ptf_log *log)
{
	int fd = open(PTF_DEV, O_RDWR | O_CLOEXEC);

	if (fd < 0 && errno == ENOENT)
		SKIP(return -1, "no " PTF_DEV ": the module is not loaded");
	ASSERT_LE(0, fd) {
		TH_LOG("open " PTF_DEV ": %s", strerror(errno));
	}
	ASSERT_TRUE(ptf_log_begin(log, _metadata->name)) {
		TH_LOG("can't write /dev/kmsg: %s", strerror(errno));
	}
	return fd;
}

static inline void ptf_teardown(struct __test_metadata *_metadata, struct ptf_log *log)
{
	_metadata->trigger = 0;
	/* The last of an address space may go a little after its process. */
	usleep(2000);
	EXPECT_EQ(0, ptf_log_end(log)) {
		TH_LOG("the kernel complained during this test");
	}
}

/* For a fixture that has self->log and self->fd. */
#define PTF_TEARDOWN(fixture) \
	FIXTURE_TEARDOWN_PARENT(fixture) \
	{ \
		ptf_teardown(_metadata, &self->log); \
	}

/* ------------------------------------------------------------------ */
/* Commands                                                            */

#define EXPECT_ERRNO(_errno, call) do { \
	errno = 0; \
	EXPECT_EQ(-1, (call)); \
	EXPECT_EQ(_errno, errno) { \
		TH_LOG("got: %s", strerror(errno)); \
	} \
} while (0)

#define ASSERT_OK(call) do { \
	errno = 0; \
	ASSERT_EQ(0, (call)) { \
		TH_LOG("errno: %d (%s)", errno, strerror(errno)); \
	} \
} while (0)

/* Everything poisoned but the size; the caller sets the inputs. */
#define PTF_POISONED(cmd) do { \
	memset((cmd), POISON, sizeof(*(cmd))); \
	(cmd)->size = sizeof(*(cmd)); \
	(cmd)->flags = 0; \
} while (0)

static inline int _test_cmd_features_get(int fd, struct ptf_ioc_features_get *cmd,
					 __u64 required)
{
	PTF_POISONED(cmd);
	cmd->required = required;
	return ioctl(fd, PTF_IOC_FEATURES_GET, cmd);
}

#define test_cmd_features_get(cmd, required) \
	ASSERT_OK(_test_cmd_features_get(self->fd, cmd, required))
#define test_err_features_get(_errno, cmd, required) \
	EXPECT_ERRNO(_errno, _test_cmd_features_get(self->fd, cmd, required))

static inline int _test_cmd_target_open(int fd, int pid, __u32 *target)
{
	struct ptf_ioc_target_open cmd;
	int ret;

	PTF_POISONED(&cmd);
	cmd.pid = pid;
	ret = ioctl(fd, PTF_IOC_TARGET_OPEN, &cmd);
	*target = cmd.out_target;
	return ret;
}

#define test_cmd_target_open(pid, target) do { \
	ASSERT_OK(_test_cmd_target_open(self->fd, pid, target)); \
	ASSERT_NE(POISON32, *(target)); \
} while (0)
#define test_err_target_open(_errno, pid) do { \
	__u32 __target; \
	EXPECT_ERRNO(_errno, _test_cmd_target_open(self->fd, pid, &__target)); \
} while (0)

static inline int _test_cmd_target_close(int fd, __u32 target)
{
	struct ptf_ioc_target_close cmd;

	PTF_POISONED(&cmd);
	cmd.target = target;
	cmd.reserved = 0;
	return ioctl(fd, PTF_IOC_TARGET_CLOSE, &cmd);
}

#define test_cmd_target_close(target) \
	ASSERT_OK(_test_cmd_target_close(self->fd, target))
#define test_err_target_close(_errno, target) \
	EXPECT_ERRNO(_errno, _test_cmd_target_close(self->fd, target))

static inline int _test_cmd_session_stat(int fd, struct ptf_ioc_session_stat *cmd)
{
	PTF_POISONED(cmd);
	return ioctl(fd, PTF_IOC_SESSION_STAT, cmd);
}

#define test_cmd_session_stat(cmd) \
	ASSERT_OK(_test_cmd_session_stat(self->fd, cmd))

static inline int _test_cmd_range_advise(int fd, struct ptf_ioc_range_advise *cmd,
					 __u32 target, __u32 advice, const void *addr,
					 size_t len, __u32 flags)
{
	PTF_POISONED(cmd);
	cmd->flags = flags;
	cmd->target = target;
	cmd->advice = advice;
	cmd->start = u64ptr(addr);
	cmd->end = u64ptr(addr) + len;
	cmd->arg = 0;
	return ioctl(fd, PTF_IOC_RANGE_ADVISE, cmd);
}

#define test_cmd_range_advise(cmd, target, advice, addr, len, flags) \
	ASSERT_OK(_test_cmd_range_advise(self->fd, cmd, target, advice, addr, len, flags))
#define test_err_range_advise(_errno, cmd, target, advice, addr, len, flags) \
	EXPECT_ERRNO(_errno, _test_cmd_range_advise(self->fd, cmd, target, advice, addr, \
						    len, flags))

static inline __u64 ptf_skipped(const struct ptf_ioc_range_advise *cmd)
{
	__u64 sum = 0;
	int i;

	for (i = 0; i < PTF_SKIP_NR; i++)
		sum += cmd->out_skipped_pages[i];
	return sum;
}

/* Advice that must do all of a range, and say so in every field. */
#define test_cmd_advise_all(advice, addr, len) \
	test_cmd_advise_target_all(PTF_TARGET_SELF, advice, addr, len)
#define test_cmd_advise_target_all(target, advice, addr, len) do { \
	struct ptf_ioc_range_advise __cmd; \
	test_cmd_range_advise(&__cmd, target, advice, addr, len, 0); \
	ASSERT_EQ((len) / PAGE, __cmd.out_done_pages) { \
		TH_LOG("same %llu, skipped %llu", __cmd.out_same_pages, \
		       ptf_skipped(&__cmd)); \
	} \
	ASSERT_EQ(u64ptr(addr) + (len), __cmd.out_next); \
	ASSERT_EQ(0, __cmd.out_same_pages); \
	ASSERT_EQ(0, ptf_skipped(&__cmd)); \
} while (0)

static inline int _test_cmd_range_query(int fd, struct ptf_ioc_range_query *cmd,
					__u32 target, const void *addr, size_t len,
					__u32 flags, struct ptf_row *rows, __u64 nr_rows)
{
	PTF_POISONED(cmd);
	cmd->flags = flags;
	cmd->target = target;
	cmd->row_size = sizeof(*rows);
	cmd->start = u64ptr(addr);
	cmd->end = u64ptr(addr) + len;
	cmd->rows = u64ptr(rows);
	cmd->nr_rows = nr_rows;
	cmd->vmas = 0;
	cmd->nr_vmas = 0;
	cmd->vma_size = 0;
	cmd->names = 0;
	cmd->names_size = 0;
	cmd->reserved = 0;
	return ioctl(fd, PTF_IOC_RANGE_QUERY, cmd);
}

#define test_cmd_range_query(cmd, target, addr, len, flags, rows, nr) \
	ASSERT_OK(_test_cmd_range_query(self->fd, cmd, target, addr, len, flags, rows, nr))
#define test_err_range_query(_errno, cmd, target, addr, len, flags, rows, nr) \
	EXPECT_ERRNO(_errno, _test_cmd_range_query(self->fd, cmd, target, addr, len, \
						   flags, rows, nr))

/* A row for each page of a range in which there is no hole. */
#define test_cmd_query_pages(target, addr, len, rows) do { \
	struct ptf_ioc_range_query __q; \
	memset(rows, POISON, (len) / PAGE * sizeof(struct ptf_row)); \
	test_cmd_range_query(&__q, target, addr, len, \
			     PTF_QUERY_F_PAGES | PTF_QUERY_F_HOLES, rows, (len) / PAGE); \
	ASSERT_EQ((len) / PAGE, __q.out_rows); \
	ASSERT_EQ(u64ptr(addr) + (len), __q.out_next); \
} while (0)

static inline int _test_cmd_page_walk(int fd, struct ptf_ioc_page_walk *cmd,
				      __u32 target, const void *addr)
{
	PTF_POISONED(cmd);
	cmd->target = target;
	cmd->reserved = 0;
	cmd->addr = u64ptr(addr);
	return ioctl(fd, PTF_IOC_PAGE_WALK, cmd);
}

#define test_cmd_page_walk(cmd, target, addr) \
	ASSERT_OK(_test_cmd_page_walk(self->fd, cmd, target, addr))
#define test_err_page_walk(_errno, cmd, target, addr) \
	EXPECT_ERRNO(_errno, _test_cmd_page_walk(self->fd, cmd, target, addr))

static inline int _test_cmd_file_query(int fd, struct ptf_ioc_file_query *cmd, int file,
				       __u64 start, __u64 end, __u32 flags,
				       struct ptf_file_row *rows, __u64 nr_rows)
{
	PTF_POISONED(cmd);
	cmd->flags = flags;
	cmd->fd = file;
	cmd->row_size = sizeof(*rows);
	cmd->start = start;
	cmd->end = end;
	cmd->rows = u64ptr(rows);
	cmd->nr_rows = nr_rows;
	return ioctl(fd, PTF_IOC_FILE_QUERY, cmd);
}

#define test_cmd_file_query(cmd, file, start, end, flags, rows, nr) \
	ASSERT_OK(_test_cmd_file_query(self->fd, cmd, file, start, end, flags, rows, nr))
#define test_err_file_query(_errno, cmd, file, start, end, flags, rows, nr) \
	EXPECT_ERRNO(_errno, _test_cmd_file_query(self->fd, cmd, file, start, end, \
						  flags, rows, nr))

/* All of a file. */
#define PTF_FILE_END	(~0ULL & ~(PAGE - 1))

static inline __u64 ptf_features(int fd)
{
	struct ptf_ioc_features_get cmd;

	return _test_cmd_features_get(fd, &cmd, 0) ? 0 : cmd.out_features;
}

/* ------------------------------------------------------------------ */
/* Memory with a content that can be told                              */

static inline __u64 ptf_word(__u64 seed, __u64 page, __u64 word)
{
	__u64 z = seed * 0x9E3779B97F4A7C15ULL + page * 0xBF58476D1CE4E5B9ULL + word + 1;

	z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ULL;
	z = (z ^ (z >> 27)) * 0x94D049BB133111EBULL;
	return z ^ (z >> 31);
}

static inline void ptf_fill_page(void *page, __u64 seed, __u64 nr)
{
	__u64 *p = page, w;

	for (w = 0; w < PAGE / 8; w++)
		p[w] = ptf_word(seed, nr, w);
}

static inline void ptf_fill(void *addr, size_t len, __u64 seed)
{
	size_t i;

	for (i = 0; i < len / PAGE; i++)
		ptf_fill_page((char *)addr + i * PAGE, seed, i);
}

/* Pages that are not as filled. */
static inline size_t ptf_wrong(const void *addr, size_t len, __u64 seed)
{
	size_t i, w, bad = 0;

	for (i = 0; i < len / PAGE; i++) {
		const volatile __u64 *p = (const void *)((const char *)addr + i * PAGE);

		for (w = 0; w < PAGE / 8; w++) {
			if (p[w] == ptf_word(seed, i, w))
				continue;
			if (!bad)
				fprintf(stderr, "# page %zu word %zu: %#llx, not %#llx\n", i, w,
					(unsigned long long)p[w],
					(unsigned long long)ptf_word(seed, i, w));
			bad++;
			break;
		}
	}
	return bad;
}

static inline unsigned char ptf_touch(const void *addr)
{
	return *(const volatile unsigned char *)addr;
}

static inline void ptf_touch_all(const void *addr, size_t len)
{
	size_t i;

	for (i = 0; i < len; i += PAGE)
		ptf_touch((const char *)addr + i);
}

/* Write the byte that is there already. */
static inline void ptf_rewrite(void *addr)
{
	volatile unsigned char *p = addr;
	*p = *p;
}

/* A store that reads nothing first, so that the fault is a write fault. */
static inline void ptf_store(void *addr, unsigned char v)
{
	*(volatile unsigned char *)addr = v;
}

/* Faults of this very thread. */
static inline long ptf_minflt(void)
{
	struct rusage ru;

	getrusage(RUSAGE_THREAD, &ru);
	return ru.ru_minflt;
}

static inline long ptf_majflt(void)
{
	struct rusage ru;

	getrusage(RUSAGE_THREAD, &ru);
	return ru.ru_majflt;
}

/* Faults of another thread, from its stat file. */
static inline int ptf_tid_faults(int pid, int tid, long *min, long *maj)
{
	char path[64], buf[1024], *p;
	int fd;
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/stat", pid, tid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	n = read(fd, buf, sizeof(buf) - 1);
	close(fd);
	if (n <= 0)
		return -1;
	buf[n] = 0;
	p = strrchr(buf, ')');
	if (!p)
		return -1;
	/* state ppid pgrp session tty tpgid flags minflt cminflt majflt */
	return sscanf(p + 1, " %*c %*d %*d %*d %*d %*d %*u %ld %*d %ld", min, maj) == 2 ?
		0 : -1;
}

/* A line of /proc/PID/status in kB, or -1. */
static inline long ptf_status_kb(int pid, const char *key)
{
	char path[64], line[256];
	size_t len = strlen(key);
	long kb = -1;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	f = fopen(path, "re");
	if (!f)
		return -1;
	while (fgets(line, sizeof(line), f))
		if (!strncmp(line, key, len) && line[len] == ':')
			kb = atol(line + len + 1);
	fclose(f);
	return kb;
}

/* Private anonymous memory of small pages, there from the start. */
static inline void *ptf_anon(size_t len)
{
	char *p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		return NULL;
	madvise(p, len, MADV_NOHUGEPAGE);
	return p;
}

/* An address that the kernel would give out, with nothing mapped there. */
static inline void *ptf_hole(size_t len)
{
	void *p = mmap(NULL, len, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED || munmap(p, len))
		return NULL;
	return p;
}

/*
 * A file with no name left in a directory of its own kind, each page written
 * alone and from the end on, so that the page cache keeps single pages.
 */
static inline int ptf_file_in(const char *dir, size_t len, __u64 seed)
{
	char path[128], page[PAGE] __attribute__((aligned(8)));
	size_t i;
	int fd;

	snprintf(path, sizeof(path), "%s/ptf-test-XXXXXX", dir);
	fd = mkostemp(path, O_CLOEXEC);
	if (fd < 0)
		return -1;
	unlink(path);
	for (i = len / PAGE; i--;) {
		ptf_fill_page(page, seed, i);
		if (pwrite(fd, page, PAGE, i * PAGE) != PAGE) {
			close(fd);
			return -1;
		}
	}
	return fd;
}

#define PTF_SCRATCH	"/scratch"	/* ext4 on a disk, in the VM */
#define PTF_SHM		"/dev/shm"	/* tmpfs */

static inline bool ptf_is_fs(const char *path, long magic)
{
	struct statfs st;

	return !statfs(path, &st) && st.f_type == magic;
}

#define PTF_EXT4_MAGIC	0xEF53
#define PTF_TMPFS_MAGIC	0x01021994

static inline bool ptf_kernel_from(int major, int minor)
{
	struct utsname u;
	int a = 0, b = 0;

	uname(&u);
	if (sscanf(u.release, "%d.%d", &a, &b) != 2)
		return false;
	return a > major || (a == major && b >= minor);
}

static inline int ptf_nr_cpus(void)
{
	return sysconf(_SC_NPROCESSORS_ONLN);
}

/* Keep the calling thread on one CPU. */
static inline int ptf_pin_cpu(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	return sched_setaffinity(0, sizeof(set), &set);
}

/* Bytes of swap that are free. */
static inline unsigned long ptf_swap_free_kb(void)
{
	unsigned long kb = 0;
	char line[128];
	FILE *f = fopen("/proc/meminfo", "re");

	if (!f)
		return 0;
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "SwapFree: %lu", &kb) == 1)
			break;
	fclose(f);
	return kb;
}

/* ------------------------------------------------------------------ */
/* Other processes                                                     */

/*
 * A child that runs @fn and leaves with what that returned. It dies with its
 * parent.
 */
static inline pid_t ptf_child(int (*fn)(void *), void *arg)
{
	pid_t parent = getpid(), pid = fork();

	if (pid) {
		/*
		 * The kernel writes a thread's rseq area when it is preempted;
		 * after a fork that is a fault. Have it now, not in a count.
		 */
		usleep(1000);
		return pid;
	}
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(127);
	usleep(1000);
	_exit(fn(arg));
}

/* Its exit status, or 256 + signal. */
static inline int ptf_wait(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) != pid)
		if (errno != EINTR)
			return -1;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 256 + WTERMSIG(status);
}

static inline int ptf_kill(pid_t pid)
{
	kill(pid, SIGKILL);
	return ptf_wait(pid);
}

/* Memory that parent and children share, for flags and results. */
static inline void *ptf_shared(size_t len)
{
	void *p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

/* Wait up to @ms (on a quick machine) until *@p is at least @v. */
static inline bool ptf_await(const volatile unsigned int *p, unsigned int v, int ms)
{
	struct timespec ts, now;
	long long most = (long long)ms * ptf_env("PTF_SLOW", 1);

	clock_gettime(CLOCK_MONOTONIC, &ts);
	while (*p < v) {
		clock_gettime(CLOCK_MONOTONIC, &now);
		if ((now.tv_sec - ts.tv_sec) * 1000 + (now.tv_nsec - ts.tv_nsec) / 1000000 > most)
			return false;
		sched_yield();
	}
	return true;
}

static inline double ptf_seconds(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec + ts.tv_nsec / 1e9;
}

/* A frame number as pagemap has it, 0 where the page is not mapped. */
static inline __u64 ptf_pagemap(int pid, const void *addr)
{
	char path[64];
	__u64 v = 0;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/pagemap", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	if (pread(fd, &v, 8, u64ptr(addr) / PAGE * 8) != 8)
		v = 0;
	close(fd);
	return v;
}

#define PM_PFN(v)	((v) & ((1ULL << 55) - 1))
#define PM_FILE		(1ULL << 61)
#define PM_SWAP		(1ULL << 62)
#define PM_PRESENT	(1ULL << 63)
#define PM_SWAP_TYPE(v)	((v) & 0x1f)
#define PM_SWAP_OFF(v)	(PM_PFN(v) >> 5)

#endif
