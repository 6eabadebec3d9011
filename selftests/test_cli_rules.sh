#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# inject, rules, monitor and track on a live process, as somebody would type them.
#
# timeout: 400

set -u
export LC_ALL=C

dir=$(dirname "$(readlink -f "$0")")
ptefault=$dir/../user/ptefault
out=$(mktemp -d)
# shellcheck source-path=SCRIPTDIR source=ktap.sh
. "$(dirname "$(readlink -f "$0")")/ktap.sh"
slow=${PTF_SLOW:-1}

# Waits for a line of a file.
await() {
	local i

	for ((i = 0; i < 150 * slow; i++)); do
		! grep -qE -- "$1" "$2" 2>/dev/null || return 0
		sleep 0.2
	done
	return 1
}

# begin ARGS... - ptefault inject in the background, until it is armed.
begin() {
	rc=0
	: >"$out/1"
	"$ptefault" inject -p "$pid" "$@" >"$out/1" 2>"$out/2" &
	injector=$!
	await armed "$out/1"
}

# end SIGNAL - and its exit code in rc.
end() {
	[ -z "${1-}" ] || kill -"$1" "$injector"
	rc=0
	wait "$injector" || rc=$?
}

# ask LINE - the victim's answer; nothing if it does not come.
ask() {
	answer=
	echo "$1" >&"$in"
	read -r -t "${2:-$((60 * slow))}" -u "$from" answer
}

start() {
	coproc "$dir/victim"
	# shellcheck disable=SC2154 # set by coproc
	pid=$COPROC_PID
	# Its own are not for subshells.
	exec {in}>&"${COPROC[1]}" {from}<&"${COPROC[0]}"
	read -r -t $((60 * slow)) -u "$from" buf || buf=
	buf=${buf#buf }
}

trap 'kill "$pid" "$idle" 2>/dev/null; rm -rf "$out"' EXIT
pid='' idle=''
start
check "there is somebody to work on" -n "$buf"

if ! "$ptefault" stat | grep -qE '^features .*\brule\b'; then
	skip "inject, rules, monitor" "the fault handler can't be hooked here"
	finish
fi


# Setting the fault hook and taking it away costs half a second each time: one
# rule on somebody who does nothing keeps it.
sleep 10000 &
idle=$!
"$ptefault" inject -p $idle '[stack]' --action count --passive >"$out/keeper" 2>&1 &
keeper=$!
let_go() {
	kill "$keeper" && wait "$keeper"
	kill "$idle" && wait "$idle"
} 2>/dev/null
await armed "$out/keeper"

# ---------------------------------------------------------------------
# Usage.

try inject
is "inject without anything" 2 'which range' 2
try inject -p "$pid" '[heap]'
is "without an action" 2 'which --action' 2
try inject '[heap]' --action sigbus
is "without a process" 2 'which process' 2
for bad in '--action explode' '--action delay' '--action sigbus --on q' '--action sigbus --from me' \
	'--action sigbus --probability 0' '--action sigbus --probability 1.5' \
	'--action sigbus --after x' '--action sigbus --tid 0' '--action handler=' \
	'--action delay=0' '--action delay=61s' '--action notify --quiet' '--action hold --quiet' \
	'--action count --every --once' '--action count --every --passive'; do
	# shellcheck disable=SC2086 # words
	try inject -p "$pid" '[heap]' $bad
	is "inject $bad" 2 '^usage: ' 2
done
try inject -p "$pid" "$buf" --action sigbus --probability 150%
is "which option is wrong" 2 "^ptefault: inject: --probability: '150%' is no probability" 2
try inject -p "$pid" "$buf" --action delay=0
is "a delay of nothing" 2 "^ptefault: inject: --action: 'delay=0': a delay is from" 2
try inject -p "$pid" "$buf" --action notify --quiet
is "a notice that is quiet" 2 '^ptefault: inject: --quiet: nothing would be left of notify' 2
try inject -p "$pid" 0xffffffffff600000 --action count
is "vsyscall" 1 'not a user address' 2
try inject -p "$pid" 0x1000+0 --action count
is "an empty range" 1 'empty range' 2
try inject -p "$pid" "$((buf + 1))" --action count
is "an unaligned one" 1 'not a multiple of the page size' 2
try inject -p "$pid" "$buf" --action handler=nosuch
is "a handler that is not there" 1 'ENOENT' 2
try inject -p "$pid" "$buf" --action count --tid 2147483647
is "a thread that is not there" 1 'ESRCH' 2
rc=0
timeout $((20 * slow)) "$ptefault" monitor -p 2147483647 >"$out/1" 2>"$out/2" || rc=$?
is "monitor of a process that is not there" 1 'process 2147483647: .*ESRCH' 2
try monitor "$buf"
is "monitor of a range of nobody" 2 'which process' 2
try rules
is "rules of nobody" 2 'which process' 2

# ---------------------------------------------------------------------
# Each action that a program can tell.

begin "$buf" --action sigbus --on w --times 1
is "armed" 0 '^armed$' 1
ask 'r 0'
check "a read is none of its business" "$answer" = ok
end INT
begin "$buf" --action sigbus --on w --times 1
ask 'w 0'
check "SIGBUS" "$answer" = SIGBUS
end
is "ends when its times are spent" 0 'sigbus: matched 1, took 1$' 1
ask 'w 0'
check "and nothing is left of it" "$answer" = ok

begin "$buf+16K" --action sigsegv --after 1 --times 2
for page in 0 1 2 3; do
	ask "r $page"
	echo "$answer"
done >"$out/answers"
end
check "SIGSEGV, after 1, 2 times" "$(tr '\n' ' ' <"$out/answers")" = "ok SIGSEGV SIGSEGV ok "

begin "$buf+64K" --action sigbus --interval 3
for page in 0 1 2 3 4 5 6 7 8; do
	ask "r $page"
	echo "$answer"
done >"$out/answers"
end TERM
is "undone by a signal" 0 'matched 9, took 3$' 1
check "the first, and each third from there" "$(tr '\n' ' ' <"$out/answers")" = "SIGBUS ok ok SIGBUS ok ok SIGBUS ok ok "

begin "$buf" --action hwpoison
ask 'r 0'
check "hwpoison" "$answer" = SIGBUS
end INT
begin "$buf" --action sigbus --from kernel
ask 's 0'
check "an access of the kernel" "$answer" = error
ask 'r 0'
check "that of the program goes on" "$answer" = ok
end INT
begin "$buf" --action sigbus --from user
ask 's 0'
check "the other way round" "$answer" = ok
end INT

for pair in count notify retry=3 oom=2 delay=1ms; do
	begin "$buf+8K" --action "$pair"
	ask 'w 0'
	check "$pair: the program goes on" "$answer" = ok
	ask 'r 1'
	end HUP
	is "$pair: is counted" 0 "${pair%=*}: matched [2-9][0-9]*, took [2-9]" 1
done

begin "$buf" --action delay=1s --times 1
started=${EPOCHREALTIME/./}
ask 'r 0'
check "a delay delays" $((${EPOCHREALTIME/./} - started)) -ge 900000
end

begin "$buf" --action hold
ask 'r 0' 1
check "a thread that is held does not answer" -z "$answer"
await 'waits at' "$out/2"
is "which is said" 0 "thread $pid waits at $buf \(read\)" 2
kill -USR1 "$injector"
read -r -t $((60 * slow)) -u "$from" answer
check "SIGUSR1 lets it go on" "$answer" = ok
ask 'r 0'
check "and holds no more what is present" "$answer" = ok
end INT
begin "$buf" --action hold
ask 'r 0' 1
end KILL
read -r -t $((60 * slow)) -u "$from" answer
check "who is held goes on when we are killed" "$answer" = ok

begin "$buf" --action sigbus --tid main --probability 50% --seed 3
end INT
is "a thread, a probability, a seed" 0 'matched 0, took 0' 1

# ---------------------------------------------------------------------
# Which accesses fault: those that a rule chooses from, or the first.

# As it is printed, with this process and address for theirs.
example() {
	sed -n -e 's/\\-/-/g' -e "s/^ *# ptefault inject -p 1234 //p" "$1" | grep -- "$2" |
		sed "s/^0x[0-9a-f]*/$buf/"
}
top=${PTF_TOP:-$dir/../..}
read -r -a words < <(example "$top/README.md" sigbus)
check "the README has an example" ${#words[@]} -gt 4
begin "${words[@]}"
answers=
for access in w r w w; do
	ask "$access 0"
	answers+="$answer "
done
check "the README's: the third write" "$answers" = "ok ok ok SIGBUS "
if [ "$answer" = SIGBUS ]; then end; else end INT; fi
is "and that was it" 0 'sigbus: matched 3, took 1$' 1
try show -p "$pid" "$buf"
check "nothing is sticky behind it" "$(grep -c sticky "$out/1")" = 0
head -c 262144 /dev/zero >"$out/data.db"
ask "m $out/data.db"
check "a file is mapped" "$answer" = ok
for ((i = 0; i < 3; i++)); do ask 'w 0'; done
read -r -a words < <(example "$top/user/man/ptefault.8" data.db)
check "the manual has one" ${#words[@]} -gt 4
begin "${words[@]}"
for access in w r w w r w w w; do ask "$access 0"; done
end INT
is "the manual's: each third write" 0 'delay: matched 6, took 2$' 1
ask m

begin "$buf" --action sigbus --from kernel
ask 'r 0'
ask 's 0'
check "the program's accesses don't use the kernel's up" "$answer" = error
end INT
begin "$buf" --action sigbus --on w --once
ask 'r 0'
ask 'w 0'
check "--once: but its first" "$answer" = ok
end INT
is "--once: which was another" 0 'sigbus: matched 0, took 0$' 1
begin "$buf+8K" --action count --every
for page in 0 1 0 1 0; do ask "r $page"; done
end INT
is "--every: each access" 0 'count: matched 5, took 5$' 1
begin "$buf" --action count
for ((i = 0; i < 3; i++)); do ask 'r 0'; done
end INT
is "and without it the first" 0 'count: matched 1, took 1$' 1
begin "$buf" --action sigbus
ask 'r 0'
first=$answer
ask 'w 0'
check "but an outcome leaves it as it is" "$first $answer" = "SIGBUS SIGBUS"
end INT
begin "$buf" --action hold --on w
ask 'r 0'
check "held is who writes" "$answer" = ok
for ((i = 1; i <= 2; i++)); do
	ask 'w 0' 1
	check "each time: $i" -z "$answer"
	for ((k = 0; k < 150 * slow; k++)); do
		[ "$(grep -c 'waits at' "$out/2")" -lt "$i" ] || break
		sleep 0.2
	done
	kill -USR1 "$injector"
	read -r -t $((60 * slow)) -u "$from" answer
	check "and let go" "$answer" = ok
done
end INT
is "which is all" 0 'hold: matched 2, took 2$' 1
for who in user kernel any; do
	: >"$out/1"
	"$ptefault" --json inject -p "$pid" "$buf+8K" --action count --from $who --after 9 >"$out/1" 2>"$out/2" &
	injector=$!
	await '"armed":true' "$out/1"
	is "pages that fault for $who" 0 '"armed":true,"pages":2,$' 1
	end INT
done
begin '[vdso]' --action count --after 2
end INT
is "what can't fault each time is said" 0 'only the first access of each page faults' 2

# ---------------------------------------------------------------------
# rules asks the sessions themselves.

begin "$buf+8K" '[heap]' --action notify --on w --times 9
try rules -p "$pid"
is "rules: what is armed" 0 "^ptefault\[$injector\] +[0-9]+: $buf-0x[0-9a-f]+ notify on w from any times 9: matched 0, took 0" 1
check "rules: one for each range" "$(wc -l <"$out/1")" = 2
ask 'w 0'
try --json rules -p "$pid"
is "rules: counters, as JSON" 0 "^\{\"version\":1,\"pid\":$pid,\"rules\":\[\{\"owner\":$injector,.*\"armed\":true,.*\"matches\":1,\"hits\":1," 1
try rules -p $$
is "none on another process" 0 "nothing is armed on process $$" 2
ask 'w 1'
try rules -p "$pid"
is "rules: asking changes nothing" 0 'matched 2, took 2' 1
end INT
try rules -p "$pid"
is "rules: nothing behind it" 0 'nothing is armed' 2
rc=0
setpriv --reuid 65534 --clear-groups "$ptefault" rules -p "$pid" >"$out/1" 2>"$out/2" || rc=$?
is "rules: not for everybody" 1 'run it as root' 2

# ---------------------------------------------------------------------
# One JSON value, of which the first line says that it is armed.

: >"$out/1"
"$ptefault" --json inject -p "$pid" "$buf" --action notify --times 1 >"$out/1" 2>"$out/2" &
injector=$!
await '"armed":true' "$out/1"
check "inject --json: armed" "$(wc -l <"$out/1")" = 1
ask 'r 0'
end
is "inject --json: the rest" 0 '^"rules":\[\{"range":.*"matches":1,"hits":1,.*"events":1\}$' 1
if command -v python3 >/dev/null; then
	python3 -c 'import json, sys; v = json.load(sys.stdin); assert v["version"] == 1 and v["armed"] is True and v["rules"][0]["places"][0]["hits"] == 1' <"$out/1" 2>"$out/2"
	ok "inject --json: one value" $?
fi

# ---------------------------------------------------------------------
# monitor.

if "$ptefault" stat | grep -qE '\bnetlink\b'; then
	"$ptefault" monitor >"$out/all" 2>"$out/2" &
	all=$!
	"$ptefault" monitor --json -p "$pid" >"$out/one" 2>"$out/2" &
	one=$!
	"$ptefault" monitor --json -p $$ >"$out/other" 2>"$out/2" &
	other=$!
	"$ptefault" monitor -p "$pid" --count 2 >"$out/two" 2>"$out/2" &
	two=$!
	# Until all four listen: libnl's sockets have the process's number for a port.
	for ((i = 0; i < 50 * slow; i++)); do
		[ "$(awk -v pids=" $all $one $other $two " '$2 == 16 && index(pids, " " $3 % 4194304 " ")' \
			/proc/net/netlink | wc -l)" -lt 4 ] || break
		sleep 0.2
	done
	sleep 1
	begin "$buf+16K" --action sigbus --times 3
	ask 'r 0'
	ask 'w 1'
	ask 's 2'
	end
	rc=0
	wait $two || rc=$?
	check "monitor --count" "$rc $(wc -l <"$out/two")" = "0 2"
	await 'seq":3' "$out/one"
	for m in $all $one $other; do
		kill -INT "$m"
		rc=0
		wait "$m" || rc=$?
		check "monitor: Ctrl-C ends it" "$rc" = 0
	done
	cp "$out/all" "$out/1"
	is "monitor: a line for people" 0 "^session [0-9]+: 1 hit: $pid/$pid read $buf from user at 0x[0-9a-f]+, .*rule 1: sigbus" 1
	check "monitor: one for each" "$(wc -l <"$out/1")" = 3
	cp "$out/one" "$out/1"
	is "monitor --json: one of the process" 0 "^\{\"type\":\"hit\",\"seq\":2,.*\"pid\":$pid,.*\"access\":\"write\",\"origin\":\"user\",\"rule\":1,\"action\":\"sigbus\",.*\"session\":[0-9]+\}$" 1
	is "monitor --json: an access of the kernel" 0 '"seq":3,.*"origin":"(kernel|gup)"' 1
	check "monitor --json: one object a line" "$(grep -c '^{.*}$' "$out/1") $(wc -l <"$out/1")" = "3 3"
	check "monitor -p: nothing of others" ! -s "$out/other"

	# With ranges it has rules of its own. (Who opens the file in the background may
	# be late, and what stands there until then is another answer.)
	: >"$out/1"
	"$ptefault" monitor -p "$pid" "$buf" >"$out/1" 2>"$out/2" &
	injector=$!
	for ((i = 0; i < 50 * slow; i++)); do
		ask 'r 0'
		[ ! -s "$out/1" ] || break
		sleep 0.2
	done
	[ -s "$out/1" ] || "$ptefault" rules -p "$pid" | sed 's/^/# /'
	[ -s "$out/1" ] || "$ptefault" show -p "$pid" "$buf" | sed 's/^/# /'
	is "monitor RANGE: its own rules" 0 "$buf from user .*: notify" 1
	end INT
	check "monitor RANGE: ends" "$rc" = 0
	try rules -p "$pid"
	is "monitor RANGE: and leaves none" 0 'nothing is armed' 2
	rc=0
	setpriv --bounding-set=-sys_admin --inh-caps=-sys_admin "$ptefault" monitor >"$out/1" 2>"$out/2" || rc=$?
	is "monitor is root's" 1 'generic netlink' 2
	rc=0
	unshare -n "$ptefault" monitor >"$out/1" 2>"$out/2" || rc=$?
	is "monitor in another network namespace" 1 'initial network namespace' 2
else
	skip "monitor" "no generic netlink here"
fi

# ---------------------------------------------------------------------
# track.

: >"$out/1"
"$ptefault" track -p "$pid" "$buf+64K" >"$out/1" 2>"$out/2" &
injector=$!
if await tracking "$out/2"; then
	ask 'w 2'
	ask 'w 3'
	ask 'r 5'
	ask 'w 9'
	end INT
	is "track: what was written" 0 "^$(printf '0x%x-0x%x' $((buf + 8192)) $((buf + 16384))) +2 pages +written" 1
	is "track: how much" 0 '^3 pages written of 16 tracked' 1
	check "track: a row for each run" "$(grep -c ' written  ' "$out/1")" = 2
	try --json track -p "$pid" "$buf+64K" -- sh -c 'exit 6'
	is "track: the exit code is the command's" 6 '"pages":0,"written":\[\]\}$' 1
	(
		sleep $((1 * slow))
		echo 'w 7' >&"$in"
	) &
	try --json track -p "$pid" -- sleep $((3 * slow))
	read -r -t 60 -u "$from" answer
	is "track: all of it" 0 "\"start\":\"$(printf '0x%x' $((buf + 28672)))\",\"end\":\"$(printf '0x%x' $((buf + 32768)))\",\"pages\":1,\"name\":\".*victim\"" 1
else
	end INT
	skip "track" "$(tail -n 1 "$out/2")"
fi
try track -p "$pid" --method magic
is "track: no such method" 2 'module, scan or soft-dirty' 2

# ---------------------------------------------------------------------
# The end of the process is the end of it.

begin "$buf" --action count
echo q >&"$in"
end
is "inject ends with the process" 0 'count: matched' 1
start
begin "$buf" --action sigbus --on r
kill -KILL "$pid"
end
check "and when it is killed" "$rc" = 0
let_go
"$ptefault" stat --json >"$out/1"
rc=0
is "no session is left" 0 '"sessions":1,' 1

finish
