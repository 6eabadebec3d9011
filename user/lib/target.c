// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Targets: an address space by its number in the module, and beside it a
 * pidfd, which is what tells a process from the next one with its pid.
 */
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "session.h"

static int pidfd_open(pid_t pid)
{
	return (int)syscall(SYS_pidfd_open, pid, 0);
}

static int pidfd_alive(int pidfd)
{
	struct pollfd p = { .fd = pidfd, .events = POLLIN };

	if (poll(&p, 1, 0) > 0)
		return 0;
	if (!syscall(SYS_pidfd_send_signal, pidfd, 0, NULL, 0))
		return 1;
	/* No right to signal it: it is there, though. */
	return errno != ESRCH;
}

/* The process that a thread belongs to, or 0. */
static pid_t tgid_of(pid_t tid)
{
	char path[64], line[256];
	pid_t tgid = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)tid);
	f = fopen(path, "re");
	if (!f)
		return 0;
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "Tgid: %d", &tgid) == 1)
			break;
	fclose(f);
	return tgid;
}

int ptf_target_check(const struct ptf_session *session,
		     const struct ptf_target *target, const char *op)
{
	if (!target || target->session == session)
		return 0;
	return ptf_fail(EINVAL, PTF_LAYER_ARGUMENT, op, NULL, 0, 0,
			"the target is of another session");
}

int ptf_target_open(struct ptf_session *session, pid_t pid,
		    struct ptf_target **out)
{
	static const char op[] = "ptf_target_open";
	struct ptf_ioc_target_close undo = { .size = sizeof(undo) };
	struct ptf_ioc_target_open arg = { .size = sizeof(arg) };
	struct ptf_target *target;
	int err;

	*out = NULL;
	if (pid < 1)
		return ptf_fail(EINVAL, PTF_LAYER_ARGUMENT, op, NULL, 0, 0,
				"process %d", (int)pid);
	target = calloc(1, sizeof(*target));
	if (!target)
		return ptf_fail(ENOMEM, PTF_LAYER_NONE, op, NULL, 0, 0, NULL);
	target->session = session;
	target->pid = pid;
	target->pidfd = pidfd_open(pid);
	if (target->pidfd < 0 && (errno == EINVAL || errno == ENOENT)) {
		/* A thread: older kernels have pidfds of processes only. */
		target->pid = tgid_of(pid);
		errno = ESRCH;
		if (target->pid > 0)
			target->pidfd = pidfd_open(target->pid);
	}
	if (target->pidfd < 0) {
		err = ptf_fail(errno, PTF_LAYER_PROCESS, op, NULL, 0, 0,
			       errno == ESRCH ? "no process %d" : "process %d",
			       (int)pid);
		if (err == -ESRCH)
			ptf_fail_way("name a process that runs");
		goto free_target;
	}
	arg.pid = pid;
	err = ptf_ioctl(session, PTF_IOC_TARGET_OPEN, &arg);
	if (err) {
		ptf_fail(-err, PTF_LAYER_PROCESS, op, NULL, 0, 0,
			 err == -ESRCH ? "process %d has no memory of its own" :
			 err == -EPERM ? "no right to process %d" :
					 "process %d", (int)pid);
		if (err == -ESRCH)
			ptf_fail_way("it may have ended, be a zombie, or be a thread of the kernel");
		goto close_pidfd;
	}
	target->id = arg.out_target;
	/*
	 * The process of the pidfd still running means that the pid was its
	 * all the while, and so also when the module looked it up.
	 */
	if (!pidfd_alive(target->pidfd) ||
	    (target->pid != pid && tgid_of(pid) != target->pid)) {
		err = ptf_fail(ESRCH, PTF_LAYER_PROCESS, op, NULL, 0, 0,
			       "process %d ended meanwhile", (int)pid);
		goto close_target;
	}
	*out = target;
	return 0;

close_target:
	if (target->id != PTF_TARGET_SELF) {
		undo.target = target->id;
		ptf_ioctl(session, PTF_IOC_TARGET_CLOSE, &undo);
	}
close_pidfd:
	close(target->pidfd);
free_target:
	free(target);
	return err;
}

void ptf_target_close(struct ptf_target *target)
{
	struct ptf_ioc_target_close arg = { .size = sizeof(arg) };
	int saved = errno;

	if (!target)
		return;
	/* The session's own is always there and can't be closed. */
	if (target->id != PTF_TARGET_SELF) {
		arg.target = target->id;
		ptf_ioctl(target->session, PTF_IOC_TARGET_CLOSE, &arg);
	}
	close(target->pidfd);
	free(target);
	errno = saved;
}

int ptf_target_alive(const struct ptf_target *target)
{
	return !target || pidfd_alive(target->pidfd);
}

pid_t ptf_target_pid(const struct ptf_target *target)
{
	return target ? target->pid : getpid();
}

int ptf_target_pidfd(const struct ptf_target *target)
{
	return target ? target->pidfd : -1;
}

uint32_t ptf_target_id(const struct ptf_target *target)
{
	return target ? target->id : PTF_TARGET_SELF;
}
