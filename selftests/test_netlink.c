// SPDX-License-Identifier: GPL-2.0-only
/*
 * Events by generic netlink, as a program gets them through libnl: who may
 * listen, that each hit comes once with all that read() says of it, and that
 * what is lost is counted.
 */
#include "ptf_test.h"
#include "rule.h"

#include <netlink/genl/ctrl.h>
#include <netlink/genl/family.h>
#include <netlink/genl/genl.h>
#include <netlink/netlink.h>
#include <linux/netlink.h>
#include <poll.h>

#define NR	16
#define LEN	PAGES(NR)
#define SEED	91
#define MAX	4096

/* What came, as the attributes have it. */
struct got {
	__u64 v[PTF_GENL_A_LAST + 1];
	bool has[PTF_GENL_A_LAST + 1];
	int len[PTF_GENL_A_LAST + 1];
};

static struct got got[MAX];
static int nr_got;
static int strange;	/* messages that are none of ours */

static int on_message(struct nl_msg *msg, void *arg)
{
	struct nlattr *a[PTF_GENL_A_LAST + 1];
	struct genlmsghdr *hdr = genlmsg_hdr(nlmsg_hdr(msg));
	struct got *g = &got[nr_got];

	if (hdr->cmd != PTF_GENL_CMD_EVENT || hdr->version != PTF_GENL_VERSION ||
	    genlmsg_parse(nlmsg_hdr(msg), 0, a, PTF_GENL_A_LAST, NULL) < 0 || nr_got == MAX) {
		strange++;
		return NL_OK;
	}
	memset(g, 0, sizeof(*g));
	for (int i = 1; i <= PTF_GENL_A_LAST; i++) {
		if (!a[i])
			continue;
		g->has[i] = true;
		g->len[i] = nla_len(a[i]);
		if (nla_len(a[i]) <= 8)
			memcpy(&g->v[i], nla_data(a[i]), nla_len(a[i]));
	}
	nr_got++;
	return NL_OK;
}

static struct nl_sock *listener(int *err)
{
	struct nl_sock *sk = nl_socket_alloc();
	int group;

	nl_socket_disable_seq_check(sk);
	nl_socket_modify_cb(sk, NL_CB_VALID, NL_CB_CUSTOM, on_message, NULL);
	*err = genl_connect(sk);
	if (*err)
		return sk;
	group = genl_ctrl_resolve_grp(sk, PTF_GENL_NAME, PTF_GENL_MCGRP_EVENTS);
	*err = group < 0 ? group : nl_socket_add_membership(sk, group);
	nl_socket_set_nonblocking(sk);
	return sk;
}

/* Everything that is there, and what comes within @ms of silence. */
static int drain(struct nl_sock *sk, int ms)
{
	struct pollfd p = { .fd = nl_socket_get_fd(sk), .events = POLLIN };
	int err;

	while (poll(&p, 1, ms) > 0) {
		err = nl_recvmsgs_default(sk);
		if (err < 0 && err != -NLE_AGAIN)
			return err;
	}
	return 0;
}

FIXTURE(netlink) {
	int fd;
	struct ptf_log log;
	struct nl_sock *sk;
	char *mem;
};

FIXTURE_SETUP(netlink)
{
	int err;

	self->fd = ptf_setup(_metadata, &self->log);
	if (self->fd < 0)
		return;
	if (!(ptf_features(self->fd) & PTF_FEATURE_NETLINK))
		SKIP(return, "no generic netlink here");
	if (!(ptf_features(self->fd) & PTF_FEATURE_RULE))
		SKIP(return, "the fault handler can't be hooked here");
	self->mem = ptf_anon(LEN);
	ASSERT_NE(NULL, self->mem);
	ptf_fill(self->mem, LEN, SEED);
	ASSERT_EQ(0, ptf_catch());
	self->sk = listener(&err);
	ASSERT_EQ(0, err) {
		TH_LOG("%s", nl_geterror(err));
	}
}

PTF_TEARDOWN(netlink)

/* Names, numbers and types are those of the header. */
TEST_F(netlink, family)
{
	struct nl_cache *cache;
	struct genl_family *f;

	ASSERT_EQ(0, genl_ctrl_alloc_cache(self->sk, &cache));
	f = genl_ctrl_search_by_name(cache, PTF_GENL_NAME);
	ASSERT_NE(NULL, f);
	EXPECT_EQ(PTF_GENL_VERSION, genl_family_get_version(f));
	EXPECT_EQ(PTF_GENL_A_LAST, genl_family_get_maxattr(f));
	EXPECT_EQ(0, genl_family_get_hdrsize(f));
	EXPECT_LT(0, genl_ctrl_resolve_grp(self->sk, PTF_GENL_NAME, "events"));
	EXPECT_GT(0, genl_ctrl_resolve_grp(self->sk, PTF_GENL_NAME, "event"));
	genl_family_put(f);
	nl_cache_free(cache);
}

/* What read() says of a hit, netlink says too. */
TEST_F(netlink, same_as_read)
{
	static const int wide[] = { 0, 0, 4, 8, 4, 8, 8, 8, 8, 8, 8, 8, 4, 4, 4, 1, 1, 1, 1, 1 };
	struct ptf_event e[NR + 1];
	struct ptf_rule r;
	ssize_t n;

	test_rule_add(&r, self->mem, LEN, PTF_ACT_NOTIFY);
	test_rule_arm(0);
	for (int i = 0; i < NR; i++)
		i % 2 ? ptf_try_write(self->mem + PAGES(i)) : ptf_try_read(self->mem + PAGES(i));
	n = read(self->fd, e, sizeof(e));
	ASSERT_EQ(NR * sizeof(e[0]), n);
	ASSERT_EQ(0, drain(self->sk, 200));
	EXPECT_EQ(0, strange);
	ASSERT_EQ(NR, nr_got);
	for (int i = 0; i < NR; i++) {
		const struct got *g = &got[i];

		for (int a = PTF_GENL_A_SESSION; a <= PTF_GENL_A_LAST; a++) {
			EXPECT_TRUE(g->has[a]) {
				TH_LOG("no attribute %d", a);
			}
			EXPECT_EQ(wide[a], g->len[a]) {
				TH_LOG("attribute %d", a);
			}
		}
		EXPECT_NE(0, g->v[PTF_GENL_A_SESSION]);
		EXPECT_EQ(got[0].v[PTF_GENL_A_SESSION], g->v[PTF_GENL_A_SESSION]);
		EXPECT_EQ(0, g->v[PTF_GENL_A_LOST]);
		EXPECT_EQ(PTF_EVENT_HIT, g->v[PTF_GENL_A_TYPE]);
		EXPECT_EQ(i + 1, g->v[PTF_GENL_A_SEQ]);
		EXPECT_EQ(e[i].seq, g->v[PTF_GENL_A_SEQ]);
		EXPECT_EQ(e[i].time_ns, g->v[PTF_GENL_A_TIME_NS]);
		EXPECT_EQ(r.id, g->v[PTF_GENL_A_RULE]);
		EXPECT_EQ(0, g->v[PTF_GENL_A_HELD]);
		EXPECT_EQ(u64ptr(self->mem + PAGES(i)), g->v[PTF_GENL_A_ADDR]);
		EXPECT_EQ(e[i].ip, g->v[PTF_GENL_A_IP]);
		EXPECT_EQ(e[i].pte, g->v[PTF_GENL_A_PTE]);
		EXPECT_EQ(getpid(), g->v[PTF_GENL_A_PID]);
		EXPECT_EQ(syscall(SYS_gettid), g->v[PTF_GENL_A_TID]);
		EXPECT_EQ(e[i].target, g->v[PTF_GENL_A_TARGET]);
		EXPECT_EQ(i % 2 ? PTF_ACCESS_WRITE : PTF_ACCESS_READ, g->v[PTF_GENL_A_ACCESS]);
		EXPECT_EQ(PTF_ORIGIN_USER, g->v[PTF_GENL_A_ORIGIN]);
		EXPECT_EQ(PTF_ACT_NOTIFY, g->v[PTF_GENL_A_ACTION]);
		EXPECT_EQ(e[i].state, g->v[PTF_GENL_A_STATE]);
		EXPECT_EQ(e[i].answer, g->v[PTF_GENL_A_ANSWER]);
	}
}

/* Each session has a number of its own; count is silent. */
TEST_F(netlink, sessions)
{
	int fd = open(PTF_DEV, O_RDWR | O_CLOEXEC), mine = self->fd;
	struct ptf_rule a, b, c;

	ASSERT_LE(0, fd);
	test_rule_add(&a, self->mem, PAGE, PTF_ACT_NOTIFY);
	test_rule_add(&c, self->mem + PAGES(2), PAGE, PTF_ACT_COUNT);
	test_rule_arm(0);
	self->fd = fd;
	test_rule_add(&b, self->mem + PAGES(1), PAGE, PTF_ACT_SIGBUS);
	test_rule_arm(0);
	self->fd = mine;
	EXPECT_EQ(0, ptf_try_read(self->mem));
	EXPECT_EQ(-SIGBUS, ptf_try_read(self->mem + PAGES(1)));
	EXPECT_EQ(0, ptf_try_read(self->mem + PAGES(2)));
	ASSERT_EQ(0, drain(self->sk, 200));
	ASSERT_EQ(2, nr_got);
	EXPECT_NE(got[0].v[PTF_GENL_A_SESSION], got[1].v[PTF_GENL_A_SESSION]);
	EXPECT_EQ(PTF_ACT_NOTIFY, got[0].v[PTF_GENL_A_ACTION]);
	EXPECT_EQ(PTF_ACT_SIGBUS, got[1].v[PTF_GENL_A_ACTION]);
	EXPECT_EQ(1, got[1].v[PTF_GENL_A_SEQ]);
	close(fd);
}

static int touch(void *arg)
{
	return ptf_try_read(arg) ? 1 : 0;
}

/* A thread that waits, and an address space that ends. */
TEST_F(netlink, held_and_gone)
{
	struct ptf_ioc_held_answer answer = { .size = sizeof(answer) };
	struct ptf_rule r;
	__u32 target;
	pid_t pid;

	pid = ptf_child(touch, self->mem);
	ASSERT_LT(0, pid);
	EXPECT_EQ(0, ptf_wait(pid));
	pid = fork();
	if (!pid) {
		raise(SIGSTOP);
		_exit(ptf_try_read(self->mem) ? 1 : 0);
	}
	ASSERT_EQ(pid, waitpid(pid, NULL, WUNTRACED));
	ASSERT_EQ(0, _test_cmd_target_open(self->fd, pid, &target));
	test_rule_add(&r, self->mem, PAGE, PTF_ACT_HOLD, .target = target);
	test_rule_arm(0);
	kill(pid, SIGCONT);
	for (int i = 0; i < 100 && !nr_got; i++)
		ASSERT_EQ(0, drain(self->sk, 100));
	ASSERT_EQ(1, nr_got);
	EXPECT_EQ(PTF_EVENT_HELD, got[0].v[PTF_GENL_A_TYPE]);
	EXPECT_EQ(pid, got[0].v[PTF_GENL_A_PID]);
	EXPECT_EQ(target, got[0].v[PTF_GENL_A_TARGET]);
	answer.held = got[0].v[PTF_GENL_A_HELD];
	EXPECT_NE(0, answer.held);
	EXPECT_EQ(0, ioctl(self->fd, PTF_IOC_HELD_ANSWER, &answer));
	EXPECT_EQ(0, ptf_wait(pid));
	for (int i = 0; i < 100 && nr_got < 2; i++)
		ASSERT_EQ(0, drain(self->sk, 100));
	ASSERT_EQ(2, nr_got);
	EXPECT_EQ(PTF_EVENT_GONE, got[1].v[PTF_GENL_A_TYPE]);
	EXPECT_EQ(target, got[1].v[PTF_GENL_A_TARGET]);
	EXPECT_EQ(got[0].v[PTF_GENL_A_SEQ] + 1, got[1].v[PTF_GENL_A_SEQ]);
	EXPECT_EQ(0, got[1].v[PTF_GENL_A_PID]);
	EXPECT_EQ(0, got[1].v[PTF_GENL_A_TID]);
}

/*
 * A listener that does not read loses, is told so, and finds how much in the next
 * message: exactly that many if it asked the kernel to tell us of it. Another one
 * is none the worse for it.
 */
static void lose(struct __test_metadata *_metadata, struct _test_data_netlink *self,
		 struct nl_sock *slow, int nr, __u64 *came, __u64 *lost)
{
	struct ptf_rule r;
	__u64 last = 0;

	test_rule_add(&r, self->mem, LEN, PTF_ACT_NOTIFY);
	for (int i = 0; i < nr / NR; i++) {
		test_rule_arm(0);
		for (int k = 0; k < NR; k++)
			ptf_try_read(self->mem + PAGES(k));
		if (slow != self->sk)
			ASSERT_EQ(0, drain(self->sk, 0));
	}
	if (slow != self->sk) {
		ASSERT_EQ(0, drain(self->sk, 200));
		EXPECT_EQ(nr, nr_got);
		nr_got = 0;
	}
	EXPECT_EQ(-NLE_NOMEM, drain(slow, 100));
	while (drain(slow, 100))
		;
	/* The next one says how many there were. */
	test_rule_arm(0);
	ptf_try_read(self->mem);
	ASSERT_EQ(0, drain(slow, 200));
	ASSERT_LT(1, nr_got);
	*came = nr_got;
	last = got[nr_got - 1].v[PTF_GENL_A_SEQ];
	*lost = got[nr_got - 1].v[PTF_GENL_A_LOST];
	EXPECT_EQ(nr + 1, last);
	EXPECT_GT(last, nr_got);
	EXPECT_EQ(0, ptf_wrong(self->mem, LEN, SEED));
}

static int small_queue(struct nl_sock *sk)
{
	return setsockopt(nl_socket_get_fd(sk), SOL_SOCKET, SO_RCVBUF, &(int){ 4096 },
			  sizeof(int));
}

static int ask_for_errors(struct nl_sock *sk)
{
	return setsockopt(nl_socket_get_fd(sk), SOL_NETLINK, NETLINK_BROADCAST_ERROR,
			  &(int){ 1 }, sizeof(int));
}

TEST_F(netlink, lost)
{
	__u64 came, lost;

	ASSERT_EQ(0, small_queue(self->sk));
	lose(_metadata, self, self->sk, 2000, &came, &lost);
	EXPECT_EQ(2001, came + lost);
}

TEST_F(netlink, lost_by_one_of_two)
{
	__u64 came, lost;
	struct nl_sock *sk;
	int err;

	sk = listener(&err);
	ASSERT_EQ(0, err);
	ASSERT_EQ(0, small_queue(sk));
	ASSERT_EQ(0, ask_for_errors(sk));
	lose(_metadata, self, sk, 1600, &came, &lost);
	EXPECT_EQ(1601, came + lost);
	nl_socket_free(sk);
}

/* Four threads at a time: the same events by read() and by netlink. */
#define THREADS	4
#define OWN	64

static pthread_barrier_t together;

static void *hit_own(void *arg)
{
	for (int round = 0; round < 8; round++) {
		pthread_barrier_wait(&together);
		for (int i = 0; i < OWN; i++)
			ptf_touch((char *)arg + PAGES(i));
		pthread_barrier_wait(&together);
	}
	return NULL;
}

TEST_F(netlink, threads)
{
	int nr = THREADS * OWN * 8, both = 0, n;
	static struct ptf_event e[MAX];
	static int at[MAX + 1];
	pthread_t t[THREADS];
	struct ptf_rule r;
	char *mem;

	ASSERT_EQ(0, setsockopt(nl_socket_get_fd(self->sk), SOL_SOCKET, SO_RCVBUFFORCE,
				&(int){ 8 << 20 }, sizeof(int)));
	mem = ptf_anon(PAGES(THREADS * OWN));
	ASSERT_NE(NULL, mem);
	ptf_fill(mem, PAGES(THREADS * OWN), SEED);
	test_rule_add(&r, mem, PAGES(THREADS * OWN), PTF_ACT_NOTIFY);
	pthread_barrier_init(&together, NULL, THREADS + 1);
	for (int i = 0; i < THREADS; i++)
		ASSERT_EQ(0, pthread_create(&t[i], NULL, hit_own, mem + PAGES(i * OWN)));
	for (int round = 0; round < 8; round++) {
		test_rule_arm(0);
		pthread_barrier_wait(&together);
		pthread_barrier_wait(&together);
		ASSERT_EQ(0, drain(self->sk, 0));
	}
	for (int i = 0; i < THREADS; i++)
		pthread_join(t[i], NULL);
	ASSERT_EQ(0, drain(self->sk, 200));
	EXPECT_EQ(0, strange);
	EXPECT_EQ(nr, nr_got);
	n = read(self->fd, e, sizeof(e)) / (int)sizeof(e[0]);
	ASSERT_EQ(nr, n);
	for (int i = 0; i < nr_got; i++) {
		ASSERT_GE(MAX, got[i].v[PTF_GENL_A_SEQ]);
		at[got[i].v[PTF_GENL_A_SEQ]] = i + 1;
	}
	for (int i = 0; i < n; i++) {
		const struct got *g = &got[at[e[i].seq] - 1];

		if (!at[e[i].seq])
			continue;
		both++;
		EXPECT_EQ(e[i].addr, g->v[PTF_GENL_A_ADDR]);
		EXPECT_EQ(e[i].tid, g->v[PTF_GENL_A_TID]);
		EXPECT_EQ(e[i].time_ns, g->v[PTF_GENL_A_TIME_NS]);
		EXPECT_EQ(e[i].answer, g->v[PTF_GENL_A_ANSWER]);
	}
	EXPECT_EQ(nr, both);
	EXPECT_EQ(0, ptf_wrong(mem, PAGES(THREADS * OWN), SEED));
}

static int in_child(void *arg)
{
	int err;
	struct nl_sock *sk;

	if (!strcmp(arg, "user")) {
		if (setgid(65534) || setuid(65534))
			return 2;
	} else if (unshare(CLONE_NEWNET)) {
		return 2;
	}
	sk = listener(&err);
	nl_socket_free(sk);
	return err ? 0 : 1;
}

/* Addresses of other people's programs are for root alone. */
TEST_F(netlink, nobody)
{
	pid_t pid = ptf_child(in_child, "user");

	ASSERT_LT(0, pid);
	EXPECT_EQ(0, ptf_wait(pid));
}

TEST_F(netlink, other_network)
{
	pid_t pid = ptf_child(in_child, "net");

	ASSERT_LT(0, pid);
	EXPECT_EQ(0, ptf_wait(pid));
}

/* Listeners that come and go while threads hit. */
struct come_and_go {
	char *mem;
	volatile bool stop;
};

static void *hit(void *arg)
{
	struct come_and_go *g = arg;

	while (!g->stop)
		for (int i = 0; i < NR; i++)
			ptf_touch(g->mem + PAGES(i));
	return NULL;
}

TEST_F(netlink, come_and_go)
{
	struct come_and_go g = { .mem = self->mem };
	unsigned long rounds = ptf_rounds(300);
	struct nl_sock *sk;
	struct ptf_rule r;
	pthread_t t[2];
	int err;

	test_rule_add(&r, self->mem, LEN, PTF_ACT_NOTIFY);
	for (int i = 0; i < 2; i++)
		ASSERT_EQ(0, pthread_create(&t[i], NULL, hit, &g));
	for (unsigned long i = 0; i < rounds; i++) {
		test_rule_arm(0);
		sk = listener(&err);
		EXPECT_EQ(0, err);
		drain(sk, 0);
		nl_socket_free(sk);
		while (drain(self->sk, 0))
			;
		nr_got = 0;
	}
	g.stop = true;
	for (int i = 0; i < 2; i++)
		pthread_join(t[i], NULL);
	EXPECT_EQ(0, strange);
	EXPECT_EQ(0, ptf_wrong(self->mem, LEN, SEED));
}

TEST_HARNESS_MAIN
