#!/bin/bash
# A user without privileges mounts through fusermount3: an own image, an own directory.
. "$(dirname "$0")/../lib.sh"
a_user
board "$SRC/a.img" text
ln -s a.img "$SRC/89025d75"
[ "$(id -u)" != 0 ] || chown -R 65534:65534 "$SRC" "$MNT" "$T"
me "$IMAGEFS" "$SRC" "$MNT" 2>"$T/imagefs.log" || fail "exit $?: $(cat "$T/imagefs.log")"
is "as a user" "$(me cat "$MNT/89025d75/config.txt")" text
me mcopy -o -Q -i "$SRC/a.img@@1M" - ::/config.txt <<<changed
is "changed" "$(me cat "$MNT/a/config.txt")" changed
me fusermount3 -u "$MNT"
wait_until 10 not_mounted
me "$IMAGEFS" "$SRC/a.img" "$MNT" 2>"$T/imagefs.log" || fail "exit $?: $(cat "$T/imagefs.log")"
is "one image" "$(me cat "$MNT/config.txt")" changed
me fusermount3 -u "$MNT"
