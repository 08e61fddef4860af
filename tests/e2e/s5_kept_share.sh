#!/bin/bash
# S5: what is kept for the readers of one image before it is overwritten has a share, in memory and
# in /var/tmp. Past it they get ESTALE, of that image alone: its neighbour's file is whole to its end.
. "$(dirname "$0")/../lib.sh"
CHANGES=events
requires root netns
"$PYTHON" "$TOOLS/widefat.py" file "$SRC/greedy.img" 300
truncate -s 16M "$SRC/modest.img"
mkfs.fat -F 16 -s 2 "$SRC/modest.img" >/dev/null
"$PYTHON" -c 'import sys; sys.stdout.buffer.write(b"old." * (1 << 19))' >"$T/old"
put "@$T/old" "$SRC/modest.img@@0" /kernel.img
mount_imagefs -o keep=1 "$SRC" "$MNT"
"$PYTHON" - "$SRC" "$MNT" "$CONTROL" "$(daemon_pid)" <<'PY'
import errno, json, os, sys, time
source, shown, control, pid = sys.argv[1:]
MIB = 1 << 20
class Writer:
    def __init__(self, name):
        self.report = os.open(control + "/" + name, os.O_WRONLY)
        self.disk = os.open("%s/%s.img" % (source, name), os.O_RDWR)
    def write(self, offset, data):
        assert os.write(self.report, b"write %d %d 5\n" % (offset, len(data)))
        os.pwrite(self.disk, data, offset)
        os.write(self.report, b"done 5\n")
def image(name):
    return next(i for i in json.load(open(control + "/status.json"))["images"] if i["name"] == name)
def begin(name, file):
    """A writer that is believed, and a reader whose file it waits for."""
    writer, deadline = Writer(name), time.monotonic() + 30
    writer.write(os.fstat(writer.disk).st_size - 512, bytes(512))
    while not (image(name).get("reports") or {}).get("exact"):
        assert time.monotonic() < deadline, image(name)
        open("%s/%s/%s" % (shown, name, file), "rb").read(1)
        time.sleep(0.02)
    while True:
        try:
            reader = os.open("%s/%s/%s" % (shown, name, file), os.O_RDONLY)
            os.posix_fadvise(reader, 0, 0, os.POSIX_FADV_RANDOM)
            return writer, reader
        except OSError:
            assert time.monotonic() < deadline
def in_files():
    return sum(os.stat(p).st_blocks * 512 for p in ("/proc/%s/fd/%s" % (pid, f) for f in os.listdir("/proc/%s/fd" % pid))
               if os.readlink(p).startswith("/var/tmp/") and os.readlink(p).endswith(" (deleted)"))
greedy, reader = begin("greedy", "BIG.BIN")
modest, other = begin("modest", "kernel.img")
old = open(source + "/modest.img", "rb").read().index(b"old." * 1024)
# Where its clusters are: widefat.py puts cluster 100 first.
disk = open(source + "/greedy.img", "rb").read(512)
data = (32 + int.from_bytes(disk[36:40], "little")) * 512 + 98 * 4096
for at in range(0, 16 * MIB, 256 << 10):
    greedy.write(data + at, b"new!" * (64 << 10))
greedy_use = image("greedy")
print({k: v for k, v in greedy_use.items() if "kept" in k}, "in /var/tmp:", in_files(), flush=True)
# 4 MiB before writes, 2 MiB of copies.
assert greedy_use["kept_file_limit_bytes"] == 6 * MIB
assert 0 < greedy_use["kept_file_bytes"] <= 4 * MIB
assert in_files() <= 5 * MIB
assert os.pread(reader, 65536, 0) == bytes(65536), "what was kept is another"
try:
    os.pread(reader, 65536, 15 * MIB)
    sys.exit("what was overwritten was served")
except OSError as error:
    assert error.errno == errno.ESTALE, error
assert os.pread(reader, 65536, 100 * MIB) == bytes(65536), "what nobody wrote to"
# The neighbour is not asked to pay.
for at in range(0, 2 * MIB, 256 << 10):
    modest.write(old + at, b"new!" * (64 << 10))
assert b"".join(os.pread(other, 65536, at) for at in range(0, 2 * MIB, 65536)) == b"old." * (1 << 19), "torn"
# And what nobody reads any more is given back.
os.close(reader)
os.close(other)
deadline = time.monotonic() + 10
while image("greedy")["kept_file_bytes"] or image("modest")["kept_memory_bytes"]:
    assert time.monotonic() < deadline
    time.sleep(0.02)
assert in_files() == 0
PY
