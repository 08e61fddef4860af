#!/bin/bash
# A change of imagefsctl that is killed, at whatever step, leaves the old version or the new one, whole: seen as
# soon as imagefsctl opens the image next. And not what somebody else wrote since is overwritten.
. "$(dirname "$0")/../lib.sh"
requires strace fsck.fat
export ASAN_OPTIONS=$ASAN_OPTIONS:detect_leaks=0 # which cannot be had under strace
IMAGEFSCTL=$(dirname "$IMAGEFS")/imagefsctl
ctl() { "$IMAGEFSCTL" "$@"; }
bits=${1:-16}
image=$SRC/jammy.img journal=$SRC/.jammy.img.imagefs-journal
case $bits in
12) make_image "$T/base.img" 4 12 ;;
16) make_image "$T/base.img" 12 16 -s 2 ;;
32) make_fat32_image "$T/base.img" ;;
esac
head -c 70000 /dev/urandom >"$T/old"
head -c 90000 /dev/urandom >"$T/new"
put "@$T/old" "$T/base.img" /kernel8.img
put config "$T/base.img" /config.txt
mkdir "$T/tree"
for i in {1..30}; do echo "$i" >"$T/tree/a long file name $i.txt"; done
cp "$T/new" "$T/tree/kernel8.img"

# The whole filesystem, as one line: of the old version, and of the new one.
state() {
	ctl cp -r "$1:" "$T/state.$$" && (cd "$T/state.$$" && find . -type f -exec sha256sum {} + | sort -k2 | sha256sum)
	rm -rf "$T/state.$$"
}
change() { { "$@" "$IMAGEFSCTL" cp -r "$T/tree/." "$image:" >"$T/change.log" 2>&1; } 2>/dev/null; }
fresh() { cp --sparse=always "$T/base.img" "$image"; rm -f "$SRC"/.jammy*; }
fresh
old=$(state "$image")
change env || fail "the change itself: $(cat "$T/change.log")"
new=$(state "$image")
[ "$old" != "$new" ] || fail "there is no change"
is "files beside the image" "$(ls -A "$SRC")" jammy.img

whole() {
	local got left
	left=$(ls -A "$SRC")
	got=$(state "$image" 2>"$T/said")
	[ "$got" = "$old" ] || [ "$got" = "$new" ] || fail "$1: a mixture ($left)"
	[ ! -e "$journal" ] || fail "$1: its journal is left"
	dd if="$image" of="$T/fat" bs=1M skip=1 conv=sparse status=none
	fsck.fat -n "$T/fat" >"$T/fsck.log" || fail "$1: $(cat "$T/fsck.log")"
	if [ "$got" = "$old" ]; then olds=$((olds + 1)); else news=$((news + 1)); fi
	if [[ $left == *imagefs-journal* && $left != *journal.new* ]]; then
		grep -q 'interrupted' "$T/said" || fail "$1: finished without a word"
		finished=$((finished + 1))
	fi
}
# Before each call that writes, makes durable, names or removes something.
olds=0 news=0 finished=0
for call in pwrite64 fdatasync fsync rename unlink ftruncate; do
	fresh
	change strace -qq -o "$T/calls" -e "trace=$call"
	calls=$(grep -c "^$call" "$T/calls" || true)
	for ((n = 1; n <= calls; n = n < 4 || n > calls - 12 ? n + 1 : n + 7)); do
		fresh
		! change strace -qq -o /dev/null -e "trace=$call" -e "inject=$call:signal=KILL:when=$n" || fail "not killed at $call $n"
		whole "killed at $call $n"
	done
done
echo "$NAME: $olds old, $news new, $finished finished from a journal"
[ $olds -gt 5 ] && [ $finished -ge 3 ] && [ $news -ge $finished ] || fail "not at every kind of step"

# Half a sector's neighbours are written, half not: what a lost connection or power leaves.
fresh
! change strace -qq -o /dev/null -e trace=fdatasync -e inject=fdatasync:signal=KILL:when=3 || fail "it was not killed"
[ -e "$journal" ] || fail "no journal at the third fdatasync"
"$PYTHON" - "$T/base.img" "$image" <<'PY'
import sys
old, new = open(sys.argv[1], "rb").read(), open(sys.argv[2], "r+b")
data = new.read()
for at in range(1 << 20, (1 << 20) + 65536, 1024):  # every other sector of the FATs and of the root goes back
    new.seek(at)
    new.write(old[at:at + 512])
PY
cp "$image" "$T/torn.img"
cp "$journal" "$T/journal"
whole "torn"

# Somebody wrote to it since: neither he nor the journal is lost.
cp --sparse=always "$T/torn.img" "$image"
cp "$T/journal" "$journal"
put other "$image" /config.txt
before=$(sha256sum <"$image")
refuses 'somebody wrote to it since' ctl rm "$image:config.txt"
is "the image" "$(sha256sum <"$image")" "$before"
[ -e "$journal" ] || fail "the journal is gone"
# A damaged journal is not applied, and one of a stranger neither.
cp --sparse=always "$T/torn.img" "$image"
"$PYTHON" - "$journal" <<'PY'
import sys
with open(sys.argv[1], "r+b") as file:
    file.seek(-100, 2)
    file.write(b"x")
PY
refuses 'somebody wrote to it since' ctl rm "$image:config.txt"
if [ "$(id -u)" = 0 ]; then
	cp "$T/journal" "$journal"
	chown 65534 "$journal"
	refuses 'not permitted' ctl rm "$image:config.txt"
fi
