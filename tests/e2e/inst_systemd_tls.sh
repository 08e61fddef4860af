#!/bin/bash
# R, S4: images by TLS through imagefs@.service as it is packaged, by a unix socket, and with the drop-in of its page by TCP. The files are
# root's alone, and the daemon and who speaks TLS are the user imagefs.
. "$(dirname "$0")/../lib.sh"
. "$HERE/tls.sh"
. "$HERE/system.sh"
make_system
install_build "$BUILD"
cp "$TOP/contrib/systemd/boot.conf" "$ROOT/etc/imagefs/boot.conf"
grep -q ^imagefs: "$ROOT/etc/passwd" || echo 'imagefs:x:64999:64999::/:/usr/sbin/nologin' >>"$ROOT/etc/passwd"
grep -q ^imagefs: "$ROOT/etc/group" || echo 'imagefs:x:64999:' >>"$ROOT/etc/group"
mkdir -p "$ROOT/etc/pki"
cp -r "$TLS" "$ROOT/etc/pki/nbd"
board "$ROOT/srv/a.img" secret
ln -s 'nbds+unix:///?socket=/run/nbdkit.sock&tls-certificates=/etc/pki/nbd/client' "$ROOT/srv/images/unix.img"
ln -s 'nbds://imagefs@127.0.0.1/?tls-psk-file=/etc/pki/nbd/keys' "$ROOT/srv/images/tcp.img"
mkdir -p "$ROOT/etc/systemd/system/imagefs@boot.service.d"
# The drop-in stands in the page.
sed -n '/^    PrivateNetwork=no/,/^$/s/^    //p' "$TOP/contrib/systemd/README.md" | sed 's/192.168.1.20/127.0.0.1/; 1i[Service]' \
	>"$ROOT/etc/systemd/system/imagefs@boot.service.d/network.conf"
grep -q IPAddressAllow=127.0.0.1 "$ROOT/etc/systemd/system/imagefs@boot.service.d/network.conf" || fail "the page has no drop-in"
chroot "$ROOT" systemctl -q enable imagefs@boot.service 2>/dev/null
start_system
inside nbdkit -U /run/nbdkit.sock -P /run/nbdkit.pid --tls=require --tls-certificates=/etc/pki/nbd/server --tls-verify-peer file /srv/a.img
inside nbdkit -i 127.0.0.1 -P /run/nbdkit-tcp.pid --tls=require --tls-psk=/etc/pki/nbd/keys file /srv/a.img
wait_until 10 inside test -s /run/nbdkit.pid -a -s /run/nbdkit-tcp.pid
reads() { [ "$(inside cat "/srv/boot/$1/config.txt" 2>/dev/null)" = secret ]; }
said() { inside imagefsctl status "$1" && inside systemctl status --no-pager imagefs@boot.service; }
for name in unix tcp; do
	for ((try = 0; try < 100; try++)); do reads $name && break; sleep 0.1; done
	reads $name || fail "$name: $(said $name)"
done
relay() { inside sh -c 'ps -eo user:20,comm | grep imagefs-relay' >"$T/relay"; }
asked() { reads unix && relay; }
wait_until 10 asked
is "who speaks TLS" "$(awk '{ print $1 }' "$T/relay" | sort -u)" imagefs
inside imagefsctl status | unfolded | grep '^privileges: user 64999\|^privileges: user [0-9]*, no capabilities' >/dev/null || fail "$(inside imagefsctl status)"
inside systemctl stop imagefs@boot.service
gone_all() { ! inside sh -c 'ps -eo comm | grep ^imagefs-'; }
wait_until 10 gone_all
