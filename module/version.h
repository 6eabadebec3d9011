/* SPDX-License-Identifier: GPL-2.0-only */
/* The one place that knows the version; the Makefile reads it from here. */
#ifndef PTEFAULT_VERSION_H
#define PTEFAULT_VERSION_H

#define PTEFAULT_VERSION "0.1.0"

#endif
