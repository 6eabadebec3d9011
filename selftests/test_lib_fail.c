// SPDX-License-Identifier: GPL-2.0-only
/*
 * Calls of the library that fail in the middle, because a rule makes the k-th
 * page's fault fail: for each k they say how far they came, and what is to be
 * left as it was is.
 */
/* timeout: 600 */
#include "test_lib_fault.h"

/* Rules with the defaults of a macro, but for what a test is about. */
#pragma GCC diagnostic ignored "-Woverride-init"

#define NR 16
#define PLACE ((char *)0x300000000000)	/* where nobody maps anything */

FIXTURE(fail)
{
	struct ptf_session *s;
	uint64_t id;
};

FIXTURE_VARIANT(fail)
{
	int kind;	/* of mapping */
};

FIXTURE_VARIANT_ADD(fail, anon)
{
	.kind = PTF_MAP_ANON
};

FIXTURE_VARIANT_ADD(fail, shared)
{
	.kind = PTF_MAP_WRITE
};

FIXTURE_VARIANT_ADD(fail, copy)
{
	.kind = PTF_MAP_COPY
};

FIXTURE_SETUP(fail)
{
	const char *why;

	self->s = session_or(PTF_FEATURE_RULE, &why);
	if (!self->s)
		SKIP(return, "%s", why);
	fault_catch();
	/* Of one page; where is said for each step. */
	ASSERT_EQ(0, ptf_rule_add(self->s, &(struct ptf_rule_options) {
			.size = sizeof(struct ptf_rule_options), .start = PAGE, .end = PAGES(2),
			.action = PTF_ACT_COUNT }, &self->id));
	ASSERT_EQ(0, ptf_rule_arm(self->s, NULL));
}

FIXTURE_TEARDOWN(fail)
{
	ptf_session_close(self->s);
}

/* From now on faults on this page fail; no page: none does. */
#define FAIL_AT(page, ...) ASSERT_EQ(0, ptf_rule_set(self->s, self->id,	\
	&(struct ptf_rule_options) {					\
		.size = sizeof(struct ptf_rule_options),		\
		.start = (page) ? (uintptr_t)(page) : PAGE,		\
		.end = ((page) ? (uintptr_t)(page) : PAGE) + PAGE,	\
		.action = (page) ? PTF_ACT_SIGBUS : PTF_ACT_COUNT,	\
		__VA_ARGS__ }))
#define FAIL_NOWHERE() FAIL_AT((char *)NULL)

#define OPTS(...) (&(struct ptf_map_options) {				\
	.size = sizeof(struct ptf_map_options), __VA_ARGS__ })

static int file_of(int kind)
{
	return kind == PTF_MAP_ANON ? -1 : filled_memfd(2 * NR, 7);
}

static struct ptf_map *map_of(int kind, size_t length, const struct ptf_map_options *o)
{
	int fd = file_of(kind);
	struct ptf_map *m = NULL;

	ptf_map_create(kind, fd, 0, length, o, &m);
	if (fd >= 0)
		close(fd);
	return m;
}

/*
 * A read fault on a page of a file maps its neighbours too, which then don't
 * fault. Pages that are there have been taken away one by one, by the rule.
 */
static void bring_in(struct ptf_map *m, int kind)
{
	if (kind != PTF_MAP_ANON)
		ptf_map_populate_range(m, 0, ptf_map_length(m), 0);
}

/* Where nothing is there yet only the first of them can be made to fail. */
static unsigned int last_of(int kind, unsigned int first, unsigned int end)
{
	return kind == PTF_MAP_WRITE ? first + 1 : end;
}

static struct ptf_map_info query(const struct ptf_map *m)
{
	struct ptf_map_info info = { .size = sizeof(info) };

	ptf_map_query(m, &info);
	return info;
}

TEST_F(fail, populate_says_how_far_it_came)
{
	struct ptf_map *m;
	unsigned int k, i;
	char *p;

	for (k = 0; k < NR; k++) {
		m = map_of(variant->kind, PAGES(NR), NULL);
		ASSERT_NE(NULL, m);
		p = ptf_map_data(m);
		madvise(p, PAGES(NR), MADV_NOHUGEPAGE);
		bring_in(m, variant->kind);
		FAIL_AT(p + PAGES(k));
		ptf_failure_clear();
		EXPECT_EQ(-EFAULT, ptf_map_populate_range(m, 0, PAGES(NR), k & 1));
		EXPECT_EQ(PAGES(NR), ptf_failure_last()->wanted);
		EXPECT_EQ(PAGES(k), ptf_failure_last()->done);
		EXPECT_EQ(p + PAGES(k), ptf_failure_last()->addr);
		for (i = 0; i < k; i++)
			EXPECT_EQ(true, is_present(p + PAGES(i)));
		/* As hardware would say it. */
		FAIL_AT(p + PAGES(k), .action = PTF_ACT_HWPOISON);
		EXPECT_EQ(-EHWPOISON, ptf_map_populate_range(m, 0, PAGES(NR), 0));
		EXPECT_EQ(PAGES(k), ptf_failure_last()->done);
		FAIL_NOWHERE();
		EXPECT_EQ(0, ptf_map_populate_range(m, 0, PAGES(NR), 1));
		EXPECT_EQ(true, variant->kind == PTF_MAP_ANON || pages_have(p, NR, 7));
		EXPECT_EQ(0, ptf_map_destroy(m));
	}
}

TEST_F(fail, nothing_stays_of_a_map_that_could_not_be_made)
{
	static const uint32_t flags[] = {
		PTF_MAP_F_FIXED | PTF_MAP_F_POPULATE_ALL, PTF_MAP_F_FIXED | PTF_MAP_F_LOCKED,
	};
	int fd = file_of(variant->kind), ret;
	struct ptf_map *m = NULL;
	unsigned int k, i;
	size_t before;

	for (i = 0; i < ARRAY_SIZE(flags); i++) {
		for (k = 0; k < last_of(variant->kind, 0, NR); k += 3) {
			before = vma_count();
			FAIL_AT(PLACE + PAGES(k));
			ptf_failure_clear();
			ret = ptf_map_create(variant->kind, fd, 0, PAGES(NR),
					     OPTS(.flags = flags[i], .addr = PLACE), &m);
			EXPECT_NE(0, ret);
			EXPECT_EQ(-ret, ptf_failure_last()->err);
			EXPECT_EQ(-1, prot_at(PLACE));
			EXPECT_EQ(-1, prot_at(PLACE + PAGES(NR - 1)));
			EXPECT_EQ(before, vma_count());
			FAIL_NOWHERE();
			ASSERT_EQ(0, ptf_map_create(variant->kind, fd, 0, PAGES(NR),
						    OPTS(.flags = flags[i], .addr = PLACE), &m));
			EXPECT_EQ(true, is_present(PLACE + PAGES(k)));
			EXPECT_EQ(0, ptf_map_destroy(m));
		}
	}
	/* With errors ignored it is made all the same. */
	k = variant->kind == PTF_MAP_WRITE ? 0 : 4;
	FAIL_AT(PLACE + PAGES(k));
	ASSERT_EQ(0, ptf_map_create(variant->kind, fd, 0, PAGES(NR),
				    OPTS(.flags = PTF_MAP_F_FIXED | PTF_MAP_F_POPULATE,
					 .addr = PLACE), &m));
	EXPECT_EQ(true, !k || is_present(PLACE + PAGES(k - 1)));
	EXPECT_EQ(false, is_present(PLACE + PAGES(k)));
	EXPECT_EQ(0, ptf_map_destroy(m));
	if (fd >= 0)
		close(fd);
}

/* (mlock() itself puts back what was taken away before it looks.) */
TEST_F(fail, a_failed_lock_leaves_nothing_locked)
{
	struct ptf_map *m;
	unsigned int k;
	char *p;

	for (k = 0; k < last_of(variant->kind, 0, NR); k += 3) {
		m = map_of(variant->kind, PAGES(NR), NULL);
		ASSERT_NE(NULL, m);
		p = ptf_map_data(m);
		FAIL_AT(p + PAGES(k));
		EXPECT_NE(0, ptf_map_lock(m, 0));
		EXPECT_EQ(0, query(m).locked);
		EXPECT_EQ(false, vma_flag(p, "lo"));
		EXPECT_EQ(false, vma_flag(p + PAGES(NR - 1), "lo"));
		if (k) {
			EXPECT_NE(0, ptf_map_lock_range(m, PAGE, PAGES(NR - 1), 0));
			EXPECT_EQ(0, query(m).locked);
			EXPECT_EQ(false, vma_flag(p + PAGES(k), "lo"));
		}
		/* As they come: none comes now. */
		EXPECT_EQ(0, ptf_map_lock(m, PTF_LOCK_F_ONFAULT));
		EXPECT_EQ(1, query(m).locked);
		EXPECT_EQ(SIGBUS, touch(p + PAGES(k), LOAD));
		FAIL_NOWHERE();
		EXPECT_EQ(0, touch(p + PAGES(k), LOAD));
		EXPECT_EQ(0, ptf_map_unlock(m));
		EXPECT_EQ(0, ptf_map_destroy(m));
	}
}

TEST_F(fail, a_locked_map_that_can_not_grow)
{
	struct ptf_map *m;
	unsigned int k, i;
	char *p;

	for (k = NR; k < last_of(variant->kind, NR, 2 * NR); k += 3) {
		m = map_of(variant->kind, PAGES(NR), OPTS(.flags = PTF_MAP_F_LOCKED,
							  .reserve = PAGES(3 * NR)));
		ASSERT_NE(NULL, m);
		p = ptf_map_data(m);
		pages_fill(p, NR, k);
		FAIL_AT(p + PAGES(k));
		for (i = 0; i < 2; i++) {
			EXPECT_NE(0, i ? ptf_map_grow(m, PAGES(2 * NR)) :
				  ptf_map_remap(m, PAGES(2 * NR), 0, NULL));
			EXPECT_EQ(PAGES(NR), ptf_map_length(m));
			EXPECT_EQ(PAGES(NR), query(m).base_bytes);
			EXPECT_EQ(PAGES(3 * NR), query(m).reserve_bytes);
			EXPECT_EQ(1, query(m).locked);
			EXPECT_EQ(p, ptf_map_data(m));
			EXPECT_EQ(PROT_NONE, prot_at(p + PAGES(NR)));
			EXPECT_EQ(PROT_NONE, prot_at(p + PAGES(2 * NR - 1)));
			EXPECT_EQ(false, vma_flag(p + PAGES(NR), "lo"));
			EXPECT_EQ(true, pages_have(p, NR, k));
		}
		FAIL_NOWHERE();
		EXPECT_EQ(0, ptf_map_grow(m, PAGES(2 * NR)));
		EXPECT_EQ(true, vma_flag(p + PAGES(2 * NR - 1), "lo"));
		EXPECT_EQ(true, is_present(p + PAGES(2 * NR - 1)));
		/* What was tried before has left nothing behind. */
		EXPECT_EQ(true, variant->kind == PTF_MAP_ANON ? page_zero(p, NR) :
			  page_has(p, NR, 7));
		EXPECT_EQ(0, ptf_map_destroy(m));
	}
}

TEST_F(fail, copies_count_the_bytes_before_the_page)
{
	static char here[PAGES(NR)], there[PAGES(NR)];
	struct ptf_map *m;
	unsigned int k;
	uint32_t word;
	size_t done;
	char *p;

	for (k = 0; k < NR; k++) {
		m = map_of(variant->kind, PAGES(NR), NULL);
		ASSERT_NE(NULL, m);
		p = ptf_map_data(m);
		madvise(p, PAGES(NR), MADV_NOHUGEPAGE);
		pages_fill(p, NR, 3);
		memset(here, 'h', sizeof(here));
		memset(there, 't', sizeof(there));
		FAIL_AT(p + PAGES(k));
		EXPECT_EQ(-EFAULT, ptf_copy_in(here, p, sizeof(here), 0, &done));
		EXPECT_EQ(PAGES(k), done);
		EXPECT_EQ(true, pages_have(here, k, 3));
		EXPECT_EQ(p + PAGES(k), ptf_failure_last()->addr);
		/* It is taken away by the rule's page alone: once more the same. */
		ASSERT_EQ(0, ptf_rule_arm(self->s, NULL));
		EXPECT_EQ(-EFAULT, ptf_copy_out(p, there, sizeof(there), 0, &done));
		EXPECT_EQ(PAGES(k), done);
		ASSERT_EQ(0, ptf_rule_arm(self->s, NULL));
		EXPECT_EQ(-EFAULT, ptf_zero_out(p, PAGES(NR), 0, &done));
		EXPECT_EQ(PAGES(k), done);
		ASSERT_EQ(0, ptf_rule_arm(self->s, NULL));
		EXPECT_EQ(-EFAULT, ptf_load32((uint32_t *)(p + PAGES(k)), &word));
		ASSERT_EQ(0, ptf_rule_arm(self->s, NULL));
		EXPECT_EQ(-EFAULT, ptf_swap32((uint32_t *)(p + PAGES(k)), 1, &word));
		FAIL_NOWHERE();
		EXPECT_EQ(true, page_has(p, k, 3));
		EXPECT_EQ(true, !k || page_zero(p, k - 1));
		EXPECT_EQ(0, ptf_copy_in(here, p, sizeof(here), 0, &done));
		EXPECT_EQ(sizeof(here), done);
		EXPECT_EQ(0, ptf_map_destroy(m));
	}
}

TEST_F(fail, a_pin_that_fails_pins_nothing)
{
	struct ptf_map *m;
	struct ptf_pin *pin;
	unsigned int k, i;
	char *p;
	int ret;

	for (k = 0; k < NR; k += 5) {
		m = map_of(variant->kind, PAGES(NR), NULL);
		ASSERT_NE(NULL, m);
		p = ptf_map_data(m);
		madvise(p, PAGES(NR), MADV_NOHUGEPAGE);
		for (i = 0; i < NR; i++)
			p[PAGES(i)] = 1;
		FAIL_AT(p + PAGES(k));
		ret = ptf_pin_create(p, PAGES(NR), &pin);
		if (ret == -EOPNOTSUPP) {
			ptf_map_destroy(m);
			SKIP(return, "io_uring can't be had, or not for this memory");
		}
		EXPECT_EQ(-EFAULT, ret);
		EXPECT_EQ(NULL, pin);
		FAIL_NOWHERE();
		/* A pinned page would be EBUSY. */
		EXPECT_EQ(0, hide(self->s, p, NR));
		EXPECT_EQ(0, touch(p + PAGES(k), LOAD));
		ASSERT_EQ(0, ptf_pin_create(p, PAGES(NR), &pin));
		EXPECT_EQ(-EBUSY, ptf_session_advise(self->s, NULL, (uintptr_t)p,
						     (uintptr_t)p + PAGES(NR), PTF_ADV_NOTPRESENT,
						     PTF_ADVISE_F_STRICT, NULL));
		ptf_pin_destroy(pin);
		EXPECT_EQ(0, ptf_map_destroy(m));
	}
}

TEST_F(fail, the_handler_driven_by_hand)
{
	struct ptf_fault_result r = { .size = sizeof(r) };
	uint8_t results[NR];
	struct ptf_map *m;
	unsigned int k, i;
	uint64_t at;

	for (k = 0; k < NR; k += 3) {
		m = map_of(variant->kind, PAGES(NR), NULL);
		ASSERT_NE(NULL, m);
		at = (uintptr_t)ptf_map_data(m);
		madvise(ptf_map_data(m), PAGES(NR), MADV_NOHUGEPAGE);
		FAIL_AT(ptf_map_data(m) + PAGES(k));
		memset(results, 0xa5, sizeof(results));
		EXPECT_EQ(0, ptf_session_fault(self->s, NULL, at, at + PAGES(NR), PTF_ACCESS_READ,
					       0, results, &r));
		EXPECT_EQ(NR - 1, r.minor + r.major);
		EXPECT_EQ(1, r.failed);
		EXPECT_EQ(at + PAGES(NR), r.next);
		for (i = 0; i < NR; i++)
			EXPECT_EQ(i == k, results[i] == PTF_FAULTED_SIGBUS);
		EXPECT_EQ(0, ptf_session_fault(self->s, NULL, at, at + PAGES(NR), PTF_ACCESS_READ,
					       PTF_FAULT_F_STOP, results, &r));
		EXPECT_EQ(1, r.failed);
		EXPECT_EQ(k, r.minor + r.major);
		FAIL_NOWHERE();
		EXPECT_EQ(0, ptf_map_destroy(m));
	}
}

TEST_HARNESS_MAIN
