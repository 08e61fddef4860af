#!/bin/bash
# N2, N7, N8: what was looked up a moment ago is looked up anew as soon as any name on the way
# has changed: a link, a name that goes before another, files of a board's own, a directory or
# a link in the path of SOURCE, also one that somebody stands in, and what is mounted over any of them.
. "$(dirname "$0")/../lib.sh"
requires root netns
for name in one two three; do
	board "$T/$name" $name
	mmd -i "$T/$name@@1M" ::d
	put $name "$T/$name" /d/f
done
mkdir -p "$T/path/way/first" "$T/path/other/first"
cp "$T/one" "$T/path/way/first/a.img"
cp "$T/two" "$T/path/way/first/b.img"
ln -s a.img "$T/path/way/first/board"
cp "$T/three" "$T/path/other/first/a.img"
ln -s a.img "$T/path/other/first/board"
ln -s way/first "$T/path/link"
SRC=$T/path/link IN=$T/path/way/first
mount_imagefs

# Twice: the second time by what is remembered; by path, and in a directory that somebody stands in.
cd "$MNT/a/d"
shown() { # shown WHAT BOARD A
	local i
	for i in 1 2; do
		is "$1" "$(cat "$MNT/board/d/f" "$MNT/board/config.txt" "$MNT/a/config.txt" f)" "$2$2$3$3"
	done
}
at_rest() { cat "$MNT/a/config.txt" "$MNT/b/config.txt" >/dev/null; }
wait_until 10 at_rest
shown "as it was mounted" one one
ln -sfn b.img "$IN/board"
shown "the board's link leads to another image" two one
is "its text" "$(readlink "$MNT/board")" b
ln -s a.img "$IN/new" && mv "$IN/new" "$IN/board"
shown "and back, by rename" one one
ln -s b.img "$IN/a"
is "a link goes before the image of its name" "$(cat "$MNT/a/config.txt" "$MNT/board/config.txt")" twotwo
rm "$IN/a"
shown "and is gone" one one
mkdir "$IN/board.d" && echo own >"$IN/board.d/config.txt"
is "a file of the board's own" "$(cat "$MNT/board/config.txt" "$MNT/a/config.txt")" $'own\none'
rm -r "$IN/board.d"
shown "and without it" one one
mv "$IN/a.img" "$IN/c.img"
refuses ENOENT cat "$MNT/a/config.txt"
refuses ENOENT cat f
is "an image has another name" "$(cat "$MNT/c/config.txt")" one
mv "$IN/c.img" "$IN/a.img"
shown "and has its name again" one one

mount --bind "$T/three" "$IN/a.img"
wait_until 10 at_rest
shown "an image is mounted over another" three three
umount -l "$IN/a.img" # the image is open
shown "and taken away" one one
mount --bind "$T/path/other/first" "$IN"
wait_until 10 cat "$MNT/a/config.txt"
shown "a directory is mounted over SOURCE" three three
umount -l "$IN"
shown "and taken away" one one
mount --bind "$T/path/other" "$T/path/way"
shown "over a directory on the way" three three
exec 8<"$IN"
umount -l "$T/path/way"
shown "and lazily taken away, while somebody has it open" one one
exec 8<&-

ln -sfn other/first "$T/path/link"
shown "the link on the way leads elsewhere" three three
ln -sfn way/first "$T/path/link"
shown "and back" one one
mv "$T/path/way" "$T/path/was" && mv "$T/path/other" "$T/path/way"
shown "a directory on the way is another" three three
mv "$T/path/way" "$T/path/other"
refuses EIO cat "$MNT/a/config.txt"
mv "$T/path/was" "$T/path/way"
shown "and is back" one one
for ((i = 0; i < 3; i++)); do
	exec 8<"$IN"
	rm -r "$IN" && mkdir "$IN"
	refuses ENOENT cat "$MNT/a/config.txt"
	refuses ENOENT cat f
	cp "$T/two" "$IN/a.img" && ln -s a.img "$IN/board"
	wait_until 10 cat "$MNT/a/config.txt"
	shown "removed and made again while somebody has it open" two two
	exec 8<&-
done
cd /
