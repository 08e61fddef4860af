#!/bin/bash
# dnsmasq's tftp-unique-root=mac: the server itself adds the board's MAC to the path. A
# client with such a MAC sits in a network namespace at the end of a cable.
. "$(dirname "$0")/../lib.sh"
requires root netns dnsmasq
ip link add server type veth peer name client address dc:a6:32:01:36:c2 || skip "no veth"
ip addr add 10.77.0.1/24 dev server
ip link set server up
unshare -n sleep infinity &
board_pid=$!
PIDS+=($board_pid)
other_namespace() { [ "$(readlink "/proc/$board_pid/ns/net")" != "$(readlink /proc/self/ns/net)" ]; }
wait_until 5 other_namespace
ip link set client netns $board_pid
at_board() { nsenter -t $board_pid -n "$@"; }
at_board ip addr add 10.77.0.2/24 dev client
at_board ip link set client up

board "$SRC/jammy.img" jammy
board "$SRC/noble.img" noble
ln -s jammy.img "$SRC/dc-a6-32-01-36-c2"
mount_imagefs
start_dnsmasq "$MNT" --tftp-unique-root=mac --listen-address=10.77.0.1 --bind-interfaces
fetch() {
	at_board "$PYTHON" "$TOOLS/tftp.py" get 10.77.0.1 69 config.txt --out "$T/config" >/dev/null
	cat "$T/config"
}
# The first request finds no ARP entry at times; the firmware asks again, so do we.
wait_until 10 fetch
is "by its MAC" "$(fetch)" jammy
ln -sfn noble.img "$SRC/dc-a6-32-01-36-c2"
is "switched" "$(fetch)" noble
