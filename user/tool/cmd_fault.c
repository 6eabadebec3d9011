// SPDX-License-Identifier: GPL-2.0-only
/*
 * ptefault fault: drive the fault handler without touching the pages.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tool.h"

static const struct tool_opt opts[] = {
	{ "pid", "PID", "the process", 'p' },
	{ "write", NULL, "as a write", 'w' },
	{ "exec", NULL, "as an instruction fetch", 'x' },
	{ "kernel", NULL, "as an access by the kernel, not the program", 0 },
	{ "stop", NULL, "stop at the first page that fails", 0 },
	{ "pages", NULL, "a row for each page, no runs", 0 },
	{ 0 }
};

static const char *why(unsigned int result)
{
	switch (result) {
	case PTF_FAULTED_MINOR:
		return "mapped without reading from disk or swap";
	case PTF_FAULTED_MAJOR:
		return "mapped after reading from disk or swap";
	case PTF_FAULTED_RETRY:
		return "the handler kept asking for another try";
	case PTF_FAULTED_SIGBUS:
		return "the program would get SIGBUS";
	case PTF_FAULTED_SIGSEGV:
		return "the program would get SIGSEGV";
	case PTF_FAULTED_HWPOISON:
		return "the page is poisoned";
	case PTF_FAULTED_OOM:
		return "no memory for it";
	case PTF_FAULTED_HOLE:
		return "nothing is mapped there";
	case PTF_FAULTED_ACCESS:
		return "the mapping forbids this access";
	default:
		return "";
	}
}

struct sum {
	uint64_t minor;
	uint64_t major;
	uint64_t failed;
};

/* Pages of one range that answered the same, one row. */
static void rows(struct tool *t, const struct range *r, uint64_t next,
		 const uint8_t *results, struct json_object *array)
{
	uint64_t page = getpagesize(), n = (next - r->start) / page, from, i;
	bool each = tool_flag(t, "pages");

	for (from = 0, i = 1; from < n; i++) {
		if (i < n && !each && results[i] == results[from])
			continue;
		if (t->json) {
			struct json_object *o = json_object_new_object();

			jadd(o, "va", json_hex(r->start + from * page));
			jadd(o, "pages", json_u64(i - from));
			jadd(o, "result", jstr(ptf_faulted_name(results[from])));
			json_object_array_add(array, o);
		} else {
			printf("VA:0x%llx  %6llu page%s %-8s  %s\n",
			       (unsigned long long)(r->start + from * page),
			       (unsigned long long)(i - from),
			       i - from == 1 ? " " : "s",
			       ptf_faulted_name(results[from]),
			       why(results[from]));
		}
		from = i;
	}
}

static int fault_range(struct tool *t, struct ptf_session *session,
		       struct ptf_target *target, const struct range *r,
		       uint32_t access, uint32_t flags, struct sum *sum,
		       struct json_object *array)
{
	struct ptf_fault_result result = { .size = sizeof(result) };
	uint64_t n = (r->end - r->start) / getpagesize();
	char label[96];
	uint8_t *results;
	int err;

	snprintf(label, sizeof(label), "0x%llx-0x%llx",
		 (unsigned long long)r->start, (unsigned long long)r->end);
	results = calloc(n + 1, 1);
	if (!results)
		return tool_fail(t, label, "take a smaller range",
				 "out of memory");
	err = ptf_session_fault(session, target, r->start, r->end, access,
				flags, results, &result);
	if (err)
		tool_fail_ptf(t, label);
	else
		rows(t, r, result.next, results, array);
	free(results);
	sum->minor += result.minor;
	sum->major += result.major;
	sum->failed += result.failed;
	return err ? FAILED : DONE;
}

static int run(struct tool *t)
{
	struct json_object *array = NULL;
	uint32_t access = PTF_ACCESS_READ, flags = PTF_FAULT_F_USER;
	struct ranges ranges = { 0 };
	struct ptf_session *session;
	struct ptf_target *target;
	struct sum sum = { 0 };
	int ret;

	if (!t->argc)
		return tool_usage(t, "which range?");
	if (tool_flag(t, "write") && tool_flag(t, "exec"))
		return tool_usage(t, "--write or --exec, not both");
	if (tool_flag(t, "write"))
		access = PTF_ACCESS_WRITE;
	if (tool_flag(t, "exec"))
		access = PTF_ACCESS_EXEC;
	if (tool_flag(t, "kernel"))
		flags &= ~PTF_FAULT_F_USER;
	if (tool_flag(t, "stop"))
		flags |= PTF_FAULT_F_STOP;
	ret = open_target(t, &session, &target);
	if (ret != DONE)
		return ret;
	for (int i = 0; ret == DONE && i < t->argc; i++)
		ret = arg_ranges(t, target, t->argv[i], &ranges);
	if (t->json)
		array = json_object_new_array();
	for (size_t i = 0; ret == DONE && i < ranges.n; i++)
		ret = fault_range(t, session, target, &ranges.v[i], access,
				  flags, &sum, array);
	if (ret == DONE && t->json) {
		t->out = json_object_new_object();
		jadd(t->out, "version", json_object_new_int(1));
		jadd(t->out, "pid", json_object_new_int(ptf_target_pid(target)));
		jadd(t->out, "minor", json_u64(sum.minor));
		jadd(t->out, "major", json_u64(sum.major));
		jadd(t->out, "failed", json_u64(sum.failed));
		jadd(t->out, "rows", array);
		array = NULL;
	} else if (ret == DONE) {
		printf("%llu minor, %llu major, %llu failed\n",
		       (unsigned long long)sum.minor,
		       (unsigned long long)sum.major,
		       (unsigned long long)sum.failed);
	}
	/* Nothing at all faulted in: say so by the exit code too. */
	if (ret == DONE && sum.failed && !sum.minor && !sum.major)
		ret = FAILED;
	json_object_put(array);
	free(ranges.v);
	ptf_target_close(target);
	ptf_session_close(session);
	return ret;
}

static const struct verb fault = {
	.name = "fault",
	.args = "RANGE...",
	.what = "drive the fault handler for pages, and say how far it came",
	.opts = opts,
	.order = 40,
	.run = run,
};

PTEFAULT_VERB(fault)
