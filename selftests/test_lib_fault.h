/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the library's tests of rules, events and tracking share: a session or
 * the reason why not, and accesses that may end in a signal.
 */
#ifndef TEST_LIB_FAULT_H
#define TEST_LIB_FAULT_H

#include "test_lib.h"

#include <semaphore.h>
#include <setjmp.h>
#include <sys/eventfd.h>
#include <time.h>

/* The signal of this thread's last access that had one. */
static __thread sigjmp_buf fault_jump;
static __thread volatile sig_atomic_t fault_expected;
static __thread int fault_code;
static __thread void *fault_addr;

static inline void fault_handler(int sig, siginfo_t *info, void *context)
{
	(void)context;
	if (!fault_expected) {
		signal(sig, SIG_DFL);
		return;
	}
	fault_code = info->si_code;
	fault_addr = info->si_addr;
	siglongjmp(fault_jump, sig);
}

static inline void fault_catch(void)
{
	struct sigaction sa = { .sa_flags = SA_SIGINFO | SA_NODEFER };

	sa.sa_sigaction = fault_handler;
	sigaction(SIGBUS, &sa, NULL);
	sigaction(SIGSEGV, &sa, NULL);
}

enum access { LOAD, STORE };

/* One access: 0, or the signal that it had. A store puts 'w' there. */
static __attribute__((noinline, unused)) int touch(volatile char *p, enum access how)
{
	int sig;

	fault_expected = 1;
	sig = sigsetjmp(fault_jump, 0);
	if (!sig) {
		if (how == LOAD)
			(void)*p;
		else
			*p = 'w';
	}
	fault_expected = 0;
	return sig;
}

/* A session with these features; NULL and a reason where there is none. */
static inline struct ptf_session *session_or(uint64_t required, const char **why)
{
	struct ptf_session_options o = { .size = sizeof(o), .required = required };
	struct ptf_session *s;
	static char text[512];
	int err = ptf_session_open(&o, &s);

	if (!err)
		return s;
	ptf_failure_text(text, sizeof(text));
	*why = text;
	/* Any other failure is not "not there". */
	if (err != -ENOENT && err != -EOPNOTSUPP)
		fprintf(stderr, "# %s\n", text);
	return NULL;
}

/* Room of nr pages that is no huge page, filled. */
static inline char *room_of(size_t nr, unsigned int seed)
{
	char *p = anon(nr);

	madvise(p, PAGES(nr), MADV_NOHUGEPAGE);
	pages_fill(p, nr, seed);
	return p;
}

/* Make a present page fault once more. */
static inline int hide(struct ptf_session *s, const void *p, size_t pages)
{
	uint64_t at = (uintptr_t)p;

	return ptf_session_advise(s, NULL, at, at + PAGES(pages), PTF_ADV_NOTPRESENT, 0,
				  NULL);
}

static inline pid_t thread_id(void)
{
	return (pid_t)syscall(SYS_gettid);
}

static inline double seconds(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

#endif
