#!/bin/bash
# N8: who stands in a directory of the mount (working directory, open descriptor) sees what
# its name means now: the image that replaced the old one, an error while there is none.
. "$(dirname "$0")/../lib.sh"
image_with() { # image_with FILE TEXT [DIRECTORY...]
	local file=$1 text=$2 directory
	board "$file" "$text"
	shift 2
	for directory; do
		mmd -i "$file@@1M" "::$directory"
		put "$text" "$file" "/$directory/f.txt"
	done
}
# gone_here COMMAND...: fails, and says that there is no such thing.
gone_here() {
	local text
	if text=$("$@" 2>&1 >/dev/null); then fail "succeeded: $*"; fi
	[[ $text == *"No such file or directory"* || $text == *"Stale file handle"* ]] || fail "$*: said '$text'"
}
# shows WHAT WANTED COMMAND...: what it says, once the image has been at rest for long enough.
shows() {
	local what=$1 wanted=$2
	shift 2
	wait_until 5 at_rest "$@"
	is "$what" "$("$@")" "$wanted"
}
at_rest() { [[ $("$@" 2>&1) != *"Input/output error"* ]]; }
image_with "$SRC/a.img" old d d/deep only-old
image_with "$T/new" new D D/deep only-new
mount_imagefs

cd "$MNT/a/d/deep"
exec 7<"$MNT/a/d" 8<"$MNT/a" 9<"$MNT/a/only-old"
number=$(stat -c %i "$MNT/a")
shows "before" old cat f.txt
is "through a descriptor" "$(cat /proc/self/fd/7/f.txt /proc/self/fd/8/config.txt /proc/self/fd/9/f.txt)" oldoldold

mv "$T/new" "$SRC/a.img"
shows "the image was replaced" new cat f.txt
is "listed" "$(ls)" f.txt
is "through a descriptor" "$(cat /proc/self/fd/7/f.txt /proc/self/fd/8/config.txt)" newnew
is "the root of it" "$(ls /proc/self/fd/8/ | tr '\n' ' ')" "D config.txt only-new "
gone_here cat /proc/self/fd/9/f.txt
gone_here ls /proc/self/fd/9/
is "the name is one inode" "$(stat -c %i "$MNT/a" /proc/self/fd/8/.)" "$(printf '%s\n%s' "$number" "$number")"

# Written in the image: as by path.
put newer "$SRC/a.img" /D/deep/f.txt
shows "the image was written" newer cat f.txt
mdeltree -i "$SRC/a.img@@1M" ::D/deep
wait_until 5 at_rest cat f.txt
gone_here cat f.txt
mmd -i "$SRC/a.img@@1M" ::D/deep
put again "$SRC/a.img" /D/deep/f.txt
shows "removed and made again" again cat f.txt

rm "$SRC/a.img"
gone_here cat f.txt
gone_here ls
gone_here stat /proc/self/fd/8/.
gone_here ls /proc/self/fd/8/
image_with "$SRC/a.raw" third d d/deep
shows "an image of that name again" third cat f.txt

# Not an image any more: its name is a link's.
mv "$SRC/a.raw" "$SRC/b.img"
ln -s b.img "$SRC/a"
gone_here cat f.txt
rm "$SRC/a"
mv "$SRC/b.img" "$SRC/a.img"
shows "an image once more" third cat f.txt

# Behind a link to an image elsewhere, and by the number of its partition.
mv "$SRC/a.img" "$T/elsewhere"
image_with "$T/other" fourth d d/deep
ln -s "$T/elsewhere" "$SRC/a.img"
shows "elsewhere" third cat f.txt
cd "$MNT/a:1/d/deep"
shows "partition 1" third cat f.txt
ln -sfn "$T/other" "$SRC/a.img"
shows "the link leads to another image" fourth cat f.txt
