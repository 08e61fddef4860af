#!/bin/bash
# umount(8), plain and as systemd runs it (-c), returns when the daemon has let go of SOURCE: its storage can be
# unmounted next, however busy the machine is. It waits for nobody where the daemon stays: another mount of it, umount -l; nor for ever for a stopped one.
. "$(dirname "$0")/../lib.sh"
requires root netns mount umount pgrep
mkdir "$T/upper" "$T/work" && mount -t overlay -o "lowerdir=/usr/sbin,upperdir=$T/upper,workdir=$T/work" overlay /usr/sbin ||
	skip "needs overlayfs"
cp "$IMAGEFS" /usr/sbin/umount.fuse.imagefs # users run it, too
ln -s "$IMAGEFS" /usr/sbin/imagefs # for mount -o remount
for i in 1 2 3 4 5; do board "$T/$i.img" text; done
for i in 1 2; do (while :; do :; done) & PIDS+=($!); done
for round in $(seq 12); do
	mount -t tmpfs storage "$SRC"
	cp "$T"/*.img "$SRC"
	mount_imagefs
	cat "$MNT"/*/config.txt >/dev/null
	pids="$(pids_of_daemons "$MNT ") $(pgrep -P "$(daemon_pid)")"
	if [ $((round % 4)) = 0 ]; then umount -c "$MNT"; else umount "$MNT"; fi
	for pid in $pids; do gone "$pid" || fail "round $round: process $pid is still there"; done
	umount "$SRC" || fail "round $round: the storage is busy"
done
for pid in "${PIDS[@]}"; do kill "$pid"; done

# What outlives a daemon that was killed is neither added to, nor in the way of what is mounted there next.
noted() { grep -c " TARGET=$MNT " /run/mount/utab; }
for round in 1 2; do
	mount_imagefs
	pid=$(daemon_pid)
	kill -TERM "$pid"
	wait_until 10 gone "$pid"
	is "lines of it" "$(noted)" 1
done
mount -t tmpfs other "$MNT"
umount "$MNT"
not_mounted || fail "something else there is not unmounted"
mount_imagefs
mount -o remount,noexec "$MNT" || fail "mount -o remount: exit $?"
umount "$MNT"

cp "$T"/*.img "$SRC"
quickly() { local before=$SECONDS; "$@" || fail "$*: exit $?"; [ $((SECONDS - before)) -le 3 ] || fail "$*: $((SECONDS - before)) s"; }
mkdir "$T/copy"
mount_imagefs
ln -s "$MNT" "$T/link"
umount.fuse.imagefs "$T/link" || fail "by a symlink: exit $?"
not_mounted || fail "by a symlink: still mounted"
mount_imagefs
mount --bind "$MNT" "$T/copy"
quickly umount -c "$T/copy"
mount --bind "$MNT" "$T/copy"
quickly umount -c "$MNT"
is "the copy" "$(cat "$T/copy/1/config.txt")" text
umount "$T/copy"

mount_imagefs
exec 7<"$MNT/1/config.txt"
status=0
umount -c "$MNT" 2>"$T/said" || status=$?
is "busy: exit status ($(cat "$T/said"))" $status 32
is_mounted || fail "unmounted while it was busy"
quickly umount -l "$MNT"
not_mounted || fail "umount -l: still mounted"
is "who is in it" "$(cat <&7)" text
exec 7<&-
no_daemon() { [ -z "$(pids_of_daemons "$MNT ")" ]; }
wait_until 10 no_daemon

mount_imagefs
pid=$(daemon_pid)
kill -STOP "$pid"
status=0
timeout 10 umount.fuse.imagefs "$MNT" 2>"$T/said" || status=$? # umount(8) itself looks there first, and waits
[[ $status = 0 || $status = 32 ]] || fail "a stopped daemon: exit status $status"
kill -CONT "$pid"
[ $status = 0 ] || quickly umount "$MNT"
wait_until 10 gone "$pid"

# Of the user who mounted it.
a_user
chown 65534 "$MNT"
me "$IMAGEFS" "$SRC" "$MNT"
quickly me umount "$MNT"
not_mounted || fail "the user's is mounted still"
