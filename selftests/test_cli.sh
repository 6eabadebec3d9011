#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# The command at work on a live process: ranges, rows, advice, exit codes, and
# the one JSON value.
#
# timeout: 600

set -u
export LC_ALL=C

ptefault=$(dirname "$(readlink -f "$0")")/../user/ptefault
out=$(mktemp -d)
# shellcheck source-path=SCRIPTDIR source=ktap.sh
. "$(dirname "$(readlink -f "$0")")/ktap.sh"

# How often a pattern stands in stdout.
count() {
	grep -oE -- "$1" "$out/1" | wc -l
}

# The first mapping of $1 in maps: START-END in bare hexadecimal.
maps() {
	grep -F -- "$1" "/proc/$pid/maps" | head -n 1 | cut -d' ' -f1
}

minflt() {
	awk '{ sub(/.*\) /, ""); print $8 }' "/proc/$pid/stat"
}

# cat answers each line: it lives on its heap, stack and libraries.
coproc cat
# shellcheck disable=SC2154 # set by coproc
pid=$COPROC_PID in=${COPROC[1]} from=${COPROC[0]}
trap 'kill "$pid" 2>/dev/null; rm -rf "$out"' EXIT
ask() {
	echo "$1" >&"$in"
	read -r -t 60 -u "$from" answer
}
ask first
heap=$(maps '[heap]')
start=0x${heap%-*} end=0x${heap#*-}
pages=$(((end - start) / 4096))

try stat
is "stat" 0 '^features +query' 1
try --json stat
is "stat as JSON" 0 '^\{"version":1,.*"advice":\["NOTPRESENT","PRESENT".*"counters":\{' 1

try show -p "$pid" '[heap]'
is "show: the mapping" 0 "^VMA: +VA:$start -> \[heap\] \(private\)" 1
is "show: entries" 0 '^PTE: +VA:0x[0-9a-f]+ -+> PA:0x[0-9a-f]+ .*anonymous' 1
try show -p "$pid" libc.so.6
is "show: filemap rows of a file" 0 '^Filemap: +.*libc.so.6:0x[0-9a-f]+ -+> PA:0x' 1
try show -p "$pid" --raw '[heap]'
is "show --raw" 0 "^VMA: VA:$start -> \[heap\] \(private\)$" 1

# One place, told in every way that the grammar has.
try show -p "$pid" "$heap" --json --pages
cp "$out/1" "$out/wanted"
check "every page is a row" "$(count '"va":')" = "$pages"
for range in '[heap]' "$start-$end" "$start+$((pages * 4))K" "$start+$((pages * 4096))" \
	"$((start))-$((end))"; do
	try show "$range" --pages -p "$pid" -j
	cmp -s "$out/1" "$out/wanted"
	ok "range ${range//$pid/PID}" $?
done
try --pages show --pid="$pid" --json "$start"
check "an address is its page" "$(count '"va":')" = 1
try show -p "$pid" cat#2 --json
is "the second mapping of a name" 0 "\"start\":\"0x$(grep -E '/cat$' "/proc/$pid/maps" | sed -n '2s/-.*//p')\"" 1
try show -p "$pid" cat#99
is "more mappings than there are" 1 'has only [0-9]+ mappings' 2
try show -p "$pid" nosuchfile.so
is "a name that is not mapped" 1 'nothing mapped by this name' 2
try show -p "$pid" 7ffdeadbe000
is "bare hexadecimal address" 1 'begins with 0x' 2
try show -p "$pid" 5-
is "half a range" 2 'is no RANGE' 2
try show -p "$pid" 0x1000+0
is "an empty range" 1 'empty range' 2
try show -p "$pid" 0x2000-0x1000
is "a range backwards" 1 'before the start' 2
for range in 0xffffffffff600000 0xfffffffffffff000 0x800000000000 0x1000+0xffffffffffffffff; do
	try show -p "$pid" $range
	is "$range is nobody's" 1 'not a user address' 2
done
try show -p "$pid" 0x10000
is "a hole" 0 '^VMA: +VA:0x10000 -> nothing' 1
try show -p "$pid" 0x10000 --json
is "a hole as JSON" 0 '"vma":null,"filemap":null,"pte":null' 1
try show -p "$pid"
is "everything" 0 '^VMA: .*\[stack\]' 1

if command -v python3 >/dev/null; then
	for args in "show" "show [heap] --pages" "show libc.so.6" "walk $start"; do
		# shellcheck disable=SC2086 # words
		try --json -p "$pid" $args
		python3 - "$out/1" >"$out/why" 2>&1 <<-'END'
			import json, sys
			text = open(sys.argv[1]).read()
			assert text.count('\n') == 1
			top = json.loads(text)
			assert top['version'] == 1
			hexa = lambda s: isinstance(s, str) and s.startswith('0x') and int(s, 16) >= 0
			states = ['present', 'hint', 'protnone', 'stashed', 'swap', 'migration',
			          'hwpoison', 'device', 'guard', 'marker', 'none']
			kinds = ['none', 'anon', 'file', 'shmem', 'zero', 'ksm', 'special', 'thp', 'hugetlb']
			pages = top.get('pages') or [top['page']]
			assert pages
			for p in pages:
			    assert hexa(p['va']) and p['pages'] >= 1
			    for layer in 'vma', 'filemap', 'pte':
			        assert p[layer] is None or isinstance(p[layer], dict)
			    if p['vma']:
			        assert hexa(p['vma']['start']) and hexa(p['vma']['end'])
			        assert p['pte']['state'] in states and p['pte']['kind'] in kinds
			        if p['pte']['state'] == 'present' and p['pte']['kind'] != 'zero':
			            assert hexa(p['pte']['frame'])
			        if p['pte']['state'] in ('none', 'swap', 'migration', 'guard', 'marker'):
			            assert 'frame' not in p['pte']
			for l in top.get('walk', []):
			    assert l['level'] in ('PGD', 'P4D', 'PUD', 'PMD', 'PTE') and hexa(l['raw'])
		END
		ok "JSON of ${args//$start/ADDR}" $? "$(tail -n 1 "$out/why")"
	done
else
	skip "JSON of show and walk" "no python3 on this machine"
fi

try walk -p "$pid" "$start"
is "walk: top" 0 '^PGD\[[ 0-9]+\] +0x[0-9a-f]{16} -> (PUD|P4D) table at PA:0x' 1
is "walk: bottom" 0 '`-PTE\[[ 0-9]+\] 0x[0-9a-f]{16} -> PA:0x' 1
try walk -p "$pid" 0x10000
is "walk that ends early" 0 'the walk ends here' 1
try walk -p "$pid" 0xffff800000000000
is "walk into the kernel" 1 'not a user address' 2

# Clear, look, let the program find its pages again.
try show -p "$pid" "$start" --json
frame=$(grep -o '"frame":"0x[0-9a-f]*"' "$out/1")
for advice in NOTPRESENT notpresent PTF_ADV_NotPresent; do
	try advise -p "$pid" "$heap" "$advice"
	is "advise $advice" 0 '^0x[0-9a-f]+-0x[0-9a-f]+: [0-9]+ pages? changed' 1
	try show -p "$pid" "$start" --json
	is "it is a hint" 0 '"state":"hint"' 1
	check "and keeps its frame" "$(grep -o '"frame":"0x[0-9a-f]*"' "$out/1")" = "$frame"
	try advise present -p "$pid" "$start" 2>/dev/null
	try advise -p "$pid" "$heap" PRESENT
	try show -p "$pid" "$start" --json
	is "PRESENT undoes it" 0 '"state":"present"' 1
done
try show -p "$pid" "$start"
before=$(minflt)
try advise --json -p "$pid" '[heap]' '[stack]' libc.so.6 notpresent
is "several ranges at once" 0 '^\{"done_pages":[1-9].*"advice":"NOTPRESENT","ranges":\[\{' 1
ask second
check "the program answers" "$answer" = second
check "and took faults" "$(minflt)" -gt "$before"

try advise -p "$pid" "$((start + 1))" notpresent
is "unaligned" 1 'not a multiple of the page size' 2
try advise -p "$pid" 0x10000+64K notpresent
is "a hole alone" 1 'ENOMEM' 2
try advise -p "$pid" '[vdso]' notpresent
is "vdso" 1 'EOPNOTSUPP' 2
try advise -p "$pid" '[vdso]' "$start" notpresent
is "vdso, and something else" 0 '^0x[0-9a-f]+-0x[0-9a-f]+: 0 pages changed' 1
try advise -p "$pid" "$start" present
try advise -p "$pid" "$heap" notpresent --strict
is "strict over pages that are not there" 1 'ENODATA' 2
try advise -p "$pid" "$heap" notpresent -- sh -c "'$ptefault' --json stat >'$out/inner'; exit 7"
is "the exit code is the command's" 7 'changed' 1
grep -q '"sessions":2' "$out/inner"
ok "the session is open while it runs" $?
try advise -p "$pid" "$heap" notpresent -- sh -c "kill -TERM \$\$"
check "a signal is 128 and more" "$rc" = 143
try advise --json -p "$pid" "$heap" notpresent -- echo words
is "with --json stdout is our value alone" 0 '^\{' 1
check "one line" "$(wc -l <"$out/1")" = 1
try advise -p "$pid" "$heap" notpresent -- /nonexistent/command
check "a command that is not there" "$rc" = 127

try advise -p "$pid" '[heap]' MADV_COLD
is "the kernel's own advice" 0 'given to the kernel' 1
try advise -p "$pid" '[heap]' MERGEABLE
is "what the kernel takes from the process alone" 1 'COLD, PAGEOUT' 2
if [ "$(wc -l </proc/swaps)" -gt 1 ]; then
	try advise -p "$pid" "$start" SWAPOUT
	is "SWAPOUT" 0 '1 page changed' 1
	try show -p "$pid" "$start"
	is "is no frame then" 0 '-> swap [0-9]+, slot 0x' 1
	try advise -p "$pid" "$start" NOTPRESENT
	is "a swapped page is no page to clear" 1 'EBUSY' 2
	ask third
	check "the program answers from swap" "$answer" = third
else
	skip "SWAPOUT" "no swap"
fi

# The atlas measures.
dir=/scratch
[ -d $dir ] || dir=$out
try atlas --json --dir "$dir" notpresent dontneed --memory anon --memory shared
is "atlas: NOTPRESENT on anon" 0 '"advice":"NOTPRESENT","memory":"anon","before":\{.*"result":"0","after":\{.*"state":"hint".*"next_read":"minor","content":"kept"' 1
is "atlas: DONTNEED on anon" 0 '"advice":"DONTNEED","memory":"anon".*"next_read":"minor","content":"lost"' 1
check "atlas: a row for each" "$(count '"memory":')" = 4
try atlas --dir "$dir" NORMAL --memory zero
is "atlas: text" 0 '^NORMAL +0 +nothing changes: zero$' 1
try atlas HWPOISON
is "atlas: no frame is lost unasked" 1 '--unchecked' 2
try atlas --memory nosuch
is "atlas: unknown memory" 2 'there is anon' 2

# Files.
head -c 65536 /dev/zero >"$dir/cli-file"
cat "$dir/cli-file" >/dev/null
try file "$dir/cli-file"
is "file" 0 ': 65536 bytes, 16 of 16 pages in the page cache$' 1
is "file: rows" 0 "^Filemap: $dir/cli-file:0x0 +-> PA:0x" 1
is "file: one row for what is the same" 0 '16 pages' 1
try file "$dir/cli-file" 4096+8K --pages --json
check "file: a range, page by page" "$(count '"offset":')" = 2
try file "$dir/nosuch"
is "file that is not there" 1 'No such file' 2
try file "$dir"
is "file: a folder" 1 'ENODEV' 2
mkfifo "$out/pipe"
try file "$out/pipe"
is "file: a pipe" 1 'ENODEV' 2

# What nothing can be done to is no success.
sync
for ((i = 0; i < 20; i++)); do
	try advise --file "$dir/cli-file" evict
	[ "$rc" = 0 ] || break
	sleep 0.2
done
is "evict, and again" 1 'cli-file: filemap: nothing of that is in the page cache \[ENODATA\] \(.ptefault file' 2
cat "$dir/cli-file" >/dev/null
try advise --file "$dir/cli-file" unmap_file
is "unmap what nobody maps" 1 'cli-file: filemap: nobody maps any of that \[ENODATA\]' 2

# Names are any bytes but these two.
odd=$out/$'a\nb\377c\303\251'
cp "$(command -v sleep)" "$odd"
"$odd" 1000 &
odd_pid=$!
for ((i = 0; i < 50; i++)); do
	grep -q 'a\\012b' /proc/$odd_pid/maps && break
	sleep 0.1
done
for args in "show -p $odd_pid" "show -p $odd_pid --raw" "file"; do
	# shellcheck disable=SC2086 # words
	case $args in file) try file "$odd" ;; *) try $args ;; esac
	is "a newline in a name: ${args//$odd_pid/PID}" 0 '^Filemap: .*a\\012b' 1
	check "and no row is broken" "$(grep -cvE '^(VMA:|Filemap:|PTE:|$|/.*page cache)' "$out/1")" = 0
	# shellcheck disable=SC2086 # words
	case $args in file) try --json file "$odd" ;; *) try --json $args ;; esac
	iconv -f UTF-8 -t UTF-8 "$out/1" >/dev/null 2>&1 && grep -q $'a\\\\nb\357\277\275c\303\251"' "$out/1"
	ok "and JSON is UTF-8" $?
done
kill $odd_pid
try file "$out/"$'no\nsuch'
is "a failure stays one line" 1 '^ptefault: file: .*no\\012such: No such file' 2

# Who may, and who is there.
true &
gone=$!
wait "$gone"
try show -p "$gone" '[heap]'
is "a process that ended" 1 'ESRCH' 2
try show -p 2 '[heap]'
is "a kernel thread" 1 'ESRCH' 2
rc=0
setpriv --reuid 65534 --clear-groups "$ptefault" stat >"$out/1" 2>"$out/2" || rc=$?
is "not root" 1 'run it as root' 2
rc=0
setpriv --bounding-set=-sys_admin "$ptefault" show -p "$pid" '[stack]' >"$out/1" 2>"$out/2" || rc=$?
is "frames are hidden" 0 '-> PA:hidden' 1
check "which is said once" "$(grep -c 'hidden without CAP_SYS_ADMIN' "$out/2")" = 1
rc=0
"$ptefault" stat >/dev/full 2>"$out/2" || rc=$?
is "stdout that is full" 1 'could not be written' 2
try --json show -p "$gone"
is "a failure is one JSON value" 1 '^\{"version":1,"error":\{"kind":"failed","verb":"show"' 1

finish
