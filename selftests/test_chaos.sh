#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Real programs while random pages of theirs are disturbed: what they answer is
# what they answer undisturbed, so many pages were disturbed as were asked for,
# and the fault counters show it.
#
# packages: sqlite3 gcc libc6-dev binutils python3 redis-tools
# timeout: 900

# shellcheck disable=SC2317 # functions that are called by name
set -u
export LC_ALL=C

ptefault=$(dirname "$(readlink -f "$0")")/../user/ptefault
out=$(mktemp -d /scratch/chaos.XXXXXX 2>/dev/null) || out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
# shellcheck source-path=SCRIPTDIR source=ktap.sh
. "$(dirname "$(readlink -f "$0")")/ktap.sh"
cd "$out" || exit 1
# How much of the whole work a run is for.
divide=${PTF_DIVIDE:-10}
# Where everything is slow less can be done.
rate=${PTF_CHAOS_RATE:-$((200 / ${PTF_SLOW:-2}))}
seeds=1
[ "$divide" -gt 1 ] || seeds=5
# Only these kinds, for looking into a failure.
kinds=${PTF_CHAOS_KINDS:+,$PTF_CHAOS_KINDS}
seed=${PTF_CHAOS_SEED:-}

# chaos RATE REPORT COMMAND... - with a seed that a failure names
chaos() {
	local r=$1 report=$2
	shift 2
	"$ptefault" run --chaos "$r$kinds" --seed "$this" --json --report "$report" -- "$@" >json
}

number() {
	grep -oE "\"$1\":[0-9.]+" "$2" | head -n 1 | cut -d: -f2
}

# judge NAME REPORT: what the counters of one run say, against those without.
judge() {
	local name=$1 done_pages secs faults before

	done_pages=$(number pages_disturbed "$2")
	secs=$(number seconds "$2")
	faults=$(number faults "$2")
	before=$(number faults "$name.base")
	echo "# $name: $done_pages pages in $secs s, $faults faults instead of $before, seed $this"
	awk -v d="${done_pages:-0}" -v r="$rate" -v s="${secs:-0}" 'BEGIN { exit !(s > 0 && d >= r * s / 2) }'
	ok "$name: at least half of $rate pages a second" $? "$(cat "$2")"
	awk -v d="${done_pages:-0}" -v f="${faults:-0}" -v b="${before:-0}" 'BEGIN { exit !(f - b > d / 20) }'
	ok "$name: the fault counters show it" $? "$(cat "$2")"
}

# What is not in the page cache yet costs faults of its own, in the first run only.
warm() {
	cat "$@" >/dev/null
}

# same NAME FUNCTION: FUNCTION writes what it found to the file it is given and
# starts its program by way of the words in "$@" behind that.
same() {
	local name=$1 function=$2 i rc

	# Only these programs, likewise.
	[[ " ${PTF_CHAOS_PROGRAMS:-$name} " == *" $name "* ]] || return

	# Run the same way, but undisturbed; twice, for in the first run it faults on
	# what nobody has read yet.
	this=0
	"$function" "$name.want" chaos 0 "$name.cold"
	"$function" "$name.again" chaos 0 "$name.base"
	if [ ! -s "$name.want" ] || ! cmp -s "$name.want" "$name.again"; then
		ok "$name: answers the same twice" 1 "undisturbed, it does not"
		return
	fi
	for ((i = 1; i <= seeds; i++)); do
		this=${seed:-$((RANDOM * 32768 + RANDOM))}
		"$function" "$name.$i" chaos "$rate" "$name.report"
		rc=$?
		[ $rc = 0 ] && cmp -s "$name.want" "$name.$i"
		ok "$name: the same under chaos" $? "exit $rc, seed $this" \
			"$(diff "$name.want" "$name.$i" 2>&1 | head -n 5)" "$(cat "$name.report")"
		judge "$name" "$name.report"
	done
}

# ---------------------------------------------------------------------

run_sort() {
	local to=$1
	shift
	rm -f sorted
	"$@" sort --parallel=2 -S 8M -o sorted sort.in && md5sum <sorted >"$to"
}
awk -v n=$((2000000 / divide)) 'BEGIN { srand(1); for (i = 0; i < n; i++) print int(rand() * 1e15) }' \
	</dev/null >sort.in
warm "$(command -v sort)"
same sort run_sort
rm -f sort.in sorted

# ---------------------------------------------------------------------

cat >work.py <<'END'
import hashlib, json, random, re, sys, zlib
n = int(sys.argv[1])
random.seed(7)
h = hashlib.sha256()
words = {}
for i in range(n):
    s = "%x" % random.getrandbits(64)
    words.setdefault(s[:2], []).append((i, s))
    if i % 97 == 0:
        last = words[s[:2]][-50:]
        z = zlib.compress(json.dumps(last).encode())
        assert json.loads(zlib.decompress(z)) == [list(w) for w in last]
        h.update(z)
for key in sorted(words):
    for i, s in sorted(words[key], key=lambda w: w[1]):
        h.update(re.sub("[a-f]+", lambda m: m.group().upper(), s).encode())
print(h.hexdigest(), sum(len(v) for v in words.values()))
END
run_python() {
	local to=$1
	shift
	# shellcheck disable=SC2016 # the inner shell's
	"$@" sh -c 'exec /usr/bin/python3 work.py "$1" >answer' sh $((80000 / divide)) &&
		mv answer "$to"
}
if [ -x /usr/bin/python3 ]; then
	warm /usr/bin/python3
	same python3 run_python
else
	skip python3 "no /usr/bin/python3"
fi

# ---------------------------------------------------------------------

cat >work.sql <<'END'
PRAGMA mmap_size=268435456;
PRAGMA cache_size=64;
PRAGMA journal_mode=WAL;
UPDATE t SET b = b || a WHERE a % 7 = 0;
DELETE FROM t WHERE a % 11 = 0;
CREATE INDEX tb ON t(b);
SELECT count(*), sum(a), max(b), min(b) FROM t;
SELECT sum(length(x.b) * y.a % 1000) FROM t x JOIN t y ON x.a = y.a + 13;
INSERT INTO t SELECT a + 10000000, b || 'x' FROM t WHERE a % 3 = 0;
SELECT b FROM t ORDER BY b LIMIT 20;
PRAGMA integrity_check;
END
run_sqlite() {
	local to=$1
	shift
	rm -f db db-wal db-shm
	cp base.db db
	"$@" sh -c 'sqlite3 db <work.sql >answer 2>&1 && sqlite3 db .dump | md5sum >>answer' &&
		mv answer "$to"
}
if command -v sqlite3 >/dev/null; then
	sqlite3 base.db "CREATE TABLE t(a INTEGER PRIMARY KEY, b TEXT);
		WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < $((200000 / divide)))
		INSERT INTO t SELECT i, hex(i * 2654435761) || printf('%032d', i) FROM c;"
	same sqlite3 run_sqlite
	rm -f base.db db*
else
	skip sqlite3 "no sqlite3"
fi

# ---------------------------------------------------------------------

run_gcc() {
	local to=$1
	shift
	"$@" gcc -O2 -c -o work.o work.c && objdump -d work.o | md5sum >"$to"
}
if command -v gcc >/dev/null && command -v objdump >/dev/null; then
	awk -v n=$((600 / divide)) 'BEGIN {
		print "#include <stdio.h>\n#include <stdlib.h>\n#include <string.h>"
		for (i = 0; i < n; i++) {
			printf "static int f%d(int *v, int n) { int s = %d; ", i, i
			printf "for (int i = 0; i < n; i++) { switch ((v[i] ^ %d) %% 5) { ", i
			printf "case 0: s += v[i] * %d; break; case 1: s ^= v[(i + %d) %% n]; break; ", i + 3, i
			printf "case 2: v[i] = s >> %d; break; default: s -= i; } } return s; }\n", i % 7 + 1
		}
		print "int main(void) { int v[64] = { 1 }, s = 0;"
		for (i = 0; i < n; i++)
			printf "s += f%d(v, 64);\n", i
		print "printf(\"%d\\n\", s); return 0; }"
	}' </dev/null >work.c
	warm "$(gcc -print-prog-name=cc1)" "$(command -v as)" "$(command -v gcc)"
	same gcc run_gcc
else
	skip gcc "no gcc"
fi

# ---------------------------------------------------------------------

# The server is disturbed, its clients are not. What it has in the end is told by
# its own digest, and by a snapshot that a forked child of it writes meanwhile.
run_redis() {
	local to=$1 server rc=0 i
	shift
	rm -f sock dump.rdb
	"$@" redis-server --port 0 --unixsocket "$out/sock" --save '' --appendonly no \
		--daemonize no --dir "$out" --enable-debug-command yes --logfile "$out/redis.log" &
	server=$!
	for ((i = 0; i < 300; i++)); do
		[ "$(redis-cli -s sock ping 2>/dev/null)" != PONG ] || break
		sleep 0.2
	done
	redis-cli -s sock --pipe <redis.in >redis.out 2>&1 || rc=1
	redis-cli -s sock bgsave >/dev/null || rc=1
	redis-benchmark -s sock -q -n $((20000 / divide)) -c 8 -P 4 -t get,incr,ping_mbulk \
		>redis.bench 2>&1 || rc=1
	redis-benchmark -s sock -q -n $((10000 / divide)) -c 8 -d 2000 -r 500 lpush list:__rand_int__ __rand_int__ \
		>>redis.bench 2>&1 || rc=1
	for ((i = 0; i < 300; i++)); do
		redis-cli -s sock info persistence 2>/dev/null | grep -q rdb_bgsave_in_progress:1 || break
		sleep 0.2
	done
	redis-cli -s sock info persistence | grep rdb_last_bgsave_status | tr -d '\r' >answer
	# What the benchmark put there is random.
	redis-cli -s sock --scan --pattern 'list:*' | xargs -r -n 100 redis-cli -s sock del >/dev/null
	redis-cli -s sock del counter:__rand_int__ >/dev/null
	redis-cli -s sock debug digest >>answer || rc=1
	redis-cli -s sock dbsize >>answer || rc=1
	redis-cli -s sock shutdown nosave >/dev/null 2>&1
	wait "$server" || rc=1
	redis-check-rdb dump.rdb 2>&1 | grep -cE 'Checksum OK|RDB looks OK' >>answer
	mv answer "$to"
	return "$rc"
}
# The package with that name would start a service; the program is in the tools.
if ! command -v redis-server >/dev/null && command -v redis-check-rdb >/dev/null; then
	mkdir bin
	ln -s "$(command -v redis-check-rdb)" bin/redis-server
	PATH=$out/bin:$PATH
fi
if command -v redis-server >/dev/null && command -v redis-benchmark >/dev/null; then
	awk -v n=$((30000 / divide)) 'BEGIN {
		for (i = 0; i < n; i++) {
			printf "SET key:%d value:%d:%d\n", i, i * 7919, i
			if (i % 4 == 0)
				printf "HSET hash:%d f%d v%d\n", i % 100, i, i
			if (i % 5 == 0)
				printf "ZADD zset:%d %d m%d\n", i % 50, i % 977, i
		}
	}' </dev/null >redis.in
	warm "$(command -v redis-server)"
	same redis run_redis
else
	skip redis "no redis-server and redis-benchmark"
fi

# ---------------------------------------------------------------------
# The words of it.

this=1
"$ptefault" run --chaos 50 -- sh -c 'sleep 1; echo out; exit 7' >stdout 2>stderr
ok "exits as the command did" $(($? != 7)) "$(cat stderr)"
grep -qx out stdout && [ "$(wc -l <stdout)" = 1 ]
ok "stdout is the command's" $? "$(cat stdout)"
grep -qE '^chaos: [0-9]+ pages disturbed, [0-9]+ faults$' stderr
ok "the report's line" $? "$(cat stderr)"
"$ptefault" run --chaos 50,notpresent,stash --report r -- sh -c 'kill -TERM $$' >stdout 2>stderr
ok "128 and the signal" $(($? != 143)) "$(cat stderr)"
grep -q '^chaos: ' r && ! grep -q '^chaos: ' stderr
ok "the report in a file" $? "$(cat r stderr)"
grep -qE 'NOTPRESENT [0-9]+ STASH [0-9]+$' r
ok "only the kinds asked for" $? "$(cat r)"
for bad in x -1 10,dontneed 10,nosuch 10,present; do
	"$ptefault" run --chaos "$bad" -- true >stdout 2>stderr
	ok "--chaos $bad is refused" $(($? != 2)) "$(cat stderr)"
done
"$ptefault" stat --json | grep -q '"sessions":1,'
ok "no session is left" $?

finish
