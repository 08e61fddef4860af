#!/bin/bash
# tools/make-pi-image --fast: a sound disk image with the boot files and partitions of a
# Pi, and a clear refusal of what cannot be done.
. "$(dirname "$0")/../lib.sh"
"$TOP/tools/make-pi-image" --small --size 64 --root 16 "$T/pi.img" >"$T/out"
grep -q 'made-up' "$T/out" || fail "does not say where the files come from"
is "partitions" "$(sfdisk -d "$T/pi.img" | sed -n 's/.*type=//p' | tr -d '\n' | cut -c1-4)" 'c, b'
dd if="$T/pi.img" of="$T/fat" bs=1M skip=4 count=64 status=none
fsck.fat -n "$T/fat" >"$T/fsck" || fail "$(cat "$T/fsck")"
dd if="$T/pi.img" of="$T/root" bs=1M skip=68 status=none
e2fsck -fn "$T/root" >"$T/fsck" 2>&1 || fail "$(cat "$T/fsck")"
extract "$T/pi.img@@4M" "$T/files"
for file in bootcode.bin start.elf start4.elf fixup.dat fixup4.dat kernel8.img kernel_2712.img \
	config.txt cmdline.txt bcm2711-rpi-4-b.dtb bcm2712-rpi-5-b.dtb initramfs8 \
	overlays/overlay_map.dtb overlays/vc4-kms-v3d.dtbo; do
	[ -s "$T/files/$file" ] || fail "no $file"
done
[ -f "$T/files/ssh" ] && [ ! -s "$T/files/ssh" ] || fail "no empty file ssh"
refuses 'exists' "$TOP/tools/make-pi-image" --fast "$T/pi.img"
refuses 'too small' "$TOP/tools/make-pi-image" --fast --size 8 "$T/other.img"
[ ! -e "$T/other.img" ] || fail "a half image was left"
