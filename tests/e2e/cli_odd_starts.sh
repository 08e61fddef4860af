#!/bin/bash
# Started or ended in an odd way: by a path through MOUNTPOINT itself, with too little to serve by, for a manager that does
# not read, moved elsewhere meanwhile. It mounts, or says in one line why not; it never hangs, and leaves no mount behind.
. "$(dirname "$0")/../lib.sh"
requires root netns setpriv
board "$SRC/a.img" text
none="control=none"

# SOURCE by way of MOUNTPOINT: to look it up would be to ask ourselves.
ends() { # ends AT
	is "the file" "$(timeout 10 cat "$1/a/config.txt")" text
	board "$T/new" new && mv "$T/new" "$SRC/a.img"
	is "replaced" "$(timeout 10 cat "$1/a/config.txt")" new
	board "$SRC/a.img" text
	umount "$1"
	wait_until 10 no_daemon
}
no_daemon() { ! pgrep -x imagefs; }
(cd "$MNT" && exec timeout 20 "$IMAGEFS" -o "$none" ../src .) || fail "a path from within MOUNTPOINT: exit $?"
ends "$MNT"
timeout 20 "$IMAGEFS" -o "$none" "$MNT/../src" "$MNT" || fail "MOUNTPOINT/..: exit $?"
ends "$MNT"
timeout 20 "$IMAGEFS" -o "$none" "$T/mnt/.././src/../src/a.img" "$MNT" || fail "MOUNTPOINT/.., one image: exit $?"
is "one image" "$(timeout 10 cat "$MNT/config.txt")" text
unmount_imagefs

# What leads elsewhere is resolved at each look, also before a "..".
mkdir -p "$T/one/in" "$T/two/in"
board "$T/one/a.img" one
board "$T/two/a.img" two
ln -s one/in "$T/in"
mount_imagefs -o "$none" "$T/in/.." "$MNT"
is "by a link and out of it" "$(cat "$MNT/a/config.txt")" one
ln -sfn two/in "$T/in"
is "by a link that leads elsewhere" "$(cat "$MNT/a/config.txt")" two
unmount_imagefs

# Too little of something.
too_little() { # too_little LIMIT VALUE NAMED
	local status=0
	timeout 20 bash -c 'ulimit "$0" "$1" && shift && exec "$@"' "$1" "$2" "$IMAGEFS" -o "$none" "$SRC" "$MNT" 2>"$T/said" || status=$?
	is "ulimit $1 $2: exit status ($(cat "$T/said"))" $status 1
	is "ulimit $1 $2: lines ($(cat "$T/said"))" "$(wc -l <"$T/said")" 1
	grep -q -- "$3" "$T/said" || fail "ulimit $1 $2: $(cat "$T/said")"
	not_mounted || fail "ulimit $1 $2: a mount is left"
}
for files in 12 16 20 31; do too_little -n $files 'open'; done
if ! nm -D "$IMAGEFS" 2>/dev/null | grep -qE '__[at]san_'; then # which want terabytes
	for kib in 100000 160000 200000; do too_little -v $kib 'ulimit -v'; done
	bash -c 'ulimit -v 1000000 && exec "$@"' - "$IMAGEFS" -o "$none" "$SRC" "$MNT" || fail "a GiB: exit $?"
	ends "$MNT"
fi
bash -c 'ulimit -n 32 && exec "$@"' - "$IMAGEFS" "$SRC" "$MNT" || fail "32 files: exit $?"
is "32 files" "$(timeout 10 cat "$MNT/a/config.txt")" text
unmount_imagefs

# A manager whose socket is full: it is not waited for for ever, neither at the start nor at the end.
"$PYTHON" - "$T/notify" "$T/full" <<'PY' &
import signal, socket, sys
manager, sender = (socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) for _ in range(2))
manager.bind(sys.argv[1])
sender.connect(sys.argv[1])
sender.setblocking(False)
try:
    while True:
        sender.send(b"STATUS=x")
except BlockingIOError:
    open(sys.argv[2], "w").close()
signal.pause()
PY
PIDS+=($!)
wait_until 10 test -e "$T/full"
NOTIFY_SOCKET=$T/notify timeout 20 "$IMAGEFS" -o "$none" "$SRC" "$MNT" || fail "a full socket: exit $?"
pid=$(daemon_pid)
kill -TERM "$pid"
wait_until 10 gone "$pid"
not_mounted || fail "a full socket: still mounted"

# Moved: a signal takes it away where it is now; and what is mounted at the old place stays.
mkdir "$T/there"
mount_imagefs
pid=$(daemon_pid)
mount --move "$MNT" "$T/there"
is "moved" "$(cat "$T/there/a/config.txt")" text
mount -t tmpfs other "$MNT"
kill -TERM "$pid"
wait_until 10 gone "$pid"
not_mounted "$T/there" || fail "it is still mounted where it was moved to"
mountpoint -q "$MNT" || fail "what was mounted in its place was taken away"
umount "$MNT"

