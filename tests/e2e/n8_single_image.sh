#!/bin/bash
# N8: one image as SOURCE is its path, as it was given: replaced, its directory renamed away
# and made again, a link in the path rewritten; and the working directory in the mount with it.
. "$(dirname "$0")/../lib.sh"
image_with() {
	board "$1" "$2"
	mmd -i "$1@@1M" ::d
	put "$2" "$1" /d/f
}
at_rest() { [[ $(cat config.txt d/f 2>&1) != *"Input/output error"* ]]; }
shown() { wait_until 5 at_rest; is "$1" "$(cat config.txt d/f "$MNT/config.txt"; cd d; cat f)" "$2$2$2$2"; }
mkdir "$T/dir" "$T/two"
image_with "$T/dir/a.img" one
image_with "$T/two/a.img" other
ln -s dir "$T/link"
cd "$T"
mount_imagefs link/a.img mnt # relative to where it was started
cd "$MNT"
shown "as it was mounted" one
image_with "$T/new" replaced
mv "$T/new" "$T/dir/a.img"
shown "replaced by rename" replaced
mv "$T/dir" "$T/was"
refuses EIO cat config.txt
mkdir "$T/dir"
refuses ENOENT cat config.txt
refuses ENOENT ls d
image_with "$T/dir/a.img" again
shown "its directory made again" again
ln -sfn two "$T/link"
shown "the path leads elsewhere" other
rm "$T/two/a.img"
refuses ENOENT cat d/f
mountpoint -q "$MNT"
