// SPDX-License-Identifier: GPL-2.0-only
/*
 * Events by generic netlink: all of all sessions, to the multicast group
 * "events", for CAP_SYS_ADMIN in the initial network namespace alone. The names
 * are in ptefault.yaml. Nothing is built while nobody listens.
 *
 * netlink says who was too slow only of listeners that asked for it, by the
 * socket option NETLINK_BROADCAST_ERROR, or if it was all of them: that is what
 * the attribute "lost" counts. Each listener is told by ENOBUFS in any case, and
 * can see by seq how much it missed.
 */
#include <linux/module.h>
#include <linux/sched/signal.h>
#include <net/genetlink.h>
#include "rule.h"

static const struct genl_multicast_group ptf_netlink_groups[] = {
	{ .name = PTF_GENL_MCGRP_EVENTS, .flags = GENL_MCAST_CAP_SYS_ADMIN },
};

static struct genl_family ptf_netlink_family __ro_after_init = {
	.name		= PTF_GENL_NAME,
	.version	= PTF_GENL_VERSION,
	.maxattr	= PTF_GENL_A_LAST,
	.module		= THIS_MODULE,
	.mcgrps		= ptf_netlink_groups,
	.n_mcgrps	= ARRAY_SIZE(ptf_netlink_groups),
};

static int ptf_netlink_put(struct sk_buff *skb, struct ptf_queue *q,
			   const struct ptf_event *ev)
{
	/* whoever takes part in the end of an address space need not be of it */
	bool gone = ev->type == PTF_EVENT_GONE;

	return nla_put_u32(skb, PTF_GENL_A_SESSION, q->session) ?:
	       nla_put_u64_64bit(skb, PTF_GENL_A_LOST, atomic64_read(&q->netlink_lost),
				 PTF_GENL_A_PAD) ?:
	       nla_put_u32(skb, PTF_GENL_A_TYPE, ev->type) ?:
	       nla_put_u64_64bit(skb, PTF_GENL_A_SEQ, ev->seq, PTF_GENL_A_PAD) ?:
	       nla_put_u64_64bit(skb, PTF_GENL_A_TIME_NS, ev->time_ns, PTF_GENL_A_PAD) ?:
	       nla_put_u64_64bit(skb, PTF_GENL_A_RULE, ev->rule, PTF_GENL_A_PAD) ?:
	       nla_put_u64_64bit(skb, PTF_GENL_A_HELD, ev->held, PTF_GENL_A_PAD) ?:
	       nla_put_u64_64bit(skb, PTF_GENL_A_ADDR, ev->addr, PTF_GENL_A_PAD) ?:
	       nla_put_u64_64bit(skb, PTF_GENL_A_IP, ev->ip, PTF_GENL_A_PAD) ?:
	       nla_put_u64_64bit(skb, PTF_GENL_A_PTE, ev->pte, PTF_GENL_A_PAD) ?:
	       nla_put_u32(skb, PTF_GENL_A_PID, gone ? 0 : task_tgid_nr(current)) ?:
	       nla_put_u32(skb, PTF_GENL_A_TID, gone ? 0 : task_pid_nr(current)) ?:
	       nla_put_u32(skb, PTF_GENL_A_TARGET, ev->target) ?:
	       nla_put_u8(skb, PTF_GENL_A_ACCESS, ev->access) ?:
	       nla_put_u8(skb, PTF_GENL_A_ORIGIN, ev->origin) ?:
	       nla_put_u8(skb, PTF_GENL_A_ACTION, ev->action) ?:
	       nla_put_u8(skb, PTF_GENL_A_STATE, ev->state) ?:
	       nla_put_u8(skb, PTF_GENL_A_ANSWER, ev->answer);
}

static bool ptf_netlink_heard(void)
{
	return genl_has_listeners(&ptf_netlink_family, &init_net, 0);
}

/* In the context of the fault, which may sleep; but GONE comes under a spinlock. */
void ptf_netlink_send(struct ptf_queue *q, const struct ptf_event *ev)
{
	gfp_t gfp = ev->type == PTF_EVENT_GONE ? GFP_ATOMIC | __GFP_NOWARN : GFP_KERNEL;
	struct sk_buff *skb;
	void *hdr;
	int err;

	if (likely(!ptf_netlink_heard()))
		return;
	skb = genlmsg_new(GENLMSG_DEFAULT_SIZE, gfp);
	if (!skb)
		goto lost;
	hdr = genlmsg_put(skb, 0, 0, &ptf_netlink_family, 0, PTF_GENL_CMD_EVENT);
	if (!hdr || ptf_netlink_put(skb, q, ev)) {
		nlmsg_free(skb);
		goto lost;
	}
	genlmsg_end(skb, hdr);
	err = genlmsg_multicast(&ptf_netlink_family, skb, 0, 0, gfp);
	/* a listener that is not there any more has lost nothing */
	if (err == -ENOBUFS || (err == -ESRCH && ptf_netlink_heard()))
		goto lost;
	return;
lost:
	atomic64_inc(&q->netlink_lost);
}

int __init ptf_netlink_init(void)
{
	return genl_register_family(&ptf_netlink_family);
}

void ptf_netlink_exit(void)
{
	genl_unregister_family(&ptf_netlink_family);
}
