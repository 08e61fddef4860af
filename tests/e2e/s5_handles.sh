#!/bin/bash
# S5: what a local user holds open is shared, or bounded for this user: 900 opens of status.json, 200 of
# a wide directory and 200 more of others cost some MiB; past the share opens are EIO for this user only.
. "$(dirname "$0")/../lib.sh"
requires root netns setpriv
for i in $(seq 200); do truncate -s 1M "$SRC/board-$i.img"; done
# D0 ... D59 are one chain of 20,000 entries.
make_fat32_image "$SRC/wide.img"
put text "$SRC/wide.img" /config.txt
"$PYTHON" - "$SRC/wide.img" "$TOOLS" <<'PY'
import struct, sys
sys.path.insert(0, sys.argv[2])
from fatedit import Fat
fat = Fat(sys.argv[1], 1 << 20)
entry = lambda name, attributes, cluster: struct.pack("<11sBBBHHHHHHHI", name, attributes, 0, 0, 0, 0x5000, 0x5000, cluster >> 16, 0, 0x5000, cluster & 0xffff, 0)
first, count = 20000, 20002 * 32 // fat.cluster_bytes + 1
place = lambda cluster: fat.data_start + (cluster - 2) * fat.cluster_bytes
for copy in range(fat.copies):
    fat.write(fat.fat_start + copy * fat.fat_bytes + first * 4, struct.pack("<%dI" % count, *range(first + 1, first + count), 0x0fffffff))
    # The root's own chain has room for them.
    fat.write(fat.fat_start + copy * fat.fat_bytes + fat.root_cluster * 4, struct.pack("<I", 30000))
    fat.write(fat.fat_start + copy * fat.fat_bytes + 30000 * 4, struct.pack("<8I", *range(30001, 30008), 0x0fffffff))
root = fat.read(place(fat.root_cluster), fat.cluster_bytes)
used = next(at for at in range(0, len(root), 32) if root[at] == 0)
more = b"".join(entry(b"D%-10d" % i, 16, first) for i in range(60))
fat.write(place(fat.root_cluster) + used, more[:fat.cluster_bytes - used])
fat.write(place(30000), more[fat.cluster_bytes - used:].ljust(8 * fat.cluster_bytes, b"\0"))
fat.write(place(first), (entry(b".          ", 16, first) + entry(b"..         ", 16, 0) + b"".join(entry(b"F%07dBIN" % i, 32, 0) for i in range(20000))).ljust(count * fat.cluster_bytes, b"\0"))
PY
mount_imagefs
wait_until 10 sh -c "ls '$MNT/wide/D59' | wc -l | grep -qx 20000"
pid=$(daemon_pid)
grep -q 'lib[at]san' "/proc/$pid/maps" && slack=1000 || slack=1 # freed memory is not given back
ulimit -n 6000
cat >"$T/user.py" <<'PY'
import errno, json, os, sys, time
shown, control, pid, slack = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
def rss(): return next(int(line.split()[1]) for line in open("/proc/%s/status" % pid) if "VmRSS" in line) >> 10
def grown(what, limit_mib, before):
    print("%s: %d MiB" % (what, rss() - before))
    assert rss() - before <= limit_mib * slack, what
def status(): return json.load(open(control + "/status.json"))
def wait_for(condition): # users other than root may be told what was a moment ago
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline, status()
        time.sleep(0.02)
before, held = rss(), []
for i in range(900):
    held.append(os.open(control + "/status.json", os.O_RDONLY))
    assert os.read(held[-1], 100).startswith(b"{")
wait_for(lambda: status()["handles"] > 900)
grown("900 opens of status.json of 201 images", 24, before)
for fd in held: os.close(fd)
before, listings = rss(), []
for i in range(200):
    listings.append(os.scandir(os.open(shown + "/wide/D0", os.O_RDONLY | os.O_DIRECTORY)))
    next(listings[-1])
grown("200 opens of a directory of 20,000 names", 8, before)
# Other directories: past this user's share the oldest names are dropped. Who reads on has them again, all and once.
for i in range(59):
    listings.append(os.scandir(os.open(shown + "/wide/D%d" % (i + 1), os.O_RDONLY | os.O_DIRECTORY)))
    next(listings[-1])
wait_for(lambda: status()["handle_bytes"] < 20 << 20)
assert len(list(listings[0])) == len(list(listings[-1])) == 19999
names = sorted(entry.name for entry in listings[205])
assert len(set(names)) == len(names) == 19999
del listings
held = []
while len(held) < 5000:
    try:
        held.append(os.open(control + "/status", os.O_RDONLY))
    except OSError as error:
        assert error.errno == errno.EIO, error
        break
print("%d handles" % len(held))
assert 3700 < len(held) <= 4096 # the directories are handles, too
print("ready", flush=True)
sys.stdin.readline()
for fd in held: os.close(fd)
os.close(os.open(control + "/status", os.O_RDONLY))
PY
mkfifo "$T/go"
setpriv --reuid=65534 --regid=65534 --clear-groups "$PYTHON" "$T/user.py" "$MNT" "$CONTROL" "$pid" "$slack" <"$T/go" >"$T/user.out" 2>&1 &
user=$!
PIDS+=("$user")
exec 8>"$T/go"
is_ready() { grep -q ready "$T/user.out" || gone "$user"; }
wait_until 60 is_ready
grep -q ready "$T/user.out" || fail "$(cat "$T/user.out")"
# Nobody else is the worse for it.
is "another user" "$(setpriv --reuid=1 --regid=1 --clear-groups cat "$MNT/wide/config.txt" "$CONTROL/metrics" | grep -c "^text\|^imagefs_handles ")" 2
is "root" "$(ls "$MNT/wide/D1" | wc -l)" 20000
unfolded "$CONTROL/status" | grep ' 4[01][0-9][0-9] handles (4096 a user)' >/dev/null || fail "$(cat "$CONTROL/status")"
echo >&8
exec 8>&-
wait "$user" || fail "$(cat "$T/user.out")"
cat "$T/user.out"
is "all is closed" "$("$PYTHON" -c 'import json, sys; print(json.load(open(sys.argv[1]))["handles"])' "$CONTROL/status.json")" 1
