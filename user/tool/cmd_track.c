// SPDX-License-Identifier: GPL-2.0-only
/*
 * ptefault track: which pages a process writes.
 */
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "tool.h"

/* What the process had written when we last looked outlives it so. */
#define LOOK_MS 250

static const struct tool_opt opts[] = {
	{ "pid", "PID", "the process", 'p' },
	{ "stack", NULL, "stacks too, without a RANGE", 0 },
	{ "method", "HOW", "module, scan or soft-dirty; the best by default", 0 },
	{ 0 }
};

struct tracked {
	struct tool *t;
	struct ptf_track **tracks;	/* one for each range */
	struct ranges ranges;
	struct ranges written;
	bool full;			/* out of memory */
};

static int take(uint64_t start, uint64_t end, void *arg)
{
	struct ranges *w = &((struct tracked *)arg)->written;
	struct range *v = w->n ? &w->v[w->n - 1] : NULL;

	if (v && v->end == start) {
		v->end = end;
		return 0;
	}
	v = reallocarray(w->v, w->n + 1, sizeof(*v));
	if (!v) {
		((struct tracked *)arg)->full = true;
		return -ENOMEM;
	}
	w->v = v;
	v += w->n++;
	v->start = start;
	v->end = end;
	return 0;
}

/* 0, or a negative errno; then what was read before stands. */
static int look(struct tracked *tr)
{
	struct ranges before = tr->written;
	ssize_t err = 0;

	tr->written = (struct ranges){ 0 };
	for (size_t i = 0; err >= 0 && i < tr->ranges.n; i++)
		err = ptf_track_read(tr->tracks[i], tr->ranges.v[i].start,
				     tr->ranges.v[i].end, take, tr);
	if (err < 0) {
		free(tr->written.v);
		tr->written = before;
		return err;
	}
	free(before.v);
	return 0;
}

/* Until a signal, or the process's end. Answers whether it still runs. */
static bool stay(struct tracked *tr, struct ptf_target *target)
{
	struct pollfd p[2] = {
		{ .fd = ptf_target_pidfd(target), .events = POLLIN },
		{ .events = POLLIN },
	};
	sigset_t set;
	int n;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	p[1].fd = signalfd(-1, &set, SFD_CLOEXEC);
	if (p[1].fd < 0)
		return true;
	do {
		n = poll(p, 2, LOOK_MS);
		if (!n && look(tr) == -ESRCH)
			break;
	} while (!n || (n < 0 && errno == EINTR));
	close(p[1].fd);
	return p[1].revents;
}

static uint64_t pages_of(const struct ranges *r)
{
	uint64_t bytes = 0;

	for (size_t i = 0; i < r->n; i++)
		bytes += r->v[i].end - r->v[i].start;
	return bytes / getpagesize();
}

static const char *name_at(const struct ptf_vma_list *maps, uint64_t addr)
{
	for (size_t i = 0; maps && i < ptf_vma_list_count(maps); i++) {
		const struct ptf_vma_entry *v = ptf_vma_list_at(maps, i);

		if (addr >= v->start && addr < v->end)
			return v->name;
	}
	return "";
}

static void show(struct tool *t, struct tracked *tr, pid_t pid, bool ended,
		 const struct ptf_vma_list *maps)
{
	struct ptf_track_info info = { .size = sizeof(info) };
	uint64_t skipped[PTF_SKIP_NR] = { 0 }, tracked = 0;
	struct json_object *array = NULL;
	char pages[40], why[512];

	for (size_t i = 0; i < tr->ranges.n; i++) {
		if (ptf_track_query(tr->tracks[i], &info))
			continue;
		tracked += info.pages;
		for (int k = 0; k < PTF_SKIP_NR; k++)
			skipped[k] += info.skipped_pages[k];
	}
	if (t->json)
		array = json_object_new_array();
	for (size_t i = 0; i < tr->written.n; i++) {
		const struct range *r = &tr->written.v[i];
		uint64_t n = (r->end - r->start) / getpagesize();
		const char *name = name_at(maps, r->start);
		char plain[PATH_MAX + 16];

		if (t->json) {
			struct json_object *o = json_object_new_object();

			jadd(o, "start", json_hex(r->start));
			jadd(o, "end", json_hex(r->end));
			jadd(o, "pages", json_u64(n));
			jadd(o, "name", jstr(name));
			json_object_array_add(array, o);
		} else {
			printf("0x%llx-0x%llx  %-12s written%s%s\n",
			       (unsigned long long)r->start,
			       (unsigned long long)r->end,
			       pages_text(n, pages, sizeof(pages)),
			       name[0] ? "  " : "",
			       line_name(name, plain, sizeof(plain)));
		}
	}
	if (t->json) {
		t->out = json_object_new_object();
		jadd(t->out, "version", json_object_new_int(1));
		jadd(t->out, "pid", json_object_new_int(pid));
		jadd(t->out, "method",
		     jstr(ptf_track_method_name(info.method)));
		jadd(t->out, "tracked_pages", json_u64(tracked));
		jadd(t->out, "skipped_pages", json_skipped(skipped));
		jadd(t->out, "ended", json_object_new_boolean(ended));
		jadd(t->out, "pages", json_u64(pages_of(&tr->written)));
		jadd(t->out, "written", array);
	} else {
		printf("%s written of %llu tracked",
		       pages_text(pages_of(&tr->written), pages, sizeof(pages)),
		       (unsigned long long)tracked);
		if (skipped_text(skipped, why, sizeof(why))[0])
			printf("; not tracked: %s", why);
		putchar('\n');
	}
}

static int track_it(struct tool *t, struct tracked *tr,
		    struct ptf_session *session, struct ptf_target *target,
		    const struct ptf_track_options *o)
{
	struct ptf_vma_list *maps = NULL;
	bool runs = true;
	int ret = DONE, err;

	tr->tracks = calloc(tr->ranges.n, sizeof(*tr->tracks));
	if (!tr->tracks)
		return tool_fail(t, NULL, NULL, "out of memory");
	for (size_t i = 0; i < tr->ranges.n; i++)
		if (ptf_track_start(session, target, tr->ranges.v[i].start,
				    tr->ranges.v[i].end, o, &tr->tracks[i]))
			return tool_fail_ptf(t, NULL);
	ptf_vma_list_create(ptf_target_pid(target), &maps);
	if (t->cmd) {
		ret = run_command(t);
		runs = ptf_target_alive(target);
	} else {
		if (!t->json)
			tool_note(t, "tracking; Ctrl-C ends it");
		runs = stay(tr, target);
	}
	err = look(tr);
	if (err && err != -ESRCH) {
		tool_fail_ptf(t, NULL);
		ret = FAILED;
	} else {
		if (err)
			tool_note(t, "process %d has %s: what it wrote last was not seen",
				  (int)ptf_target_pid(target), runs ?
				  "executed another program" : "ended");
		show(t, tr, ptf_target_pid(target), err, maps);
	}
	ptf_vma_list_destroy(maps);
	return ret;
}

static bool method_of(const char *text, uint32_t *out)
{
	for (uint32_t i = PTF_TRACK_MODULE; i <= PTF_TRACK_SOFT_DIRTY; i++)
		if (!strcmp(ptf_track_method_name(i), text)) {
			*out = i;
			return true;
		}
	return false;
}

static int run(struct tool *t)
{
	struct ptf_track_options o = { .size = sizeof(o) };
	const char *method = tool_opt(t, "method");
	struct ptf_session *session;
	struct ptf_target *target;
	struct tracked tr = { .t = t };
	int ret;

	if (method && !method_of(method, &o.method))
		return tool_usage(t, "no method '%s': module, scan or soft-dirty",
				  method);
	ret = open_target(t, &session, &target);
	if (ret != DONE)
		return ret;
	for (int i = 0; ret == DONE && i < t->argc; i++)
		ret = arg_ranges(t, target, t->argv[i], &tr.ranges);
	if (ret == DONE && !t->argc) {
		ret = arg_everything(t, target, &tr.ranges);
		if (!tool_flag(t, "stack"))
			o.flags |= PTF_TRACK_F_NOSTACK;
	}
	if (ret == DONE)
		ret = track_it(t, &tr, session, target, &o);
	for (size_t i = 0; tr.tracks && i < tr.ranges.n; i++)
		ptf_track_stop(tr.tracks[i]);
	free(tr.tracks);
	free(tr.ranges.v);
	free(tr.written.v);
	ptf_target_close(target);
	ptf_session_close(session);
	return ret;
}

static const struct verb track = {
	.name = "track",
	.args = "[RANGE...] [-- CMD]",
	.what = "pages that a process writes",
	.more = "From now on until CMD ends, or without one until a signal comes or the process\n"
		"ends; then a row for each run of pages that were written. Without a RANGE all\n"
		"that it has mapped but its stacks.\n"
		"\n"
		"  ptefault track -p 1234 -- sleep 10\n"
		"  ptefault track -p 1234 [heap]\n",
	.opts = opts,
	.order = 45,
	.cmd = true,
	.run = run,
};

PTEFAULT_VERB(track)
