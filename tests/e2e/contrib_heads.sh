#!/bin/bash
# contrib_heads.sh dnsmasq-proxy|dnsmasq|kea: the configurations by which DHCP spreads boards over heads (docs/many-heads.md), as
# they stand in contrib/ but for paths: what a Pi's firmware asks, and a stock DHCP client, is answered with the right head.
. "$(dirname "$0")/../lib.sh"
requires root netns ip nsenter
ip link add lan type bridge
ip link set lan up
# machine NAME ADDRESS: in a network namespace of its own, on one wire with the others.
declare -A PID_OF servers
machine() {
	unshare -n sleep infinity &
	PID_OF[$1]=$!
	PIDS+=($!)
	apart() { [ "$(readlink "/proc/${PID_OF[$1]}/ns/net")" != "$(readlink /proc/self/ns/net)" ]; }
	wait_until 10 apart "$1"
	ip link add "$1" type veth peer name eth0 netns "${PID_OF[$1]}" || skip "no veth"
	ip link set "$1" master lan up
	at "$1" ip link set lo up
	at "$1" ip addr add "$2/24" dev eth0
	at "$1" ip link set eth0 up
}
at() { nsenter -t "${PID_OF[$1]}" -n "${@:2}"; }
board_is() { # board_is MAC: the board at the end of the cable
	at board ip link set eth0 down
	at board ip link set eth0 address "$1"
	at board ip link set eth0 up
}
# offers MAC WHAT...: these lines, and no others; as firmware asks.
offers() {
	board_is "$1"
	at board "$PYTHON" "$TOOLS/dhcp_offer.py" eth0 3 >"$T/offers" || true
	is "offered to $1" "$(sed 's/ b.*//' "$T/offers" | sort -u)" "$(printf '%s\n' "${@:2}")"
	! grep -qv "Raspberry Pi Boot   " "$T/offers" || fail "not what a Pi looks for: $(cat "$T/offers")"
}
# leases MAC HEAD: a stock client, up to the lease.
leases() {
	board_is "$1"
	printf '#!/bin/sh\n[ "$1" != bound ] || echo "$siaddr $tftp" >%s\n' "$T/lease" >"$T/bound"
	chmod 755 "$T/bound"
	rm -f "$T/lease"
	at board busybox udhcpc -i eth0 -n -q -f -t 5 -T 2 -s "$T/bound" -V PXEClient:Arch:00000:UNDI:002001 -O tftp >"$T/udhcpc.log" 2>&1 ||
		fail "$(tail -n 3 "$T/udhcpc.log")"
	is "the lease of $1" "$(cat "$T/lease")" "$2 $2"
}
# Its own reload (SIGHUP) ends dnsmasq 2.90 where the file has tags.
restart_at() { kill "${servers[$1]}" && wait "${servers[$1]}" || true; start_at "$1"; }
dnsmasq_at() { # dnsmasq_at MACHINE FILE [sed expressions]
	sed -e "s|/etc/imagefs/boards|$T/boards|; s|/srv/boot|$MNT|" "${@:3}" "$TOP/contrib/dnsmasq/$2" >"$T/$1.conf"
	dnsmasq --test --conf-file="$T/$1.conf" 2>"$T/test.log" || fail "$2: $(cat "$T/test.log")"
	start_at "$1"
}
start_at() {
	nsenter -t "${PID_OF[$1]}" -n dnsmasq --keep-in-foreground --conf-file="$T/$1.conf" --user=root --pid-file= \
		--dhcp-leasefile="$T/$1.leases" --log-facility="$T/$1.log" &
	servers[$1]=$!
	PIDS+=($!)
	answers() { at "$1" cat /proc/net/udp | grep -q ':0043 '; }
	wait_until 10 answers "$1"
}
machine board 192.168.1.50
cat >"$T/boards" <<-BOARDS
	dc:a6:32:00:00:01,set:head1,set:head2
	dc:a6:32:00:00:02,set:head2,set:head3
BOARDS
case $1 in
dnsmasq-proxy)
	requires dnsmasq
	for number in 1 2 3; do
		machine "head$number" "192.168.1.1$number"
		dnsmasq_at "head$number" heads.conf "-es/head1/head$number/; s/192\\.168\\.1\\.11/192.168.1.1$number/"
	done
	for number in 1 2 3; do said[number]="192.168.1.1$number PXEClient siaddr=192.168.1.1$number tftp="; done
	offers dc:a6:32:00:00:01 "${said[1]}" "${said[2]}"
	offers dc:a6:32:00:00:02 "${said[2]}" "${said[3]}"
	# A head is lost: its boards have another one. A board changes its head.
	kill "${servers[head2]}" && wait "${servers[head2]}" || true
	offers dc:a6:32:00:00:01 "${said[1]}"
	offers dc:a6:32:00:00:02 "${said[3]}"
	echo dc:a6:32:00:00:02,set:head1 >"$T/boards"
	restart_at head1
	restart_at head3
	offers dc:a6:32:00:00:02 "${said[1]}" ;;
dnsmasq)
	requires dnsmasq busybox
	machine server 192.168.1.2
	sed -i 's/,set:[^,]*$//' "$T/boards" # one head for each
	dnsmasq_at server heads-dhcp.conf
	said() { echo "192.168.1.2 PXEClient siaddr=192.168.1.1$1 tftp=192.168.1.1$1"; }
	offers dc:a6:32:00:00:01 "$(said 1)"
	offers dc:a6:32:00:00:02 "$(said 2)"
	offers dc:a6:32:00:00:03 "$(said 1)" # in no line
	leases dc:a6:32:00:00:02 192.168.1.12
	echo dc:a6:32:00:00:02,set:head1 >"$T/boards"
	restart_at server
	offers dc:a6:32:00:00:02 "$(said 1)"
	leases dc:a6:32:00:00:02 192.168.1.11 ;;
kea)
	requires kea-dhcp4 busybox
	machine server 192.168.1.2
	# Where AppArmor is in force Debian's profile of that path lets it read /etc/kea only: a copy has none.
	cp "$(command -v kea-dhcp4)" "$T/kea-dhcp4"
	sed "s|/var/lib/kea|$T|" "$TOP/contrib/kea/kea-dhcp4.conf" >"$T/kea.conf"
	export KEA_LOCKFILE_DIR=$T KEA_PIDFILE_DIR=$T
	at server "$T/kea-dhcp4" -t "$T/kea.conf" >"$T/test.log" 2>&1 || fail "$(cat "$T/test.log")"
	nsenter -t "${PID_OF[server]}" -n "$T/kea-dhcp4" -c "$T/kea.conf" >"$T/kea.log" 2>&1 &
	PIDS+=($!)
	answers() { at server cat /proc/net/udp | grep -q ':0043 '; }
	wait_until 10 answers
	said() { echo "192.168.1.2 PXEClient siaddr=192.168.1.1$1 tftp=192.168.1.1$1"; }
	for digit in 0:1 5:2 a:3 f:4; do offers "dc:a6:32:00:00:0${digit%:*}" "$(said "${digit#*:}")"; done
	offers dc:a6:32:01:36:c2 "$(said 4)" # its own entry, not its digit's
	leases dc:a6:32:00:00:07 192.168.1.14
	leases dc:a6:32:01:36:c2 192.168.1.14 ;;
*) fail "no such server" ;;
esac
