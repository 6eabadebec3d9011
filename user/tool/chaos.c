// SPDX-License-Identifier: GPL-2.0-only
/*
 * Chaos: random pages of a program and its children are disturbed, so many a
 * second, by advice that keeps content. A program that notices by anything but
 * time and counters has found a bug: in itself, in the kernel, or in us.
 *
 * Which processes there are is asked of /proc (we are their subreaper, so that
 * none gets away), and which pages are mapped of the module, a part of each
 * address space at a time.
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "chaos.h"

#define USER_END 0x7ffffffff000ULL
#define ROWS 2048		/* rows that are looked at in one go */
#define LOOK_MS 200		/* a look at a process holds so long */
#define SEEK_MS 10		/* and one at the list of processes */
#define TICK_MS 20		/* at most at a time */
#define LATE_S 5		/* what is later is not done any more */
#define RATE_MAX 1000000
#define BATCH 512		/* pages that one call may take */

#define ON_ANON (1U << PTF_KIND_ANON | 1U << PTF_KIND_THP | 1U << PTF_KIND_KSM)
#define ON_FILE (1U << PTF_KIND_FILE)
#define ON_SHMEM (1U << PTF_KIND_SHMEM)
#define ON_ALL (ON_ANON | ON_FILE | ON_SHMEM | 1U << PTF_KIND_ZERO)

static const struct kind {
	unsigned int advice;
	unsigned int on;	/* kinds of pages that it is for */
	unsigned int weight;	/* how often it is chosen; 0: only by name */
	bool batch;		/* a call costs its flush, not its pages */
} kinds[] = {
	{ PTF_ADV_NOTPRESENT, ON_ALL, 8, true },
	{ PTF_ADV_STASH, ON_ANON | ON_FILE | ON_SHMEM, 8, true },
	{ PTF_ADV_WRPROTECT, ON_ANON | ON_FILE | ON_SHMEM, 4, true },
	{ PTF_ADV_OLD, ON_ALL, 1, true },
	{ PTF_ADV_CLEAN, ON_FILE | ON_SHMEM, 2, true },
	{ PTF_ADV_UNMAP_FILE, ON_FILE | ON_SHMEM, 4, true },
	{ PTF_ADV_EVICT, ON_FILE, 2, false },
	{ PTF_ADV_SWAPOUT, ON_ANON | ON_SHMEM, 2, false },
	{ PTF_ADV_MIGRATE, ON_ANON, 2, false },
	{ PTF_ADV_UNSHARE, ON_ANON | 1U << PTF_KIND_ZERO, 1, false },
	{ PTF_ADV_SPLIT, 1U << PTF_KIND_THP, 1, false },
	{ PTF_ADV_STICKY, ON_ANON | ON_FILE | ON_SHMEM, 0, false },
	{ PTF_MADV_PAGEOUT, ON_ANON | ON_FILE | ON_SHMEM, 2, false },
	{ PTF_MADV_COLD, ON_ALL, 0, false },
};

/* Pages that were mapped when we looked. */
struct run {
	uint64_t start;
	uint64_t pages;
	unsigned int kind;
	bool leaf;		/* mapped by a PMD */
};

struct victim {
	pid_t pid;
	struct ptf_target *target;
	struct run *runs;
	size_t nr_runs;
	uint64_t pages;		/* in runs */
	uint64_t cursor;	/* where the next look goes on */
	uint64_t looked_ms;
	unsigned int wait_ms;	/* until the next look */
	unsigned int tries;	/* since the last look */
	bool seen;
	bool closed;		/* we have no right to it */
};

struct chaos {
	struct ptf_session *session;
	double rate;
	uint64_t seed;
	uint64_t random;
	bool on[ARRAY_SIZE(kinds)];
	uint64_t done[ARRAY_SIZE(kinds)];
	uint64_t done_all;
	uint64_t refused;
	uint64_t begin_ns;
	uint64_t end_ns;
	uint64_t sought_ms;
	unsigned int seek_ms;	/* until the next look at the processes */
	double call_s;		/* what a call costs here, of late */
	double given_up;	/* that could not be done in time */
	struct victim *victims;
	size_t nr_victims;
	uint64_t processes;
};

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ULL + ts.tv_nsec;
}

static uint64_t now_ms(void)
{
	return now_ns() / 1000000;
}

/* splitmix64: good enough to choose pages, and any seed will do. */
static uint64_t dice(struct chaos *c, uint64_t n)
{
	uint64_t z = c->random += 0x9e3779b97f4a7c15ULL;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ z >> 27) * 0x94d049bb133111ebULL;
	return (z ^ z >> 31) % n;
}

/* ------------------------------------------------------------------ */
/* RATE[,KINDS]                                                        */

static const char *kind_name(size_t i)
{
	return ptf_advice_name(kinds[i].advice);
}

static int parse(struct tool *t, const char *text, double *rate, bool *on)
{
	char *copy = strdup(text), *save = NULL, *word, *end;
	bool any = false;
	int ret = DONE;

	if (!copy)
		return tool_fail(t, NULL, NULL, "out of memory");
	word = strtok_r(copy, ",", &save);
	*rate = word && isdigit((unsigned char)*word) ? strtod(word, &end) : -1;
	if (*rate < 0 || *end || *rate > RATE_MAX) {
		ret = tool_usage(t, "--chaos '%s': RATE is pages a second, 0 to %d",
				 text, RATE_MAX);
		goto out;
	}
	while ((word = strtok_r(NULL, ",", &save))) {
		unsigned int advice;
		size_t i = 0;

		if (arg_advice(word, &advice))
			while (i < ARRAY_SIZE(kinds) &&
			       kinds[i].advice != advice)
				i++;
		else
			i = ARRAY_SIZE(kinds);
		if (i == ARRAY_SIZE(kinds)) {
			char list[256] = "";

			for (i = 0; i < ARRAY_SIZE(kinds); i++)
				snprintf(list + strlen(list),
					 sizeof(list) - strlen(list), "%s%s",
					 i ? ", " : "", kind_name(i));
			for (char *p = list; *p; p++)
				*p = tolower((unsigned char)*p);
			ret = tool_usage(t, "--chaos: '%s' is no kind; there are %s",
					 word, list);
			goto out;
		}
		on[i] = true;
		any = true;
	}
	for (size_t i = 0; !any && i < ARRAY_SIZE(kinds); i++)
		on[i] = kinds[i].weight;
out:
	free(copy);
	return ret;
}

int chaos_check(struct tool *t, const char *text)
{
	bool on[ARRAY_SIZE(kinds)] = { 0 };
	double rate;

	return parse(t, text, &rate, on);
}

/*
 * Setting the kernel's fault hook takes long, for a program that does not live
 * long: let a page of our own ask for it first. It stays while the session has
 * an address space of which it remembers something.
 */
static void warm_up(struct ptf_session *session)
{
	size_t bytes = getpagesize();
	void *page = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	uint64_t start = (uintptr_t)page;

	if (page == MAP_FAILED)
		return;
	ptf_session_advise(session, NULL, start, start + bytes, PTF_ADV_STASH,
			   0, NULL);
	munmap(page, bytes);
}

int chaos_create(struct tool *t, const char *text, struct ptf_session *session,
		 uint64_t seed, struct chaos **out)
{
	struct chaos *c = calloc(1, sizeof(*c));
	bool any = false;
	int ret;

	*out = NULL;
	if (!c)
		return tool_fail(t, NULL, NULL, "out of memory");
	ret = parse(t, text, &c->rate, c->on);
	if (ret != DONE)
		goto free;
	/* What this kernel or machine hasn't. */
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		if (kinds[i].advice >= PTF_ADV_BASE &&
		    !ptf_session_has_advice(session, kinds[i].advice))
			c->on[i] = false;
		any |= c->on[i];
	}
	if (!any) {
		ret = tool_fail(t, text, "ptefault stat lists what is there",
				"the module serves none of these kinds here");
		goto free;
	}
	c->session = session;
	c->seed = seed;
	c->random = seed;
	warm_up(session);
	*out = c;
	return DONE;
free:
	free(c);
	return ret;
}

static void let_go(struct victim *v)
{
	ptf_target_close(v->target);
	free(v->runs);
	memset(v, 0, sizeof(*v));
}

void chaos_destroy(struct chaos *c)
{
	if (!c)
		return;
	for (size_t i = 0; i < c->nr_victims; i++)
		let_go(&c->victims[i]);
	free(c->victims);
	free(c);
}

/* ------------------------------------------------------------------ */
/* Who is there                                                        */

static struct victim *victim_of(struct chaos *c, pid_t pid)
{
	struct victim *v;

	for (size_t i = 0; i < c->nr_victims; i++)
		if (c->victims[i].pid == pid)
			return &c->victims[i];
	v = reallocarray(c->victims, c->nr_victims + 1, sizeof(*v));
	if (!v)
		return NULL;
	c->victims = v;
	v += c->nr_victims++;
	memset(v, 0, sizeof(*v));
	v->pid = pid;
	return v;
}

typedef void (*child_fn)(struct chaos *c, pid_t pid, void *arg);

/* All descendants of @pid, each after its parent. */
static void descendants(struct chaos *c, pid_t pid, int depth, child_fn fn,
			void *arg)
{
	struct dirent *d;
	char path[80];
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
	dir = depth < 64 ? opendir(path) : NULL;
	while (dir && (d = readdir(dir))) {
		int child;
		FILE *f;

		if (!isdigit((unsigned char)d->d_name[0]))
			continue;
		snprintf(path, sizeof(path), "/proc/%d/task/%.16s/children",
			 (int)pid, d->d_name);
		f = fopen(path, "re");
		while (f && fscanf(f, "%d", &child) == 1) {
			fn(c, child, arg);
			descendants(c, child, depth + 1, fn, arg);
		}
		if (f)
			fclose(f);
	}
	if (dir)
		closedir(dir);
}

static void meet(struct chaos *c, pid_t pid, void *arg)
{
	struct victim *v = victim_of(c, pid);

	(void)arg;
	if (!v)
		return;
	v->seen = true;
	if (v->target || v->closed)
		return;
	switch (ptf_target_open(c->session, pid, &v->target)) {
	case 0:
		c->processes++;
		break;
	case -ESRCH:
		break;	/* a zombie; or between two programs: next time */
	default:
		v->closed = true;
	}
}

static void seek(struct chaos *c)
{
	uint64_t start = now_ns();

	if (c->sought_ms && start / 1000000 - c->sought_ms < c->seek_ms)
		return;
	for (size_t i = 0; i < c->nr_victims; i++)
		c->victims[i].seen = false;
	descendants(c, getpid(), 0, meet, NULL);
	for (size_t i = c->nr_victims; i--;) {
		if (c->victims[i].seen)
			continue;
		let_go(&c->victims[i]);
		c->victims[i] = c->victims[--c->nr_victims];
	}
	c->sought_ms = now_ms();
	/* Not more than a twentieth of our time. */
	c->seek_ms = (now_ns() - start) / 50000;
	if (c->seek_ms < SEEK_MS)
		c->seek_ms = SEEK_MS;
	if (c->seek_ms > LOOK_MS)
		c->seek_ms = LOOK_MS;
}

/* ------------------------------------------------------------------ */
/* What it has mapped                                                  */

struct look {
	struct victim *v;
	size_t rows;
	uint64_t end;
};

static int take_row(const struct ptf_row *row, const struct ptf_vma *vma,
		    const char *name, void *arg)
{
	struct look *l = arg;
	struct victim *v = l->v;
	struct run *r = &v->runs[v->nr_runs];

	(void)name;
	l->end = row->start + row->nr_pages * getpagesize();
	if (row->state == PTF_STATE_PRESENT && vma &&
	    !(vma->flags & (PTF_VMA_SPECIAL | PTF_VMA_PFNMAP | PTF_VMA_IO))) {
		r->start = row->start;
		r->pages = row->nr_pages;
		r->kind = row->kind;
		r->leaf = row->level;
		v->pages += r->pages;
		v->nr_runs++;
	}
	return ++l->rows >= ROWS || v->nr_runs == ROWS;
}

/* The address space is gone; the process may have another one by now. */
static void lost(struct victim *v)
{
	ptf_target_close(v->target);
	v->target = NULL;
	v->nr_runs = 0;
	v->pages = 0;
	v->cursor = 0;
	v->looked_ms = 0;
	v->wait_ms = 0;
}

static void look(struct chaos *c, struct victim *v)
{
	struct look l = { .v = v };
	ssize_t err;

	if (!v->target ||
	    (v->looked_ms && now_ms() - v->looked_ms < v->wait_ms))
		return;
	if (!v->runs)
		v->runs = calloc(ROWS, sizeof(*v->runs));
	if (!v->runs)
		return;
	v->nr_runs = 0;
	v->pages = 0;
	err = ptf_session_query(c->session, v->target, v->cursor, USER_END,
				PTF_QUERY_F_MAPPED, take_row, &l);
	if (err == -ESRCH) {
		lost(v);
		return;
	}
	v->cursor = l.rows >= ROWS && l.end < USER_END ? l.end : 0;
	v->looked_ms = now_ms();
	/* A program that has just begun maps more all the time. */
	v->wait_ms = v->wait_ms ? 2 * v->wait_ms : SEEK_MS;
	if (v->wait_ms > LOOK_MS)
		v->wait_ms = LOOK_MS;
	v->tries = 0;
}

/* ------------------------------------------------------------------ */
/* What is done to it                                                  */

static struct victim *choose_page(struct chaos *c, struct run **run,
				  uint64_t *addr)
{
	uint64_t all = 0, n;

	for (size_t i = 0; i < c->nr_victims; i++)
		all += c->victims[i].pages;
	if (!all)
		return NULL;
	n = dice(c, all);
	for (size_t i = 0; i < c->nr_victims; i++) {
		struct victim *v = &c->victims[i];

		if (n >= v->pages) {
			n -= v->pages;
			continue;
		}
		for (size_t k = 0; k < v->nr_runs; k++) {
			struct run *r = &v->runs[k];

			if (n < r->pages) {
				*run = r;
				*addr = r->start + n * getpagesize();
				return v;
			}
			n -= r->pages;
		}
	}
	return NULL;
}

static unsigned int weight_of(const struct chaos *c, size_t i,
			      const struct run *r, bool late)
{
	unsigned int w = kinds[i].weight ?: 1;

	if (!c->on[i] || !(kinds[i].on & 1U << r->kind))
		return 0;
	/* Where there is no time those that take theirs come seldom. */
	return late && kinds[i].batch ? 8 * w : w;
}

static int choose_kind(struct chaos *c, const struct run *r, bool late)
{
	uint64_t all = 0, n;

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		all += weight_of(c, i, r, late);
	n = all ? dice(c, all) : 0;
	for (size_t i = 0; all && i < ARRAY_SIZE(kinds); i++) {
		if (n < weight_of(c, i, r, late))
			return i;
		n -= weight_of(c, i, r, late);
	}
	return -1;
}

static uint32_t choose_flags(struct chaos *c, unsigned int advice,
			     const struct run *r)
{
	uint64_t features = ptf_session_features(c->session)->out_features;
	uint32_t flags = 0;

	if (advice != PTF_ADV_NOTPRESENT && advice != PTF_ADV_STASH)
		return r->leaf && advice != PTF_ADV_SPLIT ?
		       PTF_ADVISE_F_SPLIT : 0;
	if (r->leaf)
		flags |= dice(c, 4) ? PTF_ADVISE_F_SPLIT : PTF_ADVISE_F_PMD;
	if (!dice(c, 4) && features & PTF_FEATURE_GUP)
		flags |= PTF_ADVISE_F_GUP;
	else if (advice == PTF_ADV_NOTPRESENT && !dice(c, 2))
		flags |= PTF_ADVISE_F_ONESHOT;
	return flags;
}

/* The kernel does not say what became of its own advice. */
static uint64_t went_out(struct chaos *c, struct victim *v, uint64_t addr)
{
	struct ptf_ioc_page_walk walk = { .size = sizeof(walk) };

	return !ptf_session_walk(c->session, v->target, addr, &walk) &&
	       walk.out_row.state != PTF_STATE_PRESENT;
}

/*
 * One page. Where a call takes so long that one page each would not do (all CPUs
 * have to flush, and some may be slow to hear of it), some of its neighbours
 * too. Answers whether there was one to try.
 */
static bool disturb(struct chaos *c, double due)
{
	struct ptf_advise_result res = { .size = sizeof(res) };
	double wish = 1.5 * c->rate * c->call_s + due / 16;
	uint64_t batch = wish < 2 ? 1 : wish > BATCH ? BATCH : wish;
	uint64_t addr, end, done, start;
	struct victim *v;
	struct run *r;
	uint32_t flags;
	int kind, err;

	v = choose_page(c, &r, &addr);
	if (!v)
		return false;
	kind = choose_kind(c, r, batch > 1);
	if (kind < 0) {
		c->refused++;
		return true;
	}
	flags = choose_flags(c, kinds[kind].advice, r);
	if (!kinds[kind].batch || r->leaf)
		batch = 1;
	end = addr + batch * getpagesize();
	if (end > USER_END)
		end = USER_END;
	if (flags & PTF_ADVISE_F_PMD) {
		addr &= ~((1ULL << 21) - 1);
		end = addr + (1ULL << 21);
	}
	/* What it has left may be little, and mostly ours already: look sooner. */
	v->tries += batch;
	if (v->tries > v->pages / 4)
		v->wait_ms = SEEK_MS;
	start = now_ns();
	err = ptf_session_advise(c->session, v->target, addr, end,
				 kinds[kind].advice, flags, &res);
	c->call_s += ((now_ns() - start) / 1e9 - c->call_s) / 4;
	if (err == -ESRCH) {
		lost(v);
		return true;
	}
	done = kinds[kind].advice >= PTF_ADV_BASE ? res.done_pages :
	       !err ? went_out(c, v, addr) : 0;
	/* What one entry maps is one page here, or little else would be done. */
	if (done && r->leaf)
		done = 1;
	if (!done)
		c->refused++;
	c->done[kind] += done;
	c->done_all += done;
	return true;
}

void chaos_begin(struct chaos *c)
{
	c->begin_ns = now_ns();
}

static double due(const struct chaos *c)
{
	return c->rate * (now_ns() - c->begin_ns) / 1e9 - c->given_up -
	       (double)c->done_all;
}

int chaos_tick(struct chaos *c)
{
	uint64_t start = now_ms();
	double n, wait;
	int tries;

	seek(c);
	for (size_t i = 0; i < c->nr_victims; i++)
		look(c, &c->victims[i]);
	n = due(c);
	/* A machine that stood still is not made up for all at once. */
	if (n > LATE_S * c->rate + 1) {
		c->given_up += n - (LATE_S * c->rate + 1);
		n = LATE_S * c->rate + 1;
	}
	tries = 16 + 8 * n;
	while (n >= 1 && tries-- && now_ms() - start < TICK_MS) {
		if (!disturb(c, n))
			return SEEK_MS;
		n = due(c);
	}
	if (n >= 1)
		return 0;
	wait = c->rate ? (1 - n) * 1000 / c->rate : 1000;
	return wait < 1 ? 1 : wait > SEEK_MS ? SEEK_MS : wait;
}

static void add_faults(struct chaos *c, pid_t pid, void *arg)
{
	unsigned long long minor, cminor, major, cmajor;
	uint64_t *sum = arg;
	char path[64], line[1024], *p;
	FILE *f;

	(void)c;
	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	f = fopen(path, "re");
	if (!f)
		return;
	if (fgets(line, sizeof(line), f)) {
		p = strrchr(line, ')');
		if (p && sscanf(p + 1, " %*c %*d %*d %*d %*d %*d %*u %llu %llu %llu %llu",
				&minor, &cminor, &major, &cmajor) == 4) {
			sum[0] += minor + cminor;
			sum[1] += major + cmajor;
		}
	}
	fclose(f);
}

void chaos_end(struct chaos *c, uint64_t *minor, uint64_t *major)
{
	uint64_t sum[2] = { 0 };

	c->end_ns = now_ns();
	descendants(c, getpid(), 0, add_faults, sum);
	*minor = sum[0];
	*major = sum[1];
}

uint64_t chaos_pages(const struct chaos *c)
{
	return c->done_all;
}

/* ------------------------------------------------------------------ */
/* The report                                                          */

static double seconds(const struct chaos *c)
{
	return (c->end_ns - c->begin_ns) / 1e9;
}

void chaos_print(const struct chaos *c, FILE *to, uint64_t faults)
{
	double s = seconds(c);

	fprintf(to, "chaos: %llu pages disturbed, %llu faults\n",
		(unsigned long long)c->done_all, (unsigned long long)faults);
	fprintf(to, "  %.1f a second of %g for %.1f s, in %llu address space%s; %llu tries in vain; seed %llu\n",
		s > 0 ? c->done_all / s : 0, c->rate, s,
		(unsigned long long)c->processes,
		c->processes == 1 ? "" : "s", (unsigned long long)c->refused,
		(unsigned long long)c->seed);
	fputs(" ", to);
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		if (c->on[i])
			fprintf(to, " %s %llu", kind_name(i),
				(unsigned long long)c->done[i]);
	fputc('\n', to);
}

struct json_object *chaos_json(const struct chaos *c, uint64_t minor,
			       uint64_t major)
{
	struct json_object *o = json_object_new_object();
	struct json_object *k = json_object_new_object();

	jadd(o, "pages_disturbed", json_u64(c->done_all));
	jadd(o, "faults", json_u64(minor + major));
	jadd(o, "minor_faults", json_u64(minor));
	jadd(o, "major_faults", json_u64(major));
	jadd(o, "rate", json_object_new_double(c->rate));
	jadd(o, "seconds", json_object_new_double(seconds(c)));
	jadd(o, "address_spaces", json_u64(c->processes));
	jadd(o, "in_vain", json_u64(c->refused));
	jadd(o, "seed", json_u64(c->seed));
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		if (c->on[i])
			jadd(k, kind_name(i), json_u64(c->done[i]));
	jadd(o, "kinds", k);
	return o;
}
