#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# The VM runner's own proof: streams, statuses, complaints, guests that hang,
# panic or fill their disk, two at once. Runs VMs, so not in one.
#
# vm: host
# timeout: 1200

exec "${PTF_TOP:-$(dirname "$(readlink -f "$0")")/../..}/scripts/vm-selftest"
