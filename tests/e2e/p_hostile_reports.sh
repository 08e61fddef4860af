#!/bin/bash
# P, S1, S2: a report never fails and never waits, whatever it says: garbage, endless lines,
# floods from many processes, writers that are killed; and nobody else is the worse for it.
. "$(dirname "$0")/../lib.sh"
CHANGES=events
requires root netns
for name in jammy focal; do board "$SRC/$name.img" text; done
mount_imagefs
cat "$MNT/jammy/config.txt" "$MNT/focal/config.txt" >/dev/null
"$PYTHON" - "$CONTROL/jammy" <<'PY'
import os, random, struct, sys, time
path, rng = sys.argv[1], random.Random(1)
request = lambda kind, handle, offset, length: struct.pack(">IIQQI", 0x25609513, kind, handle, offset, length)
def stream(chunks):
    fd = os.open(path, os.O_WRONLY | os.O_APPEND)
    worst = 0
    for chunk in chunks:
        start = time.monotonic()
        assert os.write(fd, chunk) == len(chunk)
        worst = max(worst, time.monotonic() - start)
    os.close(fd)
    return worst
flood = b"".join(request(1, i, rng.getrandbits(63), rng.getrandbits(32)) for i in range(5000))
streams = [
    [b""], [b"\0" * 100], [b"\xff" * 4096], [b"x" * 10000000], [b"write " + b"9" * 5000],
    [b"write 1\n"], [b"write -1 5\n"], [b"write 18446744073709551615 18446744073709551615\n"] * 100,
    [b"write 0 1 %d\n" % i for i in range(20000)], [b"done %d\n" % i for i in range(20000)],
    [b"flush\n" * 20000], [flood], [flood[i:i + 5] for i in range(0, 5000, 5)],
    [rng.randbytes(rng.randrange(1, 5000)) for i in range(300)],
    [request(1, 1, 0, 0xffffffff)], [request(0xffff, 1, 2**64 - 1, 0xffffffff)],
    [b"\n" * 100000], [b"2026-01-01 00:00:00.000000 connection=1 Write id=1 offset=0x0 count=0xffffffffff ...\n" * 100],
]
worst = max(stream(chunks) for chunks in streams)
print("the slowest write took %.1f ms" % (worst * 1000))
PY
is "the mount" "$(cat "$MNT/jammy/config.txt" "$MNT/focal/config.txt")" texttext
reporters() { sed -n 's/^more reporters: //p; s/^reporter: .*/1/p' "$CONTROL/jammy" | awk '{ n += $1 } END { print n + 0 }'; }
none_left() { [ "$(reporters)" = 0 ]; }
wait_until 20 none_left

# A hundred at once, killed at any point.
"$PYTHON" - "$CONTROL/jammy" <<'PY'
import os, signal, sys, time
children = []
for i in range(100):
    child = os.fork()
    if child == 0:
        fd = os.open(sys.argv[1], os.O_WRONLY)
        while True:
            os.write(fd, b"write %d 4096 %d\n" % (i * 8192, i))
            os.write(fd, b"done %d\n" % i)
    children.append(child)
time.sleep(1) # as much as they can
for child in children:
    os.kill(child, signal.SIGKILL)
for child in children:
    os.waitpid(child, 0)
PY
wait_until 20 none_left
grep -q ' 0 in flight' "$CONTROL/jammy" || fail "$(cat "$CONTROL/jammy")"
is "the mount" "$(cat "$MNT/jammy/config.txt" "$MNT/focal/config.txt")" texttext
is "processes that wait in the kernel" "$(ps -eo state= | grep -c D || true)" 0
pid=$(daemon_pid)
threads=$(find "/proc/$pid/task" -mindepth 1 -maxdepth 1 | wc -l)
kib=$(awk '/VmRSS/ { print $2 }' "/proc/$pid/status")
echo "$threads threads, $kib KiB"
[ "$threads" -lt 60 ] || fail "$threads threads"
# Sanitizers have a price of their own.
grep -q 'lib[at]san' "/proc/$pid/maps" || [ "$kib" -lt 65536 ] || fail "$kib KiB resident"
