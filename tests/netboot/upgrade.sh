#!/bin/bash
# A board with a real firmware, kernel and vfat netboots from the mount, has the same image as
# its disk, upgrades itself there, is reset and loses power (C1, C2, C5, C6, C8, P); rounds.py
# tells what it does and what must be seen meanwhile.
# usage: upgrade.sh nbd-server|nbd-server-reporting|nbdkit-filter|tgt [ROUNDS]
#   PARTS: what make-board made; ROUNDS; SEED; SETTLE in ms
. "$(dirname "$0")/../lib.sh"
. "$HERE/reports.sh"
server=$1 rounds=${ROUNDS:-${2:-7}}
export CONTROL SETTLE=${SETTLE:-200} ADDRESS=10.77.0.1 TGT_IPC_SOCKET=$T/tgt ON_GROWN=
requires root netns fuse dnsmasq qemu-system-x86_64 sfdisk fsck.fat mcopy mkfs.ext4
PARTS=${PARTS:-$TOP/build/tests/netboot/board}
[ -e "$PARTS/made" ] || skip "no board: tests/netboot/make-board $PARTS"
[ -c /dev/net/tun ] || skip "needs /dev/net/tun"
board=$SRC/board.img
rounds_py() { "$PYTHON" "$HERE/netboot/rounds.py" "$1" "$server" "$PARTS" "$board" "${@:2}"; }

ip tuntap add tap0 mode tap
# iPXE waits 17 s for an answer of an IPv6 router; dnsmasq gives one, if it has an address at once.
{ sysctl -q net.ipv6.conf.tap0.accept_dad=0 net.ipv6.conf.tap0.disable_ipv6=0 && ip addr add fd77::1/64 dev tap0; } 2>/dev/null ||
	echo "$NAME: no IPv6 here, so the firmware takes 17 s longer"
ip addr add $ADDRESS/24 dev tap0
ip link set tap0 up

rounds_py make
ln -s board.img "$SRC/89025d75"
case $server in
nbd-server|tgt) mount_imagefs -o "settle=$SETTLE" "$SRC" "$MNT" ;;
*) mount_reported "settle=$SETTLE" ;;
esac
listening() { grep -qE ": [0-9A-F]+:$(printf %04X "$1") 0+:0000 0A" /proc/net/tcp /proc/net/tcp6; }
target() {
	local tgtadm="tgtadm -C 7 --lld iscsi"
	$tgtadm --op new --mode target --tid 1 -T iqn.2024-01.test:board &&
		$tgtadm --op new --mode logicalunit --tid 1 --lun 1 -b "$board" --bstype rdwr &&
		$tgtadm --op bind --mode target --tid 1 -I ALL
}
# A board that lost its power says nothing, and its nbd-server would wait two hours for the rest of a write.
sysctl -qw net.ipv4.tcp_retries2=5 net.ipv4.tcp_keepalive_time=5 net.ipv4.tcp_keepalive_intvl=1 net.ipv4.tcp_keepalive_probes=3
case $server in
nbd-server|nbd-server-reporting)
	requires nbd-server
	log=
	[ "$server" = nbd-server ] || log="transactionlog = $CONTROL/board"
	printf '%s\n' "[generic]" "port = 10809" "allowlist = true" "user = root" "group = root" \
		"[board]" "exportname = $board" "$log" >"$T/nbd.conf"
	nbd-server -C "$T/nbd.conf" -p "$T/nbd.pid" 2>"$T/nbd-server.log"
	wait_until 10 test -s "$T/nbd.pid"
	PIDS+=("$(cat "$T/nbd.pid")")
	wait_until 10 listening 10809 ;;
nbdkit-filter)
	requires nbdkit
	[ -e "$FILTER" ] || skip "needs $FILTER (nbdkit-plugin-dev)"
	nbdkit -p 10809 -P "$T/nbdkit.pid" --filter="$FILTER" file dir="$SRC" imagefs-dir="$CONTROL"
	wait_until 10 test -s "$T/nbdkit.pid"
	PIDS+=("$(cat "$T/nbdkit.pid")")
	wait_until 10 listening 10809 ;;
tgt)
	requires tgtd tgtadm
	[ -s "$PARTS/initramfs.iscsi" ] || skip "open-iscsi could not be downloaded"
	tgtd -f -C 7 --iscsi portal=$ADDRESS:3260 >"$T/tgtd.log" 2>&1 &
	PIDS+=($!)
	wait_until 10 tgtadm -C 7 --lld iscsi --op show --mode target
	target
	ON_GROWN="board=$board; $(declare -f target); tgtadm -C 7 --lld iscsi --op delete --mode target --tid 1 --force && target" ;;
*) fail "no such server: $server" ;;
esac
start_dnsmasq "$MNT" --interface=tap0 --interface=lo --dhcp-range=10.77.0.50,10.77.0.99,1h --dhcp-authoritative --no-ping \
	--leasefile-ro --dhcp-boot=89025d75/boot.ipxe --dhcp-option-force=encap:175,176,1b --enable-ra --dhcp-range=fd77::,ra-only
rounds_py run "$MNT" 89025d75 "$rounds"
