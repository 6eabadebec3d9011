// SPDX-License-Identifier: GPL-2.0-only
/*
 * Every advice of the module on every kind of memory, as one table: what the
 * call answers, what the row is then, what the next read, write and access of
 * the kernel (GUP) do, what the row is after that, that the content is the same,
 * and that what undoes it does.
 *
 * And one by one what a table can't hold: ZAP, MIGRATE, UNSHARE, SPLIT,
 * UNMAP_FILE_COW in their details.
 */
/* vm: default */
/* vm: --numa 2 */
/* vm: --no-swap */
/* timeout: 900 */
#include "ptf_test.h"

#include <setjmp.h>
#include <sys/shm.h>
#include <sys/uio.h>

#include <ptefault/advise.h>
#include <ptefault/range.h>
#include <ptefault/session.h>

#include "modules/ptftest.h"

#define NR	4
#define SEED	31

/* ------------------------------------------------------------------ */
/* Kinds of memory                                                     */

enum kind {
	ANON, FORKED, COWED, EXT4_SHARED, EXT4_PRIVATE, EXT4_COPIED, TMPFS, MEMFD, SYSV,
	PTE_THP, PMD_THP, ZERO, SWAPPED, PROTNONE, HUGETLB, PFNMAP, VDSO, KINDS
};

struct mem {
	enum kind kind;
	char *p;
	size_t len;
	char *map;	/* what is unmapped at the end */
	size_t map_len;
	int file;
	pid_t child;
	__u64 sum;	/* of memory that can't be filled */
};

/* Two words tell each page, so that huge pages are cheap. */
static void fill_page(char *p, __u64 seed, size_t i)
{
	((volatile __u64 *)p)[0] = ptf_word(seed, i, 0);
	((volatile __u64 *)p)[511] = ptf_word(seed, i, 511);
}

static void fill(char *p, size_t len, __u64 seed)
{
	size_t i;

	for (i = 0; i < len / PAGE; i++)
		fill_page(p + PAGES(i), seed, i);
}

static bool holds(const char *p, size_t len, __u64 seed)
{
	size_t i;

	for (i = 0; i < len / PAGE; i++) {
		const volatile __u64 *w = (const void *)(p + PAGES(i));

		if (w[0] != ptf_word(seed, i, 0) || w[511] != ptf_word(seed, i, 511))
			return false;
	}
	return true;
}

static __u64 sum_of(const char *p, size_t len)
{
	__u64 sum = 0;
	size_t i;

	for (i = 0; i < len; i += 8)
		sum = sum * 31 + *(const volatile __u64 *)(p + i);
	return sum;
}

static int wait_for_ever(void *arg)
{
	for (;;)
		pause();
	return 0;
}

static int make_file(const char *dir)
{
	char path[128], page[PAGE] __attribute__((aligned(8)));
	size_t i;
	int fd;

	snprintf(path, sizeof(path), "%s/ptf-advice-XXXXXX", dir);
	fd = mkostemp(path, O_CLOEXEC);
	if (fd < 0)
		return -1;
	unlink(path);
	memset(page, 0, sizeof(page));
	for (i = NR; i--;) {
		fill_page(page, SEED, i);
		if (pwrite(fd, page, PAGE, i * PAGE) != PAGE)
			return -1;
	}
	/* clean, so that a write is a change */
	fsync(fd);
	return fd;
}

/* PMD leaf at p? */
static bool is_leaf(int fd, const char *p)
{
	struct ptf_ioc_page_walk walk;

	return !_test_cmd_page_walk(fd, &walk, 0, p) &&
	       walk.level[walk.out_nr - 1].level == PTF_LEVEL_PMD &&
	       walk.level[walk.out_nr - 1].flags & PTF_LEVEL_LEAF;
}

static bool map_thp(struct mem *m)
{
	m->map_len = 2 * HPAGE;
	m->map = mmap(NULL, m->map_len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		      0);
	if (m->map == MAP_FAILED)
		return false;
	m->p = (char *)(((uintptr_t)m->map + HPAGE - 1) & ~(HPAGE - 1));
	m->len = HPAGE;
	return !madvise(m->p, HPAGE, MADV_HUGEPAGE);
}

static bool find_vdso(struct mem *m)
{
	unsigned long s, e;
	char line[512];
	FILE *f = fopen("/proc/self/maps", "re");

	m->p = NULL;
	while (f && fgets(line, sizeof(line), f))
		if (strstr(line, "[vdso]") && sscanf(line, "%lx-%lx", &s, &e) == 2) {
			m->p = (char *)s;
			m->len = e - s;
		}
	if (f)
		fclose(f);
	return m->p;
}

static bool swap_out(int fd, char *p, size_t len)
{
	struct ptf_ioc_range_query q;
	struct ptf_row row[NR];
	unsigned int tries, i, n;

	for (tries = 0; tries < 100; tries++) {
		madvise(p, len, MADV_PAGEOUT);
		if (_test_cmd_range_query(fd, &q, 0, p, len, PTF_QUERY_F_PAGES, row, NR))
			return false;
		for (i = 0, n = 0; i < q.out_rows; i++)
			n += row[i].state == PTF_STATE_SWAP;
		if (n == len / PAGE)
			return true;
		usleep(5000);
	}
	return false;
}

/* Why there is no such memory here, or NULL. */
static const char *make(int fd, struct mem *m, enum kind kind)
{
	const int rw = PROT_READ | PROT_WRITE;
	int id;

	memset(m, 0, sizeof(*m));
	m->kind = kind;
	m->len = PAGES(NR);
	m->file = -1;
	switch (kind) {
	case EXT4_SHARED:
	case EXT4_PRIVATE:
	case EXT4_COPIED:
		if (!ptf_is_fs(PTF_SCRATCH, PTF_EXT4_MAGIC))
			return PTF_SCRATCH " is not ext4";
		m->file = make_file(PTF_SCRATCH);
		break;
	case TMPFS:
		if (!ptf_is_fs(PTF_SHM, PTF_TMPFS_MAGIC))
			return "no tmpfs at " PTF_SHM;
		m->file = make_file(PTF_SHM);
		break;
	case MEMFD:
		m->file = memfd_create("advice", MFD_CLOEXEC);
		if (ftruncate(m->file, m->len))
			return "no memfd";
		break;
	case PFNMAP:
		m->file = open(PTFTEST_DEV, O_RDWR | O_CLOEXEC);
		if (m->file < 0)
			return "no " PTFTEST_DEV;
		break;
	default:
		break;
	}
	switch (kind) {
	case ANON:
	case FORKED:
	case COWED:
	case SWAPPED:
	case PROTNONE:
	case ZERO:
		m->p = ptf_anon(m->len);
		break;
	case EXT4_SHARED:
	case TMPFS:
	case MEMFD:
		m->p = mmap(NULL, m->len, rw, MAP_SHARED, m->file, 0);
		break;
	case EXT4_PRIVATE:
	case EXT4_COPIED:
		m->p = mmap(NULL, m->len, rw, MAP_PRIVATE, m->file, 0);
		break;
	case SYSV:
		id = shmget(IPC_PRIVATE, m->len, IPC_CREAT | 0600);
		m->p = shmat(id, NULL, 0);
		shmctl(id, IPC_RMID, NULL);
		break;
	case PTE_THP:
	case PMD_THP:
		if (!map_thp(m))
			return "no transparent huge pages in this kernel";
		break;
	case HUGETLB:
		m->len = HPAGE;
		m->p = mmap(NULL, HPAGE, rw, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);
		if (m->p == MAP_FAILED)
			return "no huge page to be had";
		break;
	case PFNMAP:
		m->p = mmap(NULL, m->len, rw, MAP_SHARED, m->file, PTFTEST_MAP_FAULT);
		break;
	case VDSO:
		if (!find_vdso(m))
			return "no vdso";
		break;
	case KINDS:
		break;
	}
	if (m->p == MAP_FAILED || !m->p)
		return strerror(errno);
	if (!m->map && kind != VDSO) {
		m->map = m->p;
		m->map_len = m->len;
	}
	switch (kind) {
	case ZERO:
	case PFNMAP:
	case VDSO:
		m->sum = sum_of(m->p, m->len);
		break;
	case EXT4_PRIVATE:
		ptf_touch_all(m->p, m->len);
		break;
	default:
		fill(m->p, m->len, SEED);
	}
	switch (kind) {
	case FORKED:
		m->child = ptf_child(wait_for_ever, NULL);
		break;
	case COWED:
		/* what was shared with a child is written again: a copy of our own */
		m->child = ptf_child(wait_for_ever, NULL);
		fill(m->p, m->len, SEED);
		break;
	case PTE_THP:
		/* small entries, but still one folio */
		if (mprotect(m->p + PAGE, PAGE, PROT_READ) || mprotect(m->p + PAGE, PAGE, rw))
			return strerror(errno);
		madvise(m->p, m->len, MADV_NOHUGEPAGE);
		fill(m->p, m->len, SEED);
		if (is_leaf(fd, m->p))
			return "the huge page was not split";
		break;
	case PMD_THP:
		if (!is_leaf(fd, m->p))
			return "the kernel gave no huge page";
		break;
	case SWAPPED:
		if (!ptf_swap_free_kb())
			return "no swap";
		if (!swap_out(fd, m->p, m->len))
			return "the pages did not go to swap";
		break;
	case PROTNONE:
		mprotect(m->p, m->len, PROT_NONE);
		break;
	default:
		break;
	}
	return NULL;
}

static bool kept(struct mem *m)
{
	switch (m->kind) {
	case ZERO:
	case PFNMAP:
	case VDSO:
		return sum_of(m->p, m->len) == m->sum;
	case PROTNONE:
		mprotect(m->p, m->len, PROT_READ);
		break;
	default:
		break;
	}
	return holds(m->p, m->len, SEED);
}

static void destroy(struct mem *m)
{
	if (m->child > 0)
		ptf_kill(m->child);
	if (m->kind == SYSV)
		shmdt(m->p);
	else if (m->map)
		munmap(m->map, m->map_len);
	if (m->file >= 0)
		close(m->file);
}

/* ------------------------------------------------------------------ */
/* Accesses                                                            */

static sigjmp_buf escape;

static void on_signal(int sig)
{
	siglongjmp(escape, sig);
}

enum access { READ, WRITE, GUP };

/* '-' no fault, 'm' minor, 'M' major, 'B' SIGBUS, 'S' SIGSEGV, 'E' EFAULT */
static char try_access(char *p, enum access what, __u64 value)
{
	struct iovec local, remote = { p, 8 };
	volatile long min, maj;
	volatile bool fault = false;
	static __u64 buf;
	int sig;

	/* all that is used in between has been used before */
	min = ptf_minflt();
	maj = ptf_majflt();
	local = (struct iovec){ &buf, 8 };
	*(volatile __u64 *)&buf = 0;
	sig = sigsetjmp(escape, 1);
	if (sig)
		return sig == SIGBUS ? 'B' : 'S';
	min = ptf_minflt();
	maj = ptf_majflt();
	switch (what) {
	case READ:
		buf = *(volatile __u64 *)p;
		break;
	case WRITE:
		*(volatile __u64 *)p = value;
		break;
	case GUP:
		fault = process_vm_readv(getpid(), &local, 1, &remote, 1, 0) != 8;
		break;
	}
	min = ptf_minflt() - min;
	maj = ptf_majflt() - maj;
	if (fault)
		return 'E';
	return maj ? 'M' : min ? 'm' : '-';
}

static bool access_is(char want, char is)
{
	switch (want) {
	case 'f':
		return is == 'm' || is == 'M';
	case 'w':	/* newer kernels leave the first write to a fault */
		return is == '-' || is == 'm';
	case 'g':	/* since 6.6 GUP reads through hints, unless it is told not to */
		return is == (ptf_kernel_from(6, 6) ? '-' : 'm');
	}
	return want == is;
}

/* ------------------------------------------------------------------ */
/* The table                                                           */

/*
 * A cell: "=" the call answers 0 and changes nothing; a name: that errno, and
 * nothing is changed; else the row afterwards, and what read, write and GUP do:
 *
 *	H hint	T stashed  N none  W swap  P present
 *	R present, not writable		O present, not accessed
 *	A present, anonymous and our own	F present, another frame
 *
 * As to accesses see access_is().
 */
struct line {
	unsigned int advice;
	__u32 flags;
	unsigned int undo;
	char next;	/* row after the read, if not present: H */
	const char *cell[KINDS];
};

#define OPN	"EOPNOTSUPP"
#define BSY	"EBUSY"
#define ACC	"EACCES"
#define DAT	"ENODATA"
#define SPC	"ENOSPC"

/* No advice at all. A pin of a page that is shared after fork copies it first. */
static const char *const base[KINDS] = {
	[ANON] = "---", [FORKED] = "-mm", [COWED] = "---", [EXT4_SHARED] = "---",
	[EXT4_PRIVATE] = "-m-", [EXT4_COPIED] = "---", [TMPFS] = "---", [MEMFD] = "---",
	[SYSV] = "---", [PTE_THP] = "---", [PMD_THP] = "---", [ZERO] = "-m-",
	[SWAPPED] = "fff", [PROTNONE] = "SSE", [HUGETLB] = "---", [PFNMAP] = "--E",
	[VDSO] = "-S-",
};

#define NOWHERE	\
	[PROTNONE] = OPN, [HUGETLB] = OPN, [PFNMAP] = OPN, [VDSO] = OPN

static const struct line table[] = {
	{ PTF_ADV_NOTPRESENT, 0, PTF_ADV_PRESENT, 0, {
		[ANON] = "Hmmg", [FORKED] = "Hmmm", [COWED] = "Hmmg", [EXT4_SHARED] = "Hmmg",
		[EXT4_PRIVATE] = "Hmmg", [EXT4_COPIED] = "Hmmg", [TMPFS] = "Hmmg",
		[MEMFD] = "Hmmg", [SYSV] = "Hmmg", [PTE_THP] = "Hmmg", [PMD_THP] = OPN,
		[ZERO] = "Hmmg", [SWAPPED] = BSY, NOWHERE } },
	{ PTF_ADV_NOTPRESENT, PTF_ADVISE_F_GUP, PTF_ADV_PRESENT, 0, {
		[ANON] = "Hmmm", [FORKED] = "Hmmm", [COWED] = "Hmmm", [EXT4_SHARED] = "Hmmm",
		[EXT4_PRIVATE] = "Hmmm", [EXT4_COPIED] = "Hmmm", [TMPFS] = "Hmmm",
		[MEMFD] = "Hmmm", [SYSV] = "Hmmm", [PTE_THP] = "Hmmm", [PMD_THP] = OPN,
		[ZERO] = "Hmmm", [SWAPPED] = BSY, NOWHERE } },
	{ PTF_ADV_NOTPRESENT, PTF_ADVISE_F_PMD | PTF_ADVISE_F_GUP, PTF_ADV_PRESENT, 0, {
		[ANON] = "Hmmm", [FORKED] = "Hmmm", [COWED] = "Hmmm", [EXT4_SHARED] = "Hmmm",
		[EXT4_PRIVATE] = "Hmmm", [EXT4_COPIED] = "Hmmm", [TMPFS] = "Hmmm",
		[MEMFD] = "Hmmm", [SYSV] = "Hmmm", [PTE_THP] = "Hmmm", [PMD_THP] = "Hmmm",
		[ZERO] = "Hmmm", [SWAPPED] = BSY, NOWHERE } },
	{ PTF_ADV_NOTPRESENT, PTF_ADVISE_F_SPLIT | PTF_ADVISE_F_GUP, PTF_ADV_PRESENT, 0, {
		[ANON] = "Hmmm", [FORKED] = "Hmmm", [COWED] = "Hmmm", [EXT4_SHARED] = "Hmmm",
		[EXT4_PRIVATE] = "Hmmm", [EXT4_COPIED] = "Hmmm", [TMPFS] = "Hmmm",
		[MEMFD] = "Hmmm", [SYSV] = "Hmmm", [PTE_THP] = "Hmmm", [PMD_THP] = "Hmmm",
		[ZERO] = "Hmmm", [SWAPPED] = BSY, NOWHERE } },
	{ PTF_ADV_STASH, 0, PTF_ADV_PRESENT, 0, {
		[ANON] = "Tmmm", [FORKED] = "Tmmm", [COWED] = "Tmmm", [EXT4_SHARED] = "Tmmm",
		[EXT4_PRIVATE] = "Tmmm", [EXT4_COPIED] = "Tmmm", [TMPFS] = "Tmmm",
		[MEMFD] = "Tmmm", [SYSV] = "Tmmm", [PTE_THP] = "Tmmm", [PMD_THP] = OPN,
		[ZERO] = OPN, [SWAPPED] = BSY, NOWHERE } },
	{ PTF_ADV_STASH, PTF_ADVISE_F_SPLIT, PTF_ADV_PRESENT, 0, {
		[ANON] = "Tmmm", [FORKED] = "Tmmm", [COWED] = "Tmmm", [EXT4_SHARED] = "Tmmm",
		[EXT4_PRIVATE] = "Tmmm", [EXT4_COPIED] = "Tmmm", [TMPFS] = "Tmmm",
		[MEMFD] = "Tmmm", [SYSV] = "Tmmm", [PTE_THP] = "Tmmm", [PMD_THP] = "Tmmm",
		[ZERO] = OPN, [SWAPPED] = BSY, NOWHERE } },
	{ PTF_ADV_STICKY, PTF_ADVISE_F_GUP, PTF_ADV_RESET, 'H', {
		[ANON] = "Hmmm", [FORKED] = "Hmmm", [COWED] = "Hmmm", [EXT4_SHARED] = "Hmmm",
		[EXT4_PRIVATE] = "Hmmm", [EXT4_COPIED] = "Hmmm", [TMPFS] = "Hmmm",
		[MEMFD] = "Hmmm", [SYSV] = "Hmmm", [PTE_THP] = "Hmmm", [PMD_THP] = OPN,
		[ZERO] = "Hmmm", [SWAPPED] = BSY, NOWHERE } },
	{ PTF_ADV_POISON, 0, PTF_ADV_UNPOISON, 'H', {
		[ANON] = "HBBE", [FORKED] = "HBBE", [COWED] = "HBBE", [EXT4_SHARED] = "HBBE",
		[EXT4_PRIVATE] = "HBBE", [EXT4_COPIED] = "HBBE", [TMPFS] = "HBBE",
		[MEMFD] = "HBBE", [SYSV] = "HBBE", [PTE_THP] = "HBBE", [PMD_THP] = OPN,
		[ZERO] = "HBBE", [SWAPPED] = BSY, NOWHERE } },
	{ PTF_ADV_POISON, PTF_ADVISE_F_SPLIT, PTF_ADV_UNPOISON, 'H', {
		[ANON] = "HBBE", [FORKED] = "HBBE", [COWED] = "HBBE", [EXT4_SHARED] = "HBBE",
		[EXT4_PRIVATE] = "HBBE", [EXT4_COPIED] = "HBBE", [TMPFS] = "HBBE",
		[MEMFD] = "HBBE", [SYSV] = "HBBE", [PTE_THP] = "HBBE", [PMD_THP] = "HBBE",
		[ZERO] = "HBBE", [SWAPPED] = BSY, NOWHERE } },
	{ PTF_ADV_UNPOISON, 0, 0, 0, {
		[ANON] = "=", [FORKED] = "=", [COWED] = "=", [EXT4_SHARED] = "=",
		[EXT4_PRIVATE] = "=", [EXT4_COPIED] = "=", [TMPFS] = "=", [MEMFD] = "=",
		[SYSV] = "=", [PTE_THP] = "=", [PMD_THP] = "=", [ZERO] = "=",
		[SWAPPED] = BSY, NOWHERE } },
	{ PTF_ADV_PRESENT, 0, 0, 0, {
		[ANON] = "=", [FORKED] = "=", [COWED] = "=", [EXT4_SHARED] = "=",
		[EXT4_PRIVATE] = "=", [EXT4_COPIED] = "=", [TMPFS] = "=", [MEMFD] = "=",
		[SYSV] = "=", [PTE_THP] = "=", [PMD_THP] = "=", [ZERO] = "=",
		[SWAPPED] = BSY, NOWHERE } },
	{ PTF_ADV_WRPROTECT, 0, PTF_ADV_WRUNPROTECT, 0, {
		[ANON] = "R-m-", [FORKED] = "=", [COWED] = "R-m-", [EXT4_SHARED] = "R-m-",
		[EXT4_PRIVATE] = "=", [EXT4_COPIED] = "R-m-", [TMPFS] = "R-m-",
		[MEMFD] = "R-m-", [SYSV] = "R-m-", [PTE_THP] = "R-m-", [PMD_THP] = OPN,
		[ZERO] = "=", [SWAPPED] = BSY, NOWHERE } },
	{ PTF_ADV_WRPROTECT, PTF_ADVISE_F_PMD, 0, 0, {
		[ANON] = "R-m-", [FORKED] = "=", [COWED] = "R-m-", [EXT4_SHARED] = "R-m-",
		[EXT4_PRIVATE] = "=", [EXT4_COPIED] = "R-m-", [TMPFS] = "R-m-",
		[MEMFD] = "R-m-", [SYSV] = "R-m-", [PTE_THP] = "R-m-", [PMD_THP] = "R-m-",
		[ZERO] = "=", [SWAPPED] = BSY, NOWHERE } },
	{ PTF_ADV_WRPROTECT, PTF_ADVISE_F_SPLIT, PTF_ADV_WRUNPROTECT, 0, {
		[ANON] = "R-m-", [FORKED] = "=", [COWED] = "R-m-", [EXT4_SHARED] = "R-m-",
		[EXT4_PRIVATE] = "=", [EXT4_COPIED] = "R-m-", [TMPFS] = "R-m-",
		[MEMFD] = "R-m-", [SYSV] = "R-m-", [PTE_THP] = "R-m-", [PMD_THP] = "R-m-",
		[ZERO] = "=", [SWAPPED] = BSY, NOWHERE } },
	{ PTF_ADV_WRUNPROTECT, 0, 0, 0, {
		[ANON] = "=", [FORKED] = OPN, [COWED] = "=", [EXT4_SHARED] = "=",
		[EXT4_PRIVATE] = OPN, [EXT4_COPIED] = "=", [TMPFS] = "=", [MEMFD] = "=",
		[SYSV] = "=", [PTE_THP] = "=", [PMD_THP] = OPN, [ZERO] = OPN,
		[SWAPPED] = BSY, NOWHERE } },
	{ PTF_ADV_OLD, 0, 0, 0, {
		[ANON] = "O---", [FORKED] = "O-mm", [COWED] = "O---", [EXT4_SHARED] = "O---",
		[EXT4_PRIVATE] = "O-m-", [EXT4_COPIED] = "O---", [TMPFS] = "O---",
		[MEMFD] = "O---", [SYSV] = "O---", [PTE_THP] = "O---", [PMD_THP] = OPN,
		[ZERO] = "O-m-", [SWAPPED] = BSY, NOWHERE } },
	{ PTF_ADV_OLD, PTF_ADVISE_F_PMD, 0, 0, {
		[ANON] = "O---", [FORKED] = "O-mm", [COWED] = "O---", [EXT4_SHARED] = "O---",
		[EXT4_PRIVATE] = "O-m-", [EXT4_COPIED] = "O---", [TMPFS] = "O---",
		[MEMFD] = "O---", [SYSV] = "O---", [PTE_THP] = "O---", [PMD_THP] = "O---",
		[ZERO] = "O-m-", [SWAPPED] = BSY, NOWHERE } },
	{ PTF_ADV_CLEAN, 0, 0, 0, {
		[ANON] = OPN, [FORKED] = OPN, [COWED] = OPN, [EXT4_SHARED] = "R-m-",
		[EXT4_PRIVATE] = "=", [EXT4_COPIED] = OPN, [TMPFS] = "R-m-", [MEMFD] = "R-m-",
		[SYSV] = "R-m-", [PTE_THP] = OPN, [PMD_THP] = OPN, [ZERO] = OPN,
		[SWAPPED] = BSY, NOWHERE } },
	{ PTF_ADV_UNMAP_FILE, 0, 0, 0, {
		[ANON] = OPN, [FORKED] = OPN, [COWED] = OPN, [EXT4_SHARED] = "Nmmm",
		[EXT4_PRIVATE] = "Nmmm", [EXT4_COPIED] = DAT, [TMPFS] = "Nmmm",
		[MEMFD] = "Nmmm", [SYSV] = "Nmmm", [PTE_THP] = OPN, [PMD_THP] = OPN,
		[ZERO] = OPN, [SWAPPED] = OPN, NOWHERE } },
	{ PTF_ADV_ZAP, 0, 0, 0, {
		[ANON] = OPN, [FORKED] = OPN, [COWED] = OPN, [EXT4_SHARED] = OPN,
		[EXT4_PRIVATE] = OPN, [EXT4_COPIED] = OPN, [TMPFS] = OPN, [MEMFD] = OPN,
		[SYSV] = OPN, [PTE_THP] = OPN, [PMD_THP] = OPN, [ZERO] = OPN, [SWAPPED] = OPN,
		[PROTNONE] = OPN, [HUGETLB] = OPN, [PFNMAP] = "NmmE", [VDSO] = OPN } },
	{ PTF_ADV_EVICT, 0, 0, 0, {
		[ANON] = OPN, [FORKED] = OPN, [COWED] = OPN, [EXT4_SHARED] = "NMMM",
		[EXT4_PRIVATE] = "NMMM", [EXT4_COPIED] = "P---", [TMPFS] = OPN, [MEMFD] = OPN,
		[SYSV] = OPN, [PTE_THP] = OPN, [PMD_THP] = OPN, [ZERO] = OPN, [SWAPPED] = OPN,
		NOWHERE } },
	{ PTF_ADV_MIGRATE, 0, 0, 0, {
		[ANON] = "F---", [FORKED] = "F-mm", [COWED] = "F---", [EXT4_SHARED] = OPN,
		[EXT4_PRIVATE] = OPN, [EXT4_COPIED] = "F---", [TMPFS] = OPN, [MEMFD] = OPN,
		[SYSV] = OPN, [PTE_THP] = "large", [PMD_THP] = OPN, [ZERO] = OPN,
		[SWAPPED] = BSY, NOWHERE } },
	{ PTF_ADV_MIGRATE, PTF_ADVISE_F_SPLIT, 0, 0, {
		[ANON] = "F---", [FORKED] = "F-mm", [COWED] = "F---", [EXT4_SHARED] = OPN,
		[EXT4_PRIVATE] = OPN, [EXT4_COPIED] = "F---", [TMPFS] = OPN, [MEMFD] = OPN,
		[SYSV] = OPN, [PTE_THP] = "large", [PMD_THP] = "F---", [ZERO] = OPN,
		[SWAPPED] = BSY, NOWHERE } },
	{ PTF_ADV_UNSHARE, 0, 0, 0, {
		[ANON] = "=", [FORKED] = "A-w-", [COWED] = "=", [EXT4_SHARED] = OPN,
		[EXT4_PRIVATE] = "A-w-", [EXT4_COPIED] = "=", [TMPFS] = OPN, [MEMFD] = OPN,
		[SYSV] = OPN, [PTE_THP] = "=", [PMD_THP] = "=", [ZERO] = "A-w-",
		[SWAPPED] = BSY, NOWHERE } },
	{ PTF_ADV_SPLIT, 0, 0, 0, {
		[ANON] = "=", [FORKED] = "=", [COWED] = "=", [EXT4_SHARED] = "=",
		[EXT4_PRIVATE] = "=", [EXT4_COPIED] = "=", [TMPFS] = "=", [MEMFD] = "=",
		[SYSV] = "=", [PTE_THP] = "=", [PMD_THP] = "P---", [ZERO] = "=",
		[SWAPPED] = "=", NOWHERE } },
	{ PTF_ADV_RESET, 0, 0, 0, {
		[ANON] = "=", [FORKED] = "=", [COWED] = "=", [EXT4_SHARED] = "=",
		[EXT4_PRIVATE] = "=", [EXT4_COPIED] = "=", [TMPFS] = "=", [MEMFD] = "=",
		[SYSV] = "=", [PTE_THP] = "=", [PMD_THP] = "=", [ZERO] = "=",
		[SWAPPED] = "=", [PROTNONE] = "=", [HUGETLB] = "=", [PFNMAP] = "=",
		[VDSO] = "=" } },
	/* the library's, over PAGEOUT */
	{ PTF_ADV_SWAPOUT, 0, 0, 0, {
		[ANON] = "WMMM", [FORKED] = BSY, [COWED] = "WMMM", [EXT4_SHARED] = OPN,
		[EXT4_PRIVATE] = OPN, [EXT4_COPIED] = "WMMM", [TMPFS] = "Nfff",
		[MEMFD] = "Nfff", [SYSV] = "Nfff", [PTE_THP] = "WMMM", [PMD_THP] = "WMMM",
		[ZERO] = OPN, [SWAPPED] = "=", NOWHERE } },
};

FIXTURE(advice) {
	int fd;
	struct ptf_log log;
	struct ptf_session *lib;
	struct ptf_row *before, *after;
};

/* With two nodes a scanner works on ranges, and what is stashed there comes back. */
static void no_numa_scan(void)
{
	ptf_write_file("/proc/sys/kernel/numa_balancing", "0");
}

FIXTURE_SETUP(advice)
{
	struct sigaction act = { .sa_handler = on_signal };

	self->fd = ptf_setup(_metadata, &self->log);
	if (self->fd < 0)
		return;
	no_numa_scan();
	ASSERT_EQ(0, ptf_session_open(NULL, &self->lib));
	self->before = calloc(512, sizeof(struct ptf_row));
	self->after = calloc(512, sizeof(struct ptf_row));
	ASSERT_TRUE(self->before && self->after);
	sigaction(SIGBUS, &act, NULL);
	sigaction(SIGSEGV, &act, NULL);
	/* once for nothing, so that no fault of our own is counted */
	try_access((char *)self->before, READ, 0);
	try_access((char *)self->before, GUP, 0);
}

PTF_TEARDOWN(advice)

FIXTURE_VARIANT(advice) {
	enum kind kind;
};

#define KIND(name, k) FIXTURE_VARIANT_ADD(advice, name) { .kind = k }

KIND(anon, ANON);
KIND(forked, FORKED);
KIND(copied_after_fork, COWED);
KIND(ext4_shared, EXT4_SHARED);
KIND(ext4_private, EXT4_PRIVATE);
KIND(ext4_copied, EXT4_COPIED);
KIND(tmpfs, TMPFS);
KIND(memfd, MEMFD);
KIND(sysv, SYSV);
KIND(thp_by_ptes, PTE_THP);
KIND(thp, PMD_THP);
KIND(zero_page, ZERO);
KIND(swapped, SWAPPED);
KIND(prot_none, PROTNONE);
KIND(hugetlb, HUGETLB);
KIND(pfnmap, PFNMAP);
KIND(vdso, VDSO);

static bool rows_of(int fd, const char *p, size_t len, struct ptf_row *rows)
{
	struct ptf_ioc_range_query q;

	memset(rows, POISON, len / PAGE * sizeof(*rows));
	return !_test_cmd_range_query(fd, &q, 0, p, len, PTF_QUERY_F_PAGES | PTF_QUERY_F_HOLES,
				      rows, len / PAGE) && q.out_rows == len / PAGE;
}

static bool row_is(char want, const struct ptf_row *row, const struct ptf_row *before)
{
	bool present = row->state == PTF_STATE_PRESENT;

	switch (want) {
	case 'H':
		return row->state == PTF_STATE_HINT && row->pte_pfn == before->pte_pfn;
	case 'T':
		return row->state == PTF_STATE_STASHED && row->pte_pfn == before->pte_pfn;
	case 'N':
		return row->state == PTF_STATE_NONE;
	case 'W':
		return row->state == PTF_STATE_SWAP;
	case 'P':
		return present;
	case 'R':
		return present && !(row->flags & PTF_ROW_WRITE) &&
		       row->pte_pfn == before->pte_pfn;
	case 'O':
		return present && !(row->flags & PTF_ROW_YOUNG) &&
		       row->pte_pfn == before->pte_pfn;
	case 'A':
		return present && row->flags & PTF_ROW_EXCLUSIVE && row->kind == PTF_KIND_ANON;
	case 'F':
		return present && row->pte_pfn && row->pte_pfn != before->pte_pfn;
	case '=':
		return row->state == before->state && row->pte_pfn == before->pte_pfn &&
		       !((row->flags ^ before->flags) & PTF_ROW_WRITE);
	}
	return false;
}

/* How many rows are not so. */
static size_t rows_wrong(char want, const struct ptf_row *rows, const struct ptf_row *before,
			 size_t nr)
{
	size_t i, bad = 0;

	for (i = 0; i < nr; i++)
		bad += !row_is(want, &rows[i], &before[i]);
	return bad;
}

static int errno_of(const char *name)
{
	static const struct {
		const char *name;
		int nr;
	} all[] = {
		{ OPN, EOPNOTSUPP }, { BSY, EBUSY }, { ACC, EACCES }, { DAT, ENODATA },
		{ SPC, ENOSPC },
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(all); i++)
		if (!strcmp(all[i].name, name))
			return all[i].nr;
	return 0;
}

/* What the cell says on this kernel, with or without swap. */
static const char *cell_of(const struct line *line, enum kind kind)
{
	const char *cell = line->cell[kind];

	if (!strcmp(cell, "large"))
		return ptf_kernel_from(6, 18) ? "F---" : OPN;
	if (line->advice == PTF_ADV_SWAPOUT && !ptf_swap_free_kb() && strcmp(cell, OPN))
		return SPC;
	return cell;
}

/* 0 or the errno; SWAPOUT is the library's. */
static int advise(int fd, struct ptf_session *lib, const struct line *line, struct mem *m)
{
	struct ptf_ioc_range_advise cmd;

	if (line->advice == PTF_ADV_SWAPOUT)
		return -ptf_session_advise(lib, NULL, u64ptr(m->p), u64ptr(m->p) + m->len,
					   line->advice, line->flags, NULL);
	return _test_cmd_range_advise(fd, &cmd, 0, line->advice, m->p, m->len, line->flags) ?
		errno : 0;
}

#define LINE "advice %s flags %#x: "
#define LINE_ARGS(l) (ptf_advice_name((l)->advice)), (l)->flags

/* One line on one kind: the call, then one of the accesses, or the undoing. */
static void try_line(struct __test_metadata *_metadata, int fd, struct ptf_session *lib,
		     const struct line *line, enum kind kind, int what, struct ptf_row *before,
		     struct ptf_row *after)
{
	const char *cell = cell_of(line, kind), *acc;
	int err = errno_of(cell), got;
	struct ptf_ioc_range_advise cmd;
	struct mem m;
	size_t nr;
	char is;

	ASSERT_EQ(NULL, make(fd, &m, kind));
	nr = m.len / PAGE;
	ASSERT_TRUE(rows_of(fd, m.p, m.len, before));
	got = advise(fd, lib, line, &m);
	EXPECT_EQ(err, got) {
		TH_LOG(LINE "%s", LINE_ARGS(line), strerror(got));
	}
	ASSERT_TRUE(rows_of(fd, m.p, m.len, after));
	EXPECT_EQ(0, rows_wrong(err ? '=' : cell[0], after, before, nr)) {
		TH_LOG(LINE "row 0: state %d, was %d; %s", LINE_ARGS(line), after->state,
		       before->state, cell);
	}
	acc = err || cell[0] == '=' ? base[kind] : cell + 1;
	if (what <= GUP) {
		is = try_access(m.p, what, ptf_word(SEED, 0, 0));
		EXPECT_TRUE(access_is(acc[what], is)) {
			TH_LOG(LINE "access %d: '%c', not '%c'", LINE_ARGS(line), what, is,
			       acc[what]);
		}
		if (what == READ && is == 'm' && !err) {
			rows_of(fd, m.p, PAGE, after);
			EXPECT_TRUE(row_is(line->next ?: 'P', after, before)) {
				TH_LOG(LINE "row after the read: state %d", LINE_ARGS(line),
				       after->state);
			}
		}
	} else if (!err && line->undo && cell[0] != '=') {
		EXPECT_EQ(0, _test_cmd_range_advise(fd, &cmd, 0, line->undo, m.p, m.len,
						    line->undo == PTF_ADV_WRUNPROTECT ?
						    line->flags : 0)) {
			TH_LOG(LINE "can't be undone: %s", LINE_ARGS(line), strerror(errno));
		}
		/* hints that are nobody's any more are healed by an access */
		if (line->undo == PTF_ADV_RESET)
			ptf_touch_all(m.p, m.len);
		ASSERT_TRUE(rows_of(fd, m.p, m.len, after));
		EXPECT_EQ(0, rows_wrong('=', after, before, nr)) {
			TH_LOG(LINE "row 0 after the undoing: state %d flags %#llx, were %#llx",
			       LINE_ARGS(line), after->state, after->flags, before->flags);
		}
		is = try_access(m.p, READ, 0);
		EXPECT_EQ(base[kind][READ], is) {
			TH_LOG(LINE "read after the undoing", LINE_ARGS(line));
		}
	}
	_test_cmd_range_advise(fd, &cmd, 0, PTF_ADV_RESET, m.p, m.len, 0);
	/* a write where there was nothing to write to */
	if (what == WRITE && kind == ZERO)
		m.sum = sum_of(m.p, m.len);
	EXPECT_TRUE(kept(&m)) {
		TH_LOG(LINE "the content after access %d", LINE_ARGS(line), what);
	}
	destroy(&m);
}

TEST_F_TIMEOUT(advice, table, 300)
{
	unsigned long huge = ptf_read_ulong("/proc/sys/vm/nr_hugepages", 0);
	const char *why;
	struct mem m;
	unsigned int i, what;
	char is;

	if (variant->kind == HUGETLB)
		ptf_write_file("/proc/sys/vm/nr_hugepages", "4");
	why = make(self->fd, &m, variant->kind);
	if (why)
		SKIP(return, "%s", why);
	destroy(&m);
	/* no advice at all */
	for (what = READ; what <= GUP; what++) {
		ASSERT_EQ(NULL, make(self->fd, &m, variant->kind));
		is = try_access(m.p, what, ptf_word(SEED, 0, 0));
		EXPECT_TRUE(access_is(base[variant->kind][what], is)) {
			TH_LOG("no advice, access %d: '%c'", what, is);
		}
		destroy(&m);
	}
	for (i = 0; i < ARRAY_SIZE(table); i++)
		for (what = READ; what <= GUP + 1; what++)
			try_line(_metadata, self->fd, self->lib, &table[i], variant->kind, what,
				 self->before, self->after);
	if (variant->kind == HUGETLB) {
		char text[32];

		snprintf(text, sizeof(text), "%lu", huge);
		ptf_write_file("/proc/sys/vm/nr_hugepages", text);
	}
}

/* ------------------------------------------------------------------ */
/* One by one                                                          */

FIXTURE(detail) {
	int fd;
	struct ptf_log log;
	struct ptf_row *was, *row;
};

#define MANY	1024

FIXTURE_SETUP(detail)
{
	self->fd = ptf_setup(_metadata, &self->log);
	if (self->fd < 0)
		return;
	no_numa_scan();
	self->was = calloc(MANY, sizeof(struct ptf_row));
	self->row = calloc(MANY, sizeof(struct ptf_row));
	ASSERT_TRUE(self->was && self->row);
}

PTF_TEARDOWN(detail)

static __u64 handler_runs(int dev)
{
	__u64 n = 0;

	return ioctl(dev, PTFTEST_FAULTS, &n) ? ~0ULL : n;
}

/* Others have written there. */
static bool fresh_driver_pages(int dev)
{
	char *p = mmap(NULL, PAGES(PTFTEST_PAGES), PROT_READ | PROT_WRITE, MAP_SHARED, dev,
		       PTFTEST_MAP_FAULT);
	int i;

	if (p == MAP_FAILED)
		return false;
	for (i = 0; i < PTFTEST_PAGES; i++)
		ptf_store(p + PAGES(i), 0x40 + i);
	return !munmap(p, PAGES(PTFTEST_PAGES));
}

TEST_F(detail, zap_asks_the_driver_again)
{
	int dev = open(PTFTEST_DEV, O_RDWR | O_CLOEXEC), i;
	struct ptf_ioc_range_advise c;
	__u64 runs;
	char *p;

	if (dev < 0)
		SKIP(return, "no " PTFTEST_DEV);
	ASSERT_TRUE(fresh_driver_pages(dev));
	p = mmap(NULL, PAGES(PTFTEST_PAGES), PROT_READ | PROT_WRITE, MAP_SHARED, dev,
		 PTFTEST_MAP_FAULT);
	ASSERT_NE(MAP_FAILED, p);
	/* pages 8 to 15 have not been asked for yet */
	for (i = 0; i < 8; i++)
		EXPECT_EQ(0x40 + i, ptf_touch(p + PAGES(i)));
	runs = handler_runs(dev);
	for (i = 0; i < 8; i++)
		ptf_touch(p + PAGES(i));
	EXPECT_EQ(runs, handler_runs(dev));
	test_cmd_range_advise(&c, 0, PTF_ADV_ZAP, p, PAGES(PTFTEST_PAGES), 0);
	EXPECT_EQ(8, c.out_done_pages);
	EXPECT_EQ(8, c.out_skipped_pages[PTF_SKIP_EMPTY]);
	EXPECT_EQ(8, ptf_skipped(&c));
	EXPECT_EQ(u64ptr(p) + PAGES(PTFTEST_PAGES), c.out_next);
	test_cmd_query_pages(0, p, PAGES(PTFTEST_PAGES), self->row);
	for (i = 0; i < PTFTEST_PAGES; i++)
		EXPECT_EQ(PTF_STATE_NONE, self->row[i].state);
	for (i = 0; i < PTFTEST_PAGES; i++)
		EXPECT_EQ(0x40 + i, ptf_touch(p + PAGES(i)));
	EXPECT_EQ(runs + PTFTEST_PAGES, handler_runs(dev));
	/* one of them, and all or nothing */
	runs = handler_runs(dev);
	test_cmd_advise_all(PTF_ADV_ZAP, p + PAGES(3), PAGE);
	test_err_range_advise(ENODATA, &c, 0, PTF_ADV_ZAP, p, PAGES(8), PTF_ADVISE_F_STRICT);
	EXPECT_EQ(u64ptr(p) + PAGES(3), c.out_next);
	for (i = 0; i < PTFTEST_PAGES; i++)
		EXPECT_EQ(0x40 + i, ptf_touch(p + PAGES(i)));
	EXPECT_EQ(runs + 1, handler_runs(dev));
	munmap(p, PAGES(PTFTEST_PAGES));
	close(dev);
}

/* Mappings that could not come back, or are none of a driver's. */
TEST_F(detail, zap_refused)
{
	static const off_t kinds[] = { PTFTEST_MAP_REMAP, PTFTEST_MAP_MIXED, PTFTEST_MAP_PAGES };
	int dev = open(PTFTEST_DEV, O_RDWR | O_CLOEXEC);
	struct ptf_ioc_range_advise c;
	unsigned int i, k;
	char *p;

	if (dev < 0)
		SKIP(return, "no " PTFTEST_DEV);
	ASSERT_TRUE(fresh_driver_pages(dev));
	for (k = 0; k < ARRAY_SIZE(kinds); k++) {
		p = mmap(NULL, PAGES(4), PROT_READ | PROT_WRITE, MAP_SHARED, dev, kinds[k]);
		ASSERT_NE(MAP_FAILED, p);
		for (i = 0; i < 4; i++)
			EXPECT_EQ(0x40 + i, ptf_touch(p + PAGES(i)));
		test_err_range_advise(EOPNOTSUPP, &c, 0, PTF_ADV_ZAP, p, PAGES(4), 0);
		EXPECT_EQ(4, c.out_skipped_pages[PTF_SKIP_KIND]);
		for (i = 0; i < 4; i++)
			EXPECT_EQ(0x40 + i, ptf_touch(p + PAGES(i)));
		munmap(p, PAGES(4));
	}
	/* a copy of a driver's page is data */
	p = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, dev, PTFTEST_MAP_FAULT);
	if (p != MAP_FAILED) {
		p[7] = 0x77;
		test_err_range_advise(EOPNOTSUPP, &c, 0, PTF_ADV_ZAP, p, PAGE, 0);
		EXPECT_EQ(1, c.out_skipped_pages[PTF_SKIP_KIND]);
		EXPECT_EQ(0x77, p[7]);
		munmap(p, PAGE);
	}
	close(dev);
}

TEST_F(detail, migrate_many)
{
	char *p = ptf_anon(PAGES(MANY));
	struct ptf_ioc_range_advise c;
	unsigned int i, bad, round;
	long min;

	ASSERT_NE(NULL, p);
	ptf_fill(p, PAGES(MANY), SEED);
	ASSERT_EQ(0, mprotect(p + PAGES(100), PAGES(100), PROT_READ));
	for (round = 0; round < 3; round++) {
		test_cmd_query_pages(0, p, PAGES(MANY), self->was);
		min = ptf_minflt();
		test_cmd_range_advise(&c, 0, PTF_ADV_MIGRATE, p, PAGES(MANY), 0);
		/* one that reclaim or compaction has at this moment stays */
		EXPECT_EQ(MANY, c.out_done_pages + c.out_skipped_pages[PTF_SKIP_BUSY]);
		EXPECT_GT(8, c.out_skipped_pages[PTF_SKIP_BUSY]);
		EXPECT_EQ(0, ptf_wrong(p, PAGES(MANY), SEED));
		for (i = 0; i < MANY; i += 2)
			if (i / 100 != 1)
				ptf_rewrite(p + PAGES(i));
		EXPECT_EQ(min, ptf_minflt());
		test_cmd_query_pages(0, p, PAGES(MANY), self->row);
		for (i = 0, bad = 0; i < MANY; i++)
			bad += self->row[i].state != PTF_STATE_PRESENT ||
			       self->row[i].pte_pfn == self->was[i].pte_pfn ||
			       (self->row[i].flags ^ self->was[i].flags) &
			       (PTF_ROW_WRITE | PTF_ROW_EXCLUSIVE);
		EXPECT_EQ(c.out_skipped_pages[PTF_SKIP_BUSY], bad);
	}
	EXPECT_EQ(0, ptf_wrong(p, PAGES(MANY), SEED));
	/* hints and stashes move as well, and are none after that */
	test_cmd_range_advise(&c, 0, PTF_ADV_NOTPRESENT, p, PAGES(64), 0);
	test_cmd_range_advise(&c, 0, PTF_ADV_STASH, p + PAGES(64), PAGES(36), 0);
	test_cmd_range_advise(&c, 0, PTF_ADV_MIGRATE, p, PAGES(100), 0);
	EXPECT_LT(90, c.out_done_pages);
	EXPECT_EQ(0, ptf_wrong(p, PAGES(MANY), SEED));
}

static int write_all(void *arg)
{
	char *p = arg;

	if (ptf_wrong(p, PAGES(64), SEED))
		return 1;
	ptf_fill(p, PAGES(64), SEED + 1);
	return ptf_wrong(p, PAGES(64), SEED + 1) ? 2 : 0;
}

/* Pages that two processes map move for both. */
TEST_F(detail, migrate_shared_after_fork)
{
	char *p = ptf_anon(PAGES(64));
	unsigned int *go = ptf_shared(PAGE), i, same = 0;
	struct ptf_row row[64];
	pid_t pid;
	__u32 t;

	ptf_fill(p, PAGES(64), SEED);
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		ptf_await(go, 1, 20000);
		_exit(write_all(p));
	}
	usleep(10000);
	test_cmd_target_open(pid, &t);
	test_cmd_query_pages(0, p, PAGES(64), self->was);
	test_cmd_advise_all(PTF_ADV_MIGRATE, p, PAGES(64));
	test_cmd_query_pages(0, p, PAGES(64), self->row);
	test_cmd_query_pages(t, p, PAGES(64), row);
	for (i = 0; i < 64; i++) {
		same += self->row[i].pte_pfn == self->was[i].pte_pfn;
		EXPECT_EQ(self->row[i].pte_pfn, row[i].pte_pfn);
	}
	EXPECT_EQ(0, same);
	*go = 1;
	EXPECT_EQ(0, ptf_wait(pid));
	EXPECT_EQ(0, ptf_wrong(p, PAGES(64), SEED));
}

TEST_F(detail, migrate_pinned)
{
	char *p = ptf_anon(PAGES(8));
	struct ptftest_range r = { u64ptr(p) + PAGES(2), 3 };
	int dev = open(PTFTEST_DEV, O_RDWR | O_CLOEXEC);
	struct ptf_ioc_range_advise c;

	if (dev < 0)
		SKIP(return, "no " PTFTEST_DEV);
	ptf_fill(p, PAGES(8), SEED);
	ASSERT_EQ(0, ioctl(dev, PTFTEST_PIN, &r));
	test_err_range_advise(EBUSY, &c, 0, PTF_ADV_MIGRATE, p + PAGES(2), PAGES(3), 0);
	EXPECT_EQ(3, c.out_skipped_pages[PTF_SKIP_PINNED]);
	test_err_range_advise(EBUSY, &c, 0, PTF_ADV_MIGRATE, p, PAGES(8), PTF_ADVISE_F_STRICT);
	EXPECT_EQ(u64ptr(p) + PAGES(2), c.out_next);
	EXPECT_EQ(0, c.out_done_pages);
	test_cmd_range_advise(&c, 0, PTF_ADV_MIGRATE, p, PAGES(8), 0);
	EXPECT_EQ(5, c.out_done_pages);
	EXPECT_EQ(3, c.out_skipped_pages[PTF_SKIP_PINNED]);
	ioctl(dev, PTFTEST_UNPIN, 0);
	EXPECT_EQ(0, ptf_wrong(p, PAGES(8), SEED));
	close(dev);
}

struct crowd {
	char *p;
	volatile int stop;
	unsigned long bad, turns;
	size_t pages;
};

static void *count_up(void *arg)
{
	struct crowd *c = arg;
	size_t i;

	for (; !c->stop; c->turns++)
		for (i = 0; i < c->pages; i++)
			(*(volatile __u64 *)(c->p + PAGES(i)))++;
	return NULL;
}

static void *read_all(void *arg)
{
	struct crowd *c = arg;
	unsigned long bad = 0;
	size_t i;

	while (!c->stop)
		for (i = 0; i < c->pages; i++)
			bad += ((volatile __u64 *)(c->p + PAGES(i)))[511] != ptf_word(SEED, i, 511);
	__atomic_add_fetch(&c->bad, bad, __ATOMIC_RELAXED);
	return NULL;
}

/* Moved, written to swap and read back, all at once: nothing may be lost. */
TEST_F_TIMEOUT(detail, migrate_under_writers_and_reclaim, 120)
{
	struct crowd c = { .pages = 64 };
	unsigned int i, n = ptf_rounds(1000);
	struct ptf_ioc_range_advise cmd;
	unsigned long moved = 0;
	pthread_t th[3];

	c.p = ptf_anon(PAGES(c.pages));
	ASSERT_NE(NULL, c.p);
	ptf_fill(c.p, PAGES(c.pages), SEED);
	for (i = 0; i < c.pages; i++)
		*(__u64 *)(c.p + PAGES(i)) = 0;
	ASSERT_EQ(0, pthread_create(&th[0], NULL, count_up, &c));
	ASSERT_EQ(0, pthread_create(&th[1], NULL, read_all, &c));
	ASSERT_EQ(0, pthread_create(&th[2], NULL, read_all, &c));
	for (i = 0; i < n; i++) {
		if (i % 2)
			madvise(c.p, PAGES(c.pages), MADV_PAGEOUT);
		if (!_test_cmd_range_advise(self->fd, &cmd, 0, PTF_ADV_MIGRATE, c.p,
					    PAGES(c.pages), 0))
			moved += cmd.out_done_pages;
		else
			EXPECT_EQ(EBUSY, errno);
		if (i % 7 == 0)
			_test_cmd_range_advise(self->fd, &cmd, 0, PTF_ADV_STASH, c.p, PAGES(32), 0);
	}
	c.stop = 1;
	for (i = 0; i < 3; i++)
		pthread_join(th[i], NULL);
	EXPECT_LT(n, moved);
	EXPECT_EQ(0, c.bad);
	for (i = 0; i < c.pages; i++)
		EXPECT_EQ(c.turns, *(__u64 *)(c.p + PAGES(i)));
}

TEST_F(detail, unshare)
{
	int file = make_file(PTF_SHM), other;
	struct ptf_ioc_range_advise c;
	unsigned int *go = ptf_shared(PAGE), i;
	char *p = ptf_anon(PAGES(64)), *f;
	pid_t pid;

	ptf_fill(p, PAGES(64), SEED);
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		ptf_await(go, 1, 20000);
		_exit(write_all(p));
	}
	test_cmd_query_pages(0, p, PAGES(64), self->was);
	EXPECT_EQ(0, self->was[9].flags & PTF_ROW_EXCLUSIVE);
	/* hints and stashes on the way */
	test_cmd_advise_all(PTF_ADV_NOTPRESENT, p + PAGES(8), PAGES(8));
	test_cmd_advise_all(PTF_ADV_STASH, p + PAGES(16), PAGES(8));
	test_cmd_advise_all(PTF_ADV_UNSHARE, p, PAGES(64));
	test_cmd_query_pages(0, p, PAGES(64), self->row);
	for (i = 0; i < 64; i++) {
		EXPECT_EQ(PTF_STATE_PRESENT, self->row[i].state);
		EXPECT_NE(0, self->row[i].flags & PTF_ROW_EXCLUSIVE);
		EXPECT_NE(self->was[i].pte_pfn, self->row[i].pte_pfn);
	}
	test_cmd_range_advise(&c, 0, PTF_ADV_UNSHARE, p, PAGES(64), 0);
	EXPECT_EQ(64, c.out_same_pages);
	*go = 1;
	EXPECT_EQ(0, ptf_wait(pid));
	EXPECT_EQ(0, ptf_wrong(p, PAGES(64), SEED));
	ASSERT_EQ(0, mprotect(p, PAGES(8), PROT_READ));
	test_err_range_advise(EACCES, &c, 0, PTF_ADV_UNSHARE, p, PAGES(8), 0);
	EXPECT_EQ(8, c.out_skipped_pages[PTF_SKIP_READONLY]);

	/* a file's page in a private mapping: what the file does then is not seen */
	ASSERT_LE(0, file);
	f = mmap(NULL, PAGES(NR), PROT_READ | PROT_WRITE, MAP_PRIVATE, file, 0);
	ASSERT_NE(MAP_FAILED, f);
	ptf_touch_all(f, PAGES(NR));
	test_cmd_advise_all(PTF_ADV_UNSHARE, f, PAGES(NR));
	other = 0;
	ASSERT_EQ(4, pwrite(file, &other, 4, 0));
	EXPECT_TRUE(holds(f, PAGES(NR), SEED));
	munmap(f, PAGES(NR));
	f = mmap(NULL, PAGES(NR), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
	ptf_touch_all(f, PAGES(NR));
	test_err_range_advise(EOPNOTSUPP, &c, 0, PTF_ADV_UNSHARE, f, PAGES(NR), 0);
	EXPECT_EQ(NR, c.out_skipped_pages[PTF_SKIP_KIND]);
	munmap(f, PAGES(NR));
	close(file);
}

TEST_F(detail, unmap_file_cow)
{
	int file = make_file(PTF_SCRATCH), other;
	char *a, *b, *s;
	struct ptf_ioc_range_advise c;
	unsigned int i;
	pid_t pid;

	if (!ptf_is_fs(PTF_SCRATCH, PTF_EXT4_MAGIC))
		SKIP(return, PTF_SCRATCH " is not ext4");
	ASSERT_LE(0, file);
	a = mmap(NULL, PAGES(NR), PROT_READ | PROT_WRITE, MAP_PRIVATE, file, 0);
	b = mmap(NULL, PAGES(NR), PROT_READ | PROT_WRITE, MAP_PRIVATE, file, 0);
	s = mmap(NULL, PAGES(NR), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
	ASSERT_TRUE(a != MAP_FAILED && b != MAP_FAILED && s != MAP_FAILED);
	fill(a, PAGES(NR), SEED + 1);
	fill(b, PAGES(NR), SEED + 2);
	/* copies of the target's, though nobody maps the file's own pages */
	test_cmd_advise_all(PTF_ADV_UNMAP_FILE_COW, a, PAGES(NR));
	test_cmd_query_pages(0, a, PAGES(NR), self->row);
	for (i = 0; i < NR; i++)
		EXPECT_EQ(PTF_STATE_NONE, self->row[i].state);
	EXPECT_TRUE(holds(a, PAGES(NR), SEED));
	EXPECT_TRUE(holds(b, PAGES(NR), SEED));
	/* half copies, half not */
	fill(a, PAGES(NR / 2), SEED + 1);
	ptf_touch_all(a, PAGES(NR));
	ptf_touch_all(s, PAGES(NR));
	test_cmd_advise_all(PTF_ADV_UNMAP_FILE_COW, a, PAGES(NR));
	EXPECT_TRUE(holds(a, PAGES(NR), SEED));
	EXPECT_TRUE(holds(s, PAGES(NR), SEED));
	/* of the memory of others: not for everybody */
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		other = open(PTF_DEV, O_RDWR);
		if (setgid(65534) || setuid(65534))
			_exit(2);
		_exit(!(_test_cmd_range_advise(other, &c, 0, PTF_ADV_UNMAP_FILE_COW, a, PAGES(NR),
					       0) == -1 && errno == EPERM));
	}
	EXPECT_EQ(0, ptf_wait(pid));
	munmap(a, PAGES(NR));
	munmap(b, PAGES(NR));
	munmap(s, PAGES(NR));
	close(file);
}

/* Driving the fault handler over holes costs a step for each, not for each page. */
TEST_F_TIMEOUT(detail, drive_over_holes, 60)
{
	char *p = ptf_anon(PAGES(8)), *none;
	struct ptf_ioc_range_fault f = {
		.size = sizeof(f), .access = PTF_ACCESS_READ, .end = USER_END_4,
	};
	double t = ptf_seconds();
	unsigned char results[8];

	ASSERT_NE(NULL, p);
	none = mmap(NULL, 1UL << 40, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1,
		    0);
	ASSERT_NE(MAP_FAILED, none);
	f.start = u64ptr(none);
	f.end = f.start + (1UL << 40);
	ASSERT_OK(ioctl(self->fd, PTF_IOC_RANGE_FAULT, &f));
	EXPECT_EQ(1UL << 28, f.out_failed);
	EXPECT_EQ(f.end, f.out_next);
	munmap(none, 1UL << 40);
	ASSERT_OK(ioctl(self->fd, PTF_IOC_RANGE_FAULT, &f));
	EXPECT_EQ(1UL << 28, f.out_failed);
	/* pages between holes are driven, and counted alone */
	ASSERT_EQ(0, munmap(p, PAGES(2)));
	ASSERT_EQ(0, munmap(p + PAGES(4), PAGES(4)));
	f.start = u64ptr(p);
	f.end = u64ptr(p) + PAGES(8);
	ASSERT_OK(ioctl(self->fd, PTF_IOC_RANGE_FAULT, &f));
	EXPECT_EQ(2, f.out_minor);
	EXPECT_EQ(6, f.out_failed);
	/* one by one where that is asked for */
	f.flags = PTF_FAULT_F_STOP;
	ASSERT_OK(ioctl(self->fd, PTF_IOC_RANGE_FAULT, &f));
	EXPECT_EQ(1, f.out_failed);
	EXPECT_EQ(u64ptr(p) + PAGE, f.out_next);
	f.flags = 0;
	f.results = u64ptr(results);
	ASSERT_OK(ioctl(self->fd, PTF_IOC_RANGE_FAULT, &f));
	EXPECT_EQ(PTF_FAULTED_HOLE, results[0]);
	EXPECT_EQ(PTF_FAULTED_MINOR, results[2]);
	EXPECT_EQ(PTF_FAULTED_HOLE, results[7]);
	EXPECT_GT(20 * ptf_env("PTF_SLOW", 1), ptf_seconds() - t);
}

/* ------------------------------------------------------------------ */
/* The atlas measures, and does not tell by heart                      */

static char *atlas(const char *args)
{
	const char *top = getenv("PTF_TOP");
	char cmd[512], *out = calloc(1, MB);
	size_t n = 0;
	FILE *f;

	snprintf(cmd, sizeof(cmd), "%s/build/user/ptefault --json atlas %s", top ? top : ".", args);
	f = popen(cmd, "r");
	if (f && out)
		n = fread(out, 1, MB - 1, f);
	if (!f || pclose(f) || !n) {
		free(out);
		return NULL;
	}
	return out;
}

/* What a row says in one place; rows are found by advice and memory. */
static const char *cell(const char *json, const char *advice, const char *memory,
			const char *key, char *buf, size_t len)
{
	char want[128];
	const char *row, *end;

	snprintf(want, sizeof(want), "{\"advice\":\"%s\",\"memory\":\"%s\"", advice, memory);
	row = strstr(json, want);
	if (!row)
		return "no row";
	end = strstr(row + 1, "{\"advice\":");
	/* the state that is meant is the one after the advice */
	if (!strcmp(key, "state"))
		row = strstr(row, "\"after\":");
	snprintf(want, sizeof(want), "\"%s\":\"", key);
	row = row ? strstr(row, want) : NULL;
	if (!row || (end && row > end))
		return "no key";
	row += strlen(want);
	snprintf(buf, len, "%.*s", (int)strcspn(row, "\""), row);
	return buf;
}

#define is_cell(text, json, advice, memory, key) do { \
	char __buf[64]; \
	EXPECT_STREQ(text, cell(json, advice, memory, key, __buf, sizeof(__buf))) { \
		TH_LOG("%s on %s: %s", advice, memory, key); \
	} \
} while (0)

#define not_cell(text, json, advice, memory, key) do { \
	char __buf[64]; \
	const char *__cell = cell(json, advice, memory, key, __buf, sizeof(__buf)); \
	EXPECT_STRNE(text, __cell); \
	EXPECT_STRNE("no row", __cell); \
	EXPECT_STRNE("no key", __cell); \
} while (0)

TEST_F_TIMEOUT(detail, atlas_with_and_without_swap, 120)
{
	static const char args[] =
		"PAGEOUT SWAPOUT NOTPRESENT DONTNEED --memory anon --memory shmem --dir " PTF_SHM;
	char dev[128] = "", *with, *without;
	FILE *f = fopen("/proc/swaps", "re");
	char line[256];

	while (f && fgets(line, sizeof(line), f))
		if (line[0] == '/')
			sscanf(line, "%127s", dev);
	if (f)
		fclose(f);
	if (!dev[0])
		SKIP(return, "no swap here: the other run has some");
	with = atlas(args);
	ASSERT_NE(NULL, with);
	ASSERT_EQ(0, syscall(SYS_swapoff, dev));
	without = atlas(args);
	ASSERT_EQ(0, syscall(SYS_swapon, dev, 0));
	ASSERT_NE(NULL, without);
	is_cell("0", with, "PAGEOUT", "anon", "result");
	is_cell("swap", with, "PAGEOUT", "anon", "state");
	/* a page that is still on its way to the disk is found without reading it */
	not_cell("none", with, "PAGEOUT", "anon", "next_read");
	not_cell("none", with, "PAGEOUT", "anon", "next_write");
	is_cell("kept", with, "PAGEOUT", "anon", "content");
	is_cell("0", without, "PAGEOUT", "anon", "result");
	is_cell("present", without, "PAGEOUT", "anon", "state");
	is_cell("none", without, "PAGEOUT", "anon", "next_read");
	is_cell("0", with, "SWAPOUT", "anon", "result");
	is_cell("swap", with, "SWAPOUT", "anon", "state");
	is_cell("major", with, "SWAPOUT", "anon", "next_read");
	is_cell("major", with, "SWAPOUT", "anon", "next_gup");
	is_cell("present", without, "SWAPOUT", "anon", "state");
	is_cell("none", without, "SWAPOUT", "anon", "next_read");
	is_cell("kept", without, "SWAPOUT", "anon", "content");
	is_cell("ENOSPC", without, "SWAPOUT", "anon", "result");
	/* what swap has nothing to do with is the same in both */
	is_cell("hint", with, "NOTPRESENT", "anon", "state");
	is_cell("hint", without, "NOTPRESENT", "anon", "state");
	is_cell("lost", with, "DONTNEED", "anon", "content");
	is_cell("lost", without, "DONTNEED", "anon", "content");
	is_cell("kept", with, "DONTNEED", "shmem", "content");
	free(with);
	free(without);
}

/* Without a name it is about all of them. */
TEST_F_TIMEOUT(detail, atlas_of_all_advice, 120)
{
	static const char *const names[] = {
		"NORMAL", "RANDOM", "SEQUENTIAL", "WILLNEED", "DONTNEED", "FREE", "REMOVE",
		"DONTFORK", "DOFORK", "MERGEABLE", "UNMERGEABLE", "HUGEPAGE", "NOHUGEPAGE",
		"DONTDUMP", "DODUMP", "WIPEONFORK", "KEEPONFORK", "COLD", "PAGEOUT",
		"POPULATE_READ", "POPULATE_WRITE", "DONTNEED_LOCKED", "COLLAPSE",
		"GUARD_INSTALL", "GUARD_REMOVE",
		"NOTPRESENT", "STASH", "STICKY", "WRPROTECT", "WRUNPROTECT", "OLD", "CLEAN",
		"PRESENT", "UNMAP_FILE", "UNMAP_FILE_COW", "ZAP", "EVICT", "SWAPOUT", "MIGRATE",
		"UNSHARE", "SPLIT", "POISON", "UNPOISON", "RESET",
	};
	char *json = atlas("--memory anon"), buf[64];
	unsigned int i;

	ASSERT_NE(NULL, json);
	for (i = 0; i < ARRAY_SIZE(names); i++)
		EXPECT_STRNE("no row", cell(json, names[i], "anon", "result", buf, sizeof(buf))) {
			TH_LOG("value %u of the list", i);
		}
	free(json);
}

TEST_HARNESS_MAIN
