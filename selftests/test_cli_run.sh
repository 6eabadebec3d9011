#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# ptefault run: where it begins, what it does to a program, plans, recordings.
# (Chaos has a file of its own.)
#
# packages: gcc libc6-dev
# timeout: 400

set -u
export LC_ALL=C

dir=$(dirname "$(readlink -f "$0")")
ptefault=$dir/../user/ptefault
victim=$dir/victim
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
# shellcheck source-path=SCRIPTDIR source=ktap.sh
. "$(dirname "$(readlink -f "$0")")/ktap.sh"
cd "$out" || exit 1
slow=${PTF_SLOW:-1}

rules=$("$ptefault" stat | grep -E '^features .*\brule\b')
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

# ---------------------------------------------------------------------
# The command itself.

try run
is "no command" 2 'which command' 2
try run sh
is "a command without --" 2 'behind --' 2
try run -- sh -c 'echo words; exit 5'
is "it runs, and exits as it likes" 5 '^words$' 1
try run -- sh -c 'kill -SEGV $$'
check "a signal is 128 and more" "$rc" = 139
try run -- /nonexistent/command
is "a command that is not there" 127 'No such file' 2
try run -- "$out"
is "what is no command" 126 'Permission denied' 2
try --json run -- sh -c 'echo words'
is "--json: one value" 0 '^\{"version":1,"pid":[0-9]+,"exit":0,"at":"exec","reached":true,' 1
check "and nothing else" "$(wc -l <"$out/1")" = 1
grep -qx words "$out/2"
ok "the command's own goes to stderr" $?
try --json run --report r -- true
cmp -s r "$out/1"
ok "and into a file as well" $?
try run --report /nonexistent/r -- true
is "a report that can't be written" 1 'No such file' 2
rc=0
echo in | "$ptefault" run -- cat >"$out/1" 2>"$out/2" || rc=$?
is "stdin is the command's" 0 '^in$' 1
# shellcheck disable=SC2016 # the inner shell's
try run -- sh -c 'trap "exit 9" TERM; kill -TERM $PPID; while :; do sleep 0.1; done'
check "SIGTERM is handed on" "$rc" = 9

# ---------------------------------------------------------------------
# Where it begins.

for at in exec main; do
	try run --at $at --json -- sort /dev/null
	is "--at $at of a program without symbols" 0 "\"at\":\"$at\",\"reached\":true" 1
	try run --at $at --json -- "$victim"
	is "--at $at of a static program" 0 "\"at\":\"$at\",\"reached\":true" 1
done
try run --at touch --json -- "$victim"
is "a function that is never called" 0 '"reached":false' 1
try run --at work --json -- "$victim" threads
is "one that is" 7 '"reached":true' 1
try run --at getuid --json -- id
is "one of a library" 0 '"at":"getuid","reached":true' 1
try run --at nosuchfunction -- true
is "one that is not there" 1 'no such function' 2
try run --at main --json -- sh -c 'exec sort /dev/null'
is "main of the first program" 0 '"reached":true' 1
try run --at worker --json -- "$victim" threads
is "a thread comes there first" 7 '"reached":true' 1
if command -v gcc >/dev/null; then
	cat >p.c <<-'END'
		#include <stdio.h>
		#include <sys/wait.h>
		#include <unistd.h>
		int there(int x) { return x + 1; }
		int main(void)
		{
			int st;
			pid_t pid = fork();
			if (!pid)
				_exit(there(3));
			waitpid(pid, &st, 0);
			printf("%d %d\n", WEXITSTATUS(st), there(4));
			return 0;
		}
	END
	# The one with symbols stays for what follows.
	for how in "-s -no-pie" "-pie -fPIE"; do
		# shellcheck disable=SC2086 # words
		gcc -O0 -o p p.c $how 2>/dev/null || {
			skip "--at main with $how" "this compiler can't"
			continue
		}
		try run --at main --json -- ./p
		is "--at main with $how" 0 '"reached":true' 1
		grep -qx '4 5' "$out/2"
		ok "it does what it does" $?
	done
	try run --at there --json -- ./p
	is "a child does not trip over it" 0 '"reached":true' 1
	grep -qx '4 5' "$out/2"
	ok "and has its own way" $?
	if echo 'int main(void) { return 0; }' | gcc -m32 -nostdlib -x c - -o /dev/null -Wl,-e,main 2>/dev/null; then
		cat >p32.c <<-'END'
			char buf[4096] __attribute__((aligned(4096))) = "x";
			void there(void) { *(volatile char *)buf = 1; }
			void _start(void)
			{
				there();
				for (;;)
					__asm__ volatile ("int $0x80" : : "a" (1), "b" (3));
			}
		END
		gcc -m32 -O1 -fno-inline -nostdlib -static -fno-pic -no-pie -o p32 p32.c
		try run --at there --json -- ./p32
		is "a 32-bit program" 3 '"reached":true' 1
		if [ -n "$rules" ]; then
			try run --at there --rule 'p32:action=count,on=w' -- ./p32
			is "a rule on it" 3 'count: matched 1, took 1$' 2
			try run --at there --rule 'p32:action=sigbus,on=w,from=user' -- ./p32
			is "which is its end" 135 'sigbus: matched 1, took 1$' 2
		fi
	else
		skip "a 32-bit program" "this compiler has no -m32"
	fi
else
	skip "--at main" "no gcc"
fi

# ---------------------------------------------------------------------
# Rules.

if [ -z "$rules" ]; then
	skip "rules" "the fault handler can't be hooked here"
	finish
fi
for bad in victim victim:on=w ':action=count' 'victim:action=nosuch' 'victim:action=count,speed=9' \
	'victim:action=count,times' 'victim:action=count,passive=1'; do
	try run --rule "$bad" -- true
	is "--rule $bad" 2 '^usage: ' 2
done
try run --rule 'nosuch.so:action=count' -- true
is "a range that is not mapped there" 1 'nothing mapped by this name' 2
try run --at main --rule '[stack]:action=count' -- true
is "a rule, counted" 0 '^rule 1: \[stack\] 0x[0-9a-f]+-0x[0-9a-f]+ count: matched [1-9]' 2
try run --at work --rule 'victim:action=sigbus,on=w,after=5,times=1' -- "$victim" threads
is "SIGBUS is the program's end" 135 'sigbus: matched ([6-9]|[1-9][0-9]+), took 1$' 2
try run --at work --rule 'victim#2:action=sigbus,on=x' -- "$victim" threads
is "its text is its end, too" 135 'sigbus: matched [1-9]' 2
try run --at work --rule "$victim:action=notify,on=w" --json -- "$victim" threads
is "each page once" 7 '"matches":256,"hits":256,.*"events":25[67],"lost":0' 1
try run --at work --rule "$victim:action=notify,on=w,every" --json -- "$victim" threads
is "each write, if asked for" 7 '"every":true,"matches":(7[6-9][0-9]|[89][0-9][0-9]|[0-9]{4}),' 1
try run --at main --rule 'victim:action=count,on=w' --rule 'victim#2:action=count,order=9,on=x,from=user' \
	--json -- "$victim" threads
is "several rules" 7 '"rules":\[\{"range":"victim",.*\},\{"range":"victim#2",.*"order":9' 1
try run --at work --rule 'victim:action=delay=2ms,on=w,times=3,per-thread' --json -- "$victim" threads
is "three for each thread" 7 '"action":"delay=2000000".*"hits":12,' 1
rc=0
"$ptefault" run --at work --rule 'victim:action=hold,on=w,times=1' -- "$victim" threads >"$out/1" 2>"$out/2" &
runner=$!
for ((i = 0; i < 150 * slow; i++)); do
	! grep -q 'waits at' "$out/2" || break
	sleep 0.2
done
kill -USR1 $runner
wait $runner || rc=$?
is "a thread that is held, and let go" 7 'hold: matched [0-9]+, took 1$' 2
try run --at main --rule '[heap]:action=count' -- "$victim" threads
is "the heap, where there is one" 7 '\[heap\]' 2

# ---------------------------------------------------------------------
# Plans.

cat >plan <<-END
	{ "version": 1, "seed": 5, "at": "work", "rules": [
		{ "range": "[stack]", "action": "sigbus", "on": "x" },
		{ "range": "victim", "action": "notify", "on": "w", "probability": 0.25, "per_thread": true }
	] }
END
try run --plan plan --json -- "$victim" threads
is "a plan" 7 '"at":"work",.*"seed":5,"rules":\[\{.*"action":"sigbus","on":"x".*"probability":0.25,"seed":6,"per_thread":true' 1
echo '[{"range":"[stack]","action":"count","passive":true}]' >plan2
try run --plan plan2 --at main --json -- "$victim" threads
is "a plan that is an array" 7 '"passive":true' 1
for bad in '' '{' '[1]' '{"rules":{}}' '[{"action":"count"}]' '[{"range":"x"}]' \
	'[{"range":"x","action":"count","nosuch":1}]' '{"version":2,"rules":[]}'; do
	echo "$bad" >bad
	try run --plan bad -- true
	is "no plan: $bad" 1 '^ptefault: run: ' 2
done
try run --plan nosuchfile -- true
is "a plan that is not there" 1 'nosuchfile' 2

# ---------------------------------------------------------------------
# Recordings: two runs with one seed, four threads.

try run --at work --rule 'victim:action=notify,on=w,probability=0.3' --seed 42 --record rec -- "$victim" threads
is "record" 7 '^record: [1-9][0-9]* hits of 4 threads$' 2
head -n 1 rec >"$out/1"
is "what it was" 7 '^\{"version":1,"seed":42,"at":"work","cmd":\["/.*victim","threads"\],"rules":\[' 1
sed -n 2p rec >"$out/1"
is "a line for each hit" 7 '^\{"thread":1,"n":1,"rule":1,"mapping":"/.*victim#[0-9]+","offset":"0x[0-9a-f]+","access":"write","action":"notify"\}$' 1
check "of four threads" "$(grep -o '"thread":[0-9]*' rec | sort -u | wc -l)" = 4
rounds=2
[ "${PTF_DIVIDE:-10}" != 1 ] || rounds=20
for ((i = 1; i <= rounds; i++)); do
	try run --replay rec -- "$victim" threads
	is "replay $i: each thread the same" 7 '^replay: each thread had the same hits$' 2
done
try run --replay rec
is "the command is in it" 7 'the same hits' 2
try --json run --replay rec
is "replay as JSON" 7 '"replay":\{"same":true,"differences":\[\]\}' 1
try run --at work --rule 'victim:action=notify,on=w,probability=0.3' --seed 42 --record rec2 -- "$victim" threads
cmp -s rec rec2
ok "recorded again it is the same file" $?
try run --at work --rule 'victim:action=notify,on=w,probability=0.3' --seed 43 --record rec3 -- "$victim" threads
! cmp -s rec rec3
ok "with another seed it is not" $?
sed '9s/"offset":"0x/"offset":"0x1/' rec >wrong
try run --replay wrong
is "a hit elsewhere" 1 'thread 1: hit 8 was notify ' 2
sed '$d' rec >wrong
try run --replay wrong
is "a hit more" 1 'thread 4: hit [0-9]+ was nothing and is notify' 2
try --json run --replay wrong
is "which JSON says too" 1 '"same":false,"differences":\[\{"thread":4,' 1
for bad in '' '{}' 'words' '{"version":1,"rules":[{"range":"victim","action":"count"}],"cmd":["true"]}x'; do
	echo "$bad" >wrong
	try run --replay wrong -- true
	is "no recording: $bad" 1 '^ptefault: run: ' 2
done
try run --replay rec --rule 'victim:action=count' -- true
is "replay has its own rules" 2 'from the recording' 2
try run --record x -- true
is "nothing to record" 2 'needs rules' 2
try run --record /nonexistent/x --at work --rule 'victim:action=notify' -- "$victim" threads
is "a recording that can't be written" 1 'No such file' 2

let_go
"$ptefault" stat --json >"$out/1"
rc=0
is "no session is left" 0 '"sessions":1,' 1

finish
