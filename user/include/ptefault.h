/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libptefault: induced page faults, memory advice, mappings.
 *
 * This header includes all the others; each of them also stands alone.
 */
#ifndef PTEFAULT_H
#define PTEFAULT_H

#include <ptefault/types.h>
#include <ptefault/error.h>
#include <ptefault/mapper.h>
#include <ptefault/file.h>
#include <ptefault/access.h>
#include <ptefault/usage.h>
#include <ptefault/vma.h>
#include <ptefault/advise.h>
#include <ptefault/map.h>
#include <ptefault/session.h>
#include <ptefault/target.h>
#include <ptefault/query.h>
#include <ptefault/range.h>
#include <ptefault/row.h>
#include <ptefault/rule.h>
#include <ptefault/event.h>
#include <ptefault/track.h>

#endif
