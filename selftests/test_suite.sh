#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Would the suite notice? A kernel that complains fails the test in which it
# does and the run around it, and a file that crashes, ends early, skips all or
# prints nothing is a failure. Runs VMs, so not in one.
#
# vm: host
# timeout: 600

set -uo pipefail
top=${PTF_TOP:-$(dirname "$(readlink -f "$0")")/../..}
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
n=0

# check NAME FILE PATTERN: passes if a line of FILE matches.
check() {
	n=$((n + 1))
	if grep -q -- "$3" "$dir/$2"; then
		printf 'ok %d suite.%s\n' "$n" "$1"
	else
		sed 's/^/# /' "$dir/$2" | tail -n 30
		printf 'not ok %d suite.%s\n' "$n" "$1"
	fi
}

printf 'TAP version 13\n1..20\n'

# In the guest: every complaint fails the test that it belongs to, no other.
"$top/scripts/vm" --kernel "${PTF_KERNEL:-6.1}" --module "$PTF_MODULE" \
	--module "$PTF_TEST_MODULE" -- "$top/build/selftests/complains" \
	>"$dir/out" 2>"$dir/err" </dev/null
cat "$dir/err" >>"$dir/out"
check quiet_passes out "^ok 1 suite.quiet"
check warning_fails out "^not ok 2 suite.warns"
check warning_is_shown out "kernel complained: .*WARNING: "
check lockdep_fails out "^not ok 3 suite.locks"
# A WARN tainted the kernel before: the bit can't change a second time.
check taint_alone_is_quiet out "^ok 4 suite.taints"
check crash_fails out "^not ok 5 suite.crashes"
check skip_is_told out "^ok 6 suite.skips # SKIP because it says so"

"$top/scripts/vm" --kernel "${PTF_KERNEL:-6.1}" --module "$PTF_MODULE" \
	--module "$PTF_TEST_MODULE" -- sh -c \
	"'$top/build/selftests/complains' -t taints; '$top/build/selftests/complains' -t warns; true" \
	>"$dir/out" 2>"$dir/err" </dev/null
echo "status $?" >>"$dir/out"
cat "$dir/err" >>"$dir/out"
check taint_fails out "^not ok 1 suite.taints"
check the_vm_fails_too out "^status 99$"
check the_vm_shows_it err "WARNING: .*ptftest"

# The reader of results, on files made up for it.
try() {
	"$top/scripts/run-selftests" --parse "$1" "$2" >"$dir/parsed" 2>&1
}

printf '1..2\nok 1 a\nok 2 b\n' >"$dir/good"
try "$dir/good" 0
check counts parsed " 2 passed *0 failed *0 skipped"
printf '1..2\nok 1 a\n' >"$dir/early"
try "$dir/early" 139
check ended_early parsed "2 tests planned, 1 seen"
: >"$dir/nothing"
try "$dir/nothing" 0
check printed_nothing parsed "no results"
printf '1..2\nok 1 a # SKIP no x\nok 2 b # SKIP no y\n' >"$dir/skipped"
try "$dir/skipped" 0
check all_skipped parsed "nothing ran: all 2 skipped, last: no y"
check all_skipped_fails parsed " 0 passed *1 failed *2 skipped"
printf '1..1\nok 1 a\n' >"$dir/status1"
try "$dir/status1" 1
check status_counts parsed "exit status 1 though no test failed"
printf '1..1\n# here is why\nnot ok 1 a\n' >"$dir/bad"
try "$dir/bad" 1
check failure_has_its_lines parsed "here is why"
printf '1..1\nok 1 a\n' >"$dir/late"
try "$dir/late" 124
check timeout_counts parsed "timed out"
printf '1..0 # SKIP no such thing\n' >"$dir/zero"
try "$dir/zero" 4
check no_tests parsed "nothing ran"
printf '1..2\nok 1 - a\nnot ok 2 - b # SKIP odd\n' >"$dir/odd"
try "$dir/odd" 1
check not_ok_is_a_failure parsed " 1 passed *1 failed *0 skipped"
