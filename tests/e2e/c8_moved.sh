#!/bin/bash
# C8, N7, C2: images renamed, replaced, removed and made again, links moved to another
# image, and the whole SOURCE directory moved away and back, under open files; a hundred
# rounds in which a reader never sees one image's bytes under the other's.
. "$(dirname "$0")/../lib.sh"
for name in one two; do
	make_image "$T/$name" 6 12
	head -c 300000 /dev/urandom >"$T/$name.kernel"
	put "@$T/$name.kernel" "$T/$name" /kernel8.img
	put "$name" "$T/$name" /config.txt
done
cp "$T/one" "$SRC/one.img"
cp "$T/two" "$SRC/two.img"
cp "$T/one" "$SRC/board.img"
ln -s one.img "$SRC/link"
ln -s "$T/one" "$SRC/outside.img"
mount_imagefs

for ((round = 0; round < 100; round++)); do
	was=one now=two
	[ $((round % 2)) = 0 ] || { was=two now=one; }
	is "round $round: before" "$(cat "$MNT/board/config.txt")" $was
	exec 7<"$MNT/board/kernel8.img"
	case $((round % 5)) in
	0) cp "$T/$now" "$T/new" && mv "$T/new" "$SRC/board.img" ;;
	1) rm "$SRC/board.img" && refuses ENOENT ls "$MNT/board" && cp "$T/$now" "$SRC/board.img" ;;
	2) mv "$SRC/board.img" "$SRC/away.img" && cp "$T/$now" "$SRC/board.img" ;;
	3) : >"$SRC/board.img" && cp "$T/$now" "$SRC/board.img" ;; # truncated, and written again
	4) truncate -s 20M "$SRC/board.img" && dd if="$T/$now" of="$SRC/board.img" bs=1M conv=notrunc status=none ;;
	esac
	is "round $round: after" "$(cat "$MNT/board/config.txt")" $now
	cmp "$MNT/board/kernel8.img" "$T/$now.kernel"
	"$PYTHON" "$TOOLS/finish_open.py" "$T/$was.kernel" 7 "round $round" >"$T/ends"
	cat "$T/ends" >>"$T/all"
	exec 7<&-
	ln -sfn $now.img "$SRC/link"
	is "round $round: link" "$(cat "$MNT/link/config.txt")" $now
	ln -sfn "$T/$now" "$SRC/outside.img"
	is "round $round: outside" "$(cat "$MNT/outside/config.txt")" $now
done
echo "100 replaced images: $(grep -c whole "$T/all") open files whole, $(grep -vc whole "$T/all" || true) ended by an error"

# The directory itself: while it is away there is nothing, or an error; then all again.
exec 7<"$MNT/one/kernel8.img"
mv "$SRC" "$T/elsewhere"
ls "$MNT" >/dev/null 2>&1 || true
"$PYTHON" "$TOOLS/finish_open.py" "$T/one.kernel" 7 "directory away"
mv "$T/elsewhere" "$SRC"
is "back again" "$(cat "$MNT/one/config.txt" "$MNT/link/config.txt" "$MNT/outside/config.txt")" "$(printf 'one\none\none' | tr -d '\n')"
"$PYTHON" "$TOOLS/finish_open.py" "$T/one.kernel" 7 "directory back"
exec 7<&-
# Another directory in its place, which has other images.
mv "$SRC" "$T/elsewhere"
mkdir "$SRC"
cp "$T/two" "$SRC/one.img"
wait_until 10 eval '[ "$(cat "$MNT/one/config.txt")" = two ]'
rm -r "$SRC"
mv "$T/elsewhere" "$SRC"
wait_until 10 eval '[ "$(cat "$MNT/one/config.txt")" = one ]'
