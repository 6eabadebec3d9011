// SPDX-License-Identifier: GPL-2.0-only
/*
 * ptefault show: the three layers of a range.
 */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "tool.h"

static const struct tool_opt opts[] = {
	{ "pid", "PID", "the process", 'p' },
	{ "pages", NULL, "a row for each page, no runs", 0 },
	{ "mapped", NULL, "leave out where nothing is mapped or cached", 0 },
	{ "holes", NULL, "rows for holes too", 0 },
	{ "raw", NULL, "plain rows: VMA: .. -> .., one a line", 0 },
	{ 0 }
};

/* Show whole pages: any address in a page means the page. */
static void round_out(struct range *r)
{
	uint64_t mask = (uint64_t)getpagesize() - 1;

	r->start &= ~mask;
	if (r->end <= UINT64_MAX - mask)
		r->end = (r->end + mask) & ~mask;
}

static bool hides_frames(const struct ptf_session *session)
{
	return !ptf_session_features(session)->out_privileged;
}

/* Of what we ask only the address can be wrong. */
static int show_failed(struct tool *t, const struct range *r, int err)
{
	char text[24];

	if (err != -EINVAL)
		return tool_fail_ptf(t, NULL);
	snprintf(text, sizeof(text), "0x%llx", (unsigned long long)r->start);
	return tool_fail(t, text, "/proc/PID/maps lists what is",
			 "not a user address");
}

static int show_range(struct tool *t, struct ptf_session *session,
		      struct ptf_target *target, const struct range *r,
		      uint32_t flags, struct json_object *pages)
{
	struct ptf_report *report;
	ssize_t n;

	if (!t->json && tool_flag(t, "raw")) {
		n = ptf_session_dump(session, target, r->start, r->end, flags,
				     stdout);
		return n < 0 ? show_failed(t, r, n) : DONE;
	}
	n = ptf_report_create(session, target, r->start, r->end, flags,
			      &report);
	if (n < 0)
		return show_failed(t, r, n);
	if (!t->json)
		print_report(report, !(flags & PTF_QUERY_F_PAGES));
	for (size_t i = 0; t->json && i < report->nr_rows; i++) {
		const struct ptf_row *row = &report->rows[i];

		json_object_array_add(pages,
				      json_row(row, ptf_report_vma(report, row),
					       ptf_report_name(report, row)));
	}
	if (!n && !t->json && !(flags & PTF_QUERY_F_MAPPED))
		printf("VMA:     VA:0x%llx -> nothing\n",
		       (unsigned long long)r->start);
	ptf_report_free(report);
	return DONE;
}

static int run(struct tool *t)
{
	struct ranges ranges = { 0 };
	struct ptf_session *session;
	struct json_object *pages = NULL;
	struct ptf_target *target;
	uint32_t flags = 0;
	int ret;

	if (tool_flag(t, "pages"))
		flags |= PTF_QUERY_F_PAGES;
	if (tool_flag(t, "mapped"))
		flags |= PTF_QUERY_F_MAPPED;
	if (tool_flag(t, "holes"))
		flags |= PTF_QUERY_F_HOLES;
	ret = open_target(t, &session, &target);
	if (ret != DONE)
		return ret;
	if (!t->argc)
		ret = arg_everything(t, target, &ranges);
	for (int i = 0; ret == DONE && i < t->argc; i++)
		ret = arg_ranges(t, target, t->argv[i], &ranges);
	if (ret != DONE)
		goto out;
	/* A hole that was asked for by its address is an answer too. */
	if (t->argc && !(flags & PTF_QUERY_F_MAPPED))
		flags |= PTF_QUERY_F_HOLES;
	if (t->json)
		pages = json_object_new_array();
	for (size_t i = 0; ret == DONE && i < ranges.n; i++) {
		if (i && !t->json && !tool_flag(t, "raw"))
			putchar('\n');
		round_out(&ranges.v[i]);
		ret = show_range(t, session, target, &ranges.v[i], flags,
				 pages);
	}
	if (ret == DONE && t->json) {
		t->out = json_object_new_object();
		jadd(t->out, "version", json_object_new_int(1));
		jadd(t->out, "pid", json_object_new_int(ptf_target_pid(target)));
		jadd(t->out, "pages", pages);
		pages = NULL;
	}
	if (ret == DONE && hides_frames(session))
		tool_note(t, "frame numbers are hidden without CAP_SYS_ADMIN");
out:
	json_object_put(pages);
	free(ranges.v);
	ptf_target_close(target);
	ptf_session_close(session);
	return ret;
}

static const struct verb show = {
	.name = "show",
	.args = "[RANGE]...",
	.what = "the three layers of a range: VMA, filemap, page table",
	.more = "Runs of equal pages are one row. Frames count up along it unless it says\n"
		"`scattered frames`; --pages shows each, and so do the runs of --json and --raw.\n"
		"Without a RANGE everything that the process has mapped is shown.\n"
		"\n"
		"  ptefault show -p 1234 [heap]\n"
		"  ptefault show -p 1234 libc.so.6#2 --pages\n",
	.opts = opts,
	.order = 10,
	.run = run,
};

PTEFAULT_VERB(show)
