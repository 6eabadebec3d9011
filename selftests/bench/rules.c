// SPDX-License-Identifier: GPL-2.0-only
/* What rules cost, and a fault on every fetch. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#include <linux/ptefault.h>

#include "bench.h"

#define MANY	100000UL

static int fd;
static char *mem;
static struct ptf_ioc_range_advise advise = { .size = sizeof(advise) };
static struct ptf_event events[256];

static void do_advise(unsigned int advice)
{
	advise.advice = advice;
	advise.start = (uintptr_t)mem;
	advise.end = advise.start + BENCH_PAGE;
	if (ioctl(fd, PTF_IOC_RANGE_ADVISE, &advise))
		bench_skip("advice 0x%x: %s", advice, strerror(errno));
}

static void add(struct ptf_rule *rules, unsigned int nr)
{
	struct ptf_ioc_rule_add cmd = {
		.size = sizeof(cmd), .rule_size = sizeof(*rules), .nr_rules = nr,
		.rules = (uintptr_t)rules,
	};

	if (ioctl(fd, PTF_IOC_RULE_ADD, &cmd))
		bench_skip("rule: %s", strerror(errno));
}

static void rule(const char *p, unsigned int action, unsigned int flags)
{
	struct ptf_rule r = {
		.start = (uintptr_t)p, .end = (uintptr_t)p + BENCH_PAGE, .flags = flags,
		.access = PTF_ACCESS_ANY, .origin = PTF_ORIGIN_USER, .action = action,
	};

	add(&r, 1);
}

static void arm(void)
{
	struct ptf_ioc_rule_arm cmd = { .size = sizeof(cmd) };

	if (ioctl(fd, PTF_IOC_RULE_ARM, &cmd))
		bench_skip("arm: %s", strerror(errno));
}

static void delete_all(void)
{
	struct ptf_ioc_rule_delete cmd = { .size = sizeof(cmd), .flags = PTF_RULE_DELETE_F_ALL };

	ioctl(fd, PTF_IOC_RULE_DELETE, &cmd);
}

static void touch_n(int n)
{
	while (n--)
		bench_touch(mem);
}

static void on_bus(int sig, siginfo_t *si, void *uc)
{
	((ucontext_t *)uc)->uc_mcontext.gregs[REG_RIP] += BENCH_TOUCH_BYTES;
}

static void clear(int n)
{
	do_advise(PTF_ADV_NOTPRESENT);
}

static void clear_touch(int n)
{
	while (n--) {
		do_advise(PTF_ADV_NOTPRESENT);
		bench_touch(mem);
	}
}

static void fill_queue(int n)
{
	while (n--) {
		do_advise(PTF_ADV_NOTPRESENT);
		bench_touch(mem);
	}
}

static void read_queue(int n)
{
	if (read(fd, events, n * sizeof(events[0])) != (ssize_t)(n * sizeof(events[0])))
		bench_skip("events: %s", strerror(errno));
}

void ours_rules(void)
{
	struct sigaction sa = { .sa_sigaction = on_bus, .sa_flags = SA_SIGINFO };
	double one, many;
	struct ptf_rule *r;
	char *space;
	size_t i;

	fd = bench_open_module();
	mem = bench_memory(1, PROT_READ | PROT_WRITE, MAP_PRIVATE, -1);
	do_advise(PTF_ADV_STICKY);
	bench_result("every_fetch_one", bench_best(100, 10, NULL, touch_n));
	bench_note("every_fetch_one", "STICKY, one access of a page");
	do_advise(PTF_ADV_RESET);

	sigaction(SIGBUS, &sa, NULL);
	rule(mem, PTF_ACT_SIGBUS, PTF_RULE_F_QUIET);
	arm();
	bench_result("sigbus_one", bench_best(100, 10, NULL, touch_n));
	bench_note("sigbus_one", "a rule that tells nobody, the signal, content kept");
	delete_all();
	rule(mem, PTF_ACT_SIGBUS, 0);
	arm();
	bench_result("sigbus_event_one", bench_best(100, 10, NULL, touch_n));
	bench_note("sigbus_event_one", "the same, with an event");
	delete_all();

	rule(mem, PTF_ACT_NOTIFY, PTF_RULE_F_PASSIVE);
	/* what is in the queue from before */
	fcntl(fd, F_SETFL, O_NONBLOCK);
	while (read(fd, events, sizeof(events)) > 0)
		;
	bench_result("event_read_one", bench_best(20, 64, fill_queue, read_queue));
	bench_note("event_read_one", "of 64 in one read()");
	delete_all();

	rule(mem, PTF_ACT_COUNT, PTF_RULE_F_PASSIVE);
	one = bench_best(200, 1, clear, touch_n);
	bench_result("counted_refault_one", one);
	bench_note("counted_refault_one", "a fault that one rule counts; clear_refault: %.0f",
		   bench_best(100, 10, NULL, clear_touch));
	r = calloc(MANY, sizeof(*r));
	space = mmap(NULL, 2 * MANY * BENCH_PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS |
		     MAP_NORESERVE, -1, 0);
	if (!r || space == MAP_FAILED)
		bench_skip("no memory");
	for (i = 0; i < MANY; i++)
		r[i] = (struct ptf_rule){
			.start = (uintptr_t)space + 2 * i * BENCH_PAGE,
			.end = (uintptr_t)space + (2 * i + 1) * BENCH_PAGE,
			.access = PTF_ACCESS_ANY, .origin = PTF_ORIGIN_USER,
			.action = PTF_ACT_COUNT, .flags = PTF_RULE_F_PASSIVE,
		};
	add(r, MANY);
	many = bench_best(200, 1, clear, touch_n);
	bench_result("rules_100k_percent", (many - one) / one * 100);
	bench_note("rules_100k_percent", "more for a fault where there are %lu rules", MANY);
}
