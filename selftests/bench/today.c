// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a user of a stock kernel does today to make pages fault, or to learn
 * about them: the kernel's own calls, without /dev/ptefault.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#include "bench.h"

#define BULK	16384UL		/* pages */

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL	102
#define MADV_GUARD_REMOVE	103
#endif

#define FLAG_TF	0x100

static char *mem;
static int fd;

static void getppid_n(int n)
{
	while (n--)
		syscall(SYS_getppid);
}

static void dontneed_touch(int n)
{
	while (n--) {
		madvise(mem, BENCH_PAGE, MADV_DONTNEED);
		*(volatile char *)mem = 1;
	}
}

static void dontneed_read(int n)
{
	while (n--) {
		madvise(mem, BENCH_PAGE, MADV_DONTNEED);
		bench_touch(mem);
	}
}

void today_one(void)
{
	int m = bench_memfd(1);

	bench_result("getppid_one", bench_best(200, 10, NULL, getppid_n));
	bench_note("getppid_one", "a system call that does nothing");
	mem = bench_memory(1, PROT_READ | PROT_WRITE, MAP_PRIVATE, -1);
	bench_result("dontneed_touch_anon_one", bench_best(100, 10, NULL, dontneed_touch));
	bench_note("dontneed_touch_anon_one", "content lost");
	mem = bench_memory(1, PROT_READ | PROT_WRITE, MAP_SHARED, m);
	bench_result("dontneed_read_memfd_one", bench_best(100, 10, NULL, dontneed_read));
}

/* ---- signals ---- */

static void catch(int sig, void (*handler)(int, siginfo_t *, void *))
{
	struct sigaction sa = { .sa_flags = SA_SIGINFO, .sa_sigaction = handler };

	sigaction(sig, &sa, NULL);
}

static void on_segv_protect(int sig, siginfo_t *si, void *uc)
{
	mprotect(mem, BENCH_PAGE, PROT_READ | PROT_WRITE);
}

static void mprotect_touch(int n)
{
	while (n--) {
		mprotect(mem, BENCH_PAGE, PROT_NONE);
		bench_touch(mem);
	}
}

void today_mprotect(void)
{
	/* between two others, so that the kernel has VMAs to split and merge */
	mem = bench_memory(16, PROT_READ | PROT_WRITE, MAP_PRIVATE, -1) + 8 * BENCH_PAGE;
	catch(SIGSEGV, on_segv_protect);
	bench_result("mprotect_sigsegv_one", bench_best(100, 10, NULL, mprotect_touch));
}

static void on_segv_guard(int sig, siginfo_t *si, void *uc)
{
	madvise(mem, BENCH_PAGE, MADV_GUARD_REMOVE);
}

static void guard_touch(int n)
{
	while (n--) {
		madvise(mem, BENCH_PAGE, MADV_GUARD_INSTALL);
		bench_touch(mem);
	}
}

void today_guard(void)
{
	mem = bench_memory(16, PROT_READ | PROT_WRITE, MAP_PRIVATE, -1) + 8 * BENCH_PAGE;
	if (madvise(mem, BENCH_PAGE, MADV_GUARD_INSTALL))
		bench_skip("guard_sigsegv_one: no MADV_GUARD_INSTALL in this kernel");
	catch(SIGSEGV, on_segv_guard);
	bench_result("guard_sigsegv_one", bench_best(100, 10, NULL, guard_touch));
	bench_note("guard_sigsegv_one", "content lost");
}

static void on_segv_step(int sig, siginfo_t *si, void *uc)
{
	mprotect(mem, BENCH_PAGE, PROT_READ | PROT_WRITE);
	((ucontext_t *)uc)->uc_mcontext.gregs[REG_EFL] |= FLAG_TF;
}

static void on_trap_step(int sig, siginfo_t *si, void *uc)
{
	((ucontext_t *)uc)->uc_mcontext.gregs[REG_EFL] &= ~FLAG_TF;
	mprotect(mem, BENCH_PAGE, PROT_NONE);
}

static void touch_n(int n)
{
	while (n--)
		bench_touch(mem);
}

void today_fetch(void)
{
	mem = bench_memory(16, PROT_READ | PROT_WRITE, MAP_PRIVATE, -1) + 8 * BENCH_PAGE;
	catch(SIGSEGV, on_segv_step);
	catch(SIGTRAP, on_trap_step);
	mprotect(mem, BENCH_PAGE, PROT_NONE);
	bench_result("sigsegv_step_one", bench_best(100, 10, NULL, touch_n));
	bench_note("sigsegv_step_one", "SIGSEGV, mprotect, TF, SIGTRAP, mprotect");
}

static pid_t tracee;

static void step_n(int n)
{
	int status;

	while (n--) {
		ptrace(PTRACE_SINGLESTEP, tracee, 0, 0);
		waitpid(tracee, &status, 0);
	}
}

void today_ptrace(void)
{
	int status;

	mem = bench_memory(1, PROT_READ | PROT_WRITE, MAP_PRIVATE, -1);
	tracee = fork();
	if (!tracee) {
		ptrace(PTRACE_TRACEME, 0, 0, 0);
		raise(SIGSTOP);
		for (;;)
			bench_touch(mem);
	}
	if (tracee < 0 || waitpid(tracee, &status, 0) != tracee || !WIFSTOPPED(status))
		bench_skip("no tracee: %s", strerror(errno));
	bench_result("ptrace_step_one", bench_best(100, 10, NULL, step_n));
	bench_note("ptrace_step_one", "one instruction, access or not");
	kill(tracee, SIGKILL);
	waitpid(tracee, &status, 0);
}

/* ---- many pages ---- */

static void populate(int n)
{
	while (n--)
		*(volatile char *)(mem + n * BENCH_PAGE) = 1;
}

static void dontneed_all(int n)
{
	madvise(mem, n * BENCH_PAGE, MADV_DONTNEED);
}

static void protect_open(int n)
{
	mprotect(mem, n * BENCH_PAGE, PROT_READ | PROT_WRITE);
}

static void protect_none(int n)
{
	mprotect(mem, n * BENCH_PAGE, PROT_NONE);
}

static void clear_refs(int n)
{
	if (pwrite(fd, "4", 1, 0) != 1)
		bench_skip("/proc/self/clear_refs: %s", strerror(errno));
}

void today_bulk(void)
{
	mem = bench_memory(BULK, PROT_READ | PROT_WRITE, MAP_PRIVATE, -1);
	bench_result("mprotect_none_per_page", bench_best(5, BULK, protect_open, protect_none));
	protect_open(BULK);
	bench_result("dontneed_anon_per_page", bench_best(3, BULK, populate, dontneed_all));
	bench_note("dontneed_anon_per_page", "content lost");
	populate(BULK);
	fd = open("/proc/self/clear_refs", O_WRONLY);
	if (fd < 0)
		bench_skip("/proc/self/clear_refs: %s", strerror(errno));
	bench_result("clear_refs_per_page", bench_best(5, BULK, populate, clear_refs));
	bench_note("clear_refs_per_page", "write-protected, all of the process");
	bench_result("clear_refs_write_one", bench_best(3, BULK, clear_refs, populate));
	bench_note("clear_refs_write_one", "the write fault after it");
}

/* ---- reading about pages ---- */

static uint64_t *entries;
static unsigned char *residency;

static void pagemap_read(int n)
{
	size_t len = n * sizeof(*entries);

	if (pread(fd, entries, len, (uintptr_t)mem / BENCH_PAGE * sizeof(*entries)) != (ssize_t)len)
		bench_skip("pagemap: %s", strerror(errno));
}

static void mincore_read(int n)
{
	if (mincore(mem, n * BENCH_PAGE, residency))
		bench_skip("mincore: %s", strerror(errno));
}

/* Of <linux/fs.h> since 6.7. */
struct scan_region {
	uint64_t start, end, categories;
};

struct scan_arg {
	uint64_t size, flags, start, end, walk_end, vec, vec_len, max_pages;
	uint64_t inverted, mask, anyof_mask, return_mask;
};

#define SCAN_IOCTL	_IOWR('f', 16, struct scan_arg)
#define SCAN_FILE	(1 << 2)
#define SCAN_PRESENT	(1 << 3)
#define SCAN_SWAPPED	(1 << 4)
#define SCAN_DIRTY	(1 << 7)

static struct scan_region *regions;
static struct scan_arg scan;

static void scan_read(int n)
{
	scan.start = (uintptr_t)mem;
	scan.end = scan.start + n * BENCH_PAGE;
	if (ioctl(fd, SCAN_IOCTL, &scan) < 0)
		bench_skip("pagemap_scan_dense_per_page: PAGEMAP_SCAN: %s", strerror(errno));
}

void today_report(void)
{
	size_t i;

	mem = bench_memory(BULK, PROT_READ | PROT_WRITE, MAP_PRIVATE, -1);
	entries = calloc(BULK, sizeof(*entries));
	residency = calloc(BULK, 1);
	regions = calloc(BULK, sizeof(*regions));
	if (!entries || !residency || !regions)
		bench_skip("no memory");
	memset(entries, 1, BULK * sizeof(*entries));
	memset(residency, 1, BULK);
	memset(regions, 1, BULK * sizeof(*regions));
	fd = open("/proc/self/pagemap", O_RDONLY);
	if (fd < 0)
		bench_skip("pagemap: %s", strerror(errno));
	bench_result("pagemap_per_page", bench_best(4, BULK, NULL, pagemap_read));
	bench_note("pagemap_per_page", "8 bytes each: frame and a few bits");
	bench_result("mincore_per_page", bench_best(4, BULK, NULL, mincore_read));
	bench_note("mincore_per_page", "a bit each: resident or not");

	/* dense: no two neighbours alike */
	for (i = 0; i < BULK; i += 2)
		madvise(mem + i * BENCH_PAGE, BENCH_PAGE, MADV_DONTNEED);
	scan = (struct scan_arg){
		.size = sizeof(scan), .vec = (uintptr_t)regions, .vec_len = BULK,
		.anyof_mask = SCAN_PRESENT, .return_mask = SCAN_PRESENT,
	};
	bench_result("pagemap_scan_dense_per_page", bench_best(4, BULK, NULL, scan_read));
	bench_note("pagemap_scan_dense_per_page", "every second page present");
	scan.anyof_mask = SCAN_SWAPPED;
	bench_result("pagemap_scan_none_per_page", bench_best(4, BULK, NULL, scan_read));
	bench_note("pagemap_scan_none_per_page", "no page matches");
}
