// SPDX-License-Identifier: GPL-2.0-only
/*
 * Events of our own session, and events for programs.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "rules.h"

#define AT_ONCE 64

int need_rules(struct tool *t, struct ptf_session *session)
{
	if (ptf_session_features(session)->out_features & PTF_FEATURE_RULE)
		return DONE;
	return tool_fail(t, "/dev/ptefault", "ptefault stat lists what there is",
			 "this module has no rules on this kernel");
}

struct json_object *event_json(const struct ptf_event *e)
{
	struct json_object *o = json_object_new_object();

	jadd(o, "type", jstr(ptf_event_type_name(e->type)));
	jadd(o, "seq", json_u64(e->seq));
	jadd(o, "time_ns", json_u64(e->time_ns));
	jadd(o, "pid", json_object_new_int(e->pid));
	jadd(o, "tid", json_object_new_int(e->tid));
	jadd(o, "target", json_u64(e->target));
	if (e->type == PTF_EVENT_GONE)
		return o;
	jadd(o, "addr", json_hex(e->addr));
	jadd(o, "ip", json_hex(e->ip));
	jadd(o, "access", jstr(ptf_access_name(e->access)));
	jadd(o, "origin", jstr(ptf_origin_name(e->origin)));
	jadd(o, "rule", json_u64(e->rule));
	jadd(o, "action", jstr(ptf_action_name(e->action)));
	jadd(o, "pte", json_hex(e->pte));
	jadd(o, "state", jstr(ptf_state_name(e->state)));
	jadd(o, "answer", e->answer ? jstr(ptf_faulted_name(e->answer)) : NULL);
	if (e->held)
		jadd(o, "held", json_u64(e->held));
	return o;
}

static void note_held(struct events *ev, const struct ptf_event *e)
{
	uint64_t *v = reallocarray(ev->held, ev->nr_held + 1, sizeof(*v));

	if (!v) {
		/* Nobody would remember to let it go. */
		ptf_held_answer(ev->session, e->held, PTF_ACT_GO);
		return;
	}
	ev->held = v;
	ev->held[ev->nr_held++] = e->held;
	tool_note(ev->t, "thread %d waits at 0x%llx (%s); SIGUSR1 to %d lets it go on",
		  e->tid, (unsigned long long)e->addr,
		  ptf_access_name(e->access), (int)getpid());
}

bool events_drain(struct events *ev)
{
	struct ptf_event e[AT_ONCE];
	ssize_t n;

	while ((n = ptf_event_read(ev->session, e, AT_ONCE, 0)) > 0) {
		ev->read += n;
		for (ssize_t i = 0; i < n; i++) {
			if (e[i].type == PTF_EVENT_HELD)
				note_held(ev, &e[i]);
			if (e[i].type == PTF_EVENT_GONE)
				ev->gone = true;
			if (ev->each)
				ev->each(&e[i], ev->arg);
		}
	}
	return n >= 0 || n == -EINTR;
}

void events_let_go(struct events *ev)
{
	for (size_t i = 0; i < ev->nr_held; i++)
		ptf_held_answer(ev->session, ev->held[i], PTF_ACT_GO);
	ev->nr_held = 0;
}

void events_free(struct events *ev)
{
	free(ev->held);
	ev->held = NULL;
	ev->nr_held = 0;
}
