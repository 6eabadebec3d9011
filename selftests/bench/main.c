// SPDX-License-Identifier: GPL-2.0-only
/*
 * The benchmark: runs each group in a process of its own and prints what it
 * found, as lines "NAME VALUE" with what is to be said about it behind. Lines
 * that begin with # are for people.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bench.h"

#define MAX_RESULTS	96

struct result {
	char name[40];
	char note[80];
	double value;
};

/* Filled in by the groups' processes. */
static struct shared {
	int nr;
	char skip[160];
	struct result result[MAX_RESULTS];
} *shared;

static const struct group {
	const char *title;	/* NULL: goes on under the last one's */
	void (*run)(void);
} groups[] = {
	{ "one page cleared and touched, through /dev/ptefault", ours_one },
	{ "the hook in the fault path, which STASH and exact heals need", ours_hook },
	{ "rules, and a fault on every fetch", ours_rules },
	{ "what one would do today for one page", today_one },
	{ NULL, today_mprotect },
	{ NULL, today_guard },
	{ NULL, today_uffd_wp },
	{ NULL, today_uffd_minor },
	{ NULL, today_uffd_missing },
	{ NULL, today_uffd_rwp },
	{ NULL, today_uffd_rwp_async },
	{ NULL, today_uffd_sigbus },
	{ NULL, today_uffd_poison },
	{ "every fetch of a page, today", today_fetch },
	{ NULL, today_ptrace },
	{ "many pages in one call, through /dev/ptefault, per page", ours_bulk },
	{ "what one would do today, per page", today_bulk },
	{ "rows of many pages in one call, through /dev/ptefault, per page", ours_query },
	{ "what one would read today, per page", today_report },
};

/* What was promised. */
static const struct target {
	const char *name;
	double most;
} targets[] = {
	{ "clear_refault_one", 3500 },
	{ "hook_unarmed_percent", 1 },
	{ "every_fetch_one", 3600 },
	{ "rules_100k_percent", 5 },
	{ "clear_bulk_per_page", 90 },
	{ "query_bulk_per_page", 160 },
};

/* What a figure is to be held against. */
static const struct pair {
	const char *name, *base;
} pairs[] = {
	{ "dontneed_touch_anon_one", "clear_refault_one" },
	{ "dontneed_read_memfd_one", "clear_refault_one" },
	{ "mprotect_sigsegv_one", "clear_refault_one" },
	{ "guard_sigsegv_one", "clear_refault_one" },
	{ "uffd_sigbus_one", "sigbus_one" },
	{ "uffd_wp_one", "clear_refault_one" },
	{ "uffd_minor_one", "clear_refault_one" },
	{ "uffd_missing_one", "clear_refault_one" },
	{ "uffd_rwp_sync_one", "clear_refault_one" },
	{ "uffd_rwp_async_one", "clear_refault_one" },
	{ "mprotect_none_per_page", "clear_bulk_per_page" },
	{ "dontneed_anon_per_page", "clear_bulk_per_page" },
	{ "clear_refs_per_page", "clear_bulk_per_page" },
	{ "pagemap_per_page", "query_bulk_per_page" },
	{ "mincore_per_page", "query_bulk_per_page" },
	{ "pagemap_scan_dense_per_page", "query_bulk_per_page" },
	{ "pagemap_scan_none_per_page", "query_bulk_per_page" },
};

static long clock_cost;

static long now(void)
{
	struct timespec t;

	/* the system call, not the vDSO: it costs the same each time */
	syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000L + t.tv_nsec;
}

static void clock_measure(void)
{
	long best = -1, t;
	int i;

	for (i = 0; i < 200; i++) {
		t = now();
		t = now() - t;
		if (best < 0 || t < best)
			best = t;
	}
	clock_cost = best;
}

double bench_best(int rounds, int n, bench_fn before, bench_fn body)
{
	long best = -1, t;

	while (rounds--) {
		if (before)
			before(n);
		t = now();
		body(n);
		t = now() - t - clock_cost;
		if (best < 0 || t < best)
			best = t;
	}
	return (double)best / n;
}

static struct result *find(const char *name)
{
	int i;

	for (i = 0; i < shared->nr; i++)
		if (!strcmp(shared->result[i].name, name))
			return &shared->result[i];
	return NULL;
}

void bench_result(const char *name, double value)
{
	struct result *r;

	if (shared->nr == MAX_RESULTS)
		abort();
	r = &shared->result[shared->nr++];
	snprintf(r->name, sizeof(r->name), "%s", name);
	r->value = value;
}

void bench_note(const char *name, const char *fmt, ...)
{
	struct result *r = find(name);
	va_list ap;

	if (!r)
		return;
	va_start(ap, fmt);
	vsnprintf(r->note, sizeof(r->note), fmt, ap);
	va_end(ap);
}

void bench_skip(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(shared->skip, sizeof(shared->skip), fmt, ap);
	va_end(ap);
	_exit(0);
}

char *bench_memory(size_t pages, int prot, int flags, int fd)
{
	char *p = mmap(NULL, pages * BENCH_PAGE, prot, flags | (fd < 0 ? MAP_ANONYMOUS : 0),
		       fd, 0);
	size_t i;

	if (p == MAP_FAILED)
		bench_skip("mmap: %s", strerror(errno));
	/* refused on shared file memory of old kernels: no huge pages there anyway */
	madvise(p, pages * BENCH_PAGE, MADV_NOHUGEPAGE);
	for (i = 0; i < pages; i++) {
		if (prot & PROT_WRITE)
			p[i * BENCH_PAGE] = 1;
		else
			(void)*(volatile char *)(p + i * BENCH_PAGE);
	}
	return p;
}

int bench_memfd(size_t pages)
{
	int fd = memfd_create("bench", 0);

	if (fd < 0 || ftruncate(fd, pages * BENCH_PAGE))
		bench_skip("memfd: %s", strerror(errno));
	return fd;
}

int bench_open_module(void)
{
	int fd = open("/dev/ptefault", O_RDWR);

	if (fd < 0)
		bench_skip("/dev/ptefault: %s", strerror(errno));
	return fd;
}

static bool print(const struct result *r)
{
	char more[160] = "";
	const struct result *base;
	bool missed = false;
	size_t i, n;

	for (i = 0; i < sizeof(targets) / sizeof(*targets); i++) {
		if (strcmp(targets[i].name, r->name))
			continue;
		missed = r->value > targets[i].most;
		snprintf(more, sizeof(more), "at most %.0f: %s", targets[i].most,
			 missed ? "MISSED" : "met");
	}
	for (i = 0; i < sizeof(pairs) / sizeof(*pairs); i++) {
		if (strcmp(pairs[i].name, r->name))
			continue;
		base = find(pairs[i].base);
		if (base && base->value > 0)
			snprintf(more, sizeof(more), "%.1f x %s", r->value / base->value,
				 base->name);
	}
	n = strlen(more);
	if (r->note[0])
		snprintf(more + n, sizeof(more) - n, "%s%s", n ? ", " : "", r->note);
	printf("%-34s %*.*f%s%s\n", r->name, r->value < 1000 ? 9 : 7, r->value < 1000 ? 1 : 0,
	       r->value, more[0] ? (r->value < 1000 ? "   " : "     ") : "", more);
	fflush(stdout);
	return missed;
}

static void settle_for(double seconds)
{
	struct timespec t = { .tv_sec = seconds };

	t.tv_nsec = (seconds - t.tv_sec) * 1e9;
	nanosleep(&t, NULL);
}

/* Boot goes on behind the back of the first process for some seconds. */
static void settle(double seconds)
{
	struct timespec t;

	clock_gettime(CLOCK_BOOTTIME, &t);
	seconds -= t.tv_sec + t.tv_nsec / 1e9;
	if (seconds > 0)
		settle_for(seconds);
}

int main(int argc, char **argv)
{
	const char *only = argc > 1 ? argv[1] : NULL;
	int missed = 0, broken = 0, status, first;
	struct utsname u;
	size_t i;
	pid_t pid;

	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
		      -1, 0);
	if (shared == MAP_FAILED) {
		perror("bench: mmap");
		return 1;
	}
	memset(shared, 0, sizeof(*shared));
	settle(15);
	clock_measure();
	uname(&u);
	printf("# ptefault %s on Linux %s: guest instructions for one operation\n",
	       PTEFAULT_VERSION, u.release);
	for (i = 0; i < sizeof(groups) / sizeof(*groups); i++) {
		if (groups[i].title)
			printf("\n# %s\n", groups[i].title);
		fflush(stdout);
		/* what the last one armed is off by then, the hook too */
		settle_for(1);
		first = shared->nr;
		shared->skip[0] = 0;
		pid = fork();
		if (pid < 0) {
			perror("bench: fork");
			return 1;
		}
		if (!pid) {
			groups[i].run();
			_exit(0);
		}
		if (waitpid(pid, &status, 0) != pid)
			return 1;
		for (; first < shared->nr; first++)
			if (!only || strstr(shared->result[first].name, only))
				missed += print(&shared->result[first]);
		if (shared->skip[0])
			printf("# not here: %s\n", shared->skip);
		if (status) {
			printf("# FAILED: a group ended with wait status 0x%x\n", status);
			broken++;
		}
	}
	printf("\n# %d targets missed%s\n", missed, broken ? ", some groups FAILED" : "");
	return broken ? 1 : 0;
}
