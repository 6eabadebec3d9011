// SPDX-License-Identifier: GPL-2.0-only
/*
 * The unaware program of the demonstration: three pages, touched on command.
 * It knows nothing of ptefault; it only counts the faults that it takes.
 *
 *	shared ADDR, private ADDR, anon ADDR	said once, at the start
 *	read NAME				-> NAME MINOR MAJOR TEXT
 *	write NAME TEXT				-> NAME MINOR MAJOR TEXT
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

static const char *const names[] = { "shared", "private", "anon" };
static char *pages[3];

static void die(const char *what)
{
	perror(what);
	exit(1);
}

/* One page by itself: its neighbours are reserved, so no mapping joins it. */
static char *alone(int flags, int fd, off_t offset)
{
	size_t page = getpagesize();
	char *room = mmap(NULL, 3 * page, PROT_NONE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *p;

	if (room == MAP_FAILED)
		die("mmap");
	p = mmap(room + page, page, PROT_READ | PROT_WRITE, flags | MAP_FIXED,
		 fd, offset);
	if (p == MAP_FAILED)
		die("mmap");
	return p;
}

/* Read a byte that the compiler must not know. */
static void touch(const char *p)
{
	asm volatile("" : : "r"(*p));
}

static void report(int i, const struct rusage *before)
{
	struct rusage after;

	getrusage(RUSAGE_SELF, &after);
	printf("%s %ld %ld %s\n", names[i],
	       after.ru_minflt - before->ru_minflt,
	       after.ru_majflt - before->ru_majflt, pages[i]);
}

int main(int argc, char **argv)
{
	char line[256], verb[16], name[16], text[200];
	size_t page = getpagesize();
	struct rusage before;
	int fd;

	if (argc != 2)
		return 2;
	fd = open(argv[1], O_RDWR | O_CREAT | O_TRUNC, 0600);
	if (fd < 0 || ftruncate(fd, 2 * page))
		die(argv[1]);
	if (pwrite(fd, "a page of a file, shared", 24, 0) != 24 ||
	    pwrite(fd, "a page of a file, private", 25, page) != 25)
		die(argv[1]);
	pages[0] = alone(MAP_SHARED, fd, 0);
	pages[1] = alone(MAP_PRIVATE, fd, page);
	pages[2] = alone(MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	snprintf(pages[2], page, "a page of memory, anonymous");
	touch(pages[0]);
	touch(pages[1]);
	setvbuf(stdout, NULL, _IOLBF, 0);
	for (int i = 0; i < 3; i++)
		printf("%s %p\n", names[i], pages[i]);
	while (fgets(line, sizeof(line), stdin)) {
		text[0] = 0;
		if (sscanf(line, "%15s %15s %199[^\n]", verb, name, text) < 2)
			continue;
		for (int i = 0; i < 3; i++) {
			if (strcmp(name, names[i]))
				continue;
			getrusage(RUSAGE_SELF, &before);
			if (!strcmp(verb, "write"))
				snprintf(pages[i], page, "%s", text);
			else
				touch(pages[i]);
			report(i, &before);
		}
	}
	return 0;
}
