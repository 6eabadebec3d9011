// SPDX-License-Identifier: GPL-2.0-only
/*
 * A fuzzer of the commands that knows their structs: right values, values that
 * are nearly right, and wild ones, in sequences that open and close sessions
 * and targets, fork, and map and unmap what the calls are about. What is only
 * hinted or stashed has to keep its content, every answer has to be one that
 * the header names, and the kernel has nothing to say.
 *
 * PTF_SEED sets the seed (printed at the start), PTF_FUZZ_WORKER=N runs the
 * one worker that a failure names, PTF_FUZZ_CALLS sets the number of calls.
 */
/* timeout: 900 */
#include "ptf_test.h"

#include <sys/uio.h>

/*
 * All of them in a full run. A tenth on three stock kernels and a twentieth on
 * the debug kernel make 210,000 together.
 */
#define CALLS		600000
#define PER_WORKER	1500
#define GUARDED		PAGES(24)
#define WILD		PAGES(64)
#define SESSIONS	4

FIXTURE(fuzz) {
	int fd;
	struct ptf_log log;
};

FIXTURE_SETUP(fuzz)
{
	self->fd = ptf_setup(_metadata, &self->log);
}

PTF_TEARDOWN(fuzz)

/* ------------------------------------------------------------------ */

/* Parent and workers. */
struct shared {
	volatile unsigned long calls, good;
	volatile int pid[2];	/* the workers that run now */
	char why[2][256];
};

struct worker {
	struct shared *sh;
	unsigned int slot;
	pid_t pid;		/* not a child's */
	unsigned long calls;
	int fd[SESSIONS];
	int file;		/* behind guarded[1] */
	char *guarded[3];	/* anonymous, shared, private of a file */
	char *wild;		/* anything may happen to it */
	char *scratch;		/* where rows go: 16 pages, then nothing for long */
	char *edge;		/* a page with nothing behind it */
	char *ro;		/* a page that may not be written */
	char *hole;
	__u32 target[4];
	volatile int bad;
};

struct rng {
	__u64 s;
};

static __u64 rnd(struct rng *r)
{
	__u64 z = r->s += 0x9E3779B97F4A7C15ULL;

	z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ULL;
	z = (z ^ (z >> 27)) * 0x94D049BB133111EBULL;
	return z ^ (z >> 31);
}

static unsigned int below(struct rng *r, unsigned int n)
{
	return rnd(r) % n;
}

static bool one_in(struct rng *r, unsigned int n)
{
	return !below(r, n);
}

#define pick(r, ...) ({ \
	const __u64 __of[] = { __VA_ARGS__ }; \
	__of[below(r, ARRAY_SIZE(__of))]; \
})

/* A number that somebody may have forgotten. */
static __u64 wild_u64(struct rng *r)
{
	if (one_in(r, 3))
		return rnd(r) >> below(r, 64);
	return pick(r, 0, 1, 7, 8, 4095, 4096, 4097, 0x7fffffff, 0x80000000, 0xffffffff,
		    0x100000000, 0x7ffffffff000, 0x7fffffffffff, 0x800000000000,
		    0xffff800000000000, 0x8000000000000000, 0x7fffffffffffffff,
		    0xfffffffffffff000, 0xffffffffffffffff);
}

/* Where results may go. Never where they would hurt ourselves. */
static __u64 out_pointer(struct worker *w, struct rng *r)
{
	if (!one_in(r, 4))
		return u64ptr(w->scratch);
	return pick(r, 0, 1, u64ptr(w->scratch) + 1, u64ptr(w->scratch) + PAGES(16) - 8,
		    u64ptr(w->scratch) + PAGES(15), u64ptr(w->edge) + PAGE - 4, u64ptr(w->ro),
		    u64ptr(w->hole), 0x7ffffffff000, 0x800000000000, 0xffff888000000000,
		    0xffffffffff600000, 0xfffffffffffffff8);
}

static void a_range(struct worker *w, struct rng *r, __u64 *start, __u64 *end)
{
	size_t len, at;
	char *base;

	switch (below(r, 8)) {
	case 0:
	case 1:
	case 2:
		base = w->guarded[below(r, 3)];
		len = GUARDED;
		break;
	case 3:
	case 4:
		base = w->wild;
		len = WILD;
		break;
	case 5:
		base = w->scratch;
		len = PAGES(20);
		break;
	case 6:
		*start = 0;
		*end = USER_END_4;
		if (one_in(r, 4))
			return;
		base = w->guarded[0];
		len = GUARDED;
		break;
	default:
		*start = wild_u64(r);
		*end = one_in(r, 2) ? wild_u64(r) : *start + wild_u64(r) % PAGES(100);
		if (one_in(r, 2)) {
			*start &= ~(PAGE - 1);
			*end &= ~(PAGE - 1);
		}
		return;
	}
	at = below(r, len / PAGE);
	*start = u64ptr(base) + PAGES(at);
	*end = *start + PAGES(1 + below(r, len / PAGE - at));
	if (one_in(r, 20))
		*start += below(r, PAGE);
	if (one_in(r, 20))
		*end -= below(r, PAGE);
	if (one_in(r, 20))
		*end = *start - below(r, 2) * PAGE;
}

static __u32 a_target(struct worker *w, struct rng *r)
{
	if (one_in(r, 2))
		return PTF_TARGET_SELF;
	return one_in(r, 8) ? wild_u64(r) : w->target[below(r, 4)];
}

static __u32 some_flags(struct rng *r, __u32 known)
{
	if (one_in(r, 2))
		return 0;
	return one_in(r, 10) ? rnd(r) >> below(r, 32) : rnd(r) & known;
}

/* Values that keep the content; others may come to the wild memory alone. */
static __u32 an_advice(struct rng *r, bool *keeps)
{
	*keeps = true;
	if (!one_in(r, 8))
		return pick(r, PTF_ADV_NOTPRESENT, PTF_ADV_NOTPRESENT, PTF_ADV_PRESENT,
			    PTF_ADV_STASH, PTF_ADV_STASH, PTF_ADV_STASH, PTF_ADV_RESET,
			    PTF_ADV_WRPROTECT, PTF_ADV_WRUNPROTECT, PTF_ADV_OLD, PTF_ADV_CLEAN);
	*keeps = false;
	return one_in(r, 2) ? PTF_ADV_BASE + below(r, 24) : wild_u64(r);
}

struct call {
	unsigned long cmd;
	unsigned char arg[PAGE + 64] __attribute__((aligned(16)));
	size_t size;		/* that the struct has by rights */
};

#define AS(_c, _cmd, _type) ({ \
	(_c)->cmd = (_cmd); \
	(_c)->size = sizeof(struct _type); \
	(struct _type *)(_c)->arg; \
})

/* Rules that let every access end as it would: this program goes on under them. */
static void a_rule(struct worker *w, struct rng *r, struct ptf_rule *rule)
{
	__u64 start, end;

	memset(rule, 0, sizeof(*rule));
	a_range(w, r, &start, &end);
	rule->start = start;
	rule->end = end;
	rule->target = a_target(w, r);
	rule->flags = some_flags(r, PTF_RULE_F_PASSIVE | PTF_RULE_F_OFF | PTF_RULE_F_PER_THREAD |
				 PTF_RULE_F_QUIET);
	rule->access = one_in(r, 20) ? rnd(r) : 1 + below(r, PTF_ACCESS_ANY);
	rule->origin = one_in(r, 20) ? rnd(r) : 1 + below(r, PTF_ORIGIN_ANY);
	rule->tid = one_in(r, 8) ? (__s32)pick(r, -1, 1, 999999, getpid()) : 0;
	rule->after = one_in(r, 4) ? wild_u64(r) : below(r, 4);
	rule->interval = one_in(r, 4) ? wild_u64(r) : below(r, 4);
	rule->times = one_in(r, 4) ? wild_u64(r) : below(r, 4);
	rule->seed = wild_u64(r);
	rule->probability = one_in(r, 3) ? below(r, PTF_PROBABILITY_ONE + 3) : 0;
	rule->order = below(r, 5);
	rule->action = pick(r, PTF_ACT_COUNT, PTF_ACT_NOTIFY, PTF_ACT_DELAY, PTF_ACT_RETRY,
			    PTF_ACT_HANDLER, 0, PTF_ACT_LAST + 1, 0x80000000);
	if (rule->action == PTF_ACT_DELAY)
		rule->value = one_in(r, 4) ? PTF_DELAY_MAX_NS + 1 : below(r, 9999);
	else if (rule->action == PTF_ACT_RETRY)
		rule->value = one_in(r, 4) ? PTF_RETRY_MAX + 1 : below(r, 4);
	else if (one_in(r, 20))
		rule->value = wild_u64(r);
	if (rule->action == PTF_ACT_HANDLER)
		memset(rule->handler, one_in(r, 2) ? 'x' : 0, below(r, PTF_HANDLER_NAME_LEN + 1));
	if (one_in(r, 40))
		rule->id = rnd(r);
	if (one_in(r, 40))
		rule->hits = rnd(r);
}

/* Commands about rules, and what comes of them. */
static void make_rule_call(struct worker *w, struct rng *r, struct call *c)
{
	static _Thread_local struct ptf_rule rules[8];
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(rules); i++)
		a_rule(w, r, &rules[i]);
	switch (below(r, 6)) {
	case 0: {
		struct ptf_ioc_rule_add *a = AS(c, PTF_IOC_RULE_ADD, ptf_ioc_rule_add);

		a->flags = some_flags(r, 0);
		a->rule_size = one_in(r, 8) ? wild_u64(r) : sizeof(rules[0]);
		a->nr_rules = one_in(r, 8) ? wild_u64(r) : 1 + below(r, ARRAY_SIZE(rules));
		/* what lies behind the array is no rule of ours, but an invalid one */
		a->rules = a->rule_size == sizeof(rules[0]) && a->nr_rules <= ARRAY_SIZE(rules) ?
			u64ptr(rules) : out_pointer(w, r);
		break;
	}
	case 1: {
		struct ptf_ioc_rule_set *a = AS(c, PTF_IOC_RULE_SET, ptf_ioc_rule_set);

		a->flags = some_flags(r, 0);
		a->rule_size = one_in(r, 8) ? wild_u64(r) : sizeof(rules[0]);
		rules[0].id = 1 + below(r, 40);
		a->rule = u64ptr(rules);
		break;
	}
	case 2: {
		struct ptf_ioc_rule_delete *a = AS(c, PTF_IOC_RULE_DELETE, ptf_ioc_rule_delete);

		a->flags = some_flags(r, PTF_RULE_DELETE_F_ALL);
		a->id = a->flags & PTF_RULE_DELETE_F_ALL ? one_in(r, 8) : below(r, 40);
		break;
	}
	case 3: {
		struct ptf_ioc_rule_list *a = AS(c, PTF_IOC_RULE_LIST, ptf_ioc_rule_list);

		a->flags = some_flags(r, 0);
		a->rule_size = one_in(r, 8) ? wild_u64(r) : sizeof(rules[0]);
		a->nr_rules = one_in(r, 4) ? wild_u64(r) : 1 + below(r, 20);
		a->first = one_in(r, 2) ? 0 : wild_u64(r);
		a->rules = out_pointer(w, r);
		break;
	}
	case 4: {
		struct ptf_ioc_rule_arm *a = AS(c, PTF_IOC_RULE_ARM, ptf_ioc_rule_arm);

		a->flags = some_flags(r, PTF_RULE_ARM_F_OFF);
		break;
	}
	default: {
		struct ptf_ioc_held_answer *a = AS(c, PTF_IOC_HELD_ANSWER, ptf_ioc_held_answer);

		a->flags = some_flags(r, 0);
		a->held = one_in(r, 2) ? below(r, 4) : wild_u64(r);
		a->action = one_in(r, 4) ? wild_u64(r) : below(r, PTF_ACT_LAST + 1);
		a->content_bytes = one_in(r, 2) ? 0 : below(r, PAGE + 2);
		a->content = a->content_bytes ? out_pointer(w, r) : 0;
		break;
	}
	}
}

static void make_track_call(struct worker *w, struct rng *r, struct call *c)
{
	__u64 start, end;

	a_range(w, r, &start, &end);
	switch (below(r, 3)) {
	case 0: {
		struct ptf_ioc_track_start *a = AS(c, PTF_IOC_TRACK_START, ptf_ioc_track_start);

		a->flags = some_flags(r, PTF_TRACK_F_NOSTACK);
		a->target = a_target(w, r);
		a->reserved = one_in(r, 40) ? rnd(r) : 0;
		a->start = start;
		a->end = end;
		break;
	}
	case 1: {
		struct ptf_ioc_track_read *a = AS(c, PTF_IOC_TRACK_READ, ptf_ioc_track_read);

		a->flags = some_flags(r, PTF_TRACK_F_TAKE);
		a->target = a_target(w, r);
		a->reserved = one_in(r, 40) ? rnd(r) : 0;
		a->start = start;
		a->end = end;
		a->ranges = out_pointer(w, r);
		a->nr_ranges = one_in(r, 4) ? wild_u64(r) : 1 + below(r, 200);
		break;
	}
	default: {
		struct ptf_ioc_track_stop *a = AS(c, PTF_IOC_TRACK_STOP, ptf_ioc_track_stop);

		a->flags = some_flags(r, 0);
		a->target = a_target(w, r);
		a->reserved = one_in(r, 40) ? rnd(r) : 0;
		break;
	}
	}
}

static void make_call(struct worker *w, struct rng *r, struct call *c)
{
	__u64 start, end;
	bool keeps;

	memset(c->arg, 0, sizeof(c->arg));
	switch (below(r, 26)) {
	case 0: {
		struct ptf_ioc_features_get *a = AS(c, PTF_IOC_FEATURES_GET, ptf_ioc_features_get);

		a->flags = some_flags(r, 0);
		a->required = one_in(r, 2) ? rnd(r) & 0xff : 0;
		break;
	}
	case 1: {
		struct ptf_ioc_target_open *a = AS(c, PTF_IOC_TARGET_OPEN, ptf_ioc_target_open);

		a->flags = some_flags(r, 0);
		a->pid = pick(r, getpid(), getppid(), w->sh->pid[0], w->sh->pid[1], w->pid, 2, 0,
			      -1, INT_MIN, INT_MAX, 999999);
		break;
	}
	case 2: {
		struct ptf_ioc_target_close *a = AS(c, PTF_IOC_TARGET_CLOSE, ptf_ioc_target_close);

		a->flags = some_flags(r, 0);
		a->target = a_target(w, r);
		a->reserved = one_in(r, 20) ? rnd(r) : 0;
		break;
	}
	case 3: {
		struct ptf_ioc_session_stat *a = AS(c, PTF_IOC_SESSION_STAT, ptf_ioc_session_stat);

		a->flags = some_flags(r, 0);
		break;
	}
	case 4:
	case 5: {
		struct ptf_ioc_range_query *a = AS(c, PTF_IOC_RANGE_QUERY, ptf_ioc_range_query);

		a->flags = some_flags(r, 7);
		a->target = a_target(w, r);
		a->row_size = one_in(r, 8) ? wild_u64(r) : sizeof(struct ptf_row);
		a_range(w, r, &start, &end);
		a->start = start;
		a->end = end;
		a->rows = out_pointer(w, r);
		a->nr_rows = one_in(r, 4) ? wild_u64(r) : 1 + below(r, 200);
		a->vmas = one_in(r, 2) ? 0 : out_pointer(w, r);
		a->nr_vmas = one_in(r, 8) ? wild_u64(r) : below(r, 40);
		a->vma_size = one_in(r, 8) ? wild_u64(r) : sizeof(struct ptf_vma);
		a->names = one_in(r, 2) ? 0 : out_pointer(w, r);
		a->names_size = one_in(r, 4) ? wild_u64(r) : below(r, 4096);
		a->reserved = one_in(r, 40) ? rnd(r) : 0;
		break;
	}
	case 6: {
		struct ptf_ioc_page_walk *a = AS(c, PTF_IOC_PAGE_WALK, ptf_ioc_page_walk);

		a->flags = some_flags(r, 0);
		a->target = a_target(w, r);
		a->reserved = one_in(r, 40) ? rnd(r) : 0;
		a_range(w, r, &start, &end);
		a->addr = one_in(r, 4) ? wild_u64(r) : start + below(r, PAGE);
		break;
	}
	case 7: {
		struct ptf_ioc_file_query *a = AS(c, PTF_IOC_FILE_QUERY, ptf_ioc_file_query);

		a->flags = some_flags(r, 5);
		a->fd = one_in(r, 3) ? (__s32)pick(r, -1, 0, 1, 999, w->fd[0], INT_MIN) : w->file;
		a->row_size = one_in(r, 8) ? wild_u64(r) : sizeof(struct ptf_file_row);
		a->start = one_in(r, 4) ? wild_u64(r) : PAGES(below(r, 30));
		a->end = one_in(r, 4) ? wild_u64(r) : a->start + PAGES(below(r, 30));
		a->rows = out_pointer(w, r);
		a->nr_rows = one_in(r, 4) ? wild_u64(r) : 1 + below(r, 60);
		break;
	}
	case 16: {
		struct ptf_ioc_range_fault *a = AS(c, PTF_IOC_RANGE_FAULT, ptf_ioc_range_fault);

		a->flags = some_flags(r, PTF_FAULT_F_USER | PTF_FAULT_F_STOP);
		a->target = a_target(w, r);
		a->access = one_in(r, 8) ? wild_u64(r) : pick(r, 1, 2, 4);
		a_range(w, r, &start, &end);
		/* Driving all of an address space in would take all memory. */
		if (end - start > 64 * MB)
			end = start + PAGES(100);
		a->start = start;
		a->end = end;
		a->results = one_in(r, 2) ? 0 : out_pointer(w, r);
		break;
	}
	case 17: {
		struct ptf_ioc_file_advise *a = AS(c, PTF_IOC_FILE_ADVISE, ptf_ioc_file_advise);

		a->flags = some_flags(r, PTF_ADVISE_F_STRICT);
		a->fd = one_in(r, 3) ? (__s32)pick(r, -1, 0, 999, w->fd[0], INT_MIN) : w->file;
		a->advice = an_advice(r, &keeps);
		if (one_in(r, 2))
			a->advice = pick(r, PTF_ADV_UNMAP_FILE, PTF_ADV_EVICT,
					 PTF_ADV_UNMAP_FILE_COW);
		a->start = one_in(r, 4) ? wild_u64(r) : PAGES(below(r, 30));
		a->end = one_in(r, 4) ? wild_u64(r) : a->start + PAGES(below(r, 30));
		break;
	}
	case 18: {
		struct ptf_ioc_file_mappers *a = AS(c, PTF_IOC_FILE_MAPPERS, ptf_ioc_file_mappers);

		a->flags = some_flags(r, 0);
		a->fd = one_in(r, 3) ? (__s32)pick(r, -1, 0, 999, w->fd[0], INT_MIN) : w->file;
		a->row_size = one_in(r, 8) ? wild_u64(r) : sizeof(struct ptf_mapper);
		a->start = one_in(r, 4) ? wild_u64(r) : PAGES(below(r, 30));
		a->end = one_in(r, 4) ? wild_u64(r) : a->start + PAGES(below(r, 30));
		a->rows = out_pointer(w, r);
		a->nr_rows = one_in(r, 4) ? wild_u64(r) : 1 + below(r, 60);
		break;
	}
	case 19:
	case 20:
	case 21:
		make_rule_call(w, r, c);
		break;
	case 22:
	case 23:
		make_track_call(w, r, c);
		break;
	case 8: {
		/* Numbers that nobody has, and right ones with wrong sizes. */
		__u64 n = one_in(r, 2) ? rnd(r) : 0;

		c->cmd = pick(r, PTF_IOC_RANGE_ADVISE | n << 32, _IO(PTF_IOC_TYPE, 0x7f),
			      _IOW(PTF_IOC_TYPE, 0x12, __u64), _IOWR(PTF_IOC_TYPE, 0x10, __u32),
			      _IO(PTF_IOC_TYPE, 0xff), _IO(PTF_IOC_TYPE, 0x04), 0, n, 0x5401,
			      _IO('X', 0x12), ~0ULL);
		c->size = 64;
		*(__u32 *)c->arg = 64;
		break;
	}
	default: {
		struct ptf_ioc_range_advise *a = AS(c, PTF_IOC_RANGE_ADVISE, ptf_ioc_range_advise);

		a->advice = an_advice(r, &keeps);
		a->target = a_target(w, r);
		a->flags = some_flags(r, PTF_ADVISE_F_STRICT | PTF_ADVISE_F_GUP | PTF_ADVISE_F_PMD |
				      PTF_ADVISE_F_SPLIT | PTF_ADVISE_F_ONESHOT);
		a_range(w, r, &start, &end);
		if (!keeps) {
			start = u64ptr(w->wild);
			end = start + WILD;
			a->target = PTF_TARGET_SELF;
		}
		a->start = start;
		a->end = end;
		a->arg = one_in(r, 40) ? rnd(r) : 0;
		break;
	}
	}
	/* The size, and what stands behind the struct. */
	*(__u32 *)c->arg = c->size;
	switch (below(r, 16)) {
	case 0:
		*(__u32 *)c->arg = wild_u64(r);
		break;
	case 1:
		*(__u32 *)c->arg = c->size - 1 - below(r, 8);
		break;
	case 2:
		*(__u32 *)c->arg = c->size + 8 * (1 + below(r, 16));
		if (one_in(r, 2))
			c->arg[c->size + below(r, 16)] = rnd(r);
		break;
	}
}

static bool errno_is_named(int err)
{
	static const int named[] = {
		ENOTTY, E2BIG, EOPNOTSUPP, EINVAL, EOVERFLOW, EFAULT, ENOENT, ESRCH, EPERM,
		ENOMEM, EBUSY, EINTR, EBADF, ENODEV, ENOSPC, ENODATA, EACCES,
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(named); i++)
		if (err == named[i])
			return true;
	return false;
}

static void complain(struct worker *w, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
static void complain(struct worker *w, const char *fmt, ...)
{
	va_list ap;

	if (__atomic_exchange_n(&w->bad, 1, __ATOMIC_RELAXED))
		return;
	va_start(ap, fmt);
	vsnprintf(w->sh->why[w->slot], sizeof(w->sh->why[0]), fmt, ap);
	va_end(ap);
}

/* What an answer must be, whatever was asked. */
static void check_answer(struct worker *w, struct call *c, const unsigned char *in,
			 int ret, int err)
{
	if (ret < 0 && !errno_is_named(err))
		complain(w, "command %#lx answered %s", c->cmd, strerror(err));
	if (ret > 0)
		complain(w, "command %#lx answered %d", c->cmd, ret);
	if (ret || *(__u32 *)in != c->size)
		return;
	if (c->cmd == PTF_IOC_RANGE_ADVISE) {
		struct ptf_ioc_range_advise *a = (void *)c->arg;
		__u64 sum = a->out_done_pages + a->out_same_pages + ptf_skipped(a);

		if (a->out_next != a->end)
			complain(w, "advice %#x: out_next %#llx, end %#llx", a->advice,
				 a->out_next, a->end);
		if (a->advice != PTF_ADV_RESET && sum != (a->end - a->start) / PAGE)
			complain(w, "advice %#x on %#llx-%#llx: %llu pages told", a->advice,
				 a->start, a->end, sum);
	} else if (c->cmd == PTF_IOC_RANGE_QUERY) {
		struct ptf_ioc_range_query *a = (void *)c->arg;

		if (a->out_rows > a->nr_rows || a->out_next < a->start || a->out_next > a->end ||
		    a->out_vmas > a->nr_vmas || a->out_names > a->names_size)
			complain(w, "RANGE_QUERY: %llu rows, next %#llx", a->out_rows, a->out_next);
	} else if (c->cmd == PTF_IOC_TARGET_OPEN) {
		struct ptf_ioc_target_open *a = (void *)c->arg;

		w->target[w->calls % 4] = a->out_target;
	}
}

static void one_call(struct worker *w, struct rng *r)
{
	static _Thread_local struct call c;
	static _Thread_local unsigned char in[sizeof(c.arg)];
	void *arg = c.arg;
	int ret, fd;

	make_call(w, r, &c);
	fd = one_in(r, 50) ? (int)pick(r, -1, w->file, 0, 12345) : w->fd[below(r, SESSIONS)];
	/* Not an ioctl of ours on a file of somebody else. */
	if (fd == 0)
		fd = w->file;
	memcpy(in, c.arg, sizeof(in));
	if (one_in(r, 40))
		arg = (void *)(uintptr_t)pick(r, 0, 1, u64ptr(w->hole), u64ptr(w->ro),
					      u64ptr(w->edge) + PAGE - 4, 0x7ffffffff000,
					      0xffff888000000000, ~0ULL);
	errno = 0;
	ret = ioctl(fd, c.cmd, arg);
	__atomic_add_fetch(&w->calls, 1, __ATOMIC_RELAXED);
	__atomic_add_fetch(&w->sh->calls, 1, __ATOMIC_RELAXED);
	if (!ret)
		__atomic_add_fetch(&w->sh->good, 1, __ATOMIC_RELAXED);
	if (arg == c.arg)
		check_answer(w, &c, in, ret, errno);
}

static void check_guarded(struct worker *w)
{
	int i;

	for (i = 0; i < 3; i++)
		if (ptf_wrong(w->guarded[i], GUARDED, 5 + i))
			complain(w, "call %lu: content of memory %d", w->calls, i);
}

/* Something else than a call; @alone: no other thread may be disturbed. */
static void between(struct worker *w, struct rng *r, bool alone)
{
	char *p = w->wild + PAGES(below(r, WILD / PAGE));
	size_t len = PAGES(1 + below(r, (w->wild + WILD - p) / PAGE));
	struct iovec l, rem;
	int i, n;
	pid_t pid;

	switch (below(r, 12)) {
	case 0:
		i = below(r, SESSIONS);
		if (alone || i) {
			close(w->fd[i]);
			w->fd[i] = open(PTF_DEV, O_RDWR | O_CLOEXEC);
		}
		break;
	case 1:
		munmap(p, len);
		break;
	case 2:
		mmap(p, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED,
		     -1, 0);
		madvise(p, len, MADV_POPULATE_WRITE);
		break;
	case 3:
		mmap(p, len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, w->file,
		     PAGES(below(r, 8)));
		break;
	case 4:
		mprotect(p, len, pick(r, PROT_NONE, PROT_READ, PROT_READ | PROT_WRITE,
				      PROT_READ | PROT_EXEC));
		break;
	case 5:
		madvise(p, len, pick(r, MADV_DONTNEED, MADV_FREE, MADV_COLD, MADV_PAGEOUT,
				     MADV_WILLNEED, MADV_HUGEPAGE, MADV_NOHUGEPAGE, MADV_COLLAPSE,
				     MADV_POPULATE_READ, MADV_MERGEABLE, MADV_DONTFORK,
				     MADV_WIPEONFORK, MADV_DOFORK));
		break;
	case 6:
		p = mremap(p, len, len, MREMAP_MAYMOVE | MREMAP_FIXED,
			   w->wild + PAGES(below(r, WILD / PAGE)) - PAGES(64));
		break;
	case 7:
		l = (struct iovec){ w->scratch, PAGES(16) };
		rem = (struct iovec){ p, len < PAGES(16) ? len : PAGES(16) };
		process_vm_readv(getpid(), &l, 1, &rem, 1, 0);
		process_vm_writev(getpid(), &l, 1, &rem, 1, 0);
		break;
	case 8:
		mlock(p, len);
		munlock(p, len);
		break;
	case 9:
		if (!alone || one_in(r, 2))
			break;
		/* A child with all that, which also calls, and may not live long. */
		pid = fork();
		if (pid < 0)
			break;
		if (!pid) {
			for (n = below(r, 12), i = 0; i < n; i++)
				one_call(w, r);
			check_guarded(w);
			if (one_in(r, 3))
				raise(SIGKILL);
			_exit(w->bad ? 1 : 0);
		}
		if (one_in(r, 3)) {
			usleep(below(r, 3000));
			kill(pid, SIGKILL);
		}
		i = ptf_wait(pid);
		if (i && i != 256 + SIGKILL)
			complain(w, "call %lu: a child ended with %d", w->calls, i);
		break;
	default:
		ptf_touch(w->guarded[below(r, 3)] + PAGES(below(r, GUARDED / PAGE)));
		break;
	}
}

struct thread_arg {
	struct worker *w;
	struct rng r;
	unsigned int calls;
};

static void *fuzz_thread(void *arg)
{
	struct thread_arg *t = arg;
	unsigned int i;

	for (i = 0; i < t->calls && !t->w->bad; i++) {
		if (one_in(&t->r, 5))
			between(t->w, &t->r, false);
		one_call(t->w, &t->r);
	}
	return NULL;
}

static int run_worker(struct shared *sh, unsigned int slot, __u64 seed, int inherited)
{
	struct thread_arg t = { .calls = PER_WORKER / 2 };
	struct worker w = { .sh = sh, .slot = slot, .pid = getpid() };
	struct rng r = { seed };
	bool threads = seed % 4 == 1;
	pthread_t th;
	unsigned int i;
	char *p;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	alarm(120 * ptf_env("PTF_SLOW", 1));
	sh->pid[slot] = getpid();
	for (i = 0; i < SESSIONS; i++)
		w.fd[i] = i == SESSIONS - 1 ? inherited : open(PTF_DEV, O_RDWR | O_CLOEXEC);
	w.file = ptf_file_in(PTF_SHM, GUARDED, 6);
	w.guarded[0] = ptf_anon(GUARDED);
	w.guarded[1] = mmap(NULL, GUARDED, PROT_READ | PROT_WRITE, MAP_SHARED, w.file, 0);
	w.guarded[2] = mmap(NULL, GUARDED, PROT_READ | PROT_WRITE, MAP_PRIVATE, w.file, 0);
	/* The file's content is what the shared mapping guards: the wild one has its own. */
	for (i = 0; i < 3; i++)
		ptf_fill(w.guarded[i], GUARDED, 5 + i);
	w.file = ptf_file_in(PTF_SHM, GUARDED, 9);
	p = mmap(NULL, WILD * 4, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	w.wild = p + WILD * 2;
	mmap(w.wild, WILD, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	madvise(w.wild, WILD, MADV_POPULATE_WRITE);
	/* Rows that run over find nothing to hurt. */
	w.scratch = mmap(NULL, 1024 * MB, PROT_NONE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	mprotect(w.scratch, PAGES(16), PROT_READ | PROT_WRITE);
	w.edge = w.scratch + 512 * MB;
	mprotect(w.edge, PAGE, PROT_READ | PROT_WRITE);
	w.ro = w.scratch + 768 * MB;
	mprotect(w.ro, PAGE, PROT_READ);
	w.hole = ptf_hole(PAGES(4));
	if (threads) {
		t.w = &w;
		t.r.s = seed ^ 0x5555;
		pthread_create(&th, NULL, fuzz_thread, &t);
	}
	for (i = 0; i < (threads ? PER_WORKER / 2 : PER_WORKER) && !w.bad; i++) {
		if (one_in(&r, 5))
			between(&w, &r, !threads);
		one_call(&w, &r);
		if (i % 50 == 49)
			check_guarded(&w);
	}
	if (threads)
		pthread_join(th, NULL);
	for (i = 0; i < SESSIONS; i++)
		if (one_in(&r, 2))
			close(w.fd[i]);
	check_guarded(&w);
	return w.bad;
}

TEST_F_TIMEOUT(fuzz, commands, 900)
{
	unsigned long seed = ptf_env("PTF_SEED", 20240101), n, next = 0, only;
	unsigned long calls = ptf_env("PTF_FUZZ_CALLS", ptf_rounds(CALLS));
	struct shared *sh = ptf_shared(sizeof(*sh));
	pid_t pid[2] = { 0, 0 };
	unsigned long index[2] = { 0, 0 };
	char *mem = ptf_anon(GUARDED);
	int status, s;

	ASSERT_NE(NULL, sh);
	ptf_fill(mem, GUARDED, 3);
	only = ptf_env("PTF_FUZZ_WORKER", ~0UL);
	n = (calls + PER_WORKER - 1) / PER_WORKER;
	TH_LOG("seed %lu, %lu workers of %d calls", seed, n, PER_WORKER);
	fflush(NULL);
	if (only != ~0UL) {
		next = only;
		n = only + 1;
	}
	/* Two at a time, which also act on each other and on us. */
	while (next < n || pid[0] || pid[1]) {
		for (s = 0; s < 2; s++) {
			if (pid[s] || next >= n)
				continue;
			index[s] = next++;
			pid[s] = fork();
			ASSERT_LE(0, pid[s]);
			if (!pid[s])
				_exit(run_worker(sh, s, seed * 1000003 + index[s], self->fd));
		}
		for (s = 0; s < 2; s++) {
			if (!pid[s] || waitpid(pid[s], &status, WNOHANG) != pid[s])
				continue;
			pid[s] = 0;
			EXPECT_EQ(0, status) {
				TH_LOG("seed %lu worker %lu: %s %d: %s", seed, index[s],
				       WIFSIGNALED(status) ? "signal" : "status",
				       WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status),
				       sh->why[s]);
				next = n;
			}
			sh->why[s][0] = 0;
		}
		usleep(2000);
		ASSERT_EQ(0, ptf_wrong(mem, GUARDED, 3));
	}
	TH_LOG("%lu calls, %lu of them did something", sh->calls, sh->good);
	/* A fuzzer that only meets errors tests little. */
	EXPECT_LT(sh->calls / 8, sh->good);
	EXPECT_LE(only == ~0UL ? n * PER_WORKER * 9 / 10 : 1, sh->calls);
}

TEST_HARNESS_MAIN
