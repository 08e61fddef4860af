#!/bin/bash
# contrib_pages.sh NAME: the page contrib/NAME/README.md, followed to the letter as root, in a
# system under a systemd of its own, after that of contrib/systemd; then what it promises.
. "$(dirname "$0")/../lib.sh"
. "$HERE/system.sh"
page=$1
make_system
install_build "$BUILD"
for name in jammy noble; do board "$ROOT/srv/images/$name.img" $name; done
ln -s jammy.img "$ROOT/srv/images/89025d75"

follow() { # follow NAME
	"$PYTHON" "$TOOLS/blocks.py" "$TOP/contrib/$1/README.md" >"$ROOT/root/page"
	[ -s "$ROOT/root/page" ] || fail "$1: no commands"
	inside bash -ex /root/page >"$T/page.out" 2>&1 && return
	cat "$T/page.out"
	inside journalctl -q --no-pager -n 20 -o cat || true
	fail "contrib/$1/README.md: a command failed"
}
needs() { for program; do inside sh -c 'command -v "$1"' - "$program" >/dev/null || skip "needs $program"; done; }
fetched() { # fetched NAME TEXT: over TFTP
	listens() { nsenter -t "$SYSTEM_PID" -n cat /proc/net/udp | grep -q ':0045 '; }
	wait_until 10 listens
	nsenter -t "$SYSTEM_PID" -n "$PYTHON" "$TOOLS/tftp.py" get 127.0.0.1 69 "$1" --out "$T/got" >/dev/null || {
		inside journalctl -q --no-pager -n 20 -o cat
		fail "$1: not over TFTP"
	}
	is "$1 over TFTP" "$(cat "$T/got")" "$2"
}
reports_from() { # reports_from URI FORM: a client's writes are reported, and believed
	inside "$PYTHON" - /run/imagefs/boot/status.json jammy "$2" "$1" <"$TOOLS/reported.py" >"$T/reported" 2>&1 ||
		fail "$(cat "$T/reported")"
}
start_dnsmasq_as_packaged() { # where only dnsmasq-base is: what dnsmasq's package adds
	inside sh -c 'mkdir -p /etc/dnsmasq.d; id dnsmasq >/dev/null 2>&1 || useradd -r dnsmasq
		test -e /lib/systemd/system/dnsmasq.service || printf "[Service]\nExecStart=/usr/sbin/dnsmasq -k --conf-file=/dev/null --conf-dir=/etc/dnsmasq.d,*.conf\n" >/etc/systemd/system/dnsmasq.service
		systemctl daemon-reload'
	# The network that the file's dhcp-range speaks of, and a board at the end of the cable.
	unshare -n sleep infinity &
	board_pid=$!
	PIDS+=($board_pid)
	board_network() { [ "$(readlink "/proc/$board_pid/ns/net")" != "$(readlink /proc/self/ns/net)" ]; }
	wait_until 5 board_network
	at_server() { nsenter -t "$SYSTEM_PID" -n "$@"; }
	at_board() { nsenter -t "$board_pid" -n "$@"; }
	at_server ip link add lan0 type veth peer name board0 address dc:a6:32:01:36:c2 || skip "no veth"
	at_server ip addr add 192.168.1.1/24 dev lan0
	at_server ip link set lan0 up
	at_server ip link set board0 netns "$board_pid"
	at_board ip addr add 192.168.1.50/24 dev board0
	at_board ip link set board0 up
}

start_system
follow systemd
is "mounted" "$(inside cat /srv/boot/89025d75/config.txt)" jammy
case $page in
systemd) ;;
dnsmasq)
	needs dnsmasq
	start_dnsmasq_as_packaged
	follow dnsmasq
	# This one is from an address that has no MAC, and gets no prefix.
	fetched 89025d75/config.txt jammy
	# The board's DHCP server is another; this one tells where TFTP is, with the word that a Pi looks for.
	at_board "$PYTHON" "$TOOLS/dhcp_offer.py" board0 >"$T/offer" || fail "no offer"
	grep -q '^192\.168\.1\.1 PXEClient .*Raspberry Pi Boot   ' "$T/offer" || fail "offered: $(cat "$T/offer")"
	by_mac() { at_board "$PYTHON" "$TOOLS/tftp.py" get 192.168.1.1 69 config.txt --out "$T/got" >/dev/null; }
	wait_until 10 by_mac # the first one finds no ARP entry at times
	is "by its MAC" "$(cat "$T/got")" jammy ;;
tftpd-hpa)
	needs in.tftpd
	follow tftpd-hpa
	fetched 89025d75/config.txt jammy ;;
nbd-server)
	needs nbd-server
	follow nbd-server
	reports_from nbd://127.0.0.1/jammy nbd-server ;;
nbdkit)
	needs nbdkit
	[ -n "$(find "$ROOT"/usr/lib -name nbdkit-imagefs-filter.so)" ] || cp "${FILTER:-$BUILD/contrib/nbdkit/nbdkit-imagefs-filter.so}" \
		"$ROOT/$(nbdkit --dump-config | sed -n 's/^filterdir=//p')/" || skip "needs the filter"
	follow nbdkit
	reports_from nbd://127.0.0.1/jammy.img text ;;
qemu-nbd)
	needs qemu-nbd
	follow qemu-nbd
	inside "$PYTHON" - nbd://127.0.0.1:10810/jammy <<-'PYTHON' || fail "its client"
	import nbd, sys
	client = nbd.NBD()
	client.connect_uri(sys.argv[1])
	image = client.pread(client.get_size(), 0)
	at = next(at for at in range(0, len(image), 512) if image[at:at + 6] == b"jammy\0")
	client.pwrite(b"noble" + image[at + 5:at + 512], at)
	PYTHON
	is "what its client wrote" "$(inside cat /srv/boot/jammy/config.txt)" noble ;;
tgt)
	needs tgtd tgtadm
	follow tgt ;;
u-boot)
	needs mkimage mcopy
	follow u-boot ;;
nfs)
	needs dnsmasq
	start_dnsmasq_as_packaged
	follow nfs
	inside sh -c 'cp /usr/share/doc/imagefs/examples/dnsmasq/imagefs.conf /etc/dnsmasq.d/ && systemctl restart dnsmasq'
	fetched 1a2b3c4d/cmdline.txt "$(cat "$ROOT/srv/nfs/pi7/boot/firmware/cmdline.txt")"
	fetched 89025d75/config.txt jammy ;;
nobodd)
	mkdir -p "$ROOT/etc/nobodd"
	printf '[board:10000000abcd1234]\nimage = /srv/images/noble.img\npartition = 1\n' >"$ROOT/etc/nobodd/nobodd.conf"
	follow nobodd
	is "a board of nobodd's" "$(inside cat /srv/boot/abcd1234/config.txt)" noble ;;
*) fail "what does $page promise?" ;;
esac
