// SPDX-License-Identifier: GPL-2.0-only
/*
 * ptefault monitor: events as they come, of all sessions, by generic netlink.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <netlink/genl/ctrl.h>
#include <netlink/genl/genl.h>
#include <linux/netlink.h>
#include <netlink/netlink.h>

#include "rules.h"

/* Room for bursts: what does not fit is lost to us. */
#define QUEUE_BYTES (4 << 20)

static const struct tool_opt opts[] = {
	{ "pid", "PID", "only of this process", 'p' },
	{ "count", "N", "end after N events", 0 },
	{ 0 }
};

struct monitor {
	struct tool *t;
	pid_t pid;		/* 0: all */
	uint64_t end;		/* 0: none */
	uint64_t shown;
	uint64_t missed;	/* times that our own queue ran over */
	bool silent;		/* stdout is closed */
	/* what each session had lost when we last heard of it */
	struct lost {
		uint32_t session;
		uint64_t lost;
	} *lost;
	size_t nr_lost;
	/* rules on ranges, of our own session */
	struct ptf_session *session;
	struct ptf_target *target;
};

static struct nla_policy policy[PTF_GENL_A_LAST + 1] = {
	[PTF_GENL_A_SESSION] = { .type = NLA_U32 },
	[PTF_GENL_A_LOST] = { .type = NLA_U64 },
	[PTF_GENL_A_TYPE] = { .type = NLA_U32 },
	[PTF_GENL_A_SEQ] = { .type = NLA_U64 },
	[PTF_GENL_A_TIME_NS] = { .type = NLA_U64 },
	[PTF_GENL_A_RULE] = { .type = NLA_U64 },
	[PTF_GENL_A_HELD] = { .type = NLA_U64 },
	[PTF_GENL_A_ADDR] = { .type = NLA_U64 },
	[PTF_GENL_A_IP] = { .type = NLA_U64 },
	[PTF_GENL_A_PTE] = { .type = NLA_U64 },
	[PTF_GENL_A_PID] = { .type = NLA_U32 },
	[PTF_GENL_A_TID] = { .type = NLA_U32 },
	[PTF_GENL_A_TARGET] = { .type = NLA_U32 },
	[PTF_GENL_A_ACCESS] = { .type = NLA_U8 },
	[PTF_GENL_A_ORIGIN] = { .type = NLA_U8 },
	[PTF_GENL_A_ACTION] = { .type = NLA_U8 },
	[PTF_GENL_A_STATE] = { .type = NLA_U8 },
	[PTF_GENL_A_ANSWER] = { .type = NLA_U8 },
};

static uint64_t get64(struct nlattr **a, int i)
{
	return a[i] ? nla_get_u64(a[i]) : 0;
}

static uint32_t get32(struct nlattr **a, int i)
{
	return a[i] ? nla_get_u32(a[i]) : 0;
}

static uint8_t get8(struct nlattr **a, int i)
{
	return a[i] ? nla_get_u8(a[i]) : 0;
}

static void put(struct monitor *m, struct json_object *o, const char *text)
{
	if (o)
		text = json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN |
						      JSON_C_TO_STRING_NOSLASHESCAPE);
	/* A reader down the pipe wants each now. */
	if (puts(text) < 0 || fflush(stdout))
		m->silent = true;
	json_object_put(o);
}

/* Says so if the kernel had no room for some of a session's messages. */
static void note_lost(struct monitor *m, uint32_t session, uint64_t lost)
{
	struct lost *v;
	uint64_t more;
	size_t i;

	for (i = 0; i < m->nr_lost && m->lost[i].session != session; i++)
		;
	if (i == m->nr_lost) {
		v = reallocarray(m->lost, i + 1, sizeof(*v));
		if (!v)
			return;
		m->lost = v;
		m->lost[m->nr_lost++] = (struct lost){ session, lost };
		return;
	}
	more = lost - m->lost[i].lost;
	m->lost[i].lost = lost;
	if (more)
		tool_note(m->t, "%llu events of session %u were lost",
			  (unsigned long long)more, session);
}

static int on_message(struct nl_msg *msg, void *arg)
{
	struct nlattr *a[PTF_GENL_A_LAST + 1];
	struct monitor *m = arg;
	struct json_object *o = NULL;
	struct ptf_event e;
	char text[512];
	uint32_t session;
	int n;

	if (genlmsg_parse(nlmsg_hdr(msg), 0, a, PTF_GENL_A_LAST, policy) < 0 ||
	    !a[PTF_GENL_A_TYPE])
		return NL_SKIP;
	session = get32(a, PTF_GENL_A_SESSION);
	note_lost(m, session, get64(a, PTF_GENL_A_LOST));
	e = (struct ptf_event){
		.size = sizeof(e),
		.type = get32(a, PTF_GENL_A_TYPE),
		.seq = get64(a, PTF_GENL_A_SEQ),
		.time_ns = get64(a, PTF_GENL_A_TIME_NS),
		.rule = get64(a, PTF_GENL_A_RULE),
		.held = get64(a, PTF_GENL_A_HELD),
		.addr = get64(a, PTF_GENL_A_ADDR),
		.ip = get64(a, PTF_GENL_A_IP),
		.pte = get64(a, PTF_GENL_A_PTE),
		.pid = get32(a, PTF_GENL_A_PID),
		.tid = get32(a, PTF_GENL_A_TID),
		.target = get32(a, PTF_GENL_A_TARGET),
		.access = get8(a, PTF_GENL_A_ACCESS),
		.origin = get8(a, PTF_GENL_A_ORIGIN),
		.action = get8(a, PTF_GENL_A_ACTION),
		.state = get8(a, PTF_GENL_A_STATE),
		.answer = get8(a, PTF_GENL_A_ANSWER),
	};
	if (m->pid && e.pid != m->pid)
		return NL_OK;
	if (m->end && m->shown >= m->end)
		return NL_OK;
	m->shown++;
	if (m->t->json) {
		o = event_json(&e);
		jadd(o, "session", json_u64(session));
	} else {
		n = snprintf(text, sizeof(text), "session %u: ", session);
		ptf_event_text(&e, text + n, sizeof(text) - n);
	}
	put(m, o, text);
	return NL_OK;
}

/* Multicast messages have no sequence of ours. */
static int no_sequence(struct nl_msg *msg, void *arg)
{
	(void)msg;
	(void)arg;
	return NL_OK;
}

static int listen_to(struct tool *t, struct monitor *m, struct nl_sock **out)
{
	struct nl_sock *sk = nl_socket_alloc();
	int group, err;

	*out = NULL;
	if (!sk)
		return tool_fail(t, NULL, NULL, "out of memory");
	nl_socket_disable_seq_check(sk);
	nl_socket_modify_cb(sk, NL_CB_SEQ_CHECK, NL_CB_CUSTOM, no_sequence,
			    NULL);
	nl_socket_modify_cb(sk, NL_CB_VALID, NL_CB_CUSTOM, on_message, m);
	err = genl_connect(sk);
	if (!err) {
		group = genl_ctrl_resolve_grp(sk, PTF_GENL_NAME,
					      PTF_GENL_MCGRP_EVENTS);
		err = group < 0 ? group : nl_socket_add_membership(sk, group);
	}
	if (!err)
		err = nl_socket_set_nonblocking(sk);
	if (err) {
		nl_socket_free(sk);
		return tool_fail(t, "generic netlink", "load the module; listen in the initial network namespace, as root",
				 "%s", nl_geterror(err));
	}
	/* More than the limit is root's to ask for. */
	if (setsockopt(nl_socket_get_fd(sk), SOL_SOCKET, SO_RCVBUFFORCE,
		       &(int){ QUEUE_BYTES }, sizeof(int)))
		nl_socket_set_buffer_size(sk, QUEUE_BYTES, 0);
	/* Have what we are too slow for counted; where it can't be, so be it. */
	(void)!setsockopt(nl_socket_get_fd(sk), SOL_NETLINK,
			  NETLINK_BROADCAST_ERROR, &(int){ 1 }, sizeof(int));
	*out = sk;
	return DONE;
}

/* monitor -p PID RANGE...: its events are made by rules of our own. */
static int add_rules(struct tool *t, struct monitor *m)
{
	struct rules rules = { 0 };
	struct specs specs = { 0 };
	struct spec *s;
	int ret;

	ret = open_target(t, &m->session, &m->target);
	if (ret == DONE)
		ret = need_rules(t, m->session);
	for (int i = 0; ret == DONE && i < t->argc; i++) {
		s = spec_new(&specs);
		if (!s)
			ret = tool_fail(t, NULL, NULL, "out of memory");
		else
			s->range = strdup(t->argv[i]);
		if (s)
			s->rule.action = PTF_ACT_NOTIFY;
	}
	if (ret == DONE)
		ret = specs_place(t, m->session, m->target, &specs, &rules);
	if (ret == DONE && ptf_rule_arm(m->session, NULL))
		ret = tool_fail_ptf(t, NULL);
	free(rules.v);
	specs_free(&specs);
	return ret;
}

/* Of a process that has ended nothing will ever come. */
static int is_there(struct tool *t, pid_t pid)
{
	int fd = syscall(SYS_pidfd_open, pid, 0);
	char text[32];

	if (fd >= 0) {
		close(fd);
		return DONE;
	}
	snprintf(text, sizeof(text), "process %d", (int)pid);
	return tool_fail(t, text, errno == EINVAL ? "a thread is no process" :
			 NULL, "%s [%s]", strerror(errno),
			 strerrorname_np(errno));
}

static int follow(struct tool *t, struct monitor *m, struct nl_sock *sk,
		  int signals)
{
	struct pollfd p[3] = {
		{ .fd = signals, .events = POLLIN },
		{ .fd = nl_socket_get_fd(sk), .events = POLLIN },
		{ .fd = m->target ? ptf_target_pidfd(m->target) : -1,
		  .events = POLLIN },
	};
	bool last = false;
	int err;

	while (!m->silent && !(m->end && m->shown >= m->end)) {
		if (poll(p, 3, last ? 0 : -1) < 0) {
			if (errno == EINTR)
				continue;
			return tool_fail(t, "poll", NULL, "%s",
					 strerror(errno));
		}
		/* What is there when the end comes is still shown. */
		if (last && !p[1].revents)
			break;
		if (p[0].revents || p[2].revents)
			last = true;
		if (!p[1].revents)
			continue;
		err = nl_recvmsgs_default(sk);
		if (err == -NLE_NOMEM) {
			m->missed++;
			tool_note(t, "events came faster than they could be shown: some are lost");
		} else if (err < 0 && err != -NLE_AGAIN) {
			return tool_fail(t, "generic netlink", NULL, "%s",
					 nl_geterror(err));
		}
	}
	return DONE;
}

static int run(struct tool *t)
{
	struct monitor m = { .t = t };
	struct nl_sock *sk = NULL;
	const char *text = tool_opt(t, "count");
	int ret = DONE, signals = -1;
	sigset_t set;

	if (t->argc && !tool_flag(t, "pid"))
		return tool_usage(t, "a range of which process? (-p PID)");
	if (text && (!arg_number(text, false, &m.end) || !m.end))
		return tool_usage(t, "--count '%s' is no number", text);
	if (tool_flag(t, "pid"))
		ret = arg_pid(t, &m.pid);
	if (ret == DONE && m.pid)
		ret = is_there(t, m.pid);
	if (ret != DONE)
		return ret;
	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	signals = signalfd(-1, &set, SFD_CLOEXEC);
	if (signals < 0)
		return tool_fail(t, "signalfd", NULL, "%s", strerror(errno));
	ret = listen_to(t, &m, &sk);
	if (ret == DONE && t->argc)
		ret = add_rules(t, &m);
	if (ret == DONE)
		ret = follow(t, &m, sk, signals);
	close(signals);
	if (m.session) {
		ptf_rule_delete_all(m.session);
		ptf_target_close(m.target);
		ptf_session_close(m.session);
	}
	free(m.lost);
	nl_socket_free(sk);
	return ret;
}

static const struct verb monitor = {
	.name = "monitor",
	.args = "[RANGE...]",
	.what = "events of all sessions as they come",
	.more = "A line for each fault that a rule took, until a signal comes; with --json one\n"
		"object a line. With -p only those of one process. With RANGEs of it the command\n"
		"adds a rule of its own, that notifies, to each, and ends with the process.\n"
		"\n"
		"  ptefault monitor -p 1234 [heap]\n",
	.opts = opts,
	.order = 70,
	.run = run,
};

PTEFAULT_VERB(monitor)
