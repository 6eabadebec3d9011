// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Write tracking, three ways behind one face: the module, userfaultfd's
 * asynchronous write protection read by PAGEMAP_SCAN, and the soft-dirty bits.
 *
 * The two ways without the module follow the memory that was mapped writable at
 * the start, kept as a list of areas; soft-dirty bits tell of newer mappings
 * too. A way that would miss writes or lose them is not taken: it is an errno.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/userfaultfd.h>

#include <ptefault/row.h>
#include <ptefault/track.h>
#include <ptefault/vma.h>

#include "session.h"

/* Newer than some headers (Linux 6.7). */
#ifndef UFFD_FEATURE_WP_ASYNC
#define UFFD_FEATURE_WP_ASYNC	(1 << 15)
#endif
#ifndef UFFD_FEATURE_WP_UNPOPULATED
#define UFFD_FEATURE_WP_UNPOPULATED (1 << 13)
#endif
#ifndef UFFD_FEATURE_WP_HUGETLBFS_SHMEM
#define UFFD_FEATURE_WP_HUGETLBFS_SHMEM (1 << 12)
#endif
#ifndef UFFD_USER_MODE_ONLY
#define UFFD_USER_MODE_ONLY	1
#endif

#define SCAN_WPALLOWED		(1ULL << 0)
#define SCAN_WRITTEN		(1ULL << 1)
#define SCAN_F_WP_MATCHING	(1ULL << 0)
#define SCAN_F_CHECK_WPASYNC	(1ULL << 1)

struct scan_region {
	uint64_t start;
	uint64_t end;
	uint64_t categories;
};

struct scan_arg {
	uint64_t size;
	uint64_t flags;
	uint64_t start;
	uint64_t end;
	uint64_t walk_end;
	uint64_t vec;
	uint64_t vec_len;
	uint64_t max_pages;
	uint64_t category_inverted;
	uint64_t category_mask;
	uint64_t category_anyof_mask;
	uint64_t return_mask;
};

#define PAGEMAP_SCAN_NR		_IOWR('f', 16, struct scan_arg)

#define PM_SOFT_DIRTY		(1ULL << 55)
#define PM_SWAPPED		(1ULL << 62)
#define PM_PRESENT		(1ULL << 63)

#define RANGES_AT_ONCE	512
#define WORDS_AT_ONCE	2048

struct area {
	uint64_t start;
	uint64_t end;
};

struct ptf_track {
	const struct ptf_session *session;
	unsigned int method;
	uint32_t flags;
	uint32_t target;	/* the module's number of it */
	pid_t pid;		/* without the module */
	pid_t owner;		/* who started it */
	uint64_t start;
	uint64_t end;
	int uffd;
	int pagemap;
	struct area *areas;	/* without the module: sorted */
	size_t nr_areas;
	struct ptf_track_info info;
};

/* Runs that touch become one on their way to the caller. */
struct out {
	ptf_track_fn fn;
	void *arg;
	uint64_t start;
	uint64_t end;		/* 0: none is held back */
	uint64_t pages;
};

static int out_flush(struct out *o)
{
	uint64_t start = o->start, end = o->end;

	o->end = 0;
	return end && o->fn ? o->fn(start, end, o->arg) : 0;
}

static int out_add(struct out *o, uint64_t start, uint64_t end)
{
	int ret = 0;

	o->pages += (end - start) / ptf_page_bytes();
	if (o->end && o->end == start) {
		o->end = end;
		return 0;
	}
	ret = out_flush(o);
	o->start = start;
	o->end = end;
	return ret;
}

/* ------------------------------------------------------------------ */
/* Over the module                                                     */

static int module_start(struct ptf_track *t, const char *op)
{
	struct ptf_ioc_track_start arg = { .size = sizeof(arg) };
	int err, skip;

	arg.flags = t->flags;
	arg.target = t->target;
	arg.start = t->start;
	arg.end = t->end;
	err = ptf_ioctl(t->session, PTF_IOC_TRACK_START, &arg);
	memcpy(t->info.skipped_pages, arg.out_skipped_pages,
	       sizeof(t->info.skipped_pages));
	if (err) {
		skip = ptf_skip_main(t->info.skipped_pages, -err);
		if (skip >= 0)
			return ptf_skip_fail(op, -err, skip, t->start, t->end,
					     t->start, 0);
		ptf_fail(-err, ptf_errno_layer(-err), op, ptf_addr(t->start),
			 0, 0, err == -EBUSY ?
			 "another session tracks this address space" : NULL);
		if (err == -EBUSY)
			ptf_fail_way("wait until that session ends");
		return err;
	}
	t->info.pages = arg.out_pages;
	return 0;
}

static int module_read(struct ptf_track *t, uint64_t start, uint64_t end,
		       bool take, struct out *o, const char *op)
{
	struct ptf_ioc_track_read arg;
	struct ptf_range *ranges;
	uint64_t i;
	int ret = 0;

	ranges = calloc(RANGES_AT_ONCE, sizeof(*ranges));
	if (!ranges)
		return ptf_fail(ENOMEM, PTF_LAYER_NONE, op, NULL, 0, 0, NULL);
	while (start < end && !ret) {
		memset(&arg, 0, sizeof(arg));
		arg.size = sizeof(arg);
		arg.flags = take ? PTF_TRACK_F_TAKE : 0;
		arg.target = t->target;
		arg.start = start;
		arg.end = end;
		arg.ranges = (uintptr_t)ranges;
		arg.nr_ranges = RANGES_AT_ONCE;
		ret = ptf_ioctl(t->session, PTF_IOC_TRACK_READ, &arg);
		if (ret) {
			ptf_fail(-ret, ptf_errno_layer(-ret), op,
				 ptf_addr(start), 0, 0, NULL);
			break;
		}
		for (i = 0; i < arg.out_ranges && !ret; i++)
			ret = out_add(o, ranges[i].start, ranges[i].end);
		if (arg.out_next <= start && !ret)
			ret = ptf_fail(EIO, PTF_LAYER_MODULE, op,
				       ptf_addr(start), 0, 0,
				       "the module does not go on");
		start = arg.out_next;
	}
	free(ranges);
	return ret;
}

/* ------------------------------------------------------------------ */
/* What is mapped                                                      */

static bool is_stack(const struct ptf_track *t, const struct ptf_vma_entry *e)
{
	return t->flags & PTF_TRACK_F_NOSTACK && !strcmp(e->name, "[stack]");
}

/* Why nothing of the range can be written: of what comes first, as the module. */
static int areas_none(const struct ptf_track *t, const struct ptf_vma_list *list,
		      const char *op)
{
	const struct ptf_vma_entry *e = ptf_vma_list_find(list, t->start);
	int reason = !e ? PTF_SKIP_HOLE :
		     e->prot == PROT_NONE ? PTF_SKIP_PROTNONE : PTF_SKIP_READONLY;

	if (e && e->prot & PROT_WRITE)
		return ptf_fail(ENOMEM, PTF_LAYER_VMA, op, ptf_addr(t->start), 0,
				0, "nothing but the stack, which is left out");
	return ptf_skip_fail(op, ptf_skip_errno(reason), reason, t->start, t->end,
			     t->start, 0);
}

/* The areas of the range that can be written, as they are mapped now. */
static int areas_find(struct ptf_track *t, const char *op)
{
	const struct ptf_vma_entry *e;
	struct ptf_vma_list *list;
	struct area *a;
	size_t i;
	int err;

	err = ptf_vma_list_create(t->pid, &list);
	if (err)
		return ptf_fail_op(op, err);
	t->areas = calloc(ptf_vma_list_count(list) + 1, sizeof(*t->areas));
	if (!t->areas) {
		ptf_vma_list_destroy(list);
		return ptf_fail(ENOMEM, PTF_LAYER_NONE, op, NULL, 0, 0, NULL);
	}
	for (i = 0; (e = ptf_vma_list_at(list, i)); i++) {
		if (!(e->prot & PROT_WRITE) || is_stack(t, e) ||
		    e->end <= t->start || e->start >= t->end)
			continue;
		a = &t->areas[t->nr_areas++];
		a->start = e->start > t->start ? e->start : t->start;
		a->end = e->end < t->end ? e->end : t->end;
	}
	err = t->nr_areas ? 0 : areas_none(t, list, op);
	ptf_vma_list_destroy(list);
	return err;
}

static int pagemap_open(struct ptf_track *t, const char *op)
{
	char path[64];
	int err;

	snprintf(path, sizeof(path), "/proc/%d/pagemap", (int)t->pid);
	t->pagemap = open(path, O_RDONLY | O_CLOEXEC);
	if (t->pagemap >= 0)
		return 0;
	err = errno == ENOENT ? ESRCH : errno;
	return ptf_fail(err, PTF_LAYER_PROCESS, op, NULL, 0, 0, "%s", path);
}

/* ------------------------------------------------------------------ */
/* userfaultfd and PAGEMAP_SCAN                                        */

/* An fd that write-protects without asking anyone, or -1. */
static int uffd_async(void)
{
	struct uffdio_api api = {
		.api = UFFD_API,
		.features = UFFD_FEATURE_WP_ASYNC | UFFD_FEATURE_WP_UNPOPULATED |
			    UFFD_FEATURE_WP_HUGETLBFS_SHMEM,
	};
	int fd, saved;

	/* No fault ever comes to user space: what needs no right will do. */
	fd = (int)syscall(SYS_userfaultfd,
			  O_CLOEXEC | O_NONBLOCK | UFFD_USER_MODE_ONLY);
	if (fd < 0)
		return -1;
	if (!ioctl(fd, UFFDIO_API, &api))
		return fd;
	saved = errno;
	close(fd);
	errno = saved;
	return -1;
}

/* Regions found, or a negative errno. */
static int scan(const struct ptf_track *t, struct scan_arg *arg, uint64_t start,
		uint64_t end, uint64_t flags, struct scan_region *vec,
		size_t nr)
{
	int ret;

	memset(arg, 0, sizeof(*arg));
	arg->size = sizeof(*arg);
	arg->flags = flags;
	arg->start = start;
	arg->end = end;
	arg->vec = (uintptr_t)vec;
	arg->vec_len = nr;
	arg->category_mask = SCAN_WPALLOWED | SCAN_WRITTEN;
	arg->return_mask = SCAN_WRITTEN;
	ret = ioctl(t->pagemap, PAGEMAP_SCAN_NR, arg);
	return ret < 0 ? -errno : ret;
}

static int scan_start(struct ptf_track *t, const char *op)
{
	uint64_t page = ptf_page_bytes();
	struct uffdio_register reg;
	struct scan_arg arg;
	struct area *a;
	size_t i, kept = 0;
	int err;

	t->uffd = uffd_async();
	if (t->uffd < 0) {
		ptf_fail(EOPNOTSUPP, PTF_LAYER_PTE, op, NULL, 0, 0,
			 "no asynchronous write protection: %s",
			 strerrordesc_np(errno));
		ptf_fail_way("load the module, or run Linux 6.7 or newer with userfaultfd");
		return -EOPNOTSUPP;
	}
	err = pagemap_open(t, op);
	if (!err)
		err = areas_find(t, op);
	if (err)
		return err;
	for (i = 0; i < t->nr_areas; i++) {
		a = &t->areas[i];
		memset(&reg, 0, sizeof(reg));
		reg.range.start = a->start;
		reg.range.len = a->end - a->start;
		reg.mode = UFFDIO_REGISTER_MODE_WP;
		if (ioctl(t->uffd, UFFDIO_REGISTER, &reg)) {
			/* Another userfaultfd's, or what it can't serve. */
			t->info.skipped_pages[errno == EBUSY ? PTF_SKIP_FOREIGN :
					      PTF_SKIP_SPECIAL] +=
				(a->end - a->start) / page;
			continue;
		}
		/* Written pages of the time before are protected in one go. */
		err = scan(t, &arg, a->start, a->end, SCAN_F_WP_MATCHING |
			   SCAN_F_CHECK_WPASYNC, NULL, 0);
		if (err < 0)
			return ptf_fail(-err, PTF_LAYER_PTE, op,
					ptf_addr(a->start), a->end - a->start,
					0, "PAGEMAP_SCAN");
		t->info.pages += (a->end - a->start) / page;
		t->areas[kept++] = *a;
	}
	t->nr_areas = kept;
	if (kept)
		return 0;
	err = t->info.skipped_pages[PTF_SKIP_FOREIGN] ? EBUSY : EOPNOTSUPP;
	return ptf_fail(err, PTF_LAYER_VMA, op, ptf_addr(t->start), 0, 0,
			err == EBUSY ? "another userfaultfd has it" : NULL);
}

static int scan_read(struct ptf_track *t, uint64_t start, uint64_t end,
		     bool take, struct out *o, const char *op)
{
	struct scan_region *vec;
	struct scan_arg arg;
	uint64_t at, to;
	size_t i;
	int ret = 0, n, k;

	vec = calloc(RANGES_AT_ONCE, sizeof(*vec));
	if (!vec)
		return ptf_fail(ENOMEM, PTF_LAYER_NONE, op, NULL, 0, 0, NULL);
	for (i = 0; i < t->nr_areas && !ret; i++) {
		at = start > t->areas[i].start ? start : t->areas[i].start;
		to = end < t->areas[i].end ? end : t->areas[i].end;
		while (at < to && !ret) {
			n = scan(t, &arg, at, to, take ? SCAN_F_WP_MATCHING : 0,
				 vec, RANGES_AT_ONCE);
			if (n < 0) {
				ret = ptf_fail(-n, PTF_LAYER_PTE, op,
					       ptf_addr(at), 0, 0,
					       "PAGEMAP_SCAN");
				break;
			}
			for (k = 0; k < n && !ret; k++)
				ret = out_add(o, vec[k].start, vec[k].end);
			if (arg.walk_end <= at)
				break;
			at = arg.walk_end;
		}
	}
	free(vec);
	return ret;
}

/* ------------------------------------------------------------------ */
/* Soft-dirty bits                                                     */

/*
 * A kernel without them takes the "4" all the same and shows no bit ever; one
 * that has them shows it on what was just mapped and written.
 */
static bool soft_dirty_works(void)
{
	size_t page = ptf_page_bytes();
	volatile char *p = mmap(NULL, page, PROT_READ | PROT_WRITE,
				MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint64_t word = 0;
	int fd;

	if (p == MAP_FAILED)
		return false;
	*p = 1;
	fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	if (fd >= 0) {
		if (pread(fd, &word, sizeof(word),
			  (off_t)((uintptr_t)p / page * 8)) != sizeof(word))
			word = 0;
		close(fd);
	}
	munmap((void *)p, page);
	return word & PM_SOFT_DIRTY;
}

static int soft_dirty_start(struct ptf_track *t, const char *op)
{
	char path[64];
	size_t i;
	int fd, err;

	if (!soft_dirty_works()) {
		ptf_fail(EOPNOTSUPP, PTF_LAYER_PTE, op, NULL, 0, 0,
			 "this kernel has no soft-dirty bits");
		ptf_fail_way("load the module, or run a kernel with CONFIG_MEM_SOFT_DIRTY");
		return -EOPNOTSUPP;
	}
	err = pagemap_open(t, op);
	if (!err)
		err = areas_find(t, op);
	if (err)
		return err;
	snprintf(path, sizeof(path), "/proc/%d/clear_refs", (int)t->pid);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, "4", 1) != 1) {
		err = ptf_fail(errno, PTF_LAYER_PROCESS, op, NULL, 0, 0, "%s",
			       path);
		if (fd >= 0)
			close(fd);
		return err;
	}
	close(fd);
	for (i = 0; i < t->nr_areas; i++)
		t->info.pages += (t->areas[i].end - t->areas[i].start) /
				 ptf_page_bytes();
	return 0;
}

/* The written pages of [start, end), which is mapped as one. */
static int soft_dirty_pages(struct ptf_track *t, uint64_t start, uint64_t end,
			    uint64_t *words, struct out *o, const char *op)
{
	size_t page = ptf_page_bytes(), n, i;
	ssize_t got;
	int ret = 0;

	while (start < end && !ret) {
		n = ptf_min_size((end - start) / page, WORDS_AT_ONCE);
		got = pread(t->pagemap, words, n * sizeof(*words),
			    (off_t)(start / page * sizeof(*words)));
		if (got < 0)
			return ptf_fail(errno, PTF_LAYER_PROCESS, op,
					ptf_addr(start), 0, 0, "pagemap");
		/* Nothing more: its address space has ended. */
		if (!got)
			return ptf_fail(ESRCH, PTF_LAYER_PROCESS, op,
					ptf_addr(start), 0, 0, NULL);
		n = (size_t)got / sizeof(*words);
		for (i = 0; i < n && !ret; i++)
			if (words[i] & PM_SOFT_DIRTY &&
			    words[i] & (PM_PRESENT | PM_SWAPPED))
				ret = out_add(o, start + i * page,
					      start + (i + 1) * page);
		start += n * page;
	}
	return ret;
}

static bool was_writable(const struct ptf_track *t, uint64_t start,
			 uint64_t end, struct area *part, size_t *at)
{
	for (; *at < t->nr_areas; ++*at) {
		const struct area *a = &t->areas[*at];

		part->start = start > a->start ? start : a->start;
		part->end = end < a->end ? end : a->end;
		if (part->start < part->end) {
			++*at;
			return true;
		}
	}
	return false;
}

static int soft_dirty_read(struct ptf_track *t, uint64_t start, uint64_t end,
			   struct out *o, const char *op)
{
	const struct ptf_vma_entry *e;
	struct ptf_vma_list *list;
	uint64_t *words, at, to;
	struct area part;
	size_t i, k;
	int ret;

	if (start < t->start)
		start = t->start;
	if (end > t->end)
		end = t->end;
	ret = ptf_vma_list_create(t->pid, &list);
	if (ret)
		return ptf_fail_op(op, ret);
	words = calloc(WORDS_AT_ONCE, sizeof(*words));
	if (!words)
		ret = ptf_fail(ENOMEM, PTF_LAYER_NONE, op, NULL, 0, 0, NULL);
	for (i = 0; !ret && (e = ptf_vma_list_at(list, i)); i++) {
		at = e->start > start ? e->start : start;
		to = e->end < end ? e->end : end;
		if (at >= to || is_stack(t, e))
			continue;
		/* What is read-only now may have been written before. */
		if (e->prot & PROT_WRITE) {
			ret = soft_dirty_pages(t, at, to, words, o, op);
			continue;
		}
		for (k = 0; !ret && was_writable(t, at, to, &part, &k); )
			ret = soft_dirty_pages(t, part.start, part.end, words,
					       o, op);
	}
	free(words);
	ptf_vma_list_destroy(list);
	return ret;
}

/* ------------------------------------------------------------------ */
/* The face                                                            */

static int start_method(struct ptf_track *t, unsigned int method,
			const char *op)
{
	bool own = t->pid == getpid();

	t->method = method;
	switch (method) {
	case PTF_TRACK_MODULE:
		if (!t->session)
			return ptf_fail(EINVAL, PTF_LAYER_ARGUMENT, op, NULL, 0,
					0, "the module needs a session");
		return module_start(t, op);
	case PTF_TRACK_SCAN:
		if (own)
			return scan_start(t, op);
		ptf_fail(EOPNOTSUPP, PTF_LAYER_PROCESS, op, NULL, 0, 0,
			 "a userfaultfd is for the process that opens it");
		ptf_fail_way("load the module, or use soft-dirty bits");
		return -EOPNOTSUPP;
	case PTF_TRACK_SOFT_DIRTY:
		if (t->pid > 0)
			return soft_dirty_start(t, op);
		return ptf_fail(ESRCH, PTF_LAYER_PROCESS, op, NULL, 0, 0,
				"whose session this is isn't known");
	}
	return ptf_fail(EINVAL, PTF_LAYER_ARGUMENT, op, NULL, 0, 0,
			"no such method");
}

static void let_go(struct ptf_track *t)
{
	/* That takes the protection off, too. */
	if (t->uffd >= 0)
		close(t->uffd);
	if (t->pagemap >= 0)
		close(t->pagemap);
	free(t->areas);
	t->areas = NULL;
	t->nr_areas = 0;
	t->uffd = -1;
	t->pagemap = -1;
	memset(&t->info, 0, sizeof(t->info));
}

static int start_any(struct ptf_track *t, const char *op)
{
	struct ptf_failure_saved saved;
	int err;

	if (t->session &&
	    t->session->features.out_features & PTF_FEATURE_TRACK)
		return start_method(t, PTF_TRACK_MODULE, op);
	ptf_fail_save(&saved);
	err = start_method(t, PTF_TRACK_SCAN, op);
	if (err != -EOPNOTSUPP)
		return err;
	let_go(t);
	err = start_method(t, PTF_TRACK_SOFT_DIRTY, op);
	if (!err)
		ptf_fail_restore(&saved);
	return err;
}

int ptf_track_start(const struct ptf_session *session,
		    const struct ptf_target *target, uint64_t start,
		    uint64_t end, const struct ptf_track_options *opts,
		    struct ptf_track **out)
{
	struct ptf_track_options o;
	struct ptf_track *t;
	int err;

	*out = NULL;
	err = ptf_opts_copy(&o, sizeof(o), sizeof(o), opts, __func__);
	if (!err)
		err = ptf_range_check(__func__, start, end);
	if (!err && session)
		err = ptf_target_check(session, target, __func__);
	if (err)
		return err;
	if (o.flags & ~PTF_TRACK_F_NOSTACK)
		return ptf_fail(EOPNOTSUPP, PTF_LAYER_ARGUMENT, __func__, NULL,
				0, 0, "unknown flag");
	if ((target && !session) || (o.pid && session) || o.pid < 0)
		return ptf_fail(EINVAL, PTF_LAYER_ARGUMENT, __func__, NULL, 0,
				0, "a pid is for tracking without a session, a target for with one");
	t = calloc(1, sizeof(*t));
	if (!t)
		return ptf_fail(ENOMEM, PTF_LAYER_NONE, __func__, NULL, 0, 0,
				NULL);
	t->session = session;
	t->target = ptf_target_id(target);
	t->flags = o.flags;
	t->start = start;
	t->end = end;
	t->owner = getpid();
	t->uffd = -1;
	t->pagemap = -1;
	t->pid = target ? target->pid : session ? session->owner :
		 o.pid ? o.pid : getpid();
	err = o.method == PTF_TRACK_ANY ? start_any(t, __func__) :
	      start_method(t, o.method, __func__);
	if (err) {
		let_go(t);
		free(t);
		return err;
	}
	*out = t;
	return 0;
}

void ptf_track_stop(struct ptf_track *track)
{
	struct ptf_ioc_track_stop arg = { .size = sizeof(arg) };
	int saved = errno;

	if (!track)
		return;
	/* A child shares the session; the tracking stays the parent's. */
	if (track->method == PTF_TRACK_MODULE && track->owner == getpid()) {
		arg.target = track->target;
		ptf_ioctl(track->session, PTF_IOC_TRACK_STOP, &arg);
	}
	let_go(track);
	free(track);
	errno = saved;
}

int ptf_track_query(const struct ptf_track *track, struct ptf_track_info *info)
{
	struct ptf_track_info full = track->info;

	if (info->size < offsetof(struct ptf_track_info, pages))
		return ptf_fail(EINVAL, PTF_LAYER_ARGUMENT, __func__, info,
				sizeof(full), info->size, "struct too short");
	full.size = info->size;
	full.method = track->method;
	memcpy(info, &full, ptf_min_size(info->size, sizeof(full)));
	return 0;
}

const char *ptf_track_method_name(unsigned int method)
{
	static const char *const names[] = {
		[PTF_TRACK_ANY] = "any",
		[PTF_TRACK_MODULE] = "module",
		[PTF_TRACK_SCAN] = "scan",
		[PTF_TRACK_SOFT_DIRTY] = "soft-dirty",
	};

	return method < PTF_ARRAY_SIZE(names) ? names[method] : "?";
}

static ssize_t track_read(struct ptf_track *t, uint64_t start, uint64_t end,
			  bool take, ptf_track_fn fn, void *arg, const char *op)
{
	struct out o = { .fn = fn, .arg = arg };
	int ret = ptf_range_check(op, start, end);

	if (ret)
		return ret;
	switch (t->method) {
	case PTF_TRACK_MODULE:
		ret = module_read(t, start, end, take, &o, op);
		break;
	case PTF_TRACK_SCAN:
		ret = scan_read(t, start, end, take, &o, op);
		break;
	default:
		if (take) {
			ptf_fail(EOPNOTSUPP, PTF_LAYER_PTE, op, ptf_addr(start),
				 0, 0, "soft-dirty bits can't be read and cleared in one step");
			ptf_fail_way("stop tracking and start again while nothing writes");
			return -EOPNOTSUPP;
		}
		ret = soft_dirty_read(t, start, end, &o, op);
	}
	if (!ret)
		ret = out_flush(&o);
	return ret ? ret : (ssize_t)o.pages;
}

ssize_t ptf_track_read(struct ptf_track *track, uint64_t start, uint64_t end,
		       ptf_track_fn fn, void *arg)
{
	return track_read(track, start, end, false, fn, arg, __func__);
}

ssize_t ptf_track_take(struct ptf_track *track, uint64_t start, uint64_t end,
		       ptf_track_fn fn, void *arg)
{
	return track_read(track, start, end, true, fn, arg, __func__);
}
