/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the examples share: the three rows of an address, and checked facts.
 * With the module loaded the rows are the module's; without it they come from
 * /proc, which needs root to show frames.
 */
#ifndef ROWS_H
#define ROWS_H

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <ptefault.h>

#define PAGE ((size_t)4096)

static int wrong;	/* the example's exit status */

/* A sentence that has to be true. */
static inline void fact(bool is_so, const char *sentence)
{
	printf("  %s %s\n", is_so ? "yes:" : "NO: ", sentence);
	if (!is_so)
		wrong = 1;
}

/* What a library call answered, with its own words if it failed. */
static inline int answered(const char *call, int ret)
{
	char text[512];

	if (ret < 0) {
		ptf_failure_text(text, sizeof(text));
		printf("  %s: %s\n", call, text);
	} else {
		printf("  %s: 0\n", call);
	}
	return ret;
}

static inline uint64_t pagemap_word(const void *p)
{
	uint64_t word = 0;
	int fd = open("/proc/self/pagemap", O_RDONLY);

	if (fd < 0 || pread(fd, &word, 8, (off_t)((uintptr_t)p / PAGE * 8)) != 8)
		word = 0;
	if (fd >= 0)
		close(fd);
	return word;
}

static inline void show_frame(uint64_t word)
{
	if (word >> 63 && word & ((1ULL << 55) - 1))
		printf("PA:0x%" PRIx64 "\n", (uint64_t)((word & ((1ULL << 55) - 1)) * PAGE));
	else
		printf("%s\n", word >> 63 ? "a frame (root sees which)" :
		       word >> 58 & 1 ? "guard" :	/* since 6.14 */
		       word >> 62 & 1 ? "swap or a marker" : "nothing");
}

/* The filemap row: is this page of the file in the page cache, and where? */
static inline void show_filemap(const char *name, int fd, uint64_t offset)
{
	uint64_t cached = 0;
	void *look;

	printf("    Filemap: %s:0x%" PRIx64 " -> ", name, offset);
	if (ptf_file_cached(fd, offset, PAGE, &cached) || !cached) {
		printf("nothing\n");
		return;
	}
	look = mmap(NULL, PAGE, PROT_READ, MAP_SHARED | MAP_POPULATE, fd, (off_t)offset);
	show_frame(look == MAP_FAILED ? 1ULL << 63 : pagemap_word(look));
	if (look != MAP_FAILED)
		munmap(look, PAGE);
}

/* The rows of the page at p; fd is the file that is mapped there, or -1. */
static inline void rows(const char *when, const void *p, int fd)
{
	static struct ptf_session *session;
	static bool tried;
	struct ptf_vma_entry e;
	char name[256];

	if (!tried && ptf_session_open(NULL, &session))
		session = NULL;
	tried = true;
	printf("  %s\n", when);
	if (session) {
		uint64_t at = (uintptr_t)p;

		fflush(stdout);
		ptf_session_dump(session, NULL, at, at + PAGE, PTF_QUERY_F_HOLES, stdout);
		return;
	}
	if (ptf_vma_at(0, (uintptr_t)p, 0, &e, name, sizeof(name))) {
		printf("    VMA: VA:%p -> nothing\n", p);
	} else {
		printf("    VMA: VA:%p -> %s:0x%" PRIx64 " (%s)\n", p,
		       *name ? name : "anonymous",
		       e.inode ? e.offset + ((uintptr_t)p - e.start) : 0,
		       e.shared ? "shared" : "private");
		if (e.inode && fd >= 0)
			show_filemap(name, fd, e.offset + ((uintptr_t)p - e.start));
	}
	printf("    PTE: VA:%p -> ", p);
	show_frame(pagemap_word(p));
}

static inline long minor_faults(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return u.ru_minflt;
}

/* Read every page once; how many faults did that take? */
static inline long faults_of_reading(const volatile char *p, size_t bytes)
{
	long before = minor_faults();
	size_t i;

	for (i = 0; i < bytes; i += PAGE)
		(void)p[i];
	return minor_faults() - before;
}

static inline int temporary_file(size_t bytes, char fill)
{
	char path[] = "/tmp/ptefault-example-XXXXXX", *page;
	int fd = mkstemp(path);
	size_t i;

	page = malloc(PAGE);
	if (fd < 0 || !page) {
		perror(path);
		exit(1);
	}
	unlink(path);
	memset(page, fill, PAGE);
	for (i = 0; i < bytes; i += PAGE)
		if (write(fd, page, PAGE) != (ssize_t)PAGE)
			exit(1);
	free(page);
	return fd;
}

#endif
