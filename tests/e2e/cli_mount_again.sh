#!/bin/bash
# umount and mount in one breath, again and again: it is mounted, and servers can report.
. "$(dirname "$0")/../lib.sh"
requires root netns
board "$SRC/a.img" text
for round in $(seq 25); do
	mount_imagefs
	is "round $round" "$(cat "$MNT/a/config.txt")" text
	is_mounted "$CONTROL" || fail "round $round: no control files"
	umount "$MNT"
done
is "said" "$(cat "$T/imagefs.log")" ''
