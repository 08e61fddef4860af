#!/bin/bash
# P: the control files come and go with the mount, by default under /run/imagefs; control=DIR
# moves them, control=none leaves them out. Never inside of SOURCE or of the mount. What a
# crash left is taken over. They answer when the daemon says it is ready.
. "$(dirname "$0")/../lib.sh"
requires root netns
board "$SRC/jammy.img" text
names() { ls "$1" | tr '\n' ' '; }

for round in $(seq 10); do
	mount_imagefs
	is "there at once" "$(names "$CONTROL")" 'jammy metrics status status.json '
	unmount_imagefs
	not_mounted "$CONTROL" || fail "the control mount stays behind"
	[ ! -e "$CONTROL" ] || fail "its directory stays behind"
done

"$IMAGEFS" -f "$SRC" "$MNT" 2>"$T/foreground.log" &
pid=$!
wait_until 10 is_mounted
exec 7>"$CONTROL/jammy"
kill $pid
wait_until 10 not_mounted
wait_until 10 not_mounted "$CONTROL"
exec 7>&-
status=0
wait $pid || status=$?
is "exit status after SIGTERM, with a control file open" $status 0

# Moved: made if need be, and left alone if it was there.
mount_imagefs -o "control=$T/new/place" "$SRC" "$MNT"
is "moved" "$(names "$T/new/place")" 'jammy metrics status status.json '
not_mounted "$CONTROL" || fail "the default place is taken all the same"
unmount_imagefs
[ ! -e "$T/new/place" ] || fail "a directory of ours stays behind"
mkdir "$T/theirs"
(cd "$T" && mount_imagefs -o control=theirs "$SRC" "$MNT") # relative
is "in theirs" "$(names "$T/theirs")" 'jammy metrics status status.json '
unmount_imagefs
[ -d "$T/theirs" ] || fail "their directory is gone"

mount_imagefs -o control=none "$SRC" "$MNT"
is "none" "$(grep -c "^imagefs:$MNT " /proc/self/mounts || true)" 0
unmount_imagefs

# Unmounted alone: the mount goes on, and ends as ever.
mount_imagefs
umount "$CONTROL"
is "without control files" "$(cat "$MNT/jammy/config.txt")" text
unmount_imagefs

# After a crash.
mount_imagefs
exec 7>"$CONTROL/jammy"
pid=$(daemon_pid)
kill -KILL "$pid"
wait_until 10 gone "$pid" # who is asked while it dies says that otherwise
refuses 'not connected' ls "$CONTROL"
mount_imagefs
is "taken over" "$(names "$CONTROL")" 'jammy metrics status status.json '
is "mounted once" "$(grep -c " $CONTROL " /proc/self/mounts)" 1
is "and the mount" "$(cat "$MNT/jammy/config.txt")" text
exec 7>&-

# The same last component: served without control files, and said so.
mkdir -p "$T/other/mnt" "$T/src2"
board "$T/src2/focal.img" other
"$IMAGEFS" "$T/src2" "$T/other/mnt" 2>"$T/second"
is "one line" "$(grep -c . "$T/second")" 1
grep -qF "$CONTROL" "$T/second" || fail "not named: $(cat "$T/second")"
is "served all the same" "$(cat "$T/other/mnt/focal/config.txt")" other
is "not mixed" "$(names "$CONTROL")" 'jammy metrics status status.json '
unmount_imagefs "$T/other/mnt"
is "still there" "$(names "$CONTROL")" 'jammy metrics status status.json '
mount_imagefs -o "control=$T/second-control" "$T/src2" "$T/other/mnt"
is "two" "$(names "$T/second-control")" 'focal metrics status status.json '

# refuses_control PLACE [OPTION]: exit status 1, one line that names it, nothing left behind.
refuses_control() {
	local status=0
	mkdir -p "$T/third"
	"$IMAGEFS" -o "control=$1" "$SRC" "$T/third" 2>"$T/stderr" || status=$?
	is "control=$1: exit status" $status 1
	is "control=$1: lines ($(cat "$T/stderr"))" "$(grep -c . "$T/stderr")" 1
	grep -qF "$1" "$T/stderr" || fail "control=$1 is not named: $(cat "$T/stderr")"
	not_mounted "$T/third" || fail "control=$1: mounted all the same"
}
refuses_control "$CONTROL"
refuses_control "$SRC"
refuses_control "$SRC/control"
[ ! -e "$SRC/control" ] || fail "something was made in SOURCE"
ln -s "$SRC" "$T/link"
refuses_control "$T/link/control"
refuses_control "$T/third"
refuses_control "$T/third/below"
refuses_control "$T"
refuses_control "$SRC/jammy.img"
refuses_control /proc/no-such/place
for bad in control= control_group=no-such-group control_group=-1; do
	status=0
	"$IMAGEFS" -o "$bad" "$SRC" "$T/third" 2>"$T/stderr" || status=$?
	is "$bad: exit status" $status 2
	grep -qF "$bad" "$T/stderr" || fail "$bad is not named: $(cat "$T/stderr")"
done
unmount_imagefs "$T/other/mnt"
unmount_imagefs

# One image: a file of its name.
mount_imagefs "$SRC/jammy.img" "$MNT"
is "one image" "$(names "$CONTROL")" 'jammy metrics status status.json '
echo flush >"$CONTROL/jammy.img"
grep -q '^image: jammy' "$CONTROL/jammy" || fail "no status of it"
unmount_imagefs
