#!/bin/bash
# imagefsctl cp, rm, mkdir, mv: on each kind of FAT and table, what mtools then reads is what was asked for, fsck.fat finds nothing, and
# no byte outside of that partition has changed.
# usage: tools_change_verbs.sh KIND
. "$(dirname "$0")/../lib.sh"
requires fsck.fat sgdisk
IMAGEFSCTL=$(dirname "$IMAGEFS")/imagefsctl
ctl() { "$IMAGEFSCTL" "$@"; }
kind=${1:-mbr16}
image=$SRC/jammy.img at=1M number=1
case $kind in
bare12) truncate -s 2M "$image" && mkfs.fat -F 12 "$image" >/dev/null && at=0 number=0 ;;
mbr12) make_image "$image" 4 12 ;;
mbr16) make_image "$image" 12 16 -s 2 ;;
mbr32) make_fat32_image "$image" ;;
logical16)
	truncate -s 24M "$image" && printf '2048,,5\n4096,8192,83\n16384,24576,c\n' | sfdisk -q "$image"
	make_fat "$image" 16384 12288 16 && at=8M number=6 ;;
gpt32)
	truncate -s 48M "$image" && sgdisk -n 1:2048:+1M -n 2:8192:+36M -t 2:ef00 "$image" >/dev/null
	make_fat "$image" 8192 36864 32 -s 1 && at=4M number=2 ;;
sector4096)
	truncate -s 12M "$image"
	mkfs.fat -F 12 -S 4096 -s 1 "$image" >/dev/null && at=0 number=0 ;;
esac
fat=$image@@$at
# What is behind the partition, and before it, is somebody's.
"$PYTHON" - "$image" "$at" <<'PY'
import sys
start = int(sys.argv[2].rstrip("M")) << 20
with open(sys.argv[1], "r+b") as disk:
    if start:
        disk.seek(start - 512)
        disk.write(b"before" * 80)
PY
head -c 300000 /dev/urandom >"$T/kernel"
printf 'config\n' >"$T/config.txt"
mkdir "$T/want"
put "@$T/kernel" "$fat" /kernel8.img
put "@$T/config.txt" "$fat" /config.txt
cp "$T/kernel" "$T/want/kernel8.img"
cp "$T/config.txt" "$T/want"
outside() {
	local start=$((${at%M} << 20))
	head -c $start "$image" | sha256sum
}
before=$(outside)

# same WHAT: the image has what $T/want has, by mtools and by our reader; and is whole.
same() {
	rm -rf "$T/got" "$T/ours"
	extract "$fat" "$T/got"
	same_bytes "$T/want" "$T/got"
	ctl cp -r "$image:" "$T/ours"
	same_bytes "$T/want" "$T/ours"
	dd if="$image" of="$T/fat" bs=1M skip="${at%M}" conv=sparse status=none
	fsck.fat -n "$T/fat" >"$T/fsck.log" || fail "$1: $(cat "$T/fsck.log")"
	is "outside, $1" "$(outside)" "$before"
	is "beside, $1" "$(ls -A "$SRC")" jammy.img
}
same "as it was made"

# cp: a new file, one in the place of another (another case, larger, smaller, empty), from a pipe, several, trees.
printf new >"$T/want/new file.txt" && ctl cp "$T/want/new file.txt" "$image:"
for size in 500000 10 0; do
	head -c $size /dev/urandom >"$T/want/kernel8.img"
	ctl cp "$T/want/kernel8.img" "$image:/KERNEL8.IMG"
	same "kernel8.img of $size bytes"
done
seq 1000 >"$T/want/config.txt"
seq 1000 | ctl cp - "$image:$number:config.txt"
mkdir -p "$T/want/overlays/sub/empty"
for i in {1..20}; do echo "$i" >"$T/want/overlays/a long name of $i.dtbo"; done
echo deep >"$T/want/overlays/sub/deep"
ctl cp -r "$T/want/overlays" "$image:"
same "a tree"
ctl cp -r "$T/want/overlays" "$image:copy"
cp -r "$T/want/overlays" "$T/want/copy"
echo changed >"$T/want/copy/sub/deep" && echo another >"$T/want/copy/sub/another"
ctl cp -r "$T/want/copy/." "$image:copy" # into what is there
ctl cp "$T/want/config.txt" "$T/config.txt" "$image:copy/" # the last of one name counts
cp "$T/config.txt" "$T/want/copy/"
ctl cp "$image:overlays/sub/deep" "$image:from-the-image"
cp "$T/want/overlays/sub/deep" "$T/want/from-the-image"
ln -s "$T/want/config.txt" "$T/link" && ctl cp "$T/link" "$image:" && cp "$T/want/config.txt" "$T/want/link"
same "more of cp"

# mkdir, mv, rm.
mkdir -p "$T/want/one" "$T/want/x/y/z"
ctl mkdir "$image:one"
ctl mkdir -p "$image:x/y/z" "$image:x/y"
mv "$T/want/one" "$T/want/x/y/two" && ctl mv "$image:ONE" "$image:x/y/two"
mv "$T/want/config.txt" "$T/want/x/" && ctl mv "$image:config.txt" "$image:x"
mv "$T/want/link" "$T/want/new file.txt" && ctl mv "$image:link" "$image:new file.txt"
mv "$T/want/kernel8.img" "$T/want/from-the-image" "$T/want/copy" && ctl mv "$image:kernel8.img" "$image:from-the-image" "$image:copy/"
mv "$T/want/x/config.txt" "$T/want/x/CONFIG.TXT" && ctl mv "$image:x/config.txt" "$image:x/CONFIG.TXT"
mv "$T/want/copy/sub/another" "$T/want/a.dtb" && ctl mv "$image:copy/sub/another" "$image:a.dtb"
mv "$T/want/overlays" "$T/want/x/y/z/overlays" && ctl mv "$image:overlays" "$image:x/y/z"
same "mkdir and mv"
rm "$T/want/a.dtb" && rm -r "$T/want/copy" && ctl rm -r "$image:a.dtb" "$image:copy"
same "rm"
mattrib +r +h +s -i "$fat" "::/new file.txt"
rm "$T/want/new file.txt" && ctl rm "$image:NEW FILE.TXT"
same "one that was read-only"

# Refused in a line, and then nothing of it is done.
all=$(sha256sum <"$image")
refuses 'No such file' ctl rm "$image:x/CONFIG.TXT" "$image:nothing"
refuses 'Is a directory' ctl rm "$image:x"
refuses 'root' ctl rm -r "$image:/"
refuses 'File exists' ctl mkdir "$image:new" "$image:x"
refuses 'No such file' ctl mkdir "$image:a/b"
refuses 'into itself' ctl mv "$image:x" "$image:x/y"
refuses 'No such file' ctl mv "$image:nothing" "$image:else"
refuses 'no directory' ctl cp "$T/config.txt" "$T/kernel" "$image:nothing"
refuses 'No such file' ctl cp "$T/config.txt" "$image:nothing/"
refuses 'with -r' ctl cp "$T/want" "$image:"
refuses 'with -r' ctl cp "$image:x" "$T/here"
ln -s nowhere "$T/want/x/dangling"
refuses 'nowhere' ctl cp -r "$T/want/x" "$image:again"
rm "$T/want/x/dangling"
refuses 'neither source nor destination' ctl cp "$T/kernel" "./jammy.img:x"
refuses 'one image at a time' ctl mv "$image:x" "$SRC/other.img:x"
refuses 'is not there' ctl rm "$image:9:x"
is "the image after what was refused" "$(sha256sum <"$image")" "$all"

# Out of it.
mkdir "$T/out"
ctl cp "$image:x/CONFIG.TXT" "$image:x/y/z/overlays/sub/deep" "$T/out"
cmp "$T/out/CONFIG.TXT" "$T/want/x/CONFIG.TXT" && cmp "$T/out/deep" "$T/want/x/y/z/overlays/sub/deep"
ctl cp "$image:$number:x/CONFIG.TXT" - | cmp - "$T/want/x/CONFIG.TXT"
is "nothing is left" "$(ls -A "$T/out" | sort | tr '\n' ' ')" 'CONFIG.TXT deep '
