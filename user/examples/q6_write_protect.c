// SPDX-License-Identifier: GPL-2.0-only
/*
 * How do I write-protect everything writable but the stack, and list what is
 * written? And what has mprotect() done when it fails over a hole?
 *
 * The first part watches another process, a child here, with the kernel's own
 * soft-dirty bits: "4" into /proc/PID/clear_refs write-protects all of it, and
 * bit 55 of /proc/PID/pagemap tells which pages have been written since.
 */
#include <sys/wait.h>

#include "rows.h"

static char *heap;

static void child(int go, int done)
{
	char c;

	/* The pages are there before the watch begins. */
	memset(heap, 'x', 64 * PAGE);
	if (write(done, "r", 1) != 1 || read(go, &c, 1) != 1)
		_exit(1);
	heap[3 * PAGE] = 1;
	heap[5 * PAGE + 4095] = 1;
	heap[40 * PAGE + 17] = 1;
	if (heap[20 * PAGE] != 'x')	/* only read */
		_exit(1);
	if (write(done, "w", 1) != 1 || read(go, &c, 1) != 1)
		_exit(1);
	_exit(0);
}

static bool clear_refs(pid_t pid)
{
	char path[64];
	bool ok;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/clear_refs", pid);
	fd = open(path, O_WRONLY);
	ok = fd >= 0 && write(fd, "4", 1) == 1;
	if (fd >= 0)
		close(fd);
	return ok;
}

/* Not all kernels have the bits (CONFIG_MEM_SOFT_DIRTY). */
static bool soft_dirty_works(void)
{
	volatile char *p = mmap(NULL, PAGE, PROT_READ | PROT_WRITE,
				MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	bool clean;

	p[0] = 1;
	if (!clear_refs(getpid()))
		return false;
	clean = !(pagemap_word((char *)p) >> 55 & 1);
	p[0] = 2;
	return clean && pagemap_word((char *)p) >> 55 & 1;
}

/* Every page written in every writable mapping but the stack. */
static int list_written(pid_t pid, bool *in_heap)
{
	const struct ptf_vma_entry *e;
	struct ptf_vma_list *list;
	char path[64];
	uint64_t at, word;
	int fd, others = 0;
	size_t i;

	snprintf(path, sizeof(path), "/proc/%d/pagemap", pid);
	fd = open(path, O_RDONLY);
	if (fd < 0 || ptf_vma_list_create(pid, &list))
		return -1;
	for (i = 0; (e = ptf_vma_list_at(list, i)); i++) {
		if (!(e->prot & PROT_WRITE) || !strcmp(e->name, "[stack]"))
			continue;
		for (at = e->start; at < e->end; at += PAGE) {
			/* Written, and there: present or swapped. */
			if (pread(fd, &word, 8, (off_t)(at / PAGE * 8)) != 8 ||
			    !(word >> 55 & 1) || !(word >> 62))
				continue;
			if (at >= (uintptr_t)heap && at < (uintptr_t)heap + 64 * PAGE) {
				printf("  written: VA:0x%" PRIx64 " (page %" PRIu64 " of ours)\n",
				       at, (at - (uintptr_t)heap) / PAGE);
				in_heap[(at - (uintptr_t)heap) / PAGE] = true;
			} else {
				others++;
			}
		}
	}
	ptf_vma_list_destroy(list);
	close(fd);
	return others;
}

static void watch(void)
{
	int go[2], done[2], i, status, others;
	bool seen[64] = { false }, right = true;
	pid_t pid;
	char c;

	heap = mmap(NULL, 64 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	madvise(heap, 64 * PAGE, MADV_NOHUGEPAGE);
	if (heap == MAP_FAILED || pipe(go) || pipe(done))
		exit(1);
	pid = fork();
	if (!pid)
		child(go[0], done[1]);
	fact(read(done[0], &c, 1) == 1, "the child is ready");
	if (!clear_refs(pid)) {
		printf("  /proc/PID/clear_refs can't be written here\n");
		wrong = 1;
	}
	fact(write(go[1], "g", 1) == 1 && read(done[0], &c, 1) == 1, "it has written three pages");
	others = list_written(pid, seen);
	fact(others >= 0, "its pagemap can be read");
	printf("  and %d pages of its libraries and its heap\n", others);
	for (i = 0; i < 64; i++)
		right &= seen[i] == (i == 3 || i == 5 || i == 40);
	fact(right, "exactly the pages 3, 5 and 40 of ours are listed");
	if (write(go[1], "g", 1) != 1)
		exit(1);
	waitpid(pid, &status, 0);
	fact(!status, "the child noticed nothing");
}

static void hole(void)
{
	char *p = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct ptf_vma_entry e;

	munmap(p + 2 * PAGE, PAGE);
	fact(mprotect(p, 4 * PAGE, PROT_READ) == -1, "mprotect() over a hole fails (ENOMEM)");
	fact(!ptf_vma_at(0, (uintptr_t)p + PAGE, 0, &e, NULL, 0) && e.prot == PROT_READ,
	     "what stands before the hole is protected by then");
	fact(!ptf_vma_at(0, (uintptr_t)p + 3 * PAGE, 0, &e, NULL, 0) &&
	     e.prot == (PROT_READ | PROT_WRITE), "what stands behind it is not");
}

int main(void)
{
	printf("Watching a process: everything writable but the stack.\n");
	if (soft_dirty_works())
		watch();
	else
		printf("  this kernel has no soft-dirty bits, or they are root's; the module can: ptefault track\n");
	printf("mprotect() over a hole.\n");
	hole();
	return wrong;
}
