// SPDX-License-Identifier: GPL-2.0-only
/*
 * STASH while memory runs out: less than a twentieth of it free, swap in use,
 * reclaim at work on everything, and on the pages next to those that are away.
 */
/* vm: --memory 512 */
/* timeout: 600 */
#include "ptf_test.h"

#define NR	256
#define LEN	PAGES(NR)
#define SEED	57

FIXTURE(pressure) {
	int fd;
	struct ptf_log log;
	char *mem;
	volatile unsigned int *step;
};

FIXTURE_SETUP(pressure)
{
	self->fd = ptf_setup(_metadata, &self->log);
	if (self->fd < 0)
		return;
	if (!(ptf_features(self->fd) & PTF_FEATURE_STASH))
		SKIP(return, "no STASH on this kernel: its fault handler can't be hooked");
	self->mem = ptf_anon(LEN);
	self->step = ptf_shared(PAGE);
	ASSERT_TRUE(self->mem && self->step);
	ptf_fill(self->mem, LEN, SEED);
}

PTF_TEARDOWN(pressure)

static unsigned long meminfo(const char *key)
{
	char line[128];
	unsigned long kb = 0;
	size_t n = strlen(key);
	FILE *f = fopen("/proc/meminfo", "re");

	while (f && fgets(line, sizeof(line), f))
		if (!strncmp(line, key, n) && line[n] == ':')
			kb = strtoul(line + n + 1, NULL, 10);
	if (f)
		fclose(f);
	return kb;
}

/* Eats what there is, keeps eating, and looks at what it ate long ago. */
static int eat(void *arg)
{
	volatile unsigned int *step = arg;
	size_t room = meminfo("MemTotal") * 1024 + 64 * MB, at = 0, i;
	char *p = mmap(NULL, room, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED)
		return 1;
	madvise(p, room, MADV_NOHUGEPAGE);
	ptf_write_file("/proc/self/oom_score_adj", "1000");
	while (!step[0]) {
		for (i = 0; i < MB; i += PAGE, at += PAGE) {
			if (at >= room)
				at = 0;
			*(volatile size_t *)(p + at) = at + 1;
		}
		step[1]++;
	}
	return 0;
}

TEST_F_TIMEOUT(pressure, stashes_outlive_it, 300)
{
	unsigned long total = meminfo("MemTotal"), low = 0, swapped = 0;
	unsigned int i, n = ptf_rounds(2000), seed = 6;
	double t = ptf_seconds(), limit = 60 * ptf_env("PTF_SLOW", 1);
	struct ptf_ioc_range_advise cmd;
	unsigned long done = 0;
	int file = ptf_file_in(PTF_SCRATCH, LEN, SEED);
	char *s;
	pid_t pid;

	if (!ptf_swap_free_kb())
		SKIP(return, "no swap");
	ASSERT_LE(0, file);
	s = mmap(NULL, LEN, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
	ASSERT_NE(MAP_FAILED, s);
	pid = ptf_child(eat, (void *)self->step);
	for (i = 0; ptf_seconds() - t < limit && (i < n || low < n / 4 || swapped < n / 4); i++) {
		char *p = i & 1 ? self->mem : s;
		size_t at = rand_r(&seed) % NR, nr = 1 + rand_r(&seed) % (NR - at);

		ptf_touch_all(p + PAGES(at), PAGES(nr));
		if (!_test_cmd_range_advise(self->fd, &cmd, 0, PTF_ADV_STASH, p + PAGES(at),
					    PAGES(nr), 0))
			done += cmd.out_done_pages;
		/* left away for a while, now and then */
		if (i % 16 >= 2) {
			ASSERT_EQ(0, ptf_wrong(p, LEN, SEED)) {
				TH_LOG("round %u", i);
			}
		}
		if (i % 8 == 0)
			ptf_fill(p, LEN, SEED);
		low += meminfo("MemFree") < total / 20;
		swapped += meminfo("SwapFree") < meminfo("SwapTotal");
	}
	EXPECT_LT(0, low) {
		TH_LOG("memory never ran low: %u rounds, %u MB eaten", i, self->step[1]);
	}
	EXPECT_LT(0, swapped);
	EXPECT_LT(i, done);
	EXPECT_EQ(0, ptf_wrong(self->mem, LEN, SEED));
	EXPECT_EQ(0, ptf_wrong(s, LEN, SEED));
	self->step[0] = 1;
	ptf_kill(pid);
	munmap(s, LEN);
	close(file);
}

TEST_HARNESS_MAIN
