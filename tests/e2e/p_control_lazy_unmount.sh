#!/bin/bash
# P: after umount -l, while somebody stands in the mount, the next mount of the place has the control files,
# wherever the one before had them; that one goes on for who is in it, and takes nothing away when it ends.
. "$(dirname "$0")/../lib.sh"
requires root netns
IMAGEFSCTL=$(dirname "$IMAGEFS")/imagefsctl
board "$SRC/jammy.img" text
names() { find "$1" -mindepth 1 -printf '%f\n' | sort | tr '\n' ' '; }
all='jammy metrics status status.json '
round() { # round CONTROL BEFORE OPTIONS...: mounted with BEFORE, then with OPTIONS; control files in CONTROL
	local control=$1 before=$2 after=$3 old sleeper
	mount_imagefs -o "$before" "$SRC" "$MNT"
	old=$(daemon_pid)
	exec 7>"$(findmnt -n -o TARGET -S "imagefs:$MNT")/jammy" # a server reports
	(cd "$MNT/jammy" && exec sleep infinity) &
	sleeper=$!
	PIDS+=("$sleeper")
	stands() { [[ $(readlink "/proc/$sleeper/cwd") == */jammy ]]; }
	wait_until 10 stands
	umount -l "$MNT"
	: >"$T/imagefs.log"
	mount_imagefs -o "$after" "$SRC" "$MNT"
	is "$before, $after: lines ($(cat "$T/imagefs.log"))" "$(grep -c . "$T/imagefs.log")" 1
	is "$before, $after: control files" "$(names "$control")" "$all"
	is "$before, $after: only those" "$(grep -c "^imagefs:$MNT " /proc/self/mounts)" 1
	"$IMAGEFSCTL" status jammy >/dev/null || fail "$before, $after: imagefsctl does not find them"
	is "the one before serves on" "$(cat "/proc/$sleeper/cwd/config.txt")" text
	echo flush >&7 || fail "the server that reports to the one before got an error"
	kill "$old" # connected still: a server reports
	exec 7>&-
	kill "$sleeper"
	wait_until 15 gone "$old"
	is "$before, $after: when it has ended" "$(names "$control")" "$all"
	is "$before, $after: served" "$(cat "$MNT/jammy/config.txt")" text
	unmount_imagefs
	[ "$control" != "$CONTROL" ] || [ ! -e "$control" ] || fail "$control stays"
}
round "$CONTROL" noatime noatime
round "$T/place" "control=$T/place" "control=$T/place"
round "$T/place" "control=$T/other" "control=$T/place"
round "$CONTROL" "control=$T/place" noatime
[ ! -e "$T/other" ] || fail "the directory of the one before stays"

# Those of another place are not taken.
mkdir "$T/two"
mount_imagefs
refuses 'already mounted' "$IMAGEFS" -o "control=$CONTROL" "$SRC" "$T/two"
is "of another place" "$(names "$CONTROL")" "$all"
unmount_imagefs
