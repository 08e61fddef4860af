#!/bin/bash
# null_fs, the daemon that does nothing, beside which tools/bench measures: it has the names and the bytes of a directory, however
# it reads them, and a large file from within another one.
. "$(dirname "$0")/../lib.sh"
requires root netns
BUILD=$(dirname "$IMAGEFS")
[ -x "$BUILD/tests/tools/null_fs" ] || skip "needs a build with tests"
mkdir -p "$T/tree/a/b" "$T/null" && head -c 3000000 /dev/urandom >"$T/tree/a/b/data" && echo text >"$T/tree/a/text"
ln -s a/b "$T/tree/link" && ln -s nowhere "$T/tree/a/gone" && (cd "$T/tree/a" && touch empty{1..300})
dd if="$T/tree/a/b/data" of=/dev/null iflag=direct bs=4096 count=1 status=none || skip "no O_DIRECT in $T"
for options in "" -s -d; do
	# shellcheck disable=SC2086 # none, or one
	"$BUILD/tests/tools/null_fs" $options "$T/null" "$T/tree" >"$T/null.log" &
	wait_until 10 grep -q mounted "$T/null.log"
	diff -r --no-dereference "$T/tree" "$T/null" || fail "null_fs $options shows something else"
	refuses ENOENT cat "$T/null/a/b/other"
	umount "$T/null"
	wait $!
done
"$BUILD/tests/tools/null_fs" -l 2 -r "$T/tree/a/b/data:4096" "$T/null" >"$T/null.log" &
wait_until 10 grep -q mounted "$T/null.log"
tail -c +4097 "$T/tree/a/b/data" >"$T/tail"
cmp -n 2097152 "$T/null/large" "$T/tail" || fail "null_fs -r: other bytes"
umount "$T/null"
wait $!
