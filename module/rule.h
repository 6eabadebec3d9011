/* SPDX-License-Identifier: GPL-2.0-only */
/* Rules, marks, events, and what a fault becomes: see rule.c and action.c. */
#ifndef PTF_RULE_H
#define PTF_RULE_H

#include <linux/list.h>
#include <linux/refcount.h>
#include <linux/spinlock.h>
#include <linux/wait.h>
#include <linux/xarray.h>
#include "ptefault.h"
#include "ptefault_handler.h"
#include "span.h"

struct ptf_space;

/**
 * struct ptf_queue - what faulting threads know of a session
 * @refs: the session, each rule and mark, each thread that is held
 * @lock: everything below that is not said to be constant
 * @wait: readers
 * @ring: events, @size of them; NULL until the first rule
 * @size: constant once @ring is there
 * @head: first of them
 * @nr: how many
 * @seq: number of the last event
 * @lost: events that found the ring full
 * @hits: faults that rules took
 * @sticky_hits: faults on sticky pages
 * @held_new: threads that wait and whose event has not been read
 * @held_told: ... and has been
 * @nr_held: how many in both
 * @nr_new: how many in @held_new
 * @held_id: number of the last
 * @dead: the session is closed; nobody is held any more
 * @armed: rules match
 * @privileged: raw frame numbers may be shown (constant)
 * @session: number, for netlink (constant)
 * @ns: the opener's pid namespace (constant)
 *
 * It outlives the session as long as a fault is being answered, so that no
 * close ever waits for one.
 */
struct ptf_queue {
	refcount_t refs;
	spinlock_t lock;
	wait_queue_head_t wait;
	struct ptf_event *ring;
	u32 size;
	u32 head;
	u32 nr;
	u64 seq;
	u64 lost;
	u64 hits;
	atomic64_t sticky_hits;
	struct list_head held_new;
	struct list_head held_told;
	u32 nr_held;
	u32 nr_new;
	u64 held_id;
	bool dead;
	bool armed;
	bool privileged;
	u32 session;
	atomic64_t netlink_lost;
	struct pid_namespace *ns;
};

/**
 * struct ptf_rule_node - a rule
 * @span: in ptf_space.rules, if it is of more than one page
 * @single: else in ptf_space.singles
 * @r: as it was asked for, with its id; counters are below
 * @refs: the session's table, each fault that is being answered
 * @q: where its events go
 * @t: its target; only while it is in the session's table
 * @sp: its space, likewise
 * @thread: only this one, or NULL
 * @handler: PTF_ACT_HANDLER; holds a reference to its module
 * @threads: counters of each thread, by tid, where they matter
 * @nr_threads: how many
 * @matches: under ptf_space.rlock, as all counters
 * @hits: faults taken
 * @passed: of them, those that could not be served
 */
struct ptf_rule_node {
	struct ptf_span span;
	struct hlist_node single;
	struct ptf_rule r;
	refcount_t refs;
	struct ptf_queue *q;
	struct ptf_target *t;
	struct ptf_space *sp;
	struct pid *thread;
	const struct ptf_handler *handler;
	struct xarray threads;
	u32 nr_threads;
	u64 matches;
	u64 hits;
	atomic64_t passed;
};

#define PTF_MARK_STICKY	BIT(0)
#define PTF_MARK_POISON	BIT(1)

/* Pages that are to fault for ever: STICKY, POISON. In ptf_space.marks. */
struct ptf_mark {
	struct ptf_span span;
	struct ptf_target *t;
	struct ptf_queue *q;
	u32 kind;
};

/**
 * struct ptf_held - a thread that waits for an answer
 * @node: in ptf_queue.held_new or held_told
 * @refs: the thread, and who is answering
 * @q: whose
 * @mm: mmgrab()bed
 * @ev: its event; held is its number
 * @flags: of the fault
 * @told: its event has been read
 * @answered: @action is there
 * @action: PTF_ACT_*
 * @done: woken when @answered is set
 */
struct ptf_held {
	struct list_head node;
	refcount_t refs;
	struct ptf_queue *q;
	struct mm_struct *mm;
	struct ptf_event ev;
	unsigned int flags;
	bool told;
	bool answered;
	u32 action;
	wait_queue_head_t done;
};

/**
 * struct ptf_fault - a fault on its way through us
 * @sp: its space
 * @vma: NULL once the lock is given up
 * @address: as accessed
 * @flags: FAULT_FLAG_*
 * @regs: of the access, NULL if there is none
 * @rule: that took it, with a reference
 * @considered: rules have counted it: must not be counted again
 * @counted: its mark has counted it, likewise
 * @sticky: the page is to fault again
 * @gen: of the marks when that was found
 * @ev: filled in for @rule
 */
struct ptf_fault {
	struct ptf_space *sp;
	struct vm_area_struct *vma;
	unsigned long address;
	unsigned int flags;
	struct pt_regs *regs;
	struct ptf_rule_node *rule;
	bool considered;
	bool counted;
	bool sticky;
	unsigned long gen;
	struct ptf_event ev;
};

static inline u32 ptf_fault_access(unsigned int flags)
{
	if (flags & FAULT_FLAG_WRITE)
		return PTF_ACCESS_WRITE;
	return flags & FAULT_FLAG_INSTRUCTION ? PTF_ACCESS_EXEC : PTF_ACCESS_READ;
}

static inline u32 ptf_fault_origin(const struct ptf_fault *f)
{
	if (f->flags & FAULT_FLAG_USER)
		return PTF_ORIGIN_USER;
	return f->regs ? PTF_ORIGIN_KERNEL : PTF_ORIGIN_GUP;
}

/* rule.c */
void ptf_rule_match(struct ptf_fault *f);
void ptf_rule_put(struct ptf_rule_node *n);
void ptf_rule_drop_target(struct ptf_target *t);
void ptf_rule_drop_session(struct ptf_session *s);
int ptf_rule_switch(struct ptf_session *s, bool on, u64 *pages);
int ptf_rule_add(struct ptf_cmd *c);
int ptf_rule_set(struct ptf_cmd *c);
int ptf_rule_delete(struct ptf_cmd *c);
int ptf_rule_list(struct ptf_cmd *c);
int ptf_rule_arm(struct ptf_cmd *c);

/* mark.c */
u32 ptf_mark_find(struct ptf_space *sp, unsigned long addr, bool count);
struct ptf_space *ptf_mark_space_get(struct mm_struct *mm);
bool ptf_mark_any(struct mm_struct *mm, unsigned long start, unsigned long end);
void ptf_mark_rearm_now(struct mm_struct *mm, unsigned long start, unsigned long end);
int ptf_mark_add(struct ptf_target *t, unsigned long start, unsigned long end, u32 kind,
		 bool *merged);
void ptf_mark_close_around(struct ptf_fault *f);
int ptf_mark_remove(struct ptf_target *t, unsigned long start, unsigned long end, u32 kind);
void ptf_mark_unmapped(struct ptf_space *sp, unsigned long start, unsigned long end);
void ptf_mark_drop_target(struct ptf_target *t, bool open);
void ptf_mark_rearm(struct ptf_space *sp, unsigned long start, unsigned long end);
void ptf_mark_space_init(struct ptf_space *sp);
void ptf_mark_hint(struct mm_struct *mm, struct ptf_space *sp, const unsigned long *addr,
		   unsigned int nr);

/* action.c */
bool ptf_action_before(struct ptf_fault *f, vm_fault_t *ret);
void ptf_action_after(struct ptf_fault *f, vm_fault_t ret);
void ptf_action_space_free(struct ptf_space *sp);
void ptf_action_release(struct ptf_queue *q);
int ptf_action_answer(struct ptf_cmd *c);

/* handler.c */
const struct ptf_handler *ptf_handler_get(const char *name);
void ptf_handler_put(const struct ptf_handler *h);

/* event.c */
struct ptf_queue *ptf_queue_create(bool privileged);
int ptf_queue_ready(struct ptf_queue *q);
void ptf_queue_get(struct ptf_queue *q);
void ptf_queue_put(struct ptf_queue *q);
void ptf_queue_kill(struct ptf_queue *q);
void ptf_event_fill(struct ptf_fault *f);
void ptf_event_post(struct ptf_queue *q, struct ptf_event *ev, struct ptf_held *held);
void ptf_event_gone(struct ptf_target *t);
ssize_t ptf_event_read(struct file *file, char __user *buf, size_t count, loff_t *pos);
__poll_t ptf_event_poll(struct file *file, struct poll_table_struct *wait);

/* netlink.c */
int ptf_netlink_init(void);
void ptf_netlink_exit(void);
void ptf_netlink_send(struct ptf_queue *q, const struct ptf_event *ev);

/* step.c */
void ptf_step_after(struct ptf_fault *f);
bool ptf_step_can(void);
bool ptf_step_has(unsigned long addr);
int ptf_step_init(void);
void ptf_step_exit(void);

/* memory.c */
int ptf_memory_mmap(struct file *file, struct vm_area_struct *vma);
int ptf_memory_init(struct ptf_session *s);
void ptf_memory_free(struct ptf_session *s);
void ptf_memory_switched(struct ptf_session *s, bool on);

#endif /* PTF_RULE_H */
