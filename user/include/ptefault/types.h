/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What every other header of libptefault stands on.
 *
 * Conventions of all functions:
 * - An int or ssize_t result is 0 or a count, or a negative errno; the detail
 *   of the failure is then in ptf_failure_last() (error.h).
 * - Addresses are of the calling process unless a target is named; lengths
 *   and offsets are in bytes; `end` is exclusive.
 * - Objects are opaque, made by a create or open call and released by the
 *   destroy or close call, which takes NULL.
 * - Option structs begin with their size. Set it to sizeof() and everything
 *   that you don't use to zero; a NULL pointer means all defaults.
 * - Nothing prints, exits, or installs a signal handler.
 */
#ifndef PTEFAULT_TYPES_H
#define PTEFAULT_TYPES_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <linux/ptefault.h>

#ifdef __cplusplus
#define PTF_BEGIN_DECLS extern "C" {
#define PTF_END_DECLS }
#else
#define PTF_BEGIN_DECLS
#define PTF_END_DECLS
#endif

#if defined(__GNUC__)
#define PTF_API __attribute__((visibility("default")))
#define PTF_PRINTF(fmt, first) __attribute__((format(printf, fmt, first)))
#else
#define PTF_API
#define PTF_PRINTF(fmt, first)
#endif

PTF_BEGIN_DECLS

/**
 * @brief The library's version, for instance "0.1.0".
 * @return a static string
 */
PTF_API const char *ptf_version(void);

PTF_END_DECLS

#endif
