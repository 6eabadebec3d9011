/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A program that is started, stopped at a chosen point, and let go.
 */
#ifndef PTEFAULT_LAUNCH_H
#define PTEFAULT_LAUNCH_H

#include <sys/resource.h>

#include "tool.h"

#define LAUNCH_F_FIXED	(1U << 0)	/* without address randomisation */
#define LAUNCH_F_QUIET	(1U << 1)	/* its stdout goes to stderr */

struct launch {
	pid_t pid;
	char **cmd;
	bool ended;		/* reaped: status and usage are final */
	bool stopped;		/* all its threads stand under ptrace */
	int status;
	/* Faults of all children that were reaped, theirs included. */
	uint64_t minor;
	uint64_t major;
};

/*
 * Starts @cmd and stops it before its first instruction. DONE, or the exit code
 * that a shell would have for a command that can't be started.
 */
int launch_start(struct tool *t, char **cmd, unsigned int flags,
		 struct launch *l);
/*
 * Lets it run to @at: "exec" (there it stands already), "main", or a symbol of
 * the program or of a library that it is linked with. DONE: it stands there, or
 * it has ended on the way (l->ended). FAILED: no such symbol; it is killed.
 */
int launch_until(struct tool *t, struct launch *l, const char *at);
/* Lets it go its way. */
int launch_go(struct tool *t, struct launch *l);
/* Takes note of all children that have ended, without waiting. */
void launch_reap(struct launch *l);
/* Kills it if it still runs. */
void launch_kill(struct launch *l);
/* What a shell would answer for it. */
int launch_exit_code(const struct launch *l);

/* elf.c */

enum elf_where { ELF_ANYWHERE, ELF_PROGRAM, ELF_LIBRARIES };

/*
 * Addresses of a function in a process, at most @max (a symbol may have several
 * versions). @wide says whether the file is 64-bit.
 */
size_t elf_find(pid_t pid, const char *name, enum elf_where where,
		uint64_t *out, size_t max, bool *wide);
/* Where the program itself begins, behind the dynamic linker. */
bool elf_entry(pid_t pid, uint64_t *out);

#endif
