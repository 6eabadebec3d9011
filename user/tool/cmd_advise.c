// SPDX-License-Identifier: GPL-2.0-only
/*
 * ptefault advise: change translations of a process from outside.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "tool.h"

static const struct tool_opt opts[] = {
	{ "pid", "PID", "the process", 'p' },
	{ "file", "PATH", "a range of a file instead, whoever maps it", 0 },
	{ "strict", NULL, "all of the range or nothing", 0 },
	{ "gup", NULL, "kernel-mode users of the pages fault too", 0 },
	{ "pmd", NULL, "a huge page as a whole", 0 },
	{ "split", NULL, "split a huge page first", 0 },
	{ "oneshot", NULL, "leave nothing to this session", 0 },
	{ "unchecked", NULL, "take advice that may lose content or kill", 0 },
	{ 0 }
};

static const struct {
	const char *name;
	uint32_t flag;
} flag_opts[] = {
	{ "strict", PTF_ADVISE_F_STRICT },
	{ "gup", PTF_ADVISE_F_GUP },
	{ "pmd", PTF_ADVISE_F_PMD },
	{ "split", PTF_ADVISE_F_SPLIT },
	{ "oneshot", PTF_ADVISE_F_ONESHOT },
	{ "unchecked", PTF_ADVISE_UNCHECKED },
};

/* What the session has to remember goes when it closes: stay for it. */
static bool remembers(unsigned int advice, uint32_t flags)
{
	if (flags & PTF_ADVISE_F_ONESHOT)
		return false;
	return advice == PTF_ADV_STASH || advice == PTF_ADV_STICKY ||
	       advice == PTF_ADV_POISON || flags & PTF_ADVISE_F_GUP;
}

struct sum {
	struct ptf_advise_result r;
	unsigned int ranges;
};

static void add(struct sum *sum, const struct ptf_advise_result *r)
{
	sum->r.done_pages += r->done_pages;
	sum->r.same_pages += r->same_pages;
	sum->r.large_pages += r->large_pages;
	sum->r.flushes += r->flushes;
	for (int i = 0; i < PTF_SKIP_NR; i++)
		sum->r.skipped_pages[i] += r->skipped_pages[i];
	sum->ranges++;
}

static uint64_t skipped(const struct ptf_advise_result *r)
{
	uint64_t n = 0;

	for (int i = 0; i < PTF_SKIP_NR; i++)
		n += r->skipped_pages[i];
	return n;
}

static struct json_object *json_result(const struct ptf_advise_result *r)
{
	struct json_object *o = json_object_new_object();

	jadd(o, "done_pages", json_u64(r->done_pages));
	jadd(o, "same_pages", json_u64(r->same_pages));
	jadd(o, "large_pages", json_u64(r->large_pages));
	jadd(o, "flushes", json_u64(r->flushes));
	jadd(o, "skipped_pages", json_skipped(r->skipped_pages));
	return o;
}

static void print_result(const char *label, const struct ptf_advise_result *r)
{
	char pages[40], why[512];

	printf("%s: %s changed", label,
	       pages_text(r->done_pages, pages, sizeof(pages)));
	if (r->same_pages)
		printf(", %llu so already", (unsigned long long)r->same_pages);
	if (skipped(r))
		printf(", %llu left alone (%s)",
		       (unsigned long long)skipped(r),
		       skipped_text(r->skipped_pages, why, sizeof(why)));
	putchar('\n');
	if (r->large_pages)
		printf("%*s  %llu of them in large folios: the kernel may heal neighbours with the first fault\n",
		       (int)strlen(label), "",
		       (unsigned long long)r->large_pages);
}

/*
 * The kernel takes only some of its advice for another process; the module's
 * own goes everywhere. An advice on several ranges goes on behind one in which
 * there was nothing to do, unless it is to be strict.
 */
static int advise_range(struct tool *t, struct ptf_session *session,
			struct ptf_target *target, const struct range *r,
			unsigned int advice, uint32_t flags, bool last,
			struct sum *sum, struct json_object *array)
{
	struct ptf_advise_result result = { .size = sizeof(result) };
	char label[96];
	int err;

	snprintf(label, sizeof(label), "0x%llx-0x%llx",
		 (unsigned long long)r->start, (unsigned long long)r->end);
	err = ptf_session_advise(session, target, r->start, r->end, advice,
				 flags, &result);
	if (err && (flags & PTF_ADVISE_F_STRICT || last || !skipped(&result)))
		return tool_fail_ptf(t, label);
	add(sum, &result);
	if (t->json) {
		struct json_object *o = json_result(&result);

		jadd(o, "start", json_hex(r->start));
		jadd(o, "end", json_hex(r->end));
		json_object_array_add(array, o);
	} else if (advice >= PTF_ADV_BASE) {
		print_result(label, &result);
	} else {
		printf("%s: given to the kernel\n", label);
	}
	return DONE;
}

/* Until the last page that the session keeps is back, or someone ends us. */
static int stay(struct tool *t, struct ptf_session *session,
		struct ptf_target *target)
{
	struct ptf_ioc_session_stat stat;
	struct pollfd p[2] = {
		{ .fd = ptf_target_pidfd(target), .events = POLLIN },
		{ .events = POLLIN },
	};
	int wait_ms = 10;
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	p[1].fd = signalfd(-1, &set, SFD_CLOEXEC);
	if (p[1].fd < 0)
		return tool_fail(t, "signalfd", NULL, "%s", strerror(errno));
	for (;;) {
		int n = poll(p, 2, wait_ms);

		if (n > 0)
			break;
		if (wait_ms < 250)
			wait_ms *= 2;
		if (ptf_session_stat(session, &stat))
			break;
		if (stat.out_stashed_total && !stat.out_stashed_pages)
			break;
	}
	close(p[1].fd);
	return DONE;
}

/* Nothing at all could be done: the file side's words for it. */
static int file_failed(struct tool *t, const char *path, unsigned int advice,
		       int err)
{
	if (err == ENODATA && advice == PTF_ADV_EVICT)
		return tool_fail(t, path, "`ptefault file` shows what is",
				 "filemap: nothing of that is in the page cache [ENODATA]");
	if (err == ENODATA)
		return tool_fail(t, path, "`ptefault file --mappers` shows who does",
				 "filemap: nobody maps any of that [ENODATA]");
	if (err == EBUSY)
		return tool_fail(t, path, "sync it, and try again when who uses it is done",
				 "filemap: all of that is in use or under writeback [EBUSY]");
	return tool_fail_ptf(t, path);
}

/* advise --file PATH [RANGE] ADVICE: the file side, in every mapper. */
static int advise_file(struct tool *t, unsigned int advice, uint32_t flags)
{
	struct ptf_advise_result r = { .size = sizeof(r) };
	const char *path = tool_opt(t, "file");
	struct ptf_session *session;
	char label[PATH_MAX];
	struct range range;
	int ret, fd;

	if (tool_flag(t, "pid"))
		return tool_usage(t, "--file or -p PID, not both: it is for whoever maps the file");
	if (t->argc > 2)
		return tool_usage(t, "one range of a file at a time");
	if (t->cmd)
		return tool_usage(t, "nothing stays for -- CMD with --file");
	ret = arg_file_range(t, t->argc == 2 ? t->argv[0] : NULL, &range);
	if (ret != DONE)
		return ret;
	ret = open_session(t, &session);
	if (ret != DONE)
		return ret;
	fd = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0) {
		ret = tool_fail(t, path, NULL, "%s", strerror(errno));
		goto out;
	}
	if (ptf_session_file_advise(session, fd, range.start, range.end,
				    advice, flags, &r)) {
		ret = file_failed(t, path, advice, ptf_failure_last()->err);
	} else if (!r.done_pages) {
		ret = file_failed(t, path, advice, ENODATA);
	} else if (t->json) {
		t->out = json_result(&r);
		jadd(t->out, "version", json_object_new_int(1));
		jadd(t->out, "file", jstr(path));
		jadd(t->out, "advice", jstr(ptf_advice_name(advice)));
	} else {
		print_result(line_name(path, label, sizeof(label)), &r);
	}
	close(fd);
out:
	ptf_session_close(session);
	return ret;
}

static int run(struct tool *t)
{
	struct json_object *array = NULL;
	struct ranges ranges = { 0 };
	struct ptf_session *session;
	struct ptf_target *target;
	struct sum sum = { 0 };
	unsigned int advice;
	uint32_t flags = 0;
	const char *name;
	int ret;

	if (t->argc < (tool_flag(t, "file") ? 1 : 2))
		return tool_usage(t, t->argc || tool_flag(t, "file") ?
				  "which advice?" : "which range?");
	name = t->argv[t->argc - 1];
	if (!arg_advice(name, &advice))
		return tool_usage(t, "no advice '%s' (ptefault stat lists them)",
				  name);
	for (size_t i = 0; i < ARRAY_SIZE(flag_opts); i++)
		if (tool_flag(t, flag_opts[i].name))
			flags |= flag_opts[i].flag;
	if (advice_unchecked(advice) && !(flags & PTF_ADVISE_UNCHECKED))
		return tool_fail(t, ptf_advice_name(advice),
				 "if that is meant, add --unchecked",
				 "this can lose content or end the process");
	if (tool_flag(t, "file"))
		return advise_file(t, advice, flags);
	/*
	 * Hints outlast us: without CMD leave their healing to the kernel, and
	 * the fault hook, which takes a while to set, alone.
	 */
	if (advice == PTF_ADV_NOTPRESENT && !t->cmd &&
	    !(flags & PTF_ADVISE_F_GUP))
		flags |= PTF_ADVISE_F_ONESHOT;
	ret = open_target(t, &session, &target);
	if (ret != DONE)
		return ret;
	for (int i = 0; ret == DONE && i + 1 < t->argc; i++)
		ret = arg_ranges(t, target, t->argv[i], &ranges);
	if (ret != DONE)
		goto out;
	if (t->json)
		array = json_object_new_array();
	for (size_t i = 0; ret == DONE && i < ranges.n; i++)
		ret = advise_range(t, session, target, &ranges.v[i], advice,
				   flags, i + 1 == ranges.n &&
				   !sum.r.done_pages && !sum.r.same_pages,
				   &sum, array);
	if (ret != DONE)
		goto out;
	if (t->json) {
		t->out = json_result(&sum.r);
		jadd(t->out, "version", json_object_new_int(1));
		jadd(t->out, "pid", json_object_new_int(ptf_target_pid(target)));
		jadd(t->out, "advice",
		     jstr(ptf_advice_name(advice)));
		jadd(t->out, "ranges", array);
		array = NULL;
	} else if (sum.ranges > 1 && advice >= PTF_ADV_BASE) {
		print_result(ptf_advice_name(advice), &sum.r);
	}
	if (t->cmd) {
		ret = run_command(t);
	} else if (remembers(advice, flags) && sum.r.done_pages) {
		fflush(stdout);
		if (!t->json)
			tool_note(t, "staying%s; Ctrl-C ends it: then no page faults on purpose any more",
				  advice == PTF_ADV_STASH ?
				  " until every page is back" : "");
		ret = stay(t, session, target);
	}
out:
	json_object_put(array);
	free(ranges.v);
	ptf_target_close(target);
	ptf_session_close(session);
	return ret;
}

static const struct verb advise = {
	.name = "advise",
	.args = "RANGE... ADVICE [-- CMD]",
	.what = "change translations of a process, content kept",
	.more = "ADVICE is a name of ptefault(7) in any case, with or without MADV_ or PTF_ADV_:\n"
		"NOTPRESENT, PRESENT, STASH, WRPROTECT, PAGEOUT and so on. What may lose content\n"
		"or end the process needs --unchecked. With CMD the session stays open while CMD\n"
		"runs, and the exit code is CMD's; without, as long as it has something to\n"
		"remember (STASH, STICKY, POISON).\n"
		"\n"
		"  ptefault advise -p 1234 [heap] notpresent\n"
		"  ptefault advise -p 1234 0x7f0000000000+2M STASH -- sleep 10\n"
		"  ptefault advise --file /var/lib/db 0+1M unmap_file\n",
	.opts = opts,
	.order = 30,
	.cmd = true,
	.run = run,
};

PTEFAULT_VERB(advise)
