// SPDX-License-Identifier: GPL-2.0-only
/*
 * The device node and the table of commands. Copies arguments in and out and
 * hands them to their handlers; knows nothing of what they do.
 */
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/nodemask.h>
#include <linux/uaccess.h>
#include "rule.h"
#include "space.h"
#include "compat.h"

static u64 ptf_features(void)
{
	u64 f = PTF_FEATURE_QUERY | PTF_FEATURE_FILEMAP | PTF_FEATURE_HINT |
		PTF_FEATURE_FAULT | PTF_FEATURE_FILE_ADVISE | PTF_FEATURE_MAPPERS;

	if (ptf_hook_can()) {
		f |= PTF_FEATURE_HOOK | PTF_FEATURE_STASH | PTF_FEATURE_GUP |
		     PTF_FEATURE_RULE | PTF_FEATURE_NETLINK | PTF_FEATURE_TRACK;
		if (ptf_step_can())
			f |= PTF_FEATURE_STEP;
	}
	return f;
}

static int ptf_cmd_features_get(struct ptf_cmd *c)
{
	struct ptf_ioc_features_get *a = c->arg;

	if (a->flags)
		return -EOPNOTSUPP;
	a->out_features = ptf_features();
	a->out_advice = ptf_advise_supported();
	a->out_api = PTF_API_VERSION;
	a->out_page_shift = PAGE_SHIFT;
	a->out_levels = pgtable_l5_enabled() ? 5 : 4;
	a->out_flush = ptf_tlb_method();
	a->out_nr_nodes = num_online_nodes();
	a->out_privileged = c->s->privileged;
	c->respond = true;
	return a->required & ~a->out_features ? -EOPNOTSUPP : 0;
}

static int ptf_cmd_target_open(struct ptf_cmd *c)
{
	struct ptf_ioc_target_open *a = c->arg;
	int err;

	if (a->flags)
		return -EOPNOTSUPP;
	err = ptf_session_target_open(c->s, a->pid, &a->out_target);
	c->respond = !err;
	return err;
}

static int ptf_cmd_target_close(struct ptf_cmd *c)
{
	struct ptf_ioc_target_close *a = c->arg;

	if (a->flags)
		return -EOPNOTSUPP;
	if (a->reserved)
		return -EINVAL;
	return ptf_session_target_close(c->s, a->target);
}

static int ptf_cmd_session_stat(struct ptf_cmd *c)
{
	struct ptf_ioc_session_stat *a = c->arg;
	struct ptf_queue *q = c->s->q;

	if (a->flags)
		return -EOPNOTSUPP;
	memset(a, 0, sizeof(*a));
	a->size = sizeof(*a);
	a->out_sessions = ptf_session_count();
	a->out_targets = READ_ONCE(c->s->nr_targets);
	a->out_cleared_pages = atomic64_read(&c->s->cleared_pages);
	ptf_session_sum(c->s, &a->out_stashed_pages, &a->out_healed_pages);
	a->out_stashed_total = atomic64_read(&c->s->stashed_total);
	a->out_hooked = ptf_hook_is_set();
	a->out_flushes = ptf_tlb_flushes();
	a->out_rules = READ_ONCE(c->s->nr_rules);
	a->out_sticky_hits = atomic64_read(&q->sticky_hits);
	spin_lock(&q->lock);
	a->out_rule_hits = q->hits;
	a->out_events_queued = q->nr + q->nr_new;
	a->out_events_lost = q->lost;
	a->out_held = q->nr_held;
	a->out_armed = q->armed;
	spin_unlock(&q->lock);
	c->respond = true;
	return 0;
}

/* Room for any argument; the dispatcher keeps it on its stack. */
union ptf_arg {
	struct ptf_ioc_features_get features_get;
	struct ptf_ioc_target_open target_open;
	struct ptf_ioc_target_close target_close;
	struct ptf_ioc_session_stat session_stat;
	struct ptf_ioc_range_query range_query;
	struct ptf_ioc_page_walk page_walk;
	struct ptf_ioc_range_advise range_advise;
	struct ptf_ioc_range_fault range_fault;
	struct ptf_ioc_file_query file_query;
	struct ptf_ioc_file_advise file_advise;
	struct ptf_ioc_file_mappers file_mappers;
	struct ptf_ioc_track_start track_start;
	struct ptf_ioc_track_read track_read;
	struct ptf_ioc_track_stop track_stop;
	struct ptf_ioc_rule_add rule_add;
	struct ptf_ioc_rule_set rule_set;
	struct ptf_ioc_rule_delete rule_delete;
	struct ptf_ioc_rule_list rule_list;
	struct ptf_ioc_rule_arm rule_arm;
	struct ptf_ioc_held_answer held_answer;
};

struct ptf_op {
	unsigned int cmd;
	size_t size;		/* what this module knows */
	size_t min_size;	/* end of the last field of the first version */
	size_t in_size;		/* where the out_ fields begin */
	int (*handler)(struct ptf_cmd *c);
};

#define PTF_OP(_cmd, _fn, _struct, _first_out, _last)			\
	[_IOC_NR(_cmd)] = {						\
		.cmd = _cmd,						\
		.size = sizeof(struct _struct) +			\
			BUILD_BUG_ON_ZERO(sizeof(union ptf_arg) < sizeof(struct _struct)), \
		.min_size = offsetofend(struct _struct, _last),		\
		.in_size = offsetof(struct _struct, _first_out),	\
		.handler = _fn,						\
	}

/* a command that answers with its errno alone */
#define PTF_OP_IN(_cmd, _fn, _struct, _last)				\
	[_IOC_NR(_cmd)] = {						\
		.cmd = _cmd,						\
		.size = sizeof(struct _struct),				\
		.min_size = offsetofend(struct _struct, _last),		\
		.in_size = sizeof(struct _struct),			\
		.handler = _fn,						\
	}

static const struct ptf_op ptf_ops[] = {
	PTF_OP(PTF_IOC_FEATURES_GET, ptf_cmd_features_get,
	       ptf_ioc_features_get, out_features, out_privileged),
	PTF_OP(PTF_IOC_TARGET_OPEN, ptf_cmd_target_open,
	       ptf_ioc_target_open, out_target, out_target),
	PTF_OP_IN(PTF_IOC_TARGET_CLOSE, ptf_cmd_target_close,
		  ptf_ioc_target_close, reserved),
	PTF_OP(PTF_IOC_SESSION_STAT, ptf_cmd_session_stat,
	       ptf_ioc_session_stat, out_sessions, reserved),
	PTF_OP(PTF_IOC_RANGE_QUERY, ptf_report_query,
	       ptf_ioc_range_query, out_next, out_names),
	PTF_OP(PTF_IOC_PAGE_WALK, ptf_report_walk,
	       ptf_ioc_page_walk, out_nr, level),
	PTF_OP(PTF_IOC_RANGE_ADVISE, ptf_advise_range,
	       ptf_ioc_range_advise, out_next, out_skipped_pages),
	PTF_OP(PTF_IOC_RANGE_FAULT, ptf_drive_range,
	       ptf_ioc_range_fault, out_next, out_failed),
	PTF_OP(PTF_IOC_FILE_ADVISE, ptf_advise_file_range,
	       ptf_ioc_file_advise, out_done_pages, out_skipped_pages),
	PTF_OP(PTF_IOC_RULE_ADD, ptf_rule_add, ptf_ioc_rule_add, out_added, reserved),
	PTF_OP_IN(PTF_IOC_RULE_SET, ptf_rule_set, ptf_ioc_rule_set, rule),
	PTF_OP_IN(PTF_IOC_RULE_DELETE, ptf_rule_delete, ptf_ioc_rule_delete, id),
	PTF_OP(PTF_IOC_RULE_LIST, ptf_rule_list, ptf_ioc_rule_list, out_next, reserved),
	PTF_OP(PTF_IOC_RULE_ARM, ptf_rule_arm, ptf_ioc_rule_arm, out_pages, out_pages),
	PTF_OP_IN(PTF_IOC_HELD_ANSWER, ptf_action_answer, ptf_ioc_held_answer, content),
	PTF_OP(PTF_IOC_TRACK_START, ptf_track_start,
	       ptf_ioc_track_start, out_pages, out_skipped_pages),
	PTF_OP(PTF_IOC_TRACK_READ, ptf_track_read,
	       ptf_ioc_track_read, out_next, out_pages),
	PTF_OP_IN(PTF_IOC_TRACK_STOP, ptf_track_stop, ptf_ioc_track_stop, reserved),
	PTF_OP(PTF_IOC_FILE_MAPPERS, ptf_mappers_query,
	       ptf_ioc_file_mappers, out_rows, out_total),
	PTF_OP(PTF_IOC_FILE_QUERY, ptf_filemap_query,
	       ptf_ioc_file_query, out_next, out_cached_pages),
};

/*
 * The inputs come in, and what the caller knows beyond what we do must be
 * zero. The out_ fields are not read: each handler sets all of them before it
 * asks for them to be copied back.
 */
static int ptf_copy_in(const struct ptf_op *op, void *arg, void __user *ubuf,
		       size_t usize)
{
	int zero;

	if (usize > op->size) {
		zero = check_zeroed_user(ubuf + op->size, usize - op->size);
		if (zero <= 0)
			return zero ?: -E2BIG;
	}
	return copy_struct_from_user(arg, op->in_size, ubuf, min(usize, op->in_size));
}

static int ptf_copy_out(const struct ptf_op *op, const void *arg, void __user *ubuf,
			size_t usize)
{
	size_t at = op->in_size, end = min(usize, op->size);

	/* a few words: cheaper one by one than the set-up of a string copy */
	if (!user_access_begin(ubuf + at, end - at))
		return -EFAULT;
#ifdef CONFIG_CC_IS_GCC	/* clang can't, with a jump out of it, and says so */
#pragma GCC unroll 8
#endif
	for (; end - at >= sizeof(u64); at += sizeof(u64))
		unsafe_put_user(*(u64 *)(arg + at), (u64 __user *)(ubuf + at), fault);
	if (end - at >= sizeof(u32))
		unsafe_put_user(*(u32 *)(arg + at), (u32 __user *)(ubuf + at), fault);
	user_access_end();
	return 0;
fault:
	user_access_end();
	return -EFAULT;
}

static long ptf_ioctl(struct file *file, unsigned int cmd, unsigned long uarg)
{
	unsigned int nr = _IOC_NR(cmd);
	void __user *ubuf = (void __user *)uarg;
	const struct ptf_op *op;
	union ptf_arg arg PTF_UNINIT;
	struct ptf_cmd c = { .s = file->private_data, .arg = &arg };
	u32 usize;
	int err;

	if (nr >= ARRAY_SIZE(ptf_ops))
		return -ENOTTY;
	op = &ptf_ops[nr];
	if (op->cmd != cmd)
		return -ENOTTY;
	if (get_user(usize, (u32 __user *)ubuf))
		return -EFAULT;
	if (usize < op->min_size)
		return -EINVAL;
	if (usize > PAGE_SIZE)
		return -E2BIG;
	err = ptf_copy_in(op, &arg, ubuf, usize);
	if (err)
		return err;
	err = op->handler(&c);
	if (c.respond && ptf_copy_out(op, &arg, ubuf, usize))
		return -EFAULT;
	return err;
}

static int ptf_open(struct inode *inode, struct file *file)
{
	struct ptf_session *s = ptf_session_create(file);

	if (IS_ERR(s))
		return PTR_ERR(s);
	file->private_data = s;
	return nonseekable_open(inode, file);
}

static int ptf_release(struct inode *inode, struct file *file)
{
	ptf_session_destroy(file->private_data);
	return 0;
}

const struct file_operations ptf_fops = {
	.owner		= THIS_MODULE,
	.open		= ptf_open,
	.release	= ptf_release,
	.read		= ptf_event_read,
	.poll		= ptf_event_poll,
	.mmap		= ptf_memory_mmap,
	.unlocked_ioctl	= ptf_ioctl,
	.compat_ioctl	= compat_ptr_ioctl,
};

static struct miscdevice ptf_misc = {
	.minor	= MISC_DYNAMIC_MINOR,
	.name	= "ptefault",
	.mode	= 0600,
	.fops	= &ptf_fops,
};

int ptf_device_register(void)
{
	return misc_register(&ptf_misc);
}

void ptf_device_unregister(void)
{
	misc_deregister(&ptf_misc);
}
