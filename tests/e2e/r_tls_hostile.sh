#!/bin/bash
# R, S1, S2: block servers that lie before, at and within TLS (tests/tools/tls_liar.py) are EIO for their own image, and leave no
# process behind; who reads beside them does not notice.
. "$(dirname "$0")/../lib.sh"
requires root netns
. "$HERE/tls.sh"
board "$SRC/near.img" near
"$PYTHON" "$TOOLS/tls_liar.py" "$TLS/server" 10801 >"$T/ways" &
PIDS+=($!)
wait_until 10 test -s "$T/ways"
mapfile -t ways <"$T/ways"
for i in "${!ways[@]}"; do ln -s "nbds://localhost:$((10801 + i))/?tls-certificates=$TLS/client" "$SRC/${ways[i]}"; done
mount_imagefs
relays() {
	local process
	for process in /proc/[0-9]*; do
		[ "$(readlink "$process/exe" 2>/dev/null)" != "$IMAGEFS" ] || [ "$(cat "$process/comm" 2>/dev/null)" != imagefs-relay ] || echo "${process#/proc/}"
	done
}
for way in "${ways[@]}" "${ways[@]}"; do
	refuses EIO cat "$MNT/$way/config.txt"
	is "a neighbour" "$(cat "$MNT/near/config.txt")" near
done
# All at once.
for way in "${ways[@]}"; do { ! cat "$MNT/$way/config.txt"; } 2>/dev/null & asking+=($!); done
is "a neighbour" "$(cat "$MNT/near/config.txt")" near
for pid in "${asking[@]}"; do wait "$pid" || fail "one was read"; done
says() { unfolded "$CONTROL/$1" | grep "$2" >/dev/null || fail "$1: $(cat "$CONTROL/$1")"; }
none() { [ -z "$(relays)" ]; }
wait_until 20 none
says refuse 'does not offer TLS'
says old_style 'does not offer TLS'
says noise 'does not offer TLS'
says no_tls_after_all 'TLS with its block server fails'
says silent 'does not answer'
says silent_within 'does not answer'
says ends_within 'no such export, or refuses it'
is "a neighbour" "$(cat "$MNT/near/config.txt")" near
