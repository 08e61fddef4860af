#!/bin/bash
# Installed in a system where no systemd runs: fstab's line with both types of filesystem,
# mount -a, again, umount; mount -f does nothing.
. "$(dirname "$0")/../lib.sh"
. "$HERE/system.sh"
make_system
install_build "$BUILD"
mount -t proc proc "$ROOT/proc"
mount -t tmpfs tmpfs "$ROOT/dev" && cp -a /dev/null /dev/fuse "$ROOT/dev/"
board "$ROOT/srv/images/jammy.img" text
in_root() { chroot "$ROOT" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin "$@"; }
mounts() { grep -c ' /srv/boot fuse.imagefs ' <(in_root cat /proc/self/mounts) || true; }
for type in fuse.imagefs imagefs; do
	echo "/srv/images /srv/boot $type ro,nofail,x-systemd.before=dnsmasq.service,uid=33 0 0" >"$ROOT/etc/fstab"
	in_root mount -a >"$T/out" 2>&1 || fail "$type: mount -a: $(cat "$T/out")"
	is "$type: says nothing" "$(cat "$T/out")" ''
	is "$type: served" "$(in_root cat /srv/boot/jammy/config.txt)" text
	is "$type: options" "$(in_root stat -c %u /srv/boot/jammy/config.txt)" 33
	in_root mount -a
	is "$type: mounted once" "$(mounts)" 1
	in_root imagefsctl status jammy >/dev/null
	in_root umount /srv/boot
	is "$type: unmounted" "$(mounts)" 0
	control_is_gone() { ! grep -q fuse.imagefs-control <(in_root cat /proc/self/mounts); }
	wait_until 10 control_is_gone
	[ $type = fuse.imagefs ] || in_root mount -f /srv/boot # mount.fuse3 does not know -f
	is "$type: mount -f" "$(mounts)" 0
done
in_root mount -v -n -t imagefs -o ro /srv/images /srv/boot
is "by hand" "$(in_root cat /srv/boot/jammy/config.txt)" text
in_root umount /srv/boot
# Its images are gone: an error that names them, and with nofail the boot goes on.
mv "$ROOT/srv/images" "$ROOT/srv/elsewhere"
status=0
in_root mount -a >"$T/out" 2>&1 || status=$?
[ $status != 0 ] || fail "mount -a succeeds without images"
grep -q '/srv/images: No such file' "$T/out" || fail "not named: $(cat "$T/out")"
