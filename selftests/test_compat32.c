// SPDX-License-Identifier: GPL-2.0-only
/*
 * The commands from a 32-bit program. It speaks to the kernel by itself, with
 * int 0x80, so that no 32-bit C library is needed to build or to run it.
 */
#include <stdint.h>

#include <linux/ptefault.h>

typedef unsigned int size32;

#define PAGE	4096
#define NR	16
#define LEN	(NR * PAGE)

#define SYS_exit	1
#define SYS_write	4
#define SYS_open	5
#define SYS_close	6
#define SYS_getpid	20
#define SYS_ioctl	54
#define SYS_getrusage	77
#define SYS_old_mmap	90
#define SYS_munmap	91
#define SYS_ftruncate	93
#define SYS_memfd_create 356

static int sys3(int nr, unsigned long a, unsigned long b, unsigned long c)
{
	int ret;

	asm volatile("int $0x80" : "=a"(ret) : "a"(nr), "b"(a), "c"(b), "d"(c) : "memory");
	return ret;
}

#define ioctl32(cmd, arg) sys3(SYS_ioctl, dev, cmd, (unsigned long)(arg))

/* The compiler asks for these by name. */
void *memset(void *p, int c, size32 n);
void *memcpy(void *to, const void *from, size32 n);

void *memset(void *p, int c, size32 n)
{
	volatile unsigned char *q = p;

	while (n--)
		*q++ = c;
	return p;
}

void *memcpy(void *to, const void *from, size32 n)
{
	volatile unsigned char *t = to;
	const unsigned char *f = from;

	while (n--)
		*t++ = *f++;
	return to;
}

/* ------------------------------------------------------------------ */
/* Results                                                             */

static char line[512];
static unsigned int line_len;

static void put(const char *s)
{
	while (*s && line_len < sizeof(line) - 1)
		line[line_len++] = *s++;
}

static void put_num(int v)
{
	char buf[12];
	int i = 11, neg = v < 0;
	unsigned int u = neg ? -v : v;

	buf[i] = 0;
	do {
		buf[--i] = '0' + u % 10;
		u /= 10;
	} while (u);
	if (neg)
		buf[--i] = '-';
	put(buf + i);
}

static void put_end(void)
{
	line[line_len++] = '\n';
	sys3(SYS_write, 1, (unsigned long)line, line_len);
	line_len = 0;
}

static int nr_done, nr_failed, nr_skipped, bad;

#define CHECK(what, expected, seen) do { \
	long long _e = (long long)(expected), _s = (long long)(seen); \
	if (_e != _s) { \
		bad = 1; \
		put("# line "); \
		put_num(__LINE__); \
		put(": " what ": expected "); \
		put_num((int)_e); \
		put(", seen "); \
		put_num((int)_s); \
		put_end(); \
	} \
} while (0)

static void result(const char *name, const char *skip)
{
	nr_done++;
	if (bad)
		put("not ");
	put("ok ");
	put_num(nr_done);
	put(" compat32.");
	put(name);
	if (skip && !bad) {
		put(" # SKIP ");
		put(skip);
		nr_skipped++;
	}
	put_end();
	nr_failed += bad;
	bad = 0;
}

/* ------------------------------------------------------------------ */

static int dev;
static unsigned char *mem;
static struct ptf_row rows[NR + 1];
static struct ptf_vma vmas[4];
static char names[256];
static unsigned char buf[1024];

static uint64_t ptr(const void *p)
{
	return (unsigned long)p;
}

static void poison(void *p, size32 n)
{
	memset(p, 0xA5, n);
}

static long minflt(void)
{
	struct {
		int32_t utime[2], stime[2];
		int32_t maxrss, ixrss, idrss, isrss, minflt, majflt, rest[8];
	} ru;

	sys3(SYS_getrusage, 1 /* RUSAGE_THREAD */, (unsigned long)&ru, 0);
	return ru.minflt;
}

static void *map(size32 len, int fd, int flags)
{
	uint32_t args[6] = { 0, len, 3, flags, fd, 0 };
	int ret = sys3(SYS_old_mmap, (unsigned long)args, 0, 0);

	return (unsigned int)ret > 0xfffff000U ? (void *)0 : (void *)ret;
}

static void fill(void)
{
	unsigned int i;

	for (i = 0; i < LEN; i += 4)
		*(uint32_t *)(mem + i) = i * 2654435761U + 1;
}

static int wrong(void)
{
	unsigned int i, n = 0;

	for (i = 0; i < LEN; i += 4)
		n += *(volatile uint32_t *)(mem + i) != i * 2654435761U + 1;
	return n;
}

static void advise_init(struct ptf_ioc_range_advise *a, uint32_t advice)
{
	poison(a, sizeof(*a));
	a->size = sizeof(*a);
	a->flags = 0;
	a->target = 0;
	a->advice = advice;
	a->start = ptr(mem);
	a->end = ptr(mem) + LEN;
	a->arg = 0;
}

static int query(unsigned int nr)
{
	struct ptf_ioc_range_query q;
	int ret;

	poison(rows, sizeof(rows));
	poison(&q, sizeof(q));
	q.size = sizeof(q);
	q.flags = PTF_QUERY_F_PAGES;
	q.target = 0;
	q.row_size = sizeof(rows[0]);
	q.start = ptr(mem);
	q.end = ptr(mem) + LEN;
	q.rows = ptr(rows);
	q.nr_rows = nr;
	q.vmas = ptr(vmas);
	q.nr_vmas = 4;
	q.vma_size = sizeof(vmas[0]);
	q.names = ptr(names);
	q.names_size = sizeof(names);
	q.reserved = 0;
	ret = ioctl32(PTF_IOC_RANGE_QUERY, &q);
	if (ret)
		return ret;
	CHECK("out_next", (uint32_t)(ptr(mem) + nr * PAGE), (uint32_t)q.out_next);
	CHECK("nothing behind the rows", 0xA5A5A5A5, (uint32_t)rows[q.out_rows].start);
	return q.out_rows;
}

static void test_features(void)
{
	struct ptf_ioc_features_get f;

	poison(&f, sizeof(f));
	f.size = sizeof(f);
	f.flags = 0;
	f.required = PTF_FEATURE_QUERY | PTF_FEATURE_HINT;
	CHECK("FEATURES_GET", 0, ioctl32(PTF_IOC_FEATURES_GET, &f));
	CHECK("out_api", PTF_API_VERSION, f.out_api);
	CHECK("out_page_shift", 12, f.out_page_shift);
	CHECK("out_features", f.required, f.out_features & f.required);
	CHECK("out_privileged", 1, f.out_privileged);
	f.required = 1ULL << 63;
	CHECK("required", -95, ioctl32(PTF_IOC_FEATURES_GET, &f));
	result("features", 0);
}

static void test_clear(void)
{
	struct ptf_ioc_range_advise a;
	long before;
	int i;

	fill();
	advise_init(&a, PTF_ADV_NOTPRESENT);
	CHECK("NOTPRESENT", 0, ioctl32(PTF_IOC_RANGE_ADVISE, &a));
	CHECK("out_done_pages", NR, a.out_done_pages);
	CHECK("out_next", (uint32_t)(ptr(mem) + LEN), (uint32_t)a.out_next);
	CHECK("out_next, high", 0, (uint32_t)(a.out_next >> 32));
	CHECK("QUERY", NR, query(NR));
	for (i = 0; i < NR; i++) {
		CHECK("state", PTF_STATE_HINT, rows[i].state);
		CHECK("start", (uint32_t)(ptr(mem) + i * PAGE), (uint32_t)rows[i].start);
	}
	before = minflt();
	CHECK("content", 0, wrong());
	CHECK("faults", NR, minflt() - before);
	advise_init(&a, PTF_ADV_NOTPRESENT);
	CHECK("NOTPRESENT", 0, ioctl32(PTF_IOC_RANGE_ADVISE, &a));
	advise_init(&a, PTF_ADV_PRESENT);
	CHECK("PRESENT", 0, ioctl32(PTF_IOC_RANGE_ADVISE, &a));
	CHECK("out_done_pages", NR, a.out_done_pages);
	before = minflt();
	CHECK("content", 0, wrong());
	CHECK("faults", 0, minflt() - before);
	result("clear", 0);
}

static void test_query(void)
{
	int i;

	fill();
	CHECK("QUERY", NR, query(NR));
	for (i = 0; i < NR; i++) {
		CHECK("state", PTF_STATE_PRESENT, rows[i].state);
		CHECK("kind", PTF_KIND_ANON, rows[i].kind);
		CHECK("vma", 0, rows[i].vma);
	}
	CHECK("vma start", 1, vmas[0].start <= ptr(mem));
	CHECK("vma end", 1, vmas[0].end >= ptr(mem) + LEN);
	CHECK("vma flags", PTF_VMA_READ | PTF_VMA_WRITE,
	      vmas[0].flags & (PTF_VMA_READ | PTF_VMA_WRITE | PTF_VMA_EXEC | PTF_VMA_FILE));
	/* A buffer for a part of it. */
	CHECK("QUERY", 3, query(3));
	result("query", 0);
}

static void test_walk(void)
{
	static struct ptf_ioc_page_walk w;

	fill();
	poison(&w, sizeof(w));
	w.size = sizeof(w);
	w.flags = 0;
	w.target = 0;
	w.reserved = 0;
	w.addr = ptr(mem) + 5;
	CHECK("WALK", 0, ioctl32(PTF_IOC_PAGE_WALK, &w));
	CHECK("levels", w.out_levels, w.out_nr);
	CHECK("last level", PTF_LEVEL_PTE, w.level[w.out_nr - 1].level);
	CHECK("index", (ptr(mem) >> 12) & 511, w.level[w.out_nr - 1].index);
	CHECK("state", PTF_STATE_PRESENT, w.out_row.state);
	CHECK("first index", 0, w.level[0].index);
	/* Behind what a 32-bit program can reach, and still an address. */
	w.size = sizeof(w);
	w.addr = 0x100000000ULL;
	CHECK("WALK", 0, ioctl32(PTF_IOC_PAGE_WALK, &w));
	CHECK("hole", PTF_VMA_NONE, w.out_row.vma);
	w.addr = 0xffff888000000000ULL;
	CHECK("WALK", -22, ioctl32(PTF_IOC_PAGE_WALK, &w));
	result("walk", 0);
}

static void test_whole(void)
{
	struct ptf_ioc_range_advise a;
	int i;

	fill();
	for (i = 0; i < 10; i++) {
		advise_init(&a, PTF_ADV_NOTPRESENT);
		a.start = 0;
		a.end = 0xffffe000ULL;
		CHECK("NOTPRESENT", 0, ioctl32(PTF_IOC_RANGE_ADVISE, &a));
		CHECK("some done", 1, a.out_done_pages + a.out_same_pages >= NR);
		CHECK("content", 0, wrong());
	}
	result("whole_address_space", 0);
}

static void test_target(void)
{
	struct ptf_ioc_target_open t;
	struct ptf_ioc_target_close c;
	struct ptf_ioc_session_stat s;

	poison(&t, sizeof(t));
	t.size = sizeof(t);
	t.flags = 0;
	t.pid = 1;
	CHECK("TARGET_OPEN", 0, ioctl32(PTF_IOC_TARGET_OPEN, &t));
	c.size = sizeof(c);
	c.flags = 0;
	c.target = t.out_target;
	c.reserved = 0;
	CHECK("TARGET_CLOSE", 0, ioctl32(PTF_IOC_TARGET_CLOSE, &c));
	CHECK("TARGET_CLOSE", -2, ioctl32(PTF_IOC_TARGET_CLOSE, &c));
	t.pid = -1;
	CHECK("pid -1", 1, ioctl32(PTF_IOC_TARGET_OPEN, &t) < 0);
	poison(&s, sizeof(s));
	s.size = sizeof(s);
	s.flags = 0;
	CHECK("SESSION_STAT", 0, ioctl32(PTF_IOC_SESSION_STAT, &s));
	CHECK("sessions", 1, s.out_sessions >= 1 && s.out_sessions < 1000);
	result("target", 0);
}

static void test_file(void)
{
	static struct ptf_file_row frows[4];
	struct ptf_ioc_file_query q;
	int fd = sys3(SYS_memfd_create, (unsigned long)"ptf32", 0, 0);

	if (fd < 0) {
		result("file", "no memfd_create(2)");
		return;
	}
	CHECK("write", 3, sys3(SYS_write, fd, (unsigned long)"abc", 3));
	poison(&q, sizeof(q));
	q.size = sizeof(q);
	q.flags = 0;
	q.fd = fd;
	q.row_size = sizeof(frows[0]);
	q.start = 0;
	q.end = ~0ULL & ~4095ULL;
	q.rows = ptr(frows);
	q.nr_rows = 4;
	CHECK("FILE_QUERY", 0, ioctl32(PTF_IOC_FILE_QUERY, &q));
	CHECK("out_rows", 1, q.out_rows);
	CHECK("out_bytes", 3, q.out_bytes);
	CHECK("state", PTF_FILEMAP_PRESENT, frows[0].state);
	q.fd = -1;
	CHECK("bad fd", -9, ioctl32(PTF_IOC_FILE_QUERY, &q));
	sys3(SYS_close, fd, 0, 0);
	result("file", 0);
}

/* The length handshake, for every command there is. */
static void test_lengths(void)
{
	static const struct {
		uint32_t nr, size;
	} cmds[] = {
		{ PTF_IOC_FEATURES_GET, sizeof(struct ptf_ioc_features_get) },
		{ PTF_IOC_TARGET_OPEN, sizeof(struct ptf_ioc_target_open) },
		{ PTF_IOC_TARGET_CLOSE, sizeof(struct ptf_ioc_target_close) },
		{ PTF_IOC_SESSION_STAT, sizeof(struct ptf_ioc_session_stat) },
		{ PTF_IOC_RANGE_QUERY, sizeof(struct ptf_ioc_range_query) },
		{ PTF_IOC_PAGE_WALK, sizeof(struct ptf_ioc_page_walk) },
		{ PTF_IOC_RANGE_ADVISE, sizeof(struct ptf_ioc_range_advise) },
		{ PTF_IOC_FILE_QUERY, sizeof(struct ptf_ioc_file_query) },
	};
	unsigned int i;

	/* As a 64-bit program sees them. */
	_Static_assert(sizeof(struct ptf_ioc_features_get) == 56, "features_get");
	_Static_assert(sizeof(struct ptf_ioc_target_open) == 16, "target_open");
	_Static_assert(sizeof(struct ptf_ioc_session_stat) == 112, "session_stat");
	_Static_assert(sizeof(struct ptf_rule) == 152, "rule");
	_Static_assert(sizeof(struct ptf_ioc_rule_add) == 32, "rule_add");
	_Static_assert(sizeof(struct ptf_ioc_rule_list) == 48, "rule_list");
	_Static_assert(sizeof(struct ptf_ioc_held_answer) == 32, "held_answer");
	_Static_assert(sizeof(struct ptf_ioc_track_start) == 168, "track_start");
	_Static_assert(sizeof(struct ptf_ioc_track_read) == 72, "track_read");
	_Static_assert(sizeof(struct ptf_event) == 88, "event");
	_Static_assert(sizeof(struct ptf_vma) == 56, "vma");
	_Static_assert(sizeof(struct ptf_row) == 64, "row");
	_Static_assert(sizeof(struct ptf_level) == 24, "level");
	_Static_assert(sizeof(struct ptf_ioc_range_query) == 104, "range_query");
	_Static_assert(sizeof(struct ptf_ioc_page_walk) == 272, "page_walk");
	_Static_assert(sizeof(struct ptf_ioc_range_advise) == 208, "range_advise");
	_Static_assert(sizeof(struct ptf_file_row) == 40, "file_row");
	_Static_assert(sizeof(struct ptf_ioc_file_query) == 80, "file_query");

	for (i = 0; i < sizeof(cmds) / sizeof(cmds[0]); i++) {
		memset(buf, 0, sizeof(buf));
		*(uint32_t *)buf = cmds[i].size - 1;
		CHECK("one byte short", -22, ioctl32(cmds[i].nr, buf));
		*(uint32_t *)buf = cmds[i].size + 1;
		buf[cmds[i].size] = 1;
		CHECK("non-zero tail", -7, ioctl32(cmds[i].nr, buf));
		CHECK("null", -14, ioctl32(cmds[i].nr, 0));
		CHECK("kernel address", -14, ioctl32(cmds[i].nr, 0xfffff000));
	}
	memset(buf, 0, sizeof(buf));
	*(uint32_t *)buf = sizeof(struct ptf_ioc_features_get) + 64;
	CHECK("zero tail", 0, ioctl32(PTF_IOC_FEATURES_GET, buf));
	CHECK("no such command", -25, ioctl32(_IO(PTF_IOC_TYPE, 0xFE), buf));
	result("lengths", 0);
}

__attribute__((force_align_arg_pointer, noreturn, used)) void _start(void);

void _start(void)
{
	dev = sys3(SYS_open, (unsigned long)"/dev/ptefault", 2, 0);
	put("TAP version 13");
	put_end();
	if (dev < 0) {
		put("1..1");
		put_end();
		bad = dev != -2;
		result("open", "no /dev/ptefault: the module is not loaded");
		sys3(SYS_exit, bad ? 1 : 4, 0, 0);
	}
	put("1..8");
	put_end();
	mem = map(LEN, -1, 0x22);
	if (!mem)
		sys3(SYS_exit, 1, 0, 0);
	test_features();
	test_clear();
	test_query();
	test_walk();
	test_whole();
	test_target();
	test_file();
	test_lengths();
	put("# Totals: pass:");
	put_num(nr_done - nr_failed - nr_skipped);
	put(" fail:");
	put_num(nr_failed);
	put(" skip:");
	put_num(nr_skipped);
	put_end();
	sys3(SYS_exit, nr_failed != 0, 0, 0);
	__builtin_unreachable();
}
