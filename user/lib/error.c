// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Failure detail per thread, its text, and what little all other files share.
 * Owns no policy: who fails decides what to record.
 */
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#include "internal.h"

static __thread struct ptf_failure last;
static __thread bool last_is_at;	/* last.addr is an address, be it NULL */

const char *ptf_version(void)
{
	return PTEFAULT_VERSION;
}

size_t ptf_page_bytes(void)
{
	/* sysconf() reads the aux vector: no system call, no cache needed. */
	return (size_t)sysconf(_SC_PAGESIZE);
}

int ptf_fail(int err, enum ptf_layer layer, const char *op, const void *addr,
	     size_t wanted, size_t done, const char *fmt, ...)
{
	int saved = errno;
	va_list ap;

	last.size = sizeof(last);
	last.err = err;
	last.layer = layer;
	last.addr = addr;
	last.wanted = wanted;
	last.done = done;
	snprintf(last.op, sizeof(last.op), "%s", op ? op : "");
	last.annotation[0] = 0;
	last.way[0] = 0;
	last_is_at = addr;
	if (fmt) {
		va_start(ap, fmt);
		vsnprintf(last.annotation, sizeof(last.annotation), fmt, ap);
		va_end(ap);
	}
	errno = saved;
	return -err;
}

void ptf_fail_way(const char *fmt, ...)
{
	int saved = errno;
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(last.way, sizeof(last.way), fmt, ap);
	va_end(ap);
	errno = saved;
}

void ptf_fail_done(size_t done)
{
	last.done = done;
}

void ptf_fail_at(void)
{
	last_is_at = true;
}

ssize_t ptf_fail_op(const char *op, ssize_t ret)
{
	if (ret < 0)
		snprintf(last.op, sizeof(last.op), "%s", op);
	return ret;
}

void ptf_fail_save(struct ptf_failure_saved *to)
{
	to->failure = last;
	to->is_at = last_is_at;
}

void ptf_fail_restore(const struct ptf_failure_saved *from)
{
	last = from->failure;
	last_is_at = from->is_at;
}

int ptf_opts_copy(void *to, size_t ksize, size_t min, const void *user,
		  const char *op)
{
	const unsigned char *from = user;
	uint32_t usize;
	size_t i;

	memset(to, 0, ksize);
	if (!user)
		return 0;
	memcpy(&usize, user, sizeof(usize));
	if (usize < min)
		return ptf_fail(EINVAL, PTF_LAYER_ARGUMENT, op, user, ksize,
				usize, "option struct too short");
	for (i = ksize; i < usize; i++)
		if (from[i])
			return ptf_fail(E2BIG, PTF_LAYER_ARGUMENT, op, user,
					usize, ksize, "unknown option set");
	memcpy(to, user, ptf_min_size(usize, ksize));
	return 0;
}

const struct ptf_failure *ptf_failure_last(void)
{
	last.size = sizeof(last);
	return &last;
}

void ptf_failure_clear(void)
{
	memset(&last, 0, sizeof(last));
	last_is_at = false;
	last.size = sizeof(last);
}

const char *ptf_layer_name(unsigned int layer)
{
	static const char *const names[] = {
		[PTF_LAYER_NONE] = "none",
		[PTF_LAYER_ARGUMENT] = "argument",
		[PTF_LAYER_VMA] = "VMA",
		[PTF_LAYER_FILEMAP] = "filemap",
		[PTF_LAYER_PTE] = "PTE",
		[PTF_LAYER_PROCESS] = "process",
		[PTF_LAYER_MODULE] = "module",
	};

	return layer < PTF_ARRAY_SIZE(names) ? names[layer] : "?";
}

/* The general way out; a caller that knows better says so itself. */
static const struct {
	int err;
	int layer;		/* PTF_LAYER_NONE: any */
	const char *way;
} ways[] = {
	{ EINVAL, PTF_LAYER_ARGUMENT, "the call's manual page says what its arguments may be" },
	{ EOPNOTSUPP, PTF_LAYER_ARGUMENT,
	 "leave the flag out; the call's manual page says which it takes" },
	{ EOVERFLOW, PTF_LAYER_ARGUMENT, "ask for less than PTRDIFF_MAX bytes" },
	{ EPERM, PTF_LAYER_ARGUMENT,
	 "this can lose data or kill; if that is meant, use the _unchecked call" },
	{ E2BIG, PTF_LAYER_ARGUMENT,
	 "the program was built for a newer library; leave the unknown option zero" },
	{ ENOMEM, PTF_LAYER_VMA,
	 "map the hole first, or raise RLIMIT_AS, RLIMIT_MEMLOCK or vm.max_map_count" },
	{ EEXIST, PTF_LAYER_VMA, "choose a free range, or replace what is there on purpose" },
	{ EACCES, PTF_LAYER_VMA, "open the file with the access that the mapping needs" },
	{ ENODEV, PTF_LAYER_FILEMAP, "map a regular file, memfd or a device that can be mapped" },
	{ EAGAIN, PTF_LAYER_VMA, "raise RLIMIT_MEMLOCK, or lock less" },
	{ ESRCH, PTF_LAYER_NONE,
	 "the process has ended or executed another program; open the target anew" },
	{ ENOENT, PTF_LAYER_MODULE, "load the module: modprobe ptefault" },
	{ ENODEV, PTF_LAYER_MODULE, "load the module: modprobe ptefault" },
	{ ENXIO, PTF_LAYER_MODULE, "load the module: modprobe ptefault" },
	{ EACCES, PTF_LAYER_MODULE,
	 "/dev/ptefault is for root; run as root or have the fd passed on" },
	{ EPERM, PTF_LAYER_MODULE,
	 "needs CAP_SYS_PTRACE over the target, or an fd that the target opened" },
	{ EACCES, PTF_LAYER_PROCESS, "needs CAP_SYS_PTRACE over the target" },
	{ EPERM, PTF_LAYER_PROCESS, "needs CAP_SYS_PTRACE over the target" },
	{ ENOTTY, PTF_LAYER_MODULE,
	 "the loaded module is older than this library; load the matching one" },
	{ ENOSPC, PTF_LAYER_PTE, "turn swap on (swapon), or free memory" },
	{ EBUSY, PTF_LAYER_PTE, "the page is pinned or in use; try again when its user is done" },
	{ EOPNOTSUPP, PTF_LAYER_NONE,
	 "this kind of memory, or this kernel, can't do it; see ptefault(7)" },
	{ EFAULT, PTF_LAYER_FILEMAP,
	 "the page is behind the end of the file, or can't be read: make the file longer first" },
	{ EFAULT, PTF_LAYER_PTE,
	 "the fault handler refused the page: a guard, poison, or a rule of a session" },
	{ EFAULT, PTF_LAYER_NONE, "there is no memory with this access at the address" },
	{ ENOMEM, PTF_LAYER_NONE, "free memory, or ask for less" },
	{ EINTR, PTF_LAYER_NONE, "a signal came; go on from where it stopped" },
};

static const char *way_out(const struct ptf_failure *f)
{
	size_t i;

	if (f->way[0])
		return f->way;
	for (i = 0; i < PTF_ARRAY_SIZE(ways); i++)
		if (ways[i].err == f->err && (ways[i].layer == PTF_LAYER_NONE ||
					      ways[i].layer == (int)f->layer))
			return ways[i].way;
	return NULL;
}

size_t ptf_failure_text(char *buf, size_t len)
{
	const struct ptf_failure *f = &last;
	const char *way, *name;
	size_t at = 0;
	int saved = errno;

	if (len)
		buf[0] = 0;
	if (!f->err)
		return 0;
#define ADD(...) do {							\
	int n_ = snprintf(at < len ? buf + at : NULL,			\
			  at < len ? len - at : 0, __VA_ARGS__);	\
	at += n_ > 0 ? (size_t)n_ : 0;					\
} while (0)
	name = strerrorname_np(f->err);
	ADD("%s: %s (%s)", f->op, strerrordesc_np(f->err) ? : "error",
	    name ? : "?");
	if (last_is_at)
		ADD(" at 0x%jx", (uintmax_t)(uintptr_t)f->addr);
	if (f->layer)
		ADD(", %s layer", ptf_layer_name(f->layer));
	if (f->wanted)
		ADD(", %zu of %zu bytes done", f->done, f->wanted);
	if (f->annotation[0])
		ADD(" [%s]", f->annotation);
	way = way_out(f);
	if (way)
		ADD("; %s", way);
#undef ADD
	errno = saved;
	return at;
}
