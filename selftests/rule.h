/* SPDX-License-Identifier: GPL-2.0-only */
/* What tests of rules share: accesses that may end in a signal, and commands. */
#ifndef PTF_TEST_RULE_H
#define PTF_TEST_RULE_H

#include <setjmp.h>
#include <sys/auxv.h>
#include <ucontext.h>

/* ---- accesses that may end in a signal ---- */

static __thread struct {
	sigjmp_buf back;
	volatile bool armed;
	volatile int sig, code, lsb;
	char *volatile addr;
} ptf_caught;

static void ptf_on_signal(int sig, siginfo_t *si, void *uc)
{
	ptf_caught.sig = sig;
	ptf_caught.code = si->si_code;
	ptf_caught.addr = si->si_addr;
	ptf_caught.lsb = si->si_addr_lsb;
	if (!ptf_caught.armed) {
		static const char text[] = "# a signal that nobody waited for\n";
		(void)!write(2, text, sizeof(text) - 1);
		_exit(99);
	}
	ptf_caught.armed = false;
	siglongjmp(ptf_caught.back, 1);
}

static inline int ptf_catch(void)
{
	struct sigaction sa = { .sa_sigaction = ptf_on_signal, .sa_flags = SA_SIGINFO };

	return sigaction(SIGBUS, &sa, NULL) ?: sigaction(SIGSEGV, &sa, NULL);
}

/* 0, or minus the signal. */
#define PTF_TRY(access) ({ \
	int __sig = 0; \
	if (!sigsetjmp(ptf_caught.back, 1)) { \
		ptf_caught.armed = true; \
		access; \
	} else { \
		__sig = -ptf_caught.sig; \
	} \
	ptf_caught.armed = false; \
	__sig; \
})

static __attribute__((noinline, unused)) int ptf_try_read(const char *p)
{
	return PTF_TRY((void)*(const volatile char *)p);
}

static __attribute__((noinline, unused)) int ptf_try_write(char *p)
{
	return PTF_TRY(*(volatile char *)p = 0x5a);
}

static __attribute__((noinline, unused)) int ptf_try_call(char *p)
{
	return PTF_TRY(((void (*)(void))p)());
}

/* A page of text that nobody else calls. */
__asm__(".pushsection .text\n.balign 4096\nptf_text_page:\n\tret\n.balign 4096\n.popsection");
extern char ptf_text_page[];

static inline char *ptf_vdso(void)
{
	return (char *)getauxval(AT_SYSINFO_EHDR);
}

static inline size_t ptf_wrong_page(const void *p, __u64 seed, __u64 nr)
{
	const volatile __u64 *w = p;
	size_t i, bad = 0;

	for (i = 0; i < PAGE / 8; i++)
		bad += w[i] != ptf_word(seed, nr, i);
	return bad;
}

/* ---- commands ---- */

static inline int _test_rule_add(int fd, struct ptf_rule *r, const void *addr, size_t len,
				 __u32 action)
{
	struct ptf_ioc_rule_add cmd = { .size = sizeof(cmd), .rule_size = sizeof(*r),
					.nr_rules = 1, .rules = u64ptr(r) };

	r->start = u64ptr(addr);
	r->end = r->start + len;
	r->action = action;
	if (!r->access)
		r->access = PTF_ACCESS_ANY;
	if (!r->origin)
		r->origin = PTF_ORIGIN_ANY;
	return ioctl(fd, PTF_IOC_RULE_ADD, &cmd);
}

#define test_rule_add(r, addr, len, action, ...) do { \
	*(r) = (struct ptf_rule){ __VA_ARGS__ }; \
	ASSERT_OK(_test_rule_add(self->fd, r, addr, len, action)); \
	ASSERT_NE(0, (r)->id); \
	fcntl(self->fd, F_SETFL, O_NONBLOCK); \
} while (0)

static inline int _test_rule_arm(int fd, __u32 flags)
{
	struct ptf_ioc_rule_arm cmd = { .size = sizeof(cmd), .flags = flags };

	return ioctl(fd, PTF_IOC_RULE_ARM, &cmd);
}

#define test_rule_arm(flags) ASSERT_OK(_test_rule_arm(self->fd, flags))

static inline int _test_rule_delete_all(int fd)
{
	struct ptf_ioc_rule_delete cmd = { .size = sizeof(cmd), .flags = PTF_RULE_DELETE_F_ALL };

	return ioctl(fd, PTF_IOC_RULE_DELETE, &cmd);
}

#define test_rule_delete_all() ASSERT_OK(_test_rule_delete_all(self->fd))

/* The rule @r->id as it stands now. */
static inline int _test_rule_get(int fd, struct ptf_rule *r)
{
	struct ptf_ioc_rule_list cmd = { .size = sizeof(cmd), .rule_size = sizeof(*r),
					 .nr_rules = 1, .first = r->id, .rules = u64ptr(r) };
	__u64 id = r->id;
	int ret = ioctl(fd, PTF_IOC_RULE_LIST, &cmd);

	return ret ?: cmd.out_rules == 1 && r->id == id ? 0 : -1;
}

#define test_rule_get(r) ASSERT_OK(_test_rule_get(self->fd, r))
#define test_rule_list_one(r) test_rule_get(r)

#endif
