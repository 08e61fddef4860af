#!/bin/bash
# A line in fstab under a real systemd: mounted at boot, tftpd-hpa after it and restarted
# with it; systemctl, mount -a and umount agree on what is mounted.
. "$(dirname "$0")/../lib.sh"
. "$HERE/system.sh"
requires in.tftpd
make_system
install_build "$BUILD"
echo "/srv/images /srv/boot ${1:-fuse.imagefs} ro,nofail,x-systemd.before=dnsmasq.service 0 0" >"$ROOT/etc/fstab"
mkdir -p "$ROOT/etc/systemd/system/tftpd-hpa.service.d"
cp "$TOP/contrib/tftpd-hpa/imagefs-fstab.conf" "$ROOT/etc/systemd/system/tftpd-hpa.service.d/imagefs.conf"
cp "$TOP/contrib/tftpd-hpa/tftpd-hpa" "$ROOT/etc/default/"
board "$ROOT/srv/images/jammy.img" text
chroot "$ROOT" systemctl -q enable tftpd-hpa.service 2>/dev/null
start_system
state() { inside systemctl show --value -p ActiveState "$1"; }
fetch() { nsenter -t "$SYSTEM_PID" -n "$PYTHON" "$TOOLS/tftp.py" get 127.0.0.1 69 jammy/config.txt --out "$T/got" >/dev/null; }
is "mounted at boot" "$(state srv-boot.mount)" active
is "served" "$(inside cat /srv/boot/jammy/config.txt)" text
wait_until 10 fetch
inside systemctl show --value -p Before srv-boot.mount | grep -qw dnsmasq.service || fail "not before dnsmasq"
inside systemctl reload srv-boot.mount
is "reloaded" "$(inside cat /srv/boot/jammy/config.txt) $(state srv-boot.mount)" 'text active'
put second "$ROOT/srv/images/jammy.img" /config.txt
inside systemctl restart srv-boot.mount
wait_until 10 fetch
is "mounted again" "$(cat "$T/got")" second
inside systemctl stop srv-boot.mount
is "tftpd-hpa without its mount" "$(state tftpd-hpa.service)" inactive
inside mount -a
mounted() { [ "$(state srv-boot.mount)" = active ]; }
wait_until 10 mounted
inside systemctl start tftpd-hpa.service
wait_until 10 fetch
! inside umount /srv/boot 2>/dev/null || fail "unmounted below tftpd-hpa"
inside systemctl stop tftpd-hpa.service
inside umount /srv/boot
unmounted() { [ "$(state srv-boot.mount)" = inactive ]; }
wait_until 10 unmounted
no_daemon() { ! inside pgrep -x imagefs; }
wait_until 10 no_daemon
