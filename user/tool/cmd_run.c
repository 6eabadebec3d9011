// SPDX-License-Identifier: GPL-2.0-only
/*
 * ptefault run: a program under rules or chaos from a chosen point of its life
 * on, recorded or replayed.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "chaos.h"
#include "launch.h"
#include "record.h"
#include "rules.h"

static const struct tool_opt opts[] = {
	{ "rule", "SPEC", "RANGE:action=ACT[,KEY=VALUE]...; may be repeated", 0 },
	{ "plan", "FILE", "rules from a JSON file", 0 },
	{ "chaos", "RATE[,KINDS]", "disturb so many random pages a second", 0 },
	{ "at", "POINT", "begin at exec (the default), main, or a function", 0 },
	{ "seed", "N", "of chaos, and of rules that have none", 0 },
	{ "record", "F", "write what each thread was hit by", 0 },
	{ "replay", "F", "run with a recording's rules, and compare", 0 },
	{ "report", "F", "the report goes there instead of stderr", 0 },
	{ 0 }
};

struct run {
	struct tool *t;
	struct ptf_session *session;
	struct ptf_target *target;
	struct specs specs;
	struct rules rules;
	struct events events;
	struct launch launch;
	struct chaos *chaos;
	struct record *record;		/* of this run */
	struct record *recorded;	/* to compare it with */
	struct json_object *differences;
	size_t nr_differences;
	struct json_object *head;	/* of the recording that is replayed */
	char **cmd;
	char *at;
	uint64_t seed;
	bool began;			/* the program came to the point */
	uint64_t lost;
	int code;
};

static void usr1(int sig)
{
	(void)sig;
}

/* ------------------------------------------------------------------ */
/* What is asked for                                                   */

static int from_recording(struct run *r)
{
	struct tool *t = r->t;
	const char *path = tool_opt(t, "replay");
	struct json_object *v, *word;
	size_t n;
	int ret;

	ret = record_read(t, path, &r->head, &r->recorded);
	if (ret == DONE)
		ret = plan_parse(t, path, r->head, &r->specs, &r->seed, &r->at);
	if (ret != DONE || r->cmd)
		return ret;
	if (!json_object_object_get_ex(r->head, "cmd", &v) ||
	    !json_object_is_type(v, json_type_array) ||
	    !json_object_array_length(v))
		return tool_usage(t, "which command? (-- CMD)");
	n = json_object_array_length(v);
	r->cmd = calloc(n + 1, sizeof(*r->cmd));
	for (size_t i = 0; r->cmd && i < n; i++) {
		word = json_object_array_get_idx(v, i);
		r->cmd[i] = (char *)json_object_get_string(word);
	}
	return r->cmd ? DONE : tool_fail(t, NULL, NULL, "out of memory");
}

static int read_options(struct run *r)
{
	struct tool *t = r->t;
	const char *text;
	int ret = DONE;

	if (t->argc)
		return tool_usage(t, "'%s': the command comes behind --",
				  t->argv[0]);
	r->cmd = t->cmd;
	if (tool_flag(t, "record") && tool_flag(t, "replay"))
		return tool_usage(t, "--record or --replay, not both");
	if (!r->cmd && !tool_flag(t, "replay"))
		return tool_usage(t, "which command? (-- CMD)");
	if (getrandom(&r->seed, sizeof(r->seed), 0) != sizeof(r->seed))
		r->seed = getpid();
	/* JSON numbers of many programs end at 2^53. */
	r->seed >>= 16;
	if (tool_flag(t, "replay")) {
		if (tool_flag(t, "rule") || tool_flag(t, "plan") ||
		    tool_flag(t, "seed") || tool_flag(t, "at"))
			return tool_usage(t, "--replay has rules, seed and point from the recording");
		ret = from_recording(r);
	}
	for (int i = 0; ret == DONE && (text = tool_opt_nth(t, "rule", i)); i++)
		ret = spec_parse(t, text, &r->specs);
	for (int i = 0; ret == DONE && (text = tool_opt_nth(t, "plan", i)); i++)
		ret = plan_read(t, text, &r->specs, &r->seed, &r->at);
	text = tool_opt(t, "chaos");
	if (ret == DONE && text)
		ret = chaos_check(t, text);
	text = tool_opt(t, "seed");
	if (ret == DONE && text && !arg_number(text, false, &r->seed))
		ret = tool_usage(t, "--seed '%s' is no number", text);
	text = tool_opt(t, "at");
	if (ret == DONE && text) {
		free(r->at);
		r->at = strdup(text);
	}
	if (ret == DONE && !r->at)
		r->at = strdup("exec");
	if (ret == DONE && !r->at)
		ret = tool_fail(t, NULL, NULL, "out of memory");
	if (ret == DONE && !r->at[0])
		ret = tool_usage(t, "--at needs exec, main or a function");
	if (ret == DONE && tool_flag(t, "record") && !r->specs.n)
		ret = tool_usage(t, "--record needs rules: it is what they do that is recorded");
	if (ret == DONE)
		specs_seed(&r->specs, r->seed);
	return ret;
}

/* ------------------------------------------------------------------ */
/* The run                                                             */

static int begin(struct run *r)
{
	struct tool *t = r->t;
	int ret;

	if (ptf_target_open(r->session, r->launch.pid, &r->target))
		return tool_fail_ptf(t, r->cmd[0]);
	ret = specs_place(t, r->session, r->target, &r->specs, &r->rules);
	if (ret != DONE)
		return ret;
	if (r->record &&
	    !record_begin(r->record, r->launch.pid, &r->rules))
		return tool_fail_ptf(t, r->cmd[0]);
	if (r->rules.n && ptf_rule_arm(r->session, NULL))
		return tool_fail_ptf(t, r->cmd[0]);
	r->began = true;
	if (r->chaos)
		chaos_begin(r->chaos);
	return launch_go(t, &r->launch);
}

static void on_signal(struct run *r, int fd)
{
	struct signalfd_siginfo si;

	while (read(fd, &si, sizeof(si)) == sizeof(si)) {
		if (si.ssi_signo == SIGCHLD)
			continue;
		if (si.ssi_signo == SIGTERM || si.ssi_signo == SIGHUP)
			kill(r->launch.pid, si.ssi_signo);
		events_let_go(&r->events);
	}
}

static void follow(struct run *r, int signals)
{
	struct pollfd p[2] = {
		{ .fd = signals, .events = POLLIN },
		{ .fd = r->rules.n ? ptf_session_fd(r->session) : -1,
		  .events = POLLIN },
	};
	int wait_ms = -1;

	for (;;) {
		launch_reap(&r->launch);
		if (r->launch.ended)
			return;
		if (r->chaos && r->began)
			wait_ms = chaos_tick(r->chaos);
		if (poll(p, 2, wait_ms) < 0 && errno != EINTR)
			return;
		if (p[0].revents)
			on_signal(r, signals);
		if (p[1].revents && !events_drain(&r->events))
			p[1].fd = -1;
	}
}

static void count_up(struct run *r)
{
	struct ptf_ioc_session_stat stat = { .size = sizeof(stat) };

	if (!r->rules.n)
		return;
	events_drain(&r->events);
	rules_count(r->session, &r->rules);
	if (!ptf_session_stat(r->session, &stat))
		r->lost = stat.out_events_lost;
}

/* ------------------------------------------------------------------ */
/* What came of it                                                     */

static struct json_object *report_json(struct run *r, uint64_t minor,
				       uint64_t major)
{
	struct json_object *o = json_object_new_object(), *p;

	jadd(o, "version", json_object_new_int(1));
	jadd(o, "pid", json_object_new_int(r->launch.pid));
	jadd(o, "exit", json_object_new_int(r->code));
	jadd(o, "at", jstr(r->at));
	jadd(o, "reached", json_object_new_boolean(r->began));
	jadd(o, "seed", json_u64(r->seed));
	jadd(o, "rules", rules_json(&r->rules, &r->specs));
	jadd(o, "events", json_u64(r->events.read));
	jadd(o, "lost", json_u64(r->lost));
	jadd(o, "chaos", r->chaos ? chaos_json(r->chaos, minor, major) : NULL);
	if (r->record) {
		p = json_object_new_object();
		jadd(p, "threads", json_u64(record_threads(r->record)));
		jadd(p, "hits", json_u64(record_hits(r->record)));
		jadd(o, "record", p);
	}
	if (r->recorded) {
		p = json_object_new_object();
		jadd(p, "same", json_object_new_boolean(!r->nr_differences));
		jadd(p, "differences", json_object_get(r->differences));
		jadd(o, "replay", p);
	}
	return o;
}

static void report_text(struct run *r, FILE *to, uint64_t faults)
{
	if (!r->began)
		fprintf(to, "%s ended before it came to %s: nothing was armed\n",
			r->cmd[0], r->at);
	rules_print(to, &r->rules, &r->specs);
	if (r->rules.n)
		fprintf(to, "events: %llu read, %llu lost\n",
			(unsigned long long)r->events.read,
			(unsigned long long)r->lost);
	if (r->record)
		fprintf(to, "%s: %zu hits of %zu threads\n",
			r->recorded ? "replay" : "record",
			record_hits(r->record), record_threads(r->record));
	if (r->recorded)
		fprintf(to, "replay: %s\n", r->nr_differences ?
			"differs" : "each thread had the same hits");
	if (r->chaos)
		chaos_print(r->chaos, to, faults);
}

static int report(struct run *r)
{
	const char *path = tool_opt(r->t, "report");
	uint64_t minor = r->launch.minor, major = r->launch.major;
	uint64_t more_minor = 0, more_major = 0;
	struct json_object *o = NULL;
	FILE *to = stderr;
	int ret = DONE;
	bool bad;

	if (r->chaos && r->began)
		chaos_end(r->chaos, &more_minor, &more_major);
	minor += more_minor;
	major += more_major;
	fflush(stdout);
	if (r->t->json)
		o = report_json(r, minor, major);
	if (path)
		to = fopen(path, "we");
	if (!to)
		ret = tool_fail(r->t, path, NULL, "%s", strerror(errno));
	else if (!r->t->json)
		report_text(r, to, minor + major);
	else if (path)
		fprintf(to, "%s\n",
			json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN |
						       JSON_C_TO_STRING_NOSLASHESCAPE));
	if (path && to) {
		bad = ferror(to);
		if (fclose(to) || bad)
			ret = tool_fail(r->t, path, NULL, "%s",
					strerror(errno));
	}
	/* An error stands there already. */
	if (o && !r->t->out)
		r->t->out = json_object_get(o);
	json_object_put(o);
	return ret;
}

static struct json_object *record_head(struct run *r)
{
	struct json_object *o = json_object_new_object();
	struct json_object *a = json_object_new_array();

	jadd(o, "version", json_object_new_int(1));
	jadd(o, "seed", json_u64(r->seed));
	jadd(o, "at", jstr(r->at));
	for (char **p = r->cmd; *p; p++)
		json_object_array_add(a, json_object_new_string(*p));
	jadd(o, "cmd", a);
	a = json_object_new_array();
	for (size_t i = 0; i < r->specs.n; i++) {
		struct json_object *spec = spec_json(&r->specs.v[i]);

		/* To be found again it stays as it is, bytes of any kind. */
		jadd(spec, "range", json_object_new_string(r->specs.v[i].range));
		json_object_array_add(a, spec);
	}
	jadd(o, "rules", a);
	jadd(o, "threads", json_u64(record_threads(r->record)));
	jadd(o, "hits", json_u64(record_hits(r->record)));
	return o;
}

static int keep_or_compare(struct run *r)
{
	struct json_object *head;
	int ret;

	if (!r->record)
		return DONE;
	record_end(r->record);
	if (r->lost || !record_whole(r->record))
		return tool_fail(r->t, r->cmd[0], "a larger queue: the module's parameter events",
				 "%llu events were lost, so there is no whole recording",
				 (unsigned long long)r->lost);
	if (r->recorded) {
		r->differences = json_object_new_array();
		r->nr_differences = record_compare(r->t, r->recorded,
						   r->record, r->differences);
		return r->nr_differences ? FAILED : DONE;
	}
	head = record_head(r);
	ret = record_write(r->t, tool_opt(r->t, "record"), head, r->record);
	json_object_put(head);
	return ret;
}

static int run_it(struct run *r, int signals)
{
	struct tool *t = r->t;
	int ret = DONE, err;

	if (!r->launch.ended)
		ret = launch_until(t, &r->launch, r->at);
	if (ret == DONE && !r->launch.ended)
		ret = begin(r);
	if (ret != DONE) {
		launch_kill(&r->launch);
		return ret;
	}
	follow(r, signals);
	count_up(r);
	r->code = launch_exit_code(&r->launch);
	ret = keep_or_compare(r);
	err = report(r);
	/* Our own failures come first; otherwise it is the program's answer. */
	return ret != DONE ? ret : err != DONE ? err : r->code;
}

static int watch_signals(sigset_t *was)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	/* A Ctrl-C is the command's; we stay to report. */
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGQUIT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, was);
	return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

static int run(struct tool *t)
{
	struct run r = { .t = t };
	unsigned int flags = 0;
	int ret, signals = -1;
	sigset_t was;

	ret = read_options(&r);
	if (ret == DONE)
		ret = open_session(t, &r.session);
	if (ret == DONE && r.specs.n)
		ret = need_rules(t, r.session);
	if (ret == DONE && tool_flag(t, "chaos"))
		ret = chaos_create(t, tool_opt(t, "chaos"), r.session, r.seed,
				   &r.chaos);
	if (ret == DONE && (tool_flag(t, "record") || r.recorded)) {
		flags |= LAUNCH_F_FIXED;
		r.record = record_create();
		if (!r.record)
			ret = tool_fail(t, NULL, NULL, "out of memory");
	}
	if (ret != DONE)
		goto out;
	r.events.session = r.session;
	r.events.t = t;
	r.events.each = r.record ? record_event : NULL;
	r.events.arg = r.record;
	/* With --json stdout belongs to our one value. */
	if (t->json)
		flags |= LAUNCH_F_QUIET;
	/* None of the program's children gets out of our sight. */
	if (r.chaos)
		prctl(PR_SET_CHILD_SUBREAPER, 1);
	/* Before it is watched for, it must not end us. */
	signal(SIGUSR1, usr1);
	ret = launch_start(t, r.cmd, flags, &r.launch);
	if (ret != DONE)
		goto out;
	signals = watch_signals(&was);
	if (signals < 0) {
		ret = tool_fail(t, "signalfd", NULL, "%s", strerror(errno));
		launch_kill(&r.launch);
		goto out;
	}
	ret = run_it(&r, signals);
	close(signals);
	sigprocmask(SIG_SETMASK, &was, NULL);
out:
	/* Who still waits goes on with the session's end. */
	chaos_destroy(r.chaos);
	events_free(&r.events);
	ptf_target_close(r.target);
	ptf_session_close(r.session);
	record_destroy(r.record);
	record_destroy(r.recorded);
	specs_free(&r.specs);
	free(r.rules.v);
	if (r.cmd != t->cmd)
		free(r.cmd);
	free(r.at);
	json_object_put(r.head);
	json_object_put(r.differences);
	return ret;
}

static const struct verb run_verb = {
	.name = "run",
	.args = "-- CMD",
	.what = "run a program under rules or chaos, record and replay",
	.more = "SPEC is RANGE:action=ACT and, with commas between, on=rwx from=user|kernel|any\n"
		"tid=N|main after=N interval=N times=N probability=P seed=S order=N every passive\n"
		"quiet per-thread; ACT is count notify delay=NS sigbus sigsegv hwpoison retry=N oom=N\n"
		"hold handler=NAME. Ranges are looked up when the program comes to the point that\n"
		"--at names. Exits as CMD did (128 + signal); the report goes to stderr.\n"
		"\n"
		"  ptefault run --chaos 1000 -- sqlite3 my.db .dump\n"
		"  ptefault run --at main --rule '[heap]:action=delay=1ms,on=w' -- ./server\n"
		"  ptefault run --at main --plan faults.json --record was.jsonl -- ./server\n"
		"  ptefault run --replay was.jsonl\n",
	.opts = opts,
	.order = 75,
	.cmd = true,
	.run = run,
};

PTEFAULT_VERB(run_verb)
