#!/bin/bash
# N2, C1: zero clients. U-Boot on two arm64 boards, side by side at one dnsmasq on the mount:
# one that is known by its serial and fetches netboot-SERIAL.scr, one that is known by its
# MAC (tftp-unique-root=mac) and fetches boot.scr.uimg with nobody there. The scripts fetch
# kernel and device tree; every checksum is the image's. Then scripts and kernels change in
# the images, behind the back of imagefs; then a board is switched to another image.
. "$(dirname "$0")/../lib.sh"
requires root netns dnsmasq qemu-system-aarch64 mkimage
[ -c /dev/net/tun ] || skip "needs /dev/net/tun"
firmware=/usr/lib/u-boot/qemu_arm64/u-boot.bin
[ -r $firmware ] || skip "needs $firmware (package u-boot-qemu)"
mac=dc:a6:32:01:36:c2 serial=89025d75

ip link add br0 type bridge 2>/dev/null || skip "no bridge"
ip addr add 10.77.0.1/24 dev br0
ip link set br0 up
for tap in tap0 tap1; do
	ip tuntap add dev $tap mode tap 2>/dev/null || skip "no tap"
	ip link set $tap master br0 up
done

# script IMAGE FILE VERSION PREFIX: what U-Boot does, as an image of its own kind.
script() {
	printf '%s\n' "echo @script of $1, version $3" \
		"tftpboot \${kernel_addr_r} $4kernel8.img && crc32 \${kernel_addr_r} \${filesize}" \
		"tftpboot 0x48000000 $4bcm2711-rpi-4-b.dtb && crc32 0x48000000 \${filesize}" \
		'echo @end' >"$T/script"
	mkimage -A arm64 -O linux -T script -C none -n "$1" -d "$T/script" "$T/script.scr" >/dev/null
	put "@$T/script.scr" "$SRC/$1.img" "$2"
}
# release VERSION: new kernels, device trees and scripts in both images.
release() {
	local name
	for name in jammy noble; do
		head -c $((2000000 + RANDOM * 10)) /dev/urandom >"$T/kernel"
		head -c 30$((RANDOM % 900 + 100)) /dev/urandom >"$T/dtb"
		put "@$T/kernel" "$SRC/$name.img" /kernel8.img
		put "@$T/dtb" "$SRC/$name.img" /bcm2711-rpi-4-b.dtb
		script $name /boot.scr.uimg "$1" ''
	done
	script jammy /netboot-$serial.scr "$1" $serial/
}
sums_of() { # sums_of IMAGE: size and CRC-32 of its kernel and device tree, as mtools reads them
	local file
	for file in kernel8.img bcm2711-rpi-4-b.dtb; do
		mcopy -n -Q -i "$SRC/$1.img@@1M" "::$file" - |
			"$PYTHON" -c 'import sys, zlib; data = sys.stdin.buffer.read(); print(len(data), "%08x" % zlib.crc32(data))'
	done
}
by_serial="serial,tap0,52:54:00:89:02:5d,dhcp; setenv serial# $serial; tftpboot \${scriptaddr} netboot-\${serial#}.scr && source \${scriptaddr}"
by_mac="mac,tap1,$mac"
# Debian 13's has no name for the script of a network: there a person has to say what U-Boot's environment did.
# shellcheck disable=SC2016 # U-Boot expands it
grep -aq 'boot_script_dhcp=boot.scr.uimg' $firmware || by_mac+=',setenv autoload no; dhcp; tftpboot ${scriptaddr} boot.scr.uimg && source ${scriptaddr}'
boot() { "$PYTHON" "$HERE/netboot/uboot.py" $firmware "$T" "$@" >"$T/said" || { cat "$T/said"; fail "a board did not boot"; }; sed 's/^/  /' "$T/said"; }
check() { # check BOARD IMAGE VERSION
	grep -qx "$1: @script of $2, version $3" "$T/said" || fail "$1: not version $3 of the script of $2"
	is "$1: checksums" "$(sed -n "s/^$1: crc32 [^ ]* //p" "$T/said")" "$(sums_of "$2")"
}

for name in jammy noble; do make_image "$SRC/$name.img" 16 16 -s 4; done
release 1
ln -s jammy.img "$SRC/$serial"
ln -s noble.img "$SRC/${mac//:/-}"
ln -s jammy/netboot-$serial.scr "$SRC/netboot-$serial.scr" # U-Boot asks for it beside the boards
mount_imagefs
start_dnsmasq "$MNT" --tftp-unique-root=mac --dhcp-range=10.77.0.10,10.77.0.90,1h \
	--dhcp-leasefile="$T/leases" --dhcp-authoritative --no-ping --log-dhcp
echo "two boards, one by its serial $serial, one by its MAC $mac:"
# autoload=no: the address alone, not a file called after it.
by_serial=${by_serial/dhcp;/setenv autoload no; dhcp;}
boot "$by_serial" "$by_mac"
check serial jammy 1
check mac noble 1
echo "new kernels, device trees and scripts in the images:"
release 2
boot "$by_serial" "$by_mac"
check serial jammy 2
check mac noble 2
echo "the board with the MAC is switched to jammy:"
ln -sfn jammy.img "$SRC/${mac//:/-}"
boot "$by_mac"
check mac jammy 2
echo "what dnsmasq served:"
sed -nE 's#.*dnsmasq-tftp\[[0-9]*\]: (sent|file) [^ ]*/mnt/#  \1 #p' "$T/dnsmasq.log" | sort | uniq -c
