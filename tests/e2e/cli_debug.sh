#!/bin/bash
# -v, -d and --debug=: what is followed is in the log, and nothing else; without them nothing
# is said at all.
. "$(dirname "$0")/../lib.sh"
requires fuse
board "$SRC/jammy.img" text
ln -s jammy.img "$SRC/89025d75"
work() { # what there is to follow
	is "served" "$(cat "$MNT/89025d75/config.txt")" text
	refuses ENOENT cat "$MNT/89025d75/gone.txt"
	! is_mounted "$CONTROL" || echo flush >"$CONTROL/jammy"
}
# follows WORDS OPTION...: the log has lines of just these: absent, opened, image, report, open, request.
follows() {
	local wanted=$1 seen=''
	shift
	"$IMAGEFS" "$@" "$SRC" "$MNT" 2>"$T/log" &
	PIDS+=($!)
	wait_until 10 is_mounted
	work
	umount "$MNT" 2>/dev/null || fusermount3 -u "$MNT"
	wait_until 10 gone $!
	! grep -q 'gone.txt: asked for, and not there' "$T/log" || seen+=' absent'
	! grep -q 'config.txt: opened, version' "$T/log" || seen+=' opened'
	! grep -q 'jammy.img: opened$' "$T/log" || seen+=' image'
	! grep -q "jammy: a server's reports" "$T/log" || seen+=' report'
	! grep -q 'jammy.img: config.txt: open: answered after [0-9.]* ms, looked at [1-9]' "$T/log" || seen+=' open'
	! grep -q 'opcode: LOOKUP' "$T/log" || seen+=' request'
	is "$*" "${seen# }" "$wanted"
}
follows '' -f
is "without: not a line" "$(cat "$T/log")" ''
follows absent -f -v
follows 'absent opened' --debug=files
follows 'absent image' --debug=images
follows 'absent opened image' --debug=files,images
follows 'absent opened request' -o debug=requests:files
if [ "$(id -u)" = 0 ]; then
	follows 'absent report open' --debug=changes
	follows 'absent opened image report open request' -d
	follows 'absent opened image report open request' --debug=all
fi
