#!/bin/bash
# P: what is mounted where, but hidden below another mount, is not in the way: in a mount
# namespace with its own /run the places that others use are free.
. "$(dirname "$0")/../lib.sh"
requires root netns
IMAGEFSCTL=$(dirname "$IMAGEFS")/imagefsctl
board "$SRC/jammy.img" text
names() { find "$1" -mindepth 1 -printf '%f\n' | sort | tr '\n' ' '; }
mount_imagefs
is "control files" "$(names "$CONTROL")" 'jammy metrics status status.json '
before=$(daemon_pid)

# Another mountpoint of that last component.
mkdir -p "$T/other/mnt" "$T/src2"
board "$T/src2/focal.img" other
mount -t tmpfs -o mode=755 imagefs-test /run/imagefs
mount_imagefs "$T/src2" "$T/other/mnt"
is "said" "$(cat "$T/imagefs.log")" ''
is "its own control files" "$(names "$CONTROL")" 'focal metrics status status.json '
"$IMAGEFSCTL" status --json | grep -q focal || fail "imagefsctl does not find the only control files to be seen"

# The very mountpoint, below another file system. Its readahead is set, not the hidden one's.
mount -t tmpfs -o mode=755 imagefs-test "$T/other"
mkdir "$T/other/mnt"
mount -t tmpfs -o mode=755 imagefs-test /run/imagefs
mount_imagefs "$T/src2" "$T/other/mnt"
is "the mount" "$(cat "$T/other/mnt/focal/config.txt")" other
is "control files again" "$(names "$CONTROL")" 'focal metrics status status.json '
kill -0 "$before" || fail "the hidden one has ended"

# What is seen is still in the way.
if "$IMAGEFS" "$SRC" "$T/other/mnt" 2>"$T/second"; then fail "mounted twice"; fi
grep -q 'already mounted' "$T/second" || fail "said: $(cat "$T/second")"

# From the top down, or the end of the test finds what it cannot reach.
umount "$T/other/mnt" "$T/other"
umount "$T/other/mnt"
