#!/bin/bash
# A mount that a crash left behind (ENOTCONN) is taken over by the next start.
. "$(dirname "$0")/../lib.sh"
board "$SRC/a.img" text
mount_imagefs
pid=$(daemon_pid)
exec 7<"$MNT/a/config.txt"
kill -KILL "$pid"
wait_until 10 gone "$pid"
refuses 'not connected' ls "$MNT"
mount_imagefs
is "taken over" "$(cat "$MNT/a/config.txt")" text
is "mounted once" "$(grep -c " $MNT " /proc/self/mounts)" 1
exec 7<&-
unmount_imagefs
