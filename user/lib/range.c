// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Changing translations through a session. The module's own advice goes to the
 * module; the kernel's goes to the kernel, over the pidfd where it is another
 * process's memory.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sysinfo.h>

#include <ptefault/advise.h>
#include <ptefault/query.h>
#include <ptefault/range.h>
#include <ptefault/row.h>

#include "advice.h"
#include "session.h"

/* An advice that this library does not know may do anything. */
static bool needs_unchecked(unsigned int advice)
{
	int cls = ptf_advice_class(advice);

	return cls < 0 ? advice < PTF_ADV_BASE : cls >= PTF_CLASS_CONTENT;
}

static void result_out(struct ptf_advise_result *to,
		       const struct ptf_advise_result *from)
{
	uint32_t size;

	if (!to)
		return;
	size = to->size;
	memcpy(to, from, ptf_min_size(size, sizeof(*from)));
	to->size = size;
}

/* The reason that kept most pages of a range from being served. */
static int main_skip(const struct ptf_advise_result *r)
{
	int i, best = -1;

	for (i = 0; i < PTF_SKIP_NR; i++)
		if (r->skipped_pages[i] &&
		    (best < 0 || r->skipped_pages[i] > r->skipped_pages[best]))
			best = i;
	return best;
}

static enum ptf_layer skip_layer(int reason)
{
	switch (reason) {
	case PTF_SKIP_HOLE:
	case PTF_SKIP_PROTNONE:
	case PTF_SKIP_SPECIAL:
	case PTF_SKIP_HUGETLB:
	case PTF_SKIP_SECRETMEM:
	case PTF_SKIP_READONLY:
		return PTF_LAYER_VMA;
	default:
		return PTF_LAYER_PTE;
	}
}

static const char *skip_way(int reason)
{
	switch (reason) {
	case PTF_SKIP_HOLE:
		return "name a range that is mapped; /proc/PID/maps lists them";
	case PTF_SKIP_EMPTY:
		return "touch the pages first, or drive the fault handler for them";
	case PTF_SKIP_THP:
		return "say what to do with a huge page: as a whole (PMD), or split first (SPLIT)";
	case PTF_SKIP_PINNED:
		return "wait until the DMA that pins the page is done";
	case PTF_SKIP_FOREIGN:
		return "end the other session, or the userfaultfd registration";
	case PTF_SKIP_SWAPPED:
		return "fault the page in first";
	case PTF_SKIP_NOSPACE:
		return "turn swap on (swapon), or free memory";
	case PTF_SKIP_READONLY:
		return "choose a writable mapping";
	case PTF_SKIP_BUSY:
		return "try again";
	default:
		return "choose other memory; ptefault(7) says what each advice serves";
	}
}

/* Record why the module refused a range, from its counts if they say it. */
static int advise_fail(const char *op, int err, uint64_t start, uint64_t end,
		       const struct ptf_advise_result *r)
{
	uint64_t at = r->next >= start && r->next < end ? r->next : start;
	int skip = main_skip(r);

	if (skip >= 0 && ptf_skip_errno(skip) == err) {
		ptf_fail(err, skip_layer(skip), op, ptf_addr(at), end - start,
			 at - start, "%s", ptf_skip_text(skip));
		ptf_fail_way("%s", skip_way(skip));
		return -err;
	}
	if (err == ENODATA)
		skip = PTF_SKIP_EMPTY;
	if (err == ENOMEM)
		skip = PTF_SKIP_HOLE;
	ptf_fail(err, ptf_errno_layer(err), op, ptf_addr(at), end - start,
		 at - start, skip >= 0 ? "%s" : NULL, ptf_skip_text(skip));
	if (skip >= 0)
		ptf_fail_way("%s", skip_way(skip));
	return -err;
}

/* madvise(2), for the caller's own memory or another process's. */
static int kernel_advise(const struct ptf_target *target, const char *op,
			 uint64_t start, uint64_t end, unsigned int advice,
			 struct ptf_advise_result *r)
{
	size_t len = end - start;
	int err;

	if (!target || target->id == PTF_TARGET_SELF)
		err = ptf_advise_op(op, (void *)(uintptr_t)start, len, advice,
				    true);
	else
		err = ptf_advise_process_unchecked(target->pidfd, start, len,
						   advice);
	r->next = err ? start + ptf_failure_last()->done : end;
	return err;
}

struct swapped {
	uint64_t present;
	uint64_t swap;
	uint64_t none;
};

static int count_swapped(const struct ptf_row *row, const struct ptf_vma *vma,
			 const char *name, void *arg)
{
	struct swapped *s = arg;

	(void)vma;
	(void)name;
	if (row->state == PTF_STATE_SWAP)
		s->swap += row->nr_pages;
	else if (row->state == PTF_STATE_NONE)
		s->none += row->nr_pages;
	else
		s->present += row->nr_pages;
	return 0;
}

/*
 * SWAPOUT by the kernel's own PAGEOUT. That one answers 0 whatever it did, so
 * the rows before and after tell what moved.
 */
static int swapout(const struct ptf_session *session,
		   const struct ptf_target *target, const char *op,
		   uint64_t start, uint64_t end, uint32_t flags,
		   struct ptf_advise_result *r)
{
	struct swapped before = { 0 }, after = { 0 };
	struct sysinfo info;
	ssize_t n;
	int err;

	if (flags & ~PTF_ADVISE_UNCHECKED) {
		ptf_fail(EOPNOTSUPP, PTF_LAYER_ARGUMENT, op, NULL, 0, 0,
			 "no flag but UNCHECKED goes with SWAPOUT");
		return -EOPNOTSUPP;
	}
	if (!sysinfo(&info) && !info.freeswap) {
		r->next = start;
		return advise_fail(op, ENOSPC, start, end, r);
	}
	n = ptf_session_query(session, target, start, end, PTF_QUERY_F_MAPPED,
			      count_swapped, &before);
	if (n < 0)
		return n;
	if (!before.present && !before.swap)
		return advise_fail(op, before.none ? ENODATA : ENOMEM, start,
				   end, r);
	err = kernel_advise(target, op, start, end, MADV_PAGEOUT, r);
	if (err)
		return err;
	n = ptf_session_query(session, target, start, end, PTF_QUERY_F_MAPPED,
			      count_swapped, &after);
	if (n < 0)
		return n;
	r->next = end;
	r->same_pages = before.swap;
	r->done_pages = after.swap > before.swap ? after.swap - before.swap : 0;
	r->skipped_pages[PTF_SKIP_BUSY] = after.present;
	if (!r->done_pages && after.present)
		return advise_fail(op, EBUSY, start, end, r);
	return 0;
}

int ptf_session_advise(const struct ptf_session *session,
		       const struct ptf_target *target, uint64_t start,
		       uint64_t end, unsigned int advice, uint32_t flags,
		       struct ptf_advise_result *result)
{
	static const char op[] = "ptf_session_advise";
	struct ptf_ioc_range_advise arg = { .size = sizeof(arg) };
	struct ptf_advise_result r = { .size = sizeof(r), .next = start };
	int err;

	if (result && result->size < offsetof(struct ptf_advise_result, next))
		return ptf_fail(EINVAL, PTF_LAYER_ARGUMENT, op, NULL, 0, 0,
				"result struct without its size");
	err = ptf_target_check(session, target, op);
	if (!err && needs_unchecked(advice) && !(flags & PTF_ADVISE_UNCHECKED))
		err = ptf_fail(EPERM, PTF_LAYER_ARGUMENT, op, ptf_addr(start),
			       end - start, 0, NULL);
	if (err)
		goto out;
	if (advice < PTF_ADV_BASE) {
		err = end < start ? -EINVAL : 0;
		if (err)
			ptf_fail(EINVAL, PTF_LAYER_ARGUMENT, op,
				 ptf_addr(start), 0, 0, "end before start");
		else if (flags & ~PTF_ADVISE_UNCHECKED)
			err = ptf_fail(EOPNOTSUPP, PTF_LAYER_ARGUMENT, op,
				       NULL, 0, 0,
				       "the kernel's advice takes no flags");
		else
			err = kernel_advise(target, op, start, end, advice, &r);
		goto out;
	}
	err = ptf_range_check(op, start, end);
	if (err)
		goto out;
	if (advice == PTF_ADV_SWAPOUT &&
	    !ptf_session_has_advice(session, advice)) {
		err = swapout(session, target, op, start, end, flags, &r);
		goto out;
	}
	arg.flags = flags & ~PTF_ADVISE_UNCHECKED;
	arg.target = ptf_target_id(target);
	arg.advice = advice;
	arg.start = start;
	arg.end = end;
	err = ptf_ioctl(session, PTF_IOC_RANGE_ADVISE, &arg);
	if (arg.out_next)
		r.next = arg.out_next;
	r.done_pages = arg.out_done_pages;
	r.same_pages = arg.out_same_pages;
	r.large_pages = arg.out_large_pages;
	r.flushes = arg.out_flushes;
	memcpy(r.skipped_pages, arg.out_skipped_pages,
	       sizeof(r.skipped_pages));
	if (err == -EOPNOTSUPP && main_skip(&r) < 0 &&
	    !ptf_session_has_advice(session, advice)) {
		ptf_fail(EOPNOTSUPP, PTF_LAYER_MODULE, op, NULL, 0, 0,
			 "the module can't serve this advice here");
		ptf_fail_way("`ptefault stat` lists what it can; ptefault(7) says why not the others");
	} else if (err) {
		advise_fail(op, -err, start, end, &r);
	}
out:
	result_out(result, &r);
	return err;
}

int ptf_session_file_advise(const struct ptf_session *session, int fd,
			    uint64_t start, uint64_t end, unsigned int advice,
			    uint32_t flags, struct ptf_advise_result *result)
{
	static const char op[] = "ptf_session_file_advise";
	struct ptf_ioc_file_advise arg = { .size = sizeof(arg) };
	struct ptf_advise_result r = { .size = sizeof(r), .next = start };
	int err;

	if (result && result->size < offsetof(struct ptf_advise_result, next))
		return ptf_fail(EINVAL, PTF_LAYER_ARGUMENT, op, NULL, 0, 0,
				"result struct without its size");
	if (end == UINT64_MAX)
		end &= ~(uint64_t)(ptf_page_bytes() - 1);
	err = ptf_range_check(op, start, end);
	if (!err && needs_unchecked(advice) && !(flags & PTF_ADVISE_UNCHECKED))
		err = ptf_fail(EPERM, PTF_LAYER_ARGUMENT, op, NULL,
			       end - start, 0, NULL);
	if (err)
		goto out;
	arg.flags = flags & ~PTF_ADVISE_UNCHECKED;
	arg.fd = fd;
	arg.advice = advice;
	arg.start = start;
	arg.end = end;
	err = ptf_ioctl(session, PTF_IOC_FILE_ADVISE, &arg);
	r.done_pages = arg.out_done_pages;
	memcpy(r.skipped_pages, arg.out_skipped_pages,
	       sizeof(r.skipped_pages));
	if (err) {
		int skip = main_skip(&r);

		ptf_fail(-err, err == -ENOTTY ? PTF_LAYER_MODULE :
			 PTF_LAYER_FILEMAP, op, NULL, end - start, 0,
			 skip >= 0 ? "fd %d: %s" : "fd %d", fd,
			 ptf_skip_text(skip));
	} else {
		r.next = end;
	}
out:
	result_out(result, &r);
	return err;
}

int ptf_session_fault(const struct ptf_session *session,
		      const struct ptf_target *target, uint64_t start,
		      uint64_t end, uint32_t access, uint32_t flags,
		      uint8_t *results, struct ptf_fault_result *result)
{
	static const char op[] = "ptf_session_fault";
	struct ptf_ioc_range_fault arg = { .size = sizeof(arg) };
	struct ptf_fault_result r = { .size = sizeof(r), .next = start };
	int err;

	if (result && result->size < offsetof(struct ptf_fault_result, next))
		return ptf_fail(EINVAL, PTF_LAYER_ARGUMENT, op, NULL, 0, 0,
				"result struct without its size");
	err = ptf_target_check(session, target, op);
	if (!err)
		err = ptf_range_check(op, start, end);
	if (err)
		goto out;
	arg.flags = flags;
	arg.target = ptf_target_id(target);
	arg.access = access;
	arg.start = start;
	arg.end = end;
	arg.results = (uintptr_t)results;
	err = ptf_ioctl(session, PTF_IOC_RANGE_FAULT, &arg);
	if (arg.out_next)
		r.next = arg.out_next;
	r.minor = arg.out_minor;
	r.major = arg.out_major;
	r.failed = arg.out_failed;
	if (err)
		ptf_fail(-err, ptf_errno_layer(-err), op, ptf_addr(r.next),
			 end - start, r.next - start, NULL);
out:
	if (result) {
		r.size = result->size;
		memcpy(result, &r, ptf_min_size(result->size, sizeof(r)));
	}
	return err;
}
