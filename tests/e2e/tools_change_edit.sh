#!/bin/bash
# imagefsctl edit: the edited text is there as a whole, or nothing has changed, and then no work is lost. A mount shows what is changed at the next open.
. "$(dirname "$0")/../lib.sh"
IMAGEFSCTL=$(dirname "$IMAGEFS")/imagefsctl
ctl() { "$IMAGEFSCTL" "$@"; }
export TMPDIR=$T/tmp
unset VISUAL EDITOR
mkdir "$TMPDIR"
image=$SRC/jammy.img
board "$image" 'first line
'
ln -s jammy.img "$SRC/89025d75"
mount_imagefs
is "the mount" "$(cat "$MNT/jammy/config.txt")" 'first line'
inode=$(stat -c %i "$MNT/jammy/config.txt")

EDITOR=false VISUAL='sed -i s/first/second/' ctl edit "$image:CONFIG.txt"
is "VISUAL comes first" "$(ctl cat "$image" config.txt)" 'second line'
is "its name" "$(mdir -b -i "$image@@1M" ::/)" '::/config.txt'
is "the mount, after it" "$(cat "$MNT/jammy/config.txt")" 'second line'
[ "$(stat -c %i "$MNT/jammy/config.txt")" != "$inode" ] || fail "another version has the old inode"
EDITOR='sed -i s/second/third/' ctl edit "$SRC/89025d75:1:config.txt"
is "EDITOR, by a board's link" "$(cat "$MNT/jammy/config.txt")" 'third line'
echo more | ctl cp - "$image:more.txt"
is "cp, and the mount" "$(cat "$MNT/jammy/more.txt")" more
ctl rm "$image:more.txt"
refuses ENOENT cat "$MNT/jammy/more.txt"
# Names of the running imagefs.
echo 'by its name' | ctl --control "$CONTROL" cp - jammy:config.txt
is "by its name" "$(cat "$MNT/89025d75/config.txt")" 'by its name'
echo 'third line' | ctl --control "$CONTROL" cp - 89025d75:config.txt
is "by the board's" "$(ctl --control "$CONTROL" cp jammy:config.txt -)" 'third line'

# Unchanged, or the editor fails: not one byte of the image, nor its time.
before=$(stat -c %y "$image"; sha256sum <"$image")
same() {
	is "the image, $1" "$(stat -c %y "$image"; sha256sum <"$image")" "$before"
	is "left of it, $1" "$(ls -A "$TMPDIR" "$SRC" | grep -v ':$' | tr '\n' ' ' | tr -s ' ')" "89025d75 jammy.img "
}
VISUAL=true ctl edit "$image:config.txt"
same "unchanged"
VISUAL=touch ctl edit "$image:not-there.txt"
same "a new file, left empty"
refuses 'editor failed' env VISUAL=false "$IMAGEFSCTL" edit "$image:config.txt"
same "the editor failed"
refuses 'no-such-editor: No such file' env VISUAL=no-such-editor "$IMAGEFSCTL" edit "$image:config.txt"
same "no editor"
refuses 'which file' ctl edit "$image:"
refuses 'Is a directory' env VISUAL=true "$IMAGEFSCTL" edit "$image:."
same "no file"

# The work is kept: the editor crashed after saving; somebody holds the image by now; somebody changed the file.
printf '#!/bin/bash\necho mine >"$1"\n%s\n' 'exit 1' >"$T/crash"
printf '#!/bin/bash\necho mine >"$1"\necho theirs | mcopy -o -i %s@@1M - ::/config.txt\n' "$image" >"$T/overtaken"
printf '#!/bin/bash\necho mine >"$1"\nexec 9<>%s\nsleep 5 >/dev/null 2>&1 &\n' "$image" >"$T/holder"
chmod +x "$T/crash" "$T/overtaken" "$T/holder"
for case in crash:failed overtaken:'somebody else' holder:'open for writing'; do
	refuses "${case#*:}" env VISUAL="$T/${case%%:*}" "$IMAGEFSCTL" edit "$image:config.txt"
	is "kept, ${case%%:*}" "$(cat "$TMPDIR"/imagefs-edit-*/config.txt)" mine
	rm -r "$TMPDIR"/imagefs-edit-*
done
is "theirs" "$(ctl cat "$image" config.txt)" theirs

# A new file; an editor that puts another in its place; one that is killed.
printf '#!/bin/bash\necho new >"$1.x" && mv "$1.x" "$1"\n' >"$T/replace"
chmod +x "$T/replace"
wait_until 20 env VISUAL="$T/replace" "$IMAGEFSCTL" edit "$image:ssh.txt"
is "a new one" "$(cat "$MNT/jammy/ssh.txt")" new
printf '#!/bin/bash\nkill -KILL $$\n' >"$T/replace"
refuses 'editor failed' env VISUAL="$T/replace" "$IMAGEFSCTL" edit "$image:ssh.txt"
is "left" "$(ls -A "$TMPDIR")" ''
