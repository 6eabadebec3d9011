/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Access to memory that may not be there, without a signal: a bad address is
 * -EFAULT and a count. No signal handler is installed in the caller.
 *
 * All of it is thread-safe and works in a fork()ed child.
 */
#ifndef PTEFAULT_ACCESS_H
#define PTEFAULT_ACCESS_H

#include <ptefault/types.h>

PTF_BEGIN_DECLS

/*
 * Ignore the protection of the doubtful side, as a debugger does through
 * /proc/PID/mem: a write to a read-only private page makes a copy of it; a
 * shared mapping that was opened read-only stays -EFAULT. Kernels that keep
 * this for tracers (proc_mem.force_override=ptrace) are asked by a helper
 * process that traces the calling thread meanwhile; if the thread is traced
 * already, or Yama forbids it, protected pages stay -EFAULT there.
 */
#define PTF_COPY_F_FORCE	(1U << 0)

/**
 * @brief Copy from memory that may not be readable.
 * @param dst memory of the caller's own
 * @param src any address
 * @param length bytes
 * @param flags PTF_COPY_F_*
 * @param done bytes copied, also on failure; exact to the byte; may be NULL
 * @return 0; -EFAULT; -EINVAL unknown flag
 */
PTF_API int ptf_copy_in(void *dst, const void *src, size_t length,
			unsigned int flags, size_t *done);

/** @brief Copy to memory that may not be writable. See ptf_copy_in(). */
PTF_API int ptf_copy_out(void *dst, const void *src, size_t length,
			 unsigned int flags, size_t *done);

/** @brief Zero memory that may not be writable. See ptf_copy_in(). */
PTF_API int ptf_zero_out(void *dst, size_t length, unsigned int flags,
			 size_t *done);

/**
 * @brief Load 32 bits at once (never torn).
 * @param addr any address, a multiple of 4
 * @param value what stood there
 * @return 0; -EFAULT; -EINVAL unaligned
 */
PTF_API int ptf_load32(const uint32_t *addr, uint32_t *value);

/**
 * @brief Atomically exchange 32 bits.
 *
 * The instruction runs in a helper process that shares the memory and lives
 * for this call only (tens of microseconds): it takes the signal.
 * @param addr any address, a multiple of 4
 * @param value new value
 * @param old what stood there; may be NULL
 * @return 0; -EFAULT; -EINVAL unaligned; -EAGAIN, -ENOMEM no process could be
 *	made
 */
PTF_API int ptf_swap32(uint32_t *addr, uint32_t value, uint32_t *old);

/**
 * @brief Atomically compare and exchange 32 bits. As ptf_swap32().
 * @param addr any address, a multiple of 4
 * @param expected what must stand there
 * @param value new value
 * @param old what stood there: exchanged if equal to @expected; may be NULL
 * @return 0 also if it was not equal; -EFAULT; -EINVAL; -EAGAIN; -ENOMEM
 */
PTF_API int ptf_cmpxchg32(uint32_t *addr, uint32_t expected, uint32_t value,
			  uint32_t *old);

struct ptf_pin;

/**
 * @brief Pin pages: they keep their frames, as for DMA, until unpinned.
 *
 * Copy-on-write is broken first: what is pinned is the process's own page. The
 * pin is a registered buffer of an io_uring of its own, so the memory must be
 * anonymous, shmem or hugetlb, and writable. It counts against RLIMIT_MEMLOCK
 * for callers without CAP_IPC_LOCK. A fork()ed child holds the pin too until
 * it ends, executes, or unpins; the pages stay the parent's.
 * @param addr any address
 * @param length bytes, not 0
 * @param out the pin
 * @return 0; -EFAULT not mapped or not writable; -EOPNOTSUPP file memory, or
 *	io_uring is missing or forbidden (kernel.io_uring_disabled, seccomp);
 *	-ENOMEM RLIMIT_MEMLOCK; -EINVAL
 */
PTF_API int ptf_pin_create(void *addr, size_t length, struct ptf_pin **out);

/** @brief Unpin. @param pin may be NULL */
PTF_API void ptf_pin_destroy(struct ptf_pin *pin);

PTF_END_DECLS

#endif
