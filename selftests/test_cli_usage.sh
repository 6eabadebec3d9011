#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# vm: --no-module
#
# The command without the module: usage, options, exit codes, what it says.

set -u
export LC_ALL=C

ptefault=$(dirname "$(readlink -f "$0")")/../user/ptefault
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
# shellcheck source-path=SCRIPTDIR source=ktap.sh
. "$(dirname "$(readlink -f "$0")")/ktap.sh"

try
is "no verb" 2 '^ptefault: which verb\?' 2
try frobnicate
is "unknown verb" 2 "^ptefault: no verb 'frobnicate'" 2
try --version
is "version" 0 '^ptefault [0-9]+\.[0-9]+\.[0-9]+$' 1
try --json --version
is "version as JSON" 0 '^\{"version":1,"ptefault":"[0-9.]+"\}$' 1
try --help
is "help lists verbs" 0 '^  advise ' 1
for verb in show walk advise fault file stat; do
	try "$verb" --help
	is "help of $verb" 0 "^usage: ptefault \[--json\] $verb" 1
	try help "$verb"
	is "help $verb" 0 "^usage: ptefault \[--json\] $verb" 1
done
try show '[heap]'
is "no process" 2 '^ptefault: show: which process' 2
for bad in x 0 -1 1.5 99999999999 ''; do
	try show -p "$bad" '[heap]'
	is "process '$bad'" 2 '^ptefault: show: ' 2
done
try show -p
is "option without its argument" 2 'needs an argument' 2
try show -p 1 --frob
is "unknown option" 2 'no option --frob' 2
try stat -p 1
is "option of another verb" 2 'is no option of stat' 2
try stat one
is "too many arguments" 2 'takes no arguments' 2
try stat -- true
is "command where none is taken" 2 'takes no -- CMD' 2
try advise -p 1 '[heap]' notpresent --
is "empty command" 2 'no command behind --' 2
try advise -p 1 '[heap]'
is "no advice" 2 'which advice' 2
try advise -p 1 '[heap]' frobnicate
is "unknown advice" 2 "no advice 'frobnicate'" 2
for advice in dontneed MADV_FREE Poison ptf_adv_unmap_file_cow hwpoison; do
	try advise -p 1 '[heap]' "$advice"
	is "$advice needs --unchecked" 1 '--unchecked' 2
done
try advise --file /etc/passwd -p 1 evict
is "advice on a file, and a process" 2 'not both' 2
try walk -p 1 12z
is "walk to no address" 2 'is no address' 2
try file
is "file without a path" 2 'which file' 2
try file /etc/passwd 1-2-3
is "no range of a file" 2 'is no range' 2
try fault -p 1 --write --exec '[heap]'
is "write and exec" 2 'not both' 2
try --json advise -p 1 '[heap]' dontneed
is "a failure is JSON too" 1 '^\{"version":1,"error":\{.*"way_out":' 1
try advise --json
is "so is a usage error" 2 '^\{"version":1,"error":\{"kind":"usage"' 1

if [ -e /dev/ptefault ]; then
	n=$((n + 1))
	echo "ok $n without the module # SKIP the module is loaded"
else
	for args in stat "show -p $$ [heap]" "-p $$ walk 0x1000" "file /etc/passwd" \
		"advise -p $$ [heap] NOTPRESENT"; do
		# shellcheck disable=SC2086 # words
		try $args
		is "no module: ${args%% -p*}" 1 '/dev/ptefault: .*not loaded.*modprobe ptefault' 2
	done
fi

finish
