#!/bin/bash
# R: a host has two addresses, and the first says nothing: what is there is read at the first try, over the other one.
. "$(dirname "$0")/../lib.sh"
requires root netns nbdkit
board "$T/far.img" far
printf '127.0.0.1 store.test\n127.0.0.2 store.test\n' >"$T/hosts"
printf 'multi on\n' >"$T/host.conf"
echo 'hosts: files' >"$T/nsswitch.conf"
for file in hosts nsswitch.conf host.conf; do [ ! -e "/etc/$file" ] || mount --bind "$T/$file" "$(realpath "/etc/$file")"; done
# Its queue is full: what comes then is not answered.
"$PYTHON" -c 'import socket, sys, time
listening = socket.socket()
listening.bind(("127.0.0.1", 10809))
listening.listen(0)
clients = [socket.socket() for _ in range(3)]
for client in clients:
    client.setblocking(False)
    client.connect_ex(("127.0.0.1", 10809))
print(*(address[4][0] for address in socket.getaddrinfo("store.test", 10809, type=socket.SOCK_STREAM)), flush=True)
time.sleep(1000)' >"$T/addresses" &
PIDS+=($!)
wait_until 10 test -s "$T/addresses"
grep -q '127.0.0.1.*127.0.0.2' "$T/addresses" || skip "needs a resolver that gives both addresses: $(cat "$T/addresses")"
nbdkit -i 127.0.0.2 -p 10809 -P "$T/nbdkit.pid" file "$T/far.img" 2>"$T/nbdkit.log"
wait_until 10 test -s "$T/nbdkit.pid"
PIDS+=("$(cat "$T/nbdkit.pid")")
for i in 1 2 3 4 5 6 7 8; do ln -s nbd://store.test/far$i "$SRC/far$i.img"; done
mount_imagefs
for i in 1 2 3 4 5 6 7 8; do is "far$i" "$(cat "$MNT/far$i/config.txt")" far; done
