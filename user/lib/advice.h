/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the library's other files want of advice.c. */
#ifndef PTF_LIB_ADVICE_H
#define PTF_LIB_ADVICE_H

#include <stdbool.h>
#include <stddef.h>

bool ptf_advice_is_module(int advice);

/* The class of an advice, 0 if it is unknown; no failure is recorded. */
int ptf_advice_cls(int advice);

/* 0, or -EPERM: the checked call @op does not take this advice. */
int ptf_advice_check(const char *op, const void *addr, size_t length,
		     int advice);

/* ptf_advise() in the name of another call. */
int ptf_advise_op(const char *op, void *addr, size_t length, int advice,
		  bool unchecked);

#endif
