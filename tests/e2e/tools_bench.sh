#!/bin/bash
# tools/bench measures what it is told to, prints a table or JSON, says what it could not do, writes the documents and
# the plots, and leaves nothing behind. How fast anything was is nobody's verdict.
. "$(dirname "$0")/../lib.sh"
requires root netns gnuplot ls
BUILD=$(dirname "$IMAGEFS")
[ -x "$BUILD/tests/tools/timed" ] || skip "needs a build with tests"
bench() { "$PYTHON" "$TOP/tools/bench" --build "$BUILD" --directory "$T" --quick "$@" 2>"$T/bench.log"; }
"$PYTHON" "$TOP/tools/bench" --list >"$T/list"
grep -q '^  memory ' "$T/list" || fail "$(cat "$T/list")"

bench --save "$T/saved" memory fragments >"$T/table" || fail "$(cat "$T/bench.log")"
is "rows" "$(grep -c '^| ' "$T/table")" $((2 + 5))
grep -q "^| memory with 100 images .* MiB (met) |$" "$T/table" || fail "$(cat "$T/table")"
grep -qF "Linux $(uname -r)" "$T/table" || fail "no kernel: $(cat "$T/table")"
grep -q '^Others ran meanwhile' "$T/table" || fail "what the machine was doing: $(cat "$T/table")"
"$PYTHON" - "$T/saved" <<'PYTHON' || fail "$(cat "$T/saved")"
import json, sys
result = json.load(open(sys.argv[1]))
assert {figure["group"] for figure in result["figures"]} == {"memory", "fragments"}
assert all(figure["ours"] > 0 and figure["ratio_min"] <= figure["ratio"] <= figure["ratio_max"] for figure in result["figures"])
assert result["machine"]["before"]["idle"] >= 0 and not result["skipped"]
PYTHON

# What is missing is skipped and said, and is no failure.
mkdir "$T/bin"
for program in "$(dirname "$IMAGEFS")"/{imagefs,tftp-storm,tests}; do ln -s "$program" "$T/bin/"; done
rm "$T/bin/tests" && mkdir -p "$T/bin/tests/tools" && ln -s "$BUILD/tests/tools/timed" "$T/bin/tests/tools/"
bench --build "$T/bin" fragments >"$T/table" || fail "$(cat "$T/bench.log")"
grep -q '^Skipped: fragments: needs direct_reads' "$T/table" || fail "$(cat "$T/table")"
status=0 && bench nonsense >"$T/table" || status=$?
is "no such group" $status 2

bench --growth --out "$T/growth" fat >"$T/table" || fail "$(cat "$T/bench.log")"
is "sizes" "$(wc -l <"$T/growth/fat.csv")" 3
[ "$(stat -c %s "$T/growth/fat.svg")" -lt 40000 ] || fail "a large SVG: $(stat -c %s "$T/growth/fat.svg")"
"$PYTHON" -c 'import sys, xml.dom.minidom; xml.dom.minidom.parse(sys.argv[1])' "$T/growth/fat.svg"
grep -qF '(fat.svg)' "$T/growth/README.md" || fail "$(cat "$T/growth/README.md")"

# Interrupted: its daemons and its files go with it.
"$PYTHON" "$TOP/tools/bench" --build "$BUILD" --directory "$T" --quick memory >"$T/table" 2>"$T/bench.log" &
killed=$!
is_measuring() { [ -n "$(pids_of_daemons)" ]; }
wait_until 20 is_measuring
kill $killed
status=0 && wait $killed || status=$?
is "interrupted" $status 1
wait_until 10 eval '[ -z "$(pids_of_daemons)" ]'
is "left behind" "$(find "$T" -name 'imagefs-bench*')" ''
