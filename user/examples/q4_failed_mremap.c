// SPDX-License-Identifier: GPL-2.0-only
/*
 * In which state is memory after a failed mremap()?
 *
 * Without MREMAP_FIXED the old mapping is whole. With it, older kernels (6.1)
 * have already unmapped the destination and the source's tail when they find
 * out; newer ones have done nothing. ptf_map_remap() leaves the map whole on
 * all of them.
 */
#define _GNU_SOURCE 1
#include "rows.h"

static bool is_mapped(const void *p)
{
	struct ptf_vma_entry e;

	return !ptf_vma_at(0, (uintptr_t)p, 0, &e, NULL, 0);
}

int main(void)
{
	struct ptf_map *map;
	char *src, *dst;
	void *ret;

	printf("Without MREMAP_FIXED: in place, with something in the way.\n");
	src = mmap(NULL, 8 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	memset(src, 'x', 8 * PAGE);
	mprotect(src + 4 * PAGE, 4 * PAGE, PROT_READ);
	ret = mremap(src, 4 * PAGE, 6 * PAGE, 0);
	fact(ret == MAP_FAILED, "it fails");
	fact(src[0] == 'x' && src[4 * PAGE - 1] == 'x', "the old mapping is whole");
	fact(src[4 * PAGE] == 'x', "and so is what was in the way");
	munmap(src, 8 * PAGE);

	printf("With MREMAP_FIXED, shorter, from a source that is two mappings.\n");
	src = mmap(NULL, 8 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	dst = mmap(NULL, 8 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	memset(src, 'x', 8 * PAGE);
	memset(dst, 'd', 8 * PAGE);
	mprotect(src, PAGE, PROT_READ);
	ret = mremap(src, 8 * PAGE, 4 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, dst);
	if (ret == MAP_FAILED) {
		rows("the source:", src, -1);
		rows("its tail:", src + 4 * PAGE, -1);
		rows("the destination:", dst, -1);
		fact(is_mapped(src) && src[0] == 'x' && src[4 * PAGE - 1] == 'x',
		     "the source's head is there");
		if (!is_mapped(dst))
			printf("  this kernel had unmapped the destination%s\n",
			       is_mapped(src + 4 * PAGE) ? "" : " and the source's tail");
		else
			printf("  this kernel had done nothing\n");
		fact(is_mapped(dst) == is_mapped(src + 4 * PAGE),
		     "both are gone (older kernels) or both are there (newer ones)");
	} else {
		printf("  this kernel moves several mappings at once\n");
		fact(dst[0] == 'x', "they are at the destination");
	}

	printf("ptf_map_remap(), the same: the map stays whole on every kernel.\n");
	if (ptf_map_create(PTF_MAP_ANON, -1, 0, 8 * PAGE, NULL, &map))
		return 1;
	src = ptf_map_data(map);
	memset(src, 'x', 8 * PAGE);
	dst = mmap(NULL, 8 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	memset(dst, 'd', 8 * PAGE);
	answered("ptf_map_remap(shorter, FIXED)",
		 ptf_map_remap(map, 4 * PAGE, PTF_REMAP_F_FIXED, dst));
	fact(ptf_map_data(map) == src && ptf_map_length(map) == 8 * PAGE,
	     "the map is where and what it was");
	fact(src[0] == 'x' && src[8 * PAGE - 1] == 'x', "with its content");
	fact(dst[0] == 'd' && dst[8 * PAGE - 1] == 'd', "and what was in the way is untouched");
	munmap(dst, 8 * PAGE);
	answered("ptf_map_remap(), the way free",
		 ptf_map_remap(map, 4 * PAGE, PTF_REMAP_F_FIXED, dst));
	fact(ptf_map_data(map) == dst && dst[4 * PAGE - 1] == 'x' && !is_mapped(src + 4 * PAGE),
	     "then it moves, and the tail is gone");
	ptf_map_destroy(map);
	return wrong;
}
