// SPDX-License-Identifier: GPL-2.0-only
/*
 * Who maps a file, and where: offsets and clipping, private copies, fork, other
 * processes, rights, and address spaces that come and go during the look.
 */
#include "ptf_test.h"

#define NR	32
#define LEN	PAGES(NR)
#define SEED	41
#define ROOM	64

FIXTURE(mappers) {
	int fd;
	struct ptf_log log;
	int file;
	struct ptf_mapper rows[ROOM];
};

FIXTURE_SETUP(mappers)
{
	self->fd = ptf_setup(_metadata, &self->log);
	if (self->fd < 0)
		return;
	self->file = ptf_file_in(PTF_SHM, LEN, SEED);
	ASSERT_LE(0, self->file);
}

PTF_TEARDOWN(mappers)

static int _test_cmd_file_mappers(int fd, struct ptf_ioc_file_mappers *cmd, int file,
				  __u64 start, __u64 end, struct ptf_mapper *rows, __u64 nr)
{
	PTF_POISONED(cmd);
	if (rows)
		memset(rows, POISON, nr * sizeof(*rows));
	cmd->fd = file;
	cmd->row_size = sizeof(struct ptf_mapper);
	cmd->start = start;
	cmd->end = end;
	cmd->rows = u64ptr(rows);
	cmd->nr_rows = nr;
	return ioctl(fd, PTF_IOC_FILE_MAPPERS, cmd);
}

#define test_cmd_file_mappers(cmd, start, end) \
	ASSERT_OK(_test_cmd_file_mappers(self->fd, cmd, self->file, start, end, self->rows, ROOM))

static void *map(int file, int first, int nr, int flags)
{
	void *p = mmap(NULL, PAGES(nr), PROT_READ | PROT_WRITE, flags, file, PAGES(first));

	return p == MAP_FAILED ? NULL : p;
}

/* The row of a mapping at an address, by @pid; NULL if there is none. */
static struct ptf_mapper *row_at(struct ptf_mapper *rows, __u64 nr, int pid, const void *addr)
{
	__u64 i;

	for (i = 0; i < nr; i++)
		if (rows[i].pid == pid && rows[i].start <= u64ptr(addr) &&
		    u64ptr(addr) < rows[i].end)
			return &rows[i];
	return NULL;
}

TEST_F(mappers, nobody)
{
	struct ptf_ioc_file_mappers c;

	test_cmd_file_mappers(&c, 0, PTF_FILE_END);
	EXPECT_EQ(0, c.out_rows);
	EXPECT_EQ(0, c.out_total);
	EXPECT_EQ((int)POISON32, self->rows[0].pid);
}

TEST_F(mappers, offsets)
{
	struct ptf_ioc_file_mappers c;
	char *a = map(self->file, 0, 8, MAP_SHARED);
	char *b = map(self->file, 4, 20, MAP_SHARED);
	struct ptf_mapper *r;
	int i;

	ASSERT_NE(NULL, a);
	ASSERT_NE(NULL, b);
	/* one page by one: a fault maps what lies around, too */
	madvise(b, PAGES(20), MADV_DONTNEED);
	test_cmd_file_mappers(&c, 0, PTF_FILE_END);
	ASSERT_EQ(2, c.out_rows);
	EXPECT_EQ(2, c.out_total);
	r = row_at(self->rows, 2, getpid(), a);
	ASSERT_NE(NULL, r);
	EXPECT_EQ(u64ptr(a), r->start);
	EXPECT_EQ(u64ptr(a) + PAGES(8), r->end);
	EXPECT_EQ(0, r->offset);
	EXPECT_EQ(0, r->mapped_pages);
	EXPECT_EQ(0, r->reserved);
	EXPECT_TRUE(r->flags & PTF_VMA_SHARED);
	EXPECT_TRUE(r->flags & PTF_VMA_SHMEM);
	r = row_at(self->rows, 2, getpid(), b);
	ASSERT_NE(NULL, r);
	EXPECT_EQ(PAGES(4), r->offset);
	EXPECT_EQ(u64ptr(b) + PAGES(20), r->end);

	/* part of it: only what maps that part */
	test_cmd_file_mappers(&c, PAGES(6), PAGES(10));
	ASSERT_EQ(2, c.out_rows);
	r = row_at(self->rows, 2, getpid(), a + PAGES(6));
	ASSERT_NE(NULL, r);
	EXPECT_EQ(u64ptr(a) + PAGES(6), r->start);
	EXPECT_EQ(u64ptr(a) + PAGES(8), r->end);
	EXPECT_EQ(PAGES(6), r->offset);
	r = row_at(self->rows, 2, getpid(), b + PAGES(2));
	ASSERT_NE(NULL, r);
	EXPECT_EQ(u64ptr(b) + PAGES(2), r->start);
	EXPECT_EQ(u64ptr(b) + PAGES(6), r->end);
	EXPECT_EQ(PAGES(6), r->offset);
	test_cmd_file_mappers(&c, PAGES(7), PAGES(8));
	EXPECT_EQ(2, c.out_rows);
	test_cmd_file_mappers(&c, PAGES(8), PAGES(9));
	EXPECT_EQ(1, c.out_rows);
	test_cmd_file_mappers(&c, PAGES(24), PTF_FILE_END);
	EXPECT_EQ(0, c.out_rows);
	test_cmd_file_mappers(&c, PAGES(23), PAGES(24));
	EXPECT_EQ(1, c.out_rows);

	/* written pages are mapped one by one */
	for (i = 0; i < 5; i++)
		ptf_rewrite(b + PAGES(3 * i));
	test_cmd_file_mappers(&c, PAGES(4), PAGES(24));
	r = row_at(self->rows, c.out_rows, getpid(), b);
	ASSERT_NE(NULL, r);
	EXPECT_LE(5, r->mapped_pages);
	EXPECT_EQ(0, r->copied_pages);
	ptf_touch_all(b, PAGES(20));
	test_cmd_file_mappers(&c, PAGES(4), PAGES(24));
	r = row_at(self->rows, c.out_rows, getpid(), b);
	ASSERT_NE(NULL, r);
	EXPECT_EQ(20, r->mapped_pages);
	/* a hint maps its page still; of a split mapping each part is a row */
	ASSERT_EQ(0, mprotect(b + PAGES(10), PAGES(10), PROT_READ));
	test_cmd_advise_all(PTF_ADV_NOTPRESENT, b, PAGES(10));
	test_cmd_file_mappers(&c, 0, PTF_FILE_END);
	EXPECT_EQ(3, c.out_rows);
	r = row_at(self->rows, c.out_rows, getpid(), b);
	ASSERT_NE(NULL, r);
	EXPECT_EQ(10, r->mapped_pages);
	EXPECT_TRUE(r->flags & PTF_VMA_WRITE);
	r = row_at(self->rows, c.out_rows, getpid(), b + PAGES(10));
	ASSERT_NE(NULL, r);
	EXPECT_EQ(PAGES(14), r->offset);
	EXPECT_FALSE(r->flags & PTF_VMA_WRITE);
	EXPECT_EQ(0, ptf_wrong(a, PAGES(4), SEED));
}

/* What two processes share with each other. */
struct meeting {
	unsigned int there;
	unsigned int go;
	char *addr;
};

struct mapper_args {
	int file;
	int flags;
	int first, nr, write;
	struct meeting *m;
};

static int map_and_wait(void *arg)
{
	struct mapper_args *a = arg;
	char *p = map(a->file, a->first, a->nr, a->flags);
	int i;

	if (!p)
		return 1;
	for (i = 0; i < a->write; i++)
		ptf_rewrite(p + PAGES(i));
	a->m->addr = p;
	__atomic_add_fetch(&a->m->there, 1, __ATOMIC_SEQ_CST);
	return !ptf_await(&a->m->go, 1, 60000);
}

TEST_F(mappers, another_process_with_copies)
{
	struct mapper_args args = {
		.file = self->file, .flags = MAP_PRIVATE, .first = 8, .nr = 16, .write = 5,
		.m = ptf_shared(PAGE),
	};
	char *mine = map(self->file, 0, NR, MAP_PRIVATE);
	struct ptf_ioc_file_mappers c;
	struct ptf_mapper *r;
	pid_t pid;

	ASSERT_NE(NULL, args.m);
	ASSERT_NE(NULL, mine);
	pid = ptf_child(map_and_wait, &args);
	ASSERT_LT(0, pid);
	ASSERT_TRUE(ptf_await(&args.m->there, 1, 30000));
	ptf_touch(mine);
	test_cmd_file_mappers(&c, 0, PTF_FILE_END);
	/* mine, the child's inherited one, the child's own */
	EXPECT_EQ(3, c.out_rows);
	EXPECT_EQ(3, c.out_total);
	r = row_at(self->rows, c.out_rows, pid, args.m->addr);
	ASSERT_NE(NULL, r);
	EXPECT_EQ(PAGES(8), r->offset);
	EXPECT_EQ(u64ptr(args.m->addr) + PAGES(16), r->end);
	EXPECT_EQ(5, r->copied_pages);
	EXPECT_LE(5, r->mapped_pages);
	EXPECT_FALSE(r->flags & PTF_VMA_SHARED);
	r = row_at(self->rows, c.out_rows, getpid(), mine);
	ASSERT_NE(NULL, r);
	EXPECT_LE(1, r->mapped_pages);
	EXPECT_EQ(0, r->copied_pages);
	EXPECT_NE(NULL, row_at(self->rows, c.out_rows, pid, mine));
	/* the part that is not copied */
	test_cmd_file_mappers(&c, PAGES(13), PAGES(24));
	r = row_at(self->rows, c.out_rows, pid, args.m->addr + PAGES(5));
	ASSERT_NE(NULL, r);
	EXPECT_EQ(0, r->copied_pages);
	__atomic_store_n(&args.m->go, 1, __ATOMIC_SEQ_CST);
	EXPECT_EQ(0, ptf_wait(pid));
	/* it may go a little after its process */
	usleep(100000);
	test_cmd_file_mappers(&c, 0, PTF_FILE_END);
	EXPECT_EQ(1, c.out_rows);
	munmap(mine, LEN);
	test_cmd_file_mappers(&c, 0, PTF_FILE_END);
	EXPECT_EQ(0, c.out_rows);
}

TEST_F(mappers, a_thread_is_not_a_process)
{
	char *mine = map(self->file, 0, NR, MAP_SHARED);
	struct meeting *m = ptf_shared(PAGE);
	struct ptf_ioc_file_mappers c;
	pid_t pid;

	ASSERT_NE(NULL, mine);
	ASSERT_NE(NULL, m);
	/* a process of its own in the same address space: one mapping, one row */
	pid = vfork();
	if (!pid) {
		/* the parent sleeps, its address space is ours: it is the oldest */
		int ret = _test_cmd_file_mappers(self->fd, &c, self->file, 0, PTF_FILE_END,
						 self->rows, ROOM);

		_exit(ret ? 99 : (int)c.out_rows);
	}
	ASSERT_LT(0, pid);
	EXPECT_EQ(1, ptf_wait(pid));
	EXPECT_EQ(getpid(), self->rows[0].pid);
	EXPECT_EQ(u64ptr(mine), self->rows[0].start);
}

TEST_F(mappers, arguments)
{
	struct ptf_ioc_file_mappers c;
	char *mine = map(self->file, 0, NR, MAP_SHARED);
	struct { struct ptf_mapper m; char more[24]; } wide[2];
	int pipes[2], dir, wo, i;
	char path[64];

	ASSERT_NE(NULL, mine);
	ASSERT_NE(NULL, map(self->file, 1, 2, MAP_SHARED));
	/* only count */
	ASSERT_OK(_test_cmd_file_mappers(self->fd, &c, self->file, 0, LEN, NULL, 0));
	EXPECT_EQ(0, c.out_rows);
	EXPECT_EQ(2, c.out_total);
	/* a short array */
	ASSERT_OK(_test_cmd_file_mappers(self->fd, &c, self->file, 0, LEN, self->rows, 1));
	EXPECT_EQ(1, c.out_rows);
	EXPECT_EQ(2, c.out_total);
	EXPECT_EQ(getpid(), self->rows[0].pid);
	/* a caller that knows more */
	test_cmd_file_mappers(&c, 0, LEN);
	memset(wide, POISON, sizeof(wide));
	c.row_size = sizeof(wide[0]);
	c.rows = u64ptr(wide);
	c.nr_rows = 2;
	ASSERT_OK(ioctl(self->fd, PTF_IOC_FILE_MAPPERS, &c));
	EXPECT_EQ(2, c.out_rows);
	for (i = 0; i < 2; i++) {
		EXPECT_EQ(0, memcmp(&wide[i].m, &self->rows[i], sizeof(wide[i].m)));
		EXPECT_EQ(0, wide[i].more[0] | wide[i].more[23]);
	}

#define err(_errno, _field, _value) do { \
	test_cmd_file_mappers(&c, 0, LEN); \
	c._field = (_value); \
	EXPECT_ERRNO(_errno, ioctl(self->fd, PTF_IOC_FILE_MAPPERS, &c)); \
} while (0)
	err(EOPNOTSUPP, flags, 1);
	err(EINVAL, start, 1);
	err(EINVAL, start, LEN);
	err(EINVAL, end, LEN - 1);
	err(EINVAL, end, 0);
	err(EINVAL, row_size, sizeof(struct ptf_mapper) - 8);
	err(EINVAL, row_size, PAGE + 8);
	err(EINVAL, rows, 0);
	err(EINVAL, nr_rows, 0);
	err(EOVERFLOW, nr_rows, ~0ULL);
	err(EFAULT, rows, 8);
	err(EBADF, fd, -1);
	err(EBADF, fd, 1000000);
	ASSERT_EQ(0, pipe(pipes));
	err(ENODEV, fd, pipes[0]);
	dir = open("/", O_RDONLY | O_DIRECTORY);
	err(ENODEV, fd, dir);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", self->file);
	wo = open(path, O_WRONLY);
	ASSERT_LE(0, wo);
	err(EBADF, fd, wo);
	close(wo);
	close(dir);
	close(pipes[0]);
	close(pipes[1]);
}

/* Without the capability: one's own, the opener's, and a number for the rest. */
struct rights_args {
	int fd, file;
	struct ptf_mapper *rows;
	struct ptf_ioc_file_mappers *c;
};

static int look_as_nobody(void *arg)
{
	struct rights_args *a = arg;

	if (setgid(65534) || setuid(65534))
		return 1;
	return _test_cmd_file_mappers(a->fd, a->c, a->file, 0, PTF_FILE_END, a->rows, ROOM) ?
		errno : 0;
}

TEST_F(mappers, rights)
{
	struct mapper_args other = {
		.file = self->file, .flags = MAP_SHARED, .nr = 4, .m = ptf_shared(PAGE),
	};
	struct rights_args a = {
		.fd = self->fd, .file = self->file, .rows = ptf_shared(PAGES(2)),
		.c = ptf_shared(PAGE),
	};
	pid_t pid, nobody;
	char *mine;

	ASSERT_NE(NULL, a.rows);
	ASSERT_NE(NULL, a.c);
	pid = ptf_child(map_and_wait, &other);
	ASSERT_TRUE(ptf_await(&other.m->there, 1, 30000));
	mine = map(self->file, 0, NR, MAP_SHARED);
	ASSERT_NE(NULL, mine);
	nobody = ptf_child(look_as_nobody, &a);
	EXPECT_EQ(0, ptf_wait(nobody));
	/* the opener's, that is mine, and its own copy of it */
	EXPECT_EQ(2, a.c->out_rows);
	EXPECT_EQ(3, a.c->out_total);
	EXPECT_NE(NULL, row_at(a.rows, 2, getpid(), mine));
	EXPECT_NE(NULL, row_at(a.rows, 2, nobody, mine));
	ptf_kill(pid);
}

static int look_from_another_namespace(void *arg)
{
	struct rights_args *a = arg;
	pid_t pid;

	if (unshare(CLONE_NEWPID))
		return 1;
	pid = fork();
	if (!pid)
		_exit(_test_cmd_file_mappers(a->fd, a->c, a->file, 0, PTF_FILE_END, a->rows,
					     ROOM) ? errno : 0);
	return ptf_wait(pid);
}

TEST_F(mappers, pid_namespace)
{
	char *mine = map(self->file, 0, NR, MAP_SHARED);
	struct rights_args a = {
		.fd = self->fd, .file = self->file, .rows = ptf_shared(PAGES(2)),
		.c = ptf_shared(PAGE),
	};
	unsigned int i, zero = 0, one = 0;
	pid_t pid;

	ASSERT_NE(NULL, mine);
	pid = ptf_child(look_from_another_namespace, &a);
	EXPECT_EQ(0, ptf_wait(pid));
	/* mine and the child's have no number there, its own is 1 */
	EXPECT_EQ(3, a.c->out_rows);
	for (i = 0; i < a.c->out_rows; i++) {
		zero += a.rows[i].pid == 0;
		one += a.rows[i].pid == 1;
		EXPECT_EQ(u64ptr(mine), a.rows[i].start);
	}
	EXPECT_EQ(2, zero);
	EXPECT_EQ(1, one);
}

/* Processes that map, unmap, fork and die while somebody looks. */
static int come_and_go(void *arg)
{
	struct mapper_args *a = arg;
	unsigned int seed = getpid();

	for (;;) {
		char *p = map(a->file, rand_r(&seed) % 8, 8, rand_r(&seed) % 2 ?
			      MAP_SHARED : MAP_PRIVATE);
		pid_t pid;

		if (!p)
			return 1;
		ptf_rewrite(p + PAGES(rand_r(&seed) % 8));
		if (!(rand_r(&seed) % 4)) {
			pid = fork();
			if (!pid)
				_exit(0);
			if (pid > 0)
				ptf_wait(pid);
		}
		munmap(p, PAGES(rand_r(&seed) % 7 + 1));
		munmap(p, PAGES(8));
		if (__atomic_load_n(&a->m->go, __ATOMIC_SEQ_CST))
			return 0;
	}
}

TEST_F_TIMEOUT(mappers, come_and_go, 240)
{
	struct mapper_args args = { .file = self->file, .m = ptf_shared(PAGE) };
	unsigned long i, rounds = ptf_rounds(3000), seen = 0;
	char *mine = map(self->file, 0, NR, MAP_SHARED);
	struct ptf_ioc_file_mappers c;
	struct ptf_mapper *r;
	pid_t pid[4], kill_me;
	unsigned int j;

	ASSERT_NE(NULL, mine);
	for (j = 0; j < ARRAY_SIZE(pid); j++) {
		pid[j] = ptf_child(come_and_go, &args);
		ASSERT_LT(0, pid[j]);
	}
	for (i = 0; i < rounds; i++) {
		kill_me = 0;
		if (!(i % 50)) {
			kill_me = ptf_child(come_and_go, &args);
			ASSERT_LT(0, kill_me);
			kill(kill_me, SIGKILL);
		}
		test_cmd_file_mappers(&c, 0, PTF_FILE_END);
		ASSERT_LE(c.out_rows, ROOM);
		ASSERT_LE(c.out_rows, c.out_total);
		/* what stands still is always there */
		r = row_at(self->rows, c.out_rows, getpid(), mine);
		ASSERT_NE(NULL, r);
		ASSERT_EQ(u64ptr(mine), r->start);
		ASSERT_EQ(u64ptr(mine) + LEN, r->end);
		for (j = 0; j < c.out_rows; j++) {
			r = &self->rows[j];
			ASSERT_LT(r->start, r->end);
			ASSERT_LE(r->mapped_pages, (r->end - r->start) / PAGE);
			ASSERT_LE(r->copied_pages, r->mapped_pages);
			seen += r->start != u64ptr(mine);
		}
		if (kill_me)
			EXPECT_EQ(256 + SIGKILL, ptf_wait(kill_me));
	}
	__atomic_store_n(&args.m->go, 1, __ATOMIC_SEQ_CST);
	for (j = 0; j < ARRAY_SIZE(pid); j++)
		EXPECT_EQ(0, ptf_wait(pid[j]));
	EXPECT_LT(0, seen);
}

TEST_HARNESS_MAIN
