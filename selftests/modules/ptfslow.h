/* SPDX-License-Identifier: GPL-2.0-only */
/* /dev/ptfslow: makes races wait, for the selftests; see ptfslow.c. */
#ifndef PTFSLOW_H
#define PTFSLOW_H

#include <linux/ioctl.h>
#include <linux/types.h>

#define PTFSLOW_DEV		"/dev/ptfslow"

/*
 * From now on, until the fd closes, whoever works on entries of the caller's
 * address space waits for the argument's milliseconds between telling so and
 * doing it. To come behind another notifier it has to be there first.
 */
#define PTFSLOW_NOTIFIER	_IO('S', 1)
/* How many wait now. */
#define PTFSLOW_WAITING		_IO('S', 2)
/*
 * With interrupts off, so that no flush can end, wait until the entry of the
 * argument's address is not present; then say what holds at this moment.
 */
#define PTFSLOW_WATCH		_IO('S', 3)
#define PTFSLOW_SEEN		(1 << 0)	/* it became not present */
#define PTFSLOW_PENDING		(1 << 1)	/* a flush was announced */
#define PTFSLOW_LOCKED		(1 << 2)	/* mmap_lock was held */

#endif
