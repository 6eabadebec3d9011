// SPDX-License-Identifier: GPL-2.0-only
/*
 * The contract itself: layouts that never change, the size handshake of every
 * command, unknown flags, reserved fields, unknown commands, the features
 * handshake, and the node.
 */
#include "ptf_test.h"

#include <stddef.h>
#include <sys/fsuid.h>
#include <linux/capability.h>

/* 32-bit and 64-bit programs see the same; so does the next version. */
#define SIZE_IS(type, bytes) \
	_Static_assert(sizeof(struct type) == (bytes), #type)
SIZE_IS(ptf_ioc_features_get, 56);
SIZE_IS(ptf_ioc_target_open, 16);
SIZE_IS(ptf_ioc_target_close, 16);
SIZE_IS(ptf_ioc_session_stat, 112);
SIZE_IS(ptf_vma, 56);
SIZE_IS(ptf_row, 64);
SIZE_IS(ptf_ioc_range_query, 104);
SIZE_IS(ptf_level, 24);
SIZE_IS(ptf_ioc_page_walk, 272);
SIZE_IS(ptf_ioc_range_advise, 208);
SIZE_IS(ptf_ioc_range_fault, 72);
SIZE_IS(ptf_file_row, 40);
SIZE_IS(ptf_ioc_file_query, 80);
SIZE_IS(ptf_mapper, 56);
SIZE_IS(ptf_ioc_file_mappers, 64);
SIZE_IS(ptf_ioc_track_start, 168);
SIZE_IS(ptf_range, 16);
SIZE_IS(ptf_ioc_track_read, 72);
SIZE_IS(ptf_ioc_track_stop, 16);
SIZE_IS(ptf_rule, 152);
SIZE_IS(ptf_ioc_rule_add, 32);
SIZE_IS(ptf_ioc_rule_set, 24);
SIZE_IS(ptf_ioc_rule_delete, 16);
SIZE_IS(ptf_ioc_rule_list, 48);
SIZE_IS(ptf_ioc_rule_arm, 16);
SIZE_IS(ptf_ioc_held_answer, 32);
SIZE_IS(ptf_event, 88);

/* Arguments with which each command succeeds. */
struct args {
	char *mem, *map;
	int file;
	struct ptf_row rows[4];
	struct ptf_file_row file_rows[4];
	__u8 results[4];
	struct ptf_rule rules[4];
	__u32 target;
	__u64 rule;
	pid_t child;
};

struct command {
	const char *name;
	unsigned long nr;
	size_t size;		/* of its first version */
	__u32 known_flags;
	__u64 feature;		/* 0: always there */
	void (*fill)(void *cmd, struct args *a);
	bool bytes_all_in;	/* has no out_ field */
};

static void fill_features_get(void *p, struct args *a)
{
	struct ptf_ioc_features_get *cmd = p;

	cmd->required = 0;
}

static void fill_target_open(void *p, struct args *a)
{
	struct ptf_ioc_target_open *cmd = p;

	cmd->pid = a->child;
}

static void fill_target_close(void *p, struct args *a)
{
	struct ptf_ioc_target_close *cmd = p;

	cmd->target = a->target;
}

static void fill_none(void *p, struct args *a)
{
}

static void fill_range_query(void *p, struct args *a)
{
	struct ptf_ioc_range_query *cmd = p;

	cmd->row_size = sizeof(struct ptf_row);
	cmd->start = u64ptr(a->mem);
	cmd->end = u64ptr(a->mem) + PAGES(4);
	cmd->rows = u64ptr(a->rows);
	cmd->nr_rows = 4;
}

static void fill_page_walk(void *p, struct args *a)
{
	struct ptf_ioc_page_walk *cmd = p;

	cmd->addr = u64ptr(a->mem);
}

static void fill_range_advise(void *p, struct args *a)
{
	struct ptf_ioc_range_advise *cmd = p;

	cmd->advice = PTF_ADV_NOTPRESENT;
	cmd->start = u64ptr(a->mem);
	cmd->end = u64ptr(a->mem) + PAGES(4);
}

static void fill_range_fault(void *p, struct args *a)
{
	struct ptf_ioc_range_fault *cmd = p;

	cmd->access = PTF_ACCESS_READ;
	cmd->start = u64ptr(a->mem);
	cmd->end = u64ptr(a->mem) + PAGES(4);
	cmd->results = u64ptr(a->results);
}

static void fill_file_query(void *p, struct args *a)
{
	struct ptf_ioc_file_query *cmd = p;

	cmd->fd = a->file;
	cmd->row_size = sizeof(struct ptf_file_row);
	cmd->start = 0;
	cmd->end = PAGES(4);
	cmd->rows = u64ptr(a->file_rows);
	cmd->nr_rows = 4;
}

static void fill_file_advise(void *buf, struct args *a)
{
	struct ptf_ioc_file_advise *cmd = buf;

	cmd->fd = a->file;
	cmd->advice = PTF_ADV_UNMAP_FILE;
	cmd->end = PAGES(4);
	ptf_touch_all(a->map, PAGES(4));
}

static void fill_rule(struct ptf_rule *r, struct args *a)
{
	memset(r, 0, sizeof(*r));
	r->start = u64ptr(a->mem);
	r->end = u64ptr(a->mem) + PAGES(4);
	r->access = PTF_ACCESS_ANY;
	r->origin = PTF_ORIGIN_ANY;
	r->action = PTF_ACT_COUNT;
}

static void fill_rule_add(void *p, struct args *a)
{
	struct ptf_ioc_rule_add *cmd = p;

	fill_rule(a->rules, a);
	cmd->rule_size = sizeof(struct ptf_rule);
	cmd->nr_rules = 1;
	cmd->rules = u64ptr(a->rules);
}

/* The rule that before() has added. */
static void fill_rule_set(void *p, struct args *a)
{
	struct ptf_ioc_rule_set *cmd = p;

	fill_rule(a->rules + 1, a);
	a->rules[1].id = a->rule;
	cmd->rule_size = sizeof(struct ptf_rule);
	cmd->rule = u64ptr(a->rules + 1);
}

static void fill_rule_delete(void *p, struct args *a)
{
	struct ptf_ioc_rule_delete *cmd = p;

	cmd->id = a->rule;
}

static void fill_rule_list(void *p, struct args *a)
{
	struct ptf_ioc_rule_list *cmd = p;

	cmd->rule_size = sizeof(struct ptf_rule);
	cmd->nr_rules = 2;
	cmd->rules = u64ptr(a->rules + 2);
}

#define CMD(_nr, _type, _flags, _feature, ...) \
	{ .name = #_nr, .nr = PTF_IOC_##_nr, .size = sizeof(struct ptf_ioc_##_type), \
	  .known_flags = (_flags), .feature = (_feature), .fill = fill_##_type, \
	  ##__VA_ARGS__ }
#define fill_session_stat fill_none
#define fill_rule_arm fill_none

static const struct command commands[] = {
	CMD(FEATURES_GET, features_get, 0, 0),
	CMD(TARGET_OPEN, target_open, 0, 0),
	CMD(TARGET_CLOSE, target_close, 0, 0, .bytes_all_in = true),
	CMD(SESSION_STAT, session_stat, 0, 0),
	CMD(RANGE_QUERY, range_query, PTF_QUERY_F_PAGES | PTF_QUERY_F_HOLES |
	    PTF_QUERY_F_MAPPED, PTF_FEATURE_QUERY),
	CMD(PAGE_WALK, page_walk, 0, PTF_FEATURE_QUERY),
	CMD(RANGE_ADVISE, range_advise, PTF_ADVISE_F_STRICT | PTF_ADVISE_F_GUP |
	    PTF_ADVISE_F_PMD | PTF_ADVISE_F_SPLIT | PTF_ADVISE_F_ONESHOT, PTF_FEATURE_HINT),
	CMD(RANGE_FAULT, range_fault, PTF_FAULT_F_USER | PTF_FAULT_F_STOP, PTF_FEATURE_FAULT),
	CMD(FILE_QUERY, file_query, PTF_QUERY_F_PAGES | PTF_QUERY_F_MAPPED,
	    PTF_FEATURE_FILEMAP),
	CMD(FILE_ADVISE, file_advise, 0, PTF_FEATURE_FILE_ADVISE),
	CMD(RULE_ADD, rule_add, 0, PTF_FEATURE_RULE),
	CMD(RULE_SET, rule_set, 0, PTF_FEATURE_RULE, .bytes_all_in = true),
	CMD(RULE_DELETE, rule_delete, PTF_RULE_DELETE_F_ALL, PTF_FEATURE_RULE,
	    .bytes_all_in = true),
	CMD(RULE_LIST, rule_list, 0, PTF_FEATURE_RULE),
	CMD(RULE_ARM, rule_arm, PTF_RULE_ARM_F_OFF, PTF_FEATURE_RULE),
};

/* Numbers that the header names, and that may not be built in yet. */
static const struct {
	unsigned long nr;
	__u64 feature;
} others[] = {
	{ PTF_IOC_FILE_MAPPERS, PTF_FEATURE_MAPPERS },
	{ PTF_IOC_TRACK_START, PTF_FEATURE_TRACK },
	{ PTF_IOC_TRACK_READ, PTF_FEATURE_TRACK },
	{ PTF_IOC_TRACK_STOP, PTF_FEATURE_TRACK },
	{ PTF_IOC_HELD_ANSWER, PTF_FEATURE_RULE },
};

FIXTURE(abi) {
	int fd;
	struct ptf_log log;
	struct args a;
	__u64 features;
};

static int wait_forever(void *unused)
{
	for (;;)
		pause();
	return 0;
}

FIXTURE_SETUP(abi)
{
	self->fd = ptf_setup(_metadata, &self->log);
	if (self->fd < 0)
		return;
	self->features = ptf_features(self->fd);
	self->a.mem = ptf_anon(PAGES(4));
	ASSERT_NE(NULL, self->a.mem);
	ptf_fill(self->a.mem, PAGES(4), 1);
	self->a.child = ptf_child(wait_forever, NULL);
	ASSERT_LT(0, self->a.child);
	self->a.file = ptf_file_in("/tmp", PAGES(4), 2);
	ASSERT_LE(0, self->a.file);
	self->a.map = mmap(NULL, PAGES(4), PROT_READ, MAP_SHARED, self->a.file, 0);
	ASSERT_NE(MAP_FAILED, self->a.map);
}

PTF_TEARDOWN(abi)

/* Room for a struct with a tail, and what stands in it before the call. */
#define ROOM	1024

static void prepare(const struct command *c, void *buf, struct args *a)
{
	memset(buf, 0, ROOM);
	c->fill(buf, a);
	*(__u32 *)buf = c->size;
}

#define for_each_command(c) \
	for (c = commands; c < commands + ARRAY_SIZE(commands); c++) \
		if (c->feature && !(self->features & c->feature)) { \
			TH_LOG("%s: not in this module", c->name); \
		} else

/* TARGET_CLOSE wants something to close. */
#define before(c) do { \
	if ((c)->nr == PTF_IOC_TARGET_CLOSE) \
		test_cmd_target_open(self->a.child, &self->a.target); \
	if ((c)->nr == PTF_IOC_RULE_SET || (c)->nr == PTF_IOC_RULE_DELETE) { \
		struct ptf_ioc_rule_add __add = { .size = sizeof(__add) }; \
		fill_rule_add(&__add, &self->a); \
		ASSERT_EQ(0, ioctl(self->fd, PTF_IOC_RULE_ADD, &__add)); \
		self->a.rule = self->a.rules[0].id; \
	} \
	ptf_touch_all(self->a.mem, PAGES(4)); \
} while (0)
#define after_failed(c) do { \
	if ((c)->nr == PTF_IOC_TARGET_CLOSE) \
		test_cmd_target_close(self->a.target); \
} while (0)

TEST_F(abi, length_exact)
{
	const struct command *c;
	char buf[ROOM];
	size_t i;

	for_each_command(c) {
		before(c);
		prepare(c, buf, &self->a);
		memset(buf + c->size, POISON, ROOM - c->size);
		ASSERT_EQ(0, ioctl(self->fd, c->nr, buf)) {
			TH_LOG("%s: %s", c->name, strerror(errno));
		}
		EXPECT_EQ(c->size, *(__u32 *)buf);
		for (i = c->size; i < ROOM; i++)
			ASSERT_EQ(POISON, (unsigned char)buf[i]) {
				TH_LOG("%s wrote behind its struct", c->name);
			}
	}
}

TEST_F(abi, length_one_short)
{
	static const size_t less[] = { 1, 4, 8 };
	const struct command *c;
	char buf[ROOM], was[ROOM];
	unsigned int i;

	for_each_command(c) {
		before(c);
		for (i = 0; i < ARRAY_SIZE(less); i++) {
			prepare(c, buf, &self->a);
			*(__u32 *)buf = c->size - less[i];
			memcpy(was, buf, ROOM);
			EXPECT_ERRNO(EINVAL, ioctl(self->fd, c->nr, buf));
			EXPECT_EQ(0, memcmp(buf, was, ROOM)) {
				TH_LOG("%s changed a struct that it refused", c->name);
			}
		}
		for (i = 0; i < 5; i++) {
			prepare(c, buf, &self->a);
			*(__u32 *)buf = i;
			EXPECT_ERRNO(EINVAL, ioctl(self->fd, c->nr, buf));
		}
		after_failed(c);
	}
}

TEST_F(abi, length_zero_tail)
{
	static const size_t more[] = { 1, 4, 8, 64, 512 };
	const struct command *c;
	char buf[ROOM];
	unsigned int i;

	for_each_command(c)
		for (i = 0; i < ARRAY_SIZE(more); i++) {
			before(c);
			prepare(c, buf, &self->a);
			*(__u32 *)buf = c->size + more[i];
			ASSERT_EQ(0, ioctl(self->fd, c->nr, buf)) {
				TH_LOG("%s with %zu zero bytes more: %s", c->name, more[i],
				       strerror(errno));
			}
		}
}

TEST_F(abi, length_nonzero_tail)
{
	static const size_t at[] = { 0, 1, 7, 8, 63, 500 };
	struct ptf_ioc_range_advise adv;
	const struct command *c;
	char buf[ROOM], was[ROOM];
	unsigned int i;

	for_each_command(c) {
		before(c);
		for (i = 0; i < ARRAY_SIZE(at); i++) {
			prepare(c, buf, &self->a);
			*(__u32 *)buf = c->size + at[i] + 1;
			buf[c->size + at[i]] = 1;
			memcpy(was, buf, ROOM);
			EXPECT_ERRNO(E2BIG, ioctl(self->fd, c->nr, buf));
			EXPECT_EQ(0, memcmp(buf, was, ROOM)) {
				TH_LOG("%s changed a struct that it refused", c->name);
			}
		}
		after_failed(c);
	}
	/* And nothing was done: no page was cleared. */
	test_cmd_range_advise(&adv, 0, PTF_ADV_PRESENT, self->a.mem, PAGES(4), 0);
	EXPECT_EQ(0, adv.out_done_pages);
}

TEST_F(abi, length_absurd)
{
	const struct command *c;
	char buf[ROOM];
	static const __u32 sizes[] = { 0x7fffffff, 0x80000000, 0xffffffff };
	unsigned int i;
	char *big;

	big = ptf_anon(MB);
	ASSERT_NE(NULL, big);
	for_each_command(c) {
		before(c);
		/* Longer than what is mapped: no overrun, an errno. */
		for (i = 0; i < ARRAY_SIZE(sizes); i++) {
			prepare(c, buf, &self->a);
			*(__u32 *)buf = sizes[i];
			errno = 0;
			EXPECT_EQ(-1, ioctl(self->fd, c->nr, buf));
			EXPECT_TRUE(errno == E2BIG || errno == EFAULT) {
				TH_LOG("%s: %s", c->name, strerror(errno));
			}
		}
		/* Mapped and not zero far behind. */
		memset(big, 0, MB);
		prepare(c, big, &self->a);
		*(__u32 *)big = MB;
		big[MB - 1] = 1;
		EXPECT_ERRNO(E2BIG, ioctl(self->fd, c->nr, big));
		after_failed(c);
	}
}

TEST_F(abi, not_accessible)
{
	const struct command *c;
	char *two, *ro, buf[ROOM];
	size_t i;

	two = ptf_anon(PAGES(2));
	ASSERT_NE(NULL, two);
	ASSERT_EQ(0, munmap(two + PAGE, PAGE));
	for_each_command(c) {
		before(c);
		EXPECT_ERRNO(EFAULT, ioctl(self->fd, c->nr, NULL));
		EXPECT_ERRNO(EFAULT, ioctl(self->fd, c->nr, two + PAGE));
		EXPECT_ERRNO(EFAULT, ioctl(self->fd, c->nr, 0xffffffff81000000UL));
		EXPECT_ERRNO(EFAULT, ioctl(self->fd, c->nr, ~0UL));
		EXPECT_ERRNO(EFAULT, ioctl(self->fd, c->nr, two + PAGE - 2));
		/* The struct runs into the hole, at every word. */
		for (i = 4; i < c->size; i += 4) {
			prepare(c, buf, &self->a);
			memcpy(two + PAGE - i, buf, i);
			EXPECT_ERRNO(EFAULT, ioctl(self->fd, c->nr, two + PAGE - i));
		}
		/* Its zero tail does. */
		prepare(c, buf, &self->a);
		*(__u32 *)buf = c->size + 8;
		memcpy(two + PAGE - c->size, buf, c->size);
		EXPECT_ERRNO(EFAULT, ioctl(self->fd, c->nr, two + PAGE - c->size));
		/* It ends exactly at the hole. */
		prepare(c, buf, &self->a);
		memcpy(two + PAGE - c->size, buf, c->size);
		ASSERT_EQ(0, ioctl(self->fd, c->nr, two + PAGE - c->size)) {
			TH_LOG("%s at the edge: %s", c->name, strerror(errno));
		}
	}
	/* Answers have to go somewhere. */
	ro = ptf_anon(PAGE);
	ASSERT_NE(NULL, ro);
	for_each_command(c) {
		if (c->bytes_all_in)
			continue;
		before(c);
		ASSERT_EQ(0, mprotect(ro, PAGE, PROT_READ | PROT_WRITE));
		prepare(c, ro, &self->a);
		ASSERT_EQ(0, mprotect(ro, PAGE, PROT_READ));
		EXPECT_ERRNO(EFAULT, ioctl(self->fd, c->nr, ro));
	}
	EXPECT_EQ(0, ptf_wrong(self->a.mem, PAGES(4), 1));
}

TEST_F(abi, unknown_flags)
{
	struct ptf_ioc_range_advise adv;
	const struct command *c;
	char buf[ROOM];
	unsigned int bit;

	for_each_command(c) {
		before(c);
		for (bit = 0; bit < 32; bit++) {
			if (c->known_flags & (1U << bit))
				continue;
			prepare(c, buf, &self->a);
			((__u32 *)buf)[1] = 1U << bit;
			EXPECT_ERRNO(EOPNOTSUPP, ioctl(self->fd, c->nr, buf));
		}
		after_failed(c);
	}
	test_cmd_range_advise(&adv, 0, PTF_ADV_PRESENT, self->a.mem, PAGES(4), 0);
	EXPECT_EQ(0, adv.out_done_pages);
}

TEST_F(abi, reserved_fields)
{
	struct ptf_ioc_target_close close_cmd = { .size = sizeof(close_cmd), .reserved = 1 };
	struct ptf_ioc_range_query query = { .size = sizeof(query) };
	struct ptf_ioc_range_advise adv = { .size = sizeof(adv) };
	struct ptf_ioc_page_walk walk = { .size = sizeof(walk) };

	test_cmd_target_open(self->a.child, &self->a.target);
	close_cmd.target = self->a.target;
	EXPECT_ERRNO(EINVAL, ioctl(self->fd, PTF_IOC_TARGET_CLOSE, &close_cmd));
	test_cmd_target_close(self->a.target);

	fill_range_query(&query, &self->a);
	query.reserved = 1;
	EXPECT_ERRNO(EINVAL, ioctl(self->fd, PTF_IOC_RANGE_QUERY, &query));
	fill_range_advise(&adv, &self->a);
	adv.arg = 1;
	EXPECT_ERRNO(EINVAL, ioctl(self->fd, PTF_IOC_RANGE_ADVISE, &adv));
	adv.arg = 1ULL << 63;
	EXPECT_ERRNO(EINVAL, ioctl(self->fd, PTF_IOC_RANGE_ADVISE, &adv));
	fill_page_walk(&walk, &self->a);
	walk.reserved = 0x80000000U;
	EXPECT_ERRNO(EINVAL, ioctl(self->fd, PTF_IOC_PAGE_WALK, &walk));
}

/* A command that a module has not must not answer like one that it has. */
TEST_F(abi, unknown_commands)
{
	char buf[ROOM], was[ROOM];
	unsigned int nr, i, dir;
	bool named;

	for (nr = 0; nr < 256; nr++) {
		named = false;
		for (i = 0; i < ARRAY_SIZE(commands); i++)
			named |= commands[i].nr == _IO(PTF_IOC_TYPE, nr);
		for (i = 0; i < ARRAY_SIZE(others); i++)
			named |= others[i].nr == _IO(PTF_IOC_TYPE, nr);
		memset(buf, POISON, ROOM);
		*(__u32 *)buf = ROOM / 2;
		memcpy(was, buf, ROOM);
		if (!named)
			EXPECT_ERRNO(ENOTTY, ioctl(self->fd, _IO(PTF_IOC_TYPE, nr), buf));
		/* Same number, other type, direction or size. */
		EXPECT_ERRNO(ENOTTY, ioctl(self->fd, _IO(PTF_IOC_TYPE - 1, nr), buf));
		/* But for FIGETBSZ, which every file answers. */
		if (nr != 2)
			EXPECT_ERRNO(ENOTTY, ioctl(self->fd, _IO(0, nr), buf));
		for (dir = 1; dir < 4; dir++)
			EXPECT_ERRNO(ENOTTY, ioctl(self->fd, _IOC(dir, PTF_IOC_TYPE, nr, 16),
						   buf));
		EXPECT_ERRNO(ENOTTY, ioctl(self->fd, _IOC(0, PTF_IOC_TYPE, nr, 16), buf));
		EXPECT_EQ(0, memcmp(buf, was, ROOM));
	}
}

/* What the features leave out is not there; what they name is. */
TEST_F(abi, features_are_true)
{
	char buf[ROOM];
	unsigned int i;

	memset(buf, 0, ROOM);
	for (i = 0; i < ARRAY_SIZE(commands); i++) {
		errno = 0;
		EXPECT_EQ(-1, ioctl(self->fd, commands[i].nr, buf));
		if (!commands[i].feature || (self->features & commands[i].feature)) {
			EXPECT_EQ(EINVAL, errno) {
				TH_LOG("%s: %s", commands[i].name, strerror(errno));
			}
		} else {
			EXPECT_TRUE(errno == ENOTTY || errno == EOPNOTSUPP);
		}
	}
	for (i = 0; i < ARRAY_SIZE(others); i++) {
		errno = 0;
		EXPECT_EQ(-1, ioctl(self->fd, others[i].nr, buf));
		if (self->features & others[i].feature) {
			EXPECT_NE(ENOTTY, errno);
		} else {
			EXPECT_TRUE(errno == ENOTTY || errno == EOPNOTSUPP) {
				TH_LOG("%#lx: %s", others[i].nr, strerror(errno));
			}
		}
	}
}

TEST_F(abi, advice_is_true)
{
	struct ptf_ioc_features_get f;
	struct ptf_ioc_range_advise adv;
	unsigned int n;
	char *mem;

	test_cmd_features_get(&f, 0);
	/* The first two are what the module is there for. */
	EXPECT_EQ(6, f.out_advice & 7);
	EXPECT_EQ(0, f.out_advice >> (PTF_ADV_LAST - PTF_ADV_BASE + 1));
	for (n = 0; n < 64; n++) {
		mem = ptf_anon(PAGES(2));
		ASSERT_NE(NULL, mem);
		ptf_fill(mem, PAGES(2), n);
		errno = 0;
		_test_cmd_range_advise(self->fd, &adv, 0, PTF_ADV_BASE + n, mem, PAGES(2), 0);
		if (!n || PTF_ADV_BASE + n > PTF_ADV_LAST) {
			EXPECT_EQ(EINVAL, errno) {
				TH_LOG("advice %#x: %s", PTF_ADV_BASE + n, strerror(errno));
			}
		} else if (!(f.out_advice & (1ULL << n))) {
			EXPECT_EQ(EOPNOTSUPP, errno) {
				TH_LOG("advice %#x: %s", PTF_ADV_BASE + n, strerror(errno));
			}
		}
		munmap(mem, PAGES(2));
	}
	/* Numbers of madvise(2) are not the module's. */
	for (n = 0; n < 128; n++)
		test_err_range_advise(EINVAL, &adv, 0, n, self->a.mem, PAGE, 0);
	test_err_range_advise(EINVAL, &adv, 0, ~0U, self->a.mem, PAGE, 0);
	EXPECT_EQ(0, ptf_wrong(self->a.mem, PAGES(4), 1));
}

TEST_F(abi, features)
{
	struct ptf_ioc_features_get f, g;
	unsigned int nodes = 0, i;
	char path[64], line[4096];
	bool la57 = false;
	FILE *cpuinfo;
	int bit;

	test_cmd_features_get(&f, 0);
	EXPECT_EQ(PTF_API_VERSION, f.out_api);
	EXPECT_EQ(sysconf(_SC_PAGESIZE), 1L << f.out_page_shift);
	EXPECT_EQ(PTF_FEATURE_QUERY | PTF_FEATURE_FILEMAP | PTF_FEATURE_HINT,
		  f.out_features & (PTF_FEATURE_QUERY | PTF_FEATURE_FILEMAP |
				    PTF_FEATURE_HINT));
	EXPECT_TRUE(f.out_flush >= PTF_FLUSH_CR4 && f.out_flush <= PTF_FLUSH_RANGE);
	EXPECT_EQ(1, f.out_privileged);
	EXPECT_EQ(0, f.out_features & ~(PTF_FEATURE_FILE_ADVISE * 2 - 1));

	cpuinfo = fopen("/proc/cpuinfo", "re");
	ASSERT_NE(NULL, cpuinfo);
	while (fgets(line, sizeof(line), cpuinfo))
		if (!strncmp(line, "flags", 5))
			la57 |= !!strstr(line, " la57");
	fclose(cpuinfo);
	EXPECT_EQ(la57 ? 5 : 4, f.out_levels);

	for (i = 0; i < 64; i++) {
		snprintf(path, sizeof(path), "/sys/devices/system/node/node%u", i);
		nodes += !access(path, F_OK);
	}
	EXPECT_EQ(nodes ?: 1, f.out_nr_nodes);

	/* What is there can be required, one by one and together. */
	test_cmd_features_get(&g, f.out_features);
	for (bit = 0; bit < 64; bit++) {
		if (f.out_features & (1ULL << bit)) {
			test_cmd_features_get(&g, 1ULL << bit);
			continue;
		}
		test_err_features_get(EOPNOTSUPP, &g, 1ULL << bit);
		/* The answer tells what there would have been. */
		EXPECT_EQ(f.out_features, g.out_features);
		EXPECT_EQ(f.out_advice, g.out_advice);
		EXPECT_EQ(f.out_api, g.out_api);
		EXPECT_EQ(f.out_nr_nodes, g.out_nr_nodes);
		EXPECT_EQ(f.out_privileged, g.out_privileged);
	}
	test_err_features_get(EOPNOTSUPP, &g, f.out_features | 1ULL << 63);
}

TEST_F(abi, node)
{
	struct stat st;
	pid_t pid;

	ASSERT_EQ(0, stat(PTF_DEV, &st));
	EXPECT_TRUE(S_ISCHR(st.st_mode));
	EXPECT_EQ(0600, st.st_mode & 07777);
	EXPECT_EQ(0, st.st_uid);
	EXPECT_EQ(0, st.st_gid);

	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		if (setresgid(65534, 65534, 65534) || setresuid(65534, 65534, 65534))
			_exit(1);
		_exit(open(PTF_DEV, O_RDWR) == -1 && errno == EACCES ? 0 : 2);
	}
	EXPECT_EQ(0, ptf_wait(pid));
}

/* Opened without CAP_SYS_ADMIN: no frame numbers, and none by the back door. */
TEST_F(abi, privileged)
{
	struct __user_cap_header_struct hdr = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct data[2];
	struct ptf_ioc_features_get f;
	struct ptf_ioc_page_walk walk;
	struct ptf_ioc_file_query fq;
	struct ptf_ioc_range_query q;
	struct ptf_row row;
	struct ptf_file_row frow;
	unsigned int i;
	int fd;

	ASSERT_EQ(0, syscall(SYS_capget, &hdr, data));
	data[CAP_SYS_ADMIN / 32].effective &= ~(1U << (CAP_SYS_ADMIN % 32));
	ASSERT_EQ(0, syscall(SYS_capset, &hdr, data));
	fd = open(PTF_DEV, O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, fd);
	/* What counts is the opener's right, not the caller's. */
	data[CAP_SYS_ADMIN / 32].effective |= 1U << (CAP_SYS_ADMIN % 32);
	ASSERT_EQ(0, syscall(SYS_capset, &hdr, data));

	ASSERT_OK(_test_cmd_features_get(fd, &f, 0));
	EXPECT_EQ(0, f.out_privileged);
	ASSERT_OK(_test_cmd_range_query(fd, &q, 0, self->a.mem, PAGE, PTF_QUERY_F_PAGES,
					&row, 1));
	ASSERT_EQ(1, q.out_rows);
	EXPECT_EQ(PTF_STATE_PRESENT, row.state);
	EXPECT_EQ(0, row.pte_pfn);
	EXPECT_EQ(0, row.file_pfn);
	EXPECT_EQ(0, row.pte & 0x000ffffffffff000ULL);
	EXPECT_NE(0, row.pte);
	ASSERT_OK(_test_cmd_page_walk(fd, &walk, 0, self->a.mem));
	EXPECT_EQ(f.out_levels, walk.out_nr);
	for (i = 0; i < walk.out_nr; i++) {
		EXPECT_EQ(0, walk.level[i].pfn);
		EXPECT_EQ(0, walk.level[i].raw & 0x000ffffffffff000ULL);
	}
	EXPECT_EQ(0, walk.out_row.pte_pfn);
	ASSERT_OK(_test_cmd_file_query(fd, &fq, self->a.file, 0, PAGE, PTF_QUERY_F_PAGES,
				       &frow, 1));
	ASSERT_EQ(1, fq.out_rows);
	EXPECT_EQ(PTF_FILEMAP_PRESENT, frow.state);
	EXPECT_EQ(0, frow.pfn);

	/* A hint entry holds its frame inverted: that would tell it too. */
	ASSERT_OK(_test_cmd_range_advise(fd, &(struct ptf_ioc_range_advise){}, 0,
					 PTF_ADV_NOTPRESENT, self->a.mem, PAGE, 0));
	ASSERT_OK(_test_cmd_range_query(fd, &q, 0, self->a.mem, PAGE, PTF_QUERY_F_PAGES,
					&row, 1));
	EXPECT_EQ(PTF_STATE_HINT, row.state);
	EXPECT_EQ(0, row.pte_pfn);
	EXPECT_EQ(0, row.pte & 0x000ffffffffff000ULL);
	ASSERT_OK(_test_cmd_page_walk(fd, &walk, 0, self->a.mem));
	EXPECT_EQ(0, walk.level[walk.out_nr - 1].raw & 0x000ffffffffff000ULL);
	EXPECT_EQ(0, walk.level[walk.out_nr - 1].pfn);
	close(fd);
}

TEST_F(abi, session_stat)
{
	struct ptf_ioc_session_stat st, st2;
	int fd[3], i;
	__u32 t;

	test_cmd_session_stat(&st);
	/* Others may have it open too, so only compare. */
	EXPECT_LE(1, st.out_sessions);
	EXPECT_GE(1, st.out_targets);
	EXPECT_EQ(0, st.out_cleared_pages);
	EXPECT_EQ(0, st.out_healed_pages);
	EXPECT_EQ(0, st.out_stashed_pages);
	EXPECT_EQ(0, st.out_stashed_total);
	EXPECT_EQ(0, st.out_rules);
	EXPECT_EQ(0, st.out_rule_hits);
	EXPECT_EQ(0, st.out_events_queued);
	EXPECT_EQ(0, st.out_events_lost);
	EXPECT_EQ(0, st.out_held);
	EXPECT_LE(st.out_hooked, 1);

	for (i = 0; i < 3; i++) {
		fd[i] = open(PTF_DEV, O_RDWR | O_CLOEXEC);
		ASSERT_LE(0, fd[i]);
	}
	test_cmd_session_stat(&st2);
	EXPECT_EQ(st.out_sessions + 3, st2.out_sessions);
	for (i = 0; i < 3; i++)
		close(fd[i]);
	test_cmd_session_stat(&st2);
	EXPECT_EQ(st.out_sessions, st2.out_sessions);

	test_cmd_target_open(self->a.child, &t);
	test_cmd_session_stat(&st2);
	EXPECT_EQ(st.out_targets + 1, st2.out_targets);
	test_cmd_target_close(t);
	test_cmd_session_stat(&st2);
	EXPECT_EQ(st.out_targets, st2.out_targets);

	test_cmd_advise_all(PTF_ADV_NOTPRESENT, self->a.mem, PAGES(4));
	test_cmd_session_stat(&st2);
	EXPECT_EQ(4, st2.out_cleared_pages);
	EXPECT_LT(st.out_flushes, st2.out_flushes);
	/* Ever: a heal takes nothing away from it. */
	ptf_touch_all(self->a.mem, PAGES(4));
	test_cmd_advise_all(PTF_ADV_NOTPRESENT, self->a.mem, PAGES(2));
	test_cmd_session_stat(&st2);
	EXPECT_EQ(6, st2.out_cleared_pages);
}

TEST_HARNESS_MAIN
