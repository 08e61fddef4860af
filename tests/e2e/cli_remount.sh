#!/bin/bash
# mount -o remount, as systemctl reload does it: what the kernel or nobody minds is accepted, and so are
# imagefs's own options as they are; another value is refused, with a line that says what to do.
. "$(dirname "$0")/../lib.sh"
requires root netns mount mount.fuse3
mount -t tmpfs -o mode=755 tmpfs /usr/local/bin
ln -s "$IMAGEFS" /usr/local/bin/imagefs
mkdir "$T/upper" "$T/work" && mount -t overlay -o "lowerdir=/usr/sbin,upperdir=$T/upper,workdir=$T/work" overlay /usr/sbin ||
	skip "needs overlayfs"
ln -s "$IMAGEFS" /usr/sbin/mount.imagefs
board "$SRC/a.img" text
flags() { findmnt -n -o OPTIONS "$MNT"; }
served() {
	is "$1: served" "$(cat "$MNT/a/config.txt")" text
	is "$1: mounted once" "$(grep -c " $MNT " /proc/self/mounts)" 1
}
remounts() { # remounts WHAT COMMAND...
	local what=$1
	shift
	"$@" >"$T/out" 2>&1 || fail "$what: $(cat "$T/out")"
	is "$what: says nothing" "$(cat "$T/out")" ''
	served "$what"
}
not_remounted() { # not_remounted NAMED COMMAND...
	local named=$1 before
	shift
	before=$(flags)
	if "$@" >"$T/out" 2>&1; then fail "$*: accepted"; fi
	is "$*: lines ($(cat "$T/out"))" "$(grep -c ^imagefs: "$T/out")" 1
	grep -qF -- "$named" "$T/out" || fail "$*: does not name $named: $(cat "$T/out")"
	served "$*"
	is "$*: flags" "$(flags)" "$before"
}

for type in imagefs fuse.imagefs; do
	echo "$SRC $MNT $type ro,nofail,x-systemd.before=dnsmasq.service,uid=33,gid=daemon,umask=022,settle=300 0 0" >"$T/fstab"
	mount -T "$T/fstab" "$MNT"
	pid=$(daemon_pid)
	remounts "$type: its line again" mount -T "$T/fstab" -o remount "$MNT"
	remounts "$type: as systemd" mount "$SRC" "$MNT" -o remount,ro,nofail,uid=33,gid=daemon,umask=022,settle=300 -t "$type"
	remounts "$type: by the mountpoint" mount -o remount "$MNT"
	remounts "$type: noexec" mount -o remount,noexec "$MNT"
	[[ $(flags) == *noexec* ]] || fail "$type: not noexec: $(flags)"
	remounts "$type: exec" mount -o remount,exec "$MNT"
	[[ $(flags) != *noexec* && $(flags) == ro,nosuid,nodev,* ]] || fail "$type: $(flags)"
	not_remounted "settle=200: it is mounted with settle=300; umount" mount -o remount,settle=200 "$MNT"
	not_remounted uid=0 mount -o remount,uid=root "$MNT"
	not_remounted "control_group=0: it is mounted without it" mount -o remount,control_group=0 "$MNT"
	not_remounted "fmask=022: it is mounted without it" mount -o remount,fmask=022 "$MNT"
	not_remounted control=none mount -o remount,control=none "$MNT"
	not_remounted nonsense mount -o remount,nonsense "$MNT"
	mkdir -p "$T/other"
	not_remounted "umount" mount "$T/other" "$MNT" -t "$type" -o remount,ro
	mount -o remount,rw "$MNT" >"$T/out" 2>&1 || fail "$type: rw: $(cat "$T/out")"
	is "$type: rw says so" "$(grep -c read-only "$T/out")" 1
	[[ $(flags) == ro,* ]] || fail "$type: writable: $(flags)"
	is "$type: the daemon" "$(daemon_pid)" "$pid"
	unmount_imagefs
done

# By hand, in the directory where it was mounted by a relative path; and where nothing is mounted.
(cd "$T" && mount_imagefs -o keep=32 src mnt)
(cd "$T" && "$IMAGEFS" -o remount,keep=32 src mnt) || fail "by a relative path"
"$IMAGEFS" -o remount "$SRC" "$MNT" || fail "by an absolute path"
remounts "by mount, from elsewhere" mount -o remount "$MNT"
served "by hand"
unmount_imagefs

# The place where the control files are by default may be named; and a path may have any character.
odd=$T/$'odd\nsource \\012'
cp -r "$SRC" "$odd"
mount_imagefs -o keep=32 "$odd" "$MNT"
"$IMAGEFS" -o "remount,keep=32,control=$CONTROL" "$odd" "$MNT" || fail "the default place of control files, an odd SOURCE"
refuses "control=$CONTROL; umount it" "$IMAGEFS" -o "remount,control=none" "$odd" "$MNT"
refuses "umount it" "$IMAGEFS" -o remount "$SRC" "$MNT"
unmount_imagefs

refuses "is not mounted" "$IMAGEFS" -o remount "$SRC" "$MNT"
refuses "user_id=0: unknown option" "$IMAGEFS" -o user_id=0 "$SRC" "$MNT"
