// SPDX-License-Identifier: GPL-2.0-only
/*
 * ptefault inject: rules on a process that runs already, as long as we stay.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "rules.h"

static const struct tool_opt opts[] = {
	{ "pid", "PID", "the process", 'p' },
	{ "action", "ACT", "what a fault answers, see below", 0 },
	{ "on", "RWX", "reads, writes, instruction fetches; all by default", 0 },
	{ "from", "WHO", "accesses of user, kernel, or any (the default)", 0 },
	{ "tid", "N", "only this thread; main is the first one", 0 },
	{ "after", "N", "let N matching faults pass first", 0 },
	{ "interval", "N", "then take each N-th", 0 },
	{ "times", "N", "take N, then none", 0 },
	{ "probability", "P", "take one with this probability, 0 to 1 or in %", 0 },
	{ "seed", "S", "of the probability", 0 },
	{ "order", "N", "of rules that match the lowest is taken", 0 },
	{ "every", NULL, "each access of the range faults, not each page's first", 0 },
	{ "once", NULL, "each page's first access faults, and no other", 0 },
	{ "per-thread", NULL, "count for each thread by itself", 0 },
	{ "passive", NULL, "leave pages that are present alone", 0 },
	{ "quiet", NULL, "count hits, and tell nobody", 0 },
	{ 0 }
};

static int read_spec(struct tool *t, struct spec *s)
{
	char why[256];

	for (int i = 1; opts[i].name; i++) {
		const char *value = tool_opt(t, opts[i].name);

		if (value &&
		    !spec_set(s, opts[i].name, opts[i].arg ? value : NULL, why,
			      sizeof(why)))
			return tool_usage(t, "--%s: %s", opts[i].name, why);
	}
	if (!s->rule.action)
		return tool_usage(t, "which --action?");
	if (!spec_whole(s, why, sizeof(why)))
		return tool_usage(t, "--%s", why);
	/* An access that the rule lets pass would use up what the page has. */
	if (spec_chooses(s) && !s->once &&
	    !(s->rule.flags & PTF_RULE_F_PASSIVE))
		s->every = true;
	return DONE;
}

/* A spec for each RANGE, all else the same. */
static int read_specs(struct tool *t, struct specs *specs)
{
	struct spec one = { .rule.size = sizeof(one.rule) }, *s;
	int ret;

	if (!t->argc)
		return tool_usage(t, "which range?");
	ret = read_spec(t, &one);
	for (int i = 0; ret == DONE && i < t->argc; i++) {
		s = spec_new(specs);
		if (!s)
			return tool_fail(t, NULL, NULL, "out of memory");
		*s = one;
		s->range = strdup(t->argv[i]);
		if (!s->range)
			return tool_fail(t, NULL, NULL, "out of memory");
	}
	return ret;
}

/* Until a signal, the target's end, or the last of the times. */
static int stay(struct tool *t, struct events *ev, struct ptf_target *target,
		struct rules *rules, const struct specs *specs, int signals)
{
	struct pollfd p[3] = {
		{ .fd = signals, .events = POLLIN },
		{ .fd = ptf_target_pidfd(target), .events = POLLIN },
		{ .fd = ptf_session_fd(ev->session), .events = POLLIN },
	};
	struct signalfd_siginfo si;
	int wait_ms = 10;

	while (!ev->gone) {
		if (poll(p, 3, wait_ms) < 0 && errno != EINTR)
			return tool_fail(t, "poll", NULL, "%s",
					 strerror(errno));
		if (p[0].revents && read(signals, &si, sizeof(si)) > 0) {
			events_let_go(ev);
			if (si.ssi_signo != SIGUSR1)
				break;
		}
		if (p[2].revents && !events_drain(ev))
			return tool_fail_ptf(t, NULL);
		if (p[1].revents)
			break;
		/* Who is held has been counted, but not been answered. */
		if (!ev->nr_held && rules_count(ev->session, rules) &&
		    rules_spent(rules, specs))
			break;
		/* An event wakes us; count has none. */
		if (wait_ms < 250)
			wait_ms *= 2;
	}
	return DONE;
}

/*
 * One JSON value, but whoever waits for its first line learns that the rules are
 * armed: the object is open while we stay.
 */
static void say_armed(struct tool *t, struct ptf_target *target, uint64_t pages)
{
	if (t->json)
		printf("{\"version\":1,\"pid\":%d,\"armed\":true,\"pages\":%llu,\n",
		       (int)ptf_target_pid(target), (unsigned long long)pages);
	else
		puts("armed");
	fflush(stdout);
}

static void close_json(struct tool *t, const struct rules *rules,
		       const struct specs *specs, const struct events *ev)
{
	struct json_object *o = t->out ? t->out : json_object_new_object();
	const char *text;

	t->out = NULL;
	json_object_object_del(o, "version");
	jadd(o, "rules", rules_json(rules, specs));
	jadd(o, "events", json_u64(ev->read));
	text = json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN |
					      JSON_C_TO_STRING_NOSLASHESCAPE);
	puts(text + 1);
	json_object_put(o);
}

static int inject_into(struct tool *t, struct ptf_session *session,
		       struct ptf_target *target, const struct specs *specs,
		       int signals)
{
	struct events ev = { .session = session, .t = t };
	struct rules rules = { 0 };
	uint64_t pages;
	int ret;

	ret = specs_place(t, session, target, specs, &rules);
	if (ret == DONE && ptf_rule_arm(session, &pages))
		ret = tool_fail_ptf(t, NULL);
	if (ret != DONE)
		goto out;
	say_armed(t, target, pages + rules.pages);
	ret = stay(t, &ev, target, &rules, specs, signals);
	/*
	 * Not left to the session's end: who looks at our rules this moment
	 * (ptefault rules) has a hand on it.
	 */
	ptf_rule_disarm(session);
	events_drain(&ev);
	events_let_go(&ev);
	rules_count(session, &rules);
	ptf_rule_delete_all(session);
	rules_release(session, target, &rules);
	if (t->json)
		close_json(t, &rules, specs, &ev);
	else
		rules_print(stdout, &rules, specs);
out:
	events_free(&ev);
	free(rules.v);
	return ret;
}

static int run(struct tool *t)
{
	struct ptf_session *session = NULL;
	struct ptf_target *target = NULL;
	struct specs specs = { 0 };
	int ret, signals;
	sigset_t set;

	ret = read_specs(t, &specs);
	if (ret != DONE)
		goto out;
	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signals = signalfd(-1, &set, SFD_CLOEXEC);
	if (signals < 0) {
		ret = tool_fail(t, "signalfd", NULL, "%s", strerror(errno));
		goto out;
	}
	ret = open_target(t, &session, &target);
	if (ret == DONE)
		ret = need_rules(t, session);
	if (ret == DONE)
		ret = inject_into(t, session, target, &specs, signals);
	close(signals);
out:
	ptf_target_close(target);
	ptf_session_close(session);
	specs_free(&specs);
	return ret;
}

static const struct verb inject = {
	.name = "inject",
	.args = "RANGE...",
	.what = "choose what faults of a process answer",
	.more = "ACT is count, notify, delay=NS, sigbus, sigsegv, hwpoison, retry=N, oom=N, hold\n"
		"or handler=NAME. Says armed when it is; ends, and undoes, on a signal, at the\n"
		"end of the process, or when every --times is spent. A thread that is held goes\n"
		"on with SIGUSR1, or when we end.\n"
		"\n"
		"A rule that chooses (by --on, --from, --tid, --after, --interval, --probability or\n"
		"more than one of --times) is asked at each access of its range, which costs two\n"
		"traps; with --once only at the first access of each page. Any other rule takes\n"
		"that first access, or with --every each.\n"
		"\n"
		"  ptefault inject -p 1234 [heap] --action sigbus --on w --after 3 --times 1\n"
		"  ptefault inject -p 1234 libc.so.6 --action delay=2ms --probability 0.1 --once\n",
	.opts = opts,
	.order = 50,
	.run = run,
};

PTEFAULT_VERB(inject)
