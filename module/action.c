// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a fault becomes that a rule has taken: answered by us, sent on, delayed,
 * held. Which rule takes it is rule.c's business.
 *
 * Theory of operation
 *
 * An answer that is an error (SIGBUS and its like) is given in place of the
 * handler's; the entry stays as it was, so the next access faults again.
 *
 * Whoever waits in a fault holds mmap_lock or its VMA's lock, and must not
 * sleep for long with it. So, as handle_userfault() does it: give the lock up,
 * wait, answer VM_FAULT_RETRY; core mm takes its locks and calls again. What
 * was decided meanwhile is left in a note (struct ptf_note) for this thread and
 * page, which the second call finds. That is legal only if the caller allows a
 * retry, and not if it has said that the lock must stay (RETRY_NOWAIT).
 *
 * The same note serves core mm's own retries: a fault that was counted, and
 * whose handler asked for another try, must not be counted twice.
 *
 * Not every caller can take every answer: KSM breaks its sharing with faults
 * that it repeats until they succeed, so those always pass.
 */
#include <linux/highmem.h>
#include <linux/hrtimer.h>
#include <linux/mm.h>
#include <linux/mmap_lock.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include "edit.h"
#include "rule.h"
#include "space.h"
#include "arch/x86.h"

/* Left by a thread for the next fault of its own on the same page. */
struct ptf_note {
	struct list_head node;
	pid_t tid;
	unsigned long addr;
	u32 action;	/* PTF_ACT_GO: pass; or what to answer */
	u64 left;	/* times more */
	bool considered;	/* by rules */
	bool counted;	/* by its mark */
};

static vm_fault_t ptf_action_code(u32 action)
{
	switch (action) {
	case PTF_ACT_SIGBUS:
		return VM_FAULT_SIGBUS;
	case PTF_ACT_SIGSEGV:
		return VM_FAULT_SIGSEGV;
	case PTF_ACT_HWPOISON:
		return VM_FAULT_HWPOISON;
	case PTF_ACT_OOM:
		return VM_FAULT_OOM;
	}
	return 0;
}

static u8 ptf_action_faulted(u32 action)
{
	switch (action) {
	case PTF_ACT_SIGBUS:
		return PTF_FAULTED_SIGBUS;
	case PTF_ACT_SIGSEGV:
		return PTF_FAULTED_SIGSEGV;
	case PTF_ACT_HWPOISON:
		return PTF_FAULTED_HWPOISON;
	case PTF_ACT_OOM:
		return PTF_FAULTED_OOM;
	}
	return PTF_FAULTED_RETRY;
}

/* ---- notes ---- */

static void ptf_note_add(struct ptf_fault *f, struct ptf_note *note, u32 action, u64 left)
{
	struct ptf_space *sp = f->sp;

	/* it won't be back */
	if (fatal_signal_pending(current)) {
		kfree(note);
		return;
	}
	note->tid = current->pid;
	note->addr = f->address & PAGE_MASK;
	note->action = action;
	note->left = left;
	note->considered = f->considered;
	note->counted = f->counted;
	spin_lock(&sp->rlock);
	list_add(&note->node, &sp->notes);
	WRITE_ONCE(sp->nr_notes, sp->nr_notes + 1);
	spin_unlock(&sp->rlock);
}

static struct ptf_note *ptf_note_alloc(void)
{
	return kmalloc(sizeof(struct ptf_note), GFP_KERNEL_ACCOUNT);
}

/*
 * The note of this thread, out of the list. One for another page is stale: the
 * access was given up (a signal), and will be a new one when it comes again.
 */
static struct ptf_note *ptf_note_take(struct ptf_space *sp, unsigned long addr)
{
	struct ptf_note *note, *found = NULL;

	spin_lock(&sp->rlock);
	list_for_each_entry(note, &sp->notes, node) {
		if (note->tid == current->pid) {
			list_del(&note->node);
			WRITE_ONCE(sp->nr_notes, sp->nr_notes - 1);
			found = note;
			break;
		}
	}
	spin_unlock(&sp->rlock);
	if (found && found->addr != (addr & PAGE_MASK)) {
		kfree(found);
		found = NULL;
	}
	return found;
}

/* Nobody faults in the space any more. */
void ptf_action_space_free(struct ptf_space *sp)
{
	struct ptf_note *note, *next;

	list_for_each_entry_safe(note, next, &sp->notes, node)
		kfree(note);
}

/* ---- waiting ---- */

/* May the thread be sent round again? */
static bool ptf_action_may_retry(const struct ptf_fault *f)
{
	return f->flags & FAULT_FLAG_ALLOW_RETRY &&
	       !(f->flags & FAULT_FLAG_RETRY_NOWAIT) &&
	       !(current->flags & (PF_EXITING | PF_DUMPCORE | PF_KTHREAD)) &&
	       !fatal_signal_pending(current);
}

static void ptf_action_unlock(struct ptf_fault *f)
{
	ptf_fault_unlock(f->vma, f->flags);
	f->vma = NULL;
}

static void ptf_held_put(struct ptf_held *h)
{
	if (!refcount_dec_and_test(&h->refs))
		return;
	ptf_queue_put(h->q);
	mmdrop(h->mm);
	kfree(h);
}

/* Out of the lists, under q->lock; an event that nobody has read is lost. */
static void ptf_held_forget(struct ptf_held *h)
{
	struct ptf_queue *q = h->q;

	lockdep_assert_held(&q->lock);
	list_del(&h->node);
	q->nr_held--;
	if (!h->told) {
		q->nr_new--;
		q->lost++;
	}
}

/* Wait for the owner. Answers the action, PTF_ACT_GO if nobody can answer. */
static u32 ptf_action_hold(struct ptf_fault *f, struct ptf_held *h)
{
	struct ptf_queue *q = h->q;
	u32 action = PTF_ACT_GO;

	ptf_event_post(q, &f->ev, h);
	ptf_action_unlock(f);
	/* in user mode nothing else is held that a suspended machine could want */
	wait_event_state(h->done, READ_ONCE(h->answered),
			 (TASK_KILLABLE | (f->flags & FAULT_FLAG_USER ? TASK_FREEZABLE : 0)));
	spin_lock(&q->lock);
	if (h->answered)
		action = h->action;
	else
		ptf_held_forget(h);
	spin_unlock(&q->lock);
	ptf_held_put(h);
	return action;
}

static struct ptf_held *ptf_held_create(struct ptf_fault *f)
{
	struct ptf_held *h = kzalloc(sizeof(*h), GFP_KERNEL_ACCOUNT);

	if (!h)
		return NULL;
	refcount_set(&h->refs, 1);
	h->q = f->rule->q;
	ptf_queue_get(h->q);
	h->mm = f->vma->vm_mm;
	mmgrab(h->mm);
	h->flags = f->flags;
	init_waitqueue_head(&h->done);
	return h;
}

/* The owner is gone: everybody goes on. The queue is dead, no more will come. */
void ptf_action_release(struct ptf_queue *q)
{
	struct ptf_held *h;

	spin_lock(&q->lock);
	list_splice_init(&q->held_new, &q->held_told);
	while ((h = list_first_entry_or_null(&q->held_told, struct ptf_held, node))) {
		ptf_held_forget(h);
		h->action = PTF_ACT_GO;
		/* pairs with the READ_ONCE in ptf_action_hold(), q->lock does */
		WRITE_ONCE(h->answered, true);
		wake_up(&h->done);
	}
	spin_unlock(&q->lock);
}

/* @user: nobody's lock is held but the address space's; see ptf_action_hold() */
static void ptf_action_sleep(u64 ns, bool user)
{
	ktime_t t = ktime_add_ns(ktime_get(), ns);

	do {
		set_current_state(TASK_KILLABLE | (user ? TASK_FREEZABLE : 0));
		if (!schedule_hrtimeout(&t, HRTIMER_MODE_ABS))
			break;
	} while (!fatal_signal_pending(current));
	__set_current_state(TASK_RUNNING);
}

/* ---- before the handler ---- */

static bool ptf_action_is_quiet(const struct ptf_rule_node *n)
{
	return n->r.action == PTF_ACT_COUNT || n->r.flags & PTF_RULE_F_QUIET;
}

/* A hit of @n: an event, or a count of it alone. */
static void ptf_action_tell(struct ptf_fault *f, struct ptf_rule_node *n)
{
	if (!ptf_action_is_quiet(n)) {
		ptf_event_post(n->q, &f->ev, NULL);
		return;
	}
	spin_lock(&n->q->lock);
	n->q->hits++;
	spin_unlock(&n->q->lock);
}

/*
 * Actions that end in another try: HOLD, DELAY, RETRY. False if this one can't
 * come again: it goes on.
 */
static bool ptf_action_again(struct ptf_fault *f, vm_fault_t *ret)
{
	struct ptf_rule_node *n = f->rule;
	struct ptf_held *h = NULL;
	struct ptf_note *note;
	u32 action = PTF_ACT_GO;
	u64 left = 0;

	if (!ptf_action_may_retry(f))
		return false;
	note = ptf_note_alloc();
	if (!note)
		return false;
	switch (n->r.action) {
	case PTF_ACT_HOLD:
		h = ptf_held_create(f);
		if (!h) {
			kfree(note);
			return false;
		}
		f->ev.type = PTF_EVENT_HELD;
		action = ptf_action_hold(f, h);
		break;
	case PTF_ACT_DELAY:
		f->ev.answer = PTF_FAULTED_RETRY;
		ptf_action_tell(f, n);
		left = n->r.value;
		ptf_action_unlock(f);
		ptf_rule_put(n);
		f->rule = NULL;
		ptf_action_sleep(left, f->flags & FAULT_FLAG_USER);
		left = 0;
		break;
	case PTF_ACT_RETRY:
		f->ev.answer = PTF_FAULTED_RETRY;
		ptf_action_tell(f, n);
		action = PTF_ACT_RETRY;
		left = max(n->r.value, 1ULL) - 1;
		ptf_action_unlock(f);
		break;
	}
	if (action == PTF_ACT_RETRY && !left)
		action = PTF_ACT_GO;
	ptf_note_add(f, note, action, left);
	*ret = VM_FAULT_RETRY;
	return true;
}

/* An error in place of the handler's answer. */
static void ptf_action_fail(struct ptf_fault *f, u32 action, u64 times, vm_fault_t *ret)
{
	struct ptf_note *note;

	/* the program itself makes the access again: remember to let it pass */
	if (action == PTF_ACT_OOM && f->flags & FAULT_FLAG_USER) {
		note = ptf_note_alloc();
		if (note)
			ptf_note_add(f, note, times > 1 ? PTF_ACT_OOM : PTF_ACT_GO, times - 1);
	}
	*ret = ptf_action_code(action);
}

/* A handler of another module says what becomes of it. */
static bool ptf_action_handler(struct ptf_fault *f, vm_fault_t *ret)
{
	struct ptf_rule_node *n = f->rule;
	struct ptf_handler_fault hf = {
		.vma = f->vma,
		.address = f->address,
		.flags = f->flags,
		.regs = f->regs,
		.rule = n->r.id,
		.value = n->r.value,
	};
	struct ptf_note *note;
	u32 action = n->handler->fault(&hf);

	if (action == PTF_ACT_RETRY && ptf_action_may_retry(f)) {
		note = ptf_note_alloc();
		if (!note)
			return false;
		f->ev.answer = PTF_FAULTED_RETRY;
		ptf_action_tell(f, n);
		ptf_action_unlock(f);
		ptf_note_add(f, note, PTF_ACT_GO, 0);
		*ret = VM_FAULT_RETRY;
		return true;
	}
	if (!ptf_action_code(action)) {
		if (action == PTF_ACT_RETRY)
			atomic64_inc(&n->passed);
		return false;
	}
	f->ev.answer = ptf_action_faulted(action);
	ptf_action_tell(f, n);
	ptf_action_fail(f, action, 1, ret);
	return true;
}

/*
 * Has the thread the page open already, for the instruction that faults? In user
 * mode it is being stepped then.
 */
static bool ptf_action_is_open(const struct ptf_fault *f)
{
	if (f->regs && user_mode(f->regs) && !ptf_arch_step_is_on(f->regs))
		return false;
	return ptf_step_has(f->address & PAGE_MASK);
}

/* What an earlier fault of this access has left. True: answered. */
static bool ptf_action_note(struct ptf_fault *f, struct ptf_note *note, vm_fault_t *ret)
{
	u32 action = note->action;

	f->considered = note->considered;
	f->counted = note->counted;
	if (action == PTF_ACT_RETRY && !ptf_action_may_retry(f))
		action = PTF_ACT_GO;
	if (action == PTF_ACT_GO) {
		kfree(note);
		return false;
	}
	if (action == PTF_ACT_RETRY) {
		ptf_action_unlock(f);
		note->left--;
		ptf_note_add(f, note, note->left ? PTF_ACT_RETRY : PTF_ACT_GO, note->left);
		*ret = VM_FAULT_RETRY;
		return true;
	}
	ptf_action_fail(f, action, note->left, ret);
	kfree(note);
	return true;
}

/**
 * ptf_action_before() - ask the rules before the handler is called
 * @f: fault; its vma is NULL afterwards if the lock was given up
 * @ret: answer, if it is ours
 *
 * Return: true if the fault is answered and the handler must not be called
 */
bool ptf_action_before(struct ptf_fault *f, vm_fault_t *ret)
{
	struct ptf_space *sp = f->sp;
	struct ptf_note *note;
	bool answered = false;
	u32 mark = 0;

	/* KSM would try for ever */
	if (f->flags & FAULT_FLAG_UNSHARE && !(f->flags & FAULT_FLAG_ALLOW_RETRY))
		return false;
	if (READ_ONCE(sp->nr_notes)) {
		note = ptf_note_take(sp, f->address);
		if (note && ptf_action_note(f, note, ret))
			return true;
	}
	if (READ_ONCE(sp->nr_marks)) {
		f->gen = READ_ONCE(sp->mark_gen);
		/* an instruction that comes again for the same page has one access */
		mark = ptf_mark_find(sp, f->address & PAGE_MASK,
				     !f->counted && !ptf_action_is_open(f));
		f->sticky = mark & PTF_MARK_STICKY;
		f->counted = mark;
		if (mark & PTF_MARK_POISON) {
			*ret = VM_FAULT_HWPOISON;
			return true;
		}
	}
	if (f->considered || !READ_ONCE(sp->nr_rules))
		return false;
	ptf_rule_match(f);
	if (!f->rule)
		return false;
	if (!ptf_action_is_quiet(f->rule))
		ptf_event_fill(f);
	switch (f->rule->r.action) {
	case PTF_ACT_COUNT:
		ptf_action_tell(f, f->rule);
		break;
	case PTF_ACT_NOTIFY:
		return false;	/* told afterwards, with the answer */
	case PTF_ACT_HANDLER:
		answered = ptf_action_handler(f, ret);
		if (!answered)
			return false;
		break;
	case PTF_ACT_HOLD:
	case PTF_ACT_DELAY:
	case PTF_ACT_RETRY:
		answered = ptf_action_again(f, ret);
		if (!answered) {
			atomic64_inc(&f->rule->passed);
			return false;
		}
		break;
	default:
		answered = true;
		f->ev.answer = ptf_action_faulted(f->rule->r.action);
		ptf_action_tell(f, f->rule);
		ptf_action_fail(f, f->rule->r.action, max(f->rule->r.value, 1ULL), ret);
	}
	if (f->rule)
		ptf_rule_put(f->rule);
	f->rule = NULL;
	return answered;
}

static u8 ptf_action_result(vm_fault_t ret)
{
	if (ret & VM_FAULT_RETRY)
		return PTF_FAULTED_RETRY;
	if (ret & VM_FAULT_OOM)
		return PTF_FAULTED_OOM;
	if (ret & (VM_FAULT_HWPOISON | VM_FAULT_HWPOISON_LARGE))
		return PTF_FAULTED_HWPOISON;
	if (ret & VM_FAULT_SIGBUS)
		return PTF_FAULTED_SIGBUS;
	if (ret & VM_FAULT_SIGSEGV)
		return PTF_FAULTED_SIGSEGV;
	if (ret & VM_FAULT_ERROR)
		return PTF_FAULTED_OTHER;
	return ret & VM_FAULT_MAJOR ? PTF_FAULTED_MAJOR : PTF_FAULTED_MINOR;
}

/* The handler has answered @ret; if that says so, the locks are gone. */
void ptf_action_after(struct ptf_fault *f, vm_fault_t ret)
{
	struct ptf_note *note;

	if (f->rule) {
		f->ev.answer = ptf_action_result(ret);
		ptf_action_tell(f, f->rule);
		ptf_rule_put(f->rule);
		f->rule = NULL;
	}
	if (ret & VM_FAULT_RETRY && !(f->flags & FAULT_FLAG_RETRY_NOWAIT)) {
		note = ptf_note_alloc();
		if (note)
			ptf_note_add(f, note, PTF_ACT_GO, 0);
	}
}

/* ---- the owner's answer ---- */

/* How often content is tried to be put into a page that others work on. */
#define PTF_CONTENT_TRIES	64

/*
 * Under the page table lock: put the content in, if the page is one that this
 * mapping may write in place. No other thread reaches it meanwhile: it is a hint,
 * flushed everywhere, and whoever faults on it waits for the lock. Answers 1 done,
 * 0 not the right page yet: fault it in for writing, or an errno.
 */
static int ptf_action_put(struct vm_area_struct *vma, pte_t *ptep, unsigned long addr,
			  const void *content, u32 bytes)
{
	pte_t pte = ptep_get(ptep);
	struct folio *folio;
	struct page *page;
	void *to;

	page = pte_present(pte) ? ptf_edit_page(pte) : NULL;
	if (!page)
		return 0;
	folio = page_folio(page);
	if (vma->vm_flags & VM_SHARED) {
		/* without the dirty bit the file system has not heard of it */
		if (!pte_dirty(pte))
			return 0;
	} else if (!PageAnon(page) || !PageAnonExclusive(page) || folio_test_ksm(folio)) {
		return 0;
	}
	if (!folio_test_large(folio) && folio_maybe_dma_pinned(folio))
		return -EBUSY;
	if (!pte_protnone(pte) && !ptf_edit_hint_one(vma, ptep, addr))
		return -EBUSY;
	/* also for a hint that another thread has made, and not flushed yet */
	ptf_tlb_flush_all();
	to = kmap_local_page(page);
	memcpy(to, content, bytes);
	kunmap_local(to);
	if (!(vma->vm_flags & VM_SHARED)) {
		folio_mark_dirty(folio);
		/* written it is, whoever keeps track of that */
		pte = ptep_get_and_clear(vma->vm_mm, addr, ptep);
		set_pte_at(vma->vm_mm, addr, ptep, pte_mkdirty(pte));
	}
	ptf_edit_unhint_one(vma, ptep, addr);
	return 1;
}

/* One try, with mmap_lock held for reading; -EAGAIN: again, it is dropped. */
static int ptf_action_put_locked(struct mm_struct *mm, unsigned long addr,
				 const void *content, u32 bytes)
{
	unsigned int flags = FAULT_FLAG_WRITE | FAULT_FLAG_ALLOW_RETRY | FAULT_FLAG_KILLABLE |
			     (mm == current->mm ? 0 : FAULT_FLAG_REMOTE);
	struct ptf_space *sp = ptf_space_find_get(mm);
	struct vm_area_struct *vma;
	spinlock_t *ptl;
	vm_fault_t ret;
	pte_t *ptep;
	int did = 0;

	vma = vma_lookup(mm, addr);
	if (!vma || ptf_vma_refusal(vma) >= 0) {
		did = -EFAULT;
		goto unlock;
	}
	if (!(vma->vm_flags & VM_MAYWRITE) ||
	    (vma->vm_flags & VM_SHARED && !(vma->vm_flags & VM_WRITE))) {
		did = -EACCES;
		goto unlock;
	}
	/* what was taken away comes back first, as a hint or as it was */
	if (sp && READ_ONCE(sp->nr_stash))
		ptf_stash_restore(sp, mm, addr, NULL);
	inc_tlb_flush_pending(mm);
	ptep = ptf_entry_lock(mm, addr, &ptl);
	if (ptep) {
		did = ptf_action_put(vma, ptep, addr, content, bytes);
		ptf_entry_unlock(ptl);
	}
	dec_tlb_flush_pending(mm);
	if (!did) {
		ret = ptf_hook_orig(vma, addr, flags, NULL);
		if (ret & (VM_FAULT_RETRY | VM_FAULT_COMPLETED)) {
			did = -EAGAIN;
			goto put;
		}
		did = ret & VM_FAULT_OOM ? -ENOMEM : ret & VM_FAULT_ERROR ? -EFAULT : -EAGAIN;
	}
unlock:
	mmap_read_unlock(mm);
put:
	if (sp)
		ptf_space_put(sp);
	return did;
}

static int ptf_action_no_fill(pte_t *ptep, unsigned long addr, void *data)
{
	return 0;
}

/*
 * Have small pages at @addr, and only that one filled by what comes: a huge page would
 * give its neighbours to everybody, unasked. No lock is held.
 */
static int ptf_action_small(struct mm_struct *mm, unsigned long addr)
{
	struct vm_area_struct *vma;
	spinlock_t *ptl;
	int err = 0;

	if (mmap_write_lock_killable(mm))
		return -EINTR;
	vma = vma_lookup(mm, addr);
	if (vma && vma_is_anonymous(vma)) {
		/* nobody faults meanwhile */
		ptf_vma_start_write(vma);
		if (ptf_leaf_lock(mm, addr, &ptl)) {
			ptf_leaf_unlock(ptl);
			err = ptf_migrate_split(vma, addr) ? -EBUSY : 0;
		} else {
			err = apply_to_page_range(mm, addr, PAGE_SIZE, ptf_action_no_fill, NULL);
		}
	}
	mmap_write_unlock(mm);
	return err;
}

/**
 * ptf_action_content() - put content into a page that a thread waits for
 * @h: the thread
 * @content: bytes
 * @bytes: how many
 *
 * The page becomes one that the mapping may write in place (a copy, if it was
 * shared for copy-on-write), is taken from all threads as a hint, filled and
 * given back under its table's lock: whoever faults on it meanwhile waits there.
 */
static int ptf_action_content(struct ptf_held *h, const void *content, u32 bytes)
{
	unsigned long addr = h->ev.addr & PAGE_MASK;
	struct mm_struct *mm = h->mm;
	unsigned int tries = 0;
	int did;

	if (!mmget_not_zero(mm))
		return -ENOENT;
	did = ptf_action_small(mm, addr) ?: -EAGAIN;
	while (did == -EAGAIN && tries++ <= PTF_CONTENT_TRIES) {
		did = -EINTR;
		if (fatal_signal_pending(current) || mmap_read_lock_killable(mm))
			break;
		did = ptf_action_put_locked(mm, addr, content, bytes);
		cond_resched();
	}
	mmput_async(mm);
	return did == -EAGAIN ? -EBUSY : min(did, 0);
}

static struct ptf_held *ptf_held_find(struct ptf_queue *q, u64 id)
{
	struct ptf_held *h;

	lockdep_assert_held(&q->lock);
	list_for_each_entry(h, &q->held_told, node)
		if (h->ev.held == id)
			return h;
	list_for_each_entry(h, &q->held_new, node)
		if (h->ev.held == id)
			return h;
	return NULL;
}

static int ptf_action_check(const struct ptf_ioc_held_answer *a)
{
	if (a->flags)
		return -EOPNOTSUPP;
	if (a->action != PTF_ACT_GO && a->action != PTF_ACT_RETRY && !ptf_action_code(a->action))
		return -EINVAL;
	if (a->content_bytes > PAGE_SIZE || !a->content_bytes != !a->content ||
	    (a->content_bytes && a->action != PTF_ACT_GO))
		return -EINVAL;
	return 0;
}

int ptf_action_answer(struct ptf_cmd *c)
{
	struct ptf_ioc_held_answer *a = c->arg;
	struct ptf_queue *q = c->s->q;
	void *content = NULL;
	struct ptf_held *h;
	int err;

	err = ptf_action_check(a);
	if (err)
		return err;
	if (a->content_bytes) {
		content = memdup_user(u64_to_user_ptr(a->content), a->content_bytes);
		if (IS_ERR(content))
			return PTR_ERR(content);
	}
	spin_lock(&q->lock);
	h = ptf_held_find(q, a->held);
	if (h)
		refcount_inc(&h->refs);
	spin_unlock(&q->lock);
	err = -ENOENT;
	if (!h)
		goto free;
	err = content ? ptf_action_content(h, content, a->content_bytes) : 0;
	if (!err) {
		spin_lock(&q->lock);
		/* it may have been killed, or answered by another thread */
		if (ptf_held_find(q, a->held)) {
			ptf_held_forget(h);
			h->action = a->action;
			WRITE_ONCE(h->answered, true);
			wake_up(&h->done);
		} else {
			err = -ENOENT;
		}
		spin_unlock(&q->lock);
	}
	ptf_held_put(h);
free:
	kfree(content);
	return err;
}
