#!/bin/bash
# R, S1, S2, E: whatever a block server says, its image is EIO, or what its bytes are, in time; the daemon and the images beside
# it go on, and a server that tells the truth again is believed.
. "$(dirname "$0")/../lib.sh"
requires netns
board "$SRC/good.img" good
board "$T/far.img" far
"$PYTHON" "$TOOLS/hostile_nbd.py" "$T/sock" "$T/far.img" 2>"$T/server.log" &
PIDS+=($!)
wait_until 10 test -S "$T/sock"
read -r -a ways <<<"$("$PYTHON" "$TOOLS/hostile_nbd.py" | sed -n 1p)"
[ ${#ways[@]} -gt 20 ] || fail "no ways to lie"
for way in "${ways[@]}"; do ln -s "nbd+unix:///$way?socket=$T/sock" "$SRC/$way.img"; done
mount_imagefs
pid=$(daemon_pid)
is "the truth" "$(cat "$MNT/good/config.txt")" good
for round in 1 2; do
	for way in "${ways[@]}"; do
		# Each request of a path is answered in time; there are some, and the kernel tries again after ESTALE.
		got=$(timeout 10 cat "$MNT/$way/config.txt" 2>"$T/said") || [ $? != 124 ] || fail "$way hangs"
		case $way in
		size-half | size-double | size-2^63 | many-replies) [ -z "$got" ] || is "$way" "$got" far ;;
		*) [ -z "$got" ] || fail "$way: read '$got'" && grep -q 'Input/output error' "$T/said" || fail "$way: $(cat "$T/said")" ;;
		esac
		is "the neighbour of $way" "$(cat "$MNT/good/config.txt")" good
	done
done
kill -0 "$pid" || fail "the daemon is gone"
unfolded "$CONTROL/status" >"$T/status"
for way in silence close wrong-option block-32K wrong-magic; do
	grep -q "^ *$way: .*its block server" "$T/status" || fail "$way is not said: $(cat "$T/status")"
done
# Another server's image, while this one talks and does not come to an end: the handshake of each is its own matter.
"$PYTHON" "$TOOLS/hostile_nbd.py" "$T/sock2" "$T/far.img" 2>>"$T/server.log" &
PIDS+=($!)
wait_until 10 test -S "$T/sock2"
ln -s "nbd+unix:///truth?socket=$T/sock2" "$SRC/remote.img"
wait_until 10 grep -qx far "$MNT/remote/config.txt"
while sleep 0.05; do cat "$MNT/endless-options/config.txt" || true; done >/dev/null 2>&1 &
PIDS+=($!)
# New connections of its own are among them: after two seconds each is too old.
for _ in {1..40}; do
	timeout 10 cat "$MNT/remote/config.txt" >"$T/got" 2>"$T/said" || [ $? != 124 ] || fail "the remote neighbour hangs"
	wait_until 10 grep -qx far "$MNT/remote/config.txt"
	sleep 0.1
done
kill "$!"
# The same link, to the truth.
ln -sfn "nbd+unix:///another?socket=$T/sock" "$SRC/garbage.img"
wait_until 20 grep -qx far "$MNT/garbage/config.txt"
