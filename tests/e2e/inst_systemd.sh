#!/bin/bash
# imagefs@.service under a real systemd: ready when the mount answers, visible to all,
# started again when it is killed, with tftpd-hpa behind it, which pins its directory;
# ended without a trace; a clear error when its configuration is wrong.
. "$(dirname "$0")/../lib.sh"
. "$HERE/system.sh"
requires in.tftpd
make_system
install_build "$BUILD"
cp "$TOP/contrib/systemd/boot.conf" "$ROOT/etc/imagefs/boot.conf"
mkdir -p "$ROOT/etc/systemd/system/tftpd-hpa.service.d"
cp "$TOP/contrib/tftpd-hpa/imagefs-service.conf" "$ROOT/etc/systemd/system/tftpd-hpa.service.d/imagefs.conf"
cp "$TOP/contrib/tftpd-hpa/tftpd-hpa" "$ROOT/etc/default/"
board "$ROOT/srv/images/jammy.img" text
chmod 600 "$ROOT/srv/images/jammy.img" && chown 12345 "$ROOT/srv/images/jammy.img"
ln -s jammy.img "$ROOT/srv/images/89025d75"
chroot "$ROOT" systemctl -q enable imagefs@boot.service tftpd-hpa.service 2>/dev/null
start_system
state() { inside systemctl show --value -p "$1" "${2:-imagefs@boot.service}"; }
journal() { inside journalctl -q --no-pager -o cat -u imagefs@boot.service; }
is "active after the boot" "$(state ActiveState)" active || { journal; exit 1; }
is "status" "$(state StatusText)" 'Serving /srv/images'
is "served" "$(inside cat /srv/boot/89025d75/config.txt)" text
inside imagefsctl status jammy >/dev/null
# What the unit forbids does not forbid the daemon to forbid itself more.
inside imagefsctl status | unfolded | grep '^privileges: ' | tee "$T/privileges" | grep -q ' no capabilities, .*no_new_privs' || fail "$(cat "$T/privileges")"
if grep -q 'seccomp (' "$T/privileges" && ! grep -q 'built without' "$T/privileges"; then fail "$(cat "$T/privileges")"; fi
fetch() { nsenter -t "$SYSTEM_PID" -n "$PYTHON" "$TOOLS/tftp.py" get 127.0.0.1 69 89025d75/config.txt --out "$T/got" >/dev/null; }
wait_until 10 fetch
is "tftpd-hpa" "$(cat "$T/got")" text

# Killed: the dead mount is taken over, and tftpd-hpa serves the new one.
put second "$ROOT/srv/images/jammy.img" /config.txt
pid=$(state MainPID)
inside kill -KILL "$pid"
is_back() { [ "$(state ActiveState)" = active ] && [ "$(state MainPID)" != "$pid" ] && [ "$(state NRestarts)" = 1 ]; }
wait_until 20 is_back
is "after a crash" "$(inside cat /srv/boot/jammy/config.txt)" second
is "mounted once" "$(inside grep -c ' /srv/boot ' /proc/self/mounts)" 1
wait_until 10 fetch
is "tftpd-hpa after a crash" "$(cat "$T/got")" second

# Restarted by hand, then stopped: nothing stays, and tftpd-hpa does not serve what is below.
inside systemctl restart imagefs@boot.service
wait_until 10 fetch
inside systemctl stop imagefs@boot.service
is "mounts after stop" "$(inside grep -c fuse.imagefs /proc/self/mounts || true)" 0
is "control directory after stop" "$(inside ls -A /run/imagefs)" ''
is "tftpd-hpa after stop" "$(state ActiveState tftpd-hpa.service)" inactive
is "result" "$(state Result)" success

# As the unit confines it, everything works: reports too.
echo 'OPTIONS=control_group=0,uid=33' >>"$ROOT/etc/imagefs/boot.conf"
inside systemctl start imagefs@boot.service
is "options" "$(inside stat -c %u /srv/boot/jammy/config.txt)" 33
if inside nbdkit --filter=imagefs --version >/dev/null 2>&1; then
	inside nbdkit -U /run/nbdkit.sock -P /run/nbdkit.pid --filter=imagefs file /srv/images/jammy.img imagefs=/run/imagefs/boot/jammy
	wait_until 10 inside test -s /run/nbdkit.pid
	inside "$PYTHON" -c 'import nbd' || skip "needs python3-libnbd"
	inside "$PYTHON" - /run/imagefs/boot/status.json jammy text 'nbd+unix:///?socket=/run/nbdkit.sock' <"$TOOLS/reported.py"
fi
inside systemctl stop imagefs@boot.service

for wrong in 'SOURCE=/srv/nowhere' 'OPTIONS=no_such_option'; do
	{ cat "$TOP/contrib/systemd/boot.conf"; echo "$wrong"; } >"$ROOT/etc/imagefs/wrong.conf"
	! inside systemctl start imagefs@wrong.service 2>/dev/null || fail "$wrong: started"
	inside journalctl -q --no-pager -o cat -u imagefs@wrong.service | grep -qE "^(imagefs: )?${wrong#*=}:" ||
		fail "$wrong: not named: $(inside journalctl -q --no-pager -o cat -u imagefs@wrong.service | tail -n5)"
	inside systemctl stop imagefs@wrong.service
done
! inside systemctl start imagefs@nothing.service 2>/dev/null || fail "started without a configuration"

inside systemd-analyze verify imagefs@boot.service >"$T/verify" 2>&1 || fail "$(cat "$T/verify")"
is "systemd-analyze verify" "$(grep imagefs "$T/verify" || true)" ''
score=$(inside systemd-analyze security --no-pager imagefs@boot.service | sed -n 's/.*exposure level for .*: \([0-9]*\)\.\([0-9]\).*/\1\2/p')
echo "$NAME: systemd-analyze security: ${score%?}.${score: -1}"
said=$(sed -n 's/.*gives it \([0-9]\)\.\([0-9]\).*/\1\2/p' "$TOP/contrib/systemd/README.md")
[ "$score" -le "$said" ] || fail "contrib/systemd/README.md says $said"
