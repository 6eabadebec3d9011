// SPDX-License-Identifier: GPL-2.0-only
/*
 * Rules through the library: what is asked for is what the module has, and
 * exactly the faults that it fits are taken. And the words for all of it, which
 * need no module.
 */
#include "test_lib_fault.h"

/* Rules with the defaults of a macro, but for what a test is about. */
#pragma GCC diagnostic ignored "-Woverride-init"

/* --- words ------------------------------------------------------------------ */

TEST(actions_go_both_ways)
{
	static const struct {
		const char *text;
		unsigned int action;
		uint64_t value;
		const char *again;
	} good[] = {
		{ "count", PTF_ACT_COUNT, 0, "count" },
		{ "Notify", PTF_ACT_NOTIFY, 0, "notify" },
		{ "delay=1", PTF_ACT_DELAY, 1, "delay=1" },
		{ "delay=0", PTF_ACT_DELAY, 0, "delay=0" },
		{ "delay=0x10ns", PTF_ACT_DELAY, 16, "delay=16" },
		{ "DELAY=3US", PTF_ACT_DELAY, 3000, "delay=3000" },
		{ "delay=7ms", PTF_ACT_DELAY, 7000000, "delay=7000000" },
		{ "delay=60s", PTF_ACT_DELAY, PTF_DELAY_MAX_NS, "delay=60000000000" },
		{ "SIGBUS", PTF_ACT_SIGBUS, 0, "sigbus" },
		{ "sigsegv", PTF_ACT_SIGSEGV, 0, "sigsegv" },
		{ "hwpoison", PTF_ACT_HWPOISON, 0, "hwpoison" },
		{ "retry", PTF_ACT_RETRY, 0, "retry" },
		{ "retry=3", PTF_ACT_RETRY, 3, "retry=3" },
		{ "retry=1000000", PTF_ACT_RETRY, PTF_RETRY_MAX, "retry=1000000" },
		{ "oom=0x2", PTF_ACT_OOM, 2, "oom=2" },
		{ "oom", PTF_ACT_OOM, 0, "oom" },
		{ "hold", PTF_ACT_HOLD, 0, "hold" },
	};
	static const char *const bad[] = {
		"", "=", "counts", "coun", "count=1", "sigbus=", "hold=1", "delay", "delay=",
		"delay=-1", "delay=+1", "delay= 1", "delay=1 ", "delay=1h", "delay=0x",
		"delay=60000000001", "delay=61s", "delay=18446744073709551617",
		"delay=18446744073709551s", "retry=", "retry=1ms", "retry=1000001", "oom=-1",
		"handler", "handler=", "handler=0123456789012345678901234567890a", "go", "hold ",
		" hold", "notify,count",
	};
	struct ptf_action a;
	char text[80];
	size_t i;

	for (i = 0; i < ARRAY_SIZE(good); i++) {
		memset(&a, 0xa5, sizeof(a));
		EXPECT_EQ(0, ptf_action_parse(good[i].text, &a)) {
			TH_LOG("%s", good[i].text);
		}
		EXPECT_EQ(good[i].action, a.action);
		EXPECT_EQ(good[i].value, a.value);
		EXPECT_STREQ("", a.handler);
		EXPECT_EQ(strlen(good[i].again), ptf_action_text(&a, text, sizeof(text)));
		EXPECT_STREQ(good[i].again, text);
	}
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		memset(&a, 0xa5, sizeof(a));
		ptf_failure_clear();
		EXPECT_EQ(-EINVAL, ptf_action_parse(bad[i], &a)) {
			TH_LOG("\"%s\"", bad[i]);
		}
		EXPECT_EQ(0, a.action);
		EXPECT_EQ(EINVAL, ptf_failure_last()->err);
	}
	EXPECT_EQ(0, ptf_action_parse("handler=x", &a));
	EXPECT_STREQ("x", a.handler);
	EXPECT_EQ(9, ptf_action_text(&a, text, sizeof(text)));
	EXPECT_STREQ("handler=x", text);
	/* The longest name, and a case that is kept. */
	EXPECT_EQ(0, ptf_action_parse("Handler=A123456789012345678901234567890", &a));
	EXPECT_EQ(31, strlen(a.handler));
	EXPECT_EQ(39, ptf_action_text(&a, text, 9));
	EXPECT_STREQ("handler=", text);
	EXPECT_EQ(39, ptf_action_text(&a, NULL, 0));
	for (i = PTF_ACT_GO; i <= PTF_ACT_LAST; i++)
		EXPECT_STRNE("?", ptf_action_name(i));
	EXPECT_STREQ("go", ptf_action_name(PTF_ACT_GO));
	EXPECT_STREQ("?", ptf_action_name(PTF_ACT_LAST + 1));
}

TEST(accesses_and_origins_go_both_ways)
{
	uint32_t set, again;

	for (set = 1; set <= PTF_ACCESS_ANY; set++) {
		EXPECT_EQ(0, ptf_access_parse(ptf_access_text(set), &again));
		EXPECT_EQ(set, again);
	}
	for (set = 1; set <= PTF_ORIGIN_ANY; set++) {
		EXPECT_EQ(0, ptf_origin_parse(ptf_origin_text(set), &again));
		EXPECT_EQ(set, again);
	}
	EXPECT_EQ(0, ptf_access_parse("XwWr", &set));
	EXPECT_EQ(PTF_ACCESS_ANY, set);
	EXPECT_EQ(0, ptf_access_parse("any", &set));
	EXPECT_EQ(PTF_ACCESS_ANY, set);
	EXPECT_EQ(-EINVAL, ptf_access_parse("", &set));
	EXPECT_EQ(0, set);
	EXPECT_EQ(-EINVAL, ptf_access_parse("r,w", &set));
	EXPECT_EQ(-EINVAL, ptf_access_parse("read", &set));
	EXPECT_EQ(0, ptf_origin_parse("kernel", &set));
	EXPECT_EQ(PTF_ORIGIN_KERNEL | PTF_ORIGIN_GUP, set);
	EXPECT_EQ(0, ptf_origin_parse("GUP,user", &set));
	EXPECT_EQ(PTF_ORIGIN_GUP | PTF_ORIGIN_USER, set);
	EXPECT_EQ(-EINVAL, ptf_origin_parse("", &set));
	EXPECT_EQ(-EINVAL, ptf_origin_parse("user,", &set));
	EXPECT_EQ(-EINVAL, ptf_origin_parse("users", &set));
	EXPECT_EQ(0, set);
	EXPECT_STREQ("read", ptf_access_name(PTF_ACCESS_READ));
	EXPECT_STREQ("write", ptf_access_name(PTF_ACCESS_WRITE));
	EXPECT_STREQ("execute", ptf_access_name(PTF_ACCESS_EXEC));
	EXPECT_STREQ("?", ptf_access_name(PTF_ACCESS_ANY));
	EXPECT_STREQ("user", ptf_origin_name(PTF_ORIGIN_USER));
	EXPECT_STREQ("kernel", ptf_origin_name(PTF_ORIGIN_KERNEL));
	EXPECT_STREQ("gup", ptf_origin_name(PTF_ORIGIN_GUP));
	EXPECT_STREQ("?", ptf_origin_name(0));
	EXPECT_STREQ("?", ptf_origin_text(8));
	EXPECT_STREQ("?", ptf_access_text(8));
}

TEST(rules_as_text)
{
	struct ptf_rule r = {
		.id = 3, .start = 0x7f0000, .end = 0x7f1000, .access = PTF_ACCESS_WRITE,
		.origin = PTF_ORIGIN_USER, .action = PTF_ACT_DELAY, .value = 50,
		.times = 2, .matches = 4, .hits = 2,
	};
	char text[512];
	size_t len;

	len = ptf_rule_text(&r, text, sizeof(text));
	EXPECT_STREQ("3: 0x7f0000-0x7f1000 delay=50 on w from user times 2: matched 4, took 2",
		     text);
	EXPECT_EQ(strlen(text), len);
	EXPECT_EQ(len, ptf_rule_text(&r, NULL, 0));
	EXPECT_EQ(len, ptf_rule_text(&r, text, 4));
	EXPECT_STREQ("3: ", text);
	r.tid = 7;
	r.after = 1;
	r.interval = 2;
	r.probability = PTF_PROBABILITY_ONE / 4;
	r.seed = 9;
	r.order = 5;
	r.flags = PTF_RULE_F_PER_THREAD | PTF_RULE_F_PASSIVE | PTF_RULE_F_OFF;
	r.passed = 1;
	ptf_rule_text(&r, text, sizeof(text));
	EXPECT_NE(NULL, strstr(text, " from user thread 7 after 1 interval 2 times 2 prob"));
	EXPECT_NE(NULL, strstr(text, " 2 probability 0.25 seed 9 order 5 per thread pass"));
	EXPECT_NE(NULL, strstr(text, " per thread passive off: matched 4, took 2, of them"));
	EXPECT_NE(NULL, strstr(text, " took 2, of them 1 went on"));
}

/* --- with the module ---------------------------------------------------------- */

#define NR 16

FIXTURE(rule)
{
	struct ptf_session *s;
	char *p;
	uint64_t start;
	uint64_t end;
};

FIXTURE_SETUP(rule)
{
	const char *why;

	self->s = session_or(PTF_FEATURE_RULE, &why);
	if (!self->s)
		SKIP(return, "%s", why);
	self->p = room_of(NR, 1);
	ASSERT_NE(MAP_FAILED, (void *)self->p);
	self->start = (uintptr_t)self->p;
	self->end = self->start + PAGES(NR);
	fault_catch();
}

FIXTURE_TEARDOWN(rule)
{
	ptf_session_close(self->s);
	if (self->p)
		munmap(self->p, PAGES(NR));
}

/* A rule over pages [from, to) of the room. */
#define RULE(from, to, ...) (&(struct ptf_rule_options) {		\
	.size = sizeof(struct ptf_rule_options),			\
	.start = self->start + PAGES(from),				\
	.end = self->start + PAGES(to), __VA_ARGS__ })

#define ADD(id, ...) ASSERT_EQ(0, ptf_rule_add(self->s, RULE(__VA_ARGS__), id))

#define EXPECT_COUNTS(id, matches_, hits_) do {				\
	struct ptf_rule r_;						\
	ASSERT_EQ(0, ptf_rule_get(self->s, id, &r_));			\
	EXPECT_EQ(matches_, r_.matches);				\
	EXPECT_EQ(hits_, r_.hits);					\
} while (0)

/* An access to a page that is made to fault first. */
static int fault_on(struct ptf_session *s, char *p, enum access how)
{
	hide(s, (void *)((uintptr_t)p & ~(PAGE - 1)), 1);
	return touch(p, how);
}

TEST_F(rule, what_is_asked_for_is_what_is_listed)
{
	struct ptf_rule r;
	uint64_t id = 0, id2 = 0;

	memset(&r, 0xa5, sizeof(r));
	ADD(&id, 1, 3, .access = PTF_ACCESS_WRITE, .origin = PTF_ORIGIN_USER,
	    .tid = thread_id(), .action = PTF_ACT_DELAY, .value = 12345, .after = 2,
	    .interval = 3, .times = 4, .probability = 0.25, .seed = 99, .order = 7,
	    .flags = PTF_RULE_F_PASSIVE | PTF_RULE_F_PER_THREAD);
	EXPECT_NE(0, id);
	ASSERT_EQ(0, ptf_rule_get(self->s, id, &r));
	EXPECT_EQ(id, r.id);
	EXPECT_EQ(self->start + PAGES(1), r.start);
	EXPECT_EQ(self->start + PAGES(3), r.end);
	EXPECT_EQ(PTF_ACCESS_WRITE, r.access);
	EXPECT_EQ(PTF_ORIGIN_USER, r.origin);
	EXPECT_EQ(thread_id(), r.tid);
	EXPECT_EQ(PTF_ACT_DELAY, r.action);
	EXPECT_EQ(12345, r.value);
	EXPECT_EQ(2, r.after);
	EXPECT_EQ(3, r.interval);
	EXPECT_EQ(4, r.times);
	EXPECT_EQ(PTF_PROBABILITY_ONE / 4, r.probability);
	EXPECT_EQ(99, r.seed);
	EXPECT_EQ(7, r.order);
	EXPECT_EQ(PTF_RULE_F_PASSIVE | PTF_RULE_F_PER_THREAD, r.flags);
	EXPECT_EQ(PTF_TARGET_SELF, r.target);
	EXPECT_EQ(0, r.matches + r.hits + r.passed);
	/* Nothing said is anything. */
	ADD(&id2, 0, 1, .action = PTF_ACT_SIGBUS);
	EXPECT_LT(id, id2);
	ASSERT_EQ(0, ptf_rule_get(self->s, id2, &r));
	EXPECT_EQ(PTF_ACCESS_ANY, r.access);
	EXPECT_EQ(PTF_ORIGIN_ANY, r.origin);
	EXPECT_EQ(0, r.probability);
	EXPECT_EQ(0, r.tid);
	/* Seldom is not never. */
	ADD(&id2, 0, 1, .action = PTF_ACT_SIGBUS, .probability = 0.000000001);
	ASSERT_EQ(0, ptf_rule_get(self->s, id2, &r));
	EXPECT_EQ(1, r.probability);
	ADD(&id2, 0, 1, .action = PTF_ACT_SIGBUS, .probability = 1);
	ASSERT_EQ(0, ptf_rule_get(self->s, id2, &r));
	EXPECT_EQ(PTF_PROBABILITY_ONE, r.probability);
	EXPECT_EQ(4, ptf_rule_list(self->s, NULL, NULL));
	EXPECT_EQ(0, ptf_rule_delete(self->s, id));
	EXPECT_EQ(-ENOENT, ptf_rule_delete(self->s, id));
	EXPECT_EQ(-ENOENT, ptf_rule_get(self->s, id, &r));
	EXPECT_EQ(0, r.id);
	EXPECT_EQ(-ENOENT, ptf_rule_get(self->s, 0, &r));
	EXPECT_EQ(-ENOENT, ptf_rule_get(self->s, id2 + 1, &r));
	EXPECT_EQ(3, ptf_rule_list(self->s, NULL, NULL));
	EXPECT_EQ(0, ptf_rule_delete_all(self->s));
	EXPECT_EQ(0, ptf_rule_list(self->s, NULL, NULL));
	EXPECT_EQ(0, ptf_rule_delete_all(self->s));
}

TEST_F(rule, wrong_rules)
{
	struct {
		struct ptf_rule_options o;
		uint64_t more;
	} large = { .o = *RULE(0, 1, .size = sizeof(large), .action = PTF_ACT_COUNT) };
	struct ptf_session *other;
	struct ptf_target *t;
	const char *why;
	uint64_t id = 1;

#define BAD(errno_, ...) do {						\
	ptf_failure_clear();						\
	EXPECT_EQ(-(errno_), ptf_rule_add(self->s, RULE(0, 1, __VA_ARGS__), &id)); \
	EXPECT_EQ(errno_, ptf_failure_last()->err);			\
	EXPECT_STREQ("ptf_rule_add", ptf_failure_last()->op);		\
} while (0)
	BAD(EINVAL, .size = 0, .action = PTF_ACT_COUNT);
	BAD(EINVAL, .size = sizeof(struct ptf_rule_options) - 1, .action = PTF_ACT_COUNT);
	BAD(EINVAL, .action = 0);
	BAD(EINVAL, .action = PTF_ACT_LAST + 1);
	BAD(EINVAL, .action = PTF_ACT_COUNT, .start = self->start + 1);
	BAD(EINVAL, .action = PTF_ACT_COUNT, .end = self->start);
	BAD(EINVAL, .action = PTF_ACT_COUNT, .end = self->start - PAGE);
	BAD(EINVAL, .action = PTF_ACT_COUNT, .start = 0xffff800000000000,
	    .end = 0xffff800000001000);
	BAD(EINVAL, .action = PTF_ACT_COUNT, .access = 8);
	BAD(EINVAL, .action = PTF_ACT_COUNT, .origin = 8);
	BAD(EINVAL, .action = PTF_ACT_COUNT, .tid = -1);
	BAD(EINVAL, .action = PTF_ACT_COUNT, .value = 1);
	BAD(EINVAL, .action = PTF_ACT_COUNT, .reserved = 1);
	BAD(EINVAL, .action = PTF_ACT_COUNT, .probability = -0.1);
	BAD(EINVAL, .action = PTF_ACT_COUNT, .probability = 1.1);
	BAD(EINVAL, .action = PTF_ACT_COUNT, .probability = __builtin_nan(""));
	BAD(EINVAL, .action = PTF_ACT_COUNT, .handler = "x");
	BAD(EINVAL, .action = PTF_ACT_HANDLER);
	BAD(EINVAL, .action = PTF_ACT_HANDLER, .handler = "");
	BAD(EINVAL, .action = PTF_ACT_HANDLER, .handler = "01234567890123456789012345678901");
	BAD(EINVAL, .action = PTF_ACT_DELAY);
	BAD(EINVAL, .action = PTF_ACT_DELAY, .value = PTF_DELAY_MAX_NS + 1);
	BAD(EINVAL, .action = PTF_ACT_RETRY, .value = PTF_RETRY_MAX + 1);
	BAD(EOPNOTSUPP, .action = PTF_ACT_COUNT, .flags = 1U << 30);
	BAD(ESRCH, .action = PTF_ACT_COUNT, .tid = 0x3ffffff);
	BAD(ENOENT, .action = PTF_ACT_HANDLER, .handler = "nobody's");
	EXPECT_NE(NULL, strstr(ptf_failure_last()->annotation, "nobody's"));
	EXPECT_NE(NULL, strstr(ptf_failure_last()->way, "load the module that"));
	EXPECT_EQ(-EINVAL, ptf_rule_add(self->s, NULL, &id));
	EXPECT_EQ(1, id);
	/* A newer program, with something set that this library does not know. */
	EXPECT_EQ(0, ptf_rule_add(self->s, &large.o, NULL));
	large.more = 1;
	EXPECT_EQ(-E2BIG, ptf_rule_add(self->s, &large.o, NULL));
	/* A target of another session is not this one's. */
	other = session_or(0, &why);
	ASSERT_NE(NULL, other);
	ASSERT_EQ(0, ptf_target_open(other, getpid(), &t));
	BAD(EINVAL, .action = PTF_ACT_COUNT, .target = t);
	ptf_target_close(t);
	ptf_session_close(other);
	EXPECT_EQ(1, ptf_rule_list(self->s, NULL, NULL));
}

struct listed {
	uint64_t last;
	size_t nr;
	size_t stop;
	bool sorted;
};

static int list_fn(const struct ptf_rule *rule, void *arg)
{
	struct listed *l = arg;

	l->sorted &= rule->id > l->last;
	l->last = rule->id;
	return ++l->nr == l->stop ? 42 : 0;
}

TEST_F(rule, many_or_none)
{
	enum { MANY = 1000 };
	struct ptf_rule_options *o = calloc(MANY, sizeof(*o));
	uint64_t *ids = calloc(MANY, sizeof(*ids));
	struct listed l = { .sorted = true };
	struct ptf_rule r;
	unsigned int i;

	for (i = 0; i < MANY; i++)
		o[i] = *RULE(i % NR, i % NR + 1, .action = PTF_ACT_COUNT, .seed = i);
	ASSERT_EQ(0, ptf_rule_add_many(self->s, o, MANY, ids));
	EXPECT_EQ(MANY, ptf_rule_list(self->s, list_fn, &l));
	EXPECT_EQ(MANY, l.nr);
	EXPECT_EQ(true, l.sorted);
	for (i = 0; i < MANY; i += 111) {
		ASSERT_EQ(0, ptf_rule_get(self->s, ids[i], &r));
		EXPECT_EQ(i, r.seed);
		EXPECT_EQ(self->start + PAGES(i % NR), r.start);
	}
	l = (struct listed) { .stop = 700 };
	EXPECT_EQ(42, ptf_rule_list(self->s, list_fn, &l));
	EXPECT_EQ(700, l.nr);
	EXPECT_EQ(0, ptf_rule_delete_all(self->s));
	/* One wrong: by the library's look before any, by the module's in the middle. */
	o[600].action = 0;
	EXPECT_EQ(-EINVAL, ptf_rule_add_many(self->s, o, MANY, ids));
	EXPECT_EQ(600, ptf_failure_last()->done);
	EXPECT_EQ(0, ptf_rule_list(self->s, NULL, NULL));
	o[600].action = PTF_ACT_HANDLER;
	o[600].handler = "nobody's";
	EXPECT_EQ(-ENOENT, ptf_rule_add_many(self->s, o, MANY, ids));
	EXPECT_EQ(600, ptf_failure_last()->done);
	EXPECT_NE(NULL, strstr(ptf_failure_last()->annotation, "nobody's"));
	EXPECT_EQ(0, ptf_rule_list(self->s, NULL, NULL));
	EXPECT_EQ(0, ptf_rule_add_many(self->s, o, 0, ids));
	EXPECT_EQ(0, ptf_rule_add_many(self->s, NULL, 0, NULL));
	EXPECT_EQ(0, ptf_rule_add_many(self->s, o, 2, NULL));
	EXPECT_EQ(2, ptf_rule_list(self->s, NULL, NULL));
	free(ids);
	free(o);
}

TEST_F(rule, exactly_the_chosen_pages)
{
	struct ptf_ioc_session_stat stat;
	uint64_t id, pages = 0;
	unsigned int i;

	ADD(&id, 3, 5, .action = PTF_ACT_SIGBUS);
	/* Disarmed: nothing. */
	for (i = 0; i < NR; i++)
		EXPECT_EQ(0, fault_on(self->s, self->p + PAGES(i), LOAD));
	EXPECT_COUNTS(id, 0, 0);
	EXPECT_EQ(0, ptf_rule_arm(self->s, &pages));
	EXPECT_EQ(2, pages);
	EXPECT_EQ(0, ptf_session_stat(self->s, &stat));
	EXPECT_EQ(1, stat.out_armed);
	EXPECT_EQ(1, stat.out_rules);
	for (i = 0; i < NR; i++) {
		char *p = self->p + PAGES(i) + 17 * i;
		int sig = i == 3 || i == 4 ? SIGBUS : 0;

		EXPECT_EQ(sig, touch(p, i & 1 ? LOAD : STORE));
		if (sig) {
			EXPECT_EQ(BUS_ADRERR, fault_code);
			EXPECT_EQ((void *)p, fault_addr);
		}
	}
	/* As it was: each access fails, until it is switched off. */
	EXPECT_EQ(SIGBUS, touch(self->p + PAGES(3), LOAD));
	EXPECT_COUNTS(id, 3, 3);
	EXPECT_EQ(0, ptf_rule_disarm(self->s));
	EXPECT_EQ(0, ptf_session_stat(self->s, &stat));
	EXPECT_EQ(0, stat.out_armed);
	EXPECT_EQ(3, stat.out_rule_hits);
	EXPECT_EQ(true, page_has(self->p + PAGES(3) - PAGES(3), 3, 1));
	EXPECT_EQ(true, page_has(self->p, 4, 1));
	EXPECT_EQ(0, touch(self->p + PAGES(3), LOAD));
	EXPECT_COUNTS(id, 3, 3);
}

TEST_F(rule, added_while_armed)
{
	uint64_t id;

	EXPECT_EQ(0, ptf_rule_arm(self->s, NULL));
	ADD(&id, 2, 3, .action = PTF_ACT_SIGSEGV);
	EXPECT_EQ(SIGSEGV, touch(self->p + PAGES(2) + 5, STORE));
	EXPECT_EQ((void *)(self->p + PAGES(2) + 5), fault_addr);
	/* Passive: what is present stays so, and only what faults is taken. */
	ADD(NULL, 4, 5, .action = PTF_ACT_SIGBUS, .flags = PTF_RULE_F_PASSIVE);
	EXPECT_EQ(0, touch(self->p + PAGES(4), LOAD));
	EXPECT_EQ(SIGBUS, fault_on(self->s, self->p + PAGES(4), LOAD));
	/* Replaced in one step, and off. */
	EXPECT_EQ(0, ptf_rule_set(self->s, id, RULE(6, 7, .action = PTF_ACT_SIGBUS)));
	EXPECT_COUNTS(id, 0, 0);
	EXPECT_EQ(0, touch(self->p + PAGES(2), LOAD));
	EXPECT_EQ(SIGBUS, touch(self->p + PAGES(6), LOAD));
	EXPECT_COUNTS(id, 1, 1);
	EXPECT_EQ(0, ptf_rule_set(self->s, id, RULE(6, 7, .action = PTF_ACT_SIGBUS,
						    .flags = PTF_RULE_F_OFF)));
	EXPECT_EQ(0, touch(self->p + PAGES(6), LOAD));
	EXPECT_EQ(-ENOENT, ptf_rule_set(self->s, id + 100, RULE(6, 7, .action = PTF_ACT_COUNT)));
	EXPECT_EQ(-EINVAL, ptf_rule_set(self->s, id, RULE(6, 7, .action = 0)));
	EXPECT_EQ(0, ptf_rule_delete_all(self->s));
	EXPECT_EQ(0, fault_on(self->s, self->p + PAGES(4), STORE));
}

TEST_F(rule, when)
{
	unsigned int i, taken = 0;
	uint64_t id;

	ADD(&id, 0, 1, .action = PTF_ACT_SIGBUS, .after = 2, .interval = 3, .times = 3);
	EXPECT_EQ(0, ptf_rule_arm(self->s, NULL));
	for (i = 0; i < 20; i++) {
		bool want = i == 2 || i == 5 || i == 8;

		EXPECT_EQ(want ? SIGBUS : 0, fault_on(self->s, self->p, LOAD)) {
			TH_LOG("fault %u", i);
		}
		taken += want;
	}
	EXPECT_COUNTS(id, 20, taken);
}

static unsigned int dice(struct ptf_session *s, char *p, unsigned int nr, char *out)
{
	unsigned int i, n = 0;

	for (i = 0; i < nr; i++) {
		out[i] = fault_on(s, p, LOAD) == SIGBUS;
		n += out[i];
	}
	return n;
}

TEST_F(rule, the_same_seed_takes_the_same)
{
	enum { ROLLS = 400 };
	char first[ROLLS], again[ROLLS], other[ROLLS];
	unsigned int n;
	uint64_t id;

	ADD(&id, 0, 1, .action = PTF_ACT_SIGBUS, .probability = 0.25, .seed = 11);
	EXPECT_EQ(0, ptf_rule_arm(self->s, NULL));
	n = dice(self->s, self->p, ROLLS, first);
	EXPECT_COUNTS(id, ROLLS, n);
	/* A quarter; five standard deviations are 43. */
	EXPECT_LT(ROLLS / 4 - 43, n);
	EXPECT_GT(ROLLS / 4 + 43, n);
	EXPECT_EQ(0, ptf_rule_set(self->s, id, RULE(0, 1, .action = PTF_ACT_SIGBUS,
						    .probability = 0.25, .seed = 11)));
	EXPECT_EQ(n, dice(self->s, self->p, ROLLS, again));
	EXPECT_EQ(0, memcmp(first, again, ROLLS));
	EXPECT_EQ(0, ptf_rule_set(self->s, id, RULE(0, 1, .action = PTF_ACT_SIGBUS,
						    .probability = 0.25, .seed = 12)));
	dice(self->s, self->p, ROLLS, other);
	EXPECT_NE(0, memcmp(first, other, ROLLS));
}

TEST_F(rule, the_lowest_order_then_the_older)
{
	uint64_t a, b, c, d;

	ADD(&a, 0, 4, .action = PTF_ACT_SIGBUS, .order = 5);
	ADD(&b, 0, 1, .action = PTF_ACT_SIGSEGV, .order = 4, .times = 1);
	ADD(&c, 0, 2, .action = PTF_ACT_COUNT, .order = 5);
	ADD(&d, 1, 2, .action = PTF_ACT_SIGSEGV, .order = 6);
	EXPECT_EQ(0, ptf_rule_arm(self->s, NULL));
	EXPECT_EQ(SIGSEGV, touch(self->p, LOAD));
	/* Spent: the next. */
	EXPECT_EQ(SIGBUS, touch(self->p, LOAD));
	EXPECT_EQ(SIGBUS, touch(self->p + PAGE, LOAD));
	EXPECT_EQ(SIGBUS, touch(self->p + PAGES(3), LOAD));
	EXPECT_COUNTS(b, 2, 1);
	EXPECT_COUNTS(a, 3, 3);
	EXPECT_COUNTS(c, 0, 0);
	EXPECT_COUNTS(d, 0, 0);
}

TEST_F(rule, which_access)
{
	uint64_t id;

	ADD(&id, 0, 1, .action = PTF_ACT_SIGBUS, .access = PTF_ACCESS_WRITE);
	EXPECT_EQ(0, ptf_rule_arm(self->s, NULL));
	EXPECT_EQ(SIGBUS, touch(self->p, STORE));
	EXPECT_EQ(0, fault_on(self->s, self->p, LOAD));
	EXPECT_EQ(SIGBUS, fault_on(self->s, self->p + 9, STORE));
	EXPECT_COUNTS(id, 2, 2);
	EXPECT_EQ(true, page_has(self->p, 0, 1));
}

TEST_F(rule, which_origin)
{
	uint64_t user, kernel;
	struct ptf_rule r;
	int fd[2];

	ASSERT_EQ(0, pipe(fd));
	ASSERT_EQ(4, write(fd[1], "abcd", 4));
	ADD(&user, 0, 1, .action = PTF_ACT_SIGBUS, .origin = PTF_ORIGIN_USER);
	ADD(&kernel, 1, 2, .action = PTF_ACT_SIGBUS, .origin = PTF_ORIGIN_KERNEL);
	EXPECT_EQ(0, ptf_rule_arm(self->s, NULL));
	EXPECT_EQ(SIGBUS, touch(self->p, LOAD));
	EXPECT_EQ(0, touch(self->p + PAGE, LOAD));
	EXPECT_EQ(2, read(fd[0], self->p, 2));
	EXPECT_EQ(0, ptf_rule_arm(self->s, NULL));
	errno = 0;
	EXPECT_EQ(-1, read(fd[0], self->p + PAGE, 2));
	EXPECT_EQ(EFAULT, errno);
	EXPECT_COUNTS(user, 1, 1);
	/* The kernel's copy may try the rest once more, byte by byte. */
	ASSERT_EQ(0, ptf_rule_get(self->s, kernel, &r));
	EXPECT_LE(1, r.hits);
	EXPECT_GE(2, r.hits);
	EXPECT_EQ(r.matches, r.hits);
	close(fd[0]);
	close(fd[1]);
}

struct toucher {
	char *p;
	pid_t tid;
	int sig;
	sem_t *ready;
	sem_t *go;
};

static void *toucher(void *arg)
{
	struct toucher *t = arg;

	t->tid = thread_id();
	sem_post(t->ready);
	sem_wait(t->go);
	t->sig = touch(t->p, LOAD);
	return NULL;
}

TEST_F(rule, which_thread)
{
	struct toucher t = { .p = self->p, .sig = -1 };
	pthread_t thread;
	sem_t ready, go;
	uint64_t id;

	sem_init(&ready, 0, 0);
	sem_init(&go, 0, 0);
	t.ready = &ready;
	t.go = &go;
	ASSERT_EQ(0, pthread_create(&thread, NULL, toucher, &t));
	sem_wait(&ready);
	ADD(&id, 0, 1, .action = PTF_ACT_SIGBUS, .tid = t.tid);
	EXPECT_EQ(0, ptf_rule_arm(self->s, NULL));
	EXPECT_EQ(0, touch(self->p, LOAD));
	EXPECT_COUNTS(id, 0, 0);
	hide(self->s, self->p, 1);
	sem_post(&go);
	pthread_join(thread, NULL);
	EXPECT_EQ(SIGBUS, t.sig);
	EXPECT_COUNTS(id, 1, 1);
}

TEST_F(rule, another_process)
{
	struct ptf_target *t;
	int go[2], back[2], status;
	uint64_t id;
	pid_t pid;
	char c;

	ASSERT_EQ(0, pipe(go));
	ASSERT_EQ(0, pipe(back));
	pid = fork();
	if (!pid) {
		int a, b;

		/* Its own copies, so that they are nobody else's business. */
		memset(self->p, 'x', PAGES(2));
		if (write(back[1], "r", 1) != 1 || read(go[0], &c, 1) != 1)
			_exit(99);
		a = touch(self->p, LOAD);
		b = touch(self->p + PAGE, LOAD);
		_exit(a == SIGBUS && !b ? 0 : 1);
	}
	ASSERT_EQ(1, read(back[0], &c, 1));
	ASSERT_EQ(0, ptf_target_open(self->s, pid, &t));
	ADD(&id, 0, 1, .action = PTF_ACT_SIGBUS, .target = t);
	EXPECT_EQ(0, ptf_rule_arm(self->s, NULL));
	/* Here nothing happens. */
	EXPECT_EQ(0, fault_on(self->s, self->p, LOAD));
	ASSERT_EQ(1, write(go[1], "g", 1));
	waitpid(pid, &status, 0);
	EXPECT_EQ(0, status);
	EXPECT_COUNTS(id, 1, 1);
	ptf_target_close(t);
	EXPECT_EQ(0, ptf_rule_list(self->s, NULL, NULL));
}

/* --- the switch ----------------------------------------------------------------- */

TEST_F(rule, one_store_arms)
{
	struct ptf_ioc_session_stat stat;
	struct ptf_switch sw;
	unsigned int i;
	uint64_t id;

	ASSERT_EQ(0, ptf_switch_map(self->s, &sw));
	EXPECT_EQ(getpid(), sw.pid);
	ADD(&id, 0, 1, .action = PTF_ACT_SIGBUS);
	for (i = 0; i < 50; i++) {
		EXPECT_EQ(0, touch(self->p, LOAD));
		ptf_switch_arm(&sw);
		EXPECT_EQ(SIGBUS, touch(self->p, LOAD));
		ptf_switch_arm(&sw);
		EXPECT_EQ(SIGBUS, touch(self->p, STORE));
		EXPECT_EQ(0, ptf_session_stat(self->s, &stat));
		EXPECT_EQ(1, stat.out_armed);
		ptf_switch_disarm(&sw);
		EXPECT_EQ(0, touch(self->p, LOAD));
		ptf_switch_disarm(&sw);
		/* By the call and by the store: one state. */
		EXPECT_EQ(0, ptf_rule_arm(self->s, NULL));
		EXPECT_EQ(SIGBUS, touch(self->p, LOAD));
		ptf_switch_disarm(&sw);
		EXPECT_EQ(0, touch(self->p, STORE));
		ptf_switch_arm(&sw);
		EXPECT_EQ(0, ptf_rule_disarm(self->s));
	}
	EXPECT_COUNTS(id, 150, 150);
	ptf_switch_unmap(&sw);
	EXPECT_EQ(NULL, (void *)sw.arm);
	ptf_switch_unmap(&sw);
	ptf_switch_unmap(NULL);
}

TEST_F(rule, a_child_has_no_switch)
{
	struct ptf_switch sw;
	int verdict;

	ASSERT_EQ(0, ptf_switch_map(self->s, &sw));
	IN_CHILD(verdict, char *at = (char *)sw.arm, *mine;
		mine = mmap(at, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS |
			    MAP_FIXED_NOREPLACE, -1, 0);
		CHILD_CHECK(1, mine == at);
		ptf_switch_unmap(&sw);
		CHILD_CHECK(2, !sw.arm);
		CHILD_CHECK(3, prot_at(at) == (PROT_READ | PROT_WRITE)));
	EXPECT_EQ(0, verdict);
	ptf_switch_arm(&sw);
	ptf_switch_unmap(&sw);
}

/* --- memory of a session ---------------------------------------------------------- */

#define OPTS(...) (&(struct ptf_map_options) {				\
	.size = sizeof(struct ptf_map_options), __VA_ARGS__ })

TEST_F(rule, memory_of_a_session)
{
	int fd = ptf_session_fd(self->s);
	struct ptf_map_info info = { .size = sizeof(info) };
	struct ptf_map *a, *b, *all;
	uint64_t id, at;
	char *p, *q;

	ASSERT_EQ(0, ptf_map_create(PTF_MAP_DEVICE, fd, 0, PAGES(4), NULL, &a));
	p = ptf_map_data(a);
	EXPECT_EQ(true, page_zero(p, 0));
	EXPECT_EQ(true, page_zero(p, 3));
	pages_fill(p, 4, 5);
	/* The same memory at any offset. */
	ASSERT_EQ(0, ptf_map_create(PTF_MAP_DEVICE, fd, PAGE + 12, PAGES(1), NULL, &b));
	q = ptf_map_data(b);
	EXPECT_EQ(0, memcmp(q, p + PAGE + 12, PAGE));
	EXPECT_EQ(0, ptf_map_query(b, &info));
	EXPECT_EQ(PAGE + 12, info.offset);
	EXPECT_EQ(PTF_MAP_DEVICE, info.kind);
	*q = 1;
	EXPECT_EQ(1, p[PAGE + 12]);
	/* Rules hold there. */
	at = (uintptr_t)p;
	ASSERT_EQ(0, ptf_rule_add(self->s, RULE(0, 0, .start = at + PAGE, .end = at + PAGES(2),
						.action = PTF_ACT_SIGBUS), &id));
	EXPECT_EQ(0, ptf_rule_arm(self->s, NULL));
	EXPECT_EQ(SIGBUS, touch(p + PAGE, STORE));
	EXPECT_EQ(0, touch(p, LOAD));
	EXPECT_EQ(0, touch(q, LOAD));
	EXPECT_COUNTS(id, 1, 1);
	EXPECT_EQ(0, ptf_rule_delete_all(self->s));
	EXPECT_EQ(0, ptf_map_destroy(b));
	/* Where it ends. */
	EXPECT_EQ(-EINVAL, ptf_map_create(PTF_MAP_DEVICE, fd, PTF_MMAP_MEMORY_BYTES, 1, NULL, &b));
	EXPECT_EQ(-EINVAL, ptf_map_create(PTF_MAP_DEVICE, fd, PTF_MMAP_MEMORY_BYTES - PAGE,
					  PAGE + 1, NULL, &b));
	EXPECT_EQ(-EINVAL, ptf_map_create(PTF_MAP_DEVICE, fd, PTF_MMAP_MEMORY_BYTES + 1, 0,
					  NULL, &b));
	ASSERT_EQ(0, ptf_map_create(PTF_MAP_DEVICE, fd, PTF_MMAP_MEMORY_BYTES - PAGE, PAGE, NULL,
				    &b));
	EXPECT_EQ(0, touch(ptf_map_data(b), STORE));
	EXPECT_EQ(0, ptf_map_destroy(b));
	ASSERT_EQ(0, ptf_map_create(PTF_MAP_DEVICE, fd, PAGES(2), 0,
				    OPTS(.flags = PTF_MAP_F_TO_END), &all));
	EXPECT_EQ(PTF_MMAP_MEMORY_BYTES - PAGES(2), ptf_map_length(all));
	EXPECT_EQ(true, page_has(ptf_map_data(all) - PAGES(2), 2, 5));
	EXPECT_EQ(0, ptf_map_destroy(all));
	/* Other fds have no such memory. */
	ptf_failure_clear();
	EXPECT_EQ(-ENODEV, ptf_map_create(PTF_MAP_DEVICE, open("/dev/null", O_RDWR), 0, PAGE,
					  NULL, &b));
	EXPECT_NE(NULL, strstr(ptf_failure_last()->way, "ptf_session_fd"));
	EXPECT_EQ(-ENODEV, ptf_map_create(PTF_MAP_DEVICE, filled_memfd(1, 1), 0, PAGE, NULL, &b));
	EXPECT_EQ(-EBADF, ptf_map_create(PTF_MAP_DEVICE, -1, 0, PAGE, NULL, &b));
	EXPECT_EQ(0, ptf_map_destroy(a));
}

TEST_F(rule, memory_of_a_session_grows_where_it_is_reserved)
{
	int fd = ptf_session_fd(self->s), verdict;
	struct ptf_map *m;
	char *p;

	ASSERT_EQ(0, ptf_map_create(PTF_MAP_DEVICE, fd, 0, PAGES(2), NULL, &m));
	EXPECT_EQ(-EOPNOTSUPP, ptf_map_grow(m, PAGES(3)));
	EXPECT_EQ(-EOPNOTSUPP, ptf_map_remap(m, PAGES(3), PTF_REMAP_F_MAY_MOVE, NULL));
	EXPECT_EQ(PAGES(2), ptf_map_length(m));
	EXPECT_EQ(0, touch(ptf_map_data(m), STORE));
	EXPECT_EQ(0, ptf_map_destroy(m));
	ASSERT_EQ(0, ptf_map_create(PTF_MAP_DEVICE, fd, 0, PAGES(2), OPTS(.reserve = PAGES(8)),
				    &m));
	p = ptf_map_data(m);
	pages_fill(p, 2, 6);
	EXPECT_EQ(0, ptf_map_grow(m, PAGES(6)));
	EXPECT_EQ(p, ptf_map_data(m));
	EXPECT_EQ(true, pages_have(p, 2, 6));
	EXPECT_EQ(true, page_zero(p, 5));
	EXPECT_EQ(-ENOMEM, ptf_map_grow(m, PAGES(9)));
	/* In a child none of it is there, and what is there is not ours. */
	IN_CHILD(verdict, char *mine;
		mine = mmap(p + PAGES(4), PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS |
			    MAP_FIXED_NOREPLACE, -1, 0);
		CHILD_CHECK(1, mine == p + PAGES(4));
		CHILD_CHECK(2, !ptf_map_destroy(m));
		CHILD_CHECK(3, prot_at(mine) == PROT_READ);
		CHILD_CHECK(4, prot_at(p + PAGES(7)) == -1));
	EXPECT_EQ(0, verdict);
	EXPECT_EQ(0, ptf_map_destroy(m));
	EXPECT_EQ(-1, prot_at(p));
}

/* --- the end ---------------------------------------------------------------------- */

TEST_F(rule, closing_ends_it)
{
	struct ptf_session *s;
	const char *why;

	s = session_or(PTF_FEATURE_RULE, &why);
	ASSERT_NE(NULL, s);
	ASSERT_EQ(0, ptf_rule_add(s, RULE(0, NR, .action = PTF_ACT_SIGBUS), NULL));
	EXPECT_EQ(0, ptf_rule_arm(s, NULL));
	EXPECT_EQ(SIGBUS, touch(self->p, LOAD));
	ptf_session_close(s);
	EXPECT_EQ(true, pages_have(self->p, NR, 1));
	EXPECT_EQ(0, fault_on(self->s, self->p, LOAD));
}

TEST_HARNESS_MAIN
