#!/bin/bash
# mount.fuse3's drop_privileges: it mounts, passes the connection as /dev/fd/N, and imagefs starts without
# any capability.
. "$(dirname "$0")/../lib.sh"
requires root netns mount mount.fuse3 setpriv
mount -t tmpfs -o mode=755 tmpfs /usr/local/bin
ln -s "$IMAGEFS" /usr/local/bin/imagefs
{ cat /etc/passwd; echo imagefs:x:61234:61234::/nonexistent:/usr/sbin/nologin; } >"$T/passwd"
mount --bind "$T/passwd" /etc/passwd # whom it could not become
board "$SRC/a.img" text
nobody() { setpriv --reuid 65534 --regid 65534 --clear-groups "$@"; }
mounts() { mount -t fuse.imagefs -o "$1,drop_privileges" "$SRC" "$MNT" 2>"$T/said" || fail "$1: $(cat "$T/said")"; }
serving() { for process in /proc/[0-9]*; do [ "$(readlink "$process/exe")" = "$IMAGEFS" ] && [ "$(cat "$process/comm")" = imagefs ] && echo "${process#/proc/}"; done || true; }

mounts ro,allow_other,default_permissions,uid=33
is "says nothing" "$(cat "$T/said")" ''
is "served" "$(nobody cat "$MNT/a/config.txt")" text
is "options" "$(stat -c %u "$MNT/a/config.txt")" 33
pid=$(serving)
is "capabilities" "$(awk '/^Cap(Prm|Eff|Bnd)|^NoNewPrivs/ { print $2 }' "/proc/$pid/status" | sort -u | tr '\n' ' ')" \
	'0000000000000000 1 '
put second "$SRC/a.img" /config.txt
is "fresh" "$(cat "$MNT/a/config.txt")" second
[ -z "$(ls /run/imagefs)" ] || fail "control files of a mount whose place nobody said: $(ls /run/imagefs)"
umount "$MNT"
wait_until 10 gone "$pid"

mounts ro
pid=$(serving)
kill "$pid"
wait_until 10 gone "$pid"
refuses 'not connected' ls "$MNT" # it may not unmount what is not its own
umount "$MNT"

mounts rw
grep -q 'nothing can be written' "$T/said" || fail "rw: $(cat "$T/said")"
umount "$MNT"
