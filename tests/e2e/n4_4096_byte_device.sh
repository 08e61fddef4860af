#!/bin/bash
# N4: a block device with 4096-byte sectors, GPT and FAT counting in them.
. "$(dirname "$0")/../lib.sh"
requires root loop
truncate -s 64M "$T/disk"
loop_device device "$T/disk" --sector-size 4096
[ "$(blockdev --getss "$device")" = 4096 ] || skip "no 4096-byte sectors here"
sgdisk -n 1:512:+16M -t 1:ef00 "$device" >/dev/null 2>&1 ||
	sfdisk -q "$device" <<<'512,4096,c'
mkfs.fat -F 16 -S 4096 -s 1 --offset 512 "$T/disk" $((16 * 1024)) >/dev/null
put 'four thousand' "$T/disk@@2M" /config.txt
head -c 300000 /dev/urandom >"$T/kernel"
put "@$T/kernel" "$T/disk@@2M" /kernel8.img
sync "$device"
ln -s "$device" "$SRC/dev.img"
mount_imagefs
is config "$(cat "$MNT/dev/config.txt")" 'four thousand'
cmp "$T/kernel" "$MNT/dev/kernel8.img"
