#!/bin/bash
# C5, S2: writers do not wait for the process that opens images. While it is stopped, and somebody waits for it,
# writers to images that are open and guarded, or were just looked at, are not held longer than until bytes are
# preserved (WAIT_PRESERVE_NS); while it hangs in an open(2) of dead storage no writer is; and what is open stays whole.
# (The first writes to an image that nobody looks at do wait for a stopped one: cache/changes/kernel.c has such a file
# ignored, through it, under the lock. Not here.)
# usage: c5_opener_stopped.sh stopped|hung
. "$(dirname "$0")/../lib.sh"
how=$1
requires root netns
for name in open looked unknown hanging; do board "$SRC/$name.img"; done
head -c 200000 /dev/urandom >"$T/kernel"
put "@$T/kernel" "$SRC/open.img" /kernel8.img
CHANGES=kernel
"$IMAGEFS" -o changes=kernel "$SRC" "$MNT" 2>"$T/imagefs.log" || skip "$(tail -n 1 "$T/imagefs.log")"
pid=$(daemon_pid)
opener=$(pgrep -P "$pid" -f imagefs-opener)
cat "$MNT/looked/config.txt" >"$T/out"
exec 7<"$MNT/open/kernel8.img"
head -c 1000 <&7 >"$T/first"
written=(open looked)
if [ "$how" = hung ]; then
	requires nbdkit nbdfuse
	written+=(unknown hanging)
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
for name in hanging no-such-image; do
	(timeout 60 cat "$MNT/$name/config.txt" >"$T/out.$name" 2>&1 || true) &
	PIDS+=($!)
done
if [ "$how" = hung ]; then
	wait_until 10 grep -qs fuse "/proc/$opener/task"/*/stack
else
	wait_until 10 grep -qs unix_dgram_recvmsg "/proc/$pid/task"/*/stack
fi
status=0
"$PYTHON" - "$SRC" "${written[@]}" <<'PY' || status=$?
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
kill -CONT "$stopped"
is "writers" $status 0
cat "$T/first" - <&7 | cmp - "$T/kernel"
exec 7<&-
is "afterwards" "$(cat "$MNT/looked/config.txt")" looked.img
