// SPDX-License-Identifier: GPL-2.0-only
/*
 * ptefault stat: what the module can do here, and what it has done.
 */
#include <stdlib.h>
#include <string.h>

#include "tool.h"

static const char *flush_name(unsigned int flush)
{
	switch (flush) {
	case PTF_FLUSH_CR4:
		return "CR4.PGE on every CPU";
	case PTF_FLUSH_INVPCID:
		return "INVPCID on every CPU";
	case PTF_FLUSH_RANGE:
		return "by address range";
	default:
		return "?";
	}
}

static bool served(const struct ptf_session *session, int advice)
{
	return advice > PTF_ADV_BASE && ptf_session_has_advice(session, advice);
}

static struct json_object *advice_string(unsigned int i)
{
	return jstr(ptf_advice_name(ptf_advice_at(i)));
}

static struct json_object *json_stat(const struct ptf_session *session,
				     const struct ptf_ioc_session_stat *s)
{
	const struct ptf_ioc_features_get *f = ptf_session_features(session);
	struct json_object *o = json_object_new_object(), *a, *c;

	jadd(o, "version", json_object_new_int(1));
	jadd(o, "ptefault", jstr(ptf_version()));
	jadd(o, "api", json_u64(f->out_api));
	a = json_object_new_array();
	for (int i = 0; i < 64; i++) {
		const char *name = ptf_feature_name(1ULL << i);

		if (name && f->out_features & 1ULL << i)
			json_object_array_add(a, jstr(name));
	}
	jadd(o, "features", a);
	a = json_object_new_array();
	for (int i = 0; ptf_advice_at(i) >= 0; i++)
		if (served(session, ptf_advice_at(i)))
			json_object_array_add(a, advice_string(i));
	jadd(o, "advice", a);
	jadd(o, "page_bytes", json_u64(1ULL << f->out_page_shift));
	jadd(o, "levels", json_u64(f->out_levels));
	jadd(o, "flush", jstr(flush_name(f->out_flush)));
	jadd(o, "nodes", json_u64(f->out_nr_nodes));
	jadd(o, "frames_shown", json_object_new_boolean(f->out_privileged));
	c = json_object_new_object();
	jadd(c, "sessions", json_u64(s->out_sessions));
	jadd(c, "targets", json_u64(s->out_targets));
	jadd(c, "cleared_pages", json_u64(s->out_cleared_pages));
	jadd(c, "healed_pages", json_u64(s->out_healed_pages));
	jadd(c, "stashed_pages", json_u64(s->out_stashed_pages));
	jadd(c, "stashed_total", json_u64(s->out_stashed_total));
	jadd(c, "rules", json_u64(s->out_rules));
	jadd(c, "rule_hits", json_u64(s->out_rule_hits));
	jadd(c, "events_queued", json_u64(s->out_events_queued));
	jadd(c, "events_lost", json_u64(s->out_events_lost));
	jadd(c, "held", json_u64(s->out_held));
	jadd(c, "hooked", json_object_new_boolean(s->out_hooked));
	jadd(c, "flushes", json_u64(s->out_flushes));
	jadd(o, "counters", c);
	return o;
}

/* Words in a paragraph behind a label. */
static void paragraph(const char *label, int *at, const char *w)
{
	const int head = 10, right = 78;

	if (!*at) {
		*at = printf("%-*s", head, label);
	} else if (*at + 1 + (int)strlen(w) > right) {
		printf("\n%*s", head, "");
		*at = head;
	}
	*at += printf("%s%s", *at > head ? " " : "", w);
}

static void print_stat(const struct ptf_session *session,
		       const struct ptf_ioc_session_stat *s)
{
	const struct ptf_ioc_features_get *f = ptf_session_features(session);
	int at = 0, missing = 0;

	printf("%-10sapi %u, %u levels of page tables, pages of %llu bytes, %u NUMA node%s\n",
	       "module", f->out_api, f->out_levels,
	       1ULL << f->out_page_shift, f->out_nr_nodes,
	       f->out_nr_nodes == 1 ? "" : "s");
	printf("%-10s%s\n", "flush", flush_name(f->out_flush));
	for (int i = 0; i < 64; i++) {
		const char *name = ptf_feature_name(1ULL << i);

		if (name && f->out_features & 1ULL << i)
			paragraph("features", &at, name);
	}
	at = at ? puts("") * 0 : 0;
	for (int i = 0; ptf_advice_at(i) >= 0; i++)
		if (served(session, ptf_advice_at(i)))
			paragraph("advice", &at, ptf_advice_name(ptf_advice_at(i)));
		else if (ptf_advice_at(i) > PTF_ADV_BASE)
			missing++;
	at = at ? puts("") * 0 : 0;
	for (int i = 0; missing && ptf_advice_at(i) >= 0; i++)
		if (ptf_advice_at(i) > PTF_ADV_BASE &&
		    !served(session, ptf_advice_at(i)))
			paragraph("not here", &at, ptf_advice_name(ptf_advice_at(i)));
	if (at)
		puts("");
	printf("%-10s%u open, this one included; the fault hook is %s\n",
	       "sessions", s->out_sessions, s->out_hooked ? "set" : "not set");
	printf("%-10s%llu of all CPUs since the module was loaded\n", "flushes",
	       (unsigned long long)s->out_flushes);
	printf("%-10sframe numbers are %s\n", "frames", f->out_privileged ?
	       "shown" : "hidden without CAP_SYS_ADMIN");
}

static int run(struct tool *t)
{
	struct ptf_ioc_session_stat s;
	struct ptf_session *session;
	int ret;

	if (t->argc)
		return tool_usage(t, "takes no arguments");
	ret = open_session(t, &session);
	if (ret != DONE)
		return ret;
	if (ptf_session_stat(session, &s))
		ret = tool_fail_ptf(t, NULL);
	else if (t->json)
		t->out = json_stat(session, &s);
	else
		print_stat(session, &s);
	ptf_session_close(session);
	return ret;
}

static const struct verb stat_verb = {
	.name = "stat",
	.args = "",
	.what = "what the module can do here, sessions, counters",
	.order = 90,
	.run = run,
};

PTEFAULT_VERB(stat_verb)
