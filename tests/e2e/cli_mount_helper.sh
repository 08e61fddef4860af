#!/bin/bash
# mount -t fuse.imagefs, and a real line of fstab by mount -T: all the options that
# mount(8) passes are accepted; rw mounts read-only and says so once.
. "$(dirname "$0")/../lib.sh"
requires root netns mount
[ -x /sbin/mount.fuse3 ] || [ -x /sbin/mount.fuse ] || skip "needs mount.fuse3 (fuse3)"
# mount.fuse3 looks imagefs up in PATH. In our own mount namespace we may put it there.
mount -t tmpfs -o mode=755 tmpfs /usr/local/bin
ln -s "$IMAGEFS" /usr/local/bin/imagefs
board "$SRC/a.img" text

mount -t fuse.imagefs "$SRC" "$MNT" 2>"$T/mount.log"
is "mount -t" "$(cat "$MNT/a/config.txt")" text
is "type" "$(findmnt -n -o FSTYPE "$MNT")" fuse.imagefs
is "source" "$(findmnt -n -o SOURCE "$MNT")" "$SRC"
findmnt -n -o OPTIONS "$MNT" | grep -q '^ro' || fail "not read-only"
umount "$MNT"

mount -t fuse.imagefs "$SRC" "$MNT" -o ro 2>"$T/mount.log"
is "mount -o ro says nothing" "$(cat "$T/mount.log")" ''
umount "$MNT"
mount -t fuse.imagefs "$SRC" "$MNT" -o rw 2>"$T/mount.log"
is "mount -o rw says so once ($(cat "$T/mount.log"))" "$(grep -ci read-only "$T/mount.log")" 1
umount "$MNT"

line() { # line OPTIONS: mounts through an fstab of one line
	echo "$SRC $MNT fuse.imagefs $1 0 0" >"$T/fstab"
	mount -T "$T/fstab" "$MNT" 2>"$T/mount.log" || fail "fstab with $1: $(cat "$T/mount.log")"
	is "fstab with $1" "$(cat "$MNT/a/config.txt")" text
}
line nofail,x-systemd.before=dnsmasq.service
umount "$MNT"
line defaults,noauto,_netdev,nofail,noatime,nodev,nosuid,noexec,x-systemd.automount,comment=here
umount "$MNT"
line relatime,user,dev,suid,exec,sync,auto,uid=33,gid=44,umask=027,fmask=0137,dmask=0027,tz=UTC,allow_other
is "options of the line" "$(stat -c '%u %g %a' "$MNT/a/config.txt")" '33 44 440'
umount "$MNT"
line defaults
mount -o remount,ro "$MNT" 2>/dev/null || true
is "after a remount" "$(cat "$MNT/a/config.txt")" text
umount "$MNT"
