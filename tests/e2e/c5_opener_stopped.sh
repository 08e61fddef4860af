#!/bin/bash
# C5, S2: writers do not wait for the process that opens images. While it is stopped, and somebody waits for it,
# writers to images that are open and guarded, were just looked at, or are looked at by nobody, are not held longer than until
# bytes are preserved (WAIT_PRESERVE_NS); while it hangs in an open(2) of dead storage no writer is; what is open stays
# whole, and other images are read, though requests wait for the stopped one to listen to theirs.
# usage: c5_opener_stopped.sh stopped|hung
. "$(dirname "$0")/../lib.sh"
how=$1
requires root netns
for name in open looked unknown hanging idle1 idle2 idle3; do board "$SRC/$name.img"; done
head -c 200000 /dev/urandom >"$T/kernel"
put "@$T/kernel" "$SRC/open.img" /kernel8.img
CHANGES=kernel
"$IMAGEFS" -o changes=kernel "$SRC" "$MNT" 2>"$T/imagefs.log" || skip "$(tail -n 1 "$T/imagefs.log")"
pid=$(daemon_pid)
opener=$(pgrep -P "$pid" -f imagefs-opener)

# Is the image not listened to any more? Then its mark, that does not go with the inode, asks for nothing but what is ignored.
is_ignored() {
	local inode
	inode=$(printf %x "$(stat -c %i "$SRC/$1.img")")
	grep -hs "^fanotify ino:$inode " "/proc/$pid/fdinfo"/* | grep -qvE ' mask:100003 ignored_mask:(0|20000) '
}
in_kernel() { grep -qs "$2" "/proc/$1/task"/*/stack; } # is a thread of the process in that function?
cat "$MNT"/idle{1,2,3}/config.txt >"$T/out"
for name in idle1 idle2 idle3; do wait_until 30 is_ignored "$name"; done
cat "$MNT/looked/config.txt" >"$T/out"
exec 7<"$MNT/open/kernel8.img"
head -c 1000 <&7 >"$T/first"
if [ "$how" = hung ]; then
	requires nbdkit nbdfuse
	: >"$T/export"
	nbdkit -U "$T/store.sock" -P "$T/store.pid" file "$SRC/unknown.img"
	wait_until 10 test -s "$T/store.pid"
	PIDS+=("$(cat "$T/store.pid")")
	nbdfuse -r "$T/export" "nbd+unix:///?socket=$T/store.sock" 2>"$T/nbdfuse.log" &
	stopped=$!
	PIDS+=("$stopped")
	wait_until 10 test -s "$T/export"
	ln -s "$T/export" "$SRC/no-such-image.img"
else
	stopped=$opener
fi
kill -STOP "$stopped"
# Something is mounted: then SOURCE is to be watched anew, for which it is asked; who comes first does not wait for that.
mkdir "$T/beside"
mount -t tmpfs none "$T/beside"
[ "$how" = hung ] || is "first after a mount" "$(timeout 20 cat "$MNT/open/config.txt")" open.img
for name in hanging no-such-image idle1 idle2 idle3; do
	(timeout 60 cat "$MNT/$name/config.txt" >"$T/out.$name" 2>&1 || true) &
	PIDS+=($!)
done
if [ "$how" = hung ]; then
	wait_until 10 in_kernel "$opener" fuse
else
	wait_until 10 in_kernel "$pid" unix_dgram_recvmsg
fi
status=0
timeout -k 5 40 "$PYTHON" - "$SRC" open looked unknown hanging idle1 <<'PY' || status=$?
import os, sys, time
worst = 0
files = {name: os.path.join(sys.argv[1], name + ".img") for name in sys.argv[2:]}
for round in range(10):
    for name, path in files.items():
        with open(path, "r+b", buffering=0) as image: # opened anew: the kernel tells of each
            data = image.read(1 << 20)
            begun = time.monotonic()
            image.seek(0)
            image.write(data[:4096])
            os.pwrite(image.fileno(), bytes(4096), 3 << 20)
            took = time.monotonic() - begun
        worst = max(worst, took)
        if took > 0.45:
            sys.exit("round %d: two writes to %s took %.0f ms" % (round, name, took * 1e3))
print("the longest two writes: %.1f ms" % (worst * 1e3))
PY
cat "$MNT/open/config.txt" >"$T/read" 2>&1 &
reader=$!
(wait_until 20 gone "$reader") || echo "it waits too" >"$T/read"
kill -CONT "$stopped"
is "writers" $status 0
is "read meanwhile" "$(cat "$T/read")" open.img
cat "$T/first" - <&7 | cmp - "$T/kernel"
exec 7<&-
for name in looked idle1 idle2 idle3 unknown; do is "afterwards" "$(cat "$MNT/$name/config.txt")" $name.img; done
