#!/bin/bash
# P: a program that writes to the image and tells, in the text form, is believed: exact while
# it is alone, what it writes is fresh at once, and what is open stays whole to its end.
. "$(dirname "$0")/../lib.sh"
CHANGES=events
requires root netns
make_image "$SRC/jammy.img" 64 32 -s 1
"$PYTHON" -c 'import sys; sys.stdout.buffer.write(b"old." * (2 << 20))' >"$T/old"
put "@$T/old" "$SRC/jammy.img" /kernel.img
put old "$SRC/jammy.img" /config.txt
mount_imagefs -o keep=1 "$SRC" "$MNT" # too little to keep the kernel whole
cat "$MNT/jammy/kernel.img" >/dev/null
"$PYTHON" - "$SRC/jammy.img" "$MNT/jammy" "$CONTROL/jammy" <<'PY'
import os, sys, time
image, shown, control = sys.argv[1:]
report = os.open(control, os.O_WRONLY)
disk = os.open(image, os.O_RDWR)
def write(offset, data):
    assert os.write(report, b"write %d %d 5\n" % (offset, len(data)))
    os.pwrite(disk, data, offset)
    os.write(report, b"done 5\n")
def is_exact():
    return "\nreports: exact\n" in open(control).read()
content = open(image, "rb").read()
start = content.index(b"old." * 1024)
write(len(content) - 512, content[-512:])
deadline = time.monotonic() + 20
while not is_exact():
    assert time.monotonic() < deadline, open(control).read()
    time.sleep(0.02)
for round in range(5):
    # An open file is read to its end, though all of it is written over meanwhile.
    name = shown + "/kernel.img"
    old = b"old." if round == 0 else b"%04d" % (round - 1)
    with open(name, "rb", buffering=0) as reader:
        assert reader.read(4096) == old * 1024
        slowest = 0
        for at in range(0, 8 << 20, 262144):
            begin = time.monotonic()
            write(start + at, b"%04d" % round * 65536)
            slowest = max(slowest, time.monotonic() - begin)
        rest = b"".join(iter(lambda: reader.read(1 << 20), b""))
        assert rest == old * ((2 << 20) - 1024), "torn"
    # And who opens it now sees the new one.
    assert open(name, "rb").read() == b"%04d" % round * (2 << 20), "stale"
    print("round %d: the slowest write took %.1f ms" % (round, slowest * 1000))
assert is_exact(), open(control).read()
print([line for line in open(control).read().splitlines() if line.startswith("kept")][0])
PY
grep -qE '^kept before a write: [1-9][0-9]* bytes; lost: 0$' "$CONTROL/jammy" || fail "$(cat "$CONTROL/jammy")"
is "forgotten" "$(sed -n 's/^reports: //p' "$CONTROL/jammy" | cut -d: -f1)" none
