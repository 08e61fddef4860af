#!/bin/bash
# P: which control file an export has. Names are the client's: none leads out of the
# directory. What is not on FUSE is never written to, nor waited for. Without a
# parameter nothing is reported.
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../filter.sh"

refuses 'exclude each other' nbdkit -f -U "$T/none.sock" --filter="$FILTER" null imagefs=/a imagefs-dir=/b

writes() { # writes EXPORT: the export works, whatever becomes of its reports
	client "$1" <<-'PYTHON'
	nbd.pwrite(b"x" * 4096, 4096)
	assert nbd.pread(4096, 4096) == b"x" * 4096
	PYTHON
}

# Beside the directory, and in it, are files that must stay as they are.
mkdir "$T/plain"
: >"$T/plain/file" && mkfifo "$T/plain/fifo" && ln -s file "$T/plain/link" && mkdir "$T/plain/directory"
start_control_log
ln -s "$REPORTED/secret" "$T/plain/to-fuse"
ln -s "$REPORTED" "$T/plain/to-directory"
start_filtered memory 1M imagefs-dir="$T/plain"
for name in file fifo link directory to-fuse to-directory%2fsecret absent ''; do writes "$name"; done
is "no plain file is written to" "$(stat -c %s "$T/plain/file")" 0
is "no symbolic link is followed" "$(reports secret)" ""

kill "$SERVER" && wait_until 10 gone "$SERVER"
start_filtered memory 1M imagefs-dir="$REPORTED"
for name in '' . .. .hidden %2e%2e%2freported%2fboard ..%2fplain%2ffile a%2fb "$(printf 'a%.0s' {1..300})" no-such-image; do
	writes "$name"
done
is "no strange name is looked for" "$(cat "$LOG")" ""
for name in jammy jammy.img 'with%20blank' '%c3%a4%0a'; do writes "$name"; done
for name in jammy jammy.img; do closed $name; done
is "an image" "$(reports jammy | grep -c ^write)" 1
is "by another name" "$(reports jammy.img | grep -c ^write)" 1
is "all" "$(grep -c ' write 4096 4096 1$' "$LOG")" 4

# No parameter: nothing is reported, also where there is somebody.
wait_until 10 umount "$REPORTED"
kill "$SERVER" && wait_until 10 gone "$SERVER"
: >"$LOG"
mkdir /run/imagefs/boot
"$CONTROL_LOG" /run/imagefs/boot "$LOG"
wait_until 10 is_mounted /run/imagefs/boot
start_filtered memory 1M
writes jammy
is "without a parameter" "$(cat "$LOG")" ""
wait_until 10 umount /run/imagefs/boot
