#!/bin/bash
# E, S1, S2: images that are broken. Each ends in its own error while the rest of the
# image, where there is one, and the neighbours are served; a listing always ends.
. "$(dirname "$0")/../lib.sh"
read_all() {
	local status=0
	timeout 20 ls -R "$1" >/dev/null 2>&1 || status=$?
	[ $status -ne 124 ] || fail "ls -R $1 does not end"
}
make_pi() { # three files, each of several clusters of 2048 bytes, and a directory
	make_image "$SRC/$1.img" 8 16 -s 1
	put good "$SRC/$1.img" /config.txt
	put "@$T/data" "$SRC/$1.img" /victim.bin
	put "@$T/data" "$SRC/$1.img" /witness.bin
	mmd -i "$SRC/$1.img@@1M" ::dir
	put inner "$SRC/$1.img" /dir/inner.txt
}
head -c 20000 /dev/urandom >"$T/data"
chain() { edit "$SRC/$1.img" chain "/$2"; }
board "$SRC/neighbour.img" neighbour

# No filesystem to be understood: the directory is there, its contents answer EIO.
: >"$SRC/zero-length.img"
truncate -s 1M "$SRC/no-table.img"
head -c 1M /dev/urandom >"$SRC/random.img"
truncate -s 4M "$SRC/no-fat.img"; sfdisk -q "$SRC/no-fat.img" <<<'2048,+,83'
head -c 511 /dev/urandom >"$SRC/tiny.img"
make_pi no-bpb; edit "$SRC/no-bpb.img" poke 11 0000000000000000
make_pi huge-clusters; edit "$SRC/huge-clusters.img" poke 13 ff
make_pi no-sectors; edit "$SRC/no-sectors.img" poke 19 0000; edit "$SRC/no-sectors.img" poke 32 00000000
no_fat='zero-length no-table random no-fat tiny no-bpb huge-clusters'

# A table that goes round and round.
truncate -s 8M "$SRC/ebr-loop.img"
"$PYTHON" - "$SRC/ebr-loop.img" <<'PY'
import struct, sys
def entry(kind, start, size): return struct.pack("<B3sB3sII", 0, bytes(3), kind, bytes(3), start, size)
with open(sys.argv[1], "r+b") as disk:
    disk.seek(446); disk.write(entry(0x05, 2048, 8192) + bytes(48) + b"\x55\xaa")
    for at, following in ((2048, 64), (2112, 128), (2176, 0)):
        disk.seek(at * 512 + 446)
        disk.write(entry(0x83, 8, 8) + entry(0x05, following, 64) + bytes(32) + b"\x55\xaa")
PY

# The filesystem is understood, one file is not: EIO for it alone.
make_pi chain-loop; read -r -a c <<<"$(chain chain-loop victim.bin)"
edit "$SRC/chain-loop.img" setfat "${c[5]}" "${c[2]}"
make_pi chain-free; read -r -a c <<<"$(chain chain-free victim.bin)"
edit "$SRC/chain-free.img" setfat "${c[5]}" free
make_pi chain-one; read -r -a c <<<"$(chain chain-one victim.bin)"
edit "$SRC/chain-one.img" setfat "${c[5]}" 1
make_pi chain-out-of-range; read -r -a c <<<"$(chain chain-out-of-range victim.bin)"
edit "$SRC/chain-out-of-range.img" setfat "${c[5]}" 0xffe0
make_pi chain-bad; read -r -a c <<<"$(chain chain-bad victim.bin)"
edit "$SRC/chain-bad.img" setfat "${c[5]}" bad
make_pi chain-short; read -r -a c <<<"$(chain chain-short victim.bin)"
edit "$SRC/chain-short.img" setfat "${c[5]}" end
make_pi size-too-large; edit "$SRC/size-too-large.img" size /victim.bin 0xffffffff
make_pi size-one-cluster-more; edit "$SRC/size-one-cluster-more.img" size /victim.bin 21000
make_pi start-out-of-range; edit "$SRC/start-out-of-range.img" start /victim.bin 0xfff0
make_pi start-zero; edit "$SRC/start-zero.img" start /victim.bin 0
make_pi start-one; edit "$SRC/start-one.img" start /victim.bin 1
broken_files='chain-loop chain-free chain-one chain-out-of-range chain-bad chain-short
	size-too-large size-one-cluster-more start-out-of-range start-zero start-one'

# Broken directories.
make_pi dir-chain-loop; read -r -a c <<<"$(chain dir-chain-loop dir)"
edit "$SRC/dir-chain-loop.img" setfat "${c[0]}" "${c[0]}"
make_pi dir-to-parent; mmd -i "$SRC/dir-to-parent.img@@1M" ::dir/again
edit "$SRC/dir-to-parent.img" start /dir/again "$(chain dir-to-parent dir)"
make_pi dir-to-itself; mmd -i "$SRC/dir-to-itself.img@@1M" ::dir/a ::dir/a/b
edit "$SRC/dir-to-itself.img" start /dir/a/b "$(chain dir-to-itself dir)"
make_pi dir-to-root; edit "$SRC/dir-to-root.img" start /dir 0
make_pi dir-of-data; edit "$SRC/dir-of-data.img" start /dir "$(chain dir-of-data victim.bin | cut -d' ' -f1)"

# Cut off in the middle of the data, and right behind the table.
make_pi truncated; truncate -s 1100K "$SRC/truncated.img"
make_pi truncated-table; truncate -s 1M "$SRC/truncated-table.img"

# As Linux serves them: cross-linked files, a size smaller than the chain, a size of 0
# with a start cluster.
make_pi crossed; edit "$SRC/crossed.img" start /witness.bin "$(chain crossed victim.bin | cut -d' ' -f1)"
make_pi size-smaller; edit "$SRC/size-smaller.img" size /victim.bin 1000
make_pi size-zero; edit "$SRC/size-zero.img" size /victim.bin 0

sha256sum "$SRC"/*.img >"$T/sums"
mount_imagefs
timeout 20 ls -l "$MNT" >/dev/null || fail "the listing of all"

for name in $no_fat; do
	[ -d "$MNT/$name" ] || fail "$name is not a directory"
	refuses EIO ls "$MNT/$name"
	refuses EIO cat "$MNT/$name/config.txt"
done
refuses EIO ls "$MNT/ebr-loop"
refuses EIO ls "$MNT/truncated-table"
for name in $broken_files; do
	refuses EIO cat "$MNT/$name/victim.bin"
	is "$name: config.txt" "$(cat "$MNT/$name/config.txt")" good
	cmp "$T/data" "$MNT/$name/witness.bin"
	is "$name: inner" "$(cat "$MNT/$name/dir/inner.txt")" inner
	[ "$(ls "$MNT/$name" | wc -l)" -ge 3 ] || fail "$name: the neighbours are not listed"
done
for name in dir-chain-loop dir-to-parent dir-to-itself dir-to-root dir-of-data no-sectors; do
	read_all "$MNT/$name"
	[ "$(timeout 20 find "$MNT/$name" 2>/dev/null | wc -l)" -lt 1000 ] || fail "$name: an endless tree"
done
for name in dir-chain-loop dir-to-parent dir-to-itself dir-to-root dir-of-data; do
	is "$name: config.txt" "$(cat "$MNT/$name/config.txt")" good
	cmp "$T/data" "$MNT/$name/witness.bin"
done
# A directory entry that names its own ancestor: an error, not a way down without end.
refuses EIO ls "$MNT/dir-to-parent/dir/again/again/again"
refuses EIO ls "$MNT/dir-to-itself/dir/a/b/a/b"
read_all "$MNT/truncated"
cmp "$T/data" "$MNT/crossed/victim.bin"
cmp "$T/data" "$MNT/crossed/witness.bin"
is "size-smaller" "$(head -c 1000 "$T/data" | sha256sum)" "$(sha256sum <"$MNT/size-smaller/victim.bin")"
is "size-zero" "$(stat -c %s "$MNT/size-zero/victim.bin") $(cat "$MNT/size-zero/victim.bin" | wc -c)" '0 0'
is neighbour "$(cat "$MNT/neighbour/config.txt")" neighbour
kill -0 "$(daemon_pid)"
sha256sum --quiet -c "$T/sums"
