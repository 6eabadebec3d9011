// SPDX-License-Identifier: GPL-2.0-only
/*
 * ptefault atlas: what each advice does on the running kernel, measured. Every
 * cell (advice x memory) is a child process of its own with memory of that
 * kind: rows before, the call, rows after, then a read, a write and an access
 * of the kernel that are judged by their faults, and a look at the content.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/uio.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tool.h"

#define PATTERN 0x5a
#define SMALL_PAGES 4
#define HUGE_BYTES (2UL << 20)

static const struct tool_opt opts[] = {
	{ "memory", "KIND", "only this kind of memory (may be repeated)", 0 },
	{ "dir", "DIR", "where the files are made, /var/tmp by default", 0 },
	{ "pmd", NULL, "the module's advice: a huge page as a whole", 0 },
	{ "split", NULL, "the module's advice: split a huge page first", 0 },
	{ "gup", NULL, "the module's advice: kernel-mode users fault too", 0 },
	{ "unchecked", NULL, "also HWPOISON and SOFT_OFFLINE: costs frames", 0 },
	{ 0 }
};

/* ------------------------------------------------------------------ */
/* Kinds of memory                                                     */

struct memory {
	const char *name;
	const char *what;
	/* Maps and fills; answers NULL with errno if there is none here. */
	char *(*make)(const char *dir, size_t *len);
	char content;
};

static size_t small(void)
{
	return SMALL_PAGES * (size_t)getpagesize();
}

static char *map(size_t len, int prot, int flags, int fd)
{
	char *p = mmap(NULL, len, prot, flags, fd, 0);

	return p == MAP_FAILED ? NULL : p;
}

static char *make_anon(const char *dir, size_t *len)
{
	char *p;

	(void)dir;
	*len = small();
	p = map(*len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	if (p)
		memset(p, PATTERN, *len);
	return p;
}

static void touch(const char *p, size_t len)
{
	for (size_t i = 0; i < len; i += getpagesize())
		asm volatile("" : : "r"(p[i]));
}

static char *make_zero(const char *dir, size_t *len)
{
	char *p;

	(void)dir;
	*len = small();
	p = map(*len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	if (p)
		touch(p, *len);
	return p;
}

/* Shared with a child, that waits for its parent's end. */
static char *make_forked(const char *dir, size_t *len)
{
	char *p = make_anon(dir, len);
	pid_t parent = getpid(), pid = p ? fork() : -1;

	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		while (getppid() == parent)
			pause();
		_exit(0);
	}
	return pid > 0 ? p : NULL;
}

static char *make_none(const char *dir, size_t *len)
{
	char *p = make_anon(dir, len);

	return p && !mprotect(p, *len, PROT_NONE) ? p : NULL;
}

/* Out in swap, as far as the kernel says so. */
static char *make_swapped(const char *dir, size_t *len)
{
	char *p = make_anon(dir, len);
	uint64_t entry = 0;
	int fd, tries;

	fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	for (tries = 0; p && tries < 50; tries++) {
		if (madvise(p, *len, MADV_PAGEOUT) ||
		    pread(fd, &entry, sizeof(entry),
			  (uintptr_t)p / getpagesize() * sizeof(entry)) !=
		    sizeof(entry) || entry >> 62 & 1)
			break;
		usleep(10000);
	}
	close(fd);
	/* without swap there is no such memory */
	errno = ENOSPC;
	return entry >> 62 & 1 ? p : NULL;
}

static char *make_locked(const char *dir, size_t *len)
{
	char *p = make_anon(dir, len);

	return p && !mlock(p, *len) ? p : NULL;
}

static char *make_thp(const char *dir, size_t *len)
{
	char *p;

	(void)dir;
	*len = HUGE_BYTES;
	p = map(2 * HUGE_BYTES, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS, -1);
	if (!p)
		return NULL;
	p += -(uintptr_t)p & (HUGE_BYTES - 1);
	if (madvise(p, HUGE_BYTES, MADV_HUGEPAGE))
		return NULL;
	memset(p, PATTERN, *len);
	return p;
}

/* The same folio, mapped by small entries. */
static char *make_large(const char *dir, size_t *len)
{
	char *p = make_thp(dir, len);
	size_t page = getpagesize();

	if (!p || mprotect(p + page, page, PROT_READ) ||
	    mprotect(p + page, page, PROT_READ | PROT_WRITE) ||
	    madvise(p, *len, MADV_NOHUGEPAGE))
		return NULL;
	memset(p, PATTERN, *len);
	return p;
}

static char *make_hugetlb(const char *dir, size_t *len)
{
	char *p;

	(void)dir;
	*len = HUGE_BYTES;
	p = map(*len, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1);
	if (p)
		memset(p, PATTERN, *len);
	return p;
}

static char *map_file(int fd, size_t *len, int how)
{
	char *buf, *p;

	*len = small();
	buf = malloc(*len);
	if (fd < 0 || !buf)
		return NULL;
	memset(buf, PATTERN, *len);
	if (pwrite(fd, buf, *len, 0) != (ssize_t)*len)
		return NULL;
	free(buf);
	/* Clean pages, so that eviction is a question of the advice alone. */
	fsync(fd);
	p = map(*len, PROT_READ | PROT_WRITE, how, fd);
	if (p)
		touch(p, *len);
	return p;
}

static int temporary(const char *dir)
{
	char path[4096];
	int fd;

	snprintf(path, sizeof(path), "%s/ptefault-atlas-XXXXXX", dir);
	fd = mkostemp(path, O_CLOEXEC);
	if (fd >= 0)
		unlink(path);
	return fd;
}

static char *make_shared(const char *dir, size_t *len)
{
	return map_file(temporary(dir), len, MAP_SHARED);
}

static char *make_private(const char *dir, size_t *len)
{
	return map_file(temporary(dir), len, MAP_PRIVATE);
}

static char *make_cow(const char *dir, size_t *len)
{
	char *p = map_file(temporary(dir), len, MAP_PRIVATE);

	if (p)
		memset(p, PATTERN + 1, *len);
	return p;
}

static char *make_shmem(const char *dir, size_t *len)
{
	(void)dir;
	return map_file(memfd_create("atlas", MFD_CLOEXEC), len, MAP_SHARED);
}

static char *make_sysv(const char *dir, size_t *len)
{
	char *p;
	int id;

	(void)dir;
	*len = small();
	id = shmget(IPC_PRIVATE, *len, IPC_CREAT | 0600);
	if (id < 0)
		return NULL;
	p = shmat(id, NULL, 0);
	shmctl(id, IPC_RMID, NULL);
	if (p == (void *)-1)
		return NULL;
	memset(p, PATTERN, *len);
	return p;
}

static char *make_vdso(const char *dir, size_t *len)
{
	(void)dir;
	*len = getpagesize();
	return (char *)getauxval(AT_SYSINFO_EHDR);
}

static const struct memory memories[] = {
	{ "anon", "private anonymous, written", make_anon, PATTERN },
	{ "forked", "private anonymous, shared after fork", make_forked,
	  PATTERN },
	{ "zero", "private anonymous, only read", make_zero, 0 },
	{ "mlocked", "private anonymous, mlocked", make_locked, PATTERN },
	{ "swapped", "private anonymous, out in swap", make_swapped, PATTERN },
	{ "thp", "a huge page", make_thp, PATTERN },
	{ "large", "a huge page mapped by small entries", make_large, PATTERN },
	{ "shared", "a file, shared", make_shared, PATTERN },
	{ "private", "a file, private, before copy-on-write", make_private,
	  PATTERN },
	{ "cow", "a file, private, after copy-on-write", make_cow,
	  PATTERN + 1 },
	{ "shmem", "a memfd, shared", make_shmem, PATTERN },
	{ "sysv", "System V shared memory", make_sysv, PATTERN },
	{ "protnone", "private anonymous, PROT_NONE", make_none, PATTERN },
	{ "hugetlb", "hugetlb memory", make_hugetlb, PATTERN },
	{ "vdso", "the vdso", make_vdso, 0x7f },
};

/* ------------------------------------------------------------------ */
/* One cell, in a child                                                */

/* What the next access does; each on memory of its own. */
enum { READ, WRITE, GUP, ACCESSES };

struct access {
	int minor;
	int major;
	int signal;	/* that it got, or 0 */
	int err;	/* of the system call that made it */
};

struct cell {
	int made;	/* 0, or the errno of making the memory */
	int session;	/* 0, or the errno of opening a session */
	int result;	/* 0, or the errno of the advice */
	struct access next[ACCESSES];
	int kept;
	int status;	/* how the child ended */
	int there;	/* the cell is filled in */
	int have_before;
	int have_after;
	struct ptf_row before, after;
	struct ptf_vma vma_before, vma_after;
};

static sigjmp_buf escape;

static void on_signal(int sig)
{
	siglongjmp(escape, sig);
}

/* The signal that an access gets, or 0; @err of one by the kernel. */
static int access_byte(char *p, int what, char value, int *err)
{
	struct iovec local, remote = { p, 1 };
	int sig = sigsetjmp(escape, 1);
	char byte = 0;

	*err = 0;
	if (sig)
		return sig;
	local = (struct iovec){ &byte, 1 };
	if (what == READ)
		asm volatile("" : : "r"(*p));
	else if (what == WRITE)
		*(volatile char *)p = value;
	else if (process_vm_readv(getpid(), &local, 1, &remote, 1, 0) != 1)
		*err = errno;
	return 0;
}

/* The first byte may be one that the memory has by itself (the vdso's). */
static bool all_is(const char *p, size_t len, char c)
{
	if (c == 0x7f)
		return *p == c;
	for (size_t i = 0; i < len; i++)
		if (p[i] != c)
			return false;
	return true;
}

static int one_row(const struct ptf_row *row, const struct ptf_vma *vma,
		   const char *name, void *arg)
{
	struct ptf_row *out = arg;

	(void)name;
	*out = *row;
	if (vma)
		memcpy(out + 1, vma, sizeof(*vma));
	return 1;
}

static int look(const struct ptf_session *session, const char *p,
		struct ptf_row *row, struct ptf_vma *vma)
{
	uint64_t at = (uintptr_t)p;
	struct {
		struct ptf_row row;
		struct ptf_vma vma;
	} both = { 0 };
	ssize_t n;

	n = ptf_session_query(session, NULL, at, at + getpagesize(),
			      PTF_QUERY_F_HOLES | PTF_QUERY_F_PAGES, one_row,
			      &both.row);
	*row = both.row;
	*vma = both.vma;
	return n == 1 && both.vma.end;
}

/* One access behind the advice, on fresh memory. False: there is none. */
static bool measure_access(const struct memory *memory, const char *dir,
			   unsigned int advice, uint32_t flags, int what,
			   struct cell *c)
{
	struct access *next = &c->next[what];
	struct ptf_session *session;
	struct rusage a, b;
	char *p, own = 0;
	uint64_t start;
	int result;
	size_t len;

	errno = 0;
	p = memory->make(dir, &len);
	if (!p) {
		c->made = errno ? errno : ENOMEM;
		return false;
	}
	c->session = -ptf_session_open(NULL, &session);
	if (c->session)
		return false;
	start = (uintptr_t)p;
	/* Once for nothing, so that no fault of our own is counted. */
	access_byte(&own, what, 0, &next->err);
	getrusage(RUSAGE_SELF, &a);
	getrusage(RUSAGE_SELF, &b);
	if (!what)
		c->have_before = look(session, p, &c->before, &c->vma_before);
	result = -ptf_session_advise(session, NULL, start, start + len, advice,
				     PTF_ADVISE_UNCHECKED |
				     (advice < PTF_ADV_BASE ? 0 : flags), NULL);
	if (!what) {
		c->result = result;
		c->have_after = look(session, p, &c->after, &c->vma_after);
	}
	getrusage(RUSAGE_SELF, &a);
	next->signal = access_byte(p, what, memory->content, &next->err);
	getrusage(RUSAGE_SELF, &b);
	next->minor = b.ru_minflt - a.ru_minflt;
	next->major = b.ru_majflt - a.ru_majflt;
	if (what)
		return true;
	/* What the session held back is there again when it is gone. */
	if (next->signal) {
		ptf_session_close(session);
		mprotect(p, len, PROT_READ);
	}
	if (!sigsetjmp(escape, 1))
		c->kept = all_is(p, len, memory->content);
	return true;
}

static void measure(const struct memory *memory, const char *dir,
		    unsigned int advice, uint32_t flags, struct cell *c)
{
	struct sigaction act = { .sa_handler = on_signal };

	sigaction(SIGBUS, &act, NULL);
	sigaction(SIGSEGV, &act, NULL);
	for (int what = READ; what < ACCESSES; what++)
		if (!measure_access(memory, dir, advice, flags, what, c))
			return;
}

/* 0, or the errno for which there is no cell. */
static int in_child(const struct memory *memory, const char *dir,
		    unsigned int advice, uint32_t flags, struct cell *c)
{
	struct cell *shared;
	int status = 0;
	pid_t pid;

	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED)
		return errno;
	fflush(NULL);
	pid = fork();
	if (!pid) {
		measure(memory, dir, advice, flags, shared);
		_exit(0);
	}
	if (pid > 0)
		while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
			;
	*c = *shared;
	c->status = status;
	munmap(shared, sizeof(*shared));
	return pid < 0 ? errno : 0;
}

/* ------------------------------------------------------------------ */

static const char *next_text(const struct cell *c, int what)
{
	const struct access *next = &c->next[what];

	if (WIFSIGNALED(c->status))
		return "killed";
	if (next->signal)
		return next->signal == SIGBUS ? "SIGBUS" : "SIGSEGV";
	if (next->err)
		return next->err == EHWPOISON ? "EHWPOISON" : "EFAULT";
	return next->major ? "major" : next->minor ? "minor" : "none";
}

static const char *result_text(const struct cell *c)
{
	const char *name = c->result ? strerrorname_np(c->result) : "0";

	return name ? name : "?";
}

/* The entry in two words, and a copy as what it is. */
static void row_text(int have, const struct ptf_row *row, char *buf, size_t len)
{
	const char *kind = ptf_kind_name(row->kind);

	if (!have)
		snprintf(buf, len, "unmapped");
	else if (row->state == PTF_STATE_NONE)
		snprintf(buf, len, "none%s", row->file_state ==
			 PTF_FILEMAP_PRESENT ? ", cached" : row->file_state ==
			 PTF_FILEMAP_SWAP ? ", in swap" : "");
	else if (row->state == PTF_STATE_PRESENT)
		snprintf(buf, len, "%s%s%s", kind,
			 row->flags & PTF_ROW_WRITE ? " rw" : " r",
			 row->flags & PTF_ROW_YOUNG ? "" : " old");
	else if (row->state == PTF_STATE_HINT ||
		 row->state == PTF_STATE_STASHED)
		snprintf(buf, len, "%s %s", ptf_state_name(row->state), kind);
	else
		snprintf(buf, len, "%s", ptf_state_name(row->state));
}

static struct json_object *json_look(int have, const struct ptf_row *row,
				     const struct ptf_vma *vma)
{
	return json_row(row, have ? vma : NULL, "");
}

static struct json_object *json_cell(unsigned int advice,
				     const struct memory *memory,
				     const struct cell *c)
{
	struct json_object *o = json_object_new_object();

	jadd(o, "advice", jstr(ptf_advice_name(advice)));
	jadd(o, "memory", jstr(memory->name));
	jadd(o, "before", json_look(c->have_before, &c->before,
				    &c->vma_before));
	jadd(o, "result", jstr(result_text(c)));
	jadd(o, "after", json_look(c->have_after, &c->after, &c->vma_after));
	jadd(o, "next_read", jstr(next_text(c, READ)));
	jadd(o, "content", jstr(c->kept ? "kept" : "lost"));
	jadd(o, "next_write", jstr(next_text(c, WRITE)));
	jadd(o, "next_gup", jstr(next_text(c, GUP)));
	return o;
}

/* One line of text; answers false if nothing changed, and prints nothing. */
static bool print_cell(const char *advice, const struct memory *memory,
		       const struct cell *c)
{
	char before[48], after[64];

	row_text(c->have_before, &c->before, before, sizeof(before));
	row_text(c->have_after, &c->after, after, sizeof(after));
	if (c->have_after && c->before.state == c->after.state &&
	    c->before.pte_pfn != c->after.pte_pfn)
		strcat(after, ", moved");
	if (!strcmp(before, after) && c->kept)
		return false;
	printf("%-16s%-12s%-9s%-10s -> %-16s%-8s %-8s %-8s%s\n", advice,
	       result_text(c), memory->name, before, after, next_text(c, READ),
	       next_text(c, WRITE), next_text(c, GUP),
	       c->kept ? "kept" : "lost");
	return true;
}

/* The cells of one advice; kinds for which nothing changes are one line. */
static void print_cells(unsigned int advice, const struct cell *cells)
{
	const char *label = ptf_advice_name(advice);
	bool said[ARRAY_SIZE(memories)] = { 0 };

	for (size_t k = 0; k < ARRAY_SIZE(memories); k++) {
		said[k] = !cells[k].there ||
			  print_cell(label, &memories[k], &cells[k]);
		if (cells[k].there && said[k])
			label = "";
	}
	for (size_t k = 0; k < ARRAY_SIZE(memories); k++) {
		if (said[k])
			continue;
		printf("%-16s%-12snothing changes:", label,
		       result_text(&cells[k]));
		label = "";
		for (size_t i = k; i < ARRAY_SIZE(memories); i++) {
			if (said[i] || cells[i].result != cells[k].result)
				continue;
			printf(" %s", memories[i].name);
			said[i] = true;
		}
		putchar('\n');
	}
	fflush(stdout);
}

static bool wanted(struct tool *t, const struct memory *memory)
{
	const char *name;

	for (int i = 0; (name = tool_opt_nth(t, "memory", i)); i++)
		if (!strcmp(name, memory->name))
			return true;
	return !tool_opt(t, "memory");
}

static int check_memories(struct tool *t)
{
	const char *name;

	for (int i = 0; (name = tool_opt_nth(t, "memory", i)); i++) {
		char all[256] = "";
		bool known = false;

		for (size_t k = 0; k < ARRAY_SIZE(memories); k++) {
			size_t at = strlen(all);

			known = known || !strcmp(name, memories[k].name);
			snprintf(all + at, sizeof(all) - at, " %s",
				 memories[k].name);
		}
		if (!known)
			return tool_usage(t, "no memory '%s'; there is%s", name,
					  all);
	}
	return DONE;
}

/* These two take frames away from the machine for good. */
static bool costs_frames(unsigned int advice)
{
	return advice == PTF_MADV_HWPOISON || advice == PTF_MADV_SOFT_OFFLINE;
}

/* The advice to measure: what was named, or what can be tried in peace. */
static int choose(struct tool *t, unsigned int *list, int *nr)
{
	for (int i = 0; i < t->argc; i++)
		if (!arg_advice(t->argv[i], &list[(*nr)++]))
			return tool_usage(t, "no advice '%s'", t->argv[i]);
	for (unsigned int i = 0; !t->argc && i < ptf_advice_count(); i++)
		if (!costs_frames(ptf_advice_at(i)) ||
		    tool_flag(t, "unchecked"))
			list[(*nr)++] = ptf_advice_at(i);
	for (int i = 0; t->argc && i < *nr; i++)
		if (costs_frames(list[i]) && !tool_flag(t, "unchecked"))
			return tool_fail(t, ptf_advice_name(list[i]),
					 "if that is meant, add --unchecked",
					 "this takes a frame from the machine");
	return DONE;
}

static int run(struct tool *t)
{
	const char *dir = tool_opt(t, "dir") ? tool_opt(t, "dir") : "/var/tmp";
	bool missing[ARRAY_SIZE(memories)] = { 0 };
	struct json_object *rows = NULL;
	struct ptf_session *session;
	uint32_t flags = (tool_flag(t, "pmd") ? PTF_ADVISE_F_PMD : 0) |
			 (tool_flag(t, "split") ? PTF_ADVISE_F_SPLIT : 0) |
			 (tool_flag(t, "gup") ? PTF_ADVISE_F_GUP : 0);
	unsigned int *list;
	struct utsname uts;
	int nr = 0, ret;

	list = calloc(t->argc + ptf_advice_count(), sizeof(*list));
	if (!list)
		return tool_fail(t, NULL, NULL, "out of memory");
	ret = check_memories(t);
	if (ret == DONE)
		ret = choose(t, list, &nr);
	if (ret == DONE)
		ret = open_session(t, &session);
	if (ret != DONE)
		goto out;
	ptf_session_close(session);
	uname(&uts);
	if (t->json)
		rows = json_object_new_array();
	else
		printf("%-16s%-12s%-9s%-10s    %-16s%-8s %-8s %-8s%s\n",
		       "ADVICE", "RESULT", "MEMORY", "BEFORE", "AFTER", "READ",
		       "WRITE", "GUP", "CONTENT");
	for (int i = 0; ret == DONE && i < nr; i++) {
		struct cell cells[ARRAY_SIZE(memories)] = { 0 };

		for (size_t k = 0; k < ARRAY_SIZE(memories); k++) {
			struct cell *c = &cells[k];
			int err;

			if (missing[k] || !wanted(t, &memories[k]))
				continue;
			err = in_child(&memories[k], dir, list[i], flags, c);
			if (!err)
				err = c->made ? c->made : c->session;
			c->there = !err;
			if (err) {
				missing[k] = true;
				tool_note(t, "no memory of kind %s here: %s",
					  memories[k].name, strerror(err));
			} else if (t->json) {
				json_object_array_add(rows,
						      json_cell(list[i],
								&memories[k],
								c));
			}
		}
		if (!t->json)
			print_cells(list[i], cells);
	}
	if (t->json) {
		t->out = json_object_new_object();
		jadd(t->out, "version", json_object_new_int(1));
		jadd(t->out, "kernel", jstr(uts.release));
		jadd(t->out, "rows", rows);
	}
out:
	free(list);
	return ret;
}

static const struct verb atlas = {
	.name = "atlas",
	.args = "[ADVICE]...",
	.what = "what each advice does on this kernel, measured",
	.more = "For each advice and each kind of memory: the entry before, what the call\n"
		"answered, the entry after, what the next read, write and access of the kernel\n"
		"(GUP) costs (none, minor, major, a signal, or EFAULT), and whether the content\n"
		"is kept. Everything happens to memory of the command's own children.\n",
	.opts = opts,
	.order = 80,
	.run = run,
};

PTEFAULT_VERB(atlas)
