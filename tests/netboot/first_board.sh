#!/bin/bash
# contrib/first-board/README.md, followed to the letter as root, in a system under a systemd of its own, with a stock
# image of Debian's packages; then the board is switched on, boots and has its root from it.
# usage: first_board.sh nbd-server|nbdkit|tgt
#   PARTS: what make-board made; PI_IMAGE: what make-pi-image made; BUILD
. "$(dirname "$0")/../lib.sh"
. "$HERE/system.sh"
server=$1 kind=nbd
case $server in
nbd-server) requires nbd-server ;;
nbdkit) requires nbdkit ;;
tgt) requires tgtd tgt-admin; kind=iscsi ;;
*) fail "no such server: $server" ;;
esac
requires dnsmasq qemu-system-x86_64 sfdisk mkfs.ext4 mcopy mmd xz cpio
[ -e "${PARTS:-}/made" ] || skip "no board: PARTS is what tests/netboot/make-board makes"
[ -s "$PARTS/initramfs.$kind" ] || skip "open-iscsi could not be downloaded"
[ -s "${PI_IMAGE:-}" ] || skip "no image: PI_IMAGE is what tools/make-pi-image makes"
[ -c /dev/net/tun ] || skip "needs /dev/net/tun"

# --- what the page starts from: a download with its sum, and the board's initramfs -----

make_system
install_build "$BUILD"
download=$ROOT/root/raspios.img
cp --sparse=always "$PI_IMAGE" "$download"
truncate -s +64M "$download"
echo ', +' | sfdisk -q --no-reread -N 2 "$download"
start=$(sfdisk -d "$download" | sed -n 's/^.*img2 : start= *\([0-9]*\),.*/\1/p')
mkfs.ext4 -q -F -d "$PARTS/root" -E "offset=$((start * 512)),lazy_itable_init=0" "$download" 64M
# This board's firmware is iPXE, which takes a script for what start4.elf does, and a kernel of this machine's kind.
cat >"$T/boot.ipxe" <<'IPXE'
#!ipxe
kernel vmlinuz console=ttyS0 quiet panic=-1 nokaslr no_timer_check ip=${ip} || goto refused
initrd initramfs8 || goto refused
initrd cmdline.txt /cmdline.txt || goto refused
initrd bcm2711-rpi-4-b.dtb /board.dtb || goto refused
boot || goto refused
:refused
echo
echo @refused
IPXE
mcopy -i "$download@@4M" "$T/boot.ipxe" ::boot.ipxe
mcopy -i "$download@@4M" "$PARTS/kernel" ::vmlinuz
mkdir -p "$T/more/etc"
head -c 100000 /dev/urandom >"$T/more/etc/ballast"
sha256sum <"$T/more/etc/ballast" | cut -d' ' -f1 >"$T/more/etc/ballast.sha256"
echo 1 >"$T/more/etc/release"
install -m 755 "$HERE/netboot/board-init" "$T/more/init" # the one of now, whenever PARTS was made
cp "$PARTS/initramfs.$kind" "$ROOT/root/initramfs8"
truncate -s %4 "$ROOT/root/initramfs8"
(cd "$T/more" && find . | cpio -o -H newc --quiet) >>"$ROOT/root/initramfs8"
xz -0 -T2 "$download"
(cd "$ROOT/root" && sha256sum raspios.img.xz >raspios.img.xz.sha256)

# --- the network: its router has a DHCP server, the board hangs on a cable --------------

start_system
dnsmasq_as_packaged
at_server() { nsenter -t "$SYSTEM_PID" -n "$@"; }
{ sysctl -q net.ipv6.conf.default.accept_dad=0 net.ipv6.conf.default.disable_ipv6=0 || true; } 2>/dev/null
ip link add name lan0 type bridge || skip "no bridges"
ip link add name port1 type veth peer name server0 || skip "no veth"
ip link set server0 netns "$SYSTEM_PID"
ip tuntap add tap0 mode tap
for link in port1 tap0; do
	ip link set dev "$link" master lan0
	ip link set dev "$link" up
done
ip addr add 192.168.1.1/24 dev lan0
ip link set dev lan0 up
# iPXE waits 17 s for an answer of an IPv6 router.
ip addr add fd77::1/64 dev lan0 2>/dev/null || echo "$NAME: no IPv6 here, so the firmware takes 17 s longer"
at_server ip addr add 192.168.1.10/24 dev server0
at_server ip link set dev server0 up

# --- the page ---------------------------------------------------------------------------

"$PYTHON" "$TOOLS/blocks.py" "$TOP/contrib/first-board/README.md" "$server" >"$ROOT/root/page"
is "commands of imagefs-prep for $server" "$(grep -c "^imagefs-prep" "$ROOT/root/page") $(grep -c -- "--export $server " "$ROOT/root/page")" "1 1"
inside sh -c 'cd /root && exec bash -ex page' >"$T/page.out" 2>&1 || {
	cat "$T/page.out"
	inside journalctl -q --no-pager -n 20 -o cat || true
	fail "a command of the page failed"
}
cat "$T/page.out"
grep -q '^Pi 4: *ready' "$T/page.out" && grep -qx 'no problems' "$T/page.out" || fail "check does not say that it is ready"
grep -qE "^abcd1234 +pi1 +1 +$kind .*pi1" "$T/page.out" || fail "boards does not have it"
is "its size" "$(stat -c %s "$ROOT/srv/images/pi1.img")" $((16 << 30))
# A Pi asks, and is told where TFTP is, as the page's dnsmasq says; the router has not begun yet.
"$PYTHON" "$TOOLS/dhcp_offer.py" lan0 >"$T/offer" || fail "no offer"
grep -q '^192\.168\.1\.10 PXEClient .*Raspberry Pi Boot   ' "$T/offer" || fail "offered: $(cat "$T/offer")"

# --- what a Pi 4 would fetch is the image's ---------------------------------------------

xz -dc "$ROOT/root/raspios.img.xz" >"$T/raspios.img"
mkdir "$T/stock"
fetched() { # fetched FILE: over TFTP, by the board's serial
	"$PYTHON" "$TOOLS/tftp.py" get 192.168.1.10 69 "abcd1234/$1" --out "$T/got" >/dev/null || fail "$1: not over TFTP"
}
for file in config.txt start4.elf fixup4.dat kernel8.img bcm2711-rpi-4-b.dtb overlays/overlay_map.dtb; do
	mcopy -n -i "$T/raspios.img@@4M" "::$file" "$T/stock/"
	fetched "$file"
	cmp "$T/got" "$T/stock/${file##*/}"
done
fetched initramfs8
cmp "$T/got" "$ROOT/root/initramfs8"
fetched cmdline.txt
echo "cmdline.txt: $(cat "$T/got")"

# --- and it is switched on --------------------------------------------------------------

dnsmasq --keep-in-foreground --conf-file=/dev/null --user=root --port=0 --interface=lan0 --bind-interfaces --pid-file= \
	--log-facility="$T/router.log" --dhcp-range=192.168.1.50,192.168.1.99,1h --dhcp-authoritative --no-ping --leasefile-ro \
	--dhcp-boot=abcd1234/boot.ipxe,,192.168.1.10 --dhcp-option-force=encap:175,176,1b --enable-ra --dhcp-range=fd77::,ra-only &
PIDS+=($!)
wait_until 10 grep -q started "$T/router.log"
PYTHONPATH=$HERE/netboot "$PYTHON" - "$T" >"$T/board" <<'BOARD' || { cat "$T/board"; tail -n 30 "$T/console.log"; tail -n 20 "$T/router.log"; fail "the board does not boot"; }
import sys
from board import Board
board = Board(sys.argv[1], "tap0", "52:54:00:77:00:02")
try:
    board.power_on()
    print(board.come_up())
    print(board.run("cat /proc/mounts"))
    board.run("echo written by the board >/boot/firmware/first.txt && sync")
finally:
    board.power_off()
BOARD
cat "$T/board"
device=$([ $kind = nbd ] && echo nbd0p || echo sda)
grep -q "^/dev/${device}2 / ext4" "$T/board" && grep -q "^/dev/${device}1 /boot/firmware vfat" "$T/board" || fail "not from its image"
fetched first.txt
is "what it wrote to its boot partition" "$(cat "$T/got")" "written by the board"
inside imagefsctl boards | grep '^abcd1234' >"$T/boards"
grep -q ' ago' "$T/boards" || fail "boards does not say that it asked: $(cat "$T/boards")"
