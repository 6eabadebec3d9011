// SPDX-License-Identifier: GPL-2.0-only
/*
 * Mapping objects: every kind, option and method, every edge of length and
 * offset, and that a failed change leaves the map as it was, also where the
 * failure comes in the middle.
 */
/* vm: --no-module */
#include "test_lib.h"

#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x10
#endif

static struct ptf_map_info query(const struct ptf_map *m)
{
	struct ptf_map_info i = { .size = sizeof(i) };

	if (ptf_map_query(m, &i))
		i.size = 0;
	return i;
}

static struct ptf_map *make(int kind, int fd, uint64_t offset, size_t length,
			    const struct ptf_map_options *o)
{
	struct ptf_map *m = NULL;

	return ptf_map_create(kind, fd, offset, length, o, &m) ? NULL : m;
}

static int err_of(int kind, int fd, uint64_t offset, size_t length,
		  const struct ptf_map_options *o)
{
	struct ptf_map *m = (void *)-1;
	struct ptf_vma_list *list;
	size_t before, after;
	int ret;

	/* Heap that a failure's text takes is no mapping that a failure leaves. */
	if (!ptf_vma_list_create(0, &list))
		ptf_vma_list_destroy(list);
	before = vma_count();
	ret = ptf_map_create(kind, fd, offset, length, o, &m);
	if (!ret) {
		ptf_map_destroy(m);
		return 0;
	}
	/* A failure gives no object, leaves no mapping and says so. */
	after = vma_count();
	if (m != (void *)-1 || ptf_failure_last()->err != -ret ||
	    (!UNDER_ASAN && before != after))
		return 1000;
	return ret;
}

#define OPTS(...) (&(struct ptf_map_options){ .size = sizeof(struct ptf_map_options), __VA_ARGS__ })

/* Access as the processor does it, in a child: 0 fine, else the signal. */
static int touch(volatile char *p, bool write)
{
	int status;
	pid_t pid = fork();

	if (!pid) {
		signal(SIGSEGV, SIG_DFL);
		signal(SIGBUS, SIG_DFL);
		setrlimit(RLIMIT_CORE, &(struct rlimit){ 0, 0 });
		if (write)
			*p = 1;
		else
			(void)*p;
		_exit(0);
	}
	waitpid(pid, &status, 0);
	return WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status);
}

FIXTURE(map) {
	int fd;		/* eight pages */
	char path[64];
};

FIXTURE_SETUP(map)
{
	static char buf[8 * 4096];

	strcpy(self->path, "/tmp/ptf-map-XXXXXX");
	self->fd = mkstemp(self->path);
	ASSERT_LE(0, self->fd);
	pages_fill(buf, 8, 7);
	ASSERT_EQ(sizeof(buf), write(self->fd, buf, sizeof(buf)));
	ptf_failure_clear();
}

FIXTURE_TEARDOWN(map)
{
	unlink(self->path);
	close(self->fd);
}

/* --- kinds ---------------------------------------------------------------- */

TEST_F(map, kinds_of_a_file)
{
	static const struct {
		int kind, prot;
		const char *shared;
		int write;	/* signal of a write */
	} kinds[] = {
		{ PTF_MAP_READ, PROT_READ, "ms", SIGSEGV },
		{ PTF_MAP_EXEC, PROT_READ | PROT_EXEC, "ms", SIGSEGV },
		{ PTF_MAP_WRITE, PROT_READ | PROT_WRITE, "sh", 0 },
		{ PTF_MAP_COPY, PROT_READ | PROT_WRITE, NULL, 0 },
		{ PTF_MAP_COPY_READ, PROT_READ, NULL, SIGSEGV },
	};
	struct ptf_map_info info;
	struct ptf_map *m;
	unsigned int i;
	char c;

	for (i = 0; i < ARRAY_SIZE(kinds); i++) {
		m = make(kinds[i].kind, self->fd, 0, PAGES(8), NULL);
		ASSERT_NE(NULL, m);
		info = query(m);
		EXPECT_EQ(kinds[i].kind, info.kind);
		EXPECT_EQ(PAGES(8), info.length);
		EXPECT_EQ(info.base, info.data);
		EXPECT_EQ(ptf_map_data(m), info.data);
		EXPECT_EQ(PAGES(8), ptf_map_length(m));
		EXPECT_EQ(PAGES(8), info.base_bytes);
		EXPECT_EQ(PAGES(8), info.reserve_bytes);
		EXPECT_EQ(PAGE, info.page_bytes);
		EXPECT_EQ(0, info.offset);
		EXPECT_EQ(kinds[i].prot, info.prot);
		EXPECT_EQ(kinds[i].prot, prot_at(info.data));
		EXPECT_EQ(true, pages_have(info.data, 8, 7));
		EXPECT_EQ(kinds[i].write, touch(info.data, true));
		ASSERT_EQ(1, pread(self->fd, &c, 1, 0));
		if (kinds[i].kind == PTF_MAP_WRITE) {
			EXPECT_EQ(1, c);
			pages_fill(info.data, 8, 7);
		} else {
			/* A child's write went nowhere but to its copy. */
			EXPECT_EQ(true, pages_have(info.data, 8, 7));
			EXPECT_NE(1, c);
		}
		EXPECT_EQ(0, ptf_map_destroy(m));
		EXPECT_EQ(-1, prot_at(info.data));
	}
}

TEST_F(map, copies_stay_private)
{
	struct ptf_map *m = make(PTF_MAP_COPY, self->fd, 0, PAGES(8), NULL);
	char *p = ptf_map_data(m), c;

	p[0] = 'x';
	ASSERT_EQ(1, pread(self->fd, &c, 1, 0));
	EXPECT_NE('x', c);
	EXPECT_EQ(true, page_has(p, 1, 7));
	EXPECT_EQ(0, ptf_map_destroy(m));
}

TEST(kinds_of_memory)
{
	struct ptf_map *m = make(PTF_MAP_ANON, -1, 0, PAGES(3) + 1, NULL);
	char *p = ptf_map_data(m);
	int verdict;

	EXPECT_EQ(PAGES(3) + 1, ptf_map_length(m));
	EXPECT_EQ(PAGES(4), query(m).base_bytes);
	EXPECT_EQ(true, page_zero(p, 3));
	p[0] = 1;
	IN_CHILD(verdict, { CHILD_CHECK(1, p[0] == 1); p[0] = 2; });
	EXPECT_EQ(0, verdict);
	EXPECT_EQ(1, p[0]);
	EXPECT_EQ(0, ptf_map_destroy(m));

	m = make(PTF_MAP_ANON_SHARED, -1, 0, PAGE, NULL);
	p = ptf_map_data(m);
	p[0] = 1;
	IN_CHILD(verdict, { CHILD_CHECK(1, p[0] == 1); p[0] = 2; });
	EXPECT_EQ(0, verdict);
	EXPECT_EQ(2, p[0]);
	EXPECT_EQ(0, ptf_map_destroy(m));

	m = make(PTF_MAP_RESERVE, -1, 0, 1UL << 40, NULL);
	ASSERT_NE(NULL, m);
	EXPECT_EQ(PROT_NONE, prot_at(ptf_map_data(m)));
	EXPECT_EQ(SIGSEGV, touch(ptf_map_data(m), false));
	EXPECT_EQ(0, ptf_map_destroy(m));

	m = make(PTF_MAP_RAW, -1, 0, PAGE,
		 OPTS(.prot = PROT_READ, .mmap_flags = MAP_PRIVATE | MAP_ANONYMOUS));
	ASSERT_NE(NULL, m);
	EXPECT_EQ(PROT_READ, prot_at(ptf_map_data(m)));
	EXPECT_EQ(0, ptf_map_destroy(m));
	EXPECT_EQ(0, ptf_map_destroy(NULL));
	ptf_map_release(NULL, NULL, NULL);
}

TEST_F(map, raw_and_device)
{
	struct ptf_map *m;

	m = make(PTF_MAP_RAW, self->fd, 0, PAGES(2),
		 OPTS(.prot = PROT_READ | PROT_WRITE, .mmap_flags = MAP_SHARED));
	ASSERT_NE(NULL, m);
	EXPECT_EQ(true, pages_have(ptf_map_data(m), 2, 7));
	EXPECT_EQ(0, ptf_map_destroy(m));
	/* The device kind wants a session's fd; test_lib_rule has one. */
	EXPECT_EQ(-ENODEV, err_of(PTF_MAP_DEVICE, self->fd, 0, PAGES(2), NULL));
	EXPECT_EQ(-EINVAL, err_of(PTF_MAP_RAW, self->fd, 0, PAGE, NULL));
	EXPECT_EQ(-EINVAL, err_of(PTF_MAP_RAW, self->fd, 0, PAGE,
				  OPTS(.mmap_flags = MAP_SHARED | MAP_FIXED)));
}

/* --- lengths and offsets -------------------------------------------------- */

TEST_F(map, outlives_its_fd)
{
	int fd = dup(self->fd);
	struct ptf_map *m = make(PTF_MAP_READ, fd, 0, PAGES(8), NULL);

	close(fd);
	EXPECT_EQ(true, pages_have(ptf_map_data(m), 8, 7));
	EXPECT_EQ(0, ptf_map_destroy(m));
}

TEST_F(map, any_offset)
{
	static const uint64_t offsets[] = { 0, 1, PAGE - 1, PAGE, PAGE + 1, PAGES(3) + 777 };
	static char file[8 * 4096];
	struct ptf_map *m;
	unsigned int i;

	ASSERT_EQ(sizeof(file), pread(self->fd, file, sizeof(file), 0));
	for (i = 0; i < ARRAY_SIZE(offsets); i++) {
		struct ptf_map_info info;

		m = make(PTF_MAP_READ, self->fd, offsets[i], PAGES(2), NULL);
		ASSERT_NE(NULL, m);
		info = query(m);
		EXPECT_EQ(0, memcmp(info.data, file + offsets[i], PAGES(2)));
		EXPECT_EQ(0, (uintptr_t)info.base % PAGE);
		EXPECT_EQ(offsets[i] % PAGE, (char *)info.data - (char *)info.base);
		EXPECT_EQ(offsets[i], info.offset);
		EXPECT_EQ(PAGES(2 + !!(offsets[i] % PAGE)), info.base_bytes);
		EXPECT_EQ(0, ptf_map_destroy(m));
		EXPECT_EQ(-1, prot_at(info.base));
		EXPECT_EQ(-1, prot_at((char *)info.base + info.base_bytes - 1));
	}
}

TEST(offset_over_4g)
{
	int fd = memfd_create("big", 0);
	uint64_t offset = (5ULL << 30) + 123;
	struct ptf_map *m;

	ASSERT_EQ(0, ftruncate(fd, 6LL << 30));
	ASSERT_EQ(5, pwrite(fd, "hello", 5, (off_t)offset));
	m = make(PTF_MAP_READ, fd, offset, 5, NULL);
	ASSERT_NE(NULL, m);
	EXPECT_EQ(0, memcmp(ptf_map_data(m), "hello", 5));
	EXPECT_EQ(0, ptf_map_destroy(m));
	m = make(PTF_MAP_WRITE, fd, offset, 0, OPTS(.flags = PTF_MAP_F_TO_END));
	ASSERT_NE(NULL, m);
	EXPECT_EQ((1ULL << 30) - 123, ptf_map_length(m));
	EXPECT_EQ(0, memcmp(ptf_map_data(m), "hello", 5));
	EXPECT_EQ(0, ptf_map_destroy(m));
	close(fd);
}

TEST_F(map, lengths_at_the_edges)
{
	static const struct { size_t length; int err; size_t base; } edges[] = {
		{ 0, 0, PAGE }, { 1, 0, PAGE }, { PAGE - 1, 0, PAGE },
		{ PAGE, 0, PAGE }, { PAGE + 1, 0, PAGES(2) },
		{ PTRDIFF_MAX - PAGE, -ENOMEM, 0 },
		{ PTRDIFF_MAX, -ENOMEM, 0 },
		{ (size_t)PTRDIFF_MAX + 1, -EOVERFLOW, 0 },
		{ SIZE_MAX - PAGE, -EOVERFLOW, 0 },
		{ SIZE_MAX, -EOVERFLOW, 0 },
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(edges); i++) {
		struct ptf_map *m;

		EXPECT_EQ(edges[i].err, err_of(PTF_MAP_ANON, -1, 0, edges[i].length, NULL)) {
			TH_LOG("length %zu", edges[i].length);
		}
		EXPECT_EQ(edges[i].err == -ENOMEM ? 1 : !edges[i].err,
			  err_of(PTF_MAP_READ, self->fd, 0, edges[i].length, NULL) != -EOVERFLOW);
		if (edges[i].err)
			continue;
		m = make(PTF_MAP_READ, self->fd, 0, edges[i].length, NULL);
		ASSERT_NE(NULL, m);
		EXPECT_EQ(edges[i].length, ptf_map_length(m));
		EXPECT_EQ(edges[i].base, query(m).base_bytes);
		EXPECT_NE(NULL, ptf_map_data(m));
		EXPECT_EQ(0, (uintptr_t)ptf_map_data(m) % PAGE);
		EXPECT_EQ(0, ptf_map_destroy(m));
	}
	/* The slack counts. */
	EXPECT_EQ(-EOVERFLOW, err_of(PTF_MAP_READ, self->fd, 1, PTRDIFF_MAX, NULL));
	EXPECT_EQ(-EOVERFLOW, err_of(PTF_MAP_READ, self->fd, (uint64_t)INT64_MAX + 1, PAGE, NULL));
	EXPECT_EQ(-EOVERFLOW, err_of(PTF_MAP_READ, self->fd, UINT64_MAX, PAGE, NULL));
	EXPECT_NE(0, err_of(PTF_MAP_READ, self->fd, INT64_MAX, PAGE, NULL));
	EXPECT_EQ(-EOVERFLOW, err_of(PTF_MAP_ANON, -1, 0, PAGE, OPTS(.reserve = SIZE_MAX)));
	EXPECT_EQ(-EOVERFLOW, err_of(PTF_MAP_ANON, -1, 0, PAGE,
				     OPTS(.reserve = (size_t)PTRDIFF_MAX + 1)));
	EXPECT_EQ(-ENOMEM, err_of(PTF_MAP_ANON, -1, 0, PAGE, OPTS(.reserve = PTRDIFF_MAX)));
}

TEST_F(map, to_the_end)
{
	struct ptf_map *m;
	int empty = memfd_create("empty", 0);

	m = make(PTF_MAP_READ, self->fd, 0, 0, OPTS(.flags = PTF_MAP_F_TO_END));
	ASSERT_NE(NULL, m);
	EXPECT_EQ(PAGES(8), ptf_map_length(m));
	EXPECT_EQ(0, ptf_map_destroy(m));
	m = make(PTF_MAP_READ, self->fd, PAGES(8) - 1, 0, OPTS(.flags = PTF_MAP_F_TO_END));
	ASSERT_NE(NULL, m);
	EXPECT_EQ(1, ptf_map_length(m));
	EXPECT_EQ(0, ptf_map_destroy(m));
	/* At the end there is nothing, but an address. */
	m = make(PTF_MAP_READ, self->fd, PAGES(8), 0, OPTS(.flags = PTF_MAP_F_TO_END));
	ASSERT_NE(NULL, m);
	EXPECT_EQ(0, ptf_map_length(m));
	EXPECT_NE(NULL, ptf_map_data(m));
	EXPECT_EQ(0, ptf_map_destroy(m));
	EXPECT_EQ(-EINVAL, err_of(PTF_MAP_READ, self->fd, PAGES(8) + 1, 0,
				  OPTS(.flags = PTF_MAP_F_TO_END)));
	EXPECT_EQ(PTF_LAYER_FILEMAP, ptf_failure_last()->layer);
	EXPECT_EQ(-EINVAL, err_of(PTF_MAP_READ, self->fd, 0, 1,
				  OPTS(.flags = PTF_MAP_F_TO_END)));
	EXPECT_EQ(-EINVAL, err_of(PTF_MAP_ANON, -1, 0, 0, OPTS(.flags = PTF_MAP_F_TO_END)));
	m = make(PTF_MAP_READ, empty, 0, 0, OPTS(.flags = PTF_MAP_F_TO_END));
	ASSERT_NE(NULL, m);
	EXPECT_EQ(0, ptf_map_length(m));
	EXPECT_EQ(SIGBUS, touch(ptf_map_data(m), false));
	EXPECT_EQ(0, ptf_map_destroy(m));
	close(empty);
	/* A fixed length may reach behind the end. */
	m = make(PTF_MAP_READ, self->fd, PAGES(7), PAGES(4), NULL);
	ASSERT_NE(NULL, m);
	EXPECT_EQ(0, touch((char *)ptf_map_data(m) + PAGE - 1, false));
	EXPECT_EQ(SIGBUS, touch((char *)ptf_map_data(m) + PAGE, false));
	EXPECT_EQ(0, ptf_map_destroy(m));
}

TEST_F(map, wrong_files)
{
	int ro = open(self->path, O_RDONLY), wo = open(self->path, O_WRONLY);
	int dir = open("/tmp", O_RDONLY | O_DIRECTORY), pipes[2], sealed, err;
	struct ptf_map *m;

	ASSERT_EQ(0, pipe(pipes));
	EXPECT_EQ(-EACCES, err_of(PTF_MAP_WRITE, ro, 0, PAGE, NULL));
	EXPECT_EQ(0, err_of(PTF_MAP_COPY, ro, 0, PAGE, NULL));
	EXPECT_EQ(-EACCES, err_of(PTF_MAP_READ, wo, 0, PAGE, NULL));
	EXPECT_EQ(-ENODEV, err_of(PTF_MAP_READ, dir, 0, PAGE, NULL));
	EXPECT_EQ(-EISDIR, err_of(PTF_MAP_READ, dir, 0, 0, OPTS(.flags = PTF_MAP_F_TO_END)));
	EXPECT_EQ(-ENODEV, err_of(PTF_MAP_READ, pipes[0], 0, PAGE, NULL));
	EXPECT_EQ(-ENODEV, err_of(PTF_MAP_READ, pipes[0], 0, 0, OPTS(.flags = PTF_MAP_F_TO_END)));
	EXPECT_EQ(-EBADF, err_of(PTF_MAP_READ, -1, 0, PAGE, NULL));
	EXPECT_EQ(-EBADF, err_of(PTF_MAP_READ, -1, 0, 0, OPTS(.flags = PTF_MAP_F_TO_END)));
	EXPECT_EQ(-EBADF, err_of(PTF_MAP_READ, 12345, 0, PAGE, NULL));

	sealed = filled_memfd(2, 3);
	ASSERT_EQ(0, fcntl(sealed, F_ADD_SEALS, F_SEAL_WRITE));
	EXPECT_EQ(-EPERM, err_of(PTF_MAP_WRITE, sealed, 0, PAGE, NULL));
	EXPECT_NE(NULL, strstr(ptf_failure_last()->way, "sealed"));
	/* Shared, to read: newer kernels allow it, also some stable ones. */
	err = err_of(PTF_MAP_READ, sealed, 0, PAGE, NULL);
	EXPECT_EQ(true, err == -EPERM || !err);
	if (kernel_version() >= 613)
		EXPECT_EQ(0, err);
	m = make(PTF_MAP_COPY, sealed, 0, PAGES(2), NULL);
	ASSERT_NE(NULL, m);
	EXPECT_EQ(true, pages_have(ptf_map_data(m), 2, 3));
	EXPECT_EQ(0, ptf_map_destroy(m));
	close(sealed);
	close(ro);
	close(wo);
	close(dir);
}

TEST_F(map, wrong_arguments)
{
	struct {
		struct ptf_map_options o;
		char tail[16];
	} longer = { .o = { .size = sizeof(longer) } };
	struct ptf_map *m;

	EXPECT_EQ(-EINVAL, err_of(0, -1, 0, PAGE, NULL));
	EXPECT_EQ(-EINVAL, err_of(PTF_MAP_DEVICE + 1, -1, 0, PAGE, NULL));
	EXPECT_EQ(-EINVAL, err_of(-1, -1, 0, PAGE, NULL));
	EXPECT_EQ(-EINVAL, err_of(PTF_MAP_ANON, self->fd, 0, PAGE, NULL));
	EXPECT_EQ(-EINVAL, err_of(PTF_MAP_ANON, -1, 1, PAGE, NULL));
	EXPECT_EQ(-EINVAL, err_of(PTF_MAP_ANON, -1, 0, PAGE, OPTS(.flags = 1U << 31)));
	EXPECT_EQ(-EINVAL, err_of(PTF_MAP_ANON, -1, 0, PAGE, OPTS(.align = 3)));
	EXPECT_EQ(-EINVAL, err_of(PTF_MAP_ANON, -1, 0, PAGE, OPTS(.reserved = 1)));
	EXPECT_EQ(-EINVAL, err_of(PTF_MAP_ANON, -1, 0, PAGE, OPTS(.prot = PROT_READ)));
	EXPECT_EQ(-EINVAL, err_of(PTF_MAP_ANON, -1, 0, PAGE, OPTS(.huge_shift = 21)));
	EXPECT_EQ(-EINVAL, err_of(PTF_MAP_ANON, -1, 0, PAGE, OPTS(.flags = PTF_MAP_F_REPLACE)));
	EXPECT_EQ(-EINVAL, err_of(PTF_MAP_ANON, -1, 0, PAGE, OPTS(.flags = PTF_MAP_F_FIXED)));
	EXPECT_EQ(-EINVAL, err_of(PTF_MAP_ANON, -1, 0, PAGE,
				  OPTS(.flags = PTF_MAP_F_FIXED, .addr = (void *)0x10000001)));
	EXPECT_EQ(-EINVAL, err_of(PTF_MAP_ANON, -1, 0, PAGE,
				  OPTS(.flags = PTF_MAP_F_LOCKED | PTF_MAP_F_LOCK_ONFAULT)));
	EXPECT_EQ(-EINVAL, err_of(PTF_MAP_READ, self->fd, 0, PAGE,
				  OPTS(.flags = PTF_MAP_F_HUGE)));
	/* Structs of other versions. */
	EXPECT_EQ(-EINVAL, err_of(PTF_MAP_ANON, -1, 0, PAGE,
				  &(struct ptf_map_options){ .size = 8 }));
	m = make(PTF_MAP_ANON, -1, 0, PAGE, &longer.o);
	EXPECT_NE(NULL, m);
	ptf_map_destroy(m);
	longer.tail[7] = 1;
	EXPECT_EQ(-E2BIG, err_of(PTF_MAP_ANON, -1, 0, PAGE, &longer.o));
	{
		struct ptf_map_info info = { .size = sizeof(info) - 1 };

		m = make(PTF_MAP_ANON, -1, 0, PAGE, NULL);
		EXPECT_EQ(-EINVAL, ptf_map_query(m, &info));
		ptf_map_destroy(m);
	}
}

/* --- options ---------------------------------------------------------------- */

TEST_F(map, fixed)
{
	char *place = mmap(NULL, PAGES(8), PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct ptf_map *m;
	char text[512];

	pages_fill(place, 8, 1);
	/* Something is there: named, and untouched. */
	EXPECT_EQ(-EEXIST, err_of(PTF_MAP_READ, self->fd, 0, PAGES(4),
				  OPTS(.flags = PTF_MAP_F_FIXED, .addr = place, .name = "mine")));
	EXPECT_EQ(place, ptf_failure_last()->addr);
	EXPECT_EQ(PAGES(4), ptf_failure_last()->wanted);
	EXPECT_EQ(0, ptf_failure_last()->done);
	EXPECT_NE(NULL, strstr(ptf_failure_last()->annotation, "mine"));
	EXPECT_LT(0, ptf_failure_text(text, sizeof(text)));
	EXPECT_NE(NULL, strstr(text, "EEXIST"));
	EXPECT_NE(NULL, strstr(text, "VMA layer"));
	EXPECT_EQ(true, pages_have(place, 8, 1));
	munmap(place, PAGES(2));
	/* Now half of it: the first address in the way is told. */
	EXPECT_EQ(-EEXIST, err_of(PTF_MAP_READ, self->fd, 0, PAGES(4),
				  OPTS(.flags = PTF_MAP_F_FIXED, .addr = place)));
	EXPECT_EQ(place + PAGES(2), ptf_failure_last()->addr);
	EXPECT_EQ(true, page_has(place, 2, 1));
	/* Replacing. */
	m = make(PTF_MAP_READ, self->fd, 0, PAGES(4),
		 OPTS(.flags = PTF_MAP_F_FIXED | PTF_MAP_F_REPLACE, .addr = place));
	ASSERT_NE(NULL, m);
	EXPECT_EQ(place, ptf_map_data(m));
	EXPECT_EQ(true, pages_have(place, 4, 7));
	EXPECT_EQ(true, page_has(place, 4, 1));
	EXPECT_EQ(0, ptf_map_destroy(m));
	/* Free, with an offset: the address is the page's. */
	m = make(PTF_MAP_READ, self->fd, 5, PAGES(2),
		 OPTS(.flags = PTF_MAP_F_FIXED, .addr = place));
	ASSERT_NE(NULL, m);
	EXPECT_EQ(place + 5, ptf_map_data(m));
	EXPECT_EQ(0, ptf_map_destroy(m));
	munmap(place + PAGES(4), PAGES(4));
}

TEST_F(map, alignment)
{
	static const size_t aligns[] = { 1, PAGE, 2 * PAGE, 64 * 1024, 2 * MB, 1UL << 30 };
	struct ptf_map *m;
	unsigned int i;
	size_t before;

	for (i = 0; i < ARRAY_SIZE(aligns); i++) {
		before = vma_count();
		m = make(PTF_MAP_ANON, -1, 0, PAGES(3), OPTS(.align = aligns[i]));
		ASSERT_NE(NULL, m);
		EXPECT_EQ(0, (uintptr_t)ptf_map_data(m) % aligns[i]);
		EXPECT_EQ(true, page_zero(ptf_map_data(m), 2));
		*(char *)ptf_map_data(m) = 1;
		EXPECT_EQ(0, ptf_map_destroy(m));
		/* What was mapped to get it is given back. */
		EXPECT_EQ(true, UNDER_ASAN || before == vma_count());
		m = make(PTF_MAP_READ, self->fd, PAGE + 3, PAGES(3), OPTS(.align = aligns[i]));
		ASSERT_NE(NULL, m);
		EXPECT_EQ(0, (uintptr_t)query(m).base % aligns[i]);
		EXPECT_EQ(3, (uintptr_t)ptf_map_data(m) % PAGE);
		EXPECT_EQ(0, ptf_map_destroy(m));
		EXPECT_EQ(true, UNDER_ASAN || before == vma_count());
	}
	EXPECT_NE(0, err_of(PTF_MAP_ANON, -1, 0, PAGES(3), OPTS(.align = 1UL << 63)));
}

TEST_F(map, low_addresses)
{
#ifdef MAP_32BIT
	struct ptf_map *m = make(PTF_MAP_READ, self->fd, 1, PAGES(2),
				 OPTS(.flags = PTF_MAP_F_32BIT));

	ASSERT_NE(NULL, m);
	EXPECT_LT((uintptr_t)ptf_map_data(m), 1UL << 31);
	EXPECT_EQ(0, ptf_map_destroy(m));
	m = make(PTF_MAP_ANON, -1, 0, PAGES(2),
		 OPTS(.flags = PTF_MAP_F_32BIT, .align = 4 * MB, .reserve = 16 * MB));
	ASSERT_NE(NULL, m);
	EXPECT_LT((uintptr_t)ptf_map_data(m), 1UL << 31);
	EXPECT_EQ(0, (uintptr_t)ptf_map_data(m) % (4 * MB));
	EXPECT_EQ(0, ptf_map_destroy(m));
	EXPECT_EQ(-EINVAL, err_of(PTF_MAP_ANON, -1, 0, PAGE,
				  OPTS(.flags = PTF_MAP_F_32BIT | PTF_MAP_F_FIXED,
				       .addr = (void *)0x10000000)));
#else
	SKIP(return, "x86 only");
#endif
}

TEST_F(map, populate)
{
	struct ptf_map *m;
	char *p;
	int i;

	m = make(PTF_MAP_ANON, -1, 0, PAGES(4), OPTS(.flags = PTF_MAP_F_POPULATE));
	p = ptf_map_data(m);
	for (i = 0; i < 4; i++)
		EXPECT_EQ(true, is_present(p + PAGES(i)));
	EXPECT_EQ(0, ptf_map_destroy(m));
	m = make(PTF_MAP_ANON, -1, 0, PAGES(4),
		 OPTS(.flags = PTF_MAP_F_POPULATE, .reserve = PAGES(100)));
	p = ptf_map_data(m);
	for (i = 0; i < 4; i++)
		EXPECT_EQ(true, is_present(p + PAGES(i)));
	EXPECT_EQ(0, ptf_map_destroy(m));
	/* Errors ignored: half of it is behind the end. */
	m = make(PTF_MAP_READ, self->fd, PAGES(6), PAGES(4), OPTS(.flags = PTF_MAP_F_POPULATE));
	ASSERT_NE(NULL, m);
	p = ptf_map_data(m);
	EXPECT_EQ(true, is_present(p));
	EXPECT_EQ(0, ptf_map_destroy(m));
	/* Errors reported, to the page, and nothing stays. */
	EXPECT_EQ(-EFAULT, err_of(PTF_MAP_READ, self->fd, PAGES(6), PAGES(4),
				  OPTS(.flags = PTF_MAP_F_POPULATE_ALL)));
	EXPECT_EQ(PAGES(2), ptf_failure_last()->done);
	EXPECT_EQ(PAGES(4), ptf_failure_last()->wanted);
	/* Copied, so that the file's next change is not seen. */
	m = make(PTF_MAP_COPY, self->fd, 0, PAGES(8), OPTS(.flags = PTF_MAP_F_POPULATE_ALL));
	ASSERT_NE(NULL, m);
	ASSERT_EQ(4, pwrite(self->fd, "abcd", 4, 0));
	EXPECT_EQ(true, pages_have(ptf_map_data(m), 8, 7));
	EXPECT_EQ(0, ptf_map_destroy(m));
}

TEST_F(map, populate_range_finds_the_page)
{
	struct ptf_map *m = make(PTF_MAP_READ, self->fd, 0, PAGES(1200), NULL);
	char *p = ptf_map_data(m);

	ASSERT_EQ(0, ftruncate(self->fd, PAGES(777)));
	EXPECT_EQ(-EFAULT, ptf_map_populate_range(m, 0, PAGES(1200), 0));
	EXPECT_EQ(p + PAGES(777), ptf_failure_last()->addr);
	EXPECT_EQ(PAGES(777), ptf_failure_last()->done);
	EXPECT_EQ(0, ptf_map_populate_range(m, 1, PAGES(777) - 1, 0));
	EXPECT_EQ(true, is_present(p + PAGES(776)));
	EXPECT_EQ(-EINVAL, ptf_map_populate_range(m, 0, PAGES(1200) + 1, 0));
	EXPECT_NE(0, ptf_map_populate_range(m, 0, PAGE, 1));
	EXPECT_EQ(0, ptf_map_destroy(m));
}

TEST_F(map, locked)
{
	struct ptf_map *m;
	struct ptf_usage u = { .size = sizeof(u) };
	char *p;

	m = make(PTF_MAP_ANON, -1, 0, PAGES(4), OPTS(.flags = PTF_MAP_F_LOCKED));
	ASSERT_NE(NULL, m);
	p = ptf_map_data(m);
	EXPECT_EQ(true, vma_flag(p, "lo"));
	EXPECT_EQ(true, is_present(p + PAGES(3)));
	EXPECT_EQ(1, query(m).locked);
	EXPECT_EQ(0, ptf_usage_get(0, &u));
	EXPECT_EQ(PAGES(4), u.locked_bytes);
	EXPECT_EQ(0, ptf_map_unlock_range(m, PAGE, PAGE));
	EXPECT_EQ(2, query(m).locked);
	EXPECT_EQ(0, ptf_usage_get(0, &u));
	EXPECT_EQ(PAGES(3), u.locked_bytes);
	EXPECT_EQ(0, ptf_map_unlock(m));
	EXPECT_EQ(0, query(m).locked);
	EXPECT_EQ(false, vma_flag(p, "lo"));
	EXPECT_EQ(0, ptf_map_lock_range(m, PAGES(1) + 5, 1, 0));
	EXPECT_EQ(0, ptf_usage_get(0, &u));
	EXPECT_EQ(PAGE, u.locked_bytes);
	EXPECT_EQ(false, vma_flag(p, "lo"));
	EXPECT_EQ(true, vma_flag(p + PAGE, "lo"));
	EXPECT_EQ(0, ptf_map_destroy(m));

	m = make(PTF_MAP_ANON, -1, 0, PAGES(4), OPTS(.flags = PTF_MAP_F_LOCK_ONFAULT));
	ASSERT_NE(NULL, m);
	p = ptf_map_data(m);
	EXPECT_EQ(true, vma_flag(p, "lo"));
	EXPECT_EQ(false, is_present(p));
	EXPECT_EQ(0, ptf_map_destroy(m));
	/* Behind the end of a file there is nothing to lock. */
	EXPECT_NE(0, err_of(PTF_MAP_READ, self->fd, PAGES(6), PAGES(4),
			    OPTS(.flags = PTF_MAP_F_LOCKED)));
	m = make(PTF_MAP_READ, self->fd, PAGES(6), PAGES(4), NULL);
	p = ptf_map_data(m);
	EXPECT_NE(0, ptf_map_lock(m, 0));
	EXPECT_EQ(false, vma_flag(p, "lo"));
	EXPECT_EQ(0, query(m).locked);
	EXPECT_EQ(-EINVAL, ptf_map_lock(m, 4));
	EXPECT_EQ(-EINVAL, ptf_map_lock_range(m, 0, PAGES(4) + 1, 0));
	EXPECT_EQ(-EINVAL, ptf_map_unlock_range(m, 1, SIZE_MAX));
	EXPECT_EQ(0, ptf_map_destroy(m));

	EXPECT_EQ(-EINVAL, ptf_lock_all(8));
	EXPECT_EQ(-EINVAL, ptf_lock_all(0));
	EXPECT_EQ(0, ptf_lock_all(PTF_LOCK_ALL_F_FUTURE | PTF_LOCK_ALL_F_ONFAULT));
	p = anon(1);
	EXPECT_EQ(true, vma_flag(p, "lo"));
	EXPECT_EQ(0, ptf_unlock_all());
	EXPECT_EQ(false, vma_flag(p, "lo"));
	munmap(p, PAGE);
}

TEST_F(map, lock_without_right)
{
	int verdict;

	if (geteuid())
		SKIP(return, "needs root");
	IN_CHILD(verdict, {
		struct rlimit few = { PAGES(2), PAGES(2) };
		struct ptf_map *m;

		setrlimit(RLIMIT_MEMLOCK, &few);
		CHILD_CHECK(1, !setresuid(65534, 65534, 65534));
		m = make(PTF_MAP_ANON, -1, 0, PAGES(4), NULL);
		CHILD_CHECK(2, ptf_map_lock(m, 0) == -ENOMEM);
		CHILD_CHECK(3, !query(m).locked);
		CHILD_CHECK(4, ptf_map_lock_range(m, 0, PAGES(2), 0) == 0);
		CHILD_CHECK(5, strstr(ptf_failure_last()->way, "RLIMIT_MEMLOCK"));
	});
	EXPECT_EQ(0, verdict);
}

TEST_F(map, huge_pages)
{
	struct ptf_map *m = NULL;
	FILE *f = fopen("/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages", "w");
	int ret;

	if (f) {
		fprintf(f, "4\n");
		fclose(f);
	}
	ret = ptf_map_create(PTF_MAP_ANON, -1, 0, 3 * MB,
			     OPTS(.flags = PTF_MAP_F_HUGE, .huge_shift = 21), &m);
	if (ret)
		SKIP(return, "no 2 MiB hugetlb pages to be had (%d)", ret);
	EXPECT_EQ(2 * MB, query(m).page_bytes);
	EXPECT_EQ(4 * MB, query(m).base_bytes);
	EXPECT_EQ(3 * MB, ptf_map_length(m));
	EXPECT_EQ(true, vma_flag(ptf_map_data(m), "ht"));
	*((char *)ptf_map_data(m) + 3 * MB - 1) = 1;
	EXPECT_EQ(0, ptf_map_protect(m, PROT_READ));
	EXPECT_EQ(-EINVAL, ptf_map_protect_range(m, PAGE, PAGE, PROT_NONE));
	EXPECT_EQ(0, ptf_map_protect_range(m, 2 * MB, MB, PROT_NONE));
	EXPECT_EQ(PROT_READ, prot_at(ptf_map_data(m)));
	EXPECT_EQ(0, ptf_map_destroy(m));
	/* The default size, by its own name. */
	m = make(PTF_MAP_ANON, -1, 0, 1, OPTS(.flags = PTF_MAP_F_HUGE));
	if (m) {
		EXPECT_LT(PAGE, query(m).page_bytes);
		EXPECT_EQ(0, ptf_map_destroy(m));
	}
	EXPECT_EQ(-EINVAL, err_of(PTF_MAP_ANON, -1, 0, PAGE,
				  OPTS(.flags = PTF_MAP_F_HUGE, .huge_shift = 21,
				       .reserve = 64 * MB)));
	EXPECT_EQ(-EINVAL, err_of(PTF_MAP_ANON, -1, 0, PAGE,
				  OPTS(.flags = PTF_MAP_F_HUGE, .huge_shift = 13)));
	f = fopen("/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages", "w");
	if (f) {
		fprintf(f, "0\n");
		fclose(f);
	}
}

TEST(stack_and_noreserve)
{
	struct ptf_map *m = make(PTF_MAP_ANON, -1, 0, 1UL << 36,
				 OPTS(.flags = PTF_MAP_F_STACK | PTF_MAP_F_NORESERVE));

	ASSERT_NE(NULL, m);
	EXPECT_EQ(true, vma_flag(ptf_map_data(m), "nr"));
	EXPECT_EQ(0, ptf_map_destroy(m));
}

TEST(names)
{
	struct ptf_map *m = make(PTF_MAP_ANON, -1, 0, PAGES(4), OPTS(.name = "arena [1]"));
	char *p = ptf_map_data(m), buf[100];
	struct ptf_vma_entry e;
	int ret;

	EXPECT_STREQ("arena _1_", query(m).name);
	ret = ptf_name_range(p, PAGES(2), "front");
	if (ret == -EOPNOTSUPP) {
		EXPECT_NE(NULL, strstr(ptf_failure_last()->way, "CONFIG_ANON_VMA_NAME"));
	} else {
		EXPECT_EQ(0, ret);
		EXPECT_EQ(0, ptf_vma_at(0, (uintptr_t)p, 0, &e, buf, sizeof(buf)));
		EXPECT_STREQ("[anon:front]", e.name);
		EXPECT_EQ(PAGES(2), e.end - e.start);
		EXPECT_EQ(0, ptf_vma_at(0, (uintptr_t)p + PAGES(2), 0, &e, buf, sizeof(buf)));
		EXPECT_STREQ("[anon:arena _1_]", e.name);
		EXPECT_EQ(0, ptf_name_range(p, PAGES(2), NULL));
		EXPECT_EQ(0, ptf_vma_at(0, (uintptr_t)p, 0, &e, buf, sizeof(buf)));
		EXPECT_STREQ("", e.name);
	}
	EXPECT_EQ(-EINVAL, ptf_name_range(p + 1, PAGE, "x"));
	EXPECT_EQ(0, ptf_map_set_name(m, "other"));
	EXPECT_STREQ("other", query(m).name);
	EXPECT_EQ(0, ptf_map_set_name(m, NULL));
	EXPECT_STREQ("", query(m).name);
	memset(buf, 'n', sizeof(buf) - 1);
	buf[sizeof(buf) - 1] = 0;
	EXPECT_EQ(0, ptf_map_set_name(m, buf));
	EXPECT_EQ(79, strlen(query(m).name));
	EXPECT_EQ(0, ptf_map_destroy(m));
}

/* --- bounds ------------------------------------------------------------------ */

TEST_F(map, bounds_of_every_range_call)
{
	static const struct { size_t off, len; bool ok; } cases[] = {
		{ 0, 0, true }, { 0, 3000, true }, { 3000, 0, true }, { 2999, 1, true },
		{ 0, 3001, false }, { 3000, 1, false }, { 3001, 0, false },
		{ 1, 3000, false }, { SIZE_MAX, 0, false }, { 0, SIZE_MAX, false },
		{ SIZE_MAX, 1, false }, { 1, SIZE_MAX, false }, { SIZE_MAX, SIZE_MAX, false },
		{ 2, SIZE_MAX - 1, false }, { PTRDIFF_MAX, PTRDIFF_MAX, false },
	};
	struct ptf_map *m = make(PTF_MAP_WRITE, self->fd, 100, 3000, NULL);
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		size_t off = cases[i].off, len = cases[i].len;
		int want = 0;

		if (!cases[i].ok)
			want = -EINVAL;
		EXPECT_EQ(want, ptf_map_flush_range(m, off, len, 0)) {
			TH_LOG("%zu %zu", off, len);
		}
		EXPECT_EQ(want, ptf_map_lock_range(m, off, len, 0));
		EXPECT_EQ(want, ptf_map_unlock_range(m, off, len));
		EXPECT_EQ(want, ptf_map_advise_range(m, off, len, PTF_MADV_NORMAL));
		EXPECT_EQ(want, ptf_map_populate_range(m, off, len, 0));
		if (!cases[i].ok) {
			EXPECT_EQ(-EINVAL, ptf_map_protect_range(m, off, len, PROT_NONE));
			EXPECT_EQ(-EINVAL, ptf_map_advise_range_unchecked(m, off, len,
									  PTF_MADV_DONTNEED));
		}
	}
	EXPECT_EQ(0, ptf_map_destroy(m));
}

/* --- protect ------------------------------------------------------------------ */

TEST_F(map, protect)
{
	int ro = open(self->path, O_RDONLY);
	struct ptf_map *m = make(PTF_MAP_WRITE, self->fd, PAGE + 10, PAGES(4), NULL);
	char *base = query(m).base;

	EXPECT_EQ(0, ptf_map_protect(m, PROT_READ));
	EXPECT_EQ(PROT_READ, query(m).prot);
	EXPECT_EQ(PROT_READ, prot_at(base + PAGES(5) - 1));
	EXPECT_EQ(SIGSEGV, touch(ptf_map_data(m), true));
	/* Ranges: from a page boundary of memory; the last page whole. */
	EXPECT_EQ(-EINVAL, ptf_map_protect_range(m, 1, 1, PROT_NONE));
	EXPECT_EQ(-EINVAL, ptf_map_protect_range(m, PAGE, 1, PROT_NONE));
	EXPECT_EQ(0, ptf_map_protect_range(m, PAGE - 10, 1, PROT_NONE));
	EXPECT_EQ(1, query(m).mixed);
	EXPECT_EQ(PROT_READ, prot_at(base));
	EXPECT_EQ(PROT_NONE, prot_at(base + PAGE));
	EXPECT_EQ(PROT_READ, prot_at(base + PAGES(2)));
	EXPECT_EQ(0, ptf_map_protect_range(m, 0, 1, PROT_READ | PROT_WRITE));
	EXPECT_EQ(PROT_READ | PROT_WRITE, prot_at(base));
	EXPECT_EQ(0, ptf_map_protect(m, PROT_READ | PROT_WRITE));
	EXPECT_EQ(0, query(m).mixed);
	EXPECT_EQ(PROT_READ | PROT_WRITE, prot_at(base + PAGE));
	EXPECT_EQ(0, ptf_map_destroy(m));

	m = make(PTF_MAP_READ, ro, 0, PAGES(8), NULL);
	EXPECT_EQ(-EACCES, ptf_map_protect(m, PROT_READ | PROT_WRITE));
	EXPECT_EQ(PROT_READ, query(m).prot);
	EXPECT_EQ(PROT_READ, prot_at(ptf_map_data(m)));
	EXPECT_EQ(true, pages_have(ptf_map_data(m), 8, 7));
	EXPECT_EQ(0, ptf_map_destroy(m));
	close(ro);
}

TEST_F_TIMEOUT(map, protect_that_fails_in_the_middle, 300)
{
	struct ptf_map *m = make(PTF_MAP_RESERVE, -1, 0, PAGES(16), NULL);
	char *p = ptf_map_data(m);
	struct maps_full full;
	int i, ret;

	/* By a mapping of someone else's in the middle: a file opened read-only. */
	int ro = open(self->path, O_RDONLY);

	ASSERT_EQ(0, ptf_map_protect(m, PROT_READ));
	ASSERT_EQ(p + PAGES(8), mmap(p + PAGES(8), PAGE, PROT_READ,
				     MAP_SHARED | MAP_FIXED, ro, 0));
	EXPECT_EQ(-EACCES, ptf_map_protect(m, PROT_READ | PROT_WRITE));
	for (i = 0; i < 16; i++)
		EXPECT_EQ(PROT_READ, prot_at(p + PAGES(i)));
	EXPECT_EQ(PROT_READ, query(m).prot);
	/* The same where parts differ. */
	ASSERT_EQ(0, ptf_map_protect_range(m, PAGES(2), PAGE, PROT_NONE));
	ASSERT_EQ(0, ptf_map_protect_range(m, PAGES(4), PAGE, PROT_READ | PROT_EXEC));
	EXPECT_EQ(-EACCES, ptf_map_protect(m, PROT_READ | PROT_WRITE));
	for (i = 0; i < 16; i++) {
		EXPECT_EQ(i == 2 ? PROT_NONE : i == 4 ? PROT_READ | PROT_EXEC : PROT_READ,
			  prot_at(p + PAGES(i)));
	}
	close(ro);
	EXPECT_EQ(0, ptf_map_destroy(m));

	NOT_UNDER_ASAN();
	/* By vm.max_map_count: three parts, of which the second can't be split. */
	m = make(PTF_MAP_ANON, -1, 0, PAGES(16), NULL);
	p = ptf_map_data(m);
	pages_fill(p, 16, 5);
	ASSERT_EQ(0, ptf_map_protect_range(m, 0, PAGES(4), PROT_READ));
	ASSERT_EQ(0, ptf_map_protect_range(m, PAGES(8), PAGES(8), PROT_READ | PROT_EXEC));
	if (max_map_count() > 100000)
		SKIP(return, "vm.max_map_count is too large to fill");
	ASSERT_EQ(true, maps_fill(&full, 0));
	/* 0-4 becomes NONE, 4-8 too, and of 8-16 a half: that is a VMA more. */
	ret = ptf_map_protect_range(m, PAGES(2), PAGES(10), PROT_NONE);
	EXPECT_EQ(-ENOMEM, ret);
	for (i = 0; i < 16; i++)
		EXPECT_EQ(i < 4 ? PROT_READ : i < 8 ? PROT_READ | PROT_WRITE :
			  PROT_READ | PROT_EXEC, prot_at(p + PAGES(i))) {
			TH_LOG("page %d", i);
		}
	maps_release(&full);
	EXPECT_EQ(true, pages_have(p, 16, 5));
	EXPECT_EQ(0, ptf_map_protect_range(m, PAGES(2), PAGES(10), PROT_NONE));
	EXPECT_EQ(0, ptf_map_destroy(m));
}

/* --- flush ---------------------------------------------------------------------- */

TEST_F(map, flush)
{
	struct ptf_map *m = make(PTF_MAP_WRITE, self->fd, 3, PAGES(4), NULL);
	char *p = ptf_map_data(m), back[8];

	memcpy(p + PAGES(2), "flushed", 8);
	EXPECT_EQ(0, ptf_map_flush_range(m, PAGES(2), 8, 0));
	ASSERT_EQ(8, pread(self->fd, back, 8, PAGES(2) + 3));
	EXPECT_STREQ("flushed", back);
	EXPECT_EQ(0, ptf_map_flush(m, PTF_SYNC_F_ASYNC));
	EXPECT_EQ(0, ptf_map_flush(m, PTF_SYNC_F_INVALIDATE));
	EXPECT_EQ(0, ptf_map_flush(m, 0));
	EXPECT_EQ(-EINVAL, ptf_map_flush(m, 4));
	ASSERT_EQ(0, ptf_map_lock(m, 0));
	EXPECT_EQ(-EBUSY, ptf_map_flush(m, PTF_SYNC_F_INVALIDATE));
	EXPECT_EQ(0, ptf_map_destroy(m));
}

/* --- advice on objects ------------------------------------------------------------ */

/* A call that is made of another one fails by its own name. */
TEST_F(map, failures_have_the_callers_name)
{
	struct ptf_map *m = make(PTF_MAP_WRITE, self->fd, 0, PAGES(2), NULL);

	ASSERT_NE(NULL, m);
	EXPECT_EQ(-EINVAL, ptf_map_flush(m, 1U << 31));
	EXPECT_STREQ("ptf_map_flush", ptf_failure_last()->op);
	EXPECT_EQ(-EINVAL, ptf_map_flush_range(m, 0, PAGE, 1U << 31));
	EXPECT_STREQ("ptf_map_flush_range", ptf_failure_last()->op);
	EXPECT_EQ(0, ptf_map_destroy(m));
	EXPECT_EQ(-EFAULT, err_of(PTF_MAP_READ, self->fd, PAGES(6), PAGES(4),
				  OPTS(.flags = PTF_MAP_F_POPULATE_ALL)));
	EXPECT_STREQ("ptf_map_create", ptf_failure_last()->op);
}

TEST_F(map, advise)
{
	struct ptf_map *m = make(PTF_MAP_COPY, self->fd, 0, PAGES(7) + 9, NULL);
	char *p = ptf_map_data(m);

	EXPECT_EQ(0, ptf_map_advise(m, PTF_MADV_RANDOM));
	EXPECT_EQ(true, vma_flag(p, "rr"));
	EXPECT_EQ(0, ptf_map_advise_range(m, PAGE + 1, 1, PTF_MADV_SEQUENTIAL));
	EXPECT_EQ(true, vma_flag(p + PAGE, "sr"));
	EXPECT_EQ(true, vma_flag(p, "rr"));
	EXPECT_EQ(true, vma_flag(p + PAGES(2), "rr"));
	/* CONTENT: refused, then taken, never wider than named. */
	memset(p, 'x', PAGES(7) + 9);
	EXPECT_EQ(-EPERM, ptf_map_advise(m, PTF_MADV_DONTNEED));
	EXPECT_STREQ("ptf_map_advise", ptf_failure_last()->op);
	EXPECT_EQ(-EPERM, ptf_map_advise_range(m, 0, PAGE, PTF_MADV_DONTNEED));
	EXPECT_EQ(-EINVAL, ptf_map_advise_range_unchecked(m, 0, PAGE - 1, PTF_MADV_DONTNEED));
	EXPECT_EQ(-EINVAL, ptf_map_advise_range_unchecked(m, 1, PAGE - 1, PTF_MADV_DONTNEED));
	EXPECT_EQ(-EINVAL, ptf_map_advise_range_unchecked(m, PAGES(6), PAGE + 8,
							  PTF_MADV_DONTNEED));
	EXPECT_EQ('x', p[0]);
	EXPECT_EQ(0, ptf_map_advise_range_unchecked(m, PAGE, PAGE, PTF_MADV_DONTNEED));
	EXPECT_EQ('x', p[PAGE - 1]);
	EXPECT_EQ(true, page_has(p, 1, 7));
	EXPECT_EQ('x', p[PAGES(2)]);
	/* Up to the end of the map is a whole page too. */
	EXPECT_EQ(0, ptf_map_advise_range_unchecked(m, PAGES(6), PAGE + 9, PTF_MADV_DONTNEED));
	EXPECT_EQ(true, page_has(p, 6, 7));
	EXPECT_EQ('x', p[PAGES(6) - 1]);
	EXPECT_EQ(0, ptf_map_advise_unchecked(m, PTF_MADV_DONTNEED));
	EXPECT_EQ(true, pages_have(p, 7, 7));
	EXPECT_EQ(-EINVAL, ptf_map_advise(m, 5));
	EXPECT_EQ(-EOPNOTSUPP, ptf_map_advise(m, PTF_ADV_NOTPRESENT));
	EXPECT_EQ(0, ptf_map_destroy(m));
}

/* --- fork ---------------------------------------------------------------------------- */

TEST_F(map, fork)
{
	struct ptf_map *m = make(PTF_MAP_ANON, -1, 0, PAGES(8), OPTS(.reserve = PAGES(16)));
	struct ptf_map *gone = make(PTF_MAP_ANON, -1, 0, PAGES(8), NULL);
	char *p = ptf_map_data(m), *g = ptf_map_data(gone);
	int verdict;

	pages_fill(p, 8, 2);
	ASSERT_EQ(0, ptf_map_advise_range(gone, PAGES(2), PAGES(3), PTF_MADV_DONTFORK));
	IN_CHILD(verdict, {
		char *other = mmap(g + PAGES(2), PAGES(3), PROT_READ | PROT_WRITE,
				   MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);

		/* It is not there in the child, so something else may be. */
		CHILD_CHECK(1, other == g + PAGES(2));
		pages_fill(other, 3, 9);
		CHILD_CHECK(2, !ptf_map_destroy(gone));
		CHILD_CHECK(3, prot_at(g) == -1 && prot_at(g + PAGES(7)) == -1);
		CHILD_CHECK(4, pages_have(other, 3, 9));
		CHILD_CHECK(5, pages_have(p, 8, 2));
		CHILD_CHECK(6, !ptf_map_grow(m, PAGES(12)));
		CHILD_CHECK(7, !ptf_map_destroy(m));
		CHILD_CHECK(8, prot_at(p) == -1);
	});
	EXPECT_EQ(0, verdict);
	EXPECT_EQ(true, pages_have(p, 8, 2));
	EXPECT_EQ(PAGES(8), ptf_map_length(m));
	EXPECT_EQ(0, ptf_map_destroy(m));
	EXPECT_EQ(0, ptf_map_destroy(gone));
	EXPECT_EQ(-1, prot_at(g));
	EXPECT_EQ(-1, prot_at(g + PAGES(2)));
}

TEST(release)
{
	struct ptf_map *m = make(PTF_MAP_ANON, -1, 0, PAGES(2), NULL);
	void *base;
	size_t bytes;

	pages_fill(ptf_map_data(m), 2, 1);
	ptf_map_release(m, &base, &bytes);
	EXPECT_EQ(PAGES(2), bytes);
	EXPECT_EQ(true, pages_have(base, 2, 1));
	munmap(base, bytes);
}

TEST_HARNESS_MAIN
