#!/bin/bash
# P, S2: a control file of an image that does not answer opens within 500 ms and takes its
# reports at once; they count when the image is there again. Status never waits for it.
. "$(dirname "$0")/../lib.sh"
CHANGES=events
requires root netns
type qemu-storage-daemon >/dev/null 2>&1 || skip "needs qemu-storage-daemon"
board "$SRC/good.img" good
board "$T/hung.img" hung
: >"$T/export"
qemu-storage-daemon --blockdev "driver=file,filename=$T/hung.img,node-name=disk" \
	--export "type=fuse,id=fuse,node-name=disk,mountpoint=$T/export,writable=off" &
server=$!
PIDS+=("$server")
wait_until 10 test -s "$T/export"
ln -s "$T/export" "$SRC/hung.img"
mount_imagefs
kill -STOP "$server"
cat >"$T/report.py" <<'PY'
import os, sys, time
path, bound, hold = sys.argv[1], float(sys.argv[2]), sys.argv[3:]
start = time.monotonic()
fd = os.open(path, os.O_WRONLY | os.O_CREAT)
opened = time.monotonic()
worst = 0
for i in range(50):
    begin = time.monotonic()
    assert os.write(fd, b"write %d 512 1\n" % (i * 512)) > 0
    assert os.write(fd, b"done 1\n") == 7
    worst = max(worst, time.monotonic() - begin)
print("open %.0f ms, slowest report %.1f ms" % ((opened - start) * 1000, worst * 1000), flush=True)
assert opened - start < bound, opened - start
assert worst < 0.3, worst
if hold:
    for line in sys.stdin:
        os.write(fd, b"write 0 512 1\ndone 1\n")
PY
# Bounds with room for a busy machine.
coproc HELD { exec "$PYTHON" "$T/report.py" "$CONTROL/hung" 0.8 hold; }
PIDS+=("$HELD_PID")
read -r line <&"${HELD[0]}"
echo "hung: $line"
for round in 1 2 3; do
	echo "hung again: $("$PYTHON" "$T/report.py" "$CONTROL/hung" 0.8)"
	echo "its neighbour: $("$PYTHON" "$T/report.py" "$CONTROL/good" 0.3)"
	start=$(date +%s%3N)
	timeout 10 cat "$CONTROL"/{status,status.json,metrics} >"$T/out"
	timeout 10 ls "$CONTROL" >/dev/null
	took=$(($(date +%s%3N) - start))
	[ $took -lt 3000 ] || fail "status took $took ms"
done
grep -q '^good .*' "$T/out" || fail "$(cat "$T/out")"
is "the mount" "$(cat "$MNT/good/config.txt")" good
threads=$(ls "/proc/$(daemon_pid)/task" | wc -l)
[ "$threads" -lt 40 ] || fail "$threads threads"
kill -CONT "$server"
answers() { [ "$(cat "$MNT/hung/config.txt" 2>/dev/null)" = hung ]; }
wait_until 10 answers
# Another report, a second after the last attempt, gives it another chance; then it tells all.
all_heard() {
	echo >&"${HELD[1]}"
	grep -qE '^reported writes: (5[0-9]|[1-9][0-9][0-9]),' "$CONTROL/hung"
}
wait_until 10 all_heard
grep -q '^reporter: text' "$CONTROL/hung"
