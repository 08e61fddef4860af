#!/bin/bash
# N6: a file is found by its long name, its short name, in any ASCII case and with
# trailing dots, as Linux vfat does; and each spelling is the same inode.
. "$(dirname "$0")/../lib.sh"
make_image "$SRC/a.img" 8 16 -s 1
put long "$SRC/a.img" '/Raspberry Pi Overlay.dtbo'
put lower "$SRC/a.img" /kernel8.img
put mixed "$SRC/a.img" /README.txt
put umlaut "$SRC/a.img" '/Grüße an alle.txt'
mount_imagefs
D=$MNT/a
inode() { stat -c %i "$1"; }
same_inode() {
	local first wanted=$1 name
	first=$(inode "$D/$wanted")
	for name; do
		is "inode of $name" "$(inode "$D/$name")" "$first"
		is "bytes of $name" "$(cat "$D/$name")" "$(cat "$D/$wanted")"
	done
}
same_inode 'Raspberry Pi Overlay.dtbo' 'raspberry pi overlay.DTBO' RASPBE~1.DTB 'raspbe~1.dtb' \
	'Raspberry Pi Overlay.dtbo.'
same_inode kernel8.img KERNEL8.IMG Kernel8.Img kernel8.img...
same_inode README.txt readme.TXT
same_inode 'Grüße an alle.txt' 'grüße AN ALLE.txt'
refuses ENOENT cat "$D/GRÜSSE an alle.txt"
refuses ENOENT cat "$D/GRÜßE an alle.txt"
refuses ENOENT cat "$D/kernel9.img"
is listing "$(ls "$D")" "$(printf '%s\n' 'Grüße an alle.txt' README.txt 'Raspberry Pi Overlay.dtbo' kernel8.img | sort)"
# The listing's inode numbers are the files' own.
is "d_ino" "$(ls -i "$D" | awk '/kernel8/ { print $1 }')" "$(inode "$D/kernel8.img")"
# A directory too is one inode, however it is spelled, also while it is stood in.
mmd -i "$SRC/a.img@@1M" '::Overlays of 2024'
put x "$SRC/a.img" '/Overlays of 2024/x.dtbo'
wanted=$(inode "$D/Overlays of 2024")
for spelling in 'overlays OF 2024' OVERLA~1 overla~1 'Overlays of 2024.'; do
	is "inode of $spelling" "$(inode "$D/$spelling")" "$wanted"
	is "in $spelling" "$(cd "$D/$spelling"; cat x.dtbo; stat -c %i .)" "x$wanted"
done
