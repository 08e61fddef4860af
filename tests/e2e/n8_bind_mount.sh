#!/bin/bash
# N8: a board's directory that is bound into a container shows the image that the name
# stands for now.
. "$(dirname "$0")/../lib.sh"
requires root netns
board "$SRC/a.img" old
mmd -i "$SRC/a.img@@1M" ::overlays
put old "$SRC/a.img" /overlays/x
board "$T/new" new
mmd -i "$T/new@@1M" ::overlays
put new "$T/new" /overlays/x
mkdir "$T/volume" "$T/below"
mount_imagefs
mount --bind "$MNT/a" "$T/volume"
mount --bind "$MNT/a/overlays" "$T/below"
is "before" "$(cat "$T/volume/config.txt" "$T/below/x")" oldold
mv "$T/new" "$SRC/a.img"
is "after the image was replaced" "$(cat "$T/volume/config.txt" "$T/below/x")" newnew
rm "$SRC/a.img"
refuses ENOENT cat "$T/volume/config.txt"
refuses ENOENT ls "$T/below"
