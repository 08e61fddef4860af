#!/bin/bash
# N4: the kinds of partition tables, and which of several FATs is the boot partition.
. "$(dirname "$0")/../lib.sh"
requires sgdisk
new() { truncate -s 16M "$SRC/$1.img"; }

new mbr; sfdisk -q "$SRC/mbr.img" <<<'2048,+,c'
make_fat "$SRC/mbr.img" 2048 4096 12; put mbr "$SRC/mbr.img" /config.txt

new typebyte; sfdisk -q "$SRC/typebyte.img" <<<'2048,+,83' # by content, not by type
make_fat "$SRC/typebyte.img" 2048 4096 12; put typebyte "$SRC/typebyte.img" /config.txt

new slot4; printf 'label: dos\n4 : start=2048, size=8192, type=c\n' | sfdisk -q "$SRC/slot4.img"
make_fat "$SRC/slot4.img" 2048 4096 12; put slot4 "$SRC/slot4.img" /config.txt

new logical; printf '2048,,5\n4096,8192,83\n16384,8192,c\n' | sfdisk -q "$SRC/logical.img"
make_fat "$SRC/logical.img" 16384 4096 12; put logical "$SRC/logical.img@@8M" /config.txt

new gpt; sgdisk -n 1:2048:+4M -t 1:8300 -n 2:16384:+4M -t 2:ef00 "$SRC/gpt.img" >/dev/null
make_fat "$SRC/gpt.img" 16384 4096 12; put gpt "$SRC/gpt.img@@8M" /config.txt

new backup; sgdisk -n 1:2048:+4M -t 1:ef00 "$SRC/backup.img" >/dev/null
make_fat "$SRC/backup.img" 2048 4096 12; put backup "$SRC/backup.img" /config.txt
dd if=/dev/zero of="$SRC/backup.img" bs=512 seek=1 count=1 conv=notrunc status=none

new hybrid; sgdisk -n 1:2048:+4M -t 1:ef00 -h 1 "$SRC/hybrid.img" >/dev/null
make_fat "$SRC/hybrid.img" 2048 4096 12; put hybrid "$SRC/hybrid.img" /config.txt

new bare; mkfs.fat -F 12 "$SRC/bare.img" >/dev/null; put bare "$SRC/bare.img@@0" /config.txt

new second; printf '2048,4096,c\n8192,4096,c\n' | sfdisk -q "$SRC/second.img" # data first, boot second
make_fat "$SRC/second.img" 2048 2048 12; put data "$SRC/second.img@@1M" /data.txt
make_fat "$SRC/second.img" 8192 2048 12; put second "$SRC/second.img@@4M" /config.txt

new none-boots; printf '2048,4096,83\n8192,4096,c\n16384,4096,c\n' | sfdisk -q "$SRC/none-boots.img"
make_fat "$SRC/none-boots.img" 8192 2048 12; put 'the first FAT' "$SRC/none-boots.img@@4M" /data.txt
make_fat "$SRC/none-boots.img" 16384 2048 12

# 4096-byte sectors: numbers in the table count 4096 bytes.
new sector4096
"$PYTHON" - "$SRC/sector4096.img" <<'PY'
import struct, sys
with open(sys.argv[1], "r+b") as disk:
    disk.seek(446)
    disk.write(struct.pack("<B3sB3sII", 0, bytes(3), 0xc, bytes(3), 512, 2048) + bytes(48) + b"\x55\xaa")
PY
mkfs.fat -F 12 -S 4096 -s 1 --offset 512 "$SRC/sector4096.img" 8192 >/dev/null
put sector4096 "$SRC/sector4096.img@@2M" /config.txt

mount_imagefs
for name in mbr typebyte slot4 logical gpt backup hybrid bare second sector4096; do
	is "$name" "$(cat "$MNT/$name/config.txt")" "$name"
done
is none-boots "$(cat "$MNT/none-boots/data.txt")" 'the first FAT'
is slot4:4 "$(cat "$MNT/slot4:4/config.txt")" slot4
is logical:6 "$(cat "$MNT/logical:6/config.txt")" logical
is gpt:2 "$(cat "$MNT/gpt:2/config.txt")" gpt
for name in mbr bare gpt; do is "$name twice" "$(ls "$MNT" | grep -c "^$name")" 1; done

# A table that changes under us: partition 1 moves, as when growpart rewrites it.
truncate -s 32M "$SRC/mbr.img"
sfdisk -q "$SRC/mbr.img" <<<'40960,+,c'
make_fat "$SRC/mbr.img" 40960 4096 12; put moved "$SRC/mbr.img@@20M" /config.txt
is "after the table changed" "$(cat "$MNT/mbr/config.txt")" moved
