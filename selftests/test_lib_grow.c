// SPDX-License-Identifier: GPL-2.0-only
/*
 * Maps that grow, shrink and move: nothing that is there faults again, nothing
 * of others is hit, and what fails leaves the map where and what it was.
 */
/* vm: --no-module */
#include "test_lib.h"

#define OPTS(...) (&(struct ptf_map_options){ .size = sizeof(struct ptf_map_options), __VA_ARGS__ })
#define BIG 512		/* pages */

static struct ptf_map_info query(const struct ptf_map *m)
{
	struct ptf_map_info i = { .size = sizeof(i) };

	ptf_map_query(m, &i);
	return i;
}

static struct ptf_map *make(int kind, int fd, uint64_t offset, size_t length,
			    const struct ptf_map_options *o)
{
	struct ptf_map *m = NULL;

	return ptf_map_create(kind, fd, offset, length, o, &m) ? NULL : m;
}

/* Faults that reading every page of a range takes. */
static long faults_of_reading(volatile char *p, size_t nr)
{
	long before = minor_faults();
	size_t i;

	for (i = 0; i < nr; i++)
		(void)p[PAGES(i)];
	return minor_faults() - before;
}

static size_t nr_fds(void)
{
	size_t n = 0;
	int fd;

	for (fd = 0; fd < 256; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

/* A place of nr pages where nothing is. */
static char *hole(size_t nr)
{
	char *p = mmap(NULL, PAGES(nr), PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	munmap(p, PAGES(nr));
	return p;
}

FIXTURE(grow) {
	int fd;		/* a memfd of 2 * BIG pages */
	struct ptf_map *m;
};

FIXTURE_SETUP(grow)
{
	self->fd = filled_memfd(2 * BIG, 7);
	ASSERT_LE(0, self->fd);
	self->m = NULL;
}

FIXTURE_TEARDOWN(grow)
{
	EXPECT_EQ(0, ptf_map_destroy(self->m));
	close(self->fd);
}

TEST_F(grow, reserved_file_refaults_nothing)
{
	size_t fds = nr_fds(), before = vma_count();
	char *p;

	self->m = make(PTF_MAP_WRITE, self->fd, 0, PAGES(BIG),
		       OPTS(.reserve = PAGES(4 * BIG), .flags = PTF_MAP_F_POPULATE));
	ASSERT_NE(NULL, self->m);
	p = ptf_map_data(self->m);
	EXPECT_EQ(PAGES(4 * BIG), query(self->m).reserve_bytes);
	EXPECT_EQ(PROT_NONE, prot_at(p + PAGES(BIG)));
	EXPECT_EQ(PROT_NONE, prot_at(p + PAGES(4 * BIG) - 1));
	faults_of_reading(p, BIG);
	EXPECT_EQ(0, ptf_map_grow(self->m, PAGES(2 * BIG)));
	EXPECT_EQ(p, ptf_map_data(self->m));
	EXPECT_EQ(0, faults_of_reading(p, BIG));
	EXPECT_EQ(true, pages_have(p, 2 * BIG, 7));
	EXPECT_EQ(PAGES(2 * BIG), ptf_map_length(self->m));
	EXPECT_EQ(PROT_NONE, prot_at(p + PAGES(2 * BIG)));
	/* One mapping: the kernel merged it. */
	EXPECT_EQ(true, UNDER_ASAN || before + 2 == vma_count());
	/* The file's own length is the caller's business: then truncate up. */
	EXPECT_EQ(0, ptf_map_grow(self->m, PAGES(3 * BIG)));
	ASSERT_EQ(0, ftruncate(self->fd, PAGES(3 * BIG)));
	p[PAGES(3 * BIG) - 1] = 1;
	EXPECT_EQ(0, faults_of_reading(p, BIG));
	/* No further than reserved, and no shorter. */
	EXPECT_EQ(-ENOMEM, ptf_map_grow(self->m, PAGES(4 * BIG) + 1));
	EXPECT_EQ(-EINVAL, ptf_map_grow(self->m, PAGES(3 * BIG) - 1));
	EXPECT_EQ(-EOVERFLOW, ptf_map_grow(self->m, SIZE_MAX));
	EXPECT_EQ(PAGES(3 * BIG), ptf_map_length(self->m));
	EXPECT_EQ(0, ptf_map_grow(self->m, PAGES(4 * BIG)));
	EXPECT_EQ(0, ptf_map_destroy(self->m));
	self->m = NULL;
	EXPECT_EQ(-1, prot_at(p));
	EXPECT_EQ(-1, prot_at(p + PAGES(4 * BIG) - 1));
	EXPECT_EQ(fds, nr_fds());
	EXPECT_EQ(true, UNDER_ASAN || before == vma_count());
}

TEST_F(grow, in_place_refaults_nothing)
{
	char *place = hole(4 * BIG), *p;

	self->m = make(PTF_MAP_WRITE, self->fd, 0, PAGES(BIG),
		       OPTS(.flags = PTF_MAP_F_FIXED, .addr = place));
	ASSERT_NE(NULL, self->m);
	p = ptf_map_data(self->m);
	faults_of_reading(p, BIG);
	EXPECT_EQ(0, ptf_map_grow(self->m, PAGES(2 * BIG)));
	EXPECT_EQ(p, ptf_map_data(self->m));
	EXPECT_EQ(0, faults_of_reading(p, BIG));
	EXPECT_EQ(true, pages_have(p, 2 * BIG, 7));
	/* Within the last page only the length changes. */
	EXPECT_EQ(0, ptf_map_remap(self->m, PAGES(2 * BIG) - 5, 0, NULL));
	EXPECT_EQ(PAGES(2 * BIG), query(self->m).base_bytes);
	EXPECT_EQ(0, ptf_map_grow(self->m, PAGES(2 * BIG) - 1));
	EXPECT_EQ(PAGES(2 * BIG) - 1, ptf_map_length(self->m));
}

TEST_F(grow, in_place_what_is_behind_is_left_alone)
{
	char *place = hole(16), *p;

	ASSERT_EQ(place + PAGES(8), mmap(place + PAGES(8), PAGE, PROT_READ | PROT_WRITE,
					 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
	pages_fill(place + PAGES(8), 1, 3);
	self->m = make(PTF_MAP_READ, self->fd, 5, PAGES(4) - 5,
		       OPTS(.flags = PTF_MAP_F_FIXED, .addr = place));
	ASSERT_NE(NULL, self->m);
	EXPECT_EQ(-ENOMEM, ptf_map_grow(self->m, PAGES(9) - 5));
	EXPECT_NE(NULL, strstr(ptf_failure_last()->way, "taken"));
	EXPECT_EQ(PAGES(4) - 5, ptf_map_length(self->m));
	EXPECT_EQ(-1, prot_at(place + PAGES(4)));
	EXPECT_EQ(0, ptf_map_grow(self->m, PAGES(8) - 5));
	EXPECT_EQ(-ENOMEM, ptf_map_remap(self->m, PAGES(9), 0, NULL));
	EXPECT_EQ(true, page_has(place + PAGES(8), 0, 3));
	p = ptf_map_data(self->m);
	EXPECT_EQ(place + 5, p);
	EXPECT_EQ(true, pages_have(place, 8, 7));
	munmap(place + PAGES(8), PAGE);
}

TEST_F(grow, mixed_protection_grows_too)
{
	char *place = hole(16), *p;

	self->m = make(PTF_MAP_WRITE, self->fd, 0, PAGES(4),
		       OPTS(.flags = PTF_MAP_F_FIXED, .addr = place));
	p = ptf_map_data(self->m);
	ASSERT_EQ(0, ptf_map_protect_range(self->m, PAGES(3), PAGE, PROT_NONE));
	ASSERT_EQ(0, ptf_map_protect_range(self->m, PAGES(1), PAGE, PROT_READ));
	EXPECT_EQ(0, ptf_map_grow(self->m, PAGES(6)));
	EXPECT_EQ(PROT_READ | PROT_WRITE, prot_at(p));
	EXPECT_EQ(PROT_READ, prot_at(p + PAGES(1)));
	EXPECT_EQ(PROT_NONE, prot_at(p + PAGES(3)));
	EXPECT_EQ(PROT_READ | PROT_WRITE, prot_at(p + PAGES(4)));
	EXPECT_EQ(PROT_READ | PROT_WRITE, prot_at(p + PAGES(5)));
	EXPECT_EQ(0, ptf_map_protect(self->m, PROT_READ));
	EXPECT_EQ(true, pages_have(p, 6, 7));
}

TEST(anonymous_grows)
{
	static const int kinds[] = { PTF_MAP_ANON, PTF_MAP_ANON_SHARED, PTF_MAP_RESERVE };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(kinds); i++) {
		struct ptf_map *m = make(kinds[i], -1, 0, PAGES(3), OPTS(.reserve = PAGES(64)));
		int prot = kinds[i] == PTF_MAP_RESERVE ? PROT_NONE : PROT_READ | PROT_WRITE;
		char *p;

		ASSERT_NE(NULL, m);
		p = ptf_map_data(m);
		if (prot)
			pages_fill(p, 3, 1);
		EXPECT_EQ(prot, prot_at(p + PAGES(2)));
		EXPECT_EQ(PROT_NONE, prot_at(p + PAGES(3)));
		EXPECT_EQ(0, ptf_map_grow(m, PAGES(63) + 1));
		EXPECT_EQ(prot, prot_at(p + PAGES(63)));
		if (prot) {
			EXPECT_EQ(true, pages_have(p, 3, 1));
			EXPECT_EQ(true, page_zero(p, 3));
			EXPECT_EQ(true, page_zero(p, 63));
			pages_fill(p, 64, 1);
			/* Shrunk and grown again it is zero there. */
			EXPECT_EQ(0, ptf_map_remap(m, PAGES(2), 0, NULL));
			EXPECT_EQ(PROT_NONE, prot_at(p + PAGES(2)));
			EXPECT_EQ(0, ptf_map_grow(m, PAGES(64)));
			EXPECT_EQ(true, pages_have(p, 2, 1));
			EXPECT_EQ(true, page_zero(p, 2));
			EXPECT_EQ(true, page_zero(p, 63));
		}
		EXPECT_EQ(0, ptf_map_destroy(m));
		EXPECT_EQ(-1, prot_at(p));
		EXPECT_EQ(-1, prot_at(p + PAGES(63)));
	}
}

TEST(shared_anonymous_has_the_size_it_was_made_with)
{
	struct ptf_map *m = make(PTF_MAP_ANON_SHARED, -1, 0, PAGES(2), NULL);
	char *p = ptf_map_data(m);

	pages_fill(p, 2, 1);
	EXPECT_EQ(-EOPNOTSUPP, ptf_map_grow(m, PAGES(3)));
	EXPECT_EQ(-EOPNOTSUPP, ptf_map_remap(m, PAGES(3), PTF_REMAP_F_MAY_MOVE, NULL));
	EXPECT_EQ(-EOPNOTSUPP, ptf_map_remap(m, PAGES(3), PTF_REMAP_F_FIXED, hole(8)));
	EXPECT_NE(NULL, strstr(ptf_failure_last()->way, "reserve"));
	EXPECT_EQ(true, pages_have(p, 2, 1));
	EXPECT_EQ(0, ptf_map_remap(m, PAGES(1), 0, NULL));
	EXPECT_EQ(true, page_has(p, 0, 1));
	EXPECT_EQ(0, ptf_map_destroy(m));
}

TEST_F(grow, locked_grows_locked)
{
	char *p;

	self->m = make(PTF_MAP_WRITE, self->fd, 0, PAGES(4),
		       OPTS(.reserve = PAGES(16), .flags = PTF_MAP_F_LOCKED));
	ASSERT_NE(NULL, self->m);
	p = ptf_map_data(self->m);
	EXPECT_EQ(0, ptf_map_grow(self->m, PAGES(8)));
	EXPECT_EQ(true, vma_flag(p + PAGES(7), "lo"));
	EXPECT_EQ(true, is_present(p + PAGES(7)));
	/* Behind the end of the file nothing can be locked: it stays as it was. */
	ASSERT_EQ(0, ftruncate(self->fd, PAGES(10)));
	EXPECT_NE(0, ptf_map_grow(self->m, PAGES(12)));
	EXPECT_EQ(PAGES(8), ptf_map_length(self->m));
	EXPECT_EQ(PROT_NONE, prot_at(p + PAGES(8)));
	EXPECT_EQ(true, pages_have(p, 8, 7));
	EXPECT_EQ(0, ptf_map_grow(self->m, PAGES(10)));
}

TEST_F(grow, a_sealed_file_does_not_grow)
{
	char *p;

	self->m = make(PTF_MAP_WRITE, self->fd, 0, PAGES(4), OPTS(.reserve = PAGES(16)));
	p = ptf_map_data(self->m);
	/* No new writable mappings from now on; the old one stays. */
	if (fcntl(self->fd, F_ADD_SEALS, 0x10 /* F_SEAL_FUTURE_WRITE */))
		SKIP(return, "no F_SEAL_FUTURE_WRITE");
	EXPECT_EQ(-EPERM, ptf_map_grow(self->m, PAGES(8)));
	/* The reservation is still ours. */
	EXPECT_EQ(PROT_NONE, prot_at(p + PAGES(4)));
	EXPECT_EQ(PROT_NONE, prot_at(p + PAGES(16) - 1));
	EXPECT_EQ(PAGES(16), query(self->m).reserve_bytes);
	EXPECT_EQ(PAGES(4), ptf_map_length(self->m));
	p[0] = p[0];
	EXPECT_EQ(true, pages_have(p, 4, 7));
}

TEST_F(grow, limits_leave_it_as_it_was)
{
	int verdict;

	NOT_UNDER_ASAN();
	/* RLIMIT_AS */
	IN_CHILD(verdict, {
		struct ptf_map *m = make(PTF_MAP_COPY, self->fd, 0, PAGES(BIG), NULL);
		struct ptf_usage u = { .size = sizeof(u) };
		struct rlimit as;
		char *p = ptf_map_data(m);

		CHILD_CHECK(1, !ptf_usage_get(0, &u));
		as.rlim_max = u.virtual_bytes + PAGES(64);
		as.rlim_cur = as.rlim_max;
		setrlimit(RLIMIT_AS, &as);
		CHILD_CHECK(2, ptf_map_grow(m, PAGES(2 * BIG)) == -ENOMEM);
		CHILD_CHECK(3, ptf_map_remap(m, PAGES(2 * BIG), PTF_REMAP_F_MAY_MOVE,
					     NULL) == -ENOMEM);
		CHILD_CHECK(4, ptf_map_remap(m, PAGES(2 * BIG), PTF_REMAP_F_FIXED,
					     (void *)0x600000000000) == -ENOMEM);
		CHILD_CHECK(5, prot_at((void *)0x600000000000) == -1);
		CHILD_CHECK(6, ptf_map_data(m) == p && ptf_map_length(m) == PAGES(BIG));
		CHILD_CHECK(7, pages_have(p, BIG, 7));
		CHILD_CHECK(8, !ptf_map_protect(m, PROT_READ));
		CHILD_CHECK(9, !ptf_map_destroy(m));
	});
	EXPECT_EQ(0, verdict);
	/* RLIMIT_AS with a reservation: that is paid for already. */
	IN_CHILD(verdict, {
		struct ptf_map *m = make(PTF_MAP_ANON, -1, 0, PAGES(4),
					 OPTS(.reserve = PAGES(BIG)));
		struct ptf_usage u = { .size = sizeof(u) };
		struct rlimit as;

		CHILD_CHECK(1, !ptf_usage_get(0, &u));
		as.rlim_max = u.virtual_bytes;
		as.rlim_cur = as.rlim_max;
		setrlimit(RLIMIT_AS, &as);
		CHILD_CHECK(2, !ptf_map_grow(m, PAGES(BIG)));
	});
	EXPECT_EQ(0, verdict);
	/* RLIMIT_DATA hits private writable memory when it is opened. */
	IN_CHILD(verdict, {
		struct ptf_map *m = make(PTF_MAP_COPY, self->fd, 0, PAGES(4),
					 OPTS(.reserve = PAGES(BIG)));
		char *p = ptf_map_data(m);
		struct rlimit data = { PAGES(1), PAGES(1) };

		pages_fill(p, 4, 9);
		setrlimit(RLIMIT_DATA, &data);
		CHILD_CHECK(1, ptf_map_grow(m, PAGES(64)) == -ENOMEM);
		CHILD_CHECK(2, pages_have(p, 4, 9));
		CHILD_CHECK(3, prot_at(p + PAGES(4)) == PROT_NONE);
		CHILD_CHECK(4, prot_at(p + PAGES(BIG) - 1) == PROT_NONE);
	});
	EXPECT_EQ(0, verdict);
}

TEST_F_TIMEOUT(grow, map_count_leaves_it_as_it_was, 300)
{
	struct maps_full full;
	char *place = hole(64), *p, *far = place + PAGES(32);

	NOT_UNDER_ASAN();
	if (max_map_count() > 100000 && !in_guest())
		SKIP(return, "vm.max_map_count is too large to fill");
	self->m = make(PTF_MAP_COPY, self->fd, 0, PAGES(8),
		       OPTS(.flags = PTF_MAP_F_FIXED, .addr = place));
	p = ptf_map_data(self->m);
	pages_fill(p, 8, 9);
	ASSERT_EQ(true, maps_fill(&full, 1));
	/* Moving needs room for more VMAs than that. */
	EXPECT_EQ(-ENOMEM, ptf_map_remap(self->m, PAGES(4), PTF_REMAP_F_FIXED, far));
	EXPECT_EQ(p, ptf_map_data(self->m));
	EXPECT_EQ(PAGES(8), ptf_map_length(self->m));
	EXPECT_EQ(true, pages_have(p, 8, 9));
	EXPECT_EQ(-1, prot_at(far));
	EXPECT_EQ(-ENOMEM, ptf_map_remap(self->m, PAGES(16), PTF_REMAP_F_FIXED, far));
	EXPECT_EQ(true, pages_have(p, 8, 9));
	EXPECT_EQ(-1, prot_at(far));
	maps_release(&full);
	EXPECT_EQ(0, ptf_map_remap(self->m, PAGES(4), PTF_REMAP_F_FIXED, far));
	EXPECT_EQ(true, pages_have(far, 4, 9));
}

TEST_F(grow, remap_may_move)
{
	char *place = hole(16), *p;

	/* Hemmed in: it has to move. */
	ASSERT_EQ(place + PAGES(4), mmap(place + PAGES(4), PAGE, PROT_READ | PROT_WRITE,
					 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
	self->m = make(PTF_MAP_COPY, self->fd, 9, PAGES(4) - 9,
		       OPTS(.flags = PTF_MAP_F_FIXED, .addr = place));
	p = ptf_map_data(self->m);
	p[100] = 'x';
	EXPECT_EQ(0, ptf_map_remap(self->m, PAGES(8) - 9, PTF_REMAP_F_MAY_MOVE, NULL));
	EXPECT_NE(p, ptf_map_data(self->m));
	EXPECT_EQ(-1, prot_at(place));
	p = ptf_map_data(self->m);
	EXPECT_EQ(9, (uintptr_t)p % PAGE);
	EXPECT_EQ('x', p[100]);
	EXPECT_EQ(true, page_has(p - 9, 7, 7));
	EXPECT_EQ(PAGES(8), query(self->m).base_bytes);
	/* Shorter never moves. */
	EXPECT_EQ(0, ptf_map_remap(self->m, PAGES(2), PTF_REMAP_F_MAY_MOVE, NULL));
	EXPECT_EQ(p, ptf_map_data(self->m));
	EXPECT_EQ(PAGES(3), query(self->m).base_bytes);
	EXPECT_EQ(-1, prot_at(p + PAGES(3)));
	EXPECT_EQ('x', p[100]);
	/* And to nothing: one page stays. */
	EXPECT_EQ(0, ptf_map_remap(self->m, 0, 0, NULL));
	EXPECT_EQ(0, ptf_map_length(self->m));
	EXPECT_EQ(p, ptf_map_data(self->m));
	EXPECT_EQ('x', p[100]);
	munmap(place + PAGES(4), PAGE);
	EXPECT_EQ(-EINVAL, ptf_map_remap(self->m, PAGE, 8, NULL));
	EXPECT_EQ(-EINVAL, ptf_map_remap(self->m, PAGE, 0, p));
	EXPECT_EQ(-EINVAL, ptf_map_remap(self->m, PAGE, PTF_REMAP_F_REPLACE, NULL));
	EXPECT_EQ(-EINVAL, ptf_map_remap(self->m, PAGE, PTF_REMAP_F_FIXED, NULL));
	EXPECT_EQ(-EINVAL, ptf_map_remap(self->m, PAGE, PTF_REMAP_F_FIXED, p + 1));
	EXPECT_EQ(-EOVERFLOW, ptf_map_remap(self->m, SIZE_MAX, 0, NULL));
	EXPECT_EQ(-EOVERFLOW, ptf_map_remap(self->m, PTRDIFF_MAX, PTF_REMAP_F_MAY_MOVE, NULL));
	EXPECT_EQ(-ENOMEM, ptf_map_remap(self->m, PTRDIFF_MAX - PAGE, PTF_REMAP_F_MAY_MOVE, NULL));
	EXPECT_EQ('x', p[100]);
}

TEST_F(grow, remap_with_a_reservation)
{
	size_t fds = nr_fds();
	char *p;

	self->m = make(PTF_MAP_COPY, self->fd, 0, PAGES(4), OPTS(.reserve = PAGES(16)));
	EXPECT_EQ(fds + 1, nr_fds());
	p = ptf_map_data(self->m);
	pages_fill(p, 4, 9);
	EXPECT_EQ(0, ptf_map_remap(self->m, PAGES(8), PTF_REMAP_F_MAY_MOVE, NULL));
	EXPECT_EQ(p, ptf_map_data(self->m));
	EXPECT_EQ(true, page_has(p, 7, 7));
	EXPECT_EQ(0, ptf_map_remap(self->m, PAGES(2), 0, NULL));
	EXPECT_EQ(PROT_NONE, prot_at(p + PAGES(2)));
	EXPECT_EQ(PAGES(16), query(self->m).reserve_bytes);
	EXPECT_EQ(0, ptf_map_remap(self->m, PAGES(4), 0, NULL));
	/* What was cut off is the file's again. */
	EXPECT_EQ(true, page_has(p, 1, 9));
	EXPECT_EQ(true, page_has(p, 2, 7));
	/* Beyond it: moved, and the reservation given back. */
	EXPECT_EQ(-ENOMEM, ptf_map_remap(self->m, PAGES(32), 0, NULL));
	EXPECT_EQ(0, ptf_map_remap(self->m, PAGES(32), PTF_REMAP_F_MAY_MOVE, NULL));
	p = ptf_map_data(self->m);
	EXPECT_EQ(true, page_has(p, 1, 9));
	EXPECT_EQ(true, page_has(p, 31, 7));
	EXPECT_EQ(PAGES(32), query(self->m).reserve_bytes);
	EXPECT_EQ(fds, nr_fds());
}

TEST_F(grow, remap_fixed)
{
	char *place = hole(32), *p, *old;

	self->m = make(PTF_MAP_COPY, self->fd, 0, PAGES(8), NULL);
	p = ptf_map_data(self->m);
	pages_fill(p, 8, 9);
	ASSERT_EQ(place + PAGES(4), mmap(place + PAGES(4), PAGE, PROT_READ | PROT_WRITE,
					 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
	pages_fill(place + PAGES(4), 1, 3);
	/* Something is in the way: whatever the length. */
	EXPECT_EQ(-EEXIST, ptf_map_remap(self->m, PAGES(8), PTF_REMAP_F_FIXED, place));
	EXPECT_EQ(place + PAGES(4), ptf_failure_last()->addr);
	EXPECT_EQ(-EEXIST, ptf_map_remap(self->m, PAGES(16), PTF_REMAP_F_FIXED, place));
	EXPECT_EQ(-EEXIST, ptf_map_remap(self->m, PAGES(5), PTF_REMAP_F_FIXED, place));
	EXPECT_EQ(true, page_has(place + PAGES(4), 0, 3));
	EXPECT_EQ(true, pages_have(p, 8, 9));
	EXPECT_EQ(-1, prot_at(place));
	EXPECT_EQ(-1, prot_at(place + PAGES(5)));
	/* Room enough, and shorter. */
	EXPECT_EQ(0, ptf_map_remap(self->m, PAGES(4), PTF_REMAP_F_FIXED, place));
	EXPECT_EQ(place, ptf_map_data(self->m));
	EXPECT_EQ(true, pages_have(place, 4, 9));
	EXPECT_EQ(-1, prot_at(p));
	EXPECT_EQ(-1, prot_at(p + PAGES(4)));
	/* Replacing, and longer. */
	old = place;
	place = mmap(NULL, PAGES(16), PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	EXPECT_EQ(0, ptf_map_remap(self->m, PAGES(8),
				   PTF_REMAP_F_FIXED | PTF_REMAP_F_REPLACE, place));
	EXPECT_EQ(true, pages_have(place, 4, 9));
	EXPECT_EQ(true, page_has(place, 4, 7));
	EXPECT_EQ(PROT_READ, prot_at(place + PAGES(8)));
	EXPECT_EQ(-1, prot_at(old));
	/* Onto itself: no. */
	EXPECT_EQ(-EEXIST, ptf_map_remap(self->m, PAGES(8), PTF_REMAP_F_FIXED, place + PAGE));
	EXPECT_EQ(-EINVAL, ptf_map_remap(self->m, PAGES(8),
					 PTF_REMAP_F_FIXED | PTF_REMAP_F_REPLACE, place + PAGE));
	EXPECT_EQ(true, pages_have(place, 4, 9));
	munmap(old + PAGES(4), PAGE);
	munmap(place + PAGES(8), PAGES(8));
}

TEST_F(grow, move_and_leave_the_old_range)
{
	struct ptf_map *left = NULL;
	char *p, *q, *place;
	int ret;

	self->m = make(PTF_MAP_ANON, -1, 0, PAGES(8), NULL);
	p = ptf_map_data(self->m);
	pages_fill(p, 8, 9);
	ret = ptf_map_move(self->m, 0, NULL, &left);
	if (ret == -EINVAL)
		SKIP(return, "no MREMAP_DONTUNMAP");
	ASSERT_EQ(0, ret);
	q = ptf_map_data(self->m);
	EXPECT_NE(p, q);
	EXPECT_EQ(true, pages_have(q, 8, 9));
	EXPECT_EQ(p, ptf_map_data(left));
	EXPECT_EQ(true, page_zero(p, 0));
	EXPECT_EQ(true, page_zero(p, 7));
	EXPECT_EQ(0, ptf_map_destroy(left));
	EXPECT_EQ(-1, prot_at(p));
	left = (void *)-1;
	EXPECT_EQ(-EEXIST, ptf_map_move(self->m, PTF_REMAP_F_FIXED, q, &left));
	EXPECT_EQ((void *)-1, left);
	EXPECT_EQ(true, pages_have(q, 8, 9));
	place = hole(16);
	EXPECT_EQ(0, ptf_map_move(self->m, PTF_REMAP_F_FIXED, place, &left));
	EXPECT_EQ(place, ptf_map_data(self->m));
	EXPECT_EQ(true, pages_have(place, 8, 9));
	EXPECT_EQ(0, ptf_map_destroy(left));
	EXPECT_EQ(-EINVAL, ptf_map_move(self->m, PTF_REMAP_F_MAY_MOVE, NULL, &left));
	EXPECT_EQ(-EINVAL, ptf_map_move(self->m, 0, place, &left));
}

/* --- what a child does not inherit ------------------------------------------ */

/* In a child: is this range free, and does destroying the map leave it alone? */
#define NOT_THERE(n, m, at, bytes) do {					\
	char *mine_ = mmap(at, bytes, PROT_READ, MAP_PRIVATE |		\
			   MAP_ANONYMOUS | 0x100000 /* NOREPLACE */, -1, 0); \
	CHILD_CHECK(n, mine_ == (at));					\
	CHILD_CHECK((n) + 1, !ptf_map_destroy(m));			\
	CHILD_CHECK((n) + 2, prot_at(at) == PROT_READ);			\
	CHILD_CHECK((n) + 3, prot_at((at) + (bytes) - 1) == PROT_READ);	\
} while (0)

TEST(what_stays_behind_at_fork_moves_and_grows_along)
{
	char *far = (char *)0x610000000000, *old, *p;
	struct ptf_map *m, *left;
	int verdict;

	NOT_UNDER_ASAN();
	/* Moved far away: what is between belongs to others. */
	m = make(PTF_MAP_ANON, -1, 0, PAGES(4), NULL);
	ASSERT_NE(NULL, m);
	old = ptf_map_data(m);
	ASSERT_EQ(0, ptf_map_advise(m, MADV_DONTFORK));
	ASSERT_EQ(0, ptf_map_remap(m, PAGES(4), PTF_REMAP_F_FIXED, far));
	IN_CHILD(verdict, NOT_THERE(1, m, far, PAGES(4)));
	EXPECT_EQ(0, verdict);
	ASSERT_EQ(0, ptf_map_remap(m, PAGES(6), PTF_REMAP_F_FIXED, far - PAGES(64)));
	IN_CHILD(verdict, NOT_THERE(1, m, far - PAGES(64), PAGES(6)));
	EXPECT_EQ(0, verdict);
	/* Its pages moved on, the old range kept: neither is in a child. */
	ASSERT_EQ(0, ptf_map_move(m, PTF_REMAP_F_FIXED, far + PAGES(64), &left));
	IN_CHILD(verdict, NOT_THERE(1, left, far - PAGES(64), PAGES(6));
		NOT_THERE(5, m, far + PAGES(64), PAGES(6)));
	EXPECT_EQ(0, verdict);
	EXPECT_EQ(0, ptf_map_destroy(left));
	EXPECT_EQ(0, ptf_map_destroy(m));
	EXPECT_EQ(-1, prot_at(old));
	/* The last pages of it: what grows from them has their flag. */
	m = make(PTF_MAP_ANON, -1, 0, PAGES(4), OPTS(.flags = PTF_MAP_F_FIXED, .addr = far));
	ASSERT_NE(NULL, m);
	p = ptf_map_data(m);
	pages_fill(p, 4, 1);
	ASSERT_EQ(0, ptf_map_advise_range(m, PAGES(2), PAGES(2), MADV_DONTFORK));
	ASSERT_EQ(0, ptf_map_grow(m, PAGES(8)));
	IN_CHILD(verdict, CHILD_CHECK(9, pages_have(p, 2, 1));
		NOT_THERE(1, m, p + PAGES(2), PAGES(6));
		CHILD_CHECK(10, prot_at(p) == -1 && prot_at(p + PAGES(2) - 1) == -1));
	EXPECT_EQ(0, verdict);
	/* Cut off, and grown again from what is inherited. */
	ASSERT_EQ(0, ptf_map_remap(m, PAGES(1), 0, NULL));
	ASSERT_EQ(0, ptf_map_grow(m, PAGES(8)));
	IN_CHILD(verdict, CHILD_CHECK(1, page_has(p, 0, 1));
		CHILD_CHECK(2, !ptf_map_destroy(m));
		CHILD_CHECK(3, prot_at(p) == -1 && prot_at(p + PAGES(8) - 1) == -1));
	EXPECT_EQ(0, verdict);
	EXPECT_EQ(0, ptf_map_destroy(m));
	/* Into a reservation: that is inherited. */
	m = make(PTF_MAP_ANON, -1, 0, PAGES(4), OPTS(.reserve = PAGES(16)));
	p = ptf_map_data(m);
	ASSERT_EQ(0, ptf_map_advise(m, MADV_DONTFORK));
	ASSERT_EQ(0, ptf_map_grow(m, PAGES(8)));
	IN_CHILD(verdict, CHILD_CHECK(5, prot_at(p + PAGES(4)) == (PROT_READ | PROT_WRITE));
		NOT_THERE(1, m, p, PAGES(4));
		CHILD_CHECK(6, prot_at(p + PAGES(4)) == -1 && prot_at(p + PAGES(15)) == -1));
	EXPECT_EQ(0, verdict);
	EXPECT_EQ(0, ptf_map_destroy(m));
}

TEST_HARNESS_MAIN
