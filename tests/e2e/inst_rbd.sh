#!/bin/bash
# imagefs-rbd@POOL.service under a real systemd, with imagefs@.service: a board's image in a Ceph pool is served; started again
# when it is killed; a pool that is refused says why, and is served when it was set right; ended without a trace.
. "$(dirname "$0")/../lib.sh"
. "$HERE/ceph.sh"
. "$HERE/system.sh"
[ -e "$RBD_PLUGIN" ] || skip "needs $RBD_PLUGIN (librbd-dev, nbdkit-plugin-dev)"
board "$T/board.img" far
make_system
install_build "$BUILD"
cp "$TOP/contrib/systemd/boot.conf" "$ROOT/etc/imagefs/boot.conf"
echo 'OPTIONS=user=imagefs timeout=3' >"$ROOT/etc/imagefs/rbd-boards.conf"
ln -s 'nbd+unix:///pi7?socket=/run/imagefs-rbd/boards/sock' "$ROOT/srv/images/pi7.img"
chroot "$ROOT" systemctl -q enable imagefs@boot.service 2>/dev/null
start_system

# The cluster is on the network of that system.
for program in ceph ceph-mon ceph-osd rbd rados; do
	eval "$program() { nsenter -t \"\$SYSTEM_PID\" -n env $program \"\$@\"; }"
done
start_ceph boards
mkdir -p "$ROOT/etc/ceph"
cp "$CEPH_CONF" "$ROOT/etc/ceph/ceph.conf"
rbd import --no-progress "$T/board.img" boards/pi7
unit=imagefs-rbd@boards.service
state() { inside systemctl show --value -p "$1" "$unit"; }
journal() { inside journalctl -q --no-pager -o cat -u "$unit"; }
reads() { [ "$(inside cat /srv/boot/pi7/config.txt 2>/dev/null)" = far ]; }

inside systemctl -q enable --now "$unit" || { journal; exit 1; }
wait_until 20 reads
# Who connects needs to be able to write to it.
is "the socket" "$(inside stat -c '%U %A' /run/imagefs-rbd/boards/sock)" 'root srwxr-xr-x'
pid=$(state MainPID)
is "its capabilities" "$(inside awk '$1 == "CapEff:" { print $2 }' "/proc/$pid/status")" 0000000000000000
inside kill -KILL "$pid"
is_back() { [ "$(state ActiveState)" = active ] && [ "$(state MainPID)" != "$pid" ]; }
wait_until 30 is_back
wait_until 20 reads

rbd config pool set boards rbd_cache_policy writeback
is "restarted" "$(inside systemctl restart "$unit" 2>/dev/null && echo started || echo refused)" refused
journal | grep -q 'pool boards: rbd_cache_policy is not set to writethrough: .*rbd config pool set boards' || { journal; fail "it does not say why"; }
rbd config pool set boards rbd_cache_policy writethrough
wait_until 30 reads
inside systemctl stop "$unit"
inside sh -c '! test -e /run/imagefs-rbd/boards'
is "stopped" "$(state ActiveState)" inactive
