# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# What tests in shell share: results in KTAP, and the command's answers. Sourced,
# never run. $out is a folder of the test's own.

n=0 failed=0 rc=0

echo "KTAP version 1"

# ok NAME STATUS [DETAIL...] - why comes before the result, where readers look.
ok() {
	n=$((n + 1))
	if [ "$2" = 0 ]; then
		echo "ok $n $1"
		return
	fi
	failed=$((failed + 1))
	{
		[ $# = 2 ] || printf '%s\n' "${@:3}"
		[ ! -e "${out:?}/2" ] || printf 'exit %s\nstdout: %s\nstderr: %s\n' "$rc" \
			"$(head -c 600 "$out/1")" "$(head -c 600 "$out/2")"
	} | sed 's/^/# /'
	echo "not ok $n $1"
}

skip() {
	n=$((n + 1))
	echo "ok $n $1 # SKIP $2"
}

# skip_all REASON - nothing of the test can run here.
skip_all() {
	echo "1..0 # SKIP $1"
	exit 0
}

# try ARGS... - run the command, which reads nothing; sets rc.
try() {
	rc=0
	"${ptefault:?}" "$@" >"$out/1" 2>"$out/2" </dev/null || rc=$?
}

# is NAME RC PATTERN FILE - exit code, and a line of stdout (1) or stderr (2).
is() {
	if [ "$rc" = "$2" ] && grep -qE -- "$3" "$out/$4"; then
		ok "$1" 0
	else
		ok "$1" 1 "wanted: exit $2 and $3"
	fi
}

# check NAME CONDITION... - as test(1)
check() {
	local name=$1
	shift
	if [ "$@" ]; then
		ok "$name" 0
	else
		ok "$name" 1 "not true: $*"
	fi
}

# The end: the plan, and the exit status.
finish() {
	echo "1..$n"
	exit $((failed > 0))
}
