#!/bin/bash
# P: control files: the names they are found by, who may write to them, what cannot be done
# with them; and an inode number that is fresh at every look, so that no semaphore that a
# killed nbd-server left hangs the next one.
. "$(dirname "$0")/../lib.sh"
CHANGES=events
requires root netns setpriv
for name in jammy focal status raw; do board "$SRC/$name.img" text; done
mv "$SRC/raw.img" "$SRC/other.raw"
cp "$SRC/jammy.img" "$SRC/bare"
cp "$SRC/jammy.img" "$T/far.img"
ln -s jammy.img "$SRC/89025d75"
ln -s 89025d75 "$SRC/again"
ln -s jammy:1 "$SRC/part"
ln -s "$SRC/focal.img" "$SRC/absolute"
ln -s "$T/far.img" "$SRC/elsewhere.img"
ln -s round "$SRC/round"
ln -s no-such.img "$SRC/dangling"
mkdir "$SRC/directory"
echo notes >"$SRC/notes.txt"
chown 1001:1002 "$SRC/jammy.img"
mount_imagefs
C=$CONTROL

# Names. What is an image by its content only is listed once it was looked at.
ls "$MNT" >"$T/shown"
is "listed" "$(ls "$C" | tr '\n' ' ')" 'bare elsewhere focal jammy metrics other status status.json '
image_of() { sed -n 's/^image: //p' "$C/$1"; }
for name in jammy jammy.img 89025d75 again part jammy:1; do is "$name" "$(image_of "$name")" jammy; done
for name in focal focal.img absolute; do is "$name" "$(image_of "$name")" focal; done
for name in elsewhere elsewhere.img; do is "$name" "$(image_of "$name")" elsewhere; done
is "bare" "$(image_of bare)" bare
is "other.raw" "$(image_of other.raw)" other
is "an image called status" "$(image_of status.img)" status
for name in no-such round dangling notes.txt directory jammy.im .hidden 'x y'; do
	refuses ENOENT cat "$C/$name"
	if (: >"$C/$name") 2>/dev/null; then fail "written: $name"; fi
done
refuses ENOENT touch "$C/new"

# Owners.
is "the directory" "$(stat -c '%A %u %g' "$C")" 'drwxr-xr-x 0 0'
is "of its image" "$(stat -c '%A %u %g' "$C/jammy")" '-rw-rw---- 1001 1002'
is "of its image, through a link" "$(stat -c '%A %u %g' "$C/89025d75")" '-rw-rw---- 1001 1002'
is "status" "$(stat -c '%A %u %g' "$C/status.json")" '-r--r--r-- 0 0'
as() { local ids=$1; shift; setpriv --reuid "${ids%:*}" --regid "${ids#*:}" --clear-groups "$@"; }
as 1001:99 sh -c 'echo flush >"$0"' "$C/jammy"
as 99:1002 sh -c 'echo flush >>"$0"' "$C/jammy"
as 99:99 cat "$C/status" "$C/metrics" "$C/status.json" >/dev/null
refuses EACCES as 99:99 cat "$C/jammy"
refuses EACCES as 99:99 tee "$C/jammy"
refuses EACCES as 1001:1002 tee "$C/focal"
refuses EACCES as 1001:1002 touch "$C/new"
refuses EACCES tee "$C/status"

# What a server may do to a log without harm, and what nobody can.
truncate -s 0 "$C/jammy"
touch "$C/jammy"
is "its size" "$(stat -c %s "$C/jammy")" 0
"$PYTHON" - "$C/jammy" <<'PY'
import os, sys
for flags in (0, os.O_CREAT, os.O_CREAT | os.O_APPEND, os.O_TRUNC, os.O_SYNC):
    fd = os.open(sys.argv[1], os.O_WRONLY | flags, 0o600)
    assert os.write(fd, b"flush\n") == 6
    assert os.pwrite(fd, b"flush\n", 1 << 40) == 6
    os.lseek(fd, 0, os.SEEK_END)
    os.fsync(fd)
    os.fdatasync(fd)
    os.ftruncate(fd, 0)
    os.close(fd)
fd = os.open(sys.argv[1], os.O_RDWR)
assert os.write(fd, b"flush\n") == 6
assert os.pread(fd, 100, 0).startswith(b"image: jammy\n")
PY
refuses 'Operation not permitted' chmod 666 "$C/jammy"
refuses 'Operation not permitted' chown 5 "$C/jammy"
refuses 'Operation not permitted' rm "$C/jammy"
refuses 'Operation not permitted' mv "$C/jammy" "$C/x"
refuses 'Operation not permitted' mkdir "$C/x"
refuses 'Operation not permitted' ln -s x "$C/x"
refuses 'Operation not permitted' ln "$C/jammy" "$C/x"

# Numbers: fresh at every stat, by name and of an open file.
"$PYTHON" - "$C/jammy" <<'PY'
import os, sys
fd = os.open(sys.argv[1], os.O_WRONLY)
numbers = [os.stat(sys.argv[1]).st_ino for i in range(20)] + [os.fstat(fd).st_ino for i in range(20)]
assert len(set(numbers)) == len(numbers), numbers
PY
unmount_imagefs

# A group of one's own.
mount_imagefs -o control_group=4242 "$SRC" "$MNT"
is "its group" "$(stat -c '%u %g' "$C/jammy" "$C/focal" | tr '\n' ' ')" '1001 4242 0 4242 '
as 99:4242 sh -c 'echo flush >"$0"' "$C/focal"
unmount_imagefs
mount_imagefs -o control_group=daemon "$SRC" "$MNT"
is "its group by name" "$(stat -c %G "$C/jammy")" daemon
# Images that come, go and change hands.
chown 7 "$SRC/focal.img"
is "the new owner" "$(stat -c %u "$C/focal")" 7
mv "$SRC/focal.img" "$SRC/noble.img"
refuses ENOENT cat "$C/focal"
is "the new name" "$(image_of noble)" noble
ln -sfn noble.img "$SRC/89025d75"
is "the switched link" "$(image_of 89025d75)" noble
