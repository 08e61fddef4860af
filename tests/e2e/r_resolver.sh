#!/bin/bash
# R: the first nameserver does not answer, so a host's address takes longer than an image waits for its connection: the image
# is there when the address is, and again when that connection was too old.
. "$(dirname "$0")/../lib.sh"
requires root netns nbdkit dnsmasq
board "$T/far.img" far
# glibc gives each five seconds.
printf 'nameserver 127.0.0.2\nnameserver 127.0.0.3\n' >"$T/resolv.conf"
echo 'hosts: files dns' >"$T/nsswitch.conf"
for file in resolv.conf nsswitch.conf; do mount --bind "$T/$file" "$(realpath "/etc/$file")"; done
"$PYTHON" -c 'import socket, time
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sock.bind(("127.0.0.2", 53))
time.sleep(1000)' &
PIDS+=($!)
dnsmasq --keep-in-foreground --conf-file=/dev/null --user=root --listen-address=127.0.0.3 --bind-interfaces --no-resolv \
	--no-hosts --address=/store.test/127.0.0.1 --local=/test/ --log-facility="$T/dnsmasq.log" --pid-file= &
PIDS+=($!)
nbdkit -i 127.0.0.1 -p 10809 -P "$T/nbdkit.pid" file "$T/far.img" 2>"$T/nbdkit.log"
wait_until 10 test -s "$T/nbdkit.pid"
PIDS+=("$(cat "$T/nbdkit.pid")")
wait_until 20 "$PYTHON" -c 'import socket; socket.getaddrinfo("store.test", 10809)'
ln -s nbd://store.test/far "$SRC/far.img"
mount_imagefs
refuses EIO cat "$MNT/far/config.txt"
is_gone() { ! cat "$MNT/far/config.txt"; }
for _ in 1 2; do
	wait_until 25 grep -qx far "$MNT/far/config.txt"
	wait_until 25 is_gone
done
