// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The file side of kernel advice. What the module can do to files is a
 * session's: ptf_session_file_advise().
 */
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <linux/fs.h>

#include <ptefault/advise.h>
#include <ptefault/file.h>

#include "internal.h"
#include "advice.h"

#ifndef SYS_cachestat
#define SYS_cachestat 451
#endif

static int fail(const char *op, int err, int fd, uint64_t offset,
		uint64_t length, const char *what)
{
	return ptf_fail(err, PTF_LAYER_FILEMAP, op, NULL, length, 0,
			"%s: fd %d at %ju", what, fd, (uintmax_t)offset);
}

static int fail_overflow(const char *op, uint64_t length)
{
	ptf_fail(EOVERFLOW, PTF_LAYER_ARGUMENT, op, NULL, length, 0,
		 "range does not fit");
	ptf_fail_way("no file has bytes behind INT64_MAX");
	return -EOVERFLOW;
}

/*
 * What fallocate() says of a file that it can't punch, whatever the length:
 * without one it is not even asked where nothing is there to be punched.
 * Return: 0 and the size of the file, or a negative errno
 */
static int punch_size(int fd, uint64_t *size)
{
	struct stat st;
	int flags;

	if (fstat(fd, &st))
		return -errno;
	if (S_ISFIFO(st.st_mode))
		return -ESPIPE;
	if (S_ISDIR(st.st_mode))
		return -EISDIR;
	if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
		return -ENODEV;
	flags = fcntl(fd, F_GETFL);
	if (flags < 0 || flags & O_PATH || (flags & O_ACCMODE) == O_RDONLY)
		return -EBADF;
	*size = (uint64_t)st.st_size;
	if (S_ISBLK(st.st_mode) && ioctl(fd, BLKGETSIZE64, size))
		return -errno;
	return 0;
}

static int file_advise(const char *op, int fd, uint64_t offset,
		       uint64_t length, int advice, bool unchecked)
{
	const char *name = ptf_advice_name(advice);
	uint64_t size;
	int how, err;

	if (offset > INT64_MAX || length > INT64_MAX - offset)
		return fail_overflow(op, length);
	if (ptf_advice_is_module(advice)) {
		ptf_fail(EOPNOTSUPP, PTF_LAYER_MODULE, op, NULL, length, 0,
			 "%s is the module's", name ? name : "this advice");
		ptf_fail_way("open a session and use ptf_session_file_advise()");
		return -EOPNOTSUPP;
	}
	switch (advice) {
	case PTF_MADV_NORMAL:
		how = POSIX_FADV_NORMAL;
		break;
	case PTF_MADV_RANDOM:
		how = POSIX_FADV_RANDOM;
		break;
	case PTF_MADV_SEQUENTIAL:
		how = POSIX_FADV_SEQUENTIAL;
		break;
	case PTF_MADV_WILLNEED:
		how = POSIX_FADV_WILLNEED;
		break;
	case PTF_MADV_DONTNEED:
		how = POSIX_FADV_DONTNEED;
		break;
	case PTF_MADV_REMOVE:
		if (!unchecked)
			return ptf_fail(EPERM, PTF_LAYER_ARGUMENT, op, NULL,
					length, 0, "REMOVE is of class CONTENT");
		err = punch_size(fd, &size);
		if (err)
			return fail(op, -err, fd, offset, length, name);
		if (!length && size <= offset)
			return 0;
		if (!length)
			length = size - offset;
		if (fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			      (off_t)offset, (off_t)length))
			return fail(op, errno, fd, offset, length, name);
		return 0;
	default:
		return ptf_fail(EINVAL, PTF_LAYER_ARGUMENT, op, NULL, length, 0,
				"%s has no meaning for a file", name ? name : "this advice");
	}
	err = posix_fadvise(fd, (off_t)offset, (off_t)length, how);
	return err ? fail(op, err, fd, offset, length, name) : 0;
}

int ptf_file_advise(int fd, uint64_t offset, uint64_t length, int advice)
{
	return file_advise(__func__, fd, offset, length, advice, false);
}

int ptf_file_advise_unchecked(int fd, uint64_t offset, uint64_t length,
			      int advice)
{
	return file_advise(__func__, fd, offset, length, advice, true);
}

/* Linux 6.5 */
struct cachestat_range {
	uint64_t off;
	uint64_t len;
};

struct cachestat_result {
	uint64_t nr_cache;
	uint64_t nr_dirty;
	uint64_t nr_writeback;
	uint64_t nr_evicted;
	uint64_t nr_recently_evicted;
};

#define OVERLAYFS_MAGIC_NR 0x794c7630

/*
 * A file of overlayfs has its cache in the file below: a mapping gets there,
 * cachestat() does not and answers 0.
 */
static bool cache_is_elsewhere(int fd)
{
	struct statfs fs;

	return fstatfs(fd, &fs) || (uint32_t)fs.f_type == OVERLAYFS_MAGIC_NR;
}

/* By a mapping of its own, piece by piece; nothing is faulted in. */
static int cached_mincore(int fd, uint64_t start, uint64_t end, size_t page,
			  uint64_t *pages)
{
	unsigned char vec[4096];
	size_t bytes, i;
	void *p;
	int err;

	for (*pages = 0; start < end; start += bytes) {
		bytes = end - start > page * sizeof(vec) ? page * sizeof(vec) :
			(size_t)(end - start);
		p = mmap(NULL, bytes, PROT_READ, MAP_SHARED, fd, (off_t)start);
		if (p == MAP_FAILED)
			return -errno;
		err = mincore(p, bytes, vec) ? errno : 0;
		munmap(p, bytes);
		if (err)
			return -err;
		for (i = 0; i < bytes / page; i++)
			*pages += vec[i] & 1;
	}
	return 0;
}

int ptf_file_cached(int fd, uint64_t offset, uint64_t length,
		    uint64_t *cached_bytes)
{
	struct cachestat_result result = { 0 };
	struct cachestat_range range;
	size_t page = ptf_page_bytes();
	uint64_t start, end, size;
	struct stat st;
	int ret;

	if (offset > INT64_MAX || length > INT64_MAX - offset)
		return fail_overflow(__func__, length);
	if (fstat(fd, &st))
		return fail(__func__, errno, fd, offset, length, "fstat");
	if (!S_ISREG(st.st_mode))
		return fail(__func__, ENODEV, fd, offset, length, "no regular file");
	/* Nothing behind the end of the file is cached. */
	size = (uint64_t)st.st_size;
	end = length ? offset + length : size;
	if (end > size)
		end = size;
	*cached_bytes = 0;
	start = offset & ~(uint64_t)(page - 1);
	if (start >= end)
		return 0;
	end = (end + page - 1) & ~(uint64_t)(page - 1);
	range.off = start;
	range.len = end - start;
	errno = ENOSYS;
	if (!cache_is_elsewhere(fd) && !syscall(SYS_cachestat, fd, &range, &result, 0)) {
		*cached_bytes = result.nr_cache * page;
		return 0;
	}
	if (errno == EPERM || errno == EBADF)
		return fail(__func__, errno, fd, offset, length, "cachestat");
	ret = cached_mincore(fd, start, end, page, &result.nr_cache);
	if (ret)
		return fail(__func__, -ret, fd, offset, length, "mincore");
	*cached_bytes = result.nr_cache * page;
	return 0;
}
