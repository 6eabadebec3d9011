/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Rules: which faults of a session's targets answer what, when, and to whom.
 *
 * A session begins disarmed: rules may be added at leisure and then armed all
 * at once, by a call or, from the target itself, by one store. Of all rules
 * that match a fault the one with the lowest order is taken; of equal ones the
 * older. Who is told is in event.h.
 *
 * Threads: all calls may be made by several threads at once.
 */
#ifndef PTEFAULT_RULE_H
#define PTEFAULT_RULE_H

#include <ptefault/target.h>

PTF_BEGIN_DECLS

/**
 * struct ptf_rule_options - a rule as it is asked for
 * @size: sizeof(struct ptf_rule_options)
 * @flags: PTF_RULE_F_*
 * @target: whose pages; NULL: the address space that opened the session
 * @start: first address, page-aligned
 * @end: first address behind, page-aligned
 * @access: PTF_ACCESS_* bits; 0: any
 * @origin: PTF_ORIGIN_* bits; 0: any
 * @tid: only this thread; 0: any
 * @action: PTF_ACT_COUNT to PTF_ACT_HANDLER
 * @value: PTF_ACT_DELAY: nanoseconds; PTF_ACT_RETRY and PTF_ACT_OOM: how many
 *	times for one access (0 counts as 1); else 0
 * @handler: PTF_ACT_HANDLER: its name; else NULL
 * @after: let this many matching faults pass first
 * @interval: then take every one (0 or 1), or each @interval-th
 * @times: take this many, then none; 0: no end
 * @probability: take a fault with this probability, above 0 and up to 1; 0
 *	counts as 1. Kept in millionths
 * @seed: of @probability: the same seed finds the same for the n-th fault of
 *	a thread
 * @order: the lower is asked first
 * @reserved: 0
 */
struct ptf_rule_options {
	uint32_t size;
	uint32_t flags;
	const struct ptf_target *target;
	uint64_t start;
	uint64_t end;
	uint32_t access;
	uint32_t origin;
	int32_t tid;
	uint32_t action;
	uint64_t value;
	const char *handler;
	uint64_t after;
	uint64_t interval;
	uint64_t times;
	double probability;
	uint64_t seed;
	uint32_t order;
	uint32_t reserved;
};

/**
 * @brief Add a rule. If the session is armed, so is the rule from the return
 *	on: its present pages have been made to fault (but with
 *	PTF_RULE_F_PASSIVE).
 * @param rule what is to happen
 * @param id its number, for the calls below; may be NULL
 * @return 0, or -EINVAL (range, value, probability), -EOPNOTSUPP (a flag, or
 *	what this kernel can't), -ENOENT (no such handler), -ESRCH (no such
 *	thread, or the target is gone), -ENOSPC (too many rules), -EBUSY (another
 *	user of the kernel's fault handler: live patching), -ENOMEM
 */
PTF_API int ptf_rule_add(const struct ptf_session *session,
			 const struct ptf_rule_options *rule, uint64_t *id);

/**
 * @brief Add several rules, all or none.
 * @param rules an array; the size of the first holds for all and is the stride
 * @param nr its length
 * @param ids their numbers, nr of them; may be NULL
 * @return 0 or a negative errno as ptf_rule_add(); then none is left, and the
 *	failure detail has in done how many were fine
 */
PTF_API int ptf_rule_add_many(const struct ptf_session *session,
			      const struct ptf_rule_options *rules, size_t nr,
			      uint64_t *ids);

/**
 * @brief Replace a rule in one step; it counts from 0 again.
 * @param id of the rule
 * @param rule what is to happen now; the target must be the same
 * @return 0, or -ENOENT (no such rule), else as ptf_rule_add()
 */
PTF_API int ptf_rule_set(const struct ptf_session *session, uint64_t id,
			 const struct ptf_rule_options *rule);

/**
 * @brief Delete a rule. Who is held by it waits on for an answer.
 * @return 0 or -ENOENT
 */
PTF_API int ptf_rule_delete(const struct ptf_session *session, uint64_t id);

/**
 * @brief Delete all rules of the session.
 * @return 0 or a negative errno
 */
PTF_API int ptf_rule_delete_all(const struct ptf_session *session);

/**
 * @brief Called for each rule of a list.
 * @param rule with its counters, as in <linux/ptefault.h>
 * @param arg as given to ptf_rule_list()
 * @return 0 to go on; anything else ends the list, which returns it
 */
typedef int (*ptf_rule_fn)(const struct ptf_rule *rule, void *arg);

/**
 * @brief List the session's rules by their numbers.
 * @param fn called for each, NULL: only count
 * @param arg passed to fn
 * @return rules listed, what fn answered if that was not 0, or a negative
 *	errno
 */
PTF_API ssize_t ptf_rule_list(const struct ptf_session *session,
			      ptf_rule_fn fn, void *arg);

/**
 * @brief One rule with its counters.
 * @param out filled in
 * @return 0 or -ENOENT
 */
PTF_API int ptf_rule_get(const struct ptf_session *session, uint64_t id,
			 struct ptf_rule *out);

/**
 * @brief Arm all rules of the session at once. What is armed already has its
 *	pages made to fault again.
 * @param pages how many pages that were; may be NULL
 * @return 0, or -EBUSY (another user of the kernel's fault handler), -ESRCH
 */
PTF_API int ptf_rule_arm(const struct ptf_session *session, uint64_t *pages);

/**
 * @brief Disarm all rules of the session at once.
 * @return 0 or a negative errno
 */
PTF_API int ptf_rule_disarm(const struct ptf_session *session);

/**
 * struct ptf_switch - two pages that arm and disarm a session's rules
 * @arm: a store here arms
 * @disarm: a store here disarms
 * @pid: the process that has them mapped; a child does not inherit them
 * @reserved: 0
 */
struct ptf_switch {
	volatile unsigned char *arm;
	volatile unsigned char *disarm;
	pid_t pid;
	int32_t reserved;
};

/**
 * @brief Map the switch of a session, so that a program can arm the rules
 *	without a system call. The session may be one that was passed on: its
 *	rules may concern this process or another one.
 * @param out filled in
 * @return 0, or -ENOMEM, -EOPNOTSUPP (a module without rules)
 */
PTF_API int ptf_switch_map(const struct ptf_session *session,
			   struct ptf_switch *out);

/**
 * @brief Unmap the switch. The rules stay as they are.
 * @param sw may be NULL, or one that is unmapped already
 */
PTF_API void ptf_switch_unmap(struct ptf_switch *sw);

/** @brief Arm by one store: the rules hold when it returns. */
static inline void ptf_switch_arm(const struct ptf_switch *sw)
{
	/* What the program did before and does behind stays there. */
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	*sw->arm = 1;
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
}

/** @brief Disarm by one store: no rule holds when it returns. */
static inline void ptf_switch_disarm(const struct ptf_switch *sw)
{
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	*sw->disarm = 1;
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
}

/**
 * struct ptf_action - an action with what it needs
 * @action: PTF_ACT_*
 * @reserved: 0
 * @value: as ptf_rule.value
 * @handler: name, "" for all but PTF_ACT_HANDLER
 */
struct ptf_action {
	uint32_t action;
	uint32_t reserved;
	uint64_t value;
	char handler[PTF_HANDLER_NAME_LEN];
};

/**
 * @brief Understand an action: count, notify, delay=NS, sigbus, sigsegv,
 *	hwpoison, retry[=N], oom[=N], hold or handler=NAME, in any case. Numbers
 *	are decimal or 0x; those of delay may have the unit ns, us, ms or s.
 * @param text the action
 * @param out filled in
 * @return 0 or -EINVAL
 */
PTF_API int ptf_action_parse(const char *text, struct ptf_action *out);

/**
 * @brief The text of an action, as ptf_action_parse() takes it.
 * @param buf where to; always ends with a NUL if len > 0
 * @param len its size in bytes
 * @return the length that the text has, as snprintf(3)
 */
PTF_API size_t ptf_action_text(const struct ptf_action *action, char *buf,
			       size_t len);

/**
 * @brief The name of a PTF_ACT_*, such as "sigbus"; "go" for PTF_ACT_GO.
 * @return a static string, "?" for an unknown one
 */
PTF_API const char *ptf_action_name(unsigned int action);

/**
 * @brief Understand a set of accesses: r, w and x in any order, or "any".
 * @param text the accesses
 * @param out PTF_ACCESS_* bits
 * @return 0 or -EINVAL (an empty set too)
 */
PTF_API int ptf_access_parse(const char *text, uint32_t *out);

/**
 * @brief The text of a set of accesses, such as "rw".
 * @param access PTF_ACCESS_* bits
 * @return a static string
 */
PTF_API const char *ptf_access_text(uint32_t access);

/**
 * @brief The name of one access, such as "read".
 * @param access exactly one PTF_ACCESS_* bit
 * @return a static string, "?" for an unknown one
 */
PTF_API const char *ptf_access_name(unsigned int access);

/**
 * @brief Understand a set of origins, with commas between: user, kernel (copy
 *	and gup), copy (copy_to_user() and its like), gup (get_user_pages()),
 *	any.
 * @param text the origins
 * @param out PTF_ORIGIN_* bits
 * @return 0 or -EINVAL
 */
PTF_API int ptf_origin_parse(const char *text, uint32_t *out);

/**
 * @brief The text of a set of origins, as ptf_origin_parse() takes it.
 * @param origin PTF_ORIGIN_* bits
 * @return a static string
 */
PTF_API const char *ptf_origin_text(uint32_t origin);

/**
 * @brief The name of one origin: "user", "kernel" (PTF_ORIGIN_KERNEL alone) or
 *	"gup".
 * @param origin exactly one PTF_ORIGIN_* bit
 * @return a static string, "?" for an unknown one
 */
PTF_API const char *ptf_origin_name(unsigned int origin);

/**
 * @brief A rule as one line for people, such as "3: 0x7f0000-0x7f1000 delay=50
 *	on w from user times 2: matched 4, took 2".
 * @param buf where to; always ends with a NUL if len > 0
 * @param len its size in bytes
 * @return the length that the text has, as snprintf(3)
 */
PTF_API size_t ptf_rule_text(const struct ptf_rule *rule, char *buf,
			     size_t len);

PTF_END_DECLS

#endif
