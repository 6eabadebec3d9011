// SPDX-License-Identifier: GPL-2.0-only
/*
 * Rules in words: the options of inject, the SPECs of run, plan files. One
 * table of keys for all three.
 */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "rules.h"

struct spec *spec_new(struct specs *s)
{
	struct spec *v = reallocarray(s->v, s->n + 1, sizeof(*v));

	if (!v)
		return NULL;
	s->v = v;
	v += s->n++;
	memset(v, 0, sizeof(*v));
	v->rule.size = sizeof(v->rule);
	return v;
}

void specs_free(struct specs *s)
{
	for (size_t i = 0; i < s->n; i++)
		free(s->v[i].range);
	free(s->v);
	memset(s, 0, sizeof(*s));
}

/* ------------------------------------------------------------------ */
/* Keys                                                                */

static bool set_number(const char *value, uint64_t *out, char *why, size_t len)
{
	if (arg_number(value, false, out))
		return true;
	snprintf(why, len, "'%s' is no number", value);
	return false;
}

static bool set_action(struct spec *s, const char *value, char *why, size_t len)
{
	size_t name = strcspn(value, "=");
	struct ptf_action a;

	if (ptf_action_parse(value, &a) ||
	    (a.action == PTF_ACT_DELAY && !a.value)) {
		for (unsigned int i = PTF_ACT_DELAY; i <= PTF_ACT_OOM; i++) {
			if ((i != PTF_ACT_DELAY && i != PTF_ACT_RETRY &&
			     i != PTF_ACT_OOM) || !value[name] ||
			    strlen(ptf_action_name(i)) != name ||
			    strncasecmp(ptf_action_name(i), value, name))
				continue;
			snprintf(why, len, "'%s': %s", value, i == PTF_ACT_DELAY ?
				 "a delay is from 1ns to 60s" :
				 "a number up to 1000000");
			return false;
		}
		snprintf(why, len, "no action '%s'; there are count, notify, delay=NS, sigbus, sigsegv, hwpoison, retry=N, oom=N, hold, handler=NAME",
			 value);
		return false;
	}
	s->rule.action = a.action;
	s->rule.value = a.value;
	memcpy(s->handler, a.handler, sizeof(s->handler));
	return true;
}

static bool set_probability(struct spec *s, const char *value, char *why,
			    size_t len)
{
	char *end;
	double p = strtod(value, &end);

	if (end != value && *end == '%') {
		p /= 100;
		end++;
	}
	if (end == value || *end || !(p > 0 && p <= 1)) {
		snprintf(why, len, "'%s' is no probability: above 0 and up to 1, or in %%",
			 value);
		return false;
	}
	s->rule.probability = p;
	return true;
}

static bool set_tid(struct spec *s, const char *value, char *why, size_t len)
{
	uint64_t tid;

	s->main_thread = !strcmp(value, "main");
	if (s->main_thread)
		return true;
	if (!arg_number(value, false, &tid) || !tid || tid > INT32_MAX) {
		snprintf(why, len, "'%s' is no thread: a number, or main",
			 value);
		return false;
	}
	s->rule.tid = tid;
	return true;
}

bool spec_set(struct spec *s, const char *key, const char *value, char *why,
	      size_t len)
{
	uint64_t order;

	if (!strcmp(key, "every") || !strcmp(key, "once")) {
		if (value) {
			snprintf(why, len, "takes no value");
			return false;
		}
		*(key[0] == 'e' ? &s->every : &s->once) = true;
		return true;
	}
	if (!strcmp(key, "passive") || !strcmp(key, "quiet") ||
	    !strcmp(key, "per-thread") || !strcmp(key, "per_thread")) {
		if (value) {
			snprintf(why, len, "takes no value");
			return false;
		}
		s->rule.flags |= key[1] == 'a' ? PTF_RULE_F_PASSIVE :
				 key[1] == 'u' ? PTF_RULE_F_QUIET :
						 PTF_RULE_F_PER_THREAD;
		return true;
	}
	if (!value || !value[0]) {
		snprintf(why, len, "needs a value");
		return false;
	}
	if (!strcmp(key, "action"))
		return set_action(s, value, why, len);
	if (!strcmp(key, "probability"))
		return set_probability(s, value, why, len);
	if (!strcmp(key, "tid"))
		return set_tid(s, value, why, len);
	if (!strcmp(key, "after"))
		return set_number(value, &s->rule.after, why, len);
	if (!strcmp(key, "interval"))
		return set_number(value, &s->rule.interval, why, len);
	if (!strcmp(key, "times"))
		return set_number(value, &s->rule.times, why, len);
	if (!strcmp(key, "seed")) {
		s->seeded = true;
		return set_number(value, &s->rule.seed, why, len);
	}
	if (!strcmp(key, "order")) {
		if (!set_number(value, &order, why, len))
			return false;
		s->rule.order = order;
		if (order <= UINT32_MAX)
			return true;
		snprintf(why, len, "'%s' is too large", value);
		return false;
	}
	if (!strcmp(key, "on")) {
		if (!ptf_access_parse(value, &s->rule.access))
			return true;
		snprintf(why, len, "'%s' is no access: letters of rwx", value);
		return false;
	}
	if (!strcmp(key, "from")) {
		if (!ptf_origin_parse(value, &s->rule.origin))
			return true;
		snprintf(why, len, "'%s' is nobody: user, kernel or any", value);
		return false;
	}
	snprintf(why, len, "no such key; there are action, on, from, tid, after, interval, times, probability, seed, order, every, once, passive, quiet, per-thread");
	return false;
}

bool spec_whole(const struct spec *s, char *why, size_t len)
{
	if (!s->rule.action)
		snprintf(why, len, "no action");
	else if (s->rule.flags & PTF_RULE_F_QUIET &&
		 (s->rule.action == PTF_ACT_NOTIFY ||
		  s->rule.action == PTF_ACT_HOLD))
		snprintf(why, len, "quiet: nothing would be left of %s",
			 ptf_action_name(s->rule.action));
	else if (s->every && s->once)
		snprintf(why, len, "every: not with once");
	else if (s->every && s->rule.flags & PTF_RULE_F_PASSIVE)
		snprintf(why, len, "every: not with passive, which leaves pages alone");
	else
		return true;
	return false;
}

bool spec_chooses(const struct spec *s)
{
	const struct ptf_rule_options *o = &s->rule;

	return o->after || o->interval > 1 || o->times > 1 ||
	       (o->times && o->flags & PTF_RULE_F_PER_THREAD) ||
	       (o->probability > 0 && o->probability < 1) ||
	       (o->access && o->access != PTF_ACCESS_ANY) ||
	       (o->origin && o->origin != PTF_ORIGIN_ANY) ||
	       o->tid || s->main_thread;
}

/* ------------------------------------------------------------------ */
/* RANGE:KEY=VALUE,...                                                 */

/* The colon behind RANGE: names of files may have some, too. */
static char *split(char *text)
{
	static const char *const keys[] = {
		"action=", "on=", "from=", "tid=", "after=", "interval=",
		"times=", "probability=", "seed=", "order=", "every", "once",
		"passive", "quiet", "per-thread",
	};

	for (char *p = strchr(text, ':'); p; p = strchr(p + 1, ':'))
		for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
			size_t n = strlen(keys[i]);

			if (!strncmp(p + 1, keys[i], n) &&
			    (keys[i][n - 1] == '=' || !p[1 + n] ||
			     p[1 + n] == ','))
				return p;
		}
	return NULL;
}

int spec_parse(struct tool *t, const char *text, struct specs *out)
{
	char *copy = strdup(text), *save = NULL, *word, *colon, why[256];
	struct spec *s = copy ? spec_new(out) : NULL;
	int ret = DONE;

	if (!s) {
		free(copy);
		return tool_fail(t, NULL, NULL, "out of memory");
	}
	colon = split(copy);
	if (!colon || colon == copy) {
		ret = tool_usage(t, "'%s' is no rule: RANGE:action=ACT[,KEY=VALUE]...",
				 text);
		goto out;
	}
	*colon = 0;
	s->range = strdup(copy);
	for (word = strtok_r(colon + 1, ",", &save); word;
	     word = strtok_r(NULL, ",", &save)) {
		char *value = strchr(word, '=');

		if (value)
			*value++ = 0;
		if (!spec_set(s, word, value, why, sizeof(why))) {
			ret = tool_usage(t, "rule '%s': %s: %s", text, word, why);
			goto out;
		}
	}
	if (!s->range)
		ret = tool_fail(t, NULL, NULL, "out of memory");
	else if (!spec_whole(s, why, sizeof(why)))
		ret = tool_usage(t, "rule '%s': %s", text, why);
out:
	free(copy);
	return ret;
}

/* ------------------------------------------------------------------ */
/* Plans                                                               */

static int plan_rule(struct tool *t, const char *path, size_t nr,
		     struct json_object *o, struct specs *out)
{
	struct spec *s;
	char why[256];

	if (!json_object_is_type(o, json_type_object))
		return tool_fail(t, path, NULL, "rule %zu is no object", nr);
	s = spec_new(out);
	if (!s)
		return tool_fail(t, NULL, NULL, "out of memory");
	json_object_object_foreach(o, key, value) {
		const char *text = json_object_get_string(value);

		if (!strcmp(key, "range")) {
			free(s->range);
			s->range = strdup(text ? text : "");
			continue;
		}
		if (json_object_is_type(value, json_type_boolean)) {
			if (!json_object_get_boolean(value))
				continue;
			text = NULL;
		}
		if (!spec_set(s, key, text, why, sizeof(why)))
			return tool_fail(t, path, NULL, "rule %zu: %s: %s", nr,
					 key, why);
	}
	if (!s->range || !s->range[0])
		return tool_fail(t, path, NULL, "rule %zu: no range", nr);
	if (!spec_whole(s, why, sizeof(why)))
		return tool_fail(t, path, NULL, "rule %zu: %s", nr, why);
	return DONE;
}

int plan_parse(struct tool *t, const char *path, struct json_object *top,
	       struct specs *out, uint64_t *seed, char **at)
{
	struct json_object *rules = top, *v;
	int ret = DONE;

	if (json_object_is_type(top, json_type_object)) {
		if (json_object_object_get_ex(top, "version", &v) &&
		    json_object_get_int(v) != 1)
			return tool_fail(t, path, NULL, "a plan of version %d, only 1 is known",
					 json_object_get_int(v));
		if (json_object_object_get_ex(top, "seed", &v))
			*seed = json_object_get_uint64(v);
		if (json_object_object_get_ex(top, "at", &v)) {
			free(*at);
			*at = strdup(json_object_get_string(v));
		}
		if (!json_object_object_get_ex(top, "rules", &rules))
			rules = NULL;
	}
	if (!json_object_is_type(rules, json_type_array))
		return tool_fail(t, path, NULL, "a plan is an array of rules, or an object with \"rules\"");
	for (size_t i = 0; ret == DONE && i < json_object_array_length(rules);
	     i++)
		ret = plan_rule(t, path, i + 1,
				json_object_array_get_idx(rules, i), out);
	return ret;
}

int plan_read(struct tool *t, const char *path, struct specs *out,
	      uint64_t *seed, char **at)
{
	struct json_object *top = json_object_from_file(path);
	int ret;

	if (!top) {
		const char *why = json_util_get_last_err();
		size_t n = why ? strcspn(why, "\n") : 0;

		return tool_fail(t, path, NULL, "%.*s", (int)n,
				 n ? why : "");
	}
	ret = plan_parse(t, path, top, out, seed, at);
	json_object_put(top);
	return ret;
}

static void spec_into(const struct spec *s, struct json_object *o)
{
	struct ptf_action a = { .action = s->rule.action,
				.value = s->rule.value };
	char text[64];

	memcpy(a.handler, s->handler, sizeof(a.handler));
	ptf_action_text(&a, text, sizeof(text));
	jadd(o, "range", jstr(s->range));
	jadd(o, "action", jstr(text));
	if (s->rule.access)
		jadd(o, "on", jstr(ptf_access_text(s->rule.access)));
	if (s->rule.origin)
		jadd(o, "from", jstr(ptf_origin_text(s->rule.origin)));
	if (s->main_thread)
		jadd(o, "tid", jstr("main"));
	else if (s->rule.tid)
		jadd(o, "tid", json_object_new_int(s->rule.tid));
	if (s->rule.after)
		jadd(o, "after", json_u64(s->rule.after));
	if (s->rule.interval)
		jadd(o, "interval", json_u64(s->rule.interval));
	if (s->rule.times)
		jadd(o, "times", json_u64(s->rule.times));
	if (s->rule.probability > 0) {
		snprintf(text, sizeof(text), "%.7g", s->rule.probability);
		jadd(o, "probability",
		     json_object_new_double_s(s->rule.probability, text));
		jadd(o, "seed", json_u64(s->rule.seed));
	}
	if (s->rule.order)
		jadd(o, "order", json_u64(s->rule.order));
	if (s->every)
		jadd(o, "every", json_object_new_boolean(1));
	if (s->rule.flags & PTF_RULE_F_PASSIVE)
		jadd(o, "passive", json_object_new_boolean(1));
	if (s->rule.flags & PTF_RULE_F_QUIET)
		jadd(o, "quiet", json_object_new_boolean(1));
	if (s->rule.flags & PTF_RULE_F_PER_THREAD)
		jadd(o, "per_thread", json_object_new_boolean(1));
}

struct json_object *spec_json(const struct spec *spec)
{
	struct json_object *o = json_object_new_object();

	spec_into(spec, o);
	return o;
}

void specs_seed(struct specs *s, uint64_t seed)
{
	for (size_t i = 0; i < s->n; i++) {
		if (s->v[i].seeded)
			continue;
		s->v[i].rule.seed = seed + i;
		s->v[i].seeded = true;
	}
}

/* ------------------------------------------------------------------ */
/* Rules of the session                                                */

static int place(struct tool *t, struct ptf_session *session,
		 struct ptf_target *target, const struct spec *s, size_t nr,
		 struct rules *out)
{
	struct ranges ranges = { 0 };
	struct ptf_rule_options o = s->rule;
	struct placed *v;
	int ret;

	o.target = target;
	o.handler = o.action == PTF_ACT_HANDLER ? s->handler : NULL;
	if (s->main_thread)
		o.tid = ptf_target_pid(target);
	ret = arg_ranges(t, target, s->range, &ranges);
	for (size_t i = 0; ret == DONE && i < ranges.n; i++) {
		v = reallocarray(out->v, out->n + 1, sizeof(*v));
		if (!v) {
			ret = tool_fail(t, NULL, NULL, "out of memory");
			break;
		}
		out->v = v;
		v += out->n;
		memset(v, 0, sizeof(*v));
		v->start = ranges.v[i].start;
		v->end = ranges.v[i].end;
		v->spec = nr;
		o.start = v->start;
		o.end = v->end;
		if (ptf_rule_add(session, &o, &v->id))
			ret = tool_fail_ptf(t, s->range);
		else
			out->n++;
	}
	free(ranges.v);
	return ret;
}

/*
 * Each access of a rule's range faults: before it is armed, so that the first one
 * that it sees is the first. What can't be made to is said; the rule stands.
 */
static void make_sticky(struct tool *t, struct ptf_session *session,
			struct ptf_target *target, const struct placed *p,
			const struct spec *s, struct rules *out)
{
	struct ptf_advise_result r = { .size = sizeof(r) };
	uint32_t origin = s->rule.origin;
	uint64_t skipped = 0;
	char why[512];
	int err;

	/* Who takes pages by get_user_pages() faults on a hint only if told. */
	err = ptf_session_advise(session, target, p->start, p->end,
				 PTF_ADV_STICKY, !origin ||
				 origin & PTF_ORIGIN_GUP ? PTF_ADVISE_F_GUP : 0,
				 &r);
	for (int i = 0; i < PTF_SKIP_NR; i++)
		if (i != PTF_SKIP_EMPTY)
			skipped += r.skipped_pages[i];
	if (!err || r.done_pages || r.same_pages)
		out->sticky = true;
	/* A stash, which is for the kernel's accesses too, counts hints. */
	if (origin && !(origin & (PTF_ORIGIN_KERNEL | PTF_ORIGIN_GUP)))
		out->pages += r.done_pages;
	if (err)
		tool_note(t, "%s 0x%llx-0x%llx: only the first access of each page faults: %s",
			  s->range, (unsigned long long)p->start,
			  (unsigned long long)p->end,
			  ptf_failure_last()->annotation[0] ?
			  ptf_failure_last()->annotation : strerror(-err));
	else if (skipped)
		tool_note(t, "%s 0x%llx-0x%llx: not each access of all pages faults: %s",
			  s->range, (unsigned long long)p->start,
			  (unsigned long long)p->end,
			  skipped_text(r.skipped_pages, why, sizeof(why)));
}

int specs_place(struct tool *t, struct ptf_session *session,
		struct ptf_target *target, const struct specs *s,
		struct rules *out)
{
	int ret = DONE;

	for (size_t i = 0; ret == DONE && i < s->n; i++)
		ret = place(t, session, target, &s->v[i], i, out);
	for (size_t i = 0; ret == DONE && i < out->n; i++)
		if (s->v[out->v[i].spec].every)
			make_sticky(t, session, target, &out->v[i],
				    &s->v[out->v[i].spec], out);
	return ret;
}

void rules_release(struct ptf_session *session, struct ptf_target *target,
		   const struct rules *r)
{
	if (r->sticky)
		ptf_session_advise(session, target, r->v[0].start, r->v[0].end,
				   PTF_ADV_RESET, 0, NULL);
}

static int count(const struct ptf_rule *rule, void *arg)
{
	struct rules *r = arg;

	for (size_t i = 0; i < r->n; i++) {
		if (r->v[i].id != rule->id)
			continue;
		r->v[i].matches = rule->matches;
		r->v[i].hits = rule->hits;
		r->v[i].passed = rule->passed;
		break;
	}
	return 0;
}

bool rules_count(struct ptf_session *session, struct rules *r)
{
	return !r->n || ptf_rule_list(session, count, r) >= 0;
}

bool rules_spent(const struct rules *r, const struct specs *s)
{
	bool any = false;

	for (size_t i = 0; i < r->n; i++) {
		const struct ptf_rule_options *o = &s->v[r->v[i].spec].rule;

		/* For each thread by itself: there may always come one more. */
		if (!o->times || o->flags & PTF_RULE_F_PER_THREAD)
			return false;
		if (r->v[i].hits < o->times)
			return false;
		any = true;
	}
	return any;
}

struct json_object *rules_json(const struct rules *r, const struct specs *s)
{
	struct json_object *a = json_object_new_array();

	for (size_t k = 0; k < s->n; k++) {
		struct json_object *o = json_object_new_object();
		struct json_object *places = json_object_new_array();
		uint64_t matches = 0, hits = 0, passed = 0;

		spec_into(&s->v[k], o);
		for (size_t i = 0; i < r->n; i++) {
			const struct placed *p = &r->v[i];
			struct json_object *q;

			if (p->spec != k)
				continue;
			matches += p->matches;
			hits += p->hits;
			passed += p->passed;
			q = json_object_new_object();
			jadd(q, "id", json_u64(p->id));
			jadd(q, "start", json_hex(p->start));
			jadd(q, "end", json_hex(p->end));
			jadd(q, "matches", json_u64(p->matches));
			jadd(q, "hits", json_u64(p->hits));
			jadd(q, "passed", json_u64(p->passed));
			json_object_array_add(places, q);
		}
		jadd(o, "matches", json_u64(matches));
		jadd(o, "hits", json_u64(hits));
		jadd(o, "passed", json_u64(passed));
		jadd(o, "places", places);
		json_object_array_add(a, o);
	}
	return a;
}

void rules_print(FILE *to, const struct rules *r, const struct specs *s)
{
	for (size_t i = 0; i < r->n; i++) {
		const struct placed *p = &r->v[i];
		const struct spec *sp = &s->v[p->spec];
		char range[PATH_MAX];

		fprintf(to, "rule %llu: %s 0x%llx-0x%llx %s: matched %llu, took %llu",
			(unsigned long long)p->id,
			line_name(sp->range, range, sizeof(range)),
			(unsigned long long)p->start,
			(unsigned long long)p->end,
			ptf_action_name(sp->rule.action),
			(unsigned long long)p->matches,
			(unsigned long long)p->hits);
		if (p->passed)
			fprintf(to, ", %llu of them went on where it can't be served",
				(unsigned long long)p->passed);
		fputc('\n', to);
	}
}
