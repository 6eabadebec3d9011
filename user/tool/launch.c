// SPDX-License-Identifier: GPL-2.0-only
/*
 * Starting a program and stopping it at a chosen point.
 *
 * It is traced only so far. The point is found by the CPU's own breakpoint
 * registers: the program's text stays as it is, and what it forks on the way
 * inherits nothing. Who comes to the point first stops the others.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/elf.h>

#include "launch.h"

#define MAX_POINTS 4	/* the CPU has no more */
#define HWBKPT 4	/* TRAP_HWBKPT of siginfo(2) */

/* Its threads, as we met them. */
static struct thread {
	pid_t tid;
	int signal;	/* to be handed on when it is let go */
	bool stopped;
} *threads;
static size_t nr_threads;

static struct thread *thread_of(pid_t tid, bool create)
{
	struct thread *v;

	for (size_t i = 0; i < nr_threads; i++)
		if (threads[i].tid == tid)
			return &threads[i];
	if (!create)
		return NULL;
	v = reallocarray(threads, nr_threads + 1, sizeof(*v));
	if (!v)
		return NULL;
	threads = v;
	v += nr_threads++;
	memset(v, 0, sizeof(*v));
	v->tid = tid;
	return v;
}

static void account(struct launch *l, const struct rusage *ru)
{
	l->minor += ru->ru_minflt;
	l->major += ru->ru_majflt;
}

static void ended(struct launch *l, int status, const struct rusage *ru)
{
	l->ended = true;
	l->stopped = false;
	l->status = status;
	account(l, ru);
}

void launch_reap(struct launch *l)
{
	struct rusage ru;
	int status;
	pid_t pid;

	while ((pid = wait4(-1, &status, WNOHANG, &ru)) > 0) {
		if (!WIFEXITED(status) && !WIFSIGNALED(status))
			continue;
		if (pid == l->pid)
			ended(l, status, &ru);
		else
			account(l, &ru);
	}
}

void launch_kill(struct launch *l)
{
	struct rusage ru;
	int status;

	if (l->ended || l->pid <= 0)
		return;
	kill(l->pid, SIGKILL);
	while (wait4(l->pid, &status, __WALL, &ru) >= 0) {
		if (WIFEXITED(status) || WIFSIGNALED(status)) {
			ended(l, status, &ru);
			break;
		}
	}
}

int launch_exit_code(const struct launch *l)
{
	if (WIFSIGNALED(l->status))
		return 128 + WTERMSIG(l->status);
	return WEXITSTATUS(l->status);
}

static void child(struct launch *l, unsigned int flags, int go, int say)
{
	int err;
	char c;

	/* Not before we are traced. */
	if (read(go, &c, 1) != 1)
		_exit(126);
	if (flags & LAUNCH_F_FIXED)
		personality(personality(0xffffffff) | ADDR_NO_RANDOMIZE);
	if (flags & LAUNCH_F_QUIET)
		dup2(STDERR_FILENO, STDOUT_FILENO);
	execvp(l->cmd[0], l->cmd);
	err = errno;
	if (write(say, &err, sizeof(err)) != sizeof(err))
		_exit(125);
	_exit(err == ENOENT ? 127 : 126);
}

/* The next stop or end of any child; 0 where there is none any more. */
static pid_t next(struct launch *l, int *status)
{
	struct rusage ru;
	pid_t pid;

	for (;;) {
		pid = wait4(-1, status, __WALL, &ru);
		if (pid < 0) {
			if (errno == EINTR)
				continue;
			return 0;
		}
		if (WIFSTOPPED(*status))
			return pid;
		if (!WIFEXITED(*status) && !WIFSIGNALED(*status))
			continue;
		if (pid == l->pid) {
			ended(l, *status, &ru);
			return 0;
		}
		/* A thread's numbers come with the process's own. */
		if (!thread_of(pid, false))
			account(l, &ru);
	}
}

int launch_start(struct tool *t, char **cmd, unsigned int flags,
		 struct launch *l)
{
	int go[2], say[2], status, err = 0, ret = DONE;

	memset(l, 0, sizeof(*l));
	l->cmd = cmd;
	if (pipe2(go, O_CLOEXEC))
		return tool_fail(t, cmd[0], NULL, "%s", strerror(errno));
	if (pipe2(say, O_CLOEXEC)) {
		ret = tool_fail(t, cmd[0], NULL, "%s", strerror(errno));
		goto close_go;
	}
	fflush(NULL);
	l->pid = fork();
	if (l->pid < 0) {
		ret = tool_fail(t, cmd[0], NULL, "%s", strerror(errno));
		goto close_say;
	}
	if (!l->pid) {
		close(go[1]);
		child(l, flags, go[0], say[1]);
	}
	close(say[1]);
	say[1] = -1;
	if (ptrace(PTRACE_SEIZE, l->pid, NULL,
		   PTRACE_O_EXITKILL | PTRACE_O_TRACEEXEC |
		   PTRACE_O_TRACECLONE)) {
		ret = tool_fail(t, cmd[0], "is it being traced already, or does a policy forbid it?",
				"it can't be traced: %s", strerror(errno));
		launch_kill(l);
		goto close_say;
	}
	thread_of(l->pid, true);
	if (write(go[1], "", 1) != 1)
		launch_kill(l);
	while (!l->ended) {
		pid_t pid = next(l, &status);

		if (!pid)
			break;
		if (status >> 16 == PTRACE_EVENT_EXEC) {
			l->stopped = true;
			thread_of(pid, true)->stopped = true;
			break;
		}
		ptrace(status >> 16 == PTRACE_EVENT_STOP ? PTRACE_LISTEN :
		       PTRACE_CONT, pid, 0, WSTOPSIG(status));
	}
	if (!l->stopped) {
		if (read(say[0], &err, sizeof(err)) == sizeof(err))
			tool_fail(t, cmd[0], NULL, "%s", strerror(err));
		ret = l->ended ? launch_exit_code(l) : FAILED;
		if (ret == DONE)
			ret = FAILED;
	}
close_say:
	close(say[0]);
	if (say[1] >= 0)
		close(say[1]);
close_go:
	close(go[0]);
	close(go[1]);
	return ret;
}

/* ------------------------------------------------------------------ */
/* Up to a point                                                       */

static bool set_register(pid_t tid, int i, unsigned long value)
{
	return !ptrace(PTRACE_POKEUSER, tid,
		       offsetof(struct user, u_debugreg) +
		       i * sizeof(unsigned long), value);
}

/* The thread stands; it is to stop before it executes one of @points. */
static bool set_points(pid_t tid, const uint64_t *points, size_t n)
{
	unsigned long enable = 0;

	/* What is set is off before it changes. */
	if (!set_register(tid, 7, 0))
		return false;
	for (size_t i = 0; i < n; i++) {
		if (!set_register(tid, i, points[i]))
			return false;
		enable |= 1UL << (2 * i);
	}
	return !n || set_register(tid, 7, enable);
}

static bool is_hit(pid_t tid, int status)
{
	siginfo_t info;

	return status >> 16 == 0 && WSTOPSIG(status) == SIGTRAP &&
	       !ptrace(PTRACE_GETSIGINFO, tid, NULL, &info) &&
	       info.si_code == HWBKPT;
}

enum came { CAME, CAME_ENDED, CAME_EXEC, CAME_NOT };

/* Lets the thread @from (0: all stand free already) run until one is there. */
static enum came run_to(struct launch *l, const uint64_t *points, size_t n,
			pid_t from, pid_t *who)
{
	struct thread *th = thread_of(from, true);
	int status, event;
	pid_t pid;

	if (!th || !set_points(from, points, n) ||
	    ptrace(PTRACE_CONT, from, 0, 0))
		return CAME_NOT;
	th->stopped = false;
	l->stopped = false;
	while ((pid = next(l, &status))) {
		event = status >> 16;
		thread_of(pid, true);
		if (is_hit(pid, status)) {
			*who = pid;
			return CAME;
		}
		switch (event) {
		case 0:
			ptrace(PTRACE_CONT, pid, 0, WSTOPSIG(status));
			break;
		case PTRACE_EVENT_EXEC:
			/* Its other threads are gone, and their numbers. */
			nr_threads = 0;
			thread_of(pid, true);
			*who = pid;
			return CAME_EXEC;
		case PTRACE_EVENT_STOP:
			if (WSTOPSIG(status) != SIGTRAP) {
				ptrace(PTRACE_LISTEN, pid, 0, 0);
				break;
			}
			/* A new thread, or one that goes on after a stop. */
			set_points(pid, points, n);
			ptrace(PTRACE_CONT, pid, 0, 0);
			break;
		default:
			ptrace(PTRACE_CONT, pid, 0, 0);
		}
	}
	return CAME_ENDED;
}

/* All threads stand, and none has a breakpoint any more. */
static void stop_all(struct launch *l, pid_t who)
{
	struct thread *th;
	bool again = true;
	char path[64];
	int status;

	snprintf(path, sizeof(path), "/proc/%d/task", (int)l->pid);
	th = thread_of(who, true);
	if (!th)
		return;
	th->stopped = true;
	th->signal = 0;
	set_points(who, NULL, 0);
	while (again) {
		DIR *dir = opendir(path);
		struct dirent *d;

		again = false;
		while (dir && (d = readdir(dir))) {
			pid_t tid = atoi(d->d_name);

			if (tid <= 0)
				continue;
			th = thread_of(tid, true);
			if (!th || th->stopped)
				continue;
			if (ptrace(PTRACE_INTERRUPT, tid, 0, 0) ||
			    waitpid(tid, &status, __WALL) != tid ||
			    !WIFSTOPPED(status))
				continue;
			again = true;
			th->stopped = true;
			th->signal = status >> 16 || is_hit(tid, status) ? 0 :
				     WSTOPSIG(status);
			set_points(tid, NULL, 0);
		}
		if (dir)
			closedir(dir);
	}
	l->stopped = true;
}

/* The first argument of the function that a thread is about to execute. */
static bool first_argument(pid_t tid, bool wide, uint64_t *out)
{
	struct user_regs_struct regs;
	struct iovec iov = { &regs, sizeof(regs) };
	long word;

	if (!wide) {
		long sp = ptrace(PTRACE_PEEKUSER, tid,
				 offsetof(struct user_regs_struct, rsp), 0);

		errno = 0;
		word = ptrace(PTRACE_PEEKDATA, tid, (sp & 0xffffffff) + 4, 0);
		*out = word & 0xffffffff;
		return !errno;
	}
	if (ptrace(PTRACE_GETREGSET, tid, NT_PRSTATUS, &iov) ||
	    iov.iov_len != sizeof(regs))
		return false;
	*out = regs.rdi;
	return true;
}

/*
 * One program on the way to @at. A stripped one does not say where main is, but
 * the C library is called with its address.
 */
static enum came toward(struct launch *l, const char *at, pid_t *who)
{
	bool is_main = !strcmp(at, "main"), wide = true;
	uint64_t points[MAX_POINTS], entry;
	enum came came;
	size_t n;

	n = elf_find(l->pid, at, ELF_PROGRAM, points, MAX_POINTS, &wide);
	if (n)
		return run_to(l, points, n, *who, who);
	if (!elf_entry(l->pid, &entry))
		return CAME_NOT;
	came = run_to(l, &entry, 1, *who, who);
	if (came != CAME)
		return came;
	n = elf_find(l->pid, is_main ? "__libc_start_main" : at, ELF_LIBRARIES,
		     points, MAX_POINTS, &wide);
	if (!n)
		return CAME_NOT;
	came = run_to(l, points, n, *who, who);
	if (came != CAME || !is_main)
		return came;
	if (!first_argument(*who, wide, points))
		return CAME_NOT;
	return run_to(l, points, 1, *who, who);
}

int launch_until(struct tool *t, struct launch *l, const char *at)
{
	enum came came = CAME_EXEC;
	pid_t who = l->pid;

	if (!strcmp(at, "exec"))
		return DONE;
	while (came == CAME_EXEC)
		came = toward(l, at, &who);
	if (came == CAME_ENDED)
		return DONE;
	if (came == CAME) {
		stop_all(l, who);
		return DONE;
	}
	launch_kill(l);
	return tool_fail(t, at, "--at exec needs no symbols",
			 strcmp(at, "main") ?
			 "no such function in %s or a library that it is linked with" :
			 "%s is stripped, and not linked with the C library",
			 l->cmd[0]);
}

int launch_go(struct tool *t, struct launch *l)
{
	int ret = DONE;

	if (!l->stopped)
		return DONE;
	for (size_t i = 0; i < nr_threads; i++) {
		if (!threads[i].stopped)
			continue;
		/* ESRCH: it was killed where it stood. */
		if (ptrace(PTRACE_DETACH, threads[i].tid, 0,
			   threads[i].signal) && errno != ESRCH)
			ret = tool_fail(t, l->cmd[0], NULL,
					"it can't be let go: %s",
					strerror(errno));
	}
	l->stopped = false;
	nr_threads = 0;
	free(threads);
	threads = NULL;
	return ret;
}
