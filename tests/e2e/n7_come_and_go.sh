#!/bin/bash
# N7, C8: images and links that come, go, are renamed, replaced or grown show at the
# next lookup; the whole directory may be moved away and back.
. "$(dirname "$0")/../lib.sh"
mount_imagefs
is "empty at first" "$(ls -A "$MNT")" ''
board "$SRC/a.img" a
is "came" "$(ls "$MNT")" a
is "came" "$(cat "$MNT/a/config.txt")" a
mv "$SRC/a.img" "$SRC/b.img"
is "renamed" "$(ls "$MNT")" b
refuses ENOENT cat "$MNT/a/config.txt"
is "renamed" "$(cat "$MNT/b/config.txt")" a
ln -s b "$SRC/89025d75"
is "a link came" "$(cat "$MNT/89025d75/config.txt")" a
board "$T/c.img" replaced
mv "$T/c.img" "$SRC/b.img"
is "replaced" "$(cat "$MNT/89025d75/config.txt")" replaced
board "$T/d.img" overwritten
cat "$T/d.img" >"$SRC/b.img"
is "overwritten in place" "$(cat "$MNT/b/config.txt")" overwritten
make_image "$SRC/b.img" 16 16
put 'grown and formatted anew' "$SRC/b.img" /config.txt
is "another size and FAT" "$(cat "$MNT/b/config.txt")" 'grown and formatted anew'
rm "$SRC/89025d75"
refuses ENOENT readlink -v "$MNT/89025d75"
rm "$SRC/b.img"
is "gone" "$(ls -A "$MNT")" ''
refuses ENOENT ls "$MNT/b"
# A name that was asked for in vain is found once it is there (no negative caching).
refuses ENOENT ls "$MNT/late"
board "$SRC/late.img" late
is late "$(cat "$MNT/late/config.txt")" late
# A file becomes a link becomes a directory.
ln -sf late.img "$SRC/kind"
is kind "$(readlink "$MNT/kind")" late
rm "$SRC/kind"; board "$SRC/kind.img" kind
is kind "$(cat "$MNT/kind/config.txt")" kind
# Moved away and back.
mv "$SRC" "$T/away"
mkdir "$SRC"
board "$SRC/other.img" other
mv "$SRC" "$T/other"; mv "$T/away" "$SRC"
is "moved away and back" "$(ls "$MNT" | tr '\n' ' ')" 'kind late '
is "moved away and back" "$(cat "$MNT/kind/config.txt")" kind
