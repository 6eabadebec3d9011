/* SPDX-License-Identifier: GPL-2.0-only */
/* Tracepoints: every event of every session. */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM ptefault

#if !defined(PTF_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define PTF_TRACE_H

#include <linux/tracepoint.h>
#include <linux/ptefault.h>

TRACE_EVENT(ptefault_event,
	TP_PROTO(u32 session, const struct ptf_event *ev),
	TP_ARGS(session, ev),
	TP_STRUCT__entry(
		__field(u64, seq)
		__field(u64, rule)
		__field(u64, held)
		__field(u64, addr)
		__field(u64, ip)
		__field(u32, session)
		__field(u32, type)
		__field(u32, target)
		__field(u8, access)
		__field(u8, origin)
		__field(u8, action)
		__field(u8, state)
		__field(u8, answer)
	),
	TP_fast_assign(
		__entry->seq = ev->seq;
		__entry->rule = ev->rule;
		__entry->held = ev->held;
		__entry->addr = ev->addr;
		__entry->ip = ev->ip;
		__entry->session = session;
		__entry->type = ev->type;
		__entry->target = ev->target;
		__entry->access = ev->access;
		__entry->origin = ev->origin;
		__entry->action = ev->action;
		__entry->state = ev->state;
		__entry->answer = ev->answer;
	),
	TP_printk("session=%u type=%s seq=%llu rule=%llu held=%llu target=%u addr=0x%llx ip=0x%llx access=%s origin=%s action=%s state=%u answer=%s",
		  __entry->session,
		  __print_symbolic(__entry->type, { PTF_EVENT_HIT, "hit" },
				   { PTF_EVENT_HELD, "held" }, { PTF_EVENT_GONE, "gone" }),
		  __entry->seq, __entry->rule, __entry->held, __entry->target,
		  __entry->addr, __entry->ip,
		  __print_symbolic(__entry->access, { PTF_ACCESS_READ, "read" },
				   { PTF_ACCESS_WRITE, "write" }, { PTF_ACCESS_EXEC, "exec" }),
		  __print_symbolic(__entry->origin, { PTF_ORIGIN_USER, "user" },
				   { PTF_ORIGIN_KERNEL, "kernel" }, { PTF_ORIGIN_GUP, "gup" }),
		  __print_symbolic(__entry->action, { PTF_ACT_COUNT, "count" },
				   { PTF_ACT_NOTIFY, "notify" }, { PTF_ACT_DELAY, "delay" },
				   { PTF_ACT_SIGBUS, "sigbus" }, { PTF_ACT_SIGSEGV, "sigsegv" },
				   { PTF_ACT_HWPOISON, "hwpoison" }, { PTF_ACT_RETRY, "retry" },
				   { PTF_ACT_OOM, "oom" }, { PTF_ACT_HOLD, "hold" },
				   { PTF_ACT_HANDLER, "handler" }),
		  __entry->state,
		  __print_symbolic(__entry->answer, { 0, "-" },
				   { PTF_FAULTED_MINOR, "minor" }, { PTF_FAULTED_MAJOR, "major" },
				   { PTF_FAULTED_RETRY, "retry" }, { PTF_FAULTED_SIGBUS, "sigbus" },
				   { PTF_FAULTED_SIGSEGV, "sigsegv" },
				   { PTF_FAULTED_HWPOISON, "hwpoison" }, { PTF_FAULTED_OOM, "oom" },
				   { PTF_FAULTED_OTHER, "other" }))
);

#endif /* PTF_TRACE_H */

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
