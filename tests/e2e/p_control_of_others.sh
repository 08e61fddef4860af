#!/bin/bash
# P: a mount of control files that some user made is not what root's imagefsctl finds; only root's
# and the caller's own are, whatever a user calls his.
. "$(dirname "$0")/../lib.sh"
requires root netns
a_user
IMAGEFSCTL=$(dirname "$IMAGEFS")/imagefsctl
board "$SRC/jammy.img" text
mkdir "$T/his" "$T/his/images" "$T/his/mnt"
board "$T/his/images/noble.img" text
chown -R 65534:65534 "$T/his"
me "$IMAGEFS" -o "control=$T/his/control" "$T/his/images" "$T/his/mnt" 2>"$T/imagefs.log" || fail "$(cat "$T/imagefs.log")"
said() { ! "$@" >"$T/out" 2>&1 || fail "$*: succeeded: $(cat "$T/out")"; cat "$T/out"; }
is "root alone" "$(said "$IMAGEFSCTL" status)" 'imagefsctl: no imagefs with control files is mounted here'
is "the user alone" "$(me "$IMAGEFSCTL" status --json | grep -c '"name": "noble"')" 1
mount_imagefs
is "root" "$("$IMAGEFSCTL" status --json | grep -c '"name": "jammy"')" 1
is "root, by an image's name" "$("$IMAGEFSCTL" ls jammy)" config.txt
said "$IMAGEFSCTL" ls noble >/dev/null
said me "$IMAGEFSCTL" status | grep -q "which one.*$T/his/control" || fail "the user: $(cat "$T/out")"
me fusermount3 -u "$T/his/mnt"
