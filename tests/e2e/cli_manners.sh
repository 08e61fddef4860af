#!/bin/bash
# The daemon's manners: to the background only when the mount answers, -f stays, signals
# and umount end it with exit 0, its descriptors 0-2 are taken, it holds no directory.
. "$(dirname "$0")/../lib.sh"
requires fuse
board "$SRC/a.img" text
for round in $(seq 20); do
	"$IMAGEFS" "$SRC" "$MNT" || fail "exit $?"
	is "at once" "$(cat "$MNT/a/config.txt")" text
	unmount_imagefs
done

# The end of options, also where some of them are libfuse's.
"$IMAGEFS" -o default_permissions -- "$SRC" "$MNT" || fail "exit $?"
is "behind --" "$(cat "$MNT/a/config.txt")" text
unmount_imagefs

# The caller's pipe ends when imagefs goes to the background.
out=$(timeout 10 "$IMAGEFS" "$SRC" "$MNT" 2>&1) || fail "the pipe stayed open, or: $out"
pid=$(daemon_pid)
for fd in 0 1 2; do [ -e "/proc/$pid/fd/$fd" ] || fail "descriptor $fd is free"; done
is "session of its own" "$(awk '{ print $6 }' "/proc/$pid/stat")" "$pid" ||
	fail "still in the caller's session"
is "working directory" "$(readlink "/proc/$pid/cwd")" /
unmount_imagefs

for signal in TERM INT; do
	"$IMAGEFS" -f "$SRC" "$MNT" 2>"$T/foreground.log" &
	pid=$!
	wait_until 10 is_mounted
	is "in the foreground" "$(cat "$MNT/a/config.txt")" text
	kill -$signal $pid
	status=0
	wait $pid || status=$?
	is "exit status after SIG$signal" $status 0
	not_mounted || fail "still mounted after SIG$signal"
done

"$IMAGEFS" -f "$SRC" "$MNT" 2>"$T/foreground.log" &
pid=$!
wait_until 10 is_mounted
umount "$MNT" 2>/dev/null || fusermount3 -u "$MNT"
status=0
wait $pid || status=$?
is "exit status after umount" $status 0

# Unmounted before it could say that it is ready: it ends all the same.
for round in $(seq 30); do
	"$IMAGEFS" -f "$SRC" "$MNT" 2>"$T/foreground.log" &
	pid=$!
	until is_mounted; do :; done
	umount -l "$MNT" 2>/dev/null || fusermount3 -uz "$MNT"
	wait_until 15 gone $pid
	wait $pid || fail "round $round: exit $?"
done

# Ended with a file open: the mount goes, the daemon ends.
"$IMAGEFS" -f "$SRC" "$MNT" 2>"$T/foreground.log" &
pid=$!
wait_until 10 is_mounted
exec 7<"$MNT/a/config.txt"
kill $pid
wait_until 10 not_mounted
exec 7<&-
status=0
wait $pid || status=$?
is "exit status with a file open" $status 0

# Started with descriptors 0-2 closed.
"$IMAGEFS" "$SRC" "$MNT" <&- >&- 2>&-
is "with 0-2 closed" "$(cat "$MNT/a/config.txt")" text
unmount_imagefs
