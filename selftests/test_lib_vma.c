// SPDX-License-Identifier: GPL-2.0-only
/*
 * VMAs listed and found, memory use, failure detail, and that the headers,
 * the symbols and the version are what they should be.
 */
/* vm: --no-module */
#include "test_lib.h"

#include <sys/mount.h>

/* --- VMAs --------------------------------------------------------------------- */

TEST(list_is_maps)
{
	struct ptf_vma_list *l;
	const struct ptf_vma_entry *e, *last = NULL;
	unsigned long start, end, offset, inode;
	char line[4200], perms[5], name[4100];
	unsigned int major, minor;
	size_t n = 0;
	FILE *f;

	NOT_UNDER_ASAN();
	ASSERT_EQ(0, ptf_vma_list_create(0, &l));
	f = fopen("/proc/self/maps", "r");
	ASSERT_NE(NULL, f);
	while (fgets(line, sizeof(line), f)) {
		name[0] = 0;
		ASSERT_LE(7, sscanf(line, "%lx-%lx %4s %lx %x:%x %lu %4099[^\n]", &start, &end,
				    perms, &offset, &major, &minor, &inode, name));
		e = ptf_vma_list_at(l, n++);
		ASSERT_NE(NULL, e);
		/* stdio's buffer may have made the heap larger meanwhile. */
		if (!strcmp(name, "[heap]"))
			continue;
		EXPECT_EQ(start, e->start);
		EXPECT_EQ(end, e->end);
		EXPECT_EQ(offset, e->offset);
		EXPECT_EQ(inode, e->inode);
		EXPECT_EQ(major, e->dev_major);
		EXPECT_EQ(minor, e->dev_minor);
		/* Shared anonymous memory is a file that has no name any more. */
		EXPECT_EQ(0, strncmp(name, e->name, strlen(e->name)));
		EXPECT_STREQ(e->deleted ? " (deleted)" : "", name + strlen(e->name));
		EXPECT_EQ(perms[3] == 's', e->shared);
		EXPECT_EQ((perms[0] == 'r' ? PROT_READ : 0) | (perms[1] == 'w' ? PROT_WRITE : 0) |
			  (perms[2] == 'x' ? PROT_EXEC : 0), e->prot);
		EXPECT_EQ(name[0] == '[' && name[1] == 'v', e->special);
		if (last)
			EXPECT_LE(last->end, e->start);
		last = e;
	}
	fclose(f);
	EXPECT_EQ(n, ptf_vma_list_count(l));
	EXPECT_EQ(NULL, ptf_vma_list_at(l, n));
	EXPECT_EQ(NULL, ptf_vma_list_at(l, SIZE_MAX));
	ptf_vma_list_destroy(l);
	ptf_vma_list_destroy(NULL);
}

TEST(look_up_by_address)
{
	char *p = anon(9), buf[64];
	struct ptf_vma_entry e;
	struct ptf_vma_list *l;

	mprotect(p + PAGES(3), PAGES(3), PROT_READ);
	munmap(p + PAGES(7), PAGE);
	ASSERT_EQ(0, ptf_vma_list_create(0, &l));
	EXPECT_EQ((uintptr_t)p + PAGES(3), ptf_vma_list_find(l, (uintptr_t)p + PAGES(3))->start);
	EXPECT_EQ((uintptr_t)p + PAGES(3), ptf_vma_list_find(l,
							     (uintptr_t)p + PAGES(6) - 1)->start);
	EXPECT_EQ((uintptr_t)p + PAGES(6), ptf_vma_list_find(l, (uintptr_t)p + PAGES(6))->start);
	EXPECT_EQ(NULL, ptf_vma_list_find(l, (uintptr_t)p + PAGES(7)));
	EXPECT_EQ((uintptr_t)p + PAGES(8), ptf_vma_list_next(l, (uintptr_t)p + PAGES(7))->start);
	EXPECT_EQ(NULL, ptf_vma_list_find(l, 0));
	EXPECT_EQ(ptf_vma_list_at(l, 0), ptf_vma_list_next(l, 0));
	EXPECT_EQ(NULL, ptf_vma_list_next(l, UINT64_MAX));
	ptf_vma_list_destroy(l);

	EXPECT_EQ(0, ptf_vma_at(0, (uintptr_t)p + PAGES(4) + 1, 0, &e, buf, sizeof(buf)));
	EXPECT_EQ((uintptr_t)p + PAGES(3), e.start);
	EXPECT_EQ((uintptr_t)p + PAGES(6), e.end);
	EXPECT_EQ(PROT_READ, e.prot);
	EXPECT_STREQ("", e.name);
	EXPECT_EQ(-ENOENT, ptf_vma_at(0, (uintptr_t)p + PAGES(7), 0, &e, buf, sizeof(buf)));
	EXPECT_EQ(ENOENT, ptf_failure_last()->err);
	EXPECT_EQ(p + PAGES(7), ptf_failure_last()->addr);
	EXPECT_EQ(0, ptf_vma_at(0, (uintptr_t)p + PAGES(7), PTF_VMA_AT_F_NEXT, &e, buf,
				sizeof(buf)));
	EXPECT_EQ((uintptr_t)p + PAGES(8), e.start);
	EXPECT_EQ(-ENOENT, ptf_vma_at(0, UINT64_MAX, PTF_VMA_AT_F_NEXT, &e, buf, sizeof(buf)));
	EXPECT_EQ(-ENOENT, ptf_vma_at(0, 0xffffffffff600000, 0, &e, buf, sizeof(buf)));
	EXPECT_EQ(-EINVAL, ptf_vma_at(0, 0, 2, &e, buf, sizeof(buf)));
	/* No buffer, or a short one. */
	EXPECT_EQ(0, ptf_vma_at(0, (uintptr_t)buf, 0, &e, NULL, 0));
	EXPECT_STREQ("", e.name);
	EXPECT_EQ(0, ptf_vma_at(0, (uintptr_t)buf, 0, &e, buf, 4));
	EXPECT_STREQ("[st", e.name);
	munmap(p, PAGES(9));
}

TEST(look_up_by_name)
{
	static const char *const odd[] = {
		"plain", "with space", "new\nline", "tail (deleted)", "umlaut \xc3\xa4", "a-b 1-2 r--p",
	};
	char dir[] = "/tmp/ptf-vma-XXXXXX", path[128], buf[256];
	struct ptf_vma_entry e;
	unsigned int i;
	int fd;

	ASSERT_NE(NULL, mkdtemp(dir));
	for (i = 0; i < ARRAY_SIZE(odd); i++) {
		char *p, *q;

		snprintf(path, sizeof(path), "%s/%s", dir, odd[i]);
		fd = open(path, O_RDWR | O_CREAT, 0600);
		ASSERT_LE(0, fd);
		ASSERT_EQ(0, ftruncate(fd, PAGES(8)));
		p = mmap(NULL, PAGES(2), PROT_READ, MAP_SHARED, fd, PAGES(1));
		q = mmap(NULL, PAGES(2), PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, PAGES(5));
		if (p > q) {
			char *t = p;

			p = q;
			q = t;
		}
		if (!strstr(odd[i], "(deleted)")) {
			EXPECT_EQ(0, ptf_vma_by_name(0, path, 0, &e, buf, sizeof(buf)));
			EXPECT_EQ((uintptr_t)p, e.start);
			EXPECT_STREQ(path, e.name);
			EXPECT_EQ(0, ptf_vma_by_name(0, odd[i], 1, &e, buf, sizeof(buf)));
			EXPECT_EQ((uintptr_t)q, e.start);
			EXPECT_EQ(-ENOENT, ptf_vma_by_name(0, path, 2, &e, buf, sizeof(buf)));
			EXPECT_EQ(-ENOENT, ptf_vma_by_name(0, odd[i] + 1, 0, &e, buf, sizeof(buf)));
		}
		EXPECT_EQ(0, ptf_vma_at(0, (uintptr_t)p, 0, &e, buf, sizeof(buf)));
		EXPECT_EQ(e.shared ? PAGES(1) : PAGES(5), e.offset);
		unlink(path);
		EXPECT_EQ(0, ptf_vma_at(0, (uintptr_t)p, 0, &e, buf, sizeof(buf)));
		EXPECT_EQ(1, e.deleted);
		EXPECT_STREQ(path, e.name);
		munmap(p, PAGES(2));
		munmap(q, PAGES(2));
		close(fd);
	}
	rmdir(dir);
	EXPECT_EQ(-ENOENT, ptf_vma_by_name(0, "", 0, &e, buf, sizeof(buf)));
	EXPECT_EQ(-ENOENT, ptf_vma_by_name(0, "no such file", 0, &e, buf, sizeof(buf)));
}

TEST(the_stack)
{
	struct ptf_vma_entry e;
	char buf[16];

	EXPECT_EQ(0, ptf_vma_by_name(0, "[stack]", 0, &e, buf, sizeof(buf)));
	EXPECT_EQ(true, e.start <= (uintptr_t)&e && (uintptr_t)&e < e.end);
	EXPECT_EQ(0, e.special);
	EXPECT_EQ(-ENOENT, ptf_vma_by_name(0, "[stack]", 1, &e, buf, sizeof(buf)));
}

TEST(of_other_processes)
{
	struct ptf_vma_list *l = (void *)-1;
	struct ptf_vma_entry e;
	int go[2], status;
	char *p, buf[16];
	pid_t pid;

	ASSERT_EQ(0, pipe(go));
	p = anon(2);
	pid = fork();
	if (!pid) {
		close(go[1]);
		_exit(read(go[0], buf, 1) != 1);
	}
	munmap(p, PAGES(2));
	EXPECT_EQ(0, ptf_vma_at(pid, (uintptr_t)p, 0, &e, buf, sizeof(buf)));
	EXPECT_EQ(0, ptf_vma_list_create(pid, &l));
	EXPECT_NE(NULL, ptf_vma_list_find(l, (uintptr_t)p));
	ptf_vma_list_destroy(l);
	ASSERT_EQ(1, write(go[1], "x", 1));
	/* A zombie has no mappings; and then it is gone. */
	ASSERT_EQ(0, waitid(P_PID, pid, &(siginfo_t){ 0 }, WEXITED | WNOWAIT));
	EXPECT_EQ(true, ptf_vma_list_create(pid, &l) || !ptf_vma_list_count(l));
	waitpid(pid, &status, 0);
	EXPECT_EQ(-ESRCH, ptf_vma_list_create(pid, &l));
	EXPECT_EQ(-ESRCH, ptf_vma_at(pid, 0, 0, &e, buf, sizeof(buf)));
	EXPECT_EQ(-ESRCH, ptf_vma_list_create(-1, &l));
	EXPECT_EQ(PTF_LAYER_PROCESS, ptf_failure_last()->layer);
}

/* --- usage ---------------------------------------------------------------------- */

TEST(usage)
{
	struct ptf_usage a = { .size = sizeof(a) }, b = a, small = { .size = 8 };
	int fd = filled_memfd(256, 1), status;
	char *p, *s;
	pid_t pid;

	ASSERT_EQ(0, ptf_usage_get(0, &a));
	EXPECT_EQ(sizeof(a), a.size);
	p = anon(4096);
	ASSERT_EQ(0, ptf_usage_get(0, &b));
	EXPECT_EQ(PAGES(4096), b.virtual_bytes - a.virtual_bytes);
	EXPECT_EQ(PAGES(4096), b.data_bytes - a.data_bytes);
	/* The faults that follow make an older kernel sum up what it counted. */
	s = mmap(NULL, PAGES(256), PROT_READ, MAP_SHARED | MAP_POPULATE, fd, 0);
	memset(p, 1, PAGES(4096));
	ASSERT_EQ(0, lock_pages(p, PAGES(7)));
	ASSERT_EQ(0, ptf_usage_get(getpid(), &b));
	/* The kernel counts some pages lazily: some MB are no matter. */
	EXPECT_LT(a.rss_bytes + 15 * MB, b.rss_bytes);
	EXPECT_LT(a.rss_anon_bytes + 15 * MB, b.rss_anon_bytes);
	EXPECT_LT(a.rss_shmem_bytes + MB / 2, b.rss_shmem_bytes);
	EXPECT_LE(b.rss_bytes, b.rss_peak_bytes);
	EXPECT_LE(b.virtual_bytes, b.virtual_peak_bytes);
	EXPECT_EQ(b.rss_bytes, b.rss_anon_bytes + b.rss_file_bytes + b.rss_shmem_bytes);
	EXPECT_EQ(PAGES(7), b.locked_bytes - a.locked_bytes);
	EXPECT_LT(0, b.stack_bytes);
	EXPECT_LT(0, b.text_bytes);
	EXPECT_LT(0, b.page_table_bytes);
	munmap(p, PAGES(4096));
	munmap(s, PAGES(256));
	close(fd);
	ASSERT_EQ(0, ptf_usage_get(0, &a));
	EXPECT_LT(a.rss_bytes + 15 * MB, b.rss_bytes);
	EXPECT_LE(b.rss_bytes - MB, a.rss_peak_bytes);
	EXPECT_EQ(-EINVAL, ptf_usage_get(0, &small));
	EXPECT_EQ(0, small.rss_bytes);
	pid = fork();
	if (!pid)
		_exit(0);
	ASSERT_EQ(0, waitid(P_PID, pid, &(siginfo_t){ 0 }, WEXITED | WNOWAIT));
	EXPECT_EQ(-ESRCH, ptf_usage_get(pid, &a));
	waitpid(pid, &status, 0);
	EXPECT_EQ(-ESRCH, ptf_usage_get(pid, &a));
	EXPECT_EQ(-ESRCH, ptf_usage_get(-5, &a));
	/* A kernel thread has none. */
	if (!geteuid() && !access("/proc/2/status", R_OK))
		EXPECT_EQ(-ESRCH, ptf_usage_get(2, &a));
}

/* --- failures --------------------------------------------------------------------- */

static void *other_thread(void *arg)
{
	/* Nothing has failed here. */
	if (ptf_failure_last()->err)
		return (void *)1;
	ptf_advise((void *)1, 1, 0);
	return (void *)(intptr_t)(ptf_failure_last()->err != EINVAL);
}

TEST(failures_are_per_thread)
{
	char text[512], small[16];
	pthread_t t;
	void *ret;
	size_t n;

	ptf_failure_clear();
	EXPECT_EQ(0, ptf_failure_last()->err);
	EXPECT_EQ(sizeof(struct ptf_failure), ptf_failure_last()->size);
	memset(text, 'x', sizeof(text));
	EXPECT_EQ(0, ptf_failure_text(text, sizeof(text)));
	EXPECT_STREQ("", text);
	errno = 77;
	EXPECT_EQ(-EPERM, ptf_advise(text, 1, PTF_MADV_DONTNEED));
	EXPECT_EQ(77, errno);
	pthread_create(&t, NULL, other_thread, NULL);
	pthread_join(t, &ret);
	EXPECT_EQ(NULL, ret);
	EXPECT_EQ(EPERM, ptf_failure_last()->err);
	/* What succeeds leaves it alone. */
	EXPECT_EQ(0, ptf_advise(NULL, 0, PTF_MADV_NORMAL));
	EXPECT_EQ(EPERM, ptf_failure_last()->err);

	n = ptf_failure_text(text, sizeof(text));
	EXPECT_EQ(n, strlen(text));
	EXPECT_EQ(77, errno);
	EXPECT_NE(NULL, strstr(text, "ptf_advise: "));
	EXPECT_NE(NULL, strstr(text, "EPERM"));
	EXPECT_NE(NULL, strstr(text, "argument layer"));
	EXPECT_NE(NULL, strstr(text, "0 of 1 bytes"));
	EXPECT_NE(NULL, strstr(text, "_unchecked"));
	EXPECT_EQ(NULL, strchr(text, '\n'));
	memset(small, 'x', sizeof(small));
	EXPECT_EQ(n, ptf_failure_text(small, 8));
	EXPECT_EQ(0, memcmp(small, text, 7));
	EXPECT_EQ(0, small[7]);
	EXPECT_EQ('x', small[8]);
	EXPECT_EQ(n, ptf_failure_text(NULL, 0));
	ptf_failure_clear();
	EXPECT_EQ(0, ptf_failure_last()->err);
}

TEST(every_failure_has_a_way_out)
{
	char *p = anon(1), text[512];
	struct ptf_map *m;
	struct ptf_vma_list *l;
	int i;

	for (i = 0; i < 8; i++) {
		ptf_failure_clear();
		switch (i) {
		case 0:
			ptf_advise(p + 1, 1, PTF_MADV_NORMAL);
			break;
		case 1:
			munmap(p, PAGE);
			ptf_advise(p, 1, PTF_MADV_NORMAL);
			break;
		case 2:
			ptf_map_create(PTF_MAP_ANON, -1, 0, SIZE_MAX, NULL, &m);
			break;
		case 3:
			ptf_vma_list_create(1 << 22, &l);
			break;
		case 4:
			ptf_copy_in(text, NULL, 1, 0, NULL);
			break;
		case 5:
			ptf_advise(text, 1, 5);
			break;
		case 6:
			ptf_advise(p, 1, PTF_ADV_STASH);
			break;
		case 7:
			ptf_advise((void *)((uintptr_t)text & ~(PAGE - 1)), PAGE,
				   PTF_MADV_WIPEONFORK + 8);
			break;
		}
		EXPECT_NE(0, ptf_failure_last()->err);
		ptf_failure_text(text, sizeof(text));
		EXPECT_NE(NULL, strstr(text, "; ")) {
			TH_LOG("no way out: %s", text);
		}
		EXPECT_NE(NULL, strstr(text, " layer"));
		EXPECT_NE(0, ptf_failure_last()->op[0]);
	}
	EXPECT_STREQ("filemap", ptf_layer_name(PTF_LAYER_FILEMAP));
	EXPECT_STREQ("?", ptf_layer_name(99));
	EXPECT_NE(NULL, strchr(ptf_version(), '.'));
}

TEST_HARNESS_MAIN
