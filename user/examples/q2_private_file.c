// SPDX-License-Identifier: GPL-2.0-only
/*
 * What does a private mapping show when someone else writes the file?
 *
 * A page that was never written here follows the file. A page that was copied,
 * by a write, by POPULATE_WRITE or by mlock(), does not. DONTNEED goes back to
 * the file. Truncation kills even the copy.
 */
#include "rows.h"

int main(void)
{
	int fd = temporary_file(4 * PAGE, 'a');
	struct ptf_map *map;
	char c, *p;

	if (ptf_map_create(PTF_MAP_COPY, fd, 0, 4 * PAGE, NULL, &map))
		return 1;
	p = ptf_map_data(map);

	printf("A page that was only read follows the file.\n");
	fact(p[0] == 'a', "it shows the file");
	rows("read, not written:", p, fd);
	fact(pwrite(fd, "b", 1, 0) == 1, "someone writes the file");
	fact(p[0] == 'b', "and the mapping shows what was written");

	printf("A page that was written here is a copy: the PTE row has another frame.\n");
	p[1] = 'z';
	rows("written:", p, fd);
	fact(pwrite(fd, "c", 1, 0) == 1, "someone writes the file again");
	fact(p[0] == 'b', "the copy stays as it was");
	fact(pread(fd, &c, 1, 1) == 1 && c == 'a', "and the file never got our write");

	printf("POPULATE_WRITE copies as well, and so does mlock() of a writable mapping.\n");
	fact(!ptf_map_populate_range(map, PAGE, PAGE, 1), "POPULATE_WRITE on the second page");
	fact(!ptf_map_lock_range(map, 2 * PAGE, PAGE, 0), "mlock() of the third");
	rows("populated:", p + PAGE, fd);
	fact(pwrite(fd, "d", 1, PAGE) == 1 && pwrite(fd, "d", 1, 2 * PAGE) == 1 &&
	     pwrite(fd, "d", 1, 3 * PAGE) == 1, "someone writes pages two, three and four");
	fact(p[PAGE] == 'a' && p[2 * PAGE] == 'a', "two and three are copies");
	fact(p[3 * PAGE] == 'd', "the fourth follows");

	printf("DONTNEED drops the copy: back to the file.\n");
	ptf_map_advise_range_unchecked(map, 0, PAGE, PTF_MADV_DONTNEED);
	rows("after DONTNEED:", p, fd);
	fact(p[0] == 'c' && p[1] == 'a', "the file's content shows again");

	printf("Truncation kills even the copy.\n");
	p[0] = 'y';
	fact(!ftruncate(fd, 0), "the file is cut to nothing");
	rows("after ftruncate(0):", p, fd);
	fact(ptf_copy_in(&c, p, 1, 0, NULL) == -EFAULT, "an access is SIGBUS (here: EFAULT)");
	fact(!ptf_vma_at(0, (uintptr_t)p, 0, &(struct ptf_vma_entry){ 0 }, NULL, 0),
	     "while the VMA row still stands");
	ptf_map_destroy(map);
	close(fd);
	return wrong;
}
