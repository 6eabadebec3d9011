/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * /dev/ptftest: what the selftests need from a kernel and no stock device
 * gives. For tests alone; see ptftest.c.
 */
#ifndef PTFTEST_H
#define PTFTEST_H

#include <linux/ioctl.h>
#include <linux/types.h>

#define PTFTEST_DEV	"/dev/ptftest"

/*
 * mmap() offsets choose the mapping: all are 16 pages of the module's own
 * memory, page n filled with the byte 0x40 + n.
 */
#define PTFTEST_PAGES		16
#define PTFTEST_MAP_FAULT	0x000000	/* VM_PFNMAP, but the first by a fault handler */
#define PTFTEST_MAP_REMAP	0x100000	/* VM_PFNMAP | VM_IO, all at mmap() */
#define PTFTEST_MAP_MIXED	0x200000	/* VM_MIXEDMAP, but the first by a fault handler */
#define PTFTEST_MAP_PAGES	0x300000	/* VM_MIXEDMAP, all at mmap() */

struct ptftest_range {
	__aligned_u64 start;
	__aligned_u64 nr_pages;
};

/* Pin pages for DMA until the fd closes or UNPIN; one pin for each fd. */
#define PTFTEST_PIN		_IOW('T', 1, struct ptftest_range)
#define PTFTEST_UNPIN		_IO('T', 2)
/* Make the kernel complain: argument 0 WARN, 1 lockdep-like text, 2 taint. */
#define PTFTEST_WARN		_IO('T', 3)
/* How often the fault handler ran. */
#define PTFTEST_FAULTS		_IOR('T', 4, __u64)
/* Keep interrupts off on this CPU for the argument's milliseconds. */
#define PTFTEST_IRQS_OFF	_IO('T', 5)

#endif
