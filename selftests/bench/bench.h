/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Measuring: what one operation costs, in guest instructions. That is what the
 * guest's clock counts under "scripts/vm --icount": one nanosecond, one
 * instruction. Elsewhere the figures are nanoseconds, and noisy.
 */
#ifndef PTF_BENCH_H
#define PTF_BENCH_H

#include <stdbool.h>
#include <stddef.h>

#define BENCH_PAGE	4096UL

/* Do it @n times. */
typedef void (*bench_fn)(int n);

/**
 * bench_best() - cost of one operation, the best of several rounds
 * @rounds: how often to measure; the timer's tick spoils some
 * @n: operations a round
 * @before: done before each round and not measured, or NULL
 * @body: what is measured; told @n
 */
double bench_best(int rounds, int n, bench_fn before, bench_fn body);

/* One line of the result; __printf: more about it, NULL for nothing. */
void bench_result(const char *name, double value);
void bench_note(const char *name, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* This can't be measured here, and why. Ends the group. */
void bench_skip(const char *fmt, ...) __attribute__((format(printf, 1, 2), noreturn));

/* Small pages of @flags, each written; @fd or -1. */
char *bench_memory(size_t pages, int prot, int flags, int fd);
int bench_memfd(size_t pages);
int bench_open_module(void);

/* One read of *p that a handler can step over: the instruction has two bytes. */
static inline char bench_touch(volatile char *p)
{
	register char c asm("al");

	asm volatile("movb (%1), %%al" : "=r"(c) : "D"(p) : "memory");
	return c;
}

#define BENCH_TOUCH_BYTES	2

/* The groups: each runs in a process of its own. */
void ours_one(void);
void ours_hook(void);
void ours_bulk(void);
void ours_query(void);
void ours_rules(void);
void today_one(void);
void today_bulk(void);
void today_report(void);
void today_uffd_wp(void);
void today_uffd_minor(void);
void today_uffd_missing(void);
void today_uffd_rwp(void);
void today_uffd_rwp_async(void);
void today_uffd_sigbus(void);
void today_uffd_poison(void);
void today_mprotect(void);
void today_guard(void);
void today_fetch(void);
void today_ptrace(void);

#endif /* PTF_BENCH_H */
