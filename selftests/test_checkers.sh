#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Would the debug kernel notice? Each of its checkers is given something to find,
# and has to say it, the test in which it happened has to fail, and the runner has
# to end with 99 and show it. One VM; see the fixture "checkers" in complains.c.
#
# vm: host
# kernel: debug
# timeout: 200

set -uo pipefail
top=${PTF_TOP:-$(dirname "$(readlink -f "$0")")/../..}
bin=${PTF_BIN:-$top/build/selftests}
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
n=0

result() {
	n=$((n + 1))
	if [ "$1" = 0 ]; then
		printf 'ok %d checkers.%s\n' "$n" "$2"
	else
		[ ! -e "$dir/said" ] || sed 's/^/# /' "$dir/said" | tail -n 30
		printf 'not ok %d checkers.%s\n' "$n" "$2"
	fi
}

# TEST of complains.c, and what the kernel says then
found=(
	'rcu_usage	suspicious RCU usage'
	'lock_order	possible circular locking dependency'
	'sleep_in_atomic	sleeping function called from invalid context'
	'schedule_in_atomic	scheduling while atomic'
	'ubsan_index	UBSAN: array-index-out-of-bounds'
	'ubsan_shift	UBSAN: shift-out-of-bounds'
	'refcount	refcount_t: addition on 0'
	'object_in_use	ODEBUG: free active'
	'bad_page	Bad page state'
	'mm_counters	non-zero pgtables_bytes'
	'hung_task	INFO: task .* blocked for more than'
	'rcu_stall	rcu.*detected.* stall'
	'list	list_del corruption'
	'debug_vm	VM_BUG_ON_PAGE'
	'page_table_check	kernel BUG at mm/page_table_check.c'
	'usercopy	usercopy: Kernel memory exposure attempt'
	'kasan_vmalloc	KASAN: vmalloc-out-of-bounds'
	'kasan_slab	KASAN: slab-use-after-free'
)

printf 'TAP version 13\n1..%d\n' $((${#found[@]} + 4))

mkdir "$dir/src"
echo 'obj-m := vm-trouble.o' >"$dir/src/Kbuild"
cp "$top/scripts/vm-trouble.c" "$dir/src/"
"$top/scripts/build-module" --kernel "${PTF_KERNEL:-debug}" "$dir/src" "$dir/built" \
	>"$dir/said" 2>&1 || {
	sed 's/^/# /' "$dir/said"
	echo 'Bail out! the module that makes the trouble does not build'
	exit 1
}

# Not only its first report, as KASAN does by itself.
# shellcheck disable=SC2016
"$top/scripts/vm" --kernel "${PTF_KERNEL:-debug}" --kmemleak --append kasan_multi_shot \
	--module "$PTF_MODULE" --module "$PTF_TEST_MODULE" --log "$dir/console" -- \
	env PTF_TROUBLE="$dir/built/vm-trouble.ko" PTF_SLOW="${PTF_SLOW:-10}" \
	sh -c '"$0" -f checkers 2>&1; true' "$bin/complains" >"$dir/out" 2>"$dir/err" </dev/null
status=$?

for line in "${found[@]}"; do
	name=${line%%$'\t'*}
	says=${line#*$'\t'}
	# What was printed between this test's first line and its result.
	awk -v name="checkers.$name" '
		$1 == "#" && $2 == "RUN" { on = $3 == name }
		on { print }
		$NF == name && /^(not )?ok/ { on = 0 }' "$dir/out" >"$dir/said"
	grep -q "kernel complained: .*$says" "$dir/said" &&
		grep -q "^not ok [0-9]* checkers.$name\$" "$dir/said"
	result $? "$name"
done

cp "$dir/out" "$dir/said"
grep -q '^ok [0-9]* checkers.fail_nth$' "$dir/out"
result $? fail_nth
tail -n 30 "$dir/console" >"$dir/said"
grep -q 'kmemleak: unreferenced object' "$dir/console" && grep -q 'kmemleak: .*trouble_leak' "$dir/console"
result $? kmemleak
echo "the VM ended with $status" >"$dir/said"
[ "$status" = 99 ]
result $? the_vm_fails
# It stops showing after some lines.
cp "$dir/err" "$dir/said"
grep -q "${found[0]#*$'\t'}" "$dir/err"
result $? the_vm_shows_it
