/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the tests of the library share. They run without the module, in a VM or
 * on the machine itself; what would hurt a machine that lives on (frames taken
 * out of use) is done in a VM only.
 */
#ifndef TEST_LIB_H
#define TEST_LIB_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include <ptefault.h>

/*
 * A sanitizer's runtime maps memory of its own whenever it likes and needs most
 * of the address space: what counts mappings or limits them is left out then.
 */
#if defined(__SANITIZE_ADDRESS__)
#define UNDER_ASAN true
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define UNDER_ASAN true
#endif
#endif
#ifndef UNDER_ASAN
#define UNDER_ASAN false
#endif
#define NOT_UNDER_ASAN() do {						\
	if (UNDER_ASAN)							\
		SKIP(return, "not beside a sanitizer's own mappings");	\
} while (0)

#define PAGE 4096UL
#define PAGES(n) ((size_t)(n) * PAGE)
#define MB (1024UL * 1024)
#ifndef ARRAY_SIZE
#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#endif

static inline unsigned long env_number(const char *name, unsigned long or_else)
{
	const char *v = getenv(name);

	return v && *v ? strtoul(v, NULL, 0) : or_else;
}

/* The runner says how much of the full rounds a run is for. */
static inline unsigned long rounds(unsigned long full)
{
	unsigned long n = full / env_number("PTF_DIVIDE", 1);

	return n ? n : 1;
}

/* 601 for 6.1, 618 for 6.18 */
static inline int kernel_version(void)
{
	struct utsname u;
	int major = 0, minor = 0;

	uname(&u);
	sscanf(u.release, "%d.%d", &major, &minor);
	return major * 100 + minor;
}

/* In the project's own VM, which ends with the tests? */
static inline bool in_guest(void)
{
	char line[4096] = "";
	int fd = open("/proc/cmdline", O_RDONLY);

	if (fd >= 0) {
		if (read(fd, line, sizeof(line) - 1) < 0)
			line[0] = 0;
		close(fd);
	}
	return strstr(line, "panic=-1") && strstr(line, "reboot=t");
}

/* Page n of a buffer gets a content that no other page and no zero page has. */
static inline void pages_fill(void *p, size_t nr, unsigned int seed)
{
	uint32_t *w = p;
	size_t i;

	for (i = 0; i < nr * PAGE / 4; i++)
		w[i] = (uint32_t)(i * 2654435761U) ^ (seed + 0x5a5a0001U);
}

static inline bool page_has(const void *p, size_t page, unsigned int seed)
{
	const uint32_t *w = p;
	size_t i;

	for (i = page * PAGE / 4; i < (page + 1) * PAGE / 4; i++)
		if (w[i] != ((uint32_t)(i * 2654435761U) ^ (seed + 0x5a5a0001U)))
			return false;
	return true;
}

static inline bool pages_have(const void *p, size_t nr, unsigned int seed)
{
	size_t i;

	for (i = 0; i < nr; i++)
		if (!page_has(p, i, seed))
			return false;
	return true;
}

static inline bool page_zero(const void *p, size_t page)
{
	const uint32_t *w = p;
	size_t i;

	for (i = page * PAGE / 4; i < (page + 1) * PAGE / 4; i++)
		if (w[i])
			return false;
	return true;
}

static inline void *anon(size_t nr)
{
	return mmap(NULL, PAGES(nr), PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

/* A memfd of nr pages, filled. */
static inline int filled_memfd(size_t nr, unsigned int seed)
{
	int fd = memfd_create("ptf-test", MFD_ALLOW_SEALING | MFD_CLOEXEC);
	void *p;

	if (fd < 0 || ftruncate(fd, (off_t)PAGES(nr)))
		return -1;
	if (nr) {
		p = mmap(NULL, PAGES(nr), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		if (p == MAP_FAILED)
			return -1;
		pages_fill(p, nr, seed);
		munmap(p, PAGES(nr));
	}
	return fd;
}

/* The pagemap word of an address: bit 63 present, 62 swapped, low 55 frame. */
static inline uint64_t pagemap(const void *p)
{
	uint64_t word = 0;
	int fd = open("/proc/self/pagemap", O_RDONLY);

	if (fd < 0)
		return 0;
	if (pread(fd, &word, 8, (off_t)((uintptr_t)p / PAGE * 8)) != 8)
		word = 0;
	close(fd);
	return word;
}

static inline bool is_present(const void *p)
{
	return pagemap(p) >> 63;
}

static inline uint64_t frame(const void *p)
{
	return pagemap(p) & ((1ULL << 55) - 1);
}

/* Is the flag (two letters, as "dc") on the VMA of an address? */
static inline bool vma_flag(const void *p, const char *flag)
{
	unsigned long start, end;
	char line[512], want[8];
	bool here = false, found = false;
	FILE *f = fopen("/proc/self/smaps", "r");

	if (!f)
		return false;
	snprintf(want, sizeof(want), " %s", flag);
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%lx-%lx ", &start, &end) == 2 && strchr(line, '-'))
			here = start <= (unsigned long)p && (unsigned long)p < end;
		else if (here && !strncmp(line, "VmFlags:", 8))
			found = strstr(line, want);
	}
	fclose(f);
	return found;
}

/* Is anything mapped there, with which PROT_*? -1: nothing. */
static inline int prot_at(const void *p)
{
	unsigned long start, end;
	char line[512], perms[5];
	int prot = -1;
	FILE *f = fopen("/proc/self/maps", "r");

	if (!f)
		return -2;
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "%lx-%lx %4s", &start, &end, perms) == 3 &&
		    start <= (unsigned long)p && (unsigned long)p < end)
			prot = (perms[0] == 'r' ? PROT_READ : 0) |
			       (perms[1] == 'w' ? PROT_WRITE : 0) |
			       (perms[2] == 'x' ? PROT_EXEC : 0);
	fclose(f);
	return prot;
}

static inline size_t vma_count(void)
{
	size_t n = 0;
	int c;
	FILE *f = fopen("/proc/self/maps", "r");

	if (!f)
		return 0;
	while ((c = fgetc(f)) != EOF)
		n += c == '\n';
	fclose(f);
	return n;
}

static inline long minor_faults(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return u.ru_minflt;
}

/* Not the libc's: a sanitizer makes those do nothing. */
static inline int lock_pages(void *p, size_t bytes)
{
	return (int)syscall(SYS_mlock, p, bytes);
}

static inline int unlock_pages(void *p, size_t bytes)
{
	return (int)syscall(SYS_munlock, p, bytes);
}

/* A child's verdict: 0 fine; n: its n-th check failed; -1: it died. */
#define IN_CHILD(verdict, ...) do {					\
	int status_, fail_ = 0;						\
	pid_t pid_ = fork();						\
									\
	if (!pid_) {							\
		__VA_ARGS__;						\
		_exit(fail_);						\
	}								\
	waitpid(pid_, &status_, 0);					\
	verdict = WIFEXITED(status_) ? WEXITSTATUS(status_) : -1;	\
} while (0)
#define CHILD_CHECK(n, what) do {					\
	if (!fail_ && !(what))						\
		fail_ = (n);						\
} while (0)

/*
 * Make vm.max_map_count the limit: fill the address space with VMAs until only
 * room more are allowed. In a VM of our own the limit is lowered first, which
 * is quicker. Undo with maps_release().
 */
struct maps_full {
	char *area;
	size_t bytes;
	size_t was;		/* the limit, if it was lowered */
};

static inline size_t max_map_count(void)
{
	size_t n = 65530;
	FILE *f = fopen("/proc/sys/vm/max_map_count", "r");

	if (f) {
		if (fscanf(f, "%zu", &n) != 1)
			n = 65530;
		fclose(f);
	}
	return n;
}

static inline void set_max_map_count(size_t n)
{
	FILE *f = fopen("/proc/sys/vm/max_map_count", "w");

	if (f) {
		fprintf(f, "%zu\n", n);
		fclose(f);
	}
}

static inline bool maps_fill(struct maps_full *m, size_t room)
{
	size_t want, i, have = vma_count(), max = max_map_count();

	m->was = 0;
	if (in_guest()) {
		m->was = max;
		set_max_map_count(have + room + 600);
		max = max_map_count();
	}

	/* Every second page read-only: two VMAs for each. */
	m->bytes = PAGES(max + 16);
	m->area = mmap(NULL, m->bytes, PROT_NONE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (m->area == MAP_FAILED)
		return false;
	have = vma_count();
	/* [vsyscall] is a line in maps but no VMA that counts. */
	{
		struct ptf_vma_list *l;

		if (!ptf_vma_list_create(0, &l)) {
			if (ptf_vma_list_name(l, "[vsyscall]", 0))
				have--;
			ptf_vma_list_destroy(l);
		}
	}
	if (have + room > max)
		return false;
	want = max - room - have;
	for (i = 0; i + 1 < want; i += 2)
		if (mprotect(m->area + PAGES(i + 1), PAGE, PROT_READ))
			return false;
	if (i < want)	/* one more: the last one ends at the area's end */
		return !mprotect(m->area + m->bytes - PAGE, PAGE, PROT_READ);
	return true;
}

static inline void maps_release(struct maps_full *m)
{
	munmap(m->area, m->bytes);
	if (m->was)
		set_max_map_count(m->was);
}

#endif
