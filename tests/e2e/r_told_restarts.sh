#!/bin/bash
# R, C1: the server that says what is written is ended, and the image changed behind its back, and started again: with another
# instance, without the page, and at last another server takes the place of one that goes on serving who was connected. What
# is read is what the image holds, at once, and what was not changed keeps its inode.
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../filter.sh"
CHANGES=
make_fat32_image "$T/board.img"
for name in one two three; do put "$name 0" "$T/board.img" $name.txt; done
start() { # start [PLAIN]: on the same socket
	local filter=(--filter="$FILTER")
	[ $# = 0 ] || filter=()
	rm -f "$T/nbdkit.pid" "$SOCKET"
	nbdkit -f -U "$SOCKET" -P "$T/nbdkit.pid" "${filter[@]}" file "$T/board.img" &
	SERVER=$!
	PIDS+=("$SERVER")
	wait_until 10 test -s "$T/nbdkit.pid"
}
stop() { kill "$SERVER" && wait_until 10 gone "$SERVER"; }
SOCKET=$T/nbdkit.sock
start
ln -s "$(uri board)" "$SRC/board.img"
mount_imagefs -o settle=10 "$SRC" "$MNT"
shows() { [ "$(cat "$MNT/board/$1.txt" 2>/dev/null)" = "$2" ]; }
says() { grep -qx "changes: $1" "$CONTROL/board"; }
wait_until 5 shows one "one 0"
wait_until 5 shows two "two 0"
wait_until 5 says "told by NAME@writes"
inode=$(stat -c %i "$MNT/board/two.txt")
for i in 1 2 3 4; do
	stop
	put "one $i" "$T/board.img" one.txt
	if [ "$i" = 3 ]; then start plain; else start; fi
	# Refused until it is connected to; never what was before.
	for ((try = 0; try < 200; try++)); do
		got=$(cat "$MNT/board/one.txt" 2>/dev/null) && break
	done
	is "after start $i" "$got" "one $i"
	wait_until 5 shows two "two 0"
	is "the other file's inode" "$(stat -c %i "$MNT/board/two.txt")" "$inode"
	if [ "$i" = 3 ]; then
		wait_until 5 says "by nothing (everything is read again)"
		grep -q 'reports: none: its block server.* NAME@writes' "$CONTROL/board" || fail "$(cat "$CONTROL/board")"
	else
		wait_until 5 says "told by NAME@writes"
	fi
done
# The one that was there goes on, and knows of no more writes; its address is another one's, to whom they go.
old=$SERVER
start
kill -0 "$old" || fail "it ended"
cat >"$T/replaced.py" <<'PYTHON'
import sys, time
import nbd

uri, image, path = sys.argv[1:]
at = open(image, "rb").read().index(b"three 0")
writer = nbd.NBD()
writer.connect_uri(uri)
assert open(path).read() == "three 0"
writer.pwrite(b"three 1", at)
end = time.monotonic() + 8
# As long as a connection may be old (WAIT_NBD_AGE_NS, 2 s), and the other one beside it.
while open(path).read() != "three 1":
    assert time.monotonic() < end, "what the old one says is believed for ever"
stale = refused = 0
for number in range(2, 400):
    text = "three %d" % (number % 10)
    writer.pwrite(text.encode(), at)
    try:
        stale += open(path).read() != text
    except OSError:
        refused += 1
print(f"another server: {stale} stale, {refused} refused")
assert stale == 0 and refused < 200
PYTHON
"$PYTHON" "$T/replaced.py" "$(uri board)" "$T/board.img" "$MNT/board/three.txt"
