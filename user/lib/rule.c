// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Rules of a session: typed options into the module's struct, and the words
 * for what stands in it. What a rule does is the module's.
 */
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/mman.h>
#include <unistd.h>

#include <ptefault/rule.h>

#include "session.h"

/* Rules that go to the module, or come from it, in one call. */
#define RULES_AT_ONCE	256

/* Why the module did not take, or find, what it was given. */
static int rule_fail(const char *op, int err, const struct ptf_rule *rule)
{
	const void *at = rule ? ptf_addr(rule->start) : NULL;

	switch (err) {
	case ENOENT:
		if (rule && rule->action == PTF_ACT_HANDLER) {
			ptf_fail(err, PTF_LAYER_MODULE, op, at, 0, 0,
				 "no handler \"%.*s\"", PTF_HANDLER_NAME_LEN - 1,
				 rule->handler);
			ptf_fail_way("load the module that registers this handler");
		} else {
			ptf_fail(err, PTF_LAYER_ARGUMENT, op, at, 0, 0,
				 "no such rule in this session");
			ptf_fail_way("ptf_rule_list() has the numbers");
		}
		break;
	case ESRCH:
		ptf_fail(err, PTF_LAYER_PROCESS, op, at, 0, 0,
			 rule && rule->tid ? "thread %d" : NULL,
			 rule ? rule->tid : 0);
		break;
	case ENOSPC:
		ptf_fail(err, PTF_LAYER_MODULE, op, at, 0, 0, "too many rules");
		ptf_fail_way("delete what is not needed; one rule may have a large range");
		break;
	case EBUSY:
		ptf_fail(err, PTF_LAYER_MODULE, op, at, 0, 0,
			 "the kernel's fault handler has another user");
		ptf_fail_way("live patching, or another tracer, has it: end that first");
		break;
	default:
		ptf_fail(err, ptf_errno_layer(err), op, at, 0, 0, NULL);
	}
	return -err;
}

static int rule_bad(const char *op, const struct ptf_rule_options *o,
		    const char *why)
{
	return ptf_fail(EINVAL, PTF_LAYER_ARGUMENT, op, ptf_addr(o->start), 0,
			0, "%s", why);
}

/* The module's struct of what a caller asks for. */
static int rule_make(const struct ptf_session *session,
		     const struct ptf_rule_options *user, struct ptf_rule *rule,
		     const char *op)
{
	struct ptf_rule_options o;
	bool named;
	size_t len;
	int err;

	if (!user)
		return ptf_fail(EINVAL, PTF_LAYER_ARGUMENT, op, NULL, 0, 0,
				"no rule");
	err = ptf_opts_copy(&o, sizeof(o), sizeof(o), user, op);
	if (!err)
		err = ptf_target_check(session, o.target, op);
	if (!err)
		err = ptf_range_check(op, o.start, o.end);
	if (err)
		return err;
	if (o.reserved)
		return rule_bad(op, &o, "reserved field not zero");
	/* Not a number is neither. */
	if (!(o.probability >= 0 && o.probability <= 1))
		return rule_bad(op, &o, "a probability is from 0 to 1");
	if (o.action < PTF_ACT_COUNT || o.action > PTF_ACT_LAST)
		return rule_bad(op, &o, "no such action");
	named = o.action == PTF_ACT_HANDLER;
	if (named != !!o.handler)
		return rule_bad(op, &o, "a name is for the action handler, which needs one");
	memset(rule, 0, sizeof(*rule));
	if (o.handler) {
		len = strlen(o.handler);
		if (!len || len >= sizeof(rule->handler))
			return rule_bad(op, &o, "no name of a handler");
		memcpy(rule->handler, o.handler, len);
	}
	rule->start = o.start;
	rule->end = o.end;
	rule->after = o.after;
	rule->interval = o.interval;
	rule->times = o.times;
	rule->value = o.value;
	rule->seed = o.seed;
	rule->target = ptf_target_id(o.target);
	rule->flags = o.flags;
	rule->access = o.access ? o.access : PTF_ACCESS_ANY;
	rule->origin = o.origin ? o.origin : PTF_ORIGIN_ANY;
	rule->tid = o.tid;
	rule->action = o.action;
	rule->order = o.order;
	if (o.probability > 0) {
		rule->probability = (uint32_t)(o.probability *
					       PTF_PROBABILITY_ONE + 0.5);
		/* Seldom is not never, and 0 would be always. */
		if (!rule->probability)
			rule->probability = 1;
	}
	return 0;
}

static int delete_one(const struct ptf_session *session, uint64_t id)
{
	struct ptf_ioc_rule_delete arg = { .size = sizeof(arg), .id = id };

	return ptf_ioctl(session, PTF_IOC_RULE_DELETE, &arg);
}

static int add_rules(const struct ptf_session *session,
		     const struct ptf_rule_options *rules, size_t nr,
		     uint64_t *ids, const char *op)
{
	size_t stride = nr ? rules->size : 0, added = 0, i, n;
	const char *from = (const char *)rules;
	struct ptf_ioc_rule_add arg;
	struct ptf_rule *array;
	uint64_t *numbers;
	int err = 0;

	if (!nr)
		return 0;
	array = calloc(nr, sizeof(*array));
	numbers = calloc(nr, sizeof(*numbers));
	if (!array || !numbers) {
		err = ptf_fail(ENOMEM, PTF_LAYER_NONE, op, NULL, 0, 0, NULL);
		goto out;
	}
	for (i = 0; i < nr; i++) {
		err = rule_make(session, (const void *)(from + i * stride),
				&array[i], op);
		if (err) {
			ptf_fail_done(i);
			goto out;
		}
	}
	while (added < nr) {
		n = ptf_min_size(nr - added, RULES_AT_ONCE);
		memset(&arg, 0, sizeof(arg));
		arg.size = sizeof(arg);
		arg.rule_size = sizeof(*array);
		arg.nr_rules = n;
		arg.rules = (uintptr_t)&array[added];
		err = ptf_ioctl(session, PTF_IOC_RULE_ADD, &arg);
		n = ptf_min_size(arg.out_added, n);
		for (i = added; i < added + n; i++)
			numbers[i] = array[i].id;
		added += n;
		if (!err && !n)
			err = -EIO;
		if (err)
			break;
	}
	if (err) {
		rule_fail(op, -err, added < nr ? &array[added] : NULL);
		ptf_fail_done(added);
		for (i = 0; i < added; i++)
			delete_one(session, numbers[i]);
		goto out;
	}
	if (ids)
		memcpy(ids, numbers, nr * sizeof(*ids));
out:
	free(numbers);
	free(array);
	return err;
}

int ptf_rule_add(const struct ptf_session *session,
		 const struct ptf_rule_options *rule, uint64_t *id)
{
	struct ptf_ioc_rule_add arg = { .size = sizeof(arg) };
	struct ptf_rule r;
	int err;

	err = rule_make(session, rule, &r, __func__);
	if (err)
		return err;
	arg.rule_size = sizeof(r);
	arg.nr_rules = 1;
	arg.rules = (uintptr_t)&r;
	err = ptf_ioctl(session, PTF_IOC_RULE_ADD, &arg);
	if (err)
		return rule_fail(__func__, -err, &r);
	if (id)
		*id = r.id;
	return 0;
}

int ptf_rule_add_many(const struct ptf_session *session,
		      const struct ptf_rule_options *rules, size_t nr,
		      uint64_t *ids)
{
	return add_rules(session, rules, nr, ids, __func__);
}

int ptf_rule_set(const struct ptf_session *session, uint64_t id,
		 const struct ptf_rule_options *rule)
{
	struct ptf_ioc_rule_set arg = { .size = sizeof(arg) };
	struct ptf_rule r;
	int err;

	err = rule_make(session, rule, &r, __func__);
	if (err)
		return err;
	r.id = id;
	arg.rule_size = sizeof(r);
	arg.rule = (uintptr_t)&r;
	err = ptf_ioctl(session, PTF_IOC_RULE_SET, &arg);
	return err ? rule_fail(__func__, -err, &r) : 0;
}

int ptf_rule_delete(const struct ptf_session *session, uint64_t id)
{
	int err = delete_one(session, id);

	return err ? rule_fail(__func__, -err, NULL) : 0;
}

int ptf_rule_delete_all(const struct ptf_session *session)
{
	struct ptf_ioc_rule_delete arg = {
		.size = sizeof(arg),
		.flags = PTF_RULE_DELETE_F_ALL,
	};
	int err = ptf_ioctl(session, PTF_IOC_RULE_DELETE, &arg);

	return err ? rule_fail(__func__, -err, NULL) : 0;
}

/* Up to @nr rules from @first on; where to go on is left in @first. */
static ssize_t list_some(const struct ptf_session *session, uint64_t *first,
			 struct ptf_rule *rules, uint32_t nr, const char *op)
{
	struct ptf_ioc_rule_list arg = { .size = sizeof(arg) };
	int err;

	arg.rule_size = sizeof(*rules);
	arg.nr_rules = nr;
	arg.first = *first;
	arg.rules = (uintptr_t)rules;
	err = ptf_ioctl(session, PTF_IOC_RULE_LIST, &arg);
	if (err)
		return rule_fail(op, -err, NULL);
	*first = arg.out_next;
	return arg.out_rules;
}

ssize_t ptf_rule_list(const struct ptf_session *session, ptf_rule_fn fn,
		      void *arg)
{
	struct ptf_rule *rules;
	uint64_t first = 0;
	ssize_t count = 0, n, i, ret = 0;

	rules = calloc(RULES_AT_ONCE, sizeof(*rules));
	if (!rules)
		return ptf_fail(ENOMEM, PTF_LAYER_NONE, __func__, NULL, 0, 0,
				NULL);
	do {
		n = list_some(session, &first, rules, RULES_AT_ONCE, __func__);
		if (n < 0) {
			ret = n;
			break;
		}
		count += n;
		for (i = 0; fn && i < n && !ret; i++)
			ret = fn(&rules[i], arg);
	} while (first && !ret);
	free(rules);
	return ret ? ret : count;
}

int ptf_rule_get(const struct ptf_session *session, uint64_t id,
		 struct ptf_rule *out)
{
	uint64_t first = id;
	ssize_t n;

	memset(out, 0, sizeof(*out));
	n = id ? list_some(session, &first, out, 1, __func__) : 0;
	if (n < 0)
		return n;
	if (!n || out->id != id) {
		memset(out, 0, sizeof(*out));
		return rule_fail(__func__, ENOENT, NULL);
	}
	return 0;
}

int ptf_rule_arm(const struct ptf_session *session, uint64_t *pages)
{
	struct ptf_ioc_rule_arm arg = { .size = sizeof(arg) };
	int err = ptf_ioctl(session, PTF_IOC_RULE_ARM, &arg);

	if (pages)
		*pages = arg.out_pages;
	return err ? rule_fail(__func__, -err, NULL) : 0;
}

int ptf_rule_disarm(const struct ptf_session *session)
{
	struct ptf_ioc_rule_arm arg = {
		.size = sizeof(arg),
		.flags = PTF_RULE_ARM_F_OFF,
	};
	int err = ptf_ioctl(session, PTF_IOC_RULE_ARM, &arg);

	return err ? rule_fail(__func__, -err, NULL) : 0;
}

/* ------------------------------------------------------------------ */
/* The switch                                                          */

int ptf_switch_map(const struct ptf_session *session, struct ptf_switch *out)
{
	unsigned char *p;

	memset(out, 0, sizeof(*out));
	p = mmap(NULL, PTF_MMAP_SWITCH_BYTES, PROT_READ | PROT_WRITE,
		 MAP_SHARED, session->fd, (off_t)PTF_MMAP_SWITCH);
	if (p == MAP_FAILED) {
		/* A module that has no such pages has no mmap() at all. */
		int err = errno == ENODEV ? EOPNOTSUPP : errno;

		return ptf_fail(err, err == EOPNOTSUPP ? PTF_LAYER_MODULE :
				PTF_LAYER_VMA, __func__, NULL,
				PTF_MMAP_SWITCH_BYTES, 0, "the switch");
	}
	out->arm = p;
	out->disarm = p + PTF_MMAP_SWITCH_BYTES / 2;
	out->pid = getpid();
	return 0;
}

void ptf_switch_unmap(struct ptf_switch *sw)
{
	int saved = errno;

	if (!sw || !sw->arm)
		return;
	/* It never came into a child: what is there is not ours. */
	if (sw->pid == getpid())
		munmap((void *)sw->arm, PTF_MMAP_SWITCH_BYTES);
	memset(sw, 0, sizeof(*sw));
	errno = saved;
}

/* ------------------------------------------------------------------ */
/* Words                                                               */

static const char *const action_names[] = {
	[PTF_ACT_GO] = "go",
	[PTF_ACT_COUNT] = "count",
	[PTF_ACT_NOTIFY] = "notify",
	[PTF_ACT_DELAY] = "delay",
	[PTF_ACT_SIGBUS] = "sigbus",
	[PTF_ACT_SIGSEGV] = "sigsegv",
	[PTF_ACT_HWPOISON] = "hwpoison",
	[PTF_ACT_RETRY] = "retry",
	[PTF_ACT_OOM] = "oom",
	[PTF_ACT_HOLD] = "hold",
	[PTF_ACT_HANDLER] = "handler",
};

const char *ptf_action_name(unsigned int action)
{
	return action < PTF_ARRAY_SIZE(action_names) ? action_names[action] :
						       "?";
}

/* A number, and for delays its unit. */
static bool value_parse(const char *text, bool is_time, uint64_t *out)
{
	static const struct {
		const char *name;
		uint64_t ns;
	} units[] = {
		{ "", 1 }, { "ns", 1 }, { "us", 1000 }, { "ms", 1000000 },
		{ "s", 1000000000 },
	};
	bool hex = text[0] == '0' && (text[1] == 'x' || text[1] == 'X');
	unsigned long long n;
	size_t i;
	char *end;

	/* strtoull() takes a sign, white space, and octal. */
	if (*text < '0' || *text > '9')
		return false;
	errno = 0;
	n = strtoull(text, &end, hex ? 16 : 10);
	if (errno || (hex && end <= text + 2))
		return false;
	for (i = 0; i < (is_time ? PTF_ARRAY_SIZE(units) : 1); i++) {
		if (strcasecmp(end, units[i].name))
			continue;
		return !__builtin_mul_overflow((uint64_t)n, units[i].ns, out);
	}
	return false;
}

static bool action_parse(const char *text, struct ptf_action *out)
{
	size_t len = strcspn(text, "=");
	const char *value = text[len] ? text + len + 1 : NULL;
	unsigned int a;

	memset(out, 0, sizeof(*out));
	for (a = PTF_ACT_COUNT; a <= PTF_ACT_LAST; a++)
		if (strlen(action_names[a]) == len &&
		    !strncasecmp(action_names[a], text, len))
			break;
	if (a > PTF_ACT_LAST)
		return false;
	out->action = a;
	switch (a) {
	case PTF_ACT_DELAY:
		return value && value_parse(value, true, &out->value) &&
		       out->value <= PTF_DELAY_MAX_NS;
	case PTF_ACT_RETRY:
	case PTF_ACT_OOM:
		return !value || (value_parse(value, false, &out->value) &&
				  out->value <= PTF_RETRY_MAX);
	case PTF_ACT_HANDLER:
		if (!value || !*value || strlen(value) >= sizeof(out->handler))
			return false;
		memcpy(out->handler, value, strlen(value));
		return true;
	default:
		return !value;
	}
}

int ptf_action_parse(const char *text, struct ptf_action *out)
{
	int saved = errno;
	bool ok = action_parse(text, out);

	errno = saved;
	if (ok)
		return 0;
	memset(out, 0, sizeof(*out));
	ptf_fail(EINVAL, PTF_LAYER_ARGUMENT, __func__, NULL, 0, 0,
		 "no action \"%.60s\"", text);
	ptf_fail_way("count notify delay=NS sigbus sigsegv hwpoison retry=N oom=N hold handler=NAME");
	return -EINVAL;
}

size_t ptf_action_text(const struct ptf_action *a, char *buf, size_t len)
{
	const char *name = ptf_action_name(a->action);
	int n;

	if (a->action == PTF_ACT_HANDLER)
		n = snprintf(buf, len, "%s=%.*s", name,
			     (int)sizeof(a->handler), a->handler);
	else if (a->action == PTF_ACT_DELAY || a->value)
		n = snprintf(buf, len, "%s=%llu", name,
			     (unsigned long long)a->value);
	else
		n = snprintf(buf, len, "%s", name);
	return n > 0 ? (size_t)n : 0;
}

int ptf_access_parse(const char *text, uint32_t *out)
{
	uint32_t access = 0;
	const char *c;

	*out = 0;
	if (!strcasecmp(text, "any")) {
		*out = PTF_ACCESS_ANY;
		return 0;
	}
	for (c = text; *c; c++) {
		if (*c == 'r' || *c == 'R')
			access |= PTF_ACCESS_READ;
		else if (*c == 'w' || *c == 'W')
			access |= PTF_ACCESS_WRITE;
		else if (*c == 'x' || *c == 'X')
			access |= PTF_ACCESS_EXEC;
		else
			break;
	}
	if (*c || !access) {
		ptf_fail(EINVAL, PTF_LAYER_ARGUMENT, __func__, NULL, 0, 0,
			 "no accesses \"%.60s\"", text);
		ptf_fail_way("name some of r, w and x, or any");
		return -EINVAL;
	}
	*out = access;
	return 0;
}

const char *ptf_access_text(uint32_t access)
{
	static const char *const texts[] = {
		"", "r", "w", "rw", "x", "rx", "wx", "rwx",
	};

	return access < PTF_ARRAY_SIZE(texts) ? texts[access] : "?";
}

const char *ptf_access_name(unsigned int access)
{
	switch (access) {
	case PTF_ACCESS_READ:
		return "read";
	case PTF_ACCESS_WRITE:
		return "write";
	case PTF_ACCESS_EXEC:
		return "execute";
	}
	return "?";
}

int ptf_origin_parse(const char *text, uint32_t *out)
{
	static const struct {
		const char *name;
		uint32_t origin;
	} words[] = {
		{ "user", PTF_ORIGIN_USER },
		{ "kernel", PTF_ORIGIN_KERNEL | PTF_ORIGIN_GUP },
		{ "copy", PTF_ORIGIN_KERNEL },
		{ "gup", PTF_ORIGIN_GUP },
		{ "any", PTF_ORIGIN_ANY },
	};
	const char *at = text;
	uint32_t origin = 0;
	size_t len, i;

	*out = 0;
	for (;; at += len + 1) {
		len = strcspn(at, ",");
		for (i = 0; i < PTF_ARRAY_SIZE(words); i++)
			if (strlen(words[i].name) == len &&
			    !strncasecmp(words[i].name, at, len))
				break;
		if (i == PTF_ARRAY_SIZE(words)) {
			ptf_fail(EINVAL, PTF_LAYER_ARGUMENT, __func__, NULL, 0,
				 0, "no origin \"%.60s\"", text);
			ptf_fail_way("user, kernel, copy, gup or any");
			return -EINVAL;
		}
		origin |= words[i].origin;
		if (!at[len])
			break;
	}
	*out = origin;
	return 0;
}

const char *ptf_origin_text(uint32_t origin)
{
	static const char *const texts[] = {
		"", "user", "copy", "user,copy", "gup", "user,gup", "kernel",
		"any",
	};

	return origin < PTF_ARRAY_SIZE(texts) ? texts[origin] : "?";
}

const char *ptf_origin_name(unsigned int origin)
{
	switch (origin) {
	case PTF_ORIGIN_USER:
		return "user";
	case PTF_ORIGIN_KERNEL:
		return "kernel";
	case PTF_ORIGIN_GUP:
		return "gup";
	}
	return "?";
}

size_t ptf_rule_text(const struct ptf_rule *r, char *buf, size_t len)
{
	struct ptf_action action = { .action = r->action, .value = r->value };
	char what[64];
	size_t at = 0;

	if (len)
		buf[0] = 0;
	memcpy(action.handler, r->handler, sizeof(action.handler));
	ptf_action_text(&action, what, sizeof(what));
#define ADD(...) do {							\
	int n_ = snprintf(at < len ? buf + at : NULL,			\
			  at < len ? len - at : 0, __VA_ARGS__);	\
	at += n_ > 0 ? (size_t)n_ : 0;					\
} while (0)
	ADD("%llu: 0x%llx-0x%llx %s", (unsigned long long)r->id,
	    (unsigned long long)r->start, (unsigned long long)r->end, what);
	ADD(" on %s from %s", ptf_access_text(r->access),
	    ptf_origin_text(r->origin));
	if (r->tid)
		ADD(" thread %d", r->tid);
	if (r->after)
		ADD(" after %llu", (unsigned long long)r->after);
	if (r->interval > 1)
		ADD(" interval %llu", (unsigned long long)r->interval);
	if (r->times)
		ADD(" times %llu", (unsigned long long)r->times);
	if (r->probability)
		ADD(" probability %g seed %llu",
		    (double)r->probability / PTF_PROBABILITY_ONE,
		    (unsigned long long)r->seed);
	if (r->order)
		ADD(" order %u", r->order);
	if (r->flags & PTF_RULE_F_PER_THREAD)
		ADD(" per thread");
	if (r->flags & PTF_RULE_F_PASSIVE)
		ADD(" passive");
	if (r->flags & PTF_RULE_F_QUIET)
		ADD(" quiet");
	if (r->flags & PTF_RULE_F_OFF)
		ADD(" off");
	ADD(": matched %llu, took %llu", (unsigned long long)r->matches,
	    (unsigned long long)r->hits);
	if (r->passed)
		ADD(", of them %llu went on", (unsigned long long)r->passed);
#undef ADD
	return at;
}
