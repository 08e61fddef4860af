#!/bin/bash
# N2, S2: links of SOURCE that lead into the mount, to themselves, or to SOURCE: none of
# them hangs the daemon, hides an image, or shows the raw images.
. "$(dirname "$0")/../lib.sh"
make_image "$SRC/jammy.img" 2 12
put one "$SRC/jammy.img" /config.txt
make_image "$SRC/bare" 2 12
put two "$SRC/bare" /config.txt
ln -s "$MNT/jammy/config.txt" "$SRC/absolute.txt"
ln -s "$MNT/jammy" "$SRC/board"
ln -s "$MNT/loop" "$SRC/loop"
ln -s jammy.img "$SRC/jammy"
ln -s bare "$SRC/bare.img"
ln -s "$SRC" "$SRC/all"
mount_imagefs
# Side by side, so that every thread of the daemon could be waiting for itself.
jobs=()
for ((i = 0; i < 8; i++)); do
	timeout 10 cat "$MNT/absolute.txt" >"$T/got.$i" &
	jobs+=($!)
	timeout 10 stat "$MNT/loop/x" >/dev/null 2>&1 &
done
for ((i = 0; i < 8; i++)); do
	wait "${jobs[i]}"
	is "absolute link into the mount" "$(cat "$T/got.$i")" one
done
wait
is "a board by an absolute link" "$(cat "$MNT/board/config.txt")" one
is "an image with a link of its own name" "$(cat "$MNT/jammy/config.txt")" one
is "a bare image with a link of its own name" "$(cat "$MNT/bare/config.txt")" two
is "SOURCE itself is not mirrored" "$(ls "$MNT" | tr '\n' ' ')" "absolute.txt bare board jammy loop "
! stat "$MNT/all" 2>/dev/null || fail "all is there"
# A link may be named as the image of which it picks a partition.
ln -sfn jammy:1 "$SRC/jammy"
is "a link that picks a partition" "$(cat "$MNT/jammy/config.txt")" one
# An image that was looked up, but not opened, under another name.
cp --sparse=always "$SRC/bare" "$SRC/new.img"
stat "$MNT/new" >/dev/null
mv "$SRC/new.img" "$SRC/newer.img"
is "renamed before it was opened" "$(cat "$MNT/newer/config.txt")" two
