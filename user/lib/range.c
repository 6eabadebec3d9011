// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Changing translations through a session. The module's own advice goes to the
 * module; the kernel's goes to the kernel, over the pidfd where it is another
 * process's memory.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <time.h>
#include <unistd.h>

#include <ptefault/advise.h>
#include <ptefault/query.h>
#include <ptefault/range.h>
#include <ptefault/row.h>

#include "advice.h"
#include "session.h"

/* Refuse what only PTF_ADVISE_UNCHECKED lets through. */
static int check_class(const struct ptf_session *session, const char *op,
		       const void *addr, size_t length, unsigned int advice,
		       uint32_t flags)
{
	if (flags & PTF_ADVISE_UNCHECKED)
		return 0;
	/* Of a newer module, and unknown here: it may do anything. */
	if (!ptf_advice_name(advice) && ptf_module_has_advice(session, advice))
		return ptf_fail(EPERM, PTF_LAYER_ARGUMENT, op, addr, length, 0,
				"advice %u is unknown to this library", advice);
	return ptf_advice_check(op, addr, length, advice);
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

int ptf_skip_main(const uint64_t *skipped_pages, int err)
{
	int i, best = -1;

	for (i = 0; i < PTF_SKIP_NR; i++)
		if (skipped_pages[i] && (!err || ptf_skip_errno(i) == err) &&
		    (best < 0 || skipped_pages[i] > skipped_pages[best]))
			best = i;
	return best;
}

/* The reason that kept most pages of a range from being served. */
static int main_skip(const struct ptf_advise_result *r)
{
	return ptf_skip_main(r->skipped_pages, 0);
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

static const char *skip_way(int reason, uint32_t flags)
{
	switch (reason) {
	case PTF_SKIP_HOLE:
		return "name a range that is mapped; /proc/PID/maps lists them";
	case PTF_SKIP_EMPTY:
		return "touch the pages first, or drive the fault handler for them";
	case PTF_SKIP_THP:
		if (flags & PTF_ADVISE_F_SPLIT)
			return "it could not be split: try again when nothing uses it";
		if (flags & PTF_ADVISE_F_PMD)
			return "PMD is for whole huge pages: name all of it, or have it SPLIT";
		return "split it (flag or advice SPLIT), or take it as a whole (flag PMD)";
	case PTF_SKIP_KIND:
		return "make a page that is a hint PRESENT first, or choose other memory";
	case PTF_SKIP_PINNED:
		return "wait until the DMA that pins the page is done";
	case PTF_SKIP_FOREIGN:
		return "end what has it: a session, a mark (RESET, UNPOISON) or userfaultfd";
	case PTF_SKIP_SWAPPED:
		return "fault the page in first";
	case PTF_SKIP_NOSPACE:
		return "turn swap on (swapon), or free memory";
	case PTF_SKIP_READONLY:
		return "choose a writable mapping, and a file that may be written";
	case PTF_SKIP_BUSY:
		return "try again";
	default:
		return "choose other memory; ptefault(7) says what each advice serves";
	}
}

int ptf_skip_fail(const char *op, int err, int reason, uint64_t start,
		  uint64_t end, uint64_t at, uint32_t flags)
{
	ptf_fail(err, skip_layer(reason), op, ptf_addr(at), end - start,
		 at - start, "%s", ptf_skip_text(reason));
	ptf_fail_at();
	ptf_fail_way("%s", skip_way(reason, flags));
	return -err;
}

/* Record why the module refused a range, from its counts if they say it. */
static int advise_fail(const char *op, int err, uint64_t start, uint64_t end,
		       uint32_t flags, const struct ptf_advise_result *r)
{
	uint64_t at = r->next >= start && r->next < end ? r->next : start;
	int skip = ptf_skip_main(r->skipped_pages, err);

	/* A strict look counts nothing, and some errnos have one reason. */
	if (skip < 0 && err == ENODATA)
		skip = PTF_SKIP_EMPTY;
	if (skip < 0 && err == ENOMEM)
		skip = PTF_SKIP_HOLE;
	if (skip < 0 && err == ENOSPC)
		skip = PTF_SKIP_NOSPACE;
	if (skip >= 0)
		return ptf_skip_fail(op, err, skip, start, end, at, flags);
	ptf_fail(err, ptf_errno_layer(err), op, ptf_addr(at), end - start,
		 at - start, NULL);
	ptf_fail_at();
	return -err;
}

/* The module refuses flags before it looks at a page. */
static int flags_fail(const char *op, unsigned int advice, uint32_t flags)
{
	static const char *const names[] = {
		"STRICT", "GUP", "PMD", "SPLIT", "ONESHOT",
	};
	char text[64] = "";
	size_t i, at = 0;

	for (i = 0; i < PTF_ARRAY_SIZE(names); i++)
		if (flags & 1U << i)
			at += (size_t)snprintf(text + at, sizeof(text) - at,
					       " %s", names[i]);
	if (flags >> PTF_ARRAY_SIZE(names))
		snprintf(text + at, sizeof(text) - at, " 0x%x", flags >>
			 PTF_ARRAY_SIZE(names) << PTF_ARRAY_SIZE(names));
	ptf_fail(EOPNOTSUPP, PTF_LAYER_ARGUMENT, op, NULL, 0, 0,
		 "a flag has no meaning for %s:%s",
		 ptf_advice_name(advice) ? : "this advice", text);
	switch (advice) {
	case PTF_ADV_UNMAP_FILE:
	case PTF_ADV_UNMAP_FILE_COW:
	case PTF_ADV_EVICT:
		ptf_fail_way("leave the flags out: files are worked on page by page, never all or nothing");
		break;
	default:
		ptf_fail_way("leave the flag out; ptefault(7) says which flags each advice takes");
	}
	return -EOPNOTSUPP;
}

/* Is it the calling process whose memory is meant? */
static bool is_own(const struct ptf_session *session,
		   const struct ptf_target *target)
{
	if (target)
		return target->pid == getpid();
	return session->owner == getpid();
}

/* madvise(2), for the caller's own memory or another process's. */
static int kernel_advise(const struct ptf_session *session,
			 const struct ptf_target *target, const char *op,
			 uint64_t start, uint64_t end, unsigned int advice,
			 struct ptf_advise_result *r)
{
	size_t len = end - start;
	int err;

	if (is_own(session, target)) {
		err = ptf_advise_op(op, (void *)(uintptr_t)start, len, advice,
				    true);
	} else if (target) {
		err = ptf_advise_process_unchecked(target->pidfd, start, len,
						   advice);
		ptf_fail_op(op, err);
	} else {
		ptf_fail(EOPNOTSUPP, PTF_LAYER_PROCESS, op, NULL, 0, 0,
			 "the session was opened by another process");
		ptf_fail_way("open that process as a target");
		return -EOPNOTSUPP;
	}
	r->next = err ? start + ptf_failure_last()->done : end;
	return err;
}

/*
 * SWAPOUT by the kernel's own PAGEOUT, which answers 0 whatever it did and
 * leaves what it wrote in the swap cache, so that the next access would not be
 * a major fault. So: PAGEOUT, wait until it is written, read a byte of each
 * page, which maps them clean out of the swap cache, and PAGEOUT once more:
 * now there is nothing to write and they are gone at once. (A shmem page would
 * only become dirty again by that; its first access may be a minor fault.) The
 * rows before and after tell what moved.
 */

#define SWAPOUT_TRIES 4

/* PTF_SKIP_* for a row that can't be swapped out, -1 if it can. */
static int swap_skip(const struct ptf_row *row, const struct ptf_vma *vma)
{
	if (!vma)
		return PTF_SKIP_HOLE;
	if (vma->flags & PTF_VMA_HUGETLB)
		return PTF_SKIP_HUGETLB;
	if (vma->flags & PTF_VMA_SECRETMEM)
		return PTF_SKIP_SECRETMEM;
	if (vma->flags & (PTF_VMA_SPECIAL | PTF_VMA_PFNMAP | PTF_VMA_IO))
		return PTF_SKIP_SPECIAL;
	switch (row->state) {
	case PTF_STATE_NONE:
		return PTF_SKIP_EMPTY;
	case PTF_STATE_PROTNONE:
		return PTF_SKIP_PROTNONE;
	case PTF_STATE_PRESENT:
	case PTF_STATE_HINT:
		break;
	default:
		return PTF_SKIP_SWAPPED;
	}
	/* Swap is for what has no file; PAGEOUT would drop the others. */
	if (row->kind != PTF_KIND_ANON && row->kind != PTF_KIND_SHMEM &&
	    !(row->kind == PTF_KIND_THP &&
	      (!(vma->flags & PTF_VMA_FILE) || vma->flags & PTF_VMA_SHMEM)))
		return PTF_SKIP_KIND;
	if (vma->flags & PTF_VMA_LOCKED)
		return PTF_SKIP_BUSY;
	if (row->flags & PTF_FOLIO_PINNED)
		return PTF_SKIP_PINNED;
	return -1;
}

static bool in_swap(const struct ptf_row *row)
{
	return row->state == PTF_STATE_SWAP ||
	       (row->state == PTF_STATE_NONE &&
		row->file_state == PTF_FILEMAP_SWAP);
}

static uint64_t row_end(const struct ptf_row *row)
{
	return row->start + row->nr_pages * ptf_page_bytes();
}

/*
 * One read for each page of a run, in whoever's memory it is. Not by
 * process_vm_readv(2): it pins, and a page that is shared after a fork would be
 * copied for that.
 */
static void read_pages(const struct ptf_session *session,
		       const struct ptf_target *target,
		       const struct ptf_row *row)
{
	pid_t pid = is_own(session, target) ? getpid() : target->pid;
	char path[32], byte;
	uint64_t i;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/mem", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	for (i = 0; i < row->nr_pages; i++)
		if (pread(fd, &byte, 1, row->start + i * ptf_page_bytes()) != 1)
			break;
	close(fd);
}

/*
 * Pages that have come in lately may wait on some CPU for their place on the
 * lists that PAGEOUT takes them from, and it asks only its own CPU for them.
 * move_pages(2) asks all CPUs, whatever it is to move: here one page to where it
 * is already.
 */
static void drain_all_cpus(void)
{
	int node = 0, status = 0;
	void *page = &node;

	if (!syscall(SYS_move_pages, 0, 1UL, &page, NULL, &node, 0) &&
	    node >= 0)
		syscall(SYS_move_pages, 0, 1UL, &page, &node, &status, 0);
}

/* One PAGEOUT over every run that can go. */
static int pageout(const struct ptf_session *session,
		   const struct ptf_target *target, const char *op,
		   const struct ptf_report *report)
{
	struct ptf_advise_result r;
	size_t i;
	int err;

	drain_all_cpus();
	for (i = 0; i < report->nr_rows; i++) {
		const struct ptf_row *row = &report->rows[i];

		if (swap_skip(row, ptf_report_vma(report, row)) >= 0)
			continue;
		err = kernel_advise(session, target, op, row->start,
				    row_end(row), MADV_PAGEOUT, &r);
		if (err)
			return err;
	}
	return 0;
}

static int not_written(const struct ptf_row *row, const struct ptf_vma *vma,
		       const char *name, void *arg)
{
	uint64_t *pages = arg;

	(void)vma;
	(void)name;
	if (row->flags & PTF_FOLIO_WRITEBACK)
		*pages += row->nr_pages;
	return 0;
}

static void read_back(const struct ptf_session *session,
		      const struct ptf_target *target,
		      const struct ptf_report *report,
		      const struct ptf_row *row)
{
	const struct ptf_vma *vma = ptf_report_vma(report, row);

	if (swap_skip(row, vma) < 0 && !(vma->flags & PTF_VMA_SHMEM))
		read_pages(session, target, row);
}

/* Until nothing of the range is under writeback, for two seconds at most. */
static void wait_written(const struct ptf_session *session,
			 const struct ptf_target *target,
			 const struct ptf_report *report, uint64_t start,
			 uint64_t end)
{
	struct timespec nap = { .tv_nsec = 1000 * 1000 };
	uint64_t pages;
	size_t i;

	for (int ms = 0; ms < 2000; ms += nap.tv_nsec / 1000000) {
		nanosleep(&nap, NULL);
		for (i = 0; i < report->nr_rows; i++)
			read_back(session, target, report, &report->rows[i]);
		pages = 0;
		if (ptf_session_query(session, target, start, end,
				      PTF_QUERY_F_MAPPED, not_written,
				      &pages) < 0 || !pages)
			return;
		if (nap.tv_nsec < 64 * 1000 * 1000)
			nap.tv_nsec *= 2;
	}
}

/*
 * Is any page that could go still there: mapped, or, as far as the kernel tells
 * that, in the swap cache? Shmem is not asked for the latter, see above.
 */
static bool swap_left(const struct ptf_session *session,
		      const struct ptf_target *target,
		      const struct ptf_report *before)
{
	size_t page = ptf_page_bytes(), i, k;
	struct ptf_report *after;
	unsigned char there;
	bool left = false;

	for (i = 0; i < before->nr_rows && !left; i++) {
		const struct ptf_row *row = &before->rows[i];
		const struct ptf_vma *vma = ptf_report_vma(before, row);

		if (swap_skip(row, vma) >= 0)
			continue;
		if (ptf_report_create(session, target, row->start, row_end(row),
				      PTF_QUERY_F_HOLES, &after) < 0)
			return false;
		for (k = 0; k < after->nr_rows; k++)
			left |= !in_swap(&after->rows[k]);
		ptf_report_free(after);
		if (vma->flags & PTF_VMA_SHMEM || !is_own(session, target))
			continue;
		for (k = 0; k < row->nr_pages && !left; k++)
			left = !mincore((void *)(uintptr_t)(row->start +
							    k * page),
					page, &there) && there & 1;
	}
	return left;
}

/* What the rows say now of the pages that could go: fills in the counts. */
static int swap_count(const struct ptf_session *session,
		      const struct ptf_target *target,
		      const struct ptf_report *before,
		      struct ptf_advise_result *r)
{
	size_t i, k;

	for (i = 0; i < before->nr_rows; i++) {
		const struct ptf_row *row = &before->rows[i], *now;
		int skip = swap_skip(row, ptf_report_vma(before, row));
		struct ptf_report *after;
		ssize_t n;

		if (in_swap(row)) {
			r->same_pages += row->nr_pages;
			continue;
		}
		if (skip >= 0) {
			r->skipped_pages[skip] += row->nr_pages;
			continue;
		}
		n = ptf_report_create(session, target, row->start,
				      row_end(row), PTF_QUERY_F_HOLES, &after);
		if (n < 0)
			return n;
		for (k = 0; k < after->nr_rows; k++) {
			now = &after->rows[k];
			if (in_swap(now))
				r->done_pages += now->nr_pages;
			else
				r->skipped_pages[PTF_SKIP_BUSY] +=
					now->nr_pages;
		}
		ptf_report_free(after);
	}
	return 0;
}

static int swapout(const struct ptf_session *session,
		   const struct ptf_target *target, const char *op,
		   uint64_t start, uint64_t end, uint32_t flags,
		   struct ptf_advise_result *r)
{
	struct ptf_failure_saved saved;
	struct ptf_report *before;
	struct sysinfo info;
	bool any = false;
	size_t i;
	int ret;

	if (flags & ~(PTF_ADVISE_UNCHECKED | PTF_ADVISE_F_STRICT |
		      PTF_ADVISE_F_ONESHOT))
		return flags_fail(op, PTF_ADV_SWAPOUT,
				  flags & ~PTF_ADVISE_UNCHECKED);
	ret = ptf_report_create(session, target, start, end, PTF_QUERY_F_HOLES,
				&before);
	if (ret < 0)
		return ptf_fail_op(op, ret);
	for (i = 0; i < before->nr_rows; i++) {
		const struct ptf_row *row = &before->rows[i];
		int skip = swap_skip(row, ptf_report_vma(before, row));

		any |= skip < 0;
		if (skip < 0 || in_swap(row) ||
		    !(flags & PTF_ADVISE_F_STRICT))
			continue;
		r->next = row->start;
		r->skipped_pages[skip] = row->nr_pages;
		ret = advise_fail(op, ptf_skip_errno(skip), start, end, flags,
				  r);
		goto out;
	}
	if (any && !sysinfo(&info) && !info.freeswap) {
		ret = advise_fail(op, ENOSPC, start, end, flags, r);
		goto out;
	}
	/* A look that fails in between is no failure of the call. */
	ptf_fail_save(&saved);
	/* a page may be busy for a moment */
	for (i = 0; any && i < SWAPOUT_TRIES; i++) {
		ret = pageout(session, target, op, before);
		if (ret)
			break;
		wait_written(session, target, before, start, end);
		ret = pageout(session, target, op, before);
		if (ret || !swap_left(session, target, before))
			break;
	}
	if (ret >= 0)
		ret = swap_count(session, target, before, r);
	if (ret < 0) {
		ptf_fail_op(op, ret);
		goto out;
	}
	ptf_fail_restore(&saved);
	ret = 0;
	r->next = end;
	if (!r->done_pages && !r->same_pages && main_skip(r) >= 0)
		ret = advise_fail(op, ptf_skip_errno(main_skip(r)), start, end,
				  flags, r);
out:
	ptf_report_free(before);
	return ret;
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
	if (!err)
		err = check_class(session, op, ptf_addr(start), end - start,
				  advice, flags);
	if (err)
		goto out;
	if (advice < PTF_ADV_BASE) {
		err = end < start ? -EINVAL : 0;
		if (err)
			ptf_fail(EINVAL, PTF_LAYER_ARGUMENT, op,
				 ptf_addr(start), 0, 0, "end before start");
		else if (flags & ~PTF_ADVISE_UNCHECKED)
			err = flags_fail(op, advice,
					 flags & ~PTF_ADVISE_UNCHECKED);
		else
			err = kernel_advise(session, target, op, start, end,
					    advice, &r);
		goto out;
	}
	err = ptf_range_check(op, start, end);
	if (err)
		goto out;
	if (advice == PTF_ADV_SWAPOUT &&
	    !ptf_module_has_advice(session, advice)) {
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
	if (err == -EINVAL && !arg.out_next) {
		ptf_fail(EINVAL, PTF_LAYER_ARGUMENT, op, ptf_addr(start), 0, 0,
			 ptf_advice_name(advice) ? "no user addresses" :
			 "advice %u is unknown", advice);
		ptf_fail_at();
	} else if (err == -EOPNOTSUPP && !arg.out_next && arg.flags &&
		   ptf_module_has_advice(session, advice)) {
		flags_fail(op, advice, arg.flags);
	} else if (err == -EOPNOTSUPP && main_skip(&r) < 0 &&
		   !ptf_module_has_advice(session, advice)) {
		ptf_fail(EOPNOTSUPP, PTF_LAYER_MODULE, op, NULL, 0, 0,
			 "the module can't serve this advice here");
		ptf_fail_way("`ptefault stat` lists what it can; ptefault(7) says why not the others");
	} else if (err) {
		advise_fail(op, -err, start, end, flags, &r);
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
	/* No file is larger than an offset. */
	if (end == UINT64_MAX)
		end = INT64_MAX & ~(uint64_t)(ptf_page_bytes() - 1);
	err = ptf_range_check(op, start, end);
	if (!err)
		err = check_class(session, op, NULL, end - start, advice, flags);
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
	if (err == -EOPNOTSUPP && arg.flags) {
		flags_fail(op, advice, arg.flags);
	} else if (err == -EINVAL && !ptf_advice_name(advice)) {
		ptf_fail(EINVAL, PTF_LAYER_ARGUMENT, op, NULL, end - start, 0,
			 "advice %u is unknown", advice);
	} else if (err) {
		int skip = ptf_skip_main(r.skipped_pages, -err);

		ptf_fail(-err, err == -ENOTTY ? PTF_LAYER_MODULE :
			 PTF_LAYER_FILEMAP, op, NULL, end - start, 0,
			 skip >= 0 ? "fd %d: %s" : "fd %d", fd,
			 ptf_skip_text(skip));
		if (err == -ENODATA)
			ptf_fail(-err, PTF_LAYER_FILEMAP, op, NULL, end - start,
				 0, "fd %d: nothing of the range is cached or mapped",
				 fd);
		else if (skip >= 0)
			ptf_fail_way("%s", skip_way(skip, flags));
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
	if (err == -EOPNOTSUPP && !arg.out_next &&
	    flags & ~(PTF_FAULT_F_USER | PTF_FAULT_F_STOP))
		ptf_fail(EOPNOTSUPP, PTF_LAYER_ARGUMENT, op, NULL, 0, 0,
			 "flags 0x%x", flags);
out:
	if (result) {
		r.size = result->size;
		memcpy(result, &r, ptf_min_size(result->size, sizeof(r)));
	}
	return err;
}
