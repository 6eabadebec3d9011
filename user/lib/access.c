// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Access to memory that may not be there, without a signal in the caller.
 *
 * Copies: the kernel does them. process_vm_readv() and process_vm_writev() on
 * the caller itself touch their local side as a read() or write() would, so a
 * bad page is EFAULT and a count; the doubtful side is therefore always made
 * the local one. Where that call is missing or forbidden a pipe serves, in
 * pieces that lie in one page, since a pipe does not count inside a piece.
 *
 * A 32-bit load must not be torn, and the kernel copies bytewise: the value is
 * copied, and then compared at once by futex(FUTEX_CMP_REQUEUE) with nobody to
 * wake or move, which has no other effect. Exchanges are done by the processor
 * in a helper process that shares the memory but has signal handlers of its
 * own (CLONE_VM without CLONE_SIGHAND): it takes the fault and reports it.
 *
 * Ignoring protection is /proc/PID/mem's business, and on newer kernels that
 * of a helper which traces the caller for the moment.
 */
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <ptefault/access.h>

#include "internal.h"
#include "vma.h"

#if defined(__SANITIZE_ADDRESS__)
#define NO_SANITIZE __attribute__((no_sanitize("address", "undefined")))
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define NO_SANITIZE __attribute__((no_sanitize("address", "undefined")))
#endif
#endif
#ifndef NO_SANITIZE
#define NO_SANITIZE
#endif

#define CHUNK (1UL << 30)	/* below the kernel's limit for one call */

enum direction { IN, OUT };

/*
 * No such memory is the VMA's fault. Where the VMA allows the access it is the
 * file's, which ends before the page, or that of the page itself.
 */
static enum ptf_layer fault_layer(uintptr_t addr, int prot)
{
	size_t page = ptf_page_bytes();
	struct ptf_vma_here here;
	unsigned char there;
	int saved = errno;
	bool known;

	/* A hole is told cheaply. */
	known = !mincore((void *)ptf_page_down(addr, page), page, &there) &&
		ptf_vma_here(addr, &here);
	errno = saved;
	if (!known || (here.prot & prot) != prot)
		return PTF_LAYER_VMA;
	return here.is_file ? PTF_LAYER_FILEMAP : PTF_LAYER_PTE;
}

static int fail_fault(const char *op, const void *addr, size_t length,
		      size_t done, int prot)
{
	const char *at = (const char *)addr + done;

	ptf_fail(EFAULT, fault_layer((uintptr_t)at, prot), op, at, length, done,
		 NULL);
	ptf_fail_at();
	return -EFAULT;
}

/* One step; bytes done, or a negative errno. */
static ssize_t copy_vm(enum direction dir, char *dst, const char *src, size_t n)
{
	struct iovec to = { dst, n }, from = { (void *)(uintptr_t)src, n };
	ssize_t ret;

	if (dir == IN)
		ret = process_vm_writev(getpid(), &from, 1, &to, 1, 0);
	else
		ret = process_vm_readv(getpid(), &to, 1, &from, 1, 0);
	return ret < 0 ? -errno : ret;
}

static ssize_t copy_pipe(const int *fds, char *dst, const char *src, size_t n,
			 enum direction dir)
{
	uintptr_t doubtful = dir == IN ? (uintptr_t)src : (uintptr_t)dst;
	size_t page = ptf_page_bytes(), room = page - (doubtful & (page - 1));
	ssize_t got;
	char drop;

	/* A pipe takes a page in one piece. */
	n = ptf_min_size(n, room);
	got = write(fds[1], src, n);
	if (got <= 0)
		return got < 0 ? -errno : -EIO;
	n = (size_t)got;
	got = read(fds[0], dst, n);
	if (got == (ssize_t)n)
		return got;
	got = got < 0 ? -errno : -EFAULT;
	/* The page is one: none of it was copied that counts. Empty the pipe. */
	while (read(fds[0], &drop, 1) == 1)
		;
	return got;
}

static ssize_t copy_mem(int fd, enum direction dir, char *dst, const char *src,
			size_t n)
{
	ssize_t ret = dir == IN ? pread(fd, dst, n, (off_t)(uintptr_t)src) :
				  pwrite(fd, src, n, (off_t)(uintptr_t)dst);

	if (ret < 0)
		return errno == EIO ? -EFAULT : -errno;
	return ret ? ret : -EFAULT;
}

/*
 * Run fn in a process that shares our memory, but neither signal handlers nor
 * file descriptors, and wait for its end. It must end by exit_group() and use
 * no more of the libc than bare system calls: our thread-local storage is its.
 */
static int helper_run(int (*fn)(void *), void *arg, int *status)
{
	size_t stack_bytes = 65536;
	sigset_t all, before;
	int ret, got = 0;
	char *stack;
	pid_t pid;

	stack = mmap(NULL, stack_bytes, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
	if (stack == MAP_FAILED)
		return -errno;
	/* No handler of the caller's may run in the helper. */
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &before);
	pid = clone(fn, stack + stack_bytes, CLONE_VM | CLONE_VFORK, arg);
	ret = pid < 0 ? -errno : 0;
	if (pid > 0)
		while (waitpid(pid, &got, __WCLONE) < 0 && errno == EINTR)
			;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	munmap(stack, stack_bytes);
	if (status)
		*status = got;
	return ret;
}

/*
 * Newer kernels let only a tracer write through /proc/PID/mem where protection
 * forbids (proc_mem.force_override=ptrace). So a helper that shares our memory
 * seizes the calling thread, which is not stopped by that, and does the copy;
 * its end is the end of the tracing.
 */
struct mem_job {
	enum direction dir;
	pid_t tid;
	char *dst;
	const char *src;
	size_t n;
	ssize_t answer;
};

NO_SANITIZE static int mem_job_run(void *arg)
{
	struct mem_job *job = arg;
	char path[40];
	int fd;

	job->answer = -EPERM;
	if (ptrace(PTRACE_SEIZE, job->tid, NULL, NULL))
		goto out;
	snprintf(path, sizeof(path), "/proc/%d/mem", job->tid);
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		goto out;
	job->answer = copy_mem(fd, job->dir, job->dst, job->src, job->n);
	close(fd);
out:
	syscall(SYS_exit_group, 0);
	return 0;
}

static ssize_t copy_mem_traced(enum direction dir, char *dst, const char *src,
			       size_t n)
{
	struct mem_job job = {
		.dir = dir, .tid = (pid_t)syscall(SYS_gettid),
		.dst = dst, .src = src, .n = n, .answer = -EPERM,
	};
	int ret = helper_run(mem_job_run, &job, NULL);

	if (ret)
		return ret;
	/* Traced already, or forbidden: then what the plain way said holds. */
	return job.answer == -EPERM ? -EFAULT : job.answer;
}

/*
 * The loop that all ways share: a step that fails is tried once more up to
 * the end of its page, because some fail as a whole.
 */
static int copy_loop(enum direction dir, char *dst, const char *src,
		     size_t length, unsigned int flags, size_t *done)
{
	enum { VM, PIPE, MEM } way = VM;
	size_t page = ptf_page_bytes(), n;
	int fds[2] = { -1, -1 }, mem = -1, ret = 0;
	bool small = false;
	uintptr_t doubtful;
	ssize_t got;

	*done = 0;
	if (flags & PTF_COPY_F_FORCE) {
		way = MEM;
		mem = open("/proc/thread-self/mem", O_RDWR | O_CLOEXEC);
		if (mem < 0)
			return -errno;
	}
	while (*done < length) {
		doubtful = (uintptr_t)(dir == IN ? (uintptr_t)src : (uintptr_t)dst) + *done;
		n = ptf_min_size(length - *done, CHUNK);
		if (small)
			n = ptf_min_size(n, page - (doubtful & (page - 1)));
		if (way == MEM && doubtful > INTPTR_MAX)
			got = -EFAULT;
		else if (way == MEM)
			got = copy_mem(mem, dir, dst + *done, src + *done, n);
		else if (way == VM)
			got = copy_vm(dir, dst + *done, src + *done, n);
		else
			got = copy_pipe(fds, dst + *done, src + *done, n, dir);
		if (got > 0) {
			*done += (size_t)got;
			small = false;
			continue;
		}
		if (way == VM && (got == -ENOSYS || got == -EPERM)) {
			if (pipe2(fds, O_CLOEXEC | O_NONBLOCK)) {
				ret = -errno;
				break;
			}
			way = PIPE;
			continue;
		}
		if (got == -EFAULT && !small) {
			small = true;
			continue;
		}
		if (got == -EFAULT && way == MEM && doubtful <= INTPTR_MAX) {
			got = copy_mem_traced(dir, dst + *done, src + *done, n);
			if (got > 0) {
				*done += (size_t)got;
				continue;
			}
		}
		ret = got ? (int)got : -EFAULT;
		break;
	}
	if (mem >= 0)
		close(mem);
	if (fds[0] >= 0) {
		close(fds[0]);
		close(fds[1]);
	}
	return ret;
}

static int copy(const char *op, enum direction dir, void *dst, const void *src,
		size_t length, unsigned int flags, size_t *done)
{
	const void *doubtful = dir == IN ? src : dst;
	size_t count;
	int ret;

	if (done)
		*done = 0;
	if (flags & ~PTF_COPY_F_FORCE)
		return ptf_fail(EINVAL, PTF_LAYER_ARGUMENT, op, doubtful, length,
				0, "unknown flag");
	ret = copy_loop(dir, dst, src, length, flags, &count);
	if (done)
		*done = count;
	if (ret == -EFAULT)
		return fail_fault(op, doubtful, length, count,
				  dir == IN ? PROT_READ : PROT_WRITE);
	if (ret)
		return ptf_fail(-ret, PTF_LAYER_PROCESS, op, doubtful, length,
				count, NULL);
	return 0;
}

int ptf_copy_in(void *dst, const void *src, size_t length, unsigned int flags,
		size_t *done)
{
	return copy(__func__, IN, dst, src, length, flags, done);
}

int ptf_copy_out(void *dst, const void *src, size_t length, unsigned int flags,
		 size_t *done)
{
	return copy(__func__, OUT, dst, src, length, flags, done);
}

int ptf_zero_out(void *dst, size_t length, unsigned int flags, size_t *done)
{
	static const char zeros[65536];
	size_t total = 0, step, count;
	int ret = 0;

	if (done)
		*done = 0;
	if (flags & ~PTF_COPY_F_FORCE)
		return ptf_fail(EINVAL, PTF_LAYER_ARGUMENT, __func__, dst,
				length, 0, "unknown flag");
	while (total < length) {
		step = ptf_min_size(length - total, sizeof(zeros));
		ret = copy_loop(OUT, (char *)dst + total, zeros, step, flags, &count);
		total += count;
		if (ret)
			break;
	}
	if (done)
		*done = total;
	if (ret == -EFAULT)
		return fail_fault(__func__, dst, length, total, PROT_WRITE);
	if (ret)
		return ptf_fail(-ret, PTF_LAYER_PROCESS, __func__, dst, length,
				total, NULL);
	return 0;
}

/* --- 32 bits at once -------------------------------------------------- */

enum what { LOAD, SWAP, CMPXCHG };

struct job {
	uint32_t *addr;
	uint32_t expected;
	uint32_t value;
	uint32_t old;
	enum what what;
	volatile int answer;	/* 0 not run, 1 done, 2 fault */
	sigset_t fatal;
};

#define EXIT_FAULT 77

NO_SANITIZE static void job_fault(int sig)
{
	(void)sig;
	syscall(SYS_exit_group, EXIT_FAULT);
}

/*
 * Runs in the helper: our memory and our thread-local storage, while we wait.
 * Nothing here may go through the libc but bare system calls.
 */
NO_SANITIZE static int job_run(void *arg)
{
	struct job *job = arg;
	struct sigaction act;

	memset(&act, 0, sizeof(act));
	act.sa_handler = job_fault;
	sigaction(SIGSEGV, &act, NULL);
	sigaction(SIGBUS, &act, NULL);
	sigprocmask(SIG_UNBLOCK, &job->fatal, NULL);
	switch (job->what) {
	case LOAD:
		job->old = __atomic_load_n(job->addr, __ATOMIC_SEQ_CST);
		break;
	case SWAP:
		job->old = __atomic_exchange_n(job->addr, job->value, __ATOMIC_SEQ_CST);
		break;
	case CMPXCHG:
		job->old = job->expected;
		__atomic_compare_exchange_n(job->addr, &job->old, job->value, false,
					    __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
		break;
	}
	job->answer = 1;
	syscall(SYS_exit_group, 0);
	return 0;
}

static int job_start(struct job *job)
{
	int status, ret;

	sigemptyset(&job->fatal);
	sigaddset(&job->fatal, SIGSEGV);
	sigaddset(&job->fatal, SIGBUS);
	ret = helper_run(job_run, job, &status);
	if (ret)
		return ret;
	if (job->answer == 1)
		return 0;
	if (WIFEXITED(status) && WEXITSTATUS(status) == EXIT_FAULT)
		return -EFAULT;
	/* Killed from outside, or run by something that can't share memory. */
	return WIFSIGNALED(status) ? -EAGAIN : -ENOSYS;
}

static int fail_unaligned(const char *op, const void *addr)
{
	ptf_fail(EINVAL, PTF_LAYER_ARGUMENT, op, addr, 4, 0,
		 "address is no multiple of 4");
	ptf_fail_way("pass the address of a whole aligned word, or copy the bytes");
	return -EINVAL;
}

static int exchange(const char *op, struct job *job, uint32_t *old)
{
	int ret;

	if ((uintptr_t)job->addr & 3)
		return fail_unaligned(op, job->addr);
	ret = job_start(job);
	if (ret == -EFAULT)
		return fail_fault(op, job->addr, 4, 0,
				  job->what == LOAD ? PROT_READ : PROT_WRITE);
	if (ret)
		return ptf_fail(-ret, PTF_LAYER_PROCESS, op, job->addr, 4, 0,
				"helper process");
	if (old)
		*old = job->old;
	return 0;
}

int ptf_load32(const uint32_t *addr, uint32_t *value)
{
	struct job job = { .addr = (uint32_t *)(uintptr_t)addr, .what = LOAD };
	static uint32_t other;	/* a second futex, only its address is used */
	uint32_t seen;
	size_t done;
	int ret, i;

	if ((uintptr_t)addr & 3)
		return fail_unaligned(__func__, addr);
	for (i = 0; i < 32; i++) {
		ret = copy_loop(IN, (char *)&seen, (const char *)addr, 4, 0, &done);
		if (ret == -EFAULT)
			return fail_fault(__func__, addr, 4, 0, PROT_READ);
		if (ret)
			break;
		if (syscall(SYS_futex, addr, FUTEX_CMP_REQUEUE | FUTEX_PRIVATE_FLAG,
			    0, NULL, &other, seen) >= 0) {
			*value = seen;
			return 0;
		}
		if (errno == EFAULT)
			return fail_fault(__func__, addr, 4, 0, PROT_READ);
		if (errno != EAGAIN)
			break;
	}
	/* It changes faster than we look. */
	return exchange(__func__, &job, value);
}

int ptf_swap32(uint32_t *addr, uint32_t value, uint32_t *old)
{
	struct job job = { .addr = addr, .value = value, .what = SWAP };

	return exchange(__func__, &job, old);
}

int ptf_cmpxchg32(uint32_t *addr, uint32_t expected, uint32_t value,
		  uint32_t *old)
{
	struct job job = {
		.addr = addr, .expected = expected, .value = value,
		.what = CMPXCHG,
	};

	return exchange(__func__, &job, old);
}
