#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# The tracepoint: tracefs has it, and what people use for tracepoints lists and
# records it.
#
# packages: trace-cmd linux-perf

set -u
export LC_ALL=C

dir=$(dirname "$(readlink -f "$0")")
ptefault=$dir/../user/ptefault
victim=$dir/victim
tracing=/sys/kernel/tracing
event=$tracing/events/ptefault/ptefault_event
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
# shellcheck source-path=SCRIPTDIR source=ktap.sh
. "$(dirname "$(readlink -f "$0")")/ktap.sh"

# Five hits, of four threads, that a session's queue has as well.
hits=(run --at work --rule 'victim:action=notify,on=w,times=5' -- "$victim" threads)
# The same, whatever the program exits with.
with() {
	"$@" "$ptefault" "${hits[@]}" >"$out/1" 2>"$out/2"
	grep -qx 'events: [56] read, 0 lost' "$out/2"
}
# A line of a trace, as all of them print it.
line='session=[0-9]+ type=hit seq=[1-5] rule=1 held=0 target=1 addr=0x[0-9a-f]+ ip=0x[0-9a-f]+'
line="$line access=write origin=user action=notify state=[0-9]+ answer=minor"

if ! "$ptefault" stat | grep -qE '^features .*\brule\b'; then
	skip_all "the fault handler can't be hooked here"
fi

# trace-cmd gives up if kallsyms changes while it looks; it does when the fault
# hook comes and goes. So let it stay.
"$ptefault" inject -p $$ '[stack]' --action count --passive >"$out/armed" 2>&1 &
trap 'kill %1; rm -rf "$out"' EXIT
for ((i = 0; i < 100; i++)); do
	! grep -q armed "$out/armed" || break
	sleep 0.2
done

grep -qx ptefault:ptefault_event $tracing/available_events
ok "tracefs lists it" $?
for field in seq rule held addr ip session type target access origin action state answer; do
	grep -qE "^[[:space:]]field:u(8|32|64) $field;" $event/format || echo "no $field"
done >"$out/why"
[ ! -s "$out/why" ]
ok "with all fields" $? "$(cat "$out/why" $event/format)"

echo 1 >$event/enable
: >$tracing/trace
with env
ok "the program under trace" $? "$(cat "$out/2")"
cat $tracing/trace >"$out/trace"
echo 0 >$event/enable
[ "$(grep -cE "ptefault_event: $line" "$out/trace")" = 5 ]
ok "each hit is a line of the trace" $? "$(cat "$out/trace")"
[ "$(grep -oE 'type=hit seq=[0-9]+' "$out/trace" | sort -u | wc -l)" = 5 ]
ok "once" $? "$(cat "$out/trace")"
: >$tracing/trace
with env
! grep -q ptefault_event $tracing/trace
ok "switched off it is silent" $? "$(cat $tracing/trace)"

echo 'type == 1 && seq > 3' >$event/filter && echo 1 >$event/enable
with env
cat $tracing/trace >"$out/trace"
echo 0 >$event/enable
echo 0 >$event/filter
: >$tracing/trace
[ "$(grep -cE "ptefault_event: $line" "$out/trace")" = 2 ]
ok "its fields can be filtered" $? "$(cat "$out/trace")"

if command -v trace-cmd >/dev/null; then
	trace-cmd list -e ptefault 2>&1 | grep -qx ptefault:ptefault_event
	ok "trace-cmd lists it" $?
	with trace-cmd record -q -e ptefault -o "$out/trace.dat"
	trace-cmd report -i "$out/trace.dat" >"$out/trace" 2>&1
	[ "$(grep -cE "ptefault_event: +$line" "$out/trace")" = 5 ]
	ok "trace-cmd records it" $? "$(cat "$out/trace" "$out/2")"
else
	skip "trace-cmd" "no trace-cmd"
fi

if perf --version >/dev/null 2>&1; then
	perf list 'ptefault:*' 2>&1 | grep -qE '^ *ptefault:ptefault_event +\[Tracepoint event\]'
	ok "perf lists it" $?
	with perf record -q -a -B -N -e ptefault:ptefault_event -o "$out/perf.data"
	perf script -F event,trace -i "$out/perf.data" >"$out/trace" 2>"$out/why"
	[ "$(grep -cE "ptefault:ptefault_event: +$line" "$out/trace")" = 5 ]
	ok "perf records it" $? "$(cat "$out/trace" "$out/why" "$out/2")"
else
	skip "perf" "no perf"
fi

finish
