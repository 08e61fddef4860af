#!/bin/bash
# S1: names and texts of images, names in SOURCE and command lines reach a terminal, the log, status
# and error messages as text only: nothing controls the terminal, U+0080 to U+009F among it (U+009B
# is ESC and [ in one), or turns a line around.
. "$(dirname "$0")/../lib.sh"
requires root netns script
IMAGEFSCTL=$(dirname "$IMAGEFS")/imagefsctl PREP=$(dirname "$IMAGEFS")/imagefs-prep STORM=$(dirname "$IMAGEFS")/tftp-storm
csi=$'\xc2\x9b31mRED' turn=$'\xe2\x80\xaegpj.' isolate=$'\xe2\x81\xa6x' escape=$'\x1b[31mRED' bell=$'\a'
evil="a$csi$turn$isolate"

board "$SRC/plain.img" text
put text "$SRC/plain.img" "/$evil.txt"
put "start_file=$csi.elf"$'\n'"kernel=$escape.img"$'\n' "$SRC/plain.img" /config.txt
board "$SRC/$evil$escape$bell.img" text
ln -s "$evil$escape$bell.img" "$SRC/b$evil"

# Text, line feeds and tabs; colours of check are its own, and switched off.
safe() { # safe WHAT FILE
	"$PYTHON" - "$2" <<'PY' || fail "$1: $(od -c "$2" | head -n 40)"
import sys, unicodedata
text = open(sys.argv[1], "rb").read().decode().replace("\r\n", "\n")
bad = [c for c in text if c not in "\n\t" and unicodedata.category(c) in ("Cc", "Cf", "Zl", "Zp")]
sys.exit(repr(bad) if bad or not text else 0)
PY
}
on_terminal() { NO_COLOR=1 script -qec "$(printf '%q ' "$@")" /dev/null </dev/null >"$T/out" 2>&1 || true; }
for arguments in "ls $SRC/plain.img" "ls -l $SRC/plain.img" "check --pi 4 $SRC/plain.img" "check --pi 4 --json $SRC/plain.img"; do
	# shellcheck disable=SC2086 # a list
	on_terminal "$IMAGEFSCTL" $arguments
	grep -qE 'RED|BOARD' "$T/out" || fail "imagefsctl $arguments: $(cat "$T/out")"
	safe "imagefsctl $arguments" "$T/out"
done
is "a name in a pipe" "$("$IMAGEFSCTL" ls "$SRC/plain.img" | grep -cF "$evil.txt")" 1

# Command lines, in error messages: of which none is in the terminal's own hands.
say() { "$@" >"$T/out" 2>&1 </dev/null && fail "$*: succeeded"; safe "$*" "$T/out"; }
say "$IMAGEFSCTL" "$evil$escape"
say "$IMAGEFSCTL" "--$evil$escape"
say "$IMAGEFSCTL" ls "$SRC/$evil$escape"
say "$IMAGEFSCTL" ls "$SRC/plain.img" "$evil$escape"
say "$IMAGEFSCTL" --control "$T/$evil$escape" status
for wrong in "--$evil$escape" "--boot-partition=$evil$escape" "--initramfs=$evil$escape" "--root=$evil$escape" "--size=$evil$escape"; do
	say "$PREP" "$wrong" "$SRC/plain.img"
done
say "$PREP" "$T/$evil$escape"
say "$STORM" "--$evil$escape" localhost
say "$STORM" --model "$evil$escape" localhost
say "$STORM" --against "$T/$evil$escape" --file x --timeout 0.1 localhost 1
say "$IMAGEFS" "$T/$evil$escape" "$MNT"
say "$IMAGEFS" "$SRC" "$T/$evil$escape"
say "$IMAGEFS" "$SRC" "$MNT" "$evil$escape"
say "$IMAGEFS" -o "$evil$escape" "$SRC" "$MNT"
say "$IMAGEFS" -o "control=$SRC/$evil$escape" "$SRC" "$MNT"
say "$IMAGEFS" -o "changes=$evil$escape" "$SRC" "$MNT"

# The log and status.
truncate -s 1M "$SRC/z$evil$escape.img"
"$IMAGEFS" -f -v --debug=requests:files:changes "$SRC" "$MNT" 2>"$T/trace" &
PIDS+=($!)
wait_until 10 is_mounted
for name in "$MNT/z$evil$escape/config.txt" "$MNT/plain/$evil.txt" "$MNT/$escape$evil" "$MNT/b$evil/$csi.txt"; do
	cat "$name" >/dev/null 2>&1 || true
done
wait_until 10 grep -q 'RED.*config.txt: .*EIO' "$T/trace"
cp "$T/trace" "$T/out"
safe "the log" "$T/out"
for file in status status.json metrics plain "b$evil"; do
	cat "$CONTROL/$file" >"$T/out"
	safe "$file" "$T/out"
done
# JSON loses nothing: the names are found by it.
"$PYTHON" - "$CONTROL/status.json" "$evil$escape$bell" "b$evil" <<'PY'
import json, sys
images = {image["name"]: image for image in json.load(open(sys.argv[1]))["images"]}
assert images[sys.argv[2]]["boards"] == [sys.argv[3]], images.keys()
PY
"$IMAGEFSCTL" status --json "b$evil" >"$T/out"
safe "status --json of one" "$T/out"
is "an image by its name" "$("$IMAGEFSCTL" ls "b$evil")" config.txt
umount "$MNT"
