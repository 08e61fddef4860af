#!/bin/bash
# Bad input: one clear line on stderr that names the thing, exit status 1 (2 for wrong
# usage), and nothing left mounted. A SOURCE without images mounts empty and says so.
. "$(dirname "$0")/../lib.sh"
requires fuse
board "$SRC/a.img" text
echo text >"$T/file"
: >"$T/empty"
# complains STATUS NAMED ARGUMENTS...
complains() {
	local want=$1 named=$2 status=0
	shift 2
	timeout 20 "$IMAGEFS" "$@" >"$T/stdout" 2>"$T/stderr" </dev/null || status=$?
	is "imagefs $*: exit status" $status "$want"
	is "imagefs $*: lines ($(cat "$T/stderr"))" "$(grep -c . "$T/stderr")" 1
	grep -qF -- "$named" "$T/stderr" || fail "imagefs $*: does not name $named: $(cat "$T/stderr")"
	not_mounted || fail "imagefs $*: left a mount behind"
}
complains 1 "$T/no-such-source" "$T/no-such-source" "$MNT"
complains 1 "$T/no-such-mountpoint" "$SRC" "$T/no-such-mountpoint"
complains 1 "$T/file" "$SRC" "$T/file"              # a mountpoint that is no directory
complains 1 "$T/empty" "$T/empty" "$MNT"            # an image with nothing in it
complains 1 "$T/file" "$T/file" "$MNT"              # a file that is no image
complains 1 /dev/null /dev/null "$MNT"
complains 2 --no-such-option --no-such-option "$SRC" "$MNT"
complains 2 no_such_option -o no_such_option "$SRC" "$MNT"
complains 2 "pidns=trusted: unknown option" -o pidns=trusted "$SRC" "$MNT" # what 0.1.0 had
complains 2 umask -o umask=9x9 "$SRC" "$MNT"
complains 2 uid -o uid=-1 "$SRC" "$MNT"
complains 2 partition -o partition=x "$SRC/a.img" "$MNT"
complains 1 partition=7 -o partition=7 "$SRC/a.img" "$MNT"
[ "$(id -u)" != 0 ] || complains 1 "mount failed" -o context=nonsense "$SRC" "$MNT" # by the kernel, when the control files are mounted
for number in '' 0 3 99 x ' 5' 99999999999; do # what is in the place of mount.fuse3's descriptor
	complains 1 "/dev/fd/$number: is no open descriptor" "$SRC" "/dev/fd/$number"
done
for arguments in '' "$SRC" "$SRC $MNT extra"; do
	status=0
	# shellcheck disable=SC2086 # a list
	"$IMAGEFS" $arguments >/dev/null 2>"$T/stderr" </dev/null || status=$?
	is "imagefs $arguments: exit status" $status 2
	grep -q -- --help "$T/stderr" || fail "imagefs $arguments: does not say how: $(cat "$T/stderr")"
done
# A mountpoint that is in use: said, and not mounted over.
mkdir "$T/busy"
mount_imagefs "$SRC" "$T/busy"
status=0
"$IMAGEFS" "$SRC" "$T/busy" 2>"$T/stderr" </dev/null || status=$?
is "busy: exit status" $status 1
grep -qF "$T/busy" "$T/stderr" || fail "busy: $(cat "$T/stderr")"
is "busy: mounted once" "$(grep -c " $T/busy " /proc/self/mounts)" 1
is "busy: still served" "$(cat "$T/busy/a/config.txt")" text
unmount_imagefs "$T/busy"
if [ "$(id -u)" = 0 ] && command -v setpriv >/dev/null && [ -u "$(command -v fusermount3)" ]; then
	mkdir "$T/secret"; chmod 700 "$T/secret"
	chown 65534 "$MNT"
	status=0
	setpriv --reuid 65534 --regid 65534 --clear-groups "$IMAGEFS" "$T/secret" "$MNT" 2>"$T/stderr" || status=$?
	is "unreadable: exit status" $status 1
	grep -qF "$T/secret" "$T/stderr" || fail "unreadable: $(cat "$T/stderr")"
	chown 0 "$MNT"
fi
# No image in SOURCE.
mkdir "$T/none"
"$IMAGEFS" "$T/none" "$MNT" 2>"$T/stderr"
grep -qi 'no image' "$T/stderr" || fail "an empty SOURCE is not mentioned: $(cat "$T/stderr")"
grep -qF "$T/none" "$T/stderr" || fail "not named: $(cat "$T/stderr")"
is "empty" "$(ls -A "$MNT")" ''
unmount_imagefs
# SOURCE and MOUNTPOINT swapped: a line that says so; it is mounted, as was asked for.
warns() { # warns NAMED WHETHER SOURCE MOUNTPOINT
	"$IMAGEFS" "$3" "$4" 2>"$T/stderr"
	is "$3 on $4: swapped? ($(cat "$T/stderr"))" "$(grep -c "^imagefs: $1.*swapped?" "$T/stderr" || true)" "$2"
	unmount_imagefs "$4"
}
mkdir "$T/hides" "$T/notes" && cp "$SRC/a.img" "$T/hides/" && echo text >"$T/notes/README" && : >"$MNT/.keep"
warns "$T/hides: has images" 1 "$T/none" "$T/hides"
warns "$T/hides: has images" 1 "$SRC" "$T/hides"
warns "$T/none: is empty" 1 "$T/none" "$T/notes"
warns '' 0 "$SRC" "$T/notes"
warns '' 0 "$SRC/a.img" "$T/notes"
warns '' 0 "$T/none" "$MNT"
"$IMAGEFS" --version | grep -q '^imagefs [0-9]'
"$IMAGEFS" --help | grep -q MOUNTPOINT
