// SPDX-License-Identifier: GPL-2.0-only
/*
 * Sessions and their targets: who may act on which address space, and for how
 * long. What is done with the memory is other files' business.
 */
#include <linux/cred.h>
#include <linux/mm.h>
#include <linux/mmap_lock.h>
#include <linux/pid.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/user_namespace.h>
#include "rule.h"
#include "space.h"
#include "compat.h"

/* More than any tool needs, few enough that nobody can eat the kernel's memory. */
#define PTF_TARGETS_MAX 4096

static atomic_t ptf_sessions = ATOMIC_INIT(0);

u32 ptf_session_count(void)
{
	return atomic_read(&ptf_sessions);
}

/* Takes its own hold on @mm. */
static struct ptf_target *ptf_target_create(struct ptf_session *s,
					    struct mm_struct *mm, u32 id)
{
	struct ptf_target *t;
	int err;

	t = kzalloc(sizeof(*t), GFP_KERNEL_ACCOUNT);
	if (!t)
		return ERR_PTR(-ENOMEM);
	refcount_set(&t->refs, 1);
	t->id = id;
	t->opens = 1;
	t->mm = mm;
	t->s = s;
	mutex_init(&t->lock);
	err = xa_insert(&s->targets, id, t, GFP_KERNEL_ACCOUNT);
	if (err) {
		kfree(t);
		return ERR_PTR(err);
	}
	mmgrab(mm);
	s->nr_targets++;
	return t;
}

/**
 * ptf_target_arm() - have the hook look at this address space
 * @t: target, inside ptf_target_begin()
 * @what: PTF_ARM_*
 *
 * Return: 0, or as ptf_space_open(); -EOPNOTSUPP @what can't be had
 */
int ptf_target_arm(struct ptf_target *t, u32 what)
{
	struct ptf_space *sp;
	int err = 0;

	/* armed bits are only ever added while a command runs */
	if ((READ_ONCE(t->armed) & what) == what)
		return 0;
	mutex_lock(&t->lock);
	if (!t->space) {
		sp = ptf_space_open(t->mm);
		if (IS_ERR(sp)) {
			err = PTR_ERR(sp);
			goto unlock;
		}
		/* who sums up takes no lock */
		smp_store_release(&t->space, sp);
	}
	if ((what & PTF_ARM_GUP && !ptf_hook_has_gup()) ||
	    (what & PTF_ARM_STASH && !ptf_hook_has_stash())) {
		err = -EOPNOTSUPP;
		goto unlock;
	}
	what &= ~t->armed;
	if (what & PTF_ARM_RULE) {
		spin_lock(&t->space->rlock);
		list_add(&t->space_node, &t->space->targets);
		spin_unlock(&t->space->rlock);
	}
	if (what & PTF_ARM_EXACT)
		atomic_inc(&t->space->exact);
	if (what & PTF_ARM_GUP)
		atomic_inc(&t->space->gup);
	WRITE_ONCE(t->armed, t->armed | what);
unlock:
	mutex_unlock(&t->lock);
	return err;
}

/**
 * ptf_target_undo() - put back what a target has taken from its address space
 * @t: target
 *
 * If the address space is ending, its end puts everything back; wait for it:
 * until then our entries stand in its tables, and only a space hears of it.
 */
static void ptf_target_undo(struct ptf_target *t)
{
	struct ptf_space *sp = t->space;

	if (!sp)
		return;
	if (mmget_not_zero(t->mm)) {
		mmap_write_lock(t->mm);
		ptf_mark_drop_target(t, true);
		if (ptf_stash_restore_range(sp, t->mm, 0, TASK_SIZE_MAX, t, true))
			/* somebody else may have marked them meanwhile */
			ptf_mark_rearm_now(t->mm, 0, TASK_SIZE_MAX);
		mmap_write_unlock(t->mm);
		mmput_async(t->mm);
	} else {
		ptf_mark_drop_target(t, false);
		wait_event(sp->gone, READ_ONCE(sp->dead));
		/* see ptf_stash_restore_range() */
		ptf_stash_restore_range(sp, t->mm, 0, 0, t, true);
	}
}

/*
 * RESET: nothing is taken or armed any more. The space stays until the target
 * goes: other commands of this session may be using it.
 */
void ptf_target_reset(struct ptf_target *t)
{
	ptf_track_drop_target(t);
	ptf_rule_drop_target(t);
	mutex_lock(&t->lock);
	ptf_target_undo(t);
	if (t->armed & PTF_ARM_EXACT)
		atomic_dec(&t->space->exact);
	if (t->armed & PTF_ARM_GUP)
		atomic_dec(&t->space->gup);
	if (t->armed & PTF_ARM_RULE) {
		spin_lock(&t->space->rlock);
		list_del(&t->space_node);
		spin_unlock(&t->space->rlock);
	}
	t->armed &= PTF_ARM_STASH;
	mutex_unlock(&t->lock);
}

/* All off: what is armed, and the space itself. No command runs on @t. */
void ptf_target_disarm(struct ptf_target *t)
{
	if (!t->space)
		return;
	ptf_target_reset(t);
	ptf_space_close(t->space);
	t->space = NULL;
}

static void ptf_target_put(struct ptf_target *t)
{
	if (!refcount_dec_and_test(&t->refs))
		return;
	ptf_target_disarm(t);
	mmdrop(t->mm);
	kfree_rcu(t, rcu);
}

struct ptf_session *ptf_session_create(struct file *file)
{
	struct ptf_session *s;
	struct ptf_target *t;
	int err;

	/* a kernel thread has no address space to act on */
	if (!current->mm)
		return ERR_PTR(-EINVAL);
	s = kzalloc(sizeof(*s), GFP_KERNEL_ACCOUNT);
	if (!s)
		return ERR_PTR(-ENOMEM);
	mutex_init(&s->lock);
	xa_init(&s->targets);
	s->file = file;
	s->next_target = PTF_TARGET_SELF + 1;
	s->privileged = file_ns_capable(file, &init_user_ns, CAP_SYS_ADMIN);
	mutex_init(&s->rule_lock);
	xa_init(&s->rules);
	s->next_rule = 1;
	err = -ENOMEM;
	s->q = ptf_queue_create(s->privileged);
	if (!s->q)
		goto free;
	if (ptf_memory_init(s))
		goto put_queue;
	t = ptf_target_create(s, current->mm, PTF_TARGET_SELF);
	err = PTR_ERR_OR_ZERO(t);
	if (err)
		goto free_memory;
	s->self = t;
	atomic_inc(&ptf_sessions);
	return s;

free_memory:
	ptf_memory_free(s);
put_queue:
	ptf_queue_put(s->q);
free:
	xa_destroy(&s->targets);
	kfree(s);
	return ERR_PTR(err);
}

/* The last reference to the file is gone: no command runs and none can come. */
void ptf_session_destroy(struct ptf_session *s)
{
	struct ptf_target *t;
	unsigned long id;

	/* who is held goes on before anything waits for anybody */
	ptf_queue_kill(s->q);
	ptf_rule_drop_session(s);
	xa_for_each(&s->targets, id, t)
		ptf_target_put(t);
	xa_destroy(&s->targets);
	xa_destroy(&s->rules);
	ptf_memory_free(s);
	ptf_queue_put(s->q);
	atomic_dec(&ptf_sessions);
	kfree(s);
}

/*
 * The address space of a process that the session may act on: the caller's
 * own, the opener's, or any over whose user namespace the caller has
 * CAP_SYS_PTRACE. ptrace_may_access() is not exported; this is its privileged
 * half. exec_update_lock keeps exec from putting another address space between
 * the look at the rights and the look at the mm, as in mm_access().
 */
static struct mm_struct *ptf_session_mm_of(struct ptf_session *s, pid_t nr)
{
	struct task_struct *task;
	struct mm_struct *mm;
	struct pid *pid;

	pid = find_get_pid(nr);
	if (!pid)
		return ERR_PTR(-ESRCH);
	task = get_pid_task(pid, PIDTYPE_PID);
	put_pid(pid);
	if (!task)
		return ERR_PTR(-ESRCH);
	if (down_read_killable(&task->signal->exec_update_lock)) {
		put_task_struct(task);
		return ERR_PTR(-EINTR);
	}
	mm = get_task_mm(task);
	if (!mm) {
		mm = ERR_PTR(-ESRCH);
	} else if (mm != current->mm && mm != s->self->mm &&
		   !ptf_task_ns_capable(task, mm, CAP_SYS_PTRACE)) {
		mmput_async(mm);
		mm = ERR_PTR(-EPERM);
	}
	up_read(&task->signal->exec_update_lock);
	put_task_struct(task);
	return mm;
}

/**
 * ptf_session_target_open() - the target for a process's address space
 * @s: session
 * @nr: pid in the caller's pid namespace
 * @id: where its number goes
 *
 * Return: 0, -ESRCH, -EPERM, -ENOSPC, -ENOMEM, -EINVAL
 */
int ptf_session_target_open(struct ptf_session *s, pid_t nr, u32 *id)
{
	struct ptf_target *t;
	struct mm_struct *mm;
	unsigned long i;
	int err = 0;

	if (nr <= 0)
		return -EINVAL;
	mm = ptf_session_mm_of(s, nr);
	if (IS_ERR(mm))
		return PTR_ERR(mm);
	mutex_lock(&s->lock);
	xa_for_each(&s->targets, i, t) {
		/* mm is held by its target: an equal pointer is the same mm */
		if (t->mm == mm) {
			if (t->id != PTF_TARGET_SELF)
				t->opens++;
			goto unlock;
		}
	}
	if (s->nr_targets >= PTF_TARGETS_MAX || s->next_target == U32_MAX) {
		err = -ENOSPC;
		goto unlock;
	}
	t = ptf_target_create(s, mm, s->next_target);
	if (IS_ERR(t)) {
		err = PTR_ERR(t);
		goto unlock;
	}
	/* never used twice: a stale number must not name another mm */
	s->next_target++;
unlock:
	if (!err)
		*id = t->id;
	mutex_unlock(&s->lock);
	mmput_async(mm);
	return err;
}

int ptf_session_target_close(struct ptf_session *s, u32 id)
{
	struct ptf_target *t, *gone = NULL;
	int err = 0;

	if (id == PTF_TARGET_SELF)
		return -EINVAL;
	mutex_lock(&s->lock);
	t = xa_load(&s->targets, id);
	if (!t) {
		err = -ENOENT;
	} else if (--t->opens == 0) {
		xa_erase(&s->targets, id);
		s->nr_targets--;
		gone = t;
	}
	mutex_unlock(&s->lock);
	/* undoes what is armed: takes the locks of its memory */
	if (gone)
		ptf_target_put(gone);
	return err;
}

/**
 * ptf_target_begin() - look a target up and keep its memory from going
 * @s: session
 * @id: number of the target
 *
 * Return: the target, to be given back with ptf_target_end(); -ENOENT no such
 * target, -ESRCH its address space is gone.
 */
struct ptf_target *ptf_target_begin(struct ptf_session *s, u32 id)
{
	struct ptf_target *t = s->self;

	if (id == PTF_TARGET_SELF) {
		refcount_inc(&t->refs);
	} else {
		rcu_read_lock();
		t = xa_load(&s->targets, id);
		if (t && !refcount_inc_not_zero(&t->refs))
			t = NULL;	/* closed this instant */
		rcu_read_unlock();
		if (!t)
			return ERR_PTR(-ENOENT);
	}
	if (!mmget_not_zero(t->mm)) {
		ptf_target_put(t);
		return ERR_PTR(-ESRCH);
	}
	return t;
}

/* What the session's targets hold now, and what was healed in their memory. */
void ptf_session_sum(struct ptf_session *s, u64 *stashed, u64 *healed)
{
	struct ptf_target *t;
	struct ptf_space *sp;
	unsigned long id;

	*stashed = 0;
	*healed = 0;
	mutex_lock(&s->lock);
	xa_for_each(&s->targets, id, t) {
		*stashed += atomic64_read(&t->stashed);
		/* once it is there it stays while @t is in the table */
		sp = smp_load_acquire(&t->space);
		if (sp)
			*healed += atomic64_read(&sp->healed);
	}
	mutex_unlock(&s->lock);
}

/* If the process went meanwhile its memory is freed by a worker, not by us. */
void ptf_target_end(struct ptf_target *t)
{
	mmput_async(t->mm);
	ptf_target_put(t);
}
