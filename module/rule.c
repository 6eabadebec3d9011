// SPDX-License-Identifier: GPL-2.0-only
/*
 * Rules: which fault is taken by which. Owns their table, their place in the
 * address space, the decision "this one, now". What then happens is action.c's.
 *
 * Theory of operation
 *
 * A rule stands in two places: in its session's table, by id, and where faults
 * look: in a hash of its address space if it is of one page, so that a hundred
 * thousand cost a fault no more than one, else in an interval tree. Taking it out of both
 * does not wait for a fault that has already found it: that one has a
 * reference, and the rule a reference to its queue, which outlives the session.
 *
 * A fault looks at all rules over its page, in their order, and asks each in
 * turn whether it takes it, counters included, all under one spinlock: with
 * "times 1" exactly one of many threads is taken.
 *
 * One access may reach the handler several times: core mm asks for another try
 * when it had to drop its locks. Such a return is not matched again, see
 * action.c.
 */
#include <linux/hash.h>
#include <linux/mm.h>
#include <linux/pid.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/sort.h>
#include <linux/uaccess.h>
#include "rule.h"
#include "space.h"

/* Of all sessions on one address space, more or less. */
#define PTF_RULES_MAX	BIT(20)

/* Buckets for rules of one page: with a hundred thousand rules six in each. */
#define PTF_RULE_HASH_BITS	14

/* Rules that are asked about one fault before the tree is searched again. */
#define PTF_RULE_SORTED	32

/*
 * Rules that may stand over one page: single ones, and ones of more pages. Each
 * fault there asks all of them, under a spinlock.
 */
#define PTF_RULES_DEEP	1024

#define PTF_RULE_FLAGS (PTF_RULE_F_PASSIVE | PTF_RULE_F_OFF | PTF_RULE_F_PER_THREAD | \
			PTF_RULE_F_QUIET)

/* Bytes of a rule that an older caller must know: all of its first version. */
#define PTF_RULE_MIN	offsetofend(struct ptf_rule, passed)

/* Threads that a rule counts for by themselves. */
#define PTF_RULE_THREADS	65536

/* Both counters of a thread in one xarray value. */
#define PTF_THREAD_BITS	31
#define PTF_THREAD_MASK	((1UL << PTF_THREAD_BITS) - 1)

static struct ptf_rule_node *ptf_rule_of(struct ptf_span *span)
{
	return container_of(span, struct ptf_rule_node, span);
}

static void ptf_rule_free(struct ptf_rule_node *n)
{
	put_pid(n->thread);
	ptf_handler_put(n->handler);
	ptf_queue_put(n->q);
	xa_destroy(&n->threads);
	kfree(n);
}

void ptf_rule_put(struct ptf_rule_node *n)
{
	if (refcount_dec_and_test(&n->refs))
		ptf_rule_free(n);
}

/* ---- the decision ---- */

/* Does the fault fit, whatever was before? */
static bool ptf_rule_fits(const struct ptf_rule_node *n, u32 access, u32 origin)
{
	return READ_ONCE(n->q->armed) && !(n->r.flags & PTF_RULE_F_OFF) &&
	       n->r.access & access && n->r.origin & origin &&
	       (!n->thread || n->thread == task_pid(current));
}

/*
 * Dice that depend on nothing that differs between two runs of a program: not
 * on addresses, thread ids or the order in which threads run.
 */
static bool ptf_rule_dice(const struct ptf_rule_node *n, u64 nth)
{
	u64 x = n->r.seed + (nth + 1) * 0x9e3779b97f4a7c15ULL + n->r.order;

	/* splitmix64 */
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
	x ^= x >> 31;
	return (x >> 32) * PTF_PROBABILITY_ONE >> 32 < n->r.probability;
}

/* Counts the fault and decides. */
static bool ptf_rule_takes(struct ptf_rule_node *n)
{
	bool by_thread = n->r.flags & PTF_RULE_F_PER_THREAD;
	/* two values of each thread: a tid is somebody else's one day */
	unsigned long at = current->pid * 2UL, born = current->start_time & LONG_MAX;
	u64 nth = n->matches, hits = n->hits;
	unsigned long mine = 0;
	void *was = NULL;
	bool takes;

	n->matches++;
	if (by_thread || n->r.probability) {
		was = xa_load(&n->threads, at + 1);
		if (was && xa_to_value(was) == born)
			mine = xa_to_value(xa_load(&n->threads, at) ?: xa_mk_value(0));
		if (by_thread) {
			nth = mine & PTF_THREAD_MASK;
			hits = mine >> PTF_THREAD_BITS;
		}
	}
	takes = nth >= n->r.after &&
		(n->r.interval < 2 || !((nth - n->r.after) % n->r.interval)) &&
		(!n->r.times || hits < n->r.times) &&
		(!n->r.probability || ptf_rule_dice(n, mine & PTF_THREAD_MASK));
	n->hits += takes;
	if (by_thread || n->r.probability) {
		mine = ((mine + 1) & PTF_THREAD_MASK) |
		       ((((mine >> PTF_THREAD_BITS) + takes) & PTF_THREAD_MASK) << PTF_THREAD_BITS);
		/* without room the thread begins again; never stop a fault for it */
		if (!was && n->nr_threads == PTF_RULE_THREADS)
			return takes;
		n->nr_threads += !was;
		if (!was || xa_to_value(was) != born)
			xa_store(&n->threads, at + 1, xa_mk_value(born),
				 GFP_ATOMIC | __GFP_ACCOUNT);
		xa_store(&n->threads, at, xa_mk_value(mine), GFP_ATOMIC | __GFP_ACCOUNT);
	}
	return takes;
}

static bool ptf_rule_before(const struct ptf_rule_node *a, const struct ptf_rule_node *b)
{
	if (a->r.order != b->r.order)
		return a->r.order < b->r.order;
	/* each session counts its own */
	return a->r.id != b->r.id ? a->r.id < b->r.id : a->q->session < b->q->session;
}

/* Rules that are asked together, in their order. */
struct ptf_rule_sorted {
	struct ptf_rule_node *n[PTF_RULE_SORTED];
	unsigned int nr;
	const struct ptf_rule_node *after;	/* all up to this one have been asked */
};

static void ptf_rule_sort_in(struct ptf_rule_sorted *s, struct ptf_rule_node *n, u32 access,
			     u32 origin)
{
	unsigned int i;

	if (!ptf_rule_fits(n, access, origin) || (s->after && !ptf_rule_before(s->after, n)))
		return;
	if (s->nr == PTF_RULE_SORTED) {
		if (!ptf_rule_before(n, s->n[s->nr - 1]))
			return;
		s->nr--;
	}
	for (i = s->nr++; i && ptf_rule_before(n, s->n[i - 1]); i--)
		s->n[i] = s->n[i - 1];
	s->n[i] = n;
}

static struct hlist_head *ptf_rule_bucket(struct ptf_space *sp, unsigned long addr)
{
	return &sp->singles[hash_long(addr >> PAGE_SHIFT, PTF_RULE_HASH_BITS)];
}

/* Several rules over one page, or ones of more pages: ask them in their order. */
static noinline struct ptf_rule_node *
ptf_rule_match_many(struct ptf_space *sp, unsigned long addr, u32 access, u32 origin)
{
	struct ptf_rule_sorted s = { .after = NULL };
	struct ptf_rule_node *n;
	struct ptf_span *span;
	unsigned int i;

	do {
		s.nr = 0;
		if (sp->singles) {
			hlist_for_each_entry(n, ptf_rule_bucket(sp, addr), single)
				if (n->span.start == addr)
					ptf_rule_sort_in(&s, n, access, origin);
		}
		for (span = ptf_span_iter_first(&sp->rules, addr, addr); span;
		     span = ptf_span_iter_next(span, addr, addr))
			ptf_rule_sort_in(&s, ptf_rule_of(span), access, origin);
		for (i = 0; i < s.nr; i++)
			if (ptf_rule_takes(s.n[i]))
				return s.n[i];
		s.after = s.nr ? s.n[s.nr - 1] : NULL;
	} while (s.nr == PTF_RULE_SORTED);
	return NULL;
}

/**
 * ptf_rule_match() - find the rule that takes a fault
 * @f: fault; rule and considered are set
 */
void ptf_rule_match(struct ptf_fault *f)
{
	unsigned long addr = f->address & PAGE_MASK;
	u32 access = ptf_fault_access(f->flags);
	u32 origin = ptf_fault_origin(f);
	struct ptf_rule_node *n, *one = NULL;
	struct ptf_space *sp = f->sp;
	bool many = false;

	spin_lock(&sp->rlock);
	if (sp->singles) {
		hlist_for_each_entry(n, ptf_rule_bucket(sp, addr), single) {
			if (n->span.start == addr) {
				many = one;
				one = n;
			}
		}
	}
	if (unlikely(many) || !RB_EMPTY_ROOT(&sp->rules.rb_root)) {
		f->considered = one || ptf_span_iter_first(&sp->rules, addr, addr);
		one = ptf_rule_match_many(sp, addr, access, origin);
	} else if (one) {
		f->considered = true;
		if (!ptf_rule_fits(one, access, origin) || !ptf_rule_takes(one))
			one = NULL;
	}
	if (one)
		refcount_inc(&one->refs);
	f->rule = one;
	spin_unlock(&sp->rlock);
}

/* ---- the table ---- */

static int ptf_rule_check(const struct ptf_rule *r)
{
	int err = ptf_check_range(r->start, r->end);

	if (err)
		return err;
	if (r->flags & ~PTF_RULE_FLAGS)
		return -EOPNOTSUPP;
	if (!r->access || r->access & ~PTF_ACCESS_ANY || !r->origin ||
	    r->origin & ~PTF_ORIGIN_ANY || r->probability > PTF_PROBABILITY_ONE || r->tid < 0)
		return -EINVAL;
	if (!r->action || r->action > PTF_ACT_LAST)
		return -EINVAL;
	/* what would be left of it? */
	if (r->flags & PTF_RULE_F_QUIET &&
	    (r->action == PTF_ACT_NOTIFY || r->action == PTF_ACT_HOLD))
		return -EINVAL;
	if (r->matches || r->hits || r->passed)
		return -EINVAL;
	switch (r->action) {
	case PTF_ACT_DELAY:
		if (!r->value || r->value > PTF_DELAY_MAX_NS)
			return -EINVAL;
		break;
	case PTF_ACT_RETRY:
	case PTF_ACT_OOM:
		if (r->value > PTF_RETRY_MAX)
			return -EINVAL;
		break;
	case PTF_ACT_HANDLER:
		if (!r->handler[0] || r->handler[PTF_HANDLER_NAME_LEN - 1])
			return -EINVAL;
		return 0;
	default:
		if (r->value)
			return -EINVAL;
	}
	return memchr_inv(r->handler, 0, sizeof(r->handler)) ? -EINVAL : 0;
}

/* A rule that is in no table yet. */
static struct ptf_rule_node *ptf_rule_create(struct ptf_session *s, const struct ptf_rule *r)
{
	struct ptf_rule_node *n;
	int err;

	n = kzalloc(sizeof(*n), GFP_KERNEL_ACCOUNT);
	if (!n)
		return ERR_PTR(-ENOMEM);
	xa_init(&n->threads);
	refcount_set(&n->refs, 1);
	n->q = s->q;
	ptf_queue_get(s->q);
	n->r = *r;
	n->span.start = r->start;
	n->span.last = r->end - 1;
	if (r->tid) {
		n->thread = find_get_pid(r->tid);
		err = -ESRCH;
		if (!n->thread)
			goto free;
	}
	if (r->action == PTF_ACT_HANDLER) {
		n->handler = ptf_handler_get(r->handler);
		err = -ENOENT;
		if (!n->handler)
			goto free;
	}
	return n;
free:
	ptf_rule_put(n);
	return ERR_PTR(err);
}

static bool ptf_rule_is_single(const struct ptf_rule_node *n)
{
	return n->span.last - n->span.start < PAGE_SIZE;
}

/* Too many over one of its pages? Those of its own kind are what adds up. */
static bool ptf_rule_too_deep(struct ptf_space *sp, struct ptf_rule_node *n)
{
	unsigned int nr = 0;
	struct ptf_rule_node *other;
	struct ptf_span *s;

	if (ptf_rule_is_single(n)) {
		hlist_for_each_entry(other, ptf_rule_bucket(sp, n->span.start), single)
			nr += other->span.start == n->span.start;
	} else {
		for (s = ptf_span_iter_first(&sp->rules, n->span.start, n->span.last);
		     s && nr < PTF_RULES_DEEP;
		     s = ptf_span_iter_next(s, n->span.start, n->span.last))
			nr++;
	}
	return nr >= PTF_RULES_DEEP;
}

/* sp->rlock is held. */
static void ptf_rule_link(struct ptf_space *sp, struct ptf_rule_node *n)
{
	if (ptf_rule_is_single(n))
		hlist_add_head(&n->single, ptf_rule_bucket(sp, n->span.start));
	else
		ptf_span_insert(&n->span, &sp->rules);
	WRITE_ONCE(sp->nr_rules, sp->nr_rules + 1);
}

static void ptf_rule_unlink(struct ptf_space *sp, struct ptf_rule_node *n)
{
	if (ptf_rule_is_single(n))
		hlist_del(&n->single);
	else
		ptf_span_remove(&n->span, &sp->rules);
	WRITE_ONCE(sp->nr_rules, sp->nr_rules - 1);
}

static int ptf_rule_insert(struct ptf_rule_node *n, struct ptf_target *t)
{
	struct ptf_space *sp = t->space;
	int err = -ENOSPC;

	n->t = t;
	n->sp = sp;
	spin_lock(&sp->rlock);
	if (!ptf_rule_too_deep(sp, n)) {
		ptf_rule_link(sp, n);
		err = 0;
	}
	spin_unlock(&sp->rlock);
	return err;
}

/* Out of where faults look; the table's reference stays with the caller. */
static void ptf_rule_remove(struct ptf_rule_node *n)
{
	spin_lock(&n->sp->rlock);
	ptf_rule_unlink(n->sp, n);
	spin_unlock(&n->sp->rlock);
}

/* All rules of a target, or of the session. */
static void ptf_rule_drop(struct ptf_session *s, struct ptf_target *t)
{
	struct ptf_rule_node *n;
	unsigned long id;

	mutex_lock(&s->rule_lock);
	xa_for_each(&s->rules, id, n) {
		cond_resched();
		if (t && n->t != t)
			continue;
		xa_erase(&s->rules, id);
		s->nr_rules--;
		ptf_rule_remove(n);
		ptf_rule_put(n);
	}
	mutex_unlock(&s->rule_lock);
}

void ptf_rule_drop_target(struct ptf_target *t)
{
	if (READ_ONCE(t->s->nr_rules))
		ptf_rule_drop(t->s, t);
}

void ptf_rule_drop_session(struct ptf_session *s)
{
	ptf_rule_drop(s, NULL);
}

/* ---- making pages fault ---- */

struct ptf_rule_range {
	u32 target;
	bool kernel;
	u64 start;
	u64 end;
};

struct ptf_rule_ranges {
	struct ptf_rule_range *r;
	unsigned int nr;
	unsigned int room;
};

static int ptf_rule_range_cmp(const void *a, const void *b)
{
	const struct ptf_rule_range *x = a, *y = b;

	if (x->target != y->target)
		return x->target < y->target ? -1 : 1;
	if (x->kernel != y->kernel)
		return x->kernel ? 1 : -1;
	return x->start < y->start ? -1 : x->start > y->start;
}

static void ptf_rule_ranges_add(struct ptf_rule_ranges *l, const struct ptf_rule *r)
{
	if (r->flags & (PTF_RULE_F_PASSIVE | PTF_RULE_F_OFF) || l->nr == l->room)
		return;
	l->r[l->nr++] = (struct ptf_rule_range) {
		.target = r->target,
		.kernel = r->origin & (PTF_ORIGIN_KERNEL | PTF_ORIGIN_GUP),
		.start = r->start,
		.end = r->end,
	};
}

/* The present pages of one range: taken away, or hinted, or both. */
static int ptf_rule_provoke_range(struct ptf_session *s, const struct ptf_rule_range *r,
				  struct ptf_ioc_range_advise *a, u64 *pages)
{
	static const u32 flags[] = { 0, PTF_ADVISE_F_GUP };
	struct ptf_target *t;
	bool respond;
	int err = 0;

	t = ptf_target_begin(s, r->target);
	if (IS_ERR(t))
		return 0;	/* gone: nothing there will ever fault */
	memset(a, 0, sizeof(*a));
	a->start = r->start;
	a->end = r->end;
	if (r->kernel) {
		a->advice = PTF_ADV_STASH;
		err = ptf_advise_target(t, a, &respond);
		*pages += a->out_done_pages;
		a->out_done_pages = 0;
	}
	/* what can't be stashed (the zero page) can be hinted */
	if (err != -EINTR && err != -ERESTARTNOINTR) {
		a->advice = PTF_ADV_NOTPRESENT;
		a->flags = flags[r->kernel];
		err = ptf_target_arm(t, PTF_ARM_EXACT);
		if (!err)
			err = ptf_advise_target(t, a, &respond);
		*pages += a->out_done_pages;
	}
	ptf_target_end(t);
	/* what can't be provoked is taken when it comes by itself */
	return err == -EINTR || err == -ERESTARTNOINTR ? err : 0;
}

static int ptf_rule_provoke(struct ptf_session *s, struct ptf_rule_ranges *l, u64 *pages)
{
	struct ptf_ioc_range_advise *a;
	struct ptf_rule_range *r = l->r, *next;
	int err = 0;

	if (!l->nr)
		return 0;
	a = kzalloc(sizeof(*a), GFP_KERNEL_ACCOUNT);
	if (!a)
		return -ENOMEM;
	sort(l->r, l->nr, sizeof(*l->r), ptf_rule_range_cmp, NULL);
	/* neighbours are one piece of work */
	for (next = r + 1; next < l->r + l->nr; next++) {
		if (next->target == r->target && next->kernel == r->kernel &&
		    next->start <= r->end)
			r->end = max(r->end, next->end);
		else
			*++r = *next;
	}
	l->nr = r - l->r + 1;
	for (r = l->r; r < l->r + l->nr && !err; r++) {
		err = ptf_rule_provoke_range(s, r, a, pages);
		cond_resched();
	}
	kfree(a);
	return err;
}

static int ptf_rule_hash(struct ptf_space *sp)
{
	struct hlist_head *h = kvcalloc(1 << PTF_RULE_HASH_BITS, sizeof(*h), GFP_KERNEL_ACCOUNT);

	if (!h)
		return -ENOMEM;
	spin_lock(&sp->rlock);
	if (!sp->singles) {
		WRITE_ONCE(sp->singles, h);
		h = NULL;
	}
	spin_unlock(&sp->rlock);
	kvfree(h);
	return 0;
}

/* What must be ready in a target before a rule stands there. */
static struct ptf_target *ptf_rule_target(struct ptf_session *s, u32 id)
{
	struct ptf_target *t;
	int err;

	t = ptf_target_begin(s, id);
	if (IS_ERR(t))
		return t;
	err = ptf_target_arm(t, PTF_ARM_RULE | PTF_ARM_EXACT);
	if (!err && !READ_ONCE(t->space->singles))
		err = ptf_rule_hash(t->space);
	if (err) {
		ptf_target_end(t);
		return ERR_PTR(err);
	}
	return t;
}

static int ptf_rule_add_one(struct ptf_session *s, struct ptf_rule *r)
{
	struct ptf_rule_node *n;
	struct ptf_target *t;
	int err;

	err = ptf_rule_check(r);
	if (err)
		return err;
	if (r->id)
		return -EINVAL;
	t = ptf_rule_target(s, r->target);
	if (IS_ERR(t))
		return PTR_ERR(t);
	n = ptf_rule_create(s, r);
	if (IS_ERR(n)) {
		err = PTR_ERR(n);
		goto end;
	}
	mutex_lock(&s->rule_lock);
	err = -ENOSPC;
	if (s->nr_rules < PTF_RULES_MAX) {
		n->r.id = s->next_rule;
		err = xa_insert(&s->rules, n->r.id, n, GFP_KERNEL_ACCOUNT);
	}
	if (!err) {
		err = ptf_rule_insert(n, t);
		if (err)
			xa_erase(&s->rules, n->r.id);
	}
	if (!err) {
		s->next_rule++;
		s->nr_rules++;
		r->id = n->r.id;
	}
	mutex_unlock(&s->rule_lock);
	if (err)
		ptf_rule_put(n);
end:
	ptf_target_end(t);
	return err;
}

static int ptf_rule_copy_in(struct ptf_rule *r, u64 from, u32 size)
{
	return copy_struct_from_user(r, sizeof(*r), u64_to_user_ptr(from), size);
}

static int ptf_rule_size(u32 size)
{
	if (size < PTF_RULE_MIN)
		return -EINVAL;
	return size > PAGE_SIZE ? -E2BIG : 0;
}

int ptf_rule_add(struct ptf_cmd *c)
{
	struct ptf_ioc_rule_add *a = c->arg;
	struct ptf_rule_ranges l = {};
	struct ptf_session *s = c->s;
	struct ptf_rule r;
	u64 at, pages = 0;
	int err, err2;

	if (a->flags)
		return -EOPNOTSUPP;
	err = ptf_rule_size(a->rule_size);
	if (err)
		return err;
	if (!a->nr_rules)
		return -EINVAL;
	if (a->nr_rules > PTF_RULES_MAX)
		return -ENOSPC;
	err = ptf_queue_ready(s->q);
	if (err)
		return err;
	l.room = a->nr_rules;
	l.r = kvmalloc_array(l.room, sizeof(*l.r), GFP_KERNEL_ACCOUNT);
	if (!l.r)
		return -ENOMEM;
	a->out_added = 0;
	a->reserved = 0;
	c->respond = true;
	for (at = a->rules; a->out_added < a->nr_rules; at += a->rule_size) {
		err = ptf_rule_copy_in(&r, at, a->rule_size);
		if (!err)
			err = ptf_rule_add_one(s, &r);
		if (err)
			break;
		a->out_added++;
		ptf_rule_ranges_add(&l, &r);
		if (put_user(r.id, (u64 __user *)u64_to_user_ptr(at +
							offsetof(struct ptf_rule, id)))) {
			err = -EFAULT;
			break;
		}
		if (fatal_signal_pending(current)) {
			err = -EINTR;
			break;
		}
		cond_resched();
	}
	/* what was added is in force, whatever became of the rest */
	if (READ_ONCE(s->q->armed)) {
		err2 = ptf_rule_provoke(s, &l, &pages);
		err = err ?: err2;
	}
	/* a restart would add them twice */
	if (err == -ERESTARTNOINTR && a->out_added)
		err = -EINTR;
	kvfree(l.r);
	return err;
}

int ptf_rule_set(struct ptf_cmd *c)
{
	struct ptf_ioc_rule_set *a = c->arg;
	struct ptf_rule_range range;
	struct ptf_rule_ranges l = { .r = &range, .room = 1 };
	struct ptf_session *s = c->s;
	struct ptf_rule_node *n, *old;
	struct ptf_target *t;
	struct ptf_rule r;
	u64 pages = 0;
	int err;

	if (a->flags)
		return -EOPNOTSUPP;
	if (a->reserved)
		return -EINVAL;
	err = ptf_rule_size(a->rule_size);
	if (!err)
		err = ptf_rule_copy_in(&r, a->rule, a->rule_size);
	if (!err)
		err = ptf_rule_check(&r);
	if (err)
		return err;
	t = ptf_rule_target(s, r.target);
	if (IS_ERR(t))
		return PTR_ERR(t);
	n = ptf_rule_create(s, &r);
	if (IS_ERR(n)) {
		err = PTR_ERR(n);
		goto end;
	}
	mutex_lock(&s->rule_lock);
	old = xa_load(&s->rules, r.id);
	if (!old)
		err = -ENOENT;
	else if (old->t != t)
		err = -EINVAL;
	if (!err) {
		n->t = t;
		n->sp = t->space;
		spin_lock(&n->sp->rlock);
		ptf_rule_unlink(n->sp, old);
		if (ptf_rule_too_deep(n->sp, n))
			err = -ENOSPC;
		ptf_rule_link(n->sp, err ? old : n);
		spin_unlock(&n->sp->rlock);
		/* room is there: the slot is taken */
		if (!err)
			xa_store(&s->rules, r.id, n, GFP_KERNEL_ACCOUNT);
	}
	mutex_unlock(&s->rule_lock);
	ptf_rule_put(err ? n : old);
	if (!err && READ_ONCE(s->q->armed)) {
		ptf_rule_ranges_add(&l, &r);
		err = ptf_rule_provoke(s, &l, &pages);
	}
end:
	ptf_target_end(t);
	return err;
}

int ptf_rule_delete(struct ptf_cmd *c)
{
	struct ptf_ioc_rule_delete *a = c->arg;
	struct ptf_session *s = c->s;
	struct ptf_rule_node *n;

	if (a->flags & ~PTF_RULE_DELETE_F_ALL)
		return -EOPNOTSUPP;
	if (a->flags) {
		if (a->id)
			return -EINVAL;
		ptf_rule_drop(s, NULL);
		return 0;
	}
	mutex_lock(&s->rule_lock);
	n = xa_erase(&s->rules, a->id);
	if (n) {
		s->nr_rules--;
		ptf_rule_remove(n);
	}
	mutex_unlock(&s->rule_lock);
	if (!n)
		return -ENOENT;
	ptf_rule_put(n);
	return 0;
}

/* Rules copied out at a time: user memory is not touched under a lock. */
#define PTF_RULE_CHUNK	16

/* Up to @nr rules from *@first on; *@first is where to go on, 0 at the end. */
static unsigned int ptf_rule_collect(struct ptf_session *s, struct ptf_rule *buf,
				     unsigned int nr, u64 *first)
{
	struct ptf_rule_node *n;
	unsigned long id = *first;
	unsigned int i = 0;

	mutex_lock(&s->rule_lock);
	xa_for_each_start(&s->rules, id, n, *first) {
		if (i == nr)
			break;
		buf[i] = n->r;
		spin_lock(&n->sp->rlock);
		buf[i].matches = n->matches;
		buf[i].hits = n->hits;
		spin_unlock(&n->sp->rlock);
		buf[i].passed = atomic64_read(&n->passed);
		i++;
	}
	*first = n ? id : 0;
	mutex_unlock(&s->rule_lock);
	return i;
}

int ptf_rule_list(struct ptf_cmd *c)
{
	struct ptf_ioc_rule_list *a = c->arg;
	struct ptf_rule *buf;
	unsigned int nr, i;
	u64 next = a->first;
	size_t copy;
	int err;

	if (a->flags)
		return -EOPNOTSUPP;
	err = ptf_rule_size(a->rule_size);
	if (err)
		return err;
	if (!a->nr_rules)
		return -EINVAL;
	buf = kmalloc_array(PTF_RULE_CHUNK, sizeof(*buf), GFP_KERNEL_ACCOUNT);
	if (!buf)
		return -ENOMEM;
	copy = min_t(size_t, a->rule_size, sizeof(*buf));
	a->out_rules = 0;
	a->reserved = 0;
	do {
		nr = ptf_rule_collect(c->s, buf, min_t(u32, PTF_RULE_CHUNK,
						       a->nr_rules - a->out_rules), &next);
		for (i = 0; i < nr && !err; i++) {
			u64 at = a->rules + (u64)(a->out_rules + i) * a->rule_size;

			if (copy_to_user(u64_to_user_ptr(at), &buf[i], copy) ||
			    clear_user(u64_to_user_ptr(at + copy), a->rule_size - copy))
				err = -EFAULT;
		}
		a->out_rules += nr;
		if (fatal_signal_pending(current))
			err = -EINTR;
		cond_resched();
	} while (!err && next && a->out_rules < a->nr_rules);
	a->out_next = next;
	kfree(buf);
	c->respond = !err;
	return err;
}

/**
 * ptf_rule_switch() - arm or disarm all rules of a session
 * @s: session
 * @on: which
 * @pages: pages that were made to fault are added to it
 *
 * Return: 0, -ENOMEM, -EINTR; armed it is in any case
 */
int ptf_rule_switch(struct ptf_session *s, bool on, u64 *pages)
{
	struct ptf_rule_ranges l = {};
	struct ptf_rule_node *n;
	unsigned long id;
	int err;

	ptf_memory_switched(s, on);
	if (!on)
		return 0;
	/* as many as there are now; what is added later is armed by its adder */
	l.room = READ_ONCE(s->nr_rules);
	if (!l.room)
		return 0;
	l.r = kvmalloc_array(l.room, sizeof(*l.r), GFP_KERNEL_ACCOUNT);
	if (!l.r)
		return -ENOMEM;
	mutex_lock(&s->rule_lock);
	xa_for_each(&s->rules, id, n)
		ptf_rule_ranges_add(&l, &n->r);
	mutex_unlock(&s->rule_lock);
	err = ptf_rule_provoke(s, &l, pages);
	kvfree(l.r);
	return err;
}

int ptf_rule_arm(struct ptf_cmd *c)
{
	struct ptf_ioc_rule_arm *a = c->arg;

	if (a->flags & ~PTF_RULE_ARM_F_OFF)
		return -EOPNOTSUPP;
	a->out_pages = 0;
	c->respond = true;
	return ptf_rule_switch(c->s, !(a->flags & PTF_RULE_ARM_F_OFF), &a->out_pages);
}
