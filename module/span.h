/* SPDX-License-Identifier: GPL-2.0-only */
/* Address ranges in an interval tree: what rules and marks have in common. */
#ifndef PTF_SPAN_H
#define PTF_SPAN_H

#include <linux/interval_tree_generic.h>
#include <linux/rbtree.h>

/* @last is inclusive, as the tree wants it. */
struct ptf_span {
	struct rb_node rb;
	unsigned long start;
	unsigned long last;
	unsigned long subtree_last;
};

static inline unsigned long ptf_span_start(struct ptf_span *s)
{
	return s->start;
}

static inline unsigned long ptf_span_last(struct ptf_span *s)
{
	return s->last;
}

INTERVAL_TREE_DEFINE(struct ptf_span, rb, unsigned long, subtree_last, ptf_span_start,
		     ptf_span_last, static __maybe_unused, ptf_span)

#endif /* PTF_SPAN_H */
