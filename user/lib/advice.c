// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The number space of advice, and advice given through madvise() and
 * process_madvise(). Values of the module are known here by name and class,
 * but served by sessions.
 */
#include <fcntl.h>
#include <string.h>
#include <strings.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <ptefault/advise.h>

#include "internal.h"
#include "advice.h"
#include "vma.h"

#define KERNEL(n, c) { "" #n, PTF_MADV_##n, PTF_CLASS_##c }
#define MODULE(n, c) { "" #n, PTF_ADV_##n, PTF_CLASS_##c }

static const struct {
	const char *name;
	int advice;
	int cls;
} table[] = {
	KERNEL(NORMAL, VMAFLAG),
	KERNEL(RANDOM, VMAFLAG),
	KERNEL(SEQUENTIAL, VMAFLAG),
	KERNEL(WILLNEED, HINT),
	KERNEL(DONTNEED, CONTENT),
	KERNEL(FREE, CONTENT),
	KERNEL(REMOVE, CONTENT),
	KERNEL(DONTFORK, VMAFLAG),
	KERNEL(DOFORK, VMAFLAG),
	KERNEL(MERGEABLE, VMAFLAG),
	KERNEL(UNMERGEABLE, VMAFLAG),
	KERNEL(HUGEPAGE, VMAFLAG),
	KERNEL(NOHUGEPAGE, VMAFLAG),
	KERNEL(DONTDUMP, VMAFLAG),
	KERNEL(DODUMP, VMAFLAG),
	KERNEL(WIPEONFORK, VMAFLAG),
	KERNEL(KEEPONFORK, VMAFLAG),
	KERNEL(COLD, HINT),
	KERNEL(PAGEOUT, TRANSLATION),
	KERNEL(POPULATE_READ, TRANSLATION),
	KERNEL(POPULATE_WRITE, TRANSLATION),
	KERNEL(DONTNEED_LOCKED, CONTENT),
	KERNEL(COLLAPSE, TRANSLATION),
	KERNEL(HWPOISON, FATAL),
	KERNEL(SOFT_OFFLINE, TRANSLATION),
	KERNEL(GUARD_INSTALL, CONTENT),
	KERNEL(GUARD_REMOVE, TRANSLATION),
	MODULE(NOTPRESENT, TRANSLATION),
	MODULE(PRESENT, TRANSLATION),
	MODULE(STASH, TRANSLATION),
	MODULE(STICKY, TRANSLATION),
	MODULE(WRPROTECT, TRANSLATION),
	MODULE(WRUNPROTECT, TRANSLATION),
	MODULE(OLD, TRANSLATION),
	MODULE(CLEAN, TRANSLATION),
	MODULE(UNMAP_FILE, TRANSLATION),
	MODULE(UNMAP_FILE_COW, CONTENT),
	MODULE(ZAP, TRANSLATION),
	MODULE(EVICT, TRANSLATION),
	MODULE(SWAPOUT, TRANSLATION),
	MODULE(MIGRATE, TRANSLATION),
	MODULE(UNSHARE, TRANSLATION),
	MODULE(SPLIT, TRANSLATION),
	MODULE(POISON, CONTENT),
	MODULE(UNPOISON, CONTENT),
	MODULE(RESET, HINT),
};

bool ptf_advice_is_module(int advice)
{
	return advice >= PTF_ADV_BASE && advice <= PTF_ADV_BASE + 0xfff;
}

static int find(int advice)
{
	size_t i;

	for (i = 0; i < PTF_ARRAY_SIZE(table); i++)
		if (table[i].advice == advice)
			return (int)i;
	return -1;
}

unsigned int ptf_advice_count(void)
{
	return PTF_ARRAY_SIZE(table);
}

int ptf_advice_at(unsigned int n)
{
	if (n < PTF_ARRAY_SIZE(table))
		return table[n].advice;
	ptf_fail(ENOENT, PTF_LAYER_ARGUMENT, __func__, NULL, 0, 0,
		 "there are %zu", PTF_ARRAY_SIZE(table));
	ptf_fail_way("count up to below ptf_advice_count()");
	return -ENOENT;
}

const char *ptf_advice_name(int advice)
{
	int i = find(advice);

	return i < 0 ? NULL : table[i].name;
}

int ptf_advice_parse(const char *name)
{
	enum { ANY, OF_KERNEL, OF_MODULE } family = ANY;
	const char *bare = name;
	size_t i;

	if (!strncasecmp(name, "MADV_", 5)) {
		family = OF_KERNEL;
		bare += 5;
	} else if (!strncasecmp(name, "PTF_ADV_", 8)) {
		family = OF_MODULE;
		bare += 8;
	}
	for (i = 0; i < PTF_ARRAY_SIZE(table); i++) {
		bool module = ptf_advice_is_module(table[i].advice);

		if (strcasecmp(bare, table[i].name))
			continue;
		if (family == OF_KERNEL ? !module : family == OF_MODULE ? module : true)
			return table[i].advice;
	}
	ptf_fail(EINVAL, PTF_LAYER_ARGUMENT, __func__, NULL, 0, 0,
		 "no advice named %s", name);
	ptf_fail_way("ptf_advice_at() and ptf_advice_name() list them");
	return -EINVAL;
}

static int fail_unknown(const char *op, int advice)
{
	ptf_fail(EINVAL, PTF_LAYER_ARGUMENT, op, NULL, 0, 0,
		 "advice %d is unknown", advice);
	ptf_fail_way("ptf_advice_at() lists the values");
	return -EINVAL;
}

int ptf_advice_cls(int advice)
{
	int i = find(advice);

	return i < 0 ? 0 : table[i].cls;
}

int ptf_advice_class(int advice)
{
	return ptf_advice_cls(advice) ? : fail_unknown(__func__, advice);
}

const char *ptf_advice_class_name(int cls)
{
	static const char *const names[] = {
		[PTF_CLASS_HINT] = "HINT",
		[PTF_CLASS_VMAFLAG] = "VMAFLAG",
		[PTF_CLASS_TRANSLATION] = "TRANSLATION",
		[PTF_CLASS_CONTENT] = "CONTENT",
		[PTF_CLASS_FATAL] = "FATAL",
	};

	if (cls < PTF_CLASS_HINT || cls > PTF_CLASS_FATAL)
		return NULL;
	return names[cls];
}

static int probe_module(int advice)
{
	struct ptf_ioc_features_get f = { .size = sizeof(f) };
	int fd, ret;

	fd = open("/dev/ptefault", O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return 0;
	ret = ioctl(fd, PTF_IOC_FEATURES_GET, &f);
	close(fd);
	if (ret || advice - PTF_ADV_BASE > 63)
		return 0;
	return f.out_advice >> (advice - PTF_ADV_BASE) & 1;
}

int ptf_advice_probe(int advice)
{
	if (ptf_advice_is_module(advice))
		return find(advice) < 0 ? fail_unknown(__func__, advice) :
					  probe_module(advice);
	/* The raw call: the libc may have its own ideas of some values. */
	if (!syscall(SYS_madvise, NULL, 0, advice))
		return 1;
	return find(advice) < 0 ? fail_unknown(__func__, advice) : 0;
}

/* Refuse what the checked calls don't take. */
int ptf_advice_check(const char *op, const void *addr, size_t length,
		     int advice)
{
	int i = find(advice);

	if (i >= 0 && table[i].cls >= PTF_CLASS_CONTENT)
		return ptf_fail(EPERM, PTF_LAYER_ARGUMENT, op, addr, length, 0,
				"%s is of class %s", table[i].name,
				ptf_advice_class_name(table[i].cls));
	/* What we don't know could be anything; the module's is a session's. */
	if (i < 0 && !ptf_advice_is_module(advice) &&
	    !syscall(SYS_madvise, NULL, 0, advice))
		return ptf_fail(EPERM, PTF_LAYER_ARGUMENT, op, addr, length, 0,
				"advice %d is unknown to this library", advice);
	return 0;
}

static int refuse_module(const char *op, const void *addr, size_t length,
			 int advice)
{
	if (!ptf_advice_is_module(advice))
		return 0;
	ptf_fail(EOPNOTSUPP, PTF_LAYER_MODULE, op, addr, length, 0,
		 "%s is the module's", ptf_advice_name(advice) ? : "this advice");
	ptf_fail_way("open a session and use ptf_session_advise() or, for files, ptf_session_file_advise()");
	return -EOPNOTSUPP;
}

/*
 * Poisoning a frame of the vdso or vvar kills every process that the machine
 * starts from then on. If the mappings can't be read, nothing is poisoned.
 */
static int refuse_special(const char *op, pid_t pid, uintptr_t addr, size_t length)
{
	uintptr_t end = addr + length < addr ? UINTPTR_MAX : addr + length;
	const struct ptf_vma_entry *e;
	struct ptf_vma_list *list;
	int ret;

	ret = ptf_vma_list_create(pid, &list);
	if (ret)
		return ptf_fail_op(op, ret);
	for (e = ptf_vma_list_next(list, addr); e && e->start < end;
	     e = ptf_vma_list_next(list, e->end)) {
		if (!e->special)
			continue;
		ret = ptf_fail(EOPNOTSUPP, PTF_LAYER_VMA, op,
			       (void *)(uintptr_t)e->start, length, 0,
			       "%s is shared by all processes", e->name);
		break;
	}
	ptf_vma_list_destroy(list);
	return ret;
}

/*
 * Where POPULATE_* stopped: what came before is there, and asking for it again
 * changes nothing. Mapping by mapping, then in the one that refuses page by page.
 */
static uintptr_t populate_stopped(uintptr_t addr, size_t length, int advice)
{
	size_t page = ptf_page_bytes(), step;
	uintptr_t at = addr, end = addr + length, stop;
	const struct ptf_vma_entry *e;
	struct ptf_failure_saved saved;
	struct ptf_vma_list *list;

	if (addr & (page - 1) || end < addr || length > PTRDIFF_MAX)
		return addr;
	ptf_fail_save(&saved);
	if (ptf_vma_list_create(0, &list)) {
		ptf_fail_restore(&saved);
		return addr;
	}
	for (; at < end; at = stop) {
		e = ptf_vma_list_find(list, at);
		stop = e && e->end < end ? e->end : end;
		if (!e || syscall(SYS_madvise, at, stop - at, advice))
			break;
	}
	ptf_vma_list_destroy(list);
	for (step = 512 * page; at < end; ) {
		if (!syscall(SYS_madvise, at, ptf_min_size(step, end - at), advice))
			at += ptf_min_size(step, end - at);
		else if (step > page)
			step = page;
		else
			break;
	}
	return at < end ? at : addr;
}

/* What is known of why madvise() said no: where, and how much before it. */
static int explain(const char *op, int err, pid_t pid, uintptr_t addr,
		   size_t length, int advice)
{
	size_t page = ptf_page_bytes(), done = 0;
	const char *name = ptf_advice_name(advice);
	const struct ptf_vma_entry *e;
	struct ptf_vma_list *list;
	uintptr_t at = addr;

	if (err == ENOMEM && !(addr & (page - 1)) && length <= PTRDIFF_MAX &&
	    addr + length > addr && !ptf_vma_list_create(pid, &list)) {
		while (at < addr + length) {
			e = ptf_vma_list_find(list, at);
			if (!e)
				break;
			at = e->end;
		}
		ptf_vma_list_destroy(list);
		if (at < addr + length) {
			done = at - addr;
			ptf_fail(err, PTF_LAYER_VMA, op, (void *)at, length,
				 done, "%s: nothing mapped there",
				 name ? name : "advice");
			ptf_fail_at();
			return -err;
		}
	}
	if (err == EINVAL && (addr & (page - 1)))
		return ptf_fail(err, PTF_LAYER_ARGUMENT, op, (void *)addr,
				length, 0, "address not page-aligned");
	if (err == EINVAL && find(advice) < 0) {
		ptf_fail(err, PTF_LAYER_ARGUMENT, op, (void *)addr, length, 0,
			 "advice %d", advice);
		ptf_fail_way("pass a value that ptf_advice_probe() answers 1 for");
		return -err;
	}
	if (!pid && (advice == PTF_MADV_POPULATE_READ ||
		     advice == PTF_MADV_POPULATE_WRITE))
		at = populate_stopped(addr, length, advice);
	else
		at = addr;
	ptf_fail(err, PTF_LAYER_VMA, op, (void *)at, length, at - addr, "%s",
		 name ? name : "advice");
	ptf_fail_at();
	if (err == EINVAL)
		ptf_fail_way("this advice has no meaning for this kind of memory, or this kernel does not know it; see ptf_advise(3)");
	else if (err == EPERM)
		ptf_fail_way("needs a capability, or the mapping is sealed");
	return -err;
}

int ptf_advise_op(const char *op, void *addr, size_t length, int advice,
		  bool unchecked)
{
	int ret;

	if (!unchecked) {
		ret = ptf_advice_check(op, addr, length, advice);
		if (ret)
			return ret;
	}
	ret = refuse_module(op, addr, length, advice);
	if (ret)
		return ret;
	if (advice == PTF_MADV_HWPOISON || advice == PTF_MADV_SOFT_OFFLINE) {
		ret = refuse_special(op, 0, (uintptr_t)addr, length);
		if (ret)
			return ret;
	}
	if (syscall(SYS_madvise, addr, length, advice))
		return explain(op, errno, 0, (uintptr_t)addr, length, advice);
	return 0;
}

int ptf_advise(void *addr, size_t length, int advice)
{
	return ptf_advise_op(__func__, addr, length, advice, false);
}

int ptf_advise_unchecked(void *addr, size_t length, int advice)
{
	return ptf_advise_op(__func__, addr, length, advice, true);
}

#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif
#ifndef SYS_process_madvise
#define SYS_process_madvise 440
#endif

/* The pid that a pidfd stands for, as seen from here; negative if not. */
static pid_t pidfd_pid(int pidfd)
{
	char path[40], text[2048], *at;
	int fd, pid;
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", pidfd);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (n <= 0)
		return -1;
	text[n] = 0;
	at = strstr(text, "\nPid:");
	return at && sscanf(at, "\nPid: %d", &pid) == 1 ? pid : -1;
}

static int advise_process(const char *op, int pidfd, uintptr_t addr,
			  size_t length, int advice, bool unchecked)
{
	size_t page = ptf_page_bytes(), done = 0, left;
	struct iovec iov;
	int err, ret;
	long n;

	if (!unchecked) {
		ret = ptf_advice_check(op, (void *)addr, length, advice);
		if (ret)
			return ret;
	}
	ret = refuse_module(op, (void *)addr, length, advice);
	if (ret)
		return ret;
	if (advice == PTF_MADV_HWPOISON || advice == PTF_MADV_SOFT_OFFLINE) {
		pid_t pid = pidfd_pid(pidfd);

		ret = pid <= 0 ? ptf_fail(ESRCH, PTF_LAYER_PROCESS, op,
					  (void *)addr, length, 0, "pidfd %d", pidfd) :
			refuse_special(op, pid, addr, length);
		if (ret)
			return ret;
	}
	do {
		left = length - done;
		/* The kernel cuts a call at MAX_RW_COUNT, and not at a page. */
		iov.iov_len = ptf_min_size(left, 1UL << 30);
		iov.iov_base = (void *)(addr + done);
		n = syscall(SYS_process_madvise, pidfd, &iov, 1, advice, 0);
		if (n <= 0)
			break;
		done += (size_t)n;
	} while (done < length && !(done & (page - 1)));
	if (n >= 0 && (n > 0 || done == length))
		return 0;
	err = n < 0 ? errno : EIO;
	if (err == ENOMEM) {
		pid_t pid = pidfd_pid(pidfd);

		if (pid > 0)
			return explain(op, err, pid, addr, length, advice);
	}
	ptf_fail(err, err == ESRCH || err == EPERM || err == EACCES ||
		 err == EBADF ?
		 PTF_LAYER_PROCESS : PTF_LAYER_VMA, op, (void *)(addr + done),
		 length, done, "%s", ptf_advice_name(advice) ? : "advice");
	if (err == EINVAL)
		ptf_fail_way("other processes take COLD, PAGEOUT, WILLNEED and COLLAPSE on page-aligned addresses; the rest needs a session");
	return -err;
}

int ptf_advise_process(int pidfd, uintptr_t addr, size_t length, int advice)
{
	return advise_process(__func__, pidfd, addr, length, advice, false);
}

int ptf_advise_process_unchecked(int pidfd, uintptr_t addr, size_t length,
				 int advice)
{
	return advise_process(__func__, pidfd, addr, length, advice, true);
}

int ptf_advise_pid(pid_t pid, uintptr_t addr, size_t length, int advice)
{
	int pidfd, ret;

	pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (pidfd < 0)
		return ptf_fail(errno, PTF_LAYER_PROCESS, __func__, (void *)addr,
				length, 0, "pid %d", pid);
	ret = advise_process(__func__, pidfd, addr, length, advice, false);
	close(pidfd);
	return ret;
}
