// SPDX-License-Identifier: GPL-2.0-only
/*
 * NOTPRESENT and PRESENT on 1,024 pages of each kind of memory: the present
 * bit goes, the page and its frame stay, the next access faults once, and
 * nothing else can tell.
 */
#include "ptf_test.h"

#include <sys/ipc.h>
#include <sys/shm.h>

#define NR_MAX	1024
#define LEN	PAGES(nr)
#define SEED	7

static int nr = NR_MAX;

FIXTURE(clear) {
	int fd;
	struct ptf_log log;
	char *mem;		/* nr pages, filled with SEED, mapped */
	struct ptf_row *before;
	struct ptf_row *after;
	int file;
	bool large;		/* folios of more than one page are meant */
	bool one_node;
};

FIXTURE_VARIANT(clear) {
	enum {
		ANON, COWED, COWED_CHILD, EXT4_SHARED, EXT4_PRIVATE, EXT4_COPIED, TMPFS,
		TMPFS_PRIVATE, MEMFD, SYSV, SHARED_ANON, THP, MLOCKED, READONLY, EXEC,
	} what;
	__u8 kind;
	bool readonly;
	bool fs_dirty;		/* the file system watches the first write */
};

#define KIND(name, ...) \
	FIXTURE_VARIANT_ADD(clear, name) { __VA_ARGS__ }

KIND(anon, .what = ANON, .kind = PTF_KIND_ANON);
KIND(cowed, .what = COWED, .kind = PTF_KIND_ANON);
KIND(cowed_child, .what = COWED_CHILD, .kind = PTF_KIND_ANON);
KIND(ext4_shared, .what = EXT4_SHARED, .kind = PTF_KIND_FILE, .fs_dirty = true);
KIND(ext4_private, .what = EXT4_PRIVATE, .kind = PTF_KIND_FILE, .fs_dirty = true);
KIND(ext4_copied, .what = EXT4_COPIED, .kind = PTF_KIND_ANON);
KIND(tmpfs, .what = TMPFS, .kind = PTF_KIND_SHMEM);
KIND(tmpfs_private, .what = TMPFS_PRIVATE, .kind = PTF_KIND_SHMEM, .fs_dirty = true);
KIND(memfd, .what = MEMFD, .kind = PTF_KIND_SHMEM);
KIND(sysv, .what = SYSV, .kind = PTF_KIND_SHMEM);
KIND(shared_anon, .what = SHARED_ANON, .kind = PTF_KIND_SHMEM);
KIND(thp_by_ptes, .what = THP, .kind = PTF_KIND_ANON);
KIND(mlocked, .what = MLOCKED, .kind = PTF_KIND_ANON);
KIND(readonly, .what = READONLY, .kind = PTF_KIND_ANON, .readonly = true);
KIND(executable, .what = EXEC, .kind = PTF_KIND_ANON, .readonly = true);

static char *map_file(int fd, int prot, int flags)
{
	char *p = mmap(NULL, LEN, prot, flags, fd, 0);

	return p == MAP_FAILED ? NULL : p;
}

static int cow_child(void *arg)
{
	pause();
	return 0;
}

FIXTURE_SETUP(clear)
{
	const int rw = PROT_READ | PROT_WRITE;
	char *p;
	pid_t pid;
	int id;

	self->fd = ptf_setup(_metadata, &self->log);
	if (self->fd < 0)
		return;
	nr = ptf_many(NR_MAX);
	if (variant->what == THP && nr < 512)
		nr = 512;
	self->one_node = access("/sys/devices/system/node/node1", F_OK) != 0;
	self->file = -1;
	self->before = calloc(nr, sizeof(struct ptf_row));
	self->after = calloc(nr, sizeof(struct ptf_row));
	ASSERT_TRUE(self->before && self->after);

	switch (variant->what) {
	case EXT4_SHARED:
	case EXT4_PRIVATE:
	case EXT4_COPIED:
		if (!ptf_is_fs(PTF_SCRATCH, PTF_EXT4_MAGIC))
			SKIP(return, "no ext4 at " PTF_SCRATCH);
		self->file = ptf_file_in(PTF_SCRATCH, LEN, SEED);
		break;
	case TMPFS:
	case TMPFS_PRIVATE:
		if (!ptf_is_fs(PTF_SHM, PTF_TMPFS_MAGIC))
			SKIP(return, "no tmpfs at " PTF_SHM);
		self->file = ptf_file_in(PTF_SHM, LEN, SEED);
		break;
	case MEMFD:
		self->file = memfd_create("ptf-test", MFD_CLOEXEC);
		ASSERT_LE(0, self->file);
		ASSERT_EQ(0, ftruncate(self->file, LEN));
		break;
	default:
		break;
	}

	switch (variant->what) {
	case ANON:
	case MLOCKED:
	case READONLY:
	case EXEC:
	case COWED:
	case COWED_CHILD:
		self->mem = ptf_anon(LEN);
		ASSERT_NE(NULL, self->mem);
		if (variant->what != COWED)
			ptf_fill(self->mem, LEN, SEED);
		if (variant->what == MLOCKED)
			ASSERT_EQ(0, mlock(self->mem, LEN));
		if (variant->what == READONLY)
			ASSERT_EQ(0, mprotect(self->mem, LEN, PROT_READ));
		if (variant->what == EXEC)
			ASSERT_EQ(0, mprotect(self->mem, LEN, PROT_READ | PROT_EXEC));
		if (variant->what == COWED) {
			/* Written again after a fork: our own copies. */
			ptf_fill(self->mem, LEN, SEED + 1);
			pid = ptf_child(cow_child, NULL);
			ASSERT_LT(0, pid);
			ptf_fill(self->mem, LEN, SEED);
			ptf_kill(pid);
		}
		if (variant->what == COWED_CHILD) {
			/* Shared with a child that lives on: not ours alone. */
			pid = ptf_child(cow_child, NULL);
			ASSERT_LT(0, pid);
		}
		break;
	case EXT4_SHARED:
	case TMPFS:
		ASSERT_LE(0, self->file);
		self->mem = map_file(self->file, rw, MAP_SHARED);
		ASSERT_NE(NULL, self->mem);
		ptf_fill(self->mem, LEN, SEED);
		break;
	case EXT4_PRIVATE:
	case TMPFS_PRIVATE:
		ASSERT_LE(0, self->file);
		self->mem = map_file(self->file, rw, MAP_PRIVATE);
		ASSERT_NE(NULL, self->mem);
		ptf_touch_all(self->mem, LEN);
		break;
	case EXT4_COPIED:
		ASSERT_LE(0, self->file);
		self->mem = map_file(self->file, rw, MAP_PRIVATE);
		ASSERT_NE(NULL, self->mem);
		madvise(self->mem, LEN, MADV_NOHUGEPAGE);
		ptf_fill(self->mem, LEN, SEED);
		break;
	case MEMFD:
		self->mem = map_file(self->file, rw, MAP_SHARED);
		ASSERT_NE(NULL, self->mem);
		ptf_fill(self->mem, LEN, SEED);
		break;
	case SHARED_ANON:
		self->mem = ptf_shared(LEN);
		ASSERT_NE(NULL, self->mem);
		ptf_fill(self->mem, LEN, SEED);
		break;
	case SYSV:
		id = shmget(IPC_PRIVATE, LEN, IPC_CREAT | 0600);
		ASSERT_LE(0, id);
		self->mem = shmat(id, NULL, 0);
		shmctl(id, IPC_RMID, NULL);
		ASSERT_NE((void *)-1, (void *)self->mem);
		ptf_fill(self->mem, LEN, SEED);
		break;
	case THP:
		if (access("/sys/kernel/mm/transparent_hugepage/enabled", F_OK))
			SKIP(return, "no transparent huge pages in this kernel");
		p = mmap(NULL, LEN + HPAGE, rw, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		ASSERT_NE(MAP_FAILED, p);
		self->mem = (char *)(((uintptr_t)p + HPAGE - 1) & ~(HPAGE - 1));
		ASSERT_EQ(0, madvise(self->mem, LEN, MADV_HUGEPAGE));
		ptf_fill(self->mem, LEN, SEED);
		/* A change to one page leaves the folio, but maps it by PTEs. */
		for (p = self->mem; p < self->mem + LEN; p += HPAGE) {
			ASSERT_EQ(0, mprotect(p + PAGE, PAGE, PROT_READ));
			ASSERT_EQ(0, mprotect(p + PAGE, PAGE, rw));
		}
		ptf_fill(self->mem, LEN, SEED);
		/* And khugepaged shall not put it together again. */
		ASSERT_EQ(0, madvise(self->mem, LEN, MADV_NOHUGEPAGE));
		self->large = true;
		break;
	}

	test_cmd_query_pages(0, self->mem, LEN, self->before);
	if (variant->what == THP && !self->before[0].order)
		SKIP(return, "the kernel gave no huge page");
}

PTF_TEARDOWN(clear)

/* Every page is there, as one page of its kind. */
TEST_F(clear, rows_before)
{
	int i;

	for (i = 0; i < nr; i++) {
		struct ptf_row *r = &self->before[i];

		ASSERT_EQ(u64ptr(self->mem) + PAGES(i), r->start);
		ASSERT_EQ(1, r->nr_pages);
		ASSERT_EQ(PTF_STATE_PRESENT, r->state);
		ASSERT_EQ(variant->kind, r->kind);
		ASSERT_EQ(0, r->level);
		ASSERT_EQ(self->large ? 9 : 0, r->order);
		ASSERT_EQ(1, r->pte & 1);
		/* The kernel's own word for it. */
		ASSERT_EQ(PM_PFN(ptf_pagemap(getpid(), self->mem + PAGES(i))), r->pte_pfn);
		ASSERT_NE(0, r->pte_pfn);
		ASSERT_LE(1, r->mapcount);
		ASSERT_EQ(variant->what == EXT4_COPIED, !!(r->flags & PTF_ROW_COPIED));
		ASSERT_EQ(variant->what == EXEC, !!(r->flags & PTF_ROW_EXEC));
		ASSERT_EQ(variant->what == MLOCKED, !!(r->flags & PTF_FOLIO_MLOCKED));
		ASSERT_EQ(self->large, !!(r->flags & PTF_FOLIO_LARGE));
	}
}

#define expect_hints(row) do { \
	test_cmd_query_pages(0, self->mem, LEN, self->after); \
	for (i = 0; i < nr; i++) { \
		ASSERT_EQ(PTF_STATE_HINT, self->after[i].state) { \
			TH_LOG("page %d", i); \
		} \
		ASSERT_EQ(0, self->after[i].pte & 1); \
		ASSERT_NE(0, self->after[i].pte); \
		ASSERT_EQ(self->before[i].pte_pfn, self->after[i].pte_pfn); \
		ASSERT_EQ(self->before[i].kind, self->after[i].kind); \
		ASSERT_EQ(self->before[i].file_pfn, self->after[i].file_pfn); \
		ASSERT_EQ(self->before[i].file_state, self->after[i].file_state); \
		ASSERT_EQ(self->before[i].mapcount, self->after[i].mapcount); \
		ASSERT_EQ(self->before[i].order, self->after[i].order); \
	} \
} while (0)

/* Where the kernel has one node, nothing may have moved. */
#define expect_present_as_before() do { \
	test_cmd_query_pages(0, self->mem, LEN, self->after); \
	for (i = 0; i < nr; i++) { \
		ASSERT_EQ(PTF_STATE_PRESENT, self->after[i].state) { \
			TH_LOG("page %d", i); \
		} \
		ASSERT_EQ(1, self->after[i].pte & 1); \
		if (self->one_node) \
			ASSERT_EQ(self->before[i].pte_pfn, self->after[i].pte_pfn); \
		ASSERT_EQ(self->before[i].kind, self->after[i].kind); \
		ASSERT_EQ(self->before[i].flags & (PTF_ROW_EXEC | PTF_ROW_USER), \
			  self->after[i].flags & (PTF_ROW_EXEC | PTF_ROW_USER)); \
		ASSERT_EQ(PM_PFN(ptf_pagemap(getpid(), self->mem + PAGES(i))), \
			  self->after[i].pte_pfn); \
	} \
} while (0)

TEST_F_TIMEOUT(clear, read_faults_once, 120)
{
	long min0, min1, maj0 = ptf_majflt(), total = 0, rss[3], swap;
	struct ptf_ioc_range_advise cmd;
	bool exact;
	int i;

	rss[0] = ptf_status_kb(getpid(), "RssAnon");
	rss[1] = ptf_status_kb(getpid(), "RssFile");
	rss[2] = ptf_status_kb(getpid(), "RssShmem");
	swap = ptf_status_kb(getpid(), "VmSwap");

	test_cmd_range_advise(&cmd, 0, PTF_ADV_NOTPRESENT, self->mem, LEN, 0);
	ASSERT_EQ(nr, cmd.out_done_pages);
	ASSERT_EQ(0, cmd.out_same_pages);
	/* None to be named where the session heals each page by itself. */
	ASSERT_TRUE(cmd.out_large_pages == 0 || (self->large && cmd.out_large_pages == nr));
	exact = !cmd.out_large_pages;
	ASSERT_LE(1, cmd.out_flushes);
	ASSERT_EQ(0, ptf_skipped(&cmd));
	ASSERT_EQ(u64ptr(self->mem) + LEN, cmd.out_next);
	expect_hints();

	/* The page is still counted for what it is. */
	EXPECT_GT(1024, labs(rss[0] - ptf_status_kb(getpid(), "RssAnon")));
	EXPECT_GT(1024, labs(rss[1] - ptf_status_kb(getpid(), "RssFile")));
	EXPECT_GT(1024, labs(rss[2] - ptf_status_kb(getpid(), "RssShmem")));
	EXPECT_EQ(swap, ptf_status_kb(getpid(), "VmSwap"));

	ptf_minflt();
	for (i = 0; i < nr; i++) {
		min0 = ptf_minflt();
		ptf_touch(self->mem + PAGES(i));
		min1 = ptf_minflt();
		total += min1 - min0;
		if (exact)
			ASSERT_EQ(1, min1 - min0) {
				TH_LOG("page %d", i);
			}
		/* And only once. */
		ptf_touch(self->mem + PAGES(i) + 8);
		ASSERT_EQ(min1, ptf_minflt());
	}
	EXPECT_LE(exact ? nr : nr / 512, total);
	EXPECT_GE(nr, total);
	EXPECT_EQ(maj0, ptf_majflt());
	EXPECT_EQ(0, ptf_wrong(self->mem, LEN, SEED));
	expect_present_as_before();
	/* A heal must leave a page readable, not one that heals for ever. */
	min0 = ptf_minflt();
	ptf_touch_all(self->mem, LEN);
	EXPECT_EQ(min0, ptf_minflt());
}

/* Left to the kernel: a large folio's neighbours may heal together. */
TEST_F_TIMEOUT(clear, oneshot, 120)
{
	struct ptf_ioc_range_advise cmd;
	long min0;
	int i;

	test_cmd_range_advise(&cmd, 0, PTF_ADV_NOTPRESENT, self->mem, LEN, PTF_ADVISE_F_ONESHOT);
	ASSERT_EQ(nr, cmd.out_done_pages);
	ASSERT_EQ(self->large ? nr : 0, cmd.out_large_pages);
	expect_hints();
	/* It outlasts the session. */
	close(self->fd);
	self->fd = open(PTF_DEV, O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, self->fd);
	expect_hints();
	min0 = ptf_minflt();
	ptf_touch_all(self->mem, LEN);
	if (self->large) {
		EXPECT_LE(min0 + nr / 512, ptf_minflt());
		EXPECT_GE(min0 + nr, ptf_minflt());
	} else {
		EXPECT_EQ(min0 + nr, ptf_minflt());
	}
	EXPECT_EQ(0, ptf_wrong(self->mem, LEN, SEED));
	expect_present_as_before();
}

TEST_F_TIMEOUT(clear, write_faults_once, 120)
{
	long min0, min1, most = variant->fs_dirty ? 2 : 1;
	int i;

	if (variant->readonly)
		return;
	/* Not alone on the page: the write makes a copy, by a second fault. */
	if (variant->what == COWED_CHILD)
		most = 2;
	/* The file system may have cleaned the page meanwhile. */
	test_cmd_advise_all(PTF_ADV_NOTPRESENT, self->mem, LEN);
	expect_hints();
	for (i = 0; i < nr; i++) {
		min0 = ptf_minflt();
		ptf_store(self->mem + PAGES(i) + 3, 0xC3);
		min1 = ptf_minflt();
		if (!self->large)
			ASSERT_LE(1, min1 - min0) {
				TH_LOG("page %d", i);
			}
		ASSERT_GE(most, min1 - min0) {
			TH_LOG("page %d", i);
		}
		ptf_store(self->mem + PAGES(i) + 3, 0x3C);
		ASSERT_EQ(min1, ptf_minflt());
	}
	for (i = 0; i < nr; i++) {
		ASSERT_EQ(0x3C, (unsigned char)self->mem[PAGES(i) + 3]);
		*(__u64 *)(self->mem + PAGES(i)) = ptf_word(SEED, i, 0);
	}
	EXPECT_EQ(0, ptf_wrong(self->mem, LEN, SEED));
	/* What was written reached the file, or must not have. */
	if (self->file >= 0) {
		char page[PAGE];

		ptf_store(self->mem + PAGES(5), 0x77);
		ASSERT_EQ(PAGE, pread(self->file, page, PAGE, PAGES(5)));
		if (variant->what == EXT4_SHARED || variant->what == TMPFS ||
		    variant->what == MEMFD) {
			EXPECT_EQ(0x77, page[0]);
		} else {
			EXPECT_EQ((unsigned char)ptf_word(SEED, 5, 0),
				  (unsigned char)page[0]);
		}
	}
}

/* The write bit, the dirty bit and the copy bit survive the round trip. */
TEST_F_TIMEOUT(clear, flags_survive, 120)
{
	const __u64 keep = PTF_ROW_USER | PTF_ROW_EXEC | PTF_ROW_COPIED |
		PTF_ROW_EXCLUSIVE | PTF_ROW_SPECIAL | PTF_ROW_UFFD_WP;
	int i;

	test_cmd_advise_all(PTF_ADV_NOTPRESENT, self->mem, LEN);
	test_cmd_advise_all(PTF_ADV_PRESENT, self->mem, LEN);
	expect_present_as_before();
	for (i = 0; i < nr; i++) {
		ASSERT_EQ(self->before[i].flags & keep, self->after[i].flags & keep) {
			TH_LOG("page %d", i);
		}
		/* Dirty may move to the folio, it may not get lost. */
		if (self->before[i].flags & (PTF_ROW_DIRTY | PTF_FOLIO_DIRTY) &&
		    !variant->fs_dirty)
			ASSERT_NE(0, self->after[i].flags & (PTF_ROW_DIRTY | PTF_FOLIO_DIRTY));
		/* The right to write neither gets lost nor comes out of nothing. */
		if (!variant->fs_dirty)
			ASSERT_EQ(self->before[i].flags & PTF_ROW_WRITE,
				  self->after[i].flags & PTF_ROW_WRITE);
	}
	ptf_touch_all(self->mem, LEN);
	test_cmd_advise_all(PTF_ADV_NOTPRESENT, self->mem, LEN);
	ptf_touch_all(self->mem, LEN);
	expect_present_as_before();
	for (i = 0; i < nr; i++) {
		if (variant->what == COWED_CHILD || variant->readonly)
			ASSERT_EQ(0, self->after[i].flags & PTF_ROW_WRITE);
		ASSERT_EQ(self->before[i].flags & keep, self->after[i].flags & keep);
	}
}

TEST_F_TIMEOUT(clear, present_undoes, 120)
{
	struct ptf_ioc_range_advise cmd;
	long min0;
	int i;

	test_cmd_advise_all(PTF_ADV_NOTPRESENT, self->mem, LEN);
	expect_hints();
	test_cmd_advise_all(PTF_ADV_PRESENT, self->mem, LEN);
	expect_present_as_before();
	min0 = ptf_minflt();
	ptf_touch_all(self->mem, LEN);
	EXPECT_EQ(min0, ptf_minflt());
	EXPECT_EQ(0, ptf_wrong(self->mem, LEN, SEED));
	/* Nothing left to undo. */
	test_cmd_range_advise(&cmd, 0, PTF_ADV_PRESENT, self->mem, LEN, 0);
	EXPECT_EQ(0, cmd.out_done_pages);
	EXPECT_EQ(nr, cmd.out_same_pages);
	EXPECT_EQ(u64ptr(self->mem) + LEN, cmd.out_next);
	EXPECT_EQ(0, ptf_skipped(&cmd));
}

TEST_F_TIMEOUT(clear, twice_is_once, 120)
{
	struct ptf_ioc_range_advise cmd;
	struct ptf_ioc_session_stat st;
	int i;

	test_cmd_advise_all(PTF_ADV_NOTPRESENT, self->mem, PAGES(nr / 2));
	test_cmd_range_advise(&cmd, 0, PTF_ADV_NOTPRESENT, self->mem, LEN, 0);
	EXPECT_EQ(nr / 2, cmd.out_done_pages);
	EXPECT_EQ(nr / 2, cmd.out_same_pages);
	test_cmd_range_advise(&cmd, 0, PTF_ADV_NOTPRESENT, self->mem, LEN, 0);
	EXPECT_EQ(0, cmd.out_done_pages);
	EXPECT_EQ(nr, cmd.out_same_pages);
	EXPECT_EQ(u64ptr(self->mem) + LEN, cmd.out_next);
	test_cmd_session_stat(&st);
	EXPECT_EQ(nr, st.out_cleared_pages);
	expect_hints();
	test_cmd_advise_all(PTF_ADV_PRESENT, self->mem, LEN);
	expect_present_as_before();
	EXPECT_EQ(0, ptf_wrong(self->mem, LEN, SEED));
}

/* One page of many: its neighbours don't notice, and don't heal it. */
TEST_F_TIMEOUT(clear, neighbours, 120)
{
	long min0;
	int i;

	if (self->large)
		return;
	for (i = 1; i < nr; i += 2)
		test_cmd_advise_all(PTF_ADV_NOTPRESENT, self->mem + PAGES(i), PAGE);
	min0 = ptf_minflt();
	for (i = 0; i < nr; i += 2)
		ptf_touch(self->mem + PAGES(i));
	EXPECT_EQ(min0, ptf_minflt());
	for (i = 1; i < nr; i += 2)
		ptf_touch(self->mem + PAGES(i));
	EXPECT_EQ(min0 + nr / 2, ptf_minflt());
	expect_present_as_before();
	EXPECT_EQ(0, ptf_wrong(self->mem, LEN, SEED));
}

/* System calls see the content too, whether they fault or not. */
TEST_F_TIMEOUT(clear, kernel_reads_and_writes, 120)
{
	static char copy[PAGES(NR_MAX)];
	int out, i;
	ssize_t n;

	out = memfd_create("ptf-out", MFD_CLOEXEC);
	ASSERT_LE(0, out);
	test_cmd_advise_all(PTF_ADV_NOTPRESENT, self->mem, LEN);
	n = pwrite(out, self->mem, LEN, 0);
	ASSERT_EQ(LEN, n);
	ASSERT_EQ(LEN, pread(out, copy, LEN, 0));
	EXPECT_EQ(0, ptf_wrong(copy, LEN, SEED));
	EXPECT_EQ(0, ptf_wrong(self->mem, LEN, SEED));
	if (variant->readonly)
		return;
	for (i = 0; i < nr; i++)
		ptf_fill_page(copy + PAGES(i), SEED + 5, i);
	ASSERT_EQ(LEN, pwrite(out, copy, LEN, 0));
	test_cmd_advise_all(PTF_ADV_NOTPRESENT, self->mem, LEN);
	ASSERT_EQ(LEN, pread(out, self->mem, LEN, 0));
	EXPECT_EQ(0, ptf_wrong(self->mem, LEN, SEED + 5));
}

TEST_HARNESS_MAIN
