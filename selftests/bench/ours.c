// SPDX-License-Identifier: GPL-2.0-only
/* What /dev/ptefault costs. Always through the ioctl, as any program would. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/ptefault.h>

#include "bench.h"

#define BULK	16384UL		/* pages */

static int fd;
static char *mem;
static struct ptf_ioc_range_advise advise;
static struct ptf_ioc_range_query query;
static struct ptf_ioc_page_walk walk;
static struct ptf_row *rows;
static struct ptf_vma vmas[16];
static char names[4096];

static void do_advise(unsigned int advice)
{
	advise.advice = advice;
	if (ioctl(fd, PTF_IOC_RANGE_ADVISE, &advise))
		bench_skip("advice 0x%x: %s", advice, strerror(errno));
}

static void set_range(size_t pages)
{
	advise.size = sizeof(advise);
	advise.start = (uintptr_t)mem;
	advise.end = advise.start + pages * BENCH_PAGE;
}

static void clear(int n)
{
	while (n--)
		do_advise(PTF_ADV_NOTPRESENT);
}

static void clear_touch(int n)
{
	while (n--) {
		do_advise(PTF_ADV_NOTPRESENT);
		bench_touch(mem);
	}
}

static void clear_restore(int n)
{
	while (n--) {
		do_advise(PTF_ADV_NOTPRESENT);
		do_advise(PTF_ADV_PRESENT);
	}
}

static void do_query(int n)
{
	query.start = (uintptr_t)mem;
	query.end = query.start + n * BENCH_PAGE;
	if (ioctl(fd, PTF_IOC_RANGE_QUERY, &query) || query.out_next != query.end)
		bench_skip("query: %s", strerror(errno));
}

static void query_one(int n)
{
	while (n--)
		do_query(1);
}

static void walk_one(int n)
{
	while (n--) {
		walk.addr = (uintptr_t)mem;
		if (ioctl(fd, PTF_IOC_PAGE_WALK, &walk))
			bench_skip("walk: %s", strerror(errno));
	}
}

/* A touch of each page; the first @n pages were cleared. */
static void touch_all(int n)
{
	while (n--)
		bench_touch(mem + n * BENCH_PAGE);
}

static void prepare_query(size_t pages)
{
	rows = calloc(pages, sizeof(*rows));
	if (!rows)
		bench_skip("no memory");
	/* mapped and written before it is measured */
	memset(rows, 1, pages * sizeof(*rows));
	query = (struct ptf_ioc_range_query){
		.size = sizeof(query),
		.rows = (uintptr_t)rows, .nr_rows = pages, .row_size = sizeof(*rows),
		.vmas = (uintptr_t)vmas, .nr_vmas = 16, .vma_size = sizeof(vmas[0]),
		.names = (uintptr_t)names, .names_size = sizeof(names),
	};
}

void ours_one(void)
{
	int m;

	fd = bench_open_module();
	mem = bench_memory(16, PROT_READ | PROT_WRITE, MAP_PRIVATE, -1);
	set_range(1);
	bench_result("clear_refault_one", bench_best(200, 10, NULL, clear_touch));
	bench_note("clear_refault_one", "anonymous");
	bench_result("refault_one", bench_best(200, 1, clear, touch_all));
	bench_note("refault_one", "of that, the kernel's own heal");
	bench_result("clear_restore_one", bench_best(200, 10, NULL, clear_restore));
	bench_note("clear_restore_one", "put back by advice, no fault");

	m = bench_memfd(16);
	mem = bench_memory(16, PROT_READ | PROT_WRITE, MAP_SHARED, m);
	set_range(1);
	bench_result("clear_refault_memfd_one", bench_best(200, 10, NULL, clear_touch));

	prepare_query(16);
	bench_result("query_one", bench_best(200, 10, NULL, query_one));
	bench_note("query_one", "VMA with name, filemap and PTE row");
	walk.size = sizeof(walk);
	bench_result("walk_one", bench_best(200, 10, NULL, walk_one));
	bench_note("walk_one", "all levels, and the rows");
}

static void stash_touch(int n)
{
	while (n--) {
		do_advise(PTF_ADV_STASH);
		bench_touch(mem);
	}
}

static char *fresh;

static void fresh_drop(int n)
{
	madvise(fresh, n * BENCH_PAGE, MADV_DONTNEED);
}

static void fresh_touch(int n)
{
	while (n--)
		*(volatile char *)(fresh + n * BENCH_PAGE) = 1;
}

/* The fault hook: what it costs, and what it saves. */
void ours_hook(void)
{
	double idle, armed;
	int ready[2];
	pid_t pid;
	char c;

	fresh = bench_memory(64, PROT_READ | PROT_WRITE, MAP_PRIVATE, -1);
	idle = bench_best(100, 64, fresh_drop, fresh_touch);
	if (pipe(ready))
		bench_skip("pipe: %s", strerror(errno));
	pid = fork();
	if (!pid) {
		/* somebody else, who has the hook set and a page stashed */
		fd = bench_open_module();
		mem = bench_memory(16, PROT_READ | PROT_WRITE, MAP_PRIVATE, -1);
		set_range(1);
		advise.advice = PTF_ADV_STASH;
		if (!ioctl(fd, PTF_IOC_RANGE_ADVISE, &advise) && write(ready[1], "", 1) == 1)
			pause();
		_exit(0);
	}
	close(ready[1]);
	if (pid < 0 || read(ready[0], &c, 1) != 1)
		bench_skip("hook_unarmed_percent: nothing can be stashed here");
	armed = bench_best(100, 64, fresh_drop, fresh_touch);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	bench_result("anon_fault_one", idle);
	bench_note("anon_fault_one", "first touch of a page, nothing armed anywhere");
	bench_result("hook_unarmed_percent", (armed - idle) / idle * 100);
	bench_note("hook_unarmed_percent", "more for it while somebody else has a page stashed");

	fd = bench_open_module();
	mem = bench_memory(16, PROT_READ | PROT_WRITE, MAP_PRIVATE, -1);
	set_range(1);
	bench_result("stash_refault_one", bench_best(100, 10, NULL, stash_touch));
	bench_note("stash_refault_one", "the entry gone, and put back by the hook");
	advise.flags = PTF_ADVISE_F_GUP;
	bench_result("clear_refault_gup_one", bench_best(100, 10, NULL, clear_touch));
	bench_note("clear_refault_gup_one", "the kernel's own accesses fault too");
}

static void before_clear(int n)
{
	do_advise(PTF_ADV_PRESENT);
}

static void before_present(int n)
{
	do_advise(PTF_ADV_NOTPRESENT);
}

static void bulk_clear(int n)
{
	do_advise(PTF_ADV_NOTPRESENT);
}

static void bulk_present(int n)
{
	do_advise(PTF_ADV_PRESENT);
}

void ours_bulk(void)
{
	int m;

	fd = bench_open_module();
	mem = bench_memory(BULK, PROT_READ | PROT_WRITE, MAP_PRIVATE, -1);
	set_range(BULK);
	bench_result("clear_bulk_per_page", bench_best(5, BULK, before_clear, bulk_clear));
	bench_note("clear_bulk_per_page", "anonymous, %lu pages", BULK);
	bench_result("present_bulk_per_page", bench_best(5, BULK, before_present, bulk_present));
	bench_result("refault_bulk_per_page", bench_best(3, BULK, before_present, touch_all));
	munmap(mem, BULK * BENCH_PAGE);

	m = bench_memfd(BULK);
	mem = bench_memory(BULK, PROT_READ | PROT_WRITE, MAP_SHARED, m);
	set_range(BULK);
	bench_result("clear_bulk_memfd_per_page", bench_best(5, BULK, before_clear, bulk_clear));
}

static void query_bulk(const char *name, unsigned int flags, const char *memory)
{
	query.flags = flags;
	bench_result(name, bench_best(4, BULK, NULL, do_query));
	bench_note(name, "%s, %llu rows", memory, (unsigned long long)query.out_rows);
}

void ours_query(void)
{
	const char *path = "/scratch/ptefault-bench";
	unsigned int i;
	int m;

	fd = bench_open_module();
	prepare_query(BULK);

	/* an ordinary file in the page cache, mapped: VMA, filemap and PTE rows */
	m = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
	if (m < 0)
		bench_skip("%s: %s", path, strerror(errno));
	for (i = 0; i < BULK; i++)
		if (write(m, rows, BENCH_PAGE) != BENCH_PAGE)
			bench_skip("%s: %s", path, strerror(errno));
	mem = bench_memory(BULK, PROT_READ, MAP_SHARED, m);
	query_bulk("query_bulk_per_page", 0, "ext4 file, all three rows");
	query_bulk("query_bulk_pages_per_page", PTF_QUERY_F_PAGES, "the same, a row for each page");
	madvise(mem, BULK * BENCH_PAGE, MADV_DONTNEED);
	query_bulk("query_bulk_unmapped_per_page", 0, "the same, nothing mapped in");
	munmap(mem, BULK * BENCH_PAGE);
	unlink(path);
	close(m);

	m = bench_memfd(BULK);
	mem = bench_memory(BULK, PROT_READ | PROT_WRITE, MAP_SHARED, m);
	query_bulk("query_bulk_memfd_per_page", 0, "memfd");
	query_bulk("query_bulk_memfd_pages_per_page", PTF_QUERY_F_PAGES,
		   "memfd, a row for each page");
	munmap(mem, BULK * BENCH_PAGE);
	close(m);

	mem = bench_memory(BULK, PROT_READ | PROT_WRITE, MAP_PRIVATE, -1);
	query_bulk("query_bulk_anon_per_page", 0, "anonymous");
	query_bulk("query_bulk_anon_pages_per_page", PTF_QUERY_F_PAGES,
		   "anonymous, a row for each page");
	/* no run is longer than one page */
	set_range(1);
	for (i = 0; i < BULK; i += 2) {
		advise.start = (uintptr_t)mem + i * BENCH_PAGE;
		advise.end = advise.start + BENCH_PAGE;
		do_advise(PTF_ADV_NOTPRESENT);
	}
	query_bulk("query_bulk_mixed_per_page", 0, "anonymous, every second page cleared");
}
