#!/bin/bash
# S5: few bytes of a hostile image do not become much memory, whatever the kernel remembers of it:
# many wide directories, long names, deep ones, many files that were looked at. All of it is found
# all the same, a neighbour keeps its pages and its inode, and status tells what is in use.
. "$(dirname "$0")/../lib.sh"
requires root netns
truncate -s 4M "$SRC/good.img"
mkfs.fat -F 12 "$SRC/good.img" >/dev/null
put good "$SRC/good.img@@0" /config.txt
"$PYTHON" "$TOOLS/widefat.py" short "$SRC/short.img" 40
"$PYTHON" "$TOOLS/widefat.py" long "$SRC/long.img" 40
"$PYTHON" "$TOOLS/widefat.py" deep "$SRC/deep.img" 16
mount_imagefs "$SRC" "$MNT"
pid=$(daemon_pid)
ino=$(stat -c %i "$MNT/good/config.txt")
"$PYTHON" - "$MNT" "$CONTROL/status.json" "$pid" <<'PY'
import errno, json, os, sys, time
mnt, status, pid = sys.argv[1:]
sanitized = "libasan" in open("/proc/%s/maps" % pid).read()
def peak():
    return next(int(line.split()[1]) >> 10 for line in open("/proc/%s/status" % pid) if line.startswith("VmHWM"))
def stat(path):
    # On a busy machine a request may run out of its time.
    for attempt in range(20):
        try:
            return os.stat(mnt + path)
        except OSError as error:
            if error.errno not in (errno.EIO, errno.ESTALE):
                raise
            time.sleep(0.05)
    raise AssertionError(path + " cannot be looked at")
def absent(path):
    try:
        stat(path)
    except FileNotFoundError:
        return
    raise AssertionError(path + " is there")
def used(what):
    now = json.load(open(status))
    image = next(i for i in now["images"] if i["name"] == what)
    print("%s: %d MiB of %d for the image, %d of %d in all; peak %d MiB" % (what, *(v >> 20 for v in (
        image["memory_bytes"], image["memory_limit_bytes"], now["memory_bytes"], now["memory_limit_bytes"])), peak()), flush=True)
    assert image["memory_bytes"] <= image["memory_limit_bytes"], image
    assert now["memory_bytes"] <= now["memory_limit_bytes"], now
    # What is in no image is of the names that the kernel remembers: 2 MiB for those of one image.
    names = now["memory_bytes"] - sum(i.get("memory_bytes", 0) for i in now["images"])
    assert names < 9 << 18, names
    # An image's share, and what it takes to read one directory.
    assert sanitized or peak() < 100, peak()
start = peak()
for kind in "short", "long":
    for k in range(40):
        absent("/%s/D%07d/nothere" % (kind, k))
    used(kind)
for k in range(16000):
    stat("/short/D0000001/F%07d.BIN" % k)
used("short")
path = "/deep"
for level in range(16):
    path += "/D"
    absent(path + "/nothere")
    stat(path + "/F0000007.BIN")
stat("/deep" + "/D" * 16 + "/F0000009.BIN")
used("deep")
assert peak() > start
PY
is "the neighbour's inode" "$(stat -c %i "$MNT/good/config.txt")" "$ino"
is "the neighbour" "$(cat "$MNT/good/config.txt")" good
