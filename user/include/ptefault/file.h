/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The file side of advice: ranges of a file, whoever maps it.
 */
#ifndef PTEFAULT_FILE_H
#define PTEFAULT_FILE_H

#include <ptefault/types.h>

PTF_BEGIN_DECLS

/**
 * @brief Advise on a range of a file.
 *
 * NORMAL, RANDOM, SEQUENTIAL, WILLNEED: as posix_fadvise(2). DONTNEED: drops
 * clean cached pages that nobody maps; the content stays in the file, so it is
 * not refused here.
 * @param fd a file
 * @param offset first byte
 * @param length bytes, 0: to the end
 * @param advice MADV_* as named above; PTF_ADV_* values need a session
 * @return 0; -EPERM REMOVE (class CONTENT); -EINVAL other values; -EBADF;
 *	-ESPIPE a pipe; -EOVERFLOW offset or end does not fit a file; -EOPNOTSUPP
 *	a PTF_ADV_* value
 */
PTF_API int ptf_file_advise(int fd, uint64_t offset, uint64_t length,
			    int advice);

/**
 * @brief ptf_file_advise() that also takes REMOVE: punches a hole (the file
 *	keeps its size and reads zero there), for all that read or map it.
 * @return as ptf_file_advise(). REMOVE, whatever the length: -EBADF not open for
 *	writing; -ESPIPE a pipe; -EISDIR a directory; -ENODEV no regular file and
 *	no block device; -EOPNOTSUPP the file system can't; -EPERM a sealed memfd
 */
PTF_API int ptf_file_advise_unchecked(int fd, uint64_t offset, uint64_t length,
				      int advice);

/**
 * @brief How many bytes of a range are in the page cache.
 * @param fd a file, open for reading
 * @param offset first byte; rounded down to a page
 * @param length bytes, 0: to the end of the file
 * @param cached_bytes the answer, in whole pages
 * @return 0; -EOVERFLOW offset or end does not fit a file; -EBADF; -ENODEV no
 *	file with a page cache; -EPERM the kernel hides it from who could not
 *	write the file; -EACCES not open for reading (before Linux 6.5 and on
 *	overlayfs; else it is not needed)
 */
PTF_API int ptf_file_cached(int fd, uint64_t offset, uint64_t length,
			    uint64_t *cached_bytes);

PTF_END_DECLS

#endif
