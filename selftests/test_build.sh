#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Does the module build, without a warning, where it does not run in this suite?
# Against Debian's headers of all kernels, the cloud flavours too, with the
# kernel's own compiler; and with clang as far as the headers allow. What the
# other kernels of a matrix build anyway is not built here again.
#
# vm: host
# timeout: 900

set -uo pipefail
top=${PTF_TOP:-$(dirname "$(readlink -f "$0")")/../..}
scripts=$top/scripts
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
n=0

builds="6.1-cloud:gcc 6.12-cloud:gcc 7.3-cloud:gcc 6.1:clang 6.12:clang 7.3:clang"
# shellcheck disable=SC2086
set -- $builds
printf 'TAP version 13\n1..%d\n' $#

for build; do
	kernel=${build%:*}
	cc=${build#*:}
	n=$((n + 1))
	name=build.${cc}_${kernel//[.-]/_}
	if ! "$scripts/build-module" ${cc:+--cc "$cc"} --prepare "$kernel" >"$dir/log" 2>&1; then
		sed 's/^/# /' "$dir/log" | tail -n 5
		printf 'ok %d %s # SKIP no headers or no compiler for it here\n' $n "$name"
		continue
	fi
	if "$scripts/build-module" --kernel "$kernel" --cc "$cc" "$top" "$dir/out" >"$dir/log" 2>&1 &&
		[ -f "$dir/out/ptefault.ko" ] && ! grep -q 'module/.*warning:' "$dir/log" &&
		modinfo -F vermagic "$dir/out/ptefault.ko" | grep -q "^${kernel%-cloud}[.]"; then
		printf 'ok %d %s\n' $n "$name"
	else
		sed 's/^/# /' "$dir/log" | tail -n 30
		printf 'not ok %d %s\n' $n "$name"
	fi
	rm -rf "$dir/out"
done
