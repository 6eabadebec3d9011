/* SPDX-License-Identifier: GPL-2.0-only */
/* What changes an entry: edit.c. Who calls it, and when it flushes: advise.c. */
#ifndef PTF_EDIT_H
#define PTF_EDIT_H

#include "walk.h"

/**
 * struct ptf_edit - one command's edits, in ptf_walk.priv
 * @a: the command; its out_ fields are the counters
 * @dry: only look whether every page could be served
 * @need_flush: an entry was taken away and other CPUs may still hold it
 * @first_skip: enum ptf_skip of the first page left alone, -1 none so far
 */
struct ptf_edit {
	struct ptf_ioc_range_advise *a;
	bool dry;
	bool need_flush;
	int first_skip;
};

int ptf_edit_skip(struct ptf_walk *w, unsigned long addr, unsigned long end, int why);
int ptf_edit_skip_leaf(struct ptf_walk *w, unsigned int level, void *entry,
		       unsigned long addr, unsigned long end);
int ptf_edit_hint_ptes(struct ptf_walk *w, pte_t *ptep, unsigned long addr,
		       unsigned long end);
int ptf_edit_unhint_ptes(struct ptf_walk *w, pte_t *ptep, unsigned long addr,
			 unsigned long end);

#endif /* PTF_EDIT_H */
