#!/bin/bash
# P: a user without privileges has control files where he asks for them, and his reports are
# taken in; without being asked there are none.
. "$(dirname "$0")/../lib.sh"
a_user
board "$SRC/jammy.img" text
[ "$(id -u)" != 0 ] || chown -R 65534:65534 "$SRC" "$MNT" "$T"
me "$IMAGEFS" "$SRC" "$MNT" 2>"$T/imagefs.log" || fail "exit $?: $(cat "$T/imagefs.log")"
is "said" "$(cat "$T/imagefs.log")" ''
is "control mounts" "$(grep -c "imagefs:$MNT " /proc/self/mounts || true)" 0
me fusermount3 -u "$MNT"
wait_until 10 not_mounted

me "$IMAGEFS" -o "control=$T/control" "$SRC" "$MNT" 2>"$T/imagefs.log" || fail "exit $?: $(cat "$T/imagefs.log")"
me sh -c 'echo flush >"$0"' "$T/control/jammy"
me sh -c 'exec >"$0"; echo write 0 512; echo done' "$T/control/jammy"
me cat "$T/control/jammy" >"$T/status"
grep -q '^image: jammy' "$T/status" || fail "$(cat "$T/status")"
grep -q '^reported writes: 1, 512 bytes, 0 in flight' "$T/status" || fail "$(cat "$T/status")"
is "the mount" "$(me cat "$MNT/jammy/config.txt")" text
me fusermount3 -u "$MNT"
wait_until 10 not_mounted
wait_until 10 not_mounted "$T/control"
