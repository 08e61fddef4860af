#!/bin/bash
# tools/build-deb: packages that lintian has no complaint about; installed under a real
# systemd; upgraded, the unit runs the new program; removed, nothing is mounted or running,
# whoever had mounted it, and nothing is left but the administrator's configuration.
. "$(dirname "$0")/../lib.sh"
. "$HERE/system.sh"
requires dpkg-buildpackage dh lintian git
[ -e "$TOP/.git" ] || skip "needs a clone"
"$TOP/tools/build-deb" "$T/packages" >"$T/build.out" 2>&1 || fail "$(tail -n 20 "$T/build.out")"
is "lintian" "$(grep -E '^[EW]:' "$T/build.out" || true)" ''
make_system
mkdir "$ROOT/srv/packages" "$ROOT/srv/own" "$ROOT/srv/with space"
cp "$T"/packages/*.deb "$ROOT/srv/packages/"
board "$ROOT/srv/images/jammy.img" text
start_system
inside sh -c 'dpkg -i /srv/packages/imagefs_*.deb' >"$T/dpkg" 2>&1 || fail "dpkg -i: $(cat "$T/dpkg")"
is "control directories" "$(inside stat -c '%U %a' /run/imagefs)" 'root 755'
inside zgrep -q . /usr/share/man/man8/imagefs.8.gz
cp "$TOP/contrib/systemd/boot.conf" "$ROOT/etc/imagefs/boot.conf"
inside systemctl -q enable --now imagefs@boot.service
is "unit" "$(inside cat /srv/boot/jammy/config.txt)" text
pid=$(inside systemctl show --value -p MainPID imagefs@boot.service)
is "its user" "$(inside awk '$1 == "Uid:" { print $2 }' "/proc/$pid/status")" "$(inside id -u imagefs)"
if inside nbdkit --version >/dev/null 2>&1; then
	inside sh -c 'dpkg -i /srv/packages/nbdkit-imagefs-filter_*.deb' >"$T/dpkg" 2>&1 || fail "filter: $(cat "$T/dpkg")"
	inside nbdkit --filter=imagefs --dump-plugin file >/dev/null || fail "nbdkit does not load the filter"
	inside sh -c 'dpkg -i /srv/packages/imagefs-rbd_*.deb' >"$T/dpkg" 2>&1 || fail "imagefs-rbd: $(cat "$T/dpkg")"
	inside nbdkit --dump-plugin imagefs-rbd >/dev/null || fail "nbdkit does not load imagefs-rbd"
	is "units of its own" "$(inside systemctl is-enabled imagefs-rbd@.service || true)" disabled
	inside dpkg -P imagefs-rbd >"$T/dpkg" 2>&1 || fail "imagefs-rbd: dpkg -P: $(cat "$T/dpkg")"
fi
pid=$(inside systemctl show --value -p MainPID imagefs@boot.service)
inside sh -c 'dpkg -i /srv/packages/imagefs_*.deb' >"$T/dpkg" 2>&1 || fail "upgrade: $(cat "$T/dpkg")"
[ "$(inside systemctl show --value -p MainPID imagefs@boot.service)" != "$pid" ] || fail "the old program runs after an upgrade"
is "after an upgrade" "$(inside cat /srv/boot/jammy/config.txt)" text

# By the unit, by hand, and one that is in use.
inside mount -t fuse.imagefs -o ro /srv/images '/srv/with space'
inside imagefs /srv/images/jammy.img /srv/own
mkfifo "$T/hold"
exec 8<>"$T/hold"
inside sh -c 'exec 7</srv/own/config.txt; read -r _' <&8 8<&- &
holder=$!
is_held() { inside sh -c 'ls -l /proc/[0-9]*/fd' 2>/dev/null | grep -q /srv/own/config.txt; }
wait_until 10 is_held
inside dpkg -r imagefs >"$T/dpkg" 2>&1 || fail "dpkg -r: $(cat "$T/dpkg")"
is "mounts after removal" "$(inside grep -c fuse.imagefs /proc/self/mounts || true)" 0
is "unit after removal" "$(inside systemctl is-active imagefs@boot.service || true)" inactive
echo >&8
wait $holder
no_daemon() { ! inside pgrep -x imagefs; }
wait_until 15 no_daemon
[ ! -e "$ROOT/run/imagefs" ] || fail "/run/imagefs stays"
[ -s "$ROOT/etc/imagefs/boot.conf" ] || fail "the administrator's configuration went"
inside dpkg -P imagefs >"$T/dpkg" 2>&1 || fail "dpkg -P: $(cat "$T/dpkg")"
! grep -qE 'warn|error' "$T/dpkg" || fail "$(cat "$T/dpkg")"
is "left behind" "$(inside sh -c 'find /usr /lib/systemd /var/lib/dpkg/info -xdev -name "*imagefs*" ! -name "nbdkit-imagefs-filter*" 2>/dev/null' | head)" ''
