#!/bin/bash
# N2: links in SOURCE. To another entry: a relative link, the board's name, of any
# form; rewritten, it switches the board at once. To an image elsewhere: an image. Any
# other: mirrored as it is.
. "$(dirname "$0")/../lib.sh"
board "$SRC/jammy.img" jammy
board "$SRC/noble.img" noble
board "$T/elsewhere.img" elsewhere
board "$T/bare-elsewhere" 'bare elsewhere'
mkdir "$T/tree"
echo unpacked >"$T/tree/config.txt"

ln -s jammy.img "$SRC/89025d75"
ln -s jammy "$SRC/10.0.0.7" # the name in the mount, which SOURCE does not have
ln -s noble.img "$SRC/dc-a6-32-01-36-c2"
ln -s ./noble.img "$SRC/a-string"
ln -s "$SRC/noble.img" "$SRC/absolute"
ln -s jammy.img "$SRC/copy.img"
ln -s 89025d75 "$SRC/chained"
ln -s "$T/elsewhere.img" "$SRC/outside.img"
ln -s "$T/bare-elsewhere" "$SRC/outside-bare"
ln -s ../elsewhere.img "$SRC/outside-relative"
ln -s jammy/config.txt "$SRC/bootcode.bin"
ln -s "$T/tree" "$SRC/nfsboard"
ln -s "$T/nowhere" "$SRC/dangling"
mount_imagefs

while read -r name target text; do
	is "target of $name" "$(readlink "$MNT/$name")" "$target"
	is "through $name" "$(cat "$MNT/$name/config.txt")" "$text"
done <<-LINKS
	89025d75 jammy jammy
	10.0.0.7 jammy jammy
	dc-a6-32-01-36-c2 noble noble
	a-string noble noble
	absolute noble noble
	copy jammy jammy
	chained 89025d75 jammy
LINKS
for name in outside outside-bare outside-relative; do
	[ -d "$MNT/$name" ] && [ ! -L "$MNT/$name" ] || fail "$name must be a directory"
done
is outside "$(cat "$MNT/outside/config.txt")" elsewhere
is outside-bare "$(cat "$MNT/outside-bare/config.txt")" 'bare elsewhere'
is outside-relative "$(cat "$MNT/outside-relative/config.txt")" elsewhere
refuses ENOENT stat "$MNT/outside.img"
is bootcode.bin "$(readlink "$MNT/bootcode.bin")" jammy/config.txt
is "bytes of bootcode.bin" "$(cat "$MNT/bootcode.bin")" jammy
is nfsboard "$(readlink "$MNT/nfsboard")" "$T/tree"
is "bytes of nfsboard" "$(cat "$MNT/nfsboard/config.txt")" unpacked
is dangling "$(readlink "$MNT/dangling")" "$T/nowhere"
is "links listed" "$(find "$MNT" -maxdepth 1 -type l | wc -l)" 10

# Rewriting a link switches the board, in the only two ways there are.
for round in $(seq 20); do
	ln -sfn noble.img "$SRC/89025d75"
	is "switched by ln -sfn" "$(cat "$MNT/89025d75/config.txt")" noble
	ln -s jammy.img "$SRC/new"
	mv -T "$SRC/new" "$SRC/89025d75"
	is "switched by rename" "$(cat "$MNT/89025d75/config.txt")" jammy
done
# Who holds the link itself open has what it was, as of any file that was replaced.
"$PYTHON" - "$MNT/89025d75" "$SRC" <<'PY'
import os, sys
link, source = sys.argv[1:]
fd = os.open(link, os.O_PATH | os.O_NOFOLLOW)
for text in "noble", "jammy", "noble", "jammy":
    os.symlink(text + ".img", source + "/new")
    os.rename(source + "/new", source + "/89025d75")
    for _ in range(3):
        if os.readlink(link) != text:
            sys.exit("%s is %s" % (text, os.readlink(link)))
    if os.readlink("", dir_fd=fd) != "jammy":
        sys.exit("held: %s" % os.readlink("", dir_fd=fd))
PY
# A link to an image elsewhere moves to another image.
ln -sfn "$T/bare-elsewhere" "$SRC/outside.img"
is "moved outside" "$(cat "$MNT/outside/config.txt")" 'bare elsewhere'
# A link that points to itself is nobody's trouble.
ln -s loop "$SRC/loop"
ls -l "$MNT" >/dev/null
is "after the loop" "$(cat "$MNT/jammy/config.txt")" jammy
