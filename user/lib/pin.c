// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Pinned memory. The kernel's way to a long-term pin from user space is to
 * register the memory as buffers of an io_uring; the ring is never used for
 * anything else. Registering faults the pages in for writing, so copy-on-write
 * is broken before the pin is taken.
 */
#include <linux/io_uring.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <ptefault/access.h>

#include "internal.h"

#ifndef SYS_io_uring_setup
#define SYS_io_uring_setup 425
#endif
#ifndef SYS_io_uring_register
#define SYS_io_uring_register 427
#endif

#define PIECE ((size_t)1 << 30)	/* the kernel's limit for one buffer */
#define PIECES 1024		/* and, on older kernels, for their number */

static const char way_memlock[] = "raise RLIMIT_MEMLOCK, or run with CAP_IPC_LOCK";

struct ptf_pin {
	int fd;
	pid_t pid;		/* a forked child only lets go of its share */
};

int ptf_pin_create(void *addr, size_t length, struct ptf_pin **out)
{
	struct io_uring_params params = { 0 };
	struct iovec *iov = NULL;
	struct ptf_pin *pin = NULL;
	size_t nr, i, at;
	int ret, fd;

	*out = NULL;
	if (!length || length > PTRDIFF_MAX || length > PIECE * PIECES ||
	    /* up to the end of its last page, or the kernel's sum wraps */
	    (uintptr_t)addr > UINTPTR_MAX - length - (ptf_page_bytes() - 1))
		return ptf_fail(EINVAL, PTF_LAYER_ARGUMENT, __func__, addr,
				length, 0, "no bytes, more than 1 TiB, or beyond the last page");
	nr = (length + PIECE - 1) / PIECE;
	iov = calloc(nr, sizeof(*iov));
	pin = malloc(sizeof(*pin));
	if (!iov || !pin) {
		ret = ptf_fail(ENOMEM, PTF_LAYER_NONE, __func__, addr, length,
			       0, NULL);
		goto free_all;
	}
	for (i = 0, at = 0; i < nr; i++, at += PIECE) {
		iov[i].iov_base = (char *)addr + at;
		iov[i].iov_len = ptf_min_size(PIECE, length - at);
	}
	fd = (int)syscall(SYS_io_uring_setup, 1, &params);
	if (fd < 0) {
		ret = errno == ENOMEM ? -ENOMEM : -EOPNOTSUPP;
		ptf_fail(-ret, PTF_LAYER_PROCESS, __func__, addr, length, 0,
			 "io_uring: %s", strerrorname_np(errno) ? : "?");
		ptf_fail_way("%s", ret == -ENOMEM ? way_memlock :
			     "allow io_uring (sysctl kernel.io_uring_disabled=0, no seccomp filter against it)");
		goto free_all;
	}
	if (syscall(SYS_io_uring_register, fd, IORING_REGISTER_BUFFERS, iov,
		    (unsigned int)nr) < 0) {
		ret = -errno;
		ptf_fail(-ret, PTF_LAYER_PTE, __func__, addr, length, 0, NULL);
		if (ret == -ENOMEM)
			ptf_fail_way("%s", way_memlock);
		else if (ret == -EOPNOTSUPP)
			ptf_fail_way("pages of a file can't be pinned: pin anonymous memory or a memfd");
		else if (ret == -EFAULT)
			ptf_fail_way("all of the range must be mapped and writable");
		close(fd);
		goto free_all;
	}
	pin->fd = fd;
	pin->pid = getpid();
	free(iov);
	*out = pin;
	return 0;

free_all:
	free(iov);
	free(pin);
	return ret;
}

void ptf_pin_destroy(struct ptf_pin *pin)
{
	if (!pin)
		return;
	/* Unregister first: closing alone gives the pages back later. */
	if (pin->pid == getpid())
		syscall(SYS_io_uring_register, pin->fd, IORING_UNREGISTER_BUFFERS,
			NULL, 0);
	close(pin->fd);
	free(pin);
}
