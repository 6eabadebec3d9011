// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Mapping objects. Owns what is mapped where and with which protection; what
 * advice means is advice.c's.
 *
 * An object is [base, base + base_bytes), in whole pages; the caller's bytes
 * begin slack bytes behind base, because offset need not be page-aligned. Up to
 * base + reserve_bytes the address space is held for growing, PROT_NONE.
 *
 * The rule that every change obeys: look whether it can fail before anything
 * is given up, and put back what was changed when it fails half way. Where the
 * kernel itself gives up something first (MAP_FIXED and MREMAP_FIXED unmap
 * before they know, on 6.1), the order here is such that what is lost is our
 * own PROT_NONE, which can be mapped again.
 */
#include <ctype.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <linux/fs.h>

#include <ptefault/advise.h>
#include <ptefault/map.h>

#include "internal.h"
#include "advice.h"
#include "map.h"
#include "vma.h"

#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif
#ifndef MAP_HUGE_SHIFT
#define MAP_HUGE_SHIFT 26
#endif
#ifndef MREMAP_DONTUNMAP
#define MREMAP_DONTUNMAP 4
#endif
#ifndef MLOCK_ONFAULT
#define MLOCK_ONFAULT 1
#endif
#ifndef PR_SET_VMA
#define PR_SET_VMA 0x53564d41
#define PR_SET_VMA_ANON_NAME 0
#endif
#define HUGETLBFS_MAGIC_NR 0x958458f6L

#define NAME_LEN 80		/* the kernel's limit, with the NUL */

struct ptf_map {
	int kind;
	int prot;		/* last set for all of it */
	int mmap_flags;		/* sharing and the like, nothing of placing */
	int fd;			/* our duplicate, only with a reservation */
	bool anon;
	bool mixed;		/* protection differs in parts */
	bool reserving;		/* was made with room to grow, and has it still */
	unsigned int locked;	/* 0, 1 all, 2 in parts */
	bool lock_onfault;
	char *base;
	size_t base_bytes;
	size_t reserve_bytes;
	size_t slack;
	size_t length;
	uint64_t offset;
	uint64_t file_base;	/* where in the fd offset 0 is */
	size_t page;		/* the mapping's page size */
	pid_t nofork_pid;	/* who advised DONTFORK, and about what */
	size_t nofork_from;	/* bytes from base: it moves along */
	size_t nofork_to;
	char name[NAME_LEN];
};

static const unsigned int known_flags =
	PTF_MAP_F_TO_END | PTF_MAP_F_STACK | PTF_MAP_F_HUGE |
	PTF_MAP_F_POPULATE | PTF_MAP_F_POPULATE_ALL | PTF_MAP_F_NORESERVE |
	PTF_MAP_F_FIXED | PTF_MAP_F_REPLACE | PTF_MAP_F_32BIT |
	PTF_MAP_F_LOCKED | PTF_MAP_F_LOCK_ONFAULT;

/*
 * The kernel's own calls: a sanitizer's runtime makes the libc's do nothing,
 * and then say that it worked.
 */
static int lock_range(void *addr, size_t bytes, bool onfault)
{
	return (int)(onfault ? syscall(SYS_mlock2, addr, bytes, MLOCK_ONFAULT) :
		     syscall(SYS_mlock, addr, bytes));
}

static int unlock_range(void *addr, size_t bytes)
{
	return (int)syscall(SYS_munlock, addr, bytes);
}

static int fail_arg(const char *op, int err, const char *why)
{
	return ptf_fail(err, PTF_LAYER_ARGUMENT, op, NULL, 0, 0, "%s", why);
}

int ptf_map_fail_conflict(const char *op, const void *addr, size_t wanted,
			  size_t done, const char *name)
{
	const struct ptf_vma_entry *e = NULL;
	struct ptf_vma_list *list = NULL;
	uintptr_t start = (uintptr_t)addr + done;

	if (!ptf_vma_list_create(0, &list))
		e = ptf_vma_list_next(list, start);
	if (e && e->start < (uintptr_t)addr + wanted)
		ptf_fail(EEXIST, PTF_LAYER_VMA, op,
			 (void *)(e->start > start ? (uintptr_t)e->start : start),
			 wanted, done, "%s%s%jx-%jx %s is there",
			 name ? name : "", name && *name ? ": " : "",
			 (uintmax_t)e->start, (uintmax_t)e->end, e->name);
	else
		ptf_fail(EEXIST, PTF_LAYER_VMA, op, (void *)start, wanted, done,
			 "%s", name ? name : "");
	ptf_vma_list_destroy(list);
	return -EEXIST;
}

static int map_fail(const char *op, int err, const struct ptf_map *m,
		    const void *addr, size_t wanted, size_t done)
{
	if (err == EEXIST)
		return ptf_map_fail_conflict(op, addr, wanted, done, m->name);
	ptf_fail(err, err == ENODEV ? PTF_LAYER_FILEMAP : PTF_LAYER_VMA, op,
		 addr, wanted, done, m->name[0] ? "%s" : NULL, m->name);
	if (err == EPERM && !m->anon)
		ptf_fail_way("the file is sealed or may not be mapped like this: map it private, or read-only");
	return -err;
}

/* mmap() where nothing is, also on kernels that take NOREPLACE for a hint. */
static void *mmap_noreplace(void *addr, size_t bytes, int prot, int flags,
			    int fd, off_t off)
{
	void *p = mmap(addr, bytes, prot, flags | MAP_FIXED_NOREPLACE, fd, off);

	if (p != MAP_FAILED && p != addr) {
		munmap(p, bytes);
		errno = EEXIST;
		p = MAP_FAILED;
	}
	return p;
}

void ptf_name_clean(char *to, size_t size, const char *from)
{
	size_t i;

	for (i = 0; i + 1 < size && from[i]; i++)
		to[i] = isprint((unsigned char)from[i]) &&
			!strchr("\\`$[]", from[i]) ? from[i] : '_';
	to[i] = 0;
}

int ptf_name_range(void *addr, size_t length, const char *name)
{
	char clean[NAME_LEN];
	int err;

	if ((uintptr_t)addr & (ptf_page_bytes() - 1))
		return ptf_fail(EINVAL, PTF_LAYER_ARGUMENT, __func__, addr,
				length, 0, "address not page-aligned");
	if (name)
		ptf_name_clean(clean, sizeof(clean), name);
	if (!prctl(PR_SET_VMA, PR_SET_VMA_ANON_NAME, addr, length,
		   name ? clean : NULL))
		return 0;
	err = errno == EINVAL ? EOPNOTSUPP : errno;
	ptf_fail(err, PTF_LAYER_VMA, __func__, addr, length, 0, "%s",
		 name ? clean : "");
	if (err == EOPNOTSUPP)
		ptf_fail_way("this kernel shows no names (CONFIG_ANON_VMA_NAME)");
	return -err;
}

/* The name in /proc/PID/maps is a courtesy: no failure is recorded for it. */
static void name_apply(const struct ptf_map *m)
{
	int saved = errno;

	if (m->anon)
		prctl(PR_SET_VMA, PR_SET_VMA_ANON_NAME, m->base,
		      m->reserve_bytes, m->name[0] ? m->name : NULL);
	errno = saved;
}

/* --- creating ------------------------------------------------------- */

static int kind_setup(struct ptf_map *m, int fd,
		      const struct ptf_map_options *o, const char *op)
{
	static const struct {
		int prot;
		int flags;
		bool anon;
	} kinds[] = {
		[PTF_MAP_READ] = { PROT_READ, MAP_SHARED, false },
		[PTF_MAP_EXEC] = { PROT_READ | PROT_EXEC, MAP_SHARED, false },
		[PTF_MAP_WRITE] = { PROT_READ | PROT_WRITE, MAP_SHARED, false },
		[PTF_MAP_COPY] = { PROT_READ | PROT_WRITE, MAP_PRIVATE, false },
		[PTF_MAP_COPY_READ] = { PROT_READ, MAP_PRIVATE, false },
		[PTF_MAP_ANON] = { PROT_READ | PROT_WRITE,
				   MAP_PRIVATE | MAP_ANONYMOUS, true },
		[PTF_MAP_ANON_SHARED] = { PROT_READ | PROT_WRITE,
					  MAP_SHARED | MAP_ANONYMOUS, true },
		[PTF_MAP_RESERVE] = { PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS |
				      MAP_NORESERVE, true },
		[PTF_MAP_DEVICE] = { PROT_READ | PROT_WRITE, MAP_SHARED, false },
	};
	const int placing = MAP_FIXED | MAP_FIXED_NOREPLACE;

	if (m->kind == PTF_MAP_RAW) {
		m->prot = o->prot;
		m->mmap_flags = o->mmap_flags;
		m->anon = o->mmap_flags & MAP_ANONYMOUS;
		if (o->mmap_flags & placing)
			return fail_arg(op, EINVAL, "use PTF_MAP_F_FIXED, not MAP_FIXED");
	} else if (m->kind >= PTF_MAP_READ && m->kind <= PTF_MAP_DEVICE) {
		m->prot = kinds[m->kind].prot;
		m->mmap_flags = kinds[m->kind].flags;
		m->anon = kinds[m->kind].anon;
		if (o->prot || o->mmap_flags)
			return fail_arg(op, EINVAL, "prot and mmap_flags are for PTF_MAP_RAW");
	} else {
		return fail_arg(op, EINVAL, "unknown kind of mapping");
	}
	if (m->anon && (fd != -1 || m->offset || o->flags & PTF_MAP_F_TO_END))
		return fail_arg(op, EINVAL, "anonymous memory has no fd, offset or end");
	if (o->flags & PTF_MAP_F_STACK)
		m->mmap_flags |= MAP_STACK;
	if (o->flags & PTF_MAP_F_NORESERVE)
		m->mmap_flags |= MAP_NORESERVE;
	if (o->flags & PTF_MAP_F_32BIT) {
#ifdef MAP_32BIT
		if (o->flags & PTF_MAP_F_FIXED)
			return fail_arg(op, EINVAL, "32BIT chooses, FIXED has chosen");
#else
		return fail_arg(op, EOPNOTSUPP, "32BIT is x86 only");
#endif
	}
	if (o->flags & PTF_MAP_F_HUGE) {
		if (!m->anon)
			return fail_arg(op, EINVAL,
					"HUGE is for anonymous memory; map a hugetlbfs file otherwise");
		if (o->huge_shift > 63)
			return fail_arg(op, EINVAL, "no such huge page size");
		m->mmap_flags |= MAP_HUGETLB | (int)(o->huge_shift << MAP_HUGE_SHIFT);
	} else if (o->huge_shift) {
		return fail_arg(op, EINVAL, "huge_shift without HUGE");
	}
	return 0;
}

/*
 * Memory of a session is a part of what its fd maps: offset 0 is the first byte
 * of that part. Other fds are refused before they see that offset.
 */
static int device_setup(struct ptf_map *m, int fd, const char *op)
{
	struct ptf_ioc_features_get f = { .size = sizeof(f) };
	struct stat st;

	if (m->kind != PTF_MAP_DEVICE)
		return 0;
	if (fstat(fd, &st))
		return ptf_fail(errno, PTF_LAYER_FILEMAP, op, NULL, 0, 0,
				"fd %d", fd);
	if (!S_ISCHR(st.st_mode) || ioctl(fd, PTF_IOC_FEATURES_GET, &f)) {
		ptf_fail(ENODEV, PTF_LAYER_MODULE, op, NULL, 0, 0,
			 "fd %d is no session's", fd);
		ptf_fail_way("pass the ptf_session_fd() of a session");
		return -ENODEV;
	}
	m->file_base = PTF_MMAP_MEMORY;
	return 0;
}

/* Does [offset, offset + length) of a session's memory exist? */
static int device_fits(const struct ptf_map *m, size_t length, const char *op)
{
	if (m->kind == PTF_MAP_DEVICE &&
	    (m->offset > PTF_MMAP_MEMORY_BYTES ||
	     length > PTF_MMAP_MEMORY_BYTES - m->offset))
		return ptf_fail(EINVAL, PTF_LAYER_FILEMAP, op, NULL, length, 0,
				"behind the %llu bytes of a session's memory",
				(unsigned long long)PTF_MMAP_MEMORY_BYTES);
	return 0;
}

/* What the driver does not let a child inherit, as the object's own advice. */
static void device_nofork(struct ptf_map *m)
{
	if (m->kind != PTF_MAP_DEVICE)
		return;
	m->nofork_pid = getpid();
	m->nofork_from = 0;
	m->nofork_to = m->base_bytes;
}

/* The size of a default huge page, in bytes; 0 if there are none. */
static size_t huge_default(void)
{
	char line[128];
	size_t kb = 0;
	FILE *f = fopen("/proc/meminfo", "re");

	if (!f)
		return 0;
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "Hugepagesize: %zu kB", &kb) == 1)
			break;
	fclose(f);
	return kb * 1024;
}

static int page_setup(struct ptf_map *m, int fd,
		      const struct ptf_map_options *o, const char *op)
{
	struct statfs fs;

	m->page = ptf_page_bytes();
	if (o->flags & PTF_MAP_F_HUGE) {
		m->page = o->huge_shift ? (size_t)1 << o->huge_shift : huge_default();
		if (m->page < ptf_page_bytes())
			return fail_arg(op, EINVAL, "no such huge page size");
	} else if (!m->anon && !fstatfs(fd, &fs) &&
		   (uint32_t)fs.f_type == HUGETLBFS_MAGIC_NR) {
		m->page = (size_t)fs.f_bsize;
	}
	return 0;
}

static int file_end(int fd, uint64_t *out)
{
	struct stat st;

	if (fstat(fd, &st))
		return -errno;
	if (S_ISBLK(st.st_mode))
		return ioctl(fd, BLKGETSIZE64, out) ? -errno : 0;
	if (S_ISDIR(st.st_mode))
		return -EISDIR;
	if (!S_ISREG(st.st_mode))
		return -ENODEV;
	*out = (uint64_t)st.st_size;
	return 0;
}

/* Bytes in whole pages that hold length bytes from base on. */
static int span_of(const struct ptf_map *m, size_t length, size_t *out,
		   const char *op)
{
	/* One byte is mapped for none, so that there is an address. */
	size_t bytes = length ? length : 1;

	if (length > PTRDIFF_MAX || bytes > (size_t)PTRDIFF_MAX - m->slack)
		return ptf_fail(EOVERFLOW, PTF_LAYER_ARGUMENT, op, NULL, length,
				0, "more than PTRDIFF_MAX bytes");
	*out = ptf_page_up(m->slack + bytes, m->page);
	return 0;
}

/*
 * Address space of m->reserve_bytes, aligned, PROT_NONE, ours: what comes next
 * may use MAP_FIXED on it. @flags and @prot are for memory that is to stay.
 */
static int place_area(struct ptf_map *m, const struct ptf_map_options *o,
		      int prot, int flags, const char *op)
{
	size_t pad = o->align > m->page && !(o->flags & PTF_MAP_F_FIXED) ?
		o->align - m->page : 0;
	size_t bytes = m->reserve_bytes + pad;
	char *p, *at;

	if (bytes < pad)
		return ptf_fail(EOVERFLOW, PTF_LAYER_ARGUMENT, op, NULL,
				m->reserve_bytes, 0, "alignment");
	if (o->flags & PTF_MAP_F_REPLACE)
		p = mmap(o->addr, bytes, prot, flags | MAP_FIXED, -1, 0);
	else if (o->flags & PTF_MAP_F_FIXED)
		p = mmap_noreplace(o->addr, bytes, prot, flags, -1, 0);
	else
		p = mmap(o->addr, bytes, prot, flags, -1, 0);
	if (p == MAP_FAILED)
		return map_fail(op, errno, m, o->addr, m->reserve_bytes, 0);
	at = pad ? (char *)ptf_page_up((uintptr_t)p, o->align) : p;
	if (at > p)
		munmap(p, (size_t)(at - p));
	if (p + bytes > at + m->reserve_bytes)
		munmap(at + m->reserve_bytes, (size_t)(p + bytes - (at + m->reserve_bytes)));
	m->base = at;
	return 0;
}

/* Fills in base; on failure nothing is mapped. */
static int place(struct ptf_map *m, int fd, const struct ptf_map_options *o,
		 const char *op)
{
	int flags = m->mmap_flags, populate = 0, ret, err;
	off_t off = (off_t)(m->file_base + m->offset - m->slack);
	void *p;

#ifdef MAP_32BIT
	if (o->flags & PTF_MAP_F_32BIT)
		flags |= MAP_32BIT;
#endif
	if (o->flags & PTF_MAP_F_POPULATE)
		populate = MAP_POPULATE;

	if (m->reserve_bytes == m->base_bytes && o->align <= m->page) {
		flags |= populate;
		if (o->flags & PTF_MAP_F_REPLACE)
			p = mmap(o->addr, m->base_bytes, m->prot,
				 flags | MAP_FIXED, fd, off);
		else if (o->flags & PTF_MAP_F_FIXED)
			p = mmap_noreplace(o->addr, m->base_bytes, m->prot,
					   flags, fd, off);
		else
			p = mmap(o->addr, m->base_bytes, m->prot, flags, fd, off);
		if (p == MAP_FAILED)
			return map_fail(op, errno, m, o->addr, m->base_bytes, 0);
		m->base = p;
		return 0;
	}

	/* Anonymous: all of it is one mapping, of which the rest is closed. */
	if (m->anon && !(flags & MAP_HUGETLB)) {
		ret = place_area(m, o, PROT_NONE, flags, op);
		if (ret)
			return ret;
		if (m->prot != PROT_NONE &&
		    mprotect(m->base, m->base_bytes, m->prot)) {
			err = errno;
			munmap(m->base, m->reserve_bytes);
			return map_fail(op, err, m, m->base, m->base_bytes, 0);
		}
		if (populate)
			madvise(m->base, m->base_bytes, m->prot & PROT_WRITE ?
				PTF_MADV_POPULATE_WRITE : PTF_MADV_POPULATE_READ);
		return 0;
	}

	ret = place_area(m, o, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS |
			 MAP_NORESERVE | (flags & ~m->mmap_flags), op);
	if (ret)
		return ret;
	p = mmap(m->base, m->base_bytes, m->prot,
		 m->mmap_flags | populate | MAP_FIXED, fd, off);
	if (p == MAP_FAILED) {
		err = errno;
		munmap(m->base, m->reserve_bytes);
		return map_fail(op, err, m, m->base, m->base_bytes, 0);
	}
	return 0;
}

static int check_options(const struct ptf_map_options *o, const char *op)
{
	if (o->flags & ~known_flags)
		return fail_arg(op, EINVAL, "unknown flag");
	if (o->reserved)
		return fail_arg(op, EINVAL, "reserved field not zero");
	if (o->align & (o->align - 1))
		return fail_arg(op, EINVAL, "alignment is no power of two");
	if ((o->flags & PTF_MAP_F_REPLACE) && !(o->flags & PTF_MAP_F_FIXED))
		return fail_arg(op, EINVAL, "REPLACE without FIXED");
	if ((o->flags & PTF_MAP_F_LOCKED) && (o->flags & PTF_MAP_F_LOCK_ONFAULT))
		return fail_arg(op, EINVAL, "LOCKED and LOCK_ONFAULT");
	return 0;
}

int ptf_map_create(int kind, int fd, uint64_t offset, size_t length,
		   const struct ptf_map_options *options, struct ptf_map **out)
{
	struct ptf_map_options o;
	struct ptf_map *m;
	uint64_t end;
	int ret;

	ret = ptf_opts_copy(&o, sizeof(o), offsetof(struct ptf_map_options, name),
			    options, __func__);
	if (ret)
		return ret;
	ret = check_options(&o, __func__);
	if (ret)
		return ret;
	m = calloc(1, sizeof(*m));
	if (!m)
		return ptf_fail(ENOMEM, PTF_LAYER_NONE, __func__, NULL,
				sizeof(*m), 0, NULL);
	m->kind = kind;
	m->fd = -1;
	m->offset = offset;
	if (o.name)
		ptf_name_clean(m->name, sizeof(m->name), o.name);
	ret = kind_setup(m, fd, &o, __func__);
	if (ret)
		goto free_map;
	ret = page_setup(m, fd, &o, __func__);
	if (!ret)
		ret = device_setup(m, fd, __func__);
	if (ret)
		goto free_map;
	if (offset > INT64_MAX) {
		ret = fail_arg(__func__, EOVERFLOW, "offset does not fit");
		goto free_map;
	}
	if (o.flags & PTF_MAP_F_TO_END) {
		end = PTF_MMAP_MEMORY_BYTES;
		ret = length ? -EINVAL :
		      m->kind == PTF_MAP_DEVICE ? 0 : file_end(fd, &end);
		if (ret) {
			ptf_fail(-ret, length ? PTF_LAYER_ARGUMENT : PTF_LAYER_FILEMAP,
				 __func__, NULL, 0, 0,
				 length ? "a length and TO_END" : "fd %d", fd);
			goto free_map;
		}
		if (offset > end) {
			ret = ptf_fail(EINVAL, PTF_LAYER_FILEMAP, __func__, NULL, 0,
				       0, "offset %ju is behind the end %ju",
				       (uintmax_t)offset, (uintmax_t)end);
			goto free_map;
		}
		if (end - offset > PTRDIFF_MAX) {
			ret = fail_arg(__func__, EOVERFLOW, "more than PTRDIFF_MAX bytes");
			goto free_map;
		}
		length = (size_t)(end - offset);
	}
	m->length = length;
	m->slack = (size_t)(offset & (m->page - 1));
	ret = span_of(m, length, &m->base_bytes, __func__);
	if (!ret)
		ret = device_fits(m, length, __func__);
	if (ret)
		goto free_map;
	m->reserve_bytes = m->base_bytes;
	if (o.reserve > PTRDIFF_MAX) {
		ret = fail_arg(__func__, EOVERFLOW, "more than PTRDIFF_MAX bytes reserved");
		goto free_map;
	}
	if (o.reserve > length) {
		size_t span;

		ret = span_of(m, o.reserve, &span, __func__);
		if (ret)
			goto free_map;
		m->reserve_bytes = span;
	}
	if (m->reserve_bytes > m->base_bytes) {
		m->reserving = true;
		if (o.flags & PTF_MAP_F_HUGE) {
			ret = fail_arg(__func__, EINVAL, "huge pages can't be reserved to grow");
			goto free_map;
		}
		if (!m->anon) {
			m->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
			if (m->fd < 0) {
				ret = ptf_fail(errno, PTF_LAYER_FILEMAP, __func__,
					       NULL, 0, 0, "fd %d", fd);
				goto free_map;
			}
		}
	}
	if ((o.flags & PTF_MAP_F_FIXED) &&
	    (!o.addr || (uintptr_t)o.addr & ((o.align > m->page ? o.align : m->page) - 1))) {
		ret = fail_arg(__func__, EINVAL, "fixed address NULL or unaligned");
		goto free_map;
	}

	ret = place(m, fd, &o, __func__);
	if (ret)
		goto free_map;
	name_apply(m);
	device_nofork(m);
	if (o.flags & (PTF_MAP_F_LOCKED | PTF_MAP_F_LOCK_ONFAULT)) {
		ret = ptf_fail_op(__func__, ptf_map_lock(m, o.flags & PTF_MAP_F_LOCKED ?
							 0 : PTF_LOCK_F_ONFAULT));
		if (ret)
			goto unmap;
	}
	if ((o.flags & PTF_MAP_F_POPULATE_ALL) && m->prot != PROT_NONE) {
		/* As MAP_POPULATE: private pages are copied, shared not dirtied. */
		ret = ptf_map_populate_range(m, 0, m->length,
					     (m->prot & PROT_WRITE) &&
					     !(m->mmap_flags & MAP_SHARED));
		ptf_fail_op(__func__, ret);
		if (ret)
			goto unmap;
	}
	*out = m;
	return 0;

unmap:
	munmap(m->base, m->reserve_bytes);
free_map:
	if (m->fd >= 0)
		close(m->fd);
	free(m);
	return ret;
}

/* --- asking and ending ---------------------------------------------- */

static void map_free(struct ptf_map *m)
{
	if (m->fd >= 0)
		close(m->fd);
	free(m);
}

int ptf_map_destroy(struct ptf_map *m)
{
	char *start, *end;

	if (!m)
		return 0;
	start = m->base;
	end = m->base + m->reserve_bytes;
	if (m->nofork_pid && m->nofork_pid != getpid()) {
		/* That part never came into this process: not ours to unmap. */
		char *to = start + m->nofork_to;

		if (to < end && munmap(to, (size_t)(end - to)))
			return map_fail(__func__, errno, m, start, m->reserve_bytes, 0);
		end = start + m->nofork_from;
	}
	if (end > start && munmap(start, (size_t)(end - start)))
		return map_fail(__func__, errno, m, start, m->reserve_bytes, 0);
	map_free(m);
	return 0;
}

void ptf_map_release(struct ptf_map *m, void **base, size_t *bytes)
{
	if (!m)
		return;
	if (base)
		*base = m->base;
	if (bytes)
		*bytes = m->reserve_bytes;
	map_free(m);
}

void *ptf_map_data(const struct ptf_map *m)
{
	return m->base + m->slack;
}

size_t ptf_map_length(const struct ptf_map *m)
{
	return m->length;
}

int ptf_map_query(const struct ptf_map *m, struct ptf_map_info *info)
{
	uint32_t size = info->size;

	if (size < sizeof(*info))
		return ptf_fail(EINVAL, PTF_LAYER_ARGUMENT, __func__, info,
				sizeof(*info), size, "struct too short");
	memset(info, 0, sizeof(*info));
	info->size = size;
	info->kind = (uint32_t)m->kind;
	info->data = m->base + m->slack;
	info->length = m->length;
	info->base = m->base;
	info->base_bytes = m->base_bytes;
	info->reserve_bytes = m->reserve_bytes;
	info->offset = m->offset;
	info->page_bytes = m->page;
	info->prot = m->prot;
	info->mixed = m->mixed;
	info->locked = m->locked;
	info->name = m->name;
	return 0;
}

int ptf_map_set_name(struct ptf_map *m, const char *name)
{
	if (name)
		ptf_name_clean(m->name, sizeof(m->name), name);
	else
		m->name[0] = 0;
	name_apply(m);
	return 0;
}

/* --- ranges ---------------------------------------------------------- */

/*
 * The pages that hold bytes [offset, offset + length) of the map. Every check
 * of bounds is of the form length > size - offset.
 */
static int range_pages(const struct ptf_map *m, size_t offset, size_t length,
		       char **start, size_t *bytes, const char *op)
{
	size_t from, to;

	*start = m->base;
	*bytes = 0;
	if (offset > m->length || length > m->length - offset)
		return ptf_fail(EINVAL, PTF_LAYER_ARGUMENT, op,
				m->base + m->slack, length, 0,
				"offset %zu, length %zu of %zu", offset, length,
				m->length);
	from = ptf_page_down(m->slack + offset, m->page);
	to = length ? ptf_page_up(m->slack + offset + length, m->page) : from;
	*start = m->base + from;
	*bytes = to - from;
	return 0;
}

static bool is_whole(const struct ptf_map *m, const char *start, size_t bytes)
{
	return start == m->base && bytes == m->base_bytes;
}

/* Put protections back as a list from before has them. */
static void protect_restore(const struct ptf_vma_list *list, char *start,
			    size_t bytes)
{
	uintptr_t at = (uintptr_t)start, end = at + bytes, to;
	const struct ptf_vma_entry *e;

	while (at < end && (e = ptf_vma_list_next(list, at)) && e->start < end) {
		at = at > e->start ? at : (uintptr_t)e->start;
		to = end < e->end ? end : (uintptr_t)e->end;
		mprotect((void *)at, to - at, e->prot);
		at = to;
	}
}

static int protect_pages(struct ptf_map *m, char *start, size_t bytes, int prot,
			 const char *op)
{
	struct ptf_vma_list *list = NULL;
	bool whole = is_whole(m, start, bytes);
	int err, ret;

	if (!bytes)
		return 0;
	if (m->mixed) {
		ret = ptf_vma_list_create(0, &list);
		if (ret)
			return ptf_fail_op(op, ret);
	}
	if (mprotect(start, bytes, prot)) {
		/* It stops in the middle, and what is done stays done. */
		err = errno;
		if (list)
			protect_restore(list, start, bytes);
		else
			mprotect(start, bytes, m->prot);
		ptf_vma_list_destroy(list);
		return map_fail(op, err, m, start, bytes, 0);
	}
	ptf_vma_list_destroy(list);
	if (whole) {
		m->prot = prot;
		m->mixed = false;
	} else if (prot != m->prot) {
		m->mixed = true;
	}
	return 0;
}

int ptf_map_protect(struct ptf_map *m, int prot)
{
	return protect_pages(m, m->base, m->base_bytes, prot, __func__);
}

int ptf_map_protect_range(struct ptf_map *m, size_t offset, size_t length,
			  int prot)
{
	size_t bytes;
	char *start;
	int ret;

	ret = range_pages(m, offset, length, &start, &bytes, __func__);
	if (ret)
		return ret;
	if (offset && start != m->base + m->slack + offset)
		return ptf_fail(EINVAL, PTF_LAYER_ARGUMENT, __func__,
				m->base + m->slack + offset, length, 0,
				"not on a page boundary");
	return protect_pages(m, start, bytes, prot, __func__);
}

int ptf_map_flush_range(struct ptf_map *m, size_t offset, size_t length,
			unsigned int flags)
{
	size_t bytes;
	char *start;
	int ret;

	if (flags & ~(PTF_SYNC_F_ASYNC | PTF_SYNC_F_INVALIDATE))
		return fail_arg(__func__, EINVAL, "unknown flag");
	ret = range_pages(m, offset, length, &start, &bytes, __func__);
	if (ret)
		return ret;
	if (bytes && msync(start, bytes,
			   (flags & PTF_SYNC_F_ASYNC ? MS_ASYNC : MS_SYNC) |
			   (flags & PTF_SYNC_F_INVALIDATE ? MS_INVALIDATE : 0))) {
		ret = errno;
		ptf_fail(ret, PTF_LAYER_FILEMAP, __func__, start, bytes, 0, "%s", m->name);
		if (ret == EBUSY)
			ptf_fail_way("unlock the pages before invalidating them");
		return -ret;
	}
	return 0;
}

int ptf_map_flush(struct ptf_map *m, unsigned int flags)
{
	return ptf_fail_op(__func__, ptf_map_flush_range(m, 0, m->length, flags));
}

static int lock_pages(struct ptf_map *m, char *start, size_t bytes,
		      unsigned int flags, const char *op)
{
	int err;

	if (flags & ~PTF_LOCK_F_ONFAULT)
		return fail_arg(op, EINVAL, "unknown flag");
	if (!bytes)
		return 0;
	if (lock_range(start, bytes, flags & PTF_LOCK_F_ONFAULT)) {
		err = errno;
		/* The mappings stay marked as locked though pages did not come. */
		if (!m->locked)
			unlock_range(start, bytes);
		map_fail(op, err, m, start, bytes, 0);
		if (err == EPERM || err == ENOMEM)
			ptf_fail_way("raise RLIMIT_MEMLOCK, or lock only what can be faulted in");
		return -err;
	}
	m->locked = is_whole(m, start, bytes) || m->locked == 1 ? 1 : 2;
	m->lock_onfault = flags & PTF_LOCK_F_ONFAULT;
	return 0;
}

static int unlock_pages(struct ptf_map *m, char *start, size_t bytes,
			const char *op)
{
	if (!bytes)
		return 0;
	if (unlock_range(start, bytes))
		return map_fail(op, errno, m, start, bytes, 0);
	m->locked = is_whole(m, start, bytes) || !m->locked ? 0 : 2;
	return 0;
}

int ptf_map_lock_range(struct ptf_map *m, size_t offset, size_t length,
		       unsigned int flags)
{
	size_t bytes;
	char *start;
	int ret = range_pages(m, offset, length, &start, &bytes, __func__);

	return ret ? ret : lock_pages(m, start, bytes, flags, __func__);
}

int ptf_map_lock(struct ptf_map *m, unsigned int flags)
{
	return lock_pages(m, m->base, m->base_bytes, flags, __func__);
}

int ptf_map_unlock_range(struct ptf_map *m, size_t offset, size_t length)
{
	size_t bytes;
	char *start;
	int ret = range_pages(m, offset, length, &start, &bytes, __func__);

	return ret ? ret : unlock_pages(m, start, bytes, __func__);
}

int ptf_map_unlock(struct ptf_map *m)
{
	return unlock_pages(m, m->base, m->base_bytes, __func__);
}

int ptf_lock_all(unsigned int flags)
{
	int how = (flags & PTF_LOCK_ALL_F_CURRENT ? MCL_CURRENT : 0) |
		  (flags & PTF_LOCK_ALL_F_FUTURE ? MCL_FUTURE : 0) |
		  (flags & PTF_LOCK_ALL_F_ONFAULT ? MCL_ONFAULT : 0);

	if (flags & ~(PTF_LOCK_ALL_F_CURRENT | PTF_LOCK_ALL_F_FUTURE |
		      PTF_LOCK_ALL_F_ONFAULT))
		return fail_arg(__func__, EINVAL, "unknown flag");
	if (syscall(SYS_mlockall, how))
		return ptf_fail(errno, PTF_LAYER_VMA, __func__, NULL, 0, 0, NULL);
	return 0;
}

int ptf_unlock_all(void)
{
	if (syscall(SYS_munlockall))
		return ptf_fail(errno, PTF_LAYER_VMA, __func__, NULL, 0, 0, NULL);
	return 0;
}

/* --- advice ----------------------------------------------------------- */

static void nofork_note(struct ptf_map *m, char *start, size_t bytes, int advice)
{
	size_t from = (size_t)(start - m->base), to = from + bytes;

	if (advice == PTF_MADV_DOFORK && is_whole(m, start, bytes) &&
	    m->nofork_pid == getpid())
		m->nofork_pid = 0;
	if (advice != PTF_MADV_DONTFORK)
		return;
	if (m->nofork_pid != getpid()) {
		m->nofork_from = from;
		m->nofork_to = to;
	} else {
		/* Their hull: what is between is left alone in a child too. */
		m->nofork_from = ptf_min_size(from, m->nofork_from);
		m->nofork_to = to > m->nofork_to ? to : m->nofork_to;
	}
	m->nofork_pid = getpid();
}

/*
 * The map has a new length. What mremap() made longer has the flags of its last
 * page, and a session's memory never comes into a child; what was reserved
 * otherwise does.
 */
static void nofork_resize(struct ptf_map *m, size_t was, bool inherits)
{
	if (m->kind == PTF_MAP_DEVICE ||
	    (inherits && m->nofork_pid && m->nofork_to == was))
		m->nofork_to = m->base_bytes;
	m->nofork_to = ptf_min_size(m->nofork_to, m->base_bytes);
	/* All of it cut off: no page of the map has the flag any more. */
	if (m->nofork_from >= m->nofork_to)
		m->nofork_pid = 0;
}

static int advise_pages(struct ptf_map *m, char *start, size_t bytes,
			int advice, bool unchecked, const char *op)
{
	int ret = ptf_advise_op(op, start, bytes, advice, unchecked);

	if (!ret && bytes)
		nofork_note(m, start, bytes, advice);
	return ret;
}

static int advise_range(struct ptf_map *m, size_t offset, size_t length,
			int advice, bool unchecked, const char *op)
{
	size_t bytes;
	char *start;
	int ret = range_pages(m, offset, length, &start, &bytes, op);

	if (ret)
		return ret;
	if (length && ptf_advice_cls(advice) >= PTF_CLASS_CONTENT &&
	    (start != m->base + m->slack + offset ||
	     (offset + length != m->length &&
	      start + bytes != m->base + m->slack + offset + length)))
		return ptf_fail(EINVAL, PTF_LAYER_ARGUMENT, op,
				m->base + m->slack + offset, length, 0,
				"%s would reach bytes outside the range",
				ptf_advice_name(advice));
	return advise_pages(m, start, bytes, advice, unchecked, op);
}

int ptf_map_advise(struct ptf_map *m, int advice)
{
	return advise_pages(m, m->base, m->base_bytes, advice, false, __func__);
}

int ptf_map_advise_unchecked(struct ptf_map *m, int advice)
{
	return advise_pages(m, m->base, m->base_bytes, advice, true, __func__);
}

int ptf_map_advise_range(struct ptf_map *m, size_t offset, size_t length,
			 int advice)
{
	return advise_range(m, offset, length, advice, false, __func__);
}

int ptf_map_advise_range_unchecked(struct ptf_map *m, size_t offset,
				   size_t length, int advice)
{
	return advise_range(m, offset, length, advice, true, __func__);
}

int ptf_map_populate_range(struct ptf_map *m, size_t offset, size_t length,
			   int write)
{
	int advice = write ? PTF_MADV_POPULATE_WRITE : PTF_MADV_POPULATE_READ;
	size_t bytes, done, step;
	char *start;
	int ret, err;

	ret = range_pages(m, offset, length, &start, &bytes, __func__);
	if (ret || !bytes)
		return ret;
	if (!madvise(start, bytes, advice))
		return 0;
	err = errno;
	/* Which page was it? Coarse steps first; what is there costs little. */
	for (done = 0, step = m->page * 512; done < bytes; ) {
		if (!madvise(start + done, ptf_min_size(step, bytes - done), advice)) {
			done += ptf_min_size(step, bytes - done);
			continue;
		}
		err = errno;
		if (step == m->page)
			break;
		step = m->page;
	}
	if (done >= bytes)
		return 0;	/* it works by now */
	ptf_fail(err, err == EFAULT ? PTF_LAYER_FILEMAP : PTF_LAYER_VMA, __func__,
		 start + done, bytes, done, "%s", m->name);
	if (err == EFAULT)
		ptf_fail_way("the page is behind the end of the file, or can't be read: make the file longer first");
	return -err;
}

/* --- moving and growing ------------------------------------------------ */

static void reserve_forget(struct ptf_map *m)
{
	m->reserve_bytes = m->base_bytes;
	m->reserving = false;
	if (m->fd >= 0)
		close(m->fd);
	m->fd = -1;
}

/* Give back what is held behind the map. */
static void reserve_drop(struct ptf_map *m)
{
	if (m->reserve_bytes > m->base_bytes)
		munmap(m->base + m->base_bytes, m->reserve_bytes - m->base_bytes);
	reserve_forget(m);
}

/* Make [base_bytes, span) of the reservation part of the map. */
static int grow_reserved(struct ptf_map *m, size_t span, const char *op)
{
	char *tail = m->base + m->base_bytes;
	size_t bytes = span - m->base_bytes;
	off_t off = (off_t)(m->file_base + m->offset - m->slack +
			    m->base_bytes);
	void *p;
	int err;

	if (m->anon) {
		if (m->prot != PROT_NONE && mprotect(tail, bytes, m->prot)) {
			err = errno;
			mprotect(tail, bytes, PROT_NONE);
			return map_fail(op, err, m, tail, bytes, 0);
		}
	} else {
		/*
		 * MAP_FIXED unmaps first, and only then finds out that the
		 * file is sealed or memory short. So try it elsewhere.
		 */
		p = mmap(NULL, bytes, m->prot, m->mmap_flags, m->fd, off);
		if (p == MAP_FAILED)
			return map_fail(op, errno, m, tail, bytes, 0);
		munmap(p, bytes);
		p = mmap(tail, bytes, m->prot, m->mmap_flags | MAP_FIXED, m->fd, off);
		if (p == MAP_FAILED) {
			err = errno;
			p = mmap_noreplace(tail, bytes, PROT_NONE, MAP_PRIVATE |
					   MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
			if (p == MAP_FAILED && errno != EEXIST) {
				/* Lost to someone else: hold no more than we have. */
				munmap(tail + bytes, m->reserve_bytes - span);
				reserve_forget(m);
			}
			return map_fail(op, err, m, tail, bytes, 0);
		}
	}
	if (m->locked == 1 && lock_range(tail, bytes, m->lock_onfault)) {
		err = errno;
		unlock_range(tail, bytes);
		if (m->anon)
			mprotect(tail, bytes, PROT_NONE);
		else
			mmap(tail, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS |
			     MAP_NORESERVE | MAP_FIXED, -1, 0);
		return map_fail(op, err, m, tail, bytes, 0);
	}
	m->base_bytes = span;
	return 0;
}

static bool shared_anon(const struct ptf_map *m)
{
	return m->anon && (m->mmap_flags & MAP_SHARED);
}

/* Can mremap() not make it longer? */
static bool fixed_size(const struct ptf_map *m)
{
	return shared_anon(m) || m->kind == PTF_MAP_DEVICE;
}

static int fail_fixed_size(struct ptf_map *m, size_t span, const char *op)
{
	ptf_fail(EOPNOTSUPP, PTF_LAYER_FILEMAP, op, m->base + m->base_bytes,
		 span - m->base_bytes, 0, m->anon ?
		 "shared anonymous memory has the size that it was made with" :
		 "a mapping of a session's memory has the size that it was made with");
	ptf_fail_way(m->anon ? "create it with room to grow (reserve), or map a memfd" :
			       "create it with room to grow (reserve)");
	return -EOPNOTSUPP;
}

/* mremap() says EINVAL to what no address space has room for. */
static int mremap_errno(size_t span)
{
	return errno == EINVAL && span >= (size_t)1 << 47 ? ENOMEM : errno;
}

/* Into free address space behind; the pages that are there are not touched. */
static int grow_in_place(struct ptf_map *m, size_t span, const char *op)
{
	char *last = m->base + m->base_bytes - m->page;
	size_t more = span - m->base_bytes;
	void *p;
	int err;

	if (fixed_size(m))
		return fail_fixed_size(m, span, op);
	/*
	 * From the last page on, so that a map whose protection differs in
	 * parts, which is several VMAs, can grow too.
	 */
	p = mremap(last, m->page, m->page + more, 0);
	if (p == MAP_FAILED) {
		err = mremap_errno(span);
		map_fail(op, err, m, m->base + m->base_bytes, more, 0);
		if (err == ENOMEM)
			ptf_fail_way("what is behind is taken: allow moving, or create the map with room to grow");
		return -err;
	}
	if (m->mixed && mprotect(m->base + m->base_bytes, more, m->prot)) {
		err = errno;
		munmap(m->base + m->base_bytes, more);
		return map_fail(op, err, m, m->base + m->base_bytes, more, 0);
	}
	m->base_bytes = span;
	m->reserve_bytes = span;
	return 0;
}

int ptf_map_grow(struct ptf_map *m, size_t length)
{
	size_t span, was = m->base_bytes;
	bool reserved = m->reserving;
	int ret;

	if (length < m->length)
		return fail_arg(__func__, EINVAL, "shorter than it is");
	ret = span_of(m, length, &span, __func__);
	if (!ret)
		ret = device_fits(m, length, __func__);
	if (ret)
		return ret;
	if (span > m->base_bytes) {
		if (span <= m->reserve_bytes)
			ret = grow_reserved(m, span, __func__);
		else if (m->reserving)
			ret = ptf_fail(ENOMEM, PTF_LAYER_VMA, __func__,
				       m->base + m->reserve_bytes, span,
				       m->reserve_bytes, "more than was reserved");
		else
			ret = grow_in_place(m, span, __func__);
		if (ret)
			return ret;
		nofork_resize(m, was, !reserved);
	}
	m->length = length;
	return 0;
}

/* What is cut off a map with a reservation becomes part of the reservation. */
static int shrink_reserved(struct ptf_map *m, size_t span, const char *op)
{
	char *tail = m->base + span;
	size_t bytes = m->base_bytes - span;
	int ret;

	if (!m->anon) {
		if (mmap(tail, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS |
			 MAP_NORESERVE | MAP_FIXED, -1, 0) == MAP_FAILED)
			return map_fail(op, errno, m, tail, bytes, 0);
	} else {
		bool mixed = m->mixed;

		/* The same mapping again when it grows, and zero again. */
		ret = protect_pages(m, tail, bytes, PROT_NONE, op);
		if (ret)
			return ret;
		m->mixed = mixed;
		unlock_range(tail, bytes);
		madvise(tail, bytes, shared_anon(m) ? PTF_MADV_REMOVE :
			PTF_MADV_DONTNEED);
	}
	m->base_bytes = span;
	return 0;
}

static int shrink(struct ptf_map *m, size_t span, const char *op)
{
	if (m->reserving)
		return shrink_reserved(m, span, op);
	if (munmap(m->base + span, m->base_bytes - span))
		return map_fail(op, errno, m, m->base + span,
				m->base_bytes - span, 0);
	m->base_bytes = span;
	m->reserve_bytes = span;
	return 0;
}

/*
 * mremap() of @from bytes at base to @to bytes at @addr. Without @replace the
 * place is taken first, so that nothing of others can be there.
 */
static int move_fixed(struct ptf_map *m, size_t from, size_t to, char *addr,
		      bool replace, int extra, const char *op)
{
	struct ptf_vma_entry e;
	void *p;
	int err;

	if (!replace &&
	    mmap_noreplace(addr, to, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS |
			   MAP_NORESERVE, -1, 0) == MAP_FAILED)
		return map_fail(op, errno, m, addr, to, 0);
	p = mremap(m->base, from, to, MREMAP_MAYMOVE | MREMAP_FIXED | extra, addr);
	if (p != MAP_FAILED)
		return 0;
	err = mremap_errno(to);
	/* 6.1 may have unmapped our place already; if not, we do. */
	if (!replace && !ptf_vma_at(0, (uintptr_t)addr, 0, &e, NULL, 0) &&
	    e.prot == PROT_NONE && !e.inode)
		munmap(addr, to);
	return map_fail(op, err, m, addr, to, 0);
}

static int remap_fixed(struct ptf_map *m, size_t span, char *addr, bool replace,
		       const char *op)
{
	size_t keep = span < m->base_bytes ? span : m->base_bytes;
	char *old = m->base;
	int ret;

	if (!addr || (uintptr_t)addr & (m->page - 1))
		return fail_arg(op, EINVAL, "fixed address NULL or unaligned");
	if (span > m->base_bytes && fixed_size(m))
		return fail_fixed_size(m, span, op);
	if ((uintptr_t)addr < (uintptr_t)old + m->reserve_bytes &&
	    (uintptr_t)old < (uintptr_t)addr + span) {
		/* Only our own reservation may be in the way, and not for long. */
		return ptf_fail(replace ? EINVAL : EEXIST, PTF_LAYER_VMA, op,
				addr, span, 0, "overlaps the map itself");
	}
	/*
	 * A shorter map: move the head, then unmap what is left. Given the
	 * shorter length, mremap() would unmap first and fail after.
	 */
	ret = move_fixed(m, keep, span, addr, replace, 0, op);
	if (ret)
		return ret;
	if (m->reserve_bytes > keep)
		munmap(old + keep, m->reserve_bytes - keep);
	m->base = addr;
	m->base_bytes = span;
	reserve_forget(m);
	return 0;
}

int ptf_map_remap(struct ptf_map *m, size_t length, unsigned int flags,
		  void *addr)
{
	size_t span, was = m->base_bytes, held = m->reserve_bytes;
	bool fixed = flags & PTF_REMAP_F_FIXED;
	void *p;
	int ret;

	if ((flags & ~(PTF_REMAP_F_MAY_MOVE | PTF_REMAP_F_FIXED | PTF_REMAP_F_REPLACE)) ||
	    ((flags & PTF_REMAP_F_REPLACE) && !(flags & PTF_REMAP_F_FIXED)) ||
	    (addr && !(flags & PTF_REMAP_F_FIXED)))
		return fail_arg(__func__, EINVAL, "flags");
	ret = span_of(m, length, &span, __func__);
	if (!ret)
		ret = device_fits(m, length, __func__);
	if (ret)
		return ret;
	if (fixed) {
		ret = remap_fixed(m, span, addr, flags & PTF_REMAP_F_REPLACE, __func__);
	} else if (span < m->base_bytes) {
		ret = shrink(m, span, __func__);
	} else if (span == m->base_bytes) {
		ret = 0;
	} else if (span <= m->reserve_bytes) {
		ret = grow_reserved(m, span, __func__);
	} else if (flags & PTF_REMAP_F_MAY_MOVE) {
		if (fixed_size(m))
			return fail_fixed_size(m, span, __func__);
		p = mremap(m->base, m->base_bytes, span, MREMAP_MAYMOVE);
		if (p == MAP_FAILED)
			return map_fail(__func__, mremap_errno(span), m, m->base,
					span, 0);
		if (p != m->base && m->reserve_bytes > m->base_bytes)
			munmap(m->base + m->base_bytes, m->reserve_bytes - m->base_bytes);
		m->base = p;
		m->base_bytes = span;
		reserve_forget(m);
	} else if (m->reserving) {
		ret = ptf_fail(ENOMEM, PTF_LAYER_VMA, __func__,
			       m->base + m->reserve_bytes, span,
			       m->reserve_bytes, "more than was reserved");
	} else {
		ret = grow_in_place(m, span, __func__);
	}
	if (ret)
		return ret;
	nofork_resize(m, was, fixed || span > held);
	m->length = length;
	return 0;
}

int ptf_map_move(struct ptf_map *m, unsigned int flags, void *addr,
		 struct ptf_map **left)
{
	struct ptf_map *old;
	void *p;
	int ret;

	if ((flags & ~(PTF_REMAP_F_FIXED | PTF_REMAP_F_REPLACE)) ||
	    ((flags & PTF_REMAP_F_REPLACE) && !(flags & PTF_REMAP_F_FIXED)) ||
	    !addr != !(flags & PTF_REMAP_F_FIXED) ||
	    (uintptr_t)addr & (m->page - 1))
		return fail_arg(__func__, EINVAL, "flags or address");
	old = malloc(sizeof(*old));
	if (!old)
		return ptf_fail(ENOMEM, PTF_LAYER_NONE, __func__, NULL,
				sizeof(*old), 0, NULL);
	if (flags & PTF_REMAP_F_FIXED) {
		ret = move_fixed(m, m->base_bytes, m->base_bytes, addr,
				 flags & PTF_REMAP_F_REPLACE, MREMAP_DONTUNMAP,
				 __func__);
		p = addr;
	} else {
		p = mremap(m->base, m->base_bytes, m->base_bytes,
			   MREMAP_MAYMOVE | MREMAP_DONTUNMAP, NULL);
		ret = p == MAP_FAILED ?
			map_fail(__func__, errno, m, m->base, m->base_bytes, 0) : 0;
	}
	if (ret) {
		free(old);
		return ret;
	}
	reserve_drop(m);
	*old = *m;
	m->base = p;
	old->locked = 0;	/* the kernel takes the lock away there */
	*left = old;
	return 0;
}
