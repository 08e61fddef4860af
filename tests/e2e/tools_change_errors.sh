#!/bin/bash
# imagefsctl: what cannot be done leaves the image as it was: no space on the partition, in TMPDIR, beside the image; an image that may not be
# written to, is none, or whose FAT has errors; programs that are missing. Names that FAT or mtools cannot have.
. "$(dirname "$0")/../lib.sh"
requires root fsck.fat
IMAGEFSCTL=$(dirname "$IMAGEFS")/imagefsctl
ctl() { "$IMAGEFSCTL" "$@"; }
image=$SRC/jammy.img
board "$image" config
head -c 100000 /dev/urandom >"$T/file"
put "@$T/file" "$image" /kernel8.img

all=$(sha256sum <"$image")
same() { # same WHAT [FILES]
	is "the image, $1" "$(sha256sum <"$image")" "$all"
	is "beside it, $1" "$(ls -A "$(dirname "$image")")" "${2:-jammy.img}"
}

# The partition is full: known before, and found on the way (a pipe; a directory that has to grow).
head -c 5000000 /dev/urandom >"$T/large"
refuses 'no space' ctl cp "$T/large" "$image:"
refuses 'no space' ctl cp - "$image:large" <"$T/large"
mkdir "$T/tree"
for i in {1..40}; do cp "$T/file" "$T/tree/$i"; done
refuses 'no space' ctl cp -r "$T/tree" "$image:"
same "the partition is full"
free=$(mdir -i "$image@@1M" ::/ | sed -n 's/ bytes free//p' | tr -d ' ')
head -c "$free" /dev/urandom >"$T/all"
mkdir "$T/brim" && cp "$T/all" "$T/brim/all"
refuses ' space' ctl cp -r "$T/brim" "$image:" # no cluster is left for its directory
same "full to the brim"

# TMPDIR is full, or read-only, or none; no space for the journal; the directory may not be written to.
mkdir "$T/small"
mount -t tmpfs -o size=64k small "$T/small"
for directory in "$T/small" /proc "$T/nothing"; do
	refuses 'private copy in' env TMPDIR="$directory" "$IMAGEFSCTL" cp "$T/file" "$image:other"
	same "TMPDIR $directory"
done
mount -o remount,size=8m "$T/small"
cp --sparse=never "$image" "$T/small"
image=$T/small/jammy.img
head -c 8M /dev/zero >"$T/small/fill" 2>/dev/null || true
head -c 100000 /dev/urandom >"$T/other"
refuses 'No space left' ctl cp "$T/other" "$image:kernel8.img" # for its bytes, or the journal
refuses 'nothing was changed: the journal' ctl cp -r "$T/tree/1" "$T/tree/2" "$image:" # for one whose bytes are there
is "a journal that had no space" "$(ls -A "$T/small" | tr '\n' ' ')" 'fill jammy.img '
extract "$image" "$T/left" && extract "$SRC/jammy.img" "$T/was" && same_tree "$T/was" "$T/left"
rm "$T/small/fill"
mount -o remount,ro "$T/small"
refuses EROFS ctl cp "$T/file" "$image:other"
umount "$T/small"
image=$SRC/jammy.img
same "elsewhere"

# The disk is full, and what is to be changed are holes of a sparse image: known before anything of it is written.
make_image "$T/holes.img" 40 16
put config "$T/holes.img" /config.txt
mkdir "$T/empty" "$T/full"
for i in {1..100}; do : >"$T/empty/a-file-with-a-long-name.$i"; done
mount -t tmpfs -o size=2m full "$T/full"
outcomes=
for kib in 4 8 12 16 20 24 28 32 40; do
	rm -f "$T"/full/*
	cp --sparse=always "$T/holes.img" "$T/full/jammy.img"
	holes=$(sha256sum <"$T/full/jammy.img")
	head -c 2M /dev/zero >"$T/full/fill" 2>/dev/null || true
	truncate -s "-${kib}K" "$T/full/fill"
	if ctl cp "$T"/empty/* "$T/full/jammy.img:" 2>"$T/said"; then
		outcomes+=y
		is "with $kib KiB free" "$(ctl ls "$T/full/jammy.img" | wc -l)" 101
	else
		outcomes+=n
		grep -q 'nothing was changed.*No space' "$T/said" || fail "with $kib KiB free it says $(cat "$T/said")"
		is "with $kib KiB free" "$(sha256sum <"$T/full/jammy.img")" "$holes"
	fi
	is "beside it" "$(ls -A "$T/full" | tr '\n' ' ')" 'fill jammy.img '
done
[[ $outcomes == n*y ]] || fail "too little space and enough: $outcomes"
umount "$T/full"

# Programs that are missing are named with their packages.
mkdir "$T/bin"
for program in bash env fsck.fat; do cp "$(command -v $program)" "$T/bin"; done
run_without() { unshare -m bash -c 'mount -t tmpfs none /usr/local/sbin && mount --bind "$0" /sbin && mount --bind "$0" /usr/sbin; PATH=$0 exec "$@"' "$T/bin" "$@"; }
refuses 'package mtools' run_without "$IMAGEFSCTL" cp "$T/file" "$image:other"
rm "$T/bin/fsck.fat"
refuses 'package dosfstools' run_without "$IMAGEFSCTL" cp "$T/file" "$image:other"
same "programs are missing"

# No image; no FAT; FAT with errors: with the line that mends it. What a board leaves that was switched off is none.
truncate -s 4M "$T/zeros.img"
refuses 'neither a partition table nor a FAT' ctl cp "$T/file" "$T/zeros.img:"
refuses 'neither a regular file' ctl cp "$T/file" "$T/tree:x"
refuses 'no such file' ctl cp "$T/file" nothing:x
cp "$image" "$T/broken.img"
read -r -a chain <<<"$(edit "$T/broken.img" chain /kernel8.img)"
edit "$T/broken.img" setfat "${chain[2]}" free
broken=$(sha256sum <"$T/broken.img")
refuses 'has errors already' ctl cp "$T/file" "$T/broken.img:other"
is "the broken one" "$(sha256sum <"$T/broken.img")" "$broken"
ctl cp "$T/file" "$T/broken.img:other" 2>"$T/said" || true
if losetup -f >/dev/null 2>&1; then
	bash -c "$(tail -n 1 "$T/said")" >"$T/mended.log" 2>&1 || true # fsck.fat -a says 1 when it has mended
	ctl cp "$T/file" "$T/broken.img:other" || fail "after the line it gave: $(cat "$T/said" "$T/mended.log")"
fi
make_fat32_image "$T/dirty.img"
put config "$T/dirty.img" /config.txt
"$PYTHON" - "$T/dirty.img" <<'PY'
import sys
with open(sys.argv[1], "r+b") as disk:
    disk.seek((1 << 20) + 0x41)
    disk.write(b"\1")                    # Linux's dirty flag
    disk.seek((1 << 20) + 512 + 488)
    disk.write(b"\1\0\0\0")              # free clusters: one
PY
ctl cp "$T/file" "$T/dirty.img:other"
ctl cat "$T/dirty.img" other | cmp - "$T/file"
dd if="$T/dirty.img" of="$T/fat" bs=1M skip=1 conv=sparse status=none
fsck.fat -n "$T/fat" >"$T/fsck.log" || fail "$(cat "$T/fsck.log")"
truncate -s 20M "$T/few.img" && mkfs.fat -F 32 -s 1 "$T/few.img" >/dev/null 2>&1
refuses 'mtools writes to those of 65525' ctl cp "$T/file" "$T/few.img:other"

# Names.
named() { # named NAME [SHOWN]: as cp, mv and rm have it
	echo data | ctl cp - "$image:/$1"
	ctl ls "$image" | grep -qxF -- "${2:-$1}" || fail "cp: $1"
	ctl mv "$image:/$1" "$image:/kernel8.img.old"
	ctl mv "$image:/kernel8.img.old" "$image:/$1"
	ctl ls "$image" | grep -qxF -- "${2:-$1}" || fail "mv: $1"
	is "$1" "$(ctl cat "$image" "$1")" data
	ctl rm "$image:/$1"
}
long=$(printf 'y%.0s' {1..255})
echo other | ctl cp - "$image:ab.txt" # which a pattern would match
named 'a[b].txt'
named "$long"
named 'Grüße und 数字.txt'
named 数
named dots... dots
named .hidden
named ' leading'
named "it's #1 (100%).txt"
named 'A+b,;=[x]~1.t'
named lower.txt
named UPPER.TXT
named "ÀÉ.txt"
is "what looks like it" "$(ctl cat "$image" ab.txt)" other
ctl rm "$image:ab.txt"
is "names" "$(ctl ls "$image" | sort | tr '\n' ' ')" 'config.txt kernel8.img '
all=$(sha256sum <"$image")
for name in 'a*b' 'a?b' 'a:b' 'a\b' 'a"b' 'a<b' 'a|b' $'a\tb' $'a\xffb' 'x😀' ... 'blank ' nul COM1 "${long}y" ../x; do
	refuses "imagefsctl: /" ctl cp "$T/file" "$image:/$name"
	refuses "imagefsctl: /" ctl mv "$image:config.txt" "$image:/$name"
	refuses "imagefsctl: /" ctl mkdir "$image:/$name"
	same "$name"
done
