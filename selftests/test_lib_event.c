// SPDX-License-Identifier: GPL-2.0-only
/*
 * Events and held faults through the library: each hit is told of once, in its
 * order, with what happened; who waits goes on as the answer says.
 */
/* timeout: 600 */
#include "test_lib_fault.h"

#include <poll.h>
#include <sys/epoll.h>
#include <sys/time.h>

/* Rules with the defaults of a macro, but for what a test is about. */
#pragma GCC diagnostic ignored "-Woverride-init"

#define NR 16

TEST(words)
{
	struct ptf_event e = {
		.type = PTF_EVENT_HIT, .seq = 12, .rule = 3, .addr = 0x7f0010, .ip = 0x401136,
		.pid = 4711, .tid = 4712, .access = PTF_ACCESS_WRITE, .origin = PTF_ORIGIN_USER,
		.action = PTF_ACT_SIGBUS, .state = PTF_STATE_HINT,
	};
	char text[256];
	size_t len;

	EXPECT_STREQ("hit", ptf_event_type_name(PTF_EVENT_HIT));
	EXPECT_STREQ("held", ptf_event_type_name(PTF_EVENT_HELD));
	EXPECT_STREQ("gone", ptf_event_type_name(PTF_EVENT_GONE));
	EXPECT_STREQ("?", ptf_event_type_name(0));
	EXPECT_STREQ("?", ptf_event_type_name(4));
	len = ptf_event_text(&e, text, sizeof(text));
	EXPECT_STREQ("12 hit: 4711/4712 write 0x7f0010 from user at 0x401136, hint, rule 3: sigbus",
		     text);
	EXPECT_EQ(strlen(text), len);
	EXPECT_EQ(len, ptf_event_text(&e, NULL, 0));
	EXPECT_EQ(len, ptf_event_text(&e, text, 3));
	EXPECT_STREQ("12", text);
	e.answer = PTF_FAULTED_MINOR;
	e.type = PTF_EVENT_HELD;
	e.held = 9;
	ptf_event_text(&e, text, sizeof(text));
	EXPECT_NE(NULL, strstr(text, "(minor), waits as 9"));
	e.type = PTF_EVENT_GONE;
	e.target = 2;
	ptf_event_text(&e, text, sizeof(text));
	EXPECT_STREQ("12 gone: target 2", text);
}

FIXTURE(event)
{
	struct ptf_session *s;
	char *p;
	uint64_t start;
};

FIXTURE_SETUP(event)
{
	const char *why;

	self->s = session_or(PTF_FEATURE_RULE, &why);
	if (!self->s)
		SKIP(return, "%s", why);
	self->p = room_of(NR, 1);
	self->start = (uintptr_t)self->p;
	fault_catch();
}

FIXTURE_TEARDOWN(event)
{
	ptf_session_close(self->s);
	if (self->p)
		munmap(self->p, PAGES(NR));
}

#define ADD(id, from, to, ...) ASSERT_EQ(0, ptf_rule_add(self->s,	\
	&(struct ptf_rule_options) {					\
		.size = sizeof(struct ptf_rule_options),		\
		.start = self->start + PAGES(from),			\
		.end = self->start + PAGES(to), __VA_ARGS__ }, id))

#define STAT(field) ({							\
	struct ptf_ioc_session_stat stat_;				\
	ptf_session_stat(self->s, &stat_);				\
	stat_.field; })

/* --- reading ------------------------------------------------------------------ */

TEST_F(event, each_hit_once_in_order_with_what_happened)
{
	struct ptf_event e[NR * 2];
	uint64_t id, id2, before;
	unsigned int i, seq = 0;
	int sig;

	ADD(&id, 0, NR / 2, .action = PTF_ACT_NOTIFY);
	ADD(&id2, NR / 2, NR, .action = PTF_ACT_SIGBUS);
	EXPECT_EQ(0, ptf_rule_arm(self->s, NULL));
	before = (uint64_t)(seconds() * 1e9);
	for (i = 0; i < NR; i++) {
		sig = touch(self->p + PAGES(i) + 3 * i, i & 1 ? STORE : LOAD);
		EXPECT_EQ(i < NR / 2 ? 0 : SIGBUS, sig);
	}
	EXPECT_EQ(NR, STAT(out_events_queued));
	memset(e, 0xa5, sizeof(e));
	/* Some, then the rest, then none. */
	ASSERT_EQ(5, ptf_event_read(self->s, e, 5, -1));
	EXPECT_EQ(NR - 5, STAT(out_events_queued));
	ASSERT_EQ(NR - 5, ptf_event_read(self->s, e + 5, NR * 2 - 5, -1));
	EXPECT_EQ(0, ptf_event_read(self->s, e + NR, 1, 0));
	for (i = 0; i < NR; i++) {
		EXPECT_EQ(sizeof(e[i]), e[i].size);
		EXPECT_EQ(PTF_EVENT_HIT, e[i].type);
		EXPECT_EQ(++seq, e[i].seq);
		EXPECT_EQ(i < NR / 2 ? id : id2, e[i].rule);
		EXPECT_EQ(0, e[i].held);
		EXPECT_EQ(self->start + PAGES(i) + 3 * i, e[i].addr);
		EXPECT_EQ(getpid(), e[i].pid);
		EXPECT_EQ(thread_id(), e[i].tid);
		EXPECT_EQ(PTF_TARGET_SELF, e[i].target);
		EXPECT_EQ(i & 1 ? PTF_ACCESS_WRITE : PTF_ACCESS_READ, e[i].access);
		EXPECT_EQ(PTF_ORIGIN_USER, e[i].origin);
		EXPECT_EQ(i < NR / 2 ? PTF_ACT_NOTIFY : PTF_ACT_SIGBUS, e[i].action);
		EXPECT_EQ(i < NR / 2 ? PTF_FAULTED_MINOR : PTF_FAULTED_SIGBUS, e[i].answer);
		/* The instruction is one of touch(). */
		EXPECT_LE((uintptr_t)touch, e[i].ip);
		EXPECT_GT((uintptr_t)touch + 512, e[i].ip);
		EXPECT_LE(before, e[i].time_ns);
		before = e[i].time_ns;
	}
	EXPECT_LE(before, (uint64_t)(seconds() * 1e9));
}

TEST_F(event, counting_tells_nothing)
{
	struct ptf_event e;

	ADD(NULL, 0, 1, .action = PTF_ACT_COUNT);
	EXPECT_EQ(0, ptf_rule_arm(self->s, NULL));
	EXPECT_EQ(0, touch(self->p, LOAD));
	EXPECT_EQ(1, STAT(out_rule_hits));
	EXPECT_EQ(0, ptf_event_read(self->s, &e, 1, 0));
	EXPECT_EQ(0, STAT(out_events_queued));
}

static void nothing(int sig)
{
	(void)sig;
}

TEST_F(event, waiting)
{
	struct sigaction sa = { .sa_handler = nothing };
	struct itimerval alarm = { .it_value.tv_usec = 100000 };
	struct ptf_event e;
	double from;

	EXPECT_EQ(-EINVAL, ptf_event_read(self->s, &e, 0, 0));
	from = seconds();
	EXPECT_EQ(0, ptf_event_read(self->s, &e, 1, 0));
	EXPECT_EQ(0, ptf_event_read(self->s, &e, 1, 200));
	EXPECT_LT(0.199, seconds() - from);
	sigaction(SIGALRM, &sa, NULL);
	setitimer(ITIMER_REAL, &alarm, NULL);
	EXPECT_EQ(-EINTR, ptf_event_read(self->s, &e, 1, -1));
	EXPECT_EQ(EINTR, ptf_failure_last()->err);
}

TEST_F(event, polling)
{
	struct pollfd p = { .fd = ptf_session_fd(self->s), .events = POLLIN };
	struct epoll_event ev = { .events = EPOLLIN };
	int ep = epoll_create1(EPOLL_CLOEXEC);
	struct ptf_event e;

	ASSERT_EQ(0, epoll_ctl(ep, EPOLL_CTL_ADD, p.fd, &ev));
	ADD(NULL, 0, 1, .action = PTF_ACT_NOTIFY);
	EXPECT_EQ(0, ptf_rule_arm(self->s, NULL));
	EXPECT_EQ(0, poll(&p, 1, 0));
	EXPECT_EQ(0, epoll_wait(ep, &ev, 1, 0));
	EXPECT_EQ(0, touch(self->p, LOAD));
	EXPECT_EQ(1, poll(&p, 1, 0));
	EXPECT_EQ(POLLIN, p.revents);
	EXPECT_EQ(1, epoll_wait(ep, &ev, 1, 0));
	EXPECT_EQ(1, ptf_event_read(self->s, &e, 1, 0));
	EXPECT_EQ(0, poll(&p, 1, 0));
	EXPECT_EQ(0, epoll_wait(ep, &ev, 1, 0));
	/* The fd itself says so too, to who reads it directly. */
	errno = 0;
	EXPECT_EQ(-1, read(p.fd, &e, sizeof(e)));
	EXPECT_EQ(EAGAIN, errno);
	errno = 0;
	EXPECT_EQ(-1, read(p.fd, &e, 8));
	EXPECT_EQ(EINVAL, errno);
	close(ep);
}

enum { READERS = 4 };

struct reader {
	struct ptf_session *s;
	unsigned char *seen;	/* by sequence number */
	size_t nr;
	volatile bool *end;
	size_t read;
	int error;
};

static void *reader(void *arg)
{
	struct reader *r = arg;
	struct ptf_event e[7];
	ssize_t n, i;

	while (!*r->end) {
		n = ptf_event_read(r->s, e, 1 + r->read % 7, 50);
		if (n < 0)
			r->error = (int)n;
		for (i = 0; i < n; i++)
			if (e[i].seq <= r->nr)
				__atomic_add_fetch(&r->seen[e[i].seq], 1, __ATOMIC_RELAXED);
		r->read += n > 0 ? (size_t)n : 0;
	}
	return NULL;
}

TEST_F(event, several_readers)
{
	size_t hits = rounds(20000), i, read = 0;
	unsigned char *seen = calloc(hits + 1, 1);
	struct reader r[READERS];
	pthread_t thread[READERS];
	volatile bool end = false;

	ADD(NULL, 0, 1, .action = PTF_ACT_SIGBUS);
	EXPECT_EQ(0, ptf_rule_arm(self->s, NULL));
	for (i = 0; i < READERS; i++) {
		r[i] = (struct reader) { self->s, seen, hits, &end, 0, 0 };
		ASSERT_EQ(0, pthread_create(&thread[i], NULL, reader, &r[i]));
	}
	for (i = 0; i < hits; i++) {
		EXPECT_EQ(SIGBUS, touch(self->p, LOAD));
		/* Never more than the queue takes. */
		while (!(i % 512) && STAT(out_events_queued))
			sched_yield();
	}
	while (STAT(out_events_queued))
		sched_yield();
	end = true;
	for (i = 0; i < READERS; i++) {
		pthread_join(thread[i], NULL);
		EXPECT_EQ(0, r[i].error);
		read += r[i].read;
	}
	EXPECT_EQ(hits, read);
	EXPECT_EQ(0, STAT(out_events_lost));
	for (i = 1; i <= hits; i++)
		EXPECT_EQ(1, seen[i]);
	free(seen);
}

TEST_F(event, read_and_lost_are_all)
{
	unsigned int hits = 4096 + 1500, i;
	uint64_t read = 0, last = 0;
	struct ptf_event e[100];
	ssize_t n, k;

	ADD(NULL, 0, 1, .action = PTF_ACT_SIGBUS);
	EXPECT_EQ(0, ptf_rule_arm(self->s, NULL));
	for (i = 0; i < hits; i++)
		EXPECT_EQ(SIGBUS, touch(self->p, STORE));
	EXPECT_EQ(hits, STAT(out_events_queued) + STAT(out_events_lost));
	EXPECT_LT(0, STAT(out_events_lost));
	while ((n = ptf_event_read(self->s, e, ARRAY_SIZE(e), 0)) > 0) {
		for (k = 0; k < n; k++) {
			EXPECT_LT(last, e[k].seq);
			last = e[k].seq;
		}
		read += (uint64_t)n;
	}
	EXPECT_EQ(0, n);
	EXPECT_EQ(hits, read + STAT(out_events_lost));
	EXPECT_EQ(hits, STAT(out_rule_hits));
	/* What is lost has its number all the same. */
	EXPECT_EQ(SIGBUS, touch(self->p, STORE));
	EXPECT_EQ(1, ptf_event_read(self->s, e, 1, 0));
	EXPECT_EQ(hits + 1, e[0].seq);
}

TEST_F(event, a_target_that_ends)
{
	struct ptf_target *t;
	struct ptf_event e;
	int go[2];
	pid_t pid;

	ASSERT_EQ(0, pipe(go));
	pid = fork();
	if (!pid) {
		close(go[1]);
		_exit(read(go[0], &e, 1) != 0);
	}
	ASSERT_EQ(0, ptf_target_open(self->s, pid, &t));
	ADD(NULL, 0, 1, .action = PTF_ACT_NOTIFY, .target = t);
	EXPECT_EQ(0, ptf_rule_arm(self->s, NULL));
	EXPECT_EQ(0, ptf_event_read(self->s, &e, 1, 0));
	close(go[1]);
	waitpid(pid, NULL, 0);
	EXPECT_EQ(1, ptf_event_read(self->s, &e, 1, 10000));
	EXPECT_EQ(PTF_EVENT_GONE, e.type);
	EXPECT_EQ(ptf_target_id(t), e.target);
	close(go[0]);
	ptf_target_close(t);
}

TEST_F(event, a_session_passed_on)
{
	int fd = dup(ptf_session_fd(self->s));
	struct ptf_session *s;
	struct ptf_event e;

	fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK);
	ASSERT_EQ(0, ptf_session_from_fd(fd, &s));
	/* Whoever passed it on finds it as it was. */
	EXPECT_EQ(0, fcntl(fd, F_GETFL) & O_NONBLOCK);
	ADD(NULL, 0, 1, .action = PTF_ACT_NOTIFY);
	EXPECT_EQ(0, ptf_rule_arm(s, NULL));
	EXPECT_EQ(0, ptf_event_read(s, &e, 1, 0));
	EXPECT_EQ(0, touch(self->p, LOAD));
	EXPECT_EQ(1, ptf_event_read(s, &e, 1, 0));
	EXPECT_EQ(0, ptf_event_read(s, &e, 1, 0));
	EXPECT_EQ(0, ptf_event_read(s, &e, 1, 20));
	EXPECT_EQ(1, ptf_rule_list(s, NULL, NULL));
	ptf_session_close(s);
	/* The other one goes on. */
	EXPECT_EQ(1, ptf_rule_list(self->s, NULL, NULL));
}

/* --- held faults ------------------------------------------------------------------- */

struct visitor {
	char *p;
	enum access how;
	volatile pid_t tid;
	volatile int sig;	/* -1: not through yet */
	volatile int code;
	void *volatile at;
	volatile char found;	/* the byte that it read */
	pthread_t thread;
};

static void *visit(void *arg)
{
	struct visitor *v = arg;
	int sig;

	v->tid = thread_id();
	sig = touch(v->p, v->how);
	v->code = fault_code;
	v->at = fault_addr;
	if (!sig)
		v->found = *(volatile char *)v->p;
	v->sig = sig;
	return NULL;
}

static void visit_start(struct visitor *v, char *p, enum access how)
{
	*v = (struct visitor) { .p = p, .how = how, .sig = -1 };
	pthread_create(&v->thread, NULL, visit, v);
}

TEST_F(event, who_is_held_goes_on_as_the_answer_says)
{
	static const struct {
		unsigned int action;
		int sig;
		int code;
	} answers[] = {
		{ PTF_ACT_GO, 0, 0 },
		{ PTF_ACT_SIGBUS, SIGBUS, BUS_ADRERR },
		{ PTF_ACT_SIGSEGV, SIGSEGV, SEGV_MAPERR },
		{ PTF_ACT_HWPOISON, SIGBUS, BUS_MCEERR_AR },
		{ PTF_ACT_RETRY, 0, 0 },
		{ PTF_ACT_OOM, 0, 0 },
		{ PTF_ACT_GO, 0, 0 },
	};
	struct visitor v;
	struct ptf_event e;
	unsigned int i;
	uint64_t id;

	ADD(&id, 0, NR, .action = PTF_ACT_HOLD);
	EXPECT_EQ(0, ptf_rule_arm(self->s, NULL));
	for (i = 0; i < ARRAY_SIZE(answers); i++) {
		char *p = self->p + PAGES(i) + 100 + i;

		visit_start(&v, p, i & 1 ? STORE : LOAD);
		ASSERT_EQ(1, ptf_event_read(self->s, &e, 1, 20000));
		EXPECT_EQ(PTF_EVENT_HELD, e.type);
		EXPECT_EQ((uintptr_t)p, e.addr);
		EXPECT_EQ(v.tid, e.tid);
		EXPECT_EQ(PTF_ACT_HOLD, e.action);
		EXPECT_EQ(id, e.rule);
		EXPECT_NE(0, e.held);
		EXPECT_EQ(1, STAT(out_held));
		usleep(20000);
		EXPECT_EQ(-1, v.sig);
		/* What is no answer leaves it waiting. */
		EXPECT_EQ(-EINVAL, ptf_held_answer(self->s, e.held, PTF_ACT_HOLD));
		EXPECT_EQ(-EINVAL, ptf_held_answer(self->s, e.held, 77));
		EXPECT_EQ(-ENOENT, ptf_held_answer(self->s, e.held + 1, PTF_ACT_GO));
		EXPECT_NE(NULL, strstr(ptf_failure_last()->annotation, "nobody waits"));
		EXPECT_EQ(0, ptf_held_answer(self->s, e.held, answers[i].action));
		pthread_join(v.thread, NULL);
		EXPECT_EQ(answers[i].sig, v.sig) {
			TH_LOG("answer %s", ptf_action_name(answers[i].action));
		}
		if (answers[i].sig) {
			EXPECT_EQ(answers[i].code, v.code);
			EXPECT_EQ((void *)p, v.at);
		}
		EXPECT_EQ(0, STAT(out_held));
		EXPECT_EQ(-ENOENT, ptf_held_answer(self->s, e.held, PTF_ACT_GO));
	}
}

TEST_F(event, content_is_there_before_the_thread_goes_on)
{
	char content[4096];
	struct visitor v;
	struct ptf_event e;
	unsigned int i;
	char *file;

	for (i = 0; i < sizeof(content); i++)
		content[i] = (char)(i * 7 + 3);
	ADD(NULL, 0, 4, .action = PTF_ACT_HOLD);
	EXPECT_EQ(0, ptf_rule_arm(self->s, NULL));
	/* A whole page; part of one: the rest stays. */
	visit_start(&v, self->p + 5, LOAD);
	ASSERT_EQ(1, ptf_event_read(self->s, &e, 1, 20000));
	EXPECT_EQ(-EINVAL, ptf_held_answer_content(self->s, e.held, content, 0));
	EXPECT_EQ(-EINVAL, ptf_held_answer_content(self->s, e.held, content, PAGE + 1));
	EXPECT_EQ(-EINVAL, ptf_held_answer_content(self->s, e.held, NULL, 1));
	EXPECT_EQ(-EFAULT, ptf_held_answer_content(self->s, e.held, (void *)1, 1));
	EXPECT_EQ(-1, v.sig);
	EXPECT_EQ(0, ptf_held_answer_content(self->s, e.held, content, PAGE));
	pthread_join(v.thread, NULL);
	EXPECT_EQ(0, v.sig);
	EXPECT_EQ(content[5], v.found);
	EXPECT_EQ(0, memcmp(self->p, content, PAGE));
	EXPECT_EQ(true, page_has(self->p, 4, 1));
	visit_start(&v, self->p + PAGE + 1, STORE);
	ASSERT_EQ(1, ptf_event_read(self->s, &e, 1, 20000));
	EXPECT_EQ(0, ptf_held_answer_content(self->s, e.held, content, 3));
	pthread_join(v.thread, NULL);
	EXPECT_EQ('w', v.found);
	EXPECT_EQ(content[0], self->p[PAGE]);
	EXPECT_EQ(content[2], self->p[PAGE + 2]);
	/* As it was filled. */
	EXPECT_EQ(((uint32_t)((PAGE + 4) / 4 * 2654435761U)) ^ (1 + 0x5a5a0001U),
		  *(uint32_t *)(self->p + PAGE + 4));
	EXPECT_EQ(0, ptf_rule_delete_all(self->s));
	/* A shared page that may not be written. */
	file = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, filled_memfd(1, 3), 0);
	ASSERT_NE(MAP_FAILED, (void *)file);
	EXPECT_EQ(true, page_has(file, 0, 3));
	ADD(NULL, 0, 1, .start = (uintptr_t)file, .end = (uintptr_t)file + PAGE,
	    .action = PTF_ACT_HOLD);
	visit_start(&v, file, LOAD);
	ASSERT_EQ(1, ptf_event_read(self->s, &e, 1, 20000));
	EXPECT_EQ(-EACCES, ptf_held_answer_content(self->s, e.held, content, 8));
	EXPECT_EQ(0, ptf_held_answer(self->s, e.held, PTF_ACT_GO));
	pthread_join(v.thread, NULL);
	EXPECT_EQ(true, page_has(file, 0, 3));
	munmap(file, PAGE);
}

/* --- the loop of a handler -------------------------------------------------------------- */

struct handler {
	struct ptf_session *s;
	int stop_fd;
	ptf_handler_fn fn;
	int ret;
	unsigned int held;
	unsigned int hits;
	unsigned int gone;
	uint64_t start;
	char content[4096];
	pthread_t thread;
};

/* Page n gets n in every byte; the last page of the room ends the loop. */
static int fill(const struct ptf_event *event, struct ptf_answer *answer, void *arg)
{
	struct handler *h = arg;
	size_t page = (event->addr - h->start) / PAGE;

	h->hits += event->type == PTF_EVENT_HIT;
	h->gone += event->type == PTF_EVENT_GONE;
	if (event->type != PTF_EVENT_HELD)
		return 0;
	h->held++;
	memset(h->content, (int)page, sizeof(h->content));
	answer->content = h->content;
	answer->content_bytes = sizeof(h->content);
	return page == NR - 1 ? 42 : 0;
}

static int refuse(const struct ptf_event *event, struct ptf_answer *answer, void *arg)
{
	struct handler *h = arg;

	h->held += event->type == PTF_EVENT_HELD;
	answer->action = PTF_ACT_SIGBUS;
	return 0;
}

static int wrong(const struct ptf_event *event, struct ptf_answer *answer, void *arg)
{
	(void)event;
	(void)arg;
	answer->action = 99;
	return 0;
}

static void *handler(void *arg)
{
	struct handler *h = arg;

	h->ret = ptf_handler_run(h->s, h->fn, h, h->stop_fd);
	return NULL;
}

#define HANDLER(h, fn_, stop_) do {					\
	memset(h, 0, sizeof(*(h)));					\
	(h)->s = self->s;						\
	(h)->fn = fn_;							\
	(h)->stop_fd = stop_;						\
	(h)->start = self->start;					\
	ASSERT_EQ(0, pthread_create(&(h)->thread, NULL, handler, h));	\
} while (0)

TEST_F(event, a_handler_of_our_own)
{
	static struct handler h;
	unsigned int i;
	size_t k;

	/* Only this thread: the handler's may look at the pages. */
	ADD(NULL, 0, NR, .action = PTF_ACT_HOLD, .tid = thread_id());
	EXPECT_EQ(0, ptf_rule_arm(self->s, NULL));
	HANDLER(&h, fill, -1);
	for (i = 0; i < NR; i++)
		EXPECT_EQ((char)i, *(volatile char *)(self->p + PAGES(i) + i));
	pthread_join(h.thread, NULL);
	EXPECT_EQ(42, h.ret);
	EXPECT_EQ(NR, h.held);
	for (i = 0; i < NR; i++)
		for (k = 0; k < PAGE; k++)
			ASSERT_EQ((char)i, self->p[PAGES(i) + k]);
	EXPECT_EQ(NR, STAT(out_rule_hits));
}

TEST_F(event, a_handler_is_stopped)
{
	int stop = eventfd(0, EFD_CLOEXEC), other;
	static struct handler h;
	struct ptf_event e;
	struct visitor v;

	other = eventfd(1, EFD_CLOEXEC);
	ADD(NULL, 0, 4, .action = PTF_ACT_HOLD);
	ADD(NULL, 4, 8, .action = PTF_ACT_NOTIFY);
	EXPECT_EQ(0, ptf_rule_arm(self->s, NULL));
	HANDLER(&h, refuse, stop);
	EXPECT_EQ(SIGBUS, touch(self->p, LOAD));
	EXPECT_EQ(SIGBUS, touch(self->p + PAGE, STORE));
	ASSERT_EQ(8, write(stop, &(uint64_t) { 1 }, 8));
	pthread_join(h.thread, NULL);
	EXPECT_EQ(0, h.ret);
	EXPECT_EQ(2, h.held);
	/* Stopped before it begins, it still does what is queued. */
	visit_start(&v, self->p, LOAD);
	while (!STAT(out_held))
		usleep(1000);
	EXPECT_EQ(0, touch(self->p + PAGES(5), LOAD));
	HANDLER(&h, fill, other);
	pthread_join(h.thread, NULL);
	pthread_join(v.thread, NULL);
	EXPECT_EQ(0, h.ret);
	EXPECT_EQ(1, h.held);
	EXPECT_EQ(1, h.hits);
	EXPECT_EQ(0, v.sig);
	EXPECT_EQ(0, ptf_event_read(self->s, &e, 1, 0));
	close(stop);
	close(other);
}

TEST_F(event, a_handler_answers_nonsense)
{
	static struct handler h;
	struct visitor v;

	ADD(NULL, 0, 4, .action = PTF_ACT_HOLD);
	EXPECT_EQ(0, ptf_rule_arm(self->s, NULL));
	HANDLER(&h, wrong, -1);
	visit_start(&v, self->p, LOAD);
	pthread_join(h.thread, NULL);
	EXPECT_EQ(-EINVAL, h.ret);
	/* It waits on, until the session closes. */
	EXPECT_EQ(-1, v.sig);
	EXPECT_EQ(1, STAT(out_held));
	ptf_session_close(self->s);
	self->s = NULL;
	pthread_join(v.thread, NULL);
	EXPECT_EQ(0, v.sig);
	EXPECT_EQ(true, page_has(self->p, 0, 1));
}

TEST_F(event, several_handlers_many_threads)
{
	enum { HANDLERS = 3, VISITORS = 8 };
	static struct handler h[HANDLERS];
	struct visitor v[VISITORS];
	unsigned int i, k, held = 0, n = (unsigned int)rounds(200);
	int stop = eventfd(0, EFD_CLOEXEC);

	ADD(NULL, 0, VISITORS, .action = PTF_ACT_HOLD);
	for (i = 0; i < HANDLERS; i++)
		HANDLER(&h[i], fill, stop);
	for (k = 0; k < n; k++) {
		EXPECT_EQ(0, ptf_rule_arm(self->s, NULL));
		for (i = 0; i < VISITORS; i++)
			visit_start(&v[i], self->p + PAGES(i) + k % PAGE, LOAD);
		for (i = 0; i < VISITORS; i++) {
			pthread_join(v[i].thread, NULL);
			EXPECT_EQ(0, v[i].sig);
			EXPECT_EQ((char)i, v[i].found);
		}
	}
	ASSERT_EQ(8, write(stop, &(uint64_t) { 1 }, 8));
	for (i = 0; i < HANDLERS; i++) {
		pthread_join(h[i].thread, NULL);
		EXPECT_EQ(0, h[i].ret);
		held += h[i].held;
	}
	EXPECT_EQ(n * VISITORS, held);
	EXPECT_EQ(n * VISITORS, STAT(out_rule_hits));
	close(stop);
}

TEST_F(event, a_target_that_is_killed_while_it_waits)
{
	struct ptf_target *t;
	static struct handler h;
	int status;
	pid_t pid;
	int go[2];

	ASSERT_EQ(0, pipe(go));
	pid = fork();
	if (!pid) {
		char c;

		memset(self->p, 'x', PAGE);
		if (read(go[0], &c, 1) == 1)
			touch(self->p, LOAD);
		_exit(0);
	}
	usleep(100000);
	ASSERT_EQ(0, ptf_target_open(self->s, pid, &t));
	ADD(NULL, 0, 1, .action = PTF_ACT_HOLD, .target = t);
	EXPECT_EQ(0, ptf_rule_arm(self->s, NULL));
	ASSERT_EQ(1, write(go[1], "g", 1));
	while (!STAT(out_held))
		usleep(1000);
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	EXPECT_EQ(SIGKILL, WTERMSIG(status));
	EXPECT_EQ(0, STAT(out_held));
	/* Nobody to answer; the end is told, and the pidfd ends the loop. */
	HANDLER(&h, fill, ptf_target_pidfd(t));
	pthread_join(h.thread, NULL);
	EXPECT_EQ(0, h.ret);
	EXPECT_EQ(0, h.held);
	EXPECT_EQ(1, h.gone);
	ptf_target_close(t);
	close(go[0]);
	close(go[1]);
}

TEST_HARNESS_MAIN
