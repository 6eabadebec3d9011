// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Events out of the session's queue, and the answers to held faults.
 */
#include <limits.h>
#include <poll.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <ptefault/event.h>
#include <ptefault/row.h>
#include <ptefault/rule.h>

#include "session.h"

/* A record of the first version; none is shorter. */
#define EVENT_BYTES_MIN	88

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/*
 * Up to @nr records without waiting: their number, 0 if there is none, or a
 * negative errno. A record of a newer module may be longer than ours: so the
 * buffer has room for @nr of the shortest, and if not even one fits it is
 * made twice as large until one does, which then is only one.
 */
static ssize_t read_now(const struct ptf_session *session,
			struct ptf_event *events, size_t nr)
{
	struct pollfd p = { .fd = session->fd, .events = POLLIN };
	char buf[16384] __attribute__((aligned(8)));
	size_t room, at = 0, i = 0;
	uint32_t size;
	ssize_t n;

	if (session->blocking) {
		n = poll(&p, 1, 0);
		if (n <= 0)
			return n ? -errno : 0;
	}
	room = ptf_min_size(nr, sizeof(buf) / EVENT_BYTES_MIN) * EVENT_BYTES_MIN;
	for (;;) {
		n = read(session->fd, buf, room);
		if (n >= 0 || errno != EINVAL || room > sizeof(buf) / 2)
			break;
		room *= 2;
	}
	if (n < 0)
		return errno == EAGAIN ? 0 : -errno;
	while (at < (size_t)n) {
		if ((size_t)n - at < EVENT_BYTES_MIN)
			return -EIO;
		memcpy(&size, buf + at, sizeof(size));
		if (size < EVENT_BYTES_MIN || size % 8 || size > (size_t)n - at ||
		    i == nr)
			return -EIO;
		memset(&events[i], 0, sizeof(*events));
		memcpy(&events[i], buf + at,
		       ptf_min_size(size, sizeof(*events)));
		events[i].size = sizeof(*events);
		at += size;
		i++;
	}
	return (ssize_t)i;
}

static int read_fail(const char *op, int err)
{
	ptf_fail(err, PTF_LAYER_MODULE, op, NULL, 0, 0,
		 err == EIO ? "what was read is no event" : NULL);
	if (err == EINVAL)
		ptf_fail_way("the module has no events: load a newer one");
	return -err;
}

ssize_t ptf_event_read(const struct ptf_session *session,
		       struct ptf_event *events, size_t nr, int timeout_ms)
{
	struct pollfd p = { .fd = session->fd, .events = POLLIN };
	int64_t left, end = timeout_ms > 0 ? now_ms() + timeout_ms : 0;
	size_t done = 0;
	ssize_t n;

	if (!nr)
		return ptf_fail(EINVAL, PTF_LAYER_ARGUMENT, __func__, NULL, 0,
				0, "no room for an event");
	for (;;) {
		n = read_now(session, events + done, nr - done);
		if (n < 0)
			/* What was read is the caller's first. */
			return done ? (ssize_t)done :
				      read_fail(__func__, (int)-n);
		done += (size_t)n;
		if (done == nr || (done && !n) || !timeout_ms)
			return (ssize_t)done;
		if (n)
			continue;
		left = timeout_ms < 0 ? -1 : end - now_ms();
		if (timeout_ms > 0 && left <= 0)
			return 0;
		if (poll(&p, 1, (int)left) < 0)
			return read_fail(__func__, errno);
	}
}

const char *ptf_event_type_name(unsigned int type)
{
	static const char *const names[] = {
		[PTF_EVENT_HIT] = "hit",
		[PTF_EVENT_HELD] = "held",
		[PTF_EVENT_GONE] = "gone",
	};

	return type < PTF_ARRAY_SIZE(names) && names[type] ? names[type] : "?";
}

size_t ptf_event_text(const struct ptf_event *e, char *buf, size_t len)
{
	size_t at = 0;

	if (len)
		buf[0] = 0;
#define ADD(...) do {							\
	int n_ = snprintf(at < len ? buf + at : NULL,			\
			  at < len ? len - at : 0, __VA_ARGS__);	\
	at += n_ > 0 ? (size_t)n_ : 0;					\
} while (0)
	ADD("%llu %s:", (unsigned long long)e->seq,
	    ptf_event_type_name(e->type));
	if (e->type == PTF_EVENT_GONE) {
		ADD(" target %u", e->target);
		return at;
	}
	ADD(" %d/%d %s 0x%llx from %s at 0x%llx, %s, rule %llu: %s", e->pid,
	    e->tid, ptf_access_name(e->access), (unsigned long long)e->addr,
	    ptf_origin_name(e->origin), (unsigned long long)e->ip,
	    ptf_state_name(e->state), (unsigned long long)e->rule,
	    ptf_action_name(e->action));
	if (e->answer)
		ADD(" (%s)", ptf_faulted_name(e->answer));
	if (e->held)
		ADD(", waits as %llu", (unsigned long long)e->held);
#undef ADD
	return at;
}

/* ------------------------------------------------------------------ */
/* Held faults                                                         */

static int held_fail(const char *op, int err, uint64_t held, size_t bytes)
{
	switch (err) {
	case ENOENT:
		ptf_fail(err, PTF_LAYER_PROCESS, op, NULL, 0, 0,
			 "nobody waits as %llu", (unsigned long long)held);
		ptf_fail_way("it was answered already, or its thread was killed");
		break;
	case EACCES:
		ptf_fail(err, PTF_LAYER_VMA, op, NULL, bytes, 0,
			 "a shared page that its mapping may not write");
		ptf_fail_way("let the thread go on, or write the file instead");
		break;
	default:
		ptf_fail(err, ptf_errno_layer(err), op, NULL, bytes, 0,
			 "held fault %llu", (unsigned long long)held);
	}
	return -err;
}

static int answer(const struct ptf_session *session, uint64_t held,
		  const struct ptf_answer *a, const char *op)
{
	struct ptf_ioc_held_answer arg = { .size = sizeof(arg) };
	int err;

	arg.held = held;
	arg.action = a->action;
	arg.content_bytes = a->content_bytes;
	if (a->content_bytes)
		arg.content = (uintptr_t)a->content;
	err = ptf_ioctl(session, PTF_IOC_HELD_ANSWER, &arg);
	return err ? held_fail(op, -err, held, a->content_bytes) : 0;
}

int ptf_held_answer(const struct ptf_session *session, uint64_t held,
		    unsigned int action)
{
	struct ptf_answer a = { .action = action };

	return answer(session, held, &a, __func__);
}

int ptf_held_answer_content(const struct ptf_session *session, uint64_t held,
			    const void *content, size_t bytes)
{
	struct ptf_answer a = { .action = PTF_ACT_GO, .content = content };

	if (!content || !bytes || bytes > ptf_page_bytes())
		return ptf_fail(EINVAL, PTF_LAYER_ARGUMENT, __func__, NULL,
				bytes, 0, "content is 1 to %zu bytes",
				ptf_page_bytes());
	a.content_bytes = (uint32_t)bytes;
	return answer(session, held, &a, __func__);
}

/* One event through the handler. */
static int handle(const struct ptf_session *session,
		  const struct ptf_event *event, ptf_handler_fn fn, void *arg,
		  const char *op)
{
	struct ptf_answer a = { .action = PTF_ACT_GO };
	int ret = fn(event, &a, arg), err;

	if (event->type != PTF_EVENT_HELD)
		return ret;
	err = answer(session, event->held, &a, op);
	/* Killed while the handler thought: nobody is left waiting. */
	return err && err != -ENOENT ? err : ret;
}

/*
 * What is queued by now; more may come meanwhile, and for ever. Who waits is
 * counted apart, whether told of or not.
 */
static int handle_queued(const struct ptf_session *session, ptf_handler_fn fn,
			 void *arg, const char *op)
{
	struct ptf_ioc_session_stat stat;
	struct ptf_event event;
	uint64_t n;
	ssize_t got;
	int ret = ptf_fail_op(op, ptf_session_stat(session, &stat));

	for (n = 0; !ret && n < stat.out_events_queued + stat.out_held; n++) {
		got = read_now(session, &event, 1);
		if (got < 0)
			return read_fail(op, (int)-got);
		if (!got)
			break;
		ret = handle(session, &event, fn, arg, op);
	}
	return ret;
}

int ptf_handler_run(const struct ptf_session *session, ptf_handler_fn fn,
		    void *arg, int stop_fd)
{
	struct pollfd p[2] = {
		{ .fd = session->fd, .events = POLLIN },
		{ .fd = stop_fd, .events = POLLIN },
	};
	struct ptf_event event;
	ssize_t n;
	int ret;

	for (;;) {
		if (poll(p, 2, -1) < 0) {
			if (errno == EINTR)
				continue;
			return read_fail(__func__, errno);
		}
		if (p[1].revents)
			return handle_queued(session, fn, arg, __func__);
		/*
		 * One at a time: whoever is held by the next one must still
		 * stand in the queue when the handler ends the loop.
		 */
		n = read_now(session, &event, 1);
		if (n == -EINTR)
			continue;
		if (n < 0)
			return read_fail(__func__, (int)-n);
		ret = n ? handle(session, &event, fn, arg, __func__) : 0;
		if (ret)
			return ret;
	}
}
