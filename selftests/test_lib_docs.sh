#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# vm: host
#
# What is written against what is there: headers, symbol versions, manual pages,
# the table of what tests what, and what make install leaves.

top=${PTF_TOP:-$(dirname "$(readlink -f "$0")")/../..}
exec "$top/scripts/check-docs"
