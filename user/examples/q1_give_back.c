// SPDX-License-Identifier: GPL-2.0-only
/*
 * How do I give pages back without unmapping them or writing them to swap, and
 * how does a later read answer?
 *
 * Four ways: DONTNEED, FREE, mapping anew, and a guard.
 */
#include "rows.h"

static struct ptf_map *map;
static volatile char *p;

static void fill(void)
{
	memset((char *)p, 'x', 16 * PAGE);
}

static uint64_t rss_of(void)
{
	struct ptf_usage u = { .size = sizeof(u) };

	ptf_usage_get(0, &u);
	return u.rss_bytes;
}

int main(void)
{
	struct ptf_map_options again = { .size = sizeof(again) };
	struct ptf_map *other;
	uint64_t before;
	char c;

	if (ptf_map_create(PTF_MAP_ANON, -1, 0, 1024 * PAGE, NULL, &map))
		return 1;
	p = ptf_map_data(map);
	ptf_map_advise(map, PTF_MADV_NOHUGEPAGE);

	printf("DONTNEED: the pages go at once; reading finds zero, with a minor fault.\n");
	memset((char *)p, 'x', 1024 * PAGE);
	rows("before:", (char *)p, -1);
	before = rss_of();
	fact(ptf_map_advise(map, PTF_MADV_DONTNEED) == -EPERM,
	     "the checked call refuses it, since content goes");
	answered("ptf_map_advise_unchecked(DONTNEED)",
		 ptf_map_advise_unchecked(map, PTF_MADV_DONTNEED));
	rows("after:", (char *)p, -1);
	fact(rss_of() + 900 * PAGE < before, "the process is some 4 MiB smaller");
	fact(faults_of_reading(p, 16 * PAGE) == 16, "each first read is one fault");
	fact(p[0] == 0 && p[15 * PAGE] == 0, "and finds zero");

	printf("FREE: the kernel may take them later; until then reading finds the old content.\n");
	fill();
	answered("ptf_map_advise_unchecked(FREE)",
		 ptf_map_advise_unchecked(map, PTF_MADV_FREE));
	rows("after:", (char *)p, -1);
	fact(p[0] == 'x' || p[0] == 0, "a read finds the old content or zero, nothing else");
	p[0] = 'y';
	fact(p[0] == 'y', "a write takes the page back for good");

	printf("Mapping anew at the same place: as DONTNEED, and the VMA is a new one.\n");
	fill();
	again.flags = PTF_MAP_F_FIXED | PTF_MAP_F_REPLACE;
	again.addr = (char *)p;
	answered("ptf_map_create(FIXED | REPLACE)",
		 ptf_map_create(PTF_MAP_ANON, -1, 0, PAGE, &again, &other));
	rows("after:", (char *)p, -1);
	fact(p[0] == 0, "a read finds zero");
	fact(p[PAGE] == 'x', "the page behind is untouched");
	ptf_map_release(other, NULL, NULL);

	printf("A guard: the page goes, and an access is SIGSEGV until the guard is taken away.\n");
	if (!ptf_advice_probe(PTF_MADV_GUARD_INSTALL)) {
		printf("  this kernel has no guards (6.13 and later)\n");
	} else {
		fill();
		answered("ptf_advise_unchecked(GUARD_INSTALL)",
			 ptf_advise_unchecked((char *)p, PAGE, PTF_MADV_GUARD_INSTALL));
		rows("after:", (char *)p, -1);
		fact(ptf_copy_in(&c, (char *)p, 1, 0, NULL) == -EFAULT, "an access fails");
		ptf_advise((char *)p, PAGE, PTF_MADV_GUARD_REMOVE);
		fact(p[0] == 0, "after GUARD_REMOVE a read finds zero");
	}
	ptf_map_destroy(map);
	return wrong;
}
