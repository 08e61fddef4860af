#!/bin/bash
# imagefsctl changes no image that somebody has open for writing, whoever that is, and says who; --force does.
. "$(dirname "$0")/../lib.sh"
requires root
IMAGEFSCTL=$(dirname "$IMAGEFS")/imagefsctl
ctl() { "$IMAGEFSCTL" "$@"; }
image=$SRC/jammy.img
board "$image" config

# held WHO COMMAND...: while that holds it nothing is changed, and --force does.
held() {
	local before
	before=$(sha256sum <"$image")
	refuses "$1" ctl cp "$T/what" "$image:what.txt"
	refuses "$1" ctl rm "$image:config.txt"
	refuses "$1" ctl mkdir "$image:directory"
	refuses "$1" ctl mv "$image:config.txt" "$image:other.txt"
	refuses "$1" env VISUAL=true "$IMAGEFSCTL" edit "$image:config.txt"
	is "the image that $1 has" "$(sha256sum <"$image")" "$before"
	ctl cp --force "$T/what" "$image:forced.txt" || fail "--force, with $1"
	is "forced" "$(ctl cat "$image" forced.txt)" what
	ctl rm --force "$image:forced.txt"
	# Reading it is nobody's harm.
	is "read, with $1" "$(ctl cp "$image:config.txt" -)" config
}
has_open() { readlink "/proc/$1/fd/"* | grep -qx "$image"; }
free() {
	wait_until 10 ctl cp "$T/what" "$image:free.txt"
	ctl rm "$image:free.txt"
}
echo what >"$T/what"
free

exec 7<>"$image"
held "bash (process $$)"
exec 7<&-
exec 7<"$image" # a reader is none
free
exec 7<&-

"$PYTHON" - "$image" <<'PY' &
import mmap, os, sys, time
fd = os.open(sys.argv[1], os.O_RDWR)
shared = mmap.mmap(fd, 4096)
os.close(fd)
open(sys.argv[1] + "-mapped", "w").close()
time.sleep(60)
PY
PIDS+=($!)
wait_until 10 test -e "$image-mapped"
rm "$image-mapped"
held 'open for writing by'
kill -KILL "${PIDS[-1]}"
free

if command -v nbd-server >/dev/null && command -v nbdsh >/dev/null; then
	start_nbd_server "$image"
	free # nobody is connected: nbd-server has it not open
	"$PYTHON" -c 'import nbd, sys, time
h = nbd.NBD(); h.connect_uri(sys.argv[1]); open(sys.argv[2], "w").close(); time.sleep(60)' "$URI" "$T/connected" &
	PIDS+=($!)
	wait_until 10 test -e "$T/connected"
	held nbd-server
	kill "${PIDS[-1]}"
	free
fi
if command -v qemu-nbd >/dev/null; then
	start_qemu_nbd "$image"
	held qemu-nbd
	kill "${PIDS[-1]}"
	free
fi
if command -v qemu-io >/dev/null; then
	mkfifo "$T/commands"
	qemu-io -f raw "$image" <"$T/commands" >"$T/qemu-io.log" 2>&1 &
	PIDS+=($!)
	exec 8>"$T/commands"
	wait_until 10 has_open "${PIDS[-1]}"
	held qemu-io
	exec 8>&-
	free
fi
if losetup -f >/dev/null 2>&1; then
	loop_device loop "$image" -P
	held "/dev/${loop##*/}"
	losetup -d "$loop" && LOOPS=()
	free
	loop_device loop "$image" -r
	free
	losetup -d "$loop" && LOOPS=()
	# The device itself, mounted from one of its partitions.
	loop_device loop "$image" -P
	ctl cp "$T/what" "$loop:device.txt"
	is "by its device" "$(ctl cat "$loop" device.txt)" what
	is "files beside" "$(find /dev /var/lib/imagefs -name '*.imagefs-journal*' 2>/dev/null)" ''
	exec 7<>"$loop"
	refuses "bash (process $$)" ctl rm "$loop:device.txt"
	exec 7<&-
	if [ -b "${loop}p1" ]; then
		mkdir "$T/there"
		mount -t vfat "${loop}p1" "$T/there" 2>/dev/null && {
			refuses "mounted on $T/there" ctl rm "$loop:device.txt"
			refuses "/dev/${loop##*/}" ctl rm "$image:device.txt"
			umount "$T/there"
		}
	fi
	ctl rm "$loop:device.txt"
	losetup -d "$loop" && LOOPS=()
	free
fi

# Two of us: one waits for its input, the other is told.
mkfifo "$T/input"
"$IMAGEFSCTL" cp - "$image:piped.txt" <"$T/input" 2>"$T/piped" &
PIDS+=($!)
exec 8>"$T/input"
wait_until 10 grep -q FLOCK.*"$(stat -c %i "$image")" /proc/locks
refuses 'another imagefsctl' ctl cp "$T/what" "$image:what.txt"
# Who opens it for writing meanwhile waits, or makes that change end with nothing written.
mkfifo "$T/release"
(exec 8>&- && exec 9<>"$image" && echo opened >"$T/opened" && read -r <"$T/release") &
PIDS+=($!)
wait_until 10 grep -q "LEASE.*BREAKING.*$(stat -c %i "$image")" /proc/locks
echo piped >&8
exec 8>&-
! wait "${PIDS[-2]}" || fail "it was changed under who wanted to open it"
grep -q 'just being opened' "$T/piped" || fail "$(cat "$T/piped")"
wait_until 10 test -e "$T/opened"
refuses 'No such file' ctl cat "$image" piped.txt
echo >"$T/release"
free

# Another user's, which we may write to: not known is not allowed. Of our own: as root.
chmod 666 "$image"
chmod 777 "$SRC"
as() { setpriv --reuid "$1" --regid "$1" --clear-groups "${@:2}"; }
refuses "another user's" as 65534 "$IMAGEFSCTL" cp "$T/what" "$image:what.txt"
chown 65534 "$image"
as 65534 "$IMAGEFSCTL" cp "$T/what" "$image:what.txt"
exec 7<>"$image"
refuses "open for writing by" as 65534 "$IMAGEFSCTL" rm "$image:what.txt"
exec 7<&-
as 65534 "$IMAGEFSCTL" rm "$image:what.txt"
