/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Events: the faults that rules took, and the answers to those that wait.
 *
 * The session's queue is bounded. What finds it full is counted in
 * ptf_ioc_session_stat.out_events_lost, so that read + queued + lost are all
 * there were; a fault that is held is never lost. To wait for several things at
 * once give ptf_session_fd() to poll(2) or epoll(7): it is readable when there
 * is an event.
 *
 * Threads: all calls may be made by several threads at once; each event is
 * read by one of them.
 */
#ifndef PTEFAULT_EVENT_H
#define PTEFAULT_EVENT_H

#include <ptefault/session.h>

PTF_BEGIN_DECLS

/**
 * @brief Read events.
 * @param events an array
 * @param nr its length, at least 1
 * @param timeout_ms wait so long for the first, -1: for ever, 0: not at all
 * @return events read, at most nr; 0 if none came in time; or a negative
 *	errno: -EINTR (a signal), -EINVAL, -EIO (not what an event looks like)
 */
PTF_API ssize_t ptf_event_read(const struct ptf_session *session,
			       struct ptf_event *events, size_t nr,
			       int timeout_ms);

/**
 * @brief The name of a PTF_EVENT_*, such as "held".
 *
 * The names of what else stands in an event: ptf_access_name(),
 * ptf_origin_name(), ptf_action_name() for its action, ptf_state_name() for the
 * entry before, ptf_faulted_name() for the answer.
 * @return a static string, "?" for an unknown one
 */
PTF_API const char *ptf_event_type_name(unsigned int type);

/**
 * @brief An event as one line for people, such as "12 hit: 4711/4712 write
 *	0x7f0010 from user at 0x401136, rule 3: sigbus".
 * @param buf where to; always ends with a NUL if len > 0
 * @param len its size in bytes
 * @return the length that the text has, as snprintf(3)
 */
PTF_API size_t ptf_event_text(const struct ptf_event *event, char *buf,
			      size_t len);

/**
 * @brief Let a held thread go on.
 * @param held from ptf_event.held
 * @param action PTF_ACT_GO, SIGBUS, SIGSEGV, HWPOISON, OOM or RETRY
 * @return 0, or -ENOENT (nobody waits under this number: it was answered, or
 *	the thread was killed), -EINVAL (no answer)
 */
PTF_API int ptf_held_answer(const struct ptf_session *session, uint64_t held,
			    unsigned int action);

/**
 * @brief Put content into the page that a held thread waits for, then let it
 *	go on. No other thread sees the content half done, but through accesses
 *	of the kernel. A page that is shared or copy-on-write is copied first, as
 *	by a write.
 * @param held from ptf_event.held
 * @param content goes to the beginning of the page
 * @param bytes 1 to a page; what is behind them in the page stays
 * @return 0, or -ENOENT (nobody waits), -EACCES (a shared page that the
 *	mapping may not write), -EFAULT (the page can't be had), -EBUSY (pinned),
 *	-EINVAL; after a failure but -ENOENT the thread waits on
 */
PTF_API int ptf_held_answer_content(const struct ptf_session *session,
				    uint64_t held, const void *content,
				    size_t bytes);

/**
 * struct ptf_answer - what a handler answers to a held fault
 * @action: as in ptf_held_answer(); PTF_ACT_GO (0) at first
 * @content_bytes: with PTF_ACT_GO: bytes of content, 0 to a page; 0 at first
 * @content: they; read when the handler has returned
 */
struct ptf_answer {
	uint32_t action;
	uint32_t content_bytes;
	const void *content;
};

/**
 * @brief A fault handler: called for each event of a session.
 * @param event what happened
 * @param answer for PTF_EVENT_HELD: to be filled in; left alone it lets the
 *	thread go on. Without meaning for other events
 * @param arg as given to ptf_handler_run()
 * @return 0 to go on; anything else ends the loop, once this event is answered
 */
typedef int (*ptf_handler_fn)(const struct ptf_event *event,
			      struct ptf_answer *answer, void *arg);

/**
 * @brief Read events and answer the held faults among them with what the
 *	handler says, until it or stop_fd ends it. Several threads may run it for
 *	one session.
 *
 * The handler must not touch pages that are held for the thread it runs in, or
 * it waits for itself: give the rule a tid, or run it in another process.
 * @param fn the handler
 * @param arg passed to fn
 * @param stop_fd ends the loop when it is readable: an eventfd(2), the
 *	ptf_target_pidfd() of the target; -1: none
 * @return 0 if stop_fd ended it, what fn answered if that was not 0, or a
 *	negative errno: that of an answer that could not be given (its thread
 *	waits on), or of reading. A thread that was killed meanwhile is no
 *	failure, nor is a signal
 */
PTF_API int ptf_handler_run(const struct ptf_session *session,
			    ptf_handler_fn fn, void *arg, int stop_fd);

PTF_END_DECLS

#endif
