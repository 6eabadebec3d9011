// SPDX-License-Identifier: GPL-2.0-only
/*
 * How do I grow a file mapping without moving it and without refaulting the
 * pages that are there?
 *
 * Three ways that refault nothing: reserve address space first; map past the
 * end and make the file longer; remap in place. Unmapping and mapping again
 * faults every piece of 16 pages anew.
 */
#include "rows.h"

#define OLD (512 * PAGE)
#define NEW (1024 * PAGE)

static struct ptf_map *map;
static char *p;

static void make(int fd, size_t length, struct ptf_map_options *o)
{
	o->size = sizeof(*o);
	if (answered("ptf_map_create()", ptf_map_create(PTF_MAP_WRITE, fd, 0, length, o, &map)))
		exit(1);
	p = ptf_map_data(map);
	faults_of_reading(p, OLD);	/* now they are there */
}

static void result(const char *way, long faults)
{
	printf("  %s: %ld refaults of 512 pages\n", way, faults);
}

int main(void)
{
	struct ptf_map_options o = { 0 };
	long faults;
	void *place;
	int fd;

	printf("1. Reserve address space when the map is made.\n");
	fd = temporary_file(OLD, 'a');
	o.reserve = 64UL << 20;
	make(fd, OLD, &o);
	fact(!ftruncate(fd, NEW), "the file grows");
	answered("ptf_map_grow()", ptf_map_grow(map, NEW));
	fact(ptf_map_data(map) == p, "the map did not move");
	faults = faults_of_reading(p, OLD);
	result("reserved", faults);
	fact(!faults, "nothing faults again");
	p[NEW - 1] = 1;
	rows("a new page:", p + NEW - PAGE, fd);
	ptf_map_destroy(map);
	close(fd);

	printf("2. Map past the end; then make the file longer.\n");
	fd = temporary_file(OLD, 'a');
	memset(&o, 0, sizeof(o));
	make(fd, NEW, &o);
	fact(ptf_copy_out(p + OLD, "x", 1, 0, NULL) == -EFAULT,
	     "behind the end is SIGBUS (here: EFAULT)");
	fact(!ftruncate(fd, NEW), "the file grows");
	faults = faults_of_reading(p, OLD);
	result("past the end", faults);
	fact(!faults, "nothing faults again");
	p[NEW - 1] = 1;
	ptf_map_destroy(map);
	close(fd);

	printf("3. Remap in place, if the address space behind is free.\n");
	fd = temporary_file(OLD, 'a');
	place = mmap(NULL, 2 * NEW, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	munmap(place, 2 * NEW);
	o.flags = PTF_MAP_F_FIXED;
	o.addr = place;
	make(fd, OLD, &o);
	fact(!ftruncate(fd, NEW), "the file grows");
	answered("ptf_map_grow()", ptf_map_grow(map, NEW));
	fact(ptf_map_data(map) == p, "the map did not move");
	faults = faults_of_reading(p, OLD);
	result("in place", faults);
	fact(!faults, "nothing faults again");
	p[NEW - 1] = 1;
	ptf_map_destroy(map);
	close(fd);

	printf("For comparison: unmap, and map again.\n");
	fd = temporary_file(NEW, 'a');
	memset(&o, 0, sizeof(o));
	make(fd, OLD, &o);
	ptf_map_destroy(map);
	if (ptf_map_create(PTF_MAP_WRITE, fd, 0, NEW, NULL, &map))
		return 1;
	faults = faults_of_reading(ptf_map_data(map), OLD);
	result("unmap and map", faults);
	fact(faults > 0, "that faults");
	ptf_map_destroy(map);
	close(fd);
	return wrong;
}
