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
start_dnsmasq_as_packaged() {
	dnsmasq_as_packaged
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
	# Its unit is active before it listens.
	listens() { inside bash -c 'exec 3<>/dev/tcp/127.0.0.1/10810'; }
	wait_until 10 listens
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
containers)
	needs systemd-nspawn dnsmasq setpriv
	follow containers
	in_container() { inside sh -c 'p=$(systemctl show --value -p MainPID "$1"); c=$(pgrep -P "$p"); shift; exec nsenter -t "${c:-$p}" -m -p "$@"' - "$@"; }
	container() { # container UNIT COMMANDS: namespaces as of podman or docker; what COMMANDS bind, then nothing
		inside systemd-run -q --unit="$1" unshare --mount --pid --fork --kill-child --propagation unchanged \
			sh -ec "$2; touch /run/$1; exec sleep 600"
		wait_until 10 test -e "$ROOT/run/$1"
	}
	reads() { is "$1: $2" "$(in_container "$1" cat "$2")" "$3"; }
	mkdir "$ROOT/mnt/a" "$ROOT/srv/imagefs"
	private='mount --make-rprivate /; mount --bind /srv /mnt/a'
	slave='mount --make-rslave /; mount --rbind /srv /mnt/a'
	inside systemctl stop imagefs@boot.service
	container early-private "$private"
	container early-slave "$slave"
	container early-point 'mount --make-rslave /; mount --bind /srv/boot /mnt/a'
	inside systemctl start imagefs@boot.service
	container late-point 'mount --make-rslave /; mount --bind /srv/boot /mnt/a'
	container late-private "mount --make-rprivate /; mount --rbind /srv /mnt/a"
	fetched 89025d75/config.txt jammy
	reads early-slave /mnt/a/boot/jammy/config.txt jammy
	reads early-point /mnt/a/jammy/config.txt jammy
	reads late-point /mnt/a/jammy/config.txt jammy
	is "mounted later, private" "$(in_container early-private ls -A /mnt/a/boot)" ''
	is "of a user namespace" "$(inside setpriv --reuid 65534 --regid 65534 --clear-groups unshare --user --map-root-user \
		cat /srv/boot/jammy/config.txt)" jammy
	# Another daemon: what let its mount through goes on.
	put second "$ROOT/srv/images/jammy.img" /config.txt
	inside systemctl restart imagefs@boot.service
	fetched 89025d75/config.txt second
	reads early-slave /mnt/a/boot/jammy/config.txt second
	reads early-point /mnt/a/jammy/config.txt second
	refuses 'not connected' in_container late-point cat /mnt/a/jammy/config.txt
	refuses 'not connected' in_container late-private cat /mnt/a/boot/jammy/config.txt

	# imagefs in one: systemd-nspawn's, then with docker's capabilities and two more.
	in_nspawn() { in_container inside cat /srv/inside/jammy/config.txt; }
	wait_until 10 in_nspawn
	is "in systemd-nspawn" "$(in_nspawn)" second
	in_container inside imagefsctl status | unfolded >"$T/status"
	grep -q '^privileges: no capabilities, images are opened by another process, no_new_privs, seccomp; without: .*Landlock$' "$T/status" ||
		fail "$(cat "$T/status")"
	is "outside of it" "$(inside ls -A /srv/inside)" ''
	inside systemctl stop inside.service
	capabilities=-all$(printf ',+%s' chown dac_override fsetid fowner mknod net_raw setgid setuid setfcap setpcap net_bind_service \
		sys_chroot kill audit_write sys_admin dac_read_search)
	contained() {
		inside systemd-run -q --unit=contained unshare --mount --pid --fork --kill-child --propagation unchanged sh -ec \
			"mount --make-rprivate /proc; mount -t proc proc /proc; exec setpriv --bounding-set $capabilities --inh-caps $capabilities \
				imagefs -f /srv/images /srv/imagefs"
		wait_until 10 inside test -e /srv/imagefs/jammy/config.txt
	}
	contained
	is "shared" "$(inside cat /srv/imagefs/jammy/config.txt)" second
	reads early-slave /mnt/a/imagefs/jammy/config.txt second
	inside imagefsctl -c /run/imagefs/imagefs status | unfolded >"$T/status" || fail "no control files outside"
	grep -q '^privileges: user [0-9]*, no capabilities, images are opened by another process, .*no_new_privs, seccomp' "$T/status" || fail "$(cat "$T/status")"
	inside systemctl kill -s KILL contained.service
	wait_until 10 inside sh -c '! systemctl -q is-active contained.service'
	inside systemctl reset-failed contained.service
	refuses 'not connected' inside ls /srv/imagefs
	contained
	inside sh -c 'kill "$(pgrep -P "$(systemctl show --value -p MainPID contained)")"'
	wait_until 10 inside sh -c '! systemctl -q is-active contained.service'
	is "after it" "$(inside ls -A /srv/imagefs)" ''
	reads early-slave /mnt/a/boot/jammy/config.txt second ;;
nobodd)
	mkdir -p "$ROOT/etc/nobodd"
	printf '[board:10000000abcd1234]\nimage = /srv/images/noble.img\npartition = 1\n' >"$ROOT/etc/nobodd/nobodd.conf"
	follow nobodd
	is "a board of nobodd's" "$(inside cat /srv/boot/abcd1234/config.txt)" noble ;;
*) fail "what does $page promise?" ;;
esac
