// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * VMAs by /proc/PID/maps and, for one address, the PROCMAP_QUERY ioctl on it.
 * Owns the parser of that file; says nothing about pages.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <ptefault/vma.h>

#include "internal.h"
#include "vma.h"

struct ptf_vma_list {
	struct ptf_vma_entry *v;
	size_t nr;
	char *text;		/* all of maps; names point into it */
};

/* Linux 6.11; Debian 12's headers don't have it. */
struct procmap_query {
	uint64_t size;
	uint64_t query_flags;
	uint64_t query_addr;
	uint64_t vma_start;
	uint64_t vma_end;
	uint64_t vma_flags;
	uint64_t vma_page_size;
	uint64_t vma_offset;
	uint64_t inode;
	uint32_t dev_major;
	uint32_t dev_minor;
	uint32_t vma_name_size;
	uint32_t build_id_size;
	uint64_t vma_name_addr;
	uint64_t build_id_addr;
};

#define QUERY_PROCMAP		_IOWR('f', 17, struct procmap_query)
#define QUERY_VMA_READABLE	0x01
#define QUERY_VMA_WRITABLE	0x02
#define QUERY_VMA_EXECUTABLE	0x04
#define QUERY_VMA_SHARED	0x08
#define QUERY_COVERING_OR_NEXT	0x10

static int maps_open(pid_t pid, const char *op)
{
	char path[40];
	int fd, err;

	if (pid < 0)
		return ptf_fail(ESRCH, PTF_LAYER_PROCESS, op, NULL, 0, 0, "pid %d", pid);
	if (pid)
		snprintf(path, sizeof(path), "/proc/%d/maps", pid);
	else	/* a thread's own view also when the main thread has ended */
		snprintf(path, sizeof(path), "/proc/thread-self/maps");
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0) {
		err = errno == ENOENT ? ESRCH : errno;
		return ptf_fail(err, PTF_LAYER_PROCESS, op, NULL, 0, 0, "%s", path);
	}
	return fd;
}

/* All of fd as one string. */
static int read_all(int fd, char **out)
{
	size_t len = 0, room = 65536;
	char *text = malloc(room), *bigger;
	ssize_t n;

	if (!text)
		return -ENOMEM;
	for (;;) {
		if (room - len < 8192) {
			bigger = realloc(text, room * 2);
			if (!bigger) {
				free(text);
				return -ENOMEM;
			}
			text = bigger;
			room *= 2;
		}
		n = read(fd, text + len, room - len - 1);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			n = -errno;
			free(text);
			return (int)n;
		}
		if (!n)
			break;
		len += (size_t)n;
	}
	text[len] = 0;
	*out = text;
	return 0;
}

bool ptf_vma_name_special(const char *name)
{
	/* What the kernel installs itself and shares among processes. */
	return name[0] == '[' && strcmp(name, "[heap]") &&
	       strncmp(name, "[stack", 6) && strncmp(name, "[anon", 5);
}

static void name_finish(struct ptf_vma_entry *e, char *name)
{
	static const char gone[] = " (deleted)";
	char *from, *to;
	size_t len;

	/* The kernel writes a newline in a name as \012. */
	for (from = to = name; *from; to++) {
		if (!strncmp(from, "\\012", 4)) {
			*to = '\n';
			from += 4;
		} else {
			*to = *from++;
		}
	}
	*to = 0;
	len = (size_t)(to - name);
	if (name[0] == '/' && len > sizeof(gone) - 1 &&
	    !strcmp(to - (sizeof(gone) - 1), gone)) {
		to[-(ptrdiff_t)(sizeof(gone) - 1)] = 0;
		e->deleted = 1;
	}
	e->special = ptf_vma_name_special(name);
	e->name = name;
}

/* One line, its newline already replaced by a NUL. */
static int line_parse(char *line, struct ptf_vma_entry *e)
{
	char perms[5];
	int at = 0;

	memset(e, 0, sizeof(*e));
	if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %4s %" SCNx64 " %x:%x %" SCNu64 "%n",
		   &e->start, &e->end, perms, &e->offset, &e->dev_major,
		   &e->dev_minor, &e->inode, &at) != 7 || strlen(perms) != 4)
		return -EIO;
	e->prot = (perms[0] == 'r' ? PROT_READ : 0) |
		  (perms[1] == 'w' ? PROT_WRITE : 0) |
		  (perms[2] == 'x' ? PROT_EXEC : 0);
	e->shared = perms[3] == 's';
	while (line[at] == ' ')
		at++;
	name_finish(e, line + at);
	return 0;
}

int ptf_vma_list_create(pid_t pid, struct ptf_vma_list **out)
{
	struct ptf_vma_list *list;
	char *line, *end;
	size_t lines = 0;
	int fd, ret;

	fd = maps_open(pid, __func__);
	if (fd < 0)
		return fd;
	list = calloc(1, sizeof(*list));
	ret = list ? read_all(fd, &list->text) : -ENOMEM;
	close(fd);
	if (ret)
		goto free_list;
	for (line = list->text; *line; line++)
		lines += *line == '\n';
	ret = -ENOMEM;
	list->v = calloc(lines ? lines : 1, sizeof(*list->v));
	if (!list->v)
		goto free_list;
	for (line = list->text; (end = strchr(line, '\n')); line = end + 1) {
		*end = 0;
		ret = line_parse(line, &list->v[list->nr]);
		if (ret)
			goto free_list;
		list->nr++;
	}
	*out = list;
	return 0;

free_list:
	ptf_vma_list_destroy(list);
	return ptf_fail(-ret, PTF_LAYER_PROCESS, __func__, NULL, 0, 0, "maps of pid %d", pid);
}

void ptf_vma_list_destroy(struct ptf_vma_list *list)
{
	if (!list)
		return;
	free(list->v);
	free(list->text);
	free(list);
}

size_t ptf_vma_list_count(const struct ptf_vma_list *list)
{
	return list->nr;
}

const struct ptf_vma_entry *ptf_vma_list_at(const struct ptf_vma_list *list,
					    size_t n)
{
	return n < list->nr ? &list->v[n] : NULL;
}

const struct ptf_vma_entry *ptf_vma_list_next(const struct ptf_vma_list *list,
					      uint64_t addr)
{
	size_t low = 0, high = list->nr, mid;

	/* The first whose end is above addr. */
	while (low < high) {
		mid = low + (high - low) / 2;
		if (list->v[mid].end <= addr)
			low = mid + 1;
		else
			high = mid;
	}
	return ptf_vma_list_at(list, low);
}

const struct ptf_vma_entry *ptf_vma_list_find(const struct ptf_vma_list *list,
					      uint64_t addr)
{
	const struct ptf_vma_entry *e = ptf_vma_list_next(list, addr);

	return e && e->start <= addr ? e : NULL;
}

static bool name_matches(const char *have, const char *want)
{
	const char *base;

	if (!strcmp(have, want))
		return true;
	base = have[0] == '/' ? strrchr(have, '/') : NULL;
	return base && !strchr(want, '/') && !strcmp(base + 1, want);
}

const struct ptf_vma_entry *ptf_vma_list_name(const struct ptf_vma_list *list,
					      const char *name, size_t n)
{
	size_t i;

	if (!*name)
		return NULL;
	for (i = 0; i < list->nr; i++)
		if (name_matches(list->v[i].name, name) && !n--)
			return &list->v[i];
	return NULL;
}

static void entry_copy(struct ptf_vma_entry *out,
		       const struct ptf_vma_entry *from, char *buf, size_t len)
{
	*out = *from;
	if (len)
		snprintf(buf, len, "%s", from->name);
	out->name = len ? buf : "";
}

/* 0, -ENOENT, or 1 where the ioctl can't say. */
static int vma_at_query(int fd, uint64_t addr, unsigned int flags,
			struct ptf_vma_entry *out, char *buf, size_t len)
{
	char name[4096] = "";	/* valgrind does not know who fills it */
	struct procmap_query q = {
		.size = sizeof(q),
		.query_addr = addr,
		.query_flags = flags & PTF_VMA_AT_F_NEXT ? QUERY_COVERING_OR_NEXT : 0,
		.vma_name_size = sizeof(name),
		.vma_name_addr = (uintptr_t)name,
	};
	struct ptf_vma_entry e = { 0 };

	if (ioctl(fd, QUERY_PROCMAP, &q))
		return errno == ENOENT ? -ENOENT : 1;
	if (!q.vma_name_size)
		name[0] = 0;
	e.start = q.vma_start;
	e.end = q.vma_end;
	e.offset = q.vma_offset;
	e.inode = q.inode;
	e.dev_major = q.dev_major;
	e.dev_minor = q.dev_minor;
	e.prot = (q.vma_flags & QUERY_VMA_READABLE ? PROT_READ : 0) |
		 (q.vma_flags & QUERY_VMA_WRITABLE ? PROT_WRITE : 0) |
		 (q.vma_flags & QUERY_VMA_EXECUTABLE ? PROT_EXEC : 0);
	e.shared = !!(q.vma_flags & QUERY_VMA_SHARED);
	name_finish(&e, name);
	entry_copy(out, &e, buf, len);
	return 0;
}

int ptf_vma_at(pid_t pid, uint64_t addr, unsigned int flags,
	       struct ptf_vma_entry *out, char *buf, size_t len)
{
	const struct ptf_vma_entry *e;
	struct ptf_vma_list *list;
	int fd, ret;

	if (flags & ~PTF_VMA_AT_F_NEXT)
		return ptf_fail(EINVAL, PTF_LAYER_ARGUMENT, __func__, NULL, 0, 0,
				"unknown flag");
	fd = maps_open(pid, __func__);
	if (fd < 0)
		return fd;
	ret = vma_at_query(fd, addr, flags, out, buf, len);
	close(fd);
	if (ret == 1) {
		ret = ptf_vma_list_create(pid, &list);
		if (ret)
			return ptf_fail_op(__func__, ret);
		e = flags & PTF_VMA_AT_F_NEXT ? ptf_vma_list_next(list, addr) :
			ptf_vma_list_find(list, addr);
		/* The ioctl doesn't see the gate area, so neither do we. */
		if (e && !strcmp(e->name, "[vsyscall]"))
			e = NULL;
		if (e)
			entry_copy(out, e, buf, len);
		else
			ret = -ENOENT;
		ptf_vma_list_destroy(list);
	}
	if (ret)
		return ptf_fail(-ret, PTF_LAYER_VMA, __func__,
				(void *)(uintptr_t)addr, 0, 0, "no mapping there");
	return 0;
}

/* One line of maps: 1 it has the address, 0 go on, -1 it is behind. */
static int here_line(const char *line, uintptr_t addr, struct ptf_vma_here *out)
{
	unsigned long start, end, inode;
	char perms[5];

	if (sscanf(line, "%lx-%lx %4s %*x %*x:%*x %lu", &start, &end, perms,
		   &inode) != 4 || addr >= end)
		return 0;
	if (addr < start)
		return -1;
	out->prot = (perms[0] == 'r' ? PROT_READ : 0) |
		    (perms[1] == 'w' ? PROT_WRITE : 0) |
		    (perms[2] == 'x' ? PROT_EXEC : 0);
	out->is_file = inode;
	return 1;
}

bool ptf_vma_here(uintptr_t addr, struct ptf_vma_here *out)
{
	struct procmap_query q = { .size = sizeof(q), .query_addr = addr };
	char text[4096], *line, *stop;
	size_t have = 0;
	int fd, found = 0;
	ssize_t n;

	fd = open("/proc/thread-self/maps", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	if (!ioctl(fd, QUERY_PROCMAP, &q)) {
		out->prot = (q.vma_flags & QUERY_VMA_READABLE ? PROT_READ : 0) |
			    (q.vma_flags & QUERY_VMA_WRITABLE ? PROT_WRITE : 0) |
			    (q.vma_flags & QUERY_VMA_EXECUTABLE ? PROT_EXEC : 0);
		out->is_file = q.inode;
		close(fd);
		return true;
	}
	while (!found && (n = read(fd, text + have, sizeof(text) - 1 - have)) > 0) {
		have += (size_t)n;
		text[have] = 0;
		for (line = text; !found && (stop = strchr(line, '\n'));
		     line = stop + 1) {
			*stop = 0;
			found = here_line(line, addr, out);
		}
		have -= (size_t)(line - text);
		memmove(text, line, have);
		/* A name that fills all of it: its beginning is what counts. */
		if (have >= sizeof(text) - 1)
			have = 80;
	}
	close(fd);
	return found > 0;
}

int ptf_vma_by_name(pid_t pid, const char *name, size_t n,
		    struct ptf_vma_entry *out, char *buf, size_t len)
{
	const struct ptf_vma_entry *e;
	struct ptf_vma_list *list;
	int ret;

	ret = ptf_vma_list_create(pid, &list);
	if (ret)
		return ptf_fail_op(__func__, ret);
	e = ptf_vma_list_name(list, name, n);
	if (e)
		entry_copy(out, e, buf, len);
	else
		ret = ptf_fail(ENOENT, PTF_LAYER_VMA, __func__, NULL, 0, 0, "%s", name);
	ptf_vma_list_destroy(list);
	return ret;
}
