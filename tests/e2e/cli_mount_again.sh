#!/bin/bash
# umount and mount in one breath, again and again: it is mounted, and servers can report; a
# signal leaves nothing behind.
. "$(dirname "$0")/../lib.sh"
requires root netns
board "$SRC/a.img" text
for round in $(seq 25); do
	mount_imagefs
	is "round $round" "$(cat "$MNT/a/config.txt")" text
	is_mounted "$CONTROL" || fail "round $round: no control files"
	umount "$MNT"
done

no_daemon() { [ -z "$(pids_of_daemons "$MNT ")" ]; }
wait_until 10 no_daemon

# A signal: the process ends when both mounts have gone, whoever of its threads takes them away.
for round in $(seq 25); do
	mount_imagefs
	pid=$(daemon_pid)
	kill "$pid"
	wait_until 10 gone "$pid"
	not_mounted && not_mounted "$CONTROL" || fail "round $round: a mount stays"
	[ ! -e "$CONTROL" ] || fail "round $round: $CONTROL stays"
done
is "said" "$(cat "$T/imagefs.log")" ''
