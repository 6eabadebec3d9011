// SPDX-License-Identifier: GPL-2.0-only
/*
 * Events: one source, three ways out. Owns the session's queue and read() and
 * poll() on it; the others are tracepoints (trace.h) and netlink.c.
 *
 * The queue is bounded and drops what is newest when it is full, counted: a
 * reader that is slow has an unbroken beginning. Threads that wait for an answer
 * are not in it but in lists of their own, so that none is ever lost.
 */
#include <linux/fs.h>
#include <linux/ktime.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/pid_namespace.h>
#include <linux/poll.h>
#include <linux/ptrace.h>
#include <linux/sched/task_stack.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include "rule.h"
#include "space.h"
#include "walk.h"
#include "arch/x86.h"

#define CREATE_TRACE_POINTS
#include "trace.h"

static unsigned int events = 4096;
module_param(events, uint, 0444);
MODULE_PARM_DESC(events, "events that a session's queue holds");

static atomic_t ptf_queue_sessions = ATOMIC_INIT(0);

struct ptf_queue *ptf_queue_create(bool privileged)
{
	struct ptf_queue *q = kzalloc(sizeof(*q), GFP_KERNEL_ACCOUNT);

	if (!q)
		return NULL;
	refcount_set(&q->refs, 1);
	spin_lock_init(&q->lock);
	init_waitqueue_head(&q->wait);
	INIT_LIST_HEAD(&q->held_new);
	INIT_LIST_HEAD(&q->held_told);
	q->privileged = privileged;
	q->session = atomic_inc_return(&ptf_queue_sessions);
	q->ns = get_pid_ns(task_active_pid_ns(current));
	return q;
}

/* Sessions without rules need no ring. */
int ptf_queue_ready(struct ptf_queue *q)
{
	u32 size = clamp(events, 16U, 1U << 20);
	struct ptf_event *ring;

	if (READ_ONCE(q->ring))
		return 0;
	ring = kvmalloc_array(size, sizeof(*ring), GFP_KERNEL_ACCOUNT);
	if (!ring)
		return -ENOMEM;
	spin_lock(&q->lock);
	if (!q->ring) {
		q->size = size;
		q->ring = ring;
		ring = NULL;
	}
	spin_unlock(&q->lock);
	kvfree(ring);
	return 0;
}

void ptf_queue_get(struct ptf_queue *q)
{
	refcount_inc(&q->refs);
}

/* The last one may be a fault in flight: kvfree() may sleep, and may there. */
void ptf_queue_put(struct ptf_queue *q)
{
	if (!refcount_dec_and_test(&q->refs))
		return;
	put_pid_ns(q->ns);
	kvfree(q->ring);
	kfree(q);
}

/* The session closes: nobody reads or answers any more. */
void ptf_queue_kill(struct ptf_queue *q)
{
	spin_lock(&q->lock);
	q->dead = true;
	q->armed = false;
	spin_unlock(&q->lock);
	ptf_action_release(q);
	wake_up_all(&q->wait);
}

/* What stood in the page table before. mmap_lock or the VMA's lock is held. */
static void ptf_event_entry(struct ptf_fault *f, struct ptf_event *ev)
{
	unsigned long addr = f->address & PAGE_MASK;
	pte_t pte, old;

	ev->state = PTF_STATE_NONE;
	ev->pte = 0;
	if (f->vma->vm_flags & VM_HUGETLB)
		return;
	/* a snapshot: nothing is done with it */
	pte = ptf_entry_peek(f->vma->vm_mm, addr);
	ev->pte = pte_val(pte);
	if (likely(pte_present(pte) && pte_protnone(pte) && vma_is_accessible(f->vma))) {
		ev->state = PTF_STATE_HINT;
	} else if (!pte_present(pte) && !pte_none(pte) && READ_ONCE(f->sp->nr_stash) &&
		   ptf_stash_find(f->sp, addr, &old)) {
		ev->state = PTF_STATE_STASHED;
		ev->pte = pte_val(old);
	} else {
		ev->state = ptf_entry_state(f->vma, pte);
	}
	if (!f->rule->q->privileged)
		ev->pte = ptf_arch_entry_hide(ev->pte);
}

/* The event of a fault that f->rule has taken, but for its end. */
void ptf_event_fill(struct ptf_fault *f)
{
	struct ptf_event *ev = &f->ev;
	struct ptf_queue *q = f->rule->q;

	ev->size = sizeof(*ev);
	ev->type = PTF_EVENT_HIT;
	ev->time_ns = ktime_get_ns();
	ev->rule = f->rule->r.id;
	ev->held = 0;
	ev->addr = f->address;
	ev->ip = 0;
	if (f->regs && user_mode(f->regs))
		ev->ip = instruction_pointer(f->regs);
	else if (current->mm == f->sp->mm)	/* others' are not ours to tell */
		ev->ip = instruction_pointer(task_pt_regs(current));
	if (likely(q->ns == &init_pid_ns)) {
		ev->pid = current->tgid;
		ev->tid = current->pid;
	} else {
		ev->pid = task_tgid_nr_ns(current, q->ns);
		ev->tid = task_pid_nr_ns(current, q->ns);
	}
	ev->target = f->rule->r.target;
	ev->access = ptf_fault_access(f->flags);
	ev->origin = ptf_fault_origin(f);
	ev->action = f->rule->r.action;
	ev->answer = 0;
	memset(ev->reserved, 0, sizeof(ev->reserved));
	ptf_event_entry(f, ev);
}

/**
 * ptf_event_post() - tell of an event
 * @q: whose
 * @ev: its seq, and held where the thread waits, are set here
 * @held: the thread that waits, or NULL
 */
void ptf_event_post(struct ptf_queue *q, struct ptf_event *ev, struct ptf_held *held)
{
	spin_lock(&q->lock);
	ev->seq = ++q->seq;
	if (ev->type != PTF_EVENT_GONE)
		q->hits++;
	if (held) {
		ev->held = ++q->held_id;
		held->ev = *ev;
		if (q->dead) {
			held->action = PTF_ACT_GO;
			held->answered = true;
		} else {
			list_add_tail(&held->node, &q->held_new);
			q->nr_held++;
			q->nr_new++;
		}
	} else if (q->dead || q->nr == q->size) {
		q->lost++;
	} else {
		q->ring[(q->head + q->nr++) % q->size] = *ev;
	}
	spin_unlock(&q->lock);
	if (wq_has_sleeper(&q->wait))
		wake_up(&q->wait);
	trace_ptefault_event(q->session, ev);
	ptf_netlink_send(q, ev);
}

/* A target's address space has ended; called once, where nothing may sleep. */
void ptf_event_gone(struct ptf_target *t)
{
	struct ptf_queue *q = t->s->q;
	struct ptf_event ev = {
		.size = sizeof(ev),
		.type = PTF_EVENT_GONE,
		.time_ns = ktime_get_ns(),
		.target = t->id,
	};

	spin_lock(&q->lock);
	ev.seq = ++q->seq;
	if (q->dead || q->nr == q->size)
		q->lost++;
	else
		q->ring[(q->head + q->nr++) % q->size] = ev;
	spin_unlock(&q->lock);
	wake_up(&q->wait);
	trace_ptefault_event(q->session, &ev);
	ptf_netlink_send(q, &ev);
}

static bool ptf_queue_has(struct ptf_queue *q)
{
	return READ_ONCE(q->nr) || READ_ONCE(q->nr_new);
}

/* Events taken out at a time, before they are copied. */
#define PTF_EVENT_CHUNK 16

/*
 * Take up to @max events out, by their numbers. What can't be copied out after
 * that is lost, and counted as such, but for threads that wait.
 */
static unsigned int ptf_event_take(struct ptf_queue *q, struct ptf_event *buf,
				   unsigned int max)
{
	struct ptf_held *h;
	unsigned int i;

	spin_lock(&q->lock);
	for (i = 0; i < max; i++) {
		h = list_first_entry_or_null(&q->held_new, struct ptf_held, node);
		if (h && q->nr && q->ring[q->head].seq < h->ev.seq)
			h = NULL;
		if (h) {
			buf[i] = h->ev;
			list_move_tail(&h->node, &q->held_told);
			h->told = true;
			q->nr_new--;
		} else if (q->nr) {
			buf[i] = q->ring[q->head];
			q->head = (q->head + 1) % q->size;
			q->nr--;
		} else {
			break;
		}
	}
	spin_unlock(&q->lock);
	return i;
}

static struct ptf_held *ptf_event_told(struct ptf_queue *q, u64 id)
{
	struct ptf_held *h;

	list_for_each_entry(h, &q->held_told, node)
		if (h->ev.held == id)
			return h;
	return NULL;
}

/* They could not be copied out: who waits is told of again, the rest is lost. */
static void ptf_event_untake(struct ptf_queue *q, const struct ptf_event *ev, unsigned int nr)
{
	struct ptf_held *h, *later;

	spin_lock(&q->lock);
	for (; nr--; ev++) {
		h = ev->type == PTF_EVENT_HELD ? ptf_event_told(q, ev->held) : NULL;
		if (!h) {
			/* also of a thread that waits no more */
			q->lost++;
			continue;
		}
		list_for_each_entry(later, &q->held_new, node)
			if (later->ev.seq > h->ev.seq)
				break;
		list_move_tail(&h->node, &later->node);
		h->told = false;
		q->nr_new++;
	}
	spin_unlock(&q->lock);
}

ssize_t ptf_event_read(struct file *file, char __user *buf, size_t count, loff_t *pos)
{
	struct ptf_session *s = file->private_data;
	struct ptf_queue *q = s->q;
	struct ptf_event *ev;
	size_t left = count / sizeof(*ev), bytes;
	unsigned int nr;
	ssize_t done = 0;
	int err;

	if (!left)
		return -EINVAL;
	ev = kmalloc_array(PTF_EVENT_CHUNK, sizeof(*ev), GFP_KERNEL_ACCOUNT);
	if (!ev)
		return -ENOMEM;
	for (;;) {
		nr = ptf_event_take(q, ev, min_t(size_t, left, PTF_EVENT_CHUNK));
		if (!nr) {
			if (done)
				break;
			done = -EAGAIN;
			if (file->f_flags & O_NONBLOCK)
				break;
			err = wait_event_interruptible(q->wait, ptf_queue_has(q));
			done = err;
			if (err)
				break;
			continue;
		}
		bytes = nr * sizeof(*ev);
		if (copy_to_user(buf + done, ev, bytes)) {
			ptf_event_untake(q, ev, nr);
			done = done ?: -EFAULT;
			break;
		}
		done += bytes;
		left -= nr;
		if (!left)
			break;
	}
	kfree(ev);
	return done;
}

__poll_t ptf_event_poll(struct file *file, struct poll_table_struct *wait)
{
	struct ptf_session *s = file->private_data;

	poll_wait(file, &s->q->wait, wait);
	return ptf_queue_has(s->q) ? EPOLLIN | EPOLLRDNORM : 0;
}
