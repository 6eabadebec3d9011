/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the runner (vm-host.c) and the guest's init (vm-guest.c) say to each
 * other over one virtio serial port.
 *
 * Every message is a header and @len bytes. Both ends run on one machine, so
 * numbers are in its byte order. Streams are kept apart, and none can block
 * another or a signal, because a sender keeps at most VMW_WINDOW bytes of a
 * stream under way until the other end says that they have gone on.
 */
#ifndef VM_WIRE_H
#define VM_WIRE_H

#include <stdint.h>

#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))
#define __noreturn	__attribute__((__noreturn__))
#define __printf(a, b)	__attribute__((__format__(__printf__, a, b)))

#define VMW_PORT	"ptefault"	/* the port's name in the guest */
#define VMW_MAX		65536		/* longest payload of a stream message */
#define VMW_WINDOW	(256 * 1024)

struct vmw_header {
	uint32_t type;
	uint32_t len;
};

enum vmw_type {
	/* guest to host */
	VMW_HELLO = 1,		/* text: the guest's kernel release */
	VMW_READY,		/* COMMAND runs from now on */
	VMW_OUT,		/* bytes of its standard output */
	VMW_ERR,		/* bytes of its standard error */
	VMW_IN_DONE,		/* uint32_t: bytes of standard input taken */
	VMW_PONG,
	VMW_EXIT,		/* int32_t: COMMAND's status as a shell has it */
	VMW_DONE,		/* all is written and flushed; pull the plug */
	VMW_SAY,		/* text for the person, from the runner itself */
	VMW_FAIL,		/* text: the guest could not be set up */

	/* host to guest */
	VMW_START = 64,		/* strings "key=value", each with its NUL */
	VMW_IN,			/* bytes of standard input */
	VMW_IN_EOF,
	VMW_OUT_DONE,		/* uint32_t: bytes of standard output taken */
	VMW_ERR_DONE,		/* the same of standard error */
	VMW_OUT_CLOSED,		/* nobody reads standard output any more */
	VMW_ERR_CLOSED,		/* the same of standard error */
	VMW_SIGNAL,		/* int32_t: for COMMAND's process group */
	VMW_WINSIZE,		/* uint16_t rows, columns */
	VMW_PING,
};

#endif
