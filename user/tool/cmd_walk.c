// SPDX-License-Identifier: GPL-2.0-only
/*
 * ptefault walk: every level of the page tables on the way to an address.
 */
#include <string.h>
#include <unistd.h>

#include "tool.h"

static const struct tool_opt opts[] = {
	{ "pid", "PID", "the process", 'p' },
	{ 0 }
};

static const char *level_words(const struct ptf_level *l, char *buf, size_t len)
{
	size_t at = 0;

	buf[0] = 0;
	for (unsigned int i = 0; i < 32; i++) {
		const char *name = ptf_level_flag_name(i);

		/* Where it leads says leaf and present by itself. */
		if (!(l->flags & 1U << i) || !name ||
		    (1U << i) & (PTF_LEVEL_LEAF | PTF_LEVEL_PRESENT))
			continue;
		at += snprintf(at < len ? buf + at : NULL,
			       at < len ? len - at : 0, "%s%s", at ? " " : "",
			       name);
	}
	return buf;
}

static void leads_to(const struct ptf_ioc_page_walk *w, unsigned int i,
		     char *buf, size_t len)
{
	const struct ptf_level *l = &w->level[i];
	static const char *const sizes[] = { "page", "2 MiB", "1 GiB" };
	bool last = i + 1 == w->out_nr;
	char text[160];

	if (l->flags & PTF_LEVEL_BAD) {
		snprintf(buf, len, "bad: the kernel would not follow it");
	} else if (!last) {
		if (l->pfn)
			snprintf(buf, len, "%s table at PA:0x%llx",
				 ptf_level_name(w->level[i + 1].level),
				 (unsigned long long)l->pfn * getpagesize());
		else
			snprintf(buf, len, "%s table at PA:hidden",
				 ptf_level_name(w->level[i + 1].level));
	} else if (l->state == PTF_STATE_NONE) {
		snprintf(buf, len, "nothing: the walk ends here");
	} else {
		ptf_row_pte_text(&w->out_row, text, sizeof(text));
		snprintf(buf, len, "%s%s%s", text,
			 l->level && l->level < ARRAY_SIZE(sizes) ? ", " : "",
			 l->level && l->level < ARRAY_SIZE(sizes) ?
			 sizes[l->level] : "");
	}
}

static void print_walk(const struct ptf_ioc_page_walk *w, pid_t pid)
{
	int width = 0;
	char text[200], words[200];

	printf("VA:0x%llx in process %d, %u levels of page tables\n\n",
	       (unsigned long long)w->addr, (int)pid, w->out_levels);
	for (unsigned int i = 0; i < w->out_nr; i++) {
		leads_to(w, i, text, sizeof(text));
		if ((int)strlen(text) > width)
			width = strlen(text);
	}
	for (unsigned int i = 0; i < w->out_nr; i++) {
		const struct ptf_level *l = &w->level[i];
		int indent = i ? 3 * (int)i - 2 : 0;
		int behind = 3 * (int)(w->out_levels - 1) - (i ? indent + 2 : 0);

		leads_to(w, i, text, sizeof(text));
		level_words(l, words, sizeof(words));
		printf("%*s%s%s[%3u]%*s 0x%016llx -> %-*s%s%s\n", indent, "",
		       i ? "`-" : "", ptf_level_name(l->level), l->index,
		       behind, "",
		       (unsigned long long)l->raw, words[0] ? width : 0, text,
		       words[0] ? "  " : "", words);
	}
	putchar('\n');
}

static struct json_object *json_level(const struct ptf_ioc_page_walk *w,
				      unsigned int i)
{
	const struct ptf_level *l = &w->level[i];
	struct json_object *o = json_object_new_object();

	jadd(o, "level", jstr(ptf_level_name(l->level)));
	jadd(o, "index", json_object_new_int(l->index));
	jadd(o, "raw", json_hex(l->raw));
	jadd(o, "state", jstr(ptf_state_name(l->state)));
	jadd(o, "flags", json_flags(l->flags, ptf_level_flag_name, NULL));
	/* Only a table or a mapped page is a frame. */
	jadd(o, "frame", l->pfn && (l->flags & PTF_LEVEL_PRESENT ||
				    l->state == PTF_STATE_HINT ||
				    l->state == PTF_STATE_PROTNONE ||
				    l->state == PTF_STATE_STASHED) ?
	     json_hex(l->pfn) : NULL);
	return o;
}

static int run(struct tool *t)
{
	struct ptf_ioc_page_walk w;
	struct ptf_report *report = NULL;
	struct ptf_session *session;
	struct ptf_target *target;
	uint64_t addr, page;
	int ret;

	if (t->argc != 1)
		return tool_usage(t, t->argc ? "one address at a time" :
					       "which address?");
	if (!arg_number(t->argv[0], false, &addr))
		return tool_usage(t, "'%s' is no address (decimal, or 0x..)",
				  t->argv[0]);
	ret = open_target(t, &session, &target);
	if (ret != DONE)
		return ret;
	if (ptf_session_walk(session, target, addr, &w)) {
		ret = tool_fail_ptf(t, NULL);
		goto out;
	}
	page = addr & ~((uint64_t)getpagesize() - 1);
	if (ptf_report_create(session, target, page, page + getpagesize(),
			      PTF_QUERY_F_HOLES | PTF_QUERY_F_PAGES,
			      &report) < 0) {
		ret = tool_fail_ptf(t, NULL);
		goto out;
	}
	if (t->json) {
		struct json_object *a = json_object_new_array();

		for (unsigned int i = 0; i < w.out_nr; i++)
			json_object_array_add(a, json_level(&w, i));
		t->out = json_object_new_object();
		jadd(t->out, "version", json_object_new_int(1));
		jadd(t->out, "pid", json_object_new_int(ptf_target_pid(target)));
		jadd(t->out, "va", json_hex(addr));
		jadd(t->out, "levels", json_object_new_int(w.out_levels));
		jadd(t->out, "walk", a);
		jadd(t->out, "page", report->nr_rows ?
		     json_row(report->rows,
			      ptf_report_vma(report, report->rows),
			      ptf_report_name(report, report->rows)) : NULL);
	} else {
		print_walk(&w, ptf_target_pid(target));
		print_report(report, false);
	}
	if (!ptf_session_features(session)->out_privileged)
		tool_note(t, "frame numbers are hidden without CAP_SYS_ADMIN");
out:
	ptf_report_free(report);
	ptf_target_close(target);
	ptf_session_close(session);
	return ret;
}

static const struct verb walk = {
	.name = "walk",
	.args = "ADDR",
	.what = "every level of the page tables down to an address",
	.more = "For each level: its entry's index, the entry as it stands in memory, where it\n"
		"leads, and its bits. Below them the page's row in the three layers.\n",
	.opts = opts,
	.order = 20,
	.run = run,
};

PTEFAULT_VERB(walk)
