#!/bin/bash
# N1: what in SOURCE is an image and how it is named; archives, checksums, notes, dot
# files and directories are not shown, and raw bytes cannot be had.
. "$(dirname "$0")/../lib.sh"
board "$SRC/jammy.img" jammy
board "$SRC/noble.raw" noble
board "$SRC/bare" 'bare with a table'
truncate -s 4M "$SRC/superfloppy"
mkfs.fat -F 12 "$SRC/superfloppy" >/dev/null
put 'no table at all' "$SRC/superfloppy@@0" /config.txt
board "$SRC/dots.in.name.img" dots
board "$SRC/with space.img" space
gzip -k "$SRC/jammy.img"
xz -k -0 "$SRC/noble.raw" 2>/dev/null || cp "$SRC/jammy.img.gz" "$SRC/noble.raw.xz"
(cd "$SRC" && sha256sum jammy.img >SHA256SUMS && zip -q x.zip jammy.img 2>/dev/null) || true
echo 'remember the milk' >"$SRC/notes.txt"
: >"$SRC/empty.txt"
head -c 1M /dev/urandom >"$SRC/random.bin"
board "$SRC/.hidden.img"
board "$SRC/.hidden"
mkdir "$SRC/subdirectory" "$SRC/directory.img"
board "$SRC/subdirectory/inner.img"
mkfifo "$SRC/fifo" "$SRC/fifo.img"
mount_imagefs
is listing "$(ls -A "$MNT")" "$(printf '%s\n' bare dots.in.name jammy noble superfloppy 'with space' | sort)"
is jammy "$(cat "$MNT/jammy/config.txt")" jammy
is noble "$(cat "$MNT/noble/config.txt")" noble
is bare "$(cat "$MNT/bare/config.txt")" 'bare with a table'
is superfloppy "$(cat "$MNT/superfloppy/config.txt")" 'no table at all'
is dots "$(cat "$MNT/dots.in.name/config.txt")" dots
is space "$(cat "$MNT/with space/config.txt")" space
for name in jammy.img noble.raw jammy.img.gz notes.txt SHA256SUMS random.bin empty.txt .hidden \
	.hidden.img subdirectory directory directory.img fifo fifo.img; do
	refuses ENOENT stat "$MNT/$name"
done
refuses EISDIR cat "$MNT/jammy"
refuses ENOENT ls "$MNT/jammy:2"
# Two files that want one name: one of them is shown, and always the same one.
board "$SRC/jammy" 'bare jammy'
is "jammy twice" "$(cat "$MNT/jammy/config.txt")" "$(cat "$MNT/jammy/config.txt")"
is "listed once" "$(ls "$MNT" | grep -c '^jammy$')" 1
