// SPDX-License-Identifier: GPL-2.0-only
/*
 * The same by userfaultfd: a thread of the same process answers each fault, or
 * a signal handler, or (RWP async) the kernel itself.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include "bench.h"

/* Of newer kernels than the machine's headers, maybe. */
#define FEATURE_POISON		(1ULL << 14)
#define FEATURE_RWP		(1ULL << 17)
#define FEATURE_RWP_ASYNC	(1ULL << 18)
#define MODE_RWP		(1ULL << 3)

struct poison_arg {
	struct uffdio_range range;
	uint64_t mode;
	int64_t updated;
};

struct rwprotect_arg {
	struct uffdio_range range;
	uint64_t mode;
};

#define IOCTL_POISON	_IOWR(UFFDIO, 0x08, struct poison_arg)
#define IOCTL_RWPROTECT	_IOWR(UFFDIO, 0x09, struct rwprotect_arg)

static int uffd;
static char *mem;
static char content[BENCH_PAGE] __attribute__((aligned(BENCH_PAGE)));

static struct uffdio_range range(void)
{
	return (struct uffdio_range){ .start = (uintptr_t)mem, .len = BENCH_PAGE };
}

static void open_uffd(const char *name, uint64_t features, uint64_t mode)
{
	struct uffdio_api api = { .api = UFFD_API, .features = features };
	struct uffdio_register reg = { .range = range(), .mode = mode };

	uffd = syscall(SYS_userfaultfd, O_CLOEXEC);
	if (uffd < 0 || ioctl(uffd, UFFDIO_API, &api) || ioctl(uffd, UFFDIO_REGISTER, &reg))
		bench_skip("%s: userfaultfd of this kernel has not got it", name);
}

static void wp(uint64_t mode)
{
	struct uffdio_writeprotect arg = { .range = range(), .mode = mode };

	if (ioctl(uffd, UFFDIO_WRITEPROTECT, &arg))
		bench_skip("UFFDIO_WRITEPROTECT: %s", strerror(errno));
}

static void rwp(uint64_t mode)
{
	struct rwprotect_arg arg = { .range = range(), .mode = mode };

	if (ioctl(uffd, IOCTL_RWPROTECT, &arg))
		bench_skip("UFFDIO_RWPROTECT: %s", strerror(errno));
}

static void answer_wp(void)
{
	wp(0);
}

static void answer_rwp(void)
{
	rwp(0);
}

static void answer_continue(void)
{
	struct uffdio_continue arg = { .range = range() };

	ioctl(uffd, UFFDIO_CONTINUE, &arg);
}

static void answer_copy(void)
{
	struct uffdio_copy arg = {
		.dst = (uintptr_t)mem, .src = (uintptr_t)content, .len = BENCH_PAGE,
	};

	ioctl(uffd, UFFDIO_COPY, &arg);
}

static void *serve(void *arg)
{
	void (*answer)(void) = *(void (**)(void))arg;
	struct uffd_msg msg;

	while (read(uffd, &msg, sizeof(msg)) == sizeof(msg))
		answer();
	return NULL;
}

static void start(void (*answer)(void))
{
	static void (*the_answer)(void);
	pthread_t t;

	the_answer = answer;
	if (pthread_create(&t, NULL, serve, &the_answer))
		bench_skip("no thread");
}

static void wp_write(int n)
{
	while (n--) {
		wp(UFFDIO_WRITEPROTECT_MODE_WP);
		*(volatile char *)mem = 1;
	}
}

void today_uffd_wp(void)
{
	mem = bench_memory(1, PROT_READ | PROT_WRITE, MAP_PRIVATE, -1);
	open_uffd("uffd_wp_one", UFFD_FEATURE_PAGEFAULT_FLAG_WP, UFFDIO_REGISTER_MODE_WP);
	start(answer_wp);
	bench_result("uffd_wp_one", bench_best(100, 10, NULL, wp_write));
	bench_note("uffd_wp_one", "writes only");
}

static void dontneed_touch(int n)
{
	while (n--) {
		madvise(mem, BENCH_PAGE, MADV_DONTNEED);
		bench_touch(mem);
	}
}

void today_uffd_minor(void)
{
	int m = bench_memfd(1);

	mem = bench_memory(1, PROT_READ | PROT_WRITE, MAP_SHARED, m);
	open_uffd("uffd_minor_one", UFFD_FEATURE_MINOR_SHMEM, UFFDIO_REGISTER_MODE_MINOR);
	start(answer_continue);
	bench_result("uffd_minor_one", bench_best(100, 10, NULL, dontneed_touch));
	bench_note("uffd_minor_one", "memfd");
}

void today_uffd_missing(void)
{
	mem = bench_memory(1, PROT_READ | PROT_WRITE, MAP_PRIVATE, -1);
	open_uffd("uffd_missing_one", 0, UFFDIO_REGISTER_MODE_MISSING);
	start(answer_copy);
	bench_result("uffd_missing_one", bench_best(100, 10, NULL, dontneed_touch));
	bench_note("uffd_missing_one", "content lost and copied in again");
}

static void rwp_touch(int n)
{
	while (n--) {
		rwp(1);
		bench_touch(mem);
	}
}

void today_uffd_rwp(void)
{
	mem = bench_memory(1, PROT_READ | PROT_WRITE, MAP_PRIVATE, -1);
	open_uffd("uffd_rwp_sync_one", FEATURE_RWP, MODE_RWP);
	start(answer_rwp);
	bench_result("uffd_rwp_sync_one", bench_best(100, 10, NULL, rwp_touch));
}

void today_uffd_rwp_async(void)
{
	mem = bench_memory(1, PROT_READ | PROT_WRITE, MAP_PRIVATE, -1);
	open_uffd("uffd_rwp_async_one", FEATURE_RWP | FEATURE_RWP_ASYNC, MODE_RWP);
	bench_result("uffd_rwp_async_one", bench_best(100, 10, NULL, rwp_touch));
	bench_note("uffd_rwp_async_one", "own process, not page cache files");
}

static void on_bus(int sig, siginfo_t *si, void *uc)
{
	((ucontext_t *)uc)->uc_mcontext.gregs[REG_RIP] += BENCH_TOUCH_BYTES;
}

static void catch_bus(void)
{
	struct sigaction sa = { .sa_flags = SA_SIGINFO, .sa_sigaction = on_bus };

	sigaction(SIGBUS, &sa, NULL);
}

static void touch_n(int n)
{
	while (n--)
		bench_touch(mem);
}

void today_uffd_sigbus(void)
{
	mem = bench_memory(1, PROT_READ | PROT_WRITE, MAP_PRIVATE, -1);
	open_uffd("uffd_sigbus_one", UFFD_FEATURE_SIGBUS, UFFDIO_REGISTER_MODE_MISSING);
	catch_bus();
	madvise(mem, BENCH_PAGE, MADV_DONTNEED);
	bench_result("uffd_sigbus_one", bench_best(100, 10, NULL, touch_n));
	bench_note("uffd_sigbus_one", "content lost");
}

static void poison_touch(int n)
{
	struct poison_arg arg;

	while (n--) {
		madvise(mem, BENCH_PAGE, MADV_DONTNEED);
		arg = (struct poison_arg){ .range = range() };
		if (ioctl(uffd, IOCTL_POISON, &arg))
			bench_skip("UFFDIO_POISON: %s", strerror(errno));
		bench_touch(mem);
	}
}

void today_uffd_poison(void)
{
	mem = bench_memory(1, PROT_READ | PROT_WRITE, MAP_PRIVATE, -1);
	open_uffd("uffd_poison_one", FEATURE_POISON, UFFDIO_REGISTER_MODE_MISSING);
	catch_bus();
	bench_result("uffd_poison_one", bench_best(100, 10, NULL, poison_touch));
	bench_note("uffd_poison_one", "content lost");
}
